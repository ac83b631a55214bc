// uvm/amap.h: anonymous maps: the upper layer of a mapping.
//
// WHAT     An Amap is a sparse array of slots, each empty or pointing to an Anon. A map entry
//          refers to a run of slots by an AmapRef. Worked example, 8 slots with two anons:
//              slot     0 1 2 3 4 5 6 7          used[]  2 5
//              anons[]  . . a . . b . .          back[]  . . 0 . . 1 . .
//          used[] lists the slots in use so that walks cost what is there, back[] says where in
//          used[] a slot stands. As soon as entries cover different parts of one amap, ppref[]
//          counts the entries slot by slot, in runs: a run of one slot with count c holds c + 1, a
//          longer one -(c + 1) and its length in the next cell. After the entry [0, 8) lost its
//          slots 3 and 4:
//              count    1 1 1 0 0 1 1 1
//              ppref[] -2 3 . -1 2 -2 3 .
// STATES   refs 1: one entry's own. refs > 1: split entries of one map (clip), several entries that
//          share it on purpose (shared == true: fork by SHARE), or copy-on-write relatives that all
//          have needs-copy set.
//          ppref: absent (every entry covers the same slots) -> present (some may not) -> absent
//          again when the only entry left is extended. Lost: memory for it could not be had; then
//          anons of slots that no entry covers any more stay until the amap dies or is extended.
// LOCKS    (L) lock->mutex. Amaps that have anons in common have one lock in common, which is why
//          the lock is an object of its own. (T) by nothing: changed between scheduling points of
//          server threads, which never run at one instant.
// INVARIANTS  I6 ValidAmapSlots: used and back are inverse to each other on the used slots; every
//          other slot is empty; used_count <= slot_count <= capacity.  I7 ValidAmapRefs: refs ==
//          map entries that name the amap; shared implies refs > 1; where ppref is present it
//          counts each slot's entries, and no slot with count 0 is used.
// SEE      NetBSD sys/uvm/uvm_amap.h; facts/uvm.md 1.2, 2.5.

#ifndef UVM_AMAP_H_
#define UVM_AMAP_H_

#include <cstdint>

#include "base/list.h"
#include "uvm/anon.h"
#include "uvm/core.h"
#include "uvm/lock.h"

namespace uvm {

enum class Ppref : uint8_t { kAbsent, kPresent, kLost };

struct Amap {
  LayerLock* lock = nullptr;  // constant
  uint32_t refs = 1;          // (L) NetBSD: amap_refs()
  bool shared = false;        // (L) NetBSD: amap_flags(), AMAP_SHARED
  uint32_t slot_count = 0;    // (L)
  uint32_t capacity = 0;      // (L) of the arrays below; a power of two
  uint32_t used_count = 0;    // (L)
  Anon** anons = nullptr;     // (L)
  uint32_t* used = nullptr;   // (L)
  uint32_t* back = nullptr;   // (L)
  int32_t* ppref = nullptr;   // (L) `capacity` cells while pp == kPresent
  Ppref pp = Ppref::kAbsent;  // (L)
  base::ListLink store_link;  // (T)
  uint32_t id = 0;            // constant
  uint32_t debug_refs = 0;    // for checkers only, of the walk under way: entries,
  uint64_t debug_pages = 0;   // for checkers only: the slots they cover together,
  uint32_t fork_group = 0;    // (T) of fork_aliases.cc, while it groups; else 0
  uint32_t debug_slot = 0;    // for checkers only: the first slot of one of them
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
enum class ExtendTo : uint8_t { kForward, kBackward };

// A place in the list of all amaps that survives whatever happens to it.
struct AmapCursor {
  Amap* at = nullptr;  // null: at the end
  base::ListLink link;
};

class AmapStore {
 public:
  AmapStore(Core* core, PageStore* pages, AnonStore* anons)
      : core_(core), pages_(pages), anons_(anons), pool_(core->memory), arrays_(core->memory) {}

