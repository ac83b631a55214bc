#include "model/layer.h"

#include <algorithm>
#include <utility>

#include "base/addr.h"
#include "base/check.h"

namespace model {
namespace {

bool IsPrivate(const Slot::GivenUp& alternative) { return alternative.choice.use_count() == 1; }

}  // namespace

bool Slot::IsOpen() const {
  if (unknown_) return true;
  for (const GivenUp& alternative : given_up_) {
    if (*alternative.choice == Choice::kOpen) return true;
    if (*alternative.choice == Choice::kGone) return false;
  }
  return false;
}

void Slot::CollectOpen(std::vector<Choice*>* out) const {
  for (const GivenUp& alternative : given_up_) {
    if (*alternative.choice == Choice::kGone) return;
    Choice* choice = alternative.choice.get();
    if (*choice == Choice::kOpen && std::find(out->begin(), out->end(), choice) == out->end()) {
      out->push_back(choice);
    }
  }
}

void Slot::Settle() {
  for (size_t i = 0; i < given_up_.size();) {
    switch (*given_up_[i].choice) {
      case Choice::kOpen:
        ++i;
        break;
      case Choice::kKept:
        given_up_.erase(given_up_.begin() + static_cast<ptrdiff_t>(i));
        break;
      case Choice::kGone:
        last_ = std::move(given_up_[i].value);
        given_up_.resize(i);
        return;
    }
  }
}

void Slot::DropRepeats() {
  for (size_t i = 0; i < given_up_.size(); ++i) {
    if (!IsPrivate(given_up_[i])) continue;
    for (size_t k = given_up_.size() - 1; k > i; --k) {
      if (IsPrivate(given_up_[k]) && given_up_[k].value == given_up_[i].value) {
        given_up_.erase(given_up_.begin() + static_cast<ptrdiff_t>(k));
      }
    }
  }
}

bool Slot::NeedsBase() const {
  return !last_ || std::any_of(given_up_.begin(), given_up_.end(),
                               [](const GivenUp& alternative) { return !alternative.value; });
}

std::vector<bool> Slot::Possible() const {
  std::vector<bool> possible(alternatives());
  for (size_t i = 0; i < given_up_.size(); ++i) {
    possible[i] = *given_up_[i].choice != Choice::kKept;
    if (*given_up_[i].choice == Choice::kGone) return possible;
  }
  possible.back() = true;
  return possible;
}

Presence Slot::presence() const {
  if (unknown_) return Presence::kOpen;
  const std::vector<bool> possible = Possible();
  bool some = false;
  bool none = false;
  for (size_t i = 0; i < possible.size(); ++i) {
    const bool owns = i < given_up_.size() ? given_up_[i].value.has_value() : last_.has_value();
    some = some || (possible[i] && owns);
    none = none || (possible[i] && !owns);
  }
  if (some && none) return Presence::kOpen;
  return some ? Presence::kThere : Presence::kAbsent;
}

void Slot::Decide(Presence found) {
  CHECK(found != Presence::kOpen);
  if (unknown_) {
    // Which contents it has stays unknown.
    if (found == Presence::kAbsent) *this = Slot();
    return;
  }
  std::vector<bool> possible = Possible();
  size_t left = 0;
  size_t first = possible.size();
  for (size_t i = possible.size(); i-- > 0;) {
    const bool owns = i < given_up_.size() ? given_up_[i].value.has_value() : last_.has_value();
    possible[i] = possible[i] && owns == (found == Presence::kThere);
    if (!possible[i]) continue;
    first = i;
    ++left;
  }
  CHECK(left > 0);
  // Choices first: copies of the page elsewhere hang on them.
  for (size_t i = 0; i < first && i < given_up_.size(); ++i) *given_up_[i].choice = Choice::kKept;
  if (left == 1 && first < given_up_.size()) *given_up_[first].choice = Choice::kGone;
  KeepOnly(possible);
}

Slot Slot::WithBase(const PageValue& base) const {
  Slot copy = *this;
  for (GivenUp& alternative : copy.given_up_) {
    if (!alternative.value) alternative.value = base;
  }
  if (!copy.last_) copy.last_ = base;
  return copy;
}

template <typename Change>
void Slot::Apply(const PageValue& base, uint64_t size, const Change& change) {
  if (size == base::kPageSize) {
    given_up_.clear();
    unknown_ = false;
  }
  if (!given_up_.empty()) Settle();
  for (GivenUp& alternative : given_up_) {
    if (!alternative.value) alternative.value = base;
    change(&*alternative.value);
  }
  if (!last_) last_ = base;
  change(&*last_);
}

void Slot::Store(const PageValue& base, uint64_t start, uint64_t size, uint64_t value,
                 uint64_t page) {
  Apply(base, size, [&](PageValue* contents) { contents->Store(start, size, value, page); });
}

void Slot::StoreBytes(const PageValue& base, uint64_t start, uint64_t size,
                      const unsigned char* bytes) {
  Apply(base, size, [&](PageValue* contents) { contents->StoreBytes(start, size, bytes); });
}

void Slot::Bind(const PageValue& base) {
  if (!given_up_.empty()) Settle();
  for (GivenUp& alternative : given_up_) {
    if (!alternative.value) alternative.value = base;
  }
  if (!last_) last_ = base;
}

void Slot::GiveUp() {
  Settle();
  if (given_up_.empty() && !last_) return;  // owns nothing
  if (!given_up_.empty() && !given_up_[0].value && IsPrivate(given_up_[0]))
    return;  // just as open already
  given_up_.insert(given_up_.begin(), {std::make_shared<Choice>(Choice::kOpen), std::nullopt});
  DropRepeats();
  if (given_up_.size() > kMaxAlternatives) {
    given_up_.clear();
    unknown_ = true;
  }
}

void Slot::KeepOnly(const std::vector<bool>& possible) {
  std::vector<GivenUp> kept;
  for (size_t i = 0; i < given_up_.size(); ++i) {
    if (possible[i]) kept.push_back(std::move(given_up_[i]));
  }
  if (!possible.back()) {
    CHECK(!kept.empty());
    last_ = std::move(kept.back().value);
    kept.pop_back();
  }
  while (!kept.empty() && kept.back().value == last_) kept.pop_back();
  given_up_ = std::move(kept);
}

}  // namespace model
