// pmap/l4 where two things happen at once: small scenes under every schedule of the simulated
// kernel with few preemptions. At each step the clients hold nothing beyond what the scene grants,
// and what is granted shrinks the moment the call that takes it returns. Bugs put in by hand that
// these scenes catch: a refill outside the lock, page_protect that waits for Update, Update that
// does nothing, re-entry that keeps the excess, only a run's first page noted as sent, a shortage
// that drops wired pages or the status of what it drops.

#include <gtest/gtest.h>
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/schedule.h>
#include <l4/space.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/prot.h"
#include "fake_l4/testing/watched_schedule.h"
#include "fake_l4/testing/world.h"
#include "pmap_sim/testing/pmap_world.h"
#include "uvm/pmap.h"
#include "uvm/testing/pmap_contract.h"

namespace pmap_sim {
namespace {

using base::Access;
using base::kProtNone;
using base::kProtRead;
using base::kProtReadWrite;
using base::Paddr;
using base::Prot;
using base::Range;
using base::Vaddr;
using uvm::Wired;
using Touch = PmapWorld::Touch;

constexpr Vaddr kVa{0x400000};
constexpr uint64_t kOldWord = 0x0101010101010101;
constexpr uint64_t kNewWord = 0x2222222222222222;

constexpr Vaddr PageAt(uint64_t page) { return kVa + page * base::kPageSize; }
constexpr Range Pages(uint64_t first, uint64_t count) {
  return {PageAt(first), PageAt(first + count)};
}

// One scene, played once. Built by the test, then Begin() turns the schedule on.
class Scene {
 public:
  Scene(const PmapWorldOptions& options, std::unique_ptr<fake_l4::ScheduleStrategy> schedule)
      : world_(options), schedule_(std::move(schedule)), exact_(options.quirks.manual()) {}

  PmapWorld& world() { return world_; }
  L4Pmap& pmap() { return world_.pmap(); }
  Paddr frame(uint64_t n) { return pmap().segment(0).start + n * base::kPageSize; }
  uvm::Pmap* client(uint32_t n) { return pmaps_[n]; }

  void AddClients(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) pmaps_.push_back(world_.NewClient(i));
  }
  // Enters, and from now on grants.
  void Enter(uint32_t client, Vaddr va, Paddr pa, Prot prot, Wired wired = Wired::kNo) {
    Grant(client, pa, prot);
    world_.Call([&] { EnterHere(client, va, pa, prot, wired); });
  }
  void EnterHere(uint32_t client, Vaddr va, Paddr pa, Prot prot, Wired wired = Wired::kNo) {
    bool ok = pmap()
                  .Enter(pmaps_[client], va, pa, prot,
                         {.access = kProtNone, .wired = wired, .can_fail = uvm::CanFail::kNo})
                  .ok();
    if (!ok) failure_ = "enter failed";
  }
  // M is what it must be: exact, but where it is a fault's word that the page is written: there the
  // right may have been taken again before the store came.
  void ExpectModified(Paddr pa, bool modified) {
    if (modified || exact_) {
      EXPECT_EQ(Modified(pa), modified);
    }
  }
  bool Modified(Paddr pa) {
    bool says = false;
    world_.Call([&] { says = pmap().IsModified(pa); });
    return says;
  }
  bool Do(uint32_t client, Vaddr va, Access access, uint64_t word = kNewWord) {
    Touch touch{.client = client, .va = va, .access = access, .word = word};
    world_.Access(&touch);
    return touch.done;
  }
  uint64_t WordOf(Paddr pa) {
    uint64_t word;
    std::memcpy(&word, world_.Memory(pa), sizeof word);
    return word;
  }
  void SetWord(Paddr pa, uint64_t word) { std::memcpy(world_.Memory(pa), &word, sizeof word); }

