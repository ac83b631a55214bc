#include "fake_l4/decision_list.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "base/prng.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

const DecisionList kList = {
    .total = 120, .hash = 0x9a3c, .deviations = {{17, 3, 0x4000000001}, {90, 2, 0xc0001}}};

TEST(DecisionListTest, HasOneLineForEachDeviation) {
  EXPECT_EQ(kList.Text(),
            "decisions 120 hash 0x9a3c\n"
            "at 17 of 3 run 0x4000000001\n"
            "at 90 of 2 run 0xc0001\n");
}

TEST(DecisionListTest, ParsesBack) {
  EXPECT_EQ(DecisionList::Parse(kList.Text()), kList);
  EXPECT_EQ(DecisionList::Parse(DecisionList{}.Text()), DecisionList{});
}

TEST(DecisionListTest, SkipsCommentsAndBlankLines) {
  EXPECT_EQ(DecisionList::Parse("# found 2026-01-01\n\n" + kList.Text() + "\n"), kList);
}

TEST(DecisionListTest, RefusesWhatItDoesNotWrite) {
  const std::string header = "decisions 9 hash 0x0\n";
  for (const std::string& text : {
           std::string(),                          // no header
           std::string("at 1 of 2 run 0x1\n"),     // likewise
           std::string("decisions x hash 0x0\n"),  // no number
           std::string("decisions 9 hash 0x0 more\n"), header + "at 1 of 2 run\n",
           header + "at 1 of 2 run 0x1 more\n", header + "at 1 of 2 run 0x1z\n",
           header + "at 1 of 1 run 0x1\n",                     // no choice
           header + "at 2 of 2 run 0x1\nat 2 of 2 run 0x2\n",  // not in order
           header + "at -1 of 2 run 0x1\n",                    // below 0
           header + "at 1 of 2 run 0x11111111111111111\n",     // too large
       }) {
    EXPECT_FALSE(DecisionList::Parse(text).has_value()) << text;
  }
}

TEST(DecisionListTest, NamesTheLineThatIsWrong) {
  const auto problem = [](const std::string& text) {
    std::string problem;
    EXPECT_FALSE(DecisionList::Parse(text, &problem).has_value());
    return problem;
  };
  EXPECT_EQ(problem("# nothing\n"), "line 2: expected `decisions N hash 0xN`, not the end");
  EXPECT_EQ(problem("\nat 1 of 2 run 0x1\n"), "line 2: expected `decisions N hash 0xN`");
  EXPECT_EQ(problem(kList.Text() + "at 91 of 1 run 0x1\n"),
            "line 4: expected `at N of N run 0xN`, with 2 or more to choose of");
  EXPECT_EQ(problem(kList.Text() + "at 90 of 2 run 0x1\n"),
            "line 4: expected a later decision than in the line before");
}

// A number of any length.
uint64_t AnyNumber(base::Prng& prng) { return prng.Next() >> prng.Below(64); }

DecisionList AnyList(base::Prng& prng) {
  DecisionList list{.total = AnyNumber(prng), .hash = prng.Next(), .deviations = {}};
  uint64_t number = prng.Below(3);
  for (uint64_t i = prng.Below(20); i > 0; i--) {
    const uint32_t choices = 2 + static_cast<uint32_t>(AnyNumber(prng) >> 33);
    list.deviations.push_back({number, choices, AnyNumber(prng)});
    number += 1 + (AnyNumber(prng) >> 8);
  }
  return list;
}

TEST(DecisionListPropTest, EveryListParsesBack) {
  for (uint64_t i = 0; i < 1000; i++) {
    base::Prng prng(1, "decision lists", i);
    const DecisionList list = AnyList(prng);
    std::string problem;
    EXPECT_EQ(DecisionList::Parse(list.Text(), &problem), list) << problem;
  }
}

TEST(DecisionListPropTest, DamageIsNamedOrLeavesAList) {
  int refused = 0;
  for (uint64_t i = 0; i < 3000; i++) {
    base::Prng prng(2, "decision lists", i);
    std::string text = AnyList(prng).Text();
    const size_t at = prng.Below(text.size());
    const auto damaged_line = 1 + std::count(text.begin(), text.begin() + at, '\n');
    switch (prng.Below(3)) {
      case 0:
        text[at] = static_cast<char>(prng.Below(256));
        break;
      case 1:
        text.erase(at, 1 + prng.Below(3));
        break;
      default:
        text.insert(at, 1, " \n#0x-9a"[prng.Below(8)]);
        break;
    }
    std::string problem;
    const std::optional<DecisionList> list = DecisionList::Parse(text, &problem);
    if (list.has_value()) {
      // A list like any other.
      EXPECT_EQ(problem, "") << text;
      EXPECT_EQ(DecisionList::Parse(list->Text()), *list) << text;
      continue;
    }
    refused++;
    int line = 0;
    ASSERT_EQ(std::sscanf(problem.c_str(), "line %d: expected ", &line), 1) << problem;
    EXPECT_GE(line, damaged_line) << text << problem;
    EXPECT_LE(line, 1 + std::count(text.begin(), text.end(), '\n') + 1) << text << problem;
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace fake_l4
