// The rules of map, grant and unmap one by one, as pictures: one letter for each page of 4 KiB,
// capital when it may be written, '.' where nothing is mapped. Larger pages have four pages here.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/text_sink.h"
#include "fake_l4/core.h"
#include "fake_l4/kernel.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

Profile Tiny(Profile profile) {
  profile.page_size_mask = 1u << 12 | 1u << 14;
  return profile;
}

// An fpage of pages: log2 0 is one page of 4 KiB, 2 a larger one.
uint64_t Fpage(uint64_t first, unsigned log2_pages, RightsBits rights = kRwx) {
  return first << 12 | uint64_t{12 + log2_pages} << 4 | rights;
}
constexpr uint64_t kComplete = 0x10;

class RulesTest : public ::testing::Test {
 protected:
  RulesTest() { Boot(kManualRules, kAmd64Nx); }
  ~RulesTest() override { EXPECT_EQ(Invariants(), ""); }

  // Space A holds frames a .. h, as two larger pages; B, C and D hold nothing.
  void Boot(const Quirks& quirks, const Profile& profile = kIa32, uint32_t max_mappings = 0) {
    core_ = std::make_unique<Core>(BootOptions{.ram_bytes = 8 << 12,
                                               .profile = Tiny(profile),
                                               .quirks = quirks,
                                               .max_mappings = max_mappings});
    core_->sigma0_owner_.assign(8, core_->root_.raw);
    core_->sigma0_touched_ = 8;
    for (int i = 0; i < 3; i++) core_->CreateSpace();
    first_ = core_->profile_.ram_base >> 12;
    Send(ItemKind::kMap, kSigma0, Fpage(first_, 3), kA, kComplete);
  }
  // The same pages, each of 4 KiB.
  void BootSmall(const Quirks& quirks) {
    Boot(quirks);
    Unmap(kA, Fpage(0, 3), Flush::kYes);
    for (uint64_t v = 0; v < 8; v++)
      Send(ItemKind::kMap, kSigma0, Fpage(first_ + v, 0), kA, Fpage(v, 0));
  }

  static constexpr int kSigma0 = 0, kA = 1, kB = 2, kC = 3, kD = 4;
  void Send(ItemKind kind, int from, uint64_t fpage, int to, uint64_t window,
            uint64_t base_page = 0) {
    core_->MapItem(*core_->spaces_[from], *core_->spaces_[to], kind, base_page << 12, fpage,
                   DecodeFpage(window, core_->profile_));
  }
  void Map(int from, uint64_t fpage, int to, uint64_t window, uint64_t base_page = 0) {
    Send(ItemKind::kMap, from, fpage, to, window, base_page);
  }
  void Grant(int from, uint64_t fpage, int to, uint64_t window, uint64_t base_page = 0) {
    Send(ItemKind::kGrant, from, fpage, to, window, base_page);
  }
  RightsBits Unmap(int space, uint64_t fpage, Flush flush = Flush::kNo) {
    return core_->UnmapFpage(*core_->spaces_[space], fpage, flush);
  }
  void Touch(int space, uint64_t page, RightsBits status) {
    const PageTable::Found found = core_->spaces_[space]->table.Walk(page);
    ASSERT_NE(found.pte, nullptr);
    found.pte->AddStatus(status);
  }

  std::string Pages(int space) const {
    std::string text;
    for (uint64_t v = 0; v < 8; v++) {
      const Mapping m = core_->MappingOf(SpaceId(space), v);
      const char letter = static_cast<char>(m.frame.PageNumber() - first_);
      text += !m.mapped() ? '.' : static_cast<char>(((m.rights & kW) != 0 ? 'A' : 'a') + letter);
    }
    return text;
  }
  // L: part of a larger page, s: a small one.
  std::string Sizes(int space) const {
    std::string text;
    for (uint64_t v = 0; v < 8; v++) {
      const Mapping m = core_->MappingOf(SpaceId(space), v);
      text += !m.mapped() ? '.' : m.log2 > 12 ? 'L' : 's';
    }
    return text;
  }
  std::string Invariants() const {
    char text[300];
    base::TextSink sink(text, sizeof text);
    return core_->CheckInvariants(sink) ? "" : text;
  }
  const MappingCounters& counters() const { return core_->database_.counters(); }

