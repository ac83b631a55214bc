// The kernel interface page, the table of physical memory in it, and the areas of a space that
// belong to the kernel as its programs see them. facts/l4.md section 2; X.2 manual: "Kernel
// Interface Page", "Memory Descriptors".
#include <l4/kip.h>
#include <l4/types.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

// Where things lie in the page, in bytes.
constexpr unsigned kProcessorOffset = 1024, kMemoryOffset = 2048, kKernelOffset = 2816;
// The entry points of the system calls: addresses in the KIP area that name the calls. Host code
// never jumps there.
constexpr unsigned kEntryOffset = 3072, kEntryBytes = 64;
constexpr size_t kMaxMemoryRegions = (kKernelOffset - kMemoryOffset) / sizeof(L4_MemoryDesc_t);
constexpr unsigned kProcessorWords = 4;

constexpr char kVersionAndFeatures[] = "fake_l4 1.0\0pagerexregs\0";

unsigned Log2(size_t bytes) { return 31 - __builtin_clz(static_cast<unsigned>(bytes)); }

}  // namespace

// ---- Physical memory ----

void Core::BuildMemoryTable() {
  const uint64_t ram_end = profile_.ram_base + options_.ram_bytes;
  memory_table_ = {
      // What programs may use of their own address spaces.
      {L4_ConventionalMemoryType, 0, profile_.user_top, true},
      {L4_ConventionalMemoryType, 0, ram_end, false},
      {L4_ReservedMemoryType, 0, profile_.ram_base, false},
  };
  if (profile_.device_bytes != 0) {
    memory_table_.push_back({L4_SharedMemoryType, ram_end, ram_end + profile_.device_bytes, false});
  }
  memory_table_.insert(memory_table_.end(), options_.memory_regions.begin(),
                       options_.memory_regions.end());
  CHECK(memory_table_.size() <= kMaxMemoryRegions);
  for (const MemoryRegion& r : memory_table_) {
    CHECK(r.low % 1024 == 0 && r.end % 1024 == 0 && r.low < r.end && r.type < 256);
  }
}

unsigned Core::MemoryTypeAt(uint64_t paddr) const {
  for (size_t i = memory_table_.size(); i-- > 0;) {
    const MemoryRegion& r = memory_table_[i];
    if (!r.is_virtual && r.low <= paddr && paddr < r.end) return r.type;
  }
  return L4_UndefinedMemoryType;
}

// ---- The page ----

void Core::BuildKip() {
  std::memset(kip_, 0, sizeof kip_);
  auto* kip = reinterpret_cast<L4_KernelInterfacePage_t*>(kip_);
  char* bytes = reinterpret_cast<char*>(kip_);
  kip->magic = 0x4be6344c;
  kip->api_version = L4_Word_t{0x84} << 24 | L4_Word_t{5} << 16;
  // Little endian; words are the programs', whatever the simulated processor's.
  kip->api_flags = sizeof(L4_Word_t) == 8 ? 1u << 2 : 0;
  kip->kern_desc_ptr = kKernelOffset;
  kip->sigma0 = {0, Kernel::kSigma0Entry, 0, 0};
  // There is no sigma1, and no kernel debugger: their entries stay zero.
  kip->root = {0, Kernel::kRootEntry, 0, 0};
  kip->utcb_info = 1 | L4_Word_t{profile_.utcb_log2} << 10 | L4_Word_t{kUtcbAreaMinLog2} << 16;
  kip->kip_area_info = kPageShift;
  kip->boot_info = options_.boot_info;
  kip->proc_desc_ptr = kProcessorOffset;
  // The clock is exact to the microsecond, for reading and for timeouts.
  kip->clock_info = L4_TimePeriod(1).raw | L4_Word_t{L4_TimePeriod(1).raw} << 16;
  kip->thread_info = profile_.thread_no_bits | L4_Word_t{profile_.system_base} << 8 |
                     L4_Word_t{profile_.user_base} << 20;
  kip->page_info = static_cast<L4_Word_t>(profile_.page_size_mask) | profile_.separable_rights;
  kip->processor_info =
      (options_.processors - 1) | L4_Word_t{Log2(kProcessorWords * sizeof(L4_Word_t))} << 28;
  for (unsigned i = 0; i < options_.processors; i++) {
    auto* p = reinterpret_cast<L4_Word_t*>(bytes + kProcessorOffset) + i * kProcessorWords;
    p[0] = kExternalKhz;
    p[1] = kInternalKhz;
  }
  for (unsigned i = 0; i < std::size(kip->syscall); i++) {
    kip->syscall[i] = kEntryOffset + i * kEntryBytes;
  }
  auto* memory = reinterpret_cast<L4_Word_t*>(bytes + kMemoryOffset);
  for (const MemoryRegion& r : memory_table_) {
    *memory++ = static_cast<L4_Word_t>(r.low) | (r.is_virtual ? 1u << 9 : 0) | r.type;
    *memory++ = static_cast<L4_Word_t>(r.end - 1024);
  }
  kip->memory_info = L4_Word_t{kMemoryOffset} << (sizeof(L4_Word_t) * 4) | memory_table_.size();
  auto* kernel = reinterpret_cast<L4_Word_t*>(bytes + kKernelOffset);
  kernel[0] = L4_Word_t{0x75} << 24;  // kernel id: one that no listed kernel has
  kernel[1] = 1 | 1 << 5 | 24 << 9;   // 2024-01-01
  kernel[2] = L4_Word_t{1} << 24;
  std::memcpy(&kernel[3], "none", 4);
  std::memcpy(&kernel[4], kVersionAndFeatures, sizeof kVersionAndFeatures);
}

void Core::SetProcessorKhz(unsigned processor, L4_Word_t external, L4_Word_t internal) {
  L4_Word_t* p = kip_ + (kProcessorOffset / sizeof(L4_Word_t)) + processor * kProcessorWords;
  if (external != 0) p[0] = external;
  if (internal != 0) p[1] = internal;
}

// ---- The areas in a space ----

uint8_t* Core::KernelAreaAt(const Space& space, uint64_t va, AccessKind kind, size_t* bytes) {
  // The page, at the area's start, read only.
  const uint64_t kip = space.kip_area.start.value();
  if (!space.kip_area.empty() && va - kip < sizeof kip_) {
    // Nobody asks for bytes of two pages at once, and this one is whole.
    static_assert(sizeof kip_ == kPageBytes);
    return kind == AccessKind::kStore ? nullptr : reinterpret_cast<uint8_t*>(kip_) + (va - kip);
  }
  if (!space.utcb_area.Contains(base::Vaddr(va))) return nullptr;
  // The UTCBs, where their threads have them; the rest of a UTCB's slot is not there.
  const uint64_t slot = va >> profile_.utcb_log2 << profile_.utcb_log2;
  for (Thread* t = all_threads_; t != nullptr; t = t->all_next) {
    if (t->space != &space || t->utcb_location != slot) continue;
    if (t->state == ThreadState::kInactive || va - slot >= sizeof t->utcb) return nullptr;
    *bytes = std::min<size_t>(*bytes, sizeof t->utcb - (va - slot));
    return reinterpret_cast<uint8_t*>(&t->utcb) + (va - slot);
  }
  return nullptr;
}

}  // namespace fake_l4
