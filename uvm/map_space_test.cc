// Searching for space: the nearest fit from the hint, in both directions.

#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using Where = Map::Where;

class MapSpaceTest : public PictureTest {
 protected:
  static constexpr Direction kUp = Direction::kBottomUp;
  static constexpr Direction kDown = Direction::kTopDown;
};

// ---- Bottom-up.

TEST_F(MapSpaceTest, BottomUpIsTheLowestFitAtOrAboveTheHint) {
  Space space = NewSpace(".00..00...", kUp);
  EXPECT_EQ(space.Find({.hint = 0}), "0");
  EXPECT_EQ(space.Find({.hint = 1}), "3");
  EXPECT_EQ(space.Find({.hint = 2}), "3");
  EXPECT_EQ(space.Find({.hint = 4}), "4");
  EXPECT_EQ(space.Find({.hint = 4, .pages = 2}), "7");
  EXPECT_EQ(space.Find({.hint = 0, .pages = 3}), "7");
  EXPECT_EQ(space.Find({.hint = 8, .pages = 2}), "8");
  EXPECT_EQ(space.Find({.hint = 8, .pages = 3}), "none");  // never below the hint
  EXPECT_EQ(space.Find({.hint = 9}), "9");
  EXPECT_EQ(space.Find({.hint = 10}), "none");
}

TEST_F(MapSpaceTest, TopDownIsTheHighestFitAtOrBelowTheHint) {
  Space space = NewSpace("...00..00.", kDown);
  EXPECT_EQ(space.Find({.hint = 10}), "9");
  EXPECT_EQ(space.Find({.hint = 9}), "9");
  EXPECT_EQ(space.Find({.hint = 8}), "6");
  EXPECT_EQ(space.Find({.hint = 8, .pages = 2}), "5");
  EXPECT_EQ(space.Find({.hint = 5}), "5");
  EXPECT_EQ(space.Find({.hint = 5, .pages = 2}), "5");
  EXPECT_EQ(space.Find({.hint = 4, .pages = 2}), "1");
  EXPECT_EQ(space.Find({.hint = 10, .pages = 3}), "0");
  EXPECT_EQ(space.Find({.hint = 0}), "0");
  EXPECT_EQ(space.Find({.hint = 10, .pages = 4}), "none");
}

TEST_F(MapSpaceTest, AHintBelowTheMapIsItsStartAndOneAboveFindsNothing) {
  for (Direction direction : {kUp, kDown}) {
    Space space = NewSpace("..0.", direction);
    Vaddr at;
    ASSERT_TRUE(space->map().FindSpace({.hint = Vaddr(0), .size = base::kPageSize}, &at));
    EXPECT_EQ(at, kPageZero);
    EXPECT_FALSE(space->map().FindSpace({.hint = PageAt(5), .size = base::kPageSize}, &at));
    EXPECT_FALSE(space->map().FindSpace({.hint = Vaddr(0), .size = 0}, &at));
    EXPECT_FALSE(space->map().FindSpace({.hint = Vaddr(0), .size = ~base::kPageMask}, &at));
  }
}

TEST_F(MapSpaceTest, AnEmptyMapIsOneGap) {
  EXPECT_EQ(NewSpace("....", kUp).Find({.pages = 4}), "0");
  EXPECT_EQ(NewSpace("....", kUp).Find({.pages = 5}), "none");
  EXPECT_EQ(NewSpace("....", kDown).Find({.hint = 4, .pages = 4}), "0");
  EXPECT_EQ(NewSpace("....", kDown).Find({.hint = 4, .pages = 1}), "3");
}

