#include "fake_l4/rewind_area.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "fake_l4/fiber.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

class RewindAreaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!RewindArea::IsAvailable()) GTEST_SKIP() << "not under sanitizers";
  }
};

using Table = std::map<uint64_t, std::string>;

TEST_F(RewindAreaTest, MemoryComesFromTheAreaWhileInsideAndGoesBackFromAnywhere) {
  RewindArea area;
  std::string* inside = nullptr;
  {
    RewindArea::Inside scope(&area);
    EXPECT_EQ(RewindArea::Current(), &area);
    inside = new std::string(1000, 'x');
    RewindArea::Inside outside(nullptr);
    auto* other = new std::string(1000, 'y');
    EXPECT_FALSE(RewindArea::Free(nullptr));
    delete other;
  }
  EXPECT_EQ(RewindArea::Current(), nullptr);
  void* const where = inside;
  delete inside;
  RewindArea::Inside scope(&area);
  EXPECT_EQ(static_cast<void*>(new std::string), where) << "what was freed is used again";
}

TEST_F(RewindAreaTest, AlignedPiecesAreAligned) {
  RewindArea area;
  RewindArea::Inside scope(&area);
  for (size_t alignment : {8, 16, 64, 256, 4096}) {
    for (size_t bytes : {1, 17, 100, 1024, 1025, 5000, 70000}) {
      void* piece = area.Allocate(bytes, alignment);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(piece) % alignment, 0u);
      std::memset(piece, 0x5a, bytes);
      EXPECT_TRUE(RewindArea::Free(piece));
    }
  }
}

// Random changes of a table, marks and rewinds against copies of the table.
TEST_F(RewindAreaTest, AnyMarkIsFoundAgainAsItWas) {
  RewindArea area;
  Table* table = nullptr;
  {
    RewindArea::Inside scope(&area);
    table = new Table;
  }
  area.StartTracking();
  base::Prng prng(7, "rewind");
  std::vector<std::unique_ptr<RewindArea::Mark>> marks;
  std::vector<Table> copies;
  for (int round = 0; round < 2000; round++) {
    const uint64_t what = prng.Below(10);
    if (what == 0 || marks.empty()) {
      marks.push_back(std::make_unique<RewindArea::Mark>());
      area.Save(marks.back().get());
      copies.push_back(*table);
    } else if (what == 1) {
      const size_t chosen = prng.Below(marks.size());
      area.Rewind(*marks[chosen]);
      ASSERT_EQ(*table, copies[chosen]);
    } else {
      const uint64_t key = prng.Below(200);
      const uint64_t size = prng.Below(3000);
      RewindArea::Inside scope(&area);
      if (what < 4) table->erase(key);
      if (what >= 4) (*table)[key] = std::string(size, static_cast<char>('a' + what));
    }
  }
  area.RewindToStart();
  EXPECT_TRUE(table->empty());
}

struct Counting {
  Fiber host;
  Fiber fiber;
  StackArena stacks;
  uint64_t count = 0;

  static void Main(void* arg) {
    auto* self = static_cast<Counting*>(arg);
    for (uint64_t on_stack = 1;; on_stack++) {
      self->count = on_stack;
      Fiber::Switch(self->fiber, self->host);
    }
  }
};

TEST_F(RewindAreaTest, ASuspendedFiberGoesOnFromTheMark) {
  RewindArea area;
  Counting* c = nullptr;
  {
    RewindArea::Inside scope(&area);
    c = new Counting;
    c->fiber.Start(&c->stacks, Counting::Main, c);
  }
  area.StartTracking();
  const auto run = [&] {
    RewindArea::Inside scope(&area);
    Fiber::Switch(c->host, c->fiber);
    return c->count;
  };
  EXPECT_EQ(run(), 1u);
  EXPECT_EQ(run(), 2u);
  const RewindArea::Mark mark = area.Save();
  EXPECT_EQ(run(), 3u);
  EXPECT_EQ(run(), 4u);
  area.Rewind(mark);
  EXPECT_EQ(run(), 3u);
  area.RewindToStart();
  EXPECT_EQ(run(), 1u);
}

TEST_F(RewindAreaTest, OnlyPagesThatWereStoredToAreCopied) {
  RewindArea area;
  unsigned char* pages = nullptr;
  {
    RewindArea::Inside scope(&area);
    pages = area.TakePages(1000);
  }
  area.StartTracking();
  EXPECT_EQ(area.pages_stored_to(), 0u);
  pages[5 * 4096] = 1;
  pages[7 * 4096 + 1] = 2;
  pages[5 * 4096 + 9] = 3;
  EXPECT_EQ(area.pages_stored_to(), 2u);
  EXPECT_EQ(area.Save().changed.size(), 2u);
  area.RewindToStart();
  EXPECT_EQ(pages[5 * 4096] + pages[7 * 4096 + 1] + pages[5 * 4096 + 9], 0);
  EXPECT_EQ(area.Save().changed.size(), 0u);
}