  // NetBSD: amap_alloc(). One reference, all slots empty, room for `pad` more; null when memory ran
  // out or `slots` exceeds 2^31.
  Amap* Allocate(PageCount slots, PageCount pad = PageCount(0));
  // NetBSD: amap_ref(): one more entry covers [ref.slot, +pages), as one does already. kYes marks
  // the amap as shared on purpose.
  void Reference(const AmapRef& ref, PageCount pages, Shared shared);
  // The same for an entry that covers a part of what the entry of `whole` covers.
  void ReferencePart(const AmapRef& whole, PageCount whole_pages, const AmapRef& part,
                     PageCount part_pages, Shared shared);
  // NetBSD: amap_unref(), amap_wipeout(): an entry of [ref.slot, +pages) is gone. Anons of slots
  // that nobody covers any more are released; the last reference releases all.
  void Release(const AmapRef& ref, PageCount pages);
  // NetBSD: amap_splitref(): the entry of `left` is cut after `kept` pages; *right becomes the
  // rest's share.
  void Split(const AmapRef& left, PageCount pages, PageCount kept, AmapRef* right);

  // NetBSD: amap_lookup(). LOCKS: the amap's, for these five.
  Anon* Lookup(const Amap* amap, uint32_t slot) const;
  // How many of `pages` slots from ref.slot on are empty, up to the first that is not.
  uint64_t CountEmpty(const AmapRef& ref, PageCount pages) const;
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
  // The same where several entries are to refer to one copy (fork_aliases.h): a copy of slots
  // [span.first, span.end), in which those of `ref` lie, with no other anons than theirs yet.
  struct Span {
    uint32_t first;
    uint32_t end;
  };
  Amap* CopyRangeWithin(const AmapRef& ref, PageCount pages, Span span);
  // One more of these entries, `to`: the copy gets what it lacks of `from`, whose reference goes.
  // `other`: one of the copy's entries; all cover the same slots if the copy has no ppref. LOCKS:
  // the family's.
  void CopyMore(const AmapRef& from, const AmapRef& to, PageCount pages, const AmapRef& other,
                PageCount other_pages);
  // How many of the pages from ref.slot on are, like the first, in several entries (*several: the
  // amap is shared from now on), or in this one only. Nothing when ppref was lost.
  PageCount AliasedRun(const AmapRef& ref, PageCount pages, bool* several);

  // NetBSD: amap_extend(). Makes `add` empty slots behind or before [ref->slot, +pages) of an amap
  // with one reference; *ref is moved when slots are. Errors, nothing changed: kBusy (other
  // references), kTooBig (it would have to be reallocated as a large one), kNoMemory.
  Result<void, MapError> Extend(AmapRef* ref, PageCount pages, PageCount add, ExtendTo where);
  // NetBSD: amap_cow_now(): gives a copied amap anons of its own for all that it shares with
  // others, now. What was copied before an error stays, and the call may be repeated. kAbsent:
  // *absent is to be brought in first; with a null `absent` what nobody can write to without a
  // fault, as it is not in memory, stays shared. LOCKS: the amap's, since before its anons were
  // shared with whoever may write to their pages.
  enum class Copied : uint8_t { kAll, kNoMemory, kAbsent };
  Copied CopyNow(const AmapRef& ref, PageCount pages, Anon** absent);
  // After CopyNow ran out of memory, before anything is unlocked: gives up what is still shared
  // with whoever may write to it.
  void GiveUpShared(const AmapRef& ref, PageCount pages);
  // Copies what `from` has and `to`, of the same family, has not, as CopyNow does. LOCKS: theirs.
  Copied CopyMissing(const AmapRef& from, const AmapRef& to, PageCount pages);

  // Write-protects every resident page of the range in every space. NetBSD: amap_share_protect().
  // LOCKS: the amap's.
  void WriteProtect(const AmapRef& ref, PageCount pages);
  // Releases the anons of the range. NetBSD: amap_wiperange(). LOCKS: the amap's.
  void ReleaseRange(const AmapRef& ref, PageCount pages);
  // NetBSD: amap_lookups(). Calls visit(slot, anon) for each used slot of the range, ascending when
  // the range is dense. visit may empty the slot it is given. LOCKS: the amap's.
  template <typename F>
  void ForEachAnon(const AmapRef& ref, PageCount pages, F&& visit) {
    ForEachUsed(ref.amap, ref.slot, ref.slot + pages.value(),
                [&](uint32_t slot) { visit(slot, ref.amap->anons[slot]); });
  }
  // One reference to the lock that is not an amap's (a lent anon's); freed with the last. LOCKS:
  // none for the second.
  void ReferenceLock(LayerLock* lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock->mutex) {
    anons_->ReferenceLock(lock);
  }
  void ReleaseLock(LayerLock* lock) ABSL_LOCKS_EXCLUDED(lock->mutex) { anons_->ReleaseLock(lock); }

