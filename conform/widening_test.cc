// Words of a 32-bit recording in the native width and back, field by field.
#include "conform/widening.h"

#include <l4/ipc.h>
#include <l4/types.h>

#include "gtest/gtest.h"

namespace conform {
namespace {

TEST(WideningTest, FpagesKeepBaseSizeAndRights) {
  const L4_Fpage_t f = L4_FpageOfRaw(WidenFpage(0x400030c5));
  EXPECT_EQ(L4_Address(f), 0x40003000u);
  EXPECT_EQ(L4_SizeLog2(f), 12u);
  EXPECT_EQ(L4_Rights(f), 5u);
  EXPECT_EQ(WidenFpage(0), L4_Nilpage.raw);
  EXPECT_EQ(WidenFpage(0x10), L4_CompleteAddressSpace.raw);
  // The highest page of 32 bits stays where it is.
  EXPECT_EQ(WidenFpage(0xfffff0c7), 0xfffff0c7u);
}

TEST(WideningTest, AnyBaseOfASigma0RequestStaysAllOnes) {
  EXPECT_EQ(WidenFpage(0xfffffcc7), (~L4_Word_t{0} << 10) | 0xc7);
}

TEST(WideningTest, LabelsOfTheKernelStayNegative) {
  // -2 << 4 | read, u = 2.
  const L4_MsgTag_t tag = L4_MsgTagOfRaw(WidenTag(0xffe40002));
  EXPECT_TRUE(L4_IsPageFault(tag));
  EXPECT_EQ(L4_PageFaultAccess(tag), 4u);
  EXPECT_EQ(L4_UntypedWords(tag), 2u);
  EXPECT_EQ(WidenTag(0x12348080), 0x12348080u);
}

TEST(WideningTest, LeavingIsTheInverseOfEntering) {
  for (const uint32_t word : {0u, 0x10u, 0x400000c7u, 0x80000105u, 0xfffffc1au, 0xffe40002u}) {
    EXPECT_EQ(NarrowFpage(WidenFpage(word)), word);
    EXPECT_EQ(NarrowTag(WidenTag(word)), word);
    EXPECT_EQ(NarrowSendBase(WidenSendBase(word)), word);
  }
}

#if defined(__LP64__)
TEST(WideningTest, WhatThirtyTwoBitsCannotSayDoesNotLeave) {
  EXPECT_FALSE(NarrowFpage(L4_Word_t{1} << 32 | 0xc7).has_value());
  EXPECT_FALSE(NarrowTag(L4_Word_t{0xffe40002}).has_value());
  EXPECT_FALSE(NarrowErrorCode(~L4_Word_t{0}).has_value());
}
#endif

}  // namespace
}  // namespace conform
