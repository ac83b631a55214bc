// fake_l4/core.h: the kernel's inside: threads, spaces, the scheduler's loop and the system calls.
// Private to this package.
//
// WHAT     Core is what Kernel (kernel.h) points to. Its members are implemented by subject:
//          core.cc (boot, threads, timeouts), dispatch.cc (who runs), schedule_calls.cc, ipc.cc,
//          space.cc (map items, unmap), thread_calls.cc (ThreadControl, SpaceControl),
//          exchange_registers.cc, control_calls.cc, cpu.cc, exception.cc, interrupt.cc, kip.cc,
//          sigma0.cc, processor.cc, inspect.cc, deadlock.cc, faulty_pager.cc (what injected faults
//          do to IPC), safety_checks.cc.
// STATES   An IPC is a change of thread states, made completely by whoever completes it: when a
//          sender's message is taken, the taker also starts the sender's receive phase (atomic send
//          and receive). The fiber of a thread only waits until the thread is ready again.
// INVARIANTS  A thread is in the strategy's queue exactly when it is kReady, not halted and not
//          running. It is in its partner's queue of senders exactly when it is kSending.
// SEE      kernel.h for the states of a thread.
#ifndef FAKE_L4_CORE_H_
#define FAKE_L4_CORE_H_

#include <l4/arch.h>
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/types.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "fake_l4/fault_injection.h"
#include "fake_l4/fiber.h"
#include "fake_l4/fpage.h"
#include "fake_l4/host_memory.h"
#include "fake_l4/kernel.h"
#include "fake_l4/mapping_database.h"
#include "fake_l4/page_table.h"
#include "fake_l4/priority_round_robin.h"
#include "fake_l4/processor.h"
#include "fake_l4/schedule_strategy.h"
#include "fake_l4/string_transfer.h"
#include "fake_l4/translation_cache.h"

namespace fake_l4 {

struct Space {
  Space(SpaceId space_id, LeafPool* pool, const PageSizes& sizes)
      : id(space_id), table(pool, sizes) {}
  SpaceId id;
  PageTable table;
  uint32_t threads = 0;
  uint32_t active_threads = 0;
  bool privileged = false;
  bool areas_set = false;  // by SpaceControl
  base::Range kip_area{};
  base::Range utcb_area{};
  // Gets every message that leaves the space for a third party; nilthread and anythread: nobody.
  L4_ThreadId_t redirector = {0};
  uint32_t boot_utcbs = 0;  // slots that Core::Boot took, from the area's end downwards
  uint64_t user_top = 0;    // the profile's
  // The two areas and what is above user addresses belong to the kernel: nothing is mapped there or
  // from there.
  bool IsKernelArea(uint64_t va) const {
    return kip_area.Contains(base::Vaddr(va)) || utcb_area.Contains(base::Vaddr(va)) ||
           va >= user_top;
  }
  bool TouchesKernelArea(uint64_t va, uint64_t bytes) const {
    const auto touches = [va, bytes](const base::Range& area) {
      return va < area.end.value() && area.start.value() < va + bytes;
    };
    return touches(kip_area) || touches(utcb_area) || va + bytes > user_top;
  }
};

// MR 1 to MR `count` of a message, word by word: they were written so a moment ago, and a wider
// load would wait until the processor has sent all its earlier stores to memory.
inline void CopyUntypedWords(const L4_Word_t* from, L4_Word_t* to, unsigned count) {
  for (unsigned i = 1; i <= count; i++) {
    L4_Word_t word = from[i];
    asm("" : "+r"(word));
    to[i] = word;
  }
}

// Of the interrupt threads alone; in no list of spaces.
inline constexpr SpaceId kKernelSpace{UINT32_MAX};
// The least UTCB area: 2^12 bytes.
inline constexpr unsigned kUtcbAreaMinLog2 = 12;
// What the KIP says at boot.
inline constexpr uint32_t kExternalKhz = 133000, kInternalKhz = 1000000;

// Why the kernel itself speaks in a thread's name and waits for the answer. The message is the
// thread's `mr`, which is then not its UTCB's.
enum class KernelIpc : uint8_t {
  kNone,
  kPageFault,    // of the thread's own access; the fiber waits in Core::PageFault
  kStringFault,  // of a string transfer between this thread and its partner
  kException,    // the answer holds the registers to go on with
  kPreemption,   // told to the exception handler or the scheduler
  kInterrupt,    // of an interrupt thread, to its handler; interrupt.cc
};

struct InterruptSource;
// A slice or quantum without end; nothing is ever subtracted from it that matters.
inline constexpr uint64_t kForeverNs = uint64_t{1} << 62;
inline constexpr uint64_t kDefaultSliceNs = 10'000'000;
inline constexpr uint32_t kMaxProcessors = 32;

struct Thread : Runnable {
  Core* core = nullptr;
  L4_ThreadId_t gid = {0};
  Space* space = nullptr;
  ThreadState state = ThreadState::kInactive;
  bool halted = false;
  bool waits_for_start = false;
  bool restart = false;       // begins anew at `ip` on a fresh stack when next dispatched
  bool wake_pending = false;  // HostWake came before WaitForHost
  L4_ThreadId_t scheduler = {0};
  uint64_t utcb_location = 0;  // simulated address, the local id; 0: none yet; by Core::PlaceUtcb
  uint64_t ip = 0, sp = 0, flags = 0;
  uint32_t ip_changes = 0;  // counts ExchangeRegisters that set ip

