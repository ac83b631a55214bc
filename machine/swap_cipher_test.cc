#include "machine/swap_cipher.h"

#include <cstring>

#include "base/addr.h"
#include "gtest/gtest.h"

namespace machine {
namespace {

struct PageBytes {
  explicit PageBytes(int letter = 0) { std::memset(bytes, letter, sizeof bytes); }
  bool operator==(const PageBytes& other) const {
    return std::memcmp(bytes, other.bytes, sizeof bytes) == 0;
  }
  unsigned char bytes[base::kPageSize];
};

TEST(SwapCipherTest, ComesBackOnlyWithTheSameKeyAndNumber) {
  AesSwapCipher cipher(1);
  const uint32_t key = cipher.MakeKey();
  const uint32_t other = cipher.MakeKey();
  ASSERT_NE(key, 0u);
  ASSERT_NE(other, key);
  const PageBytes plain('a');
  PageBytes secret;
  PageBytes back;
  cipher.Encrypt(key, 7, plain.bytes, secret.bytes);
  EXPECT_FALSE(secret == plain);
  cipher.Decrypt(key, 7, secret.bytes, back.bytes);
  EXPECT_TRUE(back == plain);
  cipher.Decrypt(key, 8, secret.bytes, back.bytes);
  EXPECT_FALSE(back == plain);
  cipher.Decrypt(other, 7, secret.bytes, back.bytes);
  EXPECT_FALSE(back == plain);
  cipher.Decrypt(key, 7, secret.bytes, secret.bytes);
  EXPECT_TRUE(secret == plain) << "in place";
}

TEST(SwapCipherTest, EqualPagesLookDifferent) {
  AesSwapCipher cipher(1);
  const uint32_t key = cipher.MakeKey();
  const PageBytes plain;
  PageBytes one;
  PageBytes two;
  cipher.Encrypt(key, 1, plain.bytes, one.bytes);
  cipher.Encrypt(key, 2, plain.bytes, two.bytes);
  EXPECT_FALSE(one == two);
  EXPECT_NE(std::memcmp(one.bytes, one.bytes + 16, 16), 0) << "nor equal blocks of a page";
}

TEST(SwapCipherTest, TheSameSeedMeansTheSameKeys) {
  AesSwapCipher a(5);
  AesSwapCipher b(5);
  AesSwapCipher c(6);
  const PageBytes plain('x');
  PageBytes of_a;
  PageBytes of_b;
  PageBytes of_c;
  a.Encrypt(a.MakeKey(), 3, plain.bytes, of_a.bytes);
  b.Encrypt(b.MakeKey(), 3, plain.bytes, of_b.bytes);
  c.Encrypt(c.MakeKey(), 3, plain.bytes, of_c.bytes);
  EXPECT_TRUE(of_a == of_b);
  EXPECT_FALSE(of_a == of_c);
}

TEST(SwapCipherDeathTest, AForgottenKeyIsGone) {
  AesSwapCipher cipher(1);
  const uint32_t key = cipher.MakeKey();
  cipher.ForgetKey(key);
  PageBytes page;
  EXPECT_DEATH(cipher.Encrypt(key, 1, page.bytes, page.bytes), "keys_");
  EXPECT_NE(cipher.MakeKey(), key);
}

}  // namespace
}  // namespace machine
