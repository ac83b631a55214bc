// uvm/thread.h: the door down to threads: park and unpark, and a clock.
//
// WHAT     A Thread is the record of one server thread that runs UVM code: vmserver embeds one per
//          worker, a unit test one per fake thread. UVM's locks queue Threads and never see what is
//          behind them.
// STATES   running -> parked (Park) -> running (Unpark). One Unpark matches one Park, in either
//          order: an Unpark before its Park is remembered.
// LOCKS    Unpark may switch to another thread, so it is called with no queue guard held.
// SEE      design.md D5 (how this stands on L4 IPC).

#ifndef UVM_THREAD_H_
#define UVM_THREAD_H_

#include <cstdint>

#include "base/list.h"
#include "base/spin_word.h"

namespace uvm {

struct Thread {
  uint32_t id = 0;           // stable, dense, for dumps; 0 = unnamed
  base::ListLink wait_link;  // on at most one lock's queue
  uint32_t held_ranks = 0;   // bit r: this thread holds a lock of LockRank r
  bool wants_write = false;  // while queued on an RwLock: exclusive?
};

class ThreadSystem {
 public:
  // The caller's own record; never null on a thread that runs UVM code.
  virtual Thread* Self() = 0;
  // Blocks the caller until its matching Unpark.
  virtual void Park() = 0;
  // The same with an end: false when the virtual time `deadline_us` came first.
  virtual bool ParkUntil(uint64_t deadline_us) = 0;
  virtual void Unpark(Thread* thread) = 0;
  // Lets others run; also a scheduling point of exploration runs.
  virtual void Yield() = 0;
  // Virtual microseconds since boot.
  virtual uint64_t Now() = 0;

  // The processor that the caller runs on, from 0 on. Advice: it may be another at once.
  virtual uint32_t Processor() { return 0; }

  // Where the threads run. Set before the first lock is taken.
  base::Processors processors = base::Processors::kOne;

  // Called before a lock is taken and after one was released, with no queue guard held. Only runs
  // that explore schedules set it: another thread may go first here.
  void (*at_lock)() = nullptr;
  void LockPoint() const {
    if (at_lock != nullptr) at_lock();
  }

 protected:
  ~ThreadSystem() = default;
};

}  // namespace uvm

#endif  // UVM_THREAD_H_
