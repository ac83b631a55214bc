// Threads of a task, call by call.

#include "gtest/gtest.h"
#include "model/testing/script.h"
#include "traces/op.h"

namespace model {
namespace {

class ThreadsTest : public testing::Test {
 protected:
  ThreadsTest() { script_.Run("s1 = space 0x9000 -> ok"); }
  void Run(const char* lines) { script_.Run(lines); }
  bool Names(traces::TaskRef task, uint32_t thread, uint32_t* found) {
    traces::Op op;
    op.kind = traces::OpKind::kMunlockall;
    op.task = task;
    op.thread = thread;
    traces::ResolvedOp resolved;
    if (!script_.world().Resolve(op, {}, &resolved)) return false;
    *found = resolved.thread;
    return true;
  }
  Script script_;
};

TEST_F(ThreadsTest, NumbersAreTheLowestFreeOnes) {
  Run("s1.thread_create -> 1\n"
      "s1/1.thread_create -> 2\n"
      "s1.thread_create -> 3\n"
      "s1.thread_create -> EAGAIN\n"
      "s1/2.thread_end 1 -> ok\n"
      "s1/2.thread_end 1 -> ESRCH\n"
      "s1/2.thread_end 4 -> ESRCH\n"
      "s1.thread_create -> 1\n"
      "s1.thread_end 0 -> ok\n"
      "s1/3.thread_create -> 0\n");
  EXPECT_EQ(script_.world().CountThreads(1), 4u);
}

TEST_F(ThreadsTest, TheLastOneCannotEnd) {
  Run("s1.thread_end 0 -> EBUSY\n"
      "s1.thread_create -> 1\n"
      "s1/1.thread_end 0 -> ok\n"
      "s1/1.thread_end 0 -> ESRCH\n"
      "s1/1.thread_end 1 -> EBUSY\n");
  EXPECT_FALSE(script_.world().HasThread(1, 0));
  EXPECT_TRUE(script_.world().HasThread(1, 1));
}

TEST_F(ThreadsTest, AForkedChildHasOneAndAnExecLeavesOne) {
  Run("s1.thread_create -> 1\n"
      "s1.thread_create -> 2\n"
      "s2 = s1/2.fork -> ok\n"
      "s1/2.exec -> ok\n");
  EXPECT_EQ(script_.world().CountThreads(2), 1u);
  EXPECT_EQ(script_.world().CountThreads(1), 1u);
  EXPECT_TRUE(script_.world().HasThread(1, 2));
}

TEST_F(ThreadsTest, AThreadThatIsNotThereDoesNothing) {
  uint32_t found = 9;
  EXPECT_FALSE(Names({1, false}, 1, &found));
  Run("s1.thread_create -> 1\n"
      "s1.thread_create -> 2\n"
      "s1.thread_end 1 -> ok\n");
  EXPECT_FALSE(Names({1, false}, 1, &found));
  EXPECT_TRUE(Names({1, false}, 2, &found));
  EXPECT_EQ(found, 2u);
  // Relative: the n-th of those that there are.
  EXPECT_TRUE(Names({5, true}, 1, &found));
  EXPECT_EQ(found, 2u);
  EXPECT_TRUE(Names({5, true}, 2, &found));
  EXPECT_EQ(found, 0u);
}

TEST_F(ThreadsTest, OnlyAShortageRefusesOne) {
  EXPECT_FALSE(script_.Accepts("s1.thread_create -> ENOMEM"));
  Run("inject kernel_memory -> ok");
  EXPECT_TRUE(script_.Accepts("s1.thread_create -> ENOMEM"));
  EXPECT_FALSE(script_.Accepts("s1.thread_create -> 2"));
}

TEST_F(ThreadsTest, WhichThereAreBelongsToTheState) {
  const uint64_t one = script_.world().StateHash();
  Run("s1.thread_create -> 1");
  EXPECT_NE(script_.world().StateHash(), one);
  Run("s1.thread_end 1 -> ok");
  EXPECT_EQ(script_.world().StateHash(), one);
}

}  // namespace
}  // namespace model
