// conform/outcome.h: what came of comparing one file, whatever kind of recording it is.
//
// INVARIANTS  agree + disagreements + after_difference + not_replayed = steps, which is the
//          parser's count; every step that a named difference explains is in agree, too.
// SEE      design.md section 5, "Conformance counts".
#ifndef CONFORM_OUTCOME_H_
#define CONFORM_OUTCOME_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "fake_l4/kernel.h"

namespace conform {

// One compared field that is not as recorded.
struct Difference {
  int line = 0;       // of the file
  std::string step;   // which, as a reader of the file would say it
  std::string field;  // of the field table, or "progress" or "scenario" where nothing was compared
  std::string where;  // which page or register; empty where the field says it all
  std::string recorded;
  std::string ours;
};
// "FILE:LINE: STEP: FIELD of WHERE: recorded X, ours Y".
std::string ToString(const Difference& d, const std::string& file);

struct Outcome {
  uint64_t steps = 0;
  uint64_t agree = 0;
  uint64_t disagreements = 0;
  uint64_t after_difference = 0;                 // not compared
  uint64_t not_replayed = 0;                     // of sequences with operations nobody offers yet
  absl::btree_map<std::string, uint64_t> named;  // steps by the named difference they show
  absl::btree_map<std::string, uint64_t> by_field;  // disagreements
  std::optional<Difference> first;                  // disagreement
  std::vector<Difference> listed;                   // disagreements, as many as are worth reading
  uint64_t hash = 0;                                // over every step's outcome
  fake_l4::Ledger ledger;                           // of all kernels booted for the file
  // Pages of memory at the ends of sequences: compared, and left out because the recorded kernel,
  // or ours, has lost them.
  uint64_t pages_compared = 0, pages_lost_there = 0, pages_lost_here = 0;
  bool of_structure = false;  // names are decisions, and what has none is undecided

  uint64_t NamedCount() const;
  // Counts one step: it agrees without a difference; with one it agrees by the name of a difference
  // or, where `name` is null, disagrees.
  void Count(const std::optional<Difference>& d, const char* name);
};

// Adds every counter.
void AddLedger(const fake_l4::Ledger& from, fake_l4::Ledger* to);

// A row of a table of lines and fields.
enum class Compared : uint8_t { kYes, kNo };
struct FieldRule {
  const char* line;  // as it begins in the file
  const char* field;
  Compared compared;
  const char* reason;  // of a field left out; else how it is compared
};

}  // namespace conform

#endif  // CONFORM_OUTCOME_H_
