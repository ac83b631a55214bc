#include "tools/report.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/addr.h"
#include "base/canary.h"
#include "proptests/engine/diagram.h"
#include "proptests/engine/guarded_run.h"
#include "proptests/engine/lanes.h"
#include "proptests/engine/machine_text.h"
#include "tools/console.h"
#include "traces/codec.h"

namespace tools {
namespace {

using proptests::RunOptions;

struct CanaryName {
  base::Canary canary;
  const char* name;
};
constexpr CanaryName kCanaries[] = {
    {base::Canary::kNone, "none"},
    {base::Canary::kForkSkipsWriteProtect, "fork_skips_write_protect"},
    {base::Canary::kSplitLosesAmapReference, "split_loses_amap_reference"},
    {base::Canary::kStaleAfterProtect, "stale_after_protect"},
    {base::Canary::kPromoteFromWrongLayer, "promote_from_wrong_layer"},
    {base::Canary::kInheritanceSwapped, "inheritance_swapped"},
    {base::Canary::kUnmapMissesOneSpace, "unmap_misses_one_space"},
    {base::Canary::kNeedsCopyClearedEarly, "needs_copy_cleared_early"},
    {base::Canary::kAnonReferenceLeaked, "anon_reference_leaked"},
    {base::Canary::kRefillIgnoresRights, "refill_ignores_rights"},
    {base::Canary::kZeroFillSkipped, "zero_fill_skipped"},
    {base::Canary::kUpdateForgets, "update_forgets"},
    {base::Canary::kReenterKeepsOldFrame, "reenter_keeps_old_frame"},
    {base::Canary::kShortageDropsWired, "shortage_drops_wired"},
    {base::Canary::kCleanKeepsWritable, "clean_keeps_writable"},
    {base::Canary::kPromotionKeepsSharers, "promotion_keeps_sharers"},
    {base::Canary::kWritesBehindStamps, "writes_behind_stamps"},
    {base::Canary::kObserverTakesTime, "observer_takes_time"},
    {base::Canary::kCrashesTheProcess, "crashes_the_process"},
    {base::Canary::kHangsTheProcess, "hangs_the_process"},
    {base::Canary::kLosesWakeUp, "loses_wake_up"},
    {base::Canary::kFaultSkipsAmapLock, "fault_skips_amap_lock"},
    {base::Canary::kPageoutForgetsDirty, "pageout_forgets_dirty"},
    {base::Canary::kSlotFreedTwice, "slot_freed_twice"},
    {base::Canary::kSwapReadsWrongSlot, "swap_reads_wrong_slot"},
    {base::Canary::kDaemonSkipsOwnerLock, "daemon_skips_owner_lock"},
    {base::Canary::kWaiterNotWoken, "waiter_not_woken"},
    {base::Canary::kFreedFrameIsLost, "freed_frame_is_lost"},
};
static_assert(std::size(kCanaries) == base::kCanaryCount);

// "name 1,234   name 5 ..." in lines that begin with `head`.
class Columns {
 public:
  explicit Columns(std::string head) : line_(std::move(head)) { line_.resize(10, ' '); }
  void Add(absl::string_view name, uint64_t value) {
    std::string item = absl::StrCat(name, " ", Grouped(value));
    if (line_.size() + item.size() > kWidth) Break();
    absl::StrAppend(&line_, empty_ ? "" : "   ", item);
    empty_ = false;
  }
  std::string Text() {
    Break();
    return std::move(text_);
  }

