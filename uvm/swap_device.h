// uvm/swap_device.h: the door down to where swapped pages lie.
//
// WHAT     A SwapDevice keeps whole pages by number, 0 to size() - 1. SwapStore (swap.h) decides
//          which page goes where; the device moves bytes. Devices of three kinds stand behind this
//          interface: memory, a file of the host, a driver task that is reached by messages (design
//          D7); swap_fault.h puts errors in front of any of them.
// STATES   of a transfer: its owner's -> under way (Start) -> its owner's again (done was called).
//          A device may complete a transfer inside Start, in Poll, or on a thread of its own.
// LOCKS    Start, Poll and `done` are called with no UVM lock held. A device calls `done` exactly
//          once for each Start and does not touch the transfer afterwards.
// SEE      facts/uvm.md 1.12, 2.12 "Completion"; design.md D7.

#ifndef UVM_SWAP_DEVICE_H_
#define UVM_SWAP_DEVICE_H_

#include <cstdint>

#include "base/addr.h"
#include "base/list.h"

namespace uvm {

// Pages that one transfer moves at most: MAXPHYS of 64 KiB.
inline constexpr uint32_t kSwapClusterPages = 16;

enum class SwapDirection : uint8_t { kRead, kWrite };

enum class SwapResult : uint8_t {
  kOk,
  kIo,        // the device failed: what a write left there, and what a read brought, is undefined
  kNoMemory,  // the device could not begin: nothing was moved, asking again may help
  kAway,      // there is no device just now (ENXIO): nothing was moved, and what it holds it holds
};

class SwapStore;

struct SwapTransfer {
  SwapDirection direction = SwapDirection::kRead;
  uint64_t block = 0;                            // first page of the device
  uint32_t count = 0;                            // pages, 1 to kSwapClusterPages
  unsigned char* pages[kSwapClusterPages] = {};  // 4096 bytes each, valid until `done`
  // Called when it is over, with `result` set.
  void (*done)(SwapTransfer* transfer) = nullptr;
  void* context = nullptr;  // the owner's
  SwapResult result = SwapResult::kOk;
  base::ListLink device_link;  // the device's while under way
  uint64_t due_us = 0;         // likewise
  // SwapStore's while under way.
  struct {
    SwapStore* store;
    void* area;
    void (*done)(SwapTransfer* transfer);  // its owner's
    void* bounce;                          // null, or where the encrypted pages are
    uint32_t slot;
    bool encrypted;
    uint32_t sums[kSwapClusterPages];  // of what is written
  } store = {};
};

class SwapDevice {
 public:
  static constexpr uint64_t kNever = ~uint64_t{0};

  virtual base::PageCount size() const = 0;
  // True when page 0 holds a label that swap must leave alone.
  virtual bool HasLabel() const { return false; }
  virtual void Start(SwapTransfer* transfer) = 0;
  // The virtual time, in microseconds, at which Poll has something to complete; kNever when nothing
  // is under way or a thread of the device's own completes it.
  virtual uint64_t NextDue() const { return kNever; }
  // Completes every transfer that is due at `now_us`. Several threads may call it at a time.
  virtual void Poll(uint64_t /*now_us*/) {}
  // For observers: the 4096 bytes of a page as they lie on the device, or null when the device
  // cannot say without a transfer.
  virtual const unsigned char* DebugBytes(uint64_t /*block*/) const { return nullptr; }

 protected:
  ~SwapDevice() = default;
};

}  // namespace uvm

#endif  // UVM_SWAP_DEVICE_H_
