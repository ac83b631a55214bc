#include "proptests/engine/linearize.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/hash.h"
#include "fake_l4/rewind_area.h"
#include "traces/codec.h"

namespace proptests {

using fake_l4::RewindArea;
using traces::OpKind;

// A world that can be taken back. Where there are no areas it is made anew.
class Linearizer::Model {
 public:
  explicit Model(const model::World::Options& options) : options_(options) {
    if (RewindArea::IsAvailable()) area_ = std::make_unique<RewindArea>();
    Make();
    if (area_ != nullptr) area_->StartTracking();
  }
  ~Model() {
    if (area_ == nullptr) delete world_;
  }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  struct Point {
    RewindArea::Mark mark;
    std::vector<HistoryOp> done;  // where there are no areas
  };

  void Reset() {
    if (area_ != nullptr) return area_->StartAnew();
    settled_.clear();
    Rewind(Point());
  }
  // What is now is what an empty point goes back to.
  void Settle() {
    if (area_ != nullptr) return area_->Settle();
    settled_ = done_;
  }
  // Where a search saves what it may come back to; the memory serves one search after the other.
  Point* PointAt(size_t depth) {
    if (points_.size() <= depth) points_.resize(depth + 1);
    return &points_[depth];
  }
  void Save(Point* point) const {
    if (area_ != nullptr) return area_->Save(&point->mark);
    point->done = done_;
  }
  void Rewind(const Point& point) {
    if (area_ != nullptr) return area_->Rewind(point.mark);
    done_ = point.done.size() < settled_.size() ? settled_ : point.done;
    delete world_;
    Make();
    for (const HistoryOp& op : done_) world_->Adopt(op.op, op.outcome);
  }
  // Whether the outcome is right now; then it is adopted.
  bool Try(const HistoryOp& op) {
    if (op.cut_short) return Do(op.op);
    RewindArea::Inside inside(area_.get());
    model::Expectation right = world_->Expect(op.op);
    if (!right.Accepts(op.outcome)) return false;
    world_->Adopt(std::move(right), op.op, op.outcome);
    if (area_ == nullptr) done_.push_back(op);
    return true;
  }
  // The outcome that the model would choose, adopted. False: there is none, and nothing is done.
  bool Do(const traces::ResolvedOp& op) {
    traces::Outcome outcome;
    {
      RewindArea::Inside inside(area_.get());
      model::Expectation right = world_->Expect(op);
      outcome = right.Canonical();
      if (outcome.family == traces::Outcome::Family::kNone) return false;
      world_->Adopt(std::move(right), op, outcome);
    }
    if (area_ != nullptr) return true;
    HistoryOp done;
    done.op = op;
    done.outcome = outcome;
    done_.push_back(done);
    return true;
  }
  std::string WhyNot(const HistoryOp& op) const {
    std::string why;
    static_cast<void>(world_->Expect(op.op).Accepts(op.outcome, &why));
    return why;
  }
  uint64_t Hash() { return world_->StateHash(&content_hashes_); }

 private:
  void Make() {
    RewindArea::Inside inside(area_.get());
    world_ = new model::World(options_);
  }

  const model::World::Options options_;
  std::unique_ptr<RewindArea> area_;  // null: there are none
  model::World* world_ = nullptr;
  // Since the world was empty, where there are no areas.
  std::vector<HistoryOp> done_;
  std::vector<HistoryOp> settled_;
  model::World::ContentHashes content_hashes_;
  std::vector<Point> points_;
};

namespace {

// Which of the operations that may come next comes first.
enum class First : uint8_t { kLikely, kEnded };

// A history of which some operations are in order and the others are left.
class Progress {
 public:
  // The history outlives it.
  Progress(const std::vector<HistoryOp>* history, First first)
      : history_(*history),
        first_(first),
        by_beginning_(history->size()),
        place_(history->size()),
        done_(history->size()) {
    for (uint32_t i = 0; i < by_beginning_.size(); ++i) by_beginning_[i] = i;
    for (const HistoryOp& op : history_) left_ += op.cut_short ? 0 : 1;
    // total order: places in the history differ
    std::sort(by_beginning_.begin(), by_beginning_.end(), [&](uint32_t a, uint32_t b) {
      return history_[a].invoked != history_[b].invoked ? history_[a].invoked < history_[b].invoked
                                                        : a < b;
    });
    for (uint32_t at = 0; at < by_beginning_.size(); ++at) place_[by_beginning_[at]] = at;
  }

