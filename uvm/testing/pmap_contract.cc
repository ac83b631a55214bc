#include "uvm/testing/pmap_contract.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "uvm/testing/pmap_truth.h"

namespace uvm::testing {
namespace {

using base::Access;
using base::Paddr;
using base::PageCount;
using base::Prot;
using base::ProtName;
using base::Range;
using base::Vaddr;

constexpr uint64_t kWordOffset = 0x40;  // of the word that programs use, in its page

std::string HexText(uint64_t value) {
  std::string digits;
  do {
    digits.insert(digits.begin(), "0123456789abcdef"[value & 15]);
    value >>= 4;
  } while (value != 0);
  return "0x" + digits;
}

class ContractRun {
 public:
  ContractRun(PmapMachine& machine, const ContractLimits& limits, ContractCounts* counts)
      : machine_(machine),
        pmap_(machine.system()),
        limits_(limits),
        counts_(counts),
        truth_(limits, limits.kernel_mappings ? machine.system().VirtualSpace() : Range{}) {}

  ContractFailure Run(const std::vector<PmapOp>& ops) {
    machine_.SetWatch([this] { WatchStep(); });
    SetUp();
    for (op_index_ = 0; op_index_ < ops.size() && !failure_; ++op_index_) {
      Apply(ops[op_index_]);
      if (!failure_) CheckEverything();
    }
    if (!failure_) TearDown();
    machine_.SetWatch(nullptr);
    return failure_;
  }

 private:
  void Fail(PmapRule rule, const std::string& text) {
    if (failure_) return;
    failure_ = {rule, text, op_index_};
  }

  void SetUp() {
    for (uint32_t i = 0; i < limits_.clients; ++i) pmaps_.push_back(machine_.NewClient(i));
    uint32_t segments = pmap_.segment_count();
    for (uint32_t i = 0; i < limits_.frames; ++i) {
      Paddr pa = pmap_.segment(i % segments).start + (i / segments) * base::kPageSize;
      truth_.frames().push_back({.pa = pa});
    }
    for (Paddr pa : machine_.Unmanaged()) truth_.frames().push_back({.pa = pa, .managed = false});
    for (TruthFrame& frame : truth_.frames()) {
      frame.word = ++last_word_;
      SetWord(frame.pa, frame.word);
    }
    if (!limits_.kernel_mappings) return;
    pmaps_.push_back(pmap_.Kernel());
    Vaddr end = truth_.RangeOf(truth_.kernel(), 0, limits_.pages).end;
    machine_.Call([&] {
      if (pmap_.GrowKernel(end) < end) {
        Fail(PmapRule::kModuleIsSound, "GrowKernel returned less than it was asked for");
      }
    });
  }

  // ---- Memory ----

  uint64_t WordOf(Paddr pa) {
    uint64_t word = 0;
    std::memcpy(&word, machine_.Memory(pa) + kWordOffset, sizeof word);
    return word;
  }
  void SetWord(Paddr pa, uint64_t word) {
    std::memcpy(machine_.Memory(pa) + kWordOffset, &word, sizeof word);
  }

  // ---- What an access may and must do ----

  struct Expected {
    std::vector<Usable> may;
    bool must = false;  // the entry alone suffices, and nothing happens meanwhile
  };
  Expected Expect(uint32_t space, uint32_t page, Access access) {
    const Place& place = truth_.At(space, page);
    Expected expected{truth_.MayUse(place)};
    Prot wanted = base::ProtFor(access);
    std::erase_if(expected.may, [&](const Usable& u) { return !wanted.IsSubsetOf(u.prot); });
    expected.must = place.entry && wanted.IsSubsetOf(limits_.usable(place.entry->prot));
    return expected;
  }

  std::string Where(uint32_t space, uint32_t page) {
    return (space == truth_.kernel() ? "kernel" : "c" + std::to_string(space)) + " p" +
           std::to_string(page);
  }
  static std::string Show(const Usable& u) {
    return HexText(u.pa.value()) + " " + ProtName(u.prot);
  }