 private:
  static constexpr size_t kWidth = 110;
  void Break() {
    absl::StrAppend(&text_, line_, "\n");
    line_ = std::string(10, ' ');
    empty_ = true;
  }
  std::string text_;
  std::string line_;
  bool empty_ = true;
};

bool FileExists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// `name` in the current directory, or name_2, name_3 ... when it is taken.
std::string FreeName(const std::string& name) {
  std::string stem = name.substr(0, name.size() - std::string(".trace").size());
  std::string path = name;
  for (int i = 2; FileExists(path); ++i) path = absl::StrCat(stem, "_", i, ".trace");
  return path;
}

}  // namespace

std::vector<std::string> CanaryNames() {
  std::vector<std::string> names;
  for (const CanaryName& row : kCanaries) names.emplace_back(row.name);
  return names;
}

void MachineFlags::Declare(Options* options) {
  options->Text("lanes", &lanes, "L,...", "who takes part: model, uvm, or all");
  options->Number("check-every", &check_every, 0, ~uint64_t{0},
                  "compare the whole state every N operations; 0 = chosen by the run's length");
  options->Text("schedule", &schedule, "NAME", "who runs next: round-robin, random, or pct");
  options->Number("schedule-seed", &schedule_seed, 0, ~uint64_t{0},
                  "of a random or pct schedule, and of --pmap; run draws one for each case");
  options->Number("processors", &processors, 1, 32, "simulated processors; clients take turns");
  DeclareMachine(options);
}

void MachineFlags::DeclareMachine(Options* options) {
  options->Number("frames", &frames, 0, uint64_t{1} << 24,
                  "the machine's memory in pages of 4 KiB; 0 = enough");
  options->Text(
      "swap", &swap, "D[,D...]",
      "swap devices: pages in memory, file:PAGES on the host, driver:PAGES behind a task; "
      "more below. Scarce memory wants --frames");
  options->Number("swap-latency", &swap_latency, 0, 1'000'000,
                  "virtual microseconds that a transfer to swap takes");
  options->Text("swap-encrypt", &swap_encrypt, "HOW",
                "pages on their way to swap: off, on, or toggled now and then");
  options->Text("memory", &memory, "WORD,...",
                "how free frames are kept: colours=N, buckets=N, lists=N, caches; events=N: before "
                "one operation in N some leave or come back, or that changes");
  options->Text("policy", &policy, "NAME[:SETTING,...]",
                absl::StrCat("of page replacement: ", absl::StrJoin(machine::PolicyNames(), ", "),
                             "; clock:anonmin=N,filemin=N,execmin=N,anonmax=N,filemax=N,execmax=N,"
                             "inactive=N, clockpro:cold=N,adaptive, in percent"));
  options->Text("canary", &canary, "NAME", "arm a deliberate bug, to see it found");
  options->Text(
      "profile", &profile, "NAME",
      absl::StrCat("the simulated hardware: ", absl::StrJoin(machine::ProfileNames(), ", ")));
  options->Text("quirks", &quirks, "NAME",
                absl::StrCat("whose kernel: ", absl::StrJoin(machine::QuirkNames(), ", ")));
  options->Text("pmap", &pmap, "NAME",
                "plain; forgetful: drops unwired mappings at random, keeps removed ones until "
                "update, sees no references; refusing: and fails enters that may fail");
}

absl::Status MachineFlags::Apply(uint64_t default_frames, uint64_t default_check_every,
                                 RunOptions* run) const {
  constexpr uint64_t kFewestFrames = 64;  // below, a fault may need more than there is
  auto lane_set = proptests::ParseLanes(lanes);
  if (!lane_set.ok()) return lane_set.status();
  run->lanes = *lane_set;
  const auto* row = std::find_if(std::begin(kCanaries), std::end(kCanaries),
                                 [&](const CanaryName& known) { return canary == known.name; });
  if (row == std::end(kCanaries)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there is no canary \"", canary, "\"; there are ", absl::StrJoin(CanaryNames(), ", ")));
  }
  if (frames != 0 && frames < kFewestFrames) {
    return absl::InvalidArgumentError(
        absl::StrCat("--frames ", frames, " is too few: a machine needs at least ", kFewestFrames));
  }
  if (schedule == "random") {
    run->machine.schedule = machine::Schedule::kRandom;
  } else if (schedule == "pct") {
    run->machine.schedule = machine::Schedule::kPct;
  } else if (schedule != "round-robin") {
    return absl::InvalidArgumentError(absl::StrCat("there is no schedule \"", schedule,
                                                   "\"; there are round-robin, random, pct"));
  }
  const fake_l4::Profile* hardware = machine::FindProfile(profile);
  if (hardware == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("there is no profile \"", profile,
                                                   "\" for a machine; there are ",
                                                   absl::StrJoin(machine::ProfileNames(), ", ")));
  }
  const fake_l4::Quirks* kernel = machine::FindQuirks(quirks);
  if (kernel == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("there is no kernel \"", quirks,
                                                   "\"; there are ",
                                                   absl::StrJoin(machine::QuirkNames(), ", ")));
  }
  const absl::StatusOr<machine::Adversity> adversity = proptests::ParsePmap(pmap);
  if (!adversity.ok()) return adversity.status();
  run->machine.adversity = *adversity;
  const absl::Status swap_status = ApplySwap(&run->machine);
  if (!swap_status.ok()) return swap_status;
  run->machine.profile = *hardware;
  run->machine.quirks = *kernel;
  run->machine.seed = schedule_seed;
  run->machine.processors = static_cast<uint32_t>(processors);
  run->machine.canary = row->canary;
  const uint64_t enough =
      default_frames + proptests::FramesForEvents(run->machine.memory, default_frames);
  run->machine.ram_bytes = (frames == 0 ? enough : frames) * base::kPageSize;
  run->memory_may_run_out = frames != 0;
  run->whole_every = check_every == 0 ? default_check_every : check_every;
  return absl::OkStatus();
}