  const std::vector<uint32_t>& order() const { return order_; }
  bool IsDone(size_t op) const { return done_[op]; }
  // Nothing is left but what was cut short.
  bool complete() const { return left_ == 0; }

  void Add(uint32_t op) {
    done_[op] = true;
    order_.push_back(op);
    left_ -= history_[op].cut_short ? 0 : 1;
    while (first_left_ < by_beginning_.size() && done_[by_beginning_[first_left_]]) ++first_left_;
  }
  void RemoveLast() {
    const uint32_t op = order_.back();
    order_.pop_back();
    done_[op] = false;
    left_ += history_[op].cut_short ? 0 : 1;
    first_left_ = std::min(first_left_, size_t{place_[op]});
  }

  void Restart(First first) {
    while (!order_.empty()) RemoveLast();
    first_ = first;
  }

  // The operations that may come next: begun before any other that is left has ended.
  void Candidates(std::vector<uint32_t>* candidates) const {
    candidates->clear();
    uint64_t first_end = UINT64_MAX;
    for (size_t at = first_left_; at < by_beginning_.size(); ++at) {
      const uint32_t i = by_beginning_[at];
      if (done_[i]) continue;
      if (history_[i].invoked > first_end) break;
      first_end = std::min(first_end, history_[i].responded);
      candidates->push_back(i);
    }
    // total order: places in the history differ
    std::sort(candidates->begin(), candidates->end(), [&](uint32_t a, uint32_t b) {
      const HistoryOp& x = history_[a];
      const HistoryOp& y = history_[b];
      if (first_ == First::kLikely && x.likely_at != y.likely_at) return x.likely_at < y.likely_at;
      return x.responded != y.responded ? x.responded < y.responded : a < b;
    });
  }

 private:
  const std::vector<HistoryOp>& history_;
  First first_;
  std::vector<uint32_t> by_beginning_;
  std::vector<uint32_t> place_;  // of each operation in by_beginning_
  std::vector<bool> done_;
  std::vector<uint32_t> order_;
  size_t left_ = 0;        // of those that are not cut short
  size_t first_left_ = 0;  // in by_beginning_; all before are done
};

// Without looking back.
bool GoOn(Progress* progress, absl::FunctionRef<bool(uint32_t)> try_next) {
  std::vector<uint32_t> candidates;
  while (!progress->complete()) {
    progress->Candidates(&candidates);
    const auto next = std::find_if(candidates.begin(), candidates.end(), try_next);
    if (next == candidates.end()) return false;
    progress->Add(*next);
  }
  return true;
}

}  // namespace

bool InLikelyOrder(const std::vector<HistoryOp>& history,
                   absl::FunctionRef<bool(const HistoryOp&)> try_next) {
  Progress progress(&history, First::kLikely);
  return GoOn(&progress, [&](uint32_t i) { return try_next(history[i]); });
}

// One history. REQUIRES: the model is at its beginning.
class Linearizer::Search {
 public:
  // `commuting` as of CommutingPairs; empty: nobody knows.
  Search(Model* model, const std::vector<HistoryOp>* history, std::vector<uint64_t> commuting,
         const IsWanted& is_wanted)
      : model_(*model),
        is_wanted_(is_wanted),
        history_(*history),
        commuting_(std::move(commuting)),
        progress_(history, First::kEnded) {}

