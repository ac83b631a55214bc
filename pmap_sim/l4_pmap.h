// pmap_sim/l4_pmap.h: pmap/l4, the machine-dependent module of UVM on an L4 X.2 kernel.
//
// WHAT     L4Pmap implements uvm::PmapSystem by L4 operations only: memory from sigma0, aliases by
//          own-space map items to a mirror thread, rights given by map items that answer page
//          faults (Refill), rights taken by unmaps at aliases, or at home for a page that has one
//          mapping and was mapped from there. The kernel's page tables are a TLB of the table in
//          table.h (design D6). Unmaps wait for Update, or for whatever needs them done before.
//          The kernel pmap's mappings are pages of the server's own space in an area of their own
//          (Config::kernel_area): the mirror makes them when they are entered, and they are their
//          own aliases. On a real kernel a pointer to such an address works; on the simulated one
//          only home addresses have host pointers, so UVM reads and writes the contents of kernel
//          mappings through Extract and HomePointer, which is right on both.
// STATES   constructed -> Boot() -> in use. Boot and everything after it run on a thread of the
//          root server's space.
// LOCKS    One lock for everything (LockRank::kPmap): an atomic word whose spin yields, because
//          uvm's Mutex is above this package. It is held across the messages this module sends (to
//          the mirror, which needs no lock, and to a client with send timeout zero), so holders
//          never wait for a client. Observers take no lock.
// INVARIANTS  CheckInvariants(): TableListsFrames, SentWithinTable, AliasShowsFrame, DirectIsAlone,
//          KernelIsMapped, CountsAgree, AliasUnique. Whenever this module's lock is free a client's
//          rights are a subset of the table's and of what waits to be taken until Update: rights
//          are given only under the lock, after everything that waits was taken.
// SEE      design.md D6; facts/uvm.md 3; facts/l4.md 4.1, 7; README.md: which rule is where.

#ifndef PMAP_SIM_L4_PMAP_H_
#define PMAP_SIM_L4_PMAP_H_

#include <l4/types.h>

#include <cstdint>

#include "base/addr.h"
#include "base/canary.h"
#include "base/list.h"
#include "base/page_bytes.h"
#include "base/pool.h"
#include "base/probes.h"
#include "base/prot.h"
#include "base/result.h"
#include "base/spin_word.h"
#include "base/text_sink.h"
#include "pmap_sim/table.h"
#include "pmap_sim/unmap_batch.h"
#include "uvm/pmap.h"

namespace pmap_sim {

enum class RefillResult : uint8_t {
  kSent,           // the answer to the fault is on its way (or its client no longer waits for it)
  kMiss,           // not in the table: ask UVM
  kRightsMissing,  // in the table without the right the access needs: ask UVM
  kNoMemory,       // the kernel has no memory for the mapping or for the server's own alias
};

// Who gets the answer to a fault: the client thread, in the name of the pager thread that it waits
// for.
struct ReplyTarget {
  L4_ThreadId_t client;
  L4_ThreadId_t pager;  // nilthread: the caller's own name
};

// Work done since boot.
struct PmapCounters {
  uint64_t refills = 0;        // calls of Refill that found what they needed
  uint64_t refill_misses = 0;  // ... that did not
  uint64_t sends = 0;          // map items that reached a client
  uint64_t resends = 0;        // refills of pages that the client was sent and did not get
  uint64_t sends_failed = 0;   // ... whose client was gone or no longer waiting
  uint64_t pages_sent = 0;
  uint64_t direct_sends = 0;  // ... straight from home
  uint64_t home_settled = 0;  // status read at home before, to be rid of it
  uint64_t recalls = 0;       // direct mappings taken back because the frame got another mapping
  uint64_t aliases_made = 0;
  uint64_t device_pages = 0;  // asked of sigma0 for pages that are no segment's
  uint64_t mirror_sends = 0;
  uint64_t unmap_calls = 0;
  uint64_t fpages_unmapped = 0;
  uint64_t fpages_merged = 0;    // fpages saved by rule (b)
  uint64_t pages_lowered = 0;    // pages that lost rights, and
  uint64_t lowered_in_runs = 0;  // ... of them, those that were not looked at one by one
  uint64_t status_queries = 0;   // pages unmapped without taking a right
  uint64_t windows_flushed = 0;
  uint64_t shortages = 0;  // times that mappings were dropped to make room for others
  uint64_t dropped = 0;    // unwired mappings dropped then; the table keeps them
};

// What Boot finds out about the kernel, from its interface page and by mapping one page about in
// its own space.
struct KernelTraits {
  bool several_processors = true;
  bool own_space_maps = false;  // a page can be mapped to another address of its own space
  // Rights are masked by the source's, an unmap takes the rights it names and nothing else, each
  // owner learns of each access. Where not, pages are 4 KiB, mapped from aliases and revoked as
  // a whole; modification shows when a page is asked for with write, and reference when at all.
  bool by_the_manual = false;
  bool reference_bits = false;  // loads leave a status bit; where not, faults tell
};

class L4Pmap final : public uvm::PmapSystem {
 public:
  struct Config {
    base::PageSource* memory = nullptr;          // for the tables; outlives the pmap
    const base::CanarySwitch* canary = nullptr;  // outlives the pmap
    uintptr_t home_bias = 0;  // home address + bias = pointer; 0 on a real kernel
    // Page number * 4 + bias = where it is counted how often HomePointer gave the page away; 0: is
    // not counted.
    uintptr_t stamp_bias = 0;
    base::Vaddr alias_area;  // where aliases may lie in the server's space; aligned to kWindowBytes
    uint64_t alias_windows = 0;  // how many windows fit there
    // Where the kernel pmap's mappings lie in the server's space; aligned to kWindowBytes. May be
    // empty. Everything below both areas is home.
    base::Range kernel_area;
  };
  explicit L4Pmap(const Config& config);

