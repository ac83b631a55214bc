// Extracting: one range of pages in two places.

#include <string>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtAll;
using base::kProtRead;
using base::kProtReadWrite;
using MapExtractTest = PictureTest;

TEST_F(MapExtractTest, BothPlacesShowTheSamePages) {
  Space source = NewSpace("ABC");
  Space target = NewSpace("......");
  EXPECT_EQ(source.Extract(0, 3, target, 0), 0u);
  EXPECT_EQ(Frames(source, target), "abc|abc...");
  target.Write("x.....");
  source.Write(".y.");
  EXPECT_EQ(source.ReadAll(), "xyC");
  EXPECT_EQ(target.ReadAll(), "xyC???");
}

TEST_F(MapExtractTest, WhatWasNeverTouchedIsSharedToo) {
  Space source = NewSpace("00");
  Space target = NewSpace("..");
  source.Extract(0, 2, target, 0);
  target.Write("x.");
  source.Write(".y");
  EXPECT_EQ(Contents(source, target), "xy|xy");
}

TEST_F(MapExtractTest, PartsAreClippedOutOfTheSource) {
  Space source = NewSpace("ABCDE");
  Space target = NewSpace(".....");
  EXPECT_EQ(source.Extract(1, 2, target, 3), 3u);
  EXPECT_EQ(Layout(source, target), "ABBCC|...AA");
  EXPECT_EQ(Contents(target), "...BC");
}

TEST_F(MapExtractTest, AQuickReferenceDoesNotClip) {
  Space source = NewSpace("ABCDE");
  Space target = NewSpace("...");
  source.Extract(1, 3, target, 0, Map::kExtractQuickRef);
  EXPECT_EQ(Layout(source, target), "AAAAA|AAA");
  target.Write(".x.");
  EXPECT_EQ(Contents(source, target), "ABxDE|BxD");
  source.Exit();
  EXPECT_EQ(target.ReadAll(), "BxD");
  EXPECT_EQ(uvm().counters().frames_in_use, 3u);  // the pages nobody shows any more are gone
}

TEST_F(MapExtractTest, HolesStayHolesUnlessTheyAreForbidden) {
  Space source = NewSpace("A..B.");
  Space target = NewSpace(".....");
  EXPECT_EQ(source.TryExtract(0, 4, target, 0, Map::kExtractContiguous), "invalid_argument");
  EXPECT_EQ(source.TryExtract(1, 3, target, 0, Map::kExtractContiguous), "invalid_argument");
  EXPECT_EQ(source.TryExtract(3, 2, target, 0, Map::kExtractContiguous), "invalid_argument");
  EXPECT_EQ(Contents(target), ".....");
  EXPECT_EQ(source.TryExtract(0, 4, target, 0), "0");
  EXPECT_EQ(target.ReadAll(), "A??B?");
}

TEST_F(MapExtractTest, TheTargetMayBeFullOrReserved) {
  Space source = NewSpace("AB");
  Space target = NewSpace("0...0");
  EXPECT_EQ(source.TryExtract(0, 2, target, 4), "no_space");
  EXPECT_EQ(target.TryReserve(1, 2), "1");
  EXPECT_EQ(source.TryExtract(0, 2, target, 2, Map::kExtractReserved), "io");
  EXPECT_EQ(source.TryExtract(0, 1, target, 1, Map::kExtractReserved), "io");
  EXPECT_EQ(Layout(target), "ABB.C");
  EXPECT_EQ(source.TryExtract(0, 2, target, 1, Map::kExtractReserved), "1");
  EXPECT_EQ(target.ReadAll(), "0AB?0");
}

