// The replay of small recordings, and that whatever is falsified in one is noticed.
#include "conform/uvm.h"

#include <fstream>
#include <iterator>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "conform/outcome.h"
#include "conform/uvm_naive_bench.h"
#include "conform/uvm_recording.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

constexpr char kHead[] =
    "# boot pages=64 free=64 freemin=32 freetarg=42 reserve_kernel=5 wiredmax=21\n";

constexpr char kGood[] = R"(seq one pages=64 va=0x100000-0x140000 dir=up
C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0
0 objcreate n=4 id=0 -> OK
1 map s=0 kind=priv va=0x100000 n=4 prot=rw- max=rwx inh=c adv=n align=0x0 fl=F -> OK va=0x100000
E+ 0 0x100000-0x104000 rw-/rwx cn w0 cow+nc obj=- am=-
M 0 n=1 sz=4 res=0 wir=0
2 write s=0 0x101000 val=11 -> OK
E+ 0 0x100000-0x104000 rw-/rwx cn w0 cow obj=- am=1/1
M 0 n=1 sz=4 res=1 wir=0
3 map s=0 kind=objsh va=0x100000 n=2 obj=0 off=0x1000 prot=rw- max=rw- inh=s adv=r align=0x0 fl=)"
                         R"( -> OK va=0x104000
E+ 0 0x104000-0x106000 rw-/rw- sr w0 - obj=0@0x1000 am=-
4 protect s=0 0x101000-0x102000 prot=r-- setmax=0 -> OK
E+ 0 0x100000-0x101000 rw-/rwx cn w0 cow obj=- am=3/0
E+ 0 0x101000-0x102000 r--/rwx cn w0 cow obj=- am=3/1
E+ 0 0x102000-0x104000 rw-/rwx cn w0 cow obj=- am=3/0
5 write s=0 0x101000 val=12 -> EFAULT
6 fork s=0 new=3 -> OK
E+ 0 0x100000-0x101000 rw-/rwx cn w0 cow+nc obj=- am=6/0
E+ 0 0x101000-0x102000 r--/rwx cn w0 cow+nc obj=- am=6/1
E+ 0 0x102000-0x104000 rw-/rwx cn w0 cow+nc obj=- am=6/0
E+ 3 0x100000-0x101000 rw-/rwx cn w0 cow+nc obj=- am=6/0
E+ 3 0x101000-0x102000 r--/rwx cn w0 cow+nc obj=- am=6/1
E+ 3 0x102000-0x104000 rw-/rwx cn w0 cow+nc obj=- am=6/0
E+ 3 0x104000-0x106000 rw-/rw- sr w0 - obj=0@0x1000 am=-
7 read s=3 0x101000 -> OK val=11
8 loan s=0 0x101000 n=1 to=page id=0 -> OK
9 checkprot s=0 0x100000-0x102000 prot=r-- -> 1
final-views
final-contents
X 0 0x101000 11.00
X 3 0x107000 !EFAULT
C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=1 amaps=1 swavail=0
teardown
L 0 11.00
10 unloan id=0 -> OK
11 objdetach id=0 -> OK
12 exit s=3 -> OK
E- 3 0x100000
E- 3 0x101000
E- 3 0x102000
E- 3 0x104000
E+ 0 0x100000-0x101000 rw-/rwx cn w0 cow+nc obj=- am=3/0
E+ 0 0x101000-0x102000 r--/rwx cn w0 cow+nc obj=- am=3/1
E+ 0 0x102000-0x104000 rw-/rwx cn w0 cow+nc obj=- am=3/0
13 exit s=0 -> OK
E- 0 0x100000
E- 0 0x101000
E- 0 0x102000
E- 0 0x104000
C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0
end
)";
constexpr uint64_t kSteps = 14 + 2 + 1 + 1;

Outcome Replay(const std::string& text, UvmScope scope = UvmScope::kMeaning) {
  const absl::StatusOr<UvmRecording> r = ParseUvmRecording("f.txt", absl::StrCat(kHead, text));
  EXPECT_TRUE(r.ok()) << r.status();
  return r.ok() ? RunUvmRecording(*r, UvmNaiveBench::Make, scope) : Outcome();
}
// "FIELD of WHERE: recorded X, ours Y" of the first disagreement, or "none".
std::string First(const Outcome& o) {
  EXPECT_EQ(o.agree + o.disagreements + o.after_difference + o.not_replayed, o.steps);
  if (!o.first.has_value()) return "none";
  return absl::StrCat(o.first->field, " of ", o.first->where, ": recorded ", o.first->recorded,
                      ", ours ", o.first->ours);
}
std::string Changed(const std::string& from, const std::string& to) {
  const std::string text = kGood;
  EXPECT_NE(text.find(from), std::string::npos) << from;
  EXPECT_EQ(text.find(from), text.rfind(from)) << from;
  return absl::StrReplaceAll(text, {{from, to}});
}

