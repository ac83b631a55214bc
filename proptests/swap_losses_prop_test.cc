// Calls that meet a page that swap cannot give back: each one by one, and campaigns of them. The
// model says how far a call comes; it goes on from there, and no case ends.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "base/addr.h"
#include "base/errors.h"
#include "base/fault_site.h"
#include "machine/machine.h"
#include "machine/swap_set.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/mix.h"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"
#include "traces/codec.h"
#include "traces/op.h"
#include "traces/trace.h"

namespace proptests {
namespace {

using base::Errno;
using base::FaultSite;
using base::KernReturn;
using traces::OpKind;

constexpr uint64_t kFrames = 256;

RunOptions Scarce() {
  RunOptions options;
  options.whole_every = 1;
  options.machine.ram_bytes = kFrames * base::kPageSize;
  options.machine.swap = {{.pages = 2048}};
  options.memory_may_run_out = true;
  return options;
}

// s1 has 'A' in 0x100000 to 0x1fffff and 'B' up to 0x2fffff; its child s2 shares that. The first
// page is in memory, the second is on swap.
constexpr const char* kStory =
    "s1 = space -> ok\n"
    "s1.mmap 0x100000 0x200000 rw- private,fixed -> 0x100000\n"
    "s1.write 0x100000 0x100000 'A' -> ok\n"
    "s1.write 0x200000 0x100000 'B' -> ok\n"
    "s2 = s1.fork -> ok\n"
    "s1.read 0x100000 16\n";
// The same for a Mach task, which shares 16 pages of 'B' with a child besides.
constexpr const char* kMachStory =
    "s1 = task -> ok\n"
    "s1.vm_allocate 0x100000 0x200000 fixed -> 0x100000\n"
    "s1.write 0x100000 0x100000 'A' -> ok\n"
    "s1.write 0x200000 0x100000 'B' -> ok\n"
    "s1.vm_inherit 0x280000 0x10000 share -> ok\n"
    "s2 = s1.task_create 1 -> ok\n"
    "s1.read 0x100000 16\n";

// The second page is lost, or its device is away during the call.
enum class Cause { kLost, kRefused };

class SwapLossesTest : public testing::TestWithParam<Cause> {
 protected:
  // Does `story`, then `call` with the second page of 0x100000 missing, then `rest`. Returns the
  // call's code.
  int32_t CodeOf(const std::string& story, const std::string& call, const std::string& rest) {
    const bool lost = GetParam() == Cause::kLost;
    const std::string cause =
        lost ? "inject swap_read_error -> ok\ns1.read 0x101000 16\n" : "inject swap_vanish -> ok\n";
    const auto trace = traces::ParseTrace(
        "# test.trace: a story\n" + story + cause + call + "\n" + rest, "test.trace");
    if (!trace.ok()) ADD_FAILURE() << trace.status();
    if (!trace.ok()) return -1;
    const traces::Line* the_call = &trace->lines[Lines(story) + Lines(cause)];
    Session session(Scarce(), &trace->files);
    int32_t code = -1;
    for (const traces::Line& line : trace->lines) {
      const bool went = session.Step(line.op, line.expected ? &*line.expected : nullptr);
      EXPECT_TRUE(went) << traces::FormatOp(line.op, trace->files) << ": "
                        << (session.failure() ? session.failure()->text : "the case ended");
      if (!went) return -1;
      if (&line == the_call) code = session.last_outcome().code;
    }
    const machine::SwapSet& swap = session.system()->swap_set();
    EXPECT_EQ(swap.pages_spoilt(), lost ? 1u : 0u);
    EXPECT_EQ(swap.reads_refused(), lost ? 0u : 1u);
    EXPECT_EQ(session.stats().followed, 1u);
    EXPECT_TRUE(session.Finish()) << session.failure()->text;
    return code;
  }
  static size_t Lines(const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }
  static int32_t Of(Errno code) { return static_cast<int32_t>(code); }
  static int32_t Of(KernReturn code) { return static_cast<int32_t>(code); }
};

TEST_P(SwapLossesTest, PreadEndsAtThePage) {
  EXPECT_EQ(CodeOf(kStory, "s1.pread 0x100000 0x3000 cached file data.bin 0x0",
                   "s1.pwrite 0x100000 0x1000 cached file data.bin 0x0 -> 0x1000\n"
                   "s2.read 0x100000 4096 -> 'A'\n"),
            Of(Errno::kEfault));
}

TEST_P(SwapLossesTest, PwriteEndsAtThePage) {
  EXPECT_EQ(CodeOf(kStory, "s1.pwrite 0x100000 0x3000 cached file data.bin 0x0",
                   "s1.pread 0x200000 0x1000 cached file data.bin 0x0 -> 0x1000\n"
                   "s1.read 0x200000 4096 -> 'A'\n"),
            Of(Errno::kEfault));
}

TEST_P(SwapLossesTest, DirectTransfersMoveNothing) {
  EXPECT_EQ(CodeOf(kStory, "s1.pread 0x100000 0x3000 direct file data.bin 0x0",
                   "s1.read 0x100000 4096 -> 'A'\n"),
            Of(Errno::kEfault));
}

TEST_P(SwapLossesTest, PeekEndsAtThePage) {
  EXPECT_EQ(CodeOf(std::string(kStory) + "s1.read 0x210000 0x3000\n",
                   "s1.peek 0x100000 0x3000 0x210000 of s2",
                   "s1.read 0x210000 4096 -> 'A'\n"
                   "s1.read 0x212000 4096 -> 'B'\n"),
            Of(Errno::kEio));
}

TEST_P(SwapLossesTest, PokeEndsAtThePage) {
  EXPECT_EQ(CodeOf(std::string(kStory) + "s1.read 0x220000 0x3000\n",
                   "s1.poke 0x100000 0x3000 0x220000 of s2",
                   "s2.read 0x100000 4096 -> 'B'\n"
                   "s2.read 0x102000 4096 -> 'A'\n"
                   "s1.read 0x100000 4096 -> 'A'\n"),
            Of(Errno::kEio));
}

TEST_P(SwapLossesTest, ReceiveEndsAtThePageAndTheMessageStays) {
  EXPECT_EQ(CodeOf(std::string(kStory) + "s2.send 0x2f0000 0x3000 -> 0x3000\n",
                   "s1.receive 0x100000 0x3000",
                   "s1.read 0x100000 4096 -> 'B'\n"
                   "s1.read 0x102000 4096 -> 'A'\n"
                   "s1.receive 0x200000 0x3000 -> 0x3000\n"),
            Of(Errno::kEfault));
}

TEST_P(SwapLossesTest, VmCopyToSharedMemoryDoesNothing) {
  EXPECT_EQ(CodeOf(kMachStory, "s1.vm_copy 0x100000 0x3000 0x280000",
                   "s1.read 0x280000 4096 -> 'B'\n"
                   "s2.read 0x280000 4096 -> 'B'\n"),
            Of(KernReturn::kMemoryError));
}

TEST_P(SwapLossesTest, VmWriteToSharedMemoryDoesNothing) {
  EXPECT_EQ(CodeOf(kMachStory, "s1.vm_write 0x280000 0x3000 0x100000",
                   "s1.read 0x280000 4096 -> 'B'\n"
                   "s2.read 0x280000 4096 -> 'B'\n"),
            Of(KernReturn::kMemoryError));
}

INSTANTIATE_TEST_SUITE_P(Causes, SwapLossesTest, testing::Values(Cause::kLost, Cause::kRefused),
                         [](const auto& row) {
                           return std::string(row.param == Cause::kLost ? "Lost" : "Refused");
                         });

Mix PressureMix() {
  std::ifstream in("proptests/mixes/pressure.mix");
  std::stringstream text;
  text << in.rdbuf();
  return ParseMix(text.str(), "pressure.mix").value();
}

constexpr OpKind kMoves[] = {OpKind::kVmWrite, OpKind::kVmCopy, OpKind::kPread,  OpKind::kPwrite,
                             OpKind::kPeek,    OpKind::kPoke,   OpKind::kReceive};

// Every third read from swap fails, and bytes are moved all the time.
CampaignOptions ManyMoves() {
  CampaignOptions options;
  const Mix mix = PressureMix();
  options.case_ops = 2500;
  options.tasks = static_cast<uint32_t>(mix.tasks);
  options.pages = static_cast<uint32_t>(mix.pages);
  options.mix = mix.weights;
  for (const OpKind kind : kMoves) options.mix.weight[static_cast<size_t>(kind)] = 60;
  options.swarm = false;
  options.run.machine.ram_bytes = 96 * base::kPageSize;
  options.run.machine.swap = {{.pages = 4096}, {.pages = 1024, .priority = 1}};
  options.run.memory_may_run_out = true;
  options.run.whole_every = 16;
  options.faults.one_in[static_cast<size_t>(FaultSite::kSwapReadError)] = 3;
  options.faults.one_in[static_cast<size_t>(FaultSite::kSwapVanish)] = 6;
  return options;
}

// Runs in which reading from swap fails as often as may be while bytes are moved: every call goes
// on after a failure, whatever it met.
TEST(SwapLossesCampaignTest, EveryCallThatMovesBytesGoesOn) {
  CampaignOptions options = ManyMoves();
  options.seed = 9;
  std::array<uint64_t, traces::kOpKindCount> followed = {};
  for (uint64_t number = 0; number < 24; ++number) {
    uint64_t before = 0;
    // The stories above are told on a plain pmap only: they say which page is on swap, and that
    // depends on what was referenced. On one that refuses, a vm_copy in place may be refused as
    // well as meet a lost page, and then ends its case.
    options.run.machine.adversity =
        number % 4 == 1 ? machine::Adversity::kForgetful : machine::Adversity::kNone;
    const auto note = [&](const Session& session) {
      followed[static_cast<size_t>(session.last_op().kind)] += session.stats().followed - before;
      before = session.stats().followed;
      if (session.stats().ended == 0) return;
      const auto* end = std::find(std::begin(kMoves), std::end(kMoves), session.last_op().kind);
      EXPECT_EQ(end, std::end(kMoves))
          << "case " << number << " ended at " << traces::FormatResolvedOp(session.last_op());
    };
    std::string last;
    const auto note_last = [&](const Session& session) {
      note(session);
      last = traces::FormatResolvedOp(session.last_op());
    };
    const RunResult result = RunCase(options, number, options.case_ops, note_last);
    ASSERT_FALSE(result.failure) << "case " << number << ": "
                                 << FingerprintText(result.failure->print) << ": "
                                 << result.failure->text << " after " << last;
  }
  for (const OpKind kind : kMoves) {
    EXPECT_GT(followed[static_cast<size_t>(kind)], 0u) << traces::OpName(kind);
  }
}

// Each case once told the model and the system apart: at a pread after a pwrite, whose bytes did
// not lie in the file as they did in memory, had ended at a lost page; and at a vm_write of a
// file's mapping that lost pages of its own copy.
TEST(SwapLossesCampaignTest, CasesThatOnceDisagreed) {
  struct Case {
    uint64_t seed, number;
  };
  for (const Case& c : {Case{9, 3}, Case{9, 38}, Case{31, 36}, Case{101, 0}}) {
    CampaignOptions options = ManyMoves();
    options.seed = c.seed;
    const RunResult result = RunCase(options, c.number, options.case_ops, nullptr);
    EXPECT_FALSE(result.failure) << "seed " << c.seed << " case " << c.number << ": "
                                 << FingerprintText(result.failure->print) << ": "
                                 << result.failure->text;
  }
}

}  // namespace
}  // namespace proptests
