#include "proptests/engine/fault_rates.h"

#include <string>

#include "base/fault_site.h"
#include "gtest/gtest.h"

namespace proptests {
namespace {

using base::FaultSite;

uint32_t RateOf(const FaultRates& rates, FaultSite site) {
  return rates.one_in[static_cast<size_t>(site)];
}

TEST(FaultRatesTest, NoneIsNone) {
  auto rates = ParseFaultRates("none");
  ASSERT_TRUE(rates.ok());
  EXPECT_EQ(*rates, FaultRates());
}

TEST(FaultRatesTest, SitesWithAndWithoutRates) {
  auto rates = ParseFaultRates("mapping_node=7,pager_late");
  ASSERT_TRUE(rates.ok()) << rates.status();
  EXPECT_EQ(RateOf(*rates, FaultSite::kMappingNode), 7u);
  EXPECT_EQ(RateOf(*rates, FaultSite::kPagerLate), 50u);
  EXPECT_EQ(RateOf(*rates, FaultSite::kKernelMemory), 0u);
}

TEST(FaultRatesTest, AllIsEverySiteWithADefinedOutcome) {
  auto rates = ParseFaultRates("all");
  ASSERT_TRUE(rates.ok());
  int refused = 0;
  for (int i = 0; i < base::kFaultSiteCount; ++i) {
    const auto site = static_cast<FaultSite>(i);
    EXPECT_EQ(RateOf(*rates, site) != 0, WhyNotInCampaigns(site) == nullptr);
    refused += WhyNotInCampaigns(site) != nullptr ? 1 : 0;
  }
  EXPECT_EQ(refused, 3);
}

TEST(FaultRatesTest, TextParsesBack) {
  for (const char* text : {"none", "all", "mapping_node=7,kernel_memory=1"}) {
    auto rates = ParseFaultRates(text);
    ASSERT_TRUE(rates.ok()) << text;
    auto again = ParseFaultRates(FaultRatesText(*rates));
    ASSERT_TRUE(again.ok()) << FaultRatesText(*rates);
    EXPECT_EQ(*again, *rates);
  }
}

TEST(FaultRatesTest, MistakesAreNamed) {
  const auto complaint = [](const char* text) {
    return std::string(ParseFaultRates(text).status().message());
  };
  EXPECT_EQ(complaint("mapping"), "there is no fault site \"mapping\"; see vmsim run --help");
  EXPECT_EQ(complaint(""), "there is no fault site \"\"; see vmsim run --help");
  EXPECT_EQ(complaint("pager_late="),
            "the rate of pager_late is a number of operations from 1 on, not \"\"");
  EXPECT_EQ(complaint("pager_late=0"),
            "the rate of pager_late is a number of operations from 1 on, not \"0\"");
  EXPECT_EQ(complaint("pager_never"),
            "a campaign cannot inject pager_never: the client waits for ever, so no outcome is "
            "right");
}

TEST(FaultRatesTest, HelpNamesEverySite) {
  const std::string help = FaultSitesHelp();
  for (int i = 0; i < base::kFaultSiteCount; ++i) {
    EXPECT_NE(help.find(base::FaultSiteName(static_cast<FaultSite>(i))), std::string::npos);
  }
}

}  // namespace
}  // namespace proptests
