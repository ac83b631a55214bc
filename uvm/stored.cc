#include "uvm/stored.h"

#include <cstring>

#include "base/check.h"
#include "uvm/frame_wait.h"

namespace uvm {

bool StoredPager::Attach(Object* object, Store* store) {
  State* state = states_.New(core_, store, store->SizeInBytes(object));
  if (state == nullptr) return false;
  object->pager_data = state;
  return true;
}

void StoredPager::Detach(Object* object) {
  State* state = StateOf(object);
  if (state == nullptr) return;  // nothing was ever behind it
  state->store->Detach(object);
  states_.Delete(state);
}

bool StoredPager::NeedsWriteFault(const Object* object) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  return StateOf(object)->store->WantsFirstWrite(object) && !object->Has(kTagDirty);
}

// ---- Get ----

// Who overwrites may reach as far as its write will; who asks for pages past the end gets them.
uint64_t StoredPager::LimitFor(const State& state, const GetRequest& request) {
  if ((request.flags & kPgoPastEof) != 0) return kUnbounded;
  return (request.flags & kPgoOverwrite) != 0 ? state.write_size : state.size;
}

Result<void, PagerError> StoredPager::GetResident(Object* object, GetRequest* request) {
  if (StateOf(object)->resizing && (request->flags & kPgoGlockHeld) == 0) return PagerError::kBusy;
  object->LookupWindow(request->first, request->count, request->pages);
  for (uint32_t i = 0; i < request->count; ++i) {
    Page* page = request->pages[i];
    if (page == nullptr || page == DontCare()) continue;
    // A hole wants a block before it may be written.
    if (page->read_only && request->access == Access::kWrite) request->pages[i] = nullptr;
  }
  if (request->pages[request->centre] == nullptr) return PagerError::kBusy;
  return {};
}

// Returns when no page that is wanted is busy. Holds none busy itself meanwhile, so two requests
// cannot wait for each other.
void StoredPager::WaitForBusyWanted(Object* object, GetRequest* request) {
  State* state = StateOf(object);
  for (uint32_t i = 0; i < request->count;) {
    Page* page = nullptr;
    if (request->pages[i] != DontCare()) page = object->Lookup(request->first + PageCount(i));
    if (state->resizing && (request->flags & kPgoGlockHeld) == 0) {
      state->resized.Wait(&object->mu);
    } else if (page != nullptr && page->IsBusy()) {
      object->WaitFor(pages_, page);
    } else {
      ++i;
      continue;
    }
    i = 0;  // anything may have happened
  }
}

// Busies what is wanted and there, allocates what is wanted and absent, and, round each page that
// has to be read, the absent rest of its block. False when frames ran out for a page that is
// wanted; the window then holds what there is.
bool StoredPager::GatherWindow(Object* object, Window* window) {
  const GetRequest& request = *window->request;
  const State* state = StateOf(object);
  const uint64_t limit = LimitFor(*state, request);
  const uint32_t block =
      (request.flags & kPgoOverwrite) != 0 ? 1 : state->store->BlockPages(object);
  const uint64_t begin = request.first.value() & ~uint64_t{block - 1};
  const uint64_t end = (request.first.value() + request.count + block - 1) & ~uint64_t{block - 1};
  window->first = PageIndex(begin);
  window->first_wanted = static_cast<uint32_t>(request.first.value() - begin);
  window->count = static_cast<uint32_t>(end - begin);
  CHECK(window->count <= kMaxWindow);
  Page* there[kMaxWindow] = {};
  uint64_t reading = 0;  // bit b: something of block b has to be read
  for (uint32_t i = 0; i < window->count; ++i) {
    there[i] = object->Lookup(window->IndexOf(i));
    const bool within = base::ToBytes(window->IndexOf(i)) < limit;
    if (window->Wants(i) && there[i] == nullptr && within) reading |= uint64_t{1} << (i / block);
  }
  // What is wanted comes first: where frames are few, the rest would take them away from it.
  for (const bool wanted : {true, false}) {
    for (uint32_t i = 0; i < window->count; ++i) {
      if (base::ToBytes(window->IndexOf(i)) >= limit) break;
      if (window->Wants(i) != wanted) continue;
      if (there[i] != nullptr) {
        if (!wanted) continue;
        window->pages[i] = there[i];
        object->SetBusy(there[i], BusyReason::kPagein);
        continue;
      }
      if ((reading >> (i / block) & 1) == 0) continue;
      Page* page = pages_->AllocateForObject(object, window->IndexOf(i));
      if (page == nullptr && wanted) return false;
      if (page == nullptr) continue;
      pages_->NoteFile(page);
      object->Insert(page);
      window->pages[i] = page;
      window->fresh[i] = true;
    }
  }
  return true;
}

