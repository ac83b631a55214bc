#include "fake_l4/decision_list.h"

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

}  // namespace
}  // namespace fake_l4
