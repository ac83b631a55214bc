#include "uvm/page_object.h"

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/lock.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

// A pager that wants to hear of the first write.
class WatchfulPager final : public Pager {
 public:
  Result<void, PagerError> Get(Object*, GetRequest*) override { return PagerError::kIo; }
  Result<void, PagerError> Put(Object*, PageIndex, PageIndex, uint32_t) override { return {}; }
  void Detach(Object*) override {}
  void MarkDirty(Object*) override { ++told; }
  bool NeedsWriteFault(const Object*) const override { return told == 0; }
  int told = 0;
};

class PageObjectTest : public ::testing::Test {
 protected:
  PageObjectTest() : object_(objects_.Create(&pager_, 1)), other_(objects_.Create(&pager_, 2)) {}
  ~PageObjectTest() override {
    objects_.Destroy(object_);
    objects_.Destroy(other_);
    EXPECT_EQ(core_.counters.frames_in_use, 0u);
  }
  Page* AddPage(Object* object, uint64_t index) {
    MutexLock lock(&object->mu);
    Page* page = pages_.AllocateForObject(object, PageIndex(index));
    object->Insert(page);
    object->Unbusy(&pages_, page);
    return page;
  }

  testing::NaivePmap pmap_{8};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  ObjectStore objects_{&core_, &pages_};
  WatchfulPager pager_;
  PageObjects page_objects_{&core_};
  Object* object_;
  Object* other_;
};

TEST_F(PageObjectTest, ThePagerHearsOfTheFirstPageThatMayBeDirty) {
  Page* page = AddPage(object_, 3);
  EXPECT_TRUE(page_objects_.IsReadOnly(page));
  MutexLock lock(&object_->mu);
  page_objects_.MarkDirty(page, Dirty::kUnknown);
  page_objects_.MarkDirty(page, Dirty::kDirty);
  EXPECT_EQ(pager_.told, 1);
  EXPECT_EQ(page->dirty, Dirty::kDirty);
  EXPECT_FALSE(page_objects_.IsReadOnly(page));
  page->read_only = true;
  EXPECT_TRUE(page_objects_.IsReadOnly(page));
}

TEST_F(PageObjectTest, PagesOfAnonsHaveNobodyToTell) {
  Anon* const anon = reinterpret_cast<Anon*>(&pager_);  // nobody looks inside
  Page* page = pages_.AllocateForAnon(anon);
  page_objects_.MarkDirty(page, Dirty::kUnknown);
  EXPECT_EQ(page->dirty, Dirty::kUnknown);
  EXPECT_EQ(pager_.told, 0);
  EXPECT_FALSE(page_objects_.IsReadOnly(page));
  pages_.Free(page);
}

TEST_F(PageObjectTest, WhatOnlyThePmapKnowsIsAskedOfIt) {
  Page* page = AddPage(object_, 0);
  Pmap* pmap = pmap_.Create().value();
  ASSERT_TRUE(
      pmap_.Enter(pmap, Vaddr(0x4000), page->pa, base::kProtReadWrite, {.access = base::kProtNone})
          .ok());
  MutexLock lock(&object_->mu);
  EXPECT_FALSE(page_objects_.CheckDirty(page, WriteProtected::kYes));
  page_objects_.MarkDirty(page, Dirty::kUnknown);
  EXPECT_FALSE(page_objects_.CheckDirty(page, WriteProtected::kNo));
  EXPECT_EQ(page->dirty, Dirty::kUnknown);  // somebody may still write
  EXPECT_FALSE(page_objects_.CheckDirty(page, WriteProtected::kYes));
  EXPECT_EQ(page->dirty, Dirty::kClean);
  page_objects_.MarkDirty(page, Dirty::kUnknown);
  ASSERT_NE(pmap_.Translate(pmap, Vaddr(0x4000), Access::kWrite), nullptr);
  EXPECT_TRUE(page_objects_.CheckDirty(page, WriteProtected::kYes));
  EXPECT_EQ(page->dirty, Dirty::kDirty);
  EXPECT_TRUE(page_objects_.CheckDirty(page, WriteProtected::kYes));
  EXPECT_FALSE(pmap_.IsModified(page->pa));
}

TEST_F(PageObjectTest, APageMovesToAnotherObject) {
  Page* page = AddPage(object_, 3);
  {
    MutexLock lock(&object_->mu);  // nobody else knows of the other
    page_objects_.Reallocate(page, other_, PageIndex(5));
  }
  EXPECT_EQ(object_->DebugLookup(PageIndex(3)), nullptr);
  EXPECT_EQ(other_->DebugLookup(PageIndex(5)), page);
  EXPECT_EQ(page->object, other_);
}

TEST_F(PageObjectTest, APageTakesAnothersPlace) {
  Page* old = AddPage(object_, 3);
  MutexLock lock(&object_->mu);
  Page* fresh = pages_.AllocateForObject(object_, PageIndex(3));
  page_objects_.Replace(old, fresh);
  object_->Unbusy(&pages_, fresh);
  EXPECT_EQ(object_->Lookup(PageIndex(3)), fresh);
  EXPECT_EQ(object_->page_count(), 1u);
  pages_.Free(old);
}

}  // namespace
}  // namespace uvm
