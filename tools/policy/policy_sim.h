// tools/policy/policy_sim.h: a stream of touches under a replacement policy, with so many frames.
//
// WHAT     The machine's own policies (uvm/pdpolicy_*.h) run here behind a door of the simulator's:
//          touching a page in memory sets its reference bit, a page that is not there takes a free
//          frame, and when none is left rounds of the page daemon run: wishes are flushed, victims
//          are evicted until some frames are free, queues are balanced. Least recently used, and
//          the optimum that knows the future (Belady's MIN), stand beside them.
// INVARIANTS  No policy has fewer misses than MIN with the same frames.

#ifndef TOOLS_POLICY_POLICY_SIM_H_
#define TOOLS_POLICY_POLICY_SIM_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tools/policy/touch_stream.h"

namespace tools::policy {

// kClockPlain: CLOCK that treats all sorts of memory alike.
enum class Method : uint8_t {
  kClock,
  kClockPlain,
  kClockPro,
  kClockProAdaptive,
  kFifo,
  kLru,
  kMin
};
inline constexpr Method kMethods[] = {
    Method::kClock, Method::kClockPlain, Method::kClockPro, Method::kClockProAdaptive,
    Method::kFifo,  Method::kLru,        Method::kMin};

// "clock", "clock-plain", "clockpro", "clockpro-adaptive", "fifo", "lru", "min".
const char* MethodName(Method method);
// False: no method has that name.
bool MethodOfName(const std::string& name, Method* method);

struct MissCounts {
  uint64_t misses = 0;     // touches of pages that were not in memory
  uint64_t first = 0;      // of these: first touches, which no policy avoids
  uint64_t page_outs = 0;  // evictions of pages written since they came in
  uint64_t page_ins() const { return misses - first; }
};

// Called every few thousand events with the number done since the last call.
using Progress = std::function<void(uint64_t)>;

// REQUIRES: frames >= 1.
MissCounts Simulate(Method method, const TouchStream& touches, uint32_t frames,
                    const Progress& progress = nullptr);

// Frames that a round of the daemon makes free, as the machine's thresholds say for memory of this
// size (four thirds of a two-hundredth).
uint32_t FreeTarget(uint32_t frames);

}  // namespace tools::policy

#endif  // TOOLS_POLICY_POLICY_SIM_H_
