#include "proptests/engine/isolated_run.h"

#include <gtest/gtest.h>

#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "proptests/engine/generator.h"
#include "proptests/engine/run.h"

namespace proptests {
namespace {

std::vector<TestOp> SomeOps(const Generator& generator, uint64_t count) {
  std::vector<TestOp> ops;
  for (const traces::Op& op : DrawOps(generator, count)) ops.push_back({op, std::nullopt});
  return ops;
}

TEST(IsolatedRunTest, PassesWhatPasses) {
  const Generator generator(GenOptions{});
  const RunResult result =
      RunOpsIsolated(SomeOps(generator, 200), generator.files(), RunOptions{}, {.bytes = 0});
  EXPECT_FALSE(result.failure) << result.failure->text;
}

TEST(IsolatedRunTest, FailsAsTheSameRunInThisProcessDoes) {
  const Generator generator(GenOptions{});
  RunOptions options;
  options.machine.canary = base::Canary::kZeroFillSkipped;
  options.whole_every = 1;
  const std::vector<TestOp> ops = SomeOps(generator, 2000);
  const RunResult here = RunOps(ops, generator.files(), options);
  std::vector<TestOp> executed;
  const RunResult there = RunOpsIsolated(ops, generator.files(), options, {.bytes = 0}, &executed);
  ASSERT_TRUE(here.failure && there.failure);
  EXPECT_EQ(here.failure->print, there.failure->print);
  EXPECT_EQ(here.failure->op_index, there.failure->op_index);
  EXPECT_EQ(here.failure->text, there.failure->text);
  EXPECT_FALSE(executed.empty());
}

TEST(IsolatedRunTest, EndingsAreFailures) {
  IsolatedResult crash;
  crash.end = IsolatedResult::End::kSignal;
  crash.code = SIGSEGV;
  const Failure failure = FailureOfEnd(crash, 5);
  EXPECT_EQ(FingerprintText(failure.print), "crash: NoSignal(11)");
  EXPECT_EQ(failure.op_index, 5u);
  IsolatedResult hang;
  hang.end = IsolatedResult::End::kTimeout;
  EXPECT_EQ(FailureOfEnd(hang, 0).print.cls, FailureClass::kTimeout);
}

}  // namespace
}  // namespace proptests
