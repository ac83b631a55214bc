// l4/schedule.h: clock, processor hand-over and priorities.
// SEE      X.2 manual: "SystemClock", "ThreadSwitch", "Schedule".
#ifndef FAKE_L4_INCLUDE_L4_SCHEDULE_H_
#define FAKE_L4_INCLUDE_L4_SCHEDULE_H_

#include <l4/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// Microseconds since boot; virtual time in a simulated kernel.
L4_Clock_t L4_SystemClock(void);

// Hands the processor to `dest` if it can run; L4_nilthread: to the next runnable thread.
void L4_ThreadSwitch(L4_ThreadId_t dest);

// Sets priority (0..255), time slice and processor of `dest`; all ones leaves a parameter
// unchanged. Only its scheduler may. Returns the thread's state: 0 error (L4_ErrorCode 1, 2, 5), 1
// dead, 2 inactive, 3 running, 4 pending send, 5 sending, 6 waiting, 7 receiving.
L4_Word_t L4_Schedule(L4_ThreadId_t dest, L4_Word_t time_control, L4_Word_t processor_control,
                      L4_Word_t priority, L4_Word_t preemption_control,
                      L4_Word_t* old_time_control);

#ifdef __cplusplus
}
#endif

#define L4_SCHEDRESULT_ERROR 0u
#define L4_SCHEDRESULT_DEAD 1u
#define L4_SCHEDRESULT_INACTIVE 2u
#define L4_SCHEDRESULT_RUNNING 3u
#define L4_SCHEDRESULT_PENDING_SEND 4u
#define L4_SCHEDRESULT_SENDING 5u
#define L4_SCHEDRESULT_WAITING 6u
#define L4_SCHEDRESULT_RECEIVING 7u

L4_INLINE void L4_Yield(void) { L4_ThreadSwitch(L4_nilthread); }

// Returns 1, or 0 with L4_ErrorCode.
L4_INLINE L4_Word_t L4_Set_Priority(L4_ThreadId_t t, L4_Word_t priority) {
  const L4_Word_t keep = ~(L4_Word_t)0;
  L4_Word_t old;
  return L4_Schedule(t, keep, keep, priority, keep, &old) != L4_SCHEDRESULT_ERROR;
}

#endif  // FAKE_L4_INCLUDE_L4_SCHEDULE_H_
