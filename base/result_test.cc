#include "base/result.h"

#include "gtest/gtest.h"

namespace base {
namespace {

enum class Colour { kRed, kGreen };
using Number = Result<int, Colour>;
using Outcome = Result<void, Colour>;

TEST(ResultTest, HoldsAValueOrAnError) {
  Number seven = 7;
  Number green = Colour::kGreen;
  EXPECT_TRUE(seven.ok());
  EXPECT_TRUE(static_cast<bool>(seven));
  EXPECT_EQ(seven.value(), 7);
  EXPECT_FALSE(green.ok());
  EXPECT_EQ(green.error(), Colour::kGreen);
}

TEST(ResultTest, VoidHoldsSuccessOrAnError) {
  Outcome good;
  Outcome red = Colour::kRed;
  EXPECT_TRUE(good.ok());
  good.value();
  EXPECT_FALSE(red.ok());
  EXPECT_EQ(red.error(), Colour::kRed);
}

TEST(ResultTest, ComparesByValue) {
  EXPECT_EQ(Number(1), Number(1));
  EXPECT_FALSE(Number(1) == Number(2));
  EXPECT_FALSE(Number(0) == Number(Colour::kRed));  // though both are represented by zero
  EXPECT_EQ(Number(Colour::kRed), Number(Colour::kRed));
  EXPECT_FALSE(Number(Colour::kRed) == Number(Colour::kGreen));
  EXPECT_EQ(Outcome(), Outcome());
  EXPECT_FALSE(Outcome() == Outcome(Colour::kRed));
}

Number Half(int n) {
  if (n % 2 != 0) return Colour::kRed;
  return n / 2;
}

Number Quarter(int n) {
  int half = TRY(Half(n));
  return TRY(Half(half));
}

Outcome CheckEven(int n) {
  TRY(Half(n));
  return {};
}

Outcome CheckBoth(int a, int b) {
  TRY(CheckEven(a));
  TRY(CheckEven(b));
  return {};
}

TEST(ResultTest, TryPassesErrorsOn) {
  EXPECT_EQ(Quarter(12), Number(3));
  EXPECT_EQ(Quarter(6), Number(Colour::kRed));
  EXPECT_EQ(Quarter(3), Number(Colour::kRed));
  EXPECT_TRUE(CheckBoth(2, 4).ok());
  EXPECT_EQ(CheckBoth(2, 3).error(), Colour::kRed);
}

TEST(ResultTest, MustGivesTheValue) { EXPECT_EQ(MUST(Half(4), "four is even"), 2); }

TEST(ResultDeathTest, AskingForWhatIsNotThereDies) {
  EXPECT_DEATH(static_cast<void>(Number(Colour::kRed).value()), "ok_");
  EXPECT_DEATH(static_cast<void>(Number(1).error()), "ok_");
  EXPECT_DEATH(Outcome(Colour::kRed).value(), "ok_");
  EXPECT_DEATH(static_cast<void>(MUST(Half(3), "three is even")), "three is even");
}

constexpr bool UsableInConstantExpressions() { return Number(3).value() == 3 && Outcome().ok(); }
static_assert(UsableInConstantExpressions());

}  // namespace
}  // namespace base
