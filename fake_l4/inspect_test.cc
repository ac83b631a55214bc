// The checker checked: each invariant, broken by hand, is reported by name.
#include <l4/types.h>

#include <string>

#include "base/text_sink.h"
#include "fake_l4/core.h"
#include "fake_l4/kernel.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

class InspectTest : public ::testing::Test {
 protected:
  // sigma0 -> root page 7 -> a page 9, read only.
  InspectTest() : core_({.ram_bytes = 1 << 20}) {
    core_.sigma0_owner_.resize(256);
    core_.sigma0_owner_[3] = core_.root_.raw;
    core_.sigma0_touched_ = 4;
    root_space_ = core_.spaces_[1].get();
    other_ = core_.CreateSpace();
    core_.database_.MapPage(core_.database_.Root(3), root_space_->table, 1, 7, kRwx);
    parent_ = root_space_->table.Find(7);
    core_.database_.MapPage(parent_->node(), other_->table, 2, 9, kR);
    child_ = other_->table.Find(9);
  }
  std::string Problem() {
    char text[256];
    base::TextSink sink(text, sizeof text);
    if (core_.CheckInvariants(sink)) return "";
    const std::string all = text;
    return all.substr(0, all.find(':'));
  }
  Core core_;
  Space* root_space_;
  Space* other_;
  Pte* parent_;
  Pte* child_;
};

TEST_F(InspectTest, NothingIsWrong) { EXPECT_EQ(Problem(), ""); }

TEST_F(InspectTest, AChildWithMoreRights) {
  parent_->set_rights(kR | kX);
  EXPECT_EQ(Problem(), "");
  parent_->set_rights(kR);
  child_->set_rights(kR | kW);
  EXPECT_EQ(Problem(), "RightsWithinAncestors");
}

TEST_F(InspectTest, AnotherFrame) {
  child_->Set(kR, child_->frame_number() + 1, child_->node());
  EXPECT_EQ(Problem(), "FramesLieWithinParents");
}

TEST_F(InspectTest, ASmallPageWithinALargerOne) {
  // A page of 2 MiB, then one of 4 KiB of the same space inside.
  Core core({.ram_bytes = 4 << 20});
  core.sigma0_owner_.assign(1024, core.root_.raw);
  core.sigma0_touched_ = 1024;
  PageTable& table = core.spaces_[1]->table;
  const uint64_t first = core.profile_.ram_base >> kPageShift;
  core.database_.MapPage(core.database_.RootAt(first, 1), table, 1, 512, kRwx);
  char text[256];
  base::TextSink good(text, sizeof text);
  EXPECT_TRUE(core.CheckInvariants(good)) << text;
  core.database_.MapPage(core.database_.RootAt(first, 0), table, 1, 513, kRwx);
  base::TextSink bad(text, sizeof text);
  EXPECT_FALSE(core.CheckInvariants(bad));
  EXPECT_EQ(std::string(text).substr(0, 17), "PagesDoNotOverlap");
}

TEST_F(InspectTest, AnEntryWithoutANode) {
  child_->Set(kR, child_->frame_number(), 0);
  EXPECT_EQ(Problem(), "PageTableEqualsDatabase");
}

TEST_F(InspectTest, AnEntryThatIsNotCounted) {
  child_->Clear();
  EXPECT_EQ(Problem(), "LeafCounts");
}

TEST_F(InspectTest, TwoEntriesOfOneNode) {
  *other_->table.Ensure(10, 0) = *child_;
  other_->table.CountPresent(10, 0);
  EXPECT_EQ(Problem(), "PageTableEqualsDatabase");
}

TEST_F(InspectTest, RightsTheProcessorCannotGive) {
  child_->set_rights(kX);
  EXPECT_EQ(Problem(), "RightsAreSeparable");
}

TEST_F(InspectTest, AChildItsParentDoesNotKnow) {
  core_.database_.links(parent_->node()).first_child = 0;
  EXPECT_EQ(Problem(), "ChildrenAreLinked");
}

TEST_F(InspectTest, AFrameThatSigma0GaveToNobody) {
  core_.sigma0_owner_[3] = 0;
  EXPECT_EQ(Problem(), "Sigma0KnowsOwners");
  core_.sigma0_owner_[3] = core_.root_.raw;
  EXPECT_EQ(Problem(), "");
  core_.sigma0_touched_ = 3;
  EXPECT_EQ(Problem(), "Sigma0KnowsOwners");
}

TEST_F(InspectTest, AChainThatRunsInACircle) {
  // The child of a child that is its own ancestor; counts and lists are right, it just never ends.
  core_.database_.MapPage(child_->node(), root_space_->table, 1, 20, kR);
  Pte* grandchild = root_space_->table.Find(20);
  MappingNode& child = core_.database_.node(child_->node());
  MappingLinks& parent = core_.database_.links(parent_->node());
  core_.database_.links(grandchild->node()).first_child = child_->node();
  parent.first_child = 0;
  child.parent = grandchild->node();
  EXPECT_EQ(Problem(), "ChainsEndAtSigma0");
}

TEST(RememberedTranslationTest, ATranslationThatOutlivesItsMapping) {
  Core core({.ram_bytes = 1 << 20, .processors = 2});
  core.sigma0_owner_.resize(256);
  core.sigma0_owner_[3] = core.root_.raw;
  core.sigma0_touched_ = 4;
  Space& root = *core.spaces_[1];
  core.database_.MapPage(core.database_.Root(3), root.table, 1, 7, kRwx);
  Pte* page = root.table.Find(7);
  core.translations_->Fill(1, {.table = &root.table,
                               .space = 1,
                               .vpage = 7,
                               .frame = page->frame_number(),
                               .rights = kRwx});
  char text[256];
  base::TextSink sink(text, sizeof text);
  EXPECT_TRUE(core.CheckInvariants(sink)) << text;
  page->set_rights(kR | kX);  // nobody told the processor
  EXPECT_FALSE(core.CheckInvariants(sink));
  EXPECT_EQ(std::string(text).substr(0, 18), "NoStaleTranslation");
}

