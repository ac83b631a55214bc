#include "vmserver/files.h"

#include <algorithm>
#include <vector>

#include "base/addr.h"
#include "base/pattern.h"
#include "gtest/gtest.h"
#include "uvm/pager.h"
#include "uvm/testing/object_world.h"

namespace vmserver {
namespace {

using base::PageIndex;
using Bytes = std::vector<unsigned char>;

class FilesTest : public ::testing::Test, public uvm::testing::ObjectWorld {
 protected:
  uvm::Object* Open(uint64_t key) { return Stored(&store_, key); }
  Bytes Read(uvm::Object* object, uint64_t page) {
    Bytes bytes(base::kPageSize);
    EXPECT_TRUE(store_.ReadPage(object, PageIndex(page), bytes.data()).ok());
    return bytes;
  }
  static Bytes MadeUp(uint64_t key, uint64_t page) {
    Bytes bytes(base::kPageSize);
    base::FillFile(key, page * base::kPageSize, bytes.data(), base::kPageSize);
    return bytes;
  }

  FileStore store_{&memory_, &threads_};
};

TEST_F(FilesTest, APageIsMadeUpUntilItIsWritten) {
  uvm::Object* file = Open(7);
  uvm::Object* other = Open(8);
  EXPECT_EQ(Read(file, 3), MadeUp(7, 3));
  Bytes fresh(base::kPageSize, 'x');
  EXPECT_TRUE(store_.WritePage(file, PageIndex(3), fresh.data()).ok());
  EXPECT_EQ(Read(file, 3), fresh);
  EXPECT_EQ(Read(file, 2), MadeUp(7, 2));
  EXPECT_EQ(Read(file, 4), MadeUp(7, 4));
  EXPECT_EQ(Read(other, 3), MadeUp(8, 3));
  Bytes again(base::kPageSize, 'y');
  EXPECT_TRUE(store_.WritePage(file, PageIndex(3), again.data()).ok());
  EXPECT_EQ(Read(file, 3), again);
}

TEST_F(FilesTest, WhatWasWrittenOutlivesTheObject) {
  uvm::Object* file = Open(7);
  ObjectWorld::Write(file, 1, 'w');
  objects_.Release(file);
  EXPECT_EQ(Read(Open(7), 1), Bytes(base::kPageSize, 'w'));
}

TEST_F(FilesTest, WhatWasCutOffIsZeroesForEver) {
  uvm::Object* file = Open(7);
  for (uint64_t page : {1, 2, 5}) {
    Bytes fresh(base::kPageSize, 'x');
    EXPECT_TRUE(store_.WritePage(file, PageIndex(page), fresh.data()).ok());
  }
  ASSERT_TRUE(store_.PrepareCut(7));
  store_.Cut(7, 2 * base::kPageSize + 100);
  const Bytes zeroes(base::kPageSize);
  Bytes last(base::kPageSize);
  std::fill_n(last.begin(), 100, 'x');
  EXPECT_EQ(Read(file, 0), MadeUp(7, 0));
  EXPECT_EQ(Read(file, 1), Bytes(base::kPageSize, 'x'));
  EXPECT_EQ(Read(file, 2), last);
  EXPECT_EQ(Read(file, 3), zeroes);
  EXPECT_EQ(Read(file, 5), zeroes);
  EXPECT_EQ(Read(Open(8), 3), MadeUp(8, 3));
  // Later cuts further up bring nothing back; one inside a made-up page leaves the rest of it.
  store_.Cut(7, 9 * base::kPageSize);
  EXPECT_EQ(Read(file, 3), zeroes);
  store_.Cut(7, 50);
  Bytes first = MadeUp(7, 0);
  std::fill(first.begin() + 50, first.end(), '\0');
  EXPECT_EQ(Read(file, 0), first);
  EXPECT_EQ(Read(file, 1), zeroes);
  unsigned char some[8];
  store_.DebugRead(7, 46, 8, some);
  EXPECT_EQ(Bytes(some, some + 8), Bytes(first.begin() + 46, first.begin() + 54));
}

TEST_F(FilesTest, ATruncationNeedsRoomForItsRecord) {
  memory_.FailAfter(0);
  EXPECT_FALSE(store_.PrepareCut(7));
}

TEST_F(FilesTest, WithoutRoomForAPageTheOldContentsStay) {
  uvm::Object* file = Open(7);
  Bytes fresh(base::kPageSize, 'x');
  memory_.FailAfter(0);
  EXPECT_EQ(store_.WritePage(file, PageIndex(0), fresh.data()), uvm::PagerError::kNoMemory);
  EXPECT_EQ(Read(file, 0), MadeUp(7, 0));
}

TEST_F(FilesTest, ATableHasOneObjectAKey) {
  FileTable table(&memory_, &threads_);
  EXPECT_EQ(table.Find(5), nullptr);
  uvm::Object* object = Open(5);
  File* file = table.Add(5, object);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(table.Find(5), file);
  EXPECT_EQ(file->object, object);
  EXPECT_EQ(table.Find(4), nullptr);
}

}  // namespace
}  // namespace vmserver
