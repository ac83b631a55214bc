// proptests/engine/op_pairs.h: which operation came after which, on one object.
//
// WHAT     For every object the kind of the operation that succeeded on it last; the next one that
//          names the object, whatever comes of it, makes an ordered pair with it. Objects are
//              a page of a task    named by the ranges of calls and accesses, both of them where
//                                  there are two; what is about a whole task (fork, exec, mlockall)
//                                  is about each of its pages
//              a name              of a file, a memory file, a segment, a device
//              the swap devices    all of them together
//          A child begins with its birth as the last operation on each page. Of a long range the
//          first kMostPages pages and the last one count.
// SEE      probes.h; proptests/op_pairs_test.cc: which pairs fixed campaigns must make, and why
//          others cannot be (proptests/op_pairs_unreached.txt).

#ifndef PROPTESTS_ENGINE_OP_PAIRS_H_
#define PROPTESTS_ENGINE_OP_PAIRS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "traces/op.h"

namespace proptests {

// Counts by number of a pair; empty where nobody counts.
using PairCounts = std::vector<uint64_t>;
inline constexpr size_t kOpPairCount =
    size_t{traces::kProgramKindCount} * traces::kProgramKindCount;
constexpr size_t PairNumber(traces::OpKind first, traces::OpKind then) {
  return static_cast<size_t>(first) * traces::kProgramKindCount + static_cast<size_t>(then);
}

class OpPairs {
 public:
  static constexpr uint64_t kMostPages = 64;

  OpPairs() : counts_(kOpPairCount) {}
  // An operation was executed and `seen` came of it. Those that are none of a program's are left
  // out.
  void Note(const traces::ResolvedOp& op, const traces::Outcome& seen);
  const PairCounts& counts() const { return counts_; }

 private:
  using Kind = uint8_t;
  static constexpr Kind kNobody = traces::kProgramKindCount;
  using Kinds = std::array<bool, traces::kProgramKindCount + 1>;
  struct TaskPages {
    Kind whole = kNobody;  // of every page that is not in the table
    absl::flat_hash_map<uint64_t, Kind> pages;
  };

  // The object's operation becomes `kind` where it succeeded; what was before goes to met_.
  void Touch(Kind* last);
  void TouchRange(uint32_t task, uint64_t at, uint64_t size);
  void TouchTask(uint32_t task);
  void TouchPlaces(const traces::ResolvedOp& op, const traces::Outcome& seen);

  PairCounts counts_;
  absl::flat_hash_map<uint32_t, TaskPages> tasks_;
  absl::flat_hash_map<uint64_t, Kind> names_;
  Kind swap_ = kNobody;
  // Of the operation under way.
  Kind kind_ = kNobody;
  bool succeeded_ = false;
  Kinds met_ = {};
};

// Adds up; either may be empty.
void AddPairs(const PairCounts& from, PairCounts* to);

// "fork then write".
std::string PairName(size_t number);
// "  pairs   3,100 of 3,400 ordered pairs of operations on one object\n"; nothing where nobody
// counted.
std::string PairsText(const PairCounts& counts);
// No case can make the pair: nothing is left of the first's object, or the second has none.
bool CannotFollow(traces::OpKind first, traces::OpKind then);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_OP_PAIRS_H_
