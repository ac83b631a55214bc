#include "tools/replay_plan.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/addr.h"

namespace tools {
namespace {

using base::kPageSize;
using traces::Op;
using traces::OpKind;

constexpr uint64_t kFewestFrames = 4096;
constexpr uint32_t kFewestTasks = 64;
// A short trace is compared after every operation. A long one every so often that all comparisons
// together look at about so many pages: some seconds.
constexpr uint64_t kManyOps = 2000;
constexpr uint64_t kFewestOpsBetween = 256;
constexpr uint64_t kPagesCompared = 2'000'000;

bool IsAccess(OpKind kind) {
  return kind == OpKind::kRead || kind == OpKind::kWrite || kind == OpKind::kFetch;
}

bool IsBirth(OpKind kind) {
  return kind == OpKind::kSpace || kind == OpKind::kTask || kind == OpKind::kTask32 ||
         kind == OpKind::kFork || kind == OpKind::kTaskCreate;
}

// The pages that come into being: the distinct pages that each task touches, counted anew where an
// earlier page of the same address may live on elsewhere: in a child after a birth, at another
// address after mremap.
class TouchedPages {
 public:
  void Add(const Op& op) {
    if (IsBirth(op.kind) || op.kind == OpKind::kMremap) ++epochs_[Key(op)];
    if (!IsAccess(op.kind)) return;
    const uint64_t size = std::max<uint64_t>(op.size, 1);
    if (op.at.kind != traces::Place::Kind::kAbsolute) {
      count_ += size / kPageSize + 2;
      return;
    }
    const std::pair<uint64_t, uint64_t> who(Key(op), epochs_[Key(op)]);
    const uint64_t last = (op.at.offset + size - 1) / kPageSize;
    for (uint64_t page = op.at.offset / kPageSize; page <= last; ++page) {
      count_ += seen_.insert({who, page}).second ? 1 : 0;
    }
  }
  uint64_t count() const { return count_; }

 private:
  static uint64_t Key(const Op& op) {
    return uint64_t{op.task.number} * 2 + (op.task.relative ? 1 : 0);
  }

  absl::flat_hash_map<uint64_t, uint64_t> epochs_;
  absl::flat_hash_set<std::pair<std::pair<uint64_t, uint64_t>, uint64_t>> seen_;
  uint64_t count_ = 0;
};

}  // namespace

ReplayPlan PlanReplay(const traces::Trace& trace) {
  TouchedPages touched;
  uint64_t alive = 0;
  uint64_t most_alive = 0;
  for (const traces::Line& line : trace.lines) {
    touched.Add(line.op);
    const bool fails = line.expected.has_value() && !line.expected->ok();
    if (IsBirth(line.op.kind) && !fails) most_alive = std::max(most_alive, ++alive);
    const bool death = line.op.kind == OpKind::kExit || line.op.kind == OpKind::kTaskTerminate;
    if (death && alive > 0) --alive;
  }
  const uint64_t ops = trace.lines.size();
  ReplayPlan plan;
  // A private page of a file takes two frames: the file's page and the copy.
  plan.frames = kFewestFrames + 2 * touched.count();
  plan.max_tasks = static_cast<uint32_t>(std::max<uint64_t>(kFewestTasks, most_alive));
  // On average half of the pages are there.
  plan.check_every = std::max(ops > kManyOps ? kFewestOpsBetween : 1,
                              ops * (touched.count() / 2) / kPagesCompared);
  return plan;
}

}  // namespace tools
