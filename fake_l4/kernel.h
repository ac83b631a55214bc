// fake_l4/kernel.h: a simulated L4 X.2 kernel, as its machine (the host program) sees it.
//
// WHAT     A Kernel owns threads (fibers), address spaces, a mapping database, RAM, sigma0 and
//          virtual time. Programs inside reach it by <l4/*.h> only; this header is for whoever
//          builds the machine, runs it and looks at it from outside. Simulated code is host code: a
//          thread that starts at simulated address IP runs the function registered for IP. Memory
//          of simulated programs is touched through Cpu; the one exception is the root server,
//          which reaches its home window (idempotent: virtual = physical) at host address
//          virtual + home_bias().
// STATES   of a thread:
//            created inactive -> (gets a pager) waits for its start message -> ready <-> running
//            running -> [sending ->] [receiving ->] ready      an IPC, either phase may be left out
//            running -> waits for host -> ready
//            running -> returned                               its function ended
//          Any of them may be halted at the same time, and be deleted.
// LOCKS    None. A Kernel lives on one host thread at a time; different Kernels may run on
//          different host threads.
// INVARIANTS  CheckInvariants(): page tables equal the mapping database; no mapping has a right its
//          parent lacks; every chain of parents ends at sigma0; senders' queues and states agree.
//          const members draw nothing, take no virtual time, touch no status bit and are no
//          scheduling point.
// SEE      facts/l4.md; design.md D1, D3, D4; README.md for what is faithful, simplified, absent.
#ifndef FAKE_L4_KERNEL_H_
#define FAKE_L4_KERNEL_H_

#include <l4/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/addr.h"
#include "base/text_sink.h"
#include "fake_l4/fault_injection.h"
#include "fake_l4/fiber.h"
#include "fake_l4/profile.h"
#include "fake_l4/quirks.h"
#include "fake_l4/schedule_strategy.h"

