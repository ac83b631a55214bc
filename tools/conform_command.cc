// vmsim conform: what real kernels were recorded to do, against the simulated one.

#include <sstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "conform/conform.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/options.h"

namespace tools {
namespace {

constexpr const char* kEpilogue =
    "Prints `FILE: agree N of M (K by named differences: NAME xK, ...)` for each file, then the\n"
    "first disagreement, and how much was not compared and why. M is fixed by the file; what\n"
    "follows a difference within its sequence is not compared. A named difference is a row of\n"
    "docs/DIFFERENCES.md. Exit code 17 when a step disagrees, 1 when a file cannot be read;\n"
    "recordings of a kernel that no profile imitates (mung) are informative and never give 17.\n"
    "Files are sequences of map, unmap and touch, measured facts (ipc_syscall_facts), or prefixes\n"
    "(manual_prefix, which has profiles of its own and needs its recordings beside it).\n"
    "Examples:\n"
    "  ./vmsim conform l4 --quirks pistachio-new-mdb conform/testdata/newmdb_4k.txt.gz\n"
    "  ./vmsim conform l4 conform/testdata/manual_prefix.txt.gz\n"
    "  ./vmsim conform --count l4 newmdb_4k.txt oldmdb_4k.txt\n";

}  // namespace

int ConformCommand(const Arguments& arguments) {
  conform::ConformOptions wanted;
  Options options("conform", "l4 FILE...",
                  "runs recordings of a real kernel, plain or .gz, on the simulated one");
  options.Text("quirks", &wanted.quirks, "PROFILE",
               absl::StrCat("whose rules the kernel follows: ", conform::ProfileNames()));
  options.Switch("count", &wanted.count_only, "only print each file's M, from the parser alone");
  options.Switch("json", &wanted.json, "one JSON object on standard output");
  options.Epilogue(kEpilogue);
  auto files = options.Parse(arguments);
  if (!files.ok()) return PrintError(files.status());
  if (options.help_wanted()) {
    Print(options.HelpText());
    return kExitPass;
  }
  if (files->empty() || files->front() != "l4") {
    return PrintError(absl::InvalidArgumentError(
        absl::StrCat("expected the kind of recording, l4, then files, found ",
                     files->empty() ? "nothing" : absl::StrCat("\"", files->front(), "\""),
                     "; see vmsim conform --help")));
  }
  files->erase(files->begin());
  const Stopwatch stopwatch;
  wanted.seconds = [&stopwatch] { return stopwatch.Seconds(); };
  std::ostringstream out, problems;
  const int exit_code = conform::ConformL4(*files, wanted, out, problems);
  for (const absl::string_view line : absl::StrSplit(problems.str(), '\n', absl::SkipEmpty())) {
    PrintError(absl::InvalidArgumentError(line));
  }
  Print(out.str());
  return exit_code;
}

}  // namespace tools
