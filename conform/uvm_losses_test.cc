// An EIO needs an injected error of that very page, and what is lost has one.
#include "conform/uvm_losses.h"

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "conform/uvm_naive_bench.h"
#include "conform/uvm_recording.h"
#include "conform/uvm_replay.h"
#include "gtest/gtest.h"
#include "uvm/swap.h"
#include "uvm/uvm.h"

namespace conform {
namespace {

constexpr uint64_t kAt = 0x100000;

// Eight pages of space 0, which begin with 10, 11, ... 17, all of them on swap.
constexpr char kText[] =
    "# boot pages=64 free=64 freemin=32 freetarg=42 reserve_kernel=5 wiredmax=21\n"
    "seq one pages=64 va=0x100000-0x140000 dir=up\n"
    "C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0\n"
    "0 swapon u=0 n=100 prio=0 -> OK\n"
    "1 map s=0 kind=privov va=0x100000 n=8 prot=rw- max=rwx inh=c adv=n align=0x0 fl=F"
    " -> OK va=0x100000\n"
    "E+ 0 0x100000-0x108000 rw-/rwx cn w0 cow obj=- am=1/0\n"
    "2 write s=0 0x100000 val=10 -> OK\n"
    "3 write s=0 0x101000 val=11 -> OK\n"
    "4 write s=0 0x102000 val=12 -> OK\n"
    "5 pressure rounds=6 -> OK\n"
    "final-views\nfinal-contents\nteardown\n"
    "6 exit s=0 -> OK\nE- 0 0x100000\n"
    "C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0\n"
    "end\n";

class UvmLossesTest : public testing::Test {
 protected:
  UvmLossesTest() : recording_(ParseUvmRecording("f.txt", kText).value()) {
    const UvmSequence& sequence = recording_.sequences[0];
    bench_ = UvmNaiveBench::Make(sequence);
    replay_ = std::make_unique<UvmReplay>(bench_.get(), sequence);
    losses_.Watch(replay_.get());
    for (const UvmLine& line : sequence.lines) {
      const auto* op = std::get_if<UvmOpLine>(&line.what);
      if (op == nullptr || op->op.call == UvmCall::kExit) continue;
      EXPECT_EQ(replay_->Apply(op->op).error, 0) << op->number;
    }
  }
  static UvmOpLine LineOf(UvmCall call, uint64_t start, uint64_t end) {
    UvmOpLine line;
    line.op.call = call;
    line.op.start = start;
    line.op.end = end;
    return line;
  }
  static UvmOp ReadOf(uint64_t va) { return LineOf(UvmCall::kRead, va, 0).op; }
  uvm::Anon* AnonAt(uint64_t va) {
    uvm::MapEntry* e = replay_->space(0)->map().DebugFirst();
    return e->aref.amap->anons[e->SlotOf(base::Vaddr(va))];
  }

