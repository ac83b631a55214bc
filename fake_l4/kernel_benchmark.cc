// What do the kernel's operations cost on the host? Counted work (per item) first: messages, fiber
// switches, pages. Estimates: an IPC with its switch 40 ns; map or unmap of one page below 200 ns;
// a load that hits 5 ns; a page fault two IPCs and a map.
#include <benchmark/benchmark.h>
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/sigma0.h>
#include <l4/space.h>

#include <functional>
#include <memory>
#include <vector>

#include "base/addr.h"
#include "fake_l4/kernel.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;
constexpr int kBatch = 1000;

// Runs `setup` once and `item` `batch` times per iteration on a thread of root's space, and reports
// what the ledger counts per item.
void RunItems(benchmark::State& state, Kernel& kernel, std::function<void()> setup,
              std::function<void(int)> item, int batch = kBatch) {
  kernel.RegisterEntry(Kernel::kRootEntry, [] {});
  const L4_ThreadId_t t = kernel.Boot({.entry = [&] {
    setup();
    for (;;) {
      kernel.WaitForHost();
      for (int i = 0; i < batch; i++) item(i);
    }
  }});
  kernel.RunUntilIdle();
  const Ledger before = kernel.ledger();
  for (auto _ : state) {
    kernel.HostWake(t);
    if (kernel.RunUntilIdle() != StopReason::kIdle) state.SkipWithError("not idle");
  }
  const Ledger after = kernel.ledger();
  const double items = static_cast<double>(state.iterations()) * batch;
  state.counters["ipc"] = static_cast<double>(after.ipc_sends - before.ipc_sends) / items;
  state.counters["switch"] =
      static_cast<double>(after.fiber_switches - before.fiber_switches) / items;
  state.counters["map"] = static_cast<double>(after.pages_mapped - before.pages_mapped) / items;
  state.counters["unmap"] =
      static_cast<double>(after.pages_unmapped - before.pages_unmapped) / items;
  state.counters["split"] = static_cast<double>(after.pages_split - before.pages_split) / items;
  state.counters["fault"] = static_cast<double>(after.page_faults - before.page_faults) / items;
  state.SetItemsProcessed(state.iterations() * batch);
}

L4_Fpage_t PageOf(uint64_t va) {
  return L4_FpageAddRights(L4_FpageLog2(static_cast<L4_Word_t>(va), 12), kRwx);
}

void GetRam() { L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 22)); }

void BM_PingPong(benchmark::State& state) {
  Kernel kernel;
  const L4_ThreadId_t server = kernel.Boot({.entry = [] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    for (;;) {
      L4_Set_MsgTag(L4_Niltag);
      L4_ReplyWait(from, &from);
    }
  }});
  RunItems(
      state, kernel, [] {},
      [server](int) {
        L4_Set_MsgTag(L4_Niltag);
        L4_Call(server);
      });
}
BENCHMARK(BM_PingPong);

// A map item to a receiver in another space, which comes back for the next one; then an unmap of
// the page.
void BM_MapAndUnmapOnePage(benchmark::State& state) {
  Kernel kernel;
  const L4_ThreadId_t receiver =
      kernel.Boot({.entry =
                       [] {
                         L4_Accept(L4_MapGrantItems(L4_CompleteAddressSpace));
                         L4_ThreadId_t from;
                         for (;;) L4_Wait(&from);
                       },
                   .new_space = true,
                   .priority = 200});
  RunItems(state, kernel, GetRam, [receiver](int i) {
    const uint64_t va = kRam + i * 4096;
    const L4_MapItem_t item = L4_MapItem(PageOf(va), va);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    L4_Send(receiver);
    L4_UnmapFpage(PageOf(va));
  });
}
BENCHMARK(BM_MapAndUnmapOnePage);

// The unmap alone, on pages without anything derived from them.
void BM_UnmapOfNothing(benchmark::State& state) {
  Kernel kernel;
  RunItems(state, kernel, GetRam, [](int i) { L4_UnmapFpage(PageOf(kRam + i * 4096)); });
}
BENCHMARK(BM_UnmapOfNothing);

