#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tools/import/import.h"
#include "tools/import/record_internal.h"
#include "tools/import/translate.h"

namespace tools {

TempDir::~TempDir() {
  if (path_.empty()) return;
  if (DIR* dir = opendir(path_.c_str())) {
    while (const dirent* entry = readdir(dir))
      unlink(absl::StrCat(path_, "/", entry->d_name).c_str());
    closedir(dir);
  }
  rmdir(path_.c_str());
}

absl::Status TempDir::Create() {
  const char* base = std::getenv("TMPDIR");
  std::string name =
      absl::StrCat(base == nullptr || *base == '\0' ? "/tmp" : base, "/vmsim.XXXXXX");
  if (mkdtemp(name.data()) == nullptr) {
    return absl::InternalError(
        absl::StrCat("cannot make a directory ", name, ": ", std::strerror(errno)));
  }
  path_ = name;
  return absl::OkStatus();
}

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  const auto runnable = [](const std::string& path) {
    struct stat status;
    return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
           access(path.c_str(), X_OK) == 0;
  };
  if (absl::StrContains(name, '/')) {
    if (runnable(name)) return name;
    return absl::NotFoundError(absl::StrCat(name, ": expected an executable file, found none"));
  }
  const char* path = std::getenv("PATH");
  for (absl::string_view dir : absl::StrSplit(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
    const std::string candidate = absl::StrCat(dir.empty() ? "." : dir, "/", name);
    if (!name.empty() && runnable(candidate)) return candidate;
  }
  return absl::NotFoundError(absl::StrCat(name, ": expected a program in PATH, found none"));
}

std::string ReadProc(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TerminalSignals::TerminalSignals() {
  sigemptyset(&ours_);
  sigaddset(&ours_, SIGINT);
  sigaddset(&ours_, SIGQUIT);
  sigprocmask(SIG_BLOCK, &ours_, &before_);
}

TerminalSignals::~TerminalSignals() {
  const timespec at_once = {};
  while (sigtimedwait(&ours_, nullptr, &at_once) > 0) {
  }
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

void TerminalSignals::Unblock() {
  sigset_t ours;
  sigemptyset(&ours);
  sigaddset(&ours, SIGINT);
  sigaddset(&ours, SIGQUIT);
  sigprocmask(SIG_UNBLOCK, &ours, nullptr);
}

absl::Status NotRun(const std::string& tool, const std::string& program, int status) {
  // What a shell, env and valgrind say of a program that cannot be executed.
  if (status == 126 || status == 127) {
    return absl::FailedPreconditionError(
        absl::StrCat(program, ": expected a program that this machine can execute, found that ",
                     tool, " cannot start it"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      tool, ": expected it to run ", BaseName(program), ", found that it ended with status ",
      status, " before that; is tracing (ptrace) permitted here?"));
}

void ExecOrExit(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  TerminalSignals::Unblock();
  for (const std::string& arg : argv) pointers.push_back(const_cast<char*>(arg.c_str()));
  pointers.push_back(nullptr);
  execv(pointers[0], pointers.data());
  _exit(127);
}

int ShellStatus(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

absl::StatusOr<traces::Trace> Record(const RecordOptions& options, ImportReport* report) {
  if (options.argv.empty()) {
    return absl::InvalidArgumentError("expected a program to run after \"--\", found none");
  }
  const absl::StatusOr<std::string> program = FindProgram(options.argv[0]);
  if (!program.ok()) return program.status();
  std::vector<std::string> argv = options.argv;
  argv[0] = *program;
  const TerminalSignals signals;
  const absl::StatusOr<EventLog> log =
      options.touches ? RecordUnderLackey(argv, report) : RecordUnderStrace(argv, report);
  if (!log.ok()) return log.status();
  return Translate(*log, options.touches ? "lackey" : "strace", options.import, report);
}

}  // namespace tools