  UvmRecording recording_;
  std::unique_ptr<UvmBench> bench_;
  std::unique_ptr<UvmReplay> replay_;
  UvmLosses losses_;
};

TEST_F(UvmLossesTest, WhereNothingFailedNothingIsLost) {
  ASSERT_EQ(AnonAt(kAt)->page, nullptr) << "it is on swap";
  EXPECT_FALSE(losses_.IsLost(*replay_, 0, kAt));
  EXPECT_FALSE(losses_.HasCause(*replay_, 0, kAt));
  EXPECT_FALSE(losses_.HasCause(*replay_, 0, kAt));
  EXPECT_EQ(losses_.Unexplained(replay_.get()), "");
  EXPECT_FALSE(losses_.HasCause(*replay_, 7, kAt)) << "no such space";
  EXPECT_FALSE(losses_.HasCause(*replay_, 0, kAt + 0x20000)) << "nothing is mapped there";
}

TEST_F(UvmLossesTest, AReadThatFailedIsTheCauseOfItsPageAlone) {
  replay_->pressure().FailNextRead();
  EXPECT_EQ(replay_->Apply(ReadOf(kAt)).error, kEio);
  EXPECT_TRUE(losses_.IsLost(*replay_, 0, kAt));
  EXPECT_TRUE(losses_.HasCause(*replay_, 0, kAt));
  EXPECT_FALSE(losses_.IsLost(*replay_, 0, kAt + 0x1000));
  EXPECT_FALSE(losses_.HasCause(*replay_, 0, kAt + 0x1000));
  EXPECT_EQ(losses_.Unexplained(replay_.get()), "") << "its slot is bad, and that is why";
  EXPECT_EQ(replay_->Apply(ReadOf(kAt)).error, kEio) << "for good";
  EXPECT_TRUE(losses_.HasCause(*replay_, 0, kAt));
}

TEST_F(UvmLossesTest, MorePagesThanReadsThatFailedHaveNoCause) {
  replay_->pressure().FailNextRead();
  EXPECT_EQ(replay_->Apply(ReadOf(kAt)).error, kEio);
  EXPECT_TRUE(losses_.HasCause(*replay_, 0, kAt));
  uvm::Anon* anon = AnonAt(kAt + 0x1000);
  const uvm::SwapSlot slot = anon->slot;
  anon->slot = uvm::kBadSlot;
  EXPECT_TRUE(losses_.IsLost(*replay_, 0, kAt + 0x1000));
  EXPECT_FALSE(losses_.HasCause(*replay_, 0, kAt + 0x1000));
  anon->slot = slot;
}

// As many reads have failed as pages are lost, but another page's.
TEST_F(UvmLossesTest, AnotherPagesFailureIsNoCause) {
  replay_->pressure().FailNextRead();
  EXPECT_EQ(replay_->Apply(ReadOf(kAt)).error, kEio);
  uvm::Anon* anon = AnonAt(kAt + 0x1000);
  const uvm::SwapSlot slot = anon->slot;
  anon->slot = uvm::kBadSlot;
  EXPECT_FALSE(losses_.HasCause(*replay_, 0, kAt + 0x1000));
  EXPECT_TRUE(losses_.HasCause(*replay_, 0, kAt));
  anon->slot = slot;
}

TEST_F(UvmLossesTest, ARangeNeedsACauseInside) {
  replay_->pressure().FailNextRead();
  EXPECT_EQ(replay_->Apply(ReadOf(kAt)).error, kEio);
  EXPECT_TRUE(losses_.HasCause(*replay_, LineOf(UvmCall::kWire, kAt, kAt + 0x3000)));
  EXPECT_FALSE(losses_.HasCause(*replay_, LineOf(UvmCall::kWire, kAt + 0x1000, kAt + 0x3000)));
  EXPECT_TRUE(losses_.HasCause(*replay_, LineOf(UvmCall::kFork, 0, 0)));
  EXPECT_FALSE(losses_.HasCause(*replay_, LineOf(UvmCall::kSwapOff, 0, 0)));
}

// Who has it afterwards is somebody else, or has something else.
TEST_F(UvmLossesTest, WhatIsUnmappedIsForgotten) {
  replay_->pressure().FailNextRead();
  EXPECT_EQ(replay_->Apply(ReadOf(kAt)).error, kEio);
  const uvm::Anon* const lost = AnonAt(kAt);
  losses_.Begin(*replay_);
  EXPECT_TRUE(losses_.HasCause(*replay_, 0, kAt)) << "it is lost for good";
  EXPECT_EQ(UvmLosses::OwnerAt(*replay_, 0, kAt).first, lost);
  EXPECT_EQ(replay_->Apply(LineOf(UvmCall::kUnmap, kAt, kAt + 0x1000).op).error, 0);
  losses_.Begin(*replay_);
  EXPECT_FALSE(losses_.HasCause(*replay_, 0, kAt));
  EXPECT_FALSE(losses_.HasCause(*replay_, LineOf(UvmCall::kFork, 0, 0)));
}

TEST_F(UvmLossesTest, ASlotThatWentBadWithoutAnErrorIsNoticed) {
  uvm::Anon* anon = AnonAt(kAt);
  const uvm::SwapSlot slot = anon->slot;
  replay_->uvm().swap().MarkBad(slot, 1);
  anon->slot = uvm::kBadSlot;
  EXPECT_NE(losses_.Unexplained(replay_.get()).find("is bad, and no transfer of it failed"),
            std::string::npos);
}

}  // namespace
}  // namespace conform
