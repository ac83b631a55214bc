// docs/PMAP_FUNCTIONS.md says what stands for each function and rule of pmap(9): every row is true.

#include "uvm/testing/functions_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "uvm/testing/test_names.h"

namespace pmap_sim {
namespace {

using uvm::testing::ReadWhole;

TEST(PmapFunctionsTableTest, EveryRowIsTrue) {
  const std::set<std::string> tests = uvm::testing::NamesOfTests("pmap_sim/test_files.txt");
  ASSERT_FALSE(tests.empty());
  uvm::testing::FunctionsTable table(tests, {"boot", "optional", "cpu"}, ReadWhole);
  EXPECT_EQ(table.WrongWithAll("docs/PMAP_FUNCTIONS.md"), "");
  // facts/uvm.md 3.2 and 3.3.
  constexpr size_t kFunctions = 30, kOptional = 12, kRules = 11;
  EXPECT_EQ(table.rows(), kFunctions + kOptional + kRules);
  EXPECT_GE(table.true_rows(), kFunctions + kRules);
}

// What the interface asks for L4Pmap has, by the same name.
TEST(PmapFunctionsTableTest, TheModuleHasEachFunctionOfTheInterface) {
  const std::string module = ReadWhole("pmap_sim/l4_pmap.h");
  const std::string door = ReadWhole("uvm/pmap.h");
  uint32_t functions = 0;
  for (size_t at = door.find("  virtual "); at != std::string::npos;
       at = door.find("  virtual ", at + 1)) {
    const size_t open = door.find('(', at);
    const size_t name = door.find_last_of(" *&", open) + 1;
    const size_t in_module = module.find(" " + door.substr(name, open + 1 - name));
    // Pointers' names follow a star.
    const size_t starred = module.find("*" + door.substr(name, open + 1 - name));
    EXPECT_TRUE(in_module != std::string::npos || starred != std::string::npos)
        << door.substr(name, open - name);
    ++functions;
  }
  EXPECT_GT(functions, 35u);
}

}  // namespace
}  // namespace pmap_sim
