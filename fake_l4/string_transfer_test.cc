// String items: simple and compound ones, buffers, cut messages. X.2 manual: "StringItem", "String
// Buffers".
#include <l4/ipc.h>
#include <l4/message.h>
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

// What arrives as a string is a write to the receiver's page, and to no other.
TEST_F(StringTest, AStringThatArrivesCountsAsAWrite) {
  const auto stamp = [this](L4_ThreadId_t thread, uint64_t va) {
    const SpaceId space = world_.SpaceOf(thread);
    return world_.kernel().DebugStamp(world_.kernel().Inspect(space, base::Vaddr(va)).frame);
  };
  uint32_t sent = 0, received = 0;
  Exchange(
      [&] {
        Store(0x2100, "hello");
        sent = stamp(sender_, 0x2000);
        Message(1, {77, Group(5), 0x2100});
      },
      [&] {
        Store(0x5000, "..........");
        received = stamp(receiver_, 0x5000);
        Buffers({Group(100), 0x5003});
      });
  EXPECT_EQ(Bytes(receiver_, 0x5000, 10), "...hello..");
  EXPECT_EQ(stamp(sender_, 0x2000), sent);
  EXPECT_GT(stamp(receiver_, 0x5000), received);
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

// Not at its beginning, where the frame of the page is that of the byte.
TEST_F(StringTest, AStringMayLieAnywhereInALargerPage) {
  constexpr uint64_t kLarge = kRam + 0x200000;
  receiver_ = world_.SpawnInNewSpace(
      [&] {
        Buffers({Group(20), 0x5000});
        L4_ThreadId_t from;
        received_.tag = L4_Wait(&from).raw;
      },
      receiver_pager_);
  world_.Spawn([&] {
    EXPECT_EQ(L4_Address(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kLarge, 21))), kLarge);
    Store(kLarge + 0x5123, "0123");
    Message(0, {Group(4), kLarge + 0x5123});
    EXPECT_TRUE(L4_IpcSucceeded(L4_Send(receiver_)));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(Bytes(receiver_, 0x5000, 4), "0123");
}

// Where the kernel lives nothing can be mapped, so nobody is asked to.
TEST(Ia32StringTest, AddressesOfTheKernelOverflow) {
  World world({.ram_bytes = uint64_t{4} << 20, .profile = kIa32});
  Seen sent;
  const L4_ThreadId_t receiver = world.Spawn([&] {
    L4_Accept(L4_AcceptorOfRaw(1));
    L4_LoadBR(1, Group(20));
    L4_LoadBR(2, kRam);
    L4_Receive(L4_anythread);
  });
  world.Spawn([&] {
    L4_LoadMR(1, Group(4));
    L4_LoadMR(2, static_cast<L4_Word_t>(kIa32.user_top));
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    sent.tag = L4_Send(receiver).raw;
    sent.error = L4_ErrorCode();
  });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(sent.Text(), "e4s+0");
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

}  // namespace
}  // namespace fake_l4
