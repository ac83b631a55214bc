#include "pmap_sim/l4_pmap.h"

#include <l4/schedule.h>
#include <l4/space.h>

#include "base/check.h"

namespace pmap_sim {
namespace {

using base::Paddr;
using base::Prot;
using base::Range;
using base::Vaddr;

}  // namespace

// Unmaps collected until 64 fpages fill one call. Rule (b) of design D6: neighbours go as one fpage
// when each of them is known to be modified or was mapped without write, because the OR-ed written
// bit then says nothing new.
class L4Pmap::UnmapBatch {
 public:
  explicit UnmapBatch(L4Pmap* pmap) : pmap_(pmap) {}
  ~UnmapBatch() { CHECK(count_ == 0); }

  // Takes `rights` from the client at this page; none asks for its status only. Flush() makes it
  // so.
  void Add(Leaf* leaf, Translation* mapping, Prot rights) {
    const bool own = leaf->window->pmap->is_kernel;
    bool quiet =
        !mapping->managed || pmap_->FrameOf(*mapping).modified || !mapping->sent.CanWrite();
    mapping->sent = mapping->sent - rights;
    if (own && mapping->sent.IsNone() && mapping->alias_frame != 0) {
      mapping->alias_frame = 0;
      --leaf->aliases;
    }
    if (count_ == kCapacity || (count_ != 0 && own_ != own)) Flush();
    own_ = own;
    // A removal names all rights whatever was sent, so that runs of unequal rights merge.
    L4_Word_t take = mapping->sent.IsNone() ? L4_FullyAccessible : ToL4Rights(rights);
    runs_[count_++] = {leaf, take, mapping->slot, 0, quiet && !rights.IsNone()};
    while (count_ >= 2 && Merge(&runs_[count_ - 2], runs_[count_ - 1])) --count_;
  }

  void Flush() {
    if (count_ == 0) return;
    L4_Fpage_t pages[kCapacity];
    for (uint32_t i = 0; i < count_; ++i) {
      Vaddr alias = pmap_->AliasAddress(runs_[i].leaf, runs_[i].slot);
      pages[i] = L4_FpageAddRights(
          L4_FpageLog2(static_cast<L4_Word_t>(alias.value()), base::kPageShift + runs_[i].log2),
          runs_[i].take);
    }
    if (own_) {
      L4_FlushFpages(count_, pages);
    } else {
      L4_UnmapFpages(count_, pages);
    }
    ++pmap_->counters_.unmap_calls;
    pmap_->counters_.fpages_unmapped += count_;
    for (uint32_t i = 0; i < count_; ++i) FoldRun(runs_[i], L4_Rights(pages[i]));
    count_ = 0;
  }

 private:
  static constexpr uint32_t kCapacity = 64;  // message registers
  struct Run {
    Leaf* leaf;
    L4_Word_t take;
    uint8_t slot;
    uint8_t log2;  // pages
    bool quiet;    // the written bit tells nothing about its pages
  };

  bool Merge(Run* left, const Run& right) {
    if (left->leaf != right.leaf || left->log2 != right.log2 || left->take != right.take ||
        !left->quiet || !right.quiet || left->slot + (1u << left->log2) != right.slot ||
        (left->slot & ((2u << left->log2) - 1)) != 0) {
      return false;
    }
    ++left->log2;
    ++pmap_->counters_.fpages_merged;
    return true;
  }

  void FoldRun(const Run& run, L4_Word_t status) {
    if (run.quiet) status &= ~static_cast<L4_Word_t>(L4_Writable);
    for (uint32_t i = 0; i < 1u << run.log2; ++i) {
      const Translation& mapping = run.leaf->pages[run.slot + i];
      if (mapping.managed) pmap_->Fold(&pmap_->FrameOf(mapping), status);
    }
  }

