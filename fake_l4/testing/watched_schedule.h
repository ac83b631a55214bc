// fake_l4/testing/watched_schedule.h: any schedule, with somebody looking on at each step.
//
// WHAT     WatchedSchedule does what another strategy does and calls `watch` at every point at
// which
//          a running thread could be made to give way: the places that other threads can come in
//          between. RandomSchedule is a random walk, PctSchedule a random one with few changes of
//          priority; ForEverySchedule runs a program under all of them.
// SEE      exploration.h, depth_first.h.
#ifndef FAKE_L4_TESTING_WATCHED_SCHEDULE_H_
#define FAKE_L4_TESTING_WATCHED_SCHEDULE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "fake_l4/depth_first.h"
#include "fake_l4/exploration.h"
#include "fake_l4/schedule_strategy.h"

namespace fake_l4 {

class WatchedSchedule final : public ScheduleStrategy {
 public:
  // `watch` may be empty; it must have no effect on the kernel.
  WatchedSchedule(std::unique_ptr<ScheduleStrategy> inner, std::function<void()> watch)
      : inner_(std::move(inner)), watch_(std::move(watch)) {}

  void Add(Runnable& t, QueueEnd end) override { inner_->Add(t, end); }
  void Remove(Runnable& t) override { inner_->Remove(t); }
  Runnable* Take() override {
    if (watch_) watch_();
    return inner_->Take();
  }
  bool Preempts(const Runnable& woken, const Runnable& current) const override {
    return inner_->Preempts(woken, current);
  }
  bool HandsOver(const Runnable& current, const Runnable& partner, HandOver why) override {
    return inner_->HandsOver(current, partner, why);
  }
  bool Rotates(const Runnable& current) const override { return inner_->Rotates(current); }
  PointMask Points() const override { return kAllPoints; }
  bool Switches(SchedulePoint point, const Runnable& current, uint64_t now_ns) override {
    if (watch_) watch_();
    return (inner_->Points() & PointBit(point)) != 0 && inner_->Switches(point, current, now_ns);
  }
  void Yields(const Runnable& current) override { inner_->Yields(current); }

 private:
  const std::unique_ptr<ScheduleStrategy> inner_;
  const std::function<void()> watch_;
};

inline std::unique_ptr<ScheduleStrategy> RandomSchedule(uint64_t seed) {
  return std::make_unique<RandomWalk>(ExplorationOptions{.seed = seed});
}

// `depth` ordering constraints in about `steps` steps (exploration.h).
inline std::unique_ptr<ScheduleStrategy> PctSchedule(uint64_t seed, uint32_t depth,
                                                     uint64_t steps) {
  return std::make_unique<Pct>(ExplorationOptions{.seed = seed}, depth, steps);
}

// Every schedule of what `run` does with the strategy it is given, with at most so many
// preemptions. `run` starts from the same state each time and says whether to go on. Returns how
// many schedules there were.
template <typename Run>
uint64_t ForEverySchedule(uint32_t most_preemptions, Run run) {
  DepthFirstExplorer explorer(
      {.exploration = {}, .max_preemptions = most_preemptions, .state_hash = {}});
  while (std::unique_ptr<ScheduleStrategy> schedule = explorer.Next()) {
    if (!run(std::move(schedule))) break;
  }
  return explorer.schedules();
}

}  // namespace fake_l4

#endif  // FAKE_L4_TESTING_WATCHED_SCHEDULE_H_
