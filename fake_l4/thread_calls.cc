// ThreadControl and SpaceControl. facts/l4.md sections 5 and 12.
#include <l4/thread.h>

#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

constexpr L4_Word_t kKeep = ~L4_Word_t{0};

L4_Word_t Fail(Thread& self, L4_Word_t error) {
  self.utcb.error_code = error;
  // Time has passed all the same.
  self.core->Preempt();
  return 0;
}

}  // namespace

// ---- ThreadControl ----

// A ThreadControl taken apart: what its ids mean, and what is to be done.
struct Core::ThreadOrder {
  L4_ThreadId_t dest, space_of, scheduler, pager;
  L4_Word_t utcb_location;
  Thread* t = nullptr;               // of dest's number; null: to be created
  Space* space = nullptr;            // where it is to live; null: in a new one
  L4_ThreadId_t scheduler_id = {0};  // global; nilthread: as it is
};

// A location must be one UTCB's worth of the space's area.
bool Core::UtcbFits(const Space& space, const Thread* t, uint64_t location) const {
  const uint64_t size = uint64_t{1} << profile_.utcb_log2;
  const base::Range utcb{base::Vaddr(location), base::Vaddr(location + size)};
  return location != 0 && space.utcb_area.Contains(utcb) && !UtcbTaken(space, t, location);
}

bool Core::UtcbTaken(const Space& space, const Thread* t, uint64_t location) const {
  const Thread* owner = FindLocal(space, L4_ThreadIdOfRaw(static_cast<L4_Word_t>(location)));
  return owner != nullptr && owner != t;
}

bool Core::HasMemoryForThread(const ThreadOrder& order) const {
  const size_t threads = thread_storage_.size() - free_threads_.size() - profile_.system_base;
  if (options_.max_threads != 0 && threads >= options_.max_threads) return false;
  if (options_.max_mappings != 0 && database_.live_nodes() >= options_.max_mappings) return false;
  return order.space != nullptr || options_.max_spaces == 0 || live_spaces_ < options_.max_spaces;
}

// Fills in what the operands mean; 0, or the error. Errors in the order of facts/l4.md section 5.
L4_Word_t Core::CheckThreadOrder(Thread& self, ThreadOrder* order) const {
  const Thread* t = order->t;
  const uint64_t size = uint64_t{1} << profile_.utcb_log2;
  const L4_Word_t location = order->utcb_location;
  // 1. A thread to be created has a scheduler.
  if (t == nullptr && L4_IsNilThread(order->scheduler)) {
    return options_.quirks.missing_scheduler_is_invalid_thread ? L4_ERROR_INVALID_THREAD
                                                               : L4_ERROR_INVALID_SCHEDULER;
  }
  // 2. The space. Naming itself, a thread that exists stays where it is.
  const Thread* neighbour = order->space_of == order->dest ? t : Resolve(self, order->space_of);
  const bool new_space = order->space_of == order->dest && t == nullptr;
  // Interrupt threads live in no space that others may live in.
  const bool lives = neighbour != nullptr && !neighbour->is_interrupt;
  order->space = lives ? neighbour->space : nullptr;
  // 3. The UTCB: aligned; an active thread keeps its place while it stays in its space.
  const bool active = t != nullptr && t->state != ThreadState::kInactive;
  const bool moves = t != nullptr && order->space != nullptr && order->space != t->space;
  if (location != kKeep) {
    if (location == 0 || location % size != 0 || location >= profile_.user_top) {
      return L4_ERROR_UTCB_AREA;
    }
    if (active && !moves && location != t->utcb_location) return L4_ERROR_UTCB_AREA;
  }
  if (order->space == nullptr && !new_space) return L4_ERROR_INVALID_SPACE;
  // 4. A thread that is active, or will be, has a UTCB in its space's area. One that is not yet may
  // be told its place before there is an area.
  const uint64_t place = location != kKeep ? location : t != nullptr ? t->utcb_location : 0;
  const bool needs_utcb = !L4_IsNilThread(order->pager) || active;
  if (new_space) {
    if (needs_utcb) return L4_ERROR_UTCB_AREA;
  } else if (active && !moves) {
    // It has its place.
  } else if (needs_utcb || (location != kKeep && !order->space->utcb_area.empty())) {
    if (!UtcbFits(*order->space, t, place)) return L4_ERROR_UTCB_AREA;
  } else if (place != 0 && UtcbTaken(*order->space, t, place)) {
    return L4_ERROR_UTCB_AREA;
  }
  // 5. The scheduler.
  if (!L4_IsNilThread(order->scheduler)) {
    const Thread* s = Resolve(self, order->scheduler);
    if (s == nullptr && order->scheduler != order->dest) return L4_ERROR_INVALID_SCHEDULER;
    order->scheduler_id = s == nullptr ? order->dest : s->gid;
  }
  if (t == nullptr && !HasMemoryForThread(*order)) return L4_ERROR_NO_MEMORY;
  return 0;
}

