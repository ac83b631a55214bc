#include "tools/layering/layering.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tools::layering {
namespace {

constexpr std::array<absl::string_view, 4> kDoors = {"pmap", "thread", "pager", "page"};

bool IsIn(absl::string_view package, absl::string_view directory) {
  return package == directory || absl::StartsWith(package, absl::StrCat(directory, "/"));
}

// A quoted node of the graph; labels of other repositories and tool targets give nothing.
std::optional<Label> ParseNode(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  if (!absl::ConsumePrefix(&text, "\"//") || !absl::ConsumeSuffix(&text, "\"")) return std::nullopt;
  const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  if (parts.size() != 2) return std::nullopt;
  return Label{parts[0], parts[1]};
}

std::string Text(const Label& label) { return absl::StrCat("//", label.package, ":", label.name); }

}  // namespace

absl::StatusOr<Table> Table::Parse(absl::string_view text) {
  Table table;
  int line_number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++line_number;
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() >= 2 && words[0] == "row") {
      table.rows_[words[1]].insert(words.begin() + 2, words.end());
    } else if (words.size() == 3 && words[0] == "column") {
      table.column_row_[words[1]] = words[2];
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", line_number,
                       ": expected `row NAME COLUMN...` or `column NAME ROW`, got: ", line));
    }
  }
  for (const auto& [row, columns] : table.rows_) {
    for (const std::string& column : columns) {
      if (!table.column_row_.contains(column)) {
        return absl::InvalidArgumentError(
            absl::StrCat("row ", row, " names the unknown column ", column));
      }
    }
  }
  if (table.rows_.empty()) return absl::InvalidArgumentError("the table has no row");
  return table;
}

std::string Table::RowOf(absl::string_view package) const {
  std::string best;
  for (const auto& [row, columns] : rows_) {
    if (row.size() > best.size() && IsIn(package, row)) best = row;
  }
  return best;
}

std::string Table::ColumnOf(absl::string_view package, absl::string_view name) const {
  const std::string row = RowOf(package);
  const absl::string_view stem = name.substr(0, name.find('.'));
  if (row == "fake_l4") {
    const bool headers =
        (package == "fake_l4" && (stem == "l4" || absl::StartsWith(name, "include/l4/"))) ||
        IsIn(package, "fake_l4/include") || IsIn(package, "fake_l4/testing");
    return headers ? "l4" : "kernel";
  }
  if (row == "uvm") {
    const bool door =
        package == "uvm" && std::find(kDoors.begin(), kDoors.end(), stem) != kDoors.end();
    return door || IsIn(package, "uvm/testing") ? "doors" : "uvm";
  }
  for (const auto& [column, column_row] : column_row_) {
    if (column_row == row) return column;
  }
  return row;
}

bool Table::Allows(absl::string_view row, absl::string_view column) const {
  if (row.empty() || column.empty() || row == column) return true;
  const auto own = column_row_.find(std::string(column));
  if (own != column_row_.end() && own->second == row) return true;
  const auto found = rows_.find(std::string(row));
  return found != rows_.end() && found->second.contains(std::string(column));
}

std::set<std::string> Table::Reach(absl::string_view row) const {
  std::set<std::string> seen_rows = {std::string(row)};
  std::vector<std::string> todo = {std::string(row)};
  std::set<std::string> columns;
  while (!todo.empty()) {
    const std::string at = std::move(todo.back());
    todo.pop_back();
    for (const auto& [column, column_row] : column_row_) {
      if (column_row == at) columns.insert(column);
    }
    const auto found = rows_.find(at);
    if (found == rows_.end()) continue;
    for (const std::string& column : found->second) {
      columns.insert(column);
      const std::string& next = column_row_.at(column);
      if (seen_rows.insert(next).second) todo.push_back(next);
    }
  }
  return columns;
}

absl::StatusOr<std::vector<std::string>> CheckGraph(const Table& table, absl::string_view graph,
                                                    absl::string_view package) {
  const std::string own_row = table.RowOf(package);
  if (own_row.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("//", package, " is in no row of the table"));
  }
  const std::set<std::string> reach = table.Reach(own_row);
  std::set<std::string> found;
  bool saw_package = false;
  for (absl::string_view line : absl::StrSplit(graph, '\n')) {
    const std::vector<std::string> ends = absl::StrSplit(line, " -> ");
    if (ends.size() > 2) {
      return absl::InvalidArgumentError(absl::StrCat("not an edge between two targets: ", line));
    }
    const std::optional<Label> from = ParseNode(ends[0]);
    const std::optional<Label> to = ends.size() == 2 ? ParseNode(ends[1]) : std::nullopt;
    for (const std::optional<Label>& node : {from, to}) {
      if (!node) continue;
      saw_package |= node->package == package;
      const std::string column = table.ColumnOf(node->package, node->name);
      if (!column.empty() && column != own_row && !reach.contains(column)) {
        found.insert(absl::StrCat("//", package, " reaches ", Text(*node), ": ", own_row,
                                  " must never reach ", column));
      }
    }
    if (!from || !to) continue;
    const std::string row = table.RowOf(from->package);
    const std::string column = table.ColumnOf(to->package, to->name);
    if (!table.Allows(row, column)) {
      found.insert(absl::StrCat(Text(*from), " depends on ", Text(*to), ": ", row, " may not use ",
                                column, ", only ", absl::StrJoin(table.rows().at(row), " ")));
    }
  }
  if (!saw_package) {
    return absl::InvalidArgumentError(absl::StrCat("the graph has no target of //", package));
  }
  return std::vector<std::string>(found.begin(), found.end());
}

}  // namespace tools::layering
