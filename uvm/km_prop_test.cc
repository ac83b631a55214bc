// Random histories of kernel memory: allocations of every kind in the kernel map and in submaps,
// written and read as a processor would, with frames and translations running short. A string of
// bytes for each allocation is the model.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/km.h"
#include "uvm/map.h"
#include "uvm/page.h"
#include "uvm/pager_map.h"
#include "uvm/swap.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPage = base::kPageSize;

class History {
 public:
  History(uint64_t seed, const Pressure& memory) : prng_(seed, "km_prop_test"), world_(memory) {
    if (seed % 2 == 0) {
      world_.ForgetAtRandom(seed);
      world_.pmap().DelayInvalidations();
    }
    if (seed % 3 == 0) world_.pmap().FailEntersAtRandom(seed, 8);
    if (seed % 5 == 0) world_.BeAdverse(seed);
    refusing_ = seed % 3 == 0 || seed % 5 == 0;
    world_.StopChecking();
    km_ = world_.uvm().Kernel();
    maps_ = {km_->map(), km_->Suballocate(km_->map(), 40 * kPage)};
    pager_.emplace(km_);
  }

  void Step() {
    if (Swaps() && prng_.Chance(1, 8)) world_.Squeeze();
    switch (prng_.Below(6)) {
      case 0:
      case 1:
        return Allocate();
      case 2:
        return Free();
      case 3:
        return Write();
      case 4:
        return Read();
      default:
        return ShowToPager();
    }
  }
  std::string Violation() { return world_.Violation(); }
  std::string End() {
    while (!blocks_.empty()) Free();
    EXPECT_EQ(maps_[1]->size_bytes(), 0u);
    const std::string left = world_.TearDownAndFindLeaks();
    EXPECT_EQ(world_.uvm().swap().in_use(), PageCount(0));
    return left;
  }
  uint64_t swapped_in() { return world_.uvm().counters().swap_in; }

 private:
  struct Block {
    Map* map;
    Vaddr at;
    uint32_t type;
    std::string bytes;
  };
  bool Swaps() { return world_.swap_device() != nullptr; }
  // Whether an access to pageable memory may find none: where there is swap, only when nearly all
  // frames are wired, or the pmap refuses.
  void ExpectRanOut(FaultError error) {
    EXPECT_EQ(error, FaultError::kNoMemory);
    PageStore& pages = world_.uvm().DebugPages();
    EXPECT_TRUE(!Swaps() || refusing_ ||
                pages.wired_count().value() + kFewestFrames > pages.total().value());
  }
  Block* Any() { return blocks_.empty() ? nullptr : &blocks_[prng_.Below(blocks_.size())]; }

