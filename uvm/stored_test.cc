#include "uvm/stored.h"

#include <cstring>
#include <string>

#include "gtest/gtest.h"
#include "uvm/object.h"
#include "uvm/pager.h"
#include "uvm/testing/object_world.h"

namespace uvm {
namespace {

constexpr uint64_t kPage = base::kPageSize;

class StoredTest : public ::testing::Test, public testing::ObjectWorld {};

TEST_F(StoredTest, AGetReadsWhatIsAbsentAndKeepsIt) {
  testing::MemoryStore store("abcd");
  Object* object = Stored(&store);
  EXPECT_EQ(Get(object, {.first = 1}), "b");
  EXPECT_EQ(Get(object, {.first = 0, .count = 4, .centre = 2}), "abcd");
  EXPECT_EQ(store.TakeLog(), "R1 R0 R2 R3");
  EXPECT_EQ(States(object, 5), "cccc.");
  EXPECT_EQ(core_.counters.pager_get, 4u);
  EXPECT_EQ(Get(object, {.first = 0, .count = 2, .flags = kPgoLocked}), "ab");
  EXPECT_EQ(store.TakeLog(), "");
}

TEST_F(StoredTest, DontCarePagesAreNeitherReadNorReturned) {
  testing::MemoryStore store("abcd");
  Object* object = Stored(&store);
  EXPECT_EQ(Get(object, {.count = 4, .centre = 1, .skip = "x.x."}), "-b-d");
  EXPECT_EQ(store.TakeLog(), "R1 R3");
  EXPECT_EQ(Get(object, {.count = 4, .centre = 3, .flags = kPgoLocked, .skip = ".x.."}), "---d");
}

TEST_F(StoredTest, TheCentreMustLieBeforeTheEnd) {
  testing::MemoryStore store("abc");
  store.set_size(2 * kPage + 7);
  Object* object = Stored(&store);
  EXPECT_EQ(Get(object, {.first = 3}), "past-end");
  EXPECT_EQ(Get(object, {.first = 2, .count = 3, .centre = 1}), "past-end");
  EXPECT_EQ(Get(object, {.first = 1, .count = 4, .centre = 0}), "b#--");
  EXPECT_EQ(pages_.Contents(PageAt(object, 2))[6], 'c');
  EXPECT_EQ(pages_.Contents(PageAt(object, 2))[7], 0);
  EXPECT_EQ(Get(object, {.first = 5, .flags = kPgoSyncIo | kPgoPastEof}), "0");
}

TEST_F(StoredTest, AnErrorReachesTheCallerAndLeavesNothing) {
  testing::MemoryStore store("abcd");
  Object* object = Stored(&store);
  store.Fail(2);
  EXPECT_EQ(Get(object, {.first = 1, .count = 3}), "io");
  EXPECT_EQ(States(object, 4), "....");
  EXPECT_EQ(core_.counters.frames_in_use, 0u);
  store.Heal();
  EXPECT_EQ(Get(object, {.first = 1, .count = 3}), "bcd");
}

TEST_F(StoredTest, WithoutFramesAGetFailsAndLeavesWhatThereWas) {
  testing::MemoryStore store(std::string(80, 'a'));
  Object* object = Stored(&store);
  for (uint64_t i = 0; i < 62; ++i) Get(object, {.first = i});
  EXPECT_EQ(Get(object, {.first = 60, .count = 8}), "no-memory");
  EXPECT_EQ(core_.counters.frames_in_use, 62u);
  EXPECT_EQ(Get(object, {.first = 60, .count = 4}), "aaaa");
}

TEST_F(StoredTest, AHoleIsReadOnlyUntilSomebodyWantsToWrite) {
  testing::MemoryStore store("a.c");
  Object* object = Stored(&store);
  EXPECT_EQ(Get(object, {.first = 0, .count = 3}), "a0c");
  EXPECT_EQ(store.TakeLog(), "R0 R2");
  EXPECT_EQ(States(object, 3), "crc");
  // A hole is a miss for a writer that cannot wait.
  EXPECT_EQ(Get(object, {.first = 1, .flags = kPgoLocked}), "0");
  EXPECT_EQ(Get(object, {.first = 1, .access = Access::kWrite, .flags = kPgoLocked}), "busy");
  EXPECT_EQ(Get(object, {.first = 1, .access = Access::kWrite}), "0");
  EXPECT_EQ(store.TakeLog(), "A1");
  EXPECT_EQ(States(object, 3), "cdc");
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt | kPgoSyncIo), "ok");
  EXPECT_EQ(store.picture(), "a0c");
}

