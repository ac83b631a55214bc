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

World::World(const Options& options) : options_(options) {}

const Task* World::FindTask(uint32_t label) const {
  auto it = tasks_.find(label);
  return it == tasks_.end() ? nullptr : &it->second;
}

bool World::CanBeBorn(uint32_t label) const { return label != 0 && used_labels_.count(label) == 0; }

bool World::MemoryMayRunOut(const ResolvedOp& op) const {
  const bool is_birth = op.kind == OpKind::kSpace || op.kind == OpKind::kTask ||
                        op.kind == OpKind::kTask32 || op.kind == OpKind::kFork ||
                        op.kind == OpKind::kTaskCreate;
  return options_.memory_may_run_out || (threads_may_run_out_ && is_birth);
}

Step World::Decode(const ResolvedOp& op) const {
  if (op.kind == OpKind::kInject) {
    Step done;
    done.outcome.family = Outcome::Family::kErrno;
    return done;
  }
  const Task* caller = FindTask(op.task);
  const Task* task = FindTask(traces::ActsOn(op));
  bool is_birth =
      op.kind == OpKind::kSpace || op.kind == OpKind::kTask || op.kind == OpKind::kTask32;
  if (!is_birth && caller == nullptr) return Step();
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
              options_.wired_max};
  for (const auto& [label, other] : tasks_) query.wired_at_most += other.space.WiredPages();
  switch (traces::FamilyOf(op.kind)) {
    case Outcome::Family::kErrno:
      return DecodeBsd(query);
    case Outcome::Family::kKern:
      return DecodeMach(query);
    case Outcome::Family::kFault:
      return DecodeAccess(
          *task, op,
          options_.execute_implied_by_read ? ExecuteRight::kImpliedByRead : ExecuteRight::kNeeded);
    case Outcome::Family::kNone:
      break;
  }
  return Step();
}

Expectation World::Expect(const ResolvedOp& op) const {
  Expectation::Parts parts;
  parts.kind = op.kind;
  parts.step = Decode(op);
  parts.memory_may_run_out = MemoryMayRunOut(op);
  const bool for_caller = parts.step.action == Step::Action::kCopyOut;
  const Task* task = FindTask(for_caller ? op.task : traces::ActsOn(op));
  if (task == nullptr) return Expectation(std::move(parts));
  parts.space = &task->space;
  if (parts.step.action == Step::Action::kRead && parts.step.ok() && !parts.step.blind) {
    ReadSet set(task->space, parts.step.start, parts.step.end, files_);
    parts.step.outcome.value = set.canonical();
    parts.any_read_value = !set.checkable();
    if (set.open() && set.checkable()) parts.read_values = set.Values();
  }
  return Expectation(std::move(parts));
}

void World::Adopt(const ResolvedOp& op, const Outcome& observed) {
  Step step = Decode(op);
  CHECK(step.outcome.family == observed.family);
  if (observed.family == Outcome::Family::kNone) return;
  if (op.kind == OpKind::kInject) {
    threads_may_run_out_ = threads_may_run_out_ || op.site == base::FaultSite::kKernelMemory;
    return;
  }
  const bool may_run_out = MemoryMayRunOut(op);
  threads_may_run_out_ = false;
  if (step.counted && observed.ok()) step.size = observed.value;
  if (observed.code == step.outcome.code || (step.counted && observed.ok())) {
    Commit(step, op, observed);
  } else if (step.refusal_code != 0 && step.refusal_code == observed.code) {
    Refuse(step, op);
  } else {
    CHECK(may_run_out && step.shortage_code == observed.code);
    if (step.action != Step::Action::kWrite) return;
    step.end = observed.value;  // what was stored before memory ran out stays
    Commit(step, op, observed);
  }
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
             orphan ? op.child : FindTask(op.task)->channel};
  channels_.try_emplace(child.channel);
  if (step.action == Step::Action::kFork) {
    Task& parent = tasks_.find(traces::ActsOn(op))->second;
    child.space = parent.space.Fork();
    child.has_heap = parent.has_heap;
    child.heap_base = parent.heap_base;
    child.heap_current = parent.heap_current;
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
  region.attributes.wired = false;
  task->space.Map(std::move(region));
  if (wires) task->space.Wire(start, end, files_);
}

// What could not be wired is not mapped, and what it was to replace is gone; MCL_FUTURE holds
// whatever happens to the present.
void World::Refuse(Step step, const ResolvedOp& op) {
  Task& task = tasks_.find(traces::ActsOn(op))->second;
  if (step.action == Step::Action::kMap && step.freedom == Step::Freedom::kNone) {
    task.space.Unmap(step.start, step.end);
  }
  if (step.action != Step::Action::kWireAll) return;
  step.attributes.wired = false;
  WireAll(step, &task);
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
  for (const base::Range& range : fresh)
    space->Wire(range.start.value(), range.end.value(), files_);
}

