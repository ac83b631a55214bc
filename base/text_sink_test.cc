#include "base/text_sink.h"

#include <string>

#include "gtest/gtest.h"

namespace base {
namespace {

class TextSinkTest : public ::testing::Test {
 protected:
  char buffer_[64];
  TextSink sink_{buffer_, sizeof buffer_};
};

TEST_F(TextSinkTest, StartsEmptyAndTerminated) {
  EXPECT_TRUE(sink_.empty());
  EXPECT_STREQ(sink_.text(), "");
  EXPECT_FALSE(sink_.truncated());
}

TEST_F(TextSinkTest, Numbers) {
  sink_ << uint64_t{0} << " " << ~uint64_t{0} << " " << 17u << " " << -17;
  EXPECT_STREQ(sink_.text(), "0 18446744073709551615 17 -17");
  sink_.Clear();
  sink_ << -2147483647 - 1;
  EXPECT_STREQ(sink_.text(), "-2147483648");
}

TEST_F(TextSinkTest, HexHasNoLeadingZeroes) {
  sink_ << Hex{0} << " " << Hex{0xabc} << " " << Hex{~uint64_t{0}};
  EXPECT_STREQ(sink_.text(), "0x0 0xabc 0xffffffffffffffff");
}

TEST_F(TextSinkTest, VocabularyTypes) {
  sink_ << Vaddr(0x1000) << " " << Paddr(0x2000) << " " << PageIndex(3) << " " << PageCount(4)
        << " " << kProtReadWrite << " " << Range{Vaddr(0x1000), Vaddr(0x3000)};
  EXPECT_STREQ(sink_.text(), "0x1000 0x2000 3 4 rw- [0x1000,0x3000)");
}

TEST_F(TextSinkTest, IndentAndClear) {
  sink_.Indent(3);
  sink_ << "x";
  EXPECT_STREQ(sink_.text(), "   x");
  EXPECT_EQ(sink_.size(), 4u);
  sink_.Clear();
  EXPECT_TRUE(sink_.empty());
  EXPECT_STREQ(sink_.text(), "");
}

TEST(TextSinkTruncationTest, FillsTheBufferExactlyAndRemembers) {
  char buffer[6] = {'?', '?', '?', '?', '?', '!'};
  TextSink sink(buffer, 5);
  sink << "abcd";
  EXPECT_FALSE(sink.truncated());
  EXPECT_STREQ(sink.text(), "abcd");
  sink << "e";
  EXPECT_TRUE(sink.truncated());
  sink << "fgh" << 12345;
  EXPECT_STREQ(sink.text(), "abcd");
  EXPECT_EQ(buffer[5], '!');  // nothing is written behind the capacity
  sink.Clear();
  EXPECT_FALSE(sink.truncated());
  sink << "xy";
  EXPECT_STREQ(sink.text(), "xy");
}

TEST(TextSinkTruncationTest, CapacityOneHoldsOnlyTheEnd) {
  char buffer[1];
  TextSink sink(buffer, 1);
  sink << "a";
  EXPECT_STREQ(sink.text(), "");
  EXPECT_TRUE(sink.truncated());
}

}  // namespace
}  // namespace base
