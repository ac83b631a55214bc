// Map items and unmap as particular kernels carry them out: a walk over tables of two sizes.
// facts/l4.md sections 8 and 9; the item is in brackets.
#include <algorithm>

#include "fake_l4/core.h"

namespace fake_l4 {

// The rights a fresh mapping of the page of `node` gets.
RightsBits Core::QuirkRights(const Piece& piece, NodeIndex node) const {
  RightsBits rights = piece.rights;
  const bool unmasked =
      options_.quirks.rights_unmasked ||
      (piece.kind == ItemKind::kGrant && options_.quirks.grant == GrantRule::kMovesWithItemRights);
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
    db.QuirkUnmap(there, kRwx, Flush::kYes);
  } else if (level > 0) {
    const uint64_t end = target + db.pages(level);
    for (uint64_t v = target; v < end;) {
      const PageTable::Found below = to.Next(v, end);
      if (below.pte == nullptr) break;
      v = below.vpage;
      db.QuirkUnmap(below.pte->node(), kRwx, Flush::kYes);
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

// One step of the walk: the source page at walk->source, if any, goes to walk->target.
void Core::QuirkMapStep(const Piece& piece, QuirkWalk* walk) {
  PageTable& from = piece.from.table;
  const uint64_t table = walk->table;
  const PageTable::Found page = from.Walk(walk->source);
  const auto advance = [walk](uint64_t source, uint64_t target, uint64_t counted) {
    walk->source += source;
    walk->target += target;
    walk->count -= std::min(walk->count, counted);
  };
  if (page.pte == nullptr) {
    // [8.2] Without any table both sides step over a whole one: with a small send fpage that leads
    // out of it, and out of the window.
    if (!from.HasLeaves(walk->source)) return advance(table, table, walk->unit);
    return advance(1, walk->shifting ? 0 : 1, 1);
  }
  if (page.level == 1 && walk->unit == table) {
    // A table's entry is found by the upper bits of the address alone.
    QuirkMapPage(piece, page.vpage, page.vpage, walk->target / table * table, 1);
    return advance(table, table, table);
  }
  walk->shifting = false;
  if (QuirkMapPage(piece, walk->begin, walk->source, walk->target, 0)) walk->parts++;
  // [superpages] A granted part takes the whole page from the granter, once it is done with.
  const bool last = walk->count == 1 || ((walk->source + 1) & (table - 1)) == 0;
  if (page.level == 1 && piece.kind == ItemKind::kGrant && last && walk->parts > 0 &&
      page.pte->present()) {
    database_.QuirkUnmap(page.pte->node(), kRwx, Flush::kYes);
  }
  // [superpages] A larger page in the way ends a part of a larger page; for smaller pages it is
  // passed whole, for one unit of the count.
  if (piece.to.table.Walk(walk->target).level == 0) return advance(1, 1, 1);
  if (page.level == 1) {
    walk->count = 0;
  } else {
    advance(1, table, walk->unit);
  }
}

void Core::QuirkMapItem(const Piece& piece, const FpageValue& send, const MapPlace& place) {
  const uint64_t limit = profile_.address_limit() >> kPageShift;
  const uint64_t count = uint64_t{1} << (place.log2 - kPageShift);
  QuirkWalk walk;
  walk.source = walk.begin = place.source >> kPageShift;
  walk.target = place.target >> kPageShift;
  walk.count = count;
  walk.table = database_.sizes().count > 1 ? database_.pages(1) : kLeafEntries;
  walk.unit = count >= walk.table ? walk.table : 1;
  walk.shifting = walk.unit == 1 && options_.quirks.leading_holes_shift;
  if (piece.from.id == kSigma0Space) {
    const unsigned level = walk.unit > 1 && database_.sizes().count > 1 ? 1 : 0;
    const uint64_t end = (profile_.ram_base >> kPageShift) + frames();
    for (uint64_t v = walk.source; v < std::min(end, walk.begin + count);
         v += database_.pages(level)) {
      MapPiece(piece, v, walk.target + (v - walk.begin), level);
    }
    return;
  }
  while (walk.count > 0 && walk.source < limit && walk.target < limit) {
    if (walk.unit > 1) {
      // Holes between tables, all at once.
      const PageTable::Found next = piece.from.table.Next(walk.source, limit);
      const uint64_t end = next.pte == nullptr ? limit : next.vpage;
      const uint64_t skip = std::min(walk.count, end - std::min(end, walk.source));
      walk.source += skip;
      walk.target += skip;
      walk.count -= skip;
      if (walk.count == 0 || walk.target >= limit || next.pte == nullptr) break;
    }
    QuirkMapStep(piece, &walk);
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
  if (space.id == kSigma0Space) {
    for (unsigned level = 0; level < database_.sizes().count; level++) {
      const uint64_t size = database_.pages(level);
      const uint64_t ram = profile_.ram_base >> kPageShift;
      const uint64_t ram_end = ram + (options_.ram_bytes >> kPageShift);
      for (uint64_t v = std::max(first, ram) / size * size; v < std::min(end, ram_end); v += size) {
        const NodeIndex root = database_.RootAt(v, level);
        if (root != 0) status |= database_.QuirkUnmap(root, revoke, flush);
      }
    }
    return status;
  }
  for (uint64_t v = first; v < end;) {
    const PageTable::Found page = space.table.Next(v, end);
    if (page.pte == nullptr) break;
    v = page.vpage + database_.pages(page.level);
    // [superpages] The pages of a small fpage are counted by 4 KiB, but a larger page is one step:
    // without flush the count leads into the next larger pages.
    if (v > end && flush == Flush::kNo) end = v + (end - std::max(first, page.vpage)) - 1;
    status |= database_.QuirkUnmap(page.pte->node(), revoke, flush);
  }
  return status;
}

}  // namespace fake_l4
