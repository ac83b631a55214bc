// l4/sigma0.h: asking the root pager for memory.
//
// WHAT     sigma0 owns all physical memory and maps it idempotently (virtual = physical address),
//          each region to the first thread that asks for it. Label -6 << 4, MR1 = fpage wanted, MR2
//          = attributes; the answer is one map item, with a nil fpage when refused.
// SEE      X.2 manual: "Sigma0 Protocol".
#ifndef FAKE_L4_INCLUDE_L4_SIGMA0_H_
#define FAKE_L4_INCLUDE_L4_SIGMA0_H_

#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/types.h>

#define L4_LABEL_SIGMA0 ((~(L4_Word_t)0 >> 16) - 0x5f)

// Requests `f` from `sigma0` (nilthread: the KIP's) with attributes, mapped into `window`. Returns
// the fpage that was mapped, or nilpage when refused or when the IPC failed. Clobbers message
// registers and the acceptor.
L4_INLINE L4_Fpage_t L4_Sigma0_GetPage_Attributes(L4_ThreadId_t sigma0, L4_Fpage_t f,
                                                  L4_Fpage_t window, L4_Word_t attributes) {
  L4_MsgTag_t tag = L4_MakeMsgTag(L4_LABEL_SIGMA0, 2, 0);
  const L4_Acceptor_t before = L4_Accepted();
  L4_Word_t item[2];
  if (L4_IsNilThread(sigma0)) sigma0 = L4_Sigma0Id(L4_GetKernelInterface());
  L4_Accept(L4_MapGrantItems(window));
  L4_Set_MsgTag(tag);
  L4_LoadMR(1, f.raw);
  L4_LoadMR(2, attributes);
  tag = L4_Call(sigma0);
  L4_StoreMRs(1, 2, item);
  L4_Accept(before);
  if (L4_IpcFailed(tag) || L4_UntypedWords(tag) != 0 || L4_TypedWords(tag) != 2) return L4_Nilpage;
  return L4_FpageOfRaw(item[1]);
}
L4_INLINE L4_Fpage_t L4_Sigma0_GetPage_RcvWindow(L4_ThreadId_t sigma0, L4_Fpage_t f,
                                                 L4_Fpage_t window) {
  return L4_Sigma0_GetPage_Attributes(sigma0, f, window, 0);
}
// A specific region, into the complete address space.
L4_INLINE L4_Fpage_t L4_Sigma0_GetPage(L4_ThreadId_t sigma0, L4_Fpage_t f) {
  return L4_Sigma0_GetPage_RcvWindow(sigma0, f, L4_CompleteAddressSpace);
}
// Any free region of 2^log2_size bytes.
L4_INLINE L4_Fpage_t L4_Sigma0_GetAny(L4_ThreadId_t sigma0, L4_Word_t log2_size,
                                      L4_Fpage_t window) {
  const L4_Fpage_t any =
      L4_FpageOfRaw((~(L4_Word_t)0 << 10) | (log2_size << 4) | L4_FullyAccessible);
  return L4_Sigma0_GetPage_RcvWindow(sigma0, any, window);
}

#ifdef __cplusplus
// The manual's overloaded name.
inline L4_Fpage_t L4_Sigma0_GetPage(L4_ThreadId_t sigma0, L4_Fpage_t f, L4_Fpage_t window) {
  return L4_Sigma0_GetPage_RcvWindow(sigma0, f, window);
}
#endif

#endif  // FAKE_L4_INCLUDE_L4_SIGMA0_H_
