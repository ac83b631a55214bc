#include "uvm/fault.h"

#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtAll;
using base::kProtExecute;
using base::kProtNone;
using base::kProtRead;
using base::kProtWrite;
using FaultTest = PictureTest;

// ---- Faults that must not wait.

class PromptFaultTest : public PictureTest {
 protected:
  std::string Promptly(const Space& space, uint64_t page, Access access) {
    const uint64_t faults = uvm().counters().faults;
    auto result = uvm().FaultPromptly(space.get(), PageAt(page), access);
    const bool counted = uvm().counters().faults != faults;
    std::string end = "error";
    if (result.ok()) end = result.value() == FaultHandler::Prompt::kDone ? "done" : "would wait";
    return end == "would wait" && counted ? "would wait, and counted" : end;
  }
};

TEST_F(PromptFaultTest, WhatIsAtHandIsDone) {
  Space space = NewSpace("000");
  EXPECT_EQ(Promptly(space, 0, Access::kWrite), "would wait");  // has no layer of its own yet
  space.Write("x..");
  EXPECT_EQ(Promptly(space, 1, Access::kWrite), "done");
  Space child = space.Fork();
  EXPECT_EQ(Promptly(space, 0, Access::kWrite), "would wait");
  child.Write("y..");
  EXPECT_EQ(Promptly(child, 1, Access::kWrite), "done");
  space.Write("z..");
  EXPECT_EQ(Promptly(space, 1, Access::kWrite), "done");
  EXPECT_EQ(Contents(space, child), "z00|y00");
}

TEST_F(PromptFaultTest, ErrorsAreNotWaitedFor) {
  Space space = NewSpace("A.");
  space.Protect(0, 1, kProtRead);
  EXPECT_EQ(Promptly(space, 0, Access::kWrite), "error");
  EXPECT_EQ(Promptly(space, 1, Access::kRead), "error");
}

TEST_F(PromptFaultTest, NoLockOfAMapAnAmapOrAnObjectIsWaitedFor) {
  Object* file = File(7);
  Space space = NewSpace("A..");
  space.Map({.at = 1, .pages = 1, .file = file});
  space.Read(".x.");
  pmap().RemoveAll(space->pmap());
  {
    WriterLock lock(&space->map().lock());
    EXPECT_EQ(Promptly(space, 0, Access::kRead), "would wait");
  }
  {
    MutexLock lock(&EntryAt(space, 0)->aref.amap->lock->mutex);
    EXPECT_EQ(Promptly(space, 0, Access::kRead), "would wait");
  }
  {
    MutexLock lock(&file->mu);
    EXPECT_EQ(Promptly(space, 1, Access::kRead), "would wait");
  }
  EXPECT_EQ(Rights(space), "---");
  EXPECT_EQ(Promptly(space, 0, Access::kRead), "done");
  EXPECT_EQ(Promptly(space, 1, Access::kRead), "done");
  EXPECT_TRUE(space->map().DebugIdle());
}

TEST_F(PromptFaultTest, NoPageIsFetchedOrWaitedFor) {
  Object* file = File(7);
  Space space = NewSpace("A..");
  space.Map({.at = 1, .pages = 1, .file = file});
  EXPECT_EQ(Promptly(space, 1, Access::kRead), "would wait");
  EXPECT_EQ(uvm().counters().pager_get, 0u);
  pmap().RemoveAll(space->pmap());
  Page* page = ResidentAt(space, 0);
  page->busy = BusyReason::kLoan;
  EXPECT_EQ(Promptly(space, 0, Access::kRead), "would wait");
  page->busy = BusyReason::kNotBusy;
  Loan loan = space.Lend(0, 1);
  EXPECT_EQ(Promptly(space, 0, Access::kWrite), "would wait");
  Return(&loan);
  space.Wire(0, 1);
  pmap().RemoveAll(space->pmap());
  EXPECT_EQ(Promptly(space, 0, Access::kRead), "would wait");
  EXPECT_EQ(uvm().counters().fault_wired, 0u);
}

