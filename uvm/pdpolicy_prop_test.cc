// Random owners, users and daemons: each policy does what a specification of plain lists does, step
// by step: the same victims in the same order, every page in the queue the specification says; and
// with wishes noted in between, every page is where its owner wants it once they are fulfilled.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/page.h"
#include "uvm/pdpolicy_choice.h"
#include "uvm/pdpolicy_clock.h"
#include "uvm/pdpolicy_clockpro.h"
#include "uvm/pdpolicy_simple.h"
#include "uvm/testing/policy_bench.h"

namespace uvm {
namespace {

using testing::PolicyBench;
using Numbers = std::vector<uint32_t>;

constexpr uint32_t kPages = 40;
constexpr int kSteps = 1500;

class Chunks final : public base::PageSource {
 public:
  void* AllocateChunk(size_t bytes) override {
    chunks_.emplace_back(new unsigned char[bytes]());
    return chunks_.back().get();
  }

 private:
  std::vector<std::unique_ptr<unsigned char[]>> chunks_;
};

bool Has(const Numbers& list, uint32_t page) {
  return std::find(list.begin(), list.end(), page) != list.end();
}
void Drop(Numbers* list, uint32_t page) {
  list->erase(std::remove(list->begin(), list->end(), page), list->end());
}

// What a specification knows about the outside is its own copy of the bench's states.
using States = std::vector<PolicyBench::State>;

// A policy as a few lists. A scan looks at pages in `Candidates` order; `Judge` says what becomes
// of one whose owner is not locked, and whether it is offered.
class Spec {
 public:
  virtual ~Spec() = default;
  virtual void Activate(uint32_t page) = 0;
  virtual void Deactivate(uint32_t page) = 0;
  virtual void Enqueue(uint32_t page) = 0;
  virtual void Dequeue(uint32_t page) = 0;
  // Frees up to `most` victims.
  virtual Numbers Scan(uint32_t most, States* states) = 0;
  virtual void Balance(States* states) = 0;
  virtual PageQueue QueueOf(uint32_t page) const = 0;
};

class ClockSpec final : public Spec {
 public:
  explicit ClockSpec(const States* states) : states_(states), sort_(kPages) {}
  void Activate(uint32_t page) override {
    if (QueueOf(page) == PageQueue::kNone) return Enqueue(page);
    Take(page);
    active_.push_back(page);
  }
  void Deactivate(uint32_t page) override {
    if (QueueOf(page) == PageQueue::kNone) sort_[page] = (*states_)[page].sort;
    Take(page);
    inactive_.push_back(page);
  }
  void Enqueue(uint32_t page) override {
    if (QueueOf(page) != PageQueue::kNone) return;
    sort_[page] = (*states_)[page].sort;
    active_.push_back(page);
  }
  void Dequeue(uint32_t page) override { Take(page); }
  PageQueue QueueOf(uint32_t page) const override {
    return Has(active_, page)     ? PageQueue::kActive
           : Has(inactive_, page) ? PageQueue::kInactive
                                  : PageQueue::kNone;
  }
  Numbers Scan(uint32_t most, States* states) override {
    const bool choosy = !spare_none_;
    bool spared[kPageSorts], any_over = false;
    const size_t all = active_.size() + inactive_.size();
    constexpr size_t kMin[] = {10, 10, 5}, kMax[] = {80, 50, 30};
    size_t pages[kPageSorts] = {};
    for (uint32_t page : active_) ++pages[static_cast<int>(sort_[page])];
    for (uint32_t page : inactive_) ++pages[static_cast<int>(sort_[page])];
    for (uint32_t s = 0; s < kPageSorts; ++s) any_over |= pages[s] * 100 > all * kMax[s];
    for (uint32_t s = 0; s < kPageSorts; ++s) {
      const bool over = pages[s] * 100 > all * kMax[s];
      spared[s] = choosy && (pages[s] * 100 <= all * kMin[s] || (any_over && !over));
    }
    Numbers victims;
    size_t kept = 0, stuck = 0;
    const Numbers before = inactive_;
    for (uint32_t page : before) {
      if (victims.size() == most) break;
      if ((*states)[page].locked) {
        ++stuck;
        continue;
      }
      const bool used = (*states)[page].used;
      (*states)[page].used = false;
      if (!used && !spared[static_cast<int>(sort_[page])]) {
        victims.push_back(page);
        Take(page);
        ++stuck;
      } else {
        kept += used ? 0 : 1;
        Activate(page);
      }
    }
    spare_none_ = victims.empty() && kept > 0;
    futile_ = victims.empty() && stuck > 0;
    return victims;
  }
  void Balance(States* states) override {
    const size_t all = active_.size() + inactive_.size();
    const size_t target = futile_ ? all : std::max<size_t>(all * 33 / 100, 1);
    const Numbers before = active_;
    for (uint32_t page : before) {
      if (inactive_.size() >= target) return;
      if ((*states)[page].locked) continue;
      (*states)[page].used = false;
      Deactivate(page);
    }
  }

