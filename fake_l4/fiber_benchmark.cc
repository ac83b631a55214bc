// What does a context switch cost? Estimate: six registers stored and loaded, an indirect jump that
// is predicted badly: 5 to 20 ns. One iteration is two switches, there and back.
#include <benchmark/benchmark.h>

#include "fake_l4/fiber.h"

namespace fake_l4 {
namespace {

struct Pair {
  Fiber host, fiber;
};

void Bounce(void* arg) {
  Pair& p = *static_cast<Pair*>(arg);
  for (;;) Fiber::Switch(p.fiber, p.host);
}

void BM_SwitchThereAndBack(benchmark::State& state) {
  StackArena arena;
  Pair p;
  p.host.AdoptHostStack();
  p.fiber.Start(&arena, Bounce, &p);
  for (auto _ : state) Fiber::Switch(p.host, p.fiber);
  state.counters["switches_per_iteration"] = 2;
}
BENCHMARK(BM_SwitchThereAndBack);

void BM_StartRunAbandon(benchmark::State& state) {
  StackArena arena;
  Pair p;
  p.host.AdoptHostStack();
  for (auto _ : state) {
    p.fiber.Start(&arena, Bounce, &p);
    Fiber::Switch(p.host, p.fiber);
    p.fiber.Abandon();
  }
}
BENCHMARK(BM_StartRunAbandon);

}  // namespace
}  // namespace fake_l4
