#include "base/spin_word.h"

#include <gtest/gtest.h>

#include <thread>

namespace base {
namespace {

TEST(SpinWordTest, OneHasItUntilItIsReleased) {
  for (const Processors processors : {Processors::kOne, Processors::kSeveral}) {
    SpinWord word;
    EXPECT_FALSE(word.DebugTaken());
    EXPECT_TRUE(word.TryTake(processors));
    EXPECT_TRUE(word.DebugTaken());
    EXPECT_FALSE(word.TryTake(processors));
    EXPECT_FALSE(word.TryTake(Processors::kSeveral));
    word.Release();
    EXPECT_FALSE(word.DebugTaken());
    EXPECT_TRUE(word.TryTake(processors));
  }
}

// What goes on outside of it stays outside.
TEST(SpinWordTest, KeepsSeveralProcessorsApart) {
  constexpr int kRounds = 20000;
  SpinWord word;
  int inside = 0, most = 0, rounds = 0;
  const auto work = [&] {
    for (int i = 0; i < kRounds; ++i) {
      while (!word.TryTake(Processors::kSeveral)) std::this_thread::yield();
      most = ++inside > most ? inside : most;
      ++rounds;
      --inside;
      word.Release();
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_EQ(most, 1);
  EXPECT_EQ(rounds, 2 * kRounds);
}

}  // namespace
}  // namespace base
