// uvm/testing/naive_pmap.h: the pmap contract as a std::map, with the freedoms of the contract
// exercised on demand.
//
// WHAT     A PmapSystem over host memory: a table per pmap, exact referenced and modified bits per
//          frame, and a processor (Translate) that goes through a translation buffer. Faithful:
//          everything uvm/pmap.h promises. Switches make it as difficult as the contract allows
//          (facts/uvm.md 3.3): translations forgotten at random (rule 1), invalidations that wait
//          for Update (rule 3), Enter that fails (rule 10), references never seen (3.1). BeAdverse
//          turns on all of them. And it can be made to lie: to break one rule, so that a judge of
//          pmaps (pmap_contract.h) is seen to notice.
// INVARIANTS  Frames start out full of kGarbage, so that a page which nobody zeroed or filled is
//          seen.
// SEE      uvm/pmap.h; facts/uvm.md section 3.

#ifndef UVM_TESTING_NAIVE_PMAP_H_
#define UVM_TESTING_NAIVE_PMAP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "uvm/pmap.h"

namespace uvm::testing {

// A rule of the contract to be broken, in the order of facts/uvm.md 3.3.
enum class PmapLie : uint8_t {
  kNone,
  kForgettingLosesModified,  // rule 1; shows with ForgetAtRandom
  kForgetsWired,             // rule 2; likewise
  kUpdateKeepsStale,         // rule 3; shows with DelayInvalidations
  kEnterAddsWrite,           // rule 4
  kClearDisarms,             // rule 5: a cached translation does not set M again
  kRemoveClearsModified,     // rule 6
  kWriteProtectDropsOne,     // rule 7
  kReplacementCountsTwice,   // rule 8
  kUnwireStaysCounted,       // rule 9
  kFailureLeavesOld,         // rule 10; shows with FailEntersAtRandom
  kExtractLags,              // rule 11; shows with DelayInvalidations
  kKenterSetsModified,       // rule 6, the other way round
  kPageProtectMissesOne,     // rule 3 for the calls that wait for no Update
};

class NaivePmap final : public PmapSystem {
 public:
  static constexpr unsigned char kGarbage = 0xa5;
  static constexpr base::Range kKernelSpace{base::Vaddr(0xf0'0000'0000),
                                            base::Vaddr(0xf1'0000'0000)};

  // Frames of no segment, behind the last one: mappings of them are unmanaged.
  static constexpr uint64_t kDeviceFrames = 2;

  // `frames` frames in two segments with a hole between them.
  explicit NaivePmap(uint64_t frames);
  ~NaivePmap();
  NaivePmap(const NaivePmap&) = delete;
  NaivePmap& operator=(const NaivePmap&) = delete;

  // What a processor does with an access: the host address of the byte, or null for a fault. Sets R
  // and M. Each processor has a translation buffer of its own.
  static constexpr uint32_t kProcessors = 2;
  unsigned char* Translate(Pmap* pmap, base::Vaddr va, base::Access access, uint32_t processor = 0);
  // The rights of the translation at `va` as the table has them; none when it is absent.
  base::Prot RightsAt(const Pmap* pmap, base::Vaddr va) const;

  // Rule 1: from now on each call and access drops one unwired mapping, once in `one_in`.
  void ForgetAtRandom(uint64_t seed, uint64_t one_in = 4) {
    forget_.emplace(seed, "naive_pmap.forget");
    forget_one_in_ = one_in;
  }
  // Rule 3: the translation buffer notices Remove and Protect only at Update, and remembers all
  // that they take.
  void DelayInvalidations() { delayed_ = true; }
  // Rule 10: each Enter that can fail does, once in `one_in`, from now on.
  void FailEntersAtRandom(uint64_t seed, uint64_t one_in) {
    enter_fails_.emplace(seed, "naive_pmap.enter_fails");
    enter_fails_one_in_ = one_in;
  }
  // 3.1: referenced is always false.
  void HideReferences() { references_hidden_ = true; }
  // All of the above.
  void BeAdverse(uint64_t seed) {
    ForgetAtRandom(seed, 32);  // rarely enough for something to become stale
    DelayInvalidations();
    FailEntersAtRandom(seed, 8);
    HideReferences();
  }
  void Lie(PmapLie lie) { lie_ = lie; }
  base::Paddr device_frame(uint64_t index) const;
  // Called at the beginning of each CopyPage: between two steps of whoever copies.
  void BeforeCopies(std::function<void()> hook) { before_copies_ = std::move(hook); }
  // Called at the beginning of each call that copies or changes translations: what other processors
  // do meanwhile. Calls that the hook makes call no hook.
  void AtEachStep(std::function<void()> hook) { at_each_step_ = std::move(hook); }
  // How often a mapping was entered ahead of any access (flags.access none, not wired) where it was
  // already. A pmap that does not look adds to the page's list a mapping that is none, which
  // nothing takes away again (FreeBSD PR 266108).
  uint64_t entered_ahead_twice() const { return entered_ahead_twice_; }
  // Caches that go by virtual address, with `colours` pages a way (a power of two): a page of an
  // object has its colour where its page number and its place in the object agree modulo them.
  void PreferColours(uint64_t colours) { preferred_colours_ = colours; }
  // Rule 10: of the coming Enters, the one after `successes` more fails.
  void FailEnterAfter(uint64_t successes) { enter_fails_in_ = successes + 1; }

