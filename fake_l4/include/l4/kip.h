// l4/kip.h: the kernel interface page.
//
// WHAT     What the kernel tells about itself and the machine: version, memory, page sizes, id
//          ranges, features. Word i of the structure is word i of the page in either word width.
// SEE      X.2 manual: "Kernel Interface Page", "Memory Descriptors", "KernelInterface".
#ifndef FAKE_L4_INCLUDE_L4_KIP_H_
#define FAKE_L4_INCLUDE_L4_KIP_H_

#include <l4/types.h>

typedef struct {
  L4_Word_t sp, ip, low, high;
} L4_RootServer_t;

typedef struct {
  L4_Word_t magic;          // bytes 4C 34 E6 4B
  L4_Word_t api_version;    // version 24..31, subversion 16..23
  L4_Word_t api_flags;      // endian 0..1, word size 2..3
  L4_Word_t kern_desc_ptr;  // byte offset
  L4_RootServer_t kdebug;   // init, entry, low, high
  L4_RootServer_t sigma0, sigma1, root;
  L4_Word_t reserved0;
  L4_Word_t memory_info;  // n in the low half, byte offset of the first descriptor in the high half
  L4_Word_t kdebug_config[2];
  L4_Word_t obsolete[18];
  L4_Word_t utcb_info;      // m 0..9, a 10..15, s 16..21
  L4_Word_t kip_area_info;  // s 0..5
  L4_Word_t reserved1[2];
  L4_Word_t boot_info;
  L4_Word_t proc_desc_ptr;
  L4_Word_t clock_info;
  L4_Word_t thread_info;  // t 0..7, system base 8..19, user base 20..31
  L4_Word_t
      page_info;  // rwx 0..2: separately controllable rights; bit k >= 10: pages of 2^k bytes exist
  L4_Word_t processor_info;
  L4_Word_t syscall[11];
} L4_KernelInterfacePage_t;

// One region of memory; `high` is inclusive, its implied low ten bits are ones. Later descriptors
// override earlier ones.
typedef struct {
  L4_Word_t raw[2];
} L4_MemoryDesc_t;

#define L4_UndefinedMemoryType 0u
#define L4_ConventionalMemoryType 1u
#define L4_ReservedMemoryType 2u
#define L4_DedicatedMemoryType 3u
#define L4_SharedMemoryType 4u
#define L4_BootLoaderSpecificMemoryType 0xeu
#define L4_ArchitectureSpecificMemoryType 0xfu

#ifdef __cplusplus
extern "C" {
#endif

// The KIP, and (where the pointers are not null) API version, API flags and kernel id.
void* L4_KernelInterface(L4_Word_t* api_version, L4_Word_t* api_flags, L4_Word_t* kernel_id);

#ifdef __cplusplus
}
#endif

L4_INLINE const L4_KernelInterfacePage_t* L4_GetKernelInterface(void) {
  return (const L4_KernelInterfacePage_t*)L4_KernelInterface(0, 0, 0);
}

L4_INLINE L4_Word_t L4_NumMemoryDescriptors(const void* kip) {
  const unsigned half = L4_WORD_BITS / 2;
  return ((const L4_KernelInterfacePage_t*)kip)->memory_info & (((L4_Word_t)1 << half) - 1);
}
// Descriptor `num` (0 is the first), or null.
L4_INLINE const L4_MemoryDesc_t* L4_MemoryDesc(const void* kip, L4_Word_t num) {
  const unsigned half = L4_WORD_BITS / 2;
  const L4_Word_t offset = ((const L4_KernelInterfacePage_t*)kip)->memory_info >> half;
  if (num >= L4_NumMemoryDescriptors(kip)) return 0;
  return (const L4_MemoryDesc_t*)((const char*)kip + offset) + num;
}
L4_INLINE L4_Word_t L4_MemoryDescType(const L4_MemoryDesc_t* d) { return d->raw[0] & 15; }
L4_INLINE L4_Bool_t L4_IsMemoryDescVirtual(const L4_MemoryDesc_t* d) {
  return (d->raw[0] >> 9) & 1;
}
L4_INLINE L4_Word_t L4_MemoryDescLow(const L4_MemoryDesc_t* d) {
  return d->raw[0] & ~(L4_Word_t)1023;
}
L4_INLINE L4_Word_t L4_MemoryDescHigh(const L4_MemoryDesc_t* d) { return d->raw[1] | 1023; }

