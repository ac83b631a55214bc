// The mmap family's argument semantics, a row for each sentence of facts/uvm.md 2.14.

#include "uvm/mmap.h"

#include <cstdint>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/errors.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/object.h"
#include "uvm/pager.h"
#include "uvm/testing/world.h"

namespace uvm {
namespace {

using base::ErrnoName;
using base::kPageSize;
using base::kProtAll;
using base::kProtNone;
using base::kProtRead;
using base::kProtReadWrite;
using testing::PageAt;
using testing::PictureTest;
using testing::Space;

constexpr uint64_t kMaxUint64 = ~uint64_t{0};

class MmapTest : public PictureTest {
 protected:
  void SetUp() override { Use("AB.C....0000...."); }
  // The process's space is `picture` from now on.
  void Use(const std::string& picture) {
    space_.emplace_back(NewSpace(picture));
    process_ = {};
    process_.map = &space()->map();
    process_.default_address = process_.map->min();
  }
  Space& space() { return space_.back(); }
  // "page 4", "0x..." for an address inside a page, or the errno's name.
  std::string Text(const AddressResult& result) {
    if (result.error != Errno::kOk) return ErrnoName(result.error);
    if (!base::IsPageAligned(result.address)) return "inside a page";
    return "page " + std::to_string((result.address - PageAt(0).value()) / kPageSize);
  }
  std::string Mmap(uint64_t address, uint64_t length, uint32_t flags, Prot prot = kProtReadWrite,
                   MmapFile file = {}, uint64_t position = 0) {
    return Text(calls_.Mmap(&process_, {address, length, prot, flags, file, position}));
  }
  std::string Mremap(uint64_t first, uint64_t pages, uint64_t to, uint64_t new_pages,
                     uint32_t flags) {
    return Text(calls_.Mremap(&process_, PageAt(first).value(), pages * kPageSize,
                              flags == 0 ? 0 : PageAt(to).value(), new_pages * kPageSize, flags));
  }
  // Of pages.
  uint64_t At(uint64_t page) { return PageAt(page).value(); }
  static uint64_t Size(uint64_t pages) { return pages * kPageSize; }
  std::string Name(Errno error) { return ErrnoName(error); }
  std::string Mincore(uint64_t first, uint64_t pages) {
    std::string vec;
    auto visit = [&](bool resident, PageCount run) {
      vec.append(run.value(), resident ? '1' : '0');
      return true;
    };
    Errno error = calls_.Mincore(&process_, At(first), Size(pages), visit);
    return error == Errno::kOk ? vec : ErrnoName(error);
  }
  MmapFile AFile() {
    MmapFile file;
    file.given = true;
    file.object = File(7);
    return file;
  }

