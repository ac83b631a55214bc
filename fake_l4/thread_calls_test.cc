// ThreadControl, SpaceControl, Schedule: what a privileged server does to make,
// steer and end threads.
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <string>
#include <vector>

#include "base/addr.h"
#include "base/text_sink.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t kUtcbBase = 0x7000'0000'0000;
void* const kKeepUtcb = reinterpret_cast<void*>(~L4_Word_t{0});
void* Utcb(L4_Word_t n) { return reinterpret_cast<void*>(kUtcbBase + n * 1024); }
const L4_Fpage_t kUtcbArea = L4_FpageLog2(kUtcbBase, 16);
const L4_Fpage_t kKipArea = L4_FpageLog2(0x7000'1000'0000, 12);

L4_Word_t SetUpSpace(L4_ThreadId_t t) {
  L4_Word_t old;
  return L4_SpaceControl(t, 0, kKipArea, kUtcbArea, L4_nilthread, &old);
}

class ThreadCallsTest : public ::testing::Test {
 protected:
  // Runs `body` on a privileged thread; everything it expects is checked there.
  void RunPrivileged(std::function<void()> body) {
    world_.Spawn(std::move(body));
    ASSERT_TRUE(world_.Run()) << world_.problem();
  }
  ThreadInfo Info(L4_ThreadId_t t) {
    ThreadInfo info{};
    EXPECT_TRUE(world_.kernel().Inspect(t, &info));
    return info;
  }
  World world_;
};

// The whole life of a task: space, thread, areas, start message, fault, end.
TEST_F(ThreadCallsTest, ATaskFromCreationToDeletion) {
  constexpr uint64_t kClientIp = 0x8048000;
  const L4_ThreadId_t client = L4_GlobalId(1000, 1);
  std::string log;
  world_.kernel().RegisterEntry(kClientIp, [&] {
    char c = 'k';
    EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(0x3000), &c, 1), AccessStatus::kOk);
    log += "stored ";
    L4_Set_MsgTag(L4_Niltag);
    L4_Call(L4_Pager());
  });
  SpaceId space{};
  RunPrivileged([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(0x1000000, 12));
    EXPECT_EQ(L4_ThreadControl(client, client, L4_Myself(), L4_nilthread, kKeepUtcb), 1u);
    EXPECT_EQ(Info(client).state, ThreadState::kInactive);
    EXPECT_EQ(SetUpSpace(client), 1u);
    EXPECT_EQ(L4_ThreadControl(client, client, L4_Myself(), L4_Myself(), Utcb(0)), 1u);
    EXPECT_TRUE(Info(client).waits_for_start);
    space = Info(client).space;
    L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
    L4_LoadMR(1, kClientIp);
    L4_LoadMR(2, 0xbffff000);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(client)));
    L4_MsgTag_t tag = L4_Receive(client);
    EXPECT_TRUE(L4_IsPageFault(tag));
    const L4_MapItem_t item = L4_MapItem(Page(0x1000000, kRwx), 0x3000);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    tag = L4_Call(client);
    EXPECT_EQ(Info(client).sp, 0xbffff000u);
    EXPECT_EQ(world_.Rights(client, 0x3000), "rwx");
    EXPECT_EQ(L4_ThreadControl(client, L4_nilthread, L4_nilthread, L4_nilthread, kKeepUtcb), 1u);
  });
  EXPECT_EQ(log, "stored ");
  EXPECT_FALSE(world_.kernel().SpaceExists(space));
  int children = 0;
  world_.kernel().ForEachChild(kRootSpace, base::Vaddr(0x1000000),
                               [&](const Mapping&) { children++; });
  EXPECT_EQ(children, 0) << "the last thread's end flushes the space";
}

TEST_F(ThreadCallsTest, AStartMessageFromSomebodyElseDoesNotStart) {
  const L4_ThreadId_t client = L4_GlobalId(1000, 1);
  RunPrivileged([&] {
    const L4_ThreadId_t pager = world_.kernel().root();
    L4_ThreadControl(client, client, L4_Myself(), L4_nilthread, kKeepUtcb);
    SetUpSpace(client);
    L4_ThreadControl(client, client, L4_Myself(), pager, Utcb(0));
    L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
    EXPECT_TRUE(L4_IpcFailed(L4_Reply(client)));
  });
  EXPECT_TRUE(Info(client).waits_for_start);
}

TEST_F(ThreadCallsTest, StartedWhereThereIsNoCode) {
  const L4_ThreadId_t client = L4_GlobalId(1000, 1);
  RunPrivileged([&] {
    L4_ThreadControl(client, client, L4_Myself(), L4_nilthread, kKeepUtcb);
    SetUpSpace(client);
    L4_ThreadControl(client, client, L4_Myself(), L4_Myself(), Utcb(0));
    L4_Start(client, 0, 0x123);
  });
  EXPECT_EQ(Info(client).state, ThreadState::kNoCode);
  EXPECT_NE(world_.kernel().DescribeWaits().find("no code"), std::string::npos);
}

