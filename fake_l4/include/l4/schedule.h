// l4/schedule.h: clock, processor hand-over and priorities.
// SEE      X.2 manual: "SystemClock", "ThreadSwitch", "Schedule".
#ifndef FAKE_L4_INCLUDE_L4_SCHEDULE_H_
#define FAKE_L4_INCLUDE_L4_SCHEDULE_H_

#include <l4/thread.h>
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

// The point in time `at`, to be used as a timeout before it: the finest encoding that reaches it,
// at most 15 low bits are dropped. At most about 67 s ahead; what is further is L4_Never, what is
// past is L4_ZeroTime.
L4_INLINE L4_Time_t L4_TimePoint(L4_Clock_t at) {
  const L4_Word64_t now = L4_SystemClock().raw;
  L4_Word_t e = 0;
  if (at.raw <= now) return L4_ZeroTime;
  while (e < 16 && (at.raw >> (e + 10)) - (now >> (e + 10)) > 1) e++;
  if (e == 16) return L4_Never;
  return L4_TimeOfRaw(0x8000 | (e << 11) | (L4_Word_t)((at.raw >> e) & 2047));
}

// ---- Usual combinations of Schedule; each returns its result (L4_SCHEDRESULT_*) ----

L4_INLINE L4_Word_t L4_Set_Priority(L4_ThreadId_t t, L4_Word_t priority) {
  const L4_Word_t keep = ~(L4_Word_t)0;
  L4_Word_t old;
  return L4_Schedule(t, keep, keep, priority, keep, &old);
}
L4_INLINE L4_Word_t L4_Set_ProcessorNo(L4_ThreadId_t t, L4_Word_t processor) {
  const L4_Word_t keep = ~(L4_Word_t)0;
  L4_Word_t old;
  return L4_Schedule(t, keep, processor, keep, keep, &old);
}
// What is left of the time slice and of the total quantum.
L4_INLINE L4_Word_t L4_Timeslice(L4_ThreadId_t t, L4_Time_t* slice, L4_Time_t* quantum) {
  const L4_Word_t keep = ~(L4_Word_t)0;
  L4_Word_t old = 0;
  const L4_Word_t result = L4_Schedule(t, keep, keep, keep, keep, &old);
  *slice = L4_TimeOfRaw((old >> 16) & 0xffff);
  *quantum = L4_TimeOfRaw(old & 0xffff);
  return result;
}
// Periods; a slice of L4_Never never ends, a quantum of L4_Never is never exhausted.
L4_INLINE L4_Word_t L4_Set_Timeslice(L4_ThreadId_t t, L4_Time_t slice, L4_Time_t quantum) {
  const L4_Word_t keep = ~(L4_Word_t)0;
  L4_Word_t old;
  return L4_Schedule(t, ((L4_Word_t)slice.raw << 16) | quantum.raw, keep, keep, keep, &old);
}
// While the thread delays preemption it is only preempted by priorities above `sensitive_priority`,
// and not for longer than `max_delay` microseconds (0..65535).
L4_INLINE L4_Word_t L4_Set_PreemptionDelay(L4_ThreadId_t t, L4_Word_t sensitive_priority,
                                           L4_Word_t max_delay) {
  const L4_Word_t keep = ~(L4_Word_t)0;
  const L4_Word_t control = ((sensitive_priority & 0xff) << 16) | (max_delay & 0xffff);
  L4_Word_t old;
  return L4_Schedule(t, keep, keep, keep, control, &old);
}

#ifdef __cplusplus
// The manual's reference parameters.
inline L4_Word_t L4_Schedule(L4_ThreadId_t dest, L4_Word_t time_control,
                             L4_Word_t processor_control, L4_Word_t priority,
                             L4_Word_t preemption_control, L4_Word_t& old_time_control) {
  return L4_Schedule(dest, time_control, processor_control, priority, preemption_control,
                     &old_time_control);
}
inline L4_Word_t L4_Timeslice(L4_ThreadId_t t, L4_Time_t& slice, L4_Time_t& quantum) {
  return L4_Timeslice(t, &slice, &quantum);
}
#endif

#endif  // FAKE_L4_INCLUDE_L4_SCHEDULE_H_