TEST_F(StoredTest, BlocksAreFoundOnlyIfAskedForAndWhereThereIsRoom) {
  testing::MemoryStore store("...");
  Object* object = Stored(&store);
  EXPECT_EQ(
      Get(object, {.first = 0, .access = Access::kWrite, .flags = kPgoSyncIo | kPgoNoBlockAlloc}),
      "0");
  EXPECT_EQ(States(object, 3), "r..");
  store.Fail(1);
  EXPECT_EQ(Get(object, {.first = 1, .access = Access::kWrite}), "io");
  EXPECT_EQ(States(object, 3), "r..");
  EXPECT_EQ(store.picture(), "...");
}

TEST_F(StoredTest, ABlockIsReadAsAWholeAndTheExtraPagesAreLetGo) {
  testing::MemoryStore store("abcdefgh");
  store.set_block(4);
  Object* object = Stored(&store);
  EXPECT_EQ(Get(object, {.first = 5}), "f");
  EXPECT_EQ(store.TakeLog(), "R4 R5 R6 R7");
  EXPECT_EQ(States(object, 8), "....cccc");
  EXPECT_EQ(Get(object, {.first = 3, .count = 2}), "de");
  EXPECT_EQ(store.TakeLog(), "R0 R1 R2 R3");
  EXPECT_EQ(Get(object, {.first = 0, .count = 8}), "abcdefgh");
  EXPECT_EQ(store.TakeLog(), "");
}

TEST_F(StoredTest, WhoOverwritesReadsNothing) {
  testing::MemoryStore store("ab");
  Object* object = Stored(&store);
  stored_.SetWriteSize(object, 4 * kPage);
  EXPECT_EQ(Get(object, {.first = 3}), "past-end");
  EXPECT_NE(
      Get(object,
          {.first = 1, .count = 3, .access = Access::kWrite, .flags = kPgoSyncIo | kPgoOverwrite}),
      "past-end");
  EXPECT_EQ(store.TakeLog(), "");
  EXPECT_EQ(States(object, 4), ".ddd");
}

TEST_F(StoredTest, ReadAheadMakesPagesResidentAndReturnsNone) {
  testing::MemoryStore store("abcd");
  Object* object = Stored(&store);
  EXPECT_EQ(Get(object, {.first = 0, .count = 3, .flags = 0}), "---");
  EXPECT_EQ(States(object, 4), "ccc.");
}

// What came before anybody asked for it says so until it is used; the policy goes by it.
TEST_F(StoredTest, PagesThatNobodyAskedForAreMarked) {
  testing::MemoryStore store("abcdefgh");
  store.set_block(2);
  Object* object = Stored(&store);
  const auto marks = [&] {
    std::string text;
    for (uint64_t i = 0; i < 6; ++i) {
      const Page* page = PageAt(object, i);
      text += page == nullptr ? '.' : page->read_ahead ? 'a' : '-';
    }
    return text;
  };
  Get(object, {.first = 0, .count = 2, .flags = 0});
  EXPECT_EQ(marks(), "aa....");
  Get(object, {.first = 2});
  EXPECT_EQ(marks(), "aa-a..") << "the rest of its block";
  object->mu.Lock();
  pages_.Activate(PageAt(object, 1));
  object->mu.Unlock();
  EXPECT_EQ(marks(), "a--a..");
  EXPECT_EQ(Get(object, {.first = 4, .flags = kPgoSyncIo | kPgoOverwrite}).size(), 1u);
  EXPECT_EQ(marks(), "a--a-.") << "who overwrites reads nothing ahead";
}

