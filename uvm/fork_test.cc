#include <set>
#include <string>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtRead;
using ForkTest = PictureTest;

// ---- COPY.

TEST_F(ForkTest, ChildWriteCopiesOnlyTheWrittenPage) {
  Space parent = NewSpace("ABCD");
  Space child = parent.Fork();
  child.Write(".x..");
  EXPECT_EQ(Contents(parent, child), "ABCD|AxCD");
  EXPECT_EQ(Frames(parent, child), "abcd|aecd");
  EXPECT_EQ(Faults(), "1B");
}

TEST_F(ForkTest, ParentWriteCopiesOnlyTheWrittenPage) {
  Space parent = NewSpace("ABCD");
  Space child = parent.Fork();
  parent.Write(".x..");
  EXPECT_EQ(Contents(parent, child), "AxCD|ABCD");
  EXPECT_EQ(Frames(parent, child), "abcd|aecd");
}

TEST_F(ForkTest, ForkItselfCopiesNothingAndTouchesNoChildTranslation) {
  Space parent = NewSpace("ABCD");
  Space child = parent.Fork();
  EXPECT_EQ(Frames(parent, child), "abcd|abcd");
  EXPECT_EQ(Rights(parent, child), "rrrr|----");
  EXPECT_EQ(uvm().counters().page_copy, 0u);
  EXPECT_EQ(uvm().counters().amap_copy, 0u);
}

TEST_F(ForkTest, UntouchedMemoryIsZeroOnBothSidesAndSeparate) {
  Space parent = NewSpace("A00");
  Space child = parent.Fork();
  parent.Write(".p.");
  child.Write("..c");
  EXPECT_EQ(parent.ReadAll(), "Ap0");
  EXPECT_EQ(child.ReadAll(), "A0c");
}

TEST_F(ForkTest, AnEntryThatWasNeverTouchedCostsNothing) {
  Space parent = NewSpace("0000");
  Space child = parent.Fork();
  EXPECT_EQ(uvm().DebugAmaps().live(), 0u);
  child.Write("x...");
  EXPECT_EQ(Contents(parent, child), "0000|x000");
}

TEST_F(ForkTest, AttributesAreInherited) {
  Space parent = NewSpace("AB");
  parent.Protect(1, 1, kProtRead);
  parent.Advise(0, 1, Advice::kRandom);
  parent.SetInherit(0, 1, Inherit::kZero);
  Space child = parent.Fork();
  EXPECT_EQ(Prots(child), "wr");
  EXPECT_EQ(EntryAt(child, 0)->inherit, Inherit::kZero);
  EXPECT_EQ(EntryAt(child, 0)->advice, Advice::kRandom);
  EXPECT_EQ(EntryAt(child, 1)->inherit, Inherit::kCopy);
  EXPECT_EQ(EntryAt(child, 1)->max_prot, base::kProtAll);
}

TEST_F(ForkTest, TheNeedsCopyTakeoverCopiesNoAmap) {
  Space parent = NewSpace("AB");
  Space child = parent.Fork();
  child.Exit();
  parent.Write("x.");
  EXPECT_EQ(Faults(), "1A");
  EXPECT_EQ(Frames(parent), "ab");
  EXPECT_EQ(uvm().counters().amap_copy, 0u);
  EXPECT_EQ(uvm().counters().page_copy, 0u);
}

TEST_F(ForkTest, TheSecondWriterTakesTheAmapOver) {
  Space parent = NewSpace("AB");
  Space child = parent.Fork();
  child.Write("x.");
  EXPECT_EQ(uvm().counters().amap_copy, 1u);
  parent.Write("y.");
  EXPECT_EQ(uvm().counters().amap_copy, 1u);
  EXPECT_EQ(Contents(parent, child), "yB|xB");
}

TEST_F(ForkTest, GenerationsKeepTheirSnapshots) {
  Space a = NewSpace("AAAA");
  Space b = a.Fork();
  b.Write(".b..");
  Space c = b.Fork();
  c.Write("..c.");
  Space d = c.Fork();
  a.Write("x...");
  b.Write("y...");
  d.Write("...d");
  EXPECT_EQ(Contents(a, b, c, d), "xAAA|ybAA|AbcA|Abcd");
  EXPECT_EQ(a.ReadAll() + b.ReadAll() + c.ReadAll() + d.ReadAll(), "xAAAybAAAbcAAbcd");
}

