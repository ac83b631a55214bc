// The swap store over devices of memory: devices, slots, accounts, transfers.

#include "uvm/swap.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/text_sink.h"
#include "gtest/gtest.h"
#include "uvm/swap_invariants.h"
#include "uvm/swap_memory.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

using LessOk = SwapStore::LessOk;
using Encryption = SwapStore::Encryption;

// A device of some size whose page 0 may be a label; nothing is ever transferred.
class SizedDevice final : public SwapDevice {
 public:
  enum class Label : uint8_t { kNo, kYes };
  explicit SizedDevice(uint64_t pages, Label label = Label::kNo) : pages_(pages), label_(label) {}
  base::PageCount size() const override { return base::PageCount(pages_); }
  bool HasLabel() const override { return label_ == Label::kYes; }
  void Start(SwapTransfer*) override { ADD_FAILURE() << "a transfer"; }

 private:
  const uint64_t pages_;
  const Label label_;
};

// A device of memory whose page 0 is a label.
class LabelledMemory final : public SwapDevice {
 public:
  LabelledMemory(ThreadSystem* threads, base::PageSource* memory, uint64_t pages)
      : below_(threads, memory, base::PageCount(pages), {}) {}
  base::PageCount size() const override { return below_.size(); }
  bool HasLabel() const override { return true; }
  void Start(SwapTransfer* transfer) override { below_.Start(transfer); }
  const unsigned char* DebugBytes(uint64_t block) const override {
    return below_.DebugBytes(block);
  }

 private:
  SwapMemory below_;
};

// A device of memory that refuses as long as the test wants it.
class FickleDevice final : public SwapDevice {
 public:
  FickleDevice(ThreadSystem* threads, base::PageSource* memory, uint64_t pages)
      : below_(threads, memory, base::PageCount(pages), {}) {}
  base::PageCount size() const override { return below_.size(); }
  void Start(SwapTransfer* transfer) override {
    if (!away) return below_.Start(transfer);
    transfer->result = refuses_with;
    transfer->done(transfer);
  }
  uint64_t NextDue() const override { return below_.NextDue(); }
  void Poll(uint64_t now_us) override { below_.Poll(now_us); }
  bool away = false;
  SwapResult refuses_with = SwapResult::kAway;

 private:
  SwapMemory below_;
};

class SwapTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kFrames = 40;

  ~SwapTest() { Check(); }
  void Check() {
    char buffer[200];
    base::TextSink text(buffer, sizeof buffer);
    EXPECT_TRUE(SwapAccounting(store_, &text)) << text.text();
  }
  // Slots of one call, "first+count", or "-".
  std::string Allocate(uint32_t count, LessOk less = LessOk::kNo) {
    uint32_t got = count;
    const SwapSlot first = store_.Allocate(&got, less);
    Check();
    if (first == kNoSlot) return "-";
    return std::to_string(first) + "+" + std::to_string(got);
  }
  std::string On(SwapDevice* device, int32_t priority = 0) {
    const Result<void, SwapError> result = store_.On(device, priority);
    Check();
    return result.ok() ? "ok" : Name(result.error());
  }
  static std::string Name(SwapError error) {
    switch (error) {
      case SwapError::kBusy:
        return "EBUSY";
      case SwapError::kNotConfigured:
        return "ENXIO";
      case SwapError::kInvalidArgument:
        return "EINVAL";
      case SwapError::kNotFound:
        return "ENOENT";
      case SwapError::kNoMemory:
        return "ENOMEM";
      case SwapError::kAway:
        return "EIO";
    }
    return "?";
  }
  // pages available in_use only, and F when full.
  std::string Accounts() {
    return std::to_string(store_.pages().value()) + " " +
           std::to_string(store_.available().value()) + " " +
           std::to_string(store_.in_use().value()) + " " +
           std::to_string(store_.only_on_swap().value()) + (store_.IsFull() ? " F" : "");
  }
  Page* NewPage(char letter) {
    Page* page = pages_.AllocateForAnon(reinterpret_cast<Anon*>(&anon_));
    std::memset(pages_.Contents(page), letter, base::kPageSize);
    return page;
  }
  static void Note(SwapTransfer* transfer) { ++*static_cast<int*>(transfer->context); }
  // Writes the pages and expects `result`.
  void Write(SwapSlot first, const std::vector<Page*>& pages, SwapResult result = SwapResult::kOk) {
    SwapTransfer transfer;
    int over = 0;
    transfer.done = Note;
    transfer.context = &over;
    store_.StartWrite(first, pages.data(), static_cast<uint32_t>(pages.size()), &transfer);
    while (over == 0 && store_.NextDue() != SwapDevice::kNever) store_.Poll(store_.NextDue());
    EXPECT_EQ(over, 1);
    EXPECT_EQ(transfer.result, result);
  }
  // The letter a slot is full of; # for a mixture, ! for an error.
  char Read(SwapSlot slot) {
    if (back_ == nullptr) back_ = NewPage('?');
    if (store_.Read(back_, slot) != SwapResult::kOk) return '!';
    const unsigned char* bytes = pages_.Contents(back_);
    for (uint64_t i = 1; i < base::kPageSize; ++i) {
      if (bytes[i] != bytes[0]) return '#';
    }
    return static_cast<char>(bytes[0]);
  }

  // How long the store's only device, which refuses a write to `slot` now, gives no slots.
  uint64_t PauseAfterRefusal(SwapSlot slot) {
    Write(slot, {NewPage('r')}, SwapResult::kAway);
    const uint64_t start = threads_.Now();
    for (;; threads_.ParkUntil(threads_.Now() + 100)) {
      uint32_t count = 1;
      const SwapSlot got = store_.Allocate(&count, LessOk::kNo);
      if (got == kNoSlot) continue;
      store_.Free(got, 1);
      return threads_.Now() - start;
    }
  }

  testing::NaivePmap pmap_{kFrames};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  SwapStore store_{&core_};
  Page* back_ = nullptr;
  uint64_t anon_ = 0;
};

// ---- Devices ----

TEST_F(SwapTest, WithoutADeviceItIsFullAndHandsOutNothing) {
  EXPECT_EQ(Accounts(), "0 0 0 0 F");
  EXPECT_EQ(Allocate(1, LessOk::kYes), "-");
  EXPECT_EQ(store_.Stats(nullptr, 0), 0u);
  EXPECT_FALSE(store_.IsOn(nullptr, kNoSlot));
  EXPECT_FALSE(store_.IsOn(nullptr, kBadSlot));
  store_.Free(kNoSlot, 1);
  store_.Free(kBadSlot, 1);
  EXPECT_EQ(store_.NextDue(), SwapDevice::kNever);
  store_.Poll(~uint64_t{0});
}

TEST_F(SwapTest, EveryErrorOfSwapctl) {
  SizedDevice device(10);
  SizedDevice empty(0);
  SizedDevice one(1);
  SizedDevice huge(uint64_t{1} << 32);
  EXPECT_EQ(On(&empty), "ENXIO");
  EXPECT_EQ(On(&one), "EINVAL");
  EXPECT_EQ(On(&huge), "ENOMEM");
  EXPECT_EQ(Name(store_.SetPriority(&device, 1).error()), "ENOENT");
  EXPECT_EQ(Name(store_.BeginOff(&device).error()), "ENXIO");
  EXPECT_EQ(On(&device), "ok");
  EXPECT_EQ(On(&device), "EBUSY");
  EXPECT_TRUE(store_.BeginOff(&device).ok());
  EXPECT_EQ(Name(store_.BeginOff(&device).error()), "EBUSY");
  EXPECT_EQ(On(&device), "EBUSY");
  EXPECT_TRUE(store_.EndOff(&device));
  EXPECT_EQ(Name(store_.BeginOff(&device).error()), "ENXIO");
  EXPECT_EQ(Accounts(), "0 0 0 0 F");
}

