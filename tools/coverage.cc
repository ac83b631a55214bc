#include "tools/coverage.h"

#include <fnmatch.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"

namespace tools {
namespace {

using Json = nlohmann::json;

// Reads an export's arrays; the first thing that is not as it should be is kept and said.
class ExportReader {
 public:
  explicit ExportReader(absl::string_view path) : path_(path) {}

  absl::Status status() const {
    if (problem_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(path_, ": ", problem_));
  }
  void Complain(std::string expected) {
    if (problem_.empty()) problem_ = absl::StrCat("expected ", expected);
  }

  const Json& Member(const Json& object, const char* name, Json::value_t type) {
    static const Json nothing;
    if (object.is_object()) {
      const auto found = object.find(name);
      if (found != object.end() && found->type() == type) return *found;
    }
    Complain(absl::StrCat("an object with the member \"", name, "\", as llvm-cov export writes"));
    return nothing;
  }

  // A line or column: the bound keeps sums of them far from overflow.
  uint32_t Small(const Json& row, size_t at) {
    constexpr uint64_t kMost = 100'000'000;
    const uint64_t value = Number(row, at);
    if (value > kMost) Complain(absl::StrCat("a line or column, found ", value));
    return value > kMost ? 0 : static_cast<uint32_t>(value);
  }
  Place PlaceAt(const Json& row, size_t at) {
    Place place{Small(row, at), Small(row, at + 1)};
    if (place.line == 0 || place.column == 0) Complain("lines and columns from 1 on");
    return place;
  }
  uint64_t Number(const Json& row, size_t at) {
    if (row.is_array() && at < row.size() && row[at].is_number_unsigned()) {
      return row[at].get<uint64_t>();
    }
    Complain(absl::StrCat("a number at position ", at, " of ", Excerpt(row)));
    return 0;
  }
  bool Flag(const Json& row, size_t at) {
    if (row.is_array() && at < row.size() && row[at].is_boolean()) return row[at].get<bool>();
    Complain(absl::StrCat("true or false at position ", at, " of ", Excerpt(row)));
    return false;
  }

 private:
  static std::string Excerpt(const Json& row) {
    return row.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60);
  }

