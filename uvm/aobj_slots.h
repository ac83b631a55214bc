// uvm/aobj_slots.h: which page of an anonymous object lies in which slot of swap.
//
// WHAT     A SlotTable belongs to one object and begins empty, without memory. An object of up to
//          kFlatPages pages gets a flat array when its first slot comes, a larger one a hash of
//          clusters of kClusterPages pages. An object that grows keeps its array for the first
//          pages and has a hash for the rest.
// LOCKS    The object's.
// SEE      NetBSD sys/uvm/uvm_aobj.c, struct uao_swhash_elt; facts/uvm.md section 0, 1.5, 2.10.

#ifndef UVM_AOBJ_SLOTS_H_
#define UVM_AOBJ_SLOTS_H_

#include <cstdint>

#include "uvm/core.h"

namespace uvm {

class SlotStore;

class SlotTable {
 public:
  static constexpr uint32_t kFlatPages = 64;
  static constexpr uint32_t kClusterPages = 16;
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

 private:
  friend class SlotStore;
  struct Cluster {
    uint64_t number = 0;  // of its first page, in clusters
    Cluster* next = nullptr;
    uint32_t used = 0;
    SwapSlot slots[kClusterPages] = {};
  };
  // The cluster may be gone after any visit that takes its last slot away.
  template <typename F>
  static void VisitCluster(const Cluster& cluster, PageIndex first, PageIndex end, F&& visit) {
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

  SwapSlot* flat_ = nullptr;  // kFlatPages
  Cluster** buckets_ = nullptr;
  uint32_t bucket_count_ = 0;  // a power of two
  uint64_t used_ = 0;
};

// Changes tables, and has their memory.
class SlotStore {
 public:
  explicit SlotStore(Core* core) : clusters_(core->memory), arrays_(core->memory) {}

  // Writes `slot`, which may be kNoSlot or kBadSlot, and returns what was there in *old. False,
  // nothing changed: no memory; not for kNoSlot, nor where there is a slot already. `pages`: of the
  // object.
  bool Set(SlotTable* table, PageCount pages, PageIndex index, SwapSlot slot, SwapSlot* old);
  // Gives the memory of an empty table back.
  void Clear(SlotTable* table);

  uint64_t live_clusters() const { return clusters_.live(); }
  void set_limit(size_t limit) { clusters_.set_limit(limit); }

 private:
  using Cluster = SlotTable::Cluster;
  bool MakeRoom(SlotTable* table, PageCount pages, PageIndex index);
  void Remove(SlotTable* table, PageIndex index);

  base::Pool<Cluster> clusters_;
  base::ArrayPool arrays_;
};

}  // namespace uvm

#endif  // UVM_AOBJ_SLOTS_H_
