// Each site: it fires when it is told to, with its effect, and is logged; the same plan gives the
// same log; without a plan nothing happens and nothing is counted.
#include "fake_l4/fault_injection.h"

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;
constexpr uint64_t kPage = 4096;

// ---- Who fires ----

FaultInjection::Scene NoScene(const void*) { return {7, 8}; }

std::string Visits(FaultInjection* faults, FaultSite site, int count) {
  std::string text;
  for (int i = 0; i < count; i++) text += faults->Fires(site) ? 'F' : '.';
  return text;
}

TEST(FaultInjectionTest, AnEmptyPlanIsOff) {
  FaultInjection faults({}, NoScene, nullptr);
  EXPECT_FALSE(faults.on());
}

TEST(FaultInjectionTest, ArmCountsFromNow) {
  FaultInjection faults({}, NoScene, nullptr);
  faults.Arm(FaultSite::kIpcCut, 2);
  EXPECT_TRUE(faults.on());
  EXPECT_EQ(Visits(&faults, FaultSite::kIpcCut, 5), "..F..");
  faults.Arm(FaultSite::kIpcCut, 0);
  faults.Arm(FaultSite::kIpcCut, 3);
  EXPECT_EQ(Visits(&faults, FaultSite::kIpcTimeout, 3), "...");
  EXPECT_EQ(Visits(&faults, FaultSite::kIpcCut, 5), "F..F.");
  const std::vector<FiredFault> expected = {
      {FaultSite::kIpcCut, 3, 7, 8}, {FaultSite::kIpcCut, 6, 7, 8}, {FaultSite::kIpcCut, 9, 7, 8}};
  EXPECT_EQ(faults.fired(), expected);
  EXPECT_EQ(faults.visits(FaultSite::kIpcCut), 10u);
}

TEST(FaultInjectionTest, DisarmingForgetsWhatHasNotCome) {
  FaultInjection faults({}, NoScene, nullptr);
  faults.Arm(FaultSite::kIpcCut, 1);
  faults.DisarmAll();
  EXPECT_EQ(Visits(&faults, FaultSite::kIpcCut, 4), "....");
}

TEST(FaultInjectionTest, EachSiteHasItsOwnStream) {
  FaultPlan plan;
  plan.seed = 5;
  plan.one_in_of(FaultSite::kMappingNode) = 4;
  FaultInjection alone(plan, NoScene, nullptr);
  const std::string expected = Visits(&alone, FaultSite::kMappingNode, 200);
  EXPECT_NE(expected.find('F'), std::string::npos);
  plan.one_in_of(FaultSite::kIpcCut) = 2;
  FaultInjection both(plan, NoScene, nullptr);
  std::string seen;
  for (int i = 0; i < 200; i++) {
    Visits(&both, FaultSite::kIpcCut, 1 + i % 3);
    seen += Visits(&both, FaultSite::kMappingNode, 1);
  }
  EXPECT_EQ(seen, expected);
  plan.seed = 6;
  FaultInjection other(plan, NoScene, nullptr);
  EXPECT_NE(Visits(&other, FaultSite::kMappingNode, 200), expected);
}

TEST(FaultInjectionTest, OneInNFiresAboutThatOften) {
  FaultPlan plan;
  plan.one_in_of(FaultSite::kPagerLate) = 10;
  FaultInjection faults(plan, NoScene, nullptr);
  Visits(&faults, FaultSite::kPagerLate, 10000);
  EXPECT_GT(faults.fired().size(), 900u);
  EXPECT_LT(faults.fired().size(), 1100u);
}

TEST(FaultInjectionTest, ALogIsAPlan) {
  FaultPlan plan;
  plan.one_in_of(FaultSite::kPagerLate) = 5;
  plan.one_in_of(FaultSite::kIpcCut) = 7;
  FaultInjection random(plan, NoScene, nullptr);
  Visits(&random, FaultSite::kPagerLate, 100);
  Visits(&random, FaultSite::kIpcCut, 100);
  FaultInjection again(PlanOfLog(random.fired()), NoScene, nullptr);
  Visits(&again, FaultSite::kPagerLate, 100);
  Visits(&again, FaultSite::kIpcCut, 100);
  EXPECT_EQ(again.fired(), random.fired());
}

