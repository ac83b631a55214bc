// Defects that maps of this design had or have somewhere, each as a scenario that fails when the
// defect is put back. Items are those of facts/uvm.md section 5.

#include <string>
#include <vector>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtNone;
using base::kProtRead;
using base::kProtReadWrite;
using base::kProtWrite;
using Where = Map::Where;
using Remap = Map::RemapOptions::Where;
using KnownBugsMapTest = PictureTest;

MapOptions SharedAnonymous(uint64_t at, uint64_t pages) {
  return {.at = at, .pages = pages, .inherit = Inherit::kShare, .sharing = Sharing::kShared};
}

// ---- 5.A: documented.

// Item 1 (PR 18789): A and C joined by B, the amap covered A and B only. What a fork leaves behind
// owes its copy again and has an amap that nobody else has: the one thing that a fresh mapping, and
// what lies beyond it, are joined with.
TEST_F(KnownBugsMapTest, TheAmapOfThreeJoinedEntriesCoversAllThree) {
  Space below = NewSpace("A...00");
  below.Fork().Exit();
  below.Map({.at = 1, .pages = 3});
  EXPECT_EQ(Layout(below), "AAAAAA");
  below.Write(".bcdef");
  EXPECT_EQ(below.ReadAll(), "Abcdef");
  Space above = NewSpace("00...F");  // the amap is that of the uppermost
  above.Fork().Exit();
  above.Map({.at = 2, .pages = 3});
  above.Write("abcde.");
  EXPECT_EQ(above.ReadAll(), "abcdeF");
}

// The same when a copy that was owed is made beside an amap.
TEST_F(KnownBugsMapTest, TheAmapThatANeighbourIsJoinedToCoversIt) {
  Space space = NewSpace("A.....");
  space.Map({.at = 4, .pages = 2, .flags = 0});  // owes its copy, has no amap
  space.Map({.at = 1, .pages = 3, .flags = kEnterOverlay});
  EXPECT_EQ(Layout(space), "AAAABB");
  space.Write(".bcdef");
  EXPECT_EQ(Layout(space), "AAAAAA");  // joined when the copy was made
  EXPECT_EQ(space.ReadAll(), "Abcdef");
}

// Item 2 (PR 52239): another thread's mapping, or a hole, between the unmapping and the mapping.
BatonThreads* switching = nullptr;  // gives way at each lock

