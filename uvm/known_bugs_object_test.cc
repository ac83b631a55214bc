// Documented and suspected defects of other UVMs in objects, pagers and the buffer cache, one
// scenario each (facts/uvm.md 5.A, 5.B, 5.B'). Each fails when its defect is put in; the commit
// that added it says how that was shown.

#include <string>

#include "absl/base/thread_annotations.h"
#include "gtest/gtest.h"
#include "uvm/device.h"
#include "uvm/lock.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/object_wire.h"
#include "uvm/page.h"
#include "uvm/pager.h"
#include "uvm/testing/buffer_peer.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/object_world.h"
#include "uvm/testing/world.h"
#include "uvm/ubc.h"
#include "uvm/uio.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPage = base::kPageSize;

// Objects and pagers by themselves.
class KnownBugsPagerTest : public ::testing::Test, public ObjectWorld {};

// Seen through maps and faults.
class KnownBugsObjectTest : public PictureTest {};

// ---- 5.A item 4 (NetBSD PR 38889, 46592): mapping a block device panicked.

// Gives every page of the first `pages` its frame, read-only from `read_only_from` on.
class FrameDriver final : public DeviceDriver {
 public:
  explicit FrameDriver(const NaivePmap* pmap) : pmap_(pmap) {}
  bool Mmap(uint64_t, uint64_t offset, Prot prot, uint64_t* cookie) override {
    const uint64_t page = offset / kPage;
    if (page >= NaivePmap::kDeviceFrames || (prot.CanWrite() && page >= read_only_from))
      return false;
    *cookie = pmap_->device_frame(page).value();
    return true;
  }
  uint64_t read_only_from = NaivePmap::kDeviceFrames;

 private:
  const NaivePmap* pmap_;
};

TEST_F(KnownBugsObjectTest, ADeviceThatCannotBeMappedIsRefused) {
  FrameDriver driver(&pmap());
  EXPECT_EQ(uvm().AttachDevice(nullptr, 1, base::kProtRead, 0, kPage), nullptr);
  EXPECT_EQ(uvm().AttachDevice(&driver, 1, base::kProtRead, kPage, 2 * kPage), nullptr);
  EXPECT_EQ(uvm().AttachDevice(&driver, 1, base::kProtRead, ~uint64_t{0}, 2), nullptr);
  driver.read_only_from = 1;
  EXPECT_EQ(uvm().AttachDevice(&driver, 1, base::kProtReadWrite, 0, 2 * kPage), nullptr);
  EXPECT_TRUE(uvm().DebugObjects().DebugAll().empty());
}

// ---- 5.A item 11 (1998): a pager's error path released the wrong page, and touched one after it.

TEST_F(KnownBugsPagerTest, AFailedGetReleasesItsOwnPagesAndNoOther) {
  MemoryStore store("abcdef");
  Object* object = Stored(&store);
  Write(object, 0, 'x');
  Get(object, {.first = 3});
  store.Fail(2);
  EXPECT_EQ(Get(object, {.count = 5}), "io");
  EXPECT_EQ(States(object, 6), "d..c..");
  EXPECT_EQ(Contents(object, 6), "x..d..");
  EXPECT_EQ(core_.counters.frames_in_use, 2u);
  store.Heal();
  EXPECT_EQ(Get(object, {.count = 5}), "xbcde");
}

// ---- 5.A item 13 (2001): writing out wired pages must not write-protect them.

TEST_F(KnownBugsPagerTest, AWiredPageIsWrittenButNotWriteProtected) {
  MemoryStore store("ab");
  Object* object = Stored(&store);
  Get(object, {.first = 0, .count = 2, .access = Access::kWrite});
  for (uint64_t i = 0; i < 2; ++i) MapPage(object, i, base::kProtReadWrite, Wired::kYes);
  {
    MutexLock lock(&object->mu);
    pages_.Wire(PageAt(object, 0));
  }
  EXPECT_TRUE(ObjectWorld::Store(0, 'x'));
  EXPECT_TRUE(ObjectWorld::Store(1, 'x'));
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt | kPgoSyncIo | kPgoDeactivate), "ok");
  EXPECT_EQ(store.picture(), "xx");
  EXPECT_TRUE(ObjectWorld::Store(0, 'y'));  // without a fault
  EXPECT_FALSE(ObjectWorld::Store(1, 'y'));
  EXPECT_EQ(States(object, 2), "uc");
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt | kPgoFree), "ok");
  EXPECT_EQ(store.picture(), "yx");
  EXPECT_EQ(States(object, 2), "u.");
  UnmapAll();
}

