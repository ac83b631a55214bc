// machine/block_driver.h: a task that drives a disk.
//
// WHAT     The program of a driver task, and the medium behind it. It serves whoever attaches first
//          (vmserver/block_protocol.h), one request at a time; each takes its virtual time. It
//          reaches the pages to be moved by the simulated processor, in the window it was lent.
// INVARIANTS  Nothing on the stack owns host memory: the thread may be abandoned in the middle.
// SEE      design.md D7; vmserver/block_proxy.h, which is at the other end.

#ifndef MACHINE_BLOCK_DRIVER_H_
#define MACHINE_BLOCK_DRIVER_H_

#include <l4/types.h>

#include <cstdint>
#include <vector>

#include "base/addr.h"
#include "fake_l4/kernel.h"

namespace machine {

class BlockDriver {
 public:
  // In virtual microseconds.
  struct Latency {
    uint64_t transfer_us = 0;
    uint64_t page_us = 0;
  };
  // `kernel` outlives the driver.
  BlockDriver(fake_l4::Kernel* kernel, base::PageCount pages, Latency latency)
      : kernel_(kernel), latency_(latency), medium_(base::ToBytes(pages)) {}

  // The simulated thread's program.
  [[noreturn]] void Main();

  const unsigned char* medium() const { return medium_.data(); }
  // Requests served, and refused: malformed ones, strangers', and those beyond the medium.
  uint64_t served() const { return served_; }
  uint64_t refused() const { return refused_; }

 private:
  L4_Word_t Serve(L4_MsgTag_t tag, L4_ThreadId_t from);
  L4_Word_t Move(L4_Word_t what, uint64_t block, uint64_t count);

  fake_l4::Kernel* const kernel_;
  const Latency latency_;
  std::vector<unsigned char> medium_;
  L4_ThreadId_t client_ = {0};
  uint64_t served_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace machine

#endif  // MACHINE_BLOCK_DRIVER_H_