TEST(FaultInjectionTest, EverySiteHasANameOfItsOwn) {
  for (int i = 0; i < kFaultSiteCount; i++) {
    EXPECT_STRNE(FaultSiteName(static_cast<FaultSite>(i)), "?");
    for (int j = 0; j < i; j++) {
      EXPECT_STRNE(FaultSiteName(static_cast<FaultSite>(i)),
                   FaultSiteName(static_cast<FaultSite>(j)));
    }
  }
}

// ---- What it does ----

class InjectedTest : public ::testing::Test {
 protected:
  Kernel& kernel() { return world_.kernel(); }
  Cpu cpu() { return kernel().cpu(); }
  // What has fired, as "site@visit" words.
  std::string Log() {
    std::string text;
    for (const FiredFault& f : kernel().fired_faults()) {
      text += std::string(text.empty() ? "" : " ") + FaultSiteName(f.site) + "@" +
              std::to_string(f.visit);
    }
    return text;
  }
  // A pager that owns RAM and answers a fault at A with the 2^log2 bytes round A, from kRam on.
  L4_ThreadId_t Pager(unsigned log2 = 12) {
    return world_.Spawn([this, log2] {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 20));
      L4_ThreadId_t from;
      L4_Wait(&from);
      for (;;) {
        L4_Word_t address = 0;
        L4_StoreMR(1, &address);
        faults_.push_back(address);
        const L4_Word_t first = address >> log2 << log2;
        const L4_Fpage_t f = L4_FpageAddRights(L4_FpageLog2(kRam + first, log2), kRwx);
        const L4_MapItem_t item = L4_MapItem(f, first);
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
        L4_LoadMRs(1, 2, item.raw);
        L4_ReplyWait(from, &from);
      }
    });
  }
  // A thread in a space of its own that stores one byte at each address.
  L4_ThreadId_t Client(L4_ThreadId_t pager, std::vector<uint64_t> addresses) {
    addresses_ = std::move(addresses);
    return world_.SpawnInNewSpace(
        [this] {
          for (const uint64_t va : addresses_) {
            const char byte = 'x';
            if (cpu().Store(base::Vaddr(va), &byte, 1) == AccessStatus::kOk) stored_++;
            times_.push_back(kernel().now_ns());
          }
        },
        pager);
  }
  bool IsStuckInItsFault(L4_ThreadId_t client) {
    ThreadInfo info;
    return kernel().Inspect(client, &info) && info.in_page_fault &&
           info.state == ThreadState::kReceiving;
  }

  World world_;
  std::vector<uint64_t> addresses_, faults_, times_;
  int stored_ = 0;
};

TEST_F(InjectedTest, MappingNodeRefusesOnePage) {
  const L4_ThreadId_t pager = Pager(14);
  ASSERT_TRUE(world_.Run());
  const L4_ThreadId_t client = Client(pager, {0x4000, 0x5000, 0x6000});
  kernel().ArmFault(FaultSite::kMappingNode, 2);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(stored_, 3);
  // The third page of the first answer was left out, so it was asked for.
  EXPECT_EQ(faults_, (std::vector<uint64_t>{0x4000, 0x6000}));
  EXPECT_EQ(world_.Layout(client, 0x4000, 4), "xxxx");
  EXPECT_EQ(Log(), "mapping_node@3");
  EXPECT_EQ(kernel().ledger().map_refusals, 1u);
  EXPECT_EQ(kernel().ledger().faults_injected, 1u);
}

