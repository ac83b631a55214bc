// base/pattern.h: which byte stands where. The contents of all synthesised memory, stated once for
// system and model.
//
// WHAT     Recorded traces hold no contents, so they are made up: the byte an operation stores at
//          an address is a pure function of (value, address), and the byte a file holds at an
//          offset one of (file key, offset). A value below 256 stores that byte everywhere, which
//          keeps hand-written traces readable (`write 0x2000 1 'B'`).
// SEE      traces/op.h for values, docs/internals/contents.md.

#ifndef BASE_PATTERN_H_
#define BASE_PATTERN_H_

#include <cstdint>

#include "base/hash.h"

namespace base {

// The byte that a store of `value` leaves at `address`.
constexpr unsigned char StoredByte(uint64_t value, uint64_t address) {
  if (value < 256) return static_cast<unsigned char>(value);
  // One mixing gives eight bytes, so that runs of a store cost little.
  return static_cast<unsigned char>(Mix64(value ^ (address >> 3) * 0x9e3779b97f4a7c15ULL) >>
                                    ((address & 7) * 8));
}

// The byte at `offset` of the file whose base name hashes to `file_key`.
constexpr unsigned char FileByte(uint64_t file_key, uint64_t offset) {
  return StoredByte(file_key | uint64_t{1} << 63, offset);
}

// Little-endian store that needs no alignment.
constexpr void StoreLe64(uint64_t word, unsigned char* out) {
  if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && !__builtin_is_constant_evaluated()) {
    __builtin_memcpy(out, &word, sizeof word);
    return;
  }
  for (int i = 0; i < 8; ++i) out[i] = static_cast<unsigned char>(word >> (8 * i));
}

// Fills out[0..size) with the bytes of a store of `value` at `address`.
constexpr void FillStored(uint64_t value, uint64_t address, unsigned char* out, uint64_t size) {
  if (value < 256) {
    for (uint64_t i = 0; i < size; ++i) out[i] = static_cast<unsigned char>(value);
    return;
  }
  uint64_t i = 0;
  while (i < size) {
    uint64_t word = Mix64(value ^ ((address + i) >> 3) * 0x9e3779b97f4a7c15ULL);
    if (((address + i) & 7) == 0 && size - i >= 8) {
      // Whole pages are filled here all the time.
      StoreLe64(word, out + i);
      i += 8;
      continue;
    }
    do {
      out[i] = static_cast<unsigned char>(word >> (((address + i) & 7) * 8));
      ++i;
    } while (i < size && ((address + i) & 7) != 0);
  }
}

constexpr void FillFile(uint64_t file_key, uint64_t offset, unsigned char* out, uint64_t size) {
  FillStored(file_key | uint64_t{1} << 63, offset, out, size);
}

}  // namespace base

#endif  // BASE_PATTERN_H_
