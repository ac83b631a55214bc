#include "machine/swap_set.h"

#include <algorithm>
#include <string>

#include "base/check.h"

namespace machine {
namespace {

uvm::SwapFault::Kind KindOf(base::FaultSite site) {
  using Kind = uvm::SwapFault::Kind;
  switch (site) {
    case base::FaultSite::kSwapReadError:
      return Kind::kReadError;
    case base::FaultSite::kSwapWriteError:
      return Kind::kWriteError;
    case base::FaultSite::kSwapTornWrite:
      return Kind::kTornWrite;
    case base::FaultSite::kSwapSlow:
      return Kind::kSlow;
    default:
      return Kind::kVanish;
  }
}

}  // namespace

const SwapSpec* SwapSet::FindDriver() const {
  for (const SwapSpec& spec : specs_) {
    if (spec.kind == SwapSpec::Kind::kDriver) return &spec;
  }
  return nullptr;
}

void SwapSet::Make(uvm::ThreadSystem* threads, base::PageSource* memory, uvm::SwapDevice* driver) {
  for (size_t i = 0; i < specs_.size(); ++i) {
    const SwapSpec& spec = specs_[i];
    uvm::SwapDevice* device = driver;
    if (spec.kind == SwapSpec::Kind::kMemory) {
      memories_.push_back(std::make_unique<uvm::SwapMemory>(
          threads, memory, base::PageCount(spec.pages),
          uvm::SwapMemory::Latency{.transfer_us = spec.transfer_us, .page_us = spec.page_us}));
      device = memories_.back().get();
    } else if (spec.kind == SwapSpec::Kind::kFile) {
      std::string error;
      files_.push_back(SwapFile::Create(
          threads,
          {.pages = base::PageCount(spec.pages), .latency = {spec.transfer_us, spec.page_us}},
          &error));
      if (files_.back() == nullptr) vm_panic(__FILE__, __LINE__, error.c_str());
      device = files_.back().get();
    } else {
      CHECK(&spec == FindDriver());
    }
    faults_.push_back(std::make_unique<uvm::SwapFault>(threads, device, i));
    devices_[i] = faults_.back().get();
  }
  events_seen_.resize(specs_.size());
}

void SwapSet::Arm(base::FaultSite site, uint64_t skip) {
  for (const auto& fault : faults_) fault->Arm(KindOf(site), skip);
}

void SwapSet::Heal() {
  refused_.clear();
  for (size_t i = 0; i < faults_.size(); ++i) {
    uvm::SwapFault& fault = *faults_[i];
    // While something is armed no more happens than is remembered.
    uint64_t& seen = events_seen_[i];
    if (fault.event_count() > uvm::SwapFault::kRemembered)
      seen = std::max(seen, fault.event_count() - uvm::SwapFault::kRemembered);
    for (; seen < fault.event_count(); ++seen) {
      const uvm::SwapFault::Event& event = fault.event(seen);
      const bool torn = event.kind == uvm::SwapFault::Kind::kTornWrite;
      const bool failed = event.kind == uvm::SwapFault::Kind::kReadError;
      const bool refused = event.kind == uvm::SwapFault::Kind::kVanish &&
                           event.direction == uvm::SwapDirection::kRead;
      if (torn || failed) pages_spoilt_ += event.count;
      if (!refused) continue;
      reads_refused_ += event.count;
      for (uint32_t k = 0; k < event.count; ++k) refused_.push_back({&fault, event.block + k});
    }
    fault.Heal();
  }
}

uint64_t SwapSet::events() const {
  uint64_t events = 0;
  for (const auto& fault : faults_) events += fault->event_count();
  return events;
}

}  // namespace machine
