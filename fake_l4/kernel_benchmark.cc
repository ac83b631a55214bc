// What do the kernel's operations cost on the host? Counted work (per item) first: messages, kernel
// entries, fiber switches, mapping nodes. Targets on one quiet core: an IPC round trip 80 ns; a
// fault through one trivial pager (two messages, one new node) 120 ns; map or unmap of one page
// below 200 ns; a load that hits 5 ns. BM_Host... are what the host itself takes for the like, in
// the same run.
#include <benchmark/benchmark.h>
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/addr.h"
#include "fake_l4/kernel.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;
constexpr int kBatch = 1000;

// Reports what the ledger counted for each of `items` items an iteration.
void Count(benchmark::State& state, const Ledger& before, const Ledger& after, double items) {
  const double all = static_cast<double>(state.iterations()) * items;
  const auto report = [&](const char* name, uint64_t from, uint64_t to) {
    if (to != from) state.counters[name] = static_cast<double>(to - from) / all;
  };
  report("ipc", before.ipc_sends, after.ipc_sends);
  report("entry", before.system_calls, after.system_calls);
  report("switch", before.fiber_switches, after.fiber_switches);
  report("map", before.pages_mapped, after.pages_mapped);
  report("unmap", before.pages_unmapped, after.pages_unmapped);
  report("split", before.pages_split, after.pages_split);
  report("fault", before.page_faults, after.page_faults);
  state.counters["each"] =
      benchmark::Counter(all, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.SetItemsProcessed(static_cast<int64_t>(all));
}

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
  Count(state, before, kernel.ledger(), batch);
}

L4_Fpage_t PageOf(uint64_t va) {
  return L4_FpageAddRights(L4_FpageLog2(static_cast<L4_Word_t>(va), 12), kRwx);
}

void GetRam() { L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 22)); }

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

void BM_IpcRoundTrip(benchmark::State& state) {
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
BENCHMARK(BM_IpcRoundTrip);

// The host's way to hand over to somebody and back: two threads and a futex.
void BM_HostFutexRoundTrip(benchmark::State& state) {
  constexpr int kRounds = 100;
  std::atomic<int> turn{0};  // even: ours; odd: theirs; negative: the end
  std::thread partner([&turn] {
    for (int seen = 0;;) {
      turn.wait(seen);
      seen = turn.load();
      if (seen < 0) return;
      if (seen % 2 == 0) continue;
      turn.store(++seen);
      turn.notify_one();
    }
  });
  for (auto _ : state) {
    turn.store(0);
    for (int i = 0; i < kRounds; i++) {
      turn.store(2 * i + 1);
      turn.notify_one();
      turn.wait(2 * i + 1);
    }
  }
  turn.store(-1);
  turn.notify_one();
  partner.join();
  state.counters["each"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kRounds,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_HostFutexRoundTrip)->UseRealTime();

// A string from one space to another and an empty answer. Both buffers are mapped.
void BM_StringTransfer(benchmark::State& state) {
  const auto bytes = static_cast<L4_Word_t>(state.range(0));
  constexpr uint64_t kBuffer = kRam + (uint64_t{1} << 20);
  Kernel kernel;
  const L4_ThreadId_t pager = kernel.Boot({.entry = Pager});
  kernel.RegisterEntry(Kernel::kRootEntry, [] {});
  const auto touch = [&kernel, bytes](uint64_t at) {
    char c = 1;
    for (uint64_t i = 0; i < bytes; i += 4096) {
      (void)kernel.cpu().Store(base::Vaddr(at + i), &c, 1);
    }
  };
  const L4_ThreadId_t server = kernel.Boot({.entry =
                                                [&] {
                                                  touch(kBuffer);
                                                  L4_Accept(L4_StringItemsAcceptor);
                                                  L4_LoadBR(1, bytes << 10);
                                                  L4_LoadBR(2, kBuffer);
                                                  L4_ThreadId_t from;
                                                  L4_Wait(&from);
                                                  for (;;) {
                                                    L4_Set_MsgTag(L4_Niltag);
                                                    L4_ReplyWait(from, &from);
                                                  }
                                                },
                                            .new_space = true,
                                            .pager = pager});
  const L4_ThreadId_t client = kernel.Boot({.entry =
                                                [&] {
                                                  touch(kRam);
                                                  for (;;) {
                                                    kernel.WaitForHost();
                                                    for (int i = 0; i < 16; i++) {
                                                      L4_LoadMR(1, bytes << 10);
                                                      L4_LoadMR(2, kRam);
                                                      L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
                                                      if (L4_IpcFailed(L4_Call(server))) return;
                                                    }
                                                  }
                                                },
                                            .new_space = true,
                                            .pager = pager});
  kernel.RunUntilIdle();
  const Ledger before = kernel.ledger();
  for (auto _ : state) {
    if (!kernel.HostWake(client)) state.SkipWithError("no client");
    kernel.RunUntilIdle();
  }
  const Ledger after = kernel.ledger();
  if (after.ipc_errors != before.ipc_errors) state.SkipWithError("a message failed");
  Count(state, before, after, 16);
  state.SetBytesProcessed(state.iterations() * 16 * state.range(0));
}
BENCHMARK(BM_StringTransfer)->Arg(4096)->Arg(65536);

void BM_HostMemcpy(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  const std::vector<char> from(bytes, 'x');
  std::vector<char> to(bytes);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), bytes);
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_HostMemcpy)->Arg(4096)->Arg(65536);

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

