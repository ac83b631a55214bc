// The recordings of the real UVM on pmap/l4: those without swap agree in full, but for what has a
// name; the directed scenarios come out sane; each name has its row in docs/DIFFERENCES.md.
#include <fstream>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/canary.h"
#include "conform/outcome.h"
#include "conform/recording.h"
#include "conform/uvm.h"
#include "conform/uvm_differences.h"
#include "conform/uvm_l4_bench.h"
#include "conform/uvm_recording.h"
#include "conform/uvm_structure.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

UvmRecording Read(const std::string& name) {
  const std::string path = absl::StrCat("conform/testdata/netbsd_uvm/", name, ".txt.gz");
  const absl::StatusOr<std::string> text = ReadTextFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  absl::StatusOr<UvmRecording> recording = ParseUvmRecording(path, text.value_or(""));
  EXPECT_TRUE(recording.ok()) << recording.status();
  return recording.ok() ? *std::move(recording) : UvmRecording();
}

struct File {
  const char* name;
  uint64_t steps;
  uint64_t compared;      // agreeing steps, the named ones included
  uint64_t not_replayed;  // of sequences with swap
};
void PrintTo(const File& file, std::ostream* out) { *out << file.name; }

constexpr File kFiles[] = {
    {"a_nopressure_clean_00", 22327, 22327, 0}, {"a_nopressure_clean_01", 22527, 22527, 0},
    {"a_nopressure_wild_00", 21061, 18959, 0},  {"d_directed_00", 3356, 940, 2317},
    {"d_directed_nodiag_00", 3381, 955, 2322},  {"f_findspace_00", 24331, 24331, 0},
    {"l_loan_clean_00", 26998, 26998, 0},       {"l_loan_clean_01", 677, 677, 0},
    {"s_syscall_clean_00", 23107, 23107, 0},    {"s_syscall_wild_00", 17007, 13538, 0},
    {"b_pressure_clean_00", 1, 1, 0}, {"b_pressure_clean_01", 1, 1, 0}, {"b_pressure_clean_02", 1, 1, 0},
    {"b_pressure_wild_00", 1, 1, 0}, {"b_pressure_wild_01", 1, 1, 0}, {"e_swapioerr_clean_00", 1, 1, 0},
    {"h_inflight_clean_00", 1, 1, 0}, {"p_filepager_clean_00", 1, 1, 0}, {"x_stale_expected_00", 1, 1, 0},
};

class UvmRecordingsTest : public testing::TestWithParam<File> {};

