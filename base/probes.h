// base/probes.h: marks on the branches that a test of this system must have taken, and counts of
// the cases of a fault.
//
// WHAT     Code says core_->probes.Hit(Probe::kX) where it does something rare; whoever owns the
//          machine reads the counts (`vmsim run --probes`, proptests/probes_test.cc). A fault's
//          case is a cell of a matrix: what the page came from, how the entry shares, the access,
//          the state of the page, and whether the entry owed a copy. In the deployable object
//          (UVM_DEPLOYABLE) nothing of it exists.
// LOCKS    As Counters (uvm/core.h).
// INVARIANTS  Nobody in the system reads a count.
// SEE      design D2, D12; house.md 4.9.

#ifndef BASE_PROBES_H_
#define BASE_PROBES_H_

#include <cstdint>

namespace base {

// Name, and what the system did there.
#define BASE_PROBES(X)                                                                    \
  X(FaultRefused, "a fault that must not wait gave up, and was served by a worker")       \
  X(FaultRestarted, "a fault looked everything up again")                                 \
  X(FaultCopiesOwed, "a fault gave an entry that owed a copy its own amap")               \
  X(FaultCopyFails, "there was no memory for that amap")                                  \
  X(FaultDeactivatesBehind, "a sequential reader's pages went behind it")                 \
  X(FaultNeighbourMapped, "a neighbour was entered along")                                \
  X(FaultEnterFails, "the pmap had no memory for a translation")                          \
  X(FaultRewires, "a page of a wired entry came back after its object was cut")           \
  X(FaultWaitsForAnon, "a fault waited for a busy anonymous page")                        \
  X(FaultReadsLentAnon, "a lent anonymous page was mapped without write")                 \
  X(FaultBreaksAnonLoan, "a lent anonymous page was copied for its owner")                \
  X(FaultCopiesSharedAnon, "case 1B of a page that is lent or wired as well")             \
  X(FaultNoFrameForAnon, "there was no frame for a copy")                                 \
  X(FaultWaitsForFrame, "a fault waited for a frame and began again")                     \
  X(FaultReadsLentObjectPage, "a lent page of an object was mapped without write")        \
  X(FaultBreaksObjectLoan, "a lent page of an object was copied for its object")          \
  X(FaultFirstWriteToHole, "the first write to a hole of a file went to the pager")       \
  X(FaultFetches, "a page was fetched from its pager")                                    \
  X(FetchFails, "the pager had no page")                                                  \
  X(FetchComesTooLate, "while a page was fetched the address became somebody else's")     \
  X(FaultByPager, "a device or a window of the buffer cache mapped its page itself")      \
  X(PromoteZero, "a page was filled with zeroes")                                         \
  X(PromoteCopy, "an object's page was copied into the upper layer")                      \
  X(PromoteMovesWiring, "a wiring went over to the copy of its page")                     \
  X(PromoteRevokesSharers, "a copy was made that others see through the same amap")       \
  X(PromoteMovesSharer, "a sharer's translation followed a copy of a wired page")         \
  X(AmapGrowsInPlace, "an amap took more slots within its arrays")                        \
  X(AmapGrowsArrays, "an amap got larger arrays")                                         \
  X(AmapSlotsMove, "the slots of an amap moved to make room")                             \
  X(AmapTooBig, "an amap was too large to grow")                                          \
  X(AmapHasOtherReferers, "an amap could not grow because others refer to it")            \
  X(AmapTakenOver, "an entry that owed a copy was the last to refer, and copied nothing") \
  X(ForkResolvesOwed, "a fork shared what owed a copy, which was made first")             \
  X(ForkOfWired, "a fork copied wired memory at once")                                    \
  X(ForkOfAliases, "a fork copied what two places show as one, for both")                 \
  X(ForkFails, "a fork was taken back")                                                   \
  X(WiringUndone, "a wiring failed half way and was taken back")                          \
  X(WiringRefused, "more was to be wired than may be")                                    \
  X(LendAnonPage, "an anonymous page was lent")                                           \
  X(LendObjectPage, "a page of an object was lent")                                       \
  X(LendZero, "zeroes were lent")                                                         \
  X(LendRefused, "a wired page was not lent")                                             \
  X(SwapInAnon, "an anonymous page came in from swap")                                    \
  X(SwapInObject, "a page of an anonymous object came in from swap")                      \
  X(SwapInFails, "a page could not be read from swap, and is lost")                       \
  X(SwapInTooLate, "while a page was read from swap its last owner went")                 \
  X(RefillRun, "neighbours came along with a refill")                                     \
  X(RefillStraightFromHome, "a page was mapped straight from home")                       \
  X(RefillResent, "a client was sent again what it had given up")                         \
  X(RefillHopeless, "a page was sent too often in vain")                                  \
  X(ShortageDrops, "the pmap forgot mappings to make room in the kernel")

enum class Probe : uint8_t {
#define BASE_PROBE_NAME(name, what) k##name,
  BASE_PROBES(BASE_PROBE_NAME)
#undef BASE_PROBE_NAME
};
#define BASE_PROBE_COUNT(name, what) +1
inline constexpr uint32_t kProbeCount = 0 BASE_PROBES(BASE_PROBE_COUNT);
#undef BASE_PROBE_COUNT

// The matrix of fault cases.
struct FaultCase {
  enum class From : uint8_t { kAnon, kObject, kZero };
  enum class Page : uint8_t { kResident, kAbsent, kLent, kBusy, kWired, kSwapped };
  static constexpr uint32_t kFroms = 3, kPages = 6;
  From from = From::kAnon;
  bool shared = false;  // the mapping: writes are everybody's
  bool write = false;   // the access
  Page page = Page::kResident;
  bool owed_copy = false;  // the entry, when the fault began

  static constexpr uint32_t kCells = kFroms * 2 * 2 * kPages * 2;
  constexpr uint32_t Cell() const {
    uint32_t cell = static_cast<uint32_t>(from);
    cell = cell * 2 + (shared ? 1 : 0);
    cell = cell * 2 + (write ? 1 : 0);
    cell = cell * kPages + static_cast<uint32_t>(page);
    return cell * 2 + (owed_copy ? 1 : 0);
  }
  static constexpr FaultCase OfCell(uint32_t cell) {
    FaultCase c;
    c.owed_copy = cell % 2 != 0;
    c.page = static_cast<Page>(cell / 2 % kPages);
    c.write = cell / 2 / kPages % 2 != 0;
    c.shared = cell / 4 / kPages % 2 != 0;
    c.from = static_cast<From>(cell / 8 / kPages);
    return c;
  }
};

class Probes {
 public:
#ifdef UVM_DEPLOYABLE
  static constexpr void Hit(Probe) {}
  static constexpr bool counts_faults() { return false; }
  static constexpr void HitFault(const FaultCase&) {}
#else
  void Hit(Probe probe) { ++hits_[static_cast<uint32_t>(probe)]; }
  // Off until asked for: finding out a fault's case takes longer than a mark.
  bool counts_faults() const { return counts_faults_; }
  void CountFaults() { counts_faults_ = true; }
  void HitFault(const FaultCase& fault) { ++faults_[fault.Cell()]; }

  uint64_t hits(Probe probe) const { return hits_[static_cast<uint32_t>(probe)]; }
  uint64_t faults(uint32_t cell) const { return faults_[cell]; }

 private:
  bool counts_faults_ = false;
  uint64_t hits_[kProbeCount] = {};
  uint64_t faults_[FaultCase::kCells] = {};
#endif
};

}  // namespace base

#endif  // BASE_PROBES_H_
