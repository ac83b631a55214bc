// model/threads.cc: which threads a task has.
//
// They share everything that a task has, so nothing else depends on which of them acts. SEE
// facts/uvm.md section 2. Nothing here is shared with vmserver, on purpose (design D11).

#include "base/check.h"
#include "model/step.h"

namespace model {
namespace {

using base::Errno;
using traces::OpKind;

}  // namespace

Step DecodeThreadCall(const Query& q) {
  const Task& task = *q.task;
  if (q.op.kind == OpKind::kThreadCreate) {
    if (task.CountThreads() == traces::kMaxThreads) return Answer(Errno::kEagain);
    Step step = Answer(Errno::kOk);
    step.action = Step::Action::kMakeThread;
    while (task.HasThread(static_cast<uint32_t>(step.size))) ++step.size;
    step.outcome.value = step.size;
    step.shortage_code = static_cast<int32_t>(Errno::kEnomem);
    return step;
  }
  if (q.op.kind != OpKind::kThreadEnd) return Answer(Errno::kEinval);  // not a BSD call
  if (q.op.value >= traces::kMaxThreads || !task.HasThread(static_cast<uint32_t>(q.op.value)))
    return Answer(Errno::kEsrch);
  if (task.CountThreads() == 1) return Answer(Errno::kEbusy);
  Step step = Answer(Errno::kOk);
  step.action = Step::Action::kEndThread;
  step.size = q.op.value;
  return step;
}

bool MakesOrEndsThread(const Step& step) {
  return step.action == Step::Action::kMakeThread || step.action == Step::Action::kEndThread;
}

void CommitThread(const Step& step, Task* task) {
  task->threads ^= 1u << step.size;
  CHECK(task->threads != 0);
}

void CommitExec(const traces::ResolvedOp& op, Task* task) {
  task->space.Clear();
  task->has_heap = false;
  task->heap_base = task->heap_current = 0;
  task->threads = 1u << op.thread;
}

}  // namespace model
