#include "fake_l4/mapping_database.h"

#include "base/check.h"

namespace fake_l4 {

MappingDatabase::MappingDatabase(const Profile& profile, uint64_t ram_frames, uint32_t max_nodes,
                                 const Quirks& quirks)
    : profile_(profile),
      quirks_(quirks),
      sizes_(profile.page_sizes()),
      first_frame_(profile.ram_base >> kPageShift),
      end_frame_(first_frame_ + ram_frames),
      max_nodes_(max_nodes) {
  CHECK(ram_frames < (uint64_t{1} << 24));
  for (unsigned l = 0; l < sizes_.count; l++) {
    const uint64_t first = (first_frame_ + pages(l) - 1) >> shift(l);
    const uint64_t end = end_frame_ >> shift(l);
    roots_[l] = {root_count_ + 1, first, end > first ? end - first : 0};
    root_count_ += static_cast<uint32_t>(roots_[l].count);
  }
  // Sigma0's nodes cost nothing until they have children.
  for (uint32_t i = 0; i <= root_count_ >> kChunkShift; i++) {
    AddChunk();
  }
  used_ = root_count_;
}

// ---- Nodes ----

NodeIndex MappingDatabase::RootAt(uint64_t frame_number, unsigned level) const {
  const RootRange& range = roots_[level];
  const uint64_t index = (frame_number >> shift(level)) - range.first_page;
  return index < range.count ? range.first + static_cast<NodeIndex>(index) : 0;
}

unsigned MappingDatabase::RootLevel(NodeIndex i) const {
  unsigned level = 0;
  while (level + 1u < sizes_.count && i >= roots_[level + 1].first) level++;
  return level;
}

uint64_t MappingDatabase::RootFrame(NodeIndex i) const {
  const unsigned level = RootLevel(i);
  return (roots_[level].first_page + (i - roots_[level].first)) << shift(level);
}

[[gnu::always_inline]] inline NodeIndex MappingDatabase::Allocate(Limit limit) {
  if (limit == Limit::kYes && max_nodes_ != 0 && live_ >= max_nodes_) return 0;
  if (limit == Limit::kYes && faults_ != nullptr && faults_->on() &&
      faults_->Fires(FaultSite::kMappingNode)) {
    return 0;
  }
  live_++;
  if (free_ != 0) {
    const NodeIndex i = free_;
    free_ = links(i).next;
    return i;
  }
  return AllocateFresh();
}

void MappingDatabase::AddChunk() {
  chunks_.push_back(static_cast<MappingNode*>(tables_.Take(kChunkNodes * sizeof(MappingNode))));
  link_chunks_.push_back(
      static_cast<MappingLinks*>(tables_.Take(kChunkNodes * sizeof(MappingLinks))));
}

NodeIndex MappingDatabase::AllocateFresh() {
  const NodeIndex i = ++used_;
  CHECK(i < kMaxNodes);
  if (i >> kChunkShift >= chunks_.size()) AddChunk();
  return i;
}

void MappingDatabase::Free(NodeIndex i) {
  node(i) = MappingNode{};
  links(i) = MappingLinks{};
  links(i).next = free_;
  free_ = i;
  live_--;
}

void MappingDatabase::Reset(uint64_t touched_frames) {
  CHECK(live_ == 0);
  for (unsigned l = 0; l < sizes_.count; l++) {
    const RootRange& range = roots_[l];
    const uint64_t end = (first_frame_ + touched_frames + pages(l) - 1) >> shift(l);
    for (uint64_t i = 0; i < range.count && range.first_page + i < end; i++) {
      node(range.first + static_cast<NodeIndex>(i)) = MappingNode{};
    }
  }
  free_ = 0;
  used_ = root_count_;
  counters_ = {};
}

void MappingDatabase::Link(NodeIndex i, NodeIndex parent_index) {
  MappingNode& n = node(i);
  MappingLinks& parent = links(parent_index);
  const NodeIndex next = parent.first_child;
  n.parent = parent_index;
  n.prev = 0;
  links(i).next = next;
  if (next != 0) node(next).prev = i;
  parent.first_child = i;
}

void MappingDatabase::Unlink(NodeIndex i) {
  const MappingNode& n = node(i);
  const NodeIndex next = links(i).next;
  if (n.prev != 0) {
    links(n.prev).next = next;
  } else {
    links(n.parent).first_child = next;
  }
  if (next != 0) node(next).prev = n.prev;
}

// Gives a node its page. REQUIRES: the entry is absent.
void MappingDatabase::SetEntry(NodeIndex i, const Target& target, uint64_t frame,
                               RightsBits rights) {
  MappingNode& n = node(i);
  n.vpage = target.vpage;
  links(i).pte = target.table->Put(target.vpage, target.level, rights, frame, i);
  n.table = target.table;
  n.space = target.space;
  n.level = target.level & 3;
}

void MappingDatabase::ClearEntry(NodeIndex i) {
  const MappingNode& n = node(i);
  links(i).pte->Clear();
  n.table->CountAbsent(n.vpage, n.level);
  Revoked(n);
}

// Collects what node `i` owes its parent.
void MappingDatabase::PassUp(NodeIndex i) {
  MappingLinks& n = links(i);
  const RightsBits accessed = n.pte->TakeStatus();
  n.own |= accessed;
  const NodeIndex parent = node(i).parent;
  const RightsBits bits = n.up | accessed;
  n.up = 0;
  node(parent).sub |= bits;
  links(parent).up |= bits;
}

// ---- Map and grant ----

void MappingDatabase::Extend(NodeIndex i, RightsBits rights) {
  Pte& pte = *links(i).pte;
  pte.set_rights(pte.rights() | rights);
  node(i).out |= rights & 7;
  counters_.extended++;
}

MapPageResult MappingDatabase::Create(NodeIndex source, uint64_t frame, const Target& target,
                                      RightsBits rights) {
  const NodeIndex i = Allocate(Limit::kYes);
  if (i == 0) {
    counters_.refused++;
    return MapPageResult::kNoMemory;
  }
  links(i).first_child = 0;
  node(i).in = kRwx;
  node(i).out = rights & 7;
  Link(i, source);
  SetEntry(i, target, frame, rights);
  counters_.mapped++;
  return MapPageResult::kMapped;
}

void MappingDatabase::Move(NodeIndex source, const Target& target, RightsBits rights) {
  MappingLinks& n = links(source);
  const uint64_t frame = n.pte->frame_number();
  n.up |= n.pte->TakeStatus();
  n.own = 0;
  ClearEntry(source);
  SetEntry(source, target, frame, rights);
  RestrictBelow(source, rights);
  counters_.mapped++;
}

void MappingDatabase::MoveOnto(NodeIndex source, NodeIndex existing, RightsBits rights) {
  MappingNode& s = node(source);
  MappingNode& e = node(existing);
  const RightsBits all = rights | links(existing).pte->rights();
  // 1. The granter's accesses are owed to its parent, those of the other page to whom they were
  // owed.
  links(source).up |= links(source).pte->TakeStatus();
  if (e.parent == source) s.sub |= links(existing).up | links(existing).pte->status();
  links(source).up |= links(existing).up;
  s.sub |= e.sub;
  links(source).own = links(existing).own;
  // 2. One node for both.
  while (links(existing).first_child != 0) {
    const NodeIndex child = links(existing).first_child;
    Unlink(child);
    Link(child, source);
  }
  Unlink(existing);
  ClearEntry(source);
  s.vpage = e.vpage;
  links(source).pte = links(existing).pte;
  s.table = e.table;
  s.space = e.space;
  const RightsBits status = links(existing).pte->status();
  links(source).pte->Set(all, links(source).pte->frame_number(), source);
  links(source).pte->AddStatus(status);
  Free(existing);
  RestrictBelow(source, all);
  counters_.extended++;
  counters_.unmapped++;
}

MapPageResult MappingDatabase::MapPage(NodeIndex source, PageTable& table, uint32_t space,
                                       uint64_t vpage, RightsBits rights) {
  const RightsBits effective = Effective(source, rights);
  if (effective == 0) return MapPageResult::kNothing;
  const uint64_t frame = frame_number(source);
  const Target target{&table, space, vpage, level(source)};
  const Pte* pte = table.FindAt(vpage, target.level);
  if (pte != nullptr && pte->present()) {
    const NodeIndex old = pte->node();
    if (old == source) return MapPageResult::kNothing;
    if (DerivedFrom(old, source, frame)) {
      Extend(old, effective);
      return MapPageResult::kExtended;
    }
    // Nodes are never handed out between here and the check below, so an entry that still names
    // `source` is still it.
    Pte* source_pte = links(source).pte;
    Remove(old);
    if (source_pte != nullptr && source_pte->node() != source) return MapPageResult::kNothing;
  }
  return Create(source, frame, target, effective);
}

// ---- Unmap ----

void MappingDatabase::Restrict(NodeIndex i, RightsBits left) {
  const MappingNode& n = node(i);
  links(i).pte->set_rights(left);
  counters_.restricted++;
  Revoked(n);
}

// The node after `i` in the order of parents before children, within what is below `top`; 0 at the
// end. Without `descend` what is below `i` is passed over.
NodeIndex MappingDatabase::NextBelow(NodeIndex i, NodeIndex top, bool descend) const {
  if (descend && links(i).first_child != 0) return links(i).first_child;
  while (i != top) {
    if (links(i).next != 0) return links(i).next;
    i = node(i).parent;
  }
  return 0;
}

// Takes from everything below `top` what is not in `allowed`.
void MappingDatabase::RestrictBelow(NodeIndex top, RightsBits allowed) {
  NodeIndex i = links(top).first_child;
  while (i != 0) {
    const RightsBits before = links(i).pte->rights();
    const RightsBits left = profile_.Normalise(before & allowed);
    const NodeIndex skip = left == 0 ? NextBelow(i, top, false) : 0;
    if (left == 0) {
      Remove(i);
      i = skip;
      continue;
    }
    // Where nothing is lost nothing is lost below.
    if (left != before) Restrict(i, left);
    i = NextBelow(i, top, left != before);
  }
}

// Removes a node without children.
[[gnu::always_inline]] inline void MappingDatabase::RemoveLeaf(NodeIndex i) {
  if (quirks_.status == StatusRule::kEachOwnerOnce) PassUp(i);
  ClearEntry(i);
  Unlink(i);
  Free(i);
  counters_.unmapped++;
}

void MappingDatabase::Remove(NodeIndex top) {
  CHECK(!IsRoot(top));
  // Leaves first, without recursion: a chain of mappings may be as long as there are pages, and
  // stacks are small.
  NodeIndex i = top;
  for (;;) {
    while (links(i).first_child != 0) i = links(i).first_child;
    const NodeIndex parent = node(i).parent;
    RemoveLeaf(i);
    if (i == top) return;
    i = parent;
  }
}

bool MappingDatabase::UnmapIsIdle(NodeIndex i, RightsBits revoke, Flush flush) const {
  const MappingLinks& n = links(i);
  if (n.first_child != 0 || node(i).sub != 0) return false;
  if (flush == Flush::kNo || IsRoot(i)) return true;
  return n.own == 0 && n.pte->status() == 0 && After(n.pte->rights(), revoke) == n.pte->rights();
}

// Goes on from a node that was `before`, with `entry`, and is done now, for those of its siblings
// that lie one after the other from it on in memory, with entries as far apart, and were the same
// as it; returns how many there are, `most` at most.
uint32_t MappingDatabase::UnmapAlike(const MappingLinks& before, Pte entry, MappingLinks* done,
                                     int step, ptrdiff_t entries, uint32_t most) {
  constexpr int kAhead = 96;  // the host fetches what comes next by itself, but no further
  MappingLinks one;
  one.next = 1;
  const uint64_t next = step > 0 ? one.Word() : -one.Word();
  uint64_t expected = before.Word();
  const uint64_t change = expected ^ done->Word();
  const uint64_t entry_change = entry.ChangeTo(*before.pte);
  MappingLinks* n = done + step;
  Pte* pte = before.pte + entries;
  uint32_t count = 0;
  for (; count < most; ++count, n += step, pte += entries) {
    __builtin_prefetch(n + step * kAhead, /*rw=*/1);
    __builtin_prefetch(pte + entries * kAhead, /*rw=*/1);
    expected += next;
    if (n->pte != pte || n->Word() != expected || !pte->SameBits(entry)) break;
    pte->Apply(entry_change);
    n->SetWord(expected ^ change);
  }
  return count;
}

// Unmap for the children of `top` up to the first that has children itself or loses all rights,
// which is returned; 0: there is none. A page that was mapped to others in parts has hundreds of
// children, most of them made one after the other: then the next one's place and state are guessed
// from this one's, so that the processor need not wait to be told.
NodeIndex MappingDatabase::UnmapChildless(NodeIndex top, RightsBits revoke) {
  NodeIndex i = links(top).first_child;
  if (i == 0) return 0;
  RightsBits after[kRwx + 1];
  for (RightsBits rights = 0; rights <= kRwx; rights++) after[rights] = After(rights, revoke);
  const bool told = listener_ != nullptr;
  RightsBits below = 0;
  uint64_t restricted = 0;
  const Pte* last = links(i).pte;
  int step = -1;  // from one node to the next
  for (MappingLinks* n = &links(i);;) {
    const MappingLinks l = *n;
    const Pte entry = *l.pte;
    const RightsBits before = entry.rights(), accessed = entry.status();
    const RightsBits left = after[before];
    if (l.first_child != 0 || left == 0) break;
    restricted += left != before;
    l.pte->SetRightsAndStatus(left, 0);
    if (told && left != before) [[unlikely]] {
      Revoked(node(i));
    }
    if ((accessed & ~l.own) != 0) n->own = (l.own | accessed) & kRwx;
    if (l.up != 0) n->up = 0;
    below |= accessed | l.up;
    const NodeIndex next = l.next;
    if (next != i + step || ((next ^ i) >> kChunkShift) != 0) {
      step = next == i + 1 ? 1 : -1;
      i = next;
      if (i == 0) break;
      n = &links(i);
    } else {
      const uint32_t slot = i & (kChunkNodes - 1);
      const uint32_t most = step > 0 ? kChunkNodes - 1 - slot : slot;
      const uint32_t alike = told ? 0 : UnmapAlike(l, entry, n, step, l.pte - last, most);
      restricted += left != before ? alike : 0;
      i = next + static_cast<NodeIndex>(step) * alike;
      if (i == 0) break;
      n = &links(i);
      last = l.pte + (l.pte - last) * alike;
      continue;
    }
    last = l.pte;
  }
  counters_.restricted += restricted;
  node(top).sub |= below;
  links(top).up |= below;
  return i;
}

RightsBits MappingDatabase::Unmap(NodeIndex top, RightsBits revoke, Flush flush) {
  // 1. Everything derived: parents before children for rights, children before parents for status.
  NodeIndex i = UnmapChildless(top, revoke);
  while (i != 0) {
    const RightsBits before = links(i).pte->rights();
    const RightsBits left = After(before, revoke);
    NodeIndex next;
    if (left == 0) {
      const NodeIndex parent = node(i).parent;
      next = links(i).next;
      if (links(i).first_child == 0) {
        RemoveLeaf(i);
      } else {
        Remove(i);
      }
      i = parent;
    } else {
      if (left != before) Restrict(i, left);
      next = links(i).first_child;
      if (next == 0) {
        PassUp(i);
        next = links(i).next;
        i = node(i).parent;
      }
    }
    // Up until there is a next sibling, or back at the top.
    while (next == 0 && i != top) {
      PassUp(i);
      next = links(i).next;
      i = node(i).parent;
    }
    i = next;
  }
  // 2. The page itself.
  MappingNode& n = node(top);
  RightsBits result = n.sub;
  n.sub = 0;
  if (flush == Flush::kNo || IsRoot(top)) return result;
  const RightsBits accessed = links(top).pte->TakeStatus();
  result |= links(top).own | accessed;
  links(top).own = 0;
  links(top).up |= accessed;
  const RightsBits left = After(links(top).pte->rights(), revoke);
  if (left == 0) {
    Remove(top);
  } else if (left != links(top).pte->rights()) {
    Restrict(top, left);
  }
  return result;
}

// ---- Split ----

// The node of part `part` of the page that `old` had before it was split.
NodeIndex MappingDatabase::PartOf(NodeIndex old, uint64_t part) const {
  const MappingNode& o = node(old);
  const unsigned level = o.level - 1u;
  return o.table->FindAt(o.vpage + (part << shift(level)), level)->node();
}

// Makes the parts of `i` and hands them its smaller children. Its node stays, without an entry and
// with the children of its own size, until those are split.
void MappingDatabase::SplitOne(NodeIndex i, NodeIndex top, uint64_t frame) {
  MappingNode& n = node(i);
  const RightsBits rights = links(i).pte->rights(), status = links(i).pte->status();
  const unsigned level = n.level - 1u;
  const uint64_t parts = pages(n.level) >> shift(level);
  links(i).pte->Clear();
  n.table->CountAbsent(n.vpage, n.level);
  for (uint64_t part = 0; part < parts; part++) {
    const uint64_t offset = part << shift(level);
    NodeIndex parent = n.parent;
    if (i != top) {
      parent = PartOf(n.parent, part);
    } else if (IsRoot(parent)) {
      parent = RootAt(frame + offset, level);
    }
    const NodeIndex p = Allocate(Limit::kNo);
    MappingNode& made = node(p);
    links(p).first_child = 0;
    links(p).own = links(i).own;
    made.sub = n.sub;
    links(p).up = links(i).up;
    made.in = n.in;
    made.out = n.out;
    Link(p, parent);
    SetEntry(p, {n.table, n.space, n.vpage + offset, level}, frame + offset, rights);
    links(p).pte->AddStatus(status);
  }
  NodeIndex next;
  for (NodeIndex c = links(i).first_child; c != 0; c = next) {
    next = links(c).next;
    if (node(c).level == n.level) continue;
    Unlink(c);
    Link(c, PartOf(i, (links(c).pte->frame_number() - frame) >> shift(level)));
  }
}

void MappingDatabase::Split(NodeIndex top) {
  CHECK(!IsRoot(top) && node(top).level > 0);
  const uint64_t frame = frame_number(top);
  // Parents first, so that parts find the parts they hang below.
  NodeIndex i = top;
  do {
    SplitOne(i, top, frame);
    i = NextBelow(i, top, true);
  } while (i != 0);
  // Then the nodes without entries, leaves first.
  i = top;
  for (;;) {
    while (links(i).first_child != 0) i = links(i).first_child;
    const NodeIndex parent = node(i).parent;
    Unlink(i);
    Free(i);
    counters_.split++;
    if (i == top) return;
    i = parent;
  }
}

void MappingDatabase::SplitChildrenOfRoot(NodeIndex root) {
  const unsigned level = RootLevel(root) - 1u;
  const uint64_t frame = RootFrame(root);
  while (links(root).first_child != 0) Split(links(root).first_child);
  const RightsBits owed = node(root).sub;
  node(root).sub = links(root).up = 0;
  if (owed == 0) return;
  for (uint64_t f = frame; f < frame + pages(level + 1); f += pages(level)) {
    node(RootAt(f, level)).sub |= owed;
  }
}

}  // namespace fake_l4
