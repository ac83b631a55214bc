// The parser of recorded L4 sequences: every kind of line, every kind of error.
#include "conform/recording.h"

#include <cstdlib>
#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

constexpr char kSample[] = "conform/testdata/newmdb_4k.txt.gz";

constexpr char kHeader[] =
    "# some kernel\n"
    "# suite=0 spaces=2 vbase=40000000 wlog=14 nseq=1 nops=3\n"
    "# probes: 0 3\n";

constexpr char kWhole[] =
    "seq 7 seed=1007\n"
    "st 0 | 0w 3w | - -\n"
    "op 1 ipc src=0 dst=1 rcv=400000e0 map=00000000:400030c5 grant=40001000:400010d7\n"
    "ret 1 stag=00008100 serr=00000008 rtag=00008100 rerr=00000009 "
    "mr=00000009,400030c5,0,fffffc1a\n"
    "st 1 | 0w 3w | 3r -\n"
    "ev 1 kdb=2\n"
    "# a remark\n"
    "op 2 unmap sp=0 flush=1 fp=400000c7 fp=00000012\n"
    "ret 2 fp=400000c5 fp=00000010\n"
    "st 2 | - 3w | 3r -\n"
    "op 3 touch sp=1 page=2 acc=r\n"
    "ret 3 fault=5\n"
    "st 3 | - 3w | 3r -\n"
    "op 4 touch sp=1 page=0 acc=r\n"
    "ret 4 ok frame=3\n"
    "st 4 | - 3w | 3r -\n"
    "op 5 touch sp=0 page=3 acc=w\n"
    "ret 5 ok\n"
    "st 5 | - 3w | 3r -\n"
    "op 6 touch sp=0 page=3 acc=rw\n"
    "ret 6 ok\n"
    "st 6 | - 3w | 3r -\n"
    "seq 8 seed=1008\n"
    "st 0 | 0w 3w | - -\n";

Recording Parsed(const std::string& text) {
  absl::StatusOr<Recording> r = ParseRecording("f.txt", text);
  EXPECT_TRUE(r.ok()) << r.status();
  return r.ok() ? *r : Recording{};
}

TEST(RecordingTest, HeaderGivesTheShape) {
  const Recording r = Parsed(absl::StrCat(kHeader, kWhole));
  EXPECT_EQ(r.file, "f.txt");
  EXPECT_EQ(r.kernel, "some kernel");
  EXPECT_EQ(r.suite, 0u);
  EXPECT_EQ(r.spaces, 2u);
  EXPECT_EQ(r.window_base, 0x40000000u);
  EXPECT_EQ(r.window_log2, 14u);
  EXPECT_EQ(r.probes, (std::vector<uint32_t>{0, 3}));
}

TEST(RecordingTest, SequencesAreNumberedAndHaveAResetState) {
  const Recording r = Parsed(absl::StrCat(kHeader, kWhole));
  ASSERT_EQ(r.sequences.size(), 2u);
  EXPECT_EQ(r.sequences[0].number, 7u);
  EXPECT_EQ(r.sequences[0].seed, 1007u);
  EXPECT_EQ(r.sequences[0].line, 4);
  EXPECT_EQ(r.sequences[0].initial,
            (State{{PageAccess::kWritable, 0}, {PageAccess::kWritable, 3}, {}, {}}));
  EXPECT_TRUE(r.sequences[1].steps.empty());
}

TEST(RecordingTest, CountIsOneStepAnOperationLine) {
  EXPECT_EQ(Parsed(absl::StrCat(kHeader, kWhole)).Count(), 6u);
}

