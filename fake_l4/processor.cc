// What there is to do only on several processors: messages and revocations that cross from one to
// another, and translations that each of them remembers.
#include "fake_l4/processor.h"

#include <l4/ipc.h>

#include <algorithm>

#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

constexpr L4_Word_t kCrossProcessorTag = L4_Word_t{1} << 14;

}  // namespace

L4_Word_t Core::MessageCrosses(const Thread& s, const Thread& r) {
  // They meet when both are there, by whichever clock is later.
  now_ns_ = std::max({now_ns_, s.left_ns, r.left_ns}) + profile_.costs.cross_processor_ipc;
  return kCrossProcessorTag;
}

Core::PlaceOfPage Core::TranslateCached(Space& space, uint64_t vpage, RightsBits need) {
  const size_t processor = processors_.current();
  const PageTable::Found page = space.table.Walk(vpage);
  PlaceOfPage place;
  place.pte = page.pte;
  if (page.pte != nullptr) place.frame = page.pte->frame_number() + (vpage - page.vpage);
  const Translation* known = translations_->Find(processor, space.table, vpage);
  if (known != nullptr && (known->rights & need) != 0) {
    if (place.frame != known->frame) place.pte = nullptr;
    place.frame = known->frame;
    place.allowed = true;
    return place;
  }
  place.allowed = page.pte != nullptr && (page.pte->rights() & need) != 0;
  if (place.allowed) {
    translations_->Fill(processor, {.table = &space.table,
                                    .space = static_cast<uint32_t>(space.id),
                                    .vpage = vpage,
                                    .frame = place.frame,
                                    .rights = page.pte->rights()});
  }
  return place;
}

void Core::ShotDown(size_t processor) {
  if (processor == processors_.current()) return;
  if (shot_down_in_ != ledger_.system_calls) shot_down_ = 0;
  shot_down_in_ = ledger_.system_calls;
  const uint32_t bit = uint32_t{1} << processor;
  if ((shot_down_ & bit) != 0) return;
  shot_down_ |= bit;
  ledger_.shoot_downs++;
  Spend(profile_.costs.shoot_down);
}

void Core::StartTranslationCaches() {
  translations_ = std::make_unique<TranslationCaches>(options_.processors);
  translations_->SetShootDownListener([this](size_t processor) { ShotDown(processor); });
  database_.SetListener(translations_.get());
  shot_down_ = 0;
}

bool Core::NoStaleTranslation(base::TextSink& out) const {
  bool good = true;
  translations_->ForEach([&](size_t processor, const Translation& t) {
    const Mapping m = MappingOf(SpaceId{t.space}, t.vpage);
    if (!good || (m.frame.PageNumber() == t.frame && (t.rights & ~m.rights) == 0)) return;
    good = false;
    out << "NoStaleTranslation: processor " << processor << " has space " << t.space << " "
        << base::Vaddr(t.vpage << kPageShift) << " with rights " << uint64_t{t.rights}
        << ", its mapping has " << uint64_t{m.rights};
  });
  return good;
}

}  // namespace fake_l4
