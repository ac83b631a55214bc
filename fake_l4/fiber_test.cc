#include "fake_l4/fiber.h"

#include <cstring>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

struct PingPong {
  Fiber host, fiber;
  std::string log;
};

void Ping(void* arg) {
  PingPong& p = *static_cast<PingPong*>(arg);
  for (int i = 0;; i++) {
    p.log += static_cast<char>('a' + i);
    Fiber::Switch(p.fiber, p.host);
  }
}

TEST(FiberTest, ControlAlternatesAndLocalsSurvive) {
  StackArena arena;
  PingPong p;
  p.host.AdoptHostStack();
  p.fiber.Start(&arena, Ping, &p);
  for (int i = 0; i < 3; i++) {
    Fiber::Switch(p.host, p.fiber);
    p.log += '.';
  }
  EXPECT_EQ(p.log, "a.b.c.");
}

struct Ring {
  Fiber host;
  Fiber member[3];
  std::string log;
  struct Seat {
    Ring* ring;
    int index;
  } seats[3];
};

void RingMain(void* arg) {
  const Ring::Seat seat = *static_cast<Ring::Seat*>(arg);
  Ring& r = *seat.ring;
  for (;;) {
    r.log += static_cast<char>('0' + seat.index);
    Fiber& next = seat.index == 2 ? r.host : r.member[seat.index + 1];
    Fiber::Switch(r.member[seat.index], next);
  }
}

TEST(FiberTest, FibersSwitchAmongThemselves) {
  StackArena arena;
  Ring r;
  r.host.AdoptHostStack();
  for (int i = 0; i < 3; i++) {
    r.seats[i] = {&r, i};
    r.member[i].Start(&arena, RingMain, &r.seats[i]);
  }
  Fiber::Switch(r.host, r.member[0]);
  Fiber::Switch(r.host, r.member[0]);
  EXPECT_EQ(r.log, "012012");
}

// A frame that is abandoned while its arrays have red zones around them; the next user of the stack
// must not trip on them.
void DeepFrame(void* arg) {
  PingPong& p = *static_cast<PingPong*>(arg);
  char bytes[4000];
  std::memset(bytes, 'x', sizeof bytes);
  Fiber::Switch(p.fiber, p.host);
  p.log += bytes[0];
}

TEST(FiberTest, AbandonedStacksAreReused) {
  StackArena arena;
  PingPong p;
  p.host.AdoptHostStack();
  for (int i = 0; i < 100; i++) {
    p.fiber.Start(&arena, i % 2 == 0 ? DeepFrame : Ping, &p);
    Fiber::Switch(p.host, p.fiber);
    p.fiber.Abandon();
  }
  EXPECT_EQ(p.log, std::string(50, 'a'));
  uint8_t* stack = arena.Take();
  arena.Return(stack);
  EXPECT_EQ(arena.Take(), stack);
}

TEST(FiberTest, StacksAreDistinctAndOfTheSizeAsked) {
  StackArena arena(20000);
  EXPECT_EQ(arena.stack_bytes(), 20480u);
  std::set<uint8_t*> seen;
  for (int i = 0; i < 40; i++) {
    uint8_t* stack = arena.Take();
    std::memset(stack, i, arena.stack_bytes());
    for (uint8_t* other : seen) EXPECT_NE(other[100], i);
    seen.insert(stack);
  }
  EXPECT_EQ(seen.size(), 40u);
}

}  // namespace
}  // namespace fake_l4
