// vmsim explore: small concurrent programs under many schedules.

#include <unistd.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proptests/engine/concurrent_program.h"
#include "proptests/engine/explore.h"
#include "proptests/engine/linearize.h"
#include "proptests/engine/machine_text.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/options.h"
#include "tools/report.h"
#include "traces/codec.h"
#include "traces/op.h"

namespace tools {
namespace {

using proptests::ExploreOptions;
using proptests::ExploreResult;
using proptests::ScheduleKind;

struct ExploreFlags {
  MachineFlags machine;
  std::string schedule = "pct";
  uint64_t depth = 3;
  uint64_t threads = 3;
  uint64_t ops = 10;
  uint64_t pages = 3;
  uint64_t threads_per_task = 1;
  uint64_t schedules = 10000;
  uint64_t per_program = 64;
  uint64_t seed = 1;
  uint64_t first_program = 0;
  bool pressure = false;
  bool json = false;
  std::string save;
};

constexpr const char* kEpilogue =
    "Examples:\n"
    "  ./vmsim explore --schedules 100k                          3 threads of 10 operations\n"
    "  ./vmsim explore --schedule dfs --depth 2 --threads 2 --ops 3\n"
    "  ./vmsim explore --canary fault_skips_amap_lock            is a missing lock found?\n"
    "  ./vmsim explore --pressure --schedule random              against the page daemon\n"
    "  ./vmsim explore --pmap refusing                           no mapping can be relied on\n"
    "  ./vmsim explore --threads-per-task 3                      threads of one task, too\n"
    "  ./vmsim explore two.trace                                 that program alone\n"
    "  ./vmsim explore failure.trace                             ... under the schedule it "
    "names\n\n"
    "Threads are clients of the server that share memory by inheritance, by files, or had it\n"
    "copied, or are of one task. What each operation answered has to be right in one order of all "
    "of them that keeps\n"
    "\"ended before the other began\", or in one for each page. A trace's threads begin at "
    "comments\n"
    "`# thread`; comments `# schedule ...` hold the schedule of a failure that was saved.\n\n"
    "Schedules:\n"
    "  random  any thread that can run, each as likely, at each point\n"
    "  pct     priorities that change at --depth - 1 places\n"
    "  urw     each interleaving as likely as any other, by the steps of a trial run\n"
    "  dfs     one after the other, those with at most --depth preemptions\n";

void Declare(Options* options, ExploreFlags* flags) {
  constexpr uint64_t kAny = ~uint64_t{0};
  options->Text("schedule", &flags->schedule, "KIND", "random, pct, urw or dfs");
  options->Number("depth", &flags->depth, 1, 64, "of pct and dfs, see below");
  options->Number("threads", &flags->threads, 1, 8, "threads of a program");
  options->Number("ops", &flags->ops, 1, 64, "operations of a thread");
  options->Number("pages", &flags->pages, 1, 64, "pages that a program is about");
  options->Number("threads-per-task", &flags->threads_per_task, 1, traces::kMaxThreads,
                  "threads that are of one task, at most");
  options->Number("schedules", &flags->schedules, 1, uint64_t{1} << 40, "schedules to run");
  options->Number("per-program", &flags->per_program, 1, uint64_t{1} << 40,
                  "schedules for each program that is drawn");
  options->Number("seed", &flags->seed, 0, kAny, "of programs and schedules");
  options->Number("program", &flags->first_program, 0, kAny, "number of the first program");
  options->Switch("pressure", &flags->pressure,
                  "memory is scarce, with swap: --frames and --swap say how much there is");
  flags->machine.DeclareMachine(options);
  options->Text("o", &flags->save, "S.trace",
                "where to save the program and schedule of a failure; else a new file here");
  options->Switch("json", &flags->json, "one JSON object on standard output");
  options->Epilogue(kEpilogue);
}

absl::Status KindOf(const std::string& name, ScheduleKind* kind) {
  struct Row {
    const char* name;
    ScheduleKind kind;
  };
  constexpr Row kRows[] = {{"random", ScheduleKind::kRandom},
                           {"pct", ScheduleKind::kPct},
                           {"urw", ScheduleKind::kUniform},
                           {"dfs", ScheduleKind::kDepthFirst}};
  for (const Row& row : kRows) {
    if (name != row.name) continue;
    *kind = row.kind;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("there is no kind of schedule \"", name, "\"; there are random, pct, urw, dfs"));
}

absl::Status Apply(const ExploreFlags& flags, const std::vector<std::string>& files,
                   ExploreOptions* options) {
  constexpr uint64_t kFrames = 1024;
  MachineFlags machine = flags.machine;
  if (flags.pressure && machine.frames == 0) machine.frames = proptests::kPressureFrames;
  if (flags.pressure && machine.swap.empty()) machine.swap = "256,256";
  absl::Status status = machine.Apply(kFrames, 1, &options->run);
  if (!status.ok()) return status;
  status = proptests::MayBeTakenBack(options->run.machine.swap);
  if (!status.ok()) return status;
  status = KindOf(flags.schedule, &options->kind);
  if (!status.ok()) return status;
  options->depth = static_cast<uint32_t>(flags.depth);
  options->schedules = flags.schedules;
  options->per_program = flags.per_program;
  options->draw.seed = flags.seed;
  options->draw.index = flags.first_program;
  options->draw.threads = static_cast<uint32_t>(flags.threads);
  options->draw.ops = static_cast<uint32_t>(flags.ops);
  options->draw.pages = static_cast<uint32_t>(flags.pages);
  options->draw.threads_per_task = static_cast<uint32_t>(flags.threads_per_task);
  if (flags.pressure) options->draw.hog_pages = static_cast<uint32_t>(machine.frames);
  if (!options->run.machine.swap.empty())
    options->draw.swap_devices = static_cast<uint32_t>(options->run.machine.swap.size());
  if (files.empty()) return absl::OkStatus();
  if (files.size() > 1) return absl::InvalidArgumentError("one trace at a time can be explored");
  auto trace = traces::ReadTraceFile(files.front());
  if (!trace.ok()) return trace.status();
  auto read = proptests::ProgramOfTrace(*trace);
  if (!read.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(files.front(), ": ", read.status().message()));
  }
  options->program = std::move(read->program);
  options->schedule = std::move(read->schedule);
  return absl::OkStatus();
}

Json ToJson(const ExploreFlags& flags, const ExploreResult& result, double seconds) {
  Json json = PlainResultJson(result.ops, seconds);
  if (result.failed)
    json["result"] = proptests::FailureClassName(result.failed->failure->print.cls);
  json["seed"] = flags.seed;
  json["hash"] = HashText(result.hash);
  json["schedule"] = flags.schedule;
  json["programs"] = result.programs;
  json["schedules"] = result.schedules;
  json["distinct_schedules"] = result.distinct;
  json["complete_programs"] = result.complete;
  json["schedules_per_second"] = seconds > 0 ? static_cast<double>(result.schedules) / seconds : 0;
  json["decisions"] = result.decisions;
  json["page_by_page"] = result.page_by_page;
  json["unjudged"] = result.unjudged;
  json["rewind_pages"] = result.pages_stored_to;
  const proptests::FailureClass cls =
      result.failed ? result.failed->failure->print.cls : proptests::FailureClass::kNone;
  json["deadlocks"] = cls == proptests::FailureClass::kLiveness ? 1 : 0;
  json["violations"] = cls == proptests::FailureClass::kStructure ? 1 : 0;
  json["crashes"] = cls == proptests::FailureClass::kCrash ? 1 : 0;
  const bool order = result.failed && result.failed->failure->print.rule == "HistoryIsLinearizable";
  json["not_linearizable"] = order ? 1 : 0;
  return json;
}

std::string FreeName() {
  std::string path = "explored.trace";
  for (int i = 2; access(path.c_str(), F_OK) == 0; ++i)
    path = absl::StrCat("explored_", i, ".trace");
  return path;
}

std::string Summary(const ExploreResult& result, double seconds) {
  return absl::StrCat(
      "  ", Grouped(result.programs), " programs, ", Grouped(result.schedules), " schedules (",
      Grouped(result.distinct), " different ones), ", Grouped(result.ops), " operations, ",
      Grouped(result.decisions), " decisions\n  ", Grouped(result.page_by_page),
      " histories have an order for each page only, ", Grouped(result.unjudged),
      " nobody can judge; ", Grouped(result.complete),
      " programs have no other schedule; bringing a machine back copies ", result.pages_stored_to,
      " pages\n  hash ", HashText(result.hash), ", ",
      Grouped(static_cast<uint64_t>(static_cast<double>(result.schedules) / seconds)),
      " schedules a second\n");
}

// Made small, written down, and run again from what was written.
int Fail(const ExploreFlags& flags, const ExploreOptions& options, const ExploreResult& found,
         Json json) {
  Stopwatch watch;
  const proptests::SmallExploration small = proptests::ShrinkExploration(options, found);
  const double seconds = watch.Seconds();
  const proptests::Failure& failure = *small.result.failure;
  const std::string path = flags.save.empty() ? FreeName() : flags.save;
  const std::string name = path.substr(path.rfind('/') + 1);
  const std::string title = absl::StrCat(name.substr(0, name.rfind('.')), ": ",
                                         proptests::FingerprintText(failure.print));
  const traces::Trace trace =
      proptests::TraceOfProgram(small.program, title, &small.result.decisions);
  const bool saved = traces::WriteTraceFile(path, trace).ok();
  ExploreOptions again = options;
  again.program = small.program;
  again.schedule = small.result.decisions;
  const ExploreResult rerun = proptests::Explore(again);
  const bool reproduced = rerun.failed && rerun.failed->failure->print == failure.print;
  const std::string replay = absl::StrCat("./vmsim explore", flags.pressure ? " --pressure" : "",
                                          flags.machine.Repeat(), " ", path);
  if (flags.json) {
    json["failure"] = {{"class", proptests::FailureClassName(failure.print.cls)},
                       {"rule", failure.print.rule},
                       {"text", failure.text},
                       {"program", found.programs - 1 + flags.first_program},
                       {"shrunk_ops", small.program.size()},
                       {"shrunk_decisions", small.result.decisions.deviations.size()},
                       {"shrink_runs", small.executions},
                       {"shrink_seconds", seconds},
                       {"reproduced", reproduced},
                       {"trace", traces::FormatTrace(trace)},
                       {"saved_as", saved ? path : ""},
                       {"replay", replay}};
    Print(json.dump(2) + "\n");
    return static_cast<int>(failure.print.cls);
  }
  Print(absl::StrCat(
      Red("FAIL"), " ", proptests::FingerprintText(failure.print), " in schedule ",
      Grouped(found.schedules), "\n\n", failure.text, "\nShrunk to ", small.program.size(),
      " operations and ", small.result.decisions.deviations.size(),
      " decisions that are not the default schedule's, in ", Grouped(small.executions), " runs, ",
      absl::StrFormat("%.3f s", seconds), ":\n\n", traces::FormatTrace(trace), "\n",
      proptests::HistoryText(small.result.history), "\n",
      saved ? absl::StrCat("Saved as ", path, reproduced ? "" : " (it does not fail alike)",
                           ". Show it again:\n  ", replay, "\n")
            : "It could not be saved here.\n"));
  return static_cast<int>(failure.print.cls);
}

}  // namespace

