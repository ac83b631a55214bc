// Private memory that is not in memory: each operation on pages that lie on swap.

#include "uvm/swap_in.h"

#include "gtest/gtest.h"
#include "uvm/testing/page_out.h"
#include "uvm/voaddr.h"

namespace uvm {
namespace {

using testing::Loan;
using testing::PageAt;
using testing::Pages;
using testing::Space;

class SwapInTest : public testing::SwappingTest {
 protected:
  // What mincore(2) says, a digit a page.
  static std::string Resident(const Space& space) {
    std::string picture;
    for (uint64_t page = 0; page < space.pages(); ++page) {
      bool resident = false;
      const bool mapped = space->map().IsResident(PageAt(page), &resident);
      picture += mapped ? (resident ? '1' : '0') : '.';
    }
    return picture;
  }
};

// ---- Faults ----

TEST_F(SwapInTest, AReadBringsAPageInAndItKeepsItsSlot) {
  Space space = NewSpace("ab");
  PageOut(space, "xx");
  EXPECT_EQ(Presence(space), "ss");
  EXPECT_EQ(Swap(), "2 only 2");
  EXPECT_EQ(space.Read("x."), "a.");
  EXPECT_EQ(Presence(space), "bs");
  EXPECT_EQ(Swap(), "2 only 1");
  EXPECT_EQ(Faults(), "1A");
  EXPECT_EQ(Contents(space), "ab");
}

TEST_F(SwapInTest, ACleanPageGoesOutAgainWithoutBeingWritten) {
  Space space = NewSpace("a");
  PageOut(space, "x");
  EXPECT_EQ(space.ReadAll(), "a");
  const uint64_t written = uvm().swap().counters().page_outs;
  PageOut(space, "x");
  EXPECT_EQ(uvm().swap().counters().page_outs, written);
  EXPECT_EQ(space.ReadAll(), "a");
}

TEST_F(SwapInTest, AWriteAfterAPageInIsNotLost) {
  Space space = NewSpace("ab");
  PageOut(space, "xx");
  EXPECT_EQ(space.ReadAll(), "ab");
  space.Write("c.");  // read before: only the pmap knows
  PageOut(space, "xx");
  EXPECT_EQ(Presence(space), "ss");
  space.Write(".d");  // the fault knows
  PageOut(space, ".x");
  EXPECT_EQ(space.ReadAll(), "cd");
}

TEST_F(SwapInTest, NeighboursAreNotReadIn) {
  Space space = NewSpace("abcde");
  PageOut(space, "xxxxx");
  EXPECT_EQ(space.Read("..x.."), "..c..");
  EXPECT_EQ(Presence(space), "ssbss");
  EXPECT_EQ(Rights(space), "--w--") << "from here on the pmap knows whether it is dirty";
}

TEST_F(SwapInTest, ANeighbourThatIsThereIsMapped) {
  Space space = NewSpace("abc");
  PageOut(space, "xxx");
  space.Read(".x.");
  pmap().PageProtect(ResidentAt(space, 1)->pa, base::kProtNone);
  space.Read("x..");
  EXPECT_EQ(Presence(space), "bbs");
  EXPECT_EQ(Rights(space).substr(1), "w-") << "may be written without a fault from here on";
  space.Write(".x.");
  PageOut(space, "xx.");
  EXPECT_EQ(space.ReadAll(), "axc");
}

TEST_F(SwapInTest, AWriteToAPageOfAFamilyCopiesItFirst) {
  Space parent = NewSpace("ab");
  Space child = parent.Fork();
  PageOut(parent, "xx");
  EXPECT_EQ(Presence(parent, child), "ss|ss");
  EXPECT_EQ(Swap(), "2 only 2") << "one slot for both";
  child.Write("c.");
  EXPECT_EQ(Presence(parent, child), "bs|as");
  EXPECT_EQ(Faults(), "1B");
  EXPECT_EQ(parent.ReadAll(), "ab");
  EXPECT_EQ(child.ReadAll(), "cb");
}

// facts/uvm.md 5.B' N1.
TEST_F(SwapInTest, N1AnObjectsPageIsNeverMappedOverAPrivatePageOnSwap) {
  Object* file = File(1);
  Space space = NewSpace("...");
  space.Map({.at = 0, .pages = 3, .file = file});
  space.Write("a..");
  space.Read(".xx");
  PageOut(space, 0);
  pmap().PageProtect(ResidentAt(space, 1)->pa, base::kProtNone);
  EXPECT_EQ(space.Read(".x."), ".2.") << "a fault whose window has page 0";
  EXPECT_EQ(Rights(space)[0], '-');
  EXPECT_EQ(space.Read("x.."), "a..");
}

TEST_F(SwapInTest, APromptFaultRefuses) {
  Space space = NewSpace("a");
  PageOut(space, "x");
  auto prompt = uvm().FaultPromptly(space.get(), PageAt(0), Access::kRead);
  ASSERT_TRUE(prompt.ok());
  EXPECT_EQ(prompt.value(), FaultHandler::Prompt::kWouldWait);
  EXPECT_EQ(Presence(space), "s");
}

// ---- Errors ----

TEST_F(SwapInTest, APageThatCannotBeReadIsLostAndNoOther) {
  Space space = NewSpace("abc");
  Space child = space.Fork();
  PageOut(space, "xxx");
  device().FailReads(1);
  EXPECT_EQ(space.Touch(1, Access::kRead), "io");
  EXPECT_EQ(Presence(space, child), "sxs|sxs");
  EXPECT_EQ(Swap(), "3 only 2 bad 1");
  EXPECT_EQ(space.Touch(1, Access::kRead), "io") << "for good";
  EXPECT_EQ(space.Touch(1, Access::kWrite), "io");
  EXPECT_EQ(child.Touch(1, Access::kRead), "io") << "it is the same version";
  EXPECT_EQ(space.Read("x.x"), "a.c");
  lost_ = 1;
}

TEST_F(SwapInTest, WhatIsMappedInPlaceOfALostPageIsFine) {
  Space space = NewSpace("a");
  PageOut(space, "x");
  device().FailReads(1);
  EXPECT_EQ(space.Touch(0, Access::kRead), "io");
  space.Map({.at = 0, .where = Map::Where::kFixedReplace});
  space.Write("b");
  EXPECT_EQ(space.ReadAll(), "b");
  lost_ = 1;
}

TEST_F(SwapInTest, AWriteThatFailsLosesNothing) {
  Space space = NewSpace("a");
  device().FailWrites(1);
  EXPECT_EQ(PageOut(space, 0), "error");
  EXPECT_EQ(Presence(space), "a");
  EXPECT_EQ(space.ReadAll(), "a");
  PageOut(space, "x");
  EXPECT_EQ(space.ReadAll(), "a");
  lost_ = 1;
}

// ---- What happens while a page is read ----

TEST_F(SwapInTest, AnAnonWhoseLastOwnerGoesMeanwhileLeavesNothing) {
  Space space = NewSpace("ab");
  PageOut(space, "xx");
  StopChecking();  // in the middle of a fault
  device().AtNextRead([&] { EXPECT_TRUE(space->map().Unmap(Pages(0, 1)).ok()); });
  EXPECT_EQ(space.Touch(0, Access::kRead), "no_entry");
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(Presence(space), ".s");
  EXPECT_EQ(uvm().probes().hits(base::Probe::kSwapInTooLate), 1u);
}

TEST_F(SwapInTest, AnAnonThatIsLostWhileItsLastOwnerGoesLeavesNothing) {
  Space space = NewSpace("ab");
  PageOut(space, "xx");
  StopChecking();
  device().FailReads(1);
  device().AtNextRead([&] { EXPECT_TRUE(space->map().Unmap(Pages(0, 1)).ok()); });
  EXPECT_EQ(space.Touch(0, Access::kRead), "io");
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(Swap(), "2 only 1 bad 1");
  lost_ = 1;
}

TEST_F(SwapInTest, AFamilyThatGrowsMeanwhileSharesThePage) {
  Space space = NewSpace("a");
  PageOut(space, "x");
  StopChecking();
  uvm::Space* child = nullptr;
  device().AtNextRead([&] {
    auto forked = uvm().ForkSpace(space.get());
    ASSERT_TRUE(forked.ok());
    child = forked.value();
  });
  space.Write("b");
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(Contents(space, Space(this, child, 1)), "b|a");
}

TEST_F(SwapInTest, AnIdentityThatOutlivesAPageThatIsReadKeepsItsRecord) {
  Space space = NewSpace("ab");
  VoAddr address;
  ASSERT_TRUE(uvm().AcquireAddress(space.get(), PageAt(0), &address));
  PageOut(space, "x.");
  StopChecking();
  device().AtNextRead([&] { EXPECT_TRUE(space->map().Unmap(Pages(0, 1)).ok()); });
  EXPECT_EQ(space.Touch(0, Access::kRead), "no_entry");
  EXPECT_EQ(uvm().DebugAnons().held_only(), 1u);
  EXPECT_EQ(Violation(), "");
  uvm().ReleaseAddress(&address);
}

// ---- Fork ----

TEST_F(SwapInTest, AForkLeavesPagesWhereTheyAre) {
  Space parent = NewSpace("abc");
  PageOut(parent, "x.x");
  Space child = parent.Fork();
  Space grandchild = child.Fork();
  EXPECT_EQ(Presence(parent, child, grandchild), "sas|sas|sas");
  parent.Write("d..");
  child.Write("..e");
  EXPECT_EQ(Contents(parent, child, grandchild), "dbc|abe|abc");
  EXPECT_EQ(Swap(), "2");
}

TEST_F(SwapInTest, AForkOfSharedMemoryLeavesPagesWhereTheyAre) {
  Space parent = NewSpace("...");
  parent.Map({.at = 0, .pages = 3, .sharing = Sharing::kShared});
  parent.Write("abc");
  Space sharer = NewSpace("...");
  parent.Extract(0, 3, sharer, 0);
  PageOut(parent, "xx.");
  Space child = parent.Fork();
  EXPECT_EQ(Contents(parent, sharer, child), "abc|abc|abc");
  sharer.Write("d..");
  parent.Write(".e.");
  EXPECT_EQ(parent.ReadAll(), "dec");
  EXPECT_EQ(sharer.ReadAll(), "dec");
  EXPECT_EQ(child.ReadAll(), "abc");
}

TEST_F(SwapInTest, AForkOfMemoryThatASharerWiredCopiesWhatIsThere) {
  Space parent = NewSpace("...");
  parent.Map({.at = 0, .pages = 3, .sharing = Sharing::kShared});
  parent.Write("abc");
  Space sharer = NewSpace("...");
  parent.Extract(0, 3, sharer, 0);
  PageOut(parent, "xx.");
  sharer.Wire(1, 1);
  EXPECT_EQ(Presence(parent), "saa");
  Space child = parent.Fork();
  EXPECT_EQ(Presence(child), "saa");
  parent.Write("def");
  EXPECT_EQ(Contents(parent, sharer, child), "def|def|abc");
  sharer.Unwire(1, 1);
}

// facts/uvm.md 5.A item 10.
TEST_F(SwapInTest, A10WhatNobodyReachesAnyMoreHasNoSlot) {
  Space parent = NewSpace("abcdef");
  PageOut(parent, "xxxxxx");
  Space child = parent.Fork();
  child.Write("g.....");
  parent.Unmap(0, 2);
  EXPECT_EQ(Swap(), "5 only 5") << "nobody has a";
  child.Unmap(1, 3);
  EXPECT_EQ(Swap(), "4 only 4") << "nor b; c and d are the parent's";
  parent.Exit();
  EXPECT_EQ(Swap(), "2 only 2");
  EXPECT_EQ(child.ReadAll(), "g???ef");
}

// ---- Wiring ----

TEST_F(SwapInTest, AWiredPageIsInMemoryAndHasNoSlot) {
  Space space = NewSpace("abc");
  PageOut(space, "xx.");
  space.Read("x..");
  space.Wire(0, 3);
  EXPECT_EQ(Presence(space), "aaa");
  EXPECT_EQ(Swap(), "0");
  EXPECT_EQ(PageOut(space, 0), "wired");
  space.Unwire(0, 3);
  PageOut(space, "xxx");
  EXPECT_EQ(space.ReadAll(), "abc");
}

TEST_F(SwapInTest, AWiringThatMeetsALostPageIsTakenBack) {
  Space space = NewSpace("abc");
  PageOut(space, "xxx");
  device().AtNextRead([&] { device().AtNextRead([&] { device().FailReads(1); }); });
  EXPECT_EQ(space.TryWire(0, 3), "io");
  EXPECT_EQ(Wires(space), "000");
  EXPECT_EQ(Presence(space), "axs");
  lost_ = 1;
}

// ---- The rest of the map's operations ----

TEST_F(SwapInTest, OnlyPagesInMemoryAreResident) {
  Space space = NewSpace("ab0.");
  PageOut(space, "x...");
  EXPECT_EQ(Resident(space), "010.");
}

// facts/uvm.md 5.B': a paged-out private page keeps its contents.
TEST_F(SwapInTest, FreeingKeepsWhatIsOnSwapAndForgetsWhatIsInMemory) {
  Space space = NewSpace("abc");
  PageOut(space, "xx.");
  space.Read(".x.");
  space.Advise(0, 3, Advice::kFree);
  EXPECT_EQ(Presence(space), "s..");
  EXPECT_EQ(Swap(), "1 only 1");
  EXPECT_EQ(space.ReadAll(), "a00");
}

TEST_F(SwapInTest, DiscardingForgetsSlotsToo) {
  Space space = NewSpace("ab");
  PageOut(space, "x.");
  EXPECT_EQ(space.TryDiscard(0, 2), "ok");
  EXPECT_EQ(Swap(), "0");
  EXPECT_EQ(space.ReadAll(), "00");
}

TEST_F(SwapInTest, MovedPagesKeepTheirSlots) {
  Space space = NewSpace("ab....");
  PageOut(space, "x.");
  EXPECT_EQ(space.Remap({.from = 0,
                         .pages = 2,
                         .new_pages = 3,
                         .to = 3,
                         .where = Map::RemapOptions::Where::kFixed}),
            3u);
  EXPECT_EQ(Presence(space), "...sa.");
  EXPECT_EQ(space.ReadAll(), "???ab0");
}

TEST_F(SwapInTest, SharersOfAnAmapSeeOnePageIn) {
  Space one = NewSpace("ab");
  Space two = NewSpace("..");
  one.Extract(0, 2, two, 0);
  PageOut(one, "xx");
  EXPECT_EQ(two.Read("x."), "a.");
  EXPECT_EQ(Presence(one, two), "bs|bs");
  two.Write("c.");
  EXPECT_EQ(one.ReadAll(), "cb");
}

TEST_F(SwapInTest, AnIdentityStaysTheSameWhereverThePageLies) {
  Space space = NewSpace("ab");
  VoAddr in_memory, on_swap, other;
  ASSERT_TRUE(uvm().AcquireAddress(space.get(), PageAt(0), &in_memory));
  PageOut(space, "xx");
  ASSERT_TRUE(uvm().AcquireAddress(space.get(), PageAt(0), &on_swap));
  ASSERT_TRUE(uvm().AcquireAddress(space.get(), PageAt(1), &other));
  EXPECT_TRUE(in_memory == on_swap);
  EXPECT_FALSE(in_memory == other);
  for (VoAddr* address : {&in_memory, &on_swap, &other}) uvm().ReleaseAddress(address);
}

TEST_F(SwapInTest, ACoreDumpHasWhatIsOnSwap) {
  Space space = NewSpace("a0");
  PageOut(space, "x.");
  struct Visitor final : Map::CoreVisitor {
    bool Visit(const Map::CoreSegment& segment) override {
      contents += segment.contents_end - segment.range.start;
      return true;
    }
    uint64_t contents = 0;
  } visitor;
  EXPECT_TRUE(space->map().WalkForCore({}, &visitor));
  EXPECT_EQ(visitor.contents, base::kPageSize);
}

TEST_F(SwapInTest, BytesAreCopiedOfAndToPagesOnSwap) {
  Space space = NewSpace("ab");
  PageOut(space, "xx");
  unsigned char bytes[16];
  uint64_t moved;
  const Vaddr at = PageAt(1) - 8;
  ASSERT_TRUE(uvm().CopyBytes(space.get(), at, bytes, 16, Access::kRead, &moved).ok());
  EXPECT_EQ(std::string(bytes, bytes + 16), "aaaaaaaabbbbbbbb");
  PageOut(space, "xx");
  bytes[0] = 'c';
  ASSERT_TRUE(uvm().CopyBytes(space.get(), PageAt(0), bytes, 1, Access::kWrite, &moved).ok());
  PageOut(space, "x.");
  ASSERT_TRUE(uvm().CopyBytes(space.get(), PageAt(0), bytes + 1, 1, Access::kRead, &moved).ok());
  EXPECT_EQ(bytes[1], 'c');
}

// ---- Loans ----

TEST_F(SwapInTest, APageOnSwapIsBroughtInToBeLent) {
  Space space = NewSpace("ab");
  PageOut(space, "x.");
  Loan loan = space.Lend(0, 2);
  EXPECT_EQ(Contents(loan), "ab");
  EXPECT_EQ(PageOut(space, 0), "lent");
  space.Write("c.");
  EXPECT_EQ(Contents(loan), "ab");
  Return(&loan);
  PageOut(space, "xx");
  EXPECT_EQ(space.ReadAll(), "cb");
}

TEST_F(SwapInTest, AnAnonIsLentWhereverItLies) {
  Space space = NewSpace("ab");
  PageOut(space, "x.");
  Loan loan = space.LendAnons(0, 2);
  EXPECT_EQ(Presence(space), "sa");
  EXPECT_EQ(Contents(loan), "ab");
  space.Write("c.");
  PageOut(space, ".x");
  EXPECT_EQ(Contents(loan), "ab");
  EXPECT_EQ(Contents(space), "cb");
  space.Exit();
  EXPECT_EQ(Contents(loan), "ab");
  Return(&loan);
}

TEST_F(SwapInTest, ALoanOfALostPageIsRefused) {
  Space space = NewSpace("a");
  PageOut(space, "x");
  device().FailReads(1);
  Loan loan;
  EXPECT_EQ(space.TryLend(0, 1, &loan), "invalid_argument");
  lost_ = 1;
}

// ---- Copies that belong to no map ----

TEST_F(SwapInTest, ASnapshotOfPagesOnSwapCopiesNothing) {
  Space space = NewSpace("ab");
  PageOut(space, "xx");
  StopChecking();  // a snapshot's references are nobody's that a checker knows
  Snapshot copy;
  ASSERT_TRUE(uvm().CopyIn(space.get(), Pages(0, 2), &copy).ok());
  EXPECT_EQ(Presence(space), "ss");
  space.Write("c.");
  Space target = NewSpace("00");
  ASSERT_TRUE(uvm().Overwrite(target.get(), PageAt(0), &copy).ok());
  EXPECT_EQ(target.ReadAll(), "ab");
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(space.ReadAll(), "cb");
}

TEST_F(SwapInTest, SharersAreOverwrittenWithPagesOnSwap) {
  Space source = NewSpace("abc");
  Space one = NewSpace("...");
  one.Map({.at = 0, .pages = 3, .sharing = Sharing::kShared});
  one.Write("xyz");
  Space two = NewSpace("...");
  one.Extract(0, 3, two, 0);
  two.Wire(1, 1);
  PageOut(one, "x.x");
  StopChecking();  // a snapshot's references are nobody's that a checker knows
  Snapshot copy;
  ASSERT_TRUE(uvm().CopyIn(source.get(), Pages(0, 3), &copy).ok());
  PageOut(source, "xx.");
  ASSERT_TRUE(uvm().Overwrite(one.get(), PageAt(0), &copy).ok());
  EXPECT_EQ(Contents(source, one, two), "abc|abc|abc");
  EXPECT_EQ(one.ReadAll(), "abc");
  EXPECT_EQ(two.ReadAll(), "abc");
  EXPECT_EQ(Violation(), "");
  two.Unwire(1, 1);
}

TEST_F(SwapInTest, PagesOfAFileUnderALayerOnSwapAreCopiedWithIt) {
  Space space = NewSpace("...");
  space.Map({.at = 0, .pages = 3, .file = File(1)});
  space.Write("a..");
  PageOut(space, "x..");
  StopChecking();  // a snapshot's references are nobody's that a checker knows
  Snapshot copy;
  ASSERT_TRUE(uvm().CopyIn(space.get(), Pages(0, 3), &copy).ok());
  Space target = NewSpace("000");
  ASSERT_TRUE(uvm().Overwrite(target.get(), PageAt(0), &copy).ok());
  EXPECT_EQ(target.ReadAll(), "a23");
  EXPECT_EQ(Violation(), "");
}

}  // namespace
}  // namespace uvm
