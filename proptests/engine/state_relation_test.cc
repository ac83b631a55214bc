// Each rule of the relation is broken by letting only one side do an operation.

#include "proptests/engine/state_relation.h"

#include <gtest/gtest.h>

#include "base/addr.h"
#include "base/prot.h"
#include "machine/machine.h"
#include "model/world.h"
#include "traces/op.h"

namespace proptests {
namespace {

using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;

class StateRelationTest : public testing::Test {
 protected:
  StateRelationTest() : m_({}), s_(Options()), relation_(&m_, &s_) {
    Both(Op(OpKind::kSpace, 0, 0));
    ResolvedOp map = Op(OpKind::kMmap, 0x10000, 0x4000);
    map.prot = base::kProtReadWrite;
    map.flags = traces::kFlagPrivate | traces::kFlagFixed;
    Both(map);
    ResolvedOp write = Op(OpKind::kWrite, 0x11000, 8);
    write.value = 'B';
    Both(write);
  }

  static machine::Machine::Options Options() {
    machine::Machine::Options options;
    options.ram_bytes = uint64_t{8} << 20;
    return options;
  }
  static ResolvedOp Op(OpKind kind, uint64_t at, uint64_t size) {
    ResolvedOp op;
    op.kind = kind;
    if (kind == OpKind::kSpace) {
      op.child = 1;
    } else {
      op.task = 1;
    }
    op.at = at;
    op.size = size;
    return op;
  }
  void OnlySystem(const ResolvedOp& op) { EXPECT_TRUE(s_.Apply(op).ok()); }
  void OnlyModel(const ResolvedOp& op) { m_.Adopt(op, m_.Expect(op).Canonical()); }
  void Both(const ResolvedOp& op) {
    OnlySystem(op);
    OnlyModel(op);
  }
  // The rule that is broken, or "".
  static std::string Rule(const std::optional<Finding>& finding) {
    return finding ? finding->print.rule : "";
  }
  std::string Whole() { return Rule(relation_.CheckWhole(StateRelation::Depth::kEveryByte)); }
  static base::Range Pages(uint64_t start, uint64_t end) {
    return {base::Vaddr(start), base::Vaddr(end)};
  }

