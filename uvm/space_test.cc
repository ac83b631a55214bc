// Spaces from birth to death, and what stands behind their addresses.

#include "uvm/space.h"

#include <string>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/testing/world.h"
#include "uvm/uvm.h"

namespace uvm::testing {
namespace {

using base::kProtNone;
using base::kProtRead;
using SpaceTest = PictureTest;

// ---- References.

TEST_F(SpaceTest, ASharedSpaceLivesUntilTheLastTaskLeaves) {
  Space space = NewSpace("AB");
  uvm().ReferenceSpace(space.get());
  space.Exit();
  EXPECT_EQ(space.ReadAll(), "AB");
  space.Exit();
  EXPECT_EQ(uvm().DebugSpaces().front(), nullptr);
  EXPECT_EQ(uvm().counters().frames_in_use, 0u);
}

TEST_F(SpaceTest, UnsharingASpaceThatIsOnesOwnChangesNothing) {
  Space space = NewSpace("A");
  Result<uvm::Space*, MapError> own = uvm().UnshareSpace(space.get());
  ASSERT_TRUE(own.ok());
  EXPECT_EQ(own.value(), space.get());
}

TEST_F(SpaceTest, UnsharingASharedSpaceForksIt) {
  Space space = NewSpace("AB");
  uvm().ReferenceSpace(space.get());
  Result<uvm::Space*, MapError> own = uvm().UnshareSpace(space.get());
  ASSERT_TRUE(own.ok());
  ASSERT_NE(own.value(), space.get());
  Space mine(this, own.value(), 2);
  mine.Write("x.");
  EXPECT_EQ(Contents(space, mine), "AB|xB");
  EXPECT_EQ(space.get()->refs, 1u);
}

// ---- Exec.

TEST_F(SpaceTest, ExecReusesASpaceThatNobodyShares) {
  Space space = NewSpace("AB");
  Space child = space.Fork();
  space.Wire(0, 1);
  EXPECT_EQ(space.TryWireAll(Map::kWireFuture), "ok");
  Result<uvm::Space*, MapError> fresh =
      uvm().ExecSpace(space.get(), PageAt(1), PageAt(8), Direction::kBottomUp);
  ASSERT_TRUE(fresh.ok());
  EXPECT_EQ(fresh.value(), space.get());
  EXPECT_EQ(space->map().min(), PageAt(1));
  EXPECT_EQ(space->map().max(), PageAt(8));
  EXPECT_FALSE(space->map().wires_future());
  EXPECT_EQ(space->map().size_bytes(), 0u);
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(0));
  EXPECT_EQ(child.ReadAll(), "AB");
  Space wide(this, fresh.value(), 8);
  EXPECT_EQ(wide.TryMap({.at = 0}), "out_of_range");
  EXPECT_EQ(wide.Map({.at = 6, .pages = 2}), 6u);
  EXPECT_EQ(wide.Map({.where = Map::Where::kAnywhere}), 1u);
}

TEST_F(SpaceTest, ExecLeavesASharedSpaceToTheOthers) {
  Space space = NewSpace("AB");
  uvm().ReferenceSpace(space.get());
  Result<uvm::Space*, MapError> fresh =
      uvm().ExecSpace(space.get(), kPageZero, PageAt(2), Direction::kBottomUp);
  ASSERT_TRUE(fresh.ok());
  EXPECT_NE(fresh.value(), space.get());
  EXPECT_EQ(space.ReadAll(), "AB");
  EXPECT_EQ(Layout(Space(this, fresh.value(), 2)), "..");
  EXPECT_EQ(space.get()->refs, 1u);
}

TEST_F(SpaceTest, ExecInTheOtherDirectionNeedsANewSpace) {
  Space space = NewSpace("AB");
  Result<uvm::Space*, MapError> fresh =
      uvm().ExecSpace(space.get(), kPageZero, PageAt(4), Direction::kTopDown);
  ASSERT_TRUE(fresh.ok());
  EXPECT_EQ(fresh.value()->map().direction(), Direction::kTopDown);
  EXPECT_EQ(Space(this, fresh.value(), 4).Map({.where = Map::Where::kAnywhere}), 3u);
  EXPECT_EQ(uvm().DebugSpaces().size(), 1u);
  Space child = Space(this, fresh.value(), 4).Fork();
  EXPECT_EQ(child->map().direction(), Direction::kTopDown);
}

// ---- Identity of addresses.

class VoAddrTest : public SpaceTest {
 protected:
  // "same", "different", or which of the two cannot be had: "first", "second".
  std::string Compare(const Space& a, uint64_t page_a, const Space& b, uint64_t page_b,
                      uint64_t offset_b = 0) {
    VoAddr first;
    VoAddr second;
    if (!uvm().AcquireAddress(a.get(), PageAt(page_a), &first)) return "first";
    std::string outcome = "second";
    if (uvm().AcquireAddress(b.get(), PageAt(page_b) + offset_b, &second)) {
      outcome = first == second ? "same" : "different";
      CheckInvariants();
      uvm().ReleaseAddress(&second);
    }
    uvm().ReleaseAddress(&first);
    CheckInvariants();
    return outcome;
  }
};

TEST_F(VoAddrTest, AnAddressIsItself) {
  Space space = NewSpace("A0");
  EXPECT_EQ(Compare(space, 0, space, 0), "same");
  EXPECT_EQ(Compare(space, 1, space, 1), "same");
  EXPECT_EQ(Compare(space, 0, space, 0, 4), "different");
  EXPECT_EQ(Compare(space, 0, space, 1), "different");
}

TEST_F(VoAddrTest, ParentAndChildPartWays) {
  Space parent = NewSpace("AB");
  Space child = parent.Fork();
  EXPECT_EQ(Compare(parent, 0, child, 0), "different");
  EXPECT_EQ(Contents(parent, child), "AB|AB");
}

TEST_F(VoAddrTest, SharersMeet) {
  Space parent = NewSpace("A0");
  parent.SetInherit(0, 2, Inherit::kShare);
  Space child = parent.Fork();
  EXPECT_EQ(Compare(parent, 0, child, 0), "same");
  EXPECT_EQ(Compare(parent, 1, child, 1), "same");
  Space one = NewSpace("..");
  one.Map({.pages = 2, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  Space two = one.Fork();
  EXPECT_EQ(Compare(one, 0, two, 0), "same");
  EXPECT_EQ(Compare(one, 1, two, 1), "same");
}

// Whoever wakes has written first, so a write must not change what a sleeper is known by.
TEST_F(VoAddrTest, AWriteToSharedMemoryThatWasForkedAsACopyKeepsItsIdentity) {
  Space one = NewSpace("..");
  one.Map({.pages = 2, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  Space two = one.Fork();
  one.Write("AB");
  one.SetInherit(0, 2, Inherit::kCopy);
  Space copy = one.Fork();
  VoAddr sleeper;
  ASSERT_TRUE(uvm().AcquireAddress(one.get(), PageAt(0), &sleeper));
  two.Write("x.");
  VoAddr waker;
  ASSERT_TRUE(uvm().AcquireAddress(two.get(), PageAt(0), &waker));
  EXPECT_TRUE(sleeper == waker);
  uvm().ReleaseAddress(&waker);
  uvm().ReleaseAddress(&sleeper);
  // Nor does it matter that the sleeper may only read.
  one.Protect(1, 1, kProtRead);
  ASSERT_TRUE(uvm().AcquireAddress(one.get(), PageAt(1), &sleeper));
  two.Write(".y");
  ASSERT_TRUE(uvm().AcquireAddress(two.get(), PageAt(1), &waker));
  EXPECT_TRUE(sleeper == waker);
  uvm().ReleaseAddress(&waker);
  uvm().ReleaseAddress(&sleeper);
  EXPECT_EQ(Contents(one, two, copy), "xy|xy|AB");
}

TEST_F(VoAddrTest, FilesMeetAtTheirOffsets) {
  Object* file = File(7);
  Space one = NewSpace("....");
  one.Map({.at = 0, .pages = 2, .sharing = Sharing::kShared, .file = file});
  one.Map({.at = 3, .sharing = Sharing::kShared, .file = file, .file_page = 1});
  Space two = NewSpace("..");
  two.Map({.pages = 2, .file = file});
  EXPECT_EQ(Compare(one, 1, one, 3), "same");
  EXPECT_EQ(Compare(one, 0, one, 3), "different");
  EXPECT_EQ(Compare(one, 0, two, 0), "different");  // the other's is private, so its own
  two.Protect(0, 2, kProtRead);
  EXPECT_EQ(Compare(one, 1, two, 1), "same");  // never written and not to be
}

TEST_F(VoAddrTest, NoIdentityWithoutMemory) {
  Space space = NewSpace("A.");
  EXPECT_EQ(Compare(space, 1, space, 0), "first");
  EXPECT_EQ(space.TryReserve(1, 1), "1");
  EXPECT_EQ(Compare(space, 0, space, 1), "second");
  space.Protect(0, 1, kProtNone);
  EXPECT_EQ(Compare(space, 0, space, 0), "first");
}

TEST_F(VoAddrTest, AnIdentityOutlivesItsMapping) {
  Space space = NewSpace("A.");
  VoAddr held;
  ASSERT_TRUE(uvm().AcquireAddress(space.get(), PageAt(0), &held));
  space.Write("B.");  // goes on without a fault
  space.Unmap(0, 1);
  EXPECT_EQ(uvm().counters().frames_in_use, 0u);
  space.Map({.at = 0});
  space.Write("C.");
  VoAddr fresh;
  ASSERT_TRUE(uvm().AcquireAddress(space.get(), PageAt(0), &fresh));
  EXPECT_FALSE(held == fresh);
  CheckInvariants();
  uvm().ReleaseAddress(&fresh);
  uvm().ReleaseAddress(&held);
  EXPECT_TRUE(held.empty());
}

}  // namespace
}  // namespace uvm::testing
