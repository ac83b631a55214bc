// model/moves.cc: the calls that move bytes: to and from files, other tasks, messages.
//
// WHAT     Each goes upwards and ends at the first byte that cannot be moved. Where that is memory
//          of the caller's the outcome is EFAULT, though what came before has been moved. A reader
//          of bytes gets all up to there; what is written is written page by page of what is
//          written to, a page's part wholly or not at all.
// SEE      facts/uvm.md 1.8, 1.13, 1.15. Nothing here is shared with vmserver (design D11).

#include <algorithm>

#include "base/addr.h"
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

Step Fail(Errno code) {
  Step step;
  step.outcome = {traces::Outcome::Family::kErrno, static_cast<int32_t>(code), 0, 0, {}};
  return step;
}

// `moved` bytes are moved; `why` it was not more.
Step Moved(uint64_t moved, Errno why) {
  Step step = Fail(why);
  step.action = Step::Action::kTransfer;
  step.counted = true;
  step.size = moved;
  step.shortage_code = static_cast<int32_t>(Errno::kEnomem);
  if (step.ok()) step.outcome.value = moved;
  return step;
}

// How many of the bytes [at, at + size) the task may load from, or store to, before the first that
// it may not.
uint64_t Reach(const Space& space, uint64_t at, uint64_t size, base::Prot needed) {
  uint64_t reach = 0;
  while (reach < size) {
    const Region* region = space.Find(at + reach);
    if (region == nullptr || !needed.IsSubsetOf(region->attributes.prot)) break;
    reach += std::min(size - reach, region->end - (at + reach));
  }
  return reach;
}

Step File(const Query& q) {
  const traces::ResolvedOp& op = q.op;
  const bool read = op.kind == OpKind::kPread;
  if (op.file_key == 0) return Fail(Errno::kEbadf);
  if (op.offset >= kSignedLimit || op.size >= kSignedLimit) return Fail(Errno::kEinval);
  const uint64_t left = kSignedLimit - op.offset;
  if (!read && op.size > left) return Fail(Errno::kEfbig);
  const uint64_t size = std::min({op.size, left, kMaxMove});
  const base::Prot needed = read ? base::kProtReadWrite : base::kProtRead;
  uint64_t reach = Reach(q.caller->space, op.at, size, needed);
  if (reach == size) return Moved(size, Errno::kOk);
  if (!read) {
    // The part of a page of the file that could not be supplied is not written at all.
    const uint64_t end = base::TruncPage(op.offset + reach);
    reach = end > op.offset ? end - op.offset : 0;
  }
  return Moved(reach, Errno::kEfault);
}

// A debugger's access, page by page of the other task's memory.
Step Other(const Query& q) {
  const traces::ResolvedOp& op = q.op;
  const bool read = op.kind == OpKind::kPeek;
  if (!q.may_name) return Fail(Errno::kEsrch);
  if (op.size == 0) return Moved(0, Errno::kOk);
  if (op.at + op.size < op.at) return Fail(Errno::kEio);
  const Space& space = q.task->space;
  if (op.at >= space.max()) return Moved(0, Errno::kOk);
  const uint64_t size = std::min({op.size, space.max() - op.at, kMaxMove});
  const base::Prot needed = read ? base::kProtRead : base::kProtReadWrite;
  const uint64_t reach =
      Reach(q.caller->space, op.to, size, read ? base::kProtReadWrite : base::kProtRead);
  for (uint64_t done = 0; done < size;) {
    const uint64_t at = op.at + done;
    const uint64_t some = std::min(size - done, base::kPageSize - (at & base::kPageMask));
    const Region* region = space.Find(at);
    if (region == nullptr) return Moved(done, Errno::kEinval);
    const bool permitted = needed.IsSubsetOf(region->attributes.max_prot);
    const bool supplied = reach >= done + some;
    // What is read is there before the caller's memory is asked for, what is written after.
    if (read && !permitted) return Moved(done, Errno::kEacces);
    if (!supplied) return Moved(read ? reach : done, Errno::kEfault);
    if (!permitted) return Moved(done, Errno::kEacces);
    done += some;
  }
  return Moved(size, Errno::kOk);
}

Step Send(const Query& q) {
  const traces::ResolvedOp& op = q.op;
  if (op.size == 0 || !base::IsPageAligned(op.at) || !base::IsPageAligned(op.size)) {
    return Fail(Errno::kEinval);
  }
  if (op.size > kMaxMessageBytes) return Fail(Errno::kEmsgsize);
  if (q.channel->size() >= kMaxMessages) return Fail(Errno::kEagain);
  const Space& space = q.caller->space;
  if (Reach(space, op.at, op.size, base::kProtRead) != op.size) return Fail(Errno::kEfault);
  Step step = Moved(op.size, Errno::kOk);
  step.counted = false;
  // A loan that fails for want of memory looks like every other.
  step.shortage_code = static_cast<int32_t>(Errno::kEinval);
  for (uint64_t at = op.at; at < op.at + op.size;) {
    const Region* region = space.Find(at);
    if (region->attributes.wired) return Fail(Errno::kEinval);
    at = region->end;
  }
  // Others may have wired the same pages.
  if (q.wired_at_most > 0) step.refusal_code = static_cast<int32_t>(Errno::kEinval);
  return step;
}

Step Receive(const Query& q) {
  if (q.channel->empty()) return Fail(Errno::kEagain);
  const uint64_t size = std::min<uint64_t>(q.op.size, q.channel->front().bytes.size());
  const uint64_t reach = Reach(q.caller->space, q.op.at, size, base::kProtReadWrite);
  return Moved(reach, reach == size ? Errno::kOk : Errno::kEfault);
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
    case OpKind::kSend:
      return Send(q);
    default:
      return Receive(q);
  }
}

}  // namespace model