  // A client may hold a frame, anywhere, with these rights at most. Replaces an earlier grant.
  void Grant(uint32_t client, Paddr pa, Prot prot) {
    for (Granted& granted : granted_) {
      if (granted.client == client && granted.pa == pa) granted.prot = prot;
      if (granted.client == client && granted.pa == pa) return;
    }
    granted_.push_back({client, pa, prot});
  }
  void Begin() {
    world_.SetWatch([this] { Watch(); });
    world_.UseSchedule(std::move(schedule_));
  }
  // What went wrong, in whatever way; "" when nothing did.
  std::string Failure() {
    Watch();
    std::string problem = world_.Problem();
    return failure_.empty() ? problem : failure_;
  }

 private:
  struct Granted {
    uint32_t client;
    Paddr pa;
    Prot prot;
  };

  void Watch() {
    for (uint32_t client = 0; client < pmaps_.size() && failure_.empty(); ++client) {
      world_.ForEachUsable(client, [&](Vaddr va, Paddr pa, Prot prot) {
        for (const Granted& granted : granted_) {
          bool same = granted.client == client && granted.pa == pa;
          if (same && prot.IsSubsetOf(granted.prot)) return;
        }
        failure_ = "client " + std::to_string(client) + " holds page " +
                   std::to_string(va.PageNumber() - kVa.PageNumber()) + " with " +
                   base::ProtName(prot) + " of frame " + std::to_string(pa.PageNumber());
      });
    }
  }

  PmapWorld world_;
  std::unique_ptr<fake_l4::ScheduleStrategy> schedule_;
  const bool exact_;
  std::vector<uvm::Pmap*> pmaps_;
  std::vector<Granted> granted_;
  std::string failure_;
};

constexpr uint32_t kMostPreemptions = 2;

// Plays scenes and counts what happened. A scene returns that as a word; each of `outcomes`, and
// nothing else, must occur.
class Tally {
 public:
  using Play = std::function<std::string(Scene&)>;
  Tally(const PmapWorldOptions& options, std::vector<std::string> outcomes, Play play)
      : options_(options),
        outcomes_(std::move(outcomes)),
        play_(std::move(play)),
        seen_(outcomes_.size()) {}

  // False when something went wrong.
  bool PlayOnce(std::unique_ptr<fake_l4::ScheduleStrategy> schedule) {
    ++schedules_;
    Scene scene(options_, std::move(schedule));
    std::string outcome = play_(scene);
    EXPECT_EQ(scene.Failure(), "");
    size_t i = 0;
    while (i < outcomes_.size() && outcomes_[i] != outcome) ++i;
    if (i == outcomes_.size()) {
      ADD_FAILURE() << "this must not happen: " << outcome;
    } else {
      ++seen_[i];
    }
    return !testing::Test::HasFailure();
  }
  ~Tally() {
    for (size_t i = 0; i < outcomes_.size() && !testing::Test::HasFailure(); ++i) {
      EXPECT_GT(seen_[i], 0u) << "in none of " << schedules_ << " schedules: " << outcomes_[i];
    }
  }
  Tally(const Tally&) = delete;
  Tally& operator=(const Tally&) = delete;

 private:
  const PmapWorldOptions options_;
  const std::vector<std::string> outcomes_;
  const Play play_;
  std::vector<uint64_t> seen_;
  uint64_t schedules_ = 0;
};

// Under every schedule with at most so many preemptions.
void Explore(const PmapWorldOptions& options, const std::vector<std::string>& outcomes,
             const Tally::Play& play, uint32_t preemptions = kMostPreemptions) {
  Tally tally(options, outcomes, play);
  fake_l4::ForEverySchedule(preemptions, [&](std::unique_ptr<fake_l4::ScheduleStrategy> schedule) {
    return tally.PlayOnce(std::move(schedule));
  });
}

// Under random schedules: scenes that are too long for all of them.
void ExploreAtRandom(const PmapWorldOptions& options, const std::vector<std::string>& outcomes,
                     const Tally::Play& play, uint64_t seeds) {
  Tally tally(options, outcomes, play);
  constexpr uint64_t kSteps = 200;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    if (!tally.PlayOnce(seed % 2 == 0 ? fake_l4::RandomSchedule(seed)
                                      : fake_l4::PctSchedule(seed, /*depth=*/3, kSteps))) {
      return;
    }
  }
}

