#include "proptests/engine/emit.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/canary.h"
#include "fake_l4/decision_list.h"
#include "machine/machine.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/generator.h"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"
#include "traces/codec.h"

namespace proptests {
namespace {

FailureReport Report() {
  FailureReport report;
  report.failure = {{FailureClass::kContents, "ContentsAgree"},
                    "s1 page 0x1000: byte 0x0 is 0x41\nsecond line",
                    1};
  traces::Op space;
  space.child = 1;
  traces::Op write;
  write.kind = traces::OpKind::kWrite;
  write.task = {1, false};
  write.at = traces::At(0x1000);
  write.size = 1;
  write.value = 'A';
  report.ops = {{space, std::nullopt}, {write, std::nullopt}};
  traces::Outcome ok;
  ok.family = traces::Outcome::Family::kErrno;
  traces::Outcome done;
  done.family = traces::Outcome::Family::kFault;
  report.outcomes = {ok, done};
  report.origin = "seed 7, case 3";
  report.replay = "./vmsim replay failure_contents_agree.trace";
  return report;
}

TEST(EmitTest, TheFileNameSaysTheRule) {
  FailureReport report = Report();
  EXPECT_EQ(SuggestedFileName(report), "failure_contents_agree.trace");
  report.failure.print.rule = "OutcomesAgree(vm_protect)";
  EXPECT_EQ(SuggestedFileName(report), "failure_outcomes_agree_vm_protect.trace");
  report.failure.print.rule = "NoCheckFails(slot < amap->slot_count)";
  EXPECT_EQ(SuggestedFileName(report), "failure_no_check_fails_slot_amap_slot_count.trace");
}

TEST(EmitTest, TheTraceCarriesItsStory) {
  FailureReport report = Report();
  std::string text = traces::FormatTrace(FailureTrace(report, SuggestedFileName(report)));
  EXPECT_EQ(
      text,
      "# failure_contents_agree.trace: fails with contents: ContentsAgree   from: seed 7, case 3\n"
      "# s1 page 0x1000: byte 0x0 is 0x41\n"
      "# second line\n"
      "# Show it again: ./vmsim replay failure_contents_agree.trace\n"
      "s1 = space -> ok\n"
      "s1.write 0x1000 1 'A' -> ok  # contents: ContentsAgree\n");
}

TEST(EmitTest, TheTestCaseIsReadyToPaste) {
  std::string text = GoogleTestCase(Report());
  EXPECT_NE(text.find("TEST(ShrunkTest, ContentsAgree) {\n  "
                      "EXPECT_EQ(proptests::RunTraceText(R\"trace(# failure_"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(")trace\"),\n            \"pass\");\n}\n"), std::string::npos) << text;
}

TEST(EmitTest, TheTestCaseHasItsMachine) {
  FailureReport report = Report();
  report.run.machine.schedule = machine::Schedule::kPct;
  report.run.machine.seed = 77;
  report.run.machine.quirks = *machine::FindQuirks("pistachio-new-mdb");
  report.run.machine.canary = base::Canary::kZeroFillSkipped;
  report.run.memory_may_run_out = true;
  report.run.machine.ram_bytes = 4096000;
  fake_l4::DecisionList list;
  list.total = 3;
  list.deviations.push_back({1, 2, 0x4000000001});
  report.run.machine.decisions = std::make_shared<const fake_l4::DecisionList>(list);
  const std::string text = GoogleTestCase(report);
  EXPECT_NE(text.find("  proptests::RunOptions run;\n"
                      "  run.machine.schedule = machine::Schedule::kPct;\n"
                      "  run.machine.seed = 77u;\n"
                      "  run.machine.quirks = *machine::FindQuirks(\"pistachio-new-mdb\");\n"
                      "  run.machine.ram_bytes = 4096000;\n"
                      "  run.memory_may_run_out = true;\n"
                      "  EXPECT_EQ("),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("# schedule at 1 of 2 run 0x4000000001\n)trace\", run),\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("canary"), std::string::npos);
  // What is written is read.
  const traces::Trace trace = FailureTrace(report, "x.trace");
  const auto again = traces::ParseTrace(traces::FormatTrace(trace), "x.trace");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ScheduleOfTrace(*again), list);
  RunOptions run = report.run;
  run.machine.decisions = nullptr;
  FollowScheduleOf(*again, &run);
  EXPECT_EQ(*run.machine.decisions, list);
}

// Before the fix the test case fails, on the machine that it takes, and after it it passes.
TEST(EmitTest, TheTestCaseFailsBeforeTheFix) {
  CampaignOptions options;
  options.ops = 20000;
  options.case_ops = 300;
  options.run.machine.canary = base::Canary::kInheritanceSwapped;
  options.run.machine.schedule = machine::Schedule::kRandom;
  const CampaignResult result = RunCampaign(options);
  ASSERT_TRUE(result.run.failure);
  FailureReport report;
  report.files = Generator(CaseOptions(options, 0)).files();
  const ShrinkOutcome shrunk =
      ShrinkRun(OpsOfFailure(options, result), report.files,
                CaseRunOptions(options, result.failing_case), *result.run.failure);
  EXPECT_TRUE(shrunk.shrunk.minimal);
  report.failure = shrunk.shrunk.failure;
  report.ops = shrunk.shrunk.smallest.ops;
  report.outcomes = shrunk.outcomes;
  report.run = shrunk.run;
  const std::string text = traces::FormatTrace(FailureTrace(report, "x.trace"));
  RunOptions before = report.run;
  before.max_live_tasks = 0;
  EXPECT_EQ(RunTraceText(text, before).rfind(FingerprintText(report.failure.print), 0), 0u);
  RunOptions after = before;
  after.machine.canary = base::Canary::kNone;
  EXPECT_EQ(RunTraceText(text, after), "pass");
}

}  // namespace
}  // namespace proptests
