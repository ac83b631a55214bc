// fake_l4/profile.h: what kind of machine and kernel is simulated, as data.
//
// WHAT     Word width, address width, page sizes, separable rights, fault codes, fixed places in
//          the root space, and what each kernel operation costs in virtual time. Quirks of
//          particular kernels become further fields here.
// INVARIANTS  Rights are in X.2 order everywhere in this package: r = 4, w = 2, x = 1. A mapping
//          without rights does not exist.
// SEE      facts/l4.md sections 1, 2, 6, 9; X.2 manual: "Kernel Interface Page", field PageInfo.
#ifndef FAKE_L4_PROFILE_H_
#define FAKE_L4_PROFILE_H_

#include <cstdint>
#include <string_view>

namespace fake_l4 {

// A set of rights or status bits: r = 4, w = 2, x = 1.
using RightsBits = uint8_t;
inline constexpr RightsBits kR = 4, kW = 2, kX = 1, kRwx = 7;

// Virtual nanoseconds. Round figures of a processor of 2002; only their order of magnitude matters.
struct CostsNs {
  uint32_t system_call = 200;  // entry and exit
  uint32_t ipc = 400;          // on top of the system call
  uint32_t map_page = 150;
  uint32_t unmap_page = 200;
  uint32_t page_fault = 800;  // trap, and return after the reply
  uint32_t thread_switch = 100;
  uint32_t access = 5;  // one load, store or fetch
  // Between processors: what a message costs its sender on top (an interrupt to the other one), and
  // what it costs who revokes a mapping to make one other processor forget it, once in a kernel
  // operation.
  uint32_t cross_processor_ipc = 1500;
  uint32_t shoot_down = 2000;
};

// How the processor's exceptions are told to the exception handler.
enum class ExceptionMessage : uint8_t {
  kSystem,  // label -4 << 4: IP, SP, FLAGS, exception number, error code, local id
  kIa32,    // label -5 << 4: EIP, EFLAGS, exception number, error code, EDI, ESI, EBP, ESP, EBX,
            // EDX, ECX, EAX
};

// Exceptions of x86 processors.
inline constexpr uint8_t kExceptionInvalidOpcode = 6, kExceptionGeneralProtection = 13,
                         kExceptionPageFault = 14;

// Memory attributes of the manual's x86 chapters: default, uncacheable, write combining, write
// through, write protected, write back.
inline constexpr uint32_t kX86MemoryAttributes =
    1u << 0 | 1u << 1 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 7;

inline constexpr unsigned kMaxPageSizes = 3;

// The sizes of pages, ascending, as log2 of bytes. A *level* is an index into them: 0 is 4 KiB.
struct PageSizes {
  uint8_t count = 1;
  uint8_t log2[kMaxPageSizes] = {12, 0, 0};
};

struct Profile {
  const char* name;
  uint8_t word_bits;        // 32 or 64
  uint8_t address_bits;     // user addresses are [0, 2^address_bits)
  uint64_t page_size_mask;  // bit k: pages of 2^k bytes; at most kMaxPageSizes bits, 12 among them
  // Rights the processor tells apart; the others come along with any right. IA-32 without NX: w.
  // AMD64 with NX: w and x.
  RightsBits separable_rights;
  // What the fault message reports for each access that is refused.
  RightsBits fault_read, fault_write, fault_fetch;
  // The status bits each access leaves in the page's entry. Any access references the page (r).
  RightsBits status_read, status_write, status_fetch;
  uint8_t thread_no_bits;  // valid bits of a thread number
  uint16_t system_base, user_base;
  uint64_t ram_base;  // physical address of the first byte of conventional memory
  // User addresses end here; from here to address_limit() is the kernel's.
  uint64_t user_top;
  // Device registers, simulated as plain RAM behind the conventional memory ("shared" in the KIP).
  // A multiple of the page size; 0: there are none.
  uint32_t device_bytes;
  uint64_t root_kip_area, root_utcb_area;  // in the spaces of sigma0 and root
  uint8_t root_utcb_area_log2;
  uint8_t utcb_log2;  // size and alignment of one UTCB
  // Bit a: MemoryControl and sigma0 know memory attribute a. 0 is the default.
  uint32_t memory_attributes;
  ExceptionMessage exception_message;
  uint8_t bad_address_exception;  // raised by an access at or above user_top
  CostsNs costs;