absl::Status MachineFlags::ApplySwap(machine::Machine::Options* machine) const {
  if (!machine::IsPolicy(policy)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there is no policy \"", policy, "\"; there are ",
        absl::StrJoin(machine::PolicyNames(), ", "),
        ", clock and clockpro with settings in percent (minima of clock add up to at most 95)"));
  }
  machine->policy = policy;
  absl::StatusOr<std::vector<machine::SwapSpec>> devices = proptests::ParseSwap(swap, swap_latency);
  if (!devices.ok()) return devices.status();
  machine->swap = *std::move(devices);
  absl::StatusOr<machine::SwapEncryption> encryption = proptests::ParseEncryption(swap_encrypt);
  if (!encryption.ok()) return encryption.status();
  machine->swap_encryption = *encryption;
  absl::StatusOr<machine::MemorySpec> spec = proptests::ParseMemory(memory);
  if (!spec.ok()) return spec.status();
  machine->memory = *spec;
  return absl::OkStatus();
}

bool MachineFlags::SaysMemory() const {
  const MachineFlags plain;
  return frames != plain.frames || swap != plain.swap || swap_encrypt != plain.swap_encrypt ||
         memory != plain.memory || policy != plain.policy;
}

const char* MachineFlags::SwapHelp() {
  return "Swap devices:\n"
         "  --swap 4096                       4,096 pages in memory\n"
         "  --swap 512,file:1024,driver:512   ... a file of the host, a task that drives a disk\n"
         "  --swap 512@200us+10us             a transfer takes 200 us, and 10 us for each page\n"
         "  --swap 512#0,512#0,off:512        priorities (lower first); one that is off at first\n"
         "A machine has one driver. What is saved and taken back (explore, exhaust) has no "
         "files.\n";
}

MachineFlags MachineFlags::With(const RunOptions& run) const {
  MachineFlags flags = *this;
  flags.schedule = run.machine.schedule == machine::Schedule::kRandom ? "random"
                   : run.machine.schedule == machine::Schedule::kPct  ? "pct"
                                                                      : "round-robin";
  flags.pmap = machine::AdversityName(run.machine.adversity);
  const bool drawn = run.machine.schedule != machine::Schedule::kRoundRobin ||
                     run.machine.adversity != machine::Adversity::kNone;
  flags.schedule_seed = drawn ? run.machine.seed : 0;
  flags.processors = run.machine.processors;
  flags.profile = run.machine.profile.name;
  flags.quirks = run.machine.quirks.name;
  flags.swap = proptests::SwapText(run.machine.swap);
  flags.swap_latency = 0;
  flags.swap_encrypt = proptests::EncryptionText(run.machine.swap_encryption);
  flags.memory = proptests::MemoryText(run.machine.memory);
  flags.policy = run.machine.policy;
  flags.frames = run.memory_may_run_out ? run.machine.ram_bytes / base::kPageSize : 0;
  return flags;
}

std::string MachineFlags::Repeat() const {
  std::string text;
  if (lanes != "all") absl::StrAppend(&text, " --lanes ", lanes);
  if (canary != "none") absl::StrAppend(&text, " --canary ", canary);
  if (frames != 0) absl::StrAppend(&text, " --frames ", frames);
  if (!swap.empty()) absl::StrAppend(&text, " --swap ", swap);
  if (swap_latency != 0 && !swap.empty()) absl::StrAppend(&text, " --swap-latency ", swap_latency);
  if (swap_encrypt != "off") absl::StrAppend(&text, " --swap-encrypt ", swap_encrypt);
  if (!memory.empty()) absl::StrAppend(&text, " --memory ", memory);
  if (policy != "clock") absl::StrAppend(&text, " --policy ", policy);
  if (schedule != "round-robin") absl::StrAppend(&text, " --schedule ", schedule);
  if (schedule_seed != 0) absl::StrAppend(&text, " --schedule-seed ", schedule_seed);
  if (processors != 1) absl::StrAppend(&text, " --processors ", processors);
  if (profile != "amd64-nx") absl::StrAppend(&text, " --profile ", profile);
  if (quirks != "manual") absl::StrAppend(&text, " --quirks ", quirks);
  if (pmap != "plain") absl::StrAppend(&text, " --pmap ", pmap);
  return text;
}

