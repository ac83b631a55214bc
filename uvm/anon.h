// uvm/anon.h: one page of anonymous memory.
//
// WHAT     An Anon holds one page's worth of data that belongs to no file. It is reached only
//          through amap slots.
// STATES   being filled (page busy) -> resident -> freed when the last slot lets go. While somebody
//          holds its identity (voaddr.h) the record outlives its page, so that no other anon can
//          be taken for it.
// LOCKS    All fields are guarded by the lock of the amap the anon was reached through. Amaps that
//          share anons share their lock object, so there is only one such lock.
// INVARIANTS  I3 ValidAnonRefs: refs == number of amap slots, over all amaps, that point here.
// SEE      NetBSD sys/uvm/uvm_anon.h; facts/uvm.md 1.3.

#ifndef UVM_ANON_H_
#define UVM_ANON_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/page.h"

namespace uvm {

struct LayerLock;  // amap.h

struct Anon {
  uint32_t refs = 1;
  LayerLock* lock = nullptr;  // of the amaps it is in; set when it is first put into a slot
  Page* page = nullptr;
  uint32_t holds = 0;  // identities that name it (voaddr.h); they keep nothing but the record
  // For checkers only: slots counted by the walk under way.
  uint32_t debug_seen = 0;
};

class AnonStore {
 public:
  AnonStore(Core* core, PageStore* pages) : pages_(pages), pool_(core->memory) {}

  // NetBSD: uvm_analloc() with a page. One reference, page busy, contents undefined; null when
  // anons or frames ran out.
  Anon* Allocate();
  // NetBSD: uvm_analloc(). One reference and no page; null when anons ran out.
  Anon* AllocateEmpty() { return pool_.New(); }
  // Drops one reference; the last one frees page and anon. NetBSD: uvm_anfree() at zero.
  void Release(Anon* anon);
  // LOCKS: the anon's, for these two.
  void Hold(Anon* anon) { ++anon->holds; }
  void ReleaseHold(Anon* anon);
  // Records that nothing but identities keep.
  uint64_t held_only() const { return held_only_; }
  uint64_t live() const { return pool_.live(); }
  void set_limit(size_t limit) { pool_.set_limit(limit); }

 private:
  PageStore* const pages_;
  base::Pool<Anon> pool_;
  uint64_t held_only_ = 0;
};

}  // namespace uvm

#endif  // UVM_ANON_H_
