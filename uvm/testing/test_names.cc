#include "uvm/testing/test_names.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <iterator>

namespace uvm::testing {
namespace {

void AddTests(const std::string& text, std::set<std::string>* names) {
  for (size_t at = text.find("\nTEST"); at != std::string::npos; at = text.find("\nTEST", at + 1)) {
    const size_t open = text.find('(', at);
    const size_t comma = text.find(',', open);
    const size_t close = text.find(')', comma);
    const size_t name = text.find_first_not_of(" \n", comma + 1);
    names->insert(text.substr(open + 1, comma - open - 1) + "." + text.substr(name, close - name));
  }
}

}  // namespace

std::string ReadWhole(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::set<std::string> NamesOfTests(const std::string& list_path) {
  std::set<std::string> names;
  std::ifstream list(list_path);
  for (std::string path; std::getline(list, path);) {
    const std::string text = ReadWhole(path);
    EXPECT_FALSE(text.empty()) << path;
    AddTests(text, &names);
  }
  return names;
}

}  // namespace uvm::testing
