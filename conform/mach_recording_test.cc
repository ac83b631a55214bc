// The parser of recorded vm_*() calls: every kind of line, counts, kinds of errors.
#include "conform/mach_recording.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "conform/recording.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

constexpr char kSequence[] =
    "S 7 seed=7 profile=0 ops=9 pages=16\n"
    "O 0 vm_allocate t=0 addr=0x10000000 size=0xe000 any=0 -> kr=0 addr=0x10000000\n"
    "O 1 poke t=0 addr=0x10003000 val=0x10111 -> ok\n"
    "O 2 peek t=0 addr=0x10005000 -> ok val=0x1f\n"
    "O 3 peek t=0 addr=0x20005000 -> fault 1\n"
    "O 4 vm_copy t=0 src=0x1000c000 size=0x3000 dst=0x10008000 -> kr=1\n"
    "O 5 vm_read t=0 addr=0x10005000 size=0x1000 -> kr=0 cnt=0x2000 data=0,fe\n"
    "O 6 vm_region t=0 addr=0x10009000 -> kr=0 addr=0x10007000 size=0x5000 cur=3 max=7 inh=1 sh=0 "
    "obj=1 off=0x7000\n"
    "O 7 vm_map t=0 addr=0x0 size=0x2000 mask=0xffff any=1 off=0x10 copy=1 cur=5 max=7 inh=2 -> "
    "kr=3 addr=0x0\n"
    "O 8 task_create t=0 inherit=1 -> kr=0 child=3\n"
    "M t=0 [0x10000000+0xe000 cur=3 max=7 inh=1 sh=0] [0xfffff000+0x1000 cur=0 max=0 inh=2 sh=1]\n"
    "C t=0 0x10000000:1f 0x10001000:F2\n"
    "M t=3\n"
    "C t=3\n"
    "E 7\n";

constexpr char kSingle[] =
    "BEGIN first=1 count=5 prof=0 weird=5\n"
    "L page=0 npages=2 cur=3 max=7 inh=1 word0=0xa000\n"
    "   => [0x10000000+0x2000 cur=3 max=7 inh=1 sh=0]\n"
    "F cur=0 written_before=1 access=write -> fault 2\n"
    "F cur=3 written_before=0 access=read -> ok 0\n"
    "X 0 vm_protect addr=0x10000000 size=0x1 max=1 prot=-1 -> kr=4\n"
    "X 1 vm_wire host=unpriv addr=0x10000000 size=0x1 access=3 -> kr=8\n"
    "# skipped: mask\n"
    "b0002000 does not respect 80000000\n"
    "X 2 vm_write addr=0x10000000 dataoff=4 size=0x1 val=0xb000 -> kr=4\n"
    "X 3 vm_read addr=0x10000001 size=0xfff -> kr=0 cnt=0xfff off=0x1 w=0xa0\n"
    "X 4 vm_copy src=0x10000000 size=0x2000 dst=0x10000000 -> kr=0\n"
    "   => words a000 ?\n"
    "X 5 vm_deallocate addr=0x0 size=0xf0000000 -> kr=0\n"
    "   =>\n"
    "X 6 vm_wire task=dead -> kr=0x10\n"
    "X 7 task_create inherit=1 after wiring pages 0-1,10 -> kr=0 child map:\n"
    "   => [0x10000000+0x2000 cur=3 max=7 inh=1 sh=0]\n"
    "   parent after:\n"
    "   => [0x10000000+0x3000 cur=3 max=7 inh=1 sh=0]\n"
    "   => [0x10000000+0x3000 cur=3 max=7 inh=1 sh=0]\n"
    "DONE\n";

MachRecording Parsed(absl::string_view text) {
  absl::StatusOr<MachRecording> recording = ParseMachRecording("f", text);
  EXPECT_TRUE(recording.ok()) << recording.status();
  return recording.ok() ? *std::move(recording) : MachRecording();
}

std::string ErrorOf(absl::string_view text) {
  absl::StatusOr<MachRecording> recording = ParseMachRecording("f", text);
  return recording.ok() ? "" : std::string(recording.status().message());
}

