// Small recordings with swap: what is excused, and that nothing else is.
#include "conform/uvm_shortage.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "conform/outcome.h"
#include "conform/uvm.h"
#include "conform/uvm_bench.h"
#include "conform/uvm_naive_bench.h"
#include "conform/uvm_recording.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

constexpr char kHead[] =
    "# boot pages=64 free=64 freemin=32 freetarg=42 reserve_kernel=5 wiredmax=21\n";
constexpr char kCounters[] =
    "C free=64 act=0 inact=0 wired=0 swu=0 swo=0 anons=0 amaps=0 swavail=0\n";
// Eight pages, which begin with 10, 11, ... 17.
constexpr char kMapped[] =
    "0 swapon u=0 n=100 prio=0 -> OK\n"
    "1 map s=0 kind=privov va=0x100000 n=8 prot=rw- max=rwx inh=c adv=n align=0x0 fl=F"
    " -> OK va=0x100000\n"
    "E+ 0 0x100000-0x108000 rw-/rwx cn w0 cow obj=- am=1/0\n";
constexpr int kWrites = 8;

// A lane in which the next load of an address ends with an error that has no cause.
class LyingBench final : public UvmBench {
 public:
  LyingBench(std::unique_ptr<UvmBench> below, base::Vaddr va, base::FaultError error)
      : below_(std::move(below)), va_(va), error_(error) {}
  uvm::Uvm& uvm() override { return below_->uvm(); }
  void Do(absl::FunctionRef<void()> job) override { below_->Do(job); }
  UvmAccess Load(uvm::Space* space, base::Vaddr va, uint8_t* byte) override {
    if (va != va_) return below_->Load(space, va, byte);
    return {.ok = false, .error = error_};
  }
  UvmAccess Store(uvm::Space* space, base::Vaddr va, uint8_t byte) override {
    return below_->Store(space, va, byte);
  }
  void Born(uvm::Space* space) override { below_->Born(space); }
  void Gone(uvm::Space* space) override { below_->Gone(space); }
  const std::string& problem() const override { return below_->problem(); }

 private:
  const std::unique_ptr<UvmBench> below_;
  const base::Vaddr va_;
  const base::FaultError error_;
};

// A sequence that begins with kMapped and ends with these pages.
Outcome Replay(const std::string& middle, const std::string& pages,
               const UvmBenchMaker& make = UvmNaiveBench::Make) {
  std::string writes;
  for (int i = 0; i < kWrites; i++) {
    absl::StrAppend(&writes, 2 + i, " write s=0 0x10", i, "000 val=1", i, " -> OK\n");
  }
  const std::string text =
      absl::StrCat(kHead, "seq one pages=64 va=0x100000-0x140000 dir=up\n", kCounters, kMapped,
                   writes, middle, "final-views\nfinal-contents\nX 0 0x100000 ", pages, "\n",
                   kCounters, "teardown\n99 exit s=0 -> OK\nE- 0 0x100000\n", kCounters, "end\n");
  // Operations are numbered in order.
  int exit = 2 + kWrites;
  for (const char c : middle) exit += c == '>' ? 1 : 0;
  const absl::StatusOr<UvmRecording> r = ParseUvmRecording(
      "f.txt", absl::StrReplaceAll(text, {{"99 exit", absl::StrCat(exit, " exit")}}));
  EXPECT_TRUE(r.ok()) << r.status();
  return r.ok() ? RunUvmRecording(*r, make, UvmScope::kMeaning) : Outcome();
}
// "FIELD: recorded X, ours Y" of the first disagreement; else the names.
std::string Seen(const Outcome& o) {
  EXPECT_EQ(o.agree + o.disagreements + o.after_difference, o.steps);
  if (o.first.has_value()) {
    return absl::StrCat(o.first->field, ": recorded ", o.first->recorded, ", ours ", o.first->ours);
  }
  std::string names;
  for (const auto& [name, count] : o.named)
    absl::StrAppend(&names, names.empty() ? "" : ", ", name, " x", count);
  return names;
}

constexpr char kFine[] = "10.00 11.00 12.00 13.00 14.00 15.00 16.00 17.00";

