#include "conform/uvm_losses.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "uvm/swap.h"
#include "uvm/uvm.h"

namespace conform {

namespace {

// What lies behind a page of a space.
struct Behind {
  const uvm::Anon* anon = nullptr;
  const uvm::Object* object = nullptr;  // without an anon above it
  base::PageIndex index;
};

Behind BehindOf(const uvm::MapEntry& e, base::Vaddr va) {
  Behind behind;
  if (e.aref.amap != nullptr) behind.anon = e.aref.amap->anons[e.SlotOf(va)];
  if (behind.anon != nullptr || e.object == nullptr) return behind;
  behind.object = e.object;
  behind.index = e.ObjectIndexOf(va);
  return behind;
}

uvm::MapEntry* EntryAt(const uvm::Space* space, base::Vaddr va) {
  uvm::MapEntry* e = space == nullptr ? nullptr : space->map().DebugFirst();
  while (e != nullptr && !e->range().Contains(va)) e = uvm::Map::DebugNext(e);
  return e;
}

uvm::SwapSlot SlotOf(const UvmReplay& replay, const Behind& behind) {
  if (behind.anon != nullptr) {
    return behind.anon->page == nullptr ? behind.anon->slot : uvm::kNoSlot;
  }
  const uvm::AnonymousPager& anonymous = replay.uvm().DebugAnonymous();
  if (behind.object == nullptr || behind.object->pager() != &anonymous) return uvm::kNoSlot;
  return anonymous.FindSlot(behind.object, behind.index);
}

}  // namespace

void UvmLosses::Begin(const UvmReplay& replay) {
  file_failures_ = replay.failed_file_pages().size();
}

bool UvmLosses::IsLost(const UvmReplay& replay, uint64_t space, uint64_t va) const {
  const uvm::MapEntry* e = EntryAt(replay.space(space), base::Vaddr(va));
  return e != nullptr && SlotOf(replay, BehindOf(*e, base::Vaddr(va))) == uvm::kBadSlot;
}

bool UvmLosses::HasCause(const UvmReplay& replay, uint64_t space, uint64_t va) {
  const uvm::MapEntry* e = EntryAt(replay.space(space), base::Vaddr(va));
  if (e == nullptr) return false;
  const Behind behind = BehindOf(*e, base::Vaddr(va));
  if (SlotOf(replay, behind) == uvm::kBadSlot) {
    const void* owner = behind.anon;
    if (owner == nullptr) owner = behind.object;
    lost_.insert({owner, behind.anon != nullptr ? 0 : behind.index.value()});
    return lost_.size() <= replay.pressure().faults().failed_reads;
  }
  if (behind.object == nullptr) return false;
  const auto& failed = replay.failed_file_pages();
  const std::pair<uint64_t, uint64_t> page(behind.object->key(), behind.index.value());
  return std::find(failed.begin() + static_cast<ptrdiff_t>(file_failures_), failed.end(), page) !=
         failed.end();
}

// A call says of which range it failed, or it is about the whole space.
bool UvmLosses::HasCause(const UvmReplay& replay, const UvmOp& op) {
  if (op.call == UvmCall::kRead || op.call == UvmCall::kWrite) {
    return HasCause(replay, op.space, op.start);
  }
  const uvm::Space* space = replay.space(op.space);
  if (space == nullptr) return false;
  for (uvm::MapEntry* e = space->map().DebugFirst(); e != nullptr; e = uvm::Map::DebugNext(e)) {
    for (base::Vaddr va = e->start; va < e->end; va = va + base::kPageSize) {
      if (HasCause(replay, op.space, va.value())) return true;
    }
  }
  return false;
}

std::string UvmLosses::Unexplained(UvmReplay* replay) {
  const uvm::SwapStore& swap = replay->uvm().swap();
  const uint64_t bad = swap.DebugBad().value();
  if (bad == bad_slots_) return "";
  bad_slots_ = bad;
  constexpr uint32_t kMost = 64;
  uvm::SwapStats stats[kMost];
  const uint32_t on = swap.DebugStats(stats, kMost);
  for (uint32_t i = 0; i < std::min(on, kMost); i++) {
    uvm::SwapSlot slot = 1;
    while (!swap.IsOn(stats[i].device, slot)) slot++;
    const uint64_t label = stats[i].device->HasLabel() ? 1 : 0;
    for (uint64_t k = 0; k < stats[i].pages.value(); k++, slot++) {
      if (swap.DebugState(slot) != uvm::SwapStore::DebugSlot::kBad) continue;
      if (replay->pressure().faults().log.contains({stats[i].device, label + k})) continue;
      return absl::StrCat("slot ", slot, " is bad, and no transfer of it failed");
    }
  }
  return "";
}

}  // namespace conform
