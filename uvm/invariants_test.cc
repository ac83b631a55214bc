#include "uvm/invariants.h"

#include <string>
#include <utility>
#include <vector>

#include "base/canary.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "gtest/gtest.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::Canary;
using base::kProtRead;
using base::kProtReadWrite;

// Each test breaks one thing, by hand or by arming the canary that breaks it, and expects the
// invariant's name with its counterexample; then puts it right, so that the teardown works.
class InvariantsTest : public PictureTest {
 protected:
  void SetUp() override {
    parent_.emplace_back(NewSpace("ABC0"));
    StopChecking();
  }
  const Space& space() { return parent_[0]; }
  Amap* AmapAt(uint64_t page) { return EntryAt(space(), page)->aref.amap; }
  void EnterRaw(const Space& where, uint64_t page, Paddr pa, Prot prot) {
    ASSERT_TRUE(pmap().Enter(where->pmap(), PageAt(page), pa, prot, {.access = kProtRead}).ok());
  }
  // As in any message: the frame number of a resident page.
  std::string FrameOf(uint64_t page) {
    char buffer[40];
    base::TextSink text(buffer, sizeof buffer);
    text << ResidentAt(space(), page)->pa;
    return buffer;
  }

 private:
  std::vector<Space> parent_;
};

TEST_F(InvariantsTest, AHealthyMachineHasNoViolation) {
  Object* file = File(7);
  Space other = NewSpace("A.B...");
  other.Map({.at = 3, .pages = 2, .file = file});
  other.Map({.at = 5, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  other.Protect(0, 1, kProtRead);
  Space child = other.Fork();
  child.Write("..xyzw");
  EXPECT_EQ(Violation(), "");
  char buffer[100];
  base::TextSink text(buffer, sizeof buffer);
  for (auto* holds : {ValidMapEntries,
                      LayeredEntries,
                      ValidAmapSlots,
                      ValidAmapRefs,
                      ValidAnonRefs,
                      ValidObjectRefs,
                      ValidObjectPages,
                      ValidPageOwners,
                      FreeAccounting,
                      ValidFreeFrames,
                      NoLockHeld,
                      TranslationInsideEntry,
                      TranslationMapsItsPage,
                      RightsWithinProtection,
                      CopyOnWriteIsReadOnly,
                      ValidPageStates,
                      WiringsAreCounted,
                      LentPagesAreReadOnly,
                      CleanPagesAreReadOnly,
                      KernelMappings,
                      ValidWindows}) {
    EXPECT_TRUE(holds(&uvm(), &text));
  }
  EXPECT_TRUE(text.empty());
}

// ---- NoLockHeld.

TEST_F(InvariantsTest, NoLockHeldSeesMaps) {
  ReaderLock lock(&space()->map().lock());
  EXPECT_EQ(Violation(), "NoLockHeld: space#1: its map's lock is held or waited for");
}

TEST_F(InvariantsTest, NoLockHeldSeesAmaps) {
  MutexLock lock(&AmapAt(0)->lock->mutex);
  EXPECT_EQ(Violation(), "NoLockHeld: amap#1: its lock is held or waited for");
}

TEST_F(InvariantsTest, NoLockHeldSeesObjects) {
  Object* file = File(7);
  MutexLock lock(&file->mu);
  EXPECT_EQ(Violation(), "NoLockHeld: object#1: its lock is held or waited for");
}

TEST_F(InvariantsTest, NoLockHeldSeesFrames) {
  MutexLock lock(&uvm().DebugPages().DebugLock());
  EXPECT_EQ(Violation(), "NoLockHeld: frames: the store's lock is held or waited for");
}

TEST_F(InvariantsTest, NoLockHeldSeesSwap) {
  MutexLock lock(&uvm().swap().DebugLock());
  EXPECT_EQ(Violation(), "NoLockHeld: swap: the store's lock is held or waited for");
}

TEST_F(InvariantsTest, NoLockHeldSeesTheZeroPage) {
  MutexLock lock(&uvm().loans().DebugLock());
  EXPECT_EQ(Violation(), "NoLockHeld: loans: the zero page's lock is held or waited for");
}

// ---- ValidMapEntries.

TEST_F(InvariantsTest, ValidMapEntriesSeesWrongGaps) {
  MapEntry* entry = EntryAt(space(), 0);
  entry->gap += base::kPageSize;
  EXPECT_EQ(Violation().substr(0, 60),
            "ValidMapEntries: space#1 entry [0x10000,0x14000) has a wrong");
  entry->gap -= base::kPageSize;
  entry->max_gap += 1;
  EXPECT_EQ(Violation(), "ValidMapEntries: space#1 entry [0x10000,0x14000) has a wrong max_gap");
  entry->max_gap -= 1;
  EXPECT_EQ(Violation(), "");
}

TEST_F(InvariantsTest, PagingCountSeesAForgottenMark) {
  Page* page = ResidentAt(space(), 1);
  page->busy = BusyReason::kPageout;
  page->pageout = true;
  EXPECT_EQ(Violation(), "PagingCount: 1 pages are written to be freed, 0 counted");
  page->busy = BusyReason::kNotBusy;
  EXPECT_EQ(Violation().substr(0, 15), "ValidPageStates");
  page->pageout = false;
}

TEST_F(InvariantsTest, ValidPageStatesSeesLostPages) {
  Page* page = ResidentAt(space(), 1);
  uvm().DebugPages().Dequeue(page);
  EXPECT_EQ(Violation(), "ValidPageStates: frame " + FrameOf(1) + " is on no queue and not wired");
  uvm().DebugPages().Activate(page);
  page->fake = true;
  EXPECT_EQ(Violation(), "ValidPageStates: frame " + FrameOf(1) + " was never filled");
  page->fake = false;
  page->released = true;
  EXPECT_EQ(Violation(),
            "ValidPageStates: frame " + FrameOf(1) + " was released and is still there");
  page->released = false;
  uvm().DebugPages().FlushIntents();
  page->queue = PageQueue::kInactive;
  EXPECT_EQ(Violation().substr(0, 35), "ValidPageStates: wired 0 of 0 count");
  page->queue = PageQueue::kActive;
  EXPECT_EQ(Violation(), "");
}

TEST_F(InvariantsTest, ValidPageStatesSeesWiredPagesThatAreLent) {
  space().Wire(1, 1);
  Page* page = ResidentAt(space(), 1);
  ++page->loan_count;
  EXPECT_EQ(Violation(), "ValidPageStates: frame " + FrameOf(1) + " is wired and lent");
  --page->loan_count;
  EXPECT_EQ(Violation(), "");
}

TEST_F(InvariantsTest, WiringsAreCountedSeesLeaks) {
  space().Wire(1, 1);
  Page* page = ResidentAt(space(), 1);
  ++page->wire_count;
  EXPECT_EQ(Violation(),
            "WiringsAreCounted: frame " + FrameOf(1) + " wire_count=2, wired entries found=1");
  --page->wire_count;
  EXPECT_EQ(Violation(), "");
}

TEST_F(InvariantsTest, LentPagesAreReadOnlySeesAWriter) {
  Loan loan = space().Lend(1, 1);
  EnterRaw(space(), 1, loan.pages[0]->pa, kProtReadWrite);
  EXPECT_EQ(Violation().substr(0, 21), "LentPagesAreReadOnly:");
  EnterRaw(space(), 1, loan.pages[0]->pa, kProtRead);
  EXPECT_EQ(Violation(), "");
  Return(&loan);
}

// What checked builds do round every change of a map.
TEST_F(InvariantsTest, ValidMapEntriesEndsACheckedChange) {
  MapEntry* entry = EntryAt(space(), 0);
  entry->gap += base::kPageSize;
  EXPECT_DEATH(space()->map().Verify("a label"), "a label: ValidMapEntries: entry .* a wrong gap");
  entry->gap -= base::kPageSize;
}

TEST_F(InvariantsTest, ValidMapEntriesSeesBrokenTrees) {
  MapEntry* entry = EntryAt(space(), 0);
  entry->rb_red = true;  // a red root
  EXPECT_EQ(Violation(),
            "ValidMapEntries: space#1 counts 1 entries of 16384 bytes, found 1 of 16384; tree "
            "colours broken");
  entry->rb_red = false;
}

TEST_F(InvariantsTest, ValidMapEntriesSeesBadRanges) {
  Space two = NewSpace("A.");
  MapEntry* entry = EntryAt(two, 0);
  const MapEntry good = *entry;
  entry->start = kPageZero - base::kPageSize;
  EXPECT_EQ(Violation(),
            "ValidMapEntries: space#2 entry [0xf000,0x11000) overlaps its predecessor or the map's "
            "start");
  entry->start = kPageZero + 1;
  EXPECT_EQ(Violation(), "ValidMapEntries: space#2 entry [0x10001,0x11000) is not page aligned");
  entry->start = good.start;
  entry->end = entry->start;
  entry->gap = entry->max_gap = 2 * base::kPageSize;
  EXPECT_EQ(Violation(), "ValidMapEntries: space#2 entry [0x10000,0x10000) is empty");
  entry->end = PageAt(3);
  entry->gap = entry->max_gap = uint64_t{0} - base::kPageSize;
  EXPECT_EQ(Violation(), "ValidMapEntries: space#2 entry [0x10000,0x13000) ends beyond the map");
  entry->end = good.end;
  entry->gap = good.gap;
  entry->max_gap = good.max_gap;
  EXPECT_EQ(Violation(), "");
}

TEST_F(InvariantsTest, ValidMapEntriesSeesTheCounts) {
  Space two = NewSpace("AB");
  MapEntry* entry = EntryAt(two, 0);
  // Shorter than the map believes, with a gap that is right.
  entry->end = PageAt(1);
  entry->gap = entry->max_gap = base::kPageSize;
  EXPECT_EQ(Violation(),
            "ValidMapEntries: space#2 counts 1 entries of 8192 bytes, found 1 of 4096");
  entry->end = PageAt(2);
  entry->gap = entry->max_gap = 0;
}

TEST_F(InvariantsTest, ValidMapEntriesSeesABrokenRing) {
  Space two = NewSpace("A.B");
  MapEntry* entry = EntryAt(two, 2);
  MapEntry* prev = entry->prev;
  entry->prev = entry;
  EXPECT_EQ(Violation(),
            "ValidMapEntries: space#2 entry [0x12000,0x13000) stands elsewhere in the ring than in "
            "the tree");
  entry->prev = prev;
  MapEntry* next = entry->next;
  entry->next = prev;
  entry->gap = entry->max_gap = prev->start - entry->end;
  EXPECT_NE(Violation(), "");
  entry->next = next;
  entry->gap = entry->max_gap = 0;
  EXPECT_EQ(Violation(), "");
}

TEST_F(InvariantsTest, ValidMapEntriesSeesWiringThatOwesACopy) {
  Space two = NewSpace("0");
  EntryAt(two, 0)->wired_count = 1;
  EXPECT_EQ(Violation(),
            "ValidMapEntries: space#2 entry [0x10000,0x11000) is wired and owes a copy that its "
            "wiring should have made");
  EntryAt(two, 0)->wired_count = 0;
}

// ---- LayeredEntries.

TEST_F(InvariantsTest, LayeredEntriesSeesMissingLayers) {
  Space fresh = NewSpace("0");
  EntryAt(fresh, 0)->needs_copy = false;
  EXPECT_EQ(Violation(),
            "LayeredEntries: space#2 entry [0x10000,0x11000) has no layer and is owed none");
  EntryAt(fresh, 0)->needs_copy = true;
}

TEST_F(InvariantsTest, LayeredEntriesSeesEntriesBeyondTheirAmap) {
  EntryAt(space(), 0)->aref.slot = 1;
  EXPECT_EQ(Violation(), "LayeredEntries: space#1 entry [0x10000,0x14000) reaches beyond its amap");
  EntryAt(space(), 0)->aref.slot = 0;
}

// ---- ValidAmapSlots.

TEST_F(InvariantsTest, ValidAmapSlotsSeesWrongBackPointers) {
  std::swap(AmapAt(0)->back[0], AmapAt(0)->back[2]);
  EXPECT_EQ(Violation(), "ValidAmapSlots: amap#1 slot 0 is used but not listed as used");
  std::swap(AmapAt(0)->back[0], AmapAt(0)->back[2]);
}

TEST_F(InvariantsTest, ValidAmapSlotsSeesWrongCounts) {
  Anon* lost = AmapAt(0)->anons[2];
  AmapAt(0)->anons[2] = nullptr;
  EXPECT_EQ(Violation(), "ValidAmapSlots: amap#1 counts 3 used slots, found 2");
  AmapAt(0)->anons[2] = lost;
}

// ---- ValidAmapRefs.

TEST_F(InvariantsTest, ValidAmapRefsSeesWrongCounts) {
  ++AmapAt(0)->refs;
  EXPECT_EQ(Violation(), "ValidAmapRefs: amap#1 refs=2, entries found=1");
  --AmapAt(0)->refs;
}

TEST_F(InvariantsTest, ValidAmapRefsSeesSharingWithNobody) {
  AmapAt(0)->shared = true;
  EXPECT_EQ(Violation(), "ValidAmapRefs: amap#1 refs=1 shared, entries found=1");
  AmapAt(0)->shared = false;
}

TEST_F(InvariantsTest, ValidAmapRefsCatchesTheSplitCanary) {
  uvm().canary().Arm(Canary::kSplitLosesAmapReference);
  space().Protect(2, 2, kProtRead);  // one clip, at the start of the range
  EXPECT_EQ(Violation(), "ValidAmapRefs: amap#1 refs=1, entries found=2");
  ++AmapAt(0)->refs;
}

// ---- ValidAnonRefs.

TEST_F(InvariantsTest, ValidAnonRefsSeesWrongCounts) {
  ++AmapAt(0)->anons[1]->refs;
  EXPECT_EQ(Violation(), "ValidAnonRefs: amap#1[1] anon refs=2, slots found=1");
  --AmapAt(0)->anons[1]->refs;
}

TEST_F(InvariantsTest, ValidAnonRefsSeesAnonsWithoutPages) {
  Page* page = AmapAt(0)->anons[1]->page;
  AmapAt(0)->anons[1]->page = nullptr;
  EXPECT_EQ(Violation(), "ValidAnonRefs: amap#1[1] anon refs=1, slots found=1, no page");
  AmapAt(0)->anons[1]->page = page;
}

TEST(InvariantsCanaryTest, ValidAnonRefsCatchesTheLeakCanary) {
  World world;
  Space space = world.NewSpace("AB");
  world.StopChecking();
  world.uvm().canary().Arm(Canary::kAnonReferenceLeaked);
  space.Unmap(0, 2);
  EXPECT_EQ(world.Violation(), "ValidAnonRefs: 2 anons live, 0 reachable");
  EXPECT_EQ(world.TearDownAndFindLeaks(), "2 anons 2 pages 2 frames counted ");
}

// ---- ValidObjectRefs, ValidObjectPages.

TEST_F(InvariantsTest, ValidObjectRefsSeesWrongCounts) {
  Object* file = File(7);
  uvm().ReferenceObject(file);
  EXPECT_EQ(Violation(),
            "ValidObjectRefs: object#1 refs=2, entries found=0 (at most one more may be held by "
            "the server)");
  uvm().ReleaseObject(file);
  EXPECT_EQ(Violation(), "");
  Space two = NewSpace("..");
  two.Map({.at = 0, .file = file});
  two.Map({.at = 1, .file = file});
  uvm().ReleaseObject(file);
  uvm().ReleaseObject(file);
  EXPECT_EQ(Violation(),
            "ValidObjectRefs: object#1 refs=1, entries found=2 (at most one more may be held by "
            "the server)");
  uvm().ReferenceObject(file);
  uvm().ReferenceObject(file);
}

TEST_F(InvariantsTest, ValidObjectPagesSeesPagesOutOfPlace) {
  Object* file = File(7);
  Space two = NewSpace("..");
  two.Map({.pages = 2, .file = file});
  EXPECT_EQ(two.Read("xx"), "12");
  Page* page = file->DebugFirstPage();
  page->index =
      PageIndex(5);  // the tree's root, before its right child: page 1 cannot be found any more
  EXPECT_NE(Violation().find("ValidObjectPages: object#1 page 1 frame "), std::string::npos)
      << Violation();
  EXPECT_NE(Violation().find(" is not found at its own index"), std::string::npos) << Violation();
  page->index = PageIndex(0);
  page->busy = BusyReason::kPagein;
  EXPECT_NE(Violation().find(" is busy at rest"), std::string::npos) << Violation();
  page->busy = BusyReason::kNotBusy;
  EXPECT_EQ(Violation(), "");
}

// ---- ValidPageOwners, FreeAccounting.

TEST_F(InvariantsTest, ValidPageOwnersSeesPagesOfNobody) {
  NewSpace("X").Exit();  // a page that was in use
  Page* free_page = nullptr;
  uvm().DebugPages().DebugForEach([&](Page& page) { free_page = page.free ? &page : free_page; });
  ASSERT_NE(free_page, nullptr);
  free_page->free = false;
  EXPECT_NE(Violation().find("ValidPageOwners: frame "), std::string::npos) << Violation();
  EXPECT_NE(Violation().find(" is not exactly one of free, object's, anon's"), std::string::npos)
      << Violation();
  free_page->free = true;
  free_page->anon = AmapAt(0)->anons[0];
  EXPECT_NE(Violation().find("ValidPageOwners: frame "), std::string::npos) << Violation();
  free_page->anon = nullptr;
}

TEST_F(InvariantsTest, ValidPageOwnersSeesBusyPages) {
  ResidentAt(space(), 1)->busy = BusyReason::kPromote;
  EXPECT_EQ(Violation(), "ValidPageOwners: frame " + FrameOf(1) + " is busy at rest");
  ResidentAt(space(), 1)->busy = BusyReason::kNotBusy;
}

TEST_F(InvariantsTest, ValidFreeFramesSeesWhatIsInNoQueueOrTheWrongOne) {
  NewSpace("XY").Exit();
  std::vector<Page*> was_used;
  uvm().DebugPages().DebugForEach([&](Page& page) {
    if (page.free) was_used.push_back(&page);
  });
  ASSERT_GE(was_used.size(), 2u);
  Page* page = was_used[0];
  page->cached = true;
  EXPECT_EQ(Violation(), "ValidFreeFrames: a queue of free frames has one that is not");
  page->cached = false;
  page->free_list = 1;
  EXPECT_EQ(Violation(),
            "ValidFreeFrames: a free frame is in a queue of another free list, bucket or colour");
  page->free_list = 0;
  page->bucket = 1;
  EXPECT_EQ(Violation(),
            "ValidFreeFrames: a free frame is in a queue of another free list, bucket or colour");
  page->bucket = 0;
  const base::ListLink link = page->queue_link;
  page->queue_link.next = nullptr;
  EXPECT_EQ(Violation(), "ValidFreeFrames: a frame is free and in no queue");
  page->queue_link = link;
  EXPECT_EQ(Violation(), "");
}

TEST_F(InvariantsTest, FreeAccountingSeesWrongCounts) {
  auto& counters = const_cast<Counters&>(uvm().counters());
  ++counters.frames_in_use;
  EXPECT_EQ(Violation(),
            "FreeAccounting: 64 frames, 61 on the free list, 3 owned, 4 counted in use");
  --counters.frames_in_use;
}

// ---- Translations.

TEST_F(InvariantsTest, TranslationInsideEntrySeesWhatUnmapLeftBehind) {
  Space two = NewSpace("A.");
  EnterRaw(two, 1, ResidentAt(space(), 0)->pa, kProtRead);
  EXPECT_EQ(Violation(), "TranslationInsideEntry: space#2 va 0x11000 r-- frame " + FrameOf(0) +
                             " is in the pmap but in no map entry");
}

TEST_F(InvariantsTest, TranslationInsideEntrySeesWhatStaysWired) {
  ASSERT_TRUE(pmap()
                  .Enter(space()->pmap(), PageAt(0), ResidentAt(space(), 0)->pa, kProtRead,
                         {.access = kProtRead, .wired = Wired::kYes})
                  .ok());
  EXPECT_EQ(Violation(), "TranslationInsideEntry: space#1 va 0x10000 r-- frame " + FrameOf(0) +
                             " is wired, but its entry is not");
  pmap().Unwire(space()->pmap(), PageAt(0));
  EXPECT_EQ(Violation(), "");
}

TEST_F(InvariantsTest, TranslationMapsItsPageSeesStalePages) {
  EnterRaw(space(), 0, ResidentAt(space(), 1)->pa, kProtRead);
  EXPECT_EQ(Violation(), "TranslationMapsItsPage: space#1 va 0x10000 r-- frame " + FrameOf(1) +
                             ", but the layers hold anon frame " + FrameOf(0));
}

TEST_F(InvariantsTest, TranslationMapsItsPageSeesTranslationsToNothing) {
  EnterRaw(space(), 3, ResidentAt(space(), 1)->pa, kProtRead);
  EXPECT_EQ(Violation(), "TranslationMapsItsPage: space#1 va 0x13000 r-- frame " + FrameOf(1) +
                             ", but the layers hold object frame 0x0");
}

TEST_F(InvariantsTest, RightsWithinProtectionCatchesTheStaleCanary) {
  uvm().canary().Arm(Canary::kStaleAfterProtect);
  space().Protect(0, 4, kProtRead);
  EXPECT_EQ(Violation(), "RightsWithinProtection: space#1 va 0x10000 rw- frame " + FrameOf(0) +
                             " exceeds the entry's r--");
}

TEST_F(InvariantsTest, RightsWithinProtectionKnowsThatNothingWithoutReadIsMapped) {
  EntryAt(space(), 0)->prot = base::kProtWrite;
  EXPECT_EQ(Violation(), "RightsWithinProtection: space#1 va 0x10000 rw- frame " + FrameOf(0) +
                             " exceeds the entry's -w-");
}

TEST_F(InvariantsTest, CopyOnWriteIsReadOnlyCatchesTheForkCanary) {
  uvm().canary().Arm(Canary::kForkSkipsWriteProtect);
  space().Fork();
  EXPECT_EQ(Violation(), "CopyOnWriteIsReadOnly: space#1 va 0x10000 rw- frame " + FrameOf(0) +
                             " is writable though its entry owes a copy");
}

TEST_F(InvariantsTest, CopyOnWriteIsReadOnlySeesAnonsOfSeveralOwners) {
  Space child = space().Fork();
  child.Write("x...");
  EXPECT_EQ(Violation(), "");
  EnterRaw(child, 1, ResidentAt(space(), 1)->pa, kProtReadWrite);
  EXPECT_EQ(Violation(), "CopyOnWriteIsReadOnly: space#2 va 0x11000 rw- frame " + FrameOf(1) +
                             " is writable though its anon has other owners");
}

TEST_F(InvariantsTest, CopyOnWriteIsReadOnlySeesWritableFilePages) {
  Object* file = File(7);
  Space two = NewSpace("..");
  two.Map({.pages = 2, .file = file});
  two.Write("A.");
  EXPECT_EQ(two.Read(".x"), ".2");
  EXPECT_EQ(Violation(), "");
  EnterRaw(two, 1, ResidentAt(two, 1)->pa, kProtReadWrite);
  EXPECT_NE(Violation().find("is writable though it is the object's page in a private mapping"),
            std::string::npos)
      << Violation();
}

// ---- Objects' tags, and what may be written.

TEST_F(InvariantsTest, ValidObjectPagesSeesWrongTags) {
  Object* file = File(7);
  Space other = NewSpace("....");
  other.Map({.pages = 2, .prot = kProtRead, .sharing = Sharing::kShared, .file = file});
  EXPECT_EQ(other.Touch(0, Access::kRead), "ok");
  file->DebugFirstPage()->dirty = Dirty::kDirty;  // not by SetDirty
  EXPECT_EQ(Violation(), "ValidObjectPages: object#1 page 0: the tree's summary of tags is wrong");
}

TEST_F(InvariantsTest, CleanPagesAreReadOnlyCatchesTheCanary) {
  Object* file = File(7);
  Space other = NewSpace("..");
  other.Map({.pages = 1, .sharing = Sharing::kShared, .file = file});
  other.Write("x");
  uvm().canary().Arm(base::Canary::kCleanKeepsWritable);
  EXPECT_TRUE(other->map().Clean(Pages(0, 1), kPgoCleanIt | kPgoSyncIo).ok());
  EXPECT_EQ(Violation().substr(0, 23), "CleanPagesAreReadOnly: ");
}

TEST_F(InvariantsTest, CleanPagesAreReadOnlySeesHoles) {
  Object* file = File(7);
  Space other = NewSpace("..");
  other.Map({.pages = 1, .sharing = Sharing::kShared, .file = file});
  other.Write("x");
  file->DebugFirstPage()->read_only = true;
  EXPECT_NE(Violation().find("is writable though its page is a hole"), std::string::npos);
}

// ---- The server's own addresses.

TEST_F(InvariantsTest, KernelMappingsSeesStrays) {
  KernelMemory* kernel = uvm().Kernel();
  const Vaddr at = kernel->map()->min() + 7 * base::kPageSize;
  kernel->GrowTo(at + base::kPageSize);
  pmap().KenterPa(at, ResidentAt(space(), 0)->pa, kProtRead, CacheMode::kDefault);
  EXPECT_NE(Violation().find("lies in no entry of a kernel map"), std::string::npos);
  pmap().Kremove({at, at + base::kPageSize});
  Vaddr bare = kernel->Allocate(kernel->map(), base::kPageSize, 0, kKmVaOnly | kKmCanFail).value();
  pmap().KenterPa(bare, ResidentAt(space(), 0)->pa, kProtRead, CacheMode::kDefault);
  EXPECT_NE(Violation().find("shows a frame that may go away"), std::string::npos);
  pmap().Kremove({bare, bare + base::kPageSize});
  EXPECT_EQ(Violation(), "");
}

TEST_F(InvariantsTest, KernelMappingsSeesStalePagesOfTheKernelObject) {
  KernelMemory* kernel = uvm().Kernel();
  Vaddr at = kernel->Allocate(kernel->map(), base::kPageSize, 0, kKmPageable | kKmCanFail).value();
  unsigned char byte = 'x';
  EXPECT_TRUE(kernel->Copy(at, &byte, 1, Access::kWrite).ok());
  EXPECT_EQ(Violation(), "");
  ASSERT_TRUE(
      pmap()
          .Enter(pmap().Kernel(), at, ResidentAt(space(), 0)->pa, kProtRead, {.access = kProtRead})
          .ok());
  EXPECT_NE(Violation().find("does not show the kernel object's page"), std::string::npos);
  kernel->Free(kernel->map(), at, base::kPageSize, kKmPageable);
}

TEST_F(InvariantsTest, ValidWindowsSeesForeignPages) {
  class NoPeer final : public UioPeer {
    Result<void, FaultError> Move(unsigned char*, uint64_t) override { return {}; }
  } peer;
  Object* file = File(7);
  Uio uio{&peer, 0, 1};
  EXPECT_TRUE(uvm().Cache()->UioMove(file, &uio, 1, Advice::kNormal, kUbcRead).ok());
  EXPECT_EQ(Violation(), "");
  PmapSystem::Mapping mapping;
  ASSERT_TRUE(pmap().PeekNext(pmap().Kernel(), uvm().Kernel()->map()->min(), &mapping));
  ASSERT_TRUE(pmap()
                  .Enter(pmap().Kernel(), mapping.va, ResidentAt(space(), 0)->pa, kProtRead,
                         {.access = kProtRead})
                  .ok());
  EXPECT_EQ(Violation(), "ValidWindows: window 0 maps a page that is not its object's there");
  pmap().Remove(pmap().Kernel(), {mapping.va, mapping.va + base::kPageSize});
}

}  // namespace
}  // namespace uvm::testing