TEST(KnownBugsMapThreadsTest, ReplacingLeavesNoMomentInBetween) {
  BatonThreads threads;
  World world(64, &threads);
  Space space = world.NewSpace("ABC");
  world.StopChecking();
  bool hole = false;
  bool done = false;
  threads.Add([&] {
    switching = &threads;
    threads.at_lock = [] { switching->Yield(); };
    for (int i = 0; i < 3; ++i) space.Map({.at = 0, .pages = 3, .where = Where::kFixedReplace});
    threads.at_lock = nullptr;
    done = true;
  });
  threads.Add([&] {
    while (!done) {
      hole = hole || !space->map().IsMapped(Pages(0, 3));
      threads.Yield();
    }
  });
  threads.Run();
  EXPECT_FALSE(hole);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

// Item 3 (PR 44788): clipping at an address that is not inside an entry.
TEST_F(KnownBugsMapTest, LockingPartsOfPagesClipsWhereThereIsSomethingToClip) {
  Space space = NewSpace("AB.CD");
  space.Wire(0, 1);
  space.Wire(1, 1);
  space.Wire(3, 2);
  space.Unwire(0, 2);
  space.Unwire(4, 1);
  EXPECT_EQ(Layout(space), "AB.CD");
  EXPECT_EQ(Wires(space), "00.10");
}

// Item 5 (PR 51254): a result above the hint; a search in the nearest gap that is not monotonic.
TEST_F(KnownBugsMapTest, SearchesGoInOneDirectionOnly) {
  Space down = NewSpace("....0....0....", Direction::kTopDown);
  EXPECT_EQ(down.Find({.hint = 7, .pages = 2}), "7");
  EXPECT_EQ(down.Find({.hint = 5, .pages = 2}), "5");
  EXPECT_EQ(down.Find({.hint = 6, .pages = 4}), "5");
  EXPECT_EQ(down.Find({.hint = 6, .pages = 3, .align = 4}), "0");
  Space up = NewSpace("....0....0....");
  EXPECT_EQ(up.Find({.hint = 7, .pages = 2}), "7");
  EXPECT_EQ(up.Find({.hint = 7, .pages = 3}), "10");
}

// Item 5, the shortcut for hints at the end where a search begins: it began behind everything else.
TEST_F(KnownBugsMapTest, SearchesGoFromTheVeryEndToo) {
  Space up = NewSpace("..0...0....");
  EXPECT_EQ(up.Find({.hint = 0, .pages = 2}), "0");
  EXPECT_EQ(up.Find({.hint = 0, .pages = 3}), "3");
  EXPECT_EQ(up.Find({.hint = 0, .pages = 4}), "7");
  up.Map({.at = 0, .pages = 2});
  EXPECT_EQ(up.Find({.hint = 0, .pages = 2}), "3");
  Space down = NewSpace("....0...0..", Direction::kTopDown);
  EXPECT_EQ(down.Find({.hint = 11, .pages = 2}), "9");
  EXPECT_EQ(down.Find({.hint = 11, .pages = 3}), "5");
  EXPECT_EQ(down.Find({.hint = 11, .pages = 4}), "0");
}

// Item 18 (OpenBSD): private made shared, fork, each side unmaps a part; too much was wiped.
TEST_F(KnownBugsMapTest, EachSharerUnmapsItsPartAndOnlyThat) {
  Space parent = NewSpace("ABCDEFGH");
  parent.SetInherit(0, 8, Inherit::kShare);
  Space child = parent.Fork();
  parent.Unmap(0, 4);
  child.Unmap(2, 4);
  EXPECT_EQ(parent.ReadAll(), "????EFGH");
  EXPECT_EQ(child.ReadAll(), "AB????GH");
  EXPECT_EQ(uvm().counters().frames_in_use, 6u);  // C and D are nobody's
  child.Unmap(0, 8);
  EXPECT_EQ(parent.ReadAll(), "????EFGH");
  EXPECT_EQ(uvm().counters().frames_in_use, 4u);
}

// Item 19 (OpenBSD): an amap extended past its arrays.
TEST_F(KnownBugsMapTest, ExtendingPastTheArraysMakesNewOnes) {
  Space space = NewSpace("AB" + std::string(30, '.'));
  for (uint64_t at = 2; at < 32; at += 3) {
    space.Map({.at = at, .pages = 3, .flags = kEnterOverlay});
  }
  EXPECT_EQ(Layout(space), std::string(32, 'A'));
  std::string picture;
  for (int i = 0; i < 32; ++i) picture += static_cast<char>('a' + i % 26);
  space.Write(picture);
  EXPECT_EQ(space.ReadAll(), picture);
}

// Item 19: extending gave the counts of references up and kept their memory.
TEST_F(KnownBugsMapTest, WhatCountedReferencesOfAnExtendedAmapIsGivenBack) {
  const uint64_t before = uvm().DebugAmaps().array_bytes();
  Space space = NewSpace("ABCD..");
  const uint64_t without = uvm().DebugAmaps().array_bytes();
  for (int round = 0; round < 3; ++round) {
    space.Unmap(2, 2);  // clips: each part counts
    space.Map({.at = 2, .pages = 2, .flags = kEnterOverlay});
    EXPECT_EQ(Layout(space), "AAAA..");
    EXPECT_EQ(uvm().DebugAmaps().array_bytes(), without) << round;
  }
  space.Exit();
  EXPECT_EQ(uvm().DebugAmaps().array_bytes(), before);
}

// Item 20 (CVE-2016-6239, 6240): sizes are checked before an amap is made.
TEST_F(KnownBugsMapTest, AHugeRegionGetsNoAmapAndNoOverflow) {
  Result<uvm::Space*, MapError> huge = uvm().CreateSpace(kPageZero, Vaddr(uint64_t{1} << 63));
  ASSERT_TRUE(huge.ok());
  Map::EnterOptions options;
  options.at = Vaddr(uint64_t{1} << 32);
  options.size = uint64_t{1} << 62;
  options.where = Where::kFixed;
  options.sharing = Sharing::kShared;
  Result<Vaddr, MapError> entered = huge.value()->map().Enter(options);
  ASSERT_FALSE(entered.ok());
  EXPECT_EQ(entered.error(), MapError::kNoMemory);
  options.sharing = Sharing::kPrivate;
  EXPECT_TRUE(huge.value()->map().Enter(options).ok());
}

// Item 21 (OpenBSD syzkaller): protect with bounds outside the map.
TEST_F(KnownBugsMapTest, RangesBeyondTheMapAreCutToIt) {
  Space space = NewSpace("AB");
  Range beyond = {kPageZero - base::kPageSize, PageAt(100)};
  EXPECT_TRUE(space->map().Protect(beyond, kProtRead, SetMax::kNo).ok());
  EXPECT_EQ(Prots(space), "rr");
  EXPECT_TRUE(space->map().SetInherit(beyond, Inherit::kNone).ok());
  EXPECT_TRUE(space->map().SetAdvice(beyond, Advice::kRandom).ok());
  EXPECT_TRUE(space->map().Unmap({PageAt(50), PageAt(60)}).ok());
  EXPECT_FALSE(space->map().CheckProt(beyond, kProtRead));
  EXPECT_TRUE(space->map().Unmap(beyond).ok());
  EXPECT_EQ(Layout(space), "..");
  CheckInvariants();
}

// Item 22 (CVE-2021-29626): a region shared after it was copied; sharers must see each other.
TEST_F(KnownBugsMapTest, SharersOfWhatWasOnceCopiedSeeEachOther) {
  Space parent = NewSpace("AB");
  Space copy = parent.Fork();
  parent.SetInherit(0, 2, Inherit::kShare);
  Space sharer = parent.Fork();
  sharer.Write("x.");
  parent.Write(".y");
  EXPECT_EQ(Contents(parent, copy, sharer), "xy|AB|xy");
}

// Item 24 (FreeBSD PR 266108): a translation entered ahead twice stayed when the space ended.
TEST_F(KnownBugsMapTest, NothingStaysMappedWhenASpaceEnds) {
  Object* file = File(7);
  Space one = NewSpace("....");
  one.Map({.pages = 4, .sharing = Sharing::kShared, .file = file});
  Space two = one.Fork();
  for (const Space& space : {one, two, one}) space.ReadAll();
  one.Exit();
  two.Exit();
  CloseFile(file);
  EXPECT_EQ(uvm().counters().frames_in_use, 0u);
}

// Item 25 (mouse-bsd): the hint named an entry that extract or mremap had done away with.
TEST_F(KnownBugsMapTest, TheHintSurvivesWhatItPointedAt) {
  Space space = NewSpace("ABC.......");
  space.Touch(1, base::Access::kRead);  // the hint is the entry of page 1
  space.Protect(1, 1, kProtRead);
  space.Touch(1, base::Access::kRead);
  space.Unmap(1, 1);
  EXPECT_EQ(space.Touch(1, base::Access::kRead), "no_entry");
  space.Touch(2, base::Access::kRead);
  space.Remap({.from = 2, .pages = 1, .new_pages = 1, .to = 8, .where = Remap::kFixed});
  EXPECT_EQ(space.Touch(2, base::Access::kRead), "no_entry");
  space.Touch(8, base::Access::kRead);
  EXPECT_EQ(space.Extract(0, 1, space, 4, Map::kExtractRemove), 4u);
  EXPECT_EQ(space.ReadAll(), "????A???C?");
  space.Touch(4, base::Access::kRead);
  space.Map({.at = 3, .pages = 4, .where = Where::kFixedReplace});
  EXPECT_EQ(space.ReadAll(), "???0000?C?");
}

// Item 27 (phoenix-rtos 1714): an amap that a child refers to was extended and its slots reused.
TEST_F(KnownBugsMapTest, AnAmapWithTwoReferersIsNotExtended) {
  Space parent = NewSpace("ABCD.");
  Space child = parent.Fork();
  parent.Unmap(2, 2);
  parent.Map({.at = 2, .pages = 3});
  EXPECT_EQ(parent.ReadAll(), "AB000");
  parent.Write("..xyz");
  EXPECT_EQ(Contents(parent, child), "ABxyz|ABCD.");
  parent.Unmap(0, 5);
  EXPECT_EQ(child.ReadAll(), "ABCD?");
}

// Item 28 (CVE-2011-2496): growth whose object offset wraps.
TEST_F(KnownBugsMapTest, GrowthDoesNotWrapTheOffset) {
  Object* file = File(7);
  Space space = NewSpace("......");
  ASSERT_TRUE(space->map()
                  .Enter({.at = PageAt(0),
                          .size = base::kPageSize,
                          .where = Where::kFixed,
                          .prot = kProtRead,
                          .object = file,
                          .offset = (uint64_t{1} << 63) - 2 * base::kPageSize})
                  .ok());
  uvm().ReferenceObject(file);
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 1, .new_pages = 3}), "too_big");
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 1, .new_pages = 2}), "0");
  EXPECT_EQ(Layout(space), "AA....");
}

