// uvm/swap_memory.h: a swap device that is a piece of memory: the embedded default.
//
// WHAT     Holds its pages in memory that it is given, or takes from a PageSource at once. With a
//          latency it behaves as a disk of one head: transfers are served one after the other, each
//          takes its time, and the bytes are moved when it is over.
// LOCKS    guard_, for the queue; nothing is called while it is held.
// SEE      design.md D7; swap_device.h.

#ifndef UVM_SWAP_MEMORY_H_
#define UVM_SWAP_MEMORY_H_

#include <cstdint>

#include "base/list.h"
#include "base/pool.h"
#include "uvm/lock.h"
#include "uvm/swap_device.h"
#include "uvm/thread.h"

namespace uvm {

class SwapMemory final : public SwapDevice {
 public:
  // In virtual microseconds. All 0: a transfer is over before Start returns.
  struct Latency {
    uint64_t transfer_us = 0;
    uint64_t page_us = 0;
  };

  // `bytes` are pages.value() * 4096, aligned to 4096, and outlive the device.
  SwapMemory(ThreadSystem* threads, unsigned char* bytes, base::PageCount pages, Latency latency)
      : threads_(threads), bytes_(bytes), pages_(pages.value()), latency_(latency) {}
  // Of memory from `source`; size() is 0 when it has none.
  SwapMemory(ThreadSystem* threads, base::PageSource* source, base::PageCount pages,
             Latency latency);
  SwapMemory(const SwapMemory&) = delete;
  SwapMemory& operator=(const SwapMemory&) = delete;

  base::PageCount size() const override { return base::PageCount(pages_); }
  void Start(SwapTransfer* transfer) override;
  uint64_t NextDue() const override;
  void Poll(uint64_t now_us) override;
  const unsigned char* DebugBytes(uint64_t block) const override {
    return bytes_ + block * base::kPageSize;
  }

 private:
  void Move(SwapTransfer* transfer);

  ThreadSystem* const threads_;
  unsigned char* bytes_;
  uint64_t pages_;
  const Latency latency_;
  mutable QueueGuard guard_;
  base::List<SwapTransfer, &SwapTransfer::device_link> queue_;  // in the order they become due
};

}  // namespace uvm

#endif  // UVM_SWAP_MEMORY_H_
