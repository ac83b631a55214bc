// Devices that do anything they like, and then heal: reads and writes fail, writes are torn,
// transfers are slow, a device goes away and comes back, while several threads use more pages than
// there are frames. Whoever needs a page that could not be read is told, every time, and nobody
// else; every other page reads as it was written last. From when the device is well on no access
// fails for want of memory, and everybody who waits is woken.

#include <cstdint>
#include <memory>
#include <string>

#include "base/canary.h"
#include "base/check.h"
#include "base/prng.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/swap.h"
#include "uvm/swap_fault.h"
#include "uvm/testing/crew.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kWorkers = 3;
constexpr uint64_t kOwn = 12;      // pages a worker: private,
constexpr uint64_t kOfObject = 6;  // of an anonymous object of its own
constexpr uint64_t kEach = kOwn + kOfObject;
constexpr uint64_t kPages = kWorkers * kEach;
constexpr uint64_t kIllSteps = 60, kWellSteps = 25;

struct Tally {
  uint64_t told = 0;      // accesses that failed since a page could not be read
  uint64_t repeated = 0;  // of a page that was lost before
  uint64_t read_errors = 0;
  uint64_t write_errors = 0;
  uint64_t mismatches = 0;
  uint64_t vanished = 0;
  uint64_t refused = 0;  // accesses that failed since the device was away; nothing was lost
};

struct Options {
  bool daemon = false;  // has a thread
  base::Canary canary = base::Canary::kNone;
};

class IllAndWell {
 public:
  IllAndWell(uint64_t seed, const Options& options, Tally* tally)
      : prng_(seed, "heal_prop_test"),
        world_(Pressure{.frames = kFewestFrames + 6 + seed % 12, .swap_pages = 12288}, &threads_),
        tally_(tally) {
    world_.StopChecking();
    world_.uvm().canary().Arm(options.canary);
    Build();
    BeIll(seed);
    for (uint64_t worker = 0; worker < kWorkers; ++worker) {
      crew_.Add([this, worker] { Work(worker); });
    }
    crew_.Add([this] { GoAwayAndHeal(); });
    if (options.daemon) crew_.AddDaemon();
    crew_.Run(&prng_, 3 + seed % 7);
    CheckAtTheEnd();
  }

 private:
  using Kind = SwapFault::Kind;
  static uint64_t First(uint64_t worker) { return worker * kEach; }
  SwapFault& device() { return *world_.swap_fault(); }
  SwapStore& swap() { return world_.uvm().swap(); }

