#include "proptests/engine/mutant_file.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace proptests {
namespace {

constexpr const char* kSource =
    "// a.cc: Put(page); in a comment\n"
    "#include \"b.h\"\n"
    "namespace n {\n"
    "constexpr int kTable[] = {1, 2};\n"
    "bool Less(int a, int b) {\n"
    "  return a < b;\n"
    "}\n"
    "void F(int x) {\n"
    "  if (x > 0) Put(x); else Get(x);\n"
    "  const char* text = \"}\";\n"
    "  for (int i = 0; i < x; ++i) { Touch(i + 1); }\n"
    "}\n"
    "}  // namespace n\n";

Mutant Of(const std::string& find, const std::string& replace, uint32_t number = 1) {
  Mutant mutant;
  mutant.id = "m" + std::to_string(number);
  mutant.file = "a.cc";
  mutant.find = find;
  mutant.replace = replace;
  mutant.number = number;
  return mutant;
}

std::string Line(const std::string& text, int number) {
  size_t at = 0;
  for (int i = 1; i < number; ++i) at = text.find('\n', at) + 1;
  return text.substr(at, text.find('\n', at) - at);
}

std::string Refusal(const std::vector<Mutant>& mutants) {
  const auto text = Rewrite("a.cc", kSource, mutants);
  return text.ok() ? "" : std::string(text.status().message());
}

TEST(RewriteTest, AnExpressionBecomesAChoice) {
  const auto text = Rewrite("a.cc", kSource, {Of("a < b", "a <= b")});
  ASSERT_TRUE(text.ok()) << text.status();
  // Two lines are put before the source.
  EXPECT_EQ(Line(*text, 1), "extern unsigned selected_mutant;");
  EXPECT_EQ(Line(*text, 2), "#line 1 \"a.cc\"");
  EXPECT_EQ(Line(*text, 8), "  return (::selected_mutant == 1 ? (a <= b) : (a < b));");
}

TEST(RewriteTest, AStatementBecomesABlock) {
  const auto text = Rewrite("a.cc", kSource, {Of("Get(x);", "")});
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_NE(text->find("else { if (::selected_mutant == 1) {\n\n} else {\nGet(x);\n} }\n"),
            std::string::npos)
      << *text;
}

TEST(RewriteTest, MutantsShareATextAndNest) {
  const auto text = Rewrite("a.cc", kSource,
                            {Of("i + 1", "i", 1), Of("i + 1", "i + 2", 2),
                             Of("for (int i = 0; i < x; ++i) { Touch(i + 1); }", ";", 3)});
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_NE(text->find("Touch((::selected_mutant == 1 ? (i) : ::selected_mutant == 2 ? (i + 2) : "
                       "(i + 1)))"),
            std::string::npos)
      << *text;
  EXPECT_NE(text->find("{ if (::selected_mutant == 3) {\n;\n} else {\nfor"), std::string::npos);
}

TEST(RewriteTest, OtherFilesStayAsTheyAre) {
  const auto text = Rewrite("b.cc", kSource, {Of("a < b", "a <= b")});
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, kSource);
}

TEST(RewriteTest, RefusesWithFileAndLine) {
  EXPECT_EQ(Refusal({Of("nowhere", "")}), "a.cc:1: m1: the text is not there");
  EXPECT_EQ(Refusal({Of("int", "long")}), "a.cc:4: m1: the text is there again in line 5");
  EXPECT_EQ(Refusal({Of("1, 2", "2, 1")}), "a.cc:4: m1: the text does not lie within one function");
  EXPECT_EQ(Refusal({Of("return a < b;\n}", "}")}),
            "a.cc:6: m1: the text does not lie within one function");
  EXPECT_EQ(Refusal({Of("(a < b", "(a")}), "a.cc:1: m1: the text is not there");
  EXPECT_EQ(Refusal({Of("(x > 0", "(x")}), "a.cc:9: m1: the text has an unpaired bracket");
  EXPECT_EQ(Refusal({Of("< b;", "> b;")}),
            "a.cc:6: m1: the text ends a statement that it does not begin");
  EXPECT_EQ(Refusal({Of("Put(x); else Get(x)", "x")}),
            "a.cc:9: m1: the text is neither an expression nor whole statements");
  EXPECT_EQ(Refusal({Of("; i < x", "", 1)}),
            "a.cc:11: m1: the text is neither an expression nor whole statements");
  EXPECT_EQ(Refusal({Of("i < x; ++i", "x", 1)}),
            "a.cc:11: m1: the text is neither an expression nor whole statements");
}

TEST(RewriteTest, RefusesOverlaps) {
  EXPECT_EQ(
      Refusal({Of("if (x > 0) Put(x); else Get(x);\n  const char* text = \"}\";", ";", 1),
               Of("const char* text = \"}\";\n  for (int i = 0; i < x; ++i) { Touch(i + 1); }", ";",
                  2)}),
      "a.cc:10: m2: overlaps m1");
}

TEST(ParseMutantsTest, ReadsAList) {
  const auto list = ParseMutants(
      R"([{"id": "a", "file": "f.cc", "find": "x", "replace": "y", "breaks": "b", "rule": "R"},
          {"id": "nothing", "file": "f.cc", "find": "x", "replace": "x", "breaks": "-"}])",
      "m.json");
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].rule, "R");
  EXPECT_FALSE((*list)[0].DoesNothing());
  EXPECT_TRUE((*list)[1].DoesNothing());
  EXPECT_EQ((*list)[1].line, 2);
  const auto joined = JoinMutants({*list});
  ASSERT_TRUE(joined.ok());
  EXPECT_EQ((*joined)[1].number, 2u);
  EXPECT_FALSE(JoinMutants({*list, *list}).ok());
}

TEST(ParseMutantsTest, RefusesWhatIsNoList) {
  const auto error = [](const std::string& text) {
    return std::string(ParseMutants(text, "m.json").status().message());
  };
  const std::string head = R"([{"file": "f", "find": "x", "replace": "y", "breaks": "b", )";
  EXPECT_EQ(error("{}"), "m.json: expected a JSON list of mutants");
  EXPECT_EQ(error("[1]"), "m.json: entry 1: expected an object");
  EXPECT_EQ(error("[{}]"), "m.json: entry 1: expected a key \"id\"");
  EXPECT_EQ(error(head + R"("id": 3}])"), "m.json: entry 1: expected a string as \"id\"");
  EXPECT_EQ(error(head + R"("id": "A b"}])"),
            "m.json: entry 1: expected an id of a-z, 0-9 and _, found \"A b\"");
  EXPECT_EQ(error(head + R"("id": "a", "more": "?"}])"), "m.json: entry 1: unknown key \"more\"");
  EXPECT_EQ(error(R"([{"id": "a", "file": "f", "find": "", "replace": "y", "breaks": "b"}])"),
            "m.json: entry 1: expected a text to find");
}

}  // namespace
}  // namespace proptests
