// model/observe.cc: what can be seen of a World without changing it (World's observers).

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/hash.h"
#include "model/world.h"

namespace model {

using traces::Personality;

namespace {

uint64_t HashOf(const Attributes& a) {
  return uint64_t{a.prot.bits()} | uint64_t{a.max_prot.bits()} << 8 |
         static_cast<uint64_t>(a.inherit) << 16 | static_cast<uint64_t>(a.advice) << 24 |
         uint64_t{a.shared} << 32 | uint64_t{a.wired} << 33;
}

PageKind KindOf(const PageSource& source) {
  if (source.slot != nullptr) {
    if (source.slot->IsOpen()) return PageKind::kEither;
    if (source.slot->Canonical() != nullptr) return PageKind::kOwned;
  }
  if (source.missing) return PageKind::kNothing;
  if (source.BaseUnknown()) return PageKind::kEither;
  if (source.file_page != nullptr) return PageKind::kOwned;
  return source.file_key == 0 ? PageKind::kUntouchedZero : PageKind::kUntouchedFile;
}

// Page addresses inside `region` that have a slot or a stored-to file page, sorted.
std::vector<uint64_t> PossiblyTouched(const Region& region, const FileTable& files) {
  std::vector<uint64_t> pages;
  uint64_t count = (region.end - region.start) >> base::kPageShift;
  if (region.layer != nullptr) {
    const PageMap& owned = region.layer->owned;
    for (auto it = owned.lower_bound(region.layer_page);
         it != owned.end() && it->first < region.layer_page + count; ++it) {
      pages.push_back(region.start + ((it->first - region.layer_page) << base::kPageShift));
    }
  }
  auto file = files.find(region.file_key);
  if (file == files.end()) return pages;
  // Numbers wrap: from the region's first page up, and those that follow at the bottom.
  const FilePages& stored = file->second;
  auto add = [&](FilePages::const_iterator at) {
    for (; at != stored.end(); ++at) {
      uint64_t index = (at->first - region.file_page) & (~uint64_t{0} >> base::kPageShift);
      if (index >= count) return;
      pages.push_back(region.start + (index << base::kPageShift));
    }
  };
  add(stored.lower_bound(region.file_page));
  if (region.FilePage(region.end - base::kPageSize) < region.file_page) add(stored.begin());
  // total order: page addresses; equal ones are one page.
  std::sort(pages.begin(), pages.end());
  pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
  return pages;
}

}  // namespace

std::vector<uint32_t> World::LiveTasks() const { return births_; }

Personality World::PersonalityOf(uint32_t task) const { return FindTask(task)->personality; }

base::Range World::Bounds(uint32_t task) const {
  const Space& space = FindTask(task)->space;
  return {base::Vaddr(space.min()), base::Vaddr(space.max())};
}

const std::vector<Region>& World::RegionsOf(uint32_t task) const {
  return FindTask(task)->space.regions();
}

void World::ForEachRange(uint32_t task, RangeVisitor visit) const {
  const std::vector<Region>& regions = FindTask(task)->space.regions();
  for (size_t i = 0; i < regions.size();) {
    size_t k = i + 1;
    while (k < regions.size() && regions[k].start == regions[k - 1].end &&
           regions[k].attributes == regions[i].attributes) {
      ++k;
    }
    visit({base::Vaddr(regions[i].start), base::Vaddr(regions[k - 1].end)}, regions[i].attributes);
    i = k;
  }
}

PageKind World::KindOfPage(uint32_t task, uint64_t va) const {
  const Region* region = FindTask(task)->space.Find(va);
  return region == nullptr ? PageKind::kUnmapped : KindOf(Space::Look(*region, va, files_));
}

void World::ForEachTouchedPage(uint32_t task, PageVisitor visit) const {
  for (const Region& region : FindTask(task)->space.regions()) {
    for (uint64_t page : PossiblyTouched(region, files_)) {
      PageKind kind = KindOf(Space::Look(region, page, files_));
      if (kind == PageKind::kOwned || kind == PageKind::kEither) visit(page, kind);
    }
  }
}

namespace {

PageView ViewOf(const PageSource& source, uint64_t page) {
  PageView view{page, KindOf(source)};
  const PageValue* value = source.slot == nullptr ? nullptr : source.slot->Canonical();
  if (value == nullptr && source.file_page != nullptr) value = &source.file_page->value;
  if (value != nullptr) {
    view.version = value->version();
  } else if (source.file_key != 0) {
    view.version = PageValue::FileVersion(source.file_key, source.file_offset);
  }
  return view;
}

bool IsTouched(const PageView& view) {
  return view.kind == PageKind::kOwned || view.kind == PageKind::kEither;
}

}  // namespace

PageCursor World::PagesOf(uint32_t task) const { return {&FindTask(task)->space, &files_}; }

bool PageCursor::Find(uint64_t va) {
  if (region_ != nullptr && region_->start <= va && va < region_->end) return true;
  region_ = space_->Find(va);
  if (region_ == nullptr) return false;
  file_ = Space::FileOf(*region_, *files_);
  return true;
}

PageView PageCursor::View(uint64_t va) {
  const uint64_t page = base::TruncPage(va);
  return Find(va) ? ViewOf(Space::LookAt(*region_, va, file_), page) : PageView{page};
}

bool PageCursor::IsOwned(uint64_t va) {
  CHECK(Find(va));
  const PageSource source = Space::LookAt(*region_, va, file_);
  return source.slot != nullptr && source.slot->Canonical() != nullptr;
}

void PageCursor::Load(uint64_t va, uint64_t size, unsigned char* out) {
  CHECK(Find(va));
  const PageSource source = Space::LookAt(*region_, va, file_);
  source.Load(source.slot == nullptr ? nullptr : source.slot->Canonical(), va & base::kPageMask,
              size, out);
}

bool PageCursor::Holds(uint64_t va, uint64_t size, const unsigned char* bytes) {
  CHECK(Find(va));
  const PageSource source = Space::LookAt(*region_, va, file_);
  const PageValue* value = source.slot == nullptr ? nullptr : source.slot->Canonical();
  return source.Holds(value, va & base::kPageMask, size, bytes);
}

PageView World::ViewPage(uint32_t task, uint64_t va) const { return PagesOf(task).View(va); }

void World::ForEachTouchedView(uint32_t task, ViewVisitor visit) const {
  for (const Region& region : FindTask(task)->space.regions()) {
    if (region.file_key != 0) {
      const FileView file = Space::FileOf(region, files_);
      for (uint64_t page : PossiblyTouched(region, files_)) {
        const PageView view = ViewOf(Space::LookAt(region, page, file), page);
        if (IsTouched(view)) visit(view);
      }
      continue;
    }
    // Anonymous memory is what there is most of: nothing but slots.
    if (region.layer == nullptr) continue;
    PageMap& owned = region.layer->owned;
    const uint64_t end = region.LayerPage(region.end);
    for (auto it = owned.lower_bound(region.layer_page); it != owned.end() && it->first < end;
         ++it) {
      PageSource source;
      source.slot = &it->second;
      const uint64_t page = region.start + ((it->first - region.layer_page) << base::kPageShift);
      const PageView view = ViewOf(source, page);
      if (IsTouched(view)) visit(view);
    }
  }
}

bool World::LoadBytes(uint32_t task, uint64_t va, uint64_t size, unsigned char* out) const {
  const Region* region = FindTask(task)->space.Find(va);
  if (region == nullptr) return false;
  PagesOf(task).Load(va, size, out);
  return true;
}

bool World::PageContents(uint32_t task, uint64_t va, PageBytes* out) const {
  return LoadBytes(task, base::TruncPage(va), base::kPageSize, out->data());
}

bool World::MayHold(uint32_t task, uint64_t va, const PageBytes& bytes) const {
  const Region* region = FindTask(task)->space.Find(va);
  if (region == nullptr) return false;
  PageSource source = Space::Look(*region, va, files_);
  if (source.Unknown()) return true;
  PageBytes expected;
  if (source.slot == nullptr || !source.slot->IsOpen()) {
    source.Load(source.slot == nullptr ? nullptr : source.slot->Canonical(), 0, base::kPageSize,
                expected.data());
    return expected == bytes;
  }
  std::vector<Choice*> choices;
  source.slot->CollectOpen(&choices);
  // Alternatives are tried newest first, so one page has at most one more contents than choices:
  // the first i are kept.
  for (size_t kept = 0; kept <= choices.size(); ++kept) {
    auto answer = [&](const Choice* choice) {
      auto at = std::find(choices.begin(), choices.end(), choice);
      return static_cast<size_t>(at - choices.begin()) < kept ? Choice::kKept : Choice::kGone;
    };
    source.Load(source.slot->ValueIf(answer), 0, base::kPageSize, expected.data());
    if (expected == bytes) return true;
  }
  return false;
}

bool World::HasThread(uint32_t task, uint32_t thread) const {
  return FindTask(task)->HasThread(thread);
}

uint32_t World::CountThreads(uint32_t task) const { return FindTask(task)->CountThreads(); }

uint32_t World::FirstThread(uint32_t task) const {
  return static_cast<uint32_t>(std::countr_zero(FindTask(task)->threads));
}

namespace {

// What pages show that nobody touched: which pages of which file, in runs.
uint64_t ChainBases(const std::vector<Region>& regions, uint64_t hash) {
  for (size_t i = 0; i < regions.size();) {
    const Region& first = regions[i];
    size_t k = i + 1;
    while (k < regions.size() && regions[k].start == regions[k - 1].end &&
           regions[k].file_key == first.file_key &&
           regions[k].file_page == first.FilePage(regions[k].start)) {
      ++k;
    }
    if (first.file_key != 0) {
      hash = base::Chain(base::Chain(hash, first.start), regions[k - 1].end);
      hash = base::Chain(base::Chain(hash, first.file_key), first.file_page);
    }
    i = k;
  }
  return hash;
}

// What a task's hash goes on with whose new memory is wired (mlockall); those of others do without.
constexpr uint64_t kWiresFuture = uint64_t{1} << 63;

}  // namespace

uint64_t World::StateHash(ContentHashes* known) const {
  const auto by_version = [&](uint64_t version, auto content_hash) {
    if (known == nullptr) return content_hash();
    const auto [it, is_new] = known->try_emplace(version, 0);
    if (is_new) it->second = content_hash();
    return it->second;
  };
  uint64_t hash = 0;
  for (uint32_t label : births_) {
    const Task& task = *FindTask(label);
    hash = base::Chain(hash, label);
    hash = base::Chain(hash, static_cast<uint64_t>(task.personality));
    hash = base::Chain(hash, task.space.max());
    hash = base::Chain(hash, uint64_t{task.owner} << 1 | (task.narrow ? 1 : 0));
    hash = base::Chain(hash, task.has_heap ? task.heap_base + 1 : 0);
    hash = base::Chain(hash, task.heap_current);
    if (task.threads != 1) hash = base::Chain(hash, task.threads);
    if (task.space.wires_future()) hash = base::Chain(hash, label ^ kWiresFuture);
    ForEachRange(label, [&](base::Range range, const Attributes& attributes) {
      hash = base::Chain(hash, range.start.value());
      hash = base::Chain(hash, range.end.value());
      hash = base::Chain(hash, HashOf(attributes));
    });
    hash = ChainBases(task.space.regions(), hash);
    ForEachTouchedView(label, [&](const PageView& view) {
      hash = base::Chain(hash, view.va + static_cast<uint64_t>(view.kind));
      hash = base::Chain(hash, by_version(view.version, [&] {
                           PageBytes bytes;
                           CHECK(PageContents(label, view.va, &bytes));
                           return base::HashBytes(bytes.data(), bytes.size());
                         }));
    });
  }
  for (const auto& [label, channel] : channels_) {
    for (const Parcel& message : channel) {
      hash = base::Chain(hash, label);
      hash = base::Chain(hash, base::HashBytes(message.bytes.data(), message.bytes.size()));
    }
  }
  auto names = [&](const std::map<uint64_t, uint64_t>& taken) {
    for (const auto& [key, id] : taken) hash = base::Chain(base::Chain(hash, key), id);
  };
  names(files_.memfds);
  names(files_.segments);
  for (const auto& [id, object] : files_.objects) {
    hash = base::Chain(base::Chain(hash, id), object.size);
    hash = base::Chain(
        hash, uint64_t{object.seals} << 2 | (object.locked ? 2u : 0u) | (object.removed ? 1u : 0u));
    hash = base::Chain(hash, object.attachments);
  }
  for (const auto& [key, pages] : files_) {
    for (const auto& [page, value] : pages) {
      hash = base::Chain(base::Chain(hash, key), page);
      hash = base::Chain(hash, by_version(value.value.version(), [&page_value = value.value] {
                           return page_value.ContentHash();
                         }));
    }
  }
  for (size_t i = 0; i < swap_.devices.size(); ++i) {
    const SwapTable::Device& device = swap_.devices[i];
    if (device.on) hash = base::Chain(base::Chain(hash, i), device.priority);
  }
  return hash;
}

}  // namespace model
