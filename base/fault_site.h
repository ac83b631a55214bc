// base/fault_site.h: the places at which the simulated kernel, or a swap device, can be made to
//                     fail, by name.
//
// WHAT     Traces name them, the kernel has them (fake_l4/fault_injection.h says what each does),
//          or what stands in front of a device (uvm/swap_fault.h), the model knows which outcomes
//          each one permits.
// INVARIANTS  A site's name is its identity: it names the stream it draws from and stands in
//             traces.

#ifndef BASE_FAULT_SITE_H_
#define BASE_FAULT_SITE_H_

#include <cstdint>

namespace base {

enum class FaultSite : uint8_t {
  kMappingNode,        // mapping_node: no memory for one node; the page is not mapped
  kKernelMemory,       // kernel_memory: ThreadControl finds no memory for a thread, error 8
  kIpcTimeout,         // ipc_timeout: a finite timeout ends at once although the partner is there
  kIpcCut,             // ipc_cut: a message is cut: overflow for both ends
  kUnmapDelayed,       // unmap_delayed: other processors see the old mapping until Unmap returns
  kUnmapReordered,     // unmap_reordered: processors learn of an unmap in another order
  kPagerDies,          // pager_dies: the pager a fault is sent to does not exist
  kPagerLate,          // pager_late: the answer to a fault takes effect later
  kPagerWrongFpage,    // pager_wrong_fpage: the answer maps everything but the page asked for
  kPagerSmallerFpage,  // pager_smaller_fpage: the answer maps only the first page of what it names
  kPagerNever,         // pager_never: the answer to a fault is lost
  // Of the devices that pages are swapped to, below the kernel as below everybody.
  kSwapReadError,   // swap_read_error: a page that is read does not come
  kSwapWriteError,  // swap_write_error: pages that are written do not arrive
  kSwapTornWrite,   // swap_torn_write: a write says it went well, and one of its pages is spoilt
  kSwapSlow,        // swap_slow: a transfer takes a hundred times as long
  kSwapVanish,      // swap_vanish: the device is gone for some transfers, and comes back
};
inline constexpr int kFaultSiteCount = static_cast<int>(FaultSite::kSwapVanish) + 1;
// The sites from here on are not the kernel's.
inline constexpr int kKernelFaultSiteCount = static_cast<int>(FaultSite::kSwapReadError);

// The name of a site, as above; a string literal.
constexpr const char* FaultSiteName(FaultSite site) {
  switch (site) {
    case FaultSite::kMappingNode:
      return "mapping_node";
    case FaultSite::kKernelMemory:
      return "kernel_memory";
    case FaultSite::kIpcTimeout:
      return "ipc_timeout";
    case FaultSite::kIpcCut:
      return "ipc_cut";
    case FaultSite::kUnmapDelayed:
      return "unmap_delayed";
    case FaultSite::kUnmapReordered:
      return "unmap_reordered";
    case FaultSite::kPagerDies:
      return "pager_dies";
    case FaultSite::kPagerLate:
      return "pager_late";
    case FaultSite::kPagerWrongFpage:
      return "pager_wrong_fpage";
    case FaultSite::kPagerSmallerFpage:
      return "pager_smaller_fpage";
    case FaultSite::kPagerNever:
      return "pager_never";
    case FaultSite::kSwapReadError:
      return "swap_read_error";
    case FaultSite::kSwapWriteError:
      return "swap_write_error";
    case FaultSite::kSwapTornWrite:
      return "swap_torn_write";
    case FaultSite::kSwapSlow:
      return "swap_slow";
    case FaultSite::kSwapVanish:
      return "swap_vanish";
  }
  return "?";
}

}  // namespace base

#endif  // BASE_FAULT_SITE_H_
