// Stores that take long, or never answer, while memory is scarce: the page daemon goes on with
// everything else, and no page is lost whatever the store says in the end.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/pager.h"
#include "uvm/pdaemon.h"
#include "uvm/stored.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/page_map_store.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

// Keeps to itself what the page daemon wants written, until Answer().
class SilentStore final : public PageMapStore {
 public:
  bool BeginWriteRun(Object* object, PageIndex first, uint32_t count,
                     const unsigned char* const* contents, StoreWrite* write,
                     Result<void, PagerError>* result) override {
    if (!silent) return Store::BeginWriteRun(object, first, count, contents, write, result);
    held_.push_back({object, first, count, contents, write});
    return false;
  }

  // To everything that was kept, and from now on at once.
  void Answer(Result<void, PagerError> with) {
    silent = false;
    for (const Held& held : std::exchange(held_, {})) {
      for (uint32_t i = 0; with.ok() && i < held.count; ++i) {
        (void)WritePage(held.object, held.first + PageCount(i), held.contents[i]);
      }
      held.write->done(held.write, with);
    }
  }
  size_t held() const { return held_.size(); }

  bool silent = false;

 private:
  struct Held {
    Object* object;
    PageIndex first;
    uint32_t count;
    const unsigned char* const* contents;
    StoreWrite* write;
  };
  std::vector<Held> held_;
};

