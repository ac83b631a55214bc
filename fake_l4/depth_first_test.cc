#include "fake_l4/depth_first.h"

#include <set>
#include <string>

#include "base/hash.h"
#include "fake_l4/testing/steps.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

StepProgram Program(std::vector<int> steps) {
  return {.steps = std::move(steps), .priorities = {}, .on_step = {}, .yields = {}};
}

// All orders, each of which may come once only.
std::set<std::string> Explore(DepthFirstExplorer& explorer, const StepProgram& program) {
  std::set<std::string> orders;
  while (auto strategy = explorer.Next()) EXPECT_TRUE(orders.insert(program.Run(*strategy)).second);
  EXPECT_EQ(orders.size(), explorer.schedules());
  return orders;
}

TEST(DepthFirstTest, TwoThreadsOfThreeStepsHaveTwentyInterleavings) {
  DepthFirstExplorer explorer({});
  EXPECT_EQ(Explore(explorer, Program({3, 3})).size(), 20u);
  EXPECT_FALSE(explorer.cut_short());
  EXPECT_EQ(explorer.Next(), nullptr);
}

TEST(DepthFirstTest, ThreeThreadsOfTwoStepsHaveNinety) {
  DepthFirstExplorer explorer({});
  EXPECT_EQ(Explore(explorer, Program({2, 2, 2})).size(), 90u);
}

TEST(DepthFirstTest, TheDefaultComesFirst) {
  DepthFirstExplorer explorer({});
  auto strategy = explorer.Next();
  EXPECT_EQ(Program({3, 3}).Run(*strategy), "aaabbb");
}

TEST(DepthFirstTest, OneThreadHasOneSchedule) {
  DepthFirstExplorer explorer({});
  EXPECT_EQ(Explore(explorer, Program({5})).size(), 1u);
}

// Without preemption each thread runs to its end; with one, a single run is cut in two.
TEST(DepthFirstTest, PreemptionsAreBounded) {
  DepthFirstExplorer none({.exploration = {}, .max_preemptions = 0, .state_hash = {}});
  EXPECT_EQ(Explore(none, Program({3, 3})), (std::set<std::string>{"aaabbb", "bbbaaa"}));
  DepthFirstExplorer one({.exploration = {}, .max_preemptions = 1, .state_hash = {}});
  EXPECT_EQ(Explore(one, Program({3, 3})),
            (std::set<std::string>{"aaabbb", "abbbaa", "aabbba", "bbbaaa", "baaabb", "bbaaab"}));
}

TEST(DepthFirstTest, SchedulesBeyondTheDepthTakeTheDefault) {
  DepthFirstExplorer explorer({.exploration = {}, .max_depth = 1, .state_hash = {}});
  EXPECT_EQ(Explore(explorer, Program({3, 3})), (std::set<std::string>{"aaabbb", "bbbaaa"}));
  EXPECT_TRUE(explorer.cut_short());
}

TEST(DepthFirstTest, AStateIsExploredOnce) {
  // The state of independent threads is how many steps each has made, and who runs.
  uint64_t state = 0;
  StepProgram program = Program({3, 3});
  program.on_step = [&](const std::string& order) {
    uint64_t a = 0;
    for (const char c : order) a += c == 'a';
    state = base::Chain(a, order.size() - a);
  };
  DepthFirstExplorer explorer({.exploration = {}, .state_hash = [&] { return state; }});
  std::set<std::string> ends;
  while (auto strategy = explorer.Next()) {
    state = 0;
    ends.insert(program.Run(*strategy));
  }
  // Each of the states in which both can go on was left in both directions, so far fewer runs do.
  EXPECT_LT(explorer.schedules(), 20u);
  EXPECT_GT(explorer.states_met_again(), 0u);
  EXPECT_EQ(ends.count("aaabbb"), 1u);
  EXPECT_EQ(ends.count("bbbaaa"), 1u);
}

// Two threads each read a counter and write it back one larger: three steps, read, think, write.
TEST(DepthFirstTest, FindsEveryLostUpdate) {
  int lost = 0;
  DepthFirstExplorer explorer({});
  while (auto strategy = explorer.Next()) {
    int counter = 0;
    int read[2] = {};
    int step[2] = {};
    StepProgram program = Program({3, 3});
    program.on_step = [&](const std::string& order) {
      const int i = order.back() - 'a';
      if (step[i]++ == 0) read[i] = counter;
      if (step[i] == 3) counter = read[i] + 1;
    };
    program.Run(*strategy);
    lost += counter == 1;
  }
  // All but those in which one thread wrote before the other read.
  EXPECT_EQ(lost, 18);
}

}  // namespace
}  // namespace fake_l4
