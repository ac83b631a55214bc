// model/bsd.cc: the BSD calls: what they check, in which order, and which errno they answer with.
//
// SEE      facts/uvm.md 2.14. Nothing here is shared with vmserver, on purpose (design D11).

#include <algorithm>

#include "base/addr.h"
#include "model/presence.h"
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

Step Succeed(uint64_t value = 0) {
  Step step = Answer(Errno::kOk);
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
      : start(base::TruncPage(op.at)),
        size(op.size == 0 ? 0 : RoundPage(op.size + (op.at & base::kPageMask))) {}
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
    return Answer(Errno::kEinval);
  }
  if (q.task_limit_reached) return Answer(Errno::kEagain);
  return Succeed(Step::Action::kBeBorn, traces::kMapMin, max);
}

Step Fork(const Query& q) {
  if (q.task_limit_reached) return Answer(Errno::kEagain);
  return Succeed(Step::Action::kFork, 0, 0);
}

Errno WiringError(Lack lack) { return lack == Lack::kDevice ? Errno::kEio : Errno::kEinval; }

// What comes of wiring [start, end) when pages may not be there. `step` is what happens otherwise.
Step UnlessMissing(const Query& q, Step step, uint64_t start, uint64_t end) {
  const Walk walk = WalkToWire(q.task->space, start, end, WireWhat::kWithRights, {}, *q.files);
  if (walk.doubtful != Lack::kNothing) {
    step.missing_code = static_cast<int32_t>(WiringError(walk.doubtful));
  }
  if (walk.lack == Lack::kNothing) return step;
  step.outcome.code = static_cast<int32_t>(WiringError(walk.lack));
  if (step.action == Step::Action::kSetWired) step.action = Step::Action::kMayWire;
  step.cannot_wire = true;
  step.attributes.wired = false;
  return step;
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

// The freedom to choose any hole at an address without bits of `mask`; the canonical choice is the
// lowest. Fails with ENOMEM where there is no hole.
Step Anywhere(const Space& space, Step step, uint64_t size, uint64_t mask) {
  uint64_t start;
  if (!space.LowestHole(size, mask, &start)) return Answer(Errno::kEnomem);
  step = At(step, start, size);
  step.freedom = Step::Freedom::kAddress;
  step.free_size = size;
  step.mask = mask;
  return step;
}

// MAP_ALIGNED: the bits that the address shall not have. False: less than a page, or more than the
// word that counts it has bits.
bool MaskOf(const ResolvedOp& op, uint64_t* mask) {
  const uint32_t logarithm = traces::AlignmentOf(op.flags);
  *mask = 0;
  if (logarithm == 0) return true;
  if (logarithm < base::kPageShift || logarithm >= 64) return false;
  *mask = (uint64_t{1} << logarithm) - 1;
  return true;
}

// Whether `bytes` more may be wired: kYes, kNo, or more than can be told without knowing which
// frames are wired twice.
enum class Room : uint8_t { kYes, kNo, kMaybe };
Room RoomToWire(const Query& q, uint64_t bytes) {
  uint64_t pages = bytes >> base::kPageShift;
  if (pages > q.wired_max) return Room::kNo;
  return q.wired_at_most() <= q.wired_max - pages ? Room::kYes : Room::kMaybe;
}

// A new mapping with MAP_WIRED, or after mlockall(MCL_FUTURE): wired, or gone again.
Step MayWire(const Query& q, Step step) {
  const bool asked = q.op.kind == OpKind::kMmap && (q.op.flags & traces::kFlagWired) != 0;
  if (!asked && !q.task->space.wires_future()) return step;
  if (step.attributes.prot.IsNone()) return step;
  Room room = RoomToWire(q, step.end - step.start);
  step.attributes.wired = true;
  // The driver of a device is asked before, but by a private mapping.
  const MemoryObject* object = q.files->Object(step.file_key);
  const bool hidden =
      object != nullptr && object->kind == MemoryObject::Kind::kDevice && !step.attributes.shared;
  // Of a file that was cut all may be mapped, but not wired.
  const uint64_t pages = (step.end - step.start) >> base::kPageShift;
  const bool past_end =
      object != nullptr && object->kind == MemoryObject::Kind::kFile &&
      (step.file_page > object->pages() || pages > object->pages() - step.file_page);
  if (room == Room::kYes && !hidden && !past_end) return step;
  const Errno code = past_end ? Errno::kEinval : hidden ? Errno::kEio : Errno::kEnomem;
  Step failed = Answer(room == Room::kNo ? Errno::kEnomem : code);
  if (step.freedom == Step::Freedom::kNone) {
    failed.action = Step::Action::kUnmap;
    failed.start = step.start;
    failed.end = step.end;
  }
  if (room == Room::kNo) return failed;
  if (past_end && step.file_page < object->pages()) {
    // Memory may run out for the pages that come before those that are not there.
    failed.attributes.wired = true;
    failed.shortage_code = step.shortage_code;
  }
  if (hidden || past_end) step = failed;
  if (room == Room::kYes) return step;
  step.refusal_code = static_cast<int32_t>(Errno::kEnomem);
  return step;
}

// Where `step` maps `size` bytes, at least one page.
Step PlaceMapping(const Query& q, Step step, uint64_t size, uint32_t flags) {
  const ResolvedOp& op = q.op;
  const Space& space = q.task->space;
  uint64_t mask;
  if (!MaskOf(op, &mask)) return Answer(Errno::kEinval);
  if (mask != 0 && mask + 1 >= space.max()) return Answer(Errno::kEnomem);
  if ((flags & traces::kFlagFixed) != 0) {
    const uint64_t start = op.at - step.page_offset;
    return (start & mask) != 0 ? Answer(Errno::kEinval) : At(step, start, size);
  }
  const bool try_fixed = (flags & traces::kFlagTryFixed) != 0;
  if (try_fixed && IsPageAligned(op.at) && (op.at & mask) == 0 && space.Contains(op.at, size) &&
      space.NoneMapped(op.at, op.at + size)) {
    return At(step, op.at, size);
  }
  // Tried at an address of the caller's choice, the search goes up from there and no further.
  uint64_t above;
  uint64_t from = RoundPage(op.at);
  if (try_fixed && op.at != 0 && !space.HoleFrom(from, size, mask, &above)) {
    return Answer(Errno::kEnomem);
  }
  return Anywhere(space, step, size, mask);
}

Step Mmap(const Query& q, uint32_t flags) {
  const ResolvedOp& op = q.op;
  const Space& space = q.task->space;
  bool fixed = (flags & traces::kFlagFixed) != 0;
  bool try_fixed = (flags & traces::kFlagTryFixed) != 0;
  base::Prot max_prot = base::kProtAll;
  uint64_t object = 0;
  const bool memfd = op.backing == traces::Backing::kMemfd;
  if (memfd) {
    Errno wrong = CheckNamed(q, op.size, &object, &max_prot);
    if (wrong != Errno::kOk) return Answer(wrong);
  }
  if (op.size == 0 && op.file_key != 0) return Answer(Errno::kEinval);
  uint64_t page_offset = op.file_key == 0 ? 0 : op.offset & base::kPageMask;
  uint64_t size = RoundPage(op.size + page_offset);
  if (size < op.size) return Answer(Errno::kEnomem);
  const uint64_t start = op.at - page_offset;
  if (fixed) {
    if (!IsPageAligned(start)) return Answer(Errno::kEinval);
    if (start < space.min()) return Answer(Errno::kEinval);
    if (start + size > space.max()) return Answer(Errno::kEfbig);
    if (start + size < start) return Answer(Errno::kEoverflow);
  }
  if (op.backing == traces::Backing::kDevice) {
    Errno wrong = CheckNamed(q, size, &object, &max_prot);
    if (wrong != Errno::kOk) return Answer(wrong);
  }
  const uint64_t offset = op.offset - page_offset;
  if (op.file_key != 0 && offset + size < offset) return Answer(Errno::kEinval);
  Step step = NewMapping(op, (flags & traces::kFlagShared) != 0, page_offset);
  if (object != 0) step.file_key = object;
  step.attributes.max_prot = max_prot;
  // Nothing is mapped; the address is where a search would begin.
  if (size == 0 && fixed) return Succeed(start);
  if (size == 0) return Succeed(try_fixed && op.at != 0 ? op.at : std::max(op.at, space.min()));
  step = PlaceMapping(q, step, size, flags);
  return step.ok() ? MayWire(q, step) : step;
}

Step Munmap(const Query& q) {
  Rounded range(q.op);
  if (range.size == 0) return Succeed();
  if (!range.InBounds(q.task->space)) return Answer(Errno::kEinval);
  return Succeed(Step::Action::kUnmap, range.start, range.end());
}

Step Mprotect(const Query& q) {
  Rounded range(q.op);
  if (!range.InBounds(q.task->space)) return Answer(Errno::kEinval);
  base::Prot prot = WithRead(q.op.prot);
  if (!q.task->space.MaxAllows(range.start, range.end(), prot)) return Answer(Errno::kEacces);
  Step step = Succeed(Step::Action::kSetProt, range.start, range.end());
  step.attributes.prot = prot;
  return AndWire(q, step, static_cast<int32_t>(Errno::kEnomem));
}

Step Minherit(const Query& q) {
  if (q.op.inherit == base::Inherit::kDonateCopy) return Answer(Errno::kEinval);
  Rounded range(q.op);
  if (!range.InBounds(q.task->space)) return Answer(Errno::kEinval);
  Step step = Succeed(Step::Action::kSetInherit, range.start, range.end());
  step.attributes.inherit = q.op.inherit;
  return step;
}

// Why pages cannot be forgotten: wired memory right at the start, else a hole, else wired memory
// further on.
Errno FirstObstacle(const Space& space, uint64_t start, uint64_t end) {
  Errno wired = Errno::kOk;
  for (uint64_t at = start; at < end;) {
    const Region* region = space.Find(at);
    if (region == nullptr) return Errno::kEfault;
    if (region->attributes.wired) wired = Errno::kEbusy;
    if (at == start && wired != Errno::kOk) return wired;
    at = region->end;
  }
  return wired;
}

Step Madvise(const Query& q) {
  if (q.op.advice == base::Advice::kSpaceAvail) return Answer(Errno::kEinval);
  Rounded range(q.op);
  if (!range.InBounds(q.task->space)) return Answer(Errno::kEinval);
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
      return whole ? Succeed(Step::Action::kNothing, 0, 0) : Answer(Errno::kEfault);
    case base::Advice::kFree: {
      Errno refused = FirstObstacle(q.task->space, range.start, range.end());
      if (refused != Errno::kOk) return Answer(refused);
      return Succeed(Step::Action::kGiveUp, range.start, range.end());
    }
    case base::Advice::kWillNeed:
    case base::Advice::kSpaceAvail:
      break;
  }
  return Succeed(Step::Action::kNothing, 0, 0);
}

