// Redirectors: messages that leave a space go to the thread that SpaceControl named. X.2 manual:
// "SpaceControl", "IPC" (r bit, IntendedReceiver), "Propagation".
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <functional>
#include <string>
#include <utility>

#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

struct Received {
  L4_MsgTag_t tag = {0};
  L4_ThreadId_t from = {0}, actual = {0}, intended = {0};
  L4_Word_t word = 0, error = 0;
};

Received Wait(L4_ThreadId_t from_spec = L4_anythread, L4_Time_t timeout = L4_Never) {
  Received r;
  r.tag = L4_Ipc(L4_nilthread, from_spec, L4_Timeouts(L4_Never, timeout), &r.from);
  if (L4_IpcFailed(r.tag)) r.error = L4_ErrorCode();
  if (L4_IpcPropagated(r.tag)) r.actual = L4_ActualSender();
  if (L4_IpcRedirected(r.tag)) r.intended = L4_IntendedReceiver();
  L4_StoreMR(1, &r.word);
  return r;
}

L4_MsgTag_t SendWord(L4_ThreadId_t to, L4_Word_t word, L4_Time_t timeout = L4_Never) {
  L4_LoadMR(1, word);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
  return L4_Send_Timeout(to, timeout);
}

// Sends in the name of `virtual_sender`.
L4_MsgTag_t Forward(L4_ThreadId_t to, L4_ThreadId_t virtual_sender, L4_Word_t word) {
  L4_MsgTag_t tag = L4_MakeMsgTag(0, 1, 0);
  L4_Set_Propagation(&tag);
  L4_Set_VirtualSender(virtual_sender);
  L4_LoadMR(1, word);
  L4_Set_MsgTag(tag);
  return L4_Send(to);
}

class RedirectionTest : public ::testing::Test {
 protected:
  // Names the redirector of the space of `t`; takes effect before anything that is spawned later
  // runs.
  void Redirect(L4_ThreadId_t t, L4_ThreadId_t redirector) {
    L4_Word_t result = 0;
    world_.Spawn([&result, t, redirector] {
      L4_Word_t old;
      result = L4_SpaceControl(t, 0, L4_Nilpage, L4_Nilpage, redirector, &old);
    });
    ASSERT_TRUE(world_.Run()) << world_.problem();
    ASSERT_EQ(result, 1u);
  }
  L4_ThreadId_t Sleeper() {
    return world_.SpawnInNewSpace([this] { world_.kernel().WaitForHost(); });
  }
  void Run() { ASSERT_TRUE(world_.Run()) << world_.problem(); }

  World world_;
  Received at_redirector_, at_dest_, at_sender_;
};

TEST_F(RedirectionTest, AMessageThatLeavesTheSpaceGoesToItsRedirector) {
  const L4_ThreadId_t dest = world_.SpawnInNewSpace([&] { at_dest_ = Wait(); });
  const L4_ThreadId_t redirector = world_.SpawnInNewSpace([&] { at_redirector_ = Wait(); });
  const L4_ThreadId_t home = Sleeper();
  Redirect(home, redirector);
  L4_MsgTag_t sent{};
  const L4_ThreadId_t sender = world_.SpawnWith(home, [&] { sent = SendWord(dest, 7); });
  Run();
  EXPECT_TRUE(L4_IpcSucceeded(sent));
  EXPECT_TRUE(L4_IpcRedirected(at_redirector_.tag));
  EXPECT_FALSE(L4_IpcPropagated(at_redirector_.tag));
  EXPECT_EQ(at_redirector_.from, sender);
  EXPECT_EQ(at_redirector_.intended, dest);
  EXPECT_EQ(at_redirector_.word, 7u);
  EXPECT_TRUE(L4_IsNilThread(at_dest_.from));
}

