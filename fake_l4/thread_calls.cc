// ThreadControl, SpaceControl, ExchangeRegisters. facts/l4.md sections 5 and 12.
#include <l4/thread.h>

#include "base/check.h"
#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

constexpr L4_Word_t kKeep = ~L4_Word_t{0};

L4_Word_t Fail(Thread& self, L4_Word_t error) {
  self.utcb.error_code = error;
  return 0;
}

}  // namespace

// ---- ThreadControl ----

// 0, or the error. A location must be one UTCB's worth of the space's area that no other thread of
// the space has.
L4_Word_t Core::CheckUtcb(const Space& space, const Thread* self, L4_Word_t location) const {
  if (location == kKeep) return 0;
  const uint64_t size = uint64_t{1} << profile_.utcb_log2;
  const base::Range utcb{base::Vaddr(location), base::Vaddr(location + size)};
  if (location % size != 0 || location + size < location || !space.utcb_area.Contains(utcb)) {
    return L4_ERROR_UTCB_AREA;
  }
  for (const Thread* t = all_threads_; t != nullptr; t = t->all_next) {
    if (t != self && t->space == &space && t->utcb_location == location) return L4_ERROR_UTCB_AREA;
  }
  return 0;
}

bool Core::Activate(Thread& t, L4_ThreadId_t pager) {
  if (t.utcb_location == 0 || t.space->utcb_area.empty()) return false;
  t.utcb.pager = pager.raw;
  t.space->active_threads++;
  t.waits_for_start = true;
  t.from_spec = pager;
  t.receive_timeout = L4_Never.raw;
  t.state = ThreadState::kReceiving;
  if (FirstSenderFor(t) != nullptr) StartReceive(t);
  return true;
}

L4_Word_t Core::ModifyThread(Thread& t, L4_ThreadId_t dest, Space* space, L4_ThreadId_t scheduler,
                             L4_ThreadId_t pager, L4_Word_t utcb_location) {
  // 1. Another version of the same number: a new name.
  if (t.gid != dest) {
    const L4_ThreadId_t old = t.gid;
    t.gid = dest;
    t.id = dest.raw;
    t.utcb.my_global_id = dest.raw;
    FailPartners(t, old);
  }
  // 2. Another space: a migration. The UTCB stays where it was if that is a place there, too.
  const bool migrates = t.space != space;
  if (migrates && utcb_location == kKeep &&
      CheckUtcb(*space, &t, static_cast<L4_Word_t>(t.utcb_location)) == 0) {
    utcb_location = static_cast<L4_Word_t>(t.utcb_location);
  }
  MoveToSpace(t, space);
  if (!L4_IsNilThread(scheduler)) t.scheduler = scheduler;
  if (utcb_location != kKeep) PlaceUtcb(t, utcb_location);
  // 3. A pager makes it active.
  if (L4_IsNilThread(pager)) return 0;
  if (t.state == ThreadState::kInactive) return Activate(t, pager) ? 0 : L4_ERROR_UTCB_AREA;
  t.utcb.pager = pager.raw;
  if (t.waits_for_start) t.from_spec = pager;
  return 0;
}