namespace fake_l4 {

class Core;  // everything behind this interface

// A region of the kernel interface page's memory table.
struct MemoryRegion {
  unsigned type;  // L4_ConventionalMemoryType ...; a sub-type is added as 16 times its value
  uint64_t low;   // multiples of 1024
  uint64_t end;   // exclusive
  bool is_virtual = false;
};

struct BootOptions {
  uint64_t ram_bytes = uint64_t{64} << 20;  // conventional memory; a multiple of the page size
  Profile profile = kAmd64Nx;
  Quirks quirks = kManualRules;
  uint32_t processors = 1;  // 1 .. 32
  // Of the root server. Nobody can give a priority above his own, so this bounds all others.
  uint8_t root_priority = 100;
  // Mappings the kernel has memory for, beyond sigma0's own; a map item that finds none left maps
  // nothing. 0: no limit.
  uint32_t max_mappings = 0;
  // Threads and spaces alive that the kernel has memory for, the initial ones included;
  // ThreadControl fails with error 8 beyond. 0: no limit.
  uint32_t max_threads = 0;
  uint32_t max_spaces = 0;
  // Appended to the memory table, where later regions override earlier ones: reserved or dedicated
  // parts of RAM, say. What is boot loader specific is given to root alone.
  std::vector<MemoryRegion> memory_regions = {};
  uint64_t boot_info = 0;  // the KIP's BootInfo word
  // Whether TSan may take the scheduler's turns for synchronisation. kRaces: only messages,
  // ExchangeRegisters, the host's hand-over and the programs' own locks order memory accesses.
  SwitchOrder switch_order = SwitchOrder::kSynchronises;
  // Whether every IPC, and every page fault with too long an answer, overwrites the message
  // registers that a real kernel would not preserve.
#if defined(UVM_VERIFY)
  bool scribble_registers = true;
#else
  bool scribble_registers = false;
#endif
  FaultPlan faults = {};  // which faults are injected; none by default
  // Whether ipc_cut, pager_dies and pager_never leave alone what root's own threads say to each
  // other. Then they do not visit the site.
  bool faults_spare_root = false;
  // Host stack of one thread; 0: a default that fits the build (larger under sanitizers).
  size_t stack_bytes = 0;
};

// Number of an address space; never reused within one Kernel. sigma0's is 0, root's is 1.
enum class SpaceId : uint32_t {};
inline constexpr SpaceId kSigma0Space{0};
inline constexpr SpaceId kRootSpace{1};

// How one access by a simulated program ended.
enum class [[nodiscard]] AccessStatus{
    kOk,
    // The access faulted, and while it was pending someone set the thread's instruction pointer
    // (L4_ExchangeRegisters). Nothing more was loaded or stored; the program continues elsewhere.
    // L4_UserDefinedHandle() may say why.
    kRedirected,
};

// Why RunUntilIdle came back.
enum class StopReason {
  kIdle,      // no thread can run and no timeout is pending; whoever waits, waits for anybody, for
              // the host, or for one who does
  kTimers,    // no thread can run now; a timeout is pending and RunOptions forbids to advance idle
              // time
  kSwitches,  // RunOptions::max_switches reached
  kDeadlock,  // as kIdle, but a thread waits for one that will never come: DescribeDeadlock() tells
  kCrashed,   // Kernel::Crash was called; crash_text() says why; the Kernel cannot run any more
};

struct RunOptions {
  uint64_t max_switches =
      UINT64_MAX;  // fiber switches after which to come back although threads can run
  bool advance_idle_time = true;  // jump to the next timeout when nothing else can happen
  // Whether to look for a deadlock when nothing can run: work linear in threads. Else it is kIdle.
  bool detect_deadlock = true;
};

enum class ThreadState : uint8_t {
  kInactive,      // created without a pager
  kReady,         // running or able to
  kSending,       // waits for its partner to receive
  kReceiving,     // waits for a message
  kInTransfer,    // within a string transfer, while its partner waits for a page
  kWaitsForHost,  // in Kernel::WaitForHost
  kReturned,      // its entry function ended
  kNoCode,        // was started at an address without a registered entry
  kNoPager,       // faulted, and its pager does not exist
};
const char* ThreadStateName(ThreadState state);

struct ThreadInfo {
  L4_ThreadId_t id;
  L4_ThreadId_t local_id;  // as threads of its space are told; nilthread without a UTCB
  SpaceId space;
  ThreadState state;
  bool halted;               // by ExchangeRegisters; executes nothing whatever its state
  bool waits_for_start;      // kReceiving, for the start message of its pager
  bool in_page_fault;        // the IPC is a page fault of the thread
  bool in_exception;         // the IPC tells of an exception of the thread
  bool halted_by_exception;  // which nobody handled
  uint32_t exception;        // the last one raised
  bool in_transfer;  // a string transfer of the thread waits for a page, its own or its partner's
  uint8_t priority;
  L4_ThreadId_t
      partner;  // kSending: to whom; kReceiving: from whom (perhaps L4_anythread); else nilthread
  L4_ThreadId_t pager;
  base::Vaddr fault_address;  // where in_page_fault
  uint64_t ip, sp;
  uint32_t queued_senders;
};

// One page of one space. Where mappings are enumerated, a larger page is one of these, at its
// beginning; where one address is asked for, va and frame are those of its 4 KiB, whatever the
// page's size.
struct Mapping {
  SpaceId space{};
  base::Vaddr va;
  base::Paddr frame;
  RightsBits rights = 0;  // 0: nothing is mapped here
  RightsBits status = 0;  // own accesses, not yet collected by an unmap
  // Names of the node and of the node it was derived from; 0 for parent: this is sigma0's own.
  // Valid until the next unmap.
  uint32_t node = 0;
  uint32_t parent = 0;
  uint8_t log2 = 12;  // of the size of the page it is part of
  bool mapped() const { return rights != 0; }
};

// Counters since boot.
struct Ledger {
  uint64_t ipc_sends = 0;  // messages transferred, those of the kernel included
  uint64_t ipc_errors = 0;
  uint64_t map_items = 0;
  uint64_t pages_mapped = 0;    // new mappings
  uint64_t pages_extended = 0;  // map onto the same page from the same source
  uint64_t unmap_calls = 0;
  uint64_t unmap_fpages = 0;
  uint64_t pages_unmapped = 0;  // mappings that went, for whatever reason
  uint64_t pages_restricted = 0;
  uint64_t page_faults = 0;
  uint64_t fiber_switches = 0;
  uint64_t threads_created = 0;
  uint64_t spaces_created = 0;
  uint64_t system_calls = 0;
  uint64_t shoot_downs = 0;   // other processors made to forget translations, once an operation
  uint64_t map_refusals = 0;  // pages not mapped for want of mapping memory
  uint64_t faults_injected = 0;
  uint64_t pages_split = 0;              // larger pages taken apart
  uint64_t kernel_debugger_entries = 0;  // [quirks] where the kernel would stop in its debugger
};

// A thread that exists from the start, as a boot loader would place it. For root's own kind and for
// tests; ordinary programs create threads by L4_ThreadControl.
struct BootThread {
  std::function<void()> entry;
  SpaceId space = kRootSpace;  // ignored with new_space
  bool new_space = false;      // an empty, unprivileged space
  L4_ThreadId_t pager = {0};   // nilthread: root
  uint8_t priority = 100;
  L4_ThreadId_t id = {0};  // nilthread: the next free number, version 1
  uint32_t processor = 0;
};

// General registers a simulated thread has besides IP, SP and FLAGS. Host code does not use them;
// exception handlers see and set them (facts/l4.md section 6), in the order EDI ESI EBP EBX EDX ECX
// EAX.
inline constexpr unsigned kGeneralRegisters = 7;

// Loads and stores by the current simulated thread, through its space's page table. All members are
// called on a simulated thread.
class Cpu {
 public:
  explicit Cpu(Core* core) : core_(core) {}  // by Kernel::cpu()
  // Copies `size` bytes from / to simulated memory. May cross pages; pages are touched in ascending
  // order, and a page refused is reported to the thread's pager by a page-fault message and tried
  // again until it is there.
  AccessStatus Load(base::Vaddr va, void* to, size_t size);
  AccessStatus Store(base::Vaddr va, const void* from, size_t size);
  // Touches one instruction byte.
  AccessStatus Fetch(base::Vaddr va);
  // The thread's instruction pointer, as page-fault messages report it. Setting it here is an
  // ordinary jump.
  uint64_t ip() const;
  void set_ip(uint64_t ip);
  uint64_t sp() const;
  void set_sp(uint64_t sp);
  uint64_t flags() const;
  void set_flags(uint64_t flags);
  // i < kGeneralRegisters.
  uint64_t general(unsigned i) const;
  void set_general(unsigned i, uint64_t value);

