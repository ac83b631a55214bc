// Recorded GNU Mach calls: all of them agree, and a recording that says otherwise is noticed.
#include "conform/mach.h"

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "conform/recording.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

std::string PathOf(const std::string& name) {
  return absl::StrCat("conform/testdata/gnumach_", name, ".txt.gz");
}

MachRecording Read(const std::string& name) {
  const absl::StatusOr<std::string> text = ReadTextFile(PathOf(name));
  EXPECT_TRUE(text.ok()) << text.status();
  absl::StatusOr<MachRecording> recording = ParseMachRecording(name, text.value_or(""));
  EXPECT_TRUE(recording.ok()) << recording.status();
  return recording.ok() ? *std::move(recording) : MachRecording();
}

std::string FirstOf(const Outcome& outcome) {
  return outcome.first.has_value() ? ToString(*outcome.first, "file") : "";
}

struct Case {
  const char* name;
  uint64_t steps;
  std::map<std::string, uint64_t> named;
};
const Case kCases[] = {
    {"single_1", 4750, {}},
    {"fork_1", 5750, {}},
    {"wire_1", 5108, {}},
    {"deep_1", 5720, {}},
    {"single_1001", 39854, {}},
    {"deep_1001", 48140, {}},
    {"edge_cases", 7311, {{"mach-map-mask-first-fit", 16}, {"mach-task-size-limit", 2}}},
};

class MachRecordingsTest : public testing::TestWithParam<Case> {};

TEST_P(MachRecordingsTest, AgreesInFull) {
  const MachRecording recording = Read(GetParam().name);
  EXPECT_EQ(recording.Count(), GetParam().steps);
  const Outcome outcome = RunMachRecording(recording);
  EXPECT_EQ(outcome.steps, GetParam().steps);
  EXPECT_EQ(outcome.agree, GetParam().steps) << FirstOf(outcome);
  EXPECT_EQ(outcome.disagreements, 0u);
  EXPECT_EQ(outcome.after_difference, 0u);
  const std::map<std::string, uint64_t> named(outcome.named.begin(), outcome.named.end());
  EXPECT_EQ(named, GetParam().named);
  // No name covers more than one step in a hundred.
  for (const auto& [name, count] : named) EXPECT_LE(count * 100, GetParam().steps) << name;
}