  // Probes the kernel and takes all memory sigma0 gives, largest pieces first where pages by the
  // manual can be relied on; `mirror` is the thread that runs MirrorLoop. Called once. False:
  // boot_error() says why.
  bool Boot(L4_ThreadId_t mirror);
  const char* boot_error() const { return boot_error_; }
  const KernelTraits& traits() const { return traits_; }
  // What the mirror thread does for ever: takes map items of threads of its own space to where they
  // are ordered.
  [[noreturn]] static void MirrorLoop();

  // Answers the fault `access` at `va`, which need not be aligned, from the table: builds the map
  // item and sends it, both under the lock, with send timeout zero. Nothing is sent unless the
  // result is kSent. For the kernel pmap: makes the mapping of the server's own space anew, and
  // answers without an item.
  RefillResult Refill(uvm::Pmap* pmap, base::Vaddr va, base::Access access, const ReplyTarget& to);

  // uvm::PmapSystem
  uint32_t segment_count() const override { return segment_count_; }
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
  void Expect(base::Paddr pa, base::Access access) override;
  void ProcWrite(uvm::Pmap* pmap, base::Vaddr va, uint64_t bytes) override;
  base::Paddr PhysAddress(uint64_t cookie) override;
  uvm::CacheMode MmapFlags(uint64_t cookie) override;
  base::Vaddr Prefer(uint64_t offset, base::Vaddr hint, uint64_t bytes,
                     uvm::PreferSide side) override;
  base::PageCount ResidentCount(const uvm::Pmap* pmap) const override;
  base::PageCount WiredCount(const uvm::Pmap* pmap) const override;
  bool PeekNext(const uvm::Pmap* pmap, base::Vaddr from, Mapping* out) const override;
  uint32_t PeekSome(const uvm::Pmap* pmap, base::Vaddr from, Mapping* out,
                    uint32_t max) const override;
  // The mapping of the page at `va`; false when there is none.
  bool Peek(const uvm::Pmap* pmap, base::Vaddr va, Mapping* out) const;

  // For checkers; no lock, no effect. `visit(va, mapping)` of every present mapping of a pmap in
  // address order.
  template <typename Visitor>
  static void ForEachMapping(const uvm::Pmap* pmap, Visitor visit);
  // The server address through which the page at `va` is (or would be) mapped; false when its
  // window does not exist.
  bool AliasOf(const uvm::Pmap* pmap, base::Vaddr va, base::Vaddr* alias) const;
  // Whether nothing waits to be taken from clients until Update.
  bool DebugNothingWaits() const { return batch_.empty(); }
  // Contract rule 1, on demand: forgets the mapping at `va`. False: there is none, or it is wired.
  bool TestOnlyForget(uvm::Pmap* pmap, base::Vaddr va);
  bool CheckInvariants(base::TextSink& out) const;
  void Verify(const char* label) const;
  PmapCounters counters() const;
  const base::Probes& probes() const { return probes_; }
  // The kernel's not counted.
  size_t pmap_count() const { return pmaps_.size() - 1; }