TEST(UvmShortageTest, PagesComeBackFromSwap) {
  const Outcome o =
      Replay("10 pressure rounds=6 -> OK\n11 read s=0 0x101000 -> OK val=11\n", kFine);
  EXPECT_EQ(Seen(o), "");
  EXPECT_EQ(o.pages_compared, 8u);
}

TEST(UvmShortageTest, WrongContentsAreNotExcused) {
  EXPECT_EQ(Seen(Replay("10 pressure rounds=6 -> OK\n11 read s=0 0x101000 -> OK val=12\n", kFine)),
            "result: recorded OK val=12, ours OK val=11");
  EXPECT_EQ(Seen(Replay("10 pressure rounds=6 -> OK\n",
                        "10.00 11.00 12.00 01.00 14.00 15.00 16.00 17.00")),
            "contents: recorded 01.00, ours 13.00");
}

TEST(UvmShortageTest, AFailedWriteLosesThePageThereOnly) {
  const Outcome o = Replay(
      "10 ioerr write=4 -> OK\n11 pressure rounds=6 -> OK\n12 read s=0 0x101000 -> EIO\n"
      "13 write s=0 0x101000 val=13 -> EIO\n",
      "10.00 !EIO 12.00 13.00 14.00 15.00 16.00 17.00");
  EXPECT_EQ(Seen(o), "failed-swap-write-keeps-page x3");
  EXPECT_EQ(o.pages_lost_there, 1u);
  EXPECT_EQ(o.pages_lost_here, 0u);
  EXPECT_EQ(o.pages_compared, 7u);
}

TEST(UvmShortageTest, AnErrorThatNobodyInjectedIsNotExcused) {
  EXPECT_EQ(Seen(Replay("10 pressure rounds=6 -> OK\n11 read s=0 0x101000 -> EIO\n", kFine)),
            "result: recorded EIO, ours OK val=11");
  EXPECT_EQ(Seen(Replay("10 pressure rounds=6 -> OK\n",
                        "10.00 !EIO 12.00 13.00 14.00 15.00 16.00 17.00")),
            "contents: recorded !EIO, ours 11.00");
}

// What is not done here is no agreement.
TEST(UvmShortageTest, WhatIsLeftOutNeedsAnErrorThere) {
  const std::string left_out = "left out, and nothing was injected or used up there";
  for (const std::string call :
       {"write s=0 0x101000 val=11 -> EIO", "wire s=0 0x101000-0x102000 -> EIO",
        "fork s=0 new=1 -> EIO", "write s=0 0x101000 val=11 -> ENOMEM", "fork s=0 new=1 -> ENOMEM",
        "swapoff u=0 -> ENOMEM"}) {
    EXPECT_EQ(Seen(Replay(absl::StrCat("10 ", call, "\n"), kFine)),
              "cause: recorded an error that was injected, ours " + left_out)
        << call;
  }
}

TEST(UvmShortageTest, AnErrorOfOursOutOfNowhereIsFound) {
  const auto replay = [](base::FaultError error, const std::string& recorded) {
    const auto make = [error](const UvmSequence& sequence) -> std::unique_ptr<UvmBench> {
      return std::make_unique<LyingBench>(UvmNaiveBench::Make(sequence), base::Vaddr(0x103000),
                                          error);
    };
    return Seen(
        Replay("10 pressure rounds=6 -> OK\n11 ioerr read=2 -> OK\n"
               "12 read s=0 0x101000 -> EIO\n13 read s=0 0x102000 -> EIO\n"
               "14 read s=0 0x103000 -> " +
                   recorded + "\n",
               "10.00 !EIO !EIO 13.00 14.00 15.00 16.00 17.00", make));
  };
  const std::string cause = "cause: recorded an error that was injected, ours ";
  EXPECT_EQ(replay(base::FaultError::kIo, "OK val=13"),
            cause + "EIO, and no transfer of that page failed");
  EXPECT_EQ(replay(base::FaultError::kIo, "EIO"),
            cause + "EIO, and no transfer of that page failed");
  EXPECT_EQ(replay(base::FaultError::kNoMemory, "OK val=13"),
            cause + "ENOMEM, and nobody was refused a frame");
}

