// Random allocation, freeing, hot plug, colours, buckets, caches, reserves and runs of frames
// against a table of frames.
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/addr.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/core.h"
#include "uvm/page.h"
#include "uvm/page_cache.h"
#include "uvm/page_free.h"
#include "uvm/pglist.h"
#include "uvm/physseg.h"
#include "uvm/pmap.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

constexpr uint64_t kAll = ~uint64_t{0};

struct Frame {
  bool plugged = false;
  bool used = false;
  uint64_t segment = 0;
  uint32_t list = 0;
};

// Small: much is rearranged in little memory. Large: long runs of allocations, one queue.
enum class Kind { kSmall, kLarge };

class Frames {
 public:
  Frames(uint64_t seed, Kind kind)
      : kind_(kind), prng_(seed, "frames_prop_test"), pmap_(kind == Kind::kSmall ? 60 : 240) {
    for (uint32_t s = 0; s < pmap_.segment_count(); ++s) {
      const PhysicalSegment segment = pmap_.segment(s);
      for (uint64_t i = 0; i < segment.pages.value(); ++i)
        model_[segment.start.PageNumber() + i] = {true, false, next_segment_, 0};
      ++next_segment_;
    }
  }
  ~Frames() {
    while (!lists_.empty()) FreeList();
    while (!used_.empty()) FreeOne();
    EXPECT_EQ(pages_.free_count(), pages_.total());
    EXPECT_EQ(core_.counters.frames_in_use, 0u);
    EXPECT_EQ(core_.counters.kernel_wirings, 0u);
  }

  void Step() {
    switch (prng_.Below(20)) {
      case 0:
        return Plug();
      case 1:
        return Unplug();
      case 2:
        return Rearrange();
      case 3:
      case 4:
        return TakeList();
      case 5:
        if (kind_ == Kind::kLarge) return Burst();
        [[fallthrough]];
      case 6:
        return lists_.empty() ? TakeList() : FreeList();
      case 7:
      case 8:
      case 9:
      case 10:
      case 11:
      case 12:
        return used_.empty() ? Allocate() : FreeOne();
      default:
        return Allocate();
    }
  }
  void Check() {
    ASSERT_EQ(pages_.DebugWrongFree(kAll), nullptr);
    ASSERT_EQ(pages_.DebugWrongFree(3), nullptr);
    uint64_t plugged = 0, free = 0;
    for (const auto& [number, frame] : model_) {
      const Page* page = pages_.FromPaddr(Paddr(number << base::kPageShift));
      ASSERT_EQ(page != nullptr, frame.plugged) << number;
      plugged += frame.plugged ? 1 : 0;
      free += frame.plugged && !frame.used ? 1 : 0;
      if (page != nullptr) {
        ASSERT_EQ(page->free, !frame.used) << number;
      }
    }
    ASSERT_EQ(pages_.total(), PageCount(plugged));
    ASSERT_EQ(pages_.free_count(), PageCount(free));
    ASSERT_EQ(core_.counters.frames_in_use, plugged - free);
  }

 private:
  Anon* SomeAnon() { return reinterpret_cast<Anon*>(&anon_); }
  uint64_t FreeFrames() const { return pages_.free_count().value(); }
  uint64_t Reserved() const { return reserves_.pagedaemon.value() + reserves_.kernel.value(); }
  bool IsFree(uint64_t number) const {
    auto at = model_.find(number);
    return at != model_.end() && at->second.plugged && !at->second.used;
  }
  bool SomeFreeOf(uint32_t list) const {
    return std::any_of(model_.begin(), model_.end(), [&](const auto& frame) {
      return frame.second.plugged && !frame.second.used && frame.second.list == list;
    });
  }
  void Note(const Page* page) {
    Frame& frame = model_[page->pa.PageNumber()];
    ASSERT_TRUE(frame.plugged && !frame.used);
    ASSERT_EQ(page->free_list, frame.list);
    frame.used = true;
  }

