#include "machine/swap_set.h"

namespace machine {

void SwapSet::Make(uvm::ThreadSystem* threads, base::PageSource* memory) {
  for (size_t i = 0; i < specs_.size(); ++i) {
    const SwapSpec& spec = specs_[i];
    memories_.push_back(std::make_unique<uvm::SwapMemory>(
        threads, memory, base::PageCount(spec.pages),
        uvm::SwapMemory::Latency{.transfer_us = spec.transfer_us, .page_us = spec.page_us}));
    devices_[i] = memories_.back().get();
  }
}

}  // namespace machine
