// vmsim exhaust: every short sequence of operations on a few tasks and pages.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proptests/engine/exhaust.h"
#include "proptests/engine/machine_text.h"
#include "proptests/engine/run.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/options.h"
#include "tools/report.h"
#include "traces/codec.h"

namespace tools {
namespace {

using proptests::ExhaustOptions;
using proptests::ExhaustResult;

struct ExhaustFlags {
  MachineFlags machine;
  uint64_t tasks = 2;
  uint64_t pages = 2;
  uint64_t depth = 4;
  bool list = false;
  bool json = false;
  std::string save;
};

constexpr const char* kEpilogue =
    "Examples:\n"
    "  ./vmsim exhaust --depth 4                       every sequence of four operations\n"
    "  ./vmsim exhaust --tasks 2 --pages 2 --depth 6   minutes\n"
    "  ./vmsim exhaust --depth 5 --canary fork_skips_write_protect   is a bug found?\n"
    "  ./vmsim exhaust --depth 4 --pmap forgetful      on a pmap that takes all liberties\n"
    "  ./vmsim exhaust --list                          the operations that are tried\n\n"
    "All sequences that begin with one empty task are gone through, breadth first. A state that\n"
    "was met before, by a hash of the model's and the system's state, is not gone into again.\n"
    "Every operation is compared with the model, every new state as a whole; then all tasks "
    "leave,\n"
    "and nothing may be left behind. The first failure is one of a shortest sequence.\n";

void Declare(Options* options, ExhaustFlags* flags) {
  options->Number("tasks", &flags->tasks, 1, 4, "tasks alive at once, at most");
  options->Number("pages", &flags->pages, 1, 4, "pages that operations are about");
  options->Number("depth", &flags->depth, 1, 12, "operations in a sequence");
  options->Switch("list", &flags->list, "print the operations that are tried, and stop");
  flags->machine.Declare(options);
  options->Text("o", &flags->save, "S.trace",
                "where to save the trace of a failure; else a new file here");
  options->Switch("json", &flags->json, "one JSON object on standard output");
  options->Epilogue(kEpilogue);
}

void PrintAlphabet(const ExhaustFlags& flags) {
  const proptests::Alphabet alphabet = proptests::MakeAlphabet(static_cast<uint32_t>(flags.tasks),
                                                               static_cast<uint32_t>(flags.pages));
  for (const traces::Op& op : alphabet.ops) {
    Print(absl::StrCat(traces::FormatOp(op, alphabet.files), "\n"));
  }
  Print(absl::StrCat(alphabet.ops.size(), " operations of ", alphabet.kinds(),
                     " kinds; ~N is the N-th live task\n"));
}

std::string LevelsText(const ExhaustResult& result) {
  std::string text = "  depth        states    transitions\n";
  for (size_t depth = 0; depth < result.levels.size(); ++depth) {
    const proptests::ExhaustLevel& level = result.levels[depth];
    absl::StrAppend(&text, absl::StrFormat("  %5d %13s  %13s\n", depth, Grouped(level.states),
                                           Grouped(level.transitions)));
  }
  return text;
}

Json ResultJson(const ExhaustFlags& flags, const ExhaustResult& result, double seconds) {
  Json json = PlainResultJson(result.transitions, seconds);
  if (result.failure) json["result"] = proptests::FailureClassName(result.failure->print.cls);
  json["hash"] = HashText(result.hash);
  json["tasks"] = flags.tasks;
  json["pages"] = flags.pages;
  json["depth"] = flags.depth;
  json["states"] = result.states;
  json["transitions"] = result.transitions;
  Json levels = Json::array();
  for (const proptests::ExhaustLevel& level : result.levels) {
    levels.push_back({{"states", level.states}, {"transitions", level.transitions}});
  }
  json["levels"] = levels;
  return json;
}

int Finish(const ExhaustFlags& flags, const ExhaustOptions& options, const ExhaustResult& result,
           double seconds) {
  const auto rate = static_cast<uint64_t>(static_cast<double>(result.transitions) / seconds);
  Json json = ResultJson(flags, result, seconds);
  if (!flags.json) Print(LevelsText(result));
  if (!result.failure) {
    if (flags.json) {
      Print(json.dump(2) + "\n");
    } else {
      Print(absl::StrCat(Green("PASS"), " ", Grouped(result.states), " states, ",
                         Grouped(result.transitions), " transitions in ",
                         absl::StrFormat("%.2f s, ", seconds), Grouped(rate),
                         " transitions a second, hash ", HashText(result.hash), "\n"));
    }
    return kExitPass;
  }
  const proptests::Failure& failure = *result.failure;
  const std::vector<std::string> files =
      proptests::MakeAlphabet(options.tasks, options.pages).files;
  proptests::RunOptions run = options.run;
  run.whole_every = 1;
  Diagnosis diagnosis = Diagnose(result.ops, files, run, failure,
                                 {.origin = absl::StrCat("exhaust, depth ", result.ops.size() - 1),
                                  .path = flags.save,
                                  .machine = flags.machine});
  if (flags.json) {
    json["failure"] = DiagnosisJson(diagnosis);
    Print(json.dump(2) + "\n");
  } else {
    Print(absl::StrCat(Red("FAIL"), " ", proptests::FingerprintText(failure.print), " after ",
                       result.ops.size(), " operations, found in ", Grouped(result.transitions),
                       " transitions, ", absl::StrFormat("%.2f s", seconds), "\n",
                       DiagnosisText(diagnosis)));
  }
  return static_cast<int>(failure.print.cls);
}

}  // namespace

int ExhaustCommand(const Arguments& arguments) {
  ExhaustFlags flags;
  Options parser("exhaust", "", "every short sequence of operations, system against model");
  Declare(&parser, &flags);
  std::vector<std::string> operands;
  if (auto end = ParseOrEnd(&parser, arguments, &operands)) return *end;
  if (!operands.empty()) {
    return PrintError(absl::InvalidArgumentError(absl::StrCat(
        "\"", operands.front(), "\" is not an option; `vmsim exhaust` takes no files")));
  }
  if (flags.list) {
    PrintAlphabet(flags);
    return kExitPass;
  }
  ExhaustOptions options;
  constexpr uint64_t kFrames = 1024;
  absl::Status status = flags.machine.Apply(kFrames, 1, &options.run);
  if (status.ok()) status = proptests::MayBeTakenBack(options.run.machine.swap);
  if (!status.ok()) return PrintError(status);
  options.tasks = static_cast<uint32_t>(flags.tasks);
  options.pages = static_cast<uint32_t>(flags.pages);
  options.depth = static_cast<uint32_t>(flags.depth);
  ProgressLine progress("exhaust", 0);
  options.progress = [&](uint64_t done) { progress.Show(done); };
  if (!flags.json) {
    Print(absl::StrCat(flags.tasks, " tasks, ", flags.pages, " pages, depth ", flags.depth, ", ",
                       proptests::MakeAlphabet(options.tasks, options.pages).ops.size(),
                       " operations in every state\n"));
  }
  Stopwatch watch;
  const ExhaustResult result = proptests::Exhaust(options);
  const double seconds = watch.Seconds();
  progress.Clear();
  return Finish(flags, options, result, seconds);
}

}  // namespace tools
