#include "proptests/engine/machine_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/addr.h"
#include "proptests/engine/session.h"
#include "traces/codec.h"

namespace proptests {
namespace {

using machine::MemorySpec;
using machine::SwapEncryption;
using machine::SwapSpec;
using Kind = machine::SwapSpec::Kind;

std::string Complaint(const absl::Status& status) { return std::string(status.message()); }

TEST(SwapTextTest, WhatIsTypedIsWhatIsMeant) {
  const auto parsed = ParseSwap("4096,file:1024@200us+10,off:driver:64#3,0", 50);
  ASSERT_TRUE(parsed.ok()) << Complaint(parsed.status());
  const std::vector<SwapSpec> expected = {
      {.pages = 4096, .transfer_us = 50},
      {.kind = Kind::kFile, .pages = 1024, .transfer_us = 200, .page_us = 10},
      {.kind = Kind::kDriver, .pages = 64, .transfer_us = 50, .on = false, .priority = 3},
      {.pages = 0, .transfer_us = 50, .on = false, .priority = 1}};
  EXPECT_EQ(*parsed, expected);
  EXPECT_TRUE(ParseSwap("").value().empty());
  EXPECT_EQ(ParseSwap("memory:7").value(), ParseSwap("7").value());
}

TEST(SwapTextTest, WhatIsPrintedIsReadBack) {
  const std::vector<std::vector<SwapSpec>> machines = {
      {},
      {{.pages = 2}},
      {{.pages = 3, .page_us = 3}, {.pages = 2, .transfer_us = 4, .on = false, .priority = 9}},
      {{.kind = Kind::kDriver, .pages = 8, .priority = 0x7fffffff},
       {.kind = Kind::kFile, .pages = 9, .transfer_us = 1, .page_us = 1},
       {.pages = 0, .on = false, .priority = 1}}};
  for (const std::vector<SwapSpec>& specs : machines) {
    const std::string text = SwapText(specs);
    const auto again = ParseSwap(text, 77);
    ASSERT_TRUE(again.ok()) << text << ": " << Complaint(again.status());
    std::vector<SwapSpec> timed = specs;
    for (SwapSpec& spec : timed) {
      if (spec.transfer_us == 0 && spec.page_us == 0) spec.transfer_us = 77;
    }
    EXPECT_EQ(*again, timed) << text;
    EXPECT_EQ(ParseSwap(text).value(), specs) << text;
    EXPECT_EQ(text.find(' '), std::string::npos);
  }
}

TEST(SwapTextTest, ComplaintsNameTheDeviceAndWhatIsWrong) {
  const struct {
    const char* text;
    const char* said;
  } rows[] = {{"12x", "swap device \"12x\": \"x\" is too much"},
              {"512,", "swap device \"\": it wants its pages"},
              {"disk:5", "\"disk:5\": there are memory, file and driver"},
              {"5@", "\"5@\": a time is at most"},
              {"5@1us+", "\"5@1us+\": a time is at most"},
              {"5#", "\"5#\": a priority is at most"},
              {"5#2147483648", "a priority is at most 2147483647"},
              {"1048577", "at most 1048576"},
              {"99999999999999999999", "at most 1048576"},
              {"-1", "it wants its pages"},
              {"driver:0", "a driver has at least one page"},
              {"1", "\"1\": a device that is on has at least 2 pages"},
              {"driver:5,driver:6", "\"driver:6\": a machine has one driver"},
              {"2,2,2,2,2,2,2,2,2", "at most 8 swap devices"}};
  for (const auto& row : rows) {
    const auto parsed = ParseSwap(row.text);
    ASSERT_FALSE(parsed.ok()) << row.text;
    EXPECT_NE(Complaint(parsed.status()).find(row.said), std::string::npos)
        << row.text << ": " << Complaint(parsed.status());
  }
}

TEST(SwapTextTest, FilesAreNotTakenBack) {
  EXPECT_TRUE(MayBeTakenBack(ParseSwap("5,driver:6").value()).ok());
  const absl::Status status = MayBeTakenBack(ParseSwap("5,file:6").value());
  EXPECT_NE(Complaint(status).find("\"file:6\""), std::string::npos) << Complaint(status);
}

TEST(MemoryTextTest, WhatIsPrintedIsReadBack) {
  const MemorySpec specs[] = {{},
                              {.colours = 8},
                              {.buckets = 3, .caches = true},
                              {.colours = 64, .buckets = 8, .lists = 8, .one_in = 1}};
  for (const MemorySpec& spec : specs) EXPECT_EQ(ParseMemory(MemoryText(spec)).value(), spec);
  EXPECT_EQ(MemoryText({}), "");
  EXPECT_EQ(MemoryText(specs[3]), "colours=64,buckets=8,lists=8,events=1");
}

TEST(MemoryTextTest, ComplaintsNameTheWord) {
  const struct {
    const char* text;
    const char* said;
  } rows[] = {{"colour=4", "there is no \"colour=4\""},
              {"colours=3", "a power of two, not 3"},
              {"colours=128", "colours wants a number from 1 to 64"},
              {"buckets=0", "buckets wants a number from 1 to 8"},
              {"lists", "lists wants a number from 1 to 8, not \"\""},
              {"caches=2", "there is no \"caches=2\""},
              {"caches,", "there is no \"\""}};
  for (const auto& row : rows) {
    const auto parsed = ParseMemory(row.text);
    ASSERT_FALSE(parsed.ok()) << row.text;
    EXPECT_NE(Complaint(parsed.status()).find(row.said), std::string::npos)
        << row.text << ": " << Complaint(parsed.status());
  }
}

std::string Follow(const std::string& header, RunOptions* run) {
  const auto trace = traces::ParseTrace("# t: shows\n# " + header + "\ns1 = space -> ok\n", "t");
  EXPECT_TRUE(trace.ok()) << trace.status();
  return Complaint(FollowMachineOf(*trace, run));
}

TEST(MachineOfTraceTest, ATraceNamesItsMachine) {
  RunOptions run;
  EXPECT_EQ(Follow("machine frames=256 swap=512,off:driver:64 encrypt=on memory=caches "
                   "policy=fifo",
                   &run),
            "");
  EXPECT_EQ(run.machine.ram_bytes, 256 * base::kPageSize);
  EXPECT_TRUE(run.memory_may_run_out);
  EXPECT_EQ(SwapText(run.machine.swap), "512,off:driver:64");
  EXPECT_EQ(run.machine.swap_encryption, SwapEncryption::kOn);
  EXPECT_TRUE(run.machine.memory.caches);
  EXPECT_EQ(run.machine.policy, "fifo");
  EXPECT_EQ(Follow("machine policy=clock:anonmin=50,inactive=20", &run), "");
  EXPECT_EQ(run.machine.policy, "clock:anonmin=50,inactive=20");
  RunOptions plain;
  EXPECT_EQ(Follow("machines are not meant", &plain), "");
  EXPECT_FALSE(plain.memory_may_run_out);
}

TEST(MachineOfTraceTest, ComplaintsQuoteTheComment) {
  RunOptions run;
  EXPECT_EQ(Follow("machine frames=3", &run),
            "# machine frames=3: frames wants a number from 64 to 1048576");
  EXPECT_NE(Follow("machine disk=3", &run).find("\"disk=3\": there are frames="),
            std::string::npos);
  EXPECT_NE(Follow("machine policy=magic", &run).find("\"policy=magic\""), std::string::npos);
  EXPECT_NE(Follow("machine policy=clock:anonmin=96", &run).find("\"policy=clock:anonmin=96\""),
            std::string::npos);
  EXPECT_NE(Follow("machine swap=x", &run).find("swap device \"x\""), std::string::npos);
}

TEST(MachineOfTraceTest, ATraceNamesItsPmapAndWhoeverSaysAnotherIsRight) {
  RunOptions run;
  EXPECT_EQ(Follow("machine pmap=refusing seed=7", &run), "");
  EXPECT_EQ(run.machine.adversity, machine::Adversity::kRefusing);
  EXPECT_EQ(run.machine.seed, 7u);
  EXPECT_TRUE(run.MayRunOut());
  EXPECT_FALSE(run.memory_may_run_out);
  run.machine.adversity = machine::Adversity::kForgetful;
  run.machine.seed = 9;
  EXPECT_EQ(Follow("machine pmap=refusing seed=7", &run), "");
  EXPECT_EQ(run.machine.adversity, machine::Adversity::kForgetful);
  EXPECT_EQ(run.machine.seed, 9u);
  EXPECT_NE(Follow("machine pmap=patient", &run).find("no pmap \"patient\""), std::string::npos);
  EXPECT_NE(Follow("machine seed=x", &run).find("seed wants a number"), std::string::npos);
}

TEST(PmapTextTest, ThreeWords) {
  for (const machine::Adversity adversity : machine::kAdversities) {
    EXPECT_EQ(ParsePmap(machine::AdversityName(adversity)).value(), adversity);
  }
  EXPECT_FALSE(ParsePmap("").ok());
}

TEST(EncryptionTextTest, ThreeWords) {
  for (const auto encryption :
       {SwapEncryption::kOff, SwapEncryption::kOn, SwapEncryption::kToggled}) {
    EXPECT_EQ(ParseEncryption(EncryptionText(encryption)).value(), encryption);
  }
  EXPECT_FALSE(ParseEncryption("yes").ok());
}

}  // namespace
}  // namespace proptests
