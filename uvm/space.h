// uvm/space.h: one task's address space: a map and its pmap.
//
// WHAT     NetBSD's vmspace without the process around it. Made, forked and freed by Uvm.
// STATES   one reference for each task that runs in it; freed with the last.
// LOCKS    (U) changed by Uvm, between scheduling points only (core.h).
// SEE      facts/uvm.md 1.1 "Address-space lifecycle".

#ifndef UVM_SPACE_H_
#define UVM_SPACE_H_

#include <cstdint>

#include "base/list.h"
#include "uvm/map.h"

namespace uvm {

class Space {
 public:
  // NetBSD: uvmspace_init().
  Space(const MapContext* context, Vaddr min, Vaddr max, Pmap* pmap, Direction direction,
        uint32_t space_id)
      : id(space_id), map_(context, min, max, pmap, direction) {}

  Map& map() { return map_; }
  const Map& map() const { return map_; }
  Pmap* pmap() const { return map_.pmap(); }

  const uint32_t id;        // stable, in order of birth
  uint32_t refs = 1;        // (U) tasks
  base::ListLink uvm_link;  // (U) Uvm's list of live spaces

 private:
  Map map_;  // constant; it has a lock of its own
};

}  // namespace uvm

#endif  // UVM_SPACE_H_
