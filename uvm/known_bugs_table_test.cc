// docs/KNOWN_BUGS.md names scenarios: each of them exists.

#include <gtest/gtest.h>

#include <cstddef>
#include <set>
#include <string>

#include "uvm/testing/test_names.h"

namespace uvm {
namespace {

TEST(KnownBugsTableTest, EveryScenarioNamedExists) {
  const std::set<std::string> tests = testing::NamesOfTests("uvm/known_bugs_tests.txt");
  const std::string table = testing::ReadWhole("docs/KNOWN_BUGS.md");
  ASSERT_FALSE(table.empty());
  int named = 0;
  for (size_t at = table.find('`'); at != std::string::npos;) {
    const size_t end = table.find('`', at + 1);
    const std::string word = table.substr(at + 1, end - at - 1);
    at = table.find('`', end + 1);
    const bool is_test = word.find("Test.") != std::string::npos;
    if (!is_test) continue;
    EXPECT_TRUE(tests.contains(word)) << word;
    ++named;
  }
  EXPECT_GT(named, 50);
}

}  // namespace
}  // namespace uvm
