// conform/uvm.h: recordings of the real UVM against ours.
//
// WHAT     RunUvmSequence replays a sequence on a fresh bench and compares after each operation how
//          it ended and what every page of every address map is like, at the end the contents of
//          all memory and that nothing leaked. It stops at the first difference: what follows
//          starts from another state, so it is counted apart, as not compared. Sequences with
//          `check` lines are replayed to their end all the same: a check compares our value with
//          the sane one.
// INVARIANTS  For a file: agree + disagreements + after_difference + not_replayed = M, which is
//          UvmRecording::Count().
// SEE      UvmFieldTable() for what is compared; uvm_differences.h; README.md.
#ifndef CONFORM_UVM_H_
#define CONFORM_UVM_H_

#include <functional>
#include <memory>

#include "absl/types/span.h"
#include "conform/outcome.h"
#include "conform/uvm_bench.h"
#include "conform/uvm_recording.h"

namespace conform {

absl::Span<const FieldRule> UvmFieldTable();

// Which of the compared fields count.
enum class UvmScope : uint8_t {
  kMeaning,    // what a user of memory can tell
  kStructure,  // and UVM's own structure: entries, amaps, counters, translations
};

using UvmBenchMaker = std::function<std::unique_ptr<UvmBench>(const UvmSequence&)>;

// Adds to *totals what came of the sequence.
void RunUvmSequence(const UvmRecording& recording, const UvmSequence& sequence,
                    const UvmBenchMaker& make_bench, UvmScope scope, Outcome* totals);
Outcome RunUvmRecording(const UvmRecording& recording, const UvmBenchMaker& make_bench,
                        UvmScope scope);

}  // namespace conform

#endif  // CONFORM_UVM_H_
