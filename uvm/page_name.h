// uvm/page_name.h: names of contents, for policies that remember what was paged out.
//
// WHAT     A name is made of the owner's number and the page's place in it, so it stays the same
//          however often the contents are paged out and in. Numbers of owners only rise; two names
//          may be equal by accident.
// SEE      PolicyDoor::NameOf and PagePolicy::Forget (pdpolicy.h); facts/uvm.md 2.11 "cookie".

#ifndef UVM_PAGE_NAME_H_
#define UVM_PAGE_NAME_H_

#include <cstdint>

#include "base/addr.h"
#include "base/hash.h"

namespace uvm {

inline uint64_t NameOfAnonPage(uint32_t anon_id) { return base::Chain(~uint64_t{0}, anon_id); }
inline uint64_t NameOfObjectPage(uint32_t object_id, base::PageIndex index) {
  return base::Chain(object_id, index.value());
}

}  // namespace uvm

#endif  // UVM_PAGE_NAME_H_
