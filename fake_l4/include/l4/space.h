// l4/space.h: taking mappings back, and configuring address spaces.
//
// WHAT     Unmap removes rights from every mapping that was derived, over any number of steps, from
//          the caller's own pages in the given fpages; flush does so to the caller's pages too. The
//          rights bits of an fpage argument name the rights to take (none: only look); those of the
//          result say how the fpage was accessed since the caller last looked: readable =
//          referenced, writable = written, executable = executed.
// SEE      X.2 manual: "Unmap", "SpaceControl".
#ifndef FAKE_L4_INCLUDE_L4_SPACE_H_
#define FAKE_L4_INCLUDE_L4_SPACE_H_

#include <l4/arch.h>
#include <l4/message.h>
#include <l4/thread.h>
#include <l4/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// The system call: MR0..MRk hold k + 1 fpages and receive the results; control = k |
// L4_UNMAP_FLUSH. (The manual's Unmap; it has another name here because C cannot overload.)
void L4_UnmapControl(L4_Word_t control);

// Privileged. Places the KIP and UTCB areas of the space of thread `space`, effective while it has
// no active thread. `redirector`: nilthread leaves it, anythread means none. Returns 1, or 0 with
// L4_ErrorCode 1, 3, 6 (UTCB area) or 7 (KIP area).
L4_Word_t L4_SpaceControl(L4_ThreadId_t space, L4_Word_t control, L4_Fpage_t kip_area,
                          L4_Fpage_t utcb_area, L4_ThreadId_t redirector, L4_Word_t* old_control);

#ifdef __cplusplus
}
#endif

#define L4_UNMAP_FLUSH 0x40u

// Control word of SpaceControl on IA-32: leave the space large, or make it a small one of `size`
// MiB (a power of two, 4..512) at `location` MiB (a multiple of `size`). Bit 31 = change it.
#define L4_LargeSpace 0u
L4_INLINE L4_Word_t L4_SmallSpace(L4_Word_t location, L4_Word_t size) {
  return size == 0 ? 0 : ((location / size * 2 + 1) * (size / 4)) & 0xff;
}

L4_INLINE L4_Fpage_t L4_UnmapFpage(L4_Fpage_t f) {
  L4_LoadMR(0, f.raw);
  L4_UnmapControl(0);
  L4_StoreMR(0, &f.raw);
  return f;
}
L4_INLINE L4_Fpage_t L4_FlushFpage(L4_Fpage_t f) {
  L4_LoadMR(0, f.raw);
  L4_UnmapControl(L4_UNMAP_FLUSH);
  L4_StoreMR(0, &f.raw);
  return f;
}
// At most 64 fpages a call; each is replaced by its result.
L4_INLINE void L4_UnmapFpages(L4_Word_t n, L4_Fpage_t* fpages) {
  if (n == 0 || n > L4_NUM_MRS) return;
  L4_LoadMRs(0, (int)n, (const L4_Word_t*)fpages);
  L4_UnmapControl(n - 1);
  L4_StoreMRs(0, (int)n, (L4_Word_t*)fpages);
}
L4_INLINE void L4_FlushFpages(L4_Word_t n, L4_Fpage_t* fpages) {
  if (n == 0 || n > L4_NUM_MRS) return;
  L4_LoadMRs(0, (int)n, (const L4_Word_t*)fpages);
  L4_UnmapControl((n - 1) | L4_UNMAP_FLUSH);
  L4_StoreMRs(0, (int)n, (L4_Word_t*)fpages);
}
// Status bits of what is derived from `f`, without taking a right.
L4_INLINE L4_Fpage_t L4_GetStatus(L4_Fpage_t f) {
  return L4_UnmapFpage(L4_FpageRemoveRights(f, L4_FullyAccessible));
}

#ifndef __cplusplus
L4_INLINE void L4_Unmap(L4_Word_t control) { L4_UnmapControl(control); }
L4_INLINE L4_Fpage_t L4_Flush(L4_Fpage_t f) { return L4_FlushFpage(f); }
#else
// The manual's overloaded names.
inline void L4_Unmap(L4_Word_t control) { L4_UnmapControl(control); }
inline L4_Fpage_t L4_Unmap(L4_Fpage_t f) { return L4_UnmapFpage(f); }
inline void L4_Unmap(L4_Word_t n, L4_Fpage_t* fpages) { L4_UnmapFpages(n, fpages); }
inline L4_Fpage_t L4_Flush(L4_Fpage_t f) { return L4_FlushFpage(f); }
inline void L4_Flush(L4_Word_t n, L4_Fpage_t* fpages) { L4_FlushFpages(n, fpages); }
inline L4_Word_t L4_SpaceControl(L4_ThreadId_t space, L4_Word_t control, L4_Fpage_t kip_area,
                                 L4_Fpage_t utcb_area, L4_ThreadId_t redirector,
                                 L4_Word_t& old_control) {
  return L4_SpaceControl(space, control, kip_area, utcb_area, redirector, &old_control);
}
#endif

#endif  // FAKE_L4_INCLUDE_L4_SPACE_H_
