// proptests/engine/linearize.h: could operations that overlapped have happened one after the other?
//
// WHAT     A history says of each operation when it began and ended, and what came of it. It is
//          linearizable when there is an order of all operations that keeps "ended before the other
//          began", in which the model allows every outcome (Herlihy and Wing). The search is Wing
//          and Gong's with Lowe's memory of states: depth first over the operations that may come
//          next, the model taken back to where it was (fake_l4/rewind_area.h), and a state that was
//          reached with the same operations done is not gone into again.
//          Calls on several pages are atomic for each page only (design D8). So when the whole
//          history has no order, each page by itself is asked: all operations cut to that page.
//              whole         there is one order for everything
//              page by page  there is one for each page, but none for all
//              neither       a failure, with the page that has none
//          Operations that take a page's contents elsewhere (mremap, vm_copy, vm_read, vm_write,
//          peek, poke) cannot be cut to a page; a history with one of them has to be whole.
//          A failed call on several pages is taken to change nothing when it is cut.
// SEE      facts/verification.md section 2.3; model/world.h; explore.h.

#ifndef PROPTESTS_ENGINE_LINEARIZE_H_
#define PROPTESTS_ENGINE_LINEARIZE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/world.h"
#include "traces/op.h"

namespace proptests {

struct HistoryOp {
  uint32_t thread = 0;
  traces::ResolvedOp op;
  traces::Outcome outcome;
  // Places in one order of all beginnings and ends; equal ones do not occur.
  uint64_t invoked = 0;
  uint64_t responded = 0;
  // Its thread came to its end before it: it is done or not, nobody knows with what outcome, and
  // it is in no other's way. `responded` is kNever.
  bool cut_short = false;
  static constexpr uint64_t kNever = ~uint64_t{0};
};

struct Linearization {
  bool found = false;
  std::vector<uint32_t>
      order;           // of the history's operations, when found; not all that are cut short
  uint64_t steps = 0;  // operations tried on the model
  // When not found: as many operations as can be done in some order, and why none of the next can.
  std::vector<uint32_t> longest;
  std::string why;
};

enum class Atomicity : uint8_t { kWhole, kPageByPage, kNone };

struct Verdict {
  Atomicity atomicity = Atomicity::kNone;
  Linearization whole;
  // With kNone, for a history that can be cut: the page, and its operations by their place in the
  // history.
  std::optional<uint64_t> page;
  Linearization of_page;
  std::vector<uint32_t> page_ops;
};

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

 private:
  class Model;
  class Search;

  struct Beginning;

  std::unique_ptr<Model> model_;
  std::unique_ptr<Beginning> begin_;  // the model's state then
  std::vector<HistoryOp> setup_;
};

// The part of an operation that is about the page at `page`; nothing when none is. Operations about
// no place in a map are about every page.
std::optional<HistoryOp> CutToPage(const HistoryOp& op, uint64_t page);
bool CanBeCut(const traces::ResolvedOp& op);

// A picture: one column a thread, time downwards, a line for each beginning and each end.
std::string HistoryText(const std::vector<HistoryOp>& history);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_LINEARIZE_H_
