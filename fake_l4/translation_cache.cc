#include "fake_l4/translation_cache.h"

#include <algorithm>

namespace fake_l4 {

namespace {

constexpr unsigned kSmallestLog2 = 12;

}  // namespace

bool TranslationCaches::Has(const Held& what) const {
  const Cache& cache = caches_[what.processor];
  return std::any_of(cache.begin(), cache.end(),
                     [&](const Translation& t) { return Covers(what, t); });
}

void TranslationCaches::Forget(const Held& what) {
  for (Translation& t : caches_[what.processor]) {
    if (Covers(what, t)) t = {};
  }
  if (listener_) listener_(what.processor);
}

void TranslationCaches::Revoked(PageTable& table, uint64_t vpage, unsigned log2) {
  const uint64_t end = vpage + (uint64_t{1} << (log2 - kSmallestLog2));
  for (size_t p = 0; p < caches_.size(); p++) {
    const Held what{p, &table, vpage, end};
    if (!Has(what)) continue;
    if (holds_back_) {
      held_.push_back(what);
    } else {
      Forget(what);
    }
  }
}

void TranslationCaches::Deliver(size_t i) {
  const Held what = held_[i];
  held_.erase(held_.begin() + static_cast<ptrdiff_t>(i));
  Forget(what);
}

void TranslationCaches::DeliverAll() {
  while (!held_.empty()) Deliver(0);
  holds_back_ = false;
}

bool TranslationCaches::IsHeld(size_t processor, const Translation& t) const {
  return std::any_of(held_.begin(), held_.end(), [&](const Held& held) {
    return held.processor == processor && Covers(held, t);
  });
}

}  // namespace fake_l4