TEST(UvmReplayTest, AGoodRecordingAgreesInFull) {
  const Outcome o = Replay(kGood);
  EXPECT_EQ(First(o), "none");
  EXPECT_EQ(o.steps, kSteps);
  EXPECT_EQ(o.agree, kSteps);
}

TEST(UvmReplayTest, WhatIsFalsifiedIsNoticed) {
  EXPECT_EQ(First(Replay(Changed("val=12 -> EFAULT", "val=12 -> OK"))),
            "result of : recorded OK, ours EFAULT");
  EXPECT_EQ(First(Replay(Changed(" -> OK va=0x104000", " -> OK va=0x105000"))),
            "result of : recorded OK va=0x105000, ours OK va=0x104000");
  EXPECT_EQ(First(Replay(Changed("0x101000 -> OK val=11", "0x101000 -> OK val=10"))),
            "result of : recorded OK val=10, ours OK val=11");
  EXPECT_EQ(First(Replay(Changed("prot=r-- -> 1", "prot=r-- -> 0"))),
            "result of : recorded 0, ours 1");
  EXPECT_EQ(First(Replay(Changed("0x104000-0x106000 rw-/rw- sr w0 - obj=0@0x1000 am=-\n4",
                                 "0x104000-0x106000 rw-/rwx sr w0 - obj=0@0x1000 am=-\n4"))),
            "page of space 0 0x104000: recorded rw-/rwx sr object 0@0x1000, ours rw-/rw- sr "
            "object 0@0x1000");
  EXPECT_EQ(First(Replay(Changed("X 0 0x101000 11.00", "X 0 0x101000 11.01"))),
            "contents of 0x101000: recorded 11.01, ours 11.00");
  EXPECT_EQ(First(Replay(Changed("!EFAULT", "00.00"))),
            "contents of 0x107000: recorded 00.00, ours !EFAULT");
  EXPECT_EQ(First(Replay(Changed("L 0 11.00", "L 0 12.00"))),
            "contents of : recorded 12.00, ours 11.00");
  EXPECT_EQ(
      First(Replay(Changed("11 objdetach id=0 -> OK\n12 exit s=3 -> OK\nE- 3 0x100000\n"
                           "E- 3 0x101000\nE- 3 0x102000\nE- 3 0x104000\n"
                           "E+ 0 0x100000-0x101000 rw-/rwx cn w0 cow+nc obj=- am=3/0\n"
                           "E+ 0 0x101000-0x102000 r--/rwx cn w0 cow+nc obj=- am=3/1\n"
                           "E+ 0 0x102000-0x104000 rw-/rwx cn w0 cow+nc obj=- am=3/0\n13",
                           "11"))),
      "leaks of : recorded 0 pages, 0 anons, 0 amaps, 0 slots, ours 1 pages, 1 anons, 2 amaps, "
      "0 slots");
}

// Boundaries, reference counts and flags of entries are structure.
TEST(UvmReplayTest, StructureIsComparedOnDemandOnly) {
  EXPECT_EQ(First(Replay(kGood, UvmScope::kStructure)), "none");
  const std::string changed = Changed("0x100000-0x104000 rw-/rwx cn w0 cow obj=- am=1/1",
                                      "0x100000-0x104000 rw-/rwx cn w0 cow obj=- am=1/2");
  EXPECT_EQ(First(Replay(changed)), "none");
  EXPECT_EQ(First(Replay(changed, UvmScope::kStructure)),
            "amap slots of entry: recorded 0 0x100000-0x104000 rw-/rwx cn w0 cow obj=- am=1/2, "
            "ours 0 0x100000-0x104000 rw-/rwx cn w0 cow obj=- am=1/1");
}

TEST(UvmReplayTest, ADifferenceEndsItsSequence) {
  const std::string bad = Changed("val=12 -> EFAULT", "val=12 -> OK");
  const Outcome o = Replay(absl::StrCat(bad, kGood));
  EXPECT_EQ(o.disagreements, 1u);
  EXPECT_EQ(o.agree, 5 + kSteps);
  EXPECT_EQ(o.after_difference, kSteps - 6);
}

