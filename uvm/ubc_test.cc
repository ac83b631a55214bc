#include "uvm/ubc.h"

#include <string>

#include "gtest/gtest.h"
#include "uvm/testing/buffer_peer.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/object_world.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPage = base::kPageSize;

// A letter a page, 4096 times each.
std::string Pages(const std::string& letters) {
  std::string bytes;
  for (char letter : letters) bytes += std::string(kPage, letter == '0' ? '\0' : letter);
  return bytes;
}
std::string Letters(const std::string& bytes) {
  std::string letters;
  for (uint64_t at = 0; at + kPage <= bytes.size(); at += kPage) {
    letters += LetterOfPage(reinterpret_cast<const unsigned char*>(bytes.data()) + at);
  }
  return letters;
}

class UbcTest : public PictureTest {
 protected:
  BufferCache& cache() { return *uvm().Cache(); }
  Object* Open(Store* store, uint64_t key = 1) {
    Object* object = uvm().CreateStoredObject(store, key).value();
    return object;
  }
  std::string Move(Object* object, Uio* uio, uint32_t flags) {
    Result<void, FaultError> moved =
        cache().UioMove(object, uio, uio->resid, Advice::kNormal, flags);
    CheckInvariants();
    return moved.ok() ? "ok" : base::FaultErrorName(moved.error());
  }
  std::string Read(Object* object, uint64_t offset, uint64_t bytes, uint32_t flags = 0) {
    BufferPeer peer;
    Uio uio{&peer, offset, bytes};
    std::string outcome = Move(object, &uio, kUbcRead | flags);
    return outcome == "ok" ? peer.bytes() : outcome;
  }
  std::string ReadPages(Object* object, uint64_t first, uint64_t count, uint32_t flags = 0) {
    std::string bytes = Read(object, first * kPage, count * kPage, flags);
    return bytes.size() < kPage ? bytes : Letters(bytes);
  }
  std::string Write(Object* object, uint64_t offset, const std::string& bytes, uint32_t flags = 0) {
    BufferPeer peer(bytes);
    Uio uio{&peer, offset, bytes.size()};
    return Move(object, &uio, kUbcWrite | flags);
  }
  void Clean(Object* object) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    object->mu.Lock();
    EXPECT_TRUE(
        object->pager()->Put(object, PageIndex(0), PageIndex(0), kPgoCleanIt | kPgoSyncIo).ok());
  }
  std::string States(Object* object, uint64_t pages) {
    std::string picture;
    for (uint64_t i = 0; i < pages; ++i) {
      const Page* page = object->DebugLookup(PageIndex(i));
      picture += page == nullptr                  ? '.'
                 : page->read_only                ? 'r'
                 : page->dirty == Dirty::kClean   ? 'c'
                 : page->dirty == Dirty::kUnknown ? 'u'
                                                  : 'd';
    }
    return picture;
  }
};

TEST_F(UbcTest, ReadsWhatTheObjectHolds) {
  MemoryStore store("abcdef");
  Object* object = Open(&store);
  EXPECT_EQ(ReadPages(object, 1, 3), "bcd");
  EXPECT_EQ(Read(object, 2 * kPage - 2, 4), "bbcc");
  EXPECT_EQ(Read(object, 0, 0), "");
  EXPECT_EQ(States(object, 6), ".ccccc");  // what a window shows comes along
  EXPECT_EQ(Read(object, 6 * kPage, 1), "past_end");
  uvm().ReleaseObject(object);
}

TEST_F(UbcTest, AWindowStaysAndCostsNoSecondFault) {
  MemoryStore store("abcdef");
  Object* object = Open(&store);
  EXPECT_EQ(ReadPages(object, 0, 6), "abcdef");
  const uint64_t faults = uvm().counters().faults;
  EXPECT_EQ(faults, 1u);
  EXPECT_EQ(ReadPages(object, 0, 6), "abcdef");
  EXPECT_EQ(uvm().counters().faults, faults);
  EXPECT_EQ(object->windows, 1u);
  EXPECT_EQ(ReadPages(object, 0, 1, kUbcUnmap), "a");
  EXPECT_EQ(object->windows, 0u);
  EXPECT_EQ(ReadPages(object, 0, 1), "a");
  EXPECT_EQ(uvm().counters().faults, faults + 1);
  uvm().ReleaseObject(object);
}