  std::vector<Space> space_;
  Process process_;
  MmapCalls calls_{&uvm()};
};

constexpr uint32_t kAnonPrivate = kMapAnon | kMapPrivate;

TEST_F(MmapTest, RefusesWhatMakesNoSense) {
  EXPECT_EQ(Mmap(0, 1, kMapAnon | kMapShared | kMapPrivate), "EINVAL");
  EXPECT_EQ(Mmap(0, 0, kMapPrivate, kProtRead, AFile()), "EINVAL");  // only nothing has no length
  EXPECT_EQ(Mmap(0, 1, kAnonPrivate, kProtRead, AFile()), "EINVAL");
  EXPECT_EQ(Mmap(0, 1, kMapPrivate), "EBADF");
  MmapFile unmappable;
  unmappable.given = true;
  EXPECT_EQ(Mmap(0, 1, kMapPrivate, kProtRead, unmappable), "ENODEV");
  EXPECT_EQ(Mmap(0, kMaxUint64, kAnonPrivate), "ENOMEM");
  EXPECT_EQ(Mmap(At(2) + 1, 1, kAnonPrivate | kMapFixed), "EINVAL");
  EXPECT_EQ(Mmap(At(2), Size(1), kMapPrivate | kMapFixed, kProtRead, AFile(), 5), "EINVAL");
  EXPECT_EQ(Mmap(At(14), Size(3), kAnonPrivate | kMapFixed), "EFBIG");
  EXPECT_EQ(Mmap(0, Size(1), kAnonPrivate | kMapFixed), "EINVAL");
  EXPECT_EQ(Mmap(0, Size(1), kAnonPrivate | 5u << kMapAlignShift), "EINVAL");
  EXPECT_EQ(Mmap(0, Size(1), kAnonPrivate | 64u << kMapAlignShift), "EINVAL");
  EXPECT_EQ(Mmap(0, Size(1), kAnonPrivate | 40u << kMapAlignShift), "ENOMEM");
  EXPECT_EQ(Mmap(At(5), Size(1), kAnonPrivate | kMapFixed | 13u << kMapAlignShift), "EINVAL");
  EXPECT_EQ(Mmap(0, Size(17), kAnonPrivate), "ENOMEM");
  EXPECT_EQ(Contents(space()), "AB.C....0000....");
}

TEST_F(MmapTest, AFileThatIsMappedToBeExecutedIsNotedAsSuch) {
  const MmapFile file = AFile();
  EXPECT_EQ(Mmap(0, 1, kMapPrivate, kProtRead, file), "page 2");
  EXPECT_FALSE(file.object->executable);
  EXPECT_EQ(Mmap(0, 1, kMapPrivate, kProtRead | base::kProtExecute, file), "page 4");
  EXPECT_TRUE(file.object->executable);
}

TEST_F(MmapTest, FileRightsLimitWhatCanBeAskedFor) {
  MmapFile read_only = AFile();
  read_only.writable = false;
  EXPECT_EQ(Mmap(0, Size(1), kMapShared, kProtReadWrite, read_only), "EACCES");
  EXPECT_EQ(Mmap(At(4), Size(1), kMapShared | kMapFixed, kProtRead, read_only), "page 4");
  EXPECT_EQ(Name(calls_.Mprotect(&process_, At(4), Size(1), kProtReadWrite)), "EACCES");
  // One's own copy may be written.
  EXPECT_EQ(Mmap(At(5), Size(1), kMapPrivate | kMapFixed, kProtReadWrite, read_only), "page 5");
  MmapFile write_only = AFile();
  write_only.readable = false;
  EXPECT_EQ(Mmap(0, Size(1), kMapShared, kProtRead, write_only), "EACCES");
}

// Two pages, the second of which nobody may write to.
class Panel final : public DeviceDriver {
 public:
  explicit Panel(const testing::NaivePmap* pmap) : pmap_(pmap) {}
  bool Mmap(uint64_t, uint64_t offset, Prot prot, uint64_t* cookie) override {
    const uint64_t page = offset / kPageSize;
    if (page >= 2 || (page == 1 && prot.CanWrite())) return false;
    *cookie = pmap_->device_frame(page).value();
    return true;
  }

