// The recordings themselves: each under the profile of its kernel, each under the manual's rules
// with every difference named, the prefixes, and the tables of names against docs/DIFFERENCES.md.
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "conform/differences.h"
#include "conform/l4.h"
#include "conform/outcome.h"
#include "conform/prefixes.h"
#include "conform/prefixes_l4.h"
#include "conform/recording.h"
#include "fake_l4/quirks.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

std::string PathOf(const std::string& name) {
  return absl::StrCat("conform/testdata/", name, ".txt.gz");
}

Recording Read(const std::string& name) {
  absl::StatusOr<Recording> recording = ReadRecording(PathOf(name));
  EXPECT_TRUE(recording.ok()) << recording.status();
  return recording.ok() ? *std::move(recording) : Recording{};
}

std::string FirstOf(const Outcome& outcome, const std::string& name) {
  return outcome.first.has_value() ? ToString(*outcome.first, name) : "";
}

// The number of lines that begin with `op `, without the parser.
uint64_t OperationLines(const std::string& name) {
  const absl::StatusOr<std::string> text = ReadTextFile(PathOf(name));
  uint64_t count = 0;
  for (const absl::string_view line : absl::StrSplit(text.value_or(""), '\n')) {
    if (absl::StartsWith(line, "op ")) count++;
  }
  return count;
}

struct Case {
  const char* name;
  const char* quirks;
  uint64_t steps;
};

constexpr Case kCases[] = {
    {"newmdb_4k", "pistachio-new-mdb", 2400},     {"newmdb_self", "pistachio-new-mdb", 2400},
    {"newmdb_status", "pistachio-new-mdb", 3000}, {"newmdb_super", "pistachio-new-mdb", 2000},
    {"oldmdb_4k", "pistachio-old-mdb", 2400},     {"oldmdb_self", "pistachio-old-mdb", 2400},
    {"oldmdb_status", "pistachio-old-mdb", 3000},
};

