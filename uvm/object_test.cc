#include "uvm/object.h"

#include <string>
#include <vector>

#include "base/addr.h"
#include "base/pattern.h"
#include "gtest/gtest.h"
#include "uvm/lock.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"
#include "uvm/testing/pattern_pager.h"

namespace uvm {
namespace {

class ObjectTest : public ::testing::Test {
 protected:
  Page* AddPage(Object* object, uint64_t index) {
    MutexLock lock(&object->mu);
    Page* page = pages_.AllocateForObject(object, PageIndex(index));
    page->busy = BusyReason::kNotBusy;
    object->Insert(page);
    return page;
  }

  // An object with `key` whose pages pager_ stores.
  Object* Create(uint64_t key) {
    Object* object = objects_.Create(&stored_, key);
    if (object != nullptr) {
      EXPECT_TRUE(stored_.Attach(object, &pager_));
    }
    return object;
  }

  testing::NaivePmap pmap_{16};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  ObjectStore objects_{&core_, &pages_};
  StoredPager stored_{&core_, &pages_};
  testing::PatternPager pager_;
};

TEST_F(ObjectTest, IsBornEmptyWithOneReference) {
  Object* object = Create(42);
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(object->key(), 42u);
  EXPECT_EQ(object->pager(), &stored_);
  EXPECT_EQ(object->DebugRefs(), 1u);
  EXPECT_EQ(object->DebugPageCount(), 0u);
  EXPECT_EQ(object->DebugFirstPage(), nullptr);
  EXPECT_EQ(objects_.DebugAll().size(), 1u);
}

TEST_F(ObjectTest, PagesAreFoundByIndexAndWalkedInOrder) {
  Object* object = Create(1);
  std::vector<Page*> added;
  for (uint64_t index : {9, 2, 7, 0, 4}) added.push_back(AddPage(object, index));
  std::string order;
  for (Page* page = object->DebugFirstPage(); page != nullptr; page = Object::DebugNextPage(page)) {
    order += std::to_string(page->index.value());
  }
  EXPECT_EQ(order, "02479");
  EXPECT_EQ(object->DebugLookup(PageIndex(7)), added[2]);
  EXPECT_EQ(object->DebugLookup(PageIndex(3)), nullptr);
  EXPECT_EQ(object->DebugLookup(PageIndex(uint64_t{1} << 51)), nullptr);
  {
    MutexLock lock(&object->mu);
    object->Remove(added[2]);
    EXPECT_EQ(object->Lookup(PageIndex(7)), nullptr);
    EXPECT_EQ(object->Lookup(PageIndex(9)), added[0]);
  }
  EXPECT_EQ(object->DebugPageCount(), 4u);
}

TEST_F(ObjectTest, TheLastReferenceFreesThePagesAndTellsThePager) {
  Object* object = Create(5);
  AddPage(object, 0);
  AddPage(object, 3);
  objects_.Reference(object);
  objects_.Release(object);
  EXPECT_TRUE(pager_.detached().empty());
  EXPECT_EQ(core_.counters.frames_in_use, 2u);
  objects_.Release(object);
  EXPECT_EQ(pager_.detached(), std::vector<uint64_t>{5});
  EXPECT_EQ(core_.counters.frames_in_use, 0u);
  EXPECT_TRUE(objects_.DebugAll().empty());
}

TEST_F(ObjectTest, IdsAreStableAndNotReused) {
  Object* first = Create(1);
  EXPECT_EQ(first->id, 1u);
  objects_.Release(first);
  EXPECT_EQ(Create(1)->id, 2u);
}

// Layered ones, like a file and what lies over it. The lock outlives whoever goes first.
TEST_F(ObjectTest, ObjectsMayBeLockedAsOne) {
  Object* below = Create(1);
  Object* above = objects_.CreateSharingLock(&stored_, 2, below);
  ASSERT_TRUE(stored_.Attach(above, &pager_));
  EXPECT_EQ(&above->mu, &below->mu);
  AddPage(below, 0);
  AddPage(above, 0);
  {
    MutexLock lock(&below->mu);
    above->mu.AssertHeld();
    EXPECT_NE(above->Lookup(PageIndex(0)), below->Lookup(PageIndex(0)));
  }
  Object* third = objects_.CreateSharingLock(&stored_, 3, above);
  ASSERT_TRUE(stored_.Attach(third, &pager_));
  objects_.Release(below);
  objects_.Release(above);
  EXPECT_EQ(pager_.detached(), (std::vector<uint64_t>{1, 2}));
  AddPage(third, 5);
  Object* stranger = Create(4);
  EXPECT_NE(&third->mu, &stranger->mu);  // the lock has not been given to somebody else
  objects_.Release(third);
  objects_.Release(stranger);
  EXPECT_EQ(pages_.free_count(), pages_.total());
}

TEST_F(ObjectTest, RunningOutOfMemoryIsANullPointer) {
  memory_.FailAfter(0);
  EXPECT_EQ(objects_.Create(&stored_, 1), nullptr);
  EXPECT_TRUE(objects_.DebugAll().empty());
}

TEST_F(ObjectTest, ThePatternPagerFillsWithFileBytesAndFailsOnDemand) {
  Object* object = Create(99);
  std::vector<unsigned char> bytes(base::kPageSize);
  pager_.FailOnce(2, PagerError::kIo);
  EXPECT_TRUE(pager_.ReadPage(object, PageIndex(1), bytes.data()).ok());
  for (uint64_t i = 0; i < base::kPageSize; ++i) {
    ASSERT_EQ(bytes[i], base::FileByte(99, base::kPageSize + i));
  }
  EXPECT_EQ(pager_.ReadPage(object, PageIndex(2), bytes.data()), PagerError::kIo);
  EXPECT_TRUE(pager_.ReadPage(object, PageIndex(2), bytes.data()).ok());
}

using ObjectDeathTest = ObjectTest;

// Whoever made it busy, a device's transfer say, is still at work on its frame.
TEST_F(ObjectDeathTest, APageThatIsBusyIsWaitedForBeforeItsObjectGoes) {
  Object* object = Create(1);
  AddPage(object, 0)->busy = BusyReason::kPagein;
  EXPECT_DEATH(objects_.Destroy(object), "would wait for ever");
}

TEST_F(ObjectDeathTest, AnObjectWithoutAPagerDies) {
  EXPECT_DEATH(objects_.Create(nullptr, 1), "pager");
}

}  // namespace
}  // namespace uvm