TEST_F(SwapTest, WithoutMemoryForItsTablesADeviceStaysOff) {
  SizedDevice device(10);
  for (uint64_t chunks = 0;; ++chunks) {
    memory_.FailAfter(chunks);
    const std::string result = On(&device);
    if (result == "ok") {
      EXPECT_EQ(chunks, 2u);
      break;
    }
    EXPECT_EQ(result, "ENOMEM");
    EXPECT_EQ(Accounts(), "0 0 0 0 F");
  }
}

TEST_F(SwapTest, ALabelIsLeftAlone) {
  SwapMemory plain(&threads_, &memory_, base::PageCount(4), {});
  SizedDevice labelled(4, SizedDevice::Label::kYes);
  SizedDevice two(2, SizedDevice::Label::kYes);
  EXPECT_EQ(On(&labelled), "ok");
  EXPECT_EQ(store_.pages(), PageCount(3));
  EXPECT_EQ(On(&two), "ok");
  EXPECT_EQ(store_.pages(), PageCount(4));
  EXPECT_EQ(On(&plain), "ok");
  EXPECT_EQ(store_.pages(), PageCount(8));
}

TEST_F(SwapTest, NumbersOfSlotsAreUniqueAndUsedAgain) {
  SizedDevice a(4);
  SizedDevice b(6);
  SizedDevice c(5);
  SizedDevice d(3);
  EXPECT_EQ(On(&a, 1), "ok");  // 1 to 4
  EXPECT_EQ(On(&b, 2), "ok");  // 5 to 10
  EXPECT_EQ(Allocate(4), "1+4");
  EXPECT_EQ(Allocate(6), "5+6");
  EXPECT_TRUE(store_.IsOn(&a, 1) && store_.IsOn(&a, 4) && store_.IsOn(&b, 5) &&
              store_.IsOn(&b, 10));
  EXPECT_FALSE(store_.IsOn(&a, 5) || store_.IsOn(&b, 4) || store_.IsOn(&b, 11));
  store_.Free(1, 4);
  EXPECT_TRUE(store_.BeginOff(&a).ok());
  EXPECT_TRUE(store_.EndOff(&a));
  EXPECT_EQ(On(&c, 0), "ok");  // does not fit in front
  EXPECT_EQ(Allocate(1), "11+1");
  EXPECT_EQ(On(&d, -1), "ok");  // does
  EXPECT_EQ(Allocate(1), "1+1");
  EXPECT_EQ(store_.DebugState(4), SwapStore::DebugSlot::kNone);
}

TEST_F(SwapTest, LowerPrioritiesFirstThenRoundRobin) {
  SizedDevice a(4);
  SizedDevice b(4);
  SizedDevice c(4);
  EXPECT_EQ(On(&a, 5), "ok");  // 1 to 4
  EXPECT_EQ(On(&b, 5), "ok");  // 5 to 8
  EXPECT_EQ(On(&c, 3), "ok");  // 9 to 12
  EXPECT_EQ(Allocate(3), "9+3");
  EXPECT_EQ(Allocate(2), "1+2");
  EXPECT_EQ(Allocate(2), "5+2");
  EXPECT_EQ(Allocate(1), "12+1");
  EXPECT_EQ(Allocate(1), "3+1");
  EXPECT_EQ(Allocate(2), "7+2");
  EXPECT_EQ(Allocate(2), "-");
  EXPECT_EQ(Allocate(2, LessOk::kYes), "4+1");
  EXPECT_EQ(Allocate(1, LessOk::kYes), "-");
}