  L4Pmap* const pmap_;
  uint32_t count_ = 0;
  bool own_ =
      false;  // the pages are the server's own: kernel mappings, which are their own aliases
  Run runs_[kCapacity];
};

L4Pmap::Guard::Guard(L4Pmap* pmap) : pmap_(pmap) {
  while (__atomic_exchange_n(&pmap_->lock_, 1u, __ATOMIC_ACQUIRE) != 0) L4_Yield();
  VERIFY(*pmap_, "pmap lock taken");
}

L4Pmap::Guard::~Guard() {
  VERIFY(*pmap_, "pmap lock released");
  __atomic_store_n(&pmap_->lock_, 0u, __ATOMIC_RELEASE);
}

L4Pmap::L4Pmap(const Config& config)
    : config_(config),
      pmap_pool_(config.memory),
      window_pool_(config.memory),
      leaf_pool_(config.memory) {
  CHECK((config.alias_area.value() & (kWindowBytes - 1)) == 0);
  CHECK(((config.kernel_area.start.value() | config.kernel_area.end.value()) &
         (kWindowBytes - 1)) == 0);
  kernel_.is_kernel = true;
  kernel_end_ = config.kernel_area.start;
  pmaps_.PushBack(&kernel_);
}

// ---- Frames ----

uint32_t L4Pmap::frame_count() const {
  if (segment_count_ == 0) return 0;
  const Segment& last = segments_[segment_count_ - 1];
  return last.first_frame + last.pages;
}

uint32_t L4Pmap::FindFrame(Paddr pa) const {
  for (uint32_t i = 0; i < segment_count_; ++i) {
    const Segment& segment = segments_[i];
    if (pa < segment.start) break;
    uint64_t page = (pa - segment.start) >> base::kPageShift;
    if (page < segment.pages) return segment.first_frame + static_cast<uint32_t>(page);
  }
  return kNoFrame;
}

Frame* L4Pmap::FrameAt(Paddr pa) {
  const uint32_t index = FindFrame(pa);
  CHECK(index != kNoFrame);
  return &frames_[index];
}

Paddr L4Pmap::AddressOf(FrameNumber number) const {
  if ((number & kDeviceBit) != 0) {
    return Paddr(uint64_t{number & ~kDeviceBit} << base::kPageShift);
  }
  const uint32_t index = number - 1;
  uint32_t i = segment_count_ - 1;
  while (segments_[i].first_frame > index) --i;
  return segments_[i].start + base::ToBytes(base::PageCount(index - segments_[i].first_frame));
}

uvm::PhysicalSegment L4Pmap::segment(uint32_t index) const {
  CHECK(index < segment_count_);
  return {segments_[index].start, base::PageCount(segments_[index].pages)};
}

unsigned char* L4Pmap::HomePointer(Paddr pa) {
  return reinterpret_cast<unsigned char*>(static_cast<uintptr_t>(pa.value()) + config_.home_bias);
}

void L4Pmap::ZeroPage(Paddr pa) { __builtin_memset(HomePointer(pa), 0, base::kPageSize); }

void L4Pmap::CopyPage(Paddr from, Paddr to) {
  __builtin_memcpy(HomePointer(to), HomePointer(from), base::kPageSize);
}

// ---- Windows ----

Window* L4Pmap::LowerBound(const uvm::Pmap* pmap, uint64_t number) {
  Window* best = nullptr;
  for (Window* at = pmap->windows.root(); at != nullptr;) {
    if (at->number < number) {
      at = at->rb_child[1];
    } else {
      best = at;
      at = at->rb_child[0];
    }
  }
  return best;
}

Window* L4Pmap::FindWindow(const uvm::Pmap* pmap, uint64_t number) {
  if (pmap->last_found != nullptr && pmap->last_found->number == number) return pmap->last_found;
  Window* window = LowerBound(pmap, number);
  return window != nullptr && window->number == number ? window : nullptr;
}

Translation* L4Pmap::Find(uvm::Pmap* pmap, Vaddr va) {
  Window* window = FindWindow(pmap, WindowNumber(va));
  if (window == nullptr) return nullptr;
  pmap->last_found = window;
  uint32_t page = PageInWindow(va);
  Leaf* leaf = window->leaves[page / kLeafPages];
  return leaf == nullptr ? nullptr : &leaf->pages[page % kLeafPages];
}

Window* L4Pmap::MakeWindow(uvm::Pmap* pmap, uint64_t number) {
  Window* window = free_windows_.PopFront();
  if (window == nullptr && windows_made_ < config_.alias_windows) {
    window = window_pool_.New();
    if (window != nullptr)
      window->alias_start = config_.alias_area + windows_made_++ * kWindowBytes;
  }
  if (window == nullptr) return nullptr;
  window->pmap = pmap;
  window->number = number;
  pmap->windows.Insert(window);
  return window;
}

Leaf* L4Pmap::MakeLeaf(Window* window, uint32_t leaf_index) {
  Leaf* leaf = leaf_pool_.New(window, leaf_index * kLeafPages);
  window->leaves[leaf_index] = leaf;
  return leaf;
}

// Twice: when memory runs out, windows that are empty now may free some. The second time the empty
// windows may be this call's own, so there is no third.
Translation* L4Pmap::FindOrMake(uvm::Pmap* pmap, Vaddr va) {
  uint32_t page = PageInWindow(va);
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (attempt > 0 && !ReclaimWindows()) break;
    Window* window = FindWindow(pmap, WindowNumber(va));
    if (window == nullptr) window = MakeWindow(pmap, WindowNumber(va));
    if (window == nullptr) continue;
    pmap->last_found = window;
    Leaf* leaf = window->leaves[page / kLeafPages];
    if (leaf == nullptr) leaf = MakeLeaf(window, page / kLeafPages);
    if (leaf != nullptr) return &leaf->pages[page % kLeafPages];
  }
  return nullptr;
}

