// Invariants of the server's own addresses.

#include "uvm/invariants.h"

namespace uvm {

using base::TextSink;

bool KernelMappings(Uvm* uvm, TextSink* text) {
  KernelMemory* kernel = uvm->DebugKernel();
  if (kernel == nullptr) return true;
  PmapSystem* pmap = uvm->DebugPmap();
  PmapSystem::Mapping mapping;
  const Range range{kernel->map()->min(), kernel->map()->max()};
  for (Vaddr from = range.start; pmap->PeekNext(pmap->Kernel(), from, &mapping);
       from = mapping.va + base::kPageSize) {
    if (mapping.va >= range.end) break;
    const MapEntry* entry = kernel->DebugEntryAt(mapping.va);
    const Page* page = uvm->DebugPages().FromPaddr(mapping.pa);
    const char* wrong = nullptr;
    if (entry == nullptr) {
      wrong = " lies in no entry of a kernel map";
    } else if (entry->bare && page != nullptr && page->wire_count == 0 && !page->IsBusy()) {
      wrong = " shows a frame that may go away";
    } else if (entry->object == kernel->object() &&
               kernel->object()->DebugLookup(entry->ObjectIndexOf(mapping.va)) != page) {
      wrong = " does not show the kernel object's page";
    }
    if (wrong == nullptr) continue;
    *text << "kernel va " << mapping.va << " frame " << mapping.pa << wrong;
    return false;
  }
  return true;
}

bool ValidWindows(Uvm* uvm, TextSink* text) {
  return uvm->DebugBufferCache() == nullptr || uvm->DebugBufferCache()->ValidWindows(text);
}

}  // namespace uvm
