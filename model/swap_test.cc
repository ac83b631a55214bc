// swapctl(2), call by call, for who may and for who may not.

#include "gtest/gtest.h"
#include "model/testing/script.h"

namespace model {
namespace {

// Device 0 has 64 pages, 1 none, 2 is on from the beginning.
World::Options Options() {
  World::Options options;
  options.swap = {{.pages = 64}, {}, {.pages = 8, .on = true, .priority = 7}};
  return options;
}

class SwapTest : public testing::Test {
 protected:
  SwapTest() : script_(Options()) { script_.Run("s1 = space 0x9000 -> ok"); }
  void Run(const char* lines) { script_.Run(lines); }
  Script script_;
};

TEST_F(SwapTest, ADeviceIsOnOnce) {
  Run("s1.swapstats -> 1\n"
      "s1.swapon 0 3 -> ok\n"
      "s1.swapon 0 3 -> EBUSY\n"
      "s1.swapon 2 0 -> EBUSY\n"
      "s1.swapstats -> 2\n"
      "s1.swapctl 0 9 -> ok\n"
      "s1.swapoff 0 -> ok\n"
      "s1.swapoff 0 -> ENXIO\n"
      "s1.swapctl 0 9 -> ENOENT\n"
      "s1.swapstats -> 1\n");
}

TEST_F(SwapTest, WhatIsNoDeviceIsNotConfigured) {
  Run("s1.swapon 1 0 -> ENXIO\n"
      "s1.swapon 3 0 -> ENXIO\n"
      "s1.swapoff 1 -> ENXIO\n"
      "s1.swapoff 4294967295 -> ENXIO\n"
      "s1.swapctl 3 0 -> ENOENT\n");
}

TEST_F(SwapTest, ADeviceOfItsLabelAloneIsTooSmall) {
  Script script({.swap = {{.pages = 1}, {.pages = 2}}});
  script.Run(
      "s1 = space 0x9000 -> ok\n"
      "s1.swapon 0 0 -> EINVAL\n"
      "s1.swapstats -> 0\n"
      "s1.swapoff 0 -> ENXIO\n"
      "s1.swapon 1 0 -> ok\n");
}

TEST_F(SwapTest, OnlyTasksOfInitsMayChangeAnything) {
  Run("s2 = s1.fork -> ok\n"
      "s2.swapon 0 0 -> EPERM\n"
      "s2.swapoff 2 -> EPERM\n"
      "s2.swapctl 2 0 -> EPERM\n"
      "s2.swapon 9 0 -> EPERM\n"
      "s2.swapstats -> 1\n"
      "s3 = task 0x9000 -> ok\n"
      "s3.swapon 0 0 -> ok\n");
}

TEST_F(SwapTest, WhatLiesThereMayNotFit) {
  EXPECT_TRUE(script_.Accepts("s1.swapoff 2 -> ENOMEM"));
  EXPECT_FALSE(script_.Accepts("s1.swapoff 0 -> ENOMEM"));
  EXPECT_FALSE(script_.Accepts("s1.swapon 0 0 -> ENOMEM"));
  Run("s1.swapoff 2 -> ENOMEM\n"
      "s1.swapstats -> 1\n");
}

TEST_F(SwapTest, TheStateHashTellsWhatIsOn) {
  const uint64_t before = script_.world().StateHash();
  Run("s1.swapctl 2 6 -> ok");
  EXPECT_NE(script_.world().StateHash(), before);
  Run("s1.swapctl 2 7 -> ok");
  EXPECT_EQ(script_.world().StateHash(), before);
}

TEST_F(SwapTest, WiredPagesAreInMemoryAndOthersMayBe) {
  Run("s1.mmap 0x1000 0x4000 rw private,fixed -> 0x1000\n"
      "s1.write 0x1000 16384 'a' -> ok\n");
  EXPECT_TRUE(script_.Accepts("s1.mincore 0x1000 0x4000 -> 0"));
  EXPECT_TRUE(script_.Accepts("s1.mincore 0x1000 0x4000 -> 4"));
  Run("s1.mlock 0x2000 0x1000 -> ok");
  EXPECT_FALSE(script_.Accepts("s1.mincore 0x1000 0x4000 -> 0"));
  EXPECT_TRUE(script_.Accepts("s1.mincore 0x1000 0x4000 -> 1"));
}

}  // namespace
}  // namespace model
