#include "uvm/pglist.h"

#include <string>

#include "base/addr.h"
#include "gtest/gtest.h"
#include "uvm/core.h"
#include "uvm/page.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

constexpr uint64_t kPage = base::kPageSize;

// Frees a frame for each wait, as long as it has some.
class Releaser final : public FrameDoor {
 public:
  bool WaitForFrames() override {
    ++waits;
    if (hoard.empty()) return false;
    pages->Free(hoard.PopFront());
    return true;
  }
  bool WaitForMany(base::PageCount) override { return WaitForFrames(); }
  bool Reclaimable() override { return !hoard.empty(); }
  void Kick() override {}

  PageStore* pages = nullptr;
  PageList hoard;
  int waits = 0;
};

class PageListsTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kFrames = 64;

  // What came, as runs: "4-7 9", by distance from the first frame; or the error.
  std::string Allocate(const PageListRequest& request,
                       PageLists::MayWait may_wait = PageLists::MayWait::kNo) {
    PageList list;
    const Result<void, PageListError> got = runs_.Allocate(request, may_wait, &list);
    if (!got.ok()) {
      EXPECT_TRUE(list.empty());
      return got.error() == PageListError::kInvalid ? "invalid" : "no memory";
    }
    std::string names;
    uint64_t from = 0, to = 0;
    auto end_run = [&] {
      if (to == 0) return;
      names += (names.empty() ? "" : " ") + std::to_string(from);
      if (to - from > 1) names += "-" + std::to_string(to - 1);
    };
    while (Page* page = list.PopFront()) {
      const uint64_t name = (page->pa - First()) / kPage;
      if (to == 0 || name != to) {
        end_run();
        from = name;
      }
      to = name + 1;
      taken_.PushBack(page);
    }
    end_run();
    return names;
  }
  void FreeAll() { runs_.Free(&taken_); }
  Paddr First() const { return pmap_.segment(0).start; }
  Paddr At(uint64_t name) const { return First() + name * kPage; }
  // Uses the frames that have an 'x'.
  void Use(const std::string& picture) {
    PageStore::FrameSearch exclusive(&pages_);
    for (size_t i = 0; i < picture.size(); ++i) {
      if (picture[i] == 'x') used_.PushBack(pages_.TakeForKernel(At(i)));
    }
  }
  void TearDown() override {
    FreeAll();
    runs_.Free(&used_);
    EXPECT_EQ(pages_.DebugWrongFree(~uint64_t{0}), nullptr);
    EXPECT_EQ(core_.counters.kernel_wirings, 0u);
    EXPECT_EQ(pages_.free_count(), pages_.total());
  }

  testing::NaivePmap pmap_{kFrames};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  PageLists runs_{&core_, &pages_};
  PageList taken_;
  PageList used_;
};

TEST_F(PageListsTest, GivesOneRunOfWholePages) {
  EXPECT_EQ(Allocate({.bytes = 3 * kPage + 1}), "0-3");
  EXPECT_EQ(Allocate({.bytes = 1}), "4");
  EXPECT_EQ(pages_.wired_count(), PageCount(5));
  EXPECT_EQ(core_.counters.frames_in_use, 5u);
  FreeAll();
  EXPECT_EQ(pages_.wired_count(), PageCount(0));
  EXPECT_EQ(core_.counters.frames_in_use, 0u);
}

TEST_F(PageListsTest, TheFirstRunThatFits) {
  Use("x..x...x....x");
  EXPECT_EQ(Allocate({.bytes = 3 * kPage}), "4-6");
  EXPECT_EQ(Allocate({.bytes = 4 * kPage}), "8-11");
}

TEST_F(PageListsTest, GoesOnWhereTheLastSearchEnded) {
  EXPECT_EQ(Allocate({.bytes = 2 * kPage}), "0-1");
  FreeAll();
  EXPECT_EQ(Allocate({.bytes = 2 * kPage}), "2-3");
  EXPECT_EQ(Allocate({.bytes = 28 * kPage}), "4-31");
  EXPECT_EQ(Allocate({.bytes = 2 * kPage, .high = At(8)}), "0-1") << "begins again from below";
}

