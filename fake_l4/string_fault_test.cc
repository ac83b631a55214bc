// Page faults within a string transfer, transfer timeouts, aborts, pagers in trouble. X.2 manual:
// "StringItem", "XferTimeouts".
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/text_sink.h"
#include "fake_l4/testing/string_exchange.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

// ---- Page faults ----

TEST_F(StringTest, AFaultInTheSendersMemoryGoesToTheSendersPager) {
  Exchange(
      [&] {
        Message(0, {Group(4), 0x2000});
      },
      [&] {
        Store(0x5000, "abcdef");
        faults_.clear();
        Buffers({Group(20), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(faults_, "s");
  EXPECT_EQ(Bytes(receiver_, 0x5000, 6), "....ef");
}

TEST_F(StringTest, AFaultInAStringTellsTheIpOfItsThread) {
  Exchange(
      [&] {
        world_.kernel().cpu().set_ip(0x1234);
        Message(0, {Group(4), 0x2000});
      },
      [&] {
        Store(0x5000, "....");
        Buffers({Group(20), 0x5000});
      });
  EXPECT_EQ(faults_, "Rs");
  EXPECT_EQ(fault_ip_, 0x1234u);
}

TEST_F(StringTest, ManyFaultsOnBothSides) {
  Exchange(
      [&] {
        Message(0, {Group(3 * 4096), 0x2800});
      },
      [&] {
        Buffers({Group(3 * 4096), 0x5c00});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(faults_, "sRRsRsRs");
}

TEST_F(StringTest, AReadOnlyBufferFaultsForWriting) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        Message(0, {Group(4), 0x2000});
      },
      [&] {
        Store(0x5000, "abcdef");
        L4_FlushFpage(L4_FpageAddRights(L4_FpageLog2(0x5000, 12), L4_Writable));
        faults_.clear();
        Buffers({Group(20), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(faults_.back(), 'R');
  EXPECT_EQ(Bytes(receiver_, 0x5000, 6), "0123ef");
}

// While a page is missing the two threads count as sending and receiving, and a look from outside
// tells who waits for whom.
TEST_F(StringTest, WhatATransferLooksLikeWhileItWaits) {
  std::string waits;
  L4_Word_t sender_state = 0, receiver_state = 0;
  L4_Word_t sender_control = 0, receiver_control = 0;
  on_fault_ = [&](char name) {
    if (name != 's') return;
    waits = world_.kernel().DescribeWaits();
    ThreadInfo s, r;
    ASSERT_TRUE(world_.kernel().Inspect(sender_, &s) && world_.kernel().Inspect(receiver_, &r));
    EXPECT_TRUE(s.in_transfer && r.in_transfer && s.in_page_fault && !r.in_page_fault);
    EXPECT_EQ(r.state, ThreadState::kInTransfer);
    EXPECT_EQ(r.partner, sender_);
    EXPECT_EQ(s.fault_address, base::Vaddr(0x2000));
    const L4_Word_t keep = ~L4_Word_t{0};
    L4_Word_t old;
    sender_state = L4_Schedule(sender_, keep, keep, keep, keep, &old);
    receiver_state = L4_Schedule(receiver_, keep, keep, keep, keep, &old);
    L4_ExchangeSome(sender_, 0, 0, 0, 0, &sender_control, nullptr, nullptr, nullptr);
    L4_ExchangeSome(receiver_, 0, 0, 0, 0, &receiver_control, nullptr, nullptr, nullptr);
  };
  Exchange([&] { Message(0, {Group(4), 0x2000}); }, [&] { Buffers({Group(20), 0x5000}); });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(sender_state, L4_SCHEDRESULT_SENDING);
  EXPECT_EQ(receiver_state, L4_SCHEDRESULT_RECEIVING);
  EXPECT_EQ(sender_control, L4_EXREGS_CANCEL_SEND);
  EXPECT_EQ(receiver_control, L4_EXREGS_CANCEL_RECV);
  EXPECT_NE(waits.find("page fault in transfer at 0x2000"), std::string::npos) << waits;
  EXPECT_NE(waits.find("in transfer, waits for a page of"), std::string::npos) << waits;
}

// The sender's own receive phase starts when its message is through, not when its pager answers.
TEST_F(StringTest, ACallWithAStringThatFaultsGetsItsAnswer) {
  L4_Word_t answer = 0;
  receiver_ = world_.SpawnInNewSpace(
      [&] {
        Buffers({Group(20), 0x5000});
        L4_ThreadId_t from;
        received_.tag = L4_Wait(&from).raw;
        L4_LoadMR(1, 99);
        L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
        EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(from)));
      },
      receiver_pager_);
  sender_ = world_.SpawnInNewSpace(
      [&] {
        Message(0, {Group(4), 0x2000});
        sent_.tag = L4_Call(receiver_).raw;
        L4_StoreMR(1, &answer);
      },
      sender_pager_);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(answer, 99u);
  EXPECT_EQ(faults_, "sR");
}

// ---- Transfer timeouts ----

TEST_F(StringTest, AZeroTransferTimeoutEndsTheMessageAtTheFirstFault) {
  Exchange(
      [&] {
        Store(0x2000, std::string(4096, 'x'));
        L4_Set_XferTimeouts(L4_Timeouts(L4_ZeroTime, L4_Never));
        faults_.clear();
        Message(0, {Group(4104), 0x2000});
      },
      [&] {
        Store(0x5000, std::string(8192, 'y'));
        Buffers({Group(8192), 0x5000});
      });
  // Whose page was missing learns that it was its own.
  EXPECT_EQ(sent_.Text(), "e5s+4096");
  EXPECT_EQ(received_.Text(), "e6r+4096");
  EXPECT_EQ(faults_, "");
  EXPECT_EQ(Bytes(receiver_, 0x5ffe, 4), "xxyy");
}

TEST_F(StringTest, TheReceiversZeroTransferTimeoutCountsAsMuch) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        Message(0, {Group(4), 0x2000});
      },
      [&] {
        L4_Set_XferTimeouts(L4_Timeouts(L4_Never, L4_ZeroTime));
        Buffers({Group(8192), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e6s+0e5r+0");
}

TEST_F(StringTest, AZeroTransferTimeoutIsNoMatterWithoutFaults) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        L4_Set_XferTimeouts(L4_Timeouts(L4_ZeroTime, L4_ZeroTime));
        Message(0, {Group(4), 0x2000});
      },
      [&] {
        Store(0x5000, "....");
        Buffers({Group(8192), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
}

// The other halves of the two registers say nothing about this message.
TEST_F(StringTest, OnlyTheSendersSendAndTheReceiversReceiveTimeoutCount) {
  Exchange(
      [&] {
        L4_Set_XferTimeouts(L4_Timeouts(L4_Never, L4_ZeroTime));
        Message(0, {Group(4), 0x2000});
      },
      [&] {
        L4_Set_XferTimeouts(L4_Timeouts(L4_ZeroTime, L4_Never));
        Buffers({Group(8192), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
}

// A pager that takes 2 ms a page; the transfer may take 5 ms from its first fault on.
TEST_F(StringTest, AFiniteTransferTimeoutCountsFromTheFirstFault) {
  L4_Word64_t start = 0, end = 0;
  on_fault_ = [&](char) {
    if (start == 0) start = L4_SystemClock().raw;
    L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(2000));
  };
  receiver_ = world_.SpawnInNewSpace(
      [&] {
        L4_Set_XferTimeouts(L4_Timeouts(L4_Never, L4_TimePeriod(5000)));
        Buffers({Group(0x10000), 0x10000});
        L4_ThreadId_t from;
        received_.tag = L4_Wait(&from).raw;
        received_.error = L4_ErrorCode();
        end = L4_SystemClock().raw;
      },
      receiver_pager_);
  sender_ = world_.SpawnInNewSpace(
      [&] {
        L4_Set_XferTimeouts(L4_Timeouts(L4_TimePeriod(9000), L4_Never));
        Message(0, {Group(0x10000), 0x10000});
        sent_.tag = L4_Send(receiver_).raw;
        sent_.error = L4_ErrorCode();
      },
      sender_pager_);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  // Pages: sender 0-2, receiver 2-4, sender 4-5.
  EXPECT_EQ(faults_, "sRs");
  EXPECT_EQ(sent_.Text() + received_.Text(), "e5s+4096e6r+4096");
  EXPECT_GE(end - start, 4990u);
  EXPECT_LT(end - start, 5100u);
}

// ---- Aborts ----

TEST_F(StringTest, ExchangeRegistersAbortsATransferAtEitherEnd) {
  for (const bool at_sender : {true, false}) {
    world_.Reset();
    faults_.clear();
    SetUp();
    on_fault_ = [&](char name) {
      if (name != 'r') return;
      // The sender's pages came; the receiver's first one is missing.
      L4_ExchangeSome(at_sender ? sender_ : receiver_,
                      at_sender ? L4_EXREGS_CANCEL_SEND : L4_EXREGS_CANCEL_RECV, 0, 0, 0, nullptr,
                      nullptr, nullptr, nullptr);
    };
    Exchange([&] { Message(0, {Group(4), 0x2000}); }, [&] { Buffers({Group(20), 0x5000}); });
    EXPECT_EQ(sent_.Text() + received_.Text(), "e7s+0e7r+0");
  }
}

// The bit of the other phase is not meant.
TEST_F(StringTest, CancellingTheOtherPhaseChangesNothing) {
  on_fault_ = [&](char) {
    L4_ExchangeSome(sender_, L4_EXREGS_CANCEL_RECV, 0, 0, 0, nullptr, nullptr, nullptr, nullptr);
    L4_ExchangeSome(receiver_, L4_EXREGS_CANCEL_SEND, 0, 0, 0, nullptr, nullptr, nullptr, nullptr);
  };
  Exchange([&] { Message(0, {Group(4), 0x2000}); }, [&] { Buffers({Group(20), 0x5000}); });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
}

TEST_F(StringTest, APartnerThatIsDeletedAbortsTheTransfer) {
  const auto kill = [](L4_ThreadId_t t) {
    EXPECT_NE(L4_ThreadControl(t, L4_nilthread, L4_nilthread, L4_nilthread,
                               reinterpret_cast<void*>(~L4_Word_t{0})),
              0u);
  };
  for (const char victim : {'s', 'r'}) {
    for (const char when : {'s', 'r'}) {
      world_.Reset();
      SetUp();
      sent_ = received_ = {};
      bool done = false;
      on_fault_ = [&, victim, when](char name) {
        if (name != when || std::exchange(done, true)) return;
        kill(victim == 's' ? sender_ : receiver_);
      };
      Exchange([&] { Message(0, {Group(4), 0x2000}); }, [&] { Buffers({Group(20), 0x5000}); });
      const Seen& survivor = victim == 's' ? received_ : sent_;
      EXPECT_EQ(survivor.Text(), victim == 's' ? "e7r+0" : "e7s+0") << victim << when;
    }
  }
}

// The copy needs neither thread.
TEST_F(StringTest, HaltedThreadsTransferGoesOn) {
  const auto halt = [](L4_ThreadId_t t, L4_Word_t h) {
    L4_ExchangeSome(t, L4_EXREGS_SET_HALT | h, 0, 0, 0, nullptr, nullptr, nullptr, nullptr);
  };
  on_fault_ = [&](char name) {
    if (name != 's') return;
    halt(sender_, L4_EXREGS_HALT);
    halt(receiver_, L4_EXREGS_HALT);
  };
  Exchange([&] { Message(0, {Group(4), 0x2000}); }, [&] { Buffers({Group(20), 0x5000}); });
  EXPECT_EQ(faults_, "sR");
  EXPECT_EQ(sent_.tag | received_.tag, 0u);
  ThreadInfo info;
  ASSERT_TRUE(world_.kernel().Inspect(receiver_, &info));
  EXPECT_FALSE(info.in_transfer);
  world_.Spawn([&] {
    halt(sender_, 0);
    halt(receiver_, 0);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(sent_.tag, L4_MakeMsgTag(0, 0, 2).raw);
  EXPECT_EQ(received_.tag, L4_MakeMsgTag(0, 0, 2).raw);
}

// Another thread of the sender's space writes to its registers while it waits for a page: the
// length word would make the string shorter than what was copied, or longer than the registers.
TEST_F(StringTest, RegistersThatChangeInTheMiddle) {
  for (const L4_Word_t changed : {Group(1, 1), Group(8, 32)}) {
    world_.Reset();
    SetUp();
    faults_.clear();
    const auto halt_at = [&](size_t fault) {
      if (faults_.size() == fault) world_.kernel().WaitForHost();
    };
    on_fault_ = [&](char) { halt_at(2); };
    Exchange(
        [&] {
          std::vector<L4_Word_t> words(59);
          words.insert(words.end(), {Group(8, 2), 0x2ffc, 0x3ffc});
          Message(59, words);
        },
        [&] {
          Store(0x5000, "........................");
          faults_.clear();
          Buffers({Group(24), 0x5000});
        });
    EXPECT_EQ(faults_, "ss") << "in the middle of the first substring";
    world_.SpawnWith(sender_, [&] {
      const base::Vaddr mr60(world_.LocalId(sender_).raw + 60 * sizeof(L4_Word_t));
      EXPECT_EQ(world_.kernel().cpu().Store(mr60, &changed, sizeof changed), AccessStatus::kOk);
    });
    ASSERT_TRUE(world_.Run()) << world_.problem();
    EXPECT_TRUE(world_.kernel().HostWake(sender_pager_));
    ASSERT_TRUE(world_.Run()) << world_.problem();
    EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
    EXPECT_EQ(faults_, "sss") << "the string goes on as it began";
  }
}

// ---- Pagers in trouble ----

TEST_F(StringTest, AFaultWithoutAPagerWaitsForOne) {
  receiver_ = world_.SpawnInNewSpace(
      [&] {
        Store(0x5000, "....");
        Buffers({Group(20), 0x5000});
        L4_ThreadId_t from;
        received_.tag = L4_Wait(&from).raw;
      },
      receiver_pager_);
  sender_ = world_.SpawnInNewSpace(
      [&] {
        L4_Set_Pager(L4_nilthread);
        Message(0, {Group(4), 0x2000});
        sent_.tag = L4_Send(receiver_).raw;
      },
      sender_pager_);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  ThreadInfo info;
  ASSERT_TRUE(world_.kernel().Inspect(sender_, &info));
  EXPECT_EQ(info.state, ThreadState::kNoPager);
  ASSERT_TRUE(world_.kernel().Inspect(receiver_, &info));
  EXPECT_EQ(info.state, ThreadState::kInTransfer);
  // Only the pager's space may give it another one, and it has none: a thread of its own does.
  world_.SpawnWith(sender_, [&] { L4_Set_PagerOf(sender_, sender_pager_); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(L4_TypedWords(L4_MsgTagOfRaw(received_.tag)), 2u) << "it did arrive";
  EXPECT_EQ(faults_, "Rs");
}

TEST_F(StringTest, APagerThatDiesWithTheFaultLeavesTheTransferWithoutAPager) {
  on_fault_ = [&](char name) {
    if (name == 's') L4_Receive(L4_nilthread), world_.kernel().WaitForHost();
  };
  Exchange(
      [&] {
        L4_Set_XferTimeouts(L4_Timeouts(L4_TimePeriod(1000000), L4_Never));
        Message(0, {Group(4), 0x2000});
      },
      [&] {
        Store(0x5000, "....");
        Buffers({Group(20), 0x5000});
        const L4_ThreadId_t pager = sender_pager_;
        world_.Spawn([pager] {
          L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(500));
          L4_ThreadControl(pager, L4_nilthread, L4_nilthread, L4_nilthread,
                           reinterpret_cast<void*>(~L4_Word_t{0}));
        });
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e5s+0e6r+0");
}

// The receiver is the sender's pager: it cannot answer while it receives.
TEST_F(StringTest, APagerThatIsThePartnerCannotAnswer) {
  receiver_ = world_.SpawnInNewSpace(
      [&] {
        Store(0x5000, "....");
        Buffers({Group(20), 0x5000});
        L4_ThreadId_t from;
        received_.tag = L4_Wait(&from).raw;
        received_.error = L4_ErrorCode();
        // The fault message went with the transfer.
        EXPECT_TRUE(L4_IpcFailed(L4_Wait_Timeout(L4_ZeroTime, &from)));
      },
      receiver_pager_);
  sender_ = world_.SpawnInNewSpace(
      [&] {
        L4_Set_XferTimeouts(L4_Timeouts(L4_TimePeriod(3000), L4_Never));
        Message(0, {Group(4), 0x2000});
        sent_.tag = L4_Send(receiver_).raw;
        sent_.error = L4_ErrorCode();
      },
      receiver_);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(sent_.Text() + received_.Text(), "e5s+0e6r+0");
}

// A pager known by its local id is the same one under another version: the fault goes to it again.
TEST_F(StringTest, APagerThatIsRenamedKeepsTheFaultsThatNameItLocally) {
  const L4_ThreadId_t pager =
      world_.Spawn([] { L4_Receive_Timeout(L4_GlobalId(900, 1), L4_TimePeriod(1000)); });
  const L4_ThreadId_t receiver = world_.Spawn([] {
    L4_Accept(L4_AcceptorOfRaw(1));
    L4_LoadBR(1, Group(20));
    L4_LoadBR(2, kRam);
    L4_Receive(L4_anythread);
  });
  const L4_ThreadId_t sender = world_.Spawn([&] {
    L4_Set_Pager(world_.LocalId(pager));
    Message(0, {Group(4), 0x2000});
    L4_Send(receiver);
  });
  const L4_ThreadId_t renamed = L4_GlobalId(L4_ThreadNo(pager), 2);
  world_.Spawn([&] {
    L4_Yield();
    EXPECT_EQ(L4_ThreadControl(renamed, pager, L4_nilthread, L4_nilthread,
                               reinterpret_cast<void*>(~L4_Word_t{0})),
              1u);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  ThreadInfo info;
  ASSERT_TRUE(world_.kernel().Inspect(sender, &info));
  EXPECT_EQ(info.state, ThreadState::kSending);
  ASSERT_TRUE(world_.kernel().Inspect(renamed, &info));
  EXPECT_EQ(info.queued_senders, 1u);
}

// Two transfers whose faulting threads are each other's pagers: nobody can ever answer, and the
// kernel must not spin.
TEST_F(StringTest, TwoTransfersThatPageEachOtherStand) {
  L4_ThreadId_t ends[4];
  Seen seen[4];
  for (int i = 0; i < 2; i++) {
    ends[2 + i] = world_.SpawnInNewSpace(
        [&, i] {
          Store(0x5000, "....");
          Buffers({Group(20), 0x5000});
          L4_ThreadId_t from;
          seen[2 + i].tag = L4_Wait(&from).raw;
          seen[2 + i].error = L4_ErrorCode();
        },
        receiver_pager_);
  }
  for (int i = 0; i < 2; i++) {
    ends[i] = world_.SpawnInNewSpace(
        [&, i] {
          L4_Set_Pager(ends[1 - i]);
          L4_Set_XferTimeouts(L4_Timeouts(L4_TimePeriod(1000 * (i + 1)), L4_Never));
          Message(0, {Group(4), 0x2000});
          seen[i].tag = L4_Send(ends[2 + i]).raw;
          seen[i].error = L4_ErrorCode();
        },
        sender_pager_);
  }
  ASSERT_TRUE(world_.Run({.max_switches = 10000})) << world_.problem();
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(seen[i].Text(), "e5s+0");
    EXPECT_EQ(seen[2 + i].Text(), "e6r+0");
  }
}

TEST_F(StringTest, APropagatedStringKeepsItsNamesOverAFault) {
  L4_ThreadId_t from = L4_nilthread, actual = L4_nilthread;
  receiver_ = world_.SpawnInNewSpace(
      [&] {
        Buffers({Group(20), 0x5000});
        received_.tag = L4_Wait(&from).raw;
        actual = L4_ActualSender();
      },
      receiver_pager_);
  const L4_ThreadId_t friend_id =
      world_.SpawnInNewSpace([&] { world_.kernel().WaitForHost(); }, sender_pager_);
  sender_ = world_.SpawnWith(
      friend_id,
      [&] {
        Message(0, {Group(4), 0x2000});
        L4_MsgTag_t tag = L4_MsgTag();
        L4_Set_Propagation(&tag);
        L4_Set_MsgTag(tag);
        L4_Set_VirtualSender(friend_id);
        sent_.tag = L4_Send(receiver_).raw;
      },
      sender_pager_);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(faults_, "sR");
  EXPECT_EQ(from, friend_id);
  EXPECT_EQ(actual, sender_);
  EXPECT_EQ(received_.tag, L4_TAG_PROPAGATED | L4_MakeMsgTag(0, 0, 2).raw);
}

// A kernel that is reset in the middle forgets the transfer.
TEST_F(StringTest, ResetInTheMiddle) {
  on_fault_ = [&](char) { world_.kernel().WaitForHost(); };
  Exchange([&] { Message(0, {Group(4), 0x2000}); }, [&] { Buffers({Group(20), 0x5000}); });
  world_.Reset();
  on_fault_ = nullptr;
  faults_.clear();
  SetUp();
  Exchange([&] { Message(0, {Group(4), 0x2000}); }, [&] { Buffers({Group(20), 0x5000}); });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
}

}  // namespace
}  // namespace fake_l4
