// I8 ValidMapEntries: what Map::ValidEntries says when an address map's structure is broken.

#include "base/check.h"
#include "uvm/map.h"

namespace uvm {
namespace {

uint64_t MaxGapBelow(const MapEntry* entry) {
  uint64_t max_gap = entry->gap;
  for (const MapEntry* child : entry->rb_child) {
    if (child != nullptr && child->max_gap > max_gap) max_gap = child->max_gap;
  }
  return max_gap;
}

}  // namespace

const char* Map::WrongWith(const MapEntry& entry) const {
  if (!entry.start.IsAligned() || !entry.end.IsAligned()) return "is not page aligned";
  if (entry.start >= entry.end) return "is empty";
  if (entry.end > max()) return "ends beyond the map";
  uint64_t gap = entry.next->start - entry.end;
  if (entry.gap != gap) return "has a wrong gap";
  if (entry.max_gap != MaxGapBelow(&entry)) return "has a wrong max_gap";
  if (entry.submap != nullptr && (entry.object != nullptr || entry.aref.amap != nullptr))
    return "is a submap and has layers";
  if (entry.wired_count != 0 && entry.needs_copy &&
      (entry.object == nullptr || entry.max_prot.CanWrite()))
    return "is wired and owes a copy that its wiring should have made";
  return nullptr;
}

bool Map::ValidEntries(base::TextSink* text) const {
  uint64_t count = 0;
  uint64_t size = 0;
  const MapEntry* previous = &header_;
  bool hint_found = hint_ == &header_;
  bool first_free_found = first_free_ == &header_;
  bool hole_seen = false;
  for (MapEntry* entry = tree_.First(); entry != nullptr; entry = Tree::Next(entry)) {
    const char* wrong = WrongWith(*entry);
    if (entry->start < previous->end) wrong = "overlaps its predecessor or the map's start";
    if (entry->prev != previous || previous->next != entry)
      wrong = "stands elsewhere in the ring than in the tree";
    hole_seen = hole_seen || entry->start != previous->end;
    if (entry == hint_) hint_found = true;
    if (entry == first_free_) {
      first_free_found = true;
      if (hole_seen && wrong == nullptr) wrong = "is first_free, and there is a hole below it";
    }
    if (wrong != nullptr) {
      *text << "entry " << entry->range() << " " << wrong;
      return false;
    }
    previous = entry;
    size += entry->end - entry->start;
    ++count;
  }
  if (header_.prev != previous || previous->next != &header_) {
    *text << "the ring goes on after the last entry";
    return false;
  }
  if (!hint_found || !first_free_found) {
    *text << (hint_found ? "first_free" : "the hint") << " is no entry of the map";
    return false;
  }
  if (count != count_ || size != size_ || !tree_.Check()) {
    *text << "counts " << count_ << " entries of " << size_ << " bytes, found " << count << " of "
          << size << (tree_.Check() ? "" : "; tree colours broken");
    return false;
  }
  return true;
}

void Map::Verify(const char* label) const {
  char buffer[256];
  base::TextSink text(buffer, sizeof buffer);
  text << label << ": ValidMapEntries: ";
  if (!ValidEntries(&text)) vm_panic(__FILE__, __LINE__, buffer);
}

}  // namespace uvm
