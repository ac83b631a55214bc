#include "uvm/km.h"

#include <cstring>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPage = base::kPageSize;

class KernelMemoryTest : public PictureTest {
 protected:
  KernelMemory& km() { return *uvm().Kernel(); }
  Vaddr Allocate(uint64_t pages, uint32_t flags) {
    Result<Vaddr, MapError> at = km().Allocate(km().map(), pages * kPage, 0, flags | kKmCanFail);
    CheckInvariants();
    EXPECT_TRUE(at.ok());
    return at.value();
  }
  void Free(Vaddr at, uint64_t pages, uint32_t type) {
    km().Free(km().map(), at, pages * kPage, type);
    CheckInvariants();
  }
  // Rights of the kernel's translations from `at` on.
  std::string Rights(Vaddr at, uint64_t pages) {
    std::string picture;
    for (uint64_t i = 0; i < pages; ++i) {
      Prot prot = pmap().RightsAt(pmap().Kernel(), at + i * kPage);
      picture += prot == base::kProtNone        ? '-'
                 : prot == base::kProtRead      ? 'r'
                 : prot == base::kProtReadWrite ? 'w'
                                                : 'a';
    }
    return picture;
  }
  // Writes or reads one page through the kernel's addresses; "ok" or the error.
  std::string Write(Vaddr at, char letter) {
    std::vector<unsigned char> bytes(kPage, static_cast<unsigned char>(letter));
    Result<void, FaultError> result = km().Copy(at, bytes.data(), kPage, Access::kWrite);
    CheckInvariants();
    return result.ok() ? "ok" : base::FaultErrorName(result.error());
  }
  char Read(Vaddr at) {
    unsigned char byte = '?';
    Result<void, FaultError> result = km().Copy(at, &byte, 1, Access::kRead);
    return result.ok() ? static_cast<char>(byte) : '!';
  }
  uint64_t frames() { return uvm().counters().frames_in_use; }
};

TEST_F(KernelMemoryTest, WiredMemoryIsThereAtOnceAndNeverFaults) {
  Vaddr at = Allocate(3, kKmWired);
  EXPECT_EQ(Rights(at, 4), "www-");
  EXPECT_EQ(frames(), 3u);
  EXPECT_EQ(uvm().DebugPages().wired_count(), PageCount(3));
  EXPECT_EQ(Write(at + kPage, 'x'), "ok");
  EXPECT_EQ(Read(at + kPage), 'x');
  EXPECT_EQ(uvm().counters().faults, 0u);
  Free(at, 3, kKmWired);
  EXPECT_EQ(Rights(at, 4), "----");
  EXPECT_EQ(frames(), 0u);
  EXPECT_EQ(km().map()->size_bytes(), 0u);
}

TEST_F(KernelMemoryTest, ZeroedAndExecutableOnDemand) {
  Vaddr at = Allocate(1, kKmWired | kKmZero | kKmExec);
  EXPECT_EQ(Rights(at, 1), "a");
  EXPECT_EQ(Read(at), 0);
  Free(at, 1, kKmWired);
  at = Allocate(1, kKmWired);
  EXPECT_EQ(static_cast<unsigned char>(Read(at)), 0);  // the frame that was zeroed just now
  Free(at, 1, kKmWired);
}

TEST_F(KernelMemoryTest, PageableMemoryIsTheKernelObjects) {
  Vaddr first = Allocate(2, kKmVaOnly);
  Vaddr at = Allocate(4, kKmPageable);
  EXPECT_EQ(Rights(at, 4), "----");
  EXPECT_EQ(Write(at + 2 * kPage, 'x'), "ok");
  EXPECT_EQ(Read(at + 2 * kPage), 'x');
  EXPECT_EQ(Read(at + 3 * kPage), 0);
  const PageIndex index = base::ToPageIndex(at + 2 * kPage - km().map()->min());
  EXPECT_NE(km().object()->DebugLookup(index), nullptr);
  EXPECT_FALSE(km().IsEmpty({at, at + 4 * kPage}));
  Free(at, 4, kKmPageable);
  EXPECT_TRUE(km().IsEmpty({at, at + 4 * kPage}));
  EXPECT_EQ(frames(), 0u);
  Free(first, 2, kKmVaOnly);
  // What comes to lie there begins as zeroes.
  at = Allocate(6, kKmPageable);
  EXPECT_EQ(Read(at + 4 * kPage), 0);
  Free(at, 6, kKmPageable);
}

