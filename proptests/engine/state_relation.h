// proptests/engine/state_relation.h: when a state of the system corresponds to one of the model.
//
// WHAT     The only file that knows both sides' insides. m is the model, s the system. A page of
//          the model is a value; in the system it is what the layers of a map entry hold:
//              slot of the amap has an anon -> its page; else the object's resident page;
//              else the object's file; else zeros
//          One small function a rule; each returns the first counterexample as text.
//            TasksAgree           the same tasks are alive, with the same bounds
//            AttributesAgree      same ranges mapped, with equal protection, maximum, inheritance,
//                                 advice, sharing
//            ContentsAgree        every page holds the bytes that the model says
//            ClientRightsSubset   what a client can really reach stands in the pmap's table, same
//                                 frame, no fewer rights
//            NothingLeaks         when all tasks are gone: no space, amap, anon is left; frames are
//                                 free but for file pages
//          and by their own names: uvm's invariants, pmap/l4's (PmapTable), the kernel's
//          (KernelState).
// INVARIANTS  Looking changes nothing: no fault, no status bit, no time (design D4).
// SEE      docs/INVARIANTS.md; uvm/invariants.h.

#ifndef PROPTESTS_ENGINE_STATE_RELATION_H_
#define PROPTESTS_ENGINE_STATE_RELATION_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/addr.h"
#include "machine/machine.h"
#include "model/page.h"
#include "model/world.h"
#include "proptests/engine/failure.h"
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
  // After an access: its first and its last page. What a read returned has been compared already;
  // kSkip leaves the rest of its pages to CheckWhole.
  enum class Bytes : uint8_t { kCompare, kSkip };
  std::optional<Finding> CheckAccess(uint32_t task, base::Range range, Bytes bytes);
  // After mincore of `range` that counted `resident` pages: as many as the task's layers hold. The
  // model cannot tell, as it does not know what was only read.
  std::optional<Finding> ResidencyAgrees(uint32_t task, base::Range range, uint64_t resident);
  // Every page of every task, every translation, all invariants of uvm and pmap. kSampled looks at
  // a window of 256 bytes of pages that are file contents as they came, another one each time:
  // making those up again is what costs most.
  enum class Depth : uint8_t { kSampled, kEveryByte };
  std::optional<Finding> CheckWhole(Depth depth);
  // The kernel's own invariants; slow, since they cover the server's space too.
  std::optional<Finding> CheckKernel();
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
  Result CheckSpaces();
  Result AmapRefsCover(const uvm::Map& map);
  Result AttributesAgree(uint32_t task, const uvm::Map& map);
  Result PageAgrees(uint32_t task, const uvm::Space& space, base::Vaddr va, Bytes bytes);
  // The first and the last page of a range.
  Result EndsAgree(uint32_t task, const uvm::Space& space, base::Range range, Bytes bytes);
  // `entry` is what maps the page in the system, null when nothing does.
  Result ContentsAgree(uint32_t task, const uvm::MapEntry* entry, base::Vaddr va);
  // All pages of a task that the model says were stored to, then all that are resident in the
  // system besides.
  Result SpaceContentsAgree(uint32_t task, const uvm::Space& space);
  Result ResidentContentsAgree(uint32_t task, const uvm::MapEntry& entry);
  Result TranslationAllowed(const uvm::Space& space, const uvm::MapEntry* entry, base::Vaddr va);
  Result ClientRightsSubset(uint32_t task, const uvm::Space& space);
  Result ClientPageSubset(uint32_t task, const uvm::Space& space, const fake_l4::Mapping& client);
  Result InvariantsHold();

  // The page that the layers hold at `va`; null: none is resident.
  static const uvm::Page* LayersPage(const uvm::MapEntry& entry, base::Vaddr va);
  static const uvm::MapEntry* FindEntry(const uvm::Map& map, base::Vaddr va);
  // What a page reads as while nothing is resident.
  void LoadFrame(const uvm::MapEntry& entry, base::Vaddr va, Stretch part, unsigned char* out);
  void LoadBase(const uvm::MapEntry& entry, base::Vaddr va, Stretch part, unsigned char* out);
  // Which bytes of the next page to compare.
  Stretch NextStretch(model::PageKind kind);

  const model::World* const m_;
  machine::Machine* const s_;
  const size_t boot_spaces_;
  const size_t boot_pmaps_;
  uint64_t bytes_compared_ = 0;
  bool thorough_ = false;
  uint64_t window_ = 0;
  model::PageBytes expected_;  // scratch
  model::PageBytes found_;     // scratch
};

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_STATE_RELATION_H_
