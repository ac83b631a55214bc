#include "proptests/mutants/judge.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/addr.h"
#include "machine/machine.h"
#include "nlohmann/json.hpp"
#include "proptests/engine/emit.h"
#include "proptests/engine/fault_rates.h"
#include "proptests/engine/isolate.h"
#include "proptests/engine/isolated_run.h"
#include "proptests/engine/run.h"
#include "traces/codec.h"

namespace mutants {
namespace {

using proptests::CampaignOptions;
using proptests::Failure;
using proptests::IsolatedResult;
using Json = nlohmann::json;

// One kind of campaign. Ops are for the first round; each round after it has four times as many.
struct Campaign {
  const char* name;
  uint64_t ops;
  void (*adjust)(CampaignOptions*);
};

void WithFaults(CampaignOptions* options) { options->faults = *proptests::ParseFaultRates("all"); }

void OnKernel(CampaignOptions* options, const char* quirks) {
  options->run.machine.quirks = *machine::FindQuirks(quirks);
}

constexpr Campaign kCampaigns[] = {
    {"standard", 30000, [](CampaignOptions*) {}},
    {"faults", 20000, WithFaults},
    {"losses", 20000,
     [](CampaignOptions* options) {
       options->faults = *proptests::ParseFaultRates("ipc_cut=20,pager_dies=60,pager_never=60");
       options->liveness = true;
     }},
    {"preempted", 20000,
     [](CampaignOptions* options) {
       options->run.machine.schedule = machine::Schedule::kPct;
       options->run.machine.processors = 2;
     }},
    {"crowded", 20000,
     [](CampaignOptions* options) {
       options->run.machine.ram_bytes = 1024 * base::kPageSize;
       options->run.memory_may_run_out = true;
       options->pages = 128;
       options->tasks = 12;
     }},
    {"no_reference_bits", 20000,
     [](CampaignOptions* options) {
       options->run.machine.profile = *machine::FindProfile("amd64-no-reference");
     }},
    {"new_mdb", 20000, [](CampaignOptions* options) { OnKernel(options, "pistachio-new-mdb"); }},
    {"old_mdb", 20000, [](CampaignOptions* options) { OnKernel(options, "pistachio-old-mdb"); }},
    {"forgetful_pmap", 20000,
     [](CampaignOptions* options) {
       options->run.machine.adversity = machine::Adversity::kForgetful;
     }},
    {"refusing_pmap", 20000,
     [](CampaignOptions* options) {
       options->run.machine.adversity = machine::Adversity::kRefusing;
     }},
    {"wide", 20000, [](CampaignOptions* options) { options->pages = 640; }},
    {"few_tasks", 20000,
     [](CampaignOptions* options) {
       options->tasks = 12;
       options->run.machine.max_tasks = 4;
     }},
    {"long_cases", 20000, [](CampaignOptions* options) { options->case_ops = 10000; }},
    {"threads", 20000,
     [](CampaignOptions* options) {
       options->threads = 3;
       options->tasks = 4;
     }},
};

// Test programs built of the mutated sources, and whose mutants they look for. They run in this
// order as long as there is time; quick ones near the mutant (IsNear) come before that.
struct Program {
  const char* name;
  const char* package;
};
constexpr Program kPrograms[] = {
    // Quick ones.
    {"control_calls_test", "fake_l4/"},
    {"cpu_test", "fake_l4/"},
    {"deadlock_test", "fake_l4/"},
    {"decision_list_test", "fake_l4/"},
    {"depth_first_test", "fake_l4/"},
    {"exception_test", "fake_l4/"},
    {"exchange_registers_test", "fake_l4/"},
    {"exploration_test", "fake_l4/"},
    {"exploring_kernel_test", "fake_l4/"},
    {"fast_path_test", "fake_l4/"},
    {"fault_injection_test", "fake_l4/"},
    {"fpage_test", "fake_l4/"},
    {"inspect_test", "fake_l4/"},
    {"interrupt_test", "fake_l4/"},
    {"ipc_error_test", "fake_l4/"},
    {"ipc_test", "fake_l4/"},
    {"kip_test", "fake_l4/"},
    {"l4_kernel_test", "fake_l4/"},
    {"local_id_test", "fake_l4/"},
    {"mapping_database_test", "fake_l4/"},
    {"mapping_rules_test", "fake_l4/"},
    {"priority_round_robin_test", "fake_l4/"},
    {"processor_test", "fake_l4/"},
    {"redirection_test", "fake_l4/"},
    {"rewind_area_test", "fake_l4/"},
    {"sigma0_test", "fake_l4/"},
    {"space_test", "fake_l4/"},
    {"string_change_test", "fake_l4/"},
    {"string_fault_test", "fake_l4/"},
    {"string_transfer_test", "fake_l4/"},
    {"thread_calls_test", "fake_l4/"},
    {"translation_cache_test", "fake_l4/"},
    {"direct_test", "pmap_sim/"},
    {"l4_pmap_test", "pmap_sim/"},
    {"pmap_invariants_test", "pmap_sim/"},
    {"pmap_kernel_test", "pmap_sim/"},
    {"probe_test", "pmap_sim/"},
    {"shortage_test", "pmap_sim/"},
    {"unmap_batch_test", "pmap_sim/"},
    {"advice_test", "uvm/"},
    {"amap_test", "uvm/"},
    {"aobj_slots_test", "uvm/"},
    {"aobj_swap_test", "uvm/"},
    {"aobj_test", "uvm/"},
    {"device_test", "uvm/"},
    {"fault_test", "uvm/"},
    {"fault_window_test", "uvm/"},
    {"fork_test", "uvm/"},
    {"frame_wait_test", "uvm/"},
    {"pdaemon_wait_test", "uvm/"},
    {"hotplug_test", "uvm/"},
    {"invariants_test", "uvm/"},
    {"io_test", "uvm/"},
    {"km_test", "uvm/"},
    {"known_bugs_fault_test", "uvm/"},
    {"known_bugs_map_test", "uvm/"},
    {"known_bugs_object_test", "uvm/"},
    {"loan_test", "uvm/"},
    {"lock_test", "uvm/"},
    {"map_copy_test", "uvm/"},
    {"map_extract_test", "uvm/"},
    {"map_list_test", "uvm/"},
    {"map_lock_test", "uvm/"},
    {"map_space_test", "uvm/"},
    {"map_wire_test", "uvm/"},
    {"memfd_test", "uvm/"},
    {"mmap_test", "uvm/"},
    {"mremap_test", "uvm/"},
    {"object_test", "uvm/"},
    {"object_wire_test", "uvm/"},
    {"page_array_test", "uvm/"},
    {"page_free_test", "uvm/"},
    {"page_object_test", "uvm/"},
    {"page_test", "uvm/"},
    {"pager_map_test", "uvm/"},
    {"pdaemon_test", "uvm/"},
    {"pglist_test", "uvm/"},
    {"physseg_test", "uvm/"},
    {"pdpolicy_clock_test", "uvm/"},
    {"pdpolicy_clockpro_test", "uvm/"},
    {"readahead_test", "uvm/"},
    {"shm_test", "uvm/"},
    {"silent_store_test", "uvm/"},
    {"stored_test", "uvm/"},
    {"swap_in_test", "uvm/"},
    {"swap_state_invariants_test", "uvm/"},
    {"swapoff_test", "uvm/"},
    {"swap_encryption_test", "uvm/"},
    {"swap_fault_test", "uvm/"},
    {"swap_prop_test", "uvm/"},
    {"swap_slots_test", "uvm/"},
    {"swap_test", "uvm/"},
    {"ubc_test", "uvm/"},
    {"uvm_space_test", "uvm/"},
    {"wire_test", "uvm/"},
    {"files_test", "vmserver/"},
    {"hostile_client_test", "vmserver/"},
    {"hostile_mach_test", "vmserver/"},
    {"hostile_shared_test", "vmserver/"},
    {"hostile_swap_test", "vmserver/"},
    {"memory_events_test", "vmserver/"},
    {"moves_test", "vmserver/"},
    {"shared_test", "vmserver/"},
    {"machine_swap_test", "uvm/"},
    {"machine_swap_test", "vmserver/"},
    {"hostile_threads_test", "vmserver/"},
    {"work_test", "vmserver/"},
    {"model_access_test", "model/"},
    {"model_bsd_test", "model/"},
    {"model_losses_test", "model/"},
    {"model_mach_test", "model/"},
    {"model_shared_test", "model/"},
    {"model_swap_test", "model/"},
    {"model_threads_test", "model/"},
    {"model_world_test", "model/"},
    // In order of the time they take, 0.2 to 60 s.
    {"map_test", "uvm/"},
    {"schedule_calls_test", "fake_l4/"},
    {"machine_test", "vmserver/"},
    {"client_threads_test", "vmserver/"},
    {"lock_prop_test", "uvm/"},
    {"object_threads_prop_test", "uvm/"},
    {"loan_prop_test", "uvm/"},
    {"ipc_property_test", "fake_l4/"},
    {"pdpolicy_prop_test", "uvm/"},
    {"naive_world_test", "model/"},
    {"frames_prop_test", "uvm/"},
    {"km_prop_test", "uvm/"},
    {"mach_model_test", "model/"},
    {"system_call_prop_test", "fake_l4/"},
    {"corpus_test", "model/"},
    {"object_prop_test", "uvm/"},
    {"naive_moves_test", "model/"},
    {"mmap_prop_test", "uvm/"},
    {"lost_moves_test", "uvm/"},
    {"swap_losses_prop_test", "machine/"},
    {"swap_losses_prop_test", "model/"},
    {"object_errors_prop_test", "uvm/"},
    {"explore_prop_test", "uvm/"},
    {"explore_prop_test", "pmap_sim/"},
    {"explore_prop_test", "vmserver/"},
    {"map_threads_prop_test", "uvm/"},
    {"mapping_model_test", "fake_l4/"},
    {"swapoff_prop_test", "uvm/"},
    {"map_prop_test", "uvm/"},
    {"adversarial_prop_test", "uvm/"},
    {"recordings_test", "fake_l4/"},
    {"pressure_prop_test", "uvm/"},
    {"heal_prop_test", "uvm/"},
    {"uvm_recordings_test", "uvm/"},
    {"contract_prop_test", "pmap_sim/"},
};

constexpr absl::string_view kFirstSlowProgram = "map_test";

bool IsQuick(const Program& program) {
  for (const Program& each : kPrograms) {
    if (each.name == kFirstSlowProgram) return false;
    if (&each == &program) return true;
  }
  return false;
}

// True when the program is quick and its name has a word of the mutant's file, or the mutant's rule
// names its test: most likely it notices, if anybody does.
bool IsNear(const Mutant& mutant, const Program& program) {
  if (!IsQuick(program)) return false;
  const std::string rule = absl::AsciiStrToLower(mutant.rule);
  const std::string name = absl::StrReplaceAll(program.name, {{"_", ""}});
  if (absl::StrContains(rule, name)) return true;
  const std::vector<absl::string_view> path = absl::StrSplit(mutant.file, absl::ByAnyChar("/."));
  if (path.size() < 2) return false;
  const std::vector<absl::string_view> own = absl::StrSplit(path[path.size() - 2], '_');
  for (absl::string_view word : absl::StrSplit(program.name, '_')) {
    if (word == "test" || word == "prop") continue;
    if (std::find(own.begin(), own.end(), word) != own.end()) return true;
  }
  return false;
}

CampaignOptions OptionsOf(const Campaign& campaign, uint64_t seed) {
  CampaignOptions options;
  options.seed = seed;
  options.case_ops = 2000;
  options.tasks = 6;
  options.pages = 24;
  options.run.machine.ram_bytes = uint64_t{16} << 20;
  options.run.whole_every = 16;
  campaign.adjust(&options);
  return options;
}

// What a child found out about one campaign.
struct Found {
  std::optional<Failure> failure;
  uint64_t case_index = 0;
  double seconds = 0;
};

// A case takes a few milliseconds; one that takes so long does not end.
constexpr unsigned kHangSeconds = 10;

// Runs case after case; notes say which one is under way. One that does not end is ended by
// SIGALRM. The child says nothing or, as JSON, what failed.
std::string RunCases(CampaignOptions options, uint64_t ops, proptests::Notes* notes) {
  uint64_t done = 0;
  for (uint64_t number = options.first_case; done < ops; ++number, done += options.case_ops) {
    notes->words[0] = number;
    alarm(kHangSeconds);
    options.first_case = number;
    options.ops = options.case_ops;
    const proptests::CampaignResult result = proptests::RunCampaign(options);
    if (!result.run.failure) continue;
    const Failure& failure = *result.run.failure;
    return Json{{"case", number},
                {"class", static_cast<int>(failure.print.cls)},
                {"rule", failure.print.rule},
                {"text", failure.text},
                {"op", failure.op_index}}
        .dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  return "";
}

Found Meet(const CampaignOptions& options, uint64_t ops, double seconds) {
  proptests::IsolationLimits limits;
  limits.seconds = seconds;
  IsolatedResult result = proptests::RunIsolated(
      [&](proptests::Notes* notes) { return RunCases(options, ops, notes); }, limits);
  Found found;
  found.seconds = result.seconds;
  if (result.end == IsolatedResult::End::kTimeout) return found;
  if (result.end == IsolatedResult::End::kSignal && result.code == SIGALRM) {
    result.end = IsolatedResult::End::kTimeout;
  }
  if (result.end != IsolatedResult::End::kReturned) {
    found.case_index = result.notes.words[0];
    found.failure = proptests::FailureOfEnd(result, options.case_ops - 1);
    return found;
  }
  if (result.said.empty()) return found;
  const Json json = Json::parse(result.said);
  found.case_index = json["case"].get<uint64_t>();
  Failure& failure = found.failure.emplace();
  failure.print.cls = static_cast<proptests::FailureClass>(json["class"].get<int>());
  failure.print.rule = json["rule"].get<std::string>();
  failure.text = json["text"].get<std::string>();
  failure.op_index = json["op"].get<uint64_t>();
  return found;
}

// Whether this process fails in that case without any mutant: then it is no evidence.
bool FailsAnyway(CampaignOptions options, uint64_t case_index) {
  const unsigned before = selected_mutant;
  SelectMutant(0);
  options.first_case = case_index;
  const bool fails = Meet(options, options.case_ops, 2 * kHangSeconds).failure.has_value();
  SelectMutant(before);
  return fails;
}

// Meets cases until one fails that passes without the mutant.
Found MeetEvidence(CampaignOptions options, uint64_t ops, double seconds) {
  const uint64_t cases = (ops + options.case_ops - 1) / options.case_ops;
  Found found;
  double spent = 0;
  while (options.first_case < cases && spent < seconds) {
    found = Meet(options, (cases - options.first_case) * options.case_ops, seconds - spent);
    spent += found.seconds;
    found.seconds = spent;
    if (!found.failure || !FailsAnyway(options, found.case_index)) return found;
    options.first_case = found.case_index + 1;
    found.failure.reset();
  }
  return found;
}

// The failure when this process runs the trace with the given mutant on.
std::optional<Failure> Replay(const traces::Trace& trace, const proptests::RunOptions& run,
                              unsigned number) {
  const unsigned before = selected_mutant;
  SelectMutant(number);
  const proptests::RunResult result =
      proptests::RunOpsIsolated(proptests::OpsOfTrace(trace), trace.files, run, {.seconds = 10});
  SelectMutant(before);
  return result.failure;
}

// Makes the failing case small, and runs what remains with and without the mutant.
void Shrink(const Mutant& mutant, const CampaignOptions& campaign, const Found& found,
            Verdict* verdict) {
  CampaignOptions options = campaign;
  options.first_case = found.case_index;
  proptests::CampaignResult result;
  result.run.failure = found.failure;
  result.failing_case = found.case_index;
  proptests::RunOptions run = proptests::CaseRunOptions(options, found.case_index);
  proptests::Generator generator(proptests::CaseOptions(options, found.case_index));
  const bool hangs = found.failure->print.cls == proptests::FailureClass::kTimeout;
  const bool own_process = hangs || found.failure->print.cls == proptests::FailureClass::kCrash;
  // Most tries of one that hangs do, too.
  const proptests::IsolationLimits limits{.seconds = hangs ? 1.0 : 5.0};
  const proptests::OpsRunner runner =
      [&](const std::vector<proptests::TestOp>& ops, const std::vector<std::string>& files,
          const proptests::RunOptions& how, std::vector<proptests::TestOp>* executed,
          std::vector<traces::Outcome>* outcomes) {
        return proptests::RunOpsIsolated(ops, files, how, limits, executed, outcomes);
      };
  const std::vector<proptests::TestOp> ops = proptests::OpsOfFailure(options, result);
  const proptests::ShrinkOutcome shrunk =
      own_process ? proptests::ShrinkRun(ops, generator.files(), run, *found.failure, runner)
                  : proptests::ShrinkRun(ops, generator.files(), run, *found.failure);
  verdict->ops = shrunk.shrunk.smallest.ops.size();
  verdict->minimal = shrunk.shrunk.minimal;
  proptests::FailureReport report;
  report.failure = shrunk.shrunk.failure;
  report.ops = shrunk.shrunk.smallest.ops;
  report.files = generator.files();
  report.origin = absl::StrCat("mutant ", mutant.id, ", lane ", verdict->lane);
  report.replay = absl::StrCat("./vmsim mutants --id ", mutant.id);
  traces::Trace trace = proptests::FailureTrace(report, mutant.id);
  proptests::RunOptions again = shrunk.run;
  again.max_live_tasks = 0;
  again.machine.ram_bytes = campaign.run.machine.ram_bytes;
  again.whole_every = 1;
  std::optional<Failure> with = Replay(trace, again, mutant.number);
  if (!with) {
    // Only a machine as small as the shrinker made it shows this.
    again.machine.ram_bytes = shrunk.run.machine.ram_bytes;
    with = Replay(trace, again, mutant.number);
  }
  verdict->confirmed = with && !Replay(trace, again, 0);
  verdict->trace = traces::FormatTrace(trace);
  if (!with) return;
  verdict->rule = proptests::FingerprintText(with->print);
  verdict->text = with->text;
}

std::string Encode(const Verdict& verdict) {
  return Json{
      {"ops", verdict.ops},   {"minimal", verdict.minimal}, {"confirmed", verdict.confirmed},
      {"rule", verdict.rule}, {"text", verdict.text},       {"trace", verdict.trace}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

// In a child, so that a mutant that damages the judge's own memory ends only that.
void ShrinkIsolated(const Mutant& mutant, const CampaignOptions& campaign, const Found& found,
                    double seconds, Verdict* verdict) {
  const IsolatedResult result = proptests::RunIsolated(
      [&](proptests::Notes*) {
        Verdict small = *verdict;
        Shrink(mutant, campaign, found, &small);
        return Encode(small);
      },
      {.seconds = seconds});
  if (result.end != IsolatedResult::End::kReturned) return;
  const Json json = Json::parse(result.said);
  verdict->ops = json["ops"].get<uint64_t>();
  verdict->minimal = json["minimal"].get<bool>();
  verdict->confirmed = json["confirmed"].get<bool>();
  verdict->rule = json["rule"].get<std::string>();
  verdict->text = json["text"].get<std::string>();
  verdict->trace = json["trace"].get<std::string>();
}

// What a test program printed, and whether it passed.
struct Ran {
  bool passed = false;  // or time was up before it could fail
  bool in_time = true;
  std::string failed_test;  // "MappingModelTest.AllShortSequences", or how it ended
  double seconds = 0;
};

// `reach` is empty, or the file that takes what is reached.
Ran RunProgram(const std::string& directory, const Program& program, unsigned number,
               const std::string& filter, double seconds, const std::string& reach = "") {
  const IsolatedResult result = proptests::RunIsolated(
      [&](proptests::Notes*) -> std::string {
        const std::string command = absl::StrCat(
            "cd '", directory, "' && ", reach.empty() ? "" : "UVM_MUTANT_REACH=", reach,
            " UVM_MUTANT=", number, " timeout ", seconds, " ./proptests/mutants/judge_",
            program.name, " --gtest_fail_fast --gtest_brief=1",
            filter.empty() ? "" : absl::StrCat(" --gtest_filter='", filter, "'"), " 2>&1");
        FILE* pipe = popen(command.c_str(), "r");
        if (pipe == nullptr) return "cannot be started\nstatus -1";
        std::string text;
        char line[1024];
        while (std::fgets(line, sizeof line, pipe) != nullptr) {
          if (absl::StrContains(line, "[  FAILED  ]") && text.empty()) text = line;
        }
        const int status = pclose(pipe);
        return absl::StrCat(text, "\nstatus ", status);
      },
      {.seconds = seconds + 5, .bytes = 0});
  Ran ran;
  ran.seconds = result.seconds;
  // 124: `timeout` ended it.
  ran.in_time = !absl::EndsWith(result.said, absl::StrCat("\nstatus ", 124 << 8));
  ran.passed = absl::EndsWith(result.said, "\nstatus 0") || !ran.in_time;
  const std::string mark = "[  FAILED  ] ";
  const size_t at = result.said.find(mark);
  if (at != std::string::npos) {
    const size_t begin = at + mark.size();
    ran.failed_test = result.said.substr(begin, result.said.find_first_of(" ,\n", begin) - begin);
  } else if (!ran.passed) {
    ran.failed_test = "its end";
  }
  return ran;
}

// No program takes so long; one that does, and takes a tenth of it without the mutant, hangs. Where
// less time is left it is given that, and what it did then still tells if it was this much.
constexpr double kProgramSeconds = 30;
constexpr double kTellingSeconds = 10;

// Runs a program until a test fails that passes without the mutant. True: one did, or it hangs.
bool RunForEvidence(const std::string& directory, const Program& program, unsigned number,
                    double left, Verdict* verdict) {
  std::string without = "*-";  // tests that fail anyway
  while (left > 0) {
    const double limit = std::min(left, kProgramSeconds);
    const Ran ran = RunProgram(directory, program, number, without, limit);
    left -= ran.seconds;
    verdict->seconds += ran.seconds;
    if (ran.passed && (ran.in_time || limit < kTellingSeconds || number == 0)) return false;
    const bool named = absl::StrContains(ran.failed_test, '.');
    const Ran control =
        number == 0
            ? Ran{}
            : RunProgram(directory, program, 0, named ? ran.failed_test : without, kProgramSeconds);
    const bool hangs = ran.passed && control.passed && control.seconds < limit / 10;
    if (number == 0 || hangs || (!ran.passed && control.passed)) {
      verdict->kind = Verdict::Kind::kKilled;
      verdict->lane = program.name;
      verdict->rule = hangs ? "its end" : ran.failed_test;
      verdict->confirmed = number != 0;
      return true;
    }
    if (!named) return false;
    absl::StrAppend(&without, ":", ran.failed_test);
  }
  return false;
}

bool Among(const std::vector<std::string>& lanes, const std::string& lane) {
  return std::find(lanes.begin(), lanes.end(), lane) != lanes.end();
}

enum class Which : uint8_t { kNear, kOthers };

bool RunPrograms(const Mutant& mutant, const JudgeOptions& options, Which which, Verdict* verdict) {
  double left = options.seconds - verdict->seconds;
  for (const Program& program : kPrograms) {
    if (options.programs.empty()) return false;
    if (IsNear(mutant, program) != (which == Which::kNear)) continue;
    // Without a mutant all must pass.
    const bool wanted = options.lanes.empty() ? mutant.number == 0 || mutant.DoesNothing() ||
                                                    absl::StartsWith(mutant.file, program.package)
                                              : Among(options.lanes, program.name);
    if (!wanted) continue;
    const double before = verdict->seconds;
    if (left <= 0) return false;
    if (RunForEvidence(options.programs, program, mutant.number, left, verdict)) return true;
    left -= verdict->seconds - before;
  }
  return false;
}

}  // namespace

namespace {

// The mutant that is selected meets that campaign. True: it was noticed.
bool MeetCampaign(const Campaign& campaign, const JudgeOptions& options, uint64_t round,
                  uint64_t scale, Verdict* verdict, CampaignOptions* how, Found* found) {
  const double left = options.seconds - verdict->seconds;
  if (left <= 0) return false;
  if (!options.lanes.empty() && !Among(options.lanes, campaign.name)) return false;
  *how = OptionsOf(campaign, options.seed + round);
  *found = selected_mutant == 0 ? Meet(*how, campaign.ops * scale, left)
                                : MeetEvidence(*how, campaign.ops * scale, left);
  verdict->seconds += found->seconds;
  if (!found->failure) return false;
  verdict->kind = Verdict::Kind::kKilled;
  verdict->lane = campaign.name;
  verdict->rule = proptests::FingerprintText(found->failure->print);
  verdict->text = found->failure->text;
  verdict->confirmed = selected_mutant != 0;  // the case passes without
  return true;
}

}  // namespace

Verdict Judge(const Mutant& mutant, const JudgeOptions& options) {
  Verdict verdict;
  SelectMutant(mutant.number);
  // A bug in the model must be noticed by what real systems did, not by the system under test.
  const bool of_model = absl::StartsWith(mutant.file, "model/");
  uint64_t scale = 1;
  for (uint64_t round = 0; round < options.rounds && verdict.seconds < options.seconds;
       ++round, scale *= 4) {
    for (const Campaign& campaign : kCampaigns) {
      if (of_model) break;
      CampaignOptions how;
      Found found;
      if (MeetCampaign(campaign, options, round, scale, &verdict, &how, &found)) {
        if (options.shrink) ShrinkIsolated(mutant, how, found, 60, &verdict);
        return verdict;
      }
      // The first campaign notices most mutants; of the others, many were made with a test.
      if (round == 0 && &campaign == &kCampaigns[0] &&
          RunPrograms(mutant, options, Which::kNear, &verdict)) {
        return verdict;
      }
    }
    if (of_model && RunPrograms(mutant, options, Which::kNear, &verdict)) return verdict;
    if (round == 0 && RunPrograms(mutant, options, Which::kOthers, &verdict)) return verdict;
    if (of_model) break;
  }
  return verdict;
}

std::vector<LaneReach> ReachOfLanes(const std::string& directory, const JudgeOptions& options) {
  std::vector<LaneReach> lanes;
  for (const Campaign& campaign : kCampaigns) {
    LaneReach lane{campaign.name, 0, absl::StrCat(directory, "/", campaign.name, ".reach")};
    const CampaignOptions how = OptionsOf(campaign, options.seed);
    const IsolatedResult result = proptests::RunIsolated(
        [&](proptests::Notes* notes) {
          NoteReach(lane.path);
          return RunCases(how, campaign.ops, notes);
        },
        {.seconds = options.seconds});
    lane.seconds = result.seconds;
    lanes.push_back(lane);
  }
  for (const Program& program : kPrograms) {
    if (options.programs.empty()) break;
    LaneReach lane{program.name, 0, absl::StrCat(directory, "/", program.name, ".reach")};
    lane.seconds = RunProgram(options.programs, program, 0, "", options.seconds, lane.path).seconds;
    lanes.push_back(lane);
  }
  return lanes;
}

}  // namespace mutants