  // What an instruction does that the processor, or the kernel, cannot execute: exception `number`
  // goes to the thread's exception handler; without one the thread is halted. kOk: the instruction
  // at IP is to be executed again; kRedirected: IP was set meanwhile and has no registered code
  // (where it has, the call does not return). A load, store or fetch at or above the profile's
  // user_top does this by itself.
  AccessStatus RaiseException(uint32_t number, uint64_t error_code = 0);
  // The same with the message of system exceptions, whatever the profile's processor.
  AccessStatus RaiseSystemException(uint32_t number, uint64_t error_code = 0);

 private:
  Core* core_;
};

class Kernel {
 public:
  // Addresses at which the initial threads start.
  static constexpr uint64_t kRootEntry = 0x100000;
  static constexpr uint64_t kSigma0Entry = 0x20000;

  // Boots: sigma0 and root exist and are ready; nothing runs before RunUntilIdle.
  explicit Kernel(const BootOptions& options = {});
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  // Back to the state after construction with the same options, keeping host memory: no threads but
  // sigma0 and root, no registered entries, RAM zero, time zero. Costs microseconds plus the work
  // of undoing what the run mapped and owned.
  // REQUIRES: called from the host.
  void Reset();

  // ---- Building the machine ----

  // A thread that starts at simulated address `ip` runs `entry`; replaces an earlier registration.
  // When the function returns the thread stops (ThreadState::kReturned). A function's stack may be
  // abandoned at any kernel operation and is never unwound, so what lives on it must not own host
  // memory. It must not throw.
  void RegisterEntry(uint64_t ip, std::function<void()> entry);
  void RegisterEntry(uint64_t ip, void (*entry)(void*), void* arg);
  L4_ThreadId_t sigma0() const;
  L4_ThreadId_t root() const;
  // REQUIRES: the root server's thread and its space exist (nobody has deleted them); called from
  // the host, or from a simulated thread.
  L4_ThreadId_t Boot(const BootThread& thread);
  // As its scheduler could by Schedule. REQUIRES: called from the host; both exist.
  void Migrate(L4_ThreadId_t thread, uint32_t processor);
  // Replaces the scheduler's choice of the next thread. REQUIRES: called from the host.
  void SetStrategy(std::unique_ptr<ScheduleStrategy> strategy);
  // Called after every fiber switch decision, on the stack that gives up the processor; for
  // checkers. Must not call the kernel except for const members.
  void SetSwitchObserver(std::function<void(const Kernel&)> observer);

  // RAM as the host sees it, and what to add to a physical address to get a host pointer to it.
  uint8_t* ram();
  const uint8_t* ram() const;
  uint64_t ram_bytes() const;
  base::Paddr ram_base() const;
  uintptr_t home_bias() const;
  // Of each page of memory it is counted how often it may have been written to: by each store of
  // simulated code, and, by whoever asks for this, where its 32-bit count is found: at the page's
  // number * 4 + stamp_bias().
  uintptr_t stamp_bias();
  uint32_t DebugStamp(base::Paddr pa) const;
  // The bytes of the page at `pa`, for checkers, who may not count as writers.
  const uint8_t* DebugFrame(base::Paddr pa) const;
  const Profile& profile() const;
  // Where UTCBs of new threads in root's space go: area base and size; slot 0 is root's own.
  uint64_t root_utcb_area() const;
  uint64_t utcb_bytes() const;

  // ---- Running ----

