#include "model/space.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/pattern.h"

namespace model {
namespace {

// The part of `region` inside [start, end).
Region Clip(const Region& region, uint64_t start, uint64_t end) {
  Region piece = region;
  piece.start = std::max(region.start, start);
  piece.end = std::min(region.end, end);
  piece.layer_page = region.LayerPage(piece.start);
  piece.file_page = region.FilePage(piece.start);
  return piece;
}

bool CouldBeOne(const Region& a, const Region& b) {
  return a.end == b.start && a.attributes == b.attributes && a.layer == b.layer &&
         a.file_key == b.file_key && (a.layer == nullptr || a.LayerPage(a.end) == b.layer_page) &&
         (a.file_key == 0 || a.FilePage(a.end) == b.file_page);
}

// Owned pages that nobody can reach any more. Shared layers keep theirs: other spaces may see them.
void Forget(const Region& region) {
  if (region.layer == nullptr || region.attributes.shared) return;
  PageMap& owned = region.layer->owned;
  owned.erase(owned.lower_bound(region.layer_page),
              owned.lower_bound(region.LayerPage(region.end)));
}

// What a mapping leaves in a file's last page beyond its end is there until the page is written
// back, whenever that is.
void NoteTail(uint64_t key, uint64_t page, uint64_t end_in_page, FileTable* files) {
  const MemoryObject* object = files->Object(key);
  if (object == nullptr || object->kind != MemoryObject::Kind::kFile) return;
  if ((page << base::kPageShift) + end_in_page > object->size) (*files)[key][page].unknown = true;
}

// The page becomes the layer's own with what stands below it.
void Bind(const PageSource& source, Slot* slot) {
  if (source.BaseUnknown()) {
    *slot = Slot::Unknown();
  } else {
    slot->Bind(source.Base());
  }
}

}  // namespace

PageValue PageSource::Base() const {
  if (file_page != nullptr) return file_page->value;
  return file_key == 0 ? PageValue() : PageValue::OfFile(file_key, file_offset);
}

void PageSource::Load(const PageValue* value, uint64_t start, uint64_t size,
                      unsigned char* out) const {
  if (value == nullptr && file_page != nullptr) value = &file_page->value;
  if (value != nullptr) {
    value->Load(start, size, out);
  } else if (file_key != 0) {
    base::FillFile(file_key, file_offset + start, out, size);
  } else {
    std::fill_n(out, size, static_cast<unsigned char>(0));
  }
}

bool PageSource::Holds(const PageValue* value, uint64_t start, uint64_t size,
                       const unsigned char* bytes) const {
  if (value == nullptr && file_page != nullptr) value = &file_page->value;
  if (value != nullptr) return value->Holds(start, size, bytes);
  if (file_key == 0) return AllZero(bytes, size);
  PageBytes expected;
  base::FillFile(file_key, file_offset + start, expected.data(), size);
  return std::memcmp(bytes, expected.data(), size) == 0;
}

size_t Space::IndexFrom(uint64_t va) const {
  auto at =
      std::upper_bound(regions_.begin(), regions_.end(), va,
                       [](uint64_t address, const Region& region) { return address < region.end; });
  return static_cast<size_t>(at - regions_.begin());
}

const Region* Space::FindFrom(uint64_t va) const {
  size_t i = IndexFrom(va);
  return i == regions_.size() ? nullptr : &regions_[i];
}

const Region* Space::Find(uint64_t va) const {
  const Region* region = FindFrom(va);
  return region != nullptr && region->start <= va ? region : nullptr;
}

bool Space::AllMapped(uint64_t start, uint64_t end) const {
  for (size_t i = IndexFrom(start); start < end; ++i) {
    if (i == regions_.size() || regions_[i].start > start) return false;
    start = regions_[i].end;
  }
  return true;
}

bool Space::NoneMapped(uint64_t start, uint64_t end) const {
  const Region* next = FindFrom(start);
  return start >= end || next == nullptr || next->start >= end;
}

bool Space::MaxAllows(uint64_t start, uint64_t end, base::Prot prot) const {
  if (start >= end) return true;  // an empty range touches nothing, even inside a region
  for (size_t i = IndexFrom(start); i < regions_.size() && regions_[i].start < end; ++i) {
    if (!prot.IsSubsetOf(regions_[i].attributes.max_prot)) return false;
  }
  return true;
}

namespace {

// The lowest address from `at` on without any bit of `mask`: the lowest bit that is in the way is
// added, which carries it away, until none is left. 0 when the end of the number space came first.
uint64_t LowestWithout(uint64_t mask, uint64_t at) {
  while ((at & mask) != 0) {
    const uint64_t bit = at & mask & (~(at & mask) + 1);
    at = (at + bit) & ~(bit - 1);
  }
  return at;
}

}  // namespace

bool Space::LowestHole(uint64_t size, uint64_t mask, uint64_t* start) const {
  return HoleFrom(min_, size, mask, start);
}

bool Space::HoleFrom(uint64_t from, uint64_t size, uint64_t mask, uint64_t* start) const {
  uint64_t free = std::max(from, min_);
  for (size_t i = IndexFrom(free); i <= regions_.size(); ++i) {
    const uint64_t end = i < regions_.size() ? regions_[i].start : max_;
    const uint64_t at = LowestWithout(mask, free);
    if (at >= free && at <= end && end - at >= size) {
      *start = at;
      return true;
    }
    if (i < regions_.size()) free = regions_[i].end;
  }
  return false;
}

bool Space::NthHole(uint64_t index, base::Range* out) const {
  auto visit_holes = [this](auto&& visit) {
    uint64_t free = min_;
    for (const Region& region : regions_) {
      if (region.start != free && !visit(free, region.start)) return;
      free = region.end;
    }
    if (free != max_) visit(free, max_);
  };
  uint64_t count = 0;
  visit_holes([&](uint64_t, uint64_t) { return ++count, true; });
  if (count == 0) return false;
  index %= count;
  visit_holes([&](uint64_t start, uint64_t end) {
    if (index-- != 0) return true;
    *out = {base::Vaddr(start), base::Vaddr(end)};
    return false;
  });
  return true;
}

size_t Space::Split(uint64_t va) {
  size_t i = IndexFrom(va);
  if (i == regions_.size() || regions_[i].start >= va) return i;
  Region upper = Clip(regions_[i], va, regions_[i].end);
  regions_[i].end = va;
  regions_.insert(regions_.begin() + static_cast<ptrdiff_t>(i) + 1, std::move(upper));
  return i + 1;
}

void Space::Join(size_t index) {
  if (index + 1 >= regions_.size() || !CouldBeOne(regions_[index], regions_[index + 1])) return;
  regions_[index].end = regions_[index + 1].end;
  regions_.erase(regions_.begin() + static_cast<ptrdiff_t>(index) + 1);
}

template <typename Change>
void Space::Apply(uint64_t start, uint64_t end, const Change& change) {
  if (start >= end) return;
  size_t first = Split(start);
  size_t last = Split(end);
  for (size_t i = first; i < last; ++i) change(regions_[i]);
  // From above, so that indices below stay good.
  for (size_t i = last + 1; i-- > (first == 0 ? 0 : first - 1);) Join(i);
}

void Space::Map(Region region) {
  CHECK(region.start < region.end);
  CHECK(min_ <= region.start && region.end <= max_);
  Unmap(region.start, region.end);
  size_t i = IndexFrom(region.start);
  regions_.insert(regions_.begin() + static_cast<ptrdiff_t>(i), std::move(region));
  Join(i);
  if (i > 0) Join(i - 1);
}

void Space::Unmap(uint64_t start, uint64_t end) {
  if (NoneMapped(start, end)) return;
  size_t first = Split(start);
  size_t last = Split(end);
  for (size_t i = first; i < last; ++i) Forget(regions_[i]);
  regions_.erase(regions_.begin() + static_cast<ptrdiff_t>(first),
                 regions_.begin() + static_cast<ptrdiff_t>(last));
}

void Space::SetProt(uint64_t start, uint64_t end, base::Prot prot) {
  Apply(start, end, [prot](Region& region) { region.attributes.prot = prot; });
}

void Space::SetMaxProt(uint64_t start, uint64_t end, base::Prot max_prot) {
  Apply(start, end, [max_prot](Region& region) {
    region.attributes.max_prot = max_prot;
    region.attributes.prot = region.attributes.prot & max_prot;
  });
}

void Space::SetInherit(uint64_t start, uint64_t end, base::Inherit inherit) {
  Apply(start, end, [inherit](Region& region) { region.attributes.inherit = inherit; });
}

void Space::SetAdvice(uint64_t start, uint64_t end, base::Advice advice) {
  Apply(start, end, [advice](Region& region) { region.attributes.advice = advice; });
}

void Space::BindPages(const Region& region, const FileTable& files) {
  bool binds =
      region.layer != nullptr && region.file_key != 0 && region.attributes.max_prot.CanWrite();
  for (uint64_t va = region.start; binds && va < region.end; va += base::kPageSize) {
    if (Look(region, va, files).missing) continue;  // or its own already
    Slot& slot = region.layer->owned[region.LayerPage(va)];
    if (slot.NeedsBase()) Bind(Look(region, va, files), &slot);
  }
}

void Space::MayBind(const Region& region, uint64_t va, const FileTable& files) {
  if (!region.attributes.wired || region.layer == nullptr || region.file_key == 0) return;
  BindMaybe(region, va, files);
}

void Space::BindMaybe(const Region& region, uint64_t va, const FileTable& files) {
  if (!region.attributes.max_prot.CanWrite() || Look(region, va, files).missing) return;
  Slot& slot = region.layer->owned[region.LayerPage(va)];
  if (!slot.NeedsBase()) return;
  Bind(Look(region, va, files), &slot);
  slot.GiveUp();
}

void Space::MayWire(uint64_t start, uint64_t end, const FileTable& files) {
  for (const Region& region : Slice(start, end)) {
    if (region.layer == nullptr || region.file_key == 0) continue;
    for (uint64_t va = region.start; va < region.end; va += base::kPageSize) {
      BindMaybe(region, va, files);
    }
  }
}

void Space::Decide(const Region& region, uint64_t va, Presence found, const FileTable& files) {
  const PageSource source = Look(region, va, files);
  if (source.slot != nullptr && source.presence() == Presence::kOpen) source.slot->Decide(found);
}

void Space::DecideThere(uint64_t start, uint64_t end, const FileTable& files) {
  for (const Region& region : Slice(start, end)) {
    if (files.Object(region.file_key) == nullptr || region.layer == nullptr) continue;
    PageMap& owned = region.layer->owned;
    auto stop = owned.lower_bound(region.LayerPage(region.end));
    for (auto it = owned.lower_bound(region.layer_page); it != stop; ++it) {
      const uint64_t page = it->first - region.layer_page;
      Decide(region, region.start + (page << base::kPageShift), Presence::kThere, files);
    }
  }
}

void Space::Wire(uint64_t start, uint64_t end, const FileTable& files) {
  DecideThere(start, end, files);
  Apply(start, end, [](Region& region) { region.attributes.wired = true; });
  for (const Region& region : Slice(start, end)) BindPages(region, files);
}

void Space::Fetch(uint64_t start, uint64_t end, const FileTable& files) {
  DecideThere(start, end, files);
  for (const Region& region : Slice(start, end)) BindPages(region, files);
}

void Space::Unwire(uint64_t start, uint64_t end) {
  Apply(start, end, [](Region& region) { region.attributes.wired = false; });
}

uint64_t Space::WiredPages() const {
  uint64_t pages = 0;
  for (const Region& region : regions_) {
    if (region.attributes.wired) pages += (region.end - region.start) >> base::kPageShift;
  }
  return pages;
}

void Space::GiveUp(uint64_t start, uint64_t end) {
  for (const Region& region : Slice(start, end)) {
    if (region.layer == nullptr) continue;
    PageMap& owned = region.layer->owned;
    auto stop = owned.lower_bound(region.LayerPage(region.end));
    for (auto it = owned.lower_bound(region.layer_page); it != stop; ++it) it->second.GiveUp();
  }
}

void Space::Discard(uint64_t start, uint64_t end) {
  for (const Region& region : Slice(start, end)) Forget(region);
}

std::vector<Region> Space::Slice(uint64_t start, uint64_t end) const {
  std::vector<Region> pieces;
  for (size_t i = IndexFrom(start); i < regions_.size() && regions_[i].start < end; ++i) {
    pieces.push_back(Clip(regions_[i], start, end));
  }
  return pieces;
}

// Grown memory owns nothing, and nobody else refers to it: a layer of its own is as good as fresh
// pages of the old one.
Region Space::Continuation(const Region& last, uint64_t end, uint64_t size) {
  Region more = last;
  more.start = end;
  more.end = end + size;
  more.layer_page = 0;
  more.attributes.wired = false;
  more.layer = last.layer == nullptr ? nullptr : std::make_shared<Layer>();
  more.file_page = last.FilePage(last.end);
  return more;
}

void Space::Grow(uint64_t end, uint64_t size) {
  const Region* last = Find(end - 1);
  CHECK(last != nullptr);
  CHECK(NoneMapped(end, end + size));
  Map(Continuation(*last, end, size));
}

void Space::Move(uint64_t start, uint64_t size, uint64_t to, uint64_t new_size) {
  std::vector<Region> pieces = Slice(start, start + std::min(size, new_size));
  CHECK(NoneMapped(to, to + new_size));
  // Out of the list without Unmap, which would forget the pages that move.
  size_t first = Split(start);
  size_t last = Split(start + std::min(size, new_size));
  regions_.erase(regions_.begin() + static_cast<ptrdiff_t>(first),
                 regions_.begin() + static_cast<ptrdiff_t>(last));
  Unmap(start, start + size);
  const bool tail_shared = !pieces.empty() && pieces.back().attributes.shared;
  Place(std::move(pieces), start, size, to, new_size, tail_shared);
}

// Maps `pieces` of [start, start + size) at the same place relative to `to`, and what follows them.
void Space::Place(std::vector<Region> pieces, uint64_t start, uint64_t size, uint64_t to,
                  uint64_t new_size, bool tail_shared) {
  for (Region& piece : pieces) {
    piece.start = piece.start - start + to;
    piece.end = piece.end - start + to;
    piece.attributes.wired = false;
  }
  if (new_size > size) {
    CHECK(!pieces.empty());
    CHECK(pieces.back().end == to + size);
    pieces.push_back(Continuation(pieces.back(), to + size, new_size - size));
    pieces.back().attributes.shared = tail_shared;
  }
  for (Region& piece : pieces) Map(std::move(piece));
}

void Space::Duplicate(uint64_t start, uint64_t size, uint64_t to, uint64_t new_size) {
  CHECK(NoneMapped(to, to + new_size));
  uint64_t end = start + std::min(size, new_size);
  // What is added is nobody else's.
  const Region* last = Find(start + size - 1);
  const bool tail_shared = last != nullptr && last->attributes.shared;
  Apply(start, end, [](Region& region) { region.attributes.shared = true; });
  Place(Slice(start, end), start, size, to, new_size, tail_shared);
}

// Copies the pages of `region` into a layer that counts pages alike; a new one unless `into` is
// given.
std::shared_ptr<Layer> Space::CopyPages(const Region& region, std::shared_ptr<Layer> into) {
  if (into == nullptr) into = std::make_shared<Layer>();
  if (region.layer == nullptr) return into;
  const PageMap& owned = region.layer->owned;
  auto stop = owned.lower_bound(region.LayerPage(region.end));
  for (auto it = owned.lower_bound(region.layer_page); it != stop; ++it) {
    into->owned.insert(into->owned.end(), *it);
  }
  return into;
}

Space Space::Fork() {
  Space child(min_, max_);
  child.regions_.reserve(regions_.size());
  // Neighbours of one layer keep one layer in the child, and so does what shows its pages again.
  const Layer* copied_from = nullptr;
  std::shared_ptr<Layer> copied_to;
  std::vector<std::pair<const Layer*, std::shared_ptr<Layer>>> shared_copies;
  std::vector<Region> shown;  // of the child, over those
  for (Region& region : regions_) {
    if (region.attributes.inherit == base::Inherit::kNone) continue;
    if (region.attributes.inherit == base::Inherit::kShare) {
      region.attributes.shared = true;
      child.regions_.push_back(region);
      child.regions_.back().attributes.wired = false;
      continue;
    }
    Region copy = region;
    copy.attributes.shared = false;
    copy.attributes.wired = false;
    if (region.attributes.inherit == base::Inherit::kZero) {
      copy.layer = std::make_shared<Layer>();
      copy.file_key = 0;
      copy.file_page = 0;
    } else {
      const Layer* from = region.layer.get();
      if (from == nullptr || from != copied_from) copied_to = nullptr;
      const bool may_repeat = from != nullptr && region.attributes.shared;
      for (const auto& [source, target] : shared_copies) {
        if (may_repeat && source == from) copied_to = target;
      }
      copied_to = copy.layer = CopyPages(region, copied_to);
      copied_from = from;
      if (may_repeat) {
        shared_copies.emplace_back(from, copied_to);
        shown.push_back(copy);
      }
    }
    child.regions_.push_back(std::move(copy));
  }
  for (size_t i = regions_.size(); i-- > 0;) Join(i);
  for (size_t i = child.regions_.size(); i-- > 0;) child.Join(i);
  child.ShareRepeats(shown);
  return child;
}

// Pages of a layer that two of the regions `shown` of this space show are shared from now on.
void Space::ShareRepeats(const std::vector<Region>& shown) {
  for (size_t i = 0; i < shown.size(); ++i) {
    for (size_t k = 0; k < shown.size(); ++k) {
      const Region& a = shown[i];
      const Region& b = shown[k];
      if (i == k || a.layer != b.layer) continue;
      const uint64_t first = std::max(a.layer_page, b.layer_page);
      const uint64_t stop = std::min(a.LayerPage(a.end), b.LayerPage(b.end));
      if (first >= stop) continue;
      const uint64_t start = a.start + ((first - a.layer_page) << base::kPageShift);
      Apply(start, start + ((stop - first) << base::kPageShift),
            [](Region& region) { region.attributes.shared = true; });
    }
  }
}

PageCopies Space::Copy(uint64_t start, uint64_t end, const FileTable& files) const {
  PageCopies copies((end - start) >> base::kPageShift);
  for (const Region& piece : Slice(start, end)) {
    // Untouched zeros need no look at each page.
    if (piece.file_key == 0 && piece.layer != nullptr) {
      const PageMap& owned = piece.layer->owned;
      for (auto it = owned.lower_bound(piece.layer_page);
           it != owned.end() && it->first < piece.LayerPage(piece.end); ++it) {
        const uint64_t page = ((piece.start - start) >> base::kPageShift) + it->first;
        copies[page - piece.layer_page] =
            it->second.NeedsBase() ? it->second.WithBase(PageValue()) : it->second;
      }
      continue;
    }
    for (uint64_t va = piece.start; va < piece.end; va += base::kPageSize) {
      const PageSource source = Look(piece, va, files);
      std::optional<Slot>& copy = copies[(va - start) >> base::kPageShift];
      if (source.Unknown()) {
        copy = Slot::Unknown();
      } else {
        copy = source.slot == nullptr ? Slot(source.Base()) : source.slot->WithBase(source.Base());
      }
    }
  }
  return copies;
}

void Space::Overwrite(uint64_t start, PageCopies copies, FileTable* files) {
  const uint64_t end = start + (copies.size() << base::kPageShift);
  // What only this task sees is anonymous memory from now on, whatever was mapped there.
  Apply(start, end, [](Region& region) {
    if (region.layer == nullptr || region.attributes.shared) return;
    region.layer = std::make_shared<Layer>();
    region.layer_page = region.file_key = region.file_page = 0;
  });
  for (const Region& piece : Slice(start, end)) {
    for (uint64_t va = piece.start; va < piece.end; va += base::kPageSize) {
      std::optional<Slot>& copy = copies[(va - start) >> base::kPageShift];
      if (piece.layer == nullptr) {
        FilePage& page = (*files)[piece.file_key][piece.FilePage(va)];
        const PageValue* value = copy ? copy->Canonical() : nullptr;
        page.unknown = copy && copy->IsOpen();
        page.value = value == nullptr ? PageValue() : *value;
        NoteTail(piece.file_key, piece.FilePage(va), base::kPageSize, files);
      } else if (copy) {
        piece.layer->owned[piece.LayerPage(va)] = std::move(*copy);
      } else if (piece.file_key == 0) {
        piece.layer->owned.erase(piece.LayerPage(va));
      } else {
        piece.layer->owned[piece.LayerPage(va)] = Slot(PageValue());
      }
    }
  }
}

PageSource Space::LookAt(const Region& region, uint64_t va, const FileView& file) {
  PageSource source;
  if (region.layer != nullptr) {
    auto slot = region.layer->owned.find(region.LayerPage(va));
    if (slot != region.layer->owned.end()) source.slot = &slot->second;
  }
  if (region.file_key == 0) return source;
  Slot* slot = source.slot;
  source = LookInFile(region.file_key, region.FilePage(va), file);
  source.slot = slot;
  // A device shows in shared mappings only.
  const MemoryObject* object = region.layer != nullptr ? file.object : nullptr;
  if (object != nullptr && object->kind == MemoryObject::Kind::kDevice) {
    source.missing = true;
    source.file_page = nullptr;
  }
  return source;
}

PageSource Space::LookInFile(uint64_t key, uint64_t page, const FileView& file) {
  PageSource source;
  source.file_key = key;
  source.file_offset = page << base::kPageShift;
  if (file.pages != nullptr) {
    auto stored = file.pages->find(page);
    if (stored != file.pages->end()) source.file_page = &stored->second;
  }
  if (const MemoryObject* object = file.object) {
    // Zeros where nothing was stored.
    const bool is_file = object->kind == MemoryObject::Kind::kFile;
    if (!is_file || (page << base::kPageShift) >= object->made_up) source.file_key = 0;
    source.missing = !object->Has(page);
    if (source.missing) source.file_page = nullptr;
  }
  return source;
}

void Space::StoreInFile(uint64_t key, uint64_t page, uint64_t start, uint64_t size,
                        const unsigned char* bytes, FileTable* files) {
  const PageSource source = LookInFile(key, page, *files);
  auto [stored, fresh] = (*files)[key].try_emplace(page);
  if (fresh) stored->second.value = source.Base();
  if (bytes != nullptr) stored->second.value.StoreBytes(start, size, bytes);
  if (size == base::kPageSize || bytes == nullptr) stored->second.unknown = bytes == nullptr;
  NoteTail(key, page, start + size, files);
}

void Space::StoreBytes(const Region& region, uint64_t va, uint64_t size, const unsigned char* bytes,
                       FileTable* files) {
  const uint64_t start = va & base::kPageMask;
  if (region.layer == nullptr) {
    return StoreInFile(region.file_key, region.FilePage(va), start, size, bytes, files);
  }
  Slot& slot = region.layer->owned[region.LayerPage(va)];
  const PageSource source = slot.NeedsBase() ? Look(region, va, *files) : PageSource();
  if (source.BaseUnknown() || bytes == nullptr) slot = Slot::Unknown();
  if (bytes != nullptr) slot.StoreBytes(source.Base(), start, size, bytes);
}

void Space::Store(const Region& region, uint64_t va, uint64_t size, uint64_t value,
                  FileTable* files) {
  uint64_t start = va & base::kPageMask;
  uint64_t page = base::TruncPage(va);
  if (region.layer == nullptr) {
    PageSource source = Look(region, va, *files);
    auto [stored, fresh] = (*files)[region.file_key].try_emplace(region.FilePage(va));
    if (fresh) stored->second.value = source.Base();
    stored->second.value.Store(start, size, value, page);
    if (size == base::kPageSize) stored->second.unknown = false;
    NoteTail(region.file_key, region.FilePage(va), start + size, files);
    return;
  }
  Slot& slot = region.layer->owned[region.LayerPage(va)];
  const PageSource source = slot.NeedsBase() ? Look(region, va, *files) : PageSource();
  if (source.BaseUnknown()) slot = Slot::Unknown();
  slot.Store(source.Base(), start, size, value, page);
}

}  // namespace model
