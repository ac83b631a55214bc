// Swap devices go on and off while threads work on more pages than there are frames, under random
// schedules, and with a device whose reads fail now and then. Every page reads as it was written
// last, or is lost, and then a read of a page failed before; a device that goes off leaves nothing
// behind; nobody waits for ever, and at the end all accounts are right.

#include <cstdint>
#include <memory>
#include <string>

#include "base/prng.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/pdaemon.h"
#include "uvm/swap.h"
#include "uvm/swap_fault.h"
#include "uvm/swap_memory.h"
#include "uvm/testing/crew.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/random_switches.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kWorkers = 3;
constexpr uint64_t kOwn = 12;      // pages a worker: private,
constexpr uint64_t kShared = 4;    // shared with its children,
constexpr uint64_t kOfObject = 6;  // of an anonymous object of its own
constexpr uint64_t kEach = kOwn + kShared + kOfObject;
constexpr uint64_t kPages = kWorkers * kEach;
constexpr uint64_t kSteps = 50;
constexpr uint64_t kSwapPages = 256;

struct Options {
  bool daemon = false;  // has a thread
  bool slow = false;    // the second device takes virtual time
  bool errors = false;  // reads of the second device fail
};

struct Tally {
  uint64_t off = 0;
  uint64_t refused = 0;
  uint64_t lost = 0;
  uint64_t read = 0;
};

class Together {
 public:
  Together(uint64_t seed, const Options& options, Tally* tally)
      : prng_(seed, "swapoff_prop_test"),
        options_(options),
        second_(&threads_, &host_, PageCount(kSwapPages),
                {.transfer_us = options.slow ? uint64_t{300} : 0,
                 .page_us = options.slow ? uint64_t{30} : 0}),
        faulty_(&threads_, &second_, seed),
        world_(Pressure{.frames = kFewestFrames + 8 + seed % 60, .swap_pages = kSwapPages},
               &threads_),
        tally_(tally) {
    world_.StopChecking();
    EXPECT_TRUE(uvm().swap().On(&faulty_, static_cast<int32_t>(seed % 3) - 1).ok());
    if (options.errors) faulty_.SetChance(SwapFault::Kind::kReadError, 65536 / 40);
    Build();
    for (uint64_t worker = 0; worker < kWorkers; ++worker) {
      crew_.Add([this, worker] { Work(worker); });
    }
    crew_.Add([this] { Operate(); });
    if (options.daemon) crew_.AddDaemon();
    crew_.Run(&prng_, 3 + seed % 7);
    CheckAtTheEnd();
    tally->read += uvm().counters().swap_in;
  }

 private:
  static uint64_t First(uint64_t worker) { return worker * kEach; }
  static uint64_t ObjectAt(uint64_t worker) { return First(worker) + kOwn + kShared; }
  Uvm& uvm() { return world_.uvm(); }

  void Build() {
    space_ = world_.NewSpace(std::string(kPages, '.'));
    for (uint64_t worker = 0; worker < kWorkers; ++worker) {
      const uint64_t at = First(worker);
      space_.Map({.at = at, .pages = kOwn});
      space_.Map({.at = at + kOwn, .pages = kShared, .sharing = Sharing::kShared});
      Result<Object*, MapError> object = uvm().CreateAobj(kOfObject * base::kPageSize, 0);
      ASSERT_TRUE(object.ok());
      objects_[worker] = object.value();
      space_.Map({.at = ObjectAt(worker),
                  .pages = kOfObject,
                  .sharing = Sharing::kShared,
                  .file = object.value()});
    }
    letters_ = std::string(kPages, '0');
  }

  // Whether the access went well; else the page is lost, for a reason that is written down.
  bool Went(const std::string& outcome) {
    if (outcome == "ok") return true;
    EXPECT_EQ(outcome, "io");
    EXPECT_GT(faulty_.event_count(), 0u);
    ++tally_->lost;
    return false;
  }
  // A lost page is given up: zeroes take its place.
  void Renew(uint64_t worker, uint64_t page) {
    if (page >= ObjectAt(worker)) {
      const uint64_t kept = page - ObjectAt(worker);
      EXPECT_TRUE(uvm().TruncateAobj(objects_[worker], kept * base::kPageSize));
      EXPECT_TRUE(uvm().TruncateAobj(objects_[worker], kOfObject * base::kPageSize));
      for (uint64_t i = page; i < First(worker) + kEach; ++i) letters_[i] = '0';
      return;
    }
    space_.Map({.at = page,
                .where = Map::Where::kFixedReplace,
                .sharing = page < First(worker) + kOwn ? Sharing::kPrivate : Sharing::kShared});
    letters_[page] = '0';
  }
  void Write(uint64_t worker, uint64_t page) {
    const char letter = static_cast<char>('a' + prng_.Below(26));
    if (Went(world_.AccessPage(space_, page, Access::kWrite, letter))) {
      letters_[page] = letter;
    } else {
      Renew(worker, page);
    }
  }
  void Read(uint64_t worker, uint64_t page) {
    if (Went(world_.AccessPage(space_, page, Access::kRead, 0))) {
      ASSERT_EQ(world_.PageLetter(space_, page), letters_[page]) << "page " << page;
    } else {
      Renew(worker, page);
    }
  }
  void ForkAndExit(uint64_t worker) {
    Result<uvm::Space*, MapError> forked = uvm().ForkSpace(space_.get());
    ASSERT_TRUE(forked.ok());
    const std::string letters = letters_;
    Space child(&world_, forked.value(), kPages);
    for (uint64_t page = First(worker); page < First(worker) + kOwn; ++page) {
      if (prng_.Chance(1, 3)) Write(worker, page);
      if (prng_.Chance(2, 3) || !Went(world_.AccessPage(child, page, Access::kRead, 0))) continue;
      ASSERT_EQ(world_.PageLetter(child, page), letters[page]) << "the child's page " << page;
    }
    child.Exit();
  }
  void WireForAWhile(uint64_t worker, uint64_t page) {
    if (space_.TryWire(page, 1) != "ok") return Renew(worker, page);
    RandomSwitches::MaybeYield();
    Read(worker, page);
    EXPECT_EQ(space_.TryUnwire(page, 1), "ok");
  }
  // Back over the pages, which makes what was written since undone.
  void Copy(uint64_t worker, uint64_t page, uint64_t count) {
    Snapshot copy;
    if (!uvm().CopyIn(space_.get(), Pages(page, count), &copy).ok()) return;
    const std::string was = letters_.substr(page, count);
    for (uint64_t i = 0; i < count; ++i) {
      if (prng_.Chance(1, 2)) Write(worker, page + i);
    }
    if (uvm().Overwrite(space_.get(), PageAt(page), &copy).ok()) {
      letters_.replace(page, count, was);
    } else {
      for (uint64_t i = 0; i < count; ++i) Renew(worker, page + i);
    }
    space_->map().DropSnapshot(&copy);
  }
  void Cut(uint64_t worker) {
    const uint64_t pages = prng_.Below(kOfObject);
    EXPECT_TRUE(uvm().TruncateAobj(objects_[worker], pages * base::kPageSize));
    RandomSwitches::MaybeYield();
    EXPECT_TRUE(uvm().TruncateAobj(objects_[worker], kOfObject * base::kPageSize));
    for (uint64_t i = pages; i < kOfObject; ++i) letters_[ObjectAt(worker) + i] = '0';
  }

