// uvm/testing/fake_cipher.h: a cipher for tests that is easily seen to have been used.
//
// WHAT     Adds to each byte a number made of key, tweak and position. Every key, every slot and
//          every byte differ; nothing is secret.

#ifndef UVM_TESTING_FAKE_CIPHER_H_
#define UVM_TESTING_FAKE_CIPHER_H_

#include <cstdint>

#include "base/addr.h"
#include "base/hash.h"
#include "uvm/swap.h"

namespace uvm::testing {

class FakeCipher final : public SwapCipher {
 public:
  uint32_t MakeKey() override {
    if (refuse_) return 0;
    ++live_;
    return ++last_;
  }
  void ForgetKey(uint32_t) override { --live_; }
  void Encrypt(uint32_t key, uint64_t tweak, const unsigned char* from,
               unsigned char* to) override {
    for (uint64_t i = 0; i < base::kPageSize; ++i)
      to[i] = static_cast<unsigned char>(from[i] + Pad(key, tweak, i));
  }
  void Decrypt(uint32_t key, uint64_t tweak, const unsigned char* from,
               unsigned char* to) const override {
    for (uint64_t i = 0; i < base::kPageSize; ++i)
      to[i] = static_cast<unsigned char>(from[i] - Pad(key, tweak, i));
  }
  // From now on there are no keys, or there are again.
  void Refuse() { refuse_ = true; }
  void Grant() { refuse_ = false; }
  // Keys that were made and not forgotten.
  int live() const { return live_; }

 private:
  static uint64_t Pad(uint32_t key, uint64_t tweak, uint64_t i) {
    return base::Chain(key * 1000003u + tweak, i / 8) >> (i % 8 * 8);
  }
  uint32_t last_ = 0;
  int live_ = 0;
  bool refuse_ = false;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_FAKE_CIPHER_H_
