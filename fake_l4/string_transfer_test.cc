// String items: simple and compound ones, buffers, cut messages, page faults within a transfer,
// transfer timeouts and aborts. X.2 manual: "StringItem", "String Buffers", "XferTimeouts". Two
// tasks, each with a pager of its own that backs address A of its task with its own memory.
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

#include "base/text_sink.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;
constexpr L4_Word_t kC = 1;             // C: another item follows
constexpr L4_Word_t kCompound = 0x200;  // c: the next group goes on with this string

// The first word of a group of `pointers` substrings of `length` bytes each.
constexpr L4_Word_t Group(L4_Word_t length, L4_Word_t pointers = 1, L4_Word_t bits = 0) {
  return length << 10 | (pointers - 1) << 4 | bits;
}

// What one end of a message saw.
struct Seen {
  L4_Word_t tag = 0, error = 0;
  std::string Text() const {
    if ((tag & L4_TAG_ERROR) == 0) return "ok";
    return "e" + std::to_string(error >> 1 & 7) + ((error & 1) != 0 ? "r+" : "s+") +
           std::to_string(error >> 4);
  }
};

class StringTest : public ::testing::Test {
 protected:
  // Backs address A of its task with slot + A. Each fault becomes a letter: the task's name for a
  // read, in upper case for a write.
  L4_ThreadId_t Pager(char name, uint64_t slot) {
    return world_.Spawn([this, name, slot] {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(slot, 20));
      L4_ThreadId_t from;
      L4_MsgTag_t tag = L4_Wait(&from);
      for (;; tag = L4_Wait(&from)) {
        // An answer that nobody waits for any more fails; the receive phase did not happen then.
        if (L4_IpcFailed(tag)) continue;
        L4_Word_t address = 0;
        L4_StoreMR(1, &address);
        EXPECT_TRUE(L4_IsPageFault(tag));
        L4_StoreMR(2, &fault_ip_);
        faults_ += L4_PageFaultAccess(tag) == kW ? static_cast<char>(name - 32) : name;
        if (on_fault_) on_fault_(name);
        const L4_Word_t page = address & ~L4_Word_t{4095};
        const L4_MapItem_t item = L4_MapItem(Page(slot + page, kRwx), page);
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
        L4_LoadMRs(1, 2, item.raw);
        L4_Reply(from);
      }
    });
  }

  void SetUp() override {
    sender_pager_ = Pager('s', kRam);
    receiver_pager_ = Pager('r', kRam + 0x100000);
  }

  // Runs the two tasks: `send` fills message registers, `receive` buffer registers; then one
  // message.
  void Exchange(std::function<void()> send, std::function<void()> receive) {
    receiver_ = world_.SpawnInNewSpace(
        [this, receive] {
          receive();
          L4_ThreadId_t from;
          received_.tag = L4_Wait(&from).raw;
          received_.error = L4_ErrorCode();
          from_ = from;
          L4_StoreMRs(0, L4_NUM_MRS, got_);
        },
        receiver_pager_);
    sender_ = world_.SpawnInNewSpace(
        [this, send] {
          send();
          sent_.tag = L4_Send(receiver_).raw;
          sent_.error = L4_ErrorCode();
        },
        sender_pager_);
    ASSERT_TRUE(world_.Run()) << world_.problem();
  }

  void Store(uint64_t va, const std::string& text) {
    EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(va), text.data(), text.size()),
              AccessStatus::kOk);
  }
  // Bytes of a task from outside; '?' where it has no page.
  std::string Bytes(L4_ThreadId_t task, uint64_t va, size_t n) const {
    std::string text(n, '?');
    for (size_t i = 0; i < n; i++) {
      char c;
      if (world_.kernel().DebugRead(world_.SpaceOf(task), base::Vaddr(va + i), &c, 1)) {
        text[i] = c == 0 ? '.' : c;
      }
    }
    return text;
  }
  static void Message(L4_Word_t untyped, std::vector<L4_Word_t> words) {
    L4_LoadMRs(1, static_cast<int>(words.size()), words.data());
    L4_Set_MsgTag(L4_MakeMsgTag(0, untyped, words.size() - untyped));
  }
  static void Buffers(std::vector<L4_Word_t> words, L4_Word_t window = 0) {
    L4_Accept(L4_AcceptorOfRaw(window | 1));
    L4_LoadBRs(1, static_cast<int>(words.size()), words.data());
  }

  World world_;
  std::string faults_;
  L4_Word_t fault_ip_ = 0;  // of the last one
  std::function<void(char)> on_fault_;
  L4_ThreadId_t sender_pager_, receiver_pager_, sender_, receiver_, from_ = {0};
  Seen sent_, received_;
  L4_Word_t got_[L4_NUM_MRS] = {};
};

