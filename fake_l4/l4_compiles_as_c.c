// Every public header, compiled as C, in the native and in the 32-bit word width.
#include <l4/arch.h>
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>
#include <l4/types.h>

_Static_assert(sizeof(L4_ThreadId_t) == sizeof(L4_Word_t), "a thread id is one word");
_Static_assert(sizeof(L4_Fpage_t) == sizeof(L4_Word_t), "an fpage is one word");
_Static_assert(sizeof(L4_MapItem_t) == 2 * sizeof(L4_Word_t), "a map item is two words");
_Static_assert(sizeof(L4_Msg_t) == 64 * sizeof(L4_Word_t), "a message has 64 words");
_Static_assert(sizeof(L4_Time_t) == 2, "a time is 16 bits");
_Static_assert(sizeof(L4_Word64_t) == 8, "the clock has 64 bits");
_Static_assert(L4_THREAD_VERSION_BITS == (sizeof(L4_Word_t) == 8 ? 32 : 14), "version bits");
_Static_assert(__builtin_offsetof(L4_KernelInterfacePage_t, memory_info) == 21 * sizeof(L4_Word_t),
               "0x54");
_Static_assert(__builtin_offsetof(L4_KernelInterfacePage_t, utcb_info) == 42 * sizeof(L4_Word_t),
               "0xA8");
_Static_assert(__builtin_offsetof(L4_KernelInterfacePage_t, boot_info) == 46 * sizeof(L4_Word_t),
               "0xB8");
_Static_assert(__builtin_offsetof(L4_KernelInterfacePage_t, thread_info) == 49 * sizeof(L4_Word_t),
               "0xC4");
_Static_assert(__builtin_offsetof(L4_KernelInterfacePage_t, syscall) == 52 * sizeof(L4_Word_t),
               "0xD0");
