// proptests/engine/exhaust.h: every short sequence of operations on a few tasks and pages.
//
// WHAT     A breadth-first search over states. A state is the model's and the system's together, by
//          hash (model::World::StateHash, SystemStateHash); one that was met before is not gone
//          into again. Each operation is compared like in any run (session.h), each new state as a
//          whole, and then all tasks leave, so that whatever leaks shows. The first failure ends
//          the search, so no shorter sequence fails. The states of one depth are visited in the
//          order of their paths, and the machine is rewound to the last point that two neighbours
//          share (saved_session.h).
// SEE      facts/verification.md section 8.3 (small scope).

#ifndef PROPTESTS_ENGINE_EXHAUST_H_
#define PROPTESTS_ENGINE_EXHAUST_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "proptests/engine/failure.h"
#include "proptests/engine/session.h"
#include "proptests/engine/shrinker.h"
#include "traces/op.h"

namespace proptests {

// The concrete operations that are tried in every state: those of task 0, then of task 1 ...
struct Alphabet {
  std::vector<traces::Op> ops;
  std::vector<std::string> files;
  // How many kinds of operation there are.
  uint32_t kinds() const;
};
// What `tasks` tasks may do with `pages` pages from kExhaustStart on. A fork's child gets the next
// label, whatever the operation says. REQUIRES: 1 <= tasks, pages <= 8.
Alphabet MakeAlphabet(uint32_t tasks, uint32_t pages);
inline constexpr uint64_t kExhaustStart = 0x10000;

struct ExhaustOptions {
  uint32_t tasks = 2;
  uint32_t pages = 2;
  uint32_t depth = 4;
  RunOptions run;
  // Called now and then with the number of transitions so far.
  std::function<void(uint64_t)> progress;
};

struct ExhaustLevel {
  uint64_t states = 0;       // first met at this depth
  uint64_t transitions = 0;  // operations executed in the states of the depth before
};

struct ExhaustResult {
  std::vector<ExhaustLevel> levels;  // by depth, from 0
  uint64_t states = 0;
  uint64_t transitions = 0;
  uint64_t hash = 0;           // over all states in the order of being met
  RunStats stats;              // of the operations that counted as transitions
  size_t pages_stored_to = 0;  // what a rewind copied at the end
  std::optional<Failure> failure;
  std::vector<TestOp> ops;  // the way to the failure, its operation last
};

ExhaustResult Exhaust(const ExhaustOptions& options);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_EXHAUST_H_
