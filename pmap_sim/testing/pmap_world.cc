#include "pmap_sim/testing/pmap_world.h"

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <iterator>
#include <utility>

#include "base/fault_site.h"
#include "base/text_sink.h"

namespace pmap_sim {
namespace {

using base::Paddr;
using base::Prot;
using base::Vaddr;

constexpr uint64_t kNobodysCode = 0xdead000;

// The area of aliases, then that of kernel mappings; both beyond RAM, below the root's UTCBs.
struct Areas {
  uint64_t aliases;
  uint64_t kernel;
};
constexpr Areas AreasOf(const fake_l4::Profile& profile) {
  if (profile.word_bits == 32) return {0x4000'0000, 0xa000'0000};
  return {0x1000'0000'0000, 0x2000'0000'0000};
}
constexpr uint64_t kKernelBytes = 4 * kWindowBytes;

Prot ToProt(fake_l4::RightsBits rights) {
  return Prot(static_cast<uint8_t>((rights >> 2 & 1) | (rights & 2) | (rights & 1) << 2));
}

base::Access AccessOf(L4_MsgTag_t fault) {
  L4_Word_t rights = L4_PageFaultAccess(fault);
  if ((rights & L4_Writable) != 0) return base::Access::kWrite;
  return (rights & L4_Readable) != 0 ? base::Access::kRead : base::Access::kExecute;
}

}  // namespace

void* TablePages::AllocateChunk(size_t bytes) {
  if (refuse) return nullptr;
  chunks_.push_back(std::make_unique<unsigned char[]>(bytes + base::kPageSize));
  auto address = reinterpret_cast<uintptr_t>(chunks_.back().get());
  return reinterpret_cast<void*>(base::RoundPage(address));
}

namespace {

// So that the pmap comes up, and then finds `spare_mappings` left.
uint32_t MostMappings(PmapWorldOptions options) {
  if (options.spare_mappings == 0) return 0;
  uint32_t spare = std::exchange(options.spare_mappings, 0);
  return PmapWorld(options).kernel().mapping_count() + spare;
}

}  // namespace

PmapWorld::PmapWorld(const PmapWorldOptions& options)
    : options_(options),
      world_({.ram_bytes = options.ram_bytes,
              .profile = options.profile,
              .quirks = options.quirks,
              .max_mappings = MostMappings(options),
              .scribble_registers = true}),
      fault_prng_(options.seed, "pmap_world.faults") {
  Areas areas = AreasOf(options.profile);
  pmap_ = std::make_unique<L4Pmap>(
      L4Pmap::Config{.memory = &tables_,
                     .canary = &canary_,
                     .home_bias = kernel().home_bias(),
                     .alias_area = Vaddr(areas.aliases),
                     .alias_windows = options.alias_windows,
                     .kernel_area = {Vaddr(areas.kernel), Vaddr(areas.kernel + kKernelBytes)}});
  L4_ThreadId_t mirror = world_.Spawn([] { L4Pmap::MirrorLoop(); });
  server_ = world_.Spawn([this] { ServerMain(); });
  kernel_program_ = world_.SpawnWith(
      server_, [this] { KernelProgramMain(); }, world_.Spawn([this] { KernelPagerMain(); }));
  Run();
  UseSchedule(fake_l4::RandomSchedule(options.seed));
  Call([this, mirror] {
    if (!pmap_->Boot(mirror)) problem_ = "Boot failed";
  });
}

void PmapWorld::UseSchedule(std::unique_ptr<fake_l4::ScheduleStrategy> schedule) {
  kernel().SetStrategy(
      std::make_unique<fake_l4::WatchedSchedule>(std::move(schedule), [this] { Watch(); }));
}

// ---- Threads ----

void PmapWorld::ServerMain() {
  for (;;) {
    kernel().WaitForHost();
    (*call_)();
    call_ = nullptr;
  }
}

void PmapWorld::PagerMain(Client* client) {
  for (;;) {
    L4_ThreadId_t from;
    L4_MsgTag_t tag = L4_Wait(&from);
    if (!L4_IpcSucceeded(tag)) continue;
    L4_Word_t address;
    L4_StoreMR(1, &address);
    client->last = pmap_->Refill(client->pmap, Vaddr(address), AccessOf(tag), {from, L4_Myself()});
    if (client->last != RefillResult::kSent) L4_Start_SpIp(from, 0, kNobodysCode);
  }
}

void PmapWorld::ProgramMain(Client* client) {
  for (;;) {
    kernel().WaitForHost();
    client->job();
    client->busy = false;
  }
}

// As vmserver answers faults of its own threads.
void PmapWorld::KernelPagerMain() {
  for (;;) {
    L4_ThreadId_t from;
    L4_MsgTag_t tag = L4_Wait(&from);
    if (!L4_IpcSucceeded(tag)) continue;
    L4_Word_t address;
    L4_StoreMR(1, &address);
    const RefillResult result =
        pmap_->Refill(pmap_->Kernel(), Vaddr(address), AccessOf(tag), {from, L4_Myself()});
    if (result != RefillResult::kSent) L4_Start_SpIp(from, 0, kNobodysCode);
    if (options_.kernel_refills != nullptr) ++*options_.kernel_refills;
  }
}

void PmapWorld::KernelProgramMain() {
  for (;;) {
    kernel().WaitForHost();
    Make(&kernel_touch_);
    kernel_busy_ = false;
  }
}

void PmapWorld::Make(Touch* touch) {
  fake_l4::Cpu cpu = kernel().cpu();
  fake_l4::AccessStatus status;
  switch (touch->access) {
    case base::Access::kRead:
      status = cpu.Load(touch->va, &touch->word, sizeof touch->word);
      break;
    case base::Access::kWrite:
      status = cpu.Store(touch->va, &touch->word, sizeof touch->word);
      break;
    default:
      status = cpu.Fetch(touch->va);
      break;
  }
  touch->done = status == fake_l4::AccessStatus::kOk;
}

void PmapWorld::Run() {
  if (!problem_.empty()) return;
  constexpr uint64_t kMostSwitches = 200000;
  fake_l4::StopReason reason = kernel().RunUntilIdle({.max_switches = kMostSwitches});
  if (reason == fake_l4::StopReason::kCrashed) problem_ = kernel().crash_text();
  if (reason == fake_l4::StopReason::kSwitches) problem_ = "still running";
}

void PmapWorld::Start(const std::function<void()>& call) {
  if (!problem_.empty()) return;
  call_ = &call;
  kernel().HostWake(server_);
}

void PmapWorld::StartJob(uint32_t client, std::function<void()> job) {
  if (!problem_.empty()) return;
  clients_[client]->job = std::move(job);
  clients_[client]->busy = true;
  kernel().HostWake(clients_[client]->program);
}

void PmapWorld::ArmSomeFault() {
  constexpr base::FaultSite kSites[] = {base::FaultSite::kMappingNode, base::FaultSite::kPagerLate,
                                        base::FaultSite::kPagerWrongFpage,
                                        base::FaultSite::kPagerSmallerFpage};
  if (!fault_prng_.Chance(1, 3)) return;
  const base::FaultSite site = kSites[fault_prng_.Below(std::size(kSites))];
  kernel().ArmFault(site, fault_prng_.Below(3));
}

void PmapWorld::StartAccess(Touch* touch) {
  if (options_.kernel_faults) ArmSomeFault();
  StartJob(touch->client, [this, touch] { Make(touch); });
}

void PmapWorld::Finish() {
  Run();
  if (options_.kernel_faults) {
    kernel().DisarmFaults();
    const uint64_t fired = kernel().ledger().faults_injected;
    if (options_.faults_fired != nullptr) *options_.faults_fired += fired - faults_seen_;
    faults_seen_ = fired;
  }
  if (!problem_.empty()) return;
  if (call_ != nullptr) problem_ = "a call did not return\n" + kernel().DescribeWaits();
  if (kernel_busy_) problem_ = "a server's access did not end\n" + kernel().DescribeWaits();
  for (const std::unique_ptr<Client>& client : clients_) {
    if (client != nullptr && client->busy) {
      problem_ = "an access did not end\n" + kernel().DescribeWaits();
    }
  }
}

// ---- PmapMachine ----

void PmapWorld::Call(const std::function<void()>& call) {
  Start(call);
  Finish();
}

void PmapWorld::Access(Touch* touch) {
  StartAccess(touch);
  Finish();
}

void PmapWorld::Overlap(const std::function<void()>& call, Touch* touch) {
  Start(call);
  StartAccess(touch);
  Finish();
}

uvm::Pmap* PmapWorld::NewClient(uint32_t number) {
  if (clients_.size() <= number) clients_.resize(number + 1);
  if (clients_[number] != nullptr) ended_.push_back(std::move(clients_[number]));
  clients_[number] = std::make_unique<Client>();
  Client* client = clients_[number].get();
  Call([&] { client->pmap = pmap_->Create().value(); });
  if (!problem_.empty()) return nullptr;
  client->pager = world_.Spawn([this, client] { PagerMain(client); });
  client->program = world_.SpawnInNewSpace([this, client] { ProgramMain(client); }, client->pager);
  client->accomplice = world_.SpawnInNewSpace([] {
    for (;;) fake_l4::ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
  });
  client->space = world_.SpaceOf(client->program);
  client->accomplice_space = world_.SpaceOf(client->accomplice);
  Run();
  return client->pmap;
}

void PmapWorld::EndClient(uint32_t number) {
  Client* client = clients_[number].get();
  Call([&] {
    for (L4_ThreadId_t id : {client->program, client->accomplice, client->pager}) {
      L4_ThreadControl(id, L4_nilthread, L4_nilthread, L4_nilthread,
                       reinterpret_cast<void*>(~L4_Word_t{0}));
    }
  });
}

bool PmapWorld::KernelAccess(Vaddr va, base::Access access, uint64_t* word) {
  if (!problem_.empty()) return false;
  if (options_.kernel_faults) ArmSomeFault();
  kernel_touch_ = {.va = va, .access = access, .word = *word};
  kernel_busy_ = true;
  kernel().HostWake(kernel_program_);
  Finish();
  *word = kernel_touch_.word;
  return kernel_touch_.done;
}

void PmapWorld::ForEachUsable(uint32_t number, const Visitor& visit) {
  if (number >= clients_.size()) return;
  const Client& client = *clients_[number];
  for (fake_l4::SpaceId space : {client.space, client.accomplice_space}) {
    // sigma0's: the client's own is not made yet.
    if (space == fake_l4::kSigma0Space || !kernel().SpaceExists(space)) continue;
    kernel().ForEachPage(
        space, [&](const fake_l4::Mapping& m) { visit(m.va, m.frame, ToProt(m.rights)); });
  }
}

void PmapWorld::Trick(uint32_t client, Vaddr va, uvm::testing::PmapCall trick) {
  if (!options_.tricks) return;
  L4_Fpage_t page = fake_l4::Page(va.value(), L4_FullyAccessible);
  L4_ThreadId_t accomplice = clients_[client]->accomplice;
  StartJob(client, [page, va, trick, accomplice] {
    if (trick == uvm::testing::PmapCall::kTrickFlush) {
      L4_FlushFpage(page);
    } else {
      fake_l4::SendMap(accomplice, page, static_cast<L4_Word_t>(va.value()));
    }
  });
  Finish();
}

std::vector<Paddr> PmapWorld::Unmanaged() {
  Paddr first = world_.kernel().ram_base() + options_.ram_bytes;
  return {first, first + base::kPageSize};
}

unsigned char* PmapWorld::Memory(Paddr pa) { return kernel().ram() + (pa - kernel().ram_base()); }

std::string PmapWorld::Problem() {
  char text[512];
  base::TextSink out(text, sizeof text);
  if (problem_.empty() && !pmap_->CheckInvariants(out)) problem_ = text;
  constexpr uint64_t kKernelChecksEvery = 64;
  if (problem_.empty() && ++checks_ % kKernelChecksEvery == 0 && !kernel().CheckInvariants(out)) {
    problem_ = text;
  }
  return problem_;
}

Prot PmapWorld::RightsAt(uint32_t client, Vaddr va) const {
  return ToProt(world_.kernel().Inspect(clients_[client]->space, va).rights);
}

}  // namespace pmap_sim
