#include "uvm/physseg.h"

#include <algorithm>
#include <map>
#include <string>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/page.h"
#include "uvm/testing/host_pages.h"

namespace uvm {
namespace {

using Handle = PhysicalSegments::Handle;

// Two runs of frames that can be reached: 16 from frame 256 on, 8 from frame 512 on.
class PhysicalSegmentsTest : public ::testing::Test {
 protected:
  PhysicalSegmentsTest() {
    EXPECT_TRUE(segments_.AddReachable(At(256), PageCount(16)));
    EXPECT_TRUE(segments_.AddReachable(At(512), PageCount(8)));
  }
  static Paddr At(uint64_t frame) { return Paddr(frame << base::kPageShift); }

  Handle Plug(uint64_t frame, uint64_t pages, uint32_t list = 0) {
    Handle handle;
    EXPECT_TRUE(segments_.Plug(At(frame), PageCount(pages), list, &handle));
    EXPECT_TRUE(segments_.Init(handle));
    return handle;
  }
  bool PlugFails(uint64_t frame, uint64_t pages, uint32_t list = 0) {
    Handle handle;
    return !segments_.Plug(At(frame), PageCount(pages), list, &handle);
  }
  bool Unplug(uint64_t frame, uint64_t pages) {
    return segments_.Unplug(At(frame), PageCount(pages));
  }
  // "256-264 512-520": the segments in their order.
  std::string Picture() {
    EXPECT_EQ(segments_.DebugWrong(), nullptr);
    std::string picture;
    for (Handle at = segments_.First(); segments_.Valid(at); at = segments_.Next(at)) {
      picture += (picture.empty() ? "" : " ") + std::to_string(segments_.Start(at).PageNumber()) +
                 "-" + std::to_string(segments_.End(at).PageNumber());
    }
    return picture;
  }

  // `owner`: of each frame, the number of its segment; of that its list and handle.
  void ExpectIs(const std::map<uint64_t, uint64_t>& owner, const std::map<uint64_t, uint32_t>& list,
                const std::map<uint64_t, Handle>& handles) {
    ASSERT_EQ(segments_.DebugWrong(), nullptr);
    ASSERT_EQ(segments_.count(), list.size());
    ASSERT_EQ(segments_.available(), PageCount(owner.size()));
    for (uint64_t f = 250; f < 525; ++f) {
      const Page* page = segments_.FromPaddr(At(f));
      ASSERT_EQ(page != nullptr, owner.contains(f)) << f;
      if (page == nullptr) continue;
      ASSERT_EQ(page->pa, At(f));
      ASSERT_EQ(page->free_list, list.at(owner.at(f)));
      ASSERT_EQ(segments_.Find(At(f), nullptr), handles.at(owner.at(f)));
    }
    for (const auto& [segment, handle] : handles) {
      ASSERT_TRUE(segments_.Valid(handle));
      ASSERT_EQ(owner.at(segments_.Start(handle).PageNumber()), segment);
      ASSERT_EQ(segments_.FreeListOf(handle), list.at(segment));
    }
  }

