// conform/facts_l4.h: measured facts against the simulated kernel.
//
// WHAT     RunFacts runs every story that a file of facts needs, each on a kernel of its own, and
//          compares what its threads saw with each line of the file. A fact stands for itself: one
//          that differs leaves the later ones of its story compared.
// SEE      FactFieldTable() for what is compared and what is not; facts_scenarios.h.
#ifndef CONFORM_FACTS_L4_H_
#define CONFORM_FACTS_L4_H_

#include <string>

#include "absl/types/span.h"
#include "conform/facts.h"
#include "conform/outcome.h"
#include "fake_l4/quirks.h"

namespace conform {

absl::Span<const FieldRule> FactFieldTable();

// A field of one scenario that is left out although the table compares it.
struct FactException {
  const char* scenario;
  const char* field;
  const char* reason;
};
absl::Span<const FactException> FactExceptions();

// The compared fields of `recorded` that differ; none when all agree.
std::optional<Difference> CompareFact(const Fact& recorded, const FactValue& ours);

Outcome RunFacts(const FactFile& file, const fake_l4::Quirks& quirks);

}  // namespace conform

#endif  // CONFORM_FACTS_L4_H_
