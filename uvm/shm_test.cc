#include "uvm/shm.h"

#include <cstdint>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/errors.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/testing/world.h"

namespace uvm {
namespace {

using base::ErrnoName;
using base::kPageSize;
using testing::PageAt;
using testing::PictureTest;
using testing::Space;

class ShmTest : public PictureTest {
 protected:
  void SetUp() override {
    spaces_.push_back(NewSpace("........"));
    Bind(&process_, space());
    ASSERT_EQ(store_.Create(2 * kPageSize - 5, &segment_), Errno::kOk);
  }
  void TearDown() override {
    store_.Forget(&process_);
    if (segment_ != nullptr && !segment_->removed) store_.Remove(segment_);
    EXPECT_EQ(store_.live(), 0u);
    PictureTest::TearDown();
  }
  static void Bind(Process* process, const Space& space) {
    process->map = &space->map();
    process->default_address = process->map->min();
  }
  Space& space() { return spaces_.front(); }
  std::string Attach(uint64_t address, uint32_t flags = 0) {
    AddressResult result = store_.Attach(&process_, segment_, address, flags);
    if (result.error != Errno::kOk) return ErrnoName(result.error);
    return "page " + std::to_string((result.address - PageAt(0).value()) / kPageSize);
  }
  std::string Detach(uint64_t page) {
    return ErrnoName(store_.Detach(&process_, PageAt(page).value()));
  }