  void Allocate() {
    constexpr uint32_t kTypes[] = {kKmWired, kKmWired | kKmZero, kKmPageable, kKmVaOnly};
    Map* map = maps_[prng_.Below(2)];
    const uint32_t type = kTypes[prng_.Below(4)];
    const uint64_t bytes = 1 + prng_.Below(12 * kPage);
    const uint64_t align = prng_.Chance(1, 3) ? kPage << prng_.Below(4) : 0;
    Result<Vaddr, MapError> at =
        km_->Allocate(map, bytes, align, type | (prng_.Chance(1, 2) ? kKmCanFail : kKmNoWait));
    if (!at.ok()) {
      EXPECT_TRUE(at.error() == MapError::kNoMemory || at.error() == MapError::kNoSpace);
      return;
    }
    if (align != 0) {
      EXPECT_EQ(at.value().value() % align, 0u);
    }
    blocks_.push_back({map, at.value(), type, std::string(base::RoundPage(bytes), '\0')});
    Block& block = blocks_.back();
    // Wired memory that nobody asked to be zeroed holds anything: it is filled first.
    if (type == kKmWired) Fill(&block, 0, block.bytes.size());
  }
  void Free() {
    if (blocks_.empty()) return;
    const size_t which = prng_.Below(blocks_.size());
    const Block block = blocks_[which];
    blocks_.erase(blocks_.begin() + static_cast<ptrdiff_t>(which));
    km_->Free(block.map, block.at, block.bytes.size(), block.type & ~uint32_t{kKmZero});
    EXPECT_TRUE(km_->IsEmpty({block.at, block.at + block.bytes.size()}));
  }
  // Fills what can be reached; where memory runs out the model stays as it is.
  void Fill(Block* block, uint64_t from, uint64_t bytes) {
    const char letter = static_cast<char>('a' + prng_.Below(26));
    for (uint64_t at = from; at < from + bytes;) {
      const uint64_t some = std::min(kPage - at % kPage, from + bytes - at);
      std::string text(some, letter);
      auto* data = reinterpret_cast<unsigned char*>(text.data());
      Result<void, FaultError> moved = km_->Copy(block->at + at, data, some, Access::kWrite);
      if (moved.ok()) {
        block->bytes.replace(at, some, text);
      } else {
        ExpectRanOut(moved.error());
        EXPECT_NE(block->type & kKmPageable, 0u);
      }
      at += some;
    }
  }
  void Write() {
    Block* block = Any();
    if (block == nullptr) return;
    if (block->type == kKmVaOnly) {
      unsigned char byte = 0;
      EXPECT_EQ(km_->Copy(block->at, &byte, 1, Access::kWrite), FaultError::kLayerless);
      return;
    }
    const uint64_t from = prng_.Below(block->bytes.size());
    Fill(block, from, 1 + prng_.Below(block->bytes.size() - from));
  }
  void Read() {
    Block* block = Any();
    if (block == nullptr || block->type == kKmVaOnly) return;
    std::string text(block->bytes.size(), '?');
    for (uint64_t at = 0; at < text.size(); at += kPage) {
      auto* data = reinterpret_cast<unsigned char*>(text.data()) + at;
      Result<void, FaultError> moved = km_->Copy(block->at + at, data, kPage, Access::kRead);
      if (!moved.ok()) {
        ExpectRanOut(moved.error());
        continue;
      }
      EXPECT_TRUE(text.compare(at, kPage, block->bytes, at, kPage) == 0) << "page " << at / kPage;
    }
  }
  // A page that the kernel has wired is shown in the pager's map for a while.
  void ShowToPager() {
    Page* page = km_->AllocateFrame();
    if (page == nullptr) return;
    Vaddr at = pager_->MapIn(&page, 1, kMapInRead);
    EXPECT_NE(at, Vaddr(0));
    EXPECT_EQ(pager_->PageAt(at), page);
    EXPECT_EQ(Violation(), "");
    pager_->MapOut(at, 1);
    km_->FreeFrame(page);
  }

  base::Prng prng_;
  World world_;
  KernelMemory* km_ = nullptr;
  std::vector<Map*> maps_;
  std::optional<PagerMap> pager_;
  std::vector<Block> blocks_;
  bool refusing_ = false;  // the pmap: enters fail
};

class KmPropTest : public ::testing::TestWithParam<Pressure> {};

TEST_P(KmPropTest, KernelMemoryHoldsWhatWasWritten) {
  constexpr uint64_t kSeeds = 120, kSteps = 120;
  uint64_t swapped_in = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    History history(seed, GetParam());
    for (uint64_t step = 0; step < kSteps; ++step) {
      history.Step();
      ASSERT_EQ(history.Violation(), "") << "seed " << seed << " step " << step;
      ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed << " step " << step;
    }
    swapped_in += history.swapped_in();
    ASSERT_EQ(history.End(), "") << "seed " << seed;
  }
  EXPECT_EQ(swapped_in > 5 * kSeeds, GetParam().swap_pages != 0) << swapped_in;
}

INSTANTIATE_TEST_SUITE_P(Plenty, KmPropTest,
                         ::testing::Values(Pressure{.frames = 48, .swap_pages = 0}));
INSTANTIATE_TEST_SUITE_P(Scarce, KmPropTest,
                         ::testing::Values(Pressure{.frames = 48, .swap_pages = 512}));

}  // namespace
}  // namespace uvm::testing
