// model/bsd.cc: the BSD calls: what they check, in which order, and which errno they answer with.
//
// SEE      facts/uvm.md 2.14. Nothing here is shared with vmserver, on purpose (design D11).

#include <algorithm>

#include "base/addr.h"
#include "model/step.h"

namespace model {
namespace {

using base::Errno;
using base::IsPageAligned;
using base::RoundPage;
using traces::Op;
using traces::OpKind;
using traces::ResolvedOp;

// File offsets are signed 64-bit numbers (off_t).
constexpr uint64_t kFileOffsetLimit = uint64_t{1} << 63;

Step Fail(Errno code) {
  Step step;
  step.outcome = {traces::Outcome::Family::kErrno, static_cast<int32_t>(code), 0, 0, {}};
  return step;
}

Step Succeed(uint64_t value = 0) {
  Step step = Fail(Errno::kOk);
  step.outcome.value = value;
  return step;
}

Step Succeed(Step::Action action, uint64_t start, uint64_t end) {
  Step step = Succeed();
  step.action = action;
  step.start = start;
  step.end = end;
  step.shortage_code = static_cast<int32_t>(Errno::kEnomem);
  return step;
}

// Calls accept addresses inside a page: the range is widened to whole pages, with plain wrapping
// arithmetic.
struct Rounded {
  explicit Rounded(const ResolvedOp& op)
      : start(base::TruncPage(op.at)), size(RoundPage(op.size + (op.at & base::kPageMask))) {}
  bool InBounds(const Space& space) const { return space.Contains(start, size); }
  uint64_t end() const { return start + size; }
  uint64_t start;
  uint64_t size;
};

// On this edge a page that can be written or executed can be read.
base::Prot WithRead(base::Prot prot) {
  return prot.CanWrite() || prot.CanExecute() ? prot | base::kProtRead : prot;
}

Step Space_(const Query& q) {
  uint64_t max = q.op.size == 0 ? traces::kDefaultMapMax : q.op.size;
  if (!IsPageAligned(max) || max <= traces::kMapMin || max > traces::kDefaultMapMax) {
    return Fail(Errno::kEinval);
  }
  if (q.task_limit_reached) return Fail(Errno::kEagain);
  return Succeed(Step::Action::kBeBorn, traces::kMapMin, max);
}

Step Fork(const Query& q) {
  if (q.task_limit_reached) return Fail(Errno::kEagain);
  return Succeed(Step::Action::kFork, 0, 0);
}

// What mmap and exec_map put in place; the address is still to be decided.
Step NewMapping(const ResolvedOp& op, bool shared, uint64_t page_offset) {
  Step step = Succeed(Step::Action::kMap, 0, 0);
  step.page_offset = page_offset;
  step.attributes.prot = WithRead(op.prot);
  step.attributes.inherit = shared ? base::Inherit::kShare : base::Inherit::kCopy;
  step.attributes.shared = shared;
  step.file_key = op.file_key;
  step.file_page = op.file_key == 0 ? 0 : op.offset >> base::kPageShift;
  return step;
}

Step At(Step step, uint64_t start, uint64_t size) {
  step.start = start;
  step.end = start + size;
  step.outcome.value = start + step.page_offset;
  return step;
}

// The freedom to choose any hole; the canonical choice is the lowest. Fails with ENOMEM where there
// is no hole.
Step Anywhere(const Space& space, Step step, uint64_t size) {
  uint64_t start;
  if (!space.LowestHole(size, &start)) return Fail(Errno::kEnomem);
  step = At(step, start, size);
  step.freedom = Step::Freedom::kAddress;
  step.free_size = size;
  return step;
}

Step Mmap(const Query& q, uint32_t flags) {
  const ResolvedOp& op = q.op;
  const Space& space = q.task->space;
  bool fixed = (flags & traces::kFlagFixed) != 0;
  bool try_fixed = (flags & traces::kFlagTryFixed) != 0;
  if (op.size == 0) {
    if (op.file_key != 0) return Fail(Errno::kEinval);
    return Succeed(fixed || try_fixed ? op.at : 0);
  }
  uint64_t page_offset = op.file_key == 0 ? 0 : op.offset & base::kPageMask;
  uint64_t size = RoundPage(op.size + page_offset);
  if (size < op.size) return Fail(Errno::kEnomem);
  Step step = NewMapping(op, (flags & traces::kFlagShared) != 0, page_offset);
  if (fixed) {
    uint64_t start = op.at - page_offset;
    if (!IsPageAligned(start)) return Fail(Errno::kEinval);
    if (start + size < start) return Fail(Errno::kEoverflow);
    if (start + size > space.max()) return Fail(Errno::kEfbig);
    if (start < space.min()) return Fail(Errno::kEinval);
    return At(step, start, size);
  }
  if (try_fixed && IsPageAligned(op.at) && space.Contains(op.at, size) &&
      space.NoneMapped(op.at, op.at + size)) {
    return At(step, op.at, size);
  }
  return Anywhere(space, step, size);
}

Step Munmap(const Query& q) {
  Rounded range(q.op);
  if (!range.InBounds(q.task->space)) return Fail(Errno::kEinval);
  return Succeed(Step::Action::kUnmap, range.start, range.end());
}

Step Mprotect(const Query& q) {
  Rounded range(q.op);
  if (!range.InBounds(q.task->space)) return Fail(Errno::kEinval);
  base::Prot prot = WithRead(q.op.prot);
  if (!q.task->space.MaxAllows(range.start, range.end(), prot)) return Fail(Errno::kEacces);
  Step step = Succeed(Step::Action::kSetProt, range.start, range.end());
  step.attributes.prot = prot;
  return step;
}

Step Minherit(const Query& q) {
  if (q.op.inherit == base::Inherit::kDonateCopy) return Fail(Errno::kEinval);
  Rounded range(q.op);
  if (!range.InBounds(q.task->space)) return Fail(Errno::kEinval);
  Step step = Succeed(Step::Action::kSetInherit, range.start, range.end());
  step.attributes.inherit = q.op.inherit;
  return step;
}

Step Madvise(const Query& q) {
  if (q.op.advice == base::Advice::kSpaceAvail) return Fail(Errno::kEinval);
  Rounded range(q.op);
  if (!range.InBounds(q.task->space)) return Fail(Errno::kEinval);
  bool whole = q.task->space.AllMapped(range.start, range.end());
  switch (q.op.advice) {
    case base::Advice::kNormal:
    case base::Advice::kRandom:
    case base::Advice::kSequential: {
      Step step = Succeed(Step::Action::kSetAdvice, range.start, range.end());
      step.attributes.advice = q.op.advice;
      return step;
    }
    case base::Advice::kDontNeed:
      return whole ? Succeed(Step::Action::kNothing, 0, 0) : Fail(Errno::kEfault);
    case base::Advice::kFree:
      return whole ? Succeed(Step::Action::kGiveUp, range.start, range.end())
                   : Fail(Errno::kEfault);
    case base::Advice::kWillNeed:
    case base::Advice::kSpaceAvail:
      break;
  }
  return Succeed(Step::Action::kNothing, 0, 0);
}

// mremap to a larger size: what stands before the old end is continued.
Step GrowMapping(const Query& q, uint64_t size, uint64_t new_size, bool move_only) {
  const ResolvedOp& op = q.op;
  const Space& space = q.task->space;
  bool fixed = (op.flags & traces::kFlagFixed) != 0;
  uint64_t end = op.at + size;
  const Region* last = space.Find(end - 1);
  if (last == nullptr) return Fail(Errno::kEinval);
  uint64_t more = new_size - size;
  if (last->file_key != 0) {
    uint64_t file_end = (last->FilePage(end - 1) + 1) << base::kPageShift;
    if (file_end > kFileOffsetLimit || more > kFileOffsetLimit - file_end)
      return Fail(Errno::kEinval);
  }
  if (!move_only && space.Contains(end, more) && space.NoneMapped(end, end + more)) {
    Step step = Succeed(Step::Action::kGrow, end, end + more);
    step.outcome.value = op.at;
    return step;
  }
  if (fixed && (!move_only || !space.NoneMapped(op.to, op.to + new_size)))
    return Fail(Errno::kEnomem);
  Step step = Succeed(Step::Action::kMove, op.at, end);
  step.size = size;
  step.new_size = new_size;
  step.to = op.to;
  step.outcome.value = op.to;
  if (fixed) return step;
  if (!space.LowestHole(new_size, &step.to)) return Fail(Errno::kEnomem);
  step.outcome.value = step.to;
  step.freedom = Step::Freedom::kAddress;
  step.free_size = new_size;
  return step;
}

Step Mremap(const Query& q) {
  const ResolvedOp& op = q.op;
  const Space& space = q.task->space;
  bool fixed = (op.flags & traces::kFlagFixed) != 0;
  if (!IsPageAligned(op.at) || (fixed && !IsPageAligned(op.to))) return Fail(Errno::kEinval);
  uint64_t size = RoundPage(op.size);
  uint64_t new_size = RoundPage(op.new_size);
  if (size == 0 || new_size == 0 || !space.Contains(op.at, size)) return Fail(Errno::kEinval);
  bool moves = fixed && op.to != op.at;
  if (moves && !space.Contains(op.to, new_size)) return Fail(Errno::kEinval);
  if (new_size > size) return GrowMapping(q, size, new_size, moves);
  if (!moves) {
    Step step = Succeed(Step::Action::kUnmap, op.at + new_size, op.at + size);
    step.outcome.value = op.at;
    return step;
  }
  if (!space.NoneMapped(op.to, op.to + new_size)) return Fail(Errno::kEnomem);
  Step step = Succeed(Step::Action::kMove, op.at, op.at + size);
  step.size = size;
  step.new_size = new_size;
  step.to = op.to;
  step.outcome.value = op.to;
  return step;
}

Step ExecBrk(const Query& q) {
  const Space& space = q.task->space;
  if (!IsPageAligned(q.op.at) || q.op.at < space.min() || q.op.at >= space.max()) {
    return Fail(Errno::kEinval);
  }
  Step step = Succeed();
  step.sets_heap_base = step.sets_heap = true;
  step.heap = q.op.at;
  return step;
}

Step Brk(const Query& q) {
  const Task& task = *q.task;
  if (!task.has_heap || q.op.at < task.heap_base) return Fail(Errno::kEinval);
  if (q.op.at > task.space.max()) return Fail(Errno::kEnomem);
  uint64_t was = RoundPage(task.heap_current);
  uint64_t now = RoundPage(q.op.at);
  Step step = Succeed(Step::Action::kNothing, 0, 0);
  if (now < was) step = Succeed(Step::Action::kUnmap, now, was);
  if (now > was) {
    if (!task.space.NoneMapped(was, now)) return Fail(Errno::kEnomem);
    step = Succeed(Step::Action::kMap, was, now);
  }
  step.sets_heap = true;
  step.heap = q.op.at;
  return step;
}

Step LinuxDontneed(const Query& q) {
  if (!IsPageAligned(q.op.at)) return Fail(Errno::kEinval);
  Rounded range(q.op);
  if (!range.InBounds(q.task->space)) return Fail(Errno::kEnomem);
  bool whole = q.task->space.AllMapped(range.start, range.end());
  Step step = Succeed(Step::Action::kDiscard, range.start, range.end());
  step.outcome.code = static_cast<int32_t>(whole ? Errno::kOk : Errno::kEnomem);
  return step;
}

}  // namespace

Step DecodeBsd(const Query& q) {
  switch (q.op.kind) {
    case OpKind::kSpace:
      return Space_(q);
    case OpKind::kFork:
      return Fork(q);
    case OpKind::kExec: {
      Step step = Succeed();
      step.action = Step::Action::kClear;
      return step;
    }
    case OpKind::kExit: {
      Step step = Succeed();
      step.action = Step::Action::kDie;
      return step;
    }
    case OpKind::kExecMap:
      return Mmap(q, traces::kFlagPrivate | traces::kFlagFixed);
    case OpKind::kExecBrk:
      return ExecBrk(q);
    case OpKind::kMmap:
      return Mmap(q, q.op.flags);
    case OpKind::kMunmap:
      return Munmap(q);
    case OpKind::kMprotect:
      return Mprotect(q);
    case OpKind::kMinherit:
      return Minherit(q);
    case OpKind::kMadvise:
      return Madvise(q);
    case OpKind::kMremap:
      return Mremap(q);
    case OpKind::kBrk:
      return Brk(q);
    case OpKind::kLinuxDontneed:
      return LinuxDontneed(q);
    default:
      return Fail(Errno::kEinval);  // not a BSD call
  }
}

}  // namespace model
