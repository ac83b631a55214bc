// model/layer.h: the pages that a mapping owns, by value, over what it would read without them.
//
// WHAT     A Layer maps page numbers of its own counting to Slots. Spaces that share memory refer
//          to one Layer; a copy of memory copies its slots. A page without slot reads through to
//          the region's base: zeros, or a page of a file. MADV_FREE makes it open whether a page is
//          still owned: its slot then holds both possibilities, under a Choice that is made once
//          and holds for every copy of the slot.
// STATES   Choice: kOpen -> kKept | kGone, by the first read that tells them apart.
//          Page: untouched (no slot) -> owned (first store) -> open (give-up) -> owned | untouched
//          (choice made).
// INVARIANTS  A slot's alternatives are tried newest first: the first whose choice is gone is the
//          contents, `last` when all are kept. Stores go to every alternative.
// SEE      design.md D8, rows MADV_FREE and "private page of an object".

#ifndef MODEL_LAYER_H_
#define MODEL_LAYER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "model/page.h"

namespace model {

enum class Choice : uint8_t { kOpen, kKept, kGone };

// Whether a page can be had; kOpen: that depends on choices not made yet.
enum class Presence : uint8_t { kThere, kAbsent, kOpen };

class Slot {
 public:
  // An alternative while its choice is open or gone. No value: the page reads its base again.
  struct GivenUp {
    std::shared_ptr<Choice> choice;
    std::optional<PageValue> value;
  };

  Slot() = default;
  explicit Slot(PageValue value) : last_(std::move(value)) {}

  // True when the contents depend on a choice that is open, or are not known at all.
  bool IsOpen() const;
  // True when MADV_FREE and stores alternated so often that the possibilities were given up on.
  bool unknown() const { return unknown_; }
  size_t alternatives() const { return given_up_.size() + 1; }
  // Which alternative holds if every open choice is answered by `answer(choice)`.
  template <typename Answer>
  size_t IndexIf(const Answer& answer) const {
    size_t i = 0;
    for (; i < given_up_.size(); ++i) {
      Choice choice = *given_up_[i].choice;
      if (choice == Choice::kOpen) choice = answer(given_up_[i].choice.get());
      if (choice == Choice::kGone) break;
    }
    return i;
  }
  // The contents then; null: the page reads its base.
  template <typename Answer>
  const PageValue* ValueIf(const Answer& answer) const {
    size_t i = IndexIf(answer);
    const std::optional<PageValue>& value = i < given_up_.size() ? given_up_[i].value : last_;
    return value ? &*value : nullptr;
  }
  // The contents if open choices are answered by "kept".
  const PageValue* Canonical() const {
    return ValueIf([](const Choice*) { return Choice::kKept; });
  }
  // The distinct choices of this slot that are open, appended to *out unless there.
  void CollectOpen(std::vector<Choice*>* out) const;

  // A page whose contents nobody knows.
  static Slot Unknown() {
    Slot slot{PageValue()};
    slot.unknown_ = true;
    return slot;
  }
  // The same contents with every alternative owning them.
  Slot WithBase(const PageValue& base) const;

  // True when an alternative does not own the page, so that a store to part of it needs to know the
  // base.
  bool NeedsBase() const;
  // Whether this slot alone has contents, with nothing below it.
  Presence presence() const;
  // It turned out that it has, or has not: the choices that follow are made. REQUIRES: presence()
  // is kOpen.
  void Decide(Presence found);
  // A store as PageValue::Store; `base` gives the contents of alternatives that do not own the
  // page.
  void Store(const PageValue& base, uint64_t start, uint64_t size, uint64_t value, uint64_t page);
  // The same with bytes from anywhere.
  void StoreBytes(const PageValue& base, uint64_t start, uint64_t size, const unsigned char* bytes);
  // The page is owned from here on, with the contents it has: `base` where it owned nothing.
  void Bind(const PageValue& base);
  // MADV_FREE: the page may or may not be owned from here on.
  void GiveUp();
  // Forgets every alternative that is not `possible`. REQUIRES: possible.size() == alternatives(),
  // one is true.
  void KeepOnly(const std::vector<bool>& possible);

 private:
  // More alternatives than this become "unknown"; programs that reuse freed memory write whole
  // pages or read them.
  static constexpr size_t kMaxAlternatives = 8;

  // Applies `change` to every alternative, each with its own contents from then on.
  template <typename Change>
  void Apply(const PageValue& base, uint64_t size, const Change& change);
  // Which alternatives the choices made so far leave.
  std::vector<bool> Possible() const;
  // Forgets the alternatives that choices made meanwhile rule out.
  void Settle();
  // Forgets alternatives that can be told apart from no other: equal contents, and no copy of their
  // choice elsewhere.
  void DropRepeats();

  std::vector<GivenUp> given_up_;  // newest first; mostly empty
  std::optional<PageValue> last_;
  bool unknown_ = false;
};

using PageMap = std::map<uint64_t, Slot>;

// What copies of pages hold, one a page; none: zeros.
using PageCopies = std::vector<std::optional<Slot>>;

struct Layer {
  PageMap owned;
};

}  // namespace model

#endif  // MODEL_LAYER_H_