 private:
  const testing::NaivePmap* pmap_;
};

TEST_F(MmapTest, ADeviceIsMappedWhereItsDriverAllows) {
  Panel panel(&pmap());
  MmapFile device;
  device.given = true;
  device.driver = &panel;
  const uint32_t fixed = kMapShared | kMapFixed;
  EXPECT_EQ(Mmap(At(4), Size(1), fixed, kProtReadWrite, device), "page 4");
  EXPECT_EQ(Mmap(At(5), Size(1), fixed, kProtRead, device, kPageSize + 5), "EINVAL");
  EXPECT_EQ(Mmap(At(5), Size(3), fixed, kProtRead, device), "EINVAL");
  // A shared mapping could be written to later.
  EXPECT_EQ(Mmap(At(5), Size(2), fixed, kProtRead, device), "EINVAL");
  device.writable = false;
  EXPECT_EQ(Mmap(At(5), Size(2), fixed, kProtRead, device), "page 5");
  EXPECT_EQ(Name(calls_.Mprotect(&process_, At(5), Size(1), kProtReadWrite)), "EACCES");
  EXPECT_EQ(space().Touch(5, base::Access::kRead), "ok");
  EXPECT_EQ(Mincore(4, 3), "111");
  EXPECT_EQ(EntryAt(space(), 4)->object, EntryAt(space(), 5)->object);
  // A private one needs no right to write, and can be nothing but asked for.
  EXPECT_EQ(Mmap(At(13), Size(2), kMapPrivate | kMapFixed, kProtReadWrite, device), "page 13");
  EXPECT_EQ(space().Touch(13, base::Access::kRead), "io");
}

TEST_F(MmapTest, AParameterErrorLeavesNoReferenceToTheFile) {
  MmapFile file = AFile();
  uint64_t refs = file.object->DebugRefs();
  Mmap(0, Size(1), kMapShared | 64u << kMapAlignShift, kProtRead, file);
  Mmap(At(5), Size(1), kMapShared | kMapFixed | 13u << kMapAlignShift, kProtRead, file);
  Mmap(0, Size(17), kMapShared, kProtRead, file);
  EXPECT_EQ(file.object->DebugRefs(), refs);
}

TEST_F(MmapTest, NothingMapsNothingAndSucceeds) {
  EXPECT_EQ(Mmap(At(5), 0, kAnonPrivate), "page 5");
  EXPECT_EQ(Mmap(0, 0, kAnonPrivate), "page 0");
  EXPECT_EQ(Contents(space()), "AB.C....0000....");
}

TEST_F(MmapTest, NeitherSharedNorPrivateIsPrivate) {
  EXPECT_EQ(Mmap(At(4), Size(1), kMapAnon | kMapFixed), "page 4");
  EXPECT_EQ(EntryAt(space(), 4)->copy_on_write, true);
  EXPECT_EQ(EntryAt(space(), 4)->inherit, Inherit::kCopy);
}

TEST_F(MmapTest, AHintIsTakenWhereItFitsAndElsewhereNearIt) {
  EXPECT_EQ(Mmap(At(5), Size(2), kAnonPrivate), "page 5");
  EXPECT_EQ(Mmap(At(8), Size(2), kAnonPrivate), "page 12");
  EXPECT_EQ(Mmap(At(15), Size(2), kAnonPrivate), "page 14");  // the second choice: from the start
  EXPECT_EQ(Mmap(At(4), Size(1), kAnonPrivate | kMapTryFixed), "page 4");
  EXPECT_EQ(Mmap(At(4), Size(1), kAnonPrivate | kMapTryFixed), "page 7");
  EXPECT_EQ(Mmap(At(15), Size(2), kAnonPrivate), "ENOMEM");
}

TEST_F(MmapTest, AnUnalignedOffsetIsAddedToTheResult) {
  MmapFile file = AFile();
  AddressResult result =
      calls_.Mmap(&process_, {0, Size(1), kProtRead, kMapPrivate, file, kPageSize + 0x123});
  EXPECT_EQ(result.address & base::kPageMask, 0x123u);
  // 0x123 + 0x1000 bytes take two pages.
  EXPECT_EQ(result.address - 0x123, At(4));
  EXPECT_EQ(Contents(space()), "AB.C23..0000....");
}

TEST_F(MmapTest, FixedReplacesInOneStep) {
  EXPECT_EQ(Mmap(At(1), Size(3), kAnonPrivate | kMapFixed), "page 1");
  EXPECT_EQ(Contents(space()), "A000....0000....");
}

TEST_F(MmapTest, LimitsOfTheProcess) {
  process_.limit_address_space = Size(8);
  EXPECT_EQ(Mmap(0, Size(2), kAnonPrivate), "ENOMEM");
  EXPECT_EQ(Mmap(0, Size(1), kAnonPrivate), "page 2");
  process_.limit_locked = Size(1);
  EXPECT_EQ(Name(calls_.Mlock(&process_, At(0), Size(2))), "EAGAIN");
  EXPECT_EQ(Name(calls_.Mlock(&process_, At(0), Size(1))), "ok");
  EXPECT_EQ(Name(calls_.Mlock(&process_, At(1), Size(1))), "EAGAIN");
  EXPECT_EQ(Name(calls_.Munlock(&process_, At(0), Size(1))), "ok");
}

TEST_F(MmapTest, WiredMappingsComeWiredOrNotAtAll) {
  EXPECT_EQ(Mmap(At(4), Size(2), kAnonPrivate | kMapFixed | kMapWired), "page 4");
  EXPECT_EQ(Mincore(4, 2), "11");
  process_.limit_locked = Size(2);
  EXPECT_EQ(Mmap(At(6), Size(1), kAnonPrivate | kMapFixed | kMapWired), "ENOMEM");
  EXPECT_EQ(Contents(space()), "AB.C00..0000....");
  EXPECT_EQ(Mmap(At(6), Size(1), kAnonPrivate | kMapFixed | kMapWired, kProtNone), "page 6");
  EXPECT_EQ(Name(calls_.Munlockall(&process_)), "ok");
}

TEST_F(MmapTest, MlockallOfTheFutureWiresWhatComes) {
  EXPECT_EQ(Name(calls_.Mlockall(&process_, 0)), "EINVAL");
  EXPECT_EQ(Name(calls_.Mlockall(&process_, 4)), "EINVAL");
  EXPECT_EQ(Name(calls_.Mlockall(&process_, kMclFuture)), "ok");
  EXPECT_EQ(Mincore(8, 4), "0000");
  EXPECT_EQ(Mmap(At(4), Size(2), kAnonPrivate | kMapFixed), "page 4");
  EXPECT_EQ(Mincore(4, 2), "11");
  // Memory without rights is wired when it gets some.
  EXPECT_EQ(Mmap(At(6), Size(1), kAnonPrivate | kMapFixed, kProtNone), "page 6");
  EXPECT_EQ(Mincore(6, 1), "0");
  EXPECT_EQ(Name(calls_.Mprotect(&process_, At(6), Size(1), kProtRead)), "ok");
  EXPECT_EQ(Mincore(6, 1), "1");
  EXPECT_EQ(Name(calls_.Munlockall(&process_)), "ok");
  EXPECT_EQ(Mmap(At(12), Size(1), kAnonPrivate | kMapFixed), "page 12");
  EXPECT_EQ(Mincore(12, 1), "0");
}

TEST_F(MmapTest, MunmapForgivesEverythingButAnAddressOutside) {
  EXPECT_EQ(Name(calls_.Munmap(&process_, 0, 0)), "ok");
  EXPECT_EQ(Name(calls_.Munmap(&process_, 0, Size(1))), "EINVAL");
  EXPECT_EQ(Name(calls_.Munmap(&process_, At(15), Size(2))), "EINVAL");
  EXPECT_EQ(Name(calls_.Munmap(&process_, At(2), Size(1))), "ok");
  EXPECT_EQ(Name(calls_.Munmap(&process_, At(0), kMaxUint64)), "ok");  // rounds up to nothing
  EXPECT_EQ(Contents(space()), "AB.C....0000....");
  EXPECT_EQ(Name(calls_.Munmap(&process_, At(1) + 5, Size(1))), "ok");
  EXPECT_EQ(Contents(space()), "A..C....0000....");
}

TEST_F(MmapTest, MadviseTellsHolesFromWiredMemory) {
  constexpr uint64_t kFree = 6;
  constexpr uint64_t kDontNeed = 4;
  EXPECT_EQ(Name(calls_.Madvise(&process_, At(0), Size(3), 0)), "ok");
  EXPECT_EQ(Name(calls_.Madvise(&process_, At(0), Size(3), 3)), "ok");
  EXPECT_EQ(Name(calls_.Madvise(&process_, At(0), Size(3), kDontNeed)), "EFAULT");
  EXPECT_EQ(Name(calls_.Madvise(&process_, At(0), Size(3), kFree)), "EFAULT");
  EXPECT_EQ(Name(calls_.Madvise(&process_, At(0), Size(1), 5)), "EINVAL");
  EXPECT_EQ(Name(calls_.Madvise(&process_, At(0), Size(1), 7)), "EINVAL");
  EXPECT_EQ(Contents(space()), "AB.C....0000....");
  // The first entry is not wired, the second is.
  EXPECT_EQ(Name(calls_.Mlock(&process_, At(1), Size(1))), "ok");
  EXPECT_EQ(Name(calls_.Madvise(&process_, At(0), Size(2), kFree)), "EBUSY");
  EXPECT_EQ(Contents(space()), "AB.C....0000....");
  EXPECT_EQ(Name(calls_.Munlock(&process_, At(1), Size(1))), "ok");
  EXPECT_EQ(Name(calls_.Madvise(&process_, At(0), Size(2), kDontNeed)), "ok");
  EXPECT_EQ(Contents(space()), "AB.C....0000....");
  EXPECT_EQ(Name(calls_.Madvise(&process_, At(3), Size(1), kFree)), "ok");
  EXPECT_EQ(Contents(space()), "AB.0....0000....");
  // Entries that were one share an amap, so nobody can tell whose pages these are: they stay.
  EXPECT_EQ(Name(calls_.Madvise(&process_, At(0), Size(2), kFree)), "ok");
  EXPECT_EQ(Contents(space()), "AB.0....0000....");
}

// Wherever in a page the address lies.
TEST_F(MmapTest, NoLengthIsNoPage) {
  for (uint64_t at : {At(0), At(0) + 1, At(1) - 1}) {
    EXPECT_EQ(Name(calls_.Munmap(&process_, at, 0)), "ok");
    EXPECT_EQ(Name(calls_.Mprotect(&process_, at, 0, kProtNone)), "ok");
    EXPECT_EQ(Name(calls_.Minherit(&process_, at, 0, 2)), "ok");
    EXPECT_EQ(Name(calls_.Madvise(&process_, at, 0, 6)), "ok");
    EXPECT_EQ(Name(calls_.Mlock(&process_, at, 0)), "ok");
    EXPECT_EQ(Name(calls_.Munlock(&process_, at, 0)), "ok");
  }
  EXPECT_EQ(Contents(space()), "AB.C....0000....");
  EXPECT_EQ(Prots(space()), "ww.w....wwww....");
  EXPECT_EQ(Wires(space()), "00.0....0000....");
  EXPECT_EQ(EntryAt(space(), 0)->inherit, Inherit::kCopy);
}

TEST_F(MmapTest, AFixedAddressIsLookedAtFromBelow) {
  const uint32_t flags = kAnonPrivate | kMapFixed;
  EXPECT_EQ(Mmap(0, Size(1), flags), "EINVAL");
  EXPECT_EQ(Mmap(0, At(20), flags), "EINVAL");
  EXPECT_EQ(Mmap(At(0), At(20), flags), "EFBIG");
  EXPECT_EQ(Mmap(At(15), Size(2), flags), "EFBIG");
  EXPECT_EQ(Mmap(At(0), ~uint64_t{0} - At(0) + 1 - Size(1), flags), "EFBIG");
  EXPECT_EQ(Mmap(At(2), ~uint64_t{0} - At(1), flags), "EOVERFLOW");
}

TEST_F(MmapTest, NothingCanBeLockedWithALimitOfNothing) {
  process_.limit_locked = 0;
  EXPECT_EQ(Name(calls_.Mlock(&process_, At(0), 1)), "EAGAIN");
  EXPECT_EQ(Name(calls_.Mlockall(&process_, kMclCurrent)), "ENOMEM");
  EXPECT_EQ(Wires(space()), "00.0....0000....");
}

TEST_F(MmapTest, MlockNamesItsMistakes) {
  EXPECT_EQ(Name(calls_.Mlock(&process_, At(2), Size(1))), "ENOMEM");
  EXPECT_EQ(Name(calls_.Mlock(&process_, At(1), Size(2))), "EINVAL");
  EXPECT_EQ(Name(calls_.Mlock(&process_, 0, Size(1))), "ENOMEM");
  EXPECT_EQ(Name(calls_.Mprotect(&process_, At(9), Size(1), kProtNone)), "ok");
  EXPECT_EQ(Name(calls_.Mlock(&process_, At(8), Size(2))), "EINVAL");
  EXPECT_EQ(Mincore(8, 2), "00");
  EXPECT_EQ(Name(calls_.Munlock(&process_, At(8), Size(1))), "ENOMEM");
}

TEST_F(MmapTest, OneMunlockUndoesAnyNumberOfMlocks) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(Name(calls_.Mlock(&process_, At(8), Size(3))), "ok");
  }
  EXPECT_EQ(Name(calls_.Munlock(&process_, At(8), Size(3))), "ok");
  EXPECT_EQ(Name(calls_.Munlock(&process_, At(8), Size(1))), "ENOMEM");
}

