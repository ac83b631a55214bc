// What the page daemon asks of the policy, with the lock that every call of a policy needs.

#include "uvm/page.h"
#include "uvm/pdpolicy.h"

namespace uvm {

void PageStore::BeginScan() {
  MutexLock lock(&mu_);
  intents_.Flush(policy_);
  policy_->BeginScan();
}

Page* PageStore::SelectVictim() {
  MutexLock lock(&mu_);
  return policy_->SelectVictim();
}

void PageStore::Balance(PageCount swap_shortage) {
  MutexLock lock(&mu_);
  intents_.Flush(policy_);
  policy_->Balance(swap_shortage);
}

void PageStore::EndScan() {
  MutexLock lock(&mu_);
  policy_->EndScan();
}

bool PageStore::NeedsScan() {
  MutexLock lock(&mu_);
  return policy_->NeedsScan();
}

void PageStore::Tune() {
  MutexLock lock(&mu_);
  policy_->Tune(total());
}

void PageStore::EstimatePageable(PageCount* active, PageCount* inactive) {
  MutexLock lock(&mu_);
  policy_->EstimatePageable(active, inactive);
}

void PageStore::ForgetContents(uint64_t name) {
  MutexLock lock(&mu_);
  if (policy_ != nullptr) policy_->Forget(name);
}

void PageStore::NoteFile(Page* page) {
  MutexLock lock(&mu_);
  if (page->file) return;
  page->file = true;
  ++file_;
}

}  // namespace uvm
