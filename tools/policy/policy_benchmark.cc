// How many touches a second does each method follow? Two million touches of 65,536 pages, of which
// half fit: a few are used often, many now and then. Napkin: a touch that hits is a cache miss or
// two in tables by page and frame (10 to 20 ns); a miss is some list operations, one in five
// touches; the optimum sifts through a heap on each touch. Goal: 10 million touches a second, the
// optimum 3.

#include <cstdint>
#include <vector>

#include "base/prng.h"
#include "benchmark/benchmark.h"
#include "tools/policy/policy_sim.h"
#include "tools/policy/stack_distance.h"
#include "tools/policy/touch_stream.h"

namespace tools::policy {
namespace {

constexpr uint32_t kPages = 65536;

const TouchStream& Touches() {
  static const TouchStream* const stream = [] {
    auto* touches = new TouchStream;
    base::Prng prng(1, "benchmark");
    std::vector<uint32_t> shuffled;
    for (uint32_t i = 0; i < kPages; ++i)
      shuffled.push_back(touches->NewPage(PageSort::kAnonymous));
    for (uint32_t i = kPages - 1; i > 0; --i) {
      const auto other = static_cast<uint32_t>(prng.Below(i + 1));
      const uint32_t kept = shuffled[i];
      shuffled[i] = shuffled[other];
      shuffled[other] = kept;
    }
    for (int i = 0; i < 2000000; ++i) {
      // The product of two uniform numbers: small ones are frequent.
      const uint64_t a = prng.Below(kPages);
      const uint64_t b = prng.Below(kPages);
      touches->Add(shuffled[a * b / kPages], i % 4 == 0 ? TouchKind::kWrite : TouchKind::kRead);
    }
    return touches;
  }();
  return *stream;
}

void BM_Touches(benchmark::State& state) {
  const auto method = static_cast<Method>(state.range(0));
  uint64_t misses = 0;
  for (auto _ : state) misses = Simulate(method, Touches(), kPages / 2).misses;
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * Touches().touches()));
  state.SetLabel(MethodName(method));
  state.counters["misses_percent"] =
      100.0 * static_cast<double>(misses) / static_cast<double>(Touches().touches());
}
BENCHMARK(BM_Touches)->DenseRange(0, 6)->Unit(benchmark::kMillisecond);

void BM_StackDistances(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(StackDistances(Touches()).first());
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * Touches().touches()));
}
BENCHMARK(BM_StackDistances)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tools::policy