  std::unique_ptr<Core> core_;
  uint64_t first_ = 0;
};

// ---- Map ----

TEST_F(RulesTest, EachPageThatIsMappedTakesItsTime) {
  BootSmall(kManualRules);
  const auto time_of = [this](uint64_t fpage, uint64_t window) {
    const uint64_t before = core_->now_ns_;
    Map(kA, fpage, kB, window);
    return core_->now_ns_ - before;
  };
  EXPECT_EQ(time_of(Fpage(0, 0), Fpage(0, 0)), core_->profile_.costs.map_page);
  EXPECT_EQ(time_of(Fpage(4, 2), Fpage(4, 2)), 4 * core_->profile_.costs.map_page);
}

TEST_F(RulesTest, APageIsAsLargeAsSourceTargetAndFpageAllow) {
  EXPECT_EQ(Pages(kA), "ABCDEFGH");
  EXPECT_EQ(Sizes(kA), "LLLLLLLL");
  EXPECT_EQ(counters().mapped, 2u) << "one entry each";
  Map(kA, Fpage(4, 2), kB, Fpage(0, 2));
  EXPECT_EQ(Pages(kB), "EFGH....");
  EXPECT_EQ(Sizes(kB), "LLLL....");
  // A part, and the whole in small pieces.
  Map(kA, Fpage(1, 0), kB, Fpage(4, 2), 2);
  EXPECT_EQ(Pages(kB), "EFGH..B.");
  for (uint64_t v = 0; v < 4; v++) Map(kA, Fpage(v, 0), kC, Fpage(0, 2), v);
  EXPECT_EQ(Sizes(kC), "ssss....");
  // From small pages come small pages.
  Map(kC, Fpage(0, 2), kD, Fpage(4, 2));
  EXPECT_EQ(Pages(kD), "....ABCD");
  EXPECT_EQ(Sizes(kD), "....ssss");
  EXPECT_EQ(Sizes(kA), "LLLLLLLL") << "mapping splits no source";
}

TEST_F(RulesTest, AWindowTakesThePartTheSendBaseSays) {
  Map(kA, Fpage(0, 3), kB, Fpage(2, 1), 6);
  EXPECT_EQ(Pages(kB), "..GH....");
  Map(kA, Fpage(0, 3), kB, Fpage(0, 0), 5);
  EXPECT_EQ(Pages(kB), "F.GH....");
}

TEST_F(RulesTest, RightsAreTheItemsAndTheSources) {
  Map(kA, Fpage(0, 2, kR), kB, Fpage(0, 2));
  Map(kB, Fpage(0, 2, kRwx), kC, Fpage(0, 2));
  EXPECT_EQ(Pages(kC), "abcd....");
  Map(kA, Fpage(4, 2, 0), kB, Fpage(4, 2));
  EXPECT_EQ(Pages(kB), "abcd....") << "an item without rights maps nothing";
  Boot(kManualRules, kIa32);
  Map(kA, Fpage(4, 2, 0), kB, Fpage(4, 2));
  EXPECT_EQ(Pages(kB), "........");
}

TEST_F(RulesTest, TheSameSourceExtendsAndNeverReduces) {
  Map(kA, Fpage(0, 2, kR), kB, Fpage(0, 2));
  Map(kB, Fpage(1, 0), kC, Fpage(1, 0));
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  EXPECT_EQ(Pages(kB), "Abcd....") << "a part of a larger page is extended alone";
  EXPECT_EQ(Sizes(kB), "ssss....");
  Map(kA, Fpage(0, 2, kR), kB, Fpage(0, 2));
  EXPECT_EQ(Pages(kB), "Abcd....");
  EXPECT_EQ(Pages(kC), ".b......") << "what was derived stays";
}

