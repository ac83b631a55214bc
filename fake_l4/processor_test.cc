// Several processors: clocks, migration, messages and revocations that cross.
#include <l4/arch.h>
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <string>

#include "base/addr.h"
#include "fake_l4/kernel.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;
constexpr L4_Word_t kKeep = ~L4_Word_t{0};
constexpr L4_Word_t kCrossTag = 1u << 14;

class ProcessorTest : public ::testing::Test {
 protected:
  explicit ProcessorTest(uint32_t processors = 2)
      : world_({.ram_bytes = uint64_t{4} << 20, .processors = processors}) {}

  L4_ThreadId_t SpawnOn(uint32_t processor, std::function<void()> body, bool new_space = false,
                        L4_ThreadId_t pager = {0}) {
    return world_.kernel().Boot(
        {.entry = std::move(body), .new_space = new_space, .pager = pager, .processor = processor});
  }
  void Compute(uint64_t us) {
    const uint64_t end = L4_SystemClock().raw + us;
    while (L4_SystemClock().raw < end) continue;
  }
  void Run() { ASSERT_TRUE(world_.Run()) << world_.problem(); }
  const CostsNs& costs() { return world_.kernel().profile().costs; }

  World world_;
};

TEST_F(ProcessorTest, ProcessorsComputeAtTheSameTime) {
  uint64_t ends[2] = {};
  for (uint32_t p : {0, 1}) {
    SpawnOn(p, [&, p] {
      Compute(5000);
      ends[p] = L4_SystemClock().raw;
    });
  }
  Run();
  for (const uint64_t end : ends) {
    EXPECT_GE(end, 5000u);
    EXPECT_LE(end, 5100u);
  }
  EXPECT_LE(world_.kernel().now_ns(), 5'100'000u);
}

TEST_F(ProcessorTest, TheOneFurthestBehindGoesOnNext) {
  std::string order;
  SpawnOn(0, [&] {
    for (int i = 0; i < 3; i++) {
      order += 'a';
      Compute(20);
    }
  });
  SpawnOn(1, [&] {
    for (int i = 0; i < 6; i++) {
      order += 'b';
      Compute(10);
    }
  });
  Run();
  // Twice as many b as a all along.
  for (size_t n = 3; n <= order.size(); n += 3) {
    EXPECT_EQ(std::count(order.begin(), order.begin() + n, 'a'), n / 3) << order;
  }
}

TEST_F(ProcessorTest, APreemptionIsNoBusinessOfOtherProcessors) {
  std::string order;
  const L4_ThreadId_t urgent = world_.kernel().Boot({.entry =
                                                         [&] {
                                                           L4_Receive(L4_anythread);
                                                           order += 'u';
                                                         },
                                                     .priority = 200,
                                                     .processor = 1});
  SpawnOn(0, [&] {
    Compute(100);
    L4_LoadMR(0, 0);
    L4_Send(urgent);
    order += 'a';
  });
  Run();
  EXPECT_EQ(order, "au");
}

// ---- Messages ----

TEST_F(ProcessorTest, AMessageBetweenProcessorsSaysSoAndCostsMore) {
  uint64_t arrival_us = 0, sent_us = 0;
  const L4_ThreadId_t receiver = SpawnOn(1, [&] {
    const L4_MsgTag_t tag = L4_Receive(L4_anythread);
    EXPECT_EQ(tag.raw & kCrossTag, kCrossTag);
    arrival_us = L4_SystemClock().raw;
  });
  SpawnOn(0, [&] {
    Compute(1000);
    L4_LoadMR(0, 0);
    const L4_MsgTag_t tag = L4_Send(receiver);
    EXPECT_EQ(tag.raw & kCrossTag, 0u);
    sent_us = L4_SystemClock().raw;
  });
  Run();
  // The receiver's processor had nothing to do before.
  EXPECT_GE(arrival_us, 1000u + costs().cross_processor_ipc / 1000);
  EXPECT_GE(sent_us, 1000u + costs().cross_processor_ipc / 1000);
}

TEST_F(ProcessorTest, AMessageOnOneProcessorDoesNot) {
  const L4_ThreadId_t receiver =
      SpawnOn(1, [&] { EXPECT_EQ(L4_Receive(L4_anythread).raw & kCrossTag, 0u); });
  SpawnOn(1, [&] {
    L4_LoadMR(0, 0);
    L4_Send(receiver);
  });
  Run();
}

