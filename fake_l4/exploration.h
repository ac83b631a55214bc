// fake_l4/exploration.h: strategies that run threads in other orders than the default, repeatably.
//
// WHAT     ExploringStrategy knows what PriorityRoundRobin would do, asks its subclass which thread
//          executes the next step (from one scheduling point to the next), and records the answers.
//            RandomWalk     any ready thread, each as likely
//            Pct            random priorities, lowered at few random steps: a bug that needs d
//                           ordering constraints shows with probability >= 1 / (n k^(d-1)) for n
//                           threads and k steps
//            UniformWalk    a thread is as likely as it has steps left, by the counts of a trial
//                           run: each interleaving of independent threads is equally likely (URW)
//            ReplaySchedule a recorded list
//          and depth_first.h: all of them. Random numbers come from streams of the seed named by
//          the thread that gave way and its own step, so that they do not depend on what happened
//          elsewhere.
// INVARIANTS  A thread that yields is not chosen while others would have run before it by default.
// SEE      facts/verification.md section 2 (PCT: ASPLOS 2010; URW: ASPLOS 2025); design.md D4, D5.
#ifndef FAKE_L4_EXPLORATION_H_
#define FAKE_L4_EXPLORATION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "fake_l4/decision_list.h"
#include "fake_l4/priority_round_robin.h"
#include "fake_l4/schedule_strategy.h"

namespace fake_l4 {

// Whether less urgent threads may be chosen while more urgent ones can run. On several processors
// they run at the same time, so a program should not rely on priorities to be right.
enum class Priorities : bool { kIgnored, kRespected };

struct ExplorationOptions {
  PointMask points = kAllPoints;
  Priorities priorities = Priorities::kIgnored;
  uint64_t seed = 0;
};

// How many steps each thread made: raw ids, ascending, those without a step left out.
using StepCounts = std::vector<std::pair<uint64_t, uint64_t>>;

class ExploringStrategy : public ScheduleStrategy {
 public:
  explicit ExploringStrategy(const ExplorationOptions& options)
      : options_(options), steps_stream_(base::Prng::StreamOf(options.seed, "schedule")) {}
  void Add(Runnable& t, QueueEnd end) override;
  void Remove(Runnable& t) override;
  Runnable* Take() override;
  bool Preempts(const Runnable& woken, const Runnable& current) const override;
  bool HandsOver(const Runnable& current, const Runnable& partner, HandOver why) override;
  bool Rotates(const Runnable& current) const override;
  PointMask Points() const override { return options_.points; }
  bool Switches(SchedulePoint point, const Runnable& current, uint64_t now_ns) override;
  void Yields(const Runnable& current) override;

  // The run so far.
  const DecisionList& decisions() const { return decisions_; }
  StepCounts steps() const;
  // Steps that all threads have made, that under way included.
  uint64_t step() const { return step_; }
  // The step in which the thread was last woken, and that in which it last could have gone on,
  // woken or not; 0: none.
  struct LastReady {
    uint64_t woken = 0;
    uint64_t at_all = 0;
  };
  LastReady LastReadyOf(uint64_t thread) const;

 protected:
  struct Step {
    std::span<const Runnable* const> ready;  // at least one, in order of id
    size_t fallback;                         // of `ready`: whom the default strategy would run
    // Of `ready`: who made the last step and can go on with the next, so that choosing another
    // preempts it. kNone: it blocked or yielded.
    size_t current;
  };
  static constexpr size_t kNone = SIZE_MAX;
  // An index into step.ready. Called for each step, a single choice included.
  virtual size_t Choose(const Step& step) = 0;

  uint64_t seed() const { return options_.seed; }
  // The stream of random numbers for the step being chosen.
  base::Prng StepStream() const {
    return base::Prng(steps_stream_, base::Chain(last_, last_steps_));
  }

  // What is known of a thread.
  struct Known {
    uint64_t thread;  // its raw id
    uint64_t steps = 0;
    // The subclass's, once it has said so.
    bool has_value = false;
    int64_t value = 0;
    LastReady ready = {};
  };
  // Good until another thread is asked for.
  Known& KnownOf(const Runnable& t) {
    if (t.place < known_.size() && known_[t.place].thread == t.id) return known_[t.place];
    return FindKnown(t);
  }

 private:
  Known& FindKnown(const Runnable& t);
  const Runnable* ChooseAndRecord(const Runnable* fallback);

  const ExplorationOptions options_;
  PriorityRoundRobin default_;
  std::vector<const Runnable*> queued_;  // in order of id
  std::vector<const Runnable*> ready_;   // of the step being chosen
  const Runnable* chosen_ = nullptr;     // by Switches, for the next Take
  const Runnable* partner_ = nullptr;    // to whom the default strategy would hand over
  uint64_t last_ = 0;                    // who made the last step
  uint64_t last_steps_ = 0;              // how many that one has made
  uint64_t yielder_ = 0;                 // who yields just now; 0: nobody
  uint64_t step_ = 0;                    // of all
  const uint64_t steps_stream_;
  std::vector<Known> known_;  // in order of their first step; few
  DecisionList decisions_;
};

class RandomWalk final : public ExploringStrategy {
 public:
  using ExploringStrategy::ExploringStrategy;

 protected:
  size_t Choose(const Step& step) override;
};

class Pct final : public ExploringStrategy {
 public:
  // `depth` d >= 1 ordering constraints, `steps` k >= 1: an estimate of the run's length.
  Pct(const ExplorationOptions& options, uint32_t depth, uint64_t steps);
  void Yields(const Runnable& current) override;

 protected:
  size_t Choose(const Step& step) override;

 private:
  // Drawn ones are positive.
  int64_t& PriorityOf(const Runnable& t);
  size_t MostUrgent(const Step& step);

  const uint64_t priorities_stream_;
  std::vector<uint64_t> change_points_;  // numbers of steps, ascending
  size_t next_change_ = 0;               // of them
  int64_t lowest_ = 0;
};

class UniformWalk final : public ExploringStrategy {
 public:
  // `expected`: the steps of each thread in a trial run of the same program. A thread that is not
  // in it is taken for an average one; one that made more steps than expected, for one with a
  // single step left.
  UniformWalk(const ExplorationOptions& options, StepCounts expected);

 protected:
  size_t Choose(const Step& step) override;

 private:
  uint64_t Left(const Runnable& t);

  const StepCounts expected_;
  uint64_t average_ = 1;
  std::vector<uint64_t> left_;  // scratch
};

// Where a replay and its recording part.
struct Divergence {
  Decision expected;
  Decision found;  // choices 0: the run ended before
  std::string Text() const;
};

class ReplaySchedule final : public ExploringStrategy {
 public:
  // Points and priorities in `options` as in the recorded run.
  ReplaySchedule(const ExplorationOptions& options, DecisionList list);
  // The first decision of the list that could not be replayed as recorded; from there on, too, what
  // can be followed is followed and the rest takes the default. Call after the run.
  std::optional<Divergence> divergence() const;
  // True when the run made the recorded decisions, all of them and no others.
  bool exact() const;

 protected:
  size_t Choose(const Step& step) override;

 private:
  const DecisionList list_;
  size_t next_ = 0;
  std::optional<Divergence> divergence_;
};

}  // namespace fake_l4

#endif  // FAKE_L4_EXPLORATION_H_
