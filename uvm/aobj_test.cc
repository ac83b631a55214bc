#include "uvm/aobj.h"

#include <cstring>
#include <string>

#include "gtest/gtest.h"
#include "uvm/object.h"
#include "uvm/pager.h"
#include "uvm/testing/object_world.h"

namespace uvm {
namespace {

constexpr uint64_t kPage = base::kPageSize;

class AobjTest : public ::testing::Test, public testing::ObjectWorld {
 protected:
  AobjTest() : ObjectWorld(16) {}
};

TEST_F(AobjTest, PagesBeginAsZeroesAndAreDirty) {
  Object* object = Anonymous(4 * kPage);
  EXPECT_EQ(Get(object, {.first = 2}), "0");
  EXPECT_EQ(States(object, 4), "..d.");
  Write(object, 1, 'a');
  EXPECT_EQ(Get(object, {.first = 1}), "a");
  EXPECT_EQ(object->pager()->SizeInBytes(object), 4 * kPage);
  EXPECT_EQ(object->pager()->kind(), Pager::Kind::kAnonymous);
  objects_.Release(object);
  EXPECT_EQ(core_.counters.frames_in_use, 0u);
}

TEST_F(AobjTest, ALockedGetSeesWhatIsThereAndNeitherWaitsNorFills) {
  Object* object = Anonymous(8 * kPage);
  Write(object, 1, 'a');
  Write(object, 3, 'c');
  EXPECT_EQ(Get(object, {.first = 0, .count = 5, .centre = 1, .flags = kPgoLocked}), "-a-c-");
  EXPECT_EQ(Get(object, {.first = 0, .count = 5, .centre = 2, .flags = kPgoLocked}), "busy");
  PageAt(object, 3)->busy = BusyReason::kPagein;
  EXPECT_EQ(Get(object, {.first = 0, .count = 5, .centre = 1, .flags = kPgoLocked}), "-a---");
  EXPECT_EQ(Get(object, {.first = 3, .flags = kPgoLocked}), "busy");
  PageAt(object, 3)->busy = BusyReason::kNotBusy;
}

// facts/uvm.md 5.B' N1.
TEST_F(AobjTest, ALockedGetLeavesAloneWhatIsNotCaredFor) {
  Object* object = Anonymous(4 * kPage);
  for (uint64_t i = 0; i < 4; ++i) Write(object, i, static_cast<char>('a' + i));
  EXPECT_EQ(Get(object, {.count = 4, .centre = 1, .flags = kPgoLocked, .skip = "x..x"}), "-bc-");
}

TEST_F(AobjTest, AGetBringsTheCentreOrEverything) {
  Object* object = Anonymous(4 * kPage);
  EXPECT_EQ(Get(object, {.count = 4, .centre = 2}), "--0-");
  EXPECT_EQ(Get(object, {.count = 4, .flags = kPgoSyncIo | kPgoAllPages, .skip = ".x"}), "0-00");
  EXPECT_EQ(States(object, 4), "d.dd");
  // What does not exist yet is not read ahead.
  EXPECT_EQ(Get(object, {.first = 1, .flags = 0}), "-");
  EXPECT_EQ(States(object, 4), "d.dd");
}

TEST_F(AobjTest, NothingLiesBeyondTheEnd) {
  Object* object = Anonymous(2 * kPage + 1);
  EXPECT_EQ(Get(object, {.first = 2}), "0");
  EXPECT_EQ(Get(object, {.first = 3}), "past-end");
  EXPECT_EQ(Get(object, {.first = 1, .count = 4, .flags = kPgoSyncIo | kPgoAllPages}), "00--");
}

TEST_F(AobjTest, RunningOutOfDescriptorsIsANullPointer) {
  memory_.FailAfter(0);
  EXPECT_EQ(anonymous_.Create(kPage, 0), nullptr);
  memory_.FailAfter(1);
  EXPECT_EQ(anonymous_.Create(kPage, 0), nullptr);
  memory_.FailAfter(1);
  EXPECT_EQ(anonymous_.Create(kPage, 0), nullptr);
  memory_.NeverFail();
  EXPECT_NE(anonymous_.Create(kPage, 0), nullptr);
}

TEST_F(AobjTest, PutFreesWhatNobodyElseHas) {
  Object* object = Anonymous(8 * kPage);
  for (uint64_t i = 0; i < 6; ++i) Write(object, i, 'a');
  EXPECT_EQ(Put(object, 1, 3, kPgoCleanIt | kPgoFree), "ok");  // msync: nothing is to be lost
  EXPECT_EQ(States(object, 8), "dddddd..");
  EXPECT_EQ(Put(object, 1, 3, kPgoFree), "ok");
  EXPECT_EQ(States(object, 8), "d..ddd..");
  EXPECT_EQ(Get(object, {.first = 1}), "0");
  objects_.Reference(object);
  EXPECT_EQ(Put(object, 3, 4, kPgoFree), "ok");
  EXPECT_EQ(Contents(object, 8), "a0.aaa..");
  EXPECT_EQ(PageStore::QueueOf(PageAt(object, 3)), PageQueue::kInactive);
  objects_.Release(object);
  EXPECT_EQ(Put(object, 4, 0, kPgoFree), "ok");
  EXPECT_EQ(Contents(object, 8), "a0.a....");
  EXPECT_EQ(Put(object, 9, 9, kPgoFree | kPgoAllPages), "ok");
  EXPECT_EQ(Contents(object, 8), "........");
}

TEST_F(AobjTest, PutLeavesWiredPagesAndNeverCleans) {
  Object* object = Anonymous(4 * kPage);
  for (uint64_t i = 0; i < 3; ++i) Write(object, i, 'a');
  {
    MutexLock lock(&object->mu);
    pages_.Wire(PageAt(object, 1));
  }
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt | kPgoSyncIo), "ok");
  EXPECT_EQ(States(object, 4), "ddd.");
  EXPECT_EQ(Put(object, 0, 0, kPgoDeactivate), "ok");
  EXPECT_EQ(PageStore::QueueOf(PageAt(object, 0)), PageQueue::kInactive);
  EXPECT_EQ(PageStore::QueueOf(PageAt(object, 1)), PageQueue::kNone);
  EXPECT_EQ(Put(object, 0, 0, kPgoFree), "ok");
  EXPECT_EQ(Contents(object, 4), ".a..");
}

