// pmap_sim/table.h: the pmap's own table, which is the truth about who may touch what (design D6).
//
// WHAT     A client's 4 MiB of address space in use is a Window: 1024 pages in 16 lazily allocated
//          leaves, and as much of the server's own space, the window's aliases. A Translation is
//          one (pmap, va). The frame's list (pv list in NetBSD) threads through the translations
//          themselves, so entering a page allocates nothing once its leaf exists. A walk over many
//          pages reads eight bytes of each, and a byte of each frame; the rest lies apart. Worked
//          example:
//          client page 0x403000 in the window with aliases at A stands in leaf 0, slot 3; the
//          server maps the frame to itself at A + 0x3000 and from there to the client at 0x403000.
// STATES   of a Translation:  absent (frame 0) -> entered -> absent.   Apart from that: alias_frame
//          0 -> f (the mirror mapped home page f at the alias) -> g -> ... -> 0 (flushed with its
//          window); sent 0 -> rights (refill) -> fewer (unmap) ... ; sent is what the client may
//          hold at most, once the unmaps that wait for Update are made. A page is sent from its
//          alias, or straight from home (direct); an alias counts as long as its frame's age is the
//          one at which it was made, because an unmap at home takes the aliases along, and there is
//          none while a page is direct.
// LOCKS    All fields belong to L4Pmap's lock.
// INVARIANTS  see L4Pmap::CheckInvariants.

#ifndef PMAP_SIM_TABLE_H_
#define PMAP_SIM_TABLE_H_

#include <l4/types.h>

#include <cstddef>
#include <cstdint>

#include "base/addr.h"
#include "base/list.h"
#include "base/prot.h"
#include "base/rb_tree.h"
#include "uvm/pmap.h"

namespace pmap_sim {

// 4 MiB: one second-level page table of a 32-bit processor. Smaller windows waste address space of
// the server on their bookkeeping, larger ones on sparse clients.
inline constexpr unsigned kWindowShift = 22;
inline constexpr uint64_t kWindowBytes = uint64_t{1} << kWindowShift;
inline constexpr uint32_t kWindowPages = kWindowBytes >> base::kPageShift;
inline constexpr uint32_t kLeafPages = 64;
inline constexpr uint32_t kLeaves = kWindowPages / kLeafPages;

constexpr uint64_t WindowNumber(base::Vaddr va) { return va.value() >> kWindowShift; }
constexpr uint32_t PageInWindow(base::Vaddr va) {
  return static_cast<uint32_t>(va.PageNumber() & (kWindowPages - 1));
}

// A frame number: 1 + index of a frame of memory, or for memory that is no segment's kDeviceBit +
// its page number. 0: none.
using FrameNumber = uint32_t;
inline constexpr FrameNumber kDeviceBit = FrameNumber{1} << 31;

struct TranslationRest;

struct Translation {
  FrameNumber frame = 0;  // 0: absent
  base::Prot prot{};      // the table's rights
  base::Prot sent{};      // rights the client may hold; a subset of prot
  uint8_t slot = 0;       // place in the leaf
  bool wired : 1 = false;
  bool managed : 1 = false;  // on its frame's list; its accesses are the frame's status
  bool direct : 1 = false;   // what was sent was mapped from home
  uint8_t resends : 5 = 0;   // times in a row that the client asked for what it had been sent
  bool present() const { return frame != 0; }
  // All of it, to compare and change several fields at once.
  uint64_t Word() const {
    uint64_t word;
    __builtin_memcpy(&word, this, sizeof word);
    return word;
  }
  void SetWord(uint64_t word) { __builtin_memcpy(static_cast<void*>(this), &word, sizeof word); }
  TranslationRest& rest();
  const TranslationRest& rest() const;
};
static_assert(sizeof(Translation) == 8);

// What walks over many pages do not look at.
struct TranslationRest {
  Translation* next = nullptr;  // on the frame's list, where managed mappings are
  Translation* prev = nullptr;  // null: the first
  FrameNumber alias_frame = 0;  // what the server's alias of this page shows; 0: nothing
  uint16_t alias_age = 0;       // the frame's age when the alias was made
  uint16_t turns = 0;           // wired: how often it was sent in vain as often as others may be
};

struct Window;

// Apart from their leaf, so that leaves lie close together: walks take as long as the processor
// takes to fetch them.
struct LeafRest {
  TranslationRest of[kLeafPages];
};

struct Leaf {
  Leaf(Window* w, uint32_t first, LeafRest* r) : window(w), first_page(first), rest(r) {
    for (uint32_t i = 0; i < kLeafPages; ++i) pages[i].slot = static_cast<uint8_t>(i);
  }
  Window* const window;
  const uint32_t first_page;  // within the window
  uint32_t present = 0;       // pages with frame != 0
  uint32_t aliases = 0;       // pages with alias_frame != 0
  LeafRest* const rest;
  Translation pages[kLeafPages];