TEST_F(MapExtractTest, RightsCanBeRaised) {
  Space source = NewSpace("A");
  source.Protect(0, 1, kProtRead);
  Space target = NewSpace("...");
  source.Extract(0, 1, target, 0);
  source.Extract(0, 1, target, 0, Map::kExtractFixProt);
  EXPECT_EQ(source.TryProtect(0, 1, kProtRead, SetMax::kYes), "ok");
  source.Extract(0, 1, target, 0, Map::kExtractProtAll);
  EXPECT_EQ(Prots(target), "rar");
  EXPECT_EQ(EntryAt(target, 2)->max_prot, kProtAll);
  EXPECT_EQ(target.TryWrite("xyz"), "!y!");
  EXPECT_EQ(source.ReadAll(), "y");
}

TEST_F(MapExtractTest, FilePagesAreSharedInPlace) {
  Object* file = File(7);
  Space source = NewSpace("....");
  source.Map({.pages = 4, .file = file, .file_page = 2});
  Space target = NewSpace("..");
  source.Extract(1, 2, target, 0);
  EXPECT_EQ(target.ReadAll(), "45");
  target.Write("x.");
  EXPECT_EQ(source.ReadAll(), "3x56");
  Space reader = NewSpace(".");
  reader.Map({.file = file, .file_page = 3});
  EXPECT_EQ(reader.ReadAll(), "4");  // the mapping was private: the file is unchanged
}

TEST_F(MapExtractTest, WiringIsNotExtracted) {
  Space source = NewSpace("AB");
  source.Wire(0, 2);
  Space target = NewSpace("..");
  source.Extract(0, 2, target, 0);
  EXPECT_EQ(Wires(source, target), "11|00");
  EXPECT_EQ(target.ReadAll(), "AB");
}

TEST_F(MapExtractTest, WithinOneMap) {
  Space space = NewSpace("AB.....");
  EXPECT_EQ(space.Extract(0, 2, space, 4), 4u);
  space.Write("....x..");
  EXPECT_EQ(space.ReadAll(), "xB??xB?");
}

TEST_F(MapExtractTest, SpaceAcrossAnEdgeOfTheSourceIsNoGood) {
  Space space = NewSpace("A...B.");
  EXPECT_EQ(space.TryExtract(0, 3, space, 1), "io");
  EXPECT_EQ(space.ReadAll(), "A???B?");
  EXPECT_EQ(space->map().size_bytes(), 2 * base::kPageSize);
}

TEST_F(MapExtractTest, ChildrenOfSharersCopyInTime) {
  Space source = NewSpace("AB");
  Space target = NewSpace("..");
  source.Extract(0, 2, target, 0);
  Space child = source.Fork();
  target.Write("x.");
  source.Write(".y");
  EXPECT_EQ(Contents(source, target, child), "xy|xy|AB");
}

TEST_F(MapExtractTest, RemovingTakesThePagesAway) {
  Space source = NewSpace("ABCD");
  Space target = NewSpace("....");
  source.Wire(0, 4);
  EXPECT_EQ(source.Extract(1, 2, target, 0, Map::kExtractRemove), 0u);
  EXPECT_EQ(Contents(source, target), "A..D|BC..");
  EXPECT_EQ(Wires(source, target), "1..1|00..");
  EXPECT_EQ(source->map().size_bytes(), 2 * base::kPageSize);
  EXPECT_EQ(source.ReadAll(), "A??D");
  EXPECT_EQ(target.ReadAll(), "BC??");
}

TEST_F(MapExtractTest, RunningOutOfMemoryLeavesBothMapsAsTheyWere) {
  bool refused = false;
  for (uint64_t slots = 0; slots < 70; ++slots) {
    World world(/*frames=*/256);
    Space source = world.NewSpace("AB0C.D");
    Space target = world.NewSpace("........");
    world.FillPools(slots);
    world.memory().FailAfter(0);
    std::string outcome = source.TryExtract(1, 5, target, 1);
    world.memory().NeverFail();
    refused = refused || outcome == "no_memory";
    EXPECT_EQ(world.Contents(source), "AB0C.D");
    EXPECT_EQ(world.Contents(target), outcome == "1" ? ".B0C.D.." : "........") << outcome;
  }
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace uvm::testing