  uint32_t segment_count() const override { return 2; }
  PhysicalSegment segment(uint32_t index) const override { return segments_[index]; }
  Pmap* Kernel() override { return kernel_; }
  base::Range VirtualSpace() override { return kKernelSpace; }
  base::Vaddr GrowKernel(base::Vaddr va) override;
  base::Result<Pmap*, PmapError> Create() override;
  void Reference(Pmap* pmap) override;
  void Destroy(Pmap* pmap) override;
  base::Result<void, PmapError> Enter(Pmap* pmap, base::Vaddr va, base::Paddr pa, base::Prot prot,
                                      const EnterFlags& flags) override;
  void Remove(Pmap* pmap, base::Range range) override;
  bool RemoveAll(Pmap* pmap) override;
  void Protect(Pmap* pmap, base::Range range, base::Prot prot) override;
  void Unwire(Pmap* pmap, base::Vaddr va) override;
  bool Extract(Pmap* pmap, base::Vaddr va, base::Paddr* pa) override;
  void Update(Pmap* pmap) override;
  void Copy(Pmap*, Pmap*, base::Vaddr, uint64_t, base::Vaddr) override {}
  void Activate(Pmap*) override {}
  void Deactivate(Pmap*) override {}
  void KenterPa(base::Vaddr va, base::Paddr pa, base::Prot prot, CacheMode cache) override;
  void Kremove(base::Range range) override;
  void PageProtect(base::Paddr pa, base::Prot prot) override;
  bool IsModified(base::Paddr pa) override { return FrameAt(pa).modified; }
  bool IsReferenced(base::Paddr pa) override {
    return FrameAt(pa).referenced && !references_hidden_;
  }
  bool ClearModify(base::Paddr pa) override;
  bool ClearReference(base::Paddr pa) override;
  void ZeroPage(base::Paddr pa) override;
  void CopyPage(base::Paddr from, base::Paddr to) override;
  unsigned char* HomePointer(base::Paddr pa) override;
  void ProcWrite(Pmap*, base::Vaddr, uint64_t) override {}
  base::Paddr PhysAddress(uint64_t cookie) override { return base::Paddr(cookie).Trunc(); }
  CacheMode MmapFlags(uint64_t) override { return CacheMode::kDefault; }
  base::Vaddr Prefer(uint64_t offset, base::Vaddr hint, uint64_t bytes, PreferSide side) override;
  base::PageCount ResidentCount(const Pmap* pmap) const override;
  base::PageCount WiredCount(const Pmap* pmap) const override;
  bool PeekNext(const Pmap* pmap, base::Vaddr from, Mapping* out) const override;

 private:
  struct Frame {
    bool referenced = false;
    bool modified = false;
  };
  uint64_t IndexOf(base::Paddr pa) const;
  // The frame's R and M, an unmanaged one's included: it has them and nobody asks.
  Frame& FrameAt(base::Paddr pa) { return frames_[IndexOf(pa)]; }
  bool IsManaged(base::Paddr pa) const;
  void Step();
  void MaybeForget();
  void Remember(Pmap* pmap, base::Range range);
  bool EnterFails(const EnterFlags& flags);

  PhysicalSegment segments_[2];
  std::vector<Frame> frames_;
  std::vector<unsigned char> memory_;
  std::vector<std::unique_ptr<Pmap>> pmaps_;  // the kernel's first
  Pmap* kernel_ = nullptr;
  base::Vaddr grown_ = kKernelSpace.start;
  std::optional<base::Prng> forget_;
  uint64_t forget_one_in_ = 4;
  bool delayed_ = false;
  uint64_t enter_fails_in_ = 0;
  std::optional<base::Prng> enter_fails_;
  uint64_t enter_fails_one_in_ = 0;
  bool references_hidden_ = false;
  uint64_t preferred_colours_ = 1;
  PmapLie lie_ = PmapLie::kNone;
  uint64_t miscounted_ = 0;  // by a lie
  uint64_t entered_ahead_twice_ = 0;
  std::function<void()> before_copies_;
  std::function<void()> at_each_step_;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_NAIVE_PMAP_H_
