#include "proptests/engine/exhaust.h"

#include <cstdint>
#include <set>
#include <vector>

#include "base/canary.h"
#include "gtest/gtest.h"
#include "proptests/engine/run.h"

namespace proptests {
namespace {

ExhaustOptions Small(uint32_t depth) {
  ExhaustOptions options;
  options.depth = depth;
  options.run.machine.ram_bytes = uint64_t{4} << 20;
  return options;
}

TEST(ExhaustTest, TheAlphabetHasEnoughKinds) {
  const Alphabet alphabet = MakeAlphabet(2, 2);
  EXPECT_GE(alphabet.kinds(), 12u);
  EXPECT_GE(alphabet.ops.size(), 48u);
}

TEST(ExhaustTest, EveryShortSequenceAgreesAndTheCountsStay) {
  const ExhaustResult result = Exhaust(Small(3));
  ASSERT_FALSE(result.failure) << result.failure->text;
  ASSERT_EQ(result.levels.size(), 4u);
  EXPECT_EQ(result.levels[0].states, 1u);
  // Nothing is mapped and nobody else is there: what the first operation can do.
  EXPECT_EQ(result.levels[1].transitions, MakeAlphabet(1, 2).ops.size() - 1) << "no exit";
  const ExhaustResult again = Exhaust(Small(3));
  EXPECT_EQ(again.hash, result.hash);
  EXPECT_EQ(again.transitions, result.transitions);
}

// Without deduplication and without rewinding: all sequences, each from a new machine.
TEST(ExhaustTest, DeduplicationMissesNoOutcome) {
  const Alphabet alphabet = MakeAlphabet(1, 1);
  ExhaustOptions options = Small(2);
  options.tasks = 1;
  options.pages = 1;
  const ExhaustResult result = Exhaust(options);
  ASSERT_FALSE(result.failure);
  traces::Op birth;
  birth.child = 1;
  RunOptions run = options.run;
  run.whole_every = 1;
  run.max_live_tasks = 1;
  std::set<uint64_t> states;
  for (const traces::Op& first : alphabet.ops) {
    for (const traces::Op& second : alphabet.ops) {
      Session session(run, &alphabet.files);
      ASSERT_TRUE(session.Step(birth) && session.Step(first) && session.Step(second));
      states.insert(session.world().StateHash());
    }
  }
  EXPECT_GE(result.states, states.size());
}

TEST(ExhaustTest, ABugIsFoundByAShortestSequence) {
  ExhaustOptions options = Small(5);
  options.run.machine.canary = base::Canary::kForkSkipsWriteProtect;
  const ExhaustResult result = Exhaust(options);
  ASSERT_TRUE(result.failure);
  // space, mmap, write, fork: the state is wrong already.
  EXPECT_EQ(result.ops.size(), 4u) << result.failure->text;
  RunOptions run = options.run;
  run.whole_every = 1;
  const RunResult replayed = RunOps(result.ops, MakeAlphabet(2, 2).files, run);
  ASSERT_TRUE(replayed.failure);
  EXPECT_EQ(replayed.failure->print, result.failure->print);
}

}  // namespace
}  // namespace proptests
