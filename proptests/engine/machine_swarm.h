// proptests/engine/machine_swarm.h: the machine that a case has all to itself.
//
// WHAT     Memory, swap and its encryption, how free frames are kept and what happens to them,
//          hardware, kernel, pmap, processors, schedule and faults of a case, each drawn from a
//          stream of its own, so that pinning one leaves the others as they are. One machine in two
//          is the plain one in each respect: what two oddities hide shows with one.
// SEE      facts/verification.md 1.1 (options_swarm), 3.2 (swarm testing).

#ifndef PROPTESTS_ENGINE_MACHINE_SWARM_H_
#define PROPTESTS_ENGINE_MACHINE_SWARM_H_

#include <cstdint>
#include <string>

#include "proptests/engine/fault_rates.h"
#include "proptests/engine/session.h"

namespace proptests {

// What stays as the campaign says.
struct MachinePins {
  bool memory = false;
  bool swap = false;
  bool encryption = false;
  bool keeping = false;  // of free frames
  bool hardware = false;
  bool kernel = false;
  bool processors = false;
  bool schedule = false;
  bool faults = false;
  bool pmap = false;
  bool threads = false;  // of a task (run.h)
};

// Changes what is not pinned of the options and rates of a campaign into those of the case.
void DrawMachine(uint64_t seed, uint64_t case_index, const MachinePins& pins, RunOptions* run,
                 FaultRates* faults);
// "2880 frames, amd64-nx, manual, 1 processor, round-robin, faults none".
std::string MachineText(const RunOptions& run, const FaultRates& faults);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_MACHINE_SWARM_H_