TEST_F(RulesTest, AnotherSourceFlushesFirst) {
  Map(kA, Fpage(0, 2), kB, Fpage(0, 2));
  Map(kB, Fpage(0, 2), kC, Fpage(0, 2));
  Map(kA, Fpage(5, 0), kB, Fpage(1, 0));
  EXPECT_EQ(Pages(kB), "AFCD....");
  EXPECT_EQ(Pages(kC), "A.CD....") << "only the part in the way goes";
  // A larger page over small ones: those of the same source stay as they are.
  Map(kA, Fpage(0, 2), kB, Fpage(0, 2));
  EXPECT_EQ(Pages(kB), "ABCD....");
  EXPECT_EQ(Pages(kC), "A.CD....");
  // Over other ones it goes in whole.
  Map(kA, Fpage(4, 2), kB, Fpage(0, 2));
  EXPECT_EQ(Pages(kB), "EFGH....");
  EXPECT_EQ(Sizes(kB), "LLLL....");
  EXPECT_EQ(Pages(kC), "........");
}

TEST_F(RulesTest, WithinOneSpace) {
  Map(kA, Fpage(0, 2), kA, Fpage(0, 2));
  EXPECT_EQ(Pages(kA), "ABCDEFGH") << "onto itself nothing happens";
  Map(kA, Fpage(0, 0), kA, Fpage(2, 0));
  EXPECT_EQ(Pages(kA), "ABADEFGH") << "a part onto another part of the same page";
  Unmap(kA, Fpage(0, 0));
  EXPECT_EQ(Pages(kA), "AB.DEFGH");
}

TEST_F(RulesTest, MappingOverAnAncestorTakesTheSource) {
  Map(kA, Fpage(0, 2), kB, Fpage(0, 2));
  Map(kB, Fpage(0, 2), kA, Fpage(0, 2));
  EXPECT_EQ(Pages(kA), "....EFGH");
  EXPECT_EQ(Pages(kB), "........");
}

// ---- Unmap ----

// Of three that hold the same page the ones that could only read it lose it; whoever wrote, too,
// keeps that, wherever it stands in the list of those it was mapped to.
TEST_F(RulesTest, ARightIsTakenFromEveryoneEvenIfSomeLoseThePage) {
  Map(kA, Fpage(0, 0, kR), kB, Fpage(0, 0));
  Map(kA, Fpage(0, 0), kC, Fpage(0, 0));
  Map(kA, Fpage(0, 0, kR), kD, Fpage(0, 0));
  Unmap(kA, Fpage(0, 0, kR | kX));
  EXPECT_EQ(Pages(kA), "ABCDEFGH");
  EXPECT_EQ(Pages(kB) + Pages(kD), "................");
  EXPECT_EQ(core_->MappingOf(SpaceId(kC), 0).rights, kR | kW) << "writing implies reading";
}

TEST_F(RulesTest, UnmapOfAPartLeavesTheRest) {
  Map(kA, Fpage(0, 2), kB, Fpage(0, 2));
  Map(kB, Fpage(0, 2), kC, Fpage(4, 2));
  Unmap(kA, Fpage(1, 0));
  EXPECT_EQ(Pages(kA), "ABCDEFGH");
  EXPECT_EQ(Pages(kB), "A.CD....");
  EXPECT_EQ(Pages(kC), "....A.CD");
  Unmap(kB, Fpage(2, 0, kW), Flush::kYes);
  EXPECT_EQ(Pages(kA), "ABCDEFGH");
  EXPECT_EQ(Pages(kB), "A.cD....");
  EXPECT_EQ(Pages(kC), "....A.cD");
  Unmap(kA, Fpage(0, 3), Flush::kYes);
  EXPECT_EQ(Pages(kA) + Pages(kB) + Pages(kC), std::string(24, '.'));
}

