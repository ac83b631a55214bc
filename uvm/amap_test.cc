#include "uvm/amap.h"

#include <string>
#include <vector>

#include "base/addr.h"
#include "base/errors.h"
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
  // One more entry, one entry less, of all slots.
  void Reference(Amap* amap, Shared shared) {
    amaps_.Reference({amap, 0}, PageCount(amap->slot_count), shared);
  }
  void Release(Amap* amap) { amaps_.Release({amap, 0}, PageCount(amap->slot_count)); }
  // "ok" or the error's name; *ref is moved.
  std::string Extend(AmapRef* ref, uint64_t pages, uint64_t add,
                     ExtendTo where = ExtendTo::kForward) {
    auto extended = amaps_.Extend(ref, PageCount(pages), PageCount(add), where);
    return extended.ok() ? "ok" : base::MapErrorName(extended.error());
  }
  Amap* Copy(const AmapRef& ref, uint64_t pages) {
    MutexLock lock(&ref.amap->lock->mutex);
    return amaps_.CopyRange(ref, PageCount(pages));
  }
  bool CopyNow(Amap* copy, uint64_t pages) {
    MutexLock lock(&copy->lock->mutex);
    return amaps_.CopyNow({copy, 0}, PageCount(pages), nullptr) == AmapStore::Copied::kAll;
  }
  void ExpectNothingLeft() {
    EXPECT_EQ(amaps_.live(), 0u);
    EXPECT_EQ(amaps_.array_bytes(), 0u);
    EXPECT_EQ(anons_.live(), 0u);
    EXPECT_EQ(core_.counters.frames_in_use, 0u);
  }

  testing::NaivePmap pmap_{32};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  AnonStore anons_{&core_, &pages_};
  AmapStore amaps_{&core_, &pages_, &anons_};
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
  Release(amap);
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
  Release(amap);
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
  Release(amap);
  ExpectNothingLeft();
}