  // The access has been made; `during`: a call went on at the same time.
  void CheckAccess(uint32_t space, uint32_t page, const PmapMachine::Touch& touch,
                   const Expected& expected, bool during) {
    if (counts_ != nullptr) ++(touch.done ? counts_->accesses_done : counts_->accesses_refused);
    if (!touch.done) {
      CheckUntouched();
      bool tried = limits_.write_faults_modify && touch.access == Access::kWrite;
      if (tried && (during || limits_.may_fail)) {
        for (const Usable& u : expected.may) {
          TruthFrame* frame = truth_.FrameOf(u.pa);
          if (frame != nullptr && frame->modified == Known::kNo) frame->modified = Known::kMaybe;
        }
      }
      if (expected.must && !during) CheckRefusal(space, page);
      return;
    }
    if (touch.access == Access::kExecute) {
      if (expected.may.empty()) BlameAccess(space, page, Paddr(), touch);
      return MarkFetch(expected, during);
    }
    // Words of two frames may be equal, after CopyPage; one that is permitted is then meant.
    TruthFrame* reached = nullptr;
    uint32_t permitted = 0;
    for (TruthFrame& frame : truth_.frames()) {
      bool hit =
          touch.access == Access::kRead ? frame.word == touch.word : WordOf(frame.pa) == touch.word;
      if (!hit) continue;
      bool may = std::any_of(expected.may.begin(), expected.may.end(),
                             [&frame](const Usable& u) { return u.pa == frame.pa; });
      if (may || permitted == 0) reached = &frame;
      permitted += may ? 1 : 0;
    }
    if (reached == nullptr && !expected.may.empty()) {
      return Fail(PmapRule::kAccessReachesItsPage,
                  Where(space, page) + ": the access reached none of the frames");
    }
    if (permitted == 0) {
      return BlameAccess(space, page, reached == nullptr ? Paddr() : reached->pa, touch);
    }
    if (touch.access == Access::kWrite) reached->word = touch.word;
    Mark(space, reached, touch.access, during || permitted > 1);
    CheckUntouched();
  }

  void BlameAccess(uint32_t space, uint32_t page, Paddr pa, const PmapMachine::Touch& touch) {
    const Place& place = truth_.At(space, page);
    PmapRule rule = truth_.Judge(place, pa, base::ProtFor(touch.access))
                        .value_or(PmapRule::kAccessReachesItsPage);
    if (pa == Paddr() && !place.past.empty() && !place.entry) {
      rule = PmapRule::kUpdateEndsOldTranslations;
    }
    Fail(rule, Where(space, page) + ": " + ProtName(base::ProtFor(touch.access)) +
                   " access to frame " + HexText(pa.value()) + " succeeded; the table has " +
                   (place.entry ? Show({place.entry->pa, place.entry->prot}) : "nothing"));
  }

  void CheckUntouched() {
    for (const TruthFrame& frame : truth_.frames()) {
      if (WordOf(frame.pa) == frame.word) continue;
      Fail(PmapRule::kAccessReachesItsPage,
           "frame " + HexText(frame.pa.value()) + " was written by nobody who may");
    }
  }

  // A permitted access was refused: only what was forgotten, or what has no memory, excuses it.
  void CheckRefusal(uint32_t space, uint32_t page) {
    const Place& place = truth_.At(space, page);
    bool there = false;
    machine_.Call([&] { there = pmap_.Extract(pmaps_[space], truth_.VaOf(space, page), nullptr); });
    if (!there && place.entry->wired == Wired::kYes) {
      return Fail(PmapRule::kWiredStays, Where(space, page) + ": a wired mapping is gone");
    }
    if (there ? limits_.may_fail : limits_.may_forget) return;
    Fail(PmapRule::kAccessReachesItsPage, Where(space, page) +
                                              ": the access was refused; the table has " +
                                              Show({place.entry->pa, place.entry->prot}));
  }

