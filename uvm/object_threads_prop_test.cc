// Several threads at one file at once, under random schedules: each has pages of its own, whose
// bytes only it writes and whose contents it knows, while all of them share windows, clean, throw
// away and read ahead everywhere, and one moves the end behind them. Nobody waits for ever, nobody
// finds another's bytes, and at the end everything is where it belongs.

#include <cstdint>
#include <cstring>
#include <map>
#include <string>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/pager.h"
#include "uvm/readahead.h"
#include "uvm/stored.h"
#include "uvm/testing/buffer_peer.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/object_world.h"
#include "uvm/testing/random_switches.h"
#include "uvm/testing/world.h"
#include "uvm/ubc.h"
#include "uvm/uio.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPage = base::kPageSize;
constexpr uint64_t kWorkers = 3, kOwnPages = 6, kSteps = 30;
constexpr uint64_t kPages = kWorkers * kOwnPages;

class SlowStore final : public Store {
 public:
  Result<void, PagerError> ReadPage(Object*, PageIndex index, unsigned char* contents) override {
    RandomSwitches::MaybeYield();
    auto page = pages_.find(index.value());
    std::memset(contents, page == pages_.end() ? 0 : page->second, kPage);
    return {};
  }
  Result<void, PagerError> WritePage(Object*, PageIndex index,
                                     const unsigned char* contents) override {
    RandomSwitches::MaybeYield();
    pages_[index.value()] = LetterOfPage(contents) == '0' ? 0 : LetterOfPage(contents);
    return {};
  }
  uint64_t SizeInBytes(const Object*) const override { return (kPages + 8) * kPage; }
  uint32_t BlockPages(const Object*) const override { return 4; }
  void Detach(Object*) override {}

 private:
  std::map<uint64_t, char> pages_;
};

class Together {
 public:
  Together(uint64_t seed, const Pressure& pressure, Object* (*open)(Together*))
      : prng_(seed, "object_threads_prop_test"), world_(pressure, &threads_) {
    world_.StopChecking();
    if (seed % 3 == 1) {
      world_.ForgetAtRandom(seed, 16);
      world_.pmap().DelayInvalidations();
      world_.pmap().HideReferences();
    }
    object_ = open(this);
    cache_ = world_.uvm().Cache();
    for (uint64_t worker = 0; worker < kWorkers; ++worker) {
      threads_.Add([this, worker] { Work(worker); });
    }
    threads_.Add([this] { MoveTheEnd(); });
    {
      RandomSwitches switches(&threads_, &prng_, 6);
      threads_.Run();
    }
    EXPECT_EQ(world_.Violation(), "");
    for (uint64_t page = 0; page < kPages; ++page) EXPECT_EQ(Read(page), letters_[page]);
    world_.uvm().ReleaseObject(object_);
    EXPECT_EQ(world_.TearDownAndFindLeaks(), "");
  }

  World& world() { return world_; }
  SlowStore* store() { return &store_; }

 private:
  char Read(uint64_t page) {
    BufferPeer peer;
    Uio uio{&peer, page * kPage, kPage};
    EXPECT_TRUE(cache_->UioMove(object_, &uio, kPage, Advice::kNormal, kUbcRead).ok());
    if (peer.bytes().size() != kPage) return '?';
    const char letter = LetterOfPage(reinterpret_cast<const unsigned char*>(peer.bytes().data()));
    return letter == '0' ? '\0' : letter;
  }
  void Write(uint64_t page) {
    const char letter = static_cast<char>('a' + prng_.Below(26));
    BufferPeer peer(std::string(kPage, letter));
    peer.BeforeMoves(RandomSwitches::MaybeYield);
    const uint32_t busy = prng_.Chance(1, 2) ? uint32_t{kUbcFaultBusy} : 0;
    Uio uio{&peer, page * kPage, kPage};
    EXPECT_TRUE(cache_->UioMove(object_, &uio, kPage, Advice::kNormal, kUbcWrite | busy).ok());
    letters_[page] = letter;
  }
  void Put(uint32_t flags) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    object_->mu.Lock();
    Result<void, PagerError> put =
        object_->pager()->Put(object_, PageIndex(prng_.Below(kPages)), PageIndex(0), flags);
    EXPECT_TRUE(put.ok() || put.error() == PagerError::kBusy);
  }
  void Work(uint64_t worker) {
    for (uint64_t step = 0; step < kSteps; ++step) {
      const uint64_t page = worker + kWorkers * prng_.Below(kOwnPages);
      switch (prng_.Below(6)) {
        case 0:
        case 1:
          Write(page);
          break;
        case 2:
        case 3:
          EXPECT_EQ(Read(page), letters_[page]) << "page " << page;
          break;
        case 4: {
          constexpr uint32_t kKinds[] = {kPgoCleanIt, kPgoCleanIt | kPgoSyncIo, kPgoDeactivate,
                                         kPgoCleanIt | kPgoFree | kPgoSyncIo,
                                         kPgoCleanIt | kPgoFree | kPgoBusyFail};
          Put(kKinds[prng_.Below(5)]);
          break;
        }
        default:
          ReadAhead::Start(object_, page * kPage, 5 * kPage);
      }
    }
  }
  // Only what lies behind the workers' pages comes and goes.
  void MoveTheEnd() {
    for (uint64_t step = 0; step < kSteps; ++step) {
      const uint64_t bytes = kPages * kPage + prng_.Below(8 * kPage);
      if (object_->pager()->kind() == Pager::Kind::kStored) {
        EXPECT_TRUE(world_.uvm().SetStoredSize(object_, bytes).ok());
      } else {
        EXPECT_TRUE(world_.uvm().TruncateAobj(object_, bytes));
      }
      if (bytes > kPages * kPage) (void)Read(kPages);
      RandomSwitches::MaybeYield();
    }
  }

  base::Prng prng_;
  BatonThreads threads_;
  World world_;
  SlowStore store_;
  Object* object_ = nullptr;
  BufferCache* cache_ = nullptr;
  char letters_[kPages + 8] = {};
};

Object* OpenStored(Together* self) {
  return self->world().uvm().CreateStoredObject(self->store(), 1).value();
}
Object* OpenAnonymous(Together* self) {
  return self->world().uvm().CreateAobj((kPages + 8) * kPage, 0).value();
}

void RunSeeds(const Pressure& pressure, Object* (*open)(Together*)) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Together together(seed, pressure, open);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

constexpr Pressure kPlenty{.frames = 96, .swap_pages = 0};
constexpr Pressure kShort{.frames = kFewestFrames + 8, .swap_pages = 128};

TEST(ObjectThreadsPropTest, StoredObjectsUnderRandomSchedules) { RunSeeds(kPlenty, OpenStored); }
TEST(ObjectThreadsPropTest, AnonymousObjectsUnderRandomSchedules) {
  RunSeeds(kPlenty, OpenAnonymous);
}
TEST(ObjectThreadsPropTest, StoredObjectsUnderPressure) { RunSeeds(kShort, OpenStored); }
TEST(ObjectThreadsPropTest, AnonymousObjectsUnderPressure) { RunSeeds(kShort, OpenAnonymous); }

}  // namespace
}  // namespace uvm::testing
