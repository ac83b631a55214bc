#include "machine/machine.h"

#include <l4/thread.h>

#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "base/hash.h"
#include "fake_l4/priority_round_robin.h"
#include "uvm/pdpolicy_choice.h"
#include "vmserver/client.h"
#include "vmserver/protocol.h"

namespace machine {
namespace {

using traces::OpKind;

// Simulated addresses of code. Any would do that differ from the kernel's own.
constexpr uint64_t kServerThreadEntry = 0x200000;
constexpr uint64_t kClientEntry = 0x400000;
constexpr uint64_t kBlockDriverEntry = 0x600000;
// Nothing is registered here: a client that is sent here finds its load or store cut short
// (fake_l4/kernel.h).
constexpr uint64_t kExceptionIp = 0x500000;
// Server stacks are the fibers' own; the simulated addresses only have to differ.
constexpr uint64_t kStackArea = 0x10'0000'0000;
constexpr uint64_t kStackBytes = 0x10000;
// Aliases lie far above RAM and below the kernel's areas in the root space.
constexpr uint64_t kAliasArea = 0x1000'0000'0000;
constexpr uint64_t kAliasWindows = uint64_t{1} << 20;
// Above the aliases.
constexpr uint64_t kKernelArea = 0x2000'0000'0000;
constexpr uint64_t kKernelBytes = uint64_t{1} << 36;
// The two pages of user space that no map contains.
constexpr uint64_t kClientKip = 0;
constexpr uint64_t kClientUtcb = traces::kDefaultMapMax;
// Of tasks whose map begins at 0 and ends below.
constexpr uint64_t kClient32Kip = traces::kDefaultMapMax - base::kPageSize;
static_assert(vmserver::kMapMax32 == traces::kMapMax32);
static_assert(vmserver::kDefaultMapMax == traces::kDefaultMapMax);
static_assert(vmserver::kMapMin == traces::kMapMin);
static_assert(vmserver::kMaxThreads == traces::kMaxThreads);
static_assert(kClientKip + base::kPageSize <= traces::kMapMin);

// Canaries that no CHECK catches: only a process of its own survives them.
void CrashIfItGrew(const traces::ResolvedOp& op, const traces::Outcome& outcome) {
  if (op.kind != OpKind::kMremap || !outcome.ok() || op.new_size <= op.size) return;
  volatile uintptr_t wild = base::kPageSize / 2;  // volatile: gcc would see that nothing is there
  *reinterpret_cast<volatile uint64_t*>(wild) = outcome.value;
}

void HangIfItLocked(const traces::ResolvedOp& op, const traces::Outcome& outcome) {
  if (op.kind != OpKind::kMlockall || !outcome.ok()) return;
  for (volatile bool forever = true; forever;) {
  }
}

// The server's areas lie in the same addresses. The frame buffer is made of device memory.
bool HasRoom(const fake_l4::Profile& profile) {
  return profile.user_top >= kClientUtcb + base::kPageSize &&
         profile.device_bytes >= base::ToBytes(base::PageCount(traces::kFrameBufferPages));
}

}  // namespace

const fake_l4::Profile* FindProfile(std::string_view name) {
  const fake_l4::Profile* profile = fake_l4::FindProfile(name);
  return profile != nullptr && HasRoom(*profile) ? profile : nullptr;
}

std::vector<std::string> ProfileNames() {
  std::vector<std::string> names;
  for (const fake_l4::Profile* p : fake_l4::kAllProfiles) {
    if (HasRoom(*p)) names.emplace_back(p->name);
  }
  return names;
}

bool IsPolicy(std::string_view text) {
  uvm::PolicySpec spec;
  return uvm::PolicyOfText(std::string(text).c_str(), &spec);
}

std::vector<std::string> PolicyNames() {
  std::vector<std::string> names;
  for (const uvm::PolicyKind kind : uvm::kPolicyKinds) names.emplace_back(uvm::PolicyName(kind));
  return names;
}

const fake_l4::Quirks* FindQuirks(std::string_view name) { return fake_l4::FindQuirks(name); }

std::vector<std::string> QuirkNames() {
  std::vector<std::string> names;
  for (const fake_l4::Quirks* q : fake_l4::kQuirkProfiles) names.emplace_back(q->name);
  return names;
}

vmserver::Server::Config Machine::ServerConfig(const Options& options, Arena* arena,
                                               const base::CanarySwitch* canary,
                                               fake_l4::Kernel& kernel, AdversePmap* adverse,
                                               const SwapSet& swap, AesSwapCipher* cipher) {
  vmserver::Server::Config config;
  if (options.adversity != Adversity::kNone) config.pmap_between = adverse;
  config.memory = arena;
  config.canary = canary;
  config.home_bias = kernel.home_bias();
  config.stamp_bias = kernel.stamp_bias();
  config.alias_area = base::Vaddr(kAliasArea);
  config.alias_windows = kAliasWindows;
  config.kernel_area = {base::Vaddr(kKernelArea), base::Vaddr(kKernelArea + kKernelBytes)};
  config.layout.utcb_area = kernel.root_utcb_area();
  config.layout.utcb_bytes = kernel.utcb_bytes();
  config.layout.slots = static_cast<uint32_t>(
      (uint64_t{1} << kernel.profile().root_utcb_area_log2) / kernel.utcb_bytes());
  config.layout.entry = kServerThreadEntry;
  config.layout.stack_area = kStackArea;
  config.layout.stack_bytes = kStackBytes;
  config.init_entry = kClientEntry;
  config.exception_ip = kExceptionIp;
  config.client_kip_area = L4_FpageLog2(kClientKip, base::kPageShift);
  config.client_utcb_area = L4_FpageLog2(kClientUtcb, base::kPageShift);
  config.client_utcb_bytes = kernel.utcb_bytes();
  config.client32_kip_area = L4_FpageLog2(kClient32Kip, base::kPageShift);
  config.max_tasks = options.max_tasks;
  config.swap_devices = swap.devices();
  config.swap_device_count = swap.count();
  config.swap_cipher = cipher;
  if (const SwapSpec* driver = swap.FindDriver(); driver != nullptr)
    config.block_driver = {kBlockDriverEntry, base::PageCount(driver->pages)};
  config.page_daemon = swap.count() != 0;
  CHECK(uvm::PolicyOfText(options.policy.c_str(), &config.policy));
  // The device memory that the kernel's memory table names lies right above RAM.
  config.frame_buffer.key = traces::KeyOfName(traces::kFrameBuffer);
  config.frame_buffer.read_only_key = traces::KeyOfName(traces::kFrameBufferReadOnly);
  config.frame_buffer.start = base::Paddr(kernel.profile().ram_base + options.ram_bytes);
  config.frame_buffer.pages = traces::kFrameBufferPages;
  config.frame_buffer.writable_pages = traces::kFrameBufferWritablePages;
  return config;
}

Machine::Machine(const Options& options)
    : options_(options),
      arena_(options.arena_bytes),
      kernel_(fake_l4::BootOptions{.ram_bytes = options.ram_bytes,
                                   .profile = options.profile,
                                   .quirks = options.quirks,
                                   .processors = options.processors,
                                   .faults_spare_root = true}),
      adverse_pmap_(options.adversity, options.seed),
      swap_set_(options.swap),
      swap_cipher_(options.seed),
      server_(ServerConfig(options, &arena_, &canary_, kernel_, &adverse_pmap_, swap_set_,
                           &swap_cipher_)),
      events_(options.memory, options.swap_encryption, options.processors) {
  swap_set_.Make(server_.thread_system(), &arena_, server_.block_proxy());
  if (const SwapSpec* driver = swap_set_.FindDriver(); driver != nullptr) {
    block_driver_ = std::make_unique<BlockDriver>(
        &kernel_, base::PageCount(driver->pages),
        BlockDriver::Latency{.transfer_us = driver->transfer_us, .page_us = driver->page_us});
    auto main = [](void* block_driver) { static_cast<BlockDriver*>(block_driver)->Main(); };
    kernel_.RegisterEntry(kBlockDriverEntry, main, block_driver_.get());
    server_.block_proxy()->SetDebugBytes(block_driver_->medium());
  }
  adverse_pmap_.StandOn(&server_.pmap());
  CHECK(HasRoom(options.profile));
  auto server_main = [](void* server) { static_cast<vmserver::Server*>(server)->Main(); };
  auto server_thread = [](void* server) { static_cast<vmserver::Server*>(server)->ThreadMain(); };
  auto client = [](void* machine) { static_cast<Machine*>(machine)->ClientMain(); };
  kernel_.RegisterEntry(fake_l4::Kernel::kRootEntry, server_main, &server_);
  kernel_.RegisterEntry(kServerThreadEntry, server_thread, &server_);
  kernel_.RegisterEntry(kClientEntry, client, this);
  kernel_.RunUntilIdle();
  if (auto text = crash(); text.has_value()) vm_panic(__FILE__, __LINE__, text->c_str());
  CHECK(server_.booted());
  clients_[0] = std::make_unique<Client>();
  AddThread(clients_[0].get(), 0, server_.init_thread());
  SwapOnAtBoot();
  CHECK(events_.Begin(server_.uvm().DebugPages(),
                      [this](auto... words) { return ControlMemory(words...); }));
  canary_.Arm(options.canary);
  server_.uvm().canary().Arm(options.canary);
  boot_ = ReadLedger();
  if (options.schedule != Schedule::kRoundRobin) ExploreByOptions();
}

void Machine::SwapOnAtBoot() {
  for (uint32_t i = 0; i < swap_set_.count(); ++i) {
    if (!swap_set_.spec(i).on) continue;
    const traces::ResolvedOp op = {
        .kind = OpKind::kSwapOn, .device = i, .priority = swap_set_.spec(i).priority};
    CHECK(Perform(op, &Find(0)->threads[0]).ok());
  }
}

bool Machine::ControlMemory(vmserver::MemoryControl what, uint64_t first, uint64_t second) {
  struct Request {
    vmserver::MemoryControl what;
    uint64_t first;
    uint64_t second;
    vmserver::client::Reply reply;
  } request = {what, first, second, {}};
  const bool ended = RunProgram(
      0,
      [](void* program) {
        auto* r = static_cast<Request*>(program);
        r->reply = vmserver::client::ControlMemory(r->what, static_cast<L4_Word_t>(r->first),
                                                   static_cast<L4_Word_t>(r->second));
      },
      &request);
  return ended && request.reply.delivered && request.reply.code == 0;
}

bool Machine::HaveEvent(const traces::ResolvedOp& op) {
  if (armed_ || stuck_.has_value() || !kernel_.crash_text().empty()) return false;
  uint64_t hash = base::Chain(0, static_cast<uint64_t>(op.kind) << 32 | op.task);
  for (const uint64_t operand : {op.at, op.to, op.size, op.value, op.offset, op.file_key})
    hash = base::Chain(hash, operand);
  const Ledger before = ReadLedger();
  const bool changed = events_.Happen(hash, server_.uvm().DebugPages(),
                                      [this](auto... words) { return ControlMemory(words...); });
  const Ledger after = ReadLedger();
  boot_.ipc += after.ipc - before.ipc;
  boot_.map += after.map - before.map;
  boot_.unmap += after.unmap - before.unmap;
  boot_.page_faults += after.page_faults - before.page_faults;
  boot_.pages_mapped += after.pages_mapped - before.pages_mapped;
  boot_.pages_unmapped += after.pages_unmapped - before.pages_unmapped;
  boot_.fiber_switches += after.fiber_switches - before.fiber_switches;
  return changed;
}

void Machine::ExploreByOptions() {
  // Of PCT: a machine runs for as long as it is asked to, so that no number of changes is right.
  constexpr uint32_t kPctDepth = 256;
  constexpr uint64_t kPctSteps = 1'000'000;
  // One client runs at a time: its accesses need no points.
  const fake_l4::ExplorationOptions exploration{
      .points = fake_l4::kAllPoints & ~fake_l4::PointBit(fake_l4::SchedulePoint::kAccess),
      .seed = options_.seed};
  if (options_.decisions != nullptr) {
    Explore(std::make_unique<fake_l4::ReplaySchedule>(exploration, *options_.decisions));
  } else if (options_.schedule == Schedule::kPct) {
    Explore(std::make_unique<fake_l4::Pct>(exploration, kPctDepth, kPctSteps));
  } else {
    Explore(std::make_unique<fake_l4::RandomWalk>(exploration));
  }
}

void Machine::Explore(std::unique_ptr<fake_l4::ExploringStrategy> strategy) {
  strategy_ = strategy.get();
  kernel_.SetStrategy(std::move(strategy));
  server_.SetLockHook([] { fake_l4::Kernel::Point(fake_l4::SchedulePoint::kLock); });
}

void Machine::StopExploring() {
  strategy_ = nullptr;
  kernel_.SetStrategy(std::make_unique<fake_l4::PriorityRoundRobin>());
}

const fake_l4::DecisionList* Machine::decisions() const {
  return strategy_ == nullptr ? nullptr : &strategy_->decisions();
}

Machine::~Machine() = default;

// A client thread's program: one operation each time the host says so.
void Machine::ClientMain() {
  ClientThread* self = nullptr;  // known once the host has woken us
  for (;;) {
    kernel_.WaitForHost();
    if (self == nullptr) self = by_thread_.at(L4_Myself().raw);
    Execute(&self->command, self->client->personality, &last_read_);
  }
}

const Machine::ClientThread* Machine::Client::First() const {
  for (const ClientThread& thread : threads) {
    if (thread.exists()) return &thread;
  }
  return nullptr;
}

Machine::ClientThread* Machine::ActorFor(const traces::ResolvedOp& op) {
  if (IsBirth(op.kind) && (op.child == 0 || Find(op.child) != nullptr)) return nullptr;
  if (IsOrphan(op.kind)) return &Find(0)->threads[0];
  if (op.task == 0 || !IsLive(op.task) || op.thread >= traces::kMaxThreads) return nullptr;
  ClientThread* actor = &Find(op.task)->threads[op.thread];
  return actor->exists() ? actor : nullptr;
}

bool Machine::Exists(L4_ThreadId_t thread) const {
  fake_l4::ThreadInfo info;
  return kernel_.Inspect(thread, &info);
}

Machine::Client* Machine::TargetOf(const traces::ResolvedOp& op, Client* actor) {
  return op.target == 0 ? actor : Find(op.target);
}

void Machine::BuryThread(ClientThread* thread) {
  by_thread_.erase(thread->id.raw);
  thread->id = L4_nilthread;
}

void Machine::Bury(Client* client) {
  for (ClientThread& thread : client->threads) {
    if (thread.exists()) BuryThread(&thread);
  }
  --live_count_;
}

void Machine::AddThread(Client* client, uint32_t number, L4_ThreadId_t id) {
  ClientThread& thread = client->threads[number];
  if (thread.exists()) BuryThread(&thread);
  thread.client = client;
  thread.number = number;
  thread.id = id;
  by_thread_[id.raw] = &thread;
  if (client->label != 0) kernel_.Migrate(id, (client->label + number) % options_.processors);
}

void Machine::Follow(ClientThread* actor, const Command& command) {
  const traces::ResolvedOp& op = command.op;
  Client* client = actor->client;
  if (IsBirth(op.kind)) AddClient(*client, command);
  if (IsDeath(op.kind)) Bury(TargetOf(op, client));
  if (op.kind == OpKind::kThreadCreate) AddThread(client, command.child_task, command.child_thread);
  if (op.kind == OpKind::kThreadEnd) BuryThread(&client->threads[op.value]);
  if (op.kind != OpKind::kExec) return;
  for (ClientThread& thread : client->threads) {
    if (thread.exists() && &thread != actor) BuryThread(&thread);
  }
}

void Machine::AddClient(const Client& actor, const Command& command) {
  const traces::ResolvedOp& op = command.op;
  auto child = std::make_unique<Client>();
  child->label = op.child;
  child->task = command.child_task;
  child->personality = op.kind == OpKind::kSpace || op.kind == OpKind::kFork
                           ? vmserver::Personality::kBsd
                           : vmserver::Personality::kMach;
  const Client& parent = op.target == 0 ? actor : *clients_.at(op.target);
  child->narrow = op.kind == OpKind::kTask32 || (!IsOrphan(op.kind) && parent.narrow);
  AddThread(child.get(), 0, command.child_thread);
  clients_[op.child] = std::move(child);
  ++live_count_;
}

fake_l4::StopReason Machine::RunKernel() {
  // Whether the operation ended is what counts; a client that waits for ever is its own affair.
  return kernel_.RunUntilIdle(
      {.max_switches = options_.max_switches_per_op, .detect_deadlock = false});
}

traces::Outcome Machine::Apply(const traces::ResolvedOp& op) {
  if (stuck_.has_value() || !kernel_.crash_text().empty()) return {};
  loss_ = Loss::kNothing;
  armed_ = op.kind == OpKind::kInject;
  if (armed_) return Inject(op);
  ClientThread* actor = ActorFor(op);
  if (actor == nullptr) return {};
  traces::Outcome outcome = Perform(op, actor);
  kernel_.DisarmFaults();
  swap_set_.Heal();
  return outcome;
}

traces::Outcome Machine::Inject(const traces::ResolvedOp& op) {
  const bool of_device = op.site >= base::FaultSite::kSwapReadError;
  if (of_device) {
    swap_set_.Arm(op.site, op.skip);
  } else {
    kernel_.ArmFault(op.site, op.skip);
  }
  traces::Outcome outcome;
  outcome.family = traces::FamilyOf(op.kind);
  return outcome;
}

traces::Outcome Machine::Perform(const traces::ResolvedOp& op, ClientThread* actor) {
  Client* const client = actor->client;
  const Client* target = TargetOf(op, client);
  if (target == nullptr) return {};
  actor->command = {};
  actor->command.op = op;
  actor->command.target_task = target == client ? 0 : target->task;
  actor->command.narrow = client->narrow;
  if (op.kind == OpKind::kRead) last_read_.clear();
  const size_t fired = kernel_.fired_faults().size();
  if (lost_wake_up_ == 0 || lost_wake_up_ != client->label) CHECK(kernel_.HostWake(actor->id));
  const fake_l4::StopReason reason = RunKernel();
  if (reason == fake_l4::StopReason::kCrashed) return {};
  if (canary_.Armed(base::Canary::kLosesWakeUp) && lost_wake_up_ == 0 &&
      kernel_.fired_faults().size() != fired) {
    lost_wake_up_ = client->label;
  }
  if (MayBeLast(op) && !Exists(actor->id)) {
    Follow(actor, actor->command);
    traces::Outcome outcome;
    outcome.family = traces::FamilyOf(op.kind);
    return outcome;
  }
  const bool at_rest = reason != fake_l4::StopReason::kSwitches;
  const bool answered = actor->command.outcome.family != traces::Outcome::Family::kNone;
  if (options_.losses == Losses::kAreReported && at_rest && !answered && LostSince(fired)) {
    loss_ = actor->command.done ? Loss::kCall : Loss::kTask;
    bytes_before_loss_ = actor->command.bytes_done;
    return {};
  }
  if (!actor->command.done || !at_rest) {
    stuck_ = (at_rest ? "deadlock\n" : "livelock\n") + kernel_.DescribeDeadlock() +
             kernel_.DescribeWaits();
    return {};
  }
  if (canary_.Armed(base::Canary::kCrashesTheProcess)) CrashIfItGrew(op, actor->command.outcome);
  if (canary_.Armed(base::Canary::kHangsTheProcess)) HangIfItLocked(op, actor->command.outcome);
  if (actor->command.outcome.ok()) Follow(actor, actor->command);
  return actor->command.outcome;
}

bool Machine::LostSince(size_t before) const {
  const std::vector<fake_l4::FiredFault>& fired = kernel_.fired_faults();
  return std::any_of(fired.begin() + static_cast<ptrdiff_t>(before), fired.end(),
                     [](const fake_l4::FiredFault& fault) {
                       return fault.site == base::FaultSite::kIpcCut ||
                              fault.site == base::FaultSite::kPagerDies ||
                              fault.site == base::FaultSite::kPagerNever;
                     });
}

bool Machine::EndByInit(uint32_t label) {
  CHECK(IsLive(label));
  traces::ResolvedOp end;
  end.kind = OpKind::kTaskTerminate;
  end.target = label;
  const traces::Outcome outcome = Perform(end, &Find(0)->threads[0]);
  return outcome.ok() && !IsLive(label);
}

bool Machine::RunProgram(uint32_t label, void (*program)(void*), void* argument) {
  CHECK(IsLive(label));
  return RunProgram(label, first_thread_of(label), program, argument);
}

bool Machine::RunProgram(uint32_t label, uint32_t number, void (*program)(void*), void* argument) {
  ClientThread& thread = Find(label)->threads[number];
  CHECK(thread.exists());
  thread.command = {};
  thread.command.program = program;
  thread.command.argument = argument;
  CHECK(kernel_.HostWake(thread.id));
  RunKernel();
  return thread.command.done;
}

std::optional<std::string> Machine::crash() const {
  if (kernel_.crash_text().empty()) return std::nullopt;
  return kernel_.crash_text();
}

Machine::Client* Machine::Find(uint32_t label) const {
  Client*& found = found_[label % std::size(found_)];
  if (found != nullptr && found->label == label) return found;
  auto it = clients_.find(label);
  if (it != clients_.end()) found = it->second.get();
  return it == clients_.end() ? nullptr : it->second.get();
}

bool Machine::IsLive(uint32_t label) const {
  const Client* client = Find(label);
  return client != nullptr && client->First() != nullptr;
}

std::vector<uint32_t> Machine::live_labels() const {
  std::vector<uint32_t> labels;
  for (const auto& [label, client] : clients_) {
    if (label != 0 && client->First() != nullptr) labels.push_back(label);
  }
  return labels;
}

uvm::Space* Machine::space_of(uint32_t label) const {
  if (label == 0 || !IsLive(label)) return nullptr;
  if (canary_.Armed(base::Canary::kObserverTakesTime)) ++observed_;
  const vmserver::Task* task = server_.DebugFindTask(Find(label)->task);
  return task == nullptr ? nullptr : task->space;
}

fake_l4::SpaceId Machine::l4_space_of(uint32_t label) const {
  fake_l4::SpaceId space{};
  CHECK(IsLive(label) && kernel_.SpaceOf(thread_of(label), &space));
  return space;
}

L4_ThreadId_t Machine::thread_of(uint32_t label) const {
  const Client* client = Find(label);
  CHECK(client != nullptr);
  const ClientThread* thread = client->First();
  return thread == nullptr ? L4_nilthread : thread->id;
}

L4_ThreadId_t Machine::thread_of(uint32_t label, uint32_t thread) const {
  const Client* client = Find(label);
  CHECK(client != nullptr && thread < traces::kMaxThreads);
  return client->threads[thread].id;
}

uint32_t Machine::first_thread_of(uint32_t label) const {
  CHECK(IsLive(label));
  return Find(label)->First()->number;
}

uint64_t Machine::ProbeHits(base::Probe probe) const {
  return server_.uvm().probes().hits(probe) + server_.pmap().probes().hits(probe);
}

uint64_t Machine::FaultCases(uint32_t cell) const { return server_.uvm().probes().faults(cell); }

Ledger Machine::ledger() const {
  Ledger ledger = ReadLedger();
  ledger.virtual_us += observed_;
  ledger.ipc -= boot_.ipc;
  ledger.map -= boot_.map;
  ledger.unmap -= boot_.unmap;
  ledger.page_faults -= boot_.page_faults;
  ledger.pages_mapped -= boot_.pages_mapped;
  ledger.pages_unmapped -= boot_.pages_unmapped;
  ledger.fiber_switches -= boot_.fiber_switches;
  ledger.virtual_us -= boot_.virtual_us;
  return ledger;
}

Ledger Machine::ReadLedger() const {
  const fake_l4::Ledger& kernel = kernel_.ledger();
  const pmap_sim::PmapCounters pmap = server_.pmap().counters();
  const uvm::Counters& uvm = server_.uvm().counters();
  Ledger ledger;
  ledger.ipc = kernel.ipc_sends;
  ledger.map = kernel.map_items;
  ledger.unmap = kernel.unmap_calls;
  ledger.pages_mapped = kernel.pages_mapped;
  ledger.pages_unmapped = kernel.pages_unmapped;
  ledger.page_faults = kernel.page_faults;
  ledger.refill = server_.counters().refills;
  ledger.resend = pmap.resends;
  ledger.aliases = pmap.aliases_made;
  ledger.direct = pmap.direct_sends;
  ledger.recall = pmap.recalls;
  ledger.dropped = pmap.dropped;
  ledger.device = pmap.device_pages;
  ledger.fault_1a = uvm.fault_1a;
  ledger.fault_1b = uvm.fault_1b;
  ledger.fault_2a = uvm.fault_2a;
  ledger.fault_2b = uvm.fault_2b;
  ledger.fault_errors = uvm.fault_errors;
  ledger.extra_faults = uvm.fault_wired;
  ledger.neighbours = uvm.neighbours;
  ledger.wirings = uvm.wirings;
  ledger.loans = uvm.loans;
  ledger.loan_breaks = uvm.loan_breaks;
  ledger.copy = uvm.page_copy;
  ledger.zero_fill = uvm.zero_fill;
  ledger.pager_get = uvm.pager_get;
  ledger.fork = uvm.fork;
  ledger.clip = uvm.clip;
  ledger.merge = uvm.merge;
  ledger.peak_frames = uvm.frames_peak;
  ledger.fiber_switches = kernel.fiber_switches;
  ledger.virtual_us = kernel_.now_ns() / 1000;
  ledger.faults_injected = kernel.faults_injected + swap_set_.events();
  const uvm::DaemonCounters& daemon = server_.uvm().pagedaemon().counters();
  ledger.pageout = daemon.freed_written;
  ledger.pagein = uvm.swap_in;
  ledger.swap_clusters = daemon.clusters;
  ledger.reclaimed = daemon.freed_clean;
  ledger.frame_waits = daemon.waits;
  return ledger;
}

}  // namespace machine
