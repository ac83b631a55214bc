#include "tools/known_failures.h"

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proptests/engine/guarded_run.h"
#include "proptests/engine/run.h"
#include "tools/console.h"
#include "tools/options.h"
#include "tools/replay_plan.h"
#include "traces/codec.h"

namespace tools {
namespace {

using proptests::KnownFailure;

// The run that `vmsim replay FLAGS TRACE` makes of it.
absl::StatusOr<proptests::RunResult> Replay(const proptests::Findings& findings,
                                            const KnownFailure& known) {
  absl::StatusOr<traces::Trace> trace = traces::ReadTraceFile(findings.PathOf(known));
  if (!trace.ok()) return trace.status();
  MachineFlags flags;
  Options parser("replay", "", "");
  bool twice = false;  // RunLikeFailure knows
  flags.Declare(&parser);
  parser.Switch("twice", &twice, "");
  const auto operands = parser.Parse(absl::StrSplit(known.flags, ' ', absl::SkipEmpty()));
  if (!operands.ok()) return operands.status();
  const ReplayPlan plan = PlanReplay(*trace);
  proptests::RunOptions run;
  const absl::Status status = flags.Apply(plan.frames, plan.check_every, &run);
  if (!status.ok()) return status;
  run.machine.max_tasks = plan.max_tasks;
  proptests::FollowScheduleOf(*trace, &run);
  if (proptests::LosesClients(*trace)) run.machine.losses = machine::Losses::kAreReported;
  proptests::Failure like;
  like.print = known.print;
  return proptests::RunLikeFailure(proptests::OpsOfTrace(*trace), trace->files, run, like, {});
}

}  // namespace

KnownFailure KnownFailureOf(const Diagnosis& diagnosis) {
  KnownFailure known;
  known.print = diagnosis.report.failure.print;
  known.place = proptests::PlaceOf(diagnosis.report);
  known.text = diagnosis.report.failure.text;
  known.trace = std::filesystem::path(diagnosis.path).filename().string();
  known.flags = diagnosis.flags;
  known.origin = diagnosis.report.origin;
  known.ops = diagnosis.report.ops.size();
  return known;
}

proptests::FailureClass ReplayKnownFailures(proptests::Findings* findings, Reporting reporting) {
  proptests::FailureClass first = proptests::FailureClass::kNone;
  absl::StatusOr<std::vector<KnownFailure>> list = findings->List();
  if (!list.ok()) {
    PrintError(list.status());
    return first;
  }
  for (const KnownFailure& known : *list) {
    absl::StatusOr<proptests::RunResult> result = Replay(*findings, known);
    if (!result.ok()) {
      PrintError(result.status());
      continue;
    }
    const bool fails = result->failure.has_value();
    if (fails && first == proptests::FailureClass::kNone) first = result->failure->print.cls;
    const absl::Status noted =
        findings->SetReplayed(known, fails ? proptests::Findings::Replayed::kFails
                                           : proptests::Findings::Replayed::kPasses);
    if (!noted.ok()) PrintError(noted);
    if (reporting == Reporting::kQuiet) continue;
    Print(absl::StrCat(fails ? Red("STILL") : Green("FIXED"), " ", findings->PathOf(known), ": ",
                       proptests::FingerprintText(fails ? result->failure->print : known.print),
                       "\n"));
  }
  return first;
}

}  // namespace tools
