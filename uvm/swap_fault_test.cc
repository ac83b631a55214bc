// Errors in front of a swap device, and what the store makes of them.

#include "uvm/swap_fault.h"

#include <cstring>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/text_sink.h"
#include "gtest/gtest.h"
#include "uvm/swap.h"
#include "uvm/swap_invariants.h"
#include "uvm/swap_memory.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

using Kind = SwapFault::Kind;

class SwapFaultTest : public ::testing::Test {
 protected:
  SwapFaultTest() {
    EXPECT_TRUE(store_.On(&device_, 0).ok());
    uint32_t count = 16;
    EXPECT_EQ(store_.Allocate(&count, SwapStore::LessOk::kNo), 1u);
  }
  ~SwapFaultTest() {
    char buffer[200];
    base::TextSink text(buffer, sizeof buffer);
    EXPECT_TRUE(SwapAccounting(store_, &text)) << text.text();
    EXPECT_EQ(store_.DebugUnderWay(), 0u);
  }
  static void Note(SwapTransfer* transfer) { ++*static_cast<int*>(transfer->context); }
  // Fills slots from `first` on with one letter each. True: the device says that it did.
  bool Write(SwapSlot first, const std::string& letters) {
    std::vector<Page*> pages;
    for (char letter : letters) {
      pages.push_back(pages_.AllocateForAnon(reinterpret_cast<Anon*>(&anon_)));
      std::memset(pages_.Contents(pages.back()), letter, base::kPageSize);
    }
    SwapTransfer transfer;
    int over = 0;
    transfer.done = Note;
    transfer.context = &over;
    store_.StartWrite(first, pages.data(), static_cast<uint32_t>(pages.size()), &transfer);
    while (over == 0) {
      threads_.ParkUntil(store_.NextDue());
      store_.Poll(threads_.Now());
    }
    EXPECT_EQ(over, 1);
    for (Page* page : pages) {
      page->busy = BusyReason::kNotBusy;
      pages_.Free(page);
    }
    EXPECT_NE(transfer.result, SwapResult::kNoMemory);
    return transfer.result == SwapResult::kOk;
  }
  // Letters of the slots from `first` on; ! an error, # a mixture.
  std::string Read(SwapSlot first, uint32_t count) {
    Page* page = pages_.AllocateForAnon(reinterpret_cast<Anon*>(&anon_));
    std::string letters;
    for (uint32_t i = 0; i < count; ++i) {
      const bool ok = store_.Read(page, first + i) == SwapResult::kOk;
      const unsigned char* bytes = pages_.Contents(page);
      letters += !ok                                                       ? '!'
                 : std::memcmp(bytes, bytes + 1, base::kPageSize - 1) != 0 ? '#'
                                                                           : bytes[0];
    }
    page->busy = BusyReason::kNotBusy;
    pages_.Free(page);
    return letters;
  }
  std::string Events() {
    std::string text;
    for (; seen_ < device_.event_count(); ++seen_) {
      const SwapFault::Event& event = device_.event(seen_);
      text += (text.empty() ? "" : ", ") + std::string(SwapFault::Name(event.kind)) +
              (event.direction == SwapDirection::kRead ? " r" : " w") +
              std::to_string(event.block) + "+" + std::to_string(event.count);
    }
    return text;
  }

  testing::NaivePmap pmap_{40};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  SwapStore store_{&core_};
  SwapMemory below_{&threads_, &memory_, base::PageCount(20), {}};
  SwapFault device_{&threads_, &below_, 1};
  uint64_t seen_ = 0;
  uint64_t anon_ = 0;
};

TEST_F(SwapFaultTest, NothingHappensByItself) {
  EXPECT_EQ(device_.size(), base::PageCount(20));
  EXPECT_FALSE(device_.HasLabel());
  EXPECT_TRUE(Write(1, "abc"));
  EXPECT_EQ(Read(1, 3), "abc");
  EXPECT_EQ(Events(), "");
}

TEST_F(SwapFaultTest, AReadErrorIsOfOneTransfer) {
  EXPECT_TRUE(Write(1, "abcd"));
  device_.Arm(Kind::kReadError, 1, 2);
  EXPECT_TRUE(Write(5, "e"));
  EXPECT_EQ(Read(1, 5), "a!!de");
  EXPECT_EQ(Events(), "read_error r1+1, read_error r2+1");
  EXPECT_EQ(Read(1, 5), "abcde");
  EXPECT_EQ(store_.counters().read_errors, 2u);
  EXPECT_EQ(store_.counters().mismatches, 0u);
}

TEST_F(SwapFaultTest, AfterAWriteErrorNothingThereMayBeRead) {
  EXPECT_TRUE(Write(1, "abcd"));
  device_.Arm(Kind::kWriteError, 0);
  EXPECT_FALSE(Write(2, "xy"));
  EXPECT_EQ(Events(), "write_error w1+2");
  EXPECT_EQ(Read(1, 4), "a!!d") << "what is there may be old";
  EXPECT_TRUE(Write(2, "z"));
  EXPECT_EQ(Read(1, 4), "az!d");
  EXPECT_EQ(store_.counters().write_errors, 1u);
}

