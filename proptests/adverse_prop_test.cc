// The laws of whole runs on a pmap that uses every freedom of its contract, and on servers whose
// tables are full; and the law of design D6 that only a look at every step can show: what clients
// can reach stands in the pmap's table.

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/canary.h"
#include "base/errors.h"
#include "base/prot.h"
#include "fake_l4/kernel.h"
#include "fake_l4/schedule_strategy.h"
#include "fake_l4/testing/watched_schedule.h"
#include "machine/machine.h"
#include "proptests/engine/emit.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/generator.h"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"
#include "traces/codec.h"
#include "traces/op.h"
#include "uvm/pmap.h"
#include "uvm/space.h"

namespace proptests {
namespace {

using machine::Adversity;

// One small world.
struct Case {
  GenOptions gen;
  RunOptions run;
  std::vector<TestOp> ops;
  std::vector<std::string> files;
};

Case DrawCase(uint64_t seed, uint64_t ops, const machine::Machine::Options& machine) {
  Case drawn;
  drawn.gen.seed = seed;
  drawn.gen.tasks = 2 + static_cast<uint32_t>(seed % 4);
  drawn.gen.pages = 4 + static_cast<uint32_t>(seed % 20);
  drawn.gen.swarm = DrawSwarm(seed, 0);
  drawn.run.machine = machine;
  drawn.run.machine.seed = seed;
  drawn.run.machine.ram_bytes = uint64_t{8} << 20;
  drawn.run.whole_every = 4;
  drawn.run.max_live_tasks = drawn.gen.tasks;
  Generator generator(drawn.gen);
  drawn.files = generator.files();
  for (const traces::Op& op : DrawOps(generator, ops)) drawn.ops.push_back({op, std::nullopt});
  return drawn;
}

// "" or the shrunk run.
std::string Counterexample(const Case& drawn) {
  const RunResult result = RunOps(drawn.ops, drawn.files, drawn.run);
  if (!result.failure) return "";
  ShrinkOutcome shrunk = ShrinkRun(drawn.ops, drawn.files, drawn.run, *result.failure);
  FailureReport report{shrunk.shrunk.failure,
                       shrunk.shrunk.smallest.ops,
                       shrunk.outcomes,
                       drawn.files,
                       absl::StrCat("seed ", drawn.gen.seed),
                       "only on such a machine"};
  return traces::FormatTrace(FailureTrace(report, "x.trace"));
}

struct Row {
  Adversity adversity;
  const char* kernel;
  const char* hardware;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << (row.adversity == Adversity::kRefusing ? "refusing" : "forgetful") << " pmap on "
       << row.kernel << ", " << row.hardware;
}

class AdversePropTest : public testing::TestWithParam<Row> {};

TEST_P(AdversePropTest, EveryRunAgreesWithTheModel) {
  constexpr uint64_t kSeeds = 40, kOps = 400;
  machine::Machine::Options options;
  options.adversity = GetParam().adversity;
  options.quirks = *machine::FindQuirks(GetParam().kernel);
  options.profile = *machine::FindProfile(GetParam().hardware);
  uint64_t forgotten = 0;
  uint64_t refused = 0;
  uint64_t held_back = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    options.schedule = static_cast<machine::Schedule>(seed % 3);
    Case drawn = DrawCase(seed, kOps, options);
    ASSERT_EQ(Counterexample(drawn), "");
    Session session(drawn.run, &drawn.files);
    for (const TestOp& test : drawn.ops) ASSERT_TRUE(session.Step(test.op));
    forgotten += session.system()->adverse_pmap().forgotten();
    refused += session.system()->adverse_pmap().refused();
    held_back += session.system()->adverse_pmap().held_back();
  }
  EXPECT_GT(forgotten, kSeeds * 3);
  EXPECT_GT(held_back, kSeeds * 10);
  EXPECT_EQ(refused > kSeeds * 4, GetParam().adversity == Adversity::kRefusing) << refused;
}

INSTANTIATE_TEST_SUITE_P(
    Machines, AdversePropTest,
    testing::Values(Row{Adversity::kForgetful, "manual", "amd64-nx"},
                    Row{Adversity::kRefusing, "manual", "amd64-nx"},
                    Row{Adversity::kForgetful, "manual", "amd64-no-reference"},
                    Row{Adversity::kForgetful, "pistachio-new-mdb", "amd64-nx"},
                    Row{Adversity::kRefusing, "pistachio-old-mdb", "amd64-nx"}));

// What programs see is what they see on a patient pmap.
TEST(ForgetfulPmapPropTest, MakesNoDifference) {
  for (uint64_t seed = 101; seed <= 130; ++seed) {
    Case drawn = DrawCase(seed, 300, {});
    const RunResult patient = RunOps(drawn.ops, drawn.files, drawn.run);
    drawn.run.machine.adversity = Adversity::kForgetful;
    const RunResult forgetful = RunOps(drawn.ops, drawn.files, drawn.run);
    ASSERT_EQ(patient.hash, forgetful.hash) << "seed " << seed;
  }
}

// The server finds no memory for its own tables: what cannot be done is refused, and leaves
// nothing, neither here nor in the kernel.
TEST(FullTablesPropTest, EveryRunAgreesWithTheModel) {
  constexpr uint64_t kSeeds = 40, kOps = 600;
  uint64_t no_memory = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    machine::Machine::Options options;
    options.arena_bytes = (uint64_t{24} + seed % 8 * 4) * 64 * 1024;
    Case drawn = DrawCase(seed, kOps, options);
    drawn.run.memory_may_run_out = true;
    ASSERT_EQ(Counterexample(drawn), "");
    std::vector<traces::Outcome> outcomes;
    RunOps(drawn.ops, drawn.files, drawn.run, nullptr, &outcomes);
    for (const traces::Outcome& outcome : outcomes) {
      no_memory += outcome.code == static_cast<int32_t>(base::Errno::kEnomem) ? 1 : 0;
    }
  }
  EXPECT_GT(no_memory, 100u);
}

