// model/step.h: what one operation will do, decided before anything is done.
//
// WHAT     A personality's decoder turns an operation and a task into a Step: the outcome, what
//          freedom the implementation has about it, and the one change to the space that a success
//          makes. Decoding may fail and is pure; carrying the change out may not fail and is the
//          value core's (world.cc). So a failed operation cannot have changed anything.
// INVARIANTS  With an error as outcome, action is kNothing (excepted: kDiscard of linux_dontneed
//          over a hole, kUnmap of a fixed mapping that could not be wired, rights that were set
//          though wiring failed, kMayWire, kTransfer). start, end, to are page aligned and inside
//          the bounds.
// SEE      house.md 4.6 "Check then act"; bsd.cc, mach.cc.

#ifndef MODEL_STEP_H_
#define MODEL_STEP_H_

#include <bit>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/errors.h"
#include "base/prot.h"
#include "model/space.h"
#include "model/transfer.h"
#include "traces/op.h"

namespace model {

struct Task {
  Space space;
  traces::Personality personality = traces::Personality::kBsd;
  bool narrow = false;  // words of its Mach calls have 32 bits
  uint32_t owner = 0;   // label of the task that may name it; 0: none, init made it
  bool has_heap = false;
  uint64_t heap_base = 0;
  uint64_t heap_current = 0;  // any byte address; the heap's pages end at its page, rounded up
  uint32_t channel = 0;       // label of the first task of its family, whose messages it may have
  // System V segments, newest first.
  struct Attachment {
    uint64_t segment;  // its id
    uint64_t start;
  };
  std::vector<Attachment> attachments;
  uint32_t threads = 1;  // bit n: it has the thread of that number

  bool HasThread(uint32_t number) const {
    return number < traces::kMaxThreads && (threads >> number & 1) != 0;
  }
  uint32_t CountThreads() const { return static_cast<uint32_t>(std::popcount(threads)); }
};

struct Step {
  enum class Action : uint8_t {
    kNothing,
    kBeBorn,  // a task with an empty map up to `end`
    kFork,    // a task with a map by inheritance
    kDie,
    kClear,  // exec
    kMap,    // [start, end) from attributes, file_key, file_page
    kUnmap,
    kSetProt,     // attributes.prot
    kSetMaxProt,  // attributes.max_prot
    kSetInherit,  // attributes.inherit
    kSetAdvice,   // attributes.advice
    kGiveUp,
    kDiscard,
    kDuplicate,  // the same, and the old range stays
    kSetWired,   // attributes.wired
    kWireAll,    // attributes.wired of everything with rights; wires_future
    kUnwireAll,
    kGrow,       // [start, end) continues the page before start
    kMove,       // [start, start + size) to [to, to + new_size)
    kCopyOut,    // a snapshot of [start, end) is mapped in the caller's space
    kOverwrite,  // pages from `to` on get a snapshot of [start, end)
    kStoreFrom,  // the same, [start, end) being in the caller's space
    kRead,
    // Calls that move bytes (moves.cc): `size` of them, whatever the outcome.
    kTransfer,
    kWrite,    // [start, end): the bytes that will be accessed
    kMayWire,  // [start, end): wiring failed, after having faulted in nobody knows what
    // shared.cc. `object` is the id where there is one already, file_key the name.
    kMakeMemfd,  // size, seals
    kTruncate,   // size
    kFtruncate,  // the file `file_key`: size
    kSeal,       // seals, all of them
    kCloseMemfd,
    kMakeSegment,  // size
    kDetach,       // number `size` of the task's attachments, and [start, end)
    kRemoveSegment,
    kLockSegment,
    kUnlockSegment,
    kSwap,        // swap.cc
    kMakeThread,  // threads.cc. Number `size`
    kEndThread,   // the same
  };
  enum class Freedom : uint8_t {
    kNone,
    // Any free range of free_size bytes at an address without bits of `mask`; its address plus
    // page_offset is the outcome's value. Of kCopyOut it is free in the caller's space.
    kAddress,
    // A number of at least `size` and at most `new_size`.
    kCount,
    // vm_region: any part of [start, end) that contains `to`, or starts there when `to` is start.
    kRegion,
  };

  traces::Outcome outcome;  // the canonical one
  Freedom freedom = Freedom::kNone;
  Action action = Action::kNothing;
  // The code that says that memory ran out, where that is a right outcome of this operation too; 0
  // where it is not.
  int32_t shortage_code = 0;
  // Another code that is right, which changes next to nothing (World::Refuse): whether limits of
  // the whole machine are met depends on more than the model counts; 0 for none.
  int32_t refusal_code = 0;
  // Another code that is right, because pages that MADV_FREE left open may have nothing below them
  // (presence.h). Of accesses: at these addresses only.
  int32_t missing_code = 0;
  std::vector<uint64_t> may_fail_at;

  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t to = 0;
  uint64_t size = 0;
  uint64_t new_size = 0;
  uint64_t free_size = 0;
  uint64_t page_offset = 0;  // of a file mapping or a copy whose start is not page aligned
  uint64_t mask = 0;
  Attributes attributes;
  uint64_t file_key = 0;
  uint64_t file_page = 0;

