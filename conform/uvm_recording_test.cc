// The format of the recordings of the real UVM: every file of it, and what is not of it.
#include "conform/uvm_recording.h"

#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "conform/recording.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

// ---- Whole recordings ----

struct File {
  const char* name;
  uint64_t count;
  size_t sequences;
};

constexpr File kFiles[] = {
    {"a_nopressure_clean_00", 22327, 192}, {"a_nopressure_clean_01", 22527, 204},
    {"a_nopressure_wild_00", 21061, 182},  {"b_pressure_clean_00", 24053, 145},
    {"b_pressure_clean_01", 23615, 143},   {"b_pressure_clean_02", 24451, 146},
    {"b_pressure_wild_00", 23283, 146},    {"b_pressure_wild_01", 726, 4},
    {"d_directed_00", 3356, 55},           {"d_directed_nodiag_00", 3381, 55},
    {"e_swapioerr_clean_00", 24485, 147},  {"f_findspace_00", 24331, 165},
    {"h_inflight_clean_00", 23518, 163},   {"l_loan_clean_00", 26998, 240},
    {"l_loan_clean_01", 677, 5},           {"p_filepager_clean_00", 23502, 142},
    {"s_syscall_clean_00", 23107, 208},    {"s_syscall_wild_00", 17007, 150},
    {"x_hang_or_panic_00", 662, 3},        {"x_stale_expected_00", 15259, 80},
    {"x_stale_object_page_00", 15259, 80},
};

class UvmFileTest : public testing::TestWithParam<File> {};

INSTANTIATE_TEST_SUITE_P(All, UvmFileTest, testing::ValuesIn(kFiles),
                         [](const auto& info) { return std::string(info.param.name); });

// Counted without the parser, by how lines begin.
uint64_t StepLines(const std::vector<absl::string_view>& lines) {
  uint64_t count = 0;
  for (size_t i = 0; i < lines.size(); i++) {
    if (lines[i].empty()) continue;
    if (absl::ascii_isdigit(lines[i][0])) count++;
    for (const char* begin : {"X ", "L ", "STORE ", "check "}) {
      if (absl::StartsWith(lines[i], begin)) count++;
    }
    if (lines[i] == "end" && absl::StartsWith(lines[i - 1], "C ")) count++;
  }
  return count;
}

// As the recording writes it; empty for kinds of lines that nothing prints.
std::string Printed(const UvmLine& l) {
  if (const auto* o = std::get_if<UvmOpLine>(&l.what)) {
    return absl::StrCat(
        o->number, " ", ToString(o->op),
        o->result.missing ? "" : absl::StrCat(" -> ", ToString(o->result, o->op.call)));
  }
  if (const auto* e = std::get_if<UvmEntry>(&l.what)) return absl::StrCat("E+ ", ToString(*e));
  if (const auto* c = std::get_if<UvmCounters>(&l.what)) return absl::StrCat("C ", ToString(*c));
  if (const auto* x = std::get_if<UvmContents>(&l.what)) {
    std::string text = absl::StrCat("X ", x->space, " 0x", absl::Hex(x->start));
    for (const UvmPageBytes& bytes : x->pages) absl::StrAppend(&text, " ", ToString(bytes));
    return text;
  }
  return "";
}

// What was parsed prints as it stands in the file, so nothing of it was lost.
TEST_P(UvmFileTest, ParsesWholeAndPrintsAsItStands) {
  const std::string path = absl::StrCat("conform/testdata/netbsd_uvm/", GetParam().name, ".txt.gz");
  const absl::StatusOr<std::string> text = ReadTextFile(path);
  ASSERT_TRUE(text.ok()) << text.status();
  const absl::StatusOr<UvmRecording> recording = ParseUvmRecording(path, *text);
  ASSERT_TRUE(recording.ok()) << recording.status();
  const std::vector<absl::string_view> lines = absl::StrSplit(*text, '\n');
  EXPECT_EQ(recording->Count(), StepLines(lines));
  EXPECT_EQ(recording->Count(), GetParam().count);
  EXPECT_EQ(recording->sequences.size(), GetParam().sequences);
  for (const UvmSequence& sequence : recording->sequences) {
    for (const UvmLine& l : sequence.lines) {
      const std::string printed = Printed(l);
      if (printed.empty()) continue;
      ASSERT_EQ(printed, lines[l.line - 1]) << l.line;
    }
  }
}

