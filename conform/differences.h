// conform/differences.h: the named differences: where ours is meant not to be as recorded.
//
// WHAT     A named difference excuses a disagreement. It matches on what went in, never on what
//          came out: the profile, and the scenario of a fact or the place (file, sequence,
//          operation) of an operation.
// INVARIANTS  Each name is a row of docs/DIFFERENCES.md, and each of its rows about a kernel's
//          recordings is a name here.
// SEE      design.md section 5, "Conformance counts".
#ifndef CONFORM_DIFFERENCES_H_
#define CONFORM_DIFFERENCES_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace conform {

// A scenario of a file of facts that ends otherwise here under a profile.
struct FactDifference {
  const char* name;
  const char* scenario;
  const char* quirks;  // name of the profile
};
absl::Span<const FactDifference> FactDifferences();

// One operation of a recording.
struct Place {
  absl::string_view recording;  // file name without directory and endings
  uint32_t sequence = 0;
  uint32_t step = 0;
};
// `conform/testdata/newmdb_4k.txt.gz`: `newmdb_4k`.
absl::string_view NameOf(absl::string_view file);

// Operations of one recording that end otherwise here under a profile.
struct StepDifference {
  const char* name;
  const char* recording;
  const char* quirks;  // name of the profile
  const char* places;  // SEQUENCE:OP, separated by a blank
};
absl::Span<const StepDifference> StepDifferences();

// The name of the difference that excuses an operation, or null.
const char* NamedStepDifference(const Place& place, absl::string_view quirks);

// The name of the difference that excuses a fact of `scenario`, or null.
const char* NamedFactDifference(absl::string_view scenario, absl::string_view quirks);

}  // namespace conform

#endif  // CONFORM_DIFFERENCES_H_