  // As many as it takes for neighbours to go first, or until memory is used up.
  void Burst() {
    FrameRequest request;
    request.flags = static_cast<uint32_t>(prng_.Below(2) * kAllocUseReserve);
    const uint64_t count = prng_.Below(3 * FreePages::kStreak);
    for (uint64_t i = 0; i < count && !::testing::Test::HasFatalFailure(); ++i) Take(request);
  }

  void Allocate() {
    FrameRequest request;
    if (prng_.Chance(1, 3)) request.flags |= kAllocUseReserve;
    if (prng_.Chance(1, 8)) request.flags |= kAllocForDaemon;
    if (prng_.Chance(1, 8)) request.flags |= kAllocZero;
    if (prng_.Chance(1, 8)) request.flags |= kAllocColourMatch;
    request.colour = prng_.Below(1000);
    if (prng_.Chance(1, 3)) request.strategy = static_cast<FrameStrategy>(prng_.Below(4));
    request.free_list = static_cast<uint32_t>(prng_.Below(5));
    Take(request);
  }
  void Take(const FrameRequest& request) {
    uint64_t keep = Reserved();
    if ((request.flags & kAllocUseReserve) != 0) keep = reserves_.pagedaemon.value();
    if ((request.flags & kAllocForDaemon) != 0) keep = 0;
    const bool only = request.strategy == FrameStrategy::kOnly;
    const bool expected = FreeFrames() > keep && (!only || SomeFreeOf(request.free_list));
    const bool listed = SomeFreeOf(request.free_list);
    Page* page = pages_.AllocateForAnon(SomeAnon(), request);
    ASSERT_EQ(page != nullptr, expected);
    if (page == nullptr) return;
    Note(page);
    if ((only || request.strategy == FrameStrategy::kFallback) && listed) {
      ASSERT_EQ(page->free_list, request.free_list);
    }
    const bool zero = (request.flags & kAllocZero) != 0;
    ASSERT_EQ(page->fake, !zero);
    ASSERT_EQ(page->dirty, zero ? Dirty::kDirty : Dirty::kClean);
    if (zero) {
      ASSERT_EQ(pages_.Contents(page)[17], 0);
    }
    used_.push_back(page);
  }

  void FreeOne() {
    const uint64_t which = prng_.Below(used_.size());
    Page* page = used_[which];
    used_[which] = used_.back();
    used_.pop_back();
    model_[page->pa.PageNumber()].used = false;
    pages_.Free(page);
  }

  uint64_t SomeFrame() {
    auto at = model_.begin();
    std::advance(at, prng_.Below(model_.size()));
    return at->first;
  }

  void Plug() {
    const uint64_t first = SomeFrame();
    const uint64_t count = prng_.Below(20);
    const auto list = static_cast<uint32_t>(kind_ == Kind::kSmall ? prng_.Below(3) : 0);
    bool right = count > 0;
    for (uint64_t number = first; right && number < first + count; ++number)
      right = model_.contains(number) && !model_[number].plugged;
    ASSERT_EQ(pages_.Plug(Paddr(first << base::kPageShift), PageCount(count), list), right);
    if (!right) return;
    for (uint64_t number = first; number < first + count; ++number)
      model_[number] = {true, false, next_segment_, list};
    ++next_segment_;
  }

  void Unplug() {
    const uint64_t first = SomeFrame();
    const uint64_t count = prng_.Below(8);
    const uint64_t segment = model_[first].segment;
    bool right = count > 0;
    for (uint64_t number = first; right && number < first + count; ++number)
      right = IsFree(number) && model_[number].segment == segment;
    right = right && pages_.total().value() > count;
    ASSERT_EQ(pages_.Unplug(Paddr(first << base::kPageShift), PageCount(count)), right);
    if (!right) return;
    for (uint64_t number = first; number < first + count; ++number) model_[number] = {};
    // What lies behind is another segment, unless nothing lies in front.
    bool split = model_.contains(first - 1) && model_[first - 1].plugged &&
                 model_[first - 1].segment == segment;
    for (uint64_t number = first + count; split && model_.contains(number); ++number) {
      if (!model_[number].plugged || model_[number].segment != segment) break;
      model_[number].segment = next_segment_;
    }
    ++next_segment_;
  }

