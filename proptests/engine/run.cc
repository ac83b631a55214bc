#include "proptests/engine/run.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "base/hash.h"
#include "base/prng.h"
#include "proptests/engine/emit.h"
#include "proptests/engine/liveness.h"
#include "traces/codec.h"

namespace proptests {
namespace {

constexpr uint64_t kProgressEvery = 8192;

// The operation as it was executed.
traces::Op Absolute(const traces::Op& op, const traces::ResolvedOp& resolved) {
  traces::Op absolute = op;
  if (resolved.task != 0) absolute.task = {resolved.task, false};
  absolute.thread = resolved.thread;
  if (op.at.kind != traces::Place::Kind::kAbsolute) absolute.at = traces::At(resolved.at);
  if (op.to.kind != traces::Place::Kind::kAbsolute) absolute.to = traces::At(resolved.to);
  return absolute;
}

RunResult ResultOf(const Session& session) {
  RunResult result;
  result.stats = session.stats();
  result.failure = session.failure();
  result.hash = session.hash();
  result.cases = 1;
  if (session.system() != nullptr) {
    session.system()->ledger().ForEach([&](const char* name, uint64_t value) {
      result.ledger.push_back({name, value});
    });
    const fake_l4::DecisionList* decisions = session.system()->decisions();
    if (result.failure && decisions != nullptr) {
      result.decisions = std::make_shared<const fake_l4::DecisionList>(*decisions);
    }
  }
  return result;
}

}  // namespace

void AddLedger(const LedgerRows& rows, LedgerRows* sum) {
  if (sum->empty()) *sum = LedgerRows(rows.size(), {nullptr, 0});
  for (size_t i = 0; i < rows.size(); ++i) {
    LedgerRow& row = (*sum)[i];
    row.name = rows[i].name;
    bool peak = absl::StartsWith(row.name, "peak");
    row.value = peak ? std::max(row.value, rows[i].value) : row.value + rows[i].value;
  }
}

uint64_t HashOfCase(uint64_t case_index, uint64_t case_hash) {
  return base::Chain(case_hash, case_index);
}

RunResult RunOps(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                 const RunOptions& options, std::vector<TestOp>* executed,
                 std::vector<traces::Outcome>* outcomes) {
  return RunOpsWithHook(ops, files, options, nullptr, executed, outcomes);
}

RunResult RunOpsWithHook(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                         const RunOptions& options, const StepHook& hook,
                         std::vector<TestOp>* executed, std::vector<traces::Outcome>* outcomes) {
  Session session(options, &files);
  bool going = true;
  for (size_t i = 0; going && i < ops.size(); ++i) {
    const TestOp& test = ops[i];
    going = session.Step(test.op, test.expected ? &*test.expected : nullptr);
    if (hook) hook(session);
    if (session.last_was_skipped()) continue;
    if (executed != nullptr)
      executed->push_back({Absolute(test.op, session.last_op()), test.expected});
    if (outcomes != nullptr) outcomes->push_back(session.last_outcome());
  }
  session.Finish();
  return ResultOf(session);
}

RunResult RunTrace(const traces::Trace& trace, const RunOptions& options,
                   const Progress& progress) {
  Session session(options, &trace.files);
  uint64_t done = 0;
  for (const traces::Line& line : trace.lines) {
    if (!session.Step(line.op, line.expected ? &*line.expected : nullptr)) break;
    if (progress && ++done % kProgressEvery == 0) progress(done);
  }
  session.Finish();
  return ResultOf(session);
}

void FollowScheduleOf(const traces::Trace& trace, RunOptions* run) {
  std::optional<fake_l4::DecisionList> list = ScheduleOfTrace(trace);
  if (!list || run->machine.schedule == machine::Schedule::kRoundRobin) return;
  run->machine.decisions = std::make_shared<const fake_l4::DecisionList>(*std::move(list));
}

bool LosesClients(const traces::Trace& trace) {
  return std::any_of(trace.lines.begin(), trace.lines.end(), [](const traces::Line& line) {
    return line.op.kind == traces::OpKind::kInject && !IsRecoverable(line.op.site);
  });
}

std::string RunTraceText(absl::string_view text, const RunOptions& given) {
  auto trace = traces::ParseTrace(text, "text");
  if (!trace.ok()) return std::string(trace.status().message());
  RunOptions options = given;
  FollowScheduleOf(*trace, &options);
  if (LosesClients(*trace)) options.machine.losses = machine::Losses::kAreReported;
  options.whole_every = 1;
  RunResult result = RunTrace(*trace, options);
  if (!result.failure) return "pass";
  return absl::StrCat(FingerprintText(result.failure->print), ": ", result.failure->text);
}

namespace {

// In half of the cases that draw it tasks have one thread.
uint32_t CaseThreads(const CampaignOptions& options, uint64_t case_index) {
  if (!options.machine_swarm || options.pins.threads) return options.threads;
  base::Prng prng(options.seed, "threads", case_index);
  const uint64_t most = prng.Below(2 * (traces::kMaxThreads - 1));
  return static_cast<uint32_t>(1 + (most < traces::kMaxThreads ? most : 0));
}

}  // namespace

GenOptions CaseOptions(const CampaignOptions& options, uint64_t case_index) {
  GenOptions gen;
  gen.seed = options.seed;
  gen.case_index = case_index;
  gen.tasks = options.tasks;
  gen.pages = options.pages;
  gen.files = options.files;
  gen.faults = options.faults;
  RunOptions run = options.run;
  if (options.machine_swarm) {
    DrawMachine(options.seed, case_index, options.pins, &run, &gen.faults);
  }
  gen.swap_devices = static_cast<uint32_t>(run.machine.swap.size());
  gen.threads = CaseThreads(options, case_index);
  Swarm mix = gen.swap_devices != 0 ? WithSwapCalls(options.mix) : options.mix;
  if (gen.threads > 1) mix = WithThreadCalls(mix);
  gen.swarm = options.swarm ? DrawSwarm(options.seed, case_index, mix) : mix;
  if (gen.swap_devices == 0) DropSwapSites(&gen.faults);
  return gen;
}

RunOptions CaseRunOptions(const CampaignOptions& options, uint64_t case_index) {
  RunOptions run = options.run;
  run.max_live_tasks = options.tasks;
  // Whoever maps much and wires it fills the machine, if rarely.
  run.shortage_when_full = !run.memory_may_run_out;
  run.machine.seed = base::Chain(options.seed, case_index);
  if (options.faults.unlimited) run.machine.losses = machine::Losses::kAreReported;
  if (options.machine_swarm) {
    FaultRates unused;
    DrawMachine(options.seed, case_index, options.pins, &run, &unused);
  }
  return run;
}

namespace {

// The operation and the faults that the generator puts right before it.
bool StepWithFaults(const Generator& generator, uint64_t index, const StepHook& hook,
                    Session* session) {
  for (const traces::Op& fault : generator.DrawFaults(index)) {
    const bool going = session->Step(fault);
    if (hook) hook(*session);
    if (!going) return false;
  }
  const bool going = session->Step(generator.Draw(index));
  if (hook) hook(*session);
  return going;
}

}  // namespace

RunResult RunCase(const CampaignOptions& options, uint64_t case_index, uint64_t count,
                  const StepHook& hook) {
  const Generator generator(CaseOptions(options, case_index));
  Session session(CaseRunOptions(options, case_index), &generator.files());
  bool going = true;
  for (uint64_t i = 0; i < count && going; ++i) {
    going = StepWithFaults(generator, i, hook, &session);
  }
  std::vector<traces::Op> converging;
  if (going && options.liveness) Converge(&session, hook, &converging);
  session.Finish();
  RunResult result = ResultOf(session);
  result.drawn = count;
  if (result.failure) result.converging = std::move(converging);
  return result;
}

CampaignResult RunCampaign(const CampaignOptions& options) {
  CampaignResult result;
  uint64_t done = 0;
  for (uint64_t number = options.first_case; done < options.ops; ++number) {
    const uint64_t count = std::min(options.case_ops, options.ops - done);
    RunResult one = RunCase(options, number, count, nullptr);
    done += count;
    result.run.stats.Add(one.stats);
    AddLedger(one.ledger, &result.run.ledger);
    result.run.hash += HashOfCase(number, one.hash);
    ++result.run.cases;
    if (one.failure) {
      result.run.failure = std::move(one.failure);
      result.run.drawn = one.drawn;
      result.run.converging = std::move(one.converging);
      result.failing_case = number;
      break;
    }
  }
  return result;
}

namespace {

// What the last phase does follows from the model and from what came of the operations before; of a
// process that was lost nobody knows that, and what the model would choose has to do.
void AddConvergence(const CampaignOptions& options, const Generator& generator,
                    const CampaignResult& result, std::vector<TestOp>* ops) {
  RunOptions model = CaseRunOptions(options, result.failing_case);
  model.lanes = {Lane::kModel};
  Session session(model, &generator.files());
  for (const TestOp& test : *ops) session.Step(test.op);
  std::vector<traces::Op> more;
  Converge(&session, nullptr, &more);
  for (const traces::Op& op : more) ops->push_back({op, std::nullopt});
}

}  // namespace

std::vector<TestOp> OpsOfFailure(const CampaignOptions& options, const CampaignResult& result) {
  Generator generator(CaseOptions(options, result.failing_case));
  std::vector<TestOp> ops;
  const uint64_t count = result.run.failure->op_index + 1;
  const uint64_t drawn = result.run.drawn == 0 ? options.case_ops : result.run.drawn;
  for (uint64_t i = 0; i < drawn && ops.size() < count; ++i) {
    for (const traces::Op& fault : generator.DrawFaults(i)) ops.push_back({fault, std::nullopt});
    ops.push_back({generator.Draw(i), std::nullopt});
  }
  if (options.liveness && ops.size() < count) {
    if (result.run.converging.empty()) AddConvergence(options, generator, result, &ops);
    for (const traces::Op& op : result.run.converging) ops.push_back({op, std::nullopt});
  }
  if (ops.size() > count) ops.resize(count);
  return ops;
}

std::vector<TestOp> OpsOfTrace(const traces::Trace& trace) {
  std::vector<TestOp> ops;
  ops.reserve(trace.lines.size());
  for (const traces::Line& line : trace.lines) ops.push_back({line.op, line.expected});
  return ops;
}

namespace {

// Plainer machines, each in one respect. A step that changes nothing is none.
void RunInTurns(RunOptions* run) { run->machine.schedule = machine::Schedule::kRoundRobin; }
void OnOneProcessor(RunOptions* run) { run->machine.processors = 1; }
void UnderTheManualsRules(RunOptions* run) {
  run->machine.quirks = machine::Machine::Options{}.quirks;
}
void WithoutSwap(RunOptions* run) { run->machine.swap.clear(); }
void WithSwapInMemory(RunOptions* run) {
  for (machine::SwapSpec& spec : run->machine.swap) spec.kind = machine::SwapSpec::Kind::kMemory;
}
void WithoutEncryption(RunOptions* run) {
  run->machine.swap_encryption = machine::SwapEncryption::kOff;
}
void WithoutEvents(RunOptions* run) { run->machine.memory.one_in = 0; }
void WithPlainFrames(RunOptions* run) {
  run->machine.memory = {.one_in = run->machine.memory.one_in};
}
void WithInstantSwap(RunOptions* run) {
  for (machine::SwapSpec& spec : run->machine.swap) spec.transfer_us = spec.page_us = 0;
}
void WithTheUsualPolicy(RunOptions* run) {
  run->machine.policy = machine::Machine::Options{}.policy;
}
void OnPlainHardware(RunOptions* run) {
  run->machine.profile = machine::Machine::Options{}.profile;
}
constexpr void (*kPlainer[])(RunOptions*) = {
    RunInTurns,       OnOneProcessor,    UnderTheManualsRules, OnPlainHardware,
    WithSwapInMemory, WithoutEncryption, WithInstantSwap,      WithoutSwap,
    WithoutEvents,    WithPlainFrames,   WithTheUsualPolicy};

bool SameMachine(const RunOptions& a, const RunOptions& b) {
  return a.machine.swap == b.machine.swap && a.machine.policy == b.machine.policy &&
         a.machine.swap_encryption == b.machine.swap_encryption &&
         a.machine.memory == b.machine.memory && a.machine.schedule == b.machine.schedule &&
         a.machine.processors == b.machine.processors &&
         std::strcmp(a.machine.quirks.name, b.machine.quirks.name) == 0 &&
         std::strcmp(a.machine.profile.name, b.machine.profile.name) == 0;
}

// Schedules of a run: as few decisions that differ from the default's as it takes.
class ScheduleShrinking {
 public:
  ScheduleShrinking(const std::vector<std::string>& files, const Fingerprint& print,
                    const OpsRunner& runner)
      : files_(files), print_(print), runner_(runner) {}