L4_Word_t Core::ThreadControl(Thread& self, L4_ThreadId_t dest, L4_ThreadId_t space_of,
                              L4_ThreadId_t scheduler, L4_ThreadId_t pager,
                              L4_Word_t utcb_location) {
  Enter(profile_.costs.system_call);
  // 1. Who asks, and for whom.
  if (!self.space->privileged) return Fail(self, L4_ERROR_NO_PRIVILEGE);
  if (L4_IsLocalId(dest)) return Fail(self, L4_ERROR_INVALID_SPACE);
  const uint64_t number = L4_ThreadNo(dest);
  if (number < profile_.user_base || number >> profile_.thread_no_bits != 0) {
    return Fail(self, L4_ERROR_INVALID_THREAD);
  }
  Thread* t = FindNumber(number);
  // 2. Deletion.
  if (L4_IsNilThread(space_of)) {
    if (t == &self) return Fail(self, L4_ERROR_INVALID_THREAD);
    if (t != nullptr) DeleteThread(*t);
    Preempt();
    return 1;
  }
  // 3. The other operands.
  if (t == nullptr && L4_IsNilThread(scheduler)) return Fail(self, L4_ERROR_INVALID_THREAD);
  const bool new_space = space_of == dest && (t == nullptr || t->gid != dest);
  Thread* neighbour = Find(space_of);
  Space* space = neighbour == nullptr ? nullptr : neighbour->space;
  if (new_space) {
    // Nothing can be configured in a space that does not exist yet, so such a thread cannot be
    // active or have a UTCB.
    if (utcb_location != kKeep || !L4_IsNilThread(pager)) return Fail(self, L4_ERROR_UTCB_AREA);
  } else if (space == nullptr) {
    return Fail(self, L4_ERROR_INVALID_SPACE);
  } else if (const L4_Word_t error = CheckUtcb(*space, t, utcb_location); error != 0) {
    return Fail(self, error);
  }
  if (!L4_IsNilThread(scheduler) && scheduler != dest && Find(scheduler) == nullptr) {
    return Fail(self, L4_ERROR_INVALID_SCHEDULER);
  }
  const bool has_utcb = utcb_location != kKeep || (t != nullptr && t->utcb_location != 0);
  const bool becomes_active =
      !L4_IsNilThread(pager) && (t == nullptr || t->state == ThreadState::kInactive);
  if (becomes_active && !has_utcb) return Fail(self, L4_ERROR_UTCB_AREA);
  if (t == nullptr && Injected(FaultSite::kKernelMemory)) return Fail(self, L4_ERROR_NO_MEMORY);
  // 4. Nothing can fail any more.
  if (new_space) space = CreateSpace();
  if (t == nullptr) t = &CreateThread(dest, space);
  CHECK(ModifyThread(*t, dest, space, scheduler, pager, utcb_location) == 0);
  Preempt();
  return 1;
}

// ---- SpaceControl ----

namespace {

// The range of an area fpage; empty for a nil or nonsensical one.
base::Range AreaRange(L4_Fpage_t area, const Profile& profile) {
  const FpageValue f = DecodeFpage(area.raw, profile);
  if (f.nil() || f.log2 >= profile.address_bits) return {};
  return {base::Vaddr(f.base), base::Vaddr(f.base + (uint64_t{1} << f.log2))};
}

}  // namespace

L4_Word_t Core::SpaceControl(Thread& self, L4_ThreadId_t space_of, L4_Word_t, L4_Fpage_t kip_area,
                             L4_Fpage_t utcb_area, L4_ThreadId_t redirector,
                             L4_Word_t* old_control) {
  Enter(profile_.costs.system_call);
  *old_control = 0;
  if (!self.space->privileged) return Fail(self, L4_ERROR_NO_PRIVILEGE);
  Thread* t = Find(space_of);
  if (t == nullptr) return Fail(self, L4_ERROR_INVALID_SPACE);
  Space& space = *t->space;
  if (redirector == L4_anythread) {
    space.redirector = L4_nilthread;
  } else if (!L4_IsNilThread(redirector)) {
    const Thread* r = Resolve(self, redirector);
    if (r == nullptr) return Fail(self, L4_ERROR_INVALID_THREAD);
    space.redirector = r->gid;
  }
  if (space.active_threads != 0) return 1;
  const base::Range utcb = AreaRange(utcb_area, profile_);
  const base::Range kip = AreaRange(kip_area, profile_);
  const base::Range user{base::Vaddr(0), base::Vaddr(profile_.address_limit())};
  if (utcb.empty() || !user.Contains(utcb)) return Fail(self, L4_ERROR_UTCB_AREA);
  if (kip.empty() || !user.Contains(kip) || kip.Overlaps(utcb))
    return Fail(self, L4_ERROR_KIP_AREA);
  space.utcb_area = utcb;
  space.kip_area = kip;
  return 1;
}