TEST_F(UbcTest, WritesAreSeenByMappingsAndByTheStore) {
  MemoryStore store("abcd");
  Object* object = Open(&store);
  Space space = NewSpace("....");
  space.Map({.pages = 4, .sharing = Sharing::kShared, .file = object});
  EXPECT_EQ(space.Touch(1, Access::kRead), "ok");
  EXPECT_EQ(Write(object, kPage, Pages("xy")), "ok");
  EXPECT_EQ(Contents(space).substr(1, 2), "xy");
  EXPECT_EQ(States(object, 4), ".dd.");
  space.Write("..z.");
  EXPECT_EQ(ReadPages(object, 0, 4), "axzd");
  Clean(object);
  EXPECT_EQ(store.picture(), "axzd");
  // Clean again means write-protected, in the window too: the next write is noticed.
  EXPECT_EQ(Write(object, kPage, Pages("w")), "ok");
  EXPECT_EQ(States(object, 4).substr(1, 1), "d");
  Clean(object);
  EXPECT_EQ(store.picture(), "awzd");
  space.Exit();
  uvm().ReleaseObject(object);
}

TEST_F(UbcTest, AWriteOfPartOfAPageKeepsTheRest) {
  MemoryStore store("ab");
  Object* object = Open(&store);
  for (uint32_t flags : {0u, static_cast<uint32_t>(kUbcFaultBusy)}) {
    EXPECT_EQ(Write(object, kPage - 2, "xxxx", flags), "ok");
    EXPECT_EQ(Read(object, kPage - 4, 8), "aaxxxxbb");
    EXPECT_EQ(Write(object, kPage - 2, "aabb", flags), "ok");
  }
  uvm().ReleaseObject(object);
}

TEST_F(UbcTest, WholePagesAreWrittenWithoutReadingThem) {
  MemoryStore store(std::string(40, 'a'));
  Object* object = Open(&store);
  EXPECT_EQ(Write(object, 3 * kPage, Pages(std::string(30, 'x')), kUbcFaultBusy), "ok");
  EXPECT_EQ(store.TakeLog(), "");
  EXPECT_EQ(Write(object, 100, Pages("yy").substr(0, kPage + 50), kUbcFaultBusy), "ok");
  EXPECT_EQ(store.TakeLog(), "R0 R1");
  EXPECT_EQ(ReadPages(object, 3, 30), std::string(30, 'x'));
  EXPECT_EQ(Read(object, kPage + 149, 2), "ya");
  uvm().ReleaseObject(object);
}

TEST_F(UbcTest, AWriteThatExtendsSetsTheWriteSizeFirst) {
  MemoryStore store("ab");
  Object* object = Open(&store);
  EXPECT_EQ(Write(object, 2 * kPage, Pages("cd"), kUbcFaultBusy), "past_end");
  uvm().SetStoredWriteSize(object, 4 * kPage);
  EXPECT_EQ(Write(object, 2 * kPage, Pages("cd"), kUbcFaultBusy), "ok");
  EXPECT_TRUE(uvm().SetStoredSize(object, 4 * kPage).ok());
  EXPECT_EQ(ReadPages(object, 0, 4), "abcd");
  uvm().ReleaseObject(object);
  EXPECT_EQ(store.picture(), "abcd");
}

// A page whose old contents nobody read must not stay undefined when the writer's memory is not
// there: it was made for the write.
TEST_F(UbcTest, WhatTheWriterCouldNotSupplyIsZeroed) {
  MemoryStore store("ab");
  Object* object = Open(&store);
  uvm().SetStoredWriteSize(object, 40 * kPage);
  BufferPeer peer(Pages(std::string(36, 'x')));
  peer.FailAfter(3);
  Uio uio{&peer, 2 * kPage, 36 * kPage};
  EXPECT_EQ(Move(object, &uio, kUbcWrite | kUbcFaultBusy), "no_entry");
  EXPECT_EQ(uio.offset, 5 * kPage);
  EXPECT_EQ(uio.resid, 33 * kPage);
  EXPECT_TRUE(uvm().SetStoredSize(object, 38 * kPage).ok());
  EXPECT_EQ(ReadPages(object, 0, 38), "abxxx" + std::string(33, '0'));
  uvm().ReleaseObject(object);
}

