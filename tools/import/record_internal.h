// tools/import/record_internal.h: what the two recorders share.

#ifndef TOOLS_IMPORT_RECORD_INTERNAL_H_
#define TOOLS_IMPORT_RECORD_INTERNAL_H_

#include <csignal>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/import/event.h"
#include "tools/import/import.h"

namespace tools {

// A directory of our own under TMPDIR that goes away with all that is in it (plain files and
// FIFOs).
class TempDir {
 public:
  TempDir() = default;
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  absl::Status Create();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// While one lives, an interrupt from the terminal (^C, ^\\) is for the recorded program alone: the
// recorder outlives it and keeps what was recorded.
class TerminalSignals {
 public:
  TerminalSignals();
  ~TerminalSignals();
  TerminalSignals(const TerminalSignals&) = delete;
  TerminalSignals& operator=(const TerminalSignals&) = delete;
  // In a child, before it becomes the program.
  static void Unblock();

 private:
  sigset_t ours_;
  sigset_t before_;
};

// The error when `tool` ended with `status` without having run `program`.
absl::Status NotRun(const std::string& tool, const std::string& program, int status);

// The file that a shell would run for `name`. NotFound: one sentence that names it.
absl::StatusOr<std::string> FindProgram(const std::string& name);

// The whole of a file under /proc (whose size is not known beforehand); empty when it cannot be
// read.
std::string ReadProc(const std::string& path);

// What a child process does: replaces itself by argv[0]. Never returns; on failure the status is
// 127.
[[noreturn]] void ExecOrExit(const std::vector<std::string>& argv);

// How waitpid's status reads as a shell's: the exit status, or 128 + the signal.
int ShellStatus(int wait_status);

// argv[0] is the path of the program. Fills in the report's `ran` and `exit_status`.
absl::StatusOr<EventLog> RecordUnderStrace(const std::vector<std::string>& argv,
                                           ImportReport* report);
absl::StatusOr<EventLog> RecordUnderLackey(const std::vector<std::string>& argv,
                                           ImportReport* report);

}  // namespace tools

#endif  // TOOLS_IMPORT_RECORD_INTERNAL_H_
