// uvm/map.h: address maps: what is mapped where in one address space.
//
// WHAT     A Map is a set of MapEntries that do not overlap, in a red-black tree by address. Each
//          entry names up to two layers: an amap above (pages of its own) and an object below.
//          Worked example of the two flags:
//              mmap private           copy_on_write, needs_copy   no amap until a write
//              after the first write  copy_on_write               amap with one anon
//              after fork             copy_on_write, needs_copy   two spaces, one amap, read-only
//              mmap shared anonymous  neither                     amap from the start
// STATES   of an entry: linked -> (clipped, merged, moved)* -> unlinked (dead) -> freed, layers
//          released
//          of a map: idle <-> busy (one thread holds everybody else off although it let go of the
//          lock: while it wires or cleans).
// LOCKS    (M) lock(). Whoever changes a map does it in a Change, which waits until
//          no other thread has it busy and bumps the timestamp, so that a fault that let go of the
//          lock can tell whether its entry may have changed. Entries' layers have their own locks,
//          taken after this one.
// INVARIANTS  I8 ValidMapEntries: entries sorted, disjoint, within [min, max), none empty; the ring
//          is the tree; gap and max_gap exact; count and size exact; tree colours valid; the hint
//          is an entry of the map; nothing is free below first_free; a wired entry that owes a copy
//          has an object and can never be written.  I9 CopyOnWriteIsReadOnly: no translation in a
//          needs-copy entry permits writing.  I10 LayeredEntries: an entry without needs_copy has
//          an amap or an object, unless it only reserves space.  Right after insertion no two
//          neighbours are left apart that could have been one entry (facts/uvm.md 2.3).
// SEE      NetBSD sys/uvm/uvm_map.h; facts/uvm.md 1.1, 2.1-2.6, 2.14; docs/internals/map.md.

#ifndef UVM_MAP_H_
#define UVM_MAP_H_

#include <cstdint>

#include "base/check.h"
#include "base/rb_tree.h"
#include "base/text_sink.h"
#include "uvm/amap.h"
#include "uvm/core.h"
#include "uvm/frame_wait.h"
#include "uvm/lock.h"
#include "uvm/object.h"

namespace uvm {

// Two cache lines: what walks down the tree read, the fields up to max_gap, is the first one; a map
// of many entries is felt in every line it takes. The first seven fields fit beside the tree's
// colour. All fields: (M).
struct alignas(64) MapEntry : base::RbNode<MapEntry> {
  // Not defaulted: that would have a new entry filled with zeroes before its fields are set.
  MapEntry() {}

  bool copy_on_write = false;
  bool needs_copy = false;
  bool shared = false;  // mapped shared, or took part in a fork by SHARE; what vm_region reports
  Prot prot;
  Prot max_prot;
  Advice advice = Advice::kNormal;
  Inherit inherit = Inherit::kCopy;
  Vaddr start;
  Vaddr end;
  uint64_t gap = 0;          // bytes from `end` to the next entry or the map's end
  uint64_t max_gap = 0;      // largest gap in this entry's subtree
  MapEntry* prev = nullptr;  // a ring through the map's header
  MapEntry* next = nullptr;  // that ring, or the chain of an entry in no map
  Object* object = nullptr;
  uint64_t offset = 0;  // byte offset of `start` in `object`
  AmapRef aref;
  class Map* submap = nullptr;  // faults and lookups go there; no layers of its own
  uint32_t wired_count = 0;     // calls of Pageable since it was last not wired
  bool no_merge = false;
  bool bare = false;     // only reserves space: nothing behind it, now or ever
  bool wire_me = false;  // chosen by the wiring call under way

  Range range() const { return {start, end}; }
  PageCount pages() const { return base::ToPages(end - start); }
  // The amap slot and the object page behind `va`. REQUIRES: start <= va < end.
  uint32_t SlotOf(Vaddr va) const {
    return aref.slot + static_cast<uint32_t>((va - start) >> base::kPageShift);
  }
  PageIndex ObjectIndexOf(Vaddr va) const { return base::ToPageIndex(offset + (va - start)); }
};

static_assert(sizeof(void*) < 8 || sizeof(MapEntry) == 128);

// Entries in no map, in an order, linked by `next`.
class EntryChain {
 public:
  EntryChain() = default;
  EntryChain(const EntryChain&) = delete;
  EntryChain& operator=(const EntryChain&) = delete;

  bool empty() const { return first_ == nullptr; }
  MapEntry* front() const { return first_; }
  static MapEntry* Next(const MapEntry* entry) { return entry->next; }
  void PushBack(MapEntry* entry) {
    entry->next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = entry;
    last_ = entry;
  }
  // `entry` comes right after `position`, which is of this chain.
  void InsertAfter(MapEntry* position, MapEntry* entry) {
    entry->next = position->next;
    position->next = entry;
    if (last_ == position) last_ = entry;
  }
  MapEntry* PopFront() {
    MapEntry* entry = first_;
    if (entry == nullptr) return nullptr;
    first_ = entry->next;
    entry->next = nullptr;
    return entry;
  }

