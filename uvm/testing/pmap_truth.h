// uvm/testing/pmap_truth.h: what pmap(9) promises, as plain tables.
//
// WHAT     A Place is one page of one space: what is entered there, and what a processor may still
//          use. Spaces are numbered, the kernel's is the last. A TruthFrame is one physical page:
//          what R and M must be, and the word that programs last left in it.
// STATES   of a translation that was taken:
//            entry -> stale    (Enter, Remove, Protect: usable until Update)   -> past
//            entry -> inflight (PageProtect: usable until the call returns)    -> past
//          `past` is kept only to say which rule was broken.
// SEE      pmap_contract.h; facts/uvm.md 3.1 to 3.3.

#ifndef UVM_TESTING_PMAP_TRUTH_H_
#define UVM_TESTING_PMAP_TRUTH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prot.h"
#include "uvm/pmap.h"
#include "uvm/testing/pmap_contract.h"

namespace uvm::testing {

struct TruthEntry {
  base::Paddr pa;
  base::Prot prot;
  Wired wired = Wired::kNo;
  bool managed = true;
};

// A translation that a processor may hold.
struct Usable {
  base::Paddr pa;
  base::Prot prot;
};

struct Place {
  std::optional<TruthEntry> entry;
  std::vector<Usable> stale;
  std::vector<Usable> inflight;
  std::vector<Usable> past;
};

enum class Known : uint8_t { kNo, kYes, kMaybe };

// What happened to a frame since its M became set.
enum class Since : uint8_t { kNothing, kDropped, kTaken, kKenter };

struct TruthFrame {
  base::Paddr pa;
  bool managed = true;
  Known modified = Known::kNo;
  Known referenced = Known::kNo;
  Since since = Since::kNothing;
  uint64_t word = 0;
};

class PmapTruth {
 public:
  PmapTruth(const ContractLimits& limits, base::Range kernel);

  // The kernel's number.
  uint32_t kernel() const { return limits_.clients; }
  uint32_t spaces() const { return limits_.clients + 1; }
  base::Vaddr VaOf(uint32_t space, uint32_t page) const;
  base::Range RangeOf(uint32_t space, uint32_t page, uint32_t count) const;
  Place& At(uint32_t space, uint32_t page) { return places_[space * limits_.pages + page]; }
  const Place& At(uint32_t space, uint32_t page) const {
    return places_[space * limits_.pages + page];
  }
  // False when `va` is none of the pages.
  bool PageOf(uint32_t space, base::Vaddr va, uint32_t* page) const;
  std::vector<TruthFrame>& frames() { return frames_; }
  TruthFrame* FrameOf(base::Paddr pa);

  // What each call does at its beginning: afterwards both the old and the new state are usable.
  void Enter(uint32_t space, uint32_t page, const TruthEntry& entry, base::Prot access);
  void Take(uint32_t space, uint32_t page, base::Prot keep);  // Remove (no read) and Protect
  void PageProtect(base::Paddr pa, base::Prot keep);
  void Clear(uint32_t space);  // the space is gone
  // ... and what is true when it returned.
  void EndPageProtect();
  void EndUpdate(uint32_t space);
  // The module dropped it by itself.
  void Forget(uint32_t space, uint32_t page);

  // Everything that may be usable at a place now.
  std::vector<Usable> MayUse(const Place& place) const;
  // Whether a translation there is permitted; else the rule that it breaks.
  std::optional<PmapRule> Judge(const Place& place, base::Paddr pa, base::Prot prot) const;
  bool HasWiredWriter(base::Paddr pa) const;
  base::PageCount Resident(uint32_t space) const;
  base::PageCount WiredPages(uint32_t space) const;

 private:
  void Happened(base::Paddr pa, Since what);
  base::Prot UsableRights(base::Prot prot) const { return limits_.usable(prot); }

  const ContractLimits limits_;
  const base::Range kernel_range_;
  std::vector<Place> places_;
  std::vector<TruthFrame> frames_;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_PMAP_TRUTH_H_