TEST_F(StringTest, ASimpleStringArrivesInTheBuffer) {
  Exchange(
      [&] {
        Store(0x2100, "hello");
        Message(1, {77, Group(5), 0x2100});
      },
      [&] {
        Store(0x5000, "..........");
        Buffers({Group(100), 0x5003});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(Bytes(receiver_, 0x5000, 10), "...hello..");
  // The receiver gets the item's words as they were sent, the sender's pointer included.
  EXPECT_EQ(got_[0], L4_MakeMsgTag(0, 1, 2).raw);
  EXPECT_EQ(got_[1], 77u);
  EXPECT_EQ(got_[2], Group(5));
  EXPECT_EQ(got_[3], 0x2100u);
  EXPECT_EQ(from_, sender_);
}

TEST_F(StringTest, SubstringsOfOneLengthAreGathered) {
  Exchange(
      [&] {
        Store(0x2000, "abc.def.ghi");
        Message(0, {Group(3, 3), 0x2008, 0x2000, 0x2004});
      },
      [&] {
        Buffers({Group(100), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(Bytes(receiver_, 0x5000, 10), "ghiabcdef.");
}

TEST_F(StringTest, ACompoundStringHasGroupsOfSeveralLengths) {
  Exchange(
      [&] {
        Store(0x2000, "0123456789");
        Message(0, {Group(2, 2, kCompound), 0x2000, 0x2004, Group(1, 1, kCompound), 0x2009,
                    Group(3), 0x2006});
      },
      [&] {
        Buffers({Group(100), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(Bytes(receiver_, 0x5000, 10), "01459678..");
  EXPECT_EQ(got_[5], 0x2009u);
}

TEST_F(StringTest, ACompoundBufferScatters) {
  Exchange(
      [&] {
        Store(0x2000, "0123456789");
        Message(0, {Group(10), 0x2000});
      },
      [&] {
        Store(0x5000, "....................");
        Buffers({Group(2, 2, kCompound), 0x5000, 0x5004, Group(10), 0x5008});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(Bytes(receiver_, 0x5000, 20), "01..23..456789......");
}

TEST_F(StringTest, EachStringTakesTheNextBuffer) {
  Exchange(
      [&] {
        Store(0x2000, "onetwothree");
        Message(0, {Group(3) | kC, 0x2000, Group(3) | kC, 0x2003, Group(5), 0x2006});
      },
      [&] {
        Store(0x5000, "..................................");
        // The middle buffer is a compound one, of which the second string needs only the start.
        Buffers({Group(8) | kC, 0x5000, Group(2, 1, kCompound) | kC, 0x5008, Group(6), 0x5010,
                 Group(8), 0x5018});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(Bytes(receiver_, 0x5000, 32), "one.....tw......o.......three...");
}

TEST_F(StringTest, ALongStringCrossesPagesOnBothSides) {
  std::string text;
  for (int i = 0; i < 3 * 4096; i++) text += static_cast<char>('a' + i % 23);
  Exchange(
      [&] {
        Store(0x2f01, text);
        Message(0, {Group(text.size()), 0x2f01});
      },
      [&] {
        Buffers({Group(0x3fffff), 0x5fff});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(Bytes(receiver_, 0x5fff, text.size()), text);
}

TEST_F(StringTest, AnEmptyStringTakesABuffer) {
  Exchange(
      [&] {
        Store(0x2000, "x");
        Message(0, {Group(0) | kC, 0x2000, Group(1), 0x2000});
      },
      [&] {
        Store(0x5000, "....");
        Buffers({Group(1) | kC, 0x5000, Group(1), 0x5002});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(Bytes(receiver_, 0x5000, 4), "..x.");
}

// ---- Cut messages ----

TEST_F(StringTest, ATooShortBufferCutsTheMessage) {
  Exchange(
      [&] {
        Store(0x2000, "0123456789");
        Message(1, {77, Group(10), 0x2000});
      },
      [&] {
        Buffers({Group(4), 0x5000});
      });
  EXPECT_EQ(sent_.Text(), "e4s+4");
  EXPECT_EQ(received_.Text(), "e4r+4");
  EXPECT_EQ(sent_.tag, 0x8081u);
  EXPECT_EQ(received_.tag, 0x8081u);
  EXPECT_EQ(Bytes(receiver_, 0x5000, 6), "0123..");
}

TEST_F(StringTest, AMissingBufferCutsAfterTheStringsThatHadOne) {
  Exchange(
      [&] {
        Store(0x2000, "0123456789");
        Message(0, {Group(6) | kC, 0x2000, Group(4), 0x2006});
      },
      [&] {
        Buffers({Group(20), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e4s+6e4r+6");
  EXPECT_EQ(Bytes(receiver_, 0x5000, 8), "012345..");
}

// The acceptor is no buffer, whatever its window looks like.
TEST_F(StringTest, AMissingBufferIsNotTheAcceptor) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        Message(0, {Group(4) | kC, 0x2000, Group(4), 0x2000});
      },
      [&] {
        Buffers({Group(20), 0x5000}, L4_FpageLog2(0x400000, 12).raw);
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e4s+4e4r+4");
}

TEST_F(StringTest, WithoutTheAcceptorsBitNoStringIsAccepted) {
  Exchange(
      [&] {
        Store(0x2000, "0");
        Message(1, {77, Group(1), 0x2000});
      },
      [&] {
        Buffers({Group(20), 0x5000});
        L4_Accept(L4_UntypedWordsAcceptor);
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e4s+0e4r+0");
  EXPECT_EQ(got_[1], 77u);
}

TEST_F(StringTest, ItemsBeforeTheOneThatFailsStayDone) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        const L4_MapItem_t item = L4_MapItem(Page(0x2000, kR), 0x9000);
        Message(0, {item.raw[0] | kC, item.raw[1], Group(4), 0x2000});
      },
      [&] {
        Buffers({Group(2), 0x5000}, L4_CompleteAddressSpace.raw);
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e4s+2e4r+2");
  EXPECT_EQ(world_.Rights(receiver_, 0x9000), "r--");
}

TEST_F(StringTest, AMapItemMayFollowAString) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        const L4_MapItem_t item = L4_MapItem(Page(0x2000, kR), 0x9000);
        Message(0, {Group(4) | kC, 0x2000, item.raw[0], item.raw[1]});
      },
      [&] {
        Buffers({Group(20), 0x5000}, L4_CompleteAddressSpace.raw);
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(world_.Rights(receiver_, 0x9000), "r--");
  EXPECT_EQ(Bytes(receiver_, 0x5000, 4), "0123");
}

TEST_F(StringTest, SoMaySeveral) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        const L4_Word_t page = Page(0x2000, kR).raw;
        Message(0, {Group(4) | kC, 0x2000, 0x9000 | L4_ITEM_MAP | kC, page, 0xb000 | L4_ITEM_MAP,
                    page});
      },
      [&] {
        Buffers({Group(20), 0x5000}, L4_CompleteAddressSpace.raw);
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(world_.Layout(receiver_, 0x9000, 3), "r.r");
}

// Bits 1 and 2 of a string item are hints for the cache.
TEST_F(StringTest, CacheHintsMakeNoDifference) {
  for (const L4_Word_t hint : {2, 4, 6}) {
    world_.Reset();
    SetUp();
    Exchange(
        [&] {
          Store(0x2000, "0123");
          Message(0, {Group(4) | hint | kC, 0x2000, Group(2) | hint, 0x2001});
        },
        [&] {
          Buffers({Group(20) | hint | kC, 0x5000, Group(20) | hint, 0x6000});
        });
    EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
    EXPECT_EQ(Bytes(receiver_, 0x5000, 4) + Bytes(receiver_, 0x6000, 2), "012312");
  }
}

TEST_F(StringTest, AMapItemAfterAStringThatIsNotAcceptedReportsTheOffset) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        Message(0, {Group(4) | kC, 0x2000, L4_ITEM_MAP, 0});
      },
      [&] {
        Buffers({Group(20), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e4s+4e4r+4");
}

// Groups that run off the registers are no strings, and no reason to crash.
TEST_F(StringTest, ItemsThatDoNotFitTheRegistersOverflow) {
  Exchange(
      [&] {
        for (int i = 1; i < 64; i++) L4_LoadMR(i, Group(0, 32, kCompound));
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 63));
      },
      [&] {
        Buffers({Group(20), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e4s+0e4r+0");
}

TEST_F(StringTest, AStringThatBeginsWellMayRunOffTheRegisters) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        L4_LoadMR(61, Group(4, 1, kCompound));
        L4_LoadMR(62, 0x2000);
        L4_LoadMR(63, Group(4));
        L4_Set_MsgTag(L4_MakeMsgTag(0, 60, 3));
      },
      [&] {
        Buffers({Group(20), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e4s+0e4r+0");
}

TEST_F(StringTest, BuffersThatDoNotFitTheRegistersAreTooShort) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        Message(0, {Group(4), 0x2000});
      },
      [&] {
        std::vector<L4_Word_t> words;
        for (int i = 1; i < L4_NUM_BRS; i++) words.push_back(Group(0, 2, kCompound));
        Buffers(words);
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e4s+0e4r+0");
}

TEST_F(StringTest, AddressesBeyondTheUsersOverflow) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        Message(0, {Group(4), ~L4_Word_t{0} - 1});
      },
      [&] {
        Buffers({Group(20), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e4s+0e4r+0");
}

TEST_F(StringTest, ABufferBeyondTheUsersAddressesOverflows) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        Message(0, {Group(4), 0x2000});
      },
      [&] {
        Buffers({Group(20), ~L4_Word_t{0} - 1});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "e4s+0e4r+0");
}

TEST_F(StringTest, CopyingLeavesStatusBits) {
  Exchange(
      [&] {
        Store(0x2000, "0123");
        L4_Fpage_t f = L4_FpageLog2(0x2000, 12);
        L4_FlushFpage(f);  // no rights: only the status goes
        Message(0, {Group(4), 0x2000});
      },
      [&] {
        Store(0x5000, "0123");
        L4_FlushFpage(L4_FpageLog2(0x5000, 12));
        Buffers({Group(20), 0x5000});
      });
  EXPECT_EQ(sent_.Text() + received_.Text(), "okok");
  EXPECT_EQ(world_.kernel().Inspect(world_.SpaceOf(sender_), base::Vaddr(0x2000)).status, kR);
  EXPECT_EQ(world_.kernel().Inspect(world_.SpaceOf(receiver_), base::Vaddr(0x5000)).status,
            kR | kW);
}

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
