// conform/uvm_differences.h: the named differences from recordings of the real UVM.
//
// WHAT     A named difference excuses a step by what the recording says of it, never by what came
//          out: by a `trigger` line before it in its sequence, by the `quirk` line of a search, or
//          by its file, sequence and operation. Each name is a row of docs/DIFFERENCES.md.
// SEE      design.md section 5, "Conformance counts"; differences.h for recordings of L4 kernels.
#ifndef CONFORM_UVM_DIFFERENCES_H_
#define CONFORM_UVM_DIFFERENCES_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace conform {

// A defect that the recordings name, and the row that says what is sane.
struct UvmDefect {
  const char* defect;  // as `trigger` and `quirk` lines write it
  const char* name;
};
absl::Span<const UvmDefect> UvmDefects();

// The name of the difference for a defect, or null.
const char* NamedUvmDefect(absl::string_view defect);

enum class UvmAfter : uint8_t {
  kEnds,
  kGoesOn,  // both kernels are in the same state again
  // The same once a remap that failed there, and not here, has been taken back: what it moved is
  // moved to where it was, what it added is unmapped.
  kTakenBack,
};

// Steps that end otherwise here although no line of the recording says so.
struct UvmStepDifference {
  const char* name;
  const char* recording;  // file name without directory and endings
  const char* sequence;
  const char* step;  // "op 12", or as Difference::step tells it from the sequence's name on
  // Whether the sequence goes on behind it.
  UvmAfter after = UvmAfter::kEnds;
};
absl::Span<const UvmStepDifference> UvmStepDifferences();

// The difference of a step, or null.
const UvmStepDifference* NamedUvmStep(absl::string_view recording, absl::string_view sequence,
                                      absl::string_view step);

}  // namespace conform

#endif  // CONFORM_UVM_DIFFERENCES_H_
