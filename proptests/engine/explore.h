// proptests/engine/explore.h: small concurrent programs under many schedules.
//
// WHAT     A program's setup is done once; then its threads run again and again, each time from the
//          same state (saved_session.h) under another schedule. After each run
//              nobody may be stuck, no CHECK may have failed
//              what the program is about is read, page by page, by every task
//              what was seen has to be linearizable (linearize.h)
//              the whole state has to agree with the model after some such order
//          A failure is made small: operations first, for each of which schedules are tried anew,
//          then the list of decisions of the schedule.
// INVARIANTS  The same options give the same schedules and the same hash on every host.
// SEE      design.md D5; fake_l4/exploration.h for the kinds of schedules.

#ifndef PROPTESTS_ENGINE_EXPLORE_H_
#define PROPTESTS_ENGINE_EXPLORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fake_l4/decision_list.h"
#include "fake_l4/exploration.h"
#include "proptests/engine/concurrent_program.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/linearize.h"
#include "proptests/engine/saved_session.h"
#include "proptests/engine/session.h"

namespace proptests {

// Of a machine that programs with as many pages too many are explored on.
inline constexpr uint64_t kPressureFrames = 128;

// Between threads; thousands are usual. A program that needs more is stuck (EveryOperationEnds).
inline constexpr uint64_t kMostSwitchesPerSchedule = 1'000'000;

enum class ScheduleKind : uint8_t { kRandom, kPct, kUniform, kDepthFirst };

// What came of a program under one schedule.
struct ScheduleResult {
  std::optional<Failure> failure;
  fake_l4::DecisionList decisions;
  fake_l4::StepCounts steps;
  std::vector<HistoryOp> history;  // the final reads included, which are a thread of their own
  Atomicity atomicity = Atomicity::kWhole;
  PageGroup group;  // that has no order, of a failure
};

// One machine for one program after the other.
class ConcurrentSession {
 public:
  // `files` outlives the session.
  ConcurrentSession(const RunOptions& options, const std::vector<std::string>* files);
  ConcurrentSession(const ConcurrentSession&) = delete;
  ConcurrentSession& operator=(const ConcurrentSession&) = delete;

  // The setup, from an empty machine. The program outlives its runs. Operations that name nothing
  // then are left out. False: it does not even agree with the model; failure() says so.
  bool Begin(const ConcurrentProgram& program);
  const std::optional<Failure>& failure() const { return failure_; }
  // `make` is called inside of the machine's area: what it makes vanishes with the next run.
  using MakeStrategy = std::function<std::unique_ptr<fake_l4::ExploringStrategy>()>;
  ScheduleResult Run(const MakeStrategy& make);

  size_t pages_stored_to() const { return session_.pages_stored_to(); }

 private:
  void Perform(const MakeStrategy& make, ScheduleResult* result);
  // One more operation of the history, alone; false when the machine ended.
  bool Afterwards(machine::Machine* machine, const traces::ResolvedOp& op,
                  ScheduleResult* result) const;
  void ReadEverything(machine::Machine* machine, ScheduleResult* result) const;
  void Judge(ScheduleResult* result);
  bool AgreesInLikelyOrder(const ScheduleResult& result);
  void PerformAgain(const fake_l4::DecisionList& decisions);
  bool Agrees(const ScheduleResult& result, const std::vector<uint32_t>& order);

  SavedSession session_;
  Linearizer linearizer_;
  std::vector<machine::Part> parts_;
  // What the program is about: of each page, from the first to the last byte that is accessed.
  struct Span {
    uint64_t page;
    uint64_t first;
    uint64_t end;
  };
  void NotePages(const traces::ResolvedOp& op);
  void NoteRange(uint64_t start, uint64_t size, const traces::ResolvedOp& op);
  std::vector<Span> spans_;
  bool mach_ = false;  // its tasks are Mach's
  std::optional<Failure> failure_;
};

struct ExploreOptions {
  ScheduleKind kind = ScheduleKind::kPct;
  uint32_t depth = 3;  // of pct: ordering constraints; of dfs: preemptions
  uint64_t schedules = 10000;
  uint64_t per_program = 64;  // schedules; of dfs: at most
  DrawOptions draw;
  RunOptions run;
  // Explored alone, instead of drawn ones.
  std::optional<ConcurrentProgram> program;
  std::optional<fake_l4::DecisionList> schedule;  // of `program`: no other is run
  std::function<void(uint64_t)> progress;         // schedules so far
};

struct ExploreResult {
  uint64_t programs = 0;
  uint64_t schedules = 0;
  uint64_t distinct = 0;       // schedules of their program that no other was equal to
  uint64_t ops = 0;            // performed by threads
  uint64_t decisions = 0;      // made where there was a choice
  uint64_t page_by_page = 0;   // histories that only each page by itself has an order for
  uint64_t unjudged = 0;       // histories of which nobody can say (linearize.h)
  uint64_t complete = 0;       // programs of which dfs has seen every schedule within its bound
  uint64_t hash = 0;           // over all schedules and what was seen
  size_t pages_stored_to = 0;  // what bringing the machine back copied at the end
  std::optional<ScheduleResult> failed;  // the first
  ConcurrentProgram program;             // that failed
};

ExploreResult Explore(const ExploreOptions& options);

// The failure made small.
struct SmallExploration {
  ConcurrentProgram program;
  ScheduleResult result;
  uint64_t executions = 0;
};
// REQUIRES: `found` failed under `options`.
SmallExploration ShrinkExploration(const ExploreOptions& options, const ExploreResult& found);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_EXPLORE_H_
