#include "uvm/page.h"

#include <vector>

#include "base/addr.h"
#include "gtest/gtest.h"
#include "uvm/pdpolicy_clock.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

// The store never looks inside an owner, so that any address will do for one.
class PageTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kFrames = 7;

  Anon* SomeAnon() { return reinterpret_cast<Anon*>(&anon_); }
  // The walk for checkers leaves out what was never allocated.
  void UseEveryPageOnce() {
    std::vector<Page*> all;
    while (Page* page = pages_.AllocateForAnon(SomeAnon())) all.push_back(page);
    for (Page* page : all) pages_.Free(page);
  }
  Object* SomeObject() { return reinterpret_cast<Object*>(&object_); }

  testing::NaivePmap pmap_{kFrames};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};

 private:
  uint64_t anon_ = 0;
  uint64_t object_ = 0;
};

TEST_F(PageTest, TakesEveryFrameOfEverySegment) {
  EXPECT_EQ(pages_.total(), PageCount(kFrames));
  EXPECT_EQ(pages_.free_count(), PageCount(kFrames));
  UseEveryPageOnce();
  std::vector<Paddr> seen;
  pages_.DebugForEach([&](const Page& page) {
    EXPECT_TRUE(page.free);
    EXPECT_FALSE(page.IsBusy());
    seen.push_back(page.pa);
  });
  ASSERT_EQ(seen.size(), kFrames);
  uint64_t i = 0;
  for (uint32_t s = 0; s < pmap_.segment_count(); ++s) {
    for (uint64_t p = 0; p < pmap_.segment(s).pages.value(); ++p) {
      EXPECT_EQ(seen[i++], pmap_.segment(s).start + p * base::kPageSize);
    }
  }
}

TEST_F(PageTest, CheckersSeeEveryPageThatWasEverAllocated) {
  auto seen = [&] {
    uint64_t count = 0;
    pages_.DebugForEach([&](const Page&) { ++count; });
    return count;
  };
  EXPECT_EQ(seen(), 0u);
  Page* page = pages_.AllocateForAnon(SomeAnon());
  EXPECT_EQ(seen(), 1u);
  pages_.Free(page);
  EXPECT_EQ(seen(), 1u);
  UseEveryPageOnce();
  EXPECT_EQ(seen(), kFrames);
}

TEST_F(PageTest, AllocatesBusyOwnedPagesUntilNoneIsLeft) {
  for (uint64_t i = 0; i < kFrames; ++i) {
    Page* page = i % 2 == 0 ? pages_.AllocateForAnon(SomeAnon())
                            : pages_.AllocateForObject(SomeObject(), PageIndex(i));
    ASSERT_NE(page, nullptr);
    EXPECT_TRUE(page->IsBusy());
    EXPECT_FALSE(page->free);
    EXPECT_EQ(page->anon, i % 2 == 0 ? SomeAnon() : nullptr);
    EXPECT_EQ(page->object, i % 2 == 0 ? nullptr : SomeObject());
    if (i % 2 != 0) {
      EXPECT_EQ(page->index, PageIndex(i));
    }
    EXPECT_EQ(core_.counters.frames_in_use, i + 1);
  }
  EXPECT_EQ(pages_.AllocateForAnon(SomeAnon()), nullptr);
  EXPECT_EQ(pages_.AllocateForObject(SomeObject(), PageIndex(0)), nullptr);
  EXPECT_EQ(core_.counters.frames_in_use, kFrames);
  EXPECT_EQ(pages_.free_count(), PageCount(0));
}

TEST_F(PageTest, FreeingForgetsTheOwnerAndCounts) {
  Page* page = pages_.AllocateForAnon(SomeAnon());
  pages_.AllocateForAnon(SomeAnon());
  pages_.Free(page);
  EXPECT_TRUE(page->free);
  EXPECT_EQ(page->anon, nullptr);
  EXPECT_FALSE(page->IsBusy());
  EXPECT_EQ(core_.counters.frames_in_use, 1u);
  EXPECT_EQ(core_.counters.frames_peak, 2u);
  EXPECT_EQ(pages_.free_count(), PageCount(kFrames - 1));
}

