// proptests/engine/concurrent_program.h: what several threads do at the same time, as a value.
//
// WHAT     A setup, done one operation after the other, and then threads with a list of operations
//          each. As a trace it is an ordinary one, whose comments say where a thread's part begins
//          and, perhaps, under which schedule it ran:
//              s1 = space
//              s1.mmap 0x10000 0x1000 rw- shared,fixed
//              s2 = s1.fork
//              # thread
//              s1.write 0x10000 8 1
//              # thread
//              s2.read 0x10000 8
//              # schedule decisions 4 hash 0x9a3c
//              # schedule at 2 of 3 run 0x4000000001
// INVARIANTS  All operands are absolute; the operations of one part are those of one thread of a
//             task, and no two parts have the same.
// SEE      explore.h; fake_l4/decision_list.h.

#ifndef PROPTESTS_ENGINE_CONCURRENT_PROGRAM_H_
#define PROPTESTS_ENGINE_CONCURRENT_PROGRAM_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fake_l4/decision_list.h"
#include "traces/op.h"
#include "traces/trace.h"

namespace proptests {

struct ConcurrentProgram {
  std::vector<traces::Op> setup;
  std::vector<std::vector<traces::Op>> threads;
  std::vector<std::string> files;  // Op::file
  size_t size() const;             // operations, the setup's included
};

struct DrawOptions {
  uint64_t seed = 1;
  uint64_t index = 0;  // of the program
  uint32_t threads = 3;
  uint32_t ops = 10;  // of each thread
  uint32_t pages = 3;
  // More than 1: several are threads of one task, at most so many of each.
  uint32_t threads_per_task = 1;
  // Under pressure: so many pages more, which the first task has filled before all others are born.
  // Threads use them, and the first swaps devices off and on.
  uint32_t hog_pages = 0;
  uint32_t swap_devices = 1;
};
// First address of the pages that make memory scarce.
inline constexpr uint64_t kHogStart = 0x1000000;
// First address that drawn programs are about.
inline constexpr uint64_t kConcurrentStart = 0x10000;

// A random program: tasks that share memory, by inheritance or by a file, or had it copied. Each
// store writes a value of its own.
ConcurrentProgram DrawProgram(const DrawOptions& options);

// Errors name the line: a relative operand, a part of two threads, a schedule that cannot be read.
struct ReadProgram {
  ConcurrentProgram program;
  std::optional<fake_l4::DecisionList> schedule;
};
absl::StatusOr<ReadProgram> ProgramOfTrace(const traces::Trace& trace);
traces::Trace TraceOfProgram(const ConcurrentProgram& program, const std::string& title,
                             const fake_l4::DecisionList* schedule);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_CONCURRENT_PROGRAM_H_
