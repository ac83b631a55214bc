// tools/layering/layering.h: who may depend on whom, as a function of two names.
//
// WHAT        A Table is the text form of //tools/bazel:table.bzl. Given a package or a file it
// says which row (whose rules apply) and which
//             column (what it counts as when used) that is, and whether a row may use a column.
// INVARIANTS  A place that belongs to no row (third_party, docs) has no rules and may be used by
// all. SEE         tools/bazel/table.bzl for the table itself; tools/layering/README.md.
#ifndef TOOLS_LAYERING_LAYERING_H_
#define TOOLS_LAYERING_LAYERING_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tools::layering {

class Table {
 public:
  // Reads `row NAME COLUMN...` and `column NAME ROW` lines. Errors name the line.
  static absl::StatusOr<Table> Parse(absl::string_view text);

  // The row of a package such as "uvm/testing": the longest row that is the package or a directory
  // above it; "" if there is none.
  std::string RowOf(absl::string_view package) const;

  // What a target or file counts as when used: "uvm" and "map" is column `uvm`, "uvm" and "pmap" is
  // `doors`, "fake_l4" and "l4" is `l4`. `name` is a target's name or a file's name; of a file only
  // the part before the first '.' counts. "" for places outside the table; the row's own name for
  // rows that are no column (tools, proptests), which only they themselves may use.
  std::string ColumnOf(absl::string_view package, absl::string_view name) const;

  // May files of `row` use `column`?
  bool Allows(absl::string_view row, absl::string_view column) const;

  // Everything that files of `row` may come to in any number of steps.
  std::set<std::string> Reach(absl::string_view row) const;

  const std::map<std::string, std::set<std::string>>& rows() const { return rows_; }

 private:
  std::map<std::string, std::set<std::string>> rows_;
  std::map<std::string, std::string> column_row_;
};

// A label of the main repository, taken apart: "//uvm/testing:space" is {"uvm/testing", "space"}.
struct Label {
  std::string package;
  std::string name;
};

// Holds a dependency graph, as genquery prints it with --output=graph --nograph:factored, to the
// table. `package` is the package whose targets the graph was made for. Returns one sentence a
// violation, sorted; empty if there is none. A graph without a single edge or node of `package` is
// an error, because a check that sees nothing proves nothing.
absl::StatusOr<std::vector<std::string>> CheckGraph(const Table& table, absl::string_view graph,
                                                    absl::string_view package);

}  // namespace tools::layering

#endif  // TOOLS_LAYERING_LAYERING_H_
