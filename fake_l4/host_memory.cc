#include "fake_l4/host_memory.h"

#include <sys/mman.h>

#include <cstdint>

#include "base/check.h"

namespace fake_l4 {
namespace {

constexpr size_t kLargePage = size_t{1} << 21;

}  // namespace

HostMemory::HostMemory(size_t bytes) : mapped_bytes_(bytes + kLargePage), bytes_(bytes) {
  mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(mapped_ != MAP_FAILED);
  const uintptr_t aligned = (reinterpret_cast<uintptr_t>(mapped_) + kLargePage - 1) & -kLargePage;
  start_ = reinterpret_cast<unsigned char*>(aligned);
  // Advice: a host that has no such pages says so, and all goes on as it would.
  if (bytes >= 2 * kLargePage) madvise(start_, bytes, MADV_HUGEPAGE);
}

HostMemory::~HostMemory() { munmap(mapped_, mapped_bytes_); }

}  // namespace fake_l4
