// Snapshots of memory that is in no map, and where they are put: vm_read, vm_write, vm_copy.

#include <string>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtRead;
using base::kProtWrite;

class MapCopyTest : public PictureTest {
 protected:
  // Pages [from, from + count) of `source` over those from `to` on of `target`: "ok" or the error.
  std::string TryCopy(const Space& source, uint64_t from, uint64_t count, const Space& target,
                      uint64_t to) {
    Snapshot copy;
    auto copied = uvm().CopyIn(source.get(), Pages(from, count), &copy);
    if (!copied.ok()) return base::MapErrorName(copied.error());
    auto written = uvm().Overwrite(target.get(), PageAt(to), &copy);
    if (written.ok()) return "ok";
    target->map().DropSnapshot(&copy);
    return base::MapErrorName(written.error());
  }
  void Copy(const Space& source, uint64_t from, uint64_t count, const Space& target, uint64_t to) {
    EXPECT_EQ(TryCopy(source, from, count, target, to), "ok");
  }
};

// ---- Private memory: no page is copied until somebody writes.

TEST_F(MapCopyTest, ACopyIsASnapshotAndCostsNoPage) {
  Space space = NewSpace("ABCD0000");
  Copy(space, 0, 4, space, 4);
  EXPECT_EQ(Contents(space), "ABCDABCD");
  EXPECT_EQ(Frames(space), "abcdabcd");
  EXPECT_EQ(uvm().counters().page_copy, 0u);
  space.Write("x....y..");
  EXPECT_EQ(space.ReadAll(), "xBCDAyCD");
}

TEST_F(MapCopyTest, OverlapReadsWhatWasThereBefore) {
  Space up = NewSpace("ABCDE");
  Copy(up, 0, 4, up, 1);
  EXPECT_EQ(up.ReadAll(), "AABCD");
  Space down = NewSpace("ABCDE");
  Copy(down, 1, 4, down, 0);
  EXPECT_EQ(down.ReadAll(), "BCDEE");
  Space same = NewSpace("ABC");
  Copy(same, 0, 3, same, 0);
  same.Write(".x.");
  EXPECT_EQ(same.ReadAll(), "AxC");
}

TEST_F(MapCopyTest, UntouchedMemoryCopiesAsZeroesWithoutFrames) {
  Space space = NewSpace("000ABC");
  Copy(space, 0, 3, space, 3);
  EXPECT_EQ(Contents(space), "000000");
  EXPECT_EQ(Frames(space), "......");
  space.Write("...x..");
  EXPECT_EQ(space.ReadAll(), "000x00");
}

TEST_F(MapCopyTest, AttributesOfTheTargetStay) {
  Space space = NewSpace("AB00");
  space.SetInherit(2, 1, Inherit::kNone);
  space.Protect(3, 1, kProtWrite);
  Copy(space, 0, 2, space, 2);
  EXPECT_EQ(space.ReadAll(), "ABA!");
  space.Protect(3, 1, kProtRead);
  EXPECT_EQ(space.ReadAll(), "ABAB");
  Space child = space.Fork();
  EXPECT_EQ(Contents(child), "AB.B");
}

TEST_F(MapCopyTest, WhatMayNotBeWrittenIsNotOverwritten) {
  Space space = NewSpace("AB00");
  space.Protect(3, 1, kProtRead);
  EXPECT_EQ(TryCopy(space, 0, 2, space, 2), "protection");
  EXPECT_EQ(Prots(space), "wwwr");
  EXPECT_EQ(space.ReadAll(), "AB00");
}

TEST_F(MapCopyTest, BoundariesOfSourceAndTargetNeedNotMeet) {
  Space source = NewSpace("ABCDEF");
  source.SetInherit(1, 1, Inherit::kNone);
  source.SetInherit(4, 1, Inherit::kShare);
  Space target = NewSpace("uvwxyz");
  target.SetInherit(2, 2, Inherit::kNone);
  target.SetInherit(5, 1, Inherit::kShare);
  Copy(source, 0, 6, target, 0);
  EXPECT_EQ(target.ReadAll(), "ABCDEF");
  target.Write("1.3.5.");
  source.Write(".2.4.6");
  EXPECT_EQ(source.ReadAll(), "A2C4E6");
  EXPECT_EQ(target.ReadAll(), "1B3D5F");
}

TEST_F(MapCopyTest, CopiesOfCopiesAreTheirOwn) {
  Space space = NewSpace("A000");
  for (uint64_t to = 1; to < 4; ++to) Copy(space, to - 1, 1, space, to);
  space.Write(".x..");
  EXPECT_EQ(space.ReadAll(), "AxAA");
  Space child = space.Fork();
  Copy(space, 1, 1, space, 0);
  EXPECT_EQ(Contents(space, child), "xxAA|AxAA");
}

// ---- Shared memory: the sharers see what is written over it, and only it.

