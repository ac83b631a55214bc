// model/expectation.cc: whether an outcome is among the right ones (class Expectation).

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/world.h"
#include "traces/codec.h"

namespace model {

using traces::Outcome;

namespace {

std::string HexText(uint64_t value) { return absl::StrCat("0x", absl::Hex(value)); }

}  // namespace

bool Expectation::IsShortage(const Outcome& seen) const {
  if (!parts_.memory_may_run_out || parts_.step.shortage_code == 0 ||
      seen.code != parts_.step.shortage_code)
    return false;
  if (seen.size != 0 || seen.region != traces::RegionInfo()) return false;
  if (seen.family != Outcome::Family::kFault) return seen.value == 0;
  // Pages are accessed in ascending order, each wholly or not at all.
  // Nor does anybody get as far as a page that turns out to be missing.
  const bool missing =
      parts_.step.missing_code != 0 && parts_.step.outcome.code == parts_.step.missing_code;
  return seen.value >= parts_.step.start &&
         (seen.value < parts_.step.end || (missing && seen.value == parts_.step.end)) &&
         (seen.value == parts_.step.start || base::IsPageAligned(seen.value));
}

// Memory that runs out after something was moved makes the number smaller.
bool Expectation::IsShortCount(const Outcome& seen) const {
  if (!parts_.memory_may_run_out || !parts_.step.counted || !seen.ok()) return false;
  Outcome count;
  count.family = seen.family;
  count.value = seen.value;
  return seen == count && seen.value >= 1 && seen.value <= parts_.step.size;
}

bool Expectation::MayFailWith(const Outcome& seen) const {
  const std::vector<int32_t>& errors = parts_.step.may_fail_with;
  Outcome error;
  error.family = seen.family;
  error.code = seen.code;
  return seen == error && std::find(errors.begin(), errors.end(), seen.code) != errors.end();
}

bool Expectation::IsRefusal(const Outcome& seen) const {
  if (parts_.step.refusal_code == 0 || seen.code != parts_.step.refusal_code) return false;
  Outcome refused;
  refused.family = seen.family;
  refused.code = seen.code;
  return seen == refused;
}

bool Expectation::IsMissing(const Outcome& seen) const {
  const Step& step = parts_.step;
  if (step.missing_code == 0 || seen.code != step.missing_code) return false;
  Outcome missing;
  missing.family = seen.family;
  missing.code = seen.code;
  if (seen.family == Outcome::Family::kFault) {
    const std::vector<uint64_t>& at = step.may_fail_at;
    if (std::find(at.begin(), at.end(), seen.value) == at.end()) return false;
    missing.value = seen.value;
  }
  return seen == missing;
}

bool Expectation::AcceptsChoice(const Outcome& seen) const {
  Outcome canonical = parts_.step.outcome;
  switch (parts_.step.freedom) {
    case Step::Freedom::kNone:
      if (parts_.any_read_value || !parts_.read_values.empty()) {
        bool known = std::find(parts_.read_values.begin(), parts_.read_values.end(), seen.value) !=
                     parts_.read_values.end();
        canonical.value = seen.value;
        return seen == canonical && (parts_.any_read_value || known);
      }
      return seen == canonical;
    case Step::Freedom::kAddress: {
      uint64_t start = seen.value - parts_.step.page_offset;
      canonical.value = seen.value;
      return seen == canonical && base::IsPageAligned(start) && (start & parts_.step.mask) == 0 &&
             parts_.space->Contains(start, parts_.step.free_size) &&
             parts_.space->NoneMapped(start, start + parts_.step.free_size);
    }
    case Step::Freedom::kCount:
      canonical.value = seen.value;
      return seen == canonical && parts_.step.size <= seen.value &&
             seen.value <= parts_.step.new_size;
    case Step::Freedom::kRegion: {
      uint64_t end = seen.value + seen.size;
      canonical.value = seen.value;
      canonical.size = seen.size;
      return seen == canonical && base::IsPageAligned(seen.value) &&
             base::IsPageAligned(seen.size) && seen.value >= parts_.step.start &&
             seen.value <= parts_.step.to && seen.value < end && end <= parts_.step.end &&
             parts_.step.to < end;
    }
  }
  return false;
}

bool Expectation::OnlyByShortage(const Outcome& seen) const {
  if (!IsShortage(seen) && !IsShortCount(seen)) return false;
  return !AcceptsChoice(seen) && !IsRefusal(seen) && !IsMissing(seen) && !MayFailWith(seen);
}

bool Expectation::Accepts(const Outcome& seen, std::string* why) const {
  if (seen.family == parts_.step.outcome.family &&
      (AcceptsChoice(seen) || IsShortage(seen) || IsRefusal(seen) || IsMissing(seen) ||
       IsShortCount(seen) || MayFailWith(seen)))
    return true;
  if (why != nullptr) {
    *why =
        absl::StrCat("expected ", Describe(), ", saw ", traces::FormatOutcome(parts_.kind, seen));
  }
  return false;
}

std::string Expectation::Describe() const {
  std::string text = traces::FormatOutcome(parts_.kind, parts_.step.outcome);
  if (parts_.step.freedom == Step::Freedom::kAddress) {
    text = absl::StrCat("the address of ", HexText(parts_.step.free_size), " free bytes in [",
                        HexText(parts_.space->min()), ",", HexText(parts_.space->max()), ")");
    if (parts_.step.mask != 0)
      absl::StrAppend(&text, " without bits of ", HexText(parts_.step.mask));
    if (parts_.step.page_offset != 0)
      absl::StrAppend(&text, " plus ", HexText(parts_.step.page_offset));
  }
  if (parts_.step.freedom == Step::Freedom::kCount) {
    text = absl::StrCat(parts_.step.size, " to ", parts_.step.new_size, " pages");
  }
  if (parts_.step.freedom == Step::Freedom::kRegion) {
    absl::StrAppend(&text, parts_.step.to == parts_.step.start
                               ? " or a part from its start"
                               : absl::StrCat(" or a part around ", HexText(parts_.step.to)));
  }
  for (size_t i = 1; i < parts_.read_values.size(); ++i) {
    Outcome other = parts_.step.outcome;
    other.value = parts_.read_values[i];
    absl::StrAppend(&text, " or ", traces::FormatOutcome(parts_.kind, other));
  }
  if (parts_.any_read_value) text = "any value";
  const bool fault = parts_.step.outcome.family == Outcome::Family::kFault;
  if (parts_.step.missing_code != 0 && (!fault || !parts_.step.may_fail_at.empty())) {
    Outcome missing;
    missing.family = parts_.step.outcome.family;
    missing.code = parts_.step.missing_code;
    if (fault) missing.value = parts_.step.may_fail_at.front();
    absl::StrAppend(&text, " or ", traces::FormatOutcome(parts_.kind, missing));
  }
  if (parts_.memory_may_run_out && parts_.step.shortage_code != 0) {
    Outcome shortage;
    shortage.family = parts_.step.outcome.family;
    shortage.code = parts_.step.shortage_code;
    shortage.value = parts_.step.start;
    absl::StrAppend(&text, " or ", traces::FormatOutcome(parts_.kind, shortage));
  }
  return text;
}

}  // namespace model
