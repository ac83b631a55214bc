// l4/thread.h: thread control registers, creating threads and steering them.
//
// WHAT     The registers in the UTCB that belong to the current thread, L4_ThreadControl
//          (privileged: create, activate, migrate, delete) and L4_ExchangeRegisters (steer a thread
//          of the own space; a pager may also steer threads of the spaces it pages where the kernel
//          has the feature "pagerexregs").
// SEE      X.2 manual: "Thread Control Registers", "ThreadControl", "ExchangeRegisters".
#ifndef FAKE_L4_INCLUDE_L4_THREAD_H_
#define FAKE_L4_INCLUDE_L4_THREAD_H_

#include <l4/arch.h>
#include <l4/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// Creates, changes or deletes thread `dest`. `space`: a thread of the space it shall live in;
// `dest` itself for a new space; nilthread deletes. `pager` nilthread leaves it inactive.
// `utcb_location` -1 leaves it unchanged. Returns 1, or 0 with L4_ErrorCode 1 no privilege, 2
// invalid thread, 3 invalid space, 4 invalid scheduler, 6 bad UTCB location, 8 out of memory. An
// activated thread waits for a start message from its pager: MR1 = IP, MR2 = SP.
L4_Word_t L4_ThreadControl(L4_ThreadId_t dest, L4_ThreadId_t space, L4_ThreadId_t scheduler,
                           L4_ThreadId_t pager, void* utcb_location);

// Reads and changes registers of `dest`; `control` is a sum of L4_EXREGS_* . Returns nilthread
// (L4_ErrorCode 2) when `dest` does not exist, is inactive or may not be touched by the caller.
// *old_control: H halted, R receiving, S sending.
L4_ThreadId_t L4_ExchangeRegisters(L4_ThreadId_t dest, L4_Word_t control, L4_Word_t sp,
                                   L4_Word_t ip, L4_Word_t flags, L4_Word_t user_defined_handle,
                                   L4_ThreadId_t pager, L4_Word_t* old_control, L4_Word_t* old_sp,
                                   L4_Word_t* old_ip, L4_Word_t* old_flags,
                                   L4_Word_t* old_user_defined_handle, L4_ThreadId_t* old_pager);

#ifdef __cplusplus
}
#endif

#define L4_EXREGS_HALT 0x001u         // H: the new halt state, effective with L4_EXREGS_SET_HALT.
#define L4_EXREGS_CANCEL_RECV 0x002u  // R
#define L4_EXREGS_CANCEL_SEND 0x004u  // S
#define L4_EXREGS_SET_SP 0x008u       // s
#define L4_EXREGS_SET_IP 0x010u       // i
#define L4_EXREGS_SET_FLAGS 0x020u    // f
#define L4_EXREGS_SET_HANDLE 0x040u   // u
#define L4_EXREGS_SET_PAGER 0x080u    // p
#define L4_EXREGS_SET_HALT 0x100u     // h
#define L4_EXREGS_DELIVER 0x200u      // d: deliver the old values

// Error codes of the system calls: the manual's names, and ours.
#define L4_ErrOk 0u
#define L4_ErrNoPrivilege 1u
#define L4_ErrInvalidThread 2u
#define L4_ErrInvalidSpace 3u
#define L4_ErrInvalidScheduler 4u
#define L4_ErrInvalidParam 5u
#define L4_ErrUtcbArea 6u
#define L4_ErrKipArea 7u
#define L4_ErrNoMem 8u
#define L4_ERROR_NO_PRIVILEGE 1u
#define L4_ERROR_INVALID_THREAD 2u
#define L4_ERROR_INVALID_SPACE 3u
#define L4_ERROR_INVALID_SCHEDULER 4u
#define L4_ERROR_INVALID_PARAMETER 5u
#define L4_ERROR_UTCB_AREA 6u
#define L4_ERROR_KIP_AREA 7u
#define L4_ERROR_NO_MEMORY 8u

// ---- Registers of the current thread ----