TEST(UvmReplayTest, ATriggerExcusesWhatComesBehindIt) {
  const Outcome o = Replay(Changed("5 write", "trigger B3\n5 write") + "");
  EXPECT_EQ(o.NamedCount(), 0u);
  const std::string bad = absl::StrReplaceAll(
      kGood, {{"val=12 -> EFAULT", "val=12 -> OK"}, {"4 protect", "trigger B3\n4 protect"}});
  const Outcome excused = Replay(bad);
  EXPECT_EQ(First(excused), "none");
  EXPECT_EQ(excused.named.at("grown-shared-memory-works"), 1u);
  EXPECT_EQ(excused.after_difference, kSteps - 6);
  // Nobody knows that one.
  EXPECT_EQ(Replay(absl::StrReplaceAll(bad, {{"trigger B3", "trigger B99"}})).disagreements, 1u);
}

constexpr char kQuirk[] = R"(seq q pages=64 va=0x100000-0x140000 dir=down
C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0
0 findspace s=0 hint=0x140000 n=1 align=0x0 fl= -> OK va=0x108000
quirk N7 nearest=0x13f000
1 map s=0 kind=priv va=0x140000 n=1 prot=rw- max=rwx inh=c adv=n align=0x0 fl= -> OK va=0x108000
quirk N7 nearest=0x13f000
E+ 0 0x108000-0x109000 rw-/rwx cn w0 cow+nc obj=- am=-
2 map s=0 kind=priv va=0x140000 n=2 prot=rw- max=rwx inh=c adv=n align=0x0 fl= -> ENOMEM
quirk N7 nearest=0x13e000
final-views
final-contents
C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0
teardown
3 exit s=0 -> OK
E- 0 0x108000
C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0
end
)";

// Ours must be the nearest; then it goes on as the recording did.
TEST(UvmReplayTest, ASearchThatWentAstrayIsNamedAndFollowed) {
  const Outcome o = Replay(kQuirk);
  EXPECT_EQ(First(o), "none");
  EXPECT_EQ(o.agree, 5u);
  EXPECT_EQ(o.named.at("topdown-search-from-the-end"), 3u);
  EXPECT_EQ(First(Replay(absl::StrReplaceAll(kQuirk, {{"0x13e000", "0x13d000"}}))),
            "result of : recorded OK va=0x13d000, ours OK va=0x13e000");
}

constexpr char kChecks[] = R"(seq B4-mlockall pages=64 va=0x100000-0x140000 dir=up
C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0
0 map s=0 kind=priv va=0x100000 n=2 prot=rw- max=rwx inh=c adv=n align=0x0 fl=F -> OK va=0x100000
E+ 0 0x100000-0x102000 rw-/rwx cn w0 cow+nc obj=- am=-
1 write s=0 0x100000 val=07 -> OK
check write got=0 sane=0 SANE
2 read s=0 0x100000 -> OK val=09
check c got=9 sane=7 DIFFERS
3 read s=0 0x109000 -> EFAULT
check hole got=-14 sane=-14 SANE
4 wire s=0 0x100000-0x101000 -> OK
E+ 0 0x100000-0x101000 rw-/rwx cn w1 cow obj=- am=2/1
E+ 0 0x101000-0x102000 rw-/rwx cn w0 cow obj=- am=2/0
check A.wired_count got=1 sane=1 SANE
check A.page.wire_count got=1 sane=1 SANE
check uvmexp.wired got=1 sane=1 SANE
check map size pages got=2 sane=3 DIFFERS
final-views
final-contents
C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0
teardown
5 exit s=0 -> OK
E- 0 0x100000
E- 0 0x101000
C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0
end
)";

// Checks are held against what is sane, also behind a difference.
TEST(UvmReplayTest, ChecksGoByTheSaneValue) {
  const Outcome o = Replay(kChecks);
  EXPECT_EQ(o.by_field.at("result"), 1u);  // the read of 7 that was recorded as 9
  EXPECT_EQ(o.by_field.at("check"), 1u);   // nobody has three pages
  EXPECT_EQ(o.agree, 2u + 6u);
  EXPECT_EQ(o.after_difference, 4u);
}

TEST(UvmReplayTest, EveryFieldIsInTheReadme) {
  std::ifstream in("conform/README.md");
  const std::string readme((std::istreambuf_iterator<char>(in)), {});
  ASSERT_FALSE(readme.empty());
  for (const FieldRule& rule : UvmFieldTable()) {
    const std::string row =
        absl::StrCat("| `", rule.line, "` | ", rule.field, " | ",
                     rule.compared == Compared::kYes ? "yes" : "no", " | ", rule.reason, " |\n");
    EXPECT_NE(readme.find(row), std::string::npos) << row;
  }
}

}  // namespace
}  // namespace conform
