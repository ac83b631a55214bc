#include "fake_l4/translation_cache.h"

#include <vector>

#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

class TranslationCacheTest : public ::testing::Test {
 protected:
  TranslationCacheTest() {
    caches_.SetShootDownListener([this](size_t p) { shot_.push_back(p); });
  }
  void Fill(size_t processor, const PageTable& table, uint64_t vpage) {
    caches_.Fill(processor,
                 {.table = &table, .space = 5, .vpage = vpage, .frame = 9, .rights = kR});
  }
  bool Has(size_t processor, const PageTable& table, uint64_t vpage) {
    return caches_.Find(processor, table, vpage) != nullptr;
  }
  int Count() {
    int count = 0;
    caches_.ForEach([&](size_t, const Translation&) { count++; });
    return count;
  }

  LeafPool pool_;
  PageTable a_{&pool_}, b_{&pool_};
  TranslationCaches caches_{2};
  std::vector<size_t> shot_;
};

TEST_F(TranslationCacheTest, RemembersBySpaceAndPage) {
  Fill(0, a_, 3);
  ASSERT_TRUE(Has(0, a_, 3));
  EXPECT_EQ(caches_.Find(0, a_, 3)->frame, 9u);
  EXPECT_FALSE(Has(1, a_, 3));
  EXPECT_FALSE(Has(0, b_, 3));
  EXPECT_FALSE(Has(0, a_, 4));
  Fill(0, b_, 3);  // the same place in the cache
  EXPECT_FALSE(Has(0, a_, 3));
}

TEST_F(TranslationCacheTest, ARevocationReachesEveryProcessorThatHasIt) {
  Fill(0, a_, 3);
  Fill(1, a_, 3);
  Fill(1, a_, 4);
  Fill(1, b_, 5);
  caches_.Revoked(a_, 3, 12);
  EXPECT_EQ(shot_, (std::vector<size_t>{0, 1}));
  EXPECT_FALSE(Has(0, a_, 3));
  EXPECT_FALSE(Has(1, a_, 3));
  EXPECT_TRUE(Has(1, a_, 4));
  caches_.Revoked(a_, 100, 12);
  EXPECT_EQ(shot_.size(), 2u);
}

TEST_F(TranslationCacheTest, ALargePageCoversItsPages) {
  Fill(1, a_, 512);
  Fill(1, a_, 1023);
  Fill(1, a_, 1024 + 30);
  caches_.Revoked(a_, 512, 21);
  EXPECT_EQ(shot_, (std::vector<size_t>{1}));
  EXPECT_EQ(Count(), 1);
}

TEST_F(TranslationCacheTest, HeldBackRevocationsAreLearntInAnyOrder) {
  Fill(0, a_, 3);
  Fill(0, a_, 4);
  caches_.HoldBack();
  caches_.Revoked(a_, 3, 12);
  caches_.Revoked(a_, 4, 12);
  EXPECT_TRUE(shot_.empty());
  // Still used, and known to be stale.
  EXPECT_TRUE(Has(0, a_, 3));
  EXPECT_EQ(Count(), 0);
  ASSERT_EQ(caches_.held().size(), 2u);
  caches_.Deliver(1);
  EXPECT_FALSE(Has(0, a_, 4));
  EXPECT_TRUE(Has(0, a_, 3));
  caches_.DeliverAll();
  EXPECT_FALSE(Has(0, a_, 3));
  EXPECT_TRUE(caches_.held().empty());
  // And at once again.
  Fill(0, a_, 3);
  caches_.Revoked(a_, 3, 12);
  EXPECT_FALSE(Has(0, a_, 3));
}

}  // namespace
}  // namespace fake_l4
