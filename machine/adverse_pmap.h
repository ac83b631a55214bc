// machine/adverse_pmap.h: a pmap that uses every freedom of its contract, in front of a real one.
//
// WHAT     AdversePmap passes all calls on to the module below it, and on the way does what
//          pmap(9) permits and a patient module never does: unwired translations vanish at any call
//          (rule 1), Enter fails although there is room (rule 10), nothing was ever referenced
//          (3.1), RemoveAll leaves the work to its caller (3.2), and what is removed or lowered
//          stays as it was until Update of that very pmap (rule 3): removals are held back here, so
//          that the module still answers faults by them.
//          Nothing is held back in the kernel's pmap, whose mappings are taken by Kremove, nor
//          against PageProtect and the status of a page, which act at once on what the module has.
//          Lookups, which must know of what the same thread did (rule 11), leave out what is held.
//          UVM stands on it, whoever answers faults by the module's table does not: a machine that
//          has one (Machine::Options::adversity) must show its clients the same memory.
// STATES   constructed -> StandOn(module) -> in use. A removal: held -> made, by Update, by an
//          Enter, removal or lowering that overlaps it, by the end of its pmap, or for want of
//          room.
// LOCKS    lock_, before the module's; so that who finds nothing held knows that all is made.
// SEE      facts/uvm.md 3.3; uvm/testing/naive_pmap.h, which does the same for the core alone.

#ifndef MACHINE_ADVERSE_PMAP_H_
#define MACHINE_ADVERSE_PMAP_H_

#include <cstddef>
#include <cstdint>

#include "base/addr.h"
#include "base/prng.h"
#include "base/prot.h"
#include "base/result.h"
#include "base/spin_word.h"
#include "pmap_sim/l4_pmap.h"
#include "uvm/pmap.h"

namespace machine {

enum class Adversity : uint8_t {
  kNone,
  kForgetful,  // rules 1 and 3, and no references
  kRefusing,   // and rule 10: whoever asks for memory may be told that there is none
};
constexpr Adversity kAdversities[] = {Adversity::kNone, Adversity::kForgetful,
                                      Adversity::kRefusing};
// "plain", "forgetful", "refusing".
const char* AdversityName(Adversity adversity);

class AdversePmap final : public uvm::PmapSystem {
 public:
  AdversePmap(Adversity adversity, uint64_t seed);
  // Called once, before anything else. The module outlives this.
  void StandOn(pmap_sim::L4Pmap* module) { below_ = module; }

  uint64_t forgotten() const { return forgotten_; }
  uint64_t refused() const { return refused_; }
  uint64_t held_back() const { return held_back_; }

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

  // Rights that were taken, and that the module has not heard of: all but `keep`.
  struct Held {
    uvm::Pmap* pmap = nullptr;
    base::Range range{};
    base::Prot keep;  // kProtNone: removed
  };
  static constexpr size_t kMostHeld = 64;
  class Guard;

  bool HoldsBack(uvm::Pmap* pmap) const;
  void Hold(uvm::Pmap* pmap, base::Range range, base::Prot keep);
  // Makes what is held of the pmap, in order: all of it, or if any of it overlaps `range`.
  void Make(uvm::Pmap* pmap);
  void MakeBefore(uvm::Pmap* pmap, base::Range range);
  // What the held leave of a translation that the module has; false: nothing.
  bool Lower(const uvm::Pmap* pmap, Mapping* mapping) const;
  // Translations that the module has and that are removed.
  base::PageCount CountHeld(const uvm::Pmap* pmap, bool wired_only) const;

  // Drops one of the translations entered last, now and then, if it is not wired.
  void MaybeForget();

  const Adversity adversity_;
  pmap_sim::L4Pmap* below_ = nullptr;
  base::Prng prng_;
  Entered entered_[kRemembered];
  size_t next_ = 0;
  base::SpinWord lock_;
  Held held_[kMostHeld];  // in the order of the calls
  size_t held_count_ = 0;
  uint64_t held_back_ = 0;
  uint64_t forgotten_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace machine

#endif  // MACHINE_ADVERSE_PMAP_H_
