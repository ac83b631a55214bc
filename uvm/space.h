// uvm/space.h: one task's address space: a map and its pmap.
//
// WHAT     NetBSD's vmspace without the process around it. Made, forked and freed by Uvm.
// STATES   one reference for each task that runs in it; freed with the last.
// LOCKS    The map has its own. (T) by nothing: changed by Uvm between scheduling points of server
//          threads, which never run at one instant.
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
  uint32_t refs = 1;        // (T) tasks
  base::ListLink uvm_link;  // (T) Uvm's list of live spaces

 private:
  Map map_;  // has its own lock
};

}  // namespace uvm

#endif  // UVM_SPACE_H_