 private:
  // Holds lock_ for a scope; checked builds verify the table at both ends.
  class Guard {
   public:
    explicit Guard(L4Pmap* pmap);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    L4Pmap* const pmap_;
  };
  static constexpr uint32_t kMaxSegments = 64;
  static constexpr uint32_t kNoFrame = ~uint32_t{0};

  struct Segment {
    base::Paddr start;
    uint32_t pages;
    uint32_t first_frame;  // index of the segment's first frame in frames_
  };

  // boot.cc
  void TakeMemory();
  bool TakePieces(unsigned log2);
  bool AddSegment(base::Paddr start, uint32_t pages);
  bool MakeFrames();
  // Where the first of the server's other areas starts.
  uint64_t home_end() const;

  // probe.cc
  bool Probe(base::Paddr page);
  bool CopyBytes(base::Vaddr from, base::Vaddr to);
  bool Shows(base::Vaddr va, base::Paddr page);

  // Frame tables.
  uint32_t FindFrame(base::Paddr pa) const;  // an index; kNoFrame: memory of no segment
  Frame* FrameAt(base::Paddr pa);            // CHECKs that it is a frame
  base::Paddr AddressOf(FrameNumber number) const {
    // Most machines have one segment.
    if (number <= segments_[0].pages) {
      return segments_[0].start + base::ToBytes(base::PageCount(number - 1));
    }
    return AddressOfOther(number);
  }
  base::Paddr AddressOfOther(FrameNumber number) const;
  // HomePointer for who only reads.
  unsigned char* PeekHome(base::Paddr pa) const {
    return reinterpret_cast<unsigned char*>(static_cast<uintptr_t>(pa.value()) + config_.home_bias);
  }
  // REQUIRES: memory of a segment.
  Frame& FrameOf(const Translation& mapping) const { return frames_[mapping.frame - 1]; }
  FrameStatus& StatusOf(const Translation& mapping) const { return status_[mapping.frame - 1]; }
  FrameStatus& StatusOf(const Frame* frame) const { return status_[frame - frames_]; }
  uint16_t AgeOf(FrameNumber number) const {
    return (number & kDeviceBit) != 0 ? 0 : frames_[number - 1].age;
  }
  uint32_t frame_count() const;

  // windows.cc: windows and leaves.
  static Window* FindWindow(const uvm::Pmap* pmap, uint64_t number);
  // The first window whose number is at least `number`.
  static Window* LowerBound(const uvm::Pmap* pmap, uint64_t number);
  Translation* Find(uvm::Pmap* pmap, base::Vaddr va);
  Translation* FindOrMake(uvm::Pmap* pmap, base::Vaddr va);
  Window* MakeWindow(uvm::Pmap* pmap, uint64_t number);
  Window* MakeKernelWindow(uint64_t number);
  Leaf* MakeLeaf(Window* window, uint32_t leaf_index);
  void ReleaseWindow(Window* window);
  void ReleaseWholeWindows(uvm::Pmap* pmap, base::Range range);
  // Gives back every window without a present page, of any pmap; false when there was none.
  bool ReclaimWindows();
  static base::Vaddr AliasAddress(const Leaf* leaf, uint32_t slot) {
    return leaf->window->alias_start + base::ToBytes(base::PageCount(leaf->first_page + slot));
  }
  // visit(leaf, from, to) of every leaf of the range that has present pages, ascending, with the
  // slots that lie in the range.
  template <typename Visitor>
  static void ForLeaves(uvm::Pmap* pmap, base::Range range, Visitor visit);
  // visit(leaf, translation) of every present page of the range, ascending.
  template <typename Visitor>
  static void ForRange(uvm::Pmap* pmap, base::Range range, Visitor visit);