TEST_F(RulesTest, StatusOfALargerPageIsThatOfEachPart) {
  Map(kA, Fpage(0, 2), kB, Fpage(0, 2));
  Touch(kB, 3, kR | kW);
  EXPECT_EQ(Unmap(kA, Fpage(0, 0, 0)), kR | kW) << "one entry had the bits of all";
  EXPECT_EQ(Unmap(kA, Fpage(0, 0, 0)), 0) << "told once";
  EXPECT_EQ(Unmap(kA, Fpage(3, 0, 0)), kR | kW) << "and the other parts are not forgotten";
  EXPECT_EQ(Unmap(kB, Fpage(0, 2, 0), Flush::kYes), kR | kW);
  EXPECT_EQ(Unmap(kSigma0, Fpage(first_, 2, 0)), kR | kW) << "every ancestor once";
  EXPECT_EQ(Unmap(kSigma0, Fpage(first_, 2, 0)), 0);
}

TEST_F(RulesTest, WhereThereIsNothingToDoNothingIsSplit) {
  Unmap(kA, Fpage(1, 0));
  Unmap(kA, Fpage(1, 0, 0), Flush::kYes);
  EXPECT_EQ(Sizes(kA), "LLLLLLLL");
  EXPECT_EQ(counters().split, 0u);
}

TEST_F(RulesTest, AnFpageSmallerThanAPage) {
  const uint64_t one_kilobyte = 10 << 4 | kRwx;
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Map(kA, one_kilobyte, kC, Fpage(0, 0));
  EXPECT_EQ(Pages(kC), "........");
  Unmap(kA, one_kilobyte);
  EXPECT_EQ(Pages(kB), "A.......") << "names no page, so nothing happens";
  Unmap(kA, 0);
  EXPECT_EQ(Pages(kB), "A.......");
  BootSmall(kPistachioNewMdb);
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Unmap(kA, one_kilobyte);
  EXPECT_EQ(Pages(kB), "........") << "[9] the whole page";
}

TEST_F(RulesTest, UnmapNeedsNoMemory) {
  Boot(kManualRules, kAmd64Nx, 3);
  Map(kA, Fpage(0, 2), kB, Fpage(0, 2));
  Map(kA, Fpage(4, 2), kB, Fpage(4, 2));
  EXPECT_EQ(Pages(kB), "ABCD....") << "three mappings are all there is memory for";
  EXPECT_EQ(counters().refused, 1u);
  Unmap(kA, Fpage(1, 0));
  EXPECT_EQ(Pages(kB), "A.CD....") << "the parts are more, but none is lost";
}

// ---- Grant ----

TEST_F(RulesTest, AGrantMovesThePageAndItsPlaceInTheTree) {
  Map(kA, Fpage(0, 2), kB, Fpage(0, 2));
  Map(kB, Fpage(0, 2), kC, Fpage(0, 2));
  Grant(kB, Fpage(0, 2), kD, Fpage(4, 2));
  EXPECT_EQ(Pages(kB), "........");
  EXPECT_EQ(Pages(kC), "ABCD....") << "what was derived from it is derived from the new one";
  EXPECT_EQ(Pages(kD), "....ABCD");
  Unmap(kD, Fpage(5, 0));
  EXPECT_EQ(Pages(kC), "A.CD....");
  Unmap(kA, Fpage(0, 2));
  EXPECT_EQ(Pages(kC) + Pages(kD), std::string(16, '.')) << "the granter's parent is its parent";
}

TEST_F(RulesTest, AGrantOfAPart) {
  Map(kA, Fpage(0, 2), kB, Fpage(0, 2));
  Grant(kB, Fpage(1, 0), kC, Fpage(0, 0));
  EXPECT_EQ(Pages(kB), "A.CD....");
  EXPECT_EQ(Pages(kC), "B.......");
  Grant(kB, Fpage(0, 2), kD, Fpage(4, 2));
  EXPECT_EQ(Pages(kB), "........");
  EXPECT_EQ(Pages(kD), "....A.CD");
}

