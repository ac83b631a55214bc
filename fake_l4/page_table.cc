#include "fake_l4/page_table.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace fake_l4 {

Leaf* LeafPool::Take() {
  if (free_.empty()) return static_cast<Leaf*>(tables_.Take(sizeof(Leaf)));
  Leaf* leaf = free_.back();
  free_.pop_back();
  return leaf;
}

void LeafPool::Return(Leaf* leaf) {
  CHECK(leaf->count == 0);
  free_.push_back(leaf);
}

PageTable::PageTable(LeafPool* pool, const PageSizes& sizes) : pool_(pool), levels_(sizes.count) {
  CHECK(sizes.count >= 1 && sizes.count <= kMaxPageSizes && sizes.log2[0] == kPageShift);
  for (unsigned i = 0; i < sizes.count; i++) {
    shift_[i] = static_cast<uint8_t>(sizes.log2[i] - kPageShift);
  }
}

PageTable::~PageTable() {
  for (auto& [key, leaf] : leaves_) pool_->Return(leaf);
}

Leaf* PageTable::FindLeafSlow(uint64_t key, CacheSlot& slot) {
  auto it = leaves_.find(key);
  slot = {key, it == leaves_.end() ? nullptr : it->second};
  return slot.leaf;
}

PageTable::Found PageTable::WalkLarge(uint64_t vpage) {
  for (unsigned level = 1; level < levels_; level++) {
    Pte* pte = FindAt(vpage, level);
    if (pte != nullptr && pte->present()) {
      return {pte, vpage >> shift_[level] << shift_[level], level};
    }
  }
  return {};
}

PageTable::Found PageTable::NextOfLevel(unsigned level, uint64_t first, uint64_t end) {
  if (first >= end) return {};
  const uint64_t last = (end - 1) >> shift_[level];
  uint64_t index = first >> shift_[level];
  while (index <= last) {
    const uint64_t key = FirstKey(level) | index >> kLeafShift;
    Leaf* leaf = FindLeaf(key);
    if (leaf == nullptr || leaf->count == 0) {
      uint64_t next = key;
      leaf = NextLeaf(&next);
      if (leaf == nullptr) return {};
      index = FirstPage(next) >> shift_[level];
    }
    unsigned slot = index & (kLeafEntries - 1);
    for (unsigned word = slot / 64; word < kLeafEntries / 64; word++) {
      uint64_t bits = leaf->used[word];
      if (word == slot / 64) bits &= ~uint64_t{0} << slot % 64;
      if (bits == 0) continue;
      slot = word * 64 + static_cast<unsigned>(std::countr_zero(bits));
      index = (index & ~uint64_t{kLeafEntries - 1}) | slot;
      if (index > last) return {};
      return {&leaf->pte[slot], index << shift_[level], level};
    }
    index = (index | (kLeafEntries - 1)) + 1;
  }
  return {};
}

PageTable::Found PageTable::NextSlow(uint64_t first, uint64_t end) {
  Found best = NextOfLevel(0, first, end);
  if (large_ == 0) return best;
  for (unsigned level = 1; level < levels_; level++) {
    const Found found = NextOfLevel(level, first, best.pte == nullptr ? end : best.vpage);
    if (found.pte != nullptr) best = found;
  }
  return best;
}

Leaf* PageTable::MakeLeaf(uint64_t key) {
  Leaf* leaf = pool_->Take();
  leaves_.emplace(key, leaf);
  cache_[(key ^ key >> (kLevelShift - 2)) % kCacheSlots] = {key, leaf};
  return leaf;
}

Pte* PageTable::Ensure(uint64_t vpage, unsigned level) {
  const uint64_t key = Key(vpage, level);
  Leaf* leaf = FindLeaf(key);
  if (leaf == nullptr) leaf = MakeLeaf(key);
  return &leaf->pte[Slot(vpage, level)];
}

Leaf* PageTable::NextLeaf(uint64_t* key) const {
  const uint64_t level = *key >> kLevelShift;
  for (auto it = leaves_.lower_bound(*key); it != leaves_.end(); ++it) {
    if (it->first >> kLevelShift != level) break;
    if (it->second->count == 0) continue;
    *key = it->first;
    return it->second;
  }
  return nullptr;
}

bool PageTable::HasLeaves(uint64_t vpage) {
  const unsigned shift = levels_ > 1 ? shift_[1] : kLeafShift;
  const uint64_t first = vpage >> shift << shift;
  const uint64_t end = first + (uint64_t{1} << shift);
  for (uint64_t v = first; v < end; v += kLeafEntries) {
    if (FindLeaf(v >> kLeafShift) != nullptr) return true;
  }
  return false;
}

void PageTable::DropEmptyLeaves(uint64_t vpage) {
  const uint64_t first = vpage >> shift_[1] << shift_[1];
  const uint64_t end = first + pages(1);
  for (uint64_t v = first; v < end; v += kLeafEntries) {
    const uint64_t key = v >> kLeafShift;
    auto it = leaves_.find(key);
    if (it == leaves_.end() || it->second->count != 0) continue;
    pool_->Return(it->second);
    leaves_.erase(it);
    cache_[key % kCacheSlots] = {};
  }
}

}  // namespace fake_l4
