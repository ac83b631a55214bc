#include "conform/uvm_conform.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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
  if (files.empty()) {
    err << "conform uvm: expected at least one recorded file\n";
    return kExitUsage;
  }
  std::vector<UvmRecording> recordings;
  bool readable = true;
  for (const std::string& file : files) {
    absl::StatusOr<UvmRecording> recording = Read(file);
    if (recording.ok()) {
      recordings.push_back(*std::move(recording));
    } else {
      err << recording.status().message() << "\n";
      readable = false;
    }
  }
  if (!readable) return kExitUsage;
  if (options.count_only) {
    std::vector<FileCount> counts;
    for (const UvmRecording& r : recordings) counts.push_back({r.file, r.Count()});
    return PrintCounts(counts, options.format(), out);
  }
  Report report(options.format(), out);
  const UvmScope scope = options.structure ? UvmScope::kStructure : UvmScope::kMeaning;
  for (const UvmRecording& r : recordings) {
    report.Add(r.file, RunUvmRecording(r, UvmL4Bench::Make, scope));
  }
  return report.Finish("pmap/l4 on fake_l4", "compared",
                       options.structure ? "meaning and structure" : "meaning", options.seconds);
}

}  // namespace conform
