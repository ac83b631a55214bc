#include "uvm/io.h"

#include "base/check.h"

namespace uvm {
namespace {

// The pages that [at, at + bytes) touches. False: the range wraps.
bool PagesOf(Vaddr at, uint64_t bytes, Range* out) {
  if (at.value() + bytes < at.value()) return false;
  const uint64_t rounded = base::RoundPage(at.Offset() + bytes);
  return rounded >= bytes && Range::FromSize(at.Trunc(), rounded, out);
}

}  // namespace

Result<void, MapError> SpaceIo::Io(Map* map, Uio* uio, Access access, uint32_t extract_flags) {
  if (uio->resid == 0) return {};
  const Vaddr start(uio->offset);
  if (start.value() + uio->resid < start.value()) return MapError::kIo;
  if (start >= map->max()) return {};
  uint64_t left = map->max() - start;
  if (left > uio->resid) left = uio->resid;
  uint64_t chunk = kMaxChunk;
  while (left > 0) {
    // A chunk spans at most `chunk` bytes of whole pages.
    uint64_t bytes = chunk - Vaddr(uio->offset).Offset();
    if (bytes > left) bytes = left;
    const Vaddr at(uio->offset);
    Range from;
    if (!PagesOf(at, bytes, &from)) return MapError::kIo;
    Result<Vaddr, MapError> window = MapChunk(map, from, extract_flags);
    if (!window.ok()) {
      // There may be room for less, or memory before the hole.
      const bool less_may_do = window.error() == MapError::kNoMemory ||
                               window.error() == MapError::kNoSpace ||
                               window.error() == MapError::kInvalidArgument;
      if (!less_may_do || chunk == base::kPageSize) return window.error();
      chunk /= 2;
      continue;
    }
    // What fails from here on is not tried again: the peer may have given bytes already that would
    // be missing then.
    const uint64_t before = uio->offset;
    Result<void, MapError> moved = CopyChunk(window.value() + at.Offset(), uio, bytes, access);
    left -= uio->offset - before;
    MUST(kernel_->map()->Unmap({window.value(), window.value() + from.size()}),
         "what was extracted is unmapped whole");
    if (!moved.ok()) return moved;
  }
  return {};
}

Result<Vaddr, MapError> SpaceIo::MapChunk(Map* map, Range from, uint32_t extract_flags) {
  Map* kernel_map = kernel_->map();
  const uint32_t flags =
      Map::kExtractContiguous | Map::kExtractFixProt | Map::kExtractTransient | extract_flags;
  const Vaddr window = TRY(map->Extract(from, kernel_map, kernel_map->min(), flags));
  kernel_->GrowTo(window + from.size());
  return window;
}

Result<void, MapError> SpaceIo::CopyChunk(Vaddr at, Uio* uio, uint64_t bytes, Access access) {
  void* memory = buffers_.Allocate(base::kPageSize);
  if (memory == nullptr) return MapError::kNoMemory;
  auto* buffer = static_cast<unsigned char*>(memory);
  Result<void, FaultError> moved;
  while (bytes > 0) {
    const uint64_t left = base::kPageSize - at.Offset();
    const uint64_t some = bytes < left ? bytes : left;
    if (access == Access::kWrite) moved = uio->peer->Move(buffer, some);
    if (moved.ok()) moved = kernel_->Copy(at, buffer, some, access);
    if (moved.ok() && access != Access::kWrite) moved = uio->peer->Move(buffer, some);
    if (!moved.ok()) break;
    uio->offset += some;
    uio->resid -= some;
    at = at + some;
    bytes -= some;
  }
  buffers_.Free(memory, base::kPageSize);
  if (!moved.ok()) return MapErrorOf(moved.error());
  return {};
}

Result<Vaddr, MapError> SpaceIo::MapLocked(Map* map, Vaddr at, uint64_t bytes, Access access,
                                           uint32_t extract_flags) {
  CHECK(bytes > 0);
  Map* kernel_map = kernel_->map();
  Range from;
  if (!PagesOf(at, bytes, &from)) return MapError::kOutOfRange;
  const Vaddr window = TRY(
      map->Extract(from, kernel_map, kernel_map->min(), Map::kExtractContiguous | extract_flags));
  const Range alias{window, window + from.size()};
  kernel_->GrowTo(alias.end);
  Result<void, MapError> wired = MapError::kProtection;
  // Nothing is accessible that cannot be read.
  if (kernel_map->CheckProt(alias, base::ProtFor(access) | base::kProtRead)) {
    const bool may = kernel_->pages()->MayWire(alias.pages());
    wired = may ? kernel_map->Pageable(alias, Wiring::kWire) : MapError::kNoMemory;
  }
  if (wired.ok()) return window + at.Offset();
  MUST(kernel_map->Unmap(alias), "what was extracted is unmapped whole");
  return wired.error();
}

void SpaceIo::UnmapLocked(Vaddr at, uint64_t bytes) {
  const Range alias{at.Trunc(), at.Trunc() + base::RoundPage(at.Offset() + bytes)};
  MUST(kernel_->map()->Unmap(alias), "what was extracted is unmapped whole");
}

}  // namespace uvm
