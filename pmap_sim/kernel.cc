// The kernel pmap: mappings of the server's own space, made when they are entered. And memory of no
// segment.

#include <l4/sigma0.h>

#include "base/check.h"
#include "pmap_sim/l4_pmap.h"

namespace pmap_sim {

uvm::Pmap* L4Pmap::Kernel() { return &kernel_; }

base::Range L4Pmap::VirtualSpace() { return config_.kernel_area; }

Window* L4Pmap::MakeKernelWindow(uint64_t number) {
  Window* window = window_pool_.New();
  if (window == nullptr) return nullptr;
  window->pmap = &kernel_;
  window->number = number;
  window->alias_start = window->start();
  kernel_.windows.Insert(window);
  return window;
}

// By whole windows, leaves and all, so that kernel mappings themselves never need memory. NetBSD:
// pmap_growkernel(), which panics, too, when there is none.
base::Vaddr L4Pmap::GrowKernel(base::Vaddr va) {
  Guard guard(this);
  CHECK(va <= config_.kernel_area.end);
  while (kernel_end_ < va) {
    Window* window = MakeKernelWindow(kernel_end_.value() >> kWindowShift);
    CHECK(window != nullptr);
    for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) CHECK(MakeLeaf(window, leaf) != nullptr);
    kernel_end_ = kernel_end_ + kWindowBytes;
  }
  return kernel_end_;
}

// A kernel mapping is its own alias, with exact rights. Nothing may be mapped from home then.
bool L4Pmap::MapOwn(Translation* page) {
  if (page->sent == page->prot && AliasShows(*page)) return true;
  batch_.Flush();
  Recall(*page);
  if (!OrderAliases(Leaf::Of(page), page->slot, 1)) return false;
  page->sent = page->prot;
  // Loads leave no trace and nothing faults, so that it may always have been referenced.
  if (page->managed && !traits_.reference_bits) StatusOf(*page).referenced = true;
  return true;
}

// In effect at once: the table has it, and so has the server's space. Nothing tells whether the
// kernel had memory for the mapping (the message arrives without it); where not, whoever uses the
// address first faults, and the answer makes the mapping anew (AnswerOwn): that costs two messages
// and no fault of UVM's.
void L4Pmap::KenterPa(base::Vaddr va, base::Paddr pa, base::Prot prot, uvm::CacheMode) {
  Guard guard(this);
  CHECK(va.IsAligned() && va < kernel_end_);
  Translation* page = Find(&kernel_, va);
  CHECK(page != nullptr && !page->present());
  const uint32_t index = FindFrame(pa);
  const FrameNumber frame = index != kNoFrame ? index + 1 : TakeDevicePage(pa);
  CHECK(frame != 0);
  Link(&kernel_, page, frame, false);
  page->prot = prot;
  SetWired(&kernel_, page, true);
  CHECK(MapOwn(page));
}

// Takes a page that is no segment's from sigma0, which gives it as often as it is asked for. 0:
// sigma0 refuses, or the server's own areas are in its place. Where the kernel had no memory for
// the mapping the page is not there all the same: Retry asks again.
FrameNumber L4Pmap::TakeDevicePage(base::Paddr pa) {
  CHECK(pa.IsAligned());
  const uint64_t page = pa.PageNumber();
  if (page >= kDeviceBit || pa.value() >= home_end()) return 0;
  const L4_Fpage_t place = L4_FpageLog2(static_cast<L4_Word_t>(pa.value()), base::kPageShift);
  ++counters_.device_pages;
  L4_Fpage_t got = L4_Sigma0_GetPage_RcvWindow(L4_nilthread,
                                               L4_FpageAddRights(place, L4_FullyAccessible), place);
  return L4_IsNilFpage(got) ? 0 : kDeviceBit | static_cast<FrameNumber>(page);
}

void L4Pmap::Kremove(base::Range range) {
  Guard guard(this);
  ForRange(&kernel_, range, [](Leaf*, Translation* page) { CHECK(!page->managed); });
  RemoveRange(&kernel_, range);
}

}  // namespace pmap_sim
