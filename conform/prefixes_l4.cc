#include "conform/prefixes_l4.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "conform/l4.h"
#include "fake_l4/quirks.h"

namespace conform {

namespace {

// How many leading operations leave the states of `recorded`, respectively the same states.
size_t Agreeing(const Sequence& recorded, const std::vector<State>& ours) {
  size_t n = 0;
  while (n < ours.size() && ours[n] == recorded.steps[n].after) n++;
  return n;
}
size_t Agreeing(const std::vector<State>& a, const std::vector<State>& b) {
  size_t n = 0;
  while (n < a.size() && n < b.size() && a[n] == b[n]) n++;
  return n;
}

const Sequence* Find(const Recording& recording, uint32_t number) {
  for (const Sequence& s : recording.sequences) {
    if (s.number == number) return &s;
  }
  return nullptr;
}

std::optional<Difference> Check(const Prefix& prefix, const Recording& recording,
                                const fake_l4::Quirks& mixed, uint64_t* hash) {
  Difference d{.line = prefix.line,
               .step = absl::StrCat(prefix.recording, " ", prefix.sequence),
               .field = "prefix",
               .where = mixed.name,
               .recorded = absl::StrCat(prefix.operations),
               .ours = ""};
  const Sequence* sequence = Find(recording, prefix.sequence);
  if (sequence == nullptr) {
    d.ours = "no such sequence";
    return d;
  }
  const std::vector<State> mixed_states = PageStates(recording, *sequence, mixed);
  const std::vector<State> manual_states = PageStates(recording, *sequence, fake_l4::kManualRules);
  const size_t agree = Agreeing(*sequence, mixed_states);
  const size_t manual = Agreeing(*sequence, manual_states);
  const size_t same = Agreeing(mixed_states, manual_states);
  *hash = base::Chain(base::Chain(base::Chain(*hash, agree), manual), same);
  d.ours = absl::StrCat(agree);
  if (agree != prefix.operations) return d;
  // Up to there the two profiles are one.
  const size_t due = std::min<size_t>(prefix.operations, same);
  if (manual >= due) return std::nullopt;
  d.where = fake_l4::kManualRules.name;
  d.recorded = absl::StrCat("at least ", due);
  d.ours = absl::StrCat(manual);
  return d;
}

}  // namespace

const fake_l4::Quirks* PrefixProfile(absl::string_view recording) {
  if (absl::StartsWith(recording, "newmdb_")) return &fake_l4::kManualRightsNewMdb;
  if (absl::StartsWith(recording, "oldmdb_")) return &fake_l4::kManualRightsOldMdb;
  return nullptr;
}

Outcome RunPrefixes(const PrefixFile& file, const Recordings& recordings) {
  Outcome outcome;
  outcome.steps = file.Count();
  for (const Prefix& prefix : file.prefixes) {
    const auto it = recordings.find(prefix.recording);
    const fake_l4::Quirks* mixed = PrefixProfile(prefix.recording);
    CHECK(it != recordings.end());
    CHECK(mixed != nullptr);
    outcome.Count(Check(prefix, it->second, *mixed, &outcome.hash), nullptr);
  }
  return outcome;
}

}  // namespace conform
