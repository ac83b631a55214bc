// machine/swap_cipher.h: AES-256-CBC for swap, from Debian's nettle.
//
// WHAT     The initial vector of a page is its number, encrypted with the device's key. Keys come
//          from a seed, as everything random in a simulated machine does: runs repeat, secrets they
//          are not.
// SEE      uvm/swap.h SwapCipher; facts/uvm.md 1.12 "Encryption".

#ifndef MACHINE_SWAP_CIPHER_H_
#define MACHINE_SWAP_CIPHER_H_

#include <nettle/aes.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "uvm/swap.h"

namespace machine {

class AesSwapCipher final : public uvm::SwapCipher {
 public:
  explicit AesSwapCipher(uint64_t seed) : seed_(seed) {}

  uint32_t MakeKey() override;
  void ForgetKey(uint32_t key) override;
  void Encrypt(uint32_t key, uint64_t tweak, const unsigned char* from, unsigned char* to) override;
  void Decrypt(uint32_t key, uint64_t tweak, const unsigned char* from,
               unsigned char* to) const override;

 private:
  struct Schedule {
    aes256_ctx encrypt;
    aes256_ctx decrypt;
  };
  const Schedule& Find(uint32_t key) const;

  const uint64_t seed_;
  std::vector<std::unique_ptr<Schedule>> keys_;  // [key - 1]; null: forgotten
};

}  // namespace machine

#endif  // MACHINE_SWAP_CIPHER_H_
