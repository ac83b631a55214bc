#include "uvm/swap_slots.h"

#include "base/check.h"
#include "uvm/bits.h"

namespace uvm {
namespace {

uint8_t Capped(uint32_t run) {
  return static_cast<uint8_t>(run < SwapSlots::kMaxRun ? run : SwapSlots::kMaxRun);
}

// Bit i of the result: bits i to i + count - 1 of `word` are set.
uint64_t RunsOf(uint64_t word, uint32_t count) {
  uint32_t have = 1;
  while (have < count) {
    const uint32_t step = have < count - have ? have : count - have;
    word &= word >> step;
    have += step;
  }
  return word;
}

}  // namespace

uint64_t SwapSlots::Leaves(uint64_t slots) {
  uint64_t leaves = 1;
  while (leaves * kBitsPerWord < slots) leaves *= 2;
  return leaves;
}

size_t SwapSlots::Bytes(uint64_t slots) {
  const uint64_t leaves = Leaves(slots);
  const uint64_t bytes = leaves * sizeof(uint64_t) + 2 * leaves * sizeof(Node);
  return static_cast<size_t>((bytes + 7) / 8 * 8);
}

void SwapSlots::Init(void* memory, uint64_t slots) {
  slots_ = free_ = slots;
  leaves_ = Leaves(slots);
  words_ = static_cast<uint64_t*>(memory);
  nodes_ = reinterpret_cast<Node*>(words_ + leaves_);
  for (uint64_t w = 0; w * kBitsPerWord < slots; ++w) {
    const uint64_t left = slots - w * kBitsPerWord;
    words_[w] = left >= kBitsPerWord ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
    nodes_[leaves_ + w] = OfWord(words_[w]);
  }
  for (uint64_t n = leaves_ - 1; n > 0; --n) nodes_[n] = Join(nodes_[2 * n], nodes_[2 * n + 1]);
  work_ = 0;
}

SwapSlots::Node SwapSlots::OfWord(uint64_t word) {
  if (word == ~uint64_t{0}) return {kMaxRun, kMaxRun, kMaxRun};
  if (word == 0) return {0, 0, 0};
  Node node;
  node.prefix = Capped(static_cast<uint32_t>(__builtin_ctzll(~word)));
  node.suffix = Capped(static_cast<uint32_t>(__builtin_clzll(~word)));
  node.best = 0;
  for (uint64_t runs = word; runs != 0 && node.best < kMaxRun; runs &= runs >> 1) ++node.best;
  return node;
}

SwapSlots::Node SwapSlots::Join(Node left, Node right) {
  Node node = {left.prefix, right.suffix, left.best > right.best ? left.best : right.best};
  const uint8_t across = Capped(uint32_t{left.suffix} + right.prefix);
  if (across > node.best) node.best = across;
  return node;
}

uint64_t SwapSlots::FindRun(uint32_t count) const {
  ++work_;
  if (nodes_[1].best < count) return kNone;
  uint64_t node = 1;
  uint64_t first = 0;                        // slot the subtree begins with
  uint64_t length = leaves_ * kBitsPerWord;  // slots of it
  while (node < leaves_) {
    ++work_;
    length /= 2;
    const Node left = nodes_[2 * node];
    node *= 2;
    if (left.best >= count) continue;
    if (uint32_t{left.suffix} + nodes_[node + 1].prefix >= count)
      return first + length - left.suffix;
    ++node;
    first += length;
  }
  ++work_;
  const uint64_t runs = RunsOf(words_[node - leaves_], count);
  DCHECK(runs != 0);
  return first + static_cast<uint64_t>(__builtin_ctzll(runs));
}

void SwapSlots::Update(uint64_t word) {
  uint64_t node = leaves_ + word;
  Node now = OfWord(words_[word]);
  while (!(nodes_[node] == now)) {
    ++work_;
    nodes_[node] = now;
    if (node == 1) break;
    node /= 2;
    now = Join(nodes_[2 * node], nodes_[2 * node + 1]);
  }
}

void SwapSlots::Take(uint64_t first, uint32_t count) {
  CHECK(first + count <= slots_);
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t slot = first + i;
    CHECK(IsFree(slot));
    ClearBit(words_, slot);
    if (i + 1 == count || (slot + 1) % kBitsPerWord == 0) Update(slot / kBitsPerWord);
  }
  free_ -= count;
}

void SwapSlots::Give(uint64_t first, uint32_t count) {
  CHECK(first + count <= slots_);
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t slot = first + i;
    CHECK(!IsFree(slot));
    SetBit(words_, slot);
    if (i + 1 == count || (slot + 1) % kBitsPerWord == 0) Update(slot / kBitsPerWord);
  }
  free_ += count;
}

bool SwapSlots::Valid() const {
  uint64_t free = 0;
  for (uint64_t w = 0; w < leaves_; ++w) {
    if (!(nodes_[leaves_ + w] == OfWord(words_[w]))) return false;
    for (uint64_t word = words_[w]; word != 0; word &= word - 1) ++free;
  }
  for (uint64_t n = 1; n < leaves_; ++n) {
    if (!(nodes_[n] == Join(nodes_[2 * n], nodes_[2 * n + 1]))) return false;
  }
  return free == free_;
}

}  // namespace uvm
