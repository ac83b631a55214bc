// Copies of memory that belong to no map, and putting them where something is mapped (Mach's
// vm_map_copyin, vm_map_copyout, vm_map_copy_overwrite).
//
// A Snapshot is made as fork makes a child's copy: entry by entry, copy-on-write, no page touched.
// Only what lies in an object is copied page by page, since an object's pages change under a
// private mapping and a snapshot must not. SEE facts/mach.md section 3; design.md D8.

#include "base/check.h"
#include "uvm/map.h"

namespace uvm {
namespace {

// A sharer has the page wired: it keeps its frame and gets other contents. Nobody else reads it.
bool StaysInPlace(const Anon& anon) {
  return anon.refs == 1 && anon.page != nullptr && anon.page->wire_count != 0 &&
         anon.page->loan_count == 0;
}

}  // namespace

void Map::DropSnapshot(Snapshot* copy) {
  while (MapEntry* piece = copy->pieces.PopFront()) ReleaseEntry(piece);
  copy->size = 0;
}

// A private copy of an entry with an object below, pages and all. `twin` has its place and no
// layers. kTryAgain: *missing is to be brought in first.
Result<void, MapError> Map::CopyObjectLocked(MapEntry* entry, MapEntry* twin, Vaddr* missing) {
  AmapStore* amaps = context_->amaps;
  twin->copy_on_write = true;
  // The frames of a device are nobody's pages: they can be mapped, not copied.
  const bool device = entry->object->pager()->HandlesFaults();
  if (entry->aref.amap == nullptr) {
    Amap* fresh = amaps->Allocate(entry->pages());
    if (fresh == nullptr) return MapError::kNoMemory;
    twin->aref = {fresh, 0};
  } else {
    amaps->Reference(entry->aref, entry->pages(), Shared::kNo);
    twin->aref = entry->aref;
    if (!ForkEagerlyLocked(entry, twin)) return MapError::kNoMemory;
  }
  Amap* amap = twin->aref.amap;
  for (Vaddr va = entry->start; va < entry->end; va = va + base::kPageSize) {
    const uint32_t slot =
        twin->aref.slot + static_cast<uint32_t>((va - entry->start) >> base::kPageShift);
    MutexLock lock(&amap->lock->mutex);
    if (amaps->Lookup(amap, slot) != nullptr) continue;
    if (device) return MapError::kIo;
    MutexLock object_lock(&entry->object->mu);
    Page* page = entry->object->Lookup(entry->ObjectIndexOf(va));
    if (page == nullptr || page->IsBusy()) {
      *missing = va;
      return MapError::kTryAgain;
    }
    Anon* anon = context_->anons->Allocate();
    if (anon == nullptr) return MapError::kNoMemory;
    context_->pages->Copy(page, anon->page);
    anon->page->busy = BusyReason::kNotBusy;
    context_->pages->Activate(anon->page);
    amaps->Add(amap, slot, anon);
  }
  return {};
}

Result<void, MapError> Map::CopyIn(Range range, Snapshot* out, Vaddr* missing) {
  CHECK(out->pieces.empty());
  Result<void, MapError> result;
  {
    Change change(this, "Map::CopyIn");
    if (!IsMappedLocked(range)) return MapError::kHole;
    if (!FillSparesLocked()) return MapError::kNoMemory;
    for (MapEntry* entry = ClipRangeLocked(range);
         result.ok() && !AtEnd(entry) && entry->start < range.end; entry = entry->next) {
      MapEntry* twin = context_->entries->New();
      if (twin == nullptr) {
        result = MapError::kNoMemory;
        break;
      }
      twin->start = Vaddr(entry->start - range.start);
      twin->end = Vaddr(entry->end - range.start);
      out->pieces.PushBack(twin);
      if (entry->object == nullptr) {
        if (!ForkCopyLocked(entry, twin)) result = MapError::kNoMemory;
      } else {
        result = CopyObjectLocked(entry, twin, missing);
      }
    }
    context_->core->pmap->Update(pmap_);
  }
  out->size = range.size();
  if (!result.ok()) DropSnapshot(out);
  return result;
}

Result<Vaddr, MapError> Map::CopyOut(Snapshot* copy, Prot prot) {
  Change change(this, "Map::CopyOut");
  FindOptions find;
  find.size = copy->size;
  Vaddr at;
  MapEntry* prev;
  if (!FindSpaceLocked(find, &at, &prev)) return MapError::kNoSpace;
  while (MapEntry* piece = copy->pieces.PopFront()) {
    piece->start = at + piece->start.value();
    piece->end = at + piece->end.value();
    piece->prot = prot;
    piece->max_prot = base::kProtAll;
    piece->inherit = Inherit::kCopy;
    piece->advice = Advice::kNormal;
    piece->shared = false;
    LinkLocked(piece);
  }
  copy->size = 0;
  return at;
}

// Cuts `piece` of a snapshot at byte `at`, which lies inside it. False: memory ran out.
bool Map::SplitPiece(Snapshot* copy, MapEntry* piece, Vaddr at) {
  MapEntry* rest = context_->entries->New();
  if (rest == nullptr) return false;
  rest->start = at;
  rest->end = piece->end;
  rest->copy_on_write = piece->copy_on_write;
  rest->needs_copy = piece->needs_copy;
  if (piece->aref.amap != nullptr) {
    context_->amaps->Split(piece->aref, piece->pages(), base::ToPages(at - piece->start),
                           &rest->aref);
  }
  piece->end = at;
  copy->pieces.InsertAfter(piece, rest);
  return true;
}

// Gives a piece pages that are its own, one a slot if `zeros` says so, so that they can be moved
// into an amap of another family. False: memory ran out.
bool Map::OwnPages(MapEntry* piece, bool zeros) {
  AmapStore* amaps = context_->amaps;
  if (piece->aref.amap == nullptr) {
    Amap* fresh = amaps->Allocate(piece->pages());
    if (fresh == nullptr) return false;
    piece->aref = {fresh, 0};
  } else if (piece->needs_copy) {
    MutexLock lock(&piece->aref.amap->lock->mutex);
    // Others may be letting go of it; with one reference left it is the piece's own.
    if (piece->aref.amap->refs > 1) {
      Amap* copy = amaps->CopyRange(piece->aref, piece->pages());
      if (copy == nullptr) return false;
      piece->aref = {copy, 0};
    }
  }
  piece->needs_copy = false;
  MutexLock lock(&piece->aref.amap->lock->mutex);
  if (!amaps->CopyNow(piece->aref, piece->pages())) return false;
  if (!zeros) return true;
  for (uint64_t i = 0; i < piece->pages().value(); ++i) {
    const uint32_t slot = piece->aref.slot + static_cast<uint32_t>(i);
    if (amaps->Lookup(piece->aref.amap, slot) != nullptr) continue;
    Anon* anon = context_->anons->Allocate();
    if (anon == nullptr) return false;
    context_->pages->Zero(anon->page);
    anon->page->busy = BusyReason::kNotBusy;
    context_->pages->Activate(anon->page);
    amaps->Add(piece->aref.amap, slot, anon);
  }
  return true;
}

// A sharer has a page wired that is not theirs alone: a child has it too, or it is the object's. A
// fault gives the sharers a page of their own, which takes their wirings over. True: at *va.
bool Map::FindStrangersWiring(const MapEntry* entry, Vaddr* va) {
  Amap* amap = entry->aref.amap;
  MutexLock lock(&amap->lock->mutex);
  for (*va = entry->start; *va < entry->end; *va = *va + base::kPageSize) {
    const Anon* anon = context_->amaps->Lookup(amap, entry->SlotOf(*va));
    if (anon != nullptr) {
      if (anon->refs > 1 && anon->page != nullptr && anon->page->wire_count != 0) return true;
    } else if (entry->object != nullptr) {
      MutexLock object_lock(&entry->object->mu);
      const Page* page = entry->object->Lookup(entry->ObjectIndexOf(*va));
      if (page != nullptr && page->wire_count != 0) return true;
    }
  }
  return false;
}

// What has to be there before `piece` can go where `entry` is, which has the same length. After it
// nothing can fail.
Result<void, MapError> Map::PrepareOverwriteLocked(MapEntry* entry, MapEntry* piece,
                                                   Vaddr* missing) {
  if (entry->bare) return MapError::kHole;
  if (!entry->shared) return {};
  if (entry->needs_copy && !CopyAmapLocked(entry, entry->range(), Chunk::kNo, Merge::kNo)) {
    return MapError::kNoMemory;
  }
  if (!OwnPages(piece, entry->object != nullptr)) return MapError::kNoMemory;
  if (entry->aref.amap != nullptr) {
    if (!FindStrangersWiring(entry, missing)) return {};
    return MapError::kTryAgain;
  }
  // A fault must be able to make a page ready for writing.
  if (!base::kProtReadWrite.IsSubsetOf(entry->prot) &&
      !base::kProtReadWrite.IsSubsetOf(entry->max_prot)) {
    return MapError::kProtection;
  }
  if (entry->object->pager()->HandlesFaults()) return MapError::kIo;  // a device
  MutexLock lock(&entry->object->mu);
  for (Vaddr va = entry->start; va < entry->end; va = va + base::kPageSize) {
    const Page* page = entry->object->Lookup(entry->ObjectIndexOf(va));
    if (page != nullptr && !page->IsBusy() && !page->read_only && page->loan_count == 0) continue;
    *missing = va;
    return MapError::kTryAgain;
  }
  return {};
}

// The pages of `piece` in place of those that sharers of the amap see too.
void Map::OverwriteAmapLocked(MapEntry* entry, MapEntry* piece) {
  AmapStore* amaps = context_->amaps;
  for (Vaddr va = entry->start; va < entry->end; va = va + base::kPageSize) {
    const uint32_t from = piece->SlotOf(piece->start + (va - entry->start));
    Anon* fresh = nullptr;
    {
      MutexLock lock(&piece->aref.amap->lock->mutex);
      if (amaps->Lookup(piece->aref.amap, from) != nullptr) {
        fresh = amaps->Remove(piece->aref.amap, from);
      }
    }
    Amap* amap = entry->aref.amap;
    const uint32_t slot = entry->SlotOf(va);
    MutexLock lock(&amap->lock->mutex);
    Anon* old = amaps->Lookup(amap, slot);
    if (old != nullptr && StaysInPlace(*old)) {
      if (fresh != nullptr) {
        context_->pages->Copy(fresh->page, old->page);
        context_->anons->Release(fresh);
      } else {
        context_->pages->Zero(old->page);
      }
    } else if (old != nullptr) {
      if (old->page != nullptr) {
        context_->core->pmap->PageProtect(old->page->pa, base::kProtNone);
      }
      if (fresh != nullptr) {
        amaps->Replace(amap, slot, fresh);
      } else {
        amaps->Remove(amap, slot);
      }
      context_->anons->Release(old);
    } else if (fresh != nullptr) {
      if (entry->object != nullptr) HideObjectPage(entry, va);
      amaps->Add(amap, slot, fresh);
    }
  }
}

// An anon is about to cover the object's page: nobody may go on seeing that.
void Map::HideObjectPage(const MapEntry* entry, Vaddr va) {
  MutexLock lock(&entry->object->mu);
  const Page* page = entry->object->Lookup(entry->ObjectIndexOf(va));
  if (page != nullptr) context_->core->pmap->PageProtect(page->pa, base::kProtNone);
}

// Into the object itself, which is resident.
void Map::OverwriteObjectLocked(MapEntry* entry, MapEntry* piece) {
  for (Vaddr va = entry->start; va < entry->end; va = va + base::kPageSize) {
    const uint32_t slot = piece->SlotOf(piece->start + (va - entry->start));
    MutexLock source(&piece->aref.amap->lock->mutex);
    const Anon* anon = context_->amaps->Lookup(piece->aref.amap, slot);
    MutexLock lock(&entry->object->mu);
    Page* page = entry->object->Lookup(entry->ObjectIndexOf(va));
    CHECK(page != nullptr && anon != nullptr);
    context_->core->pmap->CopyPage(anon->page->pa, page->pa);
    entry->object->SetDirty(page, Dirty::kDirty);
  }
}

// Makes the boundaries of snapshot and map those of each other.
Result<void, MapError> Map::AlignPiecesLocked(Range range, Snapshot* copy) {
  for (MapEntry* piece = copy->pieces.front(); piece != nullptr; piece = copy->pieces.Next(piece)) {
    if (!FillSparesLocked()) return MapError::kNoMemory;
    const Vaddr at = range.start + piece->start.value();
    MapEntry* entry = LookupLocked(at);
    CHECK(entry != nullptr);
    ClipStartLocked(entry, at);
    ClipEndLocked(entry, range.start + piece->end.value());
    const Vaddr end(entry->end - range.start);
    if (end < piece->end && !SplitPiece(copy, piece, end)) return MapError::kNoMemory;
  }
  return {};
}

Result<void, MapError> Map::Overwrite(Vaddr at, Snapshot* copy, Vaddr* missing) {
  const Range range = {at, at + copy->size};
  Snapshot replaced;
  {
    Change change(this, "Map::Overwrite");
    if (!IsMappedLocked(range)) return MapError::kHole;
    TRY(AlignPiecesLocked(range, copy));
    for (MapEntry* piece = copy->pieces.front(); piece != nullptr;
         piece = copy->pieces.Next(piece)) {
      TRY(PrepareOverwriteLocked(LookupLocked(at + piece->start.value()), piece, missing));
    }
    for (MapEntry* piece = copy->pieces.front(); piece != nullptr;
         piece = copy->pieces.Next(piece)) {
      MapEntry* entry = LookupLocked(at + piece->start.value());
      if (entry->wired_count != 0) UnwireEntryLocked(entry);
    }
    // The old pages are out of reach before the new ones are there.
    context_->core->pmap->Remove(pmap_, range);
    context_->core->pmap->Update(pmap_);
    while (MapEntry* piece = copy->pieces.PopFront()) {
      MapEntry* entry = LookupLocked(at + piece->start.value());
      CHECK(entry->wired_count == 0);
      if (!entry->shared) {
        SwapLayers(entry, piece);
      } else if (entry->aref.amap != nullptr) {
        OverwriteAmapLocked(entry, piece);
      } else {
        OverwriteObjectLocked(entry, piece);
      }
      replaced.pieces.PushBack(piece);
    }
  }
  copy->size = 0;
  DropSnapshot(&replaced);
  return {};
}

// The entry gets the piece's pages and the piece what the entry showed.
void Map::SwapLayers(MapEntry* entry, MapEntry* piece) {
  const AmapRef aref = entry->aref;
  Object* const object = entry->object;
  entry->aref = piece->aref;
  entry->object = nullptr;
  entry->offset = 0;
  entry->needs_copy = piece->needs_copy;
  entry->copy_on_write = true;
  piece->aref = aref;
  piece->object = object;
}

}  // namespace uvm