TEST(RecordingTest, Ipc) {
  const Recording r = Parsed(absl::StrCat(kHeader, kWhole));
  const Step& step = r.sequences[0].steps[0];
  EXPECT_EQ(step.number, 1u);
  EXPECT_EQ(step.line, 6);
  EXPECT_EQ(step.debugger_entries, 2u);
  const auto& op = std::get<IpcOp>(step.op);
  EXPECT_EQ(op.source, 0u);
  EXPECT_EQ(op.target, 1u);
  EXPECT_EQ(op.window, 0x400000e0u);
  ASSERT_EQ(op.items.size(), 2u);
  EXPECT_EQ(op.items[0].kind, ItemKind::kMap);
  EXPECT_EQ(op.items[0].send_base, 0u);
  EXPECT_EQ(op.items[0].send_fpage, 0x400030c5u);
  EXPECT_EQ(op.items[1].kind, ItemKind::kGrant);
  EXPECT_EQ(op.items[1].send_base, 0x40001000u);
  const auto& ret = std::get<IpcReturn>(step.result);
  EXPECT_EQ(ret.sender_tag, 0x8100u);
  EXPECT_EQ(ret.sender_error, 8u);
  EXPECT_EQ(ret.receiver_tag, 0x8100u);
  EXPECT_EQ(ret.receiver_error, 9u);
  EXPECT_EQ(ret.registers, (std::vector<uint32_t>{9, 0x400030c5, 0, 0xfffffc1a}));
  EXPECT_EQ(step.after[2], (PageState{PageAccess::kReadable, 3}));
}

TEST(RecordingTest, Unmap) {
  const Recording r = Parsed(absl::StrCat(kHeader, kWhole));
  const auto& op = std::get<UnmapOp>(r.sequences[0].steps[1].op);
  EXPECT_EQ(op.space, 0u);
  EXPECT_TRUE(op.flush);
  EXPECT_EQ(op.fpages, (std::vector<uint32_t>{0x400000c7, 0x12}));
  const auto& ret = std::get<UnmapReturn>(r.sequences[0].steps[1].result);
  EXPECT_EQ(ret.fpages, (std::vector<uint32_t>{0x400000c5, 0x10}));
}

TEST(RecordingTest, Touch) {
  const Recording r = Parsed(absl::StrCat(kHeader, kWhole));
  const std::vector<Step>& steps = r.sequences[0].steps;
  EXPECT_EQ(std::get<TouchOp>(steps[2].op).page, 2u);
  EXPECT_FALSE(std::get<TouchReturn>(steps[2].result).ok);
  EXPECT_EQ(std::get<TouchReturn>(steps[2].result).fault, 5u);
  EXPECT_EQ(std::get<TouchOp>(steps[3].op).kind, TouchKind::kRead);
  EXPECT_EQ(std::get<TouchReturn>(steps[3].result).frame, 3u);
  EXPECT_EQ(std::get<TouchOp>(steps[4].op).kind, TouchKind::kWrite);
  EXPECT_TRUE(std::get<TouchReturn>(steps[4].result).ok);
  EXPECT_FALSE(std::get<TouchReturn>(steps[4].result).frame.has_value());
  EXPECT_EQ(std::get<TouchOp>(steps[5].op).kind, TouchKind::kReadWrite);
}

TEST(RecordingTest, OperationsPrintAsTheyWereRead) {
  const Recording r = Parsed(absl::StrCat(kHeader, kWhole));
  for (const Step& step : r.sequences[0].steps) {
    EXPECT_NE(
        std::string(kWhole).find(absl::StrCat("op ", step.number, " ", ToString(step.op), "\n")),
        std::string::npos)
        << ToString(step.op);
  }
  EXPECT_EQ(ToString(PageState{}), "-");
  EXPECT_EQ(ToString(PageState{PageAccess::kReadable, 5}), "5r");
  EXPECT_EQ(ToString(PageState{PageAccess::kWritable, 5}), "5w");
}

// One good text with one thing changed, and the error that gives.
struct BadText {
  const char* change;  // occurs once in kHeader + kWhole
  const char* to;
  const char* error;
};

class RecordingErrorTest : public testing::TestWithParam<BadText> {};

