#include "machine/arena.h"

#include "base/addr.h"

namespace machine {

Arena::Arena(size_t bytes) : memory_(base::RoundPage(bytes)) {}

void* Arena::AllocateChunk(size_t bytes) {
  size_t rounded = base::RoundPage(bytes);
  if (rounded > memory_.bytes() - used_) return nullptr;
  void* chunk = memory_.start() + used_;
  used_ += rounded;
  return chunk;
}

}  // namespace machine
