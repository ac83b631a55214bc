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
  return static_cast<uint32_t>(Decimal64(what, least, most));
}

uint64_t Cursor::Decimal64(absl::string_view what, uint64_t least, uint64_t most) {
  const size_t size = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
  return Finish(size, ValueOf(size, 10, most), least, most,
                absl::StrCat(what, " (", least, " to ", most, ")"));
}

int64_t Cursor::Signed(absl::string_view what) {
  const bool negative = Take("-");
  const auto size = static_cast<int64_t>(Decimal64(what, 0, INT64_MAX));
  return negative ? -size : size;
}

uint32_t Cursor::Hex(absl::string_view what) {
  const size_t size = std::min(rest_.find_first_not_of("0123456789abcdef"), rest_.size());
  return static_cast<uint32_t>(Finish(size, ValueOf(size, 16, UINT32_MAX), 0, UINT32_MAX,
                                      absl::StrCat(what, " (a 32-bit word in hex)")));
}

uint64_t Cursor::Hex64(absl::string_view what) {
  const size_t size = std::min(rest_.find_first_not_of("0123456789abcdef"), rest_.size());
  // Seventeen digits are one too many, whatever they are.
  const std::string wanted = absl::StrCat(what, " (a 64-bit word in hex)");
  return Finish(size > 16 ? 0 : size, ValueOf(size, 16, UINT64_MAX), 0, UINT64_MAX, wanted);
}

std::string Cursor::Rest(absl::string_view what) {
  if (rest_.empty()) Fail(what);
  if (!ok()) return "";
  std::string rest(rest_);
  rest_ = "";
  return rest;
}

void Cursor::End() {
  if (ok() && !AtEnd()) Fail("the end of the line");
}

uint64_t Cursor::ValueOf(size_t size, uint64_t base, uint64_t most) const {
  uint64_t value = 0;
  for (size_t i = 0; i < size && value <= most; i++) {
    const char c = rest_[i];
    const auto digit = static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    if (value > (UINT64_MAX - digit) / base) return UINT64_MAX;
    value = value * base + digit;
  }
  return value;
}

uint64_t Cursor::Finish(size_t size, uint64_t value, uint64_t least, uint64_t most,
                        absl::string_view what) {
  if (size == 0 || value < least || value > most) Fail(what);
  if (!ok()) return 0;
  rest_.remove_prefix(size);
  return value;
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
