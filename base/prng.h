// base/prng.h: the one source of randomness. A seed feeds named sub-streams, so that removing a
//              draw from one stream leaves every other stream's draws alone (design D4).
//
// WHAT     xoshiro256** (Blackman and Vigna, public domain), seeded through SplitMix64. Below() is
//          exact: it rejects rather than taking a biased remainder.
// INVARIANTS  Two draws never stand in one argument list (their order would be the compiler's
//             choice); tidy checks.

#ifndef BASE_PRNG_H_
#define BASE_PRNG_H_

#include <cstdint>

#include "base/check.h"
#include "base/hash.h"

namespace base {

class Prng {
 public:
  // The stream called `name` of `seed`; `index` numbers streams of one name (one per operation,
  // say).
  constexpr Prng(uint64_t seed, const char* name, uint64_t index = 0)
      : Prng(StreamOf(seed, name), index) {}
  // The same, for who draws from many streams of one name.
  static constexpr uint64_t StreamOf(uint64_t seed, const char* name) {
    return Chain(seed, HashText(name));
  }
  constexpr Prng(uint64_t stream, uint64_t index) {
    uint64_t x = Chain(stream, index);
    for (uint64_t& word : state_) {
      x += 0x9e3779b97f4a7c15ULL;
      word = Mix64(x);
    }
    state_[0] |= 1;  // the all-zero state is the generator's only fixed point
  }

  constexpr uint64_t Next() {
    uint64_t result = Rotate(state_[1] * 5, 7) * 9;
    uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = Rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound). REQUIRES: bound > 0.
  constexpr uint64_t Below(uint64_t bound) {
    CHECK(bound > 0);
    if ((bound & (bound - 1)) == 0) return Next() & (bound - 1);
    // Draws from the last multiple of `bound` on are rejected. One division tells both.
    for (;;) {
      const uint64_t draw = Next();
      const uint64_t rest = draw % bound;
      if (draw - rest <= ~uint64_t{0} - bound) return rest;
    }
  }

  // True with probability numerator / denominator.
  constexpr bool Chance(uint64_t numerator, uint64_t denominator) {
    return Below(denominator) < numerator;
  }

 private:
  static constexpr uint64_t Rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
  uint64_t state_[4] = {};
};

}  // namespace base

#endif  // BASE_PRNG_H_
