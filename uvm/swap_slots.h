// uvm/swap_slots.h: which slots of a swap device are free, and where a run of them is.
//
// WHAT     A bit a slot, 64 to a word, and over the words a binary tree that knows of each subtree
//          how long its first, its last and its longest run of free slots are. A run of any length
//          up to kSwapClusterPages is found, and any slot changed, by looking at one word and one
//          node a level: 15 nodes for a million slots. Longer runs count as that long.
// LOCKS    its owner's.
// INVARIANTS  Valid(): the tree says what the words say; free() is the number of bits set.
// SEE      NetBSD blist(9), whose place this takes; facts/uvm.md 2.13.

#ifndef UVM_SWAP_SLOTS_H_
#define UVM_SWAP_SLOTS_H_

#include <cstddef>
#include <cstdint>

#include "uvm/bits.h"

namespace uvm {

class SwapSlots {
 public:
  static constexpr uint64_t kNone = ~uint64_t{0};
  static constexpr uint32_t kMaxRun = 16;

  // Bytes of memory that `slots` need. REQUIRES: 0 < slots < 2^32.
  static size_t Bytes(uint64_t slots);
  // All slots free. `memory` is Bytes(slots) of zeroes, aligned to 8, and outlives this.
  void Init(void* memory, uint64_t slots);

  // The lowest slot that begins a run of `count` free slots; kNone when there is none. REQUIRES:
  // 1 <= count <= kMaxRun.
  uint64_t FindRun(uint32_t count) const;
  // REQUIRES: all free (Take), none free (Give).
  void Take(uint64_t first, uint32_t count);
  void Give(uint64_t first, uint32_t count);

  bool IsFree(uint64_t slot) const { return Bit(words_, slot); }
  // 64 slots from 64 * index on, a bit each; beyond the end none is free.
  uint64_t FreeWord(uint64_t index) const { return words_[index]; }
  uint64_t size() const { return slots_; }
  uint64_t free() const { return free_; }
  // The longest run of free slots, at most kMaxRun.
  uint32_t longest_run() const { return nodes_[1].best; }
  // Words and nodes looked at since Init.
  uint64_t work() const { return work_; }
  bool Valid() const;

 private:
  struct Node {
    uint8_t prefix;  // free slots at the beginning; all three at most kMaxRun
    uint8_t suffix;
    uint8_t best;
    bool operator==(const Node& other) const {
      return prefix == other.prefix && suffix == other.suffix && best == other.best;
    }
  };
  static uint64_t Leaves(uint64_t slots);
  static Node OfWord(uint64_t word);
  // A word is longer than kMaxRun, so no run of the two ends reaches through a whole subtree.
  static Node Join(Node left, Node right);
  void Update(uint64_t word);

  uint64_t* words_ = nullptr;  // bit set: free
  Node* nodes_ = nullptr;      // [1] is the root, [i]'s children are [2i] and [2i + 1]
  uint64_t slots_ = 0;
  uint64_t leaves_ = 0;  // a power of two
  uint64_t free_ = 0;
  mutable uint64_t work_ = 0;
};

}  // namespace uvm

#endif  // UVM_SWAP_SLOTS_H_