  Linearization Run() {
    // Nearly all histories have this order, or nearly it, or the likely one, with which the search
    // begins.
    found_.found = !is_wanted_ && GoOn(&progress_, [&](uint32_t i) { return TryNext(i); });
    if (!found_.found) {
      model_.Rewind(Model::Point());
      progress_.Restart(First::kLikely);
      found_.found = From(0, 0);
    }
    if (found_.found) found_.order = progress_.order();
    return std::move(found_);
  }

 private:
  bool TryNext(uint32_t candidate) {
    ++found_.steps;
    return model_.Try(history_[candidate]);
  }

  uint64_t StateHash() {
    uint64_t hash = model_.Hash();
    for (size_t i = 0; i < history_.size(); ++i) {
      hash = base::Chain(hash, progress_.IsDone(i) ? i + 1 : 0);
    }
    return hash;
  }

  void NoteLongest(const std::vector<uint32_t>& candidates) {
    const std::vector<uint32_t>& order = progress_.order();
    if (order.size() < found_.longest.size() || (order.empty() && !found_.why.empty())) return;
    if (order.size() == found_.longest.size() && !found_.why.empty()) return;
    found_.longest = order;
    found_.why.clear();
    for (uint32_t candidate : candidates) {
      absl::StrAppend(&found_.why, traces::FormatResolvedOp(history_[candidate].op), ": ",
                      model_.WhyNot(history_[candidate]), "\n");
    }
  }

  bool IsTheOne() {
    if (!is_wanted_) return true;
    return refused_.insert(model_.Hash()).second && is_wanted_(progress_.order());
  }

  // Whether the state was gone into already: with nothing asleep that is not asleep now. Else it is
  // noted that it will have been, when there is no order from it.
  bool IsKnownToFail(uint64_t state, uint64_t asleep) const {
    const auto known = failed_.find(state);
    return known != failed_.end() && (known->second & ~asleep) == 0;
  }
  void NoteFailed(uint64_t state, uint64_t asleep) {
    const auto [known, is_new] = failed_.try_emplace(state, asleep);
    if (!is_new) known->second &= asleep;
  }

  static uint64_t Bit(uint32_t op) { return op < 64 ? uint64_t{1} << op : 0; }

  // From where nothing is left to choose there is no need to come back. Most searches are over
  // before it would pay to remember states. Asleep are operations that need not come next: all
  // orders that begin with them were looked at elsewhere, the operations between being such that
  // either order of the two comes to the same (Godefroid's sleep sets).
  bool From(size_t depth, uint64_t asleep) {
    // More of what was cut short may have been done.
    if (progress_.complete() && IsTheOne()) return true;
    if (found_.steps > kMostSteps) {
      found_.gave_up = true;
      return false;
    }
    std::vector<uint32_t> candidates;
    progress_.Candidates(&candidates);
    const bool choice = candidates.size() > 1;
    const bool remembers = choice && (is_wanted_ || found_.steps > kStepsWithoutMemory);
    const uint64_t state = remembers ? StateHash() : 0;
    if (remembers && IsKnownToFail(state, asleep)) return false;
    const uint64_t asleep_before = asleep;
    if (choice) model_.Save(model_.PointAt(depth));
    bool any = false;
    for (uint32_t candidate : candidates) {
      if ((asleep & Bit(candidate)) != 0) {
        any = true;
        continue;
      }
      if (!TryNext(candidate)) continue;
      any = true;
      progress_.Add(candidate);
      if (From(depth + 1, commuting_.empty() ? 0 : asleep & commuting_[candidate])) return true;
      progress_.RemoveLast();
      if (choice) model_.Rewind(*model_.PointAt(depth));
      asleep |= Bit(candidate);
    }
    if (!any) NoteLongest(candidates);
    if (remembers && !found_.gave_up) NoteFailed(state, asleep_before);
    return false;
  }

  static constexpr uint64_t kStepsWithoutMemory = 120;
  static constexpr uint64_t kMostSteps = 100'000;