  std::string path_;
  std::string problem_;
};

using BranchKey = std::tuple<Place, Place, std::string>;

void AddBranch(ExportReader& reader, const Json& row, const Place* use,
               std::map<BranchKey, Branch>& branches) {
  Branch branch;
  branch.at = reader.PlaceAt(row, 0);
  branch.end = reader.PlaceAt(row, 2);
  branch.was_true = reader.Number(row, 4);
  branch.was_false = reader.Number(row, 5);
  if (use != nullptr) {
    branch.inside_macro = absl::StrCat(branch.at.line, ":", branch.at.column);
    branch.at = branch.end = *use;
  }
  Branch& sum =
      branches.emplace(BranchKey(branch.at, branch.end, branch.inside_macro), branch).first->second;
  sum.was_true = std::max(sum.was_true, branch.was_true);
  sum.was_false = std::max(sum.was_false, branch.was_false);
}

ExportedFile ReadFile(ExportReader& reader, const Json& json) {
  ExportedFile file;
  const Json& name = reader.Member(json, "filename", Json::value_t::string);
  if (name.is_string()) file.name = name.get<std::string>();
  for (const Json& row : reader.Member(json, "segments", Json::value_t::array)) {
    Segment segment;
    segment.at = reader.PlaceAt(row, 0);
    segment.count = reader.Number(row, 2);
    segment.has_count = reader.Flag(row, 3);
    segment.is_entry = reader.Flag(row, 4);
    segment.is_gap = reader.Flag(row, 5);
    file.segments.push_back(segment);
  }
  if (!std::is_sorted(file.segments.begin(), file.segments.end(),
                      [](const Segment& a, const Segment& b) { return a.at < b.at; })) {
    reader.Complain(absl::StrCat("the segments of ", file.name, " in order"));
  }
  std::map<BranchKey, Branch> branches;
  for (const Json& row : reader.Member(json, "branches", Json::value_t::array)) {
    AddBranch(reader, row, nullptr, branches);
  }
  for (const Json& expansion : reader.Member(json, "expansions", Json::value_t::array)) {
    const Place use =
        reader.PlaceAt(reader.Member(expansion, "source_region", Json::value_t::array), 0);
    for (const Json& row : reader.Member(expansion, "branches", Json::value_t::array)) {
      AddBranch(reader, row, &use, branches);
    }
  }
  for (auto& [key, branch] : branches) file.branches.push_back(std::move(branch));
  return file;
}

bool IsWordByte(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

bool IsBlank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// The end of the literal or comment that starts at `from`, or `from` if none does.
size_t SkipText(absl::string_view source, size_t from) {
  const absl::string_view rest = source.substr(from);
  const auto past = [&](size_t found, size_t length) {
    return found == absl::string_view::npos ? source.size() : found + length;
  };
  if (absl::StartsWith(rest, "//")) return past(source.find('\n', from), 0);
  if (absl::StartsWith(rest, "/*")) return past(source.find("*/", from + 2), 2);
  if (absl::StartsWith(rest, "R\"") && (from == 0 || !IsWordByte(source[from - 1]))) {
    const size_t open = source.find('(', from);
    if (open == absl::string_view::npos) return source.size();
    const std::string close = absl::StrCat(")", source.substr(from + 2, open - from - 2), "\"");
    return past(source.find(close, open), close.size());
  }
  const bool separator = rest[0] == '\'' && from > 0 && IsWordByte(source[from - 1]);
  if ((rest[0] != '"' && rest[0] != '\'') || separator) return from;
  for (size_t at = from + 1; at < source.size() && source[at] != '\n'; ++at) {
    if (source[at] == rest[0]) return at + 1;
    if (source[at] == '\\') ++at;
  }
  return from + 1;
}

// The source with blanks for comments and literals, so that brackets and words are code.
std::string OnlyCode(absl::string_view source) {
  std::string code(source);
  for (size_t at = 0; at < code.size();) {
    const size_t end = std::min(SkipText(source, at), code.size());
    if (end == at) ++at;
    for (; at < end; ++at) {
      if (code[at] != '\n') code[at] = ' ';
    }
  }
  return code;
}

// Just after the bracket that closes the one at `open`; the end of the code if none does.
size_t CloseOf(absl::string_view code, size_t open) {
  int depth = 0;
  for (size_t at = open; at < code.size(); ++at) {
    if (code[at] == '(') ++depth;
    if (code[at] == ')' && --depth == 0) return at + 1;
  }
  return code.size();
}

// The bracket that opens what the one at `close` closes; npos if none does.
size_t OpenOf(absl::string_view code, size_t close) {
  int depth = 0;
  for (size_t at = close + 1; at-- > 0;) {
    if (code[at] == ')') ++depth;
    if (code[at] == '(' && --depth == 0) return at;
  }
  return absl::string_view::npos;
}

// The last place before `from` that is not blank; npos if there is none.
size_t LastBefore(absl::string_view code, size_t from) {
  while (from > 0 && IsBlank(code[from - 1])) --from;
  return from == 0 ? absl::string_view::npos : from - 1;
}

bool EndsWithWord(absl::string_view code, size_t last, absl::string_view word) {
  if (last == absl::string_view::npos || last + 1 < word.size()) return false;
  const size_t first = last + 1 - word.size();
  return code.substr(first, word.size()) == word && (first == 0 || !IsWordByte(code[first - 1]));
}

}  // namespace

// A source with marks on what the exclusions name.
class SourceMask {
 public:
  SourceMask(absl::string_view source, const Exclusions& exclusions)
      : source_(source), code_(OnlyCode(source)), mark_(source.size(), kCounts) {
    starts_.push_back(0);
    for (size_t at = 0; at < source.size(); ++at) {
      if (source[at] == '\n') starts_.push_back(at + 1);
    }
    for (const std::string& word : exclusions.assertions) {
      ForEachUse(word, [&](size_t first, size_t last) { Set(first, last, kAssertion); });
    }
    for (const std::string& word : exclusions.failures) {
      ForEachUse(word, [&](size_t first, size_t last) { MarkFailure(first, last); });
    }
  }

