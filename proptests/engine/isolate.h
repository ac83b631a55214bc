// proptests/engine/isolate.h: work in a process of its own, so that a crash or a hang is a result.
//
// WHAT     RunIsolated forks, lets the child do the work within limits of time and memory, and
//          returns what it said, how it ended, and the last note it left. The child shares nothing
//          that it changes with the caller, but for the notes.
// LOCKS    The caller has no other threads (fork copies only one).
// SEE      vmsim mutants; facts/verification.md 5.

#ifndef PROPTESTS_ENGINE_ISOLATE_H_
#define PROPTESTS_ENGINE_ISOLATE_H_

#include <cstdint>
#include <functional>
#include <string>

namespace proptests {

struct IsolationLimits {
  double seconds = 60;  // of wall-clock time
  // Of address space; 0: no limit. Builds with a sanitizer have none: it needs most of what there
  // is.
  uint64_t bytes = uint64_t{8} << 30;
};

// What a child leaves behind even when it is killed: numbers whose meaning is the caller's.
struct Notes {
  // Volatile: whoever is killed leaves what was written before.
  volatile uint64_t words[8] = {};
};

struct IsolatedResult {
  enum class End : uint8_t {
    kReturned,  // `said` is complete
    kSignal,    // a crash: `code` is the signal
    kExit,      // it ended itself: `code` is the status
    kTimeout,   // it was killed
  };
  End end = End::kReturned;
  int code = 0;
  std::string said;
  Notes notes;
  double seconds = 0;
};

// From now on this process has no more address space than that, and leaves no core when it crashes.
void LimitThisProcess(uint64_t bytes);

// False: nobody reads it to the end.
bool WriteAll(int fd, const std::string& text);

// Runs `work` in a child. What it returns becomes `said`. Aborts when no process can be made.
IsolatedResult RunIsolated(const std::function<std::string(Notes*)>& work,
                           const IsolationLimits& limits = {});

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_ISOLATE_H_
