// uvm/fault.h: page faults: which page an access means, and how it comes to be mapped.
//
// WHAT     Four cases (A: mapped as it is, B: promoted to a new anon first):
//
//              upper layer: an anon                   no anon: lower layer, or zero-fill
//            1A  mapped as it is; read-only           2A  the object's page; read-only in a
//                while refs > 1                           private mapping
//            1B  write to an anon with refs > 1:      2B  write to a private mapping, or no object:
//                copied to a new anon                     copied, or zeroed, into a new anon
//
//          Resident pages round the one asked for are mapped as well, by the entry's advice, as far
//          as that costs no I/O and no copy. An entry that is wired has every fault answered with
//          all the rights it permits, as when it was wired.
// LOCKS    Called with nothing held. Takes map (reading), amap, object in that order; anything that
//          has to wait or to write the map lets go of all of them. After the pager has brought a
//          page, the map's timestamp says whether what was looked up still holds; if not, and after
//          every other wait, everything is looked up again ("restart").
// INVARIANTS  An old translation is removed in every space that shares the amap, and the removal
//          complete, before anybody can write the copy that replaces its page: no thread can read
//          the old page after another wrote the new one (NetBSD PR 56535). What covers a page as
//          wired goes on covering the page that takes its place.
// SEE      NetBSD sys/uvm/uvm_fault.c; facts/uvm.md 2.8, 2.9; docs/internals/fault.md.

#ifndef UVM_FAULT_H_
#define UVM_FAULT_H_

#include "uvm/core.h"
#include "uvm/fault_fetch.h"
#include "uvm/fault_info.h"
#include "uvm/loan_break.h"
#include "uvm/map.h"
#include "uvm/page_object.h"
#include "uvm/space.h"
#include "uvm/swap_in.h"

namespace uvm {

// Pages mapped round the one that faults, by advice (facts/uvm.md section 0).
struct FaultWindow {
  uint8_t back;
  uint8_t forward;
};
constexpr FaultWindow FaultWindowOf(Advice advice) {
  switch (advice) {
    case Advice::kNormal:
      return {3, 4};
    case Advice::kSequential:
      return {8, 7};
    default:
      return {0, 0};
  }
}

class FaultHandler final : public WiringDoor {
 public:
  using SpaceList = base::List<Space, &Space::uvm_link>;

  // `spaces`: all there are.
  FaultHandler(Core* core, PageStore* pages, AnonStore* anons, AmapStore* amaps,
               ObjectStore* objects, const SpaceList* spaces)
      : core_(core),
        pages_(pages),
        anons_(anons),
        amaps_(amaps),
        objects_(objects),
        spaces_(spaces),
        page_objects_(core),
        loans_(core, pages),
        fetcher_(core, pages, amaps, objects),
        getter_(core, pages, anons) {}

  // NetBSD: uvm_fault(). On success the map's pmap permits `access` at `va`. `va` need not be
  // aligned. Waits for frames as long as there is hope (FrameDoor).
  Result<void, FaultError> Fault(Map* map, Vaddr va, Access access);
  // The same for a caller that must not wait: kWouldWait when a lock of a map, an amap or an object
  // is not free, or something else that takes time is in the way. Then Fault has yet to be called;
  // nothing was done but what costs nobody anything. Waits for page queues and the pmap, whose
  // holders wait for nothing.
  enum class Prompt : uint8_t { kDone, kWouldWait };
  Result<Prompt, FaultError> FaultPromptly(Map* map, Vaddr va, Access access);
  // The same by the entry's maximum protection (UVM_FAULT_MAXPROT): for debuggers.
  Result<void, FaultError> FaultMaxProt(Map* map, Vaddr va, Access access);

  // The map that spaces' pages may be extracted into and that is in no space. Called once.
  void NoteKernelMap(const Map* map) { kernel_map_ = map; }

  // WiringDoor.
  Result<void, FaultError> FaultWire(Map* map, Range range) override;
  void FaultUnwireLocked(Map* map, Range range) override;
  Result<void, FaultError> FaultIn(Map* map, Vaddr va, Access access) override;

