#include "proptests/engine/linearize.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "traces/codec.h"

namespace proptests {
namespace {

// Histories are written as the lines of a trace; "@ thread begin end" in the comment says when.
class LinearizeTest : public ::testing::Test {
 protected:
  LinearizeTest() : linearizer_({}) {}

  static std::vector<HistoryOp> Parse(const std::string& text) {
    auto trace = traces::ParseTrace(absl::StrCat("# history: by hand\n", text), "history");
    EXPECT_TRUE(trace.ok()) << trace.status();
    std::vector<HistoryOp> history;
    for (const traces::Line& line : trace->lines) {
      HistoryOp op;
      op.op = Resolved(line.op);
      op.outcome = *line.expected;
      op.cut_short = op.outcome.family == traces::Outcome::Family::kNone;
      const int fields =
          std::sscanf(line.comment.c_str(), "@ %u %lu %lu", &op.thread, &op.invoked, &op.responded);
      if (fields != 3) op.invoked = op.responded = 0;
      if (op.cut_short) op.responded = HistoryOp::kNever;
      history.push_back(op);
    }
    return history;
  }

  // All operands are absolute.
  static traces::ResolvedOp Resolved(const traces::Op& op) {
    traces::ResolvedOp resolved;
    resolved.kind = op.kind;
    resolved.task = op.task.number;
    resolved.thread = op.thread;
    resolved.child = op.child;
    resolved.at = op.at.offset;
    resolved.to = op.to.offset;
    resolved.size = op.size;
    resolved.new_size = op.new_size;
    resolved.prot = op.prot;
    resolved.inherit = op.inherit;
    resolved.flags = op.flags;
    resolved.value = op.value;
    if (op.file != 0) resolved.file_key = traces::KeyOfName("f");
    resolved.offset = op.offset;
    return resolved;
  }

  // Two tasks with the same two pages at 0x1000, which read as zeros.
  void BeginShared() {
    linearizer_.Begin(
        Parse("s1 = space -> ok\n"
              "s1.mmap 0x1000 0x2000 rw- private,fixed -> 0x1000\n"
              "s1.minherit 0x1000 0x2000 share -> ok\n"
              "s2 = s1.fork -> ok\n"));
  }

  Verdict Check(const std::string& text) { return linearizer_.Check(Parse(text)); }

