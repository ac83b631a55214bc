// uvm/fault_fetch.h: bringing in the object's page behind an address that was looked up.
//
// WHAT     What faults and loans do when the lower layer lacks the page: let go of everything, ask
//          the pager, and see whether what was looked up still holds.
// SEE      facts/uvm.md 2.8 D; NetBSD uvm_fault_lower_io().

#ifndef UVM_FAULT_FETCH_H_
#define UVM_FAULT_FETCH_H_

#include "uvm/amap.h"
#include "uvm/core.h"
#include "uvm/fault_info.h"
#include "uvm/object.h"
#include "uvm/page.h"

namespace uvm {

// What a pager's error is to the access that met it.
FaultError FaultErrorOf(PagerError error);

class PageFetcher {
 public:
  PageFetcher(Core* core, PageStore* pages, AmapStore* amaps, ObjectStore* objects)
      : core_(core), pages_(pages), amaps_(amaps), objects_(objects) {}

  // `info` is looked up with map, amap (if any) and object locked; the page of info->va is not
  // resident. Returns the page, busy, with the same locks held; or null, or an error, with nothing
  // locked. Null: start over.
  Result<Page*, FaultError> Fetch(FaultInfo* info, Access access);

 private:
  Core* const core_;
  PageStore* const pages_;
  AmapStore* const amaps_;
  ObjectStore* const objects_;
};

}  // namespace uvm

#endif  // UVM_FAULT_FETCH_H_
