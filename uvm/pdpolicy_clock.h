// uvm/pdpolicy_clock.h: CLOCK with two queues: first in, first out, with a second chance.
//
// WHAT     Pages in use stand in the active queue. Balance takes the reference bit from the oldest
//          of them and lets them sink into the inactive queue; a scan offers the oldest inactive
//          pages as victims, but for those that were used since they sank. Each sort of memory has
//          a share that the others may not take from it (minimum) and one above which it pays for
//          the others (maximum).
// STATES   not managed -> active <-> inactive -> not managed
//            Enqueue, Activate:         -> active, at the end
//            Deactivate, Balance:       -> inactive, at the end
//            SelectVictim, page used, or of a sort that is spared: inactive -> active
//          A scan from which no page went makes the next ones less choosy: no sort is spared, and
//          all pages sink. Otherwise pages that cannot go would shield those that can for ever.
// INVARIANTS  Page::policy is the sort (PageSort) the page was counted as when it came in; the
//             counts by sort add up to the lengths of the queues. A scan looks at each page that
//             was inactive when it began at most once, and at nothing else.
// SEE      facts/uvm.md 2.11 "CLOCK", section 0 "CLOCK parameters"; docs/internals/replacement.md.

#ifndef UVM_PDPOLICY_CLOCK_H_
#define UVM_PDPOLICY_CLOCK_H_

#include <cstdint>

#include "base/list.h"
#include "base/result.h"
#include "uvm/pdpolicy.h"

namespace uvm {

inline constexpr uint32_t kPageSorts = 3;

// In percent of all managed pages, by PageSort. NetBSD: vm.anonmin, filemin, execmin and so on.
struct ClockTunables {
  uint8_t min[kPageSorts] = {10, 10, 5};
  uint8_t max[kPageSorts] = {80, 50, 30};
  uint8_t inactive = 33;  // aim for the inactive queue. NetBSD: vm.inactivepct
};

class ClockPolicy final : public PagePolicy {
 public:
  ClockPolicy() = default;
  ClockPolicy(const ClockPolicy&) = delete;
  ClockPolicy& operator=(const ClockPolicy&) = delete;

  // NetBSD: uvmpdpol_sysctlsetup(). Errors: kInvalidArgument, nothing changed: a number above 100,
  // or minima that add up to more than 95: some sort must always have pages to give.
  Result<void, MapError> SetTunables(const ClockTunables& tunables);
  const ClockTunables& tunables() const { return tunables_; }

  const char* name() const override { return "clock"; }
  void Activate(Page* page) override;
  void Deactivate(Page* page) override;
  void Enqueue(Page* page) override;
  void Dequeue(Page* page) override;
  void BeginScan() override;
  void EndScan() override;
  Page* SelectVictim() override;
  void Balance(PageCount swap_shortage) override;
  bool NeedsScan() const override { return inactive_.size() < InactiveTarget(); }
  void EstimatePageable(PageCount* active, PageCount* inactive) const override {
    *active = PageCount(active_.size());
    *inactive = PageCount(inactive_.size());
  }
  void Tune(PageCount) override {}
  bool Valid(base::TextSink* text) const override;

 private:
  using Queue = base::List<Page, &Page::queue_link>;

  uint64_t managed() const { return active_.size() + inactive_.size(); }
  uint64_t InactiveTarget() const;
  void Insert(Page* page, PageQueue queue);
  void Remove(Page* page);
  // Whether the page is one to offer; it was dealt with if not. LOCKS: the owner's.
  bool Offered(Page* page);
  void DropSlots(uint64_t shortage);

  ClockTunables tunables_;
  Queue active_;
  Queue inactive_;
  uint64_t by_sort_[kPageSorts] = {};  // managed pages
  // Of the scan under way.
  Page* next_ = nullptr;  // the page to look at next
  uint64_t left_ = 0;     // pages it may still look at
  bool spared_[kPageSorts] = {};
  uint64_t kept_ = 0;   // pages it spared because of their sort
  uint64_t stuck_ = 0;  // pages it offered or could not lock
  uint64_t gone_ = 0;   // pages that are managed no longer
  // Of the scan before: no page went, though pages were spared, or though pages were offered.
  bool spare_none_ = false;
  bool futile_ = false;
};

}  // namespace uvm

#endif  // UVM_PDPOLICY_CLOCK_H_
