// fake_l4/schedule_strategy.h: who runs next, as a replaceable decision.
//
// WHAT     The kernel tells the strategy which threads can run and asks for the next one. The
//          default is what an L4 does: highest priority first, round robin within one. Exploring
//          strategies (random, PCT, exhaustive) draw from their own stream of random numbers and
//          may refuse direct hand-over, so that every order of kernel operations can happen.
// SEE      design.md D4, D5; X.2 manual: "Scheduling".
#ifndef FAKE_L4_SCHEDULE_STRATEGY_H_
#define FAKE_L4_SCHEDULE_STRATEGY_H_

#include <array>
#include <cstdint>

namespace fake_l4 {

// The scheduler's view of a thread.
struct Runnable {
  uint64_t id = 0;         // raw thread id: stable within a run, for reports and recorded schedules
  uint8_t priority = 100;  // 255 is the most urgent
  bool queued = false;     // in the strategy's hands
  Runnable* next = nullptr;  // free for the strategy while queued
  Runnable* prev = nullptr;
};

enum class QueueEnd { kFront, kBack };

class ScheduleStrategy {
 public:
  virtual ~ScheduleStrategy() = default;
  // `t` can run from now on. kFront: it was interrupted and keeps its turn.
  virtual void Add(Runnable& t, QueueEnd end) = 0;
  // `t`, which was added, cannot run any more, or is being dispatched.
  virtual void Remove(Runnable& t) = 0;
  // Takes out the next thread to run; null when there is none.
  virtual Runnable* Take() = 0;
  // `woken` was made runnable by `current`, which can go on running. True: `woken` runs at once.
  virtual bool Preempts(const Runnable& woken, const Runnable& current) const = 0;
  // `current` blocks in an IPC that made `partner` runnable. True: hand over directly, whoever else
  // waits.
  virtual bool HandsOver(const Runnable& current, const Runnable& partner) const = 0;
};

// Highest priority first, first come first served within one priority.
class PriorityRoundRobin final : public ScheduleStrategy {
 public:
  void Add(Runnable& t, QueueEnd end) override;
  void Remove(Runnable& t) override;
  Runnable* Take() override;
  bool Preempts(const Runnable& woken, const Runnable& current) const override;
  bool HandsOver(const Runnable& current, const Runnable& partner) const override;

 private:
  struct Queue {
    Runnable* head = nullptr;
    Runnable* tail = nullptr;
  };
  // -1 when nothing is queued.
  int Highest() const;

  std::array<Queue, 256> queues_;
  std::array<uint64_t, 4> nonempty_ = {};  // bit p: queues_[p] has a thread
};

}  // namespace fake_l4

#endif  // FAKE_L4_SCHEDULE_STRATEGY_H_
