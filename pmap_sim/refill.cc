// Rights on their way to clients, and what to do when the kernel has no memory for them.

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/space.h>

#include "base/check.h"
#include "pmap_sim/l4_pmap.h"

namespace pmap_sim {
namespace {

using base::Prot;

// Neighbours that come along with a refill. More would spend mapping memory on pages that may never
// be touched.
constexpr uint32_t kMaxRun = 16;
static_assert(1 + 2 * kMaxRun <= L4_NUM_MRS);
// A client that asks a second time in a row for a page it was sent, and did not use, meets a kernel
// without mapping memory; more often than the last number, and there is no help. Between them
// others lose what is theirs only every so often: the client may also be one that flushes its page
// each time, where nothing tells that it was used.
constexpr uint8_t kResendsBeforeDropping = 2, kResendsBetweenDroppingOthers = 4, kMaxResends = 16;
// For a wired page, whose frame nobody may have instead, that is only the first turn of so many.
constexpr uint16_t kMostTurns = 64;

// An answer to a fault, in the pager's name: what the message registers hold.
bool Reply(L4_MsgTag_t tag, const ReplyTarget& to) {
  if (!L4_IsNilThread(to.pager)) {
    L4_Set_Propagation(&tag);
    L4_Set_VirtualSender(to.pager);
  }
  L4_Set_MsgTag(tag);
  return L4_IpcSucceeded(L4_Reply(to.client));
}

}  // namespace

// The largest aligned run round `slot` that one fpage may carry: present, of equal rights, and not
// yet with the client (except the page asked for). Doubling stops at the first half that would send
// a page again. Where faults tell what was referenced, only pages come along that are known to be;
// kernels that stumble over holes get single pages, because an alias that could not be made is one.
uint32_t L4Pmap::RunLength(const Leaf* leaf, uint32_t slot, uint32_t* first) const {
  const Prot prot = leaf->pages[slot].prot;
  uint32_t length = 1;
  *first = slot;
  if (!traits_.by_the_manual) return length;
  while (length < kMaxRun) {
    const uint32_t buddy = *first ^ length;
    for (uint32_t i = buddy; i < buddy + length; ++i) {
      const Translation& page = leaf->pages[i];
      if (!page.present() || page.prot != prot || page.sent == prot || page.direct) return length;
      if (NeedsFaultsForReferenced() && page.managed && !StatusOf(page).referenced) return length;
    }
    *first &= ~length;
    length *= 2;
  }
  return length;
}

// Straight from home saves the alias. Only for the one mapping of a frame, so that an unmap at home
// meets nobody else.
bool L4Pmap::MayGoDirect(const Translation& page) const {
  if (!traits_.by_the_manual || !page.managed || page.wired) return false;
  return page.rest().prev == nullptr && page.rest().next == nullptr && FrameOf(page).own == 0;
}

// Sends pages [first, first + count) of the leaf to where the client, which asked for `asked`, sees
// them.
void L4Pmap::SendItem(Leaf* leaf, uint32_t first, uint32_t count, Prot rights, base::Vaddr asked,
                      const ReplyTarget& to) {
  const unsigned log2 = base::kPageShift + static_cast<unsigned>(__builtin_ctz(count));
  const Translation& page = leaf->pages[first];
  const uint64_t source =
      page.direct ? AddressOf(page.frame).value() : AliasAddress(leaf, first).value();
  base::Vaddr va = leaf->window->start() + base::ToBytes(base::PageCount(leaf->first_page + first));
  Answers& answers = leaf->window->pmap->answers;
  answers.Forget([&](base::Vaddr sent) {
    const uint64_t i = sent.PageNumber() - va.PageNumber();
    return i < count && !rights.IsSubsetOf(leaf->pages[first + i].sent);
  });
  // Before the send, and whatever becomes of it: sent is an upper bound.
  for (uint32_t i = first; i < first + count; ++i)
    leaf->pages[i].sent = leaf->pages[i].sent | rights;
  L4_MapItem_t item = L4_MapItem(
      L4_FpageAddRights(L4_FpageLog2(static_cast<L4_Word_t>(source), log2), ToL4Rights(rights)),
      static_cast<L4_Word_t>(va.value()));
  L4_LoadMRs(1, 2, item.raw);
  if (Reply(L4_MakeMsgTag(0, 0, 2), to)) {
    ++counters_.sends;
    counters_.pages_sent += count;
    answers.Add(to.client, asked, rights);
  } else {
    ++counters_.sends_failed;
  }
}

// The table's rights; but where only faults tell of modification, a page goes without write until
// it is asked for with it.
Prot L4Pmap::RightsToSend(const Translation& page, base::Access access) {
  if (!page.managed) return page.prot;
  FrameStatus& frame = StatusOf(page);
  if (NeedsFaultsForReferenced()) frame.referenced = true;
  if (!NeedsFaultsForModified() || !page.prot.CanWrite()) return page.prot;
  if (access == base::Access::kWrite) frame.modified = true;
  return frame.modified ? page.prot : page.prot - base::kProtWrite;
}

// From now on status is read at home. What home was told already comes first; nobody has the frame.
void L4Pmap::GoDirect(Translation* page) {
  FrameStatus& frame = StatusOf(*page);
  page->direct = frame.direct = true;
  ++FrameOf(*page).age;
  if (!frame.home_owed) return;
  frame.home_owed = false;
  ++counters_.home_settled;
  L4_GetStatus(
      L4_FpageLog2(static_cast<L4_Word_t>(AddressOf(page->frame).value()), base::kPageShift));
}

RefillResult L4Pmap::Answer(Translation* page, base::Vaddr va, base::Access access,
                            const ReplyTarget& to) {
  Leaf* leaf = Leaf::Of(page);
  uint32_t first = page->slot;
  uint32_t count = 1;
  Prot rights = RightsToSend(*page, access);
  if (page->direct && !MayGoDirect(*page)) Recall(*page);
  if (!page->direct) {
    count = RunLength(leaf, page->slot, &first);
    if (count > 1) probes_.Hit(base::Probe::kRefillRun);
    const bool direct =
        count == 1 && page->sent.IsNone() && MayGoDirect(*page) && !AliasShows(*page);
    if (direct) {
      probes_.Hit(base::Probe::kRefillStraightFromHome);
      GoDirect(page);
    } else if (!MakeAliases(leaf, first, count)) {
      return RefillResult::kNoMemory;
    }
  }
  counters_.direct_sends += page->direct ? 1 : 0;
  if (config_.canary->Armed(base::Canary::kRefillIgnoresRights)) {
    rights = rights | base::kProtReadWrite;
  }
  SendItem(leaf, first, count, rights, va, to);
  return RefillResult::kSent;
}

// A kernel mapping that the kernel had no memory for, or that is being changed this moment.
RefillResult L4Pmap::AnswerOwn(Translation* page, const ReplyTarget& to) {
  if (!Retry(page)) return RefillResult::kNoMemory;
  MapOwn(page);
  Reply(L4_Niltag, to);
  return RefillResult::kSent;
}

RefillResult L4Pmap::Refill(uvm::Pmap* pmap, base::Vaddr va, base::Access access,
                            const ReplyTarget& to) {
  Guard guard(this);
  batch_.Flush();
  Translation* page = Find(pmap, va);
  if (page == nullptr || !page->present()) {
    ++counters_.refill_misses;
    return RefillResult::kMiss;
  }
  // Whatever comes of it, what lies there is about to be touched: by the client, or by a copy.
  if ((page->frame & kDeviceBit) == 0) {
    __builtin_prefetch(PeekHome(AddressOf(page->frame) + va.Offset()), /*rw=*/1);
  }
  if (!base::ProtFor(access).IsSubsetOf(page->prot)) {
    ++counters_.refill_misses;
    return RefillResult::kRightsMissing;
  }
  ++counters_.refills;
  if (pmap->is_kernel) return AnswerOwn(page, to);
  const Prot needed = base::ProtFor(access);
  if (!needed.IsSubsetOf(page->sent)) {
    page->resends = 0;
  } else if (pmap->answers.Has(to.client, va.Trunc(), needed) && !Retry(page)) {
    return RefillResult::kNoMemory;
  }
  return Answer(page, va.Trunc(), access, to);
}

// ---- Shortage ----

// The client was sent the page, nobody took it, and it does not have it: it gave it up, or the
// kernel had no memory for its mapping or for the alias. Both are to be made anew. False: that has
// been of no use too often.
bool L4Pmap::Retry(Translation* page) {
  ++counters_.resends;
  probes_.Hit(base::Probe::kRefillResent);
  if (TakeBack(page)) page->resends = page->rest().turns = 0;
  uvm::Pmap* pmap = Leaf::Of(page)->window->pmap;
  if (page->resends == kMaxResends) {
    page->resends = 0;
    if (pmap->is_kernel || !page->wired || ++page->rest().turns == kMostTurns) {
      page->rest().turns = 0;
      probes_.Hit(base::Probe::kRefillHopeless);
      return false;
    }
  }
  ++page->resends;
  if (page->resends == kResendsBeforeDropping && !pmap->is_kernel)
    DropMappings(pmap, uvm::Wired::kNo);
  if (page->resends % kResendsBetweenDroppingOthers == 0) {
    // In the end a wired page takes the room of what other wired pages' clients hold, which costs
    // those a refill.
    const bool last = page->wired && page->resends == kMaxResends;
    DropMappings(nullptr, last ? uvm::Wired::kYes : uvm::Wired::kNo);
  }
  // What the kernel had no memory for may be the server's own mapping of the page.
  if ((page->frame & kDeviceBit) != 0) TakeDevicePage(AddressOf(page->frame));
  // An older alias, of another frame, must go on being too old for that.
  if (page->rest().alias_frame == page->frame) {
    page->rest().alias_age = static_cast<uint16_t>(AgeOf(page->frame) - 1);
  }
  return true;
}

// Takes back what may be forgotten, of one pmap or of all, to make room in the kernel: mappings,
// those of wired pages only if `wired`, then aliases that nothing is mapped from. The table
// keeps everything.
void L4Pmap::DropMappings(uvm::Pmap* only, uvm::Wired wired) {
  ++counters_.shortages;
  probes_.Hit(base::Probe::kShortageDrops);
  auto each_leaf = [this, only](auto visit) {
    for (uvm::Pmap* pmap = pmaps_.front(); pmap != nullptr; pmap = pmaps_.Next(pmap)) {
      if (pmap->is_kernel || (only != nullptr && pmap != only)) continue;
      for (Window* window = pmap->windows.First(); window != nullptr;
           window = pmap->windows.Next(window)) {
        for (Leaf* leaf : window->leaves) {
          if (leaf != nullptr) visit(leaf);
        }
      }
    }
  };
  const bool forgets_wired = config_.canary->Armed(base::Canary::kShortageDropsWired);
  each_leaf([this, wired, forgets_wired](Leaf* leaf) {
    for (Translation& page : leaf->pages) {
      if (page.sent.IsNone()) continue;
      if (page.wired && wired == uvm::Wired::kNo && !forgets_wired) continue;
      Take(&page, page.sent);
      ++counters_.dropped;
      if (page.wired && forgets_wired) Unlink(leaf->window->pmap, &page);
    }
  });
  batch_.Flush();
  each_leaf([this, wired](Leaf* leaf) {
    if (leaf->aliases != 0) DropAliases(leaf, wired);
  });
}

// Rule (d). The alias of a wired page stays as long as that of others may go.
void L4Pmap::DropAliases(Leaf* leaf, uvm::Wired wired) {
  L4_Fpage_t fpages[kLeafPages];
  uint32_t count = 0;
  for (Translation& page : leaf->pages) {
    if (page.rest().alias_frame == 0 || !page.sent.IsNone()) continue;
    if (page.wired && wired == uvm::Wired::kNo) continue;
    auto alias = static_cast<L4_Word_t>(AliasAddress(leaf, page.slot).value());
    fpages[count++] = L4_FpageAddRights(L4_FpageLog2(alias, base::kPageShift), L4_FullyAccessible);
    page.rest().alias_frame = 0;
    --leaf->aliases;
  }
  if (count != 0) L4_FlushFpages(count, fpages);
}

}  // namespace pmap_sim
