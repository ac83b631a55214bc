// l4/ipc.h: sending and receiving.
//
// WHAT     One system call, L4_Ipc, with an optional send phase and an optional receive phase,
//          switched atomically: when the send is done the caller is already receiving, so a partner
//          may answer with a zero send timeout. The rest are its usual combinations. The result is
//          the tag, in MR0 too; after a failure its E flag is set and L4_ErrorCode tells why: bit 0
//          the phase (0 send, 1 receive), bits 1..3 the reason:
//            1 timeout   2 no such partner   3 cancelled   4 message overflow
//            5..7 a string transfer timed out or was aborted
// SEE      X.2 manual: "IPC", "Propagation", "Send and Receive Timeouts".
#ifndef FAKE_L4_INCLUDE_L4_IPC_H_
#define FAKE_L4_INCLUDE_L4_IPC_H_

#include <l4/arch.h>
#include <l4/message.h>
#include <l4/thread.h>
#include <l4/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// Sends the message in the registers to `to` (unless nilthread), then receives from
// `from_specifier` (unless nilthread): a thread, L4_anythread or L4_anylocalthread. `timeouts` as
// made by L4_Timeouts. Stores the sender's id in *from.
L4_MsgTag_t L4_Ipc(L4_ThreadId_t to, L4_ThreadId_t from_specifier, L4_Word_t timeouts,
                   L4_ThreadId_t* from);
// The same between threads of one space.
L4_MsgTag_t L4_Lipc(L4_ThreadId_t to, L4_ThreadId_t from_specifier, L4_Word_t timeouts,
                    L4_ThreadId_t* from);

#ifdef __cplusplus
}
#endif

#define L4_IPC_TIMEOUT 1u
#define L4_IPC_NO_PARTNER 2u
#define L4_IPC_CANCELLED 3u
#define L4_IPC_OVERFLOW 4u
#define L4_IPC_XFER_TIMEOUT 5u          // waiting for a page of one's own
#define L4_IPC_PARTNER_XFER_TIMEOUT 6u  // waiting for a page of the partner
#define L4_IPC_ABORTED 7u

L4_INLINE L4_MsgTag_t L4_Send_Timeout(L4_ThreadId_t to, L4_Time_t send) {
  L4_ThreadId_t from;
  return L4_Ipc(to, L4_nilthread, L4_Timeouts(send, L4_Never), &from);
}
L4_INLINE L4_MsgTag_t L4_Send(L4_ThreadId_t to) { return L4_Send_Timeout(to, L4_Never); }
// Sends without waiting: for answers to a thread that called and is therefore receiving.
L4_INLINE L4_MsgTag_t L4_Reply(L4_ThreadId_t to) { return L4_Send_Timeout(to, L4_ZeroTime); }

L4_INLINE L4_MsgTag_t L4_Receive_Timeout(L4_ThreadId_t from_specifier, L4_Time_t receive) {
  L4_ThreadId_t from;
  return L4_Ipc(L4_nilthread, from_specifier, L4_Timeouts(L4_Never, receive), &from);
}
L4_INLINE L4_MsgTag_t L4_Receive(L4_ThreadId_t from_specifier) {
  return L4_Receive_Timeout(from_specifier, L4_Never);
}
L4_INLINE L4_MsgTag_t L4_Wait_Timeout(L4_Time_t receive, L4_ThreadId_t* from) {
  return L4_Ipc(L4_nilthread, L4_anythread, L4_Timeouts(L4_Never, receive), from);
}
L4_INLINE L4_MsgTag_t L4_Wait(L4_ThreadId_t* from) { return L4_Wait_Timeout(L4_Never, from); }

L4_INLINE L4_MsgTag_t L4_Call_Timeouts(L4_ThreadId_t to, L4_Time_t send, L4_Time_t receive) {
  L4_ThreadId_t from;
  return L4_Ipc(to, to, L4_Timeouts(send, receive), &from);
}
L4_INLINE L4_MsgTag_t L4_Call(L4_ThreadId_t to) { return L4_Call_Timeouts(to, L4_Never, L4_Never); }
// Answers `to` without waiting for it, then takes the next message from anyone.
L4_INLINE L4_MsgTag_t L4_ReplyWait_Timeout(L4_ThreadId_t to, L4_Time_t receive,
                                           L4_ThreadId_t* from) {
  return L4_Ipc(to, L4_anythread, L4_Timeouts(L4_ZeroTime, receive), from);
}
L4_INLINE L4_MsgTag_t L4_ReplyWait(L4_ThreadId_t to, L4_ThreadId_t* from) {
  return L4_ReplyWait_Timeout(to, L4_Never, from);
}
// Sends to one thread (waiting for it), then waits for anyone.
L4_INLINE L4_MsgTag_t L4_SendWait_Timeouts(L4_ThreadId_t to, L4_Time_t send, L4_Time_t receive,
                                           L4_ThreadId_t* from) {
  return L4_Ipc(to, L4_anythread, L4_Timeouts(send, receive), from);
}
L4_INLINE L4_MsgTag_t L4_SendWait(L4_ThreadId_t to, L4_ThreadId_t* from) {
  return L4_SendWait_Timeouts(to, L4_Never, L4_Never, from);
}