// ---- Lines ----

constexpr char kGood[] =
    R"(# boot pages=200 free=200 freemin=32 freetarg=42 reserve_kernel=5 wiredmax=66
seq one pages=200 va=0x100000-0x300000 dir=down
C free=200 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0
note what it is about
0 objcreate n=4 id=0 -> OK
1 map s=0 kind=objpriv va=0x102000 n=3 obj=0 off=0x1000)"
    R"( prot=r-x max=rwx inh=c adv=s align=0x8000 fl=FUN -> OK va=0x102000
E+ 0 0x102000-0x105000 r-x/rwx cs w0 cow+nc+nm obj=0@0x1000 am=-
M 0 n=1 sz=3 res=0 wir=0
trigger B1
2 fork s=0 new=1 -> OK
E+ 1 0x102000-0x105000 r-x/rwx cs w2 - obj=-1@0x1000 am=2/3S
quirk N7 nearest=0x0
3 read s=1 0x102800 -> OK val=0a
V 1 0x102000 pte=-rW pg=aA-
check what is, got=7 in it got=-14 sane=10 DIFFERS
GET id=0 pg=1 n=1 acc=r-- io=1 -> EINVAL
PUT id=0 pg=0 n=4 fl=CF wrote=2 freed=1
4 sys_mmap s=0 addr=0x0 len=0xffffffffffffffff prot=7 fl=0x1001 fd=-1 pos=0x0 -> ENOMEM
5 sys_mincore s=0 addr=0x102000 len=0x3000 -> OK vec=011
6 voaddr s=0 0x102000 s2=1 0x102000 -> OK/FAIL
7 findspace s=0 hint=0x0 n=1 align=0x0 fl= -> NONE
8 ioerr read=2 -> OK
9 checkprot s=0 0x102000-0x105000 prot=r-- -> 1
final-views
V 1 0x102000 pte=-r pg=sq
final-contents
X 1 0x102000 0a.00 !EFAULT
C free=199 act=1 inact=0 wired=0 swu=0 swo=0 anons=1 amaps=1 swavail=0
teardown
L 0 11.00 12.00
10 exit s=0 -> OK
E- 0 0x102000
STORE id=0 01.02 08.0d
C free=200 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0
end

)";

std::string ErrorOf(const std::string& text) {
  const absl::StatusOr<UvmRecording> r = ParseUvmRecording("f", text);
  return r.ok() ? "ok" : std::string(r.status().message());
}
// The good text with `from`, which occurs once, replaced.
std::string Changed(const std::string& from, const std::string& to) {
  const std::string text = kGood;
  EXPECT_NE(text.find(from), std::string::npos) << from;
  EXPECT_EQ(text.find(from), text.rfind(from)) << from;
  return absl::StrReplaceAll(text, {{from, to}});
}

TEST(UvmRecordingTest, ReadsEveryKindOfLine) {
  const absl::StatusOr<UvmRecording> r = ParseUvmRecording("f", kGood);
  ASSERT_TRUE(r.ok()) << r.status();
  ASSERT_EQ(r->sequences.size(), 1u);
  const UvmSequence& s = r->sequences[0];
  EXPECT_EQ(s.name, "one");
  EXPECT_EQ(s.pages, 200u);
  EXPECT_EQ(s.start, 0x100000u);
  EXPECT_EQ(s.end, 0x300000u);
  EXPECT_TRUE(s.topdown);
  EXPECT_FALSE(s.abnormal);
  EXPECT_EQ(r->Count(), 11u + 5u);  // operations; check, X, L, STORE and the last C
  const auto& map = std::get<UvmOpLine>(s.lines[3].what).op;
  EXPECT_EQ(map.call, UvmCall::kMap);
  EXPECT_EQ(map.kind, static_cast<uint64_t>(UvmKind::kObjpriv));
  EXPECT_EQ(map.offset, 0x1000u);
  EXPECT_EQ(map.prot, kUvmRead | kUvmExecute);
  EXPECT_EQ(map.advice, static_cast<uint64_t>('s'));
  EXPECT_EQ(map.flags, UvmFlag('F') | UvmFlag('U') | UvmFlag('N'));
  const auto& entry = std::get<UvmEntry>(s.lines[8].what);
  EXPECT_EQ(entry.object, -1);
  EXPECT_EQ(entry.amap, (UvmAmap{2, 3, true}));
  EXPECT_EQ(entry.wired, 2u);
  EXPECT_FALSE(entry.copy_on_write);
  const auto& check = std::get<UvmCheck>(s.lines[12].what);
  EXPECT_EQ(check.what, "what is, got=7 in it");
  EXPECT_EQ(check.got, -14);
  EXPECT_EQ(check.sane, 10);
}

