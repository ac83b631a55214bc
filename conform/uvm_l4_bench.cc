#include "conform/uvm_l4_bench.h"

#include <l4/ipc.h>
#include <l4/thread.h>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/text_sink.h"

namespace conform {

namespace {

// Host memory for UVM's and the pmap's tables; used as far as they grow.
constexpr size_t kArenaBytes = size_t{1} << 30;
// Aliases lie far above RAM and below the kernel's areas in root's space.
constexpr base::Vaddr kAliasArea{0x1000'0000'0000};
constexpr uint64_t kAliasWindows = 4096;
constexpr base::Range kKernelArea{base::Vaddr(0x2000'0000'0000), base::Vaddr(0x2000'4000'0000)};
// Where a client goes on after an access that its pager refuses. No code is registered there, so
// the access returns to its caller.
constexpr L4_Word_t kPastTheAccess = 0xdead000;
// One operation on a few thousand pages ends well within this; more is a livelock.
constexpr uint64_t kMaxSwitches = 10'000'000;
// A refill that finds its page twice without the client having it will not do so a third time.
constexpr int kRefills = 4;

}  // namespace

void UvmL4Bench::Threads::Park() {
  uvm::SwapStore& swap = bench_->uvm_->swap();
  while (!unparked_) {
    const uint64_t due = swap.NextDue();
    if (due == uvm::SwapDevice::kNever) UNREACHABLE("the only thread would wait for ever");
    now_us_ = due > now_us_ ? due : now_us_;
    swap.Poll(now_us_);
  }
  unparked_ = false;
}

bool UvmL4Bench::Threads::ParkUntil(uint64_t deadline_us) {
  if (unparked_) {
    unparked_ = false;
    return true;
  }
  now_us_ = deadline_us > now_us_ ? deadline_us : now_us_;
  return false;
}

void UvmL4Bench::Threads::Unpark(uvm::Thread*) { unparked_ = true; }

UvmL4Bench::UvmL4Bench(uint64_t frames)
    : arena_(kArenaBytes),
      kernel_({.ram_bytes = frames * kUvmPageBytes}),
      pmap_({.memory = &arena_,
             .canary = &canary_,
             .home_bias = kernel_.home_bias(),
             .alias_area = kAliasArea,
             .alias_windows = kAliasWindows,
             .kernel_area = kKernelArea}) {
  kernel_.RegisterEntry(fake_l4::Kernel::kRootEntry, [] {});
  mirror_ = kernel_.Boot({.entry = [] { pmap_sim::L4Pmap::MirrorLoop(); }});
  server_ = kernel_.Boot({.entry = [this] { ServerMain(); }});
  pager_ = kernel_.Boot({.entry = [this] { PagerMain(); }});
  Run();
  bool booted = false;
  Do([&] {
    booted = pmap_.Boot(mirror_);
    if (booted) uvm_.emplace(uvm::Config{.memory = &arena_, .pmap = &pmap_, .threads = &threads_});
  });
  CHECK(booted && uvm_.has_value());
}

UvmL4Bench::~UvmL4Bench() = default;

std::unique_ptr<UvmBench> UvmL4Bench::Make(const UvmSequence& sequence) {
  return std::make_unique<UvmL4Bench>(sequence.pages - sequence.reserve);
}

// ---- On simulated threads ----

void UvmL4Bench::ServerMain() {
  for (;;) {
    kernel_.WaitForHost();
    (*job_)();
    job_ = nullptr;
  }
}

void UvmL4Bench::PagerMain() {
  for (;;) {
    L4_ThreadId_t from;
    const L4_MsgTag_t tag = L4_Wait(&from);
    Client* client = Find(from);
    if (client != nullptr && L4_IsPageFault(tag)) AnswerFault(client, tag);
  }
}

void UvmL4Bench::AnswerFault(Client* client, L4_MsgTag_t tag) {
  L4_Word_t address;
  L4_StoreMR(1, &address);
  const L4_Word_t rights = L4_PageFaultAccess(tag);
  const base::Access access =
      (rights & L4_Writable) != 0 ? base::Access::kWrite : base::Access::kRead;
  const base::Vaddr va(address);
  for (int i = 0; i < kRefills && client->space != nullptr; i++) {
    const pmap_sim::RefillResult refill =
        pmap_.Refill(client->space->pmap(), va, access, {client->thread, L4_Myself()});
    if (refill == pmap_sim::RefillResult::kSent) return;
    const auto fault = uvm_->Fault(client->space, va, access);
    if (!fault.ok()) {
      client->refused = fault.error();
      break;
    }
  }
  if (!client->refused.has_value()) problem_ = "a fault brings no translation";
  L4_Start_SpIp(client->thread, 0, kPastTheAccess);
}

void UvmL4Bench::ClientMain(Client* client) {
  fake_l4::Kernel& kernel = client->bench->kernel_;
  for (;;) {
    kernel.WaitForHost();
    fake_l4::Cpu cpu = kernel.cpu();
    const fake_l4::AccessStatus status = client->access == base::Access::kWrite
                                             ? cpu.Store(client->va, &client->byte, 1)
                                             : cpu.Load(client->va, &client->byte, 1);
    client->done = status == fake_l4::AccessStatus::kOk || client->refused.has_value();
  }
}

// ---- On the host ----

void UvmL4Bench::Run() {
  const fake_l4::StopReason reason =
      kernel_.RunUntilIdle({.max_switches = kMaxSwitches, .detect_deadlock = false});
  if (!problem_.empty() || reason == fake_l4::StopReason::kIdle) return;
  problem_ = reason == fake_l4::StopReason::kCrashed
                 ? absl::StrCat("the machine stopped: ", kernel_.crash_text())
                 : absl::StrCat("no end: ", kernel_.DescribeWaits());
}

void UvmL4Bench::Do(absl::FunctionRef<void()> job) {
  if (!problem_.empty()) return;
  job_ = &job;
  CHECK(kernel_.HostWake(server_));
  Run();
  if (problem_.empty() && job_ != nullptr) {
    problem_ = absl::StrCat("blocked for ever: ", kernel_.DescribeWaits());
  }
  job_ = nullptr;
}

UvmL4Bench::Client* UvmL4Bench::Find(L4_ThreadId_t thread) {
  for (const std::unique_ptr<Client>& c : clients_) {
    if (c->thread == thread) return c.get();
  }
  return nullptr;
}

UvmL4Bench::Client* UvmL4Bench::ClientOf(const uvm::Space* space) {
  for (const std::unique_ptr<Client>& c : clients_) {
    if (c->space == space) return c.get();
  }
  return nullptr;
}

void UvmL4Bench::Born(uvm::Space* space) {
  Client* unused = ClientOf(nullptr);
  if (unused == nullptr) {
    clients_.push_back(std::make_unique<Client>());
    unused = clients_.back().get();
    unused->bench = this;
    unused->thread = kernel_.Boot(
        {.entry = [unused] { ClientMain(unused); }, .new_space = true, .pager = pager_});
    Run();
  }
  unused->space = space;
}

void UvmL4Bench::Gone(uvm::Space* space) {
  if (Client* client = ClientOf(space)) client->space = nullptr;
}

UvmAccess UvmL4Bench::Access(uvm::Space* space, base::Vaddr va, base::Access access,
                             uint8_t* byte) {
  Client* client = ClientOf(space);
  CHECK(client != nullptr);
  client->access = access;
  client->va = va;
  client->byte = *byte;
  client->done = false;
  client->refused.reset();
  if (problem_.empty() && kernel_.HostWake(client->thread)) Run();
  if (problem_.empty() && !client->done) {
    problem_ = absl::StrCat("blocked for ever: ", kernel_.DescribeWaits());
  }
  if (client->refused.has_value()) return {.ok = false, .error = *client->refused};
  *byte = client->byte;
  return {.ok = problem_.empty()};
}

UvmAccess UvmL4Bench::Load(uvm::Space* space, base::Vaddr va, uint8_t* byte) {
  return Access(space, va, base::Access::kRead, byte);
}

UvmAccess UvmL4Bench::Store(uvm::Space* space, base::Vaddr va, uint8_t byte) {
  return Access(space, va, base::Access::kWrite, &byte);
}

std::string UvmL4Bench::Violation() {
  char buffer[400];
  base::TextSink sink(buffer, sizeof buffer);
  if (!pmap_.CheckInvariants(sink) || !kernel_.CheckInvariants(sink)) return buffer;
  return "";
}

}  // namespace conform
