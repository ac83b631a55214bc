#include "proptests/engine/probes.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proptests/engine/op_pairs.h"
#include "traces/op.h"

namespace proptests {
namespace {

using base::FaultCase;

struct ProbeText {
  const char* name;
  const char* meaning;
};
constexpr ProbeText kProbeTexts[] = {
#define PROBE_TEXT(name, meaning) {#name, meaning},
    BASE_PROBES(PROBE_TEXT)
#undef PROBE_TEXT
};

}  // namespace

const char* ProbeName(base::Probe probe) { return kProbeTexts[static_cast<size_t>(probe)].name; }
const char* ProbeMeaning(base::Probe probe) {
  return kProbeTexts[static_cast<size_t>(probe)].meaning;
}

std::string FaultCaseName(uint32_t cell) {
  static constexpr const char* kFrom[] = {"anon", "object", "zero"};
  static constexpr const char* kPage[] = {"resident", "absent", "lent",
                                          "busy",     "wired",  "swapped"};
  const FaultCase c = FaultCase::OfCell(cell);
  return absl::StrCat(kFrom[static_cast<size_t>(c.from)], c.shared ? " shared" : " private",
                      c.write ? " write " : " read ", kPage[static_cast<size_t>(c.page)],
                      c.owed_copy ? " owed" : "");
}

const char* WhyNoFault(uint32_t cell) {
  const FaultCase c = FaultCase::OfCell(cell);
  using From = FaultCase::From;
  using Page = FaultCase::Page;
  if (c.shared && c.owed_copy && c.from == From::kObject) {
    return "a shared mapping of an object has nothing above it to copy";
  }
  if (c.from == From::kZero && c.page != Page::kAbsent && c.page != Page::kWired) {
    return "there is no page yet";
  }
  if (c.from == From::kZero && c.page == Page::kWired && c.owed_copy) {
    return "wiring makes the copy that is owed before it faults pages in";
  }
  if (c.from == From::kZero && c.page == Page::kWired && c.write && !c.shared) {
    return "wiring brings pages in as reads, and a private one stays";
  }
  if (c.from == From::kAnon && c.page == Page::kAbsent) {
    return "an anonymous page that is not in memory is on swap";
  }
  if (c.page == Page::kBusy) {
    return "one operation runs at a time: only threads meet busy pages (uvm/map_threads_prop_test)";
  }
  return nullptr;
}

namespace {

// The pairs that could have been and were not.
std::string NeverText(const PairCounts& pairs) {
  std::string text;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto first = static_cast<traces::OpKind>(i / traces::kProgramKindCount);
    const auto then = static_cast<traces::OpKind>(i % traces::kProgramKindCount);
    if (pairs[i] == 0 && !CannotFollow(first, then)) {
      absl::StrAppend(&text, "  never         ", PairName(i), "\n");
    }
  }
  return text;
}

}  // namespace

std::string ProbesText(const RunStats& stats, EachProbe each) {
  uint32_t hit = 0;
  std::string lines;
  for (uint32_t i = 0; i < base::kProbeCount; ++i) {
    const auto probe = static_cast<base::Probe>(i);
    hit += stats.probes[i] != 0 ? 1 : 0;
    absl::StrAppendFormat(&lines, "  %12d  %-26s %s\n", stats.probes[i], ProbeName(probe),
                          ProbeMeaning(probe));
  }
  uint32_t cells = 0;
  uint32_t met = 0;
  for (uint32_t cell = 0; cell < FaultCase::kCells; ++cell) {
    const char* why = WhyNoFault(cell);
    const uint64_t count = stats.fault_cases[cell];
    cells += why == nullptr ? 1 : 0;
    met += why == nullptr && count != 0 ? 1 : 0;
    absl::StrAppendFormat(&lines, "  %12d  %-34s %s\n", count, FaultCaseName(cell),
                          why == nullptr ? "" : why);
  }
  return absl::StrCat("  probes  ", hit, " of ", base::kProbeCount, " hit, ", met, " of ", cells,
                      " cases of a fault\n", PairsText(stats.pairs),
                      each == EachProbe::kYes ? lines + NeverText(stats.pairs) : "");
}

}  // namespace proptests
