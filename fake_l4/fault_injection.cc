#include "fake_l4/fault_injection.h"

#include <algorithm>

#include "base/check.h"

namespace fake_l4 {

bool FaultPlan::empty() const {
  return points.empty() &&
         std::all_of(one_in.begin(), one_in.end(), [](uint32_t n) { return n == 0; });
}

FaultPlan PlanOfLog(const std::vector<FiredFault>& log) {
  FaultPlan plan;
  for (const FiredFault& fault : log) plan.points.push_back({fault.site, fault.visit - 1});
  return plan;
}

FaultInjection::FaultInjection(const FaultPlan& plan, SceneOf scene_of, const void* whose)
    : plan_(plan), scene_of_(scene_of), whose_(whose) {
  Reset();
}

void FaultInjection::Reset() {
  fired_.clear();
  for (int i = 0; i < kFaultSiteCount; i++) {
    Site& site = sites_[static_cast<size_t>(i)];
    site.visits = 0;
    site.pending.clear();
    site.prng = base::Prng(plan_.seed, FaultSiteName(static_cast<FaultSite>(i)));
  }
  on_ = !plan_.empty();
  for (const FaultPoint& point : plan_.points) Arm(point.site, point.skip);
}

void FaultInjection::Arm(FaultSite site, uint64_t skip) {
  on_ = true;
  Site& s = sites_[static_cast<size_t>(site)];
  CHECK(skip < UINT64_MAX - s.visits);
  s.pending.push_back(s.visits + skip + 1);
}

void FaultInjection::DisarmAll() {
  if (!on_) return;  // nothing was ever armed
  for (Site& site : sites_) site.pending.clear();
}

bool FaultInjection::Fires(FaultSite site) {
  Site& s = sites_[static_cast<size_t>(site)];
  s.visits++;
  const uint32_t one_in = plan_.one_in[static_cast<size_t>(site)];
  // Drawn at every visit, so that a visit armed by hand moves no other.
  const bool by_chance = one_in != 0 && s.prng.Chance(1, one_in);
  const bool by_number = std::erase(s.pending, s.visits) != 0;
  if (!by_chance && !by_number) return false;
  const Scene scene = scene_of_(whose_);
  fired_.push_back({site, s.visits, scene.now_ns, scene.thread});
  return true;
}

}  // namespace fake_l4
