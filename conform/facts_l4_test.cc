// Measured facts on the simulated kernel: every fact has its scenario and every scenario its facts,
// what is compared is noticed when falsified, and the recording agrees under its profile.
#include "conform/facts_l4.h"

#include <l4/types.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "conform/differences.h"
#include "conform/facts_scenarios.h"
#include "conform/recording.h"
#include "fake_l4/quirks.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

constexpr char kRecording[] = "conform/testdata/ipc_syscall_facts.txt.gz";

FactFile Recorded() {
  const absl::StatusOr<std::string> text = ReadTextFile(kRecording);
  EXPECT_TRUE(text.ok()) << text.status();
  const absl::StatusOr<FactFile> file = ParseFacts(kRecording, text.value_or(""));
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? *file : FactFile{};
}

TEST(FactScenariosTest, EveryScenarioBelongsToOneStory) {
  std::set<std::string> scenarios;
  for (const Story& story : AllStories()) {
    const std::vector<std::string> names = absl::StrSplit(story.scenarios, ' ');
    for (const std::string& name : names) {
      EXPECT_TRUE(scenarios.insert(name).second) << name;
    }
  }
  std::set<std::string> recorded;
  for (const Fact& fact : Recorded().facts) recorded.insert(fact.scenario);
  EXPECT_EQ(scenarios, recorded);
}

TEST(FactScenariosTest, NoFactIsWithoutAScenarioAndNoneWithoutAFact) {
  const FactFile file = Recorded();
  std::set<std::string> recorded;
  for (const Fact& fact : file.facts) recorded.insert(Title(fact));
  EXPECT_EQ(recorded.size(), file.Count());
  std::set<std::string> seen;
  for (const Story& story : AllStories()) {
    FactsBench bench(file.machine, fake_l4::kManualRules);
    story.run(bench);
    const std::vector<std::string> own = absl::StrSplit(story.scenarios, ' ');
    for (const Observation& o : bench.observations()) {
      EXPECT_TRUE(seen.insert(Title(o.fact)).second) << Title(o.fact);
      EXPECT_NE(std::find(own.begin(), own.end(), o.fact.scenario), own.end()) << Title(o.fact);
    }
  }
  EXPECT_EQ(seen, recorded);
}

TEST(FactScenariosTest, RunsAreEqual) {
  const FactFile file = Recorded();
  const Outcome first = RunFacts(file, fake_l4::kManualRules);
  EXPECT_EQ(first.hash, RunFacts(file, fake_l4::kManualRules).hash);
  EXPECT_EQ(first.agree + first.disagreements, file.Count());
}

// ---- What is compared ----

Fact IpcOf(const IpcFact& value) {
  return {.scenario = "x", .helper = 2, .value = value, .line = 7};
}

std::string FieldThatDiffers(const Fact& recorded, const FactValue& ours) {
  const std::optional<Difference> d = CompareFact(recorded, ours);
  return d.has_value() ? d->field : "";
}

TEST(CompareFactTest, AReceivedMessageIsComparedAsFarAsItGoes) {
  const IpcFact good = {.tag = 0x1081,
                        .error = 2,
                        .from = 0xd4001,
                        .actual_sender = 0xd8001,
                        .mr = {0x77, 8, 0, 0x104}};
  const auto differs = [&](auto change) {
    IpcFact ours = good;
    change(ours);
    return FieldThatDiffers(IpcOf(good), ours);
  };
  EXPECT_EQ(differs([](IpcFact&) {}), "");
  EXPECT_EQ(differs([](IpcFact& f) { f.tag = 0x81; }), "tag");
  EXPECT_EQ(differs([](IpcFact& f) { f.from = 0; }), "from");
  EXPECT_EQ(differs([](IpcFact& f) { f.actual_sender = 0; }), "act");
  EXPECT_EQ(differs([](IpcFact& f) { f.mr[0] = 0; }), "mr1");
  EXPECT_EQ(differs([](IpcFact& f) { f.mr[2] = 1; }), "mr3");
  EXPECT_EQ(differs([](IpcFact& f) { f.mr[3] = 0; }), "");
  EXPECT_EQ(differs([](IpcFact& f) { f.error = 0; }), "");
  EXPECT_EQ(FieldThatDiffers(IpcOf(good), BlockedFact{}), "blocked");
}

