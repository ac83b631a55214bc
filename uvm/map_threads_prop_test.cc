// Several threads in one space at once, under random schedules and now and then without memory:
// each has pages of its own, private ones and a file's, whose contents it knows, while everybody
// wires, protects, cleans, lends, copies, forks and reads all of them, and maps and unmaps in a
// common range where nothing stays. Nobody waits for ever, nobody finds another's bytes, a fork is
// a snapshot of the forking thread's pages, and at the end everything is where it belongs.

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/prng.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/io.h"
#include "uvm/km.h"
#include "uvm/map.h"
#include "uvm/testing/buffer_peer.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/random_switches.h"
#include "uvm/testing/world.h"
#include "uvm/uio.h"
#include "uvm/voaddr.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPage = base::kPageSize;
constexpr uint64_t kWorkers = 3;
constexpr uint64_t kOwn = 4;                                // private pages a worker
constexpr uint64_t kOfFile = 2;                             // and of the file
constexpr uint64_t kFileAt = kWorkers * kOwn;               // page where the file is mapped
constexpr uint64_t kCommon = kFileAt + kWorkers * kOfFile;  // first page of the common range
constexpr uint64_t kPages = kCommon + 10;
constexpr uint64_t kSteps = 40;

struct Options {
  bool forgetful = false;
  bool droughts = false;
  bool refusing = false;  // the pmap: enters fail
  uint64_t frames = 400;
  uint64_t swap_pages = 0;
};

class Together {
 public:
  Together(uint64_t seed, const Options& options)
      : prng_(seed, "map_threads_prop_test"),
        options_(options),
        world_(Pressure{.frames = options.frames, .swap_pages = options.swap_pages}, &threads_) {
    world_.StopChecking();
    if (options.forgetful) {
      world_.ForgetAtRandom(seed, 16);
      world_.pmap().DelayInvalidations();
      world_.pmap().HideReferences();
    }
    if (options.refusing) world_.BeAdverse(seed);
    kernel_ = world_.uvm().Kernel();
    Object* file = world_.File(1);
    space_ = world_.NewSpace(std::string(kPages, '.'));
    space_.Map({.at = 0, .pages = kFileAt});
    space_.Map(
        {.at = kFileAt, .pages = kWorkers * kOfFile, .sharing = Sharing::kShared, .file = file});
    for (uint64_t page = 0; page < kCommon; ++page) {
      letters_[page] = page < kFileAt ? '0' : static_cast<char>('1' + page - kFileAt);
    }
    for (uint64_t worker = 0; worker < kWorkers; ++worker) {
      threads_.Add([this, worker] { Work(worker); });
    }
    threads_.Add([this] { Tidy(); });
    {
      RandomSwitches switches(&threads_, &prng_, 5);
      threads_.Run();
    }
    world_.memory().NeverFail();
    EXPECT_EQ(world_.Violation(), "");
    for (uint64_t page = 0; page < kCommon; ++page) {
      char seen = '?';
      EXPECT_TRUE(Load(space_, page, &seen));
      EXPECT_EQ(seen, letters_[page]) << "page " << page;
    }
    EXPECT_EQ(world_.TearDownAndFindLeaks(), "");
  }

 private:
  Map& map() { return space_->map(); }

  // As a processor would; the mapping may be taken again before it is used. False: memory ran out.
  bool Access(const Space& space, uint64_t page, base::Access access, unsigned char** at) {
    for (int i = 0; i < 400; ++i) {
      *at = world_.pmap().Translate(space->pmap(), PageAt(page), access);
      if (*at != nullptr) return true;
      Result<void, FaultError> fault = world_.uvm().Fault(space.get(), PageAt(page), access);
      if (fault.ok()) continue;
      if (fault.error() == FaultError::kNoMemory && options_.refusing) continue;
      if (fault.error() == FaultError::kNoMemory && options_.droughts) return false;
      // Somebody has it protected just now.
      if (fault.error() == FaultError::kProtection) {
        threads_.Yield();
        continue;
      }
      ADD_FAILURE() << "page " << page << ": " << base::FaultErrorName(fault.error());
      return false;
    }
    return false;
  }
  bool Load(const Space& space, uint64_t page, char* letter) {
    unsigned char* at;
    if (!Access(space, page, base::Access::kRead, &at)) return false;
    *letter = world_.LetterOf(at);
    return true;
  }

