#include "conform/uvm_conform.h"

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "conform/read_all.h"
#include "conform/recording.h"
#include "conform/report.h"
#include "conform/uvm.h"
#include "conform/uvm_l4_bench.h"
#include "conform/uvm_recording.h"

namespace conform {

namespace {

absl::StatusOr<UvmRecording> Read(const std::string& file) {
  const absl::StatusOr<std::string> text = ReadTextFile(file);
  if (!text.ok()) return text.status();
  return ParseUvmRecording(file, *text);
}

}  // namespace

int ConformUvm(const std::vector<std::string>& files, const UvmConformOptions& options,
               std::ostream& out, std::ostream& err) {
  std::vector<UvmRecording> recordings;
  if (!ReadAll("conform uvm", files, Read, &recordings, err)) return kExitUsage;
  if (options.count_only) return CountAll(recordings, options.format(), out);
  Report report(options.format(), out);
  const UvmScope scope = options.structure ? UvmScope::kStructure : UvmScope::kMeaning;
  for (const UvmRecording& r : recordings) {
    report.Add(r.file, RunUvmRecording(r, UvmL4Bench::Make, scope));
  }
  return report.Finish("pmap/l4 on fake_l4", "compared",
                       options.structure ? "meaning and structure" : "meaning", options.seconds);
}

}  // namespace conform