// Item 28 (LTP mremap06): three regions joined with the offset of the wrong one.
TEST_F(KnownBugsMapTest, JoinedFileWindowsKeepTheirOffsets) {
  Object* file = File(7);
  Space space = NewSpace(".....");
  space.Map({.at = 0, .pages = 2, .file = file, .file_page = 1});
  space.Map({.at = 3, .pages = 2, .file = file, .file_page = 4});
  space.Map({.at = 2, .pages = 1, .file = file, .file_page = 3});
  EXPECT_EQ(Layout(space), "AAAAA");
  EXPECT_EQ(space.ReadAll(), "23456");
  Space back = NewSpace("...");
  for (uint64_t at : {2, 1, 0}) back.Map({.at = at, .file = file, .file_page = at});
  EXPECT_EQ(Layout(back), "AAA");
  EXPECT_EQ(back.ReadAll(), "123");
}

// The same where one of two existing entries swallows the other: what grew, and what is copied.
TEST_F(KnownBugsMapTest, JoinedFileWindowsBeginWhereTheLowerOneDid) {
  Object* file = File(7);
  Space grown = NewSpace("......");
  grown.Map({.pages = 2, .prot = kProtRead, .file = file, .file_page = 3});
  EXPECT_EQ(grown.Remap({.from = 0, .pages = 2, .new_pages = 5}), 0u);
  EXPECT_EQ(Layout(grown), "AAAAA.");
  EXPECT_EQ(grown.ReadAll(), "45678?");
  Space copied = NewSpace("....");
  copied.Map({.pages = 2, .file = file, .file_page = 3});
  copied.Write("x...");
  copied.Map({.at = 2, .pages = 2, .file = file, .file_page = 5});
  EXPECT_EQ(Layout(copied), "AABB");
  copied.Write("..y.");  // joined to what has an amap when the copy is made
  EXPECT_EQ(Layout(copied), "AAAA");
  EXPECT_EQ(copied.ReadAll(), "x5y7");
}

