// Laws of the simulator over random streams, each against a specification that is too slow for more
// than a test: lists and linear searches.
#include "tools/policy/policy_sim.h"

#include <algorithm>
#include <cstdint>
#include <list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "tools/policy/stack_distance.h"
#include "tools/policy/touch_stream.h"

namespace tools::policy {
namespace {

// A loop, a scan, a few hot pages, births and deaths: a mix drawn for each seed.
enum class Deaths : uint8_t { kSome, kNone };
TouchStream RandomTouches(uint64_t seed, uint32_t events, uint32_t most_pages,
                          Deaths deaths_wanted = Deaths::kSome) {
  base::Prng prng(seed, "touches");
  TouchStream touches;
  std::vector<uint32_t> alive;
  const uint64_t hot = 1 + prng.Below(most_pages);
  const uint64_t deaths = deaths_wanted == Deaths::kSome ? prng.Below(4) : 0;  // in 64
  uint64_t loop = 0;
  while (touches.size() < events) {
    const uint64_t what = prng.Below(64);
    if (alive.empty() || (what < 8 && alive.size() < most_pages)) {
      alive.push_back(touches.NewPage(static_cast<PageSort>(prng.Below(3))));
      touches.Add(alive.back(), TouchKind::kRead);
    } else if (what >= 8 && what < 8 + deaths) {
      const size_t victim = prng.Below(alive.size());
      touches.Add(alive[victim], TouchKind::kGone);
      alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(victim));
    } else {
      const uint64_t any = prng.Below(alive.size());
      const size_t at = what < 24   ? loop++ % alive.size()
                        : what < 50 ? any % hot % alive.size()
                                    : any;
      touches.Add(alive[at], prng.Chance(1, 3) ? TouchKind::kWrite : TouchKind::kRead);
    }
  }
  return touches;
}

TouchStream Of(const std::string& picture) {
  TouchStream touches;
  std::vector<uint32_t> page_of(256, ~0u);
  bool gone = false;
  for (char c : picture) {
    if (c == '-') {
      gone = true;
      continue;
    }
    uint32_t& page = page_of[static_cast<unsigned char>(c)];
    if (page == ~0u) page = touches.NewPage(PageSort::kAnonymous);
    touches.Add(page, gone ? TouchKind::kGone : TouchKind::kRead);
    gone = false;
  }
  return touches;
}

// ---- Specifications ----

MissCounts SlowLru(const TouchStream& touches, uint32_t frames, bool fifo) {
  MissCounts counts;
  std::list<uint32_t> pages;  // the next to go first
  std::set<uint32_t> dirty, seen;
  for (size_t i = 0; i < touches.size(); ++i) {
    const Touch touch = touches[i];
    const auto at = std::find(pages.begin(), pages.end(), touch.page);
    const bool there = at != pages.end();
    if (there && (!fifo || touch.kind == TouchKind::kGone)) pages.erase(at);
    if (touch.kind == TouchKind::kGone) continue;
    if (!there) {
      ++counts.misses;
      if (seen.insert(touch.page).second) ++counts.first;
      dirty.erase(touch.page);
      if (pages.size() == frames) {
        counts.page_outs += dirty.count(pages.front());
        pages.pop_front();
      }
    }
    if (!there || !fifo) pages.push_back(touch.page);
    if (touch.kind == TouchKind::kWrite) dirty.insert(touch.page);
  }
  return counts;
}

uint64_t SlowMin(const TouchStream& touches, uint32_t frames) {
  uint64_t misses = 0;
  std::set<uint32_t> pages;
  const auto next_use = [&](uint32_t page, size_t from) {
    for (; from < touches.size(); ++from) {
      if (touches[from].page == page)
        return touches[from].kind == TouchKind::kGone ? touches.size() : from;
    }
    return touches.size();
  };
  for (size_t i = 0; i < touches.size(); ++i) {
    const Touch touch = touches[i];
    if (touch.kind == TouchKind::kGone) {
      pages.erase(touch.page);
    } else if (pages.count(touch.page) == 0) {
      ++misses;
      if (pages.size() == frames) {
        pages.erase(*std::max_element(pages.begin(), pages.end(), [&](uint32_t a, uint32_t b) {
          return next_use(a, i) < next_use(b, i);
        }));
      }
      pages.insert(touch.page);
    }
  }
  return misses;
}

// CLOCK-Pro as the paper tells it: one clock of resident and absent pages with three hands, a fixed
// number of cold pages. New pages go in behind hand hot.
class PaperClockPro {
 public:
  explicit PaperClockPro(size_t frames)
      : frames_(frames), cold_aim_(std::max<size_t>(frames / 10, 1)) {}