// What growing continues: the page before the end of the old range, and its file if it has one.
Errno CheckGrowth(const Query& q, uint64_t end, uint64_t more) {
  const Region* last = q.task->space.Find(end - 1);
  if (last == nullptr) return Errno::kEinval;
  if (last->file_key == 0) return Errno::kOk;
  uint64_t file_end = (last->FilePage(end - 1) + 1) << base::kPageShift;
  bool fits = file_end <= kFileOffsetLimit && more <= kFileOffsetLimit - file_end;
  if (!fits) return Errno::kE2big;
  // Beyond its end an object has nothing to map. A device does not say where that is.
  const MemoryObject* object = q.files->Object(last->file_key);
  if (object == nullptr || object->kind == MemoryObject::Kind::kDevice) return Errno::kOk;
  return file_end + more > RoundPage(object->size) ? Errno::kEinval : Errno::kOk;
}

// What is moved from a range with holes may be sent into one of them, where it does not fit.
Step MayMeetItself(const Query& q, uint64_t size, Step step) {
  if (!q.task->space.AllMapped(q.op.at, q.op.at + size)) {
    step.refusal_code = static_cast<int32_t>(Errno::kEio);
  }
  return step;
}

// mremap to a larger size: what stands before the old end is continued.
Step GrowMapping(const Query& q, uint64_t size, uint64_t new_size, bool move_only, bool duplicate,
                 uint64_t mask) {
  const ResolvedOp& op = q.op;
  const Space& space = q.task->space;
  bool fixed = (op.flags & traces::kFlagFixed) != 0;
  uint64_t end = op.at + size;
  uint64_t more = new_size - size;
  bool stays = !move_only && !duplicate && (op.at & mask) == 0 && space.Contains(end, more) &&
               space.NoneMapped(end, end + more);
  uint64_t to = op.to;
  if (!stays) {
    bool place = fixed ? move_only && space.NoneMapped(op.to, op.to + new_size)
                       : space.LowestHole(new_size, mask, &to);
    if (!place) return Answer(Errno::kEnomem);
  }
  Errno wrong = CheckGrowth(q, end, more);
  if (wrong != Errno::kOk) {
    return fixed || stays ? Answer(wrong) : MayMeetItself(q, size, Answer(wrong));
  }
  if (stays) {
    Step step = Succeed(Step::Action::kGrow, end, end + more);
    step.outcome.value = op.at;
    return step;
  }
  Step step = Succeed(duplicate ? Step::Action::kDuplicate : Step::Action::kMove, op.at, end);
  step.size = size;
  step.new_size = new_size;
  step.to = to;
  step.outcome.value = to;
  if (fixed) return step;
  step.freedom = Step::Freedom::kAddress;
  step.free_size = new_size;
  step.mask = mask;
  return MayMeetItself(q, size, step);
}