// Item 28 (LTP mmap19): a stale translation after unmapping and mapping anew.
TEST_F(KnownBugsMapTest, NothingOldShowsThroughANewMapping) {
  pmap().DelayInvalidations();
  Object* file = File(7);  // whose pages stay when they are unmapped
  Space space = NewSpace("..");
  space.Map({.pages = 2, .sharing = Sharing::kShared, .file = file});
  EXPECT_EQ(space.ReadAll(), "12");
  space.Unmap(0, 1);
  EXPECT_EQ(space.ReadAll(), "?2");
  space.Map({.pages = 2, .where = Where::kFixedReplace});
  EXPECT_EQ(space.ReadAll(), "00");
}

// Item 28 (LTP mlock04): a page that may be written and not read.
TEST_F(KnownBugsMapTest, AWriteOnlyPageCanBeWired) {
  Space space = NewSpace("A");
  space.Protect(0, 1, kProtWrite);
  EXPECT_EQ(space.TryWire(0, 1), "ok");
  EXPECT_EQ(Wires(space), "1");
}

// Item 28 (LTP mlock03): what is locked and unlocked again and again becomes no smaller.
TEST_F(KnownBugsMapTest, WiringAndUnwiringKeepsTheRegion) {
  Space space = NewSpace("ABCDEF");
  for (int i = 0; i < 20; ++i) {
    space.Wire(2, 3);
    space.Unwire(2, 3);
  }
  EXPECT_EQ(space.ReadAll(), "ABCDEF");
  EXPECT_EQ(space->map().size_bytes(), 6 * base::kPageSize);
  EXPECT_LE(space->map().DebugCount(), 3u);
}

