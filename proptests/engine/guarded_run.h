// proptests/engine/guarded_run.h: runs and shrinking that survive what they run.
//
// WHAT     A trace runs in a process of its own, so that a crash or a hang is its result.
//          ShrinkGuarded makes any failure small: where the process itself dies or hangs, by runs
//          in processes of their own (isolated_run.h); where the same run comes out in two ways, by
//          pairs of runs (hash_chain.h); else by plain runs, but in a child, since a smaller run
//          may crash where the long one did not.
// LOCKS    As isolate.h.

#ifndef PROPTESTS_ENGINE_GUARDED_RUN_H_
#define PROPTESTS_ENGINE_GUARDED_RUN_H_

#include <string>
#include <vector>

#include "proptests/engine/isolate.h"
#include "proptests/engine/run.h"
#include "traces/trace.h"

namespace proptests {

// RunTrace in a child. After a crash or hang the result holds the failure alone.
RunResult RunTraceGuarded(const traces::Trace& trace, const RunOptions& options,
                          const Progress& progress, const IsolationLimits& limits);

// Makes the run that shows failures such as this one. The limits are those of each run; hangs are
// cut short earlier, since most of their smaller runs hang, too.
OpsRunner RunnerFor(const Failure& failure, const IsolationLimits& limits);

ShrinkOutcome ShrinkGuarded(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                            const RunOptions& options, const Failure& failure,
                            const IsolationLimits& limits);

// What one run of a failure's operations shows, in the way that such failures are met.
RunResult RunLikeFailure(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                         const RunOptions& options, const Failure& failure,
                         const IsolationLimits& limits);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_GUARDED_RUN_H_
