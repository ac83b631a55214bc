// The layouts of facts/l4.md sections 1 to 4, checked at compile time in both word widths.
#include <l4/arch.h>
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/types.h>

#include <cstddef>

namespace {

constexpr bool kWide = sizeof(L4_Word_t) == 8;
constexpr L4_Word_t kAll = ~L4_Word_t{0};

// ---- Thread ids ----

static_assert(L4_GlobalId(48, 1).raw ==
              (kWide ? L4_Word_t{48} << (L4_WORD_BITS / 2) | 1 : 0xc0001));
static_assert(kWide || L4_GlobalId(50, 1).raw == 0xc8001);
static_assert(L4_ThreadNo(L4_GlobalId(50, 3)) == 50 && L4_Version(L4_GlobalId(50, 3)) == 3);
static_assert(L4_nilthread.raw == 0 && L4_anythread.raw == kAll);
static_assert(L4_anylocalthread.raw == kAll - 63);
static_assert(L4_IsLocalId(L4_ThreadIdOfRaw(0x1240)));
static_assert(L4_IsGlobalId(L4_GlobalId(50, 1)));

// ---- Time ----

static_assert(L4_Never.raw == 0 && L4_ZeroTime.raw == 1 << 10);
static_assert(L4_TimePeriod(10000).raw == (4 << 10 | 625), "10000 us = 625 * 2^4");
static_assert(L4_Timeouts(L4_TimeOfRaw(0x1234), L4_TimeOfRaw(0x5678)) == 0x12345678);
static_assert(L4_TimePeriodMicroseconds(L4_TimeOfRaw(31 << 10 | 1023)) == L4_Word64_t{1023} << 31);

// ---- Fpages ----

static_assert(L4_FpageLog2(0xfffff000, 12).raw == (0xfffff000 | 12 << 4));
static_assert(L4_CompleteAddressSpace.raw == 0x10 && L4_Nilpage.raw == 0);
static_assert((L4_FpageLog2(0x400000, 22) + L4_FullyAccessible).raw == (0x400000 | 22 << 4 | 7));
static_assert(L4_Readable == 4 && L4_Writable == 2 && L4_eXecutable == 1);
static_assert(L4_IoFpageLog2(0x3f8, 3).raw == (0x3f8u << 16 | 3 << 10 | 2 << 4));

// ---- Message tags and items ----

static_assert(L4_MakeMsgTag(0xffe2, 2, 0).raw == (L4_Word_t{0xffe2} << 16 | 2));
static_assert(L4_MakeMsgTag(0, 1, 4).raw == (4 << 6 | 1));
static_assert(L4_TAG_ERROR == 0x8000 && L4_TAG_PROPAGATED == 0x1000);
static_assert((L4_LABEL_INTERRUPT & 0xffff) == 0xfff0 && (L4_LABEL_PAGEFAULT & 0xffff) == 0xffe0);
static_assert((L4_LABEL_PREEMPTION & 0xffff) == 0xffd0 &&
              (L4_LABEL_SYSTEM_EXCEPTION & 0xffff) == 0xffc0);
static_assert((L4_LABEL_ARCH_EXCEPTION & 0xffff) == 0xffb0 &&
              (L4_LABEL_IO_PAGEFAULT & 0xffff) == 0xff80);
static_assert(L4_LABEL_PAGEFAULT >> 16 == (kWide ? 0xffffffff : 0), "as wide as the label");
static_assert(L4_MapItem(L4_FpageOfRaw(0x4c6), 0x12345).raw[0] == (0x12000 | 8) &&
              L4_MapItem(L4_FpageOfRaw(0x4c6), 0).raw[1] == 0x4c6);
static_assert(L4_GrantItem(L4_Nilpage, 0x400).raw[0] == (0x400 | 10));

// ---- String items and the acceptor ----

// 40 bytes at one place; twice 8 bytes, then 16 more.
constexpr L4_Word_t kSimple[2] = {40 << 10, 0x1000};
constexpr L4_Word_t kCompound[5] = {8 << 10 | 1 << 9 | 1 << 4, 0x1000, 0x2000, 16 << 10, 0x3000};
static_assert(L4_StringItemWords(kSimple, 2) == 2 && L4_StringHeadLength(kSimple[0]) == 40);
static_assert(L4_StringItemWords(kCompound, 5) == 5 && L4_StringHeadPointers(kCompound[0]) == 2);
static_assert(L4_StringItemWords(kCompound, 4) == 4, "never beyond what there is");
static_assert(L4_StringItemsAcceptor.raw == 1 && L4_UntypedWordsAcceptor.raw == 0);
static_assert(L4_MapGrantItems(L4_CompleteAddressSpace).raw == 0x10);
static_assert(L4_AddAcceptor(L4_StringItemsAcceptor, L4_AcceptorOfRaw(0x4160)).raw == 0x4161);
static_assert(L4_RemoveAcceptor(L4_AcceptorOfRaw(0x4161), L4_StringItemsAcceptor).raw == 0x4160);

// ---- The kernel interface page: word i of the table in section 2 ----

constexpr size_t Word(size_t offset) { return offset / sizeof(L4_Word_t) * 4; }
static_assert(Word(offsetof(L4_KernelInterfacePage_t, kern_desc_ptr)) == 0x0c);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, sigma0)) == 0x20);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, root)) == 0x40);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, memory_info)) == 0x54);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, utcb_info)) == 0xa8);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, kip_area_info)) == 0xac);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, boot_info)) == 0xb8);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, proc_desc_ptr)) == 0xbc);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, clock_info)) == 0xc0);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, thread_info)) == 0xc4);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, page_info)) == 0xc8);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, processor_info)) == 0xcc);
static_assert(Word(offsetof(L4_KernelInterfacePage_t, syscall)) == 0xd0);

}  // namespace
