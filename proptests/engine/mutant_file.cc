#include "proptests/engine/mutant_file.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace proptests {
namespace {

using Json = nlohmann::json;

constexpr const char* kKeys[] = {"id", "file", "find", "replace", "breaks", "rule", "equivalent"};

bool IsId(const std::string& text) {
  return !text.empty() &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

absl::Status FillField(const Json& entry, const char* key, bool required, std::string* out) {
  const auto found = entry.find(key);
  if (found == entry.end()) {
    if (!required) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("expected a key \"", key, "\""));
  }
  if (!found->is_string()) {
    return absl::InvalidArgumentError(absl::StrCat("expected a string as \"", key, "\""));
  }
  *out = found->get<std::string>();
  return absl::OkStatus();
}

absl::StatusOr<Mutant> ParseEntry(const Json& entry) {
  if (!entry.is_object()) return absl::InvalidArgumentError("expected an object");
  for (const auto& item : entry.items()) {
    const bool known = std::find(std::begin(kKeys), std::end(kKeys), item.key()) != std::end(kKeys);
    if (!known) return absl::InvalidArgumentError(absl::StrCat("unknown key \"", item.key(), "\""));
  }
  Mutant mutant;
  const struct {
    const char* key;
    bool required;
    std::string* out;
  } fields[] = {
      {"id", true, &mutant.id},
      {"file", true, &mutant.file},
      {"find", true, &mutant.find},
      {"replace", true, &mutant.replace},
      {"breaks", true, &mutant.breaks},
      {"rule", false, &mutant.rule},
      {"equivalent", false, &mutant.equivalent},
  };
  for (const auto& field : fields) {
    absl::Status status = FillField(entry, field.key, field.required, field.out);
    if (!status.ok()) return status;
  }
  if (!IsId(mutant.id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected an id of a-z, 0-9 and _, found \"", mutant.id, "\""));
  }
  if (mutant.find.empty()) return absl::InvalidArgumentError("expected a text to find");
  return mutant;
}

int LineOf(std::string_view text, size_t offset) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + offset, '\n'));
}

// What the characters of a C++ source are, and what lies within what.
class Outline {
 public:
  explicit Outline(std::string_view text) : text_(text), code_(text.size(), false) {
    MarkCode();
    MarkFunctions();
  }

  // Not in a comment, a literal or a preprocessor line.
  bool IsCode(size_t at) const { return code_[at]; }
  // The number of the outermost function body around `at`; -1: none.
  int FunctionAt(size_t at) const { return function_[at]; }
  // The last character of code before `at` that is no blank; 0 when there is none.
  char Before(size_t at) const {
    while (at-- > 0) {
      if (code_[at] && !IsBlank(text_[at])) return text_[at];
    }
    return 0;
  }
  // The word that ends right before `at`, blanks and comments aside; empty when there is none.
  std::string_view WordBefore(size_t at) const {
    while (at > 0 && (!code_[at - 1] || IsBlank(text_[at - 1]))) --at;
    size_t start = at;
    while (start > 0 && IsWord(text_[start - 1])) --start;
    return text_.substr(start, at - start);
  }

 private:
  static bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\t'; }
  static bool IsWord(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }
  bool StartsAt(size_t at, std::string_view what) const {
    return text_.substr(at, what.size()) == what;
  }
  size_t EndOfLiteral(size_t at) const {
    const char quote = text_[at];
    for (++at; at < text_.size() && text_[at] != quote && text_[at] != '\n'; ++at) {
      if (text_[at] == '\\') ++at;
    }
    return at + 1;
  }
  size_t EndOfRawLiteral(size_t at) const {
    const size_t open = text_.find('(', at);
    const std::string close =
        absl::StrCat(")", std::string(text_.substr(at + 2, open - at - 2)), "\"");
    const size_t end = text_.find(close, open);
    return end == std::string_view::npos ? text_.size() : end + close.size();
  }
  size_t EndOfDirective(size_t at) const {
    for (; at < text_.size() && text_[at] != '\n'; ++at) {
      if (text_[at] == '\\' && at + 1 < text_.size()) ++at;
    }
    return at;
  }

  void MarkCode() {
    bool line_start = true;
    for (size_t at = 0; at < text_.size();) {
      const char c = text_[at];
      const bool digit_before = at > 0 && IsWord(text_[at - 1]);
      if (StartsAt(at, "//")) {
        at = std::min(text_.find('\n', at), text_.size());
      } else if (StartsAt(at, "/*")) {
        const size_t end = text_.find("*/", at + 2);
        at = end == std::string_view::npos ? text_.size() : end + 2;
      } else if (StartsAt(at, "R\"") && !digit_before) {
        at = EndOfRawLiteral(at);
      } else if (c == '"' || (c == '\'' && !digit_before)) {
        at = EndOfLiteral(at);
      } else if (c == '#' && line_start) {
        at = EndOfDirective(at);
      } else {
        code_[at++] = true;
      }
      line_start = c == '\n' || (line_start && IsBlank(c));
    }
  }