// Call and reply-and-wait between threads of one space.
L4_INLINE L4_MsgTag_t L4_Lcall_Timeouts(L4_ThreadId_t to, L4_Time_t send, L4_Time_t receive) {
  L4_ThreadId_t from;
  return L4_Lipc(to, to, L4_Timeouts(send, receive), &from);
}
L4_INLINE L4_MsgTag_t L4_Lcall(L4_ThreadId_t to) {
  return L4_Lcall_Timeouts(to, L4_Never, L4_Never);
}
L4_INLINE L4_MsgTag_t L4_LreplyWait_Timeout(L4_ThreadId_t to, L4_Time_t receive,
                                            L4_ThreadId_t* from) {
  return L4_Lipc(to, L4_anylocalthread, L4_Timeouts(L4_ZeroTime, receive), from);
}
L4_INLINE L4_MsgTag_t L4_LreplyWait(L4_ThreadId_t to, L4_ThreadId_t* from) {
  return L4_LreplyWait_Timeout(to, L4_Never, from);
}

// ---- Looking at the result ----

L4_INLINE L4_Bool_t L4_IpcFailed(L4_MsgTag_t t) { return (t.raw & L4_TAG_ERROR) != 0; }
L4_INLINE L4_Bool_t L4_IpcSucceeded(L4_MsgTag_t t) { return (t.raw & L4_TAG_ERROR) == 0; }
L4_INLINE L4_Bool_t L4_IpcPropagated(L4_MsgTag_t t) { return (t.raw & L4_TAG_PROPAGATED) != 0; }
L4_INLINE L4_Bool_t L4_IpcRedirected(L4_MsgTag_t t) { return (t.raw & L4_TAG_REDIRECTED) != 0; }
L4_INLINE L4_Bool_t L4_IpcXcpu(L4_MsgTag_t t) { return (t.raw & L4_TAG_CROSS_CPU) != 0; }

// The reason (L4_IPC_TIMEOUT ...), the phase (0 send, 1 receive) and, with reasons 4..7, the bytes
// of strings that were transferred, in an IPC's error code.
L4_INLINE L4_Word_t L4_IpcErrorReason(L4_Word_t error_code) { return (error_code >> 1) & 7; }
L4_INLINE L4_Word_t L4_IpcErrorPhase(L4_Word_t error_code) { return error_code & 1; }
L4_INLINE L4_Word_t L4_IpcErrorOffset(L4_Word_t error_code) { return error_code >> 4; }

// ---- Propagation: sending in another thread's name ----

// Marks the message whose tag is *t as sent on behalf of the VirtualSender register's thread.
L4_INLINE void L4_Set_Propagation(L4_MsgTag_t* t) { t->raw |= L4_TAG_PROPAGATED; }

// ---- Protocols the kernel speaks ("Protocols"): labels of messages it generates ----

