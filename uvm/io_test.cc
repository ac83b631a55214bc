#include "uvm/io.h"

#include <string>

#include "gtest/gtest.h"
#include "uvm/testing/buffer_peer.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPage = base::kPageSize;

class SpaceIoTest : public PictureTest {
 protected:
  void TearDown() override {
    EXPECT_EQ(uvm().Kernel()->map()->size_bytes(), 0u);
    PictureTest::TearDown();
  }
  std::string Io(const Space& space, Uio* uio, Access access, uint32_t flags = 0) {
    Result<void, MapError> moved = io_.Io(&space->map(), uio, access, flags);
    CheckInvariants();
    return moved.ok() ? "ok" : base::MapErrorName(moved.error());
  }
  std::string Read(const Space& space, Vaddr at, uint64_t bytes, uint32_t flags = 0) {
    BufferPeer peer;
    Uio uio{&peer, at.value(), bytes};
    std::string outcome = Io(space, &uio, Access::kRead, flags);
    return outcome == "ok" ? peer.bytes() : outcome;
  }
  std::string Write(const Space& space, Vaddr at, const std::string& bytes, uint32_t flags = 0) {
    BufferPeer peer(bytes);
    Uio uio{&peer, at.value(), bytes.size()};
    return Io(space, &uio, Access::kWrite, flags);
  }
  SpaceIo io_{uvm().Kernel()};
};

TEST_F(SpaceIoTest, ReadsAndWritesAnotherSpace) {
  Space space = NewSpace("ab0d");
  EXPECT_EQ(Read(space, PageAt(1) - 2, 4), "aabb");
  EXPECT_EQ(Read(space, PageAt(2), 2), std::string(2, '\0'));
  EXPECT_EQ(Write(space, PageAt(3) - 1, "xy"), "ok");
  EXPECT_EQ(Read(space, PageAt(3) - 2, 4), std::string("\0xyd", 4));
  EXPECT_EQ(space.Read("x"), "a");
}

TEST_F(SpaceIoTest, LargeTransfersGoChunkByChunk) {
  Space space = NewSpace(std::string(20, 'a') + std::string(20, 'b'));
  std::string bytes = Read(space, PageAt(0) + 7, 40 * kPage - 7);
  EXPECT_EQ(bytes, std::string(20 * kPage - 7, 'a') + std::string(20 * kPage, 'b'));
  EXPECT_EQ(Write(space, PageAt(1) + 3, std::string(30 * kPage, 'x')), "ok");
  EXPECT_EQ(Contents(space), "a#" + std::string(29, 'x') + "#" + std::string(8, 'b'));
}

// Writing goes to the space's own copy, as its own writes would.
TEST_F(SpaceIoTest, CopyOnWriteHoldsForDebuggersToo) {
  Object* file = File(1);
  Space space = NewSpace("aa..");
  space.Map({.at = 2, .pages = 2, .file = file});
  Space child = space.Fork();
  EXPECT_EQ(Write(child, PageAt(1), std::string(2 * kPage, 'x')), "ok");
  EXPECT_EQ(Contents(space, child), "aa12|axx2");
  EXPECT_EQ(file->DebugPageCount(), 1u);
}

TEST_F(SpaceIoTest, MaximumRightsCount) {
  Space space = NewSpace("ab");
  space.Protect(0, 1, base::kProtRead);
  EXPECT_EQ(Write(space, PageAt(0), "x"), "ok");
  EXPECT_EQ(space.TryProtect(0, 1, base::kProtRead, SetMax::kYes), "ok");
  EXPECT_EQ(Write(space, PageAt(0), "y"), "protection");
  EXPECT_EQ(Write(space, PageAt(0), "z", Map::kExtractProtAll), "ok");
  EXPECT_EQ(Read(space, PageAt(0), 2), "za");
  space.Protect(1, 1, base::kProtNone);
  EXPECT_EQ(Read(space, PageAt(1), 1), "b");
}

// Being looked at makes no memory shared: what only private memory does still works.
TEST_F(SpaceIoTest, LeavesNoTrace) {
  Space space = NewSpace("ab");
  EXPECT_EQ(Read(space, PageAt(0), 1), "a");
  EXPECT_EQ(Write(space, PageAt(0), "x"), "ok");
  Map::Region region;
  ASSERT_TRUE(space->map().FindRegion(PageAt(0), &region));
  EXPECT_FALSE(region.shared);
}

