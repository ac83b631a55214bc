// uvm/testing/benchmark_table.h: benchmarks printed as a table beside what they aim at.
//
// WHAT     A row is one piece of work, done a few times by Google Benchmark. Its work calls Start
//          and Stop of a Meter round the part that counts, which adds up the thread's CPU time (a
//          neighbour who takes the processor away is not in it) and how far the world's counters
//          moved. Printed for each row: ns of an item (median and best of the repetitions), the
//          aim, their ratio, and the counted work of an item.
//              int main(int argc, char** argv) {
//                const bool small = IsSmall(argc, argv);
//                AddRow("zero-fill fault", {.ns = 532.4}, read_counters, [](Meter& meter) {...});
//                return RunTable(argc, argv, "recorded");
//              }
//          Flags: those of Google Benchmark; --small does one repetition, and rows take less of
//          everything, as an ordinary test wants it.

#ifndef UVM_TESTING_BENCHMARK_TABLE_H_
#define UVM_TESTING_BENCHMARK_TABLE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace uvm::testing {

// Counters of a world by name, always the same ones in the same order.
using Counts = std::vector<std::pair<const char*, uint64_t>>;
using ReadCounts = std::function<Counts()>;

class Meter {
 public:
  explicit Meter(ReadCounts read) : read_(std::move(read)) {}

  void Start();
  void Stop(uint64_t items);
  // A figure of the row that is no counter.
  void Note(const char* name, double value) { notes_.emplace_back(name, value); }

  double ns() const { return ns_; }
  uint64_t items() const { return items_; }
  const Counts& moved() const { return moved_; }
  const std::vector<std::pair<const char*, double>>& notes() const { return notes_; }

 private:
  const ReadCounts read_;
  Counts before_;
  Counts moved_;
  std::vector<std::pair<const char*, double>> notes_;
  double start_ = 0;
  double ns_ = 0;
  uint64_t items_ = 0;
};

// What a row should not exceed: `ns`, and as much again as the median of the row `peer`. 0: none.
// `floor` names a row that does what this one cannot do without, whatever the machine: it is
// printed how much is above that, here and (unless 0) where `ns` and `floor_ns` come from.
struct Aim {
  double ns = 0;
  std::string peer = {};
  std::string floor = {};
  double floor_ns = 0;
};

void AddRow(const std::string& name, const Aim& aim, ReadCounts read,
            std::function<void(Meter&)> work);

// Rows that walk 64 MB of pages with memset, or 2x64 MB with memcpy: the floor of a fault that
// fills or copies a page. They are called kMemsetPeer and kMemcpyPeer.
inline constexpr char kMemsetPeer[] = "(peer) memset of a page, 64 MB walk";
inline constexpr char kMemcpyPeer[] = "(peer) memcpy of a page, 2x64 MB walk";
void AddPeers(double memset_aim_ns, double memcpy_aim_ns);

bool IsSmall(int argc, char** argv);
// Runs the rows and prints the table, whose column of aims is called `aims`. Returns what main
// returns.
int RunTable(int argc, char** argv, const char* aims);

}  // namespace uvm::testing

#endif  // UVM_TESTING_BENCHMARK_TABLE_H_
