// model/shared.cc: memory that has a name: memory files, System V segments, the frame buffer.
//
// SEE      memfd_create(2), fcntl(2), shmat(2), shmctl(2) of NetBSD; facts/uvm.md 1.7, 1.16.
// Nothing
//          here is shared with vmserver, on purpose (design D11).

#include <algorithm>

#include "base/addr.h"
#include "model/presence.h"
#include "model/step.h"

namespace model {
namespace {

using base::Errno;
using base::RoundPage;
using traces::OpKind;
using traces::ResolvedOp;

// File sizes are signed 64-bit numbers.
constexpr uint64_t kMostBytes = ~uint64_t{0} >> 1;

constexpr uint32_t kSealSeal = 1;
constexpr uint32_t kSealShrink = 2;
constexpr uint32_t kSealGrow = 4;
constexpr uint32_t kSealWrite = 8;
constexpr uint32_t kSealFutureWrite = 16;
constexpr uint32_t kAllSeals = 31;

Step Do(Step::Action action, const Query& q) {
  Step step = Answer(Errno::kOk);
  step.action = action;
  step.file_key = q.op.file_key;
  step.size = q.op.size;
  step.shortage_code = static_cast<int32_t>(Errno::kEnomem);
  return step;
}

uint64_t IdOf(const std::map<uint64_t, uint64_t>& names, uint64_t key) {
  auto it = names.find(key);
  return it == names.end() ? 0 : it->second;
}

Step Memfd(const Query& q) {
  if (IdOf(q.files->memfds, q.op.file_key) != 0) return Answer(Errno::kEexist);
  // What is sealed against seals may still be given its size.
  if (q.op.size > kMostBytes) return Answer(Errno::kEinval);
  Step step = Do(Step::Action::kMakeMemfd, q);
  step.seals = (q.op.flags & traces::kFlagSealable) != 0 ? 0 : kSealSeal;
  return step;
}

Step Truncate(const Query& q, uint64_t id, const MemoryObject& file) {
  if (q.op.size > kMostBytes) return Answer(Errno::kEinval);
  const uint32_t against = q.op.size < file.size   ? kSealShrink
                           : q.op.size > file.size ? kSealGrow
                                                   : 0;
  const bool changes = against != 0;
  if (changes && (file.seals & (against | kSealWrite)) != 0) return Answer(Errno::kEperm);
  Step step = Do(Step::Action::kTruncate, q);
  step.object = id;
  return step;
}

Step Seal(const Query& q, uint64_t id, const MemoryObject& file) {
  const uint64_t seals = q.op.mask & 0xffffffff;
  if ((seals & ~uint64_t{kAllSeals}) != 0) return Answer(Errno::kEinval);
  if ((file.seals & kSealSeal) != 0) return Answer(Errno::kEperm);
  if ((seals & kSealWrite) != 0 && q.is_mapped) return Answer(Errno::kEbusy);
  Step step = Do(Step::Action::kSeal, q);
  step.object = id;
  step.seals = file.seals | static_cast<uint32_t>(seals);
  return step;
}

Step Shmget(const Query& q) {
  const uint64_t id = IdOf(q.files->segments, q.op.file_key);
  if (id != 0) {
    const bool fits = q.op.size <= q.files->Object(id)->size;
    return Answer(fits ? Errno::kOk : Errno::kEinval);
  }
  if (q.op.size == 0 || q.op.size > q.shm_max) return Answer(Errno::kEinval);
  return Do(Step::Action::kMakeSegment, q);
}

Step Shmat(const Query& q, uint64_t id, const MemoryObject& segment) {
  const bool anywhere = q.op.at == 0;
  const bool round = (q.op.flags & traces::kFlagRound) != 0;
  uint64_t start = round ? base::TruncPage(q.op.at) : q.op.at;
  if (!base::IsPageAligned(start)) return Answer(Errno::kEinval);
  const uint64_t size = RoundPage(segment.size);
  const Space& space = q.task->space;
  const bool room = anywhere ? space.LowestHole(size, &start)
                             : space.Contains(start, size) && space.NoneMapped(start, start + size);
  if (!room) return Answer(Errno::kEnomem);
  Step step = Do(Step::Action::kMap, q);
  step.start = start;
  step.end = start + size;
  step.outcome.value = start;
  if (anywhere) step.freedom = Step::Freedom::kAddress;
  step.free_size = size;
  const bool read_only = (q.op.flags & traces::kFlagReadOnly) != 0;
  step.attributes.prot = read_only ? base::kProtRead : base::kProtReadWrite;
  step.attributes.max_prot = step.attributes.prot;
  step.attributes.inherit = base::Inherit::kShare;
  step.attributes.advice = base::Advice::kRandom;
  step.attributes.shared = true;
  step.file_key = step.object = id;
  step.attaches = true;
  return step;
}

Step Shmdt(const Query& q) {
  const std::vector<Task::Attachment>& all = q.task->attachments;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].start != q.op.at) continue;
    Step step = Do(Step::Action::kDetach, q);
    step.size = i;
    step.start = all[i].start;
    step.end = step.start + RoundPage(q.files->Object(all[i].segment)->size);
    return step;
  }
  return Answer(Errno::kEinval);
}