// ---- The four cases, their rights and their frames.

TEST_F(FaultTest, FirstTouchOfAnonymousMemoryIsZeroFilled) {
  Space space = NewSpace("000");
  EXPECT_EQ(space.Read("x.."), "0..");
  EXPECT_EQ(space.Touch(1, Access::kWrite), "ok");
  EXPECT_EQ(Faults(), "2B 2B");
  EXPECT_EQ(Rights(space), "ww-");
  EXPECT_EQ(Frames(space), "ab.");
  EXPECT_EQ(uvm().counters().zero_fill, 2u);
  EXPECT_EQ(uvm().counters().page_copy, 0u);
}

TEST_F(FaultTest, Case1AMapsTheAnonAsItIs) {
  Space space = NewSpace("AB");
  pmap().RemoveAll(space->pmap());
  EXPECT_EQ(space.Read("xx"), "AB");
  EXPECT_EQ(Faults(), "1A");       // page 1 came along
  EXPECT_EQ(Rights(space), "ww");  // nobody else has the anons: no second fault for a write
}

TEST_F(FaultTest, Case1AOfASharedAnonIsReadOnly) {
  Space parent = NewSpace("AB");
  Space child = parent.Fork();
  EXPECT_EQ(child.Read("xx"), "AB");
  EXPECT_EQ(Faults(), "1A");
  EXPECT_EQ(Rights(parent, child), "rr|rr");
  EXPECT_EQ(Frames(parent, child), "ab|ab");
}

TEST_F(FaultTest, Case1BCopiesAnAnonThatOthersHave) {
  Space parent = NewSpace("AB");
  Space child = parent.Fork();
  child.Write("x.");
  EXPECT_EQ(Faults(), "1B");
  EXPECT_EQ(Contents(parent, child), "AB|xB");
  EXPECT_EQ(Frames(parent, child), "ab|cb");
  EXPECT_EQ(Rights(parent, child), "rr|wr");
  EXPECT_EQ(uvm().counters().page_copy, 1u);
}

TEST_F(FaultTest, TheLastHolderWritesInPlace) {
  Space parent = NewSpace("A");
  Space child = parent.Fork();
  child.Write("x");
  parent.Write("y");
  EXPECT_EQ(Faults(), "1B 1A");
  EXPECT_EQ(Frames(parent, child), "a|b");
  EXPECT_EQ(uvm().counters().page_copy, 1u);
}

TEST_F(FaultTest, Case2AMapsTheObjectsPage) {
  Object* file = File(7);
  Space space = NewSpace("....");
  space.Map({.at = 0, .pages = 2, .file = file, .file_page = 3});
  space.Map({.at = 2, .pages = 2, .sharing = Sharing::kShared, .file = file, .file_page = 3});
  EXPECT_EQ(space.Read("xxxx"), "4545");
  EXPECT_EQ(Faults(), "2A 2A 2A");  // the second mapping finds both pages resident
  EXPECT_EQ(Frames(space), "abab");
  EXPECT_EQ(Rights(space), "rrww");
  EXPECT_EQ(uvm().counters().pager_get, 2u);
}

TEST_F(FaultTest, Case2BCopiesTheObjectsPage) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.pages = 2, .file = file});
  EXPECT_EQ(space.Read("xx"), "12");
  space.Write("A.");
  EXPECT_EQ(Faults(), "2A 2A 2B");
  EXPECT_EQ(Contents(space), "A2");
  EXPECT_EQ(Rights(space), "wr");
  EXPECT_EQ(uvm().counters().page_copy, 1u);
  EXPECT_EQ(uvm().counters().zero_fill, 0u);
}