TEST_F(ForkTest, ManyChildrenShareOneFrame) {
  Space parent = NewSpace("A");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(parent.Fork().ReadAll(), "A");
  EXPECT_EQ(uvm().counters().frames_in_use, 1u);
}

TEST_F(ForkTest, SplitThenFork) {
  Space parent = NewSpace("ABCD");
  parent.Protect(1, 2, kProtRead);  // three entries of one amap
  EXPECT_EQ(Layout(parent), "ABBC");
  Space child = parent.Fork();
  parent.Write("x...");
  child.Write("...y");
  EXPECT_EQ(Contents(parent, child), "xBCD|ABCy");
  parent.Unmap(1, 2);
  EXPECT_EQ(child.ReadAll(), "ABCy");
}

TEST_F(ForkTest, SplitAfterFork) {
  Space parent = NewSpace("ABCD");
  Space child = parent.Fork();
  parent.Unmap(1, 1);
  child.Unmap(2, 1);
  parent.Write("x...");
  child.Write(".y..");
  EXPECT_EQ(parent.Read("xxxx"), "x?CD");
  EXPECT_EQ(child.Read("xxxx"), "Ay?D");
}

TEST_F(ForkTest, MappingNextToAForkedRegionDoesNotDisturbTheTwin) {
  // The scenario of facts/uvm.md 5.A item 27: extending an amap that a child has too.
  Space parent = NewSpace("AB..");
  Space child = parent.Fork();
  parent.Map({.at = 2, .pages = 2});
  child.Map({.at = 2, .pages = 2});
  parent.Write("..pq");
  child.Write("..xy");
  EXPECT_EQ(parent.ReadAll(), "ABpq");
  EXPECT_EQ(child.ReadAll(), "ABxy");
}

TEST_F(ForkTest, RemapAndUnmapOnBothSidesLeakNothing) {
  Space parent = NewSpace("ABCDEF");
  Space child = parent.Fork();
  parent.Unmap(0, 3);
  child.Unmap(3, 3);
  child.Write("x.....");
  parent.Write("...y..");
  EXPECT_EQ(Contents(parent, child), "...yEF|xBC...");
  parent.Exit();
  EXPECT_EQ(child.Read("xxx..."), "xBC...");
}

TEST_F(ForkTest, PrivateFileMappingsReadThroughUntilWritten) {
  Object* file = File(7);
  Space parent = NewSpace("..");
  parent.Map({.pages = 2, .file = file});
  parent.Write("A.");
  Space child = parent.Fork();
  child.Write(".b");
  parent.Write(".p");
  EXPECT_EQ(parent.ReadAll(), "Ap");
  EXPECT_EQ(child.ReadAll(), "Ab");
}

// ---- Entries that become one on the way.

TEST_F(ForkTest, SharingAnEntryThatJoinsItsNeighbourSharesAllOfIt) {
  Space parent = NewSpace("AB0....");
  parent.Map({.at = 0, .pages = 1, .where = Map::Where::kFixedReplace});
  parent.SetInherit(0, 3, Inherit::kShare);
  Space child = parent.Fork();
  EXPECT_EQ(Contents(parent, child), "0B0....|0B0....");
  child.Write("xyz....");
  EXPECT_EQ(Contents(parent, child), "xyz....|xyz....");
}

// ---- SHARE, NONE, ZERO.

// Reading resolves no needs-copy here, since the file may be read through: both sides map the page
// that they own together, and neither may write it.
TEST_F(ForkTest, WrittenPagesOfAPrivateFileMappingAreReadOnlyAfterFork) {
  Space parent = NewSpace("..");
  parent.Map({.pages = 2, .file = File(7)});
  parent.Write("A.");
  Space child = parent.Fork();
  EXPECT_EQ(child.ReadAll(), "A2");
  EXPECT_EQ(parent.ReadAll(), "A2");
  EXPECT_EQ(Rights(parent, child), "rr|rr");
  child.Write("B.");
  EXPECT_EQ(Contents(parent, child), "A2|B2");
}

TEST_F(ForkTest, ACopiedSharedFileMappingIsPrivateToTheChild) {
  Space parent = NewSpace(".");
  parent.Map({.max_prot = base::kProtReadWrite, .sharing = Sharing::kShared, .file = File(7)});
  Space child = parent.Fork();
  EXPECT_EQ(EntryAt(child, 0)->max_prot, base::kProtReadWrite);
  EXPECT_EQ(child.ReadAll(), "1");
  child.Write("c");
  EXPECT_EQ(parent.ReadAll(), "1");
  parent.Write("p");
  EXPECT_EQ(Contents(parent, child), "p|c");
}

