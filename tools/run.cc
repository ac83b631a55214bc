// vmsim run: a random differential campaign.

#include "proptests/engine/run.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "machine/machine.h"
#include "proptests/engine/fault_rates.h"
#include "proptests/engine/generator.h"
#include "proptests/engine/lanes.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/options.h"
#include "tools/report.h"
#include "traces/codec.h"

namespace tools {
namespace {

using proptests::CampaignOptions;
using proptests::CampaignResult;

struct RunFlags {
  MachineFlags machine;
  uint64_t seed = 1;
  uint64_t ops = 100000;
  uint64_t case_ops = 10000;
  uint64_t first_case = 0;
  uint64_t tasks = 8;
  uint64_t pages = 64;
  uint64_t files = 2;
  std::string faults = "none";
  bool no_swarm = false;
  bool json = false;
  std::string save;
};

constexpr const char* kEpilogue =
    "Examples:\n"
    "  ./vmsim run --seed 7 --ops 1m\n"
    "  ./vmsim run --seed 7 --case 12 --ops 10k        one case of that campaign again\n"
    "  ./vmsim run --faults all --ops 1m               does anybody notice?\n"
    "  ./vmsim run --canary kept_secret_below --ops 1m   is a deliberate bug found?\n\n"
    "A campaign is a sequence of cases, each with its own mix of operations and a fresh machine.\n"
    "The same options give the same hash on every machine.\n";

void Declare(Options* options, RunFlags* flags) {
  constexpr uint64_t kAny = ~uint64_t{0};
  options->Number("seed", &flags->seed, 0, kAny, "of all randomness");
  options->Number("ops", &flags->ops, 1, uint64_t{1} << 50, "operations to draw");
  options->Number("case-ops", &flags->case_ops, 1, traces::kMaxLabel - 1, "operations in a case");
  options->Number("case", &flags->first_case, 0, kAny, "number of the first case");
  options->Number("tasks", &flags->tasks, 1, 48, "tasks alive at once, at most");
  options->Number("pages", &flags->pages, 1, 4096, "pages of a typical map");
  options->Number("files", &flags->files, 1, 64, "files that may be mapped");
  options->Text("faults", &flags->faults, "SITE[=RATE],...|all",
                "inject faults of the kernel between the operations");
  options->Switch("no-swarm", &flags->no_swarm, "the same mix of operations in every case");
  flags->machine.Declare(options);
  options->Text("o", &flags->save, "S.trace",
                "where to save the shrunk trace of a failure; else a new file here");
  options->Switch("json", &flags->json, "one JSON object on standard output");
  std::string epilogue = kEpilogue;
  size_t at = epilogue.find("kept_secret_below");
  epilogue.replace(at, std::string("kept_secret_below").size(), CanaryNames()[1]);
  epilogue += "Canaries:\n";
  for (const std::string& name : CanaryNames()) epilogue += "  " + name + "\n";
  epilogue += proptests::FaultSitesHelp();
  options->Epilogue(epilogue);
}

// Memory for the worst case: every task owns a full map, a second copy is being made, and all files
// are resident.
uint64_t DefaultFrames(const RunFlags& flags) {
  uint64_t owned = flags.tasks * flags.pages * 3;
  uint64_t of_files = flags.files * (flags.pages + 16) * 2;
  constexpr uint64_t kFewest = 1024;  // see MachineFlags::Apply
  return kFewest + owned + of_files;
}

std::string Head(const RunFlags& flags, const CampaignOptions& options) {
  return absl::StrCat(
      "seed ", flags.seed, ", ", Grouped(flags.ops), " operations in cases of ",
      Grouped(flags.case_ops), ", ", flags.tasks, " tasks, ", flags.pages, " pages, ", flags.files,
      " files, ", options.run.machine.ram_bytes / 4096, " frames, lanes ",
      proptests::LanesText(options.run.lanes),
      flags.machine.canary == "none" ? "" : absl::StrCat(", canary ", flags.machine.canary),
      flags.faults == "none" ? "" : absl::StrCat(", faults ", flags.faults),
      flags.machine.schedule == "round-robin" ? ""
                                              : absl::StrCat(", schedule ", flags.machine.schedule),
      flags.machine.processors == 1 ? "" : absl::StrCat(", processors ", flags.machine.processors),
      flags.machine.profile == "amd64-nx" ? "" : absl::StrCat(", profile ", flags.machine.profile),
      flags.machine.quirks == "manual" ? "" : absl::StrCat(", quirks ", flags.machine.quirks),
      "\n");
}

std::string CaseCommand(const RunFlags& flags, const CampaignResult& result) {
  return absl::StrCat("./vmsim run --seed ", flags.seed, " --case ", result.failing_case, " --ops ",
                      flags.case_ops,
                      flags.case_ops == 10000 ? "" : absl::StrCat(" --case-ops ", flags.case_ops),
                      " --tasks ", flags.tasks, " --pages ", flags.pages, " --files ", flags.files,
                      flags.faults == "none" ? "" : absl::StrCat(" --faults ", flags.faults),
                      flags.no_swarm ? " --no-swarm" : "", flags.machine.Repeat());
}

int Finish(const RunFlags& flags, const CampaignOptions& options, const CampaignResult& result,
           double seconds) {
  Json json;
  if (flags.json) {
    json = ResultJson(result.run, options.run, seconds);
    json["seed"] = flags.seed;
    json["cases"] = result.run.cases;
  } else {
    Print(absl::StrCat(OpsText(result.run.stats), LedgerText(result.run.ledger),
                       LanesText(options.run, result.run.stats), "  hash    ",
                       HashText(result.run.hash), "\n"));
  }
  if (!result.run.failure) {
    auto rate = static_cast<uint64_t>(static_cast<double>(result.run.stats.ops) / seconds);
    if (flags.json) {
      Print(json.dump(2) + "\n");
    } else {
      Print(absl::StrCat(Green("PASS"), " ", Grouped(result.run.stats.ops),
                         " operations executed (", Grouped(result.run.stats.skipped),
                         " named nothing) in ", result.run.cases, " cases, ",
                         absl::StrFormat("%.2f s, ", seconds), Grouped(rate), " a second\n"));
    }
    return kExitPass;
  }
  const proptests::Failure& failure = *result.run.failure;
  proptests::Generator generator(proptests::CaseOptions(options, result.failing_case));
  std::string origin = absl::StrCat("seed ", flags.seed, ", case ", result.failing_case);
  proptests::RunOptions run = proptests::CaseRunOptions(options);
  run.machine.seed = proptests::CaseMachineSeed(options, result.failing_case);
  // The trace alone does not say under which schedule it failed.
  MachineFlags repeat = flags.machine;
  if (run.machine.schedule != machine::Schedule::kRoundRobin) {
    repeat.schedule_seed = run.machine.seed;
  }
  Diagnosis diagnosis = Diagnose(proptests::OpsOfFailure(options, result), generator.files(), run,
                                 failure, {origin, flags.save, repeat.Repeat()});
  if (flags.json) {
    json["failure"] = DiagnosisJson(diagnosis);
    json["failure"]["case"] = result.failing_case;
    json["failure"]["case_command"] = CaseCommand(flags, result);
    Print(json.dump(2) + "\n");
  } else {
    Print(absl::StrCat(
        Red("FAIL"), " ", proptests::FingerprintText(failure.print), " at operation ",
        failure.op_index + 1, " of case ", result.failing_case, "\n  mix: ",
        proptests::SwarmText(proptests::CaseOptions(options, result.failing_case).swarm), "\n",
        DiagnosisText(diagnosis), "The whole case again:\n  ", CaseCommand(flags, result), "\n"));
  }
  return static_cast<int>(failure.print.cls);
}

}  // namespace

int RunCommand(const Arguments& arguments) {
  RunFlags flags;
  Options parser("run", "", "random operations on random tasks, system against model");
  Declare(&parser, &flags);
  auto operands = parser.Parse(arguments);
  if (!operands.ok()) return PrintError(operands.status());
  if (parser.help_wanted()) {
    Print(parser.HelpText());
    return kExitPass;
  }
  if (!operands->empty()) {
    return PrintError(absl::InvalidArgumentError(
        absl::StrCat("\"", operands->front(), "\" is not an option; `vmsim run` takes no files")));
  }
  CampaignOptions options;
  absl::Status status = flags.machine.Apply(DefaultFrames(flags), 64, &options.run);
  if (!status.ok()) return PrintError(status);
  absl::StatusOr<proptests::FaultRates> faults = proptests::ParseFaultRates(flags.faults);
  if (!faults.ok()) return PrintError(faults.status());
  options.faults = *faults;
  options.seed = flags.seed;
  options.ops = flags.ops;
  options.case_ops = flags.case_ops;
  options.first_case = flags.first_case;
  options.tasks = static_cast<uint32_t>(flags.tasks);
  options.pages = static_cast<uint32_t>(flags.pages);
  options.files = static_cast<uint32_t>(flags.files);
  options.swarm = !flags.no_swarm;
  ProgressLine progress("run", flags.ops);
  options.progress = [&](uint64_t done) { progress.Show(done); };
  if (!flags.json) Print(Head(flags, options));
  Stopwatch watch;
  CampaignResult result = proptests::RunCampaign(options);
  double seconds = watch.Seconds();
  progress.Clear();
  return Finish(flags, options, result, seconds);
}

}  // namespace tools