TEST_F(AmapTest, ReplaceInASharedAmapRemovesTheOldTranslations) {
  Pmap* pmap = pmap_.Create().value();
  for (Shared shared : {Shared::kNo, Shared::kYes}) {
    Amap* amap = NewAmap("a");
    Reference(amap, shared);
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
  Reference(amap, Shared::kYes);
  Reference(amap, Shared::kNo);
  EXPECT_TRUE(amap->shared);
  Release(amap);
  EXPECT_TRUE(amap->shared);
  Release(amap);
  EXPECT_FALSE(amap->shared);
  EXPECT_EQ(amap->refs, 1u);
  Release(amap);
  ExpectNothingLeft();
}

TEST_F(AmapTest, ACursorGoesOnWhenItsAmapDies) {
  Amap* amaps[] = {NewAmap("a"), NewAmap("b")};
  AmapCursor cursor;
  amaps_.OpenCursor(&cursor);
  Amap* const first = cursor.at;
  Amap* const second = amaps[first == amaps[0] ? 1 : 0];
  Release(first);
  EXPECT_EQ(cursor.at, second);
  Release(second);
  EXPECT_EQ(cursor.at, nullptr);
  amaps_.CloseCursor(&cursor);
  ExpectNothingLeft();
}

TEST_F(AmapTest, CopyRangeSharesAnonsAndTheLock) {
  Amap* source = NewAmap("abc.");
  Reference(source, Shared::kNo);
  Amap* copy = Copy({source, 1}, 3);
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(Picture(copy), "bc.");
  EXPECT_EQ(Refs(source), "122.");
  EXPECT_EQ(copy->lock, source->lock);
  EXPECT_EQ(source->refs, 1u);  // the reference of the entry that got the copy
  EXPECT_EQ(core_.counters.frames_in_use, 3u);
  EXPECT_EQ(core_.counters.amap_copy, 1u);
  Release(source);
  EXPECT_EQ(Refs(copy), "11.");
  EXPECT_EQ(core_.counters.frames_in_use, 2u);
  Release(copy);
  ExpectNothingLeft();
}

TEST_F(AmapTest, TheLockLivesAsLongAsItsLastAmap) {
  Amap* source = NewAmap("ab");
  Reference(source, Shared::kNo);
  Amap* copy = Copy({source, 0}, 2);
  Reference(copy, Shared::kNo);
  Amap* second = Copy({copy, 0}, 2);
  EXPECT_EQ(second->lock->DebugRefs(), 3u);
  Release(copy);
  Release(source);
  EXPECT_EQ(second->lock->DebugRefs(), 1u);
  { MutexLock lock(&second->lock->mutex); }
  EXPECT_EQ(amaps_.live_locks(), 1u);
  Release(second);
  EXPECT_EQ(amaps_.live_locks(), 0u);
}

TEST_F(AmapTest, CopyRangeOfASparseAmapCostsOnlyWhatIsThere) {
  std::string sparse(2000, '.');
  sparse[3] = 'a';
  sparse[1999] = 'b';
  Amap* source = NewAmap(sparse);
  Reference(source, Shared::kNo);
  Amap* copy = Copy({source, 0}, 2000);
  EXPECT_EQ(copy->used_count, 2u);
  EXPECT_EQ(Picture(copy), sparse);
}

TEST_F(AmapTest, ExtendMakesEmptySlotsOnEitherSide) {
  for (uint64_t add = 1; add <= 20; ++add) {
    AmapRef ref = {NewAmap("abc"), 0};
    ASSERT_EQ(Extend(&ref, 3, add), "ok");
    EXPECT_EQ(Picture(ref.amap).substr(ref.slot, 3 + add), "abc" + std::string(add, '.'));
    ASSERT_EQ(Extend(&ref, 3 + add, add, ExtendTo::kBackward), "ok");
    EXPECT_EQ(Picture(ref.amap).substr(ref.slot, 3 + 2 * add),
              std::string(add, '.') + "abc" + std::string(add, '.'));
    amaps_.Release(ref, PageCount(3 + 2 * add));
  }
  ExpectNothingLeft();
}

TEST_F(AmapTest, BackwardExtensionUsesTheFrontThenSlidesThenReallocates) {
  AmapRef ref = {NewAmap("..ab"), 2};
  Anon** arrays = ref.amap->anons;
  ASSERT_EQ(Extend(&ref, 2, 1, ExtendTo::kBackward), "ok");
  EXPECT_EQ(ref.slot, 1u);  // there was room in front
  EXPECT_EQ(Picture(ref.amap), "..ab");
  ASSERT_EQ(Extend(&ref, 3, 1, ExtendTo::kBackward), "ok");
  EXPECT_EQ(ref.slot, 0u);
  AmapRef slid = {NewAmap("ab.."), 0};
  ASSERT_EQ(Extend(&slid, 2, 2, ExtendTo::kBackward), "ok");
  EXPECT_EQ(Picture(slid.amap), "..ab");
  EXPECT_EQ(slid.slot, 0u);
  EXPECT_EQ(ref.amap->anons, arrays);
  ASSERT_EQ(Extend(&ref, 4, 1, ExtendTo::kBackward), "ok");
  EXPECT_EQ(ref.amap->capacity, 8u);
  EXPECT_EQ(Picture(ref.amap).substr(ref.slot), "...ab");
}

TEST_F(AmapTest, ForwardExtensionUsesTheBackThenSlidesThenReallocates) {
  AmapRef ref = {NewAmap("..ab"), 2};
  ASSERT_EQ(Extend(&ref, 2, 2), "ok");
  EXPECT_EQ(ref.slot, 0u);
  EXPECT_EQ(Picture(ref.amap), "ab..");
  ASSERT_EQ(Extend(&ref, 4, 1), "ok");
  EXPECT_EQ(ref.amap->capacity, 8u);
  ASSERT_EQ(Extend(&ref, 5, 3), "ok");
  EXPECT_EQ(Picture(ref.amap), "ab......");
}

TEST_F(AmapTest, ExtensionStartsCountingAnew) {
  AmapRef left = {NewAmap("abcdef"), 0};
  AmapRef right;
  amaps_.Split(left, PageCount(6), PageCount(2), &right);
  amaps_.Release(left, PageCount(2));
  EXPECT_EQ(Picture(right.amap), "..cdef");
  EXPECT_EQ(right.amap->pp, Ppref::kPresent);
  ASSERT_EQ(Extend(&right, 4, 1), "ok");
  EXPECT_EQ(right.amap->pp, Ppref::kAbsent);
  EXPECT_EQ(Picture(right.amap).substr(right.slot), "cdef.");
  amaps_.Release(right, PageCount(5));
  ExpectNothingLeft();
}

TEST_F(AmapTest, AnAmapThatOthersReferToIsNotExtended) {
  AmapRef ref = {NewAmap("ab"), 0};
  Reference(ref.amap, Shared::kNo);
  EXPECT_EQ(Extend(&ref, 2, 1), "busy");
  EXPECT_EQ(Extend(&ref, 2, 1, ExtendTo::kBackward), "busy");
  EXPECT_EQ(Picture(ref.amap), "ab");
}

TEST_F(AmapTest, AnAmapDoesNotBecomeLargeByExtension) {
  AmapRef ref = {NewAmap("a"), 0};
  EXPECT_EQ(Extend(&ref, 1, kLargeAmapSlots - 1), "too_big");
  EXPECT_EQ(Extend(&ref, 1, kLargeAmapSlots - 1, ExtendTo::kBackward), "too_big");
  EXPECT_EQ(Extend(&ref, 1, kLargeAmapSlots - 2), "ok");
  EXPECT_EQ(ref.amap->slot_count, kLargeAmapSlots - 1);
}

TEST_F(AmapTest, ALargeAmapUsesTheRoomItHas) {
  AmapRef ref = {NewAmap(std::string(300, '.')), 0};
  EXPECT_EQ(ref.amap->capacity, 512u);
  EXPECT_EQ(Extend(&ref, 300, 212), "ok");
  EXPECT_EQ(Extend(&ref, 512, 1), "too_big");
}

TEST_F(AmapTest, PaddingIsRoomToGrow) {
  Amap* amap = amaps_.Allocate(PageCount(4), PageCount(16));
  EXPECT_EQ(amap->slot_count, 4u);
  EXPECT_EQ(amap->capacity, 32u);
}

TEST_F(AmapTest, APartThatNobodyCoversIsReleasedAtOnce) {
  AmapRef left = {NewAmap("abcdef"), 0};
  AmapRef middle;
  AmapRef right;
  amaps_.Split(left, PageCount(6), PageCount(2), &middle);
  amaps_.Split(middle, PageCount(4), PageCount(2), &right);
  EXPECT_EQ(left.amap->refs, 3u);
  amaps_.Release(middle, PageCount(2));
  EXPECT_EQ(Picture(left.amap), "ab..ef");
  amaps_.Release(left, PageCount(2));
  EXPECT_EQ(Picture(right.amap), "....ef");
  amaps_.Release(right, PageCount(2));
  ExpectNothingLeft();
}

TEST_F(AmapTest, APartThatARelativeCoversStays) {
  AmapRef parent = {NewAmap("abcd"), 0};
  Reference(parent.amap, Shared::kNo);
  AmapRef tail;
  amaps_.Split(parent, PageCount(4), PageCount(1), &tail);
  EXPECT_EQ(AmapStore::DebugPpref(parent.amap, 0), 2u);
  amaps_.Release(tail, PageCount(3));
  EXPECT_EQ(Picture(parent.amap), "abcd");
  EXPECT_EQ(AmapStore::DebugPpref(parent.amap, 3), 1u);
  // The child drops the same part (OpenBSD wiped too much here).
  amaps_.Split(parent, PageCount(4), PageCount(1), &tail);
  amaps_.Release(tail, PageCount(3));
  EXPECT_EQ(Picture(parent.amap), "a...");
}

TEST_F(AmapTest, APartialReferenceCountsOnlyWhatItCovers) {
  AmapRef whole = {NewAmap("abcd"), 0};
  amaps_.ReferencePart(whole, PageCount(4), {whole.amap, 1}, PageCount(2), Shared::kYes);
  EXPECT_TRUE(whole.amap->shared);
  std::string counts;
  for (uint32_t slot = 0; slot < 4; ++slot)
    counts += static_cast<char>('0' + AmapStore::DebugPpref(whole.amap, slot));
  EXPECT_EQ(counts, "1221");
  amaps_.Release(whole, PageCount(4));
  EXPECT_EQ(Picture(whole.amap), ".bc.");
  EXPECT_FALSE(whole.amap->shared);
}

TEST_F(AmapTest, WithoutMemoryForCountsPagesWaitForTheAmapsEnd) {
  AmapRef left = {NewAmap(std::string(3000, '.') + "ab"), 0};
  AmapRef right;
  memory_.FailAfter(0);
  amaps_.Split(left, PageCount(3002), PageCount(3001), &right);
  memory_.NeverFail();
  EXPECT_EQ(left.amap->pp, Ppref::kLost);
  amaps_.Release(right, PageCount(1));
  EXPECT_EQ(left.amap->used_count, 2u);
  // Extension knows that one entry is left and cleans up.
  ASSERT_EQ(Extend(&left, 3001, 1), "ok");
  EXPECT_EQ(left.amap->used_count, 1u);
  amaps_.Release(left, PageCount(3002));
  ExpectNothingLeft();
}

TEST_F(AmapTest, CopyNowGivesEverySharedAnonATwin) {
  Amap* source = NewAmap("ab.c");
  Reference(source, Shared::kNo);
  Amap* copy = Copy({source, 0}, 4);
  EXPECT_EQ(Refs(copy), "22.2");
  ASSERT_TRUE(CopyNow(copy, 4));
  EXPECT_EQ(Refs(copy), "11.1");
  EXPECT_EQ(Refs(source), "11.1");
  EXPECT_EQ(Picture(copy), "ab.c");
  EXPECT_NE(copy->anons[0], source->anons[0]);
}

TEST_F(AmapTest, CopyNowGoesOnWhereMemoryRanOut) {
  Amap* source = NewAmap("abc");
  Reference(source, Shared::kNo);
  Amap* copy = Copy({source, 0}, 3);
  anons_.set_limit(4);
  EXPECT_FALSE(CopyNow(copy, 3));
  EXPECT_EQ(anons_.live(), 4u);
  anons_.set_limit(0);
  EXPECT_TRUE(CopyNow(copy, 3));
  EXPECT_EQ(Refs(copy), "111");
  EXPECT_EQ(Picture(copy), "abc");
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
  {
    MutexLock lock(&amap->lock->mutex);
    amaps_.WriteProtect({amap, 1}, PageCount(2));
  }
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
    Release(amap);
  }
  ExpectNothingLeft();
}