TEST_F(PageTest, FreeingRemovesTranslationsAndStatusBits) {
  Pmap* pmap = pmap_.Create().value();
  Page* page = pages_.AllocateForAnon(SomeAnon());
  ASSERT_TRUE(
      pmap_.Enter(pmap, Vaddr(0x4000), page->pa, base::kProtReadWrite, {.access = base::kProtWrite})
          .ok());
  ASSERT_NE(pmap_.Translate(pmap, Vaddr(0x4000), Access::kWrite), nullptr);
  EXPECT_TRUE(pmap_.IsModified(page->pa));
  pages_.Free(page);
  EXPECT_FALSE(pmap_.Extract(pmap, Vaddr(0x4000), nullptr));
  EXPECT_FALSE(pmap_.IsModified(page->pa));
  EXPECT_FALSE(pmap_.IsReferenced(page->pa));
}

TEST_F(PageTest, ZeroAndCopy) {
  Page* from = pages_.AllocateForAnon(SomeAnon());
  Page* to = pages_.AllocateForAnon(SomeAnon());
  EXPECT_EQ(pages_.Contents(from)[0], testing::NaivePmap::kGarbage);
  pages_.Zero(from);
  EXPECT_EQ(from->dirty, Dirty::kDirty);
  for (uint64_t i = 0; i < base::kPageSize; ++i) ASSERT_EQ(pages_.Contents(from)[i], 0);
  pages_.Contents(from)[4095] = 7;
  pages_.Copy(from, to);
  EXPECT_EQ(to->dirty, Dirty::kDirty);
  EXPECT_EQ(pages_.Contents(to)[0], 0);
  EXPECT_EQ(pages_.Contents(to)[4095], 7);
  EXPECT_EQ(core_.counters.zero_fill, 1u);
  EXPECT_EQ(core_.counters.page_copy, 1u);
}

TEST_F(PageTest, FindsThePageOfAFrameAndOfNoOtherAddress) {
  UseEveryPageOnce();
  pages_.DebugForEach([&](const Page& page) {
    EXPECT_EQ(pages_.FromPaddr(page.pa), &page);
    EXPECT_EQ(pages_.FromPaddr(page.pa + 4095), &page);
  });
  for (uint32_t s = 0; s < pmap_.segment_count(); ++s) {
    PhysicalSegment segment = pmap_.segment(s);
    EXPECT_EQ(pages_.FromPaddr(segment.start - 1), nullptr);
    EXPECT_EQ(pages_.FromPaddr(segment.start + base::ToBytes(segment.pages)), nullptr);
  }
  EXPECT_EQ(pages_.FromPaddr(Paddr(0)), nullptr);
  EXPECT_EQ(pages_.FromPaddr(Paddr(~uint64_t{0})), nullptr);
}

// Nobody but the page daemon gives such a page back, and it looks into queues only.
TEST_F(PageTest, APageWhoseLastLoanEndsIsInAQueue) {
  ClockPolicy policy;
  pages_.SetPolicy(&policy);
  for (const bool anon_first : {false, true}) {
    Page* page = pages_.AllocateForObject(SomeObject(), PageIndex(0));
    pages_.Lend(page, SomeAnon());
    pages_.Lend(page, nullptr);
    EXPECT_EQ(PageStore::QueueOf(page), PageQueue::kNone);
    if (anon_first) pages_.FreeFromAnon(page);
    pages_.ReturnLoan(page);
    if (!anon_first) pages_.FreeFromAnon(page);
    EXPECT_EQ(page->loan_count, 0u);
    EXPECT_EQ(page->anon, nullptr);
    EXPECT_EQ(PageStore::QueueOf(page), PageQueue::kActive) << anon_first;
    EXPECT_EQ(pages_.active_count(), PageCount(1));
    pages_.Free(page);
    EXPECT_EQ(pages_.active_count(), PageCount(0));
  }
  pages_.SetPolicy(nullptr);
}

using PageDeathTest = PageTest;

TEST_F(PageDeathTest, FreeingTwiceDies) {
  Page* page = pages_.AllocateForAnon(SomeAnon());
  pages_.Free(page);
  EXPECT_DEATH(pages_.Free(page), "free");
}

TEST_F(PageDeathTest, WithoutMemoryForDescriptorsNothingRuns) {
  for (uint64_t chunks = 0; chunks < 4; ++chunks) {
    testing::HostPages little;
    little.FailAfter(chunks);
    Core core{&little, &pmap_, &threads_, {}, {}};
    EXPECT_DEATH(PageStore store(&core), "nullptr|all_plugged");
  }
}

}  // namespace
}  // namespace uvm