  // A brace opens a function body when what leads up to it has a parameter list and is neither a
  // class nor a namespace nor an initialiser.
  static bool OpensFunction(std::string_view head) {
    if (head.find('(') == std::string_view::npos) return false;
    for (std::string_view word : {"namespace", "class ", "struct ", "union ", "enum "}) {
      const size_t at = head.find(word);
      if (at != std::string_view::npos && at < head.find('(')) return false;
    }
    const size_t equals = head.find(" = ");
    return equals == std::string_view::npos || equals > head.rfind(')') ||
           head.find("operator") < equals || head.find('(') < equals;
  }

  void MarkFunctions() {
    function_.assign(text_.size(), -1);
    std::vector<bool> braces;  // of each open one: is it a function's, or within one?
    int functions = 0;
    std::string head;
    for (size_t at = 0; at < text_.size(); ++at) {
      const bool inside = !braces.empty() && braces.back();
      function_[at] = inside ? functions : -1;
      if (!code_[at]) continue;
      const char c = text_[at];
      if (c == '{') {
        if (!inside && OpensFunction(head)) {
          ++functions;
          braces.push_back(true);
        } else {
          braces.push_back(inside);
        }
        head.clear();
      } else if (c == '}') {
        if (!braces.empty()) braces.pop_back();
        if (braces.empty() || !braces.back()) function_[at] = -1;
        head.clear();
      } else if (c == ';') {
        head.clear();
      } else {
        head += c == '\n' ? ' ' : c;
      }
    }
  }

  const std::string_view text_;
  std::vector<bool> code_;
  std::vector<int> function_;
};

// One stretch of the source with the mutants that replace it.
struct Spot {
  size_t begin = 0;
  size_t end = 0;
  bool statements = false;
  std::vector<const Mutant*> mutants;
};

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \n\t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \n\t") - begin + 1);
}

// Whether every bracket that opens in [begin, end) closes there, and the other way round.
bool IsBalanced(std::string_view text, const Outline& outline, size_t begin, size_t end) {
  std::string open;
  for (size_t at = begin; at < end; ++at) {
    if (!outline.IsCode(at)) continue;
    const char c = text[at];
    if (c == '(' || c == '[' || c == '{') open += c;
    if (c != ')' && c != ']' && c != '}') continue;
    const char partner = c == ')' ? '(' : c == ']' ? '[' : '{';
    if (open.empty() || open.back() != partner) return false;
    open.pop_back();
  }
  return open.empty();
}

bool HasSemicolon(std::string_view text, const Outline& outline, size_t begin, size_t end) {
  int depth = 0;
  for (size_t at = begin; at < end; ++at) {
    if (!outline.IsCode(at)) continue;
    if (text[at] == '(' || text[at] == '{') ++depth;
    if (text[at] == ')' || text[at] == '}') --depth;
    if (depth == 0 && text[at] == ';') return true;
  }
  return false;
}

bool StartsStatement(const Outline& outline, size_t at) {
  const char before = outline.Before(at);
  return before == ';' || before == '{' || before == '}' || before == ')' || before == ':' ||
         outline.WordBefore(at) == "else" || outline.WordBefore(at) == "do";
}

absl::StatusOr<Spot> Locate(std::string_view source, const Outline& outline, const Mutant& mutant) {
  const size_t at = source.find(mutant.find);
  if (at == std::string_view::npos) return absl::NotFoundError("the text is not there");
  const size_t again = source.find(mutant.find, at + 1);
  if (again != std::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("the text is there again in line ", LineOf(source, again)));
  }
  const std::string_view core = Trimmed(mutant.find);
  if (core.empty()) return absl::InvalidArgumentError("the text is blank");
  Spot spot;
  spot.begin = source.find(core, at);
  spot.end = spot.begin + core.size();
  const int function = outline.FunctionAt(spot.begin);
  for (size_t i = spot.begin; i < spot.end; ++i) {
    if (function < 0 || outline.FunctionAt(i) != function) {
      return absl::InvalidArgumentError("the text does not lie within one function");
    }
  }
  if (!outline.IsCode(spot.begin)) {
    return absl::InvalidArgumentError("the text begins in a comment or a literal");
  }
  if (!IsBalanced(source, outline, spot.begin, spot.end)) {
    return absl::InvalidArgumentError("the text has an unpaired bracket");
  }
  const char last = core.back();
  spot.statements = last == ';' || last == '}';
  if (spot.statements && !StartsStatement(outline, spot.begin)) {
    return absl::InvalidArgumentError("the text ends a statement that it does not begin");
  }
  if (!spot.statements && HasSemicolon(source, outline, spot.begin, spot.end)) {
    return absl::InvalidArgumentError("the text is neither an expression nor whole statements");
  }
  return spot;
}

