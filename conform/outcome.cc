#include "conform/outcome.h"

#include <cstddef>

#include "absl/strings/str_cat.h"

namespace conform {

namespace {

constexpr size_t kMostListed = 200;

}  // namespace

std::string ToString(const Difference& d, const std::string& file) {
  return absl::StrCat(file, ":", d.line, ": ", d.step, ": ", d.field, d.where.empty() ? "" : " of ",
                      d.where, ": recorded ", d.recorded, ", ours ", d.ours);
}

uint64_t Outcome::NamedCount() const {
  uint64_t count = 0;
  for (const auto& [name, steps_of_it] : named) count += steps_of_it;
  return count;
}

void Outcome::Count(const std::optional<Difference>& d, const char* name) {
  if (!d.has_value()) {
    agree++;
  } else if (name != nullptr) {
    agree++;
    named[name]++;
  } else {
    disagreements++;
    by_field[d->field]++;
    if (!first.has_value()) first = *d;
    if (listed.size() < kMostListed) listed.push_back(*d);
  }
}

void AddLedger(const fake_l4::Ledger& from, fake_l4::Ledger* to) {
  to->ipc_sends += from.ipc_sends;
  to->ipc_errors += from.ipc_errors;
  to->map_items += from.map_items;
  to->pages_mapped += from.pages_mapped;
  to->pages_extended += from.pages_extended;
  to->unmap_calls += from.unmap_calls;
  to->unmap_fpages += from.unmap_fpages;
  to->pages_unmapped += from.pages_unmapped;
  to->pages_restricted += from.pages_restricted;
  to->page_faults += from.page_faults;
  to->fiber_switches += from.fiber_switches;
  to->threads_created += from.threads_created;
  to->spaces_created += from.spaces_created;
  to->system_calls += from.system_calls;
  to->map_refusals += from.map_refusals;
  to->kernel_debugger_entries += from.kernel_debugger_entries;
}

}  // namespace conform
