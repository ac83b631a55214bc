// uvm/swap.h: swap space: which slot of which device holds a page that is not in memory.
//
// WHAT     A slot is one page of swap, named by a number that is unique over all devices. Slots are
//          handed out by the priority of their devices, lower numbers first, and round robin among
//          equals. An anon or an anonymous object's page has at most one slot; it may have frame
//          and slot at once (a clean copy).
// STATES   of a device: off -> on -> going off (disabled: no new slots while its pages are brought
//          in) -> off, or on again when they do not fit in memory.
//          of a slot: free -> in use -> bad (lost to an error; stays taken while the device is on).
// LOCKS    mu_ (rank kSwap) guards everything here; it is taken below any page's owner. No call but
//          Read and WaitFor waits for a device.
// INVARIANTS  SwapAccounting: the devices' slots in use add up to in_use(); only_on_swap() <=
//          in_use(); every slot of an anon or object is allocated exactly once; a page that is not
//          in memory and has a slot counts in only_on_swap(); bad slots are in use and nobody's.
// SEE      NetBSD sys/uvm/uvm_swap.c; facts/uvm.md 1.12, 2.13; swap_device.h.

#ifndef UVM_SWAP_H_
#define UVM_SWAP_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/lock.h"
#include "uvm/page.h"
#include "uvm/swap_device.h"

namespace uvm {

// swapctl(2). The names are those of its errno values.
enum class SwapError : uint8_t {
  kBusy,             // EBUSY: on already, going off, or slots remain in use
  kNotConfigured,    // ENXIO: not on, or of no size
  kInvalidArgument,  // EINVAL: too small to hold one page
  kNotFound,         // ENOENT: a change of priority of what is not on
  kNoMemory,         // ENOMEM: what is on it does not fit in memory, or no memory for the tables
};

// What swapctl(SWAP_STATS) says of one device.
struct SwapStats {
  const SwapDevice* device;
  int32_t priority;
  PageCount pages;   // that may hold something
  PageCount in_use;  // bad ones included
  PageCount bad;
  bool going_off;
};

class SwapStore {
 public:
  explicit SwapStore(Core* core);
  SwapStore(const SwapStore&) = delete;
  SwapStore& operator=(const SwapStore&) = delete;

  // ---- Devices. NetBSD: swap_on(), swap_off(), sys_swapctl().

  // `device` outlives its being on. Errors: kBusy, kNotConfigured, kInvalidArgument, kNoMemory.
  Result<void, SwapError> On(SwapDevice* device, int32_t priority);
  // SWAP_CTL. Errors: kNotFound.
  Result<void, SwapError> SetPriority(SwapDevice* device, int32_t priority);
  // The two ends of swapping off; between them the caller brings in every page (swapoff.h). Begin
  // takes the device's free slots away. Errors: kNotConfigured, kBusy (going off already).
  Result<void, SwapError> BeginOff(SwapDevice* device);
  // True, the device is off: nothing but bad slots is left. False: it is on again.
  bool EndOff(SwapDevice* device);
  // Whether `slot` lies on `device`.
  bool IsOn(const SwapDevice* device, SwapSlot slot) const;
  // Devices that are on; fills in at most `max` and returns how many there are. uvm_swap_stats().
  uint32_t Stats(SwapStats* out, uint32_t max) const;

  // ---- Slots.

  enum class LessOk : uint8_t { kNo, kYes };
  // NetBSD: uvm_swap_alloc(). *count adjoining slots, or with kYes perhaps fewer (*count says how
  // many); kNoSlot when there are none. 1 <= *count <= kSwapClusterPages.
  SwapSlot Allocate(uint32_t* count, LessOk less);
  // NetBSD: uvm_swap_free(). The slots were allocated and are not bad; kNoSlot and kBadSlot are
  // nothing to free.
  void Free(SwapSlot first, uint32_t count);
  // NetBSD: uvm_swap_markbad(). Whoever had the slots writes kBadSlot in their place.
  void MarkBad(SwapSlot first, uint32_t count);
  // A page came to be (+), or ceased to be (-), on swap only. NetBSD: uvmexp.swpgonly.
  void AddOnlyOnSwap(int64_t pages);

  // ---- Transfers.

  // NetBSD: uvm_swap_get(). Fills the page from its slot and waits for that. LOCKS: none; the page
  // is busy.
  SwapResult Read(Page* page, SwapSlot slot);
  // NetBSD: uvm_swap_put(). Begins to write pages[0..count) to adjoining slots of one device;
  // transfer->done is called when it is over. LOCKS: none; the pages are busy.
  void StartWrite(SwapSlot first, Page* const* pages, uint32_t count, SwapTransfer* transfer);
  // The earliest NextDue of all devices, and Poll of all.
  uint64_t NextDue() const;
  void Poll(uint64_t now_us);

  // ---- Accounts; in pages.
  PageCount pages() const;         // NetBSD: uvmexp.swpages: of all devices that are on
  PageCount available() const;     // swpgavail: without those of devices going off
  PageCount in_use() const;        // swpginuse
  PageCount only_on_swap() const;  // swpgonly
  // NetBSD: uvm_swapisfull(): nothing is on, or nearly all of it holds pages that are nowhere else.
  bool IsFull() const;

 private:
  Core* const core_;
};

}  // namespace uvm

#endif  // UVM_SWAP_H_
