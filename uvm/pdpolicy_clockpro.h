// uvm/pdpolicy_clockpro.h: CLOCK-Pro: pages are kept by how soon they are used again, not by when
//                          they were used last.
//
// WHAT     A page is cold when it comes, and gets a test period: used again while that runs, also
//          after it was evicted, it turns hot. Only cold pages are victims, so what is read once
//          passes through a small part of memory and leaves the rest alone, and a loop over more
//          than memory holds keeps part of itself. The paper's one clock with three hands is four
//          queues here, whose heads are where its hands stand.
// STATES   not managed -> new | hot (its name was in the history: used within its test period)
//          new: cold, under test; uses right after the first one do not count
//            -> cold at the end, its reference bit cleared, when more than NewTarget pages are new
//          cold: under test, or speculative (read ahead, nobody asked for it yet: no test)
//            hand cold: used under test           -> hot at the end
//                       used, speculative         -> cold at the end, under test
//                       not used                  -> offered; if it goes under test, so does its
//                                                    name, into the history
//          hot
//            hand hot, as long as there are fewer cold pages than ColdTarget:
//                       used                      -> hot at the end
//                       not used                  -> list at the end
//          list: cold, its test is over; offered before the cold ones, as it is older than they
//            hand cold: used                      -> cold at the end, under test again
//                       not used                  -> offered
//            Deactivate:                          -> list at the end
//          The history ages with hand hot: when that has gone round once, a test is over.
// INVARIANTS  Page::policy says in which queue a page is. A scan looks at no more than twice the
//             pages managed.
// SEE      Jiang, Chen, Zhang: CLOCK-Pro: An Effective Improvement of the CLOCK Replacement, USENIX
//          2005; facts/uvm.md 2.11; docs/internals/replacement.md (where this differs).

#ifndef UVM_PDPOLICY_CLOCKPRO_H_
#define UVM_PDPOLICY_CLOCKPRO_H_

#include <cstdint>

#include "base/list.h"
#include "base/pool.h"
#include "base/result.h"
#include "uvm/page_history.h"
#include "uvm/pdpolicy.h"

namespace uvm {

enum class ColdTarget : uint8_t { kFixed, kAdaptive };

struct ClockProTunables {
  uint8_t cold = 10;  // percent of managed pages to be cold; 1 to 100
  // kAdaptive: more after a page was used under test, fewer after a name died unused.
  ColdTarget target = ColdTarget::kFixed;
};

class ClockProPolicy final : public PagePolicy {
 public:
  // The new queue may hold a quarter of the cold pages, or 1 MB, but not more than half of them.
  static constexpr uint64_t kNewAtLeast = 256;  // pages

  // The history is for `total` pages. Panics when there is no memory for it.
  ClockProPolicy(base::PageSource* memory, PageCount total);
  ClockProPolicy(const ClockProPolicy&) = delete;
  ClockProPolicy& operator=(const ClockProPolicy&) = delete;

  static bool AreTunables(const ClockProTunables& tunables) {
    return tunables.cold >= 1 && tunables.cold <= 100;
  }
  // Errors: kInvalidArgument, nothing changed.
  Result<void, MapError> SetTunables(const ClockProTunables& tunables);
  const ClockProTunables& tunables() const { return tunables_; }

  const char* name() const override { return "clockpro"; }
  void Activate(Page* page) override;
  void Deactivate(Page* page) override;
  void Enqueue(Page* page) override;
  void Dequeue(Page* page) override;
  void Forget(uint64_t name) override { (void)history_.Take(name); }
  void BeginScan() override;
  void EndScan() override;
  Page* SelectVictim() override;
  void Balance(PageCount swap_shortage) override;
  bool NeedsScan() const override { return cold_pages() < Target(); }
  void EstimatePageable(PageCount* active, PageCount* inactive) const override {
    *active = PageCount(queues_[kHot].size());
    *inactive = PageCount(cold_pages());
  }
  void Tune(PageCount) override {}
  bool Valid(base::TextSink* text) const override;

  // ---- For tests and simulators.
  uint64_t cold_pages() const { return managed_ - queues_[kHot].size(); }
  uint64_t Target() const;     // of cold pages
  uint64_t NewTarget() const;  // of new pages
  uint64_t history_size() const { return history_.size(); }
  uint64_t history_hits() const { return history_hits_; }
  // One letter: n, c, h or l; upper case: under test. '-': not managed.
  char DebugStateOf(const Page* page) const;

 private:
  using Queue = base::List<Page, &Page::queue_link>;
  enum Place : uint8_t { kNew, kCold, kHot, kList };
  static constexpr uint32_t kPlaces = 4;
  // Page::policy: the place, and
  static constexpr uint8_t kPlaceMask = 0x03;
  static constexpr uint8_t kTest = 0x04;
  static constexpr uint8_t kSpeculative = 0x08;
  static constexpr uint8_t kUsed = 0x10;     // its owner said so since the hand came by
  static constexpr uint8_t kOffered = 0x20;  // as a victim, since anything else happened

  static Place PlaceOf(const Page* page) { return static_cast<Place>(page->policy & kPlaceMask); }
  void Insert(Page* page, Place place, uint8_t flags);
  void Remove(Page* page);
  void Move(Page* page, Place place, uint8_t flags);
  bool TakeUse(Page* page);
  void Adapt(int64_t pages);
  void AgeNew();
  bool Offered(Page* page);
  void RunHandHot();
  Page* NextOfHandCold();

  ClockProTunables tunables_;
  Queue queues_[kPlaces];
  uint64_t managed_ = 0;
  PageHistory history_;
  uint64_t history_hits_ = 0;
  int64_t adapted_ = 0;  // pages more, or fewer, than the tunable says
  // Of the scan under way.
  uint64_t left_ = 0;    // pages it may still look at
  uint64_t stuck_ = 0;   // pages it offered or could not lock
  uint64_t gone_ = 0;    // pages that are managed no longer
  bool futile_ = false;  // the scan before offered pages and none went: all are to turn cold
};

}  // namespace uvm

#endif  // UVM_PDPOLICY_CLOCKPRO_H_
