// machine/client_program.h: what a simulated program does with one operation.
//
// WHAT     Execute runs on the client's own L4 thread: calls are the RPCs of vmserver/client.h,
//          memory accesses loads and stores of the simulated processor, page by page in ascending
//          order. The first page that may not be accessed ends an access; pages before it are done.
// INVARIANTS  Nothing on the stack owns host memory: the thread may be abandoned in the middle
//             (fake_l4/kernel.h).
// SEE      traces/op.h for operands and outcomes.

#ifndef MACHINE_CLIENT_PROGRAM_H_
#define MACHINE_CLIENT_PROGRAM_H_

#include <l4/types.h>

#include <cstdint>
#include <vector>

#include "traces/op.h"
#include "vmserver/protocol.h"

namespace machine {

// Births of tasks that init makes; of all tasks; deaths of tasks.
inline bool IsOrphan(traces::OpKind kind) {
  using traces::OpKind;
  return kind == OpKind::kSpace || kind == OpKind::kTask || kind == OpKind::kTask32;
}
inline bool IsBirth(traces::OpKind kind) {
  using traces::OpKind;
  return IsOrphan(kind) || kind == OpKind::kFork || kind == OpKind::kTaskCreate;
}
inline bool IsDeath(traces::OpKind kind) {
  using traces::OpKind;
  return kind == OpKind::kExit || kind == OpKind::kTaskTerminate;
}
// Whether the thread that performs it does not hear of its success.
inline bool MayBeLast(const traces::ResolvedOp& op) {
  const bool ends_itself = op.kind == traces::OpKind::kThreadEnd && op.value == op.thread;
  return IsDeath(op.kind) || ends_itself;
}

// What a client is told to do, and what came of it. Lives in the machine.
struct Command {
  traces::ResolvedOp op;
  // Instead of the operation, when set: a program of a test's own.
  void (*program)(void*) = nullptr;
  void* argument = nullptr;
  traces::Outcome outcome;
  bool done = false;
  // Of an access under way.
  uint64_t bytes_done = 0;
  // The server's name of op.target; 0: the task itself.
  uint32_t target_task = 0;
  // The task's words have 32 bits, and its map begins at 0.
  bool narrow = false;
  // A birth that succeeded: the server's names of the child, or of the thread.
  uint32_t child_task = 0;
  L4_ThreadId_t child_thread = {0};
};

// REQUIRES: called on a simulated thread whose task has `personality`. `read` gets the bytes of a
// kRead that were read.
void Execute(Command* command, vmserver::Personality personality, std::vector<unsigned char>* read);

}  // namespace machine

#endif  // MACHINE_CLIENT_PROGRAM_H_