INSTANTIATE_TEST_SUITE_P(All, MachRecordingsTest, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

// ---- Each compared field ----

constexpr char kSequence[] =
    "S 1 seed=1 profile=0 ops=9 pages=16\n"
    "O 0 vm_allocate t=0 addr=0x10000000 size=0x3000 any=0 -> kr=0 addr=0x10000000\n"
    "O 1 poke t=0 addr=0x10001000 val=0x10111 -> ok\n"
    "O 2 peek t=0 addr=0x10001000 -> ok val=0x10111\n"
    "O 3 poke t=0 addr=0x20000000 val=0x1 -> fault 1\n"
    "O 4 vm_read t=0 addr=0x10001004 size=0x1000 -> kr=0 cnt=0x1000 data=0\n"
    "O 5 vm_region t=0 addr=0x10002000 -> kr=0 addr=0x10000000 size=0x3000 cur=3 max=7 inh=1 sh=0 "
    "obj=1 off=0x7000\n"
    "O 6 vm_region t=0 addr=0x0 -> kr=0 addr=0x10000000 size=0x3000 cur=3 max=7 inh=1 sh=0 obj=1 "
    "off=0x0\n"
    "O 7 vm_map t=0 addr=0x0 size=0x1000 mask=0xffff any=1 off=0x0 copy=0 cur=1 max=7 inh=2 -> "
    "kr=0 addr=0xb0010000\n"
    "O 8 vm_deallocate t=0 addr=0x10000000 size=0x1000 -> kr=0\n"
    "O 9 task_create t=0 inherit=1 -> kr=0 child=1\n"
    "M t=1 [0x10001000+0x2000 cur=3 max=7 inh=1 sh=0]\n"
    "C t=1 0x10001000:10111 0x10002000:0 0xb0010000:F1\n"
    "O 10 task_terminate t=1 -> kr=0\n"
    "E 1\n";

// A recording of calls whose contents stand last takes no operations after them.
std::string Sample() {
  return absl::StrReplaceAll(kSequence, {{"O 10 task_terminate t=1 -> kr=0\n", ""}});
}

TEST(MachFieldsTest, TheSampleAgrees) {
  const absl::StatusOr<MachRecording> recording = ParseMachRecording("f", Sample());
  ASSERT_TRUE(recording.ok()) << recording.status();
  const Outcome outcome = RunMachRecording(*recording);
  EXPECT_EQ(outcome.agree, recording->Count()) << FirstOf(outcome);
}

TEST(MachFieldsTest, WhatIsRecordedOtherwiseIsADisagreement) {
  const struct {
    const char* from;
    const char* to;
    const char* field;
  } kChanges[] = {
      {"kr=0 addr=0x10000000\n", "kr=3 addr=0x10000000\n", "kr"},
      {"kr=0 addr=0x10000000\n", "kr=0 addr=0x10001000\n", "addr"},
      {"-> ok val=0x10111", "-> ok val=0x10112", "val"},
      {"-> ok val=0x10111", "-> fault 2", "fault"},
      {"val=0x1 -> fault 1", "val=0x1 -> fault 2", "fault"},
      {"val=0x1 -> fault 1", "val=0x1 -> ok", "fault"},
      {"cnt=0x1000", "cnt=0x2000", "cnt"},
      {"data=0\n", "data=1\n", "data"},
      {"data=0\n", "data=0,0\n", "data"},
      {"addr=0x0 -> kr=0 addr=0x10000000", "addr=0x0 -> kr=0 addr=0x10001000", "addr"},
      {"cur=3 max=7 inh=1 sh=0 obj=1 off=0x7000", "cur=1 max=7 inh=1 sh=0 obj=1 off=0x7000", "cur"},
      {"cur=3 max=7 inh=1 sh=0 obj=1 off=0x7000", "cur=3 max=3 inh=1 sh=0 obj=1 off=0x7000", "max"},
      {"cur=3 max=7 inh=1 sh=0 obj=1 off=0x7000", "cur=3 max=7 inh=0 sh=0 obj=1 off=0x7000", "inh"},
      {"addr=0xb0010000", "addr=0x10001000", "kr at the recorded address"},
      {"-> kr=0 child=1", "-> kr=6", "kr"},
      {"[0x10001000+0x2000 cur=3", "[0x10001000+0x1000 cur=3", "pages"},
      {"[0x10001000+0x2000 cur=3", "[0x10001000+0x2000 cur=1", "pages"},
      {"max=7 inh=1 sh=0]", "max=7 inh=2 sh=0]", "pages"},
      {"0x10002000:0 ", "0x10002000:1 ", "word"},
      {"0xb0010000:F1", "0xb0010000:F2", "word"},
      {"0xb0010000:F1", "0xb0010000:0", "word"},
  };
  for (const auto& change : kChanges) {
    const std::string text = absl::StrReplaceAll(Sample(), {{change.from, change.to}});
    ASSERT_NE(text, Sample()) << change.from;
    const absl::StatusOr<MachRecording> recording = ParseMachRecording("f", text);
    ASSERT_TRUE(recording.ok()) << recording.status();
    const Outcome outcome = RunMachRecording(*recording);
    EXPECT_EQ(outcome.disagreements, 1u) << change.to;
    ASSERT_TRUE(outcome.first.has_value()) << change.to;
    EXPECT_EQ(outcome.first->field, change.field) << change.to;
    EXPECT_EQ(outcome.agree + outcome.disagreements + outcome.after_difference, recording->Count());
  }
}

TEST(MachFieldsTest, BoundariesBetweenEqualPagesDoNotMatter) {
  const std::string text = absl::StrReplaceAll(
      Sample(), {{"[0x10001000+0x2000 cur=3 max=7 inh=1 sh=0]",
                  "[0x10001000+0x1000 cur=3 max=7 inh=1 sh=0] [0x10002000+0x1000 cur=3 max=7 "
                  "inh=1 sh=1]"}});
  const absl::StatusOr<MachRecording> recording = ParseMachRecording("f", text);
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(RunMachRecording(*recording).disagreements, 0u);
}

// Of single calls: a changed code, map, missing map, or word is one disagreement, no more.
TEST(MachFieldsTest, SingleCallsStandForThemselves) {
  const absl::StatusOr<std::string> whole = ReadTextFile(PathOf("edge_cases"));
  ASSERT_TRUE(whole.ok());
  const std::string text = absl::StrCat(whole->substr(0, whole->find("\nX 120 ") + 1), "DONE\n");
  const struct {
    const char* from;
    const char* to;
    const char* field;
  } kChanges[] = {
      {"X 1 vm_allocate addr=0x10000000 size=0x0 any=0 -> kr=0",
       "X 1 vm_allocate addr=0x10000000 size=0x0 any=0 -> kr=4", "kr"},
      {"X 21 vm_deallocate addr=0x10000000 size=0x1 -> kr=0\n   => [0x10001000+0x1000 cur=3",
       "X 21 vm_deallocate addr=0x10000000 size=0x1 -> kr=0\n   => [0x10001000+0x1000 cur=1",
       "pages"},
      {"F cur=5 written_before=1 access=write -> fault 2",
       "F cur=5 written_before=1 access=write "
       "-> ok 0",
       "fault"},
      {"=> words a000\n", "=> words a00f\n", "word"},
      {"L page=3 npages=1 cur=1", "L page=3 npages=1 cur=3", "pages"},
  };
  for (const auto& change : kChanges) {
    const std::string changed = absl::StrReplaceAll(text, {{change.from, change.to}});
    ASSERT_NE(changed, text) << change.from;
    const absl::StatusOr<MachRecording> recording = ParseMachRecording("f", changed);
    ASSERT_TRUE(recording.ok()) << recording.status();
    const Outcome outcome = RunMachRecording(*recording);
    ASSERT_TRUE(outcome.first.has_value()) << change.to;
    EXPECT_EQ(outcome.first->field, change.field) << change.to;
    EXPECT_EQ(outcome.after_difference, 0u);
    EXPECT_EQ(outcome.agree + outcome.disagreements, recording->Count());
  }
}

// ---- Names and tables ----

TEST(MachDifferencesTest, EachNameHasItsRowAndEachRowItsName) {
  std::set<std::string> names;
  for (const MachDifference& d : MachDifferences()) names.insert(d.name);
  std::ifstream in("docs/DIFFERENCES.md");
  std::set<std::string> rows;
  std::string line;
  while (std::getline(in, line)) {
    if (!absl::StartsWith(line, "| mach-")) continue;
    const std::vector<std::string> cells = absl::StrSplit(line, '|');
    EXPECT_EQ(cells.size(), 6u) << line;
    EXPECT_TRUE(rows.insert(std::string(absl::StripAsciiWhitespace(cells[1]))).second) << line;
  }
  EXPECT_EQ(names, rows);
}

TEST(MachFieldTableTest, StandsInTheReadme) {
  std::ifstream file("conform/README.md");
  std::stringstream readme;
  readme << file.rdbuf();
  for (const FieldRule& rule : MachFieldTable()) {
    const std::string row =
        absl::StrCat("| `", rule.line, "` | ", rule.field, " | ",
                     rule.compared == Compared::kYes ? "yes" : "no", " | ", rule.reason, " |");
    EXPECT_TRUE(absl::StrContains(readme.str(), row)) << row;
  }
}

TEST(ConformMachTest, PrintsOneLineAFileAndItsExitCode) {
  std::ostringstream out, err;
  EXPECT_EQ(ConformMach({PathOf("wire_1")}, {}, out, err), kExitPass);
  EXPECT_EQ(out.str(),
            absl::StrCat(PathOf("wire_1"), ": agree 5108 of 5108 (0 by named differences)\n"));
  EXPECT_EQ(err.str(), "");
  std::ostringstream counts;
  EXPECT_EQ(ConformMach({PathOf("wire_1")}, {.count_only = true}, counts, err), kExitPass);
  EXPECT_EQ(counts.str(), absl::StrCat(PathOf("wire_1"), ": 5108\n"));
  std::ostringstream nothing;
  EXPECT_EQ(ConformMach({"no/such/file"}, {}, nothing, err), kExitUsage);
  EXPECT_EQ(nothing.str(), "");
  EXPECT_TRUE(absl::StrContains(err.str(), "no/such/file"));
}

}  // namespace
}  // namespace conform
