#include "tools/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

extern char** environ;

namespace tools {

void ShowOutput(const std::string& path) {
  absl::StatusOr<std::string> text = ReadWhole(path);
  if (!text.ok()) return;
  const size_t error = text->find("ERROR");
  std::fputs(text->substr(error == std::string::npos ? 0 : error).c_str(), stderr);
}

WorkDirectory::~WorkDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

absl::Status WorkDirectory::Create() {
  const char* base = std::getenv("TMPDIR");
  std::string name = absl::StrCat(base == nullptr || *base == '\0' ? "/tmp" : base, "/vmsim_",
                                  purpose_, ".XXXXXX");
  if (mkdtemp(name.data()) == nullptr) {
    return absl::InternalError(
        absl::StrCat("cannot make a directory ", name, ": ", std::strerror(errno)));
  }
  path_ = std::filesystem::absolute(name);
  return absl::OkStatus();
}

std::string WorkDirectory::File(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

absl::StatusOr<pid_t> StartProgram(const Program& program) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, program.output.c_str(), kFlags, 0600);
  if (program.errors.empty()) {
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
  } else {
    posix_spawn_file_actions_addopen(&actions, 2, program.errors.c_str(), kFlags, 0600);
  }
  if (!program.directory.empty()) {
    posix_spawn_file_actions_addchdir_np(&actions, program.directory.c_str());
  }
  std::vector<char*> argv;
  for (const std::string& word : program.words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::string assignment = program.assignment;
  const std::string name = assignment.substr(0, assignment.find('=') + 1);
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (name.empty() || !absl::StartsWith(*entry, name)) environment.push_back(*entry);
  }
  if (!assignment.empty()) environment.push_back(assignment.data());
  environment.push_back(nullptr);
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return absl::NotFoundError(absl::StrCat(program.words[0], ": expected a program that starts, ",
                                            "found: ", std::strerror(error)));
  }
  return child;
}

int ExitOf(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

absl::StatusOr<int> RunProgram(const Program& program) {
  absl::StatusOr<pid_t> child = StartProgram(program);
  if (!child.ok()) return child.status();
  int status = 0;
  while (waitpid(*child, &status, 0) < 0 && errno == EINTR) {
  }
  return ExitOf(status);
}

absl::Status RunTool(const Program& program, absl::string_view what) {
  absl::StatusOr<int> status = RunProgram(program);
  if (!status.ok()) return status.status();
  if (*status == 0) return absl::OkStatus();
  ShowOutput(program.errors.empty() ? program.output : program.errors);
  return absl::FailedPreconditionError(
      absl::StrCat(what, " failed with status ", *status, ", see above"));
}

absl::StatusOr<std::string> ReadWhole(const std::string& path) {
  std::error_code error;
  std::ifstream file(path, std::ios::binary);
  if (!std::filesystem::is_regular_file(path, error) || !file) {
    return absl::NotFoundError(absl::StrCat(path, ": expected a file that can be read"));
  }
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

absl::Status WriteWhole(const std::string& path, absl::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (file) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(path, ": cannot be written"));
}

std::string SourceRoot() {
  const char* root = std::getenv("UVM_L4_ROOT");
  return root == nullptr || *root == '\0' ? "." : root;
}

absl::Status NeedSourceTree() {
  if (access(absl::StrCat(SourceRoot(), "/WORKSPACE").c_str(), R_OK) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "there is no source tree to build; start this command as ./vmsim");
}

absl::StatusOr<std::string> BuildTargets(const Words& options, const Words& labels,
                                         const WorkDirectory& work, absl::string_view what) {
  absl::Status status = NeedSourceTree();
  if (!status.ok()) return status;
  const std::string root = SourceRoot();
  const char* bazel = std::getenv("BAZEL");
  const Words start = absl::StrSplit(bazel == nullptr ? "bazel" : bazel, ' ', absl::SkipEmpty());
  Words build = start;
  build.push_back("build");
  build.insert(build.end(), options.begin(), options.end());
  build.insert(build.end(), {"--noshow_progress", "--color=no", "--symlink_prefix=/"});
  build.insert(build.end(), labels.begin(), labels.end());
  status = RunTool({build, root, work.File("build"), "", ""}, what);
  if (!status.ok()) return status;
  Words info = start;
  info.push_back("info");
  info.insert(info.end(), options.begin(), options.end());
  info.push_back("bazel-bin");
  status = RunTool({info, root, work.File("bin"), work.File("info"), ""}, "bazel info");
  if (!status.ok()) return status;
  absl::StatusOr<std::string> bin = ReadWhole(work.File("bin"));
  if (!bin.ok()) return bin.status();
  return std::string(absl::StripAsciiWhitespace(*bin));
}

}  // namespace tools