int ExploreCommand(const Arguments& arguments) {
  ExploreFlags flags;
  Options parser("explore", "[T.trace]", "concurrent clients under many schedules");
  Declare(&parser, &flags);
  std::vector<std::string> operands;
  if (auto end = ParseOrEnd(&parser, arguments, &operands)) return *end;
  ExploreOptions options;
  absl::Status status = Apply(flags, operands, &options);
  if (!status.ok()) return PrintError(status);
  const bool listed = options.schedule.has_value();
  if (!flags.json) {
    Print(listed ? "one schedule, as the trace says\n"
                 : absl::StrCat("seed ", flags.seed, ", ", Grouped(flags.schedules), " schedules (",
                                flags.schedule, ", depth ", flags.depth, "), ",
                                options.program
                                    ? absl::StrCat(options.program->threads.size(),
                                                   " threads as the trace says")
                                    : absl::StrCat(flags.threads, " threads of ", flags.ops,
                                                   " operations, ", flags.pages, " pages"),
                                "\n"));
  }
  ProgressLine progress("explore", flags.schedules);
  options.progress = [&](uint64_t done) { progress.Show(done); };
  Stopwatch watch;
  const ExploreResult result = proptests::Explore(options);
  const double seconds = watch.Seconds();
  progress.Clear();
  Json json = ToJson(flags, result, seconds);
  if (!flags.json) Print(Summary(result, seconds));
  if (result.failed && listed) {
    const proptests::Failure& failure = *result.failed->failure;
    if (flags.json) {
      json["failure"] = {{"class", proptests::FailureClassName(failure.print.cls)},
                         {"rule", failure.print.rule},
                         {"text", failure.text}};
      Print(json.dump(2) + "\n");
    } else {
      Print(absl::StrCat(Red("FAIL"), " ", proptests::FingerprintText(failure.print), "\n\n",
                         failure.text, "\n", proptests::HistoryText(result.failed->history)));
    }
    return static_cast<int>(failure.print.cls);
  }
  if (result.failed) return Fail(flags, options, result, std::move(json));
  Print(flags.json ? json.dump(2) + "\n"
                   : absl::StrCat(Green("PASS"), " nobody was stuck, every history has an order, ",
                                  absl::StrFormat("%.2f s\n", seconds)));
  return kExitPass;
}

}  // namespace tools
