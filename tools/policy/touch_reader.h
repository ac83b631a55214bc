// tools/policy/touch_reader.h: a trace as a stream of touches.
//
// WHAT     Follows what each task has mapped where, as far as it takes to tell which contents an
//          access uses: mappings of files and memory without a name, forks that share until one
//          writes, what is unmapped, discarded or left by exec and exit. A write to what is shared
//          touches the old page and a new one. Reads and writes of files by calls touch the pages
//          of the file. What else calls do to memory (copies between tasks, messages) is passed
//          over and counted.
// INVARIANTS  Reading a trace twice gives equal streams.

#ifndef TOOLS_POLICY_TOUCH_READER_H_
#define TOOLS_POLICY_TOUCH_READER_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/policy/policy_sim.h"
#include "tools/policy/touch_stream.h"

namespace tools::policy {

struct TouchTrace {
  TouchStream touches;
  uint64_t operations = 0;
  uint64_t passed_over = 0;  // operations that use memory in ways this does not follow
};

// Errors: InvalidArgument, one sentence: the file does not parse; operands are relative (a random
// run's trace: which memory they mean is known to a run alone); too many events.
absl::StatusOr<TouchTrace> ReadTouches(absl::string_view text, absl::string_view file_name,
                                       const Progress& progress = nullptr);
// The same from a file, which is mapped, not read into memory. NotFound, Unavailable: it cannot be
// read.
absl::StatusOr<TouchTrace> ReadTouchFile(const std::string& path,
                                         const Progress& progress = nullptr);

}  // namespace tools::policy

#endif  // TOOLS_POLICY_TOUCH_READER_H_
