// Copies of memory that belong to no map, and putting them where something is mapped (Mach's
// vm_map_copyin, vm_map_copyout, vm_map_copy_overwrite).
//
// A Snapshot is made as fork makes a child's copy: entry by entry, copy-on-write, no page touched.
// Only what lies in an object is copied page by page, since an object's pages change under a
// private mapping and a snapshot must not. SEE facts/mach.md section 3; design.md D8.
//
// Pages that are missing are brought in, and frames waited for, with the map busy and not locked:
// its entries stay, anything else may change. A page may go again before it was copied; then it is
// brought in again.

#include "base/check.h"
#include "uvm/frame_wait.h"
#include "uvm/map.h"
#include "uvm/pager.h"
#include "uvm/swap_in.h"

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

// ---- Letting go of the lock ----

// Nobody else changes the entries until TakeBackLocked. True: the map was busy before.
bool Map::LetGoLocked() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const bool was_busy = busy_ != nullptr;
  if (!was_busy) SetBusyLocked();
  lock_.WriteUnlock();
  return was_busy;
}

void Map::TakeBackLocked(bool was_busy) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  LockForChange();
  if (!was_busy) Unbusy();
}

bool Map::WaitForFramesLocked(FrameWait* wait) {
  if (!wait->MayHelp()) return false;
  const bool was_busy = LetGoLocked();
  const bool again = wait->Again();
  TakeBackLocked(was_busy);
  return again;
}

// The page at `va` is there afterwards, unless it went again.
Result<void, MapError> Map::FaultInLocked(Vaddr va, Access access) {
  const bool was_busy = LetGoLocked();
  Result<void, FaultError> fault = context_->wiring->FaultIn(this, va, access);
  TakeBackLocked(was_busy);
  if (fault.ok()) return {};
  // A page beyond the end reads like one that its store cannot give.
  return fault.error() == FaultError::kPastEnd ? MapError::kIo : MapErrorOf(fault.error());
}

// The same for an anon of a piece, which belongs to no map; or waits until nobody works on its
// page. Takes over the anon's lock and releases it.
Result<void, MapError> Map::BringInLocked(Anon* anon, FrameWait* wait) {
  AnonGetter getter(context_->core, context_->pages, context_->anons);
  const bool was_busy = LetGoLocked();
  Result<void, FaultError> got = getter.Get(anon);
  if (!got.ok() && got.error() == FaultError::kNoMemory && wait->Again()) got = {};
  TakeBackLocked(was_busy);
  if (!got.ok()) return MapErrorOf(got.error());
  return {};
}

// ---- Copying in ----

// Gives the snapshot's slot a copy of the object's page, if it has nothing there. kTryAgain: the
// page is not there.
Result<void, MapError> Map::CopyObjectPage(const MapEntry& entry, Vaddr va, const AmapRef& copy) {
  AmapStore* amaps = context_->amaps;
  const uint32_t slot = copy.slot + static_cast<uint32_t>((va - entry.start) >> base::kPageShift);
  MutexLock lock(&copy.amap->lock->mutex);
  if (amaps->Lookup(copy.amap, slot) != nullptr) return {};
  // The frames of a device are nobody's pages: they can be mapped, not copied.
  if (entry.object->pager()->HandlesFaults()) return MapError::kIo;
  MutexLock object_lock(&entry.object->mu);
  Page* page = entry.object->Lookup(entry.ObjectIndexOf(va));
  if (page == nullptr || page->IsBusy()) return MapError::kTryAgain;
  Anon* anon = NewAnonFrom(page);
  if (anon == nullptr) return MapError::kNoMemory;
  amaps->Add(copy.amap, slot, anon);
  return {};
}

