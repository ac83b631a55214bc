// uvm/fault.h: page faults: which page an access means, and how it comes to be mapped.
//
// WHAT     Four cases (A: mapped as it is, B: promoted to a new anon first):
//
//              upper layer: an anon                   no anon: lower layer, or zero-fill
//            1A  mapped as it is; read-only           2A  the object's page; read-only in a
//                while refs > 1                           private mapping
//            1B  write to an anon with refs > 1:      2B  write to a private mapping, or no object:
//                copied to a new anon                     copied, or zeroed, into a new anon
//
// LOCKS    Called with nothing held. Takes map (reading), amap, object in that order; anything that
//          has to wait or to write the map lets go of all of them and looks everything up again
//          ("restart").
// INVARIANTS  An old translation is removed, and the removal complete, before the copy that
//          replaces its page is published: no thread can read the old page after another wrote the
//          new one (NetBSD PR 56535).
// SEE      NetBSD sys/uvm/uvm_fault.c; facts/uvm.md 2.8; docs/internals/fault.md.

#ifndef UVM_FAULT_H_
#define UVM_FAULT_H_

#include "uvm/core.h"
#include "uvm/map.h"

namespace uvm {

// What a pager's error is to the access that met it.
FaultError FaultErrorOf(PagerError error);

class FaultHandler {
 public:
  FaultHandler(Core* core, PageStore* pages, AnonStore* anons, AmapStore* amaps,
               ObjectStore* objects)
      : core_(core), pages_(pages), anons_(anons), amaps_(amaps), objects_(objects) {}

  // NetBSD: uvm_fault(). On success the map's pmap permits `access` at `va`. `va` need not be
  // aligned.
  Result<void, FaultError> Fault(Map* map, Vaddr va, Access access);

 private:
  // One attempt. kAgain: locks were dropped, start over. kFetch: `object` (referenced for the
  // caller) lacks page `index`.
  enum class Step : uint8_t { kDone, kAgain, kFetch };
  struct Attempt {
    Map* map;
    Vaddr va;  // page aligned
    Access access;
    MapEntry* entry;
    Prot enter_prot;  // what the translation may get
    Object* object;   // kFetch
    PageIndex index;  // kFetch
    bool write() const { return access == Access::kWrite; }
  };
  Result<Step, FaultError> Try(Attempt* attempt);
  Result<Step, FaultError> Resolve(Attempt* attempt);
  Result<void, FaultError> Upper(Attempt* attempt, Anon* anon);
  Result<Step, FaultError> Lower(Attempt* attempt);
  Result<void, FaultError> Promote(Attempt* attempt, Page* from);
  Result<void, FaultError> CopyUpper(Attempt* attempt, Anon* old);
  Result<void, FaultError> EnterPage(const Attempt& attempt, Page* page);
  void ForgetOldTranslation(const Attempt& attempt);
  Result<void, FaultError> FetchPage(Object* object, PageIndex index);

  Core* const core_;
  PageStore* const pages_;
  AnonStore* const anons_;
  AmapStore* const amaps_;
  ObjectStore* const objects_;
};

}  // namespace uvm

#endif  // UVM_FAULT_H_
