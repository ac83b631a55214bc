#include "proptests/engine/mix.h"

#include <gtest/gtest.h>

#include <string>

#include "traces/op.h"

namespace proptests {
namespace {

TEST(MixTest, AMixReadsBackAsItWas) {
  Mix mix;
  mix.tasks = 3;
  mix.weights.weight[static_cast<size_t>(traces::OpKind::kFork)] = 5;
  const auto back = ParseMix("# mine\n\n" + FormatMix(mix) + "op write 2 # often\nop write 0", "m");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, mix);
}

TEST(MixTest, WhatIsWrongIsSaidWithItsLine) {
  const auto error = [](const char* text) {
    return std::string(ParseMix(text, "m").status().message());
  };
  EXPECT_EQ(error("tasks 8\ntasks 49\n"), "m:2: expected a number from 1 to 48, found \"49\"");
  EXPECT_EQ(error("op fly 1"), "m:1: expected the name of an operation, found \"fly\"");
  EXPECT_EQ(error("op mmap -1"), "m:1: expected a weight from 0 to 1000000, found \"-1\"");
  EXPECT_EQ(error("speed 3").substr(0, 13), "m:1: expected");
  EXPECT_EQ(error("op mmap 0"), "m: expected at least one operation with a weight");
  EXPECT_EQ(error(""), "m: expected at least one operation with a weight");
}

}  // namespace
}  // namespace proptests
