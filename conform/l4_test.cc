// Recorded sequences on the simulated kernel: literal ones that agree, and literal ones with one
// observation falsified that must not.
#include "conform/l4.h"

#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "conform/recording.h"
#include "fake_l4/quirks.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

// Two spaces, four pages, all probed.
Recording Sequence1(const std::string& lines) {
  const std::string text = absl::StrCat(
      "# suite=0 spaces=2 vbase=40000000 wlog=14 nseq=1 nops=1\n"
      "# probes: 0 1 2 3\n"
      "seq 0 seed=0\n"
      "st 0 | 0w 1w 2w 3w | - - - -\n",
      lines);
  absl::StatusOr<Recording> r = ParseRecording("t", text);
  EXPECT_TRUE(r.ok()) << r.status();
  return r.ok() ? *r : Recording{};
}

// "" when all agrees, else the first disagreement.
std::string Verdict(const std::string& lines) {
  const Outcome r = RunRecording(Sequence1(lines), fake_l4::kManualRules);
  return r.first.has_value() ? ToString(*r.first, "t") : "";
}

constexpr char kMapOnePage[] =
    "op 1 ipc src=0 dst=1 rcv=400020c0 map=00000000:400010c7\n"
    "ret 1 stag=00000080 serr=00000000 rtag=00000080 rerr=00000000 mr=00000008,400010c7\n"
    "st 1 | 0w 1w 2w 3w | - - 1w -\n";

TEST(L4Test, MapPutsTheSendersFrameIntoTheWindow) { EXPECT_EQ(Verdict(kMapOnePage), ""); }

TEST(L4Test, SendBaseSelectsWithinTheLargerSide) {
  EXPECT_EQ(Verdict("op 1 ipc src=0 dst=1 rcv=400000e0 map=00003000:400010c7\n"
                    "ret 1 stag=00000080 serr=00000000 rtag=00000080 rerr=00000000 "
                    "mr=00003008,400010c7\n"
                    "st 1 | 0w 1w 2w 3w | - - - 1w\n"
                    "op 2 ipc src=0 dst=1 rcv=400000c0 map=40002000:400000e7\n"
                    "ret 2 stag=00000080 serr=00000000 rtag=00000080 rerr=00000000 "
                    "mr=40002008,400000e7\n"
                    "st 2 | 0w 1w 2w 3w | 2w - - 1w\n"),
            "");
}

TEST(L4Test, TheItemsRightsLimitTheReceiver) {
  EXPECT_EQ(Verdict("op 1 ipc src=0 dst=1 rcv=400000d0 map=00000000:400020d4\n"
                    "ret 1 stag=00000080 serr=00000000 rtag=00000080 rerr=00000000 "
                    "mr=00000008,400020d4\n"
                    "st 1 | 0w 1w 2w 3w | 2r 3r - -\n"
                    "op 2 touch sp=1 page=0 acc=r\n"
                    "ret 2 ok frame=2\n"
                    "st 2 | 0w 1w 2w 3w | 2r 3r - -\n"
                    "op 3 touch sp=1 page=0 acc=w\n"
                    "ret 3 fault=2\n"
                    "st 3 | 0w 1w 2w 3w | 2r 3r - -\n"
                    "op 4 touch sp=1 page=3 acc=r\n"
                    "ret 4 fault=5\n"
                    "st 4 | 0w 1w 2w 3w | 2r 3r - -\n"
                    "op 5 touch sp=0 page=3 acc=rw\n"
                    "ret 5 ok\n"
                    "st 5 | 0w 1w 2w 3w | 2r 3r - -\n"),
            "");
}

TEST(L4Test, ASecondMapFromTheSameSourceExtendsRights) {
  EXPECT_EQ(
      Verdict("op 1 ipc src=0 dst=1 rcv=400000c0 map=00000000:400010c4 map=00000000:400010c6\n"
              "ret 1 stag=00000100 serr=00000000 rtag=00000100 rerr=00000000 "
              "mr=00000009,400010c4,00000008,400010c6\n"
              "st 1 | 0w 1w 2w 3w | 1w - - -\n"),
      "");
}

TEST(L4Test, UnmapTakesBackWhatWasDerivedAndFlushTheOwnPageToo) {
  EXPECT_EQ(Verdict(absl::StrCat(kMapOnePage,
                                 "op 2 unmap sp=0 flush=0 fp=400010c2\n"
                                 "ret 2 fp=400010c0\n"
                                 "st 2 | 0w 1w 2w 3w | - - 1r -\n"
                                 "op 3 touch sp=1 page=2 acc=r\n"
                                 "ret 3 ok frame=1\n"
                                 "st 3 | 0w 1w 2w 3w | - - 1r -\n"
                                 "op 4 unmap sp=0 flush=0 fp=400010c7\n"
                                 "ret 4 fp=400010c5\n"
                                 "st 4 | 0w 1w 2w 3w | - - - -\n"
                                 "op 5 unmap sp=0 flush=1 fp=400000d7 fp=400030c2\n"
                                 "ret 5 fp=400000d0 fp=400030c0\n"
                                 "st 5 | - - 2w 3r | - - - -\n")),
            "");
}

