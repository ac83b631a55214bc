// tools/import/import.h: real programs into traces: from a recording, or by running the program.
//
// WHAT     ImportStrace reads the output of `strace -f`, ImportLackey the logs of valgrind's lackey
// tool, one a process.
//          Record runs a program under one of the two. Each gives a trace of BSD tasks and a
//          report. What the trace cannot express is in the report, by kind; nothing is dropped
//          silently. Contents are never recorded: bytes are synthesised when the trace runs
//          (base/pattern.h), and the trace's header says so.
// INVARIANTS  Traces hold base names only, no paths, no arguments. Nothing is left on disk,
// whatever happens. SEE      docs/LINUX.md for every rule; README.md for the order in which
// processes are joined.

#ifndef TOOLS_IMPORT_IMPORT_H_
#define TOOLS_IMPORT_IMPORT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "traces/trace.h"

namespace tools {

struct ImportReport {
  using Counts = std::map<std::string, uint64_t>;

  std::string source;  // "strace" or "lackey"
  uint64_t lines = 0;  // lines read
  Counts expressed;    // operations in the trace, by kind
  Counts
      not_expressed;  // "mlock: no operation", "mmap: failed with EBADF" ...: absent from the trace
  Counts altered;  // "mmap: MAP_NORESERVE dropped" ...: in the trace, with another meaning or less
  Counts touches_outside;  // touches that hit no region or lack the right, by kind: absent from the
                           // trace
  uint64_t expectations = 0;   // operations that carry the host's outcome
  uint64_t ignored_calls = 0;  // calls that have nothing to do with memory
  uint64_t processes = 0;
  uint64_t threads = 0;           // beyond the first of each process
  uint64_t execs_observed = 0;    // initial maps read from the process
  uint64_t execs_inferred = 0;    // initial maps derived
  uint64_t valgrind_regions = 0;  // regions of initial maps that are Valgrind's own, left out
  bool ran = false;               // Record: the program ran, and ended with
  int exit_status = 0;            //   this status, or 128 + the signal that killed it

  // A dozen lines or more, for people.
  std::string ToText() const;
  // The same for machines; names as the fields above.
  nlohmann::json ToJson() const;
};

struct ImportOptions {
  // Name of the trace (its title is `name: what`); empty = the program's base name.
  std::string name;
  // What it shows and how it was made, for the title; empty = a sentence made up from the program's
  // name.
  std::string what;
};

// The output of `strace -f [-y] [-o FILE]` with at least the memory and process calls. Where
// program files named there exist on this machine, their headers say what exec mapped. Errors:
// NotFound (unreadable), InvalidArgument "FILE:LINE: expected ..., found ...". *report is filled in
// on success.
absl::StatusOr<traces::Trace> ImportStrace(const std::string& path, const ImportOptions& options,
                                           ImportReport* report);

// Logs of `valgrind --tool=lackey --trace-mem=yes --trace-syscalls=yes --trace-children=yes
// --log-file=F.%p`, one a process, in any order. Errors as above.
absl::StatusOr<traces::Trace> ImportLackey(const std::vector<std::string>& paths,
                                           const ImportOptions& options, ImportReport* report);

struct RecordOptions {
  bool touches = false;           // page accesses too: under valgrind instead of strace
  std::vector<std::string> argv;  // the program (looked up in PATH) and its arguments
  ImportOptions import = {};
};

// Runs a program to its end, its standard streams being ours, and imports what it did. Its own exit
// status is in the report and is no error. Errors: InvalidArgument (no program given), NotFound
// (program, strace or valgrind missing), FailedPrecondition (tracing is not permitted here),
// Internal (the tracer failed).
absl::StatusOr<traces::Trace> Record(const RecordOptions& options, ImportReport* report);

}  // namespace tools

#endif  // TOOLS_IMPORT_IMPORT_H_
