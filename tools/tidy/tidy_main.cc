// tidy TABLE ROOT: prints a line `file:line: error: X, use Y` for each broken rule of the house in
// the workspace at ROOT; exit code 1 if any. ROOT may be a file of the workspace's top directory
// (WORKSPACE), a link to it included: the directory it really lies in is meant.
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tools/layering/layering.h"
#include "tools/tidy/rules.h"
#include "tools/tidy/source.h"

namespace {

constexpr char kExceptions[] = "tools/tidy/exceptions.txt";

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

absl::StatusOr<std::string> RootOf(const std::string& argument) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::canonical(argument, error);
  if (error) return absl::NotFoundError(absl::StrCat(argument, ": ", error.message()));
  return std::filesystem::is_directory(path) ? path.string() : path.parent_path().string();
}

absl::StatusOr<tools::tidy::Findings> Run(const std::string& table_path,
                                          const std::string& root_argument) {
  absl::StatusOr<std::string> table_text = ReadFile(table_path);
  if (!table_text.ok()) return table_text.status();
  absl::StatusOr<tools::layering::Table> table = tools::layering::Table::Parse(*table_text);
  if (!table.ok()) return table.status();
  absl::StatusOr<std::string> root = RootOf(root_argument);
  if (!root.ok()) return root.status();
  absl::StatusOr<std::string> exceptions_text = ReadFile(absl::StrCat(*root, "/", kExceptions));
  if (!exceptions_text.ok()) return exceptions_text.status();
  absl::StatusOr<std::vector<tools::tidy::Exception>> exceptions =
      tools::tidy::ParseExceptions(*exceptions_text);
  if (!exceptions.ok()) return exceptions.status();
  absl::StatusOr<std::vector<tools::tidy::SourceFile>> tree = tools::tidy::ReadTree(*root);
  if (!tree.ok()) return tree.status();
  if (tree->size() < 20)
    return absl::NotFoundError(absl::StrCat(*root, ": this is not the workspace"));
  std::cout << "tidy: " << tree->size() << " files of " << *root << "\n";
  return tools::tidy::CheckTree(*tree, *table, *exceptions, kExceptions);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: tidy TABLE ROOT\n";
    return 1;
  }
  const absl::StatusOr<tools::tidy::Findings> findings = Run(argv[1], argv[2]);
  if (!findings.ok()) {
    std::cerr << "tidy: error: " << findings.status().message() << "\n";
    return 1;
  }
  for (const tools::tidy::Finding& finding : *findings) std::cout << finding.ToString() << "\n";
  return findings->empty() ? 0 : 1;
}
