// The command's face: lines, counts, JSON, exit codes, and no output when a file cannot be read.
#include "conform/conform.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace conform {
namespace {

constexpr char kSample[] = "conform/testdata/newmdb_4k_first30.txt.gz";

struct Result {
  int exit_code;
  std::string out, err;
};

Result Conform(const std::vector<std::string>& files, const ConformOptions& options = {}) {
  std::ostringstream out, err;
  const int exit_code = ConformL4(files, options, out, err);
  return {exit_code, out.str(), err.str()};
}

std::string Temporary(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path) << text;
  return path;
}

// Two operations that agree.
constexpr char kAgrees[] =
    "# suite=0 spaces=2 vbase=40000000 wlog=13 nseq=1 nops=2\n"
    "# probes: 0 1\n"
    "seq 0 seed=0\n"
    "st 0 | 0w 1w | - -\n"
    "op 1 unmap sp=0 flush=1 fp=400010c7\n"
    "ret 1 fp=400010c0\n"
    "st 1 | 0w - | - -\n"
    "op 2 ipc src=0 dst=1 rcv=400000c0 grant=00000000:400000c7\n"
    "ret 2 stag=00000080 serr=00000000 rtag=00000080 rerr=00000000 mr=0000000a,400000c7\n"
    "st 2 | - - | 0w -\n";

TEST(ConformTest, AgreementIsOneLineAndExitCodeZero) {
  const std::string file = Temporary("agrees.txt", kAgrees);
  const Result r = Conform({file});
  EXPECT_EQ(r.exit_code, kExitPass);
  EXPECT_EQ(r.out, file + ": agree 2 of 2 (0 by named differences)\n");
  EXPECT_EQ(r.err, "");
}

TEST(ConformTest, ADisagreementIsShownAndExitCodeSeventeen) {
  std::string text = kAgrees;
  text.replace(text.find("st 1 | 0w -"), 11, "st 1 | 0r -");
  const std::string file = Temporary("disagrees.txt", text);
  const Result r = Conform({file});
  EXPECT_EQ(r.exit_code, kExitOutcome);
  EXPECT_EQ(r.out, file + ": agree 0 of 2 (0 by named differences)\n  first disagreement: " + file +
                       ":5: sequence 0 op 1 (unmap sp=0 flush=1 fp=400010c7): access of space 0 "
                       "page 0: recorded 0r, ours 0w\n"
                       "  disagree: 1 (access x1)\n"
                       "  not compared: 1 after a disagreement\n");
}

TEST(ConformTest, CountComesFromTheParserAlone) {
  const Result r = Conform({kSample}, {.count_only = true});
  EXPECT_EQ(r.exit_code, kExitPass);
  EXPECT_EQ(r.out, std::string(kSample) + ": 720\n");
}

TEST(ConformTest, AProblemWithAnyFileMeansNoOutput) {
  const std::string good = Temporary("good.txt", kAgrees);
  const std::string bad = Temporary("bad.txt", "hello\n");
  const Result r = Conform({good, bad, "/nonexistent"});
  EXPECT_EQ(r.exit_code, kExitUsage);
  EXPECT_EQ(r.out, "");
  EXPECT_EQ(r.err, bad +
                       ":1: expected `# suite=`, found `hello`\n"
                       "/nonexistent: cannot be opened: No such file or directory\n");
  EXPECT_EQ(Conform({}).exit_code, kExitUsage);
}

TEST(ConformTest, JsonSaysTheSame) {
  const std::string file = Temporary("json.txt", kAgrees);
  const Result r = Conform({file, kSample}, {.json = true});
  const auto object = nlohmann::json::parse(r.out);
  EXPECT_EQ(object["result"], "outcome");
  EXPECT_EQ(object["ops"], 722);
  EXPECT_EQ(object["lanes"], nlohmann::json::array({"fake_l4"}));
  ASSERT_EQ(object["files"].size(), 2u);
  EXPECT_EQ(object["files"][0]["agree"], 2);
  EXPECT_EQ(object["files"][0]["of"], 2);
  EXPECT_TRUE(object["files"][0]["first_disagreement"].is_null());
  const auto& sample = object["files"][1];
  EXPECT_EQ(sample["of"], 720);
  EXPECT_EQ(sample["first_disagreement"]["sequence"], 0);
  EXPECT_EQ(sample["first_disagreement"]["op"], 21);
  EXPECT_EQ(sample["agree"].get<int>() + sample["disagree"].get<int>() +
                sample["not_compared"]["after_disagreement"].get<int>(),
            720);
  EXPECT_EQ(Conform({file, kSample}, {.json = true}).out, r.out);
  const Result count = Conform({file}, {.count_only = true, .json = true});
  EXPECT_EQ(nlohmann::json::parse(count.out)["ops"], 2);
}

}  // namespace
}  // namespace conform
