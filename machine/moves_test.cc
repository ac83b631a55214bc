// What calls that move bytes cost, and what they leave behind: pages are lent rather than copied,
// files are read once, nothing stays mapped or borrowed.

#include <gtest/gtest.h>

#include <string>

#include "base/errors.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"
#include "vmserver/server.h"

namespace machine {
namespace {

using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;

constexpr uint64_t kAt = 0x100000;
constexpr uint64_t kSize = 0x40000;
constexpr uint64_t kKey = 77;

class MovesTest : public testing::Test {
 protected:
  MovesTest() {
    EXPECT_TRUE(machine_.Apply({.kind = OpKind::kSpace, .child = 1}).ok());
    EXPECT_TRUE(machine_
                    .Apply({.kind = OpKind::kMmap,
                            .task = 1,
                            .at = kAt,
                            .size = kSize,
                            .prot = base::kProtReadWrite,
                            .flags = traces::kFlagPrivate | traces::kFlagFixed})
                    .ok());
    EXPECT_TRUE(
        machine_.Apply({.kind = OpKind::kWrite, .task = 1, .at = kAt, .size = kSize, .value = 'v'})
            .ok());
  }
  ~MovesTest() override {
    char buffer[512];
    base::TextSink text(buffer, sizeof buffer);
    const char* broken = uvm::FirstViolation(&machine_.uvm(), &text);
    EXPECT_EQ(broken, nullptr) << broken << ": " << buffer;
    EXPECT_TRUE(machine_.server().MessagesHoldTheirLoans(&text)) << buffer;
  }
  uint64_t Do(const ResolvedOp& op) {
    Outcome outcome = machine_.Apply(op);
    EXPECT_TRUE(outcome.ok()) << outcome.code << machine_.crash().value_or("");
    return outcome.value;
  }
  uint64_t FreePages() { return machine_.uvm().DebugPages().free_count().value(); }
  Machine machine_{{}};
};

TEST_F(MovesTest, AMessageIsNotCopiedWhenItIsSent) {
  const Ledger before = machine_.ledger();
  EXPECT_EQ(Do({.kind = OpKind::kSend, .task = 1, .at = kAt, .size = 0x10000}), 0x10000u);
  EXPECT_EQ(machine_.ledger().loans - before.loans, 16u);
  EXPECT_EQ(machine_.ledger().copy, before.copy);
  // The first store to each page costs the copy, the second nothing.
  for (int round = 0; round < 2; ++round) {
    Do({.kind = OpKind::kWrite, .task = 1, .at = kAt, .size = 0x3000, .value = 'w'});
    EXPECT_EQ(machine_.ledger().loan_breaks - before.loan_breaks, 3u);
  }
  EXPECT_EQ(Do({.kind = OpKind::kReceive, .task = 1, .at = kAt + 0x20000, .size = kSize}),
            0x10000u);
  EXPECT_EQ(Do({.kind = OpKind::kRead, .task = 1, .at = kAt + 0x20000, .size = 0x10000}),
            uint64_t{'v'});
  EXPECT_EQ(Do({.kind = OpKind::kRead, .task = 1, .at = kAt, .size = 0x3000}), uint64_t{'w'});
}

TEST_F(MovesTest, ZeroesAreLentWithoutMakingThem) {
  Do({.kind = OpKind::kMmap,
      .task = 1,
      .at = kAt,
      .size = kSize,
      .prot = base::kProtReadWrite,
      .flags = traces::kFlagPrivate | traces::kFlagFixed});
  const uint64_t free = FreePages();
  Do({.kind = OpKind::kSend, .task = 1, .at = kAt, .size = 0x10000});
  EXPECT_EQ(FreePages(), free - 1);  // the one page of zeroes
  Do({.kind = OpKind::kReceive, .task = 1, .at = kAt, .size = 0x10000});
  EXPECT_EQ(FreePages(), free - 16);
}

TEST_F(MovesTest, MessagesGoWithTheFamily) {
  Do({.kind = OpKind::kFork, .task = 1, .child = 2});
  const uint64_t free = FreePages();
  for (uint32_t sender : {1u, 2u}) {
    Do({.kind = OpKind::kSend, .task = sender, .at = kAt, .size = 0x10000});
  }
  Do({.kind = OpKind::kExit, .task = 1});
  EXPECT_EQ(FreePages(), free);  // the child shares every page
  Do({.kind = OpKind::kExit, .task = 2});
  EXPECT_GE(FreePages(), free + (kSize >> base::kPageShift));
}

TEST_F(MovesTest, MessagesHoldTheirLoansSeesAForgottenOne) {
  Do({.kind = OpKind::kSend, .task = 1, .at = kAt, .size = 0x1000});
  uvm::Page* lent = nullptr;
  machine_.uvm().DebugPages().DebugForEach([&](uvm::Page& page) {
    if (page.loan_count > 0) lent = &page;
  });
  ASSERT_NE(lent, nullptr);
  ++lent->loan_count;
  char buffer[512];
  base::TextSink text(buffer, sizeof buffer);
  EXPECT_FALSE(machine_.server().MessagesHoldTheirLoans(&text));
  EXPECT_NE(std::string(buffer).find("loan_count=2, borrowers found=1"), std::string::npos);
  --lent->loan_count;
}

// A page that no message has is seen by the invariants that are checked before.
TEST_F(MovesTest, ALoanToNobodyIsSeen) {
  Do({.kind = OpKind::kSend, .task = 1, .at = kAt, .size = 0x1000});
  uvm::Page* mine = nullptr;
  machine_.uvm().DebugPages().DebugForEach([&](uvm::Page& page) {
    if (page.anon != nullptr && page.loan_count == 0 && page.wire_count == 0) mine = &page;
  });
  ASSERT_NE(mine, nullptr);
  ++mine->loan_count;
  char buffer[512];
  base::TextSink text(buffer, sizeof buffer);
  EXPECT_STREQ(uvm::FirstViolation(&machine_.uvm(), &text), "ValidPageStates");
  --mine->loan_count;
}

TEST_F(MovesTest, AFileIsReadFromItsStoreOnce) {
  const ResolvedOp read = {.kind = OpKind::kPread,
                           .task = 1,
                           .at = kAt,
                           .size = 0x10000,
                           .file_key = kKey,
                           .offset = 0x20000};
  const uint64_t got = machine_.ledger().pager_get;
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Do(read), 0x10000u);
    EXPECT_EQ(machine_.ledger().pager_get - got, 16u);
  }
}

