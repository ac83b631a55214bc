// fake_l4/quirks.h: how a particular kernel's map, grant and unmap differ from the manual, as data.
//
// WHAT     One switch for each measured deviation; the default of every switch is the manual's
//          rule. A named set of switches is a quirk profile: what `--quirks NAME` selects.
// SEE      facts/l4.md sections 7 (the manual's model) and 8 (what was measured); docs/DIFFERENCES.md.
#ifndef FAKE_L4_QUIRKS_H_
#define FAKE_L4_QUIRKS_H_

#include <string_view>

namespace fake_l4 {

struct Quirks {
  const char* name = "manual";

  // ---- System calls (facts/l4.md section 12) ----
  // ThreadControl that creates a thread with no scheduler fails with 2 (invalid thread), not 4.
  bool missing_scheduler_is_invalid_thread = false;
  // ExchangeRegisters delivers the old values although d is clear.
  bool exregs_always_deliver = false;
  // ExchangeRegisters does not tell of a thread in an IPC that it is halted.
  bool exregs_hides_halt_in_ipc = false;
  // ProcessorControl is not there: a privileged call returns 0 and leaves the error code alone.
  bool no_processor_control = false;
  // The areas of a space can be set once; later SpaceControls are accepted without effect.
  bool areas_set_once = false;
};

inline constexpr Quirks kManualRules = {};

// The quirk profile of that name, or null: "manual", "pistachio-new-mdb", "pistachio-old-mdb".
constexpr const Quirks* FindQuirks(std::string_view name) {
  return name == kManualRules.name ? &kManualRules : nullptr;
}

}  // namespace fake_l4

#endif  // FAKE_L4_QUIRKS_H_