TEST(CompareFactTest, AfterAnOverflowTheUntypedWordsCount) {
  const IpcFact good = {.tag = 0x8081, .error = 9, .from = 0xd4001, .mr = {0x77, 8}};
  IpcFact ours = good;
  ours.mr[1] = 5;
  EXPECT_EQ(FieldThatDiffers(IpcOf(good), ours), "");
  ours.mr[0] = 5;
  EXPECT_EQ(FieldThatDiffers(IpcOf(good), ours), "mr1");
  ours = good;
  ours.error = 8;
  EXPECT_EQ(FieldThatDiffers(IpcOf(good), ours), "err");
}

TEST(CompareFactTest, AFailedReceiveAndASendLeaveTheirRegistersUndefined) {
  for (const IpcFact& good : {IpcFact{.tag = 0x8000, .error = 3, .from = 0xe001afe4},
                              IpcFact{.tag = 3, .from = kUntouchedFrom}}) {
    IpcFact ours = good;
    ours.from = ours.actual_sender = ours.mr[0] = 5;
    EXPECT_EQ(FieldThatDiffers(IpcOf(good), ours), "");
    ours.tag ^= 1;
    EXPECT_EQ(FieldThatDiffers(IpcOf(good), ours), "tag");
  }
}

TEST(CompareFactTest, ResultsOfCalls) {
  const Fact exregs = {.scenario = "exregs_x",
                       .helper = 2,
                       .value = CallFact{.results = {1, 2, 3, 4, 5, 6, 7}, .error = 8},
                       .line = 1};
  for (const auto& [index, field] : std::map<size_t, std::string>{
           {0, "r0"}, {1, "r1"}, {2, ""}, {3, ""}, {4, ""}, {5, "r5"}, {6, "r6"}}) {
    CallFact ours = std::get<CallFact>(exregs.value);
    ours.results[index] = 99;
    EXPECT_EQ(FieldThatDiffers(exregs, ours), field) << index;
  }
  const Fact failed = {.scenario = "tc_x", .helper = 0, .value = CallFact{.error = 6}, .line = 1};
  EXPECT_EQ(FieldThatDiffers(failed, CallFact{.error = 2}), "err");
  EXPECT_EQ(FieldThatDiffers(failed, CallFact{.results = {1}, .error = 6}), "r0");
}

TEST(CompareFactTest, Sigma0MayChooseOnlyThePlaceOfAnyRegion) {
  const Fact any = {.scenario = "sigma0_request_fffffcc0",
                    .value = Sigma0Fact{.tag = 0x80, .item = 8, .fpage = 0xc7},
                    .line = 1};
  EXPECT_EQ(FieldThatDiffers(any, Sigma0Fact{.tag = 0x80, .item = 0x5008, .fpage = 0x50c7}), "");
  EXPECT_EQ(FieldThatDiffers(any, Sigma0Fact{.tag = 0x80, .item = 0x5008, .fpage = 0x60c7}),
            "fpage");
  EXPECT_EQ(FieldThatDiffers(any, Sigma0Fact{.tag = 0x80, .item = 0x5008, .fpage = 0x50d7}),
            "fpage");
  const Fact one = {.scenario = "sigma0_request_020000c0",
                    .value = Sigma0Fact{.tag = 0x80, .item = 0x2000008, .fpage = 0x20000c7},
                    .line = 1};
  EXPECT_EQ(FieldThatDiffers(one, Sigma0Fact{.tag = 0x80, .item = 0x5008, .fpage = 0x50c7}), "w0");
}

// ---- The tables in words ----

TEST(FactFieldsTest, TablesAreInTheReadme) {
  std::ifstream in("conform/README.md");
  const std::string readme((std::istreambuf_iterator<char>(in)), {});
  for (const FieldRule& rule : FactFieldTable()) {
    const std::string row =
        absl::StrCat("| `", rule.line, "` | ", rule.field, " | ",
                     rule.compared == Compared::kYes ? "yes" : "no", " | ", rule.reason, " |\n");
    EXPECT_NE(readme.find(row), std::string::npos) << row;
  }
  for (const FactException& e : FactExceptions()) {
    const std::string row =
        absl::StrCat("| `fact ", e.scenario, "` | ", e.field, " | no | ", e.reason, " |\n");
    EXPECT_NE(readme.find(row), std::string::npos) << row;
  }
}

// ---- The recording ----

