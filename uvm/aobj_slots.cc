#include "uvm/aobj_slots.h"

#include <bit>

#include "base/check.h"

namespace uvm {
namespace {

// One bucket for each cluster of the object, up to the most there are.
uint32_t BucketsFor(PageCount pages) {
  const uint64_t clusters =
      (pages.value() + SlotTable::kClusterPages - 1) / SlotTable::kClusterPages;
  if (clusters >= SlotTable::kMaxBuckets) return SlotTable::kMaxBuckets;
  return std::bit_ceil(static_cast<uint32_t>(clusters == 0 ? 1 : clusters));
}

}  // namespace

// Where the pointer to cluster `number` is, or is to be. REQUIRES: there are buckets.
SlotTable::Cluster** SlotTable::PlaceOf(uint64_t number) const {
  Cluster** place = &buckets_[number & (bucket_count_ - 1)];
  while (*place != nullptr && (*place)->number != number) place = &(*place)->next;
  return place;
}

SwapSlot SlotTable::Find(PageIndex index) const {
  if (used_ == 0) return kNoSlot;
  if (InArray(index)) return flat_[index.value()];
  if (buckets_ == nullptr) return kNoSlot;
  const Cluster* cluster = *PlaceOf(index.value() / kClusterPages);
  return cluster == nullptr ? kNoSlot : cluster->slots[index.value() % kClusterPages];
}

// Memory for a slot at `index`.
bool SlotStore::MakeRoom(SlotTable* table, PageCount pages, PageIndex index) {
  if (table->InArray(index)) return true;
  if (table->buckets_ == nullptr && table->flat_ == nullptr &&
      pages.value() <= SlotTable::kFlatPages) {
    void* array = arrays_.Allocate(SlotTable::kFlatPages * sizeof(SwapSlot));
    table->flat_ = static_cast<SwapSlot*>(array);
    return array != nullptr;
  }
  if (table->buckets_ == nullptr) {
    const uint32_t count = BucketsFor(pages);
    void* buckets = arrays_.Allocate(count * sizeof(Cluster*));
    if (buckets == nullptr) return false;
    table->buckets_ = static_cast<Cluster**>(buckets);
    table->bucket_count_ = count;
  }
  const uint64_t number = index.value() / SlotTable::kClusterPages;
  Cluster** place = table->PlaceOf(number);
  if (*place != nullptr) return true;
  *place = clusters_.New();
  if (*place == nullptr) return false;
  (*place)->number = number;
  return true;
}

// The slot at `index`, which there is, becomes none.
void SlotStore::Remove(SlotTable* table, PageIndex index) {
  --table->used_;
  if (table->InArray(index)) {
    table->flat_[index.value()] = kNoSlot;
    return;
  }
  Cluster** place = table->PlaceOf(index.value() / SlotTable::kClusterPages);
  Cluster* cluster = *place;
  cluster->slots[index.value() % SlotTable::kClusterPages] = kNoSlot;
  if (--cluster->used > 0) return;
  *place = cluster->next;
  clusters_.Delete(cluster);
}

bool SlotStore::Set(SlotTable* table, PageCount pages, PageIndex index, SwapSlot slot,
                    SwapSlot* old) {
  *old = table->Find(index);
  if (slot == kNoSlot) {
    if (*old != kNoSlot) Remove(table, index);
    return true;
  }
  if (!MakeRoom(table, pages, index)) return false;
  const bool fresh = *old == kNoSlot;
  if (fresh) ++table->used_;
  if (table->InArray(index)) {
    table->flat_[index.value()] = slot;
    return true;
  }
  Cluster* cluster = *table->PlaceOf(index.value() / SlotTable::kClusterPages);
  cluster->slots[index.value() % SlotTable::kClusterPages] = slot;
  if (fresh) ++cluster->used;
  return true;
}

void SlotStore::Clear(SlotTable* table) {
  CHECK(table->used_ == 0);
  if (table->flat_ != nullptr) {
    arrays_.Free(table->flat_, SlotTable::kFlatPages * sizeof(SwapSlot));
  }
  if (table->buckets_ != nullptr) {
    arrays_.Free(table->buckets_, table->bucket_count_ * sizeof(Cluster*));
  }
  table->flat_ = nullptr;
  table->buckets_ = nullptr;
  table->bucket_count_ = 0;
}

}  // namespace uvm