// Rights can be taken for good only where the kernel lets a page have no more than its source.
const fake_l4::Quirks* const kKernels[] = {&fake_l4::kManualRules, &fake_l4::kPistachioNewMdb,
                                           &fake_l4::kPistachioOldMdb};

class ScheduleTest : public testing::TestWithParam<const fake_l4::Quirks*> {
 protected:
  PmapWorldOptions Options() const {
    return {.quirks = *GetParam(), .ram_bytes = uint64_t{256} << 10, .alias_windows = 16};
  }
};

INSTANTIATE_TEST_SUITE_P(Kernels, ScheduleTest, testing::ValuesIn(kKernels),
                         [](const testing::TestParamInfo<const fake_l4::Quirks*>& info) {
                           std::string name = info.param->name;
                           std::erase(name, '-');
                           return name;
                         });

// ---- A reply on its way while the right it carries is taken ----

TEST_P(ScheduleTest, AReplyDelayedPastPageProtectGivesNothing) {
  for (Prot keep : {kProtNone, kProtRead}) {
    Explore(Options(), {"stored", "refused"}, [keep](Scene& s) {
      s.AddClients(1);
      s.Enter(0, kVa, s.frame(0), kProtReadWrite);
      s.SetWord(s.frame(0), kOldWord);
      s.Begin();
      Touch store{.va = kVa, .access = Access::kWrite, .word = kNewWord};
      std::function<void()> protect = [&] {
        s.pmap().PageProtect(s.frame(0), keep);
        s.Grant(0, s.frame(0), keep);
      };
      s.world().Start(protect);
      s.world().StartAccess(&store);
      s.world().Finish();
      EXPECT_EQ(s.WordOf(s.frame(0)), store.done ? kNewWord : kOldWord);
      s.ExpectModified(s.frame(0), store.done);
      return store.done ? "stored" : "refused";
    });
  }
}

// As uvm removes: Remove, Update, and only then the frame serves somebody else.
TEST_P(ScheduleTest, AReplyDelayedPastRemovalAndReuseGivesNothing) {
  Explore(Options(), {"stored", "refused"}, [](Scene& s) {
    s.AddClients(2);
    s.Enter(0, kVa, s.frame(0), kProtReadWrite);
    s.Begin();
    Touch store{.va = kVa, .access = Access::kWrite, .word = kNewWord};
    std::function<void()> reuse = [&] {
      s.pmap().Remove(s.client(0), Pages(0, 1));
      s.pmap().Update(s.client(0));
      s.Grant(0, s.frame(0), kProtNone);
      s.pmap().ZeroPage(s.frame(0));
      s.Grant(1, s.frame(0), kProtReadWrite);
      s.EnterHere(1, kVa, s.frame(0), kProtReadWrite);
    };
    s.world().Start(reuse);
    s.world().StartAccess(&store);
    s.world().Finish();
    EXPECT_EQ(s.WordOf(s.frame(0)), 0u) << "a store reached a frame that belongs to another";
    s.ExpectModified(s.frame(0), store.done);
    return store.done ? "stored" : "refused";
  });
}

TEST_P(ScheduleTest, AReplyDelayedPastALowerReEnterGivesNoWriting) {
  Explore(Options(), {"stored", "refused"}, [](Scene& s) {
    s.AddClients(1);
    s.Enter(0, kVa, s.frame(0), kProtReadWrite);
    s.SetWord(s.frame(0), kOldWord);
    s.Begin();
    Touch store{.va = kVa, .access = Access::kWrite, .word = kNewWord};
    std::function<void()> lower = [&] {
      s.EnterHere(0, kVa, s.frame(0), kProtRead);
      s.pmap().Update(s.client(0));
      s.Grant(0, s.frame(0), kProtRead);
    };
    s.world().Start(lower);
    s.world().StartAccess(&store);
    s.world().Finish();
    EXPECT_EQ(s.WordOf(s.frame(0)), store.done ? kNewWord : kOldWord);
    s.ExpectModified(s.frame(0), store.done);
    EXPECT_TRUE(s.Do(0, kVa, Access::kRead));
    EXPECT_FALSE(s.Do(0, kVa, Access::kWrite));
    return store.done ? "stored" : "refused";
  });
}

