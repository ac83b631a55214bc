// uvm/pdpolicy_choice.h: one page replacement policy out of those there are.

#ifndef UVM_PDPOLICY_CHOICE_H_
#define UVM_PDPOLICY_CHOICE_H_

#include <cstddef>
#include <cstdint>

#include "base/pool.h"
#include "uvm/pdpolicy.h"
#include "uvm/pdpolicy_clock.h"
#include "uvm/pdpolicy_clockpro.h"
#include "uvm/pdpolicy_simple.h"

namespace uvm {

enum class PolicyKind : uint8_t { kClock, kClockPro, kSimple };
inline constexpr PolicyKind kPolicyKinds[] = {PolicyKind::kClock, PolicyKind::kClockPro,
                                              PolicyKind::kSimple};

// Which policy, and what it is told.
struct PolicySpec {
  PolicyKind kind = PolicyKind::kClock;
  ClockTunables clock = {};         // of kClock
  ClockProTunables clock_pro = {};  // of kClockPro
};

// "clock", "clockpro", "fifo": what name() of the policy says.
const char* PolicyName(PolicyKind kind);
// False: no policy has that name.
bool PolicyOfName(const char* name, PolicyKind* kind);
// A name, perhaps followed by a colon and settings joined by commas. Of clock: anonmin=, filemin=,
// execmin=, anonmax=, filemax=, execmax=, inactive=, in percent; of clockpro: cold=, in percent,
// and adaptive. False, *spec is as it was: no such policy or setting, one given twice, or numbers
// that the policy refuses (SetTunables).
bool PolicyOfText(const char* text, PolicySpec* spec);

// Owns a policy of one kind.
class PolicyChoice {
 public:
  // NetBSD: uvmpdpol_init(). For a machine of `total` pages. Panics when there is no memory for
  // what the policy remembers, or it refuses what it is told.
  PolicyChoice(const PolicySpec& spec, base::PageSource* memory, PageCount total);
  PolicyChoice(const PolicyChoice&) = delete;
  PolicyChoice& operator=(const PolicyChoice&) = delete;

  PagePolicy* get() { return policy_; }
  const PagePolicy* get() const { return policy_; }

 private:
  union Storage {
    Storage() {}
    ClockPolicy clock;
    ClockProPolicy clock_pro;
    SimplePolicy simple;
  };

  Storage storage_;
  PagePolicy* policy_;
};

}  // namespace uvm

#endif  // UVM_PDPOLICY_CHOICE_H_
