// What checkers ask of the swap store.

#include "uvm/bits.h"
#include "uvm/swap.h"

namespace uvm {
namespace {

// The lowest bit that is set.
uint32_t FirstOf(uint64_t word) { return static_cast<uint32_t>(__builtin_ctzll(word)); }

bool Differ(base::TextSink* text, const char* what, uint64_t said, uint64_t counted) {
  if (said == counted) return false;
  *text << what << " " << said << ", counted " << counted;
  return true;
}

}  // namespace

bool SwapStore::Valid(base::TextSink* text) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  uint64_t pages = 0;
  uint64_t available = 0;
  uint64_t in_use = 0;
  uint64_t bad_available = 0;
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
    const Area* next = areas_.Next(area);
    if (next != nullptr && next->priority < area->priority) {
      *text << "the device at slot " << area->first << " comes before one of lower priority number";
      return false;
    }
    for (Area* other = areas_.front(); other != area; other = areas_.Next(other)) {
      if (other->first + other->pages <= area->first || area->first + area->pages <= other->first)
        continue;
      *text << "slot " << (other->first > area->first ? other->first : area->first)
            << " is of two devices";
      return false;
    }
    if (!area->slots.Valid()) {
      *text << "the free slots of the device at slot " << area->first << " are miscounted";
      return false;
    }
    uint64_t bad = 0;
    for (uint32_t w = 0; w < WordsFor(area->pages); ++w) {
      for (uint64_t word = area->bad[w]; word != 0; word &= word - 1) ++bad;
      const uint64_t both = area->bad[w] & area->slots.FreeWord(w);
      if (both == 0) continue;
      *text << "slot " << area->first + w * 64 + FirstOf(both) << " is bad and free";
      return false;
    }
    if (Differ(text, "bad slots of a device:", area->bad_count, bad)) return false;
    pages += area->pages;
    in_use += area->in_use();
    if (!area->going_off) available += area->pages;
    if (!area->going_off) bad_available += bad;
  }
  if (Differ(text, "pages of swap:", pages_, pages)) return false;
  if (Differ(text, "pages of swap available:", available_, available)) return false;
  if (Differ(text, "slots in use:", in_use_, in_use)) return false;
  if (Differ(text, "bad slots available:", bad_, bad_available)) return false;
  if (only_ < 0 || static_cast<uint64_t>(only_) > in_use_) {
    *text << "pages only on swap: " << (only_ < 0 ? "fewer than none" : "more than slots in use");
    return false;
  }
  return true;
}

SwapStore::DebugSlot SwapStore::DebugState(SwapSlot slot) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Area* area = FindSlot(slot);
  if (area == nullptr) return DebugSlot::kNone;
  const uint32_t at = slot - area->first;
  if (area->slots.IsFree(at)) return DebugSlot::kFree;
  return Bit(area->bad, at) ? DebugSlot::kBad : DebugSlot::kInUse;
}

bool SwapStore::DebugEncrypted(SwapSlot slot) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Area* area = FindSlot(slot);
  return area != nullptr && Bit(area->encrypted, slot - area->first);
}

uint64_t SwapStore::DebugWork() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  uint64_t work = 0;
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area))
    work += area->slots.work();
  return work;
}

void SwapStore::DebugBeginVisits() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
    for (uint64_t w = 0; w < WordsFor(area->pages); ++w) area->visited[w] = 0;
  }
}

bool SwapStore::DebugVisit(SwapSlot slot,
                           base::TextSink* text) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Area* area = FindSlot(slot);
  const char* wrong = nullptr;
  if (area == nullptr) {
    wrong = "of no device";
  } else {
    const uint32_t at = slot - area->first;
    if (area->slots.IsFree(at)) wrong = "free";
    if (Bit(area->bad, at)) wrong = "bad";
    if (Bit(area->visited, at)) wrong = "somebody else's, too";
    SetBit(area->visited, at);
  }
  if (wrong != nullptr) *text << "slot " << slot << " is owned and " << wrong;
  return wrong == nullptr;
}

bool SwapStore::DebugEndVisits(base::TextSink* text) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
    for (uint32_t w = 0; w < WordsFor(area->pages); ++w) {
      const uint32_t left = area->pages - w * 64;
      const uint64_t there = left < 64 ? (uint64_t{1} << left) - 1 : ~uint64_t{0};
      const uint64_t nobodys = there & ~(area->slots.FreeWord(w) | area->bad[w] | area->visited[w]);
      if (nobodys == 0) continue;
      *text << "slot " << area->first + w * 64 + FirstOf(nobodys) << " is in use and nobody's";
      return false;
    }
  }
  return true;
}

}  // namespace uvm
