#include "uvm/page_free.h"

#include <new>

#include "base/check.h"
#include "base/list.h"
#include "uvm/page.h"

namespace uvm {

struct FreePages::Queue {
  base::List<Page, &Page::queue_link> pages;
};

FreePages::FreePages(base::PageSource* memory) : arrays_(memory) {
  const bool resized = Resize(1, 1, 1);
  CHECK(resized && queues_ != nullptr);
}

uint32_t FreePages::ColourOf(const Page* page) const {
  return static_cast<uint32_t>(page->pa.PageNumber() & (colours_ - 1));
}

FreePages::Queue& FreePages::QueueOf(const Page* page) const {
  DCHECK(page->free_list < lists_ && page->bucket < buckets_);
  return queues_[(page->free_list * buckets_ + page->bucket) * colours_ + ColourOf(page)];
}

// ---- Taking ----

Page* FreePages::NoteTaken(Page* page) {
  page->free = false;
  --size_;
  --CountOf(page->free_list, page->bucket);
  ++streak_;
  last_taken_ = page;
  return page;
}

// The frame behind the one that was taken last, if it is free. Slabs end with a descriptor that
// never is (physseg.h).
Page* FreePages::TakeNeighbour() {
  Page* page = last_taken_ + 1;
  if (!page->free || page->cached) return nullptr;
  QueueOf(page).pages.Remove(page);
  return NoteTaken(page);
}

Page* FreePages::TakePlain(const Page** next) {
  Page* page = streak_ >= kStreak ? TakeNeighbour() : nullptr;
  if (page == nullptr) {
    page = queues_[0].pages.PopFront();
    if (page == nullptr) {
      *next = nullptr;
      return nullptr;
    }
    NoteTaken(page);
  }
  *next = streak_ >= kStreak && page[1].free ? page + 1 : queues_[0].pages.front();
  return page;
}

Page* FreePages::TakePlainOther(const FrameRequest& request, const Page** next) {
  if (request.strategy != FrameStrategy::kOnly) return TakePlain(next);
  *next = nullptr;
  return nullptr;
}

Page* FreePages::TakeFromBucket(uint32_t list, uint32_t bucket, uint64_t colour) {
  if (CountOf(list, bucket) == 0) return nullptr;
  Queue* queues = &queues_[(list * buckets_ + bucket) * colours_];
  for (uint32_t i = 0; i < colours_; ++i) {
    Page* page = queues[(colour + i) & (colours_ - 1)].pages.PopFront();
    if (page != nullptr) return NoteTaken(page);
  }
  UNREACHABLE("a bucket counts frames that no queue has");
}

Page* FreePages::TakeFromList(uint32_t list, uint32_t bucket, uint64_t colour) {
  for (uint32_t i = 0; i < buckets_; ++i) {
    Page* page = TakeFromBucket(list, (bucket + i) % buckets_, colour);
    if (page != nullptr) return page;
  }
  return nullptr;
}

Page* FreePages::TakeAsWanted(const FrameRequest& request, uint32_t processor) {
  const bool match = (request.flags & kAllocColourMatch) != 0;
  const uint64_t colour = match ? request.colour : next_colour_;
  const uint32_t bucket = processor % buckets_;
  Page* page = nullptr;
  const bool one = request.strategy == FrameStrategy::kOnly;
  if (one || request.strategy == FrameStrategy::kFallback) {
    if (request.free_list < lists_) page = TakeFromList(request.free_list, bucket, colour);
  } else if (request.strategy == FrameStrategy::kNuma) {
    for (uint32_t list = 0; page == nullptr && list < lists_; ++list)
      page = TakeFromBucket(list, bucket, colour);
  }
  for (uint32_t list = 0; page == nullptr && !one && list < lists_; ++list)
    page = TakeFromList(list, bucket, colour);
  if (page != nullptr && !match) next_colour_ = ColourOf(page) + 1;
  return page;
}

Page* FreePages::TakeOwn(uint32_t processor, uint32_t colour) {
  const Page* next;
  if (plain_) return TakePlain(&next);
  Page* page = queues_[processor % buckets_ * colours_ + colour].pages.PopFront();
  return page == nullptr ? nullptr : NoteTaken(page);
}

void FreePages::Remove(Page* page) {
  CHECK(page->free && !page->cached);
  QueueOf(page).pages.Remove(page);
  page->free = false;
  --size_;
  --CountOf(page->free_list, page->bucket);
}

// ---- Putting ----

void FreePages::Put(Page* page) {
  page->bucket = buckets_ == 1 ? 0 : static_cast<uint8_t>(BucketOf(page->pa));
  Queue& queue = plain_ ? queues_[0] : QueueOf(page);
  // Of frames that are freed in the order of their addresses, the one before of the same colour.
  put_run_ = last_put_ != nullptr && page == last_put_ + 1 ? put_run_ + 1 : 1;
  Page* before = put_run_ > colours_ ? page - colours_ : nullptr;
  if (before != nullptr && before->free && !before->cached &&
      (plain_ || &QueueOf(before) == &queue)) {
    queue.pages.InsertAfter(before, page);
  } else {
    queue.pages.PushFront(page);
  }
  page->free = true;
  ++size_;
  ++CountOf(page->free_list, page->bucket);
  last_put_ = page;
  streak_ = 0;
}

void FreePages::PutNew(Page* page) {
  page->bucket = static_cast<uint8_t>(BucketOf(page->pa));
  QueueOf(page).pages.PushBack(page);
  page->free = true;
  ++size_;
  ++CountOf(page->free_list, page->bucket);
}

// ---- The number of queues ----

uint32_t FreePages::BucketOf(base::Paddr pa) const {
  for (uint32_t i = 0; i < numa_count_; ++i) {
    if (pa >= numa_[i].start && pa < numa_[i].end) return numa_[i].node % buckets_;
  }
  return static_cast<uint32_t>(pa.PageNumber() / colours_ % buckets_);
}

bool FreePages::Resize(uint32_t lists, uint32_t buckets, uint32_t colours) {
  const uint32_t count = lists * buckets * colours;
  auto* queues = static_cast<Queue*>(arrays_.AllocateRaw(count * sizeof(Queue)));
  if (queues == nullptr) return false;
  for (uint32_t i = 0; i < count; ++i) new (&queues[i]) Queue;
  Queue* const old = queues_;
  const uint32_t old_count = lists_ * buckets_ * colours_;
  queues_ = queues;
  lists_ = lists;
  buckets_ = buckets;
  colours_ = colours;
  plain_ = count == 1;
  size_ = 0;
  for (uint64_t& frames : counts_) frames = 0;
  for (uint32_t i = 0; i < old_count; ++i) {
    while (Page* page = old[i].pages.PopFront()) PutNew(page);
  }
  if (old != nullptr) arrays_.Free(old, old_count * sizeof(Queue));
  return true;
}

bool FreePages::Recolour(uint32_t colours) {
  if (colours < colours_ || colours > kMaxColours || (colours & (colours - 1)) != 0) return false;
  return colours == colours_ || Resize(lists_, buckets_, colours);
}

bool FreePages::Rebucket(uint32_t buckets) {
  if (buckets == 0 || buckets > kMaxBuckets) return false;
  return Resize(lists_, buckets, colours_);
}

bool FreePages::EnsureList(uint32_t free_list) {
  if (free_list >= kMaxFreeLists) return false;
  return free_list < lists_ || Resize(free_list + 1, buckets_, colours_);
}

bool FreePages::NumaLoad(base::Paddr start, uint64_t bytes, uint32_t node) {
  if (numa_count_ == kMaxNumaRanges || bytes == 0 || bytes > ~uint64_t{0} - start.value())
    return false;
  numa_[numa_count_++] = {start, start + bytes, node};
  return true;
}

// ---- Looking ----

uint64_t FreePages::size_of_list(uint32_t list) const {
  uint64_t sum = 0;
  for (uint32_t bucket = 0; list < lists_ && bucket < buckets_; ++bucket)
    sum += CountOf(list, bucket);
  return sum;
}

void FreePages::DebugForEach(uint64_t limit, Visit visit, void* context) const {
  for (uint32_t i = 0; i < lists_ * buckets_ * colours_; ++i) {
    const auto& pages = queues_[i].pages;
    const Page* page = pages.front();
    for (uint64_t seen = 0; page != nullptr && seen < limit; ++seen, page = pages.Next(page))
      visit(context, page, i / colours_ / buckets_, i / colours_ % buckets_, i % colours_);
  }
}

bool FreePages::DebugCountsHold() const {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < lists_ * buckets_; ++i) {
    uint64_t frames = 0;
    for (uint32_t colour = 0; colour < colours_; ++colour)
      frames += queues_[i * colours_ + colour].pages.size();
    if (frames != CountOf(i / buckets_, i % buckets_)) return false;
    sum += frames;
  }
  return sum == size_;
}

}  // namespace uvm
