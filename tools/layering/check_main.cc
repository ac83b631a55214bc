// check TABLE GRAPH PACKAGE: prints one line for each edge of GRAPH that TABLE forbids; exit code 1
// if there is any.
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tools/layering/layering.h"

namespace {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

absl::StatusOr<std::vector<std::string>> Run(const std::string& table_path,
                                             const std::string& graph_path,
                                             const std::string& package) {
  absl::StatusOr<std::string> table_text = ReadFile(table_path);
  if (!table_text.ok()) return table_text.status();
  absl::StatusOr<std::string> graph = ReadFile(graph_path);
  if (!graph.ok()) return graph.status();
  absl::StatusOr<tools::layering::Table> table = tools::layering::Table::Parse(*table_text);
  if (!table.ok()) return table.status();
  return tools::layering::CheckGraph(*table, *graph, package);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: check TABLE GRAPH PACKAGE\n";
    return 1;
  }
  const absl::StatusOr<std::vector<std::string>> violations = Run(argv[1], argv[2], argv[3]);
  if (!violations.ok()) {
    std::cerr << "layering: error: " << violations.status().message() << "\n";
    return 1;
  }
  for (const std::string& violation : *violations)
    std::cout << "layering: error: " << violation << "\n";
  return violations->empty() ? 0 : 1;
}