// ---- ExchangeRegisters ----

void Core::SetIp(Thread& t, uint64_t ip) {
  t.ip = ip;
  t.ip_changes++;
  // Real code would go on at the new address. Host code can when there is a function for it; else
  // whoever waits inside a fault learns of it as AccessStatus::kRedirected.
  if (!HasEntry(ip)) return;
  t.restart = true;
  switch (t.state) {
    case ThreadState::kWaitsForHost:
    case ThreadState::kReturned:
    case ThreadState::kNoCode:
      MakeReady(t);
      break;
    default:
      break;
  }
}

L4_ThreadId_t Core::ExchangeRegisters(Thread& self, L4_ThreadId_t dest, ExchangeArgs* args) {
  Enter(profile_.costs.system_call);
  Thread* t = Resolve(self, dest);
  bool allowed = t != nullptr && t->state != ThreadState::kInactive;
  if (allowed && t->space != self.space) {
    const Thread* pager = Resolve(*t, L4_ThreadIdOfRaw(t->utcb.pager));
    allowed = pager != nullptr && pager->space == self.space;
  }
  if (!allowed) {
    self.utcb.error_code = L4_ERROR_INVALID_THREAD;
    return L4_nilthread;
  }
  const ExchangeArgs in = *args;
  // A local id is answered by the global one and the other way round.
  const L4_ThreadId_t result = L4_IsLocalId(dest) || t->utcb_location == 0
                                   ? t->gid
                                   : L4_ThreadIdOfRaw(static_cast<L4_Word_t>(t->utcb_location));
  OrderRelease(&self);
  if (t != &self) t->order_key = &self;
  const bool receiving = InReceivePhase(*t);
  const bool sending = InSendPhase(*t);
  args->control = (t->halted ? L4_EXREGS_HALT : 0) | (receiving ? L4_EXREGS_CANCEL_RECV : 0) |
                  (sending ? L4_EXREGS_CANCEL_SEND : 0);
  args->sp = static_cast<L4_Word_t>(t->sp);
  args->ip = static_cast<L4_Word_t>(t->ip);
  args->flags = static_cast<L4_Word_t>(t->flags);
  args->handle = t->utcb.user_defined_handle;
  args->pager = L4_ThreadIdOfRaw(t->utcb.pager);
  // 1. The values.
  if (in.control & L4_EXREGS_SET_SP) t->sp = in.sp;
  if (in.control & L4_EXREGS_SET_FLAGS) t->flags = in.flags;
  if (in.control & L4_EXREGS_SET_HANDLE) t->utcb.user_defined_handle = in.handle;
  if (in.control & L4_EXREGS_SET_PAGER) t->utcb.pager = in.pager.raw;
  if (in.control & L4_EXREGS_SET_IP) SetIp(*t, in.ip);
  // 2. Halt or run, before anything makes the thread ready.
  if (in.control & L4_EXREGS_SET_HALT) {
    t->halted = (in.control & L4_EXREGS_HALT) != 0;
    if (t->halted) {
      MakeUnready(*t);
    } else if (t->state == ThreadState::kReady) {
      MakeReady(*t);
    }
  }
  // 3. Cancel.
  if ((receiving && (in.control & L4_EXREGS_CANCEL_RECV)) ||
      (sending && (in.control & L4_EXREGS_CANCEL_SEND))) {
    t->waits_for_start = false;
    AbortIpc(*t, L4_IPC_CANCELLED << 1 | (receiving ? 1 : 0));
  } else if (t->state == ThreadState::kNoPager) {
    PagerAppeared(*t);
  }
  if (t == &self && (t->halted || t->restart)) {
    if (!t->halted) strategy_->Add(*t, QueueEnd::kFront);
    SwitchAway(nullptr);
  } else {
    Preempt();
  }
  return result;
}

}  // namespace fake_l4
