#include "proptests/engine/cost_budget.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "traces/codec.h"

namespace proptests {
namespace {

using machine::Ledger;
using traces::OpKind;

constexpr uint64_t kAny = ~uint64_t{0};
// Faults of one access to a page, however little memory there is and whatever goes on besides:
// pages that chase one another out would make any number (facts/uvm.md section 7, "Progress").
constexpr uint64_t kMostFaultsOfAPage = 64;

// Most that one operation may cost; kAny: not bounded here.
struct Budget {
  uint64_t copy = kAny;
  uint64_t zero_fill = kAny;
  uint64_t page_faults = kAny;
  uint64_t ipc = kAny;
};

uint64_t PagesOf(uint64_t at, uint64_t size) {
  if (size == 0) return 0;
  const uint64_t last = at + size - 1 < at ? ~uint64_t{0} : at + size - 1;
  return (last >> base::kPageShift) - (at >> base::kPageShift) + 1;
}

Budget OfAccess(const traces::ResolvedOp& op, const Ledger& before, const Ledger& after) {
  const uint64_t pages = PagesOf(op.at, op.kind == OpKind::kFetch ? 1 : op.size);
  const uint64_t breaks = after.loan_breaks - before.loan_breaks;
  const uint64_t faults = after.page_faults - before.page_faults;
  const uint64_t aliases = after.aliases - before.aliases;
  const uint64_t devices = after.device - before.device;
  // A fault is the kernel's message, perhaps a worker's wake-up, and the answer; an alias is an
  // order to the mirror and its answer, and so is a page of a device.
  return {.copy = pages + breaks,
          .zero_fill = pages,
          .page_faults = 2 * pages,
          .ipc = 3 * faults + 2 * (aliases + devices)};
}

// Calls that move bytes fault nobody's client; they fill what they touch on either side. A window
// of the buffer cache is read whole.
Budget OfMove(const traces::ResolvedOp& op, const Ledger& before, const Ledger& after) {
  constexpr uint64_t kMostBytes = 256 << 10;
  constexpr uint64_t kWindowPages = 16;
  const uint64_t size = op.size < kMostBytes ? op.size : kMostBytes;
  const bool file =
      op.kind == OpKind::kPread || op.kind == OpKind::kPwrite || op.kind == OpKind::kSendFile;
  const uint64_t other = op.kind == OpKind::kPeek || op.kind == OpKind::kPoke ? op.to : op.offset;
  const uint64_t pages = PagesOf(op.at, size) + PagesOf(other, size);
  const uint64_t breaks = after.loan_breaks - before.loan_breaks;
  return {
      .copy = pages + breaks, .zero_fill = pages + (file ? 2 * kWindowPages : 0), .page_faults = 0};
}

Budget BudgetOf(const traces::ResolvedOp& op, const Ledger& before, const Ledger& after,
                Conditions conditions) {
  const uint64_t wirings = after.wirings - before.wirings;
  const uint64_t breaks = after.loan_breaks - before.loan_breaks;
  // Filled because it is wired on the way, at most once a page. Where memory runs out the last page
  // was filled and not wired.
  const uint64_t last = conditions == Conditions::kOrderly ? 0 : 1;
  const Budget wiring = {.copy = wirings + breaks, .zero_fill = wirings + last, .page_faults = 0};
  const Budget nothing = {.copy = 0, .zero_fill = 0, .page_faults = 0};
  switch (op.kind) {
    case OpKind::kRead:
    case OpKind::kWrite:
    case OpKind::kFetch:
      return OfAccess(op, before, after);
    case OpKind::kSpace:
    case OpKind::kTask:
    case OpKind::kTask32:
    case OpKind::kExec:
    case OpKind::kExit:
    case OpKind::kTaskTerminate:
    case OpKind::kMunmap:
    case OpKind::kMunlock:
    case OpKind::kMunlockall:
    case OpKind::kMincore:
    case OpKind::kMinherit:
    case OpKind::kVmDeallocate:
    case OpKind::kVmInherit:
    case OpKind::kVmRegion:
    case OpKind::kThreadCreate:
    case OpKind::kThreadEnd:
      return nothing;
    case OpKind::kMmap:
    case OpKind::kExecMap:
    case OpKind::kExecBrk:
    case OpKind::kBrk:
    case OpKind::kMremap:
    case OpKind::kMprotect:
    case OpKind::kMlock:
    case OpKind::kMlockall:
    case OpKind::kVmAllocate:
    case OpKind::kVmMap:
    case OpKind::kVmProtect:
      return wiring;
    case OpKind::kPread:
    case OpKind::kPwrite:
    case OpKind::kPeek:
    case OpKind::kPoke:
    case OpKind::kSend:
    case OpKind::kReceive:
    case OpKind::kSendFile:
      return OfMove(op, before, after);
    case OpKind::kMsync:  // what lies past the end of a file is cleared, in a copy if it is lent
      return {.copy = breaks, .zero_fill = 0, .page_faults = 0};
    case OpKind::kFtruncate:  // the last page
      return {.copy = breaks, .zero_fill = 1, .page_faults = 0};
    default:
      // Their copies depend on what is wired or shared.
      return {};
  }
}

}  // namespace

std::optional<Finding> CheckCost(const traces::ResolvedOp& op, const Ledger& before,
                                 const Ledger& after, Conditions conditions) {
  const Budget budget = BudgetOf(op, before, after, conditions);
  const bool orderly = conditions == Conditions::kOrderly;
  const bool bounded = budget.page_faults != kAny && budget.page_faults != 0;
  const uint64_t in_the_end = bounded ? budget.page_faults * kMostFaultsOfAPage : kAny;
  const struct {
    const char* name;
    uint64_t cost;
    uint64_t most;
  } rows[] = {
      {"copy", after.copy - before.copy, budget.copy},
      {"zero_fill", after.zero_fill - before.zero_fill, budget.zero_fill},
      {"page_faults", after.page_faults - before.page_faults,
       orderly ? budget.page_faults : in_the_end},
      {"ipc", after.ipc - before.ipc, orderly ? budget.ipc : kAny},
  };
  for (const auto& row : rows) {
    if (row.cost <= row.most) continue;
    return Finding{{FailureClass::kCost,
                    absl::StrCat("CostWithinBudget(", traces::OpName(op.kind), ".", row.name, ")")},
                   absl::StrCat(traces::FormatResolvedOp(op), " cost ", row.cost, " ", row.name,
                                ", at most ", row.most, " expected")};
  }
  return std::nullopt;
}

}  // namespace proptests
