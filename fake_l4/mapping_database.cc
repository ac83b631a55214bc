#include "fake_l4/mapping_database.h"

#include <cstdlib>

#include "base/check.h"

namespace fake_l4 {

void MappingDatabase::FreeChunk::operator()(MappingNode* p) const { std::free(p); }

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
  // Large callocs are zero pages of the host: sigma0's nodes cost nothing until they have children.
  for (uint32_t i = 0; i <= root_count_ >> kChunkShift; i++) {
    void* memory = std::calloc(kChunkNodes, sizeof(MappingNode));
    CHECK(memory != nullptr);
    chunks_.emplace_back(static_cast<MappingNode*>(memory));
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
    free_ = node(i).next;
    return i;
  }
  return AllocateFresh();
}

NodeIndex MappingDatabase::AllocateFresh() {
  const NodeIndex i = ++used_;
  if (i >> kChunkShift >= chunks_.size()) {
    void* memory = std::calloc(kChunkNodes, sizeof(MappingNode));
    CHECK(memory != nullptr);
    chunks_.emplace_back(static_cast<MappingNode*>(memory));
  }
  return i;
}

void MappingDatabase::Free(NodeIndex i) {
  MappingNode& n = node(i);
  n = MappingNode{};
  n.next = free_;
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
  MappingNode& parent = node(parent_index);
  n.parent = parent_index;
  n.prev = 0;
  n.next = parent.first_child;
  if (n.next != 0) node(n.next).prev = i;
  parent.first_child = i;
}

void MappingDatabase::Unlink(NodeIndex i) {
  MappingNode& n = node(i);
  if (n.prev != 0) {
    node(n.prev).next = n.next;
  } else {
    node(n.parent).first_child = n.next;
  }
  if (n.next != 0) node(n.next).prev = n.prev;
}

// Gives a node its page. REQUIRES: the entry is absent.
void MappingDatabase::SetEntry(NodeIndex i, const Target& target, uint64_t frame,
                               RightsBits rights) {
  MappingNode& n = node(i);
  n.vpage = target.vpage;
  n.pte = target.table->Put(target.vpage, target.level, rights, frame, i);
  n.table = target.table;
  n.space = target.space;
  n.level = target.level & 3;
}

void MappingDatabase::ClearEntry(NodeIndex i) {
  MappingNode& n = node(i);
  n.pte->Clear();
  n.table->CountAbsent(n.vpage, n.level);
  Revoked(n);
}

// Collects what node `i` owes its parent.
void MappingDatabase::PassUp(NodeIndex i) {
  MappingNode& n = node(i);
  const RightsBits accessed = n.pte->TakeStatus();
  n.own |= accessed;
  MappingNode& parent = node(n.parent);
  const RightsBits bits = n.up | accessed;
  n.up = 0;
  parent.sub |= bits;
  parent.up |= bits;
}

// ---- Map and grant ----

void MappingDatabase::Extend(NodeIndex i, RightsBits rights) {
  Pte& pte = *node(i).pte;
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
  node(i).first_child = 0;
  node(i).in = kRwx;
  node(i).out = rights & 7;
  Link(i, source);
  SetEntry(i, target, frame, rights);
  counters_.mapped++;
  return MapPageResult::kMapped;
}

void MappingDatabase::Move(NodeIndex source, const Target& target, RightsBits rights) {
  MappingNode& n = node(source);
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
  const RightsBits all = rights | e.pte->rights();
  // 1. The granter's accesses are owed to its parent, those of the other page to whom they were
  // owed.
  s.up |= s.pte->TakeStatus();
  if (e.parent == source) s.sub |= e.up | e.pte->status();
  s.up |= e.up;
  s.sub |= e.sub;
  s.own = e.own;
  // 2. One node for both.
  while (e.first_child != 0) {
    const NodeIndex child = e.first_child;
    Unlink(child);
    Link(child, source);
  }
  Unlink(existing);
  ClearEntry(source);
  s.vpage = e.vpage;
  s.pte = e.pte;
  s.table = e.table;
  s.space = e.space;
  const RightsBits status = e.pte->status();
  s.pte->Set(all, s.pte->frame_number(), source);
  s.pte->AddStatus(status);
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
    Pte* source_pte = node(source).pte;
    Remove(old);
    if (source_pte != nullptr && source_pte->node() != source) return MapPageResult::kNothing;
  }
  return Create(source, frame, target, effective);
}

// ---- Unmap ----

void MappingDatabase::Restrict(NodeIndex i, RightsBits left) {
  MappingNode& n = node(i);
  n.pte->set_rights(left);
  counters_.restricted++;
  Revoked(n);
}

// The node after `i` in the order of parents before children, within what is below `top`; 0 at the
// end. Without `descend` what is below `i` is passed over.
NodeIndex MappingDatabase::NextBelow(NodeIndex i, NodeIndex top, bool descend) const {
  if (descend && node(i).first_child != 0) return node(i).first_child;
  while (i != top) {
    if (node(i).next != 0) return node(i).next;
    i = node(i).parent;
  }
  return 0;
}

