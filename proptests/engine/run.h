// proptests/engine/run.h: whole runs (a list, a trace, a campaign) and their shrinking.
//
// WHAT     A campaign of N operations is a sequence of cases, each with its own swarm and a fresh
//          machine; it stops at the first failure. A case is replayed by its seed and number alone.
// INVARIANTS  The same options give the same result, hash included, on every host.

#ifndef PROPTESTS_ENGINE_RUN_H_
#define PROPTESTS_ENGINE_RUN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/string_view.h"
#include "fake_l4/decision_list.h"
#include "machine/machine.h"
#include "proptests/engine/emit.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/fault_rates.h"
#include "proptests/engine/generator.h"
#include "proptests/engine/machine_swarm.h"
#include "proptests/engine/session.h"
#include "proptests/engine/shrinker.h"
#include "traces/trace.h"

namespace proptests {

// What runs cost, summed up; the rows are those of machine::Ledger, in its order.
struct LedgerRow {
  const char* name;
  uint64_t value;
  friend bool operator==(const LedgerRow& a, const LedgerRow& b) {
    return a.value == b.value && std::string_view(a.name) == b.name;
  }
};
using LedgerRows = std::vector<LedgerRow>;

struct RunResult {
  RunStats stats;
  LedgerRows ledger;
  std::optional<Failure> failure;
  uint64_t hash = 0;
  uint64_t cases = 0;
  // What an exploring schedule chose, of a run that failed.
  std::shared_ptr<const fake_l4::DecisionList> decisions;
  uint64_t drawn = 0;  // operations that the generator was asked for; 0: all that there are
  // Of a case that failed, the operations of its last phase (liveness.h), if it came that far.
  std::vector<traces::Op> converging;
};

// Called after each operation, injected faults and skipped ones included.
using StepHook = std::function<void(const Session&)>;
// Called now and then with the number of operations done so far.
using Progress = std::function<void(uint64_t)>;

// Runs operations in a fresh machine. `executed` and `outcomes` (may be null) receive the
// operations that were not skipped, with absolute operands, and the outcome of each (of the failing
// one: a right one).
RunResult RunOps(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                 const RunOptions& options, std::vector<TestOp>* executed = nullptr,
                 std::vector<traces::Outcome>* outcomes = nullptr);
// The same; `hook` may be null.
RunResult RunOpsWithHook(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                         const RunOptions& options, const StepHook& hook,
                         std::vector<TestOp>* executed = nullptr,
                         std::vector<traces::Outcome>* outcomes = nullptr);

// RunOps, or what stands in for it: isolated_run.h.
using OpsRunner =
    std::function<RunResult(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                            const RunOptions& options, std::vector<TestOp>* executed,
                            std::vector<traces::Outcome>* outcomes)>;

RunResult RunTrace(const traces::Trace& trace, const RunOptions& options,
                   const Progress& progress = nullptr);

// A machine that explores does what the trace's comments say instead.
void FollowScheduleOf(const traces::Trace& trace, RunOptions* run);
// Whether faults without bound are injected: such a trace is for a machine whose losses are
// reported.
bool LosesClients(const traces::Trace& trace);
// "pass", or fingerprint and text of the first failure, or the parser's complaint. For emitted
// GoogleTest cases. A schedule that explores follows the decisions in the trace's comments.
std::string RunTraceText(absl::string_view text, const RunOptions& options = RunOptions());

struct CampaignOptions {
  uint64_t seed = 1;
  uint64_t ops = 100000;
  // A case is long enough for deep histories, short enough for thousands of swarms in a night. <
  // traces::kMaxLabel.
  uint64_t case_ops = 10000;
  uint64_t first_case = 0;
  uint32_t tasks = 8;
  uint32_t pages = 64;
  uint32_t files = 2;
  uint32_t threads = 1;  // of a task, at most; with machine_swarm drawn, unless pinned
  Swarm mix = StandardMix();
  bool swarm = true;  // each case has its own part of the mix; else all have all of it
  // Each case has its own machine, too (machine_swarm.h), but for what is pinned.
  bool machine_swarm = false;
  MachinePins pins;
  // Every case ends with a phase in which nothing fails any more (liveness.h).
  bool liveness = false;
  FaultRates faults;  // injected between the operations, which they do not change
  RunOptions run;     // max_live_tasks is set from `tasks`
};

// The generator of one case of a campaign.
GenOptions CaseOptions(const CampaignOptions& options, uint64_t case_index);

// `count` operations of one case, in a machine of its own. `hook` may be null.
RunResult RunCase(const CampaignOptions& options, uint64_t case_index, uint64_t count,
                  const StepHook& hook);
// What a case adds to the hash of its campaign, which is the sum over its cases: so neither who
// runs them nor in which order plays a part.
uint64_t HashOfCase(uint64_t case_index, uint64_t case_hash);
// Adds up rows; of peaks the highest counts. `sum` is empty or has the same rows.
void AddLedger(const LedgerRows& rows, LedgerRows* sum);

struct CampaignResult {
  RunResult run;
  uint64_t failing_case = 0;  // when run.failure; its op_index counts within that case
};
CampaignResult RunCampaign(const CampaignOptions& options);

struct ShrinkOutcome {
  Shrunk shrunk;
  RunOptions run;  // under which the smallest run fails
  std::vector<traces::Outcome> outcomes;
  uint64_t executions = 0;
};

// Shrinks a run that failed with `failure` under `options`. Once the run is short, everything is
// checked after every operation, so that the failure is met where it happens; the fingerprint is
// then the one met there. `runner` makes the runs.
ShrinkOutcome ShrinkRun(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                        const RunOptions& options, const Failure& failure,
                        const OpsRunner& runner = RunOps);

// The options of the session of one case.
RunOptions CaseRunOptions(const CampaignOptions& options, uint64_t case_index);
// The operations of the failing case up to the failure, injected faults included.
std::vector<TestOp> OpsOfFailure(const CampaignOptions& options, const CampaignResult& result);
std::vector<TestOp> OpsOfTrace(const traces::Trace& trace);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_RUN_H_
