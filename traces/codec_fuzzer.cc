// Any bytes: the parser refuses or accepts, and what it accepts has a normal form that parses to
// itself.
//
// Built with libFuzzer as //traces:codec_fuzzer (manual); with codec_fuzzer_main.cc it runs over
// files, as a test.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/status/statusor.h"
#include "traces/codec.h"
#include "traces/trace.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  absl::StatusOr<traces::Trace> trace = traces::ParseTrace(text, "fuzz");
  if (!trace.ok()) {
    if (trace.status().message().find(": expected ") == absl::string_view::npos) std::abort();
    return 0;
  }
  std::string normal = traces::FormatTrace(*trace);
  absl::StatusOr<traces::Trace> again = traces::ParseTrace(normal, "fuzz");
  // A normal form may be longer than what it came from, so a line may have become too long.
  if (!again.ok()) {
    if (again.status().message().find("a line of at most") == absl::string_view::npos) std::abort();
    return 0;
  }
  if (!(*again == *trace) || traces::FormatTrace(*again) != normal) std::abort();
  return 0;
}
