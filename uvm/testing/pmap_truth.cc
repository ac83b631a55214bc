#include "uvm/testing/pmap_truth.h"

#include <algorithm>

namespace uvm::testing {

using base::Paddr;
using base::PageCount;
using base::Prot;
using base::Range;
using base::Vaddr;

PmapTruth::PmapTruth(const ContractLimits& limits, Range kernel)
    : limits_(limits), kernel_range_(kernel), places_((limits.clients + 1) * limits.pages) {}

Vaddr PmapTruth::VaOf(uint32_t space, uint32_t page) const {
  if (space == kernel()) return kernel_range_.start + page * base::kPageSize;
  return limits_.first_page + page * base::kPageSize + page / limits_.cluster * limits_.stride;
}

Range PmapTruth::RangeOf(uint32_t space, uint32_t page, uint32_t count) const {
  return {VaOf(space, page), VaOf(space, page + count - 1) + base::kPageSize};
}

bool PmapTruth::PageOf(uint32_t space, Vaddr va, uint32_t* page) const {
  for (*page = 0; *page < limits_.pages; ++*page) {
    if (VaOf(space, *page) == va.Trunc()) return true;
  }
  return false;
}

TruthFrame* PmapTruth::FrameOf(Paddr pa) {
  for (TruthFrame& frame : frames_) {
    if (frame.pa == pa) return &frame;
  }
  return nullptr;
}

void PmapTruth::Happened(Paddr pa, Since what) {
  TruthFrame* frame = FrameOf(pa);
  if (frame != nullptr) frame->since = what;
}

void PmapTruth::Enter(uint32_t space, uint32_t page, const TruthEntry& entry, Prot access) {
  Place& place = At(space, page);
  if (place.entry) {
    place.stale.push_back({place.entry->pa, place.entry->prot});
    Happened(place.entry->pa, Since::kTaken);
  }
  place.entry = entry;
  TruthFrame* frame = FrameOf(entry.pa);
  if (frame == nullptr) return;
  frame->since = space == kernel() && !entry.managed ? Since::kKenter : Since::kTaken;
  if (!entry.managed) return;
  auto seed = [](Known* bit) {
    if (*bit == Known::kNo) *bit = Known::kMaybe;
  };
  if (!access.IsNone()) seed(&frame->referenced);
  if (access.CanWrite()) seed(&frame->modified);
  if (limits_.wired_writable_reads_modified && HasWiredWriter(entry.pa)) seed(&frame->modified);
}

void PmapTruth::Take(uint32_t space, uint32_t page, Prot keep) {
  Place& place = At(space, page);
  if (!place.entry) return;
  place.stale.push_back({place.entry->pa, place.entry->prot});
  Happened(place.entry->pa, place.entry->managed ? Since::kTaken : Since::kKenter);
  place.entry->prot = place.entry->prot & keep;
  if (!keep.CanRead()) place.entry.reset();
}

void PmapTruth::PageProtect(Paddr pa, Prot keep) {
  for (Place& place : places_) {
    for (Usable& old : place.stale) {
      if (old.pa != pa) continue;
      place.inflight.push_back(old);
      old.prot = keep.CanRead() ? old.prot & keep : base::kProtNone;
    }
    if (!place.entry || place.entry->pa != pa || !place.entry->managed) continue;
    place.inflight.push_back({pa, place.entry->prot});
    place.entry->prot = place.entry->prot & keep;
    if (!keep.CanRead()) place.entry.reset();
    Happened(pa, Since::kTaken);
  }
}

void PmapTruth::EndPageProtect() {
  for (Place& place : places_) {
    for (const Usable& old : place.inflight) place.past.push_back(old);
    place.inflight.clear();
  }
}

void PmapTruth::EndUpdate(uint32_t space) {
  for (uint32_t page = 0; page < limits_.pages; ++page) {
    Place& place = At(space, page);
    for (const Usable& old : place.stale) place.past.push_back(old);
    place.stale.clear();
  }
}

void PmapTruth::Clear(uint32_t space) {
  for (uint32_t page = 0; page < limits_.pages; ++page) {
    Take(space, page, base::kProtNone);
    At(space, page) = {};
  }
}

void PmapTruth::Forget(uint32_t space, uint32_t page) {
  Place& place = At(space, page);
  place.past.push_back({place.entry->pa, place.entry->prot});
  Happened(place.entry->pa, Since::kDropped);
  place.entry.reset();
}

std::vector<Usable> PmapTruth::MayUse(const Place& place) const {
  std::vector<Usable> all = place.stale;
  all.insert(all.end(), place.inflight.begin(), place.inflight.end());
  if (place.entry) all.push_back({place.entry->pa, place.entry->prot});
  for (Usable& one : all) one.prot = UsableRights(one.prot);
  return all;
}

std::optional<PmapRule> PmapTruth::Judge(const Place& place, Paddr pa, Prot prot) const {
  for (const Usable& one : MayUse(place)) {
    if (one.pa == pa && prot.IsSubsetOf(one.prot)) return std::nullopt;
  }
  for (const Usable& old : place.past) {
    if (old.pa == pa && prot.IsSubsetOf(UsableRights(old.prot))) {
      return PmapRule::kUpdateEndsOldTranslations;
    }
  }
  return PmapRule::kRightsWithinLastEntered;
}

bool PmapTruth::HasWiredWriter(Paddr pa) const {
  return std::any_of(places_.begin(), places_.end(), [pa](const Place& place) {
    return place.entry && place.entry->pa == pa && place.entry->managed &&
           place.entry->wired == Wired::kYes && place.entry->prot.CanWrite();
  });
}

PageCount PmapTruth::Resident(uint32_t space) const {
  uint64_t count = 0;
  for (uint32_t page = 0; page < limits_.pages; ++page) count += At(space, page).entry ? 1 : 0;
  return PageCount(count);
}

PageCount PmapTruth::WiredPages(uint32_t space) const {
  uint64_t count = 0;
  for (uint32_t page = 0; page < limits_.pages; ++page) {
    const Place& place = At(space, page);
    count += place.entry && place.entry->wired == Wired::kYes ? 1 : 0;
  }
  return PageCount(count);
}

}  // namespace uvm::testing
