// One test for every trace of the corpus in every lane. Traces are three-way tests: expected
// outcomes, model, system.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proptests/engine/lanes.h"
#include "proptests/engine/machine_text.h"
#include "proptests/engine/run.h"
#include "traces/codec.h"
#include "traces/op.h"
#include "traces/trace.h"

namespace proptests {
namespace {

std::vector<std::string> TraceFiles() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("traces/corpus")) {
    if (entry.path().extension() == ".trace") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());  // total order: paths differ
  return files;
}

struct CorpusCase {
  std::string file;
  LaneInfo lane;
};

void PrintTo(const CorpusCase& row, std::ostream* out) {
  *out << row.file << " in lane " << row.lane.name;
}

std::vector<CorpusCase> Cases() {
  std::vector<CorpusCase> cases;
  for (const std::string& file : TraceFiles()) {
    for (const LaneInfo& lane : AllLanes()) cases.push_back({file, lane});
  }
  return cases;
}

// "traces/corpus/recorded/gcc.trace", lane uvm -> "recorded_gcc_uvm".
std::string CaseName(const testing::TestParamInfo<CorpusCase>& info) {
  std::string name = info.param.file.substr(std::string("traces/corpus/").size());
  name = name.substr(0, name.rfind('.')) + "_" + info.param.lane.name;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

class CorpusTest : public testing::TestWithParam<CorpusCase> {};

TEST_P(CorpusTest, Agrees) {
  auto trace = traces::ReadTraceFile(GetParam().file);
  ASSERT_TRUE(trace.ok()) << trace.status();
  ASSERT_FALSE(trace->lines.empty());
  bool large = trace->lines.size() > 2000;
  RunOptions options;
  options.lanes = {GetParam().lane.lane};
  options.whole_every = large ? 1024 : 1;
  options.machine.ram_bytes = uint64_t{large ? 512u : 16u} << 20;
  const absl::Status status = FollowMachineOf(*trace, &options);
  ASSERT_TRUE(status.ok()) << status;
  RunResult result = RunTrace(*trace, options);
  EXPECT_FALSE(result.failure) << FingerprintText(result.failure->print) << " at operation "
                               << result.failure->op_index + 1 << ": " << result.failure->text;
  auto names_nothing = [](const traces::Line& line) {
    return line.expected && line.expected->family == traces::Outcome::Family::kNone;
  };
  auto meant = std::count_if(trace->lines.begin(), trace->lines.end(), names_nothing);
  EXPECT_EQ(result.stats.skipped, static_cast<uint64_t>(meant))
      << "an operation names what does not exist, and does not say so";
  if (GetParam().lane.lane != Lane::kUvm) return;
  auto injects = [](const traces::Line& line) { return line.op.kind == traces::OpKind::kInject; };
  auto injected = std::count_if(trace->lines.begin(), trace->lines.end(), injects);
  for (const LedgerRow& row : result.ledger) {
    if (std::string(row.name) != "faults_injected") continue;
    EXPECT_EQ(row.value, static_cast<uint64_t>(injected)) << "an injected fault did not happen";
  }
}

TEST(CorpusDirectoryTest, HasTraces) { EXPECT_GE(TraceFiles().size(), 10u); }

INSTANTIATE_TEST_SUITE_P(Corpus, CorpusTest, testing::ValuesIn(Cases()), CaseName);

}  // namespace
}  // namespace proptests
