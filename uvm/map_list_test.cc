// Telling others what is mapped: listings, residence, core dumps.

#include <string>
#include <vector>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/device.h"
#include "uvm/map.h"
#include "uvm/pager.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtNone;
using base::kProtRead;
using Type = Map::EntryInfo::Type;

class MapListTest : public PictureTest {
 protected:
  // The segments of a dump as a picture: letters for contents, lower case for what is not dumped.
  std::string Dump(const Space& space, Range stack = {PageAt(0), PageAt(0)}) {
    struct Painter final : Map::CoreVisitor {
      std::string picture;
      char letter = 'A';
      std::string stacks;
      bool Visit(const Map::CoreSegment& segment) override {
        for (Vaddr va = segment.range.start; va < segment.range.end; va = va + base::kPageSize) {
          picture[(va - kPageZero) >> base::kPageShift] =
              va < segment.contents_end ? letter : static_cast<char>(letter - 'A' + 'a');
        }
        if (segment.stack) stacks += letter;
        ++letter;
        return letter <= 'Z';
      }
    } painter;
    painter.picture = std::string(space.pages(), '.');
    EXPECT_TRUE(space->map().WalkForCore(stack, &painter));
    EXPECT_EQ(space->map().CountCoreSegments(), static_cast<uint64_t>(painter.letter - 'A'));
    return painter.picture + (painter.stacks.empty() ? "" : " stack " + painter.stacks);
  }

  // mincore's picture: r resident, - not, . hole.
  std::string Resident(const Space& space) {
    std::string picture;
    for (uint64_t page = 0; page < space.pages(); ++page) {
      bool resident = false;
      bool mapped = space->map().IsResident(PageAt(page), &resident);
      picture += !mapped ? '.' : resident ? 'r' : '-';
    }
    return picture;
  }
};

TEST_F(MapListTest, AnEntryTellsAllAboutItself) {
  Object* file = File(7);
  Space space = NewSpace("A.......");
  space.Map({.at = 1, .pages = 2, .prot = kProtRead, .file = file, .file_page = 3});
  space.Map({.at = 4,
             .max_prot = base::kProtReadWrite,
             .inherit = Inherit::kShare,
             .sharing = Sharing::kShared,
             .advice = Advice::kRandom});
  space.Wire(4, 1);
  space.TryReserve(6, 2);
  std::vector<Map::EntryInfo> list(4);
  Result<uint64_t, MapError> count = space->map().List(list.data(), list.size());
  ASSERT_TRUE(count.ok());
  EXPECT_EQ(count.value(), 4u);
  EXPECT_EQ(list[0].type, Type::kAnonymous);
  EXPECT_TRUE(list[0].copy_on_write);
  EXPECT_FALSE(list[0].needs_copy);
  EXPECT_EQ(list[0].amap_refs, 1u);
  EXPECT_EQ(list[1].type, Type::kObject);
  EXPECT_EQ(list[1].kind, Pager::Kind::kStored);
  EXPECT_EQ(list[1].object_id, file->id);
  EXPECT_EQ(list[1].offset, 3 * base::kPageSize);
  EXPECT_EQ(list[1].range, Pages(1, 2));
  EXPECT_TRUE(list[1].needs_copy);
  EXPECT_EQ(list[1].amap_refs, 0u);
  EXPECT_EQ(list[2].max_prot, base::kProtReadWrite);
  EXPECT_EQ(list[2].inherit, Inherit::kShare);
  EXPECT_EQ(list[2].advice, Advice::kRandom);
  EXPECT_EQ(list[2].wired_count, 1u);
  EXPECT_TRUE(list[2].shared);
  EXPECT_EQ(list[3].type, Type::kNone);
}

TEST_F(MapListTest, AListThatIsTooShortGetsTheFirstEntries) {
  Space space = NewSpace("A.B.C");
  std::vector<Map::EntryInfo> list(2);
  Result<uint64_t, MapError> count = space->map().List(list.data(), list.size());
  ASSERT_FALSE(count.ok());
  EXPECT_EQ(count.error(), MapError::kNoSpace);
  EXPECT_EQ(list[1].range, Pages(2, 1));
  EXPECT_EQ(space->map().List(nullptr, 0).error(), MapError::kNoSpace);
  Space empty = NewSpace("...");
  EXPECT_EQ(empty->map().List(nullptr, 0).value(), 0u);
}

TEST_F(MapListTest, ResidenceLooksThroughTheLayers) {
  Object* file = File(7);
  Space space = NewSpace("A0.....");
  space.Map({.at = 3, .pages = 3, .file = file});
  space.Advise(3, 3, Advice::kRandom);
  EXPECT_EQ(Resident(space), "r-.---.");
  space.Read("...x...");
  space.Write("....z..");
  EXPECT_EQ(Resident(space), "r-.rr-.");
}

