// Wiring: mlock, munlock, mlockall, and what fork, unmap, protect and exec make of wired pages.

#include <string>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtNone;
using base::kProtRead;
using base::kProtReadWrite;
using MapWireTest = PictureTest;

TEST_F(MapWireTest, WiringBringsPagesInAndKeepsThem) {
  Space space = NewSpace("A00B");
  space.Wire(0, 3);
  EXPECT_EQ(Wires(space), "1110");
  EXPECT_EQ(Wirings(space), "1110");
  EXPECT_EQ(Rights(space), "wwww");
  EXPECT_EQ(Contents(space), "A00B");
  EXPECT_EQ(space->map().WiredPages(), PageCount(3));
  space.Unwire(0, 3);
  EXPECT_EQ(Wires(space), "0000");
  EXPECT_EQ(Wirings(space), "0000");
  EXPECT_EQ(space->map().WiredPages(), PageCount(0));
}

// The limit of the whole machine, a third of its frames, counts what others have wired.
TEST_F(MapWireTest, WiringAllStopsAtTheMachinesLimit) {
  const uint64_t most = uvm().DebugPages().wired_max().value();
  ASSERT_EQ(most, 21u);
  Space other = NewSpace("A");
  other.Wire(0, 1);
  Space space = NewSpace(std::string(most, '0'));
  const uint64_t filled = uvm().counters().zero_fill;
  EXPECT_EQ(space.TryWireAll(Map::kWireCurrent), "no_memory");
  EXPECT_EQ(space->map().WiredPages(), PageCount(0));
  EXPECT_EQ(uvm().counters().zero_fill, filled) << "it is refused before a page is brought in";
  other.Unwire(0, 1);
  EXPECT_EQ(space.TryWireAll(Map::kWireCurrent), "ok");
  EXPECT_EQ(space->map().WiredPages(), PageCount(most));
  EXPECT_EQ(space.TryWireAll(0), "ok");
}

TEST_F(MapWireTest, WiringCountsAndOneUnwireUndoesAll) {
  Space space = NewSpace("ABC");
  space.Wire(0, 2);
  space.Wire(1, 2);
  EXPECT_EQ(Wires(space), "121");
  EXPECT_EQ(Wirings(space), "111");
  space.Unwire(1, 1);
  EXPECT_EQ(Wires(space), "101");
  EXPECT_EQ(Wirings(space), "101");
  EXPECT_EQ(space.TryUnwire(0, 3), "invalid_argument");
  EXPECT_EQ(Wires(space), "101");
}

TEST_F(MapWireTest, HolesAndPagesWithoutRightsAreRefused) {
  Space space = NewSpace("AB.CD");
  EXPECT_EQ(space.TryWire(2, 2), "hole");
  EXPECT_EQ(space.TryWire(0, 4), "invalid_argument");
  EXPECT_EQ(space.TryWire(3, 3), "invalid_argument");
  space.Protect(1, 1, kProtNone);
  EXPECT_EQ(space.TryWire(0, 2), "invalid_argument");
  EXPECT_EQ(Wires(space), "00.00");
  EXPECT_EQ(Wirings(space), "00.00");
  EXPECT_EQ(space.TryUnwire(2, 1), "hole");
  EXPECT_EQ(space.TryUnwire(0, 1), "invalid_argument");
  EXPECT_EQ(space.TryWire(2, 0), "ok");
}

TEST_F(MapWireTest, AFailingPageLeavesTheWiringAsItWas) {
  Object* file = File(7);
  Space space = NewSpace("AB....");
  space.Map({.at = 2, .pages = 3, .prot = kProtRead, .sharing = Sharing::kShared, .file = file});
  space.Wire(1, 1);
  pager().FailOnce(2, PagerError::kIo);
  EXPECT_EQ(space.TryWire(0, 5), "io");
  EXPECT_EQ(Wires(space), "01000.");
  EXPECT_EQ(Wirings(space), "0100..");
  EXPECT_EQ(space.TryWire(0, 5), "ok");
  EXPECT_EQ(Wires(space), "12111.");
  space.Unwire(0, 5);
}

TEST_F(MapWireTest, PrivatePagesThatMayBeWrittenAreCopiedWhenWired) {
  Object* file = File(7);
  Space space = NewSpace("...");
  space.Map({.pages = 3, .prot = kProtReadWrite, .file = file});
  space.Wire(0, 2);
  EXPECT_EQ(Contents(space), "123");
  space.Write("xy.");  // without a fault: wired pages never move
  EXPECT_EQ(Faults(), "");
  EXPECT_EQ(space.ReadAll(), "xy3");
  space.Unwire(0, 2);
}

