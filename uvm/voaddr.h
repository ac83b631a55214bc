// uvm/voaddr.h: which byte of memory an address means, whatever the spaces that show it.
//
// WHAT     A VoAddr names the anon or the object page behind an address of a space, and the byte in
//          it. Two addresses are the same memory exactly when their VoAddrs are equal: what a futex
//          is keyed by. Uvm makes and releases them.
// STATES   empty -> acquired -> released (empty). An acquired one keeps its object alive, or the
//          anon's record, but not its page: whoever unmaps or writes goes on as if it were not
//          there.
// SEE      NetBSD sys/uvm/uvm_extern.h, struct uvm_voaddr; facts/uvm.md 1.1.

#ifndef UVM_VOADDR_H_
#define UVM_VOADDR_H_

#include <cstdint>

#include "uvm/amap.h"
#include "uvm/anon.h"
#include "uvm/object.h"

namespace uvm {

struct VoAddr {
  Object* object = nullptr;   // one reference
  Anon* anon = nullptr;       // held
  LayerLock* lock = nullptr;  // the anon's, one reference
  uint64_t offset = 0;        // bytes in the object or in the anon's page

  bool empty() const { return object == nullptr && anon == nullptr; }
  // uvm_voaddr_compare() == 0.
  friend bool operator==(const VoAddr& a, const VoAddr& b) {
    return a.object == b.object && a.anon == b.anon && a.offset == b.offset;
  }
};

}  // namespace uvm

#endif  // UVM_VOADDR_H_