// mremap to a size that is not larger, which does not say where to but may not leave the result
// where the old range is: MAP_REMAPDUP, or MAP_ALIGNED where the old address is not.
Step GoAnywhere(const Query& q, Step::Action action, uint64_t size, uint64_t new_size,
                uint64_t mask) {
  Step step = Succeed(action, q.op.at, q.op.at + size);
  step.size = size;
  step.new_size = new_size;
  if (!q.task->space.LowestHole(new_size, mask, &step.to)) return Answer(Errno::kEnomem);
  step.outcome.value = step.to;
  step.freedom = Step::Freedom::kAddress;
  step.free_size = new_size;
  step.mask = mask;
  return MayMeetItself(q, size, step);
}

Step Mremap(const Query& q) {
  const ResolvedOp& op = q.op;
  const Space& space = q.task->space;
  bool fixed = (op.flags & traces::kFlagFixed) != 0;
  uint64_t mask;
  if (!MaskOf(op, &mask)) return Answer(Errno::kEinval);
  if (!IsPageAligned(op.at) || (fixed && !IsPageAligned(op.to))) return Answer(Errno::kEinval);
  uint64_t size = RoundPage(op.size);
  uint64_t new_size = RoundPage(op.new_size);
  if (size == 0 || new_size == 0 || !space.Contains(op.at, size)) return Answer(Errno::kEinval);
  bool duplicate = (op.flags & traces::kFlagDuplicate) != 0;
  bool moves = fixed && (op.to != op.at || duplicate);
  if (fixed && op.to + new_size < op.to) return Answer(Errno::kEinval);
  if (fixed && !space.Contains(op.to, new_size)) return Answer(Errno::kEnomem);
  if (fixed && (op.to & mask) != 0) return Answer(Errno::kEinval);
  if (new_size > size) return GrowMapping(q, size, new_size, moves, duplicate, mask);
  if (!moves && duplicate) {
    return GoAnywhere(q, Step::Action::kDuplicate, size, new_size, mask);
  }
  if ((op.at & mask) != 0 && !fixed) {
    return GoAnywhere(q, Step::Action::kMove, size, new_size, mask);
  }
  if (!moves) {
    Step step = Succeed(Step::Action::kUnmap, op.at + new_size, op.at + size);
    step.outcome.value = op.at;
    return step;
  }
  if (!space.NoneMapped(op.to, op.to + new_size)) return Answer(Errno::kEnomem);
  Step step =
      Succeed(duplicate ? Step::Action::kDuplicate : Step::Action::kMove, op.at, op.at + size);
  step.size = size;
  step.new_size = new_size;
  step.to = op.to;
  step.outcome.value = op.to;
  return step;
}

