#include "uvm/pager_map.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPage = base::kPageSize;

// Pages of the kernel's own stand for the busy pages of a transfer.
struct Pages {
  Pages(KernelMemory* km, uint32_t count) : kernel(km) {
    for (uint32_t i = 0; i < count; ++i) list.push_back(km->AllocateFrame());
  }
  ~Pages() {
    for (Page* page : list) kernel->FreeFrame(page);
  }
  KernelMemory* kernel;
  std::vector<Page*> list;
};

class PagerMapTest : public PictureTest {
 protected:
  KernelMemory* km() { return uvm().Kernel(); }
};

TEST_F(PagerMapTest, PagesAreShownSideBySideAndTakenAway) {
  PagerMap map(km());
  Pages pages(km(), 3);
  Vaddr at = map.MapIn(pages.list.data(), 3, kMapInRead);
  EXPECT_TRUE(map.map()->min() <= at && at < map.map()->max());
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(map.PageAt(at + i * kPage), pages.list[i]);
  EXPECT_EQ(pmap().RightsAt(pmap().Kernel(), at), base::kProtReadWrite);
  CheckInvariants();
  map.MapOut(at, 3);
  EXPECT_EQ(map.PageAt(at), nullptr);
  at = map.MapIn(pages.list.data(), 1, 0);
  EXPECT_EQ(pmap().RightsAt(pmap().Kernel(), at), base::kProtRead);
  map.MapOut(at, 1);
}

TEST_F(PagerMapTest, OnlyThePagedaemonGetsTheLastWindow) {
  PagerMap map(km());
  Pages pages(km(), 1);
  std::vector<Vaddr> windows;
  for (;;) {
    Vaddr at = map.MapIn(pages.list.data(), 1, 0);
    if (at == Vaddr(0)) break;
    windows.push_back(at);
  }
  EXPECT_EQ(windows.size(), PagerMap::kBytes / kPage - PagerMap::kMaxPages);
  Vaddr emergency = map.MapIn(pages.list.data(), 1, kMapInDaemon);
  EXPECT_NE(emergency, Vaddr(0));
  EXPECT_EQ(map.MapIn(pages.list.data(), 1, kMapInDaemon), Vaddr(0));
  map.MapOut(emergency, 1);
  EXPECT_EQ(map.MapIn(pages.list.data(), 1, kMapInDaemon), emergency);
  map.MapOut(emergency, 1);
  for (Vaddr at : windows) map.MapOut(at, 1);
  Vaddr ordinary = map.MapIn(pages.list.data(), 1, kMapInDaemon);
  EXPECT_NE(ordinary, emergency);
  map.MapOut(ordinary, 1);
}

TEST(PagerMapThreadsTest, WhoMayWaitDoes) {
  BatonThreads threads;
  World world(16, &threads);
  KernelMemory* km = world.uvm().Kernel();
  PagerMap map(km);
  Pages pages(km, 1);
  std::vector<Vaddr> windows;
  threads.Add([&] {
    while (true) {
      Vaddr at = map.MapIn(pages.list.data(), 1, 0);
      if (at == Vaddr(0)) break;
      windows.push_back(at);
    }
    Vaddr emergency = map.MapIn(pages.list.data(), 1, kMapInDaemon);
    threads.Yield();
    threads.Log("out");
    map.MapOut(windows.back(), 1);
    map.MapOut(emergency, 1);
  });
  threads.Add([&] {
    EXPECT_NE(map.MapIn(pages.list.data(), 1, kMapInWaitOk), Vaddr(0));
    threads.Log("in");
  });
  threads.Add([&] {
    EXPECT_NE(map.MapIn(pages.list.data(), 1, kMapInWaitOk | kMapInDaemon), Vaddr(0));
    threads.Log("emergency");
  });
  threads.Run();
  EXPECT_EQ(threads.log().substr(0, 3), "out");
  EXPECT_NE(threads.log().find("in"), std::string::npos);
  EXPECT_NE(threads.log().find("emergency"), std::string::npos);
}

}  // namespace
}  // namespace uvm::testing