  bool Has(const Place& place) const {
    return place.line >= 1 && place.line <= starts_.size() &&
           place.column <= LineText(place.line).size() + 1;
  }
  bool CountsCondition(const Place& place) const {
    const size_t at = Offset(place);
    return at >= mark_.size() || mark_[at] == kCounts;
  }
  // A line does not count when all code on it belongs to statements that never run.
  bool CountsLine(uint32_t line) const {
    bool never = false;
    for (size_t at = starts_[line - 1]; at < code_.size() && code_[at] != '\n'; ++at) {
      if (mark_[at] == kFailure) never = true;
      const bool punctuation = code_[at] == '}' || IsBlank(code_[at]);
      if (mark_[at] != kFailure && !punctuation) return true;
    }
    return !never;
  }
  // At most one line's worth.
  std::string Text(const Place& from, const Place& to) const {
    const size_t first = Offset(from);
    size_t last = std::max(Offset(to), first);
    if (from == to) {
      while (last < code_.size() && IsWordByte(code_[last])) ++last;
    }
    std::string text(source_.substr(first, last - first));
    constexpr size_t kMost = 70;
    for (char& c : text) {
      if (c == '\n') c = ' ';
    }
    absl::RemoveExtraAsciiWhitespace(&text);
    return text.size() <= kMost ? text : text.substr(0, kMost) + " ...";
  }

 private:
  enum Mark : char { kCounts, kAssertion, kFailure };

  size_t Offset(const Place& place) const { return starts_[place.line - 1] + place.column - 1; }
  absl::string_view LineText(uint32_t line) const {
    const size_t end = line < starts_.size() ? starts_[line] - 1 : source_.size();
    return source_.substr(starts_[line - 1], end - starts_[line - 1]);
  }
  void Set(size_t first, size_t last, Mark mark) {
    std::fill(mark_.begin() + static_cast<ptrdiff_t>(first),
              mark_.begin() + static_cast<ptrdiff_t>(last), mark);
  }

  // visit(begin, end) for every use of a word that ends in an opening bracket.
  template <typename F>
  void ForEachUse(const std::string& word, F visit) {
    for (size_t at = code_.find(word); at != std::string::npos; at = code_.find(word, at + 1)) {
      if (at > 0 && IsWordByte(code_[at - 1])) continue;
      visit(at, CloseOf(code_, at + word.size() - 1));
    }
  }

  void MarkFailure(size_t first, size_t last) {
    size_t after = last;
    while (after < code_.size() && IsBlank(code_[after])) ++after;
    const bool is_statement = after < code_.size() && code_[after] == ';';
    if (!is_statement) return Set(first, last, kAssertion);
    size_t before = LastBefore(code_, first);
    if (before != std::string::npos && code_[before] == '{') before = LastBefore(code_, before);
    // Labels belong to what they lead to.
    while (before != std::string::npos && code_[before] == ':') {
      while (before > 0 && code_[before - 1] != ';' && code_[before - 1] != '}' &&
             code_[before - 1] != '{' && code_[before - 1] != ':') {
        --before;
      }
      while (IsBlank(code_[before])) ++before;
      first = before;
      before = LastBefore(code_, first);
    }
    // The compiler gives a closing brace the count of what is before it.
    for (++after; after < code_.size() && (IsBlank(code_[after]) || code_[after] == '}'); ++after) {
    }
    Set(first, after, kFailure);
    if (before == std::string::npos || code_[before] != ')') return;
    const size_t open = OpenOf(code_, before);
    if (open != std::string::npos && EndsWithWord(code_, LastBefore(code_, open), "if")) {
      Set(open, before + 1, kAssertion);
    }
  }