  void Mark(uint32_t space, TruthFrame* frame, Access access, bool during) {
    if (!frame->managed || (space == truth_.kernel() && page_ < limits_.pages / 2)) return;
    // A call at the same time may have cleared what the access set, or come before it.
    Known set = during ? Known::kMaybe : Known::kYes;
    auto raise = [set](Known* bit) {
      if (*bit != Known::kYes || set == Known::kMaybe) *bit = set;
    };
    if (during && !clears_) set = Known::kYes;
    raise(&frame->referenced);
    if (access != Access::kWrite) return;
    raise(&frame->modified);
    frame->since = Since::kNothing;
  }
  // Nothing tells which frame a fetch reached.
  void MarkFetch(const Expected& expected, bool during) {
    Known set = expected.may.size() > 1 || (during && clears_) ? Known::kMaybe : Known::kYes;
    for (const Usable& u : expected.may) {
      TruthFrame* frame = truth_.FrameOf(u.pa);
      if (frame != nullptr && frame->managed && frame->referenced == Known::kNo) {
        frame->referenced = set;
      }
    }
  }

  // ---- Steps ----

  void WatchStep() {
    if (failure_) return;
    if (counts_ != nullptr) ++counts_->steps_watched;
    for (uint32_t space = 0; space < limits_.clients; ++space) {
      machine_.ForEachUsable(space, [&](Vaddr va, Paddr pa, Prot prot) {
        uint32_t page = 0;
        if (!truth_.PageOf(space, va, &page)) {
          return Fail(PmapRule::kRightsWithinLastEntered,
                      "c" + std::to_string(space) + " holds " + HexText(va.value()));
        }
        std::optional<PmapRule> broken = truth_.Judge(truth_.At(space, page), pa, prot);
        if (broken) {
          const Place& place = truth_.At(space, page);
          Fail(*broken, Where(space, page) + " holds " + Show({pa, prot}) + "; the table has " +
                            (place.entry ? Show({place.entry->pa, place.entry->prot}) : "nothing"));
        }
      });
    }
  }

  // ---- After each op ----

  void CheckEverything() {
    for (uint32_t space = 0; space < pmaps_.size() && !failure_; ++space) CheckTable(space);
    if (!failure_) WatchStep();
    std::string problem = machine_.Problem();
    if (!problem.empty()) Fail(PmapRule::kModuleIsSound, problem);
  }

  void CheckTable(uint32_t space) {
    std::vector<std::optional<PmapSystem::Mapping>> found(limits_.pages);
    PmapSystem::Mapping at;
    uint64_t mappings = 0;
    for (Vaddr from(0); pmap_.PeekNext(pmaps_[space], from, &at); from = at.va + base::kPageSize) {
      uint32_t page = 0;
      ++mappings;
      if (truth_.PageOf(space, at.va, &page)) {
        found[page] = at;
      } else if (space != truth_.kernel()) {
        return Fail(PmapRule::kExtractAgreesAtOnce, "a mapping at " + HexText(at.va.value()));
      }
    }
    for (uint32_t page = 0; page < limits_.pages && !failure_; ++page) {
      ComparePlace(space, page, found[page]);
    }
    if (failure_ || space == truth_.kernel()) return;
    if (pmap_.ResidentCount(pmaps_[space]) != PageCount(mappings)) {
      Fail(PmapRule::kReplacementMovesOne,
           "c" + std::to_string(space) + ": resident_count " +
               std::to_string(pmap_.ResidentCount(pmaps_[space]).value()) + " of " +
               std::to_string(mappings));
    }
    if (pmap_.WiredCount(pmaps_[space]) != truth_.WiredPages(space)) {
      Fail(PmapRule::kWiredCountIsExact,
           "c" + std::to_string(space) + ": wired_count " +
               std::to_string(pmap_.WiredCount(pmaps_[space]).value()) + " of " +
               std::to_string(truth_.WiredPages(space).value()));
    }
  }