  // Mappings.
  void Link(uvm::Pmap* pmap, Translation* mapping, FrameNumber frame, bool managed);
  void Unlink(uvm::Pmap* pmap, Translation* mapping);
  base::Result<void, uvm::PmapError> NoRoom(uvm::Pmap* pmap, Translation* mapping,
                                            const uvm::EnterFlags& flags);
  static void SetWired(uvm::Pmap* pmap, Translation* mapping, bool wired);
  void RemovePage(uvm::Pmap* pmap, Translation* mapping);
  void RemoveRange(uvm::Pmap* pmap, base::Range range);
  void Abandon(Translation* page);
  void Seed(const Translation& mapping, base::Prot access);
  // Takes at least these rights from whom the page was sent to, as soon as the batch goes; none of
  // them: asks for its status only.
  void Take(Translation* page, base::Prot rights);
  bool IsNoNews(const Translation& page) const;
  uint32_t LowerRun(Leaf* leaf, uint32_t slot, uint32_t to, base::Prot prot);
  void LowerLeaf(Leaf* leaf, uint32_t from, uint32_t to, base::Prot prot);
  // Takes everything at once, status included; true when the client had used it.
  bool TakeBack(Translation* page);
  bool TakeBackUnmanaged(Translation* page);

  // status.cc
  bool NeedsFaultsForModified() const { return !traits_.by_the_manual; }
  bool NeedsFaultsForReferenced() const {
    return !traits_.by_the_manual || !traits_.reference_bits;
  }
  // Asks the kernel for status bits of every mapping of the frame that may have some, and folds
  // them in.
  void CollectStatus(Frame* frame);
  void RemakeOwn(Frame* frame);

  // refill.cc
  RefillResult Answer(Translation* page, base::Vaddr va, base::Access access,
                      const ReplyTarget& to);
  RefillResult AnswerOwn(Translation* page, const ReplyTarget& to);
  base::Prot RightsToSend(const Translation& page, base::Access access);
  bool MayGoDirect(const Translation& page) const;
  void GoDirect(Translation* page);
  uint32_t RunLength(const Leaf* leaf, uint32_t slot, uint32_t* first) const;
  void SendItem(Leaf* leaf, uint32_t first, uint32_t count, base::Prot rights, base::Vaddr asked,
                const ReplyTarget& to);
  bool Retry(Translation* page);
  void DropMappings(uvm::Pmap* only, uvm::Wired wired);
  void DropAliases(Leaf* leaf, uvm::Wired wired);

  // aliases.cc
  static void TakeItems(L4_ThreadId_t from, L4_Fpage_t window);
  static void TakeString(L4_ThreadId_t from, L4_Word_t address, L4_Word_t bytes);
  bool AliasShows(const Translation& page) const {
    const TranslationRest& rest = page.rest();
    return rest.alias_frame == page.frame && rest.alias_age == AgeOf(page.frame);
  }
  void Recall(const Translation& page);
  bool MakeAliases(Leaf* leaf, uint32_t first, uint32_t count);
  void FlushOldAliases(Leaf* leaf, uint32_t first, uint32_t count);
  bool OrderAliases(Leaf* leaf, uint32_t first, uint32_t count);
  bool OrderPage(base::Vaddr from, base::Vaddr to, L4_Word_t rights);

  // kernel.cc
  bool MapOwn(Translation* page);
  FrameNumber TakeDevicePage(base::Paddr pa);

  // invariants.cc
  bool CheckFrame(uint32_t index, uint64_t* mappings, base::TextSink& out) const;
  // Of all tables: managed mappings; the kernel pmap's mappings of frames.
  struct Totals {
    uint64_t managed = 0;
    uint64_t kernel = 0;
  };
  bool CheckPmap(const uvm::Pmap* pmap, Totals* totals, base::TextSink& out) const;
  // What a walk over a table has found; `frames` is frame_count().
  struct Found {
    uint32_t frames = 0;
    uint32_t present = 0;
    uint32_t wired = 0;
    uint32_t of_devices = 0;
    uint64_t managed = 0;
  };
  bool CheckLeaf(const Window* window, const Leaf* leaf, Found* found, base::TextSink& out) const;
  bool CheckPage(const Leaf* leaf, const Translation& page, uint32_t frames,
                 base::TextSink& out) const;
  bool CheckAliases(base::TextSink& out) const;

