// Scenarios of the other system calls, and of sigma0.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "conform/facts_scenarios.h"
#include "conform/widening.h"

namespace conform {

namespace {

using Bench = FactsBench;

constexpr L4_Word_t kKeep = ~L4_Word_t{0};
// A thread that the stories create.
constexpr L4_Word_t kNewNumber = 100;

void* Location(L4_Word_t utcb) { return reinterpret_cast<void*>(utcb); }

// ---- ExchangeRegisters ----

CallResults Exchange(L4_ThreadId_t thread, L4_Word_t control, L4_Word_t handle) {
  CallResults r;
  r.id = L4_ExchangeRegisters(thread, control | L4_EXREGS_DELIVER, 0, 0, 0, handle, L4_nilthread,
                              &r.control, &r.sp, &r.ip, &r.flags, &r.handle, &r.pager);
  return r;
}

void Exchange(Bench& b, const char* scenario, uint32_t helper, L4_ThreadId_t thread,
              L4_Word_t control = 0, L4_Word_t handle = 0) {
  b.Call(helper, [=] { return Exchange(thread, control, handle); });
  b.Report(scenario, helper);
}

// The threads looked at wait for root.
constexpr Story kExchange[] = {
    {"exregs_read_same_space", [](Bench& b) { Exchange(b, "exregs_read_same_space", 2, b.Id(3)); }},
    {"exregs_foreign_not_pager",
     [](Bench& b) { Exchange(b, "exregs_foreign_not_pager", 2, b.Id(4)); }},
    {"exregs_foreign_thread_in_pagers_space",
     [](Bench& b) { Exchange(b, "exregs_foreign_thread_in_pagers_space", 0, b.Id(2)); }},
    {"exregs_no_such_thread",
     [](Bench& b) { Exchange(b, "exregs_no_such_thread", 2, b.NoSuchThread()); }},
    {"exregs_self_read", [](Bench& b) { Exchange(b, "exregs_self_read", 2, b.Id(2)); }},
    {"exregs_halt exregs_read_halted exregs_resume",
     [](Bench& b) {
       Exchange(b, "exregs_halt", 2, b.Id(3), L4_EXREGS_SET_HALT | L4_EXREGS_HALT);
       Exchange(b, "exregs_read_halted", 2, b.Id(3));
       Exchange(b, "exregs_resume", 2, b.Id(3), L4_EXREGS_SET_HALT);
     }},
    {"exregs_set_handle exregs_read_handle",
     [](Bench& b) {
       Exchange(b, "exregs_set_handle", 2, b.Id(3), L4_EXREGS_SET_HANDLE, 0xabcd);
       Exchange(b, "exregs_read_handle", 2, b.Id(3));
     }},
};

// ---- ThreadControl ----

// The operands of ThreadControl; the rest of a scenario is what differs from "leave it".
struct Threads {
  L4_ThreadId_t dest = {0}, space = {0}, scheduler = {0}, pager = {0};
  L4_Word_t utcb = kKeep;
};

void Control(Bench& b, const char* scenario, uint32_t helper, const Threads& t) {
  b.Call(helper, [t] {
    CallResults r;
    r.result = L4_ThreadControl(t.dest, t.space, t.scheduler, t.pager, Location(t.utcb));
    return r;
  });
  if (scenario != nullptr) b.Report(scenario, helper);
}

L4_ThreadId_t New(L4_Word_t version = 1) { return L4_GlobalId(kNewNumber, version); }
L4_ThreadId_t Interrupt(L4_Word_t version) { return L4_GlobalId(L4_Word_t{3}, version); }

void Schedule(Bench& b, const char* scenario, uint32_t helper, L4_ThreadId_t thread,
              L4_Word_t priority = kKeep);

// A thread from its creation in space A to its end.
void LifeOfAThread(Bench& b) {
  const L4_ThreadId_t space = b.Id(2);
  Control(b, "tc_create_inactive", 0, {.dest = New(), .space = space, .scheduler = b.root()});
  Schedule(b, "schedule_inactive_thread_by_non_scheduler_thread_same_space", 0, New());
  Exchange(b, "exregs_inactive", 0, New());
  b.Ipc(2, {.to = New(), .send_timeout = kTenMilliseconds, .tag = 1});
  b.Report("send_to_inactive", 2);
  const Threads activate = {
      .dest = New(), .space = space, .scheduler = b.root(), .pager = b.root(), .utcb = 0};
  Threads t = activate;
  t.utcb = 0x80000000;
  Control(b, "tc_activate_utcb_outside", 0, t);
  t.utcb = b.Utcb(8) + 4;
  Control(b, "tc_activate_utcb_unaligned", 0, t);
  t.utcb = b.Utcb(8);
  Control(b, "tc_activate_ok", 0, t);
  t.utcb = b.Utcb(9);
  Control(b, "tc_change_utcb_active", 0, t);
  Control(b, "tc_change_version", 0, {.dest = New(2), .space = space});
  b.Ipc(2, {.to = New(1), .tag = 1});
  b.Report("send_old_version", 2);
  Control(b, "tc_delete", 0, {.dest = New(2)});
}

constexpr Story kThreadControl[] = {
    {"tc_unprivileged",
     [](Bench& b) {
       Control(b, "tc_unprivileged", 2, {.dest = New(), .space = b.Id(2), .scheduler = b.root()});
     }},
    {"tc_local_dest",
     [](Bench& b) {
       const L4_ThreadId_t local = L4_ThreadIdOfRaw(b.Utcb(0));
       Control(b, "tc_local_dest", 0, {.dest = local, .space = b.root(), .scheduler = b.root()});
     }},
    {"tc_kernel_thread_number",
     [](Bench& b) {
       const L4_ThreadId_t kernels = L4_GlobalId(L4_Word_t{20}, 1);
       Control(b, "tc_kernel_thread_number", 0,
               {.dest = kernels, .space = b.root(), .scheduler = b.root()});
     }},
    {"tc_delete_self", [](Bench& b) { Control(b, "tc_delete_self", 0, {.dest = b.Id(0)}); }},
    {"tc_delete_nonexisting",
     [](Bench& b) { Control(b, "tc_delete_nonexisting", 0, {.dest = New()}); }},
    // No scheduler was given, either: an absent space alone is error 3 (facts/l4.md section 12).
    {"tc_create_bad_space",
     [](Bench& b) {
       Control(b, "tc_create_bad_space", 0, {.dest = New(), .space = b.NoSuchThread()});
     }},
    {"tc_create_inactive schedule_inactive_thread_by_non_scheduler_thread_same_space "
     "exregs_inactive send_to_inactive tc_activate_utcb_outside tc_activate_utcb_unaligned "
     "tc_activate_ok tc_change_utcb_active tc_change_version send_old_version tc_delete",
     LifeOfAThread},
    {"tc_create_version_0",
     [](Bench& b) {
       Control(b, "tc_create_version_0", 0,
               {.dest = New(0), .space = b.Id(2), .scheduler = b.root()});
     }},
    {"tc_irq3_associate tc_irq3_deassociate",
     [](Bench& b) {
       Control(b, "tc_irq3_associate", 0,
               {.dest = Interrupt(1), .space = Interrupt(1), .pager = b.Id(1)});
       Control(b, "tc_irq3_deassociate", 0,
               {.dest = Interrupt(1), .space = Interrupt(1), .pager = Interrupt(1)});
     }},
    {"tc_irq3_version2",
     [](Bench& b) {
       Control(b, "tc_irq3_version2", 0,
               {.dest = Interrupt(2), .space = Interrupt(2), .pager = b.Id(1)});
     }},
};

// ---- SpaceControl ----

void Space(Bench& b, const char* scenario, uint32_t helper, L4_ThreadId_t space, L4_Fpage_t kip,
           L4_Fpage_t utcb) {
  b.Call(helper, [=] {
    CallResults r;
    r.result = L4_SpaceControl(space, 0, kip, utcb, L4_nilthread, &r.control);
    return r;
  });
  b.Report(scenario, helper);
}

// A space from its creation, with its areas misplaced in every way, to its end.
void LifeOfASpace(Bench& b) {
  const L4_Fpage_t kip = b.KipArea(), utcb = b.UtcbArea();
  Control(b, "tc_new_space", 0, {.dest = New(), .space = New(), .scheduler = b.root()});
  Space(b, "sc_kip_utcb_overlap", 0, New(), L4_FpageLog2(b.Utcb(0), 12), utcb);
  Space(b, "sc_kip_too_small", 0, New(), L4_FpageLog2(L4_Address(kip), 11), utcb);
  Space(b, "sc_utcb_too_small", 0, New(), kip, L4_FpageLog2(b.Utcb(0), 11));
  Space(b, "sc_utcb_in_kernel_area", 0, New(), kip, L4_FpageLog2(0xf0000000, 16));
  Space(b, "sc_ok", 0, New(), kip, utcb);
  Control(b, "tc_delete_space", 0, {.dest = New()});
}

constexpr Story kSpaceControl[] = {
    {"sc_unprivileged",
     [](Bench& b) { Space(b, "sc_unprivileged", 2, b.Id(2), b.KipArea(), b.UtcbArea()); }},
    {"sc_no_such_space",
     [](Bench& b) {
       Space(b, "sc_no_such_space", 0, b.NoSuchThread(), b.KipArea(), b.UtcbArea());
     }},
    {"sc_existing_active",
     [](Bench& b) { Space(b, "sc_existing_active", 0, b.Id(2), b.KipArea(), b.UtcbArea()); }},
    {"sc_existing_nil_areas",
     [](Bench& b) { Space(b, "sc_existing_nil_areas", 0, b.Id(2), L4_Nilpage, L4_Nilpage); }},
    {"tc_new_space sc_kip_utcb_overlap sc_kip_too_small sc_utcb_too_small sc_utcb_in_kernel_area "
     "sc_ok tc_delete_space",
     LifeOfASpace},
};

// ---- Schedule ----

void Schedule(Bench& b, const char* scenario, uint32_t helper, L4_ThreadId_t thread,
              L4_Word_t priority) {
  b.Call(helper, [=] {
    CallResults r;
    r.result = L4_Schedule(thread, kKeep, kKeep, priority, kKeep, &r.control);
    return r;
  });
  b.Report(scenario, helper);
}

void ScheduleByRoot(Bench& b, const char* scenario, L4_ThreadId_t thread) {
  b.Root([thread] {
    L4_Word_t old = 0;
    ScheduleFact f;
    f.state = static_cast<uint32_t>(L4_Schedule(thread, kKeep, kKeep, kKeep, kKeep, &old));
    f.time_control = static_cast<uint32_t>(old);
    f.error = f.state == 0 ? static_cast<uint32_t>(L4_ErrorCode()) : 0;
    return FactValue(f);
  });
  b.ReportRoot(scenario);
}

// h3 and h4 wait for root where nothing else is said.
constexpr Story kSchedule[] = {
    {"schedule_read_waiting", [](Bench& b) { Schedule(b, "schedule_read_waiting", 0, b.Id(3)); }},
    {"schedule_not_scheduler", [](Bench& b) { Schedule(b, "schedule_not_scheduler", 2, b.Id(3)); }},
    {"schedule_no_such", [](Bench& b) { Schedule(b, "schedule_no_such", 0, b.NoSuchThread()); }},
    {"schedule_prio_255", [](Bench& b) { Schedule(b, "schedule_prio_255", 0, b.Id(3), 255); }},
    {"schedule_read_pending_send",
     [](Bench& b) {
       b.Ipc(2, {.to = b.Id(4), .tag = 1});
       Schedule(b, "schedule_read_pending_send", 0, b.Id(2));
     }},
    {"schedule_read_receiving",
     [](Bench& b) {
       b.Ipc(2, {.from = L4_anythread});
       Schedule(b, "schedule_read_receiving", 0, b.Id(2));
     }},
    {"schedule_by_scheduler_itself",
     [](Bench& b) { ScheduleByRoot(b, "schedule_by_scheduler_itself", b.Id(3)); }},
    {"schedule_root_self", [](Bench& b) { ScheduleByRoot(b, "schedule_root_self", b.root()); }},
};

// ---- ProcessorControl, MemoryControl ----

void Processor(Bench& b, const char* scenario, uint32_t helper) {
  b.Call(helper, [] {
    CallResults r;
    r.result = L4_ProcessorControl(0, 0, 0, 0);
    return r;
  });
  b.Report(scenario, helper);
}

void Memory(Bench& b, const char* scenario, uint32_t helper) {
  b.Call(helper, [] {
    const L4_Word_t attributes[4] = {};
    L4_LoadMR(0, L4_FpageLog2(Bench::kImage, 12).raw);
    CallResults r;
    r.result = L4_MemoryControl(0, attributes);
    return r;
  });
  b.Report(scenario, helper);
}

constexpr Story kMachine[] = {
    {"procctl_unprivileged", [](Bench& b) { Processor(b, "procctl_unprivileged", 2); }},
    {"procctl_root_space", [](Bench& b) { Processor(b, "procctl_root_space", 0); }},
    {"memctl_unprivileged", [](Bench& b) { Memory(b, "memctl_unprivileged", 2); }},
    {"memctl_root_space", [](Bench& b) { Memory(b, "memctl_root_space", 0); }},
};

// ---- Unmap by root ----

void UnmapByRoot(Bench& b, uint32_t fpage) {
  b.Root([fpage] {
    L4_LoadMR(0, WidenFpage(fpage));
    L4_UnmapControl(0);
    L4_Word_t result = 0;
    L4_StoreMR(0, &result);
    return FactValue(UnmapFact{static_cast<uint32_t>(result)});
  });
  b.ReportRoot(absl::StrCat("unmap_root_nonflush_", absl::Hex(fpage, absl::kZeroPad8)).c_str());
}

// The first page of the image holds code that the helpers execute, a later one data they write.
constexpr Story kUnmap[] = {
    {"unmap_root_nonflush_00000000 unmap_root_nonflush_00000007 unmap_root_nonflush_004000a0 "
     "unmap_root_nonflush_00000010",
     [](Bench& b) {
       b.Touch(2, Bench::kImage, Bench::Access::kFetch);
       b.Touch(2, Bench::kImage + 0xf000, Bench::Access::kStore);
       for (const uint32_t fpage : {0u, 7u, 0x004000a0u, 0x10u}) UnmapByRoot(b, fpage);
     }},
};

// ---- sigma0 ----

void Request(Bench& b, uint32_t fpage) {
  const L4_ThreadId_t sigma0 = b.sigma0();
  b.Root([sigma0, fpage] {
    L4_Accept(L4_MapGrantItems(L4_CompleteAddressSpace));
    L4_Set_MsgTag(L4_MakeMsgTag(L4_LABEL_SIGMA0, 2, 0));
    L4_LoadMR(1, WidenFpage(fpage));
    L4_LoadMR(2, 0);
    const L4_MsgTag_t tag = L4_Call(sigma0);
    L4_Word_t item[2];
    L4_StoreMRs(1, 2, item);
    L4_Accept(L4_UntypedWordsAcceptor);
    Sigma0Fact f;
    f.tag = NarrowTag(tag.raw).value_or(~0u);
    f.error = L4_IpcFailed(tag) ? static_cast<uint32_t>(L4_ErrorCode()) : 0;
    f.item = NarrowSendBase(item[0]).value_or(~0u);
    f.fpage = NarrowFpage(item[1]).value_or(~0u);
    return FactValue(f);
  });
  b.ReportRoot(absl::StrCat("sigma0_request_", absl::Hex(fpage, absl::kZeroPad8)).c_str());
}

constexpr Story kSigma0[] = {
    {"sigma0_request_020000c0 sigma0_request_02000160 sigma0_request_001000c0 "
     "sigma0_request_000200c0 sigma0_request_fffffcc0 sigma0_request_fffffd60 "
     "sigma0_request_fee000c0 sigma0_request_020010b0 sigma0_request_02400180",
     [](Bench& b) {
       for (const uint32_t fpage : {0x020000c0u, 0x02000160u, 0x001000c0u, 0x000200c0u, 0xfffffcc0u,
                                    0xfffffd60u, 0xfee000c0u, 0x020010b0u, 0x02400180u}) {
         Request(b, fpage);
       }
     }},
};

}  // namespace

std::vector<Story> AllStories() {
  std::vector<Story> all;
  for (const absl::Span<const Story> stories :
       {AloneStories(), UntypedStories(), ItemStories(), StringStories(), PropagationStories(),
        absl::Span<const Story>(kExchange), absl::Span<const Story>(kThreadControl),
        absl::Span<const Story>(kSpaceControl), absl::Span<const Story>(kSchedule),
        absl::Span<const Story>(kMachine), absl::Span<const Story>(kUnmap),
        absl::Span<const Story>(kSigma0)}) {
    all.insert(all.end(), stories.begin(), stories.end());
  }
  return all;
}

}  // namespace conform
