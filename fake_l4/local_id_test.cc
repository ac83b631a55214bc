// Local thread ids: UTCB addresses, valid within their space. X.2 manual: "Thread IDs", "IPC",
// "Lipc".
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/thread.h>

#include <set>
#include <string>

#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t Error(L4_Word_t reason, L4_Word_t phase) { return reason << 1 | phase; }

L4_MsgTag_t SendNothing(L4_ThreadId_t to, L4_Time_t timeout = L4_Never) {
  L4_Set_MsgTag(L4_Niltag);
  return L4_Send_Timeout(to, timeout);
}

class LocalIdTest : public ::testing::Test {
 protected:
  void Run() { ASSERT_TRUE(world_.Run()) << world_.problem(); }
  World world_;
};

TEST_F(LocalIdTest, EachThreadOfASpaceHasItsOwn) {
  L4_ThreadId_t ids[3] = {};
  for (L4_ThreadId_t& id : ids) world_.Spawn([&id] { id = L4_MyLocalId(); });
  Run();
  for (const L4_ThreadId_t id : ids) {
    EXPECT_TRUE(L4_IsLocalId(id));
    EXPECT_FALSE(L4_IsNilThread(id));
  }
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_NE(ids[1], ids[2]);
}

// Threads of the boot get UTCBs as long as the area has room.
TEST_F(LocalIdTest, AThreadWithoutRoomForItsUtcbHasNone) {
  Profile profile = kAmd64Nx;
  profile.root_utcb_area_log2 = 14;
  World world({.ram_bytes = uint64_t{4} << 20, .profile = profile});
  const uint64_t slots = uint64_t{1} << (profile.root_utcb_area_log2 - profile.utcb_log2);
  const L4_ThreadId_t first = world.kernel().Boot({.entry = [] {}, .new_space = true});
  const auto boot_one = [&] {
    return world.LocalId(world.kernel().Boot({.entry = [] {}, .space = world.SpaceOf(first)}));
  };
  std::set<uint64_t> ids = {world.LocalId(first).raw};
  while (ids.size() < slots) ASSERT_TRUE(ids.insert(boot_one().raw).second);
  const uint64_t base = world.kernel().root_utcb_area();
  EXPECT_EQ(*ids.begin(), base);
  EXPECT_EQ(*ids.rbegin(), base + ((slots - 1) << profile.utcb_log2));
  for (int i = 0; i < 2; i++) EXPECT_TRUE(L4_IsNilThread(boot_one()));
}

TEST_F(LocalIdTest, EitherIdTellsTheOther) {
  L4_ThreadId_t local, global;
  const L4_ThreadId_t t = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  world_.Spawn([&] {
    local = L4_LocalIdOf(t);
    global = L4_GlobalIdOf(local);
  });
  Run();
  EXPECT_EQ(local, world_.LocalId(t));
  EXPECT_EQ(global, t);
}

TEST_F(LocalIdTest, ALocalIdSendsAndReceives) {
  L4_ThreadId_t from = L4_nilthread;
  L4_MsgTag_t answer{};
  const L4_ThreadId_t server = world_.Spawn([&] {
    L4_Wait(&from);
    EXPECT_TRUE(L4_IpcSucceeded(SendNothing(from, L4_ZeroTime)));
  });
  L4_ThreadId_t answered_by = L4_nilthread;
  const L4_ThreadId_t client = world_.Spawn([&] {
    const L4_ThreadId_t local = L4_LocalIdOf(server);
    L4_Set_MsgTag(L4_Niltag);
    answer = L4_Ipc(local, local, 0, &answered_by);
  });
  Run();
  EXPECT_TRUE(L4_IpcSucceeded(answer));
  EXPECT_EQ(from, world_.LocalId(client));
  EXPECT_EQ(answered_by, world_.LocalId(server));
}

// Whatever id the receiver used, the sender in its space is named by the local one.
TEST_F(LocalIdTest, FromIsTheLocalIdWithinASpaceAndTheGlobalOneBetween) {
  L4_ThreadId_t neighbour, foreigner, from[4] = {};
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    L4_Ipc(L4_nilthread, neighbour, 0, &from[0]);
    L4_Ipc(L4_nilthread, L4_anylocalthread, 0, &from[1]);
    L4_Ipc(L4_nilthread, world_.LocalId(neighbour), 0, &from[2]);
    L4_Ipc(L4_nilthread, L4_anythread, 0, &from[3]);
  });
  neighbour = world_.Spawn([&] {
    for (int i = 0; i < 3; i++) SendNothing(receiver);
  });
  foreigner = world_.SpawnInNewSpace([&] { SendNothing(receiver); });
  Run();
  for (int i = 0; i < 3; i++) EXPECT_EQ(from[i], world_.LocalId(neighbour)) << i;
  EXPECT_EQ(from[3], foreigner);
}

