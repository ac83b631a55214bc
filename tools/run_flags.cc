#include "tools/run_flags.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "proptests/engine/fault_rates.h"
#include "proptests/engine/lanes.h"
#include "tools/console.h"
#include "tools/process.h"
#include "traces/codec.h"
#include "traces/op.h"

namespace tools {
namespace {

using proptests::CampaignOptions;

constexpr const char* kEpilogue =
    "Examples:\n"
    "  ./vmsim run --seed 7 --ops 1m\n"
    "  ./vmsim run --seed 7 --case 12 --ops 10k        one case of that campaign again\n"
    "  ./vmsim run --faults all --ops 1m               does anybody notice?\n"
    "  ./vmsim run --faults unlimited --ops 1m         who is lost, is lost alone\n"
    "  ./vmsim run --jobs $(nproc) --ops 100m          the same result, sooner\n"
    "  ./vmsim run --findings found --ops 100m         keep what is found, go on\n"
    "  ./vmsim run --resume found                      go on where that was interrupted\n"
    "  ./vmsim run --swarm --liveness --ops 10m        other machines, and all must end well\n"
    "  ./vmsim run --frames 128 --swap 4096 --mix proptests/mixes/pressure.mix   scarce memory\n"
    "  ./vmsim run --frames 256 --swap 1024,file:2048@200us,driver:512#3 --swap-encrypt toggled\n"
    "  ./vmsim run --pmap forgetful --ops 1m    mappings vanish, and stay too long\n"
    "  ./vmsim run --memory colours=8,buckets=2,lists=3,caches,events=64   frames come and go\n"
    "  ./vmsim run --shard 0/4 --ops 100m --json >0.json   a quarter of that campaign\n"
    "  ./vmsim run --canary kept_secret_below --ops 1m   is a deliberate bug found?\n\n"
    "A campaign is a sequence of cases, each with its own mix of operations and a fresh machine.\n"
    "The same options give the same hash on every machine, whatever --jobs is. Cases run in "
    "worker\n"
    "processes: one that crashes or hangs is a failure like any other. One case in 32 runs a "
    "second\n"
    "time, with other checks, and must do and cost the same at each operation (--recheck).\n"
    "An interrupt (^C) prints what was done so far, ends with exit code 130 and says how to go "
    "on.\n\n"
    "With --findings a failure is made small, kept in DIR, and the campaign goes on; failures of "
    "the\n"
    "same class, rule and place are one finding. What DIR holds already is replayed first.\n"
    "`vmsim findings DIR` lists it; `vmsim merge` joins the results of shards.\n\n";

// Memory for the worst case: every task owns a full map, a second copy is being made, and all files
// are resident.
uint64_t DefaultFrames(const RunFlags& flags) {
  uint64_t owned = flags.tasks * flags.pages * 3;
  uint64_t of_files = flags.files * (flags.pages + 16) * 2;
  constexpr uint64_t kFewest = 1024;  // see MachineFlags::Apply
  return kFewest + owned + of_files;
}

}  // namespace

void DeclareRunFlags(Options* options, RunFlags* flags) {
  constexpr uint64_t kAny = ~uint64_t{0};
  options->Number("seed", &flags->seed, 0, kAny, "of all randomness");
  options->Number("ops", &flags->ops, 1, uint64_t{1} << 50, "operations to draw");
  options->Number("case-ops", &flags->case_ops, 1, traces::kMaxLabel - 1, "operations in a case");
  options->Number("case", &flags->first_case, 0, kAny, "number of the first case");
  options->Number("tasks", &flags->tasks, 1, 48, "tasks alive at once, at most");
  options->Number("pages", &flags->pages, 1, 4096, "pages of a typical map");
  options->Number("files", &flags->files, 1, 64, "files that may be mapped");
  options->Number("threads", &flags->threads, 1, traces::kMaxThreads, "threads of a task, at most");
  options->Text("faults", &flags->faults, "SITE[=RATE],...|all|unlimited",
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
  options->Text("mix", &flags->mix, "FILE",
                "what is drawn how often, and sizes; see proptests/mixes/standard.mix");
  options->Switch("swarm", &flags->swarm,
                  "a machine of its own for each case: memory, hardware, kernel, ... unless given");
  options->Switch("liveness", &flags->liveness,
                  "each case ends with a phase in which nothing fails and all must converge");
  options->Text("findings", &flags->findings, "DIR",
                "keep what is found in DIR and go on; replay first what is there");
  options->Text("resume", &flags->resume, "DIR",
                "go on with the interrupted campaign that DIR remembers");
  options->Text("shard", &flags->shard, "I/N", "only the cases whose number is I modulo N");
  options->Switch("verbose", &flags->verbose,
                  "before each case what was drawn for it; then how it went, its hash");
  options->Switch(
      "probes", &flags->probes,
      "how often each rare branch and each case of a fault was met, and which operations "
      "never came one after the other on one object");
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
  epilogue += MachineFlags::SwapHelp();
  options->Epilogue(epilogue);
}

absl::StatusOr<Shard> ParseShard(const std::string& text) {
  Shard shard;
  if (text.empty()) return shard;
  const size_t slash = text.find('/');
  if (slash == std::string::npos || !ParseNumber(text.substr(0, slash), &shard.index) ||
      !ParseNumber(text.substr(slash + 1), &shard.count) || shard.index >= shard.count) {
    return absl::InvalidArgumentError(
        absl::StrCat("--shard wants I/N with I less than N, such as 0/4, not \"", text, "\""));
  }
  return shard;
}

absl::Status Settle(const Options& options, RunFlags* flags, proptests::Mix* mix) {
  proptests::MachinePins& pins = flags->pins;
  pins.memory = options.Given("frames");
  pins.swap = options.Given("swap");
  pins.encryption = options.Given("swap-encrypt");
  pins.keeping = options.Given("memory");
  pins.hardware = options.Given("profile");
  pins.kernel = options.Given("quirks");
  pins.pmap = options.Given("pmap");
  pins.processors = options.Given("processors");
  pins.schedule = options.Given("schedule");
  pins.faults = options.Given("faults");
  *mix = proptests::StandardMixFile();
  if (!flags->mix.empty()) {
    absl::StatusOr<std::string> text = ReadWhole(flags->mix);
    if (!text.ok()) return text.status();
    absl::StatusOr<proptests::Mix> parsed = proptests::ParseMix(*text, flags->mix);
    if (!parsed.ok()) return parsed.status();
    *mix = *parsed;
  }
  if (!options.Given("tasks")) flags->tasks = mix->tasks;
  if (!options.Given("pages")) flags->pages = mix->pages;
  if (!options.Given("files")) flags->files = mix->files;
  if (!options.Given("threads")) flags->threads = mix->threads;
  pins.threads = options.Given("threads") || flags->threads != 1;
  return absl::OkStatus();
}

absl::StatusOr<CampaignOptions> CampaignOf(const RunFlags& flags, const proptests::Mix& mix) {
  CampaignOptions options;
  const absl::Status status = flags.machine.Apply(DefaultFrames(flags), 64, &options.run);
  if (!status.ok()) return status;
  // What describes the frames, and the campaign itself, take some of it as well.
  const uint64_t most = flags.megabytes << 20;
  if (most != 0 && options.run.machine.ram_bytes > most / 8 * 7) {
    return absl::InvalidArgumentError(
        absl::StrCat("--frames ", options.run.machine.ram_bytes / base::kPageSize,
                     " is too much for --megabytes ", flags.megabytes));
  }
  absl::StatusOr<proptests::FaultRates> faults = proptests::ParseFaultRates(flags.faults);
  if (!faults.ok()) return faults.status();
  options.faults = *faults;
  options.seed = flags.seed;
  options.ops = flags.ops;
  options.case_ops = flags.case_ops;
  options.first_case = flags.first_case;
  options.tasks = static_cast<uint32_t>(flags.tasks);
  options.pages = static_cast<uint32_t>(flags.pages);
  options.files = static_cast<uint32_t>(flags.files);
  options.threads = static_cast<uint32_t>(flags.threads);
  options.swarm = !flags.no_swarm;
  options.mix = mix.weights;
  options.machine_swarm = flags.swarm;
  options.pins = flags.pins;
  options.liveness = flags.liveness;
  options.run.count_pairs = flags.probes;
  return options;
}

std::string CampaignText(const RunFlags& flags, const CampaignOptions& options) {
  return absl::StrCat(
      "seed ", flags.seed, ", ", Grouped(flags.ops), " operations in cases of ",
      Grouped(flags.case_ops), ", ", flags.tasks, " tasks, ", flags.pages, " pages, ", flags.files,
      " files, ", flags.threads == 1 ? "" : absl::StrCat(flags.threads, " threads, "),
      options.run.machine.ram_bytes / base::kPageSize, " frames, lanes ",
      proptests::LanesText(options.run.lanes),
      flags.machine.canary == "none" ? "" : absl::StrCat(", canary ", flags.machine.canary),
      flags.mix.empty() ? "" : absl::StrCat(", mix ", flags.mix),
      flags.no_swarm ? ", no swarm" : "", flags.swarm ? ", a machine for each case" : "",
      flags.liveness ? ", liveness" : "",
      flags.machine.swap.empty()
          ? ""
          : absl::StrCat(", swap ", flags.machine.swap, " latency ", flags.machine.swap_latency,
                         " policy ", flags.machine.policy),
      flags.machine.swap_encrypt == "off"
          ? ""
          : absl::StrCat(", swap encryption ", flags.machine.swap_encrypt),
      flags.machine.memory.empty() ? "" : absl::StrCat(", memory ", flags.machine.memory),
      flags.faults == "none" ? "" : absl::StrCat(", faults ", flags.faults),
      flags.machine.schedule == "round-robin" ? ""
                                              : absl::StrCat(", schedule ", flags.machine.schedule),
      flags.machine.processors == 1 ? "" : absl::StrCat(", processors ", flags.machine.processors),
      flags.machine.profile == "amd64-nx" ? "" : absl::StrCat(", profile ", flags.machine.profile),
      flags.machine.quirks == "manual" ? "" : absl::StrCat(", quirks ", flags.machine.quirks),
      flags.machine.pmap == "plain" ? "" : absl::StrCat(", pmap ", flags.machine.pmap));
}

namespace {

// What was given although it is the default: Repeat leaves it out.
std::string PinsText(const RunFlags& flags) {
  std::string text;
  const MachineFlags plain;
  const auto pin = [&](bool pinned, bool is_default, const std::string& words) {
    if (pinned && is_default) absl::StrAppend(&text, words);
  };
  const MachineFlags& machine = flags.machine;
  pin(flags.pins.memory, machine.frames == plain.frames, " --frames 0");
  pin(flags.pins.swap, machine.swap.empty(), " --swap \"\"");
  pin(flags.pins.encryption, machine.swap_encrypt == plain.swap_encrypt, " --swap-encrypt off");
  pin(flags.pins.keeping, machine.memory.empty(), " --memory \"\"");
  pin(flags.pins.hardware, machine.profile == plain.profile, " --profile " + plain.profile);
  pin(flags.pins.kernel, machine.quirks == plain.quirks, " --quirks " + plain.quirks);
  pin(flags.pins.pmap, machine.pmap == plain.pmap, " --pmap plain");
  pin(flags.pins.processors, machine.processors == plain.processors, " --processors 1");
  pin(flags.pins.schedule, machine.schedule == plain.schedule, " --schedule " + plain.schedule);
  pin(flags.pins.faults, flags.faults == "none", " --faults none");
  pin(flags.pins.threads, flags.threads == 1, " --threads 1");
  return text;
}

}  // namespace

std::string CaseCommand(const RunFlags& flags, uint64_t failing_case) {
  return absl::StrCat("./vmsim run --seed ", flags.seed, " --case ", failing_case, " --ops ",
                      flags.case_ops,
                      flags.case_ops == 10000 ? "" : absl::StrCat(" --case-ops ", flags.case_ops),
                      " --tasks ", flags.tasks, " --pages ", flags.pages, " --files ", flags.files,
                      flags.threads == 1 ? "" : absl::StrCat(" --threads ", flags.threads),
                      flags.faults == "none" ? "" : absl::StrCat(" --faults ", flags.faults),
                      flags.mix.empty() ? "" : absl::StrCat(" --mix ", flags.mix),
                      flags.no_swarm ? " --no-swarm" : "", flags.swarm ? " --swarm" : "",
                      flags.swarm ? PinsText(flags) : "", flags.liveness ? " --liveness" : "",
                      flags.machine.Repeat());
}

}  // namespace tools
