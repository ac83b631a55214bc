#include "base/prot.h"

#include <string>

#include "gtest/gtest.h"

namespace base {
namespace {

TEST(ProtTest, TheBitsAreTheUsersBits) {
  EXPECT_EQ(kProtRead.bits(), 1);
  EXPECT_EQ(kProtWrite.bits(), 2);
  EXPECT_EQ(kProtExecute.bits(), 4);
  EXPECT_EQ(kProtReadWrite, kProtRead | kProtWrite);
  EXPECT_EQ(kProtAll, kProtReadWrite | kProtExecute);
  EXPECT_TRUE(kProtNone.IsNone());
}

TEST(ProtTest, SetAlgebraOnAllPairs) {
  for (uint8_t a = 0; a < 8; ++a) {
    for (uint8_t b = 0; b < 8; ++b) {
      EXPECT_EQ((Prot(a) | Prot(b)).bits(), a | b);
      EXPECT_EQ((Prot(a) & Prot(b)).bits(), a & b);
      EXPECT_EQ((Prot(a) - Prot(b)).bits(), a & ~b);
      EXPECT_EQ(Prot(a).IsSubsetOf(Prot(b)), (a & b) == a);
    }
  }
}

TEST(ProtTest, NamesShowEveryRight) {
  for (uint8_t bits = 0; bits < 8; ++bits) {
    Prot prot(bits);
    std::string want = {prot.CanRead() ? 'r' : '-', prot.CanWrite() ? 'w' : '-',
                        prot.CanExecute() ? 'x' : '-'};
    EXPECT_EQ(ProtName(prot), want);
  }
}

TEST(ProtTest, EachAccessNeedsItsRight) {
  EXPECT_EQ(ProtFor(Access::kRead), kProtRead);
  EXPECT_EQ(ProtFor(Access::kWrite), kProtWrite);
  EXPECT_EQ(ProtFor(Access::kExecute), kProtExecute);
}

TEST(InheritTest, CodesAndNamesAreTheUsers) {
  EXPECT_EQ(static_cast<int>(Inherit::kShare), 0);
  EXPECT_EQ(static_cast<int>(Inherit::kCopy), 1);
  EXPECT_EQ(static_cast<int>(Inherit::kNone), 2);
  EXPECT_EQ(static_cast<int>(Inherit::kDonateCopy), 3);
  EXPECT_EQ(static_cast<int>(Inherit::kZero), 4);
  EXPECT_STREQ(InheritName(Inherit::kShare), "share");
  EXPECT_STREQ(InheritName(Inherit::kCopy), "copy");
  EXPECT_STREQ(InheritName(Inherit::kNone), "none");
  EXPECT_STREQ(InheritName(Inherit::kDonateCopy), "donate");
  EXPECT_STREQ(InheritName(Inherit::kZero), "zero");
  EXPECT_STREQ(InheritName(static_cast<Inherit>(9)), "?");
}

TEST(AdviceTest, CodesAndNamesAreTheUsers) {
  const char* names[] = {"normal",   "random",     "sequential", "willneed",
                         "dontneed", "spaceavail", "free"};
  for (uint8_t code = 0; code < 7; ++code)
    EXPECT_STREQ(AdviceName(static_cast<Advice>(code)), names[code]);
  EXPECT_STREQ(AdviceName(static_cast<Advice>(7)), "?");
}

}  // namespace
}  // namespace base