TEST_F(StoredTest, AWriterMakesCleanPagesUnknown) {
  testing::MemoryStore store("ab");
  Object* object = Stored(&store);
  Get(object, {.first = 0, .count = 2});
  EXPECT_EQ(States(object, 2), "cc");
  Get(object, {.first = 0, .access = Access::kWrite});
  EXPECT_EQ(States(object, 2), "uc");
  EXPECT_EQ(store.first_dirty(), 1);
  Get(object, {.first = 1, .access = Access::kWrite});
  EXPECT_EQ(store.first_dirty(), 1);
}

TEST_F(StoredTest, TheFirstWriteToACleanObjectMustFaultIfTheStoreWantsIt) {
  testing::MemoryStore indifferent("a");
  Object* object = Stored(&indifferent);
  EXPECT_FALSE(stored_.NeedsWriteFault(object));
  testing::MemoryStore curious("a");
  curious.set_wants_first_write();
  object = Stored(&curious);
  EXPECT_TRUE(stored_.NeedsWriteFault(object));
  Write(object, 0, 'x');
  EXPECT_FALSE(stored_.NeedsWriteFault(object));
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt | kPgoSyncIo), "ok");
  EXPECT_TRUE(stored_.NeedsWriteFault(object));
}

TEST_F(StoredTest, CleaningWritesRunsOfDirtyPages) {
  testing::MemoryStore store(std::string(40, 'a'));
  Object* object = Stored(&store);
  Get(object, {.first = 0, .count = 16});
  for (uint64_t i : {1, 2, 3, 7, 9, 10}) Write(object, i, 'x');
  store.TakeLog();
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt), "ok");
  EXPECT_EQ(store.TakeLog(), "W1-3 W7 W9-10");
  EXPECT_EQ(store.picture().substr(0, 12), "axxxaaaxaxxa");
  EXPECT_EQ(States(object, 12), "cccccccccccc");
  EXPECT_EQ(core_.counters.pager_put, 6u);
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt | kPgoSyncIo), "ok");
  EXPECT_EQ(store.TakeLog(), "");
}

TEST_F(StoredTest, ARunHasAtMostSixteenPagesAndStaysInItsRange) {
  testing::MemoryStore store(std::string(40, 'a'));
  Object* object = Stored(&store);
  for (uint64_t i = 0; i < 40; ++i) Write(object, i, 'x');
  store.TakeLog();
  EXPECT_EQ(Put(object, 3, 22, kPgoCleanIt), "ok");
  EXPECT_EQ(store.TakeLog(), "W3-18 W19-21");
  EXPECT_EQ(Put(object, 3, 22, kPgoCleanIt | kPgoAllPages), "ok");
  EXPECT_EQ(store.TakeLog(), "W0-2 W22-37 W38-39");
}

TEST_F(StoredTest, WhatIsCleanIsWriteProtectedAndWhatIsUnknownIsLookedAt) {
  testing::MemoryStore store("abc");
  Object* object = Stored(&store);
  Get(object, {.first = 0, .count = 3, .access = Access::kWrite});
  for (uint64_t i = 0; i < 3; ++i) MapPage(object, i, base::kProtReadWrite);
  EXPECT_TRUE(Store(1, 'x'));
  store.TakeLog();
  EXPECT_EQ(States(object, 3), "uuu");
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt | kPgoSyncIo), "ok");
  EXPECT_EQ(store.TakeLog(), "W1");
  EXPECT_EQ(store.picture(), "axc");
  EXPECT_EQ(States(object, 3), "ucu");
  EXPECT_FALSE(Store(1, 'y'));  // would go unnoticed
  EXPECT_TRUE(Store(2, 'z'));
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt | kPgoSyncIo), "ok");
  EXPECT_EQ(store.picture(), "axz");
  UnmapAll();
}

