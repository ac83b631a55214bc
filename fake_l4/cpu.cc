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

// Most accesses are to a word or a byte: no call for these.
[[gnu::always_inline]] inline void CopyFew(uint8_t* to, const uint8_t* from, size_t size) {
  if (size == 8) {
    std::memcpy(to, from, 8);
  } else if (size == 1) {
    *to = *from;
  } else {
    std::memcpy(to, from, size);
  }
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
    if (kind == AccessKind::kStore) {
      Stamp(page.frame);
      std::memcpy(memory, bytes, part);
    }
    bytes += part;
    va += part;
    size -= part;
    if (AccessEventDue() && !AtAccess()) return AccessStatus::kRedirected;
  }
  return AccessStatus::kOk;
}

Fiber* Core::GeneralFault(Thread& self, Thread& pager) {
  StartKernelIpc(self, KernelIpc::kPageFault, L4_ThreadIdOfRaw(self.utcb.pager));
  return self.state == ThreadState::kReady ? nullptr : Leave(&pager);
}

// One page-fault message and its answer, whatever that is: the access is tried again by the caller.
// In line, for the sake of the returns after the switch: fast_path.h.
[[gnu::always_inline]] inline AccessStatus Core::PageFault(Thread& self, uint64_t va,
                                                           RightsBits access) {
  ledger_.page_faults++;
  Spend(profile_.costs.page_fault);
  const uint32_t changes = self.ip_changes;
  Thread* const pager = Resolve(self, L4_ThreadIdOfRaw(self.utcb.pager));
  self.fault_va = va;
  Fiber* next;
  if (pager == nullptr || PagerDies(self)) {
    self.state = ThreadState::kNoPager;
    next = Leave(pager);
  } else {
    self.kernel_mr[0] = L4_MakeMsgTag(L4_LABEL_PAGEFAULT | access, 2, 0).raw;
    self.kernel_mr[1] = static_cast<L4_Word_t>(va);
    self.kernel_mr[2] = static_cast<L4_Word_t>(self.ip);
    Enter(profile_.costs.system_call + profile_.costs.ipc);
    next = FastFault(self, *pager);
    if (next == nullptr) next = GeneralFault(self, *pager);
  }
  if (next != nullptr) Fiber::Switch(self.fiber, *next, options_.switch_order);
  if (detours_ != 0) [[unlikely]]
    Arrive(self);
  return self.ip_changes == changes ? AccessStatus::kOk : AccessStatus::kRedirected;
}

// The access, if it can be done at once within one page of memory. False: nothing happened.
template <Core::AccessKind kKind>
[[gnu::always_inline]] inline bool Core::AccessAtOnce(uint64_t va, uint8_t* bytes, size_t size,
                                                      AccessStatus* status) {
  constexpr bool kStore = kKind == AccessKind::kStore, kFetch = kKind == AccessKind::kFetch;
  const size_t offset = va & (kPageBytes - 1);
  if (size - 1 >= kPageBytes - offset || va >= profile_.user_top || several_processors_) {
    return false;
  }
  CHECK(running_ != nullptr);
  const PageTable::Found page = running_->space->table.WalkUsual(va >> kPageShift);
  const RightsBits need = kStore ? kW : kFetch ? kX : kR;
  if (page.pte == nullptr || (page.pte->rights() & need) == 0) return false;
  page.pte->AddStatus(kStore   ? profile_.status_write
                      : kFetch ? profile_.status_fetch
                               : profile_.status_read);
  now_ns_ += profile_.costs.access;
  const uint64_t frame = page.pte->frame_number() + ((va >> kPageShift) - page.vpage);
  uint8_t* const memory = ram_at(frame) + offset;
  if (kStore) Stamp(frame);
  if (!kFetch) CopyFew(kStore ? memory : bytes, kStore ? bytes : memory, size);
  *status = AccessEventDue() && !AtAccess() ? AccessStatus::kRedirected : AccessStatus::kOk;
  return true;
}

// The access by way of a page fault, or whatever else it takes.
template <Core::AccessKind kKind>
[[gnu::noinline]] AccessStatus Core::AccessAfterFault(uint64_t va, uint8_t* bytes, size_t size) {
  CHECK(running_ != nullptr);
  Thread& self = *running_;
  constexpr RightsBits kNeed = kKind == AccessKind::kStore   ? kW
                               : kKind == AccessKind::kFetch ? kX
                                                             : kR;
  const bool usual = size - 1 < kPageBytes - (va & (kPageBytes - 1)) && va < profile_.user_top &&
                     !several_processors_ && !self.space->IsKernelArea(va);
  const PageTable::Found page = self.space->table.Walk(va >> kPageShift);
  if (usual && (page.pte == nullptr || (page.pte->rights() & kNeed) == 0)) {
    const AccessStatus fault = PageFault(self, va,
                                         kKind == AccessKind::kStore   ? profile_.fault_write
                                         : kKind == AccessKind::kFetch ? profile_.fault_fetch
                                                                       : profile_.fault_read);
    if (fault != AccessStatus::kOk) return fault;
    AccessStatus status;
    if (AccessAtOnce<kKind>(va, bytes, size, &status)) return status;
  }
  return Access(va, bytes, size, kKind);
}

// A tail call, so that the fault's switches come back to one frame. fast_path.h.
template <Core::AccessKind kKind>
[[gnu::always_inline]] inline AccessStatus Core::UsualAccess(uint64_t va, uint8_t* bytes,
                                                             size_t size) {
  AccessStatus status;
  if (AccessAtOnce<kKind>(va, bytes, size, &status)) [[likely]]
    return status;
  return AccessAfterFault<kKind>(va, bytes, size);
}

AccessStatus Cpu::Load(base::Vaddr va, void* to, size_t size) {
  return core_->UsualAccess<Core::AccessKind::kLoad>(va.value(), static_cast<uint8_t*>(to), size);
}
AccessStatus Cpu::Store(base::Vaddr va, const void* from, size_t size) {
  // Only read through: a store copies from it.
  auto* bytes = const_cast<uint8_t*>(static_cast<const uint8_t*>(from));
  return core_->UsualAccess<Core::AccessKind::kStore>(va.value(), bytes, size);
}
AccessStatus Cpu::Fetch(base::Vaddr va) {
  uint8_t unused = 0;  // a fetch brings nothing back
  return core_->UsualAccess<Core::AccessKind::kFetch>(va.value(), &unused, 1);
}

}  // namespace fake_l4
