#include "proptests/engine/lanes.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace proptests {

const std::vector<LaneInfo>& AllLanes() {
  static const auto* const kLanes = new std::vector<LaneInfo>{
      {Lane::kModel, "model", "the model against the outcomes that the trace expects"},
      {Lane::kUvm, "uvm", "vmserver, uvm and pmap/l4 on the simulated kernel against the model"},
  };
  return *kLanes;
}

absl::StatusOr<LaneSet> ParseLanes(absl::string_view text) {
  if (text == "all") return kAllLanes;
  LaneSet lanes;
  for (absl::string_view name : absl::StrSplit(text, ',')) {
    bool known = false;
    for (const LaneInfo& info : AllLanes()) {
      if (name != info.name) continue;
      lanes.Add(info.lane);
      known = true;
    }
    if (!known) {
      std::string names = absl::StrJoin(
          AllLanes(), ", ",
          [](std::string* out, const LaneInfo& info) { absl::StrAppend(out, info.name); });
      return absl::InvalidArgumentError(
          absl::StrCat("there is no lane \"", name, "\"; the lanes are ", names, " and all"));
    }
  }
  return lanes;
}

std::string LanesText(LaneSet lanes) {
  std::vector<std::string> names;
  for (const LaneInfo& info : AllLanes()) {
    if (lanes.Has(info.lane)) names.push_back(info.name);
  }
  return absl::StrJoin(names, ",");
}

}  // namespace proptests
