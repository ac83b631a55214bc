// The simulated processor: loads, stores and fetches through the page table, and page faults.
// facts/l4.md section 6.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "fake_l4/core.h"
#include "fake_l4/fast_path.h"

namespace fake_l4 {

inline Core::PlaceOfPage Core::Translate(Space& space, uint64_t vpage, RightsBits need) {
  if (several_processors_) return TranslateCached(space, vpage, need);
  const PageTable::Found page = space.table.Walk(vpage);
  if (page.pte == nullptr || (page.pte->rights() & need) == 0) return {};
  return {page.pte, page.pte->frame_number() + (vpage - page.vpage), true};
}

namespace {

// Of the page fault that x86 raises for a user's access to kernel memory; other exceptions for bad
// addresses have none.
uint64_t BadAddressErrorCode(const Profile& profile, bool store) {
  constexpr uint64_t kPresent = 1, kWrite = 2, kUser = 4;
  if (profile.bad_address_exception != kExceptionPageFault) return 0;
  return kPresent | kUser | (store ? kWrite : 0);
}

}  // namespace

AccessStatus Core::Access(uint64_t va, uint8_t* bytes, size_t size, AccessKind kind) {
  CHECK(running_ != nullptr);
  Thread& self = *running_;
  while (va + size < va || va + size > profile_.user_top) [[unlikely]] {
      const AccessStatus status =
          RaiseException(self, profile_.exception_message, profile_.bad_address_exception,
                         BadAddressErrorCode(profile_, kind == AccessKind::kStore));
      if (status != AccessStatus::kOk) return status;
    }
  const RightsBits need = kind == AccessKind::kStore ? kW : kind == AccessKind::kFetch ? kX : kR;
  const RightsBits leaves = kind == AccessKind::kStore   ? profile_.status_write
                            : kind == AccessKind::kFetch ? profile_.status_fetch
                                                         : profile_.status_read;
  while (size > 0) {
    const size_t offset = va & (kPageBytes - 1);
    const size_t part = std::min<size_t>(size, kPageBytes - offset);
    const PlaceOfPage page = Translate(*self.space, va >> kPageShift, need);
    if (!page.allowed) {
      size_t there = part;
      if (self.space->IsKernelArea(va)) {
        if (uint8_t* p = KernelAreaAt(*self.space, va, kind, &there)) {
          if (kind == AccessKind::kLoad) std::memcpy(bytes, p, there);
          if (kind == AccessKind::kStore) std::memcpy(p, bytes, there);
          bytes += there;
          va += there;
          size -= there;
          continue;
        }
      }
      const RightsBits reported = kind == AccessKind::kStore   ? profile_.fault_write
                                  : kind == AccessKind::kFetch ? profile_.fault_fetch
                                                               : profile_.fault_read;
      const AccessStatus status = PageFault(self, va, reported);
      if (status != AccessStatus::kOk) return status;
      continue;
    }
    if (page.pte != nullptr) page.pte->AddStatus(leaves);
    now_ns_ += profile_.costs.access;
    uint8_t* memory = ram_at(page.frame) + offset;
    if (kind == AccessKind::kLoad) std::memcpy(bytes, memory, part);
    if (kind == AccessKind::kStore) std::memcpy(memory, bytes, part);
    bytes += part;
    va += part;
    size -= part;
    if (AccessEventDue() && !AtAccess()) return AccessStatus::kRedirected;
  }
  return AccessStatus::kOk;
}

// One page-fault message and its answer, whatever that is: the access is tried again by the caller.
AccessStatus Core::PageFault(Thread& self, uint64_t va, RightsBits access) {
  ledger_.page_faults++;
  Spend(profile_.costs.page_fault);
  const uint32_t changes = self.ip_changes;
  const L4_ThreadId_t pager = L4_ThreadIdOfRaw(self.utcb.pager);
  Thread* const pager_thread = Resolve(self, pager);
  self.fault_va = va;
  if (pager_thread == nullptr || Injected(FaultSite::kPagerDies)) {
    self.state = ThreadState::kNoPager;
  } else {
    self.kernel_mr[0] = L4_MakeMsgTag(L4_LABEL_PAGEFAULT | access, 2, 0).raw;
    self.kernel_mr[1] = static_cast<L4_Word_t>(va);
    self.kernel_mr[2] = static_cast<L4_Word_t>(self.ip);
    Enter(profile_.costs.system_call + profile_.costs.ipc);
    if (Fiber* const next = FastFault(self, *pager_thread); next != nullptr) {
      Fiber::Switch(self.fiber, *next, options_.switch_order);
      return self.ip_changes == changes ? AccessStatus::kOk : AccessStatus::kRedirected;
    }
    StartKernelIpc(self, KernelIpc::kPageFault, pager);
  }
  if (self.state != ThreadState::kReady) SwitchAway(pager_thread);
  return self.ip_changes == changes ? AccessStatus::kOk : AccessStatus::kRedirected;
}

}  // namespace fake_l4
