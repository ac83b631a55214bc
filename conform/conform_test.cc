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

constexpr char kSample[] = "conform/testdata/newmdb_4k.txt.gz";
constexpr char kFacts[] = "conform/testdata/ipc_syscall_facts.txt.gz";
constexpr char kPrefixes[] = "conform/testdata/manual_prefix.txt.gz";
constexpr char kMung[] = "conform/testdata/mung_status.txt.gz";

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
                       "  not compared: 1 after a difference in their sequence\n");
}

TEST(ConformTest, JsonSaysWhatDisagrees) {
  std::string text = kAgrees;
  text.replace(text.find("st 1 | 0w -"), 11, "st 1 | 0r -");
  const auto object =
      nlohmann::json::parse(Conform({Temporary("d.txt", text)}, {.json = true}).out);
  EXPECT_EQ(object["result"], "outcome");
  const auto& first = object["files"][0]["first_disagreement"];
  EXPECT_EQ(first["line"], 5);
  EXPECT_EQ(first["field"], "access");
  EXPECT_EQ(first["recorded"], "0r");
  EXPECT_EQ(first["ours"], "0w");
}

TEST(ConformTest, CountComesFromTheParserAlone) {
  const Result r = Conform({kSample, kFacts, kPrefixes, kMung}, {.count_only = true});
  EXPECT_EQ(r.exit_code, kExitPass);
  EXPECT_EQ(r.out, std::string(kSample) + ": 2400\n" + kFacts + ": 143\n" + kPrefixes + ": 600\n" +
                       kMung + ": 474\n");
}

TEST(ConformTest, CountIsTheMOfARun) {
  for (const char* file : {kSample, kFacts, kMung}) {
    const std::string count = Conform({file}, {.count_only = true}).out;
    const std::string m = count.substr(count.rfind(' ') + 1);
    const std::string run = Conform({file}).out;
    EXPECT_NE(run.find(" of " + m.substr(0, m.size() - 1) + " ("), std::string::npos) << run;
  }
}

TEST(ConformTest, NamedDifferencesAreListedAndPass) {
  const Result r = Conform({kSample});
  EXPECT_EQ(r.exit_code, kExitPass);
  EXPECT_NE(r.out.find(" by named differences: pistachio-"), std::string::npos) << r.out;
  EXPECT_NE(r.out.find("pistachio-rights-not-masked x20"), std::string::npos) << r.out;
  EXPECT_NE(r.out.find("after a difference in their sequence\n"), std::string::npos) << r.out;
  EXPECT_EQ(r.out.find("first disagreement"), std::string::npos) << r.out;
}

TEST(ConformTest, AProfileIsFollowed) {
  const Result r = Conform({kSample}, {.quirks = "pistachio-new-mdb"});
  EXPECT_EQ(r.exit_code, kExitPass);
  EXPECT_EQ(r.out, std::string(kSample) + ": agree 2400 of 2400 (0 by named differences)\n");
  EXPECT_EQ(Conform({kSample}, {.quirks = "pistachio-old-mdb"}).exit_code, kExitOutcome);
}

TEST(ConformTest, AnUnknownProfileIsAUsageError) {
  const Result r = Conform({kSample}, {.quirks = "mung"});
  EXPECT_EQ(r.exit_code, kExitUsage);
  EXPECT_EQ(r.out, "");
  EXPECT_EQ(r.err,
            "conform l4: expected a quirk profile (" + ProfileNames() + "), found \"mung\"\n");
  EXPECT_EQ(ProfileNames().find("manual, pistachio-new-mdb, pistachio-old-mdb"), 0u);
}

TEST(ConformTest, AnotherKernelsRecordingIsInformative) {
  const Result r = Conform({kMung});
  EXPECT_EQ(r.exit_code, kExitPass);
  EXPECT_NE(r.out.find("\n  informative: "), std::string::npos) << r.out;
  EXPECT_NE(r.out.find("first disagreement: "), std::string::npos) << r.out;
  const auto object = nlohmann::json::parse(Conform({kMung}, {.json = true}).out);
  EXPECT_EQ(object["result"], "pass");
  EXPECT_EQ(object["files"][0]["informative"], true);
}

TEST(ConformTest, PrefixesNeedTheirRecordingsBesideThem) {
  const std::string prefixes = Temporary("p.txt", "# file seq n:\nnewmdb_none 0 1\n");
  const Result missing = Conform({prefixes});
  EXPECT_EQ(missing.exit_code, kExitUsage);
  EXPECT_EQ(missing.err,
            testing::TempDir() + "/newmdb_none.txt: cannot be opened: No such file or directory\n");
  const std::string foreign = Temporary("f.txt", "# file seq n:\nmung_4k 0 1\n");
  EXPECT_EQ(Conform({foreign}).err,
            foreign + ":2: expected a recording newmdb_* or oldmdb_*, found `mung_4k`\n");
  Temporary("newmdb_one.txt", kAgrees);
  const std::string good = Temporary("g.txt", "# file seq n:\nnewmdb_one 0 2\n");
  EXPECT_EQ(Conform({good}).out, good + ": agree 1 of 1 (0 by named differences)\n");
}

TEST(ConformTest, BadLinesOfFactsAreErrorsWithTheirPlace) {
  const std::string file = Temporary("facts.txt",
                                     "# root=c8001 local=bf000100 kip=bff00000 utcbarea=bf000000 "
                                     "utcbsize=200 minarea=1000\n# helper 0 = cc001\n"
                                     "fact x: h0 nothing\n");
  const Result r = Conform({file});
  EXPECT_EQ(r.exit_code, kExitUsage);
  EXPECT_EQ(r.err, file + ":3: expected `tag=`, found `nothing`\n");
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
  EXPECT_EQ(object["result"], "pass");
  EXPECT_EQ(object["ops"], 2402);
  EXPECT_EQ(object["quirks"], "manual");
  EXPECT_EQ(object["lanes"], nlohmann::json::array({"fake_l4"}));
  ASSERT_EQ(object["files"].size(), 2u);
  EXPECT_EQ(object["files"][0]["agree"], 2);
  EXPECT_EQ(object["files"][0]["of"], 2);
  EXPECT_TRUE(object["files"][0]["first_disagreement"].is_null());
  const auto& sample = object["files"][1];
  EXPECT_EQ(sample["of"], 2400);
  EXPECT_EQ(sample["named_differences"]["pistachio-rights-not-masked"], 20);
  EXPECT_EQ(sample["agree"].get<int>() + sample["disagree"].get<int>() +
                sample["not_compared"]["after_difference"].get<int>(),
            2400);
  EXPECT_EQ(Conform({file, kSample}, {.json = true}).out, r.out);
  const Result count = Conform({file}, {.count_only = true, .json = true});
  EXPECT_EQ(nlohmann::json::parse(count.out)["ops"], 2);
}

}  // namespace
}  // namespace conform