// ---- What checked builds look at after each operation ----

TEST_F(InspectTest, ARightThatSurvivedItsRevocation) {
  char text[256];
  base::TextSink sink(text, sizeof text);
  // As after Unmap(page 7, w): the child has none to lose.
  EXPECT_TRUE(core_.CheckUnmapped(*root_space_, 7, 8, kW, Flush::kNo, sink));
  child_->set_rights(kR | kW);
  EXPECT_FALSE(core_.CheckUnmapped(*root_space_, 7, 8, kW, Flush::kNo, sink));
  EXPECT_EQ(std::string(text),
            "UnmapIsComplete: after taking 2 from space 1 0x7000, space 2 0x9000 still has 6");
}

TEST_F(InspectTest, AFlushThatLeftTheOwnRight) {
  char text[256];
  base::TextSink sink(text, sizeof text);
  EXPECT_FALSE(core_.CheckUnmapped(*root_space_, 7, 8, kX, Flush::kYes, sink));
  EXPECT_EQ(std::string(text),
            "UnmapIsComplete: after taking 1 from space 1 0x7000, space 1 0x7000 still has 7");
}

TEST_F(InspectTest, TheRangeThatChangedIsCheckedWithWhatIsMappedFromIt) {
  char text[256];
  base::TextSink sink(text, sizeof text);
  EXPECT_TRUE(core_.CheckRange(*root_space_, 0, 16, sink));
  parent_->set_rights(kR | kX);
  child_->set_rights(kR | kW);
  EXPECT_TRUE(core_.CheckRange(*root_space_, 8, 16, sink));
  EXPECT_FALSE(core_.CheckRange(*root_space_, 0, 16, sink));
  EXPECT_EQ(std::string(text).substr(0, 21), "RightsWithinAncestors");
}

// With several processors: root's page 7 is remembered by the second.
class RememberedPageTest : public ::testing::Test {
 protected:
  RememberedPageTest() : core_({.ram_bytes = 1 << 20, .processors = 2}) {
    core_.sigma0_owner_.resize(256);
    core_.sigma0_owner_[3] = core_.root_.raw;
    core_.sigma0_touched_ = 4;
    Space& space = *core_.spaces_[1];
    core_.database_.MapPage(core_.database_.Root(3), space.table, 1, 7, kRwx);
    const Pte* pte = space.table.Find(7);
    core_.translations_->Fill(1, {.table = &space.table,
                                  .space = 1,
                                  .vpage = 7,
                                  .frame = pte->frame_number(),
                                  .rights = kRwx});
    node_ = pte->node();
  }
  std::string Problem() {
    char text[256];
    base::TextSink sink(text, sizeof text);
    return core_.CheckInvariants(sink) ? "" : text;
  }
  Core core_;
  NodeIndex node_ = 0;
};

TEST_F(RememberedPageTest, GoesWithItsMapping) {
  EXPECT_EQ(Problem(), "");
  core_.database_.Remove(node_);
  EXPECT_EQ(Problem(), "");
  EXPECT_EQ(core_.translations_->Find(1, core_.spaces_[1]->table, 7), nullptr);
}

TEST_F(RememberedPageTest, IsFoundWhenNobodyToldTheProcessor) {
  core_.database_.SetListener(nullptr);
  core_.database_.Unmap(node_, kW, Flush::kYes);
  EXPECT_EQ(Problem().substr(0, 45), "NoStaleTranslation: processor 1 has space 1 0");
  core_.database_.Remove(node_);
  EXPECT_EQ(Problem().substr(0, 19), "NoStaleTranslation:");
}

TEST_F(RememberedPageTest, MayBeHeldBackForAWhile) {
  core_.translations_->HoldBack();
  core_.database_.Remove(node_);
  EXPECT_NE(core_.translations_->Find(1, core_.spaces_[1]->table, 7), nullptr);
  EXPECT_EQ(Problem(), "");
  core_.translations_->DeliverAll();
  EXPECT_EQ(core_.translations_->Find(1, core_.spaces_[1]->table, 7), nullptr);
}

TEST_F(InspectTest, AReadyThreadNobodyWillRun) {
  core_.MakeUnready(*core_.Find(core_.root_));
  EXPECT_EQ(Problem(), "ReadyIffQueued");
}

TEST_F(InspectTest, ASenderNobodyKnowsOf) {
  Thread& t = *core_.Find(core_.root_);
  core_.MakeUnready(t);
  t.state = ThreadState::kSending;
  EXPECT_EQ(Problem(), "SendingIffQueued");
}

TEST_F(InspectTest, ATransferWithoutAPartner) {
  Thread& t = *core_.Find(core_.root_);
  core_.MakeUnready(t);
  t.state = ThreadState::kInTransfer;
  EXPECT_EQ(Problem(), "TransfersPairThreads");
}

TEST_F(InspectTest, ALocalIdThatNamesNobody) {
  Thread& t = *core_.Find(core_.root_);
  const uint64_t location = t.utcb_location;
  t.utcb_location += 1024;
  EXPECT_EQ(Problem(), "LocalIdNamesItsThread");
  t.utcb_location = location;
  EXPECT_EQ(Problem(), "");
}

}  // namespace
}  // namespace fake_l4
