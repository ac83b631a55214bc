// uvm/map_entry.h: what the files of the map share about entries and no one else needs.

#ifndef UVM_MAP_ENTRY_H_
#define UVM_MAP_ENTRY_H_

#include "uvm/map.h"

namespace uvm {

// What an entry says about its pages whatever is behind them: rights and habits. That it does not
// merge is its own affair and not that of the pieces it is cut into, or of its copies.
inline void CopyAttributes(const MapEntry& from, MapEntry* to) {
  to->copy_on_write = from.copy_on_write;
  to->needs_copy = from.needs_copy;
  to->shared = from.shared;
  to->prot = from.prot;
  to->max_prot = from.max_prot;
  to->inherit = from.inherit;
  to->advice = from.advice;
  to->bare = from.bare;
}

// Everything an entry says about its pages, without its place in the map and without taking
// references.
inline void CopyFields(const MapEntry& from, MapEntry* to) {
  CopyAttributes(from, to);
  to->start = from.start;
  to->end = from.end;
  to->object = from.object;
  to->offset = from.offset;
  to->aref = from.aref;
  to->wired_count = from.wired_count;
  to->wire_me = from.wire_me;
  to->submap = from.submap;
}

// The part of `range` that `entry` covers. REQUIRES: they overlap.
inline Range Overlap(const MapEntry& entry, Range range) {
  return {entry.start > range.start ? entry.start : range.start,
          entry.end < range.end ? entry.end : range.end};
}

}  // namespace uvm

#endif  // UVM_MAP_ENTRY_H_