TEST_F(MapCopyTest, SharersSeeWhatIsWrittenOverSharedMemory) {
  Space one = NewSpace("ABC0");
  one.SetInherit(0, 4, Inherit::kShare);
  Space two = one.Fork();
  Space other = NewSpace("xy00");
  Copy(other, 0, 4, one, 0);
  EXPECT_EQ(Contents(one, two), "xy00|xy00");
  EXPECT_EQ(two.ReadAll(), "xy00");
  other.Write("p...");
  two.Write(".q.r");
  EXPECT_EQ(Contents(one, two, other), "xq0r|xq0r|py00");
}

// GNU Mach deadlocks here (facts/mach.md 3, defect 1).
TEST_F(MapCopyTest, SharedMemoryIsCopiedOverItself) {
  Space one = NewSpace("ABCD");
  one.SetInherit(0, 4, Inherit::kShare);
  Space two = one.Fork();
  Copy(one, 0, 3, one, 1);
  EXPECT_EQ(Contents(one, two), "AABC|AABC");
  // The same memory at another place of another space.
  Copy(two, 0, 2, one, 2);
  EXPECT_EQ(Contents(one, two), "AAAA|AAAA");
}

TEST_F(MapCopyTest, ACopyOfSharedMemoryIsNobodyElses) {
  Space one = NewSpace("AB..00");
  one.SetInherit(0, 2, Inherit::kShare);
  Space two = one.Fork();
  Copy(one, 0, 2, one, 4);
  two.Write("x.....");
  EXPECT_EQ(Contents(one, two), "xB..AB|xB..00");
}

TEST_F(MapCopyTest, AWiredPageOfASharerStaysInItsFrame) {
  Space one = NewSpace("AB");
  one.SetInherit(0, 2, Inherit::kShare);
  Space two = one.Fork();
  two.Wire(0, 2);
  const std::string before = Frames(two);
  Space other = NewSpace("x0");
  Copy(other, 0, 2, one, 0);
  EXPECT_EQ(Contents(one, two), "x0|x0");
  EXPECT_EQ(Wirings(two), "11");
  EXPECT_EQ(two.ReadAll(), "x0");
  EXPECT_EQ(Frames(two), before);
}

// A sharer that may only read has wired a page that a child has as well, and one of the file below.
TEST_F(MapCopyTest, WiringsGoOverToWhatComesInThePlaceOfAPageThatIsNotOneSharersOwn) {
  Object* file = File(7);
  Space space = NewSpace("...XY");
  space.Map({.pages = 3, .inherit = Inherit::kShare, .file = file});
  space.Write("A..");
  Space sharer = space.Fork();
  space.SetInherit(0, 3, Inherit::kCopy);
  Space child = space.Fork();
  ASSERT_EQ(sharer.TryProtect(0, 3, kProtRead, SetMax::kYes), "ok");
  sharer.Wire(0, 3);
  EXPECT_EQ(Wirings(sharer), "11100");
  Copy(space, 3, 2, space, 0);
  EXPECT_EQ(Contents(space, sharer, child), "XY3XY|XY3XY|A23XY");
  EXPECT_EQ(Rights(sharer), "rrr--");
  EXPECT_EQ(Wirings(sharer), "11100");
  EXPECT_EQ(sharer.Read("xxx.."), "XY3..");
  EXPECT_EQ(uvm().counters().fault_wired, 0u);
  sharer.Unwire(0, 3);
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(0));
}

TEST_F(MapCopyTest, WhatIsOverwrittenIsWiredNoMoreAndWhatIsNotStaysWired) {
  Object* file = File(1);
  Space space = NewSpace("ABCD.");
  space.Map({.at = 4,
             .prot = kProtRead,
             .max_prot = kProtRead,
             .sharing = Sharing::kShared,
             .file = file});
  space.Wire(2, 3);
  EXPECT_EQ(TryCopy(space, 0, 2, space, 3), "protection");
  EXPECT_EQ(Wires(space), "00111");
  Copy(space, 0, 2, space, 2);
  EXPECT_EQ(Wires(space), "00001");
  EXPECT_EQ(space.ReadAll(), "ABAB1");
}

TEST_F(MapCopyTest, AWiredSourceStaysInItsFrame) {
  Space space = NewSpace("AB00");
  space.Wire(0, 2);
  Copy(space, 0, 2, space, 2);
  EXPECT_EQ(Frames(space), "abcd");
  space.Write("x...");
  EXPECT_EQ(Frames(space), "abcd");
  EXPECT_EQ(space.ReadAll(), "xBAB");
}

// ---- Objects: contents are copied, into and out of them.

TEST_F(MapCopyTest, APrivateMappingOfAFileIsCopiedAsItIsNow) {
  Object* file = File(1);
  Space space = NewSpace("......");
  space.Map({.at = 0, .pages = 2, .file = file});
  space.Map(
      {.at = 2, .pages = 2, .inherit = Inherit::kShare, .sharing = Sharing::kShared, .file = file});
  space.Map({.at = 4, .pages = 2});
  space.Write("p.....");
  Copy(space, 0, 2, space, 4);
  EXPECT_EQ(space.ReadAll(), "p212p2");
  space.Write("...x..");  // the file changes under the mapping, not under the copy
  EXPECT_EQ(space.ReadAll(), "px1xp2");
}