  // The IPC in progress.
  L4_Word_t* mr = nullptr;  // the message: the UTCB's registers, or a page fault's own
  KernelIpc kernel_ipc = KernelIpc::kNone;
  L4_Word_t kernel_mr[L4_NUM_MRS];  // the message of `kernel_ipc` and its answer
  uint64_t fault_va = 0;
  StringTransfer* transfer = nullptr;  // the message under way whose copying has met a fault
  bool answer_lost = false;            // injected: the answer to the fault is not delivered
  bool answer_late = false;            // injected: it is; the thread waits for its timer only
  Thread* send_to = nullptr;           // while kSending
  // Global ids, whatever kind of id the program used.
  L4_ThreadId_t virtual_sender = {0};  // of the message being sent; nilthread: not propagated
  L4_ThreadId_t intended = {0};        // whom the message was for; nilthread: not redirected
  L4_ThreadId_t from_spec = {0};       // of the receive phase; nilthread: none; may be a wildcard
  uint16_t receive_timeout = 0;
  L4_ThreadId_t from = {0};        // result
  L4_Word_t ipc_error = 0;         // valid when the tag has E
  Thread* last_partner = nullptr;  // sent the last message to it; only a hint for Resolve
  // Who waits for a message of this thread alone is `waiter`, unless there have been several.
  Thread* waiter = nullptr;
  bool several_waiters = false;
  Thread* senders_head = nullptr;  // waiting to send to this thread, most urgent first
  Thread* senders_tail = nullptr;
  Thread* sender_next = nullptr;
  Thread* sender_prev = nullptr;
  uint64_t timer_deadline = 0;  // 0: no timeout armed
  uint64_t timer_serial = 0;
  Thread* all_next = nullptr;  // every thread there is, newest first
  Thread* all_prev = nullptr;

  // Exceptions: the last one raised, for its message and for reports.
  uint32_t exception = 0;
  uint64_t exception_error = 0;
  ExceptionMessage exception_message = ExceptionMessage::kSystem;
  bool halted_by_exception = false;  // nobody handled it; meaningful while halted
  uint64_t general[kGeneralRegisters] = {};

  // Interrupt threads: utcb.pager is the handler.
  bool is_interrupt = false;
  bool interrupt_serving = false;               // masked: the handler has not answered yet
  bool interrupt_pending = false;               // raised again while masked
  InterruptSource* interrupt_source = nullptr;  // this is the clock of a source, not a thread
  // Scheduling. X.2 manual: "Schedule".
  uint64_t slice_ns = kDefaultSliceNs;       // kForeverNs: no end
  uint64_t slice_left_ns = kDefaultSliceNs;  // 0: a new one begins with the next turn
  uint64_t quantum_left_ns = kForeverNs;     // of the total quantum
  uint64_t turn_ns = 0;                      // with a quantum: what this turn may take
  uint64_t left_ns = 0;                      // on several processors: when it last stopped running
  uint16_t max_delay_us = 0;
  uint8_t sensitive_priority = 0;

  void* order_key = nullptr;  // what to OrderAcquire when it runs again
  Fiber fiber;
  L4_Utcb_t utcb = {};
};

// Raises an interrupt again and again in virtual time.
struct InterruptSource {
  unsigned number = 0;
  uint64_t period_ns = 0;
  uint64_t ticks_left = 0;
  Thread clock;  // only its timer is used
};

class Core {
 public:
  explicit Core(const BootOptions& options);
  ~Core();
  void Reset();

  // ---- core.cc: boot, threads, timeouts ----
  // The thread of a global id; null when there is none of that number and version.
  Thread* Find(L4_ThreadId_t id) const;
  // The thread that `self` means by a global id, or by a local id of its own space; null for the
  // rest.
  Thread* Resolve(const Thread& self, L4_ThreadId_t id) const;
  Thread* ResolveLocal(const Thread& self, L4_ThreadId_t id) const;
  // The thread of the space whose UTCB is at `local`; null when there is none.
  Thread* FindLocal(const Space& space, L4_ThreadId_t local) const;
  // Gives `t` its UTCB in its space, and with it its local id; 0 takes it away. REQUIRES: no other
  // thread of the space has this location.
  void PlaceUtcb(Thread& t, uint64_t location);
  // The id by which `viewer` is told of `t`: local within one space, else global.
  L4_ThreadId_t NameFor(const Thread& t, const Thread& viewer) const;
  Thread* FindNumber(uint64_t number) const;
  // REQUIRES: the number is free.
  Thread& CreateThread(L4_ThreadId_t id, Space* space);
  void DeleteThread(Thread& t);
  void MoveToSpace(Thread& t, Space* space);
  Space* CreateSpace();
  void ReleaseSpace(Space* space);
  // Other threads that send to, or wait for, the id `gone` of `t` get error 2.
  void FailPartners(Thread& t, L4_ThreadId_t gone);
  void RegisterEntry(uint64_t ip, std::function<void()> entry);
  L4_ThreadId_t Boot(const BootThread& boot);

  void ArmTimer(Thread& t, uint16_t timeout);
  void ArmTimerAt(Thread& t, uint64_t deadline_ns);
  void DisarmTimer(Thread& t);
  void RemoveTimer(Thread& t);
  void Crash(const char* text);
  void ThreadReturned(Thread& t);
  bool HasEntry(uint64_t ip) const { return entries_.contains(ip); }

