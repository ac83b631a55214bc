// Documented and suspected defects of other UVMs in faults, wiring and loans, one scenario each
// (facts/uvm.md 5.A, 5.B, 5.B'). Each fails when its defect is put in; the commit that added it
// says how that was shown.

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/prot.h"
#include "base/result.h"
#include "gtest/gtest.h"
#include "uvm/core.h"
#include "uvm/lock.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/pager.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtNone;
using base::kProtRead;
using base::kProtReadWrite;

class KnownBugsFaultTest : public PictureTest {
 protected:
  uint64_t WiredPages() { return uvm().DebugPages().wired_count().value(); }
  uint64_t WiredTranslations(const Space& space) {
    return pmap().WiredCount(space->pmap()).value();
  }
};

// ---- 5.A item 6 (NetBSD PR 56535, FreeBSD 225584, golang 34988): after one thread wrote the copy,
// another could still read the old page.

BatonThreads* litmus_threads = nullptr;

// A triggers copies of a page in one space, B counts in it in a second that shares it, C reads it
// in a third: what C reads never falls behind what B had written before C began.
class PromotionLitmus {
 public:
  PromotionLitmus(World* world, BatonThreads* threads) : world_(world), threads_(threads) {}

  void Run(const Space& a, const Space& b, const Space& c,
           const std::function<void()>& share_again) {
    litmus_threads = threads_;
    threads_->at_lock = [] { litmus_threads->Yield(); };
    threads_->Add([&] {
      for (int round = 0; round < kRounds; ++round) {
        share_again();
        Access(a, base::Access::kWrite, [](unsigned char* page) { ++page[8]; });
      }
      done_ = true;
    });
    threads_->Add([&] {
      for (uint32_t count = 1; !done_; ++count) {
        Access(b, base::Access::kWrite,
               [&](unsigned char* page) { std::memcpy(page, &count, sizeof count); });
        written_ = count;
      }
    });
    threads_->Add([&] {
      while (!done_) {
        uint32_t floor = written_, seen = 0;
        Access(c, base::Access::kRead,
               [&](unsigned char* page) { std::memcpy(&seen, page, sizeof seen); });
        if (seen < floor) ++stale_;
      }
    });
    threads_->Run();
    threads_->at_lock = nullptr;
    EXPECT_EQ(stale_, 0u);
    EXPECT_GT(written_, 20u);
  }

 private:
  static constexpr int kRounds = 30;
  template <typename F>
  void Access(const Space& space, base::Access access, F&& touch) {
    for (;;) {
      threads_->Yield();
      unsigned char* byte = world_->pmap().Translate(space->pmap(), PageAt(0), access);
      if (byte != nullptr) return touch(byte);
      if (!world_->uvm().Fault(space.get(), PageAt(0), access).ok()) return;
    }
  }

  World* const world_;
  BatonThreads* const threads_;
  bool done_ = false;
  uint32_t written_ = 0;
  uint64_t stale_ = 0;
};

TEST(KnownBugsFaultThreadsTest, A6NoSharerReadsTheOldPageAfterAWriteToTheCopy) {
  BatonThreads threads;
  World world(256, &threads);
  world.StopChecking();
  Space one = world.NewSpace("0");
  one.SetInherit(0, 1, base::Inherit::kShare);
  Space two = one.Fork();
  Space three = two.Fork();
  PromotionLitmus litmus(&world, &threads);
  std::vector<Space> children;
  // A copy-on-write child gives the shared anon a second owner.
  litmus.Run(one, two, three, [&] {
    one.SetInherit(0, 1, base::Inherit::kCopy);
    children.push_back(one.Fork());
    one.SetInherit(0, 1, base::Inherit::kShare);
    if (children.size() > 4) {
      children.front().Exit();
      children.erase(children.begin());
    }
  });
  EXPECT_EQ(world.Violation(), "");
}

