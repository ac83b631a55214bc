#include "uvm/pdpolicy_choice.h"

#include <new>

#include "base/check.h"

namespace uvm {
namespace {

bool Equal(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

}  // namespace

const char* PolicyName(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kClock:
      return "clock";
    case PolicyKind::kClockPro:
      return "clockpro";
    case PolicyKind::kSimple:
      return "fifo";
  }
  UNREACHABLE("no such policy");
}

bool PolicyOfName(const char* name, PolicyKind* kind) {
  for (const PolicyKind candidate : kPolicyKinds) {
    if (!Equal(name, PolicyName(candidate))) continue;
    *kind = candidate;
    return true;
  }
  return false;
}

PolicyChoice::PolicyChoice(PolicyKind kind, base::PageSource* memory, PageCount total) {
  switch (kind) {
    case PolicyKind::kClock:
      policy_ = new (&storage_.clock) ClockPolicy;
      break;
    case PolicyKind::kClockPro:
      policy_ = new (&storage_.clock_pro) ClockProPolicy(memory, total);
      break;
    case PolicyKind::kSimple:
      policy_ = new (&storage_.simple) SimplePolicy;
      break;
  }
  policy_->Tune(total);
}

}  // namespace uvm