// ---- 5.A item 14 (NetBSD PR 55658): a read-only page in a window of the buffer cache was written
// without its store hearing of it.

class KnownBugsCacheTest : public PictureTest {
 protected:
  BufferCache& cache() { return *uvm().Cache(); }
  std::string Read(Object* object, uint64_t offset, uint64_t bytes) {
    BufferPeer peer;
    Uio uio{&peer, offset, bytes};
    EXPECT_TRUE(cache().UioMove(object, &uio, bytes, Advice::kNormal, kUbcRead).ok());
    CheckInvariants();
    return peer.bytes();
  }
  void Write(Object* object, uint64_t offset, BufferPeer* peer, uint64_t bytes, uint32_t flags) {
    Uio uio{peer, offset, bytes};
    EXPECT_TRUE(cache().UioMove(object, &uio, bytes, Advice::kNormal, kUbcWrite | flags).ok());
    CheckInvariants();
  }
};

TEST_F(KnownBugsCacheTest, AHoleThatWasReadGetsABlockWhenItIsWritten) {
  for (uint32_t flags : {uint32_t{0}, uint32_t{kUbcFaultBusy}}) {
    MemoryStore store("a.");
    Object* object = uvm().CreateStoredObject(&store, 1).value();
    EXPECT_EQ(Read(object, kPage, 1), std::string(1, '\0'));
    EXPECT_TRUE(object->DebugLookup(PageIndex(1))->read_only);
    BufferPeer peer(std::string(kPage, 'x'));
    Write(object, kPage, &peer, kPage, flags);
    EXPECT_EQ(store.TakeLog().find("A1") != std::string::npos, true);
    uvm().ReleaseObject(object);
    EXPECT_EQ(store.picture(), "ax");
  }
}

// ---- 5.A item 15 (NetBSD PR 56170): write(2) from a mapping of the file that is written.

TEST_F(KnownBugsCacheTest, AWriteWhoseSourceIsAMappingOfTheSameFile) {
  MemoryStore store("ab");
  Object* object = uvm().CreateStoredObject(&store, 1).value();
  Space space = NewSpace("..");
  space.Map({.pages = 2, .sharing = Sharing::kShared, .file = object});
  BufferPeer peer(std::string(2 * kPage, 'x'));
  // The client's memory is touched while the transfer is under way, as copying it in would.
  peer.BeforeMoves([&] {
    EXPECT_EQ(space.Touch(0, Access::kRead), "ok");
    EXPECT_EQ(space.Touch(1, Access::kRead), "ok");
  });
  Write(object, 0, &peer, 2 * kPage, kUbcFaultBusy);
  EXPECT_EQ(Contents(space), "xx");
  space.Exit();
  uvm().ReleaseObject(object);
}

// ---- 5.B item 6: read-ahead by madvise(WILLNEED) began at the wrong offset and was too long when
// the range did not begin where its entry does.

TEST_F(KnownBugsObjectTest, WillNeedReadsWhatTheRangeShows) {
  MemoryStore store(std::string(16, 'a'));
  Object* object = uvm().CreateStoredObject(&store, 1).value();
  Space space = NewSpace("........");
  space.Map({.pages = 8, .sharing = Sharing::kShared, .file = object, .file_page = 4});
  space->map().WillNeed(Pages(3, 2));
  EXPECT_EQ(store.TakeLog(), "R7 R8");
  space->map().WillNeed(Pages(6, 5));
  EXPECT_EQ(store.TakeLog(), "R10 R11");
  space.Exit();
  uvm().ReleaseObject(object);
}

// However many times as many as one request of a pager takes.
TEST_F(KnownBugsObjectTest, WillNeedReadsAllOfALongRange) {
  constexpr uint64_t kPages = 2 * kMaxGetPages + 3;
  MemoryStore store(std::string(kPages + 1, 'a'));
  Object* object = uvm().CreateStoredObject(&store, 1).value();
  Space space = NewSpace(std::string(kPages, '.'));
  space.Map({.pages = kPages, .sharing = Sharing::kShared, .file = object});
  space->map().WillNeed(Pages(0, kPages));
  uint64_t resident = 0;
  for (uint64_t page = 0; page < kPages; ++page) {
    bool there = false;
    resident += space->map().IsResident(PageAt(page), &there) && there ? 1 : 0;
  }
  EXPECT_EQ(resident, kPages);
  space.Exit();
  uvm().ReleaseObject(object);
}