// A copy is published and the client's page is entered anew while it stores: whatever it stored is
// in one of the two frames, and nothing is stored in the old one after Update.
TEST_P(ScheduleTest, AStoreDuringReplacementReachesTheFrameOfItsTime) {
  Explore(Options(), {"old", "new"}, [](Scene& s) {
    s.AddClients(1);
    s.Enter(0, kVa, s.frame(0), kProtReadWrite);
    s.Begin();
    s.Grant(0, s.frame(1), kProtReadWrite);
    Touch store{.va = kVa, .access = Access::kWrite, .word = kNewWord};
    uint64_t at_update = 0;
    std::function<void()> replace = [&] {
      s.EnterHere(0, kVa, s.frame(1), kProtReadWrite);
      s.pmap().Update(s.client(0));
      s.Grant(0, s.frame(0), kProtNone);
      at_update = s.WordOf(s.frame(0));
    };
    s.world().Start(replace);
    s.world().StartAccess(&store);
    s.world().Finish();
    EXPECT_TRUE(store.done);
    EXPECT_EQ(s.WordOf(s.frame(0)), at_update);
    bool old = at_update == kNewWord;
    EXPECT_EQ(s.WordOf(s.frame(1)), old ? 0 : kNewWord);
    s.ExpectModified(s.frame(0), old);
    s.ExpectModified(s.frame(1), !old);
    return old ? "old" : "new";
  });
}

// ---- One frame at two addresses of one space ----

TEST_P(ScheduleTest, RemovingOneOfTwoMappingsLeavesTheOther) {
  Explore(Options(), {"removed page read", "removed page refused"}, [](Scene& s) {
    s.AddClients(1);
    s.Enter(0, PageAt(0), s.frame(0), kProtReadWrite);
    s.Enter(0, PageAt(3), s.frame(0), kProtReadWrite);
    s.SetWord(s.frame(0), kOldWord);
    EXPECT_TRUE(s.Do(0, PageAt(3), Access::kWrite, kOldWord));
    s.Begin();
    Touch load{.va = PageAt(0), .access = Access::kRead};
    std::function<void()> remove = [&] {
      s.pmap().Remove(s.client(0), Pages(0, 1));
      s.pmap().Update(s.client(0));
      if (!s.world().RightsAt(0, PageAt(0)).IsNone()) ADD_FAILURE() << "still there";
    };
    s.world().Start(remove);
    s.world().StartAccess(&load);
    s.world().Finish();
    EXPECT_EQ(s.world().RightsAt(0, PageAt(0)), kProtNone);
    EXPECT_FALSE(s.Do(0, PageAt(0), Access::kRead));
    EXPECT_TRUE(s.Do(0, PageAt(3), Access::kWrite));
    EXPECT_EQ(s.WordOf(s.frame(0)), kNewWord);
    EXPECT_TRUE(s.Modified(s.frame(0)));
    return load.done ? "removed page read" : "removed page refused";
  });
}

// ---- Neighbours ----