// ---- 5.B: suspected or confirmed in the original; here the sane behaviour.

// Item 1: the forking parent stopped sharing with its partners at its next write.
TEST_F(KnownBugsMapTest, AParentThatForksACopyGoesOnSharing) {
  Space parent = NewSpace("..");
  parent.Map(SharedAnonymous(0, 2));
  parent.Write("AB");
  Space partner = parent.Fork();
  parent.SetInherit(0, 2, Inherit::kCopy);
  Space child = parent.Fork();
  parent.Write("x.");
  EXPECT_EQ(Contents(parent, partner, child), "xB|xB|AB");
  partner.Write(".y");
  EXPECT_EQ(Contents(parent, partner, child), "xy|xy|AB");
}

// Item 1, with an alias instead of a partner.
TEST_F(KnownBugsMapTest, AnAliasGoesOnShowingTheParentsPages) {
  Space parent = NewSpace("AB....");
  EXPECT_EQ(parent.Remap({.from = 0,
                          .pages = 2,
                          .new_pages = 2,
                          .to = 4,
                          .where = Remap::kFixed,
                          .duplicate = true}),
            4u);
  Space child = parent.Fork();
  parent.Write("x.....");
  parent.Write(".....y");
  EXPECT_EQ(Contents(parent), "xy..xy");
  EXPECT_EQ(Contents(child), "AB..AB");
}

// Item 2: only the forking space was write-protected; its partners wrote into the snapshot.
TEST_F(KnownBugsMapTest, PartnersDoNotWriteIntoTheSnapshot) {
  Space parent = NewSpace("..");
  parent.Map(SharedAnonymous(0, 2));
  Space partner = parent.Fork();
  partner.Write("AB");  // the partner holds writable translations
  parent.SetInherit(0, 2, Inherit::kCopy);
  Space child = parent.Fork();
  EXPECT_EQ(Rights(partner), "rr");
  partner.Write("xy");
  EXPECT_EQ(Contents(parent, partner, child), "xy|xy|AB");
}

// Item 3: mremap growth of shared anonymous memory left a tail with nothing behind it.
TEST_F(KnownBugsMapTest, GrownSharedMemoryIsMemory) {
  Space space = NewSpace("........");
  space.Map(SharedAnonymous(0, 2));
  space.Write("AB......");
  EXPECT_EQ(space.Remap({.from = 0, .pages = 2, .new_pages = 4}), 0u);
  EXPECT_EQ(Layout(space), "AAAA....");
  EXPECT_EQ(space.TryWrite("..xy...."), "..xy....");
  Space child = space.Fork();
  EXPECT_EQ(space.Remap({.from = 0, .pages = 4, .new_pages = 5}), 0u);
  EXPECT_EQ(space.TryWrite("z...w..."), "z...w...");
  EXPECT_EQ(Contents(space, child), "zBxyw...|zBxy....");
}

