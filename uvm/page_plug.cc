// Physical memory of a PageStore: plugging, colours, buckets, reserves.
#include "base/check.h"
#include "uvm/page.h"

namespace uvm {

bool PageStore::PlugLocked(const FrameRange& range) {
  PhysicalSegments::Handle handle;
  if (!free_.EnsureList(range.free_list) ||
      !segments_.Plug(range.start, range.pages, range.free_list, &handle))
    return false;
  if (!segments_.Init(handle)) {
    segments_.Discard(handle);
    return false;
  }
  for (uint64_t i = 0; i < range.pages.value(); ++i) {
    free_.PutNew(segments_.PageAt(handle, PageCount(i)));
  }
  return true;
}

bool PageStore::Plug(Paddr start, PageCount pages, uint32_t free_list) {
  {
    MutexLock lock(&mu_);
    if (!PlugLocked({start, pages, free_list})) return false;
  }
  if (core_->frames != nullptr) core_->frames->Kick();
  return true;
}

bool PageStore::Unplug(Paddr start, PageCount pages) {
  {
    MutexLock lock(&mu_);
    if (!segments_.MayUnplug(start, pages)) return false;
    PageCount offset;
    const PhysicalSegments::Handle handle = segments_.Find(start, &offset);
    for (uint64_t i = 0; i < pages.value(); ++i) {
      if (!segments_.PageAt(handle, offset + PageCount(i))->free) return false;
    }
    if (!segments_.Unplug(start, pages)) return false;
    for (uint64_t i = 0; i < pages.value(); ++i) {
      free_.Remove(segments_.DescriptorOf(start + (i << base::kPageShift)));
    }
  }
  if (core_->frames != nullptr) core_->frames->Kick();
  return true;
}

bool PageStore::Recolour(uint32_t colours) {
  MutexLock lock(&mu_);
  return free_.Recolour(colours);
}

bool PageStore::Rebucket(uint32_t buckets) {
  MutexLock lock(&mu_);
  return free_.Rebucket(buckets);
}

bool PageStore::NumaLoad(Paddr start, uint64_t bytes, uint32_t node) {
  MutexLock lock(&mu_);
  return free_.NumaLoad(start, bytes, node);
}

void PageStore::SetReserves(const FrameReserves& reserves) {
  MutexLock lock(&mu_);
  reserves_ = reserves;
}

}  // namespace uvm