// ---- 5.B item 8b: wiring an object looked at the replaced page again and did not end.

TEST_F(KnownBugsPagerTest, WiringReplacesLentPagesOnce) {
  Object* object = Anonymous(20 * kPage);
  for (uint64_t i = 0; i < 20; ++i) Write(object, i, static_cast<char>('a' + i));
  Page* lent[2] = {PageAt(object, 1), PageAt(object, 17)};
  for (Page* page : lent) {
    MutexLock lock(&object->mu);
    pages_.Lend(page, nullptr);
  }
  ObjectWiring wiring(&core_, &pages_);
  EXPECT_TRUE(wiring.Wire(object, PageIndex(0), PageIndex(20), nullptr).ok());
  EXPECT_EQ(Contents(object, 20), "abcdefghijklmnopqrst");
  EXPECT_EQ(core_.counters.loan_breaks, 2u);
  for (uint64_t i = 0; i < 20; ++i) EXPECT_EQ(PageAt(object, i)->wire_count, 1u);
  for (Page* page : lent) {
    EXPECT_EQ(page->object, nullptr);
    EXPECT_EQ(page->wire_count, 0u);
    pages_.ReturnLoan(page);
  }
  wiring.Unwire(object, PageIndex(0), PageIndex(20));
  objects_.Release(object);
  EXPECT_EQ(core_.counters.frames_in_use, 0u);
}

// ---- 5.B item 14: mapping an object with bad parameters lost the caller's reference.

TEST_F(KnownBugsObjectTest, AMappingThatFailsLeavesTheReferenceWithItsCaller) {
  Object* object = uvm().CreateAobj(4 * kPage, 0).value();
  Space space = NewSpace("a...");
  space.Protect(0, 1, base::kProtRead);
  Map::EnterOptions good;
  good.at = PageAt(1);
  good.size = kPage;
  good.prot = base::kProtRead;
  good.object = object;
  Map::EnterOptions bad = good;
  bad.size = 0;
  EXPECT_EQ(space->map().Enter(bad), MapError::kInvalidArgument);
  bad = good;
  bad.align = 3 * kPage;
  EXPECT_EQ(space->map().Enter(bad), MapError::kInvalidArgument);
  bad = good;
  bad.prot = base::kProtReadWrite;
  bad.max_prot = base::kProtRead;
  EXPECT_EQ(space->map().Enter(bad), MapError::kProtection);
  bad = good;
  bad.at = PageAt(0);
  bad.where = Map::Where::kFixed;
  EXPECT_EQ(space->map().Enter(bad), MapError::kNoSpace);
  bad = good;
  bad.offset = ~uint64_t{0} - kPage + 1;
  bad.size = 2 * kPage;
  EXPECT_EQ(space->map().Enter(bad), MapError::kTooBig);
  EXPECT_EQ(object->DebugRefs(), 1u);
  EXPECT_TRUE(space->map().Enter(good).ok());
  EXPECT_EQ(object->DebugRefs(), 1u);  // the caller's, consumed
  space.Unmap(1, 3);
  EXPECT_TRUE(uvm().DebugObjects().DebugAll().empty());
}

// ---- 5.B item 17: cleaning that nobody waits for waited for busy pages, cleaning that somebody
// waits for did not.

class KnownBugsThreadsTest : public ::testing::Test {
 protected:
  BatonThreads threads_;
  ObjectWorld world_{64, &threads_};
};

TEST_F(KnownBugsThreadsTest, SyncWaitsForWritesOfOthersAndAsyncDoesNot) {
  MemoryStore store("ab");
  Object* object = world_.Stored(&store);
  world_.Write(object, 0, 'x');
  store.TakeLog();
  store.DuringNext([&] { threads_.Yield(); });
  threads_.Add([&] {
    world_.Put(object, 0, 0, kPgoCleanIt);
    threads_.Log("written");
  });
  threads_.Add([&] {
    world_.Put(object, 0, 0, kPgoCleanIt);
    threads_.Log("async");
    EXPECT_EQ(world_.States(object, 2), "C.");
    world_.Put(object, 0, 0, kPgoCleanIt | kPgoSyncIo);
    threads_.Log("sync:" + world_.States(object, 2));
  });
  threads_.Run();
  EXPECT_EQ(threads_.log(), "async written sync:c.");
  EXPECT_EQ(store.picture(), "xb");
}