// Rule (d): the only flush there is. Nothing is mapped to a client any more, so no status can be
// lost.
void L4Pmap::ReleaseWindow(Window* window) {
  CHECK(window->present == 0 && !window->pmap->is_kernel);
  L4_Fpage_t pages[kLeaves];
  uint32_t count = 0;
  constexpr unsigned kLeafShift = base::kPageShift + __builtin_ctz(kLeafPages);
  for (Leaf*& leaf : window->leaves) {
    if (leaf == nullptr) continue;
    if (leaf->aliases != 0) {
      auto alias = static_cast<L4_Word_t>(AliasAddress(leaf, 0).value());
      pages[count++] = L4_FpageAddRights(L4_FpageLog2(alias, kLeafShift), L4_FullyAccessible);
    }
    leaf_pool_.Delete(leaf);
    leaf = nullptr;
  }
  if (count != 0) L4_FlushFpages(count, pages);
  ++counters_.windows_flushed;
  uvm::Pmap* pmap = window->pmap;
  if (pmap->last_found == window) pmap->last_found = nullptr;
  pmap->windows.Erase(window);
  window->pmap = nullptr;
  free_windows_.PushFront(window);
}

bool L4Pmap::ReclaimWindows() {
  bool any = false;
  for (uvm::Pmap* pmap = pmaps_.front(); pmap != nullptr; pmap = pmaps_.Next(pmap)) {
    if (pmap->is_kernel) continue;
    for (Window *window = pmap->windows.First(), *next; window != nullptr; window = next) {
      next = pmap->windows.Next(window);
      if (window->present != 0) continue;
      ReleaseWindow(window);
      any = true;
    }
  }
  return any;
}

Vaddr L4Pmap::AliasAddress(const Leaf* leaf, uint32_t slot) const {
  return leaf->window->alias_start + base::ToBytes(base::PageCount(leaf->first_page + slot));
}

bool L4Pmap::AliasOf(const uvm::Pmap* pmap, Vaddr va, Vaddr* alias) const {
  Window* window = LowerBound(pmap, WindowNumber(va));
  if (window == nullptr || window->number != WindowNumber(va)) return false;
  *alias = window->alias_start + base::ToBytes(base::PageCount(PageInWindow(va)));
  return true;
}

// ---- Translations ----

