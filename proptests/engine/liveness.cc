#include "proptests/engine/liveness.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/addr.h"
#include "base/prot.h"
#include "model/world.h"
#include "traces/codec.h"
#include "traces/op.h"

namespace proptests {
namespace {

using traces::Op;
using traces::OpKind;

// Of one region; the ends count most.
constexpr uint64_t kMostPages = 64;
// Labels of the children of this phase; the generator's stay below.
constexpr uint32_t kFirstChild = traces::kMaxLabel - 64;

class Convergence {
 public:
  Convergence(Session* session, const std::function<void(const Session&)>& hook,
              std::vector<Op>* performed)
      : session_(session), hook_(hook), performed_(performed) {}

  bool Run() {
    uint32_t child = kFirstChild;
    for (const uint32_t task : session_->world().LiveTasks()) {
      if (!Touch(task) || !Fork(task, child)) return false;
      if (child < traces::kMaxLabel - 1) ++child;
    }
    return true;
  }

 private:
  bool Step(const Op& op) {
    if (performed_ != nullptr) performed_->push_back(op);
    const bool going = session_->Step(op);
    if (hook_) hook_(*session_);
    return going;
  }

  bool Access(OpKind kind, uint32_t task, uint64_t at, uint64_t size) {
    Op op;
    op.kind = kind;
    op.task = {task, false};
    op.thread = session_->world().FirstThread(task);
    op.at = traces::At(at);
    op.size = size;
    op.value = 'Z';
    return Step(op);
  }

  bool Touch(uint32_t task) {
    std::vector<base::Range> ranges;
    session_->world().ForEachRange(
        task, [&](base::Range range, const model::Attributes&) { ranges.push_back(range); });
    for (const base::Range& range : ranges) {
      const uint64_t pages = std::min(range.size() / base::kPageSize, kMostPages);
      for (uint64_t i = 0; i < pages; ++i) {
        const uint64_t at = range.start.value() + i * base::kPageSize;
        if (!Access(OpKind::kRead, task, at, base::kPageSize)) return false;
      }
      if (!Access(OpKind::kWrite, task, range.end.value() - base::kPageSize, 1)) return false;
    }
    return true;
  }

  // A birth and a death, which every task of a server that is well can do.
  bool Fork(uint32_t task, uint32_t child) {
    Op birth;
    birth.kind = session_->world().PersonalityOf(task) == traces::Personality::kBsd
                     ? OpKind::kFork
                     : OpKind::kTaskCreate;
    birth.task = {task, false};
    birth.thread = session_->world().FirstThread(task);
    birth.child = child;
    if (birth.kind == OpKind::kTaskCreate) birth.flags = traces::kFlagInherit;
    if (!Step(birth)) return false;
    if (!session_->world().IsLive(child)) return true;
    Op death;
    death.kind = birth.kind == OpKind::kFork ? OpKind::kExit : OpKind::kTaskTerminate;
    death.task = {child, false};
    return Step(death);
  }

  Session* const session_;
  const std::function<void(const Session&)>& hook_;
  std::vector<Op>* const performed_;
};

}  // namespace

bool Converge(Session* session, const std::function<void(const Session&)>& hook,
              std::vector<Op>* performed) {
  return Convergence(session, hook, performed).Run();
}

}  // namespace proptests