void Core::Activate(Thread& t, L4_ThreadId_t pager) {
  t.utcb.pager = pager.raw;
  t.space->active_threads++;
  t.waits_for_start = true;
  t.from_spec = pager;
  t.receive_timeout = L4_Never.raw;
  t.state = ThreadState::kReceiving;
  if (FirstSenderFor(t) != nullptr) StartReceive(t);
}

// Another version of the same number: a new name. What was going on under the old one ends.
void Core::Rename(Thread& t, L4_ThreadId_t id) {
  const L4_ThreadId_t old = t.gid;
  t.gid = id;
  t.id = id.raw;
  t.utcb.my_global_id = id.raw;
  FailPartners(t, old);
  // One that waits to be started keeps waiting: it has not called anybody.
  if (t.waits_for_start) return;
  if (InSendPhase(t) || InReceivePhase(t)) {
    AbortIpc(t, L4_IPC_CANCELLED << 1 | (InReceivePhase(t) ? 1 : 0));
  }
}

void Core::ModifyThread(Thread& t, const ThreadOrder& order) {
  if (t.gid != order.dest) Rename(t, order.dest);
  const uint64_t location = order.utcb_location == kKeep ? t.utcb_location : order.utcb_location;
  // Strings are copied between two spaces.
  if (t.space != order.space && t.transfer != nullptr) AbortIpc(t, L4_IPC_ABORTED << 1);
  MoveToSpace(t, order.space);
  if (location != t.utcb_location) PlaceUtcb(t, location);
  if (!L4_IsNilThread(order.scheduler_id)) t.scheduler = order.scheduler_id;
  if (L4_IsNilThread(order.pager)) return;
  // A pager makes it active.
  if (t.state == ThreadState::kInactive) return Activate(t, order.pager);
  t.utcb.pager = order.pager.raw;
  if (t.waits_for_start) {
    t.from_spec = order.pager;
    if (FirstSenderFor(t) != nullptr) StartReceive(t);
  } else if (t.state == ThreadState::kNoPager) {
    PagerAppeared(t);
  }
}