L4_INLINE L4_ThreadId_t L4_MyGlobalId(void) { return L4_ThreadIdOfRaw(__l4_utcb()->my_global_id); }
L4_INLINE L4_ThreadId_t L4_Myself(void) { return L4_MyGlobalId(); }
L4_INLINE L4_ThreadId_t L4_MyLocalId(void) { return L4_ThreadIdOfRaw(__l4_utcb()->my_local_id); }
L4_INLINE L4_Word_t L4_ProcessorNo(void) { return __l4_utcb()->processor_no; }
L4_INLINE L4_Word_t L4_UserDefinedHandle(void) { return __l4_utcb()->user_defined_handle; }
L4_INLINE void L4_Set_UserDefinedHandle(L4_Word_t w) { __l4_utcb()->user_defined_handle = w; }
L4_INLINE L4_ThreadId_t L4_Pager(void) { return L4_ThreadIdOfRaw(__l4_utcb()->pager); }
L4_INLINE void L4_Set_Pager(L4_ThreadId_t t) { __l4_utcb()->pager = t.raw; }
L4_INLINE L4_ThreadId_t L4_ExceptionHandler(void) {
  return L4_ThreadIdOfRaw(__l4_utcb()->exception_handler);
}
L4_INLINE void L4_Set_ExceptionHandler(L4_ThreadId_t t) { __l4_utcb()->exception_handler = t.raw; }
// Set by every failing system call, left alone by others.
L4_INLINE L4_Word_t L4_ErrorCode(void) { return __l4_utcb()->error_code; }
L4_INLINE void L4_Set_ErrorCode(L4_Word_t w) { __l4_utcb()->error_code = w; }
L4_INLINE void L4_Set_XferTimeouts(L4_Word_t w) { __l4_utcb()->xfer_timeouts = w; }
L4_INLINE L4_Word_t L4_XferTimeouts(void) { return __l4_utcb()->xfer_timeouts; }

// IPC: in whose name the next propagated message is sent; who really sent the propagated one just
// received; to whom the redirected one was sent.
L4_INLINE void L4_Set_VirtualSender(L4_ThreadId_t t) {
  __l4_utcb()->actual_or_virtual_sender = t.raw;
}
L4_INLINE L4_ThreadId_t L4_ActualSender(void) {
  return L4_ThreadIdOfRaw(__l4_utcb()->actual_or_virtual_sender);
}
L4_INLINE L4_ThreadId_t L4_IntendedReceiver(void) {
  return L4_ThreadIdOfRaw(__l4_utcb()->intended_receiver);
}
// Coprocessor n (0..7) is in use; it is not, so its state need not be saved.
L4_INLINE void L4_Set_CopFlag(L4_Word_t n) { __l4_utcb()->cop_flags |= (L4_Word_t)1 << (n & 7); }
L4_INLINE void L4_Clr_CopFlag(L4_Word_t n) { __l4_utcb()->cop_flags &= ~((L4_Word_t)1 << (n & 7)); }

// PreemptFlags: s signal preemptions to the exception handler, d delay them, I one is being delayed
// (set by the kernel; a thread that ends its delay then yields).
#define L4_PREEMPT_SIGNAL 0x20u
#define L4_PREEMPT_DELAY 0x40u
#define L4_PREEMPT_PENDING 0x80u
// Sets or clears a flag; true when it was set before.
L4_INLINE L4_Bool_t L4_ExchangePreemptFlag(L4_Word_t flag, L4_Bool_t on) {
  const L4_Word_t old = __l4_utcb()->preempt_flags;
  __l4_utcb()->preempt_flags = on ? old | flag : old & ~flag;
  return (old & flag) != 0;
}
L4_INLINE L4_Bool_t L4_EnablePreemptionFaultException(void) {
  return L4_ExchangePreemptFlag(L4_PREEMPT_SIGNAL, 1);
}
L4_INLINE L4_Bool_t L4_DisablePreemptionFaultException(void) {
  return L4_ExchangePreemptFlag(L4_PREEMPT_SIGNAL, 0);
}
L4_INLINE L4_Bool_t L4_DisablePreemption(void) {
  return L4_ExchangePreemptFlag(L4_PREEMPT_DELAY, 1);
}
L4_INLINE L4_Bool_t L4_EnablePreemption(void) {
  return L4_ExchangePreemptFlag(L4_PREEMPT_DELAY, 0);
}
L4_INLINE L4_Bool_t L4_PreemptionPending(void) {
  return (__l4_utcb()->preempt_flags & L4_PREEMPT_PENDING) != 0;
}

// ---- Usual combinations of ExchangeRegisters ----

// One call with only the control word; the old values that are wanted come back through the
// pointers (each may be null).
L4_INLINE L4_ThreadId_t L4_ExchangeSome(L4_ThreadId_t t, L4_Word_t control, L4_Word_t sp,
                                        L4_Word_t ip, L4_Word_t flags, L4_Word_t* old_control,
                                        L4_Word_t* old_sp, L4_Word_t* old_ip,
                                        L4_Word_t* old_flags) {
  L4_Word_t c = 0, s = 0, i = 0, f = 0, handle = 0;
  L4_ThreadId_t pager = L4_nilthread;
  const L4_ThreadId_t result =
      L4_ExchangeRegisters(t, control | L4_EXREGS_DELIVER, sp, ip, flags, 0, L4_nilthread, &c, &s,
                           &i, &f, &handle, &pager);
  if (old_control) *old_control = c;
  if (old_sp) *old_sp = s;
  if (old_ip) *old_ip = i;
  if (old_flags) *old_flags = f;
  return result;
}

