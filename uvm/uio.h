// uvm/uio.h: the other side of a transfer of bytes: NetBSD's uio, without the kinds of memory.
//
// WHAT     Reading and writing an object (ubc.h) or another space (io.h) moves bytes between there
//          and a UioPeer, which may be a server's buffer or a client's memory.

#ifndef UVM_UIO_H_
#define UVM_UIO_H_

#include <cstdint>

#include "uvm/core.h"

namespace uvm {

// The other side of a read or write.
class UioPeer {
 public:
  // Moves `bytes` (at most a page) between `here` and the other side, in the direction of the
  // transfer. Nothing is locked or busy: it may fault, wait and take locks, also of the object that
  // is read or written (facts/uvm.md 5.A item 15).
  virtual Result<void, FaultError> Move(unsigned char* here, uint64_t bytes) = 0;

 protected:
  ~UioPeer() = default;
};

// struct uio: what is to be moved; advanced by what was.
struct Uio {
  UioPeer* peer;
  uint64_t offset;  // bytes: place in the object, or address in the space
  uint64_t resid;   // bytes
};

}  // namespace uvm

#endif  // UVM_UIO_H_
