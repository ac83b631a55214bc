#include "base/pattern.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"

namespace base {
namespace {

TEST(PatternTest, FillAgreesWithTheBytesForAllAlignments) {
  for (uint64_t value : {uint64_t{0}, uint64_t{'B'}, uint64_t{255}, uint64_t{256},
                         uint64_t{0x123456789}, ~uint64_t{0}}) {
    for (uint64_t address : {uint64_t{0}, uint64_t{0x10000}, ~uint64_t{0} - 40}) {
      for (uint64_t offset = 0; offset < 9; ++offset) {
        for (uint64_t size = 0; size < 28; ++size) {
          std::vector<unsigned char> bytes(size + 1, 0xee);
          FillStored(value, address + offset, bytes.data(), size);
          for (uint64_t i = 0; i < size; ++i)
            ASSERT_EQ(bytes[i], StoredByte(value, address + offset + i));
          ASSERT_EQ(bytes[size], 0xee);  // nothing is written behind the end
        }
      }
    }
  }
}

TEST(PatternTest, FilesFillLikeTheirBytes) {
  std::vector<unsigned char> bytes(100);
  for (uint64_t offset : {0, 1, 4095, 4096, 12345}) {
    FillFile(42, offset, bytes.data(), bytes.size());
    for (uint64_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], FileByte(42, offset + i));
  }
}

TEST(PatternTest, SmallValuesAreThemselves) {
  for (uint64_t value = 0; value < 256; ++value) {
    EXPECT_EQ(StoredByte(value, 0), value);
    EXPECT_EQ(StoredByte(value, 0x123457), value);
  }
}

TEST(PatternTest, FileKeysAreNeverSmallValues) {
  // Key 0 is a file like any other, not a file full of zeroes.
  bool varied = false;
  for (uint64_t offset = 1; offset < 64; ++offset)
    varied = varied || FileByte(0, offset) != FileByte(0, 0);
  EXPECT_TRUE(varied);
}

TEST(PatternTest, PartsOfAStoreComeFromTheirAddressNotFromItsStart) {
  std::vector<unsigned char> whole(64), tail(40);
  FillStored(999, 0x2000, whole.data(), whole.size());
  FillStored(999, 0x2000 + 24, tail.data(), tail.size());
  EXPECT_TRUE(std::equal(tail.begin(), tail.end(), whole.begin() + 24));
}

TEST(PatternTest, FixedValues) {
  EXPECT_EQ(StoredByte(256, 0), 0x3b);
  EXPECT_EQ(StoredByte(0xabcdef, 0x7fff), 0xe1);
  EXPECT_EQ(FileByte(7, 4096), 0xc0);
}

}  // namespace
}  // namespace base
