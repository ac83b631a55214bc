#include "conform/l4.h"

#include <array>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/hash.h"
#include "conform/differences.h"
#include "conform/l4_bench.h"

namespace conform {

namespace {

constexpr uint32_t kStatusBits = 7;

constexpr std::array kFieldTable = {
    FieldRule{"seq", "number", Compared::kNo, "a name"},
    FieldRule{"seq", "seed", Compared::kNo,
              "of the recorder's generator; nothing is generated here"},
    FieldRule{"op", "all", Compared::kNo, "input"},
    FieldRule{"ret of ipc", "stag", Compared::kYes, "the sender's tag, the E flag included"},
    FieldRule{"ret of ipc", "serr", Compared::kYes, "the sender's error code, 0 without E"},
    FieldRule{"ret of ipc", "rtag", Compared::kYes, "the receiver's tag"},
    FieldRule{"ret of ipc", "rerr", Compared::kYes, "the receiver's error code, 0 without E"},
    FieldRule{"ret of ipc", "mr", Compared::kYes, "each register; 0: not transferred"},
    FieldRule{"ret of unmap", "fp", Compared::kYes, "base and size of each fpage"},
    FieldRule{"ret of unmap", "status", Compared::kYes, "rwx of each fpage"},
    FieldRule{"ret of touch", "ok", Compared::kYes, "whether the access faulted"},
    FieldRule{"ret of touch", "frame", Compared::kYes, "what a load saw"},
    FieldRule{"ret of touch", "fault", Compared::kYes, "access bits of the fault message"},
    FieldRule{"st", "access", Compared::kYes, "of each page: mapped is readable; w"},
    FieldRule{"st", "frame", Compared::kYes, "of each page"},
    FieldRule{"ev", "kdb", Compared::kYes,
              "how often, under a profile of that kernel; the manual's kernel has no debugger"},
};

std::string Word(uint32_t word) { return absl::StrCat(absl::Hex(word, absl::kZeroPad8)); }

// Compares field by field; the first difference is kept.
class Comparison {
 public:
  bool equal() const { return !difference_.has_value(); }
  std::optional<Difference> difference() const { return difference_; }

  void Field(absl::string_view field, const std::string& where, const std::string& recorded,
             const std::string& ours) {
    if (!equal() || recorded == ours) return;
    difference_ = Difference{.line = 0,
                             .step = "",
                             .field = std::string(field),
                             .where = where,
                             .recorded = recorded,
                             .ours = ours};
  }
  void Returns(const Return& recorded, const Return& ours) {
    if (const auto* ipc = std::get_if<IpcReturn>(&recorded)) {
      Ipc(*ipc, std::get<IpcReturn>(ours));
    } else if (const auto* unmap = std::get_if<UnmapReturn>(&recorded)) {
      Unmap(*unmap, std::get<UnmapReturn>(ours));
    } else {
      Touch(std::get<TouchReturn>(recorded), std::get<TouchReturn>(ours));
    }
  }
  void States(const Recording& recording, const State& recorded, const State& ours) {
    const size_t probes = recording.probes.size();
    for (size_t i = 0; i < recorded.size() && equal(); i++) {
      if (recorded[i] == ours[i]) continue;
      const char* field = recorded[i].access == ours[i].access ? "frame" : "access";
      Field(field, absl::StrCat("space ", i / probes, " page ", recording.probes[i % probes]),
            ToString(recorded[i]), ToString(ours[i]));
    }
  }

 private:
  void Ipc(const IpcReturn& recorded, const IpcReturn& ours) {
    Field("stag", "", Word(recorded.sender_tag), Word(ours.sender_tag));
    Field("serr", "", Word(recorded.sender_error), Word(ours.sender_error));
    Field("rtag", "", Word(recorded.receiver_tag), Word(ours.receiver_tag));
    Field("rerr", "", Word(recorded.receiver_error), Word(ours.receiver_error));
    for (size_t i = 0; i < recorded.registers.size(); i++) {
      Field("mr", absl::StrCat("MR", i + 1), Word(recorded.registers[i]), Word(ours.registers[i]));
    }
  }
  void Unmap(const UnmapReturn& recorded, const UnmapReturn& ours) {
    for (size_t i = 0; i < recorded.fpages.size(); i++) {
      const std::string where = absl::StrCat("MR", i);
      Field("fp", where, Word(recorded.fpages[i] & ~kStatusBits),
            Word(ours.fpages[i] & ~kStatusBits));
      Field("status", where, absl::StrCat(recorded.fpages[i] & kStatusBits),
            absl::StrCat(ours.fpages[i] & kStatusBits));
    }
  }
  void Touch(const TouchReturn& recorded, const TouchReturn& ours) {
    Field("ok", "", recorded.ok ? "ok" : "fault", ours.ok ? "ok" : "fault");
    Field("frame", "", absl::StrCat(recorded.frame.value_or(0)),
          absl::StrCat(ours.frame.value_or(0)));
    Field("fault", "", absl::StrCat(recorded.fault), absl::StrCat(ours.fault));
  }

