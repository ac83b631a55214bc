// traces/trace.h: a whole trace: operations in order, with what they are expected to do and the
// words around them.
//
// WHAT     A Trace is what a .trace file means. Lines hold the operations; notes hold the comment
//          lines and blank lines between them; files holds the names that Op::file counts from 1.
// INVARIANTS  Texts hold no newline, no NUL and no trailing blank; they exclude the leading "# ".
//          Every Op::file is at most files.size(). Equality ignores line numbers.
// SEE      traces/codec.h for the text form; traces/README.md.

#ifndef TRACES_TRACE_H_
#define TRACES_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "traces/op.h"

namespace traces {

struct Line {
  Op op;
  std::optional<Outcome> expected;  // absent: the trace does not say
  std::string comment;              // at the end of the line; empty: none
  int line = 0;  // 1-based line of the file it was read from; 0: not read from a file

  friend bool operator==(const Line& a, const Line& b) {
    return a.op == b.op && a.expected == b.expected && a.comment == b.comment;
  }
};

// A comment line or a blank line of its own.
struct Note {
  size_t before = 0;  // index of the Line it precedes; lines.size() at the end of the trace
  bool blank = false;
  std::string text;  // empty when blank

  friend bool operator==(const Note&, const Note&) = default;
};

class Trace {
 public:
  // The first line: `name: what it shows`.
  std::string title;
  // Comment lines that follow the title directly.
  std::vector<std::string> header;
  std::vector<Line> lines;
  // In order of `before`; never a comment with before == 0 ahead of the first blank (that would be
  // header).
  std::vector<Note> notes;
  // Base names, each once. Op::file is 1 + an index into this.
  std::vector<std::string> files;

  // The Op::file of `name`, which is added when it is new. REQUIRES: ValidFileName(name).
  uint32_t Intern(absl::string_view name);
  // Appends an operation without expectation; returns its line for further filling in.
  Line& Add(const Op& op);

  friend bool operator==(const Trace&, const Trace&) = default;
};

// Base names only: 1 to 255 of A-Z a-z 0-9 . _ + - and not "." or "..".
bool ValidFileName(absl::string_view name);

}  // namespace traces

#endif  // TRACES_TRACE_H_
