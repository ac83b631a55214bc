// conform/mach.h: recorded GNU Mach calls against vmserver's.
//
// WHAT     Sequences: each operation is made as the recorder made it; its answer is compared, then
//          the maps and contents that the recording lists. Where the recorded kernel chose an
//          address, ours chooses one too, which must be as good, and the memory is then put where
//          it was recorded. The first difference ends a sequence: what follows starts from another
//          state and is counted apart. Single calls: each on a fresh task of the layout, so each
//          stands for itself.
// INVARIANTS  agree + disagreements + after_difference = M, which is MachRecording::Count().
// SEE      MachFieldTable() for what is compared; README.md; docs/DIFFERENCES.md.
#ifndef CONFORM_MACH_H_
#define CONFORM_MACH_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "conform/mach_recording.h"
#include "conform/outcome.h"
#include "conform/report.h"

namespace conform {

absl::Span<const FieldRule> MachFieldTable();

Outcome RunMachRecording(const MachRecording& recording);

// A single call that ends otherwise here, or null. Matches on what goes in.
struct MachDifference {
  const char* name;
  MachCall call;
  bool (*matches)(const MachOp& op);
};
absl::Span<const MachDifference> MachDifferences();

struct MachConformOptions {
  bool count_only = false;  // print `FILE: M` from the parser alone; nothing is replayed
  bool json = false;        // one object instead of lines
  // Seconds since the command began, for the JSON object's figures, which are left out without it.
  std::function<double()> seconds = nullptr;

  Format format() const { return json ? Format::kJson : Format::kLines; }
};

// `vmsim conform mach FILE...`: returns the exit code. Every file is parsed before anything is run
// or printed; problems go to `err`, one line each, and then `out` stays empty.
int ConformMach(const std::vector<std::string>& files, const MachConformOptions& options,
                std::ostream& out, std::ostream& err);

}  // namespace conform

#endif  // CONFORM_MACH_H_
