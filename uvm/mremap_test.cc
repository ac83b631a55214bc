#include <string>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtRead;
using Where = Map::RemapOptions::Where;
using MremapTest = PictureTest;

TEST_F(MremapTest, SameSizeIsANoOpEvenOnAHole) {
  Space space = NewSpace("AB..");
  EXPECT_EQ(space.Remap({.from = 0, .pages = 2, .new_pages = 2}), 0u);
  EXPECT_EQ(space.Remap({.from = 2, .pages = 2, .new_pages = 2}), 2u);
  EXPECT_EQ(space.Remap({.from = 1, .pages = 1, .new_pages = 1, .to = 1, .where = Where::kFixed}),
            1u);
  EXPECT_EQ(Contents(space), "AB..");
}

// What does not lie on the boundary asked for moves to one, though its place has room.
TEST_F(MremapTest, StaysOnlyWhereItIsAligned) {
  Space space = NewSpace(".AB.........");
  EXPECT_EQ(space.Remap({.from = 1, .pages = 2, .new_pages = 2, .align = 2}), 4u);
  EXPECT_EQ(Contents(space), "....AB......");
  EXPECT_EQ(space.Remap({.from = 4, .pages = 2, .new_pages = 3, .align = 4}), 4u);
  EXPECT_EQ(space.Remap({.from = 4, .pages = 3, .new_pages = 1, .align = 8}), 0u);
  EXPECT_EQ(Contents(space), "A...........");
}

TEST_F(MremapTest, ShrinkingUnmapsTheTail) {
  Space space = NewSpace("ABCD");
  EXPECT_EQ(space.Remap({.from = 0, .pages = 4, .new_pages = 2}), 0u);
  EXPECT_EQ(Contents(space), "AB..");
  EXPECT_EQ(space.ReadAll(), "AB??");
  EXPECT_EQ(uvm().counters().frames_in_use, 2u);
}

TEST_F(MremapTest, GrowsInPlaceWhereThereIsRoom) {
  Space space = NewSpace("AB..C");
  EXPECT_EQ(space.Remap({.from = 0, .pages = 2, .new_pages = 4}), 0u);
  EXPECT_EQ(Contents(space), "AB00C");
  space.Write("..XY.");
  EXPECT_EQ(space.ReadAll(), "ABXYC");
}

TEST_F(MremapTest, GrownPagesHaveTheAttributesOfTheLast) {
  Space space = NewSpace("..");
  space.Map(
      {.max_prot = base::kProtReadWrite, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  space.Advise(0, 1, Advice::kRandom);
  EXPECT_EQ(space.Remap({.from = 0, .pages = 1, .new_pages = 2}), 0u);
  const MapEntry& grown = *EntryAt(space, 1);
  EXPECT_EQ(grown.prot, base::kProtReadWrite);
  EXPECT_EQ(grown.max_prot, base::kProtReadWrite);
  EXPECT_EQ(grown.inherit, Inherit::kShare);
  EXPECT_EQ(grown.advice, Advice::kRandom);
  EXPECT_TRUE(grown.shared);
}

TEST_F(MremapTest, MovesWhereThereIsNoRoom) {
  Space space = NewSpace("ABC...");
  EXPECT_EQ(space.Remap({.from = 0, .pages = 2, .new_pages = 3}), 3u);
  EXPECT_EQ(Contents(space), "..CAB0");
  EXPECT_EQ(Rights(space), "--w---");
  EXPECT_EQ(space.ReadAll(), "??CAB0");
  EXPECT_EQ(uvm().counters().page_copy, 0u);
}

TEST_F(MremapTest, NowhereToGoIsNoSpace) {
  Space space = NewSpace("AB.");
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 1, .new_pages = 2}), "no_space");
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 2, .new_pages = 4}), "no_space");
  EXPECT_EQ(
      space.TryRemap({.from = 0, .pages = 1, .new_pages = 2, .to = 0, .where = Where::kFixed}),
      "no_space");
  EXPECT_EQ(Contents(space), "AB.");
  EXPECT_EQ(Layout(space), "AA.");
}

TEST_F(MremapTest, FixedMovesExactlyThere) {
  Space space = NewSpace("AB.....");
  EXPECT_EQ(space.Remap({.from = 0, .pages = 2, .new_pages = 2, .to = 4, .where = Where::kFixed}),
            4u);
  EXPECT_EQ(Contents(space), "....AB.");
  EXPECT_EQ(space.Remap({.from = 4, .pages = 2, .new_pages = 1, .to = 0, .where = Where::kFixed}),
            0u);
  EXPECT_EQ(Contents(space), "A......");
  EXPECT_EQ(space.Remap({.from = 0, .pages = 1, .new_pages = 3, .to = 3, .where = Where::kFixed}),
            3u);
  EXPECT_EQ(Contents(space), "...A00.");
}

TEST_F(MremapTest, AFixedDestinationMustBeFree) {
  Space space = NewSpace("AB.C");
  EXPECT_EQ(
      space.TryRemap({.from = 0, .pages = 1, .new_pages = 1, .to = 3, .where = Where::kFixed}),
      "no_space");
  // Overlap with the old range counts as taken where it is mapped.
  EXPECT_EQ(
      space.TryRemap({.from = 0, .pages = 2, .new_pages = 2, .to = 1, .where = Where::kFixed}),
      "no_space");
  EXPECT_EQ(Contents(space), "AB.C");
}