  Model& model_;
  const IsWanted& is_wanted_;
  absl::flat_hash_set<uint64_t> refused_;  // states of the model in the end that are not wanted
  const std::vector<HistoryOp>& history_;
  const std::vector<uint64_t> commuting_;
  Progress progress_;
  // States from which there is no order, and what was asleep there.
  absl::flat_hash_map<uint64_t, uint64_t> failed_;
  Linearization found_;
};

Linearizer::Linearizer(const model::World::Options& options)
    : options_(options), model_(std::make_unique<Model>(options)) {}
Linearizer::~Linearizer() = default;

void Linearizer::Begin(const std::vector<HistoryOp>& setup) {
  setup_ = setup;
  judged_.clear();
  next_judged_ = 0;
  model_->Reset();
  for (const HistoryOp& op : setup_) CHECK(model_->Try(op));
  model_->Settle();
}

Linearization Linearizer::CheckWhole(const std::vector<HistoryOp>& history,
                                     const IsWanted& is_wanted) {
  model_->Rewind(Model::Point());
  return Search(model_.get(), &history, CommutingPairs(setup_, history), is_wanted).Run();
}

namespace {

bool ForksIn(const std::vector<HistoryOp>& history) {
  return std::any_of(history.begin(), history.end(),
                     [](const HistoryOp& op) { return IsAboutAllPages(op.op.kind); });
}

// Whether calls that take contents and put them elsewhere, which is two steps, overlapped what
// changes one or the other.
bool MovesOverlapIn(const std::vector<HistoryOp>& history, const PageGroup& group) {
  std::vector<const HistoryOp*> changes;
  for (const HistoryOp& op : history) {
    const bool looks = op.op.kind == OpKind::kRead || op.op.kind == OpKind::kFetch;
    if (!looks && !CutTo(op, group).empty()) changes.push_back(&op);
  }
  for (const HistoryOp* move : changes) {
    if (!MovesContents(move->op.kind)) continue;
    for (const HistoryOp* change : changes) {
      if (change->thread != move->thread && change->invoked < move->responded &&
          move->invoked < change->responded) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace

bool Linearizer::CheckGroup(const std::vector<HistoryOp>& history, const PageGroup& group,
                            Verdict* verdict) {
  if (parts_ == nullptr) parts_ = std::make_unique<Model>(options_);
  parts_->Reset();
  for (const HistoryOp& op : setup_) {
    for (const HistoryOp& part : CutTo(op, group)) {
      if (!parts_->Try(part)) parts_->Do(part.op);
    }
  }
  parts_->Settle();
  std::vector<HistoryOp> parts;
  verdict->group_ops.clear();
  for (uint32_t i = 0; i < history.size(); ++i) {
    for (const HistoryOp& part : CutTo(history[i], group)) {
      parts.push_back(part);
      verdict->group_ops.push_back(i);
    }
  }
  verdict->of_group = Search(parts_.get(), &parts, CommutingPairs(setup_, parts), nullptr).Run();
  return verdict->of_group.found;
}

Verdict Linearizer::Check(const std::vector<HistoryOp>& history) {
  const Verdict verdict = Judge(history);
  if (verdict.whole.gave_up || verdict.atomicity == Atomicity::kNone) return verdict;
  CanonicalHistory canonical(history);
  if (canonical.ops.size() != history.size()) return verdict;
  std::vector<uint32_t> order(canonical.places.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[canonical.places[i]] = i;
  Judged judged{std::move(canonical.ops), verdict.atomicity, {}};
  for (const uint32_t op : verdict.whole.order) judged.order.push_back(order[op]);
  if (judged_.size() < kMostJudged) judged_.emplace_back();
  judged_[next_judged_] = std::move(judged);
  next_judged_ = (next_judged_ + 1) % kMostJudged;
  return verdict;
}

std::optional<Verdict> Linearizer::Known(const std::vector<HistoryOp>& history) const {
  if (judged_.empty()) return std::nullopt;
  const CanonicalHistory canonical(history);
  for (const Judged& judged : judged_) {
    if (judged.ops.empty() || judged.ops != canonical.ops) continue;
    Verdict verdict;
    verdict.atomicity = judged.atomicity;
    verdict.whole.found = judged.atomicity == Atomicity::kWhole;
    for (const uint32_t op : judged.order) verdict.whole.order.push_back(canonical.places[op]);
    return verdict;
  }
  return std::nullopt;
}

Verdict Linearizer::Judge(const std::vector<HistoryOp>& history) {
  Verdict verdict;
  verdict.whole = CheckWhole(history);
  if (verdict.whole.found) {
    verdict.atomicity = Atomicity::kWhole;
    return verdict;
  }
  const std::optional<std::vector<PageGroup>> groups = GroupsOf(setup_, history);
  if (!groups) {
    if (verdict.whole.gave_up) verdict.atomicity = Atomicity::kUnjudged;
    return verdict;
  }
  verdict.atomicity = Atomicity::kPageByPage;
  for (const PageGroup& group : *groups) {
    // Whatever a search would find: that it has no order would mean nothing.
    if (MovesOverlapIn(history, group)) {
      verdict.atomicity = Atomicity::kUnjudged;
      continue;
    }
    if (CheckGroup(history, group, &verdict)) continue;
    const bool torn_fork = group.size() > 1 && ForksIn(history);
    if (verdict.of_group.gave_up || torn_fork) {
      verdict.atomicity = Atomicity::kUnjudged;
      continue;
    }
    verdict.group = group;
    verdict.atomicity = Atomicity::kNone;
    return verdict;
  }
  return verdict;
}

bool Linearizer::MovesOverlap(const std::vector<HistoryOp>& history) const {
  const std::optional<std::vector<PageGroup>> groups = GroupsOf(setup_, history);
  return !groups || std::any_of(groups->begin(), groups->end(), [&](const PageGroup& group) {
    return MovesOverlapIn(history, group);
  });
}

// ---- The picture ----

std::string HistoryText(const std::vector<HistoryOp>& history) {
  constexpr size_t kWidth = 36;
  struct Event {
    uint64_t time;
    uint32_t op;
    bool begins;
  };
  std::vector<Event> events;
  uint32_t threads = 0;
  for (uint32_t i = 0; i < history.size(); ++i) {
    events.push_back({history[i].invoked, i, true});
    const bool ended = history[i].responded != 0 && !history[i].cut_short;
    if (ended) events.push_back({history[i].responded, i, false});
    threads = std::max(threads, history[i].thread + 1);
  }
  // total order: times differ
  std::sort(events.begin(), events.end(),
            [](const Event& a, const Event& b) { return a.time < b.time; });
  std::string text = "      ";
  for (uint32_t t = 0; t < threads; ++t) {
    absl::StrAppend(&text, absl::StrFormat("%-*s", kWidth, absl::StrCat("thread ", t + 1)));
  }
  text.erase(text.find_last_not_of(' ') + 1);
  text += "\n";
  std::vector<bool> busy(threads);
  uint64_t line = 0;
  for (const Event& event : events) {
    const HistoryOp& op = history[event.op];
    std::string row = absl::StrFormat("%4d  ", ++line);
    for (uint32_t t = 0; t < threads; ++t) {
      std::string cell = busy[t] ? "|" : "";
      if (t == op.thread && event.begins) {
        cell = absl::StrCat("[ ", traces::FormatResolvedOp(op.op));
      } else if (t == op.thread) {
        cell = absl::StrCat("] ", traces::FormatOutcome(op.op.kind, op.outcome));
      }
      absl::StrAppend(&row, absl::StrFormat("%-*s", kWidth, cell));
      if (cell.size() >= kWidth) row += " ";
    }
    busy[op.thread] = event.begins;
    row.erase(row.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, row, "\n");
  }
  return text;
}

}  // namespace proptests
