// Random calls of the mmap family with arguments of every kind, by processes with limits, in maps
// that grow either way, and in droughts: the errno is one that the call may give, whatever fails
// has changed nothing but what the call promises to undo, and all invariants hold.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/mmap.h"
#include "uvm/object.h"
#include "uvm/swap.h"
#include "uvm/testing/drought.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::Errno;

constexpr uint64_t kPages = 32;
constexpr uint64_t kPage = base::kPageSize;

class History {
 public:
  History(uint64_t seed, const Pressure& memory)
      : prng_(seed, "mmap_prop_test"), world_(memory), calls_(&world_.uvm()) {
    world_.StopChecking();
    space_ = world_.NewSpace(std::string(kPages, '.'),
                             seed % 2 == 0 ? Direction::kBottomUp : Direction::kTopDown);
    process_.map = &space_->map();
    process_.default_address = PageAt(prng_.Below(kPages));
    process_.heap_start = process_.heap_end = PageAt(20) + 100;
    if (seed % 7 < 3) world_.BeAdverse(seed);
    if (seed % 3 == 0) process_.limit_address_space = 20 * kPage;
    if (seed % 4 == 0) process_.limit_locked = 6 * kPage;
    if (seed % 5 == 0) process_.limit_data = 5 * kPage;
    for (uint64_t key = 1; key <= 2; ++key) files_.push_back(world_.File(key));
    files_[1]->no_exec = true;
    files_.push_back(nullptr);
  }

  void Step() {
    if (drought_ ? prng_.Chance(1, 12) : prng_.Chance(1, 25)) {
      if (drought_) {
        drought_.reset();
      } else {
        drought_.emplace(&world_, &prng_, 1 + prng_.Below(5));
      }
    }
    if (world_.swap_device() != nullptr && prng_.Chance(1, 8)) world_.Squeeze();
    const std::string before = Picture();
    step_ = prng_.Below(15);
    const Errno error = Call();
    if (error == Errno::kOk || undone_) return;
    EXPECT_EQ(Picture(), before) << "call " << step_ << " failed with " << base::ErrnoName(error);
  }
  std::string Violation() { return world_.Violation(); }
  uint64_t step() const { return step_; }
  std::string End() {
    drought_.reset();
    const std::string left = world_.TearDownAndFindLeaks();
    EXPECT_EQ(world_.uvm().swap().in_use(), PageCount(0));
    return left;
  }
  uint64_t swapped_in() { return world_.uvm().counters().swap_in; }

 private:
  // Attributes and contents of each page.
  std::string Picture() {
    std::string picture;
    for (uint64_t page = 0; page < kPages; ++page) {
      const MapEntry* entry = world_.EntryAt(space_, page);
      picture += entry == nullptr ? '.' : static_cast<char>('0' + entry->prot.bits());
      picture += entry == nullptr ? '.' : static_cast<char>('0' + entry->max_prot.bits());
      picture += entry == nullptr ? '.' : static_cast<char>('0' + static_cast<int>(entry->inherit));
      picture += entry == nullptr ? '.' : entry->wired_count > 0 ? 'w' : '-';
      picture += entry == nullptr ? '.' : world_.PageLetter(space_, page);
    }
    return picture;
  }

  uint64_t Address() {
    uint64_t at = PageAt(prng_.Below(kPages + 2)).value();
    if (prng_.Chance(1, 10)) at += prng_.Below(kPage);
    if (prng_.Chance(1, 40)) at = ~uint64_t{0} - prng_.Below(2 * kPage);
    if (prng_.Chance(1, 20)) at = 0;
    return at;
  }
  uint64_t Length() {
    uint64_t bytes = prng_.Below(8) * kPage;
    if (prng_.Chance(1, 4)) bytes += prng_.Below(kPage);
    if (prng_.Chance(1, 40)) bytes = ~uint64_t{0} - prng_.Below(2 * kPage);
    return bytes;
  }
  uint32_t Some(std::initializer_list<uint32_t> flags, uint64_t one_in) {
    uint32_t chosen = 0;
    for (uint32_t flag : flags) chosen |= prng_.Chance(1, one_in) ? flag : 0;
    return chosen;
  }
  Prot AnyProt() { return Prot(static_cast<uint8_t>(prng_.Below(8))); }

