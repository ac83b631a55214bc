// fake_l4/translation_cache.h: what the processors of a machine remember of page tables.
//
// WHAT     One small direct-mapped cache a processor, of pages of 4 KiB whatever the table's entry
//          is. A translation in it is used without asking the table; so one that outlives its
//          mapping can be observed. The mapping database tells of every revocation, and the caches
//          forget it at once, unless somebody holds revocations back to try what happens then.
// STATES   Revoked -> forgotten; between HoldBack and DeliverAll: Revoked -> held -> Deliver ->
//          forgotten.
// INVARIANTS  NoStaleTranslation: a translation that is not held has its mapping, with at least its
//          rights.
// SEE      processor.h; X.2 manual: "Unmap"; docs/INVARIANTS.md.
#ifndef FAKE_L4_TRANSLATION_CACHE_H_
#define FAKE_L4_TRANSLATION_CACHE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "fake_l4/mapping_database.h"
#include "fake_l4/page_table.h"
#include "fake_l4/profile.h"

namespace fake_l4 {

struct Translation {
  const PageTable* table = nullptr;  // null: none
  uint32_t space = 0;
  uint64_t vpage = 0;
  uint64_t frame = 0;  // physical address / 4 KiB
  RightsBits rights = 0;
};

class TranslationCaches final : public RevocationListener {
 public:
  explicit TranslationCaches(size_t processors) : caches_(processors) {}

  // The translation of a page that a processor remembers; null when it does not.
  const Translation* Find(size_t processor, const PageTable& table, uint64_t vpage) const {
    const Translation& t = caches_[processor][vpage % kEntries];
    return t.table == &table && t.vpage == vpage ? &t : nullptr;
  }
  void Fill(size_t processor, const Translation& t) { caches_[processor][t.vpage % kEntries] = t; }

  // Called once for each processor and revocation, when the processor had such a translation and
  // has forgotten it. May be empty.
  void SetShootDownListener(std::function<void(size_t processor)> listener) {
    listener_ = std::move(listener);
  }

  // RevocationListener
  void Revoked(PageTable& table, uint64_t vpage, unsigned log2) override;

  // ---- Holding back: REQUIRES that the operation which revokes does not return before DeliverAll
  struct Held {
    size_t processor = 0;
    const PageTable* table = nullptr;
    uint64_t first = 0, end = 0;  // pages
  };
  // Revocations that concern a translation somebody has wait from now on.
  void HoldBack() { holds_back_ = true; }
  // No further ones do; those held so far stay.
  void HoldNoMore() { holds_back_ = false; }
  const std::vector<Held>& held() const { return held_; }
  // The processor of held()[i] learns of it.
  void Deliver(size_t i);
  // All do, in the order of the revocations, and no more are held back.
  void DeliverAll();

  // visit(processor, translation) for each that is not held.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (size_t p = 0; p < caches_.size(); p++) {
      for (const Translation& t : caches_[p]) {
        if (t.table != nullptr && !IsHeld(p, t)) visit(p, t);
      }
    }
  }

 private:
  static constexpr size_t kEntries = 64;
  using Cache = std::array<Translation, kEntries>;

  static bool Covers(const Held& held, const Translation& t) {
    return t.table == held.table && held.first <= t.vpage && t.vpage < held.end;
  }
  bool IsHeld(size_t processor, const Translation& t) const;
  bool Has(const Held& what) const;
  void Forget(const Held& what);

  std::vector<Cache> caches_;
  std::function<void(size_t)> listener_;
  bool holds_back_ = false;
  std::vector<Held> held_;
};

}  // namespace fake_l4

#endif  // FAKE_L4_TRANSLATION_CACHE_H_