TEST_F(MmapTest, MincoreIsStrict) {
  std::string none;
  auto errno_of = [&](uint64_t address, uint64_t length) {
    auto visit = [](bool, PageCount) { return true; };
    return Name(calls_.Mincore(&process_, address, length, visit));
  };
  EXPECT_EQ(errno_of(At(0) + 1, Size(1)), "EINVAL");
  EXPECT_EQ(errno_of(At(0), 0), "EINVAL");
  EXPECT_EQ(errno_of(At(0), kMaxUint64 - kPageSize), "EINVAL");
  // What no page can be mapped at is a hole like any other.
  EXPECT_EQ(errno_of(At(15), Size(2)), "ENOMEM");
  EXPECT_EQ(errno_of(At(16), Size(1)), "ENOMEM");
  EXPECT_EQ(errno_of(0, Size(1)), "ENOMEM");
  EXPECT_EQ(Mincore(0, 3), "ENOMEM");
  EXPECT_EQ(Mincore(0, 2), "11");
  EXPECT_EQ(Mincore(8, 4), "0000");
  // A vector that cannot be written.
  auto visit = [](bool, PageCount) { return false; };
  EXPECT_EQ(Name(calls_.Mincore(&process_, At(0), Size(2), visit)), "EFAULT");
}

// Calls that look at every page are not kept busy by pages that were never there.
TEST_F(MmapTest, HugeMappingsCostWhatIsInThem) {
  constexpr uint64_t kHuge = uint64_t{1} << 45;
  auto huge = uvm().CreateSpace(PageAt(0), PageAt(0) + 8 * kHuge);
  ASSERT_TRUE(huge.ok());
  process_.map = &huge.value()->map();
  Object* object = uvm().CreateAobj(kHuge, 0).value();
  MmapFile file;
  file.given = true;
  file.object = object;
  const uint32_t fixed = kMapFixed | kMapShared;
  const uint64_t second = At(0) + kHuge;
  const uint64_t third = second + kHuge;
  EXPECT_EQ(Mmap(At(0), kHuge, kMapFixed | kAnonPrivate), "page 0");
  EXPECT_EQ(calls_.Mmap(&process_, {second, kHuge, kProtReadWrite, fixed, file, 0}).address,
            second);
  EXPECT_EQ(calls_.Mmap(&process_, {third, kHuge, kProtRead, kMapFixed | kMapPrivate, AFile(), 0})
                .address,
            third);
  for (uint64_t va : {At(7), At(500), second + Size(3), third + Size(9)}) {
    EXPECT_TRUE(uvm().Fault(huge.value(), Vaddr(va), base::Access::kRead).ok());
  }
  uint64_t resident = 0, all = 0, runs = 0;
  auto visit = [&](bool is, PageCount pages) {
    all += pages.value();
    resident += is ? pages.value() : 0;
    ++runs;
    return true;
  };
  EXPECT_EQ(Name(calls_.Mincore(&process_, At(0), 3 * kHuge, visit)), "ok");
  EXPECT_EQ(all, 3 * kHuge / kPageSize);
  EXPECT_EQ(resident, 4u);
  EXPECT_LT(runs, 20u);
  // will need, do not need, free; msync
  for (uint64_t advice : {3, 4, 6}) {
    EXPECT_EQ(Name(calls_.Madvise(&process_, At(0), 2 * kHuge, advice)), "ok");
  }
  EXPECT_EQ(Name(calls_.Msync(&process_, At(0), 3 * kHuge, 4)), "ok");
  EXPECT_EQ(Name(calls_.Minherit(&process_, At(1), 3 * kHuge - Size(2), 4)), "ok");
  EXPECT_EQ(Name(calls_.Mlock(&process_, At(0), kHuge)), "EAGAIN");
  CheckInvariants();
  uvm().FreeSpace(huge.value());
  uvm().ReleaseObject(object);
}

