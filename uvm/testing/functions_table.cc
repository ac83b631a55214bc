#include "uvm/testing/functions_table.h"

#include <cctype>
#include <fstream>

namespace uvm::testing {
namespace {

// What stands in `code` within a column.
std::vector<std::string> Words(const std::string& column) {
  std::vector<std::string> words;
  for (size_t at = column.find('`'); at != std::string::npos;) {
    const size_t end = column.find('`', at + 1);
    words.push_back(column.substr(at + 1, end - at - 1));
    at = column.find('`', end + 1);
  }
  return words;
}

// The name as a word of its own.
bool Cites(const std::string& text, const std::string& name) {
  auto letter = [](char c) { return c == '_' || isalnum(static_cast<unsigned char>(c)) != 0; };
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    const size_t end = at + name.size();
    if ((at == 0 || !letter(text[at - 1])) && (end == text.size() || !letter(text[end])))
      return true;
  }
  return false;
}

}  // namespace

std::string FunctionsTable::WrongWith(const std::string& row) {
  std::vector<std::string> columns;
  for (size_t at = 1; at < row.size();) {
    size_t end = row.find('|', at);
    if (end == std::string::npos) return "does not end: " + row;
    columns.push_back(row.substr(at, end - at));
    at = end + 1;
  }
  if (columns.size() != 3 || Words(columns[0]).size() != 1) return "is no row: " + row;
  const std::string name = Words(columns[0])[0];
  if (!seen_.insert(name).second) return name + " is there twice";
  if (columns[1] == " none ") return WrongWithReason(name, columns[2]);
  const std::vector<std::string> ours = Words(columns[1]);
  if (ours.size() != 2) return name + " has no file and identifier";
  const std::string text = read_(ours[0]);
  if (text.find(ours[1]) == std::string::npos) return ours[0] + " has no " + ours[1];
  if (!Cites(text, name)) return ours[0] + " does not cite " + name;
  const std::vector<std::string> checks = Words(columns[2]);
  if (checks.empty()) return name + " is checked by nothing";
  for (const std::string& test : checks) {
    if (!tests_.contains(test)) return "no test " + test;
  }
  ++true_rows_;
  return "";
}

std::string FunctionsTable::WrongWithReason(const std::string& name,
                                            const std::string& reason) const {
  for (const std::string& known : reasons_) {
    if (reason.rfind(" " + known + ": ", 0) == 0) return "";
  }
  return name + " has nothing and no reason";
}

std::string FunctionsTable::WrongWithAll(const std::string& path) {
  std::ifstream in(path);
  if (!in.is_open()) return "no table " + path;
  std::string wrong;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("| `", 0) != 0) continue;
    const std::string what = WrongWith(line);
    if (!what.empty()) wrong += what + "\n";
  }
  return wrong;
}

}  // namespace uvm::testing
