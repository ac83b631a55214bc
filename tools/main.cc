// vmsim: one command-line program over the whole system. `vmsim --help` lists the commands.

#include <algorithm>
#include <cstdio>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tools/commands.h"
#include "tools/console.h"

namespace tools {
namespace {

struct Command {
  const char* name;
  int (*run)(const Arguments&);
  const char* what;
};

constexpr Command kCommands[] = {
    {"record", RecordCommand,
     "record a real program's memory calls, and page accesses with --touches"},
    {"import", ImportCommand, "make a trace of a recording: strace or lackey output"},
    {"replay", ReplayCommand,
     "run traces through the system and the model, compare, print what they cost"},
    {"run", RunCommand, "random operations, system against model"},
    {"explore", ExploreCommand, "concurrent clients under many schedules"},
    {"exhaust", ExhaustCommand, "every short sequence of operations, system against model"},
    {"findings", FindingsCommand, "list what campaigns found"},
    {"merge", MergeCommand, "join the results of a campaign's shards"},
    {"shrink", ShrinkCommand, "find the smallest trace with the same failure"},
    {"diff", DiffCommand, "where two runs first differ, by the chains they wrote"},
    {"diagram", DiagramCommand, "draw a trace's operations against an address ruler"},
    {"policy", PolicyCommand, "page replacement policies over a recorded program's touches"},
    {"coverage", CoverageCommand, "which lines and branches random operations reach"},
    {"mutants", MutantsCommand, "deliberate bugs in the system: who notices, how fast?"},
    {"conform", ConformCommand, "run recordings of a real kernel on the simulated one, compare"},
};

std::string Overview() {
  std::string text =
      "vmsim: UVM on a simulated L4 kernel, checked against a reference model.\n\n"
      "Usage: vmsim COMMAND [OPTIONS] ...; vmsim COMMAND --help explains one command.\n\n";
  for (const Command& command : kCommands) {
    std::string name = command.name;
    name.resize(10, ' ');
    absl::StrAppend(&text, "  ", name, command.what, "\n");
  }
  absl::StrAppend(&text,
                  "\nFor a start:\n  ./vmsim record -o /tmp/sort.trace -- sort /etc/services\n"
                  "  ./vmsim replay /tmp/sort.trace\n  ./vmsim run --seed 1 --ops 1m\n");
  return text;
}

int Main(int argc, char** argv) {
  Arguments arguments(argv + 1, argv + argc);
  if (arguments.empty()) {
    std::fputs(Overview().c_str(), stderr);
    return kExitUsage;
  }
  std::string name = arguments.front();
  if (name == "--help" || name == "-h" || name == "help") {
    Print(Overview());
    return kExitPass;
  }
  for (const Command& command : kCommands) {
    if (name != command.name) continue;
    arguments.erase(arguments.begin());
    // Known before the options are parsed, since they may be what is wrong.
    const auto own_end = std::find(arguments.begin(), arguments.end(), "--");
    if (std::find(arguments.begin(), own_end, "--json") != own_end) WantJsonErrors();
    return command.run(arguments);
  }
  return PrintError(absl::InvalidArgumentError(
      absl::StrCat("there is no command \"", name, "\"; vmsim --help lists them")));
}

}  // namespace
}  // namespace tools

int main(int argc, char** argv) {
  const int code = tools::Main(argc, argv);
  // A verdict that nobody could read is none.
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fputs("vmsim: error: standard output cannot be written\n", stderr);
  return code == tools::kExitPass ? tools::kExitUsage : code;
}