TEST_F(AmapTest, RunningOutOfMemoryIsANullPointerAndChangesNothing) {
  // Fresh stores for each number of chunks: amap, lock and the arrays are refused in turn.
  for (uint64_t chunks = 0; chunks < 4; ++chunks) {
    testing::HostPages memory;
    Core core{&memory, &pmap_, &threads_, {}, {}};
    AnonStore anons(&core, &pages_);
    AmapStore amaps(&core, &pages_, &anons);
    memory.FailAfter(chunks);
    EXPECT_EQ(amaps.Allocate(PageCount(1000)), nullptr);
    EXPECT_EQ(amaps.live(), 0u);
    memory.NeverFail();
    EXPECT_NE(amaps.Allocate(PageCount(1000)), nullptr);
  }
  Amap* source = NewAmap(std::string(1000, '.') + "ab");
  Reference(source, Shared::kNo);
  memory_.FailAfter(0);
  EXPECT_EQ(Copy({source, 0}, 1002), nullptr);
  EXPECT_EQ(source->refs, 2u);
  EXPECT_EQ(source->lock->DebugRefs(), 1u);
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
#ifdef UVM_VERIFY
  EXPECT_DEATH(amaps_.Remove(amap, 0), "HeldBySelf");
#endif
  MutexLock lock(&amap->lock->mutex);
  EXPECT_DEATH(amaps_.Add(amap, 0, nullptr), "nullptr");
  EXPECT_DEATH(amaps_.Remove(amap, 1), "nullptr");
  EXPECT_DEATH(amaps_.Replace(amap, 1, nullptr), "nullptr");
}

}  // namespace
}  // namespace uvm
