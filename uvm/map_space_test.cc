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

// ---- Colours: of frames, which extraction keeps, and of objects, which the pmap knows about. Page
// 0 of a space has colour 0.

TEST_F(MapSpaceTest, ColoursMoveInTheDirectionOfTheSearch) {
  ASSERT_TRUE(uvm().DebugPages().Recolour(4));
  Space up = NewSpace("0....0......", kUp);
  EXPECT_EQ(up.Find({.hint = 0, .align = 0, .flags = kEnterColorMatch}), "4");
  EXPECT_EQ(up.Find({.hint = 0, .align = 3, .flags = kEnterColorMatch}), "3");
  EXPECT_EQ(up.Find({.hint = 0, .pages = 2, .align = 0, .flags = kEnterColorMatch}), "8");
  EXPECT_EQ(up.Find({.hint = 0, .pages = 2, .align = 7, .flags = kEnterColorMatch}), "3");
  EXPECT_EQ(up.Find({.hint = 10, .pages = 2, .align = 1, .flags = kEnterColorMatch}), "none");
  Space down = NewSpace("......0....0", kDown);
  EXPECT_EQ(down.Find({.hint = 12, .align = 1, .flags = kEnterColorMatch}), "9");
  EXPECT_EQ(down.Find({.hint = 12, .align = 2, .flags = kEnterColorMatch}), "10");
  EXPECT_EQ(down.Find({.hint = 12, .pages = 2, .align = 2, .flags = kEnterColorMatch}), "2");
}

TEST_F(MapSpaceTest, WhatIsExtractedKeepsItsColour) {
  ASSERT_TRUE(uvm().DebugPages().Recolour(8));
  Space source = NewSpace(".....AB.");
  Space target = NewSpace(std::string(24, '.'));
  EXPECT_EQ(source.Extract(5, 2, target, 0), 5u);
  EXPECT_EQ(source.Extract(5, 2, target, 0), 13u);
  EXPECT_EQ(source.Extract(6, 1, target, 16), 22u);
}

TEST_F(MapSpaceTest, AnObjectIsPutWhereThePmapPrefersIt) {
  pmap().PreferColours(4);
  Object* file = File(7);
  Space up = NewSpace("0...........", kUp);
  EXPECT_EQ(up.Find({.hint = 0, .file = file, .file_page = 3}), "3");
  EXPECT_EQ(up.Find({.hint = 4, .pages = 2, .file = file, .file_page = 7}), "7");
  EXPECT_EQ(up.Find({.hint = 8, .pages = 2, .file = file, .file_page = 3}), "none");
  EXPECT_EQ(up.Find({.hint = 8, .pages = 2}), "8") << "anonymous memory has no colour";
  Space down = NewSpace("............", kDown);
  EXPECT_EQ(down.Find({.hint = 12, .file = file, .file_page = 2}), "10");
  EXPECT_EQ(down.Find({.hint = 12, .pages = 3, .file = file, .file_page = 2}), "6");
  // A file that is mapped anywhere has its colour; who names the place gets it.
  EXPECT_EQ(up.Map({.where = Where::kAnywhere, .file = file, .file_page = 1}), 1u);
  EXPECT_EQ(up.Map({.where = Where::kAnywhere, .file = file, .file_page = 1}), 5u);
  EXPECT_EQ(up.Map({.at = 2, .where = Where::kHint, .file = file, .file_page = 1}), 2u);
  // Alignment comes last, and is what the caller is promised.
  EXPECT_EQ(up.Find({.hint = 6, .align = 8, .file = file, .file_page = 3}), "8");
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

constexpr uint64_t kFrameColours = 4;
constexpr uint64_t kObjectColours = 8;

// The rule itself, by trying every page. Page 0 has colour 0.
std::string Nearest(const std::vector<bool>& used, const FindOptions& options,
                    Direction direction) {
  static_assert((kPageZero.value() >> base::kPageShift) % kObjectColours == 0);
  auto suits = [&](uint64_t at) {
    if (options.file != nullptr && (at - options.file_page) % kObjectColours != 0) return false;
    if ((options.flags & kEnterColorMatch) != 0) return (at - options.align) % kFrameColours == 0;
    return options.align == 0 || at % options.align == 0;
  };
  std::optional<uint64_t> best;
  for (uint64_t at = 0; at + options.pages <= used.size(); ++at) {
    bool allowed = direction == Direction::kBottomUp ? at >= options.hint : at <= options.hint;
    if (!allowed || !suits(at) || options.hint > used.size()) continue;
    bool free = true;
    for (uint64_t page = at; page < at + options.pages; ++page) free = free && !used[page];
    if (!free) continue;
    if (!best.has_value() || direction == Direction::kTopDown) best = at;
  }
  return best.has_value() ? std::to_string(*best) : "none";
}

// Aligned, of a frame's colour, or of an object's: one of them, or nothing of the kind.
FindOptions RandomSearch(base::Prng* prng, uint64_t pages, Object* file) {
  FindOptions options;
  options.hint = prng->Below(pages + 3);
  options.pages = 1 + prng->Below(8);
  switch (prng->Below(5)) {
    case 0:
      options.align = uint64_t{1} << prng->Below(5);
      break;
    case 1:
      options.align = prng->Below(2 * kFrameColours);
      options.flags = kEnterColorMatch;
      break;
    case 2:
      options.file = file;
      options.file_page = prng->Below(pages);
      break;
    default:
      break;
  }
  return options;
}

TEST_F(MapSpaceTest, RandomMapsAgreeWithABitmap) {
  constexpr uint64_t kPages = 96;
  ASSERT_TRUE(uvm().DebugPages().Recolour(kFrameColours));
  pmap().PreferColours(kObjectColours);
  Object* file = File(7);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    base::Prng prng(seed, "map_space");
    Direction direction = seed % 2 == 0 ? kUp : kDown;
    Space space = NewSpace(std::string(kPages, '.'), direction);
    std::vector<bool> used(kPages);
    for (int step = 0; step < 400; ++step) {
      const FindOptions options = RandomSearch(&prng, kPages, file);
      ASSERT_EQ(space.Find(options), Nearest(used, options, direction))
          << "seed " << seed << " step " << step << " hint " << options.hint << " pages "
          << options.pages << " align " << options.align << " flags " << options.flags << " file "
          << (options.file != nullptr) << " page " << options.file_page;
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
