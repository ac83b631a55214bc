// conform/cursor.h: one line of a recording, read from left to right.
//
// WHAT     A Cursor takes what a line holds piece by piece. The first piece that is not as expected
//          is kept, and every later call does nothing; so a rule reads as a list of what the line
//          holds, and the error says what was expected and what was found instead. The three
//          formats (recording.h, facts.h, prefixes.h) are read by ForEachLine.
#ifndef CONFORM_CURSOR_H_
#define CONFORM_CURSOR_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace conform {

class Cursor {
 public:
  explicit Cursor(absl::string_view line) : rest_(line) {}

  bool ok() const { return expected_.empty(); }
  bool AtEnd() const { return rest_.empty(); }
  // Of the first piece that was not as expected; bytes that do not print as \xNN.
  const std::string& expected() const { return expected_; }
  const std::string& found() const { return found_; }

  void Fail(absl::string_view expected);
  bool Sees(absl::string_view text) const;
  // Takes `text` if it comes next.
  bool Take(absl::string_view text);
  void Expect(absl::string_view text);
  // Everything up to the first character of `ends`, or to the end of the line; not empty.
  std::string Word(absl::string_view what, absl::string_view ends);
  uint32_t Decimal(absl::string_view what, uint32_t least, uint32_t most);
  // A word of the recorded machine.
  uint32_t Hex(absl::string_view what);
  // The same for wider words, and for numbers that may begin with `-`. `most` < 2^64 - 1.
  uint64_t Decimal64(absl::string_view what, uint64_t least, uint64_t most);
  int64_t Signed(absl::string_view what);
  uint64_t Hex64(absl::string_view what);
  // What is left of the line.
  std::string Rest(absl::string_view what);
  void End();

 private:
  // Of the first `size` characters, digits all, in the base; more than `most` when it overflows.
  uint64_t ValueOf(size_t size, uint64_t base, uint64_t most) const;
  uint64_t Finish(size_t size, uint64_t value, uint64_t least, uint64_t most,
                  absl::string_view what);

  absl::string_view rest_;
  std::string expected_, found_;
};

// Gives each line of `text` and its number, from 1, to `rule`, which takes all of it. The first
// line of which something is left, or was not as expected, ends it: "FILE:LINE: expected X, found
// Y". So does a last line without its end. *lines: how many there are.
absl::Status ForEachLine(absl::string_view file, absl::string_view text, int* lines,
                         absl::FunctionRef<void(Cursor&, int line)> rule);
// The file ends before line `line`, where `expected` should be.
absl::Status EndsTooEarly(absl::string_view file, int line, absl::string_view expected);

}  // namespace conform

#endif  // CONFORM_CURSOR_H_