TEST_F(ThreadCallsTest, OnlyPrivilegedSpacesMay) {
  L4_Word_t errors[4] = {};
  world_.SpawnInNewSpace([&] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1);
    L4_Word_t old;
    EXPECT_EQ(L4_ThreadControl(t, t, L4_Myself(), L4_nilthread, kKeepUtcb), 0u);
    errors[0] = L4_ErrorCode();
    EXPECT_EQ(L4_SpaceControl(L4_Myself(), 0, kKipArea, kUtcbArea, L4_nilthread, &old), 0u);
    errors[1] = L4_ErrorCode();
    EXPECT_EQ(L4_ProcessorControl(0, 0, 0, 0), 0u);
    errors[2] = L4_ErrorCode();
    const L4_Word_t attributes[4] = {};
    EXPECT_EQ(L4_MemoryControl(0, attributes), 0u);
    errors[3] = L4_ErrorCode();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  for (L4_Word_t e : errors) EXPECT_EQ(e, L4_ERROR_NO_PRIVILEGE);
}

TEST_F(ThreadCallsTest, ErrorsInOrder) {
  RunPrivileged([&] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1), me = L4_Myself();
    const auto fails = [](L4_ThreadId_t d, L4_ThreadId_t s, L4_ThreadId_t sched,
                          L4_ThreadId_t pager, void* utcb) -> L4_Word_t {
      return L4_ThreadControl(d, s, sched, pager, utcb) != 0 ? 0 : L4_ErrorCode();
    };
    EXPECT_EQ(fails(L4_ThreadIdOfRaw(t.raw & ~L4_Word_t{63}), t, me, L4_nilthread, kKeepUtcb),
              L4_ERROR_INVALID_SPACE)
        << "version 0";
    EXPECT_EQ(fails(L4_GlobalId(3, 1), me, me, me, kKeepUtcb), L4_ERROR_INVALID_THREAD)
        << "interrupt";
    EXPECT_EQ(fails(L4_GlobalId(20, 1), me, me, me, kKeepUtcb), L4_ERROR_INVALID_THREAD)
        << "kernel";
    EXPECT_EQ(fails(L4_GlobalId(1 << 17, 1), me, me, me, kKeepUtcb), L4_ERROR_INVALID_THREAD);
    EXPECT_EQ(fails(me, L4_nilthread, me, me, kKeepUtcb), L4_ERROR_INVALID_THREAD) << "itself";
    EXPECT_EQ(fails(t, t, L4_nilthread, L4_nilthread, kKeepUtcb), L4_ERROR_INVALID_SCHEDULER)
        << "creation without a scheduler";
    EXPECT_EQ(fails(t, L4_GlobalId(2000, 1), me, L4_nilthread, kKeepUtcb), L4_ERROR_INVALID_SPACE);
    EXPECT_EQ(fails(t, t, L4_GlobalId(2000, 1), L4_nilthread, kKeepUtcb),
              L4_ERROR_INVALID_SCHEDULER);
    EXPECT_EQ(fails(t, t, me, me, kKeepUtcb), L4_ERROR_UTCB_AREA) << "active without areas";
    EXPECT_EQ(fails(t, me, me, L4_nilthread, Utcb(0)), L4_ERROR_UTCB_AREA) << "outside root's area";
    EXPECT_EQ(fails(t, me, me, me, kKeepUtcb), L4_ERROR_UTCB_AREA) << "active without UTCB";
    EXPECT_EQ(world_.kernel().ledger().threads_created, 3u) << "sigma0, root and this one";
    EXPECT_EQ(world_.kernel().ledger().spaces_created, 2u);
    // Deleting what does not exist succeeds.
    EXPECT_EQ(L4_ThreadControl(t, L4_nilthread, me, me, kKeepUtcb), 1u);
  });
}

TEST_F(ThreadCallsTest, SpaceControlErrorsAndEffect) {
  RunPrivileged([&] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1);
    L4_Word_t old = 5;
    const auto error = [&](L4_ThreadId_t s, L4_Fpage_t kip, L4_Fpage_t utcb) -> L4_Word_t {
      return L4_SpaceControl(s, 0, kip, utcb, L4_nilthread, &old) != 0 ? 0 : L4_ErrorCode();
    };
    EXPECT_EQ(error(t, kKipArea, kUtcbArea), L4_ERROR_INVALID_SPACE);
    L4_ThreadControl(t, t, L4_Myself(), L4_nilthread, kKeepUtcb);
    EXPECT_EQ(error(t, kKipArea, L4_FpageLog2(kUtcbBase, 10)), L4_ERROR_UTCB_AREA) << "too small";
    EXPECT_EQ(error(t, kKipArea, L4_Nilpage), L4_ERROR_UTCB_AREA);
    EXPECT_EQ(error(t, L4_FpageLog2(0x1000, 10), kUtcbArea), L4_ERROR_KIP_AREA);
    EXPECT_EQ(error(t, L4_FpageLog2(kUtcbBase, 12), kUtcbArea), L4_ERROR_KIP_AREA) << "overlap";
    EXPECT_EQ(error(t, kKipArea, kUtcbArea), 0u);
    EXPECT_EQ(old, 0u);
    EXPECT_EQ(L4_ThreadControl(t, t, L4_Myself(), L4_Myself(), Utcb(63)), 1u);
    EXPECT_EQ(L4_ThreadControl(t, t, L4_Myself(), L4_Myself(), Utcb(64)), 0u);
    const L4_ThreadId_t second = L4_GlobalId(1001, 1);
    EXPECT_EQ(L4_ThreadControl(second, t, L4_Myself(), L4_Myself(), Utcb(63)), 0u) << "taken";
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_UTCB_AREA);
    EXPECT_EQ(L4_ThreadControl(second, t, L4_Myself(), L4_Myself(), Utcb(62)), 1u);
    EXPECT_EQ(error(t, kKipArea, L4_FpageLog2(0x10000, 16)), 0u) << "accepted, without effect";
    EXPECT_EQ(L4_ThreadControl(second, t, L4_Myself(), L4_Myself(), Utcb(62)), 1u) << "no change";
    EXPECT_EQ(L4_ThreadControl(second, t, L4_Myself(), L4_Myself(), Utcb(61)), 0u) << "active";
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_UTCB_AREA);
  });
}