TEST_F(InjectedTest, KernelMemoryFailsThreadControlOnly) {
  std::vector<L4_Word_t> results;
  world_.Spawn([&] {
    const L4_ThreadId_t id = L4_GlobalId(1000, 1);
    void* const keep = reinterpret_cast<void*>(~L4_Word_t{0});
    for (int i = 0; i < 2; i++) {
      results.push_back(L4_ThreadControl(id, id, L4_Myself(), L4_nilthread, keep));
      results.push_back(L4_ErrorCode());
    }
  });
  kernel().ArmFault(FaultSite::kKernelMemory);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0], 0u);
  EXPECT_EQ(results[1], L4_ERROR_NO_MEMORY);
  EXPECT_EQ(results[2], 1u);
  EXPECT_EQ(Log(), "kernel_memory@1");
}

TEST_F(InjectedTest, IpcTimeoutEndsFiniteTimeoutsOnly) {
  std::vector<L4_Word_t> errors;
  const auto note = [&](L4_MsgTag_t tag) {
    errors.push_back(L4_IpcFailed(tag) ? L4_ErrorCode() : 0);
  };
  const L4_ThreadId_t partner = world_.Spawn(
      [] {
        L4_ThreadId_t from;
        for (;;) L4_Wait(&from);
      },
      120);
  ASSERT_TRUE(world_.Run());
  world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    note(L4_Send(partner));  // never: no visit
    L4_Set_MsgTag(L4_Niltag);
    note(L4_Send_Timeout(partner, L4_ZeroTime));  // no time: no visit
    L4_Set_MsgTag(L4_Niltag);
    note(L4_Send_Timeout(partner, L4_TimePeriod(1000)));
    L4_Set_MsgTag(L4_Niltag);
    note(L4_Send_Timeout(partner, L4_TimePeriod(1000)));
  });
  kernel().ArmFault(FaultSite::kIpcTimeout);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(errors, (std::vector<L4_Word_t>{0, 0, L4_IPC_TIMEOUT << 1, 0}));
  EXPECT_EQ(kernel().fault_visits(FaultSite::kIpcTimeout), 2u);
  EXPECT_EQ(Log(), "ipc_timeout@1");
}

TEST_F(InjectedTest, IpcTimeoutEndsAReceivePhaseAtOnce) {
  L4_Word_t error = 0;
  uint64_t after = 0;
  world_.Spawn([&] {
    const L4_MsgTag_t tag = L4_Receive_Timeout(L4_anythread, L4_TimePeriod(1000000));
    error = L4_IpcFailed(tag) ? L4_ErrorCode() : 0;
    after = kernel().now_ns();
  });
  kernel().ArmFault(FaultSite::kIpcTimeout);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(error, L4_IPC_TIMEOUT << 1 | 1);
  EXPECT_LT(after, 1000000u);
}

TEST_F(InjectedTest, IpcCutFailsBothEnds) {
  L4_Word_t sent = 0, received = 0, first_word = 0;
  const L4_ThreadId_t receiver = world_.Spawn(
      [&] {
        L4_ThreadId_t from;
        const L4_MsgTag_t tag = L4_Wait(&from);
        received = L4_IpcFailed(tag) ? L4_ErrorCode() : 0;
        L4_StoreMR(1, &first_word);
      },
      120);
  world_.Spawn([&] {
    L4_LoadMR(1, 77);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
    const L4_MsgTag_t tag = L4_Send(receiver);
    sent = L4_IpcFailed(tag) ? L4_ErrorCode() : 0;
  });
  kernel().ArmFault(FaultSite::kIpcCut);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(sent, L4_IPC_OVERFLOW << 1);
  EXPECT_EQ(received, L4_IPC_OVERFLOW << 1 | 1);
  EXPECT_EQ(first_word, 77u);
  EXPECT_EQ(Log(), "ipc_cut@1");
}

// A message that starts a thread, or answers its fault, is the kernel's affair: it arrives whole.
TEST_F(InjectedTest, IpcCutLeavesAnswersToFaultsAlone) {
  const L4_ThreadId_t pager = Pager();
  ASSERT_TRUE(world_.Run());
  Client(pager, {0x4000});
  kernel().ArmFault(FaultSite::kIpcCut);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(stored_, 1);
  EXPECT_EQ(Log(), "");
}

