// proptests/engine/linearize.h: could operations that overlapped have happened one after the other?
//
// WHAT     A history says of each operation when it began and ended, and what came of it. It is
//          linearizable when there is an order of all operations that keeps "ended before the other
//          began", in which the model allows every outcome (Herlihy and Wing). The search is Wing
//          and Gong's with Lowe's memory of states: depth first over the operations that may come
//          next, the model taken back to where it was (fake_l4/rewind_area.h), and a state that was
//          reached with the same operations done is not gone into again.
//          Calls on several pages are atomic for each page only (design D8). So when the whole
//          history has no order that can be found within a bound, each group of pages by itself is
//          asked (history_cut.h): nearly always one page, several where contents were moved.
//              whole         there is one order for everything
//              page by page  there is one for each group, but none for all
//              unjudged      a group of several pages has none, but its calls need not be one step:
//                            contents are taken before they are put elsewhere, and what changed
//                            either meanwhile may come between; a fork is a step for each page
//              neither       a failure, with the group that has none
// SEE      facts/verification.md section 2.3; model/world.h; explore.h.

#ifndef PROPTESTS_ENGINE_LINEARIZE_H_
#define PROPTESTS_ENGINE_LINEARIZE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "model/world.h"
#include "proptests/engine/history_cut.h"
#include "traces/op.h"

namespace proptests {

struct Linearization {
  bool found = false;
  bool gave_up = false;         // after as many steps as were allowed
  std::vector<uint32_t> order;  // when found: of all that were done, and some cut short
  uint64_t steps = 0;           // operations tried on the model
  // When not found: as many operations as can be done in some order, and why none of the next can.
  std::vector<uint32_t> longest;
  std::string why;
};

enum class Atomicity : uint8_t { kWhole, kPageByPage, kUnjudged, kNone };

struct Verdict {
  Atomicity atomicity = Atomicity::kNone;
  Linearization whole;
  // With kNone, for a history that can be cut: the pages, and their operations by their places in
  // the history.
  PageGroup group;
  Linearization of_group;
  std::vector<uint32_t> group_ops;
};

// Whether all operations can be done in the order in which they probably took effect, or nearly: of
// those that may come next, always the first that `try_next` does; where nobody says when they took
// effect, the first to have ended. It says false, and does nothing, when the outcome is not right.
bool InLikelyOrder(const std::vector<HistoryOp>& history,
                   absl::FunctionRef<bool(const HistoryOp&)> try_next);

class Linearizer {
 public:
  explicit Linearizer(const model::World::Options& options);
  ~Linearizer();
  Linearizer(const Linearizer&) = delete;
  Linearizer& operator=(const Linearizer&) = delete;

  // Histories begin in the state that these operations lead to, each with its outcome.
  void Begin(const std::vector<HistoryOp>& setup);
  // Asked of an order that the model allows: whether it is wanted. False: another is looked for,
  // one that leaves the model in another state.
  using IsWanted = std::function<bool(const std::vector<uint32_t>& order)>;
  Linearization CheckWhole(const std::vector<HistoryOp>& history,
                           const IsWanted& is_wanted = nullptr);
  Verdict Check(const std::vector<HistoryOp>& history);
  // What Check found of one of the last histories that it could judge, since Begin, with the same
  // orders as this one. Schedules that differ little often differ in nothing that matters.
  std::optional<Verdict> Known(const std::vector<HistoryOp>& history) const;
  // Whether contents were moved while others changed them, so that an order that explains what was
  // seen need not explain the rest.
  bool MovesOverlap(const std::vector<HistoryOp>& history) const;

 private:
  class Model;
  class Search;

  struct Beginning;

  // Whether the operations cut to the group have an order.
  bool CheckGroup(const std::vector<HistoryOp>& history, const PageGroup& group, Verdict* verdict);

  // Of a history: of the order, if there is one, the places in its canonical form.
  struct Judged {
    std::vector<HistoryOp> ops;
    Atomicity atomicity;
    std::vector<uint32_t> order;
  };
  static constexpr size_t kMostJudged = 16;
  Verdict Judge(const std::vector<HistoryOp>& history);

  const model::World::Options options_;
  std::vector<Judged> judged_;  // the last ones, in the order of a ring
  size_t next_judged_ = 0;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Model> parts_;  // of histories that are cut; null: there was none yet
  std::vector<HistoryOp> setup_;
};

// A picture: one column a thread, time downwards, a line for each beginning and each end.
std::string HistoryText(const std::vector<HistoryOp>& history);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_LINEARIZE_H_