// Item 4: after a failing mlockall what had been wired was not, and what had not been was.
TEST_F(KnownBugsMapTest, AFailingMlockallChangesNoWiring) {
  Object* file = File(7);
  Space space = NewSpace("ABC...");
  space.Map({.at = 4, .pages = 2, .prot = kProtRead, .sharing = Sharing::kShared, .file = file});
  space.Wire(1, 1);
  pager().FailOnce(1, PagerError::kIo);
  EXPECT_EQ(space.TryWireAll(Map::kWireCurrent), "io");
  EXPECT_EQ(Wires(space), "010.00");
  EXPECT_EQ(Wirings(space), "010.0.");
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(1));
}

// Item 5: the check for wired pages looked at the first entry only.
TEST_F(KnownBugsMapTest, WiredPagesAnywhereInTheRangeAreBusy) {
  Space space = NewSpace("ABCD");
  space.Wire(2, 1);
  EXPECT_EQ(space.TryClean(0, 4, kPgoFree), "busy");
  EXPECT_EQ(space.TryClean(2, 1, kPgoFree), "busy");
  EXPECT_EQ(space.TryClean(2, 2, kPgoFree | kPgoCleanIt), "busy");
  EXPECT_EQ(space.ReadAll(), "ABCD");
  EXPECT_EQ(space.TryClean(0, 4, kPgoCleanIt | kPgoSyncIo), "ok");
  space.Unwire(2, 1);
}

// Item 6: read-ahead of a part of a mapping fetched the wrong pages.
TEST_F(KnownBugsMapTest, WillNeedFetchesThePagesThatWereNamed) {
  Object* file = File(7);
  Space space = NewSpace("......");
  space.Map({.at = 1,
             .pages = 5,
             .prot = kProtRead,
             .sharing = Sharing::kShared,
             .file = file,
             .file_page = 2});
  space->map().WillNeed(Pages(3, 2));
  CheckInvariants();
  EXPECT_EQ(pager().gets(), 2u);
  bool resident = false;
  std::string picture;
  for (uint64_t page = 0; page < 6; ++page) {
    bool mapped = space->map().IsResident(PageAt(page), &resident);
    picture += !mapped ? '.' : resident ? 'r' : '-';
  }
  EXPECT_EQ(picture, ".--rr-");
  EXPECT_EQ(space.Read("...xx."), "...56.");
}

// Item 13: extraction with removal neither unwired the source nor made its map smaller.
TEST_F(KnownBugsMapTest, ExtractingAwayUnwiresAndShrinks) {
  Space source = NewSpace("ABC");
  Space target = NewSpace("...");
  source.Wire(0, 3);
  source.Extract(0, 2, target, 0, Map::kExtractRemove);
  EXPECT_EQ(source->map().size_bytes(), base::kPageSize);
  EXPECT_EQ(Wirings(source, target), "..1|00.");
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(1));
  EXPECT_EQ(target.ReadAll(), "AB?");
}

// Item 14: parameter errors lost the caller's reference, or took one.
TEST_F(KnownBugsMapTest, ARefusedMappingLeavesTheReferenceWithTheCaller) {
  Object* file = File(7);
  Space space = NewSpace("A...");
  uint64_t refs = file->DebugRefs();
  Map::EnterOptions good;
  good.at = PageAt(1);
  good.size = base::kPageSize;
  good.where = Where::kFixed;
  good.prot = kProtRead;
  good.object = file;
  std::vector<Map::EnterOptions> bad(6, good);
  bad[0].offset = 1;
  bad[1].align = 3 * base::kPageSize;
  bad[2].at = PageAt(0);
  bad[3].max_prot = kProtNone;
  bad[4].offset = ~base::kPageMask;
  bad[4].size = 2 * base::kPageSize;
  bad[5].at = PageAt(9);
  for (const Map::EnterOptions& options : bad) {
    EXPECT_FALSE(space->map().Enter(options).ok());
    EXPECT_EQ(file->DebugRefs(), refs);
  }
  EXPECT_EQ(Layout(space), "A...");
}