// The global id of a thread named by either id; nilthread when there is none.
L4_INLINE L4_ThreadId_t L4_GlobalIdOf(L4_ThreadId_t t) {
  return L4_IsGlobalId(t) ? t : L4_ExchangeSome(t, 0, 0, 0, 0, 0, 0, 0, 0);
}
L4_INLINE L4_ThreadId_t L4_LocalIdOf(L4_ThreadId_t t) {
  return L4_IsLocalId(t) ? t : L4_ExchangeSome(t, 0, 0, 0, 0, 0, 0, 0, 0);
}
L4_INLINE L4_Word_t L4_UserDefinedHandleOf(L4_ThreadId_t t) {
  L4_Word_t c = 0, s = 0, i = 0, f = 0, handle = 0;
  L4_ThreadId_t pager = L4_nilthread;
  L4_ExchangeRegisters(t, L4_EXREGS_DELIVER, 0, 0, 0, 0, L4_nilthread, &c, &s, &i, &f, &handle,
                       &pager);
  return handle;
}
L4_INLINE void L4_Set_UserDefinedHandleOf(L4_ThreadId_t t, L4_Word_t handle) {
  L4_Word_t c = 0, s = 0, i = 0, f = 0, old = 0;
  L4_ThreadId_t pager = L4_nilthread;
  L4_ExchangeRegisters(t, L4_EXREGS_SET_HANDLE, 0, 0, 0, handle, L4_nilthread, &c, &s, &i, &f, &old,
                       &pager);
}
L4_INLINE L4_ThreadId_t L4_PagerOf(L4_ThreadId_t t) {
  L4_Word_t c = 0, s = 0, i = 0, f = 0, handle = 0;
  L4_ThreadId_t pager = L4_nilthread;
  L4_ExchangeRegisters(t, L4_EXREGS_DELIVER, 0, 0, 0, 0, L4_nilthread, &c, &s, &i, &f, &handle,
                       &pager);
  return pager;
}
L4_INLINE void L4_Set_PagerOf(L4_ThreadId_t t, L4_ThreadId_t new_pager) {
  L4_Word_t c = 0, s = 0, i = 0, f = 0, handle = 0;
  L4_ThreadId_t pager = L4_nilthread;
  L4_ExchangeRegisters(t, L4_EXREGS_SET_PAGER, 0, 0, 0, 0, new_pager, &c, &s, &i, &f, &handle,
                       &pager);
}

// True when both ids name one thread: its global and its local id are the same thread.
L4_INLINE L4_Bool_t L4_SameThreads(L4_ThreadId_t l, L4_ThreadId_t r) {
  return L4_IsThreadEqual(L4_GlobalIdOf(l), L4_GlobalIdOf(r));
}

// The state ExchangeRegisters found a thread in: halted, receiving, sending (bits H, R, S). In C++
// it converts to its word.
typedef struct L4_ThreadState {
  L4_Word_t raw;
#ifdef __cplusplus
  constexpr operator L4_Word_t() const { return raw; }
#endif
} L4_ThreadState_t;
L4_INLINE L4_Bool_t L4_ThreadWasHalted(L4_ThreadState_t s) { return (s.raw & L4_EXREGS_HALT) != 0; }
L4_INLINE L4_Bool_t L4_ThreadWasReceiving(L4_ThreadState_t s) {
  return (s.raw & L4_EXREGS_CANCEL_RECV) != 0;
}
L4_INLINE L4_Bool_t L4_ThreadWasSending(L4_ThreadState_t s) {
  return (s.raw & L4_EXREGS_CANCEL_SEND) != 0;
}
L4_INLINE L4_Bool_t L4_ThreadWasIpcing(L4_ThreadState_t s) {
  return (s.raw & (L4_EXREGS_CANCEL_RECV | L4_EXREGS_CANCEL_SEND)) != 0;
}