TEST_F(RulesTest, AGrantGivesNoMoreThanItNames) {
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Map(kB, Fpage(0, 0), kC, Fpage(0, 0));
  Grant(kB, Fpage(0, 0, kR), kD, Fpage(0, 0));
  EXPECT_EQ(Pages(kD), "a.......");
  EXPECT_EQ(Pages(kC), "a.......") << "nothing below has rights it lacks";
  Grant(kD, Fpage(0, 0, 0), kB, Fpage(0, 0));
  EXPECT_EQ(Pages(kD) + Pages(kB), "a...............") << "no rights: nothing is granted";
}

TEST_F(RulesTest, AGrantOntoAPageThatIsThere) {
  // Onto itself.
  Grant(kA, Fpage(0, 2), kA, Fpage(0, 2));
  EXPECT_EQ(Pages(kA), "ABCDEFGH");
  // Onto a page derived from it: that one takes its place, with what is below both.
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Map(kB, Fpage(0, 0, kR), kC, Fpage(0, 0));
  Map(kC, Fpage(0, 0, kR), kC, Fpage(1, 0));
  Map(kB, Fpage(0, 0), kD, Fpage(0, 0));
  Grant(kB, Fpage(0, 0), kC, Fpage(0, 0));
  EXPECT_EQ(Pages(kB), "........");
  EXPECT_EQ(Pages(kC), "Aa......") << "extended";
  Unmap(kC, Fpage(0, 0));
  EXPECT_EQ(Pages(kC), "A.......");
  EXPECT_EQ(Pages(kD), "........");
  // Onto the page it was derived from: that goes, and with it the granter.
  Grant(kC, Fpage(0, 0), kA, Fpage(0, 0));
  EXPECT_EQ(Pages(kA), ".BCDEFGH");
  EXPECT_EQ(Pages(kC), "........");
  // Onto another page: that is flushed.
  Map(kA, Fpage(4, 0), kB, Fpage(0, 0));
  Grant(kA, Fpage(1, 0), kB, Fpage(0, 0));
  EXPECT_EQ(Pages(kA), "..CDEFGH");
  EXPECT_EQ(Pages(kB), "B.......");
}

TEST_F(RulesTest, WhatSigma0GrantsItStillHas) {
  Grant(kSigma0, Fpage(first_, 0), kB, Fpage(0, 0));
  EXPECT_EQ(Pages(kB), "A.......");
  Unmap(kSigma0, Fpage(first_, 0));
  EXPECT_EQ(Pages(kB), "........");
}

TEST_F(RulesTest, AGrantLosesNoStatus) {
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Map(kB, Fpage(0, 0), kC, Fpage(0, 0));
  Touch(kB, 0, kR);
  Touch(kC, 0, kR | kX);
  Grant(kB, Fpage(0, 0), kD, Fpage(0, 0));
  EXPECT_EQ(Unmap(kD, Fpage(0, 0, 0), Flush::kYes), kR | kX)
      << "what is derived from it, but not what the granter did";
  EXPECT_EQ(Unmap(kA, Fpage(0, 0, 0)), kR | kX) << "the parent is told of both";
}

// ---- What caches of translations are told ----

TEST_F(RulesTest, EveryLostRightIsTold) {
  class Listener : public RevocationListener {
   public:
    void Revoked(PageTable&, uint64_t vpage, unsigned log2) override {
      told.push_back({vpage, log2});
    }
    std::vector<std::pair<uint64_t, unsigned>> told;
  };
  using Told = std::vector<std::pair<uint64_t, unsigned>>;
  Listener listener;
  Map(kA, Fpage(0, 2), kB, Fpage(4, 2));
  core_->database_.SetListener(&listener);
  Map(kA, Fpage(4, 0), kC, Fpage(0, 0));
  EXPECT_EQ(listener.told, Told()) << "more rights need nobody's attention";
  Unmap(kA, Fpage(0, 2, kW));
  EXPECT_EQ(std::exchange(listener.told, {}), (Told{{4, 14}}));
  Unmap(kA, Fpage(1, 0));
  EXPECT_EQ(std::exchange(listener.told, {}), (Told{{5, 12}})) << "the part, not the split";
  Grant(kC, Fpage(0, 0), kB, Fpage(0, 0));
  EXPECT_EQ(std::exchange(listener.told, {}), (Told{{0, 12}}));
  core_->database_.SetListener(nullptr);
}