TEST(UvmShortageTest, WhatWasLostThereDoesNotComeBack) {
  EXPECT_EQ(Seen(Replay("10 pressure rounds=6 -> OK\n11 ioerr write=1 -> OK\n"
                        "12 read s=0 0x101000 -> EIO\n13 read s=0 0x101000 -> OK val=11\n",
                        kFine)),
            "cause: recorded an error that was injected, ours "
            "nothing, and the page was lost there before");
}

// One read that failed there spoils one page.
TEST(UvmShortageTest, NoMorePagesAreExcusedThanErrorsWereInjected) {
  const auto replay = [](const std::string& page) {
    return Seen(
        Replay("10 pressure rounds=6 -> OK\n11 ioerr read=1 -> OK\n"
               "12 read s=0 0x101000 -> EIO\n13 read s=0 0x101000 -> EIO\n"
               "14 write s=0 0x101000 val=11 -> EIO\n15 read s=0 " +
                   page + " -> EIO\n",
               "10.00 !EIO 12.00 13.00 14.00 15.00 16.00 17.00"));
  };
  EXPECT_EQ(replay("0x101000"), "");
  EXPECT_EQ(replay("0x102000"), "result: recorded EIO, ours OK val=12");
  EXPECT_EQ(Seen(Replay("10 pressure rounds=6 -> OK\n11 ioerr read=1 -> OK\n"
                        "12 read s=0 0x101000 -> EIO\n",
                        "10.00 !EIO 12.00 !EIO 14.00 15.00 16.00 17.00")),
            "contents: recorded !EIO, ours 13.00");
}

TEST(UvmShortageTest, AReadThatFailsHereLosesThePageHere) {
  const Outcome o = Replay(
      "10 pressure rounds=6 -> OK\n11 ioerr read=1 -> OK\n12 read s=0 0x101000 -> OK val=11\n",
      kFine);
  EXPECT_EQ(Seen(o), "read-error-hits-another-page x2");
  EXPECT_EQ(o.pages_lost_here, 1u);
  const Outcome both =
      Replay("10 pressure rounds=6 -> OK\n11 ioerr read=1 -> OK\n12 read s=0 0x101000 -> EIO\n",
             "10.00 !EIO 12.00 13.00 14.00 15.00 16.00 17.00");
  EXPECT_EQ(Seen(both), "");
}

TEST(UvmShortageTest, WritesAreHeldUntilTheyAreDone) {
  const Outcome o = Replay(
      "10 inflight -> OK paging=7\n11 read s=0 0x102000 -> OK val=12\n"
      "12 iodone -> OK completed=7 paging=0\n13 read s=0 0x101000 -> OK val=11\n",
      kFine);
  EXPECT_EQ(Seen(o), "");
}

// Which of the two a kernel has depends on where the page was.
TEST(UvmShortageTest, MemoryThatWasGivenUpHasOldOrFreshBytes) {
  const std::string given_up =
      "10 pressure rounds=6 -> OK\n11 clean s=0 0x101000-0x102000 fl=F -> OK\n";
  const std::string old_bytes =
      Seen(Replay(given_up + "12 read s=0 0x101000 -> OK val=11\n", kFine));
  const std::string fresh_bytes = Seen(Replay(given_up + "12 read s=0 0x101000 -> OK val=00\n",
                                              "10.00 00.00 12.00 13.00 14.00 15.00 16.00 17.00"));
  EXPECT_EQ(old_bytes + fresh_bytes, "free-forgets-at-once x2");
  EXPECT_EQ(Seen(Replay(given_up, "10.00 11.00 12.00 01.00 14.00 15.00 16.00 17.00")),
            "contents: recorded 01.00, ours 13.00");
}

TEST(UvmShortageTest, EveryErrorOfSwapctl) {
  EXPECT_EQ(
      Seen(Replay("10 swapon u=0 n=64 prio=1 -> EBUSY\n11 swapctl u=0 prio=3 -> OK\n"
                  "12 swapctl u=7 prio=3 -> ENOENT\n13 swapoff u=7 -> ENXIO\n"
                  "14 pressure rounds=6 -> OK\n15 swapoff u=0 -> OK\n16 swapoff u=0 -> ENXIO\n"
                  "17 swapon u=0 n=64 prio=1 -> OK\n",
                  kFine)),
      "");
}

}  // namespace
}  // namespace conform