// Item 20: a length that rounds up to nothing names no page. Item 21: a size that stays the same
// asks for no page; holes that move stay holes. Both are how the calls behave for ever.
TEST_F(KnownBugsMapTest, NothingIsDoneToNothing) {
  Space space = NewSpace("A.B.....");
  EXPECT_EQ(space.TryUnmap(0, 0), "ok");
  EXPECT_EQ(space.TryProtect(0, 0, kProtNone), "ok");
  EXPECT_EQ(space.TryClean(1, 0, kPgoFree), "ok");
  EXPECT_EQ(space.TryRemap({.from = 5, .pages = 2, .new_pages = 2}), "5");
  EXPECT_EQ(space.TryRemap({.from = 5, .pages = 2, .new_pages = 1}), "5");
  EXPECT_EQ(
      space.TryRemap({.from = 0, .pages = 3, .new_pages = 3, .to = 4, .where = Remap::kFixed}),
      "4");
  EXPECT_EQ(space.ReadAll(), "????A?B?");
}

// ---- 5.B': shown by running the original.

// N2: growth past the end of an anonymous object.
TEST_F(KnownBugsMapTest, GrowthEndsWhereTheObjectEnds) {
  Result<Object*, MapError> object = uvm().CreateAobj(3 * base::kPageSize, 0);
  ASSERT_TRUE(object.ok());
  Space space = NewSpace("......");
  space.Map({.pages = 2, .sharing = Sharing::kShared, .file = object.value()});
  uvm().ReleaseObject(object.value());
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 2, .new_pages = 4}), "invalid_argument");
  EXPECT_EQ(Layout(space), "AA....");
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 2, .new_pages = 3}), "0");
  EXPECT_EQ(space.TryWrite("xyz..."), "xyz...");
}

// N3: forking again after item 1 ran into an assertion.
TEST_F(KnownBugsMapTest, AfterACopyOfASharedRegionOneCanForkAgain) {
  Space parent = NewSpace("..");
  parent.Map(SharedAnonymous(0, 2));
  parent.Write("AB");
  Space partner = parent.Fork();
  parent.SetInherit(0, 2, Inherit::kCopy);
  Space first = parent.Fork();
  Space second = parent.Fork();
  Space grandchild = first.Fork();
  parent.Write("x.");
  first.Write(".y");
  EXPECT_EQ(Contents(parent, partner, first, second, grandchild), "xB|xB|Ay|AB|AB");
}

// N5: moved into a hole of the old range; the last unmapping took the new mapping as well.
TEST_F(KnownBugsMapTest, AMappingMovedIntoAHoleOfTheOldRangeSurvives) {
  Space space = NewSpace("AB....");
  EXPECT_EQ(
      space.TryRemap({.from = 0, .pages = 5, .new_pages = 2, .to = 3, .where = Remap::kFixed}),
      "3");
  EXPECT_EQ(space.ReadAll(), "???AB?");
  Space whole = NewSpace("A...B.");
  EXPECT_EQ(
      whole.TryRemap({.from = 0, .pages = 5, .new_pages = 3, .to = 1, .where = Remap::kFixed}),
      "1");
  EXPECT_EQ(whole.ReadAll(), "?A????");
}

// N7, N8: top-down searches from the very end, and the hole below the first entry.
TEST_F(KnownBugsMapTest, TopDownSearchesMissNothing) {
  Space space = NewSpace("..0.0..", Direction::kTopDown);
  EXPECT_EQ(space.Find({.hint = 7, .pages = 2}), "5");
  space.Map({.at = 5, .pages = 2});
  EXPECT_EQ(space.Find({.hint = 7, .pages = 1}), "3");
  EXPECT_EQ(space.Find({.hint = 7, .pages = 2}), "0");
  EXPECT_EQ(space.Map({.at = 6, .pages = 2, .where = Where::kNear}), 0u);
}

}  // namespace
}  // namespace uvm::testing
