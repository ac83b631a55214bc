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
L4_Word64_t test_clock;
L4_Word_t test_kip[512];
}  // namespace

extern "C" L4_Utcb_t* __l4_utcb() { return &test_utcb; }
extern "C" L4_Clock_t L4_SystemClock() { return {test_clock}; }
extern "C" void* L4_KernelInterface(L4_Word_t*, L4_Word_t*, L4_Word_t*) { return test_kip; }
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

TEST(TimeTest, ArithmeticOfPeriods) {
  const L4_Time_t ms = L4_TimePeriod(1000);
  EXPECT_EQ(ms + 500u, L4_TimePeriod(1500));
  EXPECT_EQ(ms - 400u, L4_TimePeriod(600));
  EXPECT_EQ(ms - 2000u, L4_ZeroTime) << "not below zero";
  EXPECT_EQ(ms + L4_TimePeriod(24), L4_TimePeriod(1024));
  EXPECT_EQ((ms + L4_Never).raw, L4_Never.raw);
  EXPECT_EQ((L4_Never - ms).raw, L4_Never.raw);
  EXPECT_EQ((L4_TimePeriod(L4_Word64_t{1023} << 31) + 1u).raw, L4_Never.raw) << "too long to say";
  L4_Time_t t = ms;
  t += 24u;
  t -= ms;
  EXPECT_EQ(t, L4_TimePeriod(24));
  EXPECT_LT(L4_ZeroTime, L4_TimePeriod(1));
  EXPECT_GT(L4_Never, L4_TimePeriod(~L4_Word64_t{0} >> 30));
  EXPECT_TRUE(L4_IsTimeEqual(L4_TimeOfRaw(3 << 10 | 1), L4_TimeOfRaw(8))) << "8 us either way";
  EXPECT_FALSE(L4_IsTimeNotEqual(L4_ZeroTime, L4_TimeOfRaw(0x0800))) << "two zeros";
}

TEST(TimeTest, PointsNameTheNextWrapWithBitC) {
  test_clock = 1000;
  EXPECT_EQ(L4_TimePoint({1500}).raw, 0x8000 | 1 << 10 | 476) << "1500 = 1024 + 476: the next wrap";
  EXPECT_EQ(L4_TimePoint({1001}).raw, 0x8000 | 1001);
  EXPECT_EQ(L4_TimePoint({1000}), L4_ZeroTime) << "now is past";
  EXPECT_EQ(L4_TimePoint({5000}).raw, 0x8000 | 2 << 11 | (5000 >> 2)) << "in steps of 4 us";
  EXPECT_EQ(L4_TimePoint({L4_Word64_t{1} << 30}), L4_Never) << "too far";
  const L4_Time_t at = L4_TimePoint({1500});
  EXPECT_EQ((at + 100u).raw, L4_TimePoint({1600}).raw);
  EXPECT_EQ((at + L4_TimePeriod(100)).raw, (L4_TimePeriod(100) + at).raw);
  EXPECT_EQ((at - 490u).raw, L4_TimePoint({1010}).raw);
}

TEST(TimeTest, Clocks) {
  const L4_Clock_t c = {5};
  EXPECT_EQ(c + 3, L4_Clock_t{8});
  EXPECT_EQ(L4_ClockSubUsec(c, 2), L4_Clock_t{3});
  EXPECT_TRUE(L4_IsClockEarlier(c, c + 1));
  EXPECT_TRUE(L4_IsClockLater(c + 1, c));
}

TEST(FpageTest, OperatorsAndIoPorts) {
  L4_Fpage_t f = L4_FpageLog2(0x4000, 12) + L4_FullyAccessible;
  f -= L4_Writable;
  EXPECT_EQ(L4_Rights(f), L4_ReadeXecOnly);
  EXPECT_TRUE(L4_WasReferenced(f));
  EXPECT_FALSE(L4_WasWritten(f));
  EXPECT_TRUE(L4_WaseXecuted(f));
  const L4_Fpage_t io = L4_IoFpage(0x3f8, 8);
  EXPECT_TRUE(L4_IsIoFpage(io));
  EXPECT_FALSE(L4_IsIoFpage(f));
  EXPECT_EQ(L4_IoFpagePort(io), 0x3f8u);
  EXPECT_EQ(L4_IoFpageSize(io), 8u);
}

void* At(L4_Word_t address) { return reinterpret_cast<void*>(address); }