// Page faults and their answers alone: the pages are taken back between the measured stretches.
void BM_FaultRoundTrip(benchmark::State& state) {
  Kernel kernel;
  const L4_ThreadId_t pager = kernel.Boot({.entry = Pager});
  kernel.RegisterEntry(Kernel::kRootEntry, [] {});
  const L4_ThreadId_t client = kernel.Boot({.entry =
                                                [&] {
                                                  for (;;) {
                                                    kernel.WaitForHost();
                                                    for (int i = 0; i < kBatch; i++) {
                                                      char c = 1;
                                                      const base::Vaddr va(kRam + i * 4096);
                                                      (void)kernel.cpu().Store(va, &c, 1);
                                                    }
                                                  }
                                                },
                                            .new_space = true,
                                            .pager = pager});
  const L4_ThreadId_t cleaner = kernel.Boot({.entry = [&] {
    for (;;) {
      kernel.WaitForHost();
      L4_UnmapFpage(L4_FpageAddRights(L4_FpageLog2(kRam, 22), kRwx));
    }
  }});
  kernel.RunUntilIdle();
  const Ledger before = kernel.ledger();
  for (auto _ : state) {
    kernel.HostWake(client);
    if (kernel.RunUntilIdle() != StopReason::kIdle) state.SkipWithError("not idle");
    state.PauseTiming();
    kernel.HostWake(cleaner);
    kernel.RunUntilIdle();
    state.ResumeTiming();
  }
  Count(state, before, kernel.ledger(), kBatch);
}
BENCHMARK(BM_FaultRoundTrip);