// Pages with others below them, under every kind of revocation: also those that set rights.
TEST_F(RulesTest, EveryRightLostInTheMiddleOfAChainIsTold) {
  class Listener : public RevocationListener {
   public:
    void Revoked(PageTable&, uint64_t vpage, unsigned) override { told.push_back(vpage); }
    std::vector<uint64_t> told;
  };
  for (const Quirks* q : {&kManualRules, &kPistachioNewMdb, &kPistachioOldMdb}) {
    BootSmall(*q);
    Map(kA, Fpage(0, 0), kB, Fpage(1, 0));
    Map(kB, Fpage(1, 0), kC, Fpage(2, 0));
    Map(kC, Fpage(2, 0), kD, Fpage(3, 0));
    Listener listener;
    core_->database_.SetListener(&listener);
    Unmap(kA, Fpage(0, 0, kW));
    std::sort(listener.told.begin(), listener.told.end());  // total order: numbers
    EXPECT_EQ(listener.told, (std::vector<uint64_t>{1, 2, 3})) << q->name;
    core_->database_.SetListener(nullptr);
  }
}

// ---- Costs, counted ----

TEST_F(RulesTest, APartIsUnmappedWithoutLookingAtTheOthers) {
  Map(kA, Fpage(0, 2), kB, Fpage(0, 2));
  Unmap(kA, Fpage(0, 0));
  const uint64_t split = counters().split, unmapped = counters().unmapped;
  EXPECT_EQ(split, 2u) << "the page and its child";
  for (uint64_t v = 1; v < 4; v++) Unmap(kA, Fpage(v, 0));
  EXPECT_EQ(counters().split, split) << "once";
  EXPECT_EQ(counters().unmapped, unmapped + 3);
}

// ---- Particular kernels; the item of facts/l4.md in brackets ----

TEST_F(RulesTest, QuirkRightsAreNotMasked) {  // [8.1]
  for (const Quirks* q : {&kPistachioNewMdb, &kPistachioOldMdb}) {
    BootSmall(*q);
    Map(kA, Fpage(0, 0, kR), kB, Fpage(0, 0));
    Map(kB, Fpage(0, 0, kRwx), kC, Fpage(0, 0));
    EXPECT_EQ(Pages(kC), "A.......") << q->name;
    Map(kB, Fpage(0, 0, kR), kD, Fpage(0, 0));
    Map(kB, Fpage(0, 0, kRwx), kD, Fpage(0, 0));
    EXPECT_EQ(Pages(kD), "a.......") << q->name << ": but an extension is";
  }
}

TEST_F(RulesTest, QuirkLeadingHolesShift) {  // [8.2]
  BootSmall(kManualRules);
  Unmap(kA, Fpage(0, 0), Flush::kYes);
  Unmap(kA, Fpage(2, 0), Flush::kYes);
  Map(kA, Fpage(0, 1), kB, Fpage(0, 1));
  EXPECT_EQ(Pages(kB), ".B......");
  BootSmall(kPistachioNewMdb);
  Unmap(kA, Fpage(0, 0), Flush::kYes);
  Map(kA, Fpage(0, 1), kB, Fpage(0, 1));
  EXPECT_EQ(Pages(kB), "B.......");
}

TEST_F(RulesTest, QuirkAnItemWithoutRightsMapsAReadablePage) {  // [8.3]
  BootSmall(kPistachioOldMdb);
  Map(kA, Fpage(0, 0, 0), kB, Fpage(0, 0));
  EXPECT_EQ(Pages(kB), "a.......");
}

