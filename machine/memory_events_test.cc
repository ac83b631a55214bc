// Frames that leave and come, colours, sorts and caches of free frames, encryption of swap that
// changes while it runs: no client sees any of it.

#include "machine/memory_events.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/errors.h"
#include "machine/machine.h"
#include "machine/testing/crowded_program.h"
#include "traces/op.h"
#include "uvm/page.h"
#include "uvm/swap.h"
#include "uvm/uvm.h"
#include "vmserver/client.h"
#include "vmserver/protocol.h"

namespace machine {
namespace {

using traces::OpKind;
using traces::Outcome;
using vmserver::MemoryControl;

constexpr uint64_t kPages = 700;

uint64_t EncryptedSlots(Machine* machine) {
  uint64_t count = 0;
  const uvm::SwapStore& swap = machine->uvm().swap();
  for (uvm::SwapSlot slot = 1; slot < 4096; ++slot) {
    if (swap.DebugState(slot) == uvm::SwapStore::DebugSlot::kInUse && swap.DebugEncrypted(slot))
      ++count;
  }
  return count;
}

std::vector<Outcome> Play(Machine* machine) {
  return testing::Play({.stream = "memory_events",
                        .seed = 3,
                        .pages = kPages,
                        .steps = 4000,
                        .fork_at = 2000,
                        .check_every = 512},
                       machine);
}

Machine::Options Small() {
  Machine::Options options;
  options.ram_bytes = uint64_t{2} << 20;
  options.swap = {{.pages = 2 * kPages, .transfer_us = 100}};
  return options;
}

TEST(MemoryEventsTest, NobodySeesThem) {
  Machine plain((Machine::Options()));
  const std::vector<Outcome> right = Play(&plain);
  const MemorySpec specs[] = {
      {.colours = 8}, {.buckets = 3},
      {.lists = 3},   {.caches = true},
      {.one_in = 8},  {.colours = 4, .buckets = 2, .lists = 2, .caches = true, .one_in = 4}};
  for (const MemorySpec& spec : specs) {
    Machine::Options options = Small();
    options.memory = spec;
    Machine machine(options);
    EXPECT_EQ(Play(&machine), right);
    EXPECT_GT(machine.ledger().pageout, 500u);
  }
}

TEST(MemoryEventsTest, TheyHappen) {
  Machine::Options options = Small();
  options.memory = {.colours = 2, .buckets = 2, .lists = 3, .caches = true, .one_in = 4};
  options.swap_encryption = SwapEncryption::kToggled;
  Machine machine(options);
  const uvm::PageStore& pages = machine.uvm().DebugPages();
  EXPECT_EQ(pages.DebugFree().colours(), 2u);
  EXPECT_EQ(pages.DebugFree().buckets(), 2u);
  EXPECT_EQ(pages.DebugFree().lists(), 3u);
  EXPECT_GT(pages.DebugFree().size_of_list(1), 50u);
  EXPECT_GT(pages.DebugFree().size_of_list(2), 50u);
  const uint64_t all = pages.total().value();
  Play(&machine);
  const MemoryEvents::Counters& counters = machine.memory_events().counters();
  EXPECT_GT(counters.unplugged, 100u);
  EXPECT_GT(counters.plugged, 100u);
  EXPECT_GT(counters.refused, 0u);
  EXPECT_GT(counters.resorted, 10u);
  EXPECT_GT(counters.caches, 10u);
  EXPECT_GT(counters.toggled, 10u);
  EXPECT_EQ(counters.unplugged - counters.plugged, machine.memory_events().out());
  EXPECT_EQ(pages.total().value() + machine.memory_events().out(), all);
  EXPECT_LE(machine.memory_events().out(), all / 8);
}

// Slots keep the state in which they were written.
TEST(MemoryEventsTest, EncryptionIsTheSlotsOwn) {
  Machine::Options options = Small();
  options.swap_encryption = SwapEncryption::kOn;
  Machine all(options);
  options.swap_encryption = SwapEncryption::kToggled;
  Machine some(options);
  Machine none(Small());
  const std::vector<Outcome> right = Play(&none);
  EXPECT_EQ(Play(&all), right);
  EXPECT_EQ(Play(&some), right);
  EXPECT_EQ(EncryptedSlots(&none), 0u);
  EXPECT_EQ(EncryptedSlots(&all), all.uvm().swap().in_use().value());
  EXPECT_GT(EncryptedSlots(&some), 0u);
  EXPECT_LT(EncryptedSlots(&some), some.uvm().swap().in_use().value());
}

TEST(MemoryEventsTest, TheSameOperationsMeetTheSameEvents) {
  Machine::Options options = Small();
  options.memory = {.colours = 2, .caches = true, .one_in = 8};
  options.swap_encryption = SwapEncryption::kToggled;
  Machine one(options), two(options);
  Play(&one);
  Play(&two);
  EXPECT_EQ(one.ledger(), two.ledger());
  EXPECT_EQ(one.memory_events().counters().unplugged, two.memory_events().counters().unplugged);
  EXPECT_GT(one.memory_events().counters().unplugged, 0u);
}

// Codes of the call itself, as init gets them, and as a task of init's does.
TEST(MemoryControlTest, NonsenseIsRefused) {
  struct Codes {
    int32_t codes[15] = {};
  } seen;
  Machine machine((Machine::Options()));
  ASSERT_TRUE(machine.Apply({.kind = OpKind::kSpace, .child = 1}).ok());
  constexpr auto kProgram = [](void* p) {
    namespace client = vmserver::client;
    constexpr L4_Word_t kMany = ~L4_Word_t{0};
    auto* codes = static_cast<Codes*>(p)->codes;
    int i = 0;
    codes[i++] = client::Call(vmserver::kMemoryControl, 256, 2, 0).code;
    codes[i++] = client::ControlMemory(MemoryControl::kColours, 0).code;
    codes[i++] = client::ControlMemory(MemoryControl::kColours, 3).code;
    codes[i++] = client::ControlMemory(MemoryControl::kColours, kMany).code;
    codes[i++] = client::ControlMemory(MemoryControl::kBuckets, 0).code;
    codes[i++] = client::ControlMemory(MemoryControl::kCaches, 1 << 20).code;
    codes[i++] = client::ControlMemory(MemoryControl::kNode, kMany, kMany).code;
    codes[i++] = client::ControlMemory(MemoryControl::kPlug, kMany, kMany).code;
    codes[i++] = client::ControlMemory(MemoryControl::kSwapEncrypt, 2).code;
    // Frames that have no address, and numbers too large for a node or a free list: cut off they
    // would name something else.
    constexpr L4_Word_t kNoFrame = L4_Word_t{1} << 52;
    constexpr L4_Word_t kNoNumber = L4_Word_t{1} << (32 + vmserver::kMemoryCountBits);
    codes[i++] = client::ControlMemory(MemoryControl::kUnplug, kMany, 1).code;
    codes[i++] = client::ControlMemory(MemoryControl::kUnplug, kNoFrame, 0).code;
    codes[i++] = client::ControlMemory(MemoryControl::kUnplug, 0, kNoNumber).code;
    codes[i++] = client::ControlMemory(MemoryControl::kNode, 0, kNoNumber | 1).code;
    codes[i++] = client::ControlMemory(MemoryControl::kNode, kNoFrame, 1).code;
    codes[i++] = client::ControlMemory(MemoryControl::kUnplug, 0, 0).code;
  };
  ASSERT_TRUE(machine.RunProgram(1, kProgram, &seen));
  for (const int32_t code : seen.codes) EXPECT_EQ(code, static_cast<int32_t>(base::Errno::kEperm));
  ASSERT_TRUE(machine.RunProgram(0, kProgram, &seen));
  for (int i = 0; i < 14; ++i)
    EXPECT_EQ(seen.codes[i], static_cast<int32_t>(base::Errno::kEinval)) << i;
  EXPECT_EQ(seen.codes[14], static_cast<int32_t>(base::Errno::kEbusy));
  testing::ExpectSound(&machine);
}

}  // namespace
}  // namespace machine
