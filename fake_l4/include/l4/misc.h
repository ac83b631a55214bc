// l4/misc.h: the remaining privileged system calls.
// SEE      X.2 manual: "ProcessorControl", "MemoryControl".
#ifndef FAKE_L4_INCLUDE_L4_MISC_H_
#define FAKE_L4_INCLUDE_L4_MISC_H_

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

#endif  // FAKE_L4_INCLUDE_L4_MISC_H_