  void Rearrange() {
    const uint64_t what = prng_.Below(5);
    switch (kind_ == Kind::kLarge ? 2 + what % 2 : what) {
      case 0: {
        const auto colours = static_cast<uint32_t>(prng_.Below(9));
        const uint32_t now = pages_.DebugFree().colours();
        const bool right = colours >= now && (colours & (colours - 1)) == 0;
        ASSERT_EQ(pages_.Recolour(colours), right) << colours << " after " << now;
        break;
      }
      case 1: {
        const auto buckets = static_cast<uint32_t>(prng_.Below(12));
        ASSERT_EQ(pages_.Rebucket(buckets), buckets >= 1 && buckets <= kMaxBuckets);
        break;
      }
      case 2:
        ASSERT_TRUE(pages_.StartCaches(static_cast<uint32_t>(prng_.Below(3))));
        break;
      case 3:
        reserves_ = {PageCount(prng_.Below(3)), PageCount(prng_.Below(6))};
        pages_.SetReserves(reserves_);
        break;
      default:
        if (loads_++ < 20) {
          const uint64_t bytes = (1 + prng_.Below(20)) * base::kPageSize;
          const auto node = static_cast<uint32_t>(prng_.Below(10));
          ASSERT_TRUE(pages_.NumaLoad(Paddr(SomeFrame() << base::kPageShift), bytes, node));
        }
    }
  }

  // ---- Runs of frames.

  PageListRequest SomeRequest() {
    PageListRequest request;
    request.bytes = prng_.Below(8 * base::kPageSize);
    if (prng_.Chance(1, 3)) request.low = Paddr(SomeFrame() * base::kPageSize + prng_.Below(5000));
    if (prng_.Chance(1, 3)) request.high = Paddr(SomeFrame() * base::kPageSize + prng_.Below(5000));
    if (prng_.Chance(1, 3)) request.alignment = uint64_t{1} << prng_.Below(16);
    if (prng_.Chance(1, 3)) request.boundary = uint64_t{1} << prng_.Below(17);
    request.runs = static_cast<uint32_t>(prng_.Chance(1, 2) ? 1 : prng_.Below(10));
    // Nonsense now and then.
    if (prng_.Chance(1, 20)) request.alignment = prng_.Below(9000);
    if (prng_.Chance(1, 20)) request.boundary = prng_.Below(90000);
    if (prng_.Chance(1, 40)) request.bytes = ~uint64_t{0} - prng_.Below(3 * base::kPageSize);
    if (prng_.Chance(1, 40)) request.low = Paddr(~uint64_t{0} - prng_.Below(3 * base::kPageSize));
    if (prng_.Chance(1, 40)) request.alignment = uint64_t{1} << 63;
    return request;
  }
  static bool PowerOfTwoOrZero(uint64_t value) { return (value & (value - 1)) == 0; }
  bool IsNonsense(const PageListRequest& request) const {
    const uint64_t bytes = base::RoundPage(request.bytes);
    if (bytes == 0 || request.runs == 0 || !PowerOfTwoOrZero(request.alignment) ||
        !PowerOfTwoOrZero(request.boundary) || (request.boundary != 0 && request.boundary < bytes))
      return true;
    return std::none_of(model_.begin(), model_.end(), [&](const auto& frame) {
      return frame.second.plugged && InRange(request, frame.first);
    });
  }
  static bool InRange(const PageListRequest& request, uint64_t number) {
    const uint64_t at = number << base::kPageShift;
    return at >= request.low.value() && at + base::kPageSize <= request.high.value();
  }
  // How many frames of the run that begins at `number` may be had.
  uint64_t RunAt(const PageListRequest& request, uint64_t number) const {
    const uint64_t at = number << base::kPageShift;
    if (request.alignment != 0 && at % request.alignment != 0) return 0;
    uint64_t pages = 0;
    for (;; ++pages) {
      const uint64_t next = number + pages;
      if (!IsFree(next) || !InRange(request, next)) break;
      if (model_.at(next).segment != model_.at(number).segment) break;
      if (request.boundary != 0 &&
          at / request.boundary != (next << base::kPageShift) / request.boundary)
        break;
    }
    return pages;
  }
  // Whether there is a run of `pages` frames; and at least how many frames `runs` runs must give.
  bool HasRun(const PageListRequest& request, uint64_t pages) const {
    return std::any_of(model_.begin(), model_.end(),
                       [&](const auto& frame) { return RunAt(request, frame.first) >= pages; });
  }

