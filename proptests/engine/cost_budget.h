// proptests/engine/cost_budget.h: what one operation may cost.
//
// WHAT     Counted work, not time: pages copied and zeroed, faults, messages, unmap calls. The
//          budgets are what the algorithms promise (facts/uvm.md 2.3-2.6): fork copies no page but
//          those that are wired, a copy-on-write fault copies one, changing attributes touches no
//          contents.
//              access of n pages      n promotions (copies and zero-fills) and n faults, twice as
//                                     many where a first attempt may find a page of too few rights
//              fork, exit, unmapping  no fault, no page filled
//              attributes             none but for pages that are wired on the way
//          Kernels that do worse than the manual's, and injected faults, cost more; then only pages
//          are counted.
// SEE      machine::Ledger; design.md section 4 (exit code 14).

#ifndef PROPTESTS_ENGINE_COST_BUDGET_H_
#define PROPTESTS_ENGINE_COST_BUDGET_H_

#include <cstdint>
#include <optional>

#include "machine/machine.h"
#include "proptests/engine/state_relation.h"
#include "traces/op.h"

namespace proptests {

// How well things may be expected to go.
enum class Conditions : uint8_t {
  kOrderly,  // the manual's kernel, enough memory, nothing injected
  kAdverse,
};

// The first row of the ledger in which `op` cost more than it may: class kCost, rule
// "CostWithinBudget(mprotect.copy)".
std::optional<Finding> CheckCost(const traces::ResolvedOp& op, const machine::Ledger& before,
                                 const machine::Ledger& after, Conditions conditions);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_COST_BUDGET_H_
