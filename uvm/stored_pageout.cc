// What the page daemon asks of stored objects: one page out, and nobody waits for the store.

#include "base/check.h"
#include "uvm/stored.h"

namespace uvm {

// Where the request begins that writes `page`: there, or with dirty pages right before it that the
// same 16 aligned pages of the store hold.
Page* StoredPager::FirstToWrite(Object* object, Page* page, const Flush& flush) {
  while (page->index.value() % kMaxGetPages != 0) {
    Page* before = Object::PreviousPage(page);
    if (before == nullptr || before->index + PageCount(1) != page->index) break;
    if (before->IsBusy() || !NeedsWriting(object, before, flush.flags)) break;
    page = before;
  }
  return page;
}

// Pages that stores may take on now.
uint32_t StoredPager::RoomToWrite() const {
  uint64_t most = pages_->total().value() / kMostWriting;
  if (most == 0) most = 1;
  const uint64_t writing = core_->counters.pager_writing;
  const uint64_t room = writing < most ? most - writing : 0;
  return room < kMaxGetPages ? static_cast<uint32_t>(room) : kMaxGetPages;
}

// Frees the page at flush.begin, now if it is clean, and otherwise when the store has it; its dirty
// neighbours are written along. kBusy: somebody is at work on it, or stores have enough to do.
Result<void, PagerError> StoredPager::PageOut(Object* object,
                                              const Flush& flush) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Page* page = object->Lookup(flush.begin);
  const bool busy = page != nullptr && page->IsBusy();
  if (page == nullptr || busy) {
    object->mu.Unlock();
    if (busy) return PagerError::kBusy;
    return {};
  }
  // What goes away must not change any more once it was looked at.
  if (page->wire_count == 0) core_->pmap->PageProtect(page->pa, base::kProtNone);
  if (!NeedsWriting(object, page, flush.flags)) {
    RetirePage(object, page, flush.flags);
    object->mu.Unlock();
    return {};
  }
  const uint32_t room = RoomToWrite();
  Cleaning* cleaning = room == 0 ? nullptr : cleanings_.New();
  if (cleaning == nullptr) {
    object->mu.Unlock();
    return room == 0 ? PagerError::kBusy : PagerError::kNoMemory;
  }
  cleaning->write.done = WriteIsDone;
  cleaning->pager = this;
  cleaning->object = object;
  cleaning->flush = flush;
  Page* head = room < kMaxGetPages ? page : FirstToWrite(object, page, flush);
  GatherRun(object, head, flush, room, &cleaning->run);
  const uint32_t count = cleaning->run.count;
  if (count == 0) {
    object->mu.Unlock();
    cleanings_.Delete(cleaning);
    return PagerError::kNoMemory;
  }
  MakeBusy(object, &cleaning->run);
  core_->counters.pager_writing += count;
  Store* store = StateOf(object)->store;
  object->mu.Unlock();
  Result<void, PagerError> written;
  const bool over = store->BeginWriteRun(object, cleaning->run.first, count, cleaning->run.contents,
                                         &cleaning->write, &written);
  // From here on a write that goes on may be over, and with it `cleaning` and the object.
  if (over) return EndCleaning(cleaning, written);
  return {};
}

void StoredPager::WriteIsDone(StoreWrite* write, Result<void, PagerError> result) {
  auto* cleaning = reinterpret_cast<Cleaning*>(write);
  StoredPager* pager = cleaning->pager;
  (void)pager->EndCleaning(cleaning, result);  // what failed stays, dirty
  // There may be frames for who waits, or pages that can be written now.
  if (pager->core_->frames != nullptr) pager->core_->frames->Kick();
}

// A busy page's object does not go away. LOCKS: none.
Result<void, PagerError> StoredPager::EndCleaning(Cleaning* cleaning,
                                                  Result<void, PagerError> result)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Object* object = cleaning->object;
  object->mu.Lock();
  FinishRun(object, &cleaning->run, result, &cleaning->flush);
  core_->counters.pager_writing -= cleaning->run.count;
  object->mu.Unlock();
  cleanings_.Delete(cleaning);
  return result;
}

}  // namespace uvm