TEST_F(UbcTest, ButWhatWasThereStays) {
  MemoryStore store("abcd");
  Object* object = Open(&store);
  EXPECT_EQ(ReadPages(object, 0, 4), "abcd");
  BufferPeer peer(Pages("xxxx"));
  peer.FailAfter(1);
  Uio uio{&peer, 0, 4 * kPage};
  EXPECT_EQ(Move(object, &uio, kUbcWrite | kUbcFaultBusy), "no_entry");
  EXPECT_EQ(ReadPages(object, 0, 4), "xbcd");
  uvm().ReleaseObject(object);
}

TEST_F(UbcTest, APartialTransferSaysHowFarItCame) {
  MemoryStore store("abcd");
  Object* object = Open(&store);
  BufferPeer peer(Pages("xxxx"));
  peer.FailAfter(2);
  Uio uio{&peer, 0, 4 * kPage};
  EXPECT_EQ(Move(object, &uio, kUbcWrite | kUbcFaultBusy | kUbcPartialOk), "no_entry");
  EXPECT_EQ(uio.offset, 2 * kPage);
  EXPECT_EQ(ReadPages(object, 0, 4), "xxcd");
  BufferPeer taker;
  taker.FailAfter(1);
  Uio read{&taker, 0, 4 * kPage};
  EXPECT_EQ(Move(object, &read, kUbcRead | kUbcPartialOk), "no_entry");
  EXPECT_EQ(read.offset, kPage);
  uvm().ReleaseObject(object);
}

TEST_F(UbcTest, ErrorsOfTheStoreReachTheCaller) {
  MemoryStore store("abcd");
  Object* object = Open(&store);
  store.Fail(2);
  EXPECT_EQ(ReadPages(object, 2, 1), "io");
  EXPECT_EQ(Write(object, 2 * kPage + 1, "x"), "io");
  EXPECT_EQ(Write(object, 2 * kPage + 1, "x", kUbcFaultBusy), "io");
  EXPECT_EQ(Write(object, 2 * kPage, Pages("x"), kUbcFaultBusy), "ok");
  EXPECT_EQ(ReadPages(object, 2, 1), "x");
  store.Heal();
  uvm().ReleaseObject(object);
  EXPECT_EQ(store.picture(), "abxd");
}

TEST_F(UbcTest, ZeroRangeKeepsWhatLiesOutside) {
  MemoryStore store(std::string(20, 'a'));
  Object* object = Open(&store);
  EXPECT_TRUE(cache().ZeroRange(object, kPage + 1, 17 * kPage, 0).ok());
  CheckInvariants();
  EXPECT_EQ(Read(object, kPage, 2), std::string("a\0", 2));
  EXPECT_EQ(ReadPages(object, 2, 16), std::string(16, '0'));
  EXPECT_EQ(Read(object, 18 * kPage, 2), std::string("\0a", 2));
  uvm().ReleaseObject(object);
}

TEST_F(UbcTest, WindowsAreReusedOldestFirst) {
  BufferCache small(uvm().Kernel(), const_cast<ObjectStore*>(&uvm().DebugObjects()));
  ASSERT_TRUE(small.Init(2));
  MemoryStore store(std::string(64, 'a'));
  Object* object = Open(&store);
  auto read = [&](uint64_t page) {
    BufferPeer peer;
    Uio uio{&peer, page * kPage, 1};
    EXPECT_TRUE(small.UioMove(object, &uio, 1, Advice::kNormal, kUbcRead).ok());
    return uvm().counters().faults;
  };
  EXPECT_EQ(read(0), 1u);
  EXPECT_EQ(read(16), 2u);
  EXPECT_EQ(read(0), 2u);
  EXPECT_EQ(read(32), 3u);  // takes the window of page 16
  EXPECT_EQ(read(0), 3u);
  EXPECT_EQ(read(16), 4u);
  EXPECT_EQ(object->windows, 2u);
  uvm().ReleaseObject(object);  // purges them
  char buffer[100];
  base::TextSink text(buffer, sizeof buffer);
  EXPECT_TRUE(small.ValidWindows(&text)) << buffer;
}

