// proptests/engine/session.h: one run: operations go to model and system, which are compared.
//
// WHAT     The differential step, in one place:
//            op -> model.Resolve -> absolute operands        (names nothing: skipped on both sides)
//            model.Expect -> the set of right outcomes       machine.Apply -> the outcome seen
//            seen in the set?   model.Adopt(seen)            what the op touched corresponds?
//            what the operation cost is within its budget?
//            every k ops and at the end: the whole state corresponds, all invariants hold
//            at the end: all tasks leave, nothing is left behind
//          A fault without bound (machine::Losses) takes the outcome away. A request that never
//          arrived changed nothing. A task that hangs has done part of an access; after the whole
//          state was compared init ends it. And at the end a new client can work.
//          After the first failure a session does nothing more.
// INVARIANTS  The hash depends on the operations and their outcomes alone, neither on lanes nor on
//          how often is checked.
// SEE      house.md 4.9 "Shape of a differential step"; state_relation.h.

#ifndef PROPTESTS_ENGINE_SESSION_H_
#define PROPTESTS_ENGINE_SESSION_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/probes.h"
#include "machine/machine.h"
#include "model/world.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/lanes.h"
#include "proptests/engine/op_pairs.h"
#include "proptests/engine/state_relation.h"
#include "traces/op.h"

namespace proptests {

struct RunOptions {
  machine::Machine::Options machine;
  LaneSet lanes = kAllLanes;
  // The whole state is compared every so many operations; 0 = only at the end.
  uint64_t whole_every = 64;
  // Births are skipped when so many tasks live; 0 = no limit of the run's own. The last task's
  // death is skipped too then.
  uint32_t max_live_tasks = 0;
  // The machine may be too small: running out of memory is a right outcome.
  bool memory_may_run_out = false;
  // That, or the pmap says so at random: who asks for a translation and is refused has no memory.
  bool MayRunOut() const {
    return memory_may_run_out || machine.adversity == machine::Adversity::kRefusing;
  }
  // The same from when every frame has been in use at once, and not before: for runs that touch as
  // much as is mapped.
  bool shortage_when_full = false;
  // Ordered pairs of operations on one object are counted (op_pairs.h).
  bool count_pairs = false;
};

// Counted since the start of the session.
struct RunStats {
  uint64_t ops = 0;      // executed
  uint64_t skipped = 0;  // named nothing
  std::array<uint64_t, traces::kOpKindCount> by_kind = {};
  uint64_t ok = 0;              // operations that succeeded
  uint64_t trace_outcomes = 0;  // outcomes compared, trace against model
  uint64_t uvm_outcomes = 0;    // outcomes compared, system against model
  uint64_t bytes = 0;           // bytes of pages compared, system against model
  uint64_t whole_checks = 0;
  // To faults without bound: requests that never arrived, and tasks that init ended.
  uint64_t lost_calls = 0;
  uint64_t lost_tasks = 0;
  // To errors of swap: calls of tasks with lost pages that failed and were followed, and runs that
  // ended there.
  uint64_t followed = 0;
  uint64_t ended = 0;
  std::array<uint64_t, base::kProbeCount> probes = {};
  std::array<uint64_t, base::FaultCase::kCells> fault_cases = {};
  PairCounts pairs;  // with RunOptions::count_pairs
  void Add(const RunStats& other);
};

class Session {
 public:
  // `files` as traces::Trace::files; outlives the session.
  Session(const RunOptions& options, const std::vector<std::string>* files);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Executes one operation; `expected` (may be null) is what the trace says. False after a failure,
  // and when a call met a page that was lost to an injected error of swap of which nobody can say
  // how far it came (model::World::AdoptLoss): the run ends without a failure.
  bool Step(const traces::Op& op, const traces::Outcome* expected = nullptr);
  // What the system has done already, with what came of it: the model follows. False after a
  // failure; the outcome was not right.
  bool Observe(const traces::ResolvedOp& op, const traces::Outcome& seen);
  // The same for who has others to ask: when the outcome is not right nothing is done, *why says
  // what would be, and it is no failure. REQUIRES: no failure.
  bool TryObserve(const traces::ResolvedOp& op, const traces::Outcome& seen, std::string* why);
  // The whole state, now. False when there is a failure, old or new.
  bool Check(StateRelation::Depth depth) { return !failure_ && CheckWhole(depth); }
  // The final checks. False when there is a failure, old or new.
  bool Finish();

  const std::optional<Failure>& failure() const { return failure_; }
  const RunStats& stats() const { return stats_; }
  // The hash chain over everything so far.
  uint64_t hash() const { return hash_; }
  // Of the operation executed last.
  const traces::ResolvedOp& last_op() const { return resolved_; }
  const traces::Outcome& last_outcome() const { return seen_; }
  bool last_was_skipped() const { return skipped_; }
  // All of the machine's counters; zeros without lane uvm.
  const machine::Machine* system() const { return machine_.get(); }
  // To look on, or to choose its schedule, between two operations.
  machine::Machine* system() { return machine_.get(); }
  const model::World& world() const { return *world_; }

 private:
  // As the machine has them now.
  model::World::Limits MemoryLimits() const;
  bool WithinLimits(const traces::Op& op) const;
  void ReadProbes();
  bool CompareWithTrace(const model::Expectation& right, const traces::Outcome& expected);
  bool ApplyToSystem(model::Expectation* right);
  void NoticeFullMemory(model::Expectation* right);
  bool NoticeLosses(model::Expectation* right);
  bool MetALoss(const traces::Outcome& seen) const;
  bool FollowPageLoss(model::Expectation* right, bool* is_right, const traces::Outcome& seen);
  bool ShortageIsRight(const model::Expectation& right, const traces::Outcome& seen);
  bool FollowLoss();
  bool FollowTaskLoss();
  bool FreshClientWorks();
  bool CheckCost();
  bool CheckTouched();
  bool CheckWhole(StateRelation::Depth depth);
  bool PerformOwn(const traces::Op& op);
  bool DrainNames();
  bool DrainTasks();
  void ExtendHash();
  bool Fail(FailureClass cls, std::string rule, std::string text);
  bool FailWith(const std::optional<Finding>& finding);

  const RunOptions options_;
  const std::vector<std::string>* const files_;
  std::unique_ptr<model::World> world_;
  std::unique_ptr<machine::Machine> machine_;
  std::optional<StateRelation> relation_;
  std::unique_ptr<OpPairs> pairs_;  // null: nobody counts
  RunStats stats_;
  std::optional<Failure> failure_;
  uint64_t hash_ = 0;
  uint64_t index_ = 0;  // of the operation under way, skipped ones counted
  traces::ResolvedOp resolved_;
  traces::Outcome seen_;
  bool skipped_ = false;
  bool losses_ = false;    // of pages, to errors of swap; or some were refused
  bool applied_ = false;   // what swap refused, it refused to the operation under way
  bool followed_ = false;  // the model has followed a call that met such a page already
  bool ended_ = false;     // nobody can say how it would go on
  uint64_t refusals_ = 0;  // of frames, as of the operation before
  uint64_t unread_ = 0;    // pages that swap did not give back, likewise
  bool full_ = false;      // shortage_when_full, and they have been
  machine::Ledger spent_;  // as of the operation before
};

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_SESSION_H_
