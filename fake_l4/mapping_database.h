// fake_l4/mapping_database.h: who got which page from whom.
//
// WHAT     One node per mapped page of a space, of whatever size, in a tree per physical page: a
//          child was mapped from its parent and is never larger. sigma0's own nodes, for each size
//          one per aligned piece of RAM, are the roots; they have no page-table entry, and their
//          children have their size. All map, grant and unmap operations of the kernel end here,
//          page by page.
//
//            sigma0   [root 2M ................][root 2M ...]      [root 4K][root 4K] ...
//                          |                                           |
//            root     [2M page ................]                    [4K page]
//                       |            |
//            a client [4K page]   [4K page]
//
//          A larger page of which only a part is to change is split into pages of the next smaller
//          size, together with every page of its size below it; children, rights and status stay
//          (each part inherits all the status bits). Programs cannot tell, but by status bits.
// STATES   absent -> Map -> present (rights and, by extension, more rights) -> Restrict ->
//          fewer rights -> Remove -> absent. Status bits: an access sets them in the accessing
//          page's entry. An unmap by any ancestor collects them; each owner on the way (the page
//          itself, every ancestor) then learns of the access exactly once, at its own next unmap:
//            own   accesses through this page, not yet told its owner (who asks with flush)
//            sub   accesses through derived pages, not yet told this page's owner
//            up    collected below or here, not yet passed to the parent
//          A grant moves a node with all that hangs below it to another page; the new owner has
//          made no accesses yet, and the parent is still told of the old one's.
// INVARIANTS  entry(node).node == node; rights(child) is a subset of rights(parent); parent chains
//          end at a root; a child's frames lie within its parent's.
// SEE      facts/l4.md section 7 (the manual's model), 8 item 8.e (that a reset by an ancestor is
//          not lost to those below); quirks.h and mapping_database_quirks.cc for other rules.
#ifndef FAKE_L4_MAPPING_DATABASE_H_
#define FAKE_L4_MAPPING_DATABASE_H_

#include <cstdint>
#include <vector>

#include "fake_l4/fault_injection.h"
#include "fake_l4/host_memory.h"
#include "fake_l4/page_table.h"
#include "fake_l4/profile.h"
#include "fake_l4/quirks.h"

namespace fake_l4 {

using NodeIndex = uint32_t;  // 0: none. The first ones are sigma0's, by level and physical page.

// What an unmap reads of each page derived from another; the rest lies apart, because such a walk
// takes as long as the host takes to fetch it.
struct MappingLinks {
  Pte* pte = nullptr;       // null: a root
  NodeIndex next : 29 = 0;  // sibling; links free nodes
  NodeIndex own : 3 = 0;
  NodeIndex first_child : 29 = 0;
  NodeIndex up : 3 = 0;

  // All but the entry.
  uint64_t Word() const {
    uint64_t word;
    __builtin_memcpy(&word, reinterpret_cast<const unsigned char*>(this) + sizeof pte, sizeof word);
    return word;
  }
  void SetWord(uint64_t word) {
    __builtin_memcpy(reinterpret_cast<unsigned char*>(this) + sizeof pte, &word, sizeof word);
  }
};
static_assert(sizeof(MappingLinks) == 8 + sizeof(Pte*));

struct MappingNode {
  NodeIndex parent = 0;
  NodeIndex prev = 0;  // sibling
  uint64_t vpage = 0;
  PageTable* table = nullptr;
  uint32_t space = 0;
  RightsBits sub = 0;
  // Under RevokeRule::kSetRights: which rights the page (in) and its parent (out) let pass.
  uint8_t level : 2 = 0, in : 3 = 0, out : 3 = 0;
};

// What the database tells the kernel's ledger.
struct MappingCounters {
  uint64_t mapped = 0;    // new entries, and granted ones
  uint64_t extended = 0;  // entries kept
  uint64_t unmapped = 0;  // entries that went, for whatever reason
  uint64_t restricted = 0;
  uint64_t refused = 0;           // no memory
  uint64_t split = 0;             // larger pages taken apart
  uint64_t debugger_entries = 0;  // [quirks, superpages] where the kernel enters its debugger
};

// Whether an unmap acts on the caller's own page, too.
enum class Flush : bool { kNo, kYes };

enum class MapPageResult { kMapped, kExtended, kNothing, kNoMemory };

// Told of every translation that lost rights or vanished: caches of it must go. A cached
// translation of a larger page that covers `vpage` is meant, too.
class RevocationListener {
 public:
  virtual ~RevocationListener() = default;
  virtual void Revoked(PageTable& table, uint64_t vpage, unsigned log2) = 0;
};

class MappingDatabase {
 public:
  // `max_nodes` 0: no limit. Splitting may exceed it: an unmap never fails.
  MappingDatabase(const Profile& profile, uint64_t ram_frames, uint32_t max_nodes,
                  const Quirks& quirks = kManualRules);

