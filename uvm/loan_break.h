// uvm/loan_break.h: taking a lent page back by giving its owner another one.
//
// WHAT     Who wants to write to a lent page, or to wire it, gets a private copy; the borrowers
//          keep the old frame, which is nobody's afterwards, or the borrowing anon's.
// LOCKS    The owner's, for both calls.
// SEE      loan.h; NetBSD uvm_loanbreak(), uvm_loanbreak_anon(); facts/uvm.md 1.13, 2.15.

#ifndef UVM_LOAN_BREAK_H_
#define UVM_LOAN_BREAK_H_

#include "uvm/anon.h"
#include "uvm/core.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/page_object.h"

namespace uvm {

class LoanBreaker {
 public:
  LoanBreaker(Core* core, PageStore* pages) : core_(core), pages_(pages), objects_(core) {}

  // A copy takes the place of `page` in its object: same contents, index and dirty status, busy if
  // `page` was. Null, nothing changed, when no frame is left.
  Page* BreakObjectPage(Page* page);
  // The same for the page of an anon, lent by it or to it. False: no frame is left, nothing
  // changed.
  bool BreakAnonPage(Anon* anon);

 private:
  Core* const core_;
  PageStore* const pages_;
  PageObjects objects_;
};

}  // namespace uvm

#endif  // UVM_LOAN_BREAK_H_
