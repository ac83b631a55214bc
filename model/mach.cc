// model/mach.cc: the Mach calls: what they check, in which order, and which kern_return_t they
// answer with.
//
// SEE      facts/mach.md section 3. Nothing here is shared with vmserver, on purpose (design D11).

#include <algorithm>

#include "base/addr.h"
#include "model/presence.h"
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

// A word of an operand: 32-bit tasks have no more.
uint64_t Word(const Task& task, uint64_t value) { return task.narrow ? value & 0xffffffff : value; }

// Ranges are rounded outwards and silently cut down to the map, so that what lies outside
// "succeeds" as nothing.
struct Clamped {
  explicit Clamped(const Query& q) {
    start = base::TruncPage(Word(*q.task, q.op.at));
    end = Word(*q.task, base::RoundPage(Word(*q.task, q.op.at + q.op.size)));
    if (start < q.task->space.min()) start = q.task->space.min();
    if (end > q.task->space.max()) end = q.task->space.max();
    if (start > end) start = end;
  }
  uint64_t start;
  uint64_t end;
};

Step NewTask(const Query& q) {
  const bool narrow = q.op.kind == OpKind::kTask32;
  const uint64_t most = narrow ? traces::kMapMax32 : traces::kDefaultMapMax;
  uint64_t max = q.op.size == 0 ? most : q.op.size;
  bool sane = base::IsPageAligned(max) && max > traces::kMapMin && max <= most;
  if (!sane) return Return(KernReturn::kInvalidArgument);
  if (q.task_limit_reached) return Return(KernReturn::kResourceShortage);
  return Succeed(Step::Action::kBeBorn, narrow ? 0 : traces::kMapMin, max);
}

Step TaskCreate(const Query& q) {
  if (q.task_limit_reached) return Return(KernReturn::kResourceShortage);
  if ((q.op.flags & traces::kFlagInherit) != 0) return Succeed(Step::Action::kFork, 0, 0);
  return Succeed(Step::Action::kBeBorn, q.task->space.min(), q.task->space.max());
}

bool IsMachInherit(base::Inherit inherit) {
  return inherit == base::Inherit::kShare || inherit == base::Inherit::kCopy ||
         inherit == base::Inherit::kNone;
}

// Where `size` bytes go: at the address asked for, or anywhere where no bit of `mask` is set.
Step Place(const Query& q, uint64_t size, uint64_t mask) {
  const Space& space = q.task->space;
  Step step = Succeed(Step::Action::kMap, 0, 0);
  uint64_t start = base::TruncPage(Word(*q.task, q.op.at));
  if ((q.op.flags & traces::kFlagAnywhere) != 0) {
    if (!space.LowestHole(size, mask, &start)) return Return(KernReturn::kNoSpace);
    step.freedom = Step::Freedom::kAddress;
    step.free_size = size;
    step.mask = mask;
  } else {
    if ((start & mask) != 0) return Return(KernReturn::kNoSpace);
    if (!space.Contains(start, size)) return Return(KernReturn::kInvalidAddress);
    if (!space.NoneMapped(start, start + size)) return Return(KernReturn::kNoSpace);
  }
  step.start = start;
  step.end = start + size;
  step.outcome.value = start;
  return step;
}

// Whether `bytes` more may be wired: yes, no, or more than can be told without knowing which frames
// are wired twice.
enum class Room : uint8_t { kYes, kNo, kMaybe };
Room RoomToWire(const Query& q, uint64_t bytes) {
  const uint64_t pages = bytes >> base::kPageShift;
  if (pages > q.wired_max) return Room::kNo;
  return pages + q.wired_at_most() <= q.wired_max ? Room::kYes : Room::kMaybe;
}

// `step`, if its [start, end) may be wired.
Step IfRoom(const Query& q, Step step) {
  switch (RoomToWire(q, step.end - step.start)) {
    case Room::kYes:
      return step;
    case Room::kNo:
      return Return(KernReturn::kResourceShortage);
    case Room::kMaybe:
      break;
  }
  step.refusal_code = static_cast<int32_t>(KernReturn::kResourceShortage);
  return step;
}

// New memory of a task that wires all that comes.
Step MayWire(const Query& q, Step step) {
  const bool wires = step.ok() && q.task->space.wires_future() && !step.attributes.prot.IsNone();
  if (!wires) return step;
  step.attributes.wired = true;
  return IfRoom(q, step);
}

Step VmAllocate(const Query& q) {
  if (Word(*q.task, q.op.size) == 0) return Return(KernReturn::kSuccess);
  uint64_t size = Word(*q.task, base::RoundPage(Word(*q.task, q.op.size)));
  if (size == 0) return Return(KernReturn::kInvalidArgument);
  return MayWire(q, Place(q, size, 0));
}