TEST_F(ThreadCallsTest, DeletionFailsWhoeverTalksToTheThread) {
  L4_Word_t send = 0, receive = 0;
  const L4_ThreadId_t victim = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  world_.Spawn([&] {
    L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
    EXPECT_EQ(L4_Send(victim).raw, 0x8001u);
    send = L4_ErrorCode();
  });
  world_.Spawn([&] {
    L4_Receive(victim);
    receive = L4_ErrorCode();
  });
  RunPrivileged([&] {
    L4_Yield();
    EXPECT_EQ(L4_ThreadControl(victim, L4_nilthread, L4_nilthread, L4_nilthread, kKeepUtcb), 1u);
  });
  EXPECT_EQ(send, 4u);
  EXPECT_EQ(receive, 5u);
  EXPECT_FALSE(world_.kernel().HostWake(victim));
}

TEST_F(ThreadCallsTest, ANewVersionIsANewName) {
  const L4_ThreadId_t old_id = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  const L4_ThreadId_t new_id = L4_GlobalId(L4_ThreadNo(old_id), 9);
  L4_Word_t error = 0;
  world_.Spawn([&] {
    L4_Receive(old_id);
    error = L4_ErrorCode();
  });
  RunPrivileged([&] {
    L4_Yield();
    EXPECT_EQ(L4_ThreadControl(new_id, L4_Myself(), L4_nilthread, L4_nilthread, kKeepUtcb), 1u);
  });
  EXPECT_EQ(error, 5u);
  ThreadInfo info;
  EXPECT_FALSE(world_.kernel().Inspect(old_id, &info));
  EXPECT_EQ(Info(new_id).state, ThreadState::kWaitsForHost);
}

TEST_F(ThreadCallsTest, MigrationToAnotherSpace) {
  const L4_ThreadId_t t = world_.SpawnInNewSpace([&] { world_.kernel().WaitForHost(); });
  const SpaceId before = world_.SpaceOf(t);
  RunPrivileged([&] {
    L4_Yield();
    void* const place = reinterpret_cast<void*>(world_.kernel().root_utcb_area() + 0x8000);
    EXPECT_EQ(L4_ThreadControl(t, L4_Myself(), L4_nilthread, L4_nilthread, Utcb(0)), 0u);
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_UTCB_AREA) << "not in root's area";
    EXPECT_EQ(L4_ThreadControl(t, L4_Myself(), L4_nilthread, L4_nilthread, place), 1u);
  });
  EXPECT_EQ(world_.SpaceOf(t), kRootSpace);
  EXPECT_FALSE(world_.kernel().SpaceExists(before));
}

// ---- Every error and every state, one by one ----

L4_Word_t Create(L4_ThreadId_t t, L4_ThreadId_t space, L4_ThreadId_t pager, void* utcb) {
  return L4_ThreadControl(t, space, L4_Myself(), pager, utcb) != 0 ? 0 : L4_ErrorCode();
}
L4_Word_t Delete(L4_ThreadId_t t) {
  return L4_ThreadControl(t, L4_nilthread, L4_nilthread, L4_nilthread, kKeepUtcb) != 0
             ? 0
             : L4_ErrorCode();
}