  void Work(uint64_t worker) {
    for (uint64_t step = 0; step < kSteps && !::testing::Test::HasFailure(); ++step) {
      const uint64_t page = First(worker) + prng_.Below(kEach);
      switch (prng_.Below(10)) {
        case 0:
        case 1:
        case 2:
          Write(worker, page);
          break;
        case 3:
        case 4:
        case 5:
          Read(worker, page);
          break;
        case 6:
          ForkAndExit(worker);
          break;
        case 7:
          WireForAWhile(worker, page);
          break;
        case 8:
          Copy(worker, page, 1 + prng_.Below(First(worker) + kEach - page));
          break;
        default:
          Cut(worker);
      }
    }
  }

  // Takes one device off and puts it on again, as long as anybody works. One is always on.
  void Operate() {
    while (crew_.working() > 1 && !::testing::Test::HasFailure()) {
      // Time passes only while everybody sleeps, so it must.
      if (prng_.Chance(1, 3)) threads_.ParkUntil(threads_.Now() + prng_.Below(2000));
      for (int i = 0; i < 5; ++i) threads_.Yield();
      SwapDevice* device = prng_.Chance(1, 2) ? static_cast<SwapDevice*>(&faulty_)
                                              : static_cast<SwapDevice*>(world_.swap_fault());
      Result<void, SwapError> off = uvm().SwapOff(device);
      ++(off.ok() ? tally_->off : tally_->refused);
      if (off.ok()) {
        EXPECT_TRUE(uvm().swap().On(device, static_cast<int32_t>(prng_.Below(3)) - 1).ok());
      } else {
        EXPECT_EQ(off.error(), SwapError::kNoMemory);
      }
    }
  }

  void CheckAtTheEnd() {
    faulty_.Heal();
    EXPECT_EQ(world_.Violation(), "");
    for (uint64_t worker = 0; worker < kWorkers; ++worker) {
      for (uint64_t i = 0; i < kEach; ++i) Read(worker, First(worker) + i);
      uvm().ReleaseObject(objects_[worker]);
    }
    EXPECT_EQ(world_.Violation(), "");
    EXPECT_EQ(world_.TearDownAndFindLeaks(), "");
    EXPECT_EQ(uvm().swap().only_on_swap(), PageCount(0));
    EXPECT_TRUE(uvm().SwapOff(&faulty_).ok());
    EXPECT_TRUE(uvm().SwapOff(world_.swap_fault()).ok());
    EXPECT_EQ(uvm().swap().in_use(), PageCount(0));
  }

  base::Prng prng_;
  const Options options_;
  BatonThreads threads_;
  HostPages host_;
  SwapMemory second_;
  SwapFault faulty_;
  World world_;
  Crew crew_{&threads_, &world_};
  Tally* const tally_;
  Space space_{&world_, nullptr, 0};
  Object* objects_[kWorkers] = {};
  std::string letters_;
};

class SwapOffPropTest : public ::testing::TestWithParam<int> {};

TEST_P(SwapOffPropTest, DevicesComeAndGoAndEveryPageReadsAsItWasWrittenLast) {
  constexpr uint64_t kSeeds = 50;
  Tally tally;
  const Options options = {.daemon = (GetParam() & 1) != 0,
                           .slow = (GetParam() & 2) != 0,
                           .errors = (GetParam() & 4) != 0};
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Together together(seed, options, &tally);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
  EXPECT_GT(tally.off, kSeeds);
  EXPECT_GT(tally.read, kSeeds);
  EXPECT_EQ(tally.lost > 0, options.errors);
}

INSTANTIATE_TEST_SUITE_P(Worlds, SwapOffPropTest, ::testing::Values(0, 1, 2, 3, 4, 7));

}  // namespace
}  // namespace uvm::testing