  // ---- dispatch.cc: who runs ----
  StopReason Run(const RunOptions& options);
  // Accounts for a kernel operation by the running thread, and lets timeouts fire and slices end
  // that have come due.
  void Enter(uint64_t cost_ns) {
    ledger_.system_calls++;
    now_ns_ += cost_ns;
    if (now_ns_ >= next_event_ns_) AtEvent();
  }
  void Spend(uint64_t cost_ns) { now_ns_ += cost_ns; }
  void MakeReady(Thread& t);
  // `t` stops being able to run although nothing completed: takes it out of the scheduler's queue.
  void MakeUnready(Thread& t);
  // Gives up the processor: to `preferred` if the strategy agrees, else to whom it picks, else to
  // the host. Returns when the calling thread runs again. REQUIRES: the caller is not runnable, or
  // is in the queue.
  void SwitchAway(Thread* preferred, HandOver why = HandOver::kIpc);
  // SwitchAway up to the switch. Returns what to switch to; null: the thread goes on. Afterwards,
  // when it runs again: Arrive.
  Fiber* Leave(Thread* preferred, HandOver why = HandOver::kIpc);
  void Arrive(Thread& self) {
    if (self.order_key != nullptr) OrderAcquire(std::exchange(self.order_key, nullptr));
  }
  // At the end of a kernel operation after which the running thread can go on: lets others run
  // first if they have to, or if the strategy wants a point here.
  void Preempt(SchedulePoint point = SchedulePoint::kSystemCall) {
    if (MayGiveWay(point) && GivesWay(point)) SwitchAway(nullptr);
  }
  bool MayGiveWay(SchedulePoint point) const {
    return (attention_ & (kPreemptPending | PointBit(point))) != 0;
  }
  // Whether the running thread now has to call SwitchAway, or Leave.
  bool GivesWay(SchedulePoint point);
  // The running thread gives way to `woken` at the end of its kernel operation.
  void RequestPreemption(const Thread& woken) {
    attention_ |= kPreemptPending;
    preempter_priority_ = std::max(preempter_priority_, woken.priority);
  }
  // True when something may have to happen after an access at this time.
  bool AccessEventDue() const { return now_ns_ >= access_event_ns_; }
  // Makes it happen. False when meanwhile the thread's instruction pointer was set from outside.
  bool AtAccess();
  // REQUIRES: called from the host. Ready threads move to the new strategy.
  void UseStrategy(std::unique_ptr<ScheduleStrategy> strategy);
  void UseDefaultStrategy();
  // Brings what is left of the slice and the quantum of the running thread up to date, and begins a
  // turn with what is left.
  void EndTurn(Thread& t);
  void StartTurn(Thread& t);

  // ---- schedule_calls.cc ----
  struct ScheduleArgs {
    L4_Word_t time, processor, priority, preemption;
  };
  // *old_time: what was left of the slice and the total quantum.
  L4_Word_t Schedule(Thread& self, L4_ThreadId_t dest, const ScheduleArgs& args,
                     L4_Word_t* old_time);
  void ThreadSwitch(Thread& self, L4_ThreadId_t dest);
  // Gives the rest of the running thread's slice and the processor to `t`, or, when that cannot run
  // here or is null, to whoever is next.
  void DonateSlice(Thread& self, Thread* t);
  L4_Word64_t SystemClock();
  void SetProcessor(Thread& t, uint32_t processor);

  // ---- processor.cc: REQUIRES several processors, CrossProcessor and Translate apart ----
  // A message from `s` to `r`: what its tag gets for having crossed processors. Takes the time that
  // takes.
  L4_Word_t CrossProcessor(const Thread& s, const Thread& r) {
    return several_processors_ && s.processor != r.processor ? MessageCrosses(s, r) : 0;
  }
  L4_Word_t MessageCrosses(const Thread& s, const Thread& r);
  // Where a page of a space is and what may be done with it, as the running processor sees it.
  struct PlaceOfPage {
    Pte* pte = nullptr;  // to take status bits; null when the table has it no more
    uint64_t frame = 0;
    bool allowed = false;
  };
  PlaceOfPage Translate(Space& space, uint64_t vpage, RightsBits need);
  PlaceOfPage TranslateCached(Space& space, uint64_t vpage, RightsBits need);
  void StartTranslationCaches();
  bool NoStaleTranslation(base::TextSink& out) const;

  // ---- deadlock.cc ----
  // Whether a thread can never run again, when nothing else can; and why.
  bool IsStuck(const Thread& t) const;
  bool AnyStuck() const;
  std::string ChainText(const Thread& t) const;