// Two spaces whose UTCB areas lie at the same addresses: the same word names another thread.
TEST_F(LocalIdTest, ALocalIdMeansTheOwnSpacesThread) {
  L4_ThreadId_t got = L4_nilthread;
  const L4_ThreadId_t here = world_.SpawnInNewSpace([&] { world_.kernel().WaitForHost(); });
  const L4_ThreadId_t there = world_.SpawnInNewSpace([&] { L4_Wait(&got); });
  Run();
  ASSERT_EQ(world_.LocalId(here), world_.LocalId(there));
  L4_Word_t error = 0;
  world_.SpawnWith(here, [&] {
    SendNothing(world_.LocalId(there), L4_ZeroTime);
    error = L4_ErrorCode();
  });
  Run();
  EXPECT_EQ(error, Error(L4_IPC_TIMEOUT, 0));  // `here` is not receiving
  EXPECT_TRUE(L4_IsNilThread(got));
}

TEST_F(LocalIdTest, WordsThatNameNobody) {
  for (const L4_Word_t raw :
       {L4_Word_t{64}, ~L4_Word_t{0} << 6, ~L4_Word_t{0}, L4_Word_t{1} << (L4_WORD_BITS - 1)}) {
    L4_Word_t send = 0, receive = 0;
    world_.Spawn([&] {
      L4_ThreadId_t from;
      L4_Set_MsgTag(L4_Niltag);
      L4_Ipc(L4_ThreadIdOfRaw(raw), L4_nilthread, 0, &from);
      send = L4_ErrorCode();
      L4_Ipc(L4_nilthread, L4_ThreadIdOfRaw(raw), L4_Timeouts(L4_Never, L4_TimePeriod(10)), &from);
      receive = L4_ErrorCode();
    });
    Run();
    EXPECT_EQ(send, Error(L4_IPC_NO_PARTNER, 0)) << raw;
    const bool wildcard =
        L4_ThreadIdOfRaw(raw) == L4_anythread || L4_ThreadIdOfRaw(raw) == L4_anylocalthread;
    EXPECT_EQ(receive, Error(wildcard ? L4_IPC_TIMEOUT : L4_IPC_NO_PARTNER, 1)) << raw;
  }
}

TEST_F(LocalIdTest, TheUtcbAThreadIsGivenIsItsLocalId) {
  const L4_Word_t utcb = world_.kernel().root_utcb_area() + 3 * world_.kernel().utcb_bytes();
  L4_ThreadId_t from = L4_nilthread;
  const L4_ThreadId_t child = L4_GlobalId(200, 1);
  world_.kernel().RegisterEntry(0x5000, [] { SendNothing(L4_Pager()); });
  world_.Spawn([&] {
    L4_ThreadControl(child, L4_Myself(), L4_Myself(), L4_Myself(), reinterpret_cast<void*>(utcb));
    L4_LoadMR(1, 0x5000);
    L4_LoadMR(2, 0);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
    L4_Ipc(child, child, 0, &from);
  });
  Run();
  EXPECT_EQ(from.raw, utcb);
}

TEST_F(LocalIdTest, WhoeverWaitsByLocalIdIsToldOfADeletion) {
  L4_Word_t receive = 0, send = 0;
  const L4_ThreadId_t victim = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  world_.Spawn([&] {
    L4_Receive(world_.LocalId(victim));
    receive = L4_ErrorCode();
  });
  world_.Spawn([&] {
    SendNothing(world_.LocalId(victim));
    send = L4_ErrorCode();
  });
  Run();
  world_.Spawn([&] {
    L4_ThreadControl(victim, L4_nilthread, L4_nilthread, L4_nilthread,
                     reinterpret_cast<void*>(~L4_Word_t{0}));
  });
  Run();
  EXPECT_EQ(receive, Error(L4_IPC_NO_PARTNER, 1));
  EXPECT_EQ(send, Error(L4_IPC_NO_PARTNER, 0));
}