TEST_F(PageListsTest, KeepsToTheRange) {
  EXPECT_EQ(Allocate({.bytes = 2 * kPage, .low = At(3) + 1, .high = At(7)}), "4-5");
  EXPECT_EQ(Allocate({.bytes = kPage, .low = At(6), .high = At(8) - 1}), "6");
  EXPECT_EQ(Allocate({.bytes = 2 * kPage, .low = At(4), .high = At(8)}), "no memory")
      << "only 7 is left there";
}

TEST_F(PageListsTest, AlignsRuns) {
  const uint64_t base = First().PageNumber() % 8;
  EXPECT_EQ(base, 0u) << "the pictures below rely on it";
  Use("x");
  EXPECT_EQ(Allocate({.bytes = 2 * kPage, .alignment = 8 * kPage}), "8-9");
  EXPECT_EQ(Allocate({.bytes = kPage, .alignment = 4 * kPage}), "12");
  EXPECT_EQ(Allocate({.bytes = kPage, .alignment = 1}), "1");
}

TEST_F(PageListsTest, RunsDoNotCrossTheBoundary) {
  Use("xxxxxx");
  EXPECT_EQ(Allocate({.bytes = 4 * kPage, .boundary = 8 * kPage}), "8-11");
  EXPECT_EQ(Allocate({.bytes = 2 * kPage, .low = At(6), .boundary = 8 * kPage}), "12-13");
  EXPECT_EQ(Allocate({.bytes = 2 * kPage, .boundary = 2 * kPage}), "14-15");
}

TEST_F(PageListsTest, SeveralRunsWhereOneIsNotToBeHad) {
  Use("x.xx..x...x" + std::string(21, 'x'));
  const PageListRequest five{.bytes = 5 * kPage, .high = At(32)};
  EXPECT_EQ(Allocate(five), "no memory");
  PageListRequest two = five;
  two.runs = 2;
  EXPECT_EQ(Allocate(two), "7-9 4-5") << "the longest first";
  EXPECT_EQ(Allocate({.bytes = 2 * kPage, .high = At(32), .runs = 2}), "no memory");
}

TEST_F(PageListsTest, OneByOneIfRunsDoNotMatter) {
  Use("x.xx..x...x" + std::string(21, 'x'));
  EXPECT_EQ(Allocate({.bytes = 5 * kPage, .high = At(32), .runs = 5}), "1 4-5 7-8");
}

TEST_F(PageListsTest, RefusesNonsense) {
  const uint64_t all = ~uint64_t{0};
  EXPECT_EQ(Allocate({.bytes = 0}), "invalid");
  EXPECT_EQ(Allocate({.bytes = all}), "invalid") << "rounds up to nothing";
  EXPECT_EQ(Allocate({.bytes = all - 2 * kPage}), "no memory");
  EXPECT_EQ(Allocate({.bytes = kPage, .alignment = 3 * kPage}), "invalid");
  EXPECT_EQ(Allocate({.bytes = kPage, .boundary = 3 * kPage}), "invalid");
  EXPECT_EQ(Allocate({.bytes = 3 * kPage, .boundary = 2 * kPage}), "invalid") << "less than bytes";
  EXPECT_EQ(Allocate({.bytes = kPage, .runs = 0}), "invalid");
  EXPECT_EQ(Allocate({.bytes = kPage, .low = At(8), .high = At(4)}), "invalid");
  EXPECT_EQ(Allocate({.bytes = kPage, .low = At(4) + 1, .high = At(5) + 1}), "invalid")
      << "no whole frame";
  EXPECT_EQ(Allocate({.bytes = kPage, .high = First()}), "invalid") << "below all memory";
  EXPECT_EQ(Allocate({.bytes = kPage, .low = Paddr(all - 5)}), "invalid");
  EXPECT_EQ(Allocate({.bytes = kPage, .alignment = uint64_t{1} << 63}), "no memory");
  EXPECT_EQ(Allocate({.bytes = kPage, .boundary = uint64_t{1} << 63}), "0");
}

