// fake_l4/testing/steps.h: a program of steps without a kernel, to try strategies on.
//
// WHAT     Thread i has steps[i] steps and the name 'a' + i (id 1 + i); nothing ever blocks. Run
//          executes it under a strategy, with a scheduling point between two steps, and returns the
//          order of steps as a word: "aab" is two steps of thread a, then one of thread b.
#ifndef FAKE_L4_TESTING_STEPS_H_
#define FAKE_L4_TESTING_STEPS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "fake_l4/schedule_strategy.h"

namespace fake_l4 {

struct StepProgram {
  std::vector<int> steps;
  std::vector<uint8_t> priorities;  // of the first threads; 100 for the rest
  // Called at each step with the order so far, that step included; may be empty.
  std::function<void(const std::string&)> on_step;
  // True: this step, which was just made, was a yield. May be empty.
  std::function<bool(const std::string&)> yields;

  std::string Run(ScheduleStrategy& strategy) const;
};

}  // namespace fake_l4

#endif  // FAKE_L4_TESTING_STEPS_H_
