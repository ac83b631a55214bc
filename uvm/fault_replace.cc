// What happens to translations when a page takes another's place in the upper layer.

#include "base/canary.h"
#include "base/check.h"
#include "uvm/fault.h"

namespace uvm {

// Nobody may go on reading the old page once the new one can be written.
void FaultHandler::ForgetOldTranslation(Attempt* a) {
  const FaultInfo& info = a->info;
  core_->pmap->Remove(info.pmap(), {info.va, info.va + base::kPageSize});
  core_->pmap->Update(info.pmap());
  a->moved = false;
}

bool FaultHandler::MappedWired(Pmap* pmap, Vaddr va) {
  PmapSystem::Mapping mapping;
  return core_->pmap->PeekNext(pmap, va, &mapping) && mapping.va == va &&
         mapping.wired == Wired::kYes;
}

// True when the page that covers the faulting address now is counted as wired for this entry. While
// somebody wires the entry (the map is busy) its pages are counted one after the other, and the
// translation tells how far that is.
bool FaultHandler::CountedHere(const Attempt& a) {
  const FaultInfo& info = a.info;
  if (info.entry->wired_count == 0 || a.wiring()) return false;
  return !info.map->IsBusy() || MappedWired(info.pmap(), info.va);
}

// The next entry of `map` after *at that covers the faulting slot of the shared amap, the faulting
// one excepted. Those of the kernel's map (SpaceIo shows other spaces' pages there) come last, as
// if they were of a space with the highest number.
//
// Reads other maps without their locks, which rank below the amap's lock that is held here. What
// makes that right: server threads do not run at the same instant, and nothing here is a scheduling
// point; and an entry that is still found here has not given up its reference of the amap, for
// which it needs the lock that is held.
bool FaultHandler::NextSharerIn(const Map& map, uint32_t space_id, const FaultInfo& info,
                                Sharer* at) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (space_id < at->space_id) return false;
  const uint32_t slot = info.entry->SlotOf(info.va);
  for (MapEntry* entry = map.DebugFirst(); entry != nullptr; entry = Map::DebugNext(entry)) {
    if (entry->aref.amap != info.amap || entry == info.entry) continue;
    if (slot < entry->aref.slot || slot - entry->aref.slot >= entry->pages().value()) continue;
    const Vaddr va = entry->start + (slot - entry->aref.slot) * base::kPageSize;
    if (space_id == at->space_id && va <= at->va) continue;
    const bool wired = entry->wired_count > 0 && (!map.IsBusy() || MappedWired(map.pmap(), va));
    *at = {space_id, va, map.pmap(), EffectiveProt(entry->prot), wired};
    return true;
  }
  return false;
}

bool FaultHandler::NextSharer(const FaultInfo& info, Sharer* at) {
  for (Space* space = spaces_->front(); space != nullptr; space = spaces_->Next(space)) {
    if (NextSharerIn(space->map(), space->id, info, at)) return true;
  }
  return kernel_map_ != nullptr && NextSharerIn(*kernel_map_, kKernelSpace, info, at);
}

// A wired translation goes on existing, with the new page, whose contents are the old one's so far.
// It may not write yet: the other sharers still see the old page.
void FaultHandler::MoveSharer(const Sharer& sharer, Page* old, Page* fresh) {
  core_->probes.Hit(Probe::kPromoteMovesSharer);
  if (sharer.wired && old->wire_count > 0) pages_->MoveWirings(old, fresh, 1);
  Paddr pa;
  if (!core_->pmap->Extract(sharer.pmap, sharer.va, &pa) || pa != old->pa) return;
  if (sharer.wired) {
    // Replacing what is there takes no memory; where it fails nothing is left, and a fault helps.
    Result<void, PmapError> entered =
        core_->pmap->Enter(sharer.pmap, sharer.va, fresh->pa, sharer.prot - base::kProtWrite,
                           {.access = base::kProtNone, .wired = Wired::kYes});
    (void)entered.ok();
  } else {
    core_->pmap->Remove(sharer.pmap, {sharer.va, sharer.va + base::kPageSize});
  }
  core_->pmap->Update(sharer.pmap);
}

// `fresh`, a copy of `old` that nobody sees yet, is about to take its place in the faulting slot:
// wirings of this slot go over to it, and no sharer of the amap keeps a translation of `old`.
// Translations of `old` that do not come through this slot stay, if any is wired (facts/uvm.md 5.B
// items 15 and 15c).
void FaultHandler::RevokeFromSharers(Attempt* a, Page* old, Page* fresh, bool counted_here) {
  if (counted_here && old->wire_count > 0) {
    core_->probes.Hit(Probe::kPromoteMovesWiring);
    pages_->MoveWirings(old, fresh, 1);
  }
  if (!a->info.amap->shared) return;
  core_->probes.Hit(Probe::kPromoteRevokesSharers);
  if (core_->canary.Armed(base::Canary::kPromotionKeepsSharers)) return;
  if (old->wire_count == 0) {
    core_->pmap->PageProtect(old->pa, base::kProtNone);
    return;
  }
  Sharer at;
  while (NextSharer(a->info, &at)) MoveSharer(at, old, fresh);
}

}  // namespace uvm