// Notes how it is asked to clean.
class NotingPager final : public Pager {
 public:
  Result<void, PagerError> Get(Object* object,
                               GetRequest*) override ABSL_NO_THREAD_SAFETY_ANALYSIS {
    object->mu.Unlock();
    return PagerError::kIo;
  }
  Result<void, PagerError> Put(Object* object, PageIndex, PageIndex,
                               uint32_t flags) override ABSL_NO_THREAD_SAFETY_ANALYSIS {
    object->mu.Unlock();
    put_flags = flags;
    return {};
  }
  void Detach(Object*) override {}
  uint32_t put_flags = 0;
};

// Who says neither "later" nor "now" means now.
TEST_F(MmapTest, MsyncInvalidatesWhatItHasWrittenAtOnce) {
  NotingPager noting;
  MmapFile file;
  file.given = true;
  file.object = uvm().CreateObject(&noting, 1).value();
  ASSERT_EQ(Mmap(At(5), Size(1), kMapShared | kMapFixed, kProtRead, file), "page 5");
  const auto flags_for = [&](uint32_t how) {
    EXPECT_EQ(Name(calls_.Msync(&process_, At(5), Size(1), how)), "ok");
    return noting.put_flags;
  };
  EXPECT_EQ(flags_for(kMsAsync), kPgoCleanIt + 0u);
  EXPECT_EQ(flags_for(kMsSync), kPgoCleanIt | kPgoSyncIo);
  EXPECT_EQ(flags_for(kMsInvalidate), kPgoCleanIt | kPgoFree | kPgoSyncIo);
  EXPECT_EQ(flags_for(kMsInvalidate | kMsAsync), kPgoCleanIt | kPgoFree);
  space().Unmap(5, 1);
  uvm().ReleaseObject(file.object);
}