  std::vector<Space> spaces_;
  Process process_;
  ShmStore store_{&uvm(), &memory()};
  ShmSegment* segment_ = nullptr;
};

TEST_F(ShmTest, AttachesWhereItIsToldOrAnywhere) {
  EXPECT_EQ(Attach(0), "page 0");
  EXPECT_EQ(Attach(PageAt(4).value()), "page 4");
  EXPECT_EQ(Attach(PageAt(4).value()), "ENOMEM");  // taken
  EXPECT_EQ(Attach(PageAt(6).value() + 1), "EINVAL");
  EXPECT_EQ(Attach(PageAt(6).value() + 1, kShmRound), "page 6");
  EXPECT_EQ(ShmStore::AttachmentsOf(segment_), 3u);
  space().Write("AB......");
  EXPECT_EQ(Contents(space()), "AB..ABAB");
}

TEST_F(ShmTest, AnAttachmentIsMappedAsOneThatIsReadAnywhere) {
  EXPECT_EQ(Attach(0), "page 0");
  EXPECT_EQ(EntryAt(space(), 0)->advice, Advice::kRandom);
  EXPECT_EQ(EntryAt(space(), 0)->inherit, Inherit::kShare);
}

TEST_F(ShmTest, SizesThatCannotBe) {
  ShmSegment* none = nullptr;
  EXPECT_EQ(store_.Create(0, &none), Errno::kEinval);
  EXPECT_EQ(store_.Create(~uint64_t{0}, &none), Errno::kEinval);
  EXPECT_EQ(store_.Create(store_.MaxBytes() + 1, &none), Errno::kEinval);
  EXPECT_EQ(none, nullptr);
}

TEST_F(ShmTest, ReadOnlyIsForGood) {
  EXPECT_EQ(Attach(PageAt(0).value(), kShmReadOnly), "page 0");
  EXPECT_EQ(space().Touch(0, Access::kWrite), "protection");
  EXPECT_EQ(space().TryProtect(0, 1, base::kProtReadWrite), "protection");
}

TEST_F(ShmTest, OnlyAnAttachmentsStartDetaches) {
  EXPECT_EQ(Attach(0), "page 0");
  EXPECT_EQ(Detach(1), "EINVAL");
  EXPECT_EQ(Detach(0), "ok");
  EXPECT_EQ(Detach(0), "EINVAL");
  EXPECT_EQ(Contents(space()), "........");
}

TEST_F(ShmTest, ContentsStayWithoutAttachmentsAndGoAfterRemoval) {
  EXPECT_EQ(Attach(0), "page 0");
  space().Write("AB......");
  EXPECT_EQ(Detach(0), "ok");
  EXPECT_EQ(Attach(PageAt(2).value()), "page 2");
  EXPECT_EQ(Contents(space()), "..AB....");
  EXPECT_EQ(store_.Remove(segment_), Errno::kOk);
  EXPECT_EQ(store_.Remove(segment_), Errno::kEinval);
  EXPECT_EQ(Attach(0), "EINVAL");
  EXPECT_EQ(Contents(space()), "..AB....");  // until the last one leaves
  EXPECT_EQ(Detach(2), "ok");
  segment_ = nullptr;
  EXPECT_EQ(store_.live(), 0u);
}

TEST_F(ShmTest, AForkedChildIsAttachedToo) {
  EXPECT_EQ(Attach(0), "page 0");
  Space child = space().Fork();
  Process child_process;
  Bind(&child_process, child);
  ASSERT_TRUE(store_.Fork(&process_, &child_process));
  EXPECT_EQ(ShmStore::AttachmentsOf(segment_), 2u);
  child.Write("AB......");
  EXPECT_EQ(Contents(space()), "AB......");
  store_.Forget(&child_process);
  child.Exit();
  EXPECT_EQ(ShmStore::AttachmentsOf(segment_), 1u);
}

TEST_F(ShmTest, WhatIsDetachedOrForgottenServesAgain) {
  Space child = space().Fork();
  Process child_process;
  Bind(&child_process, child);
  EXPECT_EQ(Attach(0), "page 0");
  EXPECT_TRUE(store_.Fork(&process_, &child_process));
  store_.Forget(&child_process);
  EXPECT_EQ(Detach(0), "ok");
  memory().FailAfter(0);
  for (int i = 0; i < 3000; ++i) {  // more than a chunk holds
    ASSERT_EQ(Attach(0), "page 0") << i;
    ASSERT_EQ(Detach(0), "ok");
  }
  memory().NeverFail();
  child.Exit();
}

TEST_F(ShmTest, SplittingTheMappingLeaksNoAttachment) {
  // Attach counts used to hang on map entries elsewhere, which protection changes split.
  EXPECT_EQ(Attach(0), "page 0");
  space().Protect(1, 1, base::kProtRead);
  EXPECT_EQ(ShmStore::AttachmentsOf(segment_), 1u);
  EXPECT_EQ(Detach(0), "ok");
  EXPECT_EQ(ShmStore::AttachmentsOf(segment_), 0u);
  EXPECT_EQ(Contents(space()), "........");
}

TEST_F(ShmTest, LockedSegmentsKeepTheirPagesInMemory) {
  EXPECT_EQ(store_.Unlock(segment_), Errno::kEinval);
  EXPECT_EQ(store_.Lock(segment_), Errno::kOk);
  EXPECT_EQ(store_.Lock(segment_), Errno::kEinval);
  EXPECT_EQ(segment_->object->DebugPageCount(), 2u);
  EXPECT_EQ(segment_->object->DebugFirstPage()->wire_count, 1u);
  EXPECT_EQ(store_.Unlock(segment_), Errno::kOk);
  EXPECT_EQ(segment_->object->DebugFirstPage()->wire_count, 0u);
}

TEST_F(ShmTest, ALockedSegmentThatGoesLeavesNothingWired) {
  const PageStore& frames = uvm().DebugPages();
  const uint64_t free = frames.free_count().value();
  EXPECT_EQ(store_.Lock(segment_), Errno::kOk);
  EXPECT_EQ(frames.wired_count(), PageCount(2));
  EXPECT_EQ(store_.Remove(segment_), Errno::kOk);
  segment_ = nullptr;
  EXPECT_EQ(store_.live(), 0u);
  EXPECT_EQ(frames.wired_count(), PageCount(0));
  EXPECT_EQ(frames.free_count().value(), free);
}

TEST_F(ShmTest, ASegmentThatIsRemovedStaysLockedUntilTheLastOneLeaves) {
  EXPECT_EQ(Attach(0), "page 0");
  space().Write("AB......");
  EXPECT_EQ(store_.Lock(segment_), Errno::kOk);
  EXPECT_EQ(store_.Remove(segment_), Errno::kOk);
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(2));
  EXPECT_EQ(Contents(space()), "AB......");
  EXPECT_EQ(Detach(0), "ok");
  segment_ = nullptr;
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(0));
}

// What was moved away from an attachment keeps the memory, but nobody is left to unlock it.
TEST_F(ShmTest, WhatOutlivesALockedSegmentIsNotWired) {
  EXPECT_EQ(Attach(0), "page 0");
  space().Write("AB......");
  space().Remap(
      {.from = 0, .pages = 2, .new_pages = 2, .to = 4, .where = Map::RemapOptions::Where::kFixed});
  EXPECT_EQ(store_.Lock(segment_), Errno::kOk);
  EXPECT_EQ(store_.Remove(segment_), Errno::kOk);
  EXPECT_EQ(Detach(0), "ok");
  segment_ = nullptr;
  EXPECT_EQ(store_.live(), 0u);
  EXPECT_EQ(Contents(space()), "....AB..");
  EXPECT_EQ(Wirings(space()), "....00..");
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(0));
}

}  // namespace
}  // namespace uvm
