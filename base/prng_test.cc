#include "base/prng.h"

#include <vector>

#include "gtest/gtest.h"

namespace base {
namespace {

TEST(PrngTest, FixedDraws) {
  Prng prng(1, "test");
  EXPECT_EQ(prng.Next(), 0x318fb0fc4e3c0658ULL);
  EXPECT_EQ(prng.Next(), 0x62d3f1816830df0eULL);
  EXPECT_EQ(prng.Below(1000), 941u);
  EXPECT_EQ(Prng(1, "test", 1).Next(), 0x4594c95682fbcebcULL);
}

TEST(PrngTest, AStreamIsAFunctionOfSeedNameAndIndex) {
  EXPECT_EQ(Prng(7, "a", 3).Next(), Prng(7, "a", 3).Next());
  EXPECT_NE(Prng(7, "a", 3).Next(), Prng(8, "a", 3).Next());
  EXPECT_NE(Prng(7, "a", 3).Next(), Prng(7, "b", 3).Next());
  EXPECT_NE(Prng(7, "a", 3).Next(), Prng(7, "a", 4).Next());
}

TEST(PrngTest, DrawsOfOneStreamLeaveAnotherAlone) {
  Prng quiet(7, "b");
  uint64_t expected = quiet.Next();
  Prng noisy(7, "a");
  Prng other(7, "b");
  for (int i = 0; i < 100; ++i) noisy.Next();
  EXPECT_EQ(other.Next(), expected);
}

TEST(PrngTest, BelowIsExactAndReachesEveryValue) {
  for (uint64_t bound : {1, 2, 3, 5, 7, 8, 10}) {
    Prng prng(3, "below", bound);
    std::vector<int> hits(bound);
    const int draws = 1000 * static_cast<int>(bound);
    for (int i = 0; i < draws; ++i) {
      uint64_t draw = prng.Below(bound);
      ASSERT_LT(draw, bound);
      ++hits[draw];
    }
    // About 1000 each; five standard deviations are about 160.
    for (int hit : hits) {
      EXPECT_GT(hit, 840) << bound;
      EXPECT_LT(hit, 1160) << bound;
    }
  }
}

TEST(PrngTest, BelowOfHugeBoundsStaysBelow) {
  Prng prng(3, "huge");
  for (uint64_t bound : {(uint64_t{1} << 63) + 1, ~uint64_t{0}, uint64_t{1} << 63}) {
    for (int i = 0; i < 1000; ++i) ASSERT_LT(prng.Below(bound), bound);
  }
}

TEST(PrngTest, ChanceHasItsEnds) {
  Prng prng(3, "chance");
  int hits = 0;
  for (int i = 0; i < 4000; ++i) {
    EXPECT_FALSE(prng.Chance(0, 3));
    EXPECT_TRUE(prng.Chance(3, 3));
    hits += prng.Chance(1, 4) ? 1 : 0;
  }
  EXPECT_GT(hits, 850);
  EXPECT_LT(hits, 1150);
}

TEST(PrngDeathTest, BelowZeroDies) {
  Prng prng(3, "zero");
  EXPECT_DEATH(prng.Below(0), "bound > 0");
}

}  // namespace
}  // namespace base
