#include "uvm/shm.h"

#include "base/check.h"

namespace uvm {
namespace {

PageIndex EndOf(const ShmSegment& segment) {
  return base::ToPageIndex(base::RoundPage(segment.size));
}

}  // namespace

Errno ShmStore::Create(uint64_t bytes, ShmSegment** out) {
  if (bytes == 0) return Errno::kEinval;
  uint64_t rounded = base::RoundPage(bytes);
  if (rounded < bytes) return Errno::kEnomem;
  ShmSegment* segment = segments_pool_.New();
  if (segment == nullptr) return Errno::kEnomem;
  Result<Object*, MapError> object = uvm_->CreateAobj(rounded, 0);
  if (!object.ok()) {
    segments_pool_.Delete(segment);
    return Errno::kEnomem;
  }
  segment->object = object.value();
  segment->size = bytes;
  segments_.PushBack(segment);
  *out = segment;
  return Errno::kOk;
}

AddressResult ShmStore::Attach(Process* process, ShmSegment* segment, uint64_t address,
                               uint32_t flags) {
  Map& map = *process->map;
  if (segment->removed) return {Errno::kEinval};
  if ((flags & kShmRound) != 0) address = base::TruncPage(address);
  if (!base::IsPageAligned(address)) return {Errno::kEinval};
  ShmAttachment* attachment = attachments_pool_.New();
  if (attachment == nullptr) return {Errno::kEnomem};
  Map::EnterOptions options;
  options.at = address != 0 ? Vaddr(address) : process->default_address;
  options.size = base::RoundPage(segment->size);
  options.where = address != 0 ? Map::Where::kFixed : Map::Where::kNear;
  options.prot = (flags & kShmReadOnly) != 0 ? base::kProtRead : base::kProtReadWrite;
  options.max_prot = options.prot;
  options.inherit = Inherit::kShare;
  options.object = segment->object;
  options.sharing = Sharing::kShared;
  options.advice = Advice::kRandom;
  uvm_->ReferenceObject(segment->object);
  Result<Vaddr, MapError> entered = map.Enter(options);
  if (!entered.ok()) {
    uvm_->ReleaseObject(segment->object);
    attachments_pool_.Delete(attachment);
    // Wherever it cannot be, and for whatever reason, there is no room for it.
    return {Errno::kEnomem};
  }
  attachment->process = process;
  attachment->range = {entered.value(), entered.value() + options.size};
  segment->attachments.PushBack(attachment);
  return {Errno::kOk, entered.value().value()};
}

void ShmStore::DestroyIfUnused(ShmSegment* segment) {
  if (!segment->removed || !segment->attachments.empty()) return;
  if (segment->locked) CHECK(Unlock(segment) == Errno::kOk);
  segments_.Remove(segment);
  uvm_->ReleaseObject(segment->object);
  segments_pool_.Delete(segment);
}

void ShmStore::Release(ShmSegment* segment, ShmAttachment* attachment) {
  segment->attachments.Remove(attachment);
  attachments_pool_.Delete(attachment);
  DestroyIfUnused(segment);
}

Errno ShmStore::Detach(Process* process, uint64_t address) {
  for (ShmSegment* segment = segments_.front(); segment != nullptr;
       segment = segments_.Next(segment)) {
    for (ShmAttachment* at = segment->attachments.front(); at != nullptr;
         at = segment->attachments.Next(at)) {
      if (at->process != process || at->range.start != Vaddr(address)) continue;
      Result<void, MapError> unmapped = process->map->Unmap(at->range);
      if (!unmapped.ok()) return Errno::kEnomem;
      Release(segment, at);
      return Errno::kOk;
    }
  }
  return Errno::kEinval;
}

Errno ShmStore::Remove(ShmSegment* segment) {
  if (segment->removed) return Errno::kEinval;
  segment->removed = true;
  DestroyIfUnused(segment);
  return Errno::kOk;
}

Errno ShmStore::Lock(ShmSegment* segment) {
  if (segment->locked) return Errno::kEinval;
  if (!uvm_->WireObject(segment->object, PageIndex(0), EndOf(*segment), nullptr).ok()) {
    return Errno::kEnomem;
  }
  segment->locked = true;
  return Errno::kOk;
}

Errno ShmStore::Unlock(ShmSegment* segment) {
  if (!segment->locked) return Errno::kEinval;
  uvm_->UnwireObject(segment->object, PageIndex(0), EndOf(*segment));
  segment->locked = false;
  return Errno::kOk;
}

bool ShmStore::Fork(const Process* parent, Process* child) {
  for (ShmSegment* segment = segments_.front(); segment != nullptr;
       segment = segments_.Next(segment)) {
    for (ShmAttachment* at = segment->attachments.front(); at != nullptr;
         at = segment->attachments.Next(at)) {
      if (at->process != parent) continue;
      ShmAttachment* twin = attachments_pool_.New();
      if (twin == nullptr) {
        Forget(child);
        return false;
      }
      twin->process = child;
      twin->range = at->range;
      segment->attachments.PushFront(twin);
    }
  }
  return true;
}

void ShmStore::Forget(Process* process) {
  ShmSegment* next_segment;
  for (ShmSegment* segment = segments_.front(); segment != nullptr; segment = next_segment) {
    next_segment = segments_.Next(segment);
    ShmAttachment* next;
    for (ShmAttachment* at = segment->attachments.front(); at != nullptr; at = next) {
      next = segment->attachments.Next(at);
      if (at->process == process) Release(segment, at);
    }
  }
}

}  // namespace uvm