// The redirector lets the message through; the answer comes back without it.
TEST_F(RedirectionTest, ARedirectorMayPassAMessageOnInItsSendersName) {
  const L4_ThreadId_t dest = world_.SpawnInNewSpace([&] {
    at_dest_ = Wait();
    EXPECT_TRUE(L4_IpcSucceeded(SendWord(at_dest_.from, 99, L4_ZeroTime)));
  });
  const L4_ThreadId_t redirector = world_.SpawnInNewSpace([&] {
    at_redirector_ = Wait();
    EXPECT_TRUE(L4_IpcSucceeded(
        Forward(at_redirector_.intended, at_redirector_.from, at_redirector_.word + 1)));
  });
  const L4_ThreadId_t home = Sleeper();
  Redirect(home, redirector);
  const L4_ThreadId_t sender = world_.SpawnWith(home, [&] {
    L4_LoadMR(1, 7);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
    L4_Ipc(dest, dest, 0, &at_sender_.from);
    L4_StoreMR(1, &at_sender_.word);
  });
  Run();
  EXPECT_EQ(at_dest_.from, sender);
  EXPECT_TRUE(L4_IpcPropagated(at_dest_.tag));
  EXPECT_FALSE(L4_IpcRedirected(at_dest_.tag));
  EXPECT_EQ(at_dest_.actual, redirector);
  EXPECT_EQ(at_dest_.word, 8u);
  EXPECT_EQ(at_sender_.from, dest);
  EXPECT_EQ(at_sender_.word, 99u);
}

TEST_F(RedirectionTest, OnlyTheRedirectorMaySpeakForTheSpace) {
  const L4_ThreadId_t dest = world_.SpawnInNewSpace([&] { at_dest_ = Wait(); });
  const L4_ThreadId_t redirector = Sleeper();
  const L4_ThreadId_t home = Sleeper();
  Redirect(home, redirector);
  const L4_ThreadId_t stranger = world_.SpawnInNewSpace([&] { Forward(dest, home, 1); });
  Run();
  EXPECT_EQ(at_dest_.from, stranger);
  EXPECT_FALSE(L4_IpcPropagated(at_dest_.tag));
}

TEST_F(RedirectionTest, MessagesWithinTheSpaceAreNotRedirected) {
  const L4_ThreadId_t redirector = world_.SpawnInNewSpace([&] { at_redirector_ = Wait(); });
  const L4_ThreadId_t home = Sleeper();
  Redirect(home, redirector);
  const L4_ThreadId_t dest = world_.SpawnWith(home, [&] { at_dest_ = Wait(); });
  const L4_ThreadId_t sender = world_.SpawnWith(home, [&] { SendWord(dest, 7); });
  Run();
  EXPECT_EQ(at_dest_.from, world_.LocalId(sender));
  EXPECT_FALSE(L4_IpcRedirected(at_dest_.tag));
  EXPECT_TRUE(L4_IsNilThread(at_redirector_.from));
}

TEST_F(RedirectionTest, AMessageForTheRedirectorItselfIsAnOrdinaryOne) {
  const L4_ThreadId_t redirector = world_.SpawnInNewSpace([&] { at_redirector_ = Wait(); });
  const L4_ThreadId_t home = Sleeper();
  Redirect(home, redirector);
  world_.SpawnWith(home, [&] { SendWord(redirector, 7); });
  Run();
  EXPECT_EQ(at_redirector_.word, 7u);
  EXPECT_FALSE(L4_IpcRedirected(at_redirector_.tag));
}

TEST_F(RedirectionTest, MessagesIntoTheSpaceAreNotRedirected) {
  const L4_ThreadId_t redirector = Sleeper();
  const L4_ThreadId_t dest = world_.SpawnInNewSpace([&] { at_dest_ = Wait(); });
  Redirect(dest, redirector);
  const L4_ThreadId_t sender = world_.SpawnInNewSpace([&] { SendWord(dest, 3); });
  Run();
  EXPECT_EQ(at_dest_.from, sender);
}

// The redirector waits for one sender only: the message waits in its queue, and the send timeout
// counts.
TEST_F(RedirectionTest, TheSendersTimeoutWaitsForTheRedirector) {
  const L4_ThreadId_t dest = world_.SpawnInNewSpace([&] { at_dest_ = Wait(); });
  const L4_ThreadId_t redirector = Sleeper();
  const L4_ThreadId_t home = Sleeper();
  Redirect(home, redirector);
  L4_Word_t zero = 0, finite = 0;
  world_.SpawnWith(home, [&] {
    SendWord(dest, 1, L4_ZeroTime);
    zero = L4_ErrorCode();
    SendWord(dest, 1, L4_TimePeriod(1000));
    finite = L4_ErrorCode();
  });
  Run();
  EXPECT_EQ(zero, L4_IPC_TIMEOUT << 1);
  EXPECT_EQ(finite, L4_IPC_TIMEOUT << 1);
  EXPECT_TRUE(L4_IsNilThread(at_dest_.from));
}

