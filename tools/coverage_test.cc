#include "tools/coverage.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace tools {
namespace {

// An export of one file, a.cc, with the given arrays.
std::string Export(absl::string_view segments, absl::string_view branches = "",
                   absl::string_view expansions = "") {
  return absl::StrCat(R"({"data":[{"files":[{"filename":"a.cc","segments":[)", segments,
                      R"(],"branches":[)", branches, R"(],"expansions":[)", expansions,
                      R"(]}]}],"type":"llvm.coverage.json.export","version":"2.0.1"})");
}

std::string ErrorOf(absl::string_view json) {
  return std::string(ParseExport("x.json", json).status().message());
}

Exclusions Excluding(absl::string_view text) { return *Exclusions::Parse("list", text); }

// The table's numbers and what was missed, of one exported file and its source.
std::string Measured(const std::string& json, absl::string_view source,
                     absl::string_view exclusions = "") {
  auto files = ParseExport("x.json", json);
  if (!files.ok()) return std::string(files.status().message());
  auto coverage = Measure(files->front(), source, Excluding(exclusions));
  if (!coverage.ok()) return std::string(coverage.status().message());
  return absl::StrCat(coverage->lines_reached, "/", coverage->lines, " ", coverage->arms_reached,
                      "/", coverage->arms, " -", coverage->lines_excluded, " -",
                      coverage->arms_excluded, "\n", MissedText(*coverage));
}

TEST(CoverageTest, LinesOfRegionsThatRanAndThatDidNot) {
  constexpr char kSource[] =
      "int F(int x) {\n"
      "  if (x) {\n"
      "    return 1;\n"
      "  }\n"
      "  // why\n"
      "  return 2;\n"
      "}\n"
      "\n"
      "int G() { return 3; }\n";
  // F ran 5 times, its condition was never true; G never ran. Lines 8 and on belong to nobody.
  constexpr char kSegments[] =
      "[1,14,5,true,true,false],[2,7,5,true,true,false],[2,8,5,true,false,false],"
      "[2,9,0,true,true,true],[2,10,0,true,true,false],[4,4,5,true,false,false],"
      "[7,2,0,false,false,false],[9,9,0,true,true,false],[9,22,0,false,false,false]";
  EXPECT_EQ(Measured(Export(kSegments, "[2,7,2,8,0,5,0,0,4]"), kSource),
            "5/8 1/2 -0 -0\na.cc:3-4: never run\na.cc:9: never run\na.cc:2:7: never true: x\n");
}

TEST(CoverageTest, NeighbouringMissedLinesAreOneRange) {
  EXPECT_EQ(Measured(Export("[1,1,0,true,true,false],[3,2,0,false,false,false]"), "{\n;\n}\n"),
            "0/3 0/0 -0 -0\na.cc:1-3: never run\n");
}

TEST(CoverageTest, ALineThatThePreprocessorSkipsIsNone) {
  EXPECT_EQ(Measured(Export("[1,1,2,true,true,false],[2,1,0,false,true,false],"
                            "[3,1,2,true,false,false],[4,2,0,false,false,false]"),
                     "{\n#if 0\n#endif\n}\n"),
            "2/2 0/0 -0 -0\n");
}

TEST(CoverageTest, InstantiationsOfATemplateAreOneCondition) {
  // One instantiation saw it true, the other false.
  EXPECT_EQ(Measured(Export("[1,1,2,true,true,false],[1,9,0,false,false,false]",
                            "[1,2,1,3,1,0,0,0,4],[1,2,1,3,0,1,0,0,4]"),
                     "{x ? 1:0}\n"),
            "1/1 2/2 -0 -0\n");
}

TEST(CoverageTest, ConditionsOfMacrosCountWhereTheMacroIsUsed) {
  const std::string expansion =
      R"({"source_region":[1,2,1,5,4,0,1,1],"branches":[[76,9,76,26,0,4,1,0,4]],)"
      R"("filenames":["a.cc","m.h"],"target_regions":[]})";
  const std::string json =
      Export("[1,1,4,true,true,false],[1,10,0,false,false,false]", "", expansion);
  EXPECT_EQ(Measured(json, "{TRY(F());}\n"), "1/1 1/2 -0 -0\na.cc:1:2: never true: TRY\n");
  EXPECT_EQ(Measured(json, "{TRY(F());}\n", "assertion TRY("), "1/1 0/0 -0 -2\n");
  EXPECT_EQ(Measured(json, "{TRY(F());}\n", "assertion RETRY(\nassertion RY("),
            "1/1 1/2 -0 -0\na.cc:1:2: never true: TRY\n");
}

TEST(CoverageTest, WhatTheCompilerKnowsIsNoCondition) {
  EXPECT_EQ(
      Measured(Export("[1,1,4,true,true,false],[1,15,0,false,false,false]", "[1,9,1,13,0,0,0,0,4]"),
               "{ while(true) }\n"),
      "1/1 0/0 -0 -0\n");
}

TEST(CoverageTest, ConditionsWithinAnAssertionDoNotCountOverLines) {
  constexpr char kSource[] =
      "{CHECK(a &&  // (\n"
      "       b == ')');\n"
      " c && d;}\n";
  const std::string json =
      Export("[1,1,4,true,true,false],[3,9,0,false,false,false]",
             "[1,8,1,9,4,0,0,0,4],[2,8,2,16,4,0,0,0,4],[3,2,3,3,4,0,0,0,4],[3,7,3,8,4,1,0,0,4]");
  EXPECT_EQ(Measured(json, kSource, "assertion CHECK("),
            "3/3 3/4 -0 -4\na.cc:3:2: never false: c\n");
}

TEST(CoverageTest, AStatementThatNeverRunsTakesItsConditionAlong) {
  constexpr char kSource[] =
      "{\n"
      "  if (bad(1) || worse) {\n"
      "    Panic(\"x (\",\n"
      "          2);\n"
      "  }\n"
      "  if (fine) go();\n"
      "}\n";
  const std::string json = Export(
      "[1,1,4,true,true,false],[2,24,0,true,true,false],[5,4,4,true,false,false],"
      "[7,2,0,false,false,false]",
      "[2,7,2,13,0,4,0,0,4],[2,17,2,22,0,4,0,0,4],[6,7,6,11,0,4,0,0,4]");
  EXPECT_EQ(Measured(json, kSource, "failure Panic("),
            "4/4 1/2 -3 -4\na.cc:6:7: never true: fine\n");
}

TEST(CoverageTest, LabelsBelongToTheStatementThatNeverRuns) {
  constexpr char kSource[] =
      "{switch (x) {\n"
      "  case 1: return;\n"
      "  case 2:\n"
      "  default:\n"
      "    Panic(1);\n"
      "}}\n";
  const std::string json = Export(
      "[1,1,4,true,true,false],[2,3,4,true,true,false],[2,18,0,true,true,false],"
      "[6,2,4,true,false,false],[6,3,0,false,false,false]",
      "[2,3,2,9,4,0,0,0,4],[3,3,3,9,0,4,0,0,4],[4,3,4,10,0,4,0,0,4]");
  EXPECT_EQ(Measured(json, kSource, "failure Panic("),
            "2/2 1/2 -4 -4\na.cc:2:3: never false: case 1\n");
}

TEST(CoverageTest, ALineWithMoreThanTheFailureStillCounts) {
  EXPECT_EQ(
      Measured(Export("[1,1,4,true,true,false],[1,19,0,false,false,false]", "[1,6,1,9,0,4,0,0,4]"),
               "{if (bad) Panic();}\n", "failure Panic("),
      "1/1 0/0 -0 -2\n");
}

TEST(CoverageTest, RawStringsAndCommentsHoldNoCode) {
  EXPECT_EQ(
      Measured(Export("[1,1,4,true,true,false],[3,2,0,false,false,false]", "[3,1,3,2,4,0,0,0,4]"),
               "{x = R\"a(Panic( \")\" )a\"; /* Panic(\n */ y = 1'000; // Panic(\nz}\n",
               "failure Panic("),
      "3/3 1/2 -0 -0\na.cc:3:1: never false: z\n");
}

TEST(CoverageTest, ASourceThatIsNotTheOneMeasuredIsRefused) {
  EXPECT_EQ(Measured(Export("[7,1,1,true,true,false]"), "{\n}\n"),
            "a.cc: expected the source that was measured, but it has no place 7:1");
  EXPECT_EQ(Measured(Export("[1,3,1,true,true,false]"), "{\n}\n"),
            "a.cc: expected the source that was measured, but it has no place 1:3");
  EXPECT_EQ(Measured(Export("[1,1,1,true,true,false]", "[1,1,1,9,1,1,0,0,4]"), "{\n}\n"),
            "a.cc: expected the source that was measured, but it has no place 1:9");
}

TEST(CoverageTest, BadExportsAreSaidInOneSentence) {
  EXPECT_EQ(ErrorOf(""),
            "x.json: expected an object with the member \"data\", as llvm-cov export writes");
  EXPECT_EQ(ErrorOf("{\"data\":[{\"files\":[]}]}"),
            "x.json: expected an export of at least one file");
  EXPECT_EQ(ErrorOf("{\"data\":[7]}"),
            "x.json: expected an object with the member \"files\", as llvm-cov export writes");
  EXPECT_EQ(ErrorOf("{\"data\":[{\"files\":[{}]}]}"),
            "x.json: expected an object with the member \"filename\", as llvm-cov export writes");
  EXPECT_EQ(ErrorOf(Export("[1,1,1]")), "x.json: expected true or false at position 3 of [1,1,1]");
  EXPECT_EQ(ErrorOf(Export("[1,\"x\",1,true,true,false]")),
            "x.json: expected a number at position 1 of [1,\"x\",1,true,true,false]");
  EXPECT_EQ(ErrorOf(Export("[1,1,-1,true,true,false]")),
            "x.json: expected a number at position 2 of [1,1,-1,true,true,false]");
  EXPECT_EQ(ErrorOf(Export("[0,1,1,true,true,false]")),
            "x.json: expected lines and columns from 1 on");
  EXPECT_EQ(ErrorOf(Export("[4000000000,1,1,true,true,false]")),
            "x.json: expected a line or column, found 4000000000");
  EXPECT_EQ(ErrorOf(Export("[2,1,1,true,true,false],[1,1,1,true,true,false]")),
            "x.json: expected the segments of a.cc in order");
  EXPECT_EQ(ErrorOf(Export("3")), "x.json: expected a number at position 0 of 3");
  EXPECT_EQ(ErrorOf(Export("", "", "[]")),
            "x.json: expected an object with the member \"source_region\", as llvm-cov export "
            "writes");
}

TEST(CoverageTest, NoPrefixOfAnExportIsTaken) {
  const std::string whole = Export("[1,1,1,true,true,false]", "[1,1,1,9,1,1,0,0,4]");
  ASSERT_TRUE(ParseExport("x.json", whole).ok());
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(ParseExport("x.json", absl::string_view(whole).substr(0, length)).ok()) << length;
  }
}

