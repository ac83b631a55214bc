// The page daemon's rules, one by one: what becomes of each sort of page, of failed writes, of who
// waits. Contents are the picture; numbers come from the daemon's counters.

#include "uvm/pdaemon.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "uvm/swap.h"
#include "uvm/swap_device.h"
#include "uvm/testing/fake_threads.h"
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
  Squeeze();
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

}  // namespace
}  // namespace uvm::testing
