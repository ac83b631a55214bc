// The checker of the architecture, shown to pass the table's own graph and to fail on each way of
// breaking it.
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tools/layering/layering.h"

namespace tools::layering {
namespace {

Table LoadTable() {
  std::ifstream in("tools/layering/table.txt");
  std::ostringstream text;
  text << in.rdbuf();
  absl::StatusOr<Table> table = Table::Parse(text.str());
  EXPECT_TRUE(table.ok()) << table.status().ToString();
  return *table;
}

std::vector<std::string> Check(const std::string& graph, const std::string& package) {
  absl::StatusOr<std::vector<std::string>> result = CheckGraph(LoadTable(), graph, package);
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  return result.ok() ? *result : std::vector<std::string>{};
}

std::string Edge(const std::string& from, const std::string& to) {
  return "  \"" + from + "\" -> \"" + to + "\"\n";
}

// One target of each column.
const std::map<std::string, std::string>& Targets() {
  static const auto* const targets =
      new std::map<std::string, std::string>{{"base", "//base:addr"},
                                             {"traces", "//traces:op"},
                                             {"l4", "//fake_l4:l4"},
                                             {"kernel", "//fake_l4:kernel"},
                                             {"doors", "//uvm:pmap"},
                                             {"uvm", "//uvm:map"},
                                             {"pmap_sim", "//pmap_sim:pmap"},
                                             {"vmserver", "//vmserver:rpc"},
                                             {"machine", "//machine:machine"},
                                             {"model", "//model:model"},
                                             {"engine", "//proptests/engine:engine"},
                                             {"conform", "//conform:l4"},
                                             {"policy", "//tools/policy:sim"}};
  return *targets;
}

// design.md section 2 and house.md 4.2, written down a second time so that a slip in table.bzl
// shows. One letter a column, in the order of the header line; '.' is the own package.
constexpr char kPicture[] =
    "base             .            \n"
    "traces           x.           \n"
    "model            xx       .   \n"
    "fake_l4          x ..         \n"
    "uvm              x   ..       \n"
    "pmap_sim         x x x .      \n"
    "vmserver         x x xxx.     \n"
    "machine          xxxxxxxx.    \n"
    "proptests/engine xxxxxxxxxx.  \n"
    "conform          xxxxxxxxxxx. \n"
    "tools            xx      xxxxx\n"
    "tools/policy     xx  xx      .\n"
    "proptests        xxxxxxxxxxxxx\n";
constexpr const char* kColumns[] = {"base",   "traces",   "l4",       "kernel",  "doors",
                                    "uvm",    "pmap_sim", "vmserver", "machine", "model",
                                    "engine", "conform",  "policy"};

TEST(Table, EachCellIsEnforcedOnADirectEdge) {
  std::istringstream picture(kPicture);
  int cells = 0;
  for (std::string line; std::getline(picture, line);) {
    const std::string row = line.substr(0, line.find(' '));
    for (int i = 0; i < 13; ++i, ++cells) {
      const char cell = line[17 + i];
      const std::string graph = Edge("//" + row + ":x", Targets().at(kColumns[i]));
      EXPECT_EQ(Check(graph, row).empty(), cell != ' ') << row << " -> " << kColumns[i];
    }
  }
  EXPECT_EQ(cells, 13 * 13);
}

TEST(Table, EveryRowIsInThePicture) { EXPECT_EQ(LoadTable().rows().size(), 13u); }

TEST(CheckGraph, FindsAForbiddenEdgeBetweenTwoOtherPackages) {
  const std::string graph =
      Edge("//machine:machine", "//vmserver:rpc") + Edge("//vmserver:rpc", "//fake_l4:kernel");
  EXPECT_EQ(
      Check(graph, "machine"),
      std::vector<std::string>{
          "//vmserver:rpc depends on //fake_l4:kernel: vmserver may not use kernel, only base "
          "doors l4 pmap_sim uvm"});
}

TEST(CheckGraph, FindsWhatModelReachesThroughAPlaceOutsideTheTable) {
  const std::string graph =
      Edge("//model:model", "//docs:helper") + Edge("//docs:helper", "//uvm:map");
  EXPECT_EQ(Check(graph, "model"),
            std::vector<std::string>{"//model reaches //uvm:map: model must never reach uvm"});
}

TEST(CheckGraph, UvmReachesNothingBelowItsDoorsAndNoOracle) {
  for (const char* column : {"l4", "kernel", "pmap_sim", "vmserver", "machine", "model", "traces",
                             "engine", "conform"}) {
    const std::string graph =
        Edge("//uvm:map", "//third_party:x") + Edge("//third_party:x", Targets().at(column));
    EXPECT_EQ(Check(graph, "uvm").size(), 1u) << column;
  }
}

TEST(CheckGraph, AFileOfAnotherPackageCountsLikeATarget) {
  EXPECT_EQ(Check(Edge("//model:model", "//uvm:map.h"), "model").size(), 2u);
  EXPECT_TRUE(Check(Edge("//pmap_sim:pmap", "//uvm:pmap.h"), "pmap_sim").empty());
  EXPECT_EQ(Check(Edge("//pmap_sim:pmap", "//uvm:pmap_table.h"), "pmap_sim").size(), 1u);
}

TEST(CheckGraph, TestSupportOfADoorCountsAsTheDoor) {
  EXPECT_TRUE(Check(Edge("//pmap_sim:pmap_test", "//fake_l4/testing:kernel") +
                        Edge("//fake_l4/testing:kernel", "//fake_l4:kernel"),
                    "pmap_sim")
                  .empty());
  EXPECT_FALSE(Check(Edge("//uvm:map_test", "//fake_l4/testing:kernel"), "uvm").empty());
}

TEST(CheckGraph, NobodyUsesToolsOrPropertyTests) {
  EXPECT_FALSE(Check(Edge("//machine:machine", "//tools:vmsim"), "machine").empty());
  EXPECT_FALSE(Check(Edge("//conform:l4", "//proptests:cow_prop_test"), "conform").empty());
}

TEST(CheckGraph, OtherRepositoriesAndToolsAreNoConcern) {
  EXPECT_TRUE(Check(Edge("//base:addr", "@bazel_tools//tools/cpp:malloc") +
                        Edge("//base:addr", "//third_party:gtest"),
                    "base")
                  .empty());
}

TEST(CheckGraph, AnEmptyGraphIsAnError) {
  EXPECT_FALSE(CheckGraph(LoadTable(), "digraph mygraph {\n}\n", "uvm").ok());
  EXPECT_FALSE(CheckGraph(LoadTable(), Edge("//base:a", "//base:b"), "uvm").ok());
  EXPECT_FALSE(CheckGraph(LoadTable(), Edge("//docs:a", "//base:b"), "docs").ok());
}

TEST(Parse, RefusesWhatIsNotATable) {
  EXPECT_FALSE(Table::Parse("").ok());
  EXPECT_FALSE(Table::Parse("row a b\n").ok());
  EXPECT_FALSE(Table::Parse("rows a\n").ok());
  EXPECT_TRUE(Table::Parse("row a\ncolumn a a\n").ok());
}

}  // namespace
}  // namespace tools::layering
