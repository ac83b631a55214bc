// proptests/engine/source_outline.h: what the characters of a C++ source are, and what lies within
// what.
//
// WHAT     Enough of the language to say where code is (and not a comment, a literal or a
//          preprocessor line) and which function's body it lies in. For sources in the house's
//          format; it knows no types.
// SEE      mutant_file.h, mechanical.h: who asks.

#ifndef PROPTESTS_ENGINE_SOURCE_OUTLINE_H_
#define PROPTESTS_ENGINE_SOURCE_OUTLINE_H_

#include <cstddef>
#include <string_view>
#include <vector>

namespace proptests {

// The line in which the character lies, 1 for the first.
int LineOfOffset(std::string_view text, size_t offset);

class SourceOutline {
 public:
  // Keeps a view of the text.
  explicit SourceOutline(std::string_view text);

  // Not in a comment, a literal or a preprocessor line.
  bool IsCode(size_t at) const { return code_[at]; }
  // The number of the outermost function body around `at`; -1: none.
  int FunctionAt(size_t at) const { return function_[at]; }
  // The last character of code before `at` that is no blank; 0 when there is none.
  char Before(size_t at) const;
  // The word that ends right before `at`, blanks and comments aside; empty when there is none.
  std::string_view WordBefore(size_t at) const;

  static bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\t'; }
  static bool IsWord(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }

 private:
  bool StartsAt(size_t at, std::string_view what) const {
    return text_.substr(at, what.size()) == what;
  }
  size_t EndOfLiteral(size_t at) const;
  size_t EndOfRawLiteral(size_t at) const;
  size_t EndOfDirective(size_t at) const;
  void MarkCode();
  void MarkFunctions();

  const std::string_view text_;
  std::vector<bool> code_;
  std::vector<int> function_;
};

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_SOURCE_OUTLINE_H_
