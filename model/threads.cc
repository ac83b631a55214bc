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

Step Answer(Errno code) {
  Step step;
  step.outcome = {traces::Outcome::Family::kErrno, static_cast<int32_t>(code), 0, 0, {}};
  return step;
}

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

// After an exec the thread that asked for it is the only one.
void CommitThreads(const Step& step, const traces::ResolvedOp& op, Task* task) {
  switch (step.action) {
    case Step::Action::kMakeThread:
      task->threads |= 1u << step.size;
      break;
    case Step::Action::kEndThread:
      task->threads &= ~(1u << step.size);
      break;
    default:  // kClear
      task->threads = 1u << op.thread;
      break;
  }
  CHECK(task->threads != 0);
}

}  // namespace model