TEST_F(MapWireTest, WhatCanNeverBeWrittenStaysTheFiles) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.pages = 2, .prot = kProtRead, .max_prot = kProtRead, .file = file});
  space.Wire(0, 2);
  EXPECT_TRUE(EntryAt(space, 0)->needs_copy);
  EXPECT_EQ(Rights(space), "rr");
  EXPECT_EQ(Wirings(space), "11");
  space.Unwire(0, 2);
}

TEST_F(MapWireTest, UnmappingUnwires) {
  Space space = NewSpace("ABCD");
  space.Wire(0, 4);
  space.Unmap(1, 2);
  EXPECT_EQ(Wires(space), "1..1");
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(2));
  space.Exit();
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(0));
}

TEST_F(MapWireTest, ReplacingAWiredMappingUnwires) {
  Space space = NewSpace("ABCD");
  space.Wire(0, 4);
  space.Map({.at = 1, .pages = 2, .where = Map::Where::kFixedReplace});
  EXPECT_EQ(Wires(space), "1001");
  EXPECT_EQ(space.ReadAll(), "A00D");
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(2));
}

TEST_F(MapWireTest, MovingUnwires) {
  Space space = NewSpace("AB....");
  space.Wire(0, 2);
  EXPECT_EQ(space.Remap({.from = 0,
                         .pages = 2,
                         .new_pages = 2,
                         .to = 3,
                         .where = Map::RemapOptions::Where::kFixed}),
            3u);
  EXPECT_EQ(Wires(space), "...00.");
  EXPECT_EQ(space.ReadAll(), "???AB?");
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(0));
}

TEST_F(MapWireTest, WiredEntriesDoNotMerge) {
  Space space = NewSpace("0.0");
  space.Wire(0, 1);
  space.Map({.at = 1});
  EXPECT_EQ(Layout(space), "ABB");
}

// ---- Partial ranges (5.A items 3, 9).

TEST_F(MapWireTest, WiringPartOfAnEntryClipsIt) {  // NetBSD PR 44788
  Space space = NewSpace("ABCDE");
  space.Wire(1, 1);
  space.Wire(1, 3);
  EXPECT_EQ(Wires(space), "02110");
  space.Wire(0, 5);
  EXPECT_EQ(Wires(space), "13221");
  space.Unwire(0, 5);
  EXPECT_EQ(Wirings(space), "00000");
}

// ---- Fork (facts/uvm.md 2.6).

TEST_F(MapWireTest, AChildOfAWiredParentIsUnwiredAndHasItsOwnPages) {
  Space parent = NewSpace("ABC");
  parent.Wire(0, 2);
  Space child = parent.Fork();
  EXPECT_EQ(Wires(parent, child), "110|000");
  EXPECT_EQ(Wirings(parent, child), "110|000");
  EXPECT_EQ(Frames(parent, child), "abc|dec");
  EXPECT_EQ(Rights(parent), "wwr");
  Faults();
  parent.Write("xy.");
  EXPECT_EQ(Faults(), "");  // wired pages are never faulted on
  EXPECT_EQ(Contents(parent, child), "xyC|ABC");
}

