// vmsim shrink: the smallest trace with the same failure.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proptests/engine/guarded_run.h"
#include "proptests/engine/machine_text.h"
#include "proptests/engine/run.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/options.h"
#include "tools/replay_plan.h"
#include "tools/report.h"
#include "traces/codec.h"

namespace tools {
namespace {

constexpr const char* kEpilogue =
    "Example:\n"
    "  ./vmsim shrink --canary stale_after_protect long.trace -o short.trace\n\n"
    "Exit code 0: the small trace was written. 1: there was nothing to shrink, since the trace "
    "passes.\n";

}  // namespace

int ShrinkCommand(const Arguments& arguments) {
  MachineFlags flags;
  std::string out;
  bool json_wanted = false;
  Options options("shrink", "T.trace -o S.trace",
                  "finds the smallest trace that fails for the same reason");
  flags.Declare(&options);
  options.Text("o", &out, "S.trace", "where to write the small trace");
  options.Switch("json", &json_wanted, "one JSON object on standard output");
  options.Epilogue(kEpilogue);
  std::vector<std::string> files;
  if (auto end = ParseOrEnd(&options, arguments, &files)) return *end;
  if (files.size() != 1 || out.empty()) {
    return PrintError(
        absl::InvalidArgumentError("one trace and -o S.trace are wanted; see vmsim shrink --help"));
  }
  absl::Status target = traces::CheckTraceTarget(out);
  if (!target.ok()) return PrintError(target);
  absl::StatusOr<traces::Trace> trace = traces::ReadTraceFile(files.front());
  if (!trace.ok()) return PrintError(trace.status());
  const ReplayPlan plan = PlanReplay(*trace);
  proptests::RunOptions run;
  absl::Status status = flags.Apply(plan.frames, plan.check_every, &run);
  if (status.ok() && !flags.SaysMemory()) status = proptests::FollowMachineOf(*trace, &run);
  if (!status.ok()) return PrintError(status);
  run.machine.max_tasks = plan.max_tasks;
  proptests::FollowScheduleOf(*trace, &run);
  if (proptests::LosesClients(*trace)) run.machine.losses = machine::Losses::kAreReported;
  const Stopwatch watch;
  const proptests::RunResult result = proptests::RunTraceGuarded(*trace, run, nullptr, {});
  if (!result.failure) {
    return PrintError(absl::FailedPreconditionError(
        absl::StrCat(files.front(), " passes in every lane, so there is no failure to shrink")));
  }
  Diagnosis diagnosis = Diagnose(proptests::OpsOfTrace(*trace), trace->files, run, *result.failure,
                                 {files.front(), out, flags});
  if (diagnosis.path.empty()) {
    return PrintError(absl::PermissionDeniedError(absl::StrCat(out, " cannot be written")));
  }
  if (json_wanted) {
    Json json = ResultJson(result, run, watch.Seconds());
    json["result"] = proptests::FailureClassName(diagnosis.report.failure.print.cls);
    json["failure"] = DiagnosisJson(diagnosis);
    Print(json.dump(2) + "\n");
  } else {
    Print(absl::StrCat(files.front(), ": ", proptests::FingerprintText(result.failure->print),
                       " at operation ", result.failure->op_index + 1, "\n",
                       DiagnosisText(diagnosis)));
  }
  return kExitPass;
}

}  // namespace tools
