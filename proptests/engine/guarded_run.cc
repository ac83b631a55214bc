#include "proptests/engine/guarded_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "fake_l4/decision_list.h"
#include "machine/machine.h"
#include "nlohmann/json.hpp"
#include "proptests/engine/hash_chain.h"
#include "proptests/engine/isolated_run.h"
#include "proptests/engine/machine_text.h"
#include "proptests/engine/summary.h"
#include "traces/codec.h"

namespace proptests {
namespace {

using Json = nlohmann::ordered_json;

// How long a run may take that is suspected to hang. Honest ones take milliseconds.
constexpr double kHangSeconds = 1;
// Of shrinking as a whole, in the child.
constexpr double kShrinkSeconds = 600;

// The process that ran it ended: by a signal, by itself, or because time was up.
bool EndedItsProcess(const Failure& failure) {
  return failure.print.cls == FailureClass::kTimeout ||
         (failure.print.cls == FailureClass::kCrash &&
          (absl::StartsWith(failure.print.rule, "NoSignal(") ||
           absl::StartsWith(failure.print.rule, "NoExit(")));
}

std::string Encode(const ShrinkOutcome& outcome, const std::vector<std::string>& files) {
  traces::Trace trace;
  trace.title = "shrunk.trace: what is left";
  trace.files = files;
  for (const TestOp& test : outcome.shrunk.smallest.ops)
    trace.Add(test.op).expected = test.expected;
  traces::Trace right;
  right.title = "right.trace: the right outcomes";
  right.files = files;
  for (size_t i = 0; i < outcome.outcomes.size() && i < trace.lines.size(); ++i) {
    right.Add(trace.lines[i].op).expected = outcome.outcomes[i];
  }
  const Failure& failure = outcome.shrunk.failure;
  return Json{
      {"trace", traces::FormatTrace(trace)},
      {"right", traces::FormatTrace(right)},
      {"frames", outcome.shrunk.smallest.frames},
      {"class", static_cast<int>(failure.print.cls)},
      {"rule", failure.print.rule},
      {"text", failure.text},
      {"op", failure.op_index},
      {"executions", outcome.executions},
      {"minimal", outcome.shrunk.minimal},
      {"otherwise", outcome.shrunk.fail_otherwise},
      {"schedule", static_cast<int>(outcome.run.machine.schedule)},
      {"processors", outcome.run.machine.processors},
      {"quirks", outcome.run.machine.quirks.name},
      {"profile", outcome.run.machine.profile.name},
      {"whole_every", outcome.run.whole_every},
      {"decisions",
       outcome.run.machine.decisions == nullptr ? "" : outcome.run.machine.decisions->Text()},
      {"policy", outcome.run.machine.policy},
      {"swap", SwapText(outcome.run.machine.swap)},
      {"encryption", static_cast<int>(outcome.run.machine.swap_encryption)},
      {"memory", MemoryText(outcome.run.machine.memory)},
      {"ram_bytes", outcome.run.machine.ram_bytes}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Files are named in order of first use in a text, so the operations are told their numbers anew.
std::vector<TestOp> OpsWithFiles(const traces::Trace& trace,
                                 const std::vector<std::string>& files) {
  std::vector<TestOp> ops = OpsOfTrace(trace);
  for (TestOp& test : ops) {
    if (test.op.file == 0) continue;
    const std::string& name = trace.files[test.op.file - 1];
    const auto it = std::find(files.begin(), files.end(), name);
    test.op.file = static_cast<uint32_t>(it - files.begin()) + 1;
  }
  return ops;
}

// False: what was said is no outcome.
bool Decode(const std::string& said, const std::vector<std::string>& files,
            ShrinkOutcome* outcome) {
  const Json json = Json::parse(said, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  auto trace = traces::ParseTrace(json["trace"].get<std::string>(), "shrunk");
  auto right = traces::ParseTrace(json["right"].get<std::string>(), "right");
  if (!trace.ok() || !right.ok()) return false;
  outcome->shrunk.smallest.ops = OpsWithFiles(*trace, files);
  outcome->shrunk.smallest.frames = json["frames"].get<uint32_t>();
  outcome->outcomes.clear();
  for (const TestOp& test : OpsOfTrace(*right)) outcome->outcomes.push_back(*test.expected);
  Failure& failure = outcome->shrunk.failure;
  failure.print.cls = static_cast<FailureClass>(json["class"].get<int>());
  failure.print.rule = json["rule"].get<std::string>();
  failure.text = json["text"].get<std::string>();
  failure.op_index = json["op"].get<uint64_t>();
  outcome->executions = json["executions"].get<uint64_t>();
  outcome->shrunk.minimal = json["minimal"].get<bool>();
  outcome->shrunk.fail_otherwise = json["otherwise"].get<uint64_t>();
  machine::Machine::Options& machine = outcome->run.machine;
  machine.schedule = static_cast<machine::Schedule>(json["schedule"].get<int>());
  machine.processors = json["processors"].get<uint32_t>();
  const auto* quirks = machine::FindQuirks(json["quirks"].get<std::string>());
  const auto* profile = machine::FindProfile(json["profile"].get<std::string>());
  // Made-up ones have no name to be found by; they were not replaced then.
  if (quirks != nullptr) machine.quirks = *quirks;
  if (profile != nullptr) machine.profile = *profile;
  const std::string decisions = json["decisions"].get<std::string>();
  if (!decisions.empty()) {
    std::optional<fake_l4::DecisionList> list = fake_l4::DecisionList::Parse(decisions);
    if (!list) return false;
    machine.decisions = std::make_shared<const fake_l4::DecisionList>(*std::move(list));
  }
  machine.policy = json["policy"].get<std::string>();
  auto swap = ParseSwap(json["swap"].get<std::string>());
  auto memory = ParseMemory(json["memory"].get<std::string>());
  if (!swap.ok() || !memory.ok()) return false;
  machine.swap = *std::move(swap);
  machine.memory = *memory;
  machine.swap_encryption = static_cast<machine::SwapEncryption>(json["encryption"].get<int>());
  outcome->run.whole_every = json["whole_every"].get<uint64_t>();
  outcome->run.machine.ram_bytes = json["ram_bytes"].get<uint64_t>();
  return true;
}

}  // namespace

RunResult RunTraceGuarded(const traces::Trace& trace, const RunOptions& options,
                          const Progress& progress, const IsolationLimits& limits) {
  const IsolatedResult isolated = RunIsolated(
      [&](Notes* notes) {
        CaseRecord record;
        const std::vector<TestOp> ops = OpsOfTrace(trace);
        uint64_t done = 0;
        record.result = RunOpsWithHook(ops, trace.files, options, [&](const Session&) {
          notes->words[0] = ++done;
          if (progress && done % 8192 == 0) progress(done);
        });
        return EncodeRecord(record);
      },
      limits);
  if (isolated.end == IsolatedResult::End::kReturned) {
    absl::StatusOr<CaseRecord> record = DecodeRecord(isolated.said);
    if (record.ok()) return record->result;
  }
  RunResult result;
  result.failure = FailureOfEnd(isolated, isolated.notes.words[0]);
  return result;
}

OpsRunner RunnerFor(const Failure& failure, const IsolationLimits& limits) {
  if (failure.print.cls == FailureClass::kNondeterminism) return RunOpsTwice;
  if (!EndedItsProcess(failure)) return RunOps;
  IsolationLimits each = limits;
  each.seconds = std::min(each.seconds, kHangSeconds);
  return [each](const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                const RunOptions& options, std::vector<TestOp>* executed,
                std::vector<traces::Outcome>* outcomes) {
    return RunOpsIsolated(ops, files, options, each, executed, outcomes);
  };
}

ShrinkOutcome ShrinkGuarded(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                            const RunOptions& options, const Failure& failure,
                            const IsolationLimits& limits) {
  if (EndedItsProcess(failure)) {
    return ShrinkRun(ops, files, options, failure, RunnerFor(failure, limits));
  }
  IsolationLimits whole = limits;
  whole.seconds = kShrinkSeconds;
  const IsolatedResult isolated = RunIsolated(
      [&](Notes*) {
        return Encode(ShrinkRun(ops, files, options, failure, RunnerFor(failure, limits)), files);
      },
      whole);
  ShrinkOutcome outcome;
  outcome.run = options;
  if (isolated.end == IsolatedResult::End::kReturned && Decode(isolated.said, files, &outcome)) {
    return outcome;
  }
  // Some smaller run did not survive.
  const OpsRunner careful = [&](const std::vector<TestOp>& list,
                                const std::vector<std::string>& names, const RunOptions& run,
                                std::vector<TestOp>* executed,
                                std::vector<traces::Outcome>* right) {
    return RunOpsIsolated(list, names, run, limits, executed, right);
  };
  return ShrinkRun(ops, files, options, failure, careful);
}

RunResult RunLikeFailure(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                         const RunOptions& options, const Failure& failure,
                         const IsolationLimits& limits) {
  if (failure.print.cls == FailureClass::kNondeterminism) {
    return RunOpsTwice(ops, files, options, nullptr, nullptr);
  }
  return RunOpsIsolated(ops, files, options, limits);
}

}  // namespace proptests
