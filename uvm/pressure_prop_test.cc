// Several threads with far more pages than there are frames, under random schedules, with and
// without a thread for the page daemon, on a device that takes its time: each thread writes, reads,
// wires, lends, forks and gives up pages whose contents it knows. Every page reads as it was
// written last, a fork is a snapshot, nobody waits for ever, and at the end all accounts are right
// and nothing is left. With too little swap somebody runs out of memory, and nobody notices but
// that one.

#include <cstdint>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/pdaemon.h"
#include "uvm/swap.h"
#include "uvm/testing/crew.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/random_switches.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kWorkers = 4;
constexpr uint64_t kOwn = 14;      // pages a worker: private,
constexpr uint64_t kShared = 4;    // shared with its children,
constexpr uint64_t kOfFile = 4;    // of a file,
constexpr uint64_t kOfObject = 4;  // of an anonymous object that all have
constexpr uint64_t kEach = kOwn + kShared + kOfFile + kOfObject;
constexpr uint64_t kPages = kWorkers * kEach;
constexpr uint64_t kSteps = 60;

struct Options {
  uint64_t frames;
  bool daemon = false;  // has a thread
  bool slow = false;    // the device takes virtual time
  uint64_t swap_pages = 2048;
  uint32_t write_errors = 0;  // of 65536 writes
  bool enough() const { return swap_pages >= 1024; }
};

struct Tally {
  uint64_t paged_out = 0;
  uint64_t out_of_memory = 0;
  uint64_t waits = 0;
  uint64_t write_errors = 0;
};

class Together {
 public:
  Together(uint64_t seed, const Options& options, Tally* tally)
      : prng_(seed, "pressure_prop_test"),
        options_(options),
        world_(Pressure{.frames = options.frames,
                        .swap_pages = options.swap_pages,
                        .latency = {.transfer_us = options.slow ? uint64_t{500} : 0,
                                    .page_us = options.slow ? uint64_t{50} : 0},
                        .write_errors = options.write_errors},
               &threads_) {
    world_.StopChecking();
    Build();
    for (uint64_t worker = 0; worker < kWorkers; ++worker) {
      crew_.Add([this, worker] { Work(worker); });
    }
    if (options.daemon) crew_.AddDaemon();
    crew_.Run(&prng_, 3 + seed % 7);
    CheckAtTheEnd();
    const DaemonCounters& counters = world_.uvm().pagedaemon().counters();
    tally->paged_out += counters.freed_written;
    tally->out_of_memory += counters.out_of_memory;
    tally->waits += counters.waits;
    tally->write_errors += counters.write_errors;
  }

 private:
  static uint64_t First(uint64_t worker) { return worker * kEach; }

  void Build() {
    space_ = world_.NewSpace(std::string(kPages, '.'));
    Object* file = world_.File(1);
    Result<Object*, MapError> object =
        world_.uvm().CreateAobj(kWorkers * kOfObject * base::kPageSize, 0);
    ASSERT_TRUE(object.ok());
    for (uint64_t worker = 0; worker < kWorkers; ++worker) {
      const uint64_t at = First(worker);
      space_.Map({.at = at, .pages = kOwn});
      space_.Map({.at = at + kOwn, .pages = kShared, .sharing = Sharing::kShared});
      space_.Map({.at = at + kOwn + kShared,
                  .pages = kOfFile,
                  .sharing = Sharing::kShared,
                  .file = file,
                  .file_page = worker * kOfFile});
      space_.Map({.at = at + kOwn + kShared + kOfFile,
                  .pages = kOfObject,
                  .sharing = Sharing::kShared,
                  .file = object.value(),
                  .file_page = worker * kOfObject});
    }
    world_.uvm().ReleaseObject(object.value());
    letters_ = std::string(kPages, '\0');
  }

  // Whether the access went well; else memory ran out, which may be.
  bool Went(const std::string& outcome) {
    if (outcome == "ok") return true;
    EXPECT_TRUE(outcome == "no_memory" && !options_.enough()) << outcome;
    return false;
  }
  void Write(const Space& space, uint64_t page, std::string* letters) {
    const char letter = static_cast<char>('a' + prng_.Below(26));
    if (Went(world_.AccessPage(space, page, Access::kWrite, letter))) (*letters)[page] = letter;
  }
  void Read(const Space& space, uint64_t page, const std::string& letters) {
    if (letters[page] == 0) return;  // never written: a digit of the file, or zeroes
    if (!Went(world_.AccessPage(space, page, Access::kRead, 0))) return;
    ASSERT_EQ(world_.PageLetter(space, page), letters[page]) << "page " << page;
  }

