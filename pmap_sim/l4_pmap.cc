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

L4Pmap::Guard::Guard(L4Pmap* pmap) : pmap_(pmap) {
  // The server's threads run on one processor.
  while (!pmap_->lock_.TryTake(base::Processors::kOne)) L4_Yield();
  VERIFY(*pmap_, "pmap lock taken");
}

L4Pmap::Guard::~Guard() {
  VERIFY(*pmap_, "pmap lock released");
  pmap_->lock_.Release();
}

L4Pmap::L4Pmap(const Config& config)
    : config_(config),
      pmap_pool_(config.memory),
      window_pool_(config.memory),
      leaf_pool_(config.memory),
      rest_pool_(config.memory) {
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

Paddr L4Pmap::AddressOfOther(FrameNumber number) const {
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
  if (config_.stamp_bias != 0) {
    ++*reinterpret_cast<uint32_t*>(static_cast<uintptr_t>(pa.PageNumber()) * sizeof(uint32_t) +
                                   config_.stamp_bias);
  }
  return PeekHome(pa);
}

// The stores that fill a page queue up behind lines that are still on their way, and everything the
// processor does next behind them; with a head start of half a kilobyte a fault that fills a page
// takes a third less time.
void L4Pmap::Expect(Paddr pa, base::Access access) {
  base::ExpectPageBytes(PeekHome(pa), access, Stores());
}

void L4Pmap::ZeroPage(Paddr pa) {
  base::ZeroPageBytes(HomePointer(pa), Stores());
  if (!config_.canary->Armed(base::Canary::kWritesBehindStamps)) return;
  if (zeroed_before_ != nullptr) zeroed_before_[base::kPageSize / 2] ^= 1;
  zeroed_before_ = PeekHome(pa);
}

void L4Pmap::CopyPage(Paddr from, Paddr to) {
  base::CopyPageBytes(PeekHome(from), HomePointer(to), Stores());
}

// ---- Translations ----

void L4Pmap::Link(uvm::Pmap* pmap, Translation* mapping, FrameNumber frame, bool managed) {
  Leaf* leaf = Leaf::Of(mapping);
  mapping->frame = frame;
  mapping->managed = managed;
  if (frame > highest_linked_ && (frame & kDeviceBit) == 0) highest_linked_ = frame;
  if (managed) {
    Frame& of = FrameOf(*mapping);
    mapping->rest().prev = nullptr;
    mapping->rest().next = of.first;
    if (of.first != nullptr) of.first->rest().prev = mapping;
    of.first = mapping;
  }
  if (pmap->is_kernel && (frame & kDeviceBit) == 0) ++FrameOf(*mapping).own;
  ++leaf->present;
  ++leaf->window->present;
  ++pmap->resident;
}

void L4Pmap::Unlink(uvm::Pmap* pmap, Translation* mapping) {
  CHECK(mapping->sent.IsNone());
  Leaf* leaf = Leaf::Of(mapping);
  if (pmap->is_kernel && (mapping->frame & kDeviceBit) == 0) --FrameOf(*mapping).own;
  if (mapping->managed) {
    Frame& of = FrameOf(*mapping);
    if (mapping->rest().prev != nullptr) {
      mapping->rest().prev->rest().next = mapping->rest().next;
    } else {
      of.first = mapping->rest().next;
    }
    if (mapping->rest().next != nullptr) mapping->rest().next->rest().prev = mapping->rest().prev;
    mapping->rest().next = mapping->rest().prev = nullptr;
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
  mapping->rest().turns = 0;
}

// Rule (c): status is read at home, where all spaces would mix, only of a page that was mapped from
// there, and then it is the only one.
void L4Pmap::Take(Translation* page, Prot rights) {
  Leaf* leaf = Leaf::Of(page);
  if (NeedsFaultsForModified()) rights = page->sent;
  const bool ask = rights.IsNone();
  counters_.pages_lowered += ask ? 0 : 1;
  const bool writable = page->sent.CanWrite();
  const bool own = leaf->window->pmap->is_kernel;
  FrameStatus* frame = (page->frame & kDeviceBit) == 0 ? &StatusOf(*page) : nullptr;
  UnmapBatch::Page entry;
  entry.address =
      page->direct ? Vaddr(AddressOf(page->frame).value()) : AliasAddress(leaf, page->slot);
  if (own) entry.call = UnmapBatch::Call::kFlush;
  if (page->managed) entry.frame = page->frame;
  if (!page->managed || (!ask && frame->referenced && (frame->modified || !writable))) {
    entry.news = UnmapBatch::News::kNone;
  } else if (!ask && (frame->modified || !writable)) {
    entry.news = UnmapBatch::News::kReferenced;
  }
  page->sent = page->sent - rights;
  // A removal names all rights whatever was sent, so that runs of unequal rights merge.
  const bool all = page->sent.IsNone();
  entry.take = all ? L4_FullyAccessible : ToL4Rights(rights);
  if (page->direct) {
    if (all) page->direct = frame->direct = false;
  } else if (frame != nullptr) {
    frame->home_owed = true;
  }
  if (own && all && page->rest().alias_frame != 0) {
    page->rest().alias_frame = 0;
    --leaf->aliases;
  }
  batch_.Add(entry);
}

// Whether the kernel's status of the page says nothing new, so that neighbours may come along.
bool L4Pmap::IsNoNews(const Translation& page) const {
  if (!page.managed) return false;
  const FrameStatus status = StatusOf(page);
  return status.referenced && (status.modified || !page.sent.CanWrite());
}

// Lowers the rights of pages [from, to) of a leaf to `prot`, which leaves some. Pages that are
// alike, and whose status is no news, go to the batch as a run.
void L4Pmap::LowerLeaf(Leaf* leaf, uint32_t from, uint32_t to, Prot prot) {
  const bool by_runs = traits_.by_the_manual && !leaf->window->pmap->is_kernel;
  for (uint32_t slot = from; slot < to;) {
    Translation& page = leaf->pages[slot];
    const Prot excess = page.sent - prot;
    if (excess.IsNone() || !by_runs || page.sent == excess || !IsNoNews(page)) {
      page.prot = page.prot & prot;
      if (!excess.IsNone()) Take(&page, excess);
      ++slot;
      continue;
    }
    slot += LowerRun(leaf, slot, to, prot);
  }
}

// The first pages of [slot, to) that differ by nothing but their frames, which follow each other
// where they are mapped from home. Returns how many there are, at least one. REQUIRES: the first
// one has rights beyond `prot`, and others, and IsNoNews.
uint32_t L4Pmap::LowerRun(Leaf* leaf, uint32_t slot, uint32_t to, Prot prot) {
  Translation* const first = &leaf->pages[slot];
  const bool direct = first->direct;
  const Prot excess = first->sent - prot;
  FrameStatus* const status = status_;
  // Two neighbours' words differ by a slot and, where they are mapped from home, by a frame.
  const uint64_t compared = direct ? ~uint64_t{0} : ~Translation{.frame = ~FrameNumber{0}}.Word();
  const bool down = slot + 1 < to && first[1].frame + 1 == first->frame;
  const uint64_t one_frame = Translation{.frame = 1}.Word();
  const uint64_t step = Translation{.slot = 1}.Word() + (down ? -one_frame : one_frame);
  const uint64_t kept = ~Translation{.prot = base::kProtAll - prot, .sent = excess}.Word();
  FrameStatus quiet;
  quiet.referenced = true;
  quiet.modified = first->sent.CanWrite();
  uint64_t expected = first->Word();
  uint32_t count = 0;
  for (Translation *page = first, *end = &leaf->pages[to]; page < end; ++page, ++count) {
    const uint64_t word = page->Word();
    if (((word ^ expected) & compared) != 0) break;
    FrameStatus& of = status[page->frame - 1];
    if (!of.Includes(quiet)) break;
    page->SetWord(word & kept);
    if (!direct) of.home_owed = true;
    expected += step;
  }
  UnmapBatch::Page run{.news = UnmapBatch::News::kNone, .pages = count};
  const Translation& lowest = down ? first[count - 1] : *first;
  run.address = direct ? Vaddr(AddressOf(lowest.frame).value()) : AliasAddress(leaf, first->slot);
  run.take = ToL4Rights(excess);
  batch_.Add(run);
  counters_.pages_lowered += count;
  counters_.lowered_in_runs += count;
  return count;
}

// There is no status to fold the kernel's into, so it is read here.
bool L4Pmap::TakeBackUnmanaged(Translation* page) {
  Leaf* leaf = Leaf::Of(page);
  if (leaf->window->pmap->is_kernel || page->sent.IsNone()) {
    if (!page->sent.IsNone()) Take(page, page->sent);
    batch_.Flush();
    return false;
  }
  page->sent = base::kProtNone;
  ++counters_.pages_lowered;
  const auto alias = static_cast<L4_Word_t>(AliasAddress(leaf, page->slot).value());
  const L4_Fpage_t taken =
      L4_UnmapFpage(L4_FpageAddRights(L4_FpageLog2(alias, base::kPageShift), L4_FullyAccessible));
  return traits_.by_the_manual && L4_Rights(taken) != 0;
}

bool L4Pmap::TakeBack(Translation* page) {
  batch_.Flush();
  if (!page->managed) return TakeBackUnmanaged(page);
  FrameStatus& frame = StatusOf(*page);
  const bool referenced = frame.referenced;
  frame.referenced = false;
  if (!page->sent.IsNone()) Take(page, page->sent);
  batch_.Flush();
  const bool used = frame.referenced;
  frame.referenced = referenced || used;
  return used;
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
  batch_.Flush();
  while (Window* window = pmap->windows.root()) ReleaseWindow(window);
  pmaps_.Remove(pmap);
  pmap_pool_.Delete(pmap);
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

// What caused the mapping is about to happen.
void L4Pmap::Seed(const Translation& mapping, Prot access) {
  if (!mapping.managed || access.IsNone()) return;
  FrameStatus& frame = StatusOf(mapping);
  frame.referenced = true;
  if (access.CanWrite()) frame.modified = true;
}

// A bug on purpose: the client keeps what it was sent, and nobody knows.
void L4Pmap::Abandon(Translation* page) {
  if (page->direct) page->direct = StatusOf(*page).direct = false;
  page->sent = base::kProtNone;
}

base::Result<void, uvm::PmapError> L4Pmap::Enter(uvm::Pmap* pmap, Vaddr va, Paddr pa, Prot prot,
                                                 const uvm::EnterFlags& flags) {
  CHECK(va.IsAligned());
  // What may be written or executed may be read on every processor: less cannot be given.
  CHECK(prot.CanRead() && flags.access.IsSubsetOf(prot));
  Guard guard(this);
  CHECK(!pmap->is_kernel || (va >= config_.kernel_area.start && va < kernel_end_));
  Translation* mapping = FindOrMake(pmap, va);
  const uint32_t index = FindFrame(pa);
  const bool managed = index != kNoFrame;
  const FrameNumber frame = managed ? index + 1 : TakeDevicePage(pa);
  if (mapping == nullptr || frame == 0) return NoRoom(pmap, mapping, flags);
  // An unmanaged mapping of the same memory is another mapping.
  const bool same = mapping->frame == frame && mapping->managed == managed;
  // Rule (a): what the new translation does not allow is taken before anything of it can be sent,
  // and so are the old frame's bits.
  const Prot excess = same ? mapping->sent - prot : mapping->sent;
  const bool stale = config_.canary->Armed(base::Canary::kReenterKeepsOldFrame) && !same;
  if (stale) Abandon(mapping);
  if (!excess.IsNone() && !stale) Take(mapping, excess);
  if (!same) {
    if (mapping->present()) Unlink(pmap, mapping);
    Link(pmap, mapping, frame, managed);
  }
  mapping->prot = prot;
  SetWired(pmap, mapping, flags.wired == uvm::Wired::kYes);
  Seed(*mapping, flags.access);
  if (pmap->is_kernel) MapOwn(mapping);
  return {};
}

void L4Pmap::RemovePage(uvm::Pmap* pmap, Translation* mapping) {
  if (!mapping->sent.IsNone()) Take(mapping, mapping->sent);
  Unlink(pmap, mapping);
}

bool L4Pmap::TestOnlyForget(uvm::Pmap* pmap, Vaddr va) {
  Guard guard(this);
  Translation* mapping = Find(pmap, va);
  if (mapping == nullptr || !mapping->present() || mapping->wired) return false;
  RemovePage(pmap, mapping);
  return true;
}

void L4Pmap::RemoveRange(uvm::Pmap* pmap, Range range) {
  if (range.size() == base::kPageSize) {
    Translation* mapping = Find(pmap, range.start);
    if (mapping != nullptr && mapping->present()) RemovePage(pmap, mapping);
    return;
  }
  ForRange(pmap, range, [this, pmap](Leaf*, Translation* mapping) { RemovePage(pmap, mapping); });
  ReleaseWholeWindows(pmap, range);
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
Vaddr L4Pmap::Prefer(uint64_t, Vaddr hint, uint64_t, uvm::PreferSide) { return hint; }

void L4Pmap::Protect(uvm::Pmap* pmap, Range range, Prot prot) {
  Guard guard(this);
  if (!prot.CanRead()) return RemoveRange(pmap, range);
  ForLeaves(pmap, range, [this, prot](Leaf* leaf, uint32_t from, uint32_t to) {
    LowerLeaf(leaf, from, to, prot);
  });
  if (!pmap->is_kernel) return;
  ForRange(pmap, range, [this](Leaf*, Translation* mapping) { MapOwn(mapping); });
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
  const bool present = mapping != nullptr && mapping->present();
  // The server's own view of a frame is no entry of the table (NetBSD: the direct map); it lies at
  // the frame's address.
  const bool home = !present && pmap->is_kernel && FindFrame(Paddr(va.value())) != kNoFrame;
  if (!present && !home) return false;
  if (pa != nullptr) *pa = home ? Paddr(va.value()) : AddressOf(mapping->frame) + va.Offset();
  return true;
}

uint64_t L4Pmap::Mapped(uvm::Pmap* pmap, Vaddr first, uint32_t count) {
  Guard guard(this);
  uint64_t mapped = 0;
  for (uint32_t i = 0; i < count;) {
    const Translation* at = Find(pmap, first + i * base::kPageSize);
    const uint32_t slot = PageInWindow(first + i * base::kPageSize) % kLeafPages;
    uint32_t rest = kLeafPages - slot < count - i ? kLeafPages - slot : count - i;
    for (; rest > 0; --rest, ++i, at += at != nullptr) {
      mapped |= static_cast<uint64_t>(at != nullptr && at->present()) << i;
    }
  }
  return mapped;
}

// What waits is everybody's: the calls are fuller that way. Whoever added something sees it.
void L4Pmap::Update(uvm::Pmap*) {
  if (batch_.empty()) return;
  Guard guard(this);
  if (config_.canary->Armed(base::Canary::kUpdateForgets)) return batch_.Lose();
  batch_.Flush();
}

PmapCounters L4Pmap::counters() const {
  PmapCounters counters = counters_;
  counters.unmap_calls = batch_.counters().calls;
  counters.fpages_unmapped = batch_.counters().fpages;
  counters.fpages_merged = batch_.counters().merged;
  return counters;
}

base::PageCount L4Pmap::ResidentCount(const uvm::Pmap* pmap) const {
  return base::PageCount(pmap->resident);
}

base::PageCount L4Pmap::WiredCount(const uvm::Pmap* pmap) const {
  return base::PageCount(pmap->wired);
}

uint32_t L4Pmap::PeekSome(const uvm::Pmap* pmap, Vaddr from, Mapping* out, uint32_t max) const {
  uint64_t from_page = base::RoundPage(from.value()) >> base::kPageShift;
  uint32_t found = 0;
  for (Window* window = LowerBound(pmap, WindowNumber(from)); window != nullptr;
       window = pmap->windows.Next(window)) {
    for (const Leaf* leaf : window->leaves) {
      if (leaf == nullptr || leaf->present == 0) continue;
      uint64_t leaf_page = window->number * kWindowPages + leaf->first_page;
      uint64_t slot = from_page > leaf_page ? from_page - leaf_page : 0;
      // Where the walk begins in the middle some of these lie before it.
      uint32_t left = leaf->present;
      for (; left > 0 && slot < kLeafPages; ++slot) {
        const Translation& at = leaf->pages[slot];
        if (!at.present()) continue;
        --left;
        out[found++] = {Vaddr((leaf_page + slot) << base::kPageShift), AddressOf(at.frame), at.prot,
                        at.wired ? uvm::Wired::kYes : uvm::Wired::kNo};
        if (found == max) return found;
      }
    }
  }
  return found;
}

bool L4Pmap::PeekNext(const uvm::Pmap* pmap, Vaddr from, Mapping* out) const {
  return PeekSome(pmap, from, out, 1) == 1;
}

bool L4Pmap::Peek(const uvm::Pmap* pmap, Vaddr va, Mapping* out) const {
  const Window* window = LowerBound(pmap, WindowNumber(va));
  if (window == nullptr || window->number != WindowNumber(va)) return false;
  const uint32_t page = PageInWindow(va);
  const Leaf* leaf = window->leaves[page / kLeafPages];
  if (leaf == nullptr) return false;
  const Translation& at = leaf->pages[page % kLeafPages];
  if (!at.present()) return false;
  *out = {Vaddr(base::TruncPage(va.value())), AddressOf(at.frame), at.prot,
          at.wired ? uvm::Wired::kYes : uvm::Wired::kNo};
  return true;
}

}  // namespace pmap_sim
