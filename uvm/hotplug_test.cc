// Memory that comes and goes under a running Uvm, and objects that want memory of one sort.
#include <string>

#include "base/addr.h"
#include "gtest/gtest.h"
#include "uvm/invariants.h"
#include "uvm/page.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"
#include "uvm/uvm.h"

namespace uvm {
namespace {

constexpr Vaddr kMin(0x10000);

class HotplugTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kFrames = 64;

  // Maps `pages` pages and writes to each: how many could be.
  uint64_t Fill(uint64_t pages) {
    space_ = uvm_.CreateSpace(kMin, Vaddr(uint64_t{1} << 30)).value();
    EXPECT_TRUE(space_->map()
                    .Enter({.at = kMin,
                            .size = pages * base::kPageSize,
                            .where = Map::Where::kFixed,
                            .prot = base::kProtReadWrite})
                    .ok());
    return Touch(pages);
  }
  uint64_t Touch(uint64_t pages, Access access = Access::kWrite) {
    for (uint64_t i = 0; i < pages; ++i) {
      Result<void, FaultError> done = uvm_.Fault(space_, kMin + i * base::kPageSize, access);
      if (done.ok()) continue;
      EXPECT_EQ(done.error(), FaultError::kNoMemory);
      return i;
    }
    return pages;
  }
  std::string Violation() {
    char buffer[200];
    base::TextSink text(buffer, sizeof buffer);
    const char* name = FirstViolation(&uvm_, &text);
    return name == nullptr ? "" : std::string(name) + ": " + buffer;
  }
  void TearDown() override {
    EXPECT_EQ(Violation(), "");
    if (space_ != nullptr) uvm_.FreeSpace(space_);
    EXPECT_EQ(uvm_.DebugPages().free_count(), uvm_.DebugPages().total());
    EXPECT_EQ(Violation(), "");
  }

  testing::NaivePmap pmap_{kFrames};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  const PhysicalSegment lower_ = pmap_.segment(0);
  const PhysicalSegment upper_ = pmap_.segment(1);
  const FrameRange plugged_[1] = {{lower_.start, PageCount(10)}};
  Uvm uvm_{Config{.memory = &memory_,
                  .pmap = &pmap_,
                  .threads = &threads_,
                  .plugged = plugged_,
                  .plugged_count = 1}};
  Space* space_ = nullptr;
};

TEST_F(HotplugTest, WhoIsShortOfMemoryGoesOnWhenSomeComes) {
  EXPECT_EQ(uvm_.DebugPages().total(), PageCount(10));
  EXPECT_EQ(Fill(20), 10u);
  ASSERT_TRUE(uvm_.Plug(upper_.start, PageCount(4)));
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(Touch(20), 14u);
  ASSERT_TRUE(uvm_.Plug(lower_.start + base::ToBytes(PageCount(10)), PageCount(10)));
  EXPECT_EQ(Touch(20), 20u);
}

TEST_F(HotplugTest, MemoryInUseStaysAndWhatIsLeftGoes) {
  ASSERT_TRUE(uvm_.Plug(upper_.start, upper_.pages));
  EXPECT_EQ(Fill(12), 12u);
  EXPECT_FALSE(uvm_.Unplug(lower_.start, PageCount(10)));
  EXPECT_FALSE(uvm_.Unplug(upper_.start, upper_.pages));
  EXPECT_TRUE(uvm_.Unplug(upper_.start + base::ToBytes(PageCount(2)), upper_.pages - PageCount(2)));
  EXPECT_EQ(uvm_.DebugPages().total(), PageCount(12));
  EXPECT_EQ(Violation(), "");
  uvm_.FreeSpace(space_);
  EXPECT_TRUE(uvm_.Unplug(lower_.start, PageCount(10)));
  EXPECT_EQ(Fill(12), 2u);
}

TEST_F(HotplugTest, AnObjectOfOneFreeListGetsNothingElse) {
  ASSERT_TRUE(uvm_.Plug(upper_.start, PageCount(3), 1));
  Object* object = uvm_.CreateAobj(8 * base::kPageSize, 0).value();
  uvm_.SetFreeList(object, 1);
  space_ = uvm_.CreateSpace(kMin, Vaddr(uint64_t{1} << 30)).value();
  ASSERT_TRUE(space_->map()
                  .Enter({.at = kMin,
                          .size = 8 * base::kPageSize,
                          .where = Map::Where::kFixed,
                          .prot = base::kProtReadWrite,
                          .object = object})
                  .ok());
  EXPECT_EQ(Touch(8, Access::kRead), 3u)
      << "no fallback, though ten frames of another list are free";
  for (uint64_t i = 0; i < 3; ++i) EXPECT_EQ(object->DebugLookup(PageIndex(i))->free_list, 1) << i;
  EXPECT_EQ(uvm_.DebugPages().free_count(), PageCount(10));
}

TEST_F(HotplugTest, RunsOfFramesAreTheKernelsOwn) {
  PageList list;
  ASSERT_TRUE(uvm_.page_lists()
                  .Allocate({.bytes = 4 * base::kPageSize}, PageLists::MayWait::kYes, &list)
                  .ok());
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(Fill(10), 6u);
  PageList more;
  EXPECT_FALSE(
      uvm_.page_lists().Allocate({.bytes = base::kPageSize}, PageLists::MayWait::kYes, &more).ok());
  uvm_.page_lists().Free(&list);
  EXPECT_EQ(Touch(10), 10u);
}

TEST_F(HotplugTest, CachesAndColoursChangeNothingThatShows) {
  ASSERT_TRUE(uvm_.Plug(upper_.start, upper_.pages));
  ASSERT_TRUE(uvm_.DebugPages().StartCaches(2));
  ASSERT_TRUE(uvm_.DebugPages().Recolour(4));
  ASSERT_TRUE(uvm_.DebugPages().Rebucket(2));
  const uint64_t all = uvm_.DebugPages().total().value();
  EXPECT_EQ(Fill(all + 5), all);
  EXPECT_EQ(Violation(), "");
  uvm_.FreeSpace(space_);
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(Fill(all / 2), all / 2);
}

}  // namespace
}  // namespace uvm