 private:
  enum class Kind : uint8_t { kAccess, kMaxProt, kForCall, kWire };
  // One attempt: done, or locks were dropped and everything is to be looked up again.
  enum class Step : uint8_t { kDone, kAgain };
  struct Attempt {
    FaultInfo info;
    Kind kind = Kind::kAccess;
    bool owed_copy = false;     // the entry owed a copy when the fault began
    bool narrow = false;        // no window (any more): neighbours are mapped once a fault
    bool write = false;         // a write is about to follow, or may without a fault
    bool copy_now = false;      // what can only be written as a copy is copied
    uint64_t mapped = 0;        // pages of the window that had a translation a moment ago
    bool moved = false;         // translations changed, so that Update is due
    Page* pages[kMaxGetPages];  // DontCare() where the upper layer has a page
    bool wiring() const { return kind == Kind::kWire; }
  };
  static constexpr uint32_t kKernelSpace = ~uint32_t{0};  // no space has this number
  // Another entry, wired or not, that covers a slot of a shared amap.
  struct Sharer {
    uint32_t space_id = 0;
    Vaddr va;
    Pmap* pmap = nullptr;
    Prot prot;
    bool wired = false;
  };

  // fault.cc
  Result<void, FaultError> Run(Attempt* a);  // NetBSD: uvm_fault_internal()
  static Step Refuse(Attempt* a) {
    a->info.refused = true;
    return Step::kAgain;
  }
  Result<Step, FaultError> Try(Attempt* a);
  Result<Step, FaultError> Check(Attempt* a);
  Result<Step, FaultError> CopyOwed(Attempt* a);  // NetBSD: uvmfault_amapcopy()
  void CountCase(const Attempt& a, const Anon* anon);
  void ChooseWindow(Attempt* a);
  void DeactivateBehind(Attempt* a);  // NetBSD: uvmfault_anonflush()
  void MapNeighbour(Attempt* a, uint32_t i, Page* page, Prot prot);
  Result<Step, FaultError> EnterAndFinish(Attempt* a, Page* page);
  // fault_upper.cc
  Anon* LookUpUpper(Attempt* a);
  Result<Step, FaultError> Upper(Attempt* a, Anon* anon);
  Result<Step, FaultError> BringIn(Attempt* a, Anon* anon);
  Result<Step, FaultError> CopyUpper(Attempt* a, Anon* old);
  // fault_lower.cc
  bool IsAtHand(const Attempt& a);
  Result<Step, FaultError> Lower(Attempt* a);
  Result<Step, FaultError> LowerSpecial(Attempt* a);
  Result<Step, FaultError> LowerResident(Attempt* a, Page* page);
  Result<Step, FaultError> LowerDirect(Attempt* a, Page* page);
  Result<Page*, FaultError> Fetch(Attempt* a);
  Result<Step, FaultError> Promote(Attempt* a, Page* from);  // NetBSD: uvmfault_promote()
  // fault_replace.cc
  void ForgetOldTranslation(Attempt* a);
  bool CountedHere(const Attempt& a);
  void RevokeFromSharers(Attempt* a, Page* old, Page* fresh, bool counted_here);
  bool NextSharerIn(const Map& map, uint32_t space_id, const FaultInfo& info, Sharer* at);
  bool NextSharer(const FaultInfo& info, Sharer* at);
  void MoveSharer(const Sharer& sharer, Page* old, Page* fresh);
  bool MappedWired(Pmap* pmap, Vaddr va);
  // fault_wire.cc
  uint32_t WiredEntriesOf(const Map& map, const Page* page);
  void CatchUpWirings(Page* page);
  void DropSlotOf(Page* page);
  void UnwirePart(Pmap* pmap, MapEntry* entry, Range part, bool whole);

  Core* const core_;
  PageStore* const pages_;
  AnonStore* const anons_;
  AmapStore* const amaps_;
  ObjectStore* const objects_;
  const SpaceList* const spaces_;
  const Map* kernel_map_ = nullptr;
  PageObjects page_objects_;
  LoanBreaker loans_;
  PageFetcher fetcher_;
  AnonGetter getter_;
};

}  // namespace uvm

#endif  // UVM_FAULT_H_
