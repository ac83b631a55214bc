#include "proptests/engine/isolate.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>

// A sanitizer reserves more address space for its shadow than any limit would leave.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PROPTESTS_SHADOWED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PROPTESTS_SHADOWED 1
#endif
#endif
#ifndef PROPTESTS_SHADOWED
#define PROPTESTS_SHADOWED 0
#endif

namespace proptests {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

[[noreturn]] void GiveUp(const char* what) {
  std::perror(what);
  std::abort();
}

[[noreturn]] void BeTheChild(const std::function<std::string(Notes*)>& work, Notes* notes,
                             const IsolationLimits& limits, int out) {
  LimitThisProcess(limits.bytes);
  const bool said = WriteAll(out, work(notes));
  // Neither destructors nor buffers of the parent's are the child's business.
  _exit(said ? 0 : 1);
}

// Reads until the writer closes. False when time is up.
bool ReadUntilEnd(int fd, Clock::time_point start, double seconds, std::string* out) {
  char buffer[1 << 16];
  for (;;) {
    const double left = seconds - SecondsSince(start);
    if (left <= 0) return false;
    pollfd wait = {fd, POLLIN, 0};
    const int ready = poll(&wait, 1, static_cast<int>(left * 1000) + 1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) continue;
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return true;
    out->append(buffer, static_cast<size_t>(count));
  }
}

}  // namespace

bool WriteAll(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = write(fd, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

void LimitThisProcess(uint64_t bytes) {
  if (bytes != 0 && !PROPTESTS_SHADOWED) {
    const rlimit memory = {bytes, bytes};
    setrlimit(RLIMIT_AS, &memory);
  }
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

IsolatedResult RunIsolated(const std::function<std::string(Notes*)>& work,
                           const IsolationLimits& limits) {
  void* shared =
      mmap(nullptr, sizeof(Notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) GiveUp("mmap");
  Notes* notes = new (shared) Notes;
  int ends[2];
  if (pipe(ends) != 0) GiveUp("pipe");
  const Clock::time_point start = Clock::now();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) GiveUp("fork");
  if (child == 0) {
    // Who is killed takes its own children along, or one that never ends would outlive them all.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    close(ends[0]);
    BeTheChild(work, notes, limits, ends[1]);
  }
  close(ends[1]);
  IsolatedResult result;
  const bool in_time = ReadUntilEnd(ends[0], start, limits.seconds, &result.said);
  if (!in_time) kill(child, SIGKILL);
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.seconds = SecondsSince(start);
  result.notes = *notes;
  munmap(shared, sizeof(Notes));
  using End = IsolatedResult::End;
  if (!in_time) {
    result.end = End::kTimeout;
  } else if (WIFSIGNALED(status)) {
    result.end = End::kSignal;
    result.code = WTERMSIG(status);
  } else if (WEXITSTATUS(status) != 0) {
    result.end = End::kExit;
    result.code = WEXITSTATUS(status);
  }
  return result;
}

}  // namespace proptests