TEST_F(RedirectionTest, ADestinationThatDoesNotExistIsNoMatterForTheRedirector) {
  const L4_ThreadId_t redirector = world_.SpawnInNewSpace([&] { at_redirector_ = Wait(); });
  const L4_ThreadId_t home = Sleeper();
  Redirect(home, redirector);
  L4_Word_t error = 0;
  world_.SpawnWith(home, [&] {
    SendWord(L4_GlobalId(5000, 1), 1);
    error = L4_ErrorCode();
  });
  Run();
  EXPECT_EQ(error, L4_IPC_NO_PARTNER << 1);
  EXPECT_TRUE(L4_IsNilThread(at_redirector_.from));
}

// The first redirector's own messages leave its space, and that has a redirector, too. Both may
// speak for the sender.
TEST_F(RedirectionTest, AChainOfRedirectors) {
  const L4_ThreadId_t dest = world_.SpawnInNewSpace([&] { at_dest_ = Wait(); });
  Received at_outer;
  const L4_ThreadId_t outer = world_.SpawnInNewSpace([&] {
    at_outer = Wait();
    Forward(at_outer.intended, at_outer.from, at_outer.word * 10);
  });
  const L4_ThreadId_t inner = world_.SpawnInNewSpace([&] {
    at_redirector_ = Wait();
    Forward(at_redirector_.intended, at_redirector_.from, at_redirector_.word * 10);
  });
  const L4_ThreadId_t home = Sleeper();
  Redirect(home, inner);
  Redirect(inner, outer);
  const L4_ThreadId_t sender = world_.SpawnWith(home, [&] { SendWord(dest, 7); });
  Run();
  EXPECT_EQ(at_redirector_.from, sender);
  EXPECT_EQ(at_outer.from, sender);
  EXPECT_EQ(at_outer.actual, inner);
  EXPECT_EQ(at_outer.intended, dest);
  EXPECT_TRUE(L4_IpcRedirected(at_outer.tag) && L4_IpcPropagated(at_outer.tag));
  EXPECT_EQ(at_dest_.from, sender);
  EXPECT_EQ(at_dest_.actual, outer);
  EXPECT_EQ(at_dest_.word, 700u);
}

// Two spaces that redirect to each other: messages bounce between the redirectors as long as those
// pass them on, and no check goes round for ever.
TEST_F(RedirectionTest, RedirectorsOfEachOther) {
  const L4_ThreadId_t dest = world_.SpawnInNewSpace([&] { at_dest_ = Wait(); });
  Received at_a, at_b;
  L4_ThreadId_t a, b;
  a = world_.SpawnInNewSpace([&] {
    SendWord(dest, 1);
    at_a = Wait(L4_anythread, L4_TimePeriod(1000));
  });
  b = world_.SpawnInNewSpace([&] {
    at_b = Wait();
    // Its message leaves for `a`, which is its redirector: an ordinary one. Only somebody's
    // redirector may speak for a; b is.
    Forward(a, a, 2);
    Forward(dest, at_b.from, 3);
  });
  // In one step, before either runs.
  world_.Spawn(
      [&] {
        L4_Word_t old;
        L4_SpaceControl(a, 0, L4_Nilpage, L4_Nilpage, b, &old);
        L4_SpaceControl(b, 0, L4_Nilpage, L4_Nilpage, a, &old);
      },
      200);
  Run();
  EXPECT_EQ(at_b.from, a);
  EXPECT_EQ(at_b.intended, dest);
  EXPECT_EQ(at_a.from, world_.LocalId(a));  // its own name, from b
  EXPECT_EQ(at_a.word, 2u);
  EXPECT_TRUE(L4_IsNilThread(at_dest_.from));
}

