// tools/tidy/source.h: a file of the tree as the rules see it.
//
// WHAT        A SourceFile is a path relative to the workspace, its text, its lines, and (for C++)
// the same lines with the contents of comments
//             and literals blanked out, so that a rule about code is not misled by prose.
// INVARIANTS  lines and code have the same number of lines, and equal lengths line by line.
#ifndef TOOLS_TIDY_SOURCE_H_
#define TOOLS_TIDY_SOURCE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tools::tidy {

// One broken rule. Prints as `file:line: error: what, use instead [rule]`.
struct Finding {
  std::string path;
  int line = 1;
  std::string rule;
  std::string what;
  std::string instead;

  std::string ToString() const;
  friend bool operator==(const Finding&, const Finding&) = default;
};

class SourceFile {
 public:
  SourceFile(std::string path, std::string text);

  const std::string& path() const { return path_; }
  const std::string& text() const { return text_; }
  const std::vector<std::string>& lines() const { return lines_; }
  // The lines without comments and without the contents of literals; same as lines() for files that
  // are not C++.
  const std::vector<std::string>& code() const { return code_; }

  // "uvm/testing" for uvm/testing/space.h; "" for a file at the top.
  std::string Directory() const;
  // "space.h" for uvm/testing/space.h.
  std::string Name() const;
  bool IsCpp() const;
  bool IsHeader() const;
  bool IsBuild() const;
  // A test, a benchmark, or support for them.
  bool IsTest() const;
  bool IsIn(absl::string_view directory) const;
  bool IsInAny(const std::vector<absl::string_view>& directories) const;

 private:
  std::string path_;
  std::string text_;
  std::vector<std::string> lines_;
  std::vector<std::string> code_;
};

// Blanks comments and the contents of string and character literals (raw strings included);
// newlines and all other characters stay put.
std::string BlankProse(absl::string_view text);

// Is `c` part of an identifier?
bool IsWordChar(char c);

// The position of `token` in `line` at or after `from` where it is not part of a longer identifier;
// npos if there is none. An end of `token` that is not an identifier character matches anywhere.
size_t FindToken(absl::string_view line, absl::string_view token, size_t from = 0);
bool HasToken(absl::string_view line, absl::string_view token);

}  // namespace tools::tidy

#endif  // TOOLS_TIDY_SOURCE_H_
