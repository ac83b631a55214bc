// traces/op.h: the alphabet of operations: what can happen to memory, as plain values.
//
// WHAT     An Op is one line of a trace: a call, a memory access or a task's birth or death.
//          Operands may be absolute (recorded traces) or relative ("byte 0x20 of the k-th region of
//          the n-th live task", random runs); relative ones are resolved when the op runs, so that
//          every subsequence of a run is itself a run (design D9). A ResolvedOp is an Op whose
//          operands are all absolute; it is what model and machine execute. An Outcome is what the
//          caller of the operation sees, in the codes of its personality.
// INVARIANTS  Ops, ResolvedOps and Outcomes are trivially copyable and compare by value.
// SEE      traces/codec.h for the text form; design.md D9-D11; traces/README.md has the table of
//          kinds.

#ifndef TRACES_OP_H_
#define TRACES_OP_H_

#include <cstdint>

#include "base/errors.h"
#include "base/fault_site.h"
#include "base/prot.h"

namespace traces {

// One enumerator a line kind. The text name and the operands of each stand in codec.cc's table.
enum class OpKind : uint8_t {
  // Tasks. `child` is the label of the task that comes into being.
  kSpace,   // sN = space [MAX]          a BSD task with an empty map; MAX = first address beyond it
  kTask,    // sN = task [MAX]           the same for a Mach task
  kTask32,  // sN = task32 [MAX]        a Mach task of 32-bit addresses, with a map from 0
  kFork,    // sN = sM.fork              BSD fork by inheritance
  kTaskCreate,     // sN = sM.task_create INHERIT(0|1)   Mach
  kExec,           // s.exec                    the map is emptied, the task stays
  kExit,           // s.exit                    BSD
  kTaskTerminate,  // s.task_terminate          Mach
  // What execve put in place before the program's first instruction (private mappings).
  kExecMap,  // s.exec_map ADDR SIZE PROT observed|inferred [file NAME OFFSET]
  kExecBrk,  // s.exec_brk ADDR           where the heap starts
  // BSD calls.
  kMmap,      // s.mmap ADDR SIZE PROT FLAGS [file|memfd|device NAME OFFSET]
  kMunmap,    // s.munmap ADDR SIZE
  kMprotect,  // s.mprotect ADDR SIZE PROT
  kMinherit,  // s.minherit ADDR SIZE INHERIT
  kMadvise,   // s.madvise ADDR SIZE ADVICE
  kMremap,    // s.mremap OLD OLDSIZE NEW NEWSIZE FLAGS
  kBrk,       // s.brk ADDR                the heap shall end at ADDR
  // Semantics that only Linux has; docs/LINUX.md has the table.
  kLinuxDontneed,  // s.linux_dontneed ADDR SIZE    private pages are discarded
  // More BSD calls.
  kMlock,       // s.mlock ADDR SIZE
  kMunlock,     // s.munlock ADDR SIZE
  kMlockall,    // s.mlockall current|future|both|none
  kMunlockall,  // s.munlockall
  kMincore,     // s.mincore ADDR SIZE      outcome: how many pages are resident
  kMsync,       // s.msync ADDR SIZE async|sync|none[,invalidate]
  // Memory under a name that every task may use. Memory files and segments have names of their own.
  kMemfd,          // s.memfd NAME SIZE none|sealable
  kMemfdTruncate,  // s.memfd_truncate NAME SIZE
  kMemfdSeal,      // s.memfd_seal NAME MASK    fcntl(2)'s F_SEAL_*
  kMemfdClose,     // s.memfd_close NAME
  kShmget,         // s.shmget NAME SIZE
  kShmat,          // s.shmat NAME ADDR none|rdonly[,round]    0: anywhere
  kShmdt,          // s.shmdt ADDR
  kShmRemove,      // s.shm_remove NAME
  kShmLock,        // s.shm_lock NAME
  kShmUnlock,      // s.shm_unlock NAME
  // Mach calls.
  kVmAllocate,    // s.vm_allocate ADDR SIZE anywhere|fixed
  kVmDeallocate,  // s.vm_deallocate ADDR SIZE
  kVmProtect,     // s.vm_protect ADDR SIZE current|maximum PROT
  kVmInherit,     // s.vm_inherit ADDR SIZE INHERIT
  kVmRegion,      // s.vm_region ADDR
  kVmMap,         // s.vm_map ADDR SIZE MASK anywhere|fixed PROT MAX_PROT INHERIT    zeros
  kVmCopy,        // s.vm_copy ADDR SIZE TO
  kVmRead,        // s.vm_read ADDR SIZE           a copy appears in the caller's space
  kVmWrite,       // s.vm_write ADDR SIZE TO       TO: where the data is in the caller's space
  kVmWire,        // s.vm_wire ADDR SIZE PROT priv|plain     PROT none unwires
  // Memory accesses by the task's own thread.
  kRead,   // s.read ADDR SIZE
  kWrite,  // s.write ADDR SIZE VALUE     VALUE: base/pattern.h
  kFetch,  // s.fetch ADDR                an instruction fetch
  // Calls that move bytes; the outcome is how many. Of files without a mapping:
  kPread,      // s.pread ADDR SIZE cached|direct [file NAME OFFSET]
  kPwrite,     // s.pwrite ADDR SIZE cached|direct [file NAME OFFSET]
  kFtruncate,  // s.ftruncate [file NAME OFFSET]     the file ends at OFFSET
  // Of another task, by the maximum protection:
  kPeek,  // s.peek ADDR SIZE TO [of sM]     TO: where it goes, in the caller's space
  kPoke,  // s.poke ADDR SIZE TO [of sM]     TO: where it comes from, in the caller's space
  // By way of a message, whose pages are lent:
  kSend,      // s.send ADDR SIZE
  kReceive,   // s.receive ADDR SIZE
  kSendFile,  // s.send_file SIZE [file NAME OFFSET]
  // swapctl(2). DEVICE: number of a swap device of the machine.
  kSwapOn,     // s.swapon DEVICE PRIORITY
  kSwapOff,    // s.swapoff DEVICE
  kSwapCtl,    // s.swapctl DEVICE PRIORITY
  kSwapStats,  // s.swapstats               outcome: how many devices are on
  // Threads of a task, by numbers: the first is 0, and a new one has the lowest that is free.
  kThreadCreate,  // s.thread_create         outcome: its number
  kThreadEnd,     // s.thread_end THREAD     the last one of a task cannot end so
  // What the kernel below does, not what a program does.
  kInject,  // inject SITE [skip=K]       the next operation meets a fault
};
inline constexpr int kOpKindCount = static_cast<int>(OpKind::kInject) + 1;
// The kinds below are what programs do: every one but kInject.
inline constexpr int kProgramKindCount = static_cast<int>(OpKind::kInject);

// Op::flags. mmap's sharing is exactly one of the first two. The eight highest bits are a number:
// AlignmentOf().
enum OpFlags : uint32_t {
  kFlagPrivate = 1u << 0,
  kFlagShared = 1u << 1,
  kFlagFixed = 1u << 2,        // mmap, mremap: this address, replacing (mmap) what is there
  kFlagTryFixed = 1u << 3,     // mmap: this address if free, else anywhere
  kFlagAnywhere = 1u << 4,     // vm_allocate, vm_map
  kFlagSetMax = 1u << 5,       // vm_protect: lower the maximum protection
  kFlagInherit = 1u << 6,      // task_create: the child inherits memory
  kFlagObserved = 1u << 7,     // exec_map: seen in the process's own map
  kFlagInferred = 1u << 8,     // exec_map: derived from program headers or first touches
  kFlagDuplicate = 1u << 9,    // mremap: the old mapping stays (MAP_REMAPDUP)
  kFlagCurrent = 1u << 10,     // mlockall
  kFlagFuture = 1u << 11,      // mlockall
  kFlagAsync = 1u << 12,       // msync
  kFlagSync = 1u << 13,        // msync
  kFlagInvalidate = 1u << 14,  // msync
  kFlagPrivileged = 1u << 15,  // vm_wire: by the privileged name of the host
  kFlagSealable = 1u << 16,    // memfd
  kFlagReadOnly = 1u << 17,    // shmat
  kFlagRound = 1u << 18,       // shmat: the address is rounded down to its page
  kFlagDirect = 1u << 19,      // pread, pwrite: the caller's memory is locked meanwhile
  kFlagWired = 1u << 20,       // mmap: locked at once (MAP_WIRED)
};

// mmap, mremap: the binary logarithm of what the address shall be a multiple of (MAP_ALIGNED); 0:
// nothing is asked.
inline constexpr int kFlagAlignShift = 24;
constexpr uint32_t AlignmentOf(uint32_t flags) { return flags >> kFlagAlignShift; }
constexpr uint32_t AlignedTo(uint32_t logarithm) { return logarithm << kFlagAlignShift; }
inline constexpr uint32_t kMaxAlignment = 255;

// What the name in an mmap is the name of.
enum class Backing : uint8_t { kFile, kMemfd, kDevice };

// A task operand: a label (`s3`), or the n-th live task modulo their number (`~3`).
struct TaskRef {
  uint32_t number = 0;
  bool relative = false;
  friend bool operator==(const TaskRef&, const TaskRef&) = default;
};

// Threads that a task may have at once.
inline constexpr uint32_t kMaxThreads = 4;

// An address operand.
struct Place {
  enum class Kind : uint8_t {
    kAbsolute,  // 0x7000         the address `offset`
    kRegion,    // r2+0x1010      `offset` modulo its size into region `index` modulo their number
    kHole,      // h0+0x3000      the same for the free ranges between min and max of the map
  };
  Kind kind = Kind::kAbsolute;
  uint32_t index = 0;
  uint64_t offset = 0;
  friend bool operator==(const Place&, const Place&) = default;
};

constexpr Place At(uint64_t address) { return {Place::Kind::kAbsolute, 0, address}; }

struct Op {
  OpKind kind = OpKind::kSpace;
  TaskRef task;  // who acts; unused by kSpace, kTask, kTask32, kInject
  // Which of its threads does: below kMaxThreads. Of a relative task: the n-th of those that it
  // has, modulo their number.
  uint32_t thread = 0;
  // Mach calls, peek and poke: on whom (`of s2`). Relative: the n-th of the actor and the tasks it
  // brought into being; number 0, not relative: the actor.
  TaskRef target;
  uint32_t child = 0;  // label (>= 1) of the task being born
  Place at;            // the primary address
  Place to;  // mremap, vm_copy: the destination; vm_write, peek, poke: in the actor's space
  uint64_t size = 0;      // bytes; kSpace/kTask: map maximum, 0 = the default
  uint64_t new_size = 0;  // mremap
  uint64_t mask = 0;      // vm_map: bits that the address shall not have; memfd_seal: seals
  base::Prot prot;
  base::Prot max_prot;  // vm_map
  base::Inherit inherit = base::Inherit::kCopy;
  base::Advice advice = base::Advice::kNormal;
  uint32_t flags = 0;  // OpFlags
  uint64_t value = 0;  // write: which bytes; thread_end: which thread
  uint32_t file = 0;   // 1 + index into Trace::files; 0 = anonymous
  Backing backing = Backing::kFile;
  uint64_t offset = 0;    // byte offset in the file
  uint32_t device = 0;    // swapon, swapoff, swapctl
  uint32_t priority = 0;  // swapon, swapctl: <= kMaxSwapPriority; the lowest is used first
  // kInject: visit number skip + 1 of the site fires, counted while the next operation runs.
  base::FaultSite site{};
  uint64_t skip = 0;
  friend bool operator==(const Op&, const Op&) = default;
};

// An Op with absolute operands. Unused fields are zero, so that equal operations compare and hash
// equal.
struct ResolvedOp {
  OpKind kind = OpKind::kSpace;
  uint32_t task = 0;    // label
  uint32_t thread = 0;  // of the task
  uint32_t target = 0;  // label; 0: `task`
  uint32_t child = 0;   // label
  uint64_t at = 0;
  uint64_t to = 0;
  uint64_t size = 0;
  uint64_t new_size = 0;
  uint64_t mask = 0;
  base::Prot prot = base::kProtNone;
  base::Prot max_prot = base::kProtNone;
  base::Inherit inherit = base::Inherit::kCopy;
  base::Advice advice = base::Advice::kNormal;
  uint32_t flags = 0;
  uint64_t value = 0;
  uint64_t file_key = 0;  // KeyOfName(); 0 = anonymous
  Backing backing = Backing::kFile;
  uint64_t offset = 0;
  uint32_t device = 0;
  uint32_t priority = 0;
  base::FaultSite site{};
  uint64_t skip = 0;
  friend bool operator==(const ResolvedOp&, const ResolvedOp&) = default;
};

// Attributes of the region that vm_region found.
struct RegionInfo {
  base::Prot prot;
  base::Prot max_prot;
  base::Inherit inherit = base::Inherit::kCopy;
  bool shared = false;
  friend bool operator==(const RegionInfo&, const RegionInfo&) = default;
};

// What the caller sees.
struct Outcome {
  enum class Family : uint8_t {
    kNone,   // not executed: an operand named nothing (a task that does not exist)
    kErrno,  // BSD call: code is a base::Errno
    kKern,   // Mach call: code is a base::KernReturn
    kFault,  // memory access: code is a base::FaultCode
  };
  Family family = Family::kNone;
  int32_t code = 0;  // 0 = success in every family
  // mmap, mremap, vm_allocate, vm_map: the address. vm_read: of the copy. mincore: pages resident.
  // pread, pwrite, peek, poke, send, receive: bytes moved. swapstats: devices. vm_region: the
  // start. read: what was read (ReadValue below).
  uint64_t value = 0;
  uint64_t size = 0;  // vm_region
  RegionInfo region;  // vm_region
  bool ok() const { return family != Family::kNone && code == 0; }
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// The key of a file, memory file, segment or device: never 0.
uint64_t KeyOfName(const char* name);

// The `value` of a read: the byte itself when all bytes read are equal, else a digest with the top
// bit set.
uint64_t ReadValue(const unsigned char* bytes, uint64_t size);

// Calls about memory that has a name, not about a place in a map.
bool NamesMemory(OpKind kind);
// swapctl(2): about no memory at all.
bool IsSwapCall(OpKind kind);
// thread_create and thread_end.
bool IsThreadCall(OpKind kind);
// Whether the operation is about a place in a map (Op::at). Births, deaths and kInject are not, nor
// is what NamesMemory, IsSwapCall or IsThreadCall.
bool TakesPlace(OpKind kind);
// Whether a call may name another task (Op::target).
bool HasTarget(OpKind kind);
// On whom an operation acts: its target, or who does it.
inline uint32_t ActsOn(const ResolvedOp& op) { return op.target != 0 ? op.target : op.task; }

// Which family an op's outcome has: calls carry their personality in their name.
Outcome::Family FamilyOf(OpKind kind);

// Whose codes a task's failed accesses speak: signals, or exceptions with a kern_return_t. Fixed at
// birth (kSpace and kFork make BSD tasks, kTask, kTask32 and kTaskCreate Mach ones).
enum class Personality : uint8_t { kBsd, kMach };

inline constexpr uint32_t kMaxSwapPriority = 0x7fffffff;

// Default first address beyond a task's map: 47-bit user space less one guard page, as amd64
// programs see it.
inline constexpr uint64_t kDefaultMapMax = 0x7ffffffff000;
// Every machine's one device: a frame buffer, under one name for who opened it for reading and
// writing, and one for who opened it for reading alone. The first pages may be had with all rights,
// the others with all but writing.
inline constexpr const char* kFrameBuffer = "fb";
inline constexpr const char* kFrameBufferReadOnly = "fb_read";
inline constexpr uint64_t kFrameBufferPages = 6;
inline constexpr uint64_t kFrameBufferWritablePages = 4;

// Lowest mappable address of every task; page 0 stays unmapped (NetBSD's user_va0_disable).
inline constexpr uint64_t kMapMin = 0x1000;
// Of a 32-bit task: the map is [0, at most this), and operands of its Mach calls are cut to 32
// bits.
inline constexpr uint64_t kMapMax32 = 0xc0000000;

}  // namespace traces

#endif  // TRACES_OP_H_
