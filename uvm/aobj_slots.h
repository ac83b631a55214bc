// uvm/aobj_slots.h: which page of an anonymous object lies in which slot of swap.
//
// WHAT     A SlotTable belongs to one object and begins empty, without memory. An object of up to
//          kFlatPages pages gets a flat array when its first slot comes, a larger one a hash of
//          clusters of kClusterPages pages. An object that grows keeps its array for the first
//          pages and has a hash for the rest.
//          A SlotStore has the memory of all tables.
// LOCKS    The object's.
// SEE      NetBSD sys/uvm/uvm_aobj.c, struct uao_swhash_elt; facts/uvm.md section 0, 1.5, 2.10.

#ifndef UVM_AOBJ_SLOTS_H_
#define UVM_AOBJ_SLOTS_H_

#include <cstdint>

#include "uvm/core.h"

namespace uvm {

// Slots of adjoining pages of a large object.
struct SlotCluster {
  static constexpr uint32_t kPages = 16;
  uint64_t number = 0;  // of its first page, in clusters
  SlotCluster* next = nullptr;
  uint32_t used = 0;
  SwapSlot slots[kPages] = {};
};

struct SlotStore {
  explicit SlotStore(Core* core) : clusters(core->memory), arrays(core->memory) {}
  base::Pool<SlotCluster> clusters;
  base::ArrayPool arrays;
};

class SlotTable {
 public:
  static constexpr uint32_t kFlatPages = 64;
  static constexpr uint32_t kClusterPages = SlotCluster::kPages;
  static constexpr uint32_t kMaxBuckets = 256;

  SlotTable() = default;
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;

  // The slot of page `index`: kNoSlot, or kBadSlot, too.
  SwapSlot Find(PageIndex index) const;
  // Pages that have a slot, bad ones included.
  uint64_t used() const { return used_; }
  // Calls visit(index, slot) for each page of [first, end) that has a slot: the array's ascending,
  // then cluster by cluster. visit may change or take away the slot that it is shown, no other.
  template <typename F>
  void ForEach(PageIndex first, PageIndex end, F&& visit) const {
    for (uint32_t i = 0; flat_ != nullptr && i < kFlatPages; ++i) {
      const PageIndex index(i);
      if (flat_[i] != kNoSlot && first <= index && index < end) visit(index, flat_[i]);
    }
    for (uint32_t bucket = 0; bucket < bucket_count_; ++bucket) {
      for (Cluster *cluster = buckets_[bucket], *next; cluster != nullptr; cluster = next) {
        next = cluster->next;
        VisitCluster(*cluster, first, end, visit);
      }
    }
  }

  // Writes `slot`, which may be kNoSlot or kBadSlot, and returns what was there in *old. False,
  // nothing changed: no memory; not for kNoSlot, nor where there is a slot already. `pages`: of the
  // object.
  bool Set(SlotStore* store, PageCount pages, PageIndex index, SwapSlot slot, SwapSlot* old);
  // Gives the memory of an empty table back.
  void Clear(SlotStore* store);

 private:
  using Cluster = SlotCluster;
  // The cluster may be gone after any visit that takes its last slot away.
  template <typename F>
  void VisitCluster(const Cluster& cluster, PageIndex first, PageIndex end, F&& visit) const {
    const uint64_t base = cluster.number * kClusterPages;
    for (uint32_t i = 0, left = cluster.used; left > 0; ++i) {
      const SwapSlot slot = cluster.slots[i];
      if (slot == kNoSlot) continue;
      --left;
      const PageIndex index(base + i);
      if (first <= index && index < end) visit(index, slot);
    }
  }
  bool InArray(PageIndex index) const { return flat_ != nullptr && index.value() < kFlatPages; }
  Cluster** PlaceOf(uint64_t number) const;
  bool MakeRoom(SlotStore* store, PageCount pages, PageIndex index);
  void Remove(SlotStore* store, PageIndex index);

  SwapSlot* flat_ = nullptr;  // kFlatPages
  Cluster** buckets_ = nullptr;
  uint32_t bucket_count_ = 0;  // a power of two
  uint64_t used_ = 0;
};

}  // namespace uvm

#endif  // UVM_AOBJ_SLOTS_H_
