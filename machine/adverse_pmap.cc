#include "machine/adverse_pmap.h"

#include <l4/schedule.h>

namespace machine {

using base::Paddr;
using base::Prot;
using base::Range;
using base::Vaddr;

const char* AdversityName(Adversity adversity) {
  switch (adversity) {
    case Adversity::kNone:
      return "plain";
    case Adversity::kForgetful:
      return "forgetful";
    case Adversity::kRefusing:
      return "refusing";
  }
  return "?";
}

// The module is called with it held, and may be a scheduling point.
class AdversePmap::Guard {
 public:
  explicit Guard(AdversePmap* pmap) : lock_(&pmap->lock_) {
    while (!lock_->TryTake(base::Processors::kOne)) L4_Yield();
  }
  ~Guard() { lock_->Release(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  base::SpinWord* const lock_;
};

AdversePmap::AdversePmap(Adversity adversity, uint64_t seed)
    : adversity_(adversity), prng_(seed, "adverse_pmap") {}

void AdversePmap::MaybeForget() {
  constexpr uint64_t kOneIn = 16;
  if (!prng_.Chance(1, kOneIn)) return;
  const Entered& chosen = entered_[prng_.Below(kRemembered)];
  if (chosen.pmap == nullptr || !below_->TestOnlyForget(chosen.pmap, chosen.va)) return;
  // Nobody knows that there would be something to wait for.
  below_->Update(chosen.pmap);
  ++forgotten_;
}

// ---- What is held back ----

bool AdversePmap::HoldsBack(uvm::Pmap* pmap) const { return pmap != below_->Kernel(); }

void AdversePmap::Hold(uvm::Pmap* pmap, Range range, Prot keep) {
  if (range.empty()) return;
  if (held_count_ == kMostHeld) Make(held_[0].pmap);
  held_[held_count_++] = {pmap, range, keep};
  ++held_back_;
}

void AdversePmap::Make(uvm::Pmap* pmap) {
  size_t left = 0;
  for (size_t i = 0; i < held_count_; ++i) {
    if (held_[i].pmap != pmap) {
      held_[left++] = held_[i];
    } else if (held_[i].keep.IsNone()) {
      below_->Remove(pmap, held_[i].range);
    } else {
      below_->Protect(pmap, held_[i].range, held_[i].keep);
    }
  }
  held_count_ = left;
}

void AdversePmap::MakeBefore(uvm::Pmap* pmap, Range range) {
  for (size_t i = 0; i < held_count_; ++i) {
    if (held_[i].pmap == pmap && held_[i].range.Overlaps(range)) return Make(pmap);
  }
}

bool AdversePmap::Lower(const uvm::Pmap* pmap, Mapping* mapping) const {
  for (size_t i = 0; i < held_count_; ++i) {
    if (held_[i].pmap != pmap || !held_[i].range.Contains(mapping->va)) continue;
    if (held_[i].keep.IsNone()) return false;
    mapping->prot = mapping->prot & held_[i].keep;
  }
  return true;
}

base::PageCount AdversePmap::CountHeld(const uvm::Pmap* pmap, bool wired_only) const {
  uint64_t count = 0;
  for (size_t i = 0; i < held_count_; ++i) {
    if (held_[i].pmap != pmap || !held_[i].keep.IsNone()) continue;
    Mapping at;
    for (Vaddr va = held_[i].range.start;
         below_->PeekNext(pmap, va, &at) && at.va < held_[i].range.end;
         va = at.va + base::kPageSize) {
      count += !wired_only || at.wired == uvm::Wired::kYes ? 1 : 0;
    }
  }
  return base::PageCount(count);
}

// ---- Where there are freedoms ----

base::Result<void, uvm::PmapError> AdversePmap::Enter(uvm::Pmap* pmap, Vaddr va, Paddr pa,
                                                      Prot prot, const uvm::EnterFlags& flags) {
  constexpr uint64_t kRefusesOneIn = 16;
  MaybeForget();
  {
    Guard guard(this);
    MakeBefore(pmap, {va, va + base::kPageSize});
  }
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
  if (!HoldsBack(pmap)) return below_->Remove(pmap, range);
  Guard guard(this);
  MakeBefore(pmap, range);
  Hold(pmap, range, base::kProtNone);
}

void AdversePmap::Protect(uvm::Pmap* pmap, Range range, Prot prot) {
  MaybeForget();
  if (!HoldsBack(pmap)) return below_->Protect(pmap, range, prot);
  Guard guard(this);
  MakeBefore(pmap, range);
  // Without read there is nothing left, as in the module.
  Hold(pmap, range, prot.CanRead() ? prot : base::kProtNone);
}

void AdversePmap::PageProtect(Paddr pa, Prot prot) {
  MaybeForget();
  below_->PageProtect(pa, prot);
}

void AdversePmap::Update(uvm::Pmap* pmap) {
  {
    Guard guard(this);
    Make(pmap);
  }
  below_->Update(pmap);
}

// A hint that may be passed over. True says that nothing is left, so that nobody has to wait for
// Update.
bool AdversePmap::RemoveAll(uvm::Pmap* pmap) {
  if (prng_.Chance(1, 2)) return false;
  Guard guard(this);
  Make(pmap);
  return below_->RemoveAll(pmap);
}

bool AdversePmap::Extract(uvm::Pmap* pmap, Vaddr va, Paddr* pa) {
  Mapping mapping = {.va = va, .pa = {}, .prot = base::kProtNone, .wired = uvm::Wired::kNo};
  return Lower(pmap, &mapping) && below_->Extract(pmap, va, pa);
}

uint64_t AdversePmap::Mapped(uvm::Pmap* pmap, Vaddr first, uint32_t count) {
  uint64_t mapped = below_->Mapped(pmap, first, count);
  if (held_count_ == 0) return mapped;
  for (uint32_t i = 0; i < count; ++i) {
    Mapping at = {.va = first + i * base::kPageSize,
                  .pa = {},
                  .prot = base::kProtNone,
                  .wired = uvm::Wired::kNo};
    if (!Lower(pmap, &at)) mapped &= ~(uint64_t{1} << i);
  }
  return mapped;
}

base::PageCount AdversePmap::ResidentCount(const uvm::Pmap* pmap) const {
  return below_->ResidentCount(pmap) - CountHeld(pmap, /*wired_only=*/false);
}

base::PageCount AdversePmap::WiredCount(const uvm::Pmap* pmap) const {
  return below_->WiredCount(pmap) - CountHeld(pmap, /*wired_only=*/true);
}

bool AdversePmap::PeekNext(const uvm::Pmap* pmap, Vaddr from, Mapping* out) const {
  while (below_->PeekNext(pmap, from, out)) {
    if (Lower(pmap, out)) return true;
    from = out->va + base::kPageSize;
  }
  return false;
}

void AdversePmap::Destroy(uvm::Pmap* pmap) {
  {
    Guard guard(this);
    Make(pmap);
  }
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

}  // namespace machine