  Errno Call() {
    undone_ = false;
    switch (step_) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Mmap();
      case 4:
        return calls_.Munmap(&process_, Address(), Length());
      case 5:
        // With wires_future the rights stay although the wiring failed.
        undone_ = process_.map->wires_future();
        return calls_.Mprotect(&process_, Address(), Length(), AnyProt());
      case 6:
        return calls_.Minherit(&process_, Address(), Length(), prng_.Below(7));
      case 7:
        undone_ = true;  // contents go
        return calls_.Madvise(&process_, Address(), Length(), prng_.Below(9));
      case 8:
        return calls_.Msync(&process_, Address(), Length(), static_cast<uint32_t>(prng_.Below(9)));
      case 9:
        return prng_.Chance(2, 3) ? calls_.Mlock(&process_, Address(), Length())
                                  : calls_.Munlock(&process_, Address(), Length());
      case 10:
        return prng_.Chance(1, 2)
                   ? calls_.Mlockall(&process_, static_cast<uint32_t>(prng_.Below(5)))
                   : calls_.Munlockall(&process_);
      case 11: {
        uint64_t left = prng_.Below(6);
        return calls_.Mincore(&process_, Address(), Length(),
                              [&left](bool, PageCount) { return left-- > 0; });
      }
      case 12:
        return Brk();
      case 13:
        return Mremap();
      default:
        for (uint64_t page = prng_.Below(kPages); page < kPages; page += 1 + prng_.Below(3)) {
          const auto letter = static_cast<char>('a' + prng_.Below(26));
          (void)world_.AccessPage(space_, page, base::Access::kWrite, letter);
        }
        return Errno::kOk;
    }
  }
  Errno Mmap() {
    MmapArguments arguments;
    arguments.address = Address();
    arguments.length = Length();
    arguments.prot = AnyProt();
    arguments.flags = prng_.Chance(1, 2) ? kMapPrivate : kMapShared;
    arguments.flags |= Some({kMapFixed, kMapTryFixed, kMapInherit, kMapAnon}, 3);
    arguments.flags |= Some({kMapWired, kMapStack, kMapPrivate, kMapShared}, 10);
    if (prng_.Chance(1, 6))
      arguments.flags |= static_cast<uint32_t>(prng_.Below(80)) << kMapAlignShift;
    if (prng_.Chance(1, 30)) arguments.flags |= 0x100;
    if (prng_.Chance(1, 2)) {
      arguments.file.given = true;
      arguments.file.known = !prng_.Chance(1, 12);
      arguments.file.object = files_[prng_.Below(files_.size())];
      arguments.file.readable = !prng_.Chance(1, 6);
      arguments.file.writable = prng_.Chance(2, 3);
    }
    arguments.position = prng_.Below(9) * kPage;
    if (prng_.Chance(1, 10)) arguments.position += prng_.Below(kPage);
    if (prng_.Chance(1, 30)) arguments.position = ~uint64_t{0} - prng_.Below(4 * kPage);
    // A mapping that cannot be wired is gone again, with what it replaced.
    undone_ = (arguments.flags & kMapFixed) != 0;
    return calls_.Mmap(&process_, arguments).error;
  }
  Errno Mremap() {
    uint32_t flags = Some({kMapFixed, kMapRemapDup}, 3);
    if (prng_.Chance(1, 5)) flags |= static_cast<uint32_t>(prng_.Below(80)) << kMapAlignShift;
    if (prng_.Chance(1, 30)) flags |= kMapShared;
    undone_ = (flags & kMapFixed) != 0;  // what is at the new place goes first
    return calls_.Mremap(&process_, Address(), Length(), Address(), Length(), flags).error;
  }
  Errno Brk() {
    const Errno error = calls_.Brk(
        &process_, prng_.Chance(1, 10) ? Address() : process_.heap_start.value() + Length());
    return error;
  }

  base::Prng prng_;
  World world_;
  MmapCalls calls_;
  Process process_;
  Space space_{&world_, nullptr, 0};
  std::vector<Object*> files_;
  std::optional<Drought> drought_;
  uint64_t step_ = 0;
  bool undone_ = false;  // the call may leave a trace when it fails
};

class MmapPropTest : public ::testing::TestWithParam<Pressure> {};

TEST_P(MmapPropTest, WhatFailsChangesNothing) {
  const bool swaps = GetParam().swap_pages != 0;
  constexpr uint64_t kSteps = 250;
  const uint64_t seeds = swaps ? 120 : 240;
  uint64_t swapped_in = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    History history(seed, GetParam());
    for (uint64_t step = 0; step < kSteps; ++step) {
      history.Step();
      ASSERT_EQ(history.Violation(), "")
          << "seed " << seed << " step " << step << " call " << history.step();
      ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed << " step " << step;
    }
    swapped_in += history.swapped_in();
    ASSERT_EQ(history.End(), "") << "seed " << seed;
  }
  EXPECT_EQ(swapped_in > 5 * seeds, swaps) << swapped_in;
}

INSTANTIATE_TEST_SUITE_P(Plenty, MmapPropTest,
                         ::testing::Values(Pressure{.frames = 200, .swap_pages = 0}));
INSTANTIATE_TEST_SUITE_P(Scarce, MmapPropTest,
                         ::testing::Values(Pressure{.frames = 32, .swap_pages = 256}));

}  // namespace
}  // namespace uvm::testing
