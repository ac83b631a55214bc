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
  FlushIntents();  // wishes name pages
  {
    MutexLock lock(&mu_);
    caches_.Drain(&free_);
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

bool PageStore::Resize(uint32_t colours, uint32_t buckets) {
  FrameSearch exclusive(this);
  return ResizeAlone(colours, buckets);
}

bool PageStore::ResizeAlone(uint32_t colours, uint32_t buckets) {
  const uint32_t before = free_.colours();
  if (colours != 0 && !free_.Recolour(colours)) return false;
  if (buckets != 0 && !free_.Rebucket(buckets)) return false;
  if (before != free_.colours() && !caches_.Start(cached_processors_, free_.colours())) {
    cached_processors_ = 0;  // no memory for caches of so many colours: there are none
  }
  return true;
}

bool PageStore::Recolour(uint32_t colours) { return colours != 0 && Resize(colours, 0); }

bool PageStore::Rebucket(uint32_t buckets) { return buckets != 0 && Resize(0, buckets); }

bool PageStore::NumaLoad(Paddr start, uint64_t bytes, uint32_t node) {
  MutexLock lock(&mu_);
  return free_.NumaLoad(start, bytes, node);
}

void PageStore::SetReserves(const FrameReserves& reserves) {
  MutexLock lock(&mu_);
  reserves_ = reserves;
}

// ---- Caches ----

bool PageStore::StartCaches(uint32_t processors) {
  FrameSearch exclusive(this);
  return StartCachesAlone(processors);
}

bool PageStore::StartCachesAlone(uint32_t processors) {
  if (!caches_.Start(processors, free_.colours())) return false;
  cached_processors_ = processors;
  return true;
}

Page* PageStore::TakeCached() { return caches_.usable() ? caches_.Take() : nullptr; }

// Fills the cache of the caller's processor on the way. Where memory is short there is nothing in
// the caches.
Page* PageStore::TakeWithCaches(const FrameRequest& request) {
  const Page* next = nullptr;
  Page* page = TakeFromQueues(request, &next);
  if (page == nullptr && caches_.size() > 0) {
    caches_.Drain(&free_);
    page = TakeFromQueues(request, &next);
  }
  const uint64_t keep = reserves_.pagedaemon.value() + reserves_.kernel.value() +
                        uint64_t{cached_processors_} * free_.colours() * FrameCaches::kMost;
  if (page == nullptr || !request.IsPlain() || !caches_.usable() || free_.size() <= keep)
    return page;
  auto note = [](void* segments, Page* cached) {
    static_cast<PhysicalSegments*>(segments)->NoteUse(cached);
  };
  caches_.Fill(&free_, keep, note, &segments_);
  return page;
}

// ---- For pglist.h ----

PageStore::FrameSearch::FrameSearch(PageStore* pages) ABSL_NO_THREAD_SAFETY_ANALYSIS
    : pages_(pages) {
  pages_->mu_.Lock();
  pages_->caches_.Pause();
  pages_->caches_.Drain(&pages_->free_);
}

PageStore::FrameSearch::~FrameSearch() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  pages_->caches_.Resume();
  pages_->mu_.Unlock();
}

bool PageStore::MayTakeMany(uint64_t count) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const uint64_t reserved = reserves_.pagedaemon.value() + reserves_.kernel.value();
  return free_.size() >= reserved && free_.size() - reserved >= count;
}

bool PageStore::IsInFreeQueue(Paddr pa) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Page* page = segments_.FromPaddr(pa);
  return page != nullptr && page->free && !page->cached;
}

Page* PageStore::TakeForKernel(Paddr pa) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Page* page = segments_.FromPaddr(pa);
  CHECK(page != nullptr && page->free);
  free_.Remove(page);
  segments_.NoteUse(page);
  page->dirty = Dirty::kClean;
  page->wire_count = 1;
  ++wired_;
  Counters& counters = core_->counters;
  ++counters.kernel_wirings;
  if (++counters.frames_in_use > counters.frames_peak)
    counters.frames_peak = counters.frames_in_use;
  return page;
}

void PageStore::GiveBackUnused(Page* page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  page->wire_count = 0;
  --wired_;
  --core_->counters.kernel_wirings;
  --core_->counters.frames_in_use;
  free_.Put(page);
}

}  // namespace uvm
