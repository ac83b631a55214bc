// l4/arch.h: where a thread's virtual registers live.
//
// WHAT     The user thread control block (UTCB) as this kernel lays it out, and the one primitive
//          that finds the current thread's. Programs use the accessors of <l4/message.h> and
//          <l4/thread.h>, never the fields.
// SEE      X.2 manual: "Thread Control Registers (TCRs)", "Message Registers (MRs)", "Buffer
//          Registers (BRs)".
#ifndef FAKE_L4_INCLUDE_L4_ARCH_H_
#define FAKE_L4_INCLUDE_L4_ARCH_H_

#include <l4/types.h>

#define L4_NUM_MRS 64
#define L4_NUM_BRS 33

typedef struct L4_Utcb {
  L4_Word_t mr[L4_NUM_MRS];  // MR0 is the tag of the message to send or just received.
  L4_Word_t br[L4_NUM_BRS];  // BR0 is the acceptor.
  L4_Word_t my_global_id;    // Read only.
  L4_Word_t my_local_id;     // Read only.
  L4_Word_t processor_no;    // Read only.
  L4_Word_t user_defined_handle;
  L4_Word_t pager;
  L4_Word_t exception_handler;
  L4_Word_t preempt_flags;
  L4_Word_t cop_flags;
  L4_Word_t error_code;  // Set by every failing system call.
  L4_Word_t xfer_timeouts;
  L4_Word_t intended_receiver;
  L4_Word_t actual_or_virtual_sender;  // ActualSender after a receive, VirtualSender before a send.
  L4_Word_t thread_word[2];
} L4_Utcb_t;

#ifdef __cplusplus
extern "C" {
#endif

// The current thread's UTCB; stays at its place for the thread's life.
L4_Utcb_t* __l4_utcb(void);

#ifdef __cplusplus
}
#endif

#endif  // FAKE_L4_INCLUDE_L4_ARCH_H_