TEST_F(FaultTest, WritesToASharedFileReachTheObject) {
  Object* file = File(7);
  Space writer = NewSpace("..");
  writer.Map({.pages = 2, .sharing = Sharing::kShared, .file = file});
  Space reader = NewSpace("..");
  reader.Map({.pages = 2, .file = file});
  EXPECT_EQ(reader.Read("xx"), "12");
  writer.Write("A.");
  EXPECT_EQ(Contents(writer, reader), "A2|A2");
  EXPECT_EQ(reader.Read("xx"), "A2");
  EXPECT_EQ(Faults(), "2A 2A 2A");
  EXPECT_EQ(ResidentAt(writer, 0)->dirty, Dirty::kUnknown);  // only the pmap knows of later writes
  EXPECT_EQ(ResidentAt(writer, 1)->dirty, Dirty::kUnknown);  // may be written without a fault
}

TEST_F(FaultTest, AnOwnedPrivatePageNoLongerSeesTheFile) {
  Object* file = File(7);
  Space shared = NewSpace("..");
  shared.Map({.pages = 2, .sharing = Sharing::kShared, .file = file});
  Space space = NewSpace("..");
  space.Map({.pages = 2, .file = file});
  space.Write("B.");
  shared.Write("XY");
  EXPECT_EQ(space.ReadAll(), "BY");
}

// ---- Errors.

TEST_F(FaultTest, UnmappedAddressesAreNoEntry) {
  Space space = NewSpace("A.A");
  EXPECT_EQ(space.TryWrite("xyz"), "x?z");
  EXPECT_EQ(space.Touch(1, Access::kRead), "no_entry");
  EXPECT_EQ(space.Touch(1, Access::kExecute), "no_entry");
  EXPECT_EQ(Faults(), "error error error");
  // The page before and behind the map.
  EXPECT_EQ(uvm().Fault(space.get(), kPageZero - 1, Access::kRead), FaultError::kNoEntry);
  EXPECT_EQ(uvm().Fault(space.get(), PageAt(3), Access::kRead), FaultError::kNoEntry);
  EXPECT_EQ(uvm().Fault(space.get(), Vaddr(~uint64_t{0}), Access::kRead), FaultError::kNoEntry);
}

// Readable iff R; writable iff R and W; executable iff R and X (docs/decisions/0010).
TEST_F(FaultTest, RightsAreThoseOfTheProtectionAndNothingWithoutRead) {
  for (uint8_t bits = 0; bits < 8; ++bits) {
    Prot prot(bits);
    Space space = NewSpace(".");
    space.Map({.prot = prot});
    std::string want_read = prot.CanRead() ? "ok" : "protection";
    std::string want_write = prot.CanRead() && prot.CanWrite() ? "ok" : "protection";
    std::string want_execute = prot.CanRead() && prot.CanExecute() ? "ok" : "protection";
    EXPECT_EQ(space.Touch(0, Access::kRead), want_read) << base::ProtName(prot);
    EXPECT_EQ(space.Touch(0, Access::kWrite), want_write) << base::ProtName(prot);
    EXPECT_EQ(space.Touch(0, Access::kExecute), want_execute) << base::ProtName(prot);
  }
}

TEST_F(FaultTest, AForbiddenWriteCopiesNothing) {
  Space parent = NewSpace("A");
  parent.Protect(0, 1, kProtRead);
  Space child = parent.Fork();
  EXPECT_EQ(child.TryWrite("x"), "!");
  EXPECT_EQ(Frames(parent, child), "a|a");
}

TEST_F(FaultTest, PagerErrorsReachTheAccessAndTheNextTryWorks) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.pages = 2, .file = file});
  pager().FailOnce(1, PagerError::kIo);
  EXPECT_EQ(space.Touch(1, Access::kRead), "io");
  EXPECT_EQ(Frames(space), "..");
  pager().FailOnce(1, PagerError::kPastEnd);
  EXPECT_EQ(space.Touch(1, Access::kWrite), "past_end");
  EXPECT_EQ(space.ReadAll(), "12");
}

TEST_F(FaultTest, RunningOutOfFramesLosesNothingAndUnmappingGivesThemBack) {
  World small(/*frames=*/4);
  Space space = small.NewSpace("000000");
  EXPECT_EQ(space.TryWrite("ABCDEF"), "ABCD**");
  EXPECT_EQ(space.Touch(5, Access::kWrite), "no_memory");
  EXPECT_EQ(small.Contents(space), "ABCD00");
  space.Unmap(0, 1);
  EXPECT_EQ(space.TryWrite("....E."), "....E.");
  EXPECT_EQ(space.Read(".xxxxx"), ".BCDE*");
  EXPECT_EQ(small.TearDownAndFindLeaks(), "");
}

