#include "uvm/anon.h"

#include "base/check.h"

namespace uvm {

Anon* AnonStore::Allocate() {
  Anon* anon = pool_.New();
  if (anon == nullptr) return nullptr;
  anon->page = pages_->AllocateForAnon(anon);
  if (anon->page == nullptr) {
    pool_.Delete(anon);
    return nullptr;
  }
  return anon;
}

void AnonStore::Release(Anon* anon) {
  CHECK(anon->refs > 0);
  if (--anon->refs > 0) return;
  if (anon->page != nullptr) {
    CHECK(!anon->page->IsBusy() || anon->page->object != nullptr);
    pages_->FreeFromAnon(anon->page);
  }
  if (anon->holds == 0) {
    pool_.Delete(anon);
  } else {
    anon->page = nullptr;
    ++held_only_;
  }
}

void AnonStore::ReleaseHold(Anon* anon) {
  CHECK(anon->holds > 0);
  if (--anon->holds > 0 || anon->refs > 0) return;
  --held_only_;
  pool_.Delete(anon);
}

}  // namespace uvm
