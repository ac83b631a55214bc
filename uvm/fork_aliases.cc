#include "uvm/fork_aliases.h"

#include "base/check.h"

namespace uvm {

ForkAliases::~ForkAliases() {
  if (members_ != nullptr) amaps_->arrays()->Free(members_, count_ * sizeof(Member));
}

bool ForkAliases::MayBe(const MapEntry& entry) {
  return entry.shared && !entry.needs_copy && entry.inherit == Inherit::kCopy &&
         entry.aref.amap != nullptr;
}

bool ForkAliases::Gather(MapEntry* from, const MapEntry* end) {
  uint64_t found = 0;
  for (const MapEntry* entry = from; entry != end; entry = entry->next) found += MayBe(*entry);
  if (found == 0) return true;
  if (found > UINT32_MAX) return false;
  members_ = static_cast<Member*>(amaps_->arrays()->AllocateRaw(found * sizeof(Member)));
  if (members_ == nullptr) return false;
  // From here to the end nobody else runs: `fork_group` is one more than the leader's place.
  for (MapEntry* entry = from; entry != end; entry = entry->next) {
    if (!MayBe(*entry)) continue;
    Amap* amap = entry->aref.amap;
    const uint32_t first = entry->aref.slot;
    const auto last = static_cast<uint32_t>(first + entry->pages().value());
    const uint32_t place = count_++;
    const bool leads = amap->fork_group == 0;
    if (leads) amap->fork_group = place + 1;
    members_[place] = {entry, nullptr, amap->fork_group - 1, leads, {first, last}, nullptr};
    if (leads) continue;
    Member* leader = LeaderOf(members_[place]);
    leader->alone = false;
    if (first < leader->span.first) leader->span.first = first;
    if (last > leader->span.end) leader->span.end = last;
  }
  for (uint32_t i = 0; i < count_; ++i) members_[i].entry->aref.amap->fork_group = 0;
  return true;
}

ForkAliases::Member* ForkAliases::Find(const MapEntry* entry) {
  if (!MayBe(*entry)) return nullptr;
  while (next_ < count_ && members_[next_].entry != entry) ++next_;
  if (next_ == count_ || LeaderOf(members_[next_])->alone) return nullptr;
  return &members_[next_];
}

bool ForkAliases::CopyFor(Member* member, MapEntry* twin) {
  Member* leader = LeaderOf(*member);
  const uint32_t slot = twin->aref.slot - leader->span.first;
  if (leader->first_twin == nullptr) {
    Amap* copy = amaps_->CopyRangeWithin(twin->aref, twin->pages(), leader->span);
    if (copy == nullptr) return false;
    twin->aref = {copy, slot};
    leader->first_twin = twin;
  } else {
    const MapEntry& other = *leader->first_twin;
    const AmapRef share = {other.aref.amap, slot};
    amaps_->CopyMore(twin->aref, share, twin->pages(), other.aref, other.pages());
    twin->aref = share;
  }
  member->twin = twin;
  return true;
}

}  // namespace uvm
