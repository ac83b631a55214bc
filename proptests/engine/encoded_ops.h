// proptests/engine/encoded_ops.h: operations as bytes, for whoever makes inputs by changing bytes.
//
// WHAT     Four bytes an operation: kind, two bytes from which its operands are drawn, and the task
//          that performs it. Any bytes are operations, and a byte that changes changes one of them.
// SEE      proptests/ops_fuzzer.cc.

#ifndef PROPTESTS_ENGINE_ENCODED_OPS_H_
#define PROPTESTS_ENGINE_ENCODED_OPS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "proptests/engine/shrinker.h"

namespace proptests {

struct EncodedOps {
  std::vector<TestOp> ops;
  std::vector<std::string> files;  // that the operations name
};

// At most traces::kMaxLabel - 1 operations; what is left of the bytes, fewer than four included,
// says nothing. The first is a task's birth, whatever its bytes are. `tasks` live at once.
EncodedOps DecodeOps(const uint8_t* bytes, size_t size, uint32_t tasks, uint32_t pages);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_ENCODED_OPS_H_