  void Touch(uint32_t page) {
    const auto at = where_.find(page);
    if (at != where_.end() && at->second->resident) {
      at->second->used = true;
      return;
    }
    ++misses;
    while (hot_ + cold_ >= frames_) RunHandCold();
    // The hands may have ended the page's test meanwhile.
    const auto known = where_.find(page);
    const bool under_test = known != where_.end();
    if (under_test) Remove(known->second);
    Insert({page, under_test, !under_test, true, false});
    ++(under_test ? hot_ : cold_);
    if (under_test) CoolHotPages();
  }

  uint64_t misses = 0;

 private:
  struct Node {
    uint32_t page;
    bool hot, test, resident, used;
  };
  using Clock = std::list<Node>;
  using Hand = Clock::iterator;

  Hand Next(Hand hand) {
    if (hand != clock_.end()) ++hand;
    return hand == clock_.end() ? clock_.begin() : hand;
  }
  void Insert(const Node& node) {
    const Hand at = clock_.insert(hand_hot_, node);
    where_[node.page] = at;
    if (clock_.size() == 1) hand_hot_ = hand_cold_ = hand_test_ = at;
  }
  void Remove(Hand at) {
    const bool absent = !at->resident;
    absent_ -= absent ? 1 : 0;
    for (Hand* hand : {&hand_hot_, &hand_cold_, &hand_test_}) {
      if (*hand == at) *hand = Next(at);
      if (*hand == at) *hand = clock_.end();
    }
    where_.erase(at->page);
    clock_.erase(at);
  }
  void MoveToHead(Hand at) {
    const Node node = *at;
    Remove(at);
    Insert(node);
  }
  void CoolHotPages() {
    while (hot_ > frames_ - cold_aim_) RunHandHot();
  }
  void RunHandCold() {
    const Hand at = hand_cold_;
    hand_cold_ = Next(at);
    if (at->hot || !at->resident) return;
    if (!at->used) {
      --cold_;
      at->resident = false;
      ++absent_;
      if (!at->test) Remove(at);
      while (absent_ > frames_) RunHandTest();
      return;
    }
    at->used = false;
    if (at->test) --cold_, ++hot_;
    at->hot = at->test;
    at->test = !at->test;
    MoveToHead(at);
    CoolHotPages();
  }
  void RunHandHot() {
    const Hand at = hand_hot_;
    hand_hot_ = Next(at);
    if (at->hot && !at->used) {
      at->hot = false;
      --hot_, ++cold_;
    } else if (at->hot) {
      at->used = false;
    } else {
      EndTest(at);
    }
  }
  void RunHandTest() {
    const Hand at = hand_test_;
    hand_test_ = Next(at);
    if (!at->hot) EndTest(at);
  }
  void EndTest(Hand at) {
    at->test = false;
    if (!at->resident) Remove(at);
  }

  const size_t frames_, cold_aim_;
  Clock clock_;
  std::map<uint32_t, Hand> where_;
  Hand hand_hot_ = clock_.end(), hand_cold_ = clock_.end(), hand_test_ = clock_.end();
  size_t hot_ = 0, cold_ = 0, absent_ = 0;
};

uint64_t PaperMisses(const TouchStream& touches, uint32_t frames) {
  PaperClockPro clock(frames);
  for (size_t i = 0; i < touches.size(); ++i) clock.Touch(touches[i].page);
  return clock.misses;
}

// ---- Laws ----

class PolicySimTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  const TouchStream touches_ = RandomTouches(GetParam(), 3000, 48);
  const TouchStream short_ = RandomTouches(GetParam(), 400, 20);
};

TEST_P(PolicySimTest, LruIsTheListOfPagesByLastUse) {
  for (uint32_t frames = 1; frames <= touches_.peak(); frames += 3) {
    const MissCounts fast = Simulate(Method::kLru, touches_, frames);
    const MissCounts slow = SlowLru(touches_, frames, false);
    EXPECT_EQ(fast.misses, slow.misses) << frames;
    EXPECT_EQ(fast.first, slow.first) << frames;
    EXPECT_EQ(fast.page_outs, slow.page_outs) << frames;
  }
}

