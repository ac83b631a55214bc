// vmserver/protocol.h: what a client and its pager thread say to each other.
//
// WHAT     A call is an L4 message of untyped words to the caller's pager, its label a request
//          number; the answer has the label request + 100 (as MIG numbers them), MR1 = code, then
//          results. BSD calls act on the caller's own task; peek, poke and Mach calls on the task
//          that their first operand names: 0 or the caller's own id, or the id of a task that the
//          caller brought into being, that is, whose id it was answered. Nobody else but init has a
//          right to a task, and who asks cannot tell a task that is none of its business from one
//          that never was. Page faults travel on the same channel, in the kernel's format. Every
//          operand is one word, except those marked 64, which are two words of 32 bits, low one
//          first, so that file offsets and keys fit on 32-bit systems too. `code` is an errno value
//          (BSD, init) or a kern_return_t (Mach).
// INVARIANTS  A message that is malformed (typed items, propagated, wrong number of words) or
//          unknown gets an answer too: errno EINVAL or ENOSYS for BSD and init numbers, MIG's codes
//          below for all others. A message from anyone but the pager's own client is answered with
//          EPERM or KERN_INVALID_TASK.
// SEE      facts/mach.md section 2 (numbers); bsd.cc and mach.cc (meaning); client.h (the sender).

#ifndef VMSERVER_PROTOCOL_H_
#define VMSERVER_PROTOCOL_H_

#include <cstdint>

namespace vmserver {

enum Request : uint32_t {
  // ---- init only ----
  // personality (Personality), max (0: default), width (AddressWidth)  ->  code, task, thread
  kSpaceCreate = 900,
  // How memory and swap are kept, which shows to nobody. what (MemoryControl), two operands  ->
  // code
  kMemoryControl = 905,

  // ---- BSD: numbers of our own ----
  // Flags of the first and the sixth are NetBSD's MAP_*.
  kBsdMmap = 1000,           // at, size, prot, flags, file key 64, offset 64  ->  code, address
  kBsdMunmap = 1001,         // at, size                     ->  code
  kBsdMprotect = 1002,       // at, size, prot               ->  code
  kBsdMinherit = 1003,       // at, size, inherit            ->  code
  kBsdMadvise = 1004,        // at, size, advice             ->  code
  kBsdMremap = 1005,         // at, size, to, new size, flags  ->  code, address
  kBsdBrk = 1006,            // at                           ->  code
  kBsdFork = 1007,           //                              ->  code, task, thread
  kBsdExec = 1008,           //                              ->  code
  kBsdExit = 1009,           //                              no answer on success
  kBsdExecBrk = 1010,        // at                           ->  code
  kBsdLinuxDontneed = 1011,  // at, size                     ->  code
  kBsdMlock = 1012,          // at, size                     ->  code
  kBsdMunlock = 1013,        // at, size                     ->  code
  kBsdMlockall = 1014,       // flags (mlockall(2)'s)        ->  code
  kBsdMunlockall = 1015,     //                              ->  code
  // Resident pages of the range, and one bit a page of its first 128, 32 a word, lowest first.
  kBsdMincore = 1016,  // at, size                     ->  code, pages, bits, bits, bits, bits
  kBsdMsync = 1017,    // at, size, flags (msync(2)'s)  ->  code
  // Calls that move bytes (file_io.cc, lend.cc); at most kMaxMove of them. A code of success comes
  // with how many.
  // `how`: Transfer.
  kBsdPread = 1040,      // at, size, file key 64, offset 64, how  ->  code, bytes
  kBsdPwrite = 1041,     // at, size, file key 64, offset 64, how  ->  code, bytes
  kBsdPeek = 1042,       // task, at, size, to in the caller's space    ->  code, bytes
  kBsdPoke = 1043,       // task, at, size, from in the caller's space  ->  code, bytes
  kBsdSend = 1044,       // at, size  ->  code, bytes
  kBsdReceive = 1045,    // at, size  ->  code, bytes
  kBsdFtruncate = 1046,  // file key 64, size 64  ->  code
  kBsdSendFile = 1047,   // size, file key 64, offset 64  ->  code, bytes
  // swapctl(2). The first three are for tasks that init made; all others get EPERM. A device is
  // named by its number among those the server was given, from 0.
  kBsdSwapOn = 1048,   // device, priority  ->  code
  kBsdSwapOff = 1049,  // device            ->  code
  kBsdSwapCtl = 1050,  // device, priority  ->  code
  // Of the n-th device that is on, counted from 0 in the order of priorities; beyond the last one
  // only how many there are.
  kBsdSwapStats = 1051,  // n  ->  code, devices on, device, priority, pages, in use, bad
  // Threads of the caller's task, named by numbers below kMaxThreads. A new one starts where the
  // task's first did and has the lowest number that is free; the last one that there is cannot end
  // so.
  kBsdThreadCreate = 1052,  //          ->  code, number, thread
  kBsdThreadEnd = 1053,     // number   ->  code; no answer on success to who ends itself

