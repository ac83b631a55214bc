// model/presence.h: whether there is a page to be had: what accesses, wiring and copying meet where
// an object has no page.
//
// WHAT     A page of a region is there when its layer owns it or its base has it. Whether a page
//          that MADV_FREE left open is still owned shows when the base has none below it: the
//          access succeeds or fails, and both are right until then.
// SEE      facts/uvm.md 1.5, 1.7, 2.14; docs/DIFFERENCES.md (past-the-end-faults).

#ifndef MODEL_PRESENCE_H_
#define MODEL_PRESENCE_H_

#include <cstdint>

#include "base/prot.h"
#include "model/objects.h"
#include "model/space.h"

namespace model {

// For loads (and fetches) or stores by a mapping's own rights.
Presence PresenceFor(const Region& region, uint64_t va, base::Access access,
                     const FileTable& files);

// Why a page cannot be had.
enum class Lack : uint8_t { kNothing, kPastEnd, kDevice };

// What a walk over pages in ascending order meets.
struct Walk {
  Lack lack = Lack::kNothing;      // at the first page that surely cannot be had
  Lack doubtful = Lack::kNothing;  // of the first page before that of which nobody can tell
};

// Which of the pages in [start, end) are faulted in: those of regions that are not wired and have
// rights (wiring), or that have none (mprotect with rights, after mlockall(MCL_FUTURE)).
enum class WireWhat : uint8_t { kWithRights, kWithoutRights };
Walk WalkToWire(const Space& space, uint64_t start, uint64_t end, WireWhat what, base::Prot prot,
                const FileTable& files);

// The pages of [start, end), all mapped, are copied. Nobody copies the frames of a device.
Walk WalkToCopy(const Space& space, uint64_t start, uint64_t end, const FileTable& files);

}  // namespace model

#endif  // MODEL_PRESENCE_H_
