// base/lock_rank.h: the order in which locks may be taken, one rank a class, each with its reason.
//
// WHAT     A thread may take a lock only when every lock it holds has a lower rank (never two of
//          one rank: fork fills a child that nobody else can reach yet, so it needs no second map
//          lock). The pagedaemon goes the other way and only tries.
// SEE      design.md D5; docs/LOCKING.md; facts/uvm.md 2.8 "Lock order".

#ifndef BASE_LOCK_RANK_H_
#define BASE_LOCK_RANK_H_

#include <cstdint>

namespace base {

enum class LockRank : uint8_t {
  kServer = 1,      // task table: a call finds its task before it may lock that task's map
  kMap = 2,         // a fault looks an address up before it knows which amap or object is behind it
  kMapWait = 3,     // who finds a map busy queues up before letting go of the map's lock
  kAmap = 4,        // the upper layer is searched before the lower one
  kObject = 5,      // ... and promotion copies from an object page while the amap is locked
  kPageQueues = 6,  // a page is allocated or freed with its owner locked
  kSwap = 7,        // a page's slot is freed with its owner, or the page queues, locked
  kPmap = 8,        // translations change only under the lock of what they translate to
};

}  // namespace base

#endif  // BASE_LOCK_RANK_H_