  testing::HostPages memory_;
  PhysicalSegments segments_{&memory_};
};

TEST_F(PhysicalSegmentsTest, SegmentsLieInTheOrderOfAddressesHoweverTheyCame) {
  EXPECT_FALSE(segments_.Valid(segments_.First()));
  EXPECT_FALSE(segments_.Valid(segments_.Last()));
  const Handle high = Plug(512, 8);
  const Handle low = Plug(256, 4);
  const Handle middle = Plug(264, 8);
  EXPECT_EQ(Picture(), "256-260 264-272 512-520");
  EXPECT_EQ(segments_.First(), low);
  EXPECT_EQ(segments_.Next(low), middle);
  EXPECT_EQ(segments_.Last(), high);
  EXPECT_EQ(segments_.Previous(high), middle);
  EXPECT_FALSE(segments_.Valid(segments_.Next(high)));
  EXPECT_FALSE(segments_.Valid(segments_.Previous(low)));
  EXPECT_EQ(segments_.HighestFrame(), At(519));
  EXPECT_EQ(segments_.available(), PageCount(20));
  EXPECT_EQ(segments_.count(), 3u);
}

TEST_F(PhysicalSegmentsTest, FindsTheSegmentOfAFrame) {
  const Handle low = Plug(256, 4);
  PageCount offset(99);
  EXPECT_EQ(segments_.Find(At(258) + 17, &offset), low);
  EXPECT_EQ(offset, PageCount(2));
  EXPECT_FALSE(segments_.Valid(segments_.Find(At(260), &offset)));
  EXPECT_EQ(offset, PageCount(2)) << "nothing found, nothing written";
  EXPECT_FALSE(segments_.Valid(segments_.Find(At(0), nullptr)));
  EXPECT_EQ(segments_.PageAt(low, PageCount(3))->pa, At(259));
  EXPECT_EQ(segments_.FromPaddr(At(259) + 4095), segments_.PageAt(low, PageCount(3)));
  EXPECT_EQ(segments_.FromPaddr(At(260)), nullptr) << "can be reached, is not plugged in";
  EXPECT_EQ(segments_.FromPaddr(At(300)), nullptr);
  EXPECT_EQ(segments_.FromPaddr(Paddr(~uint64_t{0})), nullptr);
}

TEST_F(PhysicalSegmentsTest, RefusesToPlugNonsense) {
  Plug(258, 4, 3);
  EXPECT_TRUE(PlugFails(258, 4)) << "there already";
  EXPECT_TRUE(PlugFails(256, 3)) << "overlaps in front";
  EXPECT_TRUE(PlugFails(261, 1)) << "overlaps behind";
  EXPECT_TRUE(PlugFails(256, 16)) << "contains it";
  EXPECT_TRUE(PlugFails(256, 0));
  EXPECT_TRUE(PlugFails(255, 2)) << "not reachable";
  EXPECT_TRUE(PlugFails(271, 2)) << "reaches beyond";
  EXPECT_TRUE(PlugFails(270, uint64_t{1} << 52)) << "wraps round";
  EXPECT_TRUE(PlugFails(270, ~uint64_t{0})) << "wraps round";
  EXPECT_TRUE(PlugFails(264, 1, kMaxFreeLists)) << "no such list";
  Handle handle;
  EXPECT_FALSE(segments_.Plug(At(264) + 1, PageCount(1), 0, &handle)) << "no whole frame";
  EXPECT_FALSE(segments_.Valid(handle));
  EXPECT_EQ(Picture(), "258-262");
  EXPECT_FALSE(PlugFails(262, 1)) << "next to it is fine";
}

TEST_F(PhysicalSegmentsTest, ReachableRunsAreApart) {
  EXPECT_FALSE(segments_.AddReachable(At(271), PageCount(2)));
  EXPECT_FALSE(segments_.AddReachable(At(600), PageCount(0)));
  EXPECT_FALSE(segments_.AddReachable(At(600) + 8, PageCount(1)));
  EXPECT_FALSE(segments_.AddReachable(At(600), PageCount(uint64_t{1} << 52)));
  EXPECT_TRUE(segments_.AddReachable(At(272), PageCount(2)));
  EXPECT_TRUE(PlugFails(271, 2)) << "two runs, though neighbours";
}

TEST_F(PhysicalSegmentsTest, UnplugsWholeSegments) {
  const Handle low = Plug(256, 4);
  const Handle high = Plug(512, 8);
  EXPECT_TRUE(Unplug(256, 4));
  EXPECT_EQ(Picture(), "512-520");
  EXPECT_FALSE(segments_.Valid(low));
  EXPECT_TRUE(segments_.Valid(high)) << "handles of others stay";
  EXPECT_EQ(segments_.FromPaddr(At(256)), nullptr);
  EXPECT_EQ(segments_.available(), PageCount(8));
  EXPECT_FALSE(segments_.MayUnplug(At(512), PageCount(8))) << "the last one";
  const Handle again = Plug(256, 4);
  EXPECT_FALSE(segments_.Valid(low)) << "another segment";
  EXPECT_TRUE(segments_.Valid(again));
}

TEST_F(PhysicalSegmentsTest, UnplugsFrontAndBack) {
  const Handle handle = Plug(256, 16, 2);
  ASSERT_TRUE(segments_.SetStartHint(handle, PageCount(5)));
  EXPECT_TRUE(Unplug(256, 3));
  EXPECT_EQ(Picture(), "259-272");
  EXPECT_EQ(segments_.StartHint(handle), PageCount(2)) << "the same frame";
  EXPECT_TRUE(Unplug(268, 4));
  EXPECT_EQ(Picture(), "259-268");
  EXPECT_TRUE(segments_.Valid(handle));
  EXPECT_EQ(segments_.FreeListOf(handle), 2u);
  EXPECT_TRUE(Unplug(259, 4));
  EXPECT_EQ(segments_.StartHint(handle), PageCount(0)) << "its frame is gone";
  EXPECT_EQ(segments_.available(), PageCount(5));
}

// facts/uvm.md 5.B 16: the upper half had neither free list nor hint.
TEST_F(PhysicalSegmentsTest, BothHalvesOfASplitKeepFreeListAndHint) {
  const Handle lower = Plug(256, 16, 3);
  ASSERT_TRUE(segments_.SetStartHint(lower, PageCount(12)));
  EXPECT_TRUE(Unplug(260, 4));
  EXPECT_EQ(Picture(), "256-260 264-272");
  const Handle upper = segments_.Next(lower);
  EXPECT_EQ(segments_.FreeListOf(lower), 3u);
  EXPECT_EQ(segments_.FreeListOf(upper), 3u);
  EXPECT_EQ(segments_.StartHint(lower), PageCount(0));
  EXPECT_EQ(segments_.StartHint(upper), PageCount(4)) << "the frame that it was";
  EXPECT_EQ(segments_.PageAt(upper, PageCount(0))->pa, At(264));
  EXPECT_EQ(segments_.available(), PageCount(12));
}

TEST_F(PhysicalSegmentsTest, RefusesToUnplugWhatIsNotOneSegments) {
  Plug(256, 4);
  Plug(260, 4);
  EXPECT_FALSE(Unplug(256, 5)) << "two segments";
  EXPECT_FALSE(Unplug(256, 0));
  EXPECT_FALSE(Unplug(264, 1)) << "unknown";
  EXPECT_FALSE(Unplug(255, 2)) << "unknown in front";
  EXPECT_FALSE(Unplug(262, 8)) << "oversize";
  EXPECT_FALSE(Unplug(262, ~uint64_t{0})) << "wraps round";
  EXPECT_FALSE(segments_.Unplug(At(256) + 1, PageCount(1)));
  EXPECT_EQ(Picture(), "256-260 260-264");
}

TEST_F(PhysicalSegmentsTest, InvalidHandlesGiveInvalidValues) {
  const Handle gone = Plug(256, 4);
  Plug(512, 8);
  Unplug(256, 4);
  for (const Handle& handle : {gone, Handle{}}) {
    EXPECT_EQ(segments_.Start(handle), PhysicalSegments::kNoPaddr);
    EXPECT_EQ(segments_.End(handle), PhysicalSegments::kNoPaddr);
    EXPECT_EQ(segments_.AvailableStart(handle), PhysicalSegments::kNoPaddr);
    EXPECT_EQ(segments_.AvailableEnd(handle), PhysicalSegments::kNoPaddr);
    EXPECT_EQ(segments_.FreeListOf(handle), PhysicalSegments::kNoFreeList);
    EXPECT_EQ(segments_.StartHint(handle), PageCount(0));
    EXPECT_FALSE(segments_.SetStartHint(handle, PageCount(0)));
    EXPECT_FALSE(segments_.SetAvailableStart(handle, At(256)));
    EXPECT_FALSE(segments_.SetAvailableEnd(handle, At(260)));
    EXPECT_FALSE(segments_.Valid(segments_.Next(handle)));
    EXPECT_FALSE(segments_.Valid(segments_.Previous(handle)));
  }
}

TEST_F(PhysicalSegmentsTest, HintsLieInside) {
  const Handle handle = Plug(256, 4);
  EXPECT_TRUE(segments_.SetStartHint(handle, PageCount(3)));
  EXPECT_FALSE(segments_.SetStartHint(handle, PageCount(4)));
  EXPECT_EQ(segments_.StartHint(handle), PageCount(3));
}

TEST_F(PhysicalSegmentsTest, OnlyTheAvailablePartIsHandedOut) {
  Handle handle;
  ASSERT_TRUE(segments_.Plug(At(256), PageCount(16), 0, &handle));
  EXPECT_FALSE(segments_.SetAvailableStart(handle, At(255)));
  EXPECT_FALSE(segments_.SetAvailableStart(handle, At(272))) << "nothing would be left";
  EXPECT_FALSE(segments_.SetAvailableStart(handle, At(258) + 1));
  EXPECT_TRUE(segments_.SetAvailableStart(handle, At(258)));
  EXPECT_FALSE(segments_.SetAvailableEnd(handle, At(273)));
  EXPECT_FALSE(segments_.SetAvailableEnd(handle, At(258)));
  EXPECT_TRUE(segments_.SetAvailableEnd(handle, At(268)));
  ASSERT_TRUE(segments_.Init(handle));
  EXPECT_FALSE(segments_.SetAvailableStart(handle, At(257))) << "too late";
  EXPECT_EQ(segments_.available(), PageCount(10));
  EXPECT_EQ(segments_.FromPaddr(At(257)), nullptr);
  EXPECT_NE(segments_.FromPaddr(At(258)), nullptr);
  EXPECT_EQ(segments_.FromPaddr(At(268)), nullptr);
  EXPECT_EQ(Picture(), "256-272");
  EXPECT_TRUE(Unplug(257, 3));
  EXPECT_EQ(segments_.available(), PageCount(8));
  const Handle upper = segments_.Next(handle);
  EXPECT_EQ(segments_.AvailableStart(upper), At(260));
  EXPECT_EQ(segments_.AvailableEnd(upper), At(268));
  EXPECT_EQ(segments_.AvailableStart(handle), segments_.AvailableEnd(handle));
}

TEST_F(PhysicalSegmentsTest, RunningOutOfMemoryChangesNothing) {
  memory_.FailAfter(0);
  EXPECT_TRUE(PlugFails(256, 16)) << "no memory for the segment";
  memory_.FailAfter(1);
  Handle handle;
  ASSERT_TRUE(segments_.Plug(At(256), PageCount(16), 0, &handle));
  memory_.FailAfter(0);
  EXPECT_FALSE(segments_.Init(handle)) << "no memory for descriptors";
  segments_.Discard(handle);
  EXPECT_EQ(Picture(), "");
  memory_.FailAfter(2);
  Plug(256, 16);
  // Memory that comes and goes costs descriptors once.
  Plug(512, 8);
  memory_.FailAfter(0);
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(Unplug(256, 16));
    Plug(256, 8);
    Plug(264, 8);
    EXPECT_TRUE(Unplug(264, 8));
    EXPECT_TRUE(Unplug(258, 2));
    EXPECT_TRUE(Unplug(256, 2));
    EXPECT_TRUE(Unplug(260, 4));
    Plug(256, 16);
  }
  EXPECT_EQ(Picture(), "256-272 512-520");
}

// Against an array of frames, with odd arguments now and then.
TEST_F(PhysicalSegmentsTest, AgreesWithAnArrayOfFrames) {
  base::Prng prng(11, "physseg_test");
  std::map<uint64_t, uint64_t> owner;  // frame -> number of its segment
  std::map<uint64_t, uint32_t> list;   // of a segment
  std::map<uint64_t, Handle> handles;
  uint64_t next = 1;
  auto reachable = [](uint64_t f) { return (f >= 256 && f < 272) || (f >= 512 && f < 520); };
  for (int step = 0; step < 20000; ++step) {
    const uint64_t base = prng.Chance(1, 3) ? 508 : 253;
    const uint64_t frame = base + prng.Below(22);
    const uint64_t odd = prng.Below(60);
    const uint64_t pages = odd == 0 ? ~uint64_t{0} - prng.Below(600) : prng.Below(9);
    bool right = pages > 0 && pages < 100;
    if (prng.Chance(1, 2)) {
      const auto free_list = static_cast<uint32_t>(prng.Below(kMaxFreeLists + 1));
      for (uint64_t f = frame; right && f < frame + pages; ++f)
        right = reachable(f) && !owner.contains(f) && free_list < kMaxFreeLists;
      Handle handle;
      ASSERT_EQ(segments_.Plug(At(frame), PageCount(pages), free_list, &handle), right);
      if (!right) continue;
      ASSERT_TRUE(segments_.Init(handle));
      for (uint64_t f = frame; f < frame + pages; ++f) owner[f] = next;
      list[next] = free_list;
      handles[next++] = handle;
    } else {
      const uint64_t whose = owner.contains(frame) ? owner[frame] : 0;
      for (uint64_t f = frame; right && f < frame + pages; ++f)
        right = whose != 0 && owner.contains(f) && owner[f] == whose;
      uint64_t size = 0, first = ~uint64_t{0}, end = 0;
      for (const auto& [f, segment] : owner) {
        if (segment != whose) continue;
        ++size;
        first = std::min(first, f);
        end = f + 1;
      }
      if (right && size == pages && list.size() == 1) {  // all there is
        ASSERT_FALSE(segments_.MayUnplug(At(frame), PageCount(pages)));
        continue;
      }
      ASSERT_EQ(segments_.MayUnplug(At(frame), PageCount(pages)), right);
      ASSERT_EQ(segments_.Unplug(At(frame), PageCount(pages)), right);
      if (!right) continue;
      for (uint64_t f = frame; f < frame + pages; ++f) owner.erase(f);
      if (size == pages) {
        ASSERT_FALSE(segments_.Valid(handles[whose]));
        list.erase(whose);
        handles.erase(whose);
      } else if (frame > first && frame + pages < end) {
        for (uint64_t f = frame + pages; f < end; ++f) owner[f] = next;
        list[next] = list[whose];
        handles[next++] = segments_.Find(At(frame + pages), nullptr);
      }
    }
    ExpectIs(owner, list, handles);
    if (HasFatalFailure()) return;
  }
}

using PhysicalSegmentsDeathTest = PhysicalSegmentsTest;

TEST_F(PhysicalSegmentsDeathTest, WithoutMemoryThereIsNoMachine) {
  Plug(256, 4);
  EXPECT_DEATH(Unplug(256, 4), "count_ > 1");
  const Handle handle = segments_.First();
  EXPECT_DEATH(segments_.PageAt(handle, PageCount(4)), "offset");
  EXPECT_DEATH(segments_.PageAt(Handle{}, PageCount(0)), "Valid");
  EXPECT_DEATH(segments_.Init(handle), "initialised");
  EXPECT_DEATH(segments_.Discard(handle), "initialised");
  EXPECT_DEATH(segments_.DescriptorOf(At(600)), "slab");
  PhysicalSegments none(&memory_);
  EXPECT_DEATH(none.HighestFrame(), "nullptr");
}

}  // namespace
}  // namespace uvm