TEST_F(FaultTest, CopyingWithoutAFrameFailsAndKeepsBothSides) {
  World small(/*frames=*/2);
  Space parent = small.NewSpace("AB");
  Space child = parent.Fork();
  EXPECT_EQ(child.Touch(0, Access::kWrite), "no_memory");
  EXPECT_EQ(parent.ReadAll(), "AB");
  EXPECT_EQ(child.ReadAll(), "AB");
  parent.Exit();
  EXPECT_EQ(child.TryWrite("xy"), "xy");
  EXPECT_EQ(small.TearDownAndFindLeaks(), "");
}

TEST_F(FaultTest, AFailedPmapEnterIsNoMemoryAndHarmless) {
  Object* file = File(7);
  for (uint64_t successes = 0; successes < 2; ++successes) {
    Space parent = NewSpace("A..");
    parent.Map({.at = 1, .file = file});
    Space child = parent.Fork();
    pmap().FailEnterAfter(successes);
    EXPECT_EQ(child.TryWrite("xy."), successes == 0 ? "*y." : "x*.");
    EXPECT_EQ(child.TryWrite("xy."), "xy.");
    EXPECT_EQ(Contents(parent, child), "A1.|xy.");
  }
}

// Until it has been written, a private page of a file shows what the file holds.
TEST_F(FaultTest, AWriteThatFailsBindsNoPage) {
  Object* file = File(7);
  Space reader = NewSpace(".");
  Space writer = NewSpace(".");
  reader.Map({.file = file});
  writer.Map({.sharing = Sharing::kShared, .file = file});
  pmap().FailEnterAfter(0);
  EXPECT_EQ(reader.TryWrite("x"), "*");
  writer.Write("z");
  EXPECT_EQ(Contents(reader), "z");
  EXPECT_EQ(reader.TryWrite("x"), "x");
  EXPECT_EQ(Contents(reader, writer), "x|z");
}

TEST_F(FaultTest, APagerMayAskForPatience) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.file = file});
  pager().FailOnce(0, PagerError::kAgain);
  EXPECT_EQ(space.ReadAll(), "1");
  EXPECT_EQ(pager().gets(), 2u);
  EXPECT_EQ(Faults(), "2A");
  EXPECT_EQ(uvm().counters().fault_restarts, 1u);
}

