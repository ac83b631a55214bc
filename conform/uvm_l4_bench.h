// conform/uvm_l4_bench.h: replays over pmap/l4 on the simulated kernel, without vmserver.
//
// WHAT     Three threads in root's space: one runs what the replay asks (Do), one is the pager of
//          every client, one is the pmap's mirror. Each space has a client thread in a space of its
//          own, which loads and stores a byte when it is told to; a fault goes to the pager, which
//          looks in the pmap's table, asks UVM when that does not help, and answers or cuts the
//          access short. Client spaces of spaces that are gone are used again.
// STATES   One thing at a time: the replay's job, or one client's access.
// SEE      design.md D6; pmap_sim/l4_pmap.h.
#ifndef CONFORM_UVM_L4_BENCH_H_
#define CONFORM_UVM_L4_BENCH_H_

#include <l4/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/canary.h"
#include "conform/uvm_bench.h"
#include "conform/uvm_recording.h"
#include "fake_l4/kernel.h"
#include "machine/arena.h"
#include "pmap_sim/l4_pmap.h"
#include "uvm/thread.h"
#include "uvm/uvm.h"

namespace conform {

class UvmL4Bench final : public UvmBench {
 public:
  // `frames`: physical pages.
  explicit UvmL4Bench(uint64_t frames);
  ~UvmL4Bench() override;
  UvmL4Bench(const UvmL4Bench&) = delete;
  UvmL4Bench& operator=(const UvmL4Bench&) = delete;
  static std::unique_ptr<UvmBench> Make(const UvmSequence& sequence);

  uvm::Uvm& uvm() override { return *uvm_; }
  void Do(absl::FunctionRef<void()> job) override;
  UvmAccess Load(uvm::Space* space, base::Vaddr va, uint8_t* byte) override;
  UvmAccess Store(uvm::Space* space, base::Vaddr va, uint8_t byte) override;
  void Born(uvm::Space* space) override;
  void Gone(uvm::Space* space) override;
  const std::string& problem() const override { return problem_; }
  // The pmap's; UVM has its own.
  base::CanarySwitch& canary() { return canary_; }
  fake_l4::Ledger ledger() const override { return kernel_.ledger(); }
  // Rules of the pmap and the kernel; the first that does not hold.
  std::string Violation() override;

 private:
  // UVM's threads here never run at the same time, so none ever waits but for a device: time jumps
  // to when that has done something.
  class Threads final : public uvm::ThreadSystem {
   public:
    explicit Threads(UvmL4Bench* bench) : bench_(bench) { self_.id = 1; }
    uvm::Thread* Self() override { return &self_; }
    void Park() override;
    bool ParkUntil(uint64_t deadline_us) override;
    void Unpark(uvm::Thread* thread) override;
    void Yield() override {}
    uint64_t Now() override { return now_us_; }

   private:
    UvmL4Bench* const bench_;
    uvm::Thread self_;
    bool unparked_ = false;
    uint64_t now_us_ = 0;
  };
  struct Client {
    UvmL4Bench* bench = nullptr;
    L4_ThreadId_t thread = {0};
    uvm::Space* space = nullptr;  // null: free to use
    // The access it is told to make.
    base::Access access = base::Access::kRead;
    base::Vaddr va;
    uint8_t byte = 0;
    bool done = false;
    std::optional<base::FaultError> refused;
  };

  void ServerMain();
  void PagerMain();
  static void ClientMain(Client* client);
  void AnswerFault(Client* client, L4_MsgTag_t tag);
  Client* Find(L4_ThreadId_t thread);
  Client* ClientOf(const uvm::Space* space);
  UvmAccess Access(uvm::Space* space, base::Vaddr va, base::Access access, uint8_t* byte);
  void Run();

  machine::Arena arena_;
  base::CanarySwitch canary_;
  fake_l4::Kernel kernel_;
  pmap_sim::L4Pmap pmap_;
  Threads threads_{this};
  std::optional<uvm::Uvm> uvm_;
  L4_ThreadId_t server_ = {0}, pager_ = {0}, mirror_ = {0};
  const absl::FunctionRef<void()>* job_ = nullptr;
  std::vector<std::unique_ptr<Client>> clients_;
  std::string problem_;
};

}  // namespace conform

#endif  // CONFORM_UVM_L4_BENCH_H_