// The same for a page that a fault does not bring in: a sharer's page covers it by now. Errors: as
// of a fault; kTryAgain.
Result<void, MapError> Map::CopyAbsentLocked(const MapEntry& entry, Vaddr va,
                                             const AmapRef& copy) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const bool was_busy = LetGoLocked();
  Object* const object = entry.object;
  Page* page = nullptr;
  GetRequest request;
  request.first = entry.ObjectIndexOf(va);
  request.pages = &page;
  request.flags = kPgoSyncIo;
  object->mu.Lock();
  const Result<void, PagerError> got = object->pager()->Get(object, &request);
  Anon* anon = nullptr;
  if (got.ok()) {
    const uint32_t slot = copy.slot + static_cast<uint32_t>((va - entry.start) >> base::kPageShift);
    MutexLock lock(&copy.amap->lock->mutex);
    anon = NewAnonFrom(page);
    if (anon != nullptr) context_->amaps->Add(copy.amap, slot, anon);
    MutexLock object_lock(&object->mu);
    object->Unbusy(context_->pages, page);
  }
  TakeBackLocked(was_busy);
  if (got.ok()) return anon != nullptr ? Result<void, MapError>() : MapError::kNoMemory;
  if (got.error() == PagerError::kNoMemory) return MapError::kNoMemory;
  return got.error() == PagerError::kAgain ? MapError::kTryAgain : MapError::kIo;
}

// A copy of an object's page that nobody may change meanwhile; null: memory ran out. LOCKS: those
// of the amap that it is for.
Anon* Map::NewAnonFrom(const Page* page) {
  Anon* anon = context_->anons->Allocate();
  if (anon == nullptr) return nullptr;
  context_->pages->Copy(page, anon->page);
  anon->page->busy = BusyReason::kNotBusy;
  context_->pages->Activate(anon->page);
  return anon;
}

// A private copy of an entry with an object below, pages and all. `twin` has its place and no
// layers.
Result<void, MapError> Map::CopyObjectLocked(MapEntry* entry, MapEntry* twin) {
  AmapStore* amaps = context_->amaps;
  twin->copy_on_write = true;
  if (entry->aref.amap == nullptr) {
    Amap* fresh = amaps->Allocate(entry->pages());
    if (fresh == nullptr) return MapError::kNoMemory;
    twin->aref = {fresh, 0};
  } else {
    amaps->Reference(entry->aref, entry->pages(), Shared::kNo);
    twin->aref = entry->aref;
    twin->needs_copy = true;
    if (!ForkEagerlyLocked(entry, twin, /*aliases=*/nullptr)) return MapError::kNoMemory;
  }
  FrameWait wait(context_->core);
  bool faulted = false;  // at va
  for (Vaddr va = entry->start; va < entry->end;) {
    Result<void, MapError> copied = CopyObjectPage(*entry, va, twin->aref);
    if (!copied.ok() && copied.error() == MapError::kTryAgain && faulted) {
      copied = CopyAbsentLocked(*entry, va, twin->aref);
      faulted = false;
    }
    if (copied.ok()) {
      va = va + base::kPageSize;
      faulted = false;
    } else if (copied.error() == MapError::kTryAgain) {
      TRY(FaultInLocked(va, Access::kRead));
      faulted = true;
    } else if (copied.error() != MapError::kNoMemory || !WaitForFramesLocked(&wait)) {
      return copied;
    }
  }
  return {};
}

Result<void, MapError> Map::CopyIn(Range range, Snapshot* out) {
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
        if (!ForkCopyLocked(entry, twin, /*aliases=*/nullptr)) result = MapError::kNoMemory;
      } else {
        result = CopyObjectLocked(entry, twin);
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

// ---- Overwriting ----

// Gives a piece pages that are its own, one a slot if `zeros` says so, so that they can be moved
// into an amap of another family.
Result<void, MapError> Map::OwnPagesLocked(MapEntry* piece,
                                           bool zeros) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  AmapStore* amaps = context_->amaps;
  FrameWait wait(context_->core);
  for (;;) {
    if (!OwnAmap(piece)) return MapError::kNoMemory;
    Amap* amap = piece->aref.amap;
    amap->lock->mutex.Lock();
    Anon* absent = nullptr;
    AmapStore::Copied copied = amaps->CopyNow(piece->aref, piece->pages(), &absent);
    if (copied == AmapStore::Copied::kAll && zeros && !FillWithZeros(piece->aref, piece->pages())) {
      copied = AmapStore::Copied::kNoMemory;
    }
    if (copied == AmapStore::Copied::kAbsent) {
      TRY(BringInLocked(absent, &wait));
      continue;
    }
    amap->lock->mutex.Unlock();
    if (copied == AmapStore::Copied::kAll) return {};
    if (!WaitForFramesLocked(&wait)) return MapError::kNoMemory;
  }
}

