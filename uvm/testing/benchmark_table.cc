#include "uvm/testing/benchmark_table.h"

#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string_view>

#include "base/addr.h"
#include "base/check.h"
#include "uvm/testing/host_pages.h"

namespace uvm::testing {
namespace {

using base::kPageSize;

double Now() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

struct Rows {
  std::map<std::string, Aim> aims;
  std::map<std::string, double> medians;
};

class TableReporter final : public benchmark::BenchmarkReporter {
 public:
  // `aims` null: the rows do less than the aims are for.
  // `aims` null: the rows do less than the aims are for.
  TableReporter(const char* aims, Rows* rows) : aims_(aims), rows_(rows) {}

  bool ReportContext(const Context&) override {
    std::printf("%-58s %10s %10s %10s %6s  %s\n", "row (ns an item)", "ours", "best",
                aims_ == nullptr ? "-" : aims_, "ratio", "counted for each item");
    return true;
  }

  void ReportRuns(const std::vector<Run>& runs) override {
    std::vector<double> ns;
    const Run* one = nullptr;
    for (const Run& run : runs) {
      const auto found = run.counters.find(kNs);
      if (run.run_type == Run::RT_Aggregate || found == run.counters.end()) continue;
      ns.push_back(found->second);
      one = &run;
    }
    if (one == nullptr) return;
    std::stable_sort(ns.begin(), ns.end());
    const double median = ns[ns.size() / 2];
    const std::string& name = one->run_name.function_name;
    rows_->medians[name] = median;
    std::printf("%-58s %10.1f %10.1f", name.c_str(), median, ns.front());
    const Aim& aim = rows_->aims[name];
    const double most = aim.ns + (aim.peer.empty() ? 0 : rows_->medians[aim.peer]);
    if (aim.ns != 0 && aims_ != nullptr) {
      std::printf(" %10.1f %6.2f ", most, median / most);
    } else {
      std::printf(" %10s %6s ", "-", "-");
    }
    if (!aim.floor.empty() && rows_->medians.count(aim.floor) != 0) {
      const double floor = rows_->medians[aim.floor];
      std::printf(" floor %.1f + %.1f", floor, median - floor);
      if (aim.floor_ns != 0)
        std::printf(" (%s + %.1f)", aims_ == nullptr ? "" : aims_, most - aim.floor_ns);
    }
    for (const auto& [counter, value] : one->counters) {
      if (counter != kNs) std::printf(" %s %.4g", counter.c_str(), value.value);
    }
    std::printf("\n");
    std::fflush(stdout);
  }

  static constexpr char kNs[] = "ns";

 private:
  const char* const aims_;
  Rows* const rows_;
};

Rows& TheRows() {
  static Rows* const rows = new Rows;
  return *rows;
}

constexpr uint64_t kWalkPages = 16384;  // 64 MB

void Walk(Meter& meter, const std::function<void(uint64_t)>& page_work) {
  meter.Start();
  for (uint64_t page = 0; page < kWalkPages; ++page) page_work(page * kPageSize);
  meter.Stop(kWalkPages);
}

}  // namespace

void Meter::Start() {
  before_ = read_();
  start_ = Now();
}

void Meter::Stop(uint64_t items) {
  ns_ += Now() - start_;
  items_ += items;
  const Counts after = read_();
  if (moved_.empty()) {
    for (const auto& [name, count] : after) moved_.emplace_back(name, 0);
  }
  for (size_t i = 0; i < after.size(); ++i) {
    moved_[i].second += after[i].second - before_[i].second;
  }
}

void AddRow(const std::string& name, const Aim& aim, ReadCounts read,
            std::function<void(Meter&)> work) {
  TheRows().aims[name] = aim;
  const auto run = [read = std::move(read), work = std::move(work)](benchmark::State& state) {
    Meter meter(read);
    double before = 0;
    for (auto _ : state) {
      work(meter);
      state.SetIterationTime((meter.ns() - before) * 1e-9);
      before = meter.ns();
    }
    const auto items = static_cast<double>(meter.items());
    CHECK(meter.items() != 0);
    for (const auto& [counter, count] : meter.moved()) {
      if (count != 0) state.counters[counter] = static_cast<double>(count) / items;
    }
    for (const auto& [note, value] : meter.notes()) state.counters[note] = value;
    state.counters[TableReporter::kNs] = meter.ns() / items;
  };
  benchmark::RegisterBenchmark(name.c_str(), run)->UseManualTime()->Iterations(1);
}

void AddPeers(double memset_aim_ns, double memcpy_aim_ns) {
  struct Free {
    void operator()(unsigned char* memory) const { std::free(memory); }
  };
  std::shared_ptr<unsigned char> memory(AllocateLargePages(2 * kWalkPages * kPageSize), Free());
  std::memset(memory.get(), 1, 2 * kWalkPages * kPageSize);
  const ReadCounts nothing = [] { return Counts(); };
  AddRow(kMemsetPeer, {.ns = memset_aim_ns}, nothing, [memory](Meter& meter) {
    Walk(meter, [to = memory.get()](uint64_t at) {
      std::memset(to + at, 0, kPageSize);
      benchmark::DoNotOptimize(to[at]);
    });
  });
  AddRow(kMemcpyPeer, {.ns = memcpy_aim_ns}, nothing, [memory](Meter& meter) {
    Walk(meter, [from = memory.get()](uint64_t at) {
      unsigned char* const to = from + kWalkPages * kPageSize;
      std::memcpy(to + at, from + at, kPageSize);
      benchmark::DoNotOptimize(to[at]);
    });
  });
}

bool IsSmall(int argc, char** argv) {
  return std::any_of(argv, argv + argc,
                     [](std::string_view argument) { return argument == "--small"; });
}

int RunTable(int argc, char** argv, const char* aims) {
  std::vector<char*> arguments;
  bool repetitions_given = false;
  for (int i = 0; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    if (argument.starts_with("--benchmark_repetitions")) repetitions_given = true;
    if (argument != "--small") arguments.push_back(argv[i]);
  }
  std::string repetitions = "--benchmark_repetitions=";
  repetitions += IsSmall(argc, argv) ? "1" : "9";
  if (!repetitions_given) arguments.push_back(repetitions.data());
  auto count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  TableReporter reporter(IsSmall(argc, argv) ? nullptr : aims, &TheRows());
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return 0;
}

}  // namespace uvm::testing