 private:
  void Take(uint32_t page) {
    Drop(&active_, page);
    Drop(&inactive_, page);
  }
  const States* const states_;
  std::vector<PageSort> sort_;  // as it came in
  Numbers active_, inactive_;
  bool spare_none_ = false, futile_ = false;
};

class FifoSpec final : public Spec {
 public:
  void Activate(uint32_t page) override { Enqueue(page); }
  void Deactivate(uint32_t page) override { Enqueue(page); }
  void Enqueue(uint32_t page) override {
    if (!Has(pages_, page)) pages_.push_back(page);
  }
  void Dequeue(uint32_t page) override { Drop(&pages_, page); }
  PageQueue QueueOf(uint32_t page) const override {
    return Has(pages_, page) ? PageQueue::kInactive : PageQueue::kNone;
  }
  Numbers Scan(uint32_t most, States* states) override {
    Numbers victims;
    for (uint32_t page : pages_) {
      if (victims.size() < most && !(*states)[page].locked) victims.push_back(page);
    }
    for (uint32_t page : victims) Dequeue(page);
    return victims;
  }
  void Balance(States*) override {}

 private:
  Numbers pages_;
};

// CLOCK-Pro with a history that remembers all names for one round of hand hot, as the paper has it
// and ours does while no bucket is full.
class ClockProSpec final : public Spec {
 public:
  explicit ClockProSpec(const States* states)
      : states_(states), test_(kPages), told_(kPages), speculative_(kPages) {}
  void Activate(uint32_t page) override {
    if (QueueOf(page) == PageQueue::kNone) return Enqueue(page);
    if (Has(cold_, page) || Has(list_, page)) told_[page] = true;
  }
  void Deactivate(uint32_t page) override {
    if (QueueOf(page) == PageQueue::kNone) history_.erase((*states_)[page].name);
    Take(page);
    Put(&list_, page, false);
  }
  void Enqueue(uint32_t page) override {
    if (QueueOf(page) != PageQueue::kNone) return;
    const uint64_t name = (*states_)[page].name;
    const auto at = history_.find(name);
    const bool young = at != history_.end() && Phase() - at->second < 64;
    if (at != history_.end()) history_.erase(at);
    if (young) {
      Put(&hot_, page, false);
    } else {
      Put(&new_, page, true);
    }
  }
  void Dequeue(uint32_t page) override { Take(page); }
  PageQueue QueueOf(uint32_t page) const override {
    if (Has(hot_, page)) return PageQueue::kActive;
    return Has(new_, page) || Has(cold_, page) || Has(list_, page) ? PageQueue::kInactive
                                                                   : PageQueue::kNone;
  }
  Numbers Scan(uint32_t most, States* states) override {
    Numbers victims;
    HandHot(states);
    while (new_.size() > Target() / 2) AgeNew(states);
    size_t stuck = 0;
    const size_t all = Managed();
    for (size_t left = all * 2; left > 0 && victims.size() < most; --left) {
      // A victim is gone at once here, so what is managed shrinks as the scan goes on.
      if (list_.empty() && (cold_.empty() || left <= Managed()) && !new_.empty()) AgeNew(states);
      Numbers& from = list_.empty() ? cold_ : list_;
      if (from.empty()) break;
      const uint32_t page = from.front();
      const bool test = test_[page];
      if ((*states)[page].locked) {
        const bool told = told_[page];
        Take(page);
        Put(&cold_, page, test);
        told_[page] = told;
        ++stuck;
        continue;
      }
      const bool used = (*states)[page].used || told_[page];
      (*states)[page].used = false;
      Take(page);
      if (!used) {
        if (test) history_[(*states)[page].name] = Phase();
        victims.push_back(page);
        ++stuck;
        continue;
      }
      Put(test ? &hot_ : &cold_, page, !test);
      HandHot(states);
    }
    futile_ = victims.empty() && stuck > 0;
    return victims;
  }
  void Balance(States* states) override { HandHot(states); }

