// The swap store against a naive model: a row of devices, each a row of slots that are free, in use
// or bad, and of what was written there last. Allocation is the first run that fits, so that the
// model says which slots come.

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prng.h"
#include "base/text_sink.h"
#include "gtest/gtest.h"
#include "uvm/swap.h"
#include "uvm/swap_fault.h"
#include "uvm/swap_invariants.h"
#include "uvm/swap_memory.h"
#include "uvm/testing/fake_cipher.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

using Kind = SwapFault::Kind;

enum class State : uint8_t { kFree, kInUse, kBad };

struct NaiveSlot {
  State state = State::kFree;
  int letter = -1;  // -1: nothing that may be read
};

struct NaiveDevice {
  int device = 0;
  int32_t priority = 0;
  SwapSlot first = 0;
  bool going_off = false;
  std::vector<NaiveSlot> slots;
  uint64_t Count(State state) const {
    uint64_t count = 0;
    for (const NaiveSlot& slot : slots) count += slot.state == state ? 1 : 0;
    return count;
  }
};

class NaiveSwap {
 public:
  NaiveDevice* Find(int device) {
    for (NaiveDevice& entry : devices) {
      if (entry.device == device) return &entry;
    }
    return nullptr;
  }
  NaiveSlot* Slot(SwapSlot slot) {
    for (NaiveDevice& entry : devices) {
      if (slot >= entry.first && slot < entry.first + entry.slots.size())
        return &entry.slots[slot - entry.first];
    }
    return nullptr;
  }
  void Insert(NaiveDevice entry) {
    auto at = devices.begin();
    while (at != devices.end() && at->priority <= entry.priority) ++at;
    devices.insert(at, std::move(entry));
  }
  NaiveDevice Take(int device) {
    for (auto at = devices.begin();; ++at) {
      if (at->device != device) continue;
      NaiveDevice entry = *at;
      devices.erase(at);
      return entry;
    }
  }
  SwapSlot FindNumbers(uint64_t pages) const {
    for (SwapSlot at = 1;; ++at) {
      bool clash = false;
      for (const NaiveDevice& entry : devices)
        clash = clash || (at < entry.first + entry.slots.size() && entry.first < at + pages);
      if (!clash) return at;
    }
  }
  SwapSlot Allocate(uint32_t count) {
    for (NaiveDevice& entry : devices) {
      uint32_t run = 0;
      for (uint64_t i = 0; i < entry.slots.size() && !entry.going_off; ++i) {
        run = entry.slots[i].state == State::kFree ? run + 1 : 0;
        if (run < count) continue;
        for (uint32_t k = 0; k < count; ++k) entry.slots[i - k] = {State::kInUse, -1};
        const SwapSlot slot = entry.first + static_cast<SwapSlot>(i + 1 - count);
        Insert(Take(entry.device));  // behind its equals
        return slot;
      }
    }
    return kNoSlot;
  }
  // All slots in this state, lowest first.
  std::vector<SwapSlot> All(State state) const {
    std::vector<SwapSlot> slots;
    for (const NaiveDevice& entry : devices) {
      for (uint64_t i = 0; i < entry.slots.size(); ++i) {
        if (entry.slots[i].state == state) slots.push_back(entry.first + static_cast<SwapSlot>(i));
      }
    }
    return slots;
  }

  std::vector<NaiveDevice> devices;  // in the order in which they are asked
};

class SwapRun {
 public:
  explicit SwapRun(uint64_t seed) : seed_(seed), prng_(seed, "swap_run") {
    store_.SetCipher(&cipher_);
    for (int d = 0; d < kDevices; ++d) {
      const SwapMemory::Latency latency = {d == 1 ? 40u : 0u, d == 1 ? 5u : 0u};
      memories_.push_back(std::make_unique<SwapMemory>(
          &threads_, &memory_, base::PageCount(2 + prng_.Below(90)), latency));
      devices_.push_back(std::make_unique<SwapFault>(&threads_, memories_.back().get(), seed));
    }
    page_ = pages_.AllocateForAnon(reinterpret_cast<Anon*>(&anon_));
    for (Page*& page : cluster_) page = pages_.AllocateForAnon(reinterpret_cast<Anon*>(&anon_));
  }

