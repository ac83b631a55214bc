// Map items, unmap and flush: fpages taken apart into pages. facts/l4.md sections 4, 4.1, 7.
#include <l4/space.h>

#include <algorithm>

#include "fake_l4/core.h"

namespace fake_l4 {

NodeIndex Core::NodeAt(Space& space, uint64_t vpage) {
  if (space.id == kSigma0Space) {
    const uint64_t first = profile_.ram_base >> kPageShift;
    const uint64_t index = vpage - first;
    return vpage >= first && index < options_.ram_bytes >> kPageShift ? database_.Root(index) : 0;
  }
  const Pte* pte = space.table.Find(vpage);
  return pte == nullptr ? 0 : pte->node();
}

namespace {

// Calls visit(vpage, node) for each page of a space that is present in [first, end), ascending.
// Pages may come and go meanwhile.
template <typename Visit>
void ForEachPresent(Core& core, Space& space, uint64_t first, uint64_t end, Visit visit) {
  if (space.id == kSigma0Space) {
    const uint64_t ram = core.profile_.ram_base >> kPageShift;
    end = std::min(end, ram + (core.options_.ram_bytes >> kPageShift));
    for (uint64_t v = std::max(first, ram); v < end; v++) visit(v, core.NodeAt(space, v));
    return;
  }
  if (end - first == 1) {
    const NodeIndex node = core.NodeAt(space, first);
    if (node != 0) visit(first, node);
    return;
  }
  uint64_t key = first >> 9;
  for (; Leaf* leaf = space.table.NextLeaf(&key); key++) {
    const uint64_t leaf_first = std::max(first, key << 9);
    const uint64_t leaf_end = std::min(end, (key + 1) << 9);
    for (uint64_t v = leaf_first; v < leaf_end; v++) {
      const NodeIndex node = leaf->pte[v & 511].node();
      if (node != 0) visit(v, node);
    }
    if (leaf_end >= end) return;
  }
}

}  // namespace

void Core::MapItem(Space& from, Space& to, uint64_t send_base, uint64_t send_fpage,
                   const FpageValue& window) {
  const FpageValue send = DecodeFpage(send_fpage, profile_);
  // sigma0's memory is what it is: nothing is mapped into it.
  if (send.nil() || send.rights == 0 || to.id == kSigma0Space) return;
  const MapPlace place = PlaceMapItem(send, window, send_base);
  const uint64_t first = place.source >> kPageShift;
  const uint64_t count = uint64_t{1} << (place.log2 - kPageShift);
  const uint64_t target = place.target >> kPageShift;
  const uint64_t limit = profile_.address_limit() >> kPageShift;
  if (target >= limit) return;
  const uint32_t space = static_cast<uint32_t>(to.id);
  ForEachPresent(*this, from, first, first + std::min(count, limit - target),
                 [&](uint64_t vpage, NodeIndex node) {
                   const uint64_t to_page = target + (vpage - first);
                   if (to.IsKernelArea(to_page << kPageShift)) return;
                   if (database_.MapPage(node, to.table, space, to_page, send.rights) ==
                       MapPageResult::kMapped) {
                     Spend(profile_.costs.map_page);
                   }
                 });
}

void Core::UnmapCall(Thread& self, L4_Word_t control) {
  Enter(profile_.costs.system_call);
  const unsigned count = (control & 63) + 1;
  const Flush flush = (control & L4_UNMAP_FLUSH) != 0 ? Flush::kYes : Flush::kNo;
  const uint64_t before = database_.counters().unmapped;
  ledger_.unmap_calls++;
  ledger_.unmap_fpages += count;
  for (unsigned i = 0; i < count; i++) {
    L4_Word_t& word = self.utcb.mr[i];
    const FpageValue f = DecodeFpage(word, profile_);
    RightsBits status = 0;
    if (!f.nil()) {
      const uint64_t first = f.base >> kPageShift;
      ForEachPresent(
          *this, *self.space, first, first + (uint64_t{1} << (f.log2 - kPageShift)),
          [&](uint64_t, NodeIndex node) { status |= database_.Unmap(node, f.rights, flush); });
    }
    word = (word & ~L4_Word_t{kRwx}) | status;
  }
  Spend((database_.counters().unmapped - before) * profile_.costs.unmap_page);
  Preempt(SchedulePoint::kUnmap);
}

void Core::FlushSpace(Space& space) {
  const uint64_t limit = profile_.address_limit() >> kPageShift;
  if (space.id == kSigma0Space) return;
  ForEachPresent(*this, space, 0, limit, [&](uint64_t, NodeIndex node) { database_.Remove(node); });
}

}  // namespace fake_l4