TEST_F(InjectedTest, APagerThatDiesLeavesItsClientWithoutPager) {
  const L4_ThreadId_t pager = Pager();
  ASSERT_TRUE(world_.Run());
  const L4_ThreadId_t client = Client(pager, {0x4000, 0x5000});
  kernel().ArmFault(FaultSite::kPagerDies, 1);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(stored_, 1);
  ThreadInfo info;
  ASSERT_TRUE(kernel().Inspect(client, &info));
  EXPECT_EQ(info.state, ThreadState::kNoPager);
  EXPECT_EQ(info.fault_address, base::Vaddr(0x5000));
  EXPECT_NE(kernel().DescribeWaits().find("page fault without a pager, page fault at 0x5000"),
            std::string::npos)
      << kernel().DescribeWaits();
  EXPECT_EQ(Log(), "pager_dies@2");
}

TEST_F(InjectedTest, ALateAnswerDelaysTheThread) {
  const L4_ThreadId_t pager = Pager();
  ASSERT_TRUE(world_.Run());
  Client(pager, {0x4000, 0x5000, 0x6000});
  kernel().ArmFault(FaultSite::kPagerLate, 1);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(stored_, 3);
  EXPECT_EQ(faults_.size(), 3u);
  ASSERT_EQ(times_.size(), 3u);
  EXPECT_GE(times_[1] - times_[0], 1000000u);
  EXPECT_LT(times_[2] - times_[1], 1000000u);
  EXPECT_EQ(kernel().ledger().ipc_errors, 0u);
  EXPECT_EQ(Log(), "pager_late@2");
}

