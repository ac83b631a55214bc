// conform/l4.h: recorded L4 sequences against the simulated kernel.
//
// WHAT     RunSequence boots a fake_l4::Kernel, builds the recorded machine's reset state in it
//          (spaces with a sending and a receiving thread each, the pool of frames mapped by root
//          into space 0) and carries out the operations by the X.2 interface only, comparing after
//          each one what it returned and the state of every probed page. It stops at the first
//          difference: what follows one within a sequence starts from another state, so it is
//          counted apart, as not compared.
// INVARIANTS  For a file: agree + disagreements + after_difference = M, which is
// Recording::Count().
//          A disagreement that is a named difference counts as agreement; what follows is not
//          compared all the same.
// SEE      FieldTable() for what is compared; facts/l4.md sections 7 and 8; README.md.
#ifndef CONFORM_L4_H_
#define CONFORM_L4_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "conform/outcome.h"
#include "conform/recording.h"
#include "fake_l4/quirks.h"

namespace conform {

absl::Span<const FieldRule> FieldTable();

// Which of the compared fields count.
enum class Scope : uint8_t {
  kAll,
  kPageStates,  // only `st` lines: what manual_prefix.txt is about
};

struct SequenceResult {
  uint64_t steps = 0;
  uint64_t agree = 0;             // leading steps, without `difference`
  uint64_t after_difference = 0;  // not compared
  std::optional<Difference> difference;
  uint32_t at = 0;             // the step of `difference`; 0: already the reset state
  const char* name = nullptr;  // of the named difference that explains it
};

// `totals`, when given, is extended by the result.
SequenceResult RunSequence(const Recording& recording, const Sequence& sequence,
                           const fake_l4::Quirks& quirks, Scope scope, Outcome* totals = nullptr);
Outcome RunRecording(const Recording& recording, const fake_l4::Quirks& quirks,
                     Scope scope = Scope::kAll);

// The page states after each step on a kernel with `quirks`, whatever the recording says; fewer
// when the kernel does not get through.
std::vector<State> PageStates(const Recording& recording, const Sequence& sequence,
                              const fake_l4::Quirks& quirks);

}  // namespace conform

#endif  // CONFORM_L4_H_
