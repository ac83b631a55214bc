#include "proptests/engine/emit.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace proptests