TEST_F(SpaceIoTest, TheEdgesOfTheSpace) {
  Space space = NewSpace("ab");
  BufferPeer peer;
  Uio beyond{&peer, PageAt(2).value(), 10};
  EXPECT_EQ(Io(space, &beyond, Access::kRead), "ok");
  EXPECT_EQ(beyond.resid, 10u);
  for (uint64_t page : {3, 1000}) {
    Uio far{&peer, PageAt(page).value(), 10};
    EXPECT_EQ(Io(space, &far, Access::kRead), "ok") << page;
    EXPECT_EQ(far.resid, 10u) << page;
  }
  Uio cut{&peer, (PageAt(2) - 3).value(), 10};
  EXPECT_EQ(Io(space, &cut, Access::kRead), "ok");
  EXPECT_EQ(cut.resid, 7u);
  EXPECT_EQ(peer.bytes(), "bbb");
  EXPECT_EQ(Read(space, PageAt(0), 0), "");
  Uio wraps{&peer, 5, ~uint64_t{0}};
  EXPECT_EQ(Io(space, &wraps, Access::kRead), "io");
}

TEST_F(SpaceIoTest, AHoleEndsTheTransfer) {
  Space space = NewSpace(std::string(16, 'a') + ".b");
  BufferPeer peer;
  Uio uio{&peer, PageAt(0).value(), 18 * kPage};
  EXPECT_EQ(Io(space, &uio, Access::kRead), "invalid_argument");
  EXPECT_EQ(uio.resid, 2 * kPage);
  EXPECT_EQ(Read(space, PageAt(16), 1), "invalid_argument");
  Uio early{&peer, PageAt(3).value(), 18 * kPage};
  EXPECT_EQ(Io(space, &early, Access::kRead), "invalid_argument");
  EXPECT_EQ(early.offset, PageAt(16).value());
}

TEST_F(SpaceIoTest, AStoreThatFailsEndsItToo) {
  Object* file = File(1);
  Space space = NewSpace("....");
  space.Map({.pages = 4, .file = file});
  pager().FailOnce(2, PagerError::kIo);
  BufferPeer peer;
  Uio uio{&peer, PageAt(1).value(), 3 * kPage};
  EXPECT_EQ(Io(space, &uio, Access::kRead), "io");
  EXPECT_EQ(uio.resid, 2 * kPage);
  peer.FailAfter(0);
  EXPECT_EQ(Io(space, &uio, Access::kRead), "hole");
}

// A shortage that comes after the peer gave its bytes: they are not left out of what follows.
TEST_F(SpaceIoTest, BytesThatCannotBePutAreNotPassedOver) {
  int failed = 0;
  for (uint64_t successes = 0; successes < 3; ++successes) {
    Space space = NewSpace("ab");
    pmap().FailEnterAfter(successes);
    BufferPeer peer(std::string(kPage, 'x') + std::string(5 * kPage, 'y'));
    Uio uio{&peer, PageAt(0).value(), 2 * kPage};
    if (Io(space, &uio, Access::kWrite) != "ok") ++failed;
    const uint64_t moved = 2 - uio.resid / kPage;
    EXPECT_EQ(Contents(space), std::string("xy").substr(0, moved) + std::string("ab").substr(moved))
        << successes;
    space.Exit();
  }
  EXPECT_GT(failed, 0);
}

// Where there is no room for a whole chunk, smaller ones do.
TEST_F(SpaceIoTest, AShortageOfKernelAddressesMakesChunksSmaller) {
  Space space = NewSpace(std::string(16, 'a'));
  Map* map = uvm().Kernel()->map();
  const uint64_t all = map->max() - map->min();
  Map::EnterOptions most;
  most.at = map->min();
  most.size = all - 2 * kPage;
  most.where = Map::Where::kFixed;
  most.flags = kEnterBare | kEnterNoMerge;
  ASSERT_TRUE(map->Enter(most).ok());
  EXPECT_EQ(Read(space, PageAt(0), 16 * kPage), std::string(16 * kPage, 'a'));
  most.at = map->max() - 2 * kPage;
  most.size = 2 * kPage;
  ASSERT_TRUE(map->Enter(most).ok());
  EXPECT_EQ(Read(space, PageAt(0), kPage), "no_space");
  EXPECT_TRUE(map->Unmap({map->min(), map->max()}).ok());
}