TEST_F(ThreadCallsTest, UtcbLocations) {
  RunPrivileged([&] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1), second = L4_GlobalId(1001, 1);
    const auto at = [](L4_Word_t a) { return reinterpret_cast<void*>(a); };
    EXPECT_EQ(Create(t, t, L4_nilthread, at(kUtcbBase + 512)), L4_ERROR_UTCB_AREA) << "unaligned";
    EXPECT_EQ(Create(t, t, L4_nilthread, at(kAmd64Nx.user_top)), L4_ERROR_UTCB_AREA);
    EXPECT_EQ(Create(t, t, L4_nilthread, at(0)), L4_ERROR_UTCB_AREA) << "0 is no local id";
    // An inactive thread may be told its place before there is an area; activation looks.
    EXPECT_EQ(Create(t, t, L4_nilthread, Utcb(64)), 0u);
    EXPECT_EQ(Create(second, t, L4_nilthread, Utcb(64)), L4_ERROR_UTCB_AREA) << "taken";
    EXPECT_EQ(Create(t, t, L4_Myself(), kKeepUtcb), L4_ERROR_UTCB_AREA) << "no area yet";
    EXPECT_EQ(SetUpSpace(t), 1u);
    EXPECT_EQ(Create(t, t, L4_Myself(), kKeepUtcb), L4_ERROR_UTCB_AREA) << "outside the area";
    EXPECT_EQ(Create(second, t, L4_nilthread, Utcb(64)), L4_ERROR_UTCB_AREA) << "outside the area";
    EXPECT_EQ(Create(t, t, L4_nilthread, Utcb(5)), 0u) << "still inactive: it may move";
    EXPECT_EQ(Create(t, t, L4_Myself(), kKeepUtcb), 0u);
    EXPECT_EQ(Create(second, t, L4_Myself(), Utcb(64)), L4_ERROR_UTCB_AREA);
    EXPECT_EQ(Create(second, t, L4_Myself(), Utcb(5)), L4_ERROR_UTCB_AREA);
    EXPECT_EQ(Create(second, t, L4_Myself(), Utcb(4)), 0u);
    EXPECT_EQ(Delete(second), 0u);
    EXPECT_EQ(Create(second, t, L4_Myself(), Utcb(4)), 0u) << "free again";
  });
}

TEST_F(ThreadCallsTest, SpacesAndSchedulersMayBeNamedByLocalIds) {
  RunPrivileged([&] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1);
    const L4_ThreadId_t local = world_.LocalId(L4_MyGlobalId());
    EXPECT_NE(L4_ThreadControl(t, local, local, local,
                               reinterpret_cast<void*>(world_.kernel().root_utcb_area() + 0x8000)),
              0u);
    EXPECT_EQ(world_.SpaceOf(t), kRootSpace);
    EXPECT_EQ(Info(t).pager, L4_MyGlobalId());
  });
}

TEST_F(ThreadCallsTest, KernelMemoryRunsOut) {
  struct {
    BootOptions options;
    bool same_space;
    uint32_t created;
  } const cases[] = {
      // sigma0, root and the caller are there already.
      {{.ram_bytes = 1 << 20, .max_threads = 6}, true, 3},
      {{.ram_bytes = 1 << 20, .max_spaces = 4}, false, 2},
      {{.ram_bytes = 1 << 20, .max_spaces = 2}, true, 9},
  };
  for (const auto& c : cases) {
    World world(c.options);
    world.Spawn([&] {
      uint32_t n = 0;
      L4_Word_t error = 0;
      for (; n < 9 && error == 0; n += error == 0) {
        const L4_ThreadId_t t = L4_GlobalId(1000 + n, 1);
        error = Create(t, c.same_space ? L4_Myself() : t, L4_nilthread, kKeepUtcb);
      }
      EXPECT_EQ(n, c.created);
      EXPECT_EQ(error, n == 9 ? 0 : L4_ERROR_NO_MEMORY);
      if (n == 9) return;
      // What exists can still be changed, and deletion makes room.
      const L4_ThreadId_t first = L4_GlobalId(1000, 1), next = L4_GlobalId(1000 + n, 1);
      EXPECT_EQ(Create(first, first, L4_nilthread, kKeepUtcb), 0u);
      EXPECT_EQ(Delete(first), 0u);
      EXPECT_EQ(Create(next, c.same_space ? L4_Myself() : next, L4_nilthread, kKeepUtcb), 0u);
    });
    ASSERT_TRUE(world.Run()) << world.problem();
  }
}

TEST_F(ThreadCallsTest, AResetKernelHasRoomForAsManySpaces) {
  World world({.ram_bytes = 1 << 20, .max_spaces = 6});
  for (int round = 0; round < 3; ++round) {
    world.Spawn([round] {
      uint32_t n = 0;
      const auto create = [&n] {
        const L4_ThreadId_t t = L4_GlobalId(1000 + n, 1);
        return Create(t, t, L4_nilthread, kKeepUtcb);
      };
      while (create() == 0) n++;
      EXPECT_EQ(n, 4u) << round;  // sigma0's and root's are there
    });
    ASSERT_TRUE(world.Run()) << world.problem();
    world.Reset();
  }
}

TEST_F(ThreadCallsTest, MappingsEatTheSameMemory) {
  World world({.ram_bytes = 1 << 20, .max_mappings = 4});
  world.Spawn([&] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1);
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(0x1000000, 14));
    EXPECT_EQ(Create(t, t, L4_nilthread, kKeepUtcb), L4_ERROR_NO_MEMORY);
    L4_Flush(L4_FpageAddRights(L4_FpageLog2(0x1000000, 12), L4_FullyAccessible));
    EXPECT_EQ(Create(t, t, L4_nilthread, kKeepUtcb), 0u);
  });
  ASSERT_TRUE(world.Run()) << world.problem();
}