TEST_P(PolicySimTest, StackDistancesGiveLruForEverySize) {
  const StackDistances distances(touches_);
  for (uint32_t frames = 1; frames <= touches_.peak() + 2; ++frames)
    EXPECT_EQ(distances.Misses(frames), Simulate(Method::kLru, touches_, frames).misses) << frames;
}

// Inclusion: more frames are never worse. (First in, first out has no such law.)
TEST_P(PolicySimTest, MoreFramesAreNeverWorseForLruAndMin) {
  for (const Method method : {Method::kLru, Method::kMin}) {
    uint64_t before = ~uint64_t{0};
    for (uint32_t frames = 1; frames <= touches_.peak(); ++frames) {
      const uint64_t misses = Simulate(method, touches_, frames).misses;
      EXPECT_LE(misses, before) << MethodName(method) << " with " << frames;
      before = misses;
    }
  }
}

// Without deaths: a frame whose page died and that is taken again before wishes are fulfilled keeps
// its place among them.
TEST_P(PolicySimTest, FifoIsTheQueueOfPagesByArrival) {
  const TouchStream touches = RandomTouches(GetParam(), 3000, 48, Deaths::kNone);
  for (uint32_t frames = 1; frames <= touches.peak(); frames += 3) {
    const MissCounts fast = Simulate(Method::kFifo, touches, frames);
    const MissCounts slow = SlowLru(touches, frames, true);
    EXPECT_EQ(fast.misses, slow.misses) << frames;
    EXPECT_EQ(fast.page_outs, slow.page_outs) << frames;
  }
}

TEST_P(PolicySimTest, MinEvictsWhatIsUsedLast) {
  for (uint32_t frames = 1; frames <= short_.peak(); frames += 2)
    EXPECT_EQ(Simulate(Method::kMin, short_, frames).misses, SlowMin(short_, frames)) << frames;
}

TEST_P(PolicySimTest, NobodyIsBetterThanTheOptimum) {
  for (uint32_t frames = 1; frames <= touches_.peak(); frames += 4) {
    const uint64_t best = Simulate(Method::kMin, touches_, frames).misses;
    for (const Method method : kMethods)
      EXPECT_GE(Simulate(method, touches_, frames).misses, best)
          << MethodName(method) << " with " << frames;
  }
}

TEST_P(PolicySimTest, WithAFrameForEachPageOnlyFirstTouchesMiss) {
  for (const Method method : kMethods) {
    const MissCounts counts = Simulate(method, touches_, touches_.peak());
    EXPECT_EQ(counts.misses, touches_.pages()) << MethodName(method);
    EXPECT_EQ(counts.page_ins(), 0u) << MethodName(method);
    EXPECT_EQ(counts.page_outs, 0u) << MethodName(method);
  }
}