  // Who may refuse memory for a node (site mapping_node); null: nobody. Outlives the database.
  void set_faults(FaultInjection* faults) { faults_ = faults; }

  // sigma0's node of a page of 4 KiB, by index within RAM.
  NodeIndex Root(uint64_t frame_index) const { return static_cast<NodeIndex>(frame_index + 1); }
  // sigma0's node of the page of `level` that holds an absolute frame; 0 when it is not all RAM.
  NodeIndex RootAt(uint64_t frame_number, unsigned level) const;
  bool IsRoot(NodeIndex node) const { return node <= root_count_; }
  MappingNode& node(NodeIndex i) { return chunks_[i >> kChunkShift][i & (kChunkNodes - 1)]; }
  const MappingNode& node(NodeIndex i) const {
    return chunks_[i >> kChunkShift][i & (kChunkNodes - 1)];
  }
  MappingLinks& links(NodeIndex i) { return link_chunks_[i >> kChunkShift][i & (kChunkNodes - 1)]; }
  const MappingLinks& links(NodeIndex i) const {
    return link_chunks_[i >> kChunkShift][i & (kChunkNodes - 1)];
  }
  // What the page of a node may do, its (first) physical page number (absolute), and its size.
  RightsBits rights(NodeIndex i) const { return IsRoot(i) ? kRwx : links(i).pte->rights(); }
  uint64_t frame_number(NodeIndex i) const {
    return IsRoot(i) ? RootFrame(i) : links(i).pte->frame_number();
  }
  unsigned level(NodeIndex i) const { return IsRoot(i) ? RootLevel(i) : node(i).level; }
  const PageSizes& sizes() const { return sizes_; }
  unsigned shift(unsigned level) const { return sizes_.log2[level] - kPageShift; }
  uint64_t pages(unsigned level) const { return uint64_t{1} << shift(level); }
  const Quirks& quirks() const { return quirks_; }

  // ---- The manual's rules, for one page. Pages are of the level given throughout. ----

  // Where a page is to go. REQUIRES: aligned to the level; no entry of another level overlaps.
  struct Target {
    PageTable* table;
    uint32_t space;
    uint64_t vpage;
    unsigned level;
  };
  // What `source` can give of `rights`; 0: nothing is mapped.
  RightsBits Effective(NodeIndex source, RightsBits rights) const {
    return profile_.Normalise(rights & this->rights(source));
  }
  // Whether the page of `node` is one that mapping `frame` from `source` would keep.
  bool DerivedFrom(NodeIndex node, NodeIndex source, uint64_t frame) const {
    if (frame_number(node) != frame) return false;
    const NodeIndex parent = this->node(node).parent;
    return parent == source || (IsRoot(parent) && IsRoot(source));
  }
  // Gives a page more rights.
  void Extend(NodeIndex i, RightsBits rights);
  // A new child of `source`, which maps `frame` (absolute; within the source's) with exactly
  // `rights`. REQUIRES: the target is free.
  MapPageResult Create(NodeIndex source, uint64_t frame, const Target& target, RightsBits rights);
  // Grants the whole page of `source` with `rights`, of those it has; what is derived from it keeps
  // no more than those. REQUIRES: not a root; the target is free.
  void Move(NodeIndex source, const Target& target, RightsBits rights);
  // The same onto `existing`, a page that DerivedFrom the source or its parent: it has its rights
  // extended, keeps its children and gets the source's, and takes the source's place in the tree.
  void MoveOnto(NodeIndex source, NodeIndex existing, RightsBits rights);
  // Map by Extend and Create, onto whatever page of the source's size is at the target: a page
  // already there is extended when it was derived from `source` itself, else removed first with
  // everything derived from it; if that takes `source` too, nothing is mapped.
  MapPageResult MapPage(NodeIndex source, PageTable& table, uint32_t space, uint64_t vpage,
                        RightsBits rights);

  // Takes `revoke` from everything derived from `i`, and with `flush` from `i` itself; returns and
  // resets the status bits owed to the owner of `i`. `i` may be gone afterwards (flush only).
  RightsBits Unmap(NodeIndex i, RightsBits revoke, Flush flush);
  // Whether Unmap would change and return nothing.
  bool UnmapIsIdle(NodeIndex i, RightsBits revoke, Flush flush) const;
  // Removes a node and everything derived from it. REQUIRES: not a root.
  void Remove(NodeIndex i);
  // Replaces the page of `i` and all pages of its size below it by pages of the next smaller size.
  // REQUIRES: not a root; level(i) > 0.
  void Split(NodeIndex i);
  // Splits what is mapped from a root, as far as the root has any need of it.
  void SplitChildrenOfRoot(NodeIndex root);

