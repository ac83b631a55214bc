// Random lives of a family of amaps against a model that keeps a vector of counts for each.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/amap.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

// What a map entry knows.
struct Entry {
  AmapRef ref;
  uint64_t pages;
  std::string contents;  // a letter a page, '.' none
};

class AmapModelTest : public ::testing::Test {
 protected:
  Anon* NewAnon(char letter) {
    Anon* anon = anons_.Allocate();
    if (anon == nullptr) return nullptr;
    *pages_.Contents(anon->page) = static_cast<unsigned char>(letter);
    anon->page->busy = BusyReason::kNotBusy;
    return anon;
  }
  uint32_t Sharers(const Amap* amap) const {
    uint32_t count = 0;
    for (const Entry& entry : entries_) count += entry.ref.amap == amap ? 1 : 0;
    return count;
  }
  // All entries that see `slot` of `amap` see the letter.
  void Store(const Amap* amap, uint32_t slot, char letter) {
    for (Entry& entry : entries_) {
      if (entry.ref.amap != amap || slot < entry.ref.slot) continue;
      if (slot - entry.ref.slot < entry.pages) entry.contents[slot - entry.ref.slot] = letter;
    }
  }
  void Create() {
    uint64_t pages = 1 + prng_.Below(12);
    entries_.push_back({{amaps_.Allocate(PageCount(pages)), 0}, pages, std::string(pages, '.')});
  }
  void Write(Entry* entry) {
    uint64_t page = prng_.Below(entry->pages);
    Amap* amap = entry->ref.amap;
    uint32_t slot = entry->ref.slot + static_cast<uint32_t>(page);
    char letter = static_cast<char>('a' + prng_.Below(26));
    MutexLock lock(&amap->lock->mutex);
    Anon* old = amaps_.Lookup(amap, slot);
    Anon* fresh = NewAnon(letter);
    if (fresh == nullptr) return;
    if (old != nullptr) {
      amaps_.Replace(amap, slot, fresh);
      anons_.Release(old);
    } else {
      amaps_.Add(amap, slot, fresh);
    }
    Store(amap, slot, letter);
  }
  void Split(size_t index) {
    if (entries_[index].pages < 2) return;
    uint64_t kept = 1 + prng_.Below(entries_[index].pages - 1);
    Entry& left = entries_[index];
    Entry right = left;
    amaps_.Split(left.ref, PageCount(left.pages), PageCount(kept), &right.ref);
    right.pages -= kept;
    right.contents.erase(0, kept);
    left.pages = kept;
    left.contents.resize(kept);
    entries_.push_back(right);
  }
  void Share(size_t index) {
    Entry twin = entries_[index];
    amaps_.Reference(twin.ref, PageCount(twin.pages), Shared::kYes);
    entries_.push_back(twin);
  }
  void SharePart(size_t index) {
    const Entry whole = entries_[index];
    // Only where every entry covers the same slots does the caller know what "whole" is.
    if (Sharers(whole.ref.amap) != 1) return;
    uint64_t first = prng_.Below(whole.pages);
    uint64_t pages = 1 + prng_.Below(whole.pages - first);
    Entry part = {{whole.ref.amap, whole.ref.slot + static_cast<uint32_t>(first)},
                  pages,
                  whole.contents.substr(first, pages)};
    amaps_.ReferencePart(whole.ref, PageCount(whole.pages), part.ref, PageCount(pages),
                         Shared::kYes);
    entries_.push_back(part);
  }
  void Copy(size_t index) {
    Entry& entry = entries_[index];
    if (entry.ref.amap->refs < 2) return;
    MutexLock lock(&entry.ref.amap->lock->mutex);
    entry.ref = {amaps_.CopyRange(entry.ref, PageCount(entry.pages)), 0};
  }
  void Extend(size_t index) {
    Entry& entry = entries_[index];
    uint64_t add = 1 + prng_.Below(9);
    ExtendTo where = prng_.Chance(1, 2) ? ExtendTo::kForward : ExtendTo::kBackward;
    bool alone = Sharers(entry.ref.amap) == 1;
    bool ok = amaps_.Extend(&entry.ref, PageCount(entry.pages), PageCount(add), where).ok();
    ASSERT_EQ(ok, alone);
    if (!ok) return;
    entry.pages += add;
    std::string empty(add, '.');
    entry.contents = where == ExtendTo::kForward ? entry.contents + empty : empty + entry.contents;
  }
  void Drop(size_t index) {
    amaps_.Release(entries_[index].ref, PageCount(entries_[index].pages));
    entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(index));
  }
  void Step() {
    if (entries_.empty()) return Create();
    size_t index = prng_.Below(entries_.size());
    switch (prng_.Below(entries_.size() > 12 ? 12 : 10)) {
      case 0:
        return Create();
      case 1:
        return Split(index);
      case 2:
        return Share(index);
      case 3:
        return SharePart(index);
      case 4:
        return Copy(index);
      case 5:
        return Extend(index);
      case 6:
      case 10:
      case 11:
        return Drop(index);
      default:
        return Write(&entries_[index]);
    }
  }
  // Contents of every entry, counts of every slot, and no anon that nobody can reach.
  void Check() {
    std::map<Amap*, std::vector<uint32_t>> counts;
    for (const Entry& entry : entries_) {
      Amap* amap = entry.ref.amap;
      std::string seen;
      for (uint64_t i = 0; i < entry.pages; ++i) {
        const Anon* anon = amaps_.Lookup(amap, entry.ref.slot + static_cast<uint32_t>(i));
        seen += anon == nullptr ? '.' : static_cast<char>(*pages_.Contents(anon->page));
      }
      ASSERT_EQ(seen, entry.contents);
      std::vector<uint32_t>& slots = counts[amap];
      slots.resize(amap->slot_count);
      for (uint64_t i = 0; i < entry.pages; ++i) ++slots[entry.ref.slot + i];
    }
    ASSERT_EQ(amaps_.live(), counts.size());
    for (const auto& [amap, slots] : counts) {
      ASSERT_EQ(amap->refs, Sharers(amap));
      for (uint32_t slot = 0; slot < amap->slot_count; ++slot) {
        if (amap->pp == Ppref::kPresent) {
          ASSERT_EQ(AmapStore::DebugPpref(amap, slot), slots[slot]) << "slot " << slot;
        }
        if (slots[slot] == 0) {
          ASSERT_EQ(amap->anons[slot], nullptr) << "slot " << slot << " leaks";
        }
      }
    }
  }

  testing::NaivePmap pmap_{512};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  AnonStore anons_{&core_, &pages_};
  AmapStore amaps_{&core_, &pages_, &anons_};
  base::Prng prng_{1, "amap_model_test"};
  std::vector<Entry> entries_;
};

TEST_F(AmapModelTest, CountsAndContentsFollowTheModel) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    prng_ = base::Prng(seed, "amap_model_test");
    for (int step = 0; step < 400; ++step) {
      ASSERT_NO_FATAL_FAILURE(Step()) << "seed " << seed << " step " << step;
      ASSERT_NO_FATAL_FAILURE(Check()) << "seed " << seed << " step " << step;
    }
    while (!entries_.empty()) Drop(0);
    ASSERT_EQ(anons_.live(), 0u);
    ASSERT_EQ(amaps_.live_locks(), 0u);
    ASSERT_EQ(core_.counters.frames_in_use, 0u);
  }
}

}  // namespace
}  // namespace uvm
