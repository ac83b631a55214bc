#include "conform/uvm_picture.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace conform {

namespace {

char LetterOf(base::Inherit inherit) {
  switch (inherit) {
    case base::Inherit::kShare:
      return 's';
    case base::Inherit::kCopy:
      return 'c';
    case base::Inherit::kNone:
      return 'n';
    case base::Inherit::kZero:
      return 'z';
    case base::Inherit::kDonateCopy:
      break;
  }
  return '?';
}

char LetterOf(base::Advice advice) {
  switch (advice) {
    case base::Advice::kNormal:
      return 'n';
    case base::Advice::kRandom:
      return 'r';
    case base::Advice::kSequential:
      return 's';
    default:
      return '?';
  }
}

UvmEntry EntryOf(const UvmReplay& replay, uint64_t space, const uvm::MapEntry& ours) {
  UvmEntry e;
  e.space = space;
  e.start = ours.start.value();
  e.end = ours.end.value();
  e.prot = ours.prot.bits();
  e.max = ours.max_prot.bits();
  e.inherit = LetterOf(ours.inherit);
  e.advice = LetterOf(ours.advice);
  e.wired = ours.wired_count;
  e.copy_on_write = ours.copy_on_write;
  e.needs_copy = ours.needs_copy;
  e.no_merge = ours.no_merge;
  if (ours.object != nullptr) {
    e.object = replay.NumberOf(ours.object);
    e.offset = ours.offset;
  }
  if (const uvm::Amap* amap = ours.aref.amap; amap != nullptr) {
    e.amap.emplace();
    e.amap->refs = amap->refs;
    e.amap->shared = amap->shared;
    for (uint64_t i = 0; i < ours.pages().value(); i++) {
      if (amap->anons[ours.aref.slot + i] != nullptr) e.amap->slots++;
    }
  }
  return e;
}

// What one page of an entry is like.
std::string PageText(const UvmEntry* e, uint64_t va) {
  if (e == nullptr) return "nothing";
  return absl::StrCat(UvmProtName(e->prot), "/", UvmProtName(e->max), " ",
                      std::string{e->inherit, e->advice}, e->wired != 0 ? " wired" : "",
                      e->object.has_value() ? absl::StrCat(" object ", *e->object, "@0x",
                                                           absl::Hex(e->offset + (va - e->start)))
                                            : "");
}

bool SamePage(const UvmEntry& a, const UvmEntry& b, uint64_t va) {
  return a.prot == b.prot && a.max == b.max && a.inherit == b.inherit && a.advice == b.advice &&
         (a.wired != 0) == (b.wired != 0) && a.object == b.object &&
         (!a.object.has_value() || a.offset + (va - a.start) == b.offset + (va - b.start));
}

std::string At(uint64_t space, uint64_t va) {
  return absl::StrCat("space ", space, " 0x", absl::Hex(va));
}

// The entry that `va` is in, or null; `next` becomes where that stops being so.
const UvmEntry* Find(const UvmPicture::Entries& entries, uint64_t va, uint64_t* next) {
  auto it = entries.upper_bound(va);
  if (it != entries.end()) *next = std::min(*next, it->second.start);
  if (it == entries.begin()) return nullptr;
  const UvmEntry& before = std::prev(it)->second;
  if (before.end <= va) return nullptr;
  *next = std::min(*next, before.end);
  return &before;
}

std::optional<UvmMismatch> CompareSpacePages(uint64_t space, const UvmPicture::Entries& recorded,
                                             const UvmPicture::Entries& ours) {
  for (uint64_t va = 0; va != UINT64_MAX;) {
    uint64_t next = UINT64_MAX;
    const UvmEntry* r = Find(recorded, va, &next);
    const UvmEntry* o = Find(ours, va, &next);
    if ((r == nullptr) != (o == nullptr) || (r != nullptr && !SamePage(*r, *o, va))) {
      return UvmMismatch{"page", At(space, va), PageText(r, va), PageText(o, va)};
    }
    va = next;
  }
  return std::nullopt;
}

}  // namespace

const UvmPicture::Entries& UvmPicture::EntriesOf(uint64_t space) const {
  static const Entries* const kEmpty = new Entries;
  const auto it = spaces_.find(space);
  return it == spaces_.end() ? *kEmpty : it->second;
}

UvmPicture::Entries UvmEntriesOf(const UvmReplay& replay, uint64_t space) {
  UvmPicture::Entries entries;
  const uvm::Space* ours = replay.space(space);
  if (ours == nullptr) return entries;
  for (uvm::MapEntry* e = ours->map().DebugFirst(); e != nullptr; e = uvm::Map::DebugNext(e)) {
    entries.emplace(e->start.value(), EntryOf(replay, space, *e));
  }
  return entries;
}

std::optional<UvmMismatch> UvmPicture::ComparePages(const UvmReplay& replay) const {
  std::set<uint64_t> numbers;
  for (const auto& [space, entries] : spaces_) numbers.insert(space);
  for (const auto& [space, ours] : replay.spaces()) numbers.insert(space);
  for (const uint64_t space : numbers) {
    auto mismatch = CompareSpacePages(space, EntriesOf(space), UvmEntriesOf(replay, space));
    if (mismatch.has_value()) return mismatch;
  }
  return std::nullopt;
}

std::optional<UvmMismatch> UvmPicture::CompareEntries(const UvmReplay& replay) const {
  for (const auto& [space, recorded] : spaces_) {
    const Entries ours = UvmEntriesOf(replay, space);
    std::set<uint64_t> starts;
    for (const auto& [start, e] : recorded) starts.insert(start);
    for (const auto& [start, e] : ours) starts.insert(start);
    for (const uint64_t start : starts) {
      const auto r = recorded.find(start);
      const auto o = ours.find(start);
      const std::string r_text = r == recorded.end() ? "no entry" : ToString(r->second);
      const std::string o_text = o == ours.end() ? "no entry" : ToString(o->second);
      if (r_text != o_text) return UvmMismatch{"entry", At(space, start), r_text, o_text};
    }
  }
  return std::nullopt;
}

}  // namespace conform
