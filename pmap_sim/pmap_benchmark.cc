// What pmap/l4 costs on the simulated kernel: faults that the table answers, and revocation. Items
// are pages. Counters per page first: messages, fpages; nanoseconds are the host's.

#include <benchmark/benchmark.h>
#include <l4/ipc.h>
#include <l4/thread.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/canary.h"
#include "base/check.h"
#include "base/pool.h"
#include "base/prot.h"
#include "base/result.h"
#include "fake_l4/testing/world.h"
#include "pmap_sim/l4_pmap.h"
#include "uvm/pmap.h"

namespace pmap_sim {
namespace {

using base::Vaddr;

constexpr uint64_t kVa = 0x40'0000'0000;

class Chunks final : public base::PageSource {
 public:
  void* AllocateChunk(size_t bytes) override {
    chunks_.push_back(std::make_unique<unsigned char[]>(bytes + base::kPageSize));
    auto address = reinterpret_cast<uintptr_t>(chunks_.back().get());
    return reinterpret_cast<void*>(base::RoundPage(address));
  }

 private:
  std::vector<std::unique_ptr<unsigned char[]>> chunks_;
};

// One client, whose pager answers by Refill.
class Bench {
 public:
  explicit Bench(uint64_t ram_bytes)
      : world_({.ram_bytes = ram_bytes}),
        pmap_({.memory = &memory_,
               .canary = &canary_,
               .home_bias = world_.kernel().home_bias(),
               .alias_area = Vaddr(0x1000'0000'0000),
               .alias_windows = 1024,
               .kernel_area = {}}) {
    L4_ThreadId_t mirror = world_.Spawn([] { L4Pmap::MirrorLoop(); });
    Server([this, mirror] {
      CHECK(pmap_.Boot(mirror));
      client_ = pmap_.Create().value();
      other_ = pmap_.Create().value();
    });
    pager_ = world_.Spawn([this] { PagerMain(); });
    thread_ = world_.SpawnInNewSpace([] { L4_Receive(L4_anylocalthread); }, pager_);
    world_.kernel().RunUntilIdle();
  }

  void Server(std::function<void()> body) {
    world_.Spawn(std::move(body));
    world_.kernel().RunUntilIdle();
  }
  // Pages [0, pages) of frames in ascending order, or as far apart as there are frames.
  enum class Frames : uint8_t { kAscending, kScattered };
  enum class Sharing : uint8_t { kSingle, kShared };
  // How the pager enters what it does not find in the table.
  void Supply(uint32_t pages, Frames frames, Sharing sharing) {
    pages_ = pages;
    frames_ = frames;
    sharing_ = sharing;
  }
  void TouchAll(uint32_t pages) {
    world_.SpawnWith(
        thread_,
        [pages] {
          fake_l4::Cpu cpu = fake_l4::Kernel::Current()->cpu();
          for (uint32_t i = 0; i < pages; ++i) {
            const char c = 'x';
            CHECK(cpu.Store(Vaddr(kVa + i * base::kPageSize), &c, 1) == fake_l4::AccessStatus::kOk);
          }
        },
        pager_);
    world_.kernel().RunUntilIdle();
  }
  void RemoveAll() {
    Server([this] {
      pmap_.RemoveAll(client_);
      pmap_.RemoveAll(other_);
      pmap_.Update(client_);
    });
  }
  L4Pmap& pmap() { return pmap_; }
  uvm::Pmap* client() { return client_; }
  uint64_t ipcs() { return world_.kernel().ledger().ipc_sends; }

 private:
  void PagerMain() {
    L4_ThreadId_t from = L4_nilthread;
    for (;;) {
      L4_MsgTag_t tag = L4_Wait(&from);
      L4_Word_t address;
      L4_StoreMR(1, &address);
      CHECK(L4_IpcSucceeded(tag));
      const ReplyTarget to = {from, L4_Myself()};
      const Vaddr va(address);
      if (pmap_.Refill(client_, va, base::Access::kWrite, to) == RefillResult::kSent) continue;
      EnterAt(va);
      CHECK(pmap_.Refill(client_, va, base::Access::kWrite, to) == RefillResult::kSent);
    }
  }
  void EnterAt(Vaddr va) {
    const uint64_t page = (va - Vaddr(kVa)) >> base::kPageShift;
    const uint64_t frame = frames_ == Frames::kAscending ? page : page * 4099 % pages_;
    const base::Paddr pa = pmap_.segment(0).start + frame * base::kPageSize;
    MUST(pmap_.Enter(client_, va, pa, base::kProtReadWrite, {.access = base::kProtWrite}), "");
    if (sharing_ == Sharing::kShared) MUST(pmap_.Enter(other_, va, pa, base::kProtRead, {}), "");
    pmap_.Update(client_);
  }

  fake_l4::World world_;
  Chunks memory_;
  base::CanarySwitch canary_;
  L4Pmap pmap_;
  uvm::Pmap* client_ = nullptr;
  uvm::Pmap* other_ = nullptr;
  uint32_t pages_ = 1;
  Frames frames_ = Frames::kAscending;
  Sharing sharing_ = Sharing::kSingle;
  L4_ThreadId_t pager_ = {0};
  L4_ThreadId_t thread_ = {0};
};

// A page that is not in the table yet: miss, Enter, refill. Shared with another pmap it needs an
// alias.
void BM_Fault(benchmark::State& state) {
  constexpr uint32_t kPages = 1024;
  Bench bench(uint64_t{16} << 20);
  bench.Supply(kPages, Bench::Frames::kAscending, static_cast<Bench::Sharing>(state.range(0)));
  uint64_t ipcs = 0;
  for (auto _ : state) {
    state.PauseTiming();
    bench.RemoveAll();
    const uint64_t before = bench.ipcs();
    state.ResumeTiming();
    bench.TouchAll(kPages);
    ipcs += bench.ipcs() - before;
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kPages));
  state.counters["ipc"] =
      benchmark::Counter(static_cast<double>(ipcs) / kPages, benchmark::Counter::kAvgIterations);
}
BENCHMARK(BM_Fault)->ArgName("shared")->Arg(0)->Arg(1);

// What fork does to its parent.
void BM_WriteProtect(benchmark::State& state) {
  constexpr uint32_t kPages = 65536;
  Bench bench(uint64_t{264} << 20);
  bench.Supply(kPages, static_cast<Bench::Frames>(state.range(0)), Bench::Sharing::kSingle);
  uint64_t calls = 0;
  uint64_t fpages = 0;
  for (auto _ : state) {
    state.PauseTiming();
    bench.RemoveAll();
    bench.TouchAll(kPages);
    const PmapCounters before = bench.pmap().counters();
    state.ResumeTiming();
    bench.Server([&] {
      bench.pmap().Protect(bench.client(), {Vaddr(kVa), Vaddr(kVa + kPages * base::kPageSize)},
                           base::kProtRead);
      bench.pmap().Update(bench.client());
    });
    calls += bench.pmap().counters().unmap_calls - before.unmap_calls;
    fpages += bench.pmap().counters().fpages_unmapped - before.fpages_unmapped;
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kPages));
  state.counters["calls"] =
      benchmark::Counter(static_cast<double>(calls), benchmark::Counter::kAvgIterations);
  state.counters["fpages"] =
      benchmark::Counter(static_cast<double>(fpages), benchmark::Counter::kAvgIterations);
}
BENCHMARK(BM_WriteProtect)->ArgName("scattered")->Arg(0)->Arg(1)->Iterations(5);

}  // namespace
}  // namespace pmap_sim
