// fake_l4/fault_sites.h: the places at which the simulated kernel can be made to fail, by name.
//
// WHAT     A site is visited each time the kernel passes it; when it fires, the kernel does there
//          what a real one does in trouble. Off unless a FaultPlan says so. Which visits fire is a
//          function of the plan alone (its seed's own stream of each site, or an explicit list), so
//          a run can be repeated and shrunk.
// SEE      design.md D4 (named sub-streams of the seed); README.md.
#ifndef FAKE_L4_FAULT_SITES_H_
#define FAKE_L4_FAULT_SITES_H_

#include <cstdint>

namespace fake_l4 {

enum class FaultSite : uint8_t {
  kMappingNode,        // mapping_node: no memory for one node; the page is not mapped
  kKernelMemory,       // kernel_memory: ThreadControl finds no memory, error 8
  kIpcTimeout,         // ipc_timeout: a finite timeout ends at once although the partner is there
  kIpcCut,             // ipc_cut: a message is cut: overflow for both ends
  kUnmapDelayed,       // unmap_delayed: other processors see the old mapping until Unmap returns
  kUnmapReordered,     // unmap_reordered: processors learn of an unmap in another order
  kPagerDies,          // pager_dies: the pager a fault is sent to does not exist
  kPagerLate,          // pager_late: the answer to a fault takes effect later
  kPagerWrongFpage,    // pager_wrong_fpage: the answer maps another page than asked for
  kPagerSmallerFpage,  // pager_smaller_fpage: the answer maps only a part of what it names
  kPagerNever,         // pager_never: the answer to a fault is lost
};
inline constexpr int kFaultSiteCount = static_cast<int>(FaultSite::kPagerNever) + 1;

}  // namespace fake_l4

#endif  // FAKE_L4_FAULT_SITES_H_
