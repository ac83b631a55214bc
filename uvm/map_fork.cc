// Copy-on-write: fork by inheritance, and the amap copy that a needs-copy entry owes.

#include "base/check.h"
#include "uvm/fork_aliases.h"
#include "uvm/frame_wait.h"
#include "uvm/map.h"
#include "uvm/map_entry.h"

namespace uvm {
namespace {

Inherit InheritanceOf(const Core& core, const MapEntry& entry) {
  if (!core.canary.Armed(base::Canary::kInheritanceSwapped)) return entry.inherit;
  if (entry.inherit == Inherit::kShare) return Inherit::kCopy;
  return entry.inherit == Inherit::kCopy ? Inherit::kShare : entry.inherit;
}

}  // namespace

bool Map::CopyAmapLocked(MapEntry* entry, Range window, Chunk chunk, Merge merge) {
  AmapStore* amaps = context_->amaps;
  CHECK(entry->needs_copy);
  ++timestamp_;
  Amap* source = entry->aref.amap;
  if (source == nullptr) {
    if (chunk == Chunk::kYes && entry->pages().value() >= kLargeAmapSlots) {
      // A sparse region gets amaps only round what is touched.
      if (!FillSparesLocked()) return false;
      constexpr uint64_t kChunkMask = (uint64_t{kAmapChunkSlots} << base::kPageShift) - 1;
      ClipStartLocked(entry, Vaddr(window.start.value() & ~kChunkMask));
      ClipEndLocked(entry, Vaddr((window.end.value() + kChunkMask) & ~kChunkMask));
    }
    if (merge == Merge::kYes && TryMergeCopyingLocked(entry)) return true;
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
  } else {
    context_->core->probes.Hit(Probe::kAmapTakenOver);
  }
  entry->needs_copy = false;  // with one reference left the entry takes the amap over
  return true;
}

// The parent's layer cannot become copy-on-write: others share it on purpose, or its pages are
// wired where they are. The child gets a layer of its own, now (facts/uvm.md 5.B items 1 and 2,
// intended behaviour); what shows the same pages shows the same in the child. False: memory ran
// out.
bool Map::ForkEagerlyLocked(MapEntry* entry, MapEntry* twin, ForkAliases* aliases) {
  if (aliases != nullptr && !aliases->gathered() && ForkAliases::MayBe(*entry) &&
      !aliases->Gather(entry, &header_)) {
    return false;
  }
  FrameWait wait(context_->core);
  if (CopyEagerlyLocked(entry, twin, aliases)) return true;
  if (twin->needs_copy) return false;  // there was not even an amap
  // Copy by copy, as frames come. The parent goes on meanwhile: each page is copied as it is then.
  while (WaitForFramesLocked(&wait)) {
    MutexLock lock(&entry->aref.amap->lock->mutex);
    if (context_->amaps->CopyMissing(entry->aref, twin->aref, twin->pages()) ==
        AmapStore::Copied::kAll) {
      return true;
    }
  }
  return false;
}

// False: memory ran out. Then `twin` either still owes its copy, or has an amap of its own that
// lacks the pages that could not be copied.
bool Map::CopyEagerlyLocked(MapEntry* entry, MapEntry* twin, ForkAliases* aliases) {
  AmapStore* amaps = context_->amaps;
  Amap* amap = entry->aref.amap;
  bool wired = entry->wired_count != 0;
  // One lock, which the copy has too, from here to the end: whoever shares the pages on purpose may
  // still write to anons that now have two owners.
  MutexLock lock(&amap->lock->mutex);
  ForkAliases::Member* member = aliases == nullptr ? nullptr : aliases->Find(entry);
  if (member != nullptr) {
    if (!aliases->CopyFor(member, twin)) return false;
  } else {
    Amap* copy = amaps->CopyRange(twin->aref, twin->pages());
    if (copy == nullptr) return false;
    twin->aref = {copy, 0};
  }
  twin->needs_copy = false;
  // Another sharer may have wired what this map has not.
  amaps->ForEachAnon(entry->aref, entry->pages(), [&wired](uint32_t, Anon* anon) {
    wired = wired || (anon->page != nullptr && anon->page->wire_count != 0);
  });
  // A wired page stays where it is and is never faulted on: the copying is done at once.
  if (wired) {
    context_->core->probes.Hit(Probe::kForkOfWired);
    if (amaps->CopyNow(twin->aref, twin->pages(), nullptr) == AmapStore::Copied::kAll) return true;
    amaps->GiveUpShared(twin->aref, twin->pages());
    return false;
  }
  // Every sharer may hold writable translations to anons that now have two owners.
  if (!context_->core->canary.Armed(base::Canary::kForkSkipsWriteProtect))
    amaps->WriteProtect(entry->aref, entry->pages());
  return true;
}

// Makes `twin`, a clone of `entry` without references yet, the child's copy-on-write copy. False:
// memory ran out.
bool Map::ForkCopyLocked(MapEntry* entry, MapEntry* twin, ForkAliases* aliases) {
  twin->copy_on_write = twin->needs_copy = true;
  twin->shared = twin->bare = false;
  CopyLayersFrom(*entry, twin, Shared::kNo);
  Amap* amap = entry->aref.amap;
  // Nothing is in the upper layer, so nothing has to be protected.
  if (amap == nullptr) return true;
  bool shared;
  {
    MutexLock lock(&amap->lock->mutex);
    shared = amap->shared;
  }
  if (shared || entry->wired_count != 0) return ForkEagerlyLocked(entry, twin, aliases);
  if (entry->needs_copy) return true;
  entry->needs_copy = true;
  // Where nothing may ever be written there is nothing to protect.
  if ((entry->max_prot | entry->prot).CanWrite() &&
      !context_->core->canary.Armed(base::Canary::kForkSkipsWriteProtect)) {
    context_->core->pmap->Protect(pmap_, entry->range(), base::kProtRead | base::kProtExecute);
  }
  return true;
}

// Nobody else can reach a map that is being forked into, so there is no lock to take (and never two
// map locks at once).
void Map::LinkUnpublished(MapEntry* entry) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  LinkAfterLocked(header_.prev, entry);
}

