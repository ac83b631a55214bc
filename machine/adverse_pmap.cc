#include "machine/adverse_pmap.h"

namespace machine {

using base::Paddr;
using base::Prot;
using base::Range;
using base::Vaddr;

AdversePmap::AdversePmap(Adversity adversity, uint64_t seed)
    : adversity_(adversity), prng_(seed, "adverse_pmap") {}

void AdversePmap::MaybeForget() {
  constexpr uint64_t kOneIn = 16;
  if (!prng_.Chance(1, kOneIn)) return;
  const Entered& chosen = entered_[prng_.Below(kRemembered)];
  if (chosen.pmap != nullptr && below_->TestOnlyForget(chosen.pmap, chosen.va)) ++forgotten_;
}

// ---- Where there are freedoms ----

base::Result<void, uvm::PmapError> AdversePmap::Enter(uvm::Pmap* pmap, Vaddr va, Paddr pa,
                                                      Prot prot, const uvm::EnterFlags& flags) {
  constexpr uint64_t kRefusesOneIn = 16;
  MaybeForget();
  if (adversity_ == Adversity::kRefusing && flags.can_fail == uvm::CanFail::kYes &&
      prng_.Chance(1, kRefusesOneIn)) {
    // Nothing wrong may stay there.
    below_->Remove(pmap, {va, va + base::kPageSize});
    below_->Update(pmap);
    ++refused_;
    return uvm::PmapError::kNoMemory;
  }
  entered_[next_++ % kRemembered] = {pmap, va};
  return below_->Enter(pmap, va, pa, prot, flags);
}

void AdversePmap::Remove(uvm::Pmap* pmap, Range range) {
  MaybeForget();
  below_->Remove(pmap, range);
}

void AdversePmap::Protect(uvm::Pmap* pmap, Range range, Prot prot) {
  MaybeForget();
  below_->Protect(pmap, range, prot);
}

void AdversePmap::PageProtect(Paddr pa, Prot prot) {
  MaybeForget();
  below_->PageProtect(pa, prot);
}

void AdversePmap::Destroy(uvm::Pmap* pmap) {
  for (Entered& entered : entered_) {
    if (entered.pmap == pmap) entered.pmap = nullptr;
  }
  below_->Destroy(pmap);
}

bool AdversePmap::IsReferenced(Paddr) { return false; }

bool AdversePmap::ClearReference(Paddr pa) {
  below_->ClearReference(pa);
  return false;
}

// ---- Where there are none ----

uint32_t AdversePmap::segment_count() const { return below_->segment_count(); }
uvm::PhysicalSegment AdversePmap::segment(uint32_t index) const { return below_->segment(index); }
uvm::Pmap* AdversePmap::Kernel() { return below_->Kernel(); }
Range AdversePmap::VirtualSpace() { return below_->VirtualSpace(); }
Vaddr AdversePmap::GrowKernel(Vaddr va) { return below_->GrowKernel(va); }
base::Result<uvm::Pmap*, uvm::PmapError> AdversePmap::Create() { return below_->Create(); }
void AdversePmap::Reference(uvm::Pmap* pmap) { below_->Reference(pmap); }
void AdversePmap::Unwire(uvm::Pmap* pmap, Vaddr va) { below_->Unwire(pmap, va); }
bool AdversePmap::Extract(uvm::Pmap* pmap, Vaddr va, Paddr* pa) {
  return below_->Extract(pmap, va, pa);
}
uint64_t AdversePmap::Mapped(uvm::Pmap* pmap, Vaddr first, uint32_t count) {
  return below_->Mapped(pmap, first, count);
}
void AdversePmap::Update(uvm::Pmap* pmap) { below_->Update(pmap); }
bool AdversePmap::RemoveAll(uvm::Pmap* pmap) { return below_->RemoveAll(pmap); }
void AdversePmap::Copy(uvm::Pmap* target, uvm::Pmap* source, Vaddr to, uint64_t bytes, Vaddr from) {
  below_->Copy(target, source, to, bytes, from);
}
void AdversePmap::Activate(uvm::Pmap* pmap) { below_->Activate(pmap); }
void AdversePmap::Deactivate(uvm::Pmap* pmap) { below_->Deactivate(pmap); }
void AdversePmap::KenterPa(Vaddr va, Paddr pa, Prot prot, uvm::CacheMode cache) {
  below_->KenterPa(va, pa, prot, cache);
}
void AdversePmap::Kremove(Range range) { below_->Kremove(range); }
bool AdversePmap::IsModified(Paddr pa) { return below_->IsModified(pa); }
bool AdversePmap::ClearModify(Paddr pa) { return below_->ClearModify(pa); }
void AdversePmap::ZeroPage(Paddr pa) { below_->ZeroPage(pa); }
void AdversePmap::CopyPage(Paddr from, Paddr to) { below_->CopyPage(from, to); }
unsigned char* AdversePmap::HomePointer(Paddr pa) { return below_->HomePointer(pa); }
void AdversePmap::ProcWrite(uvm::Pmap* pmap, Vaddr va, uint64_t bytes) {
  below_->ProcWrite(pmap, va, bytes);
}
Paddr AdversePmap::PhysAddress(uint64_t cookie) { return below_->PhysAddress(cookie); }
uvm::CacheMode AdversePmap::MmapFlags(uint64_t cookie) { return below_->MmapFlags(cookie); }
Vaddr AdversePmap::Prefer(uint64_t offset, Vaddr hint, uint64_t bytes, uvm::PreferSide side) {
  return below_->Prefer(offset, hint, bytes, side);
}
base::PageCount AdversePmap::ResidentCount(const uvm::Pmap* pmap) const {
  return below_->ResidentCount(pmap);
}
base::PageCount AdversePmap::WiredCount(const uvm::Pmap* pmap) const {
  return below_->WiredCount(pmap);
}
bool AdversePmap::PeekNext(const uvm::Pmap* pmap, Vaddr from, Mapping* out) const {
  return below_->PeekNext(pmap, from, out);
}

}  // namespace machine
