// uvm/testing/policy_bench.h: a policy without a machine: pages by number, and what it may ask.
//
// WHAT     Pages exist only as descriptors. A test says which were used, whose owner's lock is
// taken,
//          of what sort they are and which have a slot, and plays both the owners and the daemon.

#ifndef UVM_TESTING_POLICY_BENCH_H_
#define UVM_TESTING_POLICY_BENCH_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/text_sink.h"
#include "uvm/page.h"
#include "uvm/pdpolicy.h"

namespace uvm::testing {

class PolicyBench final : public PolicyDoor {
 public:
  struct State {
    bool used = false;
    bool locked = false;  // by somebody else
    bool slot = false;
    bool taken = false;  // by TryLockOwner
    PageSort sort = PageSort::kAnonymous;
    uint64_t name = 0;
  };

  PolicyBench(PagePolicy* policy, uint32_t pages)
      : policy_(policy), pages_(new Page[pages]), states_(pages) {
    for (uint32_t i = 0; i < pages; ++i) {
      pages_[i].pa = base::Paddr(uint64_t{i} << base::kPageShift);
      pages_[i].free = false;
      states_[i].name = 1000 + i;
    }
    policy->SetDoor(this);
  }

  Page* page(uint32_t i) { return &pages_[i]; }
  State& at(uint32_t i) { return states_[i]; }
  uint32_t size() const { return static_cast<uint32_t>(states_.size()); }
  uint32_t NumberOf(const Page* page) const {
    return static_cast<uint32_t>(page->pa.value() >> base::kPageShift);
  }

  // What owners do; letters name pages in pictures.
  void Enqueue(const std::string& pages) {
    ForEach(pages, [&](Page* p) { policy_->Enqueue(p); });
  }
  void Activate(const std::string& pages) {
    ForEach(pages, [&](Page* p) { policy_->Activate(p); });
  }
  void Deactivate(const std::string& pages) {
    ForEach(pages, [&](Page* p) { policy_->Deactivate(p); });
  }
  void Dequeue(const std::string& pages) {
    ForEach(pages, [&](Page* p) { policy_->Dequeue(p); });
  }
  void Use(const std::string& pages) {
    for (char c : pages) at(Number(c)).used = true;
  }
  void Sort(const std::string& pages, PageSort sort) {
    for (char c : pages) at(Number(c)).sort = sort;
  }

  // What the daemon does with a victim.
  enum class Then { kFree, kLeave, kActivate };
  // The victims of one scan, at most `most`.
  std::string Scan(Then then = Then::kFree, uint32_t most = ~0u) {
    std::string victims;
    policy_->BeginScan();
    while (victims.size() < most) {
      Page* page = policy_->SelectVictim();
      if (page == nullptr) break;
      CHECK(at(NumberOf(page)).taken);
      victims += Letter(NumberOf(page));
      if (then == Then::kFree) policy_->Dequeue(page);
      if (then == Then::kActivate) policy_->Activate(page);
      UnlockOwner(page);
    }
    policy_->EndScan();
    return victims;
  }
  void Balance(uint64_t shortage = 0) { policy_->Balance(PageCount(shortage)); }

  // "aab.": A for active, i for inactive, . for none; by number.
  std::string Queues() const {
    std::string text;
    for (uint32_t i = 0; i < size(); ++i) text += ".ai"[static_cast<int>(pages_[i].queue)];
    return text;
  }
  std::string Slots() const {
    std::string text;
    for (const State& state : states_) text += state.slot ? 's' : '.';
    return text;
  }
  std::string Wrong() const {
    char buffer[200];
    base::TextSink sink(buffer, sizeof buffer);
    if (policy_->Valid(&sink)) return "";
    return buffer;
  }

  // PolicyDoor.
  bool TryLockOwner(Page* page) override {
    State& state = at(NumberOf(page));
    CHECK(!state.taken);
    return state.taken = !state.locked;
  }
  void UnlockOwner(Page* page) override {
    CHECK(at(NumberOf(page)).taken);
    at(NumberOf(page)).taken = false;
  }
  bool ClearReference(Page* page) override {
    CHECK(at(NumberOf(page)).taken);
    const bool used = at(NumberOf(page)).used;
    at(NumberOf(page)).used = false;
    return used;
  }
  bool IsReferenced(Page* page) override { return at(NumberOf(page)).used; }
  PageSort SortOf(const Page* page) override { return at(NumberOf(page)).sort; }
  uint64_t NameOf(const Page* page) override { return at(NumberOf(page)).name; }
  bool DropSwap(Page* page) override {
    CHECK(at(NumberOf(page)).taken);
    const bool had = at(NumberOf(page)).slot;
    at(NumberOf(page)).slot = false;
    return had;
  }

  static uint32_t Number(char c) {
    return static_cast<uint32_t>(c >= 'a' ? c - 'a' + 26 : c - 'A');
  }
  static char Letter(uint32_t i) {
    return static_cast<char>(i < 26 ? 'A' + static_cast<int>(i) : 'a' + static_cast<int>(i) - 26);
  }

 private:
  template <typename F>
  void ForEach(const std::string& pages, F&& f) {
    for (char c : pages) f(page(Number(c)));
  }

  PagePolicy* const policy_;
  const std::unique_ptr<Page[]> pages_;
  std::vector<State> states_;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_POLICY_BENCH_H_
