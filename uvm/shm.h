// uvm/shm.h: System V shared memory: segments that processes attach to their maps.
//
// WHAT     A ShmSegment is an anonymous object with a size; an attachment is a shared mapping of
//          all of it in one process. Keys, permissions and ids are its user's business.
// STATES   segment: present -> removed (shmctl(IPC_RMID); lives on while attached) -> gone with the
//          last detachment.
// LOCKS    None of its own: calls are made by one thread at a time, as the lists of a Uvm are
//          changed. A fork's hook runs between the fork and the child's first call.
// INVARIANTS  A segment's count of attachments is that of the records which name it, each in the
//          list of one process. An attachment outlives what was mapped over or unmapped by other
//          calls: it is the process's until it detaches, execs or exits.
// SEE      shmat(2), shmctl(2) of NetBSD; facts/uvm.md 1.16, 4.4 (shmat01-04).

#ifndef UVM_SHM_H_
#define UVM_SHM_H_

#include <cstdint>

#include "base/errors.h"
#include "base/pool.h"
#include "uvm/mmap.h"
#include "uvm/uvm.h"

namespace uvm {

enum ShmFlags : uint32_t {
  kShmReadOnly = 010000,  // attach without the right to write
  kShmRound = 020000,     // round the address down instead of refusing it
};

struct ShmSegment {
  Object* object = nullptr;
  uint64_t size = 0;  // bytes, as asked for
  bool removed = false;
  bool locked = false;
  uint64_t attachments = 0;
  uint64_t debug_found = 0;  // for checkers only
};

struct ShmAttachment {
  ShmSegment* segment = nullptr;
  Range range;
  ShmAttachment* older = nullptr;  // of the same process
};

class ShmStore {
 public:
  ShmStore(Uvm* uvm, base::PageSource* memory)
      : uvm_(uvm), segments_(memory), attachments_(memory) {}
  ShmStore(const ShmStore&) = delete;
  ShmStore& operator=(const ShmStore&) = delete;

  // The largest segment, in bytes: a quarter of the machine's memory (shmmax).
  uint64_t MaxBytes() const { return base::ToBytes(uvm_->frames().total()) / 4; }

  // NetBSD: sys_shmget(). EINVAL: size 0, or above MaxBytes(); ENOMEM. *out lives until Remove and
  // its last detachment.
  Errno Create(uint64_t bytes, ShmSegment** out);
  // NetBSD: sys_shmat(). Address 0: anywhere. EINVAL: removed, or an address inside a page without
  // kShmRound; ENOMEM: the place is taken, or there is no memory.
  AddressResult Attach(Process* process, ShmSegment* segment, uint64_t address, uint32_t flags);
  // NetBSD: sys_shmdt(): the newest attachment at the address goes, with whatever stands in its
  // range now. EINVAL: nothing was attached there.
  Errno Detach(Process* process, uint64_t address);
  // NetBSD: sys_shmctl(): IPC_RMID: the segment is gone as soon as nobody is attached. EINVAL:
  // removed before.
  Errno Remove(ShmSegment* segment);
  // shmctl(SHM_LOCK), SHM_UNLOCK: its pages stay in memory. EINVAL: it is (not) locked; ENOMEM,
  // also where too much of the machine's memory is wired already.
  Errno Lock(ShmSegment* segment);
  Errno Unlock(ShmSegment* segment);

  // A fork has inherited the mappings: the child has the same attachments. False: ENOMEM, and the
  // child has none.
  bool Fork(const Process* parent, Process* child);
  // The process's memory is going away (exec, exit): it is attached to nothing. Unmaps nothing.
  void Forget(Process* process);

  uint64_t live() const { return segments_.live(); }
  static uint64_t AttachmentsOf(const ShmSegment* segment) { return segment->attachments; }

 private:
  void Release(ShmAttachment* attachment);
  void DestroyIfUnused(ShmSegment* segment);

  Uvm* const uvm_;
  base::Pool<ShmSegment> segments_;
  base::Pool<ShmAttachment> attachments_;
};

}  // namespace uvm

#endif  // UVM_SHM_H_