  void Step() {
    const uint64_t choice = prng_.Below(100);
    if (choice < 3) {
      TurnOn();
    } else if (choice < 5) {
      TurnOff();
    } else if (choice < 8) {
      ChangePriority();
    } else if (choice < 32) {
      Allocate();
    } else if (choice < 52) {
      Free();
    } else if (choice < 54) {
      MarkBad();
    } else if (choice < 76) {
      Write();
    } else if (choice < 97) {
      Read();
    } else if (choice < 98) {
      const bool on = prng_.Chance(1, 2);
      EXPECT_TRUE(
          store_.SetEncryption(on ? SwapStore::Encryption::kOn : SwapStore::Encryption::kOff));
    } else {
      const int64_t change = static_cast<int64_t>(prng_.Below(9)) - 4;
      const int64_t in_use = static_cast<int64_t>(store_.in_use().value());
      if (only_ + change >= 0 && only_ + change <= in_use) {
        only_ += change;
        store_.AddOnlyOnSwap(change);
      }
    }
    Check();
  }

  bool failed() const { return ::testing::Test::HasFailure(); }
  // Of every kind of outcome, so that a run that never gets anywhere is seen.
  int reads_ok = 0;
  int reads_failed = 0;
  int offs = 0;
  int offs_refused = 0;
  int fell_to_one = 0;
  int refused = 0;

 private:
  static constexpr int kDevices = 4;
  SwapDevice* Device(int device) { return devices_[static_cast<size_t>(device)].get(); }
  int AnyDevice() { return static_cast<int>(prng_.Below(kDevices)); }

  void TurnOn() {
    const int device = AnyDevice();
    const auto priority = static_cast<int32_t>(prng_.Below(3));
    const bool was_on = model_.Find(device) != nullptr;
    EXPECT_EQ(store_.On(Device(device), priority).ok(), !was_on);
    if (was_on) return;
    NaiveDevice entry;
    entry.device = device;
    entry.priority = priority;
    entry.slots.resize(Device(device)->size().value());
    entry.first = model_.FindNumbers(entry.slots.size());
    model_.Insert(std::move(entry));
  }

  void TurnOff() {
    const int device = AnyDevice();
    NaiveDevice* entry = model_.Find(device);
    const Result<void, SwapError> begun = store_.BeginOff(Device(device));
    if (entry == nullptr) {
      EXPECT_EQ(begun.error(), SwapError::kNotConfigured);
      return;
    }
    EXPECT_TRUE(begun.ok());
    entry->going_off = true;
    Check();
    uint32_t count = 1;
    const SwapSlot got = store_.Allocate(&count, SwapStore::LessOk::kNo);
    EXPECT_EQ(got, model_.Allocate(1));
    entry = model_.Find(device);
    // Nearly always everything on it is moved away.
    const bool empty = prng_.Chance(3, 4);
    for (uint32_t i = 0; i < entry->slots.size() && empty; ++i) {
      if (entry->slots[i].state != State::kInUse) continue;
      store_.Free(entry->first + i, 1);
      entry->slots[i] = {};
    }
    const uint64_t in_use = store_.in_use().value() - entry->Count(State::kBad);
    if (only_ > static_cast<int64_t>(in_use)) {
      store_.AddOnlyOnSwap(static_cast<int64_t>(in_use) - only_);
      only_ = static_cast<int64_t>(in_use);
    }
    const bool off = entry->Count(State::kInUse) == 0;
    EXPECT_EQ(store_.EndOff(Device(device)), off);
    entry->going_off = false;
    if (off) model_.Take(device);
    ++(off ? offs : offs_refused);
  }