  void Build() {
    space_ = world_.NewSpace(std::string(kPages, '.'));
    for (uint64_t worker = 0; worker < kWorkers; ++worker) {
      space_.Map({.at = First(worker), .pages = kOwn});
      objects_[worker] = world_.uvm().CreateAobj(kOfObject * base::kPageSize, 0).value();
      MapObject(worker, First(worker) + kOwn, kOfObject);
    }
    letters_ = std::string(kPages, '0');
  }
  void MapObject(uint64_t worker, uint64_t page, uint64_t pages) {
    space_.Map({.at = page,
                .pages = pages,
                .where = Map::Where::kFixedReplace,
                .sharing = Sharing::kShared,
                .file = objects_[worker],
                .file_page = page - First(worker) - kOwn});
  }
  void BeIll(uint64_t seed) {
    device().SetChance(Kind::kReadError, 65536 / 30);
    device().SetChance(Kind::kWriteError, 65536 / 20);
    if (seed % 2 == 0) device().SetChance(Kind::kTornWrite, 65536 / 20);
    device().SetChance(Kind::kSlow, 65536 / 10);
  }
  // Away for a while and back; at last everything is well, for good.
  void GoAwayAndHeal() {
    const uint64_t seed = prng_.Below(1000);
    for (uint64_t times = prng_.Below(3); times > 0; --times) {
      Pass(prng_.Below(40'000));
      device().Arm(Kind::kVanish, prng_.Below(4));
      Pass(prng_.Below(30'000));
      tally_->vanished += device().vanished() ? 1 : 0;
      device().Heal();
      BeIll(seed);
    }
    while (ill_ > 0) Pass(1000);
    device().Heal();
    well_ = true;
  }
  void Pass(uint64_t us) {
    constexpr uint64_t kLongestUs = 60'000'000;
    CHECK(threads_.Now() < kLongestUs);  // somebody waits for ever
    threads_.ParkUntil(threads_.Now() + us);
  }

  // Whether the access to `page` of `space` went well. `refused`: transfers that a device that was
  // away had refused before.
  bool Went(const Space& space, uint64_t page, const std::string& outcome, SwapSlot before,
            uint64_t refused, bool was_well) {
    if (outcome == "ok") {
      EXPECT_NE(before, kBadSlot) << "a lost page was read";
      return true;
    }
    if (outcome == "no_memory") {
      EXPECT_FALSE(was_well) << "memory ran out after all was well; bad slots: "
                             << swap().DebugBad().value();
      Pass(2000);
      return false;
    }
    EXPECT_EQ(outcome, "io");
    ++tally_->told;
    if (world_.SlotAt(space, page) != kBadSlot) {
      EXPECT_GT(swap().counters().refusals, refused) << "page " << page << " is not lost";
      EXPECT_FALSE(was_well);
      ++tally_->refused;
      return false;
    }
    tally_->repeated += before == kBadSlot ? 1 : 0;
    return false;
  }
  bool Access(const Space& space, uint64_t page, base::Access access, char letter) {
    const bool was_well = well_;
    const SwapSlot before = world_.SlotAt(space, page);
    const uint64_t refused = swap().counters().refusals;
    const std::string outcome = world_.AccessPage(space, page, access, letter);
    return Went(space, page, outcome, before, refused, was_well);
  }
  // What is lost is given up: zeroes take its place. Until then it stays lost.
  void RenewIfLost(uint64_t worker, uint64_t page) {
    if (world_.SlotAt(space_, page) != kBadSlot) return;
    EXPECT_FALSE(Access(space_, page, base::Access::kRead, 0));
    if (page < First(worker) + kOwn) {
      space_.Map({.at = page, .where = Map::Where::kFixedReplace});
      letters_[page] = '0';
      return;
    }
    const uint64_t kept = page - First(worker) - kOwn;
    const bool was_well = well_;
    bool cut = world_.uvm().TruncateAobj(objects_[worker], kept * base::kPageSize);
    cut = world_.uvm().TruncateAobj(objects_[worker], kOfObject * base::kPageSize) && cut;
    EXPECT_TRUE(cut || !was_well);
    for (uint64_t i = page; i < First(worker) + kEach; ++i) letters_[i] = '0';
  }
  void Write(uint64_t worker, uint64_t page) {
    const auto letter = static_cast<char>('a' + prng_.Below(26));
    if (Access(space_, page, base::Access::kWrite, letter)) {
      letters_[page] = letter;
    } else {
      RenewIfLost(worker, page);
    }
  }
  void Read(uint64_t worker, uint64_t page) {
    if (Access(space_, page, base::Access::kRead, 0)) {
      ASSERT_EQ(world_.PageLetter(space_, page), letters_[page]) << "page " << page;
    } else {
      RenewIfLost(worker, page);
    }
  }
  // A child shares what its parent loses.
  void ForkAndExit(uint64_t worker) {
    const bool was_well = well_;
    Result<uvm::Space*, MapError> forked = world_.uvm().ForkSpace(space_.get());
    if (!forked.ok()) {
      EXPECT_FALSE(was_well);
      return;
    }
    const std::string letters = letters_;
    Space child(&world_, forked.value(), kPages);
    for (uint64_t page = First(worker); page < First(worker) + kOwn; ++page) {
      if (prng_.Chance(1, 3)) Write(worker, page);
      if (prng_.Chance(1, 2) || !Access(child, page, base::Access::kRead, 0)) continue;
      ASSERT_EQ(world_.PageLetter(child, page), letters[page]) << "the child's page " << page;
    }
    child.Exit();
  }
  void Steps(uint64_t worker, uint64_t steps) {
    for (; steps > 0 && !::testing::Test::HasFailure(); --steps) {
      const uint64_t page = First(worker) + prng_.Below(kEach);
      const uint64_t dice = prng_.Below(10);
      if (dice < 4) Write(worker, page);
      if (dice >= 4 && dice < 9) Read(worker, page);
      if (dice == 9) ForkAndExit(worker);
    }
  }
  void Work(uint64_t worker) {
    Steps(worker, kIllSteps);
    --ill_;
    while (!well_) Pass(1000);
    Steps(worker, kWellSteps);
  }

  void CheckAtTheEnd() {
    EXPECT_EQ(world_.Violation(), "");
    for (uint64_t worker = 0; worker < kWorkers; ++worker) {
      for (uint64_t i = 0; i < kEach; ++i) Read(worker, First(worker) + i);
      world_.uvm().ReleaseObject(objects_[worker]);
    }
    EXPECT_EQ(world_.Violation(), "");
    EXPECT_EQ(world_.TearDownAndFindLeaks(), "");
    EXPECT_EQ(swap().only_on_swap(), PageCount(0));
    EXPECT_EQ(swap().in_use(), swap().DebugBad());
    tally_->read_errors += swap().counters().read_errors;
    tally_->write_errors += swap().counters().write_errors;
    tally_->mismatches += swap().counters().mismatches;
  }

  base::Prng prng_;
  BatonThreads threads_;
  World world_;
  Crew crew_{&threads_, &world_};
  Tally* const tally_;
  Space space_{&world_, nullptr, 0};
  Object* objects_[kWorkers] = {};
  std::string letters_;
  uint64_t ill_ = kWorkers;  // workers that still have steps to do with an ill device
  bool well_ = false;        // it will not be ill again
};

class HealPropTest : public ::testing::TestWithParam<bool> {};

TEST_P(HealPropTest, LossesAreToldToWhoNeedsThemAndEverythingConverges) {
  constexpr uint64_t kSeeds = 60;
  Tally tally;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    IllAndWell run(seed, {.daemon = GetParam()}, &tally);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
  EXPECT_GT(tally.read_errors, kSeeds);
  EXPECT_GT(tally.write_errors, kSeeds / 2);
  EXPECT_GT(tally.mismatches, 0u);
  EXPECT_GT(tally.vanished, 0u);
  // Each failed read is some access's.
  EXPECT_GE(tally.told, tally.read_errors);
  EXPECT_GT(tally.repeated, 0u);
  EXPECT_GT(tally.refused, 0u);
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutAThread, HealPropTest, ::testing::Bool());

TEST(HealPropDeathTest, AWaiterThatNobodyWakesIsNoticed) {
  const auto run = [] {
    Tally tally;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      IllAndWell(seed, {.daemon = true, .canary = base::Canary::kWaiterNotWoken}, &tally);
    }
  };
  EXPECT_DEATH(run(), "kLongestUs|waits for ever");
}

}  // namespace
}  // namespace uvm::testing