// Fills the fresh pages, with no lock held.
Result<void, PagerError> StoredPager::FillWindow(Object* object, Window* window) {
  if ((window->request->flags & kPgoOverwrite) != 0) return {};
  Store* store = StateOf(object)->store;
  for (uint32_t i = 0; i < window->count; ++i) {
    if (!window->fresh[i]) continue;
    Page* page = window->pages[i];
    unsigned char* contents = pages_->Contents(page);
    if (store->IsHole(object, page->index)) {
      std::memset(contents, 0, base::kPageSize);
      page->read_only = true;
      continue;
    }
    ++core_->counters.pager_get;
    TRY(store->ReadPage(object, page->index, contents));
  }
  return {};
}

// Who is going to write finds blocks for the holes it wants. No lock held.
Result<void, PagerError> StoredPager::MakeWritable(Object* object, Window* window) {
  const GetRequest& request = *window->request;
  const bool overwrites = (request.flags & kPgoOverwrite) != 0;
  if (request.access != Access::kWrite && !overwrites) return {};
  if ((request.flags & kPgoNoBlockAlloc) != 0) return {};
  Store* store = StateOf(object)->store;
  for (uint32_t i = 0; i < window->count; ++i) {
    Page* page = window->pages[i];
    if (page == nullptr || !window->Wants(i)) continue;
    const bool hole = page->read_only || (overwrites && store->IsHole(object, page->index));
    if (!hole) continue;
    TRY(store->AllocateBlock(object, page->index));
    page->read_only = false;
    MutexLock lock(&object->mu);
    object->SetDirty(page, Dirty::kDirty);
  }
  return {};
}

// Hands out what was wanted and lets go of the rest. On failure everything fresh goes away again.
void StoredPager::Finish(Object* object, Window* window, bool failed) {
  const GetRequest& request = *window->request;
  const bool writes = request.access == Access::kWrite;
  const bool keeps = !failed && (request.flags & kPgoSyncIo) != 0;
  for (uint32_t i = 0; i < window->count; ++i) {
    Page* page = window->pages[i];
    if (page == nullptr) continue;
    if (window->fresh[i] && failed) {
      object->Remove(page);
      pages_->Free(page);
      window->pages[i] = nullptr;
      continue;
    }
    if (window->fresh[i] && (request.flags & kPgoOverwrite) == 0) {
      page->fake = false;
      ClearPastEnd(object, &page);  // nobody borrowed it yet
      // Until somebody uses it (PageStore::Activate).
      page->read_ahead = !keeps || !window->Wants(i);
    }
    if (!keeps || !window->Wants(i)) continue;
    if ((request.flags & kPgoOverwrite) != 0) {
      object->SetDirty(page, Dirty::kDirty);
    } else if (writes && !page->read_only && page->dirty == Dirty::kClean) {
      object->SetDirty(page, Dirty::kUnknown);
    }
    window->request->pages[i - window->first_wanted] = page;
    window->pages[i] = nullptr;  // stays busy
  }
  object->Unbusy(pages_, window->pages, window->count);
}

