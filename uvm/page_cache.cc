#include "uvm/page_cache.h"

#include <new>

#include "base/check.h"
#include "uvm/page.h"

namespace uvm {

bool FrameCaches::Start(uint32_t processors, uint32_t colours) {
  DCHECK(processors_ == 0 || size() == 0);
  if (processors > kMaxProcessors) return false;
  Cache* caches = nullptr;
  Magazine* magazines = nullptr;
  if (processors != 0) {
    caches = static_cast<Cache*>(arrays_.AllocateRaw(processors * sizeof(Cache)));
    if (caches == nullptr) return false;
    magazines =
        static_cast<Magazine*>(arrays_.AllocateRaw(processors * colours * sizeof(Magazine)));
    if (magazines == nullptr) {
      arrays_.Free(caches, processors * sizeof(Cache));
      return false;
    }
    for (uint32_t i = 0; i < processors; ++i) new (&caches[i]) Cache;
    for (uint32_t i = 0; i < processors * colours; ++i) new (&magazines[i]) Magazine;
  }
  if (processors_ != 0) {
    arrays_.Free(caches_, processors_ * sizeof(Cache));
    arrays_.Free(magazines_, processors_ * colours_ * sizeof(Magazine));
  }
  caches_ = caches;
  magazines_ = magazines;
  processors_ = processors;
  colours_ = colours;
  return true;
}

Page* FrameCaches::Take() {
  const uint32_t mine = Mine();
  Cache* cache = &caches_[mine];
  if (cache->count == 0 || !TryTake(cache)) return nullptr;
  Page* page = nullptr;
  for (uint32_t i = 0; page == nullptr && i < colours_; ++i) {
    Magazine& magazine = MagazinesOf(mine)[cache->next_colour];
    cache->next_colour = cache->next_colour + 1 == colours_ ? 0 : cache->next_colour + 1;
    if (magazine.count == 0) continue;
    page = magazine.pages[--magazine.count];
    --cache->count;
    page->free = page->cached = false;
  }
  cache->word.Release();
  return page;
}

bool FrameCaches::Put(Page* page, const FreePages& queues) {
  const uint32_t mine = Mine();
  if (page->free_list != 0 || queues.BucketOf(page->pa) != mine % queues.buckets()) return false;
  Cache* cache = &caches_[mine];
  if (!TryTake(cache)) return false;
  Magazine& magazine = MagazinesOf(mine)[queues.ColourOf(page)];
  const bool room = magazine.count < kMost;
  if (room) {
    magazine.pages[magazine.count++] = page;
    ++cache->count;
    page->free = page->cached = true;
  }
  cache->word.Release();
  return room;
}

void FrameCaches::Fill(FreePages* queues, uint64_t keep, void (*note)(void* context, Page* page),
                       void* context) {
  const uint32_t mine = Mine();
  Cache* cache = &caches_[mine];
  if (!TryTake(cache)) return;
  // What is taken from the queues first is to be taken from the cache first.
  for (uint32_t room = kFill; room > 0; --room) {
    for (uint32_t colour = 0; colour < colours_; ++colour) {
      Magazine& magazine = MagazinesOf(mine)[colour];
      if (magazine.count >= kFill || queues->size() <= keep) continue;
      Page* page = queues->TakeOwn(mine, colour);
      if (page == nullptr) continue;
      for (uint32_t i = magazine.count; i > 0; --i) magazine.pages[i] = magazine.pages[i - 1];
      magazine.pages[0] = page;
      ++magazine.count;
      ++cache->count;
      page->free = page->cached = true;
      note(context, page);
    }
  }
  cache->word.Release();
}

void FrameCaches::Drain(FreePages* queues) {
  for (uint32_t processor = 0; processor < processors_; ++processor) {
    Cache* cache = &caches_[processor];
    while (!TryTake(cache)) threads_->Yield();
    for (uint32_t colour = 0; colour < colours_; ++colour) {
      Magazine& magazine = MagazinesOf(processor)[colour];
      // Last out, first to be taken again.
      for (uint32_t i = 0; i < magazine.count; ++i) {
        magazine.pages[i]->free = magazine.pages[i]->cached = false;
        queues->Put(magazine.pages[i]);
      }
      magazine.count = 0;
    }
    cache->count = 0;
    cache->word.Release();
  }
}

uint64_t FrameCaches::size() const {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < processors_; ++i) sum += caches_[i].count;
  return sum;
}

void FrameCaches::DebugForEach(Visit visit, void* context) const {
  for (uint32_t i = 0; i < processors_ * colours_; ++i) {
    for (uint32_t at = 0; at < magazines_[i].count; ++at)
      visit(context, magazines_[i].pages[at], i / colours_, i % colours_);
  }
}

}  // namespace uvm