TEST_F(InjectedTest, AThreadThatWaitsForALateAnswerCanBeCancelled) {
  const L4_ThreadId_t pager = Pager();
  ASSERT_TRUE(world_.Run());
  const L4_ThreadId_t client = Client(pager, {0x4000});
  kernel().ArmFault(FaultSite::kPagerLate);
  ASSERT_EQ(kernel().RunUntilIdle({.advance_idle_time = false}), StopReason::kTimers);
  EXPECT_TRUE(IsStuckInItsFault(client));
  world_.Spawn([&] {
    L4_Word_t x;
    L4_ThreadId_t p;
    L4_ExchangeRegisters(client, L4_EXREGS_CANCEL_RECV | L4_EXREGS_SET_IP, 0, 0x1234, 0, 0,
                         L4_nilthread, &x, &x, &x, &x, &x, &p);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(stored_, 0);  // redirected
  EXPECT_EQ(times_.size(), 1u);
  EXPECT_LT(times_[0], 1000000u);
}

TEST_F(InjectedTest, AWrongFpageMapsAllButThePageAskedFor) {
  const L4_ThreadId_t pager = Pager(14);
  ASSERT_TRUE(world_.Run());
  const L4_ThreadId_t client = Client(pager, {0x5000});
  std::string first_answer;
  kernel().SetSwitchObserver([&](const Kernel&) {
    if (kernel().ledger().page_faults == 2 && first_answer.empty()) {
      first_answer = world_.Layout(client, 0x4000, 4);
    }
  });
  kernel().ArmFault(FaultSite::kPagerWrongFpage);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(stored_, 1);
  EXPECT_EQ(faults_, (std::vector<uint64_t>{0x5000, 0x5000}));
  EXPECT_EQ(first_answer, "..xx");
  EXPECT_EQ(world_.Layout(client, 0x4000, 4), "xxxx");
  EXPECT_EQ(Log(), "pager_wrong_fpage@1");
}

TEST_F(InjectedTest, ASmallerFpageIsTheFirstPage) {
  const L4_ThreadId_t pager = Pager(14);
  ASSERT_TRUE(world_.Run());
  const L4_ThreadId_t client = Client(pager, {0x4000});
  kernel().ArmFault(FaultSite::kPagerSmallerFpage);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(faults_.size(), 1u);
  EXPECT_EQ(world_.Layout(client, 0x4000, 4), "x...");
  const L4_ThreadId_t other = Client(pager, {0x6000});
  kernel().ArmFault(FaultSite::kPagerSmallerFpage);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(faults_, (std::vector<uint64_t>{0x4000, 0x6000, 0x6000}));
  EXPECT_EQ(world_.Layout(other, 0x4000, 4), "xxxx");
  EXPECT_EQ(Log(), "pager_smaller_fpage@1 pager_smaller_fpage@2");
}

TEST_F(InjectedTest, PartOfOnePageIsNothing) {
  const L4_ThreadId_t pager = Pager(12);
  ASSERT_TRUE(world_.Run());
  Client(pager, {0x4000});
  kernel().ArmFault(FaultSite::kPagerSmallerFpage);
  kernel().ArmFault(FaultSite::kPagerWrongFpage, 1);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(stored_, 1);
  EXPECT_EQ(faults_.size(), 3u);
}

TEST_F(InjectedTest, AnAnswerThatNeverComesIsADeadlockThatIsReported) {
  const L4_ThreadId_t pager = Pager();
  ASSERT_TRUE(world_.Run());
  const L4_ThreadId_t client = Client(pager, {0x4000, 0x5000});
  kernel().ArmFault(FaultSite::kPagerNever, 1);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(stored_, 1);
  EXPECT_TRUE(IsStuckInItsFault(client));
  // The pager believes that it has answered.
  ThreadInfo info;
  ASSERT_TRUE(kernel().Inspect(pager, &info));
  EXPECT_EQ(info.partner, L4_anythread);
  EXPECT_EQ(world_.Rights(client, 0x5000), "---");
  const std::string who = std::to_string(L4_ThreadNo(pager)) + ".1";
  EXPECT_NE(kernel().DescribeWaits().find("receiving from " + who + ", page fault at 0x5000"),
            std::string::npos)
      << kernel().DescribeWaits();
  EXPECT_EQ(Log(), "pager_never@2");
}

// A string from 0x4000 of one space to 0x8000 of another; nothing is mapped yet.
class InjectedStringTest : public InjectedTest {
 protected:
  void Exchange(std::function<void()> arm) {
    const L4_ThreadId_t pager = Pager();
    ASSERT_TRUE(world_.Run());
    receiver_ = world_.SpawnInNewSpace(
        [this] {
          L4_Accept(L4_StringItemsAcceptor);
          L4_LoadBR(1, 64 << 10);
          L4_LoadBR(2, 0x8000);
          L4_ThreadId_t from;
          received_ = L4_IpcSucceeded(L4_Wait(&from));
        },
        pager);
    world_.SpawnInNewSpace(
        [this] {
          L4_LoadMR(1, 64 << 10);
          L4_LoadMR(2, 0x4000);
          L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
          sent_ = L4_IpcSucceeded(L4_Send(receiver_));
        },
        pager);
    arm();
    ASSERT_TRUE(world_.Run()) << world_.problem();
  }
  L4_ThreadId_t receiver_ = {0};
  bool sent_ = false, received_ = false;
};

TEST_F(InjectedStringTest, LateAndPartialAnswersDelayATransfer) {
  Exchange([this] {
    kernel().ArmFault(FaultSite::kPagerLate);
    kernel().ArmFault(FaultSite::kPagerSmallerFpage, 1);
  });
  EXPECT_TRUE(sent_);
  EXPECT_TRUE(received_);
  EXPECT_EQ(faults_, (std::vector<uint64_t>{0x4000, 0x8000, 0x8000}));
  EXPECT_GE(kernel().now_ns(), 1000000u);
}

TEST_F(InjectedStringTest, ALostAnswerHoldsBothEnds) {
  Exchange([this] { kernel().ArmFault(FaultSite::kPagerNever, 1); });
  EXPECT_FALSE(sent_);
  EXPECT_FALSE(received_);
  EXPECT_NE(kernel().DescribeWaits().find("0x8000"), std::string::npos) << kernel().DescribeWaits();
}

TEST_F(InjectedStringTest, APagerThatDiesHoldsBothEnds) {
  Exchange([this] { kernel().ArmFault(FaultSite::kPagerDies); });
  EXPECT_FALSE(sent_);
  EXPECT_FALSE(received_);
  EXPECT_NE(kernel().DescribeWaits().find("page fault without a pager"), std::string::npos)
      << kernel().DescribeWaits();
}

TEST_F(InjectedTest, TheLogSaysWhenAndInWhoseName) {
  const L4_ThreadId_t pager = Pager();
  ASSERT_TRUE(world_.Run());
  const L4_ThreadId_t client = Client(pager, {0x4000});
  const uint64_t before = kernel().now_ns();
  kernel().ArmFault(FaultSite::kPagerDies);
  ASSERT_TRUE(world_.Run());
  ASSERT_EQ(kernel().fired_faults().size(), 1u);
  const FiredFault fault = kernel().fired_faults()[0];
  EXPECT_EQ(fault.thread, client.raw);
  EXPECT_GT(fault.now_ns, before);
  EXPECT_LE(fault.now_ns, kernel().now_ns());
}

// ---- Several processors ----

class SeveralTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kReaders = 3;

  // Readers on processors 1 .. 3 read a page of root's again and again; root, on processor 0, takes
  // it away. Nobody answers faults.
  void Run(std::function<void(Kernel&)> arm) {
    Kernel& kernel = world_.kernel();
    for (uint32_t p = 1; p <= kReaders; p++) {
      readers_[p] = kernel.Boot(
          {.entry = [this, &kernel, p] { Read(&kernel, p); }, .new_space = true, .processor = p});
    }
    world_.Spawn([this, &kernel, arm] {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 13));
      for (uint32_t p = 1; p <= kReaders; p++) {
        EXPECT_TRUE(L4_IpcSucceeded(SendMap(readers_[p], Page(PageOf(p), kRwx), PageOf(p))));
      }
      // A receive that nobody answers, to let them read for a while.
      L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(500));
      if (arm) arm(kernel);
      begin_ = kernel.now_ns();
      L4_UnmapFpage(Page(kRam, kRwx));
      end_ = kernel.now_ns();
    });
    world_.Run();
    EXPECT_EQ(world_.problem(), "");
  }
  L4_Word_t PageOf(uint32_t p) const { return p == other_ ? kRam + 4096 : kRam; }
  void Read(Kernel* kernel, uint32_t p) {
    L4_Accept(L4_MapGrantItems(L4_CompleteAddressSpace));
    L4_ThreadId_t from;
    L4_Wait(&from);
    for (int i = 0; i < 100000; i++) {
      char byte;
      EXPECT_EQ(kernel->cpu().Load(base::Vaddr(PageOf(p)), &byte, 1), AccessStatus::kOk);
      last_read_[p] = kernel->now_ns();
      L4_SystemClock();
    }
  }

  World world_{{.ram_bytes = uint64_t{4} << 20, .processors = 4}};
  L4_ThreadId_t readers_[kReaders + 1] = {};
  uint32_t other_ = 0;  // this one reads the page after that
  uint64_t last_read_[kReaders + 1] = {};
  uint64_t begin_ = 0, end_ = 0;
};

