#include "proptests/engine/summary.h"

#include <gtest/gtest.h>

#include <string>

namespace proptests {
namespace {

CaseRecord SomeCase(uint64_t number) {
  CampaignOptions options;
  options.run.machine.ram_bytes = uint64_t{16} << 20;
  CaseRecord record;
  record.number = number;
  record.drawn = 300;
  record.rechecked = number == 2;
  record.result = RunCase(options, number, 300, [&](const Session& session) {
    if (session.stats().ops % 64 == 63) Sample(session, &record.shape);
  });
  return record;
}

TEST(SummaryTest, ARecordReadsBackAsItWas) {
  CaseRecord record = SomeCase(2);
  record.result.failure = Failure{{FailureClass::kCost, "Budget(fork)"}, "two\nlines \"x\"", 17};
  traces::Op fork;
  fork.kind = traces::OpKind::kTaskCreate;
  fork.task.number = 3;
  fork.child = 70;
  fork.flags = traces::kFlagInherit;
  traces::Op write;
  write.kind = traces::OpKind::kWrite;
  write.task.number = 70;
  write.at = traces::At(0x7000);
  write.size = 9;
  write.value = ~uint64_t{0};
  record.result.converging = {fork, write};
  const std::string line = EncodeRecord(record);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto back = DecodeRecord(line);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(EncodeRecord(*back), line);
  EXPECT_EQ(back->result.ledger, record.result.ledger);
  EXPECT_EQ(back->result.stats.by_kind, record.result.stats.by_kind);
  EXPECT_EQ(back->result.failure->print, record.result.failure->print);
  EXPECT_EQ(back->shape, record.shape);
  EXPECT_EQ(back->result.converging, record.result.converging);
  EXPECT_FALSE(DecodeRecord("").ok());
  EXPECT_FALSE(DecodeRecord("{\"case\": 1}").ok());
  EXPECT_FALSE(DecodeRecord(line.substr(0, line.size() / 2)).ok());
}

TEST(SummaryTest, AShapeCountsTasksAndPages) {
  const CaseRecord record = SomeCase(1);
  ASSERT_GT(record.shape.samples, 2u);
  EXPECT_GE(record.shape.tasks, record.shape.samples);
  EXPECT_GT(record.shape.mapped_pages, record.shape.live_pages);
  EXPECT_GT(record.shape.live_pages, 0u);
}

TEST(SummaryTest, TheOrderOfAddingPlaysNoPart) {
  const CaseRecord one = SomeCase(1), two = SomeCase(2), three = SomeCase(3);
  Summary forwards, backwards, parts, rest;
  for (const CaseRecord* record : {&one, &two, &three}) forwards.Add(*record);
  for (const CaseRecord* record : {&three, &one, &two}) backwards.Add(*record);
  parts.Add(two);
  rest.Add(three);
  rest.Add(one);
  parts.Add(rest);
  EXPECT_EQ(SummaryJson(forwards), SummaryJson(backwards));
  EXPECT_EQ(SummaryJson(forwards), SummaryJson(parts));
  EXPECT_EQ(forwards.cases, 3u);
  EXPECT_EQ(forwards.rechecked, 1u);
  const auto back = SummaryOfJson(SummaryJson(forwards));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(SummaryJson(*back), SummaryJson(forwards));
  EXPECT_FALSE(SummaryOfJson({{"cases", 1}}).ok());
  // Which case it was counts, too.
  CaseRecord changed = one;
  changed.number = 7;
  const CaseRecord moved = changed;
  Summary other;
  for (const CaseRecord* record : {&moved, &two, &three}) other.Add(*record);
  EXPECT_NE(other.hash, forwards.hash);
}

}  // namespace
}  // namespace proptests
