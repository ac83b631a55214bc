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
SlotCluster** SlotTable::PlaceOf(uint64_t number) const {
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
bool SlotTable::MakeRoom(SlotStore* store, PageCount pages, PageIndex index) {
  if (InArray(index)) return true;
  if (buckets_ == nullptr && flat_ == nullptr && pages.value() <= kFlatPages) {
    void* array = store->arrays.Allocate(kFlatPages * sizeof(SwapSlot));
    flat_ = static_cast<SwapSlot*>(array);
    return array != nullptr;
  }
  if (buckets_ == nullptr) {
    const uint32_t count = BucketsFor(pages);
    void* buckets = store->arrays.Allocate(count * sizeof(Cluster*));
    if (buckets == nullptr) return false;
    buckets_ = static_cast<Cluster**>(buckets);
    bucket_count_ = count;
  }
  const uint64_t number = index.value() / kClusterPages;
  Cluster** place = PlaceOf(number);
  if (*place != nullptr) return true;
  *place = store->clusters.New();
  if (*place == nullptr) return false;
  (*place)->number = number;
  return true;
}

// The slot at `index`, which there is, becomes none.
void SlotTable::Remove(SlotStore* store, PageIndex index) {
  --used_;
  if (InArray(index)) {
    flat_[index.value()] = kNoSlot;
    return;
  }
  Cluster** place = PlaceOf(index.value() / kClusterPages);
  Cluster* cluster = *place;
  cluster->slots[index.value() % kClusterPages] = kNoSlot;
  if (--cluster->used > 0) return;
  *place = cluster->next;
  store->clusters.Delete(cluster);
}

bool SlotTable::Set(SlotStore* store, PageCount pages, PageIndex index, SwapSlot slot,
                    SwapSlot* old) {
  *old = Find(index);
  if (slot == kNoSlot) {
    if (*old != kNoSlot) Remove(store, index);
    return true;
  }
  if (!MakeRoom(store, pages, index)) return false;
  const bool fresh = *old == kNoSlot;
  if (fresh) ++used_;
  if (InArray(index)) {
    flat_[index.value()] = slot;
    return true;
  }
  Cluster* cluster = *PlaceOf(index.value() / kClusterPages);
  cluster->slots[index.value() % kClusterPages] = slot;
  if (fresh) ++cluster->used;
  return true;
}

void SlotTable::Clear(SlotStore* store) {
  CHECK(used_ == 0);
  if (flat_ != nullptr) {
    store->arrays.Free(flat_, kFlatPages * sizeof(SwapSlot));
  }
  if (buckets_ != nullptr) {
    store->arrays.Free(buckets_, bucket_count_ * sizeof(Cluster*));
  }
  flat_ = nullptr;
  buckets_ = nullptr;
  bucket_count_ = 0;
}

}  // namespace uvm
