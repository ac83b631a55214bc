#include "uvm/amap.h"

#include <string>
#include <vector>

#include "base/addr.h"
#include "gtest/gtest.h"
#include "uvm/lock.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

class AmapTest : public ::testing::Test {
 protected:
  // An anon whose page is full of `letter`.
  Anon* NewAnon(char letter) {
    Anon* anon = anons_.Allocate();
    if (anon == nullptr) return nullptr;
    for (uint64_t i = 0; i < base::kPageSize; ++i)
      pages_.Contents(anon->page)[i] = static_cast<unsigned char>(letter);
    anon->page->busy = BusyReason::kNotBusy;
    return anon;
  }
  // An amap from a picture: '.' empty.
  Amap* NewAmap(const std::string& picture) {
    Amap* amap = amaps_.Allocate(PageCount(picture.size()));
    MutexLock lock(&amap->lock->mutex);
    for (uint32_t slot = 0; slot < picture.size(); ++slot) {
      if (picture[slot] != '.') amaps_.Add(amap, slot, NewAnon(picture[slot]));
    }
    return amap;
  }
  std::string Picture(const Amap* amap) {
    std::string picture;
    for (uint32_t slot = 0; slot < amap->slot_count; ++slot) {
      const Anon* anon = amaps_.Lookup(amap, slot);
      picture += anon == nullptr ? '.' : static_cast<char>(pages_.Contents(anon->page)[0]);
      // I6: used[] and back[] are inverse to each other on the used slots.
      if (anon != nullptr) {
        EXPECT_EQ(amap->used[amap->back[slot]], slot);
      }
    }
    return picture;
  }
  // References of each anon, one digit a slot.
  std::string Refs(const Amap* amap) {
    std::string picture;
    for (uint32_t slot = 0; slot < amap->slot_count; ++slot) {
      const Anon* anon = amaps_.Lookup(amap, slot);
      picture += anon == nullptr ? '.' : static_cast<char>('0' + anon->refs);
    }
    return picture;
  }
  Amap* Copy(const AmapRef& ref, uint64_t pages) {
    MutexLock lock(&ref.amap->lock->mutex);
    return amaps_.CopyRange(ref, PageCount(pages));
  }
  void ExpectNothingLeft() {
    EXPECT_EQ(amaps_.live(), 0u);
    EXPECT_EQ(anons_.live(), 0u);
    EXPECT_EQ(core_.counters.frames_in_use, 0u);
  }

  testing::NaivePmap pmap_{32};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  AnonStore anons_{&core_, &pages_};
  AmapStore amaps_{&core_, &anons_};
};

TEST_F(AmapTest, TheWorkedExampleOfTheHeader) {
  Amap* amap = NewAmap("..a..b..");
  EXPECT_EQ(amap->slot_count, 8u);
  EXPECT_EQ(amap->used_count, 2u);
  EXPECT_EQ(amap->used[0], 2u);
  EXPECT_EQ(amap->used[1], 5u);
  EXPECT_EQ(amap->back[2], 0u);
  EXPECT_EQ(amap->back[5], 1u);
  EXPECT_EQ(Picture(amap), "..a..b..");
  amaps_.Release(amap);
  ExpectNothingLeft();
}

TEST_F(AmapTest, RemovingMovesTheLastUsedSlotIntoTheGap) {
  Amap* amap = NewAmap("abcd");
  {
    MutexLock lock(&amap->lock->mutex);
    anons_.Release(amaps_.Remove(amap, 1));
    EXPECT_EQ(Picture(amap), "a.cd");
    EXPECT_EQ(amap->used[1], 3u);
    anons_.Release(amaps_.Remove(amap, 3));
    EXPECT_EQ(Picture(amap), "a.c.");
    amaps_.Add(amap, 3, NewAnon('x'));
    EXPECT_EQ(Picture(amap), "a.cx");
  }
  amaps_.Release(amap);
  ExpectNothingLeft();
}

TEST_F(AmapTest, ReplaceHandsTheOldAnonBack) {
  Amap* amap = NewAmap("ab");
  {
    MutexLock lock(&amap->lock->mutex);
    Anon* old = amaps_.Lookup(amap, 0);
    amaps_.Replace(amap, 0, NewAnon('x'));
    EXPECT_EQ(old->refs, 1u);
    anons_.Release(old);
  }
  EXPECT_EQ(Picture(amap), "xb");
  amaps_.Release(amap);
  ExpectNothingLeft();
}

TEST_F(AmapTest, ReplaceInASharedAmapRemovesTheOldTranslations) {
  Pmap* pmap = pmap_.Create().value();
  for (Shared shared : {Shared::kNo, Shared::kYes}) {
    Amap* amap = NewAmap("a");
    amaps_.Reference(amap, shared);
    MutexLock lock(&amap->lock->mutex);
    Anon* old = amaps_.Lookup(amap, 0);
    ASSERT_TRUE(
        pmap_
            .Enter(pmap, Vaddr(0x4000), old->page->pa, base::kProtRead, {.access = base::kProtRead})
            .ok());
    amaps_.Replace(amap, 0, NewAnon('x'));
    EXPECT_EQ(pmap_.Extract(pmap, Vaddr(0x4000), nullptr), shared == Shared::kNo);
  }
}

