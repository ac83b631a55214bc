#include "tools/policy/stack_distance.h"

#include <algorithm>
#include <set>

#include "base/check.h"

namespace tools::policy {
namespace {

constexpr uint32_t kNever = ~uint32_t{0};

// The stack: slots in order of time, each empty, a page's or a hole.
class Stack {
 public:
  explicit Stack(uint32_t pages)
      : slots_(std::max<size_t>(size_t{pages} * 2, 64)),
        sums_(slots_ + 1),
        page_at_(slots_, kNever),
        slot_of_(pages, kNever) {}

  // The page is on top afterwards. Its depth before, 0 when it was not there.
  uint64_t Use(uint32_t page) {
    if (next_ == slots_) Compact();
    const uint32_t slot = slot_of_[page];
    uint64_t depth = 0;
    const bool hole_above = !holes_.empty() && (slot == kNever || *holes_.rbegin() > slot);
    if (slot != kNever) {
      depth = live_ - Below(slot);
      page_at_[slot] = kNever;
      if (!hole_above) Add(slot, -1);
    }
    if (hole_above) {
      const uint32_t filled = *holes_.rbegin();
      holes_.erase(filled);
      Add(filled, -1);
      if (slot != kNever) holes_.insert(slot);
    }
    page_at_[next_] = page;
    slot_of_[page] = next_;
    Add(next_++, 1);
    return depth;
  }
  void Remove(uint32_t page) {
    const uint32_t slot = slot_of_[page];
    if (slot == kNever) return;
    slot_of_[page] = kNever;
    page_at_[slot] = kNever;
    holes_.insert(slot);
  }

 private:
  void Add(uint32_t slot, int32_t what) {
    live_ += static_cast<uint64_t>(static_cast<int64_t>(what));
    for (uint64_t i = uint64_t{slot} + 1; i <= slots_; i += i & (0 - i))
      sums_[i] += static_cast<uint32_t>(what);
  }
  // Taken slots before `slot`.
  uint64_t Below(uint32_t slot) const {
    uint64_t sum = 0;
    for (uint64_t i = slot; i > 0; i -= i & (0 - i)) sum += sums_[i];
    return sum;
  }
  // Moves what is taken to the front; there are at most as many as half the slots.
  void Compact() {
    std::vector<uint32_t> pages;
    std::set<uint32_t> holes;
    for (uint32_t slot = 0; slot < slots_; ++slot) {
      const bool hole = holes_.count(slot) > 0;
      if (hole) holes.insert(static_cast<uint32_t>(pages.size()));
      if (hole || page_at_[slot] != kNever) pages.push_back(page_at_[slot]);
    }
    CHECK(pages.size() * 2 <= slots_);
    std::fill(sums_.begin(), sums_.end(), 0);
    std::fill(page_at_.begin(), page_at_.end(), kNever);
    live_ = 0;
    next_ = 0;
    for (const uint32_t page : pages) {
      page_at_[next_] = page;
      if (page != kNever) slot_of_[page] = next_;
      Add(next_++, 1);
    }
    holes_ = holes;
  }

  const uint64_t slots_;
  std::vector<uint32_t> sums_;     // Fenwick tree over taken slots
  std::vector<uint32_t> page_at_;  // by slot
  std::vector<uint32_t> slot_of_;  // by page
  std::set<uint32_t> holes_;       // slots that are taken by nobody
  uint64_t live_ = 0;              // taken slots
  uint32_t next_ = 0;              // slot
};

}  // namespace

StackDistances::StackDistances(const TouchStream& touches, const Progress& progress) {
  Stack stack(touches.pages());
  uses_.resize(touches.peak());
  constexpr size_t kBetween = 1 << 14;
  for (size_t i = 0; i < touches.size(); ++i) {
    const Touch touch = touches[i];
    if (progress && i % kBetween == kBetween - 1) progress(kBetween);
    if (touch.kind == TouchKind::kGone) {
      stack.Remove(touch.page);
      continue;
    }
    const uint64_t depth = stack.Use(touch.page);
    if (depth == 0) {
      ++first_;
    } else {
      CHECK(depth <= uses_.size());
      ++uses_[depth - 1];
    }
  }
  missed_.resize(uses_.size() + 1);
  for (size_t frames = uses_.size(); frames-- > 0;)
    missed_[frames] = missed_[frames + 1] + uses_[frames];
}

uint64_t StackDistances::Misses(uint32_t frames) const {
  return first_ + (frames < missed_.size() ? missed_[frames] : 0);
}

}  // namespace tools::policy