  void TakeList() {
    const PageListRequest request = SomeRequest();
    const uint64_t pages = base::RoundPage(request.bytes) >> base::kPageShift;
    PageList list;
    const bool nonsense = IsNonsense(request);
    const bool enough = FreeFrames() >= Reserved() + pages;
    const bool one_run = !nonsense && HasRun(request, pages);
    uint64_t loose = 0;
    for (const auto& [number, frame] : model_)
      loose += IsFree(number) && RunAt(request, number) > 0 ? 1 : 0;
    const Result<void, PageListError> got =
        runs_.Allocate(request, PageLists::MayWait::kYes, &list);
    ASSERT_EQ(!got.ok() && got.error() == PageListError::kInvalid, nonsense);
    if (nonsense) return;
    if (!enough || loose == 0) {
      ASSERT_FALSE(got.ok());
    } else if (one_run || (request.runs >= pages && loose >= pages)) {
      ASSERT_TRUE(got.ok());
    } else if (request.runs == 1) {
      ASSERT_FALSE(got.ok());
    }
    if (!got.ok()) {
      ASSERT_TRUE(list.empty());
      return;
    }
    CheckList(request, pages, &list);
  }
  void CheckList(const PageListRequest& request, uint64_t pages, PageList* list) {
    ASSERT_EQ(list->size(), pages);
    uint64_t runs = 0;
    uint64_t start = 0, before = 0;
    std::vector<Page*> taken;
    while (Page* page = list->PopFront()) {
      const uint64_t at = page->pa.value();
      const bool goes_on = before != 0 && at == before + base::kPageSize &&
                           (request.boundary == 0 || at % request.boundary != 0);
      if (!goes_on) {
        ++runs;
        start = at;
        if (request.alignment != 0) {
          ASSERT_EQ(at % request.alignment, 0u);
        }
      }
      if (request.boundary != 0) {
        ASSERT_EQ(start / request.boundary, at / request.boundary);
      }
      ASSERT_TRUE(InRange(request, page->pa.PageNumber()));
      ASSERT_EQ(page->wire_count, 1u);
      ASSERT_TRUE(page->object == nullptr && page->anon == nullptr && !page->IsBusy());
      Note(page);
      before = at;
      taken.push_back(page);
    }
    // Where a run ends at the boundary by chance, its neighbour may be the next.
    ASSERT_LE(runs, std::max<uint64_t>(request.runs, 1));
    lists_.push_back(taken);
  }

  void FreeList() {
    const uint64_t which = prng_.Below(lists_.size());
    PageList list;
    for (Page* page : lists_[which]) {
      list.PushBack(page);
      model_[page->pa.PageNumber()].used = false;
    }
    lists_[which] = lists_.back();
    lists_.pop_back();
    runs_.Free(&list);
    ASSERT_TRUE(list.empty());
  }

  const Kind kind_;
  base::Prng prng_;
  testing::NaivePmap pmap_;
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  PageLists runs_{&core_, &pages_};
  uint64_t anon_ = 0;
  std::map<uint64_t, Frame> model_;
  uint64_t next_segment_ = 1;
  FrameReserves reserves_;
  uint32_t loads_ = 0;
  std::vector<Page*> used_;
  std::vector<std::vector<Page*>> lists_;
};

TEST(FramesPropTest, EveryFrameIsInOnePlaceWhateverHappens) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Frames frames(seed, seed % 4 == 0 ? Kind::kLarge : Kind::kSmall);
    for (int step = 0; step < 1500; ++step) {
      frames.Step();
      if (::testing::Test::HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
      frames.Check();
      if (::testing::Test::HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace uvm