TEST_F(MapWireTest, ASharerOfAWiredRegionThatForksACopyLeavesThePagesWhereTheyAre) {
  Space wirer = NewSpace("...");
  wirer.Map({.pages = 3, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  wirer.Write("ABC");
  Space sharer = wirer.Fork();
  wirer.Wire(0, 3);
  sharer.SetInherit(0, 3, Inherit::kCopy);
  Space child = sharer.Fork();
  Faults();
  wirer.Write("xyz");
  EXPECT_EQ(Faults(), "");
  EXPECT_EQ(Contents(wirer, sharer, child), "xyz|xyz|ABC");
}

TEST_F(MapWireTest, ForkingAWiredParentCanRunOutOfMemory) {
  Space parent = NewSpace("AB0");
  parent.Wire(0, 3);
  std::string outcome;
  for (uint64_t slots = 0; slots < 70 && outcome != "refused"; ++slots) {
    World world(/*frames=*/8);
    Space wired = world.NewSpace("ABCDE");
    wired.Wire(0, 5);
    Result<uvm::Space*, MapError> child = world.uvm().ForkSpace(wired.get());
    if (!child.ok()) outcome = "refused";
    EXPECT_EQ(world.Violation(), "");
    EXPECT_EQ(world.Wires(wired), "11111");
    EXPECT_EQ(wired.ReadAll(), "ABCDE");
    EXPECT_EQ(world.TearDownAndFindLeaks(), "");
  }
  EXPECT_EQ(outcome, "refused");
}

// ---- mlockall.

TEST_F(MapWireTest, AllThatHasRightsIsWired) {
  Space space = NewSpace("AB.C0");
  space.Protect(1, 1, kProtNone);
  EXPECT_EQ(space.TryWireAll(Map::kWireCurrent), "ok");
  EXPECT_EQ(Wires(space), "10.11");
  EXPECT_EQ(Wirings(space), "10.11");
  EXPECT_EQ(space.TryWireAll(0), "ok");
  EXPECT_EQ(Wires(space), "00.00");
  EXPECT_EQ(Wirings(space), "00.00");
}

TEST_F(MapWireTest, TheLimitsHoldForAllThatWouldBeWired) {
  Space space = NewSpace("ABCDE");
  EXPECT_EQ(space.TryWireAll(Map::kWireCurrent, 4), "no_memory");
  space.Wire(0, 2);
  EXPECT_EQ(space.TryWireAll(Map::kWireCurrent, 4), "no_memory");
  EXPECT_EQ(Wires(space), "11000");
  EXPECT_EQ(space.TryWireAll(Map::kWireCurrent, 5), "ok");
  EXPECT_EQ(Wires(space), "22111");
  Space large = NewSpace(std::string(64, '0'));  // more than a third of memory
  EXPECT_EQ(large.TryWireAll(Map::kWireCurrent), "no_memory");
  EXPECT_EQ(large->map().WiredPages(), PageCount(0));
}

TEST_F(MapWireTest, FutureWiringIsRememberedUntilEverythingIsUnwiredOrExec) {
  Space space = NewSpace("A");
  EXPECT_FALSE(space->map().wires_future());
  EXPECT_EQ(space.TryWireAll(Map::kWireFuture), "ok");
  EXPECT_TRUE(space->map().wires_future());
  EXPECT_EQ(Wires(space), "0");
  Space child = space.Fork();
  EXPECT_FALSE(child->map().wires_future());
  EXPECT_EQ(space.TryWireAll(0), "ok");
  EXPECT_FALSE(space->map().wires_future());
  EXPECT_EQ(space.TryWireAll(Map::kWireFuture), "ok");
  EXPECT_TRUE(uvm().ExecSpace(space.get()).ok());
  EXPECT_FALSE(space->map().wires_future());
}

TEST_F(MapWireTest, WithFutureWiringWhatBecomesAccessibleIsWired) {
  Space space = NewSpace("ABCD");
  space.Protect(1, 2, kProtNone);
  EXPECT_EQ(space.TryWireAll(Map::kWireFuture), "ok");
  space.Protect(0, 4, kProtRead);
  EXPECT_EQ(Wires(space), "0110");
  EXPECT_EQ(Wirings(space), "0110");
  EXPECT_EQ(Prots(space), "rrrr");
  EXPECT_EQ(space.ReadAll(), "ABCD");
}

TEST_F(MapWireTest, RightsStayWhenTheirWiringFails) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.pages = 2, .prot = kProtNone, .sharing = Sharing::kShared, .file = file});
  EXPECT_EQ(space.TryWireAll(Map::kWireFuture), "ok");
  pager().FailOnce(1, PagerError::kIo);
  EXPECT_EQ(space.TryProtect(0, 2, kProtRead), "no_memory");
  EXPECT_EQ(Prots(space), "rr");
  EXPECT_EQ(Wires(space), "00");
  EXPECT_EQ(space.ReadAll(), "12");
}

TEST_F(MapWireTest, ExecUnwiresBeforeTheTranslationsGo) {
  Space space = NewSpace("AB");
  space.Wire(0, 2);
  EXPECT_TRUE(uvm().ExecSpace(space.get()).ok());
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(0));
  EXPECT_EQ(uvm().counters().frames_in_use, 0u);
}

// ---- What wiring does to amaps.

TEST_F(MapWireTest, WiringAfterForkTakesTheCopyFirst) {
  Space parent = NewSpace("ABC");
  Space child = parent.Fork();
  parent.Wire(0, 2);
  EXPECT_EQ(Frames(parent, child), "abc|dec");
  child.Write("xyz");
  EXPECT_EQ(parent.ReadAll(), "ABC");
  parent.Unwire(0, 2);
}

TEST_F(MapWireTest, AFreshPageNextToANeighbourWithAnAmapIsWiredAlone) {
  Space space = NewSpace("A..");
  space.Map({.at = 1});  // its amap will be the neighbour's
  space.Wire(1, 1);
  EXPECT_EQ(Wires(space), "01.");
  EXPECT_EQ(Wirings(space), "01.");
  EXPECT_EQ(space.ReadAll(), "A0?");
}

}  // namespace
}  // namespace uvm::testing