// It is asked again after half a second of virtual time, not in a circle.
TEST(FaultPatienceTest, APagerIsAskedAgainAfterAWhile) {
  FakeThreads threads;
  World world(64, &threads);
  Space space = world.NewSpace("..");
  space.Map({.pages = 2, .file = world.File(7)});
  world.pager().FailOnce(1, PagerError::kAgain);
  const uint64_t before = threads.Now();
  EXPECT_EQ(space.ReadAll(), "12");
  EXPECT_EQ(threads.Now() - before, 500'000u);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

TEST_F(FaultTest, DebuggersAreHeldToTheMaximumOnly) {
  Space space = NewSpace("A");
  space.Protect(0, 1, kProtNone);
  EXPECT_EQ(space.Touch(0, Access::kRead), "protection");
  EXPECT_TRUE(uvm().FaultMaxProt(space.get(), PageAt(0), Access::kWrite).ok());
  EXPECT_EQ(space.Touch(0, Access::kRead), "protection");  // its owner gains nothing
  EXPECT_EQ(space.TryProtect(0, 1, kProtNone, SetMax::kYes), "ok");
  EXPECT_EQ(uvm().FaultMaxProt(space.get(), PageAt(0), Access::kRead), FaultError::kProtection);
}

// A map that an entry names answers for it; the translation goes to the pmap of the map that was
// asked.
TEST_F(FaultTest, SubmapsAreFollowed) {
  StopChecking();
  Space outer = NewSpace("...");
  Space inner = NewSpace("ABC");
  ASSERT_TRUE(
      outer->map().Reserve({.at = PageAt(0), .size = 3 * base::kPageSize, .prot = kProtNone}).ok());
  ASSERT_TRUE(outer->map().Submap(Pages(0, 3), &inner->map()).ok());
  EXPECT_TRUE(uvm().Fault(outer.get(), PageAt(1), Access::kWrite).ok());
  unsigned char* byte = pmap().Translate(outer->pmap(), PageAt(1), Access::kWrite);
  ASSERT_NE(byte, nullptr);
  EXPECT_EQ(*byte, 'B');
  *byte = 'x';
  EXPECT_EQ(*pmap().Translate(inner->pmap(), PageAt(1), Access::kRead), 'x');
  pmap().RemoveAll(outer->pmap());
}

// ---- Objects whose pages may not be written without asking.

TEST_F(FaultTest, TheFirstWriteToAHoleReachesThePager) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.pages = 2, .sharing = Sharing::kShared, .file = file});
  EXPECT_EQ(space.ReadAll(), "12");
  ResidentAt(space, 0)->read_only = true;  // as the pager marks what has no block
  pmap().RemoveAll(space->pmap());
  EXPECT_EQ(space.ReadAll(), "12");
  EXPECT_EQ(Rights(space), "rw");
  space.Write("x.");  // the pager is asked for a page to write
  EXPECT_EQ(Rights(space), "ww");
  EXPECT_FALSE(ResidentAt(space, 0)->read_only);
}

TEST_F(FaultTest, APrivateCopyOfAHoleAsksNobody) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.file = file});
  EXPECT_EQ(space.ReadAll(), "1");
  ResidentAt(space, 0)->read_only = true;
  space.Write("x");
  EXPECT_EQ(pager().gets(), 1u);
  EXPECT_EQ(Rights(space), "w");
}

// ---- Economy and order.

TEST_F(FaultTest, ReadingABigSparseRegionPaysOnlyForWhatIsTouched) {
  Space space = NewSpace(std::string(600, '.'));
  space.Map({.pages = 600});
  EXPECT_EQ(space.Touch(0, Access::kWrite), "ok");
  EXPECT_EQ(space.Touch(300, Access::kWrite), "ok");
  EXPECT_EQ(space.Touch(599, Access::kWrite), "ok");
  EXPECT_EQ(uvm().counters().frames_in_use, 3u);
  EXPECT_EQ(space.Touch(301, Access::kRead), "ok");
  EXPECT_EQ(uvm().counters().frames_in_use, 4u);
}

TEST_F(FaultTest, CountersCountEachFaultOnce) {
  Space space = NewSpace("0");
  uint64_t faults = uvm().counters().faults;
  space.Write("A");
  EXPECT_EQ(space.ReadAll(), "A");
  space.Write("B");
  EXPECT_EQ(uvm().counters().faults, faults + 1);
  EXPECT_EQ(uvm().counters().fault_errors, 0u);
}

// NetBSD PR 56535: the old translation is gone from every processor before the copy is published.
TEST_F(FaultTest, NobodyReadsTheOldPageAfterACopy) {
  pmap().DelayInvalidations();
  Space parent = NewSpace("A");
  Space child = parent.Fork();
  EXPECT_EQ(child.ReadAll(), "A");  // the old frame is in the child's translation buffer
  child.Write("B");
  EXPECT_EQ(child.ReadAll(), "B");  // AccessPage compares the frame read with the layers
  EXPECT_EQ(parent.ReadAll(), "A");
}