TEST_F(RulesTest, QuirkOntoItself) {  // [8.4]
  BootSmall(kPistachioNewMdb);
  Map(kA, Fpage(0, 0), kA, Fpage(0, 0));
  EXPECT_EQ(Pages(kA), ".BCDEFGH");
  BootSmall(kPistachioOldMdb);
  Map(kA, Fpage(0, 0), kA, Fpage(0, 0));
  EXPECT_EQ(Pages(kA), "ABCDEFGH");
}

TEST_F(RulesTest, QuirkAGrantLargerThanItsWindowFlushesTheWhole) {  // [8.7]
  for (const Quirks* q : {&kPistachioNewMdb, &kPistachioOldMdb}) {
    BootSmall(*q);
    Grant(kA, Fpage(0, 1), kB, Fpage(0, 0));
    EXPECT_EQ(Pages(kA), "..CDEFGH") << q->name;
    EXPECT_EQ(Pages(kB), "A.......") << q->name;
    BootSmall(*q);
    Grant(kA, Fpage(0, 1, kW | kR), kB, Fpage(0, 0));
    EXPECT_EQ(Pages(kA), ".bCDEFGH") << q->name;
  }
}

TEST_F(RulesTest, QuirkAGrantOntoAPageOfTheSourceOnlyExtends) {  // [8.8]
  for (const Quirks* q : {&kPistachioNewMdb, &kPistachioOldMdb}) {
    BootSmall(*q);
    Map(kA, Fpage(0, 0, kR), kB, Fpage(0, 0));
    Grant(kA, Fpage(0, 0), kB, Fpage(0, 0));
    EXPECT_EQ(Pages(kA), "ABCDEFGH") << q->name;
    EXPECT_EQ(Pages(kB), "A.......") << q->name;
  }
}

TEST_F(RulesTest, QuirkNewDatabaseGrantLosesTheChildren) {  // [8.b, 8.g]
  BootSmall(kPistachioNewMdb);
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Grant(kA, Fpage(0, 0), kC, Fpage(0, 0));
  EXPECT_EQ(Pages(kB), "........");
  BootSmall(kPistachioOldMdb);
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Grant(kA, Fpage(0, 0), kC, Fpage(0, 0));
  EXPECT_EQ(Pages(kB), "A.......");
  Unmap(kC, Fpage(0, 0));
  EXPECT_EQ(Pages(kB), "........");
}

TEST_F(RulesTest, QuirkNewDatabaseHandsRightsBack) {  // [8.d]
  BootSmall(kPistachioNewMdb);
  Map(kA, Fpage(0, 0, kR), kB, Fpage(0, 0));
  Unmap(kA, Fpage(0, 0, 0));
  EXPECT_EQ(Pages(kB), "A.......") << "reading status";
  Unmap(kB, Fpage(0, 0, kW), Flush::kYes);
  EXPECT_EQ(Pages(kB), "a.......");
  Unmap(kB, Fpage(0, 0, 0), Flush::kYes);
  EXPECT_EQ(Pages(kB), "A.......");
}

TEST_F(RulesTest, QuirkStatus) {  // [8.9, 8.c, 8.e, 8.i, 8.j]
  BootSmall(kPistachioNewMdb);
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Touch(kB, 0, kR | kX);
  EXPECT_EQ(Unmap(kA, Fpage(0, 0, 0)), kR | kX);
  EXPECT_EQ(Unmap(kB, Fpage(0, 0, 0), Flush::kYes), kR | kX) << "the child remembers";
  EXPECT_EQ(Unmap(kA, Fpage(0, 0, 0), Flush::kYes), kR | kW) << "referenced arrives as written";
  BootSmall(kPistachioOldMdb);
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Touch(kA, 0, kRwx);
  Touch(kB, 0, kR | kX);
  EXPECT_EQ(Unmap(kA, Fpage(0, 0, 0)), kR | kX);
  EXPECT_EQ(Unmap(kA, Fpage(0, 0, 0), Flush::kYes), kR | kW) << "its own are lost, bits exchanged";
}

