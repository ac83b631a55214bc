// Every rule against a bad sample, which it must report at the right line, and against a good twin,
// which it must not.
#include "tools/tidy/rules.h"

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tools/layering/layering.h"
#include "tools/tidy/source.h"

namespace tools::tidy {
namespace {

layering::Table LoadTable() {
  std::ifstream in("tools/layering/table.txt");
  std::ostringstream text;
  text << in.rdbuf();
  absl::StatusOr<layering::Table> table = layering::Table::Parse(text.str());
  EXPECT_TRUE(table.ok()) << table.status().ToString();
  return *table;
}

// The findings of `rule` in a tree, as "path:line" words.
std::string FindIn(const std::string& rule, const std::vector<SourceFile>& tree) {
  std::string found;
  for (const Finding& finding : CheckTree(tree, LoadTable(), {}, "exceptions.txt")) {
    if (finding.rule != rule) continue;
    found += (found.empty() ? "" : " ") + finding.path + ":" + std::to_string(finding.line);
  }
  return found;
}

std::string Find(const std::string& rule, const std::string& path, const std::string& text) {
  return FindIn(rule, {SourceFile(path, text)});
}

struct Sample {
  std::string rule;
  std::string path;
  std::string bad;
  int line;
  std::string good;
};

std::string Repeat(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::vector<Sample> TextSamples() {
  return {
      {"line-length", "uvm/a.cc", "\n" + std::string(101, 'x'), 2, std::string(100, 'x')},
      {"line-length", "uvm/BUILD", std::string(151, 'x'), 1, std::string(150, 'x')},
      {"line-length", "uvm/a.cc", std::string(101, 'x'), 1, "// http://" + std::string(101, 'x')},
      {"blanks", "uvm/a.cc", "int a; ", 1, "int a;"},
      {"blanks", "uvm/a.cc", "\tint a;", 1, "  int a;"},
      {"doubt", "docs/a.md",
       "is it so? XX"
       "X",
       1,
       "XX"
       "XX"},
      {"doubt", "uvm/a.cc",
       "// FIX"
       "ME: wrong",
       1, "// fixed"},
      {"doubt", "uvm/a.cc",
       "// TO"
       "DO: later",
       1,
       "// TO"
       "DO(#12): later"},
      {"doubt", "uvm/a.cc",
       "// TO"
       "DO(me): later",
       1,
       "// TO"
       "DO(#12): later"},
      {"pointer-print", "tools/a.cc",
       "printf(\"%"
       "p\", x);",
       1,
       "printf(\"%d\", x);  // not %"
       "p"},
      {"random", "model/a.cc", "int x = rand();", 1, "int x = prng.Below(6);  // no rand()"},
      {"random", "proptests/a.cc", "std::mt19937 g;", 1, "base::Prng g;"},
      {"random", "uvm/a.cc", "std::uniform_int_distribution<int> d;", 1, "int d;"},
      {"random", "machine/a.cc", "std::shuffle(a, b, g);", 1, "Shuffle(a, b, g);"},
      {"hash", "model/a.cc", "size_t h = std::hash<int>{}(3);", 1, "size_t h = base::Hash(3);"},
      {"hash", "traces/a.cc", "absl::Hash<int> h;", 1, "base::Hash h;"},
      {"hash-order", "machine/a.cc", "std::unordered_map<int, int> m;", 1, "std::map<int, int> m;"},
      {"hash-order", "machine/a.cc",
       "absl::flat_hash_map<int, std::vector<int>> pages;\nfor (auto& p : pages) Print(p);", 2,
       "absl::flat_hash_map<int, std::vector<int>> pages;\nreturn pages.find(3);"},
      {"clock", "fake_l4/a.cc", "auto t = std::chrono::steady_clock::now();", 1, "auto t = Now();"},
      {"clock", "fake_l4/a.cc", "x = time(nullptr);", 1, "x = run_time(nullptr);"},
      {"host-id", "machine/a.cc", "int id = getpid();", 1, "int id = task.getpid();"},
      {"pointer-order", "uvm/a.cc", "std::map<const Page*, int> m;", 1, "std::map<int, Page*> m;"},
      {"pointer-order", "model/a.cc", "std::set<Page*> s;", 1, "std::set<PageId> s;"},
      {"two-draws", "proptests/a.cc", "\nF(rng.Below(3),\n  rng.Below(4));", 2,
       "F(rng.Below(3), 4);"},
      {"two-draws", "proptests/a.cc", "F(G(prng_->Next()), prng_->Next());", 1,
       "F{prng_->Next(), prng_->Next()};"},
      {"two-draws", "proptests/a.cc", "F(*rc::gen::a(), *rc::gen::b());", 1,
       "F(a_rng.Next(), b_rng.Next());"},
      {"unstable-sort", "model/a.cc", "std::sort(a.begin(), a.end());", 1,
       "// total order: ids differ\nstd::sort(a.begin(), a.end());"},
      {"unstable-sort", "model/a.cc", "std::sort(a.begin(), a.end());", 1,
       "std::stable_sort(a.begin(), a.end());"},
      {"floating-point", "uvm/a.cc", "double load = 0.5;", 1,
       "int load_percent = 50;  // no double"},
  };
}

std::vector<Sample> CppSamples() {
  const std::string long_body = "int F() {\n" + Repeat("  Step();\n", 69) + "}\n";
  const std::string full_body = "int F() {\n" + Repeat("  Step();\n", 68) + "}\n";
  const std::string guard = "#ifndef UVM_A_H_\n#define UVM_A_H_\n";
  const auto header = [&](const std::string& body) {
    return "// uvm/a.h: a.\n" + guard + body + "\n#endif  // UVM_A_H_\n";
  };
  return {
      {"file-length", "uvm/a.cc", Repeat("int a;\n", 901), 901, Repeat("int a;\n", 900)},
      {"function-length", "uvm/a.cc", "namespace x {\n" + long_body + "}\n", 2,
       "namespace x {\n" + full_body + full_body + "}\n"},
      {"function-length", "uvm/a.cc", "struct S {\n " + long_body + "};\n", 2,
       "const int a[] = {\n" + Repeat("1,\n", 90) + "};\n"},
      {"header-guard", "uvm/a.h", "// uvm/a.h: a.\n#pragma once\n", 1, header("int a();")},
      {"header-guard", "uvm/a.h", "#ifndef A_H\n#define A_H\n#endif\n", 1, header("")},
      {"header-comment", "uvm/a.h", guard + "#endif\n", 1, header("")},
      {"bool-parameter", "uvm/a.h", header("void Map(int pages, bool wire);"), 4,
       header("void Map(int pages, Wire wire);\nbool Mapped();")},
      {"bool-parameter", "uvm/a.h", header("class A { public:\nvoid Set(bool on);\n};"), 5,
       header("class A {\nprivate:\nvoid Set(bool on);\n};")},
      {"friend", "uvm/a.h", header("friend class B;"), 4, header("friend bool operator==(A, A);")},
      {"deployable-include", "uvm/a.cc", "#include <vector>", 1, "#include <cstdint>"},
      {"deployable-include", "vmserver/a.cc", "#include \"absl/strings/str_cat.h\"", 1,
       "#include \"absl/base/thread_annotations.h\"\n#include <l4/ipc.h>"},
      {"deployable-include", "base/a.cc", "#include <iostream>", 1, "#include <emmintrin.h>"},
      {"deployable-run-time", "uvm/a.cc", "throw 3;", 1, "// throw 3;"},
      {"deployable-run-time", "uvm/a.cc", "auto* p = new Page;", 1, "auto* p = new (place) Page;"},
      {"deployable-run-time", "pmap_sim/a.cc", "std::string s;", 1, "base::TextSink s;"},
      {"deployable-run-time", "uvm/a.h", "virtual ~Pager();", 1, "~Pager() = default;"},
      {"static-local", "uvm/a.cc", "int F() {\n  static int n = 0;\n  return n;\n}", 2,
       "static int F() {\n  static constexpr int kN = 0;\n  return kN;\n}"},
      {"layering", "model/a.cc", "#include \"uvm/map.h\"", 1, "#include \"base/addr.h\""},
      {"layering", "uvm/a.cc", "#include <l4/ipc.h>", 1, "#include \"uvm/pmap.h\""},
      {"layering", "pmap_sim/a.cc", "#include \"uvm/map.h\"", 1,
       "#include \"uvm/pmap.h\"\n#include <l4/ipc.h>"},
      {"layering", "tools/a.cc", "#include \"fake_l4/kernel.h\"", 1,
       "#include \"machine/machine.h\""},
      {"layering", "uvm/a_test.cc", "#include \"fake_l4/testing/x.h\"", 1,
       "#include \"uvm/testing/x.h\""},
  };
}

std::vector<Sample> TreeSamples() {
  const std::string package =
      "package(\n    default_visibility = [\"//visibility:private\"],\n"
      "    features = [\"layering_check\"],\n)\n";
  const std::string library = "cc_library(name = \"a\", hdrs = [\"a.h\"])\n";
  const std::string invariants = "| I | Statement | Property | Canary |\n|---|---|---|---|\n";
  return {
      {"build-package", "uvm/BUILD", library + "# features = [\"layering_check\"]\n", 1,
       package + library},
      {"build-package", "uvm/BUILD",
       library + "# default_visibility = [\"//visibility:private\"]\n", 1, package + library},
      {"build-layering", "uvm/BUILD", package + library, 1,
       package + library + "layering_test()\n"},
      {"build-public", "uvm/BUILD",
       "cc_library(\n    name = \"a\",\n    visibility = [\"//visibility:public\"],\n)\n", 1,
       "cc_library(\n    name = \"a\",\n    visibility = [\"//:may_see_uvm\"],\n)\n"},
      {"build-testonly", "uvm/testing/BUILD", package, 1, package + "# default_testonly = True\n"},
      {"two-titles", "docs/A.md", "# A\n\n# B\n", 3, "# A\n```\n# not a title\n```\n## B\n"},
      {"trace-comment", "traces/corpus/a.trace", "s1 = space\n", 1,
       "# a.trace: one space appears.\n"},
      {"trace-comment", "traces/corpus/a.trace", "# a\n", 1, "# a.trace: one space appears.\n"},
      {"invariant-row", "docs/INVARIANTS.md", invariants + "| I1 | s | P | - |\n", 3,
       invariants + "| I1 | s | P | C |\n"},
      {"invariant-row", "docs/INVARIANTS.md", "| I | Statement | Property |\n|---|---|---|\n", 1,
       invariants},
      {"readme", "uvm/BUILD", "", 1, "exempt"},
      {"dead-file", "uvm/a.cc", "", 1, "exempt"},
      {"first-include", "uvm/a.cc", "#include \"uvm/b.h\"", 1, "exempt"},
  };
}

void ExpectFound(const std::vector<Sample>& samples) {
  for (const Sample& sample : samples) {
    if (sample.good == "exempt") continue;
    EXPECT_EQ(Find(sample.rule, sample.path, sample.bad),
              sample.path + ":" + std::to_string(sample.line))
        << sample.rule << " on:\n"
        << sample.bad;
    EXPECT_EQ(Find(sample.rule, sample.path, sample.good), "") << sample.rule << " on:\n"
                                                               << sample.good;
  }
}

TEST(Rules, TextRulesFindTheirBadSampleAndSpareItsTwin) { ExpectFound(TextSamples()); }

TEST(Rules, CppRulesFindTheirBadSampleAndSpareItsTwin) { ExpectFound(CppSamples()); }

TEST(Rules, TreeRulesFindTheirBadSampleAndSpareItsTwin) { ExpectFound(TreeSamples()); }

TEST(Rules, TheClockIsNoConcernOfTools) {
  EXPECT_EQ(Find("clock", "tools/a.cc", "auto t = std::chrono::steady_clock::now();"), "");
}

TEST(Rules, EveryPackageHasAReadme) {
  const SourceFile build("uvm/testing/BUILD", "");
  EXPECT_EQ(FindIn("readme", {build}), "uvm/testing/BUILD:1");
  EXPECT_EQ(FindIn("readme", {build, SourceFile("uvm/README.md", "")}), "uvm/testing/BUILD:1");
  EXPECT_EQ(FindIn("readme", {build, SourceFile("uvm/testing/README.md", "")}), "");
}

TEST(Rules, TheOwnHeaderIsIncludedFirst) {
  const SourceFile header("uvm/a.h", "");
  const SourceFile bad("uvm/a.cc", "// a\n#include <new>\n#include \"uvm/a.h\"\n");
  const SourceFile good("uvm/a.cc", "#include \"uvm/a.h\"\n\n#include <new>\n");
  EXPECT_EQ(FindIn("first-include", {header, bad}), "uvm/a.cc:2");
  EXPECT_EQ(FindIn("first-include", {header, good}), "");
  EXPECT_EQ(FindIn("first-include", {bad}), "");
}

TEST(Rules, AFileThatNoTargetNamesIsDead) {
  const SourceFile file("uvm/a.cc", "");
  const auto build = [](const std::string& text) { return SourceFile("uvm/BUILD", text); };
  EXPECT_EQ(FindIn("dead-file", {file}), "uvm/a.cc:1");
  EXPECT_EQ(FindIn("dead-file", {file, build("cc_library(srcs = [\"b.cc\"])")}), "uvm/a.cc:1");
  EXPECT_EQ(FindIn("dead-file", {file, build("# \"a.cc\"\n")}), "uvm/a.cc:1");
  EXPECT_EQ(FindIn("dead-file", {file, build("cc_library(srcs = [\"a.cc\"])")}), "");
  EXPECT_EQ(FindIn("dead-file", {file, build("cc_library(srcs = glob([\"*.cc\"]))")}), "");
  EXPECT_EQ(FindIn("dead-file", {file, build("[t(srcs = [n + \".cc\"]) for n in [\"a\", \"b\"]]")}),
            "");
  const std::string everything =
      "filegroup(\n    name = \"deployable_srcs\",\n    srcs = glob([\"*.cc\"]),\n)\n";
  EXPECT_EQ(FindIn("dead-file", {file, build(everything)}), "uvm/a.cc:1");
  const SourceFile deep("traces/corpus/x/a.trace", "# a.trace: one thing.");
  EXPECT_EQ(
      FindIn("dead-file", {deep, SourceFile("traces/BUILD", "f(glob([\"corpus/*.trace\"]))")}),
      "traces/corpus/x/a.trace:1");
  EXPECT_EQ(
      FindIn("dead-file", {deep, SourceFile("traces/BUILD", "f(glob([\"corpus/**/*.trace\"]))")}),
      "");
}

TEST(Exceptions, AllowWhatTheyNameAndMustBeNeeded) {
  absl::StatusOr<std::vector<Exception>> exceptions = ParseExceptions(
      "# comment\nrandom model/*  # a reason of some length\nclock uvm/a.cc  # a reason of some "
      "length\n");
  ASSERT_TRUE(exceptions.ok()) << exceptions.status().ToString();
  const SourceFile readme("model/README.md", "");
  const Findings findings =
      CheckTree({readme, SourceFile("model/a.md", "rand")}, LoadTable(), *exceptions, "x.txt");
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].ToString(),
            "x.txt:2: error: an exception that nothing needs, use no line for it [exception]");
  Findings allowed;
  for (const Finding& f : CheckTree({SourceFile("model/a.cc", "int x = rand();\n")}, LoadTable(),
                                    *exceptions, "x.txt")) {
    if (f.rule == "random") allowed.push_back(f);
  }
  EXPECT_TRUE(allowed.empty());
}

TEST(Exceptions, NeedAReason) {
  EXPECT_FALSE(ParseExceptions("random model/a.cc\n").ok());
  EXPECT_FALSE(ParseExceptions("random model/a.cc  # why\n").ok());
  EXPECT_FALSE(ParseExceptions("random  # a reason of some length\n").ok());
}

TEST(ReadTree, FailsOnAMissingRoot) { EXPECT_FALSE(ReadTree("/nonexistent").ok()); }

}  // namespace
}  // namespace tools::tidy