TEST_F(MapCopyTest, ASharedMappingOfAFileIsWrittenThrough) {
  Object* file = File(1);
  Space space = NewSpace("......");
  space.Map(
      {.at = 0, .pages = 2, .inherit = Inherit::kShare, .sharing = Sharing::kShared, .file = file});
  space.Map(
      {.at = 2, .pages = 2, .inherit = Inherit::kShare, .sharing = Sharing::kShared, .file = file});
  space.Map({.at = 4, .pages = 2});
  space.Write("....A.");
  Copy(space, 4, 2, space, 0);
  EXPECT_EQ(space.ReadAll(), "A0A0A0");
  // Overlapping windows on one file: the snapshot comes first.
  space.Write("xy....");
  Copy(space, 0, 1, space, 3);
  EXPECT_EQ(space.ReadAll(), "xxxxA0");
}

TEST_F(MapCopyTest, AnObjectsPageIsWrittenByWhoeverMayGetTheRight) {
  Object* file = File(1);
  Space space = NewSpace("..A");
  space.Map({.at = 0, .prot = kProtWrite, .sharing = Sharing::kShared, .file = file});
  Copy(space, 2, 1, space, 0);
  space.Protect(0, 1, kProtRead);
  EXPECT_EQ(space.ReadAll(), "A?A");
  space.Map({.at = 1,
             .prot = kProtRead,
             .max_prot = kProtRead,
             .sharing = Sharing::kShared,
             .file = file});
  EXPECT_EQ(TryCopy(space, 2, 1, space, 1), "protection");
}

// ---- Elsewhere, and what goes wrong.

TEST_F(MapCopyTest, ACopyAppearsWhereThereIsRoom) {
  Space source = NewSpace("ABC");
  source.SetInherit(0, 3, Inherit::kShare);
  Space target = NewSpace("x....y");
  Snapshot copy;
  ASSERT_TRUE(uvm().CopyIn(source.get(), Pages(0, 3), &copy).ok());
  auto placed = target->map().CopyOut(&copy, base::kProtReadWrite);
  ASSERT_TRUE(placed.ok());
  EXPECT_EQ(placed.value(), PageAt(1));
  EXPECT_EQ(Contents(target), "xABC.y");
  EXPECT_EQ(Prots(target), "wwww.w");
  EXPECT_EQ(Contents(target.Fork()), "xABC.y");  // inherited by copy, whatever the source says
  source.Write("q..");
  EXPECT_EQ(target.ReadAll(), "xABC?y");
}

TEST_F(MapCopyTest, WithoutRoomTheSnapshotIsStillThere) {
  Space source = NewSpace("AB");
  Space target = NewSpace("x.y");
  Snapshot copy;
  ASSERT_TRUE(uvm().CopyIn(source.get(), Pages(0, 2), &copy).ok());
  auto placed = target->map().CopyOut(&copy, base::kProtReadWrite);
  ASSERT_FALSE(placed.ok());
  EXPECT_EQ(placed.error(), base::MapError::kNoSpace);
  target->map().DropSnapshot(&copy);
  EXPECT_EQ(Contents(source, target), "AB|x.y");
}

TEST_F(MapCopyTest, HolesAreErrors) {
  Space space = NewSpace("A.BC");
  EXPECT_EQ(TryCopy(space, 0, 3, space, 0), "hole");
  EXPECT_EQ(TryCopy(space, 2, 2, space, 0), "hole");
  EXPECT_EQ(Contents(space), "A.BC");
}

// Shared targets need pages of their own; either all are there or nothing is written.
TEST(MapCopyShortageTest, ACopyIsWholeOrNotAtAll) {
  World world(12);
  Space one = world.NewSpace("ABCD");
  one.SetInherit(0, 4, Inherit::kShare);
  Space two = one.Fork();
  Space other = world.NewSpace("wxyz");
  Space hog = world.NewSpace("0000");
  hog.Write("pq..");
  Snapshot copy;
  ASSERT_TRUE(world.uvm().CopyIn(other.get(), Pages(0, 4), &copy).ok());
  auto written = world.uvm().Overwrite(one.get(), PageAt(0), &copy);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error(), base::MapError::kNoMemory);
  EXPECT_EQ(world.Contents(one, two), "ABCD|ABCD");
  one->map().DropSnapshot(&copy);
  hog.Exit();
  ASSERT_TRUE(world.uvm().CopyIn(other.get(), Pages(0, 4), &copy).ok());
  ASSERT_TRUE(world.uvm().Overwrite(one.get(), PageAt(0), &copy).ok());
  EXPECT_EQ(world.Contents(one, two, other), "wxyz|wxyz|wxyz");
}

}  // namespace
}  // namespace uvm::testing
