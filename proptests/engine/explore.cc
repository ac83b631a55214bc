#include "proptests/engine/explore.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/addr.h"
#include "base/check.h"
#include "base/hash.h"
#include "fake_l4/depth_first.h"
#include "fake_l4/rewind_area.h"
#include "uvm/uvm.h"

namespace proptests {
namespace {

using fake_l4::ExplorationOptions;
using fake_l4::RewindArea;
using traces::OpKind;
using traces::Outcome;

constexpr uint64_t kProgressEvery = 256;
// Of one history, that are compared with the state the machine is in.
constexpr uint64_t kMostOrders = 100;

// A schedule that goes on for longer does not end, and what it decided would fill the area that the
// machine is brought back from long before an operation's own limit.
RunOptions Bounded(const RunOptions& options) {
  RunOptions bounded = options;
  uint64_t& most = bounded.machine.max_switches_per_op;
  most = std::min(most, kMostSwitchesPerSchedule);
  return bounded;
}

// As Session has it.
model::World::Options WorldOptions(const RunOptions& options, machine::Machine* machine) {
  model::World::Options world;
  world.memory_may_run_out = options.MayRunOut();
  world.max_tasks = options.machine.max_tasks;
  for (const machine::SwapSpec& spec : options.machine.swap) {
    world.swap.push_back({.pages = spec.pages, .on = spec.on, .priority = spec.priority});
  }
  world.execute_implied_by_read = options.machine.profile.ExecuteImpliedByRead();
  world.wired_max = machine->uvm().DebugPages().wired_max().value();
  world.wired_by_server = machine->uvm().DebugPages().wired_count().value();
  world.lend_max = machine->uvm().DebugPages().lend_max().value();
  world.shm_max = base::ToBytes(machine->uvm().DebugPages().total()) / 4;
  return world;
}

uint64_t HashOf(const ScheduleResult& result) {
  uint64_t hash = base::Chain(result.decisions.total, result.decisions.hash);
  for (const HistoryOp& op : result.history) {
    hash = base::Chain(hash, uint64_t{op.thread} << 32 | static_cast<uint32_t>(op.outcome.code));
    hash = base::Chain(hash, op.outcome.value);
    hash = base::Chain(hash, op.invoked << 32 | op.responded);
  }
  return hash;
}

// An access is made page by page, and each page is a step of its own.
void AddSteps(const traces::ResolvedOp& op, machine::Part* part) {
  const bool access = op.kind == OpKind::kRead || op.kind == OpKind::kWrite;
  uint64_t done = 0;
  do {
    traces::ResolvedOp step = op;
    step.at = op.at + done;
    if (access) step.size = std::min(op.size - done, base::kPageSize - (step.at & base::kPageMask));
    part->ops.push_back(step);
    part->goes_on.push_back(done != 0);
    done += std::max<uint64_t>(step.size, 1);
  } while (access && done < op.size);
}

std::string CrashRule(const std::string& crash) {
  constexpr char kMark[] = "CHECK failed: ";
  const size_t at = crash.find(kMark);
  return absl::StrCat("NoCheckFails(",
                      at == std::string::npos ? crash : crash.substr(at + sizeof kMark - 1), ")");
}

}  // namespace

// ---- One program ----

ConcurrentSession::ConcurrentSession(const RunOptions& options,
                                     const std::vector<std::string>* files)
    : session_(Bounded(options), files), linearizer_(WorldOptions(options, session_.system())) {}

void ConcurrentSession::NoteRange(uint64_t start, uint64_t size, const traces::ResolvedOp& op) {
  const bool access = op.kind == OpKind::kRead || op.kind == OpKind::kWrite;
  const uint64_t end = start + std::max<uint64_t>(size, 1);
  for (uint64_t at = start; at < end; at = base::TruncPage(at) + base::kPageSize) {
    const uint64_t page = base::TruncPage(at);
    auto span = std::find_if(spans_.begin(), spans_.end(),
                             [&](const Span& known) { return known.page == page; });
    if (span == spans_.end()) span = spans_.insert(span, {page, page, page + 8});
    if (!access) continue;
    span->first = std::min(span->first, at);
    span->end = std::max(span->end, std::min(end, page + base::kPageSize));
  }
}

void ConcurrentSession::NotePages(const traces::ResolvedOp& op) {
  if (!traces::TakesPlace(op.kind)) return;
  NoteRange(op.at, op.size, op);
  if (op.to != 0) NoteRange(op.to, op.size, op);
}

bool ConcurrentSession::Begin(const ConcurrentProgram& program) {
  failure_.reset();
  session_.StartAnew();
  std::vector<HistoryOp> setup;
  for (const traces::Op& op : program.setup) {
    if (!session_.Step(op)) {
      failure_ = session_.session().failure();
      return false;
    }
    if (session_.session().last_was_skipped()) continue;
    HistoryOp done;
    done.op = session_.session().last_op();
    done.outcome = session_.session().last_outcome();
    setup.push_back(done);
  }
  session_.Settle();
  linearizer_.Begin(setup);
  parts_.clear();
  spans_.clear();
  const model::World& world = session_.session().world();
  mach_ = std::any_of(program.setup.begin(), program.setup.end(),
                      [](const traces::Op& op) { return op.kind == OpKind::kTask; });
  for (const std::vector<traces::Op>& thread : program.threads) {
    machine::Part part;
    for (const traces::Op& op : thread) {
      traces::ResolvedOp resolved;
      if (!world.Resolve(op, program.files, &resolved)) continue;
      part.label = resolved.task;
      part.thread = resolved.thread;
      AddSteps(resolved, &part);
      NotePages(resolved);
    }
    if (!part.ops.empty()) parts_.push_back(std::move(part));
  }
  return true;
}

bool ConcurrentSession::Afterwards(machine::Machine* machine, const traces::ResolvedOp& op,
                                   ScheduleResult* result) const {
  HistoryOp done;
  done.thread = static_cast<uint32_t>(parts_.size());
  done.op = op;
  done.outcome = machine->Apply(op);
  if (machine->crash().has_value() || machine->stuck().has_value()) return false;
  const RewindArea::Inside outside(nullptr);
  for (const HistoryOp& before : result->history)
    done.invoked =
        std::max(done.invoked, (before.cut_short ? before.invoked : before.responded) + 1);
  done.responded = done.invoked + 1;
  done.likely_at = HistoryOp::kNever - 1;  // after all others
  result->history.push_back(done);
  return true;
}

// After everything else, each task reads all that anybody may have written to, so that the order
// that is found is one in which memory ended as it is. What a task may not read it is allowed to;
// what it was allowed before, as far as others may change it, is asked for first.
void ConcurrentSession::ReadEverything(machine::Machine* machine, ScheduleResult* result) const {
  for (uint32_t label : machine->live_labels()) {
    for (const Span& span : spans_) {
      traces::ResolvedOp read;
      read.kind = OpKind::kRead;
      read.task = label;
      read.thread = machine->first_thread_of(label);
      read.at = span.first;
      read.size = span.end - span.first;
      // Rights are changed by others, too.
      traces::ResolvedOp region;
      region.kind = OpKind::kVmRegion;
      region.task = label;
      region.thread = read.thread;
      region.at = span.page;
      if (mach_ && !Afterwards(machine, region, result)) return;
      if (!Afterwards(machine, read, result)) return;
      if (result->history.back().outcome.ok()) continue;
      traces::ResolvedOp allow;
      allow.kind = mach_ ? OpKind::kVmProtect : OpKind::kMprotect;
      allow.task = label;
      allow.thread = read.thread;
      allow.at = span.page;
      allow.size = base::kPageSize;
      allow.prot = base::kProtRead;
      if (!Afterwards(machine, allow, result) || !Afterwards(machine, read, result)) return;
    }
  }
}

void ConcurrentSession::Perform(const MakeStrategy& make, ScheduleResult* result) {
  session_.Do([&](Session* session) {
    machine::Machine* machine = session->system();
    std::unique_ptr<fake_l4::ExploringStrategy> made = make();
    const fake_l4::ExploringStrategy* strategy = made.get();
    machine->Explore(std::move(made));
    const std::vector<machine::Performed> all = machine->ApplyTogether(parts_);
    {
      // What outlives the machine's next state.
      const RewindArea::Inside outside(nullptr);
      for (const machine::Performed& performed : all) {
        result->history.push_back(
            {performed.part, parts_[performed.part].ops[performed.index], performed.outcome,
             performed.invoked, performed.cut_short ? HistoryOp::kNever : performed.responded,
             performed.cut_short ? HistoryOp::kNever : performed.likely_at, performed.cut_short});
      }
      result->decisions = strategy->decisions();
      result->steps = strategy->steps();
      if (machine->crash().has_value()) {
        const std::string text = *machine->crash();
        result->failure = Failure{{FailureClass::kCrash, CrashRule(text)}, text, 0};
      } else if (machine->stuck().has_value()) {
        result->failure =
            Failure{{FailureClass::kLiveness, "EveryOperationEnds"}, *machine->stuck(), 0};
      }
    }
    if (result->failure) return;
    machine->StopExploring();
    ReadEverything(machine, result);
    const RewindArea::Inside outside(nullptr);
    if (machine->crash().has_value())
      result->failure =
          Failure{{FailureClass::kCrash, CrashRule(*machine->crash())}, *machine->crash(), 0};
    if (machine->stuck().has_value())
      result->failure =
          Failure{{FailureClass::kLiveness, "EveryOperationEnds"}, *machine->stuck(), 0};
  });
}

// As nearly all do: then nobody has to search. REQUIRES: the session's model is at the beginning of
// the history, its machine at the end. They are anywhere after a "false".
bool ConcurrentSession::AgreesInLikelyOrder(const ScheduleResult& result) {
  return session_.Do([&](Session* session) {
    std::string why;
    const auto try_next = [&](const HistoryOp& next) {
      traces::Outcome seen = next.outcome;
      if (next.cut_short) {
        seen = session->world().Expect(next.op).Canonical();
        if (seen.family == traces::Outcome::Family::kNone) return false;
      }
      return session->TryObserve(next.op, seen, &why);
    };
    return InLikelyOrder(result.history, try_next) &&
           session->Check(StateRelation::Depth::kSampled);
  });
}

// To where the machine was after these decisions, and the model before them.
void ConcurrentSession::PerformAgain(const fake_l4::DecisionList& decisions) {
  ScheduleResult again;
  session_.RewindToStart();
  Perform(
      [&] { return std::make_unique<fake_l4::ReplaySchedule>(ExplorationOptions(), decisions); },
      &again);
}

void ConcurrentSession::Judge(ScheduleResult* result) {
  result->atomicity = Atomicity::kWhole;
  const std::optional<Verdict> known = linearizer_.Known(result->history);
  if (!known && AgreesInLikelyOrder(*result)) return;
  const Verdict verdict = known ? *known : linearizer_.Check(result->history);
  result->atomicity = verdict.atomicity;
  if (verdict.atomicity == Atomicity::kNone) {
    const bool cut = !verdict.group.empty();
    const Linearization& broken = cut ? verdict.of_group : verdict.whole;
    result->group = verdict.group;
    std::string where;
    for (uint64_t page : verdict.group)
      absl::StrAppend(&where, absl::StrFormat("page 0x%x, ", page));
    result->failure =
        Failure{{FailureClass::kOutcome, "HistoryIsLinearizable"},
                absl::StrCat(where, "no order of the operations explains what was seen. After ",
                             broken.longest.size(), " of ",
                             cut ? verdict.group_ops.size() : result->history.size(),
                             " at most, none of the next can be:\n", broken.why),
                0};
    return;
  }
  if (verdict.atomicity != Atomicity::kWhole) return;
  if (!known) PerformAgain(result->decisions);
  if (Agrees(*result, verdict.whole.order)) return;
  const Failure failure = *session_.session().failure();
  // What nobody could see may decide between orders: any will do that ends in this state.
  uint64_t tries = 0;
  const Linearization other =
      linearizer_.CheckWhole(result->history, [&](const std::vector<uint32_t>& order) {
        if (++tries > kMostOrders) return true;
        PerformAgain(result->decisions);
        return Agrees(*result, order);
      });
  const bool in_doubt = other.gave_up || linearizer_.MovesOverlap(result->history);
  if (!other.found && in_doubt) {
    result->atomicity = Atomicity::kUnjudged;
    return;
  }
  if (!other.found || tries > kMostOrders) result->failure = failure;
}

// Whether the whole state agrees with the model when it follows the order.
bool ConcurrentSession::Agrees(const ScheduleResult& result, const std::vector<uint32_t>& order) {
  return session_.Do([&](Session* session) {
    for (uint32_t i : order) {
      const HistoryOp& done = result.history[i];
      const traces::Outcome seen =
          done.cut_short ? session->world().Expect(done.op).Canonical() : done.outcome;
      if (!session->Observe(done.op, seen)) return false;
    }
    return session->Check(StateRelation::Depth::kSampled);
  });
}

ScheduleResult ConcurrentSession::Run(const MakeStrategy& make) {
  ScheduleResult result;
  session_.RewindToStart();
  Perform(make, &result);
  if (!result.failure) Judge(&result);
  return result;
}

// ---- Many ----

namespace {

// The schedules of one program, one after the other.
class Schedules {
 public:
  Schedules(const ExploreOptions& options, uint64_t program)
      : options_(options), seed_(base::Chain(options.draw.seed, program)) {
    if (options.kind != ScheduleKind::kDepthFirst) return;
    fake_l4::DepthFirstExplorer::Options depth_first;
    depth_first.max_preemptions = options.depth;
    all_ = std::make_unique<fake_l4::DepthFirstExplorer>(depth_first);
  }

