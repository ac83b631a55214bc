// What checked builds look at right after every operation that changes mappings: the pages it was
// about, and now and then everything. Each rule has a name, by which a broken one is reported, and
// a predicate that writes the first counterexample. Observers only: no status bit, no time, no
// draw.
#include <algorithm>

#include "base/check.h"
#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

// Everything is looked at each time this many changes of mappings for each mapping there is have
// come together, so that looking stays cheap beside changing.
constexpr uint64_t kWholePerMapping = 4;
constexpr uint64_t kWholeAtLeast = 256;

void PanicUnless(bool good, const char* text) {
  if (!good) UNREACHABLE(text);
}

}  // namespace

// ---- Predicates ----

// RightsWithinAncestors, ChainsEndAtSigma0, PageTableEqualsDatabase ... (inspect.cc) for each page
// of a range, and the first of these for what is mapped from them.
bool Core::CheckRange(Space& space, uint64_t first, uint64_t end, base::TextSink& out) const {
  for (uint64_t v = first; v < end;) {
    const PageTable::Found page = space.table.Next(v, end);
    if (page.pte == nullptr) return true;
    v = page.vpage + database_.pages(page.level);
    if (!CheckNode(space, page.vpage, page.level, *page.pte, out)) return false;
    for (NodeIndex i = database_.links(page.pte->node()).first_child; i != 0;
         i = database_.links(i).next) {
      const MappingNode& child = database_.node(i);
      const Space& owner = *spaces_[child.space];
      if (!CheckNode(owner, child.vpage, child.level, *database_.links(i).pte, out)) return false;
    }
  }
  return true;
}

// UnmapIsComplete: what was revoked is gone from everything mapped from the range, and with flush
// from the range. A right that the processor cannot take alone stays as long as any other does.
bool Core::CheckUnmapped(Space& space, uint64_t first, uint64_t end, RightsBits revoked,
                         Flush flush, base::TextSink& out) const {
  const auto holds = [&](NodeIndex i) {
    const RightsBits left = database_.rights(i) & ~revoked;
    return database_.rights(i) != profile_.Normalise(left);
  };
  for (uint64_t v = first; v < end;) {
    const PageTable::Found page = space.table.Next(v, end);
    if (page.pte == nullptr) return true;
    v = page.vpage + database_.pages(page.level);
    // Part of a larger page that needed no splitting: nothing of it is derived or to be taken.
    if (page.vpage < first || v > end) continue;
    const NodeIndex top = page.pte->node();
    NodeIndex bad = flush == Flush::kYes && holds(top) ? top : 0;
    for (NodeIndex i = database_.links(top).first_child; i != 0 && bad == 0;
         i = database_.links(i).next) {
      if (holds(i)) bad = i;
    }
    if (bad == 0) continue;
    const MappingNode& n = database_.node(bad);
    out << "UnmapIsComplete: after taking " << int{revoked} << " from space "
        << static_cast<uint32_t>(space.id) << " " << base::Vaddr(page.vpage << kPageShift)
        << ", space " << n.space << " " << base::Vaddr(n.vpage << kPageShift) << " still has "
        << int{database_.rights(bad)};
    return false;
  }
  return true;
}

// Sigma0KnowsOwners: what sigma0 has mapped to anybody has an owner in its table, and lies below
// the mark up to which frames have ever been given; as long as sigma0 is alone in its space.
bool Core::Sigma0Gave(uint64_t frame_number, uint64_t pages) const {
  if (sigma0_shared_) return true;
  const uint64_t first = frame_number - (profile_.ram_base >> kPageShift);
  const uint64_t last = first + pages - 1;
  return last < sigma0_touched_ && last < sigma0_owner_.size() && sigma0_owner_[first] != 0 &&
         sigma0_owner_[last] != 0;
}

// ---- When ----

void Core::VerifyWholeSometimes() {
  const MappingCounters& c = database_.counters();
  const uint64_t changes = c.mapped + c.extended + c.unmapped + c.restricted + c.split;
  const uint64_t pause =
      std::max<uint64_t>(kWholeAtLeast, database_.live_nodes() * kWholePerMapping);
  if (changes - verified_changes_ < pause) return;
  verified_changes_ = changes;
  base::TextSink out(verify_text_, sizeof verify_text_);
  PanicUnless(CheckMappings(out), verify_text_);
}

void Core::VerifyMapped(Space& to, uint64_t first, uint64_t end) {
  base::TextSink out(verify_text_, sizeof verify_text_);
  PanicUnless(!several_processors_ || NoStaleTranslation(out), verify_text_);
  PanicUnless(CheckRange(to, first, end, out), verify_text_);
  VerifyWholeSometimes();
}

void Core::VerifyUnmapped(Space& space, uint64_t first, uint64_t end, RightsBits revoked,
                          Flush flush) {
  base::TextSink out(verify_text_, sizeof verify_text_);
  PanicUnless(!several_processors_ || NoStaleTranslation(out), verify_text_);
  if (options_.quirks.manual() && space.id != kSigma0Space) {
    PanicUnless(CheckUnmapped(space, first, end, revoked, flush, out), verify_text_);
  }
  PanicUnless(space.id == kSigma0Space || CheckRange(space, first, end, out), verify_text_);
  VerifyWholeSometimes();
}

}  // namespace fake_l4