INSTANTIATE_TEST_SUITE_P(All, UvmRecordingsTest, testing::ValuesIn(kFiles),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(UvmRecordingsTest, AgreesButForWhatHasAName) {
  const UvmRecording recording = Read(GetParam().name);
  const Outcome o = RunUvmRecording(recording, UvmL4Bench::Make, UvmScope::kMeaning);
  for (const auto& [name, count] : o.named) std::cerr << "  " << name << " " << count << "\n";
  std::cerr << GetParam().name << " agree " << o.agree << " of " << o.steps << " disagree " << o.disagreements << " after " << o.after_difference << " pages " << o.pages_compared << " " << o.pages_lost_there << " " << o.pages_lost_here << "\n";
  for (const Difference& d : o.listed) std::cerr << ToString(d, "") << "\n";
  EXPECT_EQ(o.disagreements, 0u) << ToString(o.first.value_or(Difference()), GetParam().name);
  EXPECT_EQ(o.steps, GetParam().steps);
  EXPECT_GE(o.agree, GetParam().compared);
  EXPECT_EQ(o.not_replayed, GetParam().not_replayed);
  EXPECT_EQ(o.agree + o.after_difference + o.not_replayed, o.steps);
  // Decision 0014 has the one that covers more.
  for (const auto& [name, count] : o.named) {
    const uint64_t bound = name == "topdown-search-from-the-end" ? 40 : 10;
    EXPECT_LE(count * 1000, o.steps * bound) << name;
  }
}

// Entry boundaries, amaps, counters and translations: what differs is a decision.
TEST_P(UvmRecordingsTest, StructureAgreesButForDecisions) {
  const UvmRecording recording = Read(GetParam().name);
  const Outcome o = RunUvmRecording(recording, UvmL4Bench::Make, UvmScope::kStructure);
  EXPECT_EQ(o.disagreements, 0u) << ToString(o.first.value_or(Difference()), GetParam().name);
  EXPECT_GE(o.agree, GetParam().compared);
  // All of the searches; of the files without defects most of the rest.
  const bool searches = std::string(GetParam().name) == "f_findspace_00";
  const uint64_t decided = o.NamedCount() - (searches ? o.NamedCount() : 0);
  EXPECT_LE(decided * 100, o.steps * 8);
}

TEST(UvmRecordingsTest, RunsAreTheSameEveryTime) {
  const UvmRecording recording = Read("l_loan_clean_01");
  const Outcome a = RunUvmRecording(recording, UvmL4Bench::Make, UvmScope::kMeaning);
  const Outcome b = RunUvmRecording(recording, UvmL4Bench::Make, UvmScope::kMeaning);
  EXPECT_NE(a.hash, 0u);
  EXPECT_EQ(a.hash, b.hash);
  EXPECT_EQ(a.ledger.page_faults, b.ledger.page_faults);
  EXPECT_GT(a.ledger.page_faults, 100u);
}

// The judge is judged: each of these defects of ours, put in, shows in a part of a file.
TEST(UvmCanaryTest, DefectsOfOursAreSeen) {
  UvmRecording recording = Read("a_nopressure_clean_00");
  recording.sequences.resize(60);
  for (const base::Canary canary :
       {base::Canary::kForkSkipsWriteProtect, base::Canary::kStaleAfterProtect,
        base::Canary::kInheritanceSwapped, base::Canary::kAnonReferenceLeaked,
        base::Canary::kZeroFillSkipped, base::Canary::kRefillIgnoresRights}) {
    const auto make = [canary](const UvmSequence& sequence) {
      auto bench = std::make_unique<UvmL4Bench>(sequence.pages - sequence.reserve);
      bench->canary().Arm(canary);
      bench->uvm().canary().Arm(canary);
      return bench;
    };
    const Outcome o = RunUvmRecording(recording, make, UvmScope::kMeaning);
    EXPECT_GT(o.disagreements, 0u) << static_cast<int>(canary);
  }
}

// ---- Names ----

// The rows of the section about these recordings, and of the table before all sections.
std::set<std::string> Rows() {
  std::ifstream in("docs/DIFFERENCES.md");
  std::set<std::string> names;
  bool inside = true;
  for (std::string line; std::getline(in, line);) {
    if (absl::StartsWith(line, "## ")) inside = absl::StrContains(line, "real UVM");
    if (!inside || !absl::StartsWith(line, "| ")) continue;
    const std::vector<std::string> cells = absl::StrSplit(line, '|');
    names.insert(std::string(absl::StripAsciiWhitespace(cells[1])));
  }
  return names;
}

TEST(UvmDifferencesTest, EachNameHasItsRow) {
  const std::set<std::string> rows = Rows();
  for (const UvmDefect& d : UvmDefects()) EXPECT_TRUE(rows.contains(d.name)) << d.name;
  for (const UvmStepDifference& d : UvmStepDifferences()) {
    EXPECT_TRUE(rows.contains(d.name)) << d.name;
  }
  for (const char* name : UvmStructureNames()) EXPECT_TRUE(rows.contains(name)) << name;
}

TEST(UvmDifferencesTest, MatchOnThePlaceOnly) {
  const UvmStepDifference& d = UvmStepDifferences()[0];
  EXPECT_EQ(NamedUvmStep(d.recording, d.sequence, d.step), &d);
  EXPECT_EQ(NamedUvmStep("other", d.sequence, d.step), nullptr);
  EXPECT_EQ(NamedUvmStep(d.recording, "npc-1", d.step), nullptr);
  EXPECT_EQ(NamedUvmStep(d.recording, d.sequence, "op 0"), nullptr);
  EXPECT_STREQ(NamedUvmDefect("B3"), "grown-shared-memory-works");
  EXPECT_EQ(NamedUvmDefect("B99"), nullptr);
}

}  // namespace
}  // namespace conform
