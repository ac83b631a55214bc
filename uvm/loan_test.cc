#include "uvm/loan.h"

#include <string>
#include <vector>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/core.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtNone;
using base::kProtRead;

class LoanTest : public PictureTest {
 protected:
  uint64_t FramesInUse() { return uvm().counters().frames_in_use; }
};

// ---- To the kernel.

TEST_F(LoanTest, LendingAPageCopiesNothingAndTakesTheRightToWrite) {
  Space space = NewSpace("AB");
  uint64_t frames = FramesInUse();
  Loan loan = space.Lend(0, 2);
  EXPECT_EQ(Contents(loan), "AB");
  EXPECT_EQ(Rights(space), "rr");
  EXPECT_EQ(FramesInUse(), frames);
  EXPECT_EQ(uvm().counters().loans, 2u);
  EXPECT_EQ(space.ReadAll(), "AB");
  Return(&loan);
  space.Write("xy");
  EXPECT_EQ(uvm().counters().loan_breaks, 0u);
  EXPECT_EQ(FramesInUse(), frames);
}

TEST_F(LoanTest, AWriteBreaksTheLoanAndTheBorrowerKeepsWhatItWasShown) {
  Space space = NewSpace("AB");
  Loan loan = space.Lend(0, 2);
  space.Write(".x");
  EXPECT_EQ(Contents(loan), "AB");
  EXPECT_EQ(Contents(space), "Ax");
  EXPECT_EQ(uvm().counters().loan_breaks, 1u);
  EXPECT_EQ(FramesInUse(), 3u);
  Return(&loan);
  EXPECT_EQ(FramesInUse(), 2u) << "the last loan of a page that is nobody's frees it";
}

TEST_F(LoanTest, AWriteToAPageOfAFileBreaksTheLoanForEverySharer) {
  Object* file = File(7);
  Space one = NewSpace(".");
  Space two = NewSpace(".");
  one.Map({.sharing = Sharing::kShared, .file = file});
  two.Map({.sharing = Sharing::kShared, .file = file});
  EXPECT_EQ(two.ReadAll(), "1");
  Loan loan = one.Lend(0, 1);
  EXPECT_EQ(Rights(two), "r");
  two.Write("x");
  EXPECT_EQ(Contents(loan), "1");
  EXPECT_EQ(one.ReadAll() + two.ReadAll(), "xx");
  EXPECT_EQ(Frames(one, two), "a|a");
  Return(&loan);
}

// Only what is written matters: a private copy leaves the lent page alone.
TEST_F(LoanTest, PromotionOfALentPageBreaksNothing) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.file = file});
  Loan loan = space.Lend(0, 1);
  space.Write("x");
  EXPECT_EQ(uvm().counters().loan_breaks, 0u);
  EXPECT_EQ(Contents(loan), "1");
  Return(&loan);
}

TEST_F(LoanTest, AnAnonWithSeveralOwnersIsCopiedAsAlways) {
  Space parent = NewSpace("A");
  Space child = parent.Fork();
  Loan loan = child.Lend(0, 1);
  child.Write("x");
  EXPECT_EQ(uvm().counters().loan_breaks, 0u);
  EXPECT_EQ(Contents(parent, child), "A|x");
  parent.Write("y");  // the only owner left: now the loan breaks
  EXPECT_EQ(uvm().counters().loan_breaks, 1u);
  EXPECT_EQ(Contents(loan), "A");
  Return(&loan);
}

TEST_F(LoanTest, TheOwnerMayGoFirst) {
  Object* file = File(7);
  Space space = NewSpace("A.");
  space.Map({.at = 1, .file = file});
  Loan loan = space.Lend(0, 2);
  space.Exit();
  CloseFile(file);
  EXPECT_EQ(Contents(loan), "A1");
  uvm().DebugPages().FlushIntents();
  EXPECT_EQ(uvm().DebugPages().active_count(), PageCount(0)) << "what is nobody's is on no queue";
  Return(&loan);
  EXPECT_EQ(FramesInUse(), 0u);
}