 private:
  MapEntry* first_ = nullptr;
  MapEntry* last_ = nullptr;  // means nothing while the chain is empty
};

// Rights that an entry's protection really gives: nothing without read, on every hardware
// (docs/decisions/0010).
constexpr Prot EffectiveProt(Prot prot) { return prot.CanRead() ? prot : base::kProtNone; }

enum class SetMax : uint8_t { kNo, kYes };
enum class Sharing : uint8_t { kPrivate, kShared };
// Where a map looks for space first (facts/uvm.md 2.2).
enum class Direction : uint8_t { kBottomUp, kTopDown };
enum class Wiring : uint8_t { kUnwire, kWire };

// What a fault that failed is to the call that needed the page.
MapError MapErrorOf(FaultError error);

// What a map asks of the fault handler (fault.h implements it), which includes this header.
class WiringDoor {
 public:
  // NetBSD: uvm_fault_wire(). Faults every page of the range in, wired. The map is busy by the
  // caller and not locked; the entries' wired_count is above 0 already. On error what was wired is
  // unwired again.
  virtual Result<void, FaultError> FaultWire(class Map* map, Range range) = 0;
  // NetBSD: uvm_fault_unwire_locked(), for uvm_fault_unwire() Map::Pageable. Unwires the pages of
  // the wired entries that make up the range, and sets their wired_count to 0 in the same step.
  // Finds each page through the layers: its translation may be gone (facts/uvm.md 5.B item 15).
  // LOCKS: the map's, written.
  virtual void FaultUnwireLocked(class Map* map, Range range) = 0;
  // A fault that asks for no rights: those that the caller's call needs it has looked at itself.
  // Called with nothing held; the map may be busy by the caller.
  virtual Result<void, FaultError> FaultIn(class Map* map, Vaddr va, Access access) = 0;

 protected:
  ~WiringDoor() = default;
};

// UVM_FLAG_* that Enter understands besides what EnterOptions says in words.
enum MapFlags : uint32_t {
  kEnterOverlay = 0x20000,       // the amap is made now
  kEnterNoMerge = 0x40000,       // never merge this entry with another
  kEnterAmapPad = 0x100000,      // room for the amap to grow
  kEnterTryLock = 0x200000,      // kTryAgain instead of waiting for the map's lock
  kEnterNoWait = 0x400000,       // kNoMemory instead of waiting for memory
  kEnterWaitVa = 0x800000,       // wait until somebody unmaps when there is no space
  kEnterVaOnly = 0x2000000,      // what kFixedReplace removes has no translations
  kEnterColorMatch = 0x4000000,  // `align` is a cache colour: page number modulo pages->colours()
  kEnterBeyondMax = 2,           // `prot` need not lie within `max_prot` (Mach)
  kEnterBare = 1,                // neither amap nor object nor the promise of one: reserves space
};

// A copy of a range as it was at one moment, in no map (Mach's vm_map_copy): private pieces without
// a gap, their addresses counted from 0. Whoever has it gives it to CopyOut, Overwrite or
// DropSnapshot.
struct Snapshot {
  EntryChain pieces;
  uint64_t size = 0;  // bytes
};

// What all maps of one Uvm have in common.
struct MapContext {
  Core* core;
  PageStore* pages;
  AmapStore* amaps;
  AnonStore* anons;
  ObjectStore* objects;
  base::Pool<MapEntry>* entries;
  WiringDoor* wiring;
};

class ForkAliases;

class Map {
 public:
  // An empty map of [min, max), both page aligned and min < max, translated by `pmap`. NetBSD:
  // uvm_map_setup().
  Map(const MapContext* context, Vaddr min, Vaddr max, Pmap* pmap,
      Direction direction = Direction::kBottomUp);
  ~Map();
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;

  // NetBSD: vm_map_min(), vm_map_max(), vm_map_pmap().
  Vaddr min() const { return header_.end; }
  Vaddr max() const { return header_.start; }
  Pmap* pmap() const { return pmap_; }

  enum class Where : uint8_t {
    kFixed,         // at `at`, which must be free
    kFixedReplace,  // at `at`; what is there goes away in the same step
    kHint,          // at `at` if free, else anywhere
    kAnywhere,
    kNear,  // the nearest fit from `at` in the map's direction: never above it in a top-down map,
            // never below it in a bottom-up one
  };
  struct EnterOptions {
    Vaddr at;
    uint64_t size = 0;  // bytes, page aligned, > 0
    Where where = Where::kAnywhere;
    Prot prot = base::kProtNone;
    Prot max_prot = base::kProtAll;
    Inherit inherit = Inherit::kCopy;
    Object* object = nullptr;  // null: anonymous. Its reference is consumed on success only
    uint64_t offset = 0;       // page aligned
    Sharing sharing = Sharing::kPrivate;
    Advice advice = Advice::kNormal;
    uint64_t align = 0;  // bytes, a power of two; 0: none. Not looked at when `where` is fixed
    uint32_t flags = 0;  // MapFlags
  };
  // NetBSD: uvm_map(). Returns the address. Errors, nothing changed: kInvalidArgument (alignment,
  // zero size), kOutOfRange, kNoSpace, kNoMemory, kProtection (prot exceeds max_prot), kTooBig
  // (object offset wraps), kTryAgain (kEnterTryLock).
  Result<Vaddr, MapError> Enter(const EnterOptions& options) ABSL_LOCKS_EXCLUDED(lock_);