  void ComparePlace(uint32_t space, uint32_t page,
                    const std::optional<PmapSystem::Mapping>& found) {
    const std::optional<TruthEntry>& entry = truth_.At(space, page).entry;
    if (!entry && !found) return;
    std::string where = Where(space, page);
    if (!found) return Missing(space, page);
    std::string what = where + ": the module has " + Show({found->pa, found->prot});
    if (!entry) {
      return Fail(
          failed_enter_ ? PmapRule::kFailureLeavesNothingWrong : PmapRule::kExtractAgreesAtOnce,
          what + ", the contract nothing");
    }
    what += ", the contract " + Show({entry->pa, entry->prot});
    if (found->pa != entry->pa) return Fail(PmapRule::kReplacementMovesOne, what);
    if (!found->prot.IsSubsetOf(entry->prot)) return Fail(PmapRule::kRightsWithinLastEntered, what);
    if (found->prot != entry->prot && !limits_.may_forget) {
      return Fail(PmapRule::kNothingIsLostWithoutNeed, what);
    }
    if (found->wired != entry->wired) {
      Fail(entry->wired == Wired::kYes ? PmapRule::kWiredStays : PmapRule::kWiredCountIsExact,
           what + ", but for wiring");
    }
  }

  void Missing(uint32_t space, uint32_t page) {
    const TruthEntry& entry = *truth_.At(space, page).entry;
    std::string what = Where(space, page) + ": " + Show({entry.pa, entry.prot}) + " is gone";
    if (entry.wired == Wired::kYes) {
      return Fail(write_protected_ ? PmapRule::kWriteProtectKeepsMappings : PmapRule::kWiredStays,
                  what);
    }
    if (!limits_.may_forget && !failed_enter_) {
      return Fail(write_protected_ ? PmapRule::kWriteProtectKeepsMappings
                                   : PmapRule::kNothingIsLostWithoutNeed,
                  what);
    }
    if (counts_ != nullptr) ++counts_->forgotten;
    truth_.Forget(space, page);
  }

  // ---- Status ----

  void CheckModified(TruthFrame* frame, bool says) {
    if (limits_.wired_writable_reads_modified && truth_.HasWiredWriter(frame->pa)) {
      if (says && frame->modified == Known::kNo) frame->modified = Known::kMaybe;
    }
    if (frame->modified == Known::kMaybe) {
      frame->modified = says ? Known::kYes : Known::kNo;
      return;
    }
    if ((frame->modified == Known::kYes) == says) return;
    PmapRule rule = frame->since == Since::kDropped   ? PmapRule::kForgettingKeepsStatus
                    : frame->since == Since::kNothing ? PmapRule::kWritesAreSeen
                                                      : PmapRule::kStatusBelongsToTheFrame;
    Fail(rule, "frame " + HexText(frame->pa.value()) + (says ? " reads as" : " does not read as") +
                   " modified");
  }
  void CheckReferenced(TruthFrame* frame, bool says) {
    if (frame->referenced == Known::kMaybe) {
      frame->referenced = says ? Known::kYes : Known::kNo;
    } else if (frame->referenced == Known::kYes && !says && limits_.never_misses_a_read) {
      Fail(PmapRule::kReferencesAreSeen,
           "frame " + HexText(frame->pa.value()) + " does not read as referenced");
    }
  }
  void ClearedModify(TruthFrame* frame) {
    frame->modified = limits_.wired_writable_reads_modified && truth_.HasWiredWriter(frame->pa)
                          ? Known::kMaybe
                          : Known::kNo;
    frame->since = Since::kNothing;
  }

  // ---- Ops ----

  // The module's call, with the op's overlapping access, if any. Contents that are written page by
  // page may be written over.
  void Call(const PmapOp& op, const std::function<void()>& call) {
    if (counts_ != nullptr) ++counts_->done[static_cast<size_t>(op.call)];
    bool writes = op.call == PmapCall::kZeroPage || op.call == PmapCall::kCopyPage;
    if (!op.overlaps || writes) return machine_.Call(call);
    uint32_t space = op.overlap_space % limits_.clients;
    uint32_t page = op.overlap_page % limits_.pages;
    Expected expected = Expect(space, page, op.overlap_access);
    PmapMachine::Touch touch{.client = space,
                             .va = truth_.VaOf(space, page) + kWordOffset,
                             .access = op.overlap_access,
                             .word = ++last_word_};
    clears_ = op.call == PmapCall::kClearModify || op.call == PmapCall::kClearReference;
    machine_.Overlap(call, &touch);
    CheckAccess(space, page, touch, expected, /*during=*/true);
  }