TEST(StringItemTest, GroupsOfSubstrings) {
  L4_StringItem_t s = L4_StringItem(40, At(0x1000));
  EXPECT_EQ(s.raw[0], 40u << 10);
  EXPECT_EQ(s.raw[1], 0x1000u);
  EXPECT_TRUE(L4_IsStringItem(s));
  EXPECT_FALSE(L4_CompoundString(s));
  s += At(0x2000);  // one more of 40 bytes
  EXPECT_EQ(s.raw[0], 40u << 10 | 1 << 4);
  const L4_StringItem_t more = L4_StringItem(7, At(0x3000));
  s += more;
  EXPECT_EQ(s.raw[0], 40u << 10 | 1 << 9 | 1 << 4) << "continues";
  EXPECT_EQ(s.raw[3], 7u << 10);
  EXPECT_EQ(L4_Substrings(s), 3u);
  EXPECT_EQ(L4_Substring(s, 1), At(0x2000));
  EXPECT_EQ(L4_Substring(s, 2), At(0x3000));
  EXPECT_EQ(L4_Substring(s, 3), nullptr);
  EXPECT_EQ(L4_StringItemWords(s.raw, 63), 5u);
  s += L4_DoNotAllocateNewCacheLines;
  EXPECT_EQ(L4_CacheAllocationHint(s), L4_DoNotAllocateNewCacheLines);
  EXPECT_EQ(s.raw[0] & 14, 4u) << "still a string";
}

TEST(StringItemTest, TheThirtyThirdSubstringStartsAGroupAndTheLastOnesDoNotFit) {
  L4_StringItem_t s = L4_StringItem(1, At(0x1000));
  for (L4_Word_t i = 1; i < 33; i++) s += At(0x1000 + i);
  EXPECT_EQ(s.raw[0], 1u << 10 | 1 << 9 | 31 << 4);
  EXPECT_EQ(s.raw[33], 1u << 10);
  EXPECT_EQ(L4_Substrings(s), 33u);
  EXPECT_EQ(L4_Substring(s, 32), At(0x1000 + 32));
  for (L4_Word_t i = 0; i < 100; i++) s += At(i);
  EXPECT_EQ(L4_StringItemWords(s.raw, 63), 63u);
  EXPECT_EQ(L4_Substrings(s), 61u) << "63 words, two of them heads";
}

TEST(MessageTest, ItemsOfAllKinds) {
  L4_Msg_t m;
  L4_Clear(m);
  L4_StringItem_t s = L4_StringItem(40, At(0x1000));
  const L4_StringItem_t more = L4_StringItem(7, At(0x3000));
  s += more;
  L4_Append(m, 5);
  L4_Append(m, L4_GrantItem(L4_FpageLog2(0x4000, 12), 0));
  L4_Append(m, &s);
  L4_Append(m, L4_StringItem(3, At(0x5000)));
  EXPECT_EQ(m.tag.raw, 8u << 6 | 1);
  EXPECT_EQ(m.raw[2] & 15, 11u) << "grant, another item follows";
  EXPECT_EQ(m.raw[4] & 15, 1u) << "string, another item follows";
  EXPECT_EQ(m.raw[8] & 15, 0u) << "the last one";
  L4_GrantItem_t g;
  L4_StringItem_t back;
  EXPECT_EQ(L4_Get(m, 0, g), 2u);
  EXPECT_TRUE(L4_GrantItem(g));
  EXPECT_EQ(L4_Get(m, 2, back), 4u);
  EXPECT_EQ(L4_Substrings(back), 2u);
  EXPECT_EQ(L4_Get(m, 6, back), 2u);
  EXPECT_EQ(L4_Substring(back, 0), At(0x5000));
  L4_Put(m, 0, L4_MapItem(L4_FpageLog2(0x8000, 12), 0));
  EXPECT_EQ(m.raw[2], 9u) << "another item still follows";
  L4_Put(m, 0, 6);
  EXPECT_EQ(L4_Get(m, 0), 6u);
}

TEST(MessageTest, PutAndGetWhole) {
  const L4_Word_t words[3] = {1, 2, 3};
  const L4_MapItem_t items[2] = {L4_MapItem(L4_FpageLog2(0x4000, 12), 0x1000),
                                 L4_MapItem(L4_FpageLog2(0x8000, 12), 0x2000)};
  L4_Msg_t m;
  L4_Put(m, 9, 3, words, 4, items);
  EXPECT_EQ(m.tag.raw, L4_Word_t{9} << 16 | 4 << 6 | 3);
  EXPECT_EQ(m.raw[4], 0x1000u | 9) << "the first of two";
  EXPECT_EQ(m.raw[6], 0x2000u | 8);
  L4_Word_t back[3];
  L4_MapItem_t items_back[2];
  L4_Get(m, back, items_back);
  EXPECT_EQ(back[2], 3u);
  EXPECT_EQ(L4_SndFpage(items_back[1]), L4_FpageLog2(0x8000, 12));
  EXPECT_EQ(L4_SndBase(items_back[1]), 0x2000u);
  L4_Put(m, 0, 70, test_kip, 7, items);
  EXPECT_EQ(m.tag.raw, 63u) << "what does not fit is cut";
  L4_MsgTag_t tag = m.tag + 4u;
  EXPECT_EQ(L4_Label(tag), 4u);
  EXPECT_NE(tag, m.tag);
}

