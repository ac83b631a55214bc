#include "proptests/engine/fault_rates.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace proptests {
namespace {

using base::FaultSite;

constexpr uint32_t kDefaultRate = 50;
// Who is lost is missing afterwards.
constexpr uint32_t kUnlimitedRate = 200;

uint32_t DefaultRate(FaultSite site) { return IsRecoverable(site) ? kDefaultRate : kUnlimitedRate; }

const char* EffectOf(FaultSite site) {
  switch (site) {
    case FaultSite::kMappingNode:
      return "no memory for one mapping: asked for again";
    case FaultSite::kKernelMemory:
      return "no memory for a thread: a birth may fail with a shortage";
    case FaultSite::kIpcTimeout:
      return "a finite timeout ends at once: waited for again";
    case FaultSite::kUnmapDelayed:
    case FaultSite::kUnmapReordered:
      return "with several processors: not seen once Unmap returns";
    case FaultSite::kPagerLate:
      return "the answer to a page fault takes effect later";
    case FaultSite::kPagerWrongFpage:
      return "the answer maps all but the page: asked for again";
    case FaultSite::kPagerSmallerFpage:
      return "the answer maps the first page only: the others are asked for";
    case FaultSite::kSwapReadError:
      return "a page does not come from swap: an error for who needs it";
    case FaultSite::kSwapWriteError:
      return "pages do not get to swap: they stay in memory";
    case FaultSite::kSwapTornWrite:
      return "one page of a transfer is spoilt on swap: an error for who needs it";
    case FaultSite::kSwapSlow:
      return "a transfer to or from swap takes a hundred times as long";
    case FaultSite::kSwapVanish:
      return "a swap device fails for some transfers";
    case FaultSite::kIpcCut:
      return "a call does not arrive, or its answer does not";
    case FaultSite::kPagerDies:
    case FaultSite::kPagerNever:
      return "a client waits for ever in a fault, and init ends it";
  }
  return "";
}

}  // namespace

bool IsRecoverable(FaultSite site) {
  return site != FaultSite::kIpcCut && site != FaultSite::kPagerDies &&
         site != FaultSite::kPagerNever;
}

void DropSwapSites(FaultRates* rates) {
  for (size_t i = base::kKernelFaultSiteCount; i < rates->one_in.size(); ++i) rates->one_in[i] = 0;
}

absl::StatusOr<FaultRates> ParseFaultRates(absl::string_view text) {
  FaultRates rates;
  if (text == "none") return rates;
  if (text == "all" || text == "unlimited") {
    rates.unlimited = text == "unlimited";
    for (int i = 0; i < base::kFaultSiteCount; ++i) {
      const auto site = static_cast<FaultSite>(i);
      if (!IsRecoverable(site) && !rates.unlimited) continue;
      rates.one_in[static_cast<size_t>(i)] = DefaultRate(site);
    }
    return rates;
  }
  for (absl::string_view word : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(word, absl::MaxSplits('=', 1));
    int site = 0;
    while (site < base::kFaultSiteCount &&
           parts.first != base::FaultSiteName(static_cast<FaultSite>(site))) {
      ++site;
    }
    if (site == base::kFaultSiteCount) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no fault site \"", parts.first, "\"; see vmsim run --help"));
    }
    rates.unlimited = rates.unlimited || !IsRecoverable(static_cast<FaultSite>(site));
    uint32_t rate = DefaultRate(static_cast<FaultSite>(site));
    if (parts.first.size() < word.size() && (!absl::SimpleAtoi(parts.second, &rate) || rate == 0)) {
      return absl::InvalidArgumentError(absl::StrCat("the rate of ", parts.first,
                                                     " is a number of operations from 1 on, not \"",
                                                     parts.second, "\""));
    }
    if (rates.one_in[static_cast<size_t>(site)] != 0) {
      return absl::InvalidArgumentError(absl::StrCat(parts.first, " is there twice"));
    }
    rates.one_in[static_cast<size_t>(site)] = rate;
  }
  return rates;
}

std::string FaultRatesText(const FaultRates& rates) {
  std::string text;
  for (int i = 0; i < base::kFaultSiteCount; ++i) {
    const uint32_t rate = rates.one_in[static_cast<size_t>(i)];
    if (rate == 0) continue;
    absl::StrAppend(&text, text.empty() ? "" : ",", base::FaultSiteName(static_cast<FaultSite>(i)),
                    "=", rate);
  }
  return text.empty() ? "none" : text;
}

std::string FaultSitesHelp() {
  std::string text = absl::StrCat("Sites of --faults (RATE: 1 in so many operations, default ",
                                  kDefaultRate, "):\n");
  std::string rest = absl::StrCat("Faults without bound (default ", kUnlimitedRate,
                                  "; `unlimited` is all of both):\n");
  for (int i = 0; i < base::kFaultSiteCount; ++i) {
    const auto site = static_cast<FaultSite>(i);
    std::string name = base::FaultSiteName(site);
    name.resize(20, ' ');
    absl::StrAppend(IsRecoverable(site) ? &text : &rest, "  ", name, EffectOf(site), "\n");
  }
  return text + rest;
}

}  // namespace proptests
