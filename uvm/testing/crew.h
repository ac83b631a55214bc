// uvm/testing/crew.h: several threads in a world in which memory is short.
//
// WHAT     A Crew is the workers, which take turns at random, and perhaps a thread that serves as
//          page daemon until they have ended.
// SEE      random_switches.h, world.h.

#ifndef UVM_TESTING_CREW_H_
#define UVM_TESTING_CREW_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "base/prng.h"
#include "uvm/pdaemon.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/random_switches.h"
#include "uvm/testing/world.h"

namespace uvm::testing {

class Crew {
 public:
  Crew(BatonThreads* threads, World* world) : threads_(threads), world_(world) {}
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void Add(std::function<void()> body) {
    ++working_;
    threads_->Add([this, body = std::move(body)] {
      body();
      if (--working_ == 0) daemon().Kick();
    });
  }
  // After the workers.
  void AddDaemon() {
    threads_->Add([this] {
      while (working_ > 0) daemon().Serve();
      daemon().StopServing();
    });
  }
  // Workers that have not ended.
  uint64_t working() const { return working_; }
  // At each lock one in so many times another thread goes first. Afterwards nothing is in flight.
  void Run(base::Prng* prng, uint64_t one_in) {
    {
      RandomSwitches switches(threads_, prng, one_in);
      threads_->Run();
    }
    while (daemon().paging() != PageCount(0)) daemon().RunOnce();
  }

 private:
  PageDaemon& daemon() { return world_->uvm().pagedaemon(); }

  BatonThreads* const threads_;
  World* const world_;
  uint64_t working_ = 0;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_CREW_H_