// The host's page faults: fresh anonymous memory.
void BM_HostFault(benchmark::State& state) {
  constexpr size_t kBytes = size_t{kBatch} * 4096;
  for (auto _ : state) {
    void* memory =
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return state.SkipWithError("no memory");
    madvise(memory, kBytes, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < kBytes; at += 4096) static_cast<volatile char*>(memory)[at] = 1;
    munmap(memory, kBytes);
  }
  state.counters["each"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kBatch,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_HostFault);

void BM_LoadThatHits(benchmark::State& state) {
  Kernel kernel;
  RunItems(state, kernel, GetRam, [&kernel](int i) {
    uint64_t word;
    (void)kernel.cpu().Load(base::Vaddr(kRam + i * 4096), &word, 8);
    benchmark::DoNotOptimize(word);
  });
}
BENCHMARK(BM_LoadThatHits);

// ---- Ten thousand spaces ----

constexpr uint64_t kSpaces = 10000;
constexpr uint64_t kFirstNumber = 1000;
constexpr uint64_t kChildIp = 0x300000;
constexpr L4_Word_t kChildKip = 0x1000, kChildUtcb = 0x10000;

L4_ThreadId_t ChildId(uint64_t i) { return L4_GlobalId(kFirstNumber + i, 1); }

// Each waits for a message, touches the page that comes with it, and answers.
void ChildMain(Kernel* kernel) {
  L4_Accept(L4_MapGrantItems(L4_CompleteAddressSpace));
  L4_ThreadId_t from;
  L4_Wait(&from);
  for (;;) {
    char c = 1;
    (void)kernel->cpu().Store(base::Vaddr(kRam), &c, 1);
    L4_Set_MsgTag(L4_Niltag);
    L4_ReplyWait(from, &from);
  }
}

bool MakeChild(uint64_t i) {
  void* const keep = reinterpret_cast<void*>(~L4_Word_t{0});
  const L4_ThreadId_t id = ChildId(i);
  L4_Word_t old;
  if (L4_ThreadControl(id, id, L4_Myself(), L4_nilthread, keep) == 0 ||
      L4_SpaceControl(id, 0, L4_FpageLog2(kChildKip, 12), L4_FpageLog2(kChildUtcb, 12),
                      L4_nilthread, &old) == 0 ||
      L4_ThreadControl(id, id, L4_Myself(), L4_Myself(), reinterpret_cast<void*>(kChildUtcb)) ==
          0) {
    return false;
  }
  L4_LoadMR(1, kChildIp);
  L4_LoadMR(2, 0);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
  return L4_IpcSucceeded(L4_Send(id));
}

bool CallChild(uint64_t i) {
  const L4_MapItem_t item = L4_MapItem(PageOf(kRam + i % 512 * 4096), kRam);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
  L4_LoadMRs(1, 2, item.raw);
  return L4_IpcSucceeded(L4_Call(ChildId(i)));
}

uint64_t ResidentBytes() {
  unsigned long size = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  const int fields = std::fscanf(file, "%lu %lu", &size, &resident);
  std::fclose(file);
  return fields == 2 ? uint64_t{resident} * 4096 : 0;
}

// Which of its works a round of the manager does.
enum class Work { kMake, kCall, kDelete };

void BM_TenThousandSpaces(benchmark::State& state) {
  Kernel kernel;
  Work work = Work::kMake;
  uint64_t done = 0;
  kernel.RegisterEntry(Kernel::kRootEntry, [] {});
  kernel.RegisterEntry(kChildIp, [&kernel] { ChildMain(&kernel); });
  const L4_ThreadId_t manager = kernel.Boot({.entry = [&] {
    GetRam();
    void* const keep = reinterpret_cast<void*>(~L4_Word_t{0});
    for (;;) {
      kernel.WaitForHost();
      for (uint64_t i = 0; i < kSpaces; i++) {
        if (work == Work::kMake) done += MakeChild(i);
        if (work == Work::kCall) done += CallChild(i);
        if (work == Work::kDelete) {
          done += L4_ThreadControl(ChildId(i), L4_nilthread, L4_nilthread, L4_nilthread, keep);
        }
      }
    }
  }});
  kernel.RunUntilIdle();
  const auto run = [&](Work what) {
    work = what;
    kernel.HostWake(manager);
    kernel.RunUntilIdle();
  };
  const Ledger before = kernel.ledger();
  double bytes = 0, make = 0, call = 0, remove = 0;
  const auto seconds = [] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  };
  for (auto _ : state) {
    const uint64_t empty = ResidentBytes();
    const double t0 = seconds();
    run(Work::kMake);
    const double t1 = seconds();
    run(Work::kCall);  // the first round maps the pages
    bytes = std::max(bytes, static_cast<double>(ResidentBytes()) - static_cast<double>(empty));
    const double t2 = seconds();
    run(Work::kCall);
    const double t3 = seconds();
    run(Work::kDelete);
    make += t1 - t0;
    call += t3 - t2;
    remove += seconds() - t3;
  }
  const double spaces = static_cast<double>(state.iterations()) * kSpaces;
  if (static_cast<double>(done) != 4 * spaces) state.SkipWithError("a call failed");
  Count(state, before, kernel.ledger(), kSpaces);
  state.counters["bytes"] = bytes / kSpaces;
  state.counters["make_ns"] = make / spaces * 1e9;
  state.counters["call_ns"] = call / spaces * 1e9;
  state.counters["delete_ns"] = remove / spaces * 1e9;
}
BENCHMARK(BM_TenThousandSpaces)->Unit(benchmark::kMillisecond);

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