TEST(L4Test, ANilWindowOverflows) {
  EXPECT_EQ(Verdict("op 1 ipc src=0 dst=1 rcv=00000000 map=00000000:400010c7\n"
                    "ret 1 stag=00008080 serr=00000008 rtag=00008080 rerr=00000009 "
                    "mr=00000000,00000000\n"
                    "st 1 | 0w 1w 2w 3w | - - - -\n"),
            "");
}

TEST(L4Test, ASpaceMapsToItself) {
  EXPECT_EQ(Verdict("op 1 unmap sp=0 flush=1 fp=400030c7\n"
                    "ret 1 fp=400030c0\n"
                    "st 1 | 0w 1w 2w - | - - - -\n"
                    "op 2 ipc src=0 dst=0 rcv=400030c0 map=00000000:400000c5\n"
                    "ret 2 stag=00000080 serr=00000000 rtag=00000080 rerr=00000000 "
                    "mr=00000008,400000c5\n"
                    "st 2 | 0w 1w 2w 0r | - - - -\n"),
            "");
}

// ---- What is compared: each field, falsified once, must be noticed ----

struct Falsified {
  const char* change;
  const char* to;
  const char* disagreement;
};

class FalsifiedTest : public testing::TestWithParam<Falsified> {};

constexpr char kObserved[] =
    "op 1 ipc src=0 dst=1 rcv=400020c0 map=00000000:400010c7\n"
    "ret 1 stag=00000080 serr=00000000 rtag=00000080 rerr=00000000 mr=00000008,400010c7\n"
    "st 1 | 0w 1w 2w 3w | - - 1w -\n"
    "op 2 touch sp=1 page=2 acc=r\n"
    "ret 2 ok frame=1\n"
    "st 2 | 0w 1w 2w 3w | - - 1w -\n"
    "op 3 touch sp=1 page=0 acc=r\n"
    "ret 3 fault=5\n"
    "st 3 | 0w 1w 2w 3w | - - 1w -\n"
    "op 4 unmap sp=0 flush=0 fp=400010c2\n"
    "ret 4 fp=400010c5\n"
    "st 4 | 0w 1w 2w 3w | - - 1r -\n";

TEST(FalsifiedTest, TheObservationsAreRightAsTheyStand) { EXPECT_EQ(Verdict(kObserved), ""); }

TEST_P(FalsifiedTest, IsNoticed) {
  const std::string text = kObserved;
  ASSERT_NE(text.find(GetParam().change), std::string::npos);
  EXPECT_EQ(Verdict(absl::StrReplaceAll(text, {{GetParam().change, GetParam().to}})),
            GetParam().disagreement);
}

INSTANTIATE_TEST_SUITE_P(
    EachField, FalsifiedTest,
    testing::Values(
        Falsified{
            "stag=00000080", "stag=00000100",
            "t:5: sequence 0 op 1 (ipc src=0 dst=1 rcv=400020c0 map=00000000:400010c7): stag: "
            "recorded 00000100, ours 00000080"},
        Falsified{
            "serr=00000000", "serr=00000008",
            "t:5: sequence 0 op 1 (ipc src=0 dst=1 rcv=400020c0 map=00000000:400010c7): serr: "
            "recorded 00000008, ours 00000000"},
        Falsified{
            "rtag=00000080", "rtag=00008080",
            "t:5: sequence 0 op 1 (ipc src=0 dst=1 rcv=400020c0 map=00000000:400010c7): rtag: "
            "recorded 00008080, ours 00000080"},
        Falsified{
            "rerr=00000000", "rerr=00000009",
            "t:5: sequence 0 op 1 (ipc src=0 dst=1 rcv=400020c0 map=00000000:400010c7): rerr: "
            "recorded 00000009, ours 00000000"},
        Falsified{
            "mr=00000008,400010c7", "mr=00000008,400020c7",
            "t:5: sequence 0 op 1 (ipc src=0 dst=1 rcv=400020c0 map=00000000:400010c7): mr of "
            "MR2: recorded 400020c7, ours 400010c7"},
        Falsified{
            "st 1 | 0w 1w 2w 3w | - - 1w -", "st 1 | 0w 1w 2w 3w | - - 1r -",
            "t:5: sequence 0 op 1 (ipc src=0 dst=1 rcv=400020c0 map=00000000:400010c7): access "
            "of space 1 page 2: recorded 1r, ours 1w"},
        Falsified{
            "st 1 | 0w 1w 2w 3w | - - 1w -", "st 1 | 0w 1w 2w 3w | - - 2w -",
            "t:5: sequence 0 op 1 (ipc src=0 dst=1 rcv=400020c0 map=00000000:400010c7): frame "
            "of space 1 page 2: recorded 2w, ours 1w"},
        Falsified{"ret 2 ok frame=1", "ret 2 ok frame=0",
                  "t:8: sequence 0 op 2 (touch sp=1 page=2 acc=r): frame: recorded 0, ours 1"},
        Falsified{"ret 2 ok frame=1", "ret 2 fault=5",
                  "t:8: sequence 0 op 2 (touch sp=1 page=2 acc=r): ok: recorded fault, ours ok"},
        Falsified{"ret 3 fault=5", "ret 3 fault=4",
                  "t:11: sequence 0 op 3 (touch sp=1 page=0 acc=r): fault: recorded 4, ours 5"},
        Falsified{"ret 4 fp=400010c5", "ret 4 fp=400020c5",
                  "t:14: sequence 0 op 4 (unmap sp=0 flush=0 fp=400010c2): fp of MR0: recorded "
                  "400020c0, ours 400010c0"},
        Falsified{"ret 4 fp=400010c5", "ret 4 fp=400010c7",
                  "t:14: sequence 0 op 4 (unmap sp=0 flush=0 fp=400010c2): status of MR0: recorded "
                  "7, ours 5"}));