  // ---- ipc.cc ----
  // Both phases, with the message in self.mr. On return self.mr[0] is the tag.
  void Ipc(Thread& self, L4_ThreadId_t to, L4_ThreadId_t from_spec, L4_Word_t timeouts);
  // As far as it goes before the thread has to wait; then what to switch to, else null.
  Fiber* GeneralIpc(Thread& self, L4_ThreadId_t to, L4_ThreadId_t from_spec, L4_Word_t timeouts);
  // `t` begins to wait for a message of `partner` alone.
  void NoteWaiter(Thread& partner, Thread& t) {
    if (partner.waiter != &t && !partner.several_waiters) NoteAnotherWaiter(partner, t);
  }
  void NoteAnotherWaiter(Thread& partner, Thread& t);
  // `t` sends the message in t.kernel_mr (tag first) to `to` and waits for the answer, with no
  // timeouts and the complete space as its window. Only changes states: when `t` is the running
  // thread the caller then calls SwitchAway. REQUIRES: t is in no IPC.
  void StartKernelIpc(Thread& t, KernelIpc kind, L4_ThreadId_t to);
  // The answer is in t.kernel_mr, or the tag there has E. By kind; leaves `t` ready unless it has
  // to go on waiting. Called by whoever completes the IPC.
  void KernelIpcEnded(Thread& t);
  // Ends the IPC `t` is blocked in with `error` (reason << 1 | phase) and makes it ready. Within a
  // string transfer both ends get "aborted" instead. REQUIRES: InSendPhase(t) or InReceivePhase(t).
  void AbortIpc(Thread& t, L4_Word_t error);
  // The same for whatever `t` itself waits for, which within a string transfer may be its pager.
  void EndWait(Thread& t, L4_Word_t error);
  // Which phase of its IPC the thread is in; the fault of a string transfer belongs to the
  // transfer.
  bool InSendPhase(const Thread& t) const;
  bool InReceivePhase(const Thread& t) const;
  // `t` is kNoPager and may try again.
  void PagerAppeared(Thread& t);
  // Messages that `t` waits for, or its partner for `t`'s, may have become deliverable, because a
  // name or a space of `t` changed.
  void Reconsider(Thread& t);
  // `s`, which waits to send, has another priority now.
  void RequeueSender(Thread& s);
  void RemoveSender(Thread& s);

  // ---- space.cc ----
  // Carries out a map or grant item (item word 0, send fpage) from one space to another.
  void MapItem(Space& from, Space& to, ItemKind kind, uint64_t send_base, uint64_t send_fpage,
               const FpageValue& window);
  void UnmapCall(Thread& self, L4_Word_t control);
  void FlushSpace(Space& space);
  // sigma0's or a space's node of the page of at most `max_level` that maps `vpage`; 0: none.
  NodeIndex NodeAt(Space& space, uint64_t vpage, unsigned max_level);
  // One aligned piece of a map or grant item, of the size of `level`; parts of it by themselves
  // where source or target consist of smaller pages.
  struct Piece {
    Space& from;
    Space& to;
    ItemKind kind;
    RightsBits rights;
  };
  bool MapSmallPage(const Piece& piece, const PageTable::Found& source, uint64_t page,
                    uint64_t target);
  void MapPiece(const Piece& piece, uint64_t source, uint64_t target, unsigned level);
  bool MapPieceStep(const Piece& piece, uint64_t source, uint64_t target, unsigned level);
  bool ClearTarget(const Piece& piece, NodeIndex node, uint64_t frame, uint64_t target,
                   unsigned level);
  // One fpage of an Unmap; returns the status bits.
  RightsBits UnmapFpage(Space& space, uint64_t fpage, Flush flush);
  // Unmaps the pages [first, end), whose number is a power of two that `first` is aligned to.
  RightsBits UnmapRange(Space& space, uint64_t first, uint64_t end, RightsBits revoke, Flush flush);
  RightsBits UnmapSigma0(uint64_t first, uint64_t end, RightsBits revoke, Flush flush);

  // ---- space_quirks.cc: the same as particular kernels do it ----
  struct QuirkWalk {
    uint64_t source = 0, target = 0;  // pages
    uint64_t begin = 0;               // the first source page
    uint64_t count = 0;               // pages left
    uint64_t table = 0;               // pages that one table maps
    uint64_t unit = 1;                // of the count: one page, or one table
    uint64_t parts = 0;               // pages mapped one by one
    bool shifting = false;            // nothing was found yet, and the target waits
  };
  void QuirkMapStep(const Piece& piece, QuirkWalk* walk);
  void QuirkMapItem(const Piece& piece, const FpageValue& send, const MapPlace& place);
  bool QuirkMapPage(const Piece& piece, uint64_t part, uint64_t source, uint64_t target,
                    unsigned level);
  bool QuirkKeep(const Piece& piece, NodeIndex node, uint64_t frame, NodeIndex there);
  RightsBits QuirkRights(const Piece& piece, NodeIndex node) const;
  RightsBits QuirkUnmapRange(Space& space, uint64_t first, uint64_t end, RightsBits revoke,
                             Flush flush);

  // ---- thread_calls.cc ----
  L4_Word_t ThreadControl(Thread& self, L4_ThreadId_t dest, L4_ThreadId_t space,
                          L4_ThreadId_t scheduler, L4_ThreadId_t pager, L4_Word_t utcb_location);
  L4_Word_t SpaceControl(Thread& self, L4_ThreadId_t space, L4_Word_t control, L4_Fpage_t kip_area,
                         L4_Fpage_t utcb_area, L4_ThreadId_t redirector, L4_Word_t* old_control);
  struct ExchangeArgs {
    L4_Word_t control, sp, ip, flags, handle;
    L4_ThreadId_t pager;
  };
  L4_ThreadId_t ExchangeRegisters(Thread& self, L4_ThreadId_t dest, ExchangeArgs* args);
  struct ThreadOrder;
  // Whether kernel memory is left for the thread, and for its space if that is new.
  bool HasMemoryForThread(const ThreadOrder& order) const;
  void SetIp(Thread& t, uint64_t ip);

