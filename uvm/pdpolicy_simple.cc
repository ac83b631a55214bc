#include "uvm/pdpolicy_simple.h"

namespace uvm {

void SimplePolicy::Enqueue(Page* page) {
  if (page->queue != PageQueue::kNone) return;
  pages_.PushBack(page);
  page->queue = PageQueue::kInactive;
}

void SimplePolicy::Dequeue(Page* page) {
  if (page->queue == PageQueue::kNone) return;
  if (page == next_) next_ = pages_.Next(page);
  pages_.Remove(page);
  page->queue = PageQueue::kNone;
}

void SimplePolicy::BeginScan() {
  next_ = pages_.front();
  left_ = pages_.size();
}

Page* SimplePolicy::SelectVictim() {
  if (door_ == nullptr) return nullptr;
  while (next_ != nullptr && left_ > 0) {
    Page* page = next_;
    next_ = pages_.Next(page);
    --left_;
    ++counters_.scanned;
    if (!door_->TryLockOwner(page)) {
      ++counters_.owners_locked;
      continue;
    }
    PageIntents::Fulfil(page, this);
    if (page->queue != PageQueue::kNone) {
      ++counters_.victims;
      return page;
    }
    door_->UnlockOwner(page);
  }
  return nullptr;
}

void SimplePolicy::Balance(PageCount swap_shortage) {
  if (door_ == nullptr) return;
  uint64_t shortage = swap_shortage.value();
  for (Page* page = pages_.back(); page != nullptr && shortage > 0; page = pages_.Prev(page))
    shortage = DropSlotOf(page, shortage);
}

bool SimplePolicy::Valid(base::TextSink* text) const {
  uint64_t pages = 0;
  for (const Page* page = pages_.front(); page != nullptr; page = pages_.Next(page), ++pages) {
    if (page->queue == PageQueue::kInactive && !page->free && page->wire_count == 0) continue;
    *text << "frame " << page->pa << " does not belong in the queue it is in";
    return false;
  }
  if (pages == pages_.size()) return true;
  *text << "a queue of " << pages << " pages says " << uint64_t{pages_.size()};
  return false;
}

}  // namespace uvm
