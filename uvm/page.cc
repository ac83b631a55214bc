#include "uvm/page.h"

#include <new>

#include "base/check.h"

namespace uvm {

PageStore::PageStore(Core* core) : core_(core), mu_(core->threads, base::LockRank::kPageQueues) {
  segment_count_ = core->pmap->segment_count();
  CHECK(segment_count_ > 0);
  segments_ = static_cast<Segment*>(core->memory->AllocateChunk(sizeof(Segment) * segment_count_));
  CHECK(segments_ != nullptr);
  for (uint32_t s = 0; s < segment_count_; ++s) {
    PhysicalSegment segment = core->pmap->segment(s);
    void* memory = core->memory->AllocateChunk(sizeof(Page) * segment.pages.value());
    CHECK(memory != nullptr);
    auto* pages = static_cast<Page*>(memory);
    segments_[s] = {segment.start, segment.pages, pages, 0};
    total_ = total_ + segment.pages;
    MutexLock lock(&mu_);
    for (uint64_t i = 0; i < segment.pages.value(); ++i) {
      Page* page = new (&pages[i]) Page;
      page->pa = segment.start + (i << base::kPageShift);
      free_.PushBack(page);
    }
  }
}

void PageStore::NoteUse(const Page* page) {
  for (uint32_t s = 0; s < segment_count_; ++s) {
    Segment& segment = segments_[s];
    if (page->pa < segment.start) continue;
    uint64_t index = (page->pa - segment.start) >> base::kPageShift;
    if (index >= segment.pages.value()) continue;
    if (index >= segment.ever_used) segment.ever_used = index + 1;
    return;
  }
}

Page* PageStore::Allocate() {
  Page* page;
  {
    MutexLock lock(&mu_);
    page = free_.PopFront();
    if (page == nullptr) return nullptr;
    page->free = false;
  }
  NoteUse(page);
  page->wire_count = 0;
  page->busy = BusyReason::kPromote;
  page->dirty = Dirty::kClean;
  page->read_only = false;
  Counters& counters = core_->counters;
  if (++counters.frames_in_use > counters.frames_peak)
    counters.frames_peak = counters.frames_in_use;
  return page;
}

Page* PageStore::AllocateForAnon(Anon* anon) {
  Page* page = Allocate();
  if (page != nullptr) page->anon = anon;
  return page;
}

Page* PageStore::AllocateForObject(Object* object, PageIndex index) {
  Page* page = Allocate();
  if (page != nullptr) {
    page->object = object;
    page->index = index;
    page->busy = BusyReason::kPagein;
  }
  return page;
}

void PageStore::Free(Page* page) {
  CHECK(!page->free);
  CHECK(page->wire_count == 0);
  // No client may keep using a frame that is about to become somebody else's.
  core_->pmap->PageProtect(page->pa, base::kProtNone);
  core_->pmap->ClearModify(page->pa);
  core_->pmap->ClearReference(page->pa);
  page->object = nullptr;
  page->anon = nullptr;
  page->busy = BusyReason::kNotBusy;
  --core_->counters.frames_in_use;
  MutexLock lock(&mu_);
  page->free = true;
  free_.PushFront(page);
}

void PageStore::Zero(Page* page) {
  ++core_->counters.zero_fill;
  if (!core_->canary.Armed(base::Canary::kZeroFillSkipped)) core_->pmap->ZeroPage(page->pa);
  page->dirty = Dirty::kDirty;
}

void PageStore::Copy(const Page* from, Page* to) {
  ++core_->counters.page_copy;
  core_->pmap->CopyPage(from->pa, to->pa);
  to->dirty = Dirty::kDirty;
}

Page* PageStore::FromPaddr(Paddr pa) const {
  for (uint32_t s = 0; s < segment_count_; ++s) {
    uint64_t offset = pa - segments_[s].start;
    if (pa >= segments_[s].start && offset < base::ToBytes(segments_[s].pages)) {
      return &segments_[s].first[offset >> base::kPageShift];
    }
  }
  return nullptr;
}

}  // namespace uvm