// The id outlives the thread that was last heard of, and then means who has the UTCB now.
TEST_F(LocalIdTest, AReusedUtcbNamesItsNewThread) {
  const auto utcb =
      reinterpret_cast<void*>(world_.kernel().root_utcb_area() + 5 * world_.kernel().utcb_bytes());
  const L4_ThreadId_t first = L4_GlobalId(200, 1), second = L4_GlobalId(201, 1);
  std::string log;
  world_.kernel().RegisterEntry(0x5000, [&] {
    log += L4_Myself() == first ? '1' : '2';
    SendNothing(L4_Pager());
    L4_Receive(L4_Pager());
    log += L4_Myself() == first ? 'a' : 'b';
  });
  world_.Spawn([&] {
    L4_ThreadId_t from[2];
    for (int i = 0; i < 2; i++) {
      const L4_ThreadId_t child = i == 0 ? first : second;
      L4_ThreadControl(child, L4_Myself(), L4_Myself(), L4_Myself(), utcb);
      L4_LoadMR(1, 0x5000);
      L4_LoadMR(2, 0);
      L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
      L4_Ipc(child, child, 0, &from[i]);
      if (i == 0) {
        L4_ThreadControl(first, L4_nilthread, L4_nilthread, L4_nilthread,
                         reinterpret_cast<void*>(~L4_Word_t{0}));
        SendNothing(from[0], L4_ZeroTime);
        EXPECT_EQ(L4_ErrorCode(), Error(L4_IPC_NO_PARTNER, 0));
      }
    }
    EXPECT_EQ(from[0], from[1]);
    SendNothing(from[0]);
  });
  Run();
  EXPECT_EQ(log, "12b");
}

TEST_F(LocalIdTest, APagerAndAVirtualSenderMayBeNamedLocally) {
  L4_ThreadId_t pager, from = L4_nilthread, actual = L4_nilthread;
  pager = world_.Spawn([] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(0x1000000, 20));
    PagerLoop();
  });
  bool stored = false;
  world_.Spawn([&] {
    L4_Set_Pager(world_.LocalId(pager));
    char c = 0;
    stored = world_.kernel().cpu().Store(base::Vaddr(0x1001000), &c, 1) == AccessStatus::kOk;
  });
  const L4_ThreadId_t receiver = world_.SpawnInNewSpace([&] {
    L4_Wait(&from);
    actual = L4_ActualSender();
  });
  const L4_ThreadId_t speaker = world_.Spawn([&] {
    L4_MsgTag_t tag = L4_Niltag;
    L4_Set_Propagation(&tag);
    L4_Set_VirtualSender(world_.LocalId(pager));
    L4_Set_MsgTag(tag);
    L4_Send(receiver);
  });
  Run();
  EXPECT_TRUE(stored);
  EXPECT_EQ(from, pager);
  EXPECT_EQ(actual, speaker);
}

TEST_F(LocalIdTest, LipcIsIpcWithinASpaceAndBetween) {
  L4_ThreadId_t from[2] = {}, local, foreign;
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    for (L4_ThreadId_t& f : from) L4_Lipc(L4_nilthread, L4_anythread, 0, &f);
  });
  const auto send = [&] {
    L4_ThreadId_t unused;
    L4_Set_MsgTag(L4_Niltag);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Lipc(receiver, L4_nilthread, 0, &unused)));
  };
  local = world_.Spawn(send);
  foreign = world_.SpawnInNewSpace(send);
  Run();
  EXPECT_EQ(from[0], world_.LocalId(local));
  EXPECT_EQ(from[1], foreign);
}

// A sender that moves into the receiver's space is a local one from then on.
TEST_F(LocalIdTest, MigrationMakesASenderLocal) {
  L4_ThreadId_t from = L4_nilthread;
  const L4_ThreadId_t receiver =
      world_.Spawn([&] { L4_Ipc(L4_nilthread, L4_anylocalthread, 0, &from); });
  const L4_ThreadId_t home = world_.SpawnInNewSpace([&] { world_.kernel().WaitForHost(); });
  const L4_ThreadId_t sender = world_.SpawnWith(home, [&] { SendNothing(receiver); });
  Run();
  EXPECT_TRUE(L4_IsNilThread(from));
  const L4_Word_t utcb = world_.kernel().root_utcb_area() + 7 * world_.kernel().utcb_bytes();
  world_.Spawn([&] {
    EXPECT_EQ(L4_ThreadControl(sender, L4_Myself(), L4_nilthread, L4_nilthread,
                               reinterpret_cast<void*>(utcb)),
              1u);
  });
  Run();
  EXPECT_FALSE(L4_IsNilThread(from));
  EXPECT_EQ(world_.LocalId(sender).raw, utcb);
}

}  // namespace
}  // namespace fake_l4
