// Who waits for whom at a map: busy owners, timestamps, lack of space.

#include <string>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtRead;
using Where = Map::Where;

class MapLockTest : public ::testing::Test {
 protected:
  void RunAndCheck() {
    threads_.Run();
    EXPECT_EQ(world_.Violation(), "");
    EXPECT_EQ(world_.TearDownAndFindLeaks(), "");
  }
  BatonThreads threads_;
  World world_{64, &threads_};
};

TEST_F(MapLockTest, WhoChangesABusyMapWaits) {
  Space space = world_.NewSpace("AB");
  world_.StopChecking();
  threads_.Add([&] {
    space->map().Busy();
    threads_.Log("busy");
    threads_.Yield();
    threads_.Log("still");
    space->map().Unbusy();
  });
  threads_.Add([&] {
    space.Protect(0, 1, kProtRead);
    threads_.Log("protected");
  });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "busy still protected");
}

TEST_F(MapLockTest, TheBusyOwnerMayChangeItsMapAndReadersAreNotHeldOff) {
  Space space = world_.NewSpace("AB");
  world_.StopChecking();
  threads_.Add([&] {
    space->map().Busy();
    space.Protect(0, 1, kProtRead);
    threads_.Log("owner");
    threads_.Yield();
    space->map().Unbusy();
  });
  threads_.Add([&] {
    threads_.Log(space.Touch(0, base::Access::kRead));
    threads_.Log(space->map().IsMapped(Pages(0, 2)) ? "mapped" : "hole");
  });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "owner ok mapped");
}

TEST_F(MapLockTest, ReadFaultsOfABusyMapGoThroughWhatNeedsAChangeWaits) {
  Space space = world_.NewSpace("A0");
  space.Fork();
  world_.StopChecking();
  threads_.Add([&] {
    space->map().Busy();
    threads_.Yield();
    threads_.Log("unbusy");
    space->map().Unbusy();
  });
  threads_.Add([&] {
    threads_.Log(space.Touch(0, base::Access::kRead));
    threads_.Log(space.Touch(0, base::Access::kWrite));  // its amap is to be copied
  });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "ok unbusy ok");
}

TEST_F(MapLockTest, TwoWhoWantItBusyTakeTurns) {
  Space space = world_.NewSpace("A");
  world_.StopChecking();
  for (const char* name : {"a", "b"}) {
    threads_.Add([&, name] {
      space->map().Busy();
      threads_.Log(name);
      threads_.Yield();
      threads_.Log(name);
      space->map().Unbusy();
    });
  }
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "a a b b");
}

TEST_F(MapLockTest, EveryChangeBumpsTheTimestampAndNoReaderDoes) {
  Space space = world_.NewSpace("AB");
  auto stamp = [&] {
    ReaderLock lock(&space->map().lock());
    return space->map().timestamp();
  };
  uint64_t before = stamp();
  EXPECT_TRUE(space->map().IsMapped(Pages(0, 1)));
  EXPECT_TRUE(space->map().CheckProt(Pages(0, 1), kProtRead));
  EXPECT_EQ(stamp(), before);
  space.Protect(0, 1, kProtRead);
  EXPECT_GT(stamp(), before);
  EXPECT_EQ(world_.TearDownAndFindLeaks(), "");
}

TEST_F(MapLockTest, TryLockDoesNotWait) {
  Space space = world_.NewSpace(".");
  world_.StopChecking();
  threads_.Add([&] {
    {
      ReaderLock lock(&space->map().lock());
      threads_.Yield();
    }
    threads_.Log("unlocked");
    threads_.Yield();
    space->map().Busy();
    threads_.Yield();
    space->map().Unbusy();
    threads_.Yield();
  });
  threads_.Add([&] {
    threads_.Log(space.TryMap({.flags = kEnterTryLock}));  // somebody reads
    threads_.Yield();
    threads_.Yield();
    threads_.Log(space.TryMap({.flags = kEnterTryLock}));  // somebody has it busy
    threads_.Yield();
    threads_.Log(space.TryMap({.flags = kEnterTryLock}));
  });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "try_again unlocked try_again 0");
}

// ---- WAITVA.

TEST_F(MapLockTest, WhoWaitsForSpaceGetsItWhenSomebodyUnmaps) {
  Space space = world_.NewSpace("ABCD");
  world_.StopChecking();
  threads_.Add([&] {
    threads_.Log(space.TryMap({.pages = 2, .where = Where::kAnywhere, .flags = kEnterWaitVa}));
  });
  threads_.Add([&] {
    threads_.Log("one");
    space.Unmap(3, 1);
    threads_.Yield();
    threads_.Log("two");
    space.Unmap(1, 2);
  });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "one two 1");
}

TEST_F(MapLockTest, MovingAwayMakesSpaceToo) {
  Space space = world_.NewSpace("AB....");
  world_.StopChecking();
  threads_.Add([&] {
    threads_.Log(space.TryMap({.pages = 2, .where = Where::kFixed, .flags = kEnterWaitVa}));
  });
  threads_.Add([&] {
    space.Remap({.from = 0,
                 .pages = 2,
                 .new_pages = 2,
                 .to = 4,
                 .where = Map::RemapOptions::Where::kFixed});
    threads_.Log("moved");
  });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "moved 0");
}

TEST_F(MapLockTest, NobodyWaitsForSpaceThatCannotCome) {
  Space space = world_.NewSpace("A.");
  threads_.Add([&] {
    threads_.Log(space.TryMap({.pages = 3, .where = Where::kAnywhere, .flags = kEnterWaitVa}));
    threads_.Log(space.TryMap({.pages = 2, .where = Where::kAnywhere}));
  });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "no_space no_space");
}

// ---- What goes on while a map is busy.

TEST_F(MapLockTest, UnmappingWaitsForWiring) {
  Object* file = world_.File(7);
  Space space = world_.NewSpace("...");
  space.Map({.pages = 3, .sharing = Sharing::kShared, .file = file});
  world_.StopChecking();
  world_.pager().DuringNextGet([&] {
    threads_.Yield();
    threads_.Log("read");
  });
  threads_.Add([&] { threads_.Log(space.TryWire(0, 3)); });
  threads_.Add([&] {
    space.Unmap(0, 3);
    threads_.Log("unmapped");
  });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "read ok unmapped");
}

TEST_F(MapLockTest, CrosswiseExtractionEndsWell) {
  Space a = world_.NewSpace("A...");
  Space b = world_.NewSpace("B...");
  world_.StopChecking();
  threads_.Add([&] { threads_.Log(a.TryExtract(0, 1, b, 2, Map::kExtractRemove)); });
  threads_.Add([&] { threads_.Log(b.TryExtract(0, 1, a, 2, Map::kExtractRemove)); });
  RunAndCheck();
  EXPECT_EQ(threads_.log(), "2 2");
}

}  // namespace
}  // namespace uvm::testing