  // For ConcurrentSession::Run; null after the last of all.
  std::unique_ptr<fake_l4::ExploringStrategy> Make() {
    ExplorationOptions exploration;
    exploration.seed = base::Chain(seed_, ++number_);
    switch (options_.kind) {
      case ScheduleKind::kRandom:
        return std::make_unique<fake_l4::RandomWalk>(exploration);
      case ScheduleKind::kPct:
        return std::make_unique<fake_l4::Pct>(exploration, options_.depth, Steps());
      case ScheduleKind::kUniform:
        if (steps_.empty()) return std::make_unique<fake_l4::RandomWalk>(exploration);
        return std::make_unique<fake_l4::UniformWalk>(exploration, steps_);
      case ScheduleKind::kDepthFirst:
        return all_->Next();
    }
    UNREACHABLE("no such kind of schedule");
  }

  // The first run is the trial that later ones go by.
  void Ran(const ScheduleResult& result) {
    if (steps_.empty()) steps_ = result.steps;
  }

 private:
  uint64_t Steps() const {
    constexpr uint64_t kGuess = 400;
    uint64_t sum = 0;
    for (const auto& [thread, count] : steps_) sum += count;
    return sum == 0 ? kGuess : sum;
  }

  const ExploreOptions& options_;
  const uint64_t seed_;
  uint64_t number_ = 0;
  fake_l4::StepCounts steps_;
  std::unique_ptr<fake_l4::DepthFirstExplorer> all_;
};

// One program under at most `most` schedules; false when one failed.
class Explorer {
 public:
  Explorer(const ExploreOptions& options, const std::vector<std::string>* files)
      : options_(options), session_(options.run, files) {}

