// Wiring through faults: what FaultWire and FaultUnwireLocked do to pages, translations and layers.

#include <string>
#include <vector>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/core.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtAll;
using base::kProtExecute;
using base::kProtNone;
using base::kProtRead;
using base::kProtReadWrite;
using base::kProtWrite;

class WireTest : public PictureTest {
 protected:
  uint64_t WiredTranslations(const Space& space) {
    return pmap().WiredCount(space->pmap()).value();
  }
  uint64_t WiredPages() { return uvm().DebugPages().wired_count().value(); }
};

TEST_F(WireTest, BringsEveryPageInWithAllRightsAtOnce) {
  Space space = NewSpace("0A00");
  space.Wire(0, 4);
  EXPECT_EQ(Wirings(space), "1111");
  EXPECT_EQ(Rights(space), "wwww");
  EXPECT_EQ(Contents(space), "0A00");
  EXPECT_EQ(WiredTranslations(space), 4u);
  EXPECT_EQ(WiredPages(), 4u);
  EXPECT_EQ(uvm().counters().wirings, 4u);
  uint64_t faults = uvm().counters().faults;
  space.Write("wxyz");
  EXPECT_EQ(uvm().counters().faults, faults);
  space.Unwire(0, 4);
  EXPECT_EQ(Wirings(space), "0000");
  EXPECT_EQ(WiredTranslations(space), 0u);
  EXPECT_EQ(Contents(space), "wxyz");
  EXPECT_EQ(Rights(space), "wwww");  // still there, no longer for good
}

TEST_F(WireTest, WiredPagesAreOnNoQueueAndComeBackToTheActiveOne) {
  Space space = NewSpace("AB");
  uvm().DebugPages().FlushIntents();
  EXPECT_EQ(uvm().DebugPages().active_count(), PageCount(2));
  space.Wire(1, 1);
  uvm().DebugPages().FlushIntents();
  EXPECT_EQ(uvm().DebugPages().active_count(), PageCount(1));
  EXPECT_EQ(PageStore::QueueOf(ResidentAt(space, 1)), PageQueue::kNone);
  space.Unwire(1, 1);
  EXPECT_EQ(PageStore::QueueOf(ResidentAt(space, 1)), PageQueue::kActive);
}

TEST_F(WireTest, APagerThatFailsLeavesNothingWired) {
  Object* file = File(7);
  Space space = NewSpace("A...");
  space.Map({.at = 1, .pages = 3, .file = file});
  pager().FailOnce(1, PagerError::kIo);
  EXPECT_EQ(space.TryWire(0, 4), "io");
  EXPECT_EQ(WiredPages(), 0u);
  EXPECT_EQ(WiredTranslations(space), 0u);
  EXPECT_EQ(EntryAt(space, 0)->wired_count, 0u);
  space.Wire(0, 4);
  EXPECT_EQ(Wirings(space), "1111");
}

TEST_F(WireTest, MemoryThatRunsOutLeavesNothingWired) {
  World small(/*frames=*/3);
  Space space = small.NewSpace("A0000");
  EXPECT_EQ(space.TryWire(0, 5), "no_memory");
  EXPECT_EQ(small.uvm().DebugPages().wired_count(), PageCount(0));
  EXPECT_EQ(small.TearDownAndFindLeaks(), "");
}

// A private page that could ever be written is the entry's own once it is wired, as a wired page
// never moves (recorded: npc-126). One that cannot stays the file's.
TEST_F(WireTest, APrivatePageThatMayEverBeWrittenIsCopiedAtOnce) {
  Object* file = File(7);
  Space space = NewSpace("...");
  space.Map({.file = file});
  space.Map({.at = 1, .prot = kProtRead, .file = file});
  space.Map({.at = 2, .prot = kProtRead, .max_prot = kProtRead, .file = file});
  Space writer = NewSpace(".");
  writer.Map({.sharing = Sharing::kShared, .file = file});
  space.Wire(0, 3);
  EXPECT_EQ(Rights(space), "wrr");
  EXPECT_EQ(Wirings(space, writer), "111|1");  // the object's page is wired by the third
  writer.Write("x");
  EXPECT_EQ(Contents(space), "11x");
  space.Protect(1, 1, kProtReadWrite);
  Faults();
  space.Write(".y.");
  EXPECT_EQ(Faults(), "1A");
  EXPECT_EQ(Contents(space), "1yx");
}

