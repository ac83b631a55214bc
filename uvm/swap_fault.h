// uvm/swap_fault.h: errors in front of any swap device.
//
// WHAT     A SwapFault passes transfers on to the device below it and on the way does what devices
//          do when they fail. What happens is scripted (Arm) or drawn (SetChance), and is written
//          down: whoever checks a run knows the cause of each error.
// STATES   whole -> vanished (kVanish fired) -> whole (Heal).
// LOCKS    guard_; nothing is called while it is held.
// SEE      design.md D7; swap_device.h.

#ifndef UVM_SWAP_FAULT_H_
#define UVM_SWAP_FAULT_H_

#include <cstdint>

#include "base/list.h"
#include "base/prng.h"
#include "uvm/lock.h"
#include "uvm/swap_device.h"
#include "uvm/thread.h"

namespace uvm {

class SwapFault final : public SwapDevice {
 public:
  enum class Kind : uint8_t {
    kReadError,   // read_error: a read brings rubbish, and the device says so
    kWriteError,  // write_error: nothing is written, and the device says so
    kTornWrite,  // torn_write: half a page of a write, and none after it, reaches the device, which
                 // says that all is well
    kSlow,       // slow: a transfer takes slow_us more
    kVanish,     // vanish: this transfer and all after it are refused
  };
  static constexpr int kKinds = 5;
  static const char* Name(Kind kind);

  // One thing that happened, to `count` pages from `block` of the device on.
  struct Event {
    Kind kind;
    SwapDirection direction;
    uint32_t count;
    uint64_t block;
  };

  // `below` outlives this.
  SwapFault(ThreadSystem* threads, SwapDevice* below, uint64_t seed)
      : threads_(threads), below_(below), prng_(seed, "swap_fault") {}
  SwapFault(const SwapFault&) = delete;
  SwapFault& operator=(const SwapFault&) = delete;

  // Happens at the `count` transfers that come after `skip` more to which it could happen. Replaces
  // what was armed of this kind.
  void Arm(Kind kind, uint64_t skip, uint64_t count = 1);
  // Happens at each transfer with this probability, out of 65536.
  void SetChance(Kind kind, uint32_t chance);
  void set_slow_us(uint64_t slow_us) { slow_us_ = slow_us; }
  // Nothing is armed, all chances are 0, and a device that vanished is back with what it held.
  void Heal();
  bool vanished() const { return vanished_; }

  // Events since construction, and the n-th of them; the last kRemembered are known.
  static constexpr uint64_t kRemembered = 256;
  uint64_t event_count() const { return event_count_; }
  const Event& event(uint64_t n) const { return events_[n % kRemembered]; }

  base::PageCount size() const override { return below_->size(); }
  bool HasLabel() const override { return below_->HasLabel(); }
  void Start(SwapTransfer* transfer) override;
  uint64_t NextDue() const override;
  void Poll(uint64_t now_us) override;
  const unsigned char* DebugBytes(uint64_t block) const override {
    return vanished_ ? nullptr : below_->DebugBytes(block);
  }

 private:
  struct Script {
    uint64_t skip = 0;
    uint64_t count = 0;
    uint32_t chance = 0;
  };
  // A write that is torn: what goes down in its place.
  struct Torn {
    SwapTransfer transfer;
    SwapTransfer* original = nullptr;  // null: free
    SwapFault* fault = nullptr;
    unsigned char half[base::kPageSize];
  };
  static constexpr uint32_t kTorn = 2;

  bool Happens(Kind kind, const SwapTransfer* transfer);
  void Note(Kind kind, const SwapTransfer* transfer);
  void Fail(SwapTransfer* transfer, SwapResult result);
  bool Tear(SwapTransfer* transfer);
  static void TornIsDone(SwapTransfer* transfer);

  ThreadSystem* const threads_;
  SwapDevice* const below_;
  mutable QueueGuard guard_;
  base::Prng prng_;
  Script scripts_[kKinds];
  uint64_t slow_us_ = 50000;
  bool vanished_ = false;
  base::List<SwapTransfer, &SwapTransfer::device_link> slow_;  // in the order they become due
  Torn torn_[kTorn];
  uint64_t event_count_ = 0;
  Event events_[kRemembered] = {};
};

}  // namespace uvm

#endif  // UVM_SWAP_FAULT_H_