  // ---- cpu.cc ----
  enum class AccessKind { kLoad, kStore, kFetch };
  AccessStatus Access(uint64_t va, uint8_t* bytes, size_t size, AccessKind kind);
  AccessStatus PageFault(Thread& t, uint64_t va, RightsBits access);
  template <AccessKind kKind>
  bool AccessAtOnce(uint64_t va, uint8_t* bytes, size_t size, AccessStatus* status);
  template <AccessKind kKind>
  AccessStatus AccessAfterFault(uint64_t va, uint8_t* bytes, size_t size);
  template <AccessKind kKind>
  AccessStatus UsualAccess(uint64_t va, uint8_t* bytes, size_t size);
  Fiber* GeneralFault(Thread& self, Thread& pager);

  // ---- fast_path.h: the usual IPC, in line ----
  // Each returns what to switch to, or null when nothing was done because the case is not usual.
  Fiber* FastIpc(Thread& self, L4_ThreadId_t to, L4_ThreadId_t from_spec, L4_Word_t timeouts);
  Fiber* FastWait(Thread& self, L4_ThreadId_t from_spec, L4_Word_t timeouts);
  bool FastSend(Thread& self, L4_ThreadId_t to, L4_Word_t timeouts);
  Fiber* FastFault(Thread& self, Thread& pager);
  Thread* FastReceiver(const Thread& self, L4_ThreadId_t to) const;
  bool FastItems(Thread& self, Thread& r);
  static void SetPhases(Thread& self, L4_ThreadId_t from_spec, L4_Word_t timeouts);
  bool GoesStraight(const Thread& r) const;
  bool PreemptsAtOnce(const Thread& r, const Thread& self) const;
  bool AwaitsMessage(const Thread& r, const Thread& s, KernelIpc kind) const;
  void HandMessage(Thread& s, Thread& r);
  Fiber* HandProcessor(Thread& self, Thread& r);
  // What makes all IPC go the general way, together; 0: nothing.
  enum Detour : uint32_t {
    kOtherStrategy = 1,  // than the default one's class
    kSeveralProcessors = 2,
    kObservedSwitches = 4,
    kScribbledRegisters = 8,
    kToldOrder = 16,  // to TSan
  };
  void SetDetours();

  // ---- control_calls.cc ----
  L4_Word_t ProcessorControl(Thread& self, L4_Word_t processor, L4_Word_t internal_khz,
                             L4_Word_t external_khz);
  L4_Word_t MemoryControl(Thread& self, L4_Word_t control, const L4_Word_t attributes[4]);
  bool KnowsMemoryAttribute(L4_Word_t attribute) const;
  // Of every page of the fpage that the space has.
  void SetMemoryAttribute(const Space& space, const FpageValue& f, uint8_t attribute);

  // ---- exception.cc ----
  // Tells the exception handler of the running thread and waits for its answer, or halts the thread
  // for want of one. kRedirected: the thread's IP was set meanwhile.
  AccessStatus RaiseException(Thread& self, ExceptionMessage message, uint32_t number,
                              uint64_t error_code);
  // The KernelIpc::kException of `t` has ended: applies the registers of the answer.
  void EndException(Thread& t);
  void BuildExceptionMessage(Thread& t);
  void HaltUnhandled(Thread& t);
  // The life of a thread on its stack: runs the function registered for its IP.
  void RunFrom(Thread& t);

  // ---- interrupt.cc ----
  void CreateInterruptThreads();
  L4_Word_t InterruptControl(Thread& self, L4_ThreadId_t dest, L4_ThreadId_t space_of,
                             L4_ThreadId_t scheduler, L4_ThreadId_t handler);
  // False when nobody handles it. Does not preempt.
  bool RaiseInterrupt(unsigned number);
  // The KernelIpc::kInterrupt of `t` has ended. Never leaves `t` ready.
  void InterruptIpcEnded(Thread& t);
  void IdleInterrupt(Thread& t);
  void SendInterrupt(Thread& t);
  bool StartInterruptSource(unsigned number, uint64_t period_ns, uint64_t ticks);
  void StopInterruptSource(unsigned number);
  void InterruptTick(InterruptSource& source);
  bool LosesTicks(const InterruptSource& source) const;
  // While nothing can run: takes the ticks that change nothing, up to the next deadline of anything
  // else, as if they had come one by one. A source may have more of them than there is host time.
  void SkipLostTicks();

  // ---- kip.cc ----
  void BuildMemoryTable();
  // The type, sub-type included, that the table gives a physical address.
  unsigned MemoryTypeAt(uint64_t paddr) const;
  void BuildKip();
  // Of a processor's descriptor; 0 leaves a value.
  void SetProcessorKhz(unsigned processor, L4_Word_t external, L4_Word_t internal);
  // Where an access at `va`, in an area of the space that belongs to the kernel, finds its bytes;
  // reduces *bytes to what is there. Null: nowhere, a page fault.
  uint8_t* KernelAreaAt(const Space& space, uint64_t va, AccessKind kind, size_t* bytes);

  // ---- sigma0.cc ----
  void Sigma0Main();
  // Loads sigma0's answer to a message; false when there is none.
  bool Sigma0Answers(L4_MsgTag_t tag, L4_ThreadId_t from);
  // All memory back to nobody, as at boot.
  void ResetSigma0();

