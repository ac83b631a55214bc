#include "proptests/engine/lanes.h"

#include <gtest/gtest.h>

namespace proptests {
namespace {

TEST(LanesTest, NamesGoThereAndBack) {
  EXPECT_EQ(LanesText(*ParseLanes("uvm")), "uvm");
  EXPECT_EQ(LanesText(*ParseLanes("uvm,model")), "model,uvm");
  EXPECT_EQ(*ParseLanes("all"), kAllLanes);
  EXPECT_FALSE(ParseLanes("uvm")->Has(Lane::kModel));
}

TEST(LanesTest, AnUnknownNameListsThoseThereAre) {
  EXPECT_EQ(ParseLanes("linux").status().message(),
            "there is no lane \"linux\"; the lanes are model, uvm and all");
  EXPECT_FALSE(ParseLanes("").ok());
  EXPECT_FALSE(ParseLanes("uvm,").ok());
}

}  // namespace
}  // namespace proptests
