// The parser of measured facts: every kind of line, every kind of error.
#include "conform/facts.h"

#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

constexpr char kGood[] =
    "# a remark\n"
    "# root=c8001 local=bf000100 kip=bff00000 utcbarea=bf000000 utcbsize=200 minarea=1000\n"
    "# helper 0 = cc001\n"
    "# helper 1 = d0001\n"
    "fact a: h0 tag=00008081 err=288 from=eeeeeeee act=d8001 mr1=77 mr2=10000 mr3=40c000 mr4=104\n"
    "fact a: h1 blocked\n"
    "# another\n"
    "fact b: h1 r=bf000700,2,410f90,40066a,3287,abcd,c8001 err=8\n"
    "fact c: r=6 tc=27100000 err=0\n"
    "fact d: 004000a5\n"
    "fact e: tag=00000080 err=0 w0=02000008 fpage=020000c7\n";

TEST(FactsTest, MachineAndHelpers) {
  const auto r = ParseFacts("f", kGood);
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_EQ(r->machine.root, 0xc8001u);
  EXPECT_EQ(r->machine.root_local, 0xbf000100u);
  EXPECT_EQ(r->machine.kip_area, 0xbff00000u);
  EXPECT_EQ(r->machine.utcb_area, 0xbf000000u);
  EXPECT_EQ(r->machine.utcb_bytes, 0x200u);
  EXPECT_EQ(r->machine.min_utcb_area_bytes, 0x1000u);
  EXPECT_EQ(r->machine.helpers, (std::vector<uint32_t>{0xcc001, 0xd0001}));
  EXPECT_EQ(r->Count(), 6u);
}

TEST(FactsTest, EachKindOfFact) {
  const auto r = ParseFacts("f", kGood);
  ASSERT_TRUE(r.ok()) << r.status();
  const auto& ipc = std::get<IpcFact>(r->facts[0].value);
  EXPECT_EQ(r->facts[0].helper, 0u);
  EXPECT_EQ(r->facts[0].line, 5);
  EXPECT_EQ(ipc.tag, 0x8081u);
  EXPECT_EQ(ipc.error, 0x288u);
  EXPECT_EQ(ipc.from, kUntouchedFrom);
  EXPECT_EQ(ipc.actual_sender, 0xd8001u);
  EXPECT_EQ(ipc.mr[2], 0x40c000u);
  EXPECT_TRUE(std::holds_alternative<BlockedFact>(r->facts[1].value));
  const auto& call = std::get<CallFact>(r->facts[2].value);
  EXPECT_EQ(call.results[0], 0xbf000700u);
  EXPECT_EQ(call.results[5], 0xabcdu);
  EXPECT_EQ(call.error, 8u);
  EXPECT_FALSE(r->facts[3].helper.has_value());
  EXPECT_EQ(std::get<ScheduleFact>(r->facts[3].value).time_control, 0x27100000u);
  EXPECT_EQ(std::get<UnmapFact>(r->facts[4].value).fpage, 0x4000a5u);
  EXPECT_EQ(std::get<Sigma0Fact>(r->facts[5].value).fpage, 0x20000c7u);
}

TEST(FactsTest, FactsPrintAsTheyWereRead) {
  const auto r = ParseFacts("f", kGood);
  ASSERT_TRUE(r.ok()) << r.status();
  for (const Fact& fact : r->facts) {
    const std::string line = absl::StrCat("fact ", Title(fact), " ", ToString(fact.value), "\n");
    EXPECT_NE(std::string(kGood).find(line), std::string::npos) << line;
  }
}

TEST(FactsTest, AreToldFromSequences) {
  EXPECT_TRUE(LooksLikeFacts(kGood));
  EXPECT_FALSE(LooksLikeFacts("# suite=0 spaces=2\n"));
}

struct BadText {
  const char* change;  // occurs once in kGood
  const char* to;
  const char* error;
};

class FactsErrorTest : public testing::TestWithParam<BadText> {};

TEST_P(FactsErrorTest, NamesFileLineExpectedAndFound) {
  const std::string good = kGood;
  const size_t at = good.find(GetParam().change);
  ASSERT_NE(at, std::string::npos);
  ASSERT_EQ(good.find(GetParam().change, at + 1), std::string::npos) << "not unique";
  const auto r = ParseFacts("f", absl::StrReplaceAll(good, {{GetParam().change, GetParam().to}}));
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.status().message(), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    All, FactsErrorTest,
    testing::Values(
        BadText{"# root=c8001", "# ruut=c8001", "f:3: expected `# root=`, found `#`"},
        BadText{" kip=", " kup=", "f:2: expected ` kip=`, found a blank"},
        BadText{"minarea=1000", "minarea=1000 x",
                "f:2: expected the end of the line, found a blank"},
        BadText{"# another", "# root=1", "f:7: expected one machine, found `#`"},
        BadText{"# helper 1", "# helper 2", "f:4: expected `1 = `, found `2`"},
        BadText{"# another", "# helper 2 = 1",
                "f:7: expected helpers between machine and facts, found `2`"},
        BadText{"# another", "remark", "f:7: expected `fact `, found `remark`"},
        BadText{"# another", "", "f:7: expected `fact `, found the end of the line"},
        BadText{"fact b: h1", "fact b: h2", "f:8: expected a helper (0 to 1), found `2`"},
        BadText{"fact b:", "fact b", "f:8: expected `: `, found a blank"},
        BadText{"fact a: h1 blocked", "fact a: h0 blocked",
                "f:6: expected `a: h0` once, found the end of the line"},
        BadText{"h1 blocked", "h1 blacked", "f:6: expected `tag=`, found `blacked`"},
        BadText{"h1 blocked", "h1 blocked ", "f:6: expected the end of the line, found a blank"},
        BadText{"tag=00008081", "tag=0x8081", "f:5: expected ` err=`, found `x8081`"},
        BadText{" mr4=104", "", "f:5: expected ` mr4=`, found the end of the line"},
        BadText{"3287,abcd,c8001", "3287,abcd", "f:8: expected `,`, found a blank"},
        BadText{"err=8\n", "err=\n",
                "f:8: expected an error code (a 32-bit word in hex), found the end of the line"},
        BadText{" tc=", " tk=", "f:9: expected ` tc=`, found a blank"},
        BadText{"d: 004000a5", "d: 1004000a5",
                "f:10: expected `h`, `r=`, `tag=` or an fpage (a 32-bit word in hex), found "
                "`1004000a5`"},
        BadText{" w0=", " w1=", "f:11: expected ` w0=`, found a blank"},
        BadText{"fpage=020000c7\n", "fpage=020000c7",
                "f:11: expected a whole line, found the end of the file"}));

TEST(FactsErrorTest, FilesWithoutContents) {
  EXPECT_EQ(ParseFacts("f", "").status().message(),
            "f:1: expected a `# root=` line, found the end of the file");
  EXPECT_EQ(ParseFacts("f",
                       "# root=c8001 local=bf000100 kip=bff00000 utcbarea=bf000000 utcbsize=200 "
                       "minarea=1000\n")
                .status()
                .message(),
            "f:2: expected a `fact` line, found the end of the file");
}

}  // namespace
}  // namespace conform