// The sample with its line `number` (from 1) replaced.
std::string With(absl::string_view sample, int number, absl::string_view line) {
  std::string text;
  int at = 0;
  for (absl::string_view old : absl::StrSplit(absl::StripSuffix(sample, "\n"), '\n')) {
    absl::StrAppend(&text, ++at == number ? line : old, "\n");
  }
  return text;
}

TEST(MachRecordingTest, SequenceLines) {
  const MachRecording recording = Parsed(kSequence);
  ASSERT_EQ(recording.sequences.size(), 1u);
  const MachSequence& s = recording.sequences[0];
  EXPECT_EQ(s.number, 7u);
  ASSERT_EQ(s.steps.size(), 13u);
  EXPECT_EQ(recording.Count(), 13u);
  EXPECT_EQ(ToString(s.steps[0].op), "vm_allocate t=0 addr=0x10000000 size=0xe000 any=0");
  EXPECT_EQ(s.steps[0].result.addr, 0x10000000u);
  EXPECT_EQ(s.steps[1].op.value, 0x10111u);
  EXPECT_EQ(s.steps[2].result.value, 0x1fu);
  EXPECT_EQ(s.steps[3].result.code, 1u);
  EXPECT_EQ(s.steps[4].op.to, 0x10008000u);
  EXPECT_EQ(s.steps[5].result.words, (std::vector<uint32_t>{0, 0xfe}));
  EXPECT_EQ(s.steps[6].result.region.size, 0x5000u);
  EXPECT_TRUE(s.steps[7].op.copy);
  EXPECT_EQ(s.steps[7].op.inherit, 2u);
  EXPECT_EQ(s.steps[7].op.max, 7u);
  EXPECT_EQ(s.steps[8].result.child, 3u);
  EXPECT_EQ(s.steps[9].kind, MachStep::Kind::kMap);
  EXPECT_EQ(s.steps[9].number, 8u);
  ASSERT_EQ(s.steps[9].map.size(), 2u);
  EXPECT_EQ(s.steps[9].map[1].shared, 1u);
  ASSERT_EQ(s.steps[10].words.size(), 2u);
  EXPECT_TRUE(s.steps[10].words[1].faulted);
  EXPECT_TRUE(s.steps[11].map.empty());
  EXPECT_EQ(s.steps[12].task, 3u);
}

TEST(MachRecordingTest, SingleCallLines) {
  const MachRecording recording = Parsed(kSingle);
  ASSERT_EQ(recording.calls.size(), 8u);
  EXPECT_EQ(recording.Count(), 1u + 2 + 8 + 5);
  EXPECT_EQ(recording.layout[0].word, 0xa000u);
  EXPECT_EQ(recording.accesses[0].code, 2u);
  EXPECT_TRUE(recording.accesses[0].write);
  EXPECT_EQ(recording.calls[0].op.prot, UINT32_MAX);
  EXPECT_TRUE(recording.calls[0].op.set_max);
  EXPECT_EQ(recording.calls[1].op.host, MachHost::kUnprivileged);
  EXPECT_EQ(recording.calls[2].op.data_offset, 4u);
  EXPECT_EQ(recording.calls[3].result.offset, 1u);
  EXPECT_EQ(recording.calls[3].result.words, (std::vector<uint32_t>{0xa0}));
  ASSERT_EQ(recording.calls[4].words.size(), 2u);
  EXPECT_EQ(recording.calls[4].words[0], 0xa000u);
  EXPECT_FALSE(recording.calls[4].words[1].has_value());
  ASSERT_EQ(recording.calls[5].maps.size(), 1u);
  EXPECT_TRUE(recording.calls[5].maps[0].map.empty());
  EXPECT_EQ(recording.calls[6].op.target, MachTarget::kDead);
  EXPECT_EQ(recording.calls[6].result.code, 16u);
  ASSERT_EQ(recording.calls[7].maps.size(), 3u);
  EXPECT_TRUE(recording.calls[7].op.wires_first);
  EXPECT_EQ(recording.calls[7].maps[0].whose, MachMapAfter::Whose::kChild);
  EXPECT_EQ(recording.calls[7].maps[1].whose, MachMapAfter::Whose::kParent);
  EXPECT_EQ(recording.calls[7].maps[2].whose, MachMapAfter::Whose::kTask);
}

