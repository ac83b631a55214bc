// The table of free slots against a row of flags.

#include "uvm/swap_slots.h"

#include <string>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"

namespace uvm {
namespace {

class Table {
 public:
  explicit Table(uint64_t slots) : memory_(SwapSlots::Bytes(slots) / 8), free_(slots, true) {
    slots_.Init(memory_.data(), slots);
  }
  SwapSlots& slots() { return slots_; }
  void Take(uint64_t first, uint32_t count) {
    slots_.Take(first, count);
    for (uint32_t i = 0; i < count; ++i) free_[first + i] = false;
  }
  void Give(uint64_t first, uint32_t count) {
    slots_.Give(first, count);
    for (uint32_t i = 0; i < count; ++i) free_[first + i] = true;
  }
  bool AllAre(uint64_t first, uint32_t count, bool free) const {
    if (first + count > free_.size()) return false;
    for (uint32_t i = 0; i < count; ++i) {
      if (free_[first + i] != free) return false;
    }
    return true;
  }
  uint64_t NaiveFindRun(uint32_t count) const {
    uint32_t run = 0;
    for (uint64_t i = 0; i < free_.size(); ++i) {
      run = free_[i] ? run + 1 : 0;
      if (run == count) return i + 1 - count;
    }
    return SwapSlots::kNone;
  }

 private:
  std::vector<uint64_t> memory_;
  std::vector<bool> free_;
  SwapSlots slots_;
};

TEST(SwapSlotsTest, TheSmallestTables) {
  for (uint64_t size : {1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200}) {
    Table table(size);
    EXPECT_EQ(table.slots().free(), size);
    EXPECT_EQ(table.slots().longest_run(), size < 16 ? size : 16);
    EXPECT_TRUE(table.slots().Valid());
    for (uint32_t count = 1; count <= SwapSlots::kMaxRun; ++count)
      EXPECT_EQ(table.slots().FindRun(count), table.NaiveFindRun(count)) << size << " " << count;
    table.Take(0, static_cast<uint32_t>(size));
    EXPECT_EQ(table.slots().FindRun(1), SwapSlots::kNone);
    EXPECT_EQ(table.slots().free(), 0u);
    EXPECT_TRUE(table.slots().Valid());
  }
}

TEST(SwapSlotsTest, ARunAcrossTwoWordsAndTwoSubtrees) {
  Table table(4 * 64);
  for (uint64_t at = 0; at < 4 * 64; at += 16) table.Take(at, 16);
  table.Give(120, 16);  // the only run reaches over the middle of the tree
  for (uint32_t count = 1; count <= 16; ++count) EXPECT_EQ(table.slots().FindRun(count), 120u);
  table.Take(120, 1);
  EXPECT_EQ(table.slots().FindRun(16), SwapSlots::kNone);
  EXPECT_EQ(table.slots().FindRun(15), 121u);
}

TEST(SwapSlotsTest, AgreesWithARowOfFlags) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    base::Prng prng(seed, "swap_slots");
    const uint64_t size = 1 + prng.Below(seed % 3 == 0 ? 1500 : 300);
    const uint64_t fullness = 1 + prng.Below(9);
    Table table(size);
    for (int step = 0; step < 3000; ++step) {
      const auto count = static_cast<uint32_t>(1 + prng.Below(SwapSlots::kMaxRun));
      const uint64_t found = table.slots().FindRun(count);
      ASSERT_EQ(found, table.NaiveFindRun(count)) << "seed " << seed << " step " << step;
      if (found != SwapSlots::kNone && prng.Below(10) < fullness) table.Take(found, count);
      const auto give = static_cast<uint32_t>(1 + prng.Below(3));
      const uint64_t at = prng.Below(size);
      if (table.AllAre(at, give, false)) table.Give(at, give);
      if (table.AllAre(at, give, true) && prng.Chance(1, 2)) table.Take(at, give);
    }
    EXPECT_TRUE(table.slots().Valid());
  }
}

// A million slots, all in use but a run of 16 at the end.
TEST(SwapSlotsTest, WorkIsLogarithmic) {
  constexpr uint64_t kSlots = 1000000;
  Table table(kSlots);
  for (uint64_t at = 0; at < kSlots - 16; at += 16) table.Take(at, 16);
  const uint64_t before = table.slots().work();
  EXPECT_EQ(table.slots().FindRun(16), kSlots - 16);
  EXPECT_LE(table.slots().work() - before, 16u);  // 15,625 words: 14 levels
  const uint64_t found = table.slots().work();
  table.Take(kSlots - 16, 16);
  EXPECT_LE(table.slots().work() - found, 15u);
  EXPECT_EQ(table.slots().FindRun(1), SwapSlots::kNone);
}

TEST(SwapSlotsDeath, TakenTwiceGivenTwiceOrBeyondTheEnd) {
  Table table(10);
  table.slots().Take(3, 2);
  EXPECT_DEATH(table.slots().Take(2, 2), "IsFree");
  EXPECT_DEATH(table.slots().Give(4, 2), "IsFree");
  EXPECT_DEATH(table.slots().Take(9, 2), "slots_");
  EXPECT_DEATH(table.slots().Give(9, 2), "slots_");
}

}  // namespace
}  // namespace uvm