  // Constant after Boot.
  const Config config_;
  KernelTraits traits_;
  const char* boot_error_ = "";
  L4_ThreadId_t mirror_ = {0};
  Segment segments_[kMaxSegments];
  uint32_t segment_count_ = 0;
  Frame* frames_ = nullptr;
  FrameStatus* status_ = nullptr;  // by frame, too
  // How frames are filled: past the cache, once more of them were mapped than it has room for.
  base::PageStores Stores() const {
    return highest_linked_ > base::kMorePagesThanCached ? base::PageStores::kStreamed
                                                        : base::PageStores::kCached;
  }
  FrameNumber highest_linked_ = 0;  // of any mapping ever made

  unsigned char* zeroed_before_ = nullptr;  // the canary's

  // Guarded by lock_.
  base::SpinWord lock_;
  base::Pool<uvm::Pmap> pmap_pool_;
  base::Pool<Window> window_pool_;
  base::Pool<Leaf> leaf_pool_;
  base::Pool<LeafRest> rest_pool_;
  base::List<uvm::Pmap, &uvm::Pmap::link> pmaps_;  // the kernel's first
  uvm::Pmap kernel_;
  base::Vaddr kernel_end_;  // kernel addresses below have their leaves
  base::List<Window, &Window::free_link> free_windows_;
  uint64_t windows_made_ = 0;
  PmapCounters counters_;
  base::Probes probes_;
  UnmapBatch batch_;
};

template <typename Visitor>
void L4Pmap::ForEachMapping(const uvm::Pmap* pmap, Visitor visit) {
  for (Window* window = pmap->windows.First(); window != nullptr;
       window = pmap->windows.Next(window)) {
    for (const Leaf* leaf : window->leaves) {
      if (leaf == nullptr) continue;
      for (const Translation& mapping : leaf->pages) {
        if (!mapping.present()) continue;
        visit(window->start() + base::ToBytes(base::PageCount(leaf->first_page + mapping.slot)),
              mapping);
      }
    }
  }
}

template <typename Visitor>
void L4Pmap::ForLeaves(uvm::Pmap* pmap, base::Range range, Visitor visit) {
  if (range.empty()) return;
  constexpr uint32_t kAhead = 2;  // leaves
  uint64_t first_page = range.start.PageNumber();
  uint64_t last_page = (range.end - 1).PageNumber();
  for (Window* window = LowerBound(pmap, WindowNumber(range.start)); window != nullptr;
       window = pmap->windows.Next(window)) {
    uint64_t base_page = window->number * kWindowPages;
    if (base_page > last_page) return;
    const Window* next = pmap->windows.Next(window);
    if (next != nullptr) __builtin_prefetch(&next->leaves[0]);
    for (uint32_t i = 0; i < kLeaves; ++i) {
      Leaf* leaf = window->leaves[i];
      if (i + kAhead < kLeaves) {
        Leaf::Expect(window->leaves[i + kAhead]);
      } else if (next != nullptr) {
        Leaf::Expect(next->leaves[i + kAhead - kLeaves]);
      }
      if (leaf == nullptr || leaf->present == 0) continue;
      uint64_t leaf_page = base_page + leaf->first_page;
      if (leaf_page + kLeafPages <= first_page || leaf_page > last_page) continue;
      uint64_t from = first_page > leaf_page ? first_page - leaf_page : 0;
      uint64_t to = last_page - leaf_page < kLeafPages ? last_page - leaf_page + 1 : kLeafPages;
      visit(leaf, static_cast<uint32_t>(from), static_cast<uint32_t>(to));
    }
  }
}

template <typename Visitor>
void L4Pmap::ForRange(uvm::Pmap* pmap, base::Range range, Visitor visit) {
  ForLeaves(pmap, range, [&visit](Leaf* leaf, uint32_t from, uint32_t to) {
    for (uint32_t slot = from; slot < to; ++slot) {
      if (leaf->pages[slot].present()) visit(leaf, &leaf->pages[slot]);
    }
  });
}

}  // namespace pmap_sim

#endif  // PMAP_SIM_L4_PMAP_H_
