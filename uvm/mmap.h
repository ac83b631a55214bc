// uvm/mmap.h: the mmap family with NetBSD's argument semantics.
//
// WHAT     What sys_mmap() and its relatives do between the system call's arguments and the map:
//          rounding, range tests, flag combinations, limits, and which errno each mistake gets.
//          Addresses and lengths are the caller's, unrounded and untrusted.
// LOCKS    Called with nothing held. One process makes one call at a time.
// SEE      facts/uvm.md 2.14 and 5.B items 4, 5, 14, 20; NetBSD sys/uvm/uvm_mmap.c, mmap(2) etc.

#ifndef UVM_MMAP_H_
#define UVM_MMAP_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/map.h"
#include "uvm/uvm.h"

namespace uvm {

using base::Errno;

struct ShmAttachment;

// What the calls need of a process besides its map. Limits are in bytes.
struct Process {
  Map* map = nullptr;
  Vaddr default_address;  // uvm_default_mapaddr(): where mmap without an address starts to look
  uint64_t limit_address_space = ~uint64_t{0};  // RLIMIT_AS
  uint64_t limit_locked = ~uint64_t{0};         // RLIMIT_MEMLOCK
  uint64_t limit_data = ~uint64_t{0};           // RLIMIT_DATA
  Vaddr heap_start;                             // first address of the heap
  Vaddr heap_end;                               // what brk was last set to
  ShmAttachment* attachments = nullptr;         // System V segments, newest first (shm.h)
};

// mmap(2)'s flags, NetBSD's values.
enum MmapFlags : uint32_t {
  kMapShared = 0x1,
  kMapPrivate = 0x2,
  kMapRemapDup = 0x4,  // mremap
  kMapFixed = 0x10,
  kMapInherit = 0x80,
  kMapTryFixed = 0x400,
  kMapWired = 0x800,
  kMapAnon = 0x1000,
  kMapStack = 0x2000,
  kMapAlignShift = 24,  // bits 24-31: log2 of the alignment
};
enum MsyncFlags : uint32_t { kMsAsync = 1, kMsInvalidate = 2, kMsSync = 4 };
enum MlockallFlags : uint32_t { kMclCurrent = 1, kMclFuture = 2 };

// What a file descriptor stands for.
struct MmapFile {
  bool given = false;        // fd != -1
  bool known = true;         // false: EBADF
  Object* object = nullptr;  // null: a kind that cannot be mapped, ENODEV
  // A device in place of an object: `object` is not looked at.
  DeviceDriver* driver = nullptr;
  uint64_t device = 0;
  bool readable = true;
  bool writable = true;
};

struct MmapArguments {
  uint64_t address = 0;
  uint64_t length = 0;
  Prot prot;
  uint32_t flags = 0;
  MmapFile file;
  uint64_t position = 0;
};

// An address or an errno.
struct AddressResult {
  Errno error = Errno::kOk;
  uint64_t address = 0;
};

class MmapCalls {
 public:
  explicit MmapCalls(Uvm* uvm) : uvm_(uvm) {}

  // NetBSD: sys_mmap(), and what uvm_mmap_anon() and uvm_mmap_dev() do for the kernel. A new
  // mapping takes a reference of its own to the file's object.
  AddressResult Mmap(Process* process, const MmapArguments& arguments);
  // NetBSD: sys_mremap().
  AddressResult Mremap(Process* process, uint64_t old_address, uint64_t old_size,
                       uint64_t new_address, uint64_t new_size, uint32_t flags);
  // NetBSD: sys_munmap(), sys_mprotect(), sys_minherit(), sys_madvise() and posix_madvise(),
  // sys___msync13(), sys_mlock(), sys_munlock(), sys_mlockall(), sys_munlockall(), sys_mincore().
  Errno Munmap(Process* process, uint64_t address, uint64_t length);
  Errno Mprotect(Process* process, uint64_t address, uint64_t length, Prot prot);
  // `inherit` and `advice` are the caller's numbers.
  Errno Minherit(Process* process, uint64_t address, uint64_t length, uint64_t inherit);
  Errno Madvise(Process* process, uint64_t address, uint64_t length, uint64_t advice);
  Errno Msync(Process* process, uint64_t address, uint64_t length, uint32_t flags);
  Errno Mlock(Process* process, uint64_t address, uint64_t length);
  Errno Munlock(Process* process, uint64_t address, uint64_t length);
  Errno Mlockall(Process* process, uint32_t flags);
  Errno Munlockall(Process* process);
  // Calls visit(resident, pages) for runs of pages that make up the range, ascending, until it
  // returns false (EFAULT: the caller's vector is not writable there).
  template <typename F>
  Errno Mincore(Process* process, uint64_t address, uint64_t length, F&& visit);
  // NetBSD: sys_obreak().
  Errno Brk(Process* process, uint64_t address);

 private:
  // NetBSD: uvm_mmap().
  AddressResult EnterMapping(Process* process, const MmapArguments& a, uint64_t address,
                             Map::EnterOptions* options);
  Errno WireNewMapping(Process* process, Range range);
  static Errno CheckMincore(uint64_t address, uint64_t length, Range* range);

  Uvm* const uvm_;
};

// The errno of a failed map operation.
Errno ErrnoOf(MapError error);

template <typename F>
Errno MmapCalls::Mincore(Process* process, uint64_t address, uint64_t length, F&& visit) {
  Range range;
  Errno error = CheckMincore(address, length, &range);
  if (error != Errno::kOk) return error;
  for (Vaddr at = range.start; at < range.end;) {
    bool resident = false;
    Vaddr end;
    if (!process->map->FindResidence(at, &resident, &end)) return Errno::kEnomem;
    if (end > range.end) end = range.end;
    if (!visit(resident, PageCount((end - at) >> base::kPageShift))) return Errno::kEfault;
    at = end;
  }
  return Errno::kOk;
}

}  // namespace uvm

#endif  // UVM_MMAP_H_
