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

// As in pte=: the rights, a capital where the mapping is wired.
char TranslationLetter(const uvm::PmapSystem* pmap, const uvm::Pmap* of, base::Vaddr va) {
  uvm::PmapSystem::Mapping m;
  if (!pmap->PeekNext(of, va, &m) || m.va != va) return '-';
  const char letter = m.prot.CanWrite()                          ? 'w'
                      : m.prot.CanExecute() && !m.prot.CanRead() ? 'x'
                                                                 : 'r';
  return m.wired == uvm::Wired::kYes ? static_cast<char>(letter - 'a' + 'A') : letter;
}

// As in pg=: what is behind the page.
char PageLetter(uvm::Space* space, base::Vaddr va) {
  uvm::MapEntry* e = space->map().DebugFirst();
  while (e != nullptr && !e->range().Contains(va)) e = uvm::Map::DebugNext(e);
  if (e == nullptr) return '-';
  if (e->aref.amap != nullptr) {
    const uvm::Anon* anon = e->aref.amap->anons[e->SlotOf(va)];
    if (anon != nullptr) return anon->refs > 1 ? 'A' : 'a';
  }
  const bool resident =
      e->object != nullptr && e->object->DebugLookup(e->ObjectIndexOf(va)) != nullptr;
  return resident ? 'o' : '-';
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

UvmView UvmViewOf(UvmReplay& replay, uint64_t space, uint64_t start, size_t pages) {
  UvmView view{.space = space, .start = start, .translations = {}, .pages = {}};
  uvm::Space* ours = replay.space(space);
  if (ours == nullptr) return view;
  uvm::PmapSystem* pmap = replay.uvm().DebugPmap();
  for (size_t i = 0; i < pages; i++) {
    const base::Vaddr va(start + i * kUvmPageBytes);
    view.translations += TranslationLetter(pmap, ours->pmap(), va);
    view.pages += PageLetter(ours, va);
  }
  return view;
}

std::vector<UvmMismatch> CompareEntry(const UvmReplay& replay, const UvmEntry& recorded) {
  const UvmPicture::Entries entries = UvmEntriesOf(replay, recorded.space);
  const auto it = entries.find(recorded.start);
  std::vector<UvmMismatch> found;
  const auto mismatch = [&](const char* field) {
    found.push_back({field, "entry", ToString(recorded),
                     it == entries.end() ? "none begins there" : ToString(it->second),
                     it == entries.end() ? std::nullopt : std::optional(it->second)});
  };
  if (it == entries.end() || it->second.end != recorded.end) {
    mismatch("boundaries");
    return found;
  }
  const UvmEntry& ours = it->second;
  if (ours.wired != recorded.wired) mismatch("wired count");
  if (ours.copy_on_write != recorded.copy_on_write) mismatch("copy-on-write");
  if (ours.needs_copy != recorded.needs_copy) mismatch("needs copy");
  if (ours.amap.has_value() != recorded.amap.has_value()) mismatch("amap");
  if (!ours.amap.has_value() || !recorded.amap.has_value()) return found;
  if (ours.amap->slots != recorded.amap->slots) mismatch("amap slots");
  if (ours.amap->refs != recorded.amap->refs) mismatch("amap references");
  if (ours.amap->shared != recorded.amap->shared) mismatch("amap shared");
  return found;
}

}  // namespace conform