  // ---- faulty_pager.cc: what injected faults do. REQUIRES: faults_.on(), Injected apart ----
  // A visit of a site; true when it fires.
  bool Injected(FaultSite site) { return faults_.on() && faults_.Fires(site); }
  bool TimeoutEndsAtOnce(uint16_t timeout);
  // BootOptions::faults_spare_root.
  bool IsSpared(const Thread& t) const;
  bool PagerDies(const Thread& t);
  bool MessageIsCut(const Thread& sender, const Thread& receiver);
  // An answer to a page fault: whether it is lost altogether; what is left of one of its map items;
  // whether `receiver` has to wait though it has been delivered.
  bool AnswerIsLost(Thread& receiver);
  void SpoilAnswer(const Thread& receiver, uint64_t* send_base, uint64_t* send_fpage);
  bool AnswerHeldBack(Thread& receiver);
  // The time of a late answer has come.
  void EndLateAnswer(Thread& t);

  // ---- delayed_unmap.cc ----
  // Whether the Unmap that begins is to reach the other processors late. REQUIRES: there are some.
  bool HoldUnmapBack(Thread& self);
  // Lets the others run until they have learnt of it.
  void WaitForProcessors(Thread& self);
  // They learn of it now: the Unmap is over, or its caller will never come back to it.
  void EndUnmap(Thread& t);

  // ---- inspect.cc ----
  Mapping MappingOf(SpaceId space, uint64_t vpage) const;
  Mapping MappingOfNode(NodeIndex i) const;
  ThreadInfo InfoOf(const Thread& t) const;
  bool CheckInvariants(base::TextSink& out) const;
  bool CheckMappings(base::TextSink& out) const;
  bool CheckSpace(const Space& space, uint64_t* nodes, base::TextSink& out) const;
  bool CheckNode(const Space& space, uint64_t vpage, unsigned level, const Pte& pte,
                 base::TextSink& out) const;
  bool CheckOverlap(const Space& space, uint64_t vpage, unsigned level, base::TextSink& out) const;
  bool CheckThread(const Thread& t, base::TextSink& out) const;

  // ---- safety_checks.cc: in checked builds after each operation that changes mappings ----
#ifdef UVM_VERIFY
  static constexpr bool kVerify = true;
#else
  static constexpr bool kVerify = false;
#endif
  bool CheckRange(Space& space, uint64_t first, uint64_t end, base::TextSink& out) const;
  bool CheckUnmapped(Space& space, uint64_t first, uint64_t end, RightsBits revoked, Flush flush,
                     base::TextSink& out) const;
  bool Sigma0Gave(uint64_t frame_number, uint64_t pages) const;
  // After pages of `to` were mapped or granted; after rights were revoked from pages of `space`.
  // Both panic with the rule that is broken.
  void VerifyMapped(Space& to, uint64_t first, uint64_t end);
  void VerifyUnmapped(Space& space, uint64_t first, uint64_t end, RightsBits revoked, Flush flush);
  void VerifyWholeSometimes();

  uint8_t* ram_at(uint64_t frame_number) {
    return ram_ + ((frame_number - (profile_.ram_base >> kPageShift)) << kPageShift);
  }
  const uint8_t* ram_at(uint64_t frame_number) const {
    return const_cast<Core*>(this)->ram_at(frame_number);
  }

  void Stamp(uint64_t frame_number) { ++stamps_[frame_number - (profile_.ram_base >> kPageShift)]; }

  // Pages of physical memory: RAM, then device registers.
  uint64_t ram_frames() const { return options_.ram_bytes >> kPageShift; }
  uint64_t frames() const { return ram_frames() + (profile_.device_bytes >> kPageShift); }

  const BootOptions options_;
  const Profile& profile_;
  Kernel* kernel_ = nullptr;

  HostMemory ram_memory_;
  uint8_t* ram_;
  std::vector<uint32_t> stamps_;  // by frame; how often it may have been written to
  FaultInjection faults_;
  Thread* unmapping_ = nullptr;  // injected: whose revocations are held back
  bool reorder_unmap_ = false;
  MappingDatabase database_;
  LeafPool leaves_;
  std::vector<std::unique_ptr<Space>> spaces_;      // by number; null: gone
  std::vector<Thread*> by_number_;                  // by thread number; null: none
  absl::flat_hash_map<uint64_t, Thread*> by_utcb_;  // by UtcbKey; never iterated
  Thread* all_threads_ = nullptr;

  Thread* running_ = nullptr;
  uint64_t now_ns_ = 0;
  // Looked at in each kernel operation. What GiveWay has to see to: the points that the strategy
  // wants, and whether somebody waits for the running thread to give way.
  static constexpr uint32_t kPreemptPending = uint32_t{1} << 31;
  uint32_t attention_ = 0;
  uint32_t detours_ = 0;            // of Detour
  uint8_t preempter_priority_ = 0;  // of the most urgent who waits for that
  bool several_processors_ = false;
  bool stop_at_accesses_ = false;
  uint64_t next_deadline_ = UINT64_MAX;  // of timeouts
  uint64_t turn_ends_ns_ = UINT64_MAX;
  uint64_t delay_end_ns_ = 0;  // of a delayed preemption; 0: none is
  // The earliest of the three; and when an access has to stop.
  uint64_t next_event_ns_ = UINT64_MAX;
  uint64_t access_event_ns_ = UINT64_MAX;
  Ledger ledger_;
  bool crashed_ = false;
  std::string crash_text_;
  std::string console_text_;
  std::function<void(const Kernel&)> observer_;
  std::unique_ptr<ScheduleStrategy> strategy_;
  PriorityRoundRobin* plain_ = nullptr;  // strategy_ when it is one: the fast path's
  Processors processors_;
  std::unique_ptr<TranslationCaches> translations_;  // null with one processor
  L4_ThreadId_t sigma0_ = {0}, root_ = {0};
  std::vector<MemoryRegion> memory_table_;  // of the KIP; later entries override earlier ones
  absl::btree_map<uint64_t, uint8_t> memory_attributes_;  // by page number, where not the default
  uint32_t live_spaces_ = 0;
  std::unique_ptr<Space> kernel_space_;
  std::vector<std::unique_ptr<InterruptSource>> interrupt_sources_;
  std::string sigma0_log_;
  alignas(4096) L4_Word_t kip_[4096 / sizeof(L4_Word_t)] = {};