// One space on two processors, as PR 56535 has it: once one of them can write the copy, the other
// has forgotten the old page.
TEST_F(KnownBugsFaultTest, A6NoProcessorReadsTheOldPageWhenAnotherCanWriteTheCopy) {
  pmap().DelayInvalidations();
  Space parent = NewSpace("A.");
  parent.Map({.at = 1, .file = File(7)});
  Space child = parent.Fork();
  EXPECT_EQ(child.ReadAll(), "A1");
  int stale = 0, writable = 0;
  pmap().AtEachStep([&] {
    for (uint64_t page : {0, 1}) {
      const unsigned char* read = pmap().Translate(child->pmap(), PageAt(page), Access::kRead, 0);
      const unsigned char* write = pmap().Translate(child->pmap(), PageAt(page), Access::kWrite, 1);
      writable += write != nullptr ? 1 : 0;
      stale += write != nullptr && read != nullptr && write != read ? 1 : 0;
    }
  });
  child.Write("BC");  // case 1B, case 2B
  pmap().AtEachStep(nullptr);
  EXPECT_EQ(stale, 0);
  EXPECT_GT(writable, 0);
  EXPECT_EQ(Contents(parent, child), "A1|BC");
}

// The same for the object's page, and with stale translations until they are flushed: while the
// copy is made the faulting space has no translation any more; when it is published, no sharer has.
TEST_F(KnownBugsFaultTest, A6ThePromotedObjectPageIsGoneFromEverySharer) {
  pmap().DelayInvalidations();
  Object* file = File(7);
  Space one = NewSpace(".");
  one.Map({.inherit = base::Inherit::kShare, .file = file});
  Space two = one.Fork();
  Space three = two.Fork();
  EXPECT_EQ(one.ReadAll() + two.ReadAll() + three.ReadAll(), "111");
  pmap().BeforeCopies(
      [&] { EXPECT_EQ(pmap().Translate(two->pmap(), PageAt(0), Access::kRead), nullptr); });
  two.Write("x");
  EXPECT_EQ(pmap().Translate(one->pmap(), PageAt(0), Access::kRead), nullptr);
  EXPECT_EQ(pmap().Translate(three->pmap(), PageAt(0), Access::kRead), nullptr);
  EXPECT_EQ(one.ReadAll() + two.ReadAll() + three.ReadAll(), "xxx");
}

// ---- 5.A item 9 (1999): wiring counts after failures; wirings of users do not nest.

TEST_F(KnownBugsFaultTest, A9AFailedWiringLeavesNoCount) {
  Object* file = File(7);
  Space space = NewSpace("AB..");
  space.Map({.at = 2, .pages = 2, .sharing = Sharing::kShared, .file = file});
  space.Wire(1, 1);
  pager().FailOnce(1, PagerError::kIo);
  EXPECT_EQ(space.TryWire(0, 4), "io");
  EXPECT_EQ(Wirings(space), "010.") << "what was wired before stays, nothing else is";
  EXPECT_EQ(WiredTranslations(space), 1u);
  space.Unwire(1, 1);
  EXPECT_EQ(WiredPages(), 0u);
}

// ---- 5.A item 10: after partial unmaps on both sides of a fork, memory is what can be reached.

TEST_F(KnownBugsFaultTest, A10NothingUnreachableIsKept) {
  Space parent = NewSpace("ABCDEF");
  Space child = parent.Fork();
  child.Write("x.y.z.");
  parent.Unmap(1, 2);
  child.Unmap(0, 1);
  child.Unmap(3, 3);
  // Parent A..DEF, child .By: A, D, E, F, B, y.
  EXPECT_EQ(Contents(parent, child), "A..DEF|.By...");
  EXPECT_EQ(uvm().counters().frames_in_use, 6u);
  parent.Exit();
  EXPECT_EQ(uvm().counters().frames_in_use, 2u);
}

// ---- 5.A item 12: see also LoanTest.AnAdoptedPageIsOnAQueue, LoanTest.AllZeroesAreOnePage.

TEST_F(KnownBugsFaultTest, A12APageIsBackOnAQueueWhenItsLastLoanEnds) {
  Object* file = File(7);
  Space space = NewSpace(".");
  space.Map({.file = file});
  Loan anon = space.LendAnons(0, 1);
  Loan kernel = space.Lend(0, 1);
  space.Exit();
  CloseFile(file);
  uvm().DebugPages().Dequeue(anon.anons[0]->page);  // as the page daemon does with pages in flux
  Return(&kernel);
  EXPECT_EQ(PageStore::QueueOf(anon.anons[0]->page), PageQueue::kActive);
  Return(&anon);
}

// ---- 5.A item 13: cleaning wired pages must not write-protect them.