void World::WireAll(const Step& step, Task* task) {
  Space& space = task->space;
  if (step.action == Step::Action::kUnwireAll) {
    space.Unwire(space.min(), space.max());
    space.ForgetFuture();
    return;
  }
  if (step.wires_future) space.WireFuture();
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

void World::Commit(const Step& step, const ResolvedOp& op, const Outcome& observed) {
  if (step.action == Step::Action::kBeBorn || step.action == Step::Action::kFork) {
    return CommitBirth(step, op);
  }
  const uint32_t label = traces::ActsOn(op);
  Task& task = tasks_.find(label)->second;
  const bool chosen = step.freedom == Step::Freedom::kAddress;
  const uint64_t to = chosen ? observed.value : step.to;
  switch (step.action) {
    case Step::Action::kBeBorn:
    case Step::Action::kFork:
    case Step::Action::kNothing:
      break;
    case Step::Action::kDie:
      CommitDeath(label);
      return;
    case Step::Action::kClear:
      task.space.Clear();
      task.has_heap = false;
      task.heap_base = task.heap_current = 0;
      break;
    case Step::Action::kMap:
      CommitMap(step, chosen ? observed.value - step.page_offset : step.start, &task);
      break;
    case Step::Action::kUnmap:
      task.space.Unmap(step.start, step.end);
      break;
    case Step::Action::kSetProt:
    case Step::Action::kSetMaxProt:
    case Step::Action::kSetInherit:
    case Step::Action::kSetAdvice:
    case Step::Action::kSetWired:
      SetAttribute(step, &task.space);
      break;
    case Step::Action::kGiveUp:
      task.space.GiveUp(step.start, step.end);
      break;
    case Step::Action::kDiscard:
      task.space.Discard(step.start, step.end);
      break;
    case Step::Action::kGrow:
      task.space.Grow(step.start, step.end - step.start);
      break;
    case Step::Action::kMove:
      task.space.Move(step.start, step.size, to, step.new_size);
      break;
    case Step::Action::kDuplicate:
      task.space.Duplicate(step.start, step.size, to, step.new_size);
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
      CommitTransfer(step.size, op, observed, &task, &tasks_.find(op.task)->second);
      break;
  }
  if (step.sets_heap_base) task.has_heap = true;
  if (step.sets_heap_base) task.heap_base = step.heap;
  if (step.sets_heap) task.heap_current = step.heap;
}

// Messages that nobody is left to receive are gone.
void World::CommitDeath(uint32_t label) {
  const uint32_t channel = FindTask(label)->channel;
  births_.erase(std::find(births_.begin(), births_.end(), label));
  tasks_.erase(label);
  for (const auto& [other, task] : tasks_) {
    if (task.channel == channel) return;
  }
  channels_.erase(channel);
}

// In the steps in which bytes really go, since source and destination may overlap: a read one page
// of its source at a time, a write of a file one stretch of 64 KiB of it.
void World::CommitTransfer(uint64_t size, const ResolvedOp& op, const Outcome& observed,
                           const Task* task, const Task* caller) {
  if (op.kind == OpKind::kSend) {
    channels_.at(caller->channel).emplace_back();
    return TakeFromMemory(caller->space, op.at, size, files_,
                          &channels_.at(caller->channel).back());
  }
  if (op.kind == OpKind::kReceive) return CommitReceive(size, op, observed.ok(), caller);
  const bool of_file = op.kind == OpKind::kPread || op.kind == OpKind::kPwrite;
  const uint64_t place = of_file ? op.offset : op.at;
  const uint64_t stretch = op.kind == OpKind::kPwrite ? uint64_t{64} << 10 : base::kPageSize;
  for (uint64_t done = 0; done < size;) {
    const uint64_t at = place + done;
    const uint64_t some = std::min(size - done, stretch - at % stretch);
    Parcel parcel;
    switch (op.kind) {
      case OpKind::kPread:
        TakeFromFile(op.file_key, at, some, files_, &parcel);
        PutIntoMemory(parcel, caller->space, op.at + done, &files_);
        break;
      case OpKind::kPwrite:
        TakeFromMemory(caller->space, op.at + done, some, files_, &parcel);
        PutIntoFile(parcel, op.file_key, at, &files_);
        break;
      case OpKind::kPeek:
        TakeFromMemory(task->space, at, some, files_, &parcel);
        PutIntoMemory(parcel, caller->space, op.to + done, &files_);
        break;
      default:  // kPoke
        TakeFromMemory(caller->space, op.to + done, some, files_, &parcel);
        PutIntoMemory(parcel, task->space, at, &files_);
        break;
    }
    done += some;
  }
}

// A message of which something was received without error loses that; one of which nothing is left
// is gone. After an error it is all there still.
void World::CommitReceive(uint64_t size, const ResolvedOp& op, bool consumed, const Task* caller) {
  Channel& channel = channels_.at(caller->channel);
  Parcel& message = channel.front();
  PutIntoMemory(message.Head(size), caller->space, op.at, &files_);
  if (!consumed) return;
  message.DropHead(size);
  if (message.bytes.empty()) channel.pop_front();
}

// A failed read tells nothing of what it read before.
void World::CommitRead(const Step& step, const Outcome& observed, const Task& task) {
  if (step.start == step.end) return;  // not even the first byte was there
  for (uint64_t va = base::TruncPage(step.start); va < step.end; va += base::kPageSize) {
    Space::MayBind(*task.space.Find(va), va, files_);
  }
  if (observed.code != 0 || step.blind) return;
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