TEST_F(UbcTest, TruncationTakesPagesOutOfWindows) {
  MemoryStore store("abcd");
  Object* object = Open(&store);
  EXPECT_EQ(ReadPages(object, 0, 4), "abcd");
  EXPECT_TRUE(uvm().SetStoredSize(object, kPage).ok());
  CheckInvariants();
  EXPECT_EQ(ReadPages(object, 1, 1), "past_end");
  uvm().ReleaseObject(object);
}

TEST_F(UbcTest, AForgetfulPmapCostsFaultsAndNothingElse) {
  MemoryStore store(std::string(8, 'a'));
  Object* object = Open(&store);
  ForgetAtRandom(5);
  std::string model(8, 'a');
  for (int round = 0; round < 60; ++round) {
    const uint64_t page = static_cast<uint64_t>(round * 5) % 8;
    model[page] = static_cast<char>('b' + round % 20);
    EXPECT_EQ(Write(object, page * kPage, Pages(std::string(1, model[page])),
                    round % 3 == 0 ? uint32_t{kUbcFaultBusy} : 0),
              "ok");
    if (round % 7 == 0) Clean(object);
    EXPECT_EQ(ReadPages(object, 0, 8), model);
  }
  uvm().ReleaseObject(object);
  EXPECT_EQ(store.picture(), model);
}

TEST_F(UbcTest, LentPagesAreNotWritten) {
  MemoryStore store("ab");
  Object* object = Open(&store);
  EXPECT_EQ(ReadPages(object, 0, 2), "ab");
  Page* lent[2];
  for (uint64_t i = 0; i < 2; ++i) {
    lent[i] = const_cast<Page*>(object->DebugLookup(PageIndex(i)));
    MutexLock lock(&object->mu);
    uvm().DebugPages().Lend(lent[i], nullptr);
  }
  EXPECT_EQ(Write(object, 5, "xx"), "ok");
  EXPECT_EQ(Write(object, kPage, Pages("y"), kUbcFaultBusy), "ok");
  EXPECT_EQ(LetterOfPage(uvm().DebugPages().Contents(lent[0])), 'a');
  EXPECT_EQ(LetterOfPage(uvm().DebugPages().Contents(lent[1])), 'b');
  EXPECT_EQ(Read(object, 4, 4), "axxa");
  EXPECT_EQ(ReadPages(object, 1, 1), "y");
  for (Page* page : lent) uvm().DebugPages().ReturnLoan(page);
  uvm().ReleaseObject(object);
}

// ---- Several threads ----

TEST(UbcThreadsTest, AWriterHasItsWindowToItself) {
  BatonThreads threads;
  World world(64, &threads);
  MemoryStore store("abcd");
  Object* object = world.uvm().CreateStoredObject(&store, 1).value();
  BufferCache& cache = *world.uvm().Cache();
  BufferPeer reader, later;
  reader.BeforeMoves([&] {
    threads.Log("reading");
    threads.Yield();
  });
  threads.Add([&] {
    Uio uio{&reader, 0, kPage};
    EXPECT_TRUE(cache.UioMove(object, &uio, kPage, Advice::kNormal, kUbcRead).ok());
    threads.Log("read");
  });
  threads.Add([&] {
    BufferPeer writer(Pages("xxxx"));
    Uio uio{&writer, 0, 4 * kPage};
    EXPECT_TRUE(
        cache.UioMove(object, &uio, 4 * kPage, Advice::kNormal, kUbcWrite | kUbcFaultBusy).ok());
    threads.Log("written");
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "reading read written");
  EXPECT_EQ(Letters(reader.bytes()), "a");
  Uio uio{&later, 0, 4 * kPage};
  EXPECT_TRUE(cache.UioMove(object, &uio, 4 * kPage, Advice::kNormal, kUbcRead).ok());
  EXPECT_EQ(Letters(later.bytes()), "xxxx");
  world.uvm().ReleaseObject(object);
}

}  // namespace
}  // namespace uvm::testing
