// vmsim conform: what real kernels were recorded to do, against the ones built here.

#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "conform/conform.h"
#include "conform/mach.h"
#include "conform/uvm_conform.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/options.h"

namespace tools {
namespace {

constexpr const char* kEpilogue =
    "Prints `FILE: agree N of M (K by named differences: NAME xK, ...)` for each file, then the\n"
    "first disagreement, and how much was not compared and why. M is fixed by the file; what\n"
    "follows a difference within its sequence is not compared. A named difference is a row of\n"
    "docs/DIFFERENCES.md. Exit code 17 when a step disagrees, 1 when a file cannot be read.\n"
    "l4: files are sequences of map, unmap and touch, measured facts (ipc_syscall_facts), or\n"
    "prefixes (manual_prefix, which has profiles of its own and needs its recordings beside it).\n"
    "Recordings of a kernel that no profile imitates (mung) are informative and never give 17.\n"
    "uvm: files are sequences recorded from the real NetBSD UVM.\n"
    "mach: files are sequences of vm_*() calls, or single odd calls, recorded from a real GNU "
    "Mach.\n"
    "Examples:\n"
    "  ./vmsim conform l4 --quirks pistachio-new-mdb conform/testdata/newmdb_4k.txt.gz\n"
    "  ./vmsim conform l4 conform/testdata/manual_prefix.txt.gz\n"
    "  ./vmsim conform --count l4 newmdb_4k.txt oldmdb_4k.txt\n"
    "  ./vmsim conform uvm conform/testdata/netbsd_uvm/f_findspace_00.txt.gz\n"
    "  ./vmsim conform mach conform/testdata/gnumach_fork_1.txt.gz\n";

// What the options of all kinds of recordings say.
struct Wanted {
  bool count_only = false;
  bool json = false;
  bool structure = false;
  std::string quirks = conform::ConformOptions().quirks;
};

int Run(const std::string& kind, const std::vector<std::string>& files, const Wanted& wanted) {
  const Stopwatch stopwatch;
  const auto seconds = [&stopwatch] { return stopwatch.Seconds(); };
  std::ostringstream out, problems;
  int exit_code;
  if (kind == "l4") {
    exit_code = conform::ConformL4(files,
                                   {.count_only = wanted.count_only,
                                    .json = wanted.json,
                                    .quirks = wanted.quirks,
                                    .seconds = seconds},
                                   out, problems);
  } else if (kind == "mach") {
    exit_code = conform::ConformMach(
        files, {.count_only = wanted.count_only, .json = wanted.json, .seconds = seconds}, out,
        problems);
  } else {
    exit_code = conform::ConformUvm(files,
                                    {.count_only = wanted.count_only,
                                     .json = wanted.json,
                                     .structure = wanted.structure,
                                     .seconds = seconds},
                                    out, problems);
  }
  for (const absl::string_view line : absl::StrSplit(problems.str(), '\n', absl::SkipEmpty())) {
    PrintError(absl::InvalidArgumentError(line));
  }
  Print(out.str());
  return exit_code;
}

}  // namespace

int ConformCommand(const Arguments& arguments) {
  Wanted wanted;
  Options options("conform", "l4|uvm|mach FILE...",
                  "runs recordings of a real kernel, plain or .gz, on the simulated one");
  options.Text("quirks", &wanted.quirks, "PROFILE",
               absl::StrCat("l4: whose rules the kernel follows: ", conform::ProfileNames()));
  options.Switch("structure", &wanted.structure,
                 "uvm: compare entry boundaries, amaps and counters, too");
  options.Switch("count", &wanted.count_only, "only print each file's M, from the parser alone");
  options.Switch("json", &wanted.json, "one JSON object on standard output");
  options.Epilogue(kEpilogue);
  std::vector<std::string> files;
  if (auto end = ParseOrEnd(&options, arguments, &files)) return *end;
  const bool known = !files.empty() &&
                     (files.front() == "l4" || files.front() == "uvm" || files.front() == "mach");
  if (!known) {
    return PrintError(absl::InvalidArgumentError(
        absl::StrCat("expected the kind of recording, l4, uvm or mach, then files, found ",
                     files.empty() ? "nothing" : absl::StrCat("\"", files.front(), "\""),
                     "; see vmsim conform --help")));
  }
  const std::string kind = files.front();
  files.erase(files.begin());
  return Run(kind, files, wanted);
}

}  // namespace tools
