#include "uvm/lock.h"

#include "base/check.h"

namespace uvm {
namespace {

uint32_t RankBit(base::LockRank rank) { return uint32_t{1} << static_cast<uint32_t>(rank); }

// All ranks at or above `rank`.
uint32_t FromRank(base::LockRank rank) { return ~(RankBit(rank) - 1); }

}  // namespace

// ---- Mutex ----

// Called with the guard held, releases it.
void Mutex::Wait(Thread* self) {
  CHECK(owner_ != self);
  waiters_.PushBack(self);
  guard_.Release();
  threads_->Park();  // Unlock() made us the owner
  CHECK(owner_ == self);
}

void Mutex::Lock() {
  Thread* self = threads_->Self();
  CHECK((self->held_ranks & FromRank(rank_)) == 0);
  threads_->LockPoint();
  guard_.Acquire(threads_);
  if (__builtin_expect(owner_ == nullptr, 1)) {
    owner_ = self;
    guard_.Release();
  } else {
    Wait(self);
  }
  self->held_ranks |= RankBit(rank_);
}

bool Mutex::TryLock() {
  Thread* self = threads_->Self();
  threads_->LockPoint();
  guard_.Acquire(threads_);
  bool free = owner_ == nullptr;
  if (free) owner_ = self;
  guard_.Release();
  if (free) self->held_ranks |= RankBit(rank_);
  return free;
}

void Mutex::Unlock() {
  ThreadSystem* threads = threads_;  // once released, the lock may be gone
  CHECK(owner_ != nullptr);
  DCHECK(owner_ == threads->Self());  // to ask who that is costs as much as the rest
  owner_->held_ranks &= ~RankBit(rank_);
  guard_.Acquire(threads);
  if (__builtin_expect(waiters_.empty(), 1)) {
    owner_ = nullptr;
    guard_.Release();
  } else {
    Thread* next = waiters_.PopFront();
    owner_ = next;
    guard_.Release();
    threads->Unpark(next);
  }
  threads->LockPoint();
}

bool Mutex::HeldBySelf() const { return owner_ != nullptr && owner_ == threads_->Self(); }

void Mutex::AssertHeld() const { DCHECK(HeldBySelf()); }

// ---- RwLock ----

// Called with the guard held, releases it.
void RwLock::Wait(Thread* self, bool write) {
  CHECK(writer_ != self);
  self->wants_write = write;
  waiters_.PushBack(self);
  guard_.Release();
  threads_->Park();  // GrantAndRelease() counted us in
}

inline void RwLock::Release() {
  if (__builtin_expect(!waiters_.empty(), 0)) return GrantAndRelease();
  ThreadSystem* threads = threads_;  // once released, the lock may be gone
  guard_.Release();
  threads->LockPoint();
}

void RwLock::GrantAndRelease() {
  ThreadSystem* threads = threads_;  // once released, the lock may be gone
  WaitQueue granted;
  if (writer_ == nullptr) {
    for (Thread* head = waiters_.front(); head != nullptr; head = waiters_.front()) {
      if (head->wants_write) {
        if (readers_ != 0) break;
        waiters_.Remove(head);
        writer_ = head;
        granted.PushBack(head);
        break;
      }
      waiters_.Remove(head);
      ++readers_;
      granted.PushBack(head);
    }
  }
  guard_.Release();
  for (Thread* thread = granted.PopFront(); thread != nullptr; thread = granted.PopFront()) {
    threads->Unpark(thread);
  }
  threads->LockPoint();
}

void RwLock::WriteLock() {
  Thread* self = threads_->Self();
  CHECK((self->held_ranks & FromRank(rank_)) == 0);
  threads_->LockPoint();
  guard_.Acquire(threads_);
  if (__builtin_expect(writer_ == nullptr && readers_ == 0, 1)) {
    writer_ = self;
    guard_.Release();
  } else {
    Wait(self, /*write=*/true);
  }
  self->held_ranks |= RankBit(rank_);
}

bool RwLock::TryWriteLock() {
  Thread* self = threads_->Self();
  threads_->LockPoint();
  guard_.Acquire(threads_);
  bool free = writer_ == nullptr && readers_ == 0 && waiters_.empty();
  if (free) writer_ = self;
  guard_.Release();
  if (free) self->held_ranks |= RankBit(rank_);
  return free;
}

void RwLock::WriteUnlock() {
  Thread* self = threads_->Self();
  CHECK(writer_ == self);
  self->held_ranks &= ~RankBit(rank_);
  guard_.Acquire(threads_);
  writer_ = nullptr;
  Release();
}

void RwLock::ReadLock() {
  Thread* self = threads_->Self();
  CHECK((self->held_ranks & FromRank(rank_)) == 0);
  threads_->LockPoint();
  guard_.Acquire(threads_);
  // A reader queues behind a waiting writer, or writers would starve.
  if (__builtin_expect(writer_ == nullptr && waiters_.empty(), 1)) {
    ++readers_;
    guard_.Release();
  } else {
    Wait(self, /*write=*/false);
  }
  self->held_ranks |= RankBit(rank_);
}

bool RwLock::TryReadLock() {
  Thread* self = threads_->Self();
  threads_->LockPoint();
  guard_.Acquire(threads_);
  const bool free = writer_ == nullptr && waiters_.empty();
  if (free) ++readers_;
  guard_.Release();
  if (free) self->held_ranks |= RankBit(rank_);
  return free;
}

void RwLock::ReadUnlock() {
  Thread* self = threads_->Self();
  CHECK(readers_ > 0);
  self->held_ranks &= ~RankBit(rank_);
  guard_.Acquire(threads_);
  --readers_;
  Release();
}

bool RwLock::TryUpgrade() {
  threads_->LockPoint();
  guard_.Acquire(threads_);
  bool alone = readers_ == 1 && writer_ == nullptr;
  if (alone) {
    readers_ = 0;
    writer_ = threads_->Self();
  }
  guard_.Release();
  return alone;
}

// ---- CondVar ----

void CondVar::Wait(Mutex* mutex) {
  WaitAndRelease(mutex);
  mutex->Lock();
}

void CondVar::WaitAndRelease(Mutex* mutex) {
  Thread* self = threads_->Self();
  guard_.Acquire(threads_);
  waiters_.PushBack(self);
  guard_.Release();
  mutex->Unlock();
  threads_->Park();
}

void CondVar::WakeAll() {
  WaitQueue woken;
  guard_.Acquire(threads_);
  for (Thread* thread = waiters_.PopFront(); thread != nullptr; thread = waiters_.PopFront())
    woken.PushBack(thread);
  guard_.Release();
  for (Thread* thread = woken.PopFront(); thread != nullptr; thread = woken.PopFront())
    threads_->Unpark(thread);
}

}  // namespace uvm