 private:
  size_t Managed() const { return new_.size() + cold_.size() + list_.size() + hot_.size(); }
  size_t Target() const { return futile_ ? Managed() : std::max<size_t>(Managed() / 10, 1); }
  // Phases of 1/64 round that hand hot went.
  uint64_t Phase() const { return turned_ >> 32; }
  void Put(Numbers* list, uint32_t page, bool test) {
    list->push_back(page);
    test_[page] = test;
    told_[page] = false;
  }
  void Take(uint32_t page) {
    for (Numbers* list : {&new_, &cold_, &list_, &hot_}) Drop(list, page);
  }
  void AgeNew(States* states) {
    const uint32_t page = new_.front();
    if (!(*states)[page].locked) (*states)[page].used = false;
    Take(page);
    Put(&cold_, page, true);
  }
  void HandHot(States* states) {
    for (size_t left = hot_.size() * 2; left > 0 && Managed() - hot_.size() < Target(); --left) {
      if (hot_.empty()) return;
      const uint32_t page = hot_.front();
      turned_ += (uint64_t{64} << 32) / hot_.size();
      const bool locked = (*states)[page].locked, used = (*states)[page].used;
      if (!locked) (*states)[page].used = false;
      Take(page);
      Put(locked || used ? &hot_ : &list_, page, false);
    }
  }
  const States* const states_;
  std::vector<bool> test_, told_, speculative_;
  Numbers new_, cold_, list_, hot_;
  std::map<uint64_t, uint64_t> history_;  // name, phase
  uint64_t turned_ = 0;
  bool futile_ = false;
};

// ---- The runs ----

struct Pair {
  std::unique_ptr<PolicyChoice> choice;
  std::unique_ptr<PolicyBench> bench;
  std::unique_ptr<States> states;
  std::unique_ptr<Spec> spec;
};

Pair NewPair(PolicyKind kind, Chunks* memory) {
  Pair pair;
  // The history is for a larger machine, so that no bucket overflows.
  pair.choice =
      std::make_unique<PolicyChoice>(PolicySpec{.kind = kind}, memory, PageCount(64 * kPages));
  pair.bench = std::make_unique<PolicyBench>(pair.choice->get(), kPages);
  pair.states = std::make_unique<States>(kPages);
  for (uint32_t i = 0; i < kPages; ++i) (*pair.states)[i] = pair.bench->at(i);
  switch (kind) {
    case PolicyKind::kClock:
      pair.spec = std::make_unique<ClockSpec>(pair.states.get());
      break;
    case PolicyKind::kClockPro:
      pair.spec = std::make_unique<ClockProSpec>(pair.states.get());
      break;
    case PolicyKind::kSimple:
      pair.spec = std::make_unique<FifoSpec>();
      break;
  }
  return pair;
}

class PolicyPropTest : public ::testing::TestWithParam<PolicyKind> {
 protected:
  void Run(uint64_t seed);
  void Owner(Pair* pair, uint32_t page, uint64_t what);
  void Outside(Pair* pair, uint32_t page, base::Prng* prng);
  void Scan(Pair* pair, uint32_t most);
  std::string Difference(const Pair& pair) const;

