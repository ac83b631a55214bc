#include "base/hash.h"

#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace base {
namespace {

// These values reach traces and hash chains: they are the same for ever, on every compiler and word
// size.
TEST(HashTest, FixedValues) {
  EXPECT_EQ(Mix64(0), 0u);
  EXPECT_EQ(Mix64(1), 0xb456bcfc34c2cb2cULL);
  EXPECT_EQ(Mix64(0x0123456789abcdefULL), 0x87cbfbfe89022ceaULL);
  EXPECT_EQ(Chain(0, 0), 0x155105a0563a073cULL);
  EXPECT_EQ(Chain(1, 2), 0x29b6af9985a361d4ULL);
  EXPECT_EQ(HashText(""), 0xefd01f60ba992926ULL);
  EXPECT_EQ(HashText("uvm"), 0xb6de5655c81f1102ULL);
}

TEST(HashTest, FixedValuesOfByteStrings) {
  unsigned char bytes[20];
  for (unsigned char i = 0; i < 20; ++i) bytes[i] = static_cast<unsigned char>(i * 37 + 1);
  EXPECT_EQ(HashBytes(bytes, 0), 0x7d6e4ac38b2b1be2ULL);
  EXPECT_EQ(HashBytes(bytes, 7), 0xa5ddb7d5f711df99ULL);
  EXPECT_EQ(HashBytes(bytes, 8), 0xede3ac1ec79de582ULL);
  EXPECT_EQ(HashBytes(bytes, 20, 5), 0xdfea1dfe37e37478ULL);
}

TEST(HashTest, LoadsAreLittleEndianAndNeedNoAlignment) {
  unsigned char bytes[9] = {0xff, 1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(LoadLe64(bytes + 1), 0x0807060504030201ULL);
}

TEST(HashTest, LengthMattersBesidesContents) {
  std::vector<unsigned char> zeroes(64, 0);
  std::set<uint64_t> seen;
  for (size_t size = 0; size <= zeroes.size(); ++size) seen.insert(HashBytes(zeroes.data(), size));
  EXPECT_EQ(seen.size(), zeroes.size() + 1);
}

TEST(HashTest, EveryBitMatters) {
  unsigned char bytes[24] = {};
  std::set<uint64_t> seen = {HashBytes(bytes, sizeof bytes)};
  for (size_t bit = 0; bit < 8 * sizeof bytes; ++bit) {
    bytes[bit / 8] = static_cast<unsigned char>(1 << bit % 8);
    seen.insert(HashBytes(bytes, sizeof bytes));
    bytes[bit / 8] = 0;
  }
  EXPECT_EQ(seen.size(), 8 * sizeof bytes + 1);
}

TEST(HashTest, ChainDependsOnTheOrder) { EXPECT_NE(Chain(Chain(0, 1), 2), Chain(Chain(0, 2), 1)); }

static_assert(Mix64(1) == 0xb456bcfc34c2cb2cULL,
              "usable in constant expressions, with the same value");

}  // namespace
}  // namespace base