TEST_F(SpaceIoTest, ALockedRangeStaysWhateverItsOwnerDoes) {
  Space space = NewSpace("abc");
  Result<Vaddr, MapError> at =
      io_.MapLocked(&space->map(), PageAt(0) + 10, 2 * kPage, Access::kWrite);
  CheckInvariants();
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(at.value().Offset(), 10u);
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(3));
  std::string bytes(2 * kPage, 'x');
  auto* data = reinterpret_cast<unsigned char*>(bytes.data());
  EXPECT_TRUE(uvm().Kernel()->Copy(at.value(), data, bytes.size(), Access::kWrite).ok());
  EXPECT_EQ(Contents(space), "#x#");
  Space child = space.Fork();
  EXPECT_EQ(Contents(child), "#x#");
  bytes.assign(2 * kPage, 'y');
  EXPECT_TRUE(uvm().Kernel()->Copy(at.value(), data, bytes.size(), Access::kWrite).ok());
  EXPECT_EQ(Contents(space, child), "#y#|#x#");
  space.Unmap(0, 3);
  EXPECT_TRUE(uvm().Kernel()->Copy(at.value(), data, bytes.size(), Access::kRead).ok());
  EXPECT_EQ(bytes, std::string(2 * kPage, 'y'));
  io_.UnmapLocked(at.value(), 2 * kPage);
  CheckInvariants();
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(0));
}

// A page of a file that only debuggers may write to gets its copy while it is locked.
TEST_F(SpaceIoTest, WhatCoversALockedPageCoversTheCopyThatReplacesIt) {
  Object* file = File(1);
  Space space = NewSpace("..");
  space.Map({.pages = 2, .prot = base::kProtRead, .max_prot = base::kProtRead, .file = file});
  Result<Vaddr, MapError> at = io_.MapLocked(&space->map(), PageAt(0), 2 * kPage, Access::kRead);
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(2));
  EXPECT_EQ(Write(space, PageAt(0), std::string(kPage, 'x'), Map::kExtractProtAll), "ok");
  EXPECT_EQ(Contents(space), "x2");
  unsigned char byte = 0;
  EXPECT_TRUE(uvm().Kernel()->Copy(at.value(), &byte, 1, Access::kRead).ok());
  EXPECT_EQ(byte, 'x');
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(2));
  CheckInvariants();
  io_.UnmapLocked(at.value(), 2 * kPage);
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(0));
}

TEST_F(SpaceIoTest, LockingAsksForTheRights) {
  Space space = NewSpace("ab.");
  space.Protect(1, 1, base::kProtRead);
  Map* map = &space->map();
  EXPECT_EQ(io_.MapLocked(map, PageAt(0), 2 * kPage, Access::kWrite), MapError::kProtection);
  EXPECT_EQ(io_.MapLocked(map, PageAt(1), 2 * kPage, Access::kRead), MapError::kInvalidArgument);
  EXPECT_EQ(io_.MapLocked(map, PageAt(1), ~uint64_t{0}, Access::kRead), MapError::kOutOfRange);
  Result<Vaddr, MapError> at = io_.MapLocked(map, PageAt(0), 2 * kPage, Access::kRead);
  ASSERT_TRUE(at.ok());
  io_.UnmapLocked(at.value(), 2 * kPage);
}

// Of 64 frames a third may be wired, by whomever: the others are for everybody's faults.
TEST_F(SpaceIoTest, NoMoreIsLockedThanMayBeWired) {
  Space space = NewSpace(std::string(30, 'a'));
  Map* map = &space->map();
  EXPECT_EQ(io_.MapLocked(map, PageAt(0), 22 * kPage, Access::kRead), MapError::kNoMemory);
  Result<Vaddr, MapError> at = io_.MapLocked(map, PageAt(0), 21 * kPage, Access::kRead);
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(io_.MapLocked(map, PageAt(25), kPage, Access::kRead), MapError::kNoMemory);
  io_.UnmapLocked(at.value(), 21 * kPage);
  EXPECT_EQ(space.ReadAll(), std::string(30, 'a'));
}

}  // namespace
}  // namespace uvm::testing