// Takes from everything below `top` what is not in `allowed`.
void MappingDatabase::RestrictBelow(NodeIndex top, RightsBits allowed) {
  NodeIndex i = node(top).first_child;
  while (i != 0) {
    const RightsBits before = node(i).pte->rights();
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
    while (node(i).first_child != 0) i = node(i).first_child;
    const NodeIndex parent = node(i).parent;
    RemoveLeaf(i);
    if (i == top) return;
    i = parent;
  }
}

bool MappingDatabase::UnmapIsIdle(NodeIndex i, RightsBits revoke, Flush flush) const {
  const MappingNode& n = node(i);
  if (n.first_child != 0 || n.sub != 0) return false;
  if (flush == Flush::kNo || IsRoot(i)) return true;
  return n.own == 0 && n.pte->status() == 0 && After(n.pte->rights(), revoke) == n.pte->rights();
}

// Unmap for the children of `top` up to the first that has children itself or loses all rights,
// which is returned; 0: there is none. A page that was mapped to others in parts has hundreds of
// children, most of them made one after the other: then the next one's place is guessed from this
// one's, so that the processor need not wait to be told.
NodeIndex MappingDatabase::UnmapChildless(NodeIndex top, RightsBits revoke) {
  constexpr int kAhead = 24;
  NodeIndex i = node(top).first_child;
  if (i == 0) return 0;
  RightsBits accessed_below = 0;
  uint64_t restricted = 0;
  for (MappingNode* n = &node(i);;) {
    Pte& pte = *n->pte;
    const RightsBits before = pte.rights();
    const RightsBits left = After(before, revoke);
    if (n->first_child != 0 || left == 0) break;
    if (left != before) {
      pte.set_rights(left);
      restricted++;
      Revoked(*n);
    }
    const RightsBits accessed = pte.status();
    if ((accessed | n->up) != 0) {
      pte.TakeStatus();
      n->own |= accessed;
      accessed_below |= n->up | accessed;
      n->up = 0;
    }
    const NodeIndex next = n->next;
    if (next == i - 1 && i % kChunkNodes != 0) {
      n--;
      __builtin_prefetch(n - kAhead, /*rw=*/1);
    } else if (next == i + 1 && next % kChunkNodes != 0) {
      n++;
      __builtin_prefetch(n + kAhead, /*rw=*/1);
    } else if (next != 0) {
      n = &node(next);
    }
    i = next;
    if (i == 0) break;
  }
  counters_.restricted += restricted;
  node(top).sub |= accessed_below;
  node(top).up |= accessed_below;
  return i;
}

RightsBits MappingDatabase::Unmap(NodeIndex top, RightsBits revoke, Flush flush) {
  // 1. Everything derived: parents before children for rights, children before parents for status.
  NodeIndex i = UnmapChildless(top, revoke);
  while (i != 0) {
    const RightsBits before = node(i).pte->rights();
    const RightsBits left = After(before, revoke);
    NodeIndex next;
    if (left == 0) {
      const NodeIndex parent = node(i).parent;
      next = node(i).next;
      if (node(i).first_child == 0) {
        RemoveLeaf(i);
      } else {
        Remove(i);
      }
      i = parent;
    } else {
      if (left != before) Restrict(i, left);
      next = node(i).first_child;
      if (next == 0) {
        PassUp(i);
        next = node(i).next;
        i = node(i).parent;
      }
    }
    // Up until there is a next sibling, or back at the top.
    while (next == 0 && i != top) {
      PassUp(i);
      next = node(i).next;
      i = node(i).parent;
    }
    i = next;
  }
  // 2. The page itself.
  MappingNode& n = node(top);
  RightsBits result = n.sub;
  n.sub = 0;
  if (flush == Flush::kNo || IsRoot(top)) return result;
  const RightsBits accessed = n.pte->TakeStatus();
  result |= n.own | accessed;
  n.own = 0;
  n.up |= accessed;
  const RightsBits left = After(n.pte->rights(), revoke);
  if (left == 0) {
    Remove(top);
  } else if (left != n.pte->rights()) {
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
  const RightsBits rights = n.pte->rights(), status = n.pte->status();
  const unsigned level = n.level - 1u;
  const uint64_t parts = pages(n.level) >> shift(level);
  n.pte->Clear();
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
    made.first_child = 0;
    made.own = n.own;
    made.sub = n.sub;
    made.up = n.up;
    made.in = n.in;
    made.out = n.out;
    Link(p, parent);
    SetEntry(p, {n.table, n.space, n.vpage + offset, level}, frame + offset, rights);
    made.pte->AddStatus(status);
  }
  NodeIndex next;
  for (NodeIndex c = n.first_child; c != 0; c = next) {
    next = node(c).next;
    if (node(c).level == n.level) continue;
    Unlink(c);
    Link(c, PartOf(i, (node(c).pte->frame_number() - frame) >> shift(level)));
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
    while (node(i).first_child != 0) i = node(i).first_child;
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
  while (node(root).first_child != 0) Split(node(root).first_child);
  const RightsBits owed = node(root).sub;
  node(root).sub = node(root).up = 0;
  if (owed == 0) return;
  for (uint64_t f = frame; f < frame + pages(level + 1); f += pages(level)) {
    node(RootAt(f, level)).sub |= owed;
  }
}

}  // namespace fake_l4
