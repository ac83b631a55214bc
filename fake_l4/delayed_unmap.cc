// Injected: the processors learn of an Unmap late, or one after the other from the last to the
// first. The caller busily waits for them, so that they run meanwhile with the translations that
// they remember. When Unmap returns, all of them know: that much is promised.
#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

// How long it takes until the processors, or the next one of them, have answered.
constexpr uint64_t kAnswerNs = 20'000;

}  // namespace

bool Core::HoldUnmapBack(Thread& self) {
  if (unmapping_ != nullptr) return false;
  const bool delayed = faults_.Fires(FaultSite::kUnmapDelayed);
  reorder_unmap_ = faults_.Fires(FaultSite::kUnmapReordered);
  if (!delayed && !reorder_unmap_) return false;
  unmapping_ = &self;
  translations_->HoldBack();
  return true;
}

void Core::WaitForProcessors(Thread& self) {
  // What others revoke meanwhile is not held back.
  translations_->HoldNoMore();
  while (unmapping_ == &self && !translations_->held().empty()) {
    Spend(kAnswerNs);
    strategy_->Add(self, QueueEnd::kBack);
    SwitchAway(nullptr);
    if (unmapping_ != &self || !reorder_unmap_ || translations_->held().empty()) break;
    translations_->Deliver(translations_->held().size() - 1);
  }
  EndUnmap(self);
}

void Core::EndUnmap(Thread& t) {
  if (unmapping_ != &t) return;
  unmapping_ = nullptr;
  translations_->DeliverAll();
}

}  // namespace fake_l4