 private:
  // core.cc
  void BootInitialThreads();
  void FireTimers();

  // dispatch.cc
  // The next thread that can be dispatched, its fiber ready to be switched to; null when there is
  // none.
  Thread* PickNext();
  // Gives it a stack to run on. REQUIRES: t is not running.
  void Prepare(Thread& t);
  // The processor is `to`'s, null the host's: returns what to switch to.
  Fiber& Dispatch(Thread* to);
  static void ThreadMain(void* arg);
  void SetNextEvent();
  void AtEvent();
  void Enqueue(Thread& t, QueueEnd end);
  void Dequeue(Thread& t);
  Runnable* TakeNext();
  bool HandsOver(const Thread& self, const Thread& partner, HandOver why);
  void ClearPreemption();
  void LimitTurn(Thread& t);
  void ChargeQuantum(Thread& t);
  bool DelaysPreemption(Thread& self);
  bool QuantumSpent(Thread& self);
  // A preemption message of `self` to `listener`, answered or failed when it returns. False when it
  // cannot be told.
  bool TellOfPreemption(Thread& self, L4_ThreadId_t listener);

  // processor.cc
  void ShotDown(size_t processor);

  // schedule_calls.cc
  void SetTime(Thread& t, L4_Word_t time);
  L4_Word_t ScheduleResultOf(const Thread& t) const;

  // deadlock.cc
  L4_ThreadId_t WaitsFor(const Thread& t) const;
  const char* DeadEnd(const Thread& t) const;
  std::string WaitText(const Thread& t) const;

  // ipc.cc
  bool Accepts(const Thread& receiver, const Thread& sender) const;
  L4_ThreadId_t VirtualSenderFor(const Thread& sender, const Thread& receiver) const;
  bool IsRedirectorOf(const Thread& t, const Space& space) const;
  // Where a message of `sender` for `dest` goes; sets sender.intended when that is its redirector.
  // Null when that does not exist.
  Thread* Redirected(Thread& sender, Thread* dest) const;
  // An id as a program gave it, as from_spec keeps it.
  L4_ThreadId_t CanonicalSpec(const Thread& self, L4_ThreadId_t id) const;
  void TellOfDetours(const Thread& sender, Thread& receiver) const;
  Thread* StartIpc(Thread& self, L4_ThreadId_t to, L4_ThreadId_t from_spec, L4_Word_t timeouts);
  void EndIpc(Thread& t);
  enum class TransferStep { kDone, kFailed, kPending };
  // How the two ends of a message fared: reasons without phase, 0 if well; offset in place.
  struct MessageErrors {
    L4_Word_t sender = 0, receiver = 0, offset = 0;
  };
  // Moves the message; both ends get their result, unless it has to wait for pages.
  TransferStep Transfer(Thread& sender, Thread& receiver);
  TransferStep TransferItems(Thread& sender, Thread& receiver, unsigned first, unsigned end,
                             MessageErrors* errors);
  bool TransferMapItem(Thread& sender, Thread& receiver, unsigned i);
  // Overwrites the message registers of `t` from `first` to before `end`.
  static void Scribble(Thread& t, unsigned first, unsigned end);
  void ScribbleAfterIpc(Thread& t, bool receives);
  bool FinishMessage(Thread& sender, Thread& receiver, const MessageErrors& errors);
  // What a thread waiting to be started, or whose wait is turned, does on delivery.
  void Delivered(Thread& sender, Thread& receiver, bool good);
  void TurnWait(Thread& sender, Thread& receiver);
  // Starts the receive phase of `t`, and of every thread whose send that completes.
  void StartReceive(Thread& t);
  Thread* StartReceiveStep(Thread& t);
  Thread* FirstSenderFor(const Thread& t) const;
  void FailIpc(Thread& t, L4_Word_t error, L4_Word_t tag_bits_kept);
  void QueueSender(Thread& s, Thread& receiver);

  // string_transfer.cc
  TransferStep StartTransfer(Thread& sender, Thread& receiver, unsigned item, unsigned end,
                             StringTransfer** out);
  // Goes on with a message from where it stands.
  TransferStep RunTransfer(StringTransfer& x);
  bool BeginString(StringTransfer& x);
  TransferStep CopyString(StringTransfer& x);
  uint8_t* TouchForCopy(Thread& t, uint64_t va, RightsBits need, uint64_t* bytes);
  TransferStep FaultInTransfer(StringTransfer& x, Thread& t, uint64_t va, RightsBits access);
  uint64_t TransferDeadline(const StringTransfer& x) const;
  void LeaveFault(StringTransfer& x);
  void ResumeTransfer(StringTransfer& x);
  void FinishTransfer(StringTransfer& x);
  // Ends it from outside; reasons without phase.
  void EndTransfer(StringTransfer& x, L4_Word_t sender_error, L4_Word_t receiver_error);
  void TransferTimedOut(StringTransfer& x);
  static void SetTransferTimeoutErrors(StringTransfer& x);
  void FreeTransfer(StringTransfer& x);

