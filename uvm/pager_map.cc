#include "uvm/pager_map.h"

#include "base/check.h"

namespace uvm {

// Small kernels give a quarter of their addresses.
uint64_t PagerMap::BytesFor(const KernelMemory& kernel) {
  const uint64_t quarter = base::TruncPage(kernel.core()->pmap->VirtualSpace().size() / 4);
  return quarter < kBytes ? quarter : kBytes;
}

PagerMap::PagerMap(KernelMemory* kernel)
    : kernel_(kernel),
      map_(kernel->Suballocate(kernel->map(), BytesFor(*kernel))),
      mu_(kernel->core()->threads, base::LockRank::kPageQueues),
      emergency_free_(kernel->core()->threads),
      emergency_(
          MUST(kernel->Allocate(map_, kMaxPages * base::kPageSize, 0, kKmVaOnly | kKmCanFail),
               "a fresh map has room")) {}

Vaddr PagerMap::TakeEmergency(bool wait) {
  MutexLock lock(&mu_);
  while (emergency_used_ && wait) emergency_free_.Wait(&mu_);
  if (emergency_used_) return Vaddr(0);
  emergency_used_ = true;
  return emergency_;
}

Vaddr PagerMap::MapIn(Page* const* pages, uint32_t count, uint32_t flags) {
  CHECK(count > 0 && count <= kMaxPages);
  const bool daemon = (flags & kMapInDaemon) != 0;
  const bool wait = (flags & kMapInWaitOk) != 0 && !daemon;
  const uint32_t km = uint32_t{kKmVaOnly} | kKmCanFail | (wait ? kKmWaitVa : kKmNoWait);
  Result<Vaddr, MapError> found = kernel_->Allocate(map_, count * base::kPageSize, 0, km);
  Vaddr at(0);
  if (found.ok()) {
    at = found.value();
  } else if (daemon) {
    at = TakeEmergency((flags & kMapInWaitOk) != 0);
  }
  if (at == Vaddr(0)) return at;
  PmapSystem* pmap = kernel_->core()->pmap;
  const Prot prot = (flags & kMapInRead) != 0 ? base::kProtReadWrite : base::kProtRead;
  for (uint32_t i = 0; i < count; ++i) {
    pmap->KenterPa(at + i * base::kPageSize, pages[i]->pa, prot, CacheMode::kDefault);
  }
  pmap->Update(pmap->Kernel());
  return at;
}

void PagerMap::MapOut(Vaddr at, uint32_t count) {
  PmapSystem* pmap = kernel_->core()->pmap;
  pmap->Kremove({at, at + count * base::kPageSize});
  pmap->Update(pmap->Kernel());
  if (at != emergency_) {
    kernel_->Free(map_, at, count * base::kPageSize, kKmVaOnly);
    return;
  }
  MutexLock lock(&mu_);
  CHECK(emergency_used_);
  emergency_used_ = false;
  emergency_free_.WakeAll();
}

Page* PagerMap::PageAt(Vaddr at) const {
  PmapSystem* pmap = kernel_->core()->pmap;
  Paddr pa;
  if (!pmap->Extract(pmap->Kernel(), at, &pa)) return nullptr;
  return kernel_->pages()->FromPaddr(pa.Trunc());
}

}  // namespace uvm
