// What a fault maps besides the page that it was asked for.

#include <string>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/core.h"
#include "uvm/fault.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtRead;
using base::kProtReadWrite;

class FaultWindowTest : public PictureTest {
 protected:
  // Translations of a space go, its pages stay.
  void Forget(const Space& space) { pmap().RemoveAll(space->pmap()); }
};

TEST_F(FaultWindowTest, SizesAreThoseOfTheAdvice) {
  const std::string all(20, 'A');
  Space space = NewSpace(all);
  auto window = [&](Advice advice, uint64_t page) {
    space.Advise(0, 20, advice);
    Forget(space);
    EXPECT_EQ(space.Touch(page, Access::kRead), "ok");
    return Rights(space);
  };
  EXPECT_EQ(window(Advice::kNormal, 10), "-------wwwwwwww-----");
  EXPECT_EQ(window(Advice::kRandom, 10), "----------w---------");
  // What a sequential reader has passed is not mapped again.
  EXPECT_EQ(window(Advice::kSequential, 10), "----------wwwwwwww--");
}

TEST_F(FaultWindowTest, EndsWithTheEntry) {
  Space space = NewSpace("ABCDEFGH");
  space.Protect(0, 3, kProtRead);
  space.Protect(6, 2, kProtRead);
  Forget(space);
  EXPECT_EQ(space.Touch(4, Access::kRead), "ok");
  EXPECT_EQ(Rights(space), "---www--");
}

TEST_F(FaultWindowTest, BringsNothingInAndZeroFillsNothing) {
  Object* file = File(7);
  Space space = NewSpace("0A0.....");
  space.Map({.at = 3, .pages = 5, .file = file});
  Forget(space);
  EXPECT_EQ(space.Touch(1, Access::kRead), "ok");
  EXPECT_EQ(space.Touch(5, Access::kRead), "ok");
  EXPECT_EQ(Rights(space), "-w---r--");
  EXPECT_EQ(pager().gets(), 1u);
  EXPECT_EQ(Frames(space), ".a...b..");
}

TEST_F(FaultWindowTest, NeighboursHaveNoMoreRightsThanAFaultOnThemWouldGive) {
  Object* file = File(7);
  Space space = NewSpace("AB....");
  space.Map({.at = 2, .pages = 2, .file = file});
  space.Map({.at = 4,
             .pages = 2,
             .inherit = base::Inherit::kShare,
             .sharing = Sharing::kShared,
             .file = file,
             .file_page = 2});
  EXPECT_EQ(space.Read("..xxxx"), "..1234");
  Space child = space.Fork();
  EXPECT_EQ(child.Read("x.x.x."), "A.1.3.");
  EXPECT_EQ(Rights(child), "rrrrww");
}

TEST_F(FaultWindowTest, APageOfTheUpperLayerHidesTheObjectsPage) {
  Object* file = File(7);
  Space reader = NewSpace("....");
  reader.Map({.pages = 4, .file = file});
  EXPECT_EQ(reader.ReadAll(), "1234");
  Space space = NewSpace("....");
  space.Map({.pages = 4, .file = file});
  space.Write(".x..");
  Forget(space);
  EXPECT_EQ(space.Touch(2, Access::kRead), "ok");
  EXPECT_EQ(Rights(space), "rwrr");
  EXPECT_EQ(space.ReadAll(), "1x34");
}

// FreeBSD PR 266108: entering a neighbour twice made mappings that did not exist.
TEST_F(FaultWindowTest, LeavesAloneWhatIsMapped) {
  Space space = NewSpace("ABCD");
  space.Protect(0, 4, kProtRead);
  space.Protect(0, 4, kProtReadWrite);
  EXPECT_EQ(Rights(space), "rrrr");
  space.Write(".x..");
  EXPECT_EQ(Rights(space), "rwrr");
  EXPECT_EQ(uvm().counters().neighbours, 0u);
  EXPECT_EQ(pmap().ResidentCount(space->pmap()), PageCount(4));
}