  // `run` fails with `ops`; it then follows the smallest list that was found.
  void Run(const std::vector<TestOp>& ops, RunOptions* run) {
    const std::shared_ptr<const fake_l4::DecisionList> all = Try(ops, *run);
    if (all == nullptr) return;  // its process ends with it: nobody knows what was chosen
    run->machine.decisions = all;
    for (size_t chunk = all->deviations.size(); chunk > 0; chunk /= 2) {
      size_t at = run->machine.decisions->deviations.size();
      while (at > 0 && executions_ < kMostRuns) {
        at = at > chunk ? at - chunk : 0;
        DropDecisions(ops, at, chunk, run);
        at = std::min(at, run->machine.decisions->deviations.size());
      }
    }
  }
  uint64_t executions() const { return executions_; }

 private:
  static constexpr uint64_t kMostRuns = 400;

  // What was chosen when it failed alike; null: it did not.
  std::shared_ptr<const fake_l4::DecisionList> Try(const std::vector<TestOp>& ops,
                                                   const RunOptions& run) {
    ++executions_;
    const RunResult result = runner_(ops, files_, run, nullptr, nullptr);
    return result.failure && result.failure->print == print_ ? result.decisions : nullptr;
  }

  void DropDecisions(const std::vector<TestOp>& ops, size_t at, size_t count, RunOptions* run) {
    fake_l4::DecisionList list = *run->machine.decisions;
    const size_t had = list.deviations.size();
    const auto begin = list.deviations.begin();
    list.deviations.erase(begin + static_cast<ptrdiff_t>(at),
                          begin + static_cast<ptrdiff_t>(std::min(at + count, had)));
    RunOptions less = *run;
    less.machine.decisions = std::make_shared<const fake_l4::DecisionList>(std::move(list));
    const std::shared_ptr<const fake_l4::DecisionList> made = Try(ops, less);
    // A shorter list may lead to a longer one.
    if (made != nullptr && made->deviations.size() < had) run->machine.decisions = made;
  }

