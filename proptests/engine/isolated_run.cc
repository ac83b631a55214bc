#include "proptests/engine/isolated_run.h"

#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proptests/engine/session.h"

namespace proptests {
namespace {

// What a child says: nothing, or class, place, rule and text, one a line, the text last.
std::string Encode(const std::optional<Failure>& failure) {
  if (!failure) return "";
  return absl::StrCat(static_cast<int>(failure->print.cls), "\n", failure->op_index, "\n",
                      failure->print.rule, "\n", failure->text);
}

std::optional<Failure> Decode(const std::string& said) {
  if (said.empty()) return std::nullopt;
  const std::vector<std::string> fields = absl::StrSplit(said, absl::MaxSplits('\n', 3));
  Failure failure;
  int cls = 0;
  if (fields.size() < 4 || !absl::SimpleAtoi(fields[0], &cls) ||
      !absl::SimpleAtoi(fields[1], &failure.op_index)) {
    return Failure{{FailureClass::kCrash, "SaysWhatFailed"}, said, 0};
  }
  failure.print.cls = static_cast<FailureClass>(cls);
  failure.print.rule = fields[2];
  failure.text = fields[3];
  return failure;
}

}  // namespace

Failure FailureOfEnd(const IsolatedResult& result, uint64_t op_index) {
  Failure failure;
  failure.op_index = op_index;
  if (result.end == IsolatedResult::End::kTimeout) {
    failure.print = {FailureClass::kTimeout, "EveryRunEnds"};
    failure.text = absl::StrCat("killed after ", static_cast<int>(result.seconds), " s");
  } else if (result.end == IsolatedResult::End::kSignal) {
    failure.print = {FailureClass::kCrash, absl::StrCat("NoSignal(", result.code, ")")};
    failure.text = absl::StrCat("ended by signal ", result.code, " (", strsignal(result.code), ")");
  } else {
    failure.print = {FailureClass::kCrash, absl::StrCat("NoExit(", result.code, ")")};
    failure.text = absl::StrCat("the process ended itself with status ", result.code);
  }
  return failure;
}

RunResult RunOpsIsolated(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                         const RunOptions& options, const IsolationLimits& limits,
                         std::vector<TestOp>* executed, std::vector<traces::Outcome>* outcomes) {
  const auto work = [&](Notes* notes) {
    Session session(options, &files);
    bool going = true;
    for (size_t i = 0; going && i < ops.size(); ++i) {
      notes->words[0] = i;
      going = session.Step(ops[i].op, ops[i].expected ? &*ops[i].expected : nullptr);
    }
    if (going) notes->words[0] = ops.size();
    session.Finish();
    return Encode(session.failure());
  };
  const IsolatedResult isolated = RunIsolated(work, limits);
  RunResult result;
  if (isolated.end == IsolatedResult::End::kReturned) {
    result.failure = Decode(isolated.said);
  } else {
    result.failure = FailureOfEnd(isolated, isolated.notes.words[0]);
  }
  if (executed != nullptr || outcomes != nullptr) {
    RunOptions model = options;
    model.lanes = {Lane::kModel};
    RunOps(ops, files, model, executed, outcomes);
  }
  return result;
}

}  // namespace proptests