Result<void, PagerError> StoredPager::Get(Object* object,
                                          GetRequest* request) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  CHECK(request->count <= kMaxGetPages && request->centre < request->count);
  if ((request->flags & kPgoLocked) != 0) return GetResident(object, request);
  const PageIndex centre = request->first + PageCount(request->centre);
  for (uint32_t i = 0; i < request->count; ++i) {
    if (request->pages[i] != DontCare()) request->pages[i] = nullptr;
  }
  State* state = StateOf(object);
  const bool reads = request->access != Access::kWrite && (request->flags & kPgoSyncIo) != 0 &&
                     (request->flags & kPgoGlockHeld) == 0;
  if (reads && state->store->ReadsAhead(object)) {
    object->mu.Unlock();
    state->read_ahead.Request(object, request->advice, base::ToBytes(request->first),
                              base::ToBytes(PageCount(request->count)));
    object->mu.Lock();
  }
  for (;;) {
    WaitForBusyWanted(object, request);
    if (base::ToBytes(centre) >= LimitFor(*state, *request)) {
      object->mu.Unlock();
      return PagerError::kPastEnd;
    }
    Window window;
    window.request = request;
    const bool gathered = GatherWindow(object, &window);
    if (!gathered) {
      Finish(object, &window, /*failed=*/true);
      object->mu.Unlock();
      return PagerError::kNoMemory;
    }
    object->mu.Unlock();
    Result<void, PagerError> filled = FillWindow(object, &window);
    if (filled.ok()) filled = MakeWritable(object, &window);
    object->mu.Lock();
    // The end may have moved below the page while nothing was locked.
    const bool cut = base::ToBytes(centre) >= LimitFor(*state, *request);
    Finish(object, &window, !filled.ok() || cut);
    if (cut && filled.ok()) continue;
    object->mu.Unlock();
    return filled;
  }
}

// ---- Put ----

constexpr Prot kProtReadExecute = base::kProtRead | base::kProtExecute;

bool StoredPager::NeedsWriting(Object*, Page* page, uint32_t flags) {
  if ((flags & kPgoCleanIt) == 0 || page->read_only) return false;
  if (page->dirty == Dirty::kClean) return false;
  return page->dirty == Dirty::kDirty || core_->pmap->IsModified(page->pa);
}

// The page right behind `page`, if it goes into the same request.
Page* StoredPager::NextToWrite(Object* object, Page* page, const Flush& flush) {
  Page* next = Object::NextPage(page);
  if (next == nullptr || next->index != page->index + PageCount(1)) return nullptr;
  if ((next->index >= flush.end && !flush.IsPageout()) || next->IsBusy()) return nullptr;
  return NeedsWriting(object, next, flush.flags) ? next : nullptr;
}

// The run of dirty pages that begins at `head`, as far as `most` pages and the request's range go.
// They are write-protected first, so that what is clean afterwards is what was written; wired ones
// are not (facts/uvm.md 5.A item 13) and stay pages that may be dirty. None: no frame for the last
// page of the object, which is lent.
void StoredPager::GatherRun(Object* object, Page* head, const Flush& flush, uint32_t most,
                            Run* run) {
  run->first = head->index;
  run->count = 0;
  for (Page* page = head; page != nullptr;) {
    if (page->wire_count == 0 && !core_->canary.Armed(base::Canary::kCleanKeepsWritable)) {
      const bool goes = (flush.flags & kPgoFree) != 0 && flush.Asks(page->index);
      core_->pmap->PageProtect(page->pa, goes ? base::kProtNone : kProtReadExecute);
    }
    if (!ClearPastEnd(object, &page)) return;
    run->pages[run->count] = page;
    run->contents[run->count++] = pages_->Contents(page);
    page = run->count < most ? NextToWrite(object, page, flush) : nullptr;
  }
}

void StoredPager::MakeBusy(Object* object, Run* run) {
  for (uint32_t i = 0; i < run->count; ++i) {
    Page* page = run->pages[i];
    core_->pmap->ClearModify(page->pa);
    page->busy = BusyReason::kClean;
    object->SetDirty(page, page->wire_count != 0 ? Dirty::kUnknown : Dirty::kClean);
  }
}