// ---- What clients can reach, at every step ----

// Looks at every step of a session's machine. What waits to be taken until Update may be there
// still, so that only steps at which nothing waits count.
class RightsWatch {
 public:
  explicit RightsWatch(Session* session) : machine_(session->system()) {
    machine_->server().SetLockHook([] { fake_l4::Kernel::Point(fake_l4::SchedulePoint::kLock); });
  }
  void UseSchedule(std::unique_ptr<fake_l4::ScheduleStrategy> schedule) {
    machine_->kernel().SetStrategy(
        std::make_unique<fake_l4::WatchedSchedule>(std::move(schedule), [this] { Look(); }));
  }
  const std::string& found() const { return found_; }
  uint64_t looks() const { return looks_; }
  uint64_t pages() const { return pages_; }

 private:
  void Look() {
    if (!found_.empty() || !machine_->pmap().DebugNothingWaits()) return;
    ++looks_;
    for (uint32_t label : machine_->live_labels()) {
      fake_l4::SpaceId l4_space{};
      const uvm::Space* space = machine_->space_of(label);
      if (space == nullptr || !machine_->kernel().SpaceOf(machine_->thread_of(label), &l4_space)) {
        continue;  // it is on its way out
      }
      machine_->kernel().ForEachPage(
          l4_space, [&](const fake_l4::Mapping& page) { LookAt(label, *space, page); });
    }
  }

  void LookAt(uint32_t label, const uvm::Space& space, const fake_l4::Mapping& page) {
    // The kernel's own two pages lie outside every map.
    if (page.va < space.map().min() || page.va >= space.map().max()) return;
    ++pages_;
    base::Prot rights;
    if ((page.rights & fake_l4::kR) != 0) rights = rights | base::kProtRead;
    if ((page.rights & fake_l4::kW) != 0) rights = rights | base::kProtWrite;
    if ((page.rights & fake_l4::kX) != 0) rights = rights | base::kProtExecute;
    if (machine_->kernel().profile().ExecuteImpliedByRead()) rights = rights - base::kProtExecute;
    uvm::PmapSystem::Mapping table;
    const bool there =
        machine_->pmap().PeekNext(space.pmap(), page.va, &table) && table.va == page.va;
    if (there && table.pa == page.frame && rights.IsSubsetOf(table.prot)) return;
    found_ = absl::StrFormat("s%d reaches frame 0x%x at 0x%x with %s, the table has %s", label,
                             page.frame.value(), page.va.value(), base::ProtName(rights),
                             there ? base::ProtName(table.prot) : "nothing");
  }

  machine::Machine* const machine_;
  std::string found_;
  uint64_t looks_ = 0;
  uint64_t pages_ = 0;
};

struct Watched {
  std::string found;
  uint64_t looks = 0;
  uint64_t pages = 0;
};

Watched WatchRun(const Case& drawn) {
  Session session(drawn.run, &drawn.files);
  RightsWatch watch(&session);
  constexpr uint64_t kSteps = 20000;
  watch.UseSchedule(drawn.gen.seed % 2 == 0
                        ? fake_l4::RandomSchedule(drawn.gen.seed)
                        : fake_l4::PctSchedule(drawn.gen.seed, /*depth=*/8, kSteps));
  size_t i = 0;
  while (i < drawn.ops.size() && watch.found().empty() && session.Step(drawn.ops[i].op)) ++i;
  Watched result{watch.found(), watch.looks(), watch.pages()};
  if (!result.found.empty()) {
    absl::StrAppend(&result.found, " (seed ", drawn.gen.seed, ", operation ", i, ": ",
                    traces::FormatResolvedOp(session.last_op()), ")");
  } else if (session.failure() && drawn.run.machine.canary == base::Canary::kNone) {
    result.found = session.failure()->text;
  }
  return result;
}

TEST(RightsPropTest, ClientsReachWhatStandsInTheTableAtEveryStep) {
  constexpr uint64_t kSeeds = 24, kOps = 150;
  Watched sum;
  for (const char* kernel : {"manual", "pistachio-new-mdb", "pistachio-old-mdb"}) {
    for (Adversity adversity : {Adversity::kNone, Adversity::kForgetful}) {
      for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        machine::Machine::Options options;
        options.quirks = *machine::FindQuirks(kernel);
        options.adversity = adversity;
        options.processors = 1 + static_cast<uint32_t>(seed % 2);
        const Watched run = WatchRun(DrawCase(seed, kOps, options));
        ASSERT_EQ(run.found, "") << kernel;
        sum.looks += run.looks;
        sum.pages += run.pages;
      }
    }
  }
  EXPECT_GT(sum.looks, 100000u);
  EXPECT_GT(sum.pages, 500000u);
}

TEST(RightsPropTest, AWatcherSeesBugsPutInOnPurpose) {
  for (base::Canary canary : {base::Canary::kRefillIgnoresRights, base::Canary::kUpdateForgets}) {
    bool seen = false;
    for (uint64_t seed = 1; seed <= 40 && !seen; ++seed) {
      machine::Machine::Options options;
      options.canary = canary;
      Case drawn = DrawCase(seed, 300, options);
      seen = !WatchRun(drawn).found.empty();
    }
    EXPECT_TRUE(seen) << static_cast<int>(canary);
  }
}

}  // namespace
}  // namespace proptests
