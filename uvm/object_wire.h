// uvm/object_wire.h: wiring the pages of an object itself, whoever maps them.
//
// WHAT     System V segments that are locked in memory, and whoever hands pages of an object to a
//          device, wire them here; entries that are wired count on top of that.
// LOCKS    Called with nothing held.
// SEE      NetBSD uvm_obj_wirepages(), uvm_obj_unwirepages(); facts/uvm.md 1.4, 5.B item 8.

#ifndef UVM_OBJECT_WIRE_H_
#define UVM_OBJECT_WIRE_H_

#include "uvm/core.h"
#include "uvm/loan_break.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/pager.h"

namespace uvm {

class ObjectWiring {
 public:
  ObjectWiring(Core* core, PageStore* pages) : core_(core), pages_(pages), loans_(core, pages) {}

  // Makes the pages of [first, end) resident, their own and not lent, writable and wired once more.
  // `list`, if given, gets them. On error nothing is wired more than before. The caller holds a
  // reference. Errors: the pager's (kPastEnd, kIo, kNoMemory).
  Result<void, PagerError> Wire(Object* object, PageIndex first, PageIndex end, Page** list);
  // Undoes one Wire of these pages. Pages that were truncated away meanwhile are past caring.
  void Unwire(Object* object, PageIndex first, PageIndex end);

 private:
  Result<void, PagerError> WireSome(Object* object, PageIndex first, uint32_t count, Page** pages);

  Core* const core_;
  PageStore* const pages_;
  LoanBreaker loans_;
};

}  // namespace uvm

#endif  // UVM_OBJECT_WIRE_H_
