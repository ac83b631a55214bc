// The public face: Kernel forwards to Core, and the system calls find the calling thread.
#include "fake_l4/kernel.h"

#include <l4/arch.h>
#include <l4/ipc.h>
#include <l4/kdebug.h>
#include <l4/kip.h>
#include <l4/misc.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "fake_l4/core.h"

namespace fake_l4 {

Thread& Caller() {
  Thread* t = CurrentThreadOrNull();
  CHECK(t != nullptr);  // an L4 call from the host's own stack
  return *t;
}

uint64_t Cpu::ip() const { return core_->running_->ip; }
void Cpu::set_ip(uint64_t ip) { core_->running_->ip = ip; }
uint64_t Cpu::sp() const { return core_->running_->sp; }
void Cpu::set_sp(uint64_t sp) { core_->running_->sp = sp; }
uint64_t Cpu::flags() const { return core_->running_->flags; }
void Cpu::set_flags(uint64_t flags) { core_->running_->flags = flags; }
uint64_t Cpu::general(unsigned i) const { return core_->running_->general[i]; }
void Cpu::set_general(unsigned i, uint64_t value) { core_->running_->general[i] = value; }
AccessStatus Cpu::RaiseException(uint32_t number, uint64_t error_code) {
  return core_->RaiseException(*core_->running_, core_->profile_.exception_message, number,
                               error_code);
}
AccessStatus Cpu::RaiseSystemException(uint32_t number, uint64_t error_code) {
  return core_->RaiseException(*core_->running_, ExceptionMessage::kSystem, number, error_code);
}

Kernel::Kernel(const BootOptions& options) : core_(std::make_unique<Core>(options)) {
  core_->kernel_ = this;
}
Kernel::~Kernel() = default;
void Kernel::Reset() { core_->Reset(); }

void Kernel::RegisterEntry(uint64_t ip, std::function<void()> entry) {
  core_->RegisterEntry(ip, std::move(entry));
}
void Kernel::RegisterEntry(uint64_t ip, void (*entry)(void*), void* arg) {
  core_->RegisterEntry(ip, [entry, arg] { entry(arg); });
}
L4_ThreadId_t Kernel::sigma0() const { return core_->sigma0_; }
L4_ThreadId_t Kernel::root() const { return core_->root_; }
L4_ThreadId_t Kernel::Boot(const BootThread& thread) { return core_->Boot(thread); }
void Kernel::Migrate(L4_ThreadId_t thread, uint32_t processor) {
  Thread* t = core_->Find(thread);
  CHECK(core_->running_ == nullptr && t != nullptr && processor < core_->options_.processors);
  const bool queued = t->queued;
  if (queued) core_->strategy_->Remove(*t);
  core_->SetProcessor(*t, processor);
  if (queued) core_->strategy_->Add(*t, QueueEnd::kBack);
}
void Kernel::SetStrategy(std::unique_ptr<ScheduleStrategy> strategy) {
  core_->UseStrategy(std::move(strategy));
}
void Kernel::SetSwitchObserver(std::function<void(const Kernel&)> observer) {
  core_->observer_ = std::move(observer);
  core_->SetDetours();
}

uint8_t* Kernel::ram() { return core_->ram_; }
const uint8_t* Kernel::ram() const { return core_->ram_; }
uint64_t Kernel::ram_bytes() const { return core_->options_.ram_bytes; }
base::Paddr Kernel::ram_base() const { return base::Paddr(core_->profile_.ram_base); }
uintptr_t Kernel::home_bias() const {
  return reinterpret_cast<uintptr_t>(core_->ram_) -
         static_cast<uintptr_t>(core_->profile_.ram_base);
}
const uint8_t* Kernel::DebugFrame(base::Paddr pa) const {
  return core_->ram_at(pa.PageNumber());
}
uint32_t Kernel::DebugStamp(base::Paddr pa) const {
  return core_->stamps_[pa.PageNumber() - (core_->profile_.ram_base >> kPageShift)];
}
uintptr_t Kernel::stamp_bias() {
  return reinterpret_cast<uintptr_t>(core_->stamps_.data()) -
         static_cast<uintptr_t>(core_->profile_.ram_base >> kPageShift) * sizeof(uint32_t);
}
const Profile& Kernel::profile() const { return core_->profile_; }
uint64_t Kernel::root_utcb_area() const { return core_->profile_.root_utcb_area; }
uint64_t Kernel::utcb_bytes() const { return uint64_t{1} << core_->profile_.utcb_log2; }

StopReason Kernel::RunUntilIdle(const RunOptions& options) { return core_->Run(options); }
uint64_t Kernel::now_ns() const { return core_->processors_.Latest(core_->now_ns_); }
void Kernel::Point(SchedulePoint point) {
  Thread* t = CurrentThreadOrNull();
  if (t != nullptr) t->core->Preempt(point);
}

Kernel* Kernel::Current() {
  Thread* t = CurrentThreadOrNull();
  return t == nullptr ? nullptr : t->core->kernel_;
}
L4_ThreadId_t Kernel::CurrentThread() {
  Thread* t = CurrentThreadOrNull();
  return t == nullptr ? L4_nilthread : t->gid;
}
Cpu Kernel::cpu() { return Cpu(core_.get()); }

void Kernel::WaitForHost() {
  Thread& self = Caller();
  if (std::exchange(self.wake_pending, false)) {
    OrderAcquire(std::exchange(self.order_key, nullptr));
    return;
  }
  self.state = ThreadState::kWaitsForHost;
  core_->SwitchAway(nullptr);
}

bool Kernel::HostWake(L4_ThreadId_t thread) {
  Thread* t = core_->Find(thread);
  if (t == nullptr) return false;
  OrderRelease(t);
  t->order_key = t;
  if (t->state == ThreadState::kWaitsForHost) {
    core_->MakeReady(*t);
  } else {
    t->wake_pending = true;
  }
  return true;
}

bool Kernel::RaiseInterrupt(unsigned number) {
  const bool handled = core_->RaiseInterrupt(number);
  if (core_->running_ != nullptr) core_->Preempt();
  return handled;
}
bool Kernel::StartInterruptSource(unsigned number, uint64_t period_ns, uint64_t ticks) {
  return core_->StartInterruptSource(number, period_ns, ticks);
}
void Kernel::StopInterruptSource(unsigned number) { core_->StopInterruptSource(number); }
const std::string& Kernel::sigma0_log() const { return core_->sigma0_log_; }
unsigned Kernel::MemoryAttribute(base::Paddr page) const {
  const auto it = core_->memory_attributes_.find(page.PageNumber());
  return it == core_->memory_attributes_.end() ? 0 : it->second;
}

void Kernel::Crash(const char* text) {
  Thread* t = CurrentThreadOrNull();
  if (t != nullptr) t->core->Crash(text);
  std::fprintf(stderr, "%s\n", text);
  std::abort();
}
const std::string& Kernel::crash_text() const { return core_->crash_text_; }
const std::string& Kernel::console_text() const { return core_->console_text_; }

void Kernel::ArmFault(FaultSite site, uint64_t skip) { core_->faults_.Arm(site, skip); }
void Kernel::DisarmFaults() { core_->faults_.DisarmAll(); }
uint64_t Kernel::fault_visits(FaultSite site) const { return core_->faults_.visits(site); }
const std::vector<FiredFault>& Kernel::fired_faults() const { return core_->faults_.fired(); }

}  // namespace fake_l4

