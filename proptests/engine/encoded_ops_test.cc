#include "proptests/engine/encoded_ops.h"

#include <gtest/gtest.h>

#include <vector>

#include "traces/op.h"

namespace proptests {
namespace {

std::vector<TestOp> Decode(const std::vector<uint8_t>& bytes) {
  return DecodeOps(bytes.data(), bytes.size(), 4, 16).ops;
}

TEST(EncodedOpsTest, FourBytesAreAnOperation) {
  EXPECT_TRUE(Decode({}).empty());
  EXPECT_TRUE(Decode({1, 2, 3}).empty());
  EXPECT_EQ(Decode({1, 2, 3, 4, 5}).size(), 1u);
  EXPECT_EQ(Decode(std::vector<uint8_t>(40, 7)).size(), 10u);
}

TEST(EncodedOpsTest, TheFirstIsABirth) {
  for (int kind = 0; kind < 256; kind += 5) {
    const auto ops = Decode({static_cast<uint8_t>(kind), 1, 2, 3});
    EXPECT_EQ(ops[0].op.kind, traces::OpKind::kSpace);
    EXPECT_EQ(ops[0].op.child, 1u);
  }
}

TEST(EncodedOpsTest, EveryKindCanBeSaid) {
  for (uint8_t kind = 0; kind < traces::kProgramKindCount; ++kind) {
    const auto ops = Decode({0, 0, 0, 0, kind, 1, 2, 3});
    EXPECT_EQ(ops[1].op.kind, static_cast<traces::OpKind>(kind));
  }
}

TEST(EncodedOpsTest, AByteChangesOneOperation) {
  const std::vector<uint8_t> bytes(40, 9);
  const auto before = Decode(bytes);
  for (size_t at = 4; at < bytes.size(); ++at) {
    std::vector<uint8_t> changed = bytes;
    changed[at] = 11;
    const auto after = Decode(changed);
    for (size_t i = 0; i < before.size(); ++i) {
      if (i == at / 4) continue;
      EXPECT_EQ(before[i].op, after[i].op) << "byte " << at;
    }
  }
}

TEST(EncodedOpsTest, AnOperationThatMovesStaysWhatItIs) {
  const auto one = Decode({0, 0, 0, 0, 9, 1, 2, 3});
  const auto two = Decode({0, 0, 0, 0, 8, 8, 8, 8, 9, 1, 2, 3});
  EXPECT_EQ(one[1].op, two[2].op);
}

}  // namespace
}  // namespace proptests