std::string OpsText(const proptests::RunStats& stats) {
  Columns columns("  ops");
  for (int i = 0; i < traces::kOpKindCount; ++i) {
    uint64_t count = stats.by_kind[static_cast<size_t>(i)];
    if (count != 0) columns.Add(traces::OpName(static_cast<traces::OpKind>(i)), count);
  }
  return columns.Text();
}

std::string LedgerText(const proptests::LedgerRows& ledger) {
  Columns faults("  faults");
  Columns cost("  cost");
  bool any = false;
  for (const proptests::LedgerRow& row : ledger) {
    any = true;
    absl::string_view name = row.name;
    if (absl::StartsWith(name, "fault_") && name != "fault_errors") {
      faults.Add(absl::AsciiStrToUpper(name.substr(6)), row.value);
    } else if (name == "refill" || name == "resend" || name == "fault_errors" ||
               name == "page_faults" || name == "extra_faults") {
      faults.Add(name == "fault_errors" ? "errors" : name, row.value);
    } else {
      cost.Add(name, row.value);
    }
  }
  return any ? absl::StrCat(faults.Text(), cost.Text()) : "";
}

std::string LanesText(const RunOptions& run, const proptests::RunStats& stats) {
  std::string text = "  lanes   ";
  if (run.lanes.Has(proptests::Lane::kModel)) {
    absl::StrAppend(&text, "model: ", Grouped(stats.trace_outcomes),
                    " outcomes compared with the trace's");
  }
  if (run.lanes.Has(proptests::Lane::kUvm)) {
    absl::StrAppend(&text, run.lanes.Has(proptests::Lane::kModel) ? "; " : "",
                    "uvm: ", Grouped(stats.uvm_outcomes), " outcomes and ", Grouped(stats.bytes),
                    " bytes compared with the model's");
  }
  if (stats.lost_calls + stats.lost_tasks != 0) {
    absl::StrAppend(&text, "\n  lost    ", Grouped(stats.lost_calls), " calls and ",
                    Grouped(stats.lost_tasks), " tasks, to faults without bound");
  }
  if (stats.followed + stats.ended != 0) {
    absl::StrAppend(&text, "\n  swap    ", Grouped(stats.followed),
                    " calls followed that met a page it could not give back; ",
                    Grouped(stats.ended), " cases ended at one");
  }
  return text + "\n";
}

Json PlainResultJson(uint64_t ops, double seconds) {
  Json json;
  json["result"] = "pass";
  json["seed"] = nullptr;
  json["ops"] = ops;
  json["seconds"] = seconds;
  json["ops_per_second"] = seconds > 0 ? static_cast<double>(ops) / seconds : 0;
  json["hash"] = nullptr;
  json["ledger"] = Json::object();
  json["lanes"] = Json::object();
  return json;
}

Json ResultJson(const proptests::RunResult& result, const RunOptions& run, double seconds) {
  Json json = PlainResultJson(result.stats.ops, seconds);
  if (result.failure) json["result"] = proptests::FailureClassName(result.failure->print.cls);
  json["seed"] = run.machine.seed;
  json["pmap"] = machine::AdversityName(run.machine.adversity);
  json["skipped"] = result.stats.skipped;
  json["hash"] = HashText(result.hash);
  Json lanes;
  if (run.lanes.Has(proptests::Lane::kModel))
    lanes["model"]["outcomes"] = result.stats.trace_outcomes;
  if (run.lanes.Has(proptests::Lane::kUvm)) {
    lanes["uvm"]["outcomes"] = result.stats.uvm_outcomes;
    lanes["uvm"]["bytes"] = result.stats.bytes;
  }
  json["lanes"] = lanes;
  Json kinds;
  for (int i = 0; i < traces::kOpKindCount; ++i) {
    uint64_t count = result.stats.by_kind[static_cast<size_t>(i)];
    if (count != 0) kinds[std::string(traces::OpName(static_cast<traces::OpKind>(i)))] = count;
  }
  json["ops_by_kind"] = kinds;
  Json ledger = Json::object();
  for (const proptests::LedgerRow& row : result.ledger) ledger[row.name] = row.value;
  json["ledger"] = ledger;
  return json;
}

