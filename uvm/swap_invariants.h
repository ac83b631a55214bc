// uvm/swap_invariants.h: what must always hold of the swap store and of those who own slots.
//
// WHAT     SwapAccounting says whether the store agrees with itself: each device's tables with its
//          counts, the devices' counts with the sums. That each slot in use is exactly one owner's
//          is for who knows the owners: DebugBeginVisits, DebugVisit and DebugEndVisits of swap.h.
// SEE      docs/INVARIANTS.md; facts/uvm.md 2.13 "Accounting identities", section 7 "Counters".

#ifndef UVM_SWAP_INVARIANTS_H_
#define UVM_SWAP_INVARIANTS_H_

#include "base/text_sink.h"
#include "uvm/swap.h"

namespace uvm {

// True when it holds; else its first counterexample is in *text.
inline bool SwapAccounting(const SwapStore& store, base::TextSink* text) {
  return store.Valid(text);
}

}  // namespace uvm

#endif  // UVM_SWAP_INVARIANTS_H_
