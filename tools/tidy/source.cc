#include "tools/tidy/source.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tools::tidy {
namespace {

// Where the literal or comment that starts at `at` ends (one past its last character); `at` itself
// if none starts there.
size_t EndOfProse(absl::string_view text, size_t at) {
  const absl::string_view rest = text.substr(at);
  if (absl::StartsWith(rest, "//")) return std::min(text.size(), text.find('\n', at));
  if (absl::StartsWith(rest, "/*")) {
    const size_t end = text.find("*/", at + 2);
    return end == absl::string_view::npos ? text.size() : end + 2;
  }
  const bool after_word = at > 0 && IsWordChar(text[at - 1]);
  if (absl::StartsWith(rest, "R\"") && !after_word) {
    const size_t open = text.find('(', at);
    if (open == absl::string_view::npos) return text.size();
    const std::string close = absl::StrCat(")", text.substr(at + 2, open - at - 2), "\"");
    const size_t end = text.find(close, open);
    return end == absl::string_view::npos ? text.size() : end + close.size();
  }
  // A quote inside a number (1'000) is a separator.
  if (text[at] != '"' && (text[at] != '\'' || after_word)) return at;
  size_t end = at + 1;
  while (end < text.size() && text[end] != text[at] && text[end] != '\n') {
    end += text[end] == '\\' ? 2 : 1;
  }
  return std::min(text.size(), end + 1);
}

}  // namespace

std::string Finding::ToString() const {
  return absl::StrCat(path, ":", line, ": error: ", what, ", use ", instead, " [", rule, "]");
}

bool IsWordChar(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string BlankProse(absl::string_view text) {
  std::string blanked(text);
  for (size_t at = 0; at < text.size();) {
    const size_t end = EndOfProse(text, at);
    if (end == at) {
      ++at;
      continue;
    }
    // A literal keeps its quotes, a comment nothing.
    const size_t skip = text[at] == 'R' ? 2 : (text[at] == '/' ? 0 : 1);
    for (size_t i = at + skip; i < (skip > 0 ? end - 1 : end); ++i) {
      if (blanked[i] != '\n') blanked[i] = ' ';
    }
    at = end;
  }
  return blanked;
}

size_t FindToken(absl::string_view line, absl::string_view token, size_t from) {
  for (size_t at = line.find(token, from); at != absl::string_view::npos;
       at = line.find(token, at + 1)) {
    const size_t end = at + token.size();
    const bool starts = !IsWordChar(token.front()) || at == 0 || !IsWordChar(line[at - 1]);
    const bool ends = !IsWordChar(token.back()) || end == line.size() || !IsWordChar(line[end]);
    if (starts && ends) return at;
  }
  return absl::string_view::npos;
}

bool HasToken(absl::string_view line, absl::string_view token) {
  return FindToken(line, token) != absl::string_view::npos;
}

SourceFile::SourceFile(std::string path, std::string text)
    : path_(std::move(path)), text_(std::move(text)), lines_(absl::StrSplit(text_, '\n')) {
  if (!lines_.empty() && lines_.back().empty()) lines_.pop_back();
  code_ = lines_;
  if (IsCpp()) {
    code_ = absl::StrSplit(BlankProse(text_), '\n');
    code_.resize(lines_.size());
  }
}

std::string SourceFile::Directory() const {
  const size_t slash = path_.rfind('/');
  return slash == std::string::npos ? "" : path_.substr(0, slash);
}

std::string SourceFile::Name() const { return path_.substr(path_.rfind('/') + 1); }

bool SourceFile::IsCpp() const { return absl::EndsWith(path_, ".cc") || IsHeader(); }

bool SourceFile::IsHeader() const { return absl::EndsWith(path_, ".h"); }

bool SourceFile::IsBuild() const { return Name() == "BUILD"; }

bool SourceFile::IsTest() const {
  return absl::EndsWith(path_, "_test.cc") || absl::EndsWith(path_, "_benchmark.cc") ||
         absl::StrContains(path_, "/testing/");
}

bool SourceFile::IsIn(absl::string_view directory) const {
  return absl::StartsWith(path_, absl::StrCat(directory, "/"));
}

bool SourceFile::IsInAny(const std::vector<absl::string_view>& directories) const {
  return std::any_of(directories.begin(), directories.end(),
                     [this](absl::string_view d) { return IsIn(d); });
}

}  // namespace tools::tidy
