// uvm/testing/fast_pmap.h: a pmap that costs what a pmap in hardware's shape costs: for benchmarks
// of the core alone.
//
// WHAT     A PmapSystem over host memory: a table of four levels of 512 entries for each pmap, and
//          for each frame a list of the places that map it. No translation buffer, no delays, no
//          failures but real shortage (which is fatal): the recorded timings of the real UVM were
//          taken over such a module, so that the core's own work is what differs. Translate is a
//          processor that walks the table. NaivePmap is the one for tests.
//          Counts its calls and the pages they dealt with.
// SEE      uvm/pmap.h; uvm/uvm_benchmark.cc.

#ifndef UVM_TESTING_FAST_PMAP_H_
#define UVM_TESTING_FAST_PMAP_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/page_bytes.h"
#include "base/prot.h"
#include "uvm/pmap.h"

namespace uvm::testing {

class FastPmap final : public PmapSystem {
 public:
  static constexpr base::Range kKernelSpace{base::Vaddr(0xf0'0000'0000),
                                            base::Vaddr(0xf1'0000'0000)};
  // Frames of no segment, behind the last one: mappings of them are unmanaged.
  static constexpr uint64_t kDeviceFrames = 2;
  // Addresses have 48 bits.
  static constexpr int kLevels = 4;
  static constexpr int kLevelBits = 9;

  struct Calls {
    uint64_t enter = 0;
    uint64_t remove = 0;
    uint64_t protect = 0;
    uint64_t page_protect = 0;
    uint64_t update = 0;
    uint64_t removed_pages = 0;    // by Remove, RemoveAll and PageProtect
    uint64_t protected_pages = 0;  // that lost a right by Protect and PageProtect

    uint64_t all() const { return enter + remove + protect + page_protect + update; }
  };

  // `frames` frames in one segment. They are written once, so that the host's own page faults are
  // over.
  explicit FastPmap(uint64_t frames);
  ~FastPmap();
  FastPmap(const FastPmap&) = delete;
  FastPmap& operator=(const FastPmap&) = delete;

  // What a processor does with an access: the host address of the byte, or null for a fault. Sets R
  // and M.
  unsigned char* Translate(Pmap* pmap, base::Vaddr va, base::Access access);
  base::Paddr device_frame(uint64_t index) const;
  const Calls& calls() const { return calls_; }
  uint64_t frames() const { return frames_.size() - kDeviceFrames; }

  uint32_t segment_count() const override { return 1; }
  PhysicalSegment segment(uint32_t index) const override;
  Pmap* Kernel() override { return kernel_.get(); }
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
  void Update(Pmap*) override { ++calls_.update; }
  void Copy(Pmap*, Pmap*, base::Vaddr, uint64_t, base::Vaddr) override {}
  void Activate(Pmap*) override {}
  void Deactivate(Pmap*) override {}
  void KenterPa(base::Vaddr va, base::Paddr pa, base::Prot prot, CacheMode cache) override;
  void Kremove(base::Range range) override;
  void PageProtect(base::Paddr pa, base::Prot prot) override;
  bool IsModified(base::Paddr pa) override { return FrameAt(pa).modified; }
  bool IsReferenced(base::Paddr pa) override { return FrameAt(pa).referenced; }
  bool ClearModify(base::Paddr pa) override;
  bool ClearReference(base::Paddr pa) override;
  void ZeroPage(base::Paddr pa) override;
  void CopyPage(base::Paddr from, base::Paddr to) override;
  void Expect(base::Paddr pa, base::Access access) override;
  unsigned char* HomePointer(base::Paddr pa) override {
    return memory_ + (pa.value() - kFirstFrame);
  }
  void ProcWrite(Pmap*, base::Vaddr, uint64_t) override {}
  base::Paddr PhysAddress(uint64_t cookie) override { return base::Paddr(cookie).Trunc(); }
  CacheMode MmapFlags(uint64_t) override { return CacheMode::kDefault; }
  base::Vaddr Prefer(uint64_t, base::Vaddr hint, uint64_t, PreferSide) override { return hint; }
  base::PageCount ResidentCount(const Pmap* pmap) const override;
  base::PageCount WiredCount(const Pmap* pmap) const override;
  bool PeekNext(const Pmap* pmap, base::Vaddr from, Mapping* out) const override;

 private:
  static constexpr uint64_t kFirstFrame = 0x100000;

  // One place that maps a frame; a frame's first is part of the frame.
  struct Place {
    Pmap* pmap = nullptr;  // null: none
    uint64_t va = 0;
    Place* next = nullptr;
  };
  struct Frame {
    Place first;
    bool referenced = false;
    bool modified = false;
  };
  uint64_t IndexOf(base::Paddr pa) const { return (pa.value() - kFirstFrame) >> base::kPageShift; }
  base::PageStores Stores() const {
    return highest_mapped_ > base::kMorePagesThanCached ? base::PageStores::kStreamed
                                                        : base::PageStores::kCached;
  }
  Frame& FrameAt(base::Paddr pa) { return frames_[IndexOf(pa)]; }
  bool IsManaged(base::Paddr pa) const { return IndexOf(pa) < frames(); }
  void AddPlace(base::Paddr pa, Pmap* pmap, uint64_t va);
  void TakePlace(base::Paddr pa, Pmap* pmap, uint64_t va);
  void Drop(Pmap* pmap, uint64_t va, uint64_t* cell);

  std::vector<Frame> frames_;
  uint64_t highest_mapped_ = 0;  // index of a managed frame
  unsigned char* memory_ = nullptr;
  Place* free_places_ = nullptr;
  std::vector<std::unique_ptr<Place[]>> place_chunks_;
  std::unique_ptr<Pmap> kernel_;
  std::vector<Pmap*> pmaps_;  // the others, owned: the type is known in fast_pmap.cc only
  base::Vaddr grown_ = kKernelSpace.start;
  Calls calls_;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_FAST_PMAP_H_