// An amap that no other entry or piece refers to. False: memory ran out.
bool Map::OwnAmap(MapEntry* piece) {
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
  return true;
}

// LOCKS: the amap's.
bool Map::FillWithZeros(const AmapRef& ref, PageCount pages) {
  for (uint64_t i = 0; i < pages.value(); ++i) {
    const uint32_t slot = ref.slot + static_cast<uint32_t>(i);
    if (context_->amaps->Lookup(ref.amap, slot) != nullptr) continue;
    Anon* anon = context_->anons->Allocate();
    if (anon == nullptr) return false;
    context_->pages->Zero(anon->page);
    anon->page->busy = BusyReason::kNotBusy;
    context_->pages->Activate(anon->page);
    context_->amaps->Add(ref.amap, slot, anon);
  }
  return true;
}

// A sharer has a page wired that is not theirs alone: a child has it too, or it is the object's. A
// fault gives the sharers a page of their own, which takes their wirings over. LOCKS: the amap's.
bool Map::IsStrangersWiring(const MapEntry& entry, Vaddr va) {
  const Anon* anon = context_->amaps->Lookup(entry.aref.amap, entry.SlotOf(va));
  if (anon != nullptr) {
    return anon->refs > 1 && anon->page != nullptr && anon->page->wire_count != 0;
  }
  if (entry.object == nullptr) return false;
  MutexLock object_lock(&entry.object->mu);
  const Page* page = entry.object->Lookup(entry.ObjectIndexOf(va));
  return page != nullptr && page->wire_count != 0;
}

// Whether the object's page can be written to as it is. LOCKS: the object's.
bool Map::MayOverwrite(const Page* page) {
  return page != nullptr && !page->IsBusy() && !page->read_only && page->loan_count == 0;
}

// What has to be there before `piece` can go where `entry` is, which has the same length. After it
// nothing fails but what goes away again and then cannot be brought back.
Result<void, MapError> Map::PrepareOverwriteLocked(MapEntry* entry, MapEntry* piece) {
  if (entry->bare) return MapError::kHole;
  if (!entry->prot.CanWrite()) return MapError::kProtection;
  if (!entry->shared) return {};
  if (entry->needs_copy && !CopyAmapLocked(entry, entry->range(), Chunk::kNo, Merge::kNo)) {
    return MapError::kNoMemory;
  }
  TRY(OwnPagesLocked(piece, entry->object != nullptr));
  if (entry->aref.amap == nullptr && entry->object->pager()->HandlesFaults()) {
    return MapError::kIo;  // a device
  }
  for (Vaddr va = entry->start; va < entry->end; va = va + base::kPageSize) {
    if (!IsReadyForOverwrite(*entry, va)) TRY(FaultInLocked(va, Access::kWrite));
  }
  return {};
}

bool Map::IsReadyForOverwrite(const MapEntry& entry, Vaddr va) {
  if (entry.aref.amap != nullptr) {
    MutexLock lock(&entry.aref.amap->lock->mutex);
    return !IsStrangersWiring(entry, va);
  }
  MutexLock lock(&entry.object->mu);
  return MayOverwrite(entry.object->Lookup(entry.ObjectIndexOf(va)));
}

