// The X.2 headers' value types: layouts and arithmetic that a program may rely on. They make no
// system call; a UTCB in the test stands for the current thread's.
#include <l4/arch.h>
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>
#include <l4/types.h>

#include "gtest/gtest.h"

namespace {
L4_Utcb_t test_utcb;
}  // namespace

extern "C" L4_Utcb_t* __l4_utcb() { return &test_utcb; }
extern "C" void* L4_KernelInterface(L4_Word_t*, L4_Word_t*, L4_Word_t*) { return nullptr; }
extern "C" L4_MsgTag_t L4_Ipc(L4_ThreadId_t, L4_ThreadId_t, L4_Word_t, L4_ThreadId_t*) {
  return L4_Niltag;
}

namespace {

TEST(ThreadIdTest, GlobalIdPacksNumberAndVersion) {
  const L4_ThreadId_t t = L4_GlobalId(50, 3);
  EXPECT_EQ(t.raw, L4_Word_t{50} << 32 | 3);
  EXPECT_EQ(L4_ThreadNo(t), 50u);
  EXPECT_EQ(L4_Version(t), 3u);
  EXPECT_TRUE(L4_IsGlobalId(t));
  EXPECT_FALSE(L4_IsLocalId(t));
  EXPECT_TRUE(L4_IsNilThread(L4_nilthread));
  EXPECT_TRUE(L4_IsThreadEqual(t, L4_GlobalId(50, 3)));
  EXPECT_TRUE(L4_IsThreadNotEqual(t, L4_GlobalId(50, 4)));
  EXPECT_EQ(L4_anylocalthread.raw, ~L4_Word_t{63});
}

TEST(TimeTest, PeriodsRoundUpAndZeroIsNotNever) {
  EXPECT_EQ(L4_Never.raw, 0);
  EXPECT_EQ(L4_TimePeriod(0).raw, 0x0400);
  EXPECT_EQ(L4_TimePeriod(1).raw, 1);
  EXPECT_EQ(L4_TimePeriod(1023).raw, 1023);
  EXPECT_EQ(L4_TimePeriod(1024).raw, 1 << 10 | 512);
  EXPECT_EQ(L4_TimePeriod(1025).raw, 1 << 10 | 513);
  EXPECT_EQ(L4_TimePeriod(~L4_Word64_t{0}).raw, 0);
  EXPECT_EQ(L4_Timeouts(L4_ZeroTime, L4_Never), 0x04000000u);
}

TEST(FpageTest, LayoutAndArithmetic) {
  const L4_Fpage_t f = L4_FpageAddRights(L4_FpageLog2(0x12345678, 16), L4_ReadWriteOnly);
  EXPECT_EQ(f.raw, 0x12340000u | 16 << 4 | 6);
  EXPECT_EQ(L4_Address(f), 0x12340000u);
  EXPECT_EQ(L4_SizeLog2(f), 16u);
  EXPECT_EQ(L4_Size(f), 65536u);
  EXPECT_EQ(L4_Rights(f), 6u);
  EXPECT_EQ(L4_Rights(L4_FpageRemoveRights(f, L4_Writable)), 4u);
  EXPECT_EQ(L4_Fpage(0x5000, 4097), L4_FpageLog2(0x5000, 13));
  EXPECT_TRUE(L4_IsNilFpage(L4_Nilpage));
  EXPECT_EQ(L4_CompleteAddressSpace.raw, 0x10u);
  EXPECT_EQ(L4_Size(L4_CompleteAddressSpace), 0u);
}

TEST(MessageTest, WordsAppendedAfterItemsGoBeforeThem) {
  L4_Msg_t m;
  L4_MsgClear(&m);
  L4_Set_MsgLabel(&m, 7);
  L4_MsgAppendWord(&m, 11);
  L4_MsgAppendMapItem(&m, L4_MapItem(L4_FpageLog2(0x4000, 12), 0x8000));
  L4_MsgAppendWord(&m, 12);
  EXPECT_EQ(m.tag.raw, L4_Word_t{7} << 16 | 2 << 6 | 2);
  EXPECT_EQ(L4_MsgWord(&m, 0), 11u);
  EXPECT_EQ(L4_MsgWord(&m, 1), 12u);
  L4_MapItem_t item;
  EXPECT_EQ(L4_MsgGetMapItem(&m, 0, &item), 2u);
  EXPECT_TRUE(L4_IsMapItem(item));
  EXPECT_EQ(L4_MapItemSndBase(item), 0x8000u);
  EXPECT_EQ(L4_MapItemSndFpage(item).raw, 0x4000u | 12 << 4);
  L4_MsgLoad(&m);
  EXPECT_EQ(L4_MsgTag().raw, m.tag.raw);
  L4_Msg_t back;
  L4_MsgStore(L4_MsgTag(), &back);
  for (int i = 0; i < 5; i++) EXPECT_EQ(back.raw[i], m.raw[i]);
}

TEST(MessageTest, AFullMessageTakesNoMore) {
  L4_Msg_t m;
  L4_MsgClear(&m);
  for (int i = 0; i < 70; i++) L4_MsgAppendWord(&m, 1);
  EXPECT_EQ(L4_UntypedWords(m.tag), 63u);
  L4_MsgAppendMapItem(&m, L4_MapItem(L4_Nilpage, 0));
  EXPECT_EQ(L4_TypedWords(m.tag), 0u);
}

TEST(ItemTest, GrantAndMapDifferInTheType) {
  const L4_GrantItem_t g = L4_GrantItem(L4_FpageLog2(0x4000, 12), 0x8123);
  EXPECT_EQ(g.raw[0], 0x8000u | 10);
  EXPECT_TRUE(L4_IsGrantItem(g));
}

TEST(AcceptorTest, WindowWithoutRights) {
  const L4_Acceptor_t a = L4_MapGrantItems(L4_FpageAddRights(L4_FpageLog2(0x10000, 16), 7));
  EXPECT_EQ(a.raw, 0x10000u | 16 << 4);
  EXPECT_TRUE(L4_HasMapGrantItems(a));
  EXPECT_FALSE(L4_HasMapGrantItems(L4_UntypedWordsAcceptor));
  L4_Accept(a);
  EXPECT_EQ(L4_Accepted().raw, a.raw);
}

TEST(TagTest, KernelLabels) {
  EXPECT_EQ(L4_LABEL_PAGEFAULT, static_cast<L4_Word_t>(-2l * 16) & ~L4_Word_t{0} >> 16);
  EXPECT_EQ(L4_LABEL_SIGMA0, static_cast<L4_Word_t>(-6l * 16) & ~L4_Word_t{0} >> 16);
  const L4_MsgTag_t t = L4_MakeMsgTag(L4_LABEL_PAGEFAULT | L4_Writable, 2, 0);
  EXPECT_TRUE(L4_IsPageFault(t));
  EXPECT_EQ(L4_PageFaultAccess(t), 2u);
  EXPECT_FALSE(L4_IsPageFault(L4_MakeMsgTag(L4_LABEL_SIGMA0, 2, 0)));
  L4_MsgTag_t p = t;
  L4_Set_Propagation(&p);
  EXPECT_TRUE(L4_IpcPropagated(p));
  EXPECT_EQ(L4_Label(p), L4_Label(t));
}

}  // namespace
