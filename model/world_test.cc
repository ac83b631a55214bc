// Contents: fork, sharing, files, accesses, MADV_FREE, and memory that runs out.

#include <algorithm>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/pattern.h"
#include "gtest/gtest.h"
#include "model/testing/script.h"

namespace model {
namespace {

class WorldTest : public testing::Test {
 protected:
  // Four anonymous pages, tagged.
  WorldTest() {
    script_.Run(
        "s1 = space 0x5000\n"
        "s1.mmap 0x1000 0x4000 rw private,fixed\n"
        "s1.write 0x1000 4096 'A'\n"
        "s1.write 0x2000 4096 'B'\n"
        "s1.write 0x3000 4096 'C'\n"
        "s1.write 0x4000 4096 'D'\n");
  }
  void Run(const char* lines) { script_.Run(lines); }
  Script script_;
};

TEST_F(WorldTest, ChildWriteChangesOnlyTheChild) {
  Run("s2 = s1.fork\ns2.write 0x2000 4096 'x'");
  EXPECT_EQ(script_.Contents(), "ABCD|AxCD");
  Run("s1.write 0x3000 4096 'y'");
  EXPECT_EQ(script_.Contents(), "AByD|AxCD");
}

TEST_F(WorldTest, EachInheritanceAtFork) {
  Run("s1.minherit 0x1000 0x1000 share\n"
      "s1.minherit 0x3000 0x1000 none\n"
      "s1.minherit 0x4000 0x1000 zero\n"
      "s1.mprotect 0x4000 0x1000 rx\n"
      "s1.madvise 0x4000 0x1000 random\n"
      "s2 = s1.fork\n");
  EXPECT_EQ(script_.Contents(), "ABCD|AB.0");
  EXPECT_EQ(script_.Inherits(), "Scnz|Sc.z");
  EXPECT_EQ(script_.Prots(), "wwwx|ww.x");
  EXPECT_EQ(script_.Advices(), "nnnr|nn.r");
  Run("s2.write 0x1000 4096 's'\ns1.write 0x2000 4096 'p'");
  EXPECT_EQ(script_.Contents(), "spCD|sB.0");
}

TEST_F(WorldTest, CopyOfSharedMemoryIsFrozen) {
  Run("s1.minherit 0x1000 0x1000 share\n"
      "s2 = s1.fork\n"
      "s1.minherit 0x1000 0x1000 copy\n"
      "s3 = s1.fork\n"
      "s2.write 0x1000 4096 's'\n");
  EXPECT_EQ(script_.Contents(), "sBCD|sBCD|ABCD");
  EXPECT_EQ(script_.Inherits(), "Cccc|Sccc|cccc");
  Run("s1.write 0x1000 4096 't'\ns3.write 0x1000 4096 'x'");
  EXPECT_EQ(script_.Contents(), "tBCD|tBCD|xBCD");
}

TEST_F(WorldTest, UntouchedSharedPagesAreSharedToo) {
  Run("s1.mmap 0x1000 0x1000 rw shared,fixed\ns2 = s1.fork\ns2.write 0x1000 4096 'x'");
  EXPECT_EQ(script_.Contents(), "xBCD|xBCD");
}

TEST_F(WorldTest, PrivatePagesReadThroughToTheFileUntilWritten) {
  Run("s2 = space 0x5000\n"
      "s1.mmap 0x1000 0x2000 rw private,fixed file a 0\n"
      "s2.mmap 0x1000 0x2000 rw shared,fixed file a 0\n");
  EXPECT_EQ(script_.Contents(), "ffCD|ff..");
  Run("s1.write 0x1000 4096 'p'\ns2.write 0x1000 8192 's'");
  EXPECT_EQ(script_.Contents(), "psCD|ss..");
  Run("s3 = s1.fork\ns2.write 0x2000 4096 't'");
  EXPECT_EQ(script_.Contents(), "ptCD|st..|ptCD") << "a copy reads through as well";
}

TEST_F(WorldTest, SharedFileInheritedAsCopyReadsThroughUntilWritten) {
  Run("s1.mmap 0x1000 0x1000 rw shared,fixed file a 0\n"
      "s1.minherit 0x1000 0x1000 copy\n"
      "s2 = s1.fork\n"
      "s1.write 0x1000 4096 's'\n");
  EXPECT_EQ(script_.Contents(), "sBCD|sBCD");
  Run("s2.write 0x1000 4096 'x'\n");
  EXPECT_EQ(script_.Contents(), "sBCD|xBCD");
}

TEST_F(WorldTest, FilesRememberStoresAfterTheLastMappingIsGone) {
  Run("s1.mmap 0x1000 0x1000 rw shared,fixed file a 0x3000\n"
      "s1.write 0x1000 4096 's'\n"
      "s1.exit\n"
      "s2 = space 0x5000\n"
      "s2.mmap 0x1000 0x4000 r private,fixed file a 0x2000\n");
  EXPECT_EQ(script_.Contents(), "fsff");
}

TEST_F(WorldTest, FilePagesHoldTheFilesBytes) {
  Run("s1.mmap 0x1000 0x1000 r private,fixed file a 0x3000\n");
  PageBytes bytes;
  ASSERT_TRUE(script_.world().PageContents(1, 0x1000, &bytes));
  uint64_t key = base::HashText("a") | 1;
  for (uint64_t i = 0; i < bytes.size(); ++i)
    ASSERT_EQ(bytes[i], base::FileByte(key, 0x3000 + i)) << i;
}

TEST_F(WorldTest, AccessesStopAtTheFirstForbiddenPage) {
  Run("s1.mprotect 0x3000 0x1000 r\n"
      "s1.write 0x1800 0x3000 'x' -> SEGV_ACCERR 0x3000\n");
  EXPECT_EQ(script_.Contents(), "*xCD") << "the pages before are done";
  Run("s1.munmap 0x3000 0x1000\ns1.read 0x1800 0x3800 -> SEGV_MAPERR 0x3000\n");
}

TEST_F(WorldTest, AccessesBeyondTheMapAreUnmapped) {
  Run("s1.read 0x4fff 2 -> SEGV_MAPERR 0x5000\n"
      "s1.read 0xffffffffffffffff 2 -> SEGV_MAPERR 0xffffffffffffffff\n"
      "s1.read 0x7ffffffffff0 64 -> SEGV_MAPERR 0x7ffffffffff0\n"
      "s1.fetch 0x0 -> SEGV_MAPERR 0x0\n");
}

TEST_F(WorldTest, RightsAreDeterministic) {
  Run("s1.vm_protect 0x1000 0x1000 current w\n"
      "s1.vm_protect 0x2000 0x1000 current x\n"
      "s1.vm_protect 0x3000 0x1000 current rx\n"
      "s1.read 0x1000 1 -> SEGV_ACCERR 0x1000\n"
      "s1.write 0x1000 1 'x' -> SEGV_ACCERR 0x1000\n"
      "s1.fetch 0x2000 -> SEGV_ACCERR 0x2000\n"
      "s1.read 0x2000 1 -> SEGV_ACCERR 0x2000\n"
      "s1.fetch 0x3123 -> ok\n"
      "s1.read 0x3000 1 -> 'C'\n"
      "s1.fetch 0x4000 -> SEGV_ACCERR 0x4000\n");
}

TEST(ExecuteImpliedByReadTest, ReadableIsExecutable) {
  Script script({.execute_implied_by_read = true});
  script.Run("s1 = space 0x5000\ns1.mmap 0x1000 0x1000 r private,fixed\ns1.fetch 0x1000 -> ok\n");
}

TEST_F(WorldTest, SmallStoresAddUp) {
  Run("s1.write 0x1ffe 4 'x' -> ok\n"
      "s1.read 0x1ffd 1 -> 'A'\n"
      "s1.read 0x1ffe 4 -> 'x'\n"
      "s1.read 0x2002 4094 -> 'B'\n");
  for (int i = 0; i < 40; ++i) {
    script_.Run("s1.write " + std::to_string(0x1000 + 16 * i) + " 8 " + std::to_string(100000 + i));
  }
  PageBytes bytes;
  ASSERT_TRUE(script_.world().PageContents(1, 0x1000, &bytes));
  for (uint64_t i = 0; i < 640; ++i) {
    unsigned char want = i % 16 < 8 ? base::StoredByte(100000 + i / 16, 0x1000 + i) : 'A';
    ASSERT_EQ(bytes[i], want) << i;
  }
}

TEST_F(WorldTest, FreedPagesMayBeKeptOrDropped) {
  Run("s1.madvise 0x1000 0x2000 free");
  EXPECT_EQ(script_.Contents(), "??CD");
  EXPECT_EQ(script_.Expected("s1.read 0x1000 8"), "'A' or 0x0");
  Run("s1.read 0x1000 8 -> 0x0\ns1.read 0x2000 8 -> 'B'");
  EXPECT_EQ(script_.Contents(), "0BCD") << "the first read decides";
}

TEST_F(WorldTest, FreedPagesAreDecidedOnceForAllCopies) {
  Run("s1.madvise 0x1000 0x1000 free\ns2 = s1.fork\ns3 = s2.fork\ns3.read 0x1000 1 -> 0x0");
  EXPECT_EQ(script_.Contents(), "0BCD|0BCD|0BCD");
}

TEST_F(WorldTest, AFreedPageMappedTwiceIsDecidedOnce) {
  Run("s1.munmap 0x2000 0x1000\ns1.madvise 0x1000 0x1000 free\n"
      "s1.mremap 0x1000 0x1000 0x2000 0x1000 fixed,dup -> 0x2000");
  EXPECT_EQ(script_.Contents(), "??CD");
  Run("s1.read 0x1ffc 8 -> 0x0");
  EXPECT_EQ(script_.Contents(), "00CD");
}

TEST_F(WorldTest, FreeAfterForkIsDecidedForOneCopyOnly) {
  Run("s2 = s1.fork\ns1.madvise 0x1000 0x1000 free\ns1.read 0x1000 1 -> 0x0");
  EXPECT_EQ(script_.Contents(), "0BCD|ABCD");
}

TEST_F(WorldTest, StoresIntoAFreedPageLandOnEither) {
  Run("s1.madvise 0x1000 0x1000 free\ns1.write 0x1000 8 'x'");
  EXPECT_EQ(script_.Expected("s1.read 0x1000 8"), "'x'");
  EXPECT_EQ(script_.Expected("s1.read 0x1008 8"), "'A' or 0x0");
  Run("s1.read 0x1008 8 -> 0x0\ns1.read 0x1fff 1 -> 0x0\ns1.read 0x1000 8 -> 'x'");
  Run("s1.madvise 0x2000 0x1000 free\ns1.write 0x2000 4096 'y'");
  EXPECT_EQ(script_.Contents(), "*yCD") << "a whole store leaves nothing open";
}

TEST_F(WorldTest, FreedPagesOfOneReadAreIndependent) {
  Run("s1.mmap 0x1000 0x2000 rw private,fixed\ns1.write 0x1000 0x2000 'A'\ns1.madvise 0x1000 "
      "0x2000 free\n");
  EXPECT_TRUE(script_.Accepts("s1.read 0x1000 0x2000 -> 'A'"));
  EXPECT_TRUE(script_.Accepts("s1.read 0x1000 0x2000 -> 0x0"));
  EXPECT_FALSE(script_.Accepts("s1.read 0x1000 0x2000 -> 'B'"));
  unsigned char bytes[0x2000] = {};
  std::fill_n(bytes, 0x1000, 'A');
  traces::ResolvedOp op;
  op.kind = traces::OpKind::kRead;
  op.task = 1;
  op.at = 0x1000;
  op.size = 0x2000;
  traces::Outcome mixed{
      traces::Outcome::Family::kFault, 0, traces::ReadValue(bytes, sizeof bytes), 0, {}};
  ASSERT_TRUE(script_.world().Expect(op).Accepts(mixed));
  script_.world().Adopt(op, mixed);
  EXPECT_EQ(script_.Contents(), "A0CD");
}

TEST_F(WorldTest, FreeingTwiceKeepsTheFirstChoice) {
  Run("s1.madvise 0x1000 0x1000 free\ns2 = s1.fork\ns1.madvise 0x1000 0x1000 free\ns1.read 0x1000 "
      "1 -> 'A'");
  EXPECT_EQ(script_.Contents(), "ABCD|ABCD") << "kept twice, so kept the first time";
  Run("s1.madvise 0x2000 0x1000 free\ns3 = s1.fork\ns1.madvise 0x2000 0x1000 free\ns1.read 0x2000 "
      "1 -> 0x0");
  EXPECT_EQ(script_.Contents(), "A0CD|ABCD|A?CD") << "the other copy may have been kept";
}

// A sharer may give up what all of them see; files keep what was stored.
TEST_F(WorldTest, FreeOfSharedMemoryIsOpenForAllSharers) {
  Run("s1.minherit 0x1000 0x1000 share\ns2 = s1.fork\ns1.mmap 0x2000 0x1000 rw shared,fixed file a "
      "0\n"
      "s1.write 0x2000 4096 's'\ns1.madvise 0x1000 0x4000 free");
  EXPECT_EQ(script_.Contents(), "?s??|?BCD");
}

TEST_F(WorldTest, FreeOfAPrivateFilePageMayGiveTheFileBack) {
  Run("s1.mmap 0x1000 0x1000 rw private,fixed file a 0\n"
      "s1.mmap 0x4000 0x1000 rw shared,fixed file a 0\n"
      "s1.write 0x1000 4096 'p'\n"
      "s1.madvise 0x1000 0x1000 free\n"
      "s1.write 0x4000 4096 's'\n");
  EXPECT_EQ(script_.Expected("s1.read 0x1000 8"), "'p' or 's'");
  Run("s1.write 0x1000 8 'x'\ns1.write 0x4000 4096 't'");
  EXPECT_EQ(script_.Expected("s1.read 0x1008 8"), "'p' or 's'")
      << "owned from the store on, either way";
}

TEST_F(WorldTest, MayHoldKnowsEveryPossibility) {
  PageBytes a, zero, x;
  a.fill('A');
  zero.fill(0);
  x.fill('x');
  EXPECT_TRUE(script_.world().MayHold(1, 0x1000, a));
  EXPECT_FALSE(script_.world().MayHold(1, 0x1000, zero));
  Run("s1.madvise 0x1000 0x1000 free");
  EXPECT_TRUE(script_.world().MayHold(1, 0x1000, a));
  EXPECT_TRUE(script_.world().MayHold(1, 0x1000, zero));
  EXPECT_FALSE(script_.world().MayHold(1, 0x1000, x));
}

TEST_F(WorldTest, TouchedPagesAreListed) {
  Run("s2 = space\n"
      "s2.mmap 0x10000 0x40000000 rw private,fixed\n"
      "s2.mmap 0x80000000 0x40000000 rw shared,fixed file a 0\n"
      "s2.write 0x20fff 2 'x'\n"
      "s2.write 0x90000000 1 'x'\n"
      "s2.madvise 0x20000 0x1000 free\n");
  std::string seen;
  script_.world().ForEachTouchedPage(2, [&](uint64_t page, PageKind kind) {
    seen += std::to_string(page) + (kind == PageKind::kEither ? "? " : " ");
  });
  EXPECT_EQ(seen, "131072? 135168 2415919104 ");
  EXPECT_EQ(script_.world().KindOfPage(2, 0x10000), PageKind::kUntouchedZero);
  EXPECT_EQ(script_.world().KindOfPage(2, 0x80000000), PageKind::kUntouchedFile);
  EXPECT_EQ(script_.world().KindOfPage(2, 0x0), PageKind::kUnmapped);
}

TEST_F(WorldTest, StateHashSeesContentsAttributesAndTasks) {
  auto build = [](Script& script, const char* end) {
    script.Run("s1 = space 0x5000\ns1.mmap 0x1000 0x2000 rw private,fixed\n");
    script.Run(end);
    return script.world().StateHash();
  };
  std::vector<uint64_t> hashes;
  for (const char* end : {"s1.write 0x1000 8 'x'", "s1.write 0x1000 8 'y'", "s1.write 0x2000 8 'x'",
                          "s1.mprotect 0x1000 1 r", "s1.minherit 0x1000 1 none", "s2 = s1.fork",
                          "s1.exec_brk 0x4000", "s1.munmap 0x1000 1", "s1.madvise 0x1000 1 random",
                          "s1.exec", "s1.mmap 0x1000 0x1000 rw private,fixed file f 0",
                          "s1.mmap 0x1000 0x1000 rw private,fixed file f 0x1000",
                          "s1.mmap 0x1000 0x2000 rw private,fixed file f 0"}) {
    Script script;
    uint64_t hash = build(script, end);
    EXPECT_EQ(std::count(hashes.begin(), hashes.end(), hash), 0) << end;
    hashes.push_back(hash);
  }
  // The way does not matter.
  Script one, two;
  EXPECT_EQ(build(one, "s1.write 0x1000 8 'x'"),
            build(two,
                  "s1.write 0x1000 4 'x'\ns1.write 0x1004 4 'x'\n"
                  "s1.mmap 0x3000 0x1000 r private,fixed\ns1.munmap 0x3000 1"));
}

TEST(ShortageTest, RunningOutIsRightOnlyWhereAllowed) {
  const char* kSetup =
      "s1 = space 0x5000\ns1.mmap 0x1000 0x3000 rw private,fixed\ns2 = task 0x5000\n";
  Script enough;
  enough.Run(kSetup);
  EXPECT_FALSE(enough.Accepts("s1.mmap 0x4000 0x1000 rw private,fixed -> ENOMEM"));
  EXPECT_FALSE(enough.Accepts("s1.write 0x1000 1 'x' -> SIGKILL 0x1000"));
  Script scarce({.memory_may_run_out = true});
  scarce.Run(kSetup);
  EXPECT_TRUE(scarce.Accepts("s1.mmap 0x4000 0x1000 rw private,fixed -> ENOMEM"));
  EXPECT_TRUE(scarce.Accepts("s1.mmap 0x4000 0x1000 rw private,fixed -> 0x4000"));
  EXPECT_TRUE(scarce.Accepts("s9 = s1.fork -> ENOMEM"));
  EXPECT_TRUE(scarce.Accepts("s2.vm_allocate 0 0x1000 anywhere -> KERN_RESOURCE_SHORTAGE"));
  EXPECT_FALSE(scarce.Accepts("s1.exit -> ENOMEM"));
  EXPECT_TRUE(scarce.Accepts("s1.write 0x1800 0x2000 'x' -> SIGKILL 0x1800"));
  EXPECT_TRUE(scarce.Accepts("s1.write 0x1800 0x2000 'x' -> SIGKILL 0x3000"));
  EXPECT_FALSE(scarce.Accepts("s1.write 0x1800 0x2000 'x' -> SIGKILL 0x2001"));
  EXPECT_FALSE(scarce.Accepts("s1.write 0x1800 0x2000 'x' -> SIGKILL 0x4000"));
  EXPECT_FALSE(
      scarce.Accepts("s1.write 0x1800 0x2000 'x' -> EXC_BAD_ACCESS_RESOURCE_SHORTAGE 0x2000"));
  scarce.Run("s1.write 0x1000 0x3000 'x' -> SIGKILL 0x2000");
  EXPECT_EQ(scarce.Contents(), "x00.|....") << "what came before is done";
}

// The world remembers whom it was asked for last.
TEST_F(WorldTest, NothingIsExpectedOfTheDead) {
  Run("s2 = s1.fork\ns2.write 0x1000 4096 'x'");
  const traces::ResolvedOp read = {
      .kind = traces::OpKind::kRead, .task = 2, .at = 0x1000, .size = 1};
  EXPECT_EQ(script_.world().Expect(read).Canonical().value, uint64_t{'x'});
  Run("s2.exit");
  EXPECT_EQ(script_.world().Expect(read).Canonical().family, traces::Outcome::Family::kNone);
  EXPECT_FALSE(script_.world().IsLive(2));
  EXPECT_EQ(script_.Contents(), "ABCD");
}

TEST_F(WorldTest, RelativeOperandsFollowTheState) {
  Run("s1.munmap 0x2000 0x1000\n"      // A.CD: regions A and CD, hole at 0x2000
      "~0.write r1+0x1000 4096 'x'\n"  // offset 0x1000 of region 1: page 0x4000
      "~5.write r2+0x1000 4096 'y'\n"  // both modulo: task 0, region 0, offset 0
      "~0.mmap h3+0x1000 0x1000 rw private,fixed -> 0x2000\n");
  EXPECT_EQ(script_.Contents(), "y0Cx");
  Run("~0.mmap h0+0x0 0x1000 rw private,fixed -> none\n"  // no hole is left
      "s1.exec\n"
      "~0.read r0+0x0 1 -> none\n"
      "s1.exit\n"
      "~0.exec -> none\n");
}

// Nothing here may look at pages one by one.
TEST_F(WorldTest, HugeRangesCostNothing) {
  Run("s2 = space\n"
      "s2.mmap 0x10000 0x400000000000 rw private,fixed\n"
      "s2.mprotect 0x20000 0x300000000000 r\n"
      "s2.madvise 0x10000 0x400000000000 free\n"
      "s2.linux_dontneed 0x10000 0x400000000000\n"
      "s3 = s2.fork\n"
      "s3.mremap 0x10000 0x400000000000 0 0x400000100000 none -> 0x10000\n"
      "s3.minherit 0x10000 0x400000000000 zero\n"
      "s4 = s3.fork\n"
      "s4.munmap 0x11000 0x3f0000000000\n");
  EXPECT_NE(script_.world().StateHash(), 0u);
}

}  // namespace
}  // namespace model
