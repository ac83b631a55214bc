// uvm/swap_in.h: reading one page from swap, and giving an anon its page back.
//
// WHAT     ReadSlot fills a busy page. AnonGetter brings in an anon that has no page in memory, as
//          a fault, a loan, a copy or swapoff needs it; a success leaves the slot, whose contents
//          equal the page until that is written to. A failure of the device loses this version of
//          the page for good: its slot is bad, every access to it fails, others never. A device
//          that is away loses nothing: accesses that need the page fail until it is back.
// LOCKS    While the device works nothing is locked and the page is busy.
// SEE      NetBSD uvmfault_anonget(), uvm_swap_get(); facts/uvm.md 2.9.

#ifndef UVM_SWAP_IN_H_
#define UVM_SWAP_IN_H_

#include "uvm/anon.h"
#include "uvm/core.h"
#include "uvm/page.h"
#include "uvm/swap_device.h"

namespace uvm {

// kIo: the contents cannot be read, now or ever. kAway: not now. LOCKS: none; `page` is busy by the
// caller.
SwapResult ReadSlot(Core* core, Page* page, SwapSlot slot);

class AnonGetter {
 public:
  AnonGetter(Core* core, PageStore* pages, AnonStore* anons)
      : core_(core), pages_(pages), anons_(anons) {}

  // Brings in an anon that is not readable, or waits until somebody else has. Entered with the
  // anon's lock and nothing that ranks above it, returns without it: everything has to be looked up
  // again. Errors: kIo (the contents are lost, or cannot be had now), kNoMemory (no frame).
  Result<void, FaultError> Get(Anon* anon);
  // Whether the last kIo was that of a device that is away.
  bool away() const { return away_; }

 private:
  Core* const core_;
  PageStore* const pages_;
  AnonStore* const anons_;
  bool away_ = false;
};

}  // namespace uvm

#endif  // UVM_SWAP_IN_H_