TEST_F(StoredTest, FreeingTakesMappingsAwayBeforeItLooks) {
  testing::MemoryStore store("abc");
  Object* object = Stored(&store);
  Get(object, {.first = 0, .count = 3, .access = Access::kWrite});
  for (uint64_t i = 0; i < 3; ++i) MapPage(object, i, base::kProtReadWrite);
  EXPECT_TRUE(Store(0, 'x'));
  EXPECT_EQ(Put(object, 0, 2, kPgoCleanIt | kPgoFree | kPgoSyncIo), "ok");
  EXPECT_EQ(store.picture(), "xbc");
  EXPECT_EQ(States(object, 3), "..u");
  EXPECT_FALSE(Store(0, 'y'));
  // Without cleaning, what was written is forgotten.
  EXPECT_TRUE(Store(2, 'z'));
  EXPECT_EQ(Put(object, 0, 0, kPgoFree), "ok");
  EXPECT_EQ(store.picture(), "xbc");
  EXPECT_EQ(Get(object, {.first = 2}), "c");
  EXPECT_EQ(core_.counters.pager_freed, 0u) << "nobody was short of memory";
  UnmapAll();
}

TEST_F(StoredTest, APageThatCouldNotBeWrittenStaysDirty) {
  testing::MemoryStore store("abcd");
  Object* object = Stored(&store);
  for (uint64_t i : {0, 1, 3}) Write(object, i, 'x');
  store.Fail(1);
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt | kPgoFree), "io");
  EXPECT_EQ(States(object, 4), "dd..");
  EXPECT_EQ(store.picture()[3], 'x');
  store.Heal();
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt), "ok");
  EXPECT_EQ(store.picture(), "xxcx");
}

TEST_F(StoredTest, PutFailsOnABusyPageIfToldTo) {
  testing::MemoryStore store("ab");
  Object* object = Stored(&store);
  Write(object, 0, 'x');
  Write(object, 1, 'x');
  PageAt(object, 0)->busy = BusyReason::kPagein;
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt | kPgoBusyFail), "busy");
  // Who does not wait for the outcome passes over it.
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt), "ok");
  EXPECT_EQ(store.picture(), "ax");
  PageAt(object, 0)->busy = BusyReason::kNotBusy;
}

TEST_F(StoredTest, TheLastReferenceWritesWhatIsDirty) {
  testing::MemoryStore store("abc");
  Object* object = Stored(&store);
  Write(object, 1, 'x');
  objects_.Reference(object);
  objects_.Release(object);
  EXPECT_EQ(store.picture(), "abc");
  store.TakeLog();
  objects_.Release(object);
  EXPECT_EQ(store.TakeLog(), "W1 detach");
  EXPECT_EQ(store.picture(), "axc");
  EXPECT_EQ(core_.counters.frames_in_use, 0u);
}

TEST_F(StoredTest, ShrinkingFreesWholePagesAndZeroesTheRestOfTheLast) {
  testing::MemoryStore store("abcd");
  Object* object = Stored(&store);
  for (uint64_t i = 0; i < 4; ++i) Get(object, {.first = i});
  {
    MutexLock lock(&object->mu);
    pages_.Wire(PageAt(object, 3));
  }
  EXPECT_TRUE(stored_.SetSize(object, kPage + 10).ok());
  EXPECT_EQ(States(object, 4), "cd..");
  EXPECT_EQ(pages_.wired_count(), PageCount(0));
  EXPECT_EQ(Get(object, {.first = 2}), "past-end");
  EXPECT_EQ(object->pager()->SizeInBytes(object), kPage + 10);
  EXPECT_EQ(pages_.Contents(PageAt(object, 1))[9], 'b');
  EXPECT_EQ(pages_.Contents(PageAt(object, 1))[10], 0);
  // Growing again must not bring back what was cut off, nor what was written behind the end.
  std::memset(pages_.Contents(PageAt(object, 1)) + 10, 'y', 100);
  EXPECT_TRUE(stored_.SetSize(object, 3 * kPage).ok());
  EXPECT_EQ(pages_.Contents(PageAt(object, 1))[10], 0);
}

TEST_F(StoredTest, ShrinkingReadsTheLastPageInAndFailsWithIt) {
  testing::MemoryStore store("abcd");
  Object* object = Stored(&store);
  store.Fail(1);
  EXPECT_EQ(stored_.SetSize(object, kPage + 10), PagerError::kIo);
  EXPECT_EQ(object->pager()->SizeInBytes(object), 4 * kPage);
  store.Heal();
  EXPECT_TRUE(stored_.SetSize(object, kPage + 10).ok());
  EXPECT_EQ(States(object, 4), ".d..");
  EXPECT_TRUE(stored_.SetSize(object, 0).ok());
  EXPECT_EQ(States(object, 4), "....");
}

