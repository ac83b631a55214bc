// conform/l4_bench.h: the recorded machine's root task and its spaces, on the simulated kernel.
//
// WHAT     One L4Bench is one run from the reset state. Each space has a thread that sends, unmaps
//          and touches and one that receives; the host gives them one operation at a time. Root
//          owns the pool, maps it into space 0 and is everybody's pager: it notes a fault's access
//          bits and moves the thread past the access. The first word of each frame of the pool
//          holds its number.
// INVARIANTS  Observing reads the kernel from outside: no access, no status bit, no time.
// SEE      kernel.h; widening.h for how recorded words enter and leave.
#ifndef CONFORM_L4_BENCH_H_
#define CONFORM_L4_BENCH_H_

#include <l4/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "conform/recording.h"
#include "fake_l4/kernel.h"
#include "fake_l4/quirks.h"

namespace conform {

class L4Bench {
 public:
  // `recording` gives the shape and must outlive the bench; the kernel follows `quirks`.
  explicit L4Bench(const Recording& recording,
                   const fake_l4::Quirks& quirks = fake_l4::kManualRules);
  L4Bench(const L4Bench&) = delete;
  L4Bench& operator=(const L4Bench&) = delete;

  // Carries out one operation. False when it did not come to its end or broke an invariant of the
  // kernel: problem() tells, and the bench is of no further use. REQUIRES: problem() is empty.
  bool Apply(const Op& op, Return* result);
  State Observe() const;
  const std::string& problem() const { return problem_; }
  fake_l4::Ledger ledger() const { return kernel_.ledger(); }

 private:
  // What one thread is asked to do and what came of it. The threads' stacks hold none of it.
  struct Worker {
    L4Bench* bench = nullptr;
    L4_ThreadId_t id = {0};
    // A job is an operation of which the thread plays its part, or null: receive the pool from
    // root.
    const Op* op = nullptr;
    bool receives = false;
    bool done = false;
    L4_Word_t tag = 0, error = 0;
    L4_Word_t registers[64] = {};
    fake_l4::AccessStatus access = fake_l4::AccessStatus::kOk;
    uint32_t word = 0;    // loaded
    L4_Word_t fault = 0;  // access bits of the last fault message
  };

  void RootMain();
  void WorkerMain(Worker& w);
  void Send(Worker& w, const IpcOp& op);
  void Receive(Worker& w, L4_ThreadId_t from, L4_Word_t window, unsigned words);
  void Unmap(Worker& w, const UnmapOp& op);
  void Touch(Worker& w, const TouchOp& op);
  bool Start(Worker& w, const Op* op, bool receives);
  bool Settled(const Worker& w);
  Worker& Sender(uint32_t space) { return workers_[space * 2]; }
  Worker& Receiver(uint32_t space) { return workers_[space * 2 + 1]; }
  Worker* Find(L4_ThreadId_t id);
  // The 32-bit form of a result; a word without one is a problem.
  template <typename NarrowWord>
  uint32_t Narrowed(L4_Word_t word, NarrowWord narrow);
  IpcReturn IpcResult(const Worker& sender, const Worker& receiver, size_t items);
  bool Run();

  const Recording& recording_;
  fake_l4::Kernel kernel_;
  std::vector<Worker> workers_;  // never resized once threads exist
  std::vector<fake_l4::SpaceId> spaces_;
  std::string problem_;
};

}  // namespace conform

#endif  // CONFORM_L4_BENCH_H_