TEST_F(MmapTest, MsyncWantsToKnowHow) {
  for (uint32_t flags : {0u, 8u, 5u, 7u}) {
    EXPECT_EQ(Name(calls_.Msync(&process_, At(0), Size(1), flags)), "EINVAL") << flags;
  }
  for (uint32_t flags : {1u, 2u, 3u, 4u, 6u}) {
    EXPECT_EQ(Name(calls_.Msync(&process_, At(0), Size(2), flags)), "ok") << flags;
  }
  EXPECT_EQ(Name(calls_.Msync(&process_, At(15), Size(2), 4)), "ENOMEM");
  EXPECT_EQ(Name(calls_.Msync(&process_, At(0), Size(3), 4)), "EFAULT");
  EXPECT_EQ(Name(calls_.Msync(&process_, At(0), 0, 4)), "ok");
  EXPECT_EQ(Name(calls_.Msync(&process_, At(2), 0, 4)), "EINVAL");
  EXPECT_EQ(Name(calls_.Msync(&process_, At(0) + 1, 0, 4)), "ok");
  EXPECT_EQ(Name(calls_.Msync(&process_, At(2) + 1, 0, 4)), "EINVAL");
  // What rounds up to nothing is no length either.
  EXPECT_EQ(Name(calls_.Msync(&process_, At(0), kMaxUint64, 4)), "ok");
  EXPECT_EQ(Name(calls_.Msync(&process_, At(2), kMaxUint64, 4)), "EINVAL");
  EXPECT_EQ(Name(calls_.Mlock(&process_, At(1), Size(1))), "ok");
  EXPECT_EQ(Name(calls_.Msync(&process_, At(0), Size(2), 2)), "EBUSY");
  EXPECT_EQ(Name(calls_.Msync(&process_, At(1), kMaxUint64, 2)), "EBUSY");
  EXPECT_EQ(Name(calls_.Msync(&process_, At(0), Size(2), 4)), "ok");
  EXPECT_EQ(Contents(space()), "AB.C....0000....");
  EXPECT_EQ(Name(calls_.Munlock(&process_, At(1), Size(1))), "ok");
}

