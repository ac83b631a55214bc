// proptests/engine/state_relation.h: when a state of the system corresponds to one of the model.
//
// WHAT     The only file that knows both sides' insides. m is the model, s the system. A page of
//          the model is a value; in the system it is what the layers of a map entry hold:
//              slot of the amap has an anon -> its page, or its slot of swap; else the object's
//              resident page, or its slot; else the object's file; else zeros
//          One small function a rule; each returns the first counterexample as text.
//            TasksAgree           the same tasks are alive, with the same bounds
//            AttributesAgree      same ranges mapped, with equal protection, maximum, inheritance,
//                                 advice, sharing
//            ContentsAgree        every page holds the bytes that the model says
//            ClientRightsSubset   what a client can really reach stands in the pmap's table, same
//                                 frame, no fewer rights
//            CleanPagesAreOnSwap  a clean page that has a slot of swap is the same there
//            LossesHaveCauses     no page is lost to swap but by an injected fault
//            SwapAgrees           the same swap devices are on, with the same priorities
//            NothingLeaks         when all tasks are gone: no slot of swap is in use, no space,
//            amap, anon is left; frames are
//                                 free but for file pages; the kernel has the threads and the
//                                 spaces of boot, and those that the server made for itself
//          and by their own names: uvm's invariants, pmap/l4's (PmapTable), the kernel's
//          (KernelState).
// INVARIANTS  Looking changes nothing: no fault, no status bit, no time (design D4).
// SEE      docs/INVARIANTS.md; uvm/invariants.h.

#ifndef PROPTESTS_ENGINE_STATE_RELATION_H_
#define PROPTESTS_ENGINE_STATE_RELATION_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "machine/machine.h"
#include "model/page.h"
#include "model/world.h"
#include "proptests/engine/failure.h"
#include "uvm/anon.h"
#include "uvm/core.h"
#include "uvm/map.h"
#include "uvm/space.h"

namespace proptests {

// A broken rule; a Failure without its place in the run.
struct Finding {
  Fingerprint print;
  std::string text;
};

class StateRelation {
 public:
  // Both outlive the relation. REQUIRES: `s` has just booted.
  StateRelation(const model::World* m, machine::Machine* s);

  // After a call by `task` that named the pages of `range`: the attributes of all its space, and
  // the first and the last page of the range. Cheap enough for every operation. `task` may be dead.
  std::optional<Finding> CheckCall(uint32_t task, base::Range range);
  // Every byte of the range, and the attributes of all the space; translations are not looked at.
  std::optional<Finding> CheckPages(uint32_t task, base::Range range);
  // After an access: its first and its last page. What a read returned has been compared already;
  // kSkip leaves the rest of its pages to CheckWhole.
  enum class Bytes : uint8_t { kCompare, kSkip };
  std::optional<Finding> CheckAccess(uint32_t task, base::Range range, Bytes bytes);
  // After mincore of `range` that counted `resident` pages: as many as the task's layers hold. The
  // model cannot tell, as it does not know what was only read.
  std::optional<Finding> ResidencyAgrees(uint32_t task, base::Range range, uint64_t resident);
  // Every page of every task, every translation, all invariants of uvm and pmap. kSampled compares
  // the bytes of a frame again when it may have been written to (Kernel::DebugStamp) or the model
  // says that it holds something else (PageValue::version), and of one frame in sixteen besides,
  // another one each time. Of pages that are file contents as they came, which take longest to make
  // up, it compares 256 bytes at a time; of more than eight tasks the pages of eight, others each
  // time.
  enum class Depth : uint8_t { kSampled, kEveryByte };
  std::optional<Finding> CheckWhole(Depth depth);
  // The kernel's own invariants; slow, since they cover the server's space too.
  std::optional<Finding> CheckKernel();
  // Whether a page was lost to an error of swap, and whether a live task has such a page.
  bool IsLost(uint32_t task, base::Vaddr va) const;
  // Whether it lies where a device that was away refused to read, in the operation before.
  bool WasRefused(uint32_t task, base::Vaddr va) const;
  bool AnyLost(uint32_t task) const;
  // Whether the model knows of each page of the range that got contents of its own in a private
  // mapping of a file: the file's may be the same bytes, for the time being. All are mapped.
  bool KnowsCopies(uint32_t task, base::Range range) const;
  // Whether a memory file or segment has one, whoever maps it.
  bool AnyObjectHasLost() const;
  // No more pages are lost than injected faults have spoilt.
  std::optional<Finding> LossesHaveCauses();
  // REQUIRES: no task is alive.
  std::optional<Finding> NothingLeaks();

  uint64_t bytes_compared() const { return bytes_compared_; }

