#include "uvm/map.h"

#include <functional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prng.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtAll;
using base::kProtNone;
using base::kProtRead;
using base::kProtReadWrite;
using Where = Map::Where;
using MapTest = PictureTest;

// ---- Clipping.

TEST_F(MapTest, ProtectingTheMiddleSplitsInThree) {
  Space space = NewSpace("ABCDE");
  EXPECT_EQ(Layout(space), "AAAAA");
  space.Protect(1, 3, kProtRead);
  EXPECT_EQ(Layout(space), "ABBBC");
  EXPECT_EQ(Prots(space), "wrrrw");
  EXPECT_EQ(Rights(space), "wrrrw");
  EXPECT_EQ(space.ReadAll(), "ABCDE");
  EXPECT_EQ(space.TryWrite("vwxyz"), "v!!!z");
  EXPECT_EQ(uvm().counters().clip, 2u);
}

TEST_F(MapTest, ClippingAtAnEntrysEdgeDoesNothing) {  // NetBSD PR 44788
  Space space = NewSpace("AB..CD");
  space.Protect(0, 2, kProtRead);
  space.Protect(1, 4, kProtRead);
  space.Protect(2, 2, kProtRead);
  EXPECT_EQ(Layout(space), "AB..CD");
  space.Protect(0, 6, kProtReadWrite);
  EXPECT_EQ(Layout(space), "AB..CD");
  EXPECT_EQ(Prots(space), "ww..ww");
}

TEST_F(MapTest, ClippedHalvesKeepTheirPlaceInTheFile) {
  Object* file = File(7);
  Space space = NewSpace("......");
  space.Map({.at = 0, .pages = 6, .file = file, .file_page = 2});
  space.Unmap(2, 1);
  space.Protect(4, 1, kProtRead);
  EXPECT_EQ(Layout(space), "AA.BCD");
  EXPECT_EQ(space.Read("xx.xxx"), "34.678");
}

TEST_F(MapTest, ClippedHalvesShareTheAmap) {
  Space space = NewSpace("ABCD");
  space.Protect(2, 2, kProtRead);
  EXPECT_EQ(EntryAt(space, 0)->aref.amap, EntryAt(space, 3)->aref.amap);
  EXPECT_EQ(EntryAt(space, 0)->aref.amap->refs, 2u);
  EXPECT_EQ(EntryAt(space, 3)->aref.slot, EntryAt(space, 0)->aref.slot + 2);
}

// ---- Merging (facts/uvm.md 2.3).

TEST_F(MapTest, MergesBackward) {
  Space space = NewSpace("00..");
  space.Map({.at = 2, .pages = 2});
  EXPECT_EQ(Layout(space), "AAAA");
  EXPECT_EQ(uvm().counters().merge, 1u);
}

TEST_F(MapTest, MergesForward) {
  Space space = NewSpace("..00");
  space.Map({.at = 0, .pages = 2});
  EXPECT_EQ(Layout(space), "AAAA");
}

TEST_F(MapTest, MergesBothNeighbours) {
  Space space = NewSpace("00..00");
  space.Map({.at = 2, .pages = 2});
  EXPECT_EQ(Layout(space), "AAAAAA");
  EXPECT_EQ(space.TryWrite("ABCDEF"), "ABCDEF");
}

TEST_F(MapTest, DifferentAttributesDoNotMerge) {
  Space space = NewSpace("00..........");
  space.Map({.at = 2, .prot = kProtRead});
  space.Map({.at = 3, .max_prot = kProtReadWrite});
  space.Map({.at = 4, .inherit = Inherit::kNone});
  space.Map({.at = 5});
  space.Advise(5, 1, Advice::kSequential);
  space.Map({.at = 6});
  EXPECT_EQ(Layout(space), "AABCDEF.....");
}

TEST_F(MapTest, OneDifferentAttributeIsEnough) {
  for (const MapOptions& other :
       {MapOptions{.at = 1, .prot = kProtRead}, MapOptions{.at = 1, .max_prot = kProtReadWrite},
        MapOptions{.at = 1, .inherit = Inherit::kNone}}) {
    Space space = NewSpace("0.");
    space.Map(other);
    EXPECT_EQ(Layout(space), "AB");
  }
}

TEST_F(MapTest, BackwardMergeStartsEarlierInTheFile) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.at = 1, .file = file, .file_page = 1});
  space.Map({.at = 0, .file = file});
  EXPECT_EQ(Layout(space), "AA");
  EXPECT_EQ(space.ReadAll(), "12");
}