TEST_F(SwapFaultTest, ATornWriteIsFoundWhenItIsReadBack) {
  int torn = 0;
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(Write(1, "abcd"));
    device_.Arm(Kind::kTornWrite, 0);
    EXPECT_TRUE(Write(1, "wxyz"));
    const std::string got = Read(1, 4);
    const size_t at = got.find('!');
    ASSERT_NE(at, std::string::npos) << got;
    EXPECT_EQ(got, std::string("wxyz").substr(0, at) + std::string(4 - at, '!'));
    torn |= 1 << at;
  }
  EXPECT_EQ(torn, 15) << "at each of the four pages now and then";
  EXPECT_GT(store_.counters().mismatches, 20u);
}

TEST_F(SwapFaultTest, ASlowTransferIsOvertaken) {
  EXPECT_TRUE(Write(1, "ab"));
  device_.set_slow_us(700);
  device_.Arm(Kind::kSlow, 1);
  EXPECT_EQ(Read(1, 2), "ab");
  EXPECT_EQ(threads_.Now(), 700u);
  EXPECT_EQ(Events(), "slow r1+1");
}

TEST_F(SwapFaultTest, ADeviceThatVanishesFailsUntilItIsBack) {
  EXPECT_TRUE(Write(1, "abc"));
  device_.Arm(Kind::kVanish, 1);
  EXPECT_EQ(Read(1, 3), "a!!");
  EXPECT_TRUE(device_.vanished());
  EXPECT_FALSE(Write(4, "d"));
  EXPECT_EQ(Events(), "vanish r1+1, vanish r2+1, vanish w3+1");
  unsigned char page[base::kPageSize];
  EXPECT_FALSE(store_.DebugRead(1, page));
  device_.Heal();
  EXPECT_EQ(Read(1, 4), "abc!");
  EXPECT_TRUE(store_.DebugRead(1, page));
  EXPECT_EQ(page[0], 'a');
}

TEST_F(SwapFaultTest, WhatIsHeldUpWhenADeviceVanishesFails) {
  device_.set_slow_us(100);
  device_.Arm(Kind::kSlow, 0);
  SwapTransfer transfer;
  int over = 0;
  transfer.done = Note;
  transfer.context = &over;
  Page* page = pages_.AllocateForAnon(reinterpret_cast<Anon*>(&anon_));
  store_.StartWrite(1, &page, 1, &transfer);
  EXPECT_EQ(store_.NextDue(), 100u);
  device_.Arm(Kind::kVanish, 0);
  EXPECT_FALSE(Write(2, "b"));
  EXPECT_EQ(over, 0);
  store_.Poll(100);
  EXPECT_EQ(over, 1);
  EXPECT_EQ(transfer.result, SwapResult::kAway);
}

TEST_F(SwapFaultTest, ChancesAreDrawnAndHealed) {
  device_.SetChance(Kind::kWriteError, 65536 / 4);
  device_.SetChance(Kind::kReadError, 65536 / 2);
  int write_errors = 0;
  int read_errors = 0;
  for (int i = 0; i < 400; ++i) {
    if (!Write(1, "a")) ++write_errors;
    EXPECT_TRUE(store_.counters().write_errors == static_cast<uint64_t>(write_errors));
    const std::string got = Read(1, 1);
    if (got == "!") ++read_errors;
  }
  EXPECT_GT(write_errors, 60);
  EXPECT_LT(write_errors, 140);
  EXPECT_GT(read_errors, 200);  // what was not written cannot be read either
  EXPECT_LT(read_errors, 300);
  device_.Heal();
  const uint64_t events = device_.event_count();
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(Write(1, "b"));
    EXPECT_EQ(Read(1, 1), "b");
  }
  EXPECT_EQ(device_.event_count(), events);
}

TEST_F(SwapFaultTest, TheSameSeedMeansTheSameErrors) {
  SwapFault other(&threads_, &below_, 1);
  for (SwapFault* device : {&device_, &other}) {
    for (int k = 0; k < SwapFault::kKinds - 1; ++k)
      device->SetChance(static_cast<Kind>(k), 65536 / 8);
  }
  unsigned char bytes[base::kPageSize];
  for (int i = 0; i < 200; ++i) {
    for (SwapFault* device : {&device_, &other}) {
      SwapTransfer transfer;
      int over = 0;
      transfer.direction = i % 3 == 0 ? SwapDirection::kRead : SwapDirection::kWrite;
      transfer.block = static_cast<uint64_t>(i) % 20;
      transfer.count = 1;
      transfer.pages[0] = bytes;
      transfer.done = Note;
      transfer.context = &over;
      device->Start(&transfer);
      while (over == 0) {
        threads_.ParkUntil(device->NextDue());
        device->Poll(threads_.Now());
      }
    }
  }
  ASSERT_EQ(device_.event_count(), other.event_count());
  EXPECT_GT(other.event_count(), 20u);
  for (uint64_t n = 0; n < other.event_count(); ++n) {
    EXPECT_EQ(device_.event(n).kind, other.event(n).kind);
    EXPECT_EQ(device_.event(n).block, other.event(n).block);
  }
}

}  // namespace
}  // namespace uvm
