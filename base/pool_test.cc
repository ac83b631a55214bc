#include "base/pool.h"

#include <cstdlib>
#include <cstring>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace base {
namespace {

// Chunks from the heap, up to a number of them.
class LimitedSource final : public PageSource {
 public:
  explicit LimitedSource(int chunks) : left_(chunks) {}
  LimitedSource(const LimitedSource&) = delete;
  LimitedSource& operator=(const LimitedSource&) = delete;
  ~LimitedSource() {
    for (void* chunk : chunks_) std::free(chunk);
  }
  void* AllocateChunk(size_t bytes) override {
    if (left_ == 0) return nullptr;
    --left_;
    size_t rounded = (bytes + 4095) / 4096 * 4096;
    void* chunk = std::aligned_alloc(4096, rounded);
    std::memset(chunk, 0, rounded);
    chunks_.push_back(chunk);
    return chunk;
  }
  size_t granted() const { return chunks_.size(); }

 private:
  int left_;
  std::vector<void*> chunks_;
};

struct Thing {
  explicit Thing(int n) : number(n) {}
  int number;
  uint64_t pad[3] = {};
};

TEST(PoolTest, ConstructsCountsAndReuses) {
  LimitedSource source(1);
  Pool<Thing> pool(&source);
  Thing* one = pool.New(1);
  Thing* two = pool.New(2);
  EXPECT_EQ(one->number, 1);
  EXPECT_EQ(two->number, 2);
  EXPECT_EQ(pool.live(), 2u);
  pool.Delete(one);
  EXPECT_EQ(pool.live(), 1u);
  EXPECT_EQ(pool.New(3), one);
  EXPECT_EQ(two->number, 2);
}

TEST(PoolTest, SlotsAreDistinctAndAligned) {
  LimitedSource source(10);
  Pool<Thing> pool(&source);
  std::vector<Thing*> things;
  for (int i = 0; i < 500; ++i) things.push_back(pool.New(i));
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(things[i]->number, i);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(things[i]) % alignof(Thing), 0u);
  }
}

TEST(PoolTest, ExhaustionIsANullPointerAndNotForEver) {
  LimitedSource source(1);
  Pool<Thing> pool(&source);
  std::vector<Thing*> things;
  while (Thing* thing = pool.New(0)) things.push_back(thing);
  EXPECT_EQ(things.size(), 4096 / sizeof(Thing));
  EXPECT_EQ(pool.live(), things.size());
  EXPECT_EQ(pool.New(0), nullptr);
  pool.Delete(things.back());
  EXPECT_NE(pool.New(0), nullptr);
  EXPECT_EQ(source.granted(), 1u);
}

TEST(PoolTest, TheCapHoldsBeforeMemoryRunsOut) {
  LimitedSource source(10);
  Pool<Thing> pool(&source, 2);
  Thing* one = pool.New(0);
  EXPECT_NE(pool.New(0), nullptr);
  EXPECT_EQ(pool.New(0), nullptr);
  pool.Delete(one);
  EXPECT_NE(pool.New(0), nullptr);
  pool.set_limit(3);
  EXPECT_NE(pool.New(0), nullptr);
  EXPECT_EQ(pool.New(0), nullptr);
}

TEST(PoolTest, BigObjectsGetBigChunks) {
  struct Big {
    unsigned char bytes[5000];
  };
  LimitedSource source(1);
  Pool<Big> pool(&source);
  int count = 0;
  while (pool.New() != nullptr) ++count;
  EXPECT_GE(count, 64);
}

TEST(ArrayPoolTest, CapacityIsThePowerOfTwoFromSixteenUp) {
  EXPECT_EQ(ArrayPool::Capacity(1), 16u);
  EXPECT_EQ(ArrayPool::Capacity(16), 16u);
  EXPECT_EQ(ArrayPool::Capacity(17), 32u);
  EXPECT_EQ(ArrayPool::Capacity(4096), 4096u);
  EXPECT_EQ(ArrayPool::Capacity(4097), 8192u);
}

TEST(ArrayPoolTest, MemoryIsZeroedEvenWhenReused) {
  LimitedSource source(1);
  ArrayPool pool(&source);
  auto* first = static_cast<unsigned char*>(pool.Allocate(100));
  std::memset(first, 0xff, 128);
  pool.Free(first, 100);
  auto* second = static_cast<unsigned char*>(pool.Allocate(128));
  EXPECT_EQ(second, first);
  for (int i = 0; i < 128; ++i) ASSERT_EQ(second[i], 0);
}

TEST(ArrayPoolTest, CountsLiveBytes) {
  LimitedSource source(3);
  ArrayPool pool(&source);
  void* small = pool.Allocate(10);
  void* large = pool.Allocate(5000);
  EXPECT_EQ(pool.live_bytes(), 16u + 8192u);
  pool.Free(small, 10);
  pool.Free(large, 5000);
  EXPECT_EQ(pool.live_bytes(), 0u);
}

TEST(ArrayPoolTest, SizesAreServedApart) {
  LimitedSource source(1);
  ArrayPool pool(&source);
  std::set<void*> seen;
  for (int i = 0; i < 4096 / 32; ++i) {
    void* memory = pool.Allocate(32);
    ASSERT_NE(memory, nullptr);
    seen.insert(memory);
  }
  EXPECT_EQ(seen.size(), 128u);
  EXPECT_EQ(pool.Allocate(32), nullptr);
  EXPECT_EQ(pool.Allocate(16), nullptr);
  pool.Free(*seen.begin(), 32);
  EXPECT_EQ(pool.Allocate(16), nullptr);  // a freed 32-byte slot serves 32-byte requests only
  EXPECT_EQ(pool.Allocate(20), *seen.begin());
}

}  // namespace
}  // namespace base