TEST_F(KnownBugsFaultTest, A13CleaningLeavesWiredTranslationsWritable) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.pages = 2, .sharing = Sharing::kShared, .file = file});
  space.Wire(0, 1);
  space.Write("xy");
  EXPECT_TRUE(space->map().Clean(Pages(0, 2), kPgoCleanIt | kPgoSyncIo).ok());
  EXPECT_EQ(Rights(space), "wr");
  EXPECT_EQ(ResidentAt(space, 0)->dirty, Dirty::kUnknown);
}

// ---- 5.A item 17: detection is armed again after it was cleared.

TEST_F(KnownBugsFaultTest, A17AWriteAfterCleaningIsSeen) {
  Object* file = File(7);
  Space space = NewSpace("..");
  space.Map({.pages = 2, .sharing = Sharing::kShared, .file = file});
  space.Wire(0, 1);
  for (int round = 0; round < 3; ++round) {
    space.Write("xy");
    EXPECT_TRUE(pmap().IsModified(ResidentAt(space, 0)->pa));
    EXPECT_TRUE(space->map().Clean(Pages(0, 2), kPgoCleanIt | kPgoSyncIo).ok());
    EXPECT_FALSE(pmap().IsModified(ResidentAt(space, 0)->pa));
    EXPECT_NE(ResidentAt(space, 1)->dirty, Dirty::kDirty);
  }
}

// ---- 5.A item 18 (OpenBSD): private made shared, forked, each side unmaps a part.

TEST_F(KnownBugsFaultTest, A18PartsThatBothSidesUnmapAreFreed) {
  Space parent = NewSpace("ABCDEFGH");
  parent.SetInherit(0, 8, base::Inherit::kShare);
  Space child = parent.Fork();
  parent.Unmap(2, 3);
  EXPECT_EQ(uvm().counters().frames_in_use, 8u);
  child.Unmap(3, 3);
  EXPECT_EQ(uvm().counters().frames_in_use, 6u);  // D and E are nobody's
  EXPECT_EQ(Contents(parent, child), "AB...FGH|ABC...GH");
}

// ---- 5.A item 23, 5.B item 15: unwiring where the translation is gone.

TEST_F(KnownBugsFaultTest, B15UnwiringFindsPagesWhoseTranslationsAreGone) {
  Object* file = File(7);
  Space space = NewSpace("AB.");
  space.Map({.at = 2, .sharing = Sharing::kShared, .file = file});
  space.Wire(0, 3);
  space.Protect(0, 3, kProtNone);
  EXPECT_EQ(WiredPages(), 3u);
  space.Unwire(0, 3);
  EXPECT_EQ(WiredPages(), 0u);
  space.Protect(0, 3, kProtReadWrite);
  EXPECT_EQ(space.ReadAll(), "AB1");
  EXPECT_EQ(WiredTranslations(space), 0u);
}

TEST_F(KnownBugsFaultTest, B15UnmappingToo) {
  Space space = NewSpace("AB");
  space.Wire(0, 2);
  space.Protect(0, 2, kProtNone);
  space.Unmap(0, 2);
  EXPECT_EQ(WiredPages(), 0u);
}

// A sharer's copy takes the place of a page that another sharer wired: the wiring goes over to it,
// and its translation is never lost.
TEST_F(KnownBugsFaultTest, B15AReplacedAnonTakesTheOtherSharersWiringOver) {
  Space one = NewSpace("A");
  one.SetInherit(0, 1, base::Inherit::kShare);
  Space two = one.Fork();
  EXPECT_TRUE(one->map().Protect(Pages(0, 1), kProtRead, SetMax::kYes).ok());  // can never write
  two.SetInherit(0, 1, base::Inherit::kCopy);
  Space child = two.Fork();  // the anon has two owners now
  one.Wire(0, 1);
  EXPECT_EQ(Frames(one, two, child), "a|a|a");
  EXPECT_EQ(Wirings(one), "1");
  uint64_t faults = uvm().counters().faults;
  two.Write("x");
  EXPECT_EQ(uvm().counters().faults, faults + 1);
  EXPECT_EQ(Frames(one, two, child), "a|a|b");
  EXPECT_EQ(Wirings(one, two, child), "1|1|0");
  EXPECT_EQ(WiredTranslations(one), 1u);
  EXPECT_EQ(one.ReadAll(), "x");
  EXPECT_EQ(uvm().counters().faults, faults + 1) << "a wired page never faults";
  one.Unwire(0, 1);
  EXPECT_EQ(WiredPages(), 0u);
}

