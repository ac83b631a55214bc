// uvm/dump.h: every dump of the machine-independent side, one line an object.
//
// WHAT     For panics, failure reports and people. Objects have stable names (space#1 entry#3
//          amap#2 object#1 page#257: a page is named by its frame number, an anon by its page),
//          never host addresses; flags stand by name; spaces, amaps and objects come in the order
//          of birth, entries and slots in the order of addresses. What each line means:
//          docs/internals/dump.md.
// LOCKS    None is taken and none needs to be held: a dump of a broken machine must not get stuck.
//          So it is exact only at quiet points, like the checks of uvm/invariants.h.
// SEE      house rules on dumps: CONTRIBUTING.md; dump_test.cc holds the golden text.

#ifndef UVM_DUMP_H_
#define UVM_DUMP_H_

#include "base/text_sink.h"
#include "uvm/uvm.h"

namespace uvm {

// Everything below, for all that is alive, then the counts of pages. Each part ends with a line
// break.
void Dump(Uvm* uvm, base::TextSink* out);

// NetBSD: uvm_map_printit(). A space, its entries, and the translations its pmap holds.
void DumpSpace(Uvm* uvm, const Space& space, base::TextSink* out);
// An entry without its layers; `number` counts from 1 in its space.
void DumpEntry(const MapEntry& entry, uint32_t number, base::TextSink* out);
// An amap and its anons.
void DumpAmap(const Amap& amap, base::TextSink* out);
// NetBSD: uvm_object_printit(). An object and its resident pages.
void DumpObject(Object* object, base::TextSink* out);
// NetBSD: uvm_page_printit(). The state of one page, within a line.
void DumpPage(const Page& page, base::TextSink* out);

}  // namespace uvm

#endif  // UVM_DUMP_H_