TEST_F(AmapTest, SharedLastsWhileThereAreSeveralReferences) {
  Amap* amap = NewAmap("a");
  amaps_.Reference(amap, Shared::kYes);
  amaps_.Reference(amap, Shared::kNo);
  EXPECT_TRUE(amap->shared);
  amaps_.Release(amap);
  EXPECT_TRUE(amap->shared);
  amaps_.Release(amap);
  EXPECT_FALSE(amap->shared);
  EXPECT_EQ(amap->refs, 1u);
  amaps_.Release(amap);
  ExpectNothingLeft();
}

TEST_F(AmapTest, CopyRangeSharesAnonsAndTheLock) {
  Amap* source = NewAmap("abc.");
  amaps_.Reference(source, Shared::kNo);
  Amap* copy = Copy({source, 1}, 3);
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(Picture(copy), "bc.");
  EXPECT_EQ(Refs(source), "122.");
  EXPECT_EQ(copy->lock, source->lock);
  EXPECT_EQ(source->refs, 1u);  // the reference of the entry that got the copy
  EXPECT_EQ(core_.counters.frames_in_use, 3u);
  EXPECT_EQ(core_.counters.amap_copy, 1u);
  amaps_.Release(source);
  EXPECT_EQ(Refs(copy), "11.");
  EXPECT_EQ(core_.counters.frames_in_use, 2u);
  amaps_.Release(copy);
  ExpectNothingLeft();
}

TEST_F(AmapTest, TheLockLivesAsLongAsItsLastAmap) {
  Amap* source = NewAmap("ab");
  amaps_.Reference(source, Shared::kNo);
  Amap* copy = Copy({source, 0}, 2);
  amaps_.Reference(copy, Shared::kNo);
  Amap* second = Copy({copy, 0}, 2);
  EXPECT_EQ(second->lock->refs, 3u);
  amaps_.Release(copy);
  amaps_.Release(source);
  EXPECT_EQ(second->lock->refs, 1u);
  { MutexLock lock(&second->lock->mutex); }
  EXPECT_EQ(amaps_.live_locks(), 1u);
  amaps_.Release(second);
  EXPECT_EQ(amaps_.live_locks(), 0u);
}

TEST_F(AmapTest, CopyRangeOfASparseAmapCostsOnlyWhatIsThere) {
  std::string sparse(2000, '.');
  sparse[3] = 'a';
  sparse[1999] = 'b';
  Amap* source = NewAmap(sparse);
  amaps_.Reference(source, Shared::kNo);
  Amap* copy = Copy({source, 0}, 2000);
  EXPECT_EQ(copy->used_count, 2u);
  EXPECT_EQ(Picture(copy), sparse);
}

TEST_F(AmapTest, ExtendForwardMakesEmptySlots) {
  for (uint64_t add = 1; add <= 20; ++add) {
    Amap* amap = NewAmap("abc");
    ASSERT_TRUE(amaps_.ExtendForward({amap, 0}, PageCount(3), PageCount(add)));
    EXPECT_EQ(Picture(amap), "abc" + std::string(add, '.'));
    amaps_.Release(amap);
  }
  ExpectNothingLeft();
}

TEST_F(AmapTest, ExtendForwardDropsWhatFormerEntriesLeft) {
  Amap* amap = NewAmap("abcdef");
  // The only entry left is slots 1 and 2.
  ASSERT_TRUE(amaps_.ExtendForward({amap, 1}, PageCount(2), PageCount(2)));
  EXPECT_EQ(Picture(amap), ".bc...");
  EXPECT_EQ(anons_.live(), 2u);
  amaps_.Release(amap);
}

TEST_F(AmapTest, AnAmapThatOthersReferToIsNotExtended) {
  Amap* amap = NewAmap("ab");
  amaps_.Reference(amap, Shared::kNo);
  EXPECT_FALSE(amaps_.ExtendForward({amap, 0}, PageCount(2), PageCount(1)));
  EXPECT_EQ(Picture(amap), "ab");
}

TEST_F(AmapTest, AnAmapDoesNotBecomeLargeByExtension) {
  Amap* amap = NewAmap("a");
  EXPECT_FALSE(amaps_.ExtendForward({amap, 0}, PageCount(1), PageCount(kLargeAmapSlots - 1)));
  EXPECT_TRUE(amaps_.ExtendForward({amap, 0}, PageCount(1), PageCount(kLargeAmapSlots - 2)));
  EXPECT_EQ(amap->slot_count, kLargeAmapSlots - 1);
}

TEST_F(AmapTest, ALargeAmapUsesTheRoomItHas) {
  Amap* amap = NewAmap(std::string(300, '.'));
  EXPECT_EQ(amap->capacity, 512u);
  EXPECT_TRUE(amaps_.ExtendForward({amap, 0}, PageCount(300), PageCount(212)));
  EXPECT_FALSE(amaps_.ExtendForward({amap, 0}, PageCount(512), PageCount(1)));
}