// The first page of the block is missing, or goes away meanwhile, or comes.
TEST_P(ScheduleTest, ABlockWithALeadingHoleShiftsNothing) {
  for (const char* change : {"missing", "goes", "comes"}) {
    Explore(
        Options(), {"loaded"},
        [change](Scene& s) {
          s.AddClients(1);
          bool missing = std::strcmp(change, "goes") != 0;
          for (uint64_t page = missing ? 1 : 0; page < 8; ++page) {
            s.Enter(0, PageAt(page), s.frame(page), kProtRead);
            s.SetWord(s.frame(page), kOldWord + page);
          }
          s.Begin();
          Touch load{.va = PageAt(5), .access = Access::kRead};
          std::function<void()> act = [&] {
            if (std::strcmp(change, "goes") == 0) {
              s.pmap().Remove(s.client(0), Pages(0, 1));
              s.pmap().Update(s.client(0));
              s.Grant(0, s.frame(0), kProtNone);
            } else if (std::strcmp(change, "comes") == 0) {
              s.Grant(0, s.frame(9), kProtRead);
              s.EnterHere(0, PageAt(0), s.frame(9), kProtRead);
            }
          };
          s.world().Start(act);
          s.world().StartAccess(&load);
          s.world().Finish();
          EXPECT_EQ(load.word, kOldWord + 5);
          // Each page that came along shows its own frame.
          for (uint64_t page = 1; page < 8; ++page) {
            Touch each{.va = PageAt(page), .access = Access::kRead};
            s.world().Access(&each);
            EXPECT_TRUE(each.done && each.word == kOldWord + page) << page;
          }
          return load.done ? "loaded" : "refused";
        },
        /*preemptions=*/1);
  }
}

// ---- Clients that do not play by the rules; they all run under the manual's ----

class HostileScheduleTest : public testing::Test {
 protected:
  PmapWorldOptions options_{.ram_bytes = uint64_t{256} << 10, .alias_windows = 16};
};

TEST_F(HostileScheduleTest, AClientThatFlushesItsPageLosesNoStatus) {
  for (bool clear : {false, true}) {
    Explore(options_, {"ended"}, [clear](Scene& s) {
      s.AddClients(1);
      s.Enter(0, kVa, s.frame(0), kProtReadWrite);
      EXPECT_TRUE(s.Do(0, kVa, Access::kWrite));
      s.Begin();
      bool first = false;
      std::function<void()> ask = [&] {
        first = clear ? s.pmap().ClearModify(s.frame(0)) : s.pmap().IsModified(s.frame(0));
      };
      s.world().Start(ask);
      s.world().StartProgram(0, [] {
        L4_FlushFpage(fake_l4::Page(kVa.value(), L4_FullyAccessible));
        L4_Yield();
      });
      s.world().Finish();
      EXPECT_TRUE(first);
      EXPECT_EQ(s.Modified(s.frame(0)), !clear);
      uint64_t misses = s.pmap().counters().refill_misses;
      EXPECT_TRUE(s.Do(0, kVa, Access::kWrite, kOldWord));
      EXPECT_EQ(s.pmap().counters().refill_misses, misses);
      EXPECT_TRUE(s.Modified(s.frame(0)));
      return "ended";
    });
  }
}

// A fault message is only bits: a client sends one itself, with a window elsewhere, so that the
// answer lands where the table knows nothing of it.
void ForgeFault(L4_ThreadId_t pager, unsigned window_log2) {
  L4_Accept(L4_MapGrantItems(L4_FpageLog2(PageAt(64).value(), static_cast<int>(window_log2))));
  L4_Set_MsgTag(L4_MakeMsgTag(L4_LABEL_PAGEFAULT | L4_Writable, 2, 0));
  L4_LoadMR(1, static_cast<L4_Word_t>(PageAt(2).value()));
  L4_LoadMR(2, 0);
  L4_Call_Timeouts(pager, L4_Never, L4_TimePeriod(1000));
  L4_Accept(L4_UntypedWordsAcceptor);
}