 private:
  using Result = std::optional<Finding>;
  // Part of a page.
  struct Stretch {
    uint64_t start;
    uint64_t size;
  };
  Result TasksAgree();
  // Threads and spaces of the kernel: each task has one of either, the server's own apart.
  Result KernelTasksAgree(const char* rule);
  Result CheckSpaces();
  // AttributesAgree and AmapRefsCover in one walk, which does not say what is wrong.
  bool MapIsRight(uint32_t task, const uvm::Map& map);
  // What MapIsRight found, if anything.
  Result CheckMap(uint32_t task, const uvm::Map& map);
  Result AmapRefsCover(const uvm::Map& map);
  Result AttributesAgree(uint32_t task, const uvm::Map& map);
  Result PageAgrees(uint32_t task, const uvm::Space& space, base::Vaddr va, Bytes bytes);
  // The first and the last page of a range.
  Result EndsAgree(uint32_t task, const uvm::Space& space, base::Range range, Bytes bytes);
  // What the layers of a map entry hold at one page: a frame, or a slot of swap, or neither.
  struct Held {
    const uvm::Page* page = nullptr;
    uvm::SwapSlot slot = uvm::kNoSlot;  // what counts when there is no page
  };
  // `entry` is what maps the page in the system, null when nothing does; `held` what its layers
  // hold there; `model` looks at the task.
  Result ContentsAgree(uint32_t task, const uvm::MapEntry* entry, const Held& held,
                       const model::PageView& view, model::PageCursor* model);
  // All pages of a task that the model says were stored to, then all that are resident in the
  // system besides.
  Result SpaceContentsAgree(uint32_t task, const uvm::Space& space);
  Result ResidentContentsAgree(uint32_t task, const uvm::MapEntry& entry, model::PageCursor* model);
  Result HeldPageAgrees(uint32_t task, const uvm::MapEntry& entry, const Held& held, base::Vaddr va,
                        model::PageCursor* model);
  Result TranslationAllowed(const uvm::Space& space, const uvm::MapEntry* entry,
                            const uvm::Page* page, const uvm::PmapSystem::Mapping& t);
  Result ClientRightsSubset(uint32_t task, const uvm::Space& space);
  Result ClientPageSubset(uint32_t task, const uvm::Space& space, const fake_l4::Mapping& client);
  Result InvariantsHold();
  // A file's page that counts as clean holds what the file would give.
  Result CleanPagesAreStored();

  Held HeldAt(const uvm::MapEntry& entry, base::Vaddr va) const;
  bool ObjectHasLost(const uvm::MapEntry& entry) const;
  Held HeldOf(const uvm::Anon* anon) const { return {anon->page, anon->slot}; }
  // The bytes of a slot; false, and what is wrong is said: they cannot be had.
  bool LoadSlot(uvm::SwapSlot slot, Stretch part, unsigned char* out) const;
  // Null: LoadSlot has to get them.
  const unsigned char* BytesOfSlot(uvm::SwapSlot slot) const;
  Result CleanPageIsOnSwap(const uvm::Page& page, uvm::SwapSlot slot);
  Result SwapAgrees();
  bool IsUnchangedOnSwap(uvm::SwapSlot slot, const model::PageView& view) const;
  // But for bad ones.
  uint64_t SlotsInUse();
  uint64_t FramesInUse();
  static const uvm::MapEntry* FindEntry(const uvm::Map& map, base::Vaddr va);
  // What a page reads as while nothing is resident.
  void LoadFrame(const uvm::MapEntry& entry, base::Vaddr va, Stretch part, unsigned char* out);
  void LoadBase(const uvm::MapEntry& entry, base::Vaddr va, Stretch part, unsigned char* out);
  // What is known of the bytes of a frame.
  struct Compared {
    uint64_t version = 0;  // of the model's page that they were found to be
    uint32_t stamp = 0;    // of the frame then
    uint32_t parts = 0;    // of 256 bytes, that were compared; kParts or more: all
    uint64_t walk = 0;     // the walk over a space that came by last, and where
    uint64_t va = 0;
  };
  static constexpr uint64_t kContentsAtOnce = 8;  // tasks
  static constexpr uint64_t kPartBytes = 256;
  static constexpr uint32_t kParts = base::kPageSize / kPartBytes;
  Compared& ComparedOf(const uvm::Page& page) {
    return compared_[(page.pa - ram_base_) >> base::kPageShift];
  }
  // Whether the walk under way has been at the page, at this address.
  bool WasSeen(const uvm::Page& page, base::Vaddr va) {
    const Compared& compared = ComparedOf(page);
    return compared.walk == walk_ && compared.va == va.value();
  }
  // Brings what is known up to date; true when the page's bytes need not be compared.
  bool IsUnchanged(const uvm::Page& page, const model::PageView& view, Compared* compared) const;
  // Which bytes to compare.
  Stretch NextStretch(model::PageKind kind, const Compared* compared);

  const model::World* const m_;
  machine::Machine* const s_;
  const size_t boot_spaces_;
  const size_t boot_pmaps_;
  const uint64_t boot_frames_;  // in use: the server's own
  // What the kernel had when the machine was up, but for the server's threads.
  struct KernelCounts {
    uint64_t threads = 0;
    uint64_t spaces = 0;
    bool operator==(const KernelCounts&) const = default;
  };
  KernelCounts CountKernel() const;
  const KernelCounts boot_kernel_;
  const base::Paddr ram_base_;
  uint64_t bytes_compared_ = 0;
  bool thorough_ = false;
  uint64_t part_ = 0;
  std::vector<Compared> compared_;                    // by frame
  std::map<uvm::SwapSlot, uint64_t> slots_compared_;  // versions of the model
  uint64_t whole_checks_ = 0;
  uint64_t walk_ = 0;
  uint64_t amap_walk_ = 0;
  model::PageBytes expected_;  // scratch
  model::PageBytes found_;     // scratch
};

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_STATE_RELATION_H_
