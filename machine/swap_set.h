// machine/swap_set.h: the swap devices that a machine is given.
//
// WHAT     A SwapSet makes the devices that a machine's options ask for, with the faults in front
//          of them that operations inject. The server knows them by their numbers.
// SEE      uvm/swap_device.h; vmserver/protocol.h (swapon).

#ifndef MACHINE_SWAP_SET_H_
#define MACHINE_SWAP_SET_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/pool.h"
#include "uvm/swap_device.h"
#include "uvm/swap_memory.h"
#include "uvm/thread.h"

namespace machine {

struct SwapSpec {
  uint64_t pages = 0;
  // Virtual time of a transfer, and of each page of it besides; both 0: at once.
  uint64_t transfer_us = 0;
  uint64_t page_us = 0;
  // Swapping goes on there when the machine is up.
  bool on = true;
  uint32_t priority = 0;
  friend bool operator==(const SwapSpec&, const SwapSpec&) = default;
};

class SwapSet {
 public:
  explicit SwapSet(const std::vector<SwapSpec>& specs)
      : specs_(specs), devices_(specs.size(), nullptr) {}
  SwapSet(const SwapSet&) = delete;
  SwapSet& operator=(const SwapSet&) = delete;

  // Makes the devices, which wait on `threads`; both arguments outlive the set. Called once.
  void Make(uvm::ThreadSystem* threads, base::PageSource* memory);
  // By number, filled in by Make.
  uvm::SwapDevice* const* devices() const { return devices_.data(); }
  uint32_t count() const { return static_cast<uint32_t>(devices_.size()); }
  const SwapSpec& spec(uint32_t number) const { return specs_[number]; }

 private:
  const std::vector<SwapSpec> specs_;
  std::vector<std::unique_ptr<uvm::SwapMemory>> memories_;
  std::vector<uvm::SwapDevice*> devices_;
};

}  // namespace machine

#endif  // MACHINE_SWAP_SET_H_