TEST(L4Test, AWrongResetStateIsADisagreementOfTheFirstStep) {
  absl::StatusOr<Recording> r = ParseRecording(
      "t", absl::StrCat("# suite=0 spaces=2 vbase=40000000 wlog=14 nseq=1 nops=1\n"
                        "# probes: 0 1 2 3\nseq 0 seed=0\nst 0 | 0w 1w 2w - | - - - -\n",
                        kMapOnePage));
  ASSERT_TRUE(r.ok());
  const Outcome result = RunRecording(*r, fake_l4::kManualRules);
  EXPECT_EQ(result.agree, 0u);
  EXPECT_EQ(result.disagreements, 1u);
  ASSERT_TRUE(result.first.has_value());
  EXPECT_EQ(ToString(*result.first, "t"),
            "t:3: sequence 0 op 0 (reset): access of space 0 page 3: recorded -, ours 3w");
}

TEST(L4Test, PageStatesAloneLeaveReturnsOut) {
  const Recording r =
      Sequence1(absl::StrReplaceAll(kObserved, {{"ret 3 fault=5", "ret 3 fault=4"}}));
  EXPECT_EQ(RunRecording(r, fake_l4::kManualRules).agree, 2u);
  EXPECT_EQ(RunRecording(r, fake_l4::kManualRules, Scope::kPageStates).agree, 4u);
}

// ---- What is not compared is counted ----

TEST(L4Test, AfterADisagreementNothingIsCompared) {
  const Outcome r = RunRecording(
      Sequence1(absl::StrReplaceAll(kObserved, {{"ret 2 ok frame=1", "ret 2 ok frame=0"}})),
      fake_l4::kManualRules);
  EXPECT_EQ(r.steps, 4u);
  EXPECT_EQ(r.agree, 1u);
  EXPECT_EQ(r.disagreements, 1u);
  EXPECT_EQ(r.after_difference, 2u);
  EXPECT_EQ(r.by_field, (absl::btree_map<std::string, uint64_t>{{"frame", 1}}));
}

TEST(L4Test, AGrantMovesThePage) {
  const Outcome r = RunRecording(
      Sequence1(absl::StrCat(
          kMapOnePage,
          "op 2 ipc src=0 dst=1 rcv=400000c0 map=00000000:400010c4 grant=00000000:400020c7\n"
          "ret 2 stag=00000100 serr=00000000 rtag=00000100 rerr=00000000 "
          "mr=00000009,400010c4,0000000a,400020c7\n"
          "st 2 | 0w 1w - 3w | 2w - 1w -\n"
          "op 3 touch sp=1 page=2 acc=r\n"
          "ret 3 ok frame=1\n"
          "st 3 | 0w 1w - 3w | 2w - 1w -\n")),
      fake_l4::kManualRules);
  EXPECT_EQ(r.agree, 3u);
  EXPECT_EQ(r.disagreements, 0u);
}

TEST(L4Test, EveryFieldIsInTheReadme) {
  std::ifstream in("conform/README.md");
  const std::string readme((std::istreambuf_iterator<char>(in)), {});
  ASSERT_FALSE(readme.empty());
  for (const FieldRule& rule : FieldTable()) {
    const std::string row =
        absl::StrCat("| `", rule.line, "` | ", rule.field, " | ",
                     rule.compared == Compared::kYes ? "yes" : "no", " | ", rule.reason, " |\n");
    EXPECT_NE(readme.find(row), std::string::npos) << row;
  }
}

}  // namespace
}  // namespace conform
