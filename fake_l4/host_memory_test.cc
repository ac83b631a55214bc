#include "fake_l4/host_memory.h"

#include <cstdint>
#include <set>

#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

bool IsZero(const unsigned char* bytes, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

TEST(HostMemoryTest, IsZeroUpToItsEnd) {
  for (const size_t bytes : {size_t{4096}, size_t{5} << 20}) {
    HostMemory memory(bytes);
    ASSERT_EQ(memory.bytes(), bytes);
    EXPECT_TRUE(IsZero(memory.start(), 4096));
    EXPECT_TRUE(IsZero(memory.start() + bytes - 4096, 4096));
    memory.start()[bytes - 1] = 1;
  }
}

TEST(HostTablesTest, PiecesAreZeroAlignedAndApart) {
  HostTables tables;
  std::set<const unsigned char*> starts;
  constexpr size_t kBytes = 100001;
  for (int i = 0; i < 100; i++) {
    auto* piece = static_cast<unsigned char*>(tables.Take(kBytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(piece) % HostTables::kAlignment, 0u);
    EXPECT_TRUE(IsZero(piece, kBytes)) << i;
    for (size_t at = 0; at < kBytes; at++) piece[at] = 0xff;
    starts.insert(piece);
  }
  EXPECT_EQ(starts.size(), 100u);
}

}  // namespace
}  // namespace fake_l4