TEST_P(RecordingErrorTest, NamesFileLineExpectedAndFound) {
  const std::string good = absl::StrCat(kHeader, kWhole);
  const size_t at = good.find(GetParam().change);
  ASSERT_NE(at, std::string::npos);
  ASSERT_EQ(good.find(GetParam().change, at + 1), std::string::npos) << "not unique";
  const std::string bad = absl::StrReplaceAll(good, {{GetParam().change, GetParam().to}});
  const absl::StatusOr<Recording> r = ParseRecording("f.txt", bad);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.status().message(), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    All, RecordingErrorTest,
    testing::Values(
        // The header.
        BadText{"# suite=0", "# suite=x", "f.txt:2: expected a suite (0 to 9), found `x`"},
        BadText{"spaces=2", "spaces=0",
                "f.txt:2: expected a number of spaces (1 to 64), found `0`"},
        BadText{" vbase=", " base=", "f.txt:2: expected ` vbase=`, found a blank"},
        BadText{"vbase=40000000", "vbase=400000000",
                "f.txt:2: expected the window's address (a 32-bit word in hex), found `400000000`"},
        BadText{"wlog=14", "wlog=11",
                "f.txt:2: expected log2 of the window's size (12 to 31), found `11`"},
        BadText{" nseq=1", "", "f.txt:2: expected ` nseq=`, found a blank"},
        BadText{"nops=3\n", "nops=3 more\n",
                "f.txt:2: expected the end of the line, found a blank"},
        BadText{"# probes: 0 3\n", "", "f.txt:3: expected `# probes:`, found `seq`"},
        BadText{"# probes: 0 3", "# probes: 0 4",
                "f.txt:3: expected a page of the window (0 to 3), found `4`"},
        BadText{"# a remark\n", "# probes: 0\n", "f.txt:10: expected `op` or `seq`, found `#`"},
        // Sequences and states.
        BadText{"seq 7 seed=1007", "seq 7",
                "f.txt:4: expected ` seed=`, found the end of the line"},
        BadText{"seq 7", "seq -7",
                "f.txt:4: expected a sequence number (0 to 4294967295), found `-7`"},
        BadText{"seed=1007\nst 0", "seed=1007\nst 1", "f.txt:5: expected `st 0`, found `st`"},
        BadText{"st 1 | 0w 3w | 3r -", "st 1 | 0w 3w | 3x -",
                "f.txt:8: expected `r` or `w`, found `x`"},
        BadText{"st 1 | 0w 3w | 3r -", "st 1 | 0w 3w | 4r -",
                "f.txt:8: expected `-` or a frame (0 to 3), found `4r`"},
        BadText{"st 1 | 0w 3w | 3r -", "st 1 | 0w 3w",
                "f.txt:8: expected ` |`, found the end of the line"},
        BadText{"st 1 | 0w 3w | 3r -", "st 1 | 0w 3w | 3r - -",
                "f.txt:8: expected the end of the line, found a blank"},
        BadText{"st 1 ", "st 2 ", "f.txt:8: expected `1`, found `2`"},
        // Operations.
        BadText{"op 2 unmap", "op 3 unmap", "f.txt:11: expected `2 `, found `3`"},
        BadText{"op 2 unmap", "op 2 remap",
                "f.txt:11: expected `ipc`, `unmap` or `touch`, found `remap`"},
        BadText{"src=0", "src=2", "f.txt:6: expected a space (0 to 1), found `2`"},
        BadText{" map=00000000", " give=00000000",
                "f.txt:6: expected ` map=` or ` grant=`, found a blank"},
        BadText{"400030c5 grant", "400030C5 grant",
                "f.txt:6: expected ` map=` or ` grant=`, found `C5`"},
        BadText{"40001000:", "40001000-", "f.txt:6: expected `:`, found `-400010d7`"},
        BadText{"flush=1", "flush=2", "f.txt:11: expected a flush bit (0 to 1), found `2`"},
        BadText{"fp=400000c7 fp", "fp= fp",
                "f.txt:11: expected an fpage (a 32-bit word in hex), found a blank"},
        BadText{"page=2", "page=9", "f.txt:14: expected a page of the window (0 to 3), found `9`"},
        BadText{"page=2 acc=r", "page=2 acc=x", "f.txt:14: expected `r`, `w` or `rw`, found `x`"},
        // Returns.
        BadText{"ret 1 stag", "ret 2 stag", "f.txt:7: expected `1`, found `2`"},
        BadText{",fffffc1a", "", "f.txt:7: expected `,`, found the end of the line"},
        BadText{"fp=400000c5 fp=00000010", "fp=400000c5",
                "f.txt:12: expected ` fp=`, found the end of the line"},
        BadText{"fault=5", "fault=8",
                "f.txt:15: expected the fault's access bits (1 to 7), found `8`"},
        BadText{"ret 3 fault=5", "ret 3 good", "f.txt:15: expected `ok` or `fault=`, found `good`"},
        BadText{"ok frame=3", "ok", "f.txt:18: expected ` frame=`, found the end of the line"},
        BadText{"ret 5 ok", "ret 5 ok frame=3",
                "f.txt:21: expected the end of the line, found a blank"},
        // Events.
        BadText{"ev 1 kdb=2", "ev 2 kdb=2", "f.txt:9: expected `1`, found `2`"},
        BadText{"kdb=2", "kdb=0",
                "f.txt:9: expected a number of debugger entries (1 to 4294967295), found `0`"},
        // Lines out of turn, unknown or cut off.
        BadText{"ev 1 kdb=2\n", "ev 1 kdb=2\nev 1 kdb=2\n",
                "f.txt:10: expected `op` or `seq`, found `ev`"},
        BadText{"ret 2 fp=400000c5 fp=00000010\n", "", "f.txt:12: expected `ret`, found `st`"},
        BadText{"ret 6 ok\nst 6 | - 3w | 3r -\n", "ret 6 ok\n",
                "f.txt:25: expected `st`, found `seq`"},
        BadText{"# a remark\n", "\n",
                "f.txt:10: expected `op` or `seq`, found the end of the line"},
        BadText{"# a remark\n", "remark\n", "f.txt:10: expected `op` or `seq`, found `remark`"},
        BadText{"seed=1008\nst 0 | 0w 3w | - -\n", "seed=1008\nst 0 | 0w 3w | - -",
                "f.txt:27: expected a whole line, found the end of the file"},
        BadText{"seed=1008\nst 0 | 0w 3w | - -\n", "seed=1008\n",
                "f.txt:27: expected `st 0`, found the end of the file"}));

