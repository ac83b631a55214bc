// base/hash.h: the hashes that may reach a trace or a hash chain. The same on every compiler, word
//              size and byte order of use; never std::hash.
//
// WHAT     Mix64 scrambles one word (the finaliser of MurmurHash3, Appleby, public domain
//          constants). HashBytes folds a byte string eight little-endian bytes at a time. Chain
//          extends a running hash by a word.

#ifndef BASE_HASH_H_
#define BASE_HASH_H_

#include <cstddef>
#include <cstdint>

namespace base {

constexpr uint64_t Mix64(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  x ^= x >> 33;
  return x;
}

constexpr uint64_t Chain(uint64_t hash, uint64_t word) {
  return Mix64(hash * 0x9e3779b97f4a7c15ULL + word + 0x632be59bd9b4e019ULL);
}

// Little-endian load that needs no alignment.
constexpr uint64_t LoadLe64(const unsigned char* p) {
  uint64_t word = 0;
  for (int i = 7; i >= 0; --i) word = word << 8 | p[i];
  return word;
}

constexpr uint64_t HashBytes(const unsigned char* bytes, size_t size, uint64_t seed = 0) {
  uint64_t hash = seed ^ (size * 0x9e3779b97f4a7c15ULL);
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    hash = (hash ^ LoadLe64(bytes + i)) * 0x9fb21c651e98df25ULL;
    hash ^= hash >> 32;
  }
  uint64_t tail = 0;
  for (size_t shift = 0; i < size; ++i, shift += 8) tail |= uint64_t{bytes[i]} << shift;
  return Mix64(hash ^ Mix64(tail + 1));
}

// The text variant; `text` ends with NUL.
constexpr uint64_t HashText(const char* text) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (; *text != '\0'; ++text)
    hash = (hash ^ static_cast<unsigned char>(*text)) * 0x100000001b3ULL;
  return Mix64(hash);
}

}  // namespace base

#endif  // BASE_HASH_H_
