// How fast is the oracle? Napkin: an access is three tree lookups and a few hundred bytes, so 200
// ns; a fork copies a 120-byte value a page, so 5,000 owned pages take half a millisecond. Goal: 3
// million simple operations a second, forks of 5,000 pages below one millisecond.

#include "benchmark/benchmark.h"
#include "model/world.h"

namespace model {
namespace {

traces::ResolvedOp MakeOp(traces::OpKind kind, uint64_t at, uint64_t size) {
  traces::ResolvedOp op;
  op.kind = kind;
  op.task = 1;
  op.at = at;
  op.size = size;
  return op;
}

void Do(World& world, const traces::ResolvedOp& op) {
  world.Adopt(op, world.Expect(op).Canonical());
}

// Task 1 with `pages` pages at 0x10000, all written `stores` times.
void Populate(World& world, uint64_t pages, int stores) {
  traces::ResolvedOp birth = MakeOp(traces::OpKind::kSpace, 0, 0);
  birth.child = 1;
  Do(world, birth);
  traces::ResolvedOp map = MakeOp(traces::OpKind::kMmap, 0x10000, pages << 12);
  map.prot = base::kProtReadWrite;
  map.flags = traces::kFlagPrivate | traces::kFlagFixed;
  Do(world, map);
  for (uint64_t i = 0; i < pages; ++i) {
    for (int k = 0; k < stores; ++k) {
      traces::ResolvedOp write =
          MakeOp(traces::OpKind::kWrite, 0x10000 + (i << 12) + static_cast<uint64_t>(k) * 16, 8);
      write.value = 100000 + i;
      Do(world, write);
    }
  }
}

// Expect, check and adopt a read and a write of eight bytes each.
void BM_Accesses(benchmark::State& state) {
  World world({});
  Populate(world, 1000, 2);
  uint64_t i = 0;
  for (auto _ : state) {
    uint64_t at = 0x10000 + (i++ * 37 % 1000) * 4096;
    traces::ResolvedOp write = MakeOp(traces::OpKind::kWrite, at + i % 500 * 8, 8);
    write.value = i;
    traces::ResolvedOp read = MakeOp(traces::OpKind::kRead, at + 8, 8);
    for (const traces::ResolvedOp& op : {write, read}) {
      Expectation expectation = world.Expect(op);
      traces::Outcome outcome = expectation.Canonical();
      if (!expectation.Accepts(outcome)) state.SkipWithError("canonical outcome refused");
      world.Adopt(op, outcome);
    }
  }
  state.SetItemsProcessed(state.iterations() * 2);
}
BENCHMARK(BM_Accesses);

void BM_MapAndUnmap(benchmark::State& state) {
  World world({});
  Populate(world, 10, 1);
  for (auto _ : state) {
    traces::ResolvedOp map = MakeOp(traces::OpKind::kMmap, 0x100000, 0x10000);
    map.flags = traces::kFlagPrivate | traces::kFlagFixed;
    Do(world, map);
    Do(world, MakeOp(traces::OpKind::kMprotect, 0x104000, 0x1000));
    Do(world, MakeOp(traces::OpKind::kMunmap, 0x100000, 0x10000));
  }
  state.SetItemsProcessed(state.iterations() * 3);
}
BENCHMARK(BM_MapAndUnmap);

// Fork and exit of the child, 5,000 owned pages; the argument is the number of stores to each.
void BM_Fork5000Pages(benchmark::State& state) {
  World world({});
  Populate(world, 5000, static_cast<int>(state.range(0)));
  uint32_t label = 2;
  for (auto _ : state) {
    traces::ResolvedOp fork = MakeOp(traces::OpKind::kFork, 0, 0);
    fork.child = label;
    Do(world, fork);
    traces::ResolvedOp exit = MakeOp(traces::OpKind::kExit, 0, 0);
    exit.task = label++;
    Do(world, exit);
  }
}
BENCHMARK(BM_Fork5000Pages)->Arg(1)->Arg(10)->Arg(40)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace model
