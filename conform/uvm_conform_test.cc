// The face of `vmsim conform uvm`: lines, counts, JSON, exit codes.
#include "conform/uvm_conform.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace conform {
namespace {

struct Result {
  int exit_code;
  std::string out, err;
};

Result Conform(const std::vector<std::string>& files, const UvmConformOptions& options = {}) {
  std::ostringstream out, err;
  const int exit_code = ConformUvm(files, options, out, err);
  return {exit_code, out.str(), err.str()};
}

std::string Temporary(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path) << text;
  return path;
}

constexpr char kAgrees[] =
    "# boot pages=64 free=64 freemin=32 freetarg=42 reserve_kernel=5 wiredmax=21\n"
    "seq one pages=64 va=0x100000-0x140000 dir=up\n"
    "C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0\n"
    "0 read s=0 0x100000 -> EFAULT\n"
    "final-views\n"
    "final-contents\n"
    "C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0\n"
    "teardown\n"
    "1 exit s=0 -> OK\n"
    "C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0\n"
    "end\n";

std::string Disagrees() {
  std::string text = kAgrees;
  text.replace(text.find("EFAULT"), 6, "EIO");
  return text;
}

TEST(UvmConformTest, AgreementIsOneLineAndExitCodeZero) {
  const std::string file = Temporary("agrees.txt", kAgrees);
  const Result r = Conform({file});
  EXPECT_EQ(r.exit_code, kExitPass);
  EXPECT_EQ(r.out, file + ": agree 3 of 3 (0 by named differences)\n");
  EXPECT_EQ(r.err, "");
  EXPECT_EQ(Conform({file}, {.structure = true}).out,
            file + ": agree 3 of 3, 0 by decision, 0 undecided\n");
  EXPECT_EQ(Conform({file}, {.count_only = true}).out, file + ": 3\n");
}

TEST(UvmConformTest, ADisagreementIsShownAndExitCodeSeventeen) {
  const std::string file = Temporary("disagrees.txt", Disagrees());
  const Result r = Conform({file});
  EXPECT_EQ(r.exit_code, kExitOutcome);
  EXPECT_EQ(r.out, file + ": agree 0 of 3 (0 by named differences)\n  first disagreement: " + file +
                       ":4: sequence one op 0 (read s=0 0x100000): result: recorded EIO, ours "
                       "EFAULT\n  disagree: 1 (result x1)\n"
                       "  not compared: 2 after a difference in their sequence\n");
}

TEST(UvmConformTest, JsonSaysTheSame) {
  const std::string file = Temporary("d.txt", Disagrees());
  const auto object = nlohmann::json::parse(Conform({file}, {.json = true}).out);
  EXPECT_EQ(object["result"], "outcome");
  EXPECT_EQ(object["ops"], 3);
  EXPECT_EQ(object["lanes"][0], "pmap/l4 on fake_l4");
  EXPECT_EQ(object["compared"], "meaning");
  EXPECT_EQ(object["files"][0]["agree"], 0);
  EXPECT_EQ(object["files"][0]["first_disagreement"]["field"], "result");
  EXPECT_EQ(object["files"][0]["not_compared"]["after_difference"], 2);
  EXPECT_GT(object["ledger"]["page_faults"], 0);
  EXPECT_FALSE(object.contains("seconds"));
}

TEST(UvmConformTest, WhatCannotBeReadIsAnErrorAndNothingRuns) {
  const std::string good = Temporary("good.txt", kAgrees);
  const std::string bad = Temporary("bad.txt", std::string(kAgrees) + "seq\n");
  const Result r = Conform({good, bad, "no/such/file.txt"});
  EXPECT_EQ(r.exit_code, kExitUsage);
  EXPECT_EQ(r.out, "");
  EXPECT_NE(r.err.find(bad + ":12: expected `seq`, found `seq`"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("no/such/file.txt: cannot be opened"), std::string::npos) << r.err;
  EXPECT_EQ(Conform({}).exit_code, kExitUsage);
}

}  // namespace
}  // namespace conform
