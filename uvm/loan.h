// uvm/loan.h: lending pages: snapshots that cost no copy until somebody writes.
//
// WHAT     A page of a map or an object can be lent to the kernel (the borrower gets the Page and
//          reads its frame) or to an anon (the borrower gets an Anon). The owner goes on using the
//          page; what writes to it, or wires it, breaks the loan first (loan_break.h), so that the
//          borrower keeps what it was shown.
//
//              lent               as page (kernel)               as anon
//              an anon's page     loan_count + 1                 one more reference: copy-on-write
//              an object's page   loan_count + 1                 a new anon borrows it, + 1
//              nothing (zeroes)   the one zero page, + 1         a new anon borrows the zero page
//
// STATES   of a lent page, when its owner dies: another anon borrows it: it becomes that anon's own
//          at once; else it is nobody's, off the queues, until the last loan is returned and frees
//          it.
//          A page on swap is brought in to be lent as a page; an anon is lent wherever its
//          contents lie, and may go to swap while it is lent.
// LOCKS    Called with nothing held. zero_mu_ (rank kAmap) makes coming and going of the zero page
//          one at a time. (T) by nothing: changed between scheduling points of server threads,
//          which never run at one instant.
// INVARIANTS  A lent page is wired nowhere and mapped for writing nowhere (I14, I15). A loan of an
//          anon holds one reference on the anon and one on its lock, which the anon's amaps may
//          outlive it by.
// SEE      NetBSD sys/uvm/uvm_loan.c; facts/uvm.md 1.13, 2.15.

#ifndef UVM_LOAN_H_
#define UVM_LOAN_H_

#include <cstdint>

#include "uvm/amap.h"
#include "uvm/anon.h"
#include "uvm/core.h"
#include "uvm/fault_fetch.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/swap_in.h"

namespace uvm {

// What is behind the one zero page, which LoanStore puts in itself: nobody asks for more.
class ZeroPager final : public Pager {
 public:
  Result<void, PagerError> Get(Object* object, GetRequest* request) override;
  Result<void, PagerError> Put(Object* object, PageIndex first, PageIndex end,
                               uint32_t flags) override;
  void Detach(Object*) override {}
  Kind kind() const override { return Kind::kAnonymous; }
};

class LoanStore {
 public:
  LoanStore(Core* core, PageStore* pages, AnonStore* anons, AmapStore* amaps, ObjectStore* objects)
      : core_(core),
        pages_(pages),
        anons_(anons),
        amaps_(amaps),
        objects_(objects),
        fetcher_(core, pages, amaps, objects),
        getter_(core, pages, anons),
        zero_mu_(core->threads, base::LockRank::kAmap) {}

  // NetBSD: uvm_loan(). Lends the pages of `range`, page aligned, to out[0..range.pages()). Asks
  // nobody for rights: that is the caller's business. Errors: kNotFound (an address is not mapped),
  // kInvalidArgument (everything else: a wired page, a device's, no memory, a failing store); what
  // was lent so far is taken back.
  Result<void, MapError> LendPages(Map* map, Range range, Page** out);
  Result<void, MapError> LendAnons(Map* map, Range range, Anon** out);
  // NetBSD: uvm_unloan(). The borrower has done with them.
  void ReturnPages(Page* const* pages, uint64_t count);
  void ReturnAnons(Anon* const* anons, uint64_t count);

  // NetBSD: uvm_loanuobjpages(): lends `count` pages of `object` from `first` to the kernel. The
  // caller has a reference. Errors, nothing lent: kBusy (a page is wired), the pager's.
  Result<void, PagerError> LendObjectPages(Object* object, PageIndex first, uint32_t count,
                                           Page** out);

  // Gives the zero page back when nobody has it; ReturnPages and ReturnAnons do so by themselves.
  void Trim() ABSL_LOCKS_EXCLUDED(zero_mu_);

  Mutex& DebugLock() { return zero_mu_; }  // the zero page's
  uint64_t DebugAnonLoans() const { return anon_loans_; }

 private:
  // Where one page goes: `page` or `anon` is set.
  struct Target {
    Page* page = nullptr;
    Anon* anon = nullptr;
    bool as_anon = false;
  };
  // kAgain: locks were dropped, look everything up again.
  enum class Step : uint8_t { kDone, kAgain };
  Result<void, MapError> LendOne(Map* map, Vaddr va, Target* target);
  Result<Step, MapError> Try(FaultInfo* info, Target* target);
  Result<Step, MapError> LendAnon(FaultInfo* info, Anon* anon, Target* target);
  Result<Step, MapError> LendLower(FaultInfo* info, Target* target);
  Result<Step, MapError> LendZero(Target* target);
  Result<void, MapError> LendObjectPage(Page* page, Target* target);
  // NetBSD: uvm_loan_init().
  bool MakeZeroPageLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(zero_mu_);

  Core* const core_;
  PageStore* const pages_;
  AnonStore* const anons_;
  AmapStore* const amaps_;
  ObjectStore* const objects_;
  PageFetcher fetcher_;      // constant
  AnonGetter getter_;        // (T) for one Get; nobody asks it afterwards what it met
  ZeroPager zero_pager_;     // constant
  uint64_t anon_loans_ = 0;  // (T) anons lent and not returned
  Mutex zero_mu_;            // held together with nothing but the zero page's own lock
  // One page, while somebody has it on loan.
  Object* zero_ ABSL_GUARDED_BY(zero_mu_) = nullptr;
};

}  // namespace uvm

#endif  // UVM_LOAN_H_
