#include "tools/import/region_map.h"

#include <algorithm>
#include <iterator>

namespace tools {

void RegionMap::Split(uint64_t address) {
  auto it = pieces_.upper_bound(address);
  if (it == pieces_.begin()) return;
  --it;
  if (it->first == address || it->second.end <= address) return;
  const Value tail = it->second;
  it->second.end = address;
  pieces_[address] = tail;
}

void RegionMap::Remove(uint64_t start, uint64_t end) {
  if (start >= end) return;
  Split(start);
  Split(end);
  pieces_.erase(pieces_.lower_bound(start), pieces_.lower_bound(end));
}

void RegionMap::Insert(uint64_t start, uint64_t end, const Attributes& attributes) {
  if (start >= end) return;
  Remove(start, end);
  pieces_[start] = {end, attributes};
}

void RegionMap::SetProt(uint64_t start, uint64_t end, base::Prot prot) {
  if (start >= end) return;
  Split(start);
  Split(end);
  const auto last = pieces_.lower_bound(end);
  for (auto it = pieces_.lower_bound(start); it != last; ++it) it->second.attributes.prot = prot;
}

void RegionMap::SetInherit(uint64_t start, uint64_t end, base::Inherit inherit) {
  if (start >= end) return;
  Split(start);
  Split(end);
  const auto last = pieces_.lower_bound(end);
  for (auto it = pieces_.lower_bound(start); it != last; ++it) {
    it->second.attributes.inherit = inherit;
  }
}

void RegionMap::Move(uint64_t from, uint64_t size, uint64_t to) {
  const std::vector<Piece> moved = Within(from, from + size);
  Remove(from, from + size);
  Remove(to, to + size);
  for (const Piece& piece : moved) {
    Insert(piece.start - from + to, piece.end - from + to, piece.attributes);
  }
}

const RegionMap::Attributes* RegionMap::Find(uint64_t address) const {
  auto it = pieces_.upper_bound(address);
  if (it == pieces_.begin()) return nullptr;
  --it;
  return address < it->second.end ? &it->second.attributes : nullptr;
}

std::vector<RegionMap::Piece> RegionMap::Within(uint64_t start, uint64_t end) const {
  std::vector<Piece> found;
  auto it = pieces_.upper_bound(start);
  if (it != pieces_.begin()) --it;
  for (; it != pieces_.end() && it->first < end; ++it) {
    const uint64_t low = std::max(start, it->first);
    const uint64_t high = std::min(end, it->second.end);
    if (low < high) found.push_back({low, high, it->second.attributes});
  }
  return found;
}

std::vector<RegionMap::Piece> RegionMap::Holes(uint64_t start, uint64_t end) const {
  std::vector<Piece> holes;
  for (const Piece& piece : Within(start, end)) {
    if (start < piece.start) holes.push_back({start, piece.start, {}});
    start = piece.end;
  }
  if (start < end) holes.push_back({start, end, {}});
  return holes;
}

uint64_t RegionMap::FirstHole(uint64_t start, uint64_t end) const {
  const std::vector<Piece> holes = Holes(start, end);
  return holes.empty() ? end : holes.front().start;
}

uint64_t RegionMap::FirstMapped(uint64_t start, uint64_t end) const {
  const std::vector<Piece> mapped = Within(start, end);
  return mapped.empty() ? end : mapped.front().start;
}

RegionMap RegionMap::Forked() const {
  RegionMap child;
  for (const auto& [start, value] : pieces_) {
    if (value.attributes.inherit == base::Inherit::kNone) continue;
    child.pieces_.emplace_hint(child.pieces_.end(), start, value);
  }
  return child;
}

}  // namespace tools
