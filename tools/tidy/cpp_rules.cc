#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "tools/tidy/rules.h"

namespace tools::tidy {
namespace {

constexpr size_t kFileLines = 900;
constexpr size_t kFunctionLines = 70;

void Report(const SourceFile& file, size_t index, absl::string_view rule, std::string what,
            std::string instead, Findings* findings) {
  findings->push_back({file.path(), static_cast<int>(index) + 1, std::string(rule), std::move(what),
                       std::move(instead)});
}

// A brace-delimited block and what stands before it since the last statement.
struct Block {
  std::string head;
  size_t first_line = 0;
  bool is_function = false;
};

// Is the block after `head` the body of a function (or lambda) rather than of a namespace, type or
// initialiser?
bool OpensFunction(absl::string_view head) {
  head = absl::StripAsciiWhitespace(head);
  for (const absl::string_view word : {"namespace", "extern", "enum", "union"}) {
    if (absl::StartsWith(head, word)) return false;
  }
  const size_t open = head.find('(');
  if (open == absl::string_view::npos || absl::EndsWith(head, "=")) return false;
  // `class ABSL_LOCKABLE Foo`, `struct alignas(16) Foo`: a type, unless the name before the
  // parenthesis is an ordinary one.
  for (const absl::string_view word : {"class", "struct"}) {
    const size_t at = FindToken(head, word);
    if (at != absl::string_view::npos && at < open && !absl::StrContains(head.substr(0, at), '<'))
      return false;
    if (at != absl::string_view::npos && at > head.rfind('>') && at < head.rfind('(')) return false;
  }
  return true;
}

bool EndsInAccess(absl::string_view head) {
  return head == "public" || head == "protected" || head == "private";
}

// Calls back with (block, index of its last line) for each outermost function body.
template <typename OnFunction>
void ForEachFunction(const SourceFile& file, OnFunction on_function) {
  std::vector<Block> blocks;
  std::string head;
  size_t head_line = 0;
  for (size_t i = 0; i < file.code().size(); ++i) {
    const std::string& line = file.code()[i];
    if (!line.empty() && line[0] == '#') continue;
    for (const char c : line) {
      if (c == '{') {
        const bool inside =
            std::any_of(blocks.begin(), blocks.end(), [](const Block& b) { return b.is_function; });
        blocks.push_back({head, head_line, !inside && OpensFunction(head)});
        head.clear();
      } else if (c == '}') {
        if (!blocks.empty() && blocks.back().is_function) on_function(blocks.back(), i);
        if (!blocks.empty()) blocks.pop_back();
        head.clear();
      } else if (c == ';' || (c == ':' && EndsInAccess(head))) {
        head.clear();
      } else if (!head.empty() || std::isspace(static_cast<unsigned char>(c)) == 0) {
        if (head.empty()) head_line = i;
        head += c;
      }
    }
    if (!head.empty()) head += ' ';
  }
}

// The last identifier before the first parenthesis of a function's head.
std::string FunctionName(absl::string_view head) {
  size_t end = head.find('(');
  while (end > 0 && !IsWordChar(head[end - 1])) --end;
  size_t start = end;
  while (start > 0 &&
         (IsWordChar(head[start - 1]) || head[start - 1] == ':' || head[start - 1] == '~'))
    --start;
  return std::string(head.substr(start, end - start));
}

void CheckLengths(const SourceFile& file, Findings* findings) {
  if (file.lines().size() > kFileLines) {
    Report(file, kFileLines, "file-length", absl::StrCat(file.lines().size(), " lines"),
           absl::StrCat("at most ", kFileLines, ": one idea a file"), findings);
  }
  ForEachFunction(file, [&](const Block& block, size_t last) {
    const size_t lines = last - block.first_line + 1;
    if (lines <= kFunctionLines) return;
    Report(file, block.first_line, "function-length",
           absl::StrCat(FunctionName(block.head), " has ", lines, " lines"),
           absl::StrCat("at most ", kFunctionLines, ": functions that fit one screen"), findings);
  });
}

std::string GuardOf(const SourceFile& file) {
  std::string guard;
  for (const char c : file.path()) {
    guard += IsWordChar(c) ? absl::ascii_toupper(static_cast<unsigned char>(c)) : '_';
  }
  return guard + "_";
}

void CheckHeaderForm(const SourceFile& file, Findings* findings) {
  if (!file.IsHeader()) return;
  const std::string guard = GuardOf(file);
  std::vector<std::string> directives;
  for (const std::string& line : file.code()) {
    if (absl::StartsWith(line, "#"))
      directives.push_back(std::string(absl::StripTrailingAsciiWhitespace(line)));
  }
  const bool guarded = directives.size() >= 3 && directives[0] == absl::StrCat("#ifndef ", guard) &&
                       directives[1] == absl::StrCat("#define ", guard) &&
                       directives.back() == "#endif";
  if (!guarded) Report(file, 0, "header-guard", "missing or odd header guard", guard, findings);
  // The X.2 headers go by the name a program includes them by.
  absl::string_view name = file.path();
  absl::ConsumePrefix(&name, "fake_l4/include/");
  if (file.lines().empty() || !absl::StartsWith(file.lines()[0], absl::StrCat("// ", name, ": "))) {
    Report(file, 0, "header-comment", "the first line does not say what the header is",
           absl::StrCat("`// ", name, ": one clause.`"), findings);
  }
}

// Stands in for Bazel's parse_headers: a header that is included first somewhere compiles alone.
void CheckFirstInclude(const SourceFile& file, const std::vector<SourceFile>& tree,
                       Findings* findings) {
  if (!absl::EndsWith(file.path(), ".cc")) return;
  const std::string header = absl::StrCat(file.path().substr(0, file.path().size() - 3), ".h");
  const bool has_header = std::any_of(tree.begin(), tree.end(),
                                      [&](const SourceFile& f) { return f.path() == header; });
  if (!has_header) return;
  for (size_t i = 0; i < file.lines().size(); ++i) {
    if (!absl::StartsWith(file.lines()[i], "#include")) continue;
    const bool own = file.lines()[i] == absl::StrCat("#include \"", header, "\"");
    if (!own)
      Report(file, i, "first-include", "the own header is not included first", header, findings);
    return;
  }
}

// A call Wire(true) says nothing. One bool parameter that is the whole of a setter's or a
// predicate's name is no better: Set(true).
void CheckBoolParameters(const SourceFile& file, Findings* findings) {
  if (!file.IsHeader() || file.IsTest()) return;
  bool hidden = false;
  for (size_t i = 0; i < file.code().size(); ++i) {
    const std::string& line = file.code()[i];
    if (HasToken(line, "private:") || HasToken(line, "protected:")) hidden = true;
    if (HasToken(line, "public:") || absl::StartsWith(line, "};")) hidden = false;
    if (hidden) continue;
    for (size_t at = FindToken(line, "bool"); at != absl::string_view::npos;
         at = FindToken(line, "bool", at + 1)) {
      const size_t before = line.find_last_not_of(' ', at == 0 ? 0 : at - 1);
      const bool in_list =
          at > 0 && before != std::string::npos && (line[before] == '(' || line[before] == ',');
      size_t end = at + 4;
      while (end < line.size() && line[end] == ' ') ++end;
      const size_t name = end;
      while (end < line.size() && IsWordChar(line[end])) ++end;
      const bool named = end > name && end < line.size() &&
                         (line[end] == ',' || line[end] == ')' || line[end] == ' ');
      // A structured binding or a template parameter list is no parameter list.
      const bool parameter = in_list && named && line.find('<') > at;
      if (parameter) {
        Report(file, i, "bool-parameter",
               absl::StrCat("bool parameter ", line.substr(name, end - name)),
               "an enum of two words, such as Wire::kNo", findings);
      }
    }
  }
}

void CheckFriends(const SourceFile& file, Findings* findings) {
  for (size_t i = 0; i < file.code().size(); ++i) {
    const std::string& line = file.code()[i];
    if (!HasToken(line, "friend") || HasToken(line, "operator")) continue;
    Report(file, i, "friend", "friend", "Badge<T> or a public contract (operators may be friends)",
           findings);
  }
}

// Header-level parts of the language library that need no run-time support (design D2).
constexpr std::array<absl::string_view, 19> kFreestandingHeaders = {
    "algorithm", "array",   "atomic",      "bit",     "climits",     "compare",          "concepts",
    "cstdarg",   "cstddef", "cstdint",     "cstring", "emmintrin.h", "initializer_list", "limits",
    "memory",    "new",     "type_traits", "utility", "version"};

constexpr std::array<absl::string_view, 24> kRuntimeTokens = {"std::string",
                                                              "std::string_view",
                                                              "std::vector",
                                                              "std::map",
                                                              "std::set",
                                                              "std::deque",
                                                              "std::list",
                                                              "std::function",
                                                              "std::unique_ptr",
                                                              "std::shared_ptr",
                                                              "std::make_unique",
                                                              "std::ostream",
                                                              "std::cout",
                                                              "std::cerr",
                                                              "std::mutex",
                                                              "std::thread",
                                                              "std::unordered_map",
                                                              "std::optional",
                                                              "throw",
                                                              "try",
                                                              "dynamic_cast",
                                                              "typeid",
                                                              "malloc",
                                                              "printf"};

bool IsDeployable(const SourceFile& file) {
  return file.IsCpp() && file.IsInAny({"base", "uvm", "pmap_sim", "vmserver"}) && !file.IsTest() &&
         !absl::EndsWith(file.path(), "_host.cc") && !absl::EndsWith(file.path(), "_host.h");
}

void CheckDeployableIncludes(const SourceFile& file, Findings* findings) {
  constexpr absl::string_view kInstead = "a header that needs no run-time support, or base/";
  for (size_t i = 0; i < file.lines().size(); ++i) {
    absl::string_view line = file.lines()[i];
    if (!absl::ConsumePrefix(&line, "#include ") || line.size() < 2) continue;
    const std::string header(line.substr(1, line.find_first_of(">\"", 1) - 1));
    const bool system = line[0] == '<' && !absl::StartsWith(header, "l4/");
    const bool known = std::find(kFreestandingHeaders.begin(), kFreestandingHeaders.end(),
                                 header) != kFreestandingHeaders.end();
    const bool library = absl::StartsWith(header, "absl/") || absl::StartsWith(header, "boost/");
    if ((system && !known) || (library && header != "absl/base/thread_annotations.h")) {
      Report(file, i, "deployable-include", absl::StrCat(header, " on the deployable side"),
             std::string(kInstead), findings);
    }
  }
}

void CheckDeployableTokens(const SourceFile& file, Findings* findings) {
  constexpr absl::string_view kInstead =
      "what base/ offers: the deployable side has no run-time support";
  for (size_t i = 0; i < file.code().size(); ++i) {
    const std::string& line = file.code()[i];
    for (const absl::string_view token : kRuntimeTokens) {
      if (!HasToken(line, token)) continue;
      Report(file, i, "deployable-run-time", absl::StrCat(token, " on the deployable side"),
             std::string(kInstead), findings);
    }
    if (absl::StrContains(line, "virtual ~")) {
      Report(file, i, "deployable-run-time", "virtual destructor on the deployable side",
             "a protected destructor that is not virtual", findings);
    }
    const size_t heap = FindToken(line, "new ");
    if (heap != absl::string_view::npos && !absl::StrContains(line.substr(heap), "new (") &&
        !absl::StartsWith(line, "#")) {
      Report(file, i, "deployable-run-time", "new on the deployable side", "a pool of base/pool.h",
             findings);
    }
  }
}

void CheckStaticLocals(const SourceFile& file, Findings* findings) {
  ForEachFunction(file, [&](const Block& block, size_t last) {
    for (size_t i = block.first_line; i <= last; ++i) {
      const std::string& line = file.code()[i];
      const size_t at = FindToken(line, "static ");
      if (at == absl::string_view::npos || absl::StrContains(line.substr(at), "static constexpr"))
        continue;
      if (line.find_first_not_of(' ') != at || i == block.first_line) continue;
      Report(file, i, "static-local", "static local variable",
             "a member of the machine (design D3)", findings);
    }
  });
}

// The directory and file name that an #include names; the X.2 headers are included as <l4/...>.
std::string IncludedPath(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, "#include ") || line.size() < 2) return "";
  const std::string path(line.substr(1, line.find_first_of(">\"", 1) - 1));
  if (absl::StartsWith(path, "l4/")) return absl::StrCat("fake_l4/include/", path);
  return line[0] == '"' ? path : "";
}

}  // namespace