TEST_F(RedirectionTest, ARedirectorThatVanishesLetsNothingOut) {
  const L4_ThreadId_t dest = world_.SpawnInNewSpace([&] { at_dest_ = Wait(); });
  const L4_ThreadId_t redirector = Sleeper();
  const L4_ThreadId_t home = Sleeper();
  Redirect(home, redirector);
  L4_Word_t waiting = 0, later = 0;
  world_.SpawnWith(home, [&] {
    SendWord(dest, 1);
    waiting = L4_ErrorCode();
    SendWord(dest, 1);
    later = L4_ErrorCode();
  });
  Run();
  world_.Spawn([&] {
    L4_ThreadControl(redirector, L4_nilthread, L4_nilthread, L4_nilthread,
                     reinterpret_cast<void*>(~L4_Word_t{0}));
  });
  Run();
  EXPECT_EQ(waiting, L4_IPC_NO_PARTNER << 1);
  EXPECT_EQ(later, L4_IPC_NO_PARTNER << 1);
  EXPECT_TRUE(L4_IsNilThread(at_dest_.from));
}

TEST_F(RedirectionTest, ARedirectorCanBeChangedAndTakenAway) {
  const L4_ThreadId_t dest = world_.SpawnInNewSpace([&] { at_dest_ = Wait(); });
  const L4_ThreadId_t first = Sleeper();
  const L4_ThreadId_t second = world_.SpawnInNewSpace([&] { at_redirector_ = Wait(); });
  const L4_ThreadId_t home = Sleeper();
  Redirect(home, first);
  Redirect(home, L4_nilthread);  // stays
  L4_Word_t stuck = 0;
  world_.SpawnWith(home, [&] {
    SendWord(dest, 1, L4_TimePeriod(1000));
    stuck = L4_ErrorCode();
  });
  Run();
  EXPECT_EQ(stuck, L4_IPC_TIMEOUT << 1);
  Redirect(home, second);
  world_.SpawnWith(home, [&] { SendWord(dest, 2); });
  Run();
  EXPECT_EQ(at_redirector_.word, 2u);
  Redirect(home, L4_anythread);  // none any more
  world_.SpawnWith(home, [&] { SendWord(dest, 3); });
  Run();
  EXPECT_EQ(at_dest_.word, 3u);
  EXPECT_FALSE(L4_IpcRedirected(at_dest_.tag));
}

TEST_F(RedirectionTest, PageFaultsAreNotRedirected) {
  const L4_ThreadId_t pager = world_.Spawn([] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(0x1000000, 20));
    PagerLoop();
  });
  const L4_ThreadId_t redirector = world_.SpawnInNewSpace([&] { at_redirector_ = Wait(); });
  const L4_ThreadId_t home = Sleeper();
  Redirect(home, redirector);
  bool done = false;
  world_.SpawnWith(
      home,
      [&] {
        char c = 1;
        done = world_.kernel().cpu().Store(base::Vaddr(0x1000123), &c, 1) == AccessStatus::kOk;
      },
      pager);
  Run();
  EXPECT_TRUE(done);
  EXPECT_TRUE(L4_IsNilThread(at_redirector_.from));
}

// A redirector inside the space it guards: the others' messages come to it, its own go out.
TEST_F(RedirectionTest, ARedirectorMayLiveInTheSpaceItGuards) {
  const L4_ThreadId_t dest = world_.SpawnInNewSpace([&] { at_dest_ = Wait(); });
  const L4_ThreadId_t redirector = world_.SpawnInNewSpace([&] {
    at_redirector_ = Wait();
    Forward(at_redirector_.intended, at_redirector_.from, 8);
  });
  Redirect(redirector, redirector);
  const L4_ThreadId_t sender = world_.SpawnWith(redirector, [&] { SendWord(dest, 7); });
  Run();
  EXPECT_EQ(at_redirector_.from, world_.LocalId(sender));
  EXPECT_EQ(at_redirector_.intended, dest);
  EXPECT_EQ(at_dest_.from, sender);
  EXPECT_EQ(at_dest_.word, 8u);
}

}  // namespace
}  // namespace fake_l4