TEST_F(MapSpaceTest, FixedFindsTheHintOrNothing) {
  for (Direction direction : {kUp, kDown}) {
    Space space = NewSpace("0..0", direction);
    EXPECT_EQ(space.Find({.hint = 1, .pages = 2, .fixed = true}), "1");
    EXPECT_EQ(space.Find({.hint = 2, .pages = 1, .fixed = true}), "2");
    EXPECT_EQ(space.Find({.hint = 2, .pages = 2, .fixed = true}), "none");
    EXPECT_EQ(space.Find({.hint = 0, .pages = 1, .fixed = true}), "none");
    EXPECT_EQ(space.Find({.hint = 3, .pages = 2, .fixed = true}), "none");
    EXPECT_EQ(space.Find({.hint = 4, .pages = 1, .fixed = true}), "none");
    Vaddr at;
    EXPECT_FALSE(space->map().FindSpace(
        {.hint = kPageZero - base::kPageSize, .size = base::kPageSize, .fixed = true}, &at));
  }
}

TEST_F(MapSpaceTest, AlignmentMovesInTheDirectionOfTheSearch) {
  // Page 0 lies at 0x10000, so alignment to 4 pages means pages 0, 4, 8, ...
  Space up = NewSpace("0...........", kUp);
  EXPECT_EQ(up.Find({.hint = 0, .align = 4}), "4");
  EXPECT_EQ(up.Find({.hint = 5, .align = 4}), "8");
  EXPECT_EQ(up.Find({.hint = 4, .align = 4}), "4");
  EXPECT_EQ(up.Find({.hint = 9, .align = 4}), "none");
  Space down = NewSpace("...........0", kDown);
  EXPECT_EQ(down.Find({.hint = 12, .align = 4}), "8");
  EXPECT_EQ(down.Find({.hint = 7, .align = 4}), "4");
  EXPECT_EQ(down.Find({.hint = 12, .pages = 4, .align = 4}), "4");
  EXPECT_EQ(down.Find({.hint = 3, .align = 4}), "0");
}

TEST_F(MapSpaceTest, AlignmentSkipsGapsThatItSpoils) {
  Space up = NewSpace("0...0.00....", kUp);
  EXPECT_EQ(up.Find({.hint = 0, .pages = 3, .align = 4}), "8");
  Space down = NewSpace("....0...0...", kDown);
  EXPECT_EQ(down.Find({.hint = 12, .pages = 2, .align = 4}), "0");
}

TEST_F(MapSpaceTest, WithOneColourEveryAddressHasIt) {
  Space space = NewSpace("0...");
  EXPECT_EQ(space.Find({.hint = 0, .align = 5, .flags = kEnterColorMatch}), "1");
}

// ---- The two defects of the original's searches.

TEST_F(MapSpaceTest, TopDownFromTheVeryEndStartsAtTheHighestHole) {  // facts/uvm.md 5.B' N7
  Space space = NewSpace(".0..0..0..", kDown);
  EXPECT_EQ(space.Find({.hint = 10, .pages = 2}), "8");
  space.Unmap(0, 10);
  space.Map({.at = 2, .pages = 8});
  EXPECT_EQ(space.Find({.hint = 10, .pages = 2}), "0");
  EXPECT_EQ(space.Find({.hint = 10, .pages = 1}), "1");
}

TEST_F(MapSpaceTest, TopDownConsidersTheHoleBelowTheFirstEntry) {  // facts/uvm.md 5.B' N8
  Space space = NewSpace("....0.0.0.", kDown);
  EXPECT_EQ(space.Find({.hint = 10, .pages = 4}), "0");
  EXPECT_EQ(space.Find({.hint = 8, .pages = 3}), "1");
  EXPECT_EQ(space.Find({.hint = 8, .pages = 2}), "2");
}

// PR 51254 (facts/uvm.md 5.A item 5): a result above the hint, or not the nearest.
TEST_F(MapSpaceTest, TopDownNeverPassesTheHint) {
  Space space = NewSpace("0...0......0", kDown);
  for (uint64_t hint = 0; hint <= 12; ++hint) {
    std::string found = space.Find({.hint = hint, .pages = 2});
    if (found != "none") {
      EXPECT_LE(std::stoull(found), hint);
    }
  }
  EXPECT_EQ(space.Find({.hint = 6, .pages = 2}), "6");
  EXPECT_EQ(space.Find({.hint = 4, .pages = 2}), "2");
  EXPECT_EQ(space.Find({.hint = 0, .pages = 2}), "none");
}