TEST_P(PolicySimTest, TheSameAgainIsTheSame) {
  for (const Method method : kMethods) {
    const uint32_t frames = touches_.peak() / 2;
    EXPECT_EQ(Simulate(method, touches_, frames).misses, Simulate(method, touches_, frames).misses);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, PolicySimTest, ::testing::Range<uint64_t>(1, 13));

// ---- Known results ----

// Belady, Nelson, Shedler 1969: more frames, more misses, first in, first out.
TEST(PolicySimExamples, BeladysAnomaly) {
  const TouchStream touches = Of("ABCDABEABCDE");
  EXPECT_EQ(Simulate(Method::kFifo, touches, 3).misses, 9u);
  EXPECT_EQ(Simulate(Method::kFifo, touches, 4).misses, 10u);
  EXPECT_EQ(Simulate(Method::kLru, touches, 3).misses, 10u);
  EXPECT_EQ(Simulate(Method::kLru, touches, 4).misses, 8u);
  EXPECT_EQ(Simulate(Method::kMin, touches, 3).misses, 7u);
  EXPECT_EQ(Simulate(Method::kMin, touches, 4).misses, 6u);
}

TEST(PolicySimExamples, APageThatGoesLeavesItsFrame) {
  const TouchStream touches = Of("ABC-CDA");
  EXPECT_EQ(touches.peak(), 3u);
  for (const Method method : kMethods)
    EXPECT_EQ(Simulate(method, touches, 3).misses, 4u) << MethodName(method);
  EXPECT_EQ(StackDistances(touches).Misses(3), 4u);
}

TEST(PolicySimExamples, DistancesCountPagesInBetween) {
  const StackDistances distances(Of("ABCBAA"));
  EXPECT_EQ(distances.uses(), (std::vector<uint64_t>{1, 1, 1}));  // A A; B C B; A . . . A
  EXPECT_EQ(distances.first(), 3u);
}

// A loop over a tenth more than memory holds: LRU, CLOCK and FIFO miss every time; CLOCK-Pro keeps
// most of the loop (the paper's first example).
TEST(PolicySimExamples, ALoopThatJustDoesNotFit) {
  TouchStream touches;
  constexpr uint32_t kFrames = 1000, kPages = 1100, kRounds = 40;
  for (uint32_t page = 0; page < kPages; ++page) touches.NewPage(PageSort::kAnonymous);
  for (uint32_t i = 0; i < kPages * kRounds; ++i) touches.Add(i % kPages, TouchKind::kRead);
  const uint64_t all = touches.touches();
  EXPECT_EQ(Simulate(Method::kLru, touches, kFrames).misses, all);
  EXPECT_EQ(Simulate(Method::kFifo, touches, kFrames).misses, all);
  EXPECT_GT(Simulate(Method::kClock, touches, kFrames).misses, all * 9 / 10);
  const uint64_t pro = Simulate(Method::kClockPro, touches, kFrames).misses;
  EXPECT_LT(pro, all / 2);
  EXPECT_LT(pro, PaperMisses(touches, kFrames) * 3 / 2);
  EXPECT_LT(Simulate(Method::kMin, touches, kFrames).misses, all / 5);
}

// Pages that are read once go by; those in use stay.
TEST(PolicySimExamples, AScanDoesNotDriveOutWhatIsInUse) {
  TouchStream touches;
  constexpr uint32_t kFrames = 1000, kUsed = 600;
  for (uint32_t page = 0; page < kUsed; ++page) touches.NewPage(PageSort::kAnonymous);
  const auto use = [&](int rounds) {
    for (uint32_t i = 0; i < kUsed * static_cast<uint32_t>(rounds); ++i)
      touches.Add(i % kUsed, TouchKind::kRead);
  };
  const auto scan = [&](uint32_t pages) {
    for (; pages > 0; --pages) touches.Add(touches.NewPage(PageSort::kAnonymous), TouchKind::kRead);
  };
  for (int i = 0; i < 20; ++i) {
    use(4);
    scan(3000);
  }
  const uint64_t lru = Simulate(Method::kLru, touches, kFrames).page_ins();
  const uint64_t pro = Simulate(Method::kClockPro, touches, kFrames).page_ins();
  EXPECT_EQ(lru, uint64_t{19} * kUsed);
  EXPECT_LT(pro, lru / 2);
}

// Queues instead of one clock, and a history of cookies, cost little.
TEST(PolicySimExamples, ClockProIsCloseToThePapersClock) {
  uint64_t ours = 0, papers = 0, lru = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const TouchStream touches = RandomTouches(seed, 20000, 600, Deaths::kNone);
    for (const uint32_t frames : {60u, 150u, 300u, 450u}) {
      ours += Simulate(Method::kClockPro, touches, frames).misses;
      papers += PaperMisses(touches, frames);
      lru += Simulate(Method::kLru, touches, frames).misses;
    }
  }
  EXPECT_LT(ours, papers * 11 / 10);
  EXPECT_GT(ours, papers * 9 / 10);
  EXPECT_LT(ours, lru);
}

TEST(PolicySimExamples, NamesOfMethodsRoundTrip) {
  for (const Method method : kMethods) {
    Method found;
    ASSERT_TRUE(MethodOfName(MethodName(method), &found));
    EXPECT_EQ(found, method);
  }
  Method none;
  EXPECT_FALSE(MethodOfName("random", &none));
  EXPECT_EQ(FreeTarget(1), 1u);
  EXPECT_EQ(FreeTarget(15000), 100u);
}

}  // namespace
}  // namespace tools::policy