  static bool MayBeKernels(PmapCall call) {
    return call == PmapCall::kEnter || call == PmapCall::kRemove || call == PmapCall::kProtect ||
           call == PmapCall::kUnwire || call == PmapCall::kExtract || call == PmapCall::kUpdate ||
           call == PmapCall::kKernelLoad || call == PmapCall::kKernelStore;
  }

  void Apply(const PmapOp& op) {
    write_protected_ = failed_enter_ = false;
    space_ = op.space % limits_.clients;
    page_ = op.page % limits_.pages;
    // The upper half of the kernel's pages is for managed mappings, the lower one for Kenter.
    uint32_t half = limits_.pages / 2;
    if (limits_.kernel_mappings && op.space == limits_.clients && MayBeKernels(op.call)) {
      space_ = truth_.kernel();
      page_ = half + op.page % half;
    }
    if (op.call == PmapCall::kKenter || op.call == PmapCall::kKremove) page_ %= half;
    count_ = std::min<uint32_t>(op.count, limits_.pages - page_);
    frame_ = &truth_.frames()[op.frame % truth_.frames().size()];
    if (op.call >= PmapCall::kPageProtect && op.call <= PmapCall::kCopyPage) {
      if (frame_->managed) ApplyToFrame(op);
    } else if (op.call == PmapCall::kKenter || op.call == PmapCall::kKremove) {
      if (limits_.kernel_mappings) ApplyToKernel(op);
    } else if (op.call >= PmapCall::kLoad) {
      ApplyAccess(op);
    } else {
      ApplyToSpace(op);
    }
  }

  void ApplyToSpace(const PmapOp& op) {
    Pmap* pmap = pmaps_[space_];
    Range range = truth_.RangeOf(space_, page_, count_);
    switch (op.call) {
      case PmapCall::kEnter:
        return Enter(op);
      case PmapCall::kRemove:
      case PmapCall::kProtect:
        return Lower(op, range);
      case PmapCall::kUnwire:
        return Unwire(op);
      case PmapCall::kExtract:
        return Extract(op);
      case PmapCall::kUpdate:
        Call(op, [&] { pmap_.Update(pmap); });
        return truth_.EndUpdate(space_);
      case PmapCall::kCopy:
        return Copy(op);
      case PmapCall::kActivate:
        return Call(op, [&] {
          pmap_.Activate(pmap);
          pmap_.Deactivate(pmap);
        });
      case PmapCall::kRecreate:
        return Recreate(op);
      case PmapCall::kReference:
        return Call(op, [&] {
          pmap_.Reference(pmap);
          pmap_.Destroy(pmap);
        });
      default:
        return Call(op, [&] { pmap_.ProcWrite(pmap, range.start, range.size()); });
    }
  }

  void Enter(const PmapOp& op) {
    Prot prot = op.prot | base::kProtRead;
    Prot access = base::ProtFor(op.access);
    if (!access.IsSubsetOf(prot)) access = base::kProtNone;
    std::optional<TruthEntry> old = truth_.At(space_, page_).entry;
    truth_.Enter(space_, page_, {frame_->pa, prot, op.wired, frame_->managed}, access);
    bool ok = false;
    Paddr at;
    bool there = false;
    Vaddr va = truth_.VaOf(space_, page_);
    Call(op, [&] {
      ok = pmap_
               .Enter(pmaps_[space_], va, frame_->pa, prot,
                      {.access = access,
                       .wired = op.wired,
                       .can_fail = limits_.may_fail ? CanFail::kYes : CanFail::kNo})
               .ok();
      there = pmap_.Extract(pmaps_[space_], va, &at);
    });
    if (ok) {
      bool forgotten = !there && op.wired == Wired::kNo && limits_.may_forget;
      if (!forgotten && (!there || at != frame_->pa)) {
        Fail(PmapRule::kExtractAgreesAtOnce, Where(space_, page_) + ": not what was entered");
      }
      return Seed(access);
    }
    if (counts_ != nullptr) ++counts_->enters_failed;
    failed_enter_ = true;
    if (!limits_.may_fail) {
      return Fail(PmapRule::kNothingIsLostWithoutNeed, Where(space_, page_) + ": enter failed");
    }
    // A mapping to the same page may have stayed as it was, or be gone.
    Place& place = truth_.At(space_, page_);
    place.entry = old && old->pa == frame_->pa && there ? old : std::nullopt;
    if (there && at != frame_->pa) {
      Fail(PmapRule::kFailureLeavesNothingWrong,
           Where(space_, page_) + ": frame " + HexText(at.value()) + " is left");
    }
  }