// ---- How Enter searches.

TEST_F(MapSpaceTest, EnterNearTakesTheNearestFit) {
  Space up = NewSpace("..0..0....", kUp);
  EXPECT_EQ(up.Map({.at = 2, .pages = 2, .where = Where::kNear}), 3u);
  EXPECT_EQ(up.TryMap({.at = 8, .pages = 3, .where = Where::kNear}), "no_space");
  Space down = NewSpace("..0..0....", kDown);
  EXPECT_EQ(down.Map({.at = 5, .pages = 2, .where = Where::kNear}), 3u);
  EXPECT_EQ(down.Map({.at = 10, .pages = 1, .where = Where::kNear}), 9u);
  EXPECT_EQ(down.Map({.at = 9, .pages = 1, .where = Where::kNear, .align = 2}), 8u);
}

TEST_F(MapSpaceTest, AnywhereStartsAtTheMapsOwnEnd) {
  EXPECT_EQ(NewSpace("0...", kUp).Map({.where = Where::kAnywhere}), 1u);
  EXPECT_EQ(NewSpace("...0", kDown).Map({.where = Where::kAnywhere}), 2u);
}

TEST_F(MapSpaceTest, ATakenHintGivesWayToTheMapsOwnEnd) {
  Space down = NewSpace(".0..", kDown);
  EXPECT_EQ(down.Map({.at = 1, .where = Where::kHint}), 3u);
  EXPECT_EQ(down.Map({.at = 0, .where = Where::kHint}), 0u);
  Space up = NewSpace("....", kUp);
  EXPECT_EQ(up.Map({.at = 3, .where = Where::kHint, .align = 2}), 0u);  // not aligned: no good hint
}

// ---- Against a bitmap.

// The rule itself, by trying every page.
std::string Nearest(const std::vector<bool>& used, const FindOptions& options,
                    Direction direction) {
  uint64_t step = options.align == 0 ? 1 : options.align;
  std::optional<uint64_t> best;
  for (uint64_t at = 0; at + options.pages <= used.size(); ++at) {
    bool allowed = direction == Direction::kBottomUp ? at >= options.hint : at <= options.hint;
    if (!allowed || at % step != 0 || options.hint > used.size()) continue;
    bool free = true;
    for (uint64_t page = at; page < at + options.pages; ++page) free = free && !used[page];
    if (!free) continue;
    if (!best.has_value() || direction == Direction::kTopDown) best = at;
  }
  return best.has_value() ? std::to_string(*best) : "none";
}

TEST_F(MapSpaceTest, RandomMapsAgreeWithABitmap) {
  constexpr uint64_t kPages = 96;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    base::Prng prng(seed, "map_space");
    Direction direction = seed % 2 == 0 ? kUp : kDown;
    Space space = NewSpace(std::string(kPages, '.'), direction);
    std::vector<bool> used(kPages);
    for (int step = 0; step < 400; ++step) {
      FindOptions options;
      options.hint = prng.Below(kPages + 3);
      options.pages = 1 + prng.Below(8);
      options.align = prng.Below(3) == 0 ? uint64_t{1} << prng.Below(5) : 0;
      ASSERT_EQ(space.Find(options), Nearest(used, options, direction))
          << "seed " << seed << " step " << step << " hint " << options.hint << " pages "
          << options.pages << " align " << options.align;
      uint64_t first = prng.Below(kPages);
      uint64_t count = 1 + prng.Below(6);
      if (first + count > kPages) count = kPages - first;
      bool map = prng.Below(2) == 0;
      if (map) {
        space.Map({.at = first,
                   .pages = count,
                   .where = Where::kFixedReplace,
                   .prot = prng.Below(2) == 0 ? base::kProtRead : base::kProtReadWrite});
      } else {
        space.Unmap(first, count);
      }
      for (uint64_t page = first; page < first + count; ++page) used[page] = map;
    }
    space.Exit();
  }
}

}  // namespace
}  // namespace uvm::testing