TEST_F(ProcessorTest, NothingIsReceivedBeforeItWasSent) {
  uint64_t received_us = 0;
  L4_ThreadId_t receiver;
  // The sender waits in its queue from five milliseconds on.
  SpawnOn(0, [&] {
    Compute(5000);
    L4_LoadMR(0, 0);
    L4_Send(receiver);
  });
  receiver = SpawnOn(1, [&] {
    Compute(2000);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Receive(L4_anythread)));
    received_us = L4_SystemClock().raw;
  });
  Run();
  EXPECT_GE(received_us, 5000u);
}

TEST_F(ProcessorTest, ATimeoutFiresWhenItIsDueThere) {
  uint64_t woken_us = 0;
  SpawnOn(1, [&] {
    L4_Receive_Timeout(L4_anythread, L4_TimePeriod(300));
    woken_us = L4_SystemClock().raw;
  });
  SpawnOn(0, [&] { Compute(10000); });
  Run();
  EXPECT_NEAR(static_cast<double>(woken_us), 300, 5);
}

// ---- Where threads run ----

TEST_F(ProcessorTest, AThreadMigratesAndItsTcrSaysWhere) {
  uint64_t there_us = 0;
  SpawnOn(0, [&] {
    EXPECT_EQ(__l4_utcb()->processor_no, 0u);
    Compute(100);
    L4_Word_t old;
    EXPECT_EQ(L4_Schedule(L4_Myself(), kKeep, 1, kKeep, kKeep, &old), L4_SCHEDRESULT_RUNNING);
    EXPECT_EQ(__l4_utcb()->processor_no, 1u);
    there_us = L4_SystemClock().raw;
    EXPECT_EQ(L4_Schedule(L4_Myself(), kKeep, 2, kKeep, kKeep, &old), L4_SCHEDRESULT_ERROR);
    EXPECT_EQ(L4_ErrorCode(), 5u);
  });
  Run();
  EXPECT_GE(there_us, 100u);
}

TEST_F(ProcessorTest, AThreadThatMigratesTakesItsNewTimeAlong) {
  SpawnOn(0, [&] {
    Compute(2000);
    const L4_Word_t slice = L4_TimePeriod(1000).raw, quantum = L4_TimePeriod(900).raw;
    L4_Word_t old;
    L4_Schedule(L4_Myself(), slice << 16 | quantum, 1, kKeep, kKeep, &old);
    L4_Schedule(L4_Myself(), kKeep, kKeep, kKeep, kKeep, &old);
    EXPECT_NEAR(static_cast<double>(old >> 16), static_cast<double>(slice), 10);
    EXPECT_NEAR(static_cast<double>(old & 0xffff), static_cast<double>(quantum), 10);
  });
  Run();
}

TEST_F(ProcessorTest, AMigratedThreadDoesNotRunBeforeItWasSentThere) {
  uint64_t began = 0;
  L4_ThreadId_t mover = SpawnOn(0, [] {});
  L4_ThreadId_t moved = {0};
  mover = SpawnOn(0, [&] {
    Compute(5000);
    L4_Word_t old;
    EXPECT_NE(L4_Schedule(moved, kKeep, 1, kKeep, kKeep, &old), 0u);
  });
  moved = SpawnOn(0, [&] { began = L4_SystemClock().raw; });
  Run();
  EXPECT_GE(began, 5000u);
}

TEST_F(ProcessorTest, ANewThreadStartsWhereItsCreatorRuns) {
  const L4_ThreadId_t child = L4_GlobalId(500, 1);
  uint64_t processor = 99;
  world_.kernel().RegisterEntry(0x300000, [&] { processor = __l4_utcb()->processor_no; });
  SpawnOn(1, [&] {
    const auto utcb = L4_Word_t{Kernel::Current()->root_utcb_area()} + 64 * 1024;
    ASSERT_EQ(L4_ThreadControl(child, L4_Myself(), L4_Myself(), L4_Myself(),
                               reinterpret_cast<void*>(utcb)),
              1u);
    L4_LoadMR(0, L4_MakeMsgTag(0, 2, 0).raw);
    L4_LoadMR(1, 0x300000);
    L4_LoadMR(2, 0);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Send(child)));
  });
  Run();
  EXPECT_EQ(processor, 1u);
}

TEST_F(ProcessorTest, ThreadSwitchToAnotherProcessorIsAYield) {
  std::string order;
  const L4_ThreadId_t far = SpawnOn(1, [&] { order += 'f'; });
  SpawnOn(0, [&] {
    Compute(10);
    L4_ThreadSwitch(far);
    order += 'a';
  });
  SpawnOn(0, [&] { order += 'b'; });
  Run();
  EXPECT_EQ(order, "fba");
}

