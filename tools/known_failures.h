// tools/known_failures.h: a directory of findings between a diagnosis and a replay.

#ifndef TOOLS_KNOWN_FAILURES_H_
#define TOOLS_KNOWN_FAILURES_H_

#include "proptests/engine/failure.h"
#include "proptests/engine/findings.h"
#include "tools/report.h"

namespace tools {

// What a diagnosis whose trace lies in the directory leaves in its index.
proptests::KnownFailure KnownFailureOf(const Diagnosis& diagnosis);

// Replays everything there, says so for each if it may, and notes in the index which still fail.
// Returns the class of the first that does; kNone: all pass.
enum class Reporting : bool { kLoud, kQuiet };
proptests::FailureClass ReplayKnownFailures(proptests::Findings* findings, Reporting reporting);

}  // namespace tools

#endif  // TOOLS_KNOWN_FAILURES_H_