  // What a child has of its parent's pages is a snapshot, but for what they share.
  void ForkAndExit(uint64_t worker) {
    Result<uvm::Space*, MapError> forked = world_.uvm().ForkSpace(space_.get());
    if (!forked.ok()) {
      EXPECT_FALSE(options_.enough());
      return;
    }
    Space child(&world_, forked.value(), kPages);
    std::string letters = letters_;
    for (uint64_t i = prng_.Below(12); i > 0; --i) {
      const uint64_t page = First(worker) + prng_.Below(kOwn);
      const uint64_t dice = prng_.Below(3);
      if (dice == 0) Write(child, page, &letters);
      if (dice == 1) Read(child, page, letters);
      if (dice == 2) Write(space_, page, &letters_);
    }
    for (uint64_t page = First(worker); page < First(worker) + kOwn; ++page) {
      if (prng_.Chance(1, 3)) Read(child, page, letters);
    }
    child.Exit();
  }
  void WireForAWhile(uint64_t first) {
    const std::string outcome = space_.TryWire(first, 2);
    if (outcome != "ok") {
      EXPECT_FALSE(options_.enough()) << outcome;
      return;
    }
    Write(space_, first, &letters_);
    RandomSwitches::MaybeYield();
    Read(space_, first + 1, letters_);
    EXPECT_EQ(space_.TryUnwire(first, 2), "ok");
  }
  void LendForAWhile(uint64_t first) {
    Loan loan;
    if (space_.TryLend(first, 1, &loan) != "ok") return;
    const char before = world_.Contents(loan)[0];
    Write(space_, first, &letters_);
    RandomSwitches::MaybeYield();
    EXPECT_EQ(world_.Contents(loan)[0], before);
    world_.Return(&loan);
  }

  void Work(uint64_t worker) {
    for (uint64_t step = 0; step < kSteps && !::testing::Test::HasFailure(); ++step) {
      const uint64_t page = First(worker) + prng_.Below(kEach);
      const uint64_t own = First(worker) + prng_.Below(kOwn - 1);
      switch (prng_.Below(12)) {
        case 0:
        case 1:
        case 2:
        case 3:
          Write(space_, page, &letters_);
          break;
        case 4:
        case 5:
        case 6:
          Read(space_, page, letters_);
          break;
        case 7:
          ForkAndExit(worker);
          break;
        case 8:
          WireForAWhile(own);
          break;
        case 9:
          LendForAWhile(own);
          break;
        case 10:
          (void)space_.TryAdvise(First(worker), kEach,
                                 prng_.Chance(1, 2) ? Advice::kNormal : Advice::kSequential);
          break;
        default:
          (void)space_.TryClean(First(worker) + kOwn + kShared, kOfFile, kPgoCleanIt | kPgoSyncIo);
      }
    }
  }

  void CheckAtTheEnd() {
    EXPECT_EQ(world_.Violation(), "");
    for (uint64_t page = 0; page < kPages; ++page) Read(space_, page, letters_);
    EXPECT_EQ(world_.Violation(), "");
    EXPECT_EQ(world_.TearDownAndFindLeaks(), "");
    const uint64_t bad = world_.uvm().pagedaemon().counters().write_errors;
    EXPECT_EQ(world_.uvm().swap().in_use(), PageCount(bad)) << "nothing but bad slots";
    EXPECT_EQ(world_.uvm().swap().only_on_swap(), PageCount(0));
    EXPECT_TRUE(world_.uvm().pagedaemon().DebugIdle());
  }

  base::Prng prng_;
  const Options options_;
  BatonThreads threads_;
  World world_;
  Crew crew_{&threads_, &world_};
  Space space_{&world_, nullptr, 0};
  std::string letters_;  // what was written to each page; 0: nothing yet
};

void RunSeeds(uint64_t seeds, Options options, Tally* tally) {
  const uint64_t least = options.frames;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    options.frames = least + seed % 24;
    Together together(seed, options, tally);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
  EXPECT_GT(tally->paged_out, 0u);
  EXPECT_GT(tally->waits, 0u);
}

// What is wired and lent at once at most.
constexpr uint64_t kHeld = kWorkers * 2;

Options OptionsOf(int world) {
  return {.frames = kFewestFrames + kHeld, .daemon = (world & 1) != 0, .slow = (world & 2) != 0};
}

class PressurePropTest : public ::testing::TestWithParam<int> {};

TEST_P(PressurePropTest, EveryPageReadsAsItWasWrittenLast) {
  Tally tally;
  RunSeeds(60, OptionsOf(GetParam()), &tally);
  EXPECT_EQ(tally.out_of_memory, 0u);
}

// What cannot be written stays; slots go bad, until now and then too few are left.
TEST_P(PressurePropTest, FailedWritesLoseNothing) {
  Tally tally;
  Options options = OptionsOf(GetParam());
  options.swap_pages = 600;
  options.write_errors = 3000;
  RunSeeds(40, options, &tally);
  EXPECT_GT(tally.write_errors, 0u);
}

TEST_P(PressurePropTest, WhoFindsNoMemoryIsToldAndNobodyElseSuffers) {
  Tally tally;
  Options options = OptionsOf(GetParam());
  options.swap_pages = 24;
  RunSeeds(60, options, &tally);
  EXPECT_GT(tally.out_of_memory, 0u);
}

INSTANTIATE_TEST_SUITE_P(Worlds, PressurePropTest, ::testing::Values(0, 1, 2, 3));

}  // namespace
}  // namespace uvm::testing
