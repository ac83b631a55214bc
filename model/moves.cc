// model/moves.cc: the calls that move bytes: to and from files, other tasks, messages.
//
// WHAT     Each goes upwards and ends at the first byte that cannot be moved. Where that is memory
//          of the caller's the outcome is EFAULT, though what came before has been moved. A reader
//          of bytes gets all up to there; what is written is written page by page of what is
//          written to, a page's part wholly or not at all. A page that was lost to an error of
//          swap is a page that is not there; what came before it has been moved.
// SEE      facts/uvm.md 1.8, 1.13, 1.15. Nothing here is shared with vmserver (design D11).

#include <algorithm>

#include "base/addr.h"
#include "model/presence.h"
#include "model/step.h"

namespace model {
namespace {

using base::Errno;
using traces::OpKind;

// The most one call moves.
constexpr uint64_t kMaxMove = 256 << 10;
// Sizes of memory are signed numbers, as file offsets are.
constexpr uint64_t kSignedLimit = uint64_t{1} << 63;
constexpr uint64_t kMaxMessageBytes = 64 << 10;
constexpr size_t kMaxMessages = 8;

// `moved` bytes are moved; `why` it was not more.
Step Moved(uint64_t moved, Errno why) {
  Step step = Answer(why);
  step.action = Step::Action::kTransfer;
  step.counted = true;
  step.size = step.sure = moved;
  step.shortage_code = static_cast<int32_t>(Errno::kEnomem);
  if (step.ok()) step.outcome.value = moved;
  return step;
}

// How many of the bytes [at, at + size) the caller may load from, or store to, before the first
// that it may not; and before the first of which nobody knows.
struct Reach {
  uint64_t most = 0;
  uint64_t sure = 0;
  bool ends_at_lost = false;
};
Reach ReachOf(const Query& q, uint64_t at, uint64_t size, base::Access access) {
  const Space& space = q.caller->space;
  const FileTable& files = *q.files;
  const base::Prot needed = access == base::Access::kWrite ? base::kProtReadWrite : base::kProtRead;
  Reach reach;
  bool sure = true;
  while (reach.most < size) {
    const uint64_t va = at + reach.most;
    const Region* region = space.Find(va);
    if (region == nullptr || !needed.IsSubsetOf(region->attributes.prot)) break;
    uint64_t some = std::min(size - reach.most, region->end - va);
    if (q.MayBeLost()) {
      some = std::min(some, base::TruncPage(va) + base::kPageSize - va);
      reach.ends_at_lost = q.IsLost(q.op.task, va);
      if (reach.ends_at_lost) break;
    }
    if (files.Object(region->file_key) != nullptr) {
      some = std::min(some, base::TruncPage(va) + base::kPageSize - va);
      const Presence presence = PresenceFor(*region, va, access, files);
      if (presence == Presence::kAbsent) break;
      sure = sure && presence == Presence::kThere;
    }
    reach.most += some;
    if (sure) reach.sure = reach.most;
  }
  return reach;
}

// The caller's memory cannot be moved as a whole, or perhaps not.
Step MayFail(Step step, uint64_t sure, Errno code) {
  step.sure = std::min(step.sure, sure);
  step.may_fail_with.push_back(static_cast<int32_t>(code));
  return step;
}

// `bytes` without the part of a page of the destination that it ends in.
uint64_t WholePieces(uint64_t to, uint64_t bytes) {
  const uint64_t end = base::TruncPage(to + bytes);
  return end > to ? end - to : 0;
}

// All of the caller's memory is fetched as wiring fetches it, or nothing is moved.
Step Direct(const Query& q, uint64_t size) {
  const traces::ResolvedOp& op = q.op;
  const Space& space = q.caller->space;
  const base::Prot needed = op.kind == OpKind::kPread ? base::kProtReadWrite : base::kProtRead;
  Step step = Moved(size, Errno::kOk);
  step.direct = size > 0;
  step.new_size = size;
  const uint64_t wired = base::RoundPage((op.at & base::kPageMask) + size) >> base::kPageShift;
  if (q.wired_at_most() + wired > q.wired_max) {
    step.refusal_code = static_cast<int32_t>(Errno::kEnomem);
  }
  for (uint64_t done = 0; done < size;) {
    const uint64_t at = op.at + done;
    const Region* region = space.Find(at);
    if (region == nullptr || !needed.IsSubsetOf(region->attributes.prot)) {
      // Found before anything is fetched.
      step = Moved(0, Errno::kEfault);
      return step;
    }
    const base::Access access =
        region->attributes.prot.CanWrite() ? base::Access::kWrite : base::Access::kRead;
    const bool lost = q.IsLost(op.task, at);
    const Presence presence = lost ? Presence::kAbsent : PresenceFor(*region, at, access, *q.files);
    if (presence != Presence::kThere && step.ok()) {
      step = MayFail(step, 0, Errno::kEfault);
      if (presence == Presence::kAbsent) step.outcome.code = static_cast<int32_t>(Errno::kEfault);
      if (presence == Presence::kAbsent) step.outcome.value = step.size = 0;
    }
    done += std::min(size - done, base::kPageSize - (at & base::kPageMask));
  }
  return step;
}

Step File(const Query& q) {
  const traces::ResolvedOp& op = q.op;
  const bool read = op.kind == OpKind::kPread;
  if (op.file_key == 0) return Answer(Errno::kEbadf);
  if (op.offset >= kSignedLimit || op.size >= kSignedLimit) return Answer(Errno::kEinval);
  const uint64_t left = kSignedLimit - op.offset;
  if (!read && op.size > left) return Answer(Errno::kEfbig);
  uint64_t size = std::min({op.size, left, kMaxMove});
  const MemoryObject* file = q.files->Object(op.file_key);
  if (read && file != nullptr) {
    size = std::min(size, file->size - std::min(file->size, op.offset));
  }
  if ((op.flags & traces::kFlagDirect) != 0) return Direct(q, size);
  Reach reach = ReachOf(q, op.at, size, read ? base::Access::kWrite : base::Access::kRead);
  // The part of a page of the file that could not be supplied is not written at all.
  const uint64_t loaded = reach.most;
  if (!read && reach.sure < size) reach.sure = WholePieces(op.offset, reach.sure);
  if (!read && reach.most < size) reach.most = WholePieces(op.offset, reach.most);
  // Where pages of memory and file do not lie alike two pages of the file need each page of memory:
  // it may have been there for the first, and lost when the second was to be written.
  if (!read && reach.ends_at_lost) {
    const uint64_t page_end = base::TruncPage(op.at + loaded) + base::kPageSize;
    const uint64_t both = WholePieces(op.offset, page_end - op.at);
    const bool alike = ((op.at ^ op.offset) & base::kPageMask) == 0;
    if (!alike && both > reach.most && both < size) reach.most = both;
  }
  Step step = Moved(reach.most, reach.most == size ? Errno::kOk : Errno::kEfault);
  return reach.sure < step.size ? MayFail(step, reach.sure, Errno::kEfault) : step;
}

Step Ftruncate(const Query& q) {
  const traces::ResolvedOp& op = q.op;
  if (op.file_key == 0) return Answer(Errno::kEbadf);
  if (op.offset >= kSignedLimit) return Answer(Errno::kEinval);
  Step step = Answer(Errno::kOk);
  step.action = Step::Action::kFtruncate;
  step.file_key = op.file_key;
  step.size = op.offset;
  step.shortage_code = static_cast<int32_t>(Errno::kEnomem);
  return step;
}

// Whether a debugger gets at the page: by the maximum protection.
Presence PresenceByMaximum(const Region& region, uint64_t va, const FileTable& files) {
  if (files.Object(region.file_key) == nullptr) return Presence::kThere;
  Region by_maximum = region;
  by_maximum.attributes.prot = region.attributes.max_prot;
  return PresenceFor(by_maximum, va, base::Access::kWrite, files);
}

Errno MissingCode(const Region& region, const FileTable& files) {
  const MemoryObject* object = files.Object(region.file_key);
  const bool device = object != nullptr && object->kind == MemoryObject::Kind::kDevice;
  return device ? Errno::kEio : Errno::kEinval;
}

// A debugger's access, page by page of the other task's memory.
Step Other(const Query& q) {
  const traces::ResolvedOp& op = q.op;
  const bool read = op.kind == OpKind::kPeek;
  if (!q.may_name) return Answer(Errno::kEsrch);
  if (op.size == 0) return Moved(0, Errno::kOk);
  if (op.at + op.size < op.at) return Answer(Errno::kEio);
  const Space& space = q.task->space;
  if (op.at >= space.max()) return Moved(0, Errno::kOk);
  const uint64_t size = std::min({op.size, space.max() - op.at, kMaxMove});
  const base::Prot needed = read ? base::kProtRead : base::kProtReadWrite;
  const Reach reach = ReachOf(q, op.to, size, read ? base::Access::kWrite : base::Access::kRead);
  Step doubts;
  doubts.sure = size;
  auto end = [&](uint64_t moved, Errno why) {
    Step step = Moved(moved, why);
    step.sure = std::min(step.sure, doubts.sure);
    step.may_fail_with = doubts.may_fail_with;
    return step;
  };
  for (uint64_t done = 0; done < size;) {
    const uint64_t at = op.at + done;
    const uint64_t some = std::min(size - done, base::kPageSize - (at & base::kPageMask));
    const Region* region = space.Find(at);
    if (region == nullptr) return end(done, Errno::kEinval);
    const bool permitted = needed.IsSubsetOf(region->attributes.max_prot);
    const bool lost = q.IsLost(traces::ActsOn(op), at);
    const Presence presence = lost ? Presence::kAbsent : PresenceByMaximum(*region, at, *q.files);
    const Errno missing = lost ? Errno::kEio : MissingCode(*region, *q.files);
    const Errno refusal = permitted ? missing : Errno::kEacces;
    const bool refused = !permitted || presence == Presence::kAbsent;
    // What is read is there before the caller's memory is asked for, what is written after.
    if (read && refused) return end(done, refusal);
    if (read && presence == Presence::kOpen) doubts = MayFail(doubts, done, refusal);
    if (reach.sure < done + some && reach.sure < doubts.sure) {
      doubts = MayFail(doubts, read ? reach.sure : done, Errno::kEfault);
    }
    if (reach.most < done + some) return end(read ? reach.most : done, Errno::kEfault);
    if (refused) return end(done, refusal);
    if (presence == Presence::kOpen) doubts = MayFail(doubts, done, refusal);
    done += some;
  }
  return end(size, Errno::kOk);
}

Step Send(const Query& q) {
  const traces::ResolvedOp& op = q.op;
  if (op.size == 0 || !base::IsPageAligned(op.at) || !base::IsPageAligned(op.size)) {
    return Answer(Errno::kEinval);
  }
  if (op.size > kMaxMessageBytes) return Answer(Errno::kEmsgsize);
  if (q.channel->size() >= kMaxMessages) return Answer(Errno::kEagain);
  if (!q.may_lend(op.size >> base::kPageShift)) return Answer(Errno::kEnomem);
  const Space& space = q.caller->space;
  if (!space.Contains(op.at, op.size) || !space.AllMapped(op.at, op.at + op.size)) {
    return Answer(Errno::kEfault);
  }
  for (uint64_t at = op.at; at < op.at + op.size; at = space.Find(at)->end) {
    if (!space.Find(at)->attributes.prot.CanRead()) return Answer(Errno::kEfault);
  }
  Step step = Moved(op.size, Errno::kOk);
  step.counted = false;
  // A loan that fails for want of memory looks like every other.
  step.shortage_code = static_cast<int32_t>(Errno::kEinval);
  for (uint64_t at = op.at; at < op.at + op.size;) {
    const Region* region = space.Find(at);
    if (region->attributes.wired && q.files->Object(region->file_key) == nullptr) {
      return Answer(Errno::kEinval);
    }
    // Of an object that was cut and extended pages may have come that nobody wired.
    if (region->attributes.wired) step = MayFail(step, 0, Errno::kEinval);
    at = region->end;
  }
  // What no page stands behind is not lent, nor are the frames of a device.
  const Walk walk = WalkToCopy(space, op.at, op.at + op.size, *q.files);
  if (walk.lack != Lack::kNothing) return Answer(Errno::kEinval);
  if (walk.doubtful != Lack::kNothing) step = MayFail(step, 0, Errno::kEinval);
  // Others may have wired the same pages.
  if (q.wired_by_tasks_at_most() > 0) step.refusal_code = static_cast<int32_t>(Errno::kEinval);
  return step;
}

Step SendFile(const Query& q) {
  const traces::ResolvedOp& op = q.op;
  if (op.file_key == 0) return Answer(Errno::kEbadf);
  if (op.size == 0 || !base::IsPageAligned(op.offset) || !base::IsPageAligned(op.size)) {
    return Answer(Errno::kEinval);
  }
  if (op.size > kMaxMessageBytes) return Answer(Errno::kEmsgsize);
  if (op.offset > kSignedLimit - op.size) return Answer(Errno::kEinval);
  if (q.channel->size() >= kMaxMessages) return Answer(Errno::kEagain);
  if (!q.may_lend(op.size >> base::kPageShift)) return Answer(Errno::kEnomem);
  Step step = Moved(op.size, Errno::kOk);
  const MemoryObject* file = q.files->Object(op.file_key);
  if (file != nullptr && op.offset + op.size > base::RoundPage(file->size)) {
    step = Answer(Errno::kEinval);
    step.shortage_code = static_cast<int32_t>(Errno::kEnomem);
  }
  step.counted = false;
  // Somebody may have wired its pages.
  if (q.wired_by_tasks_at_most() > 0) step.refusal_code = static_cast<int32_t>(Errno::kEbusy);
  return step;
}

Step Receive(const Query& q) {
  if (q.channel->empty()) return Answer(Errno::kEagain);
  const uint64_t size = std::min<uint64_t>(q.op.size, q.channel->front().bytes.size());
  const Reach reach = ReachOf(q, q.op.at, size, base::Access::kWrite);
  Step step = Moved(reach.most, reach.most == size ? Errno::kOk : Errno::kEfault);
  return reach.sure < step.size ? MayFail(step, reach.sure, Errno::kEfault) : step;
}

}  // namespace

Step DecodeMove(const Query& q) {
  switch (q.op.kind) {
    case OpKind::kPread:
    case OpKind::kPwrite:
      return File(q);
    case OpKind::kPeek:
    case OpKind::kPoke:
      return Other(q);
    case OpKind::kFtruncate:
      return Ftruncate(q);
    case OpKind::kSend:
      return Send(q);
    case OpKind::kSendFile:
      return SendFile(q);
    default:
      return Receive(q);
  }
}

}  // namespace model
