// uvm/pmap.h: the door down to translations: pmap(9) as an interface.
//
// WHAT     A PmapSystem is the machine-dependent module; a Pmap is one address space's set of
//          translations. UVM knows nothing else about hardware or kernels. Physical pages are named
//          by Paddr throughout; the module keeps its own per-frame data (who maps it, referenced,
//          modified).
// STATES   A (pmap, va) is unmapped, mapped or mapped wired. Everything but wired mappings may be
//          forgotten by the module at any time, as long as referenced/modified information is kept:
//          a fault will bring it back.
// LOCKS    The module's own lock ranks last (LockRank::kPmap). No call here takes a UVM lock or
//          blocks on a client. PageProtect, ClearModify and ClearReference are effective on return;
//          Enter, Remove and Protect at the latest when Update returns.
// INVARIANTS  Rights of a mapping never exceed those last entered or lowered to. R/M belong to the
//          frame and survive the removal of its mappings.
// SEE      facts/uvm.md section 3 (contract, rules 1-11); NetBSD pmap(9); design.md D6.

#ifndef UVM_PMAP_H_
#define UVM_PMAP_H_

#include <cstdint>

#include "base/addr.h"
#include "base/prot.h"
#include "base/result.h"

namespace uvm {

// Defined by the module; UVM only holds pointers.
class Pmap;

enum class PmapError : uint8_t {
  kNoMemory,  // no room for the translation; nothing wrong is left mapped at va
};

enum class Wired : uint8_t { kNo, kYes };

// A run of frames that UVM may use.
struct PhysicalSegment {
  base::Paddr start;
  base::PageCount pages;
};

// How a managed mapping is to be cached; what a module cannot do it treats as kDefault.
enum class CacheMode : uint8_t { kDefault, kNoCache, kWriteCombine, kWriteBack, kNoCacheOverride };
enum class CanFail : uint8_t { kNo, kYes };
enum class PreferSide : uint8_t { kAbove, kBelow };

// PMAP_WIRED, PMAP_CANFAIL and the rest of pmap_enter(9)'s flags.
struct EnterFlags {
  base::Prot access;  // what caused it, a subset of the rights entered
  Wired wired = Wired::kNo;
  CanFail can_fail = CanFail::kYes;  // kNo: shortage is a panic
  CacheMode cache = CacheMode::kDefault;
};

class PmapSystem {
 public:
  // Physical memory, fixed once the module is up. `index` < segment_count().
  virtual uint32_t segment_count() const = 0;
  virtual PhysicalSegment segment(uint32_t index) const = 0;

  // pmap_kernel(9): the server's own translations; never destroyed.
  virtual Pmap* Kernel() = 0;
  // pmap_virtual_space(9): the addresses that kernel maps may use.
  virtual base::Range VirtualSpace() = 0;
  // pmap_growkernel(9): makes kernel addresses below `va` mappable; returns the new limit, at least
  // `va`. REQUIRES: `va` within VirtualSpace(). Never shrinks.
  virtual base::Vaddr GrowKernel(base::Vaddr va) = 0;

  // pmap_create(9): an empty pmap with one reference, or kNoMemory.
  virtual base::Result<Pmap*, PmapError> Create() = 0;
  // pmap_reference(9), pmap_destroy(9). The last Destroy frees. REQUIRES then: nothing is mapped
  // any more.
  virtual void Reference(Pmap* pmap) = 0;
  virtual void Destroy(Pmap* pmap) = 0;

  // pmap_enter(9): maps one page, replacing whatever is at `va` (page, rights and wiring, in both
  // directions). A `pa` outside all segments makes an unmanaged mapping. kNoMemory: no mapping to a
  // different page is left at `va`.
  virtual base::Result<void, PmapError> Enter(Pmap* pmap, base::Vaddr va, base::Paddr pa,
                                              base::Prot prot, const EnterFlags& flags) = 0;
  // pmap_remove(9): removes all mappings in the range, wired ones too. Holes are fine.
  virtual void Remove(Pmap* pmap, base::Range range) = 0;
  // pmap_remove_all(9): the whole pmap is about to be torn down. True: everything is already gone;
  // false: it was only a hint, and Remove must follow.
  virtual bool RemoveAll(Pmap* pmap) = 0;
  // pmap_protect(9): lowers existing mappings to `prot`; without read they are removed.
  virtual void Protect(Pmap* pmap, base::Range range, base::Prot prot) = 0;
  // pmap_unwire(9): the mapping at `va` stays but may be forgotten. REQUIRES: it exists.
  virtual void Unwire(Pmap* pmap, base::Vaddr va) = 0;
  // pmap_extract(9): true when `va` is mapped; then *pa is its frame (pa may be null).
  virtual bool Extract(Pmap* pmap, base::Vaddr va, base::Paddr* pa) = 0;
  // Which of `count` pages from `first` on, at most 64, have a translation: bit i for page i.
  virtual uint64_t Mapped(Pmap* pmap, base::Vaddr first, uint32_t count) {
    uint64_t mapped = 0;
    for (uint32_t i = 0; i < count; ++i) {
      const bool is = Extract(pmap, first + i * base::kPageSize, nullptr);
      mapped |= static_cast<uint64_t>(is) << i;
    }
    return mapped;
  }
  // pmap_update(9): completes every deferred effect.
  virtual void Update(Pmap* pmap) = 0;
  // pmap_copy(9): advice that [to, +bytes) of `target` will need what `source` has at `from`. May
  // do nothing; never copies wiring.
  virtual void Copy(Pmap* target, Pmap* source, base::Vaddr to, uint64_t bytes,
                    base::Vaddr from) = 0;
  // pmap_activate(9), pmap_deactivate(9): a thread of the space starts or stops running.
  virtual void Activate(Pmap* pmap) = 0;
  virtual void Deactivate(Pmap* pmap) = 0;

