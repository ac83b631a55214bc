#include "uvm/loan_break.h"

#include "base/check.h"

namespace uvm {

Page* LoanBreaker::BreakObjectPage(Page* page) {
  CHECK(page->object != nullptr && page->loan_count > 0);
  Page* fresh = pages_->AllocateForObject(page->object, page->index);
  if (fresh == nullptr) return nullptr;
  ++core_->counters.loan_breaks;
  pages_->Copy(page, fresh);
  // Where only the pmap knows, it knows it of the old frame: the copy counts as modified.
  if (page->dirty == Dirty::kClean) fresh->dirty = Dirty::kClean;
  fresh->busy = page->busy;
  fresh->read_only = page->read_only;
  if (page->file) pages_->NoteFile(fresh);
  objects_.Replace(page, fresh);
  pages_->Free(page);  // removes the translations, wakes who waits; the borrowers keep the frame
  pages_->EnsureQueued(fresh);
  return fresh;
}

bool LoanBreaker::BreakAnonPage(Anon* anon) {
  Page* page = anon->page;
  CHECK(page->loan_count > 0);
  Page* fresh = pages_->AllocateForAnon(anon);
  if (fresh == nullptr) return false;
  ++core_->counters.loan_breaks;
  pages_->Copy(page, fresh);
  core_->pmap->PageProtect(page->pa, base::kProtNone);
  pages_->FreeFromAnon(page);
  anon->page = fresh;
  fresh->busy = BusyReason::kNotBusy;
  pages_->Activate(fresh);
  return true;
}

}  // namespace uvm