TEST_F(KernelMemoryTest, BareAddressesHaveNothingBehindThem) {
  Vaddr at = Allocate(2, kKmVaOnly);
  EXPECT_EQ(Rights(at, 2), "--");
  EXPECT_EQ(Write(at, 'x'), "layerless");
  Free(at, 2, kKmVaOnly);
}

TEST_F(KernelMemoryTest, AlignmentAndRounding) {
  Allocate(1, kKmVaOnly);
  Result<Vaddr, MapError> at = km().Allocate(km().map(), 5, 16 * kPage, kKmWired | kKmCanFail);
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(at.value().value() % (16 * kPage), 0u);
  EXPECT_EQ(Rights(at.value(), 2), "w-");
  km().Free(km().map(), at.value(), 5, kKmWired);
}

TEST_F(KernelMemoryTest, AShortageUndoesWhatWasDone) {
  Vaddr most = Allocate(60, kKmWired);
  EXPECT_EQ(km().Allocate(km().map(), 5 * kPage, 0, kKmWired | kKmCanFail), MapError::kNoMemory);
  EXPECT_EQ(km().KmemAlloc(5 * kPage, MaySleep::kNo), MapError::kNoMemory);
  CheckInvariants();
  EXPECT_EQ(frames(), 60u);
  EXPECT_EQ(km().map()->size_bytes(), 60 * kPage);
  Result<Vaddr, MapError> kmem = km().KmemAlloc(4 * kPage, MaySleep::kNo);
  ASSERT_TRUE(kmem.ok());
  km().KmemFree(kmem.value(), 4 * kPage);
  Free(most, 60, kKmWired);
  // No room for the address space itself.
  EXPECT_EQ(km().Allocate(km().map(), uint64_t{1} << 40, 0, kKmVaOnly | kKmCanFail),
            MapError::kNoSpace);
  memory().FailAfter(0);
  std::vector<Vaddr> taken;
  for (;;) {
    Result<Vaddr, MapError> at = km().Allocate(km().map(), kPage, 0, kKmPageable | kKmCanFail);
    if (!at.ok()) {
      EXPECT_EQ(at.error(), MapError::kNoMemory);
      break;
    }
    taken.push_back(at.value());
  }
  CheckInvariants();
  memory().NeverFail();
  for (Vaddr at : taken) Free(at, 1, kKmPageable);
  EXPECT_EQ(km().map()->size_bytes(), 0u);
}

TEST_F(KernelMemoryTest, ProtectionReachesTranslations) {
  Vaddr at = Allocate(3, kKmWired);
  EXPECT_TRUE(km().Protect(km().map(), at + kPage, kPage, base::kProtRead).ok());
  EXPECT_EQ(Rights(at, 3), "wrw");
  EXPECT_TRUE(km().Accessible(at, 3 * kPage, Access::kRead));
  EXPECT_TRUE(km().Accessible(at + 5, 10, Access::kWrite));
  EXPECT_FALSE(km().Accessible(at + 5, kPage, Access::kWrite));
  EXPECT_FALSE(km().Accessible(at, 4 * kPage, Access::kRead));
  EXPECT_FALSE(km().Accessible(Vaddr(0x1000), 1, Access::kRead));
  EXPECT_FALSE(km().Accessible(at, ~uint64_t{0} - 5, Access::kRead));
  km().Free(km().map(), at, 3 * kPage, kKmWired);
}

TEST_F(KernelMemoryTest, ASubmapIsAMapWithinAMap) {
  Map* submap = km().Suballocate(km().map(), 8 * kPage);
  CheckInvariants();
  EXPECT_EQ(submap->max() - submap->min(), 8 * kPage);
  Result<Vaddr, MapError> at = km().Allocate(submap, 3 * kPage, 0, kKmPageable | kKmCanFail);
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(at.value(), submap->min());
  EXPECT_EQ(Write(at.value() + kPage, 'x'), "ok");
  EXPECT_EQ(Read(at.value() + kPage), 'x');
  EXPECT_TRUE(km().Accessible(at.value(), 3 * kPage, Access::kWrite));
  EXPECT_FALSE(km().Accessible(at.value(), 4 * kPage, Access::kWrite));
  EXPECT_EQ(km().Allocate(submap, 6 * kPage, 0, kKmVaOnly | kKmCanFail), MapError::kNoSpace);
  Map* fixed = km().Suballocate(km().map(), 4 * kPage, km().map()->min() + 100 * kPage);
  EXPECT_EQ(fixed->min(), km().map()->min() + 100 * kPage);
  km().Free(submap, at.value(), 3 * kPage, kKmPageable);
  EXPECT_EQ(frames(), 0u);
}

