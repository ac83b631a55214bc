// The page daemon's rules, one by one: what becomes of each sort of page, of failed writes, of who
// waits. Contents are the picture; numbers come from the daemon's counters.

#include "uvm/pdaemon.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/text_sink.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/pager.h"
#include "uvm/stored.h"
#include "uvm/swap.h"
#include "uvm/swap_device.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/page_map_store.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

// A device whose transfers end when and how the test says.
class ScriptedDevice final : public SwapDevice {
 public:
  explicit ScriptedDevice(uint64_t pages) : bytes_(pages * base::kPageSize) {}

  // Every write from now on ends like that.
  void FailWrites(SwapResult result) { write_result_ = result; }
  // Writes are kept until Release().
  void HoldWrites() { holds_ = true; }
  size_t held() const { return held_.size(); }
  void Release() {
    holds_ = false;
    for (SwapTransfer* transfer : std::exchange(held_, {})) Finish(transfer);
  }
  // Runs while a write is under way, with no lock held.
  void DuringNextWrite(std::function<void()> hook) { hook_ = std::move(hook); }
  const std::vector<uint32_t>& writes() const { return writes_; }  // pages of each

  base::PageCount size() const override { return base::PageCount(bytes_.size() / base::kPageSize); }
  void Start(SwapTransfer* transfer) override {
    if (transfer->direction == SwapDirection::kWrite) {
      writes_.push_back(transfer->count);
      if (hook_) std::exchange(hook_, nullptr)();
      if (holds_) return held_.push_back(transfer);
    }
    Finish(transfer);
  }
  const unsigned char* DebugBytes(uint64_t block) const override {
    return bytes_.data() + block * base::kPageSize;
  }

 private:
  void Finish(SwapTransfer* transfer) {
    const bool write = transfer->direction == SwapDirection::kWrite;
    transfer->result = write ? write_result_ : SwapResult::kOk;
    for (uint32_t i = 0; transfer->result == SwapResult::kOk && i < transfer->count; ++i) {
      unsigned char* here = bytes_.data() + (transfer->block + i) * base::kPageSize;
      if (write) {
        std::memcpy(here, transfer->pages[i], base::kPageSize);
      } else {
        std::memcpy(transfer->pages[i], here, base::kPageSize);
      }
    }
    transfer->done(transfer);
  }

  std::vector<unsigned char> bytes_;
  SwapResult write_result_ = SwapResult::kOk;
  bool holds_ = false;
  std::vector<SwapTransfer*> held_;
  std::function<void()> hook_;
  std::vector<uint32_t> writes_;
};

// A store of zeroes whose writes fail when told to.
class FailingStore final : public PageMapStore {
 public:
  Result<void, PagerError> WritePage(Object* object, PageIndex index,
                                     const unsigned char* contents) override {
    ++writes;
    if (fails) return PagerError::kIo;
    return PageMapStore::WritePage(object, index, contents);
  }

  bool fails = false;
  uint64_t writes = 0;
};

