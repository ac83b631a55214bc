// Searches for free space in recorded maps.
#include "conform/uvm_search.h"

#include <optional>

#include "conform/uvm_picture.h"
#include "conform/uvm_recording.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

constexpr uint64_t kPage = kUvmPageBytes;

// Sixteen pages from kStart: "." is free.
constexpr uint64_t kStart = 0x100000;
UvmSequence Sequence(bool topdown) {
  UvmSequence s;
  s.start = kStart;
  s.end = kStart + 16 * kPage;
  s.topdown = topdown;
  return s;
}
UvmPicture::Entries Entries(const std::string& picture) {
  UvmPicture::Entries entries;
  for (size_t i = 0; i < picture.size(); i++) {
    if (picture[i] == '.') continue;
    UvmEntry e;
    e.start = kStart + i * kPage;
    e.end = e.start + kPage;
    entries[e.start] = e;
  }
  return entries;
}

// The page that is found, or -1.
int Nearest(bool topdown, const std::string& picture, uint64_t hint, uint64_t pages,
            uint64_t align = 0) {
  const std::optional<uint64_t> found = NearestFree(
      Sequence(topdown), Entries(picture), {.hint = hint, .bytes = pages * kPage, .align = align});
  return found.has_value() ? static_cast<int>((*found - kStart) / kPage) : -1;
}
uint64_t At(uint64_t page) { return kStart + page * kPage; }

constexpr char kPicture[] = "..AA...B.....CC.";

TEST(NearestFreeTest, BottomUpTakesTheLowestFromTheHint) {
  EXPECT_EQ(Nearest(false, kPicture, 0, 1), 0);
  EXPECT_EQ(Nearest(false, kPicture, At(1), 1), 1);
  EXPECT_EQ(Nearest(false, kPicture, At(1), 2), 4);
  EXPECT_EQ(Nearest(false, kPicture, At(5), 3), 8);
  EXPECT_EQ(Nearest(false, kPicture, At(2), 6), -1);
  EXPECT_EQ(Nearest(false, kPicture, At(0), 1, 4 * kPage), 0);
  EXPECT_EQ(Nearest(false, kPicture, At(1), 2, 4 * kPage), 4);
  EXPECT_EQ(Nearest(false, kPicture, At(17), 1), -1);
}

TEST(NearestFreeTest, TopDownTakesTheHighestUpToTheHint) {
  EXPECT_EQ(Nearest(true, kPicture, At(16), 1), 15);
  EXPECT_EQ(Nearest(true, kPicture, At(16), 2), 11);
  EXPECT_EQ(Nearest(true, kPicture, At(9), 2), 9);  // it may reach beyond the hint
  EXPECT_EQ(Nearest(true, kPicture, At(7), 2), 5);
  EXPECT_EQ(Nearest(true, kPicture, At(3), 2), 0);
  EXPECT_EQ(Nearest(true, kPicture, At(3), 3), -1);
  EXPECT_EQ(Nearest(true, kPicture, At(16), 3, 4 * kPage), 8);
  EXPECT_EQ(Nearest(true, kPicture, 0, 1), 0);
  EXPECT_EQ(Nearest(true, kPicture, 0, 3), -1);
}

UvmOp Mremap(uint64_t pages) {
  UvmOp op;
  op.call = UvmCall::kMremap;
  op.start = At(2);
  op.pages = 2;
  op.target_size = pages;
  return op;
}
UvmResult Answer(uint64_t page) {
  UvmResult r;
  r.value = At(page);
  return r;
}
std::string Defect(const std::string& picture, const UvmOp& op, const UvmResult& recorded,
                   bool topdown = true) {
  const char* defect = UvmSearchDefect(Sequence(topdown), Entries(picture), op, recorded);
  return defect == nullptr ? "none" : defect;
}

// A remap without an address looks from the end on.
TEST(UvmSearchDefectTest, ASearchFromTheEndMayAnswerOddly) {
  EXPECT_EQ(Defect(kPicture, Mremap(2), Answer(11)), "none");  // the nearest
  EXPECT_EQ(Defect(kPicture, Mremap(2), Answer(5)), "N7");
  EXPECT_EQ(Defect(kPicture, Mremap(2), Answer(2)), "none");  // in place: no search
  EXPECT_EQ(Defect(kPicture, Mremap(2), Answer(5), false), "none");
  UvmResult failed;
  failed.error = kEnomem;
  EXPECT_EQ(Defect(kPicture, Mremap(2), failed), "N7");
  failed.error = kEinval;
  EXPECT_EQ(Defect(kPicture, Mremap(2), failed), "none");
}

TEST(UvmSearchDefectTest, TheHoleBelowTheFirstMappingIsMissed) {
  UvmOp mmap;
  mmap.call = UvmCall::kSysMmap;
  mmap.start = At(3);
  mmap.bytes = 2 * kPage;
  mmap.flags = 0x1002;
  EXPECT_EQ(Defect(kPicture, mmap, Answer(0)), "none");
  EXPECT_EQ(Defect(kPicture, mmap, Answer(11)), "N8");  // the second try
  mmap.start = At(1);                                   // in the hole itself
  EXPECT_EQ(Defect(kPicture, mmap, Answer(11)), "none");
  mmap.start = At(6);
  EXPECT_EQ(Defect(kPicture, mmap, Answer(11)), "none");  // nearest is 5: something else is wrong
  mmap.flags |= 0x10;
  EXPECT_EQ(Defect(kPicture, mmap, Answer(0)), "none");  // fixed
}

TEST(UvmPlacedTest, NamesThePlaceThatWasChosen) {
  const UvmOp placed = UvmPlaced(Mremap(2), Answer(5));
  EXPECT_EQ(placed.target, At(5));
  EXPECT_EQ(placed.flags, 0x10u);
  UvmOp map;
  map.call = UvmCall::kMap;
  map.start = At(9);
  EXPECT_EQ(UvmPlaced(map, Answer(5)).start, At(5));
  EXPECT_EQ(UvmPlaced(map, Answer(5)).flags, UvmFlag('F'));
}

}  // namespace
}  // namespace conform