  std::optional<Difference> difference_;
};

// What the simulated kernel's state adds to the hash of a run: every probed page of every space.
uint64_t Chained(uint64_t hash, const State& state) {
  for (const PageState& page : state) {
    hash = base::Chain(hash, static_cast<uint64_t>(page.access) << 32 | page.frame);
  }
  return hash;
}

// One sequence on one bench.
class Run {
 public:
  Run(const Recording& recording, const Sequence& sequence, Scope scope,
      const fake_l4::Quirks& quirks)
      : recording_(recording),
        sequence_(sequence),
        scope_(scope),
        imitates_kernel_(!quirks.manual()),
        bench_(recording, quirks) {}

  // Step 0 is the reset state.
  std::optional<Difference> Reset() {
    Comparison comparison;
    if (!bench_.problem().empty()) {
      comparison.Field("progress", "", "ready", bench_.problem());
    } else {
      CompareState(sequence_.initial, &comparison);
    }
    return Located(comparison, nullptr);
  }

  std::optional<Difference> Do(const Step& step) {
    Comparison comparison;
    Return ours;
    const uint64_t entries_before = ledger().kernel_debugger_entries;
    if (!bench_.Apply(step.op, &ours)) {
      comparison.Field("progress", "", "done", bench_.problem());
      return Located(comparison, &step);
    }
    if (scope_ == Scope::kAll) comparison.Returns(step.result, ours);
    CompareState(step.after, &comparison);
    if (scope_ == Scope::kAll && imitates_kernel_) {
      comparison.Field("kdb", "", absl::StrCat(step.debugger_entries),
                       absl::StrCat(ledger().kernel_debugger_entries - entries_before));
    }
    return Located(comparison, &step);
  }

  uint64_t hash() const { return hash_; }
  fake_l4::Ledger ledger() const { return bench_.ledger(); }

 private:
  void CompareState(const State& recorded, Comparison* comparison) {
    const State ours = bench_.Observe();
    hash_ = Chained(hash_, ours);
    comparison->States(recording_, recorded, ours);
  }
  std::optional<Difference> Located(const Comparison& comparison, const Step* step) const {
    std::optional<Difference> d = comparison.difference();
    if (!d.has_value()) return d;
    d->line = step == nullptr ? sequence_.line : step->line;
    d->step =
        absl::StrCat("sequence ", sequence_.number, " op ", step == nullptr ? 0 : step->number,
                     " (", step == nullptr ? "reset" : ToString(step->op), ")");
    return d;
  }

  const Recording& recording_;
  const Sequence& sequence_;
  const Scope scope_;
  const bool imitates_kernel_;
  L4Bench bench_;
  uint64_t hash_ = 0;
};

void AddTo(const SequenceResult& result, const Run& run, Outcome* totals) {
  totals->steps += result.steps;
  totals->agree += result.agree;
  totals->after_difference += result.after_difference;
  if (result.difference.has_value()) totals->Count(result.difference, result.name);
  // A wrong reset state of a sequence without operations fails, but is no step.
  if (result.difference.has_value() && result.steps == 0) totals->disagreements--;
  totals->hash = base::Chain(totals->hash, result.agree);
  totals->hash = base::Chain(totals->hash, run.hash());
  AddLedger(run.ledger(), &totals->ledger);
}

}  // namespace

absl::Span<const FieldRule> FieldTable() { return kFieldTable; }

SequenceResult RunSequence(const Recording& recording, const Sequence& sequence,
                           const fake_l4::Quirks& quirks, Scope scope, Outcome* totals) {
  SequenceResult result;
  result.steps = sequence.steps.size();
  Run run(recording, sequence, scope, quirks);
  result.difference = run.Reset();
  for (const Step& step : sequence.steps) {
    if (!result.difference.has_value()) {
      result.at = step.number;
      result.difference = run.Do(step);
    }
    if (result.difference.has_value()) {
      // A wrong reset state is a disagreement of the first step.
      result.after_difference = result.steps - result.agree - 1;
      break;
    }
    result.agree++;
  }
  if (result.difference.has_value()) {
    const Place place = {NameOf(recording.file), sequence.number, result.at};
    result.name = NamedStepDifference(place, quirks.name);
  }
  if (totals != nullptr) AddTo(result, run, totals);
  return result;
}

Outcome RunRecording(const Recording& recording, const fake_l4::Quirks& quirks, Scope scope) {
  Outcome totals;
  for (const Sequence& sequence : recording.sequences) {
    (void)RunSequence(recording, sequence, quirks, scope, &totals);
  }
  return totals;
}

std::vector<State> PageStates(const Recording& recording, const Sequence& sequence,
                              const fake_l4::Quirks& quirks) {
  std::vector<State> states;
  L4Bench bench(recording, quirks);
  for (const Step& step : sequence.steps) {
    Return unused;
    if (!bench.problem().empty() || !bench.Apply(step.op, &unused)) break;
    states.push_back(bench.Observe());
  }
  return states;
}

}  // namespace conform
