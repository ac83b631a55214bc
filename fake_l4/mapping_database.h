// fake_l4/mapping_database.h: who got which page from whom.
//
// WHAT     One node per mapped page of a space, in a tree per physical page: a child was mapped
//          from its parent. sigma0's own nodes, one per page of RAM, are the roots; they have no
//          page-table entry. All map and unmap operations of the kernel end here, page by page.
// STATES   absent -> MapPage -> present (rights and, by extension, more rights) -> Restrict ->
//          fewer rights -> Remove -> absent. Status bits: an access sets them in the accessing
//          page's entry. An unmap by any ancestor collects them; each owner on the way (the page
//          itself, every ancestor) then learns of the access exactly once, at its own next unmap:
//            own   accesses through this page, not yet told its owner (who asks with flush)
//            sub   accesses through derived pages, not yet told this page's owner
//            up    collected below or here, not yet passed to the parent
// INVARIANTS  entry(node).node == node; rights(child) is a subset of rights(parent); parent chains
//          end at a root; parent and child have the same frame.
// SEE      facts/l4.md section 7 (the manual's model), 8 item 8.e (that a reset by an ancestor is
//          not lost to those below).
#ifndef FAKE_L4_MAPPING_DATABASE_H_
#define FAKE_L4_MAPPING_DATABASE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "fake_l4/fault_injection.h"
#include "fake_l4/page_table.h"
#include "fake_l4/profile.h"

namespace fake_l4 {

using NodeIndex = uint32_t;  // 0: none. 1 .. frames: sigma0's nodes, in order of physical page.

struct MappingNode {
  NodeIndex parent = 0;
  NodeIndex first_child = 0;
  NodeIndex next = 0, prev = 0;  // siblings; `next` links free nodes
  uint64_t vpage = 0;
  Pte* pte = nullptr;  // null: a root
  PageTable* table = nullptr;
  uint32_t space = 0;
  RightsBits own = 0, sub = 0, up = 0;
};

// What the database tells the kernel's ledger.
struct MappingCounters {
  uint64_t mapped = 0, extended = 0, unmapped = 0, restricted = 0, refused = 0;
};

// Whether an unmap acts on the caller's own page, too.
enum class Flush : bool { kNo, kYes };

enum class MapPageResult { kMapped, kExtended, kNothing, kNoMemory };

class MappingDatabase {
 public:
  // `max_nodes` 0: no limit.
  MappingDatabase(const Profile& profile, uint64_t ram_frames, uint32_t max_nodes);

  // Who may refuse memory for a node (site mapping_node); null: nobody. Outlives the database.
  void set_faults(FaultInjection* faults) { faults_ = faults; }

  NodeIndex Root(uint64_t frame_index) const { return static_cast<NodeIndex>(frame_index + 1); }
  bool IsRoot(NodeIndex node) const { return node <= root_count_; }
  MappingNode& node(NodeIndex i) { return chunks_[i >> kChunkShift][i & (kChunkNodes - 1)]; }
  const MappingNode& node(NodeIndex i) const {
    return chunks_[i >> kChunkShift][i & (kChunkNodes - 1)];
  }
  // What the page of a node may do, and its physical page number (absolute).
  RightsBits rights(NodeIndex i) const { return IsRoot(i) ? kRwx : node(i).pte->rights(); }
  uint64_t frame_number(NodeIndex i) const {
    return IsRoot(i) ? first_frame_ + i - 1 : node(i).pte->frame_number();
  }

  // Maps the page of `source` to page `vpage` of `table` (number `space`) with `rights` and the
  // source's in common. A page already there is extended when it was derived from `source` itself,
  // else removed first with everything derived from it; if that takes `source` too, nothing is
  // mapped.
  MapPageResult MapPage(NodeIndex source, PageTable& table, uint32_t space, uint64_t vpage,
                        RightsBits rights);
  // Takes `revoke` from everything derived from `i`, and with `flush` from `i` itself; returns and
  // resets the status bits owed to the owner of `i`. `i` may be gone afterwards (flush only).
  RightsBits Unmap(NodeIndex i, RightsBits revoke, Flush flush);
  // Removes a node and everything derived from it. REQUIRES: not a root.
  void Remove(NodeIndex i);

  // Forgets history: counters, free nodes, and the status owed to sigma0 by the pages [0, touched)
  // of RAM. REQUIRES: no node is live.
  void Reset(uint64_t touched_frames);

  uint32_t live_nodes() const { return live_; }
  const MappingCounters& counters() const { return counters_; }

 private:
  static constexpr unsigned kChunkShift = 12;
  static constexpr uint32_t kChunkNodes = 1u << kChunkShift;

  NodeIndex Allocate();
  void Free(NodeIndex i);
  void Unlink(NodeIndex i);
  void PassUp(NodeIndex i);
  RightsBits After(RightsBits rights, RightsBits revoke) const {
    const RightsBits left = rights & ~revoke;
    return profile_.Normalise(left);
  }

  const Profile profile_;
  const uint64_t first_frame_;
  const uint32_t root_count_;
  const uint32_t max_nodes_;
  FaultInjection* faults_ = nullptr;
  struct FreeChunk {
    void operator()(MappingNode* p) const;
  };
  std::vector<std::unique_ptr<MappingNode[], FreeChunk>> chunks_;
  NodeIndex free_ = 0;
  NodeIndex used_ = 0;  // highest index ever handed out
  uint32_t live_ = 0;
  MappingCounters counters_;
};

}  // namespace fake_l4

#endif  // FAKE_L4_MAPPING_DATABASE_H_
