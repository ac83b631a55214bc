// fake_l4/processor.h: the processors of a machine that has several: clocks, and what each ran
// last.
//
// WHAT     In the host's process one fiber runs at a time, so processors run interleaved: each has
//          a clock of its own, and the one furthest behind goes on next (ProcessorRoundRobin), or
//          whichever an exploring strategy picks. The clock of the processor that runs is
//          Core::now_ns_; its entry here is brought up to date when it stops.
// INVARIANTS  A clock never goes back. A thread does not run before the time at which it was made
//          ready, and a message between processors is received no earlier than it was sent.
// SEE      priority_round_robin.h; profile.h CostsNs.
#ifndef FAKE_L4_PROCESSOR_H_
#define FAKE_L4_PROCESSOR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fake_l4 {

class Processors {
 public:
  explicit Processors(size_t count) : clocks_ns_(count), last_thread_(count) {}
  size_t count() const { return clocks_ns_.size(); }
  size_t current() const { return current_; }
  std::vector<uint64_t>* clocks_ns() { return &clocks_ns_; }
  // The time of the whole machine, given the running processor's.
  uint64_t Latest(uint64_t now_ns) const {
    return std::max(now_ns, *std::max_element(clocks_ns_.begin(), clocks_ns_.end()));
  }

  // The running processor's clock.
  void Stop(uint64_t now_ns) { clocks_ns_[current_] = now_ns; }
  // `processor` goes on with a thread that has been ready since `ready_ns`. Returns its clock. Sets
  // *switches when it ran another thread last.
  uint64_t Start(size_t processor, uint64_t thread, uint64_t ready_ns, bool* switches) {
    current_ = processor;
    *switches = last_thread_[processor] != thread;
    last_thread_[processor] = thread;
    return std::max(clocks_ns_[processor], ready_ns);
  }

 private:
  std::vector<uint64_t> clocks_ns_;
  std::vector<uint64_t> last_thread_;  // raw ids
  size_t current_ = 0;
};

}  // namespace fake_l4

#endif  // FAKE_L4_PROCESSOR_H_
