#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "tools/tidy/rules.h"

namespace tools::tidy {
namespace {

// Code columns are Google's choice of the house (Zircon, TigerBeetle); Starlark and shell carry
// long labels and pipelines.
constexpr size_t kCppColumns = 100;
constexpr size_t kOtherColumns = 150;

using Places = std::vector<absl::string_view>;

// Where a result of the system, the model or their comparison is made; tools may look at the host's
// clock to report seconds.
const Places& Deterministic() {
  static const auto* const places =
      new Places{"base",    "uvm",   "fake_l4", "pmap_sim",  "vmserver",
                 "machine", "model", "traces",  "proptests", "conform"};
  return *places;
}

const Places& NoFloatingPoint() {
  static const auto* const places =
      new Places{"base", "uvm", "fake_l4", "pmap_sim", "vmserver", "machine", "model", "traces"};
  return *places;
}

// A token that code may not contain. Whole identifiers only.
struct Ban {
  absl::string_view rule;
  absl::string_view token;
  absl::string_view instead;
};

constexpr absl::string_view kPrng = "a named stream of base/prng.h";
constexpr absl::string_view kHash = "base/hash.h";
constexpr absl::string_view kOrdered = "std::map, absl::btree_map or a sorted vector";
constexpr absl::string_view kTime = "the machine's virtual time";
constexpr absl::string_view kWhole = "integers: a ratio as numerator and denominator";

constexpr std::array kDeterminismBans = {
    Ban{"random", "rand", kPrng},
    Ban{"random", "srand", kPrng},
    Ban{"random", "std::random_device", kPrng},
    Ban{"random", "std::mt19937", kPrng},
    Ban{"random", "std::mt19937_64", kPrng},
    Ban{"random", "std::default_random_engine", kPrng},
    Ban{"random", "std::uniform_int_distribution", kPrng},
    Ban{"random", "std::uniform_real_distribution", kPrng},
    Ban{"random", "std::bernoulli_distribution", kPrng},
    Ban{"random", "std::geometric_distribution", kPrng},
    Ban{"random", "std::discrete_distribution", kPrng},
    Ban{"random", "std::normal_distribution", kPrng},
    Ban{"random", "std::shuffle", kPrng},
    Ban{"random", "std::sample", kPrng},
    Ban{"random", "absl::BitGen", kPrng},
    Ban{"random", "absl::Uniform", kPrng},
    Ban{"hash", "std::hash", kHash},
    Ban{"hash", "absl::Hash", kHash},
    Ban{"hash", "absl::HashOf", kHash},
    Ban{"hash-order", "std::unordered_map", kOrdered},
    Ban{"hash-order", "std::unordered_set", kOrdered},
    Ban{"hash-order", "std::unordered_multimap", kOrdered},
    Ban{"clock", "std::chrono::system_clock", kTime},
    Ban{"clock", "std::chrono::steady_clock", kTime},
    Ban{"clock", "std::chrono::high_resolution_clock", kTime},
    Ban{"clock", "absl::Now", kTime},
    Ban{"clock", "absl::GetCurrentTimeNanos", kTime},
    Ban{"clock", "gettimeofday", kTime},
    Ban{"clock", "clock_gettime", kTime},
    Ban{"clock", "time(nullptr)", kTime},
    Ban{"clock", "time(NULL)", kTime},
    Ban{"host-id", "getpid", "an id of the simulated world"},
    Ban{"host-id", "gettid", "an id of the simulated world"},
    Ban{"host-id", "std::this_thread::get_id", "an id of the simulated world"},
};

void Report(const SourceFile& file, size_t index, absl::string_view rule, std::string what,
            absl::string_view instead, Findings* findings) {
  findings->push_back({file.path(), static_cast<int>(index) + 1, std::string(rule), std::move(what),
                       std::string(instead)});
}

void CheckLineForm(const SourceFile& file, Findings* findings) {
  const bool other =
      absl::EndsWith(file.path(), ".bzl") || absl::EndsWith(file.path(), ".sh") || file.IsBuild();
  if (!file.IsCpp() && !other) return;
  const size_t limit = file.IsCpp() ? kCppColumns : kOtherColumns;
  for (size_t i = 0; i < file.lines().size(); ++i) {
    const std::string& line = file.lines()[i];
    // Columns are characters, not bytes: continuation bytes of UTF-8 do not count.
    size_t columns = 0;
    for (const char c : line) columns += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
    if (columns > limit && !absl::StrContains(line, "http")) {
      Report(file, i, "line-length", absl::StrCat(columns, " columns"),
             absl::StrCat("at most ", limit), findings);
    }
    if (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0) {
      Report(file, i, "blanks", "blank at the end of a line", "none", findings);
    }
    if (file.IsCpp() && absl::StrContains(line, '\t'))
      Report(file, i, "blanks", "tab", "blanks", findings);
  }
}

// Does column `at` of a line lie in a literal (and not in a comment)? The code keeps the quotes.
bool InLiteral(const SourceFile& file, size_t index, size_t at) {
  const std::string& code = file.code()[index];
  return std::count(code.begin(), code.begin() + static_cast<std::ptrdiff_t>(at), '"') % 2 == 1;
}

// Words that may not stand anywhere, comments included. Spelled in two parts, because this file is
// checked too.
void CheckWords(const SourceFile& file, Findings* findings) {
  constexpr absl::string_view kTodo =
      "TO"
      "DO";
  constexpr absl::string_view kPointerFormat =
      "%"
      "p";
  constexpr absl::string_view kUse =
      "TO"
      "DO(#issue), or an issue";
  for (size_t i = 0; i < file.lines().size(); ++i) {
    const std::string& line = file.lines()[i];
    if (HasToken(line,
                 "XX"
                 "X"))
      Report(file, i, "doubt",
             "XX"
             "X is banned",
             kUse, findings);
    if (HasToken(line,
                 "FIX"
                 "ME"))
      Report(file, i, "doubt",
             "FIX"
             "ME is banned",
             kUse, findings);
    const size_t todo = FindToken(line, kTodo);
    if (todo != absl::string_view::npos && file.IsCpp()) {
      const std::string rest = line.substr(todo + kTodo.size());
      const bool numbered = absl::StartsWith(rest, "(#") && rest.size() > 2 &&
                            std::isdigit(static_cast<unsigned char>(rest[2])) != 0;
      if (!numbered)
        Report(file, i, "doubt", absl::StrCat(kTodo, " without an issue is banned"), kUse,
               findings);
    }
    const size_t pointer = absl::string_view(line).find(kPointerFormat);
    if (file.IsCpp() && pointer != absl::string_view::npos && InLiteral(file, i, pointer)) {
      Report(file, i, "pointer-print", "a printed host address is banned",
             "a stable id such as page#12", findings);
    }
  }
}

// Names declared in the file as flat_hash containers.
std::vector<std::string> HashTables(const SourceFile& file) {
  std::vector<std::string> names;
  for (const std::string& line : file.code()) {
    const size_t at = line.find("flat_hash_");
    if (at == std::string::npos) continue;
    int depth = 0;
    for (size_t i = line.find('<', at); i < line.size(); ++i) {
      if (line[i] == '<') ++depth;
      if (line[i] != '>' || --depth > 0) continue;
      size_t start = i + 1;
      while (start < line.size() && (line[start] == ' ' || line[start] == '&')) ++start;
      size_t end = start;
      while (end < line.size() && IsWordChar(line[end])) ++end;
      if (end > start) names.push_back(line.substr(start, end - start));
      break;
    }
  }
  return names;
}

void CheckHashIteration(const SourceFile& file, Findings* findings) {
  for (const std::string& name : HashTables(file)) {
    for (size_t i = 0; i < file.code().size(); ++i) {
      const std::string& line = file.code()[i];
      const bool loop = HasToken(line, "for") && (HasToken(line, absl::StrCat(": ", name, ")")) ||
                                                  HasToken(line, absl::StrCat(name, ".begin()")));
      if (loop)
        Report(file, i, "hash-order", absl::StrCat("iteration over the hash table ", name),
               kOrdered, findings);
    }
  }
}

// A container ordered by a pointer: its key type, up to the first comma or the closing bracket at
// depth one, ends in `*`.
bool OrderedByPointer(absl::string_view line) {
  for (absl::string_view container : {"std::map<", "std::set<", "std::multimap<", "std::multiset<",
                                      "absl::btree_map<", "absl::btree_set<"}) {
    const size_t at = FindToken(line, container);
    if (at == absl::string_view::npos) continue;
    int depth = 1;
    for (size_t i = at + container.size(); i < line.size(); ++i) {
      if (line[i] == '<' || line[i] == '(') ++depth;
      const bool end = (line[i] == ',' && depth == 1) || line[i] == '>' || line[i] == ')';
      if (end && depth == 1) return line[i - 1] == '*';
      if (line[i] == '>' || line[i] == ')') --depth;
    }
  }
  return false;
}

// The random streams that `text` draws from: "prng" for prng.Next() and prng->Below(n), "rc" for
// *rc::gen::...
std::set<std::string> Draws(absl::string_view text) {
  std::set<std::string> streams;
  if (absl::StrContains(text, "*rc::gen::")) streams.insert("rc");
  for (size_t at = text.find("rng"); at != absl::string_view::npos; at = text.find("rng", at + 1)) {
    size_t start = at;
    while (start > 0 && IsWordChar(text[start - 1])) --start;
    size_t end = at + 3;
    while (end < text.size() && IsWordChar(text[end])) ++end;
    const std::string name(text.substr(start, end - start));
    if (text.substr(end, 2) == "()") end += 2;
    if (text.substr(end, 1) == "." || text.substr(end, 2) == "->") streams.insert(name);
  }
  return streams;
}

// The arguments of the list that opens at `open`, without the outer parentheses; empty if it never
// closes.
std::vector<absl::string_view> Arguments(absl::string_view code, size_t open) {
  std::vector<absl::string_view> arguments;
  int depth = 0;
  size_t start = open + 1;
  for (size_t i = open; i < code.size(); ++i) {
    const char c = code[i];
    if (c == '(' || c == '{' || c == '[') ++depth;
    if (c == ')' || c == '}' || c == ']') --depth;
    if (depth == 0 || (depth == 1 && c == ',')) {
      arguments.push_back(code.substr(start, i - start));
      start = i + 1;
    }
    if (depth == 0) return arguments;
  }
  return {};
}

// C++ leaves the order of evaluation of arguments open (not that of braced lists), so two draws
// from one stream in one list differ between compilers.
void CheckDraws(const SourceFile& file, Findings* findings) {
  const std::string code = absl::StrJoin(file.code(), "\n");
  size_t line = 0;
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i] == '\n') ++line;
    if (code[i] != '(') continue;
    std::set<std::string> seen;
    for (const absl::string_view argument : Arguments(code, i)) {
      for (const std::string& stream : Draws(argument)) {
        if (seen.insert(stream).second) continue;
        Report(file, line, "two-draws",
               absl::StrCat("two draws from ", stream, " in one argument list"),
               "a named variable for each draw", findings);
      }
    }
  }
}

