// uvm/page_cache.h: a few free frames for each processor, to be had without the queues' lock.
//
// WHAT     Off until Start. A processor's cache has up to kMost frames of each colour, of its own
//          bucket and of free list 0; it is filled up to kFill when it is found empty. Frames in a
//          cache count as free, and whoever finds no other frame empties all caches.
// STATES   off -> on <-> paused (while frames are searched for, or memory is short: nothing is put,
//          and soon there is nothing to take).
// LOCKS    Each cache has a spin word, taken after the queues' lock if both are; who fails to take
//          it does without the cache.
// INVARIANTS  I23 ValidFreeFrames (page_free.h): a frame in a cache is free, marked cached, and in
//          no queue. Where there are frames in caches, as many as are reserved are in the queues.
// SEE      NetBSD sys/uvm/uvm_pgflcache.c; facts/uvm.md 1.10, section 0 "Page allocator".

#ifndef UVM_PAGE_CACHE_H_
#define UVM_PAGE_CACHE_H_

#include <cstdint>

#include "base/pool.h"
#include "base/spin_word.h"
#include "uvm/page_free.h"
#include "uvm/thread.h"

namespace uvm {

struct Page;

class FrameCaches {
 public:
  static constexpr uint32_t kMost = 7;
  static constexpr uint32_t kFill = 6;
  static constexpr uint32_t kMaxProcessors = 64;

  // NetBSD: uvm_pgflcache_init().
  FrameCaches(base::PageSource* memory, ThreadSystem* threads)
      : arrays_(memory), threads_(threads) {}
  FrameCaches(const FrameCaches&) = delete;
  FrameCaches& operator=(const FrameCaches&) = delete;

  // NetBSD: uvm_pgflcache_start(). Caches for `processors` processors and `colours` colours; off
  // with 0 processors. False, nothing changed: too many, or no memory. REQUIRES: empty.
  bool Start(uint32_t processors, uint32_t colours);
  // NetBSD: uvm_pgflcache_pause(), uvm_pgflcache_resume(). Calls nest. Pausing does not empty.
  void Pause() { ++paused_; }
  void Resume() { --paused_; }
  bool usable() const { return processors_ != 0 && paused_ == 0; }

  // NetBSD: uvm_pgflcache_alloc(). A frame of the caller's processor, no longer free, or null.
  Page* Take();
  // NetBSD: uvm_pgflcache_free(). False: no room, or not a frame for this cache. REQUIRES: the
  // queues' lock is held; the frame is neither free nor used.
  bool Put(Page* page, const FreePages& queues);
  // NetBSD: uvm_pgflcache_fill(). Moves frames from the queues to the caller's processor's cache,
  // but leaves `keep` in the queues. LOCKS: the queues'. `note` is called for each frame.
  void Fill(FreePages* queues, uint64_t keep, void (*note)(void* context, Page* page),
            void* context);
  // All frames of all caches go to the queues. LOCKS: the queues'.
  void Drain(FreePages* queues);

  uint64_t size() const;
  // Frames that all caches have room for.
  uint64_t room() const { return uint64_t{processors_} * colours_ * kMost; }
  // For checkers: calls visit(context, page, processor, colour) for each frame.
  using Visit = void (*)(void* context, const Page* page, uint32_t processor, uint32_t colour);
  void DebugForEach(Visit visit, void* context) const;

 private:
  struct Magazine {
    uint32_t count = 0;
    Page* pages[kMost];
  };
  struct Cache {
    base::SpinWord word;
    uint32_t next_colour = 0;
    uint64_t count = 0;
  };
  bool TryTake(Cache* cache) { return cache->word.TryTake(threads_->processors); }
  uint32_t Mine() const { return threads_->Processor() % processors_; }
  Magazine* MagazinesOf(uint32_t processor) const { return &magazines_[processor * colours_]; }

  base::ArrayPool arrays_;
  ThreadSystem* const threads_;
  uint32_t processors_ = 0;
  uint32_t colours_ = 0;
  uint32_t paused_ = 0;
  Cache* caches_ = nullptr;
  Magazine* magazines_ = nullptr;  // processors x colours
};

}  // namespace uvm

#endif  // UVM_PAGE_CACHE_H_