TEST_F(KernelMemoryTest, AddressesAreStarvedWhenATenthIsLeft) {
  EXPECT_FALSE(km().VaStarved());
  const uint64_t total = km().map()->max() - km().map()->min();
  Result<Vaddr, MapError> at =
      km().Allocate(km().map(), total / 10 * 9 - 2 * kPage, 0, kKmVaOnly | kKmCanFail);
  ASSERT_TRUE(at.ok());
  EXPECT_FALSE(km().VaStarved());
  Allocate(4, kKmVaOnly);
  EXPECT_TRUE(km().VaStarved());
}

TEST_F(KernelMemoryTest, CopiesCrossPagesAndStopAtTheFirstThatIsNotThere) {
  Vaddr at = Allocate(2, kKmPageable);
  std::vector<unsigned char> bytes(2 * kPage, 'a');
  EXPECT_TRUE(km().Copy(at + 100, bytes.data(), kPage, Access::kWrite).ok());
  EXPECT_EQ(Read(at + 99), 0);
  EXPECT_EQ(Read(at + 100 + kPage - 1), 'a');
  EXPECT_EQ(Read(at + 100 + kPage), 0);
  EXPECT_EQ(km().Copy(at + kPage, bytes.data(), 2 * kPage, Access::kWrite), FaultError::kNoEntry);
  EXPECT_EQ(Read(at + 2 * kPage - 1), 'a');
  Free(at, 2, kKmPageable);
}

TEST_F(KernelMemoryTest, AForgetfulPmapCostsFaultsAndNothingElse) {
  ForgetAtRandom(3);
  Vaddr wired = Allocate(4, kKmWired | kKmZero);
  Vaddr at = Allocate(8, kKmPageable);
  for (int round = 0; round < 50; ++round) {
    const uint64_t page = static_cast<uint64_t>(round) % 8;
    EXPECT_EQ(Write(at + page * kPage, static_cast<char>('a' + round % 20)), "ok");
    EXPECT_EQ(Read(at + page * kPage), 'a' + round % 20);
  }
  EXPECT_EQ(Rights(wired, 4), "wwww");
  Free(at, 8, kKmPageable);
  Free(wired, 4, kKmWired);
}

// Without kKmCanFail the call waits until somebody gives memory back.
// Addresses are waited for by whoever says neither that it may fail nor that it may not wait.
TEST(KernelMemoryThreadsTest, WaitingForAddresses) {
  BatonThreads threads;
  World world(16, &threads);
  KernelMemory& km = *world.uvm().Kernel();
  Map* map = km.Suballocate(km.map(), 4 * kPage, Vaddr(0));
  threads.Add([&] {
    const Vaddr most = km.Allocate(map, 3 * kPage, 0, kKmVaOnly | kKmCanFail).value();
    threads.Log("most");
    for (uint32_t flag : {kKmCanFail, kKmNoWait}) {
      EXPECT_EQ(km.Allocate(map, 2 * kPage, 0, kKmVaOnly | flag), MapError::kNoSpace);
    }
    threads.Yield();
    threads.Log("frees");
    km.Free(map, most, 3 * kPage, kKmVaOnly);
  });
  threads.Add([&] {
    threads.Log("asks");
    Result<Vaddr, MapError> at = km.Allocate(map, 2 * kPage, 0, kKmVaOnly);
    threads.Log(at.ok() ? "got" : "failed");
    if (at.ok()) km.Free(map, at.value(), 2 * kPage, kKmVaOnly);
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "most asks frees got");
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

TEST(KernelMemoryThreadsTest, WaitingForMemory) {
  BatonThreads threads;
  World world(16, &threads);
  KernelMemory& km = *world.uvm().Kernel();
  Vaddr most(0);
  threads.Add([&] {
    most = km.Allocate(km.map(), 12 * kPage, 0, kKmWired | kKmCanFail).value();
    threads.Log("most");
    threads.Yield();
    km.Free(km.map(), most, 12 * kPage, kKmWired);
    threads.Log("freed");
  });
  threads.Add([&] {
    Result<Vaddr, MapError> at = km.Allocate(km.map(), 8 * kPage, 0, kKmWired);
    threads.Log(at.ok() ? "got" : "failed");
    km.Free(km.map(), at.value(), 8 * kPage, kKmWired);
  });
  threads.Run();
  EXPECT_EQ(threads.log(), "most freed got");
  EXPECT_EQ(world.TearDownAndFindLeaks(), "");
}

}  // namespace
}  // namespace uvm::testing