// ---- Translations ----

class ShootDownTest : public ProcessorTest {
 protected:
  ShootDownTest() : ProcessorTest(4) {}

  // A page of root's, mapped into a space whose threads on processors 1 .. `readers` read it; then
  // root takes it back. Returns what the taking back cost in ns.
  uint64_t UnmapCost(uint32_t readers) {
    uint64_t before = 0, after = 0;
    const L4_ThreadId_t first = SpawnOn(
        1,
        [&] {
          L4_Accept(L4_MapGrantItems(L4_CompleteAddressSpace));
          L4_ThreadId_t from;
          L4_Wait(&from);
          Read();
          L4_Receive(L4_anythread);
        },
        true);
    for (uint32_t p = 2; p <= readers; p++) {
      world_.kernel().Boot({.entry =
                                [&] {
                                  Compute(1000);
                                  Read();
                                },
                            .space = world_.SpaceOf(first),
                            .processor = p});
    }
    SpawnOn(0, [&] {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12));
      EXPECT_TRUE(L4_IpcSucceeded(SendMap(first, Page(kRam, kRwx), kRam)));
      Compute(5000);
      before = world_.kernel().now_ns();
      L4_UnmapFpage(Page(kRam, kRwx));
      after = world_.kernel().now_ns();
    });
    Run();
    return after - before;
  }
  void Read() {
    char byte;
    EXPECT_EQ(world_.kernel().cpu().Load(base::Vaddr(kRam), &byte, 1), AccessStatus::kOk);
  }
};

TEST_F(ShootDownTest, CostsForEachProcessorThatHasTheTranslation) {
  const uint64_t one = UnmapCost(1);
  EXPECT_EQ(world_.kernel().ledger().shoot_downs, 1u);
  world_.Reset();
  const uint64_t three = UnmapCost(3);
  EXPECT_EQ(world_.kernel().ledger().shoot_downs, 3u);
  EXPECT_EQ(three - one, 2u * costs().shoot_down);
}

TEST_F(ShootDownTest, CostsTheSameAfterReset) {
  const uint64_t cost = UnmapCost(3);
  world_.Reset();
  EXPECT_EQ(UnmapCost(3), cost);
  EXPECT_EQ(world_.kernel().ledger().shoot_downs, 3u);
}

TEST_F(ProcessorTest, ARevokedPageFaultsOnTheOtherProcessor) {
  int faults = 0;
  uint64_t seen[2] = {};
  const L4_ThreadId_t reader = SpawnOn(
      1,
      [&] {
        L4_Accept(L4_MapGrantItems(L4_CompleteAddressSpace));
        L4_ThreadId_t from;
        L4_Wait(&from);
        for (uint64_t& word : seen) {
          EXPECT_EQ(world_.kernel().cpu().Load(base::Vaddr(kRam), &word, 8), AccessStatus::kOk);
          Compute(1000);
        }
      },
      true);
  // Its pager, which then maps another page.
  world_.kernel().RegisterEntry(Kernel::kRootEntry, [&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 13));
    for (uint64_t i = 0; i < 2; i++) {
      const uint64_t word = 7 + i;
      EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(kRam + i * 4096), &word, 8),
                AccessStatus::kOk);
    }
    EXPECT_TRUE(L4_IpcSucceeded(SendMap(reader, Page(kRam, kRwx), kRam)));
    Compute(500);
    L4_UnmapFpage(Page(kRam, kRwx));
    L4_ThreadId_t from;
    while (L4_IpcSucceeded(L4_Wait_Timeout(L4_TimePeriod(5000), &from))) {
      faults++;
      EXPECT_TRUE(L4_IpcSucceeded(SendMap(from, Page(kRam + 4096, kRwx), kRam)));
    }
  });
  Run();
  EXPECT_EQ(faults, 1);
  EXPECT_EQ(seen[0], 7u);
  EXPECT_EQ(seen[1], 8u);
}

// ---- One processor ----

TEST(OneProcessorTest, PaysNothingForTheOthers) {
  World world;
  const L4_ThreadId_t receiver = world.Spawn([] { L4_Receive(L4_anythread); });
  world.Spawn([receiver] {
    L4_LoadMR(0, 0);
    L4_Send(receiver);
  });
  ASSERT_TRUE(world.Run());
  EXPECT_EQ(world.kernel().ledger().shoot_downs, 0u);
  EXPECT_LT(world.kernel().now_ns(),
            uint64_t{world.kernel().profile().costs.cross_processor_ipc} * 3);
}

}  // namespace
}  // namespace fake_l4
