// Every field of the structures that server threads share says what guards it: an annotation that
// clang checks, or a mark that the LOCKS section of its header explains; and docs/LOCKING.md has
// it.

#include <gtest/gtest.h>

#include <cctype>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "uvm/testing/test_names.h"

namespace uvm {
namespace {

struct Field {
  std::string name;
  std::string code;     // its declaration
  std::string comment;  // beside it
};

struct Structure {
  std::string name;
  bool found = false;
  bool one_mark = false;  // "All fields: (X)" stands above it
  std::vector<Field> fields = {};
};

// The last word of a declaration before its initialiser, annotation or bounds.
std::string NameIn(std::string code) {
  for (const char* end : {" ABSL_", " =", ";", "["}) code = code.substr(0, code.find(end));
  const size_t at = code.find_last_of(" *&");
  return at == std::string::npos ? code : code.substr(at + 1);
}

bool IsField(const std::string& code) {
  if (!absl::EndsWith(code, ";") || absl::StartsWith(code, "}")) return false;
  for (const char* other : {"using ", "static ", "friend ", "enum ", "struct ", "return "}) {
    if (absl::StartsWith(code, other)) return false;
  }
  const std::string before = code.substr(0, code.find(" ABSL_GUARDED_BY("));
  return before.find('(') == std::string::npos;
}

int DepthOf(const std::string& code) {
  int depth = 0;
  for (char c : code) depth += c == '{' ? 1 : c == '}' ? -1 : 0;
  return depth;
}

// The fields of `name` in the text of its header. Fields stand in one or two lines, beside their
// comment.
Structure Parse(const std::string& text, const std::string& name) {
  Structure structure{.name = name};
  int depth = 0;
  std::string code;
  std::string above;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t slashes = line.find("//");
    const std::string comment(slashes == line.npos ? "" : line.substr(slashes + 2));
    const std::string piece(absl::StripAsciiWhitespace(line.substr(0, slashes)));
    if (!structure.found) {
      for (const char* kind : {"struct ", "class ", "struct alignas(64) "}) {
        structure.found |= absl::StartsWith(piece, absl::StrCat(kind, name, " {")) ||
                           absl::StartsWith(piece, absl::StrCat(kind, name, " : ")) ||
                           absl::StartsWith(piece, absl::StrCat(kind, name, " final : "));
      }
      if (structure.found) structure.one_mark = absl::StrContains(above, "All fields: (");
      above = piece.empty() ? above + comment : "";
      depth = 1;
      continue;
    }
    if (piece.empty() || absl::EndsWith(piece, ":")) continue;
    const int before = depth;
    depth += DepthOf(piece);
    if (depth <= 0) break;
    if (before > 1 || depth > 1) {
      code.clear();
      continue;
    }
    absl::StrAppend(&code, code.empty() ? "" : " ", piece);
    if (!absl::EndsWith(piece, ";")) {
      if (absl::EndsWith(piece, "}")) code.clear();
      continue;
    }
    if (IsField(code)) structure.fields.push_back({NameIn(code), code, comment});
    code.clear();
  }
  return structure;
}

bool NeverChanges(const Field& field) {
  const bool pointer = absl::StrContains(field.code, "* ");
  return (absl::StartsWith(field.code, "const ") && !pointer) ||
         absl::StrContains(field.code, "* const ") ||
         absl::StartsWith(field.comment, " constant") ||
         absl::StartsWith(field.comment, " set once");
}

// A lock itself, not a pointer to one; or what brings its own.
bool Synchronises(const Field& field) {
  for (const char* type : {"Mutex ", "Mutex& ", "RwLock ", "CondVar ", "QueueGuard "}) {
    if (absl::StrContains(absl::StrCat(" ", field.code), absl::StrCat(" ", type))) return true;
  }
  return absl::StartsWith(field.comment, " has its own lock");
}

// Whether a row of the table of docs/LOCKING.md names the field, as a word of its own.
bool InTable(const std::string& rows, const std::string& structure, const std::string& field) {
  for (absl::string_view row : absl::StrSplit(rows, '\n')) {
    const absl::string_view fields = row.substr(0, row.find(" | "));
    const size_t at = fields.find(absl::StrCat("`", structure, "`: "));
    if (at == fields.npos) continue;
    const absl::string_view own = fields.substr(at, fields.find(';', at) - at);
    for (absl::string_view word : absl::StrSplit(own, absl::ByAnyChar(" ,:"))) {
      if (word == field || word == "everything") return true;
    }
  }
  return false;
}

// "" or what is wrong with it.
std::string WrongWith(const Structure& structure, const Field& field, const std::string& header,
                      const std::string& rows) {
  if (NeverChanges(field) || Synchronises(field)) return "";
  if (absl::StartsWith(field.comment, " for checkers only")) return "";
  const std::string name = structure.name + "::" + field.name;
  if (!InTable(rows, structure.name, field.name)) return name + " is not in docs/LOCKING.md";
  if (absl::StrContains(field.code, "ABSL_GUARDED_BY(") || structure.one_mark) return "";
  if (!absl::StartsWith(field.comment, " (")) return name + " says nothing of its guard";
  const std::string mark = field.comment.substr(1, field.comment.find(')'));
  if (absl::StrContains(header.substr(0, header.find("#ifndef")), mark)) return "";
  return absl::StrCat(name, ": the header explains no ", mark);
}

struct Case {
  const char* header;
  const char* name;
  size_t fields;  // at least
};

TEST(GuardsTest, EveryFieldSaysWhatGuardsIt) {
  const std::string rows = testing::ReadWhole("docs/LOCKING.md");
  ASSERT_NE(rows, "");
  for (const Case& c : {
           Case{"uvm/page.h", "Page", 25},
           Case{"uvm/anon.h", "LayerLock", 2},
           Case{"uvm/anon.h", "Anon", 7},
           Case{"uvm/amap.h", "Amap", 16},
           Case{"uvm/object.h", "ObjectLock", 2},
           Case{"uvm/object.h", "Object", 14},
           Case{"uvm/map.h", "MapEntry", 20},
           Case{"uvm/map.h", "Map", 17},
           Case{"uvm/page.h", "PageStore", 13},
           Case{"uvm/swap.h", "SwapStore", 16},
           Case{"uvm/loan.h", "LoanStore", 11},
           Case{"uvm/pdaemon.h", "PageDaemon", 28},
           Case{"uvm/ubc.h", "BufferCache", 11},
           Case{"uvm/space.h", "Space", 4},
       }) {
    const std::string header = testing::ReadWhole(c.header);
    const Structure structure = Parse(header, c.name);
    EXPECT_TRUE(structure.found) << c.name;
    EXPECT_GE(structure.fields.size(), c.fields) << c.name;
    for (const Field& field : structure.fields) {
      EXPECT_EQ(WrongWith(structure, field, header, rows), "");
    }
  }
}

TEST(GuardsTest, AFieldWithoutAGuardIsFound) {
  constexpr char kHeader[] =
      "// LOCKS    (Q) the queue's.\n"
      "#ifndef X\n"
      "class Foo {\n"
      " public:\n"
      "  int Get() const { return a_; }\n"
      "  int Long(int x,\n"
      "           int y);\n"
      "\n"
      " private:\n"
      "  struct Inner {\n"
      "    int x;\n"
      "  };\n"
      "  Mutex mu_;\n"
      "  int a_ ABSL_GUARDED_BY(mu_) = 0;\n"
      "  int b_ = 1;  // (Q) the second\n"
      "  int* c_ = nullptr;  // (R) the third\n"
      "  int d_;\n"
      "  int h_ = 0;  // (Q) the fourth\n"
      "  QueueGuard guard_;\n"
      "  Map map_;  // has its own lock\n"
      "  int e_ = 0;  // constant\n"
      "  int f_ = 0;  // for checkers only\n"
      "};\n"
      "class Final final : public Foo {\n"
      "};\n"
      "struct Bar {\n"
      "  int g;\n"
      "};\n";
  constexpr char kRows[] = "| `Foo`: a_, b_, c_, d_; `Bar`: g, h_ | mu_ | the same |\n";
  const Structure foo = Parse(kHeader, "Foo");
  std::vector<std::string> wrong;
  for (const Field& field : foo.fields) wrong.push_back(WrongWith(foo, field, kHeader, kRows));
  const std::vector<std::string> expected = {"",
                                             "",
                                             "",
                                             "Foo::c_: the header explains no (R)",
                                             "Foo::d_ says nothing of its guard",
                                             "Foo::h_ is not in docs/LOCKING.md",
                                             "",
                                             "",
                                             "",
                                             ""};
  EXPECT_EQ(wrong, expected);
  EXPECT_TRUE(Parse(kHeader, "Final").found);
  EXPECT_FALSE(Parse(kHeader, "Baz").found);
}

}  // namespace
}  // namespace uvm