  // Runs simulated threads, on this host thread, until none can. May be called again and again.
  StopReason RunUntilIdle(const RunOptions& options = {});
  // Virtual nanoseconds since boot; of several processors, by the clock that is furthest ahead.
  uint64_t now_ns() const;

  // ---- For code on simulated threads ----

  // The kernel whose thread is running, or null on the host's stack.
  static Kernel* Current();
  // The running thread; nilthread on the host's stack.
  static L4_ThreadId_t CurrentThread();
  Cpu cpu();
  // A scheduling point that is no kernel operation, as the strategy wants it; takes no time. On the
  // host's stack it does nothing.
  static void Point(SchedulePoint point);
  // Suspends the current thread until HostWake. Not a kernel operation: no time passes, no message
  // is sent. A wake that came before is remembered (one).
  void WaitForHost();
  // False when there is no such thread. From the host or from another simulated thread.
  bool HostWake(L4_ThreadId_t thread);
  // Ends the whole machine from within: RunUntilIdle returns kCrashed. `text` is copied. On the
  // host's stack it aborts the program.
  [[noreturn]] static void Crash(const char* text);
  const std::string& crash_text() const;
  // What programs printed with <l4/kdebug.h> since boot; of a long text the first 64 KiB.
  const std::string& console_text() const;

  // ---- Injected faults (fault_injection.h) ----

  // The skip + 1-th visit of the site from now on fires, once; also when `skip` visits never come.
  void ArmFault(FaultSite site, uint64_t skip = 0);
  // Forgets every armed visit that has not come yet.
  void DisarmFaults();
  // Visits so far; 0 while nothing was ever planned or armed.
  uint64_t fault_visits(FaultSite site) const;
  // What has fired, in order. Valid until the kernel runs again.
  const std::vector<FiredFault>& fired_faults() const;

  // ---- Interrupts: from the host, or from a simulated thread that stands for a device ----

  // Interrupt `number` occurs. Its interrupt thread, (number, version 1), tells the associated
  // handler; while that has not answered, one more is remembered. False when nobody handles it.
  bool RaiseInterrupt(unsigned number);
  // From now on it occurs every `period_ns`, `ticks` times, or until it has no handler; replaces an
  // earlier source. A kernel with a source is not idle. False: no such interrupt, or period 0.
  bool StartInterruptSource(unsigned number, uint64_t period_ns, uint64_t ticks);
  void StopInterruptSource(unsigned number);

  // ---- Looking from outside: no side effects ----

  // What sigma0 was asked to tell (its extended protocol: verbosity, dump of its pools).
  const std::string& sigma0_log() const;
  // The attribute of a page of physical memory (MemoryControl); 0: the default.
  unsigned MemoryAttribute(base::Paddr page) const;

  bool SpaceExists(SpaceId space) const;
  // The space of a thread; false when there is no such thread.
  bool SpaceOf(L4_ThreadId_t thread, SpaceId* space) const;
  Mapping Inspect(SpaceId space, base::Vaddr va) const;
  // Every page of a space, of whatever size, in address order; of sigma0's space only the pages it
  // has mapped to others, by size first.
  void ForEachMapping(SpaceId space, absl::FunctionRef<void(const Mapping&)> visit) const;
  // Every mapping there is: spaces in order of number, then by address.
  void ForEachMapping(absl::FunctionRef<void(const Mapping&)> visit) const;
  // Every 4 KiB of a space that is mapped, as Inspect gives it, in address order. Not sigma0's.
  void ForEachPage(SpaceId space, absl::FunctionRef<void(const Mapping&)> visit) const;
  // The direct children of the page at (space, va), newest first.
  void ForEachChild(SpaceId space, base::Vaddr va,
                    absl::FunctionRef<void(const Mapping&)> visit) const;
  uint32_t mapping_count() const;
  bool Inspect(L4_ThreadId_t thread, ThreadInfo* info) const;
  // All threads in order of number.
  std::vector<ThreadInfo> Threads() const;
  // Who waits for whom, one thread a line, in order of thread number.
  std::string DescribeWaits() const;
  // For each thread that can never run again, in order of number: who it waits for, and so on, to
  // the cycle or the dead end. A server that waits for anybody, a thread that waits for the host,
  // and one that waits for one of these, are none. Empty when there is no such thread. Meant for
  // when nothing can run.
  std::string DescribeDeadlock() const;
  Ledger ledger() const;
  // Reads and writes RAM behind a mapping without rights check or status bits; false when a page is
  // missing.
  bool DebugRead(SpaceId space, base::Vaddr va, void* to, size_t size) const;
  // True when all hold; else writes the first counterexample.
  bool CheckInvariants(base::TextSink& out) const;

 private:
  std::unique_ptr<Core> core_;
};

}  // namespace fake_l4

#endif  // FAKE_L4_KERNEL_H_