  const std::vector<std::string>& files_;
  const Fingerprint print_;
  const OpsRunner& runner_;
  uint64_t executions_ = 0;
};

}  // namespace

ShrinkOutcome ShrinkRun(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                        const RunOptions& options, const Failure& failure,
                        const OpsRunner& runner) {
  ShrinkOutcome out;
  out.run = options;
  Experiment experiment = [&](const Candidate& candidate) {
    Attempt attempt;
    RunOptions run = out.run;
    if (candidate.frames != 0) run.machine.ram_bytes = uint64_t{candidate.frames} * base::kPageSize;
    attempt.failure = runner(candidate.ops, files, run, &attempt.executed, nullptr).failure;
    return attempt;
  };
  ShrinkLimits coarse;
  coarse.operations_only = true;
  Shrunk first = Shrink({ops, 0}, failure.print, experiment, coarse);
  out.executions = first.executions;
  // Does it need the machine it was met on?
  for (const auto plainer : kPlainer) {
    const RunOptions before = out.run;
    plainer(&out.run);
    if (SameMachine(before, out.run)) continue;
    ++out.executions;
    const Attempt attempt = experiment(first.smallest);
    if (!attempt.failure || !(attempt.failure->print == failure.print)) out.run = before;
  }
  // Where is it met when everything is looked at all the time?
  out.run.whole_every = 1;
  Attempt close = experiment(first.smallest);
  ++out.executions;
  Fingerprint print = close.failure ? close.failure->print : failure.print;
  if (!close.failure) out.run.whole_every = options.whole_every;
  first.smallest.frames = static_cast<uint32_t>(options.machine.ram_bytes / base::kPageSize);
  out.shrunk = Shrink(first.smallest, print, experiment);
  out.executions += out.shrunk.executions;
  out.run.machine.ram_bytes = uint64_t{out.shrunk.smallest.frames} * base::kPageSize;
  if (out.run.machine.schedule != machine::Schedule::kRoundRobin) {
    ScheduleShrinking schedule(files, out.shrunk.failure.print, runner);
    schedule.Run(out.shrunk.smallest.ops, &out.run);
    out.executions += schedule.executions();
    // Without its other decisions it may need fewer operations, too.
    if (out.run.machine.decisions != nullptr) {
      out.shrunk = Shrink(out.shrunk.smallest, out.shrunk.failure.print, experiment);
      out.executions += out.shrunk.executions;
      out.run.machine.ram_bytes = uint64_t{out.shrunk.smallest.frames} * base::kPageSize;
    }
  }
  runner(out.shrunk.smallest.ops, files, out.run, nullptr, &out.outcomes);
  return out;
}

}  // namespace proptests