TEST_F(MapTest, ClippedPartsKeepEveryAttribute) {
  Space space = NewSpace("...");
  space.Map({.pages = 3,
             .max_prot = kProtReadWrite,
             .inherit = Inherit::kShare,
             .sharing = Sharing::kShared});
  space.Advise(0, 3, Advice::kSequential);
  space.Protect(1, 1, kProtRead);
  EXPECT_EQ(Layout(space), "ABC");
  for (uint64_t page : {0, 1, 2}) {
    const MapEntry& part = *EntryAt(space, page);
    EXPECT_EQ(part.max_prot, kProtReadWrite) << page;
    EXPECT_EQ(part.inherit, Inherit::kShare) << page;
    EXPECT_EQ(part.advice, Advice::kSequential) << page;
    EXPECT_TRUE(part.shared) << page;
  }
  Map::Region region;
  ASSERT_TRUE(space->map().FindRegion(PageAt(1), &region));
  EXPECT_EQ(region.prot, kProtRead);
  EXPECT_EQ(region.max_prot, kProtReadWrite);
}

// The entry looks mergeable once the sharer and the copier have gone, but says that it is shared.
TEST_F(MapTest, WhatWasSharedByForkDoesNotMergeWithWhatWasNot) {
  Space space = NewSpace("A.");
  space.SetInherit(0, 1, Inherit::kShare);
  space.Fork().Exit();
  space.SetInherit(0, 1, Inherit::kCopy);
  space.Fork().Exit();
  ASSERT_TRUE(EntryAt(space, 0)->shared && EntryAt(space, 0)->needs_copy);
  space.Map({.at = 1});
  EXPECT_EQ(Layout(space), "AB");
  EXPECT_FALSE(EntryAt(space, 1)->shared);
}