  model::World m_;
  machine::Machine s_;
  StateRelation relation_;
};

TEST_F(StateRelationTest, EqualHistoriesCorrespond) {
  EXPECT_EQ(Whole(), "");
  EXPECT_EQ(Rule(relation_.CheckCall(1, Pages(0x10000, 0x14000))), "");
  EXPECT_EQ(Rule(relation_.CheckKernel()), "");
  EXPECT_GT(relation_.bytes_compared(), 0u);
}

TEST_F(StateRelationTest, TasksAgreeSeesAnUnknownTask) {
  ResolvedOp birth = Op(OpKind::kSpace, 0, 0);
  birth.child = 2;
  OnlySystem(birth);
  EXPECT_EQ(Whole(), "TasksAgree");
}

TEST_F(StateRelationTest, TasksAgreeSeesATaskThatShouldBeGone) {
  OnlyModel(Op(OpKind::kExit, 0, 0));
  EXPECT_EQ(Whole(), "TasksAgree");
  EXPECT_EQ(Rule(relation_.CheckCall(1, Pages(0, 0))), "TasksAgree");
}

TEST_F(StateRelationTest, ResidencyAgreesSeesWrongCounts) {
  EXPECT_EQ(Rule(relation_.ResidencyAgrees(1, Pages(0x10000, 0x14000), 1)), "");
  EXPECT_EQ(Rule(relation_.ResidencyAgrees(1, Pages(0x10000, 0x14000), 2)), "ResidencyAgrees");
  EXPECT_EQ(Rule(relation_.ResidencyAgrees(1, Pages(0x11000, 0x12000), 0)), "ResidencyAgrees");
}

// Also of pages that nobody maps any more.
TEST_F(StateRelationTest, CleanPagesAreStoredSeesWhatWouldBeLost) {
  ResolvedOp map = Op(OpKind::kMmap, 0x20000, 0x1000);
  map.prot = base::kProtRead;
  map.flags = traces::kFlagShared | traces::kFlagFixed;
  map.file_key = 7;
  Both(map);
  Both(Op(OpKind::kRead, 0x20000, 1));
  Both(Op(OpKind::kMunmap, 0x20000, 0x1000));
  EXPECT_EQ(Whole(), "");
  const auto& objects = s_.uvm().DebugObjects().DebugAll();
  for (uvm::Object* object = objects.front(); object != nullptr; object = objects.Next(object)) {
    if (object->key() != 7) continue;
    ++s_.pmap().HomePointer(object->DebugFirstPage()->pa)[100];
  }
  EXPECT_EQ(Whole(), "CleanPagesAreStored");
}

TEST_F(StateRelationTest, AttributesAgreeSeesAMissingUnmap) {
  OnlyModel(Op(OpKind::kMunmap, 0x13000, 0x1000));
  EXPECT_EQ(Whole(), "AttributesAgree");
  EXPECT_EQ(Rule(relation_.CheckCall(1, Pages(0x13000, 0x14000))), "AttributesAgree");
}

TEST_F(StateRelationTest, AttributesAgreeSeesEachAttribute) {
  ResolvedOp inherit = Op(OpKind::kMinherit, 0x10000, 0x1000);
  inherit.inherit = base::Inherit::kNone;
  OnlySystem(inherit);
  EXPECT_EQ(Whole(), "AttributesAgree");
  OnlyModel(inherit);
  EXPECT_EQ(Whole(), "");
  ResolvedOp advice = Op(OpKind::kMadvise, 0x12000, 0x1000);
  advice.advice = base::Advice::kRandom;
  OnlyModel(advice);
  EXPECT_EQ(Whole(), "AttributesAgree");
  OnlySystem(advice);
  EXPECT_EQ(Whole(), "");
}

// The fast walk over a map cuts both descriptions into pieces.
TEST_F(StateRelationTest, CheckCallSeesWhatOnlyOneSideDidAnywhere) {
  const base::Range nothing = Pages(0, 0);
  for (uint64_t at = 0xe000; at <= 0x14000; at += 0x1000) {
    ResolvedOp map = Op(OpKind::kMmap, at, 0x2000);
    map.prot = base::kProtRead;
    map.flags = traces::kFlagPrivate | traces::kFlagFixed;
    OnlySystem(map);
    EXPECT_EQ(Rule(relation_.CheckCall(1, nothing)), "AttributesAgree") << at;
    OnlyModel(map);
    EXPECT_EQ(Rule(relation_.CheckCall(1, nothing)), "") << at;
    // Alike, but cut elsewhere: neighbours with equal attributes.
    map.prot = base::kProtReadWrite;
    Both(map);
    EXPECT_EQ(Rule(relation_.CheckCall(1, nothing)), "") << at;
    ResolvedOp hole = Op(OpKind::kMunmap, at, 0x1000);
    OnlyModel(hole);
    EXPECT_EQ(Rule(relation_.CheckCall(1, nothing)), "AttributesAgree") << at;
    OnlySystem(hole);
    EXPECT_EQ(Rule(relation_.CheckCall(1, nothing)), "") << at;
  }
}

TEST_F(StateRelationTest, CheckCallSeesALostReferenceOfAnAmap) {
  const auto& amaps = s_.uvm().DebugAmaps().DebugAll();
  ASSERT_NE(amaps.front(), nullptr);
  --amaps.front()->refs;
  EXPECT_EQ(Rule(relation_.CheckCall(1, Pages(0, 0))), "ValidAmapRefs");
  ++amaps.front()->refs;
  EXPECT_EQ(Rule(relation_.CheckCall(1, Pages(0, 0))), "");
}

TEST_F(StateRelationTest, ContentsAgreeSeesAStoreThatOnlyOneSideMade) {
  ResolvedOp write = Op(OpKind::kWrite, 0x12ff8, 8);
  write.value = 'x';
  OnlySystem(write);
  EXPECT_EQ(Whole(), "ContentsAgree");
  EXPECT_EQ(Rule(relation_.CheckAccess(1, Pages(0x12000, 0x13000), StateRelation::Bytes::kCompare)),
            "ContentsAgree");
  OnlyModel(write);
  EXPECT_EQ(Whole(), "");
  write.at = 0x13000;
  OnlyModel(write);
  EXPECT_EQ(Whole(), "ContentsAgree");
}

TEST_F(StateRelationTest, NothingLeaksSeesALivingTask) {
  EXPECT_EQ(Rule(relation_.NothingLeaks()), "NothingLeaks");
  Both(Op(OpKind::kExit, 0, 0));
  EXPECT_EQ(Rule(relation_.NothingLeaks()), "");
}

// As a birth leaves one that finds no memory and forgets to take its thread back.
TEST_F(StateRelationTest, NothingLeaksSeesAThreadOfNoTask) {
  s_.kernel().Boot({.entry = [] {}, .new_space = true});
  EXPECT_EQ(Whole(), "TasksAgree");
  Both(Op(OpKind::kExit, 0, 0));
  EXPECT_EQ(Rule(relation_.NothingLeaks()), "NothingLeaks");
}

TEST_F(StateRelationTest, LookingChangesNothing) {
  machine::Ledger before = s_.ledger();
  uint64_t time = s_.kernel().now_ns();
  EXPECT_EQ(Whole(), "");
  EXPECT_EQ(Rule(relation_.CheckKernel()), "");
  EXPECT_EQ(Rule(relation_.CheckAccess(1, Pages(0x12000, 0x13000), StateRelation::Bytes::kCompare)),
            "");
  EXPECT_EQ(s_.ledger(), before);
  EXPECT_EQ(s_.kernel().now_ns(), time);
  EXPECT_EQ(s_.uvm().DebugAnons().live(), 1u);
}

}  // namespace
}  // namespace proptests