void StoredPager::FinishRun(Object* object, Run* run, Result<void, PagerError> written,
                            Flush* flush) {
  for (uint32_t i = 0; i < run->count && !written.ok(); ++i)
    object->SetDirty(run->pages[i], Dirty::kDirty);
  object->Unbusy(pages_, run->pages, run->count);
  if (!written.ok()) {
    flush->failed = true;
    flush->error = written.error();
    return;
  }
  core_->counters.pager_put += run->count;
  for (uint32_t i = 0; i < run->count; ++i) {
    // One that was wired could be written to all the while, even if nobody wires it any more: it
    // stays, to be looked at again.
    if (run->pages[i]->dirty == Dirty::kClean && flush->Asks(run->pages[i]->index))
      RetirePage(object, run->pages[i], flush->flags);
  }
}

// Writes the run that begins at `head` and waits for that.
void StoredPager::WriteCluster(Object* object, Page* head, Flush* flush, PageArray* array) {
  Run run;
  array->Clear();
  GatherRun(object, head, *flush, kMaxGetPages, &run);
  if (run.count == 0) {
    flush->at = run.first + PageCount(1);
    flush->failed = true;
    flush->error = PagerError::kNoMemory;
    return;
  }
  MakeBusy(object, &run);
  object->mu.Unlock();
  Result<void, PagerError> written =
      StateOf(object)->store->WriteRun(object, run.first, run.count, run.contents);
  object->mu.Lock();
  flush->at = run.first + PageCount(run.count);
  FinishRun(object, &run, written, flush);
}

// A page that is as clean as asked for: out of the way, if that was asked for too.
void StoredPager::RetirePage(Object* object, Page* page, uint32_t flags) {
  if ((flags & kPgoFree) != 0 && page->wire_count == 0) {
    if ((flags & kPgoPageout) != 0) ++core_->counters.pager_freed;
    object->Remove(page);
    pages_->Free(page);
  } else if ((flags & kPgoDeactivate) != 0 && page->wire_count == 0) {
    pages_->Deactivate(page);
  }
}

void StoredPager::FlushPage(Object* object, Page* page, Flush* flush, PageArray* array) {
  if (page->IsBusy()) {
    if ((flush->flags & kPgoBusyFail) != 0) {
      flush->failed = true;
      flush->error = PagerError::kBusy;
    } else if ((flush->flags & (kPgoFree | kPgoSyncIo)) != 0) {
      object->WaitFor(pages_, page);
      array->Clear();  // and look at the same index again
    } else {
      flush->at = page->index + PageCount(1);  // somebody is at work on it; nobody waits for us
    }
    return;
  }
  // What goes away must not change any more once it was looked at.
  if ((flush->flags & kPgoFree) != 0 && page->wire_count == 0) {
    core_->pmap->PageProtect(page->pa, base::kProtNone);
  }
  if (NeedsWriting(object, page, flush->flags)) return WriteCluster(object, page, flush, array);
  flush->at = page->index + PageCount(1);
  RetirePage(object, page, flush->flags);
}

Result<void, PagerError> StoredPager::Put(Object* object, PageIndex first, PageIndex end,
                                          uint32_t flags) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const bool all = (flags & kPgoAllPages) != 0;
  const PageIndex begin = all ? PageIndex(0) : first;
  Flush flush{flags, begin, begin, all || end.value() == 0 ? PageIndex(~uint64_t{0}) : end};
  if (flush.IsPageout()) return PageOut(object, flush);
  // Nobody but cleaning cares only for dirty pages; what is being written is waited for below.
  const bool only_dirty = (flags & (kPgoFree | kPgoDeactivate)) == 0;
  if (!only_dirty || object->Has(kTagDirty)) {
    PageArray array(object, only_dirty ? uint32_t{PageArray::kDirty} : 0);
    while (!flush.failed || (flags & kPgoBusyFail) == 0) {
      Page* page = array.FillAndPeek(flush.at, 0);
      if (page == nullptr || page->index >= flush.end) break;
      array.Advance();
      FlushPage(object, page, &flush, &array);
    }
  }
  while ((flags & kPgoSyncIo) != 0) {
    Page* writing = object->Search(all ? PageIndex(0) : first, Object::Towards::kUp, kTagWriteback);
    if (writing == nullptr || writing->index >= flush.end) break;
    object->WaitFor(pages_, writing);
  }
  object->mu.Unlock();
  if (flush.failed) return flush.error;
  return {};
}

