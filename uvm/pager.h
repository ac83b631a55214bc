// uvm/pager.h: the door sideways: where an object's pages come from.
//
// WHAT     A Pager supplies the contents of one kind of memory object. UVM owns the pages; the
//          pager fills them.
// LOCKS    GetPage is called with no UVM lock held and the page busy: it may block on whatever it
//          likes, but holds no busy page of another object meanwhile (design D14).
// SEE      NetBSD struct uvm_pagerops; facts/uvm.md 1.4.

#ifndef UVM_PAGER_H_
#define UVM_PAGER_H_

#include <cstdint>

#include "base/addr.h"
#include "base/errors.h"
#include "base/result.h"

namespace uvm {

class Object;

class Pager {
 public:
  // pgo_get for one page: fills contents[0..4096) with page `index` of `object`. An error is
  // reported to every access that needs the page, and the page is freed.
  virtual base::Result<void, base::FaultError> GetPage(Object* object, base::PageIndex index,
                                                       unsigned char* contents) = 0;
  // pgo_detach: the last reference is gone and no page is left; the pager forgets the object.
  virtual void Detach(Object* object) = 0;

 protected:
  ~Pager() = default;
};

}  // namespace uvm

#endif  // UVM_PAGER_H_
