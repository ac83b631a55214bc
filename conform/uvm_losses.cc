#include "conform/uvm_losses.h"

#include <algorithm>
#include <utility>
#include <vector>

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

// All anons that are mapped, and all pages that anonymous objects have on swap.
void ForEachOwner(const UvmReplay& replay,
                  const std::function<void(UvmLosses::Owner, uvm::SwapSlot)>& visit) {
  for (const auto& [number, space] : replay.spaces()) {
    for (uvm::MapEntry* e = space->map().DebugFirst(); e != nullptr; e = uvm::Map::DebugNext(e)) {
      const uvm::Amap* amap = e->aref.amap;
      for (uint32_t i = 0; amap != nullptr && i < amap->used_count; i++) {
        const uvm::Anon* anon = amap->anons[amap->used[i]];
        visit({anon, 0}, anon->slot);
      }
    }
  }
  const uvm::AnonymousPager& anonymous = replay.uvm().DebugAnonymous();
  const uvm::ObjectStore::List& objects = replay.uvm().DebugObjects().DebugAll();
  for (uvm::Object* object = objects.front(); object != nullptr; object = objects.Next(object)) {
    if (object->pager() != &anonymous) continue;
    anonymous.Slots(object).ForEach(base::PageIndex(0), base::PageIndex(~uint64_t{0}),
                                    [&](base::PageIndex index, uvm::SwapSlot slot) {
                                      visit({object, index.value()}, slot);
                                    });
  }
}

Behind BehindAt(const UvmReplay& replay, uint64_t space, uint64_t va) {
  const uvm::MapEntry* e = EntryAt(replay.space(space), base::Vaddr(va));
  return e == nullptr ? Behind() : BehindOf(*e, base::Vaddr(va));
}

}  // namespace

std::vector<UvmSpan> UvmNeeds(const UvmOpLine& line) {
  switch (line.op.call) {
    // What is wired at once may lie anywhere; an object is named, and no device is ever away.
    case UvmCall::kMap:
    case UvmCall::kSysMmap:
      return {{line.op.space, 0, UvmSpan::kAll}};
    case UvmCall::kObjPut:
    case UvmCall::kSwapOff:
      return {};
    default:
      return UvmSpansOf(line);
  }
}

void UvmLosses::Watch(UvmReplay* replay) {
  replay->pressure().OnFailedRead([this, replay](const uvm::SwapDevice* device, uint64_t block) {
    NoteFailedRead(*replay, device, block);
  });
}

void UvmLosses::NoteFailedRead(const UvmReplay& replay, const uvm::SwapDevice* device,
                               uint64_t block) {
  const uvm::SwapStore& swap = replay.uvm().swap();
  ForEachOwner(replay, [&](const Owner& owner, uvm::SwapSlot slot) {
    if (slot == uvm::kNoSlot || slot == uvm::kBadSlot) return;
    uint64_t at = 0;
    if (swap.DebugPlace(slot, &at) == device && at == block) lost_.insert(owner);
  });
}

// Whoever is lost no more has new contents, or is somebody else by now.
void UvmLosses::Begin(const UvmReplay& replay) {
  file_failures_ = replay.failed_file_pages().size();
  if (lost_.empty()) return;
  std::set<Owner> still;
  ForEachOwner(replay, [&](const Owner& owner, uvm::SwapSlot slot) {
    if (slot == uvm::kBadSlot && lost_.contains(owner)) still.insert(owner);
  });
  lost_ = std::move(still);
}

UvmLosses::Owner UvmLosses::OwnerAt(const UvmReplay& replay, uint64_t space, uint64_t va) {
  const Behind behind = BehindAt(replay, space, va);
  if (behind.anon != nullptr) return {behind.anon, 0};
  return {behind.object, behind.index.value()};
}

bool UvmLosses::IsOfFile(const UvmReplay& replay, uint64_t space, uint64_t va) {
  const Behind behind = BehindAt(replay, space, va);
  return behind.object != nullptr && behind.object->pager() != &replay.uvm().DebugAnonymous();
}

std::set<UvmLosses::Owner> UvmLosses::Owners(const UvmReplay& replay) {
  std::set<Owner> owners;
  for (const auto& [number, space] : replay.spaces()) {
    for (uvm::MapEntry* e = space->map().DebugFirst(); e != nullptr; e = uvm::Map::DebugNext(e)) {
      for (base::Vaddr va = e->start; va < e->end; va = va + base::kPageSize)
        owners.insert(OwnerAt(replay, number, va.value()));
    }
  }
  ForEachOwner(replay, [&](const Owner& owner, uvm::SwapSlot) { owners.insert(owner); });
  return owners;
}

bool UvmLosses::AnyPage(const UvmReplay& replay, const std::vector<UvmSpan>& spans,
                        const std::function<bool(uint64_t space, uint64_t va)>& visit) {
  for (const UvmSpan& span : spans) {
    const uvm::Space* space = replay.space(span.space);
    if (space == nullptr) continue;
    for (uvm::MapEntry* e = space->map().DebugFirst(); e != nullptr; e = uvm::Map::DebugNext(e)) {
      const uint64_t end = std::min(e->end.value(), span.end);
      for (uint64_t va = std::max(e->start.value(), span.start); va < end; va += kUvmPageBytes) {
        if (visit(span.space, va)) return true;
      }
    }
  }
  return false;
}

bool UvmLosses::IsLost(const UvmReplay& replay, uint64_t space, uint64_t va) const {
  return SlotOf(replay, BehindAt(replay, space, va)) == uvm::kBadSlot;
}

bool UvmLosses::HasCause(const UvmReplay& replay, uint64_t space, uint64_t va) const {
  const Behind behind = BehindAt(replay, space, va);
  if (SlotOf(replay, behind) == uvm::kBadSlot) return lost_.contains(OwnerAt(replay, space, va));
  if (behind.object == nullptr) return false;
  const auto& failed = replay.failed_file_pages();
  const std::pair<uint64_t, uint64_t> page(behind.object->key(), behind.index.value());
  return std::find(failed.begin() + static_cast<ptrdiff_t>(file_failures_), failed.end(), page) !=
         failed.end();
}

bool UvmLosses::HasCause(const UvmReplay& replay, const UvmOpLine& line) const {
  return AnyPage(replay, UvmNeeds(line),
                 [&](uint64_t space, uint64_t va) { return HasCause(replay, space, va); });
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