std::string Emit(std::string_view source, const std::vector<Spot>& spots, size_t begin, size_t end,
                 size_t* next);

// The spot with its choices; spots inside keep theirs in the part that is the original.
std::string EmitSpot(std::string_view source, const std::vector<Spot>& spots, size_t* next) {
  const Spot& spot = spots[(*next)++];
  const std::string original = Emit(source, spots, spot.begin, spot.end, next);
  std::string text;
  if (spot.statements) {
    text = "{ ";
    for (const Mutant* mutant : spot.mutants) {
      absl::StrAppend(&text, "if (::selected_mutant == ", mutant->number, ") {\n", mutant->replace,
                      "\n} else ");
    }
    absl::StrAppend(&text, "{\n", original, "\n} }");
    return text;
  }
  text = "(";
  for (const Mutant* mutant : spot.mutants) {
    absl::StrAppend(&text, "::selected_mutant == ", mutant->number, " ? (", mutant->replace,
                    ") : ");
  }
  absl::StrAppend(&text, "(", original, "))");
  return text;
}

std::string Emit(std::string_view source, const std::vector<Spot>& spots, size_t begin, size_t end,
                 size_t* next) {
  std::string text;
  size_t at = begin;
  while (*next < spots.size() && spots[*next].begin < end) {
    const Spot& spot = spots[*next];
    text.append(source.substr(at, spot.begin - at));
    at = spot.end;
    text += EmitSpot(source, spots, next);
  }
  text.append(source.substr(at, end - at));
  return text;
}

}  // namespace

absl::StatusOr<std::vector<Mutant>> ParseMutants(std::string_view text, const std::string& name) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": expected a JSON list of mutants"));
  }
  std::vector<Mutant> mutants;
  std::set<std::string> ids;
  size_t from = 0;
  for (size_t i = 0; i < json.size(); ++i) {
    absl::StatusOr<Mutant> mutant = ParseEntry(json[i]);
    if (!mutant.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": entry ", i + 1, ": ", mutant.status().message()));
    }
    if (!ids.insert(mutant->id).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": entry ", i + 1, ": there is another \"", mutant->id, "\""));
    }
    const size_t at = text.find(absl::StrCat("\"", mutant->id, "\""), from);
    if (at != std::string_view::npos) {
      mutant->line = LineOf(text, at);
      from = at;
    }
    mutants.push_back(*std::move(mutant));
  }
  return mutants;
}

absl::StatusOr<std::vector<Mutant>> JoinMutants(const std::vector<std::vector<Mutant>>& lists) {
  std::vector<Mutant> all;
  std::set<std::string> ids;
  for (const std::vector<Mutant>& list : lists) {
    for (const Mutant& mutant : list) {
      if (!ids.insert(mutant.id).second) {
        return absl::InvalidArgumentError(
            absl::StrCat("two lists have a mutant \"", mutant.id, "\""));
      }
      all.push_back(mutant);
      all.back().number = static_cast<uint32_t>(all.size());
    }
  }
  return all;
}

absl::StatusOr<std::string> Rewrite(const std::string& path, const std::string& source,
                                    const std::vector<Mutant>& mutants) {
  const Outline outline(source);
  std::vector<Spot> spots;
  for (const Mutant& mutant : mutants) {
    if (mutant.file != path) continue;
    absl::StatusOr<Spot> spot = Locate(source, outline, mutant);
    if (!spot.ok()) {
      const size_t at = source.find(mutant.find);
      const int line = at == std::string::npos ? 1 : LineOf(source, at);
      return absl::Status(spot.status().code(), absl::StrCat(path, ":", line, ": ", mutant.id, ": ",
                                                             spot.status().message()));
    }
    auto same = std::find_if(spots.begin(), spots.end(), [&](const Spot& other) {
      return other.begin == spot->begin && other.end == spot->end;
    });
    if (same == spots.end()) same = spots.insert(same, *spot);
    same->mutants.push_back(&mutant);
  }
  if (spots.empty()) return source;
  // Outer ones first. total order: no two spots have the same bounds.
  std::sort(spots.begin(), spots.end(), [](const Spot& a, const Spot& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  for (size_t i = 1; i < spots.size(); ++i) {
    for (size_t outer = 0; outer < i; ++outer) {
      if (spots[outer].end > spots[i].begin && spots[outer].end < spots[i].end) {
        return absl::InvalidArgumentError(absl::StrCat(
            path, ":", LineOf(source, spots[i].begin), ": ", spots[i].mutants.front()->id,
            ": overlaps ", spots[outer].mutants.front()->id));
      }
    }
  }
  size_t next = 0;
  return absl::StrCat("extern unsigned selected_mutant;\n#line 1 \"", path, "\"\n",
                      Emit(source, spots, 0, source.size(), &next));
}

}  // namespace proptests