// Takes the page at slot `from` out of the piece; *fresh is null where there is none. Its own page,
// if it is in memory, is busy: it stays there until the caller has used it. `contents`: it has to
// be in memory.
Result<void, MapError> Map::TakeFromPieceLocked(MapEntry* piece, uint32_t from, bool contents,
                                                Anon** fresh) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  FrameWait wait(context_->core);
  Mutex& mutex = piece->aref.amap->lock->mutex;
  for (;;) {
    mutex.Lock();
    *fresh = context_->amaps->Lookup(piece->aref.amap, from);
    Page* page = *fresh != nullptr ? (*fresh)->page : nullptr;
    const bool borrowed = page != nullptr && page->object != nullptr;
    if (*fresh == nullptr || borrowed || (page == nullptr ? !contents : !page->IsBusy())) {
      if (*fresh != nullptr) context_->amaps->Remove(piece->aref.amap, from);
      if (page != nullptr && !borrowed) page->busy = BusyReason::kPromote;
      mutex.Unlock();
      return {};
    }
    TRY(BringInLocked(*fresh, &wait));
  }
}

// Lets go of the page that TakeFromPieceLocked made busy. LOCKS: the anon's.
void Map::Settle(Anon* fresh) {
  Page* page = fresh->page;
  if (page == nullptr || page->object != nullptr) return;
  page->busy = BusyReason::kNotBusy;
  context_->pages->Wakeup(page);
}

// `fresh`, or zeroes where it is null, in place of what the sharers of the amap see at `va`. False,
// nothing changed: this page has to be made ready again. LOCKS: the amap's.
bool Map::PutInSlot(MapEntry* entry, Vaddr va, Anon* fresh) {
  AmapStore* amaps = context_->amaps;
  Amap* amap = entry->aref.amap;
  const uint32_t slot = entry->SlotOf(va);
  Anon* old = amaps->Lookup(amap, slot);
  if (IsStrangersWiring(*entry, va)) return false;
  if (old != nullptr && StaysInPlace(*old)) {
    if (fresh != nullptr && fresh->page == nullptr) return false;
    if (fresh != nullptr) {
      context_->pages->Copy(fresh->page, old->page);
      Settle(fresh);
      context_->anons->Release(fresh);
    } else {
      context_->pages->Zero(old->page);
    }
    return true;
  }
  if (fresh != nullptr) {
    context_->anons->ChangeLock(fresh, amap->lock);
    Settle(fresh);
  }
  if (old != nullptr) {
    if (old->page != nullptr) context_->core->pmap->PageProtect(old->page->pa, base::kProtNone);
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
  return true;
}

// The pages of `piece` in place of those that sharers of the amap see too.
Result<void, MapError> Map::OverwriteAmapLocked(MapEntry* entry, MapEntry* piece) {
  Mutex& mutex = entry->aref.amap->lock->mutex;
  for (Vaddr va = entry->start; va < entry->end;) {
    const uint32_t from = piece->SlotOf(piece->start + (va - entry->start));
    bool contents;
    {
      MutexLock lock(&mutex);
      const Anon* old = context_->amaps->Lookup(entry->aref.amap, entry->SlotOf(va));
      contents = old != nullptr && StaysInPlace(*old);
    }
    Anon* fresh = nullptr;
    TRY(TakeFromPieceLocked(piece, from, contents, &fresh));
    bool done;
    {
      MutexLock lock(&mutex);
      done = PutInSlot(entry, va, fresh);
    }
    if (done) {
      va = va + base::kPageSize;
      continue;
    }
    if (fresh != nullptr) {
      MutexLock lock(&piece->aref.amap->lock->mutex);
      Settle(fresh);
      context_->amaps->Add(piece->aref.amap, from, fresh);
    }
    if (!IsReadyForOverwrite(*entry, va)) TRY(FaultInLocked(va, Access::kWrite));
  }
  return {};
}

// An anon is about to cover the object's page: nobody may go on seeing that.
void Map::HideObjectPage(const MapEntry* entry, Vaddr va) {
  MutexLock lock(&entry->object->mu);
  const Page* page = entry->object->Lookup(entry->ObjectIndexOf(va));
  if (page != nullptr) context_->core->pmap->PageProtect(page->pa, base::kProtNone);
}

// One page into the object itself. False, nothing changed: it is not ready for that. *absent: it is
// the piece's page that is not in memory, and its lock is held.
bool Map::OverwriteObjectPage(MapEntry* entry, MapEntry* piece, Vaddr va,
                              Anon** absent) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const uint32_t slot = piece->SlotOf(piece->start + (va - entry->start));
  Mutex& mutex = piece->aref.amap->lock->mutex;
  mutex.Lock();
  Anon* anon = context_->amaps->Lookup(piece->aref.amap, slot);
  CHECK(anon != nullptr);
  if (!anon->IsReadable()) {
    *absent = anon;
    return false;
  }
  bool ready;
  {
    MutexLock lock(&entry->object->mu);
    Page* page = entry->object->Lookup(entry->ObjectIndexOf(va));
    ready = MayOverwrite(page);
    if (ready) {
      context_->core->pmap->CopyPage(anon->page->pa, page->pa);
      entry->object->SetDirty(page, Dirty::kDirty);
    }
  }
  mutex.Unlock();
  return ready;
}

