#include "proptests/engine/isolate.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
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

}  // namespace
}  // namespace proptests