TEST_F(RulesTest, QuirkOldDatabaseKeepsThePageOfAnotherParent) {  // [8.a, 8.f]
  BootSmall(kPistachioOldMdb);
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Map(kB, Fpage(0, 0), kC, Fpage(0, 0));
  Map(kA, Fpage(0, 0), kC, Fpage(0, 0));
  Unmap(kB, Fpage(0, 0));
  EXPECT_EQ(Pages(kC), "........") << "still below its old parent";
  BootSmall(kPistachioNewMdb);
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Map(kB, Fpage(0, 0), kC, Fpage(0, 0));
  Map(kA, Fpage(0, 0), kC, Fpage(0, 0));
  Unmap(kB, Fpage(0, 0));
  EXPECT_EQ(Pages(kC), "A.......");
}

// [superpages]
TEST_F(RulesTest, QuirkLargerPagesAreNeverSplit) {
  Boot(kPistachioNewMdb);
  Map(kA, Fpage(0, 2), kB, Fpage(0, 2));
  Unmap(kB, Fpage(1, 0), Flush::kYes);
  EXPECT_EQ(Pages(kB), "........") << "flush of a part takes the whole";
  Map(kA, Fpage(0, 1), kB, Fpage(0, 1));
  EXPECT_EQ(Pages(kB), "AB......");
  Unmap(kA, Fpage(0, 1));
  EXPECT_EQ(Pages(kB), ".B......") << "without flush only the first frame's children are found";
  Map(kA, Fpage(0, 0), kB, Fpage(0, 0));
  Map(kA, Fpage(2, 1), kB, Fpage(2, 1));
  EXPECT_EQ(Pages(kB), "ABCD....");
  Unmap(kA, Fpage(0, 2));
  EXPECT_EQ(Pages(kB), ".BCD....") << "however many others there are";
  Map(kA, Fpage(4, 2), kC, Fpage(0, 2));
  EXPECT_EQ(counters().debugger_entries, 0u);
  Map(kA, Fpage(0, 0), kC, Fpage(1, 0));
  EXPECT_EQ(Pages(kC), "EFGH....") << "a small page into a larger one is refused";
  EXPECT_EQ(counters().debugger_entries, 1u);
  Grant(kA, Fpage(5, 0), kD, Fpage(0, 0));
  EXPECT_EQ(Pages(kD), "F.......");
  EXPECT_EQ(Pages(kA), "ABCD....") << "a granted part takes the whole from the granter";
  EXPECT_EQ(Pages(kC), "........");
}

// [superpages] In the way of smaller pages a larger one is passed whole, for one page of the source
// and one unit of what is to be mapped.
TEST_F(RulesTest, QuirkSmallPagesPassALargerOneInTheWay) {
  BootSmall(kPistachioNewMdb);
  Send(ItemKind::kMap, kSigma0, Fpage(first_, 2), kC, Fpage(0, 2));
  ASSERT_EQ(Sizes(kC), "LLLL....");
  Map(kA, Fpage(0, 3), kC, Fpage(0, 3));
  EXPECT_EQ(Pages(kC), "ABCDBCDE");
  EXPECT_EQ(Sizes(kC), "LLLLssss");
}

// Its memory and the devices', that is; whatever is asked for.
TEST_F(RulesTest, Sigma0HasNoMoreThanTheMemory) {
  for (const Quirks* q : {&kManualRules, &kPistachioNewMdb, &kPistachioOldMdb}) {
    Boot(*q);
    const uint64_t frames = core_->frames();
    core_->sigma0_owner_.assign(frames, core_->root_.raw);
    core_->sigma0_touched_ = static_cast<uint32_t>(frames);
    const unsigned more = static_cast<unsigned>(std::bit_width(frames));
    Send(ItemKind::kMap, kSigma0, Fpage(first_, more), kB, kComplete);
    for (uint64_t v = 0; v < uint64_t{1} << more; v++) {
      EXPECT_EQ(core_->MappingOf(SpaceId(kB), v).mapped(), v < frames) << q->name << " " << v;
    }
  }
}

}  // namespace
}  // namespace fake_l4
