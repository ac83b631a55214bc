// vmsim run: a random differential campaign.

#include "proptests/engine/run.h"

#include <algorithm>
#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "machine/machine.h"
#include "proptests/engine/fault_rates.h"
#include "proptests/engine/generator.h"
#include "proptests/engine/hash_chain.h"
#include "proptests/engine/lanes.h"
#include "proptests/engine/probes.h"
#include "proptests/engine/summary.h"
#include "proptests/engine/workers.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/options.h"
#include "tools/process.h"
#include "tools/report.h"
#include "traces/codec.h"

namespace tools {
namespace {

using proptests::CampaignOptions;
using proptests::CaseRecord;
using proptests::Summary;

// As shells report what SIGINT ended.
constexpr int kExitInterrupted = 130;

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
  uint64_t jobs = 1;
  uint64_t timeout = 60;
  uint64_t megabytes = 8192;
  uint64_t recheck = 32;
  std::string chain;
  bool verbose = false;
  bool probes = false;
  bool no_swarm = false;
  bool json = false;
  std::string save;
};

constexpr const char* kEpilogue =
    "Examples:\n"
    "  ./vmsim run --seed 7 --ops 1m\n"
    "  ./vmsim run --seed 7 --case 12 --ops 10k        one case of that campaign again\n"
    "  ./vmsim run --faults all --ops 1m               does anybody notice?\n"
    "  ./vmsim run --jobs $(nproc) --ops 100m          the same result, sooner\n"
    "  ./vmsim run --canary kept_secret_below --ops 1m   is a deliberate bug found?\n\n"
    "A campaign is a sequence of cases, each with its own mix of operations and a fresh machine.\n"
    "The same options give the same hash on every machine, whatever --jobs is. Cases run in "
    "worker\n"
    "processes: one that crashes or hangs is a failure like any other. One case in 32 runs a "
    "second\n"
    "time, with other checks, and must do and cost the same at each operation (--recheck).\n"
    "An interrupt (^C) prints what was done so far and ends with exit code 130.\n\n";

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
  options->Number("jobs", &flags->jobs, 0, 1024,
                  "worker processes; 0 = none, for debuggers and profilers");
  options->Number("timeout", &flags->timeout, 1, 86400, "seconds that a case may take");
  options->Number("megabytes", &flags->megabytes, 0, uint64_t{1} << 30,
                  "address space that a worker may have; 0 = no limit");
  options->Number("recheck", &flags->recheck, 0, kAny,
                  "run one case in N a second time, with other checks, and compare; 0 = none");
  options->Text("chain", &flags->chain, "FILE",
                "write what each operation did and cost, for vmsim diff");
  options->Switch("verbose", &flags->verbose, "a line for each case: its mix, its hash");
  options->Switch("probes", &flags->probes, "how often each rare branch and fault case was met");
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

std::string CaseCommand(const RunFlags& flags, uint64_t failing_case) {
  return absl::StrCat("./vmsim run --seed ", flags.seed, " --case ", failing_case, " --ops ",
                      flags.case_ops,
                      flags.case_ops == 10000 ? "" : absl::StrCat(" --case-ops ", flags.case_ops),
                      " --tasks ", flags.tasks, " --pages ", flags.pages, " --files ", flags.files,
                      flags.faults == "none" ? "" : absl::StrCat(" --faults ", flags.faults),
                      flags.no_swarm ? " --no-swarm" : "", flags.machine.Repeat());
}

volatile std::sig_atomic_t interrupted = 0;

// From now on an interrupt asks for the summary; the second one ends the program at once.
void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
}

// What a campaign came to.
struct Outcome {
  Summary summary;
  std::optional<CaseRecord> failing;
  bool interrupted = false;
  double seconds = 0;
};

