#include "uvm/device.h"

#include <string>

#include "gtest/gtest.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPage = base::kPageSize;

// A device of `pages` pages that are the pmap's device frames in turn, read-only from page
// `read_only_from` on.
class FrameBuffer final : public DeviceDriver {
 public:
  explicit FrameBuffer(const NaivePmap* pmap) : pmap_(pmap) {}
  bool Mmap(uint64_t, uint64_t offset, Prot prot, uint64_t* cookie) override {
    const uint64_t page = offset / kPage;
    if (page >= pages || (prot.CanWrite() && page >= read_only_from)) return false;
    *cookie = pmap_->device_frame(page % NaivePmap::kDeviceFrames).value();
    return true;
  }
  uint64_t pages = 8;
  uint64_t read_only_from = 8;

 private:
  const NaivePmap* pmap_;
};

class DeviceTest : public PictureTest {
 protected:
  // Maps pages [first, first + count) of the device at page 0.
  Space Mapped(uint64_t first, uint64_t count, Sharing sharing = Sharing::kShared) {
    Space space = NewSpace(std::string(count, '.'));
    Object* object = uvm().AttachDevice(&driver_, 1, base::kProtRead, first * kPage, count * kPage);
    EXPECT_NE(object, nullptr);
    space.Map({.pages = count, .sharing = sharing, .file = object, .file_page = first});
    uvm().ReleaseObject(object);
    return space;
  }
  FrameBuffer driver_{&pmap()};
};

// 5.A item 24 of facts/uvm.md, for pagers that map pages themselves.
TEST_F(DeviceTest, NeighboursThatAreMappedAreLeftAlone) {
  Space space = Mapped(0, 4);
  EXPECT_EQ(space.Touch(0, Access::kRead), "ok");
  pmap().Remove(space->pmap(), Pages(1, 1));
  EXPECT_EQ(space.Touch(1, Access::kRead), "ok");
  EXPECT_EQ(pmap().ResidentCount(space->pmap()), PageCount(4));
  EXPECT_EQ(pmap().entered_ahead_twice(), 0u);
}

TEST_F(DeviceTest, ThereIsOneObjectADevice) {
  Object* object = uvm().AttachDevice(&driver_, 1, base::kProtReadWrite, 0, kPage);
  EXPECT_EQ(uvm().AttachDevice(&driver_, 1, base::kProtRead, 3 * kPage, kPage), object);
  EXPECT_EQ(object->DebugRefs(), 2u);
  EXPECT_NE(uvm().AttachDevice(&driver_, 2, base::kProtRead, 0, kPage), object);
  EXPECT_EQ(object->pager()->kind(), Pager::Kind::kDevice);
  uvm().ReleaseObject(uvm().AttachDevice(&driver_, 2, base::kProtRead, 0, 1));
  uvm().ReleaseObject(uvm().AttachDevice(&driver_, 2, base::kProtRead, 0, 1));
  EXPECT_EQ(uvm().DebugObjects().DebugAll().size(), 2u);
  uvm().ReleaseObject(object);
  uvm().ReleaseObject(object);
  EXPECT_EQ(uvm().DebugObjects().DebugAll().size(), 1u);
  uvm().ReleaseObject(uvm().DebugObjects().DebugAll().front());
}

TEST_F(DeviceTest, RunningOutOfMemoryIsANullPointer) {
  for (uint64_t chunks = 0; chunks < 2; ++chunks) {
    memory().FailAfter(chunks);
    EXPECT_EQ(uvm().AttachDevice(&driver_, 1, base::kProtRead, 0, kPage), nullptr);
  }
  memory().NeverFail();
}

TEST_F(DeviceTest, AFaultMapsTheFrameAndItsNeighbours) {
  Space space = Mapped(1, 7);
  EXPECT_EQ(space.Touch(3, Access::kWrite), "ok");
  EXPECT_EQ(Rights(space), "wwwwwww");
  Paddr pa;
  EXPECT_TRUE(pmap().Extract(space->pmap(), PageAt(3), &pa));
  EXPECT_EQ(pa, pmap().device_frame(0));
  EXPECT_EQ(uvm().counters().frames_in_use, 0u);
}

TEST_F(DeviceTest, NeighboursThatTheDriverRefusesStayAway) {
  Space space = Mapped(0, 8);
  driver_.pages = 5;
  EXPECT_EQ(space.Touch(4, Access::kRead), "ok");
  EXPECT_EQ(Rights(space), "-wwww---");
  EXPECT_EQ(space.Touch(5, Access::kRead), "io");
  EXPECT_EQ(Rights(space), "-wwww---");
}

TEST_F(DeviceTest, PrivateMappingsCannotFault) {
  Space space = Mapped(0, 2, Sharing::kPrivate);
  EXPECT_EQ(space.Touch(0, Access::kRead), "io");
  EXPECT_EQ(Rights(space), "--");
}

TEST_F(DeviceTest, AForkSharesTheFrames) {
  Space space = Mapped(0, 2);
  space.SetInherit(0, 2, Inherit::kShare);
  EXPECT_EQ(space.Touch(0, Access::kWrite), "ok");
  Space child = space.Fork();
  EXPECT_EQ(child.Touch(0, Access::kWrite), "ok");
  EXPECT_EQ(Rights(child), "ww");
  space.Exit();
  EXPECT_EQ(child.Touch(1, Access::kRead), "ok");
}

TEST_F(DeviceTest, NothingIsEverResident) {
  Object* object = uvm().AttachDevice(&driver_, 1, base::kProtRead, 0, kPage);
  EXPECT_EQ(uvm().WireObject(object, PageIndex(0), PageIndex(1), nullptr), PagerError::kIo);
  uvm().ReleaseObject(object);
}

// Who attaches while the last reference goes gets an object of its own.
TEST(DeviceThreadsTest, AttachingToADeviceThatIsBeingDetached) {
  BatonThreads threads;
  World world(16, &threads);
  FrameBuffer driver(&world.pmap());
  Object* first = world.uvm().AttachDevice(&driver, 1, base::kProtRead, 0, kPage);
  Object* second = nullptr;
  static BatonThreads* scheduler;
  scheduler = &threads;
  threads.at_lock = [] { scheduler->Yield(); };  // the other thread goes first at every lock
  threads.Add([&] { world.uvm().ReleaseObject(first); });
  threads.Add([&] {
    second = world.uvm().AttachDevice(&driver, 1, base::kProtRead, 0, kPage);
    threads.Log("attached");
  });
  threads.Run();
  threads.at_lock = nullptr;
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->DebugRefs(), 1u);
  world.uvm().ReleaseObject(second);
  EXPECT_EQ(threads.log(), "attached");
}

}  // namespace
}  // namespace uvm::testing
