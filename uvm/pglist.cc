#include "uvm/pglist.h"

#include "base/check.h"

namespace uvm {

// A request in frames.
struct PageLists::Search {
  uint64_t pages;
  Paddr low;   // of the first frame that may be taken
  Paddr high;  // behind the last
  uint64_t alignment;
  uint64_t boundary;

  // The first address at or above `pa` where a run may begin; `high` when there is none.
  Paddr Align(Paddr pa) const {
    const uint64_t up = (pa.value() + alignment - 1) & ~(alignment - 1);
    return up < pa.value() ? high : Paddr(up);
  }
  // Where a run that begins at `pa` ends at the latest.
  Paddr LimitOf(Paddr pa, Paddr end) const {
    if (boundary == 0) return end;
    const uint64_t last = pa.value() | (boundary - 1);
    return last >= end.value() ? end : Paddr(last + 1);
  }
};

namespace {

bool IsPowerOfTwo(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

Paddr Later(Paddr a, Paddr b) { return a > b ? a : b; }
Paddr Earlier(Paddr a, Paddr b) { return a < b ? a : b; }

}  // namespace

bool PageLists::IsValid(const PageListRequest& request) const {
  const uint64_t bytes = base::RoundPage(request.bytes);
  if (bytes == 0 || request.runs == 0) return false;
  if (request.alignment != 0 && !IsPowerOfTwo(request.alignment)) return false;
  if (request.boundary != 0 && (!IsPowerOfTwo(request.boundary) || request.boundary < bytes))
    return false;
  const Paddr low(base::RoundPage(request.low.value()));
  const Paddr high = request.high.Trunc();
  if (low < request.low || low >= high) return false;
  const PhysicalSegments& segments = pages_->segments();
  for (auto at = segments.First(); segments.Valid(at); at = segments.Next(at)) {
    if (low < segments.AvailableEnd(at) && segments.AvailableStart(at) < high) return true;
  }
  return false;
}

// Looks at [from, end) of one segment for a run of `wanted` free frames. *best becomes the first of
// that length, or else the longest so far.
void PageLists::LookThrough(const Search& search, Paddr from, Paddr end, uint64_t wanted,
                            Run* best) {
  end = Earlier(end, search.high);
  Paddr at = search.Align(Later(from, search.low));
  while (at < end && best->pages < wanted) {
    const Paddr limit = Earlier(search.LimitOf(at, end), end - at > base::ToBytes(PageCount(wanted))
                                                             ? at + base::ToBytes(PageCount(wanted))
                                                             : end);
    Paddr stop = at;
    while (stop < limit && pages_->IsInFreeQueue(stop)) stop = stop + base::kPageSize;
    const uint64_t pages = base::ToPages(stop - at).value();
    looked_at_ += pages + (stop < limit ? 1 : 0);
    if (pages > best->pages) *best = {at, pages};
    // A run that was cut short by the boundary goes on behind it.
    at = search.Align(stop == limit && stop > at ? stop : stop + base::kPageSize);
  }
}

PageLists::Run PageLists::FindRun(const Search& search, uint64_t wanted) {
  Run best;
  PhysicalSegments& segments = pages_->segments();
  for (uint32_t list = 0; list < kMaxFreeLists; ++list) {
    for (auto at = segments.First(); segments.Valid(at); at = segments.Next(at)) {
      if (segments.FreeListOf(at) != list) continue;
      const Paddr start = segments.AvailableStart(at);
      const Paddr end = segments.AvailableEnd(at);
      const Paddr hint = Later(
          segments.Start(at) + base::ToBytes(PageCount(segments.StartHint(at).value())), start);
      LookThrough(search, hint, end, wanted, &best);
      const uint64_t before = base::ToBytes(PageCount(wanted));
      if (hint > start && best.pages < wanted)
        LookThrough(search, start, end - hint > before ? hint + before : end, wanted, &best);
      if (best.pages < wanted) continue;
      const PageCount next =
          base::ToPages(best.start + base::ToBytes(PageCount(wanted)) - segments.Start(at));
      if (!segments.SetStartHint(at, next)) segments.SetStartHint(at, PageCount(0));
      return best;
    }
  }
  return best;
}

void PageLists::TakeRun(const Run& run, PageList* list) {
  for (uint64_t i = 0; i < run.pages; ++i) {
    list->PushBack(pages_->TakeForKernel(run.start + (i << base::kPageShift)));
  }
}

void PageLists::PutBack(PageList* list) {
  while (Page* page = list->PopFront()) pages_->GiveBackUnused(page);
}

bool PageLists::TakeRuns(const Search& search, uint32_t runs, PageList* list) {
  uint64_t missing = search.pages;
  for (; runs > 0 && missing > 0; --runs) {
    const Run run = FindRun(search, missing);
    if (run.pages == 0 || (runs == 1 && run.pages < missing)) break;
    TakeRun(run, list);
    missing -= run.pages;
  }
  if (missing == 0) return true;
  PutBack(list);
  return false;
}

bool PageLists::TakeOneByOne(const Search& search, PageList* list) {
  uint64_t missing = search.pages;
  const PhysicalSegments& segments = pages_->segments();
  for (uint32_t wanted = 0; missing > 0 && wanted < kMaxFreeLists; ++wanted) {
    for (auto at = segments.First(); missing > 0 && segments.Valid(at); at = segments.Next(at)) {
      if (segments.FreeListOf(at) != wanted) continue;
      const Paddr end = Earlier(segments.AvailableEnd(at), search.high);
      for (Paddr pa = Later(segments.AvailableStart(at), search.low); missing > 0 && pa < end;
           pa = pa + base::kPageSize) {
        ++looked_at_;
        if (!pages_->IsInFreeQueue(pa)) continue;
        TakeRun({pa, 1}, list);
        --missing;
      }
    }
  }
  if (missing == 0) return true;
  PutBack(list);
  return false;
}

bool PageLists::TryAllocate(const Search& search, uint32_t runs, PageList* list) {
  if (runs >= search.pages && search.alignment <= base::kPageSize && search.boundary == 0)
    return TakeOneByOne(search, list);
  return TakeRuns(search, runs, list);
}

Result<void, PageListError> PageLists::Allocate(const PageListRequest& request, MayWait may_wait,
                                                PageList* list) {
  CHECK(list->empty());
  if (!IsValid(request)) return PageListError::kInvalid;
  const Search search{base::ToPages(base::RoundPage(request.bytes)).value(),
                      Paddr(base::RoundPage(request.low.value())), request.high.Trunc(),
                      request.alignment == 0 ? 1 : request.alignment, request.boundary};
  for (;;) {
    bool short_of_frames = false;
    {
      PageStore::FrameSearch exclusive(pages_);
      short_of_frames = !pages_->MayTakeMany(search.pages);
      if (!short_of_frames && TryAllocate(search, request.runs, list)) break;
    }
    pages_->KickIfLow();
    if (!short_of_frames || may_wait == MayWait::kNo || search.pages > pages_->total().value() ||
        core_->frames == nullptr || !core_->frames->WaitForMany(PageCount(search.pages)))
      return PageListError::kNoMemory;
  }
  pages_->KickIfLow();
  return {};
}

void PageLists::Free(PageList* list) {
  while (Page* page = list->PopFront()) {
    CHECK(page->object == nullptr && page->anon == nullptr && page->wire_count == 1);
    --core_->counters.kernel_wirings;
    pages_->Free(page);
  }
}

}  // namespace uvm
