#include "proptests/engine/source_outline.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

namespace proptests {
namespace {

// A brace opens a function body when what leads up to it has a parameter list and is neither a
// class nor a namespace nor an initialiser.
bool OpensFunction(std::string_view head) {
  if (head.find('(') == std::string_view::npos) return false;
  for (std::string_view word : {"namespace", "class ", "struct ", "union ", "enum "}) {
    const size_t at = head.find(word);
    if (at != std::string_view::npos && at < head.find('(')) return false;
  }
  const size_t equals = head.find(" = ");
  return equals == std::string_view::npos || equals > head.rfind(')') ||
         head.find("operator") < equals || head.find('(') < equals;
}

}  // namespace

int LineOfOffset(std::string_view text, size_t offset) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + offset, '\n'));
}

SourceOutline::SourceOutline(std::string_view text) : text_(text), code_(text.size(), false) {
  MarkCode();
  MarkFunctions();
}

char SourceOutline::Before(size_t at) const {
  while (at-- > 0) {
    if (code_[at] && !IsBlank(text_[at])) return text_[at];
  }
  return 0;
}

std::string_view SourceOutline::WordBefore(size_t at) const {
  while (at > 0 && (!code_[at - 1] || IsBlank(text_[at - 1]))) --at;
  size_t start = at;
  while (start > 0 && IsWord(text_[start - 1])) --start;
  return text_.substr(start, at - start);
}

size_t SourceOutline::EndOfLiteral(size_t at) const {
  const char quote = text_[at];
  for (++at; at < text_.size() && text_[at] != quote && text_[at] != '\n'; ++at) {
    if (text_[at] == '\\') ++at;
  }
  return at + 1;
}
size_t SourceOutline::EndOfRawLiteral(size_t at) const {
  const size_t open = text_.find('(', at);
  const std::string close =
      absl::StrCat(")", std::string(text_.substr(at + 2, open - at - 2)), "\"");
  const size_t end = text_.find(close, open);
  return end == std::string_view::npos ? text_.size() : end + close.size();
}
size_t SourceOutline::EndOfDirective(size_t at) const {
  for (; at < text_.size() && text_[at] != '\n'; ++at) {
    if (text_[at] == '\\' && at + 1 < text_.size()) ++at;
  }
  return at;
}

void SourceOutline::MarkCode() {
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

void SourceOutline::MarkFunctions() {
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

}  // namespace proptests
