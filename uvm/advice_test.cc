#include <string>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using AdviceTest = PictureTest;

// ---- FreePages: per owned private page the contents stay or the base shows through (design D8,
// MADV_FREE).

TEST_F(AdviceTest, FreedPrivatePagesReadZeroAndGiveTheirFramesBack) {
  Space space = NewSpace("ABCD");
  space.Advise(1, 2, Advice::kFree);
  EXPECT_EQ(Contents(space), "A00D");
  EXPECT_EQ(Rights(space), "w--w");
  EXPECT_EQ(uvm().counters().frames_in_use, 2u);
  EXPECT_EQ(space.ReadAll(), "A00D");
  EXPECT_EQ(Layout(space), "AAAA");  // nothing is clipped
}

TEST_F(AdviceTest, FreedFilePagesReadTheFileAgain) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.pages = 2, .file = file});
  space.Write("AB");
  space.Advise(0, 1, Advice::kFree);
  EXPECT_EQ(space.ReadAll(), "1B");
}

TEST_F(AdviceTest, FreeingOverAHoleIsAnErrorAndChangesNothing) {
  Space space = NewSpace("AB.C");
  EXPECT_EQ(space.TryAdvise(0, 4, Advice::kFree), "hole");
  EXPECT_EQ(space.TryAdvise(2, 1, Advice::kFree), "hole");
  EXPECT_EQ(Contents(space), "AB.C");
}

TEST_F(AdviceTest, SharedPagesKeepTheirContents) {
  Space space = NewSpace("A...");
  space.SetInherit(0, 1, Inherit::kShare);
  space.Map({.at = 1, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  Object* file = File(7);
  space.Map({.at = 2, .sharing = Sharing::kShared, .file = file});
  space.Map({.at = 3, .file = file});
  Space child = space.Fork();
  space.Write("wxy.");
  space.Advise(0, 4, Advice::kFree);
  EXPECT_EQ(space.ReadAll(), "wxyy");
  EXPECT_EQ(child.ReadAll(), "wxyy");
}

TEST_F(AdviceTest, FreeingNeverTouchesACopyOnWriteRelative) {
  Space parent = NewSpace("AB");
  Space child = parent.Fork();
  parent.Advise(0, 2, Advice::kFree);
  EXPECT_EQ(child.ReadAll(), "AB");
  parent.Write("x.");
  parent.Advise(0, 2, Advice::kFree);
  EXPECT_EQ(child.ReadAll(), "AB");
  // Each page of the parent is its last contents or its base, one choice for every later reader.
  std::string seen = Contents(parent);
  EXPECT_TRUE(seen[0] == 'x' || seen[0] == '0') << seen;
  EXPECT_TRUE(seen[1] == 'B' || seen[1] == '0') << seen;
  EXPECT_EQ(Contents(parent.Fork()), seen);
  EXPECT_EQ(parent.ReadAll(), seen);
}

// The entry that gives its pages back is not wired; the page is, by a relative.
TEST_F(AdviceTest, FreeingSparesWhatOthersHaveWired) {
  Space parent = NewSpace("AB");
  Space child = parent.Fork();
  EXPECT_TRUE(parent->map().Protect(Pages(0, 1), base::kProtRead, SetMax::kYes).ok());
  parent.Wire(0, 1);  // in place: it can never be written
  child.Write(".x");  // a layer of its own, that shows the parent's wired page
  EXPECT_EQ(Frames(parent, child), "ab|ac");
  child.Advise(0, 2, Advice::kFree);
  EXPECT_EQ(Contents(parent, child), "AB|A0");
  EXPECT_EQ(Rights(child), "r-");
  EXPECT_EQ(Wirings(parent), "10");
  parent.Unwire(0, 1);
  child.Advise(0, 2, Advice::kFree);
  EXPECT_EQ(Contents(parent, child), "AB|00");
}

TEST_F(AdviceTest, FreeingReadOnlyMemoryWorksToo) {
  Space space = NewSpace("AB");
  space.Protect(0, 2, base::kProtRead);
  space.Advise(0, 1, Advice::kFree);
  EXPECT_EQ(space.ReadAll(), "0B");
}

// ---- Discard: Linux MADV_DONTNEED.

TEST_F(AdviceTest, DiscardedAnonymousPagesAreZero) {
  Space space = NewSpace("ABCD");
  EXPECT_EQ(space.TryDiscard(1, 2), "ok");
  EXPECT_EQ(Contents(space), "A00D");
  EXPECT_EQ(space.ReadAll(), "A00D");
  EXPECT_EQ(uvm().counters().zero_fill, 6u);
}

TEST_F(AdviceTest, DiscardedFilePagesReadTheFileAsItIsNow) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.pages = 2, .file = file});
  space.Write("AB");
  Space writer = NewSpace("..");
  writer.Map({.pages = 2, .sharing = Sharing::kShared, .file = file});
  writer.Write("X.");
  EXPECT_EQ(space.TryDiscard(0, 2), "ok");
  EXPECT_EQ(space.ReadAll(), "X2");
}

TEST_F(AdviceTest, DiscardDoesTheMappedPartsAndThenReportsTheHole) {
  Space space = NewSpace("A.B");
  EXPECT_EQ(space.TryDiscard(0, 3), "hole");
  EXPECT_EQ(Contents(space), "0.0");
}

TEST_F(AdviceTest, DiscardLeavesRelativesTheirView) {
  Space parent = NewSpace("ABC");
  Space child = parent.Fork();
  Space grandchild = child.Fork();
  EXPECT_EQ(child.TryDiscard(0, 2), "ok");
  EXPECT_EQ(Contents(parent, child, grandchild), "ABC|00C|ABC");
  EXPECT_EQ(parent.ReadAll() + child.ReadAll() + grandchild.ReadAll(), "ABC00CABC");
}

TEST_F(AdviceTest, DiscardInOneHalfOfASplitEntry) {
  Space space = NewSpace("ABCD");
  space.Protect(2, 2, base::kProtRead);
  EXPECT_EQ(space.TryDiscard(1, 2), "ok");
  EXPECT_EQ(space.ReadAll(), "A00D");
}

TEST_F(AdviceTest, SharedMappingsAreNotDiscarded) {
  Space space = NewSpace("A..");
  space.SetInherit(0, 1, Inherit::kShare);
  space.Map({.at = 1, .sharing = Sharing::kShared});
  Object* file = File(7);
  space.Map({.at = 2, .sharing = Sharing::kShared, .file = file});
  space.Fork();
  space.Write("xyz");
  EXPECT_EQ(space.TryDiscard(0, 3), "ok");
  EXPECT_EQ(space.ReadAll(), "xyz");
}

// ---- Stored advice.

TEST_F(AdviceTest, StoredAdviceChangesNoContents) {
  Space space = NewSpace("AB.C");
  for (Advice advice : {Advice::kRandom, Advice::kSequential, Advice::kNormal}) {
    space.Advise(0, 4, advice);
    EXPECT_EQ(EntryAt(space, 3)->advice, advice);
  }
  EXPECT_EQ(space.ReadAll(), "AB?C");
}

}  // namespace
}  // namespace uvm::testing