constexpr uint64_t kFrames = 32;
const char kSixty[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh";

class PageDaemonTest : public ::testing::Test, public World {
 protected:
  explicit PageDaemonTest(uint64_t swap_pages = 256) : World(kFrames), device_(swap_pages) {
    EXPECT_TRUE(uvm().swap().On(&device_, 0).ok());
  }
  void TearDown() override {
    EXPECT_EQ(TearDownAndFindLeaks(), "");
    EXPECT_EQ(swap().in_use().value(), bad_);
    EXPECT_EQ(swap().only_on_swap(), PageCount(0));
    EXPECT_TRUE(daemon().DebugIdle());
  }
  SwapStore& swap() { return uvm().swap(); }
  PageDaemon& daemon() { return uvm().pagedaemon(); }
  const DaemonCounters& counters() { return daemon().counters(); }
  // Rounds until nothing changes any more.
  void Squeeze() {
    for (int i = 0; i < 20; ++i) daemon().RunOnce();
    CheckInvariants();
  }

  ScriptedDevice device_;
  uint64_t bad_ = 0;  // slots that end bad
};

TEST_F(PageDaemonTest, MorePagesThanFramesKeepTheirContents) {
  Space space = NewSpace(kSixty);
  EXPECT_EQ(space.ReadAll(), kSixty);
  EXPECT_EQ(Contents(space), kSixty);
  EXPECT_GT(counters().freed_written, 0u);
  EXPECT_GE(swap().only_on_swap(), PageCount(60 - kFrames));
}

TEST_F(PageDaemonTest, DirtyPagesGoInClustersOfSixteen) {
  Space space = NewSpace(kSixty);
  EXPECT_EQ(Contents(space), kSixty);
  EXPECT_EQ(counters().cluster_pages, counters().freed_written);
  uint32_t largest = 0;
  for (uint32_t pages : device_.writes()) largest = std::max(largest, pages);
  EXPECT_LE(largest, kSwapClusterPages);
  EXPECT_GT(counters().cluster_pages, counters().clusters) << "more than one page at a time";
}

TEST_F(PageDaemonTest, CleanPagesGoWithoutBeingWrittenAgain) {
  Space space = NewSpace(kSixty);
  EXPECT_EQ(space.ReadAll(), kSixty);
  EXPECT_EQ(space.ReadAll(), kSixty);
  const uint64_t written = counters().cluster_pages;
  const uint64_t clean = counters().freed_clean;
  EXPECT_EQ(space.ReadAll(), kSixty);
  EXPECT_EQ(counters().cluster_pages, written);
  EXPECT_GT(counters().freed_clean, clean);
}

TEST_F(PageDaemonTest, WhatWasWrittenAgainIsWrittenOutAgain) {
  Space space = NewSpace(kSixty);
  EXPECT_EQ(space.ReadAll(), kSixty);
  std::string other(60, 'z');
  space.Write(other);
  EXPECT_EQ(space.ReadAll(), other);
}

TEST_F(PageDaemonTest, WiredPagesStay) {
  Space space = NewSpace("wwww........");
  space.Wire(0, 4);
  Space other = NewSpace(kSixty);
  Squeeze();
  EXPECT_EQ(Frames(space), "abcd........");
  EXPECT_EQ(Contents(space), "wwww........");
  EXPECT_EQ(other.ReadAll(), kSixty);
  space.Unwire(0, 4);
  EXPECT_EQ(other.ReadAll(), kSixty);
  EXPECT_EQ(space.Read("xxxx"), "wwww");
}

TEST_F(PageDaemonTest, LentPagesStay) {
  Space space = NewSpace("lmn");
  Loan loan = space.Lend(0, 3);
  Space other = NewSpace(kSixty);
  Squeeze();
  EXPECT_EQ(Frames(space), "abc");
  EXPECT_EQ(Contents(loan), "lmn");
  Return(&loan);
  EXPECT_EQ(other.ReadAll(), kSixty);
  EXPECT_EQ(space.ReadAll(), "lmn");
}

TEST_F(PageDaemonTest, BusyPagesStay) {
  Space space = NewSpace("b");
  StopChecking();  // a page is busy from here on
  Page* page = ResidentAt(space, 0);
  page->busy = BusyReason::kPageout;
  Space other = NewSpace(kSixty);
  for (int i = 0; i < 20; ++i) daemon().RunOnce();
  EXPECT_EQ(ResidentAt(space, 0), page);
  EXPECT_EQ(page->busy, BusyReason::kPageout);
  EXPECT_GT(counters().busy, 0u);
  page->busy = BusyReason::kNotBusy;
  uvm().DebugPages().Wakeup(page);
  EXPECT_EQ(space.ReadAll(), "b");
  EXPECT_EQ(other.ReadAll(), kSixty);
}

TEST_F(PageDaemonTest, SharedAndCopiedPagesGoAndComeBack) {
  Space parent = NewSpace("abcdefgh");
  parent.SetInherit(0, 4, Inherit::kShare);
  Space child = parent.Fork();
  child.Write("...x..y.");
  Space other = NewSpace(kSixty);
  Squeeze();
  EXPECT_EQ(parent.ReadAll(), "abcxefgh");
  EXPECT_EQ(child.ReadAll(), "abcxefyh");
  EXPECT_EQ(other.ReadAll(), kSixty);
}

TEST_F(PageDaemonTest, PagesOfFilesGoToTheirPagerWithTheirNeighbours) {
  Object* file = File(7);
  Space space = NewSpace("..........");
  space.Map({.at = 0, .pages = 9, .sharing = Sharing::kShared, .file = file});
  space.Write("abcdefghi");
  const uint64_t puts = uvm().counters().pager_put;
  Space other = NewSpace(kSixty);
  Squeeze();
  EXPECT_EQ(other.ReadAll(), kSixty);
  EXPECT_GE(uvm().counters().pager_put - puts, 9u);
  EXPECT_LE(counters().pager_puts, 40u);
  EXPECT_EQ(space.Read("xxxxxxxxx"), "abcdefghi");
}

TEST_F(PageDaemonTest, AnonymousObjectsGoAndComeBack) {
  Result<Object*, MapError> made = uvm().CreateAobj(60 * base::kPageSize, 0);
  ASSERT_TRUE(made.ok());
  Space space = NewSpace(std::string(60, '.'));
  space.Map({.at = 0, .pages = 60, .sharing = Sharing::kShared, .file = made.value()});
  uvm().ReleaseObject(made.value());
  space.Write(kSixty);
  EXPECT_EQ(space.ReadAll(), kSixty);
  EXPECT_EQ(Contents(space), kSixty);
  EXPECT_GT(swap().only_on_swap(), PageCount(20));
}

// ---- Failed writes ----

TEST_F(PageDaemonTest, AFailedWriteLosesNothing) {
  Space space = NewSpace("abcdefghijklmnopqrstuvwxyzABCDE");
  device_.FailWrites(SwapResult::kIo);
  for (int i = 0; i < 4; ++i) daemon().RunOnce();
  CheckInvariants();
  bad_ = counters().write_errors;
  EXPECT_GT(bad_, 0u);
  EXPECT_EQ(swap().in_use(), PageCount(bad_)) << "bad slots stay taken, and are nobody's";
  EXPECT_EQ(swap().only_on_swap(), PageCount(0));
  EXPECT_EQ(Contents(space), "abcdefghijklmnopqrstuvwxyzABCDE");
  device_.FailWrites(SwapResult::kOk);
  Space other = NewSpace("zyxwvutsrqponmlkjihgfedcbaZYXW");
  EXPECT_EQ(space.ReadAll(), "abcdefghijklmnopqrstuvwxyzABCDE");
  EXPECT_EQ(other.ReadAll(), "zyxwvutsrqponmlkjihgfedcbaZYXW");
}

TEST_F(PageDaemonTest, ADeviceWithoutMemoryCostsNoSlots) {
  Space space = NewSpace("abcdefghijklmnopqrstuvwxyzABCDE");
  device_.FailWrites(SwapResult::kNoMemory);
  Squeeze();
  EXPECT_GT(counters().write_shortages, 0u);
  EXPECT_EQ(swap().in_use(), PageCount(0));
  EXPECT_EQ(Contents(space), "abcdefghijklmnopqrstuvwxyzABCDE");
  device_.FailWrites(SwapResult::kOk);
  Space other = NewSpace("zyxwvutsrqponmlkjihgfedcbaZYXW");
  EXPECT_EQ(space.ReadAll(), "abcdefghijklmnopqrstuvwxyzABCDE");
  EXPECT_EQ(other.ReadAll(), "zyxwvutsrqponmlkjihgfedcbaZYXW");
}

// However long it is away: no slot is spoilt, and after it is back the next round uses it again.
TEST_F(PageDaemonTest, ADeviceThatIsAwayCostsNoSlotsHoweverLong) {
  Space space = NewSpace("abcdefghijklmnopqrstuvwxyzABCDE");
  device_.FailWrites(SwapResult::kAway);
  for (int i = 0; i < 1000; ++i) daemon().RunOnce();
  EXPECT_GT(counters().write_refusals, 0u);
  EXPECT_EQ(counters().write_errors, 0u);
  EXPECT_EQ(swap().DebugBad(), PageCount(0));
  EXPECT_EQ(swap().in_use(), PageCount(0));
  EXPECT_EQ(Contents(space), "abcdefghijklmnopqrstuvwxyzABCDE");
  device_.FailWrites(SwapResult::kOk);
  Space other = NewSpace("zyxwvutsrqponmlkjihgfedcbaZYXW");
  EXPECT_EQ(space.ReadAll(), "abcdefghijklmnopqrstuvwxyzABCDE");
  EXPECT_EQ(other.ReadAll(), "zyxwvutsrqponmlkjihgfedcbaZYXW");
}

// Nobody waits for frames, so it is asked ever more seldom; the virtual clock stands still here.
TEST_F(PageDaemonTest, ADeviceThatIsAwayIsNotAskedAllTheTime) {
  Space space = NewSpace("abcdefghijklmnopqrstuvwxyz");
  device_.FailWrites(SwapResult::kAway);
  for (int i = 0; i < 1000; ++i) daemon().RunOnce();
  EXPECT_LT(device_.writes().size(), 20u);
  EXPECT_EQ(Contents(space), "abcdefghijklmnopqrstuvwxyz");
}

// Who needs a frame has it asked once a round, and is told in the end that there is none.
TEST_F(PageDaemonTest, WhileADeviceIsAwayMemoryMayBeExhausted) {
  device_.FailWrites(SwapResult::kAway);
  Space space = NewSpace("................................................");
  space.Map({.at = 0, .pages = 48});
  std::string outcome;
  uint64_t page = 0;
  while (page < 48 && (outcome = AccessPage(space, page, Access::kWrite, 'q')) == "ok") ++page;
  EXPECT_EQ(outcome, "no_memory");
  EXPECT_EQ(counters().refused_slots, 0u);
  EXPECT_LT(device_.writes().size(), 20u);
  device_.FailWrites(SwapResult::kOk);
  EXPECT_EQ(AccessPage(space, page, Access::kWrite, 'q'), "ok");
  EXPECT_EQ(swap().DebugBad(), PageCount(0));
  EXPECT_EQ(space.Read(std::string(page, 'x')), std::string(page, 'q'));
}

// facts/uvm.md 5.B' N4: bad slots never counted as full, so that a fault waited for ever.
TEST_F(PageDaemonTest, WhenEveryWriteFailsMemoryIsExhaustedSomeTime) {
  device_.FailWrites(SwapResult::kIo);
  Space space = NewSpace("................................................");
  space.Map({.at = 0, .pages = 48});
  std::string outcome;
  uint64_t page = 0;
  while (page < 48 && (outcome = AccessPage(space, page, Access::kWrite, 'q')) == "ok") ++page;
  EXPECT_EQ(outcome, "no_memory");
  EXPECT_GE(page, kFrames - 4);
  EXPECT_EQ(space.Read(std::string(page, 'x')), std::string(page, 'q'));
  bad_ = counters().write_errors;
}

// A file's page that cannot be written stays as it is (facts/uvm.md 5.A 11: the error path let go
// of the wrong page).
TEST_F(PageDaemonTest, AFilesPageThatCannotBeWrittenStays) {
  FailingStore store;
  Result<Object*, MapError> object = uvm().CreateStoredObject(&store, 5);
  ASSERT_TRUE(object.ok());
  const std::string letters = "abcdefghijklmnopqrst";
  Space space = NewSpace(std::string(20, '.'));
  space.Map({.at = 0, .pages = 20, .sharing = Sharing::kShared, .file = object.value()});
  space.Write(letters);
  store.fails = true;
  Space other = NewSpace("ABCDEFGHIJKLMNOPQRST");
  EXPECT_EQ(other.ReadAll(), "ABCDEFGHIJKLMNOPQRST");
  EXPECT_GT(store.writes, 0u);
  EXPECT_EQ(Contents(space), letters) << "all in memory";
  store.fails = false;
  EXPECT_EQ(space.ReadAll(), letters);
  EXPECT_EQ(other.ReadAll(), "ABCDEFGHIJKLMNOPQRST");
  EXPECT_EQ(space.ReadAll(), letters);
  space.Exit();
  uvm().ReleaseObject(object.value());
}

// ---- While a write is under way ----

// facts/uvm.md 5.B 12: the count of pages on swap only went below zero. 5.A 13: what was released
// and what is to be freed were taken for each other.
TEST_F(PageDaemonTest, ASpaceMayEndWhileItsPagesAreBeingWritten) {
  Space space = NewSpace("abcdefghijklmnopqrstuvwxyzABCDE");
  bool ended = false;
  device_.DuringNextWrite([&] {
    EXPECT_GT(daemon().paging(), PageCount(0));
    CheckInvariants();
    uvm().FreeSpace(space.get());
    ended = true;
    EXPECT_EQ(swap().only_on_swap(), PageCount(0));
    char wrong[200];
    base::TextSink text(wrong, sizeof wrong);
    EXPECT_TRUE(swap().Valid(&text)) << wrong;  // nor was it less for a moment
  });
  StopChecking();  // anons that end with the write are in no amap
  for (int i = 0; i < 6; ++i) daemon().RunOnce();
  EXPECT_TRUE(ended);
  EXPECT_EQ(swap().in_use(), PageCount(0));
  EXPECT_EQ(uvm().DebugAnons().live(), 0u);
  EXPECT_EQ(Violation(), "");
}

TEST_F(PageDaemonTest, TheSameWhenTheWriteFails) {
  Space space = NewSpace("abcdefghijklmnopqrstuvwxyzABCDE");
  device_.FailWrites(SwapResult::kIo);
  device_.DuringNextWrite([&] { uvm().FreeSpace(space.get()); });
  StopChecking();
  for (int i = 0; i < 6; ++i) daemon().RunOnce();
  bad_ = counters().write_errors;
  EXPECT_GT(bad_, 0u);
  EXPECT_EQ(swap().in_use(), PageCount(bad_));
  EXPECT_EQ(uvm().DebugAnons().live(), 0u);
}

TEST_F(PageDaemonTest, AChildMayBeForkedWhileAPageIsBeingWritten) {
  Space space = NewSpace("abcdefghijklmnopqrstuvwxyzABCDE");
  Space child = space;
  device_.DuringNextWrite([&] {
    Result<uvm::Space*, MapError> forked = uvm().ForkSpace(space.get());
    ASSERT_TRUE(forked.ok());
    child = Space(this, forked.value(), space.pages());
  });
  for (int i = 0; i < 6; ++i) daemon().RunOnce();
  space.Write("ZZZZ...........................");
  EXPECT_EQ(child.ReadAll(), "abcdefghijklmnopqrstuvwxyzABCDE");
  EXPECT_EQ(space.ReadAll(), "ZZZZefghijklmnopqrstuvwxyzABCDE");
}

// ---- Too little ----

class LittleSwapTest : public PageDaemonTest {
 protected:
  LittleSwapTest() : PageDaemonTest(8) {}
};

TEST_F(LittleSwapTest, WhoFindsNoMemoryIsToldAndNobodyElseSuffers) {
  Space space = NewSpace("abcdefgh");
  Space greedy = NewSpace(std::string(60, '0'));
  uint64_t page = 0;
  std::string outcome;
  while (page < 60 && (outcome = AccessPage(greedy, page, Access::kWrite, 'q')) == "ok") ++page;
  EXPECT_EQ(outcome, "no_memory");
  EXPECT_GE(page, kFrames - 8 - 2);
  EXPECT_EQ(counters().out_of_memory, 1u);
  EXPECT_EQ(Contents(space), "abcdefgh");
  EXPECT_EQ(Contents(greedy), std::string(page, 'q') + std::string(60 - page, '0'));
  greedy.Exit();
  EXPECT_EQ(space.ReadAll(), "abcdefgh");
  space.Write("hgfedcba");
  EXPECT_EQ(space.ReadAll(), "hgfedcba");
}

// facts/uvm.md 5.B' N6: a fault on an object waited for ever.
TEST_F(LittleSwapTest, ObjectsRunOutOfMemory) {
  Result<Object*, MapError> made = uvm().CreateAobj(60 * base::kPageSize, 0);
  ASSERT_TRUE(made.ok());
  Space space = NewSpace(std::string(60, '.'));
  space.Map({.at = 0, .pages = 60, .sharing = Sharing::kShared, .file = made.value()});
  uvm().ReleaseObject(made.value());
  uint64_t page = 0;
  std::string outcome;
  while (page < 60 && (outcome = AccessPage(space, page, Access::kWrite, 'q')) == "ok") ++page;
  EXPECT_EQ(outcome, "no_memory");
  EXPECT_EQ(Contents(space), std::string(page, 'q') + std::string(60 - page, '0'));
}

// facts/uvm.md 5.A 7: the daemon went round for ever; 5.A 8: nobody was killed, everybody hung.
TEST_F(LittleSwapTest, WithNothingToTakeWaitingEndsAtOnce) {
  Space space = NewSpace(std::string(kFrames - 2, 'w'));
  space.Wire(0, kFrames - 2);
  Space other = NewSpace("00000000000000");
  uint64_t page = 0;
  while (page < 14 && AccessPage(other, page, Access::kWrite, 'x') == "ok") ++page;
  EXPECT_LT(page, 14u) << "two frames, eight slots";
  const uint64_t rounds = counters().rounds;
  EXPECT_EQ(other.Touch(13, Access::kWrite), "no_memory");
  EXPECT_LE(counters().rounds - rounds, 20u);
  space.Unwire(0, kFrames - 2);
  space.Unmap(0, 4);
  EXPECT_EQ(other.Touch(13, Access::kWrite), "ok");
}

// All slots are taken, but by pages that are in memory as well: theirs go to others (5.A 8).
TEST_F(LittleSwapTest, SlotsOfPagesInMemoryAreFreedForOthers) {
  Space space = NewSpace(std::string(38, 'a'));
  const uint64_t before = counters().dropped_slots;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(space.ReadAll(), std::string(38, 'a'));
    space.Write(std::string(38, 'a'));
  }
  EXPECT_GE(counters().dropped_slots, before);
  EXPECT_LE(swap().in_use(), PageCount(8));
}

