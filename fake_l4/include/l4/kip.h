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

// One processor; frequencies in kHz, 0 when not known.
typedef struct {
  L4_Word_t raw[4];
} L4_ProcDesc_t;

#ifdef __cplusplus
extern "C" {
#endif

// The KIP, and (where the pointers are not null) API version, API flags and kernel id.
void* L4_KernelInterface(L4_Word_t* api_version, L4_Word_t* api_flags, L4_Word_t* kernel_id);

#ifdef __cplusplus
}
#endif

L4_INLINE L4_KernelInterfacePage_t* L4_GetKernelInterface(void) {
  return (L4_KernelInterfacePage_t*)L4_KernelInterface(0, 0, 0);
}
// Version 24..31, subversion 16..23; endian 0..1, word size 2..3; kernel id 24..31, subid 16..23.
L4_INLINE L4_Word_t L4_ApiVersion(void) { return L4_GetKernelInterface()->api_version; }
L4_INLINE L4_Word_t L4_ApiFlags(void) { return L4_GetKernelInterface()->api_flags; }
L4_INLINE L4_Word_t L4_KernelId(void) {
  L4_Word_t id = 0;
  L4_KernelInterface(0, 0, &id);
  return id;
}

// ---- Fields; `kip` is what L4_GetKernelInterface returned ----

L4_INLINE const L4_KernelInterfacePage_t* L4_KipOf(const void* kip) {
  return (const L4_KernelInterfacePage_t*)kip;
}
// Word i of the kernel description: 0 id, 1 generation date, 2 version, 3 supplier.
L4_INLINE L4_Word_t L4_KernelDescWord(const void* kip, L4_Word_t i) {
  return ((const L4_Word_t*)((const char*)kip + L4_KipOf(kip)->kern_desc_ptr))[i];
}
// Year as 2004, month 1..12, day 1..31.
L4_INLINE void L4_KernelGenDate(const void* kip, L4_Word_t* year, L4_Word_t* month,
                                L4_Word_t* day) {
  const L4_Word_t date = L4_KernelDescWord(kip, 1);
  *year = 2000 + ((date >> 9) & 127);
  *month = (date >> 5) & 15;
  *day = date & 31;
}
// Version 24..31, subversion 16..23, subsubversion 0..15; and four characters, the first lowest.
L4_INLINE L4_Word_t L4_KernelVersion(const void* kip) { return L4_KernelDescWord(kip, 2); }
L4_INLINE L4_Word_t L4_KernelSupplier(const void* kip) { return L4_KernelDescWord(kip, 3); }

L4_INLINE L4_Word_t L4_NumProcessors(const void* kip) {
  return (L4_KipOf(kip)->processor_info & 0xffff) + 1;
}
// Description of processor `num` (0 is the first), or null.
L4_INLINE L4_ProcDesc_t* L4_ProcDesc(const void* kip, L4_Word_t num) {
  const L4_Word_t log2_size = L4_KipOf(kip)->processor_info >> (L4_WORD_BITS - 4);
  if (num >= L4_NumProcessors(kip)) return 0;
  return (L4_ProcDesc_t*)((char*)(L4_Word_t)kip + L4_KipOf(kip)->proc_desc_ptr +
                          (num << log2_size));
}
L4_INLINE L4_Word_t L4_ProcDescExternalFreq(const L4_ProcDesc_t* p) { return p->raw[0]; }
L4_INLINE L4_Word_t L4_ProcDescInternalFreq(const L4_ProcDesc_t* p) { return p->raw[1]; }

L4_INLINE L4_Word_t L4_NumMemoryDescriptors(const void* kip) {
  return L4_KipOf(kip)->memory_info & (((L4_Word_t)1 << (L4_WORD_BITS / 2)) - 1);
}
// Descriptor `num` (0 is the first), or null.
L4_INLINE L4_MemoryDesc_t* L4_MemoryDesc(const void* kip, L4_Word_t num) {
  const L4_Word_t offset = L4_KipOf(kip)->memory_info >> (L4_WORD_BITS / 2);
  if (num >= L4_NumMemoryDescriptors(kip)) return 0;
  return (L4_MemoryDesc_t*)((char*)(L4_Word_t)kip + offset) + num;
}
// Type (subtype of the last two types in the next four bits), whether the addresses are virtual,
// and the first and the last byte.
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
  return L4_KipOf(kip)->page_info & ~(L4_Word_t)1023;
}
L4_INLINE L4_Word_t L4_PageRights(const void* kip) { return L4_KipOf(kip)->page_info & 7; }