// Another thread of the space may run between any two steps of the fault.
TEST_F(FaultTest, TheOldTranslationIsGoneWhileTheCopyIsMade) {
  pmap().DelayInvalidations();
  Space parent = NewSpace("A.");
  parent.Map({.at = 1, .file = File(7)});
  Space child = parent.Fork();
  EXPECT_EQ(child.ReadAll(), "A1");
  int copies = 0;
  uint64_t page = 0;
  pmap().BeforeCopies([&] {
    ++copies;
    EXPECT_EQ(pmap().Translate(child->pmap(), PageAt(page), Access::kRead), nullptr) << page;
  });
  child.Write("B.");  // 1B
  page = 1;
  child.Write(".C");  // 2B
  EXPECT_EQ(copies, 2);
}

TEST_F(FaultTest, NobodyReadsTheFilesPageAfterAPromotion) {
  pmap().DelayInvalidations();
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.file = file});
  EXPECT_EQ(space.ReadAll(), "1");
  space.Write("B");
  EXPECT_EQ(space.ReadAll(), "B");
}

TEST_F(FaultTest, PromotionInASharedAmapRevokesTheFilesPageFromAllSharers) {
  Object* file = File(7);
  Space parent = NewSpace(".");
  parent.Map({.inherit = Inherit::kShare, .file = file});
  Space child = parent.Fork();
  EXPECT_EQ(parent.ReadAll(), "1");
  EXPECT_EQ(child.ReadAll(), "1");
  child.Write("x");
  EXPECT_EQ(parent.ReadAll(), "x");
  EXPECT_EQ(Frames(parent, child), "a|a");
}

TEST_F(FaultTest, PromotionLeavesOtherViewersOfTheFileAlone) {
  Object* file = File(7);
  Space one = NewSpace(".");
  Space two = NewSpace(".");
  one.Map({.file = file});
  two.Map({.file = file});
  EXPECT_EQ(one.ReadAll() + two.ReadAll(), "11");
  one.Write("x");
  EXPECT_EQ(two.ReadAll(), "1");
  EXPECT_EQ(Frames(one, two), "a|b");
}

// ---- What happens while the pager works and no lock is held.

TEST_F(FaultTest, TheEntryMayGoWhileThePagerWorks) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.file = file});
  pager().DuringNextGet([&] { EXPECT_TRUE(space->map().Unmap(Pages(0, 1)).ok()); });
  EXPECT_EQ(space.Touch(0, Access::kRead), "no_entry");
  EXPECT_EQ(Contents(space), ".");
}

TEST_F(FaultTest, TheFileMayLoseItsLastMappingWhileThePagerWorks) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.file = file});
  CloseFile(file);
  pager().DuringNextGet([&] { EXPECT_TRUE(space->map().Unmap(Pages(0, 1)).ok()); });
  EXPECT_EQ(space.Touch(0, Access::kRead), "no_entry");
  EXPECT_EQ(pager().detached().size(), 1u);
}

TEST_F(FaultTest, TheProtectionMayChangeWhileThePagerWorks) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.file = file});
  pager().DuringNextGet(
      [&] { EXPECT_TRUE(space->map().Protect(Pages(0, 1), kProtRead, SetMax::kNo).ok()); });
  EXPECT_EQ(space.Touch(0, Access::kWrite), "protection");
  EXPECT_EQ(space.ReadAll(), "1");
  EXPECT_EQ(pager().gets(), 1u);
}

TEST_F(FaultTest, AnotherMappingMayTakeThePlaceWhileThePagerWorks) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.file = file});
  pager().DuringNextGet([&] {
    EXPECT_TRUE(space->map()
                    .Enter({.at = PageAt(0),
                            .size = base::kPageSize,
                            .where = Map::Where::kFixedReplace,
                            .prot = base::kProtReadWrite})
                    .ok());
  });
  EXPECT_EQ(space.ReadAll(), "0");
  EXPECT_EQ(Faults(), "2B");
}

// ---- Several threads.

class FaultThreadsTest : public ::testing::Test {
 protected:
  FaultThreadsTest() { world_.StopChecking(); }  // the rules hold at rest only
  void RunAndCheck() {
    threads_.Run();
    EXPECT_EQ(world_.Violation(), "");
  }
  void TearDown() override { EXPECT_EQ(world_.TearDownAndFindLeaks(), ""); }