TEST_F(SwapTest, APriorityChangesWhileSlotsAreInUse) {
  SizedDevice a(4);
  SizedDevice b(4);
  EXPECT_EQ(On(&a, 0), "ok");
  EXPECT_EQ(On(&b, 1), "ok");
  EXPECT_EQ(Allocate(1), "1+1");
  EXPECT_TRUE(store_.SetPriority(&a, 2).ok());
  EXPECT_EQ(Allocate(1), "5+1");
  EXPECT_EQ(Allocate(1), "6+1");
  SwapStats stats[2];
  ASSERT_EQ(store_.Stats(stats, 1), 2u);
  ASSERT_EQ(store_.Stats(stats, 2), 2u);
  EXPECT_EQ(stats[0].device, &b);
  EXPECT_EQ(stats[0].priority, 1);
  EXPECT_EQ(stats[0].pages, PageCount(4));
  EXPECT_EQ(stats[0].in_use, PageCount(2));
  EXPECT_EQ(stats[1].device, &a);
  EXPECT_EQ(stats[1].priority, 2);
  EXPECT_EQ(stats[1].in_use, PageCount(1));
}

TEST_F(SwapTest, ClustersGoWhereTheyFit) {
  SizedDevice device(200);
  EXPECT_EQ(On(&device), "ok");
  for (int i = 0; i < 12; ++i) EXPECT_EQ(Allocate(16), std::to_string(1 + 16 * i) + "+16");
  EXPECT_EQ(Allocate(9), "-");
  EXPECT_EQ(Allocate(9, LessOk::kYes), "193+1");
  store_.Free(60, 5);
  store_.Free(65, 5);  // ten from 60 on, across two words of the table
  EXPECT_EQ(Allocate(11), "-");
  EXPECT_EQ(Allocate(10), "60+10");
  EXPECT_EQ(Allocate(7), "194+7");
  EXPECT_EQ(Accounts(), "200 200 200 0");
}

TEST_F(SwapTest, ADeviceGoingOffGivesNothingAndMayComeBack) {
  SizedDevice a(4);
  SizedDevice b(4);
  EXPECT_EQ(On(&a, 0), "ok");
  EXPECT_EQ(On(&b, 0), "ok");
  EXPECT_EQ(Allocate(2), "1+2");
  EXPECT_TRUE(store_.BeginOff(&a).ok());
  EXPECT_EQ(Accounts(), "8 4 2 0");
  EXPECT_EQ(Allocate(2), "5+2");
  EXPECT_EQ(Allocate(2), "7+2");
  EXPECT_EQ(Allocate(2), "-");
  EXPECT_FALSE(store_.EndOff(&a));
  EXPECT_EQ(Accounts(), "8 8 6 0");
  EXPECT_EQ(Allocate(2), "3+2");
  store_.Free(1, 4);
  EXPECT_TRUE(store_.BeginOff(&a).ok());
  EXPECT_TRUE(store_.EndOff(&a));
  EXPECT_EQ(Accounts(), "4 4 4 0");
}

TEST_F(SwapTest, BadSlotsStayTakenAndCountAsFull) {
  SizedDevice a(100);
  SizedDevice b(100);
  EXPECT_EQ(On(&a, 0), "ok");
  for (int i = 0; i < 10; ++i) Allocate(10);
  store_.MarkBad(1, 50);
  Check();
  store_.AddOnlyOnSwap(48);
  EXPECT_FALSE(store_.IsFull());
  store_.AddOnlyOnSwap(1);
  EXPECT_TRUE(store_.IsFull());
  EXPECT_EQ(On(&b, 1), "ok");
  EXPECT_FALSE(store_.IsFull());
  store_.AddOnlyOnSwap(-49);
  store_.Free(51, 50);
  EXPECT_EQ(Allocate(1), "51+1");
  store_.Free(51, 1);
  EXPECT_EQ(store_.DebugState(50), SwapStore::DebugSlot::kBad);
  EXPECT_TRUE(store_.BeginOff(&a).ok());
  Check();
  EXPECT_TRUE(store_.EndOff(&a));
  EXPECT_EQ(Accounts(), "100 100 0 0");
}

