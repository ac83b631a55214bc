#include "conform/uvm_search.h"

#include <algorithm>
#include <vector>

namespace conform {

namespace {

// NetBSD's flags of mmap and mremap.
constexpr uint64_t kFixed = 0x10;
constexpr int kAlignShift = 24;

uint64_t Down(uint64_t va, uint64_t align) { return align == 0 ? va : va & ~(align - 1); }
uint64_t Up(uint64_t va, uint64_t align) { return align == 0 ? va : Down(va + align - 1, align); }

// Holes in ascending order.
struct Hole {
  uint64_t start, end;
};
std::vector<Hole> Holes(const UvmSequence& sequence, const UvmPicture::Entries& entries) {
  std::vector<Hole> holes;
  uint64_t at = sequence.start;
  for (const auto& [start, e] : entries) {
    if (start > at) holes.push_back({at, start});
    at = e.end;
  }
  if (at < sequence.end) holes.push_back({at, sequence.end});
  return holes;
}

uint64_t FirstMapping(const UvmSequence& sequence, const UvmPicture::Entries& entries) {
  return entries.empty() ? sequence.end : entries.begin()->first;
}

// Which defect changes the answer of a top-down search, if one does.
const char* DefectOf(const UvmSequence& sequence, const UvmPicture::Entries& entries,
                     const UvmSearch& search) {
  if (search.hint == sequence.end) return "N7";
  const std::optional<uint64_t> nearest = NearestFree(sequence, entries, search);
  const uint64_t first = FirstMapping(sequence, entries);
  return nearest.has_value() && *nearest < first && search.hint >= first ? "N8" : nullptr;
}

// How the operation searches, one try after the other; empty where it does not.
std::vector<UvmSearch> SearchesOf(const UvmSequence& sequence, const UvmOp& op) {
  const uint64_t exponent = op.flags >> kAlignShift;
  const uint64_t align = exponent == 0 || exponent >= 64 ? 0 : uint64_t{1} << exponent;
  if ((op.flags & kFixed) != 0) return {};
  if (op.call == UvmCall::kMremap || op.call == UvmCall::kSysMremap) {
    const bool raw = op.call == UvmCall::kSysMremap;
    const uint64_t bytes = raw ? Up(op.target_size, kUvmPageBytes) : op.target_size * kUvmPageBytes;
    return {{.hint = op.target == 0 ? sequence.end : op.target, .bytes = bytes, .align = align}};
  }
  if (op.call != UvmCall::kSysMmap) return {};
  const uint64_t bytes = Up(op.bytes + op.offset % kUvmPageBytes, kUvmPageBytes);
  if (bytes == 0 || bytes > sequence.end - sequence.start) return {};
  std::vector<UvmSearch> searches;
  const uint64_t usual = sequence.end - bytes;
  const uint64_t hint = Up(op.start, kUvmPageBytes);
  if (op.start != 0) {
    searches.push_back({.hint = std::max(hint, sequence.start), .bytes = bytes, .align = align});
  }
  searches.push_back({.hint = usual, .bytes = bytes, .align = align});
  return searches;
}

}  // namespace

std::optional<uint64_t> NearestFree(const UvmSequence& sequence, const UvmPicture::Entries& entries,
                                    const UvmSearch& search) {
  if (search.hint > sequence.end || search.bytes == 0) return std::nullopt;
  const uint64_t hint = std::max(search.hint, sequence.start);
  const std::vector<Hole> holes = Holes(sequence, entries);
  const auto fits = [&](const Hole& hole, uint64_t at) {
    return at >= hole.start && at <= hole.end && hole.end - at >= search.bytes;
  };
  if (!sequence.topdown) {
    for (const Hole& hole : holes) {
      const uint64_t at = Up(std::max(hint, hole.start), search.align);
      if (fits(hole, at)) return at;
    }
    return std::nullopt;
  }
  for (auto hole = holes.rbegin(); hole != holes.rend(); ++hole) {
    if (hole->end - hole->start < search.bytes) continue;
    const uint64_t at = Down(std::min(hint, hole->end - search.bytes), search.align);
    if (fits(*hole, at)) return at;
  }
  return std::nullopt;
}

const char* UvmSearchDefect(const UvmSequence& sequence, const UvmPicture::Entries& entries,
                            const UvmOp& op, const UvmResult& recorded) {
  if (!sequence.topdown || (recorded.error != 0 && recorded.error != kEnomem)) return nullptr;
  // Remapped in place.
  if (op.call != UvmCall::kSysMmap && recorded.error == 0 && recorded.value == op.start) {
    return nullptr;
  }
  for (const UvmSearch& search : SearchesOf(sequence, op)) {
    const std::optional<uint64_t> nearest = NearestFree(sequence, entries, search);
    const uint64_t answer = Down(recorded.value, kUvmPageBytes);
    if (recorded.error == 0 && nearest == answer) return nullptr;
    if (const char* defect = DefectOf(sequence, entries, search)) return defect;
    if (nearest.has_value()) return nullptr;
  }
  return nullptr;
}

UvmOp UvmPlaced(const UvmOp& op, const UvmResult& recorded) {
  UvmOp placed = op;
  switch (op.call) {
    case UvmCall::kMap:
      placed.start = recorded.value;
      placed.flags |= UvmFlag('F');
      break;
    case UvmCall::kSysMmap:
      placed.start = recorded.value;
      placed.flags |= kFixed;
      break;
    case UvmCall::kMremap:
    case UvmCall::kSysMremap:
      placed.target = recorded.value;
      placed.flags |= kFixed;
      break;
    default:
      break;
  }
  return placed;
}

}  // namespace conform