TEST_F(PageListsTest, LeavesTheReserves) {
  pages_.SetReserves({.pagedaemon = PageCount(1), .kernel = PageCount(5)});
  EXPECT_EQ(Allocate({.bytes = (kFrames - 5) * kPage, .runs = kFrames}), "no memory");
  EXPECT_NE(Allocate({.bytes = (kFrames - 6) * kPage, .runs = kFrames}), "no memory");
}

TEST_F(PageListsTest, TakesWhatProcessorsHaveInTheirCaches) {
  ASSERT_TRUE(pages_.StartCaches(1));
  Page* page = pages_.AllocateForObject(nullptr, PageIndex(0));
  ASSERT_TRUE(pages_.FromPaddr(At(2))->cached);
  EXPECT_EQ(Allocate({.bytes = 3 * kPage, .low = At(1), .high = At(4)}), "1-3");
  page->object = reinterpret_cast<Object*>(&core_);
  pages_.Free(page);
}

TEST_F(PageListsTest, WaitsForFramesButNotForRuns) {
  Releaser door;
  door.pages = &pages_;
  core_.frames = &door;
  Use(std::string(32, 'x'));
  EXPECT_EQ(Allocate({.bytes = 32 * kPage, .runs = 32}), "48-79") << "the upper segment";
  while (!used_.empty()) {
    Page* page = used_.PopFront();
    --core_.counters.kernel_wirings;  // becomes the hoard's
    door.hoard.PushBack(page);
  }
  const PageListRequest three{.bytes = 3 * kPage};
  EXPECT_EQ(Allocate(three), "no memory");
  EXPECT_EQ(door.waits, 0);
  EXPECT_EQ(Allocate(three, PageLists::MayWait::kYes), "0-2");
  EXPECT_EQ(door.waits, 3);
  pages_.Free(door.hoard.PopFront());
  Page* between = door.hoard.PopFront();
  pages_.Free(door.hoard.PopFront());
  EXPECT_EQ(Allocate({.bytes = 2 * kPage}, PageLists::MayWait::kYes), "no memory");
  EXPECT_EQ(door.waits, 3) << "enough frames are free, just not side by side";
  EXPECT_EQ(Allocate({.bytes = 1000 * kPage}, PageLists::MayWait::kYes), "no memory");
  EXPECT_EQ(door.waits, 3) << "there never are so many";
  pages_.Free(between);
  while (!door.hoard.empty()) pages_.Free(door.hoard.PopFront());
  EXPECT_EQ(Allocate({.bytes = 33 * kPage}, PageLists::MayWait::kYes), "no memory");
  core_.frames = nullptr;
}

TEST_F(PageListsTest, KeepsToASegment) {
  ASSERT_TRUE(pages_.Unplug(At(8), PageCount(1)));
  EXPECT_EQ(Allocate({.bytes = 9 * kPage}), "9-17");
  ASSERT_TRUE(pages_.Plug(At(8), PageCount(1)));
  EXPECT_EQ(Allocate({.bytes = 9 * kPage, .high = At(9)}), "no memory");
}

TEST_F(PageListsTest, ListsGoInTheirOrder) {
  ASSERT_TRUE(pages_.Unplug(At(0), PageCount(8)));
  ASSERT_TRUE(pages_.Plug(At(0), PageCount(8), 1));
  EXPECT_EQ(Allocate({.bytes = 2 * kPage}), "8-9");
  EXPECT_EQ(Allocate({.bytes = 2 * kPage, .runs = 2}), "10-11");
  EXPECT_EQ(Allocate({.bytes = 2 * kPage, .high = At(8)}), "0-1");
}

using PageListsDeathTest = PageListsTest;

TEST_F(PageListsDeathTest, ForeignPagesAreNotFreed) {
  Page* page = pages_.AllocateForAnon(reinterpret_cast<Anon*>(&core_));
  PageList list;
  list.PushBack(page);
  EXPECT_DEATH(runs_.Free(&list), "wire_count == 1");
  list.Remove(page);
  PageList full;
  full.PushBack(page);
  EXPECT_DEATH((void)runs_.Allocate({.bytes = 1}, PageLists::MayWait::kNo, &full), "empty");
  full.Remove(page);
  pages_.Free(page);
}

}  // namespace
}  // namespace uvm