TEST_F(ThreadCallsTest, AMissingSchedulerHasAnotherErrorOnOneKernel) {
  Quirks quirks = kManualRules;
  quirks.missing_scheduler_is_invalid_thread = true;
  World world({.ram_bytes = 1 << 20, .quirks = quirks});
  world.Spawn([] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1);
    EXPECT_EQ(L4_ThreadControl(t, t, L4_nilthread, L4_nilthread, kKeepUtcb), 0u);
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_THREAD);
  });
  ASSERT_TRUE(world.Run()) << world.problem();
}

TEST_F(ThreadCallsTest, ANewNameEndsWhatWasGoingOnUnderTheOldOne) {
  L4_Word_t send = 0, receive = 0;
  L4_ThreadId_t my_id = L4_nilthread;
  const L4_ThreadId_t deaf = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  const L4_ThreadId_t sender = world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(deaf);
    send = L4_ErrorCode();
    my_id = L4_MyGlobalId();
  });
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    L4_Receive(deaf);
    receive = L4_ErrorCode();
  });
  RunPrivileged([&] {
    L4_Yield();
    for (const L4_ThreadId_t t : {sender, receiver}) {
      const L4_ThreadId_t renamed = L4_GlobalId(L4_ThreadNo(t), 2);
      // Naming itself as its space, it stays there.
      EXPECT_EQ(L4_ThreadControl(renamed, renamed, L4_nilthread, L4_nilthread, kKeepUtcb), 1u);
      EXPECT_EQ(world_.SpaceOf(renamed), kRootSpace);
    }
  });
  EXPECT_EQ(send, L4_IPC_CANCELLED << 1);
  EXPECT_EQ(receive, L4_IPC_CANCELLED << 1 | 1);
  EXPECT_EQ(my_id, L4_GlobalId(L4_ThreadNo(sender), 2));
}

TEST_F(ThreadCallsTest, AnotherPagerMayStartAThreadThatWaits) {
  const L4_ThreadId_t t = L4_GlobalId(1000, 1);
  bool started = false;
  world_.kernel().RegisterEntry(0x8000, [&] { started = true; });
  RunPrivileged([&] {
    Create(t, t, L4_nilthread, kKeepUtcb);
    SetUpSpace(t);
    EXPECT_EQ(Create(t, t, world_.kernel().root(), Utcb(0)), 0u);
    EXPECT_EQ(Create(t, t, L4_Myself(), kKeepUtcb), 0u);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
    L4_LoadMR(1, 0x8000);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(t)));
  });
  EXPECT_TRUE(started);
}

TEST_F(ThreadCallsTest, AStartMessageOfTheNewPagerMayBeThereAlready) {
  const L4_ThreadId_t t = L4_GlobalId(1000, 1);
  bool started = false;
  world_.kernel().RegisterEntry(0x8000, [&] { started = true; });
  L4_ThreadId_t starter{};
  RunPrivileged([&] {
    Create(t, t, L4_nilthread, kKeepUtcb);
    SetUpSpace(t);
    EXPECT_EQ(Create(t, t, world_.kernel().root(), Utcb(0)), 0u);
  });
  starter = world_.Spawn([&] {
    L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
    L4_LoadMR(1, 0x8000);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Send(t)));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(started);
  RunPrivileged([&] { EXPECT_EQ(Create(t, t, starter, kKeepUtcb), 0u); });
  EXPECT_TRUE(started);
}

// The window of a thread that waits to be started is its whole space.
TEST_F(ThreadCallsTest, AStartMessageMayMapPages) {
  const L4_ThreadId_t t = L4_GlobalId(1000, 1);
  bool loaded = false;
  world_.kernel().RegisterEntry(0x8000, [&] {
    char c;
    loaded = world_.kernel().cpu().Load(base::Vaddr(0x5000), &c, 1) == AccessStatus::kOk;
  });
  RunPrivileged([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(0x1000000, 12));
    Create(t, t, L4_nilthread, kKeepUtcb);
    SetUpSpace(t);
    EXPECT_EQ(Create(t, t, L4_Myself(), Utcb(0)), 0u);
    const L4_MapItem_t item = L4_MapItem(Page(0x1000000, kRwx), 0x5000);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 2));
    L4_LoadMR(1, 0x8000);
    L4_LoadMR(2, 0);
    L4_LoadMRs(3, 2, item.raw);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(t)));
  });
  EXPECT_TRUE(loaded);
  EXPECT_EQ(world_.kernel().ledger().page_faults, 0u);
}