TEST(RecordingErrorTest, FilesWithoutContents) {
  EXPECT_EQ(ParseRecording("f.txt", "").status().message(),
            "f.txt:1: expected a `# suite=` line, found the end of the file");
  EXPECT_EQ(ParseRecording("f.txt", kHeader).status().message(),
            "f.txt:4: expected a `seq` line, found the end of the file");
}

// ---- Files ----

std::string Temporary(const std::string& name, const std::string& bytes) {
  const std::string path = absl::StrCat(testing::TempDir(), "/", name);
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string Bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

TEST(RecordingFileTest, PackedAndPlainFilesReadAlike) {
  const absl::StatusOr<std::string> text = ReadTextFile(kSample);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(ReadTextFile(Temporary("plain.txt", *text)).value(), *text);
}

TEST(RecordingFileTest, CountOfTheSampleIsItsNumberOfOperationLines) {
  const std::string text = ReadTextFile(kSample).value();
  uint64_t operations = 0;
  for (size_t at = text.find("\nop "); at != std::string::npos; at = text.find("\nop ", at + 1)) {
    operations++;
  }
  const absl::StatusOr<Recording> r = ReadRecording(kSample);
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_EQ(r->sequences.size(), 100u);
  EXPECT_EQ(operations, 2400u);
  EXPECT_EQ(r->Count(), operations);
}

TEST(RecordingFileTest, DamagedAndMissingFilesAreErrors) {
  const std::string packed = Bytes(kSample);
  ASSERT_GT(packed.size(), 1000u);
  const std::string cut = Temporary("cut.txt.gz", packed.substr(0, packed.size() / 2));
  EXPECT_EQ(ReadRecording(cut).status().code(), absl::StatusCode::kDataLoss);
  std::string damaged = packed;
  damaged[packed.size() / 2] ^= 0x55;
  EXPECT_EQ(ReadRecording(Temporary("bad.txt.gz", damaged)).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadRecording("/nonexistent/x.txt").status().message(),
            "/nonexistent/x.txt: cannot be opened: No such file or directory");
  EXPECT_EQ(ReadRecording(testing::TempDir()).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace conform
