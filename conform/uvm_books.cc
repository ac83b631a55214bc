#include "conform/uvm_books.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace conform {

namespace {

uint64_t PagesOf(const UvmEntry& e) { return (e.end - e.start) / kUvmPageBytes; }

// Of a V line: letters of pages that have an anon, in memory, on swap or lost.
bool IsAnon(char letter) {
  const char kind = absl::ascii_tolower(letter);
  return kind == 'a' || kind == 's' || kind == 'b';
}

}  // namespace

void UvmBooks::Expect(const char* field, uint64_t space, uint64_t recorded, uint64_t by_entries) {
  if (recorded == by_entries) return;
  found_.push_back({field, absl::StrCat("space ", space), absl::StrCat(recorded),
                    absl::StrCat(by_entries, " by its entries")});
}

void UvmBooks::Unsettle() {
  amaps_.reset();
  maps_.clear();
}

void UvmBooks::CheckAmaps(const UvmPicture& picture, const UvmStepLines& lines) {
  // How many entries have an amap with so many references, which is, or is not, marked as shared.
  std::map<std::pair<uint64_t, bool>, uint64_t> holders;
  for (const auto& [space, entries] : picture.spaces()) {
    for (const auto& [start, e] : entries) {
      if (e.amap.has_value()) holders[{e.amap->refs, e.amap->shared}]++;
    }
  }
  uint64_t amaps = 0;
  for (const auto& [kind, count] : holders) {
    const auto& [refs, shared] = kind;
    if (refs == 0 || count % refs != 0) {
      found_.push_back({"amap references", absl::StrCat("those of ", refs, shared ? "S" : ""),
                        absl::StrCat(count, " entries"), "whole groups"});
    } else {
      amaps += count / refs;
    }
  }
  if (lines.counters.has_value()) amaps_ = lines.counters->amaps;
  if (amaps_.has_value() && found_.empty() && *amaps_ != amaps) {
    found_.push_back({lines.counters.has_value() ? "C amaps" : "amap references", "machine",
                      absl::StrCat(*amaps_), absl::StrCat(amaps, " by their references")});
  }
}

void UvmBooks::CheckMap(const UvmPicture& picture, const UvmMapCounters& m) {
  const UvmPicture::Entries& entries = picture.EntriesOf(m.space);
  uint64_t pages = 0;
  for (const auto& [start, e] : entries) pages += PagesOf(e);
  Expect("M n", m.space, m.entries, entries.size());
  Expect("M sz", m.space, m.size, pages);
}

std::vector<UvmMismatch> UvmBooks::CheckViews(const UvmPicture& picture,
                                              const std::vector<UvmView>& views) {
  found_.clear();
  struct Seen {
    uint64_t resident = 0, wired = 0;
  };
  std::map<uint64_t, Seen> seen;
  for (const UvmView& v : views) {
    Seen& s = seen[v.space];
    for (const char letter : v.translations) {
      if (letter != '-') s.resident++;
      if (absl::ascii_isupper(letter)) s.wired++;
    }
    const UvmPicture::Entries& entries = picture.EntriesOf(v.space);
    const auto e = entries.find(v.start);
    if (e == entries.end()) continue;
    const auto& amap = e->second.amap;
    const auto anons = std::count_if(v.pages.begin(), v.pages.end(), IsAnon);
    Expect("V pg", v.space, static_cast<uint64_t>(anons), amap.has_value() ? amap->slots : 0);
    Expect("V pte", v.space, v.translations.size(), PagesOf(e->second));
  }
  for (const auto& [space, s] : seen) {
    const auto m = maps_.find(space);
    if (m == maps_.end()) continue;
    Expect("V pte", space, s.resident, m->second.resident);
    Expect("V pte", space, s.wired, m->second.wired);
  }
  return std::move(found_);
}

std::vector<UvmMismatch> UvmBooks::Check(const UvmPicture& picture, const UvmStepLines& lines) {
  found_.clear();
  CheckAmaps(picture, lines);
  for (const UvmMapCounters& m : lines.maps) {
    CheckMap(picture, m);
    maps_[m.space] = m;
  }
  return std::move(found_);
}

}  // namespace conform