constexpr uint64_t kOneRead = 1000;  // ns, at most, with the system call in between

TEST_F(SeveralTest, WithoutInjectionNobodyReadsDuringAnUnmap) {
  Run(nullptr);
  for (uint32_t p = 1; p <= kReaders; p++) {
    EXPECT_GT(last_read_[p], 100000u);
    EXPECT_LT(last_read_[p], begin_ + kOneRead) << p;
  }
}

TEST_F(SeveralTest, ADelayedUnmapIsSeenLateButNotAfterItReturned) {
  Run([](Kernel& kernel) { kernel.ArmFault(FaultSite::kUnmapDelayed); });
  EXPECT_GT(end_ - begin_, 10000u);
  for (uint32_t p = 1; p <= kReaders; p++) {
    EXPECT_GT(last_read_[p], begin_ + 10 * kOneRead) << p;
    EXPECT_LT(last_read_[p], end_ + kOneRead) << p;
  }
  ASSERT_EQ(world_.kernel().fired_faults().size(), 1u);
}

// One delay for all of them, not one after the other.
TEST_F(SeveralTest, ADelayedUnmapReachesAllAtOnce) {
  Run([](Kernel& kernel) { kernel.ArmFault(FaultSite::kUnmapDelayed); });
  for (uint32_t p = 2; p <= kReaders; p++) {
    EXPECT_LT(last_read_[p], last_read_[1] + 10 * kOneRead) << p;
    EXPECT_LT(last_read_[1], last_read_[p] + 10 * kOneRead) << p;
  }
}

