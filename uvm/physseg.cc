#include "uvm/physseg.h"

#include <new>

#include "base/check.h"
#include "uvm/page.h"

namespace uvm {

using base::Paddr;
using base::PageCount;

namespace {

// The end of the frames from `start` on; false when that is no run of whole frames.
bool EndOf(Paddr start, PageCount pages, Paddr* end) {
  const uint64_t last = ~uint64_t{0} >> base::kPageShift;  // the highest frame is never used
  if (!start.IsAligned() || pages.value() == 0 || pages.value() > last - start.PageNumber())
    return false;
  *end = start + base::ToBytes(pages);
  return true;
}

Paddr Within(Paddr pa, Paddr low, Paddr high) { return pa < low ? low : pa > high ? high : pa; }

}  // namespace

// ---- Slabs ----

bool PhysicalSegments::AddReachable(Paddr start, PageCount pages) {
  Paddr end;
  if (slab_count_ == kMaxSlabs || !EndOf(start, pages, &end)) return false;
  for (uint32_t i = 0; i < slab_count_; ++i) {
    if (start < slabs_[i].start + base::ToBytes(slabs_[i].pages) && slabs_[i].start < end)
      return false;
  }
  slabs_[slab_count_++] = {start, pages, nullptr, 0};
  return true;
}

const PhysicalSegments::Slab* PhysicalSegments::SlabOf(Paddr start, PageCount pages) const {
  Paddr end;
  if (!EndOf(start, pages, &end)) return nullptr;
  for (uint32_t i = 0; i < slab_count_; ++i) {
    if (start >= slabs_[i].start && end <= slabs_[i].start + base::ToBytes(slabs_[i].pages))
      return &slabs_[i];
  }
  return nullptr;
}

bool PhysicalSegments::AllocateSlab(Slab* slab) {
  if (slab->first != nullptr) return true;
  const uint64_t count = slab->pages.value() + 1;
  if (count > SIZE_MAX / sizeof(Page)) return false;
  void* memory = memory_->AllocateChunk(static_cast<size_t>(count) * sizeof(Page));
  if (memory == nullptr) return false;
  slab->first = static_cast<Page*>(memory);
  for (uint64_t i = 0; i < count; ++i) {
    Page* page = new (&slab->first[i]) Page;
    page->pa = slab->start + (i << base::kPageShift);
    page->free = false;
  }
  return true;
}

Page* PhysicalSegments::PluggedIn(const Slab& slab, uint64_t index) {
  if (slab.first == nullptr || !slab.first[index].plugged) return nullptr;
  return &slab.first[index];
}

bool PhysicalSegments::NoteUseIn(Slab* slab, const Page* page) {
  const uint64_t index = (page->pa - slab->start) >> base::kPageShift;
  if (page->pa < slab->start || index >= slab->pages.value()) return false;
  if (index >= slab->ever_used) slab->ever_used = index + 1;
  return true;
}

void PhysicalSegments::MarkFrames(const Segment& segment, Paddr start, Paddr end, Mark mark) {
  const Slab* slab = SlabOf(segment.start, base::ToPages(segment.end - segment.start));
  start = Within(start, segment.available_start, segment.available_end);
  end = Within(end, segment.available_start, segment.available_end);
  for (Paddr pa = start; pa < end; pa = pa + base::kPageSize) {
    Page& page = slab->first[(pa - slab->start) >> base::kPageShift];
    page.plugged = mark == Mark::kPlugged;
    page.free_list = static_cast<uint8_t>(segment.free_list);
  }
  const PageCount changed = base::ToPages(end - start);
  available_ = mark == Mark::kPlugged ? available_ + changed : available_ - changed;
}

// ---- Plugging ----

PhysicalSegments::Segment* PhysicalSegments::NewSegment() {
  Segment* segment = gone_;
  if (segment != nullptr) {
    gone_ = segment->next_gone;
    *segment = Segment();
  } else {
    segment = pool_.New();
  }
  if (segment != nullptr) segment->id = next_id_++;
  return segment;
}

void PhysicalSegments::Forget(Segment* segment) {
  tree_.Erase(segment);
  --count_;
  segment->id = 0;
  segment->next_gone = gone_;
  gone_ = segment;
}

// The segment that contains `pa`, or null.
PhysicalSegments::Segment* PhysicalSegments::FindSegment(Paddr pa) const {
  for (Segment* at = tree_.root(); at != nullptr;) {
    if (pa >= at->start && pa < at->end) return at;
    at = at->rb_child[pa < at->start ? 0 : 1];
  }
  return nullptr;
}

bool PhysicalSegments::Plug(Paddr start, PageCount pages, uint32_t free_list, Handle* handle) {
  if (SlabOf(start, pages) == nullptr || free_list >= kMaxFreeLists) return false;
  const Paddr end = start + base::ToBytes(pages);
  for (Segment* at = tree_.root(); at != nullptr;) {
    if (start < at->end && at->start < end) return false;
    at = at->rb_child[start < at->start ? 0 : 1];
  }
  Segment* segment = NewSegment();
  if (segment == nullptr) return false;
  segment->start = segment->available_start = start;
  segment->end = segment->available_end = end;
  segment->free_list = free_list;
  tree_.Insert(segment);
  ++count_;
  *handle = HandleOf(segment);
  return true;
}

bool PhysicalSegments::Init(Handle handle) {
  CHECK(Valid(handle) && !handle.segment->initialised);
  Segment* segment = handle.segment;
  if (!AllocateSlab(SlabOf(segment->start, base::ToPages(segment->end - segment->start))))
    return false;
  segment->initialised = true;
  MarkFrames(*segment, segment->start, segment->end, Mark::kPlugged);
  return true;
}

bool PhysicalSegments::MayUnplug(Paddr start, PageCount pages) const {
  Paddr end;
  if (!EndOf(start, pages, &end)) return false;
  const Segment* segment = FindSegment(start);
  return segment != nullptr && end <= segment->end &&
         (count_ > 1 || start != segment->start || end != segment->end);
}

// The segment is what it was within [start, end), a part of it.
void PhysicalSegments::SetBounds(Segment* segment, Paddr start, Paddr end) {
  const Paddr hint = segment->start + (segment->hint << base::kPageShift);
  segment->start = start;
  segment->end = end;
  segment->available_start = Within(segment->available_start, start, end);
  segment->available_end = Within(segment->available_end, start, end);
  segment->hint = hint > start && hint < end ? (hint - start) >> base::kPageShift : 0;
}

bool PhysicalSegments::Unplug(Paddr start, PageCount pages) {
  Paddr end;
  if (!EndOf(start, pages, &end)) return false;
  Segment* segment = FindSegment(start);
  if (segment == nullptr || end > segment->end) return false;
  const bool front = start == segment->start;
  const bool back = end == segment->end;
  CHECK(!front || !back || count_ > 1);  // a machine without memory
  Segment* upper = nullptr;
  if (!front && !back) {
    upper = NewSegment();
    if (upper == nullptr) return false;
  }
  if (segment->initialised) MarkFrames(*segment, start, end, Mark::kUnplugged);
  if (front && back) {
    Forget(segment);
  } else if (front) {
    SetBounds(segment, end, segment->end);
  } else if (back) {
    SetBounds(segment, segment->start, start);
  } else {
    const uint64_t id = upper->id;
    *upper = *segment;
    upper->id = id;
    SetBounds(upper, end, segment->end);
    SetBounds(segment, segment->start, start);
    tree_.Insert(upper);
    ++count_;
  }
  return true;
}

// ---- Looking ----

bool PhysicalSegments::Valid(Handle handle) const {
  return handle.segment != nullptr && handle.id != 0 && handle.segment->id == handle.id;
}

PhysicalSegments::Handle PhysicalSegments::Find(Paddr pa, PageCount* offset) const {
  Segment* segment = FindSegment(pa);
  if (segment != nullptr && offset != nullptr) *offset = base::ToPages(pa - segment->start);
  return HandleOf(segment);
}

PhysicalSegments::Handle PhysicalSegments::First() const { return HandleOf(tree_.First()); }

PhysicalSegments::Handle PhysicalSegments::Last() const { return HandleOf(tree_.Last()); }

PhysicalSegments::Handle PhysicalSegments::Next(Handle handle) const {
  return Valid(handle) ? HandleOf(Tree::Next(handle.segment)) : Handle{};
}

PhysicalSegments::Handle PhysicalSegments::Previous(Handle handle) const {
  return Valid(handle) ? HandleOf(Tree::Prev(handle.segment)) : Handle{};
}

Paddr PhysicalSegments::Start(Handle handle) const {
  return Valid(handle) ? handle.segment->start : kNoPaddr;
}

Paddr PhysicalSegments::End(Handle handle) const {
  return Valid(handle) ? handle.segment->end : kNoPaddr;
}

Paddr PhysicalSegments::AvailableStart(Handle handle) const {
  return Valid(handle) ? handle.segment->available_start : kNoPaddr;
}

Paddr PhysicalSegments::AvailableEnd(Handle handle) const {
  return Valid(handle) ? handle.segment->available_end : kNoPaddr;
}

bool PhysicalSegments::SetAvailableStart(Handle handle, Paddr start) {
  if (!Valid(handle) || handle.segment->initialised || !start.IsAligned() ||
      start < handle.segment->start || start >= handle.segment->available_end)
    return false;
  handle.segment->available_start = start;
  return true;
}

bool PhysicalSegments::SetAvailableEnd(Handle handle, Paddr end) {
  if (!Valid(handle) || handle.segment->initialised || !end.IsAligned() ||
      end > handle.segment->end || end <= handle.segment->available_start)
    return false;
  handle.segment->available_end = end;
  return true;
}

uint32_t PhysicalSegments::FreeListOf(Handle handle) const {
  return Valid(handle) ? handle.segment->free_list : kNoFreeList;
}

PageCount PhysicalSegments::StartHint(Handle handle) const {
  return PageCount(Valid(handle) ? handle.segment->hint : 0);
}

bool PhysicalSegments::SetStartHint(Handle handle, PageCount hint) {
  if (!Valid(handle) || hint >= base::ToPages(handle.segment->end - handle.segment->start))
    return false;
  handle.segment->hint = hint.value();
  return true;
}

Paddr PhysicalSegments::HighestFrame() const {
  const Segment* last = tree_.Last();
  CHECK(last != nullptr);
  return last->end - base::kPageSize;
}

Page* PhysicalSegments::PageAt(Handle handle, PageCount offset) const {
  CHECK(Valid(handle) && handle.segment->initialised);
  const Segment& segment = *handle.segment;
  CHECK(offset < base::ToPages(segment.end - segment.start));
  const Slab* slab = SlabOf(segment.start, PageCount(1));
  const uint64_t first = (segment.start - slab->start) >> base::kPageShift;
  return &slab->first[first + offset.value()];
}

Page* PhysicalSegments::DescriptorOf(Paddr pa) const {
  const Slab* slab = SlabOf(pa.Trunc(), PageCount(1));
  CHECK(slab != nullptr && slab->first != nullptr);
  return &slab->first[(pa - slab->start) >> base::kPageShift];
}

void PhysicalSegments::Discard(Handle handle) {
  CHECK(Valid(handle) && !handle.segment->initialised);
  Forget(handle.segment);
}

const char* PhysicalSegments::DebugWrong() const {
  if (!tree_.Check()) return "the tree of segments is not sound";
  uint64_t found = 0;
  uint32_t segments = 0;
  Paddr below(0);
  for (Segment* at = tree_.First(); at != nullptr; at = Tree::Next(at), ++segments) {
    const PageCount pages = base::ToPages(at->end - at->start);
    if (at->id == 0 || at->start < below || at->end <= at->start) return "segments overlap";
    if (SlabOf(at->start, pages) == nullptr) return "a segment reaches beyond its slab";
    if (at->available_start < at->start || at->available_end > at->end ||
        at->available_end < at->available_start || at->hint >= pages.value())
      return "a segment's available part or hint is not in it";
    if (at->initialised) found += base::ToPages(at->available_end - at->available_start).value();
    below = at->end;
  }
  if (segments != count_) return "the count of segments is wrong";
  return found == available_.value() ? nullptr : "the count of available frames is wrong";
}

}  // namespace uvm
