#include "tools/options.h"

#include <gtest/gtest.h>

namespace tools {
namespace {

struct Parsed {
  uint64_t seed = 1;
  std::string out;
  bool json = false;
  std::vector<std::string> operands;
  std::vector<std::string> rest;
  std::string error;
  std::string help;
};

Parsed Parse(const std::vector<std::string>& arguments) {
  Parsed parsed;
  Options options("run", "FILE...", "does things");
  options.Number("seed", &parsed.seed, 1, 5000, "the seed");
  options.Text("o", &parsed.out, "OUT", "where to");
  options.Switch("json", &parsed.json, "for machines");
  auto operands = options.Parse(arguments);
  if (operands.ok()) {
    parsed.operands = *operands;
  } else {
    parsed.error = std::string(operands.status().message());
  }
  parsed.rest = options.rest();
  if (options.help_wanted()) parsed.help = options.HelpText();
  return parsed;
}

TEST(OptionsTest, ValuesAndOperandsMayBeMixed) {
  Parsed parsed = Parse({"a.trace", "--seed", "3k", "b.trace", "-o", "out", "--json"});
  EXPECT_EQ(parsed.error, "");
  EXPECT_EQ(parsed.seed, 3000u);
  EXPECT_EQ(parsed.out, "out");
  EXPECT_TRUE(parsed.json);
  EXPECT_EQ(parsed.operands, (std::vector<std::string>{"a.trace", "b.trace"}));
}

TEST(OptionsTest, DoubleDashStartsTheRest) {
  Parsed parsed = Parse({"--seed=0x10", "--", "cc", "--json", "-o"});
  EXPECT_EQ(parsed.seed, 16u);
  EXPECT_FALSE(parsed.json);
  EXPECT_EQ(parsed.rest, (std::vector<std::string>{"cc", "--json", "-o"}));
}

TEST(OptionsTest, ErrorsNameTheOptionAndWhatWasExpected) {
  EXPECT_EQ(Parse({"--foo"}).error, "unknown option --foo for `vmsim run`; see vmsim run --help");
  EXPECT_EQ(Parse({"--o", "x"}).error, "unknown option --o for `vmsim run`; see vmsim run --help");
  EXPECT_EQ(Parse({"--seed", "x"}).error,
            "--seed wants a number from 1 to 5000, not \"x\"; see vmsim run --help");
  EXPECT_EQ(Parse({"--seed", "-1"}).error,
            "--seed wants a number from 1 to 5000, not \"-1\"; see vmsim run --help");
  EXPECT_EQ(Parse({"--seed", "5001"}).error,
            "--seed wants a number from 1 to 5000, not \"5001\"; see vmsim run --help");
  EXPECT_EQ(Parse({"--seed"}).error, "--seed needs a value (N); see vmsim run --help");
  EXPECT_EQ(Parse({"--json=1"}).error, "--json takes no value; see vmsim run --help");
  EXPECT_EQ(Parse({"-o", ""}).error,
            "-o needs a value (OUT), not an empty one; see vmsim run --help");
}

TEST(OptionsTest, HelpListsTheTable) {
  std::string help = Parse({"--bad-order-is-fine-after-help", "x"}).help;
  EXPECT_EQ(help, "");
  help = Parse({"--help", "--foo"}).help;
  EXPECT_NE(help.find("Usage: vmsim run [OPTIONS] FILE...\n"), std::string::npos) << help;
  EXPECT_NE(help.find("  --seed N  the seed (default 1)\n"), std::string::npos) << help;
  EXPECT_NE(help.find("  --json    for machines\n"), std::string::npos) << help;
}

TEST(OptionsTest, NumbersThatDoNotFitAreNotNumbers) {
  uint64_t out = 0;
  EXPECT_TRUE(ParseNumber("18446744073709551615", &out));
  EXPECT_EQ(out, ~uint64_t{0});
  EXPECT_FALSE(ParseNumber("18446744073709551616", &out));
  EXPECT_FALSE(ParseNumber("0x10000000000000000", &out));
  EXPECT_FALSE(ParseNumber("18446744073709552k", &out));
  EXPECT_FALSE(ParseNumber("", &out));
  EXPECT_FALSE(ParseNumber("k", &out));
  EXPECT_FALSE(ParseNumber("0x", &out));
  EXPECT_FALSE(ParseNumber("12a", &out));
}

}  // namespace
}  // namespace tools