  struct FindOptions {
    Vaddr hint;
    uint64_t size = 0;
    Object* object = nullptr;  // with `offset`: what pmap_prefer goes by
    uint64_t offset = 0;
    uint64_t align = 0;
    uint32_t flags = 0;  // kEnterColorMatch
    bool fixed = false;
  };
  // NetBSD: uvm_map_findspace(); facts/uvm.md 2.2, with N7 and N8 of 5.B' put right: the nearest
  // free range from the hint in the map's direction. Bottom-up that is the lowest one at or above
  // the hint, top-down the highest one that starts at or below it, aligned as asked. A hint below
  // the map counts as its start, one above its end finds nothing. O(log entries) unless alignment
  // spoils gaps that are large enough. False when there is none. Maps nothing.
  bool FindSpace(const FindOptions& options, Vaddr* out) ABSL_LOCKS_EXCLUDED(lock_);

  // The calls below take page-aligned ranges; what lies outside [min, max) is ignored. An empty
  // range is fine and does nothing. NetBSD: uvm_unmap(). Holes are fine; wired pages are unwired.
  // Errors: kNoMemory (for the entries that clipping makes), nothing changed.
  Result<void, MapError> Unmap(Range range) ABSL_LOCKS_EXCLUDED(lock_);
  // uvm_unmap1() of everything, before exec or the end. RemoveAll is asked first, and where it took
  // all translations away the pmap is left alone (UVM_FLAG_VAONLY).
  void UnmapAll() ABSL_LOCKS_EXCLUDED(lock_);
  // NetBSD: uvm_map_protect(). Holes are fine. kProtection (some page's maximum forbids it, or
  // execution of a no_exec object) and kInvalidArgument (submap): nothing changed. With
  // wires_future what becomes accessible is wired; when that fails the call says kNoMemory and the
  // rights stay changed.
  Result<void, MapError> Protect(Range range, Prot prot, SetMax set_max) ABSL_LOCKS_EXCLUDED(lock_);
  // NetBSD: uvm_map_inherit(), uvm_map_advice(). Holes are fine. kInvalidArgument: neither NONE,
  // COPY, SHARE nor ZERO; something is mapped and the advice neither NORMAL, RANDOM nor SEQUENTIAL.
  Result<void, MapError> SetInherit(Range range, Inherit inherit) ABSL_LOCKS_EXCLUDED(lock_);
  Result<void, MapError> SetAdvice(Range range, Advice advice) ABSL_LOCKS_EXCLUDED(lock_);
  // True when the range has no hole / nothing but hole. Both are true of an empty range.
  bool IsMapped(Range range) ABSL_LOCKS_EXCLUDED(lock_);
  bool IsFree(Range range) ABSL_LOCKS_EXCLUDED(lock_);
  // madvise(MADV_FREE): Clean with kPgoFree.
  Result<void, MapError> FreePages(Range range) ABSL_LOCKS_EXCLUDED(lock_) {
    return Clean(range, kPgoFree);
  }
  // Linux MADV_DONTNEED: private pages forget what was written to them. kHole after the mapped
  // parts are done.
  Result<void, MapError> Discard(Range range) ABSL_LOCKS_EXCLUDED(lock_);

  // NetBSD: uvm_map_willneed(): read-ahead on entries with an object and no amap. Never fails.
  void WillNeed(Range range) ABSL_LOCKS_EXCLUDED(lock_);
  // NetBSD: uvm_map_clean() with PgoFlags (pager.h). Anonymous pages are never written back;
  // kPgoFree without kPgoCleanIt forgets those of amaps that only one entry has, so that the next
  // access finds zeroes or what the object holds. kHole, kBusy (kPgoFree on a wired entry anywhere
  // in the range, facts/uvm.md 5.B item 5), kInvalidArgument (submap): nothing changed. kIo from
  // the pager.
  Result<void, MapError> Clean(Range range, uint32_t pgo_flags) ABSL_LOCKS_EXCLUDED(lock_);
  // NetBSD: uvm_map_checkprot(). False on any hole or missing right.
  bool CheckProt(Range range, Prot prot) ABSL_LOCKS_EXCLUDED(lock_);
  // NetBSD: uvm_map_pageable(): mlock and munlock. Wiring counts calls, unwiring undoes all of
  // them. kHole: the start is not mapped. kInvalidArgument: a hole further on, a page without
  // rights (wiring), an entry that is not wired (unwiring). kNoMemory, kIo, kTooBig (past the
  // object's end), kProtection from the faults. On error nothing is wired more or less than before.
  Result<void, MapError> Pageable(Range range, Wiring wiring) ABSL_LOCKS_EXCLUDED(lock_);
  // NetBSD: uvm_map_pageable_all(). `flags` 0 unwires everything; kWireCurrent wires what has
  // rights; kWireFuture wires what comes. kNoMemory: more than `limit` bytes (0: no limit) or the
  // global limit. On error the wiring is as before (facts/uvm.md 5.B item 4); wires_future stays.
  static constexpr uint32_t kWireCurrent = 1, kWireFuture = 2;
  Result<void, MapError> PageableAll(uint32_t flags, uint64_t limit) ABSL_LOCKS_EXCLUDED(lock_);
  // VM_MAP_WIREFUTURE: whoever maps something here wires it (mlockall(MCL_FUTURE)).
  bool wires_future() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return wires_future_; }
  void ClearWiresFuture() ABSL_LOCKS_EXCLUDED(lock_);
  // Pages that the pmap maps wired here.
  PageCount WiredPages() const { return context_->core->pmap->WiredCount(pmap_); }