TEST_F(MmapTest, MinheritKnowsFourWays) {
  for (uint64_t how : {0u, 1u, 2u, 4u}) {
    EXPECT_EQ(Name(calls_.Minherit(&process_, At(0), Size(1), how)), "ok");
  }
  for (uint64_t how : {uint64_t{3}, uint64_t{5}, kMaxUint64}) {
    EXPECT_EQ(Name(calls_.Minherit(&process_, At(0), Size(1), how)), "EINVAL");
  }
}

TEST_F(MmapTest, MremapMovesGrowsAndShrinks) {
  EXPECT_EQ(Mremap(0, 2, 0, 2, 8), "EINVAL");  // a flag that means nothing
  EXPECT_EQ(Mremap(0, 0, 0, 2, 0), "EINVAL");
  EXPECT_EQ(Mremap(5, 2, 5, 2, 0), "page 5");  // nothing there, nothing asked
  EXPECT_EQ(calls_
                .Mremap(&process_, PageAt(0).value(), kPageSize, PageAt(14).value() + 7, kPageSize,
                        kMapRemapDup)
                .address,
            PageAt(14).value());  // a hint need not be a page's address
  EXPECT_EQ(calls_.Munmap(&process_, PageAt(14).value(), kPageSize), Errno::kOk);
  EXPECT_EQ(Mremap(0, 2, 4, 2, kMapFixed), "page 4");
  EXPECT_EQ(Contents(space()), "...CAB..0000....");
  EXPECT_EQ(Mremap(4, 2, 8, 2, kMapFixed), "ENOMEM");  // what is there is not replaced
  EXPECT_EQ(Mremap(4, 2, 4, 4, 0), "page 4");
  EXPECT_EQ(Contents(space()), "...CAB000000....");
  EXPECT_EQ(Mremap(4, 4, 4, 1, 0), "page 4");
  EXPECT_EQ(Contents(space()), "...CA...0000....");
  EXPECT_EQ(Mremap(3, 1, 0, 2, kMapFixed), "page 0");
  EXPECT_EQ(Contents(space()), "C0..A...0000....");
}

