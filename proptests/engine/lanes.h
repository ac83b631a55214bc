// proptests/engine/lanes.h: who takes part in a run; each is one more opinion on every operation.
//
// WHAT     lane `model`  the model alone, held to the outcomes that the trace itself expects (a
//                        host kernel's, say)
//          lane `uvm`    the whole system (clients, vmserver, uvm, pmap/l4, simulated kernel),
//                        held to the model
//          The model always runs: it says what is right. One more lane is one more row of the table
//          in lanes.cc.

#ifndef PROPTESTS_ENGINE_LANES_H_
#define PROPTESTS_ENGINE_LANES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace proptests {

enum class Lane : uint8_t { kModel, kUvm };

class LaneSet {
 public:
  constexpr LaneSet() = default;
  constexpr LaneSet(std::initializer_list<Lane> lanes) {
    for (Lane lane : lanes) bits_ |= Bit(lane);
  }
  constexpr bool Has(Lane lane) const { return (bits_ & Bit(lane)) != 0; }
  constexpr void Add(Lane lane) { bits_ |= Bit(lane); }
  constexpr bool empty() const { return bits_ == 0; }
  friend constexpr bool operator==(LaneSet, LaneSet) = default;

 private:
  static constexpr uint32_t Bit(Lane lane) { return uint32_t{1} << static_cast<uint32_t>(lane); }
  uint32_t bits_ = 0;
};

constexpr LaneSet kAllLanes = {Lane::kModel, Lane::kUvm};

struct LaneInfo {
  Lane lane;
  const char* name;
  const char* what;
};
const std::vector<LaneInfo>& AllLanes();

// "model,uvm" or "all". Errors: InvalidArgument that lists the names there are.
absl::StatusOr<LaneSet> ParseLanes(absl::string_view text);
std::string LanesText(LaneSet lanes);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_LANES_H_