// Any pair of protections will do, even more rights than may be had.
Step VmMap(const Query& q) {
  if (!IsMachInherit(q.op.inherit)) return Return(KernReturn::kInvalidArgument);
  uint64_t size = Word(*q.task, base::RoundPage(Word(*q.task, q.op.size)));
  if (size == 0) return Return(KernReturn::kInvalidArgument);
  Step step = Place(q, size, Word(*q.task, q.op.mask));
  step.attributes.prot = q.op.prot;
  step.attributes.max_prot = q.op.max_prot;
  step.attributes.inherit = q.op.inherit;
  return MayWire(q, step);
}

Step VmDeallocate(const Query& q) {
  if (Word(*q.task, q.op.size) == 0) return Return(KernReturn::kSuccess);
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
  if (maximum) return step;
  return AndWire(q, step, static_cast<int32_t>(KernReturn::kResourceShortage));
}

Step VmInherit(const Query& q) {
  if (!IsMachInherit(q.op.inherit)) return Return(KernReturn::kInvalidArgument);
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
  const uint64_t at = Word(*q.task, q.op.at);
  const Region* found = q.task->space.FindFrom(at);
  if (found == nullptr) return Return(KernReturn::kNoSpace);
  size_t first = static_cast<size_t>(found - regions.data());
  size_t last = first;
  traces::RegionInfo info = InfoOf(*found);
  bool inside = found->start <= at;
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
  step.to = inside ? at : step.start;
  step.outcome.value = step.start;
  step.outcome.size = step.end - step.start;
  step.outcome.region = info;
  return step;
}

// What stands in the way of reading or writing all of [at, at + size): the first hole or missing
// right from below.
KernReturn Obstacle(const Task& task, uint64_t at, uint64_t size, base::Prot needed,
                    const FileTable& files) {
  const uint64_t end = Word(task, at + size);
  if (end <= at) return KernReturn::kInvalidAddress;
  for (uint64_t va = at; va < end;) {
    const Region* region = task.space.Find(va);
    if (region == nullptr) return KernReturn::kInvalidAddress;
    if (!needed.IsSubsetOf(region->attributes.prot)) return KernReturn::kProtectionFailure;
    va = region->end;
  }
  if (!needed.CanWrite()) return KernReturn::kSuccess;
  // A file's own page is written in place. Where it has no page, nothing can be; nor to the frames
  // of a device.
  for (uint64_t va = at; va < end;) {
    const Region* region = task.space.Find(va);
    const uint64_t last = std::min(end, region->end);
    const bool whole =
        region->layer != nullptr || WalkToCopy(task.space, va, last, files).lack == Lack::kNothing;
    if (!whole) return KernReturn::kMemoryError;
    va = region->end;
  }
  return KernReturn::kSuccess;
}

// The snapshot is made, for which memory may not do, before anybody looks at where it goes.
Step RefuseCopy(KernReturn code) {
  Step step = Return(code);
  step.shortage_code = static_cast<int32_t>(KernReturn::kResourceShortage);
  return step;
}

// `step`, or its failure, as the pages of [start, end) of `task` are there to be copied or not.
Step IfCopied(const Query& q, const Task& task, uint64_t start, uint64_t end, Step step) {
  const Walk walk = WalkToCopy(task.space, start, end, *q.files);
  if (walk.lack != Lack::kNothing) return RefuseCopy(KernReturn::kMemoryError);
  if (walk.doubtful != Lack::kNothing) {
    step.missing_code = static_cast<int32_t>(KernReturn::kMemoryError);
  }
  return step;
}

Step VmRead(const Query& q) {
  const uint64_t at = Word(*q.task, q.op.at);
  const uint64_t size = Word(*q.task, q.op.size);
  if (size == 0) return Return(KernReturn::kSuccess);
  const KernReturn obstacle = Obstacle(*q.task, at, size, base::kProtRead, *q.files);
  if (obstacle != KernReturn::kSuccess) return Return(obstacle);
  Step step = Succeed(Step::Action::kCopyOut, base::TruncPage(at), base::RoundPage(at + size));
  step.freedom = Step::Freedom::kAddress;
  step.free_size = step.end - step.start;
  step.page_offset = at - step.start;
  uint64_t lowest;
  if (!q.caller->space.LowestHole(step.free_size, 0, &lowest)) {
    step = RefuseCopy(KernReturn::kNoSpace);
  } else {
    step.outcome.value = lowest + step.page_offset;
  }
  return IfCopied(q, *q.task, base::TruncPage(at), base::RoundPage(at + size), step);
}

