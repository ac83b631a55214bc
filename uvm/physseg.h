// uvm/physseg.h: segments: the runs of frames that UVM manages at present.
//
// WHAT     A segment is a run of neighbouring frames of one free list. Segments are plugged in at
//          boot and whenever memory comes, and unplugged whole or in part. A slab holds the page
//          descriptors of one run of frames that the pmap can reach; it is allocated when something
//          within the run is first plugged in, and kept for ever, so that memory which comes and
//          goes costs descriptors once.
//            handle   names a segment as long as there is one: unplugging others, and parts of it,
//                     leaves it valid; a handle of what is gone is invalid for ever
// STATES   of a segment: plugged (no descriptors, its available part may be set) -> initialised
//          (Init) -> gone. Unplug of a part from the middle leaves two: the lower keeps the handle.
// LOCKS    None of its own; PageStore's of page queues for changes.
// INVARIANTS  Part of I23 ValidFreeFrames: segments are disjoint, each within one slab; their tree
//          is sound; exactly their available frames are plugged.
// SEE      NetBSD sys/uvm/uvm_physseg.c (the red-black tree of hot plug); facts/uvm.md 1.10,
//          5.B 16.

#ifndef UVM_PHYSSEG_H_
#define UVM_PHYSSEG_H_

#include <cstdint>

#include "base/addr.h"
#include "base/pool.h"
#include "base/rb_tree.h"

namespace uvm {

struct Page;

class PhysicalSegments {
 public:
  // What the calls that give an address return for an invalid handle. NetBSD: (paddr_t)-1.
  static constexpr base::Paddr kNoPaddr{~uint64_t{0}};

  struct Segment;
  struct Handle {
    Segment* segment = nullptr;
    uint64_t id = 0;
    friend bool operator==(const Handle& a, const Handle& b) = default;
  };

  // NetBSD: uvm_physseg_init(). `memory` outlives it.
  explicit PhysicalSegments(base::PageSource* memory) : memory_(memory), pool_(memory) {}
  PhysicalSegments(const PhysicalSegments&) = delete;
  PhysicalSegments& operator=(const PhysicalSegments&) = delete;

  // Before anything is plugged: the pmap can reach these frames. False: no memory, not whole
  // frames, none, or it overlaps with a run that was added before.
  bool AddReachable(base::Paddr start, base::PageCount pages);

  // NetBSD: uvm_physseg_plug(). A segment of `pages` frames from `start` on. False, nothing
  // changed: not whole frames, none, some not reachable or not of one run, some plugged in already,
  // or no memory.
  bool Plug(base::Paddr start, base::PageCount pages, uint32_t free_list, Handle* handle);
  // NetBSD: uvm_physseg_unplug(). Takes the frames out: a whole segment, its front, its back, or
  // from its middle. False, nothing changed: they are not all of one segment, or there is no
  // memory for the second half of it. Dies when they are all there is. REQUIRES: nobody uses them.
  bool Unplug(base::Paddr start, base::PageCount pages);
  // Whether Unplug could be called: the frames are of one segment, and others remain.
  bool MayUnplug(base::Paddr start, base::PageCount pages) const;

  // NetBSD: uvm_physseg_init_seg(). Gives the frames of the available part their descriptors, which
  // are from then on plugged. False: no memory for them. REQUIRES: not initialised.
  bool Init(Handle handle);

  // NetBSD: uvm_physseg_find(). The segment with the frame of `pa`, and how many pages from its
  // start the frame is (`offset` may be null). An invalid handle: none.
  Handle Find(base::Paddr pa, base::PageCount* offset) const;
  // NetBSD: uvm_physseg_valid_p().
  bool Valid(Handle handle) const;
  // NetBSD: uvm_physseg_get_first(), uvm_physseg_get_last(), uvm_physseg_get_next(),
  // uvm_physseg_get_prev(). In the order of addresses; invalid at the ends and of invalid handles.
  Handle First() const;
  Handle Last() const;
  Handle Next(Handle handle) const;
  Handle Previous(Handle handle) const;
  // NetBSD: uvm_physseg_get_start(), uvm_physseg_get_end(), uvm_physseg_get_avail_start(),
  // uvm_physseg_get_avail_end(). The ends are exclusive. kNoPaddr for an invalid handle.
  base::Paddr Start(Handle handle) const;
  base::Paddr End(Handle handle) const;
  base::Paddr AvailableStart(Handle handle) const;
  base::Paddr AvailableEnd(Handle handle) const;
  // NetBSD: uvm_physseg_set_avail_start(), uvm_physseg_set_avail_end(). What lies before, or
  // behind, is never handed out. False: invalid, initialised already, outside the segment, or
  // nothing would be available.
  bool SetAvailableStart(Handle handle, base::Paddr start);
  bool SetAvailableEnd(Handle handle, base::Paddr end);
  // NetBSD: uvm_physseg_get_free_list(). kNoFreeList for an invalid handle.
  static constexpr uint32_t kNoFreeList = ~uint32_t{0};
  uint32_t FreeListOf(Handle handle) const;
  // NetBSD: uvm_physseg_get_start_hint(), uvm_physseg_set_start_hint(). Where the search for a run
  // of frames goes on, in pages from the segment's start; 0 of an invalid handle. False: invalid,
  // or not inside the segment.
  base::PageCount StartHint(Handle handle) const;
  bool SetStartHint(Handle handle, base::PageCount hint);
  // NetBSD: uvm_physseg_get_highest_frame(). The highest frame that is plugged in. REQUIRES: one
  // is.
  base::Paddr HighestFrame() const;
  // NetBSD: uvm_physseg_get_pg(). The descriptor of the page `offset` pages from the segment's
  // start. REQUIRES: initialised, and inside.
  Page* PageAt(Handle handle, base::PageCount offset) const;
  // NetBSD: uvm_phys_to_vm_page(). Null: not plugged in.
  Page* FromPaddr(base::Paddr pa) const {
    for (uint32_t i = 0; i < slab_count_; ++i) {
      if (pa < slabs_[i].start || pa - slabs_[i].start >= base::ToBytes(slabs_[i].pages)) continue;
      return PluggedIn(slabs_[i], (pa - slabs_[i].start) >> base::kPageShift);
    }
    return nullptr;
  }

