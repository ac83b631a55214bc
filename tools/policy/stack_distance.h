// tools/policy/stack_distance.h: the misses of LRU for every number of frames in one pass.
//
// WHAT     What least recently used keeps in n frames is always part of what it keeps in n + 1
//          (inclusion), so one stack of all pages, last used first, stands for all sizes: a page
//          used at depth d is a miss with fewer than d frames and a hit with d or more (Mattson,
//          Gecsei, Slutz, Traiger, 1970). Depths are counted in a Fenwick tree over the time of
//          last use. A page that goes leaves a hole in the stack, a frame that is free in memories
//          of that depth; the next page that comes from below fills the topmost hole above it.
// INVARIANTS  Misses(n) falls as n grows. Misses(n) of touches equals Simulate(kLru, touches, n).

#ifndef TOOLS_POLICY_STACK_DISTANCE_H_
#define TOOLS_POLICY_STACK_DISTANCE_H_

#include <cstdint>
#include <vector>

#include "tools/policy/policy_sim.h"
#include "tools/policy/touch_stream.h"

namespace tools::policy {

class StackDistances {
 public:
  explicit StackDistances(const TouchStream& touches, const Progress& progress = nullptr);

  uint64_t Misses(uint32_t frames) const;
  // uses()[d - 1]: touches at depth d, that is, with d - 1 other pages in between.
  const std::vector<uint64_t>& uses() const { return uses_; }
  uint64_t first() const { return first_; }

 private:
  std::vector<uint64_t> uses_;
  std::vector<uint64_t> missed_;  // by frames: touches at a greater depth
  uint64_t first_ = 0;
};

}  // namespace tools::policy

#endif  // TOOLS_POLICY_STACK_DISTANCE_H_
