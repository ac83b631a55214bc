// Each thing that SwapSlotsAgree says, broken by hand.

#include "uvm/swap_state_invariants.h"

#include <cstring>
#include <string>

#include "base/text_sink.h"
#include "gtest/gtest.h"
#include "uvm/testing/page_out.h"

namespace uvm {
namespace {

using testing::Space;

class SwapStateInvariantsTest : public testing::SwappingTest {
 protected:
  std::string Disagreement() {
    char buffer[300];
    base::TextSink text(buffer, sizeof buffer);
    return SwapSlotsAgree(&uvm(), CleanPages::kAll, &text) ? "" : text.text();
  }
  Anon* AnonAt(const Space& space, uint64_t page) {
    const MapEntry* entry = EntryAt(space, page);
    return entry->aref.amap->anons[entry->SlotOf(testing::PageAt(page))];
  }
};

TEST_F(SwapStateInvariantsTest, SeesPagesWithoutContents) {
  Space space = NewSpace("ab");
  PageOut(space, "x.");
  Anon* anon = AnonAt(space, 0);
  const SwapSlot slot = anon->slot;
  anon->slot = kNoSlot;
  EXPECT_EQ(Disagreement(), "amap#1[0] anon slot=0 has neither page nor slot");
  anon->slot = kBadSlot;
  EXPECT_NE(Disagreement().find("is lost, though nothing failed"), std::string::npos);
  anon->slot = slot;
  EXPECT_EQ(Disagreement(), "");
}

TEST_F(SwapStateInvariantsTest, SeesSlotsOfTwo) {
  Space space = NewSpace("ab");
  PageOut(space, "xx");
  Anon* anon = AnonAt(space, 0);
  const SwapSlot slot = anon->slot;
  anon->slot = AnonAt(space, 1)->slot;
  EXPECT_NE(Disagreement().find("somebody else's, too"), std::string::npos) << Disagreement();
  anon->slot = slot;
}

TEST_F(SwapStateInvariantsTest, SeesSlotsOfNobody) {
  uint32_t count = 1;
  const SwapSlot slot = uvm().swap().Allocate(&count, SwapStore::LessOk::kNo);
  EXPECT_NE(Disagreement().find("is in use and nobody's"), std::string::npos) << Disagreement();
  uvm().swap().Free(slot, 1);
}

TEST_F(SwapStateInvariantsTest, SeesPagesThatAreMiscounted) {
  Space space = NewSpace("a");
  PageOut(space, "x");
  uvm().swap().AddOnlyOnSwap(-1);
  EXPECT_EQ(Disagreement(), "1 pages are on swap only, 0 count as such");
  uvm().swap().AddOnlyOnSwap(+1);
}

TEST_F(SwapStateInvariantsTest, SeesCleanPagesThatDiffer) {
  Space space = NewSpace("a");
  PageOut(space, "x");
  space.Read("x");
  Page* page = ResidentAt(space, 0);
  unsigned char* bytes = uvm().DebugPages().Contents(page);
  bytes[100] = 'b';
  EXPECT_EQ(Disagreement(), "") << "it may be dirty";
  page->dirty = Dirty::kClean;
  EXPECT_NE(Disagreement().find("is clean, and differs from its slot"), std::string::npos);
  bytes[100] = 'a';
  EXPECT_EQ(Disagreement(), "");
  page->dirty = Dirty::kUnknown;
}

TEST_F(SwapStateInvariantsTest, SeesCleanPagesThatAreNowhereElse) {
  Space space = NewSpace("a");
  // Where only the pmap knows, a pmap that saw no write would let the page daemon drop it.
  for (Dirty status : {Dirty::kClean, Dirty::kUnknown}) {
    ResidentAt(space, 0)->dirty = status;
    EXPECT_NE(Disagreement().find("is not dirty and has no slot"), std::string::npos);
  }
  ResidentAt(space, 0)->dirty = Dirty::kDirty;
  Object* object = uvm().CreateAobj(base::kPageSize, 0).value();
  Space shared = NewSpace(".");
  shared.Map({.at = 0, .sharing = Sharing::kShared, .file = object});
  shared.Write("b");
  Page* page = ResidentAt(shared, 0);
  for (Dirty status : {Dirty::kClean, Dirty::kUnknown}) {
    page->dirty = status;
    EXPECT_NE(Disagreement().find("is not dirty and has no slot"), std::string::npos);
  }
  page->dirty = Dirty::kDirty;
  uvm().ReleaseObject(object);
}

TEST_F(SwapStateInvariantsTest, SeesWiredPagesWithSlots) {
  Space space = NewSpace("a");
  PageOut(space, "x");
  space.Read("x");
  Page* page = ResidentAt(space, 0);
  uvm().DebugPages().Wire(page);
  EXPECT_NE(Disagreement().find("is wired"), std::string::npos);
  uvm().DebugPages().Unwire(page);
}

TEST_F(SwapStateInvariantsTest, SeesSlotsBeyondTheEnd) {
  Object* object = uvm().CreateAobj(base::kPageSize, 0).value();
  auto* anonymous = const_cast<AnonymousPager*>(&uvm().DebugAnonymous());
  uint32_t count = 1;
  const SwapSlot slot = uvm().swap().Allocate(&count, SwapStore::LessOk::kNo);
  uvm().swap().AddOnlyOnSwap(+1);
  EXPECT_TRUE(anonymous->SetSlot(object, PageIndex(1), slot).ok());
  EXPECT_NE(Disagreement().find("lies beyond its end"), std::string::npos);
  uvm().ReleaseObject(object);
  EXPECT_EQ(Disagreement(), "");
}

}  // namespace
}  // namespace uvm
