// The committed mix is the one that campaigns draw from when none is given.

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "proptests/engine/mix.h"

namespace proptests {
namespace {

TEST(StandardMixTest, TheCommittedOneIsTheBuiltInOne) {
  std::ifstream file("proptests/mixes/standard.mix");
  ASSERT_TRUE(file);
  std::ostringstream text;
  text << file.rdbuf();
  const auto mix = ParseMix(text.str(), "standard.mix");
  ASSERT_TRUE(mix.ok()) << mix.status();
  EXPECT_EQ(*mix, StandardMixFile()) << "put this in:\n" << FormatMix(StandardMixFile());
}

}  // namespace
}  // namespace proptests
