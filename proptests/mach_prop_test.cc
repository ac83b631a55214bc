// Random runs of Mach calls alone, dense in copies between tasks: what a campaign with every kind
// of operation meets seldom.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "machine/machine.h"
#include "proptests/engine/emit.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/generator.h"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"
#include "proptests/engine/shrinker.h"
#include "traces/codec.h"
#include "traces/op.h"

namespace proptests {
namespace {

using traces::OpKind;

constexpr uint64_t kOps = 3000;

struct KindWeight {
  OpKind kind;
  uint32_t weight;
};
constexpr KindWeight kMachMix[] = {
    {OpKind::kTask, 2},          {OpKind::kTask32, 2},     {OpKind::kTaskCreate, 8},
    {OpKind::kTaskTerminate, 3}, {OpKind::kVmAllocate, 8}, {OpKind::kVmDeallocate, 6},
    {OpKind::kVmProtect, 6},     {OpKind::kVmInherit, 8},  {OpKind::kVmRegion, 3},
    {OpKind::kVmMap, 8},         {OpKind::kVmCopy, 20},    {OpKind::kVmRead, 6},
    {OpKind::kVmWrite, 20},      {OpKind::kVmWire, 6},     {OpKind::kRead, 20},
    {OpKind::kWrite, 40},
};
// What gives Mach calls memory of files.
constexpr KindWeight kForeign[] = {
    {OpKind::kSpace, 1}, {OpKind::kMmap, 12}, {OpKind::kFork, 4}, {OpKind::kFetch, 2}};

enum class Mix : uint8_t { kMachOnly, kWithFiles, kAnyOrder };

class MachPropTest : public testing::TestWithParam<Mix> {
 protected:
  static Swarm MixOf(Mix mix) {
    Swarm swarm;
    for (const KindWeight& entry : kMachMix)
      swarm.weight[static_cast<size_t>(entry.kind)] = entry.weight;
    for (const KindWeight& entry : kForeign) {
      if (mix == Mix::kWithFiles) swarm.weight[static_cast<size_t>(entry.kind)] = entry.weight;
    }
    return swarm;
  }
};

TEST_P(MachPropTest, RandomMachCallsAgreeWithTheModel) {
  RunStats stats;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    GenOptions gen;
    gen.seed = seed;
    gen.tasks = 4;
    gen.pages = 4 + static_cast<uint32_t>(seed % 4) * 8;
    gen.swarm = MixOf(GetParam());
    Generator generator(gen);
    std::vector<TestOp> ops;
    for (traces::Op op : DrawOps(generator, kOps)) {
      op.flags &= ~uint32_t{traces::kFlagTryFixed};  // where files lie is not what this is about
      ops.push_back({op, std::nullopt});
    }
    RunOptions options;
    options.whole_every = 16;
    options.max_live_tasks = gen.tasks;
    options.machine.seed = seed;
    if (seed % 4 == 1) options.machine.adversity = machine::Adversity::kForgetful;
    if (seed % 4 == 3) options.machine.adversity = machine::Adversity::kRefusing;
    if (GetParam() == Mix::kAnyOrder) {
      options.machine.schedule = machine::Schedule::kRandom;
      options.machine.processors = 2;
    }
    RunResult result = RunOps(ops, generator.files(), options);
    stats.Add(result.stats);
    if (!result.failure) continue;
    ShrinkOutcome shrunk = ShrinkRun(ops, generator.files(), options, *result.failure);
    FailureReport report{
        shrunk.shrunk.failure, shrunk.shrunk.smallest.ops,  shrunk.outcomes,
        generator.files(),     absl::StrCat("seed ", seed), "save this text as x.trace"};
    FAIL() << traces::FormatTrace(FailureTrace(report, "x.trace"));
  }
  // Every kind was executed often enough to mean something.
  for (const KindWeight& entry : kMachMix) {
    EXPECT_GT(stats.by_kind[static_cast<size_t>(entry.kind)], 50u) << traces::OpName(entry.kind);
  }
  EXPECT_GT(stats.ok * 5, stats.ops * 2);
}

INSTANTIATE_TEST_SUITE_P(Mixes, MachPropTest,
                         testing::Values(Mix::kMachOnly, Mix::kWithFiles, Mix::kAnyOrder),
                         [](const testing::TestParamInfo<Mix>& info) {
                           switch (info.param) {
                             case Mix::kMachOnly:
                               return "MachOnly";
                             case Mix::kWithFiles:
                               return "WithFiles";
                             case Mix::kAnyOrder:
                               return "ThreadsInAnyOrder";
                           }
                           return "";
                         });

}  // namespace
}  // namespace proptests
