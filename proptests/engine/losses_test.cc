// Faults without bound: who is lost is lost alone, and everything else is as it should be.

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/canary.h"
#include "machine/machine.h"
#include "proptests/engine/fault_rates.h"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"

namespace proptests {
namespace {

CampaignOptions Faulty(const std::string& faults) {
  CampaignOptions options;
  options.seed = 5;
  options.ops = 12000;
  options.case_ops = 300;
  options.run.machine.ram_bytes = uint64_t{16} << 20;
  options.faults = *ParseFaultRates(faults);
  options.liveness = true;
  return options;
}

TEST(LossesTest, WhateverIsLostTheRestConverges) {
  const CampaignResult result =
      RunCampaign(Faulty("ipc_cut=6,pager_dies=20,pager_never=20,mapping_node=5,kernel_memory=5,"
                         "pager_late=5,pager_wrong_fpage=5,pager_smaller_fpage=5"));
  ASSERT_FALSE(result.run.failure) << result.run.failure->text;
  EXPECT_GT(result.run.stats.lost_calls, 100u);
  EXPECT_GT(result.run.stats.lost_tasks, 50u);
}

TEST(LossesTest, EachSiteAlone) {
  for (const char* site : {"ipc_cut", "pager_dies", "pager_never"}) {
    const CampaignResult result = RunCampaign(Faulty(absl::StrCat(site, "=4")));
    ASSERT_FALSE(result.run.failure) << site << ": " << result.run.failure->text;
    const bool calls = std::string(site) == "ipc_cut";
    EXPECT_EQ(result.run.stats.lost_calls > 100, calls) << site;
    EXPECT_EQ(result.run.stats.lost_tasks > 50, !calls) << site;
  }
}

TEST(LossesTest, OnOtherKernelsAndUnderOtherSchedules) {
  CampaignOptions options = Faulty("unlimited");
  for (uint32_t& one_in : options.faults.one_in) one_in = 8;
  options.ops = 4000;
  options.run.machine.schedule = machine::Schedule::kPct;
  options.run.machine.processors = 2;
  options.run.machine.quirks = *machine::FindQuirks("pistachio-new-mdb");
  const CampaignResult result = RunCampaign(options);
  ASSERT_FALSE(result.run.failure) << result.run.failure->text;
  EXPECT_GT(result.run.stats.lost_tasks, 5u);
}

TEST(LossesTest, OnPmapsThatTakeAllLiberties) {
  for (machine::Adversity adversity :
       {machine::Adversity::kForgetful, machine::Adversity::kRefusing}) {
    CampaignOptions options = Faulty("unlimited");
    for (uint32_t& one_in : options.faults.one_in) one_in = 8;
    options.ops = 4000;
    options.run.machine.adversity = adversity;
    const CampaignResult result = RunCampaign(options);
    ASSERT_FALSE(result.run.failure)
        << machine::AdversityName(adversity) << ": " << result.run.failure->text;
    EXPECT_GT(result.run.stats.lost_tasks, 5u);
  }
}

std::string Told(const std::string& lines) {
  return RunTraceText(absl::StrCat("# text: a test's\n", lines));
}

// Lost on the way to the server: nothing is done. Lost on the way back: it is done, and the client
// that does not know can go on.
TEST(LossesTest, ACallIsDoneOrNot) {
  constexpr char kMap[] = "s1.mmap 0x4000 0x1000 rw- private,fixed";
  EXPECT_EQ(Told(absl::StrCat("s1 = space\ninject ipc_cut\n", kMap,
                              " -> none\ns1.write 0x4000 1 65 -> SEGV_MAPERR 0x4000\n")),
            "pass");
  EXPECT_EQ(Told(absl::StrCat("s1 = space\ninject ipc_cut skip=1\n", kMap,
                              " -> 0x4000\ns1.write 0x4000 1 65 -> ok\n")),
            "pass");
  EXPECT_EQ(Told("s1 = space\ninject ipc_cut skip=1\ns2 = s1.fork -> ok\ns2.exit -> ok\n"), "pass");
}

// A store over three pages hangs at the second: the first is written, for all to see.
TEST(LossesTest, AnAccessEndsWhereItsTaskIsLost) {
  for (const char* site : {"pager_dies", "pager_never"}) {
    EXPECT_EQ(Told(absl::StrCat("s1 = space\n"
                                "s1.mmap 0x4000 0x3000 rw- shared,fixed\n"
                                "s2 = s1.fork\n"
                                "inject ",
                                site,
                                " skip=1\n"
                                "s1.write 0x4000 0x3000 65 -> none\n"
                                "s1.read 0x4000 1 -> none\n"
                                "s2.read 0x4000 1 -> 'A'\n"
                                "s2.read 0x5000 1 -> 0x0\n")),
              "pass")
        << site;
  }
}

// The machine without the option is stuck, as before.
TEST(LossesTest, NobodyIsLostUnnoticed) {
  CampaignOptions options = Faulty("pager_never=4");
  options.faults.unlimited = false;
  const CampaignResult result = RunCampaign(options);
  ASSERT_TRUE(result.run.failure);
  EXPECT_EQ(result.run.failure->print.rule, "EveryOperationEnds");
}

// Bugs are found among the losses as without them.
TEST(LossesTest, ABugIsFoundAllTheSame) {
  CampaignOptions options = Faulty("unlimited");
  options.run.machine.canary = base::Canary::kInheritanceSwapped;
  const CampaignResult result = RunCampaign(options);
  ASSERT_TRUE(result.run.failure);
  EXPECT_EQ(result.run.failure->print.rule, "AttributesAgree");
}

}  // namespace
}  // namespace proptests
