#include "proptests/engine/findings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace proptests {
namespace {

namespace fs = std::filesystem;

std::string FreshDirectory(const std::string& name) {
  const char* base = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(base == nullptr ? "/tmp" : base) + "/findings_" + name;
  fs::remove_all(path);
  return path;
}

std::unique_ptr<Findings> Open(const std::string& path) {
  auto findings = Findings::Open(path, Findings::Mode::kCreate);
  EXPECT_TRUE(findings.ok()) << findings.status();
  return *std::move(findings);
}

KnownFailure Sample(const std::string& rule, const std::string& place) {
  KnownFailure finding;
  finding.print = {FailureClass::kStructure, rule};
  finding.place = place;
  finding.text = "it's \"so\"\nand so";
  finding.trace = rule + "_" + place + ".trace";
  finding.flags = " --frames 2000";
  finding.origin = "seed 1, case 2";
  finding.ops = 3;
  return finding;
}

void WriteTrace(const Findings& findings, const KnownFailure& finding) {
  std::ofstream(findings.PathOf(finding)) << "# a trace\n";
}

TEST(FindingsTest, ClassRuleAndPlaceMakeAFinding) {
  const std::string path = FreshDirectory("place");
  {
    std::unique_ptr<Findings> findings = Open(path);
    EXPECT_TRUE(*findings->Add(Sample("ValidAmapRefs", "fork")));
    EXPECT_FALSE(*findings->Add(Sample("ValidAmapRefs", "fork")));
    EXPECT_TRUE(*findings->Add(Sample("ValidAmapRefs", "munmap")));
    EXPECT_TRUE(*findings->Add(Sample("ValidAnonRefs", "fork")));
  }
  // What another run finds when it opens the directory.
  auto again = Findings::Open(path, Findings::Mode::kMustExist);
  ASSERT_TRUE(again.ok()) << again.status();
  std::vector<KnownFailure> list = *(*again)->List();
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].place, "fork");
  EXPECT_EQ(list[0].seen, 2u);
  EXPECT_EQ(list[0].text, "it's \"so\"\nand so");
  EXPECT_EQ(list[0].flags, " --frames 2000");
  EXPECT_EQ(list[1].place, "munmap");
  EXPECT_EQ(list[1].seen, 1u);
  ASSERT_TRUE((*again)->SetReplayed(list[1], Findings::Replayed::kPasses).ok());
  list = *(*again)->List();
  EXPECT_TRUE(list[0].fails);
  EXPECT_FALSE(list[1].fails);
  // Seen again, it fails again.
  EXPECT_FALSE(*(*again)->Add(list[1]));
  EXPECT_TRUE((*(*again)->List())[1].fails);
}

TEST(FindingsTest, ACampaignIsFoundWhereItStopped) {
  const std::string path = FreshDirectory("campaign");
  std::unique_ptr<Findings> findings = Open(path);
  EXPECT_FALSE((*findings->LastCampaign()).has_value());
  CampaignState state;
  state.arguments = {"--seed", "7"};
  state.identity = "seed 7";
  state.shard = 1;
  state.shards = 4;
  state.next_case = 12;
  CaseRecord record;
  record.number = 3;
  record.result.hash = ~uint64_t{0} - 5;
  state.summary.Add(record);
  ASSERT_TRUE(findings->SaveCampaign(state).ok());
  state.next_case = 13;
  ASSERT_TRUE(findings->SaveCampaign(state).ok());
  auto back = findings->LastCampaign();
  ASSERT_TRUE(back.ok() && back->has_value()) << back.status();
  EXPECT_EQ((*back)->next_case, 13u);
  EXPECT_EQ((*back)->summary.hash, state.summary.hash);
  EXPECT_EQ(EncodeState(**back), EncodeState(state));
  EXPECT_FALSE(DecodeState("{}").ok());
}

TEST(FindingsTest, DirectoriesAreJoined) {
  std::unique_ptr<Findings> a = Open(FreshDirectory("a"));
  std::unique_ptr<Findings> b = Open(FreshDirectory("b"));
  for (Findings* each : {a.get(), b.get()}) {
    WriteTrace(*each, Sample("Both", "fork"));
    ASSERT_TRUE(*each->Add(Sample("Both", "fork")));
  }
  KnownFailure other = Sample("OnlyB", "mmap");
  other.trace = "Both_fork.trace_2.trace";
  WriteTrace(*b, other);
  ASSERT_TRUE(*b->Add(other));
  EXPECT_EQ(*CopyFindings(*b, a.get()), 1u);
  const std::vector<KnownFailure> list = *a->List();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].seen, 2u);
  for (const KnownFailure& finding : list) EXPECT_TRUE(fs::exists(a->PathOf(finding)));
}

TEST(FindingsTest, WhatIsNoDirectoryOfFindingsIsRefused) {
  const std::string path = FreshDirectory("none");
  EXPECT_FALSE(Findings::Open(path, Findings::Mode::kMustExist).ok());
  EXPECT_FALSE(fs::exists(path));
  fs::create_directories(path);
  EXPECT_FALSE(Findings::Open(path, Findings::Mode::kMustExist).ok());
  std::ofstream(path + "/findings.db") << "this is no database, whatever its name says";
  EXPECT_FALSE(Findings::Open(path, Findings::Mode::kMustExist).ok());
  std::ofstream(path + "/file") << "x";
  EXPECT_FALSE(Findings::Open(path + "/file", Findings::Mode::kCreate).ok());
}

}  // namespace
}  // namespace proptests
