// fake_l4/page_table.h: the software page table of one address space.
//
// WHAT     Entries of 8 bytes, each for a page of one of the profile's sizes (levels). Entries of
//          one level lie in leaves of 512; all leaves hang in a B-tree, with a small direct-mapped
//          cache in front that also remembers absent ones. A leaf, once there, stays until the
//          space goes (or DropEmptyLeaves), so entry addresses are stable.
// INVARIANTS  An entry is present exactly when it has rights. Absent entries are all zero. Present
//          entries never overlap, whatever their levels. A leaf's bit map and count tell which of
//          its entries are present.
// SEE      mapping_database.h, which owns every change to an entry but the status bits.
#ifndef FAKE_L4_PAGE_TABLE_H_
#define FAKE_L4_PAGE_TABLE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/btree_map.h"
#include "base/check.h"
#include "fake_l4/host_memory.h"
#include "fake_l4/profile.h"

namespace fake_l4 {

inline constexpr unsigned kPageShift = 12;
inline constexpr uint64_t kPageBytes = uint64_t{1} << kPageShift;

// rights 0..2, status 3..5, frame number 8..31 (64 GiB of physical addresses), mapping node 32..63.
// The frame of a larger page is its first frame of 4 KiB.
class Pte {
 public:
  bool present() const { return (bits_ & kRwx) != 0; }
  RightsBits rights() const { return bits_ & kRwx; }
  RightsBits status() const { return bits_ >> 3 & kRwx; }
  uint64_t frame_number() const { return bits_ >> 8 & 0xffffff; }
  uint32_t node() const { return static_cast<uint32_t>(bits_ >> 32); }
  void Set(RightsBits rights, uint64_t frame_number, uint32_t node) {
    bits_ = rights | frame_number << 8 | uint64_t{node} << 32;
  }
  void set_rights(RightsBits rights) { bits_ = (bits_ & ~uint64_t{kRwx}) | rights; }
  void AddStatus(RightsBits accessed) { bits_ |= uint64_t{accessed} << 3; }
  void SetRightsAndStatus(RightsBits rights, RightsBits status) {
    bits_ = (bits_ & ~uint64_t{kRwx << 3 | kRwx}) | static_cast<RightsBits>(status << 3 | rights);
  }
  RightsBits TakeStatus() {
    const RightsBits s = status();
    bits_ &= ~(uint64_t{kRwx} << 3);
    return s;
  }
  void Clear() { bits_ = 0; }
  // Whether rights and status are the other's; and the change of them from one entry to another.
  bool SameBits(Pte other) const { return ((bits_ ^ other.bits_) & (kRwx << 3 | kRwx)) == 0; }
  uint64_t ChangeTo(Pte other) const { return (bits_ ^ other.bits_) & (kRwx << 3 | kRwx); }
  void Apply(uint64_t change) { bits_ ^= change; }

 private:
  uint64_t bits_ = 0;
};

inline constexpr unsigned kLeafShift = 9;
inline constexpr unsigned kLeafEntries = 1u << kLeafShift;

struct Leaf {
  Pte pte[kLeafEntries];
  uint64_t used[kLeafEntries / 64] = {};  // bit map of the entries present
  uint32_t count = 0;                     // entries present
};

// Leaves of all spaces of a machine. A returned leaf is empty, hence all zero. Those made one after
// the other lie side by side.
class LeafPool {
 public:
  Leaf* Take();
  void Return(Leaf* leaf);

 private:
  HostTables tables_;
  std::vector<Leaf*> free_;
};

class PageTable {
 public:
  explicit PageTable(LeafPool* pool, const PageSizes& sizes = {});
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;
  // REQUIRES: no entry is present.
  ~PageTable();
  // Forgets all leaves without returning them: the machine is going away.
  void Forget() { leaves_.clear(); }

  unsigned levels() const { return levels_; }
  // Pages of 4 KiB in a page of `level`, and log2 of that.
  unsigned shift(unsigned level) const { return shift_[level]; }
  uint64_t pages(unsigned level) const { return uint64_t{1} << shift_[level]; }

  // The entry of level 0 of a page, or null when its leaf does not exist. `vpage` = address /
  // 4 KiB throughout.
  Pte* Find(uint64_t vpage) {
    Leaf* leaf = FindLeaf(vpage >> kLeafShift);
    return leaf == nullptr ? nullptr : &leaf->pte[vpage & (kLeafEntries - 1)];
  }
  // The same for the entry of any level that would map `vpage`.
  Pte* FindAt(uint64_t vpage, unsigned level) {
    Leaf* leaf = FindLeaf(Key(vpage, level));
    return leaf == nullptr ? nullptr : &leaf->pte[Slot(vpage, level)];
  }