class RecordingsTest : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(All, RecordingsTest, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(RecordingsTest, CountIsTheNumberOfOperationLines) {
  EXPECT_EQ(Read(GetParam().name).Count(), GetParam().steps);
  EXPECT_EQ(OperationLines(GetParam().name), GetParam().steps);
}

TEST_P(RecordingsTest, AgreesInFullUnderItsProfile) {
  const fake_l4::Quirks* quirks = fake_l4::FindQuirks(GetParam().quirks);
  ASSERT_NE(quirks, nullptr);
  const Outcome outcome = RunRecording(Read(GetParam().name), *quirks);
  EXPECT_EQ(outcome.agree, GetParam().steps) << FirstOf(outcome, GetParam().name);
  EXPECT_EQ(outcome.NamedCount(), 0u);
  EXPECT_EQ(outcome.after_difference, 0u);
}

// The table is exact: it has a name for the first operation of each sequence that ends otherwise by
// the manual's rules, and for no other.
TEST_P(RecordingsTest, UnderTheManualEveryDifferenceIsNamed) {
  const Recording recording = Read(GetParam().name);
  std::set<std::string> differ;
  for (const Sequence& sequence : recording.sequences) {
    const SequenceResult r = RunSequence(recording, sequence, fake_l4::kManualRules, Scope::kAll);
    if (!r.difference.has_value()) continue;
    differ.insert(absl::StrCat(sequence.number, ":", r.at));
    EXPECT_NE(r.name, nullptr) << ToString(*r.difference, GetParam().name);
  }
  std::set<std::string> named;
  for (const StepDifference& d : StepDifferences()) {
    if (d.recording != std::string(GetParam().name)) continue;
    ASSERT_STREQ(d.quirks, "manual");
    const std::vector<std::string> places = absl::StrSplit(d.places, ' ');
    for (const std::string& place : places) {
      EXPECT_TRUE(named.insert(place).second) << place << " has two names";
    }
  }
  EXPECT_EQ(named, differ);
}

TEST_P(RecordingsTest, NoNameCoversMoreThanDecisionRecord0012Allows) {
  for (const StepDifference& d : StepDifferences()) {
    if (d.recording != std::string(GetParam().name)) continue;
    const std::vector<std::string> places = absl::StrSplit(d.places, ' ');
    const bool superpages = absl::StartsWith(d.name, "pistachio-superpage-");
    EXPECT_LE(places.size() * 1000, GetParam().steps * (superpages ? 14 : 10)) << d.name;
  }
}

TEST(PrefixRecordingTest, EveryPrefixAgrees) {
  const std::string path = PathOf("manual_prefix");
  const absl::StatusOr<std::string> text = ReadTextFile(path);
  ASSERT_TRUE(text.ok()) << text.status();
  const absl::StatusOr<PrefixFile> prefixes = ParsePrefixes(path, *text);
  ASSERT_TRUE(prefixes.ok()) << prefixes.status();
  Recordings recordings;
  for (const Prefix& p : prefixes->prefixes) {
    if (!recordings.contains(p.recording)) recordings.emplace(p.recording, Read(p.recording));
  }
  const Outcome outcome = RunPrefixes(*prefixes, recordings);
  EXPECT_EQ(outcome.steps, 600u);
  EXPECT_EQ(outcome.agree, 600u) << FirstOf(outcome, path);
}

// A prefix that is one too long, or one too short, is noticed; so is one of no sequence.
TEST(PrefixRecordingTest, AFalsifiedPrefixIsNoticed) {
  Recordings recordings;
  recordings.emplace("newmdb_4k", Read("newmdb_4k"));
  const auto agree = [&](uint32_t sequence, uint32_t operations) {
    const PrefixFile file = {"p", {{"newmdb_4k", sequence, operations, 1}}};
    return RunPrefixes(file, recordings).agree;
  };
  EXPECT_EQ(agree(0, 20), 1u);
  EXPECT_EQ(agree(0, 21), 0u);
  EXPECT_EQ(agree(0, 19), 0u);
  EXPECT_EQ(agree(1000, 24), 0u);
}

// Sequences recorded on the other kernel: every line parses and runs, and what is compared is
// counted. How much agrees is a figure, not a requirement.
TEST(MungTest, RunsToTheEnd) {
  for (const char* name : {"mung_4k", "mung_status"}) {
    const Recording recording = Read(name);
    EXPECT_TRUE(absl::StartsWith(recording.kernel, "mung ")) << recording.kernel;
    EXPECT_EQ(recording.Count(), OperationLines(name));
    const Outcome outcome = RunRecording(recording, fake_l4::kManualRules);
    EXPECT_EQ(outcome.agree + outcome.disagreements + outcome.after_difference, outcome.steps);
    EXPECT_EQ(outcome.by_field.count("progress"), 0u);
    EXPECT_EQ(outcome.NamedCount(), 0u);
  }
}

// ---- Names ----

// The first cells of the rows of docs/DIFFERENCES.md that speak of recordings of Pistachio.
std::set<std::string> Rows() {
  std::ifstream in("docs/DIFFERENCES.md");
  std::set<std::string> names;
  std::string line;
  while (std::getline(in, line)) {
    if (!absl::StartsWith(line, "| pistachio-")) continue;
    const std::vector<std::string> cells = absl::StrSplit(line, '|');
    EXPECT_EQ(cells.size(), 6u) << line;
    EXPECT_TRUE(names.insert(std::string(absl::StripAsciiWhitespace(cells[1]))).second) << line;
  }
  return names;
}

TEST(NamedDifferencesTest, EachNameHasItsRowAndEachRowItsName) {
  std::set<std::string> names;
  for (const StepDifference& d : StepDifferences()) names.insert(d.name);
  for (const FactDifference& d : FactDifferences()) names.insert(d.name);
  EXPECT_EQ(names, Rows());
}

TEST(NamedDifferencesTest, MatchOnPlaceAndProfileOnly) {
  ASSERT_FALSE(StepDifferences().empty());
  const StepDifference& d = StepDifferences()[0];
  const std::string first = std::string(d.places).substr(0, std::string(d.places).find(' '));
  const std::vector<std::string> numbers = absl::StrSplit(first, ':');
  Place place = {d.recording, 0, 0};
  ASSERT_TRUE(absl::SimpleAtoi(numbers[0], &place.sequence));
  ASSERT_TRUE(absl::SimpleAtoi(numbers[1], &place.step));
  EXPECT_STREQ(NamedStepDifference(place, "manual"), d.name);
  EXPECT_EQ(NamedStepDifference(place, "pistachio-new-mdb"), nullptr);
  EXPECT_EQ(NamedStepDifference({"other", place.sequence, place.step}, "manual"), nullptr);
  EXPECT_EQ(NamedStepDifference({d.recording, place.sequence, 1000}, "manual"), nullptr);
  EXPECT_EQ(NameOf("a/b.c/newmdb_4k.txt.gz"), "newmdb_4k");
  EXPECT_EQ(NameOf("newmdb_4k"), "newmdb_4k");
}

}  // namespace
}  // namespace conform
