// proptests/engine/workers.h: the cases of a campaign in processes of their own.
//
// WHAT     RunCases hands cases to forked workers, a batch each, and delivers their records in the
//          order of the cases, whoever was faster. A worker that crashes, or takes too long over a
//          case, is a failure of that case like any other: class crash or timeout, met in the
//          operation it had reached; the rest of its batch goes to another worker.
// LOCKS    The caller has no other threads (fork copies only one).
// INVARIANTS  What is delivered depends neither on the number of workers nor on which was faster:
//          only on the cases, and on time limits where a case comes near them.
// SEE      isolate.h; summary.h; design.md D4.

#ifndef PROPTESTS_ENGINE_WORKERS_H_
#define PROPTESTS_ENGINE_WORKERS_H_

#include <cstdint>
#include <functional>
#include <optional>

#include "proptests/engine/isolate.h"
#include "proptests/engine/run.h"
#include "proptests/engine/summary.h"

namespace proptests {

struct CaseTask {
  uint64_t number = 0;
  uint64_t count = 0;  // operations to draw
};

struct WorkerOptions {
  // Workers at a time; 0: no workers, the cases run in this process (for debuggers and profilers),
  // without limits.
  uint32_t jobs = 1;
  // Of each case: wall-clock time, and address space of its worker.
  IsolationLimits limits;
  // Case n is run twice, in two ways, when n is a multiple of this; 0: none (hash_chain.h).
  uint64_t recheck_one_in = 32;
};

// Where a campaign stands, between deliveries. Operations of cases under way are counted, those of
// cases that come to nothing are not taken back.
struct CampaignProgress {
  uint64_t ops = 0;
  uint64_t cases = 0;
};

struct CampaignHooks {
  // The next case in order; nothing: there are no more.
  std::function<std::optional<CaseTask>()> next;
  // Receives each record, in the order of `next`. False: enough, workers are ended.
  std::function<bool(const CaseRecord&)> done;
  // Called a few times a second; may be null. False: enough.
  std::function<bool(const CampaignProgress&)> tick;
};

// Runs one case as a worker does: with a sample of its shape, and twice when it is its turn.
CaseRecord RunOneCase(const CampaignOptions& options, const CaseTask& task, uint64_t recheck_one_in,
                      const StepHook& hook);

enum class CampaignEnd : uint8_t { kAllDone, kEnough };
CampaignEnd RunCases(const CampaignOptions& options, const WorkerOptions& how,
                     const CampaignHooks& hooks);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_WORKERS_H_
