// uvm/testing/random_switches.h: threads that take turns at random.
//
// WHAT     While a RandomSwitches lives, another thread may go first at each lock, and wherever a
//          test says so. At most one lives at a time.
// SEE      fake_threads.h.

#ifndef UVM_TESTING_RANDOM_SWITCHES_H_
#define UVM_TESTING_RANDOM_SWITCHES_H_

#include <cstdint>

#include "base/check.h"
#include "base/prng.h"
#include "uvm/testing/fake_threads.h"

namespace uvm::testing {

class RandomSwitches {
 public:
  RandomSwitches(BatonThreads* threads, base::Prng* prng, uint64_t one_in)
      : threads_(threads), prng_(prng), one_in_(one_in) {
    CHECK(current_ == nullptr);
    current_ = this;
    threads->at_lock = MaybeYield;
  }
  ~RandomSwitches() {
    threads_->at_lock = nullptr;
    current_ = nullptr;
  }
  RandomSwitches(const RandomSwitches&) = delete;
  RandomSwitches& operator=(const RandomSwitches&) = delete;

  // Nothing happens when there is none.
  static void MaybeYield() {
    if (current_ == nullptr) return;
    if (current_->prng_->Chance(1, current_->one_in_)) current_->threads_->Yield();
  }

 private:
  inline static RandomSwitches* current_ = nullptr;
  BatonThreads* const threads_;
  base::Prng* const prng_;
  const uint64_t one_in_;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_RANDOM_SWITCHES_H_
