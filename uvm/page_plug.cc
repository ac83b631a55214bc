// Physical memory of a PageStore: plugging, colours, buckets, reserves.
#include "base/check.h"
#include "uvm/page.h"
#include "uvm/pdpolicy.h"

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
    if (policy_ != nullptr) policy_->Tune(segments_.available());
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
    if (policy_ != nullptr) policy_->Tune(segments_.available());
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

void PageStore::SetReserves(const FrameReserves& reserves) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  FrameSearch exclusive(this);  // no cache has what is reserved from now on
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

// Fills the cache of the caller's processor on the way. What is in the caches counts as free for
// everybody: whoever would take a reserved frame, or finds none, empties them first.
Page* PageStore::TakeWithCaches(const FrameRequest& request) {
  const Page* next = nullptr;
  if (free_.size() <= Reserved() && caches_.size() > 0) caches_.Drain(&free_);
  Page* page = TakeFromQueues(request, &next);
  if (page == nullptr && caches_.size() > 0) {
    caches_.Drain(&free_);
    page = TakeFromQueues(request, &next);
  }
  if (page == nullptr || !request.IsPlain() || !MayFillCaches()) return page;
  auto note = [](void* segments, Page* cached) {
    static_cast<PhysicalSegments*>(segments)->NoteUse(cached);
  };
  caches_.Fill(&free_, Reserved() + caches_.room(), note, &segments_);
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
  return free_.size() >= Reserved() && free_.size() - Reserved() >= count;
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

// ---- For checkers ----

namespace {

struct FreeWalk {
  const FreePages* queues;
  uint64_t seen = 0;
  const char* wrong = nullptr;
};

void LookAtQueued(void* context, const Page* page, uint32_t list, uint32_t bucket,
                  uint32_t colour) {
  auto* walk = static_cast<FreeWalk*>(context);
  ++walk->seen;
  if (!page->free || page->cached || !page->plugged) {
    walk->wrong = "a queue of free frames has one that is not";
  } else if (page->free_list != list || page->bucket != bucket ||
             walk->queues->ColourOf(page) != colour) {
    walk->wrong = "a free frame is in a queue of another free list, bucket or colour";
  }
}

void LookAtCached(void* context, const Page* page, uint32_t /*processor*/, uint32_t colour) {
  auto* walk = static_cast<FreeWalk*>(context);
  ++walk->seen;
  if (!page->free || !page->cached || !page->plugged || page->queue_link.linked())
    walk->wrong = "a cache has a frame that is not free, or is in a queue";
  if (page->free_list != 0 || walk->queues->ColourOf(page) != colour)
    walk->wrong = "a frame is in a cache for others";
}

}  // namespace

const char* PageStore::DebugWrongFree(uint64_t limit) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (!free_.DebugCountsHold()) return "the counts of free frames are not those of the queues";
  if (const char* wrong = segments_.DebugWrong()) return wrong;
  FreeWalk queued{&free_};
  free_.DebugForEach(limit, LookAtQueued, &queued);
  if (queued.wrong != nullptr) return queued.wrong;
  FreeWalk cached{&free_};
  caches_.DebugForEach(LookAtCached, &cached);
  if (cached.wrong != nullptr) return cached.wrong;
  if (cached.seen != caches_.size()) return "the caches' counts are wrong";
  if (limit < segments_.available().value()) return nullptr;
  uint64_t in_queues = 0, in_caches = 0;
  Page* first;
  uint64_t count;
  for (uint32_t slab = 0; segments_.DebugSlab(slab, PhysicalSegments::Pages::kAll, &first, &count);
       ++slab) {
    for (uint64_t i = 0; i < count; ++i) {
      const Page& page = first[i];
      if (page.cached && !page.free) return "a frame is in a cache and not free";
      if (page.free && !page.plugged) return "a frame is free and not plugged in";
      if (page.free && !page.cached && !page.queue_link.linked())
        return "a frame is free and in no queue";
      in_caches += page.cached ? 1 : 0;
      in_queues += page.free && !page.cached ? 1 : 0;
    }
  }
  if (in_caches != cached.seen) return "a frame is marked cached and in no cache";
  return in_queues == free_.size() ? nullptr : "free frames are missing from the queues";
}

}  // namespace uvm
