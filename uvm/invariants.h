// uvm/invariants.h: every invariant of the machine-independent side, as a named predicate over the
// whole Uvm.
//
// WHAT     FirstViolation() checks all of them in the order of docs/INVARIANTS.md and returns the
//          name of the first that fails, with its first counterexample as text; null when all hold.
//          It changes nothing a run could notice: no bit, no counter, no draw, no time.
// LOCKS    For quiet points: no server thread is inside UVM. NoLockHeld checks that this is so.
// SEE      docs/INVARIANTS.md (number, who maintains it, property, canary); facts/uvm.md section 7.

#ifndef UVM_INVARIANTS_H_
#define UVM_INVARIANTS_H_

#include "base/text_sink.h"
#include "uvm/uvm.h"

namespace uvm {

// The name of the first invariant that does not hold, its counterexample in *text; or null.
const char* FirstViolation(Uvm* uvm, base::TextSink* text);

// One by one, for tests. Each returns true when it holds and writes its counterexample otherwise.
bool ValidMapEntries(Uvm* uvm, base::TextSink* text);
bool LayeredEntries(Uvm* uvm, base::TextSink* text);
bool ValidAmapSlots(Uvm* uvm, base::TextSink* text);
bool ValidAmapRefs(Uvm* uvm, base::TextSink* text);
bool ValidAnonRefs(Uvm* uvm, base::TextSink* text);
bool ValidObjectRefs(Uvm* uvm, base::TextSink* text);
bool ValidObjectPages(Uvm* uvm, base::TextSink* text);
bool ValidPageOwners(Uvm* uvm, base::TextSink* text);
bool ValidFreeFrames(Uvm* uvm, base::TextSink* text);
bool FreeAccounting(Uvm* uvm, base::TextSink* text);
bool ValidPageStates(Uvm* uvm, base::TextSink* text);
bool PagingCount(Uvm* uvm, base::TextSink* text);
bool WiringsAreCounted(Uvm* uvm, base::TextSink* text);
bool NoLockHeld(Uvm* uvm, base::TextSink* text);
// These five walk the pmap's table against the layers.
bool TranslationInsideEntry(Uvm* uvm, base::TextSink* text);
bool TranslationMapsItsPage(Uvm* uvm, base::TextSink* text);
bool RightsWithinProtection(Uvm* uvm, base::TextSink* text);
bool CopyOnWriteIsReadOnly(Uvm* uvm, base::TextSink* text);
bool CleanPagesAreReadOnly(Uvm* uvm, base::TextSink* text);
// The server's own addresses: the kernel maps, and the buffer cache's windows.
bool KernelMappings(Uvm* uvm, base::TextSink* text);
bool ValidWindows(Uvm* uvm, base::TextSink* text);
bool LentPagesAreReadOnly(Uvm* uvm, base::TextSink* text);

}  // namespace uvm

#endif  // UVM_INVARIANTS_H_