  // ---- Other rules: mapping_database_quirks.cc ----

  // Unmap by quirks().revoke and quirks().status. On a larger page it acts on all of it.
  RightsBits QuirkUnmap(NodeIndex i, RightsBits revoke, Flush flush);
  // A grant by quirks().grant kMovesWithItemRights. REQUIRES: the target is free.
  void QuirkMove(NodeIndex source, const Target& target, RightsBits rights);
  void CountDebuggerEntry() { counters_.debugger_entries++; }

  // Forgets history: counters, free nodes, and the status owed to sigma0 by the pages [0, touched)
  // of RAM. REQUIRES: no node is live.
  void Reset(uint64_t touched_frames);

  void SetListener(RevocationListener* listener) { listener_ = listener; }
  uint32_t live_nodes() const { return live_; }
  const MappingCounters& counters() const { return counters_; }

 private:
  static constexpr unsigned kChunkShift = 12;
  static constexpr uint32_t kChunkNodes = 1u << kChunkShift;
  static constexpr NodeIndex kMaxNodes = NodeIndex{1} << 29;

  unsigned RootLevel(NodeIndex i) const;
  uint64_t RootFrame(NodeIndex i) const;
  // The limit on nodes counts, or not.
  enum class Limit : bool { kNo, kYes };
  NodeIndex Allocate(Limit limit);
  NodeIndex AllocateFresh();
  void AddChunk();
  void Free(NodeIndex i);
  void Link(NodeIndex i, NodeIndex parent);
  void Unlink(NodeIndex i);
  void SetEntry(NodeIndex i, const Target& target, uint64_t frame, RightsBits rights);
  void ClearEntry(NodeIndex i);
  void RemoveLeaf(NodeIndex i);
  void PassUp(NodeIndex i);
  void Restrict(NodeIndex i, RightsBits left);
  void RestrictBelow(NodeIndex top, RightsBits allowed);
  NodeIndex UnmapChildless(NodeIndex top, RightsBits revoke);
  static uint32_t UnmapAlike(const MappingLinks& before, Pte entry, MappingLinks* done, int step,
                             ptrdiff_t entries, uint32_t most);
  NodeIndex PartOf(NodeIndex old, uint64_t part) const;
  void SplitOne(NodeIndex i, NodeIndex top, uint64_t frame);
  void Revoked(const MappingNode& n) {
    if (listener_ != nullptr) [[unlikely]] {
      listener_->Revoked(*n.table, n.vpage, sizes_.log2[n.level]);
    }
  }
  RightsBits After(RightsBits rights, RightsBits revoke) const {
    const RightsBits left = rights & ~revoke;
    return profile_.Normalise(left);
  }
  // mapping_database_quirks.cc
  bool Overlooked(NodeIndex child, NodeIndex top, Flush flush) const;
  NodeIndex FirstBelow(NodeIndex top, Flush flush) const;
  NodeIndex NextSibling(NodeIndex i, NodeIndex top, Flush flush) const;
  RightsBits CollectPushing(NodeIndex top, Flush flush);
  RightsBits CollectKeeping(NodeIndex top, Flush flush);
  void RemoveBelow(NodeIndex top, Flush flush);
  void SetRights(NodeIndex top, RightsBits revoke, Flush flush);
  void PassRights(NodeIndex top, bool extend, RightsBits allowed);
  void TakeWrite(NodeIndex top, RightsBits revoke, Flush flush);
  NodeIndex NextBelow(NodeIndex i, NodeIndex top, bool descend) const;

  const Profile profile_;
  const Quirks quirks_;
  const PageSizes sizes_;
  const uint64_t first_frame_;
  const uint64_t end_frame_;
  struct RootRange {
    NodeIndex first = 1;      // node
    uint64_t first_page = 0;  // absolute, in pages of the level
    uint64_t count = 0;
  };
  RootRange roots_[kMaxPageSizes];
  uint32_t root_count_ = 0;
  const uint32_t max_nodes_;
  FaultInjection* faults_ = nullptr;
  HostTables tables_;
  std::vector<MappingNode*> chunks_;
  std::vector<MappingLinks*> link_chunks_;
  NodeIndex free_ = 0;
  NodeIndex used_ = 0;  // highest index ever handed out
  uint32_t live_ = 0;
  RevocationListener* listener_ = nullptr;
  MappingCounters counters_;
};

}  // namespace fake_l4

#endif  // FAKE_L4_MAPPING_DATABASE_H_
