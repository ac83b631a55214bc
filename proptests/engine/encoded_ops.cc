#include "proptests/engine/encoded_ops.h"

#include "proptests/engine/generator.h"
#include "traces/codec.h"
#include "traces/op.h"

namespace proptests {
namespace {

constexpr size_t kBytes = 4;

}  // namespace

EncodedOps DecodeOps(const uint8_t* bytes, size_t size, uint32_t tasks, uint32_t pages) {
  EncodedOps decoded;
  for (size_t at = 0; at + kBytes <= size && decoded.ops.size() + 1 < traces::kMaxLabel;
       at += kBytes) {
    const size_t index = decoded.ops.size();
    GenOptions options;
    options.tasks = tasks;
    options.pages = pages;
    options.swarm = Swarm{};
    const size_t kind = index == 0 ? static_cast<size_t>(traces::OpKind::kSpace)
                                   : bytes[at] % traces::kProgramKindCount;
    options.swarm.weight[kind] = 1;
    const Generator generator(options);
    if (decoded.files.empty()) decoded.files = generator.files();
    // Not by its place: an operation that moves stays what it is. Number 0 would be a birth.
    traces::Op op = generator.Draw(uint64_t{1} + bytes[at + 1] + (uint64_t{bytes[at + 2]} << 8));
    if (op.child != 0) op.child = static_cast<uint32_t>(index + 1);
    if (op.task.relative) op.task.number = bytes[at + 3] % tasks;
    decoded.ops.push_back({op, std::nullopt});
  }
  return decoded;
}

}  // namespace proptests
