// conform/uvm_pages.h: sets of pages of recorded spaces, which go where their mappings go.
//
// WHAT     What an operation names is a few spans of addresses. What a defect, or a decision, is
//          about is a set of pages: fork, mremap and extract take them to other places, and
//          whoever wants to forgets those that are not mapped any more.
// SEE      uvm_triggers.h and uvm_structure.h, which keep such sets.
#ifndef CONFORM_UVM_PAGES_H_
#define CONFORM_UVM_PAGES_H_

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "conform/uvm_picture.h"
#include "conform/uvm_recording.h"
#include "conform/uvm_replay.h"

namespace conform {

struct UvmSpan {
  // As `end`: the whole space.
  static constexpr uint64_t kAll = UINT64_MAX;
  uint64_t space = 0, start = 0, end = 0;  // whole pages
};

// The entry that the address is in, or null.
const UvmEntry* UvmEntryAt(const UvmPicture::Entries& entries, uint64_t va);

// What the operation names in its space, or what it made of it.
std::vector<UvmSpan> UvmSpansOf(const UvmOpLine& line);

// The entries of ours that have the amap which the page's entry has; none without one.
std::vector<UvmSpan> UvmPartnersOf(const UvmReplay& replay, uint64_t space, uint64_t va);

// All pages, wherever they are mapped, that have the anon, or without one the page of an object, of
// some page of the spans.
enum class UvmAnons : uint8_t { kAll, kOfSeveral };  // the latter: not those with one reference
std::vector<std::pair<uint64_t, uint64_t>> UvmSharersOf(const UvmReplay& replay,
                                                        const std::vector<UvmSpan>& spans,
                                                        UvmAnons anons);

// Whether the page is mapped and has neither an anon nor an object.
bool UvmIsNothing(const UvmReplay& replay, uint64_t space, uint64_t va);

class UvmPages {
 public:
  // Nothing of a whole space.
  void Add(const UvmSpan& span);
  void AddPage(uint64_t space, uint64_t va) { pages_.insert({space, va}); }
  void Remove(const UvmSpan& span);
  // Where they go with their mappings when the operation is done. They stay where they were, too.
  void Follow(const UvmOpLine& line);
  // Forgets those that are in no entry.
  void KeepMapped(const UvmPicture& picture);

  uint64_t size() const { return pages_.size(); }
  bool empty() const { return pages_.empty(); }
  uint64_t count() const { return pages_.size(); }
  bool Contains(uint64_t space, uint64_t page) const { return pages_.contains({space, page}); }
  bool Touches(const UvmSpan& span) const { return CountIn(span, 1) != 0; }
  // How many there are in the span, or `most` if that is less.
  uint64_t CountIn(const UvmSpan& span, uint64_t most = UINT64_MAX) const;

 private:
  std::set<std::pair<uint64_t, uint64_t>> pages_;  // space, page's address
};

}  // namespace conform

#endif  // CONFORM_UVM_PAGES_H_