TEST(MachRecordingTest, WhatIsOutOfTurnIsAnError) {
  EXPECT_EQ(ErrorOf("O 0 peek\n"), "f:1: expected `S` or `BEGIN`, found `O`");
  EXPECT_EQ(ErrorOf(""), "f:1: expected `S` or `BEGIN`, found the end of the file");
  EXPECT_EQ(ErrorOf("S 7 seed=7 profile=0 ops=9 pages=16\n"),
            "f:2: expected `O`, `M`, `C` or `E`, found the end of the file");
  EXPECT_EQ(ErrorOf(With(kSequence, 3, "O 2 task_terminate t=0 -> kr=0")),
            "f:3: expected `1 `, found `2`");
  EXPECT_EQ(ErrorOf(With(kSequence, 13, "O 9 task_terminate t=0 -> kr=0")),
            "f:13: expected `M`, `C` or `E`, found `O`");
  EXPECT_EQ(ErrorOf(With(kSequence, 15, "E 8")), "f:15: expected `7`, found `8`");
  EXPECT_EQ(ErrorOf(With(kSingle, 3, "F cur=0 written_before=1 access=write -> fault 2")),
            "f:3: expected `L` or `   =>`, found `F`");
  EXPECT_EQ(ErrorOf(absl::StrCat(kSingle, "DONE\n")), "f:23: expected nothing more, found `DONE`");
}

TEST(MachRecordingTest, WhatALineGetsWrongIsAnError) {
  EXPECT_EQ(ErrorOf(With(kSequence, 3, "O 1 poke t=0 addr=0x10003000 -> ok")),
            "f:3: expected `val=`, found `->`");
  EXPECT_EQ(ErrorOf(With(kSequence, 3, "O 1 vm_frob t=0 addr=0x10003000 -> ok")),
            "f:3: expected a call, found `vm_frob`");
  EXPECT_EQ(ErrorOf(With(kSequence, 3, "O 1 poke t=0 addr=0x100030000 val=0x0 -> ok")),
            "f:3: expected addr (a 32-bit word in hex), found `100030000`");
  EXPECT_EQ(ErrorOf(With(kSequence, 3, "O 1 poke t=0 addr=0x10003000 val=0x0 -> ok ")),
            "f:3: expected the end of the line, found a blank");
  EXPECT_TRUE(absl::StrContains(
      ErrorOf(With(kSequence, 11,
                   "M t=0 [0x2000+0x2000 cur=3 max=7 inh=1 sh=0] [0x3000+0x1000 cur=3 max=7 inh=1 "
                   "sh=0]")),
      "expected regions that ascend"));
  EXPECT_TRUE(absl::StrContains(
      ErrorOf(With(kSequence, 11, "M t=0 [0xfffff000+0x2000 cur=3 max=7 inh=1 sh=0]")),
      "expected regions that ascend"));
}

// M of every recording, by counting lines.
TEST(MachRecordingTest, CountsAreThoseOfTheLines) {
  for (const char* name :
       {"single_1", "fork_1", "wire_1", "deep_1", "single_1001", "deep_1001", "edge_cases"}) {
    const std::string file = absl::StrCat("conform/testdata/gnumach_", name, ".txt.gz");
    const absl::StatusOr<std::string> text = ReadTextFile(file);
    ASSERT_TRUE(text.ok()) << text.status();
    uint64_t lines = 0;
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      for (const char* start : {"O ", "M ", "C ", "F ", "X ", "   =>"}) {
        lines += absl::StartsWith(line, start) ? 1 : 0;
      }
    }
    const absl::StatusOr<MachRecording> recording = ParseMachRecording(file, *text);
    ASSERT_TRUE(recording.ok()) << recording.status();
    EXPECT_EQ(recording->Count(), lines) << file;
    EXPECT_GT(lines, 4000u);
  }
}

}  // namespace
}  // namespace conform