// ---- The system calls ----

using fake_l4::Caller;
using fake_l4::Core;
using fake_l4::Thread;

extern "C" {

void L4_UnmapControl(L4_Word_t control) {
  Thread& self = Caller();
  self.core->UnmapCall(self, control);
}

L4_Word_t L4_ThreadControl(L4_ThreadId_t dest, L4_ThreadId_t space, L4_ThreadId_t scheduler,
                           L4_ThreadId_t pager, void* utcb_location) {
  Thread& self = Caller();
  // A simulated address: a number in pointer's clothing, as the manual has it.
  const L4_Word_t location = reinterpret_cast<L4_Word_t>(utcb_location);
  return self.core->ThreadControl(self, dest, space, scheduler, pager, location);
}

L4_Word_t L4_SpaceControl(L4_ThreadId_t space, L4_Word_t control, L4_Fpage_t kip_area,
                          L4_Fpage_t utcb_area, L4_ThreadId_t redirector, L4_Word_t* old_control) {
  Thread& self = Caller();
  return self.core->SpaceControl(self, space, control, kip_area, utcb_area, redirector,
                                 old_control);
}

L4_ThreadId_t L4_ExchangeRegisters(L4_ThreadId_t dest, L4_Word_t control, L4_Word_t sp,
                                   L4_Word_t ip, L4_Word_t flags, L4_Word_t user_defined_handle,
                                   L4_ThreadId_t pager, L4_Word_t* old_control, L4_Word_t* old_sp,
                                   L4_Word_t* old_ip, L4_Word_t* old_flags,
                                   L4_Word_t* old_user_defined_handle, L4_ThreadId_t* old_pager) {
  Thread& self = Caller();
  Core::ExchangeArgs args{control, sp, ip, flags, user_defined_handle, pager};
  const L4_ThreadId_t result = self.core->ExchangeRegisters(self, dest, &args);
  if (L4_IsNilThread(result)) return result;
  *old_control = args.control;
  *old_sp = args.sp;
  *old_ip = args.ip;
  *old_flags = args.flags;
  *old_user_defined_handle = args.handle;
  *old_pager = args.pager;
  return result;
}

L4_Word_t L4_ProcessorControl(L4_Word_t processor, L4_Word_t internal_khz, L4_Word_t external_khz,
                              L4_Word_t) {
  Thread& self = Caller();
  return self.core->ProcessorControl(self, processor, internal_khz, external_khz);
}

L4_Word_t L4_MemoryControl(L4_Word_t control, const L4_Word_t attributes[4]) {
  Thread& self = Caller();
  return self.core->MemoryControl(self, control, attributes);
}

void* L4_KernelInterface(L4_Word_t* api_version, L4_Word_t* api_flags, L4_Word_t* kernel_id) {
  Core& core = *Caller().core;
  auto* kip = reinterpret_cast<L4_KernelInterfacePage_t*>(core.kip_);
  if (api_version != nullptr) *api_version = kip->api_version;
  if (api_flags != nullptr) *api_flags = kip->api_flags;
  if (kernel_id != nullptr) {
    *kernel_id = core.kip_[kip->kern_desc_ptr / sizeof(L4_Word_t)];
  }
  return kip;
}

void L4_KDB_Enter(const char* text) { fake_l4::Kernel::Crash(text); }

void L4_KDB_PrintChar(char c) {
  constexpr size_t kMost = 64 << 10;
  std::string& console = Caller().core->console_text_;
  if (console.size() < kMost) console.push_back(c);
}

void L4_KDB_PrintString(const char* text) {
  for (; *text != 0; text++) L4_KDB_PrintChar(*text);
}

int L4_KDB_ReadChar(void) { return -1; }

}  // extern "C"
