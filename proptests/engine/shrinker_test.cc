// The shrinker against made-up failures: a "bug" here is a predicate over the operations, so that
// the smallest failing run is known beforehand.

#include "proptests/engine/shrinker.h"

#include <gtest/gtest.h>

#include "base/addr.h"
#include "proptests/engine/generator.h"

namespace proptests {
namespace {

using traces::Op;
using traces::OpKind;

const Fingerprint kPrint = {FailureClass::kContents, "MadeUp"};

std::vector<TestOp> Draw(uint64_t seed, uint64_t count) {
  GenOptions options;
  options.seed = seed;
  std::vector<TestOp> ops;
  for (const Op& op : DrawOps(Generator(options), count)) ops.push_back({op, std::nullopt});
  return ops;
}

// Fails once the kinds have occurred in this order, with anything between.
Experiment NeedsInOrder(std::vector<OpKind> kinds) {
  return [kinds](const Candidate& candidate) {
    Attempt attempt;
    attempt.executed = candidate.ops;
    size_t met = 0;
    for (size_t i = 0; i < candidate.ops.size(); ++i) {
      if (candidate.ops[i].op.kind != kinds[met]) continue;
      if (++met < kinds.size()) continue;
      attempt.failure = Failure{kPrint, "", i};
      break;
    }
    return attempt;
  };
}

TEST(ShrinkerTest, FindsTheFewOperationsThatMatterAmongThousands) {
  std::vector<OpKind> needed = {OpKind::kSpace, OpKind::kMmap, OpKind::kFork, OpKind::kWrite,
                                OpKind::kRead};
  Shrunk shrunk = Shrink({Draw(1, 10000)}, kPrint, NeedsInOrder(needed));
  ASSERT_EQ(shrunk.smallest.ops.size(), needed.size());
  for (size_t i = 0; i < needed.size(); ++i) EXPECT_EQ(shrunk.smallest.ops[i].op.kind, needed[i]);
  EXPECT_TRUE(shrunk.minimal);
  EXPECT_EQ(shrunk.failure.print, kPrint);
  EXPECT_EQ(shrunk.failure.op_index, 4u);
  EXPECT_LE(shrunk.executions, 500u);
}

TEST(ShrinkerTest, OperationsThatOnlyGoTogetherAreDroppedOrKeptTogether) {
  // Fails when forks and exits balance and there is a write: single removals do not help, the
  // result is still minimal.
  Experiment balanced = [](const Candidate& candidate) {
    Attempt attempt;
    attempt.executed = candidate.ops;
    int balance = 0;
    for (size_t i = 0; i < candidate.ops.size(); ++i) {
      OpKind kind = candidate.ops[i].op.kind;
      balance += kind == OpKind::kFork ? 1 : kind == OpKind::kExit ? -1 : 0;
      if (kind == OpKind::kWrite && balance == 0 && !attempt.failure)
        attempt.failure = Failure{kPrint, "", i};
    }
    return attempt;
  };
  uint64_t seed = 2;
  while (!balanced({Draw(seed, 300)}).failure) ++seed;
  Shrunk shrunk = Shrink({Draw(seed, 300)}, kPrint, balanced);
  EXPECT_TRUE(shrunk.minimal);
  for (size_t i = 0; i < shrunk.smallest.ops.size(); ++i) {
    Candidate without = shrunk.smallest;
    without.ops.erase(without.ops.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_FALSE(balanced(without).failure.has_value());
  }
}

TEST(ShrinkerTest, KeepsTheFingerprint) {
  // A smaller run fails too, but for another reason.
  Experiment two_bugs = [](const Candidate& candidate) {
    Attempt attempt;
    attempt.executed = candidate.ops;
    if (candidate.ops.size() >= 3) {
      attempt.failure = Failure{kPrint, "", candidate.ops.size() - 1};
    } else if (!candidate.ops.empty()) {
      attempt.failure = Failure{{FailureClass::kCrash, "Other"}, "", 0};
    }
    return attempt;
  };
  Shrunk shrunk = Shrink({Draw(3, 50)}, kPrint, two_bugs);
  EXPECT_EQ(shrunk.smallest.ops.size(), 3u);
  EXPECT_EQ(shrunk.failure.print, kPrint);
}

TEST(ShrinkerTest, ArgumentsAndTheMachineShrinkAndTasksAreRenamed) {
  Op birth;
  birth.kind = OpKind::kSpace;
  birth.child = 17;
  Op write;
  write.kind = OpKind::kWrite;
  write.task = {17, false};
  write.at = traces::At(0x7f1234567123);
  write.size = 999;
  write.value = 0x123456789;
  Experiment any_write = [](const Candidate& candidate) {
    Attempt attempt;
    attempt.executed = candidate.ops;
    for (size_t i = 1; i < candidate.ops.size(); ++i) {
      const Op& first = candidate.ops[0].op;
      const Op& op = candidate.ops[i].op;
      bool known = first.kind == OpKind::kSpace && first.child == op.task.number;
      if (op.kind == OpKind::kWrite && known && op.size > 0)
        attempt.failure = Failure{kPrint, "", i};
    }
    return attempt;
  };
  Shrunk shrunk = Shrink({{{birth, std::nullopt}, {write, std::nullopt}}, 4096}, kPrint, any_write);
  ASSERT_EQ(shrunk.smallest.ops.size(), 2u);
  const Op& smallest = shrunk.smallest.ops[1].op;
  EXPECT_EQ(shrunk.smallest.ops[0].op.child, 1u);
  EXPECT_EQ(smallest.task.number, 1u);
  EXPECT_EQ(smallest.at, traces::At(0x1000));
  EXPECT_EQ(smallest.size, 1u);
  EXPECT_EQ(smallest.value, 'A');
  EXPECT_EQ(shrunk.smallest.frames, 64u);
}

TEST(ShrinkerTest, ARunThatDoesNotFailIsLeftAlone) {
  Experiment passes = [](const Candidate& candidate) {
    return Attempt{std::nullopt, candidate.ops};
  };
  Shrunk shrunk = Shrink({Draw(4, 20)}, kPrint, passes);
  EXPECT_EQ(shrunk.executions, 1u);
  EXPECT_EQ(shrunk.smallest.ops.size(), 20u);
  EXPECT_EQ(shrunk.failure.print.cls, FailureClass::kNone);
  EXPECT_FALSE(shrunk.minimal);
}

TEST(ShrinkerTest, StopsAtTheLimit) {
  ShrinkLimits limits;
  limits.executions = 7;
  Shrunk shrunk = Shrink({Draw(5, 5000)}, kPrint,
                         NeedsInOrder({OpKind::kSpace, OpKind::kWrite, OpKind::kRead}), limits);
  EXPECT_EQ(shrunk.executions, 7u);
  EXPECT_FALSE(shrunk.minimal);
  EXPECT_EQ(shrunk.failure.print, kPrint);
}

}  // namespace
}  // namespace proptests
