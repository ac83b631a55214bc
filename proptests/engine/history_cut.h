// proptests/engine/history_cut.h: what was seen, and the parts of it that are about some pages.
//
// WHAT     A history says of each operation when it began and ended, and what came of it. Calls on
//          several pages are atomic for each page only (design D8), so a history is judged page by
//          page where it has no order as a whole: all operations are cut to one page. What takes
//          contents from one page to another (mremap, vm_copy, vm_read, vm_write, peek, poke),
//          or to a file or a message and from there, ties its pages together, as the mapping of a
//          file does; pages that are tied are a group, which is judged at once.
//              s1.mmap A 2 pages file f     s2.pread B f page 0       groups: {A, B}, {A + 1}
//          A failed call on several pages is taken to change nothing when it is cut. Memory with a
//          name that is attached (shmat, shmdt) cannot be followed.
// SEE      linearize.h.

#ifndef PROPTESTS_ENGINE_HISTORY_CUT_H_
#define PROPTESTS_ENGINE_HISTORY_CUT_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "traces/op.h"

namespace proptests {

struct HistoryOp {
  uint32_t thread = 0;
  traces::ResolvedOp op;
  traces::Outcome outcome;
  // Places in one order of all beginnings and ends; only parts of one operation have equal ones.
  uint64_t invoked = 0;
  uint64_t responded = 0;
  // When it probably took effect (machine::Performed::likely_at): where a search begins.
  uint64_t likely_at = 0;
  // Its thread came to its end before it: it is done or not, nobody knows with what outcome, and
  // it is in no other's way. `responded` is kNever.
  bool cut_short = false;
  static constexpr uint64_t kNever = ~uint64_t{0};
  friend bool operator==(const HistoryOp&, const HistoryOp&) = default;
};

// Whether the operation takes what pages hold elsewhere.
bool MovesContents(traces::OpKind kind);

// Addresses of pages, ascending.
using PageGroup = std::vector<uint64_t>;

// Every page that the history is about, in one group each; nothing when it cannot be cut.
std::optional<std::vector<PageGroup>> GroupsOf(const std::vector<HistoryOp>& setup,
                                               const std::vector<HistoryOp>& history);

// The parts of an operation that are about the group, in any order; none, one, or one a page.
// Operations about no place in a map are about every page.
std::vector<HistoryOp> CutTo(const HistoryOp& op, const PageGroup& group);

// Whether one step of the operation is about all pages of a task: in a group it cannot be cut,
// though it need not be atomic for more than one page.
bool IsAboutAllPages(traces::OpKind kind);

// A history with what an order of it depends on, and no more: the operations of each thread, one
// thread after the other, and instead of times what had ended before each began. Two that are equal
// have the same orders. Empty: it is too long for that.
struct CanonicalHistory {
  explicit CanonicalHistory(const std::vector<HistoryOp>& history);
  std::vector<HistoryOp> ops;
  std::vector<uint32_t> places;  // of each of them in the history
};

// Bit j of [i]: operations i and j, which overlap, come to the same in either order, whatever the
// state; of operations that are not among the first 64 nothing is said. Known are accesses and
// calls about pages that they name, and these pages differ, or both only read. Two addresses may
// show the same memory where files are mapped or mappings moved: then the groups must differ.
std::vector<uint64_t> CommutingPairs(const std::vector<HistoryOp>& setup,
                                     const std::vector<HistoryOp>& history);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_HISTORY_CUT_H_
