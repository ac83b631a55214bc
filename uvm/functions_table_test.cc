// docs/UVM_FUNCTIONS.md says what stands for each function of NetBSD's UVM: every row is true.

#include "uvm/testing/functions_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "uvm/testing/test_names.h"

namespace uvm {
namespace {

using testing::FunctionsTable;

const std::vector<std::string> kReasons = {"host", "gone"};

TEST(FunctionsTableTest, EveryRowIsTrue) {
  const std::set<std::string> tests = testing::NamesOfTests("uvm/known_bugs_tests.txt");
  ASSERT_FALSE(tests.empty());
  FunctionsTable table(tests, kReasons,
                       [](const std::string& path) { return testing::ReadWhole("uvm/" + path); });
  EXPECT_EQ(table.WrongWithAll("docs/UVM_FUNCTIONS.md"), "");
  // facts/uvm.md 1.1-1.10 and 1.13-1.17 name 335; the rest those that stand for something here.
  EXPECT_GE(table.rows(), 335u);
  EXPECT_GT(table.true_rows(), 200u);
}

TEST(FunctionsTableTest, AFalseRowIsFound) {
  auto wrong = [](const std::string& row) {
    FunctionsTable table({"FooTest.Works"}, kReasons, [](const std::string& path) {
      return path == "foo.h" ? std::string("// NetBSD: uvm_foo().\nint Foo(int);") : "";
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
  EXPECT_EQ(wrong("| `uvm_foo` | none | later: foo |"), "uvm_foo has nothing and no reason");
  EXPECT_EQ(wrong("| `uvm_foo` | `foo.h`: `Foo(` |").substr(0, 10), "is no row:");
  FunctionsTable twice({}, kReasons, testing::ReadWhole);
  EXPECT_EQ(twice.WrongWith("| `uvm_foo` | none | gone: foo |"), "");
  EXPECT_EQ(twice.WrongWith("| `uvm_foo` | none | gone: foo |"), "uvm_foo is there twice");
}

}  // namespace
}  // namespace uvm
