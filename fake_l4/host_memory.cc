#include "fake_l4/host_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "fake_l4/rewind_area.h"

namespace fake_l4 {
namespace {

constexpr size_t kLargePage = size_t{1} << 21;

constexpr bool IsLarge(size_t bytes) { return bytes >= 2 * kLargePage; }

}  // namespace

HostMemory::HostMemory(size_t bytes)
    : mapped_(nullptr),
      mapped_bytes_(IsLarge(bytes) ? bytes + kLargePage : bytes),
      bytes_(bytes) {
  if (RewindArea* area = RewindArea::Current(); area != nullptr) {
    start_ = area->TakePages((bytes + 4095) / 4096);
    return;
  }
  mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(mapped_ != MAP_FAILED);
  start_ = static_cast<unsigned char*>(mapped_);
  if (!IsLarge(bytes)) return;
  start_ += -reinterpret_cast<uintptr_t>(mapped_) & (kLargePage - 1);
  // Advice: a host that has no such pages says so, and all goes on as it would.
  madvise(start_, bytes, MADV_HUGEPAGE);
}

HostMemory::~HostMemory() {
  if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
}

void* HostTables::Take(size_t bytes) {
  bytes = (bytes + kAlignment - 1) & ~(kAlignment - 1);
  CHECK(bytes <= kFirstSlab);
  if (slabs_.empty() || bytes > slabs_.back().bytes() - used_) {
    slabs_.emplace_back(slabs_.empty() ? kFirstSlab
                                       : std::min(2 * slabs_.back().bytes(), kLargestSlab));
    used_ = 0;
  }
  void* const piece = slabs_.back().start() + used_;
  used_ += bytes;
  return piece;
}

}  // namespace fake_l4
