// fake_l4/fault_sites.h: the kernel's names for the places at which it can be made to fail.
//
// WHAT     A site is visited each time the kernel passes it; when it fires, the kernel does there
//          what a real one does in trouble. Off unless a FaultPlan says so.
// SEE      base/fault_site.h for the sites, fault_injection.h for who decides.
#ifndef FAKE_L4_FAULT_SITES_H_
#define FAKE_L4_FAULT_SITES_H_

#include "base/fault_site.h"

namespace fake_l4 {

using base::FaultSite;
using base::FaultSiteName;
using base::kFaultSiteCount;

}  // namespace fake_l4

#endif  // FAKE_L4_FAULT_SITES_H_