TEST_F(AmapTest, WriteProtectLowersEverySpacesTranslations) {
  Amap* amap = NewAmap("abc");
  Pmap* one = pmap_.Create().value();
  Pmap* two = pmap_.Create().value();
  for (uint32_t slot = 0; slot < 3; ++slot) {
    Vaddr va(0x4000 + slot * base::kPageSize);
    for (Pmap* pmap : {one, two}) {
      ASSERT_TRUE(pmap_
                      .Enter(pmap, va, amap->anons[slot]->page->pa, base::kProtReadWrite,
                             {.access = base::kProtRead})
                      .ok());
    }
  }
  amaps_.WriteProtect({amap, 1}, PageCount(2));
  for (Pmap* pmap : {one, two}) {
    EXPECT_EQ(pmap_.RightsAt(pmap, Vaddr(0x4000)), base::kProtReadWrite);
    EXPECT_EQ(pmap_.RightsAt(pmap, Vaddr(0x5000)), base::kProtRead);
    EXPECT_EQ(pmap_.RightsAt(pmap, Vaddr(0x6000)), base::kProtRead);
  }
}

TEST_F(AmapTest, ReleaseRangeEmptiesTheRangeOnly) {
  // Few used slots in a long range and many in a short one take different walks.
  for (const char* picture : {"abcdef", "a....b"}) {
    Amap* amap = NewAmap(picture);
    {
      MutexLock lock(&amap->lock->mutex);
      amaps_.ReleaseRange({amap, 1}, PageCount(5));
    }
    EXPECT_EQ(Picture(amap), "a.....");
    EXPECT_EQ(amap->used_count, 1u);
    amaps_.Release(amap);
  }
  ExpectNothingLeft();
}

TEST_F(AmapTest, ReleaseUnsharedRangeKeepsHandsOffSharedAmaps) {
  Amap* split = NewAmap("abcd");
  amaps_.Reference(split, Shared::kNo);
  amaps_.ReleaseUnsharedRange({split, 0}, PageCount(2));
  EXPECT_EQ(Picture(split), "..cd");
  Amap* shared = NewAmap("abcd");
  amaps_.Reference(shared, Shared::kYes);
  amaps_.ReleaseUnsharedRange({shared, 0}, PageCount(2));
  EXPECT_EQ(Picture(shared), "abcd");
}

TEST_F(AmapTest, RunningOutOfMemoryIsANullPointerAndChangesNothing) {
  // Fresh stores for each number of chunks: amap, lock and the arrays are refused in turn.
  for (uint64_t chunks = 0; chunks < 4; ++chunks) {
    testing::HostPages memory;
    Core core{&memory, &pmap_, &threads_, {}, {}};
    AnonStore anons(&core, &pages_);
    AmapStore amaps(&core, &anons);
    memory.FailAfter(chunks);
    EXPECT_EQ(amaps.Allocate(PageCount(1000)), nullptr);
    EXPECT_EQ(amaps.live(), 0u);
    memory.NeverFail();
    EXPECT_NE(amaps.Allocate(PageCount(1000)), nullptr);
  }
  Amap* source = NewAmap(std::string(1000, '.') + "ab");
  amaps_.Reference(source, Shared::kNo);
  memory_.FailAfter(0);
  EXPECT_EQ(Copy({source, 0}, 1002), nullptr);
  EXPECT_EQ(source->refs, 2u);
  EXPECT_EQ(source->lock->refs, 1u);
  EXPECT_EQ(amaps_.live(), 1u);
}

TEST_F(AmapTest, SizesBeyondTheSlotNumbersAreRefused) {
  EXPECT_EQ(amaps_.Allocate(PageCount((uint64_t{1} << 31) + 1)), nullptr);
  EXPECT_EQ(amaps_.Allocate(PageCount(uint64_t{1} << 40)), nullptr);
}

TEST_F(AmapTest, AnonsRunOutWithFramesAndWithTheirPool) {
  anons_.set_limit(2);
  Anon* one = anons_.Allocate();
  ASSERT_NE(one, nullptr);
  ASSERT_NE(anons_.Allocate(), nullptr);
  EXPECT_EQ(anons_.Allocate(), nullptr);
  one->page->busy = BusyReason::kNotBusy;
  anons_.Release(one);
  EXPECT_NE(anons_.Allocate(), nullptr);
  anons_.set_limit(0);
  while (anons_.Allocate() != nullptr) {
  }
  EXPECT_EQ(anons_.live(), pages_.total().value());
}

using AmapDeathTest = AmapTest;

TEST_F(AmapDeathTest, MisuseDies) {
  Amap* amap = NewAmap("a.");
  EXPECT_DEATH(amaps_.Lookup(amap, 2), "slot_count");
  EXPECT_DEATH(amaps_.Add(amap, 0, nullptr), "nullptr");
  EXPECT_DEATH(amaps_.Remove(amap, 1), "nullptr");
  EXPECT_DEATH(amaps_.Replace(amap, 1, nullptr), "nullptr");
}

}  // namespace
}  // namespace uvm