  void ChangePriority() {
    const int device = AnyDevice();
    const auto priority = static_cast<int32_t>(prng_.Below(3));
    const bool on = model_.Find(device) != nullptr;
    EXPECT_EQ(store_.SetPriority(Device(device), priority).ok(), on);
    if (!on) return;
    NaiveDevice entry = model_.Take(device);
    entry.priority = priority;
    model_.Insert(std::move(entry));
  }

  void Allocate() {
    const auto wanted = static_cast<uint32_t>(1 + prng_.Below(kSwapClusterPages));
    const bool less = prng_.Chance(1, 2);
    uint32_t count = wanted;
    const SwapSlot got =
        store_.Allocate(&count, less ? SwapStore::LessOk::kYes : SwapStore::LessOk::kNo);
    SwapSlot expected = model_.Allocate(wanted);
    uint32_t expected_count = wanted;
    if (expected == kNoSlot && less) {
      expected = model_.Allocate(1);
      expected_count = 1;
    }
    EXPECT_EQ(got, expected);
    if (got == kNoSlot) {
      ++refused;
      return;
    }
    EXPECT_EQ(count, expected_count);
    if (count < wanted) ++fell_to_one;
  }

  // A run of slots that are in use, adjoining, on one device; 0 when there is none.
  uint32_t SomeInUse(SwapSlot* first) {
    const std::vector<SwapSlot> slots = model_.All(State::kInUse);
    if (slots.empty()) return 0;
    const uint64_t at = prng_.Below(slots.size());
    const uint64_t most = 1 + prng_.Below(kSwapClusterPages);
    *first = slots[at];
    uint32_t count = 1;
    while (count < most && at + count < slots.size() && slots[at + count] == *first + count &&
           SameDevice(*first, *first + count))
      ++count;
    return count;
  }
  bool SameDevice(SwapSlot a, SwapSlot b) {
    for (const NaiveDevice& entry : model_.devices) {
      if (a >= entry.first && a < entry.first + entry.slots.size())
        return b < entry.first + entry.slots.size();
    }
    return false;
  }

  void Free() {
    SwapSlot first = kNoSlot;
    const uint32_t count = SomeInUse(&first);
    if (count == 0 || store_.in_use().value() < count + static_cast<uint64_t>(only_)) return;
    store_.Free(first, count);
    for (uint32_t i = 0; i < count; ++i) *model_.Slot(first + i) = {};
  }

  void MarkBad() {
    SwapSlot first = kNoSlot;
    if (SomeInUse(&first) == 0) return;
    store_.MarkBad(first, 1);
    model_.Slot(first)->state = State::kBad;
  }

  static void Note(SwapTransfer* transfer) { *static_cast<bool*>(transfer->context) = true; }

  void Write() {
    SwapSlot first = kNoSlot;
    const uint32_t count = SomeInUse(&first);
    if (count == 0) return;
    const int letter = static_cast<int>(prng_.Below(200));
    for (uint32_t i = 0; i < count; ++i)
      std::memset(pages_.Contents(cluster_[i]), letter + static_cast<int>(i), base::kPageSize);
    const bool fails = prng_.Chance(1, 8);
    for (auto& device : devices_) {
      if (fails) device->Arm(Kind::kWriteError, 0);
    }
    SwapTransfer transfer;
    bool over = false;
    transfer.done = Note;
    transfer.context = &over;
    store_.StartWrite(first, cluster_, count, &transfer);
    while (!over) {
      threads_.ParkUntil(store_.NextDue());
      store_.Poll(threads_.Now());
    }
    for (auto& device : devices_) device->Heal();
    EXPECT_EQ(transfer.result, fails ? SwapResult::kIo : SwapResult::kOk);
    for (uint32_t i = 0; i < count; ++i)
      model_.Slot(first + i)->letter = fails ? -1 : letter + static_cast<int>(i);
  }