TEST_F(ThreadCallsTest, AnActiveThreadMovesOnlyWhereItHasAUtcb) {
  const L4_ThreadId_t other = L4_GlobalId(1000, 1);
  const L4_ThreadId_t t = world_.SpawnInNewSpace([&] { world_.kernel().WaitForHost(); });
  RunPrivileged([&] {
    L4_Yield();
    EXPECT_EQ(Create(other, other, L4_nilthread, kKeepUtcb), 0u);
    EXPECT_EQ(Create(t, other, L4_nilthread, kKeepUtcb), L4_ERROR_UTCB_AREA) << "no area there";
    EXPECT_EQ(SetUpSpace(other), 1u);
    EXPECT_EQ(Create(t, other, L4_nilthread, kKeepUtcb), L4_ERROR_UTCB_AREA) << "outside of it";
    EXPECT_EQ(Create(t, other, L4_nilthread, Utcb(3)), 0u);
    // The space is inhabited now: its areas stay, whatever is asked for.
    L4_Word_t old;
    EXPECT_EQ(L4_SpaceControl(other, 0, kKipArea, L4_Nilpage, L4_nilthread, &old), 1u);
  });
  EXPECT_EQ(world_.SpaceOf(t), world_.SpaceOf(other));
}

// Areas that are set again, when nobody lives there any more, make room for themselves.
TEST_F(ThreadCallsTest, PagesInNewAreasAreGone) {
  const L4_ThreadId_t sleeper = L4_GlobalId(1000, 1);
  const L4_ThreadId_t t = world_.SpawnInNewSpace([&] {
    EXPECT_TRUE(L4_IpcSucceeded(ReceiveMap(L4_anythread, L4_CompleteAddressSpace)));
    world_.kernel().WaitForHost();
  });
  RunPrivileged([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(0x1000000, 12));
    EXPECT_TRUE(L4_IpcSucceeded(SendMap(t, Page(0x1000000, kRwx), kUtcbBase)));
    L4_Yield();
    EXPECT_EQ(Create(sleeper, t, L4_nilthread, kKeepUtcb), 0u);
    EXPECT_EQ(Delete(t), 0u);
    EXPECT_EQ(world_.Rights(sleeper, kUtcbBase), "rwx");
    EXPECT_EQ(SetUpSpace(sleeper), 1u);
    EXPECT_EQ(world_.Rights(sleeper, kUtcbBase), "---");
  });
}

TEST_F(ThreadCallsTest, APagerGivenByThreadControlIsAskedAtOnce) {
  int faults = 0;
  const L4_ThreadId_t pager = world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(0x1000000, 12));
    L4_ThreadId_t from;
    EXPECT_TRUE(L4_IsPageFault(L4_Wait(&from)));
    faults++;
    EXPECT_TRUE(L4_IpcSucceeded(SendMap(from, Page(0x1000000, kRwx), 0x5000)));
  });
  bool loaded = false;
  const L4_ThreadId_t t = world_.SpawnInNewSpace([&] {
    L4_Set_Pager(L4_nilthread);
    char c;
    loaded = world_.kernel().cpu().Load(base::Vaddr(0x5000), &c, 1) == AccessStatus::kOk;
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(Info(t).state, ThreadState::kNoPager);
  RunPrivileged([&] { EXPECT_EQ(Create(t, t, pager, kKeepUtcb), 0u); });
  EXPECT_TRUE(loaded);
  EXPECT_EQ(faults, 1);
}

TEST_F(ThreadCallsTest, KernelThreadsAreNobodysToSteer) {
  RunPrivileged([&] {
    // The last number below those of user threads.
    const L4_ThreadId_t kernel = L4_GlobalId(kAmd64Nx.user_base - 1, 1);
    EXPECT_EQ(Create(kernel, kernel, L4_nilthread, kKeepUtcb), L4_ERROR_INVALID_THREAD);
    const L4_ThreadId_t interrupt = L4_GlobalId(3, 1);
    EXPECT_EQ(SetUpSpace(interrupt), 0u);
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_SPACE);
  });
}

TEST_F(ThreadCallsTest, AMigratedThreadFaultsInItsNewSpace) {
  const L4_ThreadId_t t = world_.SpawnInNewSpace([&] {
    world_.kernel().WaitForHost();
    char c = 'm';
    EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(0x1000005), &c, 1), AccessStatus::kOk);
  });
  RunPrivileged([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(0x1000000, 12));
    void* const place = reinterpret_cast<void*>(world_.kernel().root_utcb_area() + 0x8000);
    EXPECT_EQ(L4_ThreadControl(t, L4_Myself(), L4_nilthread, L4_nilthread, place), 1u);
    EXPECT_EQ(world_.LocalId(t).raw, world_.kernel().root_utcb_area() + 0x8000);
    world_.kernel().HostWake(t);
  });
  EXPECT_EQ(world_.kernel().ram()[5], 'm');
  EXPECT_EQ(world_.kernel().ledger().page_faults, 0u);
}

