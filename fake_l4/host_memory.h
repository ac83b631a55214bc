// fake_l4/host_memory.h: large pieces of the host's memory.
//
// WHAT     Zero pages that cost nothing until they are touched. Pieces of several large pages of
// the
//          host are made of those, if it has any left: a simulated page that was not used lately
//          would else cost its user a walk through the host's page tables.
#ifndef FAKE_L4_HOST_MEMORY_H_
#define FAKE_L4_HOST_MEMORY_H_

#include <cstddef>
#include <deque>

namespace fake_l4 {

class HostMemory {
 public:
  // Ends the program when the host has no address space left.
  explicit HostMemory(size_t bytes);
  ~HostMemory();
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;

  unsigned char* start() const { return start_; }
  size_t bytes() const { return bytes_; }

 private:
  void* mapped_;  // null: of a RewindArea
  size_t mapped_bytes_;
  unsigned char* start_;
  size_t bytes_;
};

// Tables that grow with a machine: pieces of such memory that live as long as it does.
class HostTables {
 public:
  // `bytes` <= kFirstSlab, aligned to kAlignment; all zero.
  void* Take(size_t bytes);

  static constexpr size_t kFirstSlab = size_t{1} << 19;
  static constexpr size_t kAlignment = 64;

 private:
  static constexpr size_t kLargestSlab = size_t{1} << 24;
  std::deque<HostMemory> slabs_;
  size_t used_ = 0;  // of the last one
};

}  // namespace fake_l4

#endif  // FAKE_L4_HOST_MEMORY_H_