  // Has what a walk reads of a leaf, or of none, brought in.
  static void Expect(const Leaf* leaf) {
    constexpr size_t kLineBytes = 64, kBytes = sizeof(Translation) * kLeafPages;
    const auto start = reinterpret_cast<uintptr_t>(leaf);
    for (size_t at = 0; at < kBytes + kLineBytes; at += kLineBytes) {
      __builtin_prefetch(reinterpret_cast<const void*>(start + at));
    }
  }
  static Leaf* Of(Translation* mapping) {
    auto* first = reinterpret_cast<unsigned char*>(mapping - mapping->slot);
    return reinterpret_cast<Leaf*>(first - offsetof(Leaf, pages));
  }
  static const Leaf* Of(const Translation* mapping) {
    return Of(const_cast<Translation*>(mapping));
  }
};

inline TranslationRest& Translation::rest() { return Leaf::Of(this)->rest->of[slot]; }
inline const TranslationRest& Translation::rest() const { return Leaf::Of(this)->rest->of[slot]; }

struct Window : base::RbNode<Window> {
  uvm::Pmap* pmap = nullptr;  // null: on the free list
  uint64_t number = 0;        // client address >> kWindowShift
  base::Vaddr alias_start;    // in the alias area, the window's own for ever; the kernel's: start()
  uint32_t present = 0;       // sum over the leaves
  Leaf* leaves[kLeaves] = {};
  base::ListLink free_link;

  base::Vaddr start() const { return base::Vaddr(number << kWindowShift); }
};

struct WindowOrder {
  static bool Less(const Window& a, const Window& b) { return a.number < b.number; }
  static void Update(Window*) {}
};

// What the pmap knows of one physical page.
struct Frame {
  Translation* first = nullptr;
  uint32_t own = 0;  // mappings of the kernel pmap, unmanaged ones included
  // Times that a page went straight from home; aliases made before are gone by then, or will be
  // when the page is taken back.
  uint16_t age = 0;
};

// In an array of its own, by frame.
struct FrameStatus {
  // Folded in from unmaps. A set bit says "has been", a clear one "ask the kernel", or "the next
  // fault will tell" where the kernel cannot.
  bool modified : 1 = false;
  bool referenced : 1 = false;
  bool direct : 1 = false;  // one of its mappings was sent from home
  // Status was read at an alias, or is about to be: home's owner has yet to be told of the same
  // accesses, and must not take them for new ones.
  bool home_owed : 1 = false;
  uint8_t none : 4 = 0;  // Includes looks at whole bytes; bits without a name may hold anything

  bool Includes(FrameStatus other) const {
    uint8_t all, some;
    __builtin_memcpy(&all, this, 1);
    __builtin_memcpy(&some, &other, 1);
    return (all & some) == some;
  }
};
static_assert(sizeof(FrameStatus) == 1);

// What each thread of a space was sent last. If it asks for the same again although nobody took it,
// it did not get it; whoever else asks for a page that the space was sent may only be late.
class Answers {
 public:
  // A thread beyond so many takes the place of another, which costs that one fault more.
  static constexpr uint32_t kThreads = 4;

  // Whether the page, with these rights, is what the thread was sent last, and it was not taken
  // since.
  bool Has(L4_ThreadId_t thread, base::Vaddr page, base::Prot rights) const {
    for (uint32_t i = 0; i < count_; ++i) {
      if (last_[i].thread == thread.raw) {
        return last_[i].page == page && rights.IsSubsetOf(last_[i].rights);
      }
    }
    return false;
  }
  void Add(L4_ThreadId_t thread, base::Vaddr page, base::Prot rights) {
    uint32_t at = 0;
    while (at < count_ && last_[at].thread != thread.raw) ++at;
    if (at == kThreads) {
      at = next_;
      next_ = (next_ + 1) % kThreads;
    } else if (at == count_) {
      ++count_;
    }
    last_[at] = {.thread = thread.raw, .page = page, .rights = rights};
  }
  // For each that `is_over(page)` says it of, the page is about to be sent to the space anew.
  template <typename IsOver>
  void Forget(IsOver is_over) {
    for (uint32_t i = 0; i < count_; ++i) {
      if (is_over(last_[i].page)) last_[i].rights = base::kProtNone;
    }
  }

 private:
  struct Answer {
    L4_Word_t thread = 0;
    base::Vaddr page{};
    base::Prot rights{};  // none: it may have been taken since
  };
  Answer last_[kThreads];
  uint32_t count_ = 0;
  uint32_t next_ = 0;  // whose place is taken next
};

// The two orders of rights: base R=1 W=2 X=4, X.2 r=4 w=2 x=1.
constexpr L4_Word_t ToL4Rights(base::Prot prot) {
  L4_Word_t bits = prot.bits();
  return (bits & 1) << 2 | (bits & 2) | (bits & 4) >> 2;
}

}  // namespace pmap_sim

namespace uvm {

// One address space's translations.
class Pmap {
 public:
  base::RbTree<pmap_sim::Window, pmap_sim::WindowOrder> windows;
  pmap_sim::Window* last_found = nullptr;  // the window the last lookup ended in
  uint32_t resident = 0;
  uint32_t wired = 0;
  uint32_t refs = 1;
  bool is_kernel = false;  // its addresses are the server's own
  pmap_sim::Answers answers;
  base::ListLink link;  // on L4Pmap's list of all pmaps
};

}  // namespace uvm

#endif  // PMAP_SIM_TABLE_H_