// Whole pages are written without being read first.
TEST_F(MovesTest, AFileIsWrittenWithoutReadingIt) {
  const uint64_t zero_fills = machine_.ledger().zero_fill;
  EXPECT_EQ(Do({.kind = OpKind::kPwrite,
                .task = 1,
                .at = kAt,
                .size = kSize,
                .file_key = kKey,
                .offset = 0}),
            kSize);
  EXPECT_EQ(machine_.ledger().zero_fill, zero_fills);
  Do({.kind = OpKind::kPread,
      .task = 1,
      .at = kAt,
      .size = 0x100,
      .file_key = kKey,
      .offset = 0x3f000});
  EXPECT_EQ(Do({.kind = OpKind::kRead, .task = 1, .at = kAt, .size = 0x100}), uint64_t{'v'});
}

// Neither reading nor writing another space leaves anything in the server's own.
TEST_F(MovesTest, PeekingLeavesNothingMapped) {
  Do({.kind = OpKind::kFork, .task = 1, .child = 2});
  Do({.kind = OpKind::kPoke, .task = 1, .target = 2, .at = kAt, .to = kAt, .size = 1});
  const uint64_t bytes = machine_.uvm().Kernel()->map()->size_bytes();
  for (uint64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(Do({.kind = OpKind::kPeek,
                  .task = 1,
                  .target = 2,
                  .at = kAt + i * 0x1800,
                  .to = kAt,
                  .size = 0x12345}),
              0x12345u);
  }
  EXPECT_EQ(machine_.uvm().Kernel()->map()->size_bytes(), bytes);
}

// Of 64 frames messages hold a third, 21, whoever sent them: what is lent cannot be paged out.
TEST(FewFramesTest, MessagesHoldNoMoreThanAThirdOfTheFrames) {
  Machine machine({.ram_bytes = 64 * base::kPageSize});
  ASSERT_TRUE(machine.Apply({.kind = OpKind::kSpace, .child = 1}).ok());
  ASSERT_TRUE(machine.Apply({.kind = OpKind::kSpace, .child = 2}).ok());
  for (const uint32_t task : {1u, 2u}) {
    ASSERT_TRUE(machine
                    .Apply({.kind = OpKind::kMmap,
                            .task = task,
                            .at = kAt,
                            .size = kSize,
                            .prot = base::kProtReadWrite,
                            .flags = traces::kFlagPrivate | traces::kFlagFixed})
                    .ok());
  }
  const ResolvedOp first = {.kind = OpKind::kSend, .task = 1, .at = kAt, .size = 0x10000};
  const ResolvedOp second = {.kind = OpKind::kSend, .task = 2, .at = kAt, .size = 0x6000};
  EXPECT_EQ(machine.Apply(first).value, 0x10000u);
  EXPECT_EQ(machine.Apply(second).code, static_cast<int32_t>(base::Errno::kEnomem));
  // A message that is received in part has all its pages.
  ResolvedOp receive = {.kind = OpKind::kReceive, .task = 1, .at = kAt, .size = 0xf000};
  EXPECT_TRUE(machine.Apply(receive).ok());
  EXPECT_EQ(machine.Apply(second).code, static_cast<int32_t>(base::Errno::kEnomem));
  EXPECT_TRUE(machine.Apply(receive).ok());
  EXPECT_EQ(machine.Apply(second).value, 0x6000u);
}

}  // namespace
}  // namespace machine
