// Exceptions: what the handler is told, and what its answer does.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/thread.h>

#include <string>
#include <vector>

#include "base/addr.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t Label(unsigned protocol) { return (~L4_Word_t{0} >> 16) - protocol * 16 + 1; }

struct Told {
  L4_MsgTag_t tag = L4_Niltag;
  L4_ThreadId_t from = L4_nilthread;
  L4_Word_t mr[13] = {};
};

Told WaitForException() {
  Told told;
  told.tag = L4_Wait(&told.from);
  L4_StoreMRs(1, 12, told.mr + 1);
  return told;
}

class ExceptionTest : public ::testing::Test {
 protected:
  explicit ExceptionTest(const Profile& profile = kAmd64Nx)
      : world_({.ram_bytes = uint64_t{4} << 20, .profile = profile}) {}
  Cpu cpu() { return world_.kernel().cpu(); }
  ThreadInfo Info(L4_ThreadId_t t) {
    ThreadInfo info{};
    EXPECT_TRUE(world_.kernel().Inspect(t, &info));
    return info;
  }
  // A thread in a space of its own, whose exceptions go to `handler`.
  L4_ThreadId_t SpawnClient(L4_ThreadId_t handler, std::function<void()> body) {
    return world_.SpawnInNewSpace([handler, body] {
      L4_Set_ExceptionHandler(handler);
      body();
    });
  }
  World world_;
};

class Ia32ExceptionTest : public ExceptionTest {
 protected:
  Ia32ExceptionTest() : ExceptionTest(kIa32) {}
};