TEST_F(WireTest, AnAnonOfSeveralOwnersIsCopiedAtOnce) {
  Space parent = NewSpace("A");
  Space child = parent.Fork();
  child.Protect(0, 1, kProtRead);
  child.Wire(0, 1);
  EXPECT_EQ(Wirings(parent, child), "0|1");
  EXPECT_EQ(Frames(parent, child), "a|b");
}

TEST_F(WireTest, WiringsOfSeveralEntriesAreCounted) {
  Object* file = File(7);
  Space one = NewSpace(".");
  Space two = NewSpace("..");
  one.Map({.sharing = Sharing::kShared, .file = file});
  two.Map({.sharing = Sharing::kShared, .file = file});
  two.Map({.at = 1, .prot = kProtRead, .max_prot = kProtRead, .file = file});
  one.Wire(0, 1);
  two.Wire(0, 2);
  EXPECT_EQ(Wirings(one, two), "3|33");
  EXPECT_EQ(WiredPages(), 1u);
  two.Unwire(0, 1);
  one.Exit();
  EXPECT_EQ(Wirings(two), "11");
  two.Unmap(0, 2);
  EXPECT_EQ(WiredPages(), 0u);
}

TEST_F(WireTest, WiringTwiceIsUndoneAtOnce) {
  Space space = NewSpace("A");
  space.Wire(0, 1);
  space.Wire(0, 1);
  EXPECT_EQ(Wirings(space), "1");
  space.Unwire(0, 1);
  EXPECT_EQ(Wirings(space), "0");
  EXPECT_EQ(space.TryUnwire(0, 1), "invalid_argument");
}

TEST_F(WireTest, AChildOfAWiredParentIsNotWiredAndMovesNoFrame) {
  Space parent = NewSpace("AB");
  parent.Wire(0, 2);
  Space child = parent.Fork();
  EXPECT_EQ(Wirings(parent, child), "11|00");
  EXPECT_EQ(Frames(parent, child), "ab|cd");
  uint64_t faults = uvm().counters().faults;
  parent.Write("xy");
  EXPECT_EQ(uvm().counters().faults, faults);
  EXPECT_EQ(Contents(parent, child), "xy|AB");
}

// What lets nobody write for good is wired where it is; who writes all the same, by a right beyond
// the maximum, gets a copy, and the wiring goes over to it: nothing of the old page is wired then.
TEST_F(WireTest, TheCopyOfAWiredAnonTakesTheEntrysOwnWiringOver) {
  Space one = NewSpace(".");
  one.Map({.max_prot = kProtRead, .inherit = base::Inherit::kShare, .flags = kEnterBeyondMax});
  one.Write("a");
  Space two = one.Fork();
  two.SetInherit(0, 1, base::Inherit::kCopy);
  Space child = two.Fork();  // the anon has two owners now
  one.Wire(0, 1);
  EXPECT_EQ(Wirings(one, two, child), "1|1|1");
  EXPECT_EQ(Frames(one, two, child), "a|a|a");
  one.Write("x");
  EXPECT_EQ(Contents(one, two, child), "x|x|a");
  EXPECT_EQ(Wirings(one, two, child), "1|1|0");
  EXPECT_EQ(WiredPages(), 1u);
  EXPECT_EQ(WiredTranslations(one), 1u);
  one.Unwire(0, 1);
  EXPECT_EQ(WiredPages(), 0u);
}

