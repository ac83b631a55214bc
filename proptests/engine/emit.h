// proptests/engine/emit.h: a failure in the forms people use: trace file, diagram, GoogleTest case.

#ifndef PROPTESTS_ENGINE_EMIT_H_
#define PROPTESTS_ENGINE_EMIT_H_

#include <optional>
#include <string>
#include <vector>

#include "fake_l4/decision_list.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/session.h"
#include "proptests/engine/shrinker.h"
#include "traces/trace.h"

namespace proptests {

// A small failing run, ready to be written down.
struct FailureReport {
  Failure failure;
  std::vector<TestOp> ops;                // with absolute operands
  std::vector<traces::Outcome> outcomes;  // what is right for each, from the run that failed
  std::vector<std::string> files;
  std::string origin;  // "seed 7, case 3", "gcc.trace"
  std::string replay;  // the command that shows the failure again
  // Under which it is shown; a schedule's decisions, if there are any, too.
  RunOptions run = {};
};

// The base name a failure's trace gets: "contents_agree_s7.trace".
std::string SuggestedFileName(const FailureReport& report);
// What differs from a plain machine, as statements about `run`, a line each: "  run.machine.seed =
// 7;\n". A canary is not among them: the test is for when it is gone.
std::string RunStatements(const RunOptions& run);
// The decisions of a schedule that stand in a trace's comments, as FailureTrace and TraceOfProgram
// write them; nothing where there are none, or where they cannot be read.
std::optional<fake_l4::DecisionList> ScheduleOfTrace(const traces::Trace& trace);
// Title, fingerprint, counterexample and command as comments; the right outcome of every operation
// in place.
traces::Trace FailureTrace(const FailureReport& report, const std::string& file_name);
// TEST(...) { RunOptions run; ... EXPECT_EQ(RunTraceText(R"trace(...)trace", run), "pass"); }
std::string GoogleTestCase(const FailureReport& report);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_EMIT_H_
