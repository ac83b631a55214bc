// Map and grant items, unmap and flush: fpages taken apart into pages. facts/l4.md sections 4, 4.1,
// 7; X.2 manual: "MapItem", "GrantItem", "Unmap".
#include <l4/space.h>

#include <algorithm>

#include "fake_l4/core.h"

namespace fake_l4 {

NodeIndex Core::NodeAt(Space& space, uint64_t vpage, unsigned max_level) {
  if (space.id != kSigma0Space) {
    const PageTable::Found page = space.table.Walk(vpage);
    return page.pte == nullptr ? 0 : page.pte->node();
  }
  for (unsigned level = max_level;; level--) {
    const NodeIndex root = database_.RootAt(vpage, level);
    if (root != 0 || level == 0) return root;
  }
}

// ---- Map and grant ----

// Frees the target for what is to come, but for pages that `node`, mapped from `frame` on, would
// keep. Returns whether anything went.
bool Core::ClearTarget(const Piece& piece, NodeIndex node, uint64_t frame, uint64_t target,
                       unsigned level) {
  const bool grant = piece.kind == ItemKind::kGrant && !database_.IsRoot(node);
  const NodeIndex parent = grant ? database_.node(node).parent : node;
  bool cleared = false;
  const uint64_t end = target + database_.pages(level);
  for (uint64_t v = target; v < end;) {
    const PageTable::Found old = piece.to.table.Next(v, end);
    if (old.pte == nullptr) break;
    v = old.vpage + database_.pages(old.level);
    const NodeIndex there = old.pte->node();
    const uint64_t kept = frame + (old.vpage - target);
    if (database_.DerivedFrom(there, node, kept) || database_.DerivedFrom(there, parent, kept)) {
      continue;
    }
    database_.Remove(there);
    cleared = true;
  }
  return cleared;
}

// Does one thing about a piece: carries it out (then false), or removes what is in the way of it
// (then true: look again, since what was removed may have been the source, too).
bool Core::MapPieceStep(const Piece& piece, uint64_t source, uint64_t target, unsigned level) {
  MappingDatabase& db = database_;
  const auto smaller = [&] {
    if (level == 0) return;
    const uint64_t size = db.pages(level - 1);
    for (uint64_t v = 0; v < db.pages(level); v += size) {
      MapPiece(piece, source + v, target + v, level - 1);
    }
  };
  // 1. The source. A grant takes away exactly the piece.
  const NodeIndex node = NodeAt(piece.from, source, level);
  if (node == 0 || db.level(node) < level) return smaller(), false;
  const bool grant = piece.kind == ItemKind::kGrant && !db.IsRoot(node);
  const bool onto_itself = &piece.from == &piece.to && source == target;
  const RightsBits rights = db.Effective(node, piece.rights);
  if (onto_itself || rights == 0) return false;
  if (piece.to.TouchesKernelArea(target << kPageShift, db.pages(level) << kPageShift)) {
    return smaller(), false;
  }
  if (grant && db.level(node) > level) return db.Split(node), true;
  const uint64_t frame =
      db.IsRoot(node) ? source : db.frame_number(node) + (source - db.node(node).vpage);
  // 2. The target.
  const PageTable::Found old = piece.to.table.Walk(target);
  if (old.pte != nullptr && old.level >= level) {
    const NodeIndex there = old.pte->node();
    const uint64_t old_frame = frame - (target - old.vpage);
    const NodeIndex parent = grant ? db.node(node).parent : node;
    const bool kept =
        db.DerivedFrom(there, node, old_frame) || db.DerivedFrom(there, parent, old_frame);
    if (kept && !grant && (old.pte->rights() | rights) == old.pte->rights()) {
      return db.Extend(there, 0), false;
    }
    if (old.level > level) return db.Split(there), true;
    if (!kept) return db.Remove(there), true;
    if (grant) {
      db.MoveOnto(node, there, rights);
    } else {
      db.Extend(there, rights);
    }
    return false;
  }
  if (level > 0 && ClearTarget(piece, node, frame, target, level)) return true;
  if (level > 0 && piece.to.table.Next(target, target + db.pages(level)).pte != nullptr) {
    return smaller(), false;
  }
  // 3. The page.
  const MappingDatabase::Target place{&piece.to.table, static_cast<uint32_t>(piece.to.id), target,
                                      level};
  if (grant) {
    db.Move(node, place, rights);
  } else {
    db.Create(node, frame, place, rights);
  }
  return false;
}

void Core::MapPiece(const Piece& piece, uint64_t source, uint64_t target, unsigned level) {
  while (MapPieceStep(piece, source, target, level)) {
  }
}

// The usual piece: small page `page`, of `source`, to where nothing is. False when it is not that.
[[gnu::always_inline]] inline bool Core::MapSmallPage(const Piece& piece,
                                                      const PageTable::Found& source, uint64_t page,
                                                      uint64_t target) {
  if (piece.kind != ItemKind::kMap || piece.to.table.Walk(target).pte != nullptr) return false;
  if (piece.to.TouchesKernelArea(target << kPageShift, kPageBytes)) return false;
  const RightsBits rights = profile_.Normalise(piece.rights & source.pte->rights());
  if (rights == 0) return true;
  database_.Create(source.pte->node(), source.pte->frame_number() + (page - source.vpage),
                   {&piece.to.table, static_cast<uint32_t>(piece.to.id), target, 0}, rights);
  return true;
}

void Core::MapItem(Space& from, Space& to, ItemKind kind, uint64_t send_base, uint64_t send_fpage,
                   const FpageValue& window) {
  const FpageValue send = DecodeFpage(send_fpage, profile_);
  // sigma0's memory is what it is: nothing is mapped into it. Interrupt threads have none.
  if (send.nil() || window.nil() || to.id == kSigma0Space || to.id == kKernelSpace) return;
  const MapPlace place = PlaceMapItem(send, window, send_base);
  const Piece piece{from, to, kind, send.rights};
  const MappingCounters before = database_.counters();
  if (!options_.quirks.manual()) [[unlikely]] {
    QuirkMapItem(piece, send, place);
  } else if (place.log2 == kPageShift && send.rights != 0) {
    // One page, as most answers to faults have it.
    const uint64_t source = place.source >> kPageShift, target = place.target >> kPageShift;
    const PageTable::Found page =
        from.id == kSigma0Space ? PageTable::Found{} : from.table.Walk(source);
    if (place.target < profile_.address_limit() &&
        (page.pte == nullptr || !MapSmallPage(piece, page, source, target))) {
      MapPiece(piece, source, target, 0);
    }
  } else if (send.rights != 0) {
    const uint64_t source = place.source >> kPageShift;
    const uint64_t target = place.target >> kPageShift;
    const uint64_t limit = profile_.address_limit() >> kPageShift;
    uint64_t end = source + (uint64_t{1} << (place.log2 - kPageShift));
    if (target < limit) end = std::min(end, source + (limit - target));
    // The largest page that fits source, target and fpage, all aligned alike.
    unsigned largest = 0;
    while (largest + 1u < database_.sizes().count &&
           database_.sizes().log2[largest + 1] <= place.log2) {
      largest++;
    }
    const bool sigma0 = from.id == kSigma0Space;
    const uint64_t ram = profile_.ram_base >> kPageShift;
    if (sigma0) end = std::min(end, ram + frames());
    for (uint64_t v = sigma0 ? std::max(source, ram) : source; v < end && target < limit;) {
      unsigned level = largest;
      if (sigma0) {
        v = v >> database_.shift(level) << database_.shift(level);
      } else {
        const PageTable::Found page = from.table.Next(v, end);
        if (page.pte == nullptr) break;
        v = std::max(v, page.vpage);
        level = std::min(level, page.level);
        if (level == 0 && MapSmallPage(piece, page, v, target + (v - source))) {
          v++;
          continue;
        }
      }
      MapPiece(piece, v, target + (v - source), level);
      v += database_.pages(level);
    }
  }
  const MappingCounters& after = database_.counters();
  if (kVerify) {
    const uint64_t target = place.target >> kPageShift;
    VerifyMapped(to, target, target + (uint64_t{1} << (place.log2 - kPageShift)));
  }
  Spend((after.mapped - before.mapped + after.split - before.split) * profile_.costs.map_page);
}

// ---- Unmap ----

RightsBits Core::UnmapSigma0(uint64_t first, uint64_t end, RightsBits revoke, Flush flush) {
  RightsBits status = 0;
  const uint64_t ram = profile_.ram_base >> kPageShift;
  first = std::max(first, ram);
  end = std::min(end, ram + frames());
  // Larger pages first: those that are only in part within the range are split, which makes
  // children of smaller roots.
  for (unsigned level = database_.sizes().count; level-- > 0 && first < end;) {
    const uint64_t size = database_.pages(level);
    for (uint64_t v = first / size * size; v < end; v += size) {
      const NodeIndex root = database_.RootAt(v, level);
      if (root == 0 || database_.UnmapIsIdle(root, revoke, flush)) continue;
      if (v >= first && v + size <= end) {
        status |= database_.Unmap(root, revoke, flush);
      } else {
        database_.SplitChildrenOfRoot(root);
      }
    }
  }
  return status;
}

RightsBits Core::UnmapRange(Space& space, uint64_t first, uint64_t end, RightsBits revoke,
                            Flush flush) {
  if (space.id == kSigma0Space) return UnmapSigma0(first, end, revoke, flush);
  RightsBits status = 0;
  for (uint64_t v = first; v < end;) {
    const PageTable::Found page = space.table.Next(v, end);
    if (page.pte == nullptr) break;
    const NodeIndex node = page.pte->node();
    const uint64_t page_end = page.vpage + database_.pages(page.level);
    // Part of a larger page, about which there is something to do.
    if ((page.vpage < first || page_end > end) && !database_.UnmapIsIdle(node, revoke, flush)) {
      database_.Split(node);
      continue;
    }
    v = page_end;
    if (page.vpage >= first && page_end <= end) status |= database_.Unmap(node, revoke, flush);
  }
  return status;
}

RightsBits Core::UnmapFpage(Space& space, uint64_t fpage, Flush flush) {
  const FpageValue f = DecodeUnmapFpage(fpage, profile_, options_.quirks);
  if (f.nil()) return 0;
  const uint64_t first = f.base >> kPageShift;
  const uint64_t end = first + (uint64_t{1} << (f.log2 - kPageShift));
  const RightsBits status = options_.quirks.manual()
                                ? UnmapRange(space, first, end, f.rights, flush)
                                : QuirkUnmapRange(space, first, end, f.rights, flush);
  if (kVerify) VerifyUnmapped(space, first, end, f.rights, flush);
  return status;
}

void Core::UnmapCall(Thread& self, L4_Word_t control) {
  Enter(profile_.costs.system_call);
  const unsigned count = (control & 63) + 1;
  const Flush flush = (control & L4_UNMAP_FLUSH) != 0 ? Flush::kYes : Flush::kNo;
  const MappingCounters before = database_.counters();
  ledger_.unmap_calls++;
  ledger_.unmap_fpages += count;
  const bool held_back = faults_.on() && several_processors_ && HoldUnmapBack(self);
  for (unsigned i = 0; i < count; i++) {
    L4_Word_t& word = self.utcb.mr[i];
    word = (word & ~L4_Word_t{kRwx}) | UnmapFpage(*self.space, word, flush);
  }
  const MappingCounters& after = database_.counters();
  Spend((after.unmapped - before.unmapped) * profile_.costs.unmap_page +
        (after.split - before.split) * profile_.costs.map_page);
  if (held_back) WaitForProcessors(self);
  Preempt(SchedulePoint::kUnmap);
}

void Core::FlushSpace(Space& space) {
  if (space.id == kSigma0Space) return;
  // Nobody may keep a translation of a space that is gone.
  if (unmapping_ != nullptr) EndUnmap(*unmapping_);
  const uint64_t limit = profile_.address_limit() >> kPageShift;
  for (uint64_t v = 0;;) {
    const PageTable::Found page = space.table.Next(v, limit);
    if (page.pte == nullptr) return;
    v = page.vpage;
    database_.Remove(page.pte->node());
  }
}

}  // namespace fake_l4
