// What kind of kernel this is, found out by mapping one page about in the server's own space.
//
// Memory is looked at by sending it: a string item from or to an address that is not mapped fails,
// with transfer timeout zero, instead of faulting.

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/space.h>
#include <l4/thread.h>

#include "pmap_sim/l4_pmap.h"

namespace pmap_sim {
namespace {

using base::Vaddr;

constexpr int kProbeBytes = 8;
// Offsets in the page: what is looked for, where it is copied to, what is written by the way.
constexpr uint64_t kPattern = 0, kCopy = 1024, kScratch = 2048;

L4_Fpage_t PageAt(Vaddr va) {
  return L4_FpageLog2(static_cast<L4_Word_t>(va.value()), base::kPageShift);
}

L4_Word_t StatusBelow(Vaddr va) { return L4_Rights(L4_GetStatus(PageAt(va))); }

}  // namespace

// By a string item to the mirror. False: one of the two is not mapped with the right it takes.
bool L4Pmap::CopyBytes(Vaddr from, Vaddr to) {
  L4_LoadMR(1, static_cast<L4_Word_t>(to.value()));
  L4_LoadMR(2, kProbeBytes);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
  if (L4_IpcFailed(L4_Send(mirror_))) return false;
  const L4_Word_t before = L4_XferTimeouts();
  L4_Set_XferTimeouts(L4_Timeouts(L4_ZeroTime, L4_ZeroTime));
  const L4_StringItem_t item =
      L4_StringItem(kProbeBytes, reinterpret_cast<void*>(static_cast<uintptr_t>(from.value())));
  L4_LoadMRs(1, 2, item.raw);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
  const bool done = L4_IpcSucceeded(L4_Send(mirror_));
  L4_Set_XferTimeouts(before);
  return done;
}

// Whether what is read at `va` is the page's contents.
bool L4Pmap::Shows(Vaddr va, base::Paddr page) {
  unsigned char* bytes = HomePointer(page);
  __builtin_memset(bytes + kCopy, 0, kProbeBytes);
  if (!CopyBytes(va + kPattern, Vaddr(page.value()) + kCopy)) return false;
  for (int i = 0; i < kProbeBytes; ++i) {
    if (bytes[kCopy + i] != bytes[kPattern + i]) return false;
  }
  return true;
}

// Home page `page` is mapped to `outer`, and from there to `inner`. False: mapping within a space
// has no effect.
bool L4Pmap::Probe(base::Paddr page) {
  const Vaddr home(page.value());
  const Vaddr outer = config_.alias_area;
  const Vaddr inner = outer + base::kPageSize;
  unsigned char* bytes = HomePointer(page);
  for (int i = 0; i < kProbeBytes; ++i) bytes[kPattern + i] = static_cast<unsigned char>(0xb5 + i);
  OrderPage(home, outer, L4_FullyAccessible);
  traits_.own_space_maps = Shows(outer, page);
  if (!traits_.own_space_maps) return false;
  // Reading leaves a trace, and asking for it gives no right away.
  OrderPage(outer, inner, L4_Readable);
  const bool reads = Shows(inner, page);
  traits_.reference_bits = (StatusBelow(outer) & L4_Readable) != 0;
  const bool grows = CopyBytes(home, inner + kScratch);
  // Each owner learns that it was written, once.
  OrderPage(outer, inner, L4_Readable | L4_Writable);
  StatusBelow(home);
  const bool writes = CopyBytes(home, inner + kScratch);
  const bool told = (StatusBelow(outer) & L4_Writable) != 0;
  const bool told_again = (StatusBelow(home) & L4_Writable) != 0;
  // An item without rights maps nothing; what the source may not do, nobody below may.
  L4_FlushFpage(L4_FpageAddRights(PageAt(outer), L4_FullyAccessible));
  OrderPage(home, outer, L4_Readable);
  OrderPage(outer, inner, 0);
  const bool appears = Shows(inner, page);
  OrderPage(outer, inner, L4_Readable | L4_Writable);
  const bool amplifies = CopyBytes(home, inner + kScratch);
  L4_FlushFpage(L4_FpageAddRights(PageAt(inner), L4_FullyAccessible));
  L4_FlushFpage(L4_FpageAddRights(PageAt(outer), L4_FullyAccessible));
  StatusBelow(home);
  traits_.by_the_manual = reads && writes && told && told_again && !grows && !appears && !amplifies;
  return true;
}

}  // namespace pmap_sim