  // pmap_kenter_pa(9), pmap_kremove(9): unmanaged, wired mappings of the kernel pmap. REQUIRES:
  // nothing is mapped at `va`. Immune to PageProtect, outside referenced/modified. kNoMemory: only
  // when the range was not grown to.
  virtual void KenterPa(base::Vaddr va, base::Paddr pa, base::Prot prot, CacheMode cache) = 0;
  virtual void Kremove(base::Range range) = 0;

  // pmap_page_protect(9): lowers every managed mapping of the frame; kProtNone (or anything without
  // read) removes them.
  virtual void PageProtect(base::Paddr pa, base::Prot prot) = 0;
  // pmap_is_modified(9) and friends. The Clear forms return the old value and re-arm detection.
  virtual bool IsModified(base::Paddr pa) = 0;
  virtual bool IsReferenced(base::Paddr pa) = 0;
  virtual bool ClearModify(base::Paddr pa) = 0;
  virtual bool ClearReference(base::Paddr pa) = 0;

  // pmap_zero_page(9), pmap_copy_page(9).
  virtual void ZeroPage(base::Paddr pa) = 0;
  virtual void CopyPage(base::Paddr from, base::Paddr to) = 0;
  // The server's own view of a frame: 4096 bytes, valid for ever. Writing here sets no modified
  // bit; the caller knows.
  virtual unsigned char* HomePointer(base::Paddr pa) = 0;
  // Advice that the beginning of the frame is about to be read, or written. Changes nothing.
  virtual void Expect(base::Paddr /*pa*/, base::Access /*access*/) {}
  // pmap_procwr(9): code was written to [va, +bytes); instruction caches must see it.
  virtual void ProcWrite(Pmap* pmap, base::Vaddr va, uint64_t bytes) = 0;

  // pmap_phys_address(9), pmap_mmap_flags(9): what a device driver's mmap cookie says.
  virtual base::Paddr PhysAddress(uint64_t cookie) = 0;
  virtual CacheMode MmapFlags(uint64_t cookie) = 0;
  // PMAP_PREFER(9): the next address at or above `hint` (below it with kBelow) at which object
  // offset `offset` has its cache colour. Modules without cache colours return `hint`.
  virtual base::Vaddr Prefer(uint64_t offset, base::Vaddr hint, uint64_t bytes,
                             PreferSide side) = 0;

  // pmap_resident_count(9), pmap_wired_count(9).
  virtual base::PageCount ResidentCount(const Pmap* pmap) const = 0;
  virtual base::PageCount WiredCount(const Pmap* pmap) const = 0;

  // For checkers: the first mapping of the table at or above `from`; false when there is none.
  // Changes nothing.
  struct Mapping {
    base::Vaddr va;
    base::Paddr pa;
    base::Prot prot;
    Wired wired = Wired::kNo;
  };
  virtual bool PeekNext(const Pmap* pmap, base::Vaddr from, Mapping* out) const = 0;
  // The same of up to `max` mappings, ascending; returns how many there are, fewer than `max` only
  // at the end of the table. REQUIRES: max > 0.
  virtual uint32_t PeekSome(const Pmap* pmap, base::Vaddr from, Mapping* out, uint32_t max) const {
    uint32_t found = 0;
    while (found < max && PeekNext(pmap, from, &out[found])) {
      from = out[found++].va + base::kPageSize;
    }
    return found;
  }

 protected:
  ~PmapSystem() = default;
};

}  // namespace uvm

#endif  // UVM_PMAP_H_