  // NetBSD: uvm_map_reserve(): a blank entry that never merges, with all rights, inherited by
  // nobody; of `options` only at, size, where, align and flags matter. Errors as Enter.
  Result<Vaddr, MapError> Reserve(const EnterOptions& options) ABSL_LOCKS_EXCLUDED(lock_);
  // NetBSD: uvm_map_submap(): faults and lookups in the blank entry that spans exactly `range` go
  // to `submap`, which outlives the entry. kInvalidArgument: there is no such entry.
  Result<void, MapError> Submap(Range range, Map* submap) ABSL_LOCKS_EXCLUDED(lock_);

  // UVM_EXTRACT_*.
  enum ExtractFlags : uint32_t {
    kExtractRemove = 1,       // and unmap the source
    kExtractContiguous = 2,   // a hole is kInvalidArgument
    kExtractQuickRef = 4,     // do not clip the source; whole-amap references
    kExtractFixProt = 8,      // rights become the maximum's
    kExtractReserved = 0x10,  // `to` names an exactly blank reservation
    kExtractProtAll = 0x20,   // the maximum becomes all
    // The clone is gone before the source's owner runs again: the source is not marked shared.
    kExtractTransient = 0x40,
  };
  // NetBSD: uvm_map_extract(): makes the pages of `from` appear in `target` (this map or another)
  // as well, shared; holes stay holes. Returns where: the nearest fit from `to` (kNear), or `to`
  // itself with kExtractReserved. Rights of wired source pages are taken over, wiring is not; with
  // kExtractRemove the source is unwired and unmapped (facts/uvm.md 5.B item 13). Errors, nothing
  // changed but that the source may have been clipped: kNoSpace, kNoMemory, kInvalidArgument
  // (kExtractContiguous and a hole), kIo (the reservation is not blank, or it or the space found
  // overlaps `from`). Between two maps kExtractRemove is not one step: for a moment both show the
  // pages, and what another thread maps into `from` then is unmapped with them.
  Result<Vaddr, MapError> Extract(Range from, Map* target, Vaddr to, uint32_t flags)
      ABSL_LOCKS_EXCLUDED(lock_);

