// fake_l4/page_table.h: the software page table of one address space.
//
// WHAT     Entries of 8 bytes in leaves of 512 (2 MiB of addresses each); the leaves hang in a
//          B-tree, with a small direct-mapped cache in front. A leaf, once there, stays until the
//          space goes, so entry addresses are stable.
// INVARIANTS  An entry is present exactly when it has rights. Absent entries are all zero.
// SEE      mapping_database.h, which owns every change to an entry but the status bits.
#ifndef FAKE_L4_PAGE_TABLE_H_
#define FAKE_L4_PAGE_TABLE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "fake_l4/profile.h"

namespace fake_l4 {

inline constexpr unsigned kPageShift = 12;
inline constexpr uint64_t kPageBytes = uint64_t{1} << kPageShift;

// rights 0..2, status 3..5, frame number 8..31 (64 GiB of physical addresses), mapping node 32..63.
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
  RightsBits TakeStatus() {
    const RightsBits s = status();
    bits_ &= ~(uint64_t{kRwx} << 3);
    return s;
  }
  void Clear() { bits_ = 0; }

 private:
  uint64_t bits_ = 0;
};

// 2 MiB of a space.
struct Leaf {
  Pte pte[512];
  uint32_t count = 0;  // entries present
};

// Leaves of all spaces of a machine. A returned leaf is empty, hence all zero.
class LeafPool {
 public:
  Leaf* Take();
  void Return(Leaf* leaf);

 private:
  std::vector<std::unique_ptr<Leaf>> owned_;
  std::vector<Leaf*> free_;
};

class PageTable {
 public:
  explicit PageTable(LeafPool* pool) : pool_(pool) {}
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;
  // REQUIRES: no entry is present.
  ~PageTable();
  // Forgets all leaves without returning them: the machine is going away.
  void Forget() { leaves_.clear(); }

  // The entry of a page, or null when its leaf does not exist. `vpage` = address / 4 KiB.
  Pte* Find(uint64_t vpage) {
    Leaf* leaf = FindLeaf(vpage >> 9);
    return leaf == nullptr ? nullptr : &leaf->pte[vpage & 511];
  }
  const Pte* Find(uint64_t vpage) const;
  // The leaf of a page, made if need be.
  Leaf* EnsureLeaf(uint64_t vpage);
  Leaf* FindLeaf(uint64_t key) {
    Slot& slot = cache_[key % kCacheSlots];
    if (slot.key == key) return slot.leaf;
    return FindLeafSlow(key, slot);
  }
  // The first non-empty leaf with key >= *key; updates *key. Null when there is none. Safe against
  // insertions between calls.
  Leaf* NextLeaf(uint64_t* key) const;

  uint64_t present() const { return present_; }
  void CountPresent(Leaf* leaf) {
    leaf->count++;
    present_++;
  }
  void CountAbsent(uint64_t vpage) {
    FindLeaf(vpage >> 9)->count--;
    present_--;
  }

 private:
  static constexpr size_t kCacheSlots = 16;
  struct Slot {
    uint64_t key = UINT64_MAX;
    Leaf* leaf = nullptr;
  };
  Leaf* FindLeafSlow(uint64_t key, Slot& slot);

  LeafPool* pool_;
  absl::btree_map<uint64_t, Leaf*> leaves_;
  Slot cache_[kCacheSlots];
  uint64_t present_ = 0;
};

}  // namespace fake_l4

#endif  // FAKE_L4_PAGE_TABLE_H_