TEST_F(HostileScheduleTest, AForgedFaultGivesNothingThatIsNotTakenBack) {
  for (unsigned window : {12u, 13u, 16u}) {
    for (const char* how : {"page_protect", "remove", "re-enter"}) {
      Explore(
          options_, {"ended"},
          [window, how](Scene& s) {
            s.AddClients(2);
            for (uint64_t page = 0; page < 4; ++page) {
              s.Enter(0, PageAt(page), s.frame(page), kProtReadWrite);
            }
            s.Begin();
            std::function<void()> take = [&] {
              if (std::strcmp(how, "page_protect") == 0) {
                s.pmap().PageProtect(s.frame(2), kProtNone);
              } else if (std::strcmp(how, "remove") == 0) {
                s.pmap().Remove(s.client(0), Pages(2, 1));
                s.pmap().Update(s.client(0));
              } else {
                s.Grant(0, s.frame(8), kProtRead);
                s.EnterHere(0, PageAt(2), s.frame(8), kProtRead);
                s.pmap().Update(s.client(0));
              }
              s.Grant(0, s.frame(2), kProtNone);
            };
            s.world().Start(take);
            const L4_ThreadId_t pager = s.world().pager_of(0);
            s.world().StartProgram(0, [pager, window] { ForgeFault(pager, window); });
            s.world().Finish();
            // What it did get elsewhere goes with the space's mappings.
            s.world().Call([&] {
              s.pmap().Remove(s.client(0), Pages(0, 4));
              s.pmap().Update(s.client(0));
            });
            for (uint64_t page = 0; page < 9; ++page) s.Grant(0, s.frame(page), kProtNone);
            return "ended";
          },
          /*preemptions=*/1);
    }
  }
}

TEST_F(HostileScheduleTest, APagePassedOnIsTakenFromTheThirdSpaceToo) {
  for (const char* how : {"page_protect", "remove", "lower", "end of the space"}) {
    Explore(options_, {"ended"}, [how](Scene& s) {
      s.AddClients(1);
      s.Enter(0, kVa, s.frame(0), kProtReadWrite);
      EXPECT_TRUE(s.Do(0, kVa, Access::kWrite));
      s.Begin();
      std::function<void()> take = [&] {
        Prot keep = kProtNone;
        if (std::strcmp(how, "page_protect") == 0) {
          s.pmap().PageProtect(s.frame(0), kProtNone);
        } else if (std::strcmp(how, "remove") == 0) {
          s.pmap().Remove(s.client(0), Pages(0, 1));
        } else if (std::strcmp(how, "lower") == 0) {
          keep = kProtRead;
          s.pmap().Protect(s.client(0), Pages(0, 1), kProtRead);
        } else {
          s.pmap().RemoveAll(s.client(0));
        }
        s.pmap().Update(s.client(0));
        s.Grant(0, s.frame(0), keep);
      };
      s.world().Start(take);
      const L4_ThreadId_t accomplice = s.world().accomplice_of(0);
      s.world().StartProgram(0, [accomplice] {
        fake_l4::SendMap(accomplice, fake_l4::Page(kVa.value(), L4_FullyAccessible),
                         static_cast<L4_Word_t>(kVa.value()));
      });
      s.world().Finish();
      EXPECT_TRUE(s.Modified(s.frame(0)));
      return "ended";
    });
  }
}

// ---- Wired pages ----

// Whatever happens to its translation, a wired page costs a refill and never a fault of UVM's: a
// miss is what UVM would be asked about.
TEST_P(ScheduleTest, AWiredPageIsNeverAMiss) {
  PmapWorldOptions options = Options();
  Scene s(options, fake_l4::RandomSchedule(1));
  s.AddClients(2);
  for (uint64_t page = 0; page < 8; ++page) {
    s.Enter(0, PageAt(page), s.frame(page), kProtReadWrite, Wired::kYes);
  }
  s.Enter(1, kVa, s.frame(0), kProtRead);
  uint64_t misses = s.pmap().counters().refill_misses;
  uint64_t refills = s.pmap().counters().refills;
  for (int round = 0; round < 20; ++round) {
    Vaddr va = PageAt(static_cast<uint64_t>(round) % 8);
    s.world().StartProgram(
        0, [] { L4_FlushFpage(L4_FpageAddRights(L4_CompleteAddressSpace, L4_FullyAccessible)); });
    s.world().Finish();
    s.world().Call([&] {
      s.pmap().ClearModify(s.frame(static_cast<uint64_t>(round) % 8));
      s.pmap().ClearReference(s.frame(0));
      s.pmap().PageProtect(s.frame(0), kProtReadWrite);
    });
    EXPECT_TRUE(s.Do(0, va, round % 2 == 0 ? Access::kWrite : Access::kRead));
    EXPECT_EQ(s.world().last_refill(0), RefillResult::kSent);
  }
  EXPECT_EQ(s.pmap().counters().refill_misses, misses);
  EXPECT_GE(s.pmap().counters().refills, refills + 20);
  EXPECT_EQ(s.Failure(), "");
}

