// uvm/swap_state_invariants.h: what must hold between owners of pages and the slots of swap.
//
// WHAT     SwapSlotsAgree: the store agrees with itself; each slot in use is one anon's or one
//          object's page's, or bad; what is on swap and not in memory is exactly what counts as
//          only there; a page in memory that is clean holds what its slot holds; a wired page has
//          no slot; contents are lost only after a transfer failed.
// LOCKS    As invariants.h says. Writes may be under way: their pages are busy and left alone.
// SEE      docs/INVARIANTS.md I22; facts/uvm.md 2.13 "Accounting identities", section 7.

#ifndef UVM_SWAP_STATE_INVARIANTS_H_
#define UVM_SWAP_STATE_INVARIANTS_H_

#include "base/text_sink.h"
#include "uvm/uvm.h"

namespace uvm {

// Which clean pages are compared with their slots, byte by byte: all of them, or a sixteenth that
// changes as time goes by.
enum class CleanPages : uint8_t { kAll, kSome };

// True when it holds; else its first counterexample is in *text.
bool SwapSlotsAgree(Uvm* uvm, CleanPages compared, base::TextSink* text);

}  // namespace uvm

#endif  // UVM_SWAP_STATE_INVARIANTS_H_
