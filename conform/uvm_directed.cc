#include "conform/uvm_directed.h"

#include <cstdlib>

#include "absl/strings/match.h"

namespace conform {

namespace {

using base::Range;
using base::Vaddr;

// A scenario's space 0 begins with this address, and so do its mappings.
constexpr uint64_t kStart = 0x100000;

const uvm::MapEntry* EntryAt(uvm::Space* space, uint64_t va) {
  uvm::MapEntry* e = space == nullptr ? nullptr : space->map().DebugFirst();
  while (e != nullptr && !e->range().Contains(Vaddr(va))) e = uvm::Map::DebugNext(e);
  return e;
}

const uvm::Page* PageAt(uvm::Space* space, uint64_t va) {
  const uvm::MapEntry* e = EntryAt(space, va);
  if (e == nullptr) return nullptr;
  if (e->aref.amap != nullptr) {
    const uvm::Anon* anon = e->aref.amap->anons[e->SlotOf(Vaddr(va))];
    if (anon != nullptr) return anon->page;
  }
  return e->object == nullptr ? nullptr : e->object->DebugLookup(e->ObjectIndexOf(Vaddr(va)));
}

}  // namespace

void UvmDirected::Operation(const UvmOp& op, const UvmResult& ours) {
  op_ = op;
  ours_ = ours;
}

void UvmDirected::Note(absl::string_view text) {
  UvmOp extract{.call = UvmCall::kExtract, .space = 0, .start = kStart};
  extract.pages = 4;
  extract.flags = UvmFlag('R');
  if (text == "extract REMOVE 4 pages") {
    (void)replay_->Apply(extract);
  } else if (absl::StartsWith(text, "extract REMOVE -> OK")) {
    extract.space2 = 1;
    (void)replay_->Apply(extract);
  } else if (absl::StartsWith(text, "wirepages -> OK")) {
    replay_->bench().Do([&] { WireSwappedPages(); });
  } else if (absl::StartsWith(text, "in flight: ")) {
    (void)replay_->pressure().Inflight();
  } else if (absl::StartsWith(text, "after completion: ")) {
    (void)replay_->pressure().IoDone();
  } else if (absl::StartsWith(text, "wirepages over loaned pages")) {
    replay_->bench().Do([&] { WireLentPages(); });
  }
}

// The recorded kernel does not survive it.
void UvmDirected::WireLentPages() {
  constexpr uint64_t kPages = 8;
  uvm::Object* object = replay_->object(0);
  uvm::Page* pages[kPages] = {};
  const base::PageIndex first(0), end(kPages);
  if (replay_->uvm().WireObject(object, first, end, pages).ok()) {
    replay_->uvm().UnwireObject(object, first, end);
  }
}

// They stay wired: what their slots are is looked at next.
void UvmDirected::WireSwappedPages() {
  constexpr uint64_t kFirst = 16, kEnd = 20;
  uvm::Object* object = replay_->object(0);
  (void)replay_->uvm().WireObject(object, base::PageIndex(kFirst), base::PageIndex(kEnd), nullptr);
}

int64_t UvmDirected::PagesMapped(uint64_t space) const {
  const uvm::Space* ours = replay_->space(space);
  return ours == nullptr ? 0 : static_cast<int64_t>(ours->map().size_bytes() / kUvmPageBytes);
}

// Counters and states, by the names that the recorder gave them.
std::optional<int64_t> UvmDirected::Counter(absl::string_view what) const {
  uvm::Uvm& u = replay_->uvm();
  uvm::Space* first = replay_->space(0);
  // The scenario's two regions.
  const uint64_t va = absl::StartsWith(what, "A.") ? kStart : kStart + 4 * kUvmPageBytes;
  if (absl::EndsWith(what, ".page.wire_count")) {
    const uvm::Page* page = PageAt(first, va);
    return page == nullptr ? 0 : page->wire_count;
  }
  if (absl::EndsWith(what, ".wired_count")) {
    const uvm::MapEntry* e = EntryAt(first, va);
    return e == nullptr ? 0 : e->wired_count;
  }
  if (absl::StartsWith(what, "wired mapping of page ")) {
    const uint64_t page = static_cast<uint64_t>(what[22] - '0');
    uvm::PmapSystem::Mapping m;
    const Vaddr at(kStart + page * kUvmPageBytes);
    const bool there = u.DebugPmap()->PeekNext(first->pmap(), at, &m) && m.va == at;
    return there && m.wired == uvm::Wired::kYes ? 1 : 0;
  }
  if (what == "wired" || absl::StartsWith(what, "wired ") || absl::StartsWith(what, "wired(") ||
      absl::StartsWith(what, "uvmexp.wired")) {
    return static_cast<int64_t>(u.DebugPages().wired_count().value());
  }
  if (absl::StartsWith(what, "refs")) {
    return static_cast<int64_t>(replay_->object(0)->DebugRefs());
  }
  if (absl::StartsWith(what, "dst ")) return PagesMapped(1);
  if (absl::StrContains(what, "map size")) return PagesMapped(0);
  if (absl::StartsWith(what, "slot(")) {
    const base::PageIndex index(static_cast<uint64_t>(std::atoi(what.data() + 5)));
    const bool has = u.DebugAnonymous().FindSlot(replay_->object(0), index) != uvm::kNoSlot;
    return has ? 1 : 0;
  }
  if (what == "swpgonly") return static_cast<int64_t>(u.swap().only_on_swap().value());
  if (what == "swpginuse") return static_cast<int64_t>(u.swap().in_use().value());
  if (what == "anons") return static_cast<int64_t>(u.DebugAnons().live());
  return std::nullopt;
}

std::optional<int64_t> UvmDirected::Value(const UvmCheck& check) const {
  if (const std::optional<int64_t> counter = Counter(check.what)) return counter;
  // Whether it failed at all.
  if (check.what == "error" || absl::StrContains(check.what, "EFAULT/EACCES")) {
    return ours_.error != 0 ? 1 : 0;
  }
  if (op_.call == UvmCall::kRead) {
    return ours_.error != 0 ? -ours_.error : static_cast<int64_t>(ours_.value);
  }
  return ours_.error;
}

}  // namespace conform
