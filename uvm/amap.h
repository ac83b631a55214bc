// uvm/amap.h: anonymous maps: the upper layer of a mapping.
//
// WHAT     An Amap is a sparse array of slots, each empty or pointing to an Anon. A map entry
//          refers to a run of slots by an AmapRef. Worked example, 8 slots with two anons:
//              slot     0 1 2 3 4 5 6 7          used[]  2 5
//              anons[]  . . a . . b . .          back[]  . . 0 . . 1 . .
//          used[] lists the slots in use so that walks cost what is there, back[] says where in
//          used[] a slot stands.
// STATES   refs 1: one entry's own. refs > 1: split entries of one map (clip), several entries that
//          share it on purpose (shared == true: fork by SHARE), or copy-on-write relatives that all
//          have needs-copy set.
// LOCKS    Everything but `lock` itself is guarded by lock->mutex. Amaps that have anons in common
//          have one lock in common, which is why the lock is an object of its own.
// INVARIANTS  I6 ValidAmapSlots: used and back are inverse to each other on the used slots; every
//          other slot is empty; used_count <= slot_count <= capacity.  I7 ValidAmapRefs: refs ==
//          map entries that name the amap; shared implies refs > 1. Without per-page reference
//          counts (facts/uvm.md 2.5, "PPREF_NONE") anons of a part that one of several sharing or
//          copy-on-write referers unmapped stay until the amap dies or is extended.
// SEE      NetBSD sys/uvm/uvm_amap.h; facts/uvm.md 1.2, 2.5.

#ifndef UVM_AMAP_H_
#define UVM_AMAP_H_

#include <cstdint>

#include "base/list.h"
#include "uvm/anon.h"
#include "uvm/core.h"
#include "uvm/lock.h"

namespace uvm {

struct LayerLock {
  explicit LayerLock(ThreadSystem* threads) : mutex(threads, base::LockRank::kAmap) {}
  Mutex mutex;
  uint32_t refs = 1;  // amaps that use it; guarded by mutex
};

struct Amap {
  LayerLock* lock = nullptr;
  uint32_t refs = 1;
  bool shared = false;
  uint32_t slot_count = 0;
  uint32_t capacity = 0;  // of the arrays below; a power of two
  uint32_t used_count = 0;
  Anon** anons = nullptr;
  uint32_t* used = nullptr;
  uint32_t* back = nullptr;
  base::ListLink store_link;
  uint32_t id = 0;
  uint32_t debug_refs = 0;  // for checkers only: entries counted by the walk under way
};

// A map entry's share of an amap: its first slot. Null amap: no upper layer yet.
struct AmapRef {
  Amap* amap = nullptr;
  uint32_t slot = 0;
};

// An amap this large is never reallocated to grow; a new entry is made instead (facts/uvm.md
// section 0).
inline constexpr uint32_t kLargeAmapSlots = 256;
// The window that a needs-copy fault in a large fresh region gives an amap to. Smaller makes more
// entries, larger makes the first touch of a sparse region pay for slots it will never use.
inline constexpr uint32_t kAmapChunkSlots = 16;

enum class Shared : uint8_t { kNo, kYes };

class AmapStore {
 public:
  AmapStore(Core* core, AnonStore* anons)
      : core_(core),
        anons_(anons),
        pool_(core->memory),
        locks_(core->memory),
        arrays_(core->memory) {}

  // NetBSD: amap_alloc(). One reference, all slots empty; null when memory ran out or `slots`
  // exceeds 2^31.
  Amap* Allocate(PageCount slots);
  // NetBSD: amap_ref() without a range; kYes marks the amap as shared on purpose.
  void Reference(Amap* amap, Shared shared);
  // NetBSD: amap_unref(); the last reference releases every anon.
  void Release(Amap* amap);

  // NetBSD: amap_lookup(). LOCKS: the amap's, for these four.
  Anon* Lookup(const Amap* amap, uint32_t slot) const;
  // Puts `anon` into an empty slot.
  void Add(Amap* amap, uint32_t slot, Anon* anon);
  // Puts `anon` in place of the slot's anon, whose translations go away in every space if the amap
  // is shared. The caller keeps the old anon's reference. NetBSD: amap_add(replace).
  void Replace(Amap* amap, uint32_t slot, Anon* anon);
  // Empties a used slot and returns its anon with its reference. NetBSD: amap_unadd().
  Anon* Remove(Amap* amap, uint32_t slot);

  // The copying half of amap_copy(9): a new amap with the anons of [ref.slot, +pages), one more
  // reference on each; takes one reference from the source. Null when memory ran out, nothing
  // changed. LOCKS: the source's, which the copy shares.
  Amap* CopyRange(const AmapRef& ref, PageCount pages);

  // NetBSD: amap_extend(FORWARDS). Makes room for `add` more slots behind [ref.slot, +pages) of an
  // amap with one reference. False when it would have to become large, or memory ran out.
  bool ExtendForward(const AmapRef& ref, PageCount pages, PageCount add);

  // Write-protects every resident page of the range in every space. NetBSD: amap_share_protect().
  void WriteProtect(const AmapRef& ref, PageCount pages);
  // Releases the anons of the range. LOCKS: the amap's.
  void ReleaseRange(const AmapRef& ref, PageCount pages);
  // The same for a range that only the caller's entry uses, unless the amap turns out to be shared
  // on purpose.
  void ReleaseUnsharedRange(const AmapRef& ref, PageCount pages);

  using List = base::List<Amap, &Amap::store_link>;
  const List& DebugAll() const { return all_; }
  uint64_t live() const { return pool_.live(); }
  // Locks in use: one for each family of amaps that share anons.
  uint64_t live_locks() const { return locks_.live(); }

 private:
  bool AllocateArrays(Amap* amap, uint32_t capacity);
  void FreeArrays(Amap* amap);
  void Destroy(Amap* amap);
  // Calls visit(slot) for each used slot in [first, last). visit may empty the slot it is given.
  // Costs the smaller of the range and the number of used slots.
  template <typename F>
  void ForEachUsed(Amap* amap, uint64_t first, uint64_t last, F&& visit);

  Core* const core_;
  AnonStore* const anons_;
  base::Pool<Amap> pool_;
  base::Pool<LayerLock> locks_;
  base::ArrayPool arrays_;
  List all_;
  uint32_t next_id_ = 1;
};

}  // namespace uvm

#endif  // UVM_AMAP_H_
