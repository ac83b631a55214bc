// ReadSet::IsSettled beside the set itself: pages whose contents are open or not known, in and out
// of the range that is read.

#include "model/access.h"

#include <cstdint>
#include <memory>

#include "base/addr.h"
#include "gtest/gtest.h"
#include "model/layer.h"
#include "model/objects.h"
#include "model/space.h"

namespace model {
namespace {

constexpr uint64_t kPage = base::kPageSize;
constexpr uint64_t kAt = 0x1000;
constexpr uint64_t kKey = 7;

class AccessTest : public testing::Test {
 protected:
  // Two regions of two pages that adjoin, of private memory; the rest of the space is empty.
  AccessTest() {
    Map(kAt, 0);
    Map(kAt + 2 * kPage, 0);
  }
  void Map(uint64_t at, uint64_t file_key) {
    Region region;
    region.start = at;
    region.end = at + 2 * kPage;
    region.attributes.prot = region.attributes.max_prot = base::kProtReadWrite;
    region.attributes.advice = at == kAt ? base::Advice::kNormal : base::Advice::kRandom;
    region.file_key = file_key;
    region.layer = std::make_shared<Layer>();
    space_.Map(std::move(region));
  }
  // Each of the pages has contents of its own.
  void StoreAll() {
    for (uint64_t va = kAt; va < kAt + 4 * kPage; va += kPage) {
      Space::Store(*space_.Find(va), va, kPage, 'A', &files_);
    }
  }
  void StoreUnknown(uint64_t va) {
    Space::StoreBytes(*space_.Find(va), va, kPage, nullptr, &files_);
  }
  // As IsSettled says, which must be what the set says.
  bool IsSettled(uint64_t start, uint64_t end) {
    const bool settled = ReadSet::IsSettled(space_, start, end, files_);
    const ReadSet set(space_, start, end, files_);
    EXPECT_EQ(settled, !set.open() && set.checkable()) << start << " to " << end;
    return settled;
  }

  Space space_{kAt, kAt + 8 * kPage};
  FileTable files_;
};

TEST_F(AccessTest, WhatNobodyGaveUpIsSettled) {
  EXPECT_TRUE(IsSettled(kAt, kAt + 4 * kPage));
  StoreAll();
  EXPECT_TRUE(IsSettled(kAt, kAt + 4 * kPage));
  EXPECT_TRUE(IsSettled(kAt, kAt));
}

TEST_F(AccessTest, APageGivenUpIsOpenForWhoReadsAByteOfIt) {
  for (uint64_t page = 0; page < 4; ++page) {
    StoreAll();
    const uint64_t open = kAt + page * kPage;
    space_.GiveUp(open, open + kPage);
    EXPECT_FALSE(IsSettled(open, open + kPage));
    EXPECT_FALSE(IsSettled(open, open + 1));
    EXPECT_FALSE(IsSettled(open + kPage - 1, open + kPage));
    EXPECT_FALSE(IsSettled(kAt, kAt + 4 * kPage));
    // From the middle of a page before it, up to its first byte.
    if (page != 0) {
      EXPECT_FALSE(IsSettled(kAt + 100, open + 1));
    }
    // Up to it, and from its end on.
    EXPECT_TRUE(IsSettled(kAt, open));
    EXPECT_TRUE(IsSettled(open + kPage, kAt + 4 * kPage));
  }
}

TEST_F(AccessTest, StoresAndChoicesSettleIt) {
  StoreAll();
  space_.GiveUp(kAt, kAt + 2 * kPage);
  EXPECT_FALSE(IsSettled(kAt, kAt + kPage));
  Space::Store(*space_.Find(kAt), kAt, kPage, 'B', &files_);
  EXPECT_TRUE(IsSettled(kAt, kAt + kPage));
  EXPECT_FALSE(IsSettled(kAt, kAt + 2 * kPage));
  ReadSet set(space_, kAt + kPage, kAt + 2 * kPage, files_);
  ASSERT_TRUE(set.checkable());
  ASSERT_EQ(set.Values().size(), 2u);
  set.Choose(set.Values()[1]);
  EXPECT_TRUE(IsSettled(kAt, kAt + 2 * kPage));
}

TEST_F(AccessTest, BytesThatNobodyKnowsAreNotSettled) {
  StoreAll();
  StoreUnknown(kAt + 2 * kPage);
  EXPECT_FALSE(IsSettled(kAt + 2 * kPage, kAt + 3 * kPage));
  EXPECT_FALSE(IsSettled(kAt, kAt + 4 * kPage));
  EXPECT_TRUE(IsSettled(kAt, kAt + 2 * kPage));
  EXPECT_TRUE(IsSettled(kAt + 3 * kPage, kAt + 4 * kPage));
}

// What a private mapping shows of its file, until the task has a page of its own.
TEST_F(AccessTest, UnknownPagesOfAFileShowThrough) {
  Map(kAt + 2 * kPage, kKey);
  EXPECT_TRUE(IsSettled(kAt, kAt + 4 * kPage));
  Space::StoreInFile(kKey, 1, 0, kPage, nullptr, &files_);
  EXPECT_FALSE(IsSettled(kAt + 3 * kPage, kAt + 4 * kPage));
  EXPECT_TRUE(IsSettled(kAt + 2 * kPage, kAt + 3 * kPage));
  Space::Store(*space_.Find(kAt + 3 * kPage), kAt + 3 * kPage, kPage, 'C', &files_);
  EXPECT_TRUE(IsSettled(kAt + 3 * kPage, kAt + 4 * kPage));
}

}  // namespace
}  // namespace model