TEST_F(MapListTest, AnonymousRegionsAreCutWhereTouchedPagesEnd) {
  Space space = NewSpace("AB00C0.D");
  EXPECT_EQ(Dump(space), "AAaaBb.C");
}

TEST_F(MapListTest, ARegionMayBeginUntouched) {
  Space space = NewSpace("000");
  space.Write("..x");
  EXPECT_EQ(Dump(space), "aaB");
}

TEST_F(MapListTest, WhatHasNothingToTellIsEmpty) {
  Object* file = File(7);
  Space space = NewSpace("........");
  space.Map({.at = 0, .pages = 2});                                   // never touched
  space.Map({.at = 2, .pages = 1, .prot = kProtRead, .file = file});  // the file has it all
  space.Map({.at = 3, .pages = 1, .file = file, .file_page = 4});     // may have been written
  space.Map({.at = 5, .pages = 1});
  space.Write(".....x..");
  space.Protect(5, 1, kProtNone);
  space.TryReserve(6, 1);
  EXPECT_EQ(Dump(space), "aabC.de.");
}

// Reading a device may change it, and may take for ever.
TEST_F(MapListTest, DevicesAreNotDumped) {
  class Registers final : public DeviceDriver {
   public:
    explicit Registers(base::Paddr frame) : frame_(frame) {}
    bool Mmap(uint64_t, uint64_t, Prot, uint64_t* cookie) override {
      *cookie = frame_.value();
      return true;
    }

   private:
    const base::Paddr frame_;
  } registers(pmap().device_frame(0));
  Object* device = uvm().AttachDevice(&registers, 1, base::kProtReadWrite, 0, base::kPageSize);
  ASSERT_NE(device, nullptr);
  Space space = NewSpace("A..");
  space.Map({.at = 1, .sharing = Sharing::kShared, .file = device});
  space.Map({.at = 2, .sharing = Sharing::kShared, .file = File(7)});
  EXPECT_EQ(space.Touch(1, Access::kWrite), "ok");
  EXPECT_EQ(Dump(space), "AbC");
  uvm().ReleaseObject(device);
}

// 10 MB are the largest listing (facts/uvm.md 1.1), whoever offers how much room.
TEST_F(MapListTest, AListingBeyondTenMegabytesIsRefused) {
  constexpr uint64_t kMost = (10 << 20) / sizeof(Map::EntryInfo);
  Result<uvm::Space*, MapError> wide = uvm().CreateSpace(kPageZero, PageAt(kMost + 1));
  ASSERT_TRUE(wide.ok());
  Map& map = wide.value()->map();
  for (uint64_t page = 0; page < kMost; ++page) {
    ASSERT_TRUE(
        map.Reserve({.at = PageAt(page), .size = base::kPageSize, .where = Map::Where::kFixed})
            .ok());
  }
  std::vector<Map::EntryInfo> list(kMost + 1);
  EXPECT_EQ(map.List(list.data(), list.size()).value(), kMost);
  EXPECT_EQ(list[kMost - 1].range, Pages(kMost - 1, 1));
  ASSERT_TRUE(
      map.Reserve({.at = PageAt(kMost), .size = base::kPageSize, .where = Map::Where::kFixed})
          .ok());
  Result<uint64_t, MapError> refused = map.List(list.data(), list.size());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error(), MapError::kTooBig);
  EXPECT_EQ(map.List(nullptr, 0).error(), MapError::kTooBig);
  uvm().FreeSpace(wide.value());
}

TEST_F(MapListTest, TheStackIsMarked) {
  Space space = NewSpace("A.BC");
  EXPECT_EQ(Dump(space, Pages(2, 2)), "A.BB stack B");
}

TEST_F(MapListTest, TheVisitorCanEndTheWalkAndChangeTheMap) {
  struct Unmapper final : Map::CoreVisitor {
    Map* map = nullptr;
    int visits = 0;
    bool Visit(const Map::CoreSegment& segment) override {
      EXPECT_TRUE(map->Unmap(segment.range).ok());
      return ++visits < 2;
    }
  } unmapper;
  Space space = NewSpace("A.B.C");
  unmapper.map = &space->map();
  EXPECT_FALSE(space->map().WalkForCore({PageAt(0), PageAt(0)}, &unmapper));
  EXPECT_EQ(Layout(space), "....A");
}

}  // namespace
}  // namespace uvm::testing
