// The pmap of the benchmarks keeps the contract too: a figure taken over a wrong one says nothing.

#include "uvm/testing/fast_pmap.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prot.h"
#include "uvm/pmap.h"
#include "uvm/testing/pmap_contract.h"
#include "uvm/testing/translating_machine.h"

namespace uvm::testing {
namespace {

using base::Paddr;
using base::Vaddr;

class FastMachine final : public TranslatingMachine<FastPmap> {
 public:
  FastMachine() : TranslatingMachine(24) {}
};

std::string Counterexample(const ContractLimits& limits, ContractCounts* counts) {
  return FirstCounterexample([] { return std::make_unique<FastMachine>(); }, limits,
                             /*first_seed=*/1, /*seeds=*/15, /*count=*/400, counts);
}

TEST(FastPmapTest, KeepsEveryRule) {
  ContractCounts counts;
  EXPECT_EQ(Counterexample(ContractLimits(), &counts), "");
  for (int call = 0; call < kPmapCalls; ++call) EXPECT_GT(counts.done[call], 5u) << call;
  EXPECT_EQ(counts.forgotten, 0u);
  EXPECT_EQ(counts.enters_failed, 0u);
}

// Pages on both sides of a table's edge, and far apart.
TEST(FastPmapTest, KeepsEveryRuleAcrossItsTables) {
  for (uint64_t stride : {uint64_t{1} << 21, uint64_t{1} << 30, uint64_t{1} << 39}) {
    ContractLimits limits;
    limits.first_page = Vaddr(0x1fe000);
    limits.cluster = 4;
    limits.stride = stride;
    ContractCounts counts;
    EXPECT_EQ(Counterexample(limits, &counts), "") << stride;
  }
}

TEST(FastPmapTest, CountsCallsAndPages) {
  FastPmap pmap(8);
  Pmap* space = pmap.Create().value();
  const auto page = [](uint64_t n) { return Vaddr(n * base::kPageSize); };
  const Paddr frame = pmap.segment(0).start;
  for (uint64_t n = 1; n < 4; ++n) {
    ASSERT_TRUE(pmap.Enter(space, page(n), frame, base::kProtReadWrite, {}).ok());
  }
  pmap.Protect(space, {page(0), page(3)}, base::kProtRead);
  pmap.PageProtect(frame, base::kProtRead);
  pmap.Remove(space, {page(1), page(2)});
  pmap.PageProtect(frame, base::kProtNone);
  pmap.Update(space);
  EXPECT_EQ(pmap.calls().enter, 3u);
  EXPECT_EQ(pmap.calls().protect, 1u);
  EXPECT_EQ(pmap.calls().page_protect, 2u);
  EXPECT_EQ(pmap.calls().protected_pages, 3u);
  EXPECT_EQ(pmap.calls().removed_pages, 3u);
  EXPECT_EQ(pmap.calls().all(), 8u);
  EXPECT_EQ(pmap.ResidentCount(space).value(), 0u);
  pmap.Destroy(space);
}

}  // namespace
}  // namespace uvm::testing
