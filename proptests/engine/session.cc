#include "proptests/engine/session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/addr.h"
#include "base/hash.h"
#include "proptests/engine/cost_budget.h"
#include "traces/codec.h"
#include "uvm/pdaemon.h"

namespace proptests {
namespace {

using traces::OpKind;
using traces::Outcome;

bool IsBirth(OpKind kind) {
  return kind == OpKind::kSpace || kind == OpKind::kTask || kind == OpKind::kTask32 ||
         kind == OpKind::kFork || kind == OpKind::kTaskCreate;
}

bool IsDeath(OpKind kind) { return kind == OpKind::kExit || kind == OpKind::kTaskTerminate; }

bool IsAccess(OpKind kind) {
  return kind == OpKind::kRead || kind == OpKind::kWrite || kind == OpKind::kFetch;
}

// Slots, or pages: with so many of both none is refused a frame.
constexpr uint64_t kPlenty = 64;
// The documented minimum of frames that are neither wired nor lent (docs/internals/pdaemon.md).
constexpr uint64_t kFewestMovable = 16;

// The pages that an operation may have changed, cut to the bounds of user space.
base::Range TouchedRange(const traces::ResolvedOp& op, const Outcome& seen) {
  const bool placed = op.kind == OpKind::kMmap || op.kind == OpKind::kVmAllocate ||
                      op.kind == OpKind::kVmMap || op.kind == OpKind::kMremap ||
                      op.kind == OpKind::kVmRead || op.kind == OpKind::kShmat;
  const bool at_to = op.kind == OpKind::kVmCopy || op.kind == OpKind::kPeek;
  uint64_t at = placed ? seen.value : at_to ? op.to : op.at;
  uint64_t size = op.kind == OpKind::kMremap ? op.new_size : op.size;
  if (traces::NamesMemory(op.kind)) return {};
  if (op.kind == OpKind::kFetch || op.kind == OpKind::kShmat || op.kind == OpKind::kShmdt) size = 1;
  if (at > traces::kDefaultMapMax) at = traces::kDefaultMapMax;
  if (size > traces::kDefaultMapMax - at) size = traces::kDefaultMapMax - at;
  return {base::Vaddr(base::TruncPage(at)), base::Vaddr(base::RoundPage(at + size))};
}

uint64_t OutcomeHash(uint64_t hash, const Outcome& outcome) {
  hash = base::Chain(
      hash, static_cast<uint64_t>(outcome.family) << 32 | static_cast<uint32_t>(outcome.code));
  hash = base::Chain(hash, outcome.value);
  if (outcome.size == 0) return hash;
  hash = base::Chain(hash, outcome.size);
  const traces::RegionInfo& region = outcome.region;
  return base::Chain(hash, uint64_t{region.prot.bits()} | uint64_t{region.max_prot.bits()} << 8 |
                               static_cast<uint64_t>(region.inherit) << 16 |
                               uint64_t{region.shared} << 24);
}

// "uvm/amap.cc:71: CHECK failed: refs > 0" -> "NoCheckFails(refs > 0)": line numbers move,
// conditions stay.
std::string CrashRule(const std::string& crash) {
  constexpr absl::string_view kMark = "CHECK failed: ";
  size_t at = crash.find(kMark.data(), 0, kMark.size());
  return absl::StrCat("NoCheckFails(",
                      at == std::string::npos ? crash : crash.substr(at + kMark.size()), ")");
}

std::string KindRule(const char* rule, OpKind kind) {
  return absl::StrCat(rule, "(", traces::OpName(kind), ")");
}

}  // namespace

void RunStats::Add(const RunStats& other) {
  ops += other.ops;
  skipped += other.skipped;
  for (size_t i = 0; i < by_kind.size(); ++i) by_kind[i] += other.by_kind[i];
  ok += other.ok;
  trace_outcomes += other.trace_outcomes;
  uvm_outcomes += other.uvm_outcomes;
  bytes += other.bytes;
  whole_checks += other.whole_checks;
  lost_calls += other.lost_calls;
  lost_tasks += other.lost_tasks;
  followed += other.followed;
  ended += other.ended;
  for (size_t i = 0; i < probes.size(); ++i) probes[i] += other.probes[i];
  for (size_t i = 0; i < fault_cases.size(); ++i) fault_cases[i] += other.fault_cases[i];
  AddPairs(other.pairs, &pairs);
}

Session::Session(const RunOptions& options, const std::vector<std::string>* files)
    : options_(options), files_(files) {
  if (options.count_pairs) pairs_ = std::make_unique<OpPairs>();
  model::World::Options world;
  world.memory_may_run_out = options.MayRunOut();
  world.max_tasks = options.machine.max_tasks;
  for (const machine::SwapSpec& spec : options.machine.swap) {
    world.swap.push_back({.pages = spec.pages, .on = spec.on, .priority = spec.priority});
  }
  // Where the hardware cannot refuse a fetch from a readable page, it succeeds.
  world.execute_implied_by_read = options.machine.profile.ExecuteImpliedByRead();
  if (options.lanes.Has(Lane::kUvm)) {
    machine_ = std::make_unique<machine::Machine>(options.machine);
    machine_->uvm().probes().CountFaults();
    const model::World::Limits limits = MemoryLimits();
    world.wired_max = limits.wired_max;
    world.wired_by_server = machine_->uvm().DebugPages().wired_count().value();
    world.lend_max = limits.lend_max;
    world.shm_max = limits.shm_max;
  }
  world_ = std::make_unique<model::World>(world);
  if (!options.lanes.Has(Lane::kUvm)) return;
  relation_.emplace(world_.get(), machine_.get());
}

model::World::Limits Session::MemoryLimits() const {
  const uvm::PageStore& pages = machine_->uvm().DebugPages();
  return {.wired_max = pages.wired_max().value(),
          .lend_max = pages.lend_max().value(),
          .shm_max = base::ToBytes(pages.total()) / 4};
}

bool Session::WithinLimits(const traces::Op& op) const {
  if (options_.max_live_tasks == 0) return true;
  if (IsBirth(op.kind)) return world_->LiveTasks().size() < options_.max_live_tasks;
  if (IsDeath(op.kind)) return world_->LiveTasks().size() > 1;
  return true;
}

bool Session::Step(const traces::Op& op, const Outcome* expected) {
  if (failure_ || ended_) return false;
  applied_ = false;
  skipped_ = !WithinLimits(op) || !world_->Resolve(op, *files_, &resolved_);
  bool compare = expected != nullptr && options_.lanes.Has(Lane::kModel);
  if (skipped_) {
    ++stats_.skipped;
    bool wanted = compare && expected->family != Outcome::Family::kNone;
    if (wanted) {
      // Not TraceAgrees: shrinking a wrong outcome must not end at a task that was left out.
      return Fail(FailureClass::kOutcome, KindRule("TraceNames", op.kind),
                  absl::StrCat(traces::FormatOp(op, *files_), ": the trace expects ",
                               traces::FormatOutcome(op.kind, *expected),
                               ", but the operation names nothing there is"));
    }
    ++index_;
    return true;
  }
  ++stats_.ops;
  ++stats_.by_kind[static_cast<size_t>(op.kind)];
  if (machine_ != nullptr && machine_->MeetEvent(resolved_)) world_->MemoryChanged(MemoryLimits());
  model::Expectation right = world_->Expect(resolved_);
  seen_ = right.Canonical();
  // What a trace says of an operation that lost something is none.
  const bool lost = options_.machine.losses == machine::Losses::kAreReported && compare &&
                    expected->family == Outcome::Family::kNone;
  if (compare && !lost && !CompareWithTrace(right, *expected)) return false;
  if (machine_ != nullptr && !ApplyToSystem(&right)) return false;
  if (machine_ != nullptr && machine_->loss() != machine::Loss::kNothing) return FollowLoss();
  if (!followed_) world_->Adopt(std::move(right), resolved_, seen_);
  stats_.ok += seen_.ok() ? 1 : 0;
  if (pairs_ != nullptr) pairs_->Note(resolved_, seen_);
  ExtendHash();
  if (machine_ != nullptr && !(CheckCost() && CheckTouched())) return false;
  if (options_.whole_every != 0 && stats_.ops % options_.whole_every == 0 &&
      !CheckWhole(StateRelation::Depth::kSampled)) {
    return false;
  }
  ++index_;
  return true;
}

bool Session::CompareWithTrace(const model::Expectation& right, const Outcome& expected) {
  ++stats_.trace_outcomes;
  std::string why;
  if (!right.Accepts(expected, &why)) {
    return Fail(
        FailureClass::kOutcome, KindRule("TraceAgrees", resolved_.kind),
        absl::StrCat(traces::FormatResolvedOp(resolved_), ": the trace expects ",
                     traces::FormatOutcome(resolved_.kind, expected), "; the model: ", why));
  }
  seen_ = expected;
  return true;
}

// Before that, a machine that says so is wrong.
void Session::NoticeFullMemory(model::Expectation* right) {
  const uvm::Counters& counters = machine_->uvm().counters();
  if (counters.frames_peak < machine_->uvm().DebugPages().total().value()) return;
  full_ = true;
  world_->MemoryRanOut();
  *right = world_->Expect(resolved_);
}

bool Session::ApplyToSystem(model::Expectation* right) {
  unread_ = machine_->uvm().counters().swap_in_errors;
  Outcome seen = machine_->Apply(resolved_);
  applied_ = true;
  followed_ = false;
  if (options_.shortage_when_full && !full_) NoticeFullMemory(right);
  if (std::optional<std::string> crash = machine_->crash(); crash.has_value()) {
    return Fail(FailureClass::kCrash, CrashRule(*crash),
                absl::StrCat(traces::FormatResolvedOp(resolved_), ": ", *crash));
  }
  if (machine_->stuck().has_value()) {
    return Fail(FailureClass::kLiveness, "EveryOperationEnds",
                absl::StrCat(traces::FormatResolvedOp(resolved_), ": ", *machine_->stuck()));
  }
  if (machine_->loss() != machine::Loss::kNothing) {
    seen_ = {};
    return true;
  }
  ++stats_.uvm_outcomes;
  const machine::SwapSet& swap = machine_->swap_set();
  if (swap.pages_spoilt() + swap.reads_refused() != 0 && !NoticeLosses(right)) return false;
  std::string why;
  bool right_outcome = right->Accepts(seen, &why);
  if (!FollowPageLoss(right, &right_outcome, seen)) return false;
  if (!right_outcome && !followed_) {
    bool bytes = resolved_.kind == OpKind::kRead && seen.ok() && right->Canonical().ok();
    return Fail(bytes ? FailureClass::kContents : FailureClass::kOutcome,
                bytes ? "ContentsAgree" : KindRule("OutcomesAgree", resolved_.kind),
                absl::StrCat(traces::FormatResolvedOp(resolved_), ": ", why));
  }
  if (machine_->swap_set().count() != 0 && !followed_ && !ShortageIsRight(*right, seen))
    return false;
  seen_ = seen;
  return true;
}

// From the first page on that swap did not give back the model asks which ones are lost.
bool Session::NoticeLosses(model::Expectation* right) {
  if (!losses_) {
    losses_ = true;
    world_->SetLost([this](uint32_t task, uint64_t va) {
      return relation_->IsLost(task, base::Vaddr(va)) ||
             (applied_ && relation_->WasRefused(task, base::Vaddr(va)));
    });
  }
  *right = world_->Expect(resolved_);
  return FailWith(relation_->LossesHaveCauses());
}

bool Session::MetALoss(const Outcome& seen) const {
  if (!losses_ || seen.family == Outcome::Family::kFault) return false;
  if (!machine_->swap_set().refused().empty()) return true;
  // Copies that a call makes for itself lie on swap, too, and go when it fails.
  if (machine_->uvm().counters().swap_in_errors != unread_) return true;
  // What is new is wired at once, and gone again if that fails.
  const bool maps = resolved_.kind == OpKind::kMmap || resolved_.kind == OpKind::kShmat;
  if (maps && relation_->AnyObjectHasLost()) return true;
  return relation_->AnyLost(traces::ActsOn(resolved_)) || relation_->AnyLost(resolved_.task);
}

// A call that needed a lost page may have done part of its work. The model goes as far as it came;
// where nobody can say how far that was (World::AdoptLoss) the case ends.
bool Session::FollowPageLoss(model::Expectation* right, bool* is_right, const Outcome& seen) {
  if ((*is_right && seen.ok()) || !MetALoss(seen)) return true;
  if (right->IsPlainError(seen)) return true;
  if (seen.ok()) {
    // What it needed it had, and lost afterwards.
    *right = world_->ExpectWithoutLosses(resolved_);
    *is_right = right->Accepts(seen);
    return true;
  }
  const auto agrees = [this](uint32_t task, base::Range pages) {
    return !relation_->CheckPages(task, pages) && relation_->KnowsCopies(task, pages);
  };
  // Of a write of a file nobody could look how far it came; a read of one's own memory may go over
  // what it has yet to read. The pages that are lost tell.
  const bool tells = resolved_.kind == OpKind::kPwrite || resolved_.kind == OpKind::kPeek;
  const bool known = *is_right && tells;
  followed_ = !known && world_->AdoptLoss(resolved_, seen, agrees);
  ended_ = !known && !followed_ && !right->MovesBytes();
  stats_.followed += known || followed_ ? 1 : 0;
  stats_.ended += ended_ ? 1 : 0;
  return !ended_;
}

// Memory runs out only where none can be reclaimed: no slot of swap is free, or no page may go.
bool Session::ShortageIsRight(const model::Expectation& right, const Outcome& seen) {
  const uvm::DaemonCounters& daemon = machine_->uvm().pagedaemon().counters();
  const uint64_t refusals = daemon.out_of_memory + machine_->adverse_pmap().refused();
  const bool refused = refusals != refusals_;
  refusals_ = refusals;
  if (!right.OnlyByShortage(seen)) return true;
  // Nearly all frames are wired or lent: pages that are needed together do not find room together,
  // though each of them could come in.
  const uvm::PageStore& pages = machine_->uvm().DebugPages();
  const uint64_t movable =
      (pages.free_count() + pages.active_count() + pages.inactive_count()).value();
  if (movable < kFewestMovable) return true;
  // Without room on swap only pages of files can go, so what is needed together may not fit.
  const uvm::SwapStore& swap = machine_->uvm().swap();
  if (swap.available() < swap.in_use() + base::PageCount(kPlenty)) return true;
  const bool disturbed = machine_->ledger().faults_injected != spent_.faults_injected;
  if (disturbed) return true;
  if (!refused) {
    return Fail(FailureClass::kOutcome, KindRule("ShortageHasACause", resolved_.kind),
                absl::StrCat(traces::FormatResolvedOp(resolved_), ": ",
                             traces::FormatOutcome(resolved_.kind, seen),
                             ", but nobody was refused a frame"));
  }
  // By the pmap perhaps, which asks nobody how much there is.
  if (options_.machine.adversity == machine::Adversity::kRefusing) return true;
  if (daemon.refused_slots < kPlenty || daemon.refused_pageable < kPlenty) return true;
  return Fail(FailureClass::kOutcome, KindRule("NoShortageWhileSwapHasRoom", resolved_.kind),
              absl::StrCat(traces::FormatResolvedOp(resolved_), ": ",
                           traces::FormatOutcome(resolved_.kind, seen), ", but there were ",
                           daemon.refused_slots, " free slots of swap, and ",
                           daemon.refused_pageable, " pages that might have gone there"));
}

// What the operation could not do is known, and the rest of the world is as it was.
bool Session::FollowLoss() {
  ExtendHash();
  if (machine_->loss() == machine::Loss::kTask) {
    if (!FollowTaskLoss()) return false;
    ++stats_.lost_tasks;
  } else {
    ++stats_.lost_calls;
  }
  if (!CheckWhole(StateRelation::Depth::kSampled)) return false;
  spent_ = machine_->ledger();
  ++index_;
  return true;
}

// Pages are accessed one after the other: those before the one that hangs were.
bool Session::FollowTaskLoss() {
  traces::ResolvedOp part = resolved_;
  part.size = machine_->bytes_before_loss();
  if (part.size != 0) {
    Outcome done;
    done.family = Outcome::Family::kFault;
    if (part.kind == OpKind::kRead) {
      done.value = traces::ReadValue(machine_->last_read_bytes().data(), part.size);
    }
    model::Expectation right = world_->Expect(part);
    std::string why;
    if (!right.Accepts(done, &why)) {
      return Fail(FailureClass::kContents, "ContentsAgree",
                  absl::StrCat(traces::FormatResolvedOp(part), ", then lost: ", why));
    }
    world_->Adopt(std::move(right), part, done);
  }
  if (!CheckWhole(StateRelation::Depth::kSampled)) return false;
  traces::ResolvedOp death;
  death.task = resolved_.task;
  death.thread = resolved_.thread;
  death.kind = world_->PersonalityOf(death.task) == traces::Personality::kBsd
                   ? OpKind::kExit
                   : OpKind::kTaskTerminate;
  if (!machine_->EndByInit(death.task)) {
    return Fail(FailureClass::kLiveness, "InitEndsWhoIsLost",
                absl::StrCat(traces::FormatResolvedOp(resolved_), ": the task hangs, and stays"));
  }
  world_->Adopt(death, world_->Expect(death).Canonical());
  return true;
}

bool Session::Observe(const traces::ResolvedOp& op, const Outcome& seen) {
  if (failure_) return false;
  std::string why;
  if (TryObserve(op, seen, &why)) return true;
  return Fail(FailureClass::kOutcome, KindRule("OutcomesAgree", op.kind),
              absl::StrCat(traces::FormatResolvedOp(op), ": ", why));
}

bool Session::TryObserve(const traces::ResolvedOp& op, const Outcome& seen, std::string* why) {
  model::Expectation right = world_->Expect(op);
  if (!right.Accepts(seen, why)) return false;
  resolved_ = op;
  seen_ = seen;
  ++stats_.ops;
  ++stats_.by_kind[static_cast<size_t>(op.kind)];
  world_->Adopt(std::move(right), resolved_, seen_);
  stats_.ok += seen_.ok() ? 1 : 0;
  ExtendHash();
  spent_ = machine_ == nullptr ? machine::Ledger() : machine_->ledger();
  ++index_;
  return true;
}

void Session::ExtendHash() {
  hash_ = base::Chain(hash_, static_cast<uint64_t>(resolved_.kind) << 32 | resolved_.task);
  hash_ = base::Chain(hash_, resolved_.at);
  if (resolved_.target != 0) hash_ = base::Chain(hash_, resolved_.target);
  if (resolved_.thread != 0) hash_ = base::Chain(hash_, resolved_.thread);
  if (resolved_.kind == OpKind::kThreadEnd) hash_ = base::Chain(hash_, resolved_.value);
  if (traces::IsSwapCall(resolved_.kind)) {
    hash_ = base::Chain(hash_, uint64_t{resolved_.device} << 32 | resolved_.priority);
  }
  if (resolved_.kind == OpKind::kInject) {
    hash_ = base::Chain(hash_, static_cast<uint64_t>(resolved_.site));
    hash_ = base::Chain(hash_, resolved_.skip);
  }
  hash_ = OutcomeHash(hash_, seen_);
}

bool Session::CheckCost() {
  const machine::Ledger now = machine_->ledger();
  // Who is refused starts over as often as it likes.
  if (options_.machine.adversity == machine::Adversity::kRefusing) {
    spent_ = now;
    return true;
  }
  const bool orderly = now.pageout == spent_.pageout && now.pagein == spent_.pagein &&
                       now.frame_waits == spent_.frame_waits && now.reclaimed == spent_.reclaimed &&
                       now.faults_injected == spent_.faults_injected &&
                       now.dropped == spent_.dropped && !options_.memory_may_run_out && !full_ &&
                       options_.machine.adversity == machine::Adversity::kNone &&
                       options_.machine.quirks.manual();
  const std::optional<Finding> finding = proptests::CheckCost(
      resolved_, spent_, now, orderly ? Conditions::kOrderly : Conditions::kAdverse);
  spent_ = now;
  return FailWith(finding);
}

bool Session::CheckTouched() {
  if (resolved_.kind == OpKind::kInject || traces::IsSwapCall(resolved_.kind)) return true;
  base::Range range = TouchedRange(resolved_, seen_);
  std::optional<Finding> finding;
  if (IsAccess(resolved_.kind)) {
    using Bytes = StateRelation::Bytes;
    Bytes bytes = resolved_.kind == OpKind::kWrite ? Bytes::kCompare : Bytes::kSkip;
    finding = relation_->CheckAccess(resolved_.task, range, bytes);
  } else {
    uint32_t task = traces::ActsOn(resolved_);
    if (IsBirth(resolved_.kind)) task = resolved_.child;
    // The caller's space is where the copy is.
    if (resolved_.kind == OpKind::kVmRead || resolved_.kind == OpKind::kPeek) {
      task = resolved_.task;
    }
    finding = relation_->CheckCall(task, range);
    // With a page daemon they may have gone since.
    const bool stay = machine_->swap_set().count() == 0;
    if (!finding && resolved_.kind == OpKind::kMincore && seen_.ok() && stay) {
      finding = relation_->ResidencyAgrees(task, range, seen_.value);
    }
  }
  return FailWith(finding);
}

bool Session::CheckWhole(StateRelation::Depth depth) {
  ++stats_.whole_checks;
  if (machine_ == nullptr) return true;
  return FailWith(relation_->CheckWhole(depth));
}

bool Session::FailWith(const std::optional<Finding>& finding) {
  stats_.bytes = relation_->bytes_compared();
  if (!finding) return true;
  return Fail(finding->print.cls, finding->print.rule, finding->text);
}

bool Session::Fail(FailureClass cls, std::string rule, std::string text) {
  failure_ = Failure{{cls, std::move(rule)}, std::move(text), index_};
  return false;
}

bool Session::PerformOwn(const traces::Op& op) {
  applied_ = false;
  if (!world_->Resolve(op, *files_, &resolved_)) return true;
  model::Expectation right = world_->Expect(resolved_);
  seen_ = right.Canonical();
  if (!ApplyToSystem(&right)) return false;
  if (!followed_) world_->Adopt(resolved_, seen_);
  return true;
}

// The first task gives up every name of a memory file or segment.
bool Session::DrainNames() {
  if (world_->LiveTasks().empty()) return true;
  for (uint32_t i = 1; i <= files_->size(); ++i) {
    const uint64_t key = traces::KeyOfName((*files_)[i - 1].c_str());
    traces::Op op;
    op.task = {world_->LiveTasks().front(), false};
    op.thread = world_->FirstThread(op.task.number);
    op.file = i;
    op.kind = OpKind::kMemfdClose;
    if (world_->HasMemfd(key) && !PerformOwn(op)) return false;
    op.kind = OpKind::kShmRemove;
    if (world_->HasSegment(key) && !PerformOwn(op)) return false;
  }
  return true;
}

// All names are given up, and all tasks leave, each in the way of its personality. These operations
// are the session's own and are not counted.
bool Session::DrainTasks() {
  const RunStats counted = stats_;
  if (!DrainNames()) return false;
  for (uint32_t task : world_->LiveTasks()) {
    traces::Op op;
    op.kind = world_->PersonalityOf(task) == traces::Personality::kBsd ? OpKind::kExit
                                                                       : OpKind::kTaskTerminate;
    op.task = {task, false};
    op.thread = world_->FirstThread(task);
    if (!PerformOwn(op)) return false;
  }
  stats_ = counted;
  return true;
}

// Whatever was lost, the server serves.
bool Session::FreshClientWorks() {
  const RunStats counted = stats_;
  traces::Op op;
  op.kind = OpKind::kSpace;
  op.child = traces::kMaxLabel;
  if (!PerformOwn(op)) return false;
  op = {};
  op.task = {traces::kMaxLabel, false};
  op.kind = OpKind::kMmap;
  op.at = traces::At(traces::kMapMin);
  op.size = base::kPageSize;
  op.prot = base::kProtReadWrite;
  op.flags = traces::kFlagPrivate | traces::kFlagFixed;
  if (!PerformOwn(op)) return false;
  op.kind = OpKind::kWrite;
  op.value = 'F';
  if (!PerformOwn(op)) return false;
  op.kind = OpKind::kRead;
  if (!PerformOwn(op)) return false;
  stats_ = counted;
  return true;
}

void Session::ReadProbes() {
  if (pairs_ != nullptr) stats_.pairs = pairs_->counts();
  if (machine_ == nullptr) return;
  for (uint32_t i = 0; i < base::kProbeCount; ++i) {
    stats_.probes[i] = machine_->ProbeHits(static_cast<base::Probe>(i));
  }
  for (uint32_t i = 0; i < base::FaultCase::kCells; ++i) {
    stats_.fault_cases[i] = machine_->FaultCases(i);
  }
}

bool Session::Finish() {
  ReadProbes();
  if (failure_) return false;
  if (ended_) return true;
  if (!CheckWhole(StateRelation::Depth::kEveryByte)) return false;
  hash_ = base::Chain(hash_, world_->StateHash());
  if (machine_ == nullptr) return true;
  machine_->kernel().DisarmFaults();  // what was injected last may have met no operation
  if (options_.machine.losses == machine::Losses::kAreReported && !FreshClientWorks()) return false;
  return FailWith(relation_->CheckKernel()) && DrainTasks() && FailWith(relation_->NothingLeaks());
}

}  // namespace proptests