L4_Word_t Core::ThreadControl(Thread& self, L4_ThreadId_t dest, L4_ThreadId_t space_of,
                              L4_ThreadId_t scheduler, L4_ThreadId_t pager,
                              L4_Word_t utcb_location) {
  Enter(profile_.costs.system_call);
  // 1. Who asks, and for whom.
  if (!self.space->privileged) return Fail(self, L4_ERROR_NO_PRIVILEGE);
  if (L4_IsLocalId(dest)) return Fail(self, L4_ERROR_INVALID_SPACE);
  const uint64_t number = L4_ThreadNo(dest);
  if (number < profile_.system_base) {
    const L4_Word_t result = InterruptControl(self, dest, space_of, scheduler, pager);
    Preempt();
    return result;
  }
  if (number < profile_.user_base || number >> profile_.thread_no_bits != 0) {
    return Fail(self, L4_ERROR_INVALID_THREAD);
  }
  Thread* t = FindNumber(number);
  // 2. Deletion; of nothing, too.
  if (L4_IsNilThread(space_of)) {
    if (t == &self) return Fail(self, L4_ERROR_INVALID_THREAD);
    if (t != nullptr) DeleteThread(*t);
    Preempt();
    return 1;
  }
  // 3. The other operands.
  if (const Thread* p = Resolve(self, pager); p != nullptr) pager = p->gid;
  ThreadOrder order{dest, space_of, scheduler, pager, utcb_location, t};
  if (const L4_Word_t error = CheckThreadOrder(self, &order); error != 0) {
    return Fail(self, error);
  }
  if (t == nullptr && Injected(FaultSite::kKernelMemory)) return Fail(self, L4_ERROR_NO_MEMORY);
  // 4. Nothing can fail any more.
  if (order.space == nullptr) order.space = CreateSpace();
  if (t == nullptr) t = &CreateThread(dest, order.space);
  ModifyThread(*t, order);
  Preempt();
  return 1;
}

// ---- SpaceControl ----

namespace {

// The range of an area fpage in user addresses; empty for any other.
base::Range AreaRange(L4_Fpage_t area, unsigned min_log2, const Profile& profile) {
  const FpageValue f = DecodeFpage(area.raw, profile);
  if (f.nil() || f.log2 < min_log2 || f.log2 >= profile.address_bits) return {};
  const uint64_t end = f.base + (uint64_t{1} << f.log2);
  if (end < f.base || end > profile.user_top) return {};
  return {base::Vaddr(f.base), base::Vaddr(end)};
}

}  // namespace

L4_Word_t Core::SpaceControl(Thread& self, L4_ThreadId_t space_of, L4_Word_t, L4_Fpage_t kip_area,
                             L4_Fpage_t utcb_area, L4_ThreadId_t redirector,
                             L4_Word_t* old_control) {
  Enter(profile_.costs.system_call);
  // The control word is the processor's affair; these have nothing to control.
  *old_control = 0;
  if (!self.space->privileged) return Fail(self, L4_ERROR_NO_PRIVILEGE);
  Thread* t = Resolve(self, space_of);
  if (t == nullptr || t->is_interrupt) return Fail(self, L4_ERROR_INVALID_SPACE);
  Space& space = *t->space;
  // 1. The areas are fixed while somebody lives there: then they are not even looked at.
  const bool fixed =
      space.active_threads != 0 || (options_.quirks.areas_set_once && space.areas_set);
  base::Range utcb = space.utcb_area, kip = space.kip_area;
  if (!fixed) {
    utcb = AreaRange(utcb_area, kUtcbAreaMinLog2, profile_);
    kip = AreaRange(kip_area, kPageShift, profile_);
    if (utcb.empty()) return Fail(self, L4_ERROR_UTCB_AREA);
    if (kip.empty() || kip.Overlaps(utcb)) return Fail(self, L4_ERROR_KIP_AREA);
  }
  // 2. The redirector.
  if (!L4_IsNilThread(redirector) && redirector != L4_anythread) {
    const Thread* r = Resolve(self, redirector);
    if (r == nullptr) return Fail(self, L4_ERROR_INVALID_THREAD);
    redirector = r->gid;
  }
  // 3. Nothing can fail any more. Pages that lie in the new areas make room for them.
  if (!fixed && (utcb != space.utcb_area || kip != space.kip_area)) {
    if (space.table.present() != 0) FlushSpace(space);
    space.utcb_area = utcb;
    space.kip_area = kip;
    space.areas_set = true;
  }
  if (redirector == L4_anythread) {
    space.redirector = L4_nilthread;
  } else if (!L4_IsNilThread(redirector)) {
    space.redirector = redirector;
  }
  Preempt();
  return 1;
}

}  // namespace fake_l4
