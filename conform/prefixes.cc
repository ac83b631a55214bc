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
  int lines = 0;
  const absl::Status read = ForEachLine(file, text, &lines, [&](Cursor& cursor, int line) {
    if (line == 1) cursor.Expect(kFirstLine);
    if (cursor.ok() && (line == 1 || cursor.Sees("#"))) {
      cursor = Cursor("");
      return;
    }
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
    result.prefixes.push_back(std::move(prefix));
  });
  if (!read.ok()) return read;
  if (result.prefixes.empty()) return EndsTooEarly(file, lines + 1, "a prefix");
  return result;
}

}  // namespace conform