  // An access was made while a managed page was entered.
  void Seed(Prot access) {
    if (!limits_.enter_seeds || !frame_->managed || access.IsNone()) return;
    frame_->referenced = Known::kYes;
    if (!access.CanWrite()) return;
    frame_->modified = Known::kYes;
    frame_->since = Since::kNothing;
  }

  void Lower(const PmapOp& op, Range range) {
    bool remove = op.call == PmapCall::kRemove;
    for (uint32_t i = 0; i < count_; ++i) {
      truth_.Take(space_, page_ + i, remove ? base::kProtNone : op.prot);
    }
    Call(op, [&] {
      if (remove) {
        pmap_.Remove(pmaps_[space_], range);
      } else {
        pmap_.Protect(pmaps_[space_], range, op.prot);
      }
    });
  }

  void Unwire(const PmapOp& op) {
    std::optional<TruthEntry>& entry = truth_.At(space_, page_).entry;
    if (!entry || entry->wired == Wired::kNo) return;
    entry->wired = Wired::kNo;
    Call(op, [&] { pmap_.Unwire(pmaps_[space_], truth_.VaOf(space_, page_)); });
  }

  void Extract(const PmapOp& op) {
    bool there = false;
    Paddr pa;
    Call(op, [&] {
      there = pmap_.Extract(pmaps_[space_], truth_.VaOf(space_, page_), &pa);
      if (there != pmap_.Extract(pmaps_[space_], truth_.VaOf(space_, page_), nullptr)) pa = {};
    });
    const std::optional<TruthEntry>& entry = truth_.At(space_, page_).entry;
    if (!there && entry && entry->wired == Wired::kNo && limits_.may_forget) return;
    if (there != entry.has_value() || (there && pa != entry->pa)) {
      Fail(PmapRule::kExtractAgreesAtOnce,
           Where(space_, page_) + ": extract says " + (there ? HexText(pa.value()) : "nothing") +
               ", entered was " + (entry ? HexText(entry->pa.value()) : "nothing"));
    }
  }

  // Advice: whatever comes along must be unwired and no more than the source has.
  void Copy(const PmapOp& op) {
    uint32_t from = op.other % limits_.clients;
    if (from == space_) return;
    Range range = truth_.RangeOf(space_, page_, count_);
    std::vector<std::optional<TruthEntry>> before(limits_.pages);
    for (uint32_t i = page_; i < page_ + count_; ++i) {
      Place& place = truth_.At(space_, i);
      const std::optional<TruthEntry>& source = truth_.At(from, i).entry;
      before[i] = place.entry;
      // A watcher may see it as soon as the call has begun.
      if (!place.entry && source) place.inflight.push_back({source->pa, source->prot});
    }
    Call(op,
         [&] { pmap_.Copy(pmaps_[space_], pmaps_[from], range.start, range.size(), range.start); });
    for (uint32_t i = page_; i < page_ + count_; ++i) {
      Place& place = truth_.At(space_, i);
      place.inflight.clear();
      PmapSystem::Mapping got;
      const std::optional<TruthEntry>& source = truth_.At(from, i).entry;
      if (place.entry || !source || !pmap_.PeekNext(pmaps_[space_], truth_.VaOf(space_, i), &got) ||
          got.va != truth_.VaOf(space_, i)) {
        continue;
      }
      if (got.pa == source->pa && got.prot.IsSubsetOf(source->prot) && got.wired == Wired::kNo) {
        place.entry = TruthEntry{got.pa, got.prot, Wired::kNo, source->managed};
      }
    }
  }

