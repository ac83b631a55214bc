// uvm/lock.h: UVM's locks: Mutex, RwLock (with try-upgrade) and CondVar, on park and unpark.
//
// WHAT     Each lock knows its rank and its owner, queues its waiters and hands itself over to the
//          first of them when it is released, so that no waiter can be overtaken for ever.
// STATES   Mutex: free <-> owned. RwLock: free <-> read by n <-> written by one; a reader that
//          upgrades must be alone.
// LOCKS    A lock's own fields are guarded by an atomic word whose spin yields; nothing is called
//          while it is held. Ranks must rise (base/lock_rank.h): Lock() checks, TryLock() may go
//          against the order.
// INVARIANTS  A thread waits on at most one queue. An owned lock's owner is never on its queue.
// SEE      design.md D5; docs/LOCKING.md.

#ifndef UVM_LOCK_H_
#define UVM_LOCK_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "base/check.h"
#include "base/list.h"
#include "base/lock_rank.h"
#include "base/spin_word.h"
#include "uvm/thread.h"

namespace uvm {

using WaitQueue = base::List<Thread, &Thread::wait_link>;

// The atomic word round a lock's fields.
class QueueGuard {
 public:
  void Acquire(ThreadSystem* threads) {
    while (!word_.TryTake(threads->processors)) threads->Yield();
  }
  // REQUIRES: the caller has it. Whoever changed the fields without may have met somebody else
  // there.
  void Release() {
    CHECK(word_.DebugTaken());
    word_.Release();
  }

 private:
  base::SpinWord word_;
};

class ABSL_LOCKABLE Mutex {
 public:
  Mutex(ThreadSystem* threads, base::LockRank rank) : threads_(threads), rank_(rank) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // REQUIRES: the caller holds nothing of this rank or a higher one.
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION();
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true);
  void Unlock() ABSL_UNLOCK_FUNCTION();
  // NetBSD: uvm_page_locked_p(), uvm_page_owner_locked_p() ask the owner's lock.
  bool HeldBySelf() const;
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK();
  // For checkers: true when nobody holds the lock or waits for it.
  bool DebugIdle() const { return owner_ == nullptr && waiters_.empty(); }

 private:
  void Wait(Thread* self);

  ThreadSystem* const threads_;
  const base::LockRank rank_;
  QueueGuard guard_;
  Thread* owner_ = nullptr;
  WaitQueue waiters_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

class ABSL_LOCKABLE RwLock {
 public:
  RwLock(ThreadSystem* threads, base::LockRank rank) : threads_(threads), rank_(rank) {}
  RwLock(const RwLock&) = delete;
  RwLock& operator=(const RwLock&) = delete;

  void WriteLock() ABSL_EXCLUSIVE_LOCK_FUNCTION();
  // False, at once, when anybody holds the lock or waits for it.
  bool TryWriteLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true);
  void WriteUnlock() ABSL_UNLOCK_FUNCTION();
  void ReadLock() ABSL_SHARED_LOCK_FUNCTION();
  // False, at once, when somebody writes or waits for it.
  bool TryReadLock() ABSL_SHARED_TRYLOCK_FUNCTION(true);
  void ReadUnlock() ABSL_UNLOCK_FUNCTION();
  // Turns the caller's read lock into the write lock if it is the only reader. On failure the read
  // lock stays.
  bool TryUpgrade();
  bool DebugIdle() const { return writer_ == nullptr && readers_ == 0 && waiters_.empty(); }

 private:
  void Wait(Thread* self, bool write);
  // Called with the guard held, release it. GrantAndRelease hands the lock to the head of the
  // queue: one writer or a run of readers.
  void Release();
  void GrantAndRelease();

  ThreadSystem* const threads_;
  const base::LockRank rank_;
  QueueGuard guard_;
  Thread* writer_ = nullptr;
  uint32_t readers_ = 0;
  WaitQueue waiters_;
};

class ABSL_SCOPED_LOCKABLE WriterLock {
 public:
  explicit WriterLock(RwLock* lock) ABSL_EXCLUSIVE_LOCK_FUNCTION(lock) : lock_(lock) {
    lock_->WriteLock();
  }
  ~WriterLock() ABSL_UNLOCK_FUNCTION() { lock_->WriteUnlock(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  RwLock* const lock_;
};

class ABSL_SCOPED_LOCKABLE ReaderLock {
 public:
  explicit ReaderLock(RwLock* lock) ABSL_SHARED_LOCK_FUNCTION(lock) : lock_(lock) {
    lock_->ReadLock();
  }
  ~ReaderLock() ABSL_UNLOCK_FUNCTION() { lock_->ReadUnlock(); }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

 private:
  RwLock* const lock_;
};

// Waits for a condition that a mutex guards.
class CondVar {
 public:
  explicit CondVar(ThreadSystem* threads) : threads_(threads) {}
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  // Releases `mutex`, waits for WakeAll, takes `mutex` again. May return spuriously late, never
  // early.
  void Wait(Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // The same, but leaves `mutex` released: for conditions whose mutex may be gone afterwards.
  void WaitAndRelease(Mutex* mutex) ABSL_UNLOCK_FUNCTION(mutex);
  void WakeAll();

 private:
  ThreadSystem* const threads_;
  QueueGuard guard_;
  WaitQueue waiters_;
};

}  // namespace uvm

#endif  // UVM_LOCK_H_
