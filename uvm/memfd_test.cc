#include "uvm/memfd.h"

#include <cstdint>
#include <optional>
#include <string>

#include "base/addr.h"
#include "base/errors.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/testing/world.h"

namespace uvm {
namespace {

using base::ErrnoName;
using base::kPageSize;
using base::kProtRead;
using base::kProtReadWrite;
using testing::PageAt;
using testing::PictureTest;
using testing::Space;

class MemfdTest : public PictureTest {
 protected:
  void SetUp() override {
    spaces_.push_back(NewSpace("........"));
    process_.map = &space()->map();
    process_.default_address = process_.map->min();
    file_.emplace(Memfd::Create(&uvm(), Memfd::Sealing::kAllowed).value());
  }
  void TearDown() override {
    if (file_->object() != nullptr) file_->Close();
    PictureTest::TearDown();
  }
  Space& space() { return spaces_.back(); }
  std::string Truncate(uint64_t bytes) { return ErrnoName(file_->Truncate(bytes)); }
  std::string Seal(uint32_t seals) { return ErrnoName(file_->AddSeals(seals)); }
  std::string Map(uint64_t page, uint64_t pages, Prot prot = kProtReadWrite,
                  uint64_t position = 0) {
    return ErrnoName(file_
                         ->Mmap(&process_, {PageAt(page).value(),
                                            pages * kPageSize,
                                            prot,
                                            kMapShared | kMapFixed,
                                            {},
                                            position})
                         .error);
  }

  std::vector<Space> spaces_;
  Process process_;
  std::optional<Memfd> file_;
};

TEST_F(MemfdTest, IsEmptyUntilItIsGivenASize) {
  EXPECT_EQ(Map(0, 1), "EINVAL");
  EXPECT_EQ(Truncate(~uint64_t{0}), "EINVAL");
  EXPECT_EQ(Truncate(2 * kPageSize), "ok");
  EXPECT_EQ(Map(0, 2), "ok");
  EXPECT_EQ(Map(2, 1, kProtRead, 2 * kPageSize), "EINVAL");
  EXPECT_EQ(space().Read("xx......"), "00......");
}

TEST_F(MemfdTest, AllMappingsShowTheSameFile) {
  EXPECT_EQ(Truncate(2 * kPageSize), "ok");
  EXPECT_EQ(Map(0, 2), "ok");
  EXPECT_EQ(Map(4, 1, kProtReadWrite, kPageSize), "ok");
  space().Write("AB......");
  EXPECT_EQ(Contents(space()), "AB..B...");
  Space child = space().Fork();
  child.Write(".X......");
  EXPECT_EQ(Contents(space()), "AX..X...");
  child.Exit();
}

TEST_F(MemfdTest, ShrinkingTakesPagesAwayFromUnderTheirMappings) {
  EXPECT_EQ(Truncate(2 * kPageSize), "ok");
  EXPECT_EQ(Map(0, 2), "ok");
  space().Write("AB......");
  EXPECT_EQ(Truncate(kPageSize), "ok");
  EXPECT_EQ(space().Touch(1, Access::kRead), "past_end");
  EXPECT_EQ(Truncate(2 * kPageSize), "ok");
  EXPECT_EQ(space().Read("xx......"), "A0......");
}

TEST_F(MemfdTest, ShrinkingLeavesWhatWasLentAsItWas) {
  EXPECT_EQ(Truncate(2 * kPageSize), "ok");
  EXPECT_EQ(Map(0, 2), "ok");
  space().Write("AB......");
  testing::Loan loan = space().Lend(1, 1);
  EXPECT_EQ(Truncate(kPageSize + 100), "ok");
  EXPECT_EQ(Contents(loan), "B");
  const Page* own = ResidentAt(space(), 1);
  ASSERT_NE(own, nullptr);
  EXPECT_NE(own, loan.pages[0]);
  EXPECT_EQ(pmap().HomePointer(own->pa)[99], 'B');
  EXPECT_EQ(pmap().HomePointer(own->pa)[100], 0);
  Return(&loan);
}

TEST_F(MemfdTest, SealsTakeAwayWhatTheyName) {
  EXPECT_EQ(Truncate(2 * kPageSize), "ok");
  EXPECT_EQ(Seal(0x100), "EINVAL");
  EXPECT_EQ(Seal(kSealShrink), "ok");
  EXPECT_EQ(Truncate(kPageSize), "EPERM");
  EXPECT_EQ(Truncate(3 * kPageSize), "ok");
  EXPECT_EQ(Seal(kSealGrow), "ok");
  EXPECT_EQ(Truncate(4 * kPageSize), "EPERM");
  EXPECT_EQ(Map(0, 2), "ok");
  EXPECT_EQ(Seal(kSealWrite), "EBUSY");
  EXPECT_EQ(Seal(kSealFutureWrite), "ok");
  EXPECT_EQ(Map(4, 1), "EPERM");
  EXPECT_EQ(Map(4, 1, kProtRead), "ok");
  // Rights that were sealed away do not come back by mprotect.
  EXPECT_EQ(MmapCalls(&uvm()).Mprotect(&process_, PageAt(4).value(), kPageSize, kProtReadWrite),
            Errno::kEacces);
  space().Write("A.......");  // a mapping from before
  EXPECT_EQ(Seal(kSealSeal), "ok");
  EXPECT_EQ(Seal(kSealWrite), "EPERM");
}

TEST_F(MemfdTest, SealingMustBeAllowed) {
  Memfd sealed = Memfd::Create(&uvm(), Memfd::Sealing::kForbidden).value();
  EXPECT_EQ(sealed.AddSeals(kSealGrow), Errno::kEperm);
  sealed.Close();
}

TEST_F(MemfdTest, MappingsOutliveTheDescriptor) {
  EXPECT_EQ(Truncate(kPageSize), "ok");
  EXPECT_EQ(Map(0, 1), "ok");
  space().Write("A.......");
  file_->Close();
  EXPECT_EQ(Contents(space()), "A.......");
}

}  // namespace
}  // namespace uvm
