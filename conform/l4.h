// conform/l4.h: recorded L4 sequences against the simulated kernel.
//
// WHAT     RunSequence boots a fake_l4::Kernel, builds the recorded machine's reset state in it
//          (spaces with a sending and a receiving thread each, the pool of frames mapped by root
//          into space 0) and carries out the operations by the X.2 interface only, comparing after
//          each one what it returned and the state of every probed page. It stops at the first
//          difference: what follows one within a sequence starts from another state, so it is
//          counted apart, as not compared.
// INVARIANTS  For a file: agree + disagreements + after_disagreement = M, which is
//          Recording::Count().
// SEE      FieldTable() for what is compared; facts/l4.md sections 7 and 8; README.md.
#ifndef CONFORM_L4_H_
#define CONFORM_L4_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/types/span.h"
#include "conform/recording.h"
#include "fake_l4/kernel.h"

namespace conform {

// A row of the table of lines and fields.
enum class Compared : uint8_t { kYes, kNo };
struct FieldRule {
  const char* line;  // as it begins in the file
  const char* field;
  Compared compared;
  const char* reason;  // of a field left out; else how it is compared
};
absl::Span<const FieldRule> FieldTable();

// Which of the compared fields count.
enum class Scope : uint8_t {
  kAll,
  kPageStates,  // only `st` lines: what manual_prefix.txt is about
};

struct Disagreement {
  uint32_t sequence = 0;
  uint32_t step = 0;      // 0: already the reset state
  int line = 0;           // of the operation
  std::string operation;  // as the recording writes it
  std::string field;  // a field of the table, or "progress" or "invariants" of the simulated kernel
  std::string where;  // which page or register; empty where the field says it all
  std::string recorded;
  std::string ours;
};
// "FILE:LINE: sequence 3 op 5 (...): field: recorded X, ours Y".
std::string ToString(const Disagreement& d, const std::string& file);

struct SequenceResult {
  uint64_t steps = 0;
  uint64_t agree = 0;               // leading steps
  uint64_t after_disagreement = 0;  // not compared
  std::optional<Disagreement> disagreement;
};

struct FileResult {
  uint64_t steps = 0;
  uint64_t agree = 0;
  uint64_t disagreements = 0;  // at most one a sequence
  uint64_t after_disagreement = 0;
  absl::btree_map<std::string, uint64_t> by_field;  // disagreements
  std::optional<Disagreement> first;
  uint64_t hash = 0;       // over every step's outcome
  fake_l4::Ledger ledger;  // of all kernels booted for the file
};

// Adds every counter.
void AddLedger(const fake_l4::Ledger& from, fake_l4::Ledger* to);

// `totals`, when given, is extended by the result.
SequenceResult RunSequence(const Recording& recording, const Sequence& sequence, Scope scope,
                           FileResult* totals = nullptr,
                           const fake_l4::Quirks& quirks = fake_l4::kManualRules);
FileResult RunRecording(const Recording& recording, Scope scope = Scope::kAll,
                        const fake_l4::Quirks& quirks = fake_l4::kManualRules);

}  // namespace conform

#endif  // CONFORM_L4_H_
