#include "conform/prefixes.h"

#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "conform/cursor.h"

namespace conform {

namespace {

constexpr char kFirstLine[] = "# file seq n:";

}  // namespace

bool LooksLikePrefixes(absl::string_view text) { return absl::StartsWith(text, kFirstLine); }

absl::StatusOr<PrefixFile> ParsePrefixes(absl::string_view file, absl::string_view text) {
  PrefixFile result;
  result.file = std::string(file);
  std::set<std::pair<std::string, uint32_t>> seen;
  int line = 0;
  const auto ends = [&](absl::string_view expected) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", line, ": expected ", expected, ", found the end of the file"));
  };
  while (!text.empty()) {
    line++;
    const size_t end = text.find('\n');
    if (end == absl::string_view::npos) return ends("a whole line");
    Cursor cursor(text.substr(0, end));
    text.remove_prefix(end + 1);
    if (line == 1) cursor.Expect(kFirstLine);
    if (cursor.ok() && (line == 1 || cursor.Sees("#"))) continue;
    Prefix prefix;
    prefix.line = line;
    prefix.recording = cursor.Word("a recording's name", " /");
    cursor.Expect(" ");
    prefix.sequence = cursor.Decimal("a sequence number", 0, UINT32_MAX);
    cursor.Expect(" ");
    prefix.operations = cursor.Decimal("a number of operations", 0, UINT32_MAX);
    cursor.End();
    if (cursor.ok() && !seen.emplace(prefix.recording, prefix.sequence).second) {
      cursor.Fail("each sequence once");
    }
    if (!cursor.ok()) return absl::InvalidArgumentError(Problem(file, line, cursor));
    result.prefixes.push_back(std::move(prefix));
  }
  line++;
  if (result.prefixes.empty()) return ends("a prefix");
  return result;
}

}  // namespace conform
