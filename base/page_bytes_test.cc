#include "base/page_bytes.h"

#include <cstring>

#include "gtest/gtest.h"

namespace base {
namespace {

// A page between two guards that nobody may touch.
struct alignas(kPageSize) Guarded {
  unsigned char before[kPageSize];
  unsigned char page[kPageSize];
  unsigned char after[kPageSize];
  explicit Guarded(unsigned char first) {
    std::memset(before, 0xa5, kPageSize);
    std::memset(after, 0xa5, kPageSize);
    for (uint64_t i = 0; i < kPageSize; ++i) page[i] = static_cast<unsigned char>(first + i * 7);
  }
  void ExpectGuards() const {
    for (uint64_t i = 0; i < kPageSize; ++i) {
      ASSERT_EQ(before[i], 0xa5) << i;
      ASSERT_EQ(after[i], 0xa5) << i;
    }
  }
};

class PageBytesTest : public ::testing::TestWithParam<PageStores> {};

TEST_P(PageBytesTest, ZeroingReachesEveryByteAndNoOther) {
  Guarded target(1);
  ZeroPageBytes(target.page, GetParam());
  for (uint64_t i = 0; i < kPageSize; ++i) ASSERT_EQ(target.page[i], 0) << i;
  target.ExpectGuards();
}

TEST_P(PageBytesTest, CopyingReachesEveryByteAndNoOther) {
  Guarded source(3), target(200);
  CopyPageBytes(source.page, target.page, GetParam());
  EXPECT_EQ(std::memcmp(source.page, target.page, kPageSize), 0);
  EXPECT_EQ(source.page[4095], static_cast<unsigned char>(3 + 4095 * 7));
  source.ExpectGuards();
  target.ExpectGuards();
}

TEST_P(PageBytesTest, ExpectingChangesNothing) {
  Guarded target(9), same(9);
  ExpectPageBytes(target.page, Access::kWrite, GetParam());
  ExpectPageBytes(target.page, Access::kRead, GetParam());
  EXPECT_EQ(std::memcmp(target.page, same.page, kPageSize), 0);
}

INSTANTIATE_TEST_SUITE_P(BothWays, PageBytesTest,
                         ::testing::Values(PageStores::kCached, PageStores::kStreamed));

}  // namespace
}  // namespace base
