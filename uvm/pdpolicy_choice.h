// uvm/pdpolicy_choice.h: one page replacement policy out of those there are.

#ifndef UVM_PDPOLICY_CHOICE_H_
#define UVM_PDPOLICY_CHOICE_H_

#include <cstddef>
#include <cstdint>

#include "base/pool.h"
#include "uvm/pdpolicy.h"
#include "uvm/pdpolicy_clock.h"

namespace uvm {

enum class PolicyKind : uint8_t { kClock };
inline constexpr PolicyKind kPolicyKinds[] = {PolicyKind::kClock};

// "clock": what name() of the policy says.
const char* PolicyName(PolicyKind kind);
// False: no policy has that name.
bool PolicyOfName(const char* name, PolicyKind* kind);

// Owns a policy of one kind.
class PolicyChoice {
 public:
  // For a machine of `total` pages. Panics when there is no memory for what the policy remembers.
  PolicyChoice(PolicyKind kind, base::PageSource* memory, PageCount total);
  PolicyChoice(const PolicyChoice&) = delete;
  PolicyChoice& operator=(const PolicyChoice&) = delete;

  PagePolicy* get() { return policy_; }
  const PagePolicy* get() const { return policy_; }

 private:
  alignas(ClockPolicy) unsigned char storage_[sizeof(ClockPolicy)];
  PagePolicy* policy_;
};

}  // namespace uvm

#endif  // UVM_PDPOLICY_CHOICE_H_