// A thread in each state there is, with its fiber and its place in queues.
TEST_F(ThreadCallsTest, ThreadsAreDeletedInEveryState) {
  Kernel& kernel = world_.kernel();
  const L4_ThreadId_t deaf = world_.Spawn([&] { kernel.WaitForHost(); });
  const L4_ThreadId_t nobody = L4_GlobalId(999, 1);
  const auto fault = [&] {
    char c;
    (void)kernel.cpu().Load(base::Vaddr(0x1000), &c, 1);
  };
  std::vector<L4_ThreadId_t> victims = {
      world_.Spawn([] {}),
      world_.Spawn([&] { kernel.WaitForHost(); }),
      world_.Spawn([&] { L4_Send(deaf); }),
      world_.Spawn([&] { L4_Send_Timeout(deaf, L4_TimePeriod(1000000)); }),
      world_.Spawn([&] { L4_Receive(deaf); }),
      world_.Spawn([&] { L4_Receive_Timeout(deaf, L4_TimePeriod(1000000)); }),
      world_.Spawn([&] { L4_Stop(L4_Myself()); }),
      world_.SpawnInNewSpace(fault, deaf),
      world_.SpawnInNewSpace(fault, nobody),
      world_.Spawn([&] { (void)kernel.cpu().RaiseException(6); }),
      world_.Spawn([&] {
        L4_Set_ExceptionHandler(deaf);
        (void)kernel.cpu().RaiseException(6);
      }),
      L4_GlobalId(1000, 1),
      L4_GlobalId(1001, 1),
      world_.Spawn([] { FAIL() << "ready, and deleted before it ran"; }, 50),
  };
  ThreadInfo info;
  RunPrivileged([&] {
    Create(L4_GlobalId(1000, 1), L4_Myself(), L4_nilthread, kKeepUtcb);
    Create(L4_GlobalId(1001, 1), L4_Myself(), L4_Myself(),
           reinterpret_cast<void*>(kernel.root_utcb_area() + 0x8000));
    L4_Yield();
    for (const L4_ThreadId_t t : victims) {
      EXPECT_TRUE(kernel.Inspect(t, &info));
      EXPECT_EQ(Delete(t), 0u) << ThreadStateName(info.state);
      EXPECT_FALSE(kernel.Inspect(t, &info));
      char text[512];
      base::TextSink sink(text, sizeof text);
      EXPECT_TRUE(kernel.CheckInvariants(sink)) << text;
    }
  });
  ASSERT_TRUE(kernel.Inspect(deaf, &info));
  EXPECT_EQ(info.queued_senders, 0u);
}

TEST_F(ThreadCallsTest, APagerThatDiesLeavesItsClientWithout) {
  const L4_ThreadId_t pager = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  const L4_ThreadId_t client = world_.SpawnInNewSpace(
      [&] {
        char c;
        (void)world_.kernel().cpu().Load(base::Vaddr(0x1000), &c, 1);
      },
      pager);
  RunPrivileged([&] {
    L4_Yield();
    EXPECT_EQ(Delete(pager), 0u);
  });
  EXPECT_EQ(Info(client).state, ThreadState::kNoPager);
}

// ---- SpaceControl, further ----

TEST_F(ThreadCallsTest, AreasLieInUserAddresses) {
  World world({.ram_bytes = 1 << 20, .profile = kIa32});
  world.Spawn([] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1);
    Create(t, t, L4_nilthread, kKeepUtcb);
    L4_Word_t old;
    const auto error = [&](L4_Fpage_t kip, L4_Fpage_t utcb) -> L4_Word_t {
      return L4_SpaceControl(t, 0, kip, utcb, L4_nilthread, &old) != 0 ? 0 : L4_ErrorCode();
    };
    const L4_Fpage_t kip = L4_FpageLog2(0xa0000000, 12), utcb = L4_FpageLog2(0xb0000000, 16);
    EXPECT_EQ(error(kip, L4_FpageLog2(0xf0000000, 16)), L4_ERROR_UTCB_AREA);
    EXPECT_EQ(error(kip, L4_CompleteAddressSpace), L4_ERROR_UTCB_AREA);
    EXPECT_EQ(error(kip, L4_FpageLog2(0x80000000, 31)), L4_ERROR_UTCB_AREA) << "partly";
    EXPECT_EQ(error(L4_FpageLog2(0xc0000000, 12), utcb), L4_ERROR_KIP_AREA);
    EXPECT_EQ(error(L4_Nilpage, utcb), L4_ERROR_KIP_AREA);
    EXPECT_EQ(error(L4_FpageLog2(0xbffff000, 12), utcb), 0u) << "the last page";
  });
  ASSERT_TRUE(world.Run()) << world.problem();
}

TEST_F(ThreadCallsTest, AreasMayBeSetAgainUntilSomebodyLivesThere) {
  for (const bool once : {false, true}) {
    Quirks quirks = kManualRules;
    quirks.areas_set_once = once;
    World world({.ram_bytes = 1 << 20, .quirks = quirks});
    world.Spawn([&] {
      const L4_ThreadId_t t = L4_GlobalId(1000, 1);
      Create(t, t, L4_nilthread, kKeepUtcb);
      EXPECT_EQ(SetUpSpace(t), 1u);
      L4_Word_t old;
      EXPECT_EQ(L4_SpaceControl(t, 0, L4_FpageLog2(0x10000, 12), L4_FpageLog2(0x20000, 12),
                                L4_nilthread, &old),
                1u);
      EXPECT_EQ(Create(t, t, L4_Myself(), reinterpret_cast<void*>(0x20400)),
                once ? L4_ERROR_UTCB_AREA : 0u);
    });
    ASSERT_TRUE(world.Run()) << world.problem();
  }
}