  bool RunProgram(const ConcurrentProgram& program, uint64_t index, uint64_t most,
                  ExploreResult* result) {
    ++result->programs;
    if (!session_.Begin(program)) {
      result->failed.emplace();
      result->failed->failure = session_.failure();
      result->program = program;
      return false;
    }
    if (options_.schedule) return RunListed(program, result);
    Schedules schedules(options_, index);
    absl::flat_hash_set<uint64_t> met;
    for (uint64_t i = 0; i < most; ++i) {
      bool made = true;
      ScheduleResult one = session_.Run([&] {
        auto strategy = schedules.Make();
        made = strategy != nullptr;
        return made ? std::move(strategy)
                    : std::make_unique<fake_l4::RandomWalk>(ExplorationOptions());
      });
      if (!made) {
        ++result->complete;
        break;
      }
      schedules.Ran(one);
      met.insert(base::Chain(one.decisions.total, one.decisions.hash));
      if (!Count(program, std::move(one), result)) break;
    }
    result->distinct += met.size();
    result->pages_stored_to = session_.pages_stored_to();
    return !result->failed;
  }

  ConcurrentSession* session() { return &session_; }

 private:
  bool RunListed(const ConcurrentProgram& program, ExploreResult* result) {
    return Count(program, session_.Run([&] {
      return std::make_unique<fake_l4::ReplaySchedule>(ExplorationOptions(), *options_.schedule);
    }),
                 result);
  }