  constexpr bool ExecuteImpliedByRead() const { return (separable_rights & kX) == 0; }
  // The rights a mapping really has when it is given `rights`.
  constexpr RightsBits Normalise(RightsBits rights) const {
    return rights == 0 ? 0 : static_cast<RightsBits>((rights | ~separable_rights) & kRwx);
  }
  constexpr PageSizes page_sizes() const {
    PageSizes sizes{.count = 0, .log2 = {}};
    for (uint8_t k = 0; k < 64; k++) {
      if ((page_size_mask >> k & 1) != 0) sizes.log2[sizes.count++] = k;
    }
    return sizes;
  }
  constexpr uint64_t address_limit() const { return uint64_t{1} << address_bits; }
};

inline constexpr Profile kAmd64Nx = {
    .name = "amd64-nx",
    .word_bits = 64,
    .address_bits = 47,
    .page_size_mask = 1u << 12 | 1u << 21 | 1u << 30,
    .separable_rights = kW | kX,
    .fault_read = kR,
    .fault_write = kW,
    .fault_fetch = kX,
    .status_read = kR,
    .status_write = kR | kW,
    .status_fetch = kR | kX,
    .thread_no_bits = 17,
    .system_base = 16,
    .user_base = 48,
    .ram_base = 0x1000000,
    .user_top = uint64_t{1} << 47,
    .device_bytes = 0x10000,
    .root_kip_area = 0x7fff'f000'0000,
    .root_utcb_area = 0x7fff'f800'0000,
    .root_utcb_area_log2 = 24,
    .utcb_log2 = 10,
    .memory_attributes = kX86MemoryAttributes,
    .exception_message = ExceptionMessage::kSystem,
    .bad_address_exception = kExceptionGeneralProtection,
    .costs = {},
};

inline constexpr Profile kIa32 = {
    .name = "ia32",
    .word_bits = 32,
    .address_bits = 32,
    .page_size_mask = 1u << 12 | 1u << 22,
    .separable_rights = kW,
    .fault_read = kR | kX,
    .fault_write = kW,
    .fault_fetch = kR | kX,
    .status_read = kR | kX,
    .status_write = kRwx,
    .status_fetch = kR | kX,
    .thread_no_bits = 17,
    .system_base = 16,
    .user_base = 48,
    .ram_base = 0x1000000,
    .user_top = 0xc000'0000,
    .device_bytes = 0x10000,
    .root_kip_area = 0xbff0'0000,
    .root_utcb_area = 0xbe00'0000,
    .root_utcb_area_log2 = 24,
    .utcb_log2 = 10,
    .memory_attributes = kX86MemoryAttributes,
    .exception_message = ExceptionMessage::kIa32,
    .bad_address_exception = kExceptionPageFault,
    .costs = {},
};

// A processor without reference bits: loads and fetches leave no status, so an unmap cannot tell a
// page that was read from one that was not. Stores still do. What lives above must find out by
// itself, by unmapping and waiting for the fault.
inline constexpr Profile kAmd64NoReference = [] {
  Profile p = kAmd64Nx;
  p.name = "amd64-no-reference";
  p.status_read = 0;
  p.status_write = kW;
  p.status_fetch = 0;
  return p;
}();

inline constexpr const Profile* kAllProfiles[] = {&kAmd64Nx, &kIa32, &kAmd64NoReference};

// The profile of that name, or null.
constexpr const Profile* FindProfile(std::string_view name) {
  for (const Profile* p : kAllProfiles) {
    if (name == p->name) return p;
  }
  return nullptr;
}

}  // namespace fake_l4

#endif  // FAKE_L4_PROFILE_H_