  // thread_calls.cc
  void Activate(Thread& t, L4_ThreadId_t pager);
  L4_Word_t CheckThreadOrder(Thread& self, ThreadOrder* order) const;
  bool UtcbFits(const Space& space, const Thread* t, uint64_t location) const;
  bool UtcbTaken(const Space& space, const Thread* t, uint64_t location) const;
  void ModifyThread(Thread& t, const ThreadOrder& order);
  void Rename(Thread& t, L4_ThreadId_t id);
  void ReadRegisters(const Thread& t, ExchangeArgs* args) const;
  bool MaySteer(const Thread& self, const Thread& t) const;

  StackArena stacks_;
  Fiber host_;
  std::vector<std::unique_ptr<Thread>> thread_storage_;
  std::vector<Thread*> free_threads_;
  std::deque<std::function<void()>> entry_storage_;
  absl::btree_map<uint64_t, std::function<void()>*> entries_;
  absl::btree_map<std::pair<uint64_t, uint64_t>, Thread*> timers_;  // by (deadline, serial)
  uint64_t timer_serial_ = 0;
  std::vector<std::unique_ptr<StringTransfer>> transfer_storage_;
  std::vector<StringTransfer*> free_transfers_;
  std::vector<StringTransfer*> resumed_;  // their faults are over; null: dealt with
  bool resuming_ = false;
  uint64_t switch_limit_ = UINT64_MAX;
  uint64_t shot_down_in_ = 0;      // the kernel operation, by number, that paid for
  uint32_t shot_down_ = 0;         // these processors
  uint64_t verified_changes_ = 0;  // changes of mappings when everything was looked at last
  char verify_text_[256] = {};
  uint64_t next_boot_number_ = 0;
  unsigned sigma0_verbosity_ = 0;

 public:
  std::vector<L4_Word_t> sigma0_owner_;  // raw thread id per frame; 0: free; sigma0.cc has others
  uint64_t sigma0_hint_ = 0;
  uint64_t sigma0_touched_ = 0;  // frames at or above this index have never been given to anybody
  // Another thread has been in sigma0's space (only a privileged one can bring it there): it may
  // map sigma0's memory on without sigma0 knowing.
  bool sigma0_shared_ = false;
};

// The virtual time, in ns, at which a finite X.2 timeout that starts now ends: now for a zero one,
// perhaps earlier for a point.
uint64_t DeadlineNs(uint16_t timeout, uint64_t now_ns);

// ---- What every IPC passes through ----

inline Thread* Core::FindNumber(uint64_t number) const {
  return number < by_number_.size() ? by_number_[number] : nullptr;
}

inline Thread* Core::Find(L4_ThreadId_t id) const {
  Thread* t = FindNumber(L4_ThreadNo(id));
  return t != nullptr && t->gid.raw == id.raw ? t : nullptr;
}

inline L4_ThreadId_t Core::NameFor(const Thread& t, const Thread& viewer) const {
  if (t.space != viewer.space || t.utcb_location == 0) return t.gid;
  return L4_ThreadIdOfRaw(static_cast<L4_Word_t>(t.utcb_location));
}

inline Thread* Core::Resolve(const Thread& self, L4_ThreadId_t id) const {
  return L4_IsGlobalId(id) ? Find(id) : ResolveLocal(self, id);
}

inline void Core::DisarmTimer(Thread& t) {
  if (t.timer_deadline != 0) RemoveTimer(t);
}

inline void Core::StartTurn(Thread& t) {
  if (t.slice_left_ns == 0) t.slice_left_ns = t.slice_ns;
  turn_ends_ns_ = now_ns_ + t.slice_left_ns;
  if (t.quantum_left_ns != kForeverNs) [[unlikely]]
    LimitTurn(t);
  // No preemption is being delayed.
  next_event_ns_ = std::min(next_deadline_, turn_ends_ns_);
  access_event_ns_ = stop_at_accesses_ ? 0 : next_event_ns_;
}

inline void Core::EndTurn(Thread& t) {
  if (t.quantum_left_ns != kForeverNs) [[unlikely]]
    return ChargeQuantum(t);
  t.slice_left_ns = turn_ends_ns_ > now_ns_ ? turn_ends_ns_ - now_ns_ : 0;
}

// In line: every frame between a switch and the code that goes on costs a return that the host's
// processor does not predict. fast_path.h.
[[gnu::always_inline]] inline void Core::SwitchAway(Thread* preferred, HandOver why) {
  Thread& self = *running_;
  if (Fiber* const to = Leave(preferred, why); to != nullptr) {
    Fiber::Switch(self.fiber, *to, options_.switch_order);
  }
  Arrive(self);
}

// The thread running on this host thread; null on the host's own stack. Never inlined, so that no
// fiber keeps the address of a host thread's variable across a switch.
Thread* CurrentThreadOrNull();
void SetCurrentThread(Thread* t);
// The thread that makes a system call. REQUIRES: not on the host's stack.
Thread& Caller();

}  // namespace fake_l4

#endif  // FAKE_L4_CORE_H_
