// conform/facts_scenarios.h: the scenarios behind a file of facts, as source.
//
// WHAT     One Story is a run from boot in which one scenario or several that build on each other
//          are observed. Written from the recording's README and what a fact says itself; where
//          those leave something open, a comment says what was taken.
// INVARIANTS  Every scenario of the recording belongs to exactly one story.
// SEE      facts_bench.h for the machine; README.md, section "ipc_syscall_facts.txt".
#ifndef CONFORM_FACTS_SCENARIOS_H_
#define CONFORM_FACTS_SCENARIOS_H_

#include <vector>

#include "absl/types/span.h"
#include "conform/facts_bench.h"

namespace conform {

struct Story {
  const char* scenarios;  // names, separated by a blank
  void (*run)(FactsBench& bench);
};

// By subject.
absl::Span<const Story> AloneStories();  // one thread, whose partner is not waiting
absl::Span<const Story> UntypedStories();
absl::Span<const Story> ItemStories();
absl::Span<const Story> StringStories();
absl::Span<const Story> PropagationStories();
// Those, and the ones of all other system calls and of sigma0.
std::vector<Story> AllStories();

}  // namespace conform

#endif  // CONFORM_FACTS_SCENARIOS_H_
