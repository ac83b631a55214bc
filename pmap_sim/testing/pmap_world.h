// pmap_sim/testing/pmap_world.h: L4Pmap on a simulated kernel, with clients whose every fault is
// answered by Refill alone.
//
// WHAT     A PmapWorld is the uvm::testing::PmapMachine of pmap/l4. The server's space holds the
//          mirror, one thread that makes the module's calls, one that uses kernel mappings, with a
//          pager that answers its faults, and a pager per client; a client is one thread in a space
//          of its own, and an accomplice in another space that takes whatever the client maps to
//          it. Threads wait for the host between their jobs, so each job is one
//          run of the kernel. A fault that Refill cannot answer ends the access.
// STATES   sound -> broken: a CHECK failed or a thread did not come back; Problem() says which, and
//          nothing runs any more.

#ifndef PMAP_SIM_TESTING_PMAP_WORLD_H_
#define PMAP_SIM_TESTING_PMAP_WORLD_H_

#include <l4/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/canary.h"
#include "base/pool.h"
#include "base/prng.h"
#include "base/prot.h"
#include "fake_l4/testing/watched_schedule.h"
#include "fake_l4/testing/world.h"
#include "pmap_sim/l4_pmap.h"
#include "uvm/pmap.h"
#include "uvm/testing/pmap_contract.h"

namespace pmap_sim {

// Memory for tables; it lives as long as the world and can run out.
class TablePages final : public base::PageSource {
 public:
  void* AllocateChunk(size_t bytes) override;
  bool refuse = false;

 private:
  std::vector<std::unique_ptr<unsigned char[]>> chunks_;
};

struct PmapWorldOptions {
  fake_l4::Profile profile = fake_l4::kAmd64Nx;
  fake_l4::Quirks quirks = fake_l4::kManualRules;
  uint64_t ram_bytes = uint64_t{1} << 20;
  uint32_t spare_mappings = 0;  // that the kernel has memory for once the pmap is up; 0: no limit
  uint64_t alias_windows = 1024;
  uint64_t seed = 1;   // of the schedule
  bool tricks = true;  // clients flush and pass on their pages
  // Now and then an access meets a kernel that has no memory for a mapping, or an answer to a fault
  // that comes late or maps less than it names.
  bool kernel_faults = false;
  uint64_t* faults_fired = nullptr;  // is added to
  // Faults of the server's own threads, on kernel mappings that the kernel had no memory for, that
  // were answered; is added to.
  uint64_t* kernel_refills = nullptr;
};

class PmapWorld final : public uvm::testing::PmapMachine {
 public:
  explicit PmapWorld(const PmapWorldOptions& options);
  PmapWorld(const PmapWorld&) = delete;
  PmapWorld& operator=(const PmapWorld&) = delete;

  L4Pmap& pmap() { return *pmap_; }
  fake_l4::Kernel& kernel() { return world_.kernel(); }
  fake_l4::World& world() { return world_; }
  base::CanarySwitch& canary() { return canary_; }
  TablePages& tables() { return tables_; }

  uvm::PmapSystem& system() override { return *pmap_; }
  void Call(const std::function<void()>& call) override;
  uvm::Pmap* NewClient(uint32_t client) override;
  void EndClient(uint32_t client) override;
  void Access(Touch* touch) override;
  void Overlap(const std::function<void()>& call, Touch* touch) override;
  bool KernelAccess(base::Vaddr va, base::Access access, uint64_t* word) override;
  void ForEachUsable(uint32_t client, const Visitor& visit) override;
  void Trick(uint32_t client, base::Vaddr va, uvm::testing::PmapCall trick) override;
  std::vector<base::Paddr> Unmanaged() override;
  unsigned char* Memory(base::Paddr pa) override;
  std::string Problem() override;

  // Starts several jobs, then runs until all are done: what they do overlaps.
  void Start(const std::function<void()>& call);
  void StartAccess(Touch* touch);
  void StartProgram(uint32_t client, std::function<void()> program) {
    StartJob(client, std::move(program));
  }
  void Finish();
  // The schedule from now on. REQUIRES: nothing runs.
  void UseSchedule(std::unique_ptr<fake_l4::ScheduleStrategy> schedule);

  L4_ThreadId_t program_of(uint32_t client) const { return clients_[client]->program; }
  L4_ThreadId_t accomplice_of(uint32_t client) const { return clients_[client]->accomplice; }
  L4_ThreadId_t pager_of(uint32_t client) const { return clients_[client]->pager; }
  // Of the last fault that its pager saw.
  RefillResult last_refill(uint32_t client) const { return clients_[client]->last; }
  // Rights of a page in the client's space as the kernel has them, in pmap order.
  base::Prot RightsAt(uint32_t client, base::Vaddr va) const;

 private:
  struct Client {
    uvm::Pmap* pmap = nullptr;
    L4_ThreadId_t pager = {0};
    L4_ThreadId_t program = {0};
    L4_ThreadId_t accomplice = {0};
    fake_l4::SpaceId space{};
    fake_l4::SpaceId accomplice_space{};
    RefillResult last = RefillResult::kSent;
    std::function<void()> job;  // what the program does next
    bool busy = false;
  };

  void ServerMain();
  void KernelProgramMain();
  void KernelPagerMain();
  void Make(Touch* touch);
  void PagerMain(Client* client);
  void ProgramMain(Client* client);
  void Run();
  void StartJob(uint32_t client, std::function<void()> job);
  void ArmSomeFault();

  const PmapWorldOptions options_;
  fake_l4::World world_;
  TablePages tables_;
  base::CanarySwitch canary_;
  std::unique_ptr<L4Pmap> pmap_;
  L4_ThreadId_t server_ = {0};
  const std::function<void()>* call_ = nullptr;
  L4_ThreadId_t kernel_program_ = {0};
  Touch kernel_touch_;  // what it does next
  bool kernel_busy_ = false;
  std::vector<std::unique_ptr<Client>> clients_;  // by number
  std::vector<std::unique_ptr<Client>> ended_;
  base::Prng fault_prng_;
  uint64_t faults_seen_ = 0;
  std::string problem_;
  uint64_t checks_ = 0;
};

}  // namespace pmap_sim

#endif  // PMAP_SIM_TESTING_PMAP_WORLD_H_