// Revocation goes from the newest mapping, processor 3's, to the oldest.
TEST_F(SeveralTest, AReorderedUnmapReachesTheOldestMappingFirst) {
  Run([](Kernel& kernel) { kernel.ArmFault(FaultSite::kUnmapReordered); });
  EXPECT_LT(last_read_[1] + 10 * kOneRead, last_read_[2]);
  EXPECT_LT(last_read_[2] + 10 * kOneRead, last_read_[3]);
  EXPECT_LT(last_read_[3], end_ + kOneRead);
}

// Each Unmap for itself: one that comes while another is on its way to the processors, and is not
// delayed itself, has reached all of them when it returns.
TEST_F(SeveralTest, ADelayedUnmapDelaysNoOther) {
  other_ = 3;
  uint64_t other_end = 0;
  Run([&other_end](Kernel& kernel) {
    kernel.ArmFault(FaultSite::kUnmapDelayed);
    kernel.Boot({.entry =
                     [&kernel, &other_end] {
                       L4_UnmapFpage(Page(kRam + 4096, kRwx));
                       other_end = kernel.now_ns();
                     },
                 .priority = 200,
                 .processor = 1});
  });
  EXPECT_GT(other_end, begin_);
  EXPECT_LT(other_end + kOneRead, end_) << "while the first one waited";
  EXPECT_LT(last_read_[3], other_end + kOneRead);
  EXPECT_GT(last_read_[2], begin_ + 10 * kOneRead);
}

TEST_F(SeveralTest, DeletingTheCallerEndsItsUnmap) {
  Run([](Kernel& kernel) {
    kernel.ArmFault(FaultSite::kUnmapDelayed);
    const L4_ThreadId_t victim = L4_Myself();
    kernel.Boot({.entry =
                     [victim] {
                       L4_ThreadControl(victim, L4_nilthread, L4_nilthread, L4_nilthread,
                                        reinterpret_cast<void*>(~L4_Word_t{0}));
                     },
                 .priority = 200,
                 .processor = 1});
  });
  EXPECT_EQ(end_, 0u);  // it never returned
  // And nobody reads for ever.
  for (uint32_t p = 1; p <= kReaders; p++) EXPECT_LT(last_read_[p], begin_ + 50 * kOneRead) << p;
}

// ---- Whole runs ----

// Clients that fault, call each other with timeouts and are mapped to and unmapped from, for a
// while. Returns a hash of everything the programs and the ledger saw.
struct Outcome {
  uint64_t hash = 0;
  std::vector<FiredFault> log;
  uint64_t visits = 0;
};

void Busy(World* world, uint64_t* hash) {
  Kernel& kernel = world->kernel();
  const L4_ThreadId_t pager = world->Spawn([] {
    // Again and again, for pages that are refused.
    for (int i = 0; i < 8; i++) L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 20));
    PagerLoop();
  });
  const L4_ThreadId_t echo = world->Spawn([] {
    L4_ThreadId_t from;
    L4_MsgTag_t tag = L4_Wait(&from);
    for (;;) {
      // A client that has given up is not answered again.
      L4_Set_MsgTag(L4_Niltag);
      tag = L4_IpcFailed(tag) ? L4_Wait(&from) : L4_ReplyWait(from, &from);
    }
  });
  for (int c = 0; c < 3; c++) {
    world->SpawnInNewSpace(
        [&kernel, hash, echo, c] {
          for (uint64_t i = 0; i < 60; i++) {
            const uint64_t va = kRam + ((i * 7 + static_cast<uint64_t>(c)) % 32) * kPage;
            const char byte = 'x';
            const AccessStatus status = kernel.cpu().Store(base::Vaddr(va), &byte, 1);
            L4_Set_MsgTag(L4_Niltag);
            const L4_MsgTag_t tag = L4_Call_Timeouts(echo, L4_TimePeriod(500), L4_TimePeriod(500));
            *hash = base::Chain(*hash, tag.raw * 4 + static_cast<uint64_t>(status));
            if (i % 5 == 0) L4_FlushFpage(Page(va, kRwx));
          }
        },
        pager);
  }
}