TEST_F(SwapTest, OwnersAreCounted) {
  SizedDevice device(8);
  EXPECT_EQ(On(&device), "ok");
  EXPECT_EQ(Allocate(3), "1+3");
  store_.MarkBad(2, 1);
  char buffer[200];
  auto visits = [&](const std::vector<SwapSlot>& slots) -> std::string {
    base::TextSink text(buffer, sizeof buffer);
    store_.DebugBeginVisits();
    for (SwapSlot slot : slots) {
      if (!store_.DebugVisit(slot, &text)) return text.text();
    }
    return store_.DebugEndVisits(&text) ? "ok" : text.text();
  };
  EXPECT_EQ(visits({3, 1}), "ok");
  EXPECT_EQ(visits({1}), "slot 3 is in use and nobody's");
  EXPECT_EQ(visits({1, 1}), "slot 1 is owned and somebody else's, too");
  EXPECT_EQ(visits({2}), "slot 2 is owned and bad");
  EXPECT_EQ(visits({4}), "slot 4 is owned and free");
  EXPECT_EQ(visits({9}), "slot 9 is owned and of no device");
  EXPECT_EQ(visits({1, 3}), "ok");
}

// ---- Transfers ----

TEST_F(SwapTest, WhatWasWrittenComesBack) {
  SwapMemory a(&threads_, &memory_, base::PageCount(20), {});
  SwapMemory b(&threads_, &memory_, base::PageCount(20), {});
  EXPECT_EQ(On(&a), "ok");
  EXPECT_EQ(On(&b), "ok");
  EXPECT_EQ(Allocate(3), "1+3");
  EXPECT_EQ(Allocate(2), "21+2");
  Page* pages[] = {NewPage('a'), NewPage('b'), NewPage('c'), NewPage('d'), NewPage('e')};
  Write(1, {pages[0], pages[1], pages[2]});
  Write(21, {pages[3], pages[4]});
  EXPECT_EQ(Read(2), 'b');
  EXPECT_EQ(Read(1), 'a');
  EXPECT_EQ(Read(22), 'e');
  EXPECT_EQ(Read(21), 'd');
  EXPECT_EQ(Read(3), 'c');
  Write(2, {pages[4]});
  EXPECT_EQ(Read(2), 'e');
  EXPECT_EQ(store_.counters().page_ins, 6u);
  EXPECT_EQ(store_.counters().page_outs, 6u);
  EXPECT_EQ(store_.counters().clusters[1], 1u);
  EXPECT_EQ(store_.counters().clusters[2], 1u);
  EXPECT_EQ(store_.counters().clusters[3], 1u);
  EXPECT_EQ(store_.DebugUnderWay(), 0u);
}

TEST_F(SwapTest, ALabelIsNeverWritten) {
  LabelledMemory device(&threads_, &memory_, 4);
  EXPECT_EQ(On(&device), "ok");
  EXPECT_EQ(Allocate(3), "1+3");
  Write(1, {NewPage('a'), NewPage('b'), NewPage('c')});
  EXPECT_EQ(*device.DebugBytes(0), 0);
  EXPECT_EQ(*device.DebugBytes(1), 'a');
  EXPECT_EQ(*device.DebugBytes(3), 'c');
  EXPECT_EQ(Read(1), 'a');
  EXPECT_EQ(Read(3), 'c');
  unsigned char seen[base::kPageSize];
  EXPECT_TRUE(store_.DebugRead(2, seen));
  EXPECT_EQ(seen[0], 'b');
}

TEST_F(SwapTest, TransfersTakeTheirTime) {
  SwapMemory device(&threads_, &memory_, base::PageCount(20), {100, 10});
  EXPECT_EQ(On(&device), "ok");
  EXPECT_EQ(Allocate(3), "1+3");
  Page* pages[] = {NewPage('a'), NewPage('b'), NewPage('c')};
  SwapTransfer first;
  SwapTransfer second;
  int over = 0;
  first.done = second.done = Note;
  first.context = second.context = &over;
  store_.StartWrite(1, pages, 2, &first);
  store_.StartWrite(3, pages + 2, 1, &second);
  EXPECT_EQ(store_.DebugUnderWay(), 2u);
  EXPECT_EQ(store_.NextDue(), 120u);
  store_.Poll(119);
  EXPECT_EQ(over, 0);
  store_.Poll(120);
  EXPECT_EQ(over, 1);
  EXPECT_EQ(store_.NextDue(), 230u);
  EXPECT_EQ(Read(3), 'c');  // queues up behind the write
  EXPECT_EQ(over, 2);
  EXPECT_EQ(threads_.Now(), 340u);
  EXPECT_EQ(store_.NextDue(), SwapDevice::kNever);
}

