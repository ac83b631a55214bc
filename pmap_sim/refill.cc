// Rights on their way to clients: aliases, map items, and the thread that mirrors the server's
// pages.

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/space.h>

#include "base/check.h"
#include "pmap_sim/l4_pmap.h"

namespace pmap_sim {
namespace {

// Neighbours that come along with a refill. More would spend mapping memory on pages that may never
// be touched.
constexpr uint32_t kMaxRun = 16;
// A client that asks once more than this for a page it was sent, and never used it meanwhile, gets
// none: the kernel has no memory to map it.
constexpr uint8_t kMaxResends = 16;

}  // namespace

// A kernel lets any client send here in the name of a thread of this space (X.2 "Propagation":
// virtual sender and receiver share a space). So nothing is accepted until an order came from this
// space itself, then only into the window that the order names, and what a forger put there
// meanwhile is flushed before the real items are waited for again.
void L4Pmap::MirrorLoop() {
  for (;;) {
    L4_Accept(L4_UntypedWordsAcceptor);
    L4_ThreadId_t from;
    L4_MsgTag_t order =
        L4_Ipc(L4_nilthread, L4_anylocalthread, L4_Timeouts(L4_Never, L4_Never), &from);
    if (L4_IpcFailed(order) || L4_IpcPropagated(order) || L4_UntypedWords(order) != 1) continue;
    L4_Fpage_t window;
    L4_StoreMR(1, &window.raw);
    L4_Accept(L4_MapGrantItems(window));
    for (;;) {
      L4_MsgTag_t items = L4_Receive(from);
      if (L4_IpcSucceeded(items) && !L4_IpcPropagated(items)) break;
      L4_FlushFpage(L4_FpageAddRights(window, L4_FullyAccessible));
    }
  }
}

// Makes the aliases of pages [first, first + count), a power of two and aligned, show their frames,
// by one order to the mirror and one message of map items. REQUIRES: no page of the run has an
// alias in use.
bool L4Pmap::OrderAliases(Leaf* leaf, uint32_t first, uint32_t count) {
  static_assert(1 + 2 * kMaxRun <= L4_NUM_MRS);
  auto window = static_cast<L4_Word_t>(AliasAddress(leaf, first).value());
  L4_LoadMR(
      1, L4_FpageLog2(window, base::kPageShift + static_cast<unsigned>(__builtin_ctz(count))).raw);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
  if (L4_IpcFailed(L4_Send(mirror_))) return false;
  for (uint32_t i = 0; i < count; ++i) {
    Translation& page = leaf->pages[first + i];
    const bool own = leaf->window->pmap->is_kernel;
    CHECK(own || page.sent.IsNone());
    const L4_Word_t rights = own ? ToL4Rights(page.prot) : L4_FullyAccessible;
    auto home = static_cast<L4_Word_t>(AddressOf(page.frame).value());
    auto alias = static_cast<L4_Word_t>(AliasAddress(leaf, first + i).value());
    L4_MapItem_t item =
        L4_MapItem(L4_FpageAddRights(L4_FpageLog2(home, base::kPageShift), rights), alias);
    L4_LoadMRs(static_cast<int>(1 + 2 * i), 2, item.raw);
    if (page.alias_frame == 0) ++leaf->aliases;
    page.alias_frame = page.frame;
  }
  L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2 * count));
  ++counters_.mirror_sends;
  counters_.aliases_made += count;
  return L4_IpcSucceeded(L4_Send(mirror_));
}

// Aliases for a run of RunLength. A page that shows another frame is overmapped; rule (a) holds
// because nothing derived from it is left. Where some pages already have their alias, the others
// are made one by one: an order's window must not contain a page in use (see MirrorLoop).
bool L4Pmap::MakeAliases(Leaf* leaf, uint32_t first, uint32_t count) {
  uint32_t missing = 0;
  for (uint32_t slot = first; slot < first + count; ++slot) {
    missing += leaf->pages[slot].alias_frame != leaf->pages[slot].frame ? 1 : 0;
  }
  if (missing == 0) return true;
  if (missing == count) return OrderAliases(leaf, first, count);
  for (uint32_t slot = first; slot < first + count; ++slot) {
    if (leaf->pages[slot].alias_frame == leaf->pages[slot].frame) continue;
    if (!OrderAliases(leaf, slot, 1)) return false;
  }
  return true;
}

