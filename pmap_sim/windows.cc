// Windows, leaves, and where their aliases lie.

#include <l4/space.h>

#include "base/check.h"
#include "pmap_sim/l4_pmap.h"

namespace pmap_sim {

using base::Vaddr;

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
  LeafRest* rest = rest_pool_.New();
  Leaf* leaf = rest == nullptr ? nullptr : leaf_pool_.New(window, leaf_index * kLeafPages, rest);
  if (rest != nullptr && leaf == nullptr) rest_pool_.Delete(rest);
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

// Rule (d): flush is for giving aliases back. Nothing is mapped to a client any more, once what
// waits is taken, so no status can be lost.
void L4Pmap::ReleaseWindow(Window* window) {
  CHECK(window->present == 0 && !window->pmap->is_kernel);
  batch_.Flush();
  L4_Fpage_t pages[kLeaves];
  uint32_t count = 0;
  constexpr unsigned kLeafShift = base::kPageShift + __builtin_ctz(kLeafPages);
  for (Leaf*& leaf : window->leaves) {
    if (leaf == nullptr) continue;
    if (leaf->aliases != 0) {
      auto alias = static_cast<L4_Word_t>(AliasAddress(leaf, 0).value());
      pages[count++] = L4_FpageAddRights(L4_FpageLog2(alias, kLeafShift), L4_FullyAccessible);
    }
    rest_pool_.Delete(leaf->rest);
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

// A window that goes as a whole is not likely to be used again soon. The kernel's stay.
void L4Pmap::ReleaseWholeWindows(uvm::Pmap* pmap, base::Range range) {
  if (pmap->is_kernel) return;
  const uint64_t end = WindowNumber(range.end);
  Window* window = LowerBound(pmap, WindowNumber(range.start + (kWindowBytes - 1)));
  while (window != nullptr && window->number < end) {
    Window* next = pmap->windows.Next(window);
    ReleaseWindow(window);
    window = next;
  }
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

bool L4Pmap::AliasOf(const uvm::Pmap* pmap, Vaddr va, Vaddr* alias) const {
  Window* window = LowerBound(pmap, WindowNumber(va));
  if (window == nullptr || window->number != WindowNumber(va)) return false;
  *alias = window->alias_start + base::ToBytes(base::PageCount(PageInWindow(va)));
  return true;
}

}  // namespace pmap_sim
