// fake_l4/depth_first.h: every schedule of a small program, one after the other.
//
// WHAT     DepthFirstExplorer explorer(options);
//          while (auto strategy = explorer.Next()) { run the program with it from its start }
//          Each strategy follows the decisions of the one before up to the last that has choices
//          left, takes the next of them, and the default after it. With a bound on preemptions only
//          schedules with so few of them are visited. With a hash of the program's whole state, a
//          state that was met before with the same threads ready is not explored again.
// STATES   Next -> run -> Next -> ... -> null.
// SEE      exploration.h; facts/verification.md section 2 (CHESS: preemption bounding).
#ifndef FAKE_L4_DEPTH_FIRST_H_
#define FAKE_L4_DEPTH_FIRST_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/btree_map.h"
#include "fake_l4/exploration.h"

namespace fake_l4 {

class DepthFirstExplorer {
 public:
  struct Options {
    ExplorationOptions exploration;
    uint32_t max_preemptions = UINT32_MAX;
    // Decisions after which a schedule takes the default: what lies deeper is not explored.
    size_t max_depth = SIZE_MAX;
    // Of everything that can influence the rest of the run, but for which threads are ready: that
    // is added. Empty: every schedule is visited.
    std::function<uint64_t()> state_hash = nullptr;
  };

  explicit DepthFirstExplorer(Options options);
  DepthFirstExplorer(const DepthFirstExplorer&) = delete;
  DepthFirstExplorer& operator=(const DepthFirstExplorer&) = delete;

  // The strategy for the next run; null when all have been handed out. It refers to the explorer,
  // which outlives it, and is gone before the next call. The run has to be over by then. The
  // explorer is outside of any RewindArea, wherever its strategies are.
  std::unique_ptr<ExploringStrategy> Next();
  // Handed out so far.
  uint64_t schedules() const { return schedules_; }
  // Decisions not explored because their state had been met before.
  uint64_t states_met_again() const { return states_met_again_; }
  // True when a schedule was longer than max_depth, so that not all were visited.
  bool cut_short() const { return cut_short_; }

  // For the strategies handed out: the thread to run at decision `number`, of `threads`, the
  // default first.
  uint64_t Decide(uint64_t number, const std::vector<uint64_t>& threads, uint64_t current);

 private:
  struct Frame {
    std::vector<uint64_t> threads;  // to be tried, in this order; the default first
    size_t ready = 0;               // those that could run; more than `threads` when some are cut
    size_t tried = 0;               // index of the one that runs in this schedule
    uint32_t preemptions = 0;       // spent before this decision
    uint64_t current = 0;           // the thread that choosing another preempts; 0: none
  };
  uint32_t PreemptionsAfter(const Frame& frame) const;
  bool MetBefore(const Frame& frame);

  const Options options_;
  std::vector<Frame> frames_;
  absl::btree_map<uint64_t, uint32_t> met_;  // hash of a state -> fewest preemptions spent before
  bool started_ = false;
  uint64_t schedules_ = 0;
  uint64_t states_met_again_ = 0;
  bool cut_short_ = false;
};

}  // namespace fake_l4

#endif  // FAKE_L4_DEPTH_FIRST_H_