  void Read() {
    SwapSlot slot = kNoSlot;
    if (SomeInUse(&slot) == 0) return;
    const int letter = model_.Slot(slot)->letter;
    const bool ok = store_.Read(page_, slot) == SwapResult::kOk;
    EXPECT_EQ(ok, letter >= 0);
    unsigned char seen[base::kPageSize];
    EXPECT_EQ(store_.DebugRead(slot, seen), ok);
    ++(ok ? reads_ok : reads_failed);
    if (!ok) return;
    const unsigned char* bytes = pages_.Contents(page_);
    EXPECT_EQ(bytes[0], letter);
    EXPECT_EQ(std::memcmp(bytes, bytes + 1, base::kPageSize - 1), 0);
    EXPECT_EQ(std::memcmp(bytes, seen, base::kPageSize), 0);
  }

  void Check() {
    char buffer[200];
    base::TextSink text(buffer, sizeof buffer);
    EXPECT_TRUE(SwapAccounting(store_, &text)) << text.text();
    uint64_t pages = 0;
    uint64_t available = 0;
    uint64_t in_use = 0;
    uint64_t bad = 0;
    SwapStats stats[kDevices];
    ASSERT_EQ(store_.Stats(stats, kDevices), model_.devices.size());
    for (size_t i = 0; i < model_.devices.size(); ++i) {
      const NaiveDevice& entry = model_.devices[i];
      const uint64_t used = entry.slots.size() - entry.Count(State::kFree);
      EXPECT_EQ(stats[i].device, Device(entry.device));
      EXPECT_EQ(stats[i].priority, entry.priority);
      EXPECT_EQ(stats[i].in_use.value(), used);
      EXPECT_EQ(stats[i].bad.value(), entry.Count(State::kBad));
      EXPECT_EQ(stats[i].going_off, entry.going_off);
      pages += entry.slots.size();
      in_use += used;
      if (entry.going_off) continue;
      available += entry.slots.size();
      bad += entry.Count(State::kBad);
    }
    EXPECT_EQ(store_.pages().value(), pages);
    EXPECT_EQ(store_.available().value(), available);
    EXPECT_EQ(store_.in_use().value(), in_use);
    EXPECT_EQ(store_.only_on_swap().value(), static_cast<uint64_t>(only_));
    const uint64_t lost = static_cast<uint64_t>(only_) + bad;
    EXPECT_EQ(store_.IsFull(), available == 0 || lost * 100 / 99 >= available);
    store_.DebugBeginVisits();
    for (SwapSlot slot : model_.All(State::kInUse))
      EXPECT_TRUE(store_.DebugVisit(slot, &text)) << text.text();
    EXPECT_TRUE(store_.DebugEndVisits(&text)) << text.text();
    if (failed()) ADD_FAILURE() << "seed " << seed_;
  }

  const uint64_t seed_;
  base::Prng prng_;
  testing::NaivePmap pmap_{24};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  testing::FakeCipher cipher_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  SwapStore store_{&core_};
  std::vector<std::unique_ptr<SwapMemory>> memories_;
  std::vector<std::unique_ptr<SwapFault>> devices_;
  NaiveSwap model_;
  Page* page_ = nullptr;
  Page* cluster_[kSwapClusterPages] = {};
  int64_t only_ = 0;
  uint64_t anon_ = 0;
};

TEST(SwapPropTest, AgreesWithTheNaiveModel) {
  int reads_ok = 0;
  int reads_failed = 0;
  int offs = 0;
  int offs_refused = 0;
  int fell_to_one = 0;
  int refused = 0;
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    SwapRun run(seed);
    for (int step = 0; step < 600 && !run.failed(); ++step) run.Step();
    ASSERT_FALSE(run.failed()) << "seed " << seed;
    reads_ok += run.reads_ok;
    reads_failed += run.reads_failed;
    offs += run.offs;
    offs_refused += run.offs_refused;
    fell_to_one += run.fell_to_one;
    refused += run.refused;
  }
  EXPECT_GT(reads_ok, 500);
  EXPECT_GT(reads_failed, 500);
  EXPECT_GT(offs, 50);
  EXPECT_GT(offs_refused, 10);
  EXPECT_GT(fell_to_one, 50);
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace uvm