  Chunks memory_;
  uint64_t victims_ = 0;
};

void PolicyPropTest::Owner(Pair* pair, uint32_t number, uint64_t what) {
  PagePolicy* policy = pair->choice->get();
  Page* page = pair->bench->page(number);
  switch (what) {
    case 0:
      policy->Enqueue(page);
      return pair->spec->Enqueue(number);
    case 1:
      policy->Activate(page);
      return pair->spec->Activate(number);
    case 2:
      policy->Deactivate(page);
      return pair->spec->Deactivate(number);
    default:
      policy->Dequeue(page);
      return pair->spec->Dequeue(number);
  }
}

void PolicyPropTest::Outside(Pair* pair, uint32_t page, base::Prng* prng) {
  PolicyBench::State& ours = pair->bench->at(page);
  PolicyBench::State& theirs = (*pair->states)[page];
  const uint64_t what = prng->Below(8);
  if (what == 0) ours.locked = theirs.locked = !ours.locked && prng->Chance(1, 3);
  if (what == 1) ours.sort = theirs.sort = static_cast<PageSort>(prng->Below(3));
  if (what > 1) ours.used = theirs.used = true;
}

void PolicyPropTest::Scan(Pair* pair, uint32_t most) {
  PagePolicy* policy = pair->choice->get();
  Numbers victims;
  policy->BeginScan();
  while (victims.size() < most) {
    Page* page = policy->SelectVictim();
    if (page == nullptr) break;
    victims.push_back(pair->bench->NumberOf(page));
    policy->Dequeue(page);
    pair->bench->UnlockOwner(page);
  }
  policy->EndScan();
  victims_ += victims.size();
  EXPECT_EQ(victims, pair->spec->Scan(most, pair->states.get()));
}

std::string PolicyPropTest::Difference(const Pair& pair) const {
  for (uint32_t i = 0; i < kPages; ++i) {
    const std::string name = "page " + std::to_string(i);
    if (pair.bench->page(i)->queue != pair.spec->QueueOf(i)) return name + ": queue";
    if (pair.bench->at(i).used != (*pair.states)[i].used) return name + ": reference bit";
    if (pair.bench->at(i).taken) return name + ": its owner's lock was kept";
  }
  return pair.bench->Wrong();
}

void PolicyPropTest::Run(uint64_t seed) {
  base::Prng prng(seed, "policy");
  Pair pair = NewPair(GetParam(), &memory_);
  for (int step = 0; step < kSteps; ++step) {
    const uint32_t page = static_cast<uint32_t>(prng.Below(kPages));
    const uint64_t what = prng.Below(32);
    if (what < 12) {
      Owner(&pair, page, 0);
    } else if (what < 16) {
      Owner(&pair, page, what - 12);
    } else if (what < 28) {
      Outside(&pair, page, &prng);
    } else if (what < 31) {
      Scan(&pair, static_cast<uint32_t>(prng.Below(12)));
    } else {
      pair.choice->get()->Balance(PageCount(0));
      pair.spec->Balance(pair.states.get());
    }
    const std::string difference = Difference(pair);
    ASSERT_EQ(difference, "") << "seed " << seed << " step " << step << " what " << what;
    ASSERT_FALSE(HasFailure()) << "seed " << seed << " step " << step;
  }
}

TEST_P(PolicyPropTest, DoesWhatItsSpecificationDoes) {
  for (uint64_t seed = 1; seed <= 40 && !HasFailure(); ++seed) Run(seed);
  EXPECT_GT(victims_, 5000u);
}

// Wishes: the last one counts, whatever was noted, cancelled, freed and fulfilled before.
TEST_P(PolicyPropTest, WishesComeTrueAndNothingElse) {
  constexpr uint32_t kMany = 300;  // more than the buffer holds
  base::Prng prng(7, "wishes");
  PolicyChoice choice({.kind = GetParam()}, &memory_, PageCount(kMany));
  PagePolicy* policy = choice.get();
  PolicyBench bench(policy, kMany);
  PageIntents intents;
  std::vector<bool> managed(kMany);
  uint64_t full = 0;
  for (int step = 0; step < 30000; ++step) {
    const uint32_t i = static_cast<uint32_t>(prng.Below(kMany));
    Page* page = bench.page(i);
    const uint64_t what = prng.Below(16);
    if (what < 12) {
      const auto intent = static_cast<Intent>(1 + what % 4);
      if (page->free) page->free = false;  // allocated again, perhaps still in the buffer
      while (!intents.Note(page, intent)) {
        ++full;
        intents.Flush(policy);
        ASSERT_EQ(intents.count(), 0u);
      }
      managed[i] = intent != Intent::kDequeue;
    } else if (what < 15) {  // freed, or wired: at once
      PageIntents::Cancel(page);
      if (page->queue != PageQueue::kNone) policy->Dequeue(page);
      page->free = true;
      managed[i] = false;
    } else if (prng.Chance(1, 20)) {
      intents.Flush(policy);
    }
    ASSERT_EQ(PageIntents::QueueOf(*page) != PageQueue::kNone, managed[i]) << "page " << i;
    if (step % 64 == 0) {
      ASSERT_EQ(bench.Wrong(), "") << step;
    }
  }
  intents.Flush(policy);
  for (uint32_t i = 0; i < kMany; ++i) {
    EXPECT_EQ(bench.page(i)->queue != PageQueue::kNone, managed[i]);
    EXPECT_EQ(bench.page(i)->intent, 0);
  }
  EXPECT_GT(full, 10u);
}

// Also where each victim is used again before the next is chosen, and goes to the end.
TEST(SimplePolicyTest, AScanLooksAtEachPageOnce) {
  SimplePolicy policy;
  PolicyBench bench(&policy, 4);
  bench.Enqueue("ABCD");
  policy.BeginScan();
  Numbers victims;
  while (Page* page = policy.SelectVictim()) {
    victims.push_back(bench.NumberOf(page));
    ASSERT_LE(victims.size(), 4u);
    policy.Dequeue(page);
    policy.Enqueue(page);
    bench.UnlockOwner(page);
  }
  EXPECT_EQ(victims, (Numbers{0, 1, 2, 3}));
}

TEST_P(PolicyPropTest, NamesRoundTrip) {
  PolicyChoice choice({.kind = GetParam()}, &memory_, PageCount(10));
  EXPECT_STREQ(choice.get()->name(), PolicyName(GetParam()));
  PolicyKind kind;
  ASSERT_TRUE(PolicyOfName(PolicyName(GetParam()), &kind));
  EXPECT_EQ(kind, GetParam());
  EXPECT_FALSE(PolicyOfName("cloc", &kind));
  EXPECT_FALSE(PolicyOfName("", &kind));
}

TEST(PolicySpecTest, TextSaysWhatThePolicyIsTold) {
  PolicySpec spec;
  ASSERT_TRUE(PolicyOfText("clock:execmin=40,anonmin=0,filemax=100,inactive=50", &spec));
  EXPECT_EQ(spec.kind, PolicyKind::kClock);
  EXPECT_EQ(spec.clock.min[0], 0);
  EXPECT_EQ(spec.clock.min[1], 10) << "as ever";
  EXPECT_EQ(spec.clock.min[2], 40);
  EXPECT_EQ(spec.clock.max[1], 100);
  EXPECT_EQ(spec.clock.inactive, 50);
  ASSERT_TRUE(PolicyOfText("clockpro:adaptive,cold=25", &spec));
  EXPECT_EQ(spec.kind, PolicyKind::kClockPro);
  EXPECT_EQ(spec.clock_pro.target, ColdTarget::kAdaptive);
  EXPECT_EQ(spec.clock_pro.cold, 25);
  ASSERT_TRUE(PolicyOfText("clockpro", &spec));
  EXPECT_EQ(spec.clock_pro.target, ColdTarget::kFixed);
  EXPECT_TRUE(PolicyOfText("fifo", &spec));
}

TEST(PolicySpecTest, NonsenseIsRefusedAndChangesNothing) {
  PolicySpec spec;
  ASSERT_TRUE(PolicyOfText("clock:inactive=7", &spec));
  for (const char* text : {"",
                           "cloc",
                           "clock:",
                           "clock:inactive",
                           "clock:inactive=",
                           "clock:inactive=101",
                           "clock:inactive=1000",
                           "clock:inactive=-1",
                           "clock:inactive=5,",
                           "clock:,inactive=5",
                           "clock:inactive=5 ",
                           "clock:inactive=5,inactive=5",
                           "clock:anonmin=60,filemin=36",
                           "clock:cold=5",
                           "clockpro:cold=0",
                           "clockpro:adaptive=1",
                           "clockpro:adaptive,adaptive",
                           "clockpro:anonmin=5",
                           "fifo:",
                           "fifo:inactive=5",
                           "clockproclockproclockpro"}) {
    EXPECT_FALSE(PolicyOfText(text, &spec)) << text;
    EXPECT_EQ(spec.clock.inactive, 7) << text;
  }
}

TEST(PolicySpecTest, ThePolicyIsToldSo) {
  Chunks memory;
  PolicySpec spec;
  ASSERT_TRUE(PolicyOfText("clock:inactive=50", &spec));
  PolicyChoice clock(spec, &memory, PageCount(64));
  EXPECT_EQ(static_cast<ClockPolicy*>(clock.get())->tunables().inactive, 50);
  ASSERT_TRUE(PolicyOfText("clockpro:adaptive", &spec));
  PolicyChoice clock_pro(spec, &memory, PageCount(64));
  EXPECT_EQ(static_cast<ClockProPolicy*>(clock_pro.get())->tunables().target,
            ColdTarget::kAdaptive);
}

INSTANTIATE_TEST_SUITE_P(Policies, PolicyPropTest, ::testing::ValuesIn(kPolicyKinds),
                         [](const auto& info) { return std::string(PolicyName(info.param)); });

}  // namespace
}  // namespace uvm