TEST_F(KnownBugsThreadsTest, SyncWaitsForBusyDirtyPagesAndAsyncPassesThem) {
  MemoryStore store("ab");
  Object* object = world_.Stored(&store);
  world_.Write(object, 0, 'x');
  Page* page = world_.PageAt(object, 0);
  page->busy = BusyReason::kPagein;  // somebody is at work on it
  threads_.Add([&] {
    world_.Put(object, 0, 0, kPgoCleanIt);
    threads_.Log("async:" + store.picture());
    world_.Put(object, 0, 0, kPgoCleanIt | kPgoSyncIo);
    threads_.Log("sync:" + store.picture());
  });
  threads_.Add([&] {
    threads_.Log("unbusy");
    MutexLock lock(&object->mu);
    object->Unbusy(&world_.pages_, page);
  });
  threads_.Run();
  EXPECT_EQ(threads_.log(), "async:ab unbusy sync:xb");
}

// ---- 5.B item 19: a device fault that found no room for its translation waited for ever.

TEST_F(KnownBugsObjectTest, ADeviceFaultFailsWhenNothingCanBeReclaimed) {
  FrameDriver driver(&pmap());
  Object* object = uvm().AttachDevice(&driver, 1, base::kProtRead, 0, kPage);
  Space space = NewSpace(".");
  space.Map({.sharing = Sharing::kShared, .file = object});
  uvm().ReleaseObject(object);
  pmap().FailEnterAfter(0);
  EXPECT_EQ(space.Touch(0, Access::kRead), "no_memory");
  EXPECT_EQ(space.Touch(0, Access::kRead), "ok");
  space.Exit();
}

// ---- 5.B' N1: a get that finds resident pages ignored the marks of places that it was to leave
// alone.

TEST_F(KnownBugsPagerTest, ALockedGetLeavesAloneWhatIsNotCaredFor) {
  Object* object = Anonymous(4 * kPage);
  for (uint64_t i = 0; i < 4; ++i) Write(object, i, static_cast<char>('a' + i));
  EXPECT_EQ(Get(object, {.count = 4, .centre = 1, .flags = kPgoLocked, .skip = "x..x"}), "-bc-");
}

// ---- 5.B' N2: mremap grew a mapping past the end of its object.

TEST_F(KnownBugsObjectTest, AMappingDoesNotGrowPastTheEndOfItsObject) {
  Object* object = uvm().CreateAobj(4 * kPage, 0).value();
  Space space = NewSpace("..........");
  space.Map({.pages = 3, .sharing = Sharing::kShared, .file = object, .file_page = 1});
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 3, .new_pages = 4}), "invalid_argument");
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 3, .new_pages = 9}), "invalid_argument");
  EXPECT_EQ(Layout(space), "AAA.......");
  EXPECT_TRUE(uvm().TruncateAobj(object, 5 * kPage));
  EXPECT_EQ(space.TryRemap({.from = 0, .pages = 3, .new_pages = 4}), "0");
  space.Write("abcd");
  // And what lies past the end once the object was cut is an error, not somebody else's memory.
  EXPECT_TRUE(uvm().TruncateAobj(object, 2 * kPage));
  EXPECT_EQ(space.Touch(0, Access::kRead), "ok");
  EXPECT_EQ(space.Touch(1, Access::kRead), "past_end");
  uvm().ReleaseObject(object);
}

// ---- 5.B' N6: a fault on an anonymous object waited for ever when memory ran out.

TEST_F(KnownBugsObjectTest, AFaultOnAnAnonymousObjectFailsWithoutMemory) {
  Object* object = uvm().CreateAobj(80 * kPage, 0).value();
  Space space = NewSpace(std::string(80, '.'));
  space.Map({.pages = 80, .sharing = Sharing::kShared, .file = object});
  for (uint64_t page = 0; page < 64; ++page) {
    ASSERT_EQ(space.Touch(page, Access::kWrite), "ok");
  }
  EXPECT_EQ(space.Touch(64, Access::kWrite), "no_memory");
  EXPECT_EQ(space.Touch(79, Access::kRead), "no_memory");
  EXPECT_EQ(space.Touch(63, Access::kWrite), "ok");
  space.Unmap(0, 80);
  uvm().ReleaseObject(object);
}

}  // namespace
}  // namespace uvm::testing
