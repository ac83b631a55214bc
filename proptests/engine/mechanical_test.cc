#include "proptests/engine/mechanical.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "proptests/engine/mutant_file.h"

namespace proptests {
namespace {

std::string Body(const std::string& statement) {
  return "void F(int a, int b) {\n  " + statement + "\n}\n";
}

// The ids of all variants in a statement of its own, without place.
std::vector<std::string> VariantsIn(const std::string& statement) {
  const std::string source = Body(statement);
  std::vector<std::string> found;
  for (const Site& site : FindSites(source)) {
    for (size_t v = 0; v < site.variants.size(); ++v) {
      const std::string id = VariantId("a.cc", source, site, v);
      found.push_back(id.substr(id.rfind(':') + 1));
    }
  }
  return found;
}

// The statement with its switches.
std::string Switched(const std::string& statement) {
  const std::string source = Body(statement);
  const auto text = Rewrite("a.cc", source, {}, SwitchEdits("a.cc", FindSites(source)));
  if (!text.ok()) return std::string(text.status().message());
  const size_t begin = text->find("{\n  ") + 4;
  return text->substr(begin, text->rfind("\n}") - begin);
}

using Words = std::vector<std::string>;

TEST(FindSitesTest, OperatorsBetweenBlanks) {
  EXPECT_EQ(VariantsIn("return a < b;"), (Words{"<=", ">="}));
  EXPECT_EQ(VariantsIn("return a == b;"), (Words{"!="}));
  EXPECT_EQ(VariantsIn("return a >> b;"), (Words{"<<"}));
  EXPECT_EQ(VariantsIn("a += b;"), (Words{"-="}));
  EXPECT_EQ(VariantsIn("return !a;"), (Words{"no !"}));
  EXPECT_EQ(VariantsIn("++a;"), (Words{"--"}));
  EXPECT_EQ(VariantsIn("return 7;"), (Words{"8", "6"}));
  EXPECT_EQ(VariantsIn("return 0x0f;"), (Words{"0x10", "0xe"}));
  EXPECT_EQ(VariantsIn("return 0;"), (Words{"1"}));
  EXPECT_EQ(VariantsIn("return true;"), (Words{"false"}));
}

TEST(FindSitesTest, WhatOnlyLooksLikeAnOperator) {
  EXPECT_EQ(VariantsIn("List<Page> pages;"), Words{});
  EXPECT_EQ(VariantsIn("Page* page = &first;"), Words{});
  EXPECT_EQ(VariantsIn("auto& [x, y] = *a;"), Words{});
  EXPECT_EQ(VariantsIn("const char* text = \"a < b + 1\";  // a < b"), Words{});
  EXPECT_EQ(VariantsIn("a->b = c->d;"), Words{});
  EXPECT_EQ(VariantsIn("auto f = [](int x) -> bool { return x; };"), Words{});
}

TEST(FindSitesTest, AssertionsAreNoBehaviour) {
  EXPECT_EQ(VariantsIn("CHECK(a < b);"), Words{});
  EXPECT_EQ(VariantsIn("static_assert(sizeof(int) == 4);"), Words{});
  EXPECT_EQ(VariantsIn("if (__builtin_expect(a == b, 1)) return;"), (Words{"!="}));
}

TEST(FindSitesTest, StatementsThatAreCalls) {
  EXPECT_EQ(VariantsIn("Put(a);"), (Words{"no Put"}));
  EXPECT_EQ(VariantsIn("space->pages[a].Touch().Put(b);"), (Words{"no Put"}));
  EXPECT_EQ(VariantsIn("(void)base::Put(a);"), (Words{"no Put"}));
  EXPECT_EQ(VariantsIn("if (a) Put(a);"), (Words{"no Put"}));
  EXPECT_EQ(VariantsIn("switch (a) { case kOne: Put(a); }"), (Words{"no Put"}));
  EXPECT_EQ(VariantsIn("Guard guard(a);"), Words{});
  EXPECT_EQ(VariantsIn("return Put(a);"), Words{});
  EXPECT_EQ(VariantsIn("x = c ? a : Put(a);"), Words{});
  EXPECT_EQ(VariantsIn("for (; Put(a); Get(a)) {}"), Words{});
  EXPECT_EQ(VariantsIn("new (memory) Page(a);"), Words{});
}

TEST(FindSitesTest, NothingOutsideFunctions) {
  EXPECT_TRUE(FindSites("constexpr int kTwo = 1 + 1;\nstruct S {\n  int x = 3;\n};\n").empty());
}

TEST(FindSitesTest, NoReferenceBindsToABitField) {
  const std::string source = "struct S {\n  int up : 3 = 0;\n  int down = 1;\n};\n";
  EXPECT_EQ(BitFieldsOf(source), (std::set<std::string>{"up"}));
  const std::string code = Body("s.up |= a;\n  s.down |= a;\n  ++s.x(a).up;\n  ++s.down;");
  EXPECT_EQ(FindSites(code).size(), 4u);
  EXPECT_EQ(FindSites(code, {"up"}).size(), 2u);
}

TEST(SwitchTest, TheOperatorKeepsItsPrecedence) {
  EXPECT_EQ(Switched("return a + b < a;"),
            "return a + ::mutant_switch::Op(::mutant_switch::a_cc[0]) + b < "
            "::mutant_switch::Op(::mutant_switch::a_cc[1]) < a;");
  EXPECT_EQ(Switched("a -= b;"), "a -= ::mutant_switch::Op(::mutant_switch::a_cc[0]) -= b;");
  EXPECT_EQ(Switched("return !a.b();"),
            "return ::mutant_switch::Not(::mutant_switch::a_cc[0]) ->* a.b();");
  EXPECT_EQ(Switched("return 12u;"),
            "return ::mutant_switch::Number(::mutant_switch::a_cc[0], 12u);");
}

TEST(SwitchTest, CallsNest) {
  EXPECT_EQ(Switched("Run([&] { Put(a); });"),
            "{ if (::mutant_switch::Removed(::mutant_switch::a_cc[0])) {} else { Run([&] { { if "
            "(::mutant_switch::Removed(::mutant_switch::a_cc[1])) {} else { Put(a); } } }); } }");
}

TEST(SwitchTest, ListedMutantsLieAroundAndInside) {
  const std::string source = Body("Put(a + b);");
  Mutant call;
  call.id = "call";
  call.file = "a.cc";
  call.find = "Put(a + b)";
  call.replace = "Get(a)";
  call.number = 1;
  Mutant statement = call;
  statement.find += ";";
  statement.replace += ";";
  statement.number = 2;
  const auto text =
      Rewrite("a.cc", source, {call, statement}, SwitchEdits("a.cc", FindSites(source)));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_NE(text->find("{ if (::selected_mutant == 2) {\nGet(a);\n} else {\n"
                       "{ if (::mutant_switch::Removed(::mutant_switch::a_cc[0])) {} else { "
                       "(::selected_mutant == 1 ? (Get(a)) : (Put(a + "
                       "::mutant_switch::Op(::mutant_switch::a_cc[1]) + b)));"
                       " } }\n} }"),
            std::string::npos)
      << *text;
}

TEST(VariantTest, InPlace) {
  const std::string source = Body("Put(a < b);");
  const std::vector<Site> sites = FindSites(source);
  ASSERT_EQ(sites.size(), 2u);
  EXPECT_EQ(WithVariant(source, sites[0], 0), Body("{}"));
  EXPECT_EQ(WithVariant(source, sites[1], 1), Body("Put(a >= b);"));
  EXPECT_EQ(VariantId("a.cc", source, sites[1], 0), "a.cc:2:9:<=");
}

TEST(VariantTest, ByItsChange) {
  const std::string source = Body("Put(a < b);\n  Get(b < a);");
  EXPECT_EQ(IdOfChange("a.cc", source, "a < b", "a <= b"), "a.cc:2:9:<=");
  EXPECT_EQ(IdOfChange("a.cc", source, "Get(b < a);", "{}"), "a.cc:3:3:no Get");
  EXPECT_EQ(IdOfChange("a.cc", source, "a < b", "a > b"), "");
  EXPECT_EQ(IdOfChange("a.cc", source, " < ", " <= "), "") << "which one?";
}

TEST(VariantTest, OnlyTheSystemHasThem) {
  EXPECT_TRUE(HasMechanicalMutants("uvm/map.cc"));
  EXPECT_TRUE(HasMechanicalMutants("fake_l4/core.h"));
  EXPECT_FALSE(HasMechanicalMutants("uvm/invariants.cc"));
  EXPECT_FALSE(HasMechanicalMutants("uvm/map_test.cc"));
  EXPECT_FALSE(HasMechanicalMutants("model/model.cc"));
}

}  // namespace
}  // namespace proptests
