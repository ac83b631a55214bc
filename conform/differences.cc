#include "conform/differences.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace conform {

namespace {

constexpr FactDifference kFactDifferences[] = {
    {"pistachio-halted-receiver", "exregs_read_halted", "manual"},
    {"pistachio-halted-receiver", "exregs_resume", "manual"},
    {"pistachio-nil-scheduler", "tc_create_bad_space", "manual"},
    {"pistachio-inactive-thread-state",
     "schedule_inactive_thread_by_non_scheduler_thread_same_space", "manual"},
    {"pistachio-processor-control", "procctl_root_space", "manual"},
    {"pistachio-time-slice-unit", "schedule_read_waiting", "manual"},
    {"pistachio-time-slice-unit", "schedule_prio_255", "manual"},
    {"pistachio-time-slice-unit", "schedule_by_scheduler_itself", "manual"},
    {"pistachio-small-unmap", "unmap_root_nonflush_004000a0", "manual"},
};

}  // namespace

absl::Span<const FactDifference> FactDifferences() { return kFactDifferences; }

absl::string_view NameOf(absl::string_view file) {
  file.remove_prefix(file.rfind('/') + 1);  // npos + 1 is 0
  return file.substr(0, file.find('.'));
}

const char* NamedStepDifference(const Place& place, absl::string_view quirks) {
  const std::string wanted = absl::StrCat(" ", place.sequence, ":", place.step, " ");
  for (const StepDifference& d : StepDifferences()) {
    if (d.recording != place.recording || d.quirks != quirks) continue;
    if (absl::StrContains(absl::StrCat(" ", d.places, " "), wanted)) return d.name;
  }
  return nullptr;
}

const char* NamedFactDifference(absl::string_view scenario, absl::string_view quirks) {
  for (const FactDifference& d : FactDifferences()) {
    if (d.scenario == scenario && d.quirks == quirks) return d.name;
  }
  return nullptr;
}

}  // namespace conform
