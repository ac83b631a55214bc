// Laws about whole runs. RapidCheck draws the case (seed, size of the world, length, which
// operations to leave out); the engine draws the operations, compares, and shrinks what fails.

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "base/prng.h"
#include "machine/machine.h"
#include "proptests/engine/generator.h"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"
#include "traces/codec.h"

namespace proptests {
namespace {

struct Case {
  GenOptions gen;
  RunOptions run;
  std::vector<TestOp> ops;
  std::vector<std::string> files;
};

// Small worlds, so that operations meet; everything is looked at after every operation.
Case DrawCase(uint64_t most_ops) {
  Case drawn;
  drawn.gen.seed = *rc::gen::noShrink(rc::gen::arbitrary<uint32_t>());
  drawn.gen.tasks = *rc::gen::inRange<uint32_t>(1, 6);
  drawn.gen.pages = *rc::gen::inRange<uint32_t>(2, 24);
  drawn.gen.swarm = DrawSwarm(drawn.gen.seed, 0);
  drawn.run.whole_every = 1;
  drawn.run.max_live_tasks = drawn.gen.tasks;
  drawn.run.machine.ram_bytes = uint64_t{8} << 20;
  drawn.run.machine.seed = drawn.gen.seed;
  Generator generator(drawn.gen);
  drawn.files = generator.files();
  uint64_t count = *rc::gen::inRange<uint64_t>(1, most_ops);
  for (const traces::Op& op : DrawOps(generator, count)) drawn.ops.push_back({op, std::nullopt});
  return drawn;
}

// Fails the property with the shrunk run as its text.
void RequirePass(const Case& tried, const RunResult& result) {
  if (!result.failure) return;
  ShrinkOutcome shrunk = ShrinkRun(tried.ops, tried.files, tried.run, *result.failure);
  FailureReport report{shrunk.shrunk.failure,
                       shrunk.shrunk.smallest.ops,
                       shrunk.outcomes,
                       tried.files,
                       "seed " + std::to_string(tried.gen.seed),
                       "save this text as x.trace; ./vmsim replay x.trace"};
  RC_FAIL(traces::FormatTrace(FailureTrace(report, "x.trace")));
}

RC_GTEST_PROP(AgreementPropTest, EveryRunAgreesWithTheModel, ()) {
  Case drawn = DrawCase(400);
  drawn.run.machine.adversity = *rc::gen::element(
      machine::Adversity::kNone, machine::Adversity::kForgetful, machine::Adversity::kRefusing);
  RunResult result = RunOps(drawn.ops, drawn.files, drawn.run);
  RequirePass(drawn, result);
  RC_CLASSIFY(result.stats.by_kind[static_cast<size_t>(traces::OpKind::kFork)] > 0, "forks");
}

RC_GTEST_PROP(AgreementPropTest, EverySubsequenceIsARun, ()) {
  Case drawn = DrawCase(300);
  std::vector<TestOp> kept;
  uint64_t keep_of_ten = *rc::gen::inRange<uint64_t>(1, 10);
  base::Prng prng(drawn.gen.seed, "subsequence");
  for (const TestOp& test : drawn.ops) {
    if (prng.Chance(keep_of_ten, 10)) kept.push_back(test);
  }
  drawn.ops = kept;
  RunResult result = RunOps(drawn.ops, drawn.files, drawn.run);
  RequirePass(drawn, result);
  RC_ASSERT(result.stats.ops + result.stats.skipped == kept.size());
}

RC_GTEST_PROP(AgreementPropTest, SameSeedSameHash, ()) {
  Case drawn = DrawCase(300);
  RunResult first = RunOps(drawn.ops, drawn.files, drawn.run);
  RunResult second = RunOps(drawn.ops, drawn.files, drawn.run);
  RC_ASSERT(first.hash == second.hash);
  RC_ASSERT(first.ledger == second.ledger);
  // Looking less often changes nothing either.
  drawn.run.whole_every = 0;
  RunResult unwatched = RunOps(drawn.ops, drawn.files, drawn.run);
  RC_ASSERT(first.hash == unwatched.hash);
  RC_ASSERT(first.ledger == unwatched.ledger);
}

// What a program sees depends neither on the processor's status bits nor on how its kernel departs
// from the manual.
RC_GTEST_PROP(AgreementPropTest, KernelAndHardwareMakeNoDifference, ()) {
  Case drawn = DrawCase(300);
  const std::string kernel = *rc::gen::elementOf(machine::QuirkNames());
  const std::string hardware = *rc::gen::elementOf(machine::ProfileNames());
  RunResult plain = RunOps(drawn.ops, drawn.files, drawn.run);
  RequirePass(drawn, plain);
  drawn.run.machine.quirks = *machine::FindQuirks(kernel);
  drawn.run.machine.profile = *machine::FindProfile(hardware);
  RunResult other = RunOps(drawn.ops, drawn.files, drawn.run);
  RequirePass(drawn, other);
  RC_TAG(kernel);
  RC_ASSERT(other.hash == plain.hash);
}

// Accesses and calls that move bytes are done up to the failing page, linux_dontneed up to the
// hole. What cannot be locked has its pages all the same, up to the one that is not there. mlockall
// asks for what comes before it tries what is there, and does not take that back.
bool LeavesNoTraceWhenFailing(const traces::Op& op) {
  const traces::OpKind kind = op.kind;
  switch (kind) {
    case traces::OpKind::kMlockall:
      return (op.flags & traces::kFlagFuture) == 0;
    case traces::OpKind::kLinuxDontneed:
    case traces::OpKind::kPread:
    case traces::OpKind::kPwrite:
    case traces::OpKind::kPeek:
    case traces::OpKind::kPoke:
    case traces::OpKind::kReceive:
      return false;
    default:
      return traces::FamilyOf(kind) != traces::Outcome::Family::kFault;
  }
}

RC_GTEST_PROP(AgreementPropTest, FailedOpsLeaveNoTrace, ()) {
  Case drawn = DrawCase(300);
  std::vector<TestOp> executed;
  std::vector<traces::Outcome> outcomes;
  RequirePass(drawn, RunOps(drawn.ops, drawn.files, drawn.run, &executed, &outcomes));
  Session with(drawn.run, &drawn.files);
  Session without(drawn.run, &drawn.files);
  for (size_t i = 0; i < executed.size(); ++i) {
    const bool harmless = !outcomes[i].ok() && LeavesNoTraceWhenFailing(executed[i].op);
    const uint64_t before = harmless ? with.world().StateHash() : 0;
    RC_ASSERT(with.Step(executed[i].op));
    if (harmless) {
      if (with.world().StateHash() == before) continue;
      RC_FAIL(traces::FormatOp(executed[i].op, drawn.files) + " failed and changed something");
    }
    RC_ASSERT(without.Step(executed[i].op));
    RC_ASSERT(without.last_outcome() == outcomes[i]);
  }
  RC_ASSERT(with.world().StateHash() == without.world().StateHash());
  RC_ASSERT(with.Finish() && without.Finish());
}

}  // namespace
}  // namespace proptests
