// conform/uvm_bench.h: what a replay of UVM recordings stands on: a UVM, its pmap, and memory that
// clients can touch.
//
// WHAT     A lane. The one that `vmsim conform uvm` uses is pmap/l4 on the simulated kernel
//          (uvm_l4_bench.h); tests have one over the naive pmap.
// SEE      uvm_replay.h, which drives it.
#ifndef CONFORM_UVM_BENCH_H_
#define CONFORM_UVM_BENCH_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "base/errors.h"
#include "base/prot.h"
#include "fake_l4/kernel.h"
#include "uvm/uvm.h"

namespace conform {

// How an access by a client ended.
struct UvmAccess {
  bool ok = true;
  base::FaultError error = base::FaultError::kNoEntry;  // when not ok
};

class UvmBench {
 public:
  virtual ~UvmBench() = default;
  virtual uvm::Uvm& uvm() = 0;
  // Runs `job` where UVM may be called. Once something went wrong below UVM, problem() tells, and
  // nothing runs any more.
  virtual void Do(absl::FunctionRef<void()> job) = 0;
  // One byte by a client of the space, faults included.
  virtual UvmAccess Load(uvm::Space* space, base::Vaddr va, uint8_t* byte) = 0;
  virtual UvmAccess Store(uvm::Space* space, base::Vaddr va, uint8_t byte) = 0;
  // The space has clients from now on; no longer. Gone before the space is freed.
  virtual void Born(uvm::Space* space) = 0;
  virtual void Gone(uvm::Space* space) = 0;
  virtual const std::string& problem() const = 0;
  // What the kernel did.
  virtual fake_l4::Ledger ledger() const { return {}; }
  // The first rule of what is below UVM that does not hold; empty when all do.
  virtual std::string Violation() { return ""; }
};

}  // namespace conform

#endif  // CONFORM_UVM_BENCH_H_
