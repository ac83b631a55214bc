// model/mach.cc: the Mach calls: what they check, in which order, and which kern_return_t they
// answer with.
//
// SEE      facts/mach.md section 3. Nothing here is shared with vmserver, on purpose (design D11).

#include <algorithm>

#include "base/addr.h"
#include "model/step.h"

namespace model {
namespace {

using base::KernReturn;
using traces::OpKind;
using traces::ResolvedOp;

Step Return(KernReturn code) {
  Step step;
  step.outcome = {traces::Outcome::Family::kKern, static_cast<int32_t>(code), 0, 0, {}};
  return step;
}

Step Succeed(Step::Action action, uint64_t start, uint64_t end) {
  Step step = Return(KernReturn::kSuccess);
  step.action = action;
  step.start = start;
  step.end = end;
  step.shortage_code = static_cast<int32_t>(KernReturn::kResourceShortage);
  return step;
}

// Ranges are rounded outwards and silently cut down to the map, so that what lies outside
// "succeeds" as nothing.
struct Clamped {
  explicit Clamped(const Query& q) {
    start = base::TruncPage(q.op.at);
    end = base::RoundPage(q.op.at + q.op.size);
    if (start < q.task->space.min()) start = q.task->space.min();
    if (end > q.task->space.max()) end = q.task->space.max();
    if (start > end) start = end;
  }
  uint64_t start;
  uint64_t end;
};

Step NewTask(const Query& q) {
  uint64_t max = q.op.size == 0 ? traces::kDefaultMapMax : q.op.size;
  bool sane = base::IsPageAligned(max) && max > traces::kMapMin && max <= traces::kDefaultMapMax;
  if (!sane) return Return(KernReturn::kInvalidArgument);
  if (q.task_limit_reached) return Return(KernReturn::kResourceShortage);
  return Succeed(Step::Action::kBeBorn, traces::kMapMin, max);
}

Step TaskCreate(const Query& q) {
  if (q.task_limit_reached) return Return(KernReturn::kResourceShortage);
  if ((q.op.flags & traces::kFlagInherit) != 0) return Succeed(Step::Action::kFork, 0, 0);
  return Succeed(Step::Action::kBeBorn, q.task->space.min(), q.task->space.max());
}

Step VmAllocate(const Query& q) {
  const Space& space = q.task->space;
  if (q.op.size == 0) return Return(KernReturn::kSuccess);
  uint64_t size = base::RoundPage(q.op.size);
  if (size == 0) return Return(KernReturn::kInvalidArgument);
  Step step = Succeed(Step::Action::kMap, 0, 0);
  uint64_t start = base::TruncPage(q.op.at);
  if ((q.op.flags & traces::kFlagAnywhere) != 0) {
    if (!space.LowestHole(size, &start)) return Return(KernReturn::kNoSpace);
    step.freedom = Step::Freedom::kAddress;
    step.free_size = size;
  } else {
    if (!space.Contains(start, size)) return Return(KernReturn::kInvalidAddress);
    if (!space.NoneMapped(start, start + size)) return Return(KernReturn::kNoSpace);
  }
  step.start = start;
  step.end = start + size;
  step.outcome.value = start;
  return step;
}

Step VmDeallocate(const Query& q) {
  if (q.op.size == 0) return Return(KernReturn::kSuccess);
  Clamped range(q);
  return Succeed(Step::Action::kUnmap, range.start, range.end);
}

Step VmProtect(const Query& q) {
  Clamped range(q);
  if (!q.task->space.MaxAllows(range.start, range.end, q.op.prot)) {
    return Return(KernReturn::kProtectionFailure);
  }
  bool maximum = (q.op.flags & traces::kFlagSetMax) != 0;
  Step step =
      Succeed(maximum ? Step::Action::kSetMaxProt : Step::Action::kSetProt, range.start, range.end);
  step.attributes.prot = step.attributes.max_prot = q.op.prot;
  return step;
}

Step VmInherit(const Query& q) {
  switch (q.op.inherit) {
    case base::Inherit::kShare:
    case base::Inherit::kCopy:
    case base::Inherit::kNone:
      break;
    case base::Inherit::kDonateCopy:
    case base::Inherit::kZero:
      return Return(KernReturn::kInvalidArgument);
  }
  Clamped range(q);
  Step step = Succeed(Step::Action::kSetInherit, range.start, range.end);
  step.attributes.inherit = q.op.inherit;
  return step;
}

// Of what vm_region tells; advice is not among it.
traces::RegionInfo InfoOf(const Region& region) {
  const Attributes& a = region.attributes;
  return {a.prot, a.max_prot, a.inherit, a.shared};
}

// Region boundaries are the implementation's business: right is any run of pages that are alike.
Step VmRegion(const Query& q) {
  const std::vector<Region>& regions = q.task->space.regions();
  const Region* found = q.task->space.FindFrom(q.op.at);
  if (found == nullptr) return Return(KernReturn::kNoSpace);
  size_t first = static_cast<size_t>(found - regions.data());
  size_t last = first;
  traces::RegionInfo info = InfoOf(*found);
  bool inside = found->start <= q.op.at;
  while (inside && first > 0 && regions[first - 1].end == regions[first].start &&
         InfoOf(regions[first - 1]) == info) {
    --first;
  }
  while (last + 1 < regions.size() && regions[last].end == regions[last + 1].start &&
         InfoOf(regions[last + 1]) == info) {
    ++last;
  }
  Step step = Return(KernReturn::kSuccess);
  step.freedom = Step::Freedom::kRegion;
  step.start = regions[first].start;
  step.end = regions[last].end;
  step.to = inside ? q.op.at : step.start;
  step.outcome.value = step.start;
  step.outcome.size = step.end - step.start;
  step.outcome.region = info;
  return step;
}

}  // namespace

Step DecodeMach(const Query& q) {
  switch (q.op.kind) {
    case OpKind::kTask:
      return NewTask(q);
    case OpKind::kTaskCreate:
      return TaskCreate(q);
    case OpKind::kTaskTerminate: {
      Step step = Return(KernReturn::kSuccess);
      step.action = Step::Action::kDie;
      return step;
    }
    case OpKind::kVmAllocate:
      return VmAllocate(q);
    case OpKind::kVmDeallocate:
      return VmDeallocate(q);
    case OpKind::kVmProtect:
      return VmProtect(q);
    case OpKind::kVmInherit:
      return VmInherit(q);
    case OpKind::kVmRegion:
      return VmRegion(q);
    default:
      return Return(KernReturn::kInvalidArgument);  // not a Mach call
  }
}

}  // namespace model
