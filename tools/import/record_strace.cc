// Recording under strace. To see what exec mapped, every execve is held for a moment at its end
// (strace's own delay injection) while strace's output, read through a FIFO, tells that it
// happened. That the process still stands at the end of its execve is checked before and after its
// map is read, so a map is either exact or not used.

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tools/import/record_internal.h"
#include "tools/import/strace_parser.h"

namespace tools {
namespace {

// How long an execve is held, in microseconds. The map is read within one millisecond on an idle
// machine; a process that runs on before that costs an inferred map, nothing else.
constexpr int kExecDelay = 50000;

constexpr char kCalls[] =
    "trace=%memory,fork,vfork,clone,clone3,execve,execveat,exit,exit_group,?userfaultfd,?"
    "membarrier,"
    "?shmat,?shmdt,?process_madvise,?process_mrelease,?remap_file_pages,?mseal,?pkey_alloc,?pkey_"
    "free";

std::optional<ObservedImage> LookAt(int pid) {
  const std::string dir = absl::StrCat("/proc/", pid, "/");
  const std::string before = ReadProc(dir + "syscall");
  // 59 and 322 are execve and execveat.
  if (!absl::StartsWith(before, "59 ") && !absl::StartsWith(before, "322 ")) return std::nullopt;
  auto regions = ParseMaps(ReadProc(dir + "maps"));
  if (!regions.ok() || regions->empty() || ReadProc(dir + "syscall") != before) return std::nullopt;
  ObservedImage image;
  image.regions = *std::move(regions);
  return image;
}

// Feeds what comes out of `fd` to the parser until the tracer `pid` has ended. The first mistake is
// returned, but reading goes on so that the tracer is not blocked.
absl::Status FeedAll(int fd, pid_t pid, StraceParser* parser, int* wait_status) {
  absl::Status status;
  std::string carry;
  char buffer[1 << 16];
  bool ended = false;
  for (;;) {
    pollfd poller = {fd, POLLIN, 0};
    // The FIFO alone does not tell of a tracer that dies before opening it.
    poll(&poller, 1, ended ? 0 : 100);
    if (!ended) ended = waitpid(pid, wait_status, WNOHANG) == pid;
    const ssize_t got = (poller.revents & POLLIN) != 0 ? read(fd, buffer, sizeof buffer) : 0;
    if (got <= 0) {
      if (ended) break;
      if ((poller.revents & POLLHUP) != 0) usleep(1000);
      continue;
    }
    carry.append(buffer, static_cast<size_t>(got));
    size_t start = 0;
    for (size_t end; (end = carry.find('\n', start)) != std::string::npos; start = end + 1) {
      if (status.ok())
        status = parser->AddLine(absl::string_view(carry).substr(start, end - start));
    }
    carry.erase(0, start);
  }
  return status;
}

}  // namespace

absl::StatusOr<EventLog> RecordUnderStrace(const std::vector<std::string>& argv,
                                           ImportReport* report) {
  const absl::StatusOr<std::string> strace = FindProgram("strace");
  if (!strace.ok()) {
    return absl::NotFoundError(
        "strace: expected the program of that name, found none in PATH; "
        "install the Debian package strace");
  }
  // strace does not delay the first execve, its own; so it runs the program through env.
  const absl::StatusOr<std::string> env = FindProgram("env");
  if (!env.ok()) return env.status();
  TempDir dir;
  const absl::Status made = dir.Create();
  if (!made.ok()) return made;
  const std::string fifo = dir.path() + "/strace";
  if (mkfifo(fifo.c_str(), 0600) != 0) {
    return absl::InternalError(absl::StrCat(fifo, ": cannot make a FIFO: ", std::strerror(errno)));
  }
  const int fd = open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return absl::InternalError(absl::StrCat(fifo, ": ", std::strerror(errno)));
  // Signals are printed, since strace says "killed by" only of those.
  std::vector<std::string> command = {
      *strace, "-f",   "-y",
      "-q",    "-o",   fifo,
      "-e",    kCalls, absl::StrCat("--inject=execve,execveat:delay_exit=", kExecDelay),
      "--",    *env,   "--"};
  command.insert(command.end(), argv.begin(), argv.end());
  const pid_t pid = fork();
  if (pid == 0) ExecOrExit(command);
  if (pid < 0) {
    close(fd);
    return absl::InternalError(absl::StrCat("cannot fork: ", std::strerror(errno)));
  }
  StraceParser parser("strace", LookAt, /*skip_execs=*/1);
  int wait_status = 0;
  const absl::Status status = FeedAll(fd, pid, &parser, &wait_status);
  close(fd);
  if (!status.ok()) return status;
  absl::StatusOr<EventLog> log = parser.Finish();
  if (!log.ok() || log->events.empty()) {
    return NotRun("strace", argv[0], ShellStatus(wait_status));
  }
  report->ran = true;
  report->exit_status = ShellStatus(wait_status);
  return log;
}

}  // namespace tools
