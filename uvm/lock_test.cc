#include "uvm/lock.h"

#include <string>

#include "absl/base/thread_annotations.h"
#include "base/lock_rank.h"
#include "gtest/gtest.h"
#include "uvm/testing/fake_threads.h"

namespace uvm {
namespace {

using base::LockRank;
using testing::BatonThreads;
using testing::FakeThreads;

// Clang's analysis finds most of what the tests below do on purpose; behind these it sees nothing.
void Lock(Mutex* mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Lock(); }
bool TryLock(Mutex* mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS { return mutex->TryLock(); }
void Unlock(Mutex* mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Unlock(); }
void ReadLock(RwLock* lock) ABSL_NO_THREAD_SAFETY_ANALYSIS { lock->ReadLock(); }
void ReadUnlock(RwLock* lock) ABSL_NO_THREAD_SAFETY_ANALYSIS { lock->ReadUnlock(); }
void WriteLock(RwLock* lock) ABSL_NO_THREAD_SAFETY_ANALYSIS { lock->WriteLock(); }
void WriteUnlock(RwLock* lock) ABSL_NO_THREAD_SAFETY_ANALYSIS { lock->WriteUnlock(); }

// The baton passes at Park, Yield and the end of a body, in the order of Add; so each test's log
// has one right value.

TEST(MutexTest, KnowsItsOwner) {
  FakeThreads threads;
  Mutex mutex(&threads, LockRank::kMap);
  EXPECT_TRUE(mutex.DebugIdle());
  EXPECT_FALSE(mutex.HeldBySelf());
  Lock(&mutex);
  EXPECT_TRUE(mutex.HeldBySelf());
  EXPECT_FALSE(mutex.DebugIdle());
  EXPECT_EQ(threads.Self()->held_ranks, uint32_t{1} << static_cast<uint32_t>(LockRank::kMap));
  Unlock(&mutex);
  EXPECT_TRUE(mutex.DebugIdle());
  EXPECT_EQ(threads.Self()->held_ranks, 0u);
}

TEST(MutexTest, IsHandedOverInTheOrderOfArrival) {
  BatonThreads threads;
  Mutex mutex(&threads, LockRank::kMap);
  for (const char* name : {"a", "b", "c", "d"}) {
    threads.Add([&, name] {
      MutexLock lock(&mutex);
      threads.Yield();  // the others arrive
      threads.Log(name);
    });
  }
  threads.Run();
  EXPECT_EQ(threads.log(), "a b c d");
  EXPECT_TRUE(mutex.DebugIdle());
}

TEST(MutexTest, ReleasingAndLockingAgainDoesNotOvertakeAWaiter) {
  BatonThreads threads;
  Mutex mutex(&threads, LockRank::kMap);
  threads.Add([&] {
    for (int i = 0; i < 2; ++i) {
      MutexLock lock(&mutex);
      threads.Yield();
      threads.Log("greedy");
    }
  });
  threads.Add([&] {
    MutexLock lock(&mutex);
    threads.Log("patient");
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "greedy patient greedy");
}

TEST(MutexTest, TryLockTakesOnlyAFreeLock) {
  BatonThreads threads;
  Mutex mutex(&threads, LockRank::kMap);
  threads.Add([&] {
    Lock(&mutex);
    threads.Yield();
    Unlock(&mutex);
  });
  threads.Add([&] {
    threads.Log(TryLock(&mutex) ? "taken" : "refused");
    threads.Yield();
    threads.Yield();
    bool taken = TryLock(&mutex);
    threads.Log(taken ? "taken" : "refused");
    if (taken) Unlock(&mutex);
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "refused taken");
}

TEST(MutexTest, TryLockMayGoAgainstTheOrder) {
  FakeThreads threads;
  Mutex object(&threads, LockRank::kObject);
  Mutex amap(&threads, LockRank::kAmap);
  Lock(&object);
  ASSERT_TRUE(TryLock(&amap));
  Unlock(&amap);
  Unlock(&object);
  EXPECT_EQ(threads.Self()->held_ranks, 0u);
}

int g_lock_points = 0;

TEST(LockPointTest, BeforeEachTakingAndAfterEachRelease) {
  FakeThreads threads;
  Mutex mutex(&threads, LockRank::kObject);
  RwLock map(&threads, LockRank::kMap);
  const auto points = [](auto action) {
    g_lock_points = 0;
    action();
    return g_lock_points;
  };
  EXPECT_EQ(points([&] { Lock(&mutex), Unlock(&mutex); }), 0);
  threads.at_lock = [] { g_lock_points++; };
  EXPECT_EQ(points([&] { Lock(&mutex); }), 1);
  EXPECT_EQ(points([&] { EXPECT_FALSE(TryLock(&mutex)); }), 1);
  EXPECT_EQ(points([&] { Unlock(&mutex); }), 1);
  EXPECT_EQ(points([&] { ReadLock(&map); }), 1);
  EXPECT_EQ(points([&] { ReadUnlock(&map); }), 1);
  EXPECT_EQ(points([&] { WriteLock(&map), WriteUnlock(&map); }), 2);
}

TEST(RwLockTest, TryReadLockFailsAtOnceBehindAWriterOrAWaiter) {
  BatonThreads threads;
  RwLock lock(&threads, LockRank::kMap);
  const auto try_read = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const bool got = lock.TryReadLock();
    if (got) lock.ReadUnlock();
    return got;
  };
  EXPECT_TRUE(lock.DebugIdle());
  threads.Add([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    EXPECT_TRUE(lock.TryReadLock());
    EXPECT_NE(threads.Self()->held_ranks, 0u);
    threads.Yield();  // the writer queues
    lock.ReadUnlock();
  });
  threads.Add([&] {
    WriterLock writer(&lock);
    threads.Yield();
  });
  threads.Add([&] {
    threads.Log(try_read() ? "read" : "writer waits");
    threads.Yield();
    threads.Log(try_read() ? "read" : "written");
    threads.Yield();
    threads.Log(try_read() ? "read" : "still written");
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "writer waits written read");
  EXPECT_TRUE(lock.DebugIdle());
}

using LockDeathTest = ::testing::Test;

TEST(LockDeathTest, FallingRanksDie) {
  FakeThreads threads;
  Mutex object(&threads, LockRank::kObject);
  Mutex amap(&threads, LockRank::kAmap);
  RwLock map(&threads, LockRank::kMap);
  Lock(&object);
  EXPECT_DEATH(Lock(&amap), "held_ranks");
  EXPECT_DEATH(ReadLock(&map), "held_ranks");
  EXPECT_DEATH(WriteLock(&map), "held_ranks");
}

TEST(LockDeathTest, TwoOfOneRankDie) {
  FakeThreads threads;
  Mutex one(&threads, LockRank::kObject);
  Mutex two(&threads, LockRank::kObject);
  RwLock map(&threads, LockRank::kMap);
  RwLock other_map(&threads, LockRank::kMap);
  ReadLock(&map);
  EXPECT_DEATH(ReadLock(&other_map), "held_ranks");
  EXPECT_DEATH(WriteLock(&map), "held_ranks");
  Lock(&one);
  EXPECT_DEATH(Lock(&two), "held_ranks");
  EXPECT_DEATH(Lock(&one), "held_ranks");
}

TEST(LockDeathTest, UnlockingWhatOneDoesNotHoldDies) {
  FakeThreads threads;
  Mutex mutex(&threads, LockRank::kObject);
  RwLock map(&threads, LockRank::kMap);
  EXPECT_DEATH(Unlock(&mutex), "owner_ != nullptr");
  EXPECT_DEATH(WriteUnlock(&map), "writer_ == self");
  EXPECT_DEATH(ReadUnlock(&map), "readers_ > 0");
}

TEST(MutexTest, RisingRanksAreFine) {
  FakeThreads threads;
  RwLock map(&threads, LockRank::kMap);
  Mutex amap(&threads, LockRank::kAmap);
  Mutex object(&threads, LockRank::kObject);
  {
    ReaderLock map_lock(&map);
    MutexLock amap_lock(&amap);
    MutexLock object_lock(&object);
  }
  EXPECT_EQ(threads.Self()->held_ranks, 0u);
}

TEST(RwLockTest, ReadersShareAndWritersDoNot) {
  BatonThreads threads;
  RwLock lock(&threads, LockRank::kMap);
  int readers = 0;
  int most = 0;
  for (int i = 0; i < 3; ++i) {
    threads.Add([&] {
      ReaderLock held(&lock);
      ++readers;
      threads.Yield();
      if (readers > most) most = readers;
      --readers;
    });
  }
  threads.Add([&] {
    WriterLock held(&lock);
    EXPECT_EQ(readers, 0);
    threads.Yield();
    EXPECT_EQ(readers, 0);
  });
  threads.Run();
  EXPECT_EQ(most, 3);
  EXPECT_TRUE(lock.DebugIdle());
}

TEST(RwLockTest, ReadersQueueBehindAWaitingWriter) {
  BatonThreads threads;
  RwLock lock(&threads, LockRank::kMap);
  threads.Add([&] {
    ReaderLock held(&lock);
    threads.Yield();
    threads.Log("reader1");
  });
  threads.Add([&] {
    WriterLock held(&lock);
    threads.Log("writer");
  });
  threads.Add([&] {
    ReaderLock held(&lock);
    threads.Log("reader2");
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "reader1 writer reader2");
}

TEST(RwLockTest, AWriterHandsOverToTheRunOfReadersBehindIt) {
  BatonThreads threads;
  RwLock lock(&threads, LockRank::kMap);
  int inside = 0;
  threads.Add([&] {
    WriterLock held(&lock);
    threads.Yield();
    threads.Log("writer1");
  });
  for (const char* name : {"reader1", "reader2"}) {
    threads.Add([&, name] {
      ReaderLock held(&lock);
      ++inside;
      threads.Yield();
      threads.Log(std::string(name) + "/" + std::to_string(inside));
      --inside;
    });
  }
  threads.Add([&] {
    WriterLock held(&lock);
    threads.Log("writer2");
  });
  threads.Add([&] {
    ReaderLock held(&lock);
    threads.Log("reader3");
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "writer1 reader1/2 reader2/1 writer2 reader3");
}

TEST(RwLockTest, UpgradeSucceedsForTheOnlyReader) {
  FakeThreads threads;
  RwLock lock(&threads, LockRank::kMap);
  ReadLock(&lock);
  ASSERT_TRUE(lock.TryUpgrade());
  EXPECT_FALSE(lock.DebugIdle());
  WriteUnlock(&lock);
  EXPECT_TRUE(lock.DebugIdle());
  EXPECT_EQ(threads.Self()->held_ranks, 0u);
}

TEST(RwLockTest, UpgradeFailsNextToAnotherReaderAndKeepsTheReadLock) {
  BatonThreads threads;
  RwLock lock(&threads, LockRank::kMap);
  threads.Add([&] {
    ReadLock(&lock);
    threads.Yield();
    threads.Log(lock.TryUpgrade() ? "upgraded" : "refused");
    ReadUnlock(&lock);
  });
  threads.Add([&] {
    ReadLock(&lock);
    threads.Yield();
    threads.Log(lock.TryUpgrade() ? "upgraded" : "refused");
    WriteUnlock(&lock);
  });
  threads.Add([&] {
    WriterLock held(&lock);
    threads.Log("writer");
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "refused upgraded writer");
}

TEST(CondVarTest, WaitReleasesTheMutexAndWakeAllWakesEveryone) {
  BatonThreads threads;
  Mutex mutex(&threads, LockRank::kObject);
  CondVar changed(&threads);
  bool ready = false;
  for (const char* name : {"a", "b"}) {
    threads.Add([&, name] {
      MutexLock lock(&mutex);
      while (!ready) changed.Wait(&mutex);
      EXPECT_TRUE(mutex.HeldBySelf());
      threads.Log(name);
    });
  }
  threads.Add([&] {
    {
      MutexLock lock(&mutex);
      ready = true;
      threads.Log("ready");
    }
    changed.WakeAll();
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "ready a b");
  EXPECT_TRUE(mutex.DebugIdle());
}

TEST(CondVarTest, AWakeWithTheMutexHeldIsNotLost) {
  BatonThreads threads;
  Mutex mutex(&threads, LockRank::kObject);
  CondVar changed(&threads);
  int turn = 0;
  for (int self = 0; self < 3; ++self) {
    threads.Add([&, self] {
      for (int round = 0; round < 2; ++round) {
        MutexLock lock(&mutex);
        while (turn % 3 != 2 - self) changed.Wait(&mutex);
        threads.Log(std::to_string(self));
        ++turn;
        changed.WakeAll();
      }
    });
  }
  threads.Run();
  EXPECT_EQ(threads.log(), "2 1 0 2 1 0");
}

TEST(LockDeathTest, ADeadlockIsNoticed) {
  EXPECT_DEATH(
      {
        BatonThreads threads;
        Mutex mutex(&threads, LockRank::kObject);
        CondVar never(&threads);
        threads.Add([&] {
          MutexLock lock(&mutex);
          never.Wait(&mutex);
        });
        threads.Run();
      },
      "waits for ever");
}

TEST(BatonThreadsTest, TimeJumpsToTheEarliestDeadline) {
  BatonThreads threads;
  threads.Add([&] {
    EXPECT_FALSE(threads.ParkUntil(500));
    threads.Log("late@" + std::to_string(threads.Now()));
  });
  threads.Add([&] {
    EXPECT_FALSE(threads.ParkUntil(100));
    threads.Log("early@" + std::to_string(threads.Now()));
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "early@100 late@500");
}

TEST(BatonThreadsTest, AnUnparkBeforeItsParkIsRemembered) {
  BatonThreads threads;
  Thread* first = nullptr;
  threads.Add([&] {
    first = threads.Self();
    threads.Yield();
    threads.Park();
    threads.Log("through");
  });
  threads.Add([&] { threads.Unpark(first); });
  threads.Run();
  EXPECT_EQ(threads.log(), "through");
}

}  // namespace
}  // namespace uvm