  absl::string_view source_;
  std::string code_;
  std::vector<char> mark_;
  std::vector<size_t> starts_;
};

namespace {

// The compiler gives no counts to a condition that it knows.
bool IsConstant(const Branch& branch, const SourceMask& mask) {
  if (branch.was_true != 0 || branch.was_false != 0) return false;
  const std::string text = mask.Text(branch.at, branch.end);
  return text == "true" || text == "false" ||
         (!text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit));
}

void MeasureBranches(const ExportedFile& file, const SourceMask& mask, FileCoverage* coverage) {
  for (const Branch& branch : file.branches) {
    if (IsConstant(branch, mask)) continue;
    if (!mask.CountsCondition(branch.at)) {
      coverage->arms_excluded += 2;
      continue;
    }
    for (const bool arm : {true, false}) {
      ++coverage->arms;
      if ((arm ? branch.was_true : branch.was_false) != 0) {
        ++coverage->arms_reached;
      } else {
        coverage->missed_arms.push_back({branch.at, arm, mask.Text(branch.at, branch.end)});
      }
    }
  }
}

void MeasureLine(uint32_t line, bool reached, const SourceMask& mask, FileCoverage* coverage) {
  if (!mask.CountsLine(line)) {
    ++coverage->lines_excluded;
    return;
  }
  ++coverage->lines;
  if (reached) {
    ++coverage->lines_reached;
  } else if (!coverage->missed_lines.empty() && coverage->missed_lines.back().last + 1 == line) {
    coverage->missed_lines.back().last = line;
  } else {
    coverage->missed_lines.push_back({line, line});
  }
}

// A line has code if a region starts on it or a region with a count goes on over it; it was reached
// if any of these was.
void MeasureLines(const ExportedFile& file, const SourceMask& mask, FileCoverage* coverage) {
  const Segment* running = nullptr;
  for (size_t next = 0; next < file.segments.size();) {
    const uint32_t line = file.segments[next].at.line;
    const Segment& first = file.segments[next];
    bool starts = false;
    uint64_t most = running != nullptr && running->has_count ? running->count : 0;
    const bool goes_on = running != nullptr && running->has_count;
    const bool skipped = first.is_entry && !first.has_count;
    for (; next < file.segments.size() && file.segments[next].at.line == line; ++next) {
      const Segment& segment = file.segments[next];
      if (segment.is_entry && segment.has_count && !segment.is_gap) {
        starts = true;
        most = std::max(most, segment.count);
      }
      running = &segment;
    }
    if (!skipped && (starts || goes_on)) MeasureLine(line, most != 0, mask, coverage);
    if (!running->has_count || next == file.segments.size()) continue;
    for (uint32_t between = line + 1; between < file.segments[next].at.line; ++between) {
      MeasureLine(between, running->count != 0, mask, coverage);
    }
  }
}

std::string PercentText(uint64_t reached, uint64_t all) {
  const uint64_t hundredths = Reached(reached, all);
  return absl::StrFormat("%3d.%02d%%", hundredths / 100, hundredths % 100);
}

}  // namespace

absl::StatusOr<std::vector<ExportedFile>> ParseExport(absl::string_view path,
                                                      absl::string_view json) {
  ExportReader reader(path);
  const Json whole = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  std::vector<ExportedFile> files;
  for (const Json& data : reader.Member(whole, "data", Json::value_t::array)) {
    for (const Json& file : reader.Member(data, "files", Json::value_t::array)) {
      files.push_back(ReadFile(reader, file));
    }
  }
  if (files.empty()) reader.Complain("an export of at least one file");
  if (!reader.status().ok()) return reader.status();
  std::sort(files.begin(), files.end(),
            [](const ExportedFile& a, const ExportedFile& b) { return a.name < b.name; });
  return files;
}

