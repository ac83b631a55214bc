#include "model/world.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "model/access.h"

namespace model {

using traces::OpKind;
using traces::Outcome;
using traces::Personality;
using traces::ResolvedOp;

World::World(const Options& options) : options_(options) {
  files_.objects[FileTable::kDeviceId] = {.kind = MemoryObject::Kind::kDevice,
                                          .size = traces::kFrameBufferPages << base::kPageShift};
  swap_.devices = options.swap;
}

bool World::IsMapped(uint64_t id) const {
  for (const auto& [label, task] : tasks_) {
    for (const Region& region : task.space.regions()) {
      if (region.file_key == id) return true;
    }
  }
  return false;
}

const Task* World::FindTask(uint32_t label) const {
  if (found_ != nullptr && found_label_ == label) return found_;
  auto it = tasks_.find(label);
  if (it == tasks_.end()) return nullptr;
  found_ = &it->second;
  found_label_ = label;
  return found_;
}

bool World::CanBeBorn(uint32_t label) const { return label != 0 && used_labels_.count(label) == 0; }

bool World::MapsDevice(uint32_t label) const {
  const Task* task = FindTask(label);
  if (task == nullptr) return false;
  const std::vector<Region>& regions = task->space.regions();
  return std::any_of(regions.begin(), regions.end(), [this](const Region& region) {
    const MemoryObject* object = files_.Object(region.file_key);
    return object != nullptr && object->kind == MemoryObject::Kind::kDevice;
  });
}

bool World::MemoryMayRunOut(const ResolvedOp& op) const {
  const bool is_birth = op.kind == OpKind::kSpace || op.kind == OpKind::kTask ||
                        op.kind == OpKind::kTask32 || op.kind == OpKind::kFork ||
                        op.kind == OpKind::kTaskCreate || op.kind == OpKind::kThreadCreate;
  const bool refused =
      device_may_be_silent_ && (MapsDevice(op.task) || MapsDevice(traces::ActsOn(op)));
  return options_.memory_may_run_out || (threads_may_run_out_ && is_birth) || refused;
}

uint64_t Query::wired_by_tasks_at_most() const { return world->WiredAtMost(); }

uint64_t World::WiredAtMost() const {
  uint64_t pages = 0;
  for (const auto& [label, task] : tasks_) pages += task.space.WiredPages();
  for (const auto& [id, object] : files_.objects) pages += object.locked ? object.pages() : 0;
  return pages;
}

bool Query::may_lend(uint64_t pages) const { return world->LentPages() + pages <= lend_max; }

uint64_t World::LentPages() const {
  uint64_t pages = 0;
  for (const auto& [label, channel] : channels_) {
    for (const Parcel& message : channel) pages += message.pages;
  }
  return pages;
}

Step World::Decode(const ResolvedOp& op) const {
  if (op.kind == OpKind::kInject) {
    Step done;
    done.outcome.family = Outcome::Family::kErrno;
    return done;
  }
  const Task* caller = FindTask(op.task);
  const uint32_t label = traces::ActsOn(op);
  const Task* task = label == op.task ? caller : FindTask(label);
  bool is_birth =
      op.kind == OpKind::kSpace || op.kind == OpKind::kTask || op.kind == OpKind::kTask32;
  if (!is_birth && (caller == nullptr || !caller->HasThread(op.thread))) return Step();
  if ((is_birth || op.kind == OpKind::kFork || op.kind == OpKind::kTaskCreate) &&
      !CanBeBorn(op.child)) {
    return Step();
  }
  const bool may_name = task == caller || (task != nullptr && task->owner == op.task);
  Query query{op,
              task,
              tasks_.size() >= options_.max_tasks,
              caller,
              may_name,
              caller == nullptr ? nullptr : &channels_.at(caller->channel),
              this,
              options_.wired_max};
  query.wired_by_server = options_.wired_by_server;
  query.shm_max = options_.shm_max;
  query.lend_max = options_.lend_max;
  query.files = &files_;
  query.lost = &lost_;
  query.swap = &swap_;
  if (op.kind == OpKind::kMemfdSeal) {
    auto file = files_.memfds.find(op.file_key);
    query.is_mapped = file != files_.memfds.end() && IsMapped(file->second);
  }
  switch (traces::FamilyOf(op.kind)) {
    case Outcome::Family::kErrno:
      return DecodeBsd(query);
    case Outcome::Family::kKern:
      return DecodeMach(query);
    case Outcome::Family::kFault:
      return DecodeAccess(
          *task, op,
          options_.execute_implied_by_read ? ExecuteRight::kImpliedByRead : ExecuteRight::kNeeded,
          files_, lost_);
    case Outcome::Family::kNone:
      break;
  }
  return Step();
}

Expectation World::Expect(const ResolvedOp& op) const {
  return Expectation([&] {
    Expectation::Parts parts{.kind = op.kind, .step = Decode(op)};
    parts.memory_may_run_out = MemoryMayRunOut(op);
    const bool for_caller = parts.step.action == Step::Action::kCopyOut;
    const Task* task = FindTask(for_caller ? op.task : traces::ActsOn(op));
    if (task == nullptr) return parts;
    parts.space = &task->space;
    if (parts.step.action == Step::Action::kRead && parts.step.ok() && !parts.step.blind) {
      ReadSet set(task->space, parts.step.start, parts.step.end, files_);
      parts.step.outcome.value = set.canonical();
      parts.any_read_value = !set.checkable();
      if (set.open() && set.checkable()) parts.read_values = set.Values();
    }
    return parts;
  });
}

Expectation World::ExpectWithoutLosses(const ResolvedOp& op) {
  LostPages lost = std::exchange(lost_, nullptr);
  Expectation right = Expect(op);
  lost_ = std::move(lost);
  return right;
}

void World::Adopt(const ResolvedOp& op, const Outcome& observed) {
  Step step = Decode(op);
  AdoptStep(&step, op, observed);
}

void World::Adopt(Expectation&& right, const ResolvedOp& op, const Outcome& observed) {
  Step&& step = std::move(right).TakeStep();
  AdoptStep(&step, op, observed);
}

void World::AdoptStep(Step* given, const ResolvedOp& op, const Outcome& observed) {
  Step& step = *given;
  CHECK(step.outcome.family == observed.family);
  if (observed.family == Outcome::Family::kNone) return;
  if (op.kind == OpKind::kInject) {
    threads_may_run_out_ = threads_may_run_out_ || op.site == base::FaultSite::kKernelMemory;
    device_may_be_silent_ = device_may_be_silent_ || op.site == base::FaultSite::kIpcCut;
    return;
  }
  const bool may_run_out = MemoryMayRunOut(op);
  threads_may_run_out_ = false;
  device_may_be_silent_ = false;
  if (observed.family == Outcome::Family::kFault) return AdoptAccess(given, op, observed);
  if (observed.ok() && step.action == Step::Action::kTransfer) {
    step.size = step.sure = observed.value;
  }
  const std::vector<int32_t>& errors = step.may_fail_with;
  if (observed.code == step.outcome.code || (step.counted && observed.ok()) ||
      std::find(errors.begin(), errors.end(), observed.code) != errors.end()) {
    Commit(step, op, observed);
  } else {
    const bool refused = step.refusal_code != 0 && step.refusal_code == observed.code;
    const bool missing = step.missing_code != 0 && step.missing_code == observed.code;
    CHECK(refused || missing || (may_run_out && step.shortage_code == observed.code));
    Refuse(step, op, refused ? Why::kNoRoom : missing ? Why::kMissing : Why::kShortage);
  }
}

// An access that ends early did what it does up to there, and shows which pages were there.
void World::AdoptAccess(Step* given, const ResolvedOp& op, const Outcome& observed) {
  Step& step = *given;
  const Task& task = tasks_.find(op.task)->second;
  if (!observed.ok()) step.end = observed.value;
  for (uint64_t va : step.may_fail_at) {
    const bool there = observed.ok() || va < observed.value;
    const bool absent = observed.code == step.missing_code && va == observed.value;
    if (!there && !absent) break;
    Space::Decide(*task.space.Find(va), va, there ? Presence::kThere : Presence::kAbsent, files_);
  }
  Commit(step, op, observed);
}

// --- Changes ---

void World::CommitBirth(const Step& step, const ResolvedOp& op) {
  const bool mach = op.kind != OpKind::kSpace && op.kind != OpKind::kFork;
  const bool orphan =
      op.kind == OpKind::kSpace || op.kind == OpKind::kTask || op.kind == OpKind::kTask32;
  const Task* like = orphan ? nullptr : FindTask(traces::ActsOn(op));
  Task child{Space(traces::kMapMin, traces::kMapMin),
             mach ? Personality::kMach : Personality::kBsd,
             like == nullptr ? op.kind == OpKind::kTask32 : like->narrow,
             orphan ? 0 : op.task,
             false,
             0,
             0,
             orphan ? op.child : FindTask(op.task)->channel,
             {}};
  channels_.try_emplace(child.channel);
  if (step.action == Step::Action::kFork) {
    Task& parent = tasks_.find(traces::ActsOn(op))->second;
    child.space = parent.space.Fork();
    child.has_heap = parent.has_heap;
    child.heap_base = parent.heap_base;
    child.heap_current = parent.heap_current;
    child.attachments = parent.attachments;
    for (const Task::Attachment& at : child.attachments) {
      ++files_.objects.at(at.segment).attachments;
    }
  } else {
    child.space = Space(step.start, step.end);
  }
  tasks_.emplace(op.child, std::move(child));
  births_.push_back(op.child);
  used_labels_.insert(op.child);
}

void World::CommitMap(const Step& step, uint64_t start, Task* task) {
  Region region;
  region.start = start;
  region.end = start + (step.end - step.start);
  region.attributes = step.attributes;
  region.file_key = step.file_key;
  region.file_page = step.file_page;
  bool is_file_itself = step.file_key != 0 && step.attributes.shared;
  if (!is_file_itself) region.layer = std::make_shared<Layer>();
  uint64_t end = region.end;
  const bool wires = region.attributes.wired;
  if (step.attaches) Attach(task, step.object, start);
  region.attributes.wired = false;
  task->space.Map(std::move(region));
  if (wires) task->space.Wire(start, end, files_);
}

// What could not be wired is not mapped, and what it was to replace is gone; MCL_FUTURE holds
// whatever happens to the present, and rights that were given stay. Where memory ran out the
// wiring had come some way up, as where pages are missing.
void World::Refuse(Step step, const ResolvedOp& op, Why why) {
  Task& task = tasks_.find(traces::ActsOn(op))->second;
  switch (step.action) {
    case Step::Action::kMap:
    case Step::Action::kUnmap:
      // A new mapping needs memory only to be wired.
      if ((why != Why::kShortage || step.attributes.wired) &&
          step.freedom == Step::Freedom::kNone) {
        task.space.Unmap(step.start, step.end);
      }
      break;
    case Step::Action::kSetWired:
    case Step::Action::kMayWire:
      if (why != Why::kNoRoom) task.space.MayWire(step.start, step.end, files_);
      break;
    case Step::Action::kTransfer:
      if (step.direct)
        CommitTransfer(step, op, Outcome{Outcome::Family::kErrno, 1, 0, 0, {}}, &task, &task);
      break;
    case Step::Action::kSetProt:
      if (!task.space.wires_future()) break;
      step.cannot_wire = true;
      SetProt(step, &task.space);
      break;
    case Step::Action::kWireAll:
      step.attributes.wired = false;
      step.cannot_wire = why != Why::kNoRoom;
      WireAll(step, &task);
      break;
    default:
      break;
  }
}

bool World::AdoptLoss(const ResolvedOp& op, const Outcome& seen, Agrees agrees) {
  if (traces::FamilyOf(op.kind) != seen.family) return false;
  Step step = Decode(op);
  switch (step.action) {
    case Step::Action::kMap:
      // It needs pages only to be wired.
      if (!step.attributes.wired) return false;
      [[fallthrough]];
    case Step::Action::kSetWired:
    case Step::Action::kMayWire:
    case Step::Action::kWireAll:
    case Step::Action::kSetProt:
      Refuse(std::move(step), op, Why::kMissing);
      return true;
    // Looked at nothing, or made nothing: a child, a copy, a message.
    case Step::Action::kNothing:
    case Step::Action::kFork:
    case Step::Action::kCopyOut:
      return true;
    case Step::Action::kTransfer:
      if (op.kind == OpKind::kSend || op.kind == OpKind::kSendFile) return true;
      return (seen.code == static_cast<int32_t>(base::Errno::kEfault) ||
              seen.code == static_cast<int32_t>(base::Errno::kEio)) &&
             TransferInPart(op, seen, agrees);
    case Step::Action::kOverwrite:
    case Step::Action::kStoreFrom:
      return seen.code == static_cast<int32_t>(base::KernReturn::kMemoryError) &&
             OverwriteInPart(step, op, agrees);
    // The device stays on.
    case Step::Action::kSwap:
      return op.kind == OpKind::kSwapOff && seen.code == static_cast<int32_t>(base::Errno::kEio);
    default:
      return false;
  }
}

// The source is a snapshot, which is taken before anything is replaced; what it replaces is wired
// no more before the first page goes.
bool World::OverwriteInPart(const Step& step, const ResolvedOp& op, Agrees agrees) {
  const uint32_t label = traces::ActsOn(op);
  Space& space = tasks_.find(label)->second.space;
  const bool own = step.action == Step::Action::kOverwrite;
  const Space& source = own ? space : FindTask(op.task)->space;
  const base::Range pages = {base::Vaddr(step.to), base::Vaddr(step.to + (step.end - step.start))};
  if (agrees(label, pages)) return true;
  PageCopies copies = source.Copy(step.start, step.end, files_);
  space.Unwire(step.to, pages.end.value());
  for (size_t page = 0; page < copies.size(); ++page) {
    if (agrees(label, pages)) return true;
    PageCopies one;
    one.push_back(std::move(copies[page]));
    space.Overwrite(step.to + page * base::kPageSize, std::move(one), &files_);
  }
  return agrees(label, pages);
}

// After mlockall(MCL_FUTURE) memory that gets its first rights is wired by that.
void World::SetProt(const Step& step, Space* space) {
  std::vector<base::Range> fresh;
  if (space->wires_future() && !step.attributes.prot.IsNone()) {
    for (const Region& region : space->regions()) {
      if (!region.attributes.prot.IsNone() || region.end <= step.start || region.start >= step.end)
        continue;
      fresh.push_back({base::Vaddr(std::max(region.start, step.start)),
                       base::Vaddr(std::min(region.end, step.end))});
    }
  }
  space->SetProt(step.start, step.end, step.attributes.prot);
  for (const base::Range& range : fresh) {
    if (step.cannot_wire) {
      space->MayWire(range.start.value(), range.end.value(), files_);
    } else {
      space->Wire(range.start.value(), range.end.value(), files_);
    }
  }
}

void World::WireAll(const Step& step, Task* task) {
  Space& space = task->space;
  if (step.action == Step::Action::kUnwireAll) {
    space.Unwire(space.min(), space.max());
    space.ForgetFuture();
    return;
  }
  if (step.wires_future) space.WireFuture();
  if (step.cannot_wire) space.MayWire(space.min(), space.max(), files_);
  if (!step.attributes.wired) return;
  const std::vector<Region> before = space.regions();
  for (const Region& region : before) {
    if (!region.attributes.prot.IsNone()) space.Wire(region.start, region.end, files_);
  }
}

void World::CommitCopyOut(const Step& step, uint64_t start, const Task& task, Task* caller) {
  Region region;
  region.start = start;
  region.end = start + (step.end - step.start);
  region.layer = std::make_shared<Layer>();
  PageCopies copies = task.space.Copy(step.start, step.end, files_);
  for (size_t page = 0; page < copies.size(); ++page) {
    if (copies[page]) region.layer->owned.emplace(page, std::move(*copies[page]));
  }
  caller->space.Map(std::move(region));
}

// What is replaced is wired no more.
void World::Overwrite(const Step& step, PageCopies copies, Space* space) {
  space->Unwire(step.to, step.to + (step.end - step.start));
  space->Overwrite(step.to, std::move(copies), &files_);
}

void World::CommitCopy(const Step& step, const Outcome& observed, Task* task, Task* caller) {
  Task* from = step.action == Step::Action::kStoreFrom ? caller : task;
  from->space.DecideThere(step.start, step.end, files_);
  switch (step.action) {
    case Step::Action::kCopyOut:
      return CommitCopyOut(step, observed.value - step.page_offset, *task, caller);
    case Step::Action::kOverwrite:
      return Overwrite(step, task->space.Copy(step.start, step.end, files_), &task->space);
    default:  // kStoreFrom
      return Overwrite(step, caller->space.Copy(step.start, step.end, files_), &task->space);
  }
}

void World::SetAttribute(const Step& step, Space* space) {
  const Attributes& a = step.attributes;
  switch (step.action) {
    case Step::Action::kSetProt:
      return SetProt(step, space);
    case Step::Action::kSetMaxProt:
      return space->SetMaxProt(step.start, step.end, a.max_prot);
    case Step::Action::kSetInherit:
      return space->SetInherit(step.start, step.end, a.inherit);
    case Step::Action::kSetAdvice:
      return space->SetAdvice(step.start, step.end, a.advice);
    default:  // kSetWired
      if (!a.wired) return space->Unwire(step.start, step.end);
      return space->Wire(step.start, step.end, files_);
  }
}

// What becomes of the range of one space; `to` is where it goes.
void World::CommitRange(const Step& step, uint64_t to, Space* space) {
  switch (step.action) {
    case Step::Action::kUnmap:
      return space->Unmap(step.start, step.end);
    case Step::Action::kMayWire:
      return space->MayWire(step.start, step.end, files_);
    case Step::Action::kGiveUp:
      return space->GiveUp(step.start, step.end);
    case Step::Action::kDiscard:
      return space->Discard(step.start, step.end);
    case Step::Action::kGrow:
      return space->Grow(step.start, step.end - step.start);
    case Step::Action::kMove:
      return space->Move(step.start, step.size, to, step.new_size);
    case Step::Action::kDuplicate:
      return space->Duplicate(step.start, step.size, to, step.new_size);
    default:
      return SetAttribute(step, space);
  }
}

void World::Commit(const Step& step, const ResolvedOp& op, const Outcome& observed) {
  if (step.action == Step::Action::kBeBorn || step.action == Step::Action::kFork) {
    return CommitBirth(step, op);
  }
  if (step.action == Step::Action::kSwap) return CommitSwap(op, &swap_);
  const uint32_t label = traces::ActsOn(op);
  Task& task = tasks_.find(label)->second;
  if (MakesOrEndsThread(step)) return CommitThread(step, &task);
  const bool chosen = step.freedom == Step::Freedom::kAddress;
  switch (step.action) {
    case Step::Action::kBeBorn:
    case Step::Action::kFork:
    case Step::Action::kNothing:
      break;
    case Step::Action::kDie:
      ForgetAttachments(&task);
      CommitDeath(label);
      return;
    case Step::Action::kClear:
      ForgetAttachments(&task);
      return CommitExec(op, &task);
    case Step::Action::kMap:
      CommitMap(step, chosen ? observed.value - step.page_offset : step.start, &task);
      break;
    case Step::Action::kUnmap:
    case Step::Action::kSetProt:
    case Step::Action::kSetMaxProt:
    case Step::Action::kSetInherit:
    case Step::Action::kSetAdvice:
    case Step::Action::kSetWired:
    case Step::Action::kMayWire:
    case Step::Action::kGiveUp:
    case Step::Action::kDiscard:
    case Step::Action::kGrow:
    case Step::Action::kMove:
    case Step::Action::kDuplicate:
      CommitRange(step, chosen ? observed.value : step.to, &task.space);
      break;
    case Step::Action::kWireAll:
    case Step::Action::kUnwireAll:
      WireAll(step, &task);
      break;
    case Step::Action::kCopyOut:
    case Step::Action::kOverwrite:
    case Step::Action::kStoreFrom:
      CommitCopy(step, observed, &task, &tasks_.find(op.task)->second);
      break;
    case Step::Action::kRead:
      CommitRead(step, observed, task);
      break;
    case Step::Action::kWrite:
      CommitWrite(step, op.value, task);
      break;
    case Step::Action::kTransfer:
      CommitTransfer(step, op, observed, &task, &tasks_.find(op.task)->second);
      break;
    case Step::Action::kFtruncate:
      SetEnd(step.file_key, step.size);
      break;
    default:
      CommitShared(step, &task);
      break;
  }
  if (step.sets_heap_base) task.has_heap = true;
  if (step.sets_heap_base) task.heap_base = step.heap;
  if (step.sets_heap) task.heap_current = step.heap;
}

// A failed read tells nothing of what it read before.
void World::CommitRead(const Step& step, const Outcome& observed, const Task& task) {
  if (step.start == step.end) return;  // not even the first byte was there
  for (uint64_t va = base::TruncPage(step.start); va < step.end; va += base::kPageSize) {
    Space::MayBind(*task.space.Find(va), va, files_);
  }
  if (observed.code != 0 || step.blind) return;
  if (ReadSet::IsSettled(task.space, step.start, step.end, files_)) return;
  ReadSet set(task.space, step.start, step.end, files_);
  if (!set.checkable()) {
    ++unchecked_reads_;
  } else if (set.open()) {
    set.Choose(observed.value);
  }
}

void World::CommitWrite(const Step& step, uint64_t value, const Task& task) {
  const Region* region = nullptr;
  for (uint64_t va = step.start; va < step.end;) {
    if (region == nullptr || va >= region->end) region = task.space.Find(va);
    uint64_t size = std::min(step.end, base::TruncPage(va) + base::kPageSize) - va;
    Space::Store(*region, va, size, value, &files_);
    va += size;
  }
}

}  // namespace model