void CheckCpp(const SourceFile& file, Findings* findings) {
  if (!file.IsCpp()) return;
  CheckLengths(file, findings);
  CheckHeaderForm(file, findings);
  CheckBoolParameters(file, findings);
  CheckFriends(file, findings);
  if (!IsDeployable(file)) return;
  CheckDeployableIncludes(file, findings);
  CheckDeployableTokens(file, findings);
  CheckStaticLocals(file, findings);
}

void CheckFirstIncludes(const std::vector<SourceFile>& tree, Findings* findings) {
  for (const SourceFile& file : tree) CheckFirstInclude(file, tree, findings);
}

void CheckIncludes(const SourceFile& file, const layering::Table& table, Findings* findings) {
  const std::string row = table.RowOf(file.Directory());
  if (!file.IsCpp() || row.empty()) return;
  for (size_t i = 0; i < file.lines().size(); ++i) {
    const std::string path = IncludedPath(file.lines()[i]);
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) continue;
    const std::string column = table.ColumnOf(path.substr(0, slash), path.substr(slash + 1));
    if (table.Allows(row, column)) continue;
    Report(file, i, "layering", absl::StrCat(row, " includes ", path, ", which is ", column),
           absl::StrCat("only ", absl::StrJoin(table.rows().at(row), " ")), findings);
  }
}

}  // namespace tools::tidy
