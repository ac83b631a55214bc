// Pages that the server maps to itself: aliases, kernel mappings, and the thread that takes them.

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/space.h>

#include "base/check.h"
#include "pmap_sim/l4_pmap.h"

namespace pmap_sim {

using base::Vaddr;

void L4Pmap::TakeItems(L4_ThreadId_t from, L4_Fpage_t window) {
  L4_Accept(L4_MapGrantItems(window));
  for (;;) {
    L4_MsgTag_t items = L4_Receive(from);
    if (L4_IpcSucceeded(items) && !L4_IpcPropagated(items)) break;
    L4_FlushFpage(L4_FpageAddRights(window, L4_FullyAccessible));
  }
}

void L4Pmap::TakeString(L4_ThreadId_t from, L4_Word_t address, L4_Word_t bytes) {
  L4_MsgBuffer_t buffer;
  L4_MsgBufferClear(&buffer);
  L4_MsgBufferAppendSimpleRcvString(
      &buffer, L4_StringItem(static_cast<int>(bytes), reinterpret_cast<void*>(address)));
  L4_AcceptStrings(L4_StringItemsAcceptor, &buffer);
  L4_Receive(from);
}

// A kernel lets any client send here in the name of a thread of this space (X.2 "Propagation":
// virtual sender and receiver share a space). So nothing is accepted until an order came from this
// space itself, then only into the window that the order names, and what a forger put there
// meanwhile is flushed before the real items are waited for again. Strings are ordered only while
// there are no clients yet.
void L4Pmap::MirrorLoop() {
  for (;;) {
    L4_Accept(L4_UntypedWordsAcceptor);
    L4_ThreadId_t from;
    L4_MsgTag_t order =
        L4_Ipc(L4_nilthread, L4_anylocalthread, L4_Timeouts(L4_Never, L4_Never), &from);
    if (L4_IpcFailed(order) || L4_IpcPropagated(order)) continue;
    L4_Word_t words[2];
    L4_StoreMRs(1, 2, words);
    if (L4_UntypedWords(order) == 1) TakeItems(from, L4_FpageOfRaw(words[0]));
    if (L4_UntypedWords(order) == 2) TakeString(from, words[0], words[1]);
  }
}

// One page of this space to another address of it.
bool L4Pmap::OrderPage(Vaddr from, Vaddr to, L4_Word_t rights) {
  const auto target = static_cast<L4_Word_t>(to.value());
  L4_LoadMR(1, L4_FpageLog2(target, base::kPageShift).raw);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
  if (L4_IpcFailed(L4_Send(mirror_))) return false;
  const L4_MapItem_t item =
      L4_MapItem(L4_FpageAddRights(
                     L4_FpageLog2(static_cast<L4_Word_t>(from.value()), base::kPageShift), rights),
                 target);
  L4_LoadMRs(1, 2, item.raw);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
  return L4_IpcSucceeded(L4_Send(mirror_));
}

// Rule (d). An item that finds no mapping memory may leave what was there before, so an alias that
// shows another frame goes first.
void L4Pmap::FlushOldAliases(Leaf* leaf, uint32_t first, uint32_t count) {
  L4_Fpage_t fpages[kLeafPages];
  uint32_t old = 0;
  for (uint32_t slot = first; slot < first + count; ++slot) {
    Translation& page = leaf->pages[slot];
    if (page.rest().alias_frame == 0 || page.rest().alias_frame == page.frame) continue;
    const auto alias = static_cast<L4_Word_t>(AliasAddress(leaf, slot).value());
    fpages[old++] = L4_FpageAddRights(L4_FpageLog2(alias, base::kPageShift), L4_FullyAccessible);
    page.rest().alias_frame = 0;
    --leaf->aliases;
  }
  if (old != 0) L4_FlushFpages(old, fpages);
}

// Makes the aliases of pages [first, first + count), a power of two and aligned, show their frames,
// by one order to the mirror and one message of map items. REQUIRES: no page of the run has an
// alias in use, unless it is to get more rights; nothing waits to be unmapped.
bool L4Pmap::OrderAliases(Leaf* leaf, uint32_t first, uint32_t count) {
  CHECK(batch_.empty());
  const bool own = leaf->window->pmap->is_kernel;
  FlushOldAliases(leaf, first, count);
  auto window = static_cast<L4_Word_t>(AliasAddress(leaf, first).value());
  L4_LoadMR(
      1, L4_FpageLog2(window, base::kPageShift + static_cast<unsigned>(__builtin_ctz(count))).raw);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
  if (L4_IpcFailed(L4_Send(mirror_))) return false;
  for (uint32_t i = 0; i < count; ++i) {
    Translation& page = leaf->pages[first + i];
    CHECK(own || page.sent.IsNone());
    const L4_Word_t rights = own ? ToL4Rights(page.prot) : L4_FullyAccessible;
    auto home = static_cast<L4_Word_t>(AddressOf(page.frame).value());
    auto alias = static_cast<L4_Word_t>(AliasAddress(leaf, first + i).value());
    L4_MapItem_t item =
        L4_MapItem(L4_FpageAddRights(L4_FpageLog2(home, base::kPageShift), rights), alias);
    L4_LoadMRs(static_cast<int>(1 + 2 * i), 2, item.raw);
    if (page.rest().alias_frame == 0) ++leaf->aliases;
    page.rest().alias_frame = page.frame;
    page.rest().alias_age = AgeOf(page.frame);
  }
  L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2 * count));
  ++counters_.mirror_sends;
  counters_.aliases_made += count;
  return L4_IpcSucceeded(L4_Send(mirror_));
}

// Takes back what was mapped from home of this page's frame. Whoever has it will ask for it again
// and get it from an alias.
void L4Pmap::Recall(const Translation& page) {
  if ((page.frame & kDeviceBit) != 0 || !StatusOf(page).direct) return;
  Translation* at = FrameOf(page).first;
  while (!at->direct) at = at->rest().next;
  ++counters_.recalls;
  Take(at, at->sent);
  batch_.Flush();
}

// Aliases for a run of RunLength. Where some pages already have their alias, the others
// are made one by one: an order's window must not contain a page in use (see MirrorLoop).
bool L4Pmap::MakeAliases(Leaf* leaf, uint32_t first, uint32_t count) {
  uint32_t missing = 0;
  for (uint32_t slot = first; slot < first + count; ++slot) {
    Recall(leaf->pages[slot]);
    missing += AliasShows(leaf->pages[slot]) ? 0 : 1;
  }
  if (missing == 0) return true;
  if (missing == count) return OrderAliases(leaf, first, count);
  for (uint32_t slot = first; slot < first + count; ++slot) {
    if (AliasShows(leaf->pages[slot])) continue;
    if (!OrderAliases(leaf, slot, 1)) return false;
  }
  return true;
}

}  // namespace pmap_sim
