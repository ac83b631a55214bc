// l4/misc.h: the remaining privileged system calls.
// SEE      X.2 manual: "ProcessorControl", "MemoryControl".
#ifndef FAKE_L4_INCLUDE_L4_MISC_H_
#define FAKE_L4_INCLUDE_L4_MISC_H_

#include <l4/message.h>
#include <l4/thread.h>
#include <l4/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// Both return 1, or 0 with L4_ErrorCode 1 (no privilege) or 5 (invalid parameter). A simulated
// processor has neither frequencies nor memory attributes: a privileged call with parameters in
// range succeeds without effect.
L4_Word_t L4_ProcessorControl(L4_Word_t processor, L4_Word_t internal_khz, L4_Word_t external_khz,
                              L4_Word_t millivolt);
// MR0..MRk hold k + 1 fpages whose two lowest bits pick one of the four attributes; control = k.
L4_Word_t L4_MemoryControl(L4_Word_t control, const L4_Word_t attributes[4]);

#ifdef __cplusplus
}
#endif

// Attributes of pages on IA-32 and AMD64.
#define L4_DefaultMemory 0u
#define L4_UncacheableMemory 1u
#define L4_WriteCombiningMemory 2u
#define L4_WriteThroughMemory 5u
#define L4_WriteProtectedMemory 6u
#define L4_WriteBackMemory 7u

// Gives `f` one attribute; n (1..64) fpages, each with the index 0..3 of its attribute in its two
// lowest bits. Clobber message registers.
L4_INLINE L4_Word_t L4_Set_PageAttribute(L4_Fpage_t f, L4_Word_t attribute) {
  const L4_Word_t attributes[4] = {attribute, attribute, attribute, attribute};
  L4_LoadMR(0, f.raw & ~(L4_Word_t)3);
  return L4_MemoryControl(0, attributes);
}
L4_INLINE L4_Word_t L4_Set_PagesAttributes(L4_Word_t n, const L4_Fpage_t* fpages,
                                           const L4_Word_t attributes[4]) {
  if (n == 0 || n > L4_NUM_MRS) {
    L4_Set_ErrorCode(L4_ErrInvalidParam);
    return 0;
  }
  L4_LoadMRs(0, (int)n, (const L4_Word_t*)fpages);
  return L4_MemoryControl(n - 1, attributes);
}

#endif  // FAKE_L4_INCLUDE_L4_MISC_H_