  // A page of the worker's own.
  uint64_t Mine(uint64_t worker) {
    return prng_.Chance(1, 3) ? kFileAt + worker * kOfFile + prng_.Below(kOfFile)
                              : worker * kOwn + prng_.Below(kOwn);
  }
  Range Anything() {
    const uint64_t first = prng_.Below(kCommon);
    return Pages(first, 1 + prng_.Below(kCommon - first));
  }

  void Work(uint64_t worker) {
    for (uint64_t step = 0; step < kSteps; ++step) Step(worker);
    ++ended_;
  }
  void Step(uint64_t worker) {
    const uint64_t page = Mine(worker);
    switch (prng_.Below(16)) {
      case 0:
      case 1:
      case 2:
        return Write(page);
      case 3:
      case 4:
        return Read(page);
      case 5:
        return ProtectAndBack(page);
      case 6:
        return Wire();
      case 7:
        return Fork(page);
      case 8:
        return Lend(page);
      case 9:
        return Clean();
      case 10:
        return Name(page);
      case 11:
        return Peek(page);
      case 12:
        return Copy(page);
      case 13:
        return Extract(page);
      default:
        return Common();
    }
  }

  void Write(uint64_t page) {
    const char letter = static_cast<char>('a' + prng_.Below(26));
    unsigned char* at;
    if (!Access(space_, page, base::Access::kWrite, &at)) return;
    std::memset(at, letter, kPage);
    letters_[page] = letter;
  }
  void Read(uint64_t page) {
    char seen = letters_[page];
    if (Load(space_, page, &seen)) {
      EXPECT_EQ(seen, letters_[page]) << "page " << page;
    }
  }
  void ProtectAndBack(uint64_t page) {
    const Range range = Pages(page, 1 + prng_.Below(kCommon - page));
    (void)map().Protect(range, prng_.Chance(1, 2) ? base::kProtRead : base::kProtNone, SetMax::kNo);
    RandomSwitches::MaybeYield();
    while (!map().Protect(range, base::kProtReadWrite, SetMax::kNo).ok()) threads_.Yield();
  }
  void Wire() {
    if (prng_.Chance(1, 4)) {
      (void)map().PageableAll(static_cast<uint32_t>(prng_.Below(2)), 0);
    } else {
      (void)map().Pageable(Anything(), prng_.Chance(1, 2) ? Wiring::kWire : Wiring::kUnwire);
    }
  }
  // The child has what the forking thread's pages held then, whatever becomes of them here.
  void Fork(uint64_t page) {
    const char was = letters_[page];
    Result<uvm::Space*, MapError> forked = world_.uvm().ForkSpace(space_.get());
    if (!forked.ok()) return;
    const Space child(&world_, forked.value(), kPages);
    if (page < kFileAt && prng_.Chance(1, 2)) Write(page);
    char seen = was;
    bool readable = true;
    Map::Region region;
    readable = child->map().FindRegion(PageAt(page), &region) && region.prot.CanRead();
    if (readable && Load(child, page, &seen)) {
      EXPECT_EQ(seen, page < kFileAt ? was : letters_[page]) << "the child's page " << page;
    }
    child.Exit();
  }
  void Lend(uint64_t page) {
    const char was = letters_[page];
    if (prng_.Chance(1, 2)) {
      Page* lent = nullptr;
      if (!world_.uvm().loans().LendPages(&map(), Pages(page, 1), &lent).ok()) return;
      RandomSwitches::MaybeYield();
      EXPECT_EQ(world_.LetterOf(world_.pmap().HomePointer(lent->pa)), was);
      if (prng_.Chance(1, 2)) Write(page);
      EXPECT_EQ(world_.LetterOf(world_.pmap().HomePointer(lent->pa)), was);
      world_.uvm().loans().ReturnPages(&lent, 1);
    } else {
      Anon* lent = nullptr;
      if (!world_.uvm().loans().LendAnons(&map(), Pages(page, 1), &lent).ok()) return;
      if (prng_.Chance(1, 2)) Write(page);
      EXPECT_EQ(world_.LetterOf(world_.pmap().HomePointer(lent->page->pa)), was);
      world_.uvm().loans().ReturnAnons(&lent, 1);
    }
  }
  void Clean() {
    constexpr uint32_t kKinds[] = {kPgoCleanIt, kPgoCleanIt | kPgoSyncIo, kPgoDeactivate,
                                   kPgoCleanIt | kPgoFree | kPgoSyncIo};
    (void)map().Clean(Pages(kFileAt, kCommon - kFileAt), kKinds[prng_.Below(4)]);
    map().WillNeed(Anything());
  }
  void Name(uint64_t page) {
    VoAddr address;
    if (!world_.uvm().AcquireAddress(space_.get(), PageAt(page), &address)) return;
    RandomSwitches::MaybeYield();
    world_.uvm().ReleaseAddress(&address);
  }
  void Peek(uint64_t page) {
    SpaceIo io(kernel_);
    BufferPeer peer;
    peer.BeforeMoves(RandomSwitches::MaybeYield);
    Uio uio{&peer, PageAt(page).value(), kPage};
    if (!io.Io(&map(), &uio, base::Access::kRead, 0).ok()) return;
    EXPECT_EQ(world_.LetterOf(reinterpret_cast<const unsigned char*>(peer.bytes().data())),
              letters_[page]);
  }
  void Copy(uint64_t page) {
    Snapshot copy;
    if (!world_.uvm().CopyIn(space_.get(), Pages(page, 1), &copy).ok()) return;
    const char was = letters_[page];
    if (prng_.Chance(1, 2)) Write(page);
    // Back over the page, which makes what was written since undone.
    if (world_.uvm().Overwrite(space_.get(), PageAt(page), &copy).ok()) letters_[page] = was;
    map().DropSnapshot(&copy);
  }
  // A second place for the page, for a moment.
  void Extract(uint64_t page) {
    constexpr uint32_t kFlags[] = {0, Map::kExtractContiguous, Map::kExtractQuickRef};
    Result<Vaddr, MapError> at =
        map().Extract(Pages(page, 1), &map(), PageAt(kCommon), kFlags[prng_.Below(3)]);
    if (at.ok()) (void)map().Unmap({at.value(), at.value() + kPage});
  }
  // Where nothing stays.
  void Common() {
    const uint64_t first = kCommon + prng_.Below(kPages - kCommon);
    const uint64_t count = 1 + prng_.Below(kPages - first);
    constexpr uint32_t kFlags[] = {0, 0, kEnterTryLock, kEnterWaitVa, kEnterOverlay};
    switch (prng_.Below(6)) {
      case 0:
        (void)map().Unmap(Pages(first, count));
        return;
      case 1:
        (void)world_.uvm().Fault(space_.get(), PageAt(first), base::Access::kWrite);
        return;
      case 2:
        (void)map().Remap({.from = Pages(first, count),
                           .to = PageAt(kCommon),
                           .new_size = (1 + prng_.Below(6)) * kPage,
                           .duplicate = prng_.Chance(1, 3)});
        return;
      case 3:
        (void)map().Discard(Pages(first, count));
        return;
      default:
        (void)map().Enter(
            {.at = PageAt(first),
             .size = count * kPage,
             .where = prng_.Chance(1, 2) ? Map::Where::kFixedReplace : Map::Where::kNear,
             .prot = base::kProtReadWrite,
             .sharing = prng_.Chance(1, 2) ? Sharing::kShared : Sharing::kPrivate,
             .flags = kFlags[prng_.Below(5)]});
    }
  }
  // Makes room, so that nobody waits for it for ever, and turns the supply of memory on and off.
  void Tidy() {
    while (ended_ < kWorkers) {
      for (int i = 0; i < 6; ++i) threads_.Yield();
      world_.memory().NeverFail();
      (void)map().Unmap(Pages(kCommon, kPages - kCommon));
      if (options_.droughts && prng_.Chance(2, 3)) world_.memory().FailAfter(prng_.Below(2));
    }
  }

