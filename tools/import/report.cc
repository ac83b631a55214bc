#include "absl/strings/str_cat.h"
#include "tools/import/import.h"

namespace tools {
namespace {

void AppendCounts(absl::string_view title, const ImportReport::Counts& counts, std::string* text) {
  if (counts.empty()) return;
  absl::StrAppend(text, title, ":\n");
  for (const auto& [name, count] : counts) absl::StrAppend(text, "  ", count, " x ", name, "\n");
}

}  // namespace

std::string ImportReport::ToText() const {
  std::string text =
      absl::StrCat("imported from ", source, ": ", lines, " lines, ", processes, " processes, ",
                   threads, " more threads; initial maps: ", execs_observed, " observed, ",
                   execs_inferred, " inferred\n");
  if (ran) absl::StrAppend(&text, "the program ended with status ", exit_status, "\n");
  AppendCounts("expressed", expressed, &text);
  absl::StrAppend(&text, "with the host's outcome: ", expectations, "\n");
  AppendCounts("expressed with a difference", altered, &text);
  AppendCounts("not expressed", not_expressed, &text);
  AppendCounts("touches outside the regions known", touches_outside, &text);
  if (valgrind_regions != 0) {
    absl::StrAppend(&text, "regions of Valgrind's own left out: ", valgrind_regions, "\n");
  }
  absl::StrAppend(&text, "calls that have nothing to do with memory: ", ignored_calls, "\n");
  absl::StrAppend(&text, "bytes are synthesised: the recording has no contents\n");
  return text;
}

nlohmann::json ImportReport::ToJson() const {
  nlohmann::json json = {
      {"source", source},
      {"lines", lines},
      {"expressed", expressed},
      {"not_expressed", not_expressed},
      {"altered", altered},
      {"touches_outside", touches_outside},
      {"expectations", expectations},
      {"ignored_calls", ignored_calls},
      {"processes", processes},
      {"threads", threads},
      {"execs_observed", execs_observed},
      {"execs_inferred", execs_inferred},
      {"valgrind_regions", valgrind_regions},
      {"bytes_synthesised", true},
  };
  if (ran) json["exit_status"] = exit_status;
  return json;
}

}  // namespace tools
