#include "proptests/engine/fault_rates.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/fault_site.h"
#include "base/prng.h"
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

TEST(FaultRatesTest, AllIsEverySiteThatIsRecoverable) {
  auto rates = ParseFaultRates("all");
  auto unlimited = ParseFaultRates("unlimited");
  ASSERT_TRUE(rates.ok() && unlimited.ok());
  EXPECT_FALSE(rates->unlimited);
  EXPECT_TRUE(unlimited->unlimited);
  int without_bound = 0;
  for (int i = 0; i < base::kFaultSiteCount; ++i) {
    const auto site = static_cast<FaultSite>(i);
    EXPECT_EQ(RateOf(*rates, site) != 0, IsRecoverable(site));
    EXPECT_EQ(RateOf(*unlimited, site), IsRecoverable(site) ? 50u : 200u);
    without_bound += IsRecoverable(site) ? 0 : 1;
  }
  EXPECT_EQ(without_bound, 3);
}

TEST(FaultRatesTest, TextParsesBack) {
  for (const char* text :
       {"none", "all", "unlimited", "pager_dies=9", "mapping_node=7,kernel_memory=1"}) {
    auto rates = ParseFaultRates(text);
    ASSERT_TRUE(rates.ok()) << text;
    auto again = ParseFaultRates(FaultRatesText(*rates));
    ASSERT_TRUE(again.ok()) << FaultRatesText(*rates);
    EXPECT_EQ(*again, *rates);
  }
}

TEST(FaultRatesPropTest, EveryChoiceOfRatesParsesBack) {
  for (uint64_t i = 0; i < 1000; ++i) {
    base::Prng prng(1, "fault rates", i);
    FaultRates rates;
    for (int site = 0; site < base::kFaultSiteCount; ++site) {
      // Half of them never.
      if (prng.Below(2) == 0) continue;
      rates.one_in[static_cast<size_t>(site)] =
          1 + static_cast<uint32_t>(prng.Below(UINT32_MAX) >> prng.Below(32));
      rates.unlimited = rates.unlimited || !IsRecoverable(static_cast<FaultSite>(site));
    }
    auto again = ParseFaultRates(FaultRatesText(rates));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, rates) << FaultRatesText(rates);
  }
}

// The word that is wrong, or its site, stands in the complaint as it was typed.
TEST(FaultRatesPropTest, DamageIsNamedOrLeavesRates) {
  const std::string good = FaultRatesText(*ParseFaultRates("all"));
  int refused = 0;
  for (uint64_t i = 0; i < 2000; ++i) {
    base::Prng prng(2, "fault rates", i);
    std::string text = good;
    const size_t at = prng.Below(text.size());
    const char byte = static_cast<char>(prng.Below(256));
    prng.Below(2) == 0 ? text.insert(at, 1, byte) : text.replace(at, 1, 1, byte);
    auto rates = ParseFaultRates(text);
    if (rates.ok()) {
      EXPECT_EQ(*ParseFaultRates(FaultRatesText(*rates)), *rates) << text;
      continue;
    }
    ++refused;
    // What is damaged lies between the commas around it; a new comma may have made two words of it.
    const size_t before = at == 0 ? std::string::npos : text.rfind(',', at - 1);
    const size_t begin = before == std::string::npos ? 0 : before + 1;
    std::string word = text.substr(begin, text.find(',', begin) - begin);
    if (text[at] == ',') word = text.substr(at + 1, text.find(',', at + 1) - at - 1);
    const std::string first = text.substr(begin, text.find_first_of("=,", begin) - begin);
    const std::string second = word.substr(0, word.find('='));
    const std::string message(rates.status().message());
    EXPECT_TRUE(message.find(first) != std::string::npos ||
                message.find(second) != std::string::npos)
        << text << "\n"
        << message;
  }
  EXPECT_GT(refused, 1000);
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
  EXPECT_EQ(complaint("pager_late=5,pager_late"), "pager_late is there twice");
  EXPECT_EQ(complaint("pager_never,pager_never=3"), "pager_never is there twice");
}

TEST(FaultRatesTest, HelpNamesEverySite) {
  const std::string help = FaultSitesHelp();
  for (int i = 0; i < base::kFaultSiteCount; ++i) {
    EXPECT_NE(help.find(base::FaultSiteName(static_cast<FaultSite>(i))), std::string::npos);
  }
}

}  // namespace
}  // namespace proptests