// What takes the wiring over may not be written yet: another sharer still sees the old page.
TEST_F(KnownBugsFaultTest, B15AWiredSharerDoesNotWriteWhileAnotherReadsTheOldPage) {
  Space one = NewSpace(".");
  one.Map({.max_prot = kProtRead, .inherit = base::Inherit::kShare, .flags = kEnterBeyondMax});
  one.Write("a");
  Space two = one.Fork();
  Space three = one.Fork();
  two.SetInherit(0, 1, base::Inherit::kCopy);
  Space child = two.Fork();  // the anon has two owners now
  one.Wire(0, 1);            // in place, as its maximum lets nobody write
  EXPECT_EQ(three.ReadAll(), "a");
  int stale = 0;
  pmap().AtEachStep([&] {
    const unsigned char* written =
        pmap().Translate(one->pmap(), PageAt(0), base::Access::kWrite, 1);
    const unsigned char* read = pmap().Translate(three->pmap(), PageAt(0), base::Access::kRead);
    stale += written != nullptr && read != nullptr && written != read ? 1 : 0;
  });
  two.Write("x");
  pmap().AtEachStep(nullptr);
  EXPECT_EQ(stale, 0);
  EXPECT_EQ(Wirings(one, two, child), "1|1|0");
  EXPECT_EQ(three.ReadAll(), "x");
  one.Unwire(0, 1);
}

TEST_F(KnownBugsFaultTest, B15APromotedObjectPageTakesTheOtherSharersWiringOver) {
  Object* file = File(7);
  Space one = NewSpace(".");
  one.Map({.inherit = base::Inherit::kShare, .file = file});
  Space two = one.Fork();
  EXPECT_TRUE(one->map().Protect(Pages(0, 1), kProtRead, SetMax::kYes).ok());
  one.Wire(0, 1);
  two.Write("x");
  EXPECT_EQ(Wirings(one, two), "1|1");
  EXPECT_EQ(WiredTranslations(one), 1u);
  EXPECT_EQ(one.ReadAll(), "x");
  one.Unwire(0, 1);
  EXPECT_EQ(WiredPages(), 0u);
}

// 5.B' B15c: the wired translations of spaces that have nothing to do with the shared amap stay.
TEST_F(KnownBugsFaultTest, B15cPromotionLeavesOtherSpacesWiredTranslationsAlone) {
  Object* file = File(7);
  Space zero = NewSpace("..");
  zero.Map(
      {.pages = 2, .inherit = base::Inherit::kNone, .sharing = Sharing::kShared, .file = file});
  zero.Wire(0, 2);
  Space one = NewSpace("..");
  one.Map({.pages = 2, .inherit = base::Inherit::kShare, .file = file});
  EXPECT_EQ(one.ReadAll(), "12");
  Space two = one.Fork();
  EXPECT_EQ(two.ReadAll(), "12");
  one.Write("xy");
  EXPECT_EQ(WiredTranslations(zero), 2u);
  EXPECT_EQ(Rights(zero, two), "ww|--");
  EXPECT_EQ(two.ReadAll(), "xy");
  EXPECT_EQ(zero.ReadAll(), "12");
  zero.Unwire(0, 2);
  EXPECT_EQ(WiredPages(), 0u);
}

// ---- 5.A item 24 (FreeBSD PR 266108): a neighbour entered ahead where it was mapped already was
// listed twice, and one of the two stayed when the space ended.

TEST_F(KnownBugsFaultTest, A24NeighboursAreNotEnteredAheadTwice) {
  Object* file = File(7);
  Space upper = NewSpace("ABCD");
  Space lower = NewSpace("....");
  lower.Map({.pages = 4, .sharing = Sharing::kShared, .file = file});
  EXPECT_EQ(lower.ReadAll(), "1234");
  for (const Space& space : {upper, lower}) {
    space.Protect(0, 4, base::kProtRead);
    space.Protect(0, 4, base::kProtReadWrite);
    // Its neighbours are mapped, read-only as they ought to be.
    space.Write(".x..");
    EXPECT_EQ(pmap().ResidentCount(space->pmap()), PageCount(4));
  }
  EXPECT_EQ(pmap().entered_ahead_twice(), 0u);
}

