// uvm/space.h: one task's address space: a map and its pmap.
//
// WHAT     NetBSD's vmspace without the process around it. Made, forked and freed by Uvm.
// SEE      facts/uvm.md 1.1 "Address-space lifecycle".

#ifndef UVM_SPACE_H_
#define UVM_SPACE_H_

#include <cstdint>

#include "base/list.h"
#include "uvm/map.h"

namespace uvm {

class Space {
 public:
  Space(const MapContext* context, Vaddr min, Vaddr max, Pmap* pmap, uint32_t space_id)
      : id(space_id), map_(context, min, max, pmap) {}

  Map& map() { return map_; }
  const Map& map() const { return map_; }
  Pmap* pmap() const { return map_.pmap(); }

  const uint32_t id;        // stable, in order of birth
  base::ListLink uvm_link;  // Uvm's list of live spaces

 private:
  Map map_;
};

}  // namespace uvm

#endif  // UVM_SPACE_H_
