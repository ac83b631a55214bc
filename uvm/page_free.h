// uvm/page_free.h: the free frames: queues by free list, bucket and colour.
//
// WHAT     A free list is a sort of memory (the frames a device can reach, say); a segment says of
//          which its frames are. A bucket is a group of processors that are near the frames. A
//          colour is a frame's place in a cache that is indexed by address: neighbours have
//          neighbouring colours, and allocation goes round all of them. One of each by default.
//          Within a queue the frame that was freed last goes first, as it may still be in a cache.
//          But frames that are freed in the order of their addresses come out in that order, and
//          after many allocations with nothing freed between them the caches are full of other
//          things: then neighbours go first, so that translations of neighbouring pages can be
//          changed at one stroke.
// STATES   of a frame: outside <-> in exactly one queue (Page::free and not Page::cached).
// LOCKS    None of its own: PageStore's of page queues.
// INVARIANTS  I23 ValidFreeFrames: each free frame is in exactly one queue, that of its free list,
//          bucket and colour, or in one cache (page_cache.h); counts are exact.
// SEE      NetBSD sys/uvm/uvm_page.c (uvm_pagealloc_pgfl()), uvm_pglist.h; facts/uvm.md 1.10,
//          section 0 "Page allocator".

#ifndef UVM_PAGE_FREE_H_
#define UVM_PAGE_FREE_H_

#include <cstdint>

#include "base/addr.h"
#include "base/pool.h"

namespace uvm {

struct Page;

inline constexpr uint32_t kMaxFreeLists = 8;
inline constexpr uint32_t kMaxBuckets = 8;
inline constexpr uint32_t kMaxColours = 1024;

// UVM_PGA_*, and two of our own.
enum AllocateFlags : uint32_t {
  kAllocUseReserve = 1,  // for the kernel itself: may take the kernel's reserve
  kAllocZero = 2,        // the page comes zeroed: neither fake nor clean
  kAllocForDaemon = 4,   // for the page daemon: may take the last frame
  kAllocColourMatch = 8  // of the colour that FrameRequest says, if there is one
};

// UVM_PGA_STRAT_*.
enum class FrameStrategy : uint8_t {
  kNormal,    // any free list, 0 first
  kOnly,      // of `free_list` or not at all
  kFallback,  // of `free_list` if there is one
  kNuma,      // of any free list from the bucket of the processor, if there is one
};

struct FrameRequest {
  uint32_t flags = 0;
  FrameStrategy strategy = FrameStrategy::kNormal;
  uint32_t free_list = 0;
  uint64_t colour = 0;  // any number; what counts is it modulo the colours

  // Any frame that is not reserved will do.
  bool IsPlain() const {
    return (flags & ~uint32_t{kAllocZero}) == 0 && strategy == FrameStrategy::kNormal;
  }
};

class FreePages {
 public:
  // One colour, one bucket. Panics when there is no memory for that.
  explicit FreePages(base::PageSource* memory);
  FreePages(const FreePages&) = delete;
  FreePages& operator=(const FreePages&) = delete;

  // NetBSD: uvm_pagealloc_pgfl(), uvm_pagealloc_pgb(). A frame as wanted, no longer free, or null.
  // `processor` decides which bucket is near. *next: what is likely to be taken next, or null.
  Page* Take(const FrameRequest& request, uint32_t processor, const Page** next) {
    if (plain_) return request.free_list == 0 ? TakePlain(next) : TakePlainOther(request, next);
    *next = nullptr;
    return TakeAsWanted(request, processor);
  }
  // A frame of free list 0, of the bucket near `processor` and of this colour, or null.
  Page* TakeOwn(uint32_t processor, uint32_t colour);
  // The frame becomes free. REQUIRES: its free list is below lists().
  void Put(Page* page);
  // The same for memory that nobody has used: behind all others. Gives the frame its bucket.
  void PutNew(Page* page);
  // Takes out this very frame. REQUIRES: free, in no cache.
  void Remove(Page* page);

  // NetBSD: uvm_page_recolor(). `colours` is a power of two; never fewer than there are. False,
  // nothing changed: it is not, it is fewer or too many, or there is no memory.
  bool Recolour(uint32_t colours);
  // NetBSD: uvm_page_rebucket(). From 1 to kMaxBuckets. False, nothing changed: likewise.
  // Frames whose node is known go by that, others by groups of colours.
  bool Rebucket(uint32_t buckets);
  // NetBSD: uvm_page_numa_load(). The frames of [start, start + bytes) belong to node `node`; the
  // next Rebucket goes by that. False: too many such ranges, or nonsense.
  bool NumaLoad(base::Paddr start, uint64_t bytes, uint32_t node);
  // Makes queues for free lists up to `free_list`. False: no memory, or too many.
  bool EnsureList(uint32_t free_list);

  uint32_t lists() const { return lists_; }
  uint32_t buckets() const { return buckets_; }
  uint32_t colours() const { return colours_; }
  uint32_t ColourOf(const Page* page) const;
  // Frames in the queues; of one free list.
  uint64_t size() const { return size_; }
  uint64_t size_of_list(uint32_t list) const;
  // The bucket of a frame whose descriptor is new.
  uint32_t BucketOf(base::Paddr pa) const;

  // For checkers: calls visit(context, page, list, bucket, colour) for the first `limit` frames of
  // each queue.
  using Visit = void (*)(void* context, const Page* page, uint32_t list, uint32_t bucket,
                         uint32_t colour);
  void DebugForEach(uint64_t limit, Visit visit, void* context) const;
  // For checkers: the counts of the buckets and the sum are those of the queues.
  bool DebugCountsHold() const;

  // From this many allocations without a frame freed between them on, neighbours go first.
  static constexpr uint32_t kStreak = 64;

 private:
  struct Queue;
  struct NumaRange {
    base::Paddr start;
    base::Paddr end;
    uint32_t node;
  };
  static constexpr uint32_t kMaxNumaRanges = 64;

  Page* TakePlain(const Page** next);
  Page* TakePlainOther(const FrameRequest& request, const Page** next);
  Page* TakeAsWanted(const FrameRequest& request, uint32_t processor);
  Page* TakeFromBucket(uint32_t list, uint32_t bucket, uint64_t colour);
  Page* TakeFromList(uint32_t list, uint32_t bucket, uint64_t colour);
  Page* TakeNeighbour();
  Page* NoteTaken(Page* page);
  bool Resize(uint32_t lists, uint32_t buckets, uint32_t colours);
  Queue& QueueOf(const Page* page) const;
  uint64_t& CountOf(uint32_t list, uint32_t bucket) const {
    return counts_[list * kMaxBuckets + bucket];
  }

  mutable base::ArrayPool arrays_;
  Queue* queues_ = nullptr;  // lists x buckets x colours
  mutable uint64_t counts_[kMaxFreeLists * kMaxBuckets] = {};
  uint32_t lists_ = 0;
  uint32_t buckets_ = 0;
  uint32_t colours_ = 0;
  bool plain_ = false;  // one of each
  uint64_t size_ = 0;
  uint64_t next_colour_ = 0;
  Page* last_taken_ = nullptr;
  uint32_t streak_ = 0;       // allocations since a frame was freed
  Page* last_put_ = nullptr;  // may have been taken since
  uint32_t put_run_ = 0;      // frames up to last_put_ that were put in the order of addresses
  NumaRange numa_[kMaxNumaRanges] = {};
  uint32_t numa_count_ = 0;
};

}  // namespace uvm

#endif  // UVM_PAGE_FREE_H_