  void Recreate(const PmapOp& op) {
    uint32_t space = space_;
    bool programs_first = op.other % 2 == 0;
    if (programs_first) machine_.EndClient(space);
    Range all = truth_.RangeOf(space, 0, limits_.pages);
    for (uint32_t page = 0; page < limits_.pages; ++page) truth_.Take(space, page, base::kProtNone);
    if (counts_ != nullptr) ++counts_->done[static_cast<size_t>(op.call)];
    machine_.Call([&] {
      Pmap* pmap = pmaps_[space];
      if (!pmap_.RemoveAll(pmap)) pmap_.Remove(pmap, all);
      pmap_.Update(pmap);
      truth_.EndUpdate(space);
      WatchStep();
      pmap_.Destroy(pmap);
    });
    if (!programs_first) machine_.EndClient(space);
    truth_.Clear(space);
    pmaps_[space] = machine_.NewClient(space);
  }

  void ApplyToKernel(const PmapOp& op) {
    uint32_t kernel = truth_.kernel();
    Vaddr va = truth_.VaOf(kernel, page_);
    if (op.call == PmapCall::kKenter) {
      if (truth_.At(kernel, page_).entry) return;
      Prot prot = (op.prot | base::kProtRead) - base::kProtExecute;
      truth_.Enter(kernel, page_, {frame_->pa, prot, Wired::kYes, /*managed=*/false},
                   base::kProtNone);
      return Call(op, [&] { pmap_.KenterPa(va, frame_->pa, prot, CacheMode::kDefault); });
    }
    count_ = std::min(count_, limits_.pages / 2 - page_);
    for (uint32_t i = 0; i < count_; ++i) truth_.Take(kernel, page_ + i, base::kProtNone);
    Call(op, [&] { pmap_.Kremove(truth_.RangeOf(kernel, page_, count_)); });
  }

  void ApplyToFrame(const PmapOp& op) {
    Paddr pa = frame_->pa;
    TruthFrame* frame = frame_;
    bool says = false;
    switch (op.call) {
      case PmapCall::kPageProtect:
        truth_.PageProtect(pa, op.prot);
        Call(op, [&] { pmap_.PageProtect(pa, op.prot); });
        write_protected_ = op.prot.CanRead();
        return truth_.EndPageProtect();
      case PmapCall::kIsModified:
        Call(op, [&] { says = pmap_.IsModified(pa); });
        return op.overlaps ? void() : CheckModified(frame, says);
      case PmapCall::kIsReferenced:
        Call(op, [&] { says = pmap_.IsReferenced(pa); });
        return op.overlaps ? void() : CheckReferenced(frame, says);
      case PmapCall::kClearModify: {
        Known before = frame->modified;
        if (op.overlaps) ClearedModify(frame);
        Call(op, [&] { says = pmap_.ClearModify(pa); });
        if (op.overlaps) return;
        frame->modified = before;
        CheckModified(frame, says);
        return ClearedModify(frame);
      }
      case PmapCall::kClearReference:
        if (op.overlaps) frame->referenced = Known::kNo;
        Call(op, [&] { says = pmap_.ClearReference(pa); });
        if (op.overlaps) return;
        CheckReferenced(frame, says);
        frame->referenced = Known::kNo;
        return;
      case PmapCall::kZeroPage:
        frame->word = 0;
        return Call(op, [&] { pmap_.ZeroPage(pa); });
      default: {
        TruthFrame* from = &truth_.frames()[op.other % limits_.frames];
        if (from == frame) return;
        frame->word = from->word;
        return Call(op, [&] { pmap_.CopyPage(from->pa, pa); });
      }
    }
  }