TEST_F(ThreadCallsTest, RedirectorsAreThreads) {
  std::string log;
  const L4_ThreadId_t other = world_.Spawn([&] {
    L4_ThreadId_t from;
    for (;;) log += L4_IpcRedirected(L4_Wait(&from)) ? "redirected " : "direct ";
  });
  const L4_ThreadId_t redirector = world_.Spawn([&] {
    L4_ThreadId_t from;
    for (;;) {
      log += L4_IpcRedirected(L4_Wait(&from)) ? "caught " : "asked ";
      EXPECT_EQ(L4_IntendedReceiver(), other);
    }
  });
  const L4_ThreadId_t client = world_.SpawnInNewSpace([&] {
    for (;;) {
      world_.kernel().WaitForHost();
      L4_Set_MsgTag(L4_Niltag);
      L4_Send(other);
    }
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  L4_Word_t old;
  const auto set = [&](L4_ThreadId_t r) -> L4_Word_t {
    const bool ok = L4_SpaceControl(client, 0, L4_Nilpage, L4_Nilpage, r, &old) != 0;
    return ok ? 0 : L4_ErrorCode();
  };
  const struct {
    L4_ThreadId_t id;
    L4_Word_t error;
  } steps[] = {{L4_nilthread, 0},
               {redirector, 0},
               {L4_nilthread, 0},
               {L4_GlobalId(999, 1), L4_ERROR_INVALID_THREAD},
               {L4_anythread, 0}};
  for (const auto& step : steps) {
    RunPrivileged([&] { EXPECT_EQ(set(step.id), step.error); });
    world_.kernel().HostWake(client);
    ASSERT_TRUE(world_.Run()) << world_.problem();
  }
  EXPECT_EQ(log, "direct caught caught caught direct ");
}

// ---- Schedule, ThreadSwitch ----

TEST_F(ThreadCallsTest, ScheduleReportsStatesAndSetsPriorities) {
  const L4_ThreadId_t waiting = world_.Spawn([] {
    L4_ThreadId_t from;
    L4_Wait(&from);
  });
  const L4_ThreadId_t sending = world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(world_.kernel().root());
  });
  RunPrivileged([&] {
    L4_Yield();
    const L4_Word_t keep = ~L4_Word_t{0};
    L4_Word_t old;
    const auto state = [&](L4_ThreadId_t t) {
      return L4_Schedule(t, keep, keep, keep, keep, &old);
    };
    EXPECT_EQ(state(waiting), L4_SCHEDRESULT_WAITING);
    EXPECT_EQ(state(sending), L4_SCHEDRESULT_PENDING_SEND);
    EXPECT_EQ(state(L4_Myself()), L4_SCHEDRESULT_RUNNING);
    EXPECT_EQ(state(L4_GlobalId(999, 1)), L4_SCHEDRESULT_ERROR);
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_THREAD);
    EXPECT_EQ(L4_Set_Priority(waiting, 200), 0u) << "above its own";
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_PARAMETER);
    EXPECT_EQ(L4_Set_Priority(waiting, 7), L4_SCHEDRESULT_WAITING);
    EXPECT_EQ(Info(waiting).priority, 7);
  });
  L4_Word_t error = 0;
  world_.SpawnInNewSpace([&] {
    L4_Set_Priority(waiting, 1);
    error = L4_ErrorCode();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(error, L4_ERROR_NO_PRIVILEGE);
}

TEST_F(ThreadCallsTest, TheSchedulerIsWhomThreadControlNamedLast) {
  const L4_ThreadId_t t = world_.Spawn([] {
    L4_ThreadId_t from;
    L4_Wait(&from);
  });
  const L4_ThreadId_t other = world_.SpawnInNewSpace([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    EXPECT_NE(L4_Set_Priority(t, 5), 0u);
  });
  RunPrivileged([&] {
    L4_Yield();
    EXPECT_NE(L4_Set_Priority(t, 9), 0u);
    const auto name = [&](L4_ThreadId_t scheduler) {
      return L4_ThreadControl(t, L4_Myself(), scheduler, L4_nilthread, kKeepUtcb);
    };
    for (const L4_ThreadId_t scheduler : {other, L4_nilthread}) {
      EXPECT_NE(name(scheduler), 0u);
      EXPECT_EQ(L4_Set_Priority(t, 8), 0u) << "nilthread: it stays";
      EXPECT_EQ(L4_ErrorCode(), L4_ERROR_NO_PRIVILEGE);
    }
    L4_Set_MsgTag(L4_Niltag);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Send(other)));
  });
  EXPECT_EQ(Info(t).priority, 5);
}

TEST_F(ThreadCallsTest, ThreadSwitchNamesTheNext) {
  std::string order;
  L4_ThreadId_t last;
  world_.Spawn([&] {
    L4_ThreadSwitch(last);
    order += '1';
  });
  world_.Spawn([&] { order += '2'; });
  last = world_.Spawn([&] { order += '3'; });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(order, "321");
}

}  // namespace
}  // namespace fake_l4
