// Anonymous objects whose pages lie on swap.

#include "absl/base/thread_annotations.h"
#include "gtest/gtest.h"
#include "uvm/aobj.h"
#include "uvm/testing/page_out.h"

namespace uvm {
namespace {

using testing::Space;

class AobjSwapTest : public testing::SwappingTest {
 protected:
  // A space that shows the object's first pages, and has one letter in each that is not '0'.
  Space Show(Object* object, const std::string& picture) {
    Space space = NewSpace(std::string(picture.size(), '.'));
    space.Map({.at = 0, .pages = picture.size(), .sharing = Sharing::kShared, .file = object});
    std::string letters = picture;
    for (char& letter : letters) letter = letter == '0' ? '.' : letter;
    space.Write(letters);
    Faults();
    return space;
  }
  Object* Make(uint64_t pages, uint32_t flags = 0) {
    return uvm().CreateAobj(pages * base::kPageSize, flags).value();
  }
  static void FreeAll(Object* object) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    object->mu.Lock();
    EXPECT_TRUE(object->pager()->Put(object, PageIndex(0), PageIndex(0), kPgoFree).ok());
  }
};

TEST_F(AobjSwapTest, AReadBringsAPageInAndItKeepsItsSlot) {
  Object* object = Make(3);
  Space space = Show(object, "ab0");
  PageOut(space, "xx.");
  EXPECT_EQ(Presence(space), "qq.");
  EXPECT_EQ(Contents(space), "ab0");
  EXPECT_EQ(space.Read("x.."), "a..");
  EXPECT_EQ(Presence(space), "pq.") << "neighbours are not read in";
  EXPECT_EQ(Swap(), "2 only 1");
  EXPECT_EQ(Faults(), "2A");
  const uint64_t written = uvm().swap().counters().page_outs;
  PageOut(space, "x..");
  EXPECT_EQ(uvm().swap().counters().page_outs, written) << "it was clean";
  space.Write("c..");
  PageOut(space, "x..");
  EXPECT_EQ(space.ReadAll(), "cb0");
  uvm().ReleaseObject(object);
}

TEST_F(AobjSwapTest, APrivateMappingCopiesAPageThatIsOnSwap) {
  Object* object = Make(2);
  Space space = Show(object, "ab");
  Space reader = NewSpace("..");
  reader.Map({.at = 0, .pages = 2, .file = object});
  PageOut(space, "xx");
  reader.Write("c.");
  EXPECT_EQ(Presence(space, reader), "pq|aq");
  EXPECT_EQ(Contents(space, reader), "ab|cb");
  uvm().ReleaseObject(object);
}

// Beyond 64 pages slots stand in a hash of clusters.
TEST_F(AobjSwapTest, LargeObjectsFindTheirSlots) {
  Object* object = Make(5000);
  Space space = NewSpace("....");
  const uint64_t places[] = {0, 63, 64, 4999};
  for (uint64_t i = 0; i < 4; ++i) {
    space.Map({.at = i, .sharing = Sharing::kShared, .file = object, .file_page = places[i]});
  }
  space.Write("abcd");
  PageOut(space, "xxxx");
  EXPECT_EQ(Presence(space), "qqqq");
  EXPECT_EQ(space.ReadAll(), "abcd");
  uvm().ReleaseObject(object);
}

TEST_F(AobjSwapTest, AnObjectThatGrowsKeepsItsSlots) {
  Object* object = Make(2);
  Space space = Show(object, "ab");
  PageOut(space, "xx");
  EXPECT_TRUE(uvm().TruncateAobj(object, 100 * base::kPageSize));
  Space end = NewSpace(".");
  end.Map({.at = 0, .sharing = Sharing::kShared, .file = object, .file_page = 99});
  end.Write("c");
  PageOut(end, "x");
  EXPECT_EQ(space.ReadAll(), "ab");
  EXPECT_EQ(end.ReadAll(), "c");
  uvm().ReleaseObject(object);
}

TEST_F(AobjSwapTest, WhatIsCutOffGivesItsSlotsBack) {
  Object* object = Make(4);
  Space space = Show(object, "abcd");
  PageOut(space, "xxxx");
  space.Read("...x");
  EXPECT_TRUE(uvm().TruncateAobj(object, 2 * base::kPageSize));
  EXPECT_EQ(Swap(), "2 only 2");
  EXPECT_TRUE(uvm().TruncateAobj(object, 4 * base::kPageSize));
  EXPECT_EQ(space.ReadAll(), "ab00");
  uvm().ReleaseObject(object);
}

TEST_F(AobjSwapTest, TheTailOfAPageOnSwapBecomesZero) {
  Object* object = Make(2);
  Space space = Show(object, "ab");
  PageOut(space, "xx");
  EXPECT_TRUE(uvm().TruncateAobj(object, base::kPageSize + 100));
  EXPECT_EQ(Presence(space), "qo") << "what the slot has of it is worth nothing";
  EXPECT_TRUE(uvm().TruncateAobj(object, 2 * base::kPageSize));
  PageOut(space, ".x");
  space.Read(".x");
  const unsigned char* bytes = uvm().DebugPages().Contents(ResidentAt(space, 1));
  EXPECT_EQ(bytes[99], 'b');
  EXPECT_EQ(bytes[100], 0);
  EXPECT_EQ(bytes[base::kPageSize - 1], 0);
  uvm().ReleaseObject(object);
}

TEST_F(AobjSwapTest, ATailThatCannotBeReadIsLostWithItsPage) {
  Object* object = Make(1);
  Space space = Show(object, "a");
  PageOut(space, "x");
  device().FailReads(1);
  EXPECT_TRUE(uvm().TruncateAobj(object, 100));
  EXPECT_EQ(space.Touch(0, Access::kRead), "io");
  EXPECT_TRUE(uvm().TruncateAobj(object, 0));
  EXPECT_TRUE(uvm().TruncateAobj(object, base::kPageSize));
  EXPECT_EQ(space.ReadAll(), "0") << "another version of the page";
  uvm().ReleaseObject(object);
  lost_ = 1;
}

TEST_F(AobjSwapTest, APageThatCannotBeReadIsLostAndNoOther) {
  Object* object = Make(3);
  Space space = Show(object, "abc");
  Space other = NewSpace("...");
  other.Map({.at = 0, .pages = 3, .file = object});
  PageOut(space, "xxx");
  device().FailReads(1);
  EXPECT_EQ(space.Touch(1, Access::kWrite), "io");
  EXPECT_EQ(Presence(space), "qyq");
  EXPECT_EQ(space.Touch(1, Access::kRead), "io");
  EXPECT_EQ(other.Touch(1, Access::kWrite), "io") << "nor can it be copied";
  EXPECT_EQ(space.Read("x.x"), "a.c");
  uvm().ReleaseObject(object);
  lost_ = 1;
}

// facts/uvm.md 5.B item 8a: the slot of the page itself, not of its place among the sixteen.
TEST_F(AobjSwapTest, B8aWiringGivesUpTheSlotOfThePageItself) {
  Object* object = Make(40);
  Space space = NewSpace("..");
  space.Map({.at = 0, .sharing = Sharing::kShared, .file = object, .file_page = 4});
  space.Map({.at = 1, .sharing = Sharing::kShared, .file = object, .file_page = 20});
  space.Write("ab");
  PageOut(space, "xx");
  Page* page;
  ASSERT_TRUE(uvm().WireObject(object, PageIndex(20), PageIndex(21), &page).ok());
  EXPECT_EQ(Presence(space), "qo");
  EXPECT_EQ(Swap(), "1 only 1");
  EXPECT_EQ(space.ReadAll(), "ab");
  uvm().UnwireObject(object, PageIndex(20), PageIndex(21));
  uvm().ReleaseObject(object);
}

TEST_F(AobjSwapTest, AnEntryThatIsWiredHasItsPagesInMemoryAndNoSlots) {
  Object* object = Make(2);
  Space space = Show(object, "ab");
  PageOut(space, "xx");
  space.Wire(0, 2);
  EXPECT_EQ(Presence(space), "oo");
  EXPECT_EQ(PageOut(space, 1), "wired");
  space.Unwire(0, 2);
  uvm().ReleaseObject(object);
}

TEST_F(AobjSwapTest, APageOnSwapIsBroughtInToBeLent) {
  Object* object = Make(2);
  Space space = Show(object, "ab");
  PageOut(space, "xx");
  testing::Loan loan = space.Lend(0, 1);
  Page* lent;
  ASSERT_TRUE(uvm().loans().LendObjectPages(object, PageIndex(1), 1, &lent).ok());
  loan.pages.push_back(lent);
  EXPECT_EQ(Contents(loan), "ab");
  space.Write("cd");
  EXPECT_EQ(Contents(loan), "ab");
  Return(&loan);
  EXPECT_EQ(space.ReadAll(), "cd");
  uvm().ReleaseObject(object);
}

TEST_F(AobjSwapTest, AnObjectThatDiesTakesItsSlotsAlong) {
  Object* object = Make(3);
  Space space = Show(object, "abc");
  PageOut(space, "xx.");
  space.Read("x..");
  uvm().ReleaseObject(object);
  EXPECT_EQ(Swap(), "2 only 1");
  space.Exit();
  EXPECT_EQ(Swap(), "0");
}

TEST_F(AobjSwapTest, AnObjectCutWhileItsPageIsReadForgetsIt) {
  Object* object = Make(2);
  Space space = Show(object, "ab");
  PageOut(space, "xx");
  device().AtNextRead([&] {
    // Cutting waits for the page, so all that can be seen from here is that it is busy.
    EXPECT_TRUE(object->DebugLookup(PageIndex(1))->IsBusy());
  });
  EXPECT_EQ(space.Read(".x"), ".b");
  EXPECT_TRUE(uvm().TruncateAobj(object, base::kPageSize));
  EXPECT_EQ(space.Touch(1, Access::kRead), "past_end");
  EXPECT_EQ(Swap(), "1 only 1");
  uvm().ReleaseObject(object);
}

TEST_F(AobjSwapTest, WhatMayNotBeSwappedSaysSo) {
  Object* object = Make(1, kAobjNoSwap);
  EXPECT_FALSE(uvm().DebugAnonymous().CanSwap(object));
  EXPECT_FALSE(uvm().DebugAnonymous().CanSwap(File(1)));
  uvm().ReleaseObject(object);
}

// Freeing takes pages and slots, wherever the contents lie.
TEST_F(AobjSwapTest, FreeingPagesFreesTheirSlots) {
  Object* object = Make(3);
  for (uint64_t i = 0; i < 3; ++i) {
    Space space = NewSpace(".");
    space.Map({.at = 0, .sharing = Sharing::kShared, .file = object, .file_page = i});
    space.Write("a");
    if (i > 0) PageOut(space, "x");
    if (i == 2) space.Read("x");
    space.Exit();
  }
  EXPECT_EQ(Swap(), "2 only 1");
  FreeAll(object);
  EXPECT_EQ(Swap(), "0");
  EXPECT_EQ(object->DebugPageCount(), 0u);
  EXPECT_EQ(Violation(), "");
  uvm().ReleaseObject(object);
}

}  // namespace
}  // namespace uvm