  base::Prng prng_;
  const Options options_;
  BatonThreads threads_;
  World world_;
  KernelMemory* kernel_ = nullptr;
  Space space_{&world_, nullptr, 0};
  char letters_[kCommon] = {};
  uint64_t ended_ = 0;
};

class MapThreadsPropTest : public ::testing::TestWithParam<int> {};

TEST_P(MapThreadsPropTest, ThreadsKeepTheirPages) {
  constexpr uint64_t kSeeds = 60;
  const Options options = {.forgetful = (GetParam() & 1) != 0,
                           .droughts = (GetParam() & 2) != 0,
                           .refusing = (GetParam() & 4) != 0};
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Together together(seed, options);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

// The same with memory for about half of what is used.
TEST(MapThreadsUnderPressurePropTest, ThreadsKeepTheirPages) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Together together(seed, {.forgetful = seed % 2 == 0, .frames = 48, .swap_pages = 512});
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, MapThreadsPropTest, ::testing::Values(0, 1, 2, 3, 4, 6));

// Two sharers lock a page, and one writes to it, while a third forks a copy: whoever shares sees
// the write, and the child has what was there before it or after it.
TEST(SharersThreadsPropTest, AWriteToWhatSharersLockWhileACopyIsMadeIsNotLost) {
  for (uint64_t seed = 1; seed <= 4000; ++seed) {
    base::Prng prng(seed, "map_threads_prop_test");
    BatonThreads threads;
    World world(64, &threads);
    world.StopChecking();
    world.ForgetAtRandom(seed, uint64_t{1} << 40);  // others may take what a fault brought
    Space one = world.NewSpace("000");
    one.SetInherit(0, 3, Inherit::kShare);
    Space two = one.Fork();
    Space three = one.Fork();
    two.SetInherit(0, 3, Inherit::kCopy);
    if (seed % 2 == 0) one.Write(".A.");
    Space copy = two;
    threads.Add([&] { (seed % 3 == 0) ? one.Write("A..") : one.Wire(1, 1); });
    threads.Add([&] { copy = two.Fork(); });
    threads.Add([&] {
      if (seed % 5 != 0) three.Wire(1, 1);
      three.Write(".B.");
    });
    {
      RandomSwitches switches(&threads, &prng, 5);
      threads.Run();
    }
    ASSERT_EQ(world.Violation(), "") << seed;
    ASSERT_EQ(one.Read(".x.") + two.Read(".x.") + three.Read(".x."), ".B..B..B.") << seed;
    one.Write(".C.");
    ASSERT_EQ(two.Read(".x.") + three.Read(".x."), ".C..C.") << seed;
    ASSERT_NE(copy.Read(".x."), ".C.") << seed;
    ASSERT_EQ(world.Violation(), "") << seed;
    ASSERT_EQ(world.TearDownAndFindLeaks(), "") << seed;
  }
}

