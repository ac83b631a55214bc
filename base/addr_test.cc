#include "base/addr.h"

#include <type_traits>

#include "gtest/gtest.h"

namespace base {
namespace {

constexpr uint64_t kLast = ~uint64_t{0};

TEST(PageArithmeticTest, RoundingAtTheEdges) {
  EXPECT_EQ(TruncPage(0), 0u);
  EXPECT_EQ(TruncPage(4095), 0u);
  EXPECT_EQ(TruncPage(4096), 4096u);
  EXPECT_EQ(TruncPage(kLast), kLast - 4095);
  EXPECT_EQ(RoundPage(0), 0u);
  EXPECT_EQ(RoundPage(1), 4096u);
  EXPECT_EQ(RoundPage(4096), 4096u);
  EXPECT_EQ(RoundPage(kLast - 4095), kLast - 4095);
  EXPECT_EQ(RoundPage(kLast - 4094), 0u);  // wraps, as the calls' rounding does
  EXPECT_EQ(RoundPage(kLast), 0u);
  EXPECT_TRUE(IsPageAligned(0));
  EXPECT_TRUE(IsPageAligned(8192));
  EXPECT_FALSE(IsPageAligned(8193));
}

TEST(PageArithmeticTest, UnitsConvert) {
  EXPECT_EQ(ToBytes(PageCount(3)), 12288u);
  EXPECT_EQ(ToBytes(PageIndex(3)), 12288u);
  EXPECT_EQ(ToPages(12288), PageCount(3));
  EXPECT_EQ(ToPageIndex(12289), PageIndex(3));
  EXPECT_EQ(PageIndex(5) + PageCount(2), PageIndex(7));
  EXPECT_EQ(PageIndex(5) - PageIndex(2), PageCount(3));
  EXPECT_EQ(PageCount(5) - PageCount(2), PageCount(3));
}

// The kinds of number cannot be mixed up.
static_assert(!std::is_convertible_v<uint64_t, Vaddr>);
static_assert(!std::is_convertible_v<Vaddr, uint64_t>);
static_assert(!std::is_convertible_v<Vaddr, Paddr>);
static_assert(!std::is_convertible_v<PageIndex, PageCount>);
static_assert(!std::is_same_v<Vaddr, Paddr>);

TEST(AddressTest, PartsOfAnAddress) {
  Vaddr va(0x12345);
  EXPECT_EQ(va.Trunc(), Vaddr(0x12000));
  EXPECT_EQ(va.Offset(), 0x345u);
  EXPECT_EQ(va.PageNumber(), 0x12u);
  EXPECT_FALSE(va.IsAligned());
  EXPECT_TRUE(va.Trunc().IsAligned());
  EXPECT_EQ(va + 1, Vaddr(0x12346));
  EXPECT_EQ(va - 5, Vaddr(0x12340));
  EXPECT_EQ(Vaddr(0x5000) - Vaddr(0x2000), 0x3000u);
  EXPECT_LT(Vaddr(1), Vaddr(2));
}

TEST(RangeTest, FromSizeRefusesToWrap) {
  Range range;
  EXPECT_TRUE(Range::FromSize(Vaddr(0x1000), 0x2000, &range));
  EXPECT_EQ(range, (Range{Vaddr(0x1000), Vaddr(0x3000)}));
  EXPECT_TRUE(Range::FromSize(Vaddr(kLast), 0, &range));
  EXPECT_TRUE(range.empty());
  EXPECT_FALSE(Range::FromSize(Vaddr(kLast), 1, &range));
  EXPECT_FALSE(Range::FromSize(Vaddr(0x1000), kLast, &range));
}

TEST(RangeTest, HalfOpen) {
  Range range = {Vaddr(0x1000), Vaddr(0x3000)};
  EXPECT_EQ(range.size(), 0x2000u);
  EXPECT_EQ(range.pages(), PageCount(2));
  EXPECT_FALSE(range.Contains(Vaddr(0xfff)));
  EXPECT_TRUE(range.Contains(Vaddr(0x1000)));
  EXPECT_TRUE(range.Contains(Vaddr(0x2fff)));
  EXPECT_FALSE(range.Contains(Vaddr(0x3000)));
  EXPECT_TRUE(range.Contains(range));
  EXPECT_FALSE(range.Contains(Range{Vaddr(0x1000), Vaddr(0x4000)}));
}

TEST(RangeTest, NeighboursDoNotOverlap) {
  Range range = {Vaddr(0x1000), Vaddr(0x3000)};
  EXPECT_FALSE(range.Overlaps({Vaddr(0x0000), Vaddr(0x1000)}));
  EXPECT_TRUE(range.Overlaps({Vaddr(0x0000), Vaddr(0x1001)}));
  EXPECT_TRUE(range.Overlaps({Vaddr(0x2fff), Vaddr(0x9000)}));
  EXPECT_FALSE(range.Overlaps({Vaddr(0x3000), Vaddr(0x9000)}));
  EXPECT_FALSE(range.Overlaps({Vaddr(0x1000), Vaddr(0x1000)}));
}

}  // namespace
}  // namespace base
