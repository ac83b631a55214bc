#include "fake_l4/priority_round_robin.h"

#include <string>

#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

class PriorityRoundRobinTest : public ::testing::Test {
 protected:
  // Threads named a, b, c ... by their ids.
  Runnable t_[4] = {{.id = 'a'}, {.id = 'b'}, {.id = 'c'}, {.id = 'd'}};
  PriorityRoundRobin strategy_;
  std::string TakeAll() {
    std::string order;
    while (Runnable* r = strategy_.Take()) order += static_cast<char>(r->id);
    return order;
  }
};

TEST_F(PriorityRoundRobinTest, FirstComeFirstServed) {
  for (Runnable& t : t_) strategy_.Add(t, QueueEnd::kBack);
  EXPECT_EQ(TakeAll(), "abcd");
  EXPECT_EQ(strategy_.Take(), nullptr);
}

TEST_F(PriorityRoundRobinTest, MoreUrgentFirst) {
  t_[0].priority = 0;
  t_[1].priority = 63;
  t_[2].priority = 255;
  t_[3].priority = 64;
  for (Runnable& t : t_) strategy_.Add(t, QueueEnd::kBack);
  EXPECT_EQ(TakeAll(), "cdba");
}

TEST_F(PriorityRoundRobinTest, AnInterruptedThreadKeepsItsTurn) {
  strategy_.Add(t_[0], QueueEnd::kBack);
  strategy_.Add(t_[1], QueueEnd::kBack);
  strategy_.Add(t_[2], QueueEnd::kFront);
  EXPECT_EQ(TakeAll(), "cab");
}

TEST_F(PriorityRoundRobinTest, RemovedFromTheMiddle) {
  for (Runnable& t : t_) strategy_.Add(t, QueueEnd::kBack);
  strategy_.Remove(t_[1]);
  strategy_.Remove(t_[3]);
  EXPECT_FALSE(t_[1].queued);
  EXPECT_EQ(TakeAll(), "ac");
}

TEST_F(PriorityRoundRobinTest, OnlyAMoreUrgentThreadPreempts) {
  t_[1].priority = 101;
  EXPECT_TRUE(strategy_.Preempts(t_[1], t_[0]));
  EXPECT_FALSE(strategy_.Preempts(t_[0], t_[1]));
  EXPECT_FALSE(strategy_.Preempts(t_[2], t_[0]));
}

TEST_F(PriorityRoundRobinTest, HandOverUnlessSomeoneMoreUrgentWaits) {
  EXPECT_TRUE(strategy_.HandsOver(t_[0], t_[1], HandOver::kIpc));
  t_[2].priority = 200;
  strategy_.Add(t_[2], QueueEnd::kBack);
  EXPECT_FALSE(strategy_.HandsOver(t_[0], t_[1], HandOver::kIpc));
}

}  // namespace
}  // namespace fake_l4
