// uvm/io.h: the server reads and writes the memory of a space that is not its own.
//
// WHAT     Both ways go through the kernel map: the range is extracted there (Map::Extract), so
//          that it shows the same pages, and unmapped again.
//            Io          what debuggers do (ptrace, /proc): chunk by chunk, copied
//            MapLocked   what device drivers do: the range stays mapped and wired until UnmapLocked
//          While a range is locked its pages stay where they are, whatever its owner does
//          meanwhile: the kernel's mapping refers to them by itself.
// LOCKS    Called with nothing held.
// SEE      NetBSD uvm_io(), uvm_vslock(), vmapbuf(); facts/uvm.md 1.15, 2.7.

#ifndef UVM_IO_H_
#define UVM_IO_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/km.h"
#include "uvm/map.h"
#include "uvm/uio.h"

namespace uvm {

class SpaceIo {
 public:
  // Most that is mapped at a time, bytes (NetBSD: MAXPHYS).
  static constexpr uint64_t kMaxChunk = 16 * base::kPageSize;

  explicit SpaceIo(KernelMemory* kernel) : kernel_(kernel), buffers_(kernel->core()->memory) {}

  // NetBSD: uvm_io(). Moves uio->resid bytes at address uio->offset of `map`: to the peer (kRead)
  // or from it (kWrite). The rights that count are the range's maximum; with Map::kExtractProtAll
  // in `extract_flags` all is permitted. A range that begins beyond the map's end is at its end:
  // success, nothing moved; one that reaches beyond it is cut there, one with a hole ends at the
  // hole. Errors, after part may have been moved: kIo (the range wraps, or a page's store failed),
  // kInvalidArgument (a hole), kNoSpace, kNoMemory, kProtection, kHole
  // (nothing behind the page, or the peer's memory is not there), kTooBig (past the object's end).
  Result<void, MapError> Io(Map* map, Uio* uio, Access access, uint32_t extract_flags);

  // NetBSD: uvm_vslock() and vmapbuf(). Maps [at, at + bytes) of `map` at kernel addresses, wired.
  // Returns the address of byte `at`. kProtection: the range does not permit `access`. Errors:
  // kInvalidArgument (a hole), kNoSpace, kNoMemory (also where so much may not be wired), and those
  // of wiring (Map::Pageable).
  // `extract_flags`: Map::kExtractTransient when the owner does not run before UnmapLocked.
  Result<Vaddr, MapError> MapLocked(Map* map, Vaddr at, uint64_t bytes, Access access,
                                    uint32_t extract_flags = 0);
  // NetBSD: uvm_vsunlock(), vunmapbuf(). `at`, `bytes`: as MapLocked returned and was given.
  void UnmapLocked(Vaddr at, uint64_t bytes);

 private:
  // Where `from` of the map appears in the kernel's.
  Result<Vaddr, MapError> MapChunk(Map* map, Range from, uint32_t extract_flags);
  Result<void, MapError> CopyChunk(Vaddr at, Uio* uio, uint64_t bytes, Access access);

  KernelMemory* const kernel_;
  base::ArrayPool buffers_;
};

}  // namespace uvm

#endif  // UVM_IO_H_
