#include "uvm/shm.h"

#include "base/check.h"

namespace uvm {
namespace {

PageIndex EndOf(const ShmSegment& segment) {
  return base::ToPageIndex(base::RoundPage(segment.size));
}

}  // namespace

Errno ShmStore::Create(uint64_t bytes, ShmSegment** out) {
  if (bytes == 0 || bytes > MaxBytes()) return Errno::kEinval;
  ShmSegment* segment = segments_.New();
  if (segment == nullptr) return Errno::kEnomem;
  Result<Object*, MapError> object = uvm_->CreateAobj(base::RoundPage(bytes), 0);
  if (!object.ok()) {
    segments_.Delete(segment);
    return Errno::kEnomem;
  }
  segment->object = object.value();
  segment->size = bytes;
  *out = segment;
  return Errno::kOk;
}

AddressResult ShmStore::Attach(Process* process, ShmSegment* segment, uint64_t address,
                               uint32_t flags) {
  const bool anywhere = address == 0;
  if (segment->removed) return {Errno::kEinval};
  if ((flags & kShmRound) != 0) address = base::TruncPage(address);
  if (!base::IsPageAligned(address)) return {Errno::kEinval};
  ShmAttachment* attachment = attachments_.New();
  if (attachment == nullptr) return {Errno::kEnomem};
  Map::EnterOptions options;
  options.at = anywhere ? process->default_address : Vaddr(address);
  options.size = base::RoundPage(segment->size);
  options.where = anywhere ? Map::Where::kNear : Map::Where::kFixed;
  options.prot = (flags & kShmReadOnly) != 0 ? base::kProtRead : base::kProtReadWrite;
  options.max_prot = options.prot;
  options.inherit = Inherit::kShare;
  options.object = segment->object;
  options.sharing = Sharing::kShared;
  options.advice = Advice::kRandom;
  uvm_->ReferenceObject(segment->object);
  Result<Vaddr, MapError> entered = process->map->Enter(options);
  if (!entered.ok()) {
    uvm_->ReleaseObject(segment->object);
    attachments_.Delete(attachment);
    // Wherever it cannot be, and for whatever reason, there is no room for it.
    return {Errno::kEnomem};
  }
  attachment->segment = segment;
  attachment->range = {entered.value(), entered.value() + options.size};
  attachment->older = process->attachments;
  process->attachments = attachment;
  ++segment->attachments;
  return {Errno::kOk, entered.value().value()};
}

void ShmStore::DestroyIfUnused(ShmSegment* segment) {
  if (!segment->removed || segment->attachments != 0) return;
  if (segment->locked) CHECK(Unlock(segment) == Errno::kOk);
  uvm_->ReleaseObject(segment->object);
  segments_.Delete(segment);
}

void ShmStore::Release(ShmAttachment* attachment) {
  ShmSegment* segment = attachment->segment;
  attachments_.Delete(attachment);
  CHECK(segment->attachments > 0);
  --segment->attachments;
  DestroyIfUnused(segment);
}

Errno ShmStore::Detach(Process* process, uint64_t address) {
  ShmAttachment** link = &process->attachments;
  while (*link != nullptr && (*link)->range.start != Vaddr(address)) link = &(*link)->older;
  ShmAttachment* found = *link;
  if (found == nullptr) return Errno::kEinval;
  if (!process->map->Unmap(found->range).ok()) return Errno::kEnomem;
  *link = found->older;
  Release(found);
  return Errno::kOk;
}

Errno ShmStore::Remove(ShmSegment* segment) {
  if (segment->removed) return Errno::kEinval;
  segment->removed = true;
  DestroyIfUnused(segment);
  return Errno::kOk;
}

Errno ShmStore::Lock(ShmSegment* segment) {
  if (segment->locked) return Errno::kEinval;
  const PageStore& frames = uvm_->frames();
  const uint64_t most = frames.wired_max().value();
  const uint64_t pages = EndOf(*segment).value();
  if (pages > most || frames.wired_count().value() > most - pages) return Errno::kEnomem;
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
  CHECK(child->attachments == nullptr);
  ShmAttachment** last = &child->attachments;
  for (const ShmAttachment* at = parent->attachments; at != nullptr; at = at->older) {
    ShmAttachment* twin = attachments_.New();
    if (twin == nullptr) {
      Forget(child);
      return false;
    }
    twin->segment = at->segment;
    twin->range = at->range;
    ++at->segment->attachments;
    *last = twin;
    last = &twin->older;
  }
  return true;
}

void ShmStore::Forget(Process* process) {
  while (ShmAttachment* attachment = process->attachments) {
    process->attachments = attachment->older;
    Release(attachment);
  }
}

}  // namespace uvm
