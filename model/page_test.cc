#include "model/page.h"

#include <algorithm>
#include <string>

#include "base/pattern.h"
#include "base/prng.h"
#include "gtest/gtest.h"

namespace model {
namespace {

constexpr uint64_t kAt = 0x7000;  // where the storing task has the page

TEST(PageValueTest, StartsAsZeros) {
  PageBytes zeros{};
  EXPECT_EQ(PageValue().Expand(), zeros);
}

TEST(PageValueTest, FilePagesHoldTheFilesBytes) {
  PageBytes bytes = PageValue::OfFile(0x1235, 0x3000).Expand();
  for (uint64_t i = 0; i < bytes.size(); ++i)
    ASSERT_EQ(bytes[i], base::FileByte(0x1235, 0x3000 + i));
}

TEST(PageValueTest, LaterStoresWin) {
  PageValue page;
  page.Store(10, 20, 'A', kAt);
  page.Store(15, 5, 'B', kAt);
  page.Store(5, 6, 'C', kAt);
  PageBytes bytes = page.Expand();
  EXPECT_EQ(std::string(bytes.begin() + 5, bytes.begin() + 30), "CCCCCCAAAABBBBBAAAAAAAAAA");
}

TEST(PageValueTest, EqualityIsByContents) {
  PageValue a, b;
  a.Store(0, 4, 'A', kAt);
  b.Store(0, 2, 'A', kAt);
  EXPECT_FALSE(a == b);
  b.Store(2, 2, 'A', 0x9000);  // stored at another address, but one byte is one byte
  EXPECT_TRUE(a == b);
  EXPECT_EQ(a.ContentHash(), b.ContentHash());
}

TEST(PageValueTest, CopiesGoTheirOwnWays) {
  PageValue a;
  for (uint64_t i = 0; i < 40; ++i) a.Store(i * 8, 4, 'A', kAt);  // enough to be folded into bytes
  PageValue b = a;
  b.Store(0, 4096, 'B', kAt);
  a.Store(8, 1, 'C', kAt);
  EXPECT_EQ(a.Expand()[0], 'A');
  EXPECT_EQ(b.Expand()[8], 'B');
}

// Against an array of bytes.
TEST(PageValueTest, ManyStoresAgreeWithBytes) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    base::Prng prng(seed, "page");
    bool file = prng.Chance(1, 2);
    PageValue page = file ? PageValue::OfFile(77, 0x1000) : PageValue();
    PageBytes bytes{};
    if (file) base::FillFile(77, 0x1000, bytes.data(), bytes.size());
    for (int i = 0; i < 60; ++i) {
      uint64_t start = prng.Below(4096);
      uint64_t size = 1 + (prng.Chance(1, 8) ? prng.Below(4096 - start)
                                             : prng.Below(std::min<uint64_t>(64, 4096 - start)));
      uint64_t value = prng.Chance(1, 2) ? prng.Below(256) : prng.Next();
      if (prng.Chance(1, 40)) start = 0, size = 4096;
      page.Store(start, size, value, kAt);
      for (uint64_t k = 0; k < size; ++k)
        bytes[start + k] = base::StoredByte(value, kAt + start + k);
      uint64_t from = prng.Below(4096);
      unsigned char out[4096];
      page.Load(from, 4096 - from, out);
      ASSERT_TRUE(
          std::equal(out, out + (4096 - from), bytes.begin() + static_cast<ptrdiff_t>(from)))
          << seed;
    }
    ASSERT_EQ(page.Expand(), bytes);
  }
}

}  // namespace
}  // namespace model