// 64 pages mapped by one fpage and unmapped by one call.
void BM_MapAndUnmap64Pages(benchmark::State& state) {
  Kernel kernel;
  const L4_ThreadId_t receiver =
      kernel.Boot({.entry =
                       [] {
                         L4_Accept(L4_MapGrantItems(L4_CompleteAddressSpace));
                         L4_ThreadId_t from;
                         for (;;) L4_Wait(&from);
                       },
                   .new_space = true,
                   .priority = 200});
  RunItems(state, kernel, GetRam, [receiver](int) {
    const L4_Fpage_t f = L4_FpageAddRights(L4_FpageLog2(kRam, 18), kRwx);
    const L4_MapItem_t item = L4_MapItem(f, kRam);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    L4_Send(receiver);
    L4_UnmapFpage(f);
  });
}
BENCHMARK(BM_MapAndUnmap64Pages);

// A receiver in a space of its own that takes whatever is mapped to it, anywhere.
L4_ThreadId_t BootReceiver(Kernel& kernel) {
  return kernel.Boot({.entry =
                          [] {
                            L4_Accept(L4_MapGrantItems(L4_CompleteAddressSpace));
                            L4_ThreadId_t from;
                            for (;;) L4_Wait(&from);
                          },
                      .new_space = true,
                      .priority = 200});
}

void SendFpage(L4_ThreadId_t to, L4_Fpage_t f) {
  const L4_MapItem_t item = L4_MapItem(f, L4_Address(f));
  L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
  L4_LoadMRs(1, 2, item.raw);
  L4_Send(to);
}

// 1,024 pages by one fpage and one Unmap: as so many pages of 4 KiB (0), or as one of 4 MiB (1).
// Counted work: `map` and `unmap` are entries, so 1,024 or 1 an item.
void BM_MapAndUnmap1024Pages(benchmark::State& state) {
  const bool large = state.range(0) != 0;
  Kernel kernel({.profile = kIa32});
  const L4_ThreadId_t receiver = BootReceiver(kernel);
  const auto setup = [large] {
    if (large) return GetRam();
    for (uint64_t v = 0; v < 1024; v++) {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam + v * 4096, 12));
    }
  };
  RunItems(
      state, kernel, setup,
      [receiver](int) {
        const L4_Fpage_t f = L4_FpageAddRights(L4_FpageLog2(kRam, 22), kRwx);
        SendFpage(receiver, f);
        L4_UnmapFpage(f);
      },
      large ? kBatch : 10);
}
BENCHMARK(BM_MapAndUnmap1024Pages)->Arg(0)->Arg(1);

// One small page out of a page of 4 MiB that is mapped elsewhere in 1,000 other parts: only the
// first item splits anything, and none looks at the other mappings.
void BM_MapAndUnmapOnePageOfALargeOne(benchmark::State& state) {
  Kernel kernel({.profile = kIa32});
  const L4_ThreadId_t receiver = BootReceiver(kernel);
  const auto setup = [receiver] {
    GetRam();
    for (uint64_t v = 1; v < 1001; v++) SendFpage(receiver, PageOf(kRam + v * 4096));
  };
  RunItems(state, kernel, setup, [receiver](int) {
    SendFpage(receiver, PageOf(kRam));
    L4_UnmapFpage(PageOf(kRam));
  });
}
BENCHMARK(BM_MapAndUnmapOnePageOfALargeOne);

