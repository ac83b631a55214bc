// proptests/engine/fault_rates.h: how often a campaign injects which faults.
//
// WHAT     `--faults SITE[=RATE],...`: RATE is 1 in so many operations. A campaign takes the sites
//          whose effects the model knows: those that nobody above the kernel may notice, because
//          whoever is refused asks again, and kernel_memory, after which a birth may report a
//          shortage. The other three are without bound: a client's call or answer is lost, or the
//          client itself. Of it nothing but safety is asked then, of all others everything.
// SEE      base/fault_site.h; model/world.h (memory_may_run_out).

#ifndef PROPTESTS_ENGINE_FAULT_RATES_H_
#define PROPTESTS_ENGINE_FAULT_RATES_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/fault_site.h"

namespace proptests {

struct FaultRates {
  std::array<uint32_t, base::kFaultSiteCount> one_in = {};  // by site; 0: never
  bool unlimited = false;  // sites are among them after which a client may be lost
  friend bool operator==(const FaultRates&, const FaultRates&) = default;
};

// Whether whoever meets the fault gets what it asked for in the end.
bool IsRecoverable(base::FaultSite site);

// Sites of devices that are not there.
void DropSwapSites(FaultRates* rates);

// "none", "all" (every site that is recoverable), "unlimited" (every site), or sites separated by
// commas, each with its rate where that is not the default. An error says which word is wrong, and
// why.
absl::StatusOr<FaultRates> ParseFaultRates(absl::string_view text);
// The text that parses to these rates.
std::string FaultRatesText(const FaultRates& rates);
// For help screens: one line a site.
std::string FaultSitesHelp();

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_FAULT_RATES_H_
