// fake_l4/fault_injection.h: which visits of which sites fire.
//
// WHAT     A FaultPlan says it in advance: by chance, each site from its own stream of the plan's
//          seed, or by number. Arm adds a visit while the machine runs. What has fired is logged,
//          and a plan made of the log fires the same:
//
//              visits are counted from the mark where the site was armed, from 0:
//              Arm(site, 2):      pass   pass   FIRES   pass ...
//
// STATES   off -> (a plan that is not empty, or Arm) -> on -> Reset -> as the plan says. Off, a
// site
//          costs one predictable branch and visits are not counted.
// INVARIANTS  Whether a visit fires depends on the plan, on Arm calls and on the number of earlier
//          visits of the same site, and on nothing else.
// SEE      base/fault_site.h; design.md D4 (named sub-streams of the seed).
#ifndef FAKE_L4_FAULT_INJECTION_H_
#define FAKE_L4_FAULT_INJECTION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/prng.h"
#include "fake_l4/fault_sites.h"

namespace fake_l4 {

// One visit that shall fire: the skip + 1-th from the mark.
struct FaultPoint {
  FaultSite site{};
  uint64_t skip = 0;
  friend bool operator==(const FaultPoint&, const FaultPoint&) = default;
};

struct FaultPlan {
  uint64_t seed = 0;
  // By site: 1 in so many visits fires; 0: none does by chance.
  std::array<uint32_t, kFaultSiteCount> one_in = {};
  std::vector<FaultPoint> points;  // the mark is boot

  uint32_t& one_in_of(FaultSite site) { return one_in[static_cast<size_t>(site)]; }
  bool empty() const;
};

struct FiredFault {
  FaultSite site{};
  uint64_t visit = 0;  // from 1, since the injection was on
  uint64_t now_ns = 0;
  uint64_t thread = 0;  // raw id of the thread that ran; 0: none
  friend bool operator==(const FiredFault&, const FiredFault&) = default;
};

// The plan that fires where `log` says, if it was the log of a run that was on from boot.
FaultPlan PlanOfLog(const std::vector<FiredFault>& log);

class FaultInjection {
 public:
  // When and in whose name the kernel does what it does now.
  struct Scene {
    uint64_t now_ns;
    uint64_t thread;
  };
  using SceneOf = Scene (*)(const void* whose);
  FaultInjection(const FaultPlan& plan, SceneOf scene_of, const void* whose);

  bool on() const { return on_; }
  // Fires at the skip + 1-th visit from now, once. Several may be pending at one site.
  void Arm(FaultSite site, uint64_t skip);
  // Nothing that was armed, by Arm or as a point of the plan, is pending any more.
  void DisarmAll();
  // A visit. REQUIRES: on().
  bool Fires(FaultSite site);
  // Back to the plan.
  void Reset();

  uint64_t visits(FaultSite site) const { return sites_[static_cast<size_t>(site)].visits; }
  const std::vector<FiredFault>& fired() const { return fired_; }

 private:
  struct Site {
    uint64_t visits = 0;
    std::vector<uint64_t> pending;  // numbers of visits, from 1, in no order
    base::Prng prng{0, ""};
  };

  const FaultPlan plan_;
  const SceneOf scene_of_;
  const void* const whose_;
  bool on_ = false;
  std::array<Site, kFaultSiteCount> sites_;
  std::vector<FiredFault> fired_;
};

}  // namespace fake_l4

#endif  // FAKE_L4_FAULT_INJECTION_H_