  bool Count(const ConcurrentProgram& program, ScheduleResult one, ExploreResult* result) {
    result->hash = base::Chain(result->hash, HashOf(one));
    result->ops += one.history.size();
    result->decisions += one.decisions.total;
    result->page_by_page += one.atomicity == Atomicity::kPageByPage ? 1 : 0;
    result->unjudged += one.atomicity == Atomicity::kUnjudged ? 1 : 0;
    if (++result->schedules % kProgressEvery == 0 && options_.progress)
      options_.progress(result->schedules);
    if (!one.failure) return true;
    result->failed = std::move(one);
    result->program = program;
    return false;
  }

  const ExploreOptions& options_;
  ConcurrentSession session_;
};

}  // namespace

ExploreResult Explore(const ExploreOptions& options) {
  ExploreResult result;
  const ConcurrentProgram first = options.program ? *options.program : DrawProgram(options.draw);
  Explorer explorer(options, &first.files);
  if (options.program) {
    explorer.RunProgram(first, options.draw.index, options.schedules, &result);
    return result;
  }
  DrawOptions draw = options.draw;
  while (result.schedules < options.schedules) {
    const uint64_t left = options.schedules - result.schedules;
    if (!explorer.RunProgram(DrawProgram(draw), draw.index, std::min(left, options.per_program),
                             &result)) {
      break;
    }
    ++draw.index;
  }
  return result;
}

// ---- Making it small ----

namespace {

class Shrinking {
 public:
  Shrinking(const ExploreOptions& options, const ExploreResult& found)
      : print_(found.failed->failure->print), session_(options.run, &found.program.files) {
    small_.program = found.program;
    small_.result = *found.failed;
  }