// Of kinds of operation and cases of faults, how many were met.
std::string CoverageText(const Summary& summary) {
  uint64_t kinds = 0;
  for (int i = 0; i < traces::kProgramKindCount; ++i) {
    kinds += summary.stats.by_kind[static_cast<size_t>(i)] != 0 ? 1 : 0;
  }
  const auto rows = static_cast<uint64_t>(
      std::count_if(summary.ledger.begin(), summary.ledger.end(),
                    [](const proptests::LedgerRow& row) { return row.value != 0; }));
  return absl::StrCat(", ", kinds, " of ", traces::kProgramKindCount, " kinds, ", rows, " of ",
                      summary.ledger.size(), " costs");
}

std::string CaseLine(const CampaignOptions& options, const CaseRecord& record) {
  return absl::StrCat(
      "case ", record.number, ": ",
      record.result.failure ? proptests::FingerprintText(record.result.failure->print) : "pass",
      ", ", record.result.stats.ops, " operations, hash ", HashText(record.result.hash),
      record.rechecked ? ", run twice" : "",
      "\n  mix: ", proptests::SwarmText(proptests::CaseOptions(options, record.number).swarm),
      "\n");
}

Outcome RunTheCases(const RunFlags& flags, const CampaignOptions& options) {
  Outcome outcome;
  proptests::WorkerOptions how;
  how.jobs = static_cast<uint32_t>(flags.jobs);
  how.limits.seconds = static_cast<double>(flags.timeout);
  how.limits.bytes = flags.megabytes << 20;
  how.recheck_one_in = flags.recheck;
  ProgressLine progress("run", flags.ops);
  uint64_t next = options.first_case;
  uint64_t given = 0;
  proptests::CampaignHooks hooks;
  hooks.next = [&]() -> std::optional<proptests::CaseTask> {
    if (given >= options.ops) return std::nullopt;
    const proptests::CaseTask task{next++, std::min(options.case_ops, options.ops - given)};
    given += task.count;
    return task;
  };
  hooks.done = [&](const CaseRecord& record) {
    outcome.summary.Add(record);
    if (flags.verbose && !flags.json) Print(CaseLine(options, record));
    if (record.result.failure) outcome.failing = record;
    return !record.result.failure && interrupted == 0;
  };
  hooks.tick = [&](const proptests::CampaignProgress& at) {
    progress.Show(at.ops, CoverageText(outcome.summary));
    return interrupted == 0;
  };
  const Stopwatch watch;
  CatchInterrupts();
  proptests::RunCases(options, how, hooks);
  std::signal(SIGINT, SIG_DFL);
  outcome.seconds = watch.Seconds();
  outcome.interrupted = interrupted != 0 && !outcome.failing;
  progress.Clear();
  return outcome;
}

proptests::RunResult ResultOf(const Outcome& outcome) {
  proptests::RunResult result;
  result.stats = outcome.summary.stats;
  result.ledger = outcome.summary.ledger;
  result.hash = outcome.summary.hash;
  result.cases = outcome.summary.cases;
  if (outcome.failing) result.failure = outcome.failing->result.failure;
  return result;
}

std::string ShapeText(const proptests::Shape& shape) {
  if (shape.samples == 0) return "";
  const auto mean = [&](uint64_t sum) {
    return static_cast<double>(sum) / static_cast<double>(shape.samples);
  };
  return absl::StrFormat("  mean    %.1f tasks alive, %.0f pages mapped, %.0f with contents\n",
                         mean(shape.tasks), mean(shape.mapped_pages), mean(shape.live_pages));
}

Diagnosis DiagnoseCase(const RunFlags& flags, const CampaignOptions& options,
                       const CaseRecord& record) {
  const proptests::Failure& failure = *record.result.failure;
  proptests::Generator generator(proptests::CaseOptions(options, record.number));
  proptests::RunOptions run = proptests::CaseRunOptions(options, record.number);
  // The trace alone does not say under which schedule it failed.
  MachineFlags repeat = flags.machine;
  if (run.machine.schedule != machine::Schedule::kRoundRobin) {
    repeat.schedule_seed = run.machine.seed;
  }
  proptests::CampaignResult result;
  result.run.failure = failure;
  result.failing_case = record.number;
  DiagnosisOptions how{absl::StrCat("seed ", flags.seed, ", case ", record.number), flags.save,
                       repeat.Repeat()};
  how.limits.seconds = static_cast<double>(flags.timeout);
  how.limits.bytes = flags.megabytes << 20;
  how.guarded = flags.jobs != 0;
  return Diagnose(proptests::OpsOfFailure(options, result), generator.files(), run, failure, how);
}

