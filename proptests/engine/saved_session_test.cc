#include "proptests/engine/saved_session.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proptests/engine/generator.h"
#include "proptests/engine/session.h"
#include "proptests/engine/state_hash.h"

namespace proptests {
namespace {

constexpr uint64_t kOps = 400;

RunOptions Small() {
  RunOptions options;
  options.machine.ram_bytes = uint64_t{16} << 20;
  options.whole_every = 16;
  options.max_live_tasks = 6;
  return options;
}

GenOptions Case(uint64_t number) {
  GenOptions gen;
  gen.seed = 5;
  gen.case_index = number;
  gen.pages = 16;
  gen.swarm = DrawSwarm(gen.seed, number);
  return gen;
}

// The hash chain of a whole session, its end included.
uint64_t HashOf(const Generator& generator) {
  Session session(Small(), &generator.files());
  for (uint64_t i = 0; i < kOps; ++i) session.Step(generator.Draw(i));
  EXPECT_TRUE(session.Finish()) << session.failure()->text;
  return session.hash();
}

uint64_t FinishedHash(SavedSession* session) {
  return session->Do([](Session* inner) {
    EXPECT_TRUE(inner->Finish());
    return inner->hash();
  });
}

TEST(SavedSessionTest, AMachineThatWasResetDoesAsANewOne) {
  Generator files(Case(0));
  SavedSession session(Small(), &files.files());
  for (uint64_t number = 0; number < 6; ++number) {
    Generator generator(Case(number));
    session.RewindToStart();
    for (uint64_t i = 0; i < kOps; ++i) session.Step(generator.Draw(i));
    EXPECT_EQ(FinishedHash(&session), HashOf(generator)) << "case " << number;
  }
}

TEST(SavedSessionTest, WhatFollowsAPointIsTheSameEachTime) {
  Generator generator(Case(1));
  SavedSession session(Small(), &generator.files());
  SavedSession::Point middle;
  for (uint64_t i = 0; i < kOps; ++i) {
    if (i == kOps / 2) session.Save(&middle);
    session.Step(generator.Draw(i));
  }
  const uint64_t hash = FinishedHash(&session);
  for (int time = 0; time < 3; ++time) {
    session.Rewind(middle);
    for (uint64_t i = kOps / 2; i < kOps; ++i) session.Step(generator.Draw(i));
    EXPECT_EQ(FinishedHash(&session), hash);
    // Something else in between.
    session.Rewind(middle);
    for (uint64_t i = 0; i < kOps / 4; ++i) session.Step(generator.Draw(i));
  }
}

TEST(SavedSessionTest, TheSystemsStateHashKnowsStatesAgainAndApart) {
  Generator generator(Case(2));
  SavedSession session(Small(), &generator.files());
  for (uint64_t i = 0; i < 50; ++i) session.Step(generator.Draw(i));
  SavedSession::Point here;
  session.Save(&here);
  const uint64_t hash = SystemStateHash(session.system());
  traces::Op op;
  op.kind = traces::OpKind::kMmap;
  op.task = {0, true};
  op.at = traces::At(0x5000000);
  op.size = 0x1000;
  op.prot = base::kProtReadWrite;
  op.flags = traces::kFlagPrivate | traces::kFlagFixed;
  ASSERT_TRUE(session.Step(op));
  const uint64_t mapped = SystemStateHash(session.system());
  EXPECT_NE(mapped, hash);
  op.kind = traces::OpKind::kMunmap;
  ASSERT_TRUE(session.Step(op));
  EXPECT_EQ(SystemStateHash(session.system()), hash) << "time and ids do not matter";
  session.Rewind(here);
  EXPECT_EQ(SystemStateHash(session.system()), hash);
}

}  // namespace
}  // namespace proptests