  bool sets_heap_base = false;  // kExecBrk: base = current = heap
  bool sets_heap = false;       // current = heap
  uint64_t heap = 0;
  bool wires_future = false;  // kWireAll
  // kTransfer: `new_size` bytes of the caller's memory are fetched before anything moves.
  bool direct = false;
  uint64_t from = 0;  // kTransfer: so many bytes have been moved already
  // kTransfer. Where memory may run out, any smaller number of bytes but none is right too.
  bool counted = false;
  // Of the `size` bytes these are surely moved when the outcome is an error: what follows them is
  // behind a page of which nobody knows whether it is there. Codes that are right if it is not.
  uint64_t sure = 0;
  std::vector<int32_t> may_fail_with;
  bool cannot_wire = false;  // kSetProt, kWireAll: wiring was tried, and failed
  bool attaches = false;     // kMap: as a segment
  uint64_t object = 0;
  uint32_t seals = 0;
  bool blind = false;  // kRead: its value is not seen

  bool ok() const { return outcome.code == 0; }
};

// A BSD call that answers `code` and does nothing else.
inline Step Answer(base::Errno code) {
  Step step;
  step.outcome = {traces::Outcome::Family::kErrno, static_cast<int32_t>(code), 0, 0, {}};
  return step;
}

// The devices that pages may be swapped to, by number. The model never swaps a page.
struct SwapTable {
  struct Device {
    uint64_t pages = 0;
    bool on = false;
    uint32_t priority = 0;
  };
  std::vector<Device> devices;
};

class World;

// Which pages of a task cannot be read from swap; null: none.
using LostPages = std::function<bool(uint32_t task, uint64_t va)>;

// What every decoder gets.
struct Query {
  const traces::ResolvedOp& op;
  const Task* task;         // on which the call acts; null for the birth of a first task
  bool task_limit_reached;  // no further task may be born
  const Task* caller;       // who calls; the same as `task` unless a Mach call names another
  bool may_name;            // the caller may name `task`, and it is alive
  const Channel* channel;   // the caller's
  const World* world;       // for what few calls ask
  // Frames that may be wired, those of them that are the server's own, and an upper bound of those
  // that are wired by anybody.
  uint64_t wired_max = ~uint64_t{0};
  uint64_t wired_by_server = 0;
  uint64_t wired_at_most() const { return wired_by_tasks_at_most() + wired_by_server; }
  uint64_t wired_by_tasks_at_most() const;
  // Pages of all messages together, and whether there is room for so many more.
  uint64_t lend_max = ~uint64_t{0};
  bool may_lend(uint64_t pages) const;
  uint64_t shm_max = ~uint64_t{0};  // bytes of the largest segment
  const FileTable* files = nullptr;
  const LostPages* lost = nullptr;
  bool IsLost(uint32_t label, uint64_t va) const { return MayBeLost() && (*lost)(label, va); }
  bool MayBeLost() const { return lost != nullptr && *lost; }
  bool is_mapped = false;  // kMemfdSeal: the file, by anybody
  const SwapTable* swap = nullptr;
};

// Calls whose outcome is an errno. REQUIRES: traces::FamilyOf(op.kind) == kErrno.
Step DecodeBsd(const Query& query);
// Of these, calls that move bytes.
Step DecodeMove(const Query& query);
// `step` gives memory rights: after mlockall(MCL_FUTURE) what had none before is wired by that.
// Wiring that fails does not take the rights back, but answers `code`.
Step AndWire(const Query& query, Step step, int32_t code);
// Those of them that are about memory with a name (traces/op.h); of mmap, what is in the way of
// mapping a memory file or the frame buffer, and *id and *max_prot of what is mapped.
Step DecodeShared(const Query& query);
base::Errno CheckNamed(const Query& query, uint64_t size, uint64_t* id, base::Prot* max_prot);

// Those that are swapctl(2)'s (swap.cc).
Step DecodeSwap(const Query& query);
void CommitSwap(const traces::ResolvedOp& op, SwapTable* swap);

// Those that make and end threads (threads.cc).
Step DecodeThreadCall(const Query& query);
bool MakesOrEndsThread(const Step& step);
void CommitThread(const Step& step, Task* task);
// An exec: an empty map, no heap, and no thread but the one that asked for it.
void CommitExec(const traces::ResolvedOp& op, Task* task);

// Calls whose outcome is a kern_return_t. REQUIRES: traces::FamilyOf(op.kind) == kKern.
Step DecodeMach(const Query& query);

}  // namespace model

#endif  // MODEL_STEP_H_