TEST_F(MmapTest, ADuplicateShowsTheSamePages) {
  EXPECT_EQ(Mremap(0, 2, 4, 2, kMapFixed | kMapRemapDup), "page 4");
  EXPECT_EQ(Contents(space()), "AB.CAB..0000....");
  space().Write("....XY..........");
  EXPECT_EQ(Contents(space()), "XY.CXY..0000....");
  space().Write("Z...............");
  EXPECT_EQ(Contents(space()), "ZY.CZY..0000....");
}

TEST_F(MmapTest, TheHeapGrowsAndShrinks) {
  process_.heap_start = process_.heap_end = PageAt(4);
  EXPECT_EQ(Name(calls_.Brk(&process_, At(3))), "EINVAL");
  EXPECT_EQ(Name(calls_.Brk(&process_, At(5) + 7)), "ok");
  EXPECT_EQ(Contents(space()), "AB.C00..0000....");
  EXPECT_EQ(Name(calls_.Brk(&process_, At(9))), "ENOMEM");
  process_.limit_data = Size(3);
  EXPECT_EQ(Name(calls_.Brk(&process_, At(7) + 1)), "ENOMEM");
  EXPECT_EQ(Name(calls_.Brk(&process_, At(5))), "ok");
  EXPECT_EQ(Contents(space()), "AB.C0...0000....");
  EXPECT_EQ(Name(calls_.Brk(&process_, At(4))), "ok");
  EXPECT_EQ(Contents(space()), "AB.C....0000....");
}

}  // namespace
}  // namespace uvm