absl::StatusOr<Exclusions> Exclusions::Parse(absl::string_view path, absl::string_view text) {
  Exclusions exclusions;
  uint64_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    const size_t blank = line.find(' ');
    const absl::string_view kind = line.substr(0, blank);
    const std::string pattern(
        blank == absl::string_view::npos ? "" : absl::StripAsciiWhitespace(line.substr(blank)));
    std::vector<std::string>* list = kind == "assertion" ? &exclusions.assertions
                                     : kind == "failure" ? &exclusions.failures
                                     : kind == "file"    ? &exclusions.files
                                                         : nullptr;
    const bool is_word = kind == "file" || (pattern.size() > 1 && pattern.back() == '(');
    if (list == nullptr || pattern.empty() || !is_word) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number,
                       ": expected `assertion WORD(`, `failure WORD(` or `file GLOB`, found \"",
                       line.substr(0, 60), "\""));
    }
    list->push_back(pattern);
  }
  return exclusions;
}

bool Exclusions::LeavesOut(const std::string& file) const {
  return std::any_of(files.begin(), files.end(), [&](const std::string& glob) {
    return fnmatch(glob.c_str(), file.c_str(), FNM_PATHNAME) == 0;
  });
}

absl::StatusOr<FileCoverage> Measure(const ExportedFile& file, absl::string_view source,
                                     const Exclusions& exclusions) {
  const SourceMask mask(source, exclusions);
  const auto wrong = [&](const Place& place) {
    return absl::FailedPreconditionError(
        absl::StrCat(file.name, ": expected the source that was measured, but it has no place ",
                     place.line, ":", place.column));
  };
  for (const Segment& segment : file.segments) {
    if (!mask.Has(segment.at)) return wrong(segment.at);
  }
  for (const Branch& branch : file.branches) {
    if (!mask.Has(branch.at)) return wrong(branch.at);
    if (!mask.Has(branch.end)) return wrong(branch.end);
  }
  FileCoverage coverage;
  coverage.name = file.name;
  MeasureLines(file, mask, &coverage);
  MeasureBranches(file, mask, &coverage);
  return coverage;
}

FileCoverage Total(const std::vector<FileCoverage>& files) {
  FileCoverage total;
  total.name = "total";
  for (const FileCoverage& file : files) {
    total.lines += file.lines;
    total.lines_reached += file.lines_reached;
    total.lines_excluded += file.lines_excluded;
    total.arms += file.arms;
    total.arms_reached += file.arms_reached;
    total.arms_excluded += file.arms_excluded;
  }
  return total;
}

uint64_t Reached(uint64_t reached, uint64_t all) {
  return all == 0 ? 10000 : reached * 10000 / all;
}

std::string CoverageTable(const std::vector<FileCoverage>& files) {
  std::vector<FileCoverage> rows = files;
  rows.push_back(Total(files));
  size_t width = 0;
  for (const FileCoverage& row : rows) width = std::max(width, row.name.size());
  std::string text = absl::StrFormat("%-*s  %19s  %19s  %s\n", static_cast<int>(width), "file",
                                     "lines", "branches", "excluded lines, branches");
  for (const FileCoverage& row : rows) {
    absl::StrAppendFormat(
        &text, "%-*s  %5d/%5d %s  %5d/%5d %s  %d, %d\n", static_cast<int>(width), row.name,
        row.lines_reached, row.lines, PercentText(row.lines_reached, row.lines), row.arms_reached,
        row.arms, PercentText(row.arms_reached, row.arms), row.lines_excluded, row.arms_excluded);
  }
  return text;
}

std::string MissedText(const FileCoverage& file) {
  std::string text;
  for (const LineRange& range : file.missed_lines) {
    absl::StrAppend(&text, file.name, ":", range.first,
                    range.last == range.first ? "" : absl::StrCat("-", range.last),
                    ": never run\n");
  }
  for (const MissedArm& arm : file.missed_arms) {
    absl::StrAppend(&text, file.name, ":", arm.at.line, ":", arm.at.column, ": never ",
                    arm.arm ? "true" : "false", ": ", arm.text, "\n");
  }
  return text;
}

}  // namespace tools