// A copy needs the file's page where a sharer covers it just then, and the page daemon takes it
// away again.
TEST(SharersThreadsPropTest, ACopyEndsThoughSharersCoverThePagesThatItNeeds) {
  constexpr uint64_t kFew = 8;
  uint64_t copied = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    base::Prng prng(seed, "map_threads_prop_test");
    BatonThreads threads;
    World world(Pressure{.frames = 64, .swap_pages = 64}, &threads);
    world.StopChecking();
    Space one = world.NewSpace(std::string(kFew, '.'));
    one.Map({.pages = kFew, .inherit = Inherit::kShare, .file = world.File(1)});
    Space two = one.Fork();
    Snapshot copy;
    bool ended = false;
    threads.Add([&] {
      copied += world.uvm().CopyIn(one.get(), Pages(0, kFew), &copy).ok() ? 1 : 0;
      ended = true;
    });
    threads.Add([&] {
      for (uint64_t page = 0; page < kFew; ++page) two.Write(std::string(page, '.') + "x");
    });
    threads.Add([&] {
      int rounds = 0;
      while (!ended) {
        CHECK(++rounds < 10'000);  // or the copy never ends
        world.Squeeze();
        threads.Yield();
      }
    });
    {
      RandomSwitches switches(&threads, &prng, 2 + seed % 9);
      threads.Run();
    }
    one->map().DropSnapshot(&copy);
    ASSERT_EQ(world.Violation(), "") << seed;
    ASSERT_EQ(one.ReadAll(), std::string(kFew, 'x')) << seed;
    ASSERT_EQ(world.TearDownAndFindLeaks(), "") << seed;
  }
  EXPECT_EQ(copied, 300u);
}

}  // namespace
}  // namespace uvm::testing