TEST_F(LoanTest, APageMayBeLentSeveralTimes) {
  Space space = NewSpace("A");
  Loan one = space.Lend(0, 1);
  Loan two = space.Lend(0, 1);
  EXPECT_EQ(one.pages[0], two.pages[0]);
  EXPECT_EQ(one.pages[0]->loan_count, 2u);
  Return(&one);
  space.Write("x");
  EXPECT_EQ(Contents(two), "A");
  Return(&two);
}

TEST_F(LoanTest, PagesThatAreNotThereAreBroughtIn) {
  Object* file = File(7);
  Space space = NewSpace("...");
  space.Map({.pages = 3, .file = file});
  Loan loan = space.Lend(0, 3);
  EXPECT_EQ(Contents(loan), "123");
  EXPECT_EQ(pager().gets(), 3u);
  EXPECT_EQ(Rights(space), "---");
  Return(&loan);
}

// ---- Zeroes.

TEST_F(LoanTest, AllZeroesAreOnePage) {
  Space space = NewSpace("000");
  Space other = NewSpace("0");
  Loan loan = space.Lend(0, 3);
  Loan more = other.Lend(0, 1);
  EXPECT_EQ(Contents(loan), "000");
  EXPECT_EQ(loan.pages[0], loan.pages[2]);
  EXPECT_EQ(loan.pages[0], more.pages[0]);
  EXPECT_EQ(FramesInUse(), 1u);
  space.Write("x..");
  EXPECT_EQ(Contents(loan), "000");
  Return(&loan);
  EXPECT_EQ(FramesInUse(), 2u);
  Return(&more);
  EXPECT_EQ(FramesInUse(), 1u) << "nobody has the zero page any more";
}

TEST_F(LoanTest, ZeroesToAnons) {
  Space space = NewSpace("00");
  Loan loan = space.LendAnons(0, 2);
  EXPECT_EQ(Contents(loan), "00");
  space.Write("xy");
  EXPECT_EQ(Contents(loan), "00");
  Return(&loan);
  EXPECT_EQ(uvm().DebugAnons().live(), 2u);
}

// ---- To anons.

TEST_F(LoanTest, AnAnonIsLentByReference) {
  Space space = NewSpace("AB");
  Loan loan = space.LendAnons(0, 2);
  EXPECT_EQ(uvm().DebugAnons().live(), 2u);
  EXPECT_EQ(Rights(space), "rr");
  space.Write("x.");
  EXPECT_EQ(Contents(loan), "AB");
  EXPECT_EQ(Faults(), "1B");
  space.Exit();
  EXPECT_EQ(Contents(loan), "AB");
  Return(&loan);
  EXPECT_EQ(uvm().DebugAnons().live(), 0u);
  EXPECT_EQ(uvm().DebugAmaps().live_locks(), 0u) << "the loan was the last user of its lock";
}

TEST_F(LoanTest, AnAnonBorrowsAnObjectsPage) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.sharing = Sharing::kShared, .file = file});
  EXPECT_EQ(space.ReadAll(), "1");
  Loan loan = space.LendAnons(0, 1);
  Page* page = loan.anons[0]->page;
  EXPECT_EQ(page, ResidentAt(space, 0));
  EXPECT_EQ(FramesInUse(), 1u);
  Return(&loan);
  EXPECT_EQ(page->anon, nullptr);
  EXPECT_EQ(page->loan_count, 0u);
  EXPECT_EQ(space.ReadAll(), "1");
}

TEST_F(LoanTest, ABrokenLoanLeavesTheBorrowingAnonThePage) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.sharing = Sharing::kShared, .file = file});
  Loan loan = space.LendAnons(0, 1);
  Page* page = loan.anons[0]->page;
  space.Write("x");
  EXPECT_EQ(Contents(loan), "1");
  EXPECT_EQ(loan.anons[0]->page, page);
  EXPECT_EQ(page->object, nullptr);
  EXPECT_EQ(page->loan_count, 0u);
  EXPECT_EQ(page->dirty, Dirty::kDirty);  // no store has what is in it
  Return(&loan);
}

