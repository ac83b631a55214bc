#include "conform/uvm_pages.h"

#include <algorithm>
#include <optional>

#include "base/addr.h"
#include "conform/uvm_op.h"

namespace conform {

namespace {

bool IsRemap(UvmCall call) { return call == UvmCall::kMremap || call == UvmCall::kSysMremap; }

uint64_t Up(uint64_t bytes) { return (bytes + kUvmPageBytes - 1) / kUvmPageBytes * kUvmPageBytes; }
uint64_t Down(uint64_t at) { return at / kUvmPageBytes * kUvmPageBytes; }

uint64_t OldBytes(const UvmOp& op) {
  return op.call == UvmCall::kSysMremap ? Up(op.bytes) : op.pages * kUvmPageBytes;
}
uint64_t NewBytes(const UvmOp& op) {
  return op.call == UvmCall::kSysMremap ? Up(op.target_size) : op.target_size * kUvmPageBytes;
}

}  // namespace

const UvmEntry* UvmEntryAt(const UvmPicture::Entries& entries, uint64_t va) {
  const auto after = entries.upper_bound(va);
  if (after == entries.begin()) return nullptr;
  const UvmEntry& e = std::prev(after)->second;
  return va < e.end ? &e : nullptr;
}

std::vector<UvmSpan> UvmSpansOf(const UvmOpLine& line) {
  const UvmOp& op = line.op;
  std::vector<UvmSpan> spans;
  const auto add = [&spans](uint64_t space, uint64_t start, uint64_t bytes) {
    const uint64_t end = start + bytes < start ? UvmSpan::kAll : Up(start + bytes);
    spans.push_back({space, Down(start), end});
  };
  switch (op.call) {
    case UvmCall::kFork:
    case UvmCall::kExit:
    case UvmCall::kWireAll:
    case UvmCall::kSysMlockall:
    case UvmCall::kSysMunlockall:
      spans.push_back({op.space, 0, UvmSpan::kAll});
      break;
    case UvmCall::kMremap:
    case UvmCall::kSysMremap:
      add(op.space, op.start, OldBytes(op));
      add(op.space, line.result.error == 0 ? line.result.value : op.target, NewBytes(op));
      break;
    case UvmCall::kExtract:
      add(op.space, op.start, op.pages * kUvmPageBytes);
      if (line.result.error == 0) add(op.space2, line.result.value, op.pages * kUvmPageBytes);
      break;
    case UvmCall::kMap:
    case UvmCall::kSysMmap:
      add(op.space, op.start, std::max({op.bytes, op.pages * kUvmPageBytes, uint64_t{1}}));
      if (line.result.error != 0) break;
      add(op.space, line.result.value, std::max({op.bytes, op.pages * kUvmPageBytes, uint64_t{1}}));
      break;
    default:
      if (op.end > op.start) {
        add(op.space, op.start, op.end - op.start);
      } else {
        add(op.space, op.start, std::max({op.bytes, op.pages * kUvmPageBytes, uint64_t{1}}));
      }
  }
  return spans;
}

std::vector<UvmSpan> UvmPartnersOf(const UvmReplay& replay, uint64_t space, uint64_t va) {
  const uvm::Amap* amap = nullptr;
  std::vector<UvmSpan> partners;
  const auto each = [&replay](const auto& visit) {
    for (const auto& [number, ours] : replay.spaces()) {
      for (uvm::MapEntry* e = ours->map().DebugFirst(); e != nullptr; e = uvm::Map::DebugNext(e))
        visit(number, *e);
    }
  };
  each([&](uint64_t number, const uvm::MapEntry& e) {
    if (number == space && e.range().Contains(base::Vaddr(va))) amap = e.aref.amap;
  });
  each([&](uint64_t number, const uvm::MapEntry& e) {
    if (amap == nullptr || e.aref.amap != amap) return;
    partners.push_back({number, e.start.value(), e.end.value()});
  });
  return partners;
}

std::vector<std::pair<uint64_t, uint64_t>> UvmSharersOf(const UvmReplay& replay,
                                                        const std::vector<UvmSpan>& spans,
                                                        UvmAnons anons) {
  using What = std::pair<const void*, uint64_t>;  // an anon, or an object and an index
  const auto what = [anons](const uvm::MapEntry& e, base::Vaddr va) -> std::optional<What> {
    const uvm::Amap* amap = e.aref.amap;
    const uvm::Anon* anon = amap != nullptr ? amap->anons[e.SlotOf(va)] : nullptr;
    if (anon != nullptr) {
      if (anon->refs == 1 && !amap->shared && amap->refs == 1 && anons == UvmAnons::kOfSeveral)
        return std::nullopt;
      return What(anon, 0);
    }
    if (e.object == nullptr) return std::nullopt;
    return What(e.object, e.ObjectIndexOf(va).value());
  };
  const auto each = [&](const auto& visit) {
    for (const auto& [number, ours] : replay.spaces()) {
      for (uvm::MapEntry* e = ours->map().DebugFirst(); e != nullptr; e = uvm::Map::DebugNext(e)) {
        for (base::Vaddr va = e->start; va < e->end; va = va + base::kPageSize) {
          const std::optional<What> found = what(*e, va);
          if (found.has_value()) visit(number, va.value(), *found);
        }
      }
    }
  };
  std::set<What> named;
  each([&](uint64_t space, uint64_t va, const What& found) {
    const auto inside = [&](const UvmSpan& span) {
      return span.space == space && span.start <= va && va < span.end;
    };
    if (std::any_of(spans.begin(), spans.end(), inside)) named.insert(found);
  });
  std::vector<std::pair<uint64_t, uint64_t>> pages;
  each([&](uint64_t space, uint64_t va, const What& found) {
    if (named.contains(found)) pages.emplace_back(space, va);
  });
  return pages;
}

bool UvmIsNothing(const UvmReplay& replay, uint64_t space, uint64_t va) {
  const uvm::Space* ours = replay.space(space);
  uvm::MapEntry* e = ours == nullptr ? nullptr : ours->map().DebugFirst();
  while (e != nullptr && e->end.value() <= va) e = uvm::Map::DebugNext(e);
  if (e == nullptr || e->start.value() > va || e->object != nullptr) return false;
  const uvm::Amap* amap = e->aref.amap;
  return amap == nullptr || amap->anons[e->SlotOf(base::Vaddr(va))] == nullptr;
}

void UvmPages::Add(const UvmSpan& span) {
  if (span.end == UvmSpan::kAll) return;
  for (uint64_t va = span.start; va < span.end; va += kUvmPageBytes) AddPage(span.space, va);
}

void UvmPages::Remove(const UvmSpan& span) {
  const auto first = pages_.lower_bound({span.space, span.start});
  pages_.erase(first, pages_.lower_bound({span.space, span.end}));
}

void UvmPages::Follow(const UvmOpLine& line) {
  if (line.result.error != 0) return;
  const UvmOp& op = line.op;
  if (op.call != UvmCall::kFork && op.call != UvmCall::kExtract && !IsRemap(op.call)) return;
  std::set<std::pair<uint64_t, uint64_t>> more;
  for (const auto& [space, va] : pages_) {
    if (space != op.space) continue;
    if (op.call == UvmCall::kFork) more.insert({op.space2, va});
    const bool inside = va >= op.start && va - op.start < OldBytes(op);
    if (IsRemap(op.call) && inside) more.insert({space, line.result.value + (va - op.start)});
    if (op.call == UvmCall::kExtract && inside) {
      more.insert({op.space2, line.result.value + (va - op.start)});
    }
  }
  pages_.insert(more.begin(), more.end());
}

void UvmPages::KeepMapped(const UvmPicture& picture) {
  std::erase_if(pages_, [&picture](const auto& page) {
    return UvmEntryAt(picture.EntriesOf(page.first), page.second) == nullptr;
  });
}

uint64_t UvmPages::CountIn(const UvmSpan& span, uint64_t most) const {
  uint64_t count = 0;
  for (auto it = pages_.lower_bound({span.space, span.start});
       it != pages_.end() && it->first == span.space && it->second < span.end && count < most; ++it)
    count++;
  return count;
}

}  // namespace conform
