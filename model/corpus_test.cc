// Every trace of the corpus, against the model alone: each expected outcome is among the right
// ones.

#include <string>

#include "gtest/gtest.h"
#include "model/world.h"
#include "traces/codec.h"
#include "traces/trace.h"

namespace model {
namespace {

void RunTrace(const std::string& path) {
  SCOPED_TRACE(path);
  absl::StatusOr<traces::Trace> trace = traces::ReadTraceFile(path);
  ASSERT_TRUE(trace.ok()) << trace.status();
  // A trace for a particular machine says things that depend on it (proptests/corpus_test).
  for (const std::string& comment : trace->header) {
    if (comment.rfind("machine ", 0) == 0) return;
  }
  World world({});
  for (const traces::Line& line : trace->lines) {
    std::string where =
        path + ":" + std::to_string(line.line) + ": " + traces::FormatOp(line.op, trace->files);
    traces::ResolvedOp op;
    traces::Outcome outcome;  // of an operation that cannot be executed
    if (world.Resolve(line.op, trace->files, &op)) {
      Expectation expectation = world.Expect(op);
      outcome = line.expected.value_or(expectation.Canonical());
      std::string why;
      ASSERT_TRUE(expectation.Accepts(outcome, &why)) << where << ": " << why;
      world.Adopt(op, outcome);
    } else if (line.expected) {
      EXPECT_EQ(*line.expected, outcome) << where;
    }
  }
}

std::vector<std::string>* paths;

TEST(CorpusTest, EveryExpectedOutcomeIsRight) {
  ASSERT_GE(paths->size(), 8u);
  for (const std::string& path : *paths) RunTrace(path);
}

}  // namespace
}  // namespace model

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  std::vector<std::string> paths(argv + 1, argv + argc);
  model::paths = &paths;
  return RUN_ALL_TESTS();
}
