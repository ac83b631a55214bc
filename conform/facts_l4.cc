#include "conform/facts_l4.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/hash.h"
#include "conform/differences.h"
#include "conform/facts_bench.h"
#include "conform/facts_scenarios.h"

namespace conform {

namespace {

constexpr uint32_t kErrorFlag = 1u << 15, kPropagatedFlag = 1u << 12;
// A time slice of 10 ms of which nothing is used, as the recorded kernel writes it.
constexpr uint32_t kWholeSlice = 0x27100000;
constexpr uint32_t kSizeAndRights = 0x3ff;
constexpr uint32_t kAnyBase = ~uint32_t{0x3ff};

constexpr std::array kFieldTable = {
    FieldRule{"fact of an Ipc", "tag", Compared::kYes, "whole, the flags included"},
    FieldRule{"fact of an Ipc", "blocked", Compared::kYes, "whether the call came back"},
    FieldRule{"fact of an Ipc", "err", Compared::kYes,
              "where the tag has E; without it the register is stale"},
    FieldRule{"fact of an Ipc", "from", Compared::kYes,
              "after a receive phase that succeeded; without one the register is untouched "
              "(eeeeeeee), after one that failed it holds what the kernel left (0, or an address "
              "of its own)"},
    FieldRule{"fact of an Ipc", "act", Compared::kYes,
              "where a propagated message was received; else the register holds what the thread "
              "itself put there"},
    FieldRule{"fact of an Ipc", "mr", Compared::kYes,
              "of the message that was received, after an overflow its untyped words; the others "
              "are stale: the manual leaves them undefined, and checked builds overwrite them"},
    FieldRule{"fact of a call", "r0", Compared::kYes, "the result"},
    FieldRule{"fact of a call", "err", Compared::kYes,
              "where the result is 0; without a failure the register is stale"},
    FieldRule{"fact of ExchangeRegisters", "r1", Compared::kYes,
              "the old control word, where the call succeeded"},
    FieldRule{"fact of ExchangeRegisters", "r2", Compared::kNo,
              "SP: of the recorded program's stack"},
    FieldRule{"fact of ExchangeRegisters", "r3", Compared::kNo,
              "IP: of the recorded program's and kernel's code"},
    FieldRule{"fact of ExchangeRegisters", "r4", Compared::kNo, "FLAGS: of the recorded processor"},
    FieldRule{"fact of ExchangeRegisters", "r5", Compared::kYes,
              "the user-defined handle, where the call succeeded"},
    FieldRule{"fact of ExchangeRegisters", "r6", Compared::kYes,
              "the pager, where the call succeeded"},
    FieldRule{"fact of SpaceControl", "r1", Compared::kYes, "the old control word"},
    FieldRule{
        "fact of Schedule", "r1, tc", Compared::kYes,
        "the time control word, where it is a whole slice (27100000); what is left of a slice "
        "in use depends on how long the thread ran"},
    FieldRule{"fact of unmap_root", "fpage", Compared::kYes, "whole, the status bits included"},
    FieldRule{"fact of sigma0_request", "tag", Compared::kYes, "whole"},
    FieldRule{"fact of sigma0_request", "err", Compared::kYes, "where the tag has E"},
    FieldRule{"fact of sigma0_request", "w0, fpage", Compared::kYes,
              "whole; where any region was asked for, size, rights and item type, since sigma0 "
              "chooses the place, and the two places must be equal"},
};

constexpr std::array kExceptions = {
    FactException{"procctl_unprivileged", "err",
                  "the recorded kernel answers 0 to everybody and sets no error code: the register "
                  "is stale"},
    FactException{"flags_rXE_on_send", "err",
                  "the sender set E itself and the IPC succeeded: the register is stale"},
};

std::string Word(uint32_t word) { return absl::StrCat(absl::Hex(word)); }

bool IsException(absl::string_view scenario, absl::string_view field) {
  return std::any_of(kExceptions.begin(), kExceptions.end(), [&](const FactException& e) {
    return e.scenario == scenario && e.field == field;
  });
}

// Compares field by field; the first difference is kept.
class FactComparison {
 public:
  explicit FactComparison(const Fact& recorded) : recorded_(recorded) {}
  std::optional<Difference> Run(const FactValue& ours) {
    if (recorded_.value.index() != ours.index()) {
      const bool blocked = std::holds_alternative<BlockedFact>(recorded_.value) ||
                           std::holds_alternative<BlockedFact>(ours);
      Differ(blocked ? "blocked" : "kind", ToString(recorded_.value), ToString(ours));
    } else if (const auto* f = std::get_if<IpcFact>(&recorded_.value)) {
      Ipc(*f, std::get<IpcFact>(ours));
    } else if (const auto* f = std::get_if<CallFact>(&recorded_.value)) {
      Call(*f, std::get<CallFact>(ours));
    } else if (const auto* f = std::get_if<ScheduleFact>(&recorded_.value)) {
      const auto& o = std::get<ScheduleFact>(ours);
      Field("r0", f->state, o.state);
      TimeControl(f->time_control, o.time_control);
      if (f->state == 0) Field("err", f->error, o.error);
    } else if (const auto* f = std::get_if<UnmapFact>(&recorded_.value)) {
      Field("fpage", f->fpage, std::get<UnmapFact>(ours).fpage);
    } else if (const auto* f = std::get_if<Sigma0Fact>(&recorded_.value)) {
      Sigma0(*f, std::get<Sigma0Fact>(ours));
    }
    return std::move(difference_);
  }

