#include "fake_l4/exploration.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"

namespace fake_l4 {

namespace {

// Keeps the order of ids. They are few.
void InsertById(const Runnable* t, std::vector<const Runnable*>* threads) {
  threads->push_back(t);
  size_t at = threads->size() - 1;
  for (; at > 0 && (*threads)[at - 1]->id > t->id; at--) (*threads)[at] = (*threads)[at - 1];
  (*threads)[at] = t;
}

}  // namespace

// ---- ExploringStrategy ----

void ExploringStrategy::Add(Runnable& t, QueueEnd end) {
  default_.Add(t, end);
  Known& known = KnownOf(t);
  known.ready.at_all = step_;
  if (end == QueueEnd::kBack) known.ready.woken = step_;
  InsertById(&t, &queued_);
}

void ExploringStrategy::Remove(Runnable& t) {
  default_.Remove(t);
  queued_.erase(std::find(queued_.begin(), queued_.end(), &t));
  if (chosen_ == &t) chosen_ = nullptr;
  if (partner_ == &t) partner_ = nullptr;
}

bool ExploringStrategy::Preempts(const Runnable& woken, const Runnable& current) const {
  return default_.Preempts(woken, current);
}

bool ExploringStrategy::HandsOver(const Runnable& current, const Runnable& partner, HandOver why) {
  if (default_.HandsOver(current, partner, why)) partner_ = &partner;
  return false;
}

bool ExploringStrategy::Rotates(const Runnable& current) const { return default_.Rotates(current); }

void ExploringStrategy::Yields(const Runnable& current) { yielder_ = current.id; }

ExploringStrategy::Known& ExploringStrategy::FindKnown(const Runnable& t) {
  size_t at = 0;
  while (at < known_.size() && known_[at].thread != t.id) at++;
  if (at == known_.size()) known_.push_back({.thread = t.id});
  t.place = static_cast<uint32_t>(at);
  return known_[at];
}

ExploringStrategy::LastReady ExploringStrategy::LastReadyOf(uint64_t thread) const {
  for (const Known& known : known_) {
    if (known.thread == thread) return known.ready;
  }
  return {};
}

StepCounts ExploringStrategy::steps() const {
  StepCounts counts;
  for (const Known& known : known_) {
    if (known.steps != 0) counts.push_back({known.thread, known.steps});
  }
  std::sort(counts.begin(), counts.end());  // total order: ids differ
  return counts;
}

// In order of id. Of ready_, which is not empty.
const Runnable* ExploringStrategy::ChooseAndRecord(const Runnable* fallback) {
  if (options_.priorities == Priorities::kRespected) {
    uint8_t highest = 0;
    for (const Runnable* r : ready_) highest = std::max(highest, r->priority);
    std::erase_if(ready_,
                  [&](const Runnable* r) { return r->priority < highest && r != fallback; });
  }
  Step step{ready_, 0, kNone};
  for (size_t i = 0; i < ready_.size(); i++) {
    if (ready_[i] == fallback) step.fallback = i;
    if (ready_[i]->id == last_ && last_ != yielder_) step.current = i;
  }
  const size_t choice = Choose(step);
  CHECK(choice < ready_.size());
  const Runnable* chosen = ready_[choice];
  if (ready_.size() > 1) {
    const Decision d{decisions_.total++, static_cast<uint32_t>(ready_.size()), chosen->id};
    decisions_.hash = base::Chain(base::Chain(decisions_.hash, d.choices), d.thread);
    if (chosen != fallback) decisions_.deviations.push_back(d);
  }
  last_ = chosen->id;
  yielder_ = 0;
  last_steps_ = ++KnownOf(*chosen).steps;
  step_++;
  return chosen;
}

Runnable* ExploringStrategy::Take() {
  const Runnable* taken = std::exchange(chosen_, nullptr);
  if (taken == nullptr) {
    const Runnable* fallback = std::exchange(partner_, nullptr);
    if (fallback == nullptr) fallback = default_.Peek();
    if (fallback == nullptr) return nullptr;
    ready_ = queued_;
    if (yielder_ != fallback->id) {
      std::erase_if(ready_, [&](const Runnable* r) { return r->id == yielder_; });
    }
    taken = ChooseAndRecord(fallback);
  }
  Runnable* result = const_cast<Runnable*>(taken);
  Remove(*result);
  return result;
}

bool ExploringStrategy::Switches(SchedulePoint, const Runnable& current, uint64_t) {
  ready_ = queued_;
  KnownOf(current).ready.at_all = step_;
  InsertById(&current, &ready_);
  const Runnable* chosen = ChooseAndRecord(&current);
  if (chosen == &current) return false;
  chosen_ = chosen;
  return true;
}

// ---- Random ----

size_t RandomWalk::Choose(const Step& step) {
  if (step.ready.size() == 1) return 0;
  base::Prng stream = StepStream();
  return stream.Below(step.ready.size());
}

// ---- PCT ----

Pct::Pct(const ExplorationOptions& options, uint32_t depth, uint64_t steps)
    : ExploringStrategy(options),
      priorities_stream_(base::Prng::StreamOf(options.seed, "pct priority")) {
  CHECK(depth >= 1 && steps >= 1);
  base::Prng stream(seed(), "pct change points");
  while (change_points_.size() + 1 < depth && change_points_.size() < steps) {
    const uint64_t point = stream.Below(steps) + 1;
    const auto at = std::lower_bound(change_points_.begin(), change_points_.end(), point);
    if (at == change_points_.end() || *at != point) change_points_.insert(at, point);
  }
}

int64_t& Pct::PriorityOf(const Runnable& t) {
  Known& known = KnownOf(t);
  if (!known.has_value) {
    base::Prng stream(priorities_stream_, t.id);
    known.value = static_cast<int64_t>(stream.Next() >> 1);
    known.has_value = true;
  }
  return known.value;
}

size_t Pct::MostUrgent(const Step& step) {
  size_t best = 0;
  int64_t highest = PriorityOf(*step.ready[0]);
  for (size_t i = 1; i < step.ready.size(); i++) {
    const int64_t priority = PriorityOf(*step.ready[i]);
    if (priority <= highest) continue;
    highest = priority;
    best = i;
  }
  return best;
}

size_t Pct::Choose(const Step& step) {
  size_t best = MostUrgent(step);
  if (next_change_ < change_points_.size() && this->step() + 1 == change_points_[next_change_]) {
    next_change_++;
    PriorityOf(*step.ready[best]) = --lowest_;
    best = MostUrgent(step);
  }
  return best;
}

void Pct::Yields(const Runnable& current) {
  ExploringStrategy::Yields(current);
  // Else a thread that spins for a less urgent one would do so for ever.
  PriorityOf(current) = --lowest_;
}

// ---- Uniform random walk ----

UniformWalk::UniformWalk(const ExplorationOptions& options, StepCounts expected)
    : ExploringStrategy(options), expected_(std::move(expected)) {
  uint64_t sum = 0;
  for (const auto& [thread, count] : expected_) sum += count;
  if (!expected_.empty()) average_ = std::max<uint64_t>(sum / expected_.size(), 1);
}

uint64_t UniformWalk::Left(const Runnable& t) {
  Known& known = KnownOf(t);
  if (!known.has_value) {
    // Of all its steps.
    const auto at = std::find_if(expected_.begin(), expected_.end(),
                                 [&](const auto& expected) { return expected.first == t.id; });
    known.value = static_cast<int64_t>(at == expected_.end() ? average_ : at->second);
    known.has_value = true;
  }
  const auto all = static_cast<uint64_t>(known.value);
  return all > known.steps ? all - known.steps : 1;
}

size_t UniformWalk::Choose(const Step& step) {
  if (step.ready.size() == 1) return 0;
  uint64_t sum = 0;
  left_.clear();
  for (const Runnable* r : step.ready) {
    left_.push_back(Left(*r));
    sum += left_.back();
  }
  base::Prng stream = StepStream();
  uint64_t draw = stream.Below(sum);
  size_t i = 0;
  for (; draw >= left_[i]; i++) draw -= left_[i];
  return i;
}

// ---- Replay ----

ReplaySchedule::ReplaySchedule(const ExplorationOptions& options, DecisionList list)
    : ExploringStrategy(options), list_(std::move(list)) {}

size_t ReplaySchedule::Choose(const Step& step) {
  if (step.ready.size() == 1 || next_ == list_.deviations.size()) return step.fallback;
  const Decision& wanted = list_.deviations[next_];
  if (wanted.number != decisions().total) return step.fallback;
  next_++;
  size_t choice = step.fallback;
  bool found = false;
  for (size_t i = 0; i < step.ready.size() && !found; i++) {
    found = step.ready[i]->id == wanted.thread;
    if (found) choice = i;
  }
  if (!divergence_.has_value() && (!found || wanted.choices != step.ready.size())) {
    divergence_ = {
        wanted, {wanted.number, static_cast<uint32_t>(step.ready.size()), step.ready[choice]->id}};
  }
  return choice;
}

std::optional<Divergence> ReplaySchedule::divergence() const {
  if (divergence_.has_value() || next_ == list_.deviations.size()) return divergence_;
  return Divergence{list_.deviations[next_], {decisions().total, 0, 0}};
}

bool ReplaySchedule::exact() const { return !divergence().has_value() && decisions() == list_; }

std::string Divergence::Text() const {
  std::string text = absl::StrCat("decision ", expected.number, ": recorded thread 0x",
                                  absl::Hex(expected.thread), " of ", expected.choices);
  if (found.choices == 0) {
    absl::StrAppend(&text, "; the run ended after ", found.number, " decisions");
  } else {
    absl::StrAppend(&text, "; now 0x", absl::Hex(found.thread), " of ", found.choices);
  }
  return text;
}

}  // namespace fake_l4
