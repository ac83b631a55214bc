// Memory that has a name, sentence by sentence. Maps have eight pages, 0x1000 to 0x8fff.

#include "gtest/gtest.h"
#include "model/testing/script.h"

namespace model {
namespace {

class NamedTest : public testing::Test {
 protected:
  explicit NamedTest(const World::Options& options = {}) : script_(options) {
    script_.Run("s1 = space 0x9000 -> ok");
  }
  void Run(const char* lines) { script_.Run(lines); }
  bool Accepts(const char* line) { return script_.Accepts(line); }
  Script script_;
};

TEST_F(NamedTest, NamesAreOfOneKind) {
  Run("s1.memfd x 0x1000 none -> ok\n"
      "s1.memfd x 0x1000 none -> EEXIST\n"
      "s1.shmget x 0x1000 -> ok\n"
      "s1.memfd_close x -> ok\n"
      "s1.memfd_close x -> EBADF\n"
      "s1.shm_remove x -> ok\n"
      "s1.shm_remove x -> EINVAL\n"
      "s1.mmap 0x1000 0x1000 r shared,fixed memfd x 0 -> EBADF\n"
      "s1.mmap 0x1000 0x1000 r shared,fixed device x 0 -> ENODEV\n"
      "s1.mmap 0x1000 0x1000 r shared,fixed file x 0 -> 0x1000\n");
  EXPECT_EQ(script_.Contents(), "f.......");
}

TEST_F(NamedTest, PagesPastTheEndAreNotToBeHad) {
  Run("s1.memfd m 0x3000 none -> ok\n"
      "s1.mmap 0x1000 0x3000 rw shared,fixed memfd m 0 -> 0x1000\n"
      "s1.mmap 0x4000 0x3000 rw private,fixed memfd m 0 -> 0x4000\n"
      "s1.write 0x3000 4096 'C' -> ok\n"
      "s1.write 0x5000 4096 'b' -> ok\n");
  EXPECT_EQ(script_.Contents(), "00C0bC..");
  Run("s1.memfd_truncate m 0x1000 -> ok");
  EXPECT_EQ(script_.Contents(), "0!!0b!..");
  Run("s1.read 0x1800 0x1000 -> SIGBUS 0x2000\n"
      "s1.write 0x5fff 2 'x' -> SIGBUS 0x6000\n"
      "s1.read 0x5fff 1 -> 'x'\n"
      "s1.fetch 0x2000 -> SEGV_ACCERR 0x2000\n"
      "s1.memfd_truncate m 0x3000 -> ok\n");
  EXPECT_EQ(script_.Contents(),
            "000"
            "0*0..");
}

TEST_F(NamedTest, TheTailOfThePageInWhichAFileEndsIsCut) {
  Run("s1.memfd m 0x800 none -> ok\n"
      "s1.mmap 0x1000 0x1000 rw shared,fixed memfd m 0 -> 0x1000\n"
      "s1.write 0x1000 4096 'A' -> ok\n"
      "s1.read 0x1800 2048 -> 'A'\n"
      "s1.memfd_truncate m 0x800 -> ok\n"  // nothing changes
      "s1.read 0x1800 2048 -> 'A'\n"
      "s1.memfd_truncate m 0xc00 -> ok\n"  // growth cuts what lay beyond the end
      "s1.read 0x1000 2048 -> 'A'\n"
      "s1.read 0x1800 2048 -> 0\n"
      "s1.write 0x1000 4096 'B' -> ok\n"
      "s1.memfd_truncate m 0x400 -> ok\n"
      "s1.read 0x1400 0xc00 -> 0\n");
}

TEST_F(NamedTest, MappingsKeepAFileThatIsClosed) {
  Run("s1.memfd m 0x1000 none -> ok\n"
      "s1.mmap 0x1000 0x1000 rw shared,fixed memfd m 0 -> 0x1000\n"
      "s1.write 0x1000 4096 'A' -> ok\n"
      "s1.memfd_close m -> ok\n"
      "s1.memfd m 0x1000 none -> ok\n"
      "s1.mmap 0x2000 0x1000 rw shared,fixed memfd m 0 -> 0x2000\n"
      "s2 = s1.fork\n"
      "s2.write 0x1000 4096 'B' -> ok\n");
  EXPECT_EQ(script_.Contents(), "B0......|B0......");
}

// The page was given up with nothing below it: its contents, or a bus error.
TEST_F(NamedTest, FreedPagesOverNothingAreThereOrNot) {
  Run("s1.memfd m 0x2000 none -> ok\n"
      "s1.mmap 0x1000 0x2000 rw private,fixed memfd m 0 -> 0x1000\n"
      "s1.write 0x1000 4096 'A' -> ok\n"
      "s1.write 0x2000 4096 'B' -> ok\n"
      "s1.memfd_truncate m 0 -> ok\n"
      "s1.madvise 0x1000 0x1000 free -> ok\n"
      "s2 = s1.fork\n");
  EXPECT_EQ(script_.Contents(), "?B......|?B......");
  EXPECT_EQ(script_.Expected("s1.read 0x1000 4096"), "'A' or SIGBUS 0x1000");
  EXPECT_FALSE(Accepts("s1.read 0x1000 4096 -> 0"));
  EXPECT_FALSE(Accepts("s1.read 0x1000 4096 -> SIGBUS 0x1001"));
  EXPECT_TRUE(Accepts("s1.mlock 0x1000 0x1000 -> ok"));
  EXPECT_TRUE(Accepts("s1.mlock 0x1000 0x1000 -> EINVAL"));
  EXPECT_FALSE(Accepts("s1.mlock 0x2000 0x1000 -> EINVAL"));
  EXPECT_TRUE(Accepts("s1.vm_read 0x1000 0x2000 -> KERN_MEMORY_ERROR"));
  EXPECT_TRUE(Accepts("s1.vm_read 0x1000 0x2000 -> 0x3000"));
  // What one of them sees, the other has.
  Run("s2.read 0x1fff 2 -> SIGBUS 0x1fff");
  EXPECT_EQ(script_.Contents(), "!B......|!B......");
}

TEST_F(NamedTest, AStoreDecidesThatAFreedPageIsThere) {
  Run("s1.memfd m 0x1000 none -> ok\n"
      "s1.mmap 0x1000 0x1000 rw private,fixed memfd m 0 -> 0x1000\n"
      "s1.write 0x1000 4096 'A' -> ok\n"
      "s1.memfd_truncate m 0 -> ok\n"
      "s1.madvise 0x1000 0x1000 free -> ok\n");
  EXPECT_TRUE(Accepts("s1.write 0x1000 1 'x' -> SIGBUS 0x1000"));
  Run("s1.write 0x1000 1 'x' -> ok\n"
      "s1.read 0x1001 4095 -> 'A'\n");
}

TEST_F(NamedTest, WiringWhatIsNotThereFails) {
  Run("s1.memfd m 0x3000 none -> ok\n"
      "s1.mmap 0x1000 0x3000 rw shared,fixed memfd m 0 -> 0x1000\n"
      "s1.mlock 0x3000 0x1000 -> ok\n"
      "s1.memfd_truncate m 0x1000 -> ok\n"
      "s1.mlock 0x1000 0x1000 -> ok\n"
      "s1.mlock 0x1000 0x3000 -> EINVAL\n"
      "s1.mlock 0x3000 0x1000 -> ok\n"  // wired already, cut or not
      "s1.mlockall current -> EINVAL\n"
      "s1.mmap 0x5000 0x1000 r private,fixed device fb 0 -> 0x5000\n"
      "s1.munmap 0x2000 0x1000 -> ok\n"
      "s1.mlockall current -> EIO\n"
      "s1.mprotect 0x5000 0x1000 none -> ok\n"
      "s1.mlockall both -> ok\n"
      // The rights are given, and the wiring they should bring fails.
      "s1.mprotect 0x5000 0x1000 r -> ENOMEM\n"
      "s1.mmap 0x6000 0x1000 r private,fixed device fb 0 -> EIO\n");
  EXPECT_EQ(script_.Prots(), "w.w.r...");
}

TEST_F(NamedTest, GrowthStaysInsideTheObject) {
  Run("s1.memfd m 0x2800 none -> ok\n"
      "s1.mmap 0x1000 0x1000 rw shared,fixed memfd m 0x1000 -> 0x1000\n"
      "s1.mremap 0x1000 0x1000 0 0x3000 none -> EINVAL\n"
      "s1.mremap 0x1000 0x1000 0 0x2000 none -> 0x1000\n"
      "s1.mmap 0x4000 0x1000 rw shared,fixed device fb 0x3000 -> 0x4000\n"
      "s1.mremap 0x4000 0x1000 0 0x4000 none -> 0x4000\n");
  // The driver speaks last: pages 4 and 5 may not be written, there is no page 6.
  EXPECT_EQ(script_.Contents(),
            "00.0"
            "00!.");
  EXPECT_TRUE(Accepts("s1.read 0x5000 1 -> SIGBUS 0x5000"));
  EXPECT_TRUE(Accepts("s1.read 0x5000 1 -> 0"));
  EXPECT_FALSE(Accepts("s1.write 0x5000 1 'x' -> ok"));
  Run("s1.mprotect 0x5000 0x2000 r -> ok");
  EXPECT_FALSE(Accepts("s1.read 0x5000 1 -> SIGBUS 0x5000"));
  EXPECT_EQ(script_.Expected("s1.read 0x7000 1"), "SIGBUS 0x7000");
}

TEST_F(NamedTest, SealsForbidWhatTheyName) {
  Run("s1.memfd m 0x1000 sealable -> ok\n"
      "s1.memfd_seal m 0x10 -> ok\n"
      "s1.mmap 0x1000 0x1000 rw shared,fixed memfd m 0 -> EPERM\n"
      "s1.mmap 0x1000 0x1000 r shared,fixed memfd m 0 -> 0x1000\n"
      "s1.mmap 0x2000 0x1000 rw private,fixed memfd m 0 -> 0x2000\n"
      "s1.memfd_seal m 0x8 -> EBUSY\n"
      "s1.munmap 0x1000 0x1000 -> ok\n"
      "s1.memfd_seal m 0x8 -> EBUSY\n"  // private ones count
      "s1.memfd_seal m 0xffffffff -> EINVAL\n"
      "s1.memfd_seal m 0x7 -> ok\n"
      "s1.memfd_seal m 0x0 -> EPERM\n"
      "s1.memfd_truncate m 0 -> EPERM\n"
      "s1.memfd_truncate m 0x2000 -> EPERM\n"
      "s1.memfd_truncate m 0x1000 -> ok\n");
  EXPECT_EQ(script_.MaxProts(), ".a......");
}

TEST_F(NamedTest, AttachmentsAreRecordsNotMappings) {
  Run("s1.shmget g 0x1800 -> ok\n"
      "s1.shmat g 0x2fff rdonly,round -> 0x2000\n"
      "s1.shmat g 0x3000 none -> ENOMEM\n"
      "s1.shmat g 0x8000 none -> ENOMEM\n"
      "s1.shmat g 0x500 none,round -> ENOMEM\n"
      "s1.shmat g 0x500 none -> EINVAL\n");
  EXPECT_TRUE(Accepts("s1.shmat g 0 none -> 0x4000"));
  EXPECT_TRUE(Accepts("s1.shmat g 0 none -> 0x7000"));
  EXPECT_FALSE(Accepts("s1.shmat g 0 none -> 0x1000"));
  EXPECT_EQ(script_.Prots(), ".rr.....");
  EXPECT_EQ(script_.MaxProts(), ".rr.....");
  EXPECT_EQ(script_.Inherits(), ".SS.....");
  EXPECT_EQ(script_.Advices(), ".rr.....");
  Run("s1.munmap 0x2000 0x1000 -> ok\n"
      "s1.mmap 0x2000 0x1000 rw private,fixed -> 0x2000\n"
      "s1.shmdt 0x3000 -> EINVAL\n"
      "s1.shmdt 0x2000 -> ok\n"
      "s1.shmdt 0x2000 -> EINVAL\n");
  EXPECT_EQ(script_.Contents(), "........");
}

TEST_F(NamedTest, ALockedSegmentIsUnlockedWhenItGoes) {
  Run("s1.shmget g 0x1000 -> ok\n"
      "s1.shm_unlock g -> EINVAL\n"
      "s1.shm_lock g -> ok\n"
      "s1.shm_lock g -> EINVAL\n"
      "s1.shmat g 0x1000 none -> 0x1000\n"
      "s2 = s1.fork\n"
      "s1.shm_remove g -> ok\n"
      "s1.exit -> ok\n"
      "s2.write 0x1000 1 'x' -> ok\n"
      "s2.exec -> ok\n"
      "s2.shmget g 0x2000 -> ok\n"
      "s2.shm_unlock g -> EINVAL\n");
}

class TightTest : public NamedTest {
 protected:
  TightTest() : NamedTest({.wired_max = 3, .shm_max = 0x5000}) {}
};

TEST_F(TightTest, LockingCountsWithAllOtherWiring) {
  Run("s1.shmget big 0x5001 -> EINVAL\n"
      "s1.shmget big 0x5000 -> ok\n"
      "s1.shm_lock big -> ENOMEM\n"
      "s1.shmget g 0x2000 -> ok\n"
      "s1.shm_lock g -> ok\n"
      "s1.mmap 0x1000 0x2000 rw private,fixed -> 0x1000\n");
  // Which frames are wired twice nobody says.
  EXPECT_TRUE(Accepts("s1.mlock 0x1000 0x2000 -> ok"));
  EXPECT_TRUE(Accepts("s1.mlock 0x1000 0x2000 -> EAGAIN"));
  EXPECT_FALSE(Accepts("s1.mlock 0x1000 0x1000 -> EAGAIN"));
  Run("s1.mlock 0x1000 0x1000 -> ok\n"
      "s1.shmget h 0x1000 -> ok\n");
  EXPECT_TRUE(Accepts("s1.shm_lock h -> ENOMEM"));
  EXPECT_TRUE(Accepts("s1.shm_lock h -> ok"));
}

TEST_F(NamedTest, ADeviceIsNeverCopied) {
  Run("s1.mmap 0x1000 0x2000 rw shared,fixed device fb 0 -> 0x1000\n"
      "s1.write 0x1000 4096 'A' -> ok\n"
      "s1.minherit 0x1000 0x1000 copy -> ok\n"
      "s2 = s1.fork\n");
  EXPECT_EQ(script_.Contents(), "A0......|!0......");
  Run("s1.vm_read 0x1000 0x1000 -> KERN_MEMORY_ERROR\n"
      "s1.vm_copy 0x2000 0x1000 0x1000 -> KERN_MEMORY_ERROR\n"
      "s1.mincore 0x1000 0x2000 -> 2\n"
      "s2.mincore 0x1000 0x2000 -> 2\n"
      "s1.exit -> ok\n"
      "s3 = space 0x9000 -> ok\n"
      "s3.mmap 0x3000 0x6000 r shared,fixed device fb_read 0 -> 0x3000\n");
  EXPECT_EQ(script_.Contents(), "!0......|..A00000");
}

TEST_F(NamedTest, ADevicesDriverAndModeAreAskedAtMmap) {
  Run("s1.mmap 0x1000 0x1000 r shared,fixed device fb 0x4000 -> EINVAL\n"
      "s1.mmap 0x1000 0x1000 r private,fixed device fb 0x4000 -> 0x1000\n"
      "s1.mmap 0x1000 0x1000 r shared,fixed device fb 0x6000 -> EINVAL\n"
      "s1.mmap 0x1000 0x1000 w shared,fixed device fb_read 0 -> EACCES\n"
      "s1.mmap 0x1000 0x1000 r shared,fixed device fb_read 0x5000 -> 0x1000\n"
      "s1.mmap 0x1001 0x1000 r shared,fixed device fb 0x6000 -> EINVAL\n"
      "s1.mmap 0x8000 0x2000 r shared,fixed device tape 0 -> EFBIG\n");
  EXPECT_EQ(script_.MaxProts(), "x.......");
}

}  // namespace
}  // namespace model
