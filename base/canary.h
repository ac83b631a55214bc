// base/canary.h: deliberate bugs that the harness must find, and nobody else can have.
//
// WHAT     A CanarySwitch names the one bug that is armed, normally none. It is owned by the
//          machine object; code that hosts a canary asks Armed(). In the deployable object
//          (UVM_DEPLOYABLE) the answer is a constant false and the buggy branch disappears.
// SEE      house.md 4.9 "Canaries"; proptests/canary_test.cc, which says how fast each is caught
//          and by which rule.

#ifndef BASE_CANARY_H_
#define BASE_CANARY_H_

#include <cstdint>

namespace base {

enum class Canary : uint8_t {
  kNone,
  kForkSkipsWriteProtect,    // fork leaves the parent's writable translations in place
  kSplitLosesAmapReference,  // clipping an entry forgets to take the second reference
  kStaleAfterProtect,        // protect lowers the entry but not the translations
  kPromoteFromWrongLayer,    // a 1B copy is made from the object page instead of the anon's
  kInheritanceSwapped,       // fork treats SHARE as COPY and COPY as SHARE
  kUnmapMissesOneSpace,      // page_protect(NONE) forgets one of the mappings of a page
  kNeedsCopyClearedEarly,    // amap_copy clears needs-copy of a shared amap without copying
  kAnonReferenceLeaked,      // unmap drops the amap but not its anons
  kRefillIgnoresRights,      // a refill sends read-write whatever the table says
  kZeroFillSkipped,          // a fresh anonymous page keeps its frame's old bytes
  kUpdateForgets,            // pmap_update drops the unmaps that waited for it
  kReenterKeepsOldFrame,     // entering another frame leaves the client with the old one
  kShortageDropsWired,       // short of mapping memory, the pmap forgets wired mappings, too
  kCleanKeepsWritable,       // a page that was written back counts as clean and stays writable
  kPromotionKeepsSharers,    // a copy of an object's page leaves the other sharers the old one
  kWritesBehindStamps,       // zeroing a page changes the one zeroed before, which nobody counts
  kObserverTakesTime,        // asking the machine what it spent costs time
  kCrashesTheProcess,        // a mapping that grows writes through a wild pointer
  kHangsTheProcess,          // mlockall never comes back, and not because a thread waits
  kLosesWakeUp,              // a fault of the kernel's while a call is answered loses the answer
  // Nobody sees this while one client runs at a time.
  kFaultSkipsAmapLock,       // a fault works on the upper layer without its lock
  // These need swap, and memory that is short.
  kPageoutForgetsDirty,      // a dirty page that has a slot is freed as if it were clean
  kSlotFreedTwice,           // a slot that is given back is given back again
  kSwapReadsWrongSlot,       // a page is read from the slot after its own
  kDaemonSkipsOwnerLock,     // the page daemon takes a victim without its owner's lock
  kWaiterNotWoken,           // who waits for frames is not woken when there are some
  kFreedFrameIsLost,         // a freed frame is in no queue, and never comes back
};
inline constexpr int kCanaryCount = 28;

class CanarySwitch {
 public:
#ifdef UVM_DEPLOYABLE
  static constexpr bool Armed(Canary) { return false; }
#else
  bool Armed(Canary canary) const { return armed_ == canary; }
  void Arm(Canary canary) { armed_ = canary; }

 private:
  Canary armed_ = Canary::kNone;
#endif
};

}  // namespace base

#endif  // BASE_CANARY_H_
