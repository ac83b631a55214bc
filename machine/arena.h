// machine/arena.h: the memory a simulated server's data structures live in.
//
// WHAT     One reservation of host address space, handed out in order. Nothing is given back before
//          the arena goes; pages cost memory from their first use on.
// SEE      base/pool.h (the seam); design.md D4 (why nothing on a fiber's stack may own memory).

#ifndef MACHINE_ARENA_H_
#define MACHINE_ARENA_H_

#include <cstddef>
#include <cstdint>

#include "base/pool.h"
#include "fake_l4/host_memory.h"

namespace machine {

class Arena final : public base::PageSource {
 public:
  // Reserves `bytes`, rounded up to pages; aborts when the host refuses.
  explicit Arena(size_t bytes);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void* AllocateChunk(size_t bytes) override;
  size_t used_bytes() const { return used_; }

 private:
  const fake_l4::HostMemory memory_;
  size_t used_ = 0;
};

}  // namespace machine

#endif  // MACHINE_ARENA_H_