TEST_F(AobjTest, PutFailsOnABusyPageIfToldTo) {
  Object* object = Anonymous(4 * kPage);
  for (uint64_t i = 0; i < 3; ++i) Write(object, i, 'a');
  PageAt(object, 1)->busy = BusyReason::kPagein;
  EXPECT_EQ(Put(object, 0, 0, kPgoFree | kPgoBusyFail), "busy");
  EXPECT_EQ(Contents(object, 4), ".aa.");
  PageAt(object, 1)->busy = BusyReason::kNotBusy;
}

TEST_F(AobjTest, ShrinkingForgetsAndGrowingShowsZeroes) {
  Object* object = Anonymous(4 * kPage);
  for (uint64_t i = 0; i < 4; ++i) Write(object, i, 'a');
  {
    MutexLock lock(&object->mu);
    pages_.Wire(PageAt(object, 3));
  }
  anonymous_.SetSize(object, kPage + 100);
  EXPECT_EQ(Contents(object, 4), "a#..");
  EXPECT_EQ(pages_.wired_count(), PageCount(0));
  EXPECT_EQ(pages_.Contents(PageAt(object, 1))[99], 'a');
  EXPECT_EQ(pages_.Contents(PageAt(object, 1))[100], 0);
  EXPECT_EQ(Get(object, {.first = 2}), "past-end");
  // Somebody writes behind the end through a mapping of the last page.
  std::memset(pages_.Contents(PageAt(object, 1)), 'b', kPage);
  anonymous_.SetSize(object, 3 * kPage);
  EXPECT_EQ(pages_.Contents(PageAt(object, 1))[99], 'b');
  EXPECT_EQ(pages_.Contents(PageAt(object, 1))[100], 0);
  EXPECT_EQ(Get(object, {.first = 2}), "0");
  anonymous_.SetSize(object, 0);
  EXPECT_EQ(Contents(object, 4), "....");
}

TEST_F(AobjTest, TheKernelsOwnAreNotCounted) {
  Object* object = Anonymous(4 * kPage, kAobjKernObj);
  objects_.Reference(object);
  objects_.Release(object);
  objects_.Release(object);
  EXPECT_EQ(Get(object, {.first = 0}), "0");
  EXPECT_EQ(object->DebugRefs(), Object::kKernelRefs);
}

// A thread that waits for a busy page looks again when it wakes: the page may be gone.
TEST(AobjThreadsTest, AGetWaitsForABusyPageAndTruncationForIt) {
  testing::BatonThreads threads;
  testing::ObjectWorld world(16, &threads);
  Object* object = world.Anonymous(4 * kPage);
  world.Write(object, 1, 'a');
  Page* page = world.PageAt(object, 1);
  page->busy = BusyReason::kPagein;
  threads.Add([&] { threads.Log("get:" + world.Get(object, {.first = 1})); });
  threads.Add([&] {
    world.anonymous_.SetSize(object, kPage);
    threads.Log("cut");
  });
  threads.Add([&] {
    threads.Log("unbusy");
    MutexLock lock(&object->mu);
    object->Unbusy(&world.pages_, page);
  });
  threads.Run();
  // The end was lowered before the page came free.
  EXPECT_EQ(threads.log(), "unbusy get:past-end cut");
  EXPECT_EQ(world.States(object, 4), "....");
}

}  // namespace
}  // namespace uvm
