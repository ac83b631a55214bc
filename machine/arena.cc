#include "machine/arena.h"

#include <sys/mman.h>

#include "base/addr.h"
#include "base/check.h"

namespace machine {

Arena::Arena(size_t bytes) : bytes_(base::RoundPage(bytes)) {
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(memory != MAP_FAILED);
  start_ = static_cast<unsigned char*>(memory);
}

Arena::~Arena() { munmap(start_, bytes_); }

void* Arena::AllocateChunk(size_t bytes) {
  size_t rounded = base::RoundPage(bytes);
  if (rounded > bytes_ - used_) return nullptr;
  void* chunk = start_ + used_;
  used_ += rounded;
  return chunk;
}

}  // namespace machine