constexpr uint64_t kFrames = 32;
const char kFile[] = "abcdefghijkl";
const char kOwn[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGH";

class SilentStoreTest : public ::testing::Test, public World {
 protected:
  SilentStoreTest() : World(Pressure{.frames = kFrames, .swap_pages = 256}) {
    Result<Object*, MapError> object = uvm().CreateStoredObject(&store_, 5);
    EXPECT_TRUE(object.ok());
    file_ = object.value();
  }
  // Twelve pages of the file, dirty, and then more pages of one's own than there are frames.
  Space Squeezed(Space* other) {
    Space space = NewSpace(std::string(12, '.'));
    space.Map({.at = 0, .pages = 12, .sharing = Sharing::kShared, .file = file_});
    space.Write(kFile);
    store_.silent = true;
    StopChecking();  // pages are busy from here on
    *other = NewSpace(kOwn);
    EXPECT_EQ(other->ReadAll(), kOwn);
    return space;
  }
  void Close(const Space& space, const Space& other) {
    space.Exit();
    other.Exit();
    uvm().ReleaseObject(file_);
    EXPECT_EQ(uvm().counters().pager_writing, 0u);
    EXPECT_EQ(TearDownAndFindLeaks(), "");
  }

  SilentStore store_;
  Object* file_;
};

TEST_F(SilentStoreTest, StopsNobodyAndTakesNoMoreThanItsShare) {
  Space other = NewSpace(".");
  Space space = Squeezed(&other);
  EXPECT_GT(store_.held(), 0u);
  EXPECT_LE(uvm().counters().pager_writing, kFrames / 8);
  EXPECT_GT(uvm().pagedaemon().counters().freed_written, 40u) << "memory of one's own went out";
  EXPECT_EQ(Contents(space), kFile);
  // It answers after all.
  const uint64_t freed = uvm().counters().pager_freed;
  store_.Answer({});
  EXPECT_EQ(Violation(), "");
  EXPECT_GT(uvm().counters().pager_freed, freed);
  EXPECT_EQ(space.ReadAll(), kFile);
  EXPECT_EQ(other.ReadAll(), kOwn);
  Close(space, other);
}

TEST_F(SilentStoreTest, WhatItDoesNotTakeInTheEndStays) {
  Space other = NewSpace(".");
  Space space = Squeezed(&other);
  ASSERT_GT(store_.held(), 0u);
  store_.Answer(PagerError::kIo);
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(uvm().counters().pager_freed, 0u);
  EXPECT_EQ(Contents(space), kFile) << "all in memory";
  EXPECT_EQ(other.ReadAll(), kOwn);
  EXPECT_EQ(space.ReadAll(), kFile);
  Close(space, other);
}

// Who needs a page that is on its way waits for it, and nobody else does.
TEST(SilentStoreThreadsTest, WhoWaitsForItGoesOnWhenItAnswers) {
  BatonThreads threads;
  World world(Pressure{.frames = kFrames, .swap_pages = 256}, &threads);
  world.StopChecking();
  SilentStore store;
  Result<Object*, MapError> object = world.uvm().CreateStoredObject(&store, 5);
  ASSERT_TRUE(object.ok());
  Space space = world.NewSpace(std::string(12, '.'));
  space.Map({.at = 0, .pages = 12, .sharing = Sharing::kShared, .file = object.value()});
  Space other = world.NewSpace(std::string(60, '0'));
  int left = 2;
  threads.Add([&] {
    while (left > 0) world.uvm().pagedaemon().Serve();
    world.uvm().pagedaemon().StopServing();
  });
  bool squeezed = false;
  threads.Add([&] {
    space.Write(kFile);
    store.silent = true;
    while (store.held() == 0) threads.Yield();
    EXPECT_EQ(space.ReadAll(), kFile);  // some of these pages are busy
    EXPECT_TRUE(squeezed) << "nobody else waited for the store";
    if (--left == 0) world.uvm().pagedaemon().Kick();
  });
  threads.Add([&] {
    while (!store.silent) threads.Yield();
    other.Write(kOwn);
    EXPECT_EQ(other.ReadAll(), kOwn);
    squeezed = true;
    EXPECT_GT(store.held(), 0u);
    store.Answer({});
    if (--left == 0) world.uvm().pagedaemon().Kick();
  });
  threads.Run();
  EXPECT_EQ(space.ReadAll(), kFile);
  EXPECT_EQ(other.ReadAll(), kOwn);
  space.Exit();
  other.Exit();
  world.uvm().ReleaseObject(object.value());
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

// What was given back, or may be written now, is worth a look.
TEST(SilentStoreThreadsTest, AnAnswerIsARoundOfTheDaemon) {
  BatonThreads threads;
  World world(Pressure{.frames = kFrames, .swap_pages = 256}, &threads);
  world.StopChecking();
  PageDaemon& daemon = world.uvm().pagedaemon();
  SilentStore store;
  Result<Object*, MapError> object = world.uvm().CreateStoredObject(&store, 5);
  ASSERT_TRUE(object.ok());
  Space space = world.NewSpace(std::string(12, '.'));
  space.Map({.at = 0, .pages = 12, .sharing = Sharing::kShared, .file = object.value()});
  Space other = world.NewSpace(std::string(60, '0'));
  bool done = false;
  threads.Add([&] {
    while (!done) daemon.Serve();
    daemon.StopServing();
  });
  threads.Add([&] {
    space.Write(kFile);
    store.silent = true;
    other.Write(kOwn);
    EXPECT_GT(store.held(), 0u);
    for (int i = 0; i < 64; ++i) threads.Yield();  // it sleeps
    const uint64_t before = daemon.counters().rounds;
    for (int i = 0; i < 8; ++i) threads.Yield();
    EXPECT_EQ(daemon.counters().rounds, before);
    store.Answer({});
    for (int i = 0; i < 8; ++i) threads.Yield();
    EXPECT_GT(daemon.counters().rounds, before);
    done = true;
    daemon.Kick();
  });
  threads.Run();
  space.Exit();
  other.Exit();
  world.uvm().ReleaseObject(object.value());
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

// ---- The daemon's rounds, and what the policy hears ----

TEST(DaemonRoundsTest, AKickOfASleeperIsOneRound) {
  BatonThreads threads;
  World world(Pressure{.frames = kFrames, .swap_pages = 64}, &threads);
  PageDaemon& daemon = world.uvm().pagedaemon();
  bool done = false;
  threads.Add([&] {
    while (!done) daemon.Serve();
    daemon.StopServing();
  });
  threads.Add([&] {
    for (int i = 0; i < 8; ++i) threads.Yield();  // it sleeps
    const uint64_t before = daemon.counters().rounds;
    for (uint64_t kick = 1; kick <= 3; ++kick) {
      daemon.Kick();
      for (int i = 0; i < 8; ++i) threads.Yield();
      EXPECT_EQ(daemon.counters().rounds - before, kick);
    }
    done = true;
    daemon.Kick();
  });
  threads.Run();
}

// What comes into memory while nearly all of it is lent stays until it was used.
TEST(DaemonRoundsTest, AScanForNobodyLeavesHalfOfWhatCanGo) {
  World world(Pressure{.frames = 64, .swap_pages = 256});
  Space space = world.NewSpace(std::string(40, 'l'));
  Loan loan = space.Lend(0, 40);
  Space other = world.NewSpace("abcdefghijklmnopqrst");
  PageDaemon& daemon = world.uvm().pagedaemon();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(other.ReadAll(), "abcdefghijklmnopqrst");
    for (int round = 0; round < 4; ++round) daemon.RunOnce();
    uint64_t resident = 0;
    for (uint64_t page = 0; page < 20; ++page) {
      resident += world.ResidentAt(other, page) != nullptr ? 1 : 0;
    }
    EXPECT_GE(resident, 12u);
  }
  world.Return(&loan);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

TEST(PolicyHearsTest, ContentsOnSwapThatNobodyWantsAnyMoreAreForgotten) {
  World world(Pressure{.frames = kFrames, .swap_pages = 256, .policy = PolicyKind::kClockPro});
  auto* pro = static_cast<ClockProPolicy*>(world.uvm().DebugPolicy());
  Result<Object*, MapError> made = world.uvm().CreateAobj(20 * base::kPageSize, 0);
  ASSERT_TRUE(made.ok());
  Space space = world.NewSpace(kOwn);
  Space object = world.NewSpace(std::string(20, '.'));
  object.Map({.at = 0, .pages = 20, .sharing = Sharing::kShared, .file = made.value()});
  object.Write("abcdefghijklmnopqrst");
  space.Write(kOwn);
  EXPECT_GT(pro->history_size(), 0u);
  space.Exit();
  object.Exit();
  world.uvm().ReleaseObject(made.value());
  EXPECT_EQ(pro->history_size(), 0u);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

TEST(PolicyHearsTest, SoArePagesOfAnObjectOnSwap) {
  World world(Pressure{.frames = kFrames, .swap_pages = 256, .policy = PolicyKind::kClockPro});
  auto* pro = static_cast<ClockProPolicy*>(world.uvm().DebugPolicy());
  Result<Object*, MapError> made = world.uvm().CreateAobj(60 * base::kPageSize, 0);
  ASSERT_TRUE(made.ok());
  Space object = world.NewSpace(std::string(60, '.'));
  object.Map({.at = 0, .pages = 60, .sharing = Sharing::kShared, .file = made.value()});
  object.Write(kOwn);
  EXPECT_GT(pro->history_size(), 0u);
  object.Exit();
  world.uvm().ReleaseObject(made.value());
  EXPECT_EQ(pro->history_size(), 0u);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

TEST(PolicyHearsTest, PagesOfAFileThatIsExecutedAreASortOfTheirOwn) {
  World world(Pressure{.frames = kFrames, .swap_pages = 64});
  Object* text = world.File(1);
  Object* data = world.File(2);
  Space space = world.NewSpace(std::string(8, '.'));
  space.Map({.at = 0, .pages = 2, .prot = base::kProtRead, .file = text});
  space.Map({.at = 2, .pages = 2, .prot = base::kProtRead, .file = data});
  space.Map({.at = 4, .pages = 1});
  text->executable = true;
  EXPECT_EQ(space.Read("xx"), "12");
  PageDaemon& daemon = world.uvm().pagedaemon();
  EXPECT_EQ(space.Touch(2, Access::kRead), "ok");
  EXPECT_EQ(space.Touch(4, Access::kWrite), "ok");
  EXPECT_EQ(daemon.SortOf(world.ResidentAt(space, 0)), PageSort::kExecutable);
  EXPECT_EQ(daemon.SortOf(world.ResidentAt(space, 2)), PageSort::kFile);
  EXPECT_EQ(daemon.SortOf(world.ResidentAt(space, 4)), PageSort::kAnonymous);
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

}  // namespace
}  // namespace uvm::testing