Step SetWired(Step step, bool wired) {
  step.attributes.wired = wired;
  return step;
}

Step Mlock(const Query& q) {
  const Space& space = q.task->space;
  Rounded range(q.op);
  if (!range.InBounds(space)) return Answer(Errno::kEnomem);
  if (range.size == 0) return Succeed();
  Room room = RoomToWire(q, range.size);
  if (room == Room::kNo) return Answer(Errno::kEagain);
  Step step = SetWired(Succeed(Step::Action::kSetWired, range.start, range.end()), true);
  if (space.Find(range.start) == nullptr) step = Answer(Errno::kEnomem);
  if (step.ok() && !space.AllMapped(range.start, range.end())) step = Answer(Errno::kEinval);
  for (uint64_t at = range.start; step.ok() && at < range.end();) {
    const Region* region = space.Find(at);
    if (region->attributes.prot.IsNone()) step = Answer(Errno::kEinval);
    at = region->end;
  }
  if (step.ok()) step = UnlessMissing(q, step, range.start, range.end());
  if (room == Room::kMaybe) step.refusal_code = static_cast<int32_t>(Errno::kEagain);
  return step;
}

Step Munlock(const Query& q) {
  const Space& space = q.task->space;
  Rounded range(q.op);
  if (range.InBounds(space) && range.size == 0) return Succeed();
  if (!range.InBounds(space) || space.Find(range.start) == nullptr ||
      !space.AllMapped(range.start, range.end())) {
    return Answer(Errno::kEnomem);
  }
  for (uint64_t at = range.start; at < range.end();) {
    const Region* region = space.Find(at);
    if (!region->attributes.wired) return Answer(Errno::kEnomem);
    at = region->end;
  }
  return SetWired(Succeed(Step::Action::kSetWired, range.start, range.end()), false);
}

