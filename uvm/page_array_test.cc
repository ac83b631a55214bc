#include "uvm/page_array.h"

#include <string>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/object.h"
#include "uvm/testing/object_world.h"

namespace uvm {
namespace {

class PageArrayTest : public ::testing::Test, public testing::ObjectWorld {
 protected:
  PageArrayTest() : ObjectWorld(256) {}

  // One page for each letter: c clean, d dirty, w being written; '.' none.
  Object* Make(const std::string& picture) {
    Object* object = Stored(&store_);
    MutexLock lock(&object->mu);
    for (size_t i = 0; i < picture.size(); ++i) {
      if (picture[i] == '.') continue;
      Page* page = pages_.AllocateForObject(object, PageIndex(i));
      page->busy = BusyReason::kNotBusy;
      object->Insert(page);
      if (picture[i] == 'd') object->SetDirty(page, Dirty::kDirty);
      if (picture[i] == 'w') object->SetBusy(page, BusyReason::kClean);
    }
    return object;
  }
  // The indices that a walk from `from` gives, joined by spaces.
  static std::string Walk(Object* object, uint32_t flags, uint64_t from) {
    MutexLock lock(&object->mu);
    PageArray array(object, flags);
    std::string order;
    PageIndex at(from);
    while (Page* page = array.FillAndPeek(at, 0)) {
      order += (order.empty() ? "" : " ") + std::to_string(page->index.value());
      array.Advance();
      if ((flags & PageArray::kBackward) != 0 && page->index.value() == 0) break;
      at = (flags & PageArray::kBackward) != 0 ? PageIndex(page->index.value() - 1)
                                               : page->index + PageCount(1);
    }
    return order;
  }

  testing::MemoryStore store_{""};
};

TEST_F(PageArrayTest, WalksBothWaysPastHoles) {
  Object* object = Make("c.cc..c");
  EXPECT_EQ(Walk(object, 0, 0), "0 2 3 6");
  EXPECT_EQ(Walk(object, 0, 1), "2 3 6");
  EXPECT_EQ(Walk(object, 0, 7), "");
  EXPECT_EQ(Walk(object, PageArray::kBackward, 100), "6 3 2 0");
  EXPECT_EQ(Walk(object, PageArray::kBackward, 5), "3 2 0");
}

TEST_F(PageArrayTest, DenseStopsAtTheFirstHole) {
  Object* object = Make("c.ccc.c");
  EXPECT_EQ(Walk(object, PageArray::kDense, 2), "2 3 4");
  EXPECT_EQ(Walk(object, PageArray::kDense, 1), "");
  EXPECT_EQ(Walk(object, PageArray::kDense | PageArray::kBackward, 4), "4 3 2");
}

TEST_F(PageArrayTest, SeesOnlyThePagesThatHaveTheTag) {
  Object* object = Make("cdc.wwdcd");
  EXPECT_EQ(Walk(object, PageArray::kDirty, 0), "1 6 8");
  EXPECT_EQ(Walk(object, PageArray::kDirty | PageArray::kBackward, 7), "6 1");
  EXPECT_EQ(Walk(object, PageArray::kWriteback, 0), "4 5");
  EXPECT_EQ(Walk(object, PageArray::kDirty | PageArray::kWriteback, 0), "1 4 5 6 8");
}

TEST_F(PageArrayTest, ABatchHasAtMostSixteenPagesOrAsManyAsWanted) {
  Object* object = Make(std::string(40, 'c'));
  MutexLock lock(&object->mu);
  PageArray array(object, 0);
  auto count = [&array] {
    int pages = 0;
    for (; array.Peek() != nullptr; array.Advance()) ++pages;
    return pages;
  };
  EXPECT_TRUE(array.Fill(PageIndex(0), 0));
  EXPECT_EQ(count(), 16);
  EXPECT_TRUE(array.Fill(PageIndex(0), 5));
  EXPECT_EQ(count(), 5);
  EXPECT_TRUE(array.Fill(PageIndex(38), 100));
  EXPECT_EQ(count(), 2);
  EXPECT_FALSE(array.Fill(PageIndex(40), 0));
  EXPECT_EQ(array.Peek(), nullptr);
}

// Against a walk that looks at every index, on random sets of random tags.
TEST_F(PageArrayTest, AgreesWithLookingAtEveryIndex) {
  base::Prng prng(7, "page_array_test");
  for (int round = 0; round < 60; ++round) {
    std::string picture;
    for (int i = 0; i < 120; ++i) picture += "..cdw"[prng.Below(5)];
    Object* object = Make(picture);
    for (uint32_t flags : {0, 2, 4, 6, 8, 10, 12, 14}) {
      auto shows = [&](char page) {
        if (page == '.') return false;
        if ((flags & 12) == 0) return true;
        return ((flags & 4) != 0 && page == 'd') || ((flags & 8) != 0 && page == 'w');
      };
      uint64_t from = prng.Below(120);
      std::string expected;
      for (int i = static_cast<int>(from); i >= 0 && i < 120; i += (flags & 2) != 0 ? -1 : 1) {
        if (shows(picture[i])) expected += (expected.empty() ? "" : " ") + std::to_string(i);
      }
      ASSERT_EQ(Walk(object, flags, from), expected) << picture << " from " << from;
    }
    MutexLock lock(&object->mu);
    while (Page* page = object->FirstPage()) {
      object->Remove(page);
      page->busy = BusyReason::kNotBusy;
      pages_.Free(page);
    }
  }
}

}  // namespace
}  // namespace uvm