// NetBSD uvm_loan.c 1.39: a page that an anon had taken over was on no queue once the kernel's
// loans of it were returned.
TEST_F(LoanTest, AnAdoptedPageIsOnAQueue) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.file = file});
  Loan kernel = space.Lend(0, 1);
  Loan anon = space.LendAnons(0, 1);
  EXPECT_EQ(kernel.pages[0]->loan_count, 2u);
  space.Exit();
  CloseFile(file);
  EXPECT_EQ(anon.anons[0]->page->anon, anon.anons[0]);
  EXPECT_EQ(kernel.pages[0]->loan_count, 1u);
  Return(&kernel);
  EXPECT_EQ(PageStore::QueueOf(anon.anons[0]->page), PageQueue::kActive);
  EXPECT_EQ(Contents(anon), "1");
  Return(&anon);
  EXPECT_EQ(FramesInUse(), 0u);
}

TEST_F(LoanTest, APageThatAnAnonBorrowsAlreadyIsCopiedForTheNext) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.file = file});
  Loan one = space.LendAnons(0, 1);
  Loan two = space.LendAnons(0, 1);
  EXPECT_NE(one.anons[0], two.anons[0]);
  EXPECT_EQ(Contents(two), "1");
  Return(&two);
  Return(&one);
}

// ---- Objects without a map.

TEST_F(LoanTest, ObjectsLendTheirPages) {
  Object* file = File(7);
  std::vector<Page*> pages(3);
  ASSERT_TRUE(uvm().loans().LendObjectPages(file, PageIndex(1), 3, pages.data()).ok());
  Loan loan{pages, {}};
  EXPECT_EQ(Contents(loan), "234");
  CheckInvariants();
  Return(&loan);
  pager().FailOnce(5, PagerError::kIo);
  EXPECT_EQ(uvm().loans().LendObjectPages(file, PageIndex(4), 3, pages.data()), PagerError::kIo);
  CheckInvariants();
}

TEST_F(LoanTest, ObjectsDoNotLendWiredPages) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.at = 1, .prot = kProtRead, .max_prot = kProtRead, .file = file, .file_page = 1});
  space.Wire(1, 1);
  std::vector<Page*> pages(2);
  EXPECT_EQ(uvm().loans().LendObjectPages(file, PageIndex(0), 2, pages.data()), PagerError::kBusy);
  CheckInvariants();
}

// ---- Errors.

TEST_F(LoanTest, ErrorsTakeBackWhatWasLent) {
  Object* file = File(7);
  Space space = NewSpace("AB..C");
  space.Map({.at = 2, .file = file});
  Loan loan;
  EXPECT_EQ(space.TryLend(0, 5, &loan), "not_found");
  EXPECT_EQ(space.TryLendAnons(0, 5, &loan), "not_found");
  space.Wire(4, 1);
  EXPECT_EQ(space.TryLend(4, 1, &loan), "invalid_argument");
  EXPECT_EQ(space.TryLendAnons(4, 1, &loan), "invalid_argument");
  pager().FailOnce(1, PagerError::kIo);
  space.Map({.at = 3, .file = file, .file_page = 1});
  EXPECT_EQ(space.TryLend(0, 4, &loan), "invalid_argument");
  for (uint64_t page = 0; page < 3; ++page) EXPECT_EQ(ResidentAt(space, page)->loan_count, 0u);
  space.Write("xy");
  EXPECT_EQ(uvm().counters().loan_breaks, 0u);
}

TEST_F(LoanTest, WithoutMemoryThereIsNoZeroPage) {
  World small(/*frames=*/1);
  Space space = small.NewSpace("A0");
  Loan loan;
  EXPECT_EQ(space.TryLend(1, 1, &loan), "invalid_argument");
  EXPECT_EQ(small.TearDownAndFindLeaks(), "");
}

