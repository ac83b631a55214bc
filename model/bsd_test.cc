// The BSD calls, sentence by sentence. Maps have eight pages, 0x1000 to 0x8fff.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/testing/script.h"

namespace model {
namespace {

class BsdTest : public testing::Test {
 protected:
  BsdTest() { script_.Run("s1 = space 0x9000 -> ok"); }
  void Run(const char* lines) { script_.Run(lines); }
  // Pages 'A' at 0x1000 up to the last letter; '.' is a hole.
  void Fill(const std::string& pages) {
    for (size_t i = 0; i < pages.size(); ++i) {
      if (pages[i] == '.') continue;
      std::string at = std::to_string((i + 1) * 4096);
      script_.Run("s1.mmap " + at + " 4096 rw private,fixed");
      if (pages[i] != '0') script_.Run("s1.write " + at + " 4096 '" + pages[i] + "' -> ok");
    }
  }
  Script script_;
};

TEST_F(BsdTest, SpacesHaveAlignedMaximaInsideTheLimits) {
  Run("s2 = space 0x1000 -> EINVAL\n"
      "s3 = space 0x9001 -> EINVAL\n"
      "s4 = space 0x7ffffffff000 -> ok\n"
      "s5 = space 0x800000000000 -> EINVAL\n"
      "s6 = space -> ok\n");
  EXPECT_EQ(script_.world().Bounds(6),
            (base::Range{base::Vaddr(0x1000), base::Vaddr(0x7ffffffff000)}));
}

TEST_F(BsdTest, MmapOfNothing) {
  Run("s1.mmap 0x5123 0 rw private,fixed -> EINVAL\n"
      "s1.mmap 0x5000 0 rw private,fixed -> 0x5000\n"
      "s1.mmap 0x5123 0 rw private,tryfixed -> 0x5123\n"
      "s1.mmap 0x5123 0 rw private -> 0x5123\n"
      "s1.mmap 0 0 rw private -> 0x1000\n"
      "s1.mmap 0x5000 0 rw private,fixed file a 0 -> EINVAL\n");
  EXPECT_EQ(script_.Contents(), "........");
}

TEST_F(BsdTest, MmapFixedReplacesAtomically) {
  Fill("ABCD");
  Run("s1.mmap 0x2000 0x1001 r private,fixed -> 0x2000");
  EXPECT_EQ(script_.Contents(), "A00D....");
  EXPECT_EQ(script_.Prots(), "wrrw....");
}

TEST_F(BsdTest, MmapFixedChecksInOrder) {
  Fill("A");
  Run("s1.mmap 0x1001 0x1000 rw private,fixed -> EINVAL\n"
      "s1.mmap 0x1000 0xffffffffffffff00 rw private,fixed -> ENOMEM\n"  // rounding wraps
      "s1.mmap 0x2000 0xfffffffffffff000 rw private,fixed -> EOVERFLOW\n"
      "s1.mmap 0x8000 0x2000 rw private,fixed -> EFBIG\n"
      "s1.mmap 0x0 0x1000 rw private,fixed -> EINVAL\n"
      "s1.mmap 0x0 0xa000 rw private,fixed -> EINVAL\n"  // what lies too low is found first
      "s1.mmap 0x1000 0x1000 rw private,fixed file a 0x10 -> EINVAL\n"  // not congruent
      "s1.mmap 0x3010 0x1000 rw private,fixed file a 0x5010 -> 0x3010\n");
  EXPECT_EQ(script_.Contents(), "A.ff....");
}

TEST_F(BsdTest, MmapAnywhereMayUseAnyHole) {
  Fill("AB..EF");
  EXPECT_TRUE(script_.Accepts("s1.mmap 0 0x2000 rw private -> 0x3000"));
  EXPECT_TRUE(script_.Accepts("s1.mmap 0 0x2000 rw private -> 0x7000"));
  EXPECT_FALSE(script_.Accepts("s1.mmap 0 0x2000 rw private -> 0x4000"));
  EXPECT_FALSE(script_.Accepts("s1.mmap 0 0x2000 rw private -> 0x8000"));
  EXPECT_FALSE(script_.Accepts("s1.mmap 0 0x2000 rw private -> 0x3001"));
  EXPECT_FALSE(script_.Accepts("s1.mmap 0 0x2000 rw private -> ENOMEM"));
  EXPECT_TRUE(script_.Accepts("s1.mmap 0 0x3000 rw private -> ENOMEM"));
  EXPECT_EQ(script_.Expected("s1.mmap 0 0x1fff rw private"),
            "the address of 0x2000 free bytes in [0x1000,0x9000)");
  Run("s1.mmap 0 0x2000 rw private -> 0x7000");
  EXPECT_EQ(script_.Contents(), "AB..EF00");
}

TEST_F(BsdTest, MmapTriesTheAddressFirst) {
  Fill("AB..EF");
  EXPECT_FALSE(script_.Accepts("s1.mmap 0x7000 0x2000 rw private,tryfixed -> 0x3000"));
  EXPECT_TRUE(script_.Accepts("s1.mmap 0x7000 0x2000 rw private,tryfixed -> 0x7000"));
  EXPECT_TRUE(script_.Accepts("s1.mmap 0x4000 0x2000 rw private,tryfixed -> 0x3000"))
      << "taken: anywhere";
  // The search goes up from the address, rounded up, and does not begin again.
  EXPECT_TRUE(script_.Accepts("s1.mmap 0x7001 0x2000 rw private,tryfixed -> ENOMEM"));
  EXPECT_TRUE(script_.Accepts("s1.mmap 0x8000 0x2000 rw private,tryfixed -> ENOMEM"));
}

TEST_F(BsdTest, MmapAddsTheOffsetInThePage) {
  EXPECT_TRUE(script_.Accepts("s1.mmap 0 0xfff r private file a 0x1002 -> 0x1002"));
  EXPECT_FALSE(script_.Accepts("s1.mmap 0 0xfff r private file a 0x1002 -> 0x1000"));
  Run("s1.mmap 0 0xfff r private file a 0x1002 -> 0x1002");
  EXPECT_EQ(script_.Contents(), "ff......")
      << "0xfff bytes from byte 2 on reach into a second page";
}

TEST_F(BsdTest, MmapSharingDecidesInheritance) {
  Run("s1.mmap 0x1000 0x1000 rw private,fixed\n"
      "s1.mmap 0x2000 0x1000 rw shared,fixed\n"
      "s1.mmap 0x3000 0x1000 rw private,fixed file a 0\n"
      "s1.mmap 0x4000 0x1000 rw shared,fixed file a 0\n");
  EXPECT_EQ(script_.Inherits(), "cScS....");
  EXPECT_EQ(script_.MaxProts(), "aaaa....");
}

TEST_F(BsdTest, WriteAndExecuteImplyRead) {
  Run("s1.mmap 0x1000 0x1000 w private,fixed\n"
      "s1.mmap 0x2000 0x1000 x private,fixed\n"
      "s1.mmap 0x3000 0x1000 none private,fixed\n"
      "s1.mmap 0x4000 0x1000 none private,fixed\n"
      "s1.mprotect 0x4000 0x1000 wx\n"
      "s1.exec_map 0x5000 0x1000 x observed\n");
  EXPECT_EQ(script_.Prots(), "wx-ax...");
}

TEST_F(BsdTest, MunmapRoundsOutwardsAndIgnoresHoles) {
  Fill("ABCDEFGH");
  Run("s1.munmap 0x2fff 2 -> ok\n"
      "s1.munmap 0x2000 0x4000 -> ok\n"
      "s1.munmap 0x7000 0 -> ok\n"
      "s1.munmap 0x7001 0xffffffffffffffff -> ok\n"  // wraps to nothing
      "s1.munmap 0x0 0x1000 -> EINVAL\n"
      "s1.munmap 0x0 0 -> ok\n"
      "s1.munmap 0x9000 0 -> ok\n"
      "s1.munmap 0x8000 0x1001 -> EINVAL\n"
      "s1.munmap 0x8000 0xfffffffffffff000 -> EINVAL\n");
  EXPECT_EQ(script_.Contents(), "A....FGH");
}

TEST_F(BsdTest, MprotectObeysTheMaximum) {
  Fill("AB.D");
  Run("s1.vm_protect 0x4000 0x1000 maximum rx -> ok\n"
      "s1.mprotect 0x1000 0x4000 rw -> EACCES\n"
      "s1.mprotect 0x1000 0x4000 rx -> ok\n"
      "s1.mprotect 0x1000 0 w -> ok\n"
      "s1.mprotect 0x8000 0x2000 r -> EINVAL\n");
  EXPECT_EQ(script_.Prots(), "xx.x....");
}

TEST_F(BsdTest, MinheritTakesFourCodes) {
  Fill("ABCDE");
  Run("s1.minherit 0x1000 0x1000 share -> ok\n"
      "s1.minherit 0x2000 0x1000 copy -> ok\n"
      "s1.minherit 0x3000 0x1000 none -> ok\n"
      "s1.minherit 0x4000 0x1000 zero -> ok\n"
      "s1.minherit 0x5000 0x1000 donate -> EINVAL\n"
      "s1.minherit 0x5000 0x4000 share -> ok\n"  // holes are fine
      "s1.minherit 0x5000 0x5000 share -> EINVAL\n");
  EXPECT_EQ(script_.Inherits(), "scnzs...");
}

TEST_F(BsdTest, MadviseStoresThreeAndActsOnTheOthers) {
  Fill("ABC.E");
  Run("s1.madvise 0x1000 0x1000 random -> ok\n"
      "s1.madvise 0x2000 0x4000 sequential -> ok\n"
      "s1.madvise 0x2000 0x1000 normal -> ok\n"
      "s1.madvise 0x1000 0x5000 willneed -> ok\n"
      "s1.madvise 0x1000 0x3000 dontneed -> ok\n"
      "s1.madvise 0x1000 0x4000 dontneed -> EFAULT\n"
      "s1.madvise 0x1000 0x5000 free -> EFAULT\n"
      "s1.madvise 0x4000 0 dontneed -> ok\n"
      "s1.madvise 0 0 spaceavail -> EINVAL\n"
      "s1.madvise 0 0x1000 willneed -> EINVAL\n");
  EXPECT_EQ(script_.Contents(), "ABC.E...");
  EXPECT_EQ(script_.Advices(), "rns.s...");
}

TEST_F(BsdTest, MremapInPlace) {
  Fill("AB");
  Run("s1.mremap 0x5000 0x1000 0 0x1000 none -> 0x5000\n"  // equal sizes: nobody looks
      "s1.mremap 0x1000 0x2000 0 0x4000 none -> 0x1000\n");
  EXPECT_EQ(script_.Contents(), "AB00....");
  Run("s1.mremap 0x1000 0x4000 0 0x1000 none -> 0x1000");
  EXPECT_EQ(script_.Contents(), "A.......");
}

TEST_F(BsdTest, MremapMovesWhenItCannotGrow) {
  Fill("ABC");
  Run("s1.mremap 0x1000 0x2000 0 0x3000 none -> 0x6000");
  EXPECT_EQ(script_.Contents(), "..C..AB0");
  EXPECT_TRUE(script_.Accepts("s1.mremap 0x6000 0x3000 0 0x4000 none -> ENOMEM"));
  EXPECT_TRUE(script_.Accepts("s1.mremap 0x3000 0x1000 0x3000 0x4000 fixed -> ENOMEM"));
}

TEST_F(BsdTest, MremapFixedWantsFreeSpace) {
  Fill("AB.D");
  Run("s1.mremap 0x1000 0x2000 0x3000 0x2000 fixed -> ENOMEM\n"
      "s1.mremap 0x1000 0x2000 0x2000 0x2000 fixed -> ENOMEM\n"  // its own pages are in the way too
      "s1.mremap 0x1000 0x2000 0x8000 0x2000 fixed -> ENOMEM\n"
      "s1.mremap 0x1000 0x2000 0x5001 0x2000 fixed -> EINVAL\n"
      "s1.mremap 0x1000 0x4000 0x5000 0x4000 fixed -> 0x5000\n");
  EXPECT_EQ(script_.Contents(), "....AB.D") << "holes stay holes";
  Run("s1.mremap 0x5000 0x4000 0x1000 0x1000 fixed -> 0x1000");
  EXPECT_EQ(script_.Contents(), "A.......") << "what does not move is unmapped";
}

TEST_F(BsdTest, MremapChecksItsArguments) {
  Fill("A");
  Run("s1.mremap 0x1001 0x1000 0 0x1000 none -> EINVAL\n"
      "s1.mremap 0x1000 0 0 0x1000 none -> EINVAL\n"
      "s1.mremap 0x1000 0x1000 0 0 none -> EINVAL\n"
      "s1.mremap 0x1000 0xffffffffffffffff 0 0x1000 none -> EINVAL\n"
      "s1.mremap 0x1000 0x9000 0 0x1000 none -> EINVAL\n"
      "s1.mremap 0x0 0x1000 0 0x1000 none -> EINVAL\n"
      "s1.mremap 0x1000 0x2000 0 0x3000 none -> EINVAL\n"  // the last page is not mapped
      "s1.mremap 0x1000 0x1000 0 0xfffffffffffff000 none -> ENOMEM\n");
  EXPECT_EQ(script_.Contents(), "A.......");
}

TEST_F(BsdTest, MremapGrowsWithTheLastPagesAttributes) {
  Fill("AB");
  Run("s1.mprotect 0x2000 0x1000 r\n"
      "s1.minherit 0x2000 0x1000 none\n"
      "s1.madvise 0x2000 0x1000 random\n"
      "s1.mremap 0x1000 0x2000 0 0x3000 none -> 0x1000\n");
  EXPECT_EQ(script_.Prots(), "wrr.....");
  EXPECT_EQ(script_.Inherits(), "cnn.....");
  EXPECT_EQ(script_.Advices(), "nrr.....");
}

TEST_F(BsdTest, MremapContinuesFiles) {
  Run("s1.mmap 0x1000 0x1000 rw private,fixed file a 0x1000\n"
      "s1.mmap 0x8000 0x1000 rw shared,fixed file a 0x2000\n"
      "s1.write 0x8000 4096 'N' -> ok\n"
      "s1.mremap 0x1000 0x1000 0 0x2000 none -> 0x1000\n");
  EXPECT_EQ(script_.Contents(), "fN.....N");
  Run("s1.mmap 0x4000 0x1000 rw private,fixed file a 0x7ffffffffffff000\n"
      "s1.mremap 0x4000 0x1000 0 0x2000 none -> E2BIG\n");
}

TEST_F(BsdTest, MremapGrowsSharedMemoryAsSharedMemory) {
  Run("s1.mmap 0x1000 0x1000 rw shared,fixed\n"
      "s1.mremap 0x1000 0x1000 0 0x2000 none -> 0x1000\n"
      "s2 = s1.fork\n"
      "s2.write 0x2000 4096 'x' -> ok\n");
  EXPECT_EQ(script_.Contents(), "0x......|0x......");
}

// A sharer keeps its tail; growing back gives the other new pages, not the old ones.
TEST_F(BsdTest, MremapDoesNotGrowBackIntoSharedPages) {
  Run("s1.mmap 0x1000 0x2000 rw shared,fixed\n"
      "s1.write 0x1000 8192 'A'\n"
      "s2 = s1.fork\n"
      "s1.mremap 0x1000 0x2000 0 0x1000 none\n"
      "s1.mremap 0x1000 0x1000 0 0x2000 none -> 0x1000\n");
  EXPECT_EQ(script_.Contents(), "A0......|AA......");
}

TEST_F(BsdTest, HeapEndsInsidePages) {
  Run("s1.brk 0x3000 -> EINVAL\n"
      "s1.exec_brk 0x3001 -> EINVAL\n"
      "s1.exec_brk 0x0 -> EINVAL\n"
      "s1.exec_brk 0x9000 -> EINVAL\n"
      "s1.exec_brk 0x3000 -> ok\n"
      "s1.brk 0x3001 -> ok\n");
  EXPECT_EQ(script_.Contents(), "..0.....");
  EXPECT_EQ(script_.Prots(), "..w.....");
  Run("s1.brk 0x9000 -> ok\n"
      "s1.brk 0x9001 -> ENOMEM\n"
      "s1.brk 0x2fff -> EINVAL\n"
      "s1.brk 0x4001 -> ok\n");
  EXPECT_EQ(script_.Contents(), "..00....");
  Run("s1.brk 0x3000 -> ok\n");
  EXPECT_EQ(script_.Contents(), "........");
}

TEST_F(BsdTest, LinuxDontneedDiscardsWhatIsMapped) {
  Fill("AB.D");
  Run("s1.linux_dontneed 0x1001 0x1000 -> EINVAL\n"
      "s1.linux_dontneed 0x1000 0 -> ok\n"
      "s1.linux_dontneed 0x0 0x1000 -> ENOMEM\n"
      "s1.linux_dontneed 0x8000 0x2000 -> ENOMEM\n");
  EXPECT_EQ(script_.Contents(), "AB.D....");
  Run("s1.linux_dontneed 0x2000 0x3000 -> ENOMEM\n");
  EXPECT_EQ(script_.Contents(), "A0.0....");
}

TEST_F(BsdTest, ExecEmptiesTheMap) {
  Fill("AB");
  Run("s1.exec_brk 0x3000\ns1.exec -> ok\ns1.brk 0x3000 -> EINVAL\n");
  EXPECT_EQ(script_.Contents(), "........");
}

TEST_F(BsdTest, DeadTasksDoNothing) {
  Run("s1.exit -> ok\n"
      "s1.read 0x1000 1 -> none\n"
      "s2 = s1.fork -> none\n"
      "s9.exit -> none\n"
      "s1 = space -> none\n");  // the label is spent
  Run("s2 = space -> ok");
}

TEST(TaskLimitTest, BirthsBeyondTheLimitFail) {
  Script script({.max_tasks = 2});
  script.Run(
      "s1 = space 0x9000 -> ok\ns2 = task 0x9000 -> ok\ns3 = space -> EAGAIN\ns4 = task -> "
      "KERN_RESOURCE_SHORTAGE\n"
      "s5 = s1.fork -> EAGAIN\ns6 = s2.task_create 0 -> KERN_RESOURCE_SHORTAGE\ns1.exit -> ok\n"
      "s7 = s2.task_create 0 -> ok\n");
  EXPECT_EQ(script.world().LiveTasks(), (std::vector<uint32_t>{2, 7}));
}

}  // namespace
}  // namespace model