TEST_F(ForkTest, ShareIsOneMemoryInBothDirections) {
  Space parent = NewSpace("AB");
  parent.SetInherit(0, 2, Inherit::kShare);
  Space child = parent.Fork();
  child.Write("x.");
  parent.Write(".y");
  EXPECT_EQ(parent.ReadAll(), "xy");
  EXPECT_EQ(child.ReadAll(), "xy");
  EXPECT_EQ(Frames(parent, child), "ab|ab");
  EXPECT_EQ(uvm().counters().page_copy, 0u);
}

TEST_F(ForkTest, ShareOfUntouchedMemoryIsSharedToo) {
  Space parent = NewSpace("00");
  parent.SetInherit(0, 2, Inherit::kShare);
  Space child = parent.Fork();
  child.Write("x.");
  EXPECT_EQ(parent.ReadAll(), "x0");
  parent.Write(".y");
  EXPECT_EQ(child.ReadAll(), "xy");
}

TEST_F(ForkTest, ShareOfAPrivateFileMappingSharesTheLayerNotTheFile) {
  Object* file = File(7);
  Space parent = NewSpace("..");
  parent.Map({.pages = 2, .inherit = Inherit::kShare, .file = file});
  Space other = NewSpace("..");
  other.Map({.pages = 2, .file = file});
  Space child = parent.Fork();
  child.Write("x.");
  EXPECT_EQ(parent.ReadAll(), "x2");
  EXPECT_EQ(other.ReadAll(), "12");
}

TEST_F(ForkTest, ShareAfterCopyDoesNotTieTheCopyIn) {
  Space parent = NewSpace("A");
  Space copy = parent.Fork();
  parent.SetInherit(0, 1, Inherit::kShare);
  Space sharer = parent.Fork();
  sharer.Write("x");
  EXPECT_EQ(Contents(parent, sharer, copy), "x|x|A");
  copy.Write("c");
  EXPECT_EQ(parent.ReadAll() + sharer.ReadAll() + copy.ReadAll(), "xxc");
}

