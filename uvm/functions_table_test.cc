// docs/UVM_FUNCTIONS.md says what stands for each function of NetBSD's UVM: every row is true.

#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "uvm/testing/test_names.h"

namespace uvm {
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

class Table {
 public:
  using Reader = std::function<std::string(const std::string& path)>;
  Table(std::set<std::string> tests, Reader read)
      : tests_(std::move(tests)), read_(std::move(read)) {}

  // What is wrong with a row of the table, or "".
  std::string WrongWith(const std::string& row) {
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
    if (columns[1] == " none ") {
      for (const char* reason : {" host: ", " part 5: ", " part 6: ", " gone: "}) {
        if (columns[2].rfind(reason, 0) == 0) return "";
      }
      return name + " has nothing and no reason";
    }
    const std::vector<std::string> ours = Words(columns[1]);
    if (ours.size() != 2) return name + " has no file and identifier";
    const std::string text = read_("uvm/" + ours[0]);
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
  size_t rows() const { return seen_.size(); }
  size_t true_rows() const { return true_rows_; }

 private:
  const std::set<std::string> tests_;
  const Reader read_;
  std::set<std::string> seen_;
  size_t true_rows_ = 0;
};

TEST(FunctionsTableTest, EveryRowIsTrue) {
  const std::set<std::string> tests = testing::NamesOfTests("uvm/known_bugs_tests.txt");
  ASSERT_FALSE(tests.empty());
  Table table(tests, testing::ReadWhole);
  std::ifstream in("docs/UVM_FUNCTIONS.md");
  ASSERT_TRUE(in.is_open());
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("| `", 0) != 0) continue;
    EXPECT_EQ(table.WrongWith(line), "");
  }
  // facts/uvm.md 1.1-1.10 and 1.13-1.17 name 335; the rest those that stand for something here.
  EXPECT_GE(table.rows(), 335u);
  EXPECT_GT(table.true_rows(), 200u);
}

TEST(FunctionsTableTest, AFalseRowIsFound) {
  auto wrong = [](const std::string& row) {
    Table table({"FooTest.Works"}, [](const std::string& path) {
      return path == "uvm/foo.h" ? std::string("// NetBSD: uvm_foo().\nint Foo(int);") : "";
    });
    return table.WrongWith(row);
  };
  EXPECT_EQ(wrong("| `uvm_foo` | `foo.h`: `Foo(` | `FooTest.Works` |"), "");
  EXPECT_EQ(wrong("| `uvm_foo` | none | host: nothing to foo |"), "");
  EXPECT_EQ(wrong("| `uvm_foo` | `foo.h`: `Bar(` | `FooTest.Works` |"), "foo.h has no Bar(");
  EXPECT_EQ(wrong("| `uvm_foo` | `bar.h`: `Foo(` | `FooTest.Works` |"), "bar.h has no Foo(");
  EXPECT_EQ(wrong("| `uvm_fo` | `foo.h`: `Foo(` | `FooTest.Works` |"),
            "foo.h does not cite uvm_fo");
  EXPECT_EQ(wrong("| `uvm_foo` | `foo.h`: `Foo(` | `FooTest.Fails` |"), "no test FooTest.Fails");
  EXPECT_EQ(wrong("| `uvm_foo` | `foo.h`: `Foo(` | |"), "uvm_foo is checked by nothing");
  EXPECT_EQ(wrong("| `uvm_foo` | `foo.h` | `FooTest.Works` |"),
            "uvm_foo has no file and identifier");
  EXPECT_EQ(wrong("| `uvm_foo` | none | nobody wants it |"), "uvm_foo has nothing and no reason");
  EXPECT_EQ(wrong("| `uvm_foo` | `foo.h`: `Foo(` |").substr(0, 10), "is no row:");
  Table twice({}, testing::ReadWhole);
  EXPECT_EQ(twice.WrongWith("| `uvm_foo` | none | part 5: foo |"), "");
  EXPECT_EQ(twice.WrongWith("| `uvm_foo` | none | part 5: foo |"), "uvm_foo is there twice");
}

}  // namespace
}  // namespace uvm