void L4Pmap::Link(uvm::Pmap* pmap, Translation* mapping, FrameNumber frame, bool managed) {
  Leaf* leaf = Leaf::Of(mapping);
  mapping->frame = frame;
  mapping->managed = managed;
  if (managed) {
    Frame& of = FrameOf(*mapping);
    mapping->prev = nullptr;
    mapping->next = of.first;
    if (of.first != nullptr) of.first->prev = mapping;
    of.first = mapping;
    ++of.mappings;
  }
  ++leaf->present;
  ++leaf->window->present;
  ++pmap->resident;
}

void L4Pmap::Unlink(uvm::Pmap* pmap, Translation* mapping) {
  CHECK(mapping->sent.IsNone());
  Leaf* leaf = Leaf::Of(mapping);
  if (mapping->managed) {
    Frame& of = FrameOf(*mapping);
    if (mapping->prev != nullptr) {
      mapping->prev->next = mapping->next;
    } else {
      of.first = mapping->next;
    }
    if (mapping->next != nullptr) mapping->next->prev = mapping->prev;
    mapping->next = mapping->prev = nullptr;
    --of.mappings;
    mapping->managed = false;
  }
  SetWired(pmap, mapping, false);
  mapping->frame = 0;
  mapping->prot = base::kProtNone;
  --leaf->present;
  --leaf->window->present;
  --pmap->resident;
}

void L4Pmap::SetWired(uvm::Pmap* pmap, Translation* mapping, bool wired) {
  if (mapping->wired == wired) return;
  mapping->wired = wired;
  pmap->wired += wired ? 1u : ~0u;
}

void L4Pmap::Fold(Frame* frame, L4_Word_t status) {
  if (status != 0) frame->referenced = true;
  if ((status & L4_Writable) != 0) frame->modified = true;
}

// ---- pmap(9) ----

base::Result<uvm::Pmap*, uvm::PmapError> L4Pmap::Create() {
  Guard guard(this);
  uvm::Pmap* pmap = pmap_pool_.New();
  if (pmap == nullptr) return uvm::PmapError::kNoMemory;
  pmaps_.PushBack(pmap);
  return pmap;
}

void L4Pmap::Reference(uvm::Pmap* pmap) {
  Guard guard(this);
  ++pmap->refs;
}

void L4Pmap::Destroy(uvm::Pmap* pmap) {
  Guard guard(this);
  CHECK(!pmap->is_kernel && pmap->refs > 0);
  if (--pmap->refs > 0) return;
  CHECK(pmap->resident == 0);
  while (Window* window = pmap->windows.root()) ReleaseWindow(window);
  pmaps_.Remove(pmap);
  pmap_pool_.Delete(pmap);
}

bool L4Pmap::TakeBack(Translation* page) {
  if (!page->managed) {
    UnmapBatch batch(this);
    batch.Add(Leaf::Of(page), page, page->sent);
    batch.Flush();
    return false;
  }
  Frame& frame = FrameOf(*page);
  const bool referenced = frame.referenced;
  frame.referenced = false;
  UnmapBatch batch(this);
  batch.Add(Leaf::Of(page), page, page->sent);
  batch.Flush();
  const bool used = frame.referenced;
  frame.referenced = referenced || used;
  return used;
}

// What Enter answers when it cannot: whatever else was mapped there must not stay.
base::Result<void, uvm::PmapError> L4Pmap::NoRoom(uvm::Pmap* pmap, Translation* mapping,
                                                  const uvm::EnterFlags& flags) {
  CHECK(flags.can_fail == uvm::CanFail::kYes);
  if (mapping != nullptr && mapping->present()) {
    TakeBack(mapping);
    Unlink(pmap, mapping);
  }
  return uvm::PmapError::kNoMemory;
}