// Page fault: label = -2 << 4 | rwx of the access; MR1 address, MR2 instruction pointer; the reply
// is one map item. Labels are negative numbers in the label field's width.
#define L4_LABEL_PAGEFAULT ((~(L4_Word_t)0 >> 16) - 0x1f)
// The others: interrupt (-1; from the interrupt's thread, no words, any answer re-enables it),
// preemption (-3; MR1, MR2 = clock, low half first), system exception (-4), exception of the
// architecture (-5), fault on an I/O port (-8; MR1 an I/O fpage, MR2 IP).
#define L4_LABEL_INTERRUPT ((~(L4_Word_t)0 >> 16) - 0x0f)
#define L4_LABEL_PREEMPTION ((~(L4_Word_t)0 >> 16) - 0x2f)
#define L4_LABEL_SYSTEM_EXCEPTION ((~(L4_Word_t)0 >> 16) - 0x3f)
#define L4_LABEL_ARCH_EXCEPTION ((~(L4_Word_t)0 >> 16) - 0x4f)
#define L4_LABEL_IO_PAGEFAULT ((~(L4_Word_t)0 >> 16) - 0x7f)
// IA-32 exception message and its answer: which message register holds which register.
#define L4_IA32_EXCEPTION_WORDS 12
#define L4_IA32_EXCEPTION_EIP 1
#define L4_IA32_EXCEPTION_EFLAGS 2
#define L4_IA32_EXCEPTION_NUMBER 3
#define L4_IA32_EXCEPTION_ERROR_CODE 4
#define L4_IA32_EXCEPTION_EDI 5
#define L4_IA32_EXCEPTION_ESI 6
#define L4_IA32_EXCEPTION_EBP 7
#define L4_IA32_EXCEPTION_ESP 8
#define L4_IA32_EXCEPTION_EBX 9
#define L4_IA32_EXCEPTION_EDX 10
#define L4_IA32_EXCEPTION_ECX 11
#define L4_IA32_EXCEPTION_EAX 12
L4_INLINE L4_Bool_t L4_IsPageFault(L4_MsgTag_t t) {
  return (L4_Label(t) & ~(L4_Word_t)15) == L4_LABEL_PAGEFAULT;
}
// The rwx bits of a page fault message.
L4_INLINE L4_Word_t L4_PageFaultAccess(L4_MsgTag_t t) { return L4_Label(t) & 7; }

#ifdef __cplusplus
// The manual's overloaded names and reference parameters.
inline L4_MsgTag_t L4_Ipc(L4_ThreadId_t to, L4_ThreadId_t from_specifier, L4_Word_t timeouts,
                          L4_ThreadId_t& from) {
  return L4_Ipc(to, from_specifier, timeouts, &from);
}
inline L4_MsgTag_t L4_Lipc(L4_ThreadId_t to, L4_ThreadId_t from_specifier, L4_Word_t timeouts,
                           L4_ThreadId_t& from) {
  return L4_Lipc(to, from_specifier, timeouts, &from);
}
inline L4_MsgTag_t L4_Send(L4_ThreadId_t to, L4_Time_t send) { return L4_Send_Timeout(to, send); }
inline L4_MsgTag_t L4_Receive(L4_ThreadId_t from_specifier, L4_Time_t receive) {
  return L4_Receive_Timeout(from_specifier, receive);
}
inline L4_MsgTag_t L4_Wait(L4_ThreadId_t& from) { return L4_Wait(&from); }
inline L4_MsgTag_t L4_Wait(L4_Time_t receive, L4_ThreadId_t& from) {
  return L4_Wait_Timeout(receive, &from);
}
inline L4_MsgTag_t L4_Wait(L4_Time_t receive, L4_ThreadId_t* from) {
  return L4_Wait_Timeout(receive, from);
}
inline L4_MsgTag_t L4_Call(L4_ThreadId_t to, L4_Time_t send, L4_Time_t receive) {
  return L4_Call_Timeouts(to, send, receive);
}
inline L4_MsgTag_t L4_ReplyWait(L4_ThreadId_t to, L4_ThreadId_t& from) {
  return L4_ReplyWait(to, &from);
}
inline L4_MsgTag_t L4_ReplyWait(L4_ThreadId_t to, L4_Time_t receive, L4_ThreadId_t& from) {
  return L4_ReplyWait_Timeout(to, receive, &from);
}
inline L4_MsgTag_t L4_ReplyWait(L4_ThreadId_t to, L4_Time_t receive, L4_ThreadId_t* from) {
  return L4_ReplyWait_Timeout(to, receive, from);
}
inline L4_MsgTag_t L4_Lcall(L4_ThreadId_t to, L4_Time_t send, L4_Time_t receive) {
  return L4_Lcall_Timeouts(to, send, receive);
}
inline L4_MsgTag_t L4_LreplyWait(L4_ThreadId_t to, L4_ThreadId_t& from) {
  return L4_LreplyWait(to, &from);
}
inline L4_MsgTag_t L4_LreplyWait(L4_ThreadId_t to, L4_Time_t receive, L4_ThreadId_t& from) {
  return L4_LreplyWait_Timeout(to, receive, &from);
}
inline void L4_Set_Propagation(L4_MsgTag_t& t) { L4_Set_Propagation(&t); }
#endif

#endif  // FAKE_L4_INCLUDE_L4_IPC_H_