// However often it gives the page up itself: where accesses leave no trace that looks like a kernel
// that has no memory for the mapping.
TEST_P(ScheduleTest, AWiredPageIsServedHoweverOftenItIsFlushed) {
  for (const fake_l4::Profile* profile : {&fake_l4::kAmd64Nx, &fake_l4::kAmd64NoReference}) {
    PmapWorldOptions options = Options();
    options.profile = *profile;
    for (Access access : {Access::kRead, Access::kWrite}) {
      Scene s(options, fake_l4::RandomSchedule(1));
      s.AddClients(2);
      s.Enter(0, kVa, s.frame(0), kProtReadWrite, Wired::kYes);
      s.Enter(1, kVa, s.frame(1), kProtReadWrite);
      EXPECT_TRUE(s.Do(1, kVa, Access::kWrite));
      for (int round = 0; round < 900; ++round) {
        s.world().StartProgram(0, [] {
          L4_FlushFpage(L4_FpageAddRights(L4_CompleteAddressSpace, L4_FullyAccessible));
        });
        s.world().Finish();
        ASSERT_TRUE(s.Do(0, kVa, access)) << profile->name << " round " << round;
      }
      // Others lose what they have at most every fourth time.
      EXPECT_LE(s.pmap().counters().shortages, 900u / 4 + 900u / 16 + 1);
      EXPECT_TRUE(s.Do(1, kVa, Access::kRead));
      EXPECT_EQ(s.Failure(), "");
    }
  }
}

// The kernel's memory for mappings is full of other spaces' pages when a wired page is asked for
// again, and others ask at the same time.
TEST_P(ScheduleTest, MappingMemoryThatRunsOutCostsOthersTheirPages) {
  PmapWorldOptions options = Options();
  options.spare_mappings = 6;
  ExploreAtRandom(
      options, {"wired page served"},
      [](Scene& s) {
        s.AddClients(2);
        s.Enter(0, kVa, s.frame(0), kProtReadWrite, Wired::kYes);
        for (uint64_t page = 0; page < 6; ++page) {
          // Apart, so that each costs a mapping of its own.
          s.Enter(1, PageAt(32 * page), s.frame(1 + page), kProtReadWrite);
          EXPECT_TRUE(s.Do(1, PageAt(32 * page), Access::kWrite, kOldWord + page)) << page;
        }
        uint64_t misses = s.pmap().counters().refill_misses;
        s.Begin();
        Touch wired{.client = 0, .va = kVa, .access = Access::kWrite, .word = kNewWord};
        Touch other{.client = 1, .va = PageAt(0), .access = Access::kRead};
        s.world().StartAccess(&wired);
        s.world().StartAccess(&other);
        s.world().Finish();
        EXPECT_EQ(s.WordOf(s.frame(0)), kNewWord);
        EXPECT_TRUE(s.Modified(s.frame(0)));
        // What was dropped had been written, and still reads so.
        for (uint64_t page = 0; page < 6; ++page) EXPECT_TRUE(s.Modified(s.frame(1 + page)));
        bool there = false;
        s.world().Call([&] { there = s.pmap().Extract(s.client(0), kVa, nullptr); });
        EXPECT_TRUE(there);
        EXPECT_LE(s.pmap().counters().refill_misses - misses, 1u) << "the wired page was a miss";
        return wired.done ? "wired page served" : "wired page refused";
      },
      /*seeds=*/100);
}

}  // namespace
}  // namespace pmap_sim