// Nothing was moved: the slots hold what they held. Where a write failed that is undefined.
TEST_F(SwapTest, ARefusedWriteLeavesWhatWasThere) {
  FickleDevice device(&threads_, &memory_, 20);
  EXPECT_EQ(On(&device), "ok");
  EXPECT_EQ(Allocate(3), "1+3");
  Write(1, {NewPage('a'), NewPage('b')});
  Page* after = NewPage('x');
  for (const SwapResult refusal : {SwapResult::kAway, SwapResult::kNoMemory, SwapResult::kIo}) {
    device.away = true;
    device.refuses_with = refusal;
    Write(1, {NewPage('r'), NewPage('s'), after}, refusal);
    device.away = false;
    const bool holds = refusal != SwapResult::kIo;
    EXPECT_EQ(Read(1), holds ? 'a' : '!');
    EXPECT_EQ(Read(2), holds ? 'b' : '!');
    EXPECT_EQ(Read(3), '!') << "nothing was ever written there";
  }
  EXPECT_EQ(store_.counters().write_errors, 2u);
  Write(1, {NewPage('c')});
  EXPECT_EQ(Read(1), 'c');
}

// It is asked ever more seldom while it stays away; one transfer that finds it there ends that.
TEST_F(SwapTest, ADeviceThatCameBackStartsAnew) {
  FickleDevice device(&threads_, &memory_, 20);
  EXPECT_EQ(On(&device), "ok");
  EXPECT_EQ(Allocate(2), "1+2");
  Write(2, {NewPage('b')});
  device.away = true;
  const uint64_t first = PauseAfterRefusal(1);
  EXPECT_GT(first, 0u);
  EXPECT_EQ(PauseAfterRefusal(1), 2 * first);
  EXPECT_EQ(PauseAfterRefusal(1), 4 * first);
  device.away = false;
  Write(1, {NewPage('a')});
  device.away = true;
  EXPECT_EQ(PauseAfterRefusal(1), first);
  EXPECT_EQ(PauseAfterRefusal(1), 2 * first);
  device.away = false;
  EXPECT_EQ(Read(2), 'b');
  device.away = true;
  EXPECT_EQ(PauseAfterRefusal(1), first) << "after a read";
  device.away = false;
}

TEST_F(SwapTest, OtherBytesThanWereWrittenAreAnError) {
  unsigned char* bytes = static_cast<unsigned char*>(memory_.AllocateChunk(4 * base::kPageSize));
  SwapMemory device(&threads_, bytes, base::PageCount(4), {});
  EXPECT_EQ(On(&device), "ok");
  EXPECT_EQ(Allocate(2), "1+2");
  EXPECT_EQ(Read(1), '!') << "nothing was ever written there";
  Write(1, {NewPage('a'), NewPage('b')});
  for (uint64_t at : {0, 1, 511, 2048, 4095}) {
    bytes[at] ^= 0x80;
    EXPECT_EQ(Read(1), '!') << at;
    EXPECT_EQ(Read(2), 'b') << at;
    bytes[at] ^= 0x80;
    EXPECT_EQ(Read(1), 'a') << at;
  }
  EXPECT_EQ(store_.counters().mismatches, 6u);
  EXPECT_EQ(store_.counters().read_errors, 6u);
  store_.Free(1, 2);
  EXPECT_EQ(Allocate(2), "1+2");
  EXPECT_EQ(Read(1), '!') << "what is left of an earlier owner is nobody's";
}

}  // namespace
}  // namespace uvm