// A snapshot of [from, from + size) of `source`, which may be read, goes to `to`.
Step Overwrite(const Query& q, Step::Action action, const Task& source, uint64_t from,
               uint64_t size, uint64_t to) {
  if (!base::IsPageAligned(from) || !base::IsPageAligned(size) || !base::IsPageAligned(to)) {
    return Return(KernReturn::kInvalidArgument);
  }
  const KernReturn obstacle = Obstacle(*q.task, to, size, base::kProtWrite, *q.files);
  Step step =
      obstacle == KernReturn::kSuccess ? Succeed(action, from, from + size) : RefuseCopy(obstacle);
  step.to = to;
  return IfCopied(q, source, from, from + size, step);
}

Step VmCopy(const Query& q) {
  const uint64_t from = Word(*q.task, q.op.at);
  const uint64_t size = Word(*q.task, q.op.size);
  if (size == 0) return Return(KernReturn::kSuccess);
  const KernReturn obstacle = Obstacle(*q.task, from, size, base::kProtRead, *q.files);
  if (obstacle != KernReturn::kSuccess) return Return(obstacle);
  return Overwrite(q, Step::Action::kOverwrite, *q.task, from, size, Word(*q.task, q.op.to));
}

// The data travels with the message: what is wrong with it comes first.
Step VmWrite(const Query& q) {
  const uint64_t from = Word(*q.caller, q.op.to);
  const uint64_t size = Word(*q.task, q.op.size);
  if (size == 0) return Return(KernReturn::kSuccess);
  if (Obstacle(*q.caller, from, size, base::kProtRead, *q.files) != KernReturn::kSuccess) {
    return Return(KernReturn::kSendInvalidMemory);
  }
  return Overwrite(q, Step::Action::kStoreFrom, *q.caller, from, size, Word(*q.task, q.op.at));
}

// By the plain name of the host no task may have more than this wired.
constexpr uint64_t kMostUnprivilegedBytes = uint64_t{8} << 20;

KernReturn WiringError(Lack lack) {
  return lack == Lack::kDevice ? KernReturn::kMemoryError : KernReturn::kInvalidArgument;
}

Step UnlessMissing(const Query& q, Step step) {
  const Walk walk =
      WalkToWire(q.task->space, step.start, step.end, WireWhat::kWithRights, {}, *q.files);
  if (walk.doubtful != Lack::kNothing) {
    step.missing_code = static_cast<int32_t>(WiringError(walk.doubtful));
  }
  if (walk.lack == Lack::kNothing) return step;
  step.outcome.code = static_cast<int32_t>(WiringError(walk.lack));
  step.action = Step::Action::kMayWire;
  return step;
}

// Without rights a wired page does not count.
uint64_t WiredBytes(const Space& space) {
  uint64_t bytes = 0;
  for (const Region& region : space.regions()) {
    if (region.attributes.wired && !region.attributes.prot.IsNone())
      bytes += region.end - region.start;
  }
  return bytes;
}

Step VmWire(const Query& q) {
  const bool privileged = (q.op.flags & traces::kFlagPrivileged) != 0;
  if (privileged && q.caller->owner != 0) return Return(KernReturn::kInvalidHost);
  const Space& space = q.task->space;
  const uint64_t size = Word(*q.task, q.op.size);
  const uint64_t wired = WiredBytes(space);
  if (!privileged && (size > kMostUnprivilegedBytes || wired > kMostUnprivilegedBytes - size)) {
    return Return(KernReturn::kNoAccess);
  }
  Clamped range(q);
  if (space.Find(range.start) == nullptr) return Return(KernReturn::kNoSpace);
  for (uint64_t va = range.start; va < range.end;) {
    const Region* region = space.Find(va);
    if (region == nullptr || !q.op.prot.IsSubsetOf(region->attributes.prot)) {
      return Return(KernReturn::kNoSpace);
    }
    va = region->end;
  }
  Step step = Succeed(Step::Action::kSetWired, range.start, range.end);
  step.attributes.wired = !q.op.prot.IsNone();
  return step.attributes.wired ? IfRoom(q, UnlessMissing(q, step)) : step;
}

}  // namespace

Step DecodeMach(const Query& q) {
  if (!q.may_name) {
    // The host, not the task, is the destination of vm_wire.
    const bool argument = q.op.kind == OpKind::kVmWire;
    return Return(argument ? KernReturn::kInvalidTask : KernReturn::kSendInvalidDest);
  }
  switch (q.op.kind) {
    case OpKind::kTask:
    case OpKind::kTask32:
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
    case OpKind::kVmMap:
      return VmMap(q);
    case OpKind::kVmCopy:
      return VmCopy(q);
    case OpKind::kVmRead:
      return VmRead(q);
    case OpKind::kVmWrite:
      return VmWrite(q);
    case OpKind::kVmWire:
      return VmWire(q);
    default:
      return Return(KernReturn::kInvalidArgument);  // not a Mach call
  }
}

}  // namespace model