// Every fact with its first compared field falsified.
Fact Falsified(const Fact& fact) {
  Fact f = fact;
  if (auto* ipc = std::get_if<IpcFact>(&f.value)) {
    ipc->tag ^= 1u << 16;
  } else if (auto* call = std::get_if<CallFact>(&f.value)) {
    call->results[0] ^= 0x40;
  } else if (auto* schedule = std::get_if<ScheduleFact>(&f.value)) {
    schedule->state ^= 8;
  } else if (auto* unmap = std::get_if<UnmapFact>(&f.value)) {
    unmap->fpage ^= 4;
  } else if (auto* sigma0 = std::get_if<Sigma0Fact>(&f.value)) {
    sigma0->tag ^= 1;
  } else {
    f.value = IpcFact{};
  }
  return f;
}

TEST(FactsRecordingTest, FalsifiedItAgreesNowhere) {
  FactFile file = Recorded();
  for (Fact& fact : file.facts) fact = Falsified(fact);
  const Outcome outcome = RunFacts(file, *fake_l4::FindQuirks("pistachio-new-mdb"));
  EXPECT_EQ(outcome.agree, 0u);
  EXPECT_EQ(outcome.disagreements, file.Count());
}

TEST(FactsRecordingTest, AFactWithoutAScenarioDisagrees) {
  FactFile file = Recorded();
  file.facts = {file.facts[0]};
  file.facts[0].scenario = "unheard_of";
  const Outcome outcome = RunFacts(file, fake_l4::kManualRules);
  ASSERT_TRUE(outcome.first.has_value());
  EXPECT_EQ(outcome.first->field, "scenario");
}

// The table of named differences is exact: under the manual's rules it has a name for every fact
// that ends otherwise, and for no other.
TEST(FactsRecordingTest, UnderTheManualEveryDifferenceIsNamed) {
  const FactFile file = Recorded();
  std::set<std::string> differ, named;
  for (const Difference& d : RunFacts(file, fake_l4::kManualRules).listed) {
    ADD_FAILURE() << ToString(d, kRecording);
  }
  for (const Fact& fact : file.facts) {
    FactFile one = file;
    one.facts = {fact};
    const Outcome outcome = RunFacts(one, fake_l4::kManualRules);
    if (outcome.NamedCount() + outcome.disagreements != 0) differ.insert(fact.scenario);
  }
  std::map<std::string, int> facts_of_a_name;
  for (const FactDifference& d : FactDifferences()) {
    EXPECT_STREQ(d.quirks, "manual");
    named.insert(d.scenario);
    EXPECT_LE(++facts_of_a_name[d.name], 3) << d.name << ": decision 0012";
  }
  EXPECT_EQ(named, differ);
}

TEST(FactsBenchTest, IdsLeaveInTheRecordedForm) {
  const FactFile file = Recorded();
  FactsBench bench(file.machine, fake_l4::kManualRules);
  EXPECT_EQ(bench.problem(), "");
  EXPECT_EQ(bench.NarrowId(L4_nilthread), 0u);
  EXPECT_EQ(bench.NarrowId(bench.root()), file.machine.root);
  for (uint32_t i = 0; i < FactsBench::kHelpers; i++) {
    EXPECT_EQ(bench.NarrowId(bench.Id(i)), file.machine.helpers[i]);
  }
  // Local ids by the place of the UTCB: the first is root's.
  EXPECT_EQ(bench.NarrowId(L4_ThreadIdOfRaw(bench.Utcb(0))), file.machine.root_local);
  EXPECT_EQ(bench.NarrowId(L4_ThreadIdOfRaw(bench.Utcb(2))), 0xbf000500u);
  EXPECT_FALSE(bench.NarrowId(L4_ThreadIdOfRaw(0x1000)).has_value());
  EXPECT_FALSE(bench.NarrowId(L4_GlobalId(L4_Word_t{1} << 18, 1)).has_value());
  EXPECT_FALSE(bench.NarrowId(L4_GlobalId(L4_Word_t{50}, 1u << 14 | 1)).has_value());
}

TEST(FactsRecordingTest, AgreesUnderItsProfile) {
  const fake_l4::Quirks* quirks = fake_l4::FindQuirks("pistachio-new-mdb");
  ASSERT_NE(quirks, nullptr);
  const Outcome outcome = RunFacts(Recorded(), *quirks);
  EXPECT_EQ(outcome.agree, 143u);
  EXPECT_EQ(outcome.NamedCount(), 0u);
  EXPECT_FALSE(outcome.first.has_value()) << ToString(*outcome.first, kRecording);
}

}  // namespace
}  // namespace conform
