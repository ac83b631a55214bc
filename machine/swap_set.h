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

#include "base/fault_site.h"
#include "base/pool.h"
#include "machine/swap_file.h"
#include "uvm/swap_device.h"
#include "uvm/swap_fault.h"
#include "uvm/swap_memory.h"
#include "uvm/thread.h"

namespace machine {

// Of a device that is on: the first is its label.
inline constexpr uint64_t kFewestSwapPages = 2;

struct SwapSpec {
  // Memory; a file of the host (never in a RewindArea); the machine's one driver task.
  enum class Kind : uint8_t { kMemory, kFile, kDriver };
  Kind kind = Kind::kMemory;
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

  // Makes the devices, which wait on `threads`; the arguments outlive the set. `driver` is the
  // device of kind kDriver. Called once.
  void Make(uvm::ThreadSystem* threads, base::PageSource* memory, uvm::SwapDevice* driver);
  // The one of kind kDriver, or null.
  const SwapSpec* FindDriver() const;
  // By number, filled in by Make.
  uvm::SwapDevice* const* devices() const { return devices_.data(); }
  uint32_t count() const { return static_cast<uint32_t>(devices_.size()); }
  const SwapSpec& spec(uint32_t number) const { return specs_[number]; }

  // Arms the site on every device: each one's transfer number skip + 1 meets the fault.
  void Arm(base::FaultSite site, uint64_t skip);
  // Forgets what is armed; devices that vanished are back.
  void Heal();
  // Faults that happened, on all devices.
  uint64_t events() const;
  // Pages of swap that may have been lost to these faults: those of reads that failed and of writes
  // that were torn.
  uint64_t pages_spoilt() const { return pages_spoilt_; }
  // Pages whose reads were refused by a device that had vanished; nothing is lost by that.
  uint64_t reads_refused() const { return reads_refused_; }
  // Those between the last two calls of Heal.
  struct Refused {
    const uvm::SwapDevice* device;
    uint64_t block;
    friend bool operator==(const Refused&, const Refused&) = default;
  };
  const std::vector<Refused>& refused() const { return refused_; }

 private:
  const std::vector<SwapSpec> specs_;
  std::vector<std::unique_ptr<uvm::SwapMemory>> memories_;
  std::vector<std::unique_ptr<SwapFile>> files_;
  std::vector<std::unique_ptr<uvm::SwapFault>> faults_;  // each in front of its device
  std::vector<uint64_t> events_seen_;                    // of each: counted in pages_spoilt_
  uint64_t pages_spoilt_ = 0;
  uint64_t reads_refused_ = 0;
  std::vector<Refused> refused_;
  std::vector<uvm::SwapDevice*> devices_;
};

}  // namespace machine

#endif  // MACHINE_SWAP_SET_H_
