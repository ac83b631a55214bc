// docs/KNOWN_BUGS.md names scenarios: each of them exists.

#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace uvm {
namespace {

std::string Read(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.is_open()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

// "Suite.Name" for each TEST, TEST_F and TEST_P of the text.
void AddTests(const std::string& text, std::set<std::string>* names) {
  for (size_t at = text.find("\nTEST"); at != std::string::npos; at = text.find("\nTEST", at + 1)) {
    const size_t open = text.find('(', at);
    const size_t comma = text.find(',', open);
    const size_t close = text.find(')', comma);
    const size_t name = text.find_first_not_of(" \n", comma + 1);
    names->insert(text.substr(open + 1, comma - open - 1) + "." + text.substr(name, close - name));
  }
}

TEST(KnownBugsTableTest, EveryScenarioNamedExists) {
  std::set<std::string> tests;
  std::ifstream list("uvm/known_bugs_tests.txt");
  for (std::string path; std::getline(list, path);) AddTests(Read(path), &tests);
  const std::string table = Read("docs/KNOWN_BUGS.md");
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