Result<void, MapError> Map::OverwriteObjectLocked(MapEntry* entry, MapEntry* piece) {
  FrameWait wait(context_->core);
  for (Vaddr va = entry->start; va < entry->end;) {
    Anon* absent = nullptr;
    if (OverwriteObjectPage(entry, piece, va, &absent)) {
      va = va + base::kPageSize;
    } else if (absent != nullptr) {
      TRY(BringInLocked(absent, &wait));
    } else {
      TRY(FaultInLocked(va, Access::kWrite));
    }
  }
  return {};
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

// Shows the piece's contents where `entry` is.
Result<void, MapError> Map::OverwriteEntryLocked(MapEntry* entry, MapEntry* piece) {
  CHECK(entry->wired_count == 0);
  if (!entry->shared) {
    SwapLayers(entry, piece);
    return {};
  }
  return entry->aref.amap != nullptr ? OverwriteAmapLocked(entry, piece)
                                     : OverwriteObjectLocked(entry, piece);
}

Result<void, MapError> Map::Overwrite(Vaddr at, Snapshot* copy) {
  const Range range = {at, at + copy->size};
  Snapshot replaced;
  Result<void, MapError> result;
  {
    Change change(this, "Map::Overwrite");
    if (!IsMappedLocked(range)) return MapError::kHole;
    TRY(AlignPiecesLocked(range, copy));
    for (MapEntry* piece = copy->pieces.front(); piece != nullptr;
         piece = copy->pieces.Next(piece)) {
      TRY(PrepareOverwriteLocked(LookupLocked(at + piece->start.value()), piece));
    }
    for (MapEntry* piece = copy->pieces.front(); piece != nullptr;
         piece = copy->pieces.Next(piece)) {
      MapEntry* entry = LookupLocked(at + piece->start.value());
      if (entry->wired_count != 0) UnwireEntryLocked(entry);
    }
    // The old pages are out of reach before the new ones are there.
    context_->core->pmap->Remove(pmap_, range);
    context_->core->pmap->Update(pmap_);
    const uint64_t locked = timestamp_;
    while (MapEntry* piece = result.ok() ? copy->pieces.PopFront() : nullptr) {
      MapEntry* entry = LookupLocked(at + piece->start.value());
      if (timestamp_ != locked) {  // the lock was let go: others faulted on what is left
        context_->core->pmap->Remove(pmap_, entry->range());
        context_->core->pmap->Update(pmap_);
      }
      result = OverwriteEntryLocked(entry, piece);
      replaced.pieces.PushBack(piece);
    }
  }
  DropSnapshot(&replaced);
  if (result.ok()) {
    copy->size = 0;
  } else {
    DropSnapshot(copy);
  }
  return result;
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