  // For whoever goes through all amaps and lets others run meanwhile (swapoff.h). At first the
  // cursor is at the first amap; it moves on by itself when the amap it is at dies. New amaps come
  // at the end.
  void OpenCursor(AmapCursor* cursor);
  void AdvanceCursor(AmapCursor* cursor) { cursor->at = all_.Next(cursor->at); }
  void CloseCursor(AmapCursor* cursor) { cursors_.Remove(cursor); }

  // For checkers: entries that cover `slot` by ppref. REQUIRES: pp == kPresent.
  static uint32_t DebugPpref(const Amap* amap, uint32_t slot);
  // Sum of all counts, and the first used slot that nobody covers (or slot_count).
  static uint64_t DebugPprefSum(const Amap* amap, uint32_t* uncovered);

  using List = base::List<Amap, &Amap::store_link>;
  const List& DebugAll() const { return all_; }
  uint64_t live() const { return pool_.live(); }
  // Locks in use: one for each family of amaps that share anons.
  uint64_t live_locks() const { return anons_->live_locks(); }
  // Of the arrays of all amaps.
  uint64_t array_bytes() const { return arrays_.live_bytes(); }
  base::ArrayPool* arrays() { return &arrays_; }

 private:
  struct Run {
    uint32_t count;
    uint32_t length;
  };
  bool AllocateArrays(Amap* amap, uint32_t capacity);
  bool AllocateRawArrays(Amap* amap, uint32_t capacity);
  void FreeArrays(Amap* amap);
  Amap* NewCopy(Amap* source, uint32_t slots);
  static void CopySlots(const Amap& from, uint32_t first, Amap* to);
  void ShareSlots(const AmapRef& from, const AmapRef& to, PageCount pages);
  void Destroy(Amap* amap);  // NetBSD: amap_free()
  Anon* CopyAnon(const Anon* old);
  void Uncover(Amap* amap, uint32_t slot, PageCount pages);
  // ppref.cc. LOCKS: the amap's.
  static Run RunAt(const Amap* amap, uint32_t slot);
  static void SetRun(Amap* amap, uint32_t slot, Run run);
  // NetBSD: amap_pp_establish(). Before refs changes: all entries cover [slot, +pages).
  void EstablishPpref(Amap* amap, uint32_t slot, PageCount pages);
  // NetBSD: amap_pp_adjref(): `delta` is +1 or -1.
  void AdjustPpref(Amap* amap, uint32_t slot, PageCount pages, int delta);
  void DropPpref(Amap* amap);
  // extend.cc. The only entry covers [ref.slot, +pages): everything else is empty afterwards.
  void KeepOnly(const AmapRef& ref, PageCount pages);
  static void MoveSlots(const Amap& from, uint32_t first, uint32_t count, Amap* to,
                        uint32_t target);
  // Calls visit(slot) for each used slot in [first, last). visit may empty the slot it is given.
  // Costs the smaller of the range and the number of used slots.
  template <typename F>
  void ForEachUsed(Amap* amap, uint64_t first, uint64_t last, F&& visit) {
    if (last > amap->slot_count) last = amap->slot_count;
    if (first < last && amap->used_count < last - first) {
      // Backwards, because Remove() moves the last used slot, already visited, into the place it
      // empties.
      for (uint32_t i = amap->used_count; i-- > 0;) {
        uint32_t slot = amap->used[i];
        if (first <= slot && slot < last) visit(slot);
      }
      return;
    }
    for (uint64_t slot = first; slot < last; ++slot) {
      if (amap->anons[slot] != nullptr) visit(static_cast<uint32_t>(slot));
    }
  }

  Core* const core_;
  PageStore* const pages_;
  AnonStore* const anons_;
  base::Pool<Amap> pool_;
  base::ArrayPool arrays_;
  List all_;
  base::List<AmapCursor, &AmapCursor::link> cursors_;
  uint32_t next_id_ = 1;
};

}  // namespace uvm

#endif  // UVM_AMAP_H_
