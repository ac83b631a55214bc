// How fast is text turned into operations, and how long is it? Napkin: 40 characters at a few
// cycles each are 30 ns to scan; keeping the lines touches 180 bytes more. Goal: 10 million
// operations a second, 45 bytes an operation.

#include <string>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "traces/codec.h"
#include "traces/trace.h"

namespace traces {
namespace {

// What a recorded program with touches looks like: mostly accesses, some calls.
std::string TypicalText(int ops) {
  std::string text = "# typical: a recorded program\ns1 = space -> ok\n";
  for (int i = 0; i < ops; i += 10) {
    uint64_t at = 0x7f5500000000 + static_cast<uint64_t>(i % 5000) * 4096;
    absl::StrAppend(&text, "s1.mmap 0x", absl::Hex(at),
                    " 0x4000 rw- private,fixed file libc.so.6 0x1000 -> 0x", absl::Hex(at), "\n");
    absl::StrAppend(&text, "s1.mprotect 0x", absl::Hex(at), " 0x4000 r-- -> ok\n");
    for (int k = 0; k < 4; ++k) {
      absl::StrAppend(&text, "s1.read 0x", absl::Hex(at + 8 * static_cast<uint64_t>(k)),
                      " 8 -> #8123456789abcdef\n");
      absl::StrAppend(&text, "s1.write 0x", absl::Hex(at + 8 * static_cast<uint64_t>(k)),
                      " 8 0x12345 -> ok\n");
    }
  }
  return text;
}

void BM_StreamOps(benchmark::State& state) {
  std::string text = TypicalText(100000);
  int64_t ops = 0;
  for (auto _ : state) {
    TraceReader reader(text, "t");
    Line line;
    while (reader.Next(&line)) ++ops;
    if (!reader.status().ok()) state.SkipWithError("the text does not parse");
  }
  state.SetItemsProcessed(ops);
  state.counters["bytes_per_op"] = static_cast<double>(text.size()) / 100000;
}
BENCHMARK(BM_StreamOps)->Unit(benchmark::kMillisecond);

void BM_ParseTrace(benchmark::State& state) {
  std::string text = TypicalText(100000);
  int64_t ops = 0;
  for (auto _ : state) ops += static_cast<int64_t>(ParseTrace(text, "t")->lines.size());
  state.SetItemsProcessed(ops);
}
BENCHMARK(BM_ParseTrace)->Unit(benchmark::kMillisecond);

void BM_FormatTrace(benchmark::State& state) {
  Trace trace = *ParseTrace(TypicalText(100000), "t");
  for (auto _ : state) benchmark::DoNotOptimize(FormatTrace(trace));
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(trace.lines.size()));
}
BENCHMARK(BM_FormatTrace)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace traces
