// uvm/bits.h: sets of small numbers, a bit each in words of 64.
//
// LOCKS    None of their own.

#ifndef UVM_BITS_H_
#define UVM_BITS_H_

#include <cstdint>

namespace uvm {

inline constexpr uint64_t kBitsPerWord = 64;

// Words for `count` bits.
constexpr uint64_t WordsFor(uint64_t count) { return (count + kBitsPerWord - 1) / kBitsPerWord; }

inline bool Bit(const uint64_t* words, uint64_t i) {
  return (words[i / kBitsPerWord] >> i % kBitsPerWord & 1) != 0;
}
inline void SetBit(uint64_t* words, uint64_t i) {
  words[i / kBitsPerWord] |= uint64_t{1} << i % kBitsPerWord;
}
inline void ClearBit(uint64_t* words, uint64_t i) {
  words[i / kBitsPerWord] &= ~(uint64_t{1} << i % kBitsPerWord);
}
// `value`: 0 or 1.
inline void PutBit(uint64_t* words, uint64_t i, uint64_t value) {
  words[i / kBitsPerWord] =
      (words[i / kBitsPerWord] & ~(uint64_t{1} << i % kBitsPerWord)) | value << i % kBitsPerWord;
}

}  // namespace uvm

#endif  // UVM_BITS_H_
