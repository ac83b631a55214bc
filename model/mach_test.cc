// The Mach calls, sentence by sentence. Maps have eight pages, 0x1000 to 0x8fff.

#include "gtest/gtest.h"
#include "model/testing/script.h"

namespace model {
namespace {

class MachTest : public testing::Test {
 protected:
  MachTest() { script_.Run("s1 = task 0x9000 -> ok"); }
  void Run(const char* lines) { script_.Run(lines); }
  Script script_;
};

TEST_F(MachTest, TasksHaveAlignedMaximaInsideTheLimits) {
  Run("s2 = task 0x1000 -> KERN_INVALID_ARGUMENT\n"
      "s3 = task 0x9001 -> KERN_INVALID_ARGUMENT\n"
      "s4 = task 0x800000000000 -> KERN_INVALID_ARGUMENT\n"
      "s5 = task -> ok\n");
}

TEST_F(MachTest, AllocateAtAnAddress) {
  Run("s1.vm_allocate 0x2345 0x1001 fixed -> 0x2000\n"
      "s1.vm_allocate 0x3000 0x1000 fixed -> KERN_NO_SPACE\n"
      "s1.vm_allocate 0x0 0x1000 fixed -> KERN_INVALID_ADDRESS\n"
      "s1.vm_allocate 0x8000 0x2000 fixed -> KERN_INVALID_ADDRESS\n"
      "s1.vm_allocate 0x8000 0xfffffffffffff000 fixed -> KERN_INVALID_ADDRESS\n"
      "s1.vm_allocate 0x8000 0xffffffffffffffff fixed -> KERN_INVALID_ARGUMENT\n"
      "s1.vm_allocate 0x8000 0 fixed -> 0x0\n");
  EXPECT_EQ(script_.Contents(), ".00.....");
  EXPECT_EQ(script_.Prots(), ".ww.....");
  EXPECT_EQ(script_.MaxProts(), ".aa.....");
  EXPECT_EQ(script_.Inherits(), ".cc.....");
}

TEST_F(MachTest, AllocateAnywhere) {
  Run("s1.vm_allocate 0x4000 0x1000 fixed");
  EXPECT_TRUE(script_.Accepts("s1.vm_allocate 0x4000 0x3000 anywhere -> 0x1000"));
  EXPECT_TRUE(script_.Accepts("s1.vm_allocate 0x4000 0x3000 anywhere -> 0x6000"));
  EXPECT_FALSE(script_.Accepts("s1.vm_allocate 0x4000 0x3000 anywhere -> 0x2000"));
  EXPECT_FALSE(script_.Accepts("s1.vm_allocate 0x4000 0x3000 anywhere -> 0x7000"));
  EXPECT_TRUE(script_.Accepts("s1.vm_allocate 0x4000 0x5000 anywhere -> KERN_NO_SPACE"));
}

TEST_F(MachTest, DeallocateClampsSilently) {
  Run("s1.vm_allocate 0x1000 0x8000 fixed\n"
      "s1.vm_deallocate 0x2345 0 -> ok\n"
      "s1.vm_deallocate 0x0 0x1001 -> ok\n"
      "s1.vm_deallocate 0x8fff 0x100000 -> ok\n"
      "s1.vm_deallocate 0x4000 0xffffffffffffffff -> ok\n"  // wraps: becomes empty
      "s1.vm_deallocate 0x100000 0x1000 -> ok\n"
      "s1.vm_deallocate 0x5fff 2 -> ok\n"
      "s1.vm_deallocate 0x4000 0x4000 -> ok\n");
  EXPECT_EQ(script_.Contents(), ".00.....");
}

TEST_F(MachTest, RangesAreCutAtTheMapsEnd) {
  Run("s1.vm_allocate 0x7000 0x2000 fixed\n"
      "s1.vm_wire 0x8000 0x3000 r priv -> ok\n"
      "s1.vm_wire 0x6000 0x5000 r priv -> KERN_NO_SPACE\n"
      "s1.vm_protect 0x8000 0x3000 current r -> ok\n");
  EXPECT_EQ(script_.Prots(), "......wr");
}

TEST_F(MachTest, ProtectSetsExactRights) {
  Run("s1.vm_allocate 0x1000 0x4000 fixed\n"
      "s1.vm_protect 0x1000 0x1000 current w -> ok\n"
      "s1.vm_protect 0x2000 0x1000 current none -> ok\n"
      "s1.vm_protect 0x3000 0x1000 current rx -> ok\n"
      "s1.vm_protect 0x5000 0x1000 current rx -> ok\n");  // nothing there
  EXPECT_EQ(script_.Prots(), "!-xw....");
}

TEST_F(MachTest, ProtectOfNoBytesInsideAPageAffectsThePage) {
  Run("s1.vm_allocate 0x1000 0x3000 fixed\n"
      "s1.vm_protect 0x1000 0 current r -> ok\n"
      "s1.vm_protect 0x2001 0 current r -> ok\n"
      "s1.vm_inherit 0x1000 0 none -> ok\n"
      "s1.vm_inherit 0x3001 0 none -> ok\n");
  EXPECT_EQ(script_.Prots(), "wrw.....");
  EXPECT_EQ(script_.Inherits(), "ccn.....");
}

TEST_F(MachTest, ProtectMaximumLowersBoth) {
  Run("s1.vm_allocate 0x1000 0x3000 fixed\n"
      "s1.vm_protect 0x2000 0x1000 maximum rx -> ok\n");
  EXPECT_EQ(script_.Prots(), "wrw.....");
  EXPECT_EQ(script_.MaxProts(), "axa.....");
  Run("s1.vm_protect 0x1000 0x3000 current rw -> KERN_PROTECTION_FAILURE\n"
      "s1.vm_protect 0x1000 0x3000 maximum rwx -> KERN_PROTECTION_FAILURE\n"
      "s1.vm_protect 0x1000 0x3000 maximum r -> ok\n");
  EXPECT_EQ(script_.Prots(), "rrr.....");
  EXPECT_EQ(script_.MaxProts(), "rrr.....");
}

TEST_F(MachTest, InheritTakesThreeCodes) {
  Run("s1.vm_allocate 0x1000 0x3000 fixed\n"
      "s1.vm_inherit 0x1000 0x1000 share -> ok\n"
      "s1.vm_inherit 0x2000 0x1000 none -> ok\n"
      "s1.vm_inherit 0x3000 0x1000 zero -> KERN_INVALID_ARGUMENT\n"
      "s1.vm_inherit 0x100000 0x1000 donate -> KERN_INVALID_ARGUMENT\n");
  EXPECT_EQ(script_.Inherits(), "snc.....");
}

TEST_F(MachTest, RegionIsAnyRunOfLikePages) {
  Run("s1.vm_allocate 0x2000 0x3000 fixed\n"
      "s1.vm_allocate 0x5000 0x1000 fixed\n"
      "s1.vm_protect 0x5000 0x1000 current r\n");
  EXPECT_TRUE(script_.Accepts("s1.vm_region 0x3456 -> 0x2000 0x3000 rw- rwx copy private"));
  EXPECT_TRUE(script_.Accepts("s1.vm_region 0x3456 -> 0x3000 0x1000 rw- rwx copy private"));
  EXPECT_TRUE(script_.Accepts("s1.vm_region 0x3456 -> 0x3000 0x2000 rw- rwx copy private"));
  EXPECT_FALSE(script_.Accepts("s1.vm_region 0x3456 -> 0x4000 0x1000 rw- rwx copy private"))
      << "not around it";
  EXPECT_FALSE(script_.Accepts("s1.vm_region 0x3456 -> 0x2000 0x4000 rw- rwx copy private"))
      << "not alike";
  EXPECT_FALSE(script_.Accepts("s1.vm_region 0x3456 -> 0x2000 0x3000 r-- rwx copy private"));
  EXPECT_FALSE(script_.Accepts("s1.vm_region 0x3456 -> 0x2000 0x3000 rw- rwx copy shared"));
  EXPECT_FALSE(script_.Accepts("s1.vm_region 0x3456 -> 0x2800 0x1800 rw- rwx copy private"));
}

TEST_F(MachTest, RegionAtTheFirstByteOfARunMayBeginBelow) {
  Run("s1.vm_allocate 0x2000 0x1000 fixed\n"
      "s1.vm_allocate 0x1000 0x1000 fixed\n");
  EXPECT_TRUE(script_.Accepts("s1.vm_region 0x2000 -> 0x1000 0x2000 rw- rwx copy private"));
  EXPECT_TRUE(script_.Accepts("s1.vm_region 0x2000 -> 0x2000 0x1000 rw- rwx copy private"));
}

TEST_F(MachTest, WhatACopyReplacesIsNoLongerTheFiles) {
  Run("s1.mmap 0x1000 0x1000 rw private,fixed file f1 0x0\n"
      "s1.vm_allocate 0x3000 0x1000 fixed\n"
      "s1.write 0x3000 0x1000 7\n"
      "s1.vm_copy 0x3000 0x1000 0x1000 -> ok\n"
      "s1.linux_dontneed 0x1000 0x1000 -> ok\n");
  EXPECT_EQ(script_.Contents().substr(0, 1), "0");
}

TEST_F(MachTest, RegionAboveAHoleStartsAtTheFirstPage) {
  Run("s1.vm_allocate 0x2000 0x3000 fixed\n");
  EXPECT_TRUE(script_.Accepts("s1.vm_region 0x0 -> 0x2000 0x1000 rw- rwx copy private"));
  EXPECT_FALSE(script_.Accepts("s1.vm_region 0x0 -> 0x3000 0x1000 rw- rwx copy private"));
  EXPECT_TRUE(script_.Accepts("s1.vm_region 0x5000 -> KERN_NO_SPACE"));
  EXPECT_TRUE(script_.Accepts("s1.vm_region 0xffffffffffffffff -> KERN_NO_SPACE"));
}

TEST_F(MachTest, SharingShowsInRegions) {
  Run("s1.vm_allocate 0x1000 0x2000 fixed\n"
      "s1.vm_inherit 0x1000 0x1000 share\n"
      "s1.vm_region 0x1000 -> 0x1000 0x1000 rw- rwx share private\n"
      "s2 = s1.task_create 1 -> ok\n"
      "s1.vm_region 0x1000 -> 0x1000 0x1000 rw- rwx share shared\n"
      "s2.vm_region 0x1000 -> 0x1000 0x1000 rw- rwx share shared\n"
      "s2.vm_region 0x2000 -> 0x2000 0x1000 rw- rwx copy private\n");
}

TEST_F(MachTest, TaskCreateWithoutInheritanceIsEmpty) {
  Run("s1.vm_allocate 0x1000 0x2000 fixed\n"
      "s2 = s1.task_create 0 -> ok\n"
      "s2.read 0x1000 1 -> EXC_BAD_ACCESS_INVALID_ADDRESS 0x1000\n");
  EXPECT_EQ(script_.world().Bounds(2), script_.world().Bounds(1));
  EXPECT_EQ(script_.Contents(), "00......|........");
}

TEST_F(MachTest, ChildrenOfAMachTaskSpeakMach) {
  Run("s2 = s1.task_create 1\n"
      "s3 = s1.fork\n"
      "s2.read 0x1000 1 -> EXC_BAD_ACCESS_INVALID_ADDRESS 0x1000\n"
      "s3.read 0x1000 1 -> SEGV_MAPERR 0x1000\n"  // fork makes a BSD child, whoever calls it
      "s2.task_terminate -> ok\n"
      "s2.read 0x1000 1 -> none\n");
}

}  // namespace
}  // namespace model
