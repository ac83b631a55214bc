// proptests/engine/shrinker.h: from a long failing run to a few operations that fail alike.
//
// WHAT     1. Operations: chunks of half the length, a quarter, ... one, are left out while
//             the fingerprint stays. Operands are relative, so what remains is a run (design D9).
//          2. Operands are made absolute (what the run resolved them to).
//          3. Arguments: sizes down, addresses to page boundaries and towards page 1, values to
//             letters, flags and rights to plain ones, tasks renamed s1, s2 ... in order of birth.
//          4. The machine: fewer frames.
//          2-4 alternate with leaving out single operations, pairs, and children (the parent does
//          what they did) until nothing changes.
// INVARIANTS  The result fails with the fingerprint it was given. `minimal` says that every run
//          with one operation less was executed and did not.
// SEE      facts/verification.md 3.1 (why not RapidCheck's own).

#ifndef PROPTESTS_ENGINE_SHRINKER_H_
#define PROPTESTS_ENGINE_SHRINKER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "proptests/engine/failure.h"
#include "traces/op.h"

namespace proptests {

// An operation of a run, with what the trace says about it, if anything.
struct TestOp {
  traces::Op op;
  std::optional<traces::Outcome> expected;
};

struct Candidate {
  std::vector<TestOp> ops;
  uint32_t frames = 0;  // machine size; 0 = not to be shrunk
};

struct Attempt {
  std::optional<Failure> failure;
  // The operations that were executed, with absolute operands, up to the failing one.
  std::vector<TestOp> executed;
};

// Runs a candidate in a fresh machine. Deterministic.
using Experiment = std::function<Attempt(const Candidate&)>;

struct ShrinkLimits {
  uint64_t executions = 5000;
  // Stop after step 1, leaving `minimal` false.
  bool operations_only = false;
};

struct Shrunk {
  Candidate smallest;
  Failure failure;  // of `smallest`
  uint64_t executions = 0;
  // No single operation can be left out: at the end every run with one less was executed, and none
  // failed alike. False when one did, or the limit was reached.
  bool minimal = false;
  // Of those, how many failed, but in another way.
  uint64_t fail_otherwise = 0;
};

// REQUIRES: `experiment` of `start` fails with the class and rule of `print`; else the result has
// executions == 1 and an empty failure.
Shrunk Shrink(Candidate start, const Fingerprint& print, const Experiment& experiment,
              const ShrinkLimits& limits = {});

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_SHRINKER_H_