Step LockSegment(const Query& q, uint64_t id, const MemoryObject& segment) {
  if (segment.locked) return Answer(Errno::kEinval);
  const uint64_t pages = segment.pages();
  if (pages > q.wired_max) return Answer(Errno::kEnomem);
  Step step = Do(Step::Action::kLockSegment, q);
  step.object = id;
  if (q.wired_at_most() > q.wired_max - pages) {
    step.refusal_code = static_cast<int32_t>(Errno::kEnomem);
  }
  return step;
}

Step OfSegment(const Query& q) {
  const uint64_t id = IdOf(q.files->segments, q.op.file_key);
  if (id == 0) return Answer(Errno::kEinval);
  const MemoryObject& segment = *q.files->Object(id);
  Step step = Do(Step::Action::kRemoveSegment, q);
  switch (q.op.kind) {
    case OpKind::kShmat:
      return Shmat(q, id, segment);
    case OpKind::kShmLock:
      return LockSegment(q, id, segment);
    case OpKind::kShmUnlock:
      if (!segment.locked) return Answer(Errno::kEinval);
      step.action = Step::Action::kUnlockSegment;
      break;
    default:  // kShmRemove
      break;
  }
  step.object = id;
  step.shortage_code = 0;
  return step;
}

Step OfMemfd(const Query& q) {
  const uint64_t id = IdOf(q.files->memfds, q.op.file_key);
  if (id == 0) return Answer(Errno::kEbadf);
  const MemoryObject& file = *q.files->Object(id);
  if (q.op.kind == OpKind::kMemfdTruncate) return Truncate(q, id, file);
  if (q.op.kind == OpKind::kMemfdSeal) return Seal(q, id, file);
  Step step = Do(Step::Action::kCloseMemfd, q);
  step.object = id;
  step.shortage_code = 0;
  return step;
}

Errno CheckDevice(const Query& q, uint64_t size, uint64_t* id, base::Prot* max_prot) {
  const ResolvedOp& op = q.op;
  const bool shared = (op.flags & traces::kFlagShared) != 0;
  const bool read_only = op.file_key == traces::KeyOfName(traces::kFrameBufferReadOnly);
  if (!read_only && op.file_key != traces::KeyOfName(traces::kFrameBuffer)) return Errno::kEnodev;
  if (read_only && shared) {
    if (op.prot.CanWrite()) return Errno::kEacces;
    *max_prot = *max_prot - base::kProtWrite;
  }
  // A private mapping is not asked about writing: what is written would be copies.
  const uint64_t pages = shared && max_prot->CanWrite() ? traces::kFrameBufferWritablePages
                                                        : traces::kFrameBufferPages;
  const uint64_t first = op.offset >> base::kPageShift;
  if (first >= pages || (size >> base::kPageShift) > pages - first) return Errno::kEinval;
  *id = FileTable::kDeviceId;
  return Errno::kOk;
}

}  // namespace

base::Errno CheckNamed(const Query& q, uint64_t size, uint64_t* id, base::Prot* max_prot) {
  if (q.op.backing == traces::Backing::kDevice) return CheckDevice(q, size, id, max_prot);
  *id = IdOf(q.files->memfds, q.op.file_key);
  if (*id == 0) return Errno::kEbadf;
  const MemoryObject& file = *q.files->Object(*id);
  const bool shared = (q.op.flags & traces::kFlagShared) != 0;
  const bool sealed = (file.seals & (kSealWrite | kSealFutureWrite)) != 0;
  if (sealed && shared && q.op.prot.CanWrite()) return Errno::kEperm;
  const uint64_t end = RoundPage(file.size);
  if (q.op.offset > end || size > end - q.op.offset) return Errno::kEinval;
  if (sealed && shared) *max_prot = *max_prot - base::kProtWrite;
  return Errno::kOk;
}

Step DecodeShared(const Query& q) {
  switch (q.op.kind) {
    case OpKind::kMemfd:
      return Memfd(q);
    case OpKind::kMemfdTruncate:
    case OpKind::kMemfdSeal:
    case OpKind::kMemfdClose:
      return OfMemfd(q);
    case OpKind::kShmget:
      return Shmget(q);
    case OpKind::kShmdt:
      return Shmdt(q);
    case OpKind::kShmat:
    case OpKind::kShmRemove:
    case OpKind::kShmLock:
    case OpKind::kShmUnlock:
      return OfSegment(q);
    default:
      return DecodeSwap(q);
  }
}

}  // namespace model