  // NetBSD: vm_map_busy(), vm_map_unbusy(). While busy nobody else gets the lock for writing,
  // although it is not held. One owner at a time, who may lock it meanwhile. Unbusy only by the
  // owner.
  void Busy() ABSL_LOCKS_EXCLUDED(lock_);
  void Unbusy() ABSL_LOCKS_EXCLUDED(lock_);
  bool IsBusy() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return busy_ != nullptr; }

  uint64_t size_bytes() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return size_; }
  Direction direction() const { return direction_; }
  // NetBSD: vm_map_setmin(), vm_map_setmax(). REQUIRES: nothing is mapped outside the new bounds.
  void SetBounds(Vaddr min, Vaddr max) ABSL_LOCKS_EXCLUDED(lock_);

  struct RemapOptions {
    Range from;             // not empty
    Vaddr to;               // kFixed: the destination; kMayMove: where a search for one starts
    uint64_t new_size = 0;  // bytes, page aligned, > 0
    enum class Where : uint8_t { kFixed, kMayMove } where = Where::kMayMove;
    bool duplicate = false;  // REMAPDUP: the old mapping stays; both show the same pages
    uint64_t align = 0;      // of the destination; 0: none
  };
  // NetBSD: uvm_mremap(), facts/uvm.md 2.14. Moves, shrinks, grows or duplicates. What moves is not
  // wired afterwards. Holes of `from` stay holes, and whatever comes to lie in one survives.
  // Errors, nothing changed: kInvalidArgument (a kFixed destination that is not aligned as asked;
  // growing what does not end in a mapped page, or past the end of its object), kNoSpace (a fixed
  // destination must be free), kTooBig (the object offset wraps), kNoMemory, kIo (the space found
  // lies across an edge of the old range).
  Result<Vaddr, MapError> Remap(const RemapOptions& options) ABSL_LOCKS_EXCLUDED(lock_);

  struct Region {
    Range range;
    Prot prot;
    Prot max_prot;
    Inherit inherit = Inherit::kCopy;
    bool shared = false;
    bool wired = false;
  };
  // The entry that contains `at`, or else the next higher one; false when there is none.
  bool FindRegion(Vaddr at, Region* out) ABSL_LOCKS_EXCLUDED(lock_);

  // The map half of uvmspace_fork(): fills the empty `child` entry by entry, by inheritance.
  // kNoMemory: child is left with some entries and is to be thrown away; the parent is unharmed.
  Result<void, MapError> ForkInto(Map* child) ABSL_LOCKS_EXCLUDED(lock_);

  // What sysctl's VM_PROC_MAP tells of an entry (struct kinfo_vmentry).
  struct EntryInfo {
    Range range;
    Prot prot;
    Prot max_prot;
    Inherit inherit = Inherit::kCopy;
    Advice advice = Advice::kNormal;
    uint32_t wired_count = 0;
    enum class Type : uint8_t { kNone, kAnonymous, kObject, kSubmap } type = Type::kNone;
    Pager::Kind kind = Pager::Kind::kStored;  // kObject only, like the two below
    uint32_t object_id = 0;
    uint64_t offset = 0;  // bytes
    bool copy_on_write = false;
    bool needs_copy = false;
    bool shared = false;
    uint32_t amap_refs = 0;  // 0: no amap
  };
  // Fills list[0..capacity) with the entries in order of address; returns how many there are.
  // kNoSpace: more than `capacity`, the first ones are filled in. kTooBig: the list would take more
  // than 10 MB.
  Result<uint64_t, MapError> List(EntryInfo* list, uint64_t capacity) ABSL_LOCKS_EXCLUDED(lock_);

  // mincore(2): whether an access to the page would find it in memory: the amap's anon if there is
  // one, else the object's page. A device's pages always are. False: `va` is not mapped.
  bool IsResident(Vaddr va, bool* resident) ABSL_LOCKS_EXCLUDED(lock_) {
    Vaddr end;
    return FindResidence(va.Trunc(), resident, &end);
  }
  // The same for a run of pages of one entry from `va`, page aligned, on: [va, *end) is alike. Its
  // cost does not grow with its length, where nothing is in memory.
  bool FindResidence(Vaddr va, bool* resident, Vaddr* end) ABSL_LOCKS_EXCLUDED(lock_);

  // Part of a core dump: [range.start, contents_end) is to be written out, the rest reads as
  // zeroes.
  struct CoreSegment {
    Range range;
    Vaddr contents_end;
    Prot prot;
    Prot max_prot;
    bool stack = false;
  };
  class CoreVisitor {
   public:
    // Called with no lock held. False ends the walk.
    virtual bool Visit(const CoreSegment& segment) = 0;

   protected:
    ~CoreVisitor() = default;
  };
  // NetBSD: uvm_coredump_walkmap(). Entries within `stack` are marked. A region has no contents
  // when it cannot be read, shows a device, has no layers at all, or can neither be written nor was
  // ever. Anonymous regions come as segments of touched pages, each with the untouched ones that
  // follow. False when the visitor ended the walk. The map may change between two visits.
  bool WalkForCore(Range stack, CoreVisitor* visitor) ABSL_LOCKS_EXCLUDED(lock_);
  // NetBSD: uvm_coredump_count_segs().
  uint64_t CountCoreSegments() ABSL_LOCKS_EXCLUDED(lock_);

  // ---- Copies (map_copy.cc); for clients use Uvm's, which bring in what is missing ----
  // REQUIRES: no submap in the range; the caller has looked whether it may be read. kHole;
  // kNoMemory; kIo: a page that cannot be had, or a device's, which nobody can copy. On error *out
  // is empty.
  Result<void, MapError> CopyIn(Range range, Snapshot* out) ABSL_LOCKS_EXCLUDED(lock_);
  // Maps the snapshot at the lowest address with room for it, with inheritance kCopy and all rights
  // as maximum. kNoSpace: *copy is untouched, else it is empty.
  Result<Vaddr, MapError> CopyOut(Snapshot* copy, Prot prot) ABSL_LOCKS_EXCLUDED(lock_);
  // The range from `at` on shows the snapshot's contents; its attributes stay, but for its wiring.
  // Who shares a page sees them too. Errors as CopyIn, and kProtection for pages that may not be
  // written: no contents changed. Only when a page had to go again while the rest was
  // written, and cannot be brought back, the pages before it are written. *copy is empty after a
  // success, and may be dropped after an error.
  Result<void, MapError> Overwrite(Vaddr at, Snapshot* copy) ABSL_LOCKS_EXCLUDED(lock_);
  void DropSnapshot(Snapshot* copy);

  // For the fault handler and the functions above. NetBSD: vm_map_lock_read(),
  // vm_map_unlock_read() (a ReaderLock).
  RwLock& lock() ABSL_LOCK_RETURNED(lock_) { return lock_; }
  uint64_t timestamp() const ABSL_SHARED_LOCKS_REQUIRED(lock_) { return timestamp_; }
  // NetBSD: uvm_map_lookup_entry(). The entry that contains `va`, or null.
  MapEntry* LookupLocked(Vaddr va) ABSL_SHARED_LOCKS_REQUIRED(lock_);
  // NetBSD: amap_copy(). Gives a needs-copy entry an amap of its own, or finds that it already has
  // it. A large entry without an amap is clipped to the chunks round `window` first, if `chunk`
  // allows, and where a neighbour's amap can be extended instead the two become one entry, which is
  // `entry`. False when memory ran out: the entry still owes its copy.
  enum class Chunk : uint8_t { kNo, kYes };
  enum class Merge : uint8_t { kNo, kYes };
  bool CopyAmapLocked(MapEntry* entry, Range window, Chunk chunk, Merge merge = Merge::kYes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  bool CopyAmapLocked(MapEntry* entry, Vaddr va, Chunk chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    return CopyAmapLocked(entry, {va.Trunc(), va.Trunc() + base::kPageSize}, chunk);
  }

  // NetBSD: vm_map_lock(), vm_map_unlock(). Holds the lock for a change: waits until no other
  // thread has the map busy, bumps the timestamp, and in checked builds verifies the map on both
  // sides of it.
  class ABSL_SCOPED_LOCKABLE Change {
   public:
    Change(Map* map, const char* label) ABSL_EXCLUSIVE_LOCK_FUNCTION(map->lock_);
    // For Enter, which may only have tried to lock: ends what LockForChange began.
    struct AlreadyLocked {};
    Change(Map* map, const char* label, AlreadyLocked)
        ABSL_EXCLUSIVE_LOCK_FUNCTION(map->lock_) ABSL_NO_THREAD_SAFETY_ANALYSIS;
    ~Change() ABSL_UNLOCK_FUNCTION();
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    Map* const map_;
    [[maybe_unused]] const char* const label_;
  };

  // For checkers, without the lock.
  MapEntry* DebugFirst() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return tree_.First(); }
  MapEntry* DebugRoot() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return tree_.root(); }
  static MapEntry* DebugNext(MapEntry* entry) { return Tree::Next(entry); }
  // Entries that searches for space have gone through so far, besides those of a lookup; of
  // searches at the same time some may not count. Wraps.
  uint32_t DebugGapVisits() const { return __atomic_load_n(&gap_visits_, __ATOMIC_RELAXED); }
  uint64_t DebugCount() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return count_; }
  uint64_t DebugSize() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return size_; }
  // NetBSD: vm_map_locked_p(), the other way round.
  bool DebugIdle() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return lock_.DebugIdle() && wait_mutex_.DebugIdle() && busy_ == nullptr;
  }
  // I8. NetBSD: uvm_map_check(). True when the map's own structure is sound; else the first
  // counterexample goes to *text.
  bool ValidEntries(base::TextSink* text) const ABSL_NO_THREAD_SAFETY_ANALYSIS;
  // Panics with `label` when it is not. Checked builds call it round every change (VERIFY).
  void Verify(const char* label) const;

 private:
  struct ByStart {
    static bool Less(const MapEntry& a, const MapEntry& b) { return a.start < b.start; }
    static bool Update(MapEntry* entry) {
      uint64_t max_gap = entry->gap;
      for (const MapEntry* child : entry->rb_child) {
        if (child != nullptr && child->max_gap > max_gap) max_gap = child->max_gap;
      }
      bool changed = max_gap != entry->max_gap;
      entry->max_gap = max_gap;
      return changed;
    }
  };
  using Tree = base::RbTree<MapEntry, ByStart>;
  using DeadList = EntryChain;
  // Entries an operation may need for clipping and adding, set aside before it changes anything.
  static constexpr int kSpares = 4;

  // ---- map.cc: locks and structure. The end of the ring is the header.
  bool AtEnd(const MapEntry* entry) const { return entry == &header_; }
  void LockForChange() ABSL_EXCLUSIVE_LOCK_FUNCTION(lock_);
  // NetBSD: vm_map_lock_try().
  bool TryLockForChange() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true, lock_);
  void SetBusyLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Lets go of the lock until somebody unmaps something here.
  void WaitForSpaceLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void WakeSpaceWaitersLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    if (__builtin_expect(wants_space_, 0)) WakeWaitersLocked();
  }
  void WakeWaitersLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Range Clamp(Range range) const;
  bool FillSparesLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  MapEntry* TakeSpareLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    CHECK(spare_count_ > 0);
    return spares_[--spare_count_];
  }
  void ReturnSpareLocked(MapEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // The entry that contains `va` and true, or the last one that ends at or below it (perhaps the
  // header) and false.
  bool FindEntryLocked(Vaddr va, MapEntry** out) const ABSL_SHARED_LOCKS_REQUIRED(lock_);
  // The first entry that ends above `va`, or the header.
  MapEntry* FirstAboveLocked(Vaddr va) const ABSL_SHARED_LOCKS_REQUIRED(lock_);
  bool IsFreeLocked(Range range) const ABSL_SHARED_LOCKS_REQUIRED(lock_);
  bool IsMappedLocked(Range range) const ABSL_SHARED_LOCKS_REQUIRED(lock_);
  // NetBSD: uvm_map_entry_link(), uvm_map_entry_unlink().
  void LinkAfterLocked(MapEntry* prev, MapEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void LinkLocked(MapEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void UnlinkLocked(MapEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void RefreshGapLocked(MapEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // NetBSD: uvm_map_clip_start(), uvm_map_clip_end(). Split the entry when the address lies in it.
  void ClipStartLocked(MapEntry* entry, Vaddr at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void ClipEndLocked(MapEntry* entry, Vaddr at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Clips at both ends and returns the first entry in the range, or the header. `first` is
  // FirstAboveLocked(range.start).
  MapEntry* ClipRangeLocked(Range range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  MapEntry* ClipRangeLocked(Range range, MapEntry* first) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // True when removing the range splits an entry, which takes spares.
  bool SplitsLocked(Range range, const MapEntry* first) ABSL_SHARED_LOCKS_REQUIRED(lock_);
  // Null, or what is wrong with the entry.
  const char* WrongWith(const MapEntry& entry) const ABSL_SHARED_LOCKS_REQUIRED(lock_);

  // ---- map_space.cc: searching for space.
  bool FitsAfterLocked(const FindOptions& options, Vaddr hint, const MapEntry* entry,
                       Vaddr* out) const ABSL_SHARED_LOCKS_REQUIRED(lock_);
  bool AdjustLocked(const FindOptions& options, Vaddr* at) const ABSL_SHARED_LOCKS_REQUIRED(lock_);
  const MapEntry* NextGapLocked(const MapEntry* entry, uint64_t size, uint32_t* visits) const
      ABSL_SHARED_LOCKS_REQUIRED(lock_);
  // On success *prev is the entry below the space found.
  bool FindSpaceLocked(const FindOptions& options, Vaddr* out, MapEntry** prev) const
      ABSL_SHARED_LOCKS_REQUIRED(lock_);
  // The end of the map at which a search without a hint starts.
  Vaddr DefaultHint() const { return direction_ == Direction::kTopDown ? max() : min(); }

  // ---- map_enter.cc: making and removing mappings.
  static bool Mergeable(const MapEntry& low, const MapEntry& high, bool copying);
  Result<void, MapError> CheckEnter(const EnterOptions& options) const;
  bool PlaceLocked(const EnterOptions& options, Vaddr* out, MapEntry** prev) const
      ABSL_SHARED_LOCKS_REQUIRED(lock_);
  // NetBSD: uvm_map_prepare() and uvm_map_enter() in one.
  Result<Vaddr, MapError> EnterLocked(const EnterOptions& options, DeadList* dead)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> InsertLocked(const EnterOptions& options, MapEntry* entry, MapEntry* prev)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // NetBSD: the merging part of uvm_map_enter(). `fresh` is not linked and has no amap; its place
  // is after `prev`. True: it became part of its neighbours, its object reference is used up.
  bool MergeFreshLocked(const MapEntry& fresh, MapEntry* prev) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void JoinNextLocked(MapEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // NetBSD: uvm_mapent_trymerge(). `entry` takes over compatible neighbours; neither has an amap.
  void TryMergeLocked(MapEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // The same while an amap is to be made for `entry` (UVM_MERGE_COPYING): a neighbour's amap is
  // extended instead. True: done.
  bool TryMergeCopyingLocked(MapEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // `entry` swallows its lower or upper neighbour, whose object reference goes.
  void SwallowLocked(MapEntry* entry, MapEntry* neighbour) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // NetBSD: uvm_unmap_remove(). kEnterVaOnly in `flags`: there are no translations to remove.
  // `first` as for ClipRangeLocked.
  void RemoveLocked(Range range, DeadList* dead, uint32_t flags = 0)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    RemoveLocked(range, FirstAboveLocked(range.start), dead, flags);
  }
  void RemoveLocked(Range range, MapEntry* first, DeadList* dead, uint32_t flags)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // NetBSD: uvm_unmap_detach(). Called unlocked: releasing a layer takes its lock and may reach a
  // pager.
  void Detach(DeadList* dead) ABSL_LOCKS_EXCLUDED(lock_);
  void ReleaseEntry(MapEntry* entry);
  void SplitLayers(MapEntry* left, MapEntry* right, Vaddr at);
  void CopyLayersFrom(const MapEntry& from, MapEntry* to, Shared shared);
  // NetBSD: uvm_map_replace(). The blank entry of exactly `range` makes way for `chain`, whose
  // entries lie in it. False: there is no such entry.
  bool ReplaceLocked(Range range, DeadList* chain) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  // ---- map_wire.cc.
  void UnwireEntryLocked(MapEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> WireLocked(Range range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> UnwireLocked(Range range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  bool RaiseWiringLocked(MapEntry* entry, Range window) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void UndoMarkedLocked(Range range, Vaddr wired_to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void UnwireTranslationsLocked(const MapEntry& entry);
  // Wires the marked entries of the range and takes their marks away. Lets go of the lock
  // meanwhile.
  Result<void, MapError> WireMarkedLocked(Range range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, FaultError> FaultMarkedIn(Range range, Vaddr* failed) ABSL_LOCKS_EXCLUDED(lock_);

  // ---- map_attributes.cc, map_clean.cc.
  Result<void, MapError> CheckProtectLocked(Range range, Prot prot)
      ABSL_SHARED_LOCKS_REQUIRED(lock_);
  Result<void, MapError> CheckCleanLocked(Range range, uint32_t pgo_flags)
      ABSL_SHARED_LOCKS_REQUIRED(lock_);
  void CleanAmap(MapEntry* entry, Range part, uint32_t pgo_flags);
  Result<void, MapError> CleanObject(MapEntry* entry, Range part, uint32_t pgo_flags);
  Result<void, MapError> DiscardEntryLocked(MapEntry* entry, Range part)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  // ---- map_list.cc, map_fork.cc, map_extract.cc, mremap.cc.
  bool NextCoreSegment(Vaddr from, Range stack, CoreSegment* out) ABSL_LOCKS_EXCLUDED(lock_);
  Result<void, MapError> ForkEntryLocked(MapEntry* entry, Map* child, ForkAliases* aliases)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void LinkUnpublished(MapEntry* entry);
  bool MarkAliased(MapEntry* piece);
  bool ForkCopyLocked(MapEntry* entry, MapEntry* twin, ForkAliases* aliases)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  bool LetGoLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void TakeBackLocked(bool was_busy) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Lets go of the lock until there may be frames again; nobody else changes the entries meanwhile.
  // False: there will not be any.
  bool WaitForFramesLocked(FrameWait* wait) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> FaultInLocked(Vaddr va, Access access)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> BringInLocked(Anon* anon, FrameWait* wait)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> CopyObjectPage(const MapEntry& entry, Vaddr va, const AmapRef& copy);
  Anon* NewAnonFrom(const Page* page);
  Result<void, MapError> CopyAbsentLocked(const MapEntry& entry, Vaddr va, const AmapRef& copy)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> CopyObjectLocked(MapEntry* entry, MapEntry* twin)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  bool SplitPiece(Snapshot* copy, MapEntry* piece, Vaddr at);
  Result<void, MapError> OwnPagesLocked(MapEntry* piece, bool zeros)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  bool OwnAmap(MapEntry* piece);
  bool FillWithZeros(const AmapRef& ref, PageCount pages);
  Result<void, MapError> AlignPiecesLocked(Range range, Snapshot* copy)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> PrepareOverwriteLocked(MapEntry* entry, MapEntry* piece)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  bool IsStrangersWiring(const MapEntry& entry, Vaddr va);
  static bool MayOverwrite(const Page* page);
  bool IsReadyForOverwrite(const MapEntry& entry, Vaddr va);
  Result<void, MapError> TakeFromPieceLocked(MapEntry* piece, uint32_t from, bool contents,
                                             Anon** fresh) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void Settle(Anon* fresh);
  bool PutInSlot(MapEntry* entry, Vaddr va, Anon* fresh);
  Result<void, MapError> OverwriteAmapLocked(MapEntry* entry, MapEntry* piece)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  bool OverwriteObjectPage(MapEntry* entry, MapEntry* piece, Vaddr va, Anon** absent);
  Result<void, MapError> OverwriteObjectLocked(MapEntry* entry, MapEntry* piece)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> OverwriteEntryLocked(MapEntry* entry, MapEntry* piece)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void HideObjectPage(const MapEntry* entry, Vaddr va);
  void SwapLayers(MapEntry* entry, MapEntry* piece);
  bool ForkEagerlyLocked(MapEntry* entry, MapEntry* twin, ForkAliases* aliases)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  bool CopyEagerlyLocked(MapEntry* entry, MapEntry* twin, ForkAliases* aliases)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Collects shared clones of the pages of `from`, moved to `to`.
  Result<void, MapError> CloneRangeLocked(Range from, Vaddr to, uint32_t flags, DeadList* chain)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<MapEntry*, MapError> CloneEntryLocked(MapEntry* entry, Range part, uint32_t flags)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // What was cloned is shared from now on.
  void MarkSharedLocked(Range range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> ExtractInto(Range from, Map* target, Vaddr to, uint32_t flags);
  Result<void, MapError> ExtractWithin(Range from, Vaddr to, uint32_t flags)
      ABSL_LOCKS_EXCLUDED(lock_);
  Result<Vaddr, MapError> PlaceForRemapLocked(const RemapOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> CheckGrowthLocked(const RemapOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void MoveLocked(Range from, Vaddr to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  bool PrepareGrowthLocked(Vaddr end, MapEntry* grown, uint64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void, MapError> RemapLocked(const RemapOptions& options, Vaddr to, DeadList* dead)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  // Constant after construction.
  const MapContext* const context_;
  Pmap* const pmap_;
  const Direction direction_;
  // Own synchronisation.
  RwLock lock_;
  Mutex wait_mutex_;  // guards the two flags below for those who wait
  CondVar changed_;   // busy_ or wants_space_ was cleared
  // The entry of the last lookup. Readers write it too, one word at a time; whoever unlinks an
  // entry holds the lock for writing and repairs it.
  mutable MapEntry* hint_;           // (M)
  mutable uint32_t gap_visits_ = 0;  // (M), as hint_
  Thread* busy_ = nullptr;           // (M); to clear it: wait_mutex_
  bool wants_space_ = false;         // (M); to clear it: wait_mutex_
  // The header stands below the first entry and above the last: header_.end is
  // the map's minimum, header_.start its maximum, so that a walk over a range that the map contains
  // ends there by itself; it is not in the tree.
  MapEntry header_;  // (M)
  MapEntry* first_free_
      ABSL_GUARDED_BY(lock_);  // from the map's minimum to its end nothing is free
  Tree tree_ ABSL_GUARDED_BY(lock_);
  uint64_t count_ ABSL_GUARDED_BY(lock_) = 0;  // entries
  uint64_t size_ ABSL_GUARDED_BY(lock_) = 0;   // bytes mapped
  uint64_t timestamp_ ABSL_GUARDED_BY(lock_) = 0;
  bool wires_future_ ABSL_GUARDED_BY(lock_) = false;
  MapEntry* spares_[kSpares] ABSL_GUARDED_BY(lock_) = {};
  int spare_count_ ABSL_GUARDED_BY(lock_) = 0;
};

}  // namespace uvm

#endif  // UVM_MAP_H_
