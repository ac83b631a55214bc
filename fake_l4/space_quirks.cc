// Map items and unmap as particular kernels carry them out: a walk over tables of two sizes.
// facts/l4.md sections 8 and 9; the item is in brackets.
#include <algorithm>

#include "fake_l4/core.h"

namespace fake_l4 {

// The rights a fresh mapping of the page of `node` gets.
RightsBits Core::QuirkRights(const Piece& piece, NodeIndex node) const {
  RightsBits rights = piece.rights;
  const bool unmasked = options_.quirks.rights_unmasked ||
                        (piece.kind == ItemKind::kGrant &&
                         options_.quirks.grant == GrantRule::kMovesWithItemRights);
  if (!unmasked) rights &= database_.rights(node);
  if (options_.quirks.no_rights_reads) rights |= kR;
  return profile_.Normalise(rights);
}

// Whether the page `there` stays when `frame` is mapped from `node` onto it.
bool Core::QuirkKeep(const Piece& piece, NodeIndex node, uint64_t frame, NodeIndex there) {
  if (database_.frame_number(there) != frame) return false;
  if (options_.quirks.keep == KeepRule::kSameSource && database_.node(there).parent != node) {
    return false;
  }
  // Only here is the source asked which rights it has [8.1].
  database_.Extend(there, profile_.Normalise(piece.rights & database_.rights(node)));
  return true;
}

// One page, of the size of `level`; the source may be larger. Whether it was mapped anew.
bool Core::QuirkMapPage(const Piece& piece, uint64_t part_begin, uint64_t source, uint64_t target,
                        unsigned level) {
  MappingDatabase& db = database_;
  PageTable& to = piece.to.table;
  const PageTable::Found from = piece.from.table.Walk(source);
  const NodeIndex node = from.pte->node();
  const uint64_t frame = from.pte->frame_number() + (source - from.vpage);
  const bool part = from.level > level;
  if (piece.to.TouchesKernelArea(target << kPageShift, db.pages(level) << kPageShift)) {
    return false;
  }
  // 1. What is there.
  const PageTable::Found old = to.Walk(target);
  if (old.pte != nullptr && old.level > level) return db.CountDebuggerEntry(), false;
  if (old.pte != nullptr && old.level == level) {
    const NodeIndex there = old.pte->node();
    // [superpages] Of a part of a larger page it is the first frame that is looked for.
    const uint64_t kept = part ? frame - (source - std::max(part_begin, from.vpage)) : frame;
    if (QuirkKeep(piece, node, kept, there)) return false;
    if (part) return db.CountDebuggerEntry(), false;
    db.Remove(there);
  } else if (level > 0) {
    const uint64_t end = target + db.pages(level);
    for (uint64_t v = target; v < end;) {
      const PageTable::Found below = to.Next(v, end);
      if (below.pte == nullptr) break;
      v = below.vpage;
      db.Remove(below.pte->node());
    }
    to.DropEmptyLeaves(target);
  }
  // [8.5] What was removed may have been the source.
  if (!from.pte->present() || from.pte->node() != node) return false;
  // 2. The page.
  const RightsBits rights = QuirkRights(piece, node);
  const MappingDatabase::Target place{&to, static_cast<uint32_t>(piece.to.id), target, level};
  if (piece.kind == ItemKind::kMap) {
    db.Create(node, frame, place, rights);
  } else if (options_.quirks.grant == GrantRule::kMovesWithItemRights && !part) {
    db.QuirkMove(node, place, rights);
  } else {
    db.Create(db.node(node).parent, frame, place, rights);
    if (!part) db.QuirkUnmap(node, kRwx, Flush::kYes);
  }
  return true;
}

void Core::QuirkMapItem(const Piece& piece, const FpageValue& send, const MapPlace& place) {
  PageTable& from = piece.from.table;
  const uint64_t limit = profile_.address_limit() >> kPageShift;
  uint64_t f = place.source >> kPageShift;
  uint64_t t = place.target >> kPageShift;
  uint64_t count = uint64_t{1} << (place.log2 - kPageShift);
  if (piece.from.id == kSigma0Space) {
    unsigned level = count >= database_.pages(1) ? 1 : 0;
    for (uint64_t v = 0; v < count; v += database_.pages(level)) MapPiece(piece, f + v, t + v, level);
    return;
  }
  const uint64_t table = database_.pages(1);
  const uint64_t unit = count >= table ? table : 1;
  bool shifting = unit == 1 && options_.quirks.leading_holes_shift;  // no page found yet
  uint64_t parts = 0;
  const uint64_t begin = f;
  while (count > 0 && f < limit && t < limit) {
    PageTable::Found page = from.Walk(f);
    if (page.pte == nullptr && !from.HasLeaves(f)) {
      // Nothing here at all: both sides step over a whole table.
      f += table;
      t += table;
      count -= unit;
      continue;
    }
    if (page.pte != nullptr && page.level == 1 && unit == table) {
      QuirkMapPage(piece, f, f, t, 1);
      f += table;
      t += table;
      count -= unit;
      continue;
    }
    if (page.pte != nullptr) {
      shifting = false;
      if (QuirkMapPage(piece, begin, f, t, 0)) parts++;
      // [superpages] A granted part takes the whole page from the granter, once it is done with.
      const bool done = count == 1 || ((f + 1) & (table - 1)) == 0;
      if (page.level == 1 && piece.kind == ItemKind::kGrant && done && parts > 0 &&
          page.pte->present()) {
        database_.QuirkUnmap(page.pte->node(), kRwx, Flush::kYes);
      }
    }
    f++;
    // [superpages] A larger page that was in the way is passed whole, for one unit of the count.
    const bool larger = page.pte != nullptr && piece.to.table.Walk(t).level == 1;
    if (larger && page.level == 1) break;
    if (!shifting) t += larger ? table : 1;
    count -= std::min(count, larger ? unit : 1);
  }
  if (piece.kind == ItemKind::kGrant && send.log2 > place.log2) {
    const uint64_t first = send.base >> kPageShift;
    QuirkUnmapRange(piece.from, first, first + (uint64_t{1} << (send.log2 - kPageShift)),
                    send.rights, Flush::kYes);
  }
}

RightsBits Core::QuirkUnmapRange(Space& space, uint64_t first, uint64_t end, RightsBits revoke,
                                 Flush flush) {
  RightsBits status = 0;
  for (uint64_t v = first; v < end;) {
    const PageTable::Found page = space.table.Next(v, end);
    if (page.pte == nullptr) break;
    v = page.vpage + database_.pages(page.level);
    status |= database_.QuirkUnmap(page.pte->node(), revoke, flush);
  }
  return status;
}

}  // namespace fake_l4