// The same page at two places.
TEST_F(KnownBugsFaultTest, A24APageThatIsMappedTwiceHasTwoTranslations) {
  Object* file = File(7);
  Space space = NewSpace("....");
  for (uint64_t at : {0, 2})
    space.Map({.at = at, .pages = 2, .sharing = Sharing::kShared, .file = file});
  for (int round = 0; round < 3; ++round) EXPECT_EQ(space.ReadAll(), "1212");
  EXPECT_EQ(pmap().ResidentCount(space->pmap()), PageCount(4));
  EXPECT_EQ(uvm().counters().neighbours, 1u);
  EXPECT_EQ(pmap().entered_ahead_twice(), 0u);
  space.Unmap(0, 2);
  EXPECT_EQ(pmap().ResidentCount(space->pmap()), PageCount(2));
}

// ---- 5.B item 7: the error of a loan that cannot be broken was lost, and the fault went on.

TEST_F(KnownBugsFaultTest, B7AFaultThatCannotBreakALoanFails) {
  World small(/*frames=*/1);
  Object* file = small.File(7);
  Space space = small.NewSpace(".");
  space.Map({.sharing = Sharing::kShared, .file = file});
  Loan loan = space.Lend(0, 1);
  EXPECT_EQ(space.Touch(0, Access::kWrite), "no_memory");
  EXPECT_EQ(small.Contents(loan), "1");
  EXPECT_EQ(space.TryWire(0, 1), "no_memory");
  small.Return(&loan);
  EXPECT_EQ(space.TryWrite("x"), "x");
  EXPECT_EQ(small.TearDownAndFindLeaks(), "");
}

// ---- 5.B item 9: breaking the loan of an anon's page, with one owner and with two.

TEST_F(KnownBugsFaultTest, B9LoansOfAnonsBreak) {
  Space space = NewSpace("AB");
  Loan loan = space.Lend(0, 2);
  space.Write("x.");
  EXPECT_EQ(Contents(loan), "AB");
  Space child = space.Fork();
  space.Write(".y");
  EXPECT_EQ(child.ReadAll(), "xB");
  child.Write(".z");
  EXPECT_EQ(Contents(space, child), "xy|xz");
  EXPECT_EQ(Contents(loan), "AB");
  Return(&loan);
}

// ---- 5.B' N1: a pager that ignores "don't care" marks had the object's page mapped over a private
// page that is lent (or on swap).

// Gives every resident page of the window, wanted or not.
class CarelessPager final : public Pager {
 public:
  explicit CarelessPager(PageStore* pages) : pages_(pages) {}
  Result<void, PagerError> Get(Object* object,
                               GetRequest* request) override ABSL_NO_THREAD_SAFETY_ANALYSIS {
    for (uint32_t i = 0; i < request->count; ++i) {
      PageIndex index = request->first + PageCount(i);
      request->pages[i] = object->Lookup(index);
      if (request->pages[i] != nullptr || (request->flags & kPgoLocked) != 0) continue;
      Page* page = pages_->AllocateForObject(object, index);
      pages_->Zero(page);
      std::memset(pages_->Contents(page), 'o', base::kPageSize);
      object->Insert(page);
      request->pages[i] = page;
    }
    if ((request->flags & kPgoLocked) == 0) {
      object->mu.Unlock();
      return {};
    }
    if (request->pages[request->centre] == nullptr) return PagerError::kBusy;
    return {};
  }
  Result<void, PagerError> Put(Object* object, PageIndex, PageIndex,
                               uint32_t) override ABSL_NO_THREAD_SAFETY_ANALYSIS {
    object->mu.Unlock();
    return {};
  }
  void Detach(Object*) override {}

 private:
  PageStore* const pages_;
};

TEST_F(KnownBugsFaultTest, N1TheObjectsPageNeverCoversAPrivatePage) {
  CarelessPager careless(&uvm().DebugPages());
  Object* object = uvm().CreateObject(&careless, 1).value();
  Space space = NewSpace("....");
  space.Map({.pages = 4, .file = object});
  EXPECT_EQ(space.ReadAll(), "oooo");
  space.Write(".x..");
  Loan loan = space.Lend(1, 1);  // so that the upper layer's page is no neighbour to be mapped
  space.Protect(0, 4, kProtNone);
  space.Protect(0, 4, kProtReadWrite);
  EXPECT_EQ(space.Touch(2, Access::kRead), "ok");
  EXPECT_EQ(Rights(space), "r-rr");
  EXPECT_EQ(space.ReadAll(), "oxoo");
  Return(&loan);
  space.Exit();
  uvm().ReleaseObject(object);
}

}  // namespace
}  // namespace uvm::testing