// The largest aligned run round `slot` that one fpage may carry: present, of equal rights, and not
// yet with the client (except the page asked for). Doubling stops at the first half that would send
// a page again.
uint32_t L4Pmap::RunLength(const Leaf* leaf, uint32_t slot, uint32_t* first) {
  const base::Prot prot = leaf->pages[slot].prot;
  uint32_t length = 1;
  *first = slot;
  while (length < kMaxRun) {
    uint32_t buddy = *first ^ length;
    for (uint32_t i = buddy; i < buddy + length; ++i) {
      const Translation& page = leaf->pages[i];
      if (!page.present() || page.prot != prot || page.sent == prot) return length;
    }
    *first &= ~length;
    length *= 2;
  }
  return length;
}

// Sends pages [first, first + count) of the leaf to where the client sees them.
void L4Pmap::SendItem(Leaf* leaf, uint32_t first, uint32_t count, base::Prot rights,
                      const ReplyTarget& to) {
  const unsigned log2 = base::kPageShift + static_cast<unsigned>(__builtin_ctz(count));
  auto alias = static_cast<L4_Word_t>(AliasAddress(leaf, first).value());
  base::Vaddr va = leaf->window->start() + base::ToBytes(base::PageCount(leaf->first_page + first));
  // Before the send, and whatever becomes of it: sent is an upper bound.
  for (uint32_t i = first; i < first + count; ++i)
    leaf->pages[i].sent = leaf->pages[i].sent | rights;
  L4_MapItem_t item = L4_MapItem(L4_FpageAddRights(L4_FpageLog2(alias, log2), ToL4Rights(rights)),
                                 static_cast<L4_Word_t>(va.value()));
  L4_MsgTag_t tag = L4_MakeMsgTag(0, 0, 2);
  L4_Set_Propagation(&tag);
  L4_Set_VirtualSender(to.pager);
  L4_LoadMRs(1, 2, item.raw);
  L4_Set_MsgTag(tag);
  if (L4_IpcSucceeded(L4_Reply(to.client))) {
    ++counters_.sends;
    counters_.pages_sent += count;
  } else {
    ++counters_.sends_failed;
  }
}

// The client was sent the page and does not have it: it gave it up, or the kernel had no memory for
// its mapping or for the alias. Both are made anew. False: that has been of no use too often.
bool L4Pmap::Resend(Translation* page) {
  ++counters_.resends;
  if (TakeBack(page)) page->resends = 0;
  if (page->resends == kMaxResends) {
    page->resends = 0;
    return false;
  }
  ++page->resends;
  return OrderAliases(Leaf::Of(page), page->slot, 1);
}

RefillResult L4Pmap::Refill(uvm::Pmap* pmap, base::Vaddr va, base::Access access,
                            const ReplyTarget& to) {
  Guard guard(this);
  Translation* page = Find(pmap, va);
  if (page == nullptr || !page->present()) {
    ++counters_.refill_misses;
    return RefillResult::kMiss;
  }
  if (!base::ProtFor(access).IsSubsetOf(page->prot)) {
    ++counters_.refill_misses;
    return RefillResult::kRightsMissing;
  }
  ++counters_.refills;
  if (!base::ProtFor(access).IsSubsetOf(page->sent)) {
    page->resends = 0;
  } else if (!Resend(page)) {
    return RefillResult::kNoMemory;
  }
  Leaf* leaf = Leaf::Of(page);
  base::Prot rights = page->prot;
  uint32_t first;
  uint32_t count = RunLength(leaf, page->slot, &first);
  if (config_.canary->Armed(base::Canary::kRefillIgnoresRights)) {
    rights = rights | base::kProtReadWrite;
  }
  if (!MakeAliases(leaf, first, count)) return RefillResult::kNoMemory;
  SendItem(leaf, first, count, rights, to);
  return RefillResult::kSent;
}

}  // namespace pmap_sim
