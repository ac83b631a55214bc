// What must be true of the table whenever its lock is free; every predicate writes its first
// counterexample.

#include "base/check.h"
#include "base/hash.h"
#include "pmap_sim/l4_pmap.h"

namespace pmap_sim {

// TableListsFrames: a frame's list holds its mappings, each of which names the frame; that it holds
// all, the sum over all frames tells. DirectIsAlone: while a page is with its client straight from
// home, nobody else has the frame, and no alias of it counts.
bool L4Pmap::CheckFrame(uint32_t index, uint64_t* mappings, base::TextSink& out) const {
  const Frame& frame = frames_[index];
  const Translation* previous = nullptr;
  uint32_t direct = 0;
  uint32_t with_clients = frame.own;
  for (const Translation* at = frame.first; at != nullptr; at = at->rest().next) {
    if (at->frame != index + 1 || !at->managed || at->rest().prev != previous) {
      out << "TableListsFrames: frame " << AddressOf(index + 1) << " lists an entry that names "
          << "frame number " << at->frame;
      return false;
    }
    direct += at->direct ? 1 : 0;
    with_clients += at->sent.IsNone() ? 0 : 1;
    previous = at;
    ++*mappings;
  }
  for (const Translation* at = frame.first; direct != 0 && at != nullptr; at = at->rest().next) {
    if (!AliasShows(*at)) continue;
    out << "DirectIsAlone: frame " << AddressOf(index + 1) << " has an alias that counts";
    return false;
  }
  if (direct == (status_[index].direct ? 1 : 0) && (direct == 0 || with_clients == 1)) return true;
  out << "DirectIsAlone: frame " << AddressOf(index + 1) << " has " << direct
      << " mappings from home, " << with_clients << " in use";
  return false;
}

// SentWithinTable, AliasShowsFrame, DirectIsAlone, KernelIsMapped: what one page may have been
// sent, and from where.
bool L4Pmap::CheckPage(const Leaf* leaf, const Translation& page, uint32_t frames,
                       base::TextSink& out) const {
  const base::Vaddr va =
      leaf->window->start() + base::ToBytes(base::PageCount(leaf->first_page + page.slot));
  const bool device = (page.frame & kDeviceBit) != 0;
  if ((!device && page.frame > frames) || (device && page.managed) ||
      ((page.wired || page.managed) && !page.present())) {
    out << "TableListsFrames: va " << va << " names frame number " << page.frame;
    return false;
  }
  if (!page.sent.IsSubsetOf(page.prot)) {
    out << "SentWithinTable: va " << va << " sent " << page.sent << " table " << page.prot;
    return false;
  }
  if (!page.sent.IsNone() && !page.direct && !AliasShows(page)) {
    out << "AliasShowsFrame: va " << va << " sent " << page.sent << " from alias of frame number "
        << page.rest().alias_frame << ", table has " << page.frame;
    return false;
  }
  if (page.direct && (page.sent.IsNone() || !page.managed || !StatusOf(page).direct)) {
    out << "DirectIsAlone: va " << va << " sent " << page.sent << " from home, frame number "
        << page.frame << " does not know";
    return false;
  }
  if (!leaf->window->pmap->is_kernel || !page.present()) return true;
  if (page.sent == page.prot && AliasShows(page)) return true;
  out << "KernelIsMapped: va " << va << " has " << page.sent << " of " << page.prot;
  return false;
}

namespace {

// All bits of a Translation but those that tell nothing of an absent one.
uint64_t TellingBits() {
  Translation all;
  all.SetWord(~uint64_t{0});
  all.prot = base::kProtNone;
  all.slot = 0;
  all.resends = 0;
  return all.Word();
}

}  // namespace

bool L4Pmap::CheckLeaf(const Window* window, const Leaf* leaf, Found* found,
                       base::TextSink& out) const {
  uint32_t present = 0;
  uint32_t aliases = 0;
  FrameNumber aliased = 0;
  for (const TranslationRest& rest : leaf->rest) aliased |= rest.alias_frame;
  if (aliased != 0) {
    for (const TranslationRest& rest : leaf->rest) aliases += rest.alias_frame != 0 ? 1 : 0;
  }
  const uint64_t telling = TellingBits();
  constexpr uint32_t kAtOnce = 8;
  for (uint32_t first = 0; first < kLeafPages; first += kAtOnce) {
    // Of most there is nothing to be said.
    uint64_t some = 0;
    for (uint32_t i = 0; i < kAtOnce; ++i) some |= leaf->pages[first + i].Word();
    if ((some & telling) == 0) continue;
    for (uint32_t i = 0; i < kAtOnce; ++i) {
      const Translation& page = leaf->pages[first + i];
      if ((page.Word() & telling) == 0) continue;
      if (!CheckPage(leaf, page, found->frames, out)) return false;
      present += page.present() ? 1 : 0;
      found->wired += page.wired ? 1 : 0;
      found->managed += page.managed ? 1 : 0;
      found->of_devices += (page.frame & kDeviceBit) != 0 ? 1 : 0;
    }
  }
  found->present += present;
  if (leaf->window == window && present == leaf->present && aliases == leaf->aliases) return true;
  out << "CountsAgree: leaf at " << window->start() << " + " << leaf->first_page << " pages counts "
      << leaf->present << " present, " << leaf->aliases << " aliases; found " << present << ", "
      << aliases;
  return false;
}

// CountsAgree: resident and wired counts are those of the table; last_found is one of the windows.
bool L4Pmap::CheckPmap(const uvm::Pmap* pmap, Totals* totals, base::TextSink& out) const {
  Found found{.frames = frame_count()};
  bool last_found = pmap->last_found == nullptr;
  for (Window* window = pmap->windows.First(); window != nullptr;
       window = pmap->windows.Next(window)) {
    last_found |= window == pmap->last_found;
    const uint32_t before = found.present;
    for (const Leaf* leaf : window->leaves) {
      if (leaf != nullptr && !CheckLeaf(window, leaf, &found, out)) return false;
    }
    const uint32_t present = found.present - before;
    if (window->pmap != pmap || window->present != present) {
      out << "CountsAgree: window at " << window->start() << " counts " << window->present
          << " pages, found " << present;
      return false;
    }
  }
  totals->managed += found.managed;
  if (pmap->is_kernel) totals->kernel += found.present - found.of_devices;
  if (last_found && found.present == pmap->resident && found.wired == pmap->wired) return true;
  out << "CountsAgree: pmap counts " << pmap->resident << " resident, " << pmap->wired
      << " wired; found " << found.present << ", " << found.wired;
  return false;
}

// AliasUnique: every window ever made is in use by one pmap or free, lies inside the alias area,
// and no other lies there. That none is there twice a sum tells, which equals that of the windows
// that were made.
bool L4Pmap::CheckAliases(base::TextSink& out) const {
  uint64_t windows = 0;
  uint64_t sum = 0;
  for (uint64_t number = 0; number < windows_made_; ++number) sum -= base::Mix64(number);
  auto visit = [&](const Window& window) {
    const uint64_t offset = window.alias_start - config_.alias_area;
    ++windows;
    sum += base::Mix64(offset >> kWindowShift);
    if (offset % kWindowBytes == 0 && offset >> kWindowShift < windows_made_) return true;
    out << "AliasUnique: window number " << (offset >> kWindowShift) << " was never made";
    return false;
  };
  for (Window* free = free_windows_.front(); free != nullptr; free = free_windows_.Next(free)) {
    if (!visit(*free)) return false;
  }
  for (const uvm::Pmap* pmap = pmaps_.front(); pmap != nullptr; pmap = pmaps_.Next(pmap)) {
    if (pmap->is_kernel) continue;
    for (Window* window = pmap->windows.First(); window != nullptr;
         window = pmap->windows.Next(window)) {
      if (!visit(*window)) return false;
    }
  }
  if (windows == windows_made_ && sum == 0 && windows_made_ <= config_.alias_windows) return true;
  out << "AliasUnique: " << windows_made_ << " windows made, " << windows << " in use or free"
      << (sum == 0 ? "" : ", some in one place");
  return false;
}

bool L4Pmap::CheckInvariants(base::TextSink& out) const {
  uint64_t mappings = 0;
  Totals totals;
  uint64_t own = 0;
  // Frames that never had a mapping are as Boot made them.
  for (uint32_t i = 0; i < highest_linked_; ++i) {
    own += frames_[i].own;
    const bool unused = frames_[i].first == nullptr && !status_[i].direct;
    if (!unused && !CheckFrame(i, &mappings, out)) return false;
  }
  for (const uvm::Pmap* pmap = pmaps_.front(); pmap != nullptr; pmap = pmaps_.Next(pmap)) {
    if (!CheckPmap(pmap, &totals, out)) return false;
  }
  if (mappings != totals.managed) {
    out << "TableListsFrames: frames list " << mappings << " mappings, tables hold "
        << totals.managed;
    return false;
  }
  if (own != totals.kernel) {
    out << "CountsAgree: frames count " << own << " kernel mappings, the kernel pmap has "
        << totals.kernel;
    return false;
  }
  return CheckAliases(out);
}

void L4Pmap::Verify(const char* label) const {
  char text[256];
  base::TextSink out(text, sizeof text);
  out << label << ": ";
  if (!CheckInvariants(out)) vm_panic(__FILE__, __LINE__, text);
}

}  // namespace pmap_sim