// A write to a private page of a file: its neighbours were most likely read before.
TEST_F(FaultWindowTest, IsClosedWhereAWriteCopiesAPageOfAFile) {
  Object* file = File(7);
  Space reader = NewSpace("....");
  reader.Map({.pages = 4, .file = file});
  EXPECT_EQ(reader.ReadAll(), "1234");
  Space space = NewSpace("....");
  space.Map({.pages = 4, .file = file});
  space.Write("w...");
  Forget(space);
  space.Write("..x.");
  EXPECT_EQ(Rights(space), "--w-");
}

TEST_F(FaultWindowTest, ANeighbourThatThePmapRefusesIsLeftOut) {
  Space space = NewSpace("ABCD");
  Forget(space);
  pmap().FailEnterAfter(1);
  EXPECT_EQ(space.Touch(0, Access::kRead), "ok");
  EXPECT_EQ(Rights(space), "ww-w");
}

TEST_F(FaultWindowTest, OpensOncePerFault) {
  // The first attempt maps the neighbours, then has to ask the pager; the second maps none.
  Object* file = File(7);
  Space space = NewSpace("...");
  space.Map({.pages = 3, .file = file});
  EXPECT_EQ(space.Read("x.x"), "1.3");
  Forget(space);
  pager().DuringNextGet([&] {
    EXPECT_EQ(Rights(space), "r-r");
    Forget(space);
    EXPECT_TRUE(space->map().SetInherit(Pages(0, 1), base::Inherit::kShare).ok());  // look again
  });
  EXPECT_EQ(space.Touch(1, Access::kRead), "ok");
  EXPECT_EQ(Rights(space), "-r-");
}

TEST_F(FaultWindowTest, SequentialReadersDeactivateWhatTheyPassed) {
  Space space = NewSpace("ABCDEFGHIJ");
  space.Advise(0, 10, Advice::kSequential);
  Forget(space);
  EXPECT_EQ(space.Touch(9, Access::kRead), "ok");
  uvm().DebugPages().FlushIntents();
  EXPECT_EQ(uvm().DebugPages().inactive_count(), PageCount(8));
  EXPECT_EQ(PageStore::QueueOf(ResidentAt(space, 9)), PageQueue::kActive);
  EXPECT_EQ(PageStore::QueueOf(ResidentAt(space, 0)), PageQueue::kActive) << "nine pages back";
  EXPECT_EQ(PageStore::QueueOf(ResidentAt(space, 1)), PageQueue::kInactive);
}

TEST_F(FaultWindowTest, SequentialReadersLeaveAloneWhatIsLent) {
  Space space = NewSpace("ABCD");
  space.Advise(0, 4, Advice::kSequential);
  Loan loan = space.Lend(1, 1);
  uvm().DebugPages().FlushIntents();
  const PageQueue before = PageStore::QueueOf(ResidentAt(space, 1));
  Forget(space);
  EXPECT_EQ(space.Touch(3, Access::kRead), "ok");
  uvm().DebugPages().FlushIntents();
  EXPECT_EQ(PageStore::QueueOf(ResidentAt(space, 0)), PageQueue::kInactive);
  EXPECT_EQ(PageStore::QueueOf(ResidentAt(space, 1)), before);
  EXPECT_NE(before, PageQueue::kInactive);
  EXPECT_EQ(PageStore::QueueOf(ResidentAt(space, 2)), PageQueue::kInactive);
  Return(&loan);
}

TEST_F(FaultWindowTest, SequentialReadersOfFilesToo) {
  Object* file = File(7);
  Space space = NewSpace("....");
  space.Map({.pages = 4, .file = file});
  EXPECT_EQ(space.ReadAll(), "1234");
  space.Advise(0, 4, Advice::kSequential);
  Forget(space);
  EXPECT_EQ(space.Touch(3, Access::kRead), "ok");
  uvm().DebugPages().FlushIntents();
  EXPECT_EQ(uvm().DebugPages().inactive_count(), PageCount(3));
  EXPECT_EQ(Rights(space), "---r");
}

}  // namespace
}  // namespace uvm::testing