TEST_F(WireTest, TheCopyOfAWiredObjectPageTakesTheEntrysOwnWiringOver) {
  Object* file = File(7);
  Space one = NewSpace(".");
  one.Map({.max_prot = kProtRead, .file = file, .flags = kEnterBeyondMax});
  Space two = NewSpace(".");
  two.Map({.sharing = Sharing::kShared, .file = file});
  one.Wire(0, 1);
  EXPECT_EQ(two.ReadAll(), "1");
  EXPECT_EQ(Wirings(one, two), "1|1");
  one.Write("x");
  EXPECT_EQ(Contents(one, two), "x|1");
  EXPECT_EQ(Wirings(one, two), "1|0");
  EXPECT_EQ(WiredTranslations(one), 1u);
  one.Unwire(0, 1);
  EXPECT_EQ(WiredPages(), 0u);
}

TEST_F(WireTest, AForgetfulPmapKeepsWiredTranslations) {
  Space space = NewSpace("ABC");
  space.Wire(0, 3);
  ForgetAtRandom(5);
  uint64_t faults = uvm().counters().faults;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(space.ReadAll(), "ABC");
  EXPECT_EQ(uvm().counters().faults, faults);
}

// A page without the right to be read cannot be mapped (decision 0010), but it can be wired.
TEST_F(WireTest, AnyRightIsEnoughToBeWired) {
  Space space = NewSpace("A");
  space.Protect(0, 1, kProtWrite);
  space.Wire(0, 1);
  EXPECT_EQ(Wirings(space), "1");
  EXPECT_EQ(Rights(space), "-");
  space.Protect(0, 1, kProtReadWrite);
  EXPECT_EQ(space.ReadAll(), "A");
  EXPECT_EQ(Rights(space), "w");
  EXPECT_EQ(WiredTranslations(space), 1u);
  EXPECT_EQ(uvm().counters().fault_wired, 1u);
  space.Unwire(0, 1);
  EXPECT_EQ(WiredPages(), 0u);
}

TEST_F(WireTest, NothingWithoutRightsIsWired) {
  Space space = NewSpace("A");
  space.Protect(0, 1, kProtNone);
  EXPECT_EQ(space.TryWire(0, 1), "invalid_argument");
}

// Taking rights away and giving them back: the page stays wired, and so is what is entered again.
TEST_F(WireTest, ALostTranslationOfAWiredPageComesBackWired) {
  Space space = NewSpace("AB");
  space.Wire(0, 2);
  space.Protect(0, 2, kProtNone);
  EXPECT_EQ(WiredTranslations(space), 0u);
  EXPECT_EQ(Wirings(space), "11");
  space.Protect(0, 2, kProtReadWrite);
  EXPECT_EQ(space.ReadAll(), "AB");
  EXPECT_EQ(WiredTranslations(space), 2u);
  EXPECT_EQ(Wirings(space), "11");
  EXPECT_EQ(uvm().counters().fault_wired, 2u);
}

// FreeBSD mlock_test truncate_and_resize: the pages of a wired mapping that its object lost and got
// again read as zeroes and are wired.
TEST_F(WireTest, AWiredMappingOutlivesTheEndOfItsObject) {
  Object* object = uvm().CreateAobj(2 * base::kPageSize, 0).value();
  Space space = NewSpace("..");
  space.Map({.pages = 2, .sharing = Sharing::kShared, .file = object});
  space.Write("ab");
  space.Wire(0, 2);
  EXPECT_TRUE(uvm().TruncateAobj(object, base::kPageSize));
  CheckInvariants();
  EXPECT_EQ(space.Touch(1, Access::kRead), "past_end");
  EXPECT_TRUE(uvm().TruncateAobj(object, 2 * base::kPageSize));
  EXPECT_EQ(space.ReadAll(), "a0");
  EXPECT_EQ(Wirings(space), "11");
  space.Unwire(0, 2);
  EXPECT_EQ(WiredPages(), 0u);
  space.Exit();
  uvm().ReleaseObject(object);
}