TEST_F(StoredTest, AHoleThatIsCutStaysAHole) {
  testing::MemoryStore store("a.c");
  Object* object = Stored(&store);
  EXPECT_TRUE(stored_.SetSize(object, kPage + 10).ok());
  EXPECT_EQ(States(object, 3), ".r.");
  EXPECT_EQ(store.picture(), "a.c");
}

TEST_F(StoredTest, WhatLiesBehindTheEndIsNotWritten) {
  testing::MemoryStore store("ab");
  store.set_size(kPage + 10);
  Object* object = Stored(&store);
  Write(object, 1, 'x');
  EXPECT_EQ(Put(object, 0, 0, kPgoCleanIt), "ok");
  EXPECT_EQ(store.picture(), "a#");
  EXPECT_EQ(pages_.Contents(PageAt(object, 1))[9], 'x');
  EXPECT_EQ(pages_.Contents(PageAt(object, 1))[10], 0);
}

// ---- Several threads ----

class StoredThreadsTest : public ::testing::Test {
 protected:
  testing::BatonThreads threads_;
  testing::ObjectWorld world_{64, &threads_};
};

TEST_F(StoredThreadsTest, TwoWhoWantOnePageReadItOnce) {
  testing::MemoryStore store("abcd");
  Object* object = world_.Stored(&store);
  store.DuringNext([&] { threads_.Yield(); });
  threads_.Add([&] { threads_.Log("1:" + world_.Get(object, {.first = 1})); });
  threads_.Add([&] { threads_.Log("2:" + world_.Get(object, {.first = 0, .count = 3})); });
  threads_.Run();
  EXPECT_EQ(threads_.log(), "1:b 2:abc");
  EXPECT_EQ(store.TakeLog(), "R1 R0 R2");
}

TEST_F(StoredThreadsTest, WhoShrinksWaitsForReadersAndTheyFindTheNewEnd) {
  testing::MemoryStore store("abcd");
  Object* object = world_.Stored(&store);
  store.DuringNext([&] { threads_.Yield(); });
  threads_.Add([&] { threads_.Log("get:" + world_.Get(object, {.first = 2})); });
  threads_.Add([&] {
    threads_.Log("cut");
    EXPECT_TRUE(world_.stored_.SetSize(object, kPage).ok());
    threads_.Log("short");
  });
  threads_.Run();
  EXPECT_EQ(threads_.log(), "cut short get:past-end");
  EXPECT_EQ(world_.States(object, 4), "....");
}

TEST_F(StoredThreadsTest, WhileTheEndMovesOthersWait) {
  testing::MemoryStore store("abcd");
  Object* object = world_.Stored(&store);
  store.DuringNext([&] { threads_.Yield(); });
  threads_.Add([&] {
    EXPECT_TRUE(world_.stored_.SetSize(object, 2 * kPage + 5).ok());
    threads_.Log("short");
  });
  threads_.Add([&] {
    threads_.Log("locked:" + world_.Get(object, {.first = 0, .flags = kPgoLocked}));
    threads_.Log("get:" + world_.Get(object, {.first = 3}));
  });
  threads_.Add([&] {
    EXPECT_TRUE(world_.stored_.SetSize(object, kPage).ok());
    threads_.Log("shorter");
  });
  threads_.Run();
  EXPECT_EQ(threads_.log(), "locked:busy short get:past-end shorter");
}

TEST_F(StoredThreadsTest, AnObjectFoundWhileItIsWrittenStaysAlive) {
  testing::MemoryStore store("ab");
  Object* object = world_.Stored(&store);
  world_.Write(object, 0, 'x');
  store.TakeLog();
  store.DuringNext([&] { world_.objects_.Reference(object); });
  threads_.Add([&] { world_.objects_.Release(object); });
  threads_.Run();
  EXPECT_EQ(object->DebugRefs(), 1u);
  EXPECT_EQ(store.TakeLog(), "W0");
  world_.objects_.Release(object);
  EXPECT_EQ(store.TakeLog(), "detach");
}

}  // namespace
}  // namespace uvm
