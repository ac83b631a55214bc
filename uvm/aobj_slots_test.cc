#include "uvm/aobj_slots.h"

#include <map>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

class AobjSlotsTest : public ::testing::Test {
 protected:
  AobjSlotsTest() : pmap_(4), core_{&memory_, &pmap_, &threads_, {}, {}}, store_(&core_) {}

  // What was there, or "full".
  std::string Set(uint64_t index, SwapSlot slot) {
    SwapSlot old;
    if (!table_.Set(&store_, PageCount(pages_), PageIndex(index), slot, &old)) return "full";
    return std::to_string(old);
  }
  std::map<uint64_t, SwapSlot> All(uint64_t first = 0, uint64_t end = ~uint64_t{0}) {
    std::map<uint64_t, SwapSlot> all;
    table_.ForEach(PageIndex(first), PageIndex(end), [&](PageIndex index, SwapSlot slot) {
      EXPECT_TRUE(all.emplace(index.value(), slot).second) << index.value() << " comes twice";
    });
    return all;
  }

  testing::FakeThreads threads_;
  testing::HostPages memory_;
  testing::NaivePmap pmap_;
  Core core_;
  SlotStore store_;
  SlotTable table_;
  uint64_t pages_ = 10;
};

TEST_F(AobjSlotsTest, AnEmptyTableHasNoSlotsAndNoMemory) {
  EXPECT_EQ(table_.Find(PageIndex(5)), kNoSlot);
  EXPECT_EQ(Set(5, kNoSlot), "0");
  EXPECT_EQ(store_.clusters.live(), 0u);
  EXPECT_TRUE(All().empty());
}

TEST_F(AobjSlotsTest, ASlotTakesAnothersPlace) {
  EXPECT_EQ(Set(5, 7), "0");
  EXPECT_EQ(Set(5, 8), "7");
  EXPECT_EQ(Set(5, kBadSlot), "8");
  EXPECT_EQ(Set(5, kNoSlot), std::to_string(kBadSlot));
  EXPECT_EQ(table_.used(), 0u);
  table_.Clear(&store_);
}

TEST_F(AobjSlotsTest, SmallObjectsNeedNoClusters) {
  pages_ = SlotTable::kFlatPages;
  EXPECT_EQ(Set(0, 1), "0");
  EXPECT_EQ(Set(63, 2), "0");
  EXPECT_EQ(store_.clusters.live(), 0u);
  EXPECT_EQ(table_.Find(PageIndex(63)), 2u);
}

TEST_F(AobjSlotsTest, ClustersGoWithTheirLastSlot) {
  pages_ = 1000;
  Set(16, 1);
  Set(31, 2);
  Set(32, 3);
  EXPECT_EQ(store_.clusters.live(), 2u);
  Set(16, kNoSlot);
  EXPECT_EQ(store_.clusters.live(), 2u);
  Set(31, kNoSlot);
  EXPECT_EQ(store_.clusters.live(), 1u);
}

TEST_F(AobjSlotsTest, WithoutMemoryNothingChanges) {
  pages_ = 1000;
  store_.clusters.set_limit(1);
  EXPECT_EQ(Set(0, 1), "0");
  EXPECT_EQ(Set(16, 2), "full");
  EXPECT_EQ(table_.Find(PageIndex(16)), kNoSlot);
  EXPECT_EQ(table_.used(), 1u);
  EXPECT_EQ(Set(0, 3), "1") << "there is room where a slot is";
  EXPECT_EQ(Set(0, kNoSlot), "3");
}

TEST_F(AobjSlotsTest, ASlotMayGoWhileTheTableIsWalked) {
  pages_ = 1000;
  for (uint64_t i = 0; i < 100; ++i) Set(i * 3, static_cast<SwapSlot>(i + 1));
  table_.ForEach(PageIndex(30), PageIndex(200),
                 [&](PageIndex index, SwapSlot) { Set(index.value(), kNoSlot); });
  EXPECT_EQ(table_.used(), 100u - 57u);
  EXPECT_TRUE(All(30, 200).empty());
  EXPECT_EQ(All().size(), 43u);
}

// The property: a table is a map from index to slot, whatever the object's size was meanwhile.
TEST_F(AobjSlotsTest, ATableIsAMap) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    base::Prng prng(seed, "aobj_slots");
    std::map<uint64_t, SwapSlot> expected;
    pages_ = 1 + prng.Below(200);
    for (int step = 0; step < 600; ++step) {
      if (prng.Below(50) == 0) pages_ = 1 + prng.Below(10000);
      const uint64_t index = prng.Below(2) == 0 ? prng.Below(pages_) : prng.Below(100);
      if (index >= pages_ && !expected.contains(index)) continue;
      const auto slot = static_cast<SwapSlot>(prng.Below(3) == 0 ? 0 : 1 + prng.Below(1000));
      const SwapSlot old = expected.contains(index) ? expected[index] : kNoSlot;
      EXPECT_EQ(table_.Find(PageIndex(index)), old);
      EXPECT_EQ(Set(index, slot), std::to_string(old));
      expected.erase(index);
      if (slot != kNoSlot) expected[index] = slot;
    }
    EXPECT_EQ(All(), expected);
    EXPECT_EQ(table_.used(), expected.size());
    for (const auto& [index, slot] : expected) Set(index, kNoSlot);
    EXPECT_EQ(store_.clusters.live(), 0u);
    table_.Clear(&store_);
  }
}

}  // namespace
}  // namespace uvm
