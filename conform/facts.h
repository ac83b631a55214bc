// conform/facts.h: single facts measured on a real L4 kernel, as values.
//
// WHAT     A file of facts says what one thread saw at the end of a small scenario: the result of
//          an IPC, of another system call, of an Unmap or of a request to sigma0, or that it is
//          blocked. The scenarios stand in the recording's README, not in the file. The parser
//          knows the format and nothing else. Words are the recorded machine's 32-bit words.
// STATES   of the parser:  `# root=` -> `# helper 0 =` ... -> `fact`*.  Another comment may stand
//          anywhere; any other line out of turn is an error.
// INVARIANTS  A pair of scenario and thread occurs once.
// SEE      README.md for the table of fields; facts_scenarios.h for the scenarios.
#ifndef CONFORM_FACTS_H_
#define CONFORM_FACTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace conform {

// The recorded machine's places and names.
struct FactMachine {
  uint32_t root = 0;        // thread ids
  uint32_t root_local = 0;  // root has the first UTCB of its area
  uint32_t kip_area = 0;
  uint32_t utcb_area = 0;  // in every space
  uint32_t utcb_bytes = 0;
  uint32_t min_utcb_area_bytes = 0;
  std::vector<uint32_t> helpers;  // thread ids
};

// `from` of a call without a receive phase: the register as it was before.
inline constexpr uint32_t kUntouchedFrom = 0xeeeeeeee;
inline constexpr size_t kFactRegisters = 4;

struct BlockedFact {
  bool operator==(const BlockedFact&) const = default;
};
// After an Ipc.
struct IpcFact {
  uint32_t tag = 0, error = 0, from = 0, actual_sender = 0;
  std::array<uint32_t, kFactRegisters> mr = {};  // MR1 ...
  bool operator==(const IpcFact&) const = default;
};
// After another system call: what it delivered in the order of the manual, and the ErrorCode.
inline constexpr size_t kCallResults = 7;
struct CallFact {
  std::array<uint32_t, kCallResults> results = {};
  uint32_t error = 0;
  bool operator==(const CallFact&) const = default;
};
// After root called Schedule.
struct ScheduleFact {
  uint32_t state = 0, time_control = 0, error = 0;
  bool operator==(const ScheduleFact&) const = default;
};
// After root called Unmap with one fpage.
struct UnmapFact {
  uint32_t fpage = 0;
  bool operator==(const UnmapFact&) const = default;
};
// sigma0's answer to root.
struct Sigma0Fact {
  uint32_t tag = 0, error = 0, item = 0, fpage = 0;
  bool operator==(const Sigma0Fact&) const = default;
};
using FactValue = std::variant<BlockedFact, IpcFact, CallFact, ScheduleFact, UnmapFact, Sigma0Fact>;
// As the recording writes it, after the thread.
std::string ToString(const FactValue& value);

struct Fact {
  std::string scenario;
  std::optional<uint32_t> helper = {};  // who saw it; root when absent
  FactValue value;
  int line = 0;
};
// As the recording writes it, without the value: "NAME: h2".
std::string Title(const Fact& fact);

struct FactFile {
  std::string file;
  FactMachine machine;
  std::vector<Fact> facts;
  // M of `agree N of M`: each fact is a check line.
  uint64_t Count() const { return facts.size(); }
};

// Whether a text is one of facts, by its first fact or header line.
bool LooksLikeFacts(absl::string_view text);

// Errors: "FILE:LINE: expected ..., found ...".
absl::StatusOr<FactFile> ParseFacts(absl::string_view file, absl::string_view text);

}  // namespace conform

#endif  // CONFORM_FACTS_H_