// The pages of a new child's entry that another of its entries shows as well are shared; that cuts
// it to pieces where only some are. False: memory ran out. LOCKS: as above.
bool Map::MarkAliased(MapEntry* piece) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  while (true) {
    bool several = false;
    const PageCount run = context_->amaps->AliasedRun(piece->aref, piece->pages(), &several);
    if (run == PageCount(0)) return false;
    piece->shared = several;
    if (several) context_->core->probes.Hit(Probe::kForkOfAliases);
    if (run == piece->pages()) return true;
    if (!FillSparesLocked()) return false;
    ClipEndLocked(piece, piece->start + (run.value() << base::kPageShift));
    piece = piece->next;
  }
}

Result<void, MapError> Map::ForkEntryLocked(MapEntry* entry, Map* child, ForkAliases* aliases) {
  const Inherit inherit = InheritanceOf(*context_->core, *entry);
  if (inherit == Inherit::kNone || entry->submap != nullptr) return {};
  const bool owed = entry->needs_copy;
  // There must be an amap to share before it can be shared. This may join the entry with the next
  // one, so it comes before anything is read of it.
  if (inherit == Inherit::kShare && entry->needs_copy &&
      !CopyAmapLocked(entry, entry->range(), Chunk::kNo)) {
    return MapError::kNoMemory;
  }
  if (inherit == Inherit::kShare && owed) context_->core->probes.Hit(Probe::kForkResolvesOwed);
  MapEntry* twin = context_->entries->New();
  if (twin == nullptr) return MapError::kNoMemory;
  CopyAttributes(*entry, twin);
  twin->start = entry->start;
  twin->end = entry->end;
  bool ok = true;
  switch (inherit) {
    case Inherit::kShare:
      CopyLayersFrom(*entry, twin, Shared::kYes);
      twin->shared = true;
      break;
    case Inherit::kCopy:
      ok = ForkCopyLocked(entry, twin, aliases);
      break;
    case Inherit::kZero:
      twin->copy_on_write = twin->needs_copy = true;
      twin->shared = twin->bare = false;
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
  ForkAliases aliases(context_->amaps);
  Result<void, MapError> result;
  for (MapEntry* entry = header_.next; !AtEnd(entry) && result.ok(); entry = entry->next) {
    result = ForkEntryLocked(entry, child, &aliases);
  }
  for (uint32_t i = 0; i < aliases.count() && result.ok(); ++i) {
    MapEntry* twin = aliases.at(i).twin;
    if (twin != nullptr && !child->MarkAliased(twin)) result = MapError::kNoMemory;
  }
  // Only now: a fork that failed leaves no trace. Nobody changed an entry while this waited for
  // frames, as the map was busy.
  for (MapEntry* entry = header_.next; !AtEnd(entry) && result.ok(); entry = entry->next) {
    if (InheritanceOf(*context_->core, *entry) == Inherit::kShare && entry->submap == nullptr)
      entry->shared = true;
  }
  context_->core->pmap->Update(pmap_);
  return result;
}

}  // namespace uvm
