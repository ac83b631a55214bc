#include "tools/tidy/source.h"

#include "gtest/gtest.h"

namespace tools::tidy {
namespace {

TEST(BlankProse, BlanksCommentsAndLiteralsAndKeepsTheRest) {
  EXPECT_EQ(BlankProse("int a;  // rand()"), "int a;           ");
  EXPECT_EQ(BlankProse("f(\"a{b\", 'x');"), "f(\"   \", ' ');");
  EXPECT_EQ(BlankProse("a /* b\nc */ d"), "a     \n     d");
  EXPECT_EQ(BlankProse("x = 1'000'000; y"), "x = 1'000'000; y");
  EXPECT_EQ(BlankProse("\"a\\\"b\" c"), "\"    \" c");
  EXPECT_EQ(BlankProse("R\"(a\"{)\" c"), "R\"     \" c");
}

TEST(FindToken, FindsWholeIdentifiersOnly) {
  EXPECT_TRUE(HasToken("x = rand();", "rand"));
  EXPECT_FALSE(HasToken("x = brand();", "rand"));
  EXPECT_FALSE(HasToken("operand", "rand"));
  EXPECT_EQ(FindToken("a aa a", "a", 1), 5u);
}

TEST(SourceFile, KnowsItsPlaceAndKind) {
  const SourceFile file("uvm/testing/space.h", "a\nb");
  EXPECT_EQ(file.Directory(), "uvm/testing");
  EXPECT_EQ(file.Name(), "space.h");
  EXPECT_TRUE(file.IsHeader() && file.IsCpp() && file.IsTest() && file.IsIn("uvm"));
  EXPECT_FALSE(file.IsIn("uv") || file.IsBuild());
  EXPECT_EQ(file.lines().size(), 2u);
  EXPECT_EQ(SourceFile("BUILD", "").Directory(), "");
}

TEST(SourceFile, LinesAndCodeCorrespond) {
  const SourceFile file("a.cc", "int a; // b\n/*\n*/ int c;\n");
  ASSERT_EQ(file.lines().size(), file.code().size());
  for (size_t i = 0; i < file.lines().size(); ++i) {
    EXPECT_EQ(file.lines()[i].size(), file.code()[i].size());
  }
}

TEST(Finding, PrintsLikeACompiler) {
  EXPECT_EQ((Finding{"a.cc", 3, "random", "rand is banned", "base/prng.h"}).ToString(),
            "a.cc:3: error: rand is banned, use base/prng.h [random]");
}

}  // namespace
}  // namespace tools::tidy