// ---- Size ----

// What lies in the object's last page beyond its end never was contents, whoever wrote it there.
// The page may be replaced, where it is lent. False: no frame for that.
bool StoredPager::ClearPastEnd(Object* object, Page** page) {
  const uint64_t size = StateOf(object)->size;
  if (base::IsPageAligned(size) || (*page)->index != base::ToPageIndex(size)) return true;
  return ClearFrom(page, size & base::kPageMask);
}

bool StoredPager::ClearFrom(Page** page, uint64_t offset) {
  const unsigned char* contents = pages_->Contents(*page);
  uint64_t at = offset;
  while (at < base::kPageSize && contents[at] == 0) ++at;
  if (at == base::kPageSize) return true;
  if ((*page)->loan_count != 0) {
    Page* fresh = loans_.BreakObjectPage(*page);
    if (fresh == nullptr) return false;
    *page = fresh;
  }
  std::memset(pages_->Contents(*page) + offset, 0, base::kPageSize - offset);
  return true;
}

// Zeroes what lies behind `bytes`, which is to be the end, in its page. The page is brought in for
// that: a later extension must not find in the store what was cut off.
Result<void, PagerError> StoredPager::CutTail(Object* object,
                                              uint64_t bytes) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Page* page = nullptr;
  GetRequest request;
  request.first = base::ToPageIndex(bytes);
  request.pages = &page;
  request.flags = kPgoSyncIo | kPgoNoBlockAlloc | kPgoGlockHeld;
  object->mu.Lock();
  TRY(Get(object, &request));
  MutexLock lock(&object->mu);
  const bool cut = page->read_only || ClearFrom(&page, bytes & base::kPageMask);
  if (cut && !page->read_only) object->SetDirty(page, Dirty::kDirty);
  object->Unbusy(pages_, page);
  if (!cut) return PagerError::kNoMemory;
  return {};
}

// What lies behind the end in its page becomes contents when the object grows: zeroes.
Result<void, PagerError> StoredPager::ClearGap(Object* object, uint64_t old_size) {
  MutexLock lock(&object->mu);
  Page* last = object->Lookup(base::ToPageIndex(old_size));
  if (last != nullptr && !ClearPastEnd(object, &last)) return PagerError::kNoMemory;
  return {};
}

void StoredPager::SetWriteSize(Object* object, uint64_t bytes) {
  MutexLock lock(&object->mu);
  State* state = StateOf(object);
  if (bytes > state->write_size) state->write_size = bytes;
}

Result<void, PagerError> StoredPager::SetSize(Object* object, uint64_t bytes) {
  State* state = StateOf(object);
  uint64_t old_size;
  {
    MutexLock lock(&object->mu);
    while (state->resizing) state->resized.Wait(&object->mu);
    state->resizing = true;
    old_size = state->size;
  }
  Result<void, PagerError> cut;
  FrameWait wait(core_);
  do {
    if (bytes < old_size && !base::IsPageAligned(bytes)) cut = CutTail(object, bytes);
    if (bytes > old_size) cut = ClearGap(object, old_size);
  } while (!cut.ok() && cut.error() == PagerError::kNoMemory && wait.Again());
  MutexLock lock(&object->mu);
  if (cut.ok()) {
    state->size = state->write_size = bytes;
    object->FreeRange(pages_,
                      base::ToPageIndex(bytes) + PageCount(base::IsPageAligned(bytes) ? 0 : 1),
                      PageIndex(~uint64_t{0}));
  }
  state->resizing = false;
  state->resized.WakeAll();
  return cut;
}

}  // namespace uvm