Outcome RunBusy(const FaultPlan& plan, const std::function<void(Kernel&)>& arm = nullptr) {
  World world({.ram_bytes = uint64_t{4} << 20, .faults = plan});
  Outcome out;
  if (arm) arm(world.kernel());
  Busy(&world, &out.hash);
  EXPECT_TRUE(world.Run()) << world.problem();
  const Ledger ledger = world.kernel().ledger();
  out.hash = base::Chain(out.hash, ledger.fiber_switches);
  out.hash = base::Chain(out.hash, ledger.page_faults);
  out.hash = base::Chain(out.hash, world.kernel().now_ns());
  out.log = world.kernel().fired_faults();
  for (int i = 0; i < kFaultSiteCount; i++) {
    out.visits += world.kernel().fault_visits(static_cast<FaultSite>(i));
  }
  return out;
}

FaultPlan SomeOfEverything(uint64_t seed) {
  FaultPlan plan;
  plan.seed = seed;
  for (const FaultSite site :
       {FaultSite::kMappingNode, FaultSite::kIpcTimeout, FaultSite::kIpcCut, FaultSite::kPagerLate,
        FaultSite::kPagerWrongFpage, FaultSite::kPagerSmallerFpage}) {
    plan.one_in_of(site) = 9;
  }
  return plan;
}

TEST(InjectedRunTest, TheSamePlanGivesTheSameLog) {
  const Outcome a = RunBusy(SomeOfEverything(1));
  const Outcome b = RunBusy(SomeOfEverything(1));
  EXPECT_GT(a.log.size(), 20u);
  EXPECT_EQ(a.log, b.log);
  EXPECT_EQ(a.hash, b.hash);
  EXPECT_NE(RunBusy(SomeOfEverything(2)).log, a.log);
}

TEST(InjectedRunTest, TheLogReplays) {
  const Outcome random = RunBusy(SomeOfEverything(3));
  const Outcome replayed = RunBusy(PlanOfLog(random.log));
  EXPECT_EQ(replayed.log, random.log);
  EXPECT_EQ(replayed.hash, random.hash);
}

TEST(InjectedRunTest, OffHasNoEffect) {
  const Outcome off = RunBusy({});
  EXPECT_TRUE(off.log.empty());
  EXPECT_EQ(off.visits, 0u);
  // On, but never firing: the same world.
  const Outcome armed = RunBusy({}, [](Kernel& kernel) {
    for (int i = 0; i < kFaultSiteCount; i++) {
      kernel.ArmFault(static_cast<FaultSite>(i), uint64_t{1} << 40);
    }
  });
  EXPECT_TRUE(armed.log.empty());
  EXPECT_GT(armed.visits, 0u);
  EXPECT_EQ(armed.hash, off.hash);
}

TEST(InjectedRunTest, ResetIsBackToThePlan) {
  World world({.ram_bytes = uint64_t{4} << 20, .faults = SomeOfEverything(4)});
  uint64_t first = 0, second = 0;
  Busy(&world, &first);
  EXPECT_TRUE(world.Run()) << world.problem();
  const std::vector<FiredFault> log = world.kernel().fired_faults();
  world.Reset();
  EXPECT_TRUE(world.kernel().fired_faults().empty());
  Busy(&world, &second);
  EXPECT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(first, second);
  EXPECT_EQ(world.kernel().fired_faults(), log);
}

}  // namespace
}  // namespace fake_l4
