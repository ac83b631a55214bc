#include "proptests/engine/op_pairs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "traces/codec.h"

namespace proptests {
namespace {

using traces::OpKind;

bool IsOrphan(OpKind kind) {
  return kind == OpKind::kSpace || kind == OpKind::kTask || kind == OpKind::kTask32;
}
bool IsBirth(OpKind kind) {
  return IsOrphan(kind) || kind == OpKind::kFork || kind == OpKind::kTaskCreate;
}
bool IsDeath(OpKind kind) { return kind == OpKind::kExit || kind == OpKind::kTaskTerminate; }

// About all that a task has mapped.
bool IsOfWholeTask(OpKind kind) {
  return kind == OpKind::kFork || kind == OpKind::kTaskCreate || kind == OpKind::kExec ||
         IsDeath(kind) || kind == OpKind::kMlockall || kind == OpKind::kMunlockall ||
         traces::IsThreadCall(kind);
}

bool AnswersAnAddress(OpKind kind) {
  return kind == OpKind::kMmap || kind == OpKind::kVmAllocate || kind == OpKind::kVmMap ||
         kind == OpKind::kShmat;
}

}  // namespace

void OpPairs::Touch(Kind* last) {
  met_[*last] = true;
  if (succeeded_) *last = kind_;
}

void OpPairs::TouchRange(uint32_t task, uint64_t at, uint64_t size) {
  const auto found = tasks_.find(task);
  if (found == tasks_.end()) return;
  TaskPages& space = found->second;
  const uint64_t first = at >> base::kPageShift;
  const uint64_t bytes = std::max<uint64_t>(size, 1);
  if (at + bytes - 1 < at) return;
  const uint64_t last = (at + bytes - 1) >> base::kPageShift;
  const auto touch = [&](uint64_t page) {
    Touch(&space.pages.try_emplace(page, space.whole).first->second);
  };
  for (uint64_t page = first; page <= last && page - first < kMostPages; ++page) touch(page);
  if (last - first >= kMostPages) touch(last);
}

void OpPairs::TouchTask(uint32_t task) {
  const auto found = tasks_.find(task);
  if (found == tasks_.end()) return;
  TaskPages& space = found->second;
  met_[space.whole] = true;
  for (const auto& [page, kind] : space.pages) met_[kind] = true;
  if (!succeeded_) return;
  space.pages.clear();
  space.whole = kind_;
}

void OpPairs::TouchPlaces(const traces::ResolvedOp& op, const traces::Outcome& seen) {
  const uint32_t task = traces::ActsOn(op);
  const bool moved = AnswersAnAddress(op.kind) && seen.ok();
  TouchRange(task, moved ? seen.value : op.at, op.size);
  switch (op.kind) {
    case OpKind::kMremap:
      if (seen.ok()) TouchRange(task, seen.value, op.new_size);
      break;
    case OpKind::kVmCopy:
      TouchRange(task, op.to, op.size);
      break;
    case OpKind::kVmRead:
      if (seen.ok()) TouchRange(op.task, seen.value, op.size);
      break;
    case OpKind::kVmWrite:
    case OpKind::kPeek:
    case OpKind::kPoke:
      TouchRange(op.task, op.to, op.size);
      break;
    default:
      break;
  }
}

void OpPairs::Note(const traces::ResolvedOp& op, const traces::Outcome& seen) {
  if (static_cast<int>(op.kind) >= traces::kProgramKindCount) return;
  kind_ = static_cast<Kind>(op.kind);
  succeeded_ = seen.ok();
  met_ = {};
  if (traces::IsSwapCall(op.kind)) {
    Touch(&swap_);
  } else if (IsOfWholeTask(op.kind)) {
    TouchTask(traces::ActsOn(op));
  } else if (traces::TakesPlace(op.kind)) {
    TouchPlaces(op, seen);
  }
  if (op.file_key != 0) Touch(&names_.try_emplace(op.file_key, kNobody).first->second);
  if (succeeded_ && IsBirth(op.kind)) tasks_[op.child].whole = kind_;
  if (succeeded_ && IsDeath(op.kind)) tasks_.erase(traces::ActsOn(op));
  for (size_t first = 0; first < kNobody; ++first) {
    if (met_[first]) ++counts_[PairNumber(static_cast<OpKind>(first), op.kind)];
  }
}

void AddPairs(const PairCounts& from, PairCounts* to) {
  if (from.empty()) return;
  to->resize(kOpPairCount);
  for (size_t i = 0; i < kOpPairCount; ++i) (*to)[i] += from[i];
}

std::string PairName(size_t number) {
  return absl::StrCat(traces::OpName(static_cast<OpKind>(number / traces::kProgramKindCount)),
                      " then ",
                      traces::OpName(static_cast<OpKind>(number % traces::kProgramKindCount)));
}

namespace {

enum class About : uint8_t { kPlaces, kNames, kSwap, kNothing };
About AboutOf(OpKind kind) {
  if (IsOrphan(kind)) return About::kNothing;
  if (traces::IsSwapCall(kind)) return About::kSwap;
  return traces::NamesMemory(kind) ? About::kNames : About::kPlaces;
}

// Calls about places that take a name as well.
bool TakesName(OpKind kind) {
  return kind == OpKind::kExecMap || kind == OpKind::kMmap || kind == OpKind::kPread ||
         kind == OpKind::kPwrite || kind == OpKind::kShmat || traces::NamesMemory(kind);
}

}  // namespace

bool CannotFollow(OpKind first, OpKind then) {
  if (IsDeath(first) || IsOrphan(then)) return true;
  const About a = IsOrphan(first) ? About::kPlaces : AboutOf(first);
  const About b = AboutOf(then);
  if (a == About::kSwap || b == About::kSwap) return a != b;
  if (a == About::kPlaces && b == About::kPlaces) return false;
  return !(TakesName(first) && TakesName(then));
}

std::string PairsText(const PairCounts& counts) {
  if (counts.empty()) return "";
  uint64_t met = 0, possible = 0;
  for (size_t i = 0; i < kOpPairCount; ++i) {
    const auto first = static_cast<OpKind>(i / traces::kProgramKindCount);
    const auto then = static_cast<OpKind>(i % traces::kProgramKindCount);
    if (CannotFollow(first, then)) continue;
    ++possible;
    met += counts[i] != 0 ? 1 : 0;
  }
  return absl::StrCat("  pairs   ", met, " of ", possible,
                      " ordered pairs of operations on one object\n");
}

}  // namespace proptests