// Bit k set: pages of 2^k bytes exist. And the rights that the processor can give one by one.
L4_INLINE L4_Word_t L4_PageSizeMask(const void* kip) {
  return ((const L4_KernelInterfacePage_t*)kip)->page_info & ~(L4_Word_t)1023;
}
L4_INLINE L4_Word_t L4_PageRights(const void* kip) {
  return ((const L4_KernelInterfacePage_t*)kip)->page_info & 7;
}
L4_INLINE L4_Word_t L4_ThreadIdBits(const void* kip) {
  return ((const L4_KernelInterfacePage_t*)kip)->thread_info & 255;
}
L4_INLINE L4_Word_t L4_ThreadIdSystemBase(const void* kip) {
  return (((const L4_KernelInterfacePage_t*)kip)->thread_info >> 8) & 0xfff;
}
L4_INLINE L4_Word_t L4_ThreadIdUserBase(const void* kip) {
  return (((const L4_KernelInterfacePage_t*)kip)->thread_info >> 20) & 0xfff;
}
L4_INLINE L4_Word_t L4_UtcbAreaSizeLog2(const void* kip) {
  return (((const L4_KernelInterfacePage_t*)kip)->utcb_info >> 16) & 63;
}
L4_INLINE L4_Word_t L4_UtcbAlignmentLog2(const void* kip) {
  return (((const L4_KernelInterfacePage_t*)kip)->utcb_info >> 10) & 63;
}
// Bytes one UTCB takes.
L4_INLINE L4_Word_t L4_UtcbSize(const void* kip) {
  return (((const L4_KernelInterfacePage_t*)kip)->utcb_info & 1023) << L4_UtcbAlignmentLog2(kip);
}
L4_INLINE L4_Word_t L4_KipAreaSizeLog2(const void* kip) {
  return ((const L4_KernelInterfacePage_t*)kip)->kip_area_info & 63;
}
L4_INLINE L4_Word_t L4_BootInfo(const void* kip) {
  return ((const L4_KernelInterfacePage_t*)kip)->boot_info;
}

// The kernel's version text, and feature string `num` (0 is the first) or null.
L4_INLINE const char* L4_KernelVersionString(const void* kip) {
  const L4_KernelInterfacePage_t* k = (const L4_KernelInterfacePage_t*)kip;
  return (const char*)kip + k->kern_desc_ptr + 4 * sizeof(L4_Word_t);
}
L4_INLINE const char* L4_Feature(const void* kip, L4_Word_t num) {
  const char* s = L4_KernelVersionString(kip);
  for (;;) {
    while (*s) s++;
    s++;
    if (!*s) return 0;
    if (num-- == 0) return s;
  }
}
L4_INLINE L4_Bool_t L4_HasFeature(const char* name) {
  const void* kip = L4_KernelInterface(0, 0, 0);
  for (L4_Word_t i = 0; L4_Feature(kip, i); i++) {
    const char* a = L4_Feature(kip, i);
    const char* b = name;
    while (*a && *a == *b) a++, b++;
    if (*a == *b) return 1;
  }
  return 0;
}

// Thread numbers of the initial threads; each has version 1.
L4_INLINE L4_ThreadId_t L4_Sigma0Id(const void* kip) {
  return L4_GlobalId(L4_ThreadIdUserBase(kip), 1);
}
L4_INLINE L4_ThreadId_t L4_RootServerId(const void* kip) {
  return L4_GlobalId(L4_ThreadIdUserBase(kip) + 2, 1);
}

#endif  // FAKE_L4_INCLUDE_L4_KIP_H_
