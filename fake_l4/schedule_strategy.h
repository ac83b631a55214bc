// fake_l4/schedule_strategy.h: who runs next, as a replaceable decision.
//
// WHAT     The kernel tells the strategy which threads can run and asks for the next one. The
//          default (priority_round_robin.h) is what an L4 does. Exploring strategies
//          (exploration.h) may choose otherwise, so that every order of kernel operations can
//          happen; they say at which kinds of points the running thread may be made to give way.
// SEE      design.md D4, D5; X.2 manual: "Scheduling".
#ifndef FAKE_L4_SCHEDULE_STRATEGY_H_
#define FAKE_L4_SCHEDULE_STRATEGY_H_

#include <cstdint>

namespace fake_l4 {

// The scheduler's view of a thread.
struct Runnable {
  uint64_t id = 0;         // raw thread id: stable within a run, for reports and recorded schedules
  uint8_t priority = 100;  // 255 is the most urgent
  uint8_t processor = 0;
  bool queued = false;         // in the strategy's hands
  mutable uint32_t place = 0;  // free for the strategy: a guess that it checks by the id
  uint64_t ready_ns = 0;     // when it last became able to run, by the clock of whoever made it so
  Runnable* next = nullptr;  // free for the strategy while queued
  Runnable* prev = nullptr;
};

enum class QueueEnd { kFront, kBack };

// Where a running thread could be made to give way: at the end of a kernel operation that lets it
// go on, after an access to memory, and round the locks of the programs inside.
enum class SchedulePoint : uint8_t { kIpc, kUnmap, kSystemCall, kAccess, kLock };
inline constexpr int kSchedulePointCount = 5;

using PointMask = uint32_t;
constexpr PointMask PointBit(SchedulePoint point) {
  return PointMask{1} << static_cast<unsigned>(point);
}
inline constexpr PointMask kNoPoints = 0;
inline constexpr PointMask kAllPoints = (PointMask{1} << kSchedulePointCount) - 1;

// Why the processor would go straight to a partner, whoever else waits.
enum class HandOver : uint8_t {
  kIpc,           // it got the message of a thread that blocks
  kThreadSwitch,  // ThreadSwitch named it: manual, "extraordinary scheduling"
};

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
  // `current` gives up the processor and names `partner`, which is queued. True: directly to it.
  virtual bool HandsOver(const Runnable& current, const Runnable& partner, HandOver why) = 0;
  // `current`'s time slice has ended. True: somebody queued runs in its place.
  virtual bool Rotates(const Runnable& current) const = 0;

  // The kinds of points at which Switches wants to be asked; constant for a strategy's life.
  virtual PointMask Points() const { return kNoPoints; }
  // `current` could go on at such a point. True: it is added again (kFront) and Take chooses.
  // `now_ns` is its processor's clock.
  virtual bool Switches(SchedulePoint point, const Runnable& current, uint64_t now_ns);
  // `current` asked for others to run first. It is added next.
  virtual void Yields(const Runnable& current);
};

}  // namespace fake_l4

#endif  // FAKE_L4_SCHEDULE_STRATEGY_H_