  SmallExploration Run() {
    while (DropOperations()) {
    }
    DropDecisions();
    return std::move(small_);
  }

 private:
  static constexpr uint64_t kExecutions = 200'000;
  static constexpr uint64_t kTries = 400;  // schedules for a program with less in it

  bool Try(const ConcurrentSession::MakeStrategy& make, const ConcurrentProgram& program) {
    ++small_.executions;
    ScheduleResult result = session_.Run(make);
    if (!result.failure || !(result.failure->print == print_)) return false;
    small_.result = std::move(result);
    small_.program = program;
    return true;
  }

  // Whether the program fails alike under the schedule that is known, or one of many.
  bool Fails(const ConcurrentProgram& program) {
    if (small_.executions > kExecutions) return false;
    if (!session_.Begin(program)) return session_.failure()->print == print_;
    const fake_l4::DecisionList list = small_.result.decisions;
    if (Try([&] { return std::make_unique<fake_l4::ReplaySchedule>(ExplorationOptions(), list); },
            program)) {
      return true;
    }
    for (uint64_t i = 0; i < kTries; ++i) {
      ExplorationOptions exploration;
      exploration.seed = i;
      constexpr uint32_t kDepth = 3;
      constexpr uint64_t kSteps = 200;
      const bool failed = Try(
          [&]() -> std::unique_ptr<fake_l4::ExploringStrategy> {
            if (i % 2 == 0) return std::make_unique<fake_l4::RandomWalk>(exploration);
            return std::make_unique<fake_l4::Pct>(exploration, kDepth, kSteps);
          },
          program);
      if (failed) return true;
    }
    return false;
  }

  // The program without operations [first, first + count) of all, the setup's first.
  static ConcurrentProgram Without(const ConcurrentProgram& program, size_t first, size_t count) {
    ConcurrentProgram less;
    less.files = program.files;
    size_t at = 0;
    const auto keep = [&](const std::vector<traces::Op>& ops) {
      std::vector<traces::Op> kept;
      for (const traces::Op& op : ops) {
        if (at < first || at >= first + count) kept.push_back(op);
        ++at;
      }
      return kept;
    };
    less.setup = keep(program.setup);
    for (const std::vector<traces::Op>& thread : program.threads) {
      std::vector<traces::Op> kept = keep(thread);
      if (!kept.empty()) less.threads.push_back(std::move(kept));
    }
    return less;
  }

  // One pass from halves to single operations. True when anything went.
  bool DropOperations() {
    const size_t before = small_.program.size();
    for (size_t chunk = before / 2; chunk > 0; chunk /= 2) {
      // From the end: what later operations need stands before them.
      for (size_t at = small_.program.size(); at > 0;) {
        at = at > chunk ? at - chunk : 0;
        Fails(Without(small_.program, at, chunk));
        at = std::min(at, small_.program.size());
      }
    }
    return small_.program.size() < before;
  }

  // Fewest decisions that differ from the default schedule's.
  void DropDecisions() {
    if (!session_.Begin(small_.program)) return;
    for (size_t chunk = small_.result.decisions.deviations.size(); chunk > 0; chunk /= 2) {
      for (size_t at = small_.result.decisions.deviations.size(); at > 0;) {
        at = at > chunk ? at - chunk : 0;
        fake_l4::DecisionList list = small_.result.decisions;
        const size_t end = std::min(at + chunk, list.deviations.size());
        list.deviations.erase(list.deviations.begin() + static_cast<std::ptrdiff_t>(at),
                              list.deviations.begin() + static_cast<std::ptrdiff_t>(end));
        const size_t had = small_.result.decisions.deviations.size();
        const ConcurrentProgram program = small_.program;
        const ScheduleResult kept = small_.result;
        Try([&] { return std::make_unique<fake_l4::ReplaySchedule>(ExplorationOptions(), list); },
            program);
        // A shorter list may lead to a longer one.
        if (small_.result.decisions.deviations.size() >= had) small_.result = kept;
        at = std::min(at, small_.result.decisions.deviations.size());
      }
    }
  }

  const Fingerprint print_;
  ConcurrentSession session_;
  SmallExploration small_;
};

}  // namespace

SmallExploration ShrinkExploration(const ExploreOptions& options, const ExploreResult& found) {
  return Shrinking(options, found).Run();
}

}  // namespace proptests
