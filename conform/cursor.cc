#include "conform/cursor.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace conform {

namespace {

// For messages: whatever bytes a file holds, they are one line that prints.
std::string Printable(absl::string_view text) {
  std::string printable;
  for (const char c : text) {
    if (c >= ' ' && c <= '~') {
      printable += c;
    } else {
      absl::StrAppend(&printable, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return printable;
}

}  // namespace

void Cursor::Fail(absl::string_view expected) {
  if (!ok()) return;
  expected_ = Printable(expected);
  const absl::string_view word = rest_.substr(0, rest_.find(' '));
  found_ = rest_.empty()      ? "the end of the line"
           : word.empty()     ? "a blank"
           : word.size() > 40 ? absl::StrCat("`", Printable(word.substr(0, 40)), "...`")
                              : absl::StrCat("`", Printable(word), "`");
}

bool Cursor::Sees(absl::string_view text) const { return ok() && absl::StartsWith(rest_, text); }

bool Cursor::Take(absl::string_view text) {
  if (!Sees(text)) return false;
  rest_.remove_prefix(text.size());
  return true;
}

void Cursor::Expect(absl::string_view text) {
  if (!Take(text)) Fail(absl::StrCat("`", text, "`"));
}

std::string Cursor::Word(absl::string_view what, absl::string_view ends) {
  const absl::string_view word = rest_.substr(0, rest_.find_first_of(ends));
  if (word.empty()) Fail(what);
  if (!ok()) return "";
  rest_.remove_prefix(word.size());
  return std::string(word);
}

uint32_t Cursor::Decimal(absl::string_view what, uint32_t least, uint32_t most) {
  const size_t size = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
  uint64_t value = 0;
  for (size_t i = 0; i < size && value <= most; i++) value = value * 10 + (rest_[i] - '0');
  return Finish(size, value, least, most, absl::StrCat(what, " (", least, " to ", most, ")"));
}

uint32_t Cursor::Hex(absl::string_view what) {
  const size_t size = std::min(rest_.find_first_not_of("0123456789abcdef"), rest_.size());
  uint64_t value = 0;
  for (size_t i = 0; i < size && value <= UINT32_MAX; i++) {
    const char c = rest_[i];
    value = value * 16 + static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return Finish(size, value, 0, UINT32_MAX, absl::StrCat(what, " (a 32-bit word in hex)"));
}

void Cursor::End() {
  if (ok() && !AtEnd()) Fail("the end of the line");
}

uint32_t Cursor::Finish(size_t size, uint64_t value, uint32_t least, uint32_t most,
                        absl::string_view what) {
  if (size == 0 || value < least || value > most) Fail(what);
  if (!ok()) return 0;
  rest_.remove_prefix(size);
  return static_cast<uint32_t>(value);
}

absl::Status EndsTooEarly(absl::string_view file, int line, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ":", line, ": expected ", expected, ", found the end of the file"));
}

absl::Status ForEachLine(absl::string_view file, absl::string_view text, int* lines,
                         absl::FunctionRef<void(Cursor&, int line)> rule) {
  for (*lines = 0; !text.empty();) {
    const int line = ++*lines;
    const size_t end = text.find('\n');
    if (end == absl::string_view::npos) return EndsTooEarly(file, line, "a whole line");
    Cursor cursor(text.substr(0, end));
    text.remove_prefix(end + 1);
    rule(cursor, line);
    cursor.End();
    if (!cursor.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          file, ":", line, ": expected ", cursor.expected(), ", found ", cursor.found()));
    }
  }
  return absl::OkStatus();
}

}  // namespace conform
