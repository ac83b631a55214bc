// Who waits for frames, and for how many: a device whose transfers end in a thread of its own, and
// lists of frames that are wanted at once.

#include <string>

#include "base/addr.h"
#include "base/list.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/page.h"
#include "uvm/pdaemon.h"
#include "uvm/pglist.h"
#include "uvm/swap.h"
#include "uvm/swap_device.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kFrames = 128;

std::string Letters(uint64_t pages) {
  std::string letters;
  for (uint64_t i = 0; i < pages; ++i) letters += static_cast<char>('a' + i % 26);
  return letters;
}

// Keeps transfers for a thread that passes them on.
class DeviceWithAThread final : public SwapDevice {
 public:
  DeviceWithAThread(ThreadSystem* threads, SwapDevice* below) : threads_(threads), below_(below) {}

  // The thread's program.
  void Serve() {
    while (!ended_) {
      if (SwapTransfer* transfer = queue_.PopFront(); transfer != nullptr) {
        ++served_;
        below_->Start(transfer);
      } else {
        idle_ = threads_->Self();
        threads_->Park();
      }
    }
  }
  void End() {
    ended_ = true;
    Wake();
  }
  uint64_t served() const { return served_; }

  base::PageCount size() const override { return below_->size(); }
  void Start(SwapTransfer* transfer) override {
    queue_.PushBack(transfer);
    Wake();
  }

 private:
  void Wake() {
    Thread* idle = idle_;
    idle_ = nullptr;
    if (idle != nullptr) threads_->Unpark(idle);
  }

  ThreadSystem* const threads_;
  SwapDevice* const below_;
  base::List<SwapTransfer, &SwapTransfer::device_link> queue_;
  Thread* idle_ = nullptr;
  bool ended_ = false;
  uint64_t served_ = 0;
};

TEST(PageDaemonWaitTest, WhoStandsInForTheDaemonWaitsForADeviceWithAThread) {
  BatonThreads threads;
  World world(Pressure{.frames = kFrames, .swap_pages = 512}, &threads);
  world.StopChecking();
  DeviceWithAThread device(&threads, world.swap_device());
  ASSERT_TRUE(world.uvm().SwapOff(world.swap_fault()).ok());
  ASSERT_TRUE(world.uvm().swap().On(&device, 0).ok());
  threads.Add([&] {
    const std::string letters = Letters(2 * kFrames);
    Space space = world.NewSpace(letters);
    EXPECT_EQ(space.ReadAll(), letters);
    space.Exit();
    device.End();
  });
  threads.Add([&] { device.Serve(); });
  threads.Run();
  EXPECT_GT(device.served(), kFrames / 16);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

class ManyFramesTest : public ::testing::Test, public World {
 protected:
  ManyFramesTest() : World(Pressure{.frames = kFrames, .swap_pages = 512}) {}
  void TearDown() override { EXPECT_EQ(TearDownAndFindLeaks(), ""); }
  // How many frames came; none: refused.
  uint64_t Take(uint64_t pages, PageLists::MayWait may_wait) {
    const auto runs = static_cast<uint32_t>(pages);
    const PageListRequest request = {.bytes = pages * base::kPageSize, .runs = runs};
    if (!uvm().page_lists().Allocate(request, may_wait, &list_).ok()) return 0;
    const uint64_t came = list_.size();
    CheckInvariants();
    uvm().page_lists().Free(&list_);
    return came;
  }

  PageList list_;
};

TEST_F(ManyFramesTest, MoreThanTheDaemonKeepsFreeAreWaitedFor) {
  const std::string letters = Letters(2 * kFrames);
  Space space = NewSpace(letters);
  const uint64_t most = kFrames * 3 / 4;
  ASSERT_GT(most, uvm().pagedaemon().thresholds().scan_target);
  EXPECT_EQ(Take(most, PageLists::MayWait::kNo), 0u);
  EXPECT_EQ(Take(most, PageLists::MayWait::kYes), most);
  EXPECT_EQ(space.ReadAll(), letters);
}

TEST_F(ManyFramesTest, WaitingEndsWhenNoMoreCanBeHad) {
  const std::string letters = Letters(2 * kFrames);
  Space space = NewSpace(letters);
  Loan loan = space.Lend(0, kFrames / 2);
  EXPECT_EQ(Take(kFrames * 3 / 4, PageLists::MayWait::kYes), 0u);
  EXPECT_EQ(space.ReadAll(), letters);
  Return(&loan);
  EXPECT_EQ(Take(kFrames * 3 / 4, PageLists::MayWait::kYes), kFrames * 3 / 4);
}

// Nobody else may ask for a frame for a long time.
TEST(PageListsKickTest, WhoTakesTheLastFramesWakesTheDaemon) {
  BatonThreads threads;
  World world(Pressure{.frames = kFrames, .swap_pages = 512}, &threads);
  world.StopChecking();
  PageDaemon& daemon = world.uvm().pagedaemon();
  PageStore& pages = world.uvm().DebugPages();
  bool ended = false;
  threads.Add([&] {
    while (!ended) daemon.Serve();
    daemon.StopServing();
  });
  threads.Add([&] {
    Space space = world.NewSpace(Letters(kFrames / 2));
    PageList list;
    const uint64_t count = pages.free_count().value() - 2;
    const PageListRequest request = {.bytes = count * base::kPageSize,
                                     .runs = static_cast<uint32_t>(count)};
    EXPECT_TRUE(world.uvm().page_lists().Allocate(request, PageLists::MayWait::kNo, &list).ok());
    EXPECT_EQ(pages.free_count(), PageCount(2));
    const uint64_t rounds = daemon.counters().rounds;
    for (int i = 0; i < 100; ++i) threads.Yield();
    EXPECT_GT(daemon.counters().rounds, rounds);
    world.uvm().page_lists().Free(&list);
    space.Exit();
    ended = true;
    daemon.Kick();
  });
  threads.Run();
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

}  // namespace
}  // namespace uvm::testing
