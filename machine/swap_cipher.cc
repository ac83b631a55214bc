#include "machine/swap_cipher.h"

#include <nettle/cbc.h>

#include <cstring>

#include "base/addr.h"
#include "base/check.h"
#include "base/prng.h"

namespace machine {
namespace {

void InitialVector(const aes256_ctx& key, uint64_t tweak, uint8_t* vector) {
  uint8_t number[AES_BLOCK_SIZE] = {};
  for (int i = 0; i < 8; ++i) number[i] = static_cast<uint8_t>(tweak >> 8 * i);
  aes256_encrypt(&key, AES_BLOCK_SIZE, vector, number);
}

}  // namespace

uint32_t AesSwapCipher::MakeKey() {
  base::Prng prng(seed_, "swap_key", keys_.size());
  uint8_t bytes[AES256_KEY_SIZE];
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(prng.Next() >> 56);
  auto schedule = std::make_unique<Schedule>();
  aes256_set_encrypt_key(&schedule->encrypt, bytes);
  aes256_set_decrypt_key(&schedule->decrypt, bytes);
  keys_.push_back(std::move(schedule));
  return static_cast<uint32_t>(keys_.size());
}

void AesSwapCipher::ForgetKey(uint32_t key) {
  Find(key);
  keys_[key - 1] = nullptr;
}

const AesSwapCipher::Schedule& AesSwapCipher::Find(uint32_t key) const {
  CHECK(key >= 1 && key <= keys_.size() && keys_[key - 1] != nullptr);
  return *keys_[key - 1];
}

void AesSwapCipher::Encrypt(uint32_t key, uint64_t tweak, const unsigned char* from,
                            unsigned char* to) {
  const Schedule& schedule = Find(key);
  uint8_t vector[AES_BLOCK_SIZE];
  InitialVector(schedule.encrypt, tweak, vector);
  cbc_encrypt(&schedule.encrypt, reinterpret_cast<nettle_cipher_func*>(&aes256_encrypt),
              AES_BLOCK_SIZE, vector, base::kPageSize, to, from);
}

void AesSwapCipher::Decrypt(uint32_t key, uint64_t tweak, const unsigned char* from,
                            unsigned char* to) const {
  const Schedule& schedule = Find(key);
  uint8_t vector[AES_BLOCK_SIZE];
  InitialVector(schedule.encrypt, tweak, vector);
  cbc_decrypt(&schedule.decrypt, reinterpret_cast<nettle_cipher_func*>(&aes256_decrypt),
              AES_BLOCK_SIZE, vector, base::kPageSize, to, from);
}

}  // namespace machine
