// proptests/engine/emit.h: a failure in the forms people use: trace file, diagram, GoogleTest case.

#ifndef PROPTESTS_ENGINE_EMIT_H_
#define PROPTESTS_ENGINE_EMIT_H_

#include <string>
#include <vector>

#include "proptests/engine/failure.h"
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
};

// The base name a failure's trace gets: "contents_agree_s7.trace".
std::string SuggestedFileName(const FailureReport& report);
// Title, fingerprint, counterexample and command as comments; the right outcome of every operation
// in place.
traces::Trace FailureTrace(const FailureReport& report, const std::string& file_name);
// TEST(...) { EXPECT_EQ(RunTraceText(R"trace(...)trace"), "pass"); }
std::string GoogleTestCase(const FailureReport& report);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_EMIT_H_
