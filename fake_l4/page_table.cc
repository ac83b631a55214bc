#include "fake_l4/page_table.h"

#include "base/check.h"

namespace fake_l4 {

Leaf* LeafPool::Take() {
  if (free_.empty()) {
    owned_.push_back(std::make_unique<Leaf>());
    return owned_.back().get();
  }
  Leaf* leaf = free_.back();
  free_.pop_back();
  return leaf;
}

void LeafPool::Return(Leaf* leaf) {
  CHECK(leaf->count == 0);
  free_.push_back(leaf);
}

PageTable::~PageTable() {
  for (auto& [key, leaf] : leaves_) pool_->Return(leaf);
}

const Pte* PageTable::Find(uint64_t vpage) const {
  auto it = leaves_.find(vpage >> 9);
  return it == leaves_.end() ? nullptr : &it->second->pte[vpage & 511];
}

Leaf* PageTable::FindLeafSlow(uint64_t key, Slot& slot) {
  auto it = leaves_.find(key);
  if (it == leaves_.end()) return nullptr;
  slot = {key, it->second};
  return it->second;
}

Leaf* PageTable::EnsureLeaf(uint64_t vpage) {
  const uint64_t key = vpage >> 9;
  Leaf* leaf = FindLeaf(key);
  if (leaf == nullptr) {
    leaf = pool_->Take();
    leaves_.emplace(key, leaf);
    cache_[key % kCacheSlots] = {key, leaf};
  }
  return leaf;
}

Leaf* PageTable::NextLeaf(uint64_t* key) const {
  for (auto it = leaves_.lower_bound(*key); it != leaves_.end(); ++it) {
    if (it->second->count == 0) continue;
    *key = it->first;
    return it->second;
  }
  return nullptr;
}

}  // namespace fake_l4
