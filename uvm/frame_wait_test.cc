// Operations that need more frames than there are: they wait, and lose nothing.

#include "uvm/frame_wait.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "uvm/km.h"
#include "uvm/swap_memory.h"
#include "uvm/testing/page_out.h"
#include "uvm/testing/world.h"

namespace uvm {
namespace {

using testing::Loan;
using testing::PageAt;
using testing::Pages;
using testing::Pressure;
using testing::Space;

constexpr uint64_t kFrames = 32;

std::string Letters(uint64_t pages) {
  std::string letters;
  for (uint64_t i = 0; i < pages; ++i) letters += static_cast<char>('a' + i % 26);
  return letters;
}

class FrameWaitTest : public ::testing::Test, public testing::World {
 protected:
  explicit FrameWaitTest(uint64_t swap_pages = 512)
      : World(Pressure{.frames = kFrames, .swap_pages = swap_pages}) {}
  void TearDown() override {
    EXPECT_EQ(TearDownAndFindLeaks(), "");
    EXPECT_EQ(uvm().swap().in_use().value(), 0u);
    EXPECT_EQ(uvm().swap().only_on_swap().value(), 0u);
  }
  uint64_t waits() { return uvm().counters().frame_waits; }
};

TEST_F(FrameWaitTest, NobodyWaitsWhoDidNotMissAFrame) {
  struct Door final : FrameDoor {
    bool WaitForFrames() override { return ++asked != 0; }
    bool WaitForMany(base::PageCount) override { return false; }
    bool Reclaimable() override { return true; }
    void Kick() override {}
    int asked = 0;
  } door;
  Core core{nullptr, nullptr, nullptr, {}, {}};
  FrameWait nobody(&core);
  ++core.counters.frame_shortages;
  EXPECT_FALSE(nobody.Again()) << "there is no door";
  core.frames = &door;
  FrameWait wait(&core);
  EXPECT_FALSE(wait.Again()) << "something else was short";
  ++core.counters.frame_shortages;
  EXPECT_TRUE(wait.MayHelp());
  EXPECT_TRUE(wait.Again());
  EXPECT_FALSE(wait.Again()) << "since then none was missing";
  EXPECT_EQ(door.asked, 1);
}

TEST_F(FrameWaitTest, FaultsWait) {
  const std::string letters = Letters(3 * kFrames);
  Space space = NewSpace(letters);
  EXPECT_EQ(space.ReadAll(), letters);
  Space child = space.Fork();
  child.Write(std::string(letters.size(), 'z'));
  EXPECT_EQ(space.ReadAll(), letters);
  EXPECT_EQ(child.ReadAll(), std::string(letters.size(), 'z'));
  EXPECT_GT(waits(), 0u);
}

TEST_F(FrameWaitTest, AForkOfWiredMemoryCopiesPageByPage) {
  const std::string letters = Letters(20);
  Space parent = NewSpace(letters);
  parent.Wire(0, 20);
  Space other = NewSpace(Letters(20));
  const uint64_t before = waits();
  Space child = parent.Fork();
  EXPECT_GT(waits(), before) << "there was no room for twenty copies";
  parent.Write(std::string(20, 'z'));
  EXPECT_EQ(Contents(child), letters);
  EXPECT_EQ(child.ReadAll(), letters);
  EXPECT_EQ(parent.ReadAll(), std::string(20, 'z'));
  EXPECT_EQ(other.ReadAll(), Letters(20));
}

TEST_F(FrameWaitTest, AForkThatCannotBeServedIsTakenBack) {
  Space parent = NewSpace(Letters(20));
  parent.Wire(0, 20);
  Space hog = NewSpace(std::string(10, 'h'));
  hog.Wire(0, 8);
  auto child = uvm().ForkSpace(parent.get());
  // Twenty copies go through the few frames that are left, or nothing remains of them.
  if (child.ok()) uvm().FreeSpace(child.value());
  CheckInvariants();
  EXPECT_EQ(parent.ReadAll(), Letters(20));
  EXPECT_EQ(hog.ReadAll(), std::string(10, 'h'));
}

TEST_F(FrameWaitTest, LoansWait) {
  Space space = NewSpace(Letters(40));
  for (uint64_t page = 0; page < 40; page += 4) {
    Loan loan = space.Lend(page, 4);
    EXPECT_EQ(Contents(loan), Letters(40).substr(page, 4));
    Return(&loan);
  }
  Loan zeroes = NewSpace("00").Lend(0, 2);
  EXPECT_EQ(Contents(zeroes), "00");
  Return(&zeroes);
}

TEST_F(FrameWaitTest, ObjectsWiringWaits) {
  Object* object = uvm().CreateAobj(16 * base::kPageSize, 0).value();
  Space space = NewSpace(Letters(40));
  std::vector<Page*> pages(16);
  ASSERT_TRUE(uvm().WireObject(object, PageIndex(0), PageIndex(16), pages.data()).ok());
  CheckInvariants();
  uvm().UnwireObject(object, PageIndex(0), PageIndex(16));
  EXPECT_EQ(space.ReadAll(), Letters(40));
  uvm().ReleaseObject(object);
}

TEST_F(FrameWaitTest, TruncatingWaitsForThePageWhoseTailGoes) {
  Object* object = uvm().CreateAobj(2 * base::kPageSize, 0).value();
  Space space = NewSpace("..");
  space.Map({.at = 0, .pages = 2, .sharing = Sharing::kShared, .file = object});
  space.Write("ab");
  Space hog = NewSpace(Letters(60));
  EXPECT_EQ(ResidentAt(space, 1), nullptr);
  EXPECT_TRUE(uvm().TruncateAobj(object, base::kPageSize + 1));
  EXPECT_TRUE(uvm().TruncateAobj(object, 2 * base::kPageSize));
  EXPECT_EQ(space.Read("x."), "a.");
  EXPECT_EQ(hog.ReadAll(), Letters(60));
  uvm().ReleaseObject(object);
}

// More pages of an object than there are frames, copied and put back.
TEST_F(FrameWaitTest, CopiesLargerThanMemoryGoThrough) {
  constexpr uint64_t kPages = 50;
  Object* object = uvm().CreateAobj(kPages * base::kPageSize, 0).value();
  Space space = NewSpace(std::string(kPages, '.'));
  space.Map({.at = 0, .pages = kPages, .sharing = Sharing::kShared, .file = object});
  space.Write(Letters(kPages));
  StopChecking();  // a snapshot's references are nobody's that a checker knows
  Snapshot copy;
  ASSERT_TRUE(uvm().CopyIn(space.get(), Pages(0, kPages), &copy).ok());
  space.Write(std::string(kPages, 'z'));
  ASSERT_TRUE(uvm().Overwrite(space.get(), PageAt(0), &copy).ok());
  EXPECT_EQ(space.ReadAll(), Letters(kPages));
  EXPECT_EQ(Violation(), "");
  uvm().ReleaseObject(object);
}

TEST_F(FrameWaitTest, SharersOfMoreThanMemoryAreOverwritten) {
  constexpr uint64_t kPages = 50;
  Space one = NewSpace(std::string(kPages, '.'));
  one.Map({.at = 0, .pages = kPages, .sharing = Sharing::kShared});
  one.Write(std::string(kPages, 'z'));
  Space two = NewSpace(std::string(kPages, '.'));
  one.Extract(0, kPages, two, 0);
  two.Wire(3, 2);
  Space source = NewSpace(Letters(kPages));
  Space family = source.Fork();  // so that no page is the snapshot's alone
  StopChecking();
  Snapshot copy;
  ASSERT_TRUE(uvm().CopyIn(source.get(), Pages(0, kPages), &copy).ok());
  ASSERT_TRUE(uvm().Overwrite(one.get(), PageAt(0), &copy).ok());
  EXPECT_EQ(one.ReadAll(), Letters(kPages));
  EXPECT_EQ(two.ReadAll(), Letters(kPages));
  two.Write(std::string(kPages, 'y'));
  EXPECT_EQ(source.ReadAll(), Letters(kPages));
  EXPECT_EQ(family.ReadAll(), Letters(kPages));
  EXPECT_EQ(Violation(), "");
  two.Unwire(3, 2);
}

TEST_F(FrameWaitTest, PrivateLayersOfAFileAreCopiedInFewFrames) {
  Space space = NewSpace(std::string(9, '.'));
  space.Map({.at = 0, .pages = 9, .file = File(1)});
  space.Write("a.b.c....");
  NewSpace(Letters(60));  // in the way
  StopChecking();
  Snapshot copy;
  ASSERT_TRUE(uvm().CopyIn(space.get(), Pages(0, 9), &copy).ok());
  Space target = NewSpace(std::string(9, '0'));
  ASSERT_TRUE(uvm().Overwrite(target.get(), PageAt(0), &copy).ok());
  EXPECT_EQ(target.ReadAll(), "a2b4c6789");
  EXPECT_EQ(Violation(), "");
}

TEST_F(FrameWaitTest, SwapoffUnderLoadPutsTheDeviceOnAgain) {
  Space space = NewSpace(Letters(60));
  auto off = uvm().SwapOff(swap_fault());
  ASSERT_FALSE(off.ok());
  EXPECT_EQ(off.error(), SwapError::kNoMemory);
  EXPECT_EQ(space.ReadAll(), Letters(60));
  space.Unmap(0, 40);
  EXPECT_TRUE(uvm().SwapOff(swap_fault()).ok());
  EXPECT_EQ(space.ReadAll(), std::string(40, '?') + Letters(60).substr(40));
}

// ---- Memory and swap exhausted ----

class ExhaustedTest : public FrameWaitTest {
 protected:
  ExhaustedTest() : FrameWaitTest(16) {}
  // As many pages as fit, with letters.
  uint64_t Fill(const Space& space) {
    uint64_t page = 0;
    while (space.Touch(page, Access::kWrite) == "ok") ++page;
    EXPECT_LT(page, space.pages());
    return page;
  }
};

TEST_F(ExhaustedTest, AFaultWithoutHopeFailsAndNobodyElseSuffers) {
  Space victim = NewSpace("abcdefgh");
  Space hog = NewSpace(std::string(80, '0'));
  EXPECT_GE(Fill(hog), kFrames);
  EXPECT_EQ(hog.Touch(79, Access::kWrite), "no_memory");
  hog.Exit();
  EXPECT_EQ(victim.ReadAll(), "abcdefgh");
}

// facts/uvm.md 5.B' N6: NetBSD waits for ever here.
TEST_F(ExhaustedTest, N6AFaultOnAnAnonymousObjectWithoutHopeFails) {
  Object* object = uvm().CreateAobj(80 * base::kPageSize, 0).value();
  Space space = NewSpace(std::string(80, '.'));
  space.Map({.at = 0, .pages = 80, .sharing = Sharing::kShared, .file = object});
  EXPECT_GE(Fill(space), kFrames);
  EXPECT_EQ(space.Touch(79, Access::kRead), "no_memory");
  uvm().ReleaseObject(object);
}

TEST_F(ExhaustedTest, CopiesWithoutHopeLeaveEverythingAsItWas) {
  Space space = NewSpace(std::string(80, '0'));
  const uint64_t filled = Fill(space);
  StopChecking();
  Object* object = uvm().CreateAobj(base::kPageSize, 0).value();
  Snapshot copy;
  auto copied = uvm().CopyIn(space.get(), Pages(0, filled), &copy);
  ASSERT_TRUE(copied.ok()) << "nothing is copied yet";

  space->map().DropSnapshot(&copy);
  EXPECT_EQ(space.TryWire(0, filled), "no_memory");
  EXPECT_EQ(Violation(), "");
  uvm().ReleaseObject(object);
}

// facts/uvm.md 5.B' N4: in NetBSD slots that went bad never count as full, and a fault waits for
// ever.
class BadSwapTest : public testing::SwappingTest {};

TEST_F(BadSwapTest, N4AFaultDoesNotWaitForSwapThatIsAllBad) {
  device().FailWrites(~uint64_t{0});
  Space space = NewSpace(std::string(100, '0'));
  uint64_t page = 0;
  while (page < 100 && space.Touch(page, Access::kWrite) == "ok") ++page;
  EXPECT_LT(page, 100u);
  EXPECT_EQ(space.Touch(99, Access::kWrite), "no_memory");
  EXPECT_EQ(space.Read(std::string(page, 'x')), std::string(page, '0')) << "nothing is lost";
  lost_ = uvm().swap().in_use().value();
}

}  // namespace
}  // namespace uvm