TEST_F(ExceptionTest, TheHandlerIsToldTheRegisters) {
  Told told;
  const L4_ThreadId_t handler = world_.Spawn([&] { told = WaitForException(); });
  const L4_ThreadId_t client = SpawnClient(handler, [&] {
    cpu().set_ip(0x1234);
    cpu().set_sp(0x8000);
    cpu().set_flags(0x202);
    (void)cpu().RaiseException(kExceptionInvalidOpcode, 7);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(told.from, client);
  EXPECT_EQ(L4_Label(told.tag), Label(4));
  EXPECT_EQ(L4_UntypedWords(told.tag), 6u);
  EXPECT_EQ(L4_TypedWords(told.tag), 0u);
  const L4_Word_t expected[] = {0x1234, 0x8000, 0x202, kExceptionInvalidOpcode, 7};
  for (int i = 0; i < 5; i++) EXPECT_EQ(told.mr[1 + i], expected[i]) << i;
  EXPECT_TRUE(Info(client).in_exception);
  EXPECT_NE(world_.kernel().DescribeWaits().find("exception 6"), std::string::npos);
}

// A trap, a system call's entry and a message.
TEST_F(ExceptionTest, AnExceptionTakesTimeAsAFaultDoes) {
  uint64_t before = 0, after = 0;
  const L4_ThreadId_t handler = world_.Spawn([&] {
    WaitForException();
    after = world_.kernel().now_ns();
  });
  SpawnClient(handler, [&] {
    before = world_.kernel().now_ns();
    (void)cpu().RaiseException(kExceptionInvalidOpcode);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  const CostsNs& costs = world_.kernel().profile().costs;
  EXPECT_GE(after - before, costs.page_fault + costs.system_call + costs.ipc);
}

// Whom somebody stops has no exception that nobody handled.
TEST_F(ExceptionTest, BeingHaltedIsNoException) {
  const L4_ThreadId_t client = SpawnClient(L4_nilthread, [] {
    L4_ThreadId_t from;
    L4_Wait(&from);
  });
  world_.SpawnWith(client, [&] { L4_Stop(client); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(Info(client).halted);
  EXPECT_FALSE(Info(client).halted_by_exception);
}

TEST_F(Ia32ExceptionTest, TheIa32MessageHasTheGeneralRegisters) {
  Told told;
  const L4_ThreadId_t handler = world_.Spawn([&] { told = WaitForException(); });
  SpawnClient(handler, [&] {
    cpu().set_ip(0x1234);
    cpu().set_sp(0x8000);
    cpu().set_flags(0x202);
    for (unsigned i = 0; i < kGeneralRegisters; i++) cpu().set_general(i, 100 + i);
    (void)cpu().RaiseException(kExceptionInvalidOpcode);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(L4_Label(told.tag), Label(5));
  EXPECT_EQ(L4_UntypedWords(told.tag), 12u);
  // EIP, EFLAGS, exception, error code, EDI, ESI, EBP, ESP, EBX, EDX, ECX, EAX.
  const L4_Word_t expected[] = {0x1234, 0x202, 6, 0, 100, 101, 102, 0x8000, 103, 104, 105, 106};
  for (int i = 0; i < 12; i++) EXPECT_EQ(told.mr[1 + i], expected[i]) << i;
}

TEST_F(Ia32ExceptionTest, TheAnswerSetsTheRegisters) {
  const L4_ThreadId_t handler = world_.Spawn([&] {
    Told told = WaitForException();
    told.mr[2] = 0x246;
    told.mr[5] = 50;      // EDI
    told.mr[8] = 0x7000;  // ESP
    told.mr[12] = 51;     // EAX
    L4_Set_MsgTag(L4_MakeMsgTag(0, 12, 0));
    L4_LoadMRs(1, 12, told.mr + 1);
    L4_Reply(told.from);
  });
  AccessStatus status = AccessStatus::kRedirected;
  L4_Word_t seen[5] = {};
  SpawnClient(handler, [&] {
    cpu().set_ip(0x1234);
    status = cpu().RaiseException(kExceptionInvalidOpcode);
    seen[0] = static_cast<L4_Word_t>(cpu().ip());
    seen[1] = static_cast<L4_Word_t>(cpu().sp());
    seen[2] = static_cast<L4_Word_t>(cpu().flags());
    seen[3] = static_cast<L4_Word_t>(cpu().general(0));
    seen[4] = static_cast<L4_Word_t>(cpu().general(6));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(status, AccessStatus::kOk) << "the same IP: the instruction is to be executed again";
  const L4_Word_t expected[] = {0x1234, 0x7000, 0x246, 50, 51};
  for (int i = 0; i < 5; i++) EXPECT_EQ(seen[i], expected[i]) << i;
}

TEST_F(ExceptionTest, TheMessageRegistersOfTheThreadAreUntouched) {
  const L4_ThreadId_t handler = world_.Spawn([&] {
    const Told told = WaitForException();
    L4_Set_MsgTag(L4_Niltag);
    L4_Reply(told.from);
  });
  L4_Word_t after = 0;
  SpawnClient(handler, [&] {
    L4_LoadMR(3, 77);
    (void)cpu().RaiseException(kExceptionInvalidOpcode);
    L4_StoreMR(3, &after);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(after, 77u);
}

TEST_F(ExceptionTest, AnAnswerWithAnotherIpGoesOnThere) {
  std::string log;
  world_.kernel().RegisterEntry(0x77000, [&] { log += "there "; });
  const L4_ThreadId_t handler = world_.Spawn([&] {
    Told told = WaitForException();
    told.mr[1] = 0x77000;
    L4_Set_MsgTag(L4_MakeMsgTag(0, 6, 0));
    L4_LoadMRs(1, 6, told.mr + 1);
    L4_Reply(told.from);
  });
  SpawnClient(handler, [&] {
    log += "here ";
    (void)cpu().RaiseException(kExceptionInvalidOpcode);
    log += "never ";
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(log, "here there ");
}

TEST_F(ExceptionTest, WithoutAHandlerTheThreadIsHaltedUntilSomebodySetsItsIp) {
  AccessStatus status = AccessStatus::kOk;
  bool over = false;
  const L4_ThreadId_t client = SpawnClient(L4_nilthread, [&] {
    cpu().set_ip(0x1000);
    char c = 0;
    status = cpu().Load(base::Vaddr(kAmd64Nx.user_top - 4), &c, 8);
    over = true;
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(over);
  EXPECT_TRUE(Info(client).halted);
  EXPECT_TRUE(Info(client).halted_by_exception);
  EXPECT_EQ(Info(client).exception, kExceptionGeneralProtection);
  EXPECT_NE(world_.kernel().DescribeWaits().find("unhandled exception 13 at ip 0x1000"),
            std::string::npos);
  EXPECT_EQ(world_.kernel().ledger().page_faults, 0u);
  // Let go as it is, it does the same again.
  world_.SpawnWith(client, [&] { L4_Start(client); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(Info(client).halted_by_exception);
  world_.SpawnWith(client, [&] { L4_Start(client, 0, 0x2000); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(over);
  EXPECT_EQ(status, AccessStatus::kRedirected);
}

TEST_F(ExceptionTest, AccessesAtTheEdgeOfUserAddresses) {
  std::vector<L4_Word_t> exceptions;
  const L4_ThreadId_t handler = world_.Spawn([&] {
    for (;;) {
      const Told told = WaitForException();
      exceptions.push_back(told.mr[4]);
      // Past the instruction, where nothing is registered.
      L4_LoadMR(1, told.mr[1] + 1);
      L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
      L4_Reply(told.from);
    }
  });
  AccessStatus status[4] = {};
  SpawnClient(handler, [&] {
    char c[16] = {};
    status[0] = cpu().Load(base::Vaddr(kAmd64Nx.user_top), c, 1);
    status[1] = cpu().Store(base::Vaddr(kAmd64Nx.user_top - 4), c, 8);
    status[2] = cpu().Load(base::Vaddr(~uint64_t{0} - 3), c, 8);
    status[3] = cpu().Fetch(base::Vaddr(~uint64_t{0}));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  for (AccessStatus s : status) EXPECT_EQ(s, AccessStatus::kRedirected);
  EXPECT_EQ(exceptions, std::vector<L4_Word_t>(4, L4_Word_t{kExceptionGeneralProtection}));
}

TEST_F(Ia32ExceptionTest, KernelAddressesRaiseAPageFaultException) {
  std::vector<L4_Word_t> codes;
  const L4_ThreadId_t handler = world_.Spawn([&] {
    for (;;) {
      const Told told = WaitForException();
      EXPECT_EQ(told.mr[3], L4_Word_t{kExceptionPageFault});
      codes.push_back(told.mr[4]);
      L4_LoadMR(1, told.mr[1] + 1);
      L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
      L4_Reply(told.from);
    }
  });
  SpawnClient(handler, [&] {
    char c = 0;
    EXPECT_EQ(cpu().Load(base::Vaddr(0xc0000000), &c, 1), AccessStatus::kRedirected);
    EXPECT_EQ(cpu().Store(base::Vaddr(0xffffffff), &c, 1), AccessStatus::kRedirected);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(codes, (std::vector<L4_Word_t>{5, 7}));
}

TEST_F(ExceptionTest, AHandlerThatDiesLeavesTheThreadHalted) {
  bool over = false;
  const L4_ThreadId_t handler = world_.Spawn([&] { WaitForException(); });
  const L4_ThreadId_t client = SpawnClient(handler, [&] {
    (void)cpu().RaiseException(kExceptionInvalidOpcode);
    over = true;
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(Info(client).halted);
  world_.Spawn([&] {
    L4_ThreadControl(handler, L4_nilthread, L4_nilthread, L4_nilthread,
                     reinterpret_cast<void*>(~L4_Word_t{0}));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(over);
  EXPECT_TRUE(Info(client).halted_by_exception);
}

TEST_F(ExceptionTest, ItsOwnHandlerIsNone) {
  const L4_ThreadId_t t = world_.Spawn([&] {
    L4_Set_ExceptionHandler(L4_MyGlobalId());
    (void)cpu().RaiseException(kExceptionInvalidOpcode, 0);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(Info(t).halted);
}

// Whoever cancels an exception and sets the IP knows how the thread is to go on.
TEST_F(ExceptionTest, ACancelledExceptionGoesOnElsewhere) {
  bool there = false;
  world_.kernel().RegisterEntry(0x77000, [&] { there = true; });
  L4_ThreadId_t client{};
  const L4_ThreadId_t handler = world_.Spawn([&] { WaitForException(); });
  client = SpawnClient(handler, [&] { (void)cpu().RaiseException(kExceptionInvalidOpcode, 0); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  world_.SpawnWith(client, [&] {
    L4_ExchangeSome(client, L4_EXREGS_CANCEL_RECV | L4_EXREGS_SET_IP, 0, 0x77000, 0, nullptr,
                    nullptr, nullptr, nullptr);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(there);
  EXPECT_FALSE(Info(client).halted);
}

TEST_F(ExceptionTest, AHaltedThreadTakesTheAnswerAndStaysHalted) {
  bool over = false;
  L4_ThreadId_t client;
  const L4_ThreadId_t handler = world_.Spawn([&] {
    const Told told = WaitForException();
    L4_Stop(told.from);
    L4_Set_MsgTag(L4_Niltag);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(told.from)));
  });
  client = world_.Spawn([&] {
    L4_Set_ExceptionHandler(handler);
    (void)cpu().RaiseException(kExceptionInvalidOpcode);
    over = true;
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(over);
  EXPECT_TRUE(Info(client).halted);
  EXPECT_FALSE(Info(client).in_exception);
  world_.Spawn([&] { L4_Start(client); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(over);
}

TEST_F(ExceptionTest, AnAddressWithoutCodeIsAnInvalidOpcode) {
  std::string log;
  world_.kernel().RegisterEntry(0x77000, [&] { log += "there"; });
  Told told;
  const L4_ThreadId_t handler = world_.Spawn([&] {
    told = WaitForException();
    L4_LoadMR(1, 0x77000);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
    L4_Reply(told.from);
  });
  const L4_ThreadId_t client = world_.Spawn([&] { L4_Set_ExceptionHandler(handler); });
  world_.Spawn([&] {
    L4_Yield();
    L4_Start(client, 0, 0x88000);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(told.from, world_.LocalId(client));
  EXPECT_EQ(told.mr[1], 0x88000u);
  EXPECT_EQ(told.mr[4], L4_Word_t{kExceptionInvalidOpcode});
  EXPECT_EQ(log, "there");
}

}  // namespace
}  // namespace fake_l4
