#include "proptests/engine/concurrent_program.h"

#include <cstdint>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "traces/codec.h"

namespace proptests {
namespace {

constexpr char kText[] =
    "# two: by hand\n"
    "\n"
    "s1 = space\n"
    "s1.mmap 0x10000 0x1000 rw- shared,fixed\n"
    "s2 = s1.fork\n"
    "# thread\n"
    "s1.write 0x10000 8 'a'\n"
    "# thread\n"
    "s2.read 0x10000 8\n"
    "s2.exit\n";

absl::StatusOr<ReadProgram> Read(const std::string& text) {
  auto trace = traces::ParseTrace(text, "text");
  EXPECT_TRUE(trace.ok()) << trace.status();
  return ProgramOfTrace(*trace);
}

TEST(ConcurrentProgramTest, ATraceSaysWhereThreadsBegin) {
  auto read = Read(kText);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->program.setup.size(), 3u);
  ASSERT_EQ(read->program.threads.size(), 2u);
  EXPECT_EQ(read->program.threads[0].size(), 1u);
  EXPECT_EQ(read->program.threads[1].size(), 2u);
  EXPECT_FALSE(read->schedule.has_value());
  EXPECT_EQ(traces::FormatTrace(TraceOfProgram(read->program, "two: by hand", nullptr)), kText);
}

TEST(ConcurrentProgramTest, AScheduleGoesThroughTheTrace) {
  auto read = Read(kText);
  fake_l4::DecisionList list;
  list.total = 9;
  list.hash = 77;
  list.deviations = {{3, 2, 0x4000}, {5, 3, 0x4001}};
  const traces::Trace trace = TraceOfProgram(read->program, "two: by hand", &list);
  auto again = Read(traces::FormatTrace(trace));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->schedule, list);
}

TEST(ConcurrentProgramTest, WhatIsNoProgramIsRefused) {
  const std::string head = "# x: y\ns1 = space\ns2 = s1.fork\n";
  EXPECT_FALSE(Read(head).ok()) << "no thread";
  EXPECT_FALSE(Read(head + "# thread\ns1.read 0x1000 8\ns2.read 0x1000 8\n").ok());
  EXPECT_FALSE(Read(head + "# thread\ns1.read r0+0x0 8\n").ok());
  EXPECT_FALSE(Read(head + "# thread\n~1.read 0x1000 8\n").ok());
  EXPECT_FALSE(Read(head + "# thread\ns1.read 0x1000 8\n# thread\ns1.read 0x1000 8\n").ok());
  EXPECT_FALSE(Read(head + "# thread\ns1.read 0x1000 8\n# schedule at dawn\n").ok());
  EXPECT_FALSE(Read(head + "# thread\ns1.read 0x1000 8\ns1/1.read 0x1000 8\n").ok());
  EXPECT_FALSE(Read(head + "# thread\ns1/1.read 0x1000 8\n# thread\ns1/1.exit\n").ok());
  EXPECT_TRUE(Read(head + "# thread\ns1.read 0x1000 8\n# thread\ns1/1.exit\n").ok());
}

TEST(ConcurrentProgramTest, ThreadsOfOneTaskAreDrawn) {
  uint64_t siblings = 0, ends = 0, births = 0;
  for (uint64_t index = 0; index < 200; ++index) {
    DrawOptions options;
    options.index = index;
    options.threads = 4;
    options.threads_per_task = 3;
    const ConcurrentProgram program = DrawProgram(options);
    ASSERT_EQ(program.threads.size(), options.threads);
    const std::string text = traces::FormatTrace(TraceOfProgram(program, "drawn: one", nullptr));
    auto read = Read(text);
    ASSERT_TRUE(read.ok()) << read.status() << "\n" << text;
    EXPECT_EQ(read->program.threads, program.threads);
    bool end = false, birth = false;
    for (const auto& thread : program.threads) {
      siblings += thread.front().thread != 0 ? 1 : 0;
      ASSERT_LT(thread.front().thread, options.threads_per_task);
      for (const traces::Op& op : thread) {
        end = end || op.kind == traces::OpKind::kThreadEnd;
        birth = birth || (op.thread != 0 && op.kind == traces::OpKind::kFork);
      }
    }
    EXPECT_FALSE(end && birth) << text;
    ends += end ? 1 : 0;
    births += birth ? 1 : 0;
  }
  EXPECT_GT(siblings, 200u);
  EXPECT_GT(ends, 20u);
  EXPECT_GT(births, 20u);
}

TEST(ConcurrentProgramTest, DrawnProgramsAreProgramsAndDiffer) {
  std::set<std::string> texts;
  std::set<traces::OpKind> kinds;
  for (uint64_t index = 0; index < 200; ++index) {
    DrawOptions options;
    options.index = index;
    const ConcurrentProgram program = DrawProgram(options);
    ASSERT_EQ(program.threads.size(), options.threads);
    const std::string text = traces::FormatTrace(TraceOfProgram(program, "drawn: one", nullptr));
    auto read = Read(text);
    ASSERT_TRUE(read.ok()) << read.status() << "\n" << text;
    EXPECT_EQ(read->program.threads, program.threads);
    texts.insert(text);
    for (const auto& thread : program.threads) {
      EXPECT_LE(thread.size(), options.ops);
      for (const traces::Op& op : thread) kinds.insert(op.kind);
    }
  }
  EXPECT_EQ(texts.size(), 200u);
  EXPECT_GE(kinds.size(), 12u);
}

}  // namespace
}  // namespace proptests