// The unmap of a page that `range` spaces have; mapping it is not timed.
void BM_UnmapOfAPageInManySpaces(benchmark::State& state) {
  const int64_t spaces = state.range(0);
  Kernel kernel;
  kernel.RegisterEntry(Kernel::kRootEntry, [] {});
  std::vector<L4_ThreadId_t> receivers;
  for (int64_t i = 0; i < spaces; i++) receivers.push_back(BootReceiver(kernel));
  const L4_ThreadId_t owner = kernel.Boot({.entry = [&] {
    GetRam();
    for (;;) {
      kernel.WaitForHost();
      for (const L4_ThreadId_t r : receivers) SendFpage(r, PageOf(kRam));
      kernel.WaitForHost();
      L4_UnmapFpage(PageOf(kRam));
    }
  }});
  kernel.RunUntilIdle();
  const auto next = [&] {
    kernel.HostWake(owner);
    if (kernel.RunUntilIdle() != StopReason::kIdle) state.SkipWithError("not idle");
  };
  const Ledger before = kernel.ledger();
  for (auto _ : state) {
    state.PauseTiming();
    next();
    state.ResumeTiming();
    next();
  }
  const Ledger after = kernel.ledger();
  state.counters["unmap"] = static_cast<double>(after.pages_unmapped - before.pages_unmapped) /
                            static_cast<double>(state.iterations());
  state.SetItemsProcessed(state.iterations() * spaces);
}
BENCHMARK(BM_UnmapOfAPageInManySpaces)->Arg(10)->Arg(1000);

void Pager() {
  GetRam();
  L4_ThreadId_t from;
  L4_Wait(&from);
  for (;;) {
    L4_Word_t address;
    L4_StoreMR(1, &address);
    address &= ~L4_Word_t{4095};
    const L4_MapItem_t item = L4_MapItem(PageOf(address), address);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    L4_ReplyWait(from, &from);
  }
}

// A page fault, its answer, and a flush so that the next one faults again.
void BM_PageFault(benchmark::State& state) {
  Kernel kernel;
  const L4_ThreadId_t pager = kernel.Boot({.entry = Pager});
  kernel.RegisterEntry(Kernel::kRootEntry, [] {});
  const L4_ThreadId_t client =
      kernel.Boot({.entry =
                       [&] {
                         for (;;) {
                           kernel.WaitForHost();
                           for (int i = 0; i < kBatch; i++) {
                             char c = 1;
                             const base::Vaddr va(kRam + i * 4096);
                             if (kernel.cpu().Store(va, &c, 1) != AccessStatus::kOk) return;
                             L4_FlushFpage(PageOf(va.value()));
                           }
                         }
                       },
                   .new_space = true,
                   .pager = pager});
  kernel.RunUntilIdle();
  const uint64_t faults = kernel.ledger().page_faults;
  for (auto _ : state) {
    kernel.HostWake(client);
    if (kernel.RunUntilIdle() != StopReason::kIdle) state.SkipWithError("not idle");
  }
  const double items = static_cast<double>(state.iterations()) * kBatch;
  state.counters["fault"] = static_cast<double>(kernel.ledger().page_faults - faults) / items;
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_PageFault);

void BM_LoadThatHits(benchmark::State& state) {
  Kernel kernel;
  RunItems(state, kernel, GetRam, [&kernel](int i) {
    uint64_t word;
    (void)kernel.cpu().Load(base::Vaddr(kRam + i * 4096), &word, 8);
    benchmark::DoNotOptimize(word);
  });
}
BENCHMARK(BM_LoadThatHits);

void BM_BootAndIdle(benchmark::State& state) {
  for (auto _ : state) {
    Kernel kernel;
    kernel.RegisterEntry(Kernel::kRootEntry, [] {});
    if (kernel.RunUntilIdle() != StopReason::kIdle) state.SkipWithError("not idle");
  }
}
BENCHMARK(BM_BootAndIdle);

void BM_ResetAndIdle(benchmark::State& state) {
  Kernel kernel;
  for (auto _ : state) {
    kernel.Reset();
    kernel.RegisterEntry(Kernel::kRootEntry, [] {});
    if (kernel.RunUntilIdle() != StopReason::kIdle) state.SkipWithError("not idle");
  }
}
BENCHMARK(BM_ResetAndIdle);

}  // namespace
}  // namespace fake_l4