  // The descriptor of a frame of a slab that has its descriptors, plugged in or not.
  Page* DescriptorOf(base::Paddr pa) const;
  // Takes back a Plug whose Init failed.
  void Discard(Handle handle);

  // Frames that are plugged in and available.
  base::PageCount available() const { return available_; }
  uint32_t count() const { return count_; }

  // The page was handed out: checkers look at it from now on.
  void NoteUse(const Page* page) {
    for (uint32_t i = 0; i < slab_count_; ++i) {
      if (NoteUseIn(&slabs_[i], page)) return;
    }
  }
  // For checkers: the descriptors of slab `index`, up to the highest page that was ever handed out,
  // or all that there are. False: there is no such slab.
  enum class Pages : uint8_t { kEverUsed, kAll };
  bool DebugSlab(uint32_t index, Pages which, Page** first, uint64_t* count) const {
    if (index >= slab_count_) return false;
    *first = slabs_[index].first;
    *count = *first == nullptr      ? 0
             : which == Pages::kAll ? slabs_[index].pages.value()
                                    : slabs_[index].ever_used;
    return true;
  }
  // For checkers: what is wrong, or null.
  const char* DebugWrong() const;

 private:
  struct Slab {
    base::Paddr start;
    base::PageCount pages;
    Page* first;         // null until something is plugged in; one more than `pages`, never plugged
    uint64_t ever_used;  // pages from the first to the highest that was ever handed out
  };

 public:
  struct Segment : base::RbNode<Segment> {
    base::Paddr start;
    base::Paddr end;
    base::Paddr available_start;
    base::Paddr available_end;
    uint64_t id = 0;  // 0: gone
    uint64_t hint = 0;
    uint32_t free_list = 0;
    bool initialised = false;
    Segment* next_gone = nullptr;
  };

 private:
  struct ByStart {
    static bool Less(const Segment& a, const Segment& b) { return a.start < b.start; }
    static void Update(Segment*) {}
  };
  using Tree = base::RbTree<Segment, ByStart>;
  static Handle HandleOf(Segment* segment) {
    return segment == nullptr ? Handle{} : Handle{segment, segment->id};
  }
  Segment* NewSegment();
  void Forget(Segment* segment);
  Segment* FindSegment(base::Paddr pa) const;
  const Slab* SlabOf(base::Paddr start, base::PageCount pages) const;
  Slab* SlabOf(base::Paddr start, base::PageCount pages) {
    return const_cast<Slab*>(static_cast<const PhysicalSegments*>(this)->SlabOf(start, pages));
  }
  // NetBSD: uvm_physseg_seg_chomp_slab(), uvm_physseg_seg_alloc_from_slab(): memory for descriptors
  // is set apart once, and segments take theirs from it.
  bool AllocateSlab(Slab* slab);
  static Page* PluggedIn(const Slab& slab, uint64_t index);
  static bool NoteUseIn(Slab* slab, const Page* page);
  // Marks the available frames of [start, end) of the segment.
  enum class Mark : uint8_t { kPlugged, kUnplugged };
  void MarkFrames(const Segment& segment, base::Paddr start, base::Paddr end, Mark mark);
  static void SetBounds(Segment* segment, base::Paddr start, base::Paddr end);

  base::PageSource* const memory_;
  base::Pool<Segment> pool_;
  Tree tree_;
  Segment* gone_ = nullptr;  // records of segments that are gone; never given back, as handles may
                             // still point to them
  uint32_t count_ = 0;
  uint64_t next_id_ = 1;
  static constexpr uint32_t kMaxSlabs = 64;
  Slab slabs_[kMaxSlabs] = {};
  uint32_t slab_count_ = 0;
  base::PageCount available_;
};

}  // namespace uvm

#endif  // UVM_PHYSSEG_H_
