// Recording under valgrind's lackey tool, one log a process. Logs go through FIFOs, so that they
// never touch a disk: a log has a line an instruction. Valgrind opens the log named after its
// process number anew after fork and after exec, so each FIFO has to exist before its process runs;
// for that the recorder traces the process tree (ptrace) and stops every child at its birth, and
// nowhere else.

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tools/import/lackey_parser.h"
#include "tools/import/record_internal.h"

namespace tools {
namespace {

// The log of one process while it is written. The thread parses; `keeper` is a writing end of ours,
// so that the log does not end while Valgrind closes and reopens it.
struct Stream {
  int pid = 0;
  int keeper = -1;
  int reader = -1;
  std::unique_ptr<LackeyParser> parser;
  absl::Status status;
  std::thread thread;
};

std::optional<LackeyParser::Sight> LookAt(int pid, int reader) {
  auto regions = ParseMaps(ReadProc(absl::StrCat("/proc/", pid, "/maps")));
  if (!regions.ok() || regions->empty()) return std::nullopt;
  char tool[4096];
  const ssize_t length = readlink(absl::StrCat("/proc/", pid, "/exe").c_str(), tool, sizeof tool);
  if (length <= 0) return std::nullopt;
  int ahead = 0;
  if (ioctl(reader, FIONREAD, &ahead) != 0) return std::nullopt;
  return LackeyParser::Sight{
      WithoutValgrind(*regions, absl::string_view(tool, static_cast<size_t>(length))),
      static_cast<uint64_t>(ahead)};
}

void Read(Stream* stream) {
  std::vector<char> buffer(1 << 18);
  for (;;) {
    const ssize_t got = read(stream->reader, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    // After a mistake the rest is read and dropped, so that the process is not blocked.
    if (!stream->status.ok()) continue;
    stream->status =
        stream->parser->Feed(absl::string_view(buffer.data(), static_cast<size_t>(got)));
  }
}

bool IsProcess(int tid) {
  return absl::StrContains(ReadProc(absl::StrCat("/proc/", tid, "/status")),
                           absl::StrCat("\nTgid:\t", tid, "\n"));
}

class Tracer {
 public:
  explicit Tracer(std::string dir) : dir_(std::move(dir)) {}

  ~Tracer() {
    for (auto& [pid, stream] : running_) Close(stream.get());
    for (auto& stream : streams_) {
      if (stream->thread.joinable()) stream->thread.join();
      if (stream->reader >= 0) close(stream->reader);
    }
  }

  // Runs `command` to its end, and all its descendants to theirs.
  absl::Status Run(const std::vector<std::string>& command);
  absl::StatusOr<EventLog> Finish();
  int root_status() const { return root_status_; }

 private:
  absl::Status Follow();
  absl::Status OpenLog(int pid);
  absl::Status Stopped(int tid, int wait_status);

  static void Close(Stream* stream) {
    if (stream->keeper >= 0) close(stream->keeper);
    stream->keeper = -1;
  }

  const std::string dir_;
  int root_ = -1;
  int root_status_ = 0;
  std::set<int> seen_;
  std::map<int, std::shared_ptr<Stream>> running_;
  std::vector<std::shared_ptr<Stream>> streams_;
};

absl::Status Tracer::OpenLog(int pid) {
  if (running_.count(pid) != 0) return absl::OkStatus();
  auto stream = std::make_shared<Stream>();
  stream->pid = pid;
  const std::string path = absl::StrCat(dir_, "/log.", pid);
  unlink(path.c_str());  // the number may have been used before
  if (mkfifo(path.c_str(), 0600) != 0) {
    return absl::InternalError(absl::StrCat(path, ": cannot make a FIFO: ", std::strerror(errno)));
  }
  stream->keeper = open(path.c_str(), O_RDWR | O_CLOEXEC);
  stream->reader = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (stream->keeper < 0 || stream->reader < 0) {
    return absl::InternalError(absl::StrCat(path, ": cannot be opened: ", std::strerror(errno)));
  }
  Stream* raw = stream.get();
  stream->parser =
      std::make_unique<LackeyParser>(absl::StrCat("lackey log of process ", pid),
                                     [raw](int) { return LookAt(raw->pid, raw->reader); });
  stream->thread = std::thread(Read, raw);
  running_[pid] = stream;
  streams_.push_back(std::move(stream));
  return absl::OkStatus();
}

absl::Status Tracer::Stopped(int tid, int wait_status) {
  const int event = wait_status >> 16;
  const int signal = WSTOPSIG(wait_status);
  if (seen_.insert(tid).second && IsProcess(tid)) {
    const absl::Status opened = OpenLog(tid);
    if (!opened.ok()) return opened;
  }
  if (event == PTRACE_EVENT_STOP &&
      (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU)) {
    ptrace(PTRACE_LISTEN, tid, nullptr, nullptr);
    return absl::OkStatus();
  }
  // A signal on its way to the program goes on; everything else is news for us only.
  const uintptr_t deliver = event == 0 ? static_cast<uintptr_t>(signal) : 0;
  ptrace(PTRACE_CONT, tid, nullptr, reinterpret_cast<void*>(deliver));
  return absl::OkStatus();
}

absl::Status Tracer::Follow() {
  absl::Status status;
  for (;;) {
    int wait_status = 0;
    const pid_t tid = waitpid(-1, &wait_status, __WALL);
    if (tid < 0 && errno == EINTR) continue;
    if (tid < 0) return status;  // no one is left
    if (WIFSTOPPED(wait_status)) {
      const absl::Status stopped = Stopped(tid, wait_status);
      if (!stopped.ok() && status.ok()) {
        status = stopped;
        kill(root_, SIGKILL);
      }
      continue;
    }
    seen_.erase(tid);
    if (tid == root_) root_status_ = ShellStatus(wait_status);
    const auto it = running_.find(tid);
    if (it == running_.end()) continue;
    Close(it->second.get());
    running_.erase(it);
  }
}

absl::Status Tracer::Run(const std::vector<std::string>& command) {
  int gate[2];
  if (pipe2(gate, O_CLOEXEC) != 0) {
    return absl::InternalError(absl::StrCat("cannot make a pipe: ", std::strerror(errno)));
  }
  root_ = fork();
  if (root_ == 0) {
    char go = 0;
    close(gate[1]);
    if (read(gate[0], &go, 1) != 1) _exit(127);
    ExecOrExit(command);
  }
  close(gate[0]);
  absl::Status status;
  if (root_ < 0) {
    status = absl::InternalError(absl::StrCat("cannot fork: ", std::strerror(errno)));
  } else {
    status = OpenLog(root_);
  }
  const uintptr_t options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                            PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  if (status.ok() && ptrace(PTRACE_SEIZE, root_, nullptr, reinterpret_cast<void*>(options)) != 0) {
    status = absl::FailedPreconditionError(absl::StrCat(
        "expected tracing (ptrace) to be permitted here, found: ", std::strerror(errno)));
  }
  seen_.insert(root_);
  if (status.ok() && write(gate[1], "g", 1) != 1) {
    status = absl::InternalError("the process to be traced is gone");
  }
  close(gate[1]);  // without a word from us the child ends itself
  if (root_ < 0) return status;
  const absl::Status followed = Follow();
  return status.ok() ? followed : status;
}

absl::StatusOr<EventLog> Tracer::Finish() {
  std::vector<LackeyLog> logs;
  for (const auto& stream : streams_) {
    Close(stream.get());
    stream->thread.join();
    if (!stream->status.ok()) return stream->status;
    absl::StatusOr<LackeyLog> log = stream->parser->Finish(/*whole=*/false, /*ended=*/true);
    if (!log.ok()) return log.status();
    log->pid = stream->pid;
    for (Event& event : log->log.events) event.tid = stream->pid;
    logs.push_back(*std::move(log));
  }
  return JoinLogs(std::move(logs));
}

}  // namespace

absl::StatusOr<EventLog> RecordUnderLackey(const std::vector<std::string>& argv,
                                           ImportReport* report) {
  const absl::StatusOr<std::string> valgrind = FindProgram("valgrind");
  if (!valgrind.ok()) {
    return absl::NotFoundError(
        "valgrind: expected the program of that name, found none in PATH; "
        "install the Debian package valgrind");
  }
  TempDir dir;
  const absl::Status made = dir.Create();
  if (!made.ok()) return made;
  std::vector<std::string> command = {*valgrind,
                                      "--tool=lackey",
                                      "--basic-counts=no",
                                      "--trace-mem=yes",
                                      "--trace-syscalls=yes",
                                      "--trace-children=yes",
                                      "--vgdb=no",
                                      "--run-libc-freeres=no",
                                      "--run-cxx-freeres=no",
                                      absl::StrCat("--log-file=", dir.path(), "/log.%p"),
                                      "--"};
  command.insert(command.end(), argv.begin(), argv.end());
  Tracer tracer(dir.path());
  const absl::Status status = tracer.Run(command);
  if (!status.ok()) return status;
  absl::StatusOr<EventLog> log = tracer.Finish();
  if (!log.ok()) return log;
  if (log->images.empty() && log->lines < 10) {
    return NotRun("valgrind", argv[0], tracer.root_status());
  }
  report->ran = true;
  report->exit_status = tracer.root_status();
  return log;
}

}  // namespace tools
