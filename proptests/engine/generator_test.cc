#include "proptests/engine/generator.h"

#include <gtest/gtest.h>

#include <set>

#include "traces/codec.h"

namespace proptests {
namespace {

using traces::Op;
using traces::OpKind;

TEST(GeneratorTest, EachOperationIsAFunctionOfItsIndexAlone) {
  GenOptions options;
  options.seed = 7;
  Generator forwards(options);
  Generator backwards(options);
  std::vector<Op> ops = DrawOps(forwards, 500);
  for (size_t i = ops.size(); i-- > 0;) EXPECT_EQ(backwards.Draw(i), ops[i]) << i;
}

TEST(GeneratorTest, SeedsAndCasesDiffer) {
  std::set<std::string> runs;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    for (uint64_t number = 0; number < 3; ++number) {
      GenOptions options;
      options.seed = seed;
      options.case_index = number;
      Generator generator(options);
      std::string text;
      for (const Op& op : DrawOps(generator, 20))
        text += traces::FormatOp(op, generator.files()) + "\n";
      runs.insert(text);
    }
  }
  EXPECT_EQ(runs.size(), 9u);
}

TEST(GeneratorTest, TheFirstOperationMakesATask) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    GenOptions options;
    options.seed = seed;
    OpKind kind = Generator(options).Draw(0).kind;
    EXPECT_TRUE(kind == OpKind::kSpace || kind == OpKind::kTask);
  }
}

TEST(GeneratorTest, EveryOperationIsWellFormed) {
  // What the codec prints, it reads back: that is its definition of well formed.
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    GenOptions options;
    options.seed = seed;
    options.threads = static_cast<uint32_t>(1 + seed % traces::kMaxThreads);
    options.swarm = WithThreadCalls(DrawSwarm(seed, 0));
    Generator generator(options);
    traces::Trace trace;
    trace.title = "drawn.trace: whatever comes";
    trace.files = generator.files();
    for (const Op& op : DrawOps(generator, 2000)) trace.Add(op);
    auto parsed = traces::ParseTrace(traces::FormatTrace(trace), "drawn.trace");
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    ASSERT_EQ(parsed->lines.size(), trace.lines.size());
  }
}

TEST(GeneratorTest, TheStandardMixHasEveryKind) {
  GenOptions options;
  options.swarm = WithThreadCalls(WithSwapCalls(options.swarm));
  options.swap_devices = 2;
  Generator generator(options);
  std::array<int, traces::kProgramKindCount> seen = {};
  for (const Op& op : DrawOps(generator, 20000)) ++seen[static_cast<size_t>(op.kind)];
  for (int i = 0; i < traces::kProgramKindCount; ++i) {
    EXPECT_GT(seen[static_cast<size_t>(i)], 0) << traces::OpName(static_cast<OpKind>(i));
  }
}

TEST(GeneratorTest, ThreadsChangeNothingElse) {
  GenOptions options;
  options.swarm = WithThreadCalls(options.swarm);
  const Generator one(options);
  options.threads = 3;
  const Generator three(options);
  std::array<int, traces::kMaxThreads> seen = {};
  for (uint64_t i = 0; i < 3000; ++i) {
    Op op = three.Draw(i);
    ASSERT_LT(op.thread, 3u);
    ++seen[op.thread];
    op.thread = 0;
    ASSERT_EQ(op, one.Draw(i));
    if (op.task == traces::TaskRef()) {
      EXPECT_EQ(three.Draw(i).thread, 0u);
    }
  }
  for (int thread = 0; thread < 3; ++thread) EXPECT_GT(seen[static_cast<size_t>(thread)], 900);
  EXPECT_EQ(seen[3], 0);
}

TEST(GeneratorTest, SwarmsDifferAndNeverLoseWhatMakesThemUseful) {
  std::set<std::string> texts;
  int narrow = 0;
  for (uint64_t number = 0; number < 60; ++number) {
    Swarm swarm = WithThreadCalls(WithSwapCalls(DrawSwarm(1, number)));
    texts.insert(SwarmText(swarm));
    auto weight = [&](OpKind kind) { return swarm.weight[static_cast<size_t>(kind)]; };
    EXPECT_GT(weight(OpKind::kWrite), 0u);
    EXPECT_GT(weight(OpKind::kMmap) + weight(OpKind::kVmAllocate) + weight(OpKind::kVmMap), 0u);
    narrow += SwarmText(swarm).find("never") != std::string::npos ? 1 : 0;
    GenOptions options;
    options.swarm = swarm;
    for (const Op& op : DrawOps(Generator(options), 200)) {
      EXPECT_TRUE(weight(op.kind) > 0 || op.child == 1) << traces::OpName(op.kind);
    }
  }
  EXPECT_EQ(texts.size(), 60u);
  EXPECT_GT(narrow, 20);
  EXPECT_LT(narrow, 60);
}

}  // namespace
}  // namespace proptests
