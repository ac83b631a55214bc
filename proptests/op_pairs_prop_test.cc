// Fixed campaigns must make every ordered pair of operations on one object, but for those that
// op_pairs_unreached.txt lists with a reason.

#include "traces/op.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>

#include "proptests/engine/generator.h"
#include "proptests/engine/op_pairs.h"
#include "proptests/engine/run.h"
#include "traces/codec.h"

namespace proptests {
namespace {

using traces::OpKind;

// A case in which one kind is as frequent as all others together, few tasks, few pages.
CampaignOptions About(OpKind kind) {
  CampaignOptions options;
  options.seed = 1 + static_cast<uint64_t>(kind);
  options.ops = options.case_ops = 5000;
  options.tasks = 3;
  options.pages = 6;
  options.files = 1;
  options.threads = 3;
  options.swarm = false;
  options.run.count_pairs = true;
  options.run.whole_every = 0;
  options.run.machine.ram_bytes = uint64_t{16} << 20;
  options.run.machine.swap = {{.pages = 64}};
  // What programs see is the same, and so are the pairs. A pmap that refuses would leave out some.
  if (static_cast<int>(kind) % 4 == 1)
    options.run.machine.adversity = machine::Adversity::kForgetful;
  uint32_t sum = 0;
  for (int i = 0; i < traces::kProgramKindCount; ++i) {
    const auto other = static_cast<OpKind>(i);
    const bool ends = other == OpKind::kExit || other == OpKind::kTaskTerminate ||
                      other == OpKind::kExec || other == OpKind::kMemfdClose ||
                      other == OpKind::kShmRemove;
    const bool maps = other == OpKind::kMmap || other == OpKind::kVmAllocate ||
                      other == OpKind::kMemfd || other == OpKind::kShmget;
    options.mix.weight[static_cast<size_t>(i)] = ends ? 2 : maps ? 16 : 6;
    sum += options.mix.weight[static_cast<size_t>(i)];
  }
  options.mix.weight[static_cast<size_t>(kind)] = sum / 3;
  return options;
}

const PairCounts& Counts() {
  static const auto* counts = [] {
    auto* sum = new PairCounts;
    for (int i = 0; i < traces::kProgramKindCount; ++i) {
      const CampaignResult result = RunCampaign(About(static_cast<OpKind>(i)));
      EXPECT_FALSE(result.run.failure) << result.run.failure->text;
      AddPairs(result.run.stats.pairs, sum);
    }
    return sum;
  }();
  return *counts;
}

// `pattern` may end in `*`.
bool Matches(const std::string& pattern, const std::string& name) {
  if (pattern.empty() || pattern.back() != '*') return pattern == name;
  return name.compare(0, pattern.size() - 1, pattern, 0, pattern.size() - 1) == 0;
}

// Lines "FIRST THEN: reason".
std::map<std::string, std::string> Unreached() {
  std::map<std::string, std::string> reasons;
  std::ifstream file("proptests/op_pairs_unreached.txt");
  EXPECT_TRUE(file.is_open());
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const size_t colon = line.find(": ");
    EXPECT_NE(colon, std::string::npos) << line;
    reasons[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return reasons;
}

TEST(OpPairsPropTest, EveryPairIsMadeOrListed) {
  const std::map<std::string, std::string> reasons = Unreached();
  uint64_t possible = 0, made = 0;
  for (size_t i = 0; i < kOpPairCount; ++i) {
    const auto first = static_cast<OpKind>(i / traces::kProgramKindCount);
    const auto then = static_cast<OpKind>(i % traces::kProgramKindCount);
    if (CannotFollow(first, then)) {
      EXPECT_EQ(Counts()[i], 0u) << PairName(i) << " was made, though it cannot be";
      continue;
    }
    ++possible;
    made += Counts()[i] != 0 ? 1 : 0;
    const std::string a(traces::OpName(first)), b(traces::OpName(then));
    const bool listed = std::any_of(reasons.begin(), reasons.end(), [&](const auto& row) {
      const size_t space = row.first.find(' ');
      return Matches(row.first.substr(0, space), a) && Matches(row.first.substr(space + 1), b);
    });
    EXPECT_TRUE(listed || Counts()[i] != 0) << PairName(i) << " was never made";
  }
  std::printf("%llu of %llu pairs\n", static_cast<unsigned long long>(made),
              static_cast<unsigned long long>(possible));
  EXPECT_GE(made * 100, possible * 97);
}

// A name in the list that is none's would excuse nothing.
TEST(OpPairsPropTest, TheListNamesOperations) {
  for (const auto& [pair, reason] : Unreached()) {
    EXPECT_GT(reason.size(), 10u) << pair;
    const size_t space = pair.find(' ');
    ASSERT_NE(space, std::string::npos) << pair;
    for (const std::string& word : {pair.substr(0, space), pair.substr(space + 1)}) {
      bool known = false;
      for (int i = 0; i < traces::kProgramKindCount; ++i) {
        known = known || Matches(word, std::string(traces::OpName(static_cast<OpKind>(i))));
      }
      EXPECT_TRUE(known) << word;
    }
  }
}

}  // namespace
}  // namespace proptests