  Linearizer linearizer_;
};

TEST_F(LinearizeTest, WhatHappenedOneAfterTheOtherIs) {
  BeginShared();
  EXPECT_EQ(Check("s1.write 0x1000 8 'a' -> ok # @ 0 1 2\n"
                  "s2.read 0x1000 8 -> 'a' # @ 1 3 4\n")
                .atomicity,
            Atomicity::kWhole);
}

TEST_F(LinearizeTest, AnOldValueAfterTheStoreHasEndedIsNot) {
  BeginShared();
  const Verdict verdict = Check(
      "s1.write 0x1000 8 'a' -> ok # @ 0 1 2\n"
      "s2.read 0x1000 8 -> 0x0 # @ 1 3 4\n");
  EXPECT_EQ(verdict.atomicity, Atomicity::kNone);
  EXPECT_EQ(verdict.group, PageGroup({0x1000}));
  EXPECT_EQ(verdict.of_group.longest.size(), 1u);
  EXPECT_NE(verdict.of_group.why.find("s2.read 0x1000 8"), std::string::npos)
      << verdict.of_group.why;
}

TEST_F(LinearizeTest, WhileTheStoreLastsBothValuesAreRight) {
  BeginShared();
  for (const char* value : {"0x0", "'a'"}) {
    EXPECT_EQ(Check(absl::StrCat("s1.write 0x1000 8 'a' -> ok # @ 0 1 4\n"
                                 "s2.read 0x1000 8 -> ",
                                 value, " # @ 1 2 3\n"))
                  .atomicity,
              Atomicity::kWhole);
  }
}

// Outcome none: it was cut short when its thread was ended.
TEST_F(LinearizeTest, WhatWasCutShortIsDoneOrNot) {
  BeginShared();
  for (const char* value : {"0x0", "'a'"}) {
    EXPECT_EQ(Check(absl::StrCat("s1.write 0x1000 8 'a' -> none # @ 0 1 0\n"
                                 "s2.read 0x1000 8 -> ",
                                 value, " # @ 1 2 3\n"))
                  .atomicity,
              Atomicity::kWhole)
        << value;
  }
  // Neither before it began, nor what it was not to write, nor undone.
  EXPECT_EQ(Check("s2.read 0x1000 8 -> 'a' # @ 1 1 2\n"
                  "s1.write 0x1000 8 'a' -> none # @ 0 3 0\n")
                .atomicity,
            Atomicity::kNone);
  EXPECT_EQ(Check("s1.write 0x1000 8 'a' -> none # @ 0 1 0\n"
                  "s2.read 0x1000 8 -> 'b' # @ 1 2 3\n")
                .atomicity,
            Atomicity::kNone);
  EXPECT_EQ(Check("s1.write 0x1000 8 'a' -> none # @ 0 1 0\n"
                  "s2.read 0x1000 8 -> 'a' # @ 1 2 3\n"
                  "s2.read 0x1000 8 -> 0x0 # @ 1 4 5\n")
                .atomicity,
            Atomicity::kNone);
}

TEST_F(LinearizeTest, AThreadDoesNothingAfterItsEnd) {
  linearizer_.Begin(
      Parse("s1 = space -> ok\n"
            "s1.mmap 0x1000 0x2000 rw- private,fixed -> 0x1000\n"
            "s1.thread_create -> 1\n"));
  EXPECT_EQ(Check("s1.thread_end 1 -> ok # @ 0 1 2\n"
                  "s1/1.write 0x1000 8 'a' -> ok # @ 1 3 4\n")
                .atomicity,
            Atomicity::kNone);
  EXPECT_EQ(Check("s1.thread_end 1 -> ok # @ 0 1 4\n"
                  "s1/1.write 0x1000 8 'a' -> ok # @ 1 2 3\n"
                  "s1.read 0x1000 8 -> 'a' # @ 0 5 6\n")
                .atomicity,
            Atomicity::kWhole);
}

TEST_F(LinearizeTest, AValueMustNotRunBackwards) {
  BeginShared();
  EXPECT_EQ(Check("s1.write 0x1000 8 'a' -> ok # @ 0 1 8\n"
                  "s2.read 0x1000 8 -> 'a' # @ 1 2 3\n"
                  "s2.read 0x1000 8 -> 0x0 # @ 1 4 5\n")
                .atomicity,
            Atomicity::kNone);
}

TEST_F(LinearizeTest, TheOrderOfEndsNeedNotBeTheOrder) {
  BeginShared();
  // The read ends first and must come last.
  EXPECT_EQ(Check("s1.write 0x1000 8 'a' -> ok # @ 0 1 10\n"
                  "s1.write 0x1000 8 'b' -> ok # @ 2 2 9\n"
                  "s2.read 0x1000 8 -> 'a' # @ 1 3 4\n"
                  "s2.read 0x1000 8 -> 'b' # @ 1 5 6\n")
                .atomicity,
            Atomicity::kWhole);
  EXPECT_EQ(Check("s1.write 0x1000 8 'a' -> ok # @ 0 1 10\n"
                  "s1.write 0x1000 8 'b' -> ok # @ 2 2 9\n"
                  "s2.read 0x1000 8 -> 'a' # @ 1 3 4\n"
                  "s2.read 0x1000 8 -> 'b' # @ 1 5 6\n"
                  "s2.read 0x1000 8 -> 'a' # @ 1 7 8\n")
                .atomicity,
            Atomicity::kNone);
}

TEST_F(LinearizeTest, InLikelyOrderTheFirstToHaveEndedThatIsRightComesNext) {
  // 2 ended first, and is not right before 1; 3 began after both had ended.
  const std::vector<HistoryOp> history = Parse(
      "s1.write 0x1000 8 1 -> ok # @ 0 1 9\n"
      "s1.write 0x1000 8 2 -> ok # @ 1 2 4\n"
      "s1.write 0x1000 8 3 -> ok # @ 2 10 11\n");
  std::vector<uint64_t> asked;
  bool first_was_done = false;
  EXPECT_TRUE(InLikelyOrder(history, [&](const HistoryOp& op) {
    asked.push_back(op.op.value);
    first_was_done |= op.op.value == 1;
    return op.op.value != 2 || first_was_done;
  }));
  EXPECT_EQ(asked, (std::vector<uint64_t>{2, 1, 2, 3}));
  asked.clear();
  // Nobody looks back, and nothing that began later comes before what is refused.
  EXPECT_FALSE(InLikelyOrder(history, [&](const HistoryOp& op) {
    asked.push_back(op.op.value);
    return op.op.value == 1;
  }));
  EXPECT_EQ(asked, (std::vector<uint64_t>{2, 1, 2}));
}

TEST_F(LinearizeTest, TheLikelyOrderComesBeforeThatOfEnds) {
  std::vector<HistoryOp> history = Parse(
      "s1.write 0x1000 8 1 -> ok # @ 0 1 9\n"
      "s1.write 0x1000 8 2 -> ok # @ 1 2 4\n"
      "s1.write 0x1000 8 3 -> ok # @ 2 10 11\n");
  history[0].likely_at = 5;
  history[1].likely_at = 7;
  history[2].likely_at = 3;  // which cannot be: it began when both had ended
  std::vector<uint64_t> asked;
  EXPECT_TRUE(InLikelyOrder(history, [&](const HistoryOp& op) {
    asked.push_back(op.op.value);
    return true;
  }));
  EXPECT_EQ(asked, (std::vector<uint64_t>{1, 2, 3}));
}

// A likely order that is wrong costs a search, and nothing else.
TEST_F(LinearizeTest, WhatIsLikelyDecidesNothing) {
  BeginShared();
  for (uint64_t first : {3, 1}) {
    std::vector<HistoryOp> history = Parse(
        "s1.write 0x1000 8 'a' -> ok # @ 0 1 10\n"
        "s1.write 0x1000 8 'b' -> ok # @ 1 2 9\n"
        "s2.read 0x1000 8 -> 'a' # @ 2 11 12\n");
    history[0].likely_at = first;
    history[1].likely_at = 2;
    history[2].likely_at = 4;
    EXPECT_EQ(linearizer_.Check(history).atomicity, Atomicity::kWhole) << first;
    history[2].outcome.value = 'c';
    EXPECT_EQ(linearizer_.Check(history).atomicity, Atomicity::kNone) << first;
  }
}

TEST_F(LinearizeTest, WhatWasJudgedIsKnownAgain) {
  BeginShared();
  const std::string story =
      "s1.write 0x1000 8 'a' -> ok # @ 0 1 10\n"
      "s1.write 0x1000 8 'b' -> ok # @ 1 2 9\n"
      "s2.read 0x1000 8 -> 'b' # @ 2 11 12\n";
  EXPECT_FALSE(linearizer_.Known(Parse(story)));
  EXPECT_EQ(Check(story).whole.order, (std::vector<uint32_t>{0, 1, 2}));
  // Other times, in another order of lines, and the same had ended before each began.
  const auto known =
      linearizer_.Known(Parse("s1.write 0x1000 8 'b' -> ok # @ 1 1 8\n"
                              "s1.write 0x1000 8 'a' -> ok # @ 0 3 7\n"
                              "s2.read 0x1000 8 -> 'b' # @ 2 20 30\n"));
  ASSERT_TRUE(known);
  EXPECT_EQ(known->atomicity, Atomicity::kWhole);
  EXPECT_EQ(known->whole.order, (std::vector<uint32_t>{1, 0, 2}));
  for (const char* other : {
           // The read began before the second store had ended.
           "s1.write 0x1000 8 'a' -> ok # @ 0 1 10\n"
           "s1.write 0x1000 8 'b' -> ok # @ 1 2 12\n"
           "s2.read 0x1000 8 -> 'b' # @ 2 11 13\n",
           // Another outcome, another operation, one more, another thread.
           "s1.write 0x1000 8 'a' -> ok # @ 0 1 10\n"
           "s1.write 0x1000 8 'b' -> ok # @ 1 2 9\n"
           "s2.read 0x1000 8 -> 'a' # @ 2 11 12\n",
           "s1.write 0x1000 8 'c' -> ok # @ 0 1 10\n"
           "s1.write 0x1000 8 'b' -> ok # @ 1 2 9\n"
           "s2.read 0x1000 8 -> 'b' # @ 2 11 12\n",
           "s1.write 0x1000 8 'a' -> ok # @ 0 1 10\n"
           "s1.write 0x1000 8 'b' -> ok # @ 1 2 9\n"
           "s2.read 0x1000 8 -> 'b' # @ 2 11 12\n"
           "s2.read 0x1000 8 -> 'b' # @ 2 13 14\n",
           "s1.write 0x1000 8 'a' -> ok # @ 0 1 10\n"
           "s1.write 0x1000 8 'b' -> ok # @ 1 2 9\n"
           "s2.read 0x1000 8 -> 'b' # @ 3 11 12\n",
       }) {
    EXPECT_FALSE(linearizer_.Known(Parse(other))) << other;
  }
  // What has no order is not remembered, and nothing is for another program.
  const std::string wrong =
      "s1.write 0x1000 8 'a' -> ok # @ 0 1 2\n"
      "s2.read 0x1000 8 -> 0x0 # @ 1 3 4\n";
  EXPECT_EQ(Check(wrong).atomicity, Atomicity::kNone);
  EXPECT_FALSE(linearizer_.Known(Parse(wrong)));
  BeginShared();
  EXPECT_FALSE(linearizer_.Known(Parse(story)));
}

TEST_F(LinearizeTest, WhatOverlapsOnOtherPagesCommutes) {
  const auto pairs = [](const std::string& text) { return CommutingPairs({}, Parse(text)); };
  using Bits = std::vector<uint64_t>;
  EXPECT_EQ(pairs("s1.write 0x1000 8 'a' -> ok # @ 0 1 9\n"
                  "s2.write 0x2000 8 'b' -> ok # @ 1 2 8\n"
                  "s2.read 0x1000 8 -> 0x0 # @ 2 3 7\n"
                  "s3.read 0x1008 8 -> 0x0 # @ 3 4 6\n"),
            (Bits{0b0010, 0b1101, 0b1010, 0b0110}));
  // Those of which one had ended never have to be put into an order.
  EXPECT_EQ(pairs("s1.write 0x1000 8 'a' -> ok # @ 0 1 2\n"
                  "s2.write 0x2000 8 'b' -> ok # @ 1 3 4\n"),
            (Bits{0, 0}));
  // A move is about both its pages, a fork about all.
  EXPECT_EQ(pairs("s1.vm_copy 0x1000 0x1000 0x2000 -> ok # @ 0 1 9\n"
                  "s2.write 0x1000 8 'b' -> ok # @ 1 2 8\n"
                  "s3.write 0x2000 8 'b' -> ok # @ 2 3 7\n"
                  "s4.write 0x3000 8 'b' -> ok # @ 3 4 6\n"
                  "s9 = s5.fork -> ok # @ 4 1 9\n"),
            (Bits{0b01000, 0b01100, 0b01010, 0b00111, 0}));
  // One page of a file at two addresses, and what a mapping that moves takes along.
  EXPECT_EQ(pairs("s1.mmap 0x1000 0x1000 rw- shared,fixed file f 0 -> 0x1000 # @ 0 1 2\n"
                  "s1.mmap 0x5000 0x1000 rw- shared,fixed file f 0 -> 0x5000 # @ 0 3 4\n"
                  "s1.write 0x1000 8 'a' -> ok # @ 0 5 9\n"
                  "s2.write 0x5000 8 'b' -> ok # @ 1 6 8\n"),
            (Bits{0, 0, 0, 0}));
  EXPECT_EQ(pairs("s1.mremap 0x1000 0x1000 0x5000 0x1000 fixed -> 0x5000 # @ 0 1 2\n"
                  "s1.write 0x1000 8 'a' -> ok # @ 0 5 9\n"
                  "s2.write 0x5000 8 'b' -> ok # @ 1 6 8\n"
                  "s2.write 0x7000 8 'b' -> ok # @ 2 6 8\n"),
            (Bits{0, 0b1000, 0b1000, 0b0110}));
}

TEST_F(LinearizeTest, CallsOnSeveralPagesAreAtomicForEachPage) {
  BeginShared();
  // The second page is gone when the first one still is there, and the other way round at once.
  const char* kTorn =
      "s1.munmap 0x1000 0x2000 -> ok # @ 0 1 10\n"
      "s1.read 0x2000 8 -> SEGV_MAPERR 0x2000 # @ 1 2 3\n"
      "s1.read 0x1000 8 -> 0x0 # @ 1 4 5\n";
  EXPECT_EQ(Check(kTorn).atomicity, Atomicity::kPageByPage);
  // One page alone does not come back.
  EXPECT_EQ(Check("s1.munmap 0x1000 0x2000 -> ok # @ 0 1 10\n"
                  "s1.read 0x1000 8 -> SEGV_MAPERR 0x1000 # @ 1 2 3\n"
                  "s1.read 0x1000 8 -> 0x0 # @ 1 4 5\n")
                .atomicity,
            Atomicity::kNone);
}

TEST_F(LinearizeTest, AForkIsASnapshotOfEachPage) {
  linearizer_.Begin(
      Parse("s1 = space -> ok\n"
            "s1.mmap 0x1000 0x2000 rw- private,fixed -> 0x1000\n"));
  EXPECT_EQ(Check("s2 = s1.fork -> ok # @ 0 1 4\n"
                  "s1.write 0x1000 8 'a' -> ok # @ 1 2 3\n"
                  "s2.read 0x1000 8 -> 0x0 # @ 0 5 6\n")
                .atomicity,
            Atomicity::kWhole);
  EXPECT_EQ(Check("s2 = s1.fork -> ok # @ 0 1 2\n"
                  "s1.write 0x1000 8 'a' -> ok # @ 1 3 4\n"
                  "s2.read 0x1000 8 -> 'a' # @ 0 5 6\n")
                .atomicity,
            Atomicity::kNone);
}

TEST_F(LinearizeTest, PagesBetweenWhichContentsMoveAreJudgedTogether) {
  BeginShared();
  const Verdict verdict = Check(
      "s1.mremap 0x1000 0x1000 0x5000 0x1000 fixed -> 0x5000 # @ 0 1 2\n"
      "s1.read 0x1000 8 -> 0x0 # @ 1 3 4\n");
  EXPECT_EQ(verdict.atomicity, Atomicity::kNone);
  EXPECT_EQ(verdict.group, PageGroup({0x1000, 0x5000}));
}

// Two pages are torn, a third and a fourth have moved as they should.
constexpr char kTornApart[] =
    "s1.munmap 0x1000 0x2000 -> ok # @ 0 1 10\n"
    "s1.read 0x2000 8 -> SEGV_MAPERR 0x2000 # @ 1 2 3\n"
    "s1.read 0x1000 8 -> 0x0 # @ 1 4 5\n";

TEST_F(LinearizeTest, AMoveElsewhereDoesNotKeepPagesFromBeingCut) {
  linearizer_.Begin(
      Parse("s1 = space -> ok\n"
            "s1.mmap 0x1000 0x4000 rw- private,fixed -> 0x1000\n"));
  const std::string moved = absl::StrCat(kTornApart,
                                         "s1.write 0x3000 8 'x' -> ok # @ 2 6 7\n"
                                         "s1.send 0x3000 0x1000 -> 4096 # @ 2 8 9\n"
                                         "s1.receive 0x4000 0x1000 -> 4096 # @ 2 11 12\n");
  EXPECT_EQ(Check(absl::StrCat(moved, "s1.read 0x4000 8 -> 'x' # @ 2 13 14\n")).atomicity,
            Atomicity::kPageByPage);
  const Verdict lost = Check(absl::StrCat(moved, "s1.read 0x4000 8 -> 0x0 # @ 2 13 14\n"));
  EXPECT_EQ(lost.atomicity, Atomicity::kNone);
  EXPECT_EQ(lost.group, PageGroup({0x3000, 0x4000}));
}

// What is read of a file, what its mapping shows, and what is written to it by a call are one.
TEST_F(LinearizeTest, AFileTiesThePagesThatShowIt) {
  linearizer_.Begin(
      Parse("s1 = space -> ok\n"
            "s1.mmap 0x1000 0x4000 rw- private,fixed -> 0x1000\n"
            "s1.mmap 0x8000 0x1000 rw- shared,fixed file f 0x0 -> 0x8000\n"
            "s1.write 0x8000 8 'x' -> ok\n"));
  const char* kRead = "s1.pread 0x4000 8 cached file f 0x0 -> 8 # @ 2 11 12\n";
  EXPECT_EQ(
      Check(absl::StrCat(kTornApart, kRead, "s1.read 0x4000 8 -> 'x' # @ 2 13 14\n")).atomicity,
      Atomicity::kPageByPage);
  const Verdict stale = Check(absl::StrCat(kTornApart, "s1.write 0x8000 8 'y' -> ok # @ 2 6 7\n",
                                           kRead, "s1.read 0x4000 8 -> 'x' # @ 2 13 14\n"));
  EXPECT_EQ(stale.atomicity, Atomicity::kNone);
  EXPECT_EQ(stale.group, PageGroup({0x4000, 0x8000}));
}

// Pages 0x1000 and 0x2000 are tied, and the fork took the old one of the first and the new one of
// the second, though they were written the other way round: no snapshot, but none is promised.
// The page was taken before the store to it, and put after the store to where it went.
TEST_F(LinearizeTest, AMoveThatOverlapsStoresToBothItsPagesCannotBeJudged) {
  BeginShared();
  const char* kStores =
      "s2.write 0x1000 8 'a' -> ok # @ 1 2 3\n"
      "s2.write 0x2000 8 'b' -> ok # @ 1 4 5\n";
  const char* kSeen = "s2.read 0x2000 8 -> 0x0 # @ 1 13 14\n";
  EXPECT_EQ(
      Check(absl::StrCat("s1.peek 0x1000 8 0x2000 -> 8 # @ 0 1 12\n", kStores, kSeen)).atomicity,
      Atomicity::kUnjudged);
  EXPECT_EQ(
      Check(absl::StrCat("s1.peek 0x1000 8 0x2000 -> 8 # @ 0 6 12\n", kStores, kSeen)).atomicity,
      Atomicity::kNone);
}

TEST_F(LinearizeTest, AForkInAGroupOfPagesCannotBeJudged) {
  linearizer_.Begin(
      Parse("s1 = space -> ok\n"
            "s1.mmap 0x1000 0x2000 rw- private,fixed -> 0x1000\n"
            "s1.minherit 0x1000 0x2000 share -> ok\n"
            "s2 = s1.fork -> ok\n"
            "s1.minherit 0x1000 0x2000 copy -> ok\n"));
  EXPECT_EQ(Check("s1.peek 0x1000 8 0x2000 -> 8 # @ 1 1 2\n"
                  "s3 = s1.fork -> ok # @ 0 3 8\n"
                  "s2.write 0x1000 8 'a' -> ok # @ 1 4 5\n"
                  "s2.write 0x2000 8 'b' -> ok # @ 1 6 7\n"
                  "s3.read 0x1000 8 -> 0x0 # @ 0 9 10\n"
                  "s3.read 0x2000 8 -> 'b' # @ 0 11 12\n")
                .atomicity,
            Atomicity::kUnjudged);
}

TEST_F(LinearizeTest, ThePictureHasAColumnForEachThread) {
  EXPECT_EQ(HistoryText(Parse("s1.write 0x1000 8 'a' -> ok # @ 0 1 4\n"
                              "s2.read 0x1000 8 -> 0x0 # @ 1 2 3\n")),
            "      thread 1                            thread 2\n"
            "   1  [ s1.write 0x1000 8 'a'\n"
            "   2  |                                   [ s2.read 0x1000 8\n"
            "   3  |                                   ] 0x0\n"
            "   4  ] ok\n");
}

// One word, read and written at random times: against all permutations, by the rules of a register.
struct Access {
  bool is_write;
  uint64_t value;
  uint64_t invoked, responded;
};

bool SomeOrderIsRight(const std::vector<Access>& accesses) {
  std::vector<size_t> order(accesses.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  do {
    uint64_t word = 0;
    bool right = true;
    for (size_t i = 0; i < order.size(); ++i) {
      const Access& a = accesses[order[i]];
      for (size_t k = i + 1; k < order.size(); ++k)
        right &= accesses[order[k]].responded > a.invoked;
      if (a.is_write) word = a.value;
      right &= word == a.value;
    }
    if (right) return true;
  } while (std::next_permutation(order.begin(), order.end()));
  return false;
}

TEST_F(LinearizeTest, AgreesWithTryingAllOrders) {
  BeginShared();
  base::Prng prng(3, "histories");
  int found = 0;
  constexpr int kHistories = 600;
  for (int round = 0; round < kHistories; ++round) {
    constexpr uint64_t kAccesses = 5;
    std::vector<uint64_t> times(2 * kAccesses);
    for (size_t i = 0; i < times.size(); ++i) {
      const uint64_t at = prng.Below(i + 1);
      times[i] = times[at];
      times[at] = i + 1;
    }
    std::vector<Access> accesses;
    std::string text;
    for (uint64_t i = 0; i < kAccesses; ++i) {
      Access a{};
      a.is_write = prng.Below(2) == 0;
      a.value = prng.Below(3);
      a.invoked = std::min(times[2 * i], times[2 * i + 1]);
      a.responded = std::max(times[2 * i], times[2 * i + 1]);
      accesses.push_back(a);
      absl::StrAppend(&text, "s", 1 + i % 2,
                      a.is_write ? absl::StrCat(".write 0x1000 8 ", a.value, " -> ok")
                                 : absl::StrCat(".read 0x1000 8 -> ", a.value),
                      " # @ ", i, " ", a.invoked, " ", a.responded, "\n");
    }
    const bool right = SomeOrderIsRight(accesses);
    ASSERT_EQ(Check(text).atomicity == Atomicity::kWhole, right) << text;
    found += right ? 1 : 0;
  }
  EXPECT_GT(found, kHistories / 20);
  EXPECT_LT(found, kHistories * 19 / 20);
}

}  // namespace
}  // namespace proptests
