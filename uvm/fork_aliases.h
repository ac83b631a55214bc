// uvm/fork_aliases.h: which entries of a forking map show one amap, and what becomes of them.
//
// WHAT     A map may show one amap in several entries: mremap(MAP_REMAPDUP) shows private pages
//          twice, mprotect cuts shared memory to pieces. Where the child gets copies of them, they
//          are copies of one thing: one amap of the child, which its entries refer to as the
//          parent's do to theirs. Worked example, slots of one shared amap:
//              parent   A covers [4, 8)   B covers [6, 9)        span [4, 9)
//              child    one copy of 5 slots; A's twin at 0, 4 pages; B's twin at 2, 3 pages;
//                       slots 2 and 3 have two entries, so these pages are shared in the child
// STATES   nothing gathered -> gathered, at the first entry that may be one of several; other
//          forks pay nothing.
// LOCKS    The forking map stays busy, so what was gathered holds while the fork waits for frames.
// INVARIANTS  Members stand in the order of the map, each once; the leader of a group is its first
//          member. `span`, `first_twin` and `alone` are the leader's only.
// SEE      map_fork.cc; facts/uvm.md 5.B item 1.

#ifndef UVM_FORK_ALIASES_H_
#define UVM_FORK_ALIASES_H_

#include <cstdint>

#include "uvm/amap.h"
#include "uvm/map.h"

namespace uvm {

class ForkAliases {
 public:
  struct Member {
    MapEntry* entry;
    MapEntry* twin;  // null: it has no share of a copy
    uint32_t leader;
    bool alone;
    AmapStore::Span span;
    MapEntry* first_twin;  // the first that got a share
  };

  explicit ForkAliases(AmapStore* amaps) : amaps_(amaps) {}
  ~ForkAliases();
  ForkAliases(const ForkAliases&) = delete;
  ForkAliases& operator=(const ForkAliases&) = delete;

  // Whether `entry` may be one of several: its own pages, shared in the parent, copied for the
  // child.
  static bool MayBe(const MapEntry& entry);
  // Groups what may be in the ring of entries from `from` to before `end`. False: no memory.
  bool Gather(MapEntry* from, const MapEntry* end);
  bool gathered() const { return members_ != nullptr; }
  // The member that `entry` is, or null: it is none, or alone. Asked in the order of the map.
  Member* Find(const MapEntry* entry);
  Member* LeaderOf(const Member& member) { return &members_[member.leader]; }
  // Makes `twin`, which refers to the parent's amap still, refer to a copy of it that has the pages
  // of `member`. False: no memory, nothing changed. LOCKS: the amap's.
  bool CopyFor(Member* member, MapEntry* twin);

  uint32_t count() const { return count_; }
  const Member& at(uint32_t i) const { return members_[i]; }

 private:
  AmapStore* const amaps_;
  Member* members_ = nullptr;
  uint32_t count_ = 0;
  uint32_t next_ = 0;  // where Find goes on
};

}  // namespace uvm

#endif  // UVM_FORK_ALIASES_H_
