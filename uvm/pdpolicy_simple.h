// uvm/pdpolicy_simple.h: first in, first out, whatever was used: the simplest policy there is.
//
// WHAT     One queue in the order in which pages came in; a scan offers them all, oldest first. It
//          asks for no reference bits and heeds no wish but to be in the queue or not. What breaks
//          under it and holds under CLOCK leans on a policy's mercy.
// INVARIANTS  A scan offers a page that was managed when it began at most once, and none else.

#ifndef UVM_PDPOLICY_SIMPLE_H_
#define UVM_PDPOLICY_SIMPLE_H_

#include <cstdint>

#include "base/list.h"
#include "uvm/pdpolicy.h"

namespace uvm {

class SimplePolicy final : public PagePolicy {
 public:
  SimplePolicy() = default;
  SimplePolicy(const SimplePolicy&) = delete;
  SimplePolicy& operator=(const SimplePolicy&) = delete;

  const char* name() const override { return "fifo"; }
  void Activate(Page* page) override { Enqueue(page); }
  void Deactivate(Page* page) override { Enqueue(page); }
  void Enqueue(Page* page) override;
  void Dequeue(Page* page) override;
  void BeginScan() override;
  void EndScan() override { next_ = nullptr; }
  Page* SelectVictim() override;
  void Balance(PageCount swap_shortage) override;
  bool NeedsScan() const override { return false; }
  void EstimatePageable(PageCount* active, PageCount* inactive) const override {
    *active = PageCount(0);
    *inactive = PageCount(pages_.size());
  }
  void Tune(PageCount) override {}
  bool Valid(base::TextSink* text) const override;

 private:
  base::List<Page, &Page::queue_link> pages_;
  // Of the scan under way.
  Page* next_ = nullptr;
  uint64_t left_ = 0;
};

}  // namespace uvm

#endif  // UVM_PDPOLICY_SIMPLE_H_
