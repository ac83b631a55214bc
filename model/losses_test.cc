// World::AdoptLoss, call by call: what a call has done that met a page lost to swap half way up.
// The test says what the system looks like; the model must find the one way to get there, and
// find none where there is none.

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/addr.h"
#include "base/errors.h"
#include "gtest/gtest.h"
#include "model/testing/script.h"
#include "model/world.h"
#include "traces/codec.h"
#include "traces/op.h"
#include "traces/trace.h"

namespace model {
namespace {

using traces::Outcome;

class LossesTest : public testing::Test {
 protected:
  void Run(absl::string_view lines) { script_.Run(lines); }
  // Whether the model can say how `call` ended with an error and left `contents` behind.
  bool Explains(absl::string_view call, int32_t code, const std::string& contents) {
    const auto trace = traces::ParseTrace(absl::StrCat("# script\n", call, "\n"), "script");
    traces::ResolvedOp op;
    if (!trace.ok() || !script_.world().Resolve(trace->lines.at(0).op, trace->files, &op)) {
      ADD_FAILURE() << call << ": cannot be executed";
      return false;
    }
    const Outcome seen{traces::FamilyOf(op.kind), code, 0, 0, {}};
    return script_.world().AdoptLoss(
        op, seen, [&](uint32_t, base::Range) { return script_.Contents() == contents; });
  }

