// Drawing, printing and shrinking the ops of pmap_contract.h.

#include <algorithm>
#include <utility>

#include "base/prng.h"
#include "uvm/testing/pmap_contract.h"

namespace uvm::testing {
namespace {

using base::Access;
using base::Prot;

struct CallRow {
  const char* name;
  uint32_t weight;
};

// By PmapCall.
constexpr CallRow kCalls[kPmapCalls] = {
    {"enter", 26},        {"remove", 8},       {"protect", 8},
    {"unwire", 3},        {"extract", 3},      {"update", 8},
    {"copy", 1},          {"activate", 1},     {"recreate", 1},
    {"reference", 1},     {"page_protect", 8}, {"is_modified", 6},
    {"is_referenced", 4}, {"clear_modify", 5}, {"clear_reference", 4},
    {"zero_page", 1},     {"copy_page", 1},    {"kenter", 4},
    {"kremove", 3},       {"procwr", 1},       {"load", 14},
    {"store", 18},        {"fetch", 4},        {"kernel_load", 3},
    {"kernel_store", 5},  {"flush_own", 2},    {"share_on", 3},
};

PmapCall DrawCall(base::Prng* prng, uint32_t left_out) {
  for (;;) {
    uint32_t total = 0;
    for (const CallRow& row : kCalls) total += row.weight;
    uint64_t at = prng->Below(total);
    size_t call = 0;
    while (at >= kCalls[call].weight) at -= kCalls[call++].weight;
    if ((left_out >> call & 1) == 0) return static_cast<PmapCall>(call);
  }
}

Prot DrawProt(base::Prng* prng) {
  // Enter adds read; to lower to rights without it means to remove.
  constexpr uint8_t kProts[] = {0, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 5, 5, 7, 2, 4};
  return Prot(kProts[prng->Below(16)]);
}

Access DrawAccess(base::Prng* prng) {
  constexpr Access kAccesses[] = {Access::kRead, Access::kWrite, Access::kWrite, Access::kExecute};
  return kAccesses[prng->Below(4)];
}

}  // namespace

std::string PmapOpText(const PmapOp& op) {
  const char* name = kCalls[static_cast<size_t>(op.call)].name;
  std::string text = "c" + std::to_string(op.space) + " " + name + " p" + std::to_string(op.page) +
                     "+" + std::to_string(op.count) + " f" + std::to_string(op.frame) + " " +
                     base::ProtName(op.prot) + " other " + std::to_string(op.other) + " access " +
                     base::ProtName(base::ProtFor(op.access));
  if (op.wired == Wired::kYes) text += " wired";
  if (op.overlaps) {
    text += " while c" + std::to_string(op.overlap_space) + " p" + std::to_string(op.overlap_page) +
            " " + base::ProtName(base::ProtFor(op.overlap_access));
  }
  return text;
}

std::vector<PmapOp> DrawPmapOps(uint64_t seed, const ContractLimits& limits, size_t count) {
  base::Prng swarm(seed, "pmap.swarm");
  uint32_t left_out = 0;
  for (int call = 1; call < kPmapCalls; ++call) {
    if (swarm.Chance(1, 4)) left_out |= 1u << call;
  }
  // A run with few pages and frames in use meets them more often.
  uint64_t pages = 1 + swarm.Below(limits.pages);
  uint64_t frames = 1 + swarm.Below(limits.frames + 2);
  uint64_t overlaps_in_8 = swarm.Below(4);
  std::vector<PmapOp> ops(count);
  for (size_t i = 0; i < count; ++i) {
    base::Prng prng(seed, "pmap.op", i);
    PmapOp& op = ops[i];
    op.call = DrawCall(&prng, left_out);
    op.space = static_cast<uint8_t>(prng.Below(limits.clients + 1));  // the last is the kernel
    op.page = static_cast<uint8_t>(prng.Below(pages));
    op.count = static_cast<uint8_t>(1 + prng.Below(prng.Chance(1, 2) ? 2 : limits.pages));
    op.frame = static_cast<uint8_t>(prng.Below(frames));
    op.other = static_cast<uint8_t>(prng.Below(64));
    op.prot = DrawProt(&prng);
    op.access = DrawAccess(&prng);
    op.wired = prng.Chance(1, 5) ? Wired::kYes : Wired::kNo;
    op.overlaps = prng.Chance(overlaps_in_8, 8);
    op.overlap_space = static_cast<uint8_t>(prng.Below(limits.clients));
    op.overlap_page = static_cast<uint8_t>(prng.Below(pages));
    op.overlap_access = DrawAccess(&prng);
  }
  return ops;
}

std::vector<PmapOp> ShrinkPmapOps(const MachineMaker& make, const ContractLimits& limits,
                                  std::vector<PmapOp> ops, PmapRule rule) {
  auto fails = [&](const std::vector<PmapOp>& candidate) {
    std::unique_ptr<PmapMachine> machine = make();
    ContractFailure failure = RunPmapOps(*machine, limits, candidate);
    return failure && failure.rule == rule;
  };
  for (size_t chunk = std::max<size_t>(ops.size() / 2, 1);;) {
    bool shrunk = false;
    for (size_t at = 0; at < ops.size();) {
      std::vector<PmapOp> candidate(ops.begin(), ops.begin() + static_cast<ptrdiff_t>(at));
      size_t rest = std::min(at + chunk, ops.size());
      candidate.insert(candidate.end(), ops.begin() + static_cast<ptrdiff_t>(rest), ops.end());
      if (fails(candidate)) {
        ops = std::move(candidate);
        shrunk = true;
      } else {
        at += chunk;
      }
    }
    if (chunk == 1 && !shrunk) break;
    if (chunk > 1) chunk /= 2;
  }
  for (PmapOp& op : ops) {
    if (!op.overlaps) continue;
    op.overlaps = false;
    if (!fails(ops)) op.overlaps = true;
  }
  return ops;
}

std::string FirstCounterexample(const MachineMaker& make, const ContractLimits& limits,
                                uint64_t first_seed, uint64_t seeds, size_t count,
                                ContractCounts* counts) {
  for (uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    std::vector<PmapOp> ops = DrawPmapOps(seed, limits, count);
    std::unique_ptr<PmapMachine> machine = make();
    ContractFailure failure = RunPmapOps(*machine, limits, ops, counts);
    if (!failure) continue;
    ops.resize(std::min(ops.size(), failure.op + 1));
    machine.reset();
    ops = ShrinkPmapOps(make, limits, std::move(ops), failure.rule);
    machine = make();
    ContractFailure small = RunPmapOps(*machine, limits, ops);
    std::string text = std::string(PmapRuleName(failure.rule)) + " (seed " + std::to_string(seed) +
                       ", op " + std::to_string(failure.op) + "): " + small.text + "\n";
    for (const PmapOp& op : ops) text += "  " + PmapOpText(op) + "\n";
    return text;
  }
  return "";
}

}  // namespace uvm::testing