TEST(PageDaemonWithoutSwapTest, NothingIsReclaimableAndNobodyWaits) {
  World world(16);
  PageDaemon& daemon = world.uvm().pagedaemon();
  EXPECT_FALSE(daemon.Reclaimable());
  EXPECT_TRUE(daemon.WaitForFrames()) << "there are frames enough";
  Space space = world.NewSpace(std::string(20, '0'));
  uint64_t page = 0;
  while (page < 20 && space.Touch(page, Access::kWrite) == "ok") ++page;
  EXPECT_EQ(page, 16u) << "every frame can be used";
  EXPECT_FALSE(daemon.WaitForFrames());
  EXPECT_EQ(daemon.counters().rounds, 0u);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

// With a daemon's thread pages of files can go without any swap.
TEST(PageDaemonWithoutSwapTest, FilePagesAreReclaimable) {
  BatonThreads threads;
  World world(16, &threads);
  world.ForgetAtRandom(1, uint64_t{1} << 40);
  PageDaemon& daemon = world.uvm().pagedaemon();
  Object* file = world.File(3);
  Space space = world.NewSpace(std::string(36, '.'));
  for (uint64_t i = 0; i < 4; ++i) space.Map({.at = i * 9, .pages = 9, .file = file});
  Space own = world.NewSpace("00000000");
  bool done = false;
  threads.Add([&] {
    while (!done) daemon.Serve();
    daemon.StopServing();
  });
  threads.Add([&] {
    for (int i = 0; i < 3; ++i) {
      own.Write("abcdefgh");
      EXPECT_EQ(space.Read("xxxxxxxxx"), "123456789");
      EXPECT_EQ(own.Read("xxxxxxxx"), "abcdefgh");
    }
    done = true;
    daemon.Kick();
  });
  threads.Run();
  EXPECT_GT(world.uvm().counters().pager_freed, 0u);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

// ---- Thresholds ----

TEST(PageDaemonThresholdsTest, AreTheOriginalsOnMachinesThatAreLargeEnough) {
  auto of = [](uint64_t frames, uint32_t processors, uint64_t reserve) {
    const PageDaemon::Thresholds t =
        PageDaemon::ThresholdsFor(PageCount(frames), processors, PageCount(reserve));
    return std::to_string(t.free_min) + " " + std::to_string(t.free_target) + " " +
           std::to_string(t.scan_target);
  };
  EXPECT_EQ(of(1024, 1, 5), "32 42 168") << "128 KiB";
  EXPECT_EQ(of(10000, 1, 5), "50 66 264") << "1/200";
  EXPECT_EQ(of(1000000, 1, 5), "256 341 1364") << "1 MiB";
  EXPECT_EQ(of(1000000, 4, 20), "1024 1365 5460") << "for each processor";
  EXPECT_EQ(of(160, 1, 0), "10 13 52") << "a sixteenth of a small machine";
  EXPECT_EQ(of(16, 1, 0), "1 2 8");
  EXPECT_EQ(of(48, 1, 0), "3 4 17") << "a window of a pager at least";
  EXPECT_EQ(of(16, 1, 5), "6 8 8") << "never below the reserve";
  EXPECT_EQ(of(80, 1, 5), "6 8 32") << "nor at it";
}

}  // namespace
}  // namespace uvm::testing