  Script script_;
};

constexpr int32_t kEfault = static_cast<int32_t>(base::Errno::kEfault);
constexpr int32_t kEio = static_cast<int32_t>(base::Errno::kEio);
constexpr int32_t kMemoryError = static_cast<int32_t>(base::KernReturn::kMemoryError);

// Three pages of S, of which a call moves two from the middle of the first on, and two of T.
constexpr const char* kMove =
    "s1 = space 0x9000 -> ok\n"
    "s1.mmap 0x1000 0x3000 rw- private,fixed -> 0x1000\n"
    "s1.write 0x1000 0x3000 'S' -> ok\n"
    "s1.mmap 0x5000 0x2000 rw- private,fixed -> 0x5000\n"
    "s1.write 0x5000 0x2000 'T' -> ok\n";

class PeekLossesTest : public LossesTest, public testing::WithParamInterface<const char*> {};

// Half a page, then one, then one and a half: it may end where a page of either side does.
INSTANTIATE_TEST_SUITE_P(All, PeekLossesTest,
                         testing::Values("SSS.TT..", "SSS.*T..", "SSS.ST..", "SSS.S*..",
                                         "SSS.SS.."));

TEST_P(PeekLossesTest, APeekEndsAtAPageOfEitherSide) {
  Run(kMove);
  EXPECT_TRUE(Explains("s1.peek 0x1800 0x2000 0x5000", kEfault, GetParam()));
  EXPECT_EQ(script_.Contents(), GetParam());
}

TEST_F(LossesTest, APeekGoesUp) {
  Run(kMove);
  EXPECT_FALSE(Explains("s1.peek 0x1800 0x2000 0x5000", kEfault, "SSS.TS.."));
}

class PokeLossesTest : public LossesTest, public testing::WithParamInterface<const char*> {};

INSTANTIATE_TEST_SUITE_P(All, PokeLossesTest, testing::Values("SSS.TT..", "SSS.ST..", "SSS.SS.."));

TEST_P(PokeLossesTest, APokeEndsAtAPageOfTheOtherTask) {
  Run(kMove);
  EXPECT_TRUE(Explains("s1.poke 0x5000 0x2000 0x1800", kEio, GetParam()));
  EXPECT_EQ(script_.Contents(), GetParam());
}

TEST_F(LossesTest, APokeWritesNoHalfPages) {
  Run(kMove);
  EXPECT_FALSE(Explains("s1.poke 0x5000 0x2000 0x1800", kEio, "SSS.*T.."));
}

// The second page of S is lost; then two pages of the file are read over T. Where that finds the
// file's own bytes there are several values.
class PwriteLossesTest : public LossesTest {
 protected:
  std::string AfterWrite(absl::string_view before, absl::string_view write,
                         absl::string_view read) {
    Run(kMove);
    Run(before);
    script_.world().SetLost([](uint32_t, uint64_t va) { return va == 0x2000; });
    Run(write);
    script_.world().SetLost(nullptr);
    Run(read);
    return script_.Contents();
  }
};

TEST_F(PwriteLossesTest, WhatLiesAlikeIsWrittenUpToThePage) {
  EXPECT_EQ(AfterWrite("", "s1.pwrite 0x1000 0x3000 cached file f 0x0 -> EFAULT\n",
                       "s1.pread 0x5000 0x2000 cached file f 0x0 -> 0x2000\n"),
            "SSS.S*..");
}

// The page is needed for two pages of the file: it may have been there for the first of them.
TEST_F(PwriteLossesTest, WhatLiesAskewIsUnknownForOnePage) {
  EXPECT_EQ(AfterWrite("", "s1.pwrite 0x1000 0x3000 cached file f 0x800 -> EFAULT\n",
                       "s1.pread 0x5000 0x2000 cached file f 0x1000 -> 0x2000\n"),
            "SSS.?*..");
}

// What was in the file is written as far as the write came, and nothing is added to it.
TEST_F(PwriteLossesTest, AWriteThatWouldExtendTheFileIsKnownToo) {
  EXPECT_EQ(AfterWrite("s1.ftruncate file f 0x1000 -> ok\n",
                       "s1.pwrite 0x1000 0x3000 cached file f 0x0 -> EFAULT\n",
                       "s1.pread 0x5000 0x2000 cached file f 0x0 -> 0x1000\n"),
            "SSS.ST..");
}

constexpr const char* kCopy =
    "s1 = task 0x9000 -> ok\n"
    "s1.vm_allocate 0x1000 0x6000 fixed -> 0x1000\n"
    "s1.write 0x1000 0x1000 'A' -> ok\n"
    "s1.write 0x2000 0x1000 'B' -> ok\n"
    "s1.write 0x3000 0x1000 'C' -> ok\n"
    "s1.write 0x4000 0x3000 'T' -> ok\n";

class CopyLossesTest : public LossesTest, public testing::WithParamInterface<const char*> {};

INSTANTIATE_TEST_SUITE_P(All, CopyLossesTest,
                         testing::Values("ABCTTT..", "ABCATT..", "ABCABT..", "ABCABC.."));

TEST_P(CopyLossesTest, ACopyReplacesPageByPage) {
  Run(kCopy);
  EXPECT_TRUE(Explains("s1.vm_copy 0x1000 0x3000 0x4000", kMemoryError, GetParam()));
  EXPECT_EQ(script_.Contents(), GetParam());
}

TEST_F(LossesTest, ACopyLeavesNoPageOut) {
  Run(kCopy);
  EXPECT_FALSE(Explains("s1.vm_copy 0x1000 0x3000 0x4000", kMemoryError, "ABCBTT.."));
}

// Wiring has made some of a file's pages the task's own, or none: nobody can say.
TEST_F(LossesTest, ALockThatFailsMayHaveFetchedPages) {
  Run("s1 = space 0x9000 -> ok\n"
      "s1.mmap 0x1000 0x3000 rw- private,fixed file f 0 -> 0x1000\n");
  EXPECT_EQ(script_.Contents(), "fff.....");
  EXPECT_TRUE(Explains("s1.mlock 0x1000 0x2000", kEfault, "not asked for"));
  EXPECT_EQ(script_.Contents(), "??f.....");
}

// The rights are there, whatever became of the wiring that mlockall promised.
TEST_F(LossesTest, RightsStayWhereTheirWiringFails) {
  Run("s1 = space 0x9000 -> ok\n"
      "s1.mmap 0x1000 0x2000 --- private,fixed -> 0x1000\n"
      "s1.mlockall future -> ok\n");
  EXPECT_EQ(script_.Prots(), "--......");
  EXPECT_TRUE(Explains("s1.mprotect 0x1000 0x1000 rw-", kEfault, "not asked for"));
  EXPECT_EQ(script_.Prots(), "w-......");
}

}  // namespace
}  // namespace model
