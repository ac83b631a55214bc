#include "fake_l4/testing/naive_mappings.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace fake_l4 {

NaiveMappings::Extent NaiveMappings::Decode(uint64_t fpage) const {
  const unsigned s = fpage >> 4 & 63;
  const RightsBits rights = fpage & kRwx;
  if (s == 1 || s >= profile_.address_bits) return {false, 0, profile_.address_bits, rights};
  if (s < 12) return {};
  return {false, (fpage & ~uint64_t{1023}) >> s << s, s, rights};
}

bool NaiveMappings::Has(Name name) const {
  return name.space == 0 ? name.page >= first_ && name.page < end_ : pages_.contains(name);
}

RightsBits NaiveMappings::RightsOf(Name name) const {
  return name.space == 0 ? kRwx : pages_.at(name).rights;
}

bool NaiveMappings::DerivesFrom(Name page, Name ancestor) const {
  while (page.space != 0) {
    page = pages_.at(page).parent;
    if (page == ancestor) return true;
  }
  return false;
}

std::vector<NaiveMappings::Name> NaiveMappings::Below(Name ancestor) const {
  std::vector<Name> result;
  for (const auto& [name, page] : pages_) {
    if (DerivesFrom(name, ancestor)) result.push_back(name);
  }
  return result;
}

void NaiveMappings::Remove(Name name) {
  for (const Name& n : Below(name)) pages_.erase(n);
  pages_.erase(name);
}

void NaiveMappings::Transfer(Kind kind, int from, int to, uint64_t send_base, uint64_t send_fpage,
                             uint64_t window_fpage) {
  const Extent send = Decode(send_fpage), window = Decode(window_fpage);
  if (send.nil || window.nil || to == 0) return;
  // The smaller of the two is moved; the send base says where in the larger one.
  const bool part = send.log2 > window.log2;
  const unsigned small = part ? window.log2 : send.log2, large = part ? send.log2 : window.log2;
  const uint64_t offset = send_base % (uint64_t{1} << large) / (uint64_t{1} << small) << small;
  const uint64_t source = (send.base + (part ? offset : 0)) >> 12;
  const uint64_t target = (window.base + (part ? 0 : offset)) >> 12;
  const uint64_t count = uint64_t{1} << (small - 12);
  // Pages that do not exist have no effect, so only those that do are looked at; ascending, and
  // live: a page that arrives meanwhile in the part still to come counts.
  for (uint64_t i = 0; i < count; i++) {
    if (from == 0) {
      if (source + i < first_) i = first_ - source;
      if (source + i >= end_ || i >= count) return;
    } else {
      auto next = pages_.lower_bound({from, source + i});
      if (next == pages_.end() || next->first.space != from) return;
      i = next->first.page - source;
      if (i >= count) return;
    }
    TransferPage(kind, {from, source + i}, {to, target + i}, send.rights);
  }
}

void NaiveMappings::TransferPage(Kind kind, Name source, Name target, RightsBits item) {
  const RightsBits rights = profile_.Normalise(item & RightsOf(source));
  if (rights == 0 || source == target) return;
  // What sigma0 grants it still has.
  if (kind == Kind::kGrant && source.space != 0) return Grant(source, target, rights);
  auto old = pages_.find(target);
  if (old != pages_.end() && old->second.parent == source) {
    old->second.rights |= rights;
    return;
  }
  Remove(target);
  if (!Has(source)) return;
  const uint64_t frame = source.space == 0 ? source.page : pages_.at(source).frame;
  pages_[target] = {source, frame, rights};
}

void NaiveMappings::Grant(Name source, Name target, RightsBits rights) {
  const Name parent = pages_.at(source).parent;
  auto old = pages_.find(target);
  Page granted;
  if (old != pages_.end() && (old->second.parent == source || old->second.parent == parent)) {
    // The same page from the same place: extended, and it keeps what was derived from it.
    granted = old->second;
    rights |= granted.rights;
  } else {
    Remove(target);
    if (!Has(source)) return;
  }
  const Page gone = pages_.at(source);
  pages_.erase(source);
  pages_[target] = {parent, gone.frame, rights, granted.own,
                    static_cast<RightsBits>(granted.below | gone.below)};
  for (auto& [name, page] : pages_) {
    if (page.parent == source) page.parent = target;
  }
  RestrictBelow(target);
}

// No page has rights that the page it was derived from lacks.
void NaiveMappings::RestrictBelow(Name name) {
  for (auto it = pages_.begin(); it != pages_.end();) {
    const Name child = it->first;
    if (it->second.parent != name) {
      ++it;
      continue;
    }
    it->second.rights = profile_.Normalise(it->second.rights & RightsOf(name));
    if (it->second.rights == 0) {
      Remove(child);
      it = pages_.begin();
      continue;
    }
    RestrictBelow(child);
    it = pages_.upper_bound(child);
  }
}

void NaiveMappings::Access(Name name, RightsBits bits) {
  pages_.at(name).own |= bits;
  while (name.space != 0) {
    name = pages_.at(name).parent;
    (name.space == 0 ? sigma0_below_[name.page] : pages_.at(name).below) |= bits;
  }
}

RightsBits NaiveMappings::UnmapPage(Name name, RightsBits revoke, bool flush) {
  RightsBits result;
  std::vector<Name> all = Below(name);
  if (name.space == 0) {
    result = std::exchange(sigma0_below_[name.page], RightsBits{0});
  } else {
    Page& page = pages_.at(name);
    result = std::exchange(page.below, RightsBits{0});
    if (flush) {
      result |= std::exchange(page.own, RightsBits{0});
      all.push_back(name);
    }
  }
  for (const Name& n : all) {
    Page& page = pages_.at(n);
    const RightsBits left = page.rights & ~revoke;
    page.rights = profile_.Normalise(left);
  }
  for (const Name& n : all) {
    if (pages_.at(n).rights == 0) pages_.erase(n);
  }
  return result;
}

RightsBits NaiveMappings::Unmap(int space, uint64_t fpage, bool flush) {
  const Extent e = Decode(fpage);
  RightsBits result = 0;
  if (e.nil) return result;
  const uint64_t first = e.base >> 12, count = uint64_t{1} << (e.log2 - 12);
  if (space == 0) {
    for (uint64_t f = first_; f < end_; f++) {
      if (f - first < count) result |= UnmapPage({0, f}, e.rights, flush);
    }
    return result;
  }
  auto it = pages_.lower_bound({space, first});
  while (it != pages_.end() && it->first.space == space && it->first.page - first < count) {
    const Name name = it->first;
    result |= UnmapPage(name, e.rights, flush);
    it = pages_.upper_bound(name);
  }
  return result;
}

std::string NaiveMappings::Text() const {
  std::string text;
  for (const auto& [name, page] : pages_) {
    absl::StrAppend(&text, name.space, ".", name.page, "=", page.frame, "/", page.rights, "<",
                    page.parent.space, ".", page.parent.page, " ");
  }
  return text;
}

}  // namespace fake_l4
