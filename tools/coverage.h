// tools/coverage.h: which lines and branches of our sources a run has reached, from llvm-cov.
//
// WHAT     `llvm-cov export` writes one JSON object: for each source file a list of segments
//          (from this place on, this count, until the next one) and of branches (this condition
//          was true so many times, false so many times), and apart from these the branches that a
//          macro brought with it. ParseExport reads it, whatever its bytes are. Measure turns one
//          file into counts of lines and of arms (a condition has two, the true and the false
//          one), leaving out what the listed exclusions name.
// SEE      tools/coverage_exclusions.txt; docs/TESTING.md; LLVM's "Source-based Code Coverage".

#ifndef TOOLS_COVERAGE_H_
#define TOOLS_COVERAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tools {

// Counted from 1, as compilers do.
struct Place {
  uint32_t line = 0;
  uint32_t column = 0;
  auto operator<=>(const Place&) const = default;
};

struct Segment {
  Place at;
  uint64_t count = 0;
  bool has_count = false;
  bool is_entry = false;
  bool is_gap = false;
};

// A condition. `end` is just after its last character.
struct Branch {
  Place at;
  Place end;
  // Where it is written: empty in the file itself, else the place of the macro's use is `at`, and
  // this tells the conditions of the macro apart.
  std::string inside_macro;
  uint64_t was_true = 0;
  uint64_t was_false = 0;
};

struct ExportedFile {
  std::string name;
  std::vector<Segment> segments;  // by place
  std::vector<Branch> branches;   // by place; a template's instantiations taken together
};

// The files of an export, by name. Errors: one sentence that begins with `path`.
absl::StatusOr<std::vector<ExportedFile>> ParseExport(absl::string_view path,
                                                      absl::string_view json);

// What does not count, from a text of lines `KIND PATTERN`; `#` starts a comment.
//   assertion WORD(   conditions in WORD( ... ): what it does when they are false cannot be wanted
//   failure WORD(     the statement WORD( ... ) never runs in a sound system: neither its lines,
//                     nor the conditions of an `if` that it is the whole body of, are counted
//   file GLOB         generated code, and files that are assertions from end to end
struct Exclusions {
  std::vector<std::string> assertions;
  std::vector<std::string> failures;
  std::vector<std::string> files;

  // Errors: one sentence that begins with `path` and the line's number.
  static absl::StatusOr<Exclusions> Parse(absl::string_view path, absl::string_view text);
  bool LeavesOut(const std::string& file) const;
};

struct LineRange {
  uint32_t first = 0;
  uint32_t last = 0;
};

// An arm that was never taken.
struct MissedArm {
  Place at;
  bool arm = false;  // the value the condition never had
  std::string text;  // of the condition, or the macro
};

struct FileCoverage {
  std::string name;
  uint64_t lines = 0;
  uint64_t lines_reached = 0;
  uint64_t arms = 0;
  uint64_t arms_reached = 0;
  uint64_t lines_excluded = 0;
  uint64_t arms_excluded = 0;
  std::vector<LineRange> missed_lines;  // neighbours joined
  std::vector<MissedArm> missed_arms;
};

// Errors: an export that names places the source does not have (the source is a different one).
absl::StatusOr<FileCoverage> Measure(const ExportedFile& file, absl::string_view source,
                                     const Exclusions& exclusions);

// A sum without lists, named "total".
FileCoverage Total(const std::vector<FileCoverage>& files);

// The part of `all` that was reached, in hundredths of a percent, rounded down; 10000 of nothing.
uint64_t Reached(uint64_t reached, uint64_t all);

// A table of `files` with its total.
std::string CoverageTable(const std::vector<FileCoverage>& files);
// What was missed, one a line, as compilers write: `uvm/amap.cc:30:7: never true: amap == nullptr`.
std::string MissedText(const FileCoverage& file);

}  // namespace tools

#endif  // TOOLS_COVERAGE_H_