// facts/uvm.md 5.B item 7: the error of breaking a loan reaches whoever wanted to write.
TEST_F(LoanTest, WithoutMemoryALoanCannotBeBroken) {
  World small(/*frames=*/2);
  Object* file = small.File(7);
  Space space = small.NewSpace("A.");
  space.Map({.at = 1, .sharing = Sharing::kShared, .file = file});
  Loan loan = space.Lend(0, 2);
  EXPECT_EQ(space.TryWrite("xy"), "**");
  EXPECT_EQ(space.Touch(0, Access::kWrite), "no_memory");
  EXPECT_EQ(space.Touch(1, Access::kWrite), "no_memory");
  EXPECT_EQ(space.ReadAll(), "A1");
  small.Return(&loan);
  EXPECT_EQ(space.TryWrite("xy"), "xy");
  EXPECT_EQ(small.TearDownAndFindLeaks(), "");
}

// ---- Wiring.

TEST_F(LoanTest, WiringBreaksALoanEvenToRead) {
  Object* file = File(7);
  Space space = NewSpace("A.");
  space.Map({.at = 1, .prot = kProtRead, .max_prot = kProtRead, .file = file});
  space.Protect(0, 1, kProtRead);
  Loan loan = space.Lend(0, 2);
  space.Wire(0, 2);
  EXPECT_EQ(uvm().counters().loan_breaks, 2u);
  EXPECT_EQ(Wirings(space), "11");
  EXPECT_EQ(Contents(loan), "A1");
  space.Unwire(0, 2);
  Return(&loan);
}

// ---- Several threads.

TEST(LoanThreadsTest, ALoanWaitsForAPageThatIsBeingRead) {
  BatonThreads threads;
  World world(64, &threads);
  world.StopChecking();
  Object* file = world.File(7);
  Space space = world.NewSpace(".");
  space.Map({.file = file});
  world.pager().DuringNextGet([&] {
    threads.Yield();
    threads.Log("filled");
  });
  Loan loan;
  threads.Add([&] { threads.Log(space.Touch(0, Access::kRead)); });
  threads.Add([&] {
    threads.Log("lend");
    loan = space.Lend(0, 1);
    threads.Log(world.Contents(loan));
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "lend filled ok 1");
  EXPECT_EQ(world.pager().gets(), 1u);
  world.Return(&loan);
  EXPECT_EQ(world.Violation(), "");
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

TEST(LoanThreadsTest, ALoanWaitsForABusyAnon) {
  BatonThreads threads;
  World world(64, &threads);
  world.StopChecking();
  Space space = world.NewSpace("A");
  Page* page = world.ResidentAt(space, 0);
  page->busy = BusyReason::kPageout;
  Loan loan;
  threads.Add([&] {
    loan = space.Lend(0, 1);
    threads.Log("lent");
  });
  threads.Add([&] {
    threads.Log("written");
    page->busy = BusyReason::kNotBusy;
    world.uvm().DebugPages().Wakeup(page);
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "written lent");
  world.Return(&loan);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

TEST(LoanThreadsTest, AnObjectsLoanWaitsForItsPage) {
  BatonThreads threads;
  World world(64, &threads);
  world.StopChecking();
  Object* file = world.File(7);
  Space space = world.NewSpace(".");
  space.Map({.file = file});
  world.pager().DuringNextGet([&] {
    threads.Yield();
    threads.Log("filled");
  });
  Page* lent = nullptr;
  threads.Add([&] { EXPECT_EQ(space.Touch(0, Access::kRead), "ok"); });
  threads.Add([&] {
    EXPECT_TRUE(world.uvm().loans().LendObjectPages(file, PageIndex(0), 1, &lent).ok());
    threads.Log("lent");
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "filled lent");
  world.uvm().loans().ReturnPages(&lent, 1);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

}  // namespace
}  // namespace uvm::testing