TEST_F(MapTest, SharedAnonymousRegionsAreJoinedUntilSomebodyElseHasOne) {
  Space space = NewSpace("....");
  space.Map({.at = 0, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  space.Map({.at = 1, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  EXPECT_EQ(Layout(space), "AA..");
  Space child = space.Fork();
  space.Map({.at = 2, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  space.Map({.at = 3});
  EXPECT_EQ(Layout(space), "AABC");
  EXPECT_EQ(space.TryWrite("wxyz"), "wxyz");
  EXPECT_EQ(Contents(child), "wx..");
}

TEST_F(MapTest, FileMappingsMergeOnlyWhereTheFileGoesOn) {
  Object* file = File(7);
  Object* other = File(8);
  Space space = NewSpace("......");
  space.Map({.at = 0, .file = file, .file_page = 4});
  space.Map({.at = 1, .file = file, .file_page = 5});   // goes on
  space.Map({.at = 2, .file = file, .file_page = 5});   // again
  space.Map({.at = 3, .file = other, .file_page = 6});  // another file
  space.Map({.at = 4, .sharing = Sharing::kShared, .file = other, .file_page = 7});
  space.Map({.at = 5});
  EXPECT_EQ(Layout(space), "AABCDE");
  EXPECT_EQ(space.ReadAll(), "566780");
}

TEST_F(MapTest, NeighbouringFileWindowsInReverseOrder) {  // LTP mmapstress05
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.at = 0, .file = file, .file_page = 1});
  space.Map({.at = 1, .file = file, .file_page = 0});
  EXPECT_EQ(Layout(space), "AB");
  EXPECT_EQ(space.ReadAll(), "21");
}

TEST_F(MapTest, MergingExtendsTheNeighboursAmap) {
  Space space = NewSpace("AB...");
  space.Fork().Exit();  // leaves needs-copy with an amap that nobody else has
  space.Map({.at = 2, .pages = 2});
  EXPECT_EQ(Layout(space), "AAAA.");
  EXPECT_EQ(space.ReadAll(), "AB00?");
  space.Write("..CD");
  EXPECT_EQ(space.Read("xxxx."), "ABCD.");
}

TEST_F(MapTest, AnAmapThatAChildHasIsNotExtended) {  // facts/uvm.md 5.A item 27
  Space space = NewSpace("AB..");
  space.Fork();
  space.Map({.at = 2, .pages = 2});
  EXPECT_EQ(Layout(space), "AABB");
}

// facts/uvm.md 2.3: where the entry below would have to be extended and cannot be, nothing is
// merged at all; an amap that others refer to was none to extend, and the entry above is tried.
TEST_F(MapTest, AnAmapThatCannotGrowKeepsTheEntryAboveApartToo) {
  const std::string below = "A" + std::string(250, '0');
  Space space = NewSpace(below + "......00");
  space.Fork().Exit();
  space.Map({.at = 251, .pages = 6});  // the amap would be large
  EXPECT_EQ(Layout(space), std::string(251, 'A') + std::string(6, 'B') + std::string(2, 'C'));
  Space busy = NewSpace("A..00");
  busy.Fork();
  busy.Map({.at = 1, .pages = 2});
  EXPECT_EQ(Layout(busy), "ABBBB");
}

TEST_F(MapTest, ExtendingOverSlotsThatASplitLeftBehindReadsZero) {
  Space space = NewSpace("ABCD");
  space.Unmap(2, 2);
  space.Fork().Exit();
  space.Map({.at = 2, .pages = 2});
  EXPECT_EQ(space.ReadAll(), "AB00");
}

TEST_F(MapTest, TheThirdPartOfABiMergeIsCoveredByTheAmap) {  // NetBSD PR 18789
  Space space = NewSpace("AB...0");
  space.Fork().Exit();
  space.Map({.at = 2, .pages = 3});
  EXPECT_EQ(Layout(space), "AAAAAA");
  space.Write("..CDEF");
  EXPECT_EQ(space.ReadAll(), "ABCDEF");
}

// ---- Placement.

TEST_F(MapTest, AnywhereIsTheLowestHoleThatFits) {
  Space space = NewSpace("0.00..0.");
  EXPECT_EQ(space.TryMap({.pages = 3, .where = Where::kAnywhere}), "no_space");
  EXPECT_EQ(space.Map({.pages = 2, .where = Where::kAnywhere}), 4u);
  EXPECT_EQ(space.Map({.where = Where::kAnywhere}), 1u);
  EXPECT_EQ(space.Map({.where = Where::kAnywhere}), 7u);
  EXPECT_EQ(space.TryMap({.where = Where::kAnywhere}), "no_space");
}

TEST_F(MapTest, TheHoleBelowTheFirstEntryCounts) {  // facts/uvm.md 5.B' N8
  Space space = NewSpace("..00");
  EXPECT_EQ(space.Map({.pages = 2, .where = Where::kAnywhere}), 0u);
}

TEST_F(MapTest, HintsAreTakenWhenFreeAndIgnoredWhenNot) {
  Space space = NewSpace("0..0...");
  EXPECT_EQ(space.Map({.at = 5, .pages = 2, .where = Where::kHint}), 5u);
  EXPECT_EQ(space.Map({.at = 3, .pages = 1, .where = Where::kHint}), 1u);
  EXPECT_EQ(space.Map({.at = 6, .pages = 1, .where = Where::kHint}), 2u);
  EXPECT_EQ(space.Map({.at = 6, .pages = 1, .where = Where::kHint}), 4u);
}

TEST_F(MapTest, AHintOutsideTheMapIsNoError) {
  Space space = NewSpace("0..");
  EXPECT_EQ(space.Map({.at = 2, .pages = 2, .where = Where::kHint}), 1u);
}

TEST_F(MapTest, RandomMapsAgreeWithABitmap) {
  constexpr uint64_t kPages = 48;
  base::Prng prng(1, "map_test");
  Space space = NewSpace(std::string(kPages, '.'));
  std::string used(kPages, '.');
  for (int step = 0; step < 3000; ++step) {
    uint64_t pages = 1 + prng.Below(6);
    uint64_t at = prng.Below(kPages - pages);
    if (prng.Chance(1, 2)) {
      space.Unmap(at, pages);
      used.replace(at, pages, pages, '.');
      continue;
    }
    // Read-only and read-write alternate at random, so that some merge and some do not.
    Prot prot = prng.Chance(1, 2) ? kProtRead : kProtReadWrite;
    size_t hole = used.find(std::string(pages, '.'));
    std::string want = hole == std::string::npos ? "no_space" : std::to_string(hole);
    ASSERT_EQ(space.TryMap({.pages = pages, .where = Where::kAnywhere, .prot = prot}), want)
        << used;
    if (hole != std::string::npos) used.replace(hole, pages, pages, '0');
    ASSERT_EQ(Contents(space), used);
  }
}

// ---- Fixed and replacing.

TEST_F(MapTest, FixedWantsTheWholeRangeFree) {
  Space space = NewSpace("A..B");
  EXPECT_EQ(space.TryMap({.at = 0}), "no_space");
  EXPECT_EQ(space.TryMap({.at = 1, .pages = 3}), "no_space");
  EXPECT_EQ(space.TryMap({.at = 1, .pages = 2}), "1");
}

TEST_F(MapTest, ReplaceTakesThePlaceOfWhateverIsThere) {
  Object* file = File(7);
  Space space = NewSpace("ABC.DEF");
  EXPECT_EQ(
      space.Map(
          {.at = 1, .pages = 5, .where = Where::kFixedReplace, .prot = kProtRead, .file = file}),
      1u);
  EXPECT_EQ(Contents(space), "A12345F");
  EXPECT_EQ(Prots(space), "wrrrrrw");
  EXPECT_EQ(space.ReadAll(), "A12345F");
  EXPECT_EQ(uvm().counters().frames_in_use, 7u);
}

TEST_F(MapTest, ReplaceInsideOneEntry) {
  Space space = NewSpace("ABC");
  space.Map({.at = 1, .where = Where::kFixedReplace});
  EXPECT_EQ(Contents(space), "A0C");
  EXPECT_EQ(Rights(space), "w-w");  // no translation to the old page is left
}

// ---- Unmapping.

TEST_F(MapTest, UnmapMakesHolesAndDropsTranslations) {
  Space space = NewSpace("ABCDE");
  space.Unmap(1, 1);
  space.Unmap(3, 2);
  EXPECT_EQ(Contents(space), "A.C..");
  EXPECT_EQ(Layout(space), "A.B..");
  EXPECT_EQ(Rights(space), "w-w--");
  EXPECT_EQ(space.TryWrite("vwxyz"), "v?x??");
}

TEST_F(MapTest, UnmappingHolesIsFine) {
  Space space = NewSpace(".A..B.");
  space.Unmap(0, 1);
  space.Unmap(2, 2);
  space.Unmap(0, 6);
  EXPECT_EQ(Contents(space), "......");
  EXPECT_EQ(uvm().counters().frames_in_use, 0u);
}

TEST_F(MapTest, EmptyRangesDoNothing) {
  Space space = NewSpace("AB");
  space.Unmap(1, 0);
  space.Protect(1, 0, kProtNone);
  space.SetInherit(1, 0, Inherit::kNone);
  space.Advise(1, 0, Advice::kRandom);
  EXPECT_EQ(space.TryAdvise(1, 0, Advice::kFree), "ok");
  EXPECT_EQ(space.TryDiscard(1, 0), "ok");
  EXPECT_EQ(Layout(space), "AA");
  EXPECT_EQ(Prots(space), "ww");
}

TEST_F(MapTest, UnmappingOnePartOfARegionFreesItsFrames) {
  Space space = NewSpace("ABCD");
  space.Unmap(1, 2);
  EXPECT_EQ(uvm().counters().frames_in_use, 2u);
  EXPECT_EQ(uvm().DebugAnons().live(), 2u);
  EXPECT_EQ(space.ReadAll(), "A??D");
}

TEST_F(MapTest, UnmappingOnePartOfASharedRegionLeavesThePartnersPages) {
  Space one = NewSpace("ABCD");
  one.SetInherit(0, 4, Inherit::kShare);
  Space two = one.Fork();
  one.Unmap(1, 2);
  EXPECT_EQ(two.ReadAll(), "ABCD");
  one.Exit();
  two.Unmap(0, 1);
  EXPECT_EQ(two.ReadAll(), "?BCD");
  EXPECT_EQ(uvm().counters().frames_in_use, 3u);
}

TEST_F(MapTest, TheLastMappingOfAClosedFileDetachesIt) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.pages = 2, .file = file});
  EXPECT_EQ(space.ReadAll(), "12");
  CloseFile(file);
  space.Unmap(0, 1);
  EXPECT_TRUE(pager().detached().empty());
  space.Unmap(1, 1);
  EXPECT_EQ(pager().detached(), std::vector<uint64_t>{7});
  EXPECT_EQ(uvm().counters().frames_in_use, 0u);
}

// ---- Attributes.

TEST_F(MapTest, ProtectSkipsHoles) {
  Space space = NewSpace("A.B.");
  space.Protect(0, 4, kProtRead);
  EXPECT_EQ(Prots(space), "r.r.");
}

TEST_F(MapTest, RaisingRightsIsLeftToFaults) {
  Space space = NewSpace("AB");
  space.Protect(0, 2, kProtRead);
  space.Protect(0, 2, kProtReadWrite);
  EXPECT_EQ(Rights(space), "rr");
  space.Write("x.");
  EXPECT_EQ(Rights(space), "wr");
}

TEST_F(MapTest, ProtectNoneRemovesTranslationsAndKeepsContents) {
  Space space = NewSpace("AB");
  space.Protect(0, 1, kProtNone);
  EXPECT_EQ(Rights(space), "-w");
  EXPECT_EQ(space.Read("xx"), "!B");
  space.Protect(0, 1, kProtRead);
  EXPECT_EQ(space.ReadAll(), "AB");
}

TEST_F(MapTest, RightsWithoutReadGiveNoTranslation) {
  Space space = NewSpace("A");
  space.Protect(0, 1, base::kProtWrite);
  EXPECT_EQ(Rights(space), "-");
  EXPECT_EQ(Prots(space), "2");
}

TEST_F(MapTest, TheMaximumForbidsAndNothingChanges) {
  Space space = NewSpace("A.B");
  space.Map({.at = 1, .prot = kProtRead, .max_prot = kProtRead});
  EXPECT_EQ(space.TryProtect(0, 3, kProtReadWrite), "protection");
  EXPECT_EQ(space.TryProtect(0, 3, kProtAll), "protection");
  EXPECT_EQ(Prots(space), "wrw");
  EXPECT_EQ(Layout(space), "ABC");
  EXPECT_EQ(space.TryProtect(0, 1, kProtAll), "ok");
  EXPECT_EQ(Prots(space), "arw");
}

TEST_F(MapTest, SettingTheMaximumLowersTheCurrentRightsToo) {
  Space space = NewSpace("AB");
  EXPECT_EQ(space.TryProtect(0, 1, kProtRead, SetMax::kYes), "ok");
  EXPECT_EQ(Prots(space), "rw");
  EXPECT_EQ(Rights(space), "rw");
  EXPECT_EQ(space.TryProtect(0, 2, kProtReadWrite), "protection");
  EXPECT_EQ(space.TryProtect(0, 2, kProtAll, SetMax::kYes), "protection");
}

TEST_F(MapTest, InheritanceAndAdviceApplyToTheRangeOnly) {
  Space space = NewSpace("ABC.D");
  space.SetInherit(1, 4, Inherit::kNone);
  space.Advise(2, 3, Advice::kSequential);
  EXPECT_EQ(Layout(space), "ABC.D");
  EXPECT_EQ(EntryAt(space, 0)->inherit, Inherit::kCopy);
  EXPECT_EQ(EntryAt(space, 1)->inherit, Inherit::kNone);
  EXPECT_EQ(EntryAt(space, 4)->inherit, Inherit::kNone);
  EXPECT_EQ(EntryAt(space, 1)->advice, Advice::kNormal);
  EXPECT_EQ(EntryAt(space, 2)->advice, Advice::kSequential);
  EXPECT_EQ(space.ReadAll(), "ABC?D");
}

// ---- Questions.

TEST_F(MapTest, IsMappedAndIsFree) {
  Space space = NewSpace("AB.C..");
  space.Protect(1, 1, kProtRead);
  Map& map = space->map();
  EXPECT_TRUE(map.IsMapped(Pages(0, 2)));
  EXPECT_FALSE(map.IsMapped(Pages(0, 3)));
  EXPECT_FALSE(map.IsMapped(Pages(2, 1)));
  EXPECT_FALSE(map.IsMapped(Pages(3, 2)));
  EXPECT_TRUE(map.IsMapped(Pages(3, 1)));
  EXPECT_TRUE(map.IsFree(Pages(2, 1)));
  EXPECT_TRUE(map.IsFree(Pages(4, 2)));
  EXPECT_FALSE(map.IsFree(Pages(2, 2)));
  EXPECT_FALSE(map.IsFree(Pages(0, 6)));
  for (uint64_t page = 0; page <= 6; ++page) {
    EXPECT_TRUE(map.IsMapped(Pages(page, 0)));
    EXPECT_TRUE(map.IsFree(Pages(page, 0)));
  }
}

TEST_F(MapTest, FindRegionFindsTheEntryOrTheNextHigher) {
  Space space = NewSpace(".A.BB.");
  space.SetInherit(1, 1, Inherit::kShare);
  space.Fork();
  Map::Region region;
  ASSERT_TRUE(space->map().FindRegion(PageAt(0), &region));
  EXPECT_EQ(region.range, Pages(1, 1));
  EXPECT_EQ(region.inherit, Inherit::kShare);
  EXPECT_TRUE(region.shared);
  ASSERT_TRUE(space->map().FindRegion(PageAt(2) + 1, &region));
  EXPECT_EQ(region.range, Pages(3, 2));
  EXPECT_EQ(region.prot, kProtReadWrite);
  EXPECT_EQ(region.max_prot, kProtAll);
  EXPECT_FALSE(region.shared);
  ASSERT_TRUE(space->map().FindRegion(PageAt(5) - 1, &region));
  EXPECT_EQ(region.range, Pages(3, 2));
  EXPECT_FALSE(space->map().FindRegion(PageAt(5), &region));
  EXPECT_FALSE(space->map().FindRegion(Vaddr(~uint64_t{0}), &region));
}

TEST_F(MapTest, ExecUnmapsEverything) {
  Space space = NewSpace("AB.C");
  Space child = space.Fork();
  EXPECT_TRUE(uvm().ExecSpace(space.get()).ok());
  EXPECT_EQ(Contents(space, child), "....|AB.C");
  space.Map({.pages = 4});
  EXPECT_EQ(space.ReadAll(), "0000");
}

// ---- Bad arguments.

// ---- Reservations and submaps.

TEST_F(MapTest, AReservationHoldsAddressesAndNothingElse) {
  Space space = NewSpace("A....");
  EXPECT_EQ(space.TryReserve(1, 2), "1");
  EXPECT_EQ(space.TryReserve(3, 1), "3");
  EXPECT_EQ(Layout(space), "ABBC.");  // they never merge
  EXPECT_EQ(Prots(space), "waaa.");
  EXPECT_EQ(space.TryMap({.at = 2}), "no_space");
  EXPECT_EQ(space.TryWrite("xyz.."), "x**..");
  Space child = space.Fork();
  EXPECT_EQ(Layout(child), "A....");
  EXPECT_EQ(space.Map({.at = 1, .pages = 3, .where = Where::kFixedReplace}), 1u);
  EXPECT_EQ(space.ReadAll(), "x000?");
}

TEST_F(MapTest, BareMemoryMergesUnlessItIsReserved) {
  Space space = NewSpace("....");
  space.Map({.at = 0, .flags = kEnterBare});
  space.Map({.at = 1, .flags = kEnterBare});
  space.Map({.at = 2});
  EXPECT_EQ(Layout(space), "AAB.");
  EXPECT_EQ(space.Touch(1, base::Access::kRead), "layerless");
}

TEST_F(MapTest, ASubmapWantsABlankEntryThatItSpans) {
  Space space = NewSpace("A.....");
  Space sub = NewSpace("......");
  EXPECT_FALSE(space->map().Submap(Pages(0, 1), &sub->map()).ok());
  EXPECT_FALSE(space->map().Submap(Pages(1, 2), &sub->map()).ok());
  EXPECT_EQ(space.TryReserve(1, 3), "1");
  EXPECT_FALSE(space->map().Submap(Pages(1, 2), &sub->map()).ok());
  EXPECT_TRUE(space->map().Submap(Pages(1, 3), &sub->map()).ok());
  EXPECT_FALSE(space->map().Submap(Pages(1, 3), &sub->map()).ok());
  EXPECT_EQ(space.TryProtect(0, 3, kProtRead), "invalid_argument");
  EXPECT_EQ(Prots(space), "waaa..");
  EXPECT_EQ(space.TryClean(0, 3, kPgoFree), "invalid_argument");
  EXPECT_EQ(space.TryWire(0, 3), "invalid_argument");
  EXPECT_EQ(space.TryExtract(0, 3, sub, 0), "invalid_argument");
  EXPECT_EQ(Layout(space.Fork()), "A.....");
  sub.Map({.at = 2});
  EXPECT_TRUE(uvm().Fault(space.get(), PageAt(2), base::Access::kWrite).ok());
  EXPECT_FALSE(uvm().Fault(space.get(), PageAt(3), base::Access::kWrite).ok());
  EXPECT_EQ(Rights(space), "r-w---");  // in the pmap of the map that was asked
}

TEST_F(MapTest, OverlaysHaveTheirAmapAtOnceWithRoomToGrow) {
  Space space = NewSpace("........");
  space.Map({.at = 0, .pages = 2, .flags = kEnterOverlay | kEnterAmapPad});
  const MapEntry& entry = *EntryAt(space, 0);
  ASSERT_NE(entry.aref.amap, nullptr);
  EXPECT_FALSE(entry.needs_copy);
  EXPECT_GE(entry.aref.amap->capacity, 2 + kAmapChunkSlots);
  EXPECT_EQ(space.TryWrite("xy......"), "xy......");
  space.Map({.at = 2, .pages = 2, .flags = kEnterOverlay});
  space.Map({.at = 6, .pages = 2, .flags = kEnterOverlay});
  space.Map({.at = 5, .pages = 1, .flags = kEnterOverlay});  // extends the amap above it downwards
  EXPECT_EQ(Layout(space), "AAAA.BBB");
  space.Map({.at = 4, .pages = 1, .flags = kEnterOverlay});  // two amaps are never joined
  EXPECT_EQ(Layout(space), "AAAAABBB");
  EXPECT_EQ(space.TryWrite("..abcdef"), "..abcdef");
  EXPECT_EQ(space.ReadAll(), "xyabcdef");
}

TEST_F(MapTest, NoMergeMeansNeverMerged) {
  Space space = NewSpace("00...");
  space.Map({.at = 2, .flags = kEnterNoMerge});
  space.Map({.at = 3});
  EXPECT_EQ(Layout(space), "AABC.");
  space.Write("wxyz.");
  EXPECT_EQ(Layout(space), "AABC.");
}

TEST_F(MapTest, CheckProtWantsEveryPageToHaveTheRights) {
  Space space = NewSpace("AB.C");
  space.Protect(1, 1, kProtRead);
  EXPECT_TRUE(space->map().CheckProt(Pages(0, 2), kProtRead));
  EXPECT_FALSE(space->map().CheckProt(Pages(0, 2), kProtReadWrite));
  EXPECT_FALSE(space->map().CheckProt(Pages(0, 4), kProtRead));
  EXPECT_FALSE(space->map().CheckProt(Pages(3, 2), kProtRead));
  EXPECT_TRUE(space->map().CheckProt(Pages(2, 0), kProtRead));
}

TEST_F(MapTest, ObjectsMayForbidExecution) {
  Object* file = File(7);
  file->no_exec = true;
  Space space = NewSpace("A..");
  space.Map({.at = 1, .prot = kProtRead, .file = file});
  EXPECT_EQ(space.TryProtect(0, 2, kProtAll), "protection");
  EXPECT_EQ(Prots(space), "wr.");
  EXPECT_EQ(space.TryProtect(0, 1, kProtAll), "ok");
}

TEST_F(MapTest, UnknownInheritanceAndAdviceAreInvalid) {
  Space space = NewSpace("A.");
  EXPECT_EQ(space->map().SetInherit(Pages(0, 1), Inherit::kDonateCopy).error(),
            MapError::kInvalidArgument);
  EXPECT_EQ(space->map().SetAdvice(Pages(0, 1), Advice::kWillNeed).error(),
            MapError::kInvalidArgument);
  EXPECT_TRUE(space->map().SetAdvice(Pages(1, 1), Advice::kWillNeed).ok());  // nothing is there
}

TEST_F(MapTest, EnterRefusesBadArguments) {
  Object* file = File(7);
  Space space = NewSpace("A...");
  Map& map = space->map();
  Map::EnterOptions good = {
      .at = PageAt(1), .size = base::kPageSize, .where = Where::kFixed, .prot = kProtReadWrite};
  Map::EnterOptions bad = good;
  bad.size = 0;
  EXPECT_EQ(map.Enter(bad), MapError::kInvalidArgument);
  bad = good;
  bad.size = 100;
  EXPECT_EQ(map.Enter(bad), MapError::kInvalidArgument);
  bad = good;
  bad.at = PageAt(1) + 1;
  EXPECT_EQ(map.Enter(bad), MapError::kInvalidArgument);
  bad = good;
  bad.object = file;
  bad.offset = 5;
  EXPECT_EQ(map.Enter(bad), MapError::kInvalidArgument);
  bad.offset = ~base::kPageMask;
  bad.size = 2 * base::kPageSize;
  EXPECT_EQ(map.Enter(bad), MapError::kTooBig);
  bad = good;
  bad.max_prot = kProtRead;
  EXPECT_EQ(map.Enter(bad), MapError::kProtection);
  for (Where where : {Where::kFixed, Where::kFixedReplace}) {
    bad = good;
    bad.where = where;
    bad.at = kPageZero - base::kPageSize;
    EXPECT_EQ(map.Enter(bad), MapError::kOutOfRange);
    bad.at = PageAt(3);
    bad.size = 2 * base::kPageSize;
    EXPECT_EQ(map.Enter(bad), MapError::kOutOfRange);
    bad.at = Vaddr(~base::kPageMask);
    EXPECT_EQ(map.Enter(bad), MapError::kOutOfRange);
    bad.at = PageAt(1);
    bad.size = ~base::kPageMask;
    EXPECT_EQ(map.Enter(bad), MapError::kOutOfRange);
  }
  bad = good;
  bad.where = Where::kAnywhere;
  bad.size = ~base::kPageMask;
  EXPECT_EQ(map.Enter(bad), MapError::kNoSpace);
  EXPECT_EQ(Contents(space), "A...");
  EXPECT_EQ(Layout(space), "A...");
  EXPECT_EQ(map.Enter(good), PageAt(1));
}

TEST_F(MapTest, AHugeSharedMappingIsRefusedNotOverflowed) {  // OpenBSD CVE-2016-6239/6240
  Result<uvm::Space*, MapError> space = uvm().CreateSpace(kPageZero, Vaddr(uint64_t{1} << 56));
  ASSERT_TRUE(space.ok());
  Map::EnterOptions huge = {.at = PageAt(0),
                            .size = uint64_t{1} << 55,
                            .where = Where::kFixed,
                            .prot = kProtReadWrite,
                            .sharing = Sharing::kShared};
  EXPECT_EQ(space.value()->map().Enter(huge), MapError::kNoMemory);
  huge.sharing = Sharing::kPrivate;
  EXPECT_EQ(space.value()->map().Enter(huge), PageAt(0));
  EXPECT_TRUE(uvm().Fault(space.value(), Vaddr(uint64_t{1} << 54), Access::kWrite).ok());
  EXPECT_EQ(Violation(), "");
}

// ---- Memory shortage: a failed operation leaves no trace.

// More slots than any pool cuts from one chunk.
constexpr uint64_t kLargestChunk = 200;

struct Operation {
  const char* name;
  std::function<std::string(const Space&)> run;
};

// Which pages the map says are shared.
std::string SharedMarks(const World& world, const Space& space) {
  std::string marks(space.pages(), '-');
  for (uint64_t page = 0; page < space.pages(); ++page) {
    const MapEntry* entry = world.EntryAt(space, page);
    if (entry != nullptr && entry->shared) marks[page] = 's';
  }
  return marks;
}

TEST_F(MapTest, OperationsThatRunOutOfMemoryLeaveNoTrace) {
  const std::vector<Operation> operations = {
      {"unmap", [](const Space& s) { return s.TryUnmap(1, 1); }},
      {"protect", [](const Space& s) { return s.TryProtect(1, 1, kProtRead); }},
      {"protect max", [](const Space& s) { return s.TryProtect(0, 2, kProtRead, SetMax::kYes); }},
      {"inherit",
       [](const Space& s) {
         Result<void, MapError> r = s->map().SetInherit(Pages(1, 1), Inherit::kNone);
         return std::string(r.ok() ? "ok" : "no_memory");
       }},
      {"advise", [](const Space& s) { return s.TryAdvise(1, 1, Advice::kRandom); }},
      {"map", [](const Space& s) { return s.TryMap({.at = 5, .prot = kProtRead}); }},
      {"map shared",
       [](const Space& s) { return s.TryMap({.at = 5, .sharing = Sharing::kShared}); }},
      {"replace",
       [](const Space& s) { return s.TryMap({.at = 1, .where = Where::kFixedReplace}); }},
      {"move", [](const Space& s) { return s.TryRemap({.from = 1, .pages = 2, .new_pages = 3}); }},
      {"grow shared",
       [](const Space& s) { return s.TryRemap({.from = 4, .pages = 1, .new_pages = 2}); }},
      {"discard", [](const Space& s) { return s.TryDiscard(0, 1); }},
      {"reserve", [](const Space& s) { return s.TryReserve(5, 1); }},
      {"wire", [](const Space& s) { return s.TryWire(0, 3); }},
      {"duplicate",
       [](const Space& s) {
         return s.TryRemap({.from = 0,
                            .pages = 3,
                            .new_pages = 3,
                            .to = 5,
                            .where = Map::RemapOptions::Where::kFixed,
                            .duplicate = true});
       }},
      {"extract", [](const Space& s) { return s.TryExtract(0, 3, s, 5); }},
  };
  for (const Operation& operation : operations) {
    SCOPED_TRACE(operation.name);
    int failures = 0;
    for (uint64_t filler = 0; filler < kLargestChunk; ++filler) {
      World world(/*frames=*/kLargestChunk + 20);
      world.FillPools(filler);
      Space space = world.NewSpace("ABC.....");
      space.Map({.at = 4, .sharing = Sharing::kShared});
      space.Write("....D...");
      Space child = space.Fork();  // so that discarding has to copy an amap
      auto picture = [&] {
        return world.Contents(space, child) + world.Prots(space) + world.Layout(space, child) +
               SharedMarks(world, space);
      };
      const std::string before = picture();
      world.memory().FailAfter(0);
      std::string outcome = operation.run(space);
      world.memory().NeverFail();
      if (outcome != "no_memory") continue;
      ++failures;
      EXPECT_EQ(picture(), before);
      EXPECT_NE(operation.run(space), "no_memory");
      EXPECT_EQ(world.TearDownAndFindLeaks(), "");
    }
    EXPECT_GE(failures, 1);
  }
}

TEST_F(MapTest, FaultsThatRunOutOfMemoryCanBeRepeated) {
  int failures = 0;
  for (uint64_t filler = 0; filler < kLargestChunk; ++filler) {
    World world(/*frames=*/kLargestChunk + 20);
    world.FillPools(filler);
    Space space = world.NewSpace("AB.00");
    Space child = space.Fork();
    world.memory().FailAfter(0);
    std::string outcome = space.TryWrite("x..yz");
    world.memory().NeverFail();
    if (outcome != "x..yz") ++failures;
    EXPECT_EQ(space.TryWrite("x..yz"), "x..yz");
    EXPECT_EQ(world.Contents(space, child), "xB.yz|AB.00");
    EXPECT_EQ(world.TearDownAndFindLeaks(), "");
  }
  EXPECT_GE(failures, 3);
}

}  // namespace
}  // namespace uvm::testing
