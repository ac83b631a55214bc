// uvm/testing/host_pages.h: memory for data structures that can run out at any chosen allocation.
//
// WHAT     A base::PageSource on the host's heap. FailAfter(n) lets n more chunks through and then
//          refuses, which is how tests walk through every way an operation can run out of memory.

#ifndef UVM_TESTING_HOST_PAGES_H_
#define UVM_TESTING_HOST_PAGES_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/pool.h"

namespace uvm::testing {

class HostPages final : public base::PageSource {
 public:
  HostPages() = default;
  HostPages(const HostPages&) = delete;
  HostPages& operator=(const HostPages&) = delete;
  ~HostPages() {
    for (void* chunk : chunks_) std::free(chunk);
  }

  // Grants `chunks` more requests, then refuses all.
  void FailAfter(uint64_t chunks) { left_ = chunks; }
  void NeverFail() { left_ = kUnlimited; }
  // Requests refused since construction.
  uint64_t refusals() const { return refusals_; }

  void* AllocateChunk(size_t bytes) override {
    if (left_ == 0) {
      ++refusals_;
      return nullptr;
    }
    if (left_ != kUnlimited) --left_;
    size_t rounded = (bytes + 4095) / 4096 * 4096;
    void* chunk = std::aligned_alloc(4096, rounded);
    if (chunk == nullptr) std::abort();
    std::memset(chunk, 0, rounded);
    chunks_.push_back(chunk);
    return chunk;
  }

 private:
  static constexpr uint64_t kUnlimited = ~uint64_t{0};
  uint64_t left_ = kUnlimited;
  uint64_t refusals_ = 0;
  std::vector<void*> chunks_;
};

// Memory to be measured on: in large pages of the host, where it has some, as a kernel's own window
// to its frames is. The caller frees it.
inline unsigned char* AllocateLargePages(size_t bytes) {
  constexpr size_t kLarge = size_t{1} << 21;
  const size_t rounded = (bytes + kLarge - 1) / kLarge * kLarge;
  void* memory = std::aligned_alloc(kLarge, rounded);
  if (memory == nullptr) std::abort();
  madvise(memory, rounded, MADV_HUGEPAGE);
  return static_cast<unsigned char*>(memory);
}

}  // namespace uvm::testing

#endif  // UVM_TESTING_HOST_PAGES_H_
