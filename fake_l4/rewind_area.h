// fake_l4/rewind_area.h: host memory whose contents can be brought back.
//
// WHAT     Whatever is built inside an area (a machine, a model, all they own) can be taken back to
//          an earlier state in microseconds, at the same host addresses, suspended fibers included:
//              RewindArea area;
//              Session* s;
//              { RewindArea::Inside inside(&area); s = new Session(...); }
//              area.StartTracking();
//              { RewindArea::Inside inside(&area); s->Step(op); }
//              const RewindArea::Mark mark = area.Save();
//              { RewindArea::Inside inside(&area); s->Step(other); }
//              area.Rewind(mark);                         // s is as it was after `op`
//          While a host thread is Inside, its operator new and fake_l4's large pieces of memory
//          (HostMemory, stacks) come from the area. Pages are write-protected once; the first store
//          to a page keeps the page as it was and unprotects it for ever. A mark holds the pages
//          that differ from then; Rewind copies those pages that were ever stored to. Of runs that
//          are much alike (StartAnew, Settle, many times Rewind, StartAnew ...) the pages that one
//          run stores to the next one does, too: they stay unprotected, and are kept without a
//          fault of the host.
// STATES   building -> (StartTracking) tracking -> gone. Nothing inside is destroyed: it vanishes.
// LOCKS    None: an area is used by one host thread, the one that made it.
// INVARIANTS  What is inside refers to nothing outside that changes, and nothing outside to what
//          was made inside after a mark that is rewound to. A function's static that is first used
//          inside would break that: use such functions once before.
// SEE      design.md D4 (a machine is reset in microseconds).
#ifndef FAKE_L4_REWIND_AREA_H_
#define FAKE_L4_REWIND_AREA_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fake_l4 {

class RewindArea {
 public:
  // False in builds with sanitizers, which keep a state of memory elsewhere. Then there are no
  // areas, and who wants an earlier state makes it anew.
  static bool IsAvailable();

  // Ends the program when the host has no address space left. REQUIRES: IsAvailable().
  RewindArea();
  ~RewindArea();
  RewindArea(const RewindArea&) = delete;
  RewindArea& operator=(const RewindArea&) = delete;

  // Memory that the host thread asks for comes from the area, or (null) from the host.
  class Inside {
   public:
    explicit Inside(RewindArea* area);
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    RewindArea* const before_;
  };
  // The area that the host thread is inside of; null: none.
  static RewindArea* Current();

  // Contents of the area at one moment. Lives outside, and not longer than the area.
  struct Mark {
    std::vector<uint32_t> changed;     // which of the pages stored to differ from the first state
    std::vector<unsigned char> bytes;  // of each of them
  };

  // From here on stores are noticed. REQUIRES: nobody is inside; called once.
  void StartTracking();
  // REQUIRES for both: tracking, and nobody is inside.
  Mark Save() const;
  void Save(Mark* mark) const;
  void Rewind(const Mark& mark);
  // To the state at StartTracking, or at Settle.
  void RewindToStart() { Rewind(Mark()); }
  // What is now is the start until StartAnew: all marks are void, and a Rewind concerns only pages
  // stored to from here on. For what is made slowly and rewound to often. REQUIRES: not settled.
  void Settle();
  // To the state at StartTracking, and what was stored to is forgotten: all marks are void, and
  // later ones concern only pages stored to from here on.
  void StartAnew();

  // ---- For the allocators of this package; called by who is inside ----
  // Whole pages, all zero; never given back.
  unsigned char* TakePages(size_t pages);
  // Makes a page of TakePages inaccessible for ever. Does nothing once stores are noticed: by the
  // next Rewind it may be any page.
  void Guard(unsigned char* page);
  void* Allocate(size_t bytes, size_t alignment);
  // Of memory of any area; false: it is of none.
  static bool Free(void* memory);

  // Pages that were stored to since the start, or may have been; what a Rewind copies.
  size_t pages_stored_to() const { return stored_count_ - settled_count_; }

 private:
  struct Contents;  // the allocator's own state, at the start of the area
  struct Handler;

  Contents* contents() const { return reinterpret_cast<Contents*>(start_); }
  // Of a store to a protected page. False: no page of ours, or one that nobody may touch.
  bool NoteStore(unsigned char* address);
  // The pages stored to, but for the hot ones.
  void ProtectStored();
  void FindHotPages();
  void KeepHotPages();
  void DropIdleHotPages();

  unsigned char* start_ = nullptr;
  bool tracking_ = false;
  // By order of their first store: the page's number in the area, and what it held. Those stored to
  // before Settle come first, and may come again.
  uint32_t* stored_ = nullptr;
  unsigned char* originals_ = nullptr;
  size_t stored_count_ = 0;
  size_t settled_count_ = 0;
  // Pages, ascending, that stay unprotected from one StartAnew to the next: they differed at the
  // last one from what they were when it was settled.
  std::vector<uint32_t> hot_;
  // Of the Rewinds since Settle the second, which ends the first run, drops hot pages that this run
  // did not store to; unless marks were saved. Rewinds until then; 0: none will.
  mutable uint32_t rewinds_to_drop_ = 0;
  std::vector<unsigned char*> guards_;
};

}  // namespace fake_l4

#endif  // FAKE_L4_REWIND_AREA_H_