void PrintPass(const Outcome& outcome, const std::string& verdict) {
  const proptests::RunStats& stats = outcome.summary.stats;
  const auto rate = static_cast<uint64_t>(static_cast<double>(stats.ops) / outcome.seconds);
  Print(absl::StrCat(verdict, " ", Grouped(stats.ops), " operations executed (",
                     Grouped(stats.skipped), " named nothing) in ", outcome.summary.cases,
                     " cases, ", absl::StrFormat("%.2f s, ", outcome.seconds), Grouped(rate),
                     " a second\n"));
}

int Finish(const RunFlags& flags, const CampaignOptions& options, const Outcome& outcome) {
  const proptests::RunResult result = ResultOf(outcome);
  Json json;
  if (flags.json) {
    json = ResultJson(result, options.run, outcome.seconds);
    json["seed"] = flags.seed;
    json["cases"] = result.cases;
    json["rechecked"] = outcome.summary.rechecked;
    json["summary"] = proptests::SummaryJson(outcome.summary);
    if (outcome.interrupted) json["result"] = "interrupted";
  } else {
    Print(absl::StrCat(
        OpsText(result.stats), LedgerText(result.ledger), LanesText(options.run, result.stats),
        ShapeText(outcome.summary.shape),
        proptests::ProbesText(
            result.stats, flags.probes ? proptests::EachProbe::kYes : proptests::EachProbe::kNo),
        "  twice   ", outcome.summary.rechecked,
        " cases ran twice, with other checks, and did the same\n  hash    ", HashText(result.hash),
        "\n"));
  }
  if (!outcome.failing) {
    if (flags.json) {
      Print(json.dump(2) + "\n");
    } else {
      PrintPass(outcome, outcome.interrupted ? Red("INTERRUPTED") : Green("PASS"));
    }
    return outcome.interrupted ? kExitInterrupted : kExitPass;
  }
  const proptests::Failure& failure = *result.failure;
  const uint64_t number = outcome.failing->number;
  const Diagnosis diagnosis = DiagnoseCase(flags, options, *outcome.failing);
  if (flags.json) {
    json["failure"] = DiagnosisJson(diagnosis);
    json["failure"]["case"] = number;
    json["failure"]["case_command"] = CaseCommand(flags, number);
    Print(json.dump(2) + "\n");
  } else {
    Print(absl::StrCat(
        Red("FAIL"), " ", proptests::FingerprintText(failure.print), " at operation ",
        failure.op_index + 1, " of case ", number,
        "\n  mix: ", proptests::SwarmText(proptests::CaseOptions(options, number).swarm), "\n",
        DiagnosisText(diagnosis), "The whole case again:\n  ", CaseCommand(flags, number), "\n"));
  }
  return static_cast<int>(failure.print.cls);
}

// Runs every case in this process and writes its chain.
absl::Status WriteChain(const RunFlags& flags, const CampaignOptions& options) {
  std::string text = absl::StrCat("# CASE INDEX OUTCOMES COSTS OPERATION of seed ", flags.seed,
                                  ", ", flags.ops, " operations\n");
  uint64_t done = 0;
  for (uint64_t number = options.first_case; done < options.ops; ++number) {
    const uint64_t count = std::min(options.case_ops, options.ops - done);
    uint64_t index = 0;
    proptests::RunCase(options, number, count, [&](const proptests::Session& session) {
      proptests::AppendChainLine(number, index++, session, &text);
    });
    done += count;
  }
  return WriteWhole(flags.chain, text);
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
  if (!flags.chain.empty()) {
    status = WriteChain(flags, options);
    return status.ok() ? kExitPass : PrintError(status);
  }
  if (!flags.json) Print(Head(flags, options));
  return Finish(flags, options, RunTheCases(flags, options));
}

}  // namespace tools