Step Mlockall(const Query& q) {
  const Space& space = q.task->space;
  bool current = (q.op.flags & traces::kFlagCurrent) != 0;
  bool future = (q.op.flags & traces::kFlagFuture) != 0;
  if (!current && !future) return Answer(Errno::kEinval);
  Step step = SetWired(Succeed(Step::Action::kWireAll, space.min(), space.max()), current);
  step.wires_future = future || space.wires_future();
  if (!current) return step;
  uint64_t bytes = 0;
  for (const Region& region : space.regions()) {
    bool wires = !region.attributes.prot.IsNone() && !region.attributes.wired;
    if (wires) bytes += region.end - region.start;
  }
  Room room = RoomToWire(q, bytes);
  if (room == Room::kMaybe) step.refusal_code = static_cast<int32_t>(Errno::kEnomem);
  if (room != Room::kNo) return UnlessMissing(q, step, space.min(), space.max());
  // MCL_FUTURE holds even when the present cannot be wired.
  step.outcome.code = static_cast<int32_t>(Errno::kEnomem);
  step.attributes.wired = false;
  return step;
}

// Pages of [start, end) of `region` that were written and are in memory whatever happens.
uint64_t OwnedPages(const Region& region, uint64_t start, uint64_t end, const FileTable& files) {
  // Of a device every page counts as resident.
  const MemoryObject* object = files.Object(region.file_key);
  if (object != nullptr && object->kind == MemoryObject::Kind::kDevice) {
    return (end - start) >> base::kPageShift;
  }
  if (region.layer == nullptr) return 0;
  uint64_t pages = 0;
  const PageMap& owned = region.layer->owned;
  auto stop = owned.lower_bound(region.LayerPage(end));
  for (auto it = owned.lower_bound(region.LayerPage(start)); it != stop; ++it) {
    if (it->second.IsOpen() || it->second.Canonical() == nullptr) continue;
    // A copy of a page that MADV_FREE gave up owns what is below, and it may have no frame yet.
    if (!region.attributes.wired && it->second.Canonical()->pristine()) continue;
    ++pages;
  }
  return pages;
}

Step Mincore(const Query& q) {
  const Space& space = q.task->space;
  uint64_t size = RoundPage(q.op.size);
  if (!IsPageAligned(q.op.at) || size == 0 || q.op.at + size <= q.op.at) {
    return Answer(Errno::kEinval);
  }
  uint64_t end = q.op.at + size;
  if (!space.Contains(q.op.at, size) || !space.AllMapped(q.op.at, end)) {
    return Answer(Errno::kEnomem);
  }
  Step step = Succeed();
  step.freedom = Step::Freedom::kCount;
  step.new_size = size >> base::kPageShift;
  for (uint64_t at = q.op.at; at < end;) {
    const Region* region = space.Find(at);
    // With somewhere to go pages come and go, unless they are wired.
    if (region->attributes.wired || q.swap->devices.empty())
      step.size += OwnedPages(*region, at, std::min(end, region->end), *q.files);
    at = region->end;
  }
  step.outcome.value = step.size;
  return step;
}

