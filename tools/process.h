// tools/process.h: other programs, for commands that build and run some.
//
// WHAT     Programs are started with their output in files, so that nothing they say mixes with
//          what vmsim says. BuildTargets is `bazel build` of the tree that ./vmsim belongs to.
// LOCKS    One thread.

#ifndef TOOLS_PROCESS_H_
#define TOOLS_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tools {

using Words = std::vector<std::string>;

// A directory that goes away with what is in it.
class WorkDirectory {
 public:
  explicit WorkDirectory(std::string purpose) : purpose_(std::move(purpose)) {}
  ~WorkDirectory();
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;
  // Makes it, in TMPDIR.
  absl::Status Create();
  const std::string& path() const { return path_; }
  std::string File(absl::string_view name) const;

 private:
  const std::string purpose_;  // part of its name
  std::string path_;
};

struct Program {
  Words words;            // the first is found in PATH unless it has a slash
  std::string directory;  // to start in; empty: here
  std::string output;     // file for both its outputs; `errors` takes standard error if not empty
  std::string errors;
  std::string assignment;  // "NAME=value", into its environment; empty: none
};

// Errors: it cannot be started.
absl::StatusOr<pid_t> StartProgram(const Program& program);
// Exit status, 128 + the signal's number if one ended it.
int ExitOf(int wait_status);
// Starts it and waits until it ends.
absl::StatusOr<int> RunProgram(const Program& program);
// The same, but what it said goes to standard error unless it ends with 0; `what` names it then.
absl::Status RunTool(const Program& program, absl::string_view what);

// From its first error on, to standard error: what a program said that failed.
void ShowOutput(const std::string& path);
// Errors: no regular file, or it cannot be read.
absl::StatusOr<std::string> ReadWhole(const std::string& path);
// PermissionDenied: it cannot be written.
absl::Status WriteWhole(const std::string& path, absl::string_view text);
// The root of the source tree; "." when ./vmsim did not say.
std::string SourceRoot();

// FailedPrecondition: ./vmsim did not say where a tree is, and there is none here.
absl::Status NeedSourceTree();
// Builds the labels with the options ("--config=cov") and returns the directory of their outputs.
// `what` names the build when it fails.
absl::StatusOr<std::string> BuildTargets(const Words& options, const Words& labels,
                                         const WorkDirectory& work,
                                         absl::string_view what = "the build");

}  // namespace tools

#endif  // TOOLS_PROCESS_H_
