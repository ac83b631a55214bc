#include "vmserver/threads.h"

#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/thread.h>

#include "base/check.h"

namespace vmserver {

// Between saying that one is idle and looking whether something came in, and between bringing
// something and looking who is idle. The server's threads run on one processor: it is enough that
// the compiler keeps the order.
inline void KeepOrder() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

bool ServerThread::Push(const Message& message, bool* wake) {
  uint32_t at = __atomic_load_n(&tail, __ATOMIC_RELAXED);
  if (at - __atomic_load_n(&head, __ATOMIC_ACQUIRE) == kRing) return false;
  ring[at % kRing] = message;
  __atomic_store_n(&tail, at + 1, __ATOMIC_RELEASE);
  KeepOrder();
  *wake = TakeDuty();
  return true;
}

bool ServerThread::Pop(Message* out) {
  uint32_t at = __atomic_load_n(&head, __ATOMIC_RELAXED);
  if (at == __atomic_load_n(&tail, __ATOMIC_ACQUIRE)) return false;
  *out = ring[at % kRing];
  __atomic_store_n(&head, at + 1, __ATOMIC_RELEASE);
  return true;
}

bool ServerThread::Call() {
  __atomic_store_n(&called, 1u, __ATOMIC_RELEASE);
  KeepOrder();
  return TakeDuty();
}

bool ServerThread::LeaveDuty() {
  duty.Release();
  KeepOrder();
  const bool idle =
      __atomic_load_n(&tail, __ATOMIC_ACQUIRE) == __atomic_load_n(&head, __ATOMIC_RELAXED) &&
      __atomic_load_n(&called, __ATOMIC_ACQUIRE) == 0;
  return !idle && TakeDuty();
}

// Something came in, and whoever takes the duty back decides: if the pager or an asker did, its
// wake-up is on the way and must be received.
bool ServerThread::GoIdle() { return !LeaveDuty(); }

Threads::Threads(base::PageSource* memory, const ThreadLayout& layout)
    : memory_(memory), layout_(layout), pool_(memory) {}

void Threads::Boot() {
  const void* kip = L4_KernelInterface(nullptr, nullptr, nullptr);
  root_ = L4_Myself();
  next_number_ = L4_ThreadNo(root_) + 1;
  end_number_ = L4_Word_t{1} << L4_ThreadIdBits(kip);
  ServerThread* root = NewRecord(ServerThread::Role::kRoot);
  CHECK(root != nullptr);
  root->thread = root_;
  L4_Set_UserDefinedHandle(0);
}

L4_Word_t Threads::NewThreadNumber() { return next_number_ < end_number_ ? next_number_++ : 0; }

ServerThread* Threads::NewRecord(ServerThread::Role role) {
  if (count_ == layout_.slots || count_ == kChunk * kChunks) return nullptr;
  ServerThread**& chunk = chunks_[count_ / kChunk];
  if (chunk == nullptr) {
    chunk = static_cast<ServerThread**>(memory_->AllocateChunk(kChunk * sizeof(ServerThread*)));
    if (chunk == nullptr) return nullptr;
  }
  ServerThread* record = pool_.New();
  if (record == nullptr) return nullptr;
  record->index = count_;
  record->id = count_ + 1;
  record->role = role;
  chunk[count_ % kChunk] = record;
  ++count_;
  return record;
}

ServerThread* Threads::Spawn(ServerThread::Role role) {
  L4_Word_t number = NewThreadNumber();
  if (number == 0) return nullptr;
  ServerThread* record = NewRecord(role);
  if (record == nullptr) return nullptr;
  record->thread = L4_GlobalId(number, 1);
  L4_Word_t utcb = layout_.utcb_area + record->index * layout_.utcb_bytes;
  // The start message must come from the pager, so that is the caller until the thread has started.
  if (L4_ThreadControl(record->thread, root_, root_, L4_Myself(), reinterpret_cast<void*>(utcb)) ==
      0) {
    --count_;
    pool_.Delete(record);
    return nullptr;
  }
  L4_Set_UserDefinedHandleOf(record->thread, record->index);
  L4_LoadMR(1, layout_.entry);
  L4_LoadMR(2, layout_.stack_area + (record->index + 1) * layout_.stack_bytes);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
  CHECK(L4_IpcSucceeded(L4_Send(record->thread)));
  L4_Set_PagerOf(record->thread, root_);
  return record;
}

ServerThread* Threads::Current() {
  L4_Word_t index = L4_UserDefinedHandle();
  CHECK(index < count_);
  return At(static_cast<uint32_t>(index));
}

bool Threads::Receive(L4_Time_t timeout) {
  for (;;) {
    L4_MsgTag_t tag = L4_Receive_Timeout(L4_anylocalthread, timeout);
    if (L4_IpcFailed(tag)) {
      if (L4_IpcErrorReason(L4_ErrorCode()) == L4_IPC_TIMEOUT) return false;
      continue;
    }
    // A client may send in the name of a thread of this space; that is no wake-up.
    if (!L4_IpcPropagated(tag)) return true;
  }
}

void Threads::Park() {
  while (!Receive(L4_Never)) continue;
}

bool Threads::ParkUntil(uint64_t deadline_us) {
  for (;;) {
    uint64_t now = Now();
    if (now >= deadline_us) return Receive(L4_ZeroTime);
    if (Receive(L4_TimePeriod(deadline_us - now))) return true;
  }
}

void Threads::Unpark(uvm::Thread* thread) {
  L4_Set_MsgTag(L4_Niltag);
  CHECK(L4_IpcSucceeded(L4_Send(static_cast<ServerThread*>(thread)->thread)));
}

void Threads::Yield() { L4_Yield(); }

uint64_t Threads::Now() { return L4_SystemClock().raw; }

}  // namespace vmserver