  // A present entry and where its page begins.
  struct Found {
    Pte* pte = nullptr;
    uint64_t vpage = 0;
    unsigned level = 0;
  };
  // The entry that maps `vpage`; pte null when there is none.
  Found Walk(uint64_t vpage) {
    Pte* pte = Find(vpage);
    if (pte != nullptr && pte->present()) return {pte, vpage, 0};
    return large_ == 0 ? Found{} : WalkLarge(vpage);
  }
  // The same in line, without the largest of three sizes.
  [[gnu::always_inline]] Found WalkUsual(uint64_t vpage) {
    Pte* pte = Find(vpage);
    if (pte != nullptr && pte->present()) return {pte, vpage, 0};
    if (large_ == 0) return {};
    pte = FindAt(vpage, 1);
    if (pte != nullptr && pte->present()) return {pte, vpage >> shift_[1] << shift_[1], 1};
    return {};
  }
  // The first entry that maps any page of [first, end); pte null when there is none. Safe against
  // any change between calls.
  Found Next(uint64_t first, uint64_t end) {
    if (first >= end) return {};
    const Found found = Walk(first);
    return found.pte != nullptr || end - first == 1 ? found : NextSlow(first, end);
  }

  // The entry of `level` for `vpage`, its leaf made if need be. REQUIRES: no entry of another level
  // overlaps it when it is then set.
  Pte* Ensure(uint64_t vpage, unsigned level);
  // To be called after an entry got or lost its rights.
  void CountPresent(uint64_t vpage, unsigned level) {
    Count(*FindLeaf(Key(vpage, level)), vpage, level);
  }
  void CountAbsent(uint64_t vpage, unsigned level);
  // Makes the entry of `level` for `vpage` present, and its leaf if need be. REQUIRES: absent, and
  // no entry of another level overlaps it; rights is not 0.
  Pte* Put(uint64_t vpage, unsigned level, RightsBits rights, uint64_t frame_number,
           uint32_t node) {
    const uint64_t key = Key(vpage, level);
    Leaf* leaf = FindLeaf(key);
    if (leaf == nullptr) [[unlikely]]
      leaf = MakeLeaf(key);
    Pte* const pte = &leaf->pte[Slot(vpage, level)];
    DCHECK(!pte->present());
    pte->Set(rights, frame_number, node);
    Count(*leaf, vpage, level);
    return pte;
  }
  uint64_t present() const { return present_; }
  uint64_t large_present() const { return large_; }

  // Leaves by key, for who looks at all of them: the level is the key's top four bits.
  static uint64_t FirstKey(unsigned level) { return uint64_t{level} << kLevelShift; }
  [[gnu::always_inline]] Leaf* FindLeaf(uint64_t key) {
    CacheSlot& slot = cache_[(key ^ key >> (kLevelShift - 2)) % kCacheSlots];
    if (slot.key == key) [[likely]]
      return slot.leaf;
    return FindLeafSlow(key, slot);
  }
  // The first non-empty leaf of the level of *key with key >= *key; updates *key. Null when there
  // is none.
  Leaf* NextLeaf(uint64_t* key) const;
  // The page at which the entries of a leaf begin.
  uint64_t FirstPage(uint64_t key) const {
    const unsigned level = static_cast<unsigned>(key >> kLevelShift);
    return (key & (FirstKey(1) - 1)) << kLeafShift << shift_[level];
  }

  // Whether the level-0 entries of the larger page (level 1) around `vpage` have a leaf, empty or
  // not; and how to give empty ones back.
  bool HasLeaves(uint64_t vpage);
  void DropEmptyLeaves(uint64_t vpage);

 private:
  static constexpr size_t kCacheSlots = 16;
  static constexpr unsigned kLevelShift = 60;
  struct CacheSlot {
    uint64_t key = UINT64_MAX;
    Leaf* leaf = nullptr;  // null: there is no such leaf
  };
  uint64_t Key(uint64_t vpage, unsigned level) const {
    return FirstKey(level) | vpage >> shift_[level] >> kLeafShift;
  }
  unsigned Slot(uint64_t vpage, unsigned level) const {
    return static_cast<unsigned>(vpage >> shift_[level] & (kLeafEntries - 1));
  }
  // One more entry is present.
  void Count(Leaf& leaf, uint64_t vpage, unsigned level) {
    const unsigned slot = Slot(vpage, level);
    leaf.used[slot / 64] |= uint64_t{1} << slot % 64;
    leaf.count++;
    present_++;
    large_ += level != 0;
  }
  Leaf* MakeLeaf(uint64_t key);
  Leaf* FindLeafSlow(uint64_t key, CacheSlot& slot);
  Found WalkLarge(uint64_t vpage);
  Found NextSlow(uint64_t first, uint64_t end);
  Found NextOfLevel(unsigned level, uint64_t first, uint64_t end);

  LeafPool* pool_;
  uint8_t levels_;
  uint8_t shift_[kMaxPageSizes] = {};
  absl::btree_map<uint64_t, Leaf*> leaves_;
  CacheSlot cache_[kCacheSlots];
  uint64_t present_ = 0;
  uint64_t large_ = 0;  // of them, above level 0
};

inline void PageTable::CountAbsent(uint64_t vpage, unsigned level) {
  Leaf* leaf = FindLeaf(Key(vpage, level));
  const unsigned slot = Slot(vpage, level);
  leaf->used[slot / 64] &= ~(uint64_t{1} << slot % 64);
  leaf->count--;
  present_--;
  large_ -= level != 0;
}

}  // namespace fake_l4

#endif  // FAKE_L4_PAGE_TABLE_H_
