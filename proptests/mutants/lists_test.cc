// The lists of this directory name texts that are in the tree, each once, and have what
// docs/KNOWN_BUGS.md says they have.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "proptests/engine/mechanical.h"
#include "proptests/engine/mutant_file.h"

namespace mutants {
namespace {

using proptests::JoinMutants;
using proptests::Mutant;
using proptests::ParseMutants;
using proptests::Rewrite;

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return file ? text.str() : "";
}

std::vector<Mutant> AllMutants() {
  std::set<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator("proptests/mutants")) {
    if (entry.path().filename() == "explained.json") continue;  // made by rule
    if (entry.path().extension() == ".json") paths.insert(entry.path().string());
  }
  std::vector<std::vector<Mutant>> lists;
  for (const std::string& path : paths) {
    auto list = ParseMutants(ReadWhole(path), path);
    EXPECT_TRUE(list.ok()) << list.status();
    if (list.ok()) lists.push_back(*list);
  }
  auto all = JoinMutants(lists);
  EXPECT_TRUE(all.ok()) << all.status();
  return all.ok() ? *all : std::vector<Mutant>();
}

TEST(ListsTest, EveryMutantCanBeMade) {
  std::set<std::string> files;
  const std::vector<Mutant> all = AllMutants();
  for (const Mutant& mutant : all) files.insert(mutant.file);
  EXPECT_FALSE(files.empty());
  for (const std::string& file : files) {
    const std::string source = ReadWhole(file);
    EXPECT_FALSE(source.empty()) << file << " is not there";
    for (const Mutant& mutant : all) {
      if (mutant.file != file) continue;
      const auto text = Rewrite(file, source, {mutant});
      EXPECT_TRUE(text.ok()) << text.status().message();
    }
    const auto text = Rewrite(file, source, all);
    EXPECT_TRUE(text.ok()) << text.status().message();
  }
}

TEST(ListsTest, EveryMutantSaysWhatBreaksAndWhoNotices) {
  int controls = 0;
  for (const Mutant& mutant : AllMutants()) {
    EXPECT_FALSE(mutant.breaks.empty()) << mutant.id;
    controls += mutant.DoesNothing() ? 1 : 0;
    if (mutant.DoesNothing() || !mutant.equivalent.empty()) continue;
    EXPECT_FALSE(mutant.rule.empty() && !absl::StartsWith(mutant.file, "fake_l4/") &&
                 !absl::StartsWith(mutant.file, "model/"))
        << mutant.id;
  }
  EXPECT_GE(controls, 1) << "no control that changes nothing";
}

TEST(ListsTest, WhatIsEquivalentSaysWhy) {
  // Short enough to be believed is too short.
  constexpr size_t kLeast = 30;
  std::vector<Mutant> all = AllMutants();
  const auto explained = ParseMutants(ReadWhole("proptests/mutants/explained.json"), "explained");
  ASSERT_TRUE(explained.ok()) << explained.status();
  for (const Mutant& mutant : *explained) {
    EXPECT_GE(mutant.equivalent.size(), kLeast) << mutant.id;
  }
  for (const Mutant& mutant : all) {
    if (!mutant.equivalent.empty()) {
      EXPECT_GE(mutant.equivalent.size(), kLeast) << mutant.id;
    }
  }
}

// "5.A 7" is cited by "5.A 7, PR 40027" and by "5.A 7a", not by "5.A 70".
bool Cites(const Mutant& mutant, const std::string& item) {
  for (size_t at = mutant.breaks.find(item); at != std::string::npos;
       at = mutant.breaks.find(item, at + 1)) {
    const size_t end = at + item.size();
    if (end == mutant.breaks.size() || !absl::ascii_isdigit(mutant.breaks[end])) return true;
  }
  return false;
}

// A row of docs/KNOWN_BUGS.md that says "mutant" in its last column: for each of its items
// ("A7, A8") some list has a mutant that cites it ("5.A 7").
TEST(ListsTest, EveryKnownBugThatSaysMutantHasOne) {
  const std::vector<Mutant> all = AllMutants();
  std::istringstream table(ReadWhole("docs/KNOWN_BUGS.md"));
  int cited = 0;
  for (std::string row; std::getline(table, row);) {
    const std::vector<std::string> cells = absl::StrSplit(row, " | ");
    if (cells.size() < 4 || !absl::StartsWith(row, "| ")) continue;
    if (!absl::StrContains(cells.back(), "mutant")) continue;
    const std::vector<std::string> names = absl::StrSplit(cells[0].substr(2), ", ");
    for (const std::string& name : names) {
      const std::map<char, std::string> sections = {{'A', "5.A "}, {'B', "5.B "}, {'N', "5.B' N"}};
      ASSERT_TRUE(!name.empty() && sections.contains(name[0])) << row;
      const std::string item = sections.at(name[0]) + name.substr(1);
      int found = 0;
      for (const Mutant& mutant : all) found += Cites(mutant, item) ? 1 : 0;
      EXPECT_GT(found, 0) << name << ": no mutant cites " << item;
      ++cited;
    }
  }
  EXPECT_GT(cited, 20);
}

TEST(ListsTest, WhatIsExplainedIsMadeByRule) {
  const auto explained = ParseMutants(ReadWhole("proptests/mutants/explained.json"), "explained");
  ASSERT_TRUE(explained.ok()) << explained.status();
  for (const Mutant& mutant : *explained) {
    const std::string source = ReadWhole(mutant.file);
    EXPECT_TRUE(proptests::HasMechanicalMutants(mutant.file)) << mutant.file;
    EXPECT_NE(proptests::IdOfChange(mutant.file, source, mutant.find, mutant.replace), "")
        << mutant.id << ": the text is not there once, or no rule makes this change";
  }
}

}  // namespace
}  // namespace mutants
