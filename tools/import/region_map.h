// tools/import/region_map.h: what a recorded process has mapped, as far as its calls tell.
//
// WHAT     The importer has to know what lies where: to tell a touch inside a region from one
// outside, to find the part
//          of a range that Linux changed before it met a hole, and to see which regions nobody
//          mapped by a call.
// INVARIANTS  Pieces are disjoint, not empty, page aligned and ordered by address. Neighbours are
// not merged.

#ifndef TOOLS_IMPORT_REGION_MAP_H_
#define TOOLS_IMPORT_REGION_MAP_H_

#include <cstdint>
#include <map>
#include <vector>

#include "base/prot.h"

namespace tools {

class RegionMap {
 public:
  struct Attributes {
    base::Prot prot;
    bool shared = false;
    base::Inherit inherit = base::Inherit::kCopy;
  };
  struct Piece {
    uint64_t start;
    uint64_t end;
    Attributes attributes;
  };

  // All ranges are [start, end), page aligned, start <= end.
  void Insert(uint64_t start, uint64_t end,
              const Attributes& attributes);  // replaces what is there
  void Remove(uint64_t start, uint64_t end);
  void SetProt(uint64_t start, uint64_t end, base::Prot prot);
  void SetInherit(uint64_t start, uint64_t end, base::Inherit inherit);
  // Moves what lies in [from, from + size) to `to`, replacing what is there; holes stay holes.
  void Move(uint64_t from, uint64_t size, uint64_t to);
  void Clear() { pieces_.clear(); }

  // The piece that contains `address`, or null.
  const Attributes* Find(uint64_t address) const;
  // The first address of [start, end) that is not mapped, or `end`.
  uint64_t FirstHole(uint64_t start, uint64_t end) const;
  // The first mapped address of [start, end), or `end`.
  uint64_t FirstMapped(uint64_t start, uint64_t end) const;
  // The parts of pieces that lie in [start, end).
  std::vector<Piece> Within(uint64_t start, uint64_t end) const;
  // The parts of [start, end) that are not mapped; attributes are of no meaning.
  std::vector<Piece> Holes(uint64_t start, uint64_t end) const;
  // What a child has after fork.
  RegionMap Forked() const;
  bool empty() const { return pieces_.empty(); }

 private:
  struct Value {
    uint64_t end;
    Attributes attributes;
  };
  // Makes `address` a boundary between pieces, if it lies inside one.
  void Split(uint64_t address);

  std::map<uint64_t, Value> pieces_;  // by start
};

}  // namespace tools

#endif  // TOOLS_IMPORT_REGION_MAP_H_