// Lets a halted thread run on; the longer forms also set SP, IP and FLAGS and cancel a pending IPC.
L4_INLINE void L4_Start(L4_ThreadId_t t) {
  L4_ExchangeSome(t, L4_EXREGS_SET_HALT, 0, 0, 0, 0, 0, 0, 0);
}
L4_INLINE void L4_Start_SpIp(L4_ThreadId_t t, L4_Word_t sp, L4_Word_t ip) {
  L4_ExchangeSome(t,
                  L4_EXREGS_SET_HALT | L4_EXREGS_SET_IP | L4_EXREGS_SET_SP | L4_EXREGS_CANCEL_SEND |
                      L4_EXREGS_CANCEL_RECV,
                  sp, ip, 0, 0, 0, 0, 0);
}
L4_INLINE void L4_Start_SpIpFlags(L4_ThreadId_t t, L4_Word_t sp, L4_Word_t ip, L4_Word_t flags) {
  L4_ExchangeSome(t,
                  L4_EXREGS_SET_HALT | L4_EXREGS_SET_IP | L4_EXREGS_SET_SP | L4_EXREGS_SET_FLAGS |
                      L4_EXREGS_CANCEL_SEND | L4_EXREGS_CANCEL_RECV,
                  sp, ip, flags, 0, 0, 0, 0);
}
// Halts a thread, and cancels the phases of its IPC that `cancel` names; without them its IPC goes
// on in the kernel, but it executes nothing. Each pointer may be null. Returns the old state.
L4_INLINE L4_ThreadState_t L4_HaltThread(L4_ThreadId_t t, L4_Word_t cancel, L4_Word_t* sp,
                                         L4_Word_t* ip, L4_Word_t* flags) {
  L4_ThreadState_t state = {0};
  L4_ExchangeSome(t, L4_EXREGS_SET_HALT | L4_EXREGS_HALT | cancel, 0, 0, 0, &state.raw, sp, ip,
                  flags);
  return state;
}
L4_INLINE L4_ThreadState_t L4_Stop(L4_ThreadId_t t) { return L4_HaltThread(t, 0, 0, 0, 0); }
L4_INLINE L4_ThreadState_t L4_Stop_SpIpFlags(L4_ThreadId_t t, L4_Word_t* sp, L4_Word_t* ip,
                                             L4_Word_t* flags) {
  return L4_HaltThread(t, 0, sp, ip, flags);
}
L4_INLINE L4_ThreadState_t L4_AbortReceive_and_stop(L4_ThreadId_t t) {
  return L4_HaltThread(t, L4_EXREGS_CANCEL_RECV, 0, 0, 0);
}
L4_INLINE L4_ThreadState_t L4_AbortReceive_and_stop_SpIpFlags(L4_ThreadId_t t, L4_Word_t* sp,
                                                              L4_Word_t* ip, L4_Word_t* flags) {
  return L4_HaltThread(t, L4_EXREGS_CANCEL_RECV, sp, ip, flags);
}
L4_INLINE L4_ThreadState_t L4_AbortSend_and_stop(L4_ThreadId_t t) {
  return L4_HaltThread(t, L4_EXREGS_CANCEL_SEND, 0, 0, 0);
}
L4_INLINE L4_ThreadState_t L4_AbortSend_and_stop_SpIpFlags(L4_ThreadId_t t, L4_Word_t* sp,
                                                           L4_Word_t* ip, L4_Word_t* flags) {
  return L4_HaltThread(t, L4_EXREGS_CANCEL_SEND, sp, ip, flags);
}
L4_INLINE L4_ThreadState_t L4_AbortIpc_and_stop(L4_ThreadId_t t) {
  return L4_HaltThread(t, L4_EXREGS_CANCEL_RECV | L4_EXREGS_CANCEL_SEND, 0, 0, 0);
}
L4_INLINE L4_ThreadState_t L4_AbortIpc_and_stop_SpIpFlags(L4_ThreadId_t t, L4_Word_t* sp,
                                                          L4_Word_t* ip, L4_Word_t* flags) {
  return L4_HaltThread(t, L4_EXREGS_CANCEL_RECV | L4_EXREGS_CANCEL_SEND, sp, ip, flags);
}

// ---- Usual combinations of ThreadControl ----

// `interrupt` is the thread of an interrupt: its number, version 1. Its messages go to `handler`.
L4_INLINE L4_Word_t L4_AssociateInterrupt(L4_ThreadId_t interrupt, L4_ThreadId_t handler) {
  return L4_ThreadControl(interrupt, interrupt, L4_nilthread, handler, (void*)~(L4_Word_t)0);
}
L4_INLINE L4_Word_t L4_DeassociateInterrupt(L4_ThreadId_t interrupt) {
  return L4_ThreadControl(interrupt, interrupt, L4_nilthread, interrupt, (void*)~(L4_Word_t)0);
}

