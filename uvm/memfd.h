// uvm/memfd.h: files that live in memory only: memfd_create(2).
//
// WHAT     A Memfd is an anonymous object with a size in bytes and seals, which take away what may
//          still be done to it. It is mapped like any file; descriptors are its user's business.
// STATES   seals only grow, until kSealSeal forbids that too.
// LOCKS    One caller at a time for each file; the object has its own lock.
// SEE      memfd_create(2), fcntl(2) F_ADD_SEALS of NetBSD; aobj.h.

#ifndef UVM_MEMFD_H_
#define UVM_MEMFD_H_

#include <cstdint>

#include "base/errors.h"
#include "uvm/mmap.h"
#include "uvm/uvm.h"

namespace uvm {

enum Seals : uint32_t {
  kSealSeal = 0x1,          // no more seals
  kSealShrink = 0x2,        // no ftruncate to less
  kSealGrow = 0x4,          // no ftruncate to more
  kSealWrite = 0x8,         // no writing at all
  kSealFutureWrite = 0x10,  // no new writable shared mappings; those there are stay
};

class Memfd {
 public:
  // An empty file. Errors: kNoMemory. `sealable`: without MFD_ALLOW_SEALING it is sealed against
  // seals.
  enum class Sealing : uint8_t { kAllowed, kForbidden };
  static Result<Memfd, MapError> Create(Uvm* uvm, Sealing sealing);

  // ftruncate(2). EINVAL: the size is no off_t; EPERM: sealed; ENOMEM: the last page is lent and
  // there is no frame for a copy.
  Errno Truncate(uint64_t bytes);
  // EPERM: sealed against it; EINVAL: no such seal; EBUSY: kSealWrite while somebody has it mapped.
  Errno AddSeals(uint32_t seals);
  uint32_t seals() const { return seals_; }
  uint64_t size() const { return size_; }
  Object* object() const { return object_; }
  // mmap(2) of the file: EPERM for what the seals forbid, EINVAL past the end, then as MmapCalls.
  AddressResult Mmap(Process* process, MmapArguments arguments) const;
  // The last descriptor is closed; mappings keep the object.
  void Close();

 private:
  bool IsMapped() const;

  Memfd(Uvm* uvm, Object* object, uint32_t seals) : uvm_(uvm), object_(object), seals_(seals) {}

  Uvm* uvm_;
  Object* object_;
  uint32_t seals_;
  uint64_t size_ = 0;
};

}  // namespace uvm

#endif  // UVM_MEMFD_H_
