// uvm/pager_map.h: kernel addresses at which pages are shown while they are read or written.
//
// WHAT     A PagerMap is a small submap of its own (NetBSD: pager_map, 16 MB), so that paging never
//          competes with the rest of the kernel for addresses. One window more is kept for the
//          pagedaemon, which must not wait for those it makes wait.
// STATES   of the emergency window: free <-> used by one.
// LOCKS    mu_ guards the emergency window. MapIn may wait for addresses: nothing is held.
// SEE      NetBSD uvm_pagermapin(9); facts/uvm.md 1.17.

#ifndef UVM_PAGER_MAP_H_
#define UVM_PAGER_MAP_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/km.h"
#include "uvm/lock.h"
#include "uvm/page.h"

namespace uvm {

// UVMPAGER_MAPIN_*, and who asks.
enum PagerMapFlags : uint32_t {
  kMapInRead = 1,    // the pages are read into: map them writable
  kMapInWaitOk = 2,  // wait for addresses
  kMapInDaemon = 4,  // the pagedaemon: take the emergency window rather than nothing
};

class PagerMap {
 public:
  static constexpr uint64_t kBytes = 16 << 20;
  static constexpr uint32_t kMaxPages = 16;

  // NetBSD: uvm_pager_init().
  explicit PagerMap(KernelMemory* kernel);

  // NetBSD: uvm_pagermapin(). Shows `count` (up to kMaxPages) pages one after the other; the caller
  // keeps them busy. Address 0: no addresses, and the flags did not say to wait.
  Vaddr MapIn(Page* const* pages, uint32_t count, uint32_t flags);
  // NetBSD: uvm_pagermapout(). What MapIn gave, whole.
  void MapOut(Vaddr at, uint32_t count);
  // NetBSD: uvm_pageratop(). The page shown at `at`.
  Page* PageAt(Vaddr at) const;

  Map* map() const { return map_; }

 private:
  static uint64_t BytesFor(const KernelMemory& kernel);
  Vaddr TakeEmergency(bool wait);  // NetBSD: uvm_pager_realloc_emerg()

  KernelMemory* const kernel_;
  Map* const map_;
  Mutex mu_;
  CondVar emergency_free_;
  const Vaddr emergency_;
  bool emergency_used_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace uvm

#endif  // UVM_PAGER_MAP_H_