TEST_F(ForkTest, SharedAnonymousMemoryIsSharedByDefaultInheritance) {
  Space parent = NewSpace("..");
  parent.Map({.pages = 2, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  Space child = parent.Fork();
  child.Write("x.");
  EXPECT_EQ(parent.ReadAll(), "x0");
}

TEST_F(ForkTest, NoneIsAbsentInTheChild) {
  Space parent = NewSpace("ABC");
  parent.SetInherit(1, 1, Inherit::kNone);
  Space child = parent.Fork();
  EXPECT_EQ(Contents(parent, child), "ABC|A.C");
  EXPECT_EQ(child.TryWrite("xyz"), "x?z");
  EXPECT_EQ(parent.ReadAll(), "ABC");
}

TEST_F(ForkTest, ZeroIsFreshInTheChildAndUnchangedInTheParent) {
  Object* file = File(7);
  Space parent = NewSpace("AB.");
  parent.Map({.at = 2, .file = file});
  parent.SetInherit(1, 2, Inherit::kZero);
  Space child = parent.Fork();
  EXPECT_EQ(Contents(parent, child), "AB1|A00");
  EXPECT_EQ(Rights(parent), "rw-");  // page 1 stays writable: nobody else has it
  child.Write(".xy");
  EXPECT_EQ(parent.ReadAll(), "AB1");
  EXPECT_EQ(child.ReadAll(), "Axy");
}

TEST_F(ForkTest, ZeroOfAReadOnlySharedMappingIsReadOnlyPrivateZero) {
  Space parent = NewSpace(".");
  parent.Map({.inherit = Inherit::kZero, .sharing = Sharing::kShared});
  parent.Write("A");
  parent.Protect(0, 1, kProtRead);
  Space child = parent.Fork();
  EXPECT_EQ(child.ReadAll(), "0");
  EXPECT_EQ(child.TryWrite("x"), "!");
  EXPECT_EQ(Prots(child), "r");
}

// ---- COPY of a shared amap: facts/uvm.md 5.B items 1 and 2, with the sane outcome.

TEST_F(ForkTest, CopyOfASharedAmapKeepsTheSharersTogether) {
  Space one = NewSpace("AB");
  one.SetInherit(0, 2, Inherit::kShare);
  Space two = one.Fork();
  one.SetInherit(0, 2, Inherit::kCopy);
  Space copy = one.Fork();
  one.Write("x.");  // item 1: the forker must go on sharing with `two`
  EXPECT_EQ(Contents(one, two, copy), "xB|xB|AB");
  two.Write(".y");
  EXPECT_EQ(one.ReadAll(), "xy");
  EXPECT_EQ(two.ReadAll(), "xy");
  EXPECT_EQ(copy.ReadAll(), "AB");
}

TEST_F(ForkTest, CopyOfASharedAmapIsProtectedFromTheOtherSharers) {
  Space one = NewSpace("AB");
  one.SetInherit(0, 2, Inherit::kShare);
  Space two = one.Fork();
  two.Write("CD");  // writable translations in `two`
  one.SetInherit(0, 2, Inherit::kCopy);
  Space copy = one.Fork();
  two.Write("xy");  // item 2: must not reach the snapshot
  EXPECT_EQ(Contents(one, two, copy), "xy|xy|CD");
  EXPECT_EQ(copy.ReadAll(), "CD");
  EXPECT_EQ(one.ReadAll(), "xy");
}

TEST_F(ForkTest, ACopyOfASharedAmapThatIsForkedAgain) {  // 5.B' N3
  Space one = NewSpace("A");
  one.SetInherit(0, 1, Inherit::kShare);
  Space two = one.Fork();
  one.SetInherit(0, 1, Inherit::kCopy);
  Space copy = one.Fork();
  Space again = one.Fork();
  Space of_copy = copy.Fork();
  one.Write("x");
  copy.Write("c");
  EXPECT_EQ(Contents(one, two, copy, again, of_copy), "x|x|c|A|A");
}

TEST_F(ForkTest, PagesFirstTouchedAfterACopyOfASharedAmapStaySeparate) {
  Space one = NewSpace("00");
  one.SetInherit(0, 2, Inherit::kShare);
  Space two = one.Fork();
  one.SetInherit(0, 2, Inherit::kCopy);
  Space copy = one.Fork();
  two.Write("x.");
  copy.Write(".c");
  EXPECT_EQ(one.ReadAll(), "x0");
  EXPECT_EQ(two.ReadAll(), "x0");
  EXPECT_EQ(copy.ReadAll(), "0c");
}

// FreeBSD CVE-2021-29626: P1 -COPY-> P2 -SHARE-> P3; a write of P2 or P3 is seen by both and by
// nobody else.
struct ShadowCase {
  int copied_first;  // who has a page of its own already: 0 nobody, 1 P1, 2 P2, -1 both, all pages
  int writer;        // 2 or 3
  int fourth_of;     // P4 is a COPY child of this one, made last
};

class SharedShadowTest : public PictureTest, public ::testing::WithParamInterface<ShadowCase> {};

TEST_P(SharedShadowTest, AWriteIsSeenByTheSharersOnly) {
  const ShadowCase& param = GetParam();
  Space p1 = NewSpace("ABC0");
  Space p2 = p1.Fork();
  if (param.copied_first == 1) p1.Write("A...");
  if (param.copied_first == 2) p2.Write("A...");
  if (param.copied_first == -1) {
    p1.Write("ABC.");
    p2.Write("ABC.");
  }
  p2.SetInherit(0, 4, Inherit::kShare);
  Space p3 = p2.Fork();
  Space origin = param.fourth_of == 1 ? p1 : param.fourth_of == 2 ? p2 : p3;
  origin.SetInherit(0, 4, Inherit::kCopy);
  Space p4 = origin.Fork();
  Space writer = param.writer == 2 ? p2 : p3;
  Space reader = param.writer == 2 ? p3 : p2;
  writer.Write("x..z");
  reader.Write(".y..");
  EXPECT_EQ(Contents(p1, p2, p3, p4), "ABC0|xyCz|xyCz|ABC0");
  EXPECT_EQ(p1.ReadAll() + p2.ReadAll() + p3.ReadAll() + p4.ReadAll(), "ABC0xyCzxyCzABC0");
  p1.Write("111.");
  p4.Write("444.");
  EXPECT_EQ(Contents(p1, p2, p3, p4), "1110|xyCz|xyCz|4440");
}

INSTANTIATE_TEST_SUITE_P(Matrix, SharedShadowTest,
                         ::testing::Values(ShadowCase{0, 2, 1}, ShadowCase{0, 2, 2},
                                           ShadowCase{0, 2, 3}, ShadowCase{0, 3, 1},
                                           ShadowCase{0, 3, 2}, ShadowCase{0, 3, 3},
                                           ShadowCase{1, 2, 1}, ShadowCase{1, 3, 2},
                                           ShadowCase{1, 3, 3}, ShadowCase{2, 2, 2},
                                           ShadowCase{2, 3, 1}, ShadowCase{2, 3, 3},
                                           ShadowCase{-1, 2, 1}, ShadowCase{-1, 2, 3},
                                           ShadowCase{-1, 3, 1}, ShadowCase{-1, 3, 2}));

// ---- COPY of what one space shows twice.

// Pages 0 to 3 are "ABCD"; from page 4 on the same memory shows again, from its page `first` on.
Space TwoViews(PictureTest* test, uint64_t first = 0, uint64_t pages = 4) {
  Space space = test->NewSpace("ABCD....");
  EXPECT_EQ(space.Remap({.from = first,
                         .pages = pages,
                         .new_pages = pages,
                         .to = 4 + first,
                         .where = Map::RemapOptions::Where::kFixed,
                         .duplicate = true}),
            4 + first);
  return space;
}

TEST_F(ForkTest, WhatOneSpaceShowsTwiceTheChildShowsTwice) {
  Space parent = TwoViews(this);
  Space child = parent.Fork();
  child.Write("c.......");
  child.Write(".....d..");
  EXPECT_EQ(Contents(parent, child), "ABCDABCD|cdCDcdCD");
  parent.Write("......p.");
  EXPECT_EQ(Contents(parent, child), "ABpDABpD|cdCDcdCD");
  EXPECT_EQ(child.ReadAll(), "cdCDcdCD");
  EXPECT_TRUE(EntryAt(child, 0)->shared && EntryAt(child, 4)->shared);
  EXPECT_TRUE(EntryAt(child, 0)->aref.amap->shared);
  EXPECT_EQ(EntryAt(child, 0)->aref.amap, EntryAt(child, 4)->aref.amap);
  Space grandchild = child.Fork();
  grandchild.Write("...g....");
  child.Write(".......h");
  EXPECT_EQ(Contents(parent, child, grandchild), "ABpDABpD|cdChcdCh|cdCgcdCg");
  child.Unmap(0, 4);
  EXPECT_FALSE(EntryAt(child, 4)->aref.amap->shared);
  EXPECT_EQ(grandchild.ReadAll(), "cdCgcdCg");
}

TEST_F(ForkTest, PagesFirstTouchedInTheChildShowTwice) {
  Space parent = NewSpace("00..");
  parent.Remap({.pages = 2,
                .new_pages = 2,
                .to = 2,
                .where = Map::RemapOptions::Where::kFixed,
                .duplicate = true});
  Space child = parent.Fork();
  EXPECT_EQ(child.ReadAll(), "0000");
  child.Write("x..y");
  parent.Write(".z..");
  EXPECT_EQ(Contents(parent, child), "0z0z|xyxy");
}

TEST_F(ForkTest, AViewOfAPartSharesThatPart) {
  Space parent = TwoViews(this, /*first=*/1, /*pages=*/2);  // "ABCD.BC."
  Space child = parent.Fork();
  child.Write("wxyz....");
  EXPECT_EQ(child.Read("xxxx.xx."), "wxyz.xy.");
  child.Write(".....12.");
  EXPECT_EQ(child.Read("xxxx.xx."), "w12z.12.");
  EXPECT_EQ(parent.Read("xxxx.xx."), "ABCD.BC.");
  for (uint64_t page : {0, 3}) EXPECT_FALSE(EntryAt(child, page)->shared) << page;
  for (uint64_t page : {1, 2, 5, 6}) EXPECT_TRUE(EntryAt(child, page)->shared) << page;
  EXPECT_EQ(child.TryDiscard(0, 4), "ok");  // private pages only
  EXPECT_EQ(child.Read("xxxx.xx."), "0120.12.");
}

// The parent's views are cut elsewhere than its entries: what is shared goes page by page.
TEST_F(ForkTest, ViewsThatOverlapInPartShareWhereTheyDo) {
  Space parent = TwoViews(this);
  parent.Unmap(0, 1);
  parent.Unmap(7, 1);  // ".BCDABC."
  Space child = parent.Fork();
  child.Write(".1234...");
  EXPECT_EQ(child.Read(".xxxxxx."), ".123412.");
  EXPECT_EQ(parent.Read(".xxxxxx."), ".BCDABC.");
  EXPECT_FALSE(EntryAt(child, 3)->shared);
  EXPECT_FALSE(EntryAt(child, 4)->shared);
  for (uint64_t page : {1, 2, 5, 6}) EXPECT_TRUE(EntryAt(child, page)->shared) << page;
}

TEST_F(ForkTest, ViewsThatDoNotOverlapAreTheChildsOwn) {
  Space parent = TwoViews(this);
  parent.Unmap(0, 2);
  parent.Unmap(6, 2);  // "..CDAB.."
  Space child = parent.Fork();
  for (uint64_t page : {2, 4}) EXPECT_FALSE(EntryAt(child, page)->shared) << page;
  EXPECT_FALSE(EntryAt(child, 2)->aref.amap->shared);
  child.Write("..12....");
  EXPECT_EQ(child.Read("..xxxx.."), "..12AB..");
  Space grandchild = child.Fork();
  grandchild.Write("....34..");
  EXPECT_EQ(child.Read("..xxxx.."), "..12AB..");
  EXPECT_EQ(grandchild.Read("..xxxx.."), "..1234..");
  EXPECT_EQ(parent.Read("..xxxx.."), "..CDAB..");
}

TEST_F(ForkTest, ThreeViewsAndOneThatIsNotCopied) {
  Space parent = NewSpace("AB......");
  for (uint64_t to : {2, 4, 6}) {
    parent.Remap({.pages = 2,
                  .new_pages = 2,
                  .to = to,
                  .where = Map::RemapOptions::Where::kFixed,
                  .duplicate = true});
  }
  parent.SetInherit(4, 2, Inherit::kShare);
  Space child = parent.Fork();
  child.Write("c.......");
  EXPECT_EQ(Contents(parent, child), "ABABABAB|cBcBABcB");
  child.Write(".....s..");
  EXPECT_EQ(Contents(parent, child), "AsAsAsAs|cBcBAscB");
}

TEST_F(ForkTest, WiredViewsAreCopiedAtOnceAndShare) {
  Space parent = TwoViews(this);
  parent.Wire(2, 4);  // pages of both views
  Space child = parent.Fork();
  EXPECT_EQ(Contents(parent, child), "ABCDABCD|ABCDABCD");
  parent.Write("pqrs....");
  EXPECT_EQ(child.ReadAll(), "ABCDABCD");
  child.Write("x......y");
  EXPECT_EQ(Contents(parent, child), "pqrspqrs|xBCyxBCy");
  parent.Unwire(2, 4);
}

TEST_F(ForkTest, CopiedSharedAnonymousMemoryShownTwiceIsOnePrivateMemory) {
  Space parent = NewSpace("........");
  parent.Map({.at = 0, .pages = 2, .sharing = Sharing::kShared});
  parent.Write("AB......");
  parent.Remap({.pages = 2,
                .new_pages = 2,
                .to = 4,
                .where = Map::RemapOptions::Where::kFixed,
                .duplicate = true});
  parent.SetInherit(0, 6, Inherit::kCopy);
  Space child = parent.Fork();
  child.Write("x....y..");
  EXPECT_EQ(child.Read("xx..xx.."), "xy..xy..");
  EXPECT_EQ(parent.Read("xx..xx.."), "AB..AB..");
  EXPECT_TRUE(EntryAt(child, 0)->copy_on_write);
}

// Each allocation that such a fork makes fails in turn.
TEST_F(ForkTest, AForkOfViewsThatRunsOutOfMemoryLeavesNoTrace) {
  std::set<uint64_t> failed_after;
  for (uint64_t filler = 0; filler < 200; ++filler) {
    for (uint64_t after = 0; after < 6; ++after) {
      World world(/*frames=*/220);
      world.FillPools(filler);
      Space parent = world.NewSpace("ABCD....");
      parent.Remap({.from = 1,
                    .pages = 3,
                    .new_pages = 3,
                    .to = 5,
                    .where = Map::RemapOptions::Where::kFixed,
                    .duplicate = true});
      parent.Unmap(3, 1);
      world.memory().FailAfter(after);
      const uint64_t spaces = world.uvm().DebugSpaces().size();
      Result<uvm::Space*, MapError> child = world.uvm().ForkSpace(parent.get());
      world.memory().NeverFail();
      if (!child.ok()) {
        failed_after.insert(after);
        EXPECT_EQ(child.error(), MapError::kNoMemory);
        EXPECT_EQ(world.uvm().DebugSpaces().size(), spaces);
      }
      world.CheckInvariants();
      parent.Write(".x......");
      EXPECT_EQ(parent.Read("xxx..xxx"), "AxC..xCD");
      EXPECT_EQ(world.TearDownAndFindLeaks(), "");
    }
  }
  EXPECT_GE(failed_after.size(), 2u);
}

// Frames for some of the pages of wired views only.
TEST_F(ForkTest, AForkOfWiredViewsWithoutFramesLeavesNoTrace) {
  uint64_t failures = 0;
  for (uint64_t taken = 3; taken < 13; ++taken) {
    World world(/*frames=*/16);
    Space parent = world.NewSpace("ABCD....");
    parent.Remap({.from = 1,
                  .pages = 3,
                  .new_pages = 3,
                  .to = 5,
                  .where = Map::RemapOptions::Where::kFixed,
                  .duplicate = true});
    parent.Wire(0, 4);
    parent.Wire(5, 3);
    (void)world.NewSpace(std::string("abcdefghijkl").substr(0, taken));
    Result<uvm::Space*, MapError> child = world.uvm().ForkSpace(parent.get());
    failures += child.ok() ? 0 : 1;
    world.CheckInvariants();
    EXPECT_EQ(parent.Read("xxxx.xxx"), "ABCD.BCD");
    parent.Unwire(0, 4);
    parent.Unwire(5, 3);
    EXPECT_EQ(world.TearDownAndFindLeaks(), "");
  }
  EXPECT_GT(failures, 0u);
  EXPECT_LT(failures, 10u);
}

// ---- Memory shortage.

TEST_F(ForkTest, AForkThatRunsOutOfMemoryLeavesTheParentUnharmed) {
  // Every pool hands out slots of the chunks it has; the filler moves the point where each of them
  // runs dry across the fork.
  uint64_t failures = 0;
  for (uint64_t filler = 0; filler < 200; ++filler) {
    World world(/*frames=*/220);
    world.FillPools(filler);
    Space parent = world.NewSpace("AB00.C");
    parent.SetInherit(0, 1, Inherit::kShare);
    parent.SetInherit(2, 1, Inherit::kShare);
    parent.SetInherit(5, 1, Inherit::kZero);
    world.memory().FailAfter(0);
    uint64_t spaces = world.uvm().DebugSpaces().size();
    Result<uvm::Space*, MapError> child = world.uvm().ForkSpace(parent.get());
    world.memory().NeverFail();
    if (!child.ok()) {
      ++failures;
      EXPECT_EQ(world.uvm().DebugSpaces().size(), spaces);
      EXPECT_EQ(child.error(), MapError::kNoMemory);
    }
    world.CheckInvariants();
    EXPECT_EQ(world.Contents(parent), "AB00.C");
    parent.Write(".x..");
    EXPECT_EQ(parent.ReadAll(), "Ax00?C");
    EXPECT_EQ(world.TearDownAndFindLeaks(), "");
  }
  EXPECT_GE(failures,
            4u);  // entries, amaps, amap arrays, and the space itself run dry at different fillers
}

// The pages before the one that there is no frame for were shared with a child that is not to be.
TEST_F(ForkTest, AForkThatRunsOutOfMemorySharesNothing) {
  World world(/*frames=*/16);
  Space parent = world.NewSpace("A....WWWWWW");
  parent.SetInherit(0, 1, Inherit::kShare);
  parent.Wire(5, 4);
  Space other = world.NewSpace("abcdefg");
  EXPECT_FALSE(world.uvm().ForkSpace(parent.get()).ok());
  EXPECT_FALSE(world.EntryAt(parent, 0)->shared);
  other.Unmap(0, 7);
  (void)parent.Fork();
  EXPECT_TRUE(world.EntryAt(parent, 0)->shared);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

}  // namespace
}  // namespace uvm::testing
