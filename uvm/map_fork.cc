// Copy-on-write: fork by inheritance, and the amap copy that a needs-copy entry owes.

#include "base/check.h"
#include "uvm/map.h"

namespace uvm {

bool Map::CopyAmapLocked(MapEntry* entry, Vaddr va, Chunk chunk) {
  AmapStore* amaps = context_->amaps;
  CHECK(entry->needs_copy);
  ++timestamp_;
  Amap* source = entry->aref.amap;
  if (source == nullptr) {
    if (chunk == Chunk::kYes && entry->pages().value() >= kLargeAmapSlots) {
      // A sparse region gets amaps only round what is touched.
      if (!FillSparesLocked()) return false;
      constexpr uint64_t kChunkBytes = uint64_t{kAmapChunkSlots} << base::kPageShift;
      Vaddr chunk_start(va.value() & ~(kChunkBytes - 1));
      ClipStartLocked(entry, chunk_start);
      ClipEndLocked(entry, chunk_start + kChunkBytes);
    }
    Amap* amap = amaps->Allocate(entry->pages());
    if (amap == nullptr) return false;
    entry->aref = {amap, 0};
    entry->needs_copy = false;
    return true;
  }
  MutexLock lock(&source->lock->mutex);
  if (source->refs > 1 && !context_->core->canary.Armed(base::Canary::kNeedsCopyClearedEarly)) {
    Amap* copy = amaps->CopyRange(entry->aref, entry->pages());
    if (copy == nullptr) return false;
    entry->aref = {copy, 0};
  }
  entry->needs_copy = false;  // with one reference left the entry takes the amap over
  return true;
}

// Makes `twin`, a clone of `entry` without references yet, the child's copy-on-write copy. False:
// memory ran out.
bool Map::ForkCopyLocked(MapEntry* entry, MapEntry* twin) {
  PmapSystem* pmap = context_->core->pmap;
  twin->copy_on_write = twin->needs_copy = true;
  twin->shared = false;
  Amap* amap = entry->aref.amap;
  CopyLayersFrom(*entry, twin, Shared::kNo);
  // nothing is in the upper layer, so nothing has to be protected
  if (amap == nullptr) return true;
  bool shared;
  {
    MutexLock lock(&amap->lock->mutex);
    shared = amap->shared;
    if (shared) {
      // The sharers, this parent among them, go on sharing: only the child gets a layer of its own,
      // now (facts/uvm.md 5.B items 1 and 2, intended behaviour).
      Amap* copy = context_->amaps->CopyRange(twin->aref, twin->pages());
      if (copy == nullptr) return false;
      twin->aref = {copy, 0};
      twin->needs_copy = false;
    }
  }
  if (shared) {
    // Every sharer may hold writable translations to anons that now have two owners.
    if (!context_->core->canary.Armed(base::Canary::kForkSkipsWriteProtect)) {
      context_->amaps->WriteProtect(entry->aref, entry->pages());
    }
    return true;
  }
  if (!entry->needs_copy) {
    entry->needs_copy = true;
    if (!context_->core->canary.Armed(base::Canary::kForkSkipsWriteProtect)) {
      pmap->Protect(pmap_, entry->range(), base::kProtRead | base::kProtExecute);
    }
  }
  return true;
}

// Nobody else can reach a map that is being forked into, so there is no lock to take (and never two
// map locks at once).
void Map::LinkUnpublished(MapEntry* entry) ABSL_NO_THREAD_SAFETY_ANALYSIS { LinkLocked(entry); }

Result<void, MapError> Map::ForkEntryLocked(MapEntry* entry, Map* child) {
  Inherit inherit = entry->inherit;
  if (context_->core->canary.Armed(base::Canary::kInheritanceSwapped)) {
    if (inherit == Inherit::kShare) {
      inherit = Inherit::kCopy;
    } else if (inherit == Inherit::kCopy) {
      inherit = Inherit::kShare;
    }
  }
  if (inherit == Inherit::kNone) return {};
  MapEntry* twin = context_->entries->New();
  if (twin == nullptr) return MapError::kNoMemory;
  twin->start = entry->start;
  twin->end = entry->end;
  twin->prot = entry->prot;
  twin->max_prot = entry->max_prot;
  twin->inherit = entry->inherit;
  twin->advice = entry->advice;
  bool ok = true;
  switch (inherit) {
    case Inherit::kShare:
      // There must be an amap to share before it can be shared.
      ok = !entry->needs_copy || CopyAmapLocked(entry, entry->start, Chunk::kNo);
      if (!ok) break;
      CopyLayersFrom(*entry, twin, Shared::kYes);
      twin->copy_on_write = entry->copy_on_write;
      entry->shared = twin->shared = true;
      break;
    case Inherit::kCopy:
      ok = ForkCopyLocked(entry, twin);
      break;
    case Inherit::kZero:
      twin->copy_on_write = twin->needs_copy = true;
      break;
    case Inherit::kNone:
    case Inherit::kDonateCopy:
      UNREACHABLE("inheritance that no entry can have");
  }
  if (!ok) {
    ReleaseEntry(twin);
    return MapError::kNoMemory;
  }
  child->LinkUnpublished(twin);
  return {};
}

Result<void, MapError> Map::ForkInto(Map* child) {
  Change change(this, "Map::ForkInto");
  Result<void, MapError> result;
  for (MapEntry* entry = tree_.First(); entry != nullptr && result.ok();
       entry = Tree::Next(entry)) {
    result = ForkEntryLocked(entry, child);
  }
  context_->core->pmap->Update(pmap_);
  return result;
}

}  // namespace uvm