// std::sort leaves equal elements in an order of the library's choice.
void CheckSorts(const SourceFile& file, Findings* findings) {
  constexpr absl::string_view kMark = "total order";
  for (size_t i = 0; i < file.code().size(); ++i) {
    for (const absl::string_view sort :
         {"std::sort", "std::partial_sort", "std::nth_element", "absl::c_sort"}) {
      if (!HasToken(file.code()[i], sort)) continue;
      const bool marked = absl::StrContains(file.lines()[i], kMark) ||
                          (i > 0 && absl::StrContains(file.lines()[i - 1], kMark));
      if (marked) continue;
      Report(file, i, "unstable-sort", absl::StrCat(sort, " leaves ties to the library"),
             "std::stable_sort, or a comment `total order: why no two elements are equal`",
             findings);
    }
  }
}

void CheckDeterminism(const SourceFile& file, Findings* findings) {
  if (!file.IsCpp() || !file.IsInAny(Deterministic())) return;
  const bool floating = file.IsInAny(NoFloatingPoint()) && !file.IsTest();
  for (size_t i = 0; i < file.code().size(); ++i) {
    const std::string& line = file.code()[i];
    for (const Ban& ban : kDeterminismBans) {
      const size_t at = FindToken(line, ban.token);
      // A member or a namespace of ours may share a C function's name.
      const bool other =
          at != absl::string_view::npos && at > 0 && (line[at - 1] == '.' || line[at - 1] == '>');
      if (at == absl::string_view::npos || other) continue;
      Report(file, i, ban.rule, absl::StrCat(ban.token, " is banned"), ban.instead, findings);
    }
    if (!file.IsTest() && OrderedByPointer(line)) {
      Report(file, i, "pointer-order", "a container ordered by host address",
             "a stable id as the key", findings);
    }
    if (floating && (HasToken(line, "double") || HasToken(line, "float"))) {
      Report(file, i, "floating-point", "floating point is banned here", kWhole, findings);
    }
  }
  CheckHashIteration(file, findings);
  CheckDraws(file, findings);
  CheckSorts(file, findings);
}

}  // namespace

void CheckText(const SourceFile& file, Findings* findings) {
  CheckLineForm(file, findings);
  CheckWords(file, findings);
  CheckDeterminism(file, findings);
}

}  // namespace tools::tidy
