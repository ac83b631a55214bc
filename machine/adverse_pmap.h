// machine/adverse_pmap.h: a pmap that uses every freedom of its contract, in front of a real one.
//
// WHAT     AdversePmap passes all calls on to the module below it, and on the way does what
//          pmap(9) permits and a patient module never does: unwired translations vanish at any call
//          (rule 1), Enter fails although there is room (rule 10), nothing was ever referenced
//          (3.1). That what is taken stays usable until Update (rule 3) is the module's own doing.
//          UVM stands on it, whoever answers faults by the module's table does not: a machine that
//          has one (Machine::Options::adversity) must show its clients the same memory.
// STATES   constructed -> StandOn(module) -> in use.
// SEE      facts/uvm.md 3.3; uvm/testing/naive_pmap.h, which does the same for the core alone.

#ifndef MACHINE_ADVERSE_PMAP_H_
#define MACHINE_ADVERSE_PMAP_H_

#include <cstddef>
#include <cstdint>

#include "base/addr.h"
#include "base/prng.h"
#include "base/prot.h"
#include "base/result.h"
#include "pmap_sim/l4_pmap.h"
#include "uvm/pmap.h"

namespace machine {

enum class Adversity : uint8_t {
  kNone,
  kForgetful,  // rules 1 and 3, and no references
  kRefusing,   // and rule 10: whoever asks for memory may be told that there is none
};

class AdversePmap final : public uvm::PmapSystem {
 public:
  AdversePmap(Adversity adversity, uint64_t seed);
  // Called once, before anything else. The module outlives this.
  void StandOn(pmap_sim::L4Pmap* module) { below_ = module; }

  uint64_t forgotten() const { return forgotten_; }
  uint64_t refused() const { return refused_; }

  // uvm::PmapSystem
  uint32_t segment_count() const override;
  uvm::PhysicalSegment segment(uint32_t index) const override;
  uvm::Pmap* Kernel() override;
  base::Range VirtualSpace() override;
  base::Vaddr GrowKernel(base::Vaddr va) override;
  base::Result<uvm::Pmap*, uvm::PmapError> Create() override;
  void Reference(uvm::Pmap* pmap) override;
  void Destroy(uvm::Pmap* pmap) override;
  base::Result<void, uvm::PmapError> Enter(uvm::Pmap* pmap, base::Vaddr va, base::Paddr pa,
                                           base::Prot prot, const uvm::EnterFlags& flags) override;
  void Remove(uvm::Pmap* pmap, base::Range range) override;
  bool RemoveAll(uvm::Pmap* pmap) override;
  void Protect(uvm::Pmap* pmap, base::Range range, base::Prot prot) override;
  void Unwire(uvm::Pmap* pmap, base::Vaddr va) override;
  bool Extract(uvm::Pmap* pmap, base::Vaddr va, base::Paddr* pa) override;
  uint64_t Mapped(uvm::Pmap* pmap, base::Vaddr first, uint32_t count) override;
  void Update(uvm::Pmap* pmap) override;
  void Copy(uvm::Pmap* target, uvm::Pmap* source, base::Vaddr to, uint64_t bytes,
            base::Vaddr from) override;
  void Activate(uvm::Pmap* pmap) override;
  void Deactivate(uvm::Pmap* pmap) override;
  void KenterPa(base::Vaddr va, base::Paddr pa, base::Prot prot, uvm::CacheMode cache) override;
  void Kremove(base::Range range) override;
  void PageProtect(base::Paddr pa, base::Prot prot) override;
  bool IsModified(base::Paddr pa) override;
  bool IsReferenced(base::Paddr pa) override;
  bool ClearModify(base::Paddr pa) override;
  bool ClearReference(base::Paddr pa) override;
  void ZeroPage(base::Paddr pa) override;
  void CopyPage(base::Paddr from, base::Paddr to) override;
  unsigned char* HomePointer(base::Paddr pa) override;
  void ProcWrite(uvm::Pmap* pmap, base::Vaddr va, uint64_t bytes) override;
  base::Paddr PhysAddress(uint64_t cookie) override;
  uvm::CacheMode MmapFlags(uint64_t cookie) override;
  base::Vaddr Prefer(uint64_t offset, base::Vaddr hint, uint64_t bytes,
                     uvm::PreferSide side) override;
  base::PageCount ResidentCount(const uvm::Pmap* pmap) const override;
  base::PageCount WiredCount(const uvm::Pmap* pmap) const override;
  bool PeekNext(const uvm::Pmap* pmap, base::Vaddr from, Mapping* out) const override;

 private:
  // A translation that was entered, and may be there still.
  struct Entered {
    uvm::Pmap* pmap = nullptr;
    base::Vaddr va{};
  };
  static constexpr size_t kRemembered = 32;

  // Drops one of the translations entered last, now and then, if it is not wired.
  void MaybeForget();

  const Adversity adversity_;
  pmap_sim::L4Pmap* below_ = nullptr;
  base::Prng prng_;
  Entered entered_[kRemembered];
  size_t next_ = 0;
  uint64_t forgotten_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace machine

#endif  // MACHINE_ADVERSE_PMAP_H_
