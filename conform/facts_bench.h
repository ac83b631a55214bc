// conform/facts_bench.h: the recorded machine of a file of facts, on the simulated kernel.
//
// WHAT     One FactsBench is one boot: root, which is the scheduler and pager of all others;
// helpers
//          0 and 1 in root's space, 2 and 3 in space A, 4 in space B. Between its jobs a helper
//          waits for root. The host hands out one job at a time and lets the machine come to rest;
//          a thread that is not done then is blocked. Everything the machine does, its set-up
//          included, goes through <l4/*.h>; only the clerk, who carries the host's wishes to root,
//          was put there from outside.
//          Results leave in the recorded machine's 32-bit words (widening.h); ids do so here:
//            global id    number and version keep their values, at the places of 32-bit words
//            local id     named by the UTCB's place in its area: the recorded n-th UTCB for our
//            n-th
// SEE      facts.h; facts_scenarios.h for the jobs.
#ifndef CONFORM_FACTS_BENCH_H_
#define CONFORM_FACTS_BENCH_H_

#include <l4/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "conform/facts.h"
#include "fake_l4/kernel.h"
#include "fake_l4/quirks.h"

namespace conform {

// Timeouts of the scenarios.
inline constexpr uint16_t kForever = 0;
inline constexpr uint16_t kAtOnce = 0x0400;
inline constexpr uint16_t kTenMilliseconds = 4 << 10 | 625;  // 625 * 2^4 us

// What a thread does in an IPC. Registers that `words` does not give hold 0x100 + their number.
struct IpcCall {
  L4_ThreadId_t to = {0};
  L4_ThreadId_t from = {0};
  uint16_t send_timeout = kForever, receive_timeout = kForever;
  L4_Word_t tag = 0;
  std::vector<L4_Word_t> words = {};    // MR1 ...
  std::vector<L4_Word_t> buffers = {};  // BR0 ...
  L4_ThreadId_t virtual_sender = {0};
};

// Results of another system call, in the native width.
struct CallResults {
  L4_ThreadId_t id = {0};  // of ExchangeRegisters, whose result is the only id
  L4_Word_t result = 0;    // of the others
  L4_Word_t control = 0, sp = 0, ip = 0, flags = 0, handle = 0;
  L4_ThreadId_t pager = {0};
};

// What a thread saw. `problem` is set when a result has no 32-bit form.
struct Observation {
  Fact fact;
  std::string problem;
};

class FactsBench {
 public:
  static constexpr uint32_t kHelpers = 5;
  // Memory that root has from the start and maps to whoever faults on it: its image.
  static constexpr L4_Word_t kImage = 0x400000;
  static constexpr L4_Word_t kImageLog2 = 20;

  // REQUIRES: the machine has kHelpers helpers.
  FactsBench(const FactMachine& machine, const fake_l4::Quirks& quirks);
  FactsBench(const FactsBench&) = delete;
  FactsBench& operator=(const FactsBench&) = delete;

  // ---- Names ----
  L4_ThreadId_t root() const { return kernel_.root(); }
  L4_ThreadId_t sigma0() const { return kernel_.sigma0(); }
  L4_ThreadId_t Id(uint32_t helper) const { return helpers_[helper].id; }
  // Well-formed, of no thread; the second is a number that is in use with another version.
  L4_ThreadId_t NoSuchThread() const;
  L4_ThreadId_t OtherVersion(uint32_t helper) const;
  // The n-th place of the UTCB area that every space of the machine has.
  L4_Word_t Utcb(uint32_t n) const;
  L4_Fpage_t UtcbArea() const;
  L4_Fpage_t KipArea() const;

  // ---- Jobs. Each returns when the machine has come to rest ----
  // REQUIRES: the helper is not blocked.
  void Ipc(uint32_t helper, const IpcCall& call);
  void Call(uint32_t helper, std::function<CallResults()> call);
  // Loads, stores or fetches one word of simulated memory.
  enum class Access : uint8_t { kLoad, kStore, kFetch };
  void Touch(uint32_t helper, L4_Word_t address, Access access);
  void Root(std::function<FactValue()> job);

  // ---- What came of it ----
  // Adds an observation: what the helper, or root, saw in its last job.
  void Report(const char* scenario, uint32_t helper);
  void ReportRoot(const char* scenario);
  const std::vector<Observation>& observations() const { return observations_; }
  // Empty, or why the machine is of no further use.
  const std::string& problem() const { return problem_; }
  fake_l4::Ledger ledger() const { return kernel_.ledger(); }

  // The 32-bit form of a thread id; absent when there is none.
  std::optional<uint32_t> NarrowId(L4_ThreadId_t id) const;

 private:
  enum class JobKind : uint8_t { kNone, kIpc, kCall, kTouch };
  // The threads' stacks hold none of this.
  struct Helper {
    L4_ThreadId_t id = {0};
    JobKind kind = JobKind::kNone;  // to do
    JobKind last = JobKind::kNone;  // of the results
    bool done = true;
    IpcCall ipc;
    std::function<CallResults()> call;
    L4_Word_t address = 0;
    Access access = Access::kLoad;
    // Results.
    L4_Word_t tag = 0, error = 0;
    L4_ThreadId_t from = {0}, actual_sender = {0};
    L4_Word_t mr[kFactRegisters] = {};
    CallResults results;
  };

  void RootMain();
  void BuildHelpers();
  void AnswerFault(L4_ThreadId_t from);
  void HelperMain(Helper& h);
  void DoIpc(Helper& h);
  void DoTouch(Helper& h);
  void ClerkMain();
  void Start(uint32_t helper, JobKind kind);
  void Give(uint32_t command);
  FactValue Value(const Helper& h, JobKind kind, std::string* problem) const;
  bool SharesRootsSpace(uint32_t helper) const { return helper < 2; }

  const FactMachine machine_;
  fake_l4::Kernel kernel_;
  L4_ThreadId_t clerk_ = {0};
  std::array<Helper, kHelpers> helpers_;
  uint32_t command_ = 0;  // a helper's number, or kHelpers: root itself
  std::function<FactValue()> root_job_;
  bool root_done_ = true;
  FactValue root_value_;
  std::vector<Observation> observations_;
  std::string problem_;
};

}  // namespace conform

#endif  // CONFORM_FACTS_BENCH_H_
