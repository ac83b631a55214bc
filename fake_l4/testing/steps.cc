#include "fake_l4/testing/steps.h"

namespace fake_l4 {

std::string StepProgram::Run(ScheduleStrategy& strategy) const {
  std::vector<Runnable> threads(steps.size());
  for (size_t i = 0; i < threads.size(); i++) {
    threads[i].id = 1 + i;
    if (i < priorities.size()) threads[i].priority = priorities[i];
    strategy.Add(threads[i], QueueEnd::kBack);
  }
  std::vector<int> left = steps;
  std::string order;
  for (Runnable* current = strategy.Take(); current != nullptr;) {
    const size_t i = current->id - 1;
    order += static_cast<char>('a' + i);
    if (on_step) on_step(order);
    if (--left[i] == 0) {
      current = strategy.Take();
    } else if (yields && yields(order)) {
      strategy.Yields(*current);
      strategy.Add(*current, QueueEnd::kBack);
      current = strategy.Take();
    } else if (strategy.Switches(SchedulePoint::kSystemCall, *current, 0)) {
      strategy.Add(*current, QueueEnd::kFront);
      current = strategy.Take();
    }
  }
  return order;
}

}  // namespace fake_l4