// facts/uvm.md 5.B' N5: the final unmap of the old range must not destroy what was moved into a
// hole of it.
TEST_F(MremapTest, ADestinationInAHoleOfTheOldRangeSurvives) {
  Space space = NewSpace("A..B");
  EXPECT_EQ(space.Remap({.from = 0, .pages = 4, .new_pages = 1, .to = 2, .where = Where::kFixed}),
            2u);
  EXPECT_EQ(Contents(space), "..A.");
  EXPECT_EQ(space.ReadAll(), "??A?");
}

TEST_F(MremapTest, HolesStayHoles) {
  Space space = NewSpace("A.B....");
  EXPECT_EQ(space.Remap({.from = 0, .pages = 3, .new_pages = 3, .to = 4, .where = Where::kFixed}),
            4u);
  EXPECT_EQ(Contents(space), "....A.B");
  EXPECT_EQ(space.Remap({.from = 4, .pages = 3, .new_pages = 4}), 0u);
  EXPECT_EQ(Contents(space), "A.B0...");
}

TEST_F(MremapTest, GrowingWhatDoesNotEndInAMappedPageIsInvalid) {
  Space space = NewSpace("A...");
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 2, .new_pages = 3}), "invalid_argument");
  EXPECT_EQ(
      space.TryRemap({.from = 1, .pages = 1, .new_pages = 2, .to = 2, .where = Where::kFixed}),
      "invalid_argument");
  EXPECT_EQ(Contents(space), "A...");
}

TEST_F(MremapTest, MovedPagesKeepTheirAttributes) {
  Space space = NewSpace("ABC......");
  space.Protect(1, 1, kProtRead);
  space.SetInherit(2, 1, Inherit::kNone);
  EXPECT_EQ(space.Remap({.from = 0, .pages = 3, .new_pages = 4, .to = 5, .where = Where::kFixed}),
            5u);
  EXPECT_EQ(Prots(space), ".....wrww");
  EXPECT_EQ(EntryAt(space, 7)->inherit, Inherit::kNone);
  EXPECT_EQ(EntryAt(space, 8)->inherit, Inherit::kNone);  // growth: as the page just before
  EXPECT_EQ(Contents(space.Fork()), ".....AB..");
}

TEST_F(MremapTest, MovingPartOfAnEntry) {
  Space space = NewSpace("ABCD..");
  EXPECT_EQ(space.Remap({.from = 1, .pages = 2, .new_pages = 2, .to = 4, .where = Where::kFixed}),
            4u);
  EXPECT_EQ(Contents(space), "A..DBC");
  space.Write("w...xy");
  EXPECT_EQ(space.ReadAll(), "w??Dxy");
}

TEST_F(MremapTest, GrowthOfAFileGoesOnInTheFile) {
  Object* file = File(7);
  Space space = NewSpace(".....");
  space.Map({.pages = 2, .file = file, .file_page = 1});
  EXPECT_EQ(space.Remap({.from = 0, .pages = 2, .new_pages = 4}), 0u);
  EXPECT_EQ(space.ReadAll(), "2345?");
  // From the middle of an entry as well.
  space.Map({.at = 4});
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 2, .new_pages = 3}), "no_space");
}

TEST_F(MremapTest, GrowingASharedFileMappingStaysShared) {
  Object* file = File(7);
  Space space = NewSpace("....");
  space.Map({.sharing = Sharing::kShared, .file = file});
  space.Map({.at = 3, .file = file, .file_page = 1});
  EXPECT_EQ(space.Remap({.from = 0, .pages = 1, .new_pages = 2}), 0u);
  space.Write(".X..");
  EXPECT_EQ(space.Read("xx.x"), "1X.X");
}

TEST_F(MremapTest, FileOffsetsThatWouldWrapAreTooBig) {  // CVE-2011-2496
  Object* file = File(7);
  Space space = NewSpace("....");
  uint64_t last_page = (uint64_t{1} << 51) - 1;  // of a file of 2^63 bytes
  space.Map({.file = file, .file_page = last_page});
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 1, .new_pages = 2}), "too_big");
  space.Map({.at = 2, .file = file, .file_page = last_page - 1});
  EXPECT_EQ(space.TryRemap({.from = 2, .pages = 1, .new_pages = 2}), "2");
}

// facts/uvm.md 5.B item 3: the tail of grown shared anonymous memory is memory like the rest.
TEST_F(MremapTest, GrownSharedAnonymousMemoryWorks) {
  Space space = NewSpace("....");
  space.Map({.pages = 2, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  space.Write("AB..");
  EXPECT_EQ(space.Remap({.from = 0, .pages = 2, .new_pages = 4}), 0u);
  EXPECT_EQ(space.ReadAll(), "AB00");
  Space child = space.Fork();
  child.Write("..XY");
  EXPECT_EQ(space.ReadAll(), "ABXY");
}

TEST_F(MremapTest, CopyOnWriteRelativesAreUnharmedByAMove) {
  Space parent = NewSpace("AB..");
  Space child = parent.Fork();
  EXPECT_EQ(parent.Remap({.from = 0, .pages = 2, .new_pages = 2, .to = 2, .where = Where::kFixed}),
            2u);
  parent.Write("..x.");
  child.Write(".y..");
  EXPECT_EQ(Contents(parent, child), "..xB|Ay..");
}

}  // namespace
}  // namespace uvm::testing