Step Msync(const Query& q) {
  const Space& space = q.task->space;
  bool async = (q.op.flags & traces::kFlagAsync) != 0;
  bool sync = (q.op.flags & traces::kFlagSync) != 0;
  bool invalidate = (q.op.flags & traces::kFlagInvalidate) != 0;
  if ((!async && !sync && !invalidate) || (async && sync)) return Answer(Errno::kEinval);
  Rounded range(q.op);
  if (!range.InBounds(space)) return Answer(Errno::kEnomem);
  uint64_t end = range.end();
  if (range.size == 0) {
    // All that is mapped as one with the address. Its pages are alike in all that matters here.
    if (space.Find(range.start) == nullptr) return Answer(Errno::kEinval);
    end = range.start + base::kPageSize;
  }
  if (invalidate) {
    Errno refused = FirstObstacle(space, range.start, end);
    return refused == Errno::kOk ? Succeed() : Answer(refused);
  }
  return space.AllMapped(range.start, end) ? Succeed() : Answer(Errno::kEfault);
}

Step ExecBrk(const Query& q) {
  const Space& space = q.task->space;
  if (!IsPageAligned(q.op.at) || q.op.at < space.min() || q.op.at >= space.max()) {
    return Answer(Errno::kEinval);
  }
  Step step = Succeed();
  step.sets_heap_base = step.sets_heap = true;
  step.heap = q.op.at;
  return step;
}

Step Brk(const Query& q) {
  const Task& task = *q.task;
  if (!task.has_heap || q.op.at < task.heap_base) return Answer(Errno::kEinval);
  if (q.op.at > task.space.max()) return Answer(Errno::kEnomem);
  uint64_t was = RoundPage(task.heap_current);
  uint64_t now = RoundPage(q.op.at);
  Step step = Succeed(Step::Action::kNothing, 0, 0);
  if (now < was) step = Succeed(Step::Action::kUnmap, now, was);
  if (now > was) {
    if (!task.space.NoneMapped(was, now)) return Answer(Errno::kEnomem);
    step = MayWire(q, Succeed(Step::Action::kMap, was, now));
    if (!step.ok()) return step;
  }
  step.sets_heap = true;
  step.heap = q.op.at;
  return step;
}

Step LinuxDontneed(const Query& q) {
  if (!IsPageAligned(q.op.at)) return Answer(Errno::kEinval);
  Rounded range(q.op);
  if (!range.InBounds(q.task->space)) return Answer(Errno::kEnomem);
  bool whole = q.task->space.AllMapped(range.start, range.end());
  // Linux, too, keeps what is locked.
  for (uint64_t at = range.start; at < range.end();) {
    const Region* region = q.task->space.FindFrom(at);
    if (region == nullptr || region->start >= range.end()) break;
    if (region->attributes.wired) return Answer(Errno::kEinval);
    at = region->end;
  }
  Step step = Succeed(Step::Action::kDiscard, range.start, range.end());
  step.outcome.code = static_cast<int32_t>(whole ? Errno::kOk : Errno::kEnomem);
  return step;
}

}  // namespace

Step AndWire(const Query& q, Step step, int32_t code) {
  const Space& space = q.task->space;
  if (!space.wires_future() || step.attributes.prot.IsNone()) return step;
  const Walk walk = WalkToWire(space, step.start, step.end, WireWhat::kWithoutRights,
                               step.attributes.prot, *q.files);
  if (walk.doubtful != Lack::kNothing) step.missing_code = code;
  if (walk.lack == Lack::kNothing) return step;
  step.outcome.code = code;
  step.cannot_wire = true;
  return step;
}

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
    case OpKind::kMlock:
      return Mlock(q);
    case OpKind::kMunlock:
      return Munlock(q);
    case OpKind::kMlockall:
      return Mlockall(q);
    case OpKind::kMunlockall:
      return Succeed(Step::Action::kUnwireAll, q.task->space.min(), q.task->space.max());
    case OpKind::kMincore:
      return Mincore(q);
    case OpKind::kMsync:
      return Msync(q);
    case OpKind::kPread:
    case OpKind::kPwrite:
    case OpKind::kFtruncate:
    case OpKind::kPeek:
    case OpKind::kPoke:
    case OpKind::kSend:
    case OpKind::kReceive:
    case OpKind::kSendFile:
      return DecodeMove(q);
    default:
      return DecodeShared(q);
  }
}

}  // namespace model