TEST(CoverageTest, ExclusionsAreReadOrRefusedByLine) {
  const Exclusions list =
      Excluding("# why\n\nassertion CHECK(\n  failure Panic( \nfile uvm/gen*.cc\n");
  EXPECT_EQ(list.assertions, std::vector<std::string>{"CHECK("});
  EXPECT_EQ(list.failures, std::vector<std::string>{"Panic("});
  EXPECT_TRUE(list.LeavesOut("uvm/generated.cc"));
  EXPECT_FALSE(list.LeavesOut("uvm/map.cc"));
  EXPECT_FALSE(list.LeavesOut("uvm/gen/map.cc"));
  for (const char* bad : {"assertion", "assertion CHECK", "failure (", "line CHECK(", "file"}) {
    EXPECT_EQ(Exclusions::Parse("list", absl::StrCat("\n", bad)).status().message(),
              absl::StrCat("list:2: expected `assertion WORD(`, `failure WORD(` or `file GLOB`, "
                           "found \"",
                           bad, "\""));
  }
}

TEST(CoverageTest, TheCommittedExclusionsAreRead) {
  std::ifstream file("tools/coverage_exclusions.txt");
  std::ostringstream text;
  text << file.rdbuf();
  const auto list = Exclusions::Parse("list", text.str());
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_FALSE(list->LeavesOut("uvm/map.cc"));
  EXPECT_FALSE(list->assertions.empty());
}

TEST(CoverageTest, TheTableEndsWithASumThatIsRoundedDown) {
  FileCoverage a, b;
  a.name = "uvm/a.cc";
  a.lines = 3;
  a.lines_reached = 2;
  b.name = "b.cc";
  b.lines_excluded = 4;
  b.arms = 8;
  b.arms_reached = 8;
  b.arms_excluded = 2;
  EXPECT_EQ(CoverageTable({a, b}),
            "file                    lines             branches  excluded lines, branches\n"
            "uvm/a.cc      2/    3  66.66%      0/    0 100.00%  0, 0\n"
            "b.cc          0/    0 100.00%      8/    8 100.00%  4, 2\n"
            "total         2/    3  66.66%      8/    8 100.00%  4, 2\n");
  EXPECT_EQ(Reached(99999, 100000), 9999u);
}

}  // namespace
}  // namespace tools
