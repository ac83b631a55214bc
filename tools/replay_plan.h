// tools/replay_plan.h: how large a machine a trace needs, and how often its state is compared.
//
// WHAT     An upper bound from the trace alone, so that a recorded program never runs out of memory
//          that it did not run out of when it was recorded.
// SEE      design.md section 5 (replay)

#ifndef TOOLS_REPLAY_PLAN_H_
#define TOOLS_REPLAY_PLAN_H_

#include <cstdint>

#include "traces/trace.h"

namespace tools {

struct ReplayPlan {
  uint64_t frames = 0;       // pages of 4 KiB; at least 4,096
  uint32_t max_tasks = 0;    // alive at once; at least 64
  uint64_t check_every = 0;  // operations between comparisons of the whole state; at least 1
};

ReplayPlan PlanReplay(const traces::Trace& trace);

}  // namespace tools

#endif  // TOOLS_REPLAY_PLAN_H_
