#include "proptests/engine/isolate.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>

namespace proptests {
namespace {

using End = IsolatedResult::End;

TEST(IsolateTest, WhatTheWorkSaysArrivesWhole) {
  const std::string much(1 << 20, 'x');
  const IsolatedResult result = RunIsolated([&](Notes* notes) {
    notes->words[3] = 7;
    return much;
  });
  EXPECT_EQ(result.end, End::kReturned);
  EXPECT_EQ(result.said, much);
  EXPECT_EQ(result.notes.words[3], 7u);
}

TEST(IsolateTest, NothingTheWorkChangesIsSeen) {
  int value = 1;
  RunIsolated([&](Notes*) {
    value = 2;
    return std::string();
  });
  EXPECT_EQ(value, 1);
}

TEST(IsolateTest, ACrashLeavesSignalAndNotes) {
  const IsolatedResult result = RunIsolated([](Notes* notes) -> std::string {
    notes->words[0] = 42;
    std::raise(SIGKILL);
    return "never";
  });
  EXPECT_EQ(result.end, End::kSignal);
  EXPECT_EQ(result.code, SIGKILL);
  EXPECT_EQ(result.notes.words[0], 42u);
  EXPECT_EQ(result.said, "");
}

TEST(IsolateTest, AnExitIsNoReturn) {
  const IsolatedResult result = RunIsolated([](Notes*) -> std::string { _Exit(3); });
  EXPECT_EQ(result.end, End::kExit);
  EXPECT_EQ(result.code, 3);
}

TEST(IsolateTest, AHangIsEnded) {
  const IsolatedResult result = RunIsolated(
      [](Notes* notes) -> std::string {
        volatile bool forever = true;
        while (forever) notes->words[0] = 1;
        return "never";
      },
      {.seconds = 0.2});
  EXPECT_EQ(result.end, End::kTimeout);
  EXPECT_EQ(result.notes.words[0], 1u);
}

// 'Z' for one that ended and was not asked for, 0 for none at all.
char StateOf(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  const size_t at = text.rfind(')');
  return at == std::string::npos ? 0 : text[at + 2];
}

TEST(IsolateTest, WhoIsKilledTakesItsChildrenAlong) {
  const IsolatedResult result = RunIsolated(
      [](Notes* outer) {
        RunIsolated([outer](Notes*) -> std::string {
          outer->words[0] = static_cast<uint64_t>(getpid());
          for (;;) pause();
        });
        return std::string();
      },
      {.seconds = 2});
  EXPECT_EQ(result.end, IsolatedResult::End::kTimeout);
  const auto inner = static_cast<pid_t>(result.notes.words[0]);
  ASSERT_NE(inner, 0);
  for (int i = 0; i < 1000 && StateOf(inner) != 0 && StateOf(inner) != 'Z'; ++i) usleep(10000);
  EXPECT_TRUE(StateOf(inner) == 0 || StateOf(inner) == 'Z') << StateOf(inner);
}

}  // namespace
}  // namespace proptests