TEST(UvmRecordingTest, ASequenceThatWasCutShortHasNoFinalState) {
  const std::string text = Changed("3 read s=1 0x102800 -> OK val=0a\n",
                                   "3 read s=1 0x102800\nPANIC assertion failed\n"
                                   "ABNORMAL status=2\nend\n\n");
  const std::string head = text.substr(0, text.find("end\n\n") + 5);
  const absl::StatusOr<UvmRecording> r = ParseUvmRecording("f", head);
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_TRUE(r->sequences[0].abnormal);
  EXPECT_EQ(r->Count(), 4u);
}

TEST(UvmRecordingTest, ErrorsNameThePlace) {
  EXPECT_EQ(ErrorOf(""), "f:1: expected `# boot`, found the end of the file");
  EXPECT_EQ(ErrorOf(Changed("seq one", "sequence one")), "f:2: expected `seq`, found `sequence`");
  EXPECT_EQ(
      ErrorOf(Changed("0 objcreate", "1 objcreate")),
      "f:5: expected operation 0 or what belongs to the one before, or `final-views`, found `1`");
  EXPECT_EQ(ErrorOf(Changed("kind=objpriv", "kind=other")),
            "f:6: expected a word of the format, found a blank");
  EXPECT_EQ(ErrorOf(Changed("fl=FUN", "fl=FUQ")), "f:6: expected ` -> `, found `Q`");
  EXPECT_EQ(ErrorOf(Changed("r-x/rwx cs w0", "r-x/rwx qs w0")),
            "f:7: expected one of scnz, found `qs`");
  EXPECT_EQ(ErrorOf(Changed("0xffffffffffffffff", "0xfffffffffffffffff")),
            "f:18: expected an address (a 64-bit word in hex), found `fffffffffffffffff`");
  EXPECT_EQ(ErrorOf(Changed("-> ENOMEM", "-> ENOTHING")),
            "f:18: expected OK or an error, found `ENOTHING`");
  EXPECT_EQ(ErrorOf(Changed("vec=011", "vec=021")).substr(0, 30), "f:19: expected digits 0 and 1,");
  EXPECT_EQ(ErrorOf(Changed("sane=10 DIFFERS", "sane=10 SANE")),
            "f:15: expected ` DIFFERS`, found a blank");
  EXPECT_EQ(ErrorOf(Changed("pte=-rW", "pte=-r")).substr(0, 45),
            "f:14: expected as many letters as in pte=, fo");
  EXPECT_EQ(ErrorOf(Changed("0a.00 !EFAULT", "0a.00 !OK")).substr(0, 26),
            "f:27: expected an error, f");
  EXPECT_EQ(ErrorOf(Changed("final-contents\n", "")),
            "f:26: expected `V` or `final-contents`, found `X`");
  EXPECT_EQ(ErrorOf(Changed("trigger B1\n", "\n")),
            "f:10: expected `PANIC`, `CRASH` or `HANG`, found `2`");
  EXPECT_EQ(
      ErrorOf(Changed("\nend\n", "\n")),
      "f:35: expected operation 11 or what belongs to the one before, or `end`, found the end of "
      "the line");
}

}  // namespace
}  // namespace conform
