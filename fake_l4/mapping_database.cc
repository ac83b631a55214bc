#include "fake_l4/mapping_database.h"

#include <cstdlib>

#include "base/check.h"

namespace fake_l4 {

void MappingDatabase::FreeChunk::operator()(MappingNode* p) const { std::free(p); }

MappingDatabase::MappingDatabase(const Profile& profile, uint64_t ram_frames, uint32_t max_nodes)
    : profile_(profile),
      first_frame_(profile.ram_base >> kPageShift),
      root_count_(static_cast<uint32_t>(ram_frames)),
      max_nodes_(max_nodes) {
  CHECK(ram_frames < (uint64_t{1} << 24));
  // Large callocs are zero pages of the host: sigma0's nodes cost nothing until they have children.
  for (uint32_t i = 0; i <= root_count_ >> kChunkShift; i++) {
    void* memory = std::calloc(kChunkNodes, sizeof(MappingNode));
    CHECK(memory != nullptr);
    chunks_.emplace_back(static_cast<MappingNode*>(memory));
  }
  used_ = root_count_;
}

NodeIndex MappingDatabase::Allocate() {
  if (max_nodes_ != 0 && live_ >= max_nodes_) return 0;
  if (faults_ != nullptr && faults_->on() && faults_->Fires(FaultSite::kMappingNode)) return 0;
  live_++;
  if (free_ != 0) {
    const NodeIndex i = free_;
    free_ = node(i).next;
    return i;
  }
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
  for (uint64_t i = 0; i < touched_frames; i++) node(Root(i)) = MappingNode{};
  free_ = 0;
  used_ = root_count_;
  counters_ = {};
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

MapPageResult MappingDatabase::MapPage(NodeIndex source, PageTable& table, uint32_t space,
                                       uint64_t vpage, RightsBits rights) {
  const RightsBits effective = profile_.Normalise(rights & this->rights(source));
  if (effective == 0) return MapPageResult::kNothing;
  const uint64_t frame = frame_number(source);
  Leaf* leaf = table.EnsureLeaf(vpage);
  Pte& pte = leaf->pte[vpage & 511];
  if (pte.present()) {
    const NodeIndex old = pte.node();
    if (old == source) return MapPageResult::kNothing;
    if (node(old).parent == source) {
      pte.set_rights(pte.rights() | effective);
      counters_.extended++;
      return MapPageResult::kExtended;
    }
    // Nodes are never handed out between here and the check below, so an entry that still names
    // `source` is still it.
    Pte* source_pte = node(source).pte;
    Remove(old);
    if (source_pte != nullptr && source_pte->node() != source) return MapPageResult::kNothing;
  }
  const NodeIndex i = Allocate();
  if (i == 0) {
    counters_.refused++;
    return MapPageResult::kNoMemory;
  }
  MappingNode& n = node(i);
  MappingNode& parent = node(source);
  n.parent = source;
  n.first_child = 0;
  n.prev = 0;
  n.next = parent.first_child;
  if (n.next != 0) node(n.next).prev = i;
  parent.first_child = i;
  n.vpage = vpage;
  n.pte = &pte;
  n.table = &table;
  n.space = space;
  pte.Set(effective, frame, i);
  table.CountPresent(leaf);
  counters_.mapped++;
  return MapPageResult::kMapped;
}

void MappingDatabase::Remove(NodeIndex top) {
  CHECK(!IsRoot(top));
  // Leaves first, without recursion: a chain of mappings may be as long as there are pages, and
  // stacks are small.
  NodeIndex i = top;
  for (;;) {
    while (node(i).first_child != 0) i = node(i).first_child;
    PassUp(i);
    MappingNode& n = node(i);
    const NodeIndex parent = n.parent;
    n.pte->Clear();
    n.table->CountAbsent(n.vpage);
    Unlink(i);
    Free(i);
    counters_.unmapped++;
    if (i == top) return;
    i = parent;
  }
}

RightsBits MappingDatabase::Unmap(NodeIndex top, RightsBits revoke, Flush flush) {
  // 1. Everything derived: parents before children for rights, children before parents for status.
  NodeIndex i = node(top).first_child;
  while (i != 0) {
    Pte& pte = *node(i).pte;
    const RightsBits before = pte.rights();
    const RightsBits left = After(before, revoke);
    NodeIndex next;
    if (left == 0) {
      const NodeIndex parent = node(i).parent;
      next = node(i).next;
      Remove(i);
      i = parent;
    } else {
      if (left != before) {
        pte.set_rights(left);
        counters_.restricted++;
      }
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
    n.pte->set_rights(left);
    counters_.restricted++;
  }
  return result;
}

}  // namespace fake_l4