TEST(MsgBufferTest, BuffersAreChainedByTheirFirstBit) {
  L4_MsgBuffer_t b;
  L4_Clear(b);
  L4_StringItem_t s = L4_StringItem(64, At(0x1000));
  L4_Append(b, s);
  EXPECT_EQ(b.raw[0], 64u << 10);
  s += At(0x2000);
  L4_Append(b, &s);
  L4_Append(b, L4_StringItem(8, At(0x3000)));
  EXPECT_EQ(b.raw[0] & 1, 1u);
  EXPECT_EQ(b.raw[2], 64u << 10 | 1 << 4 | 1);
  EXPECT_EQ(b.raw[5], 8u << 10);
  L4_Accept(L4_StringItemsAcceptor + L4_MapGrantItems(L4_CompleteAddressSpace), b);
  EXPECT_EQ(test_utcb.br[0], 0x11u);
  EXPECT_EQ(test_utcb.br[1], 64u << 10 | 1);
  EXPECT_EQ(test_utcb.br[7], 0x3000u);
  EXPECT_TRUE(L4_StringItems(L4_Accepted()));
  EXPECT_EQ((L4_Accepted() - L4_StringItemsAcceptor).raw, L4_CompleteAddressSpace.raw);
  for (int i = 0; i < 30; i++) L4_Append(b, L4_StringItem(8, At(0x3000)));
  EXPECT_EQ(L4_MsgBufferWords(&b), 31u) << "another buffer of two words does not fit";
}

TEST(TcrTest, FlagsOfTheCurrentThread) {
  test_utcb.preempt_flags = L4_PREEMPT_PENDING;
  EXPECT_FALSE(L4_DisablePreemption());
  EXPECT_TRUE(L4_DisablePreemption());
  EXPECT_EQ(test_utcb.preempt_flags, 0xc0u);
  EXPECT_FALSE(L4_EnablePreemptionFaultException());
  EXPECT_TRUE(L4_EnablePreemption());
  EXPECT_EQ(test_utcb.preempt_flags, 0xa0u);
  EXPECT_TRUE(L4_PreemptionPending());
  L4_Set_CopFlag(3);
  EXPECT_EQ(test_utcb.cop_flags, 8u);
  L4_Clr_CopFlag(3);
  EXPECT_EQ(test_utcb.cop_flags, 0u);
}

TEST(KipTest, FieldsAndDescriptors) {
  auto* kip = L4_GetKernelInterface();
  kip->api_version = 0x84050000;
  kip->kern_desc_ptr = 512;
  kip->clock_info = 1 | 500 << 16;
  kip->processor_info = L4_Word_t{5} << 60 | 1;
  kip->proc_desc_ptr = 1024;
  kip->memory_info = L4_Word_t{2048} << 32 | 2;
  kip->utcb_info = 1 | 9 << 10 | 12 << 16;
  kip->thread_info = 17 | 16 << 8 | 48 << 20;
  kip->page_info = 1 << 12 | 1 << 22 | 2;
  test_kip[65] = 15 | 6 << 5 | 23 << 9;
  EXPECT_EQ(L4_ApiVersion() >> 24, 0x84u);
  L4_Word_t year, month, day;
  L4_KernelGenDate(kip, year, month, day);
  EXPECT_EQ(year * 10000 + month * 100 + day, 20230615u);
  EXPECT_EQ(L4_NumProcessors(kip), 2u);
  test_kip[128 + 4 + 1] = 3000;  // the second processor's descriptor, 32 bytes on
  EXPECT_EQ(L4_InternalFreq(*L4_ProcDesc(kip, 1)), 3000u);
  EXPECT_EQ(L4_ProcDesc(kip, 2), nullptr);
  EXPECT_EQ(L4_ReadPrecision(kip), 1u);
  EXPECT_EQ(L4_SchedulePrecision(kip), 500u);
  test_kip[256 + 2] = 0x100000 | 1 << 9 | 4;
  test_kip[256 + 3] = 0x1ffc00;
  const L4_MemoryDesc_t* d = L4_MemoryDesc(kip, 1);
  EXPECT_TRUE(L4_IsVirtual(d));
  EXPECT_EQ(L4_Type(d), L4_SharedMemoryType);
  EXPECT_EQ(L4_Low(d), 0x100000u);
  EXPECT_EQ(L4_High(d), 0x1fffffu);
  EXPECT_EQ(L4_MemoryDesc(kip, 2), nullptr);
  EXPECT_EQ(L4_UtcbSize(kip), 512u);
  EXPECT_EQ(L4_UtcbAreaSizeLog2(kip), 12u);
  EXPECT_EQ(L4_ThreadIdUserBase(kip), 48u);
  EXPECT_EQ(L4_PageSizeMask(kip), 0x401000u);
  EXPECT_EQ(L4_PageRights(kip), 2u);
}

TEST(SpaceTest, SmallSpacesAreEncodedByTheirLowestBit) {
  EXPECT_EQ(L4_SmallSpace(0, 4), 1u);
  EXPECT_EQ(L4_SmallSpace(8, 4), 5u);
  EXPECT_EQ(L4_SmallSpace(64, 64), 0x30u);
}

}  // namespace