base::Result<void, uvm::PmapError> L4Pmap::Enter(uvm::Pmap* pmap, Vaddr va, Paddr pa, Prot prot,
                                                 const uvm::EnterFlags& flags) {
  const Prot access = flags.access;
  const uvm::Wired wired = flags.wired;
  CHECK(va.IsAligned());
  CHECK(access.IsSubsetOf(prot));
  Guard guard(this);
  CHECK(!pmap->is_kernel || (va >= config_.kernel_area.start && va < kernel_end_));
  Translation* mapping = FindOrMake(pmap, va);
  const uint32_t index = FindFrame(pa);
  const bool managed = index != kNoFrame;
  const FrameNumber frame = managed ? index + 1 : TakeDevicePage(pa);
  if (mapping == nullptr || frame == 0) return NoRoom(pmap, mapping, flags);
  // An unmanaged mapping of the same memory is another mapping.
  bool same = mapping->frame == frame && mapping->managed == managed;
  // Rule (a): what the new translation does not allow goes before the table says so, and so do the
  // old frame's bits.
  Prot excess = same ? mapping->sent - prot : mapping->sent;
  if (!excess.IsNone()) {
    UnmapBatch batch(this);
    batch.Add(Leaf::Of(mapping), mapping, excess);
    batch.Flush();
  }
  if (!same) {
    if (mapping->present()) Unlink(pmap, mapping);
    Link(pmap, mapping, frame, managed);
  }
  mapping->prot = prot;
  SetWired(pmap, mapping, wired == uvm::Wired::kYes);
  if (pmap->is_kernel) MapOwn(Leaf::Of(mapping), mapping);
  return {};
}

void L4Pmap::RemoveRange(uvm::Pmap* pmap, Range range) {
  UnmapBatch batch(this);
  ForRange(pmap, range, [&batch](Leaf* leaf, Translation* mapping) {
    if (!mapping->sent.IsNone()) batch.Add(leaf, mapping, mapping->sent);
  });
  batch.Flush();
  ForRange(pmap, range, [this, pmap](Leaf*, Translation* mapping) { Unlink(pmap, mapping); });
  // A window that went as a whole is not likely to be used again soon. The kernel's stay.
  if (pmap->is_kernel) return;
  uint64_t end = WindowNumber(range.end);
  Window* window = LowerBound(pmap, WindowNumber(range.start + (kWindowBytes - 1)));
  while (window != nullptr && window->number < end) {
    Window* next = pmap->windows.Next(window);
    ReleaseWindow(window);
    window = next;
  }
}

void L4Pmap::Remove(uvm::Pmap* pmap, Range range) {
  Guard guard(this);
  RemoveRange(pmap, range);
}

bool L4Pmap::RemoveAll(uvm::Pmap* pmap) {
  Guard guard(this);
  if (pmap->windows.empty()) return true;
  RemoveRange(pmap, {pmap->windows.First()->start(), pmap->windows.Last()->start() + kWindowBytes});
  return true;
}

// A client gets what it needs when it asks; entering more at fork would only make aliases that
// nobody may want.
void L4Pmap::Copy(uvm::Pmap*, uvm::Pmap*, Vaddr, uint64_t, Vaddr) {}

// The kernel switches spaces with the thread.
void L4Pmap::Activate(uvm::Pmap*) {}
void L4Pmap::Deactivate(uvm::Pmap*) {}

// The processors that the profiles describe keep instruction and data caches coherent.
void L4Pmap::ProcWrite(uvm::Pmap*, Vaddr, uint64_t) {}

// A cookie is the address; how it is cached is sigma0's default.
Paddr L4Pmap::PhysAddress(uint64_t cookie) { return Paddr(cookie).Trunc(); }
uvm::CacheMode L4Pmap::MmapFlags(uint64_t) { return uvm::CacheMode::kDefault; }

// No profile has caches with colours.
Vaddr L4Pmap::Prefer(uint64_t, Vaddr hint, uint64_t, bool) { return hint; }

void L4Pmap::Protect(uvm::Pmap* pmap, Range range, Prot prot) {
  Guard guard(this);
  if (!prot.CanRead()) return RemoveRange(pmap, range);
  UnmapBatch batch(this);
  ForRange(pmap, range, [&batch, prot](Leaf* leaf, Translation* mapping) {
    Prot excess = mapping->sent - prot;
    mapping->prot = mapping->prot & prot;
    if (!excess.IsNone()) batch.Add(leaf, mapping, excess);
  });
  batch.Flush();
}

