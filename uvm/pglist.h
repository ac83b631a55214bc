// uvm/pglist.h: lists of frames for devices and the kernel: in a range, aligned, in few runs.
//
// WHAT     What AllocatePageList gives is nobody's and wired once, like all frames of the kernel's
//          own; contents are undefined. FreePageList takes the list back.
//          A request that could not care less gets frames one by one. Any other gets one run if
//          there is one (the first that fits, going on where the last search of the segment ended),
//          else, if it permits several, the longest there are.
// LOCKS    None to be held. While frames are looked for, processors' caches are empty and paused.
// SEE      NetBSD sys/uvm/uvm_pglist.c, uvm_pglistalloc(9); facts/uvm.md 1.10.

#ifndef UVM_PGLIST_H_
#define UVM_PGLIST_H_

#include <cstdint>

#include "base/list.h"
#include "uvm/core.h"
#include "uvm/page.h"

namespace uvm {

using PageList = base::List<Page, &Page::queue_link>;

struct PageListRequest {
  uint64_t bytes = 0;  // rounded up to pages; at least one
  // The frames lie in [low, high).
  Paddr low{0};
  Paddr high{~uint64_t{0}};
  uint64_t alignment = 0;  // of each run's address: 0, or a power of two
  // No run crosses a multiple of it: 0, or a power of two that is not less than `bytes`.
  uint64_t boundary = 0;
  uint32_t runs = 1;  // at most so many runs of neighbours; at least one
};

enum class PageListError : uint8_t {
  kInvalid,   // EINVAL: nonsense, or no memory in the range at all
  kNoMemory,  // ENOMEM
};

class PageLists {
 public:
  // NetBSD: uvm_pglistalloc_init().
  PageLists(Core* core, PageStore* pages) : core_(core), pages_(pages) {}

  // NetBSD: uvm_pglistalloc(). `list` is empty, and stays so on failure; else it has the frames,
  // runs one after another. kYes: while too few frames are free, waits for some; not for runs that
  // nobody frees.
  enum class MayWait : uint8_t { kNo, kYes };
  Result<void, PageListError> Allocate(const PageListRequest& request, MayWait may_wait,
                                       PageList* list);
  // NetBSD: uvm_pglistfree(). Empties the list. REQUIRES: all of it came from Allocate, and none
  // is lent.
  void Free(PageList* list);

  // Frames that searches have looked at, for figures.
  uint64_t DebugLookedAt() const { return looked_at_; }

 private:
  struct Search;
  struct Run {
    Paddr start;
    uint64_t pages = 0;
  };
  bool IsValid(const PageListRequest& request) const;
  bool TryAllocate(const Search& search, uint32_t runs, PageList* list);
  bool TakeRuns(const Search& search, uint32_t runs, PageList* list);
  bool TakeOneByOne(const Search& search, PageList* list);
  Run FindRun(const Search& search, uint64_t wanted);
  void LookThrough(const Search& search, Paddr from, Paddr end, uint64_t wanted, Run* best);
  void TakeRun(const Run& run, PageList* list);
  void PutBack(PageList* list);

  Core* const core_;
  PageStore* const pages_;
  uint64_t looked_at_ = 0;
};

}  // namespace uvm

#endif  // UVM_PGLIST_H_