  // Memory that several tasks share, under names: 64-bit keys, of one kind each, that everybody may
  // use (vmserver/shared.h). Memory files (memfd_create(2)); System V segments; the frame buffer.
  kBsdMemfd = 1020,          // key 64, size 64, sealable (0, 1)   ->  code
  kBsdMemfdTruncate = 1021,  // key 64, size 64                    ->  code
  kBsdMemfdSeal = 1022,      // key 64, seals (fcntl(2)'s)         ->  code
  kBsdMemfdClose = 1023,     // key 64                             ->  code
  // Operands of kBsdMmap; the key is a memory file's, or a device's.
  kBsdMemfdMmap = 1024,   // ->  code, address
  kBsdDeviceMmap = 1025,  // ->  code, address
  kBsdShmget = 1026,      // key 64, size 64                    ->  code
  kBsdShmat = 1027,       // key 64, at, flags (shmat(2)'s)     ->  code, address
  kBsdShmdt = 1028,       // at                                 ->  code
  kBsdShmRemove = 1029,   // key 64                             ->  code
  kBsdShmLock = 1030,     // key 64                             ->  code
  kBsdShmUnlock = 1031,   // key 64                             ->  code
  kBsdEnd = 1060,

  // ---- Mach: MIG's numbers; the first operand is the target task ----
  kMachTaskCreate = 2007,     // task, inherit memory (0, 1)  ->  code, task, thread
  kMachTaskTerminate = 2008,  // task             no answer on success to who ends itself
  kMachVmAllocate = 2021,     // task, at, size, anywhere     ->  code, address
  kMachVmDeallocate = 2023,   // task, at, size               ->  code
  kMachVmProtect = 2024,      // task, at, size, set maximum, prot  ->  code
  kMachVmInherit = 2025,      // task, at, size, inherit      ->  code
  kMachVmRead = 2026,         // task, at, size  ->  code, address in the caller's space, size
  kMachVmWrite = 2027,        // task, at, address in the caller's space, size  ->  code
  kMachVmCopy = 2028,         // task, from, size, to         ->  code
  kMachVmRegion = 2029,       // task, at  ->  code, start, size, prot, max prot, inherit, shared
  // task, at, size, mask, anywhere, object (0: none), offset 64, copy, prot, max prot, inherit
  //   ->  code, address
  kMachVmMap = 2089,
  kMachVmWire = 2636,     // task, host, at, size, access (0: unwire)  ->  code
  kMachVmWireAll = 4207,  // task, host, flags            ->  code
  kMachVmMsync = 4209,    // task, at, size, flags        ->  code
};

// The answer to `request` carries this label.
inline constexpr uint32_t kReplyOffset = 100;
// Words of the longest request and of the longest answer.
inline constexpr uint32_t kMaxRequestWords = 12;
inline constexpr uint32_t kMaxReplyWords = 7;

// A fault label the pager understands stands in <l4/ipc.h>. A wake-up between server threads has
// label 0, no words.

// What the client side needs of NetBSD's numbers.
enum BsdFlags : uint32_t {
  kMmapShared = 0x1,
  kMmapPrivate = 0x2,
  kMmapDuplicate = 0x4,   // mremap
  kMmapFixed = 0x10,      // replaces what is there
  kMmapTryFixed = 0x400,  // here if free, else anywhere
  kMmapWired = 0x800,
  kMmapAnonymous = 0x1000,
  kMmapAlignShift = 24,  // mmap, mremap: bits 24-31, the logarithm of the alignment
  kMsyncAsync = 1,
  kMsyncInvalidate = 2,
  kMsyncSync = 4,
  kMlockallCurrent = 1,
  kMlockallFuture = 2,
  kShmReadOnly = 010000,
  kShmRound = 020000,
};

// vm_msync's flags; together they contradict each other.
inline constexpr uint32_t kMachSyncAsynchronous = 1;
inline constexpr uint32_t kMachSyncSynchronous = 2;

// What kMemoryControl changes, and its operands; one that is not named is 0. A frame is named by
// its number. EINVAL: no such thing, or not with these operands; EBUSY: these frames cannot go now.
enum class MemoryControl : uint8_t {
  kColours,      // how many: a power of two, not fewer than there are. NetBSD: uvm_page_recolor()
  kBuckets,      // how many. uvm_page_rebucket()
  kNode,         // first frame, count | node << 24. uvm_page_numa_load()
  kCaches,       // for so many processors; 0: none. uvm_pgflcache_start()
  kPlug,         // first frame, count | free list << 24. uvm_hotplug()
  kUnplug,       // first frame, count
  kSwapEncrypt,  // 0: off; 1: on. vm.swap_encrypt
};
// Below the number of a node or a free list: how many frames.
inline constexpr uint32_t kMemoryCountBits = 24;

// Whose codes a task's failed accesses speak. Fixed at birth.
enum class Personality : uint8_t { kBsd = 0, kMach = 1 };

// Which addresses a task can say. Operands of a 32-bit task's Mach calls are cut to 32 bits, ranges
// wrap at 2^32, and its map begins at 0. Fixed at birth, inherited by children. Mach only.
enum class AddressWidth : uint8_t { kNative = 0, k32 = 1 };

// How the caller's memory is reached: as its loads and stores would, or by locking it as a device
// driver does (physio), which fetches all of it before anything is moved.
enum class Transfer : uint8_t { kCached = 0, kDirect = 1 };

// Threads that a task may have at once.
inline constexpr uint32_t kMaxThreads = 4;

// The most bytes that one call moves, so that nobody keeps the server's memory busy for long.
inline constexpr uint64_t kMaxMove = 256 << 10;
// The longest message, and how many a family of tasks may have waiting.
inline constexpr uint64_t kMaxMessageBytes = 64 << 10;
inline constexpr uint32_t kMaxMessages = 8;

// Names of the host in Mach calls. They name no task. The privileged one is a right of the tasks
// that init made, and of init.
inline constexpr uint32_t kHostName = 0xfffffffe;
inline constexpr uint32_t kHostPrivName = 0xfffffffd;
// What the holder of the plain name may have wired in one task: 8 MiB.
inline constexpr uint64_t kUnprivilegedWireBytes = uint64_t{8} << 20;

// Codes that base::Errno and base::KernReturn do not have, because no memory operation returns
// them.
inline constexpr int32_t kErrnoNosys = 78;
inline constexpr int32_t kMigBadId = -303;
inline constexpr int32_t kMigBadArguments = -304;

// Bounds of every task's map: page 0 is never mapped; the default end is 47-bit user space less one
// page (all of a 32-bit address space less 16 MiB where words are that small).
inline constexpr uint64_t kMapMin = 0x1000;
inline constexpr uint64_t kDefaultMapMax = sizeof(void*) == 8 ? 0x7ffffffff000 : 0xbf000000;
// The same of 32-bit tasks: from 0, so that the server keeps such a task's KIP above 2^32.
inline constexpr uint64_t kMapMax32 = 0xc0000000;

}  // namespace vmserver

#endif  // VMSERVER_PROTOCOL_H_