TEST_F(RewindAreaTest, StartingAnewForgetsWhatWasStoredTo) {
  RewindArea area;
  unsigned char* pages = nullptr;
  {
    RewindArea::Inside scope(&area);
    pages = area.TakePages(100);
  }
  area.StartTracking();
  for (int i = 0; i < 50; i++) pages[i * 4096] = 1;
  area.StartAnew();
  EXPECT_EQ(area.pages_stored_to(), 0u);
  for (int i = 0; i < 50; i++) EXPECT_EQ(pages[i * 4096], 0);
  pages[3 * 4096] = 1;
  const RewindArea::Mark mark = area.Save();
  pages[3 * 4096] = 2;
  pages[90 * 4096] = 2;
  area.Rewind(mark);
  EXPECT_EQ(pages[3 * 4096] + pages[90 * 4096], 1);
  EXPECT_EQ(area.pages_stored_to(), 2u);
}

TEST_F(RewindAreaTest, WhatIsSettledIsTheStartUntilStartAnew) {
  RewindArea area;
  unsigned char* pages = nullptr;
  {
    RewindArea::Inside scope(&area);
    pages = area.TakePages(100);
  }
  area.StartTracking();
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 50; i++) pages[i * 4096] = 1;
    area.Settle();
    EXPECT_EQ(area.pages_stored_to(), round == 0 ? 0u : 1u);
    pages[3 * 4096] = 2;
    pages[90 * 4096] = 2;
    EXPECT_EQ(area.pages_stored_to(), round == 0 ? 2u : 3u);
    const RewindArea::Mark mark = area.Save();
    pages[3 * 4096] = 3;
    area.Rewind(mark);
    EXPECT_EQ(pages[3 * 4096], 2);
    area.RewindToStart();
    EXPECT_EQ(pages[3 * 4096], 1);
    EXPECT_EQ(pages[4 * 4096] + pages[90 * 4096], 1);
    pages[4 * 4096] = 4;
    area.StartAnew();
    for (int i = 0; i < 100; i++) EXPECT_EQ(pages[i * 4096], 0);
    // What differed at the end is expected to be stored to again.
    EXPECT_EQ(area.pages_stored_to(), 1u);
  }
  area.Settle();
  area.StartAnew();
  EXPECT_EQ(area.pages_stored_to(), 0u);
}

// Whichever pages stay unprotected from one to the next.
TEST_F(RewindAreaTest, RunsThatAreMuchAlikeAreTakenBackWhole) {
  constexpr int kPages = 40;
  RewindArea area;
  unsigned char* pages = nullptr;
  {
    RewindArea::Inside scope(&area);
    pages = area.TakePages(kPages);
  }
  area.StartTracking();
  base::Prng prng(11, "runs");
  const auto store_to_some = [&](uint64_t chance) {
    for (int i = 0; i < kPages; i++) {
      if (prng.Chance(i < kPages / 2 ? chance : 1, 8)) {
        pages[i * 4096 + 5] = static_cast<unsigned char>(prng.Below(3));
      }
    }
  };
  const auto what_is = [&] {
    std::string bytes;
    for (int i = 0; i < kPages; i++) bytes.push_back(static_cast<char>(pages[i * 4096 + 5]));
    return bytes;
  };
  const std::string at_first = what_is();
  size_t fewest = kPages;
  for (int program = 0; program < 200; program++) {
    store_to_some(prng.Below(8));
    const bool settles = prng.Chance(7, 8);
    if (settles) area.Settle();
    const std::string start = settles ? what_is() : at_first;
    // Without marks the second Rewind drops what stayed unprotected for nothing.
    const bool marks = prng.Chance(1, 2);
    for (int run = 0; run < 6; run++) {
      area.RewindToStart();
      ASSERT_EQ(what_is(), start);
      store_to_some(program % 3 == 0 ? 0 : 6);
      if (!marks) continue;
      const std::string here = what_is();
      const RewindArea::Mark mark = area.Save();
      store_to_some(3);
      area.Rewind(mark);
      ASSERT_EQ(what_is(), here);
    }
    if (settles && !marks) fewest = std::min(fewest, area.pages_stored_to());
    area.StartAnew();
    ASSERT_EQ(what_is(), at_first);
  }
  // A few are stored to in every run; most are dropped where only these are.
  EXPECT_LT(fewest, size_t{kPages} / 2);
}

using RewindAreaDeathTest = RewindAreaTest;

TEST_F(RewindAreaDeathTest, AStackThatOverflowsStillEndsTheProgram) {
  ASSERT_DEATH(
      {
        RewindArea area;
        RewindArea::Inside scope(&area);
        StackArena stacks;
        uint8_t* stack = stacks.Take();
        RewindArea::Inside outside(nullptr);
        area.StartTracking();
        *static_cast<volatile uint8_t*>(stack) = 1;
        *static_cast<volatile uint8_t*>(stack - 1) = 1;
      },
      "");
}

}  // namespace
}  // namespace fake_l4
