// Encryption of swap: the knob may change while slots are in use (facts/uvm.md 5.A, 26).

#include <cstring>
#include <string>

#include "base/addr.h"
#include "gtest/gtest.h"
#include "uvm/swap.h"
#include "uvm/swap_memory.h"
#include "uvm/testing/fake_cipher.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

using Encryption = SwapStore::Encryption;

class SwapEncryptionTest : public ::testing::Test {
 protected:
  SwapEncryptionTest() {
    store_.SetCipher(&cipher_);
    EXPECT_TRUE(store_.On(&device_, 0).ok());
    EXPECT_TRUE(store_.On(&slow_, 1).ok());
    uint32_t count = 8;
    EXPECT_EQ(store_.Allocate(&count, SwapStore::LessOk::kNo), 1u);
    count = 8;
    EXPECT_EQ(store_.Allocate(&count, SwapStore::LessOk::kNo), 9u);
    for (int i = 0; i < 4; ++i) page_[i] = pages_.AllocateForAnon(reinterpret_cast<Anon*>(&anon_));
  }
  static void Note(SwapTransfer* transfer) { ++*static_cast<int*>(transfer->context); }
  SwapResult Write(SwapSlot slot, char letter, uint32_t count = 1) {
    for (Page* page : page_) std::memset(pages_.Contents(page), letter, base::kPageSize);
    SwapTransfer transfer;
    int over = 0;
    transfer.done = Note;
    transfer.context = &over;
    store_.StartWrite(slot, page_, count, &transfer);
    while (over == 0) {
      threads_.ParkUntil(store_.NextDue());
      store_.Poll(threads_.Now());
    }
    for (Page* page : page_) EXPECT_EQ(*pages_.Contents(page), letter) << "pages are bounced";
    return transfer.result;
  }
  char Read(SwapSlot slot) {
    if (store_.Read(page_[0], slot) != SwapResult::kOk) return '!';
    const unsigned char* bytes = pages_.Contents(page_[0]);
    const bool even = std::memcmp(bytes, bytes + 1, base::kPageSize - 1) == 0;
    unsigned char seen[base::kPageSize];
    EXPECT_TRUE(store_.DebugRead(slot, seen));
    EXPECT_EQ(std::memcmp(bytes, seen, base::kPageSize), 0);
    return even ? static_cast<char>(bytes[0]) : '#';
  }
  // Whether the device itself holds the letter.
  bool Plain(uint64_t block, char letter) {
    const unsigned char* bytes = device_.DebugBytes(block);
    return *bytes == letter && std::memcmp(bytes, bytes + 1, base::kPageSize - 1) == 0;
  }

  testing::NaivePmap pmap_{8};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  testing::FakeCipher cipher_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  SwapStore store_{&core_};
  SwapMemory device_{&threads_, &memory_, base::PageCount(8), {}};
  SwapMemory slow_{&threads_, &memory_, base::PageCount(8), {50, 0}};
  Page* page_[4] = {};
  uint64_t anon_ = 0;
};

TEST_F(SwapEncryptionTest, TheKnobChangesWhileSlotsAreInUse) {
  EXPECT_EQ(Write(1, 'a'), SwapResult::kOk);
  EXPECT_TRUE(store_.SetEncryption(Encryption::kOn));
  EXPECT_EQ(Write(2, 'b', 2), SwapResult::kOk);
  EXPECT_TRUE(Plain(0, 'a'));
  EXPECT_FALSE(Plain(1, 'b') || Plain(2, 'b'));
  EXPECT_NE(std::memcmp(device_.DebugBytes(1), device_.DebugBytes(2), base::kPageSize), 0)
      << "equal pages look different in different slots";
  EXPECT_FALSE(store_.DebugEncrypted(1));
  EXPECT_TRUE(store_.DebugEncrypted(2));
  EXPECT_EQ(Read(1), 'a');
  EXPECT_EQ(Read(2), 'b');
  EXPECT_TRUE(store_.SetEncryption(Encryption::kOff));
  EXPECT_EQ(Read(2), 'b');
  EXPECT_EQ(Read(3), 'b');
  EXPECT_EQ(Write(2, 'c'), SwapResult::kOk);
  EXPECT_TRUE(Plain(1, 'c'));
  EXPECT_EQ(Read(2), 'c');
  EXPECT_EQ(Read(1), 'a');
}

TEST_F(SwapEncryptionTest, AKeyForEachDeviceMadeWhenItIsNeeded) {
  EXPECT_TRUE(store_.SetEncryption(Encryption::kOn));
  EXPECT_EQ(cipher_.live(), 0);
  EXPECT_EQ(Write(1, 'a'), SwapResult::kOk);
  EXPECT_EQ(cipher_.live(), 1);
  EXPECT_EQ(Write(9, 'a'), SwapResult::kOk);
  EXPECT_EQ(cipher_.live(), 2);
  EXPECT_NE(std::memcmp(device_.DebugBytes(0), slow_.DebugBytes(0), base::kPageSize), 0);
  EXPECT_EQ(Read(9), 'a');
  store_.Free(1, 8);
  EXPECT_TRUE(store_.BeginOff(&device_).ok());
  EXPECT_TRUE(store_.EndOff(&device_));
  EXPECT_EQ(cipher_.live(), 1);
  EXPECT_EQ(Read(9), 'a');
}

TEST_F(SwapEncryptionTest, WithoutKeyOrMemoryNothingIsWritten) {
  EXPECT_TRUE(store_.SetEncryption(Encryption::kOn));
  cipher_.Refuse();
  EXPECT_EQ(Write(1, 'a'), SwapResult::kNoMemory);
  EXPECT_EQ(store_.DebugUnderWay(), 0u);
  cipher_.Grant();
  memory_.FailAfter(0);
  EXPECT_EQ(Write(1, 'a'), SwapResult::kNoMemory);
  EXPECT_EQ(Read(1), '!');
  memory_.NeverFail();
  EXPECT_EQ(Write(1, 'a'), SwapResult::kOk);
  memory_.FailAfter(0);  // what was made for the first write serves all that follow
  EXPECT_EQ(Write(1, 'b'), SwapResult::kOk);
  EXPECT_EQ(Write(9, 'c', 4), SwapResult::kOk);
  EXPECT_EQ(Read(1), 'b');
  EXPECT_EQ(Read(12), 'c');
}

TEST_F(SwapEncryptionTest, AFailedWriteLeavesWhatWasThere) {
  EXPECT_EQ(Write(1, 'a'), SwapResult::kOk);
  EXPECT_TRUE(store_.SetEncryption(Encryption::kOn));
  cipher_.Refuse();
  EXPECT_EQ(Write(1, 'b'), SwapResult::kNoMemory);
  EXPECT_EQ(Read(1), 'a') << "nothing was moved";
}

TEST_F(SwapEncryptionTest, WithoutACipherItCannotBeTurnedOn) {
  SwapStore plain(&core_);
  EXPECT_FALSE(plain.SetEncryption(Encryption::kOn));
  EXPECT_TRUE(plain.SetEncryption(Encryption::kOff));
}

}  // namespace
}  // namespace uvm