  void ApplyAccess(const PmapOp& op) {
    if (op.call == PmapCall::kTrickFlush || op.call == PmapCall::kTrickShare) {
      if (counts_ != nullptr) ++counts_->done[static_cast<size_t>(op.call)];
      return machine_.Trick(space_, truth_.VaOf(space_, page_), op.call);
    }
    bool in_kernel = op.call == PmapCall::kKernelLoad || op.call == PmapCall::kKernelStore;
    uint32_t space = in_kernel ? truth_.kernel() : space_;
    if (in_kernel && space_ != space) page_ %= limits_.pages / 2;
    Access access = op.call == PmapCall::kFetch ? Access::kExecute
                    : op.call == PmapCall::kStore || op.call == PmapCall::kKernelStore
                        ? Access::kWrite
                        : Access::kRead;
    Expected expected = Expect(space, page_, access);
    PmapMachine::Touch touch{.client = space,
                             .va = truth_.VaOf(space, page_) + kWordOffset,
                             .access = access,
                             .word = ++last_word_};
    if (!in_kernel) {
      machine_.Access(&touch);
    } else {
      // A server that uses an address it has not mapped is broken; only its own mappings count.
      if (!limits_.kernel_mappings || !expected.must) return;
      machine_.Call([&] { pmap_.Update(pmaps_[space]); });
      truth_.EndUpdate(space);
      touch.done = machine_.KernelAccess(touch.va, access, &touch.word);
    }
    if (counts_ != nullptr) ++counts_->done[static_cast<size_t>(op.call)];
    CheckAccess(space, page_, touch, expected, /*during=*/false);
  }

  // ---- The end ----

  void CheckAllStatus() {
    for (TruthFrame& frame : truth_.frames()) {
      if (!frame.managed || failure_) continue;
      bool modified = false;
      bool referenced = false;
      machine_.Call([&] {
        modified = pmap_.IsModified(frame.pa);
        referenced = pmap_.IsReferenced(frame.pa);
      });
      CheckModified(&frame, modified);
      CheckReferenced(&frame, referenced);
    }
  }

  void TearDown() {
    if (last_word_ % 2 == 0) CheckAllStatus();
    for (uint32_t space = 0; space < limits_.clients && !failure_; ++space) {
      space_ = space;
      Recreate({.call = PmapCall::kRecreate, .other = static_cast<uint8_t>(space)});
      if (!failure_) CheckEverything();
    }
    if (limits_.kernel_mappings && !failure_) {
      for (uint32_t i = 0; i < limits_.pages; ++i) truth_.Take(truth_.kernel(), i, base::kProtNone);
      uint32_t half = limits_.pages / 2;
      machine_.Call([&] {
        pmap_.Kremove(truth_.RangeOf(truth_.kernel(), 0, half));
        pmap_.Remove(pmap_.Kernel(), truth_.RangeOf(truth_.kernel(), half, limits_.pages - half));
        pmap_.Update(pmap_.Kernel());
      });
    }
    if (!failure_) CheckAllStatus();
    if (!failure_) CheckEverything();
  }

  PmapMachine& machine_;
  PmapSystem& pmap_;
  const ContractLimits limits_;
  ContractCounts* const counts_;
  PmapTruth truth_;
  std::vector<Pmap*> pmaps_;  // by space
  ContractFailure failure_;
  size_t op_index_ = 0;
  uint64_t last_word_ = 0x1000;  // unique words for stores
  // Of the op that is being applied.
  uint32_t space_ = 0;
  uint32_t page_ = 0;
  uint32_t count_ = 1;
  TruthFrame* frame_ = nullptr;
  bool write_protected_ = false;
  bool failed_enter_ = false;
  bool clears_ = false;
};

}  // namespace

const char* PmapRuleName(PmapRule rule) {
  constexpr const char* kNames[kPmapRules] = {
      "ForgettingKeepsStatus",
      "WiredStays",
      "UpdateEndsOldTranslations",
      "RightsWithinLastEntered",
      "WritesAreSeen",
      "StatusBelongsToTheFrame",
      "WriteProtectKeepsMappings",
      "ReplacementMovesOne",
      "WiredCountIsExact",
      "FailureLeavesNothingWrong",
      "ExtractAgreesAtOnce",
      "ReferencesAreSeen",
      "AccessReachesItsPage",
      "NothingIsLostWithoutNeed",
      "ModuleIsSound",
  };
  return kNames[static_cast<size_t>(rule)];
}

ContractFailure RunPmapOps(PmapMachine& machine, const ContractLimits& limits,
                           const std::vector<PmapOp>& ops, ContractCounts* counts) {
  return ContractRun(machine, limits, counts).Run(ops);
}

}  // namespace uvm::testing
