#include "proptests/engine/op_pairs.h"

#include <gtest/gtest.h>

#include <string>

#include "base/addr.h"
#include "traces/op.h"

namespace proptests {
namespace {

using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;

constexpr uint64_t kPage = base::kPageSize;

class OpPairsTest : public testing::Test {
 protected:
  OpPairsTest() {
    ResolvedOp space;
    space.kind = OpKind::kSpace;
    space.child = 1;
    Note(space);
  }
  void Note(const ResolvedOp& op, int32_t code = 0, uint64_t value = 0) {
    Outcome seen;
    seen.family = Outcome::Family::kErrno;
    seen.code = code;
    seen.value = value;
    pairs_.Note(op, seen);
  }
  static ResolvedOp Of(OpKind kind, uint64_t page, uint64_t pages = 1, uint32_t task = 1) {
    ResolvedOp op;
    op.kind = kind;
    op.task = task;
    op.at = page * kPage;
    op.size = pages * kPage;
    return op;
  }
  uint64_t Count(OpKind first, OpKind then) const {
    return pairs_.counts()[PairNumber(first, then)];
  }
  uint64_t All() const {
    uint64_t sum = 0;
    for (const uint64_t count : pairs_.counts()) sum += count;
    return sum;
  }
  OpPairs pairs_;
};

TEST_F(OpPairsTest, AreOfOnePage) {
  Note(Of(OpKind::kMunmap, 5, 2));
  Note(Of(OpKind::kRead, 6));
  Note(Of(OpKind::kRead, 7));
  EXPECT_EQ(Count(OpKind::kSpace, OpKind::kMunmap), 1u);
  EXPECT_EQ(Count(OpKind::kMunmap, OpKind::kRead), 1u);
  EXPECT_EQ(Count(OpKind::kSpace, OpKind::kRead), 1u);
  Note(Of(OpKind::kWrite, 6));
  EXPECT_EQ(Count(OpKind::kRead, OpKind::kWrite), 1u);
  EXPECT_EQ(Count(OpKind::kMunmap, OpKind::kWrite), 0u);
}

// Once, however many pages they share.
TEST_F(OpPairsTest, CountOncePerOperation) {
  Note(Of(OpKind::kMlock, 4, 8));
  Note(Of(OpKind::kMunlock, 4, 8));
  EXPECT_EQ(Count(OpKind::kMlock, OpKind::kMunlock), 1u);
}

TEST_F(OpPairsTest, TheFirstSucceededTheSecondMayFail) {
  Note(Of(OpKind::kMunmap, 5));
  Note(Of(OpKind::kRead, 5), 14);
  EXPECT_EQ(Count(OpKind::kMunmap, OpKind::kRead), 1u);
  Note(Of(OpKind::kWrite, 5));
  EXPECT_EQ(Count(OpKind::kMunmap, OpKind::kWrite), 1u);
  EXPECT_EQ(Count(OpKind::kRead, OpKind::kWrite), 0u);
}

TEST_F(OpPairsTest, WhatIsAboutTheWholeTaskIsAboutEachPage) {
  Note(Of(OpKind::kMprotect, 5));
  Note(Of(OpKind::kWrite, 6));
  ResolvedOp fork;
  fork.kind = OpKind::kFork;
  fork.task = 1;
  fork.child = 2;
  Note(fork);
  EXPECT_EQ(Count(OpKind::kMprotect, OpKind::kFork), 1u);
  EXPECT_EQ(Count(OpKind::kWrite, OpKind::kFork), 1u);
  Note(Of(OpKind::kRead, 5, 1, 2));
  Note(Of(OpKind::kRead, 5));
  EXPECT_EQ(Count(OpKind::kFork, OpKind::kRead), 2u);
  // Nothing follows a death.
  ResolvedOp exit;
  exit.kind = OpKind::kExit;
  exit.task = 2;
  Note(exit);
  const uint64_t all = All();
  Note(Of(OpKind::kRead, 5, 1, 2));
  EXPECT_EQ(All(), all);
}

TEST_F(OpPairsTest, AreOfOneName) {
  ResolvedOp memfd;
  memfd.kind = OpKind::kMemfd;
  memfd.task = 1;
  memfd.file_key = 77;
  Note(memfd);
  ResolvedOp cut = memfd;
  cut.kind = OpKind::kMemfdTruncate;
  Note(cut);
  cut.file_key = 78;
  Note(cut);
  EXPECT_EQ(Count(OpKind::kMemfd, OpKind::kMemfdTruncate), 1u);
  EXPECT_EQ(Count(OpKind::kMemfdTruncate, OpKind::kMemfdTruncate), 0u);
}

TEST_F(OpPairsTest, BothEndsOfAMoveCount) {
  Note(Of(OpKind::kWrite, 5));
  Note(Of(OpKind::kMlock, 9));
  ResolvedOp move = Of(OpKind::kMremap, 5);
  move.new_size = kPage;
  Note(move, 0, 9 * kPage);
  EXPECT_EQ(Count(OpKind::kWrite, OpKind::kMremap), 1u);
  EXPECT_EQ(Count(OpKind::kMlock, OpKind::kMremap), 1u);
}

TEST_F(OpPairsTest, TextAndSums) {
  PairCounts sum;
  AddPairs({}, &sum);
  EXPECT_EQ(PairsText(sum), "");
  Note(Of(OpKind::kRead, 5));
  AddPairs(pairs_.counts(), &sum);
  AddPairs(pairs_.counts(), &sum);
  EXPECT_EQ(sum[PairNumber(OpKind::kSpace, OpKind::kRead)], 2u);
  EXPECT_EQ(PairsText(sum).substr(0, 15), "  pairs   1 of ");
  EXPECT_EQ(PairName(PairNumber(OpKind::kFork, OpKind::kWrite)), "fork then write");
  EXPECT_TRUE(CannotFollow(OpKind::kExit, OpKind::kRead));
  EXPECT_FALSE(CannotFollow(OpKind::kRead, OpKind::kExit));
  EXPECT_TRUE(CannotFollow(OpKind::kMunmap, OpKind::kMemfdSeal));
  EXPECT_FALSE(CannotFollow(OpKind::kMmap, OpKind::kMemfdSeal));
}

}  // namespace
}  // namespace proptests