// Valid bits of a thread number; the first number of kernel threads and of user threads.
L4_INLINE L4_Word_t L4_ThreadIdBits(const void* kip) { return L4_KipOf(kip)->thread_info & 255; }
L4_INLINE L4_Word_t L4_ThreadIdSystemBase(const void* kip) {
  return (L4_KipOf(kip)->thread_info >> 8) & 0xfff;
}
L4_INLINE L4_Word_t L4_ThreadIdUserBase(const void* kip) {
  return (L4_KipOf(kip)->thread_info >> 20) & 0xfff;
}

// Microseconds: the smallest difference between two readings of the clock, and the granularity of
// timeouts and time slices. The fields hold a time period.
L4_INLINE L4_Word_t L4_ClockPrecision(L4_Word_t field) {
  return (field & 1023) << ((field >> 10) & 31);
}
L4_INLINE L4_Word_t L4_ReadPrecision(const void* kip) {
  return L4_ClockPrecision(L4_KipOf(kip)->clock_info & 0xffff);
}
L4_INLINE L4_Word_t L4_SchedulePrecision(const void* kip) {
  return L4_ClockPrecision((L4_KipOf(kip)->clock_info >> 16) & 0xffff);
}

// Smallest UTCB area, alignment of one UTCB, bytes one UTCB takes; size of the KIP area.
L4_INLINE L4_Word_t L4_UtcbAreaSizeLog2(const void* kip) {
  return (L4_KipOf(kip)->utcb_info >> 16) & 63;
}
L4_INLINE L4_Word_t L4_UtcbAlignmentLog2(const void* kip) {
  return (L4_KipOf(kip)->utcb_info >> 10) & 63;
}
L4_INLINE L4_Word_t L4_UtcbSize(const void* kip) {
  return (L4_KipOf(kip)->utcb_info & 1023) << L4_UtcbAlignmentLog2(kip);
}
L4_INLINE L4_Word_t L4_KipAreaSizeLog2(const void* kip) {
  return L4_KipOf(kip)->kip_area_info & 63;
}
// What the boot loader left for the root task.
L4_INLINE L4_Word_t L4_BootInfo(const void* kip) { return L4_KipOf(kip)->boot_info; }

// The kernel's version text, and feature string `num` (0 is the first) or null.
L4_INLINE char* L4_KernelVersionString(const void* kip) {
  return (char*)(L4_Word_t)kip + L4_KipOf(kip)->kern_desc_ptr + 4 * sizeof(L4_Word_t);
}
L4_INLINE char* L4_Feature(const void* kip, L4_Word_t num) {
  char* s = L4_KernelVersionString(kip);
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

#ifdef __cplusplus
// The manual's overloaded names and reference parameters.
inline void* L4_KernelInterface() { return L4_KernelInterface(nullptr, nullptr, nullptr); }
inline void* L4_KernelInterface(L4_Word_t& api_version, L4_Word_t& api_flags,
                                L4_Word_t& kernel_id) {
  return L4_KernelInterface(&api_version, &api_flags, &kernel_id);
}
inline void L4_KernelGenDate(const void* kip, L4_Word_t& year, L4_Word_t& month, L4_Word_t& day) {
  L4_KernelGenDate(kip, &year, &month, &day);
}
inline bool L4_IsVirtual(const L4_MemoryDesc_t& d) { return L4_IsMemoryDescVirtual(&d) != 0; }
inline L4_Word_t L4_Type(const L4_MemoryDesc_t& d) { return L4_MemoryDescType(&d); }
inline L4_Word_t L4_Low(const L4_MemoryDesc_t& d) { return L4_MemoryDescLow(&d); }
inline L4_Word_t L4_High(const L4_MemoryDesc_t& d) { return L4_MemoryDescHigh(&d); }
inline L4_Word_t L4_ExternalFreq(const L4_ProcDesc_t& p) { return L4_ProcDescExternalFreq(&p); }
inline L4_Word_t L4_InternalFreq(const L4_ProcDesc_t& p) { return L4_ProcDescInternalFreq(&p); }
inline bool L4_IsVirtual(const L4_MemoryDesc_t* d) { return L4_IsMemoryDescVirtual(d) != 0; }
inline L4_Word_t L4_Type(const L4_MemoryDesc_t* d) { return L4_MemoryDescType(d); }
inline L4_Word_t L4_Low(const L4_MemoryDesc_t* d) { return L4_MemoryDescLow(d); }
inline L4_Word_t L4_High(const L4_MemoryDesc_t* d) { return L4_MemoryDescHigh(d); }
inline L4_Word_t L4_ExternalFreq(const L4_ProcDesc_t* p) { return L4_ProcDescExternalFreq(p); }
inline L4_Word_t L4_InternalFreq(const L4_ProcDesc_t* p) { return L4_ProcDescInternalFreq(p); }
#endif

#endif  // FAKE_L4_INCLUDE_L4_KIP_H_