Diagnosis Diagnose(const std::vector<proptests::TestOp>& ops, const std::vector<std::string>& files,
                   const RunOptions& run, const proptests::Failure& failure,
                   const DiagnosisOptions& options) {
  Diagnosis diagnosis;
  diagnosis.first = failure;
  Stopwatch watch;
  const proptests::ShrinkOutcome shrunk =
      options.guarded ? proptests::ShrinkGuarded(ops, files, run, failure, options.limits)
                      : proptests::ShrinkRun(ops, files, run, failure,
                                             proptests::RunnerFor(failure, options.limits));
  diagnosis.seconds = watch.Seconds();
  diagnosis.executions = shrunk.executions;
  diagnosis.minimal = shrunk.shrunk.minimal;
  diagnosis.fail_otherwise = shrunk.shrunk.fail_otherwise;
  proptests::FailureReport& report = diagnosis.report;
  report.failure = shrunk.shrunk.failure;
  report.ops = shrunk.shrunk.smallest.ops;
  report.outcomes = shrunk.outcomes;
  report.files = files;
  report.origin = options.origin;
  std::string path = options.path.empty()
                         ? FreeName(options.directory + proptests::SuggestedFileName(report))
                         : options.path;
  RunOptions again = shrunk.run;
  again.max_live_tasks = 0;
  again.machine.ram_bytes = run.machine.ram_bytes;
  again.whole_every = 1;
  diagnosis.flags = options.machine.With(again).Repeat();
  if (report.failure.print.cls == proptests::FailureClass::kNondeterminism) {
    diagnosis.flags += " --twice";
  }
  report.replay = absl::StrCat("./vmsim replay", diagnosis.flags, " ", path);
  report.run = again;
  const std::string name = path.substr(path.rfind('/') + 1);
  const traces::Trace trace = proptests::FailureTrace(report, name);
  const proptests::RunResult rerun =
      options.guarded ? proptests::RunLikeFailure(proptests::OpsOfTrace(trace), files, again,
                                                  report.failure, options.limits)
                      : proptests::RunTrace(trace, again);
  diagnosis.reproduced = rerun.failure && rerun.failure->print == report.failure.print;
  if (traces::WriteTraceFile(path, trace).ok()) diagnosis.path = path;
  return diagnosis;
}

std::string DiagnosisText(const Diagnosis& diagnosis) {
  const proptests::FailureReport& report = diagnosis.report;
  traces::Trace trace = proptests::FailureTrace(report, proptests::SuggestedFileName(report));
  std::string text = absl::StrCat(
      "\n", report.failure.text, "\n\nShrunk to ", report.ops.size(), " operations in ",
      diagnosis.executions, " runs, ", absl::StrFormat("%.3f", diagnosis.seconds), " s",
      !diagnosis.minimal              ? "; perhaps not minimal"
      : diagnosis.fail_otherwise == 0 ? "; leaving out any one of them makes it pass"
                                      : "; leaving out any one of them makes it pass or fail in "
                                        "another way",
      ".\n\n", proptests::Diagram(trace, {}).Text(), "\nAs a GoogleTest case:\n\n",
      proptests::GoogleTestCase(report), "\n");
  if (diagnosis.path.empty()) {
    absl::StrAppend(
        &text, "The trace could not be saved here; it is the text between the quotes above.\n");
  } else {
    absl::StrAppend(&text, "Saved as ", diagnosis.path,
                    diagnosis.reproduced ? "" : " (alone it does not fail in the same way)",
                    ". Show it again:\n  ", report.replay, "\n");
  }
  return text;
}

Json DiagnosisJson(const Diagnosis& diagnosis) {
  const proptests::FailureReport& report = diagnosis.report;
  traces::Trace trace = proptests::FailureTrace(report, proptests::SuggestedFileName(report));
  Json json;
  json["class"] = proptests::FailureClassName(report.failure.print.cls);
  json["rule"] = report.failure.print.rule;
  json["text"] = report.failure.text;
  json["at_operation"] = diagnosis.first.op_index + 1;
  json["shrunk_ops"] = report.ops.size();
  json["shrink_runs"] = diagnosis.executions;
  json["shrink_seconds"] = diagnosis.seconds;
  json["minimal"] = diagnosis.minimal;
  json["reproduced"] = diagnosis.reproduced;
  json["trace"] = traces::FormatTrace(trace);
  json["saved_as"] = diagnosis.path;
  json["replay"] = report.replay;
  return json;
}

}  // namespace tools
