// Several threads at the same locks under random schedules: nobody is where somebody else has shut
// everybody out, a lock that was tried for is had or not, whoever waits is woken, and at the end
// nobody holds anything.

#include <cstdint>

#include "base/lock_rank.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/lock.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/random_switches.h"

namespace uvm::testing {
namespace {

class Crowd {
 public:
  static constexpr int kThreads = 4, kSteps = 60;

  explicit Crowd(uint64_t seed) : prng_(seed, "lock_prop_test") {
    for (int i = 0; i < kThreads; ++i) {
      threads_.Add([this] { Work(); });
    }
    RandomSwitches switches(&threads_, &prng_, 3);
    threads_.Run();
    EXPECT_TRUE(mutex_.DebugIdle());
    EXPECT_TRUE(rw_.DebugIdle());
    EXPECT_GT(tries_won_, 0);
  }
  int tries_lost() const { return tries_lost_; }
  int upgrades_lost() const { return upgrades_lost_; }

 private:
  void Work() {
    for (int step = 0; step < kSteps; ++step) {
      switch (prng_.Below(8)) {
        case 0:
        case 1:
          Read();
          break;
        case 2:
          Write();
          break;
        case 3:
          TryWrite();
          break;
        case 4:
          Upgrade();
          break;
        case 5:
          Exclude();
          break;
        case 6:
          TryExclude();
          break;
        default:
          Hand();
      }
    }
    // Whoever still waits for a hand gets one.
    ++ended_;
    MutexLock lock(&mutex_);
    open_ = true;
    opened_.WakeAll();
  }
  void Inside() {
    EXPECT_EQ(readers_, 0);
    EXPECT_EQ(writers_++, 0);
    RandomSwitches::MaybeYield();
    --writers_;
  }
  void InsideAsReader() {
    EXPECT_EQ(writers_, 0);
    ++readers_;
    RandomSwitches::MaybeYield();
    EXPECT_EQ(writers_, 0);
  }
  void Read() {
    rw_.ReadLock();
    InsideAsReader();
    --readers_;
    rw_.ReadUnlock();
  }
  void Write() {
    rw_.WriteLock();
    Inside();
    rw_.WriteUnlock();
  }
  void TryWrite() {
    if (!rw_.TryWriteLock()) {
      ++tries_lost_;
      return;
    }
    ++tries_won_;
    Inside();
    rw_.WriteUnlock();
  }
  void Upgrade() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    rw_.ReadLock();
    InsideAsReader();
    --readers_;
    if (rw_.TryUpgrade()) {
      Inside();
      rw_.WriteUnlock();
    } else {
      ++upgrades_lost_;
      rw_.ReadUnlock();
    }
  }
  void Exclude() {
    MutexLock lock(&mutex_);
    EXPECT_TRUE(mutex_.HeldBySelf());
    EXPECT_EQ(excluders_++, 0);
    RandomSwitches::MaybeYield();
    --excluders_;
  }
  void TryExclude() {
    if (!mutex_.TryLock()) {
      ++tries_lost_;
      return;
    }
    EXPECT_EQ(excluders_++, 0);
    RandomSwitches::MaybeYield();
    --excluders_;
    mutex_.Unlock();
    EXPECT_FALSE(mutex_.HeldBySelf());
  }
  // Opens the gate for who waits at it, or waits until somebody does.
  void Hand() {
    MutexLock lock(&mutex_);
    if (prng_.Chance(1, 2) || waiting_ + 1 + ended_ >= kThreads) {
      open_ = true;
      opened_.WakeAll();
      return;
    }
    open_ = false;
    ++waiting_;
    while (!open_) opened_.Wait(&mutex_);
    --waiting_;
  }

  base::Prng prng_;
  BatonThreads threads_;
  Mutex mutex_{&threads_, base::LockRank::kMapWait};
  RwLock rw_{&threads_, base::LockRank::kMap};
  CondVar opened_{&threads_};
  int readers_ = 0;
  int writers_ = 0;
  int excluders_ = 0;
  int waiting_ = 0;
  int ended_ = 0;
  bool open_ = false;
  int tries_won_ = 0;
  int tries_lost_ = 0;
  int upgrades_lost_ = 0;
};

TEST(LockPropTest, NobodyIsWhereHeIsShutOut) {
  int tries_lost = 0;
  int upgrades_lost = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Crowd crowd(seed);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
    tries_lost += crowd.tries_lost();
    upgrades_lost += crowd.upgrades_lost();
  }
  EXPECT_GT(tries_lost, 20);
  EXPECT_GT(upgrades_lost, 20);
}

}  // namespace
}  // namespace uvm::testing