// Each entry that goes on being wired has a wiring of its own on what came back.
TEST_F(WireTest, EveryWiredMappingOutlivesTheEndOfItsObject) {
  Object* object = uvm().CreateAobj(base::kPageSize, 0).value();
  std::vector<Space> spaces;
  for (int i = 0; i < 4; ++i) {
    spaces.push_back(NewSpace("."));
    spaces[i].Map({.sharing = Sharing::kShared, .file = object});
    if (i < 3) spaces[i].Wire(0, 1);
  }
  EXPECT_EQ(Wirings(spaces[0]), "3");
  EXPECT_TRUE(uvm().TruncateAobj(object, 0));
  EXPECT_TRUE(uvm().TruncateAobj(object, base::kPageSize));
  EXPECT_EQ(spaces[3].ReadAll(), "0");
  EXPECT_EQ(Wirings(spaces[0]), "0");  // nobody who has it wired has asked yet
  spaces[2].Unwire(0, 1);
  EXPECT_EQ(spaces[0].ReadAll(), "0");
  EXPECT_EQ(spaces[1].ReadAll(), "0");
  EXPECT_EQ(Wirings(spaces[0]), "2");
  spaces[3].Wire(0, 1);
  EXPECT_EQ(Wirings(spaces[0]), "3");
  spaces[0].Unwire(0, 1);
  spaces[3].Unwire(0, 1);
  EXPECT_EQ(Wirings(spaces[0]), "1");
  // The wiring of one who never asked is not taken from one who did.
  EXPECT_TRUE(uvm().TruncateAobj(object, 0));
  EXPECT_TRUE(uvm().TruncateAobj(object, base::kPageSize));
  spaces[3].Wire(0, 1);
  EXPECT_EQ(Wirings(spaces[0]), "2");
  spaces[1].Unwire(0, 1);
  EXPECT_EQ(Wirings(spaces[0]), "1");
  spaces[3].Unwire(0, 1);
  EXPECT_EQ(WiredPages(), 0u);
  for (const Space& space : spaces) space.Exit();
  uvm().ReleaseObject(object);
}

TEST_F(WireTest, WiringMapsNoNeighbours) {
  Object* file = File(7);
  Space reader = NewSpace("....");
  reader.Map({.pages = 4, .file = file});
  EXPECT_EQ(reader.ReadAll(), "1234");
  Space space = NewSpace("....");
  space.Map({.pages = 4, .prot = kProtRead, .max_prot = kProtRead, .file = file});
  space.Wire(1, 1);
  EXPECT_EQ(Rights(space), "-r--");
}

// Whoever faults on an entry while it is being wired gets wired translations.
TEST(WireThreadsTest, AWiringThatFailsLeavesNoTranslationWired) {
  BatonThreads threads;
  World world(64, &threads);
  world.StopChecking();
  Object* file = world.File(7);
  Space space = world.NewSpace(".....");
  space.Map({.pages = 4, .sharing = Sharing::kShared, .file = file});
  space.Map({.at = 4});
  world.pager().FailOnce(1, PagerError::kIo);
  world.pager().DuringNextGet([&] { threads.Yield(); });
  threads.Add([&] { EXPECT_EQ(space.TryWire(0, 5), "io"); });
  threads.Add([&] {
    EXPECT_EQ(space.Touch(3, Access::kWrite), "ok");
    EXPECT_EQ(space.Touch(4, Access::kWrite), "ok");
  });
  threads.Run();
  EXPECT_EQ(world.Wirings(space), "0..00");
  EXPECT_EQ(world.pmap().WiredCount(space->pmap()).value(), 0u);
  EXPECT_EQ(world.Rights(space), "w--ww");
  EXPECT_EQ(world.Violation(), "");
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

TEST(WireThreadsTest, AFaultMeanwhileNeitherLosesNorAddsAWiring) {
  BatonThreads threads;
  World world(64, &threads);
  world.StopChecking();
  Object* file = world.File(7);
  Space space = world.NewSpace("....");
  space.Map({.pages = 4, .file = file});
  world.pager().DuringNextGet([&] { threads.Yield(); });
  threads.Add([&] { space.Wire(0, 4); });
  threads.Add([&] {
    EXPECT_EQ(space.Touch(3, Access::kWrite), "ok");
    EXPECT_EQ(space.Touch(0, Access::kWrite), "ok");
  });
  threads.Run();
  EXPECT_EQ(world.Wirings(space), "1111");
  EXPECT_EQ(world.Violation(), "");
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

}  // namespace
}  // namespace uvm::testing