  BatonThreads threads_;
  World world_{64, &threads_};
};

TEST_F(FaultThreadsTest, TwoFaultsOnOneFilePageReadItOnce) {
  Object* file = world_.File(7);
  Space space = world_.NewSpace(".");
  space.Map({.file = file});
  world_.pager().DuringNextGet([&] {
    threads_.Yield();  // the second thread arrives and has to wait for the busy page
    threads_.Log("filled");
  });
  for (const char* name : {"a", "b"}) {
    threads_.Add([&, name] {
      EXPECT_EQ(space.Touch(0, Access::kRead), "ok");
      threads_.Log(name);
    });
  }
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "filled a b");
  EXPECT_EQ(world_.pager().gets(), 1u);
  EXPECT_EQ(world_.Contents(space), "1");
}

TEST_F(FaultThreadsTest, WhoWaitsForAPageThatFailsTriesAgain) {
  Object* file = world_.File(7);
  Space space = world_.NewSpace(".");
  space.Map({.file = file});
  world_.pager().FailOnce(0, PagerError::kIo);
  world_.pager().DuringNextGet([&] { threads_.Yield(); });
  for (int i = 0; i < 2; ++i) threads_.Add([&] { threads_.Log(space.Touch(0, Access::kWrite)); });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "io ok");
  EXPECT_EQ(world_.pager().gets(), 2u);
}

// As when it is being written to swap.
TEST_F(FaultThreadsTest, AFaultWaitsForABusyAnon) {
  Space space = world_.NewSpace("A");
  world_.pmap().RemoveAll(space->pmap());
  Page* page = world_.ResidentAt(space, 0);
  page->busy = BusyReason::kPageout;
  threads_.Add([&] { threads_.Log(space.Touch(0, Access::kRead)); });
  threads_.Add([&] {
    threads_.Log("written");
    page->busy = BusyReason::kNotBusy;
    world_.uvm().DebugPages().Wakeup(page);
  });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "written ok");
}

TEST_F(FaultThreadsTest, UnmappingDoesNotWaitForThePager) {
  Object* file = world_.File(7);
  Space space = world_.NewSpace(".");
  space.Map({.file = file});
  world_.CloseFile(file);
  world_.pager().DuringNextGet([&] {
    threads_.Yield();
    threads_.Log("filled");
  });
  threads_.Add([&] { threads_.Log(space.Touch(0, Access::kRead)); });
  threads_.Add([&] {
    space.Unmap(0, 1);
    threads_.Log("unmapped");
  });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "unmapped filled no_entry");
  EXPECT_EQ(world_.pager().detached().size(), 1u);
}

TEST_F(FaultThreadsTest, ForkWhileAnotherThreadFaults) {
  Object* file = world_.File(7);
  Space parent = world_.NewSpace("A.");
  parent.Map({.at = 1, .file = file});
  std::vector<Space> child;
  world_.pager().DuringNextGet([&] { threads_.Yield(); });
  threads_.Add([&] { parent.Write(".x"); });
  threads_.Add([&] { child.push_back(parent.Fork()); });
  RunAndCheck();
  EXPECT_EQ(world_.Contents(parent, child[0]), "Ax|A1");
  EXPECT_EQ(child[0].ReadAll(), "A1");
}

// ---- An adversarial pmap: rule 1 of the contract.

TEST_F(FaultTest, AForgetfulPmapIsInvisible) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    World world;
    world.ForgetAtRandom(seed);
    Object* file = world.File(7);
    Space parent = world.NewSpace("ABC0...");
    parent.Map({.at = 4, .file = file});
    parent.Map({.at = 5, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
    Space child = parent.Fork();
    child.Write("x..y.z.");
    parent.Write(".p..q..");
    EXPECT_EQ(parent.Read("xxxxxx."), "ApC0qz.");
    EXPECT_EQ(child.Read("xxxxxx."), "xBCy1z.");
    EXPECT_EQ(world.TearDownAndFindLeaks(), "");
  }
}

}  // namespace
}  // namespace uvm::testing
