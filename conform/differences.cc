#include "conform/differences.h"

namespace conform {

absl::Span<const FactDifference> FactDifferences() { return {}; }

const char* NamedFactDifference(absl::string_view scenario, absl::string_view quirks) {
  for (const FactDifference& d : FactDifferences()) {
    if (d.scenario == scenario && d.quirks == quirks) return d.name;
  }
  return nullptr;
}

}  // namespace conform
