// vmsim replay: traces through every lane.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proptests/engine/guarded_run.h"
#include "proptests/engine/hash_chain.h"
#include "proptests/engine/isolate.h"
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

struct ReplayFlags {
  MachineFlags machine;
  bool json = false;
  bool no_shrink = false;
  bool twice = false;
  uint64_t timeout = 600;
  std::string save;
};

constexpr const char* kEpilogue =
    "Examples:\n"
    "  ./vmsim replay traces/corpus/cow_fork_child_write.trace\n"
    "  ./vmsim replay --lanes model --json recorded.trace\n"
    "  ./vmsim replay --canary fork_skips_write_protect traces/corpus/*.trace\n\n"
    "The hash covers every operation and its outcome; the same trace gives the same hash on every "
    "machine.\n"
    "Bytes in recorded traces are synthesised: recordings hold addresses, not contents.\n";

constexpr const char* kSynthesised =
    "synthesised from operation and address; a trace holds no contents of a real program";

std::string Verdict(const std::string& path, const proptests::RunResult& result) {
  if (!result.failure) return absl::StrCat(Green("PASS"), " ", path, "\n");
  return absl::StrCat(Red("FAIL"), " ", path, ": ",
                      proptests::FingerprintText(result.failure->print), " at operation ",
                      result.failure->op_index + 1, "\n");
}

// Adds up every number in `from`, at any depth; of peaks the highest counts.
void AddNumbers(const Json& from, Json* to) {
  for (const auto& [name, value] : from.items()) {
    Json& sum = (*to)[name];
    if (value.is_object()) {
      AddNumbers(value, &sum);
    } else {
      const uint64_t before = sum.is_null() ? 0 : sum.get<uint64_t>();
      const auto now = value.get<uint64_t>();
      sum = name == "peak_frames" ? std::max(before, now) : before + now;
    }
  }
}

// The common keys for several files: sums, and no hash.
Json Totals(const Json& list) {
  uint64_t ops = 0;
  double seconds = 0;
  for (const Json& one : list) {
    ops += one["ops"].get<uint64_t>();
    seconds += one["seconds"].get<double>();
  }
  Json json = PlainResultJson(ops, seconds);
  for (const Json& one : list) {
    AddNumbers(one["ledger"], &json["ledger"]);
    AddNumbers(one["lanes"], &json["lanes"]);
  }
  return json;
}

proptests::RunResult Run(const traces::Trace& trace, const proptests::RunOptions& run,
                         const ReplayFlags& flags, ProgressLine* progress) {
  proptests::IsolationLimits limits;
  limits.seconds = static_cast<double>(flags.timeout);
  proptests::RunResult result = proptests::RunTraceGuarded(
      trace, run, [&](uint64_t done) { progress->Show(done); }, limits);
  if (!flags.twice || result.failure) return result;
  result.failure =
      proptests::RunOpsTwice(proptests::OpsOfTrace(trace), trace.files, run, nullptr, nullptr)
          .failure;
  return result;
}

// Replays one file. Returns its exit code; *json receives its entry.
int ReplayOne(const std::string& path, const ReplayFlags& flags, Json* json) {
  absl::StatusOr<traces::Trace> trace = traces::ReadTraceFile(path);
  if (!trace.ok()) return PrintError(trace.status());
  const ReplayPlan plan = PlanReplay(*trace);
  proptests::RunOptions run;
  absl::Status status = flags.machine.Apply(plan.frames, plan.check_every, &run);
  if (!status.ok()) return PrintError(status);
  run.machine.max_tasks = plan.max_tasks;
  if (!flags.machine.SaysMemory()) status = proptests::FollowMachineOf(*trace, &run);
  if (!status.ok())
    return PrintError(absl::InvalidArgumentError(absl::StrCat(path, ": ", status.message())));
  proptests::FollowScheduleOf(*trace, &run);
  if (proptests::LosesClients(*trace)) run.machine.losses = machine::Losses::kAreReported;
  ProgressLine progress(path, trace->lines.size());
  Stopwatch watch;
  const proptests::RunResult result = Run(*trace, run, flags, &progress);
  double seconds = watch.Seconds();
  progress.Clear();
  *json = ResultJson(result, run, seconds);
  (*json)["file"] = path;
  (*json)["bytes_synthesised"] = true;
  if (!flags.json) {
    Print(absl::StrCat(
        path, ": ", Grouped(result.stats.ops), " operations",
        result.stats.skipped == 0 ? ""
                                  : absl::StrCat(", ", Grouped(result.stats.skipped), " skipped"),
        absl::StrFormat(", %.2f s", seconds), "\n", OpsText(result.stats),
        LedgerText(result.ledger), LanesText(run, result.stats), "  bytes   ", kSynthesised,
        "\n  hash    ", HashText(result.hash), "\n", Verdict(path, result)));
  }
  if (!result.failure) return kExitPass;
  if (!flags.no_shrink) {
    Diagnosis diagnosis = Diagnose(proptests::OpsOfTrace(*trace), trace->files, run,
                                   *result.failure, {path, flags.save, flags.machine});
    if (flags.json) {
      (*json)["failure"] = DiagnosisJson(diagnosis);
    } else {
      Print(DiagnosisText(diagnosis));
    }
  } else if (flags.json) {
    (*json)["failure"]["text"] = result.failure->text;
  } else {
    Print(absl::StrCat("\n", result.failure->text, "\n"));
  }
  return static_cast<int>(result.failure->print.cls);
}

}  // namespace

int ReplayCommand(const Arguments& arguments) {
  ReplayFlags flags;
  Options options("replay", "T.trace...",
                  "runs traces through every lane, compares, and says what they cost");
  flags.machine.Declare(&options);
  options.Switch("no-shrink", &flags.no_shrink,
                 "report a failure as it is met, without making it small");
  options.Switch("twice", &flags.twice,
                 "run each a second time, with other checks, and compare at each operation");
  options.Number("timeout", &flags.timeout, 1, 86400, "seconds that a trace may take");
  options.Text("o", &flags.save, "S.trace",
               "where to save the shrunk trace of a failure; else a new file here");
  options.Switch("json", &flags.json, "one JSON object on standard output");
  options.Epilogue(std::string(kEpilogue) + "\n" + MachineFlags::SwapHelp());
  std::vector<std::string> files;
  if (auto end = ParseOrEnd(&options, arguments, &files)) return *end;
  if (files.empty()) {
    return PrintError(absl::InvalidArgumentError("no trace given; see vmsim replay --help"));
  }
  int worst = kExitPass;
  uint64_t passed = 0;
  Json list = Json::array();
  for (const std::string& path : files) {
    Json json;
    int code = ReplayOne(path, flags, &json);
    if (code == kExitUsage) return code;
    passed += code == kExitPass ? 1 : 0;
    if (worst == kExitPass) worst = code;
    list.push_back(std::move(json));
  }
  if (flags.json) {
    Json json = list.size() == 1 ? list[0] : Totals(list);
    if (list.size() != 1) {
      json["result"] =
          worst == kExitPass
              ? "pass"
              : proptests::FailureClassName(static_cast<proptests::FailureClass>(worst));
      json["passed"] = passed;
      json["files"] = list;
    }
    Print(json.dump(2) + "\n");
  } else if (files.size() > 1) {
    Print(absl::StrCat(passed == files.size() ? Green("PASS") : Red("FAIL"), " ", passed, " of ",
                       files.size(), " traces agree in every lane\n"));
  }
  return worst;
}

}  // namespace tools
