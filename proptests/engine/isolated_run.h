// proptests/engine/isolated_run.h: RunOps in a process of its own.
//
// WHAT     A run that kills its process, or never ends, is a failure like any other: class crash,
//          rule "NoSignal(11)", or class timeout, rule "EveryRunEnds". So ShrinkRun can shrink it.
// LOCKS    As isolate.h.

#ifndef PROPTESTS_ENGINE_ISOLATED_RUN_H_
#define PROPTESTS_ENGINE_ISOLATED_RUN_H_

#include <string>
#include <vector>

#include "proptests/engine/isolate.h"
#include "proptests/engine/run.h"

namespace proptests {

// Of the result only `failure` is filled in; its op_index is right for crashes, too. `executed` and
// `outcomes` come from the model alone: what it holds right, where several outcomes are.
RunResult RunOpsIsolated(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                         const RunOptions& options, const IsolationLimits& limits,
                         std::vector<TestOp>* executed = nullptr,
                         std::vector<traces::Outcome>* outcomes = nullptr);

// The failure that an ending other than a return stands for, met in operation `op_index`.
Failure FailureOfEnd(const IsolatedResult& result, uint64_t op_index);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_ISOLATED_RUN_H_