void L4Pmap::Unwire(uvm::Pmap* pmap, Vaddr va) {
  Guard guard(this);
  Translation* mapping = Find(pmap, va);
  CHECK(mapping != nullptr && mapping->present());
  SetWired(pmap, mapping, false);
}

bool L4Pmap::Extract(uvm::Pmap* pmap, Vaddr va, Paddr* pa) {
  Guard guard(this);
  Translation* mapping = Find(pmap, va);
  if (mapping == nullptr || !mapping->present()) return false;
  if (pa != nullptr) *pa = AddressOf(mapping->frame) + va.Offset();
  return true;
}

// Nothing is deferred: every unmap is issued before the call that needs it returns.
void L4Pmap::Update(uvm::Pmap*) {}

void L4Pmap::PageProtect(Paddr pa, Prot prot) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  bool remove = !prot.CanRead();
  // The canary leaves the first mapping alone.
  Translation* forgotten =
      remove && config_.canary->Armed(base::Canary::kUnmapMissesOneSpace) ? frame->first : nullptr;
  UnmapBatch batch(this);
  for (Translation* at = frame->first; at != nullptr; at = at->next) {
    if (at == forgotten) continue;
    Prot excess = remove ? at->sent : at->sent - prot;
    if (!remove) at->prot = at->prot & prot;
    if (!excess.IsNone()) batch.Add(Leaf::Of(at), at, excess);
  }
  batch.Flush();
  if (!remove) return;
  for (Translation *at = frame->first, *next; at != nullptr; at = next) {
    next = at->next;
    if (at != forgotten) Unlink(Leaf::Of(at)->window->pmap, at);
  }
}

// Rule (c): status is asked for at aliases only, never at home, where it would mix all spaces and
// the server itself.
void L4Pmap::CollectStatus(Frame* frame) {
  UnmapBatch batch(this);
  for (Translation* at = frame->first; at != nullptr; at = at->next) {
    if (at->sent.IsNone()) continue;
    ++counters_.status_queries;
    batch.Add(Leaf::Of(at), at, base::kProtNone);
  }
  batch.Flush();
}

bool L4Pmap::IsModified(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  if (!frame->modified) CollectStatus(frame);
  return frame->modified;
}

bool L4Pmap::IsReferenced(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  if (!frame->referenced) CollectStatus(frame);
  return frame->referenced;
}

// Reading status resets it in the kernel, so the next access sets it afresh: detection needs no
// further arming.
bool L4Pmap::ClearModify(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  CollectStatus(frame);
  bool was = frame->modified;
  frame->modified = false;
  return was;
}

bool L4Pmap::ClearReference(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  CollectStatus(frame);
  bool was = frame->referenced;
  frame->referenced = false;
  return was;
}

base::PageCount L4Pmap::ResidentCount(const uvm::Pmap* pmap) const {
  return base::PageCount(pmap->resident);
}

base::PageCount L4Pmap::WiredCount(const uvm::Pmap* pmap) const {
  return base::PageCount(pmap->wired);
}

bool L4Pmap::PeekNext(const uvm::Pmap* pmap, Vaddr from, Mapping* out) const {
  uint64_t from_page = base::RoundPage(from.value()) >> base::kPageShift;
  for (Window* window = LowerBound(pmap, WindowNumber(from)); window != nullptr;
       window = pmap->windows.Next(window)) {
    for (const Leaf* leaf : window->leaves) {
      if (leaf == nullptr || leaf->present == 0) continue;
      uint64_t leaf_page = window->number * kWindowPages + leaf->first_page;
      uint64_t slot = from_page > leaf_page ? from_page - leaf_page : 0;
      for (; slot < kLeafPages; ++slot) {
        const Translation& at = leaf->pages[slot];
        if (!at.present()) continue;
        *out = {Vaddr((leaf_page + slot) << base::kPageShift), AddressOf(at.frame), at.prot,
                at.wired ? uvm::Wired::kYes : uvm::Wired::kNo};
        return true;
      }
    }
  }
  return false;
}

}  // namespace pmap_sim