#ifdef __cplusplus
// The manual's overloaded names and reference parameters. Pointers may be null.
inline void L4_Start(L4_ThreadId_t t, L4_Word_t sp, L4_Word_t ip) { L4_Start_SpIp(t, sp, ip); }
inline void L4_Start(L4_ThreadId_t t, L4_Word_t sp, L4_Word_t ip, L4_Word_t flags) {
  L4_Start_SpIpFlags(t, sp, ip, flags);
}
inline L4_ThreadState_t L4_Stop(L4_ThreadId_t t, L4_Word_t* sp, L4_Word_t* ip, L4_Word_t* flags) {
  return L4_Stop_SpIpFlags(t, sp, ip, flags);
}
inline L4_ThreadState_t L4_Stop(L4_ThreadId_t t, L4_Word_t& sp, L4_Word_t& ip, L4_Word_t& flags) {
  return L4_Stop_SpIpFlags(t, &sp, &ip, &flags);
}
inline L4_ThreadState_t L4_AbortReceive_and_stop(L4_ThreadId_t t, L4_Word_t* sp, L4_Word_t* ip,
                                                 L4_Word_t* flags) {
  return L4_AbortReceive_and_stop_SpIpFlags(t, sp, ip, flags);
}
inline L4_ThreadState_t L4_AbortReceive_and_stop(L4_ThreadId_t t, L4_Word_t& sp, L4_Word_t& ip,
                                                 L4_Word_t& flags) {
  return L4_AbortReceive_and_stop_SpIpFlags(t, &sp, &ip, &flags);
}
inline L4_ThreadState_t L4_AbortSend_and_stop(L4_ThreadId_t t, L4_Word_t* sp, L4_Word_t* ip,
                                              L4_Word_t* flags) {
  return L4_AbortSend_and_stop_SpIpFlags(t, sp, ip, flags);
}
inline L4_ThreadState_t L4_AbortSend_and_stop(L4_ThreadId_t t, L4_Word_t& sp, L4_Word_t& ip,
                                              L4_Word_t& flags) {
  return L4_AbortSend_and_stop_SpIpFlags(t, &sp, &ip, &flags);
}
inline L4_ThreadState_t L4_AbortIpc_and_stop(L4_ThreadId_t t, L4_Word_t* sp, L4_Word_t* ip,
                                             L4_Word_t* flags) {
  return L4_AbortIpc_and_stop_SpIpFlags(t, sp, ip, flags);
}
inline L4_ThreadState_t L4_AbortIpc_and_stop(L4_ThreadId_t t, L4_Word_t& sp, L4_Word_t& ip,
                                             L4_Word_t& flags) {
  return L4_AbortIpc_and_stop_SpIpFlags(t, &sp, &ip, &flags);
}
inline L4_ThreadId_t L4_ExchangeRegisters(L4_ThreadId_t dest, L4_Word_t control, L4_Word_t sp,
                                          L4_Word_t ip, L4_Word_t flags,
                                          L4_Word_t user_defined_handle, L4_ThreadId_t pager,
                                          L4_Word_t& old_control, L4_Word_t& old_sp,
                                          L4_Word_t& old_ip, L4_Word_t& old_flags,
                                          L4_Word_t& old_user_defined_handle,
                                          L4_ThreadId_t& old_pager) {
  return L4_ExchangeRegisters(dest, control, sp, ip, flags, user_defined_handle, pager,
                              &old_control, &old_sp, &old_ip, &old_flags, &old_user_defined_handle,
                              &old_pager);
}
inline L4_ThreadId_t L4_GlobalId(L4_ThreadId_t t) { return L4_GlobalIdOf(t); }
inline L4_ThreadId_t L4_LocalId(L4_ThreadId_t t) { return L4_LocalIdOf(t); }
inline L4_Word_t L4_UserDefinedHandle(L4_ThreadId_t t) { return L4_UserDefinedHandleOf(t); }
inline void L4_Set_UserDefinedHandle(L4_ThreadId_t t, L4_Word_t handle) {
  L4_Set_UserDefinedHandleOf(t, handle);
}
inline L4_ThreadId_t L4_Pager(L4_ThreadId_t t) { return L4_PagerOf(t); }
inline void L4_Set_Pager(L4_ThreadId_t t, L4_ThreadId_t pager) { L4_Set_PagerOf(t, pager); }
#endif

#endif  // FAKE_L4_INCLUDE_L4_THREAD_H_