 private:
  void Differ(const char* field, const std::string& recorded, const std::string& ours) {
    if (difference_.has_value() || IsException(recorded_.scenario, field)) return;
    difference_ = Difference{.line = recorded_.line,
                             .step = Title(recorded_),
                             .field = field,
                             .where = "",
                             .recorded = recorded,
                             .ours = ours};
  }
  void Field(const char* field, uint32_t recorded, uint32_t ours) {
    if (recorded != ours) Differ(field, Word(recorded), Word(ours));
  }
  bool Is(absl::string_view prefix) const { return absl::StartsWith(recorded_.scenario, prefix); }

  void Ipc(const IpcFact& r, const IpcFact& o) {
    constexpr uint32_t kReceivePhase = 1, kReason = 7 << 1, kOverflow = 4 << 1;
    const bool failed = (r.tag & kErrorFlag) != 0;
    Field("tag", r.tag, o.tag);
    if (failed) Field("err", r.error, o.error);
    if (r.from == kUntouchedFrom) return;
    const uint32_t untyped = r.tag & 63, typed = r.tag >> 6 & 63;
    const bool overflow =
        failed && (r.error & kReceivePhase) != 0 && (r.error & kReason) == kOverflow;
    if (failed && !overflow) return;
    Field("from", r.from, o.from);
    if ((r.tag & kPropagatedFlag) != 0) Field("act", r.actual_sender, o.actual_sender);
    const size_t words = std::min<size_t>(overflow ? untyped : untyped + typed, kFactRegisters);
    static constexpr const char* kNames[kFactRegisters] = {"mr1", "mr2", "mr3", "mr4"};
    for (size_t i = 0; i < words; i++) Field(kNames[i], r.mr[i], o.mr[i]);
  }

  void Call(const CallFact& r, const CallFact& o) {
    Field("r0", r.results[0], o.results[0]);
    if (r.results[0] == 0) return Field("err", r.error, o.error);
    if (Is("exregs_") || Is("sc_")) Field("r1", r.results[1], o.results[1]);
    if (Is("schedule_")) TimeControl(r.results[1], o.results[1]);
    if (!Is("exregs_")) return;
    Field("r5", r.results[5], o.results[5]);
    Field("r6", r.results[6], o.results[6]);
  }

  void TimeControl(uint32_t recorded, uint32_t ours) {
    if (recorded == kWholeSlice) Field("r1, tc", recorded, ours);
  }

  void Sigma0(const Sigma0Fact& r, const Sigma0Fact& o) {
    Field("tag", r.tag, o.tag);
    if ((r.tag & kErrorFlag) != 0) return Field("err", r.error, o.error);
    const bool any = absl::EndsWith(recorded_.scenario, "_fffffcc0") ||
                     absl::EndsWith(recorded_.scenario, "_fffffd60");
    if (!any) {
      Field("w0", r.item, o.item);
      return Field("fpage", r.fpage, o.fpage);
    }
    Field("w0", r.item & kSizeAndRights, o.item & kSizeAndRights);
    Field("fpage", r.fpage & kSizeAndRights, o.fpage & kSizeAndRights);
    // Idempotent: the place is the same on both sides.
    Field("fpage", o.item & kAnyBase, o.fpage & kAnyBase);
  }

  const Fact& recorded_;
  std::optional<Difference> difference_;
};

// What the threads of every story that the file needs saw, by title.
using Observations = std::map<std::string, Observation>;

Observations RunStories(const FactFile& file, const fake_l4::Quirks& quirks, Outcome* outcome) {
  std::set<absl::string_view> wanted;
  for (const Fact& fact : file.facts) wanted.insert(fact.scenario);
  Observations seen;
  for (const Story& story : AllStories()) {
    const std::vector<absl::string_view> scenarios = absl::StrSplit(story.scenarios, ' ');
    if (std::none_of(scenarios.begin(), scenarios.end(),
                     [&](absl::string_view s) { return wanted.count(s) != 0; })) {
      continue;
    }
    FactsBench bench(file.machine, quirks);
    story.run(bench);
    AddLedger(bench.ledger(), &outcome->ledger);
    for (const Observation& o : bench.observations()) seen.emplace(Title(o.fact), o);
  }
  return seen;
}

}  // namespace

absl::Span<const FieldRule> FactFieldTable() { return kFieldTable; }
absl::Span<const FactException> FactExceptions() { return kExceptions; }

std::optional<Difference> CompareFact(const Fact& recorded, const FactValue& ours) {
  return FactComparison(recorded).Run(ours);
}

Outcome RunFacts(const FactFile& file, const fake_l4::Quirks& quirks) {
  Outcome outcome;
  outcome.steps = file.Count();
  const Observations seen = RunStories(file, quirks, &outcome);
  for (const Fact& fact : file.facts) {
    const auto it = seen.find(Title(fact));
    std::optional<Difference> d;
    if (it == seen.end()) {
      d = Difference{fact.line, Title(fact), "scenario", "", ToString(fact.value), "none"};
    } else if (!it->second.problem.empty()) {
      d = Difference{fact.line, Title(fact),          "progress",
                     "",        ToString(fact.value), it->second.problem};
    } else {
      d = CompareFact(fact, it->second.fact.value);
      const std::string text = ToString(it->second.fact.value);
      outcome.hash = base::Chain(outcome.hash, base::HashText(text.c_str()));
    }
    outcome.Count(d, NamedFactDifference(fact.scenario, quirks.name));
  }
  return outcome;
}

}  // namespace conform
